//! What a message answers to a question: records, or an alias to follow (RFC 1034 §3.6.2, RFC 6672).
//!
//! One message is read for one step: what it says about the target is left alone and asked for anew, so that records of
//! several steps never mix.

use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

use super::rrset::RrSet;

/// How a message answers.
#[derive(Clone, Debug)]
pub(in crate::dns) enum Reading {
    /// With the RRset that was asked for.
    Records(RrSet),
    /// With an alias; the RRset is what must be signed: for a DNAME it is the DNAME, since the CNAME made from it is not
    /// signed (RFC 6672 §5.3.1).
    Alias {
        /// The CNAME or DNAME RRset.
        set: RrSet,
        /// Where it leads.
        target: Name,
    },
    /// With an alias that leads nowhere: several targets, or a name that grows too long.
    Dangling,
    /// With nothing.
    Nothing,
}

/// Reads an answer section for one name and type.
pub(in crate::dns) fn read(answers: &[Record], name: &Name, record_type: RecordType) -> Reading {
    let dname = answers.iter().find(|record| {
        record.record_type() == RecordType::DNAME
            && record.name.zone_of(name)
            && &record.name != name
    });
    if let Some(dname) = dname
        && let Some(set) = RrSet::select(answers, &dname.name, RecordType::DNAME)
    {
        return alias(set, |data| substitute(data, name, &dname.name));
    }
    if let Some(set) = RrSet::select(answers, name, record_type) {
        return Reading::Records(set);
    }
    if let Some(set) = RrSet::select(answers, name, RecordType::CNAME) {
        return alias(set, cname_target);
    }
    Reading::Nothing
}

fn alias(set: RrSet, target: impl Fn(&RData) -> Option<Name>) -> Reading {
    let mut data = set.data();
    let target = data.next().and_then(target);
    match (target, data.next()) {
        (Some(target), None) => {
            drop(data);
            Reading::Alias { set, target }
        }
        (Some(_) | None, _) => Reading::Dangling,
    }
}

fn cname_target(data: &RData) -> Option<Name> {
    if let RData::CNAME(target) = data {
        return Some(target.0.clone());
    }
    None
}

/// RFC 6672 §2.2: the owner's labels are replaced, the ones below stay.
fn substitute(dname: &RData, name: &Name, owner: &Name) -> Option<Name> {
    let RData::Unknown { rdata, .. } = dname else {
        return None;
    };
    let below = name.iter().count() - owner.iter().count();
    let target = wire_labels(&rdata.anything)?;
    Name::from_labels(name.iter().take(below).chain(target)).ok()
}

/// The labels of an uncompressed name that fills the data.
fn wire_labels(mut wire: &[u8]) -> Option<Vec<&[u8]>> {
    let mut labels = Vec::new();
    loop {
        let (length, rest) = wire.split_first()?;
        if *length == 0 {
            return rest.is_empty().then_some(labels);
        }
        let (label, rest) = rest.split_at_checked(usize::from(*length))?;
        labels.push(label);
        wire = rest;
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata::CNAME;

    use super::*;
    use crate::dns::sample::{address, dname, name};

    fn reading(answers: &[(&str, RData)], asked: &str) -> String {
        let answers: Vec<Record> = answers
            .iter()
            .map(|(owner, data)| Record::from_rdata(name(owner), 60, data.clone()))
            .collect();
        match read(&answers, &name(asked), RecordType::A) {
            Reading::Records(set) => format!("{} records", set.records().len()),
            Reading::Alias { set, target } => format!("{} to {target}", set.record_type()),
            Reading::Dangling => "dangling".to_owned(),
            Reading::Nothing => "nothing".to_owned(),
        }
    }

    #[test]
    fn dnssec_21_an_answer_is_read_for_one_step() {
        let cname = |target: &str| RData::CNAME(CNAME(name(target)));
        let long = vec!["a".repeat(60); 4].join(".");
        for (says, answers, expected) in [
            ("records", vec![("a.z", address())], "1 records"),
            ("of another name", vec![("b.z", address())], "nothing"),
            (
                "an alias",
                vec![("a.z", cname("b.z")), ("b.z", address())],
                "CNAME to b.z.",
            ),
            (
                "an alias with two targets",
                vec![("a.z", cname("b.z")), ("a.z", cname("c.z"))],
                "dangling",
            ),
            (
                "a DNAME, whatever the CNAME says",
                vec![("z", dname("y.x")), ("a.z", cname("evil"))],
                "DNAME to a.y.x.",
            ),
            (
                "a DNAME at the very name",
                vec![("a.z", dname("y"))],
                "nothing",
            ),
            ("a DNAME elsewhere", vec![("y", dname("z"))], "nothing"),
            (
                "a DNAME to the root",
                vec![("z", dname("."))],
                "DNAME to a.",
            ),
            ("a DNAME too long", vec![("z", dname(&long))], "DNAME to"),
        ] {
            let reading = reading(&answers, "a.z");
            assert!(reading.starts_with(expected), "{says}: {reading}");
        }
        let below = format!("{}.z", vec!["b".repeat(20); 3].join("."));
        assert_eq!(reading(&[("z", dname(&long))], &below), "dangling");
    }

    #[test]
    fn a_name_that_does_not_fill_its_data_is_none() {
        for wire in [&b""[..], b"\x01", b"\x01a", b"\x01a\x00x", b"\x05a\x00"] {
            assert_eq!(wire_labels(wire), None, "{wire:?}");
        }
        assert_eq!(wire_labels(b"\x00"), Some(vec![]));
        assert_eq!(wire_labels(b"\x01a\x00"), Some(vec![&b"a"[..]]));
    }
}
