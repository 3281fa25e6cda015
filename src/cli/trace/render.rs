//! A trace as a story: what was asked, what was answered, what followed, what to do. Text that others chose cannot give
//! the terminal orders.

use std::io::{self, Write};

use crate::calendar::written;
use crate::cli::printable;
use crate::report::trace::answer::{DnsAnswer, State};
use crate::report::trace::{
    Attempt, Certificate, Channel, Decided, Demanded, Listing, Outcome, Sts, Trace, Wanted,
};

/// The whole story.
pub(super) fn story(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    let decision = &trace.decision;
    head(out, trace)?;
    if !decision.dns.is_empty() {
        writeln!(out, "\nDNS said")?;
        for one in &decision.dns {
            answer(out, one)?;
        }
    }
    if let Some(known) = &decision.mta_sts {
        writeln!(out, "\nMTA-STS")?;
        sts(out, known)?;
    }
    if let Some(demanded) = &decision.demand {
        demand(out, demanded)?;
    }
    for (index, one) in decision.attempts.iter().enumerate() {
        attempt(out, index + 1, one)?;
    }
    end(out, &decision.outcome)?;
    for what in &decision.left_out {
        writeln!(
            out,
            "\nLeft out, since it was too large: {}",
            printable(what)
        )?;
    }
    Ok(())
}

fn head(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    let Decided {
        decided,
        took_ms,
        domain,
        route,
        destination,
        outcome,
        ..
    } = &trace.decision;
    let number = match trace.number {
        0 | 1 => String::new(),
        number => format!(" (decision {number} of the session)"),
    };
    let host = if *route { " (a route)" } else { "" };
    writeln!(
        out,
        "{}  {}{number}",
        printable(&trace.id),
        written(*decided)
    )?;
    writeln!(
        out,
        "{} wanted {destination} ({}) for {}{host}: {} {}, {} ms after the recipient was named",
        trace.client,
        printable(&trace.via),
        printable(domain),
        printable(&outcome.verdict),
        printable(&outcome.rule),
        took_ms,
    )
}

fn answer(out: &mut impl Write, answer: &DnsAnswer) -> io::Result<()> {
    let kept = match (answer.cached, answer.ttl) {
        (true, Some(ttl)) => format!(" (known before, {ttl} s left)"),
        (true, None) => " (known before)".to_owned(),
        (false, Some(ttl)) => format!(" ({ttl} s)"),
        (false, None) => String::new(),
    };
    writeln!(
        out,
        "  {} {}: {}{kept}",
        printable(&answer.name),
        printable(&answer.record_type),
        state(answer.state)
    )?;
    for alias in &answer.aliases {
        let trust = if alias.secure { "secure" } else { "insecure" };
        let (from, to) = (printable(&alias.from), printable(&alias.to));
        writeln!(out, "    {from} is an alias of {to} ({trust})")?;
    }
    for record in &answer.records {
        writeln!(out, "    {}", printable(record))?;
    }
    if let Some(failure) = &answer.failure {
        writeln!(out, "    {}", printable(failure))?;
    }
    Ok(())
}

const fn state(state: State) -> &'static str {
    match state {
        State::Secure => "secure",
        State::Insecure => "insecure (a zone on the way is not signed)",
        State::NodataSecure => "no such records, proven",
        State::NodataInsecure => "no such records, in an unsigned zone",
        State::NxdomainSecure => "no such name, proven",
        State::NxdomainInsecure => "no such name, in an unsigned zone",
        State::Bogus => "bogus: nothing may be concluded",
        State::Unreachable => "no answer: nothing may be concluded",
    }
}

