//! An explained answer as JSON, and as lines for people.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::Args;
use crate::calendar;
use crate::clock::Timestamp;
use crate::dns::diary::Step;
use crate::dns::resolver::Explained;
use crate::dns::{AbsenceKind, Alias, Answer, Denial, Failure};

/// One object, whose keys stay what they are.
pub(super) fn json(
    out: &mut impl Write,
    args: &Args,
    explained: &Explained,
    now: Timestamp,
) -> io::Result<()> {
    let Explained {
        resolved,
        expires,
        steps,
        messages,
        skew: _,
    } = explained;
    let summary = Summary::of(&resolved.answer);
    let links: Vec<Json> = resolved.aliases.iter().map(link).collect();
    let steps: Vec<Json> = steps.iter().map(step_json).collect();
    let object = json!({
        "name": args.name,
        "type": args.record_type.to_ascii_uppercase(),
        "status": summary.status,
        "kind": summary.kind,
        "records": summary.records,
        "links": links,
        "reason": summary.reason,
        "expires": expires.map(calendar::written),
        "ttl": expires.map(|expires| expires.since(now).as_secs()),
        "messages": messages,
        "steps": steps,
    });
    writeln!(out, "{object}")
}

/// The answer first, then how it was come by.
pub(super) fn text(
    out: &mut impl Write,
    args: &Args,
    explained: &Explained,
    now: Timestamp,
) -> io::Result<()> {
    let summary = Summary::of(&explained.resolved.answer);
    let record_type = args.record_type.to_ascii_uppercase();
    write!(out, "{} {record_type}: {}", args.name, summary.status)?;
    match summary.kind {
        Some(kind) => writeln!(out, ", {}", kind_in_words(kind))?,
        None => writeln!(out)?,
    }
    for record in summary.records {
        writeln!(out, "    {}", printable(record))?;
    }
    if let Some(reason) = summary.reason {
        writeln!(out, "    {}", printable(reason))?;
    }
    if let Some(expires) = explained.expires {
        let left = expires.since(now).as_secs();
        writeln!(
            out,
            "  may be used for {left} s, until {}",
            calendar::written(expires)
        )?;
    }
    if !explained.resolved.aliases.is_empty() {
        writeln!(out, "  aliases:")?;
        for Alias { from, to, secure } in &explained.resolved.aliases {
            let state = if *secure { "secure" } else { "insecure" };
            writeln!(out, "    {from} -> {to}  {state}")?;
        }
    }
    writeln!(out, "  how, with {} messages:", explained.messages)?;
    for step in &explained.steps {
        writeln!(out, "    {}", printable(&step_in_words(step)))?;
    }
    Ok(())
}

struct Summary<'a> {
    status: &'static str,
    kind: Option<&'static str>,
    records: &'a [String],
    reason: Option<&'a str>,
}

impl<'a> Summary<'a> {
    fn of(answer: &'a Answer<Vec<String>>) -> Self {
        let (status, kind) = match answer {
            Answer::Secure(_) => ("secure", Some("positive")),
            Answer::Insecure(_) => ("insecure", Some("positive")),
            Answer::Absent(absence) => (
                match absence.denial {
                    Denial::Secure => "secure",
                    Denial::Insecure => "insecure",
                },
                Some(match absence.kind {
                    AbsenceKind::NoData => "nodata",
                    AbsenceKind::NxDomain => "nxdomain",
                }),
            ),
            Answer::Failed(Failure::Bogus(_)) => ("bogus", None),
            Answer::Failed(Failure::Unreachable(_)) => ("unreachable", None),
        };
        let reason = match answer {
            Answer::Failed(Failure::Bogus(why) | Failure::Unreachable(why)) => Some(why.as_str()),
            Answer::Secure(_) | Answer::Insecure(_) | Answer::Absent(_) => None,
        };
        Self {
            status,
            kind,
            records: answer.records().map_or(&[], Vec::as_slice),
            reason,
        }
    }
}

