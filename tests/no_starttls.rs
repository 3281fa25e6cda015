//! What an MX, or somebody on the path to it, can do to STARTTLS, and what becomes of mail to it.
//!
//! The cases are those of the fake server that came with the paper "Why TLS Is Better Without STARTTLS" (2021): greeting,
//! EHLO, STARTTLS, buffering, negotiation and certificates, each as a script of ours. Every row is put to the real binary
//! three times, for a domain with DANE, one with an MTA-STS policy in force, and one that demands nothing. No row may lose
//! mail for good: nothing that is said before TLS is worth a 5yz.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs and fails by panicking"
)]

mod service;

use danelaw::lab::catalogue::{
    Association, Certificate, Destination, Expected, Issuer, Lists, Names, Presents, Publishes,
    Route, Scenario, Served, Signing, Starttls, Sts, StsMode, Subject, TlsaRecord, Validity,
};
use danelaw::lab::sender::{self, Letter};
use danelaw::lab::sink::{Script, Then};
use danelaw::lab::world::{Stage, World};
use danelaw::policy::Level;
use danelaw::verdict::Basis;
use service::Service;

/// A case: what the MX does, and what becomes of mail for each domain.
struct Row {
    /// A DNS label.
    name: &'static str,
    script: Script,
    certificate: Certificate,
    tlsa: Subject,
    expected: Outcomes,
}

/// `tls` or `clear` where it is delivered; else where it is refused, and how.
#[derive(Clone, Copy)]
struct Outcomes {
    dane: &'static str,
    sts: &'static str,
    none: &'static str,
}

const TLS: Outcomes = Outcomes {
    dane: "tls",
    sts: "tls",
    none: "tls",
};

/// There is no TLS to be had, and none is tried.
const WITHOUT: Outcomes = Outcomes {
    dane: "RCPT 451 4.7.4 starttls-required",
    sts: "RCPT 451 4.7.4 starttls-required",
    none: "clear",
};

/// TLS does not come up: where nothing is demanded, a new connection goes without.
const BROKEN: Outcomes = Outcomes {
    dane: "RCPT 451 4.7.5 tls-handshake",
    sts: "RCPT 451 4.7.5 tls-handshake",
    none: "clear",
};

/// The certificate proves nothing to MTA-STS; DANE-EE goes by the key alone (RFC 7672 §3.1.1).
const UNPROVEN: Outcomes = Outcomes {
    sts: "RCPT 451 4.7.5 sts-cert",
    ..TLS
};

const SENT_AWAY: Outcomes = everywhere("greeting 421 4.4.1 unreachable");
const NO_GREETING: Outcomes = everywhere("greeting 421 4.4.2 server-lost");
const NO_EHLO: Outcomes = everywhere("EHLO 421 4.4.2 server-lost");
const NO_HELLO: Outcomes = everywhere("EHLO 421 4.4.1 unreachable");

const fn everywhere(outcome: &'static str) -> Outcomes {
    Outcomes {
        dane: outcome,
        sts: outcome,
        none: outcome,
    }
}

const SOUND: Script = Script::SOUND;

const GOOD: Certificate = Certificate {
    issuer: Issuer::Public,
    names: Names::Host,
    validity: Validity::Current,
};

const fn row(name: &'static str, script: Script, expected: Outcomes) -> Row {
    Row {
        name,
        script,
        certificate: GOOD,
        tlsa: Subject::Presented,
        expected,
    }
}

const fn greeting(name: &'static str, greeting: &'static str, expected: Outcomes) -> Row {
    row(name, Script { greeting, ..SOUND }, expected)
}

const fn ehlo(name: &'static str, ehlo: &'static str, expected: Outcomes) -> Row {
    row(name, Script { ehlo, ..SOUND }, expected)
}

const fn starttls(
    name: &'static str,
    starttls: &'static str,
    then: Then,
    expected: Outcomes,
) -> Row {
    let script = Script {
        starttls,
        then,
        ..SOUND
    };
    row(name, script, expected)
}

