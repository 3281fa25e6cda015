//! What is waived and what is not, and what is told of it.

mod tickets;

use super::*;
use crate::mtasts::Policy;
use crate::policy::demand::demand;
use crate::policy::exceptions::What;
use crate::policy::{
    AddressFacts, Facts, HostFacts, Level, MxFacts, Settings, StsState, Terms, TlsaFacts,
};
use crate::smtp::NoTls;
use crate::tls::Handshake;
use crate::verdict::Pin;
use crate::x509::sample::{Sample, T0, ca, server};

const NOW: Timestamp = Timestamp::from_unix(1_790_000_000);

/// A domain of two MX hosts at one address that demands a key which nobody has.
fn demanded(exception: Option<&What>) -> Demand {
    let host = |name: &str| HostFacts {
        host: name.parse().unwrap(),
        addresses: AddressFacts::Known(vec!["192.0.2.25".parse().unwrap()]),
        tlsa: TlsaFacts::Usable {
            base: name.parse().unwrap(),
            records: crate::dane::tlsa::usable(&[[&[3, 1, 1][..], &[9; 32]].concat()]),
        },
    };
    let facts = Facts {
        domain: "example.org".parse().unwrap(),
        mx: MxFacts::Hosts {
            secure: true,
            expanded: None,
            hosts: vec![host("mx1.example.org"), host("mx2.example.org")],
        },
        sts: StsState::None,
    };
    let terms = Terms {
        settings: Settings::default(),
        exception,
    };
    demand(&facts, "192.0.2.25".parse().unwrap(), terms).unwrap()
}

fn names(texts: &[&str]) -> Vec<Option<DnsName>> {
    texts
        .iter()
        .map(|text| Some(text.parse().unwrap()))
        .collect()
}

/// Of what is enforced and free, without a past.
fn plain<'a>(
    evidence: &'a Evidence,
    tried: &'a [Option<DnsName>],
    roots: &'a Roots,
) -> Hearing<'a> {
    Hearing {
        evidence,
        tried,
        roots,
        now: NOW,
        mode: Mode::Enforce,
        freedom: Freedom::Free,
        waived: None,
        ticket: None,
    }
}

fn rule(
    evidence: &Evidence,
    tried: &[&str],
    mode: Mode,
    freedom: Freedom,
    waived: Option<&Refusal>,
) -> Ruling {
    let roots = Roots::new(vec![]);
    Hearing {
        mode,
        freedom,
        waived,
        ..plain(evidence, &names(tried), &roots)
    }
    .rule(&Ok(demanded(None)), None)
}

fn pinned(ruling: &Ruling) -> &Pin {
    match &ruling.verdict {
        Verdict::Pin(pin) => pin,
        other @ (Verdict::Redial(_) | Verdict::Refuse(_)) => panic!("{other:?}"),
    }
}

const BOTH: [&str; 3] = ["guess.example", "mx1.example.org", "mx2.example.org"];

#[test]
fn r3_after_the_last_handshake_has_failed_one_more_connection_delivers_in_clear_and_the_reason_stays()
 {
    let broken = Evidence::Broken("alert".into());
    let free = Freedom::Free;
    let enforced = rule(&broken, &BOTH, Mode::Enforce, free, None);
    assert!(matches!(enforced.verdict, Verdict::Refuse(_)));
    let first = rule(&broken, &BOTH, Mode::ReportOnly, free, None);
    assert!(matches!(first.verdict, Verdict::Redial(Redial::Cleartext)));
    let waived = first.waived.unwrap();
    assert_eq!(waived.reason.label(), "tls-handshake");
    let clear = Evidence::Clear(NoTls::HandshakeFailed("alert".into()));
    let second = rule(&clear, &BOTH, Mode::ReportOnly, free, Some(&waived));
    let pin = pinned(&second);
    assert_eq!(
        (pin.level, pin.basis.label()),
        (Level::Opportunistic, "cleartext")
    );
    assert_eq!(pin.would_refuse.as_ref().unwrap().reason, waived.reason);
}