fn kind_in_words(kind: &str) -> &'static str {
    match kind {
        "nodata" => "the name exists without such records",
        "nxdomain" => "the name does not exist",
        _ => "these records",
    }
}

fn link(Alias { from, to, secure }: &Alias) -> Json {
    json!({ "from": from.to_string(), "to": to.to_string(), "secure": secure })
}

fn step_json(step: &Step) -> Json {
    match step {
        Step::Asked {
            name,
            record_type,
            server,
            reply,
        } => {
            json!({ "step": "asked", "name": name, "type": record_type, "server": server, "reply": reply })
        }
        Step::Zone {
            zone,
            vouched_by,
            key_tags,
            expires,
        } => json!({
            "step": "zone", "zone": zone, "vouched_by": vouched_by, "key_tags": key_tags,
            "expires": calendar::written(*expires),
        }),
        Step::Inside { name } => json!({ "step": "no-zone-cut", "name": name }),
        Step::Nothing { name } => json!({ "step": "nothing-below", "name": name }),
        Step::Exempt { name, until } => {
            json!({ "step": "negative-trust-anchor", "name": name, "until": calendar::written(*until) })
        }
        Step::Unsigned {
            name,
            proven_by,
            because,
        } => {
            json!({ "step": "unsigned", "name": name, "proven_by": proven_by, "because": because })
        }
        Step::Verified {
            name,
            record_type,
            signer,
            key_tag,
            algorithm,
            signature_expires,
            wildcard,
        } => json!({
            "step": "verified", "name": name, "type": record_type, "signer": signer, "key_tag": key_tag,
            "algorithm": algorithm, "signature_expires": calendar::written(*signature_expires), "wildcard": wildcard,
        }),
        Step::Denied {
            name,
            record_type,
            zone,
            what,
        } => {
            json!({ "step": "denied", "name": name, "type": record_type, "zone": zone, "what": what })
        }
        Step::Again { because } => json!({ "step": "next-resolver", "because": because }),
    }
}

fn step_in_words(step: &Step) -> String {
    match step {
        Step::Asked {
            name,
            record_type,
            server,
            reply,
        } => format!("asked {server} for {name} {record_type}: {reply}"),
        Step::Zone {
            zone,
            vouched_by,
            key_tags,
            expires,
        } => {
            let tags: Vec<String> = key_tags.iter().map(u16::to_string).collect();
            format!(
                "{zone} is a signed zone: keys {}, vouched for by {vouched_by}, until {}",
                tags.join(", "),
                calendar::written(*expires)
            )
        }
        Step::Inside { name } => format!("{name} is no zone of its own"),
        Step::Nothing { name } => format!("nothing is at {name} or below"),
        Step::Exempt { name, until } => format!(
            "a negative trust anchor lies over {name} until {}: DNSSEC counts as absent",
            calendar::written(*until)
        ),
        Step::Unsigned {
            name,
            proven_by,
            because,
        } => format!("{name} is an unsigned zone, by the word of {proven_by}: {because}"),
        Step::Verified {
            name,
            record_type,
            signer,
            key_tag,
            algorithm,
            signature_expires,
            wildcard,
        } => {
            let made = wildcard
                .as_ref()
                .map_or(String::new(), |wildcard| format!(", made from {wildcard}"));
            format!(
                "{name} {record_type} is signed by {signer} key {key_tag} ({algorithm}), signature valid until {}{made}",
                calendar::written(*signature_expires)
            )
        }
        Step::Denied {
            name,
            record_type,
            zone,
            what,
        } => format!("{zone} says of {name} {record_type}: {what}"),
        Step::Again { because } => format!("that is bogus ({because}); trying the next resolver"),
    }
}

/// Names, data and replies come from the network; a terminal gets no control characters.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped: Vec<char> = if c.is_control() {
                c.escape_default().collect()
            } else {
                vec![c]
            };
            escaped
        })
        .collect()
}
