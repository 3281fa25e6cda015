//! Gives up what the process does not need any more, once its listeners are bound: the user root, groups, capabilities, the
//! right to gain others, core dumps.
//!
//! Capabilities and `no_new_privs` belong to threads, so all of this comes before there are others. CAP_NET_RAW stays where
//! connections take foreign addresses (`tproxy`) or carry a mark; nothing else does, whoever has started the process.
//! Sockets to MX hosts are made afterwards, so the rules of netfilter know them by the user.

pub mod sandbox;

mod calls;
mod places;

use std::io;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Group, Uid, User, geteuid, initgroups, setresgid, setresuid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
};
use tracing::{info, warn};

use crate::config::{Config, RunConfig};
use crate::intercept::Via;

/// Why it cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such user.
    #[error(
        "run.user = {0:?}: expected a user of this machine (`getent passwd {0}`), seen none: make one, as with sysusers.d"
    )]
    NoUser(String),
    /// No such group.
    #[error("run.group = {0:?}: expected a group of this machine (`getent group {0}`), seen none")]
    NoGroup(String),
    /// Another user cannot become this one.
    #[error(
        "run.user = {wanted:?}, but danelaw was started as uid {uid}: start it as root or as that user, or leave run.user out"
    )]
    NotRoot {
        /// Whom it should become.
        wanted: String,
        /// What it is.
        uid: Uid,
    },
    /// The system refuses.
    #[error(
        "cannot {doing}: {error} (to change users takes CAP_SETUID and CAP_SETGID; without run.user nothing is changed)"
    )]
    Refused {
        /// What was tried.
        doing: &'static str,
        /// What it says.
        error: io::Error,
    },
}

/// Nothing that is in memory is written down when the process dies, and the limit of file descriptors is the hard one. The
/// soft one is a relic for programs that use select(2).
pub fn limit(sessions: usize) {
    // A session takes two.
    const BESIDE: u64 = 64;
    if let Err(error) = setrlimit(Resource::RLIMIT_CORE, 0, 0) {
        warn!(%error, "core dumps cannot be turned off");
    }
    let needed = BESIDE + 2 * sessions as u64;
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    if limit < needed {
        warn!(
            limit,
            needed, "too few file descriptors for max_sessions (raise LimitNOFILE)"
        );
    }
}

/// Gives up all but what `config` needs. To be called while there are no other threads.
///
/// # Errors
/// When the user cannot be had. What a process without privileges cannot give up it does not have.
pub fn give_up(config: &Config) -> Result<(), PrivilegeError> {
    let before =
        capabilities(None).map_err(|error| refused("read the capabilities")(error.into()))?;
    if before.effective.contains(CapabilitySet::SETPCAP) {
        empty_the_bounding_set();
    }
    become_user(&config.run)?;
    // There is none where the kernel is too old.
    let _ = clear_ambient_capability_set();
    let kept = needed(config).intersection(before.permitted);
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(|error| refused("give up capabilities")(error.into()))?;
    set_no_new_privs(true).map_err(|error| refused("set no_new_privs")(error.into()))?;
    // After the change of users, which turns it on again in some cases.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| refused("keep others from reading the memory")(error.into()))?;
    if geteuid().is_root() && config.run.user.is_none() {
        warn!(
            "danelaw runs as root: name a user of its own as run.user, which the rules of netfilter can then exempt"
        );
    }
    info!(uid = %geteuid(), net_raw = kept.contains(CapabilitySet::NET_RAW), "privileges are given up");
    Ok(())
}

fn needed(config: &Config) -> CapabilitySet {
    let is_transparent = config.listeners.iter().any(|one| one.kind == Via::Tproxy);
    if is_transparent || config.upstream.mark.is_some() {
        CapabilitySet::NET_RAW
    } else {
        CapabilitySet::empty()
    }
}

/// Nothing that is executed could gain a capability: nothing is executed, and this outlives a mistake.
fn empty_the_bounding_set() {
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        // Beyond the last that the kernel knows.
        if remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
}

fn become_user(run: &RunConfig) -> Result<(), PrivilegeError> {
    let Some(name) = &run.user else {
        return Ok(());
    };
    let no_user = || PrivilegeError::NoUser(name.clone());
    let user = User::from_name(name).ok().flatten().ok_or_else(no_user)?;
    let uid = geteuid();
    if uid == user.uid && !uid.is_root() {
        return Ok(());
    }
    if !uid.is_root() {
        let wanted = name.clone();
        return Err(PrivilegeError::NotRoot { wanted, uid });
    }
    let gid = match &run.group {
        None => user.gid,
        Some(group) => {
            let found = Group::from_name(group).ok().flatten();
            found
                .ok_or_else(|| PrivilegeError::NoGroup(group.clone()))?
                .gid
        }
    };
    // The name came from a file, in which no NUL is.
    let c_name = std::ffi::CString::new(name.as_str()).map_err(|_| no_user())?;
    set_keep_capabilities(true).map_err(|error| refused("keep capabilities")(error.into()))?;
    let error_of = |doing| move |error: Errno| refused(doing)(error.into());
    initgroups(&c_name, gid).map_err(error_of("take the groups of run.user"))?;
    setresgid(gid, gid, gid).map_err(error_of("take the group of run.user"))?;
    setresuid(user.uid, user.uid, user.uid).map_err(error_of("become run.user"))?;
    set_keep_capabilities(false).map_err(|error| refused("lose capabilities")(error.into()))
}

fn refused(doing: &'static str) -> impl FnOnce(io::Error) -> PrivilegeError {
    move |error| PrivilegeError::Refused { doing, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenerConfig;

    #[test]
    fn only_foreign_addresses_and_marks_take_a_capability() {
        let of = |kind: Via, mark: Option<u32>| {
            let address = "127.0.0.1:1".parse().unwrap();
            let mut config = Config {
                listeners: vec![ListenerConfig::new(kind, address)],
                ..Config::default()
            };
            config.upstream.mark = mark;
            needed(&config)
        };
        for kind in [Via::Redirect, Via::Socks5, Via::ProxyProtocol] {
            assert_eq!(of(kind, None), CapabilitySet::empty(), "{kind:?}");
        }
        assert_eq!(of(Via::Tproxy, None), CapabilitySet::NET_RAW);
        assert_eq!(of(Via::Redirect, Some(0x25)), CapabilitySet::NET_RAW);
    }

    #[test]
    fn a_user_that_is_not_there_is_named() {
        let run = RunConfig {
            user: Some("no-such-user-here".to_owned()),
            ..RunConfig::default()
        };
        let error = become_user(&run).unwrap_err().to_string();
        assert!(error.contains("no-such-user-here"), "{error}");
    }
}
