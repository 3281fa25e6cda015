//! The parts of the file system that this configuration needs, and the kernel's refusal of all others (landlock).
//!
//! What a file is named by may be another file tomorrow: whoever renews a certificate or a configuration writes it anew and
//! renames it. So it is folders that are opened, but for the root's.
#![expect(clippy::disallowed_methods, reason = "IO: looks where paths lead")]

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    path_beneath_rules,
};

use crate::config::change::files;
use crate::config::{Config, StorePlace};

/// Where links have been followed.
#[derive(Clone, Debug)]
pub(super) struct Places {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

impl Places {
    /// What `config`, which stands in `sources`, needs now and when it is read again.
    pub(super) fn of(config: &Config, sources: &[PathBuf]) -> Self {
        let mut read: Vec<_> = ALWAYS.iter().map(PathBuf::from).collect();
        read.extend(sources.iter().flat_map(|path| folders(path)));
        read.extend(files(config).iter().flat_map(|(_, path)| folders(path)));
        read.extend(
            CA_STORE
                .iter()
                .filter_map(std::env::var_os)
                .map(PathBuf::from),
        );
        if config.dns.resolvers.is_empty() {
            read.extend(folders(Path::new(RESOLV_CONF)));
        }
        let mut write: Vec<_> = config
            .control
            .iter()
            .flat_map(|path| folders(path))
            .collect();
        match &config.store.place {
            StorePlace::Memory => {}
            StorePlace::File(path) => write.extend(folders(path)),
            StorePlace::Database { address, snapshot } => {
                read.extend(address.ca_file().into_iter().flat_map(folders));
                write.extend(snapshot.iter().flat_map(|path| folders(path)));
                // The C library looks the host up, by what it finds there.
                read.extend(NAME_SERVICE.iter().map(PathBuf::from));
            }
        }
        Self {
            read: followed(read),
            write: followed(write),
        }
    }

    /// From now on all others are closed, to this thread and those that it begins, as far as the kernel can: that is told.
    pub(super) fn enclose(&self) -> Result<RulesetStatus, RulesetError> {
        // Whatever a later kernel adds has not been tried here.
        const KNOWN: ABI = ABI::V5;
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .create()?
            .add_rules(path_beneath_rules(
                &self.read,
                AccessFs::ReadFile | AccessFs::ReadDir,
            ))?
            .add_rules(path_beneath_rules(&self.write, writing(KNOWN)))?
            .restrict_self()?;
        Ok(status.ruleset)
    }

    /// The files of `config` that are there and closed, each with its key.
    pub(super) fn closed(&self, config: &Config) -> Vec<(&'static str, PathBuf)> {
        let mut named = files(config);
        if config.dns.resolvers.is_empty() {
            named.push(("dns.resolvers", RESOLV_CONF.into()));
        }
        named.retain(|(_, path)| path.canonicalize().is_ok_and(|path| !self.has(&path)));
        named
    }

    fn has(&self, path: &Path) -> bool {
        self.read
            .iter()
            .chain(&self.write)
            .any(|open| path.starts_with(open))
    }
}

/// All but to execute, to make device nodes and to speak to devices.
fn writing(abi: ABI) -> landlock::BitFlags<AccessFs> {
    let not = AccessFs::Execute | AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev;
    AccessFs::from_all(abi) & !not
}

/// Where it stands, and where it leads.
fn folders(path: &Path) -> Vec<PathBuf> {
    let leads = path.canonicalize().ok();
    let folder = |path: PathBuf| match path.parent() {
        None => path,
        Some(folder) if folder == Path::new("") => PathBuf::from("."),
        Some(folder) if folder == Path::new("/") => path,
        Some(folder) => folder.to_owned(),
    };
    [Some(path.to_owned()), leads]
        .into_iter()
        .flatten()
        .map(folder)
        .collect()
}

/// What is not there cannot be opened.
fn followed(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut paths: Vec<_> = paths
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The CAs of the distributions, how many processors this process may use, randomness, which boot this is.
const ALWAYS: &[&str] = &[
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/lib/ssl",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/etc/hosts",
    "/proc/self",
    "/proc/sys/kernel/random",
    "/sys/fs/cgroup",
    "/sys/devices/system/cpu",
    "/dev/urandom",
];

/// Other places of the system's CAs.
const CA_STORE: &[&str] = &["SSL_CERT_FILE", "SSL_CERT_DIR"];

const NAME_SERVICE: &[&str] = &["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64"];