fn sts(out: &mut impl Write, known: &Sts) -> io::Result<()> {
    let when = if known.cached { " (known before)" } else { "" };
    let state = match known.state.as_str() {
        "none" => "no policy is announced and none is held".to_owned(),
        "fetch-failed" => {
            "a policy is announced, but could not be had, and none is held".to_owned()
        }
        "unknown" => "whether a policy is announced cannot be known, and none is held".to_owned(),
        "live" => match (&known.id, &known.fetched) {
            (Some(id), Some(fetched)) => {
                format!("the policy with id {}, fetched {fetched}", printable(id))
            }
            (_, _) => "a policy is in force".to_owned(),
        },
        other => printable(other),
    };
    writeln!(out, "  {state}{when}")?;
    if let Some(record) = &known.record {
        writeln!(out, "  the TXT record: {}", printable(record))?;
    }
    if let Some(failure) = &known.failure {
        writeln!(
            out,
            "  {}: {}",
            printable(&failure.kind),
            printable(&failure.detail)
        )?;
    }
    for line in known.text.iter().flat_map(|text| text.lines()) {
        writeln!(out, "    {}", printable(line))?;
    }
    Ok(())
}

fn demand(out: &mut impl Write, demanded: &Demanded) -> io::Result<()> {
    if demanded.candidates.is_empty() {
        return writeln!(out, "\nNothing was demanded");
    }
    if demanded.located {
        writeln!(out, "\nThe destination is, by its address, and has to show")?;
    } else {
        writeln!(
            out,
            "\nThe destination has no address of any of these hosts; it has to prove to be one of them"
        )?;
    }
    demanded
        .candidates
        .iter()
        .try_for_each(|one| wanted(out, one))
}

fn wanted(out: &mut impl Write, wanted: &Wanted) -> io::Result<()> {
    let (host, sni) = (printable(&wanted.host), printable(&wanted.sni));
    writeln!(
        out,
        "  {host}: {}, asked for as {sni}",
        printable(&wanted.level)
    )?;
    if let Some(since) = &wanted.known_for_tls {
        writeln!(out, "    known for TLS since {}", printable(since))?;
    }
    for record in &wanted.tlsa {
        writeln!(out, "    TLSA {}", printable(record))?;
    }
    if !wanted.names.is_empty() {
        writeln!(out, "    as one of {}", printable(&wanted.names.join(", ")))?;
    }
    if let Some(listing) = &wanted.mta_sts {
        writeln!(out, "    MTA-STS must hold; the policy {}", listed(listing))?;
    }
    if let Some(listing) = &wanted.observed {
        writeln!(
            out,
            "    MTA-STS is only observed; the policy {}",
            listed(listing)
        )?;
    }
    Ok(())
}

fn listed(listing: &Listing) -> String {
    let verb = if listing.listed {
        "lists the host"
    } else {
        "does not list the host"
    };
    format!("{verb}: {}", printable(&listing.patterns.join(", ")))
}

fn attempt(out: &mut impl Write, number: usize, attempt: &Attempt) -> io::Result<()> {
    let asked = match &attempt.showing.sni {
        Some(sni) => format!("asked for {}", printable(sni)),
        None => "asked for no name".to_owned(),
    };
    writeln!(out, "\nConnection {number}, {asked}")?;
    match &attempt.showing.channel {
        Channel::Tls(tls) => {
            let (version, suite) = (printable(&tls.version), printable(&tls.suite));
            let when = if tls.resumed {
                "presented in an earlier handshake, which this one resumes"
            } else {
                "presented"
            };
            writeln!(out, "  {version} {suite}, and {when}")?;
            for one in &tls.chain {
                certificate(out, one)?;
            }
        }
        Channel::NoStarttls => writeln!(out, "  STARTTLS is not offered")?,
        Channel::StarttlsRefused(code) => writeln!(out, "  STARTTLS is answered with {code}")?,
        Channel::ClearAfter(what) => {
            writeln!(
                out,
                "  without TLS, since the handshake had failed: {}",
                printable(what)
            )?;
        }
        Channel::Broken(what) => writeln!(out, "  the handshake failed: {}", printable(what))?,
    }
    let (verdict, rule) = (
        printable(&attempt.finding.verdict),
        printable(&attempt.finding.rule),
    );
    writeln!(out, "  => {verdict}: {rule}")
}

fn certificate(out: &mut impl Write, one: &Certificate) -> io::Result<()> {
    let or_unreadable = |text: &Option<String>| {
        text.as_deref()
            .map_or_else(|| "(cannot be read)".to_owned(), printable)
    };
    writeln!(
        out,
        "    {} by {}, until {}",
        or_unreadable(&one.subject),
        or_unreadable(&one.issuer),
        or_unreadable(&one.not_after)
    )?;
    if !one.names.is_empty() {
        writeln!(out, "      for {}", printable(&one.names.join(", ")))?;
    }
    writeln!(out, "      key sha256 {}", or_unreadable(&one.spki_sha256))
}