const fn inside(name: &'static str, inside: &'static str, expected: Outcomes) -> Row {
    row(name, Script { inside, ..SOUND }, expected)
}

/// STARTTLS is refused, and the MX goes on in clear.
const fn refused(name: &'static str, reply: &'static str) -> Row {
    starttls(name, reply, Then::GoOn, WITHOUT)
}

const fn unproven(name: &'static str, certificate: Certificate) -> Row {
    Row {
        certificate,
        ..row(name, SOUND, UNPROVEN)
    }
}

const SANITY: [Row; 1] = [row("sound", SOUND, TLS)];

const GREETING: [Row; 11] = [
    greeting("greeting-of-two-lines", "220-mx\r\n220 mx.example\r\n", TLS),
    greeting("greeting-without-text", "220\r\n", TLS),
    greeting("greeting-421", "421 4.3.2 busy\r\n", SENT_AWAY),
    greeting("tls-17-greeting-554", "554 5.3.2 no\r\n", SENT_AWAY),
    greeting("greeting-250", "250 mx.example\r\n", SENT_AWAY),
    greeting("greeting-of-bare-lf", "220 mx.example\n", NO_GREETING),
    greeting(
        "greeting-of-mixed-codes",
        "220-mx\r\n250 mx\r\n",
        NO_GREETING,
    ),
    greeting(
        "tls-06-greeting-and-ehlo",
        "220 mx\r\n250 STARTTLS\r\n",
        NO_GREETING,
    ),
    greeting(
        "tls-15-http",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        NO_GREETING,
    ),
    greeting(
        "tls-15-imap",
        "* OK [CAPABILITY STARTTLS] hi\r\n",
        NO_GREETING,
    ),
    greeting("tls-15-pop3", "+OK hi\r\n", NO_GREETING),
];

const EHLO: [Row; 12] = [
    ehlo("ehlo-lower-case", "250-mx\r\n250 starttls\r\n", TLS),
    ehlo(
        "ehlo-with-an-argument",
        "250-mx\r\n250 STARTTLS now\r\n",
        TLS,
    ),
    ehlo("tls-01-stripped", "250-mx\r\n250 PIPELINING\r\n", WITHOUT),
    ehlo("tls-01-one-line", "250 mx\r\n", WITHOUT),
    ehlo(
        "tls-01-in-the-greeting-line",
        "250-STARTTLS\r\n250 DSN\r\n",
        WITHOUT,
    ),
    ehlo(
        "tls-02-masked",
        "250-mx\r\n250-XXXXXXXX\r\n250 DSN\r\n",
        WITHOUT,
    ),
    ehlo(
        "tls-02-part-of-a-word",
        "250-mx\r\n250 STARTTLSX\r\n",
        WITHOUT,
    ),
    ehlo("tls-02-d-1-helo-only", "500 5.5.1 what?\r\n", WITHOUT),
    ehlo("tls-17-ehlo-550-helo-250", "550 5.7.1 blocked\r\n", WITHOUT),
    ehlo("ehlo-of-mixed-codes", "250-mx\r\n550 STARTTLS\r\n", NO_EHLO),
    ehlo(
        "tls-06-early-220",
        "250-mx\r\n250 STARTTLS\r\n220 go\r\n",
        NO_EHLO,
    ),
    row(
        "tls-17-neither-ehlo-nor-helo",
        Script {
            ehlo: "550 5.7.1 blocked\r\n",
            helo: "550 5.7.1 blocked\r\n",
            ..SOUND
        },
        NO_HELLO,
    ),
];