#[test]
fn r3_everything_is_found_out_before_a_refusal_is_waived() {
    let shown = Evidence::Protected(Handshake::asserted(None, vec![]));
    let tried = &BOTH[..1];
    for mode in [Mode::Enforce, Mode::ReportOnly] {
        let ruling = rule(&shown, tried, mode, Freedom::Free, None);
        assert!(matches!(ruling.verdict, Verdict::Redial(Redial::Sni(_))));
    }
    let ruling = rule(&shown, &BOTH, Mode::ReportOnly, Freedom::Free, None);
    let pin = pinned(&ruling);
    assert_eq!(pin.basis.label(), "opportunistic-tls");
    assert_eq!(
        pin.would_refuse.as_ref().unwrap().reason.label(),
        "dane-mismatch"
    );
    assert_eq!(pin.host.as_ref().unwrap().as_str(), "mx2.example.org");
}

#[test]
fn r3_a_session_that_holds_recipients_delivers_on_what_it_has() {
    let shown = Evidence::Protected(Handshake::asserted(None, vec![]));
    let tried = &BOTH[..1];
    let bound = Freedom::Bound;
    let enforced = rule(&shown, tried, Mode::Enforce, bound, None);
    assert!(matches!(enforced.verdict, Verdict::Redial(_)));
    let reported = rule(&shown, tried, Mode::ReportOnly, bound, None);
    let pin = pinned(&reported);
    assert_eq!(pin.level, Level::Opportunistic);
    assert!(pin.would_refuse.is_none());
}

#[test]
fn r3_what_is_no_matter_of_policy_is_refused_in_every_mode() {
    let shown = Evidence::Protected(Handshake::asserted(None, vec![]));
    let domain = || "example.org".parse().unwrap();
    let tried = names(&["mx1.example.org"]);
    let roots = Roots::new(vec![]);
    for (reason, is_waived) in [
        (Reason::NullMx { domain: domain() }, false),
        (Reason::Unreachable { what: "x".into() }, false),
        (
            Reason::OneDomain {
                recipient: "example.org".into(),
            },
            false,
        ),
        (Reason::ForgedNullMx { domain: domain() }, true),
        (Reason::NoSuchDomain { domain: domain() }, true),
        (
            Reason::Budget {
                recipient: "example.org".into(),
            },
            true,
        ),
        (
            Reason::NoPolicyDomain {
                recipient: "postmaster".into(),
            },
            true,
        ),
    ] {
        let hearing = Hearing {
            mode: Mode::ReportOnly,
            ..plain(&shown, &tried, &roots)
        };
        let label = reason.label();
        let ruling = hearing.rule(&Err(reason), None);
        let is_pinned = matches!(ruling.verdict, Verdict::Pin(_));
        assert_eq!(is_pinned, is_waived, "{label}");
    }
}

#[test]
fn r2_r3_a_loosened_domain_never_loosens_another_on_the_same_connection() {
    let roots = Roots::new(vec![]);
    let hear = |evidence: &Evidence, exception: Option<&What>| {
        let tried = names(&BOTH);
        let hearing = Hearing {
            freedom: Freedom::Bound,
            ..plain(evidence, &tried, &roots)
        };
        match hearing.rule(&Ok(demanded(exception)), None).verdict {
            Verdict::Pin(pin) => pin.basis.label(),
            Verdict::Refuse(refusal) => refusal.reason.label(),
            Verdict::Redial(_) => "redial",
        }
    };
    let clear = Evidence::Clear(NoTls::NotOffered);
    let shown = Evidence::Protected(Handshake::asserted(None, vec![]));
    for (evidence, exception, expected) in [
        (&clear, Some(What::None), "cleartext"),
        (&clear, None, "starttls-required"),
        (&clear, Some(What::Encrypt), "starttls-required"),
        (&shown, Some(What::Encrypt), "encrypted"),
        (&shown, None, "dane-mismatch"),
    ] {
        assert_eq!(
            hear(evidence, exception.as_ref()),
            expected,
            "{exception:?}"
        );
    }
}

