//! `danelaw dane rollover` against hosts and zones that answer: the lab.
#![expect(
    clippy::disallowed_types,
    reason = "a test connects to the hosts of the lab"
)]

use std::ffi::OsStr;
use std::process::{Command, Output};

use danelaw::lab::world::{Stage, World};
use danelaw::name::DnsName;
use danelaw::tls::client::Connector;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::chains::{Cert, server};
use crate::{Files, answer, dane};

fn ask(world: &World, scenario: &str, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["dane", "rollover", "--json", "--allow-private"])
        .arg(format!("{scenario}.test"))
        .arg(format!("--resolver={}", world.resolver))
        .arg("--trust-anchor")
        .arg(&world.trust_anchor)
        .arg("--ca-file")
        .arg(&world.ca_file)
        .arg(format!("--port={}", world.mx_port))
        .arg(format!("--policy-port={}", world.policy_port))
        .args(more)
        .output()
        .unwrap()
}

fn stage<'a>(world: &'a World, scenario: &str) -> &'a Stage {
    let mut stages = world.stages().iter();
    stages.find(|one| one.scenario.name == scenario).unwrap()
}

/// What the host of a scenario presents, as PEM.
async fn presented(stage: &Stage) -> String {
    let mut stream = TcpStream::connect(stage.destination).await.unwrap();
    for line in ["", "EHLO client.test\r\n", "STARTTLS\r\n"] {
        stream.write_all(line.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b"\r\n") || !last_line(&reply).starts_with("220 ") {
            if last_line(&reply).starts_with("250 ") && reply.ends_with(b"\r\n") {
                break;
            }
            reply.push(stream.read_u8().await.unwrap());
        }
    }
    let sni: DnsName = stage.scenario.host().parse().unwrap();
    let connector = Connector::new().unwrap();
    let (_, handshake) = connector.handshake(stream, Some(&sni)).await.unwrap();
    let sections = handshake
        .chain()
        .iter()
        .map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.to_vec())));
    sections.collect()
}