const STARTTLS: [Row; 16] = [
    starttls(
        "starttls-220-of-two-lines",
        "220-go\r\n220 on\r\n",
        Then::Handshake,
        TLS,
    ),
    refused("tls-03-o-1-454", "454 4.7.0 not now\r\n"),
    refused("tls-03-o-2-500", "500 5.5.1 what?\r\n"),
    refused("tls-03-o-3-501", "501 5.5.4 no\r\n"),
    refused("tls-03-o-4-502", "502 5.5.1 no\r\n"),
    refused("tls-03-530", "530 5.7.0 no\r\n"),
    refused("tls-17-554", "554 5.7.1 no\r\n"),
    starttls(
        "tls-03-250-and-a-handshake",
        "250 go\r\n",
        Then::Handshake,
        BROKEN_BY_250,
    ),
    refused("tls-03-250", "250 go\r\n"),
    refused("tls-03-354", "354 go\r\n"),
    starttls("tls-03-garbage", "go ahead\r\n", Then::GoOn, BROKEN),
    starttls("tls-03-220-of-bare-lf", "220 go\n", Then::GoOn, BROKEN),
    starttls("tls-09-no-answer-but-a-close", "", Then::Close, BROKEN),
    starttls("tls-09-close-after-220", "220 go\r\n", Then::Close, BROKEN),
    starttls(
        "tls-04-plaintext-after-220",
        "220 go\r\n",
        Then::GoOn,
        BROKEN,
    ),
    starttls(
        "tls-05-b-1-reply-behind-220",
        "220 go\r\n250-EVIL\r\n250 SIZE 1\r\n",
        Then::Handshake,
        BROKEN,
    ),
];

/// Commands in clear go to a peer that waits for a handshake: it hangs up on them.
const BROKEN_BY_250: Outcomes = Outcomes {
    none: "RCPT 451 4.4.2 server-lost",
    ..WITHOUT
};

const INSIDE: [Row; 5] = [
    inside("tls-08-starttls-again", "250-mx\r\n250 STARTTLS\r\n", TLS),
    inside(
        "tls-07-auth-xclient-requiretls",
        "250-mx\r\n250-AUTH PLAIN\r\n250-XCLIENT NAME\r\n250 REQUIRETLS\r\n",
        TLS,
    ),
    inside("ehlo-500-inside", "500 5.5.1 what?\r\n", TLS),
    inside("tls-06-two-replies-inside", "250 mx\r\n250 ok\r\n", BROKEN),
    inside("tls-15-http-inside", "HTTP/1.1 200 OK\r\n", BROKEN),
];

const CERTIFICATES: [Row; 6] = [
    unproven(
        "certificate-self-signed",
        Certificate {
            issuer: Issuer::SelfSigned,
            ..GOOD
        },
    ),
    unproven(
        "certificate-of-an-unknown-ca",
        Certificate {
            issuer: Issuer::Private,
            ..GOOD
        },
    ),
    unproven(
        "certificate-for-somebody-else",
        Certificate {
            names: Names::Other,
            ..GOOD
        },
    ),
    unproven(
        "certificate-for-the-domain-alone",
        Certificate {
            names: Names::Domain,
            ..GOOD
        },
    ),
    unproven(
        "certificate-out-of-date",
        Certificate {
            validity: Validity::Expired,
            ..GOOD
        },
    ),
    Row {
        tlsa: Subject::Another,
        ..row(
            "certificate-with-another-key",
            SOUND,
            Outcomes {
                dane: "RCPT 451 4.7.5 dane-mismatch",
                ..TLS
            },
        )
    },
];

/// What a domain demands.
#[derive(Clone, Copy, Debug)]
enum Policy {
    Dane,
    Sts,
    None,
}

impl Row {
    /// The case as a domain of the lab.
    fn scenario(&self, policy: Policy) -> Scenario {
        let name = format!("{}-{policy:?}", self.name).to_ascii_lowercase();
        let association = Association {
            usage: 3,
            selector: 1,
            matching: 1,
        };
        let record = TlsaRecord {
            association,
            of: self.tlsa,
        };
        let enforce = Sts {
            mode: StsMode::Enforce,
            lists: Lists::Host,
            served: Served::Well,
        };
        let (zone, tlsa, sts) = match policy {
            Policy::Dane => (Signing::Signed, vec![record], None),
            Policy::Sts => (Signing::Unsigned, vec![], Some(enforce)),
            Policy::None => (Signing::Unsigned, vec![], None),
        };
        Scenario {
            // The lab's catalogue lives as long as the program.
            name: name.leak(),
            sentence: "A row of this test.",
            rfc: "RFC 3207 §6",
            publishes: Publishes {
                zone,
                route: Route::OwnHost,
                alias: None,
                tlsa: tlsa.leak(),
                sts,
                faults: &[],
            },
            presents: Presents {
                destination: Destination::MxHost,
                starttls: Starttls::Scripted(Box::leak(Box::new(self.script))),
                certificate: self.certificate,
                rcpt: "250 2.1.5 ok",
            },
            // What the demo would ask for; the rows say it themselves.
            expected: Expected::Pin {
                level: Level::Opportunistic,
                basis: Basis::OpportunisticTls,
                observed: None,
            },
        }
    }
}

