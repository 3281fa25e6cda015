//! What is waived and what is not, and what is told of it.

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

fn rule(
    evidence: &Evidence,
    tried: &[&str],
    mode: Mode,
    freedom: Freedom,
    waived: Option<&Refusal>,
) -> Ruling {
    let roots = Roots::new(vec![]);
    Hearing {
        evidence,
        tried: &names(tried),
        roots: &roots,
        now: NOW,
        mode,
        freedom,
        waived,
        ticket: None,
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
            evidence: &shown,
            tried: &names(&["mx1.example.org"]),
            roots: &roots,
            now: NOW,
            mode: Mode::ReportOnly,
            freedom: Freedom::Free,
            waived: None,
            ticket: None,
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
            evidence,
            tried: &tried,
            roots: &roots,
            now: NOW,
            mode: Mode::Enforce,
            freedom: Freedom::Bound,
            waived: None,
            ticket: None,
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
        let hearing = Hearing {
            evidence,
            tried: &names(tried),
            roots: &roots,
            now: NOW,
            mode: Mode::Enforce,
            freedom,
            waived: None,
            ticket: None,
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
        let hearing = Hearing {
            evidence: &Evidence::Protected(Handshake::asserted(guess[0].clone(), chain)),
            tried: &guess,
            roots: &roots,
            now: T0,
            mode: Mode::Enforce,
            freedom: Freedom::Free,
            waived: None,
            ticket: None,
        };
        let ruling = hearing.rule(&Ok(tested("mx1.example.org")), None);
        let is_redial = matches!(ruling.verdict, Verdict::Redial(Redial::Observe(_)));
        assert_eq!(is_redial, is_asked_again, "{name}");
        if !is_asked_again {
            assert_eq!(pinned(&ruling).observed, None, "{name}");
        }
    }
}

/// A ticket for another demand, and a server that chokes on it.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn attack_tls_11_tls_11_what_a_ticket_is_not_enough_for_is_asked_for_in_full_before_it_is_refused_or_waived()
 {
    let roots = Roots::new(vec![]);
    let tried = names(&BOTH);
    let shown = || Handshake::asserted(None, vec![]);
    let (resumed, full) = (
        Evidence::Protected(shown().resumed()),
        Evidence::Protected(shown()),
    );
    let broken = Evidence::Broken("alert".into());
    let loose = What::None;
    let (enforce, report) = (Mode::Enforce, Mode::ReportOnly);
    let (free, bound) = (Freedom::Free, Freedom::Bound);
    let met = || Ok(demanded(None));
    let unknown = || {
        let recipient = "example.org".into();
        Err(Reason::Budget { recipient })
    };
    for (row, evidence, mode, freedom, demand, by, expected) in [
        (
            "refused",
            &resumed,
            enforce,
            free,
            met(),
            By::Ticket,
            "again",
        ),
        ("waived", &resumed, report, free, met(), By::Ticket, "again"),
        ("broken", &broken, enforce, free, met(), By::Ticket, "again"),
        (
            "broken, waived",
            &broken,
            report,
            free,
            met(),
            By::Ticket,
            "again",
        ),
        (
            "no policy, broken",
            &broken,
            report,
            free,
            unknown(),
            By::Ticket,
            "again",
        ),
        (
            "no policy, refused",
            &resumed,
            enforce,
            free,
            unknown(),
            By::Demand,
            "refuse",
        ),
        (
            "no policy, waived",
            &resumed,
            report,
            free,
            unknown(),
            By::Mode,
            "waive",
        ),
        (
            "bound",
            &resumed,
            enforce,
            bound,
            met(),
            By::Ticket,
            "again",
        ),
        (
            "bound, waived",
            &resumed,
            report,
            bound,
            met(),
            By::Mode,
            "pin",
        ),
        ("in full", &full, enforce, free, met(), By::Demand, "refuse"),
        (
            "in full, waived",
            &full,
            report,
            free,
            met(),
            By::Mode,
            "waive",
        ),
        (
            "nothing demanded",
            &resumed,
            enforce,
            free,
            Ok(demanded(Some(&loose))),
            By::Demand,
            "pin",
        ),
        (
            "nothing demanded, broken",
            &broken,
            enforce,
            free,
            Ok(demanded(Some(&loose))),
            By::Ticket,
            "again",
        ),
    ] {
        let hearing = Hearing {
            evidence,
            tried: &tried,
            roots: &roots,
            now: NOW,
            mode,
            freedom,
            waived: None,
            ticket: Some(Fingerprint::NOTHING),
        };
        let ruling = hearing.rule(&demand, None);
        let seen = match &ruling.verdict {
            Verdict::Redial(Redial::Sni(again)) if tried.last() == Some(&Some(again.clone())) => {
                "again"
            }
            Verdict::Redial(_) => "redial",
            Verdict::Pin(pin) if pin.would_refuse.is_some() => "waive",
            Verdict::Pin(_) => "pin",
            Verdict::Refuse(_) => "refuse",
        };
        assert_eq!((seen, ruling.by), (expected, by), "{row}");
        assert!(ruling.waived.is_none(), "{row}");
    }
}

/// Two hosts at one address: what the first showed earlier says nothing of what it shows now.
#[test]
fn attack_tls_11_a_ticket_that_clears_no_more_does_not_move_on_to_another_host() {
    let roots = Roots::new(vec![]);
    let shown = || Handshake::asserted(None, vec![]);
    let resumed = || Evidence::Protected(shown().resumed());
    let (guess, first, second) = ("guess.example", "mx1.example.org", "mx2.example.org");
    for (row, evidence, tried, (expected, by)) in [
        ("resumed", resumed(), &[first][..], (first, By::Ticket)),
        (
            "broken",
            Evidence::Broken("alert".into()),
            &[first],
            (first, By::Ticket),
        ),
        (
            "in full",
            Evidence::Protected(shown()),
            &[first],
            (second, By::Demand),
        ),
        ("a guess", resumed(), &[guess], (first, By::Demand)),
        (
            "after a guess",
            resumed(),
            &[guess, first],
            (first, By::Ticket),
        ),
    ] {
        for mode in [Mode::Enforce, Mode::ReportOnly] {
            let hearing = Hearing {
                evidence: &evidence,
                tried: &names(tried),
                roots: &roots,
                now: NOW,
                mode,
                freedom: Freedom::Free,
                waived: None,
                ticket: Some(Fingerprint::NOTHING),
            };
            let ruling = hearing.rule(&Ok(demanded(None)), None);
            let Verdict::Redial(Redial::Sni(name)) = &ruling.verdict else {
                panic!("{row}: {:?}", ruling.verdict);
            };
            assert_eq!((name.as_str(), ruling.by), (expected, by), "{row}");
        }
    }
}
