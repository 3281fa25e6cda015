//! What a ticket is enough for.

use super::*;

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
            mode,
            freedom,
            ticket: Some(Fingerprint::NOTHING),
            ..plain(evidence, &tried, &roots)
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
            let tried = names(tried);
            let hearing = Hearing {
                mode,
                ticket: Some(Fingerprint::NOTHING),
                ..plain(&evidence, &tried, &roots)
            };
            let ruling = hearing.rule(&Ok(demanded(None)), None);
            let Verdict::Redial(Redial::Sni(name)) = &ruling.verdict else {
                panic!("{row}: {:?}", ruling.verdict);
            };
            assert_eq!((name.as_str(), ruling.by), (expected, by), "{row}");
        }
    }
}