fn last_line(reply: &[u8]) -> &str {
    let text = std::str::from_utf8(reply).unwrap();
    text.trim_end().rsplit("\r\n").next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a table is as long as it has rows")]
async fn dane_08_each_domain_is_ready_or_not_for_a_reason() {
    let world = World::start().await.unwrap();
    for (scenario, exit, tlsa, present, next) in [
        (
            "dane-ee-rollover",
            0,
            "secure",
            "match",
            "not presented yet",
        ),
        ("dane-ee-match", 1, "secure", "match", "beside those in use"),
        (
            "dane-ta-match",
            0,
            "secure",
            "match",
            "next certificate with this name",
        ),
        (
            "dane-ee-mismatch",
            1,
            "secure",
            "mismatch",
            "not presented yet",
        ),
        (
            "dane-ta-expired",
            1,
            "secure",
            "mismatch",
            "beside those in use",
        ),
        (
            "dane-implicit-mx",
            1,
            "secure",
            "match",
            "beside those in use",
        ),
        (
            "dane-host-alias",
            1,
            "secure",
            "match",
            "beside those in use",
        ),
        (
            "dane-starttls-stripped",
            1,
            "secure",
            "mismatch",
            "it is the one in use",
        ),
        ("half-dane", 1, "secure", "match", "beside those in use"),
        ("tlsa-unusable-tls", 1, "unusable", "", ""),
        ("signed-without-tlsa", 1, "none", "", ""),
        ("no-policy-tls", 1, "none", "", ""),
        ("tlsa-bogus", 1, "unknown", "", ""),
        ("tlsa-servfail", 2, "unknown", "", ""),
        ("mx-servfail", 2, "", "", ""),
        ("mx-bogus", 1, "", "", ""),
        ("null-mx", 1, "", "", ""),
    ] {
        let (found, code) = answer(&ask(&world, scenario, &[]));
        let host = &found["hosts"][0];
        assert_eq!(code, exit, "{scenario}: {found:#}");
        assert_eq!(found["exit"], exit, "{scenario}");
        let outcome = ["ready", "not-ready", "unknown"][usize::try_from(exit).unwrap()];
        assert_eq!(found["outcome"], outcome, "{scenario}");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        assert_eq!(word(&host["tlsa"]), tlsa, "{scenario}: {found:#}");
        assert_eq!(
            word(&host["presented"][0]["result"]),
            present,
            "{scenario}: {found:#}"
        );
        let note = word(&host["next"]["note"]);
        assert!(note.contains(next), "{scenario}: {found:#}");
        let secure = tlsa == "secure";
        assert_eq!(host["ttl_left"].is_u64(), secure, "{scenario}: {found:#}");
        assert_eq!(found["wait"].is_u64(), secure, "{scenario}");
        let explained = !found["problem"].is_null() || !host["problem"].is_null();
        assert_eq!(
            explained,
            tlsa == "unknown" || tlsa.is_empty(),
            "{scenario}: {found:#}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_key_is_looked_for_in_the_records() {
    let world = World::start().await.unwrap();
    let files = Files::new();
    let stranger = Cert::self_signed(server(&["mx.dane-ee-match.test"]));
    let stranger_cert = files.put("stranger.pem", &stranger.pem);
    let stranger_key = files.put("stranger.pub.pem", stranger.key.public_key_pem());
    for (scenario, kind) in [("dane-ee-match", "3 1 1"), ("dane-ta-match", "2 0 1")] {
        let own = presented(stage(&world, scenario)).await;
        let own = files.put("own.pem", &own);
        for (option, path, exit, said) in [
            ("--cert", &own, 0, "the next certificate matches"),
            ("--cert", &stranger_cert, 1, "dane-mismatch"),
            ("--key", &stranger_key, 1, "no record is for the next key"),
        ] {
            let (found, code) = answer(&ask(&world, scenario, &[option, path.to_str().unwrap()]));
            let next = &found["hosts"][0]["next"];
            assert_eq!(code, exit, "{scenario} {option}: {found:#}");
            assert_eq!(next["published"], exit == 0, "{scenario} {option}");
            assert!(next["note"].as_str().unwrap().contains(said), "{next}");
            let record = next["record"].as_str();
            assert_eq!(record.is_some_and(|one| one.starts_with(kind)), exit == 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_alone_is_found_and_nobody_is_disturbed_without_connecting() {
    let world = World::start().await.unwrap();
    let files = Files::new();
    let own = presented(stage(&world, "dane-ee-match")).await;
    let der = pem::parse(&own).unwrap().into_contents();
    let spki = danelaw::x509::outline::Outline::parse(&der).unwrap().spki;
    let key = pem::encode(&pem::Pem::new("PUBLIC KEY", spki));
    let key = files.put("own.pub.pem", key);
    let connections = || {
        let sinks = world.stages().iter().flat_map(Stage::sinks);
        sinks.map(|sink| sink.connections().len()).sum::<usize>()
    };
    let before = connections();
    for (scenario, more, exit) in [
        ("dane-ee-match", &["--key", key.to_str().unwrap()][..], 0),
        ("dane-ee-rollover", &["--key", key.to_str().unwrap()], 1),
        ("dane-ee-rollover", &[], 0),
        ("dane-ee-match", &[], 1),
    ] {
        let more = [&["--no-connect"], more].concat();
        let (found, code) = answer(&ask(&world, scenario, &more));
        assert_eq!(code, exit, "{scenario} {more:?}: {found:#}");
        assert_eq!(found["hosts"][0]["presented"][0]["result"], "not-asked");
    }
    assert_eq!(connections(), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_says_what_to_do() {
    let world = World::start().await.unwrap();
    for (scenario, said) in [
        ("dane-ee-rollover", "=> ready; change the key once"),
        ("dane-ee-match", "=> not ready: publish what is missing"),
        ("signed-without-tlsa", "publish 3 1 1 records"),
        ("tlsa-servfail", "=> it could not be found out"),
    ] {
        let output = ask(&world, scenario, &[]);
        assert!(answer(&output).0.is_object());
        let arguments = ["dane", "rollover", &format!("{scenario}.test")].map(str::to_owned);
        let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
            .args(arguments)
            .arg(format!("--resolver={}", world.resolver))
            .arg("--trust-anchor")
            .arg(&world.trust_anchor)
            .arg("--ca-file")
            .arg(&world.ca_file)
            .arg(format!("--port={}", world.mx_port))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn what_cannot_be_asked_is_exit_code_2() {
    let files = Files::new();
    let empty = files.put("empty.pem", "");
    let empty = empty.to_str().unwrap();
    for (arguments, said) in [
        (&["a..b"][..], "empty label"),
        (
            &["example.com", "--cert", empty],
            "no `BEGIN CERTIFICATE` section",
        ),
        (
            &["example.com", "--key", empty],
            "no `BEGIN PUBLIC KEY` section",
        ),
        (
            &["example.com", "--config", "/nonexistent/danelaw.toml"],
            "/nonexistent/",
        ),
    ] {
        let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
        let mut all = vec![OsStr::new("--resolver=127.0.0.1:9")];
        all.extend(arguments);
        let output = dane("rollover", &all);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains(said) && error.lines().count() == 1,
            "{error}"
        );
    }
}