/// Puts every row to the proxy, for each kind of domain.
async fn hold(rows: &[Row]) {
    let cases: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            [
                (row, Policy::Dane, row.expected.dane),
                (row, Policy::Sts, row.expected.sts),
                (row, Policy::None, row.expected.none),
            ]
        })
        .collect();
    let scenarios = cases.iter().map(|(row, policy, _)| row.scenario(*policy));
    let world = World::of(scenarios.collect()).await.unwrap();
    let service = Service::start(&configuration(&world));
    let mut wrong = Vec::new();
    for (stage, (_, _, expected)) in world.stages().iter().zip(&cases) {
        let outcome = deliver(&service, stage).await;
        if !outcome.starts_with(expected) {
            let name = stage.scenario.name;
            wrong.push(format!("{name}: expected {expected}, got {outcome}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn configuration(world: &World) -> String {
    let World {
        resolver,
        trust_anchor,
        ca_file,
        policy_port,
        ..
    } = world;
    format!(
        "[dns]\nresolvers = [\"{resolver}\"]\ntrust_anchor = \"{}\"\n[tls]\nca_file = \"{}\"\n\
         [mta_sts]\nport = {policy_port}\nallow_private = true\n",
        trust_anchor.display(),
        ca_file.display()
    )
}

/// Sends one message, and tells what became of it; checks what holds for every row.
async fn deliver(service: &Service, stage: &Stage) -> String {
    let letter = Letter {
        recipient: &stage.recipient,
        destination: stage.destination,
        message: b"Subject: x\r\n\r\nx\r\n",
    };
    let heard = sender::send(service.address, &letter).await.unwrap();
    let name = stage.scenario.name;
    let is_final = |reply: &String| reply.starts_with('5');
    assert!(!heard.replies.iter().any(is_final), "{name}: {heard:?}");
    let connections: Vec<_> = stage
        .sinks()
        .iter()
        .flat_map(|sink| sink.connections())
        .collect();
    let deliveries: Vec<_> = connections.iter().flat_map(|one| &one.deliveries).collect();
    if let ([delivery], true) = (&deliveries[..], heard.decisive.starts_with("250 ")) {
        assert_eq!(delivery.message, letter.message, "{name}");
        return if delivery.protected { "tls" } else { "clear" }.into();
    }
    assert!(deliveries.is_empty(), "{name}: {heard:?}");
    let step = heard.replies.iter().position(|one| *one == heard.decisive);
    let step = ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "message"][step.unwrap()];
    let sent: usize = connections.iter().map(|one| one.mail_commands).sum();
    assert_eq!(sent, 0, "{name}: an MX that gets no mail hears of none");
    format!("{step} {}", heard.decisive)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_mx_with_nothing_wrong_gets_everybodys_mail() {
    hold(&SANITY).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_06_attack_tls_15_attack_tls_17_greetings() {
    hold(&GREETING).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_01_tls_02_tls_06_attack_tls_17_replies_to_ehlo() {
    hold(&EHLO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_03_tls_04_tls_05_tls_09_attack_tls_17_replies_to_starttls() {
    hold(&STARTTLS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_06_tls_07_tls_08_replies_inside_tls() {
    hold(&INSIDE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attack_tls_16_certificates() {
    hold(&CERTIFICATES).await;
}
