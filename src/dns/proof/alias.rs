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