fn end(out: &mut impl Write, outcome: &Outcome) -> io::Result<()> {
    let level = outcome.level.as_deref().unwrap_or("unknown");
    let host = outcome.host.as_deref().unwrap_or("no host that is known");
    writeln!(
        out,
        "\n{}: {} (demanded: {}; taken for {})",
        printable(&outcome.verdict),
        printable(&outcome.rule),
        printable(level),
        printable(host)
    )?;
    if let Some(label) = &outcome.would_refuse {
        let label = printable(label);
        writeln!(
            out,
            "  delivered all the same, since its mode is to report: it would be refused for {label}"
        )?;
    }
    if let Some(observed) = &outcome.observed {
        let observed = printable(observed);
        writeln!(
            out,
            "  a policy that is only observed would have refused: {observed}"
        )?;
    }
    if let Some(reply) = &outcome.reply {
        writeln!(out, "  the mail server heard: {}", printable(reply))?;
    }
    if let Some(why) = &outcome.why {
        writeln!(out, "  expected  {}", printable(&why.expected))?;
        writeln!(out, "  seen      {}", printable(&why.seen))?;
        writeln!(out, "  to do     {}", printable(&why.advice))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dn_23_text_that_others_chose_gives_the_terminal_no_orders() {
        const EVIL: &str = "a\u{1b}[31m\r\n\u{202e}\u{7}b\u{f6}";
        let text = serde_json::json!({
            "id": EVIL, "number": 2, "via": EVIL, "client": "127.0.0.1:4711",
            "began": "2027-01-15T08:00:00Z", "decided": "2027-01-15T08:00:01Z",
            "destination": "192.0.2.1:25", "domain": EVIL, "route": true,
            "settings": { "insecure_mx": "dane", "combine": "dane-first" },
            "dns": [{ "name": EVIL, "type": EVIL, "state": "bogus", "records": [EVIL], "failure": EVIL,
                "aliases": [{ "from": EVIL, "to": EVIL, "secure": true }], "cached": true }],
            "mta_sts": { "state": EVIL, "failure": { "kind": EVIL, "detail": EVIL }, "id": EVIL, "fetched": null,
                "text": EVIL, "record": EVIL, "cached": false },
            "demand": { "located": false, "candidates": [{ "host": EVIL, "level": EVIL, "sni": EVIL, "tlsa": [EVIL],
                "names": [EVIL], "mta_sts": { "listed": true, "patterns": [EVIL] },
                "observed": { "listed": false, "patterns": [EVIL] } }] },
            "attempts": [
                { "showing": { "sni": EVIL, "channel": { "broken": EVIL } }, "tried": [], "verdict": EVIL, "rule": EVIL },
                { "showing": { "sni": null, "channel": { "clear-after": EVIL } }, "tried": [], "verdict": EVIL, "rule": EVIL },
                { "showing": { "sni": EVIL, "channel": { "tls": { "version": EVIL, "suite": EVIL, "chain": [
                    { "subject": EVIL, "issuer": EVIL, "not_before": EVIL, "not_after": EVIL, "names": [EVIL],
                      "spki_sha256": EVIL, "sha256": EVIL }] } } }, "tried": [EVIL], "verdict": EVIL, "rule": EVIL },
            ],
            "outcome": { "verdict": EVIL, "rule": EVIL, "level": EVIL, "host": EVIL, "observed": EVIL, "reply": EVIL,
                "why": { "expected": EVIL, "seen": EVIL, "advice": EVIL } },
            "left_out": [EVIL],
        });
        let trace: Trace = serde_json::from_value(text).unwrap();
        let mut out = Vec::new();
        story(&mut out, &trace).unwrap();
        let harmless = |octet: &u8| matches!(octet, b' '..=b'~' | b'\n');
        let told = String::from_utf8_lossy(&out).into_owned();
        assert!(out.iter().all(harmless), "{told:?}");
        assert!(told.matches("a?[31m????b?").count() > 30, "{told}");
    }
}