/// A host of a domain whose policy is in testing mode.
fn tested(pattern: &str) -> Demand {
    let policy = format!("version: STSv1\nmode: testing\nmx: {pattern}\nmax_age: 86400\n");
    let facts = Facts {
        domain: "example.org".parse().unwrap(),
        mx: MxFacts::Hosts {
            secure: false,
            expanded: None,
            hosts: vec![HostFacts {
                host: "mx1.example.org".parse().unwrap(),
                addresses: AddressFacts::Known(vec!["192.0.2.25".parse().unwrap()]),
                tlsa: TlsaFacts::NotApplicable,
            }],
        },
        sts: StsState::Live {
            policy: Policy::parse(policy.as_bytes()).unwrap().into(),
            refresh: None,
        },
    };
    demand(&facts, "192.0.2.25".parse().unwrap(), Settings::default()).unwrap()
}

#[test]
fn sts_62_a_host_under_testing_is_asked_for_by_its_name_once_before_it_is_told_of() {
    let shown = Evidence::Protected(Handshake::asserted(None, vec![]));
    let clear = Evidence::Clear(NoTls::NotOffered);
    let (free, bound) = (Freedom::Free, Freedom::Bound);
    let (guess, right) = ("guess.example", "mx1.example.org");
    for (what, pattern, evidence, tried, freedom, redials) in [
        ("a guess", right, &shown, &[guess][..], free, true),
        ("its name", right, &shown, &[right][..], free, false),
        ("both", right, &shown, &[guess, right][..], free, false),
        (
            "two guesses",
            right,
            &shown,
            &[guess, "b.example"][..],
            free,
            false,
        ),
        (
            "the MX holds others",
            right,
            &shown,
            &[guess][..],
            bound,
            false,
        ),
        ("no TLS", right, &clear, &[guess][..], free, false),
        (
            "not listed",
            "mx9.example.org",
            &shown,
            &[guess][..],
            free,
            false,
        ),
    ] {
        let roots = Roots::new(vec![]);
        let tried = names(tried);
        let hearing = Hearing {
            freedom,
            ..plain(evidence, &tried, &roots)
        };
        let ruling = hearing.rule(&Ok(tested(pattern)), None);
        match ruling.verdict {
            Verdict::Redial(Redial::Observe(name)) => {
                assert!(redials, "{what}");
                assert_eq!(name.as_str(), right);
            }
            Verdict::Pin(pin) => {
                assert!(!redials, "{what}");
                assert!(pin.observed.is_some(), "{what}");
            }
            other @ (Verdict::Redial(_) | Verdict::Refuse(_)) => panic!("{what}: {other:?}"),
        }
    }
}

/// The connection that is there is not given up for what would be told anyway.
#[test]
fn sts_62_a_host_that_shows_a_good_certificate_to_another_name_is_not_asked_again() {
    let root = Sample::self_signed(ca("Root"));
    let anchor = webpki::anchor_from_trusted_cert(&root.der)
        .unwrap()
        .to_owned();
    let roots = Roots::new(vec![anchor]);
    for (name, is_asked_again) in [("mx1.example.org", false), ("other.example", true)] {
        let chain = vec![root.issue(server(&[name])).der];
        let guess = names(&["guess.example"]);
        let shown = Evidence::Protected(Handshake::asserted(guess[0].clone(), chain));
        let hearing = Hearing {
            now: T0,
            ..plain(&shown, &guess, &roots)
        };
        let ruling = hearing.rule(&Ok(tested("mx1.example.org")), None);
        let is_redial = matches!(ruling.verdict, Verdict::Redial(Redial::Observe(_)));
        assert_eq!(is_redial, is_asked_again, "{name}");
        if !is_asked_again {
            assert_eq!(pinned(&ruling).observed, None, "{name}");
        }
    }
}
