//! The resolver against a signed world: 138 zones, sound and broken, behind real recursive resolvers; and four other
//! validators beside it, whose every disagreement is listed with its reason.
//!
//! The world is made and served by scripts that are no part of the project (see [`tools`]); they want root, BIND, NSD, unbound
//! and dnspython. Without them the test says why it does not run, and fails when `CI` is set. It runs in network, mount and
//! process namespaces of its own, so that its fixed addresses meet nobody and its servers end with it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test: it fails by panicking, prints why it was skipped, and runs programs"
)]

#[path = "dns_world/disagreements.rs"]
mod disagreements;
#[path = "dns_world/judges.rs"]
mod judges;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use danelaw::clock::SystemClock;
use danelaw::dns::resolver::{Resolver, ResolverOptions, TrustAnchor, Validate};
use danelaw::dns::{AbsenceKind, Answer, Denial, Failure};
use judges::{JUDGES, Words};
use serde::Deserialize;

/// A question and what the RFCs ask for.
#[derive(Clone, Deserialize)]
struct Case {
    id: String,
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    exp: String,
}

#[test]
fn dnssec_1_every_answer_of_the_signed_world_has_the_status_that_the_rfcs_ask_for() {
    if std::env::var_os(INSIDE).is_some() {
        inside();
        return;
    }
    if let Err(missing) = prerequisites() {
        assert!(
            std::env::var_os("CI").is_none(),
            "the signed world cannot be made: {missing}"
        );
        eprintln!("SKIPPED: the signed world cannot be made: {missing}");
        return;
    }
    let test = std::thread::current().name().unwrap().to_owned();
    let status = unshare()
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "inside the namespaces: {status}");
}

