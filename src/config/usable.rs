//! What a configuration names and cannot be used here and now: files, and times that have not come.

use std::error::Error;
use std::path::{Path, PathBuf};

use super::file::Loaded;
use super::read::{Origin, Problem, Setting};
use super::{Config, store};
use crate::clock::Timestamp;
use crate::dns::resolver::TrustAnchor;
use crate::mtasts::hints::Hints;
use crate::policy::exceptions::Exception;
use crate::tls::authority::Authority;
use crate::tls::roots;

impl Loaded {
    /// Files that the configuration names and that cannot be used by this process, and what it says of the future.
    #[must_use]
    pub fn unusable_files(&self, file: &Path, now: Timestamp) -> Vec<Problem> {
        let Config {
            dns,
            ca_file,
            client_ca,
            mta_sts,
            store,
            ..
        } = &self.config;
        let anchor = dns.trust_anchor.as_deref().and_then(|path| {
            let error = TrustAnchor::from_file(path).err()?;
            let expected = "a file of DNSKEY or DS records";
            Some(self.problem(
                file,
                ("[dns]", "trust_anchor"),
                expected,
                describe(path, &error),
            ))
        });
        let roots = ca_file.as_deref().and_then(|path| {
            let error = roots::load(Some(path)).err()?;
            let expected = "a file of CA certificates";
            Some(self.problem(file, ("[tls]", "ca_file"), expected, describe(path, &error)))
        });
        let authority = client_ca.as_ref().and_then(|files| {
            let error = Authority::load(files, now).err()?;
            let key = if error.path() == files.key {
                ("[client_tls]", "ca_key")
            } else {
                ("[client_tls]", "ca_cert")
            };
            let expected = "a CA as `danelaw ca init` makes it";
            Some(self.problem(file, key, expected, error.to_string()))
        });
        let early = too_early(&self.settings, &self.config.exceptions.declared, file, now);
        let hints = mta_sts.hints.as_ref().and_then(|files| {
            let error = Hints::load(files).err()?;
            let (key, expected) = match error.path() == files.key {
                true => ("key", "an Ed25519 public key in PEM"),
                false => ("file", "a list that the key has signed"),
            };
            Some(self.problem(file, ("[mta_sts.hints]", key), expected, error.to_string()))
        });
        let store = store::unusable(&store.place)
            .map(|(key, expected, got)| self.problem(file, ("[store]", key), expected, got));
        [anchor, roots, authority, hints, store]
            .into_iter()
            .flatten()
            .chain(early)
            .collect()
    }

    /// What reading `file` again reads: itself, and the store's password.
    #[must_use]
    pub fn sources(&self, file: &Path) -> Vec<PathBuf> {
        let is_password = |one: &&Setting| one.table == "[store]" && one.key == "password_file";
        let password = self.settings.iter().find(is_password);
        let path = password.and_then(|one| one.value.as_ref()?.as_str());
        let path = path.map(PathBuf::from);
        [file.to_owned()].into_iter().chain(path).collect()
    }

    fn problem(
        &self,
        file: &Path,
        (table, key): (&str, &str),
        expected: &str,
        got: String,
    ) -> Problem {
        let setting = self
            .settings
            .iter()
            .find(|setting| setting.table == table && setting.key == key);
        let line = setting.map_or(0, |setting| match setting.origin {
            Origin::Line(line) => line,
            Origin::Default => 0,
        });
        Problem {
            file: file.to_owned(),
            line,
            key: format!("{}.{key}", table.trim_matches(['[', ']'])),
            expected: expected.to_owned(),
            got,
        }
    }
}

/// Exceptions that say they were made later than now: their life would be longer than it may be.
pub(super) fn too_early(
    settings: &[Setting],
    declared: &[Exception],
    file: &Path,
    now: Timestamp,
) -> Vec<Problem> {
    let created = settings
        .iter()
        .filter(|setting| setting.table == "[[exception]]" && setting.key == "created");
    declared
        .iter()
        .zip(created)
        .filter(|(exception, _)| exception.draft().created > now)
        .map(|(_, setting)| Problem {
            file: file.to_owned(),
            line: match setting.origin {
                Origin::Line(line) => line,
                Origin::Default => 0,
            },
            key: format!("exception[{}].created", setting.index),
            expected: "a day or time that has come".to_owned(),
            got: setting
                .value
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        })
        .collect()
}

/// The error with its path, which some name themselves.
pub(super) fn describe(path: &Path, error: &dyn Error) -> String {
    let (path, told) = (path.display().to_string(), error.to_string());
    if told.contains(&path) {
        told
    } else {
        format!("{path}: {told}")
    }
}
