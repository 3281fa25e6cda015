//! RFC 4034, RFC 4035 and RFC 5155 without IO: messages, keys and a `now` in, a ruling or a [`Flaw`] out.
//!
//! Reading order: [`rrset`] takes an RRset and its signatures out of a message section; [`signature`] checks one with the keys
//! of a zone; [`keys`] says which keys a zone has, starting at the trust anchor and going down by DS records; [`denial`]
//! (with [`nsec`] and [`nsec3`]) says what signed records prove absent; [`delegation`] reads a DS answer as one step of the
//! way down; [`alias`] reads CNAME and DNAME; [`lifetime`] says how long any of it holds.
//!
//! Trust only ever comes from a checked signature or a proven absence of one. Whatever is left over is a [`Flaw`], which the
//! caller reports as bogus: nothing here turns "not shown secure" into "insecure".
//!
//! From hickory come the record types, the canonical form of what is signed, and the arithmetic of the algorithms.

pub(in crate::dns) mod alias;
pub(in crate::dns) mod delegation;
pub(in crate::dns) mod denial;
pub(in crate::dns) mod keys;
pub(in crate::dns) mod lifetime;
pub(in crate::dns) mod nsec;
pub(in crate::dns) mod nsec3;
pub(in crate::dns) mod rrset;
pub(in crate::dns) mod signature;

use std::time::Duration;

use super::purse::Purses;
use crate::clock::Timestamp;

/// When a proof is looked at, and who pays for the work.
#[derive(Clone, Copy, Debug)]
pub(in crate::dns) struct Terms<'a> {
    /// Wall time.
    pub(in crate::dns) now: Timestamp,
    /// What may be spent.
    pub(in crate::dns) purses: &'a Purses,
}

/// Whether data is tied to the trust anchor, or lies where provably nothing is. The least of several links counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::dns) enum Trust {
    /// In a provably unsigned part of the tree, or covered by an opt-out span only (RFC 4035 §4.3, RFC 5155 §9.2).
    Insecure,
    /// Signed, with an unbroken chain of keys.
    Secure,
}

/// Why data contradicts the chain of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::dns) enum Flaw {
    /// The zone is signed, the RRset is not.
    #[error("the zone is signed, but this RRset carries no signature")]
    Unsigned,
    /// The signer named in the RRSIG has no keys of its own: it is no zone on the way from the root.
    #[error("the RRSIG names a signer that is not a zone")]
    SignerIsNoZone,
    /// Tag and algorithm fit no key of the zone.
    #[error("no key of the zone fits the RRSIG")]
    NoSuchKey,
    /// The validity period is over (RFC 4035 §5.3.1).
    #[error("the signature has expired, {} s ago", .ago.as_secs())]
    Expired {
        /// For how long.
        ago: Duration,
    },
    /// The validity period has not begun (RFC 4035 §5.3.1).
    #[error("the signature is not valid yet, for another {} s", .until.as_secs())]
    NotYetValid {
        /// For how long.
        until: Duration,
    },
    /// More labels than the owner name has, or a wildcard expansion where none may be.
    #[error("the RRSIG has an impossible label count")]
    Labels,
    /// The arithmetic says no.
    #[error("the signature does not verify")]
    BadSignature,
    /// Bounded work was spent before a signature verified (CVE-2023-50387).
    #[error("too many signatures or keys to try")]
    TooMuchWork,
    /// No DNSKEY matches the trust anchor.
    #[error("no DNSKEY of the root matches the trust anchor")]
    AnchorUnmatched,
    /// No DNSKEY matches the DS RRset.
    #[error("no DNSKEY of the zone matches its DS records")]
    DsUnmatched,
    /// The zone has DS records but no DNSKEY RRset.
    #[error("the zone has DS records but no DNSKEY RRset")]
    KeysMissing,
    /// No NSEC or NSEC3 of the zone matches or covers the name.
    #[error("nothing signed denies it")]
    NotDenied,
    /// The type, or a CNAME, is in the bit map (RFC 6840 §4.3).
    #[error("the NSEC or NSEC3 says that it exists")]
    Exists,
    /// A parent's record for the child's data or the other way round (RFC 4035 §5.2, RFC 6840 §4.1).
    #[error("the NSEC or NSEC3 is from the wrong side of a zone cut")]
    WrongSide,
    /// The name is denied, but not the wildcard that could stand for it (RFC 4035 §5.4).
    #[error("the wildcard is not denied")]
    WildcardNotDenied,
    /// A wildcard expansion whose next closer name is not denied (RFC 4035 §5.3.4, RFC 5155 §8.8).
    #[error("the wildcard expansion is not proven")]
    ExpansionNotProven,
    /// NSEC3 records with several salts or iteration counts (RFC 5155 §8.2).
    #[error("the NSEC3 records have different parameters")]
    MixedParameters,
    /// The SOA record that says how long a denial lasts is not the zone's own word.
    #[error("the zone's SOA record beside the denial is not validly signed")]
    SoaUnsigned,
    /// NXDOMAIN with a proof of NODATA or the other way round.
    #[error("the response code contradicts the proof")]
    Contradiction,
}
