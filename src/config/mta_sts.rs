//! `[mta_sts]`: policy hosts, what is kept of them, and whom to ask in advance.

use std::time::Duration;

use toml::de::DeTable;

use super::read::{Place, Reader, Section};
use super::value::{Bound, Port};
use crate::mtasts::hints::HintsFiles;
use crate::policy::cache::{CacheOptions, Patience};

/// MTA-STS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsConfig {
    /// Another port than 443, for labs.
    pub port: u16,
    /// Policy hosts on addresses that are not public, for labs.
    pub allow_private: bool,
    /// The whole fetch.
    pub timeout: Duration,
    /// What policies may take in memory.
    pub cache_mib: usize,
    /// Where it cannot be known whether a domain has a policy.
    pub unknown: Unknown,
    /// How long mail waits under [`Unknown::Pass`].
    pub unknown_after: Duration,
    /// Whether domains that mail went to before are asked in advance.
    pub prewarm: Prewarm,
    /// Domains whose policies are fetched before any mail goes there.
    pub hints: Option<HintsFiles>,
}

/// What becomes of mail while the TXT record of a domain cannot be looked up and no policy is cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It waits.
    Defer,
    /// It waits for a while, then goes as if there were no policy.
    Pass,
}

/// Who is asked for a policy in advance, beside the domains of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prewarm {
    /// Nobody.
    Off,
    /// The domains that mail went to.
    History,
}

impl StsConfig {
    /// What the cache is to know.
    #[must_use]
    pub const fn cache(&self) -> CacheOptions {
        CacheOptions {
            capacity: self.cache_mib * 1024 * 1024,
            patience: match self.unknown {
                Unknown::Defer => Patience::Endless,
                Unknown::Pass => Patience::Until(self.unknown_after),
            },
        }
    }
}

pub(super) fn read<'t>(
    reader: &mut Reader<'t>,
    top: &DeTable<'t>,
    default: StsConfig,
) -> StsConfig {
    let mut section = reader.section(top, "mta_sts");
    let mta_sts = StsConfig {
        port: section.read("port", Port(default.port)).0,
        allow_private: section.read("allow_private", default.allow_private),
        timeout: section.read("timeout", default.timeout),
        cache_mib: section.read("cache_mib", Bound(default.cache_mib)).0,
        unknown: section.read("unknown", default.unknown),
        unknown_after: section.read("unknown_after", default.unknown_after),
        prewarm: section.read("prewarm", default.prewarm),
        hints: None,
    };
    section.elsewhere("hints");
    section.finish();
    StsConfig {
        hints: read_hints(reader, top),
        ..mta_sts
    }
}

/// A list without its key is as good as none, and the other way round.
fn read_hints<'t>(reader: &mut Reader<'t>, top: &DeTable<'t>) -> Option<HintsFiles> {
    let table = top.get("mta_sts");
    let table = table.and_then(|value| value.get_ref().as_table()?.get("hints"));
    let table = table.and_then(|value| reader.table(value, "mta_sts.hints"));
    let mut section = Section::new(reader, table, Place::table("mta_sts.hints"));
    let (list, key) = (section.path("file"), section.path("key"));
    match (&list, &key) {
        (Some(_), None) => section.contradiction("key", "a path, beside file"),
        (None, Some(_)) => section.contradiction("file", "a path, beside key"),
        (Some(_), Some(_)) | (None, None) => {}
    }
    section.finish();
    Some(HintsFiles {
        list: list?,
        key: key?,
    })
}
