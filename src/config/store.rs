//! `[store]`: one file, or a database with what goes with it.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: the password may stand in a file or in the environment"
)]

use std::path::Path;

use super::read::Section;
use super::usable::describe;
use super::value::Bound;
use super::{StoreConfig, StorePlace};
use crate::store::postgres::Address;
use crate::store::upkeep::Keep;

pub(super) fn read(mut section: Section<'_, '_>, default: StoreConfig) -> StoreConfig {
    let place = read_place(&mut section);
    let mut bound = |key, default| section.read(key, Bound(default)).0;
    let keep = Keep {
        traces: bound("keep_traces", default.keep.traces),
        trace_days: bound("keep_trace_days", default.keep.trace_days),
        count_days: bound("keep_count_days", default.keep.count_days),
    };
    section.finish();
    StoreConfig { place, keep }
}

fn read_place(section: &mut Section<'_, '_>) -> StorePlace {
    let path = section.path("path");
    let url = section.secret("url", str::parse::<Address>);
    let password_file = section.path("password_file");
    let snapshot = section.path("snapshot");
    for (key, is_there) in [
        ("password_file", password_file.is_some()),
        ("snapshot", snapshot.is_some()),
    ] {
        if is_there && url.is_none() {
            section.contradiction(key, "a url beside it");
        }
    }
    match (path, url) {
        (Some(path), None) => StorePlace::File(path),
        (None, None) => StorePlace::Memory,
        (path, Some(address)) => {
            if path.is_some() {
                section.contradiction("path", "either a path or a url");
            }
            let password = password_file.and_then(|file| read_password(section, &file));
            StorePlace::Database {
                address: address.or_password(password.or_else(|| std::env::var("PGPASSWORD").ok())),
                snapshot,
            }
        }
    }
}

fn read_password(section: &mut Section<'_, '_>, file: &Path) -> Option<String> {
    match std::fs::read_to_string(file) {
        // Half of a roll-out, and never a password.
        Ok(text) if text.trim().is_empty() => {
            section.contradiction("password_file", "a password in the file, which is empty");
            None
        }
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            let expected = format!("a file that can be read ({error})");
            section.contradiction("password_file", &expected);
            None
        }
    }
}

/// The key whose file cannot be used, what was expected, and what is there.
pub(super) fn unusable(place: &StorePlace) -> Option<(&'static str, &'static str, String)> {
    let (path, key) = match place {
        StorePlace::Memory | StorePlace::Database { snapshot: None, .. } => return None,
        StorePlace::File(path) => (path, "path"),
        StorePlace::Database {
            snapshot: Some(path),
            ..
        } => (path, "snapshot"),
    };
    let (expected, got) = unusable_file(path)?;
    Some((key, expected, got))
}

fn unusable_file(path: &Path) -> Option<(&'static str, String)> {
    if path.is_dir() {
        let got = format!("the directory {}", path.display());
        return Some(("a file", got));
    }
    let directory = match path.parent()? {
        here if here.as_os_str().is_empty() => Path::new("."),
        directory => directory,
    };
    let error = std::fs::read_dir(directory).err()?;
    let expected = "a file in a directory that exists";
    Some((expected, describe(directory, &error)))
}
