//! Postfix's `posttls-finger` and `danelaw check` on the same domains: those of the lab, as `danelaw demo --stay` serves them, with
//! an unbound that validates between Postfix and them, since Postfix does not validate itself.
//!
//! Both say what a domain demands (`dane`, `encrypt`, `nothing`) and what its MX host has shown (`verified`, `mismatch`,
//! `unauthenticated`, `clear`). Where they differ the reason stands in [`DISAGREEMENTS`] and in `docs/posttls-finger.md`.

use std::collections::BTreeMap;

use ::danelaw::lab::catalogue::{self, Scenario};
use serde_json::Value;

use super::sandbox::{HOME, Namespace, log_of, read, until, write};

#[test]
fn dane_8_posttls_finger_agrees_with_check_on_every_dane_domain_of_the_lab() {
    super::sandboxed(|| {
        let machine = Namespace::new("machine");
        let demo = env!("CARGO_BIN_EXE_danelaw");
        let _demo = machine.daemon("demo", demo, &["demo", "--stay"]);
        let lab = until("the lab", || Lab::of(&read(log_of("demo"))));
        let resolver = super::dns::RESOLVER;
        machine.sh(&format!("ip addr add {resolver}/32 dev lo"));
        let configuration = write("validating.conf", lab.unbound_conf());
        let configuration = configuration.to_string_lossy();
        let unbound = machine.daemon("unbound", "unbound", &["-d", "-c", &configuration]);
        let _unbound =
            unbound.await_ready("listens", || machine.listens(&format!("{resolver}:53")));
        let scenarios: Vec<Scenario> = catalogue::all().into_iter().filter(is_dane).collect();
        assert!(scenarios.len() >= 36, "{} domains only", scenarios.len());
        let ours = lab.check(&machine, &scenarios);
        let mut wrong = Vec::new();
        for scenario in &scenarios {
            let ours = &ours[&scenario.domain()];
            let (theirs, said) = lab.finger(&machine, &scenario.domain());
            let listed = DISAGREEMENTS
                .iter()
                .find(|one| one.scenario == scenario.name);
            let fits = listed.map_or(ours == &theirs, |one| {
                (one.ours, one.theirs) == (ours.as_str(), theirs.as_str())
            });
            if !fits {
                wrong.push(format!(
                    "{}: we say {ours}, it says {theirs}:\n{said}",
                    scenario.name
                ));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let known = |one: &Disagreement| scenarios.iter().any(|all| all.name == one.scenario);
        assert!(DISAGREEMENTS.iter().all(known), "a scenario that is none");
    });
}

/// What is about DANE, or about nothing but the DNS: MTA-STS is not what `posttls-finger` can do.
fn is_dane(scenario: &Scenario) -> bool {
    !scenario.publishes.tlsa.is_empty() || scenario.publishes.sts.is_none()
}

struct Disagreement {
    scenario: &'static str,
    ours: &'static str,
    theirs: &'static str,
}

/// The reasons are told in `docs/posttls-finger.md`.
const DISAGREEMENTS: &[Disagreement] = &[
    Disagreement {
        scenario: "dane-plaintext-injected",
        ours: "dane, tls-handshake",
        theirs: "dane, verified at mx.dane-plaintext-injected.test",
    },
    Disagreement {
        scenario: "half-dane-forged-mx",
        ours: "dane, sts-mx-mismatch",
        theirs: "dane, verified at mx.half-dane-forged-mx-host.test",
    },
];

/// How the lab can be reached.
struct Lab {
    /// As `danelaw check` takes them.
    options: String,
    resolver: String,
    anchor: String,
    port: String,
}

impl Lab {
    /// From the command that the demo prints, once all of it is there.
    fn of(said: &str) -> Option<Self> {
        said.contains("Ctrl-C ends it").then_some(())?;
        let (_, command) = said.split_once("danelaw check ")?;
        let (command, _) = command.split_once("\n\n")?;
        let command = command.replace('\\', " ");
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let after = |option: &str| {
            let at = words.iter().position(|word| *word == option)?;
            Some((*words.get(at + 1)?).to_owned())
        };
        Some(Self {
            options: words.join(" "),
            resolver: after("--resolver")?,
            anchor: after("--trust-anchor")?,
            port: after("--port")?,
        })
    }

    fn unbound_conf(&self) -> String {
        let (address, listener) = (self.resolver.replace(':', "@"), super::dns::RESOLVER);
        format!(
            "server:\n  username: \"\"\n  chroot: \"\"\n  directory: \"{HOME}\"\n  pidfile: \"\"\n  use-syslog: no\n  \
            logfile: \"\"\n  do-daemonize: no\n  num-threads: 1\n  do-ip6: no\n  interface: {listener}\n  \
            access-control: 0.0.0.0/0 allow\n  do-not-query-localhost: no\n  module-config: \"validator iterator\"\n  \
            trust-anchor-file: \"{}\"\n  local-zone: \"test.\" nodefault\nforward-zone:\n  name: \".\"\n  \
            forward-addr: {address}\nremote-control:\n  control-enable: no\n",
            self.anchor
        )
    }

    /// Our word on every domain.
    fn check(&self, machine: &Namespace, scenarios: &[Scenario]) -> BTreeMap<String, String> {
        let domains: Vec<String> = scenarios.iter().map(Scenario::domain).collect();
        let (danelaw, options) = (env!("CARGO_BIN_EXE_danelaw"), &self.options);
        let domains = domains.join(" ");
        let rows = machine.sh(&format!(
            "{danelaw} check --json {options} {domains} || true"
        ));
        let rows = rows
            .lines()
            .map(|row| serde_json::from_str(row).expect("JSON"));
        rows.map(|row: Value| (text(&row["domain"]), our_word(&row)))
            .collect()
    }

    /// Its word on one domain, and all that it has said. The port is the lab's, in the name of the TLSA records too.
    fn finger(&self, machine: &Namespace, domain: &str) -> (String, String) {
        let port = &self.port;
        let said = machine.sh(&format!(
            "posttls-finger -c -t 30 -T 30 -l dane -L summary,verbose '{domain}:{port}' 2>&1 || true"
        ));
        (their_word(&said), said)
    }
}

fn our_word(row: &Value) -> String {
    let destinations = row["destinations"].as_array().expect("a list");
    let [destination] = destinations.as_slice() else {
        return "unknown, no session".to_owned();
    };
    let demand = match destination["level"].as_str() {
        Some("L0" | "LS") => "nothing",
        Some("L1") => "encrypt",
        Some("LD" | "LD-half" | "LD-half+LS") => "dane",
        Some(other) => panic!("a level {other}"),
        None => return "unknown, no session".to_owned(),
    };
    let reason = text(&destination["reason"]);
    let shown = match (text(&destination["verdict"]).as_str(), reason.as_str()) {
        ("good", "dane-ee" | "dane-ta" | "dane+mta-sts") => "verified at ",
        ("good", "encrypted" | "opportunistic-tls") => "unauthenticated at ",
        ("refused", "dane-mismatch" | "dane-name" | "dane-expired") => "mismatch at ",
        ("good", "cleartext") | ("refused", "starttls-required") => {
            return format!("{demand}, clear");
        }
        _ => return format!("{demand}, {reason}"),
    };
    format!("{demand}, {shown}{}", text(&destination["host"]))
}

fn their_word(said: &str) -> String {
    let failures = ["lookup failed", "Failed to establish session"];
    if failures.iter().any(|failure| said.contains(failure)) {
        return "unknown, no session".to_owned();
    }
    let demand = if said.contains("DNSSEC-signed TLSA record: ") {
        "dane"
    } else if said.contains("unsupported TLSA ") {
        "encrypt"
    } else {
        "nothing"
    };
    let Some((before, after)) = said.split_once(" TLS connection established to ") else {
        return format!("{demand}, clear");
    };
    let host = after.split('[').next().unwrap_or_default();
    // Under an insecure MX what has matched is called trusted.
    let shown = match before.rsplit(' ').next() {
        Some("Verified" | "Trusted") => "verified",
        Some("Untrusted") if before.contains("server certificate verification failed") => {
            "mismatch"
        }
        Some("Untrusted") => "unauthenticated",
        other => panic!("{other:?} in {said}"),
    };
    format!("{demand}, {shown} at {host}")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