fn inside() {
    let folder = tempfile::tempdir().unwrap();
    make_world(folder.path());
    let cases = std::fs::read_to_string(folder.path().join("cases.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    assert!(cases.len() >= 339, "{} cases only", cases.len());
    let anchor = TrustAnchor::from_file(&folder.path().join("world/root.key")).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let asking = RECURSORS.map(|(_, server)| ask_all(&cases, server, anchor.clone()));
    let seen = runtime.block_on(futures_util::future::join_all(asking));
    let beside = runtime.block_on(judge_beside(&cases, folder.path(), &seen[0]));
    let wrong: Vec<String> = RECURSORS
        .iter()
        .zip(seen)
        .flat_map(|((recursor, _), seen)| compare(recursor, &cases, &seen))
        .chain(beside)
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Four other validators on the same questions.
async fn judge_beside(cases: &[Case], folder: &Path, ours: &Words) -> Vec<String> {
    let mut theirs = BTreeMap::new();
    let hearing =
        JUDGES.map(|judge| async move { (judge, judges::hear(judge, cases, folder).await) });
    for (judge, words) in futures_util::future::join_all(hearing).await {
        let agree = |case: &&Case| !disagreements::differs(&ours[&case.id], &words[&case.id]);
        let agreed = cases.iter().filter(agree).count();
        eprintln!("{judge:?} agrees on {agreed} of {}", cases.len());
        theirs.insert(judge, words);
    }
    disagreements::unexplained(ours, &theirs)
}

async fn ask_all(cases: &[Case], server: &str, anchor: TrustAnchor) -> Words {
    let options = ResolverOptions {
        servers: vec![server.parse().unwrap()],
        anchor,
        timeout: TIMEOUT,
        validate: Validate::Local,
        roots: None,
    };
    let resolver = Arc::new(Resolver::new(options, Arc::new(SystemClock)).unwrap());
    let asking: Vec<_> = cases
        .iter()
        .cloned()
        .map(|case| {
            let resolver = Arc::clone(&resolver);
            tokio::spawn(async move {
                let answer = resolver.inspect(&case.name, &case.record_type).await;
                (case.id, status(&answer.unwrap()))
            })
        })
        .collect();
    let mut seen = BTreeMap::new();
    for asked in asking {
        let (id, status) = asked.await.unwrap();
        seen.insert(id, status);
    }
    seen
}

/// In the words of the cases: `S` secure, `I` insecure, `B` bogus, `F` nothing; then what was there.
fn status(answer: &Answer<Vec<String>>) -> String {
    let absence = |kind| match kind {
        AbsenceKind::NoData => "nodata",
        AbsenceKind::NxDomain => "nx",
    };
    match answer {
        Answer::Secure(_) => "S/pos".to_owned(),
        Answer::Insecure(_) => "I/pos".to_owned(),
        Answer::Absent(absent) => match absent.denial {
            Denial::Secure => format!("S/{}", absence(absent.kind)),
            Denial::Insecure => format!("I/{}", absence(absent.kind)),
        },
        Answer::Failed(Failure::Bogus(why)) => format!("B ({why})"),
        Answer::Failed(Failure::Unreachable(why)) => format!("F ({why})"),
    }
}

/// The cases that differ from the list, and from the exceptions to it.
fn compare(recursor: &str, cases: &[Case], seen: &Words) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut excepted = 0;
    for case in cases {
        let seen = &seen[&case.id];
        let mut expected = expectation(&case.exp);
        let excepts = |e: &&Exception| e.case == case.id && recursor.starts_with(e.behind);
        if let Some(exception) = EXCEPTIONS.iter().find(excepts) {
            assert!(!agrees(exception.expected, &expected), "{}", case.id);
            expected = exception.expected.to_owned();
            excepted += 1;
        }
        if !agrees(seen, &expected) {
            let Case { id, name, .. } = case;
            let question = format!("{recursor}: {id}: {name} {}", case.record_type);
            wrong.push(format!("{question}: expected {expected}, got {seen}"));
        }
    }
    let right = cases.len() - wrong.len() - excepted;
    eprintln!(
        "behind {recursor}: {right} of {} answers as the list has them, {excepted} exceptions, {} wrong",
        cases.len(),
        wrong.len()
    );
    wrong
}

/// `C` is a chain of aliases with an insecure link; of a failure only the letter counts.
fn expectation(exp: &str) -> String {
    let exp = exp.replace("C/", "I/");
    match exp.split_once('/') {
        Some(("B", _)) => "B".to_owned(),
        Some(_) | None => exp,
    }
}

fn agrees(seen: &str, expected: &str) -> bool {
    match expected {
        "B" | "F" => seen.starts_with(expected),
        _ => seen == expected,
    }
}

/// A case whose answer differs from the list on purpose.
struct Exception {
    case: &'static str,
    /// The recursor that makes the difference; empty when all do.
    behind: &'static str,
    expected: &'static str,
}

const EXCEPTIONS: &[Exception] = &[
    // The server's answer for an opt-out delegation below an empty non-terminal holds no closest encloser proof (RFC 5155
    // §7.2.4), so nothing shows that the delegation is unsigned. Other validators say bogus as well.
    Exception {
        case: "optout-ins-ent",
        behind: "",
        expected: "B",
    },
    // This recursor gives up on a delegation with two hundred DS records before anyone can validate anything.
    Exception {
        case: "dstrap",
        behind: "BIND",
        expected: "F",
    },
];

fn make_world(folder: &Path) {
    let run = |program: &mut Command| {
        let status = program
            .env("DNS_WORLD", folder)
            .env("PERF_N", "0")
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{program:?}: {status}");
    };
    run(Command::new("ip").args(["link", "set", "lo", "up"]));
    run(Command::new(PYTHON).arg(tools().join("gen_world.py")));
    run(Command::new(PYTHON).arg(tools().join("cases.py")));
    run(&mut Command::new(tools().join("world_up.sh")));
}

/// `--kill-child` ends everything inside when this process ends.
fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child"]);
    command.args(["--mount-proc", "--"]);
    command
}

fn prerequisites() -> Result<(), String> {
    if !tools().join("gen_world.py").is_file() {
        return Err(format!("no scripts in {}; set {TOOLS}", tools().display()));
    }
    for program in PROGRAMS {
        let found = std::env::var("PATH")
            .unwrap_or_default()
            .split(':')
            .any(|folder| Path::new(folder).join(program).is_file());
        if !found {
            return Err(format!("{program} is not installed"));
        }
    }
    match unshare().arg("true").output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("unshare: {error}")),
    }
}

fn tools() -> PathBuf {
    std::env::var_os(TOOLS).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/tools/dns-world"),
        PathBuf::from,
    )
}

const INSIDE: &str = "DANELAW_INSIDE_THE_WORLD";
const TOOLS: &str = "DANELAW_DNS_WORLD_TOOLS";
const PYTHON: &str = "/usr/bin/python3";
const PROGRAMS: [&str; 8] = [
    "unshare",
    "ip",
    "dig",
    "delv",
    "nsd",
    "unbound",
    "named",
    "ldns-signzone",
];

/// Two makes, with all they have in their answers and with as little as may be.
const RECURSORS: [(&str, &str); 4] = [
    ("unbound", "127.1.1.1:53"),
    ("BIND", "127.1.1.2:53"),
    ("unbound, minimal", "127.1.1.5:53"),
    ("BIND, minimal", "127.1.1.6:53"),
];

/// Long enough for a recursor to give up on dead servers, or not: both are no answer.
const TIMEOUT: Duration = Duration::from_secs(12);
