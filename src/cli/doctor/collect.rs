//! Goes round the host and writes down what is there; what it means is [`crate::doctor`]'s business.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads the kernel's settings, asks timedatectl"
)]

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::unistd::geteuid;
use tokio::process::Command;

use super::process;
use super::users::{self, As, NOBODY};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, DnsConfig, StoreConfig, StorePlace};
use crate::dns::health::Monitor;
use crate::dns::health::state::Health;
use crate::dns::resolver::TrustAnchor;
use crate::doctor::facts::{Facts, Flight, Kernel, Needs, RuleFault, Seer, Store, Way};
use crate::intercept::Via;
use crate::intercept::rules::compare::{Difference, Grade, compare};
use crate::intercept::rules::kernel;
use crate::intercept::rules::plan::{NoPlan, Plan};
use crate::proxy::engine::resolver;
use crate::store;
use crate::tls::roots;
use crate::x509::path::Roots;

/// All facts.
pub(super) fn facts(file: &Path, egress: &[String]) -> anyhow::Result<Facts> {
    let (config, problems) = configuration(file);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let roots = roots::load(config.ca_file.as_deref());
    let validation = health(&config, roots.as_ref().ok());
    let needs = needs(&config);
    let (health, daemon, rules, is_synchronised) = runtime.block_on(async {
        let daemon = process::find(config.admin.address);
        let rules = rules(&config, needs.way);
        tokio::join!(validation, daemon, rules, is_synchronised())
    });
    let own = daemon.as_ref().map(|daemon| daemon.uid);
    let own = own.or_else(|| named_user(&config.intercept.user));
    let seer = if geteuid().is_root() {
        Seer::Root
    } else {
        Seer::User
    };
    let as_own = own.map(|uid| As {
        uid,
        mark: config.upstream.mark,
    });
    Ok(Facts {
        file: file.display().to_string(),
        problems,
        needs,
        seer,
        rules,
        flights: flights(&config, needs.way, as_own),
        health,
        anchor: anchor(&config.dns),
        is_synchronised,
        roots: match &roots {
            Ok(roots) => Ok(roots.store().len()),
            Err(error) => Err(error.to_string()),
        },
        store: place(&config.store, own),
        kernel: settings(),
        egress: egress
            .iter()
            .map(|host| {
                let me = geteuid().as_raw();
                let who = as_own.unwrap_or(As {
                    uid: me,
                    mark: None,
                });
                (host.clone(), users::greeting(host, who))
            })
            .collect(),
        daemon,
    })
}

/// What holds, and what is wrong with it; the defaults where nothing can be taken from it.
fn configuration(file: &Path) -> (Config, Vec<String>) {
    match Config::load(file) {
        Ok(loaded) => {
            let unusable = loaded.unusable_files(file, SystemClock.wall());
            let problems = unusable.iter().map(ToString::to_string).collect();
            (loaded.config, problems)
        }
        Err(error) => (
            Config::default(),
            vec![error.to_string().replace('\n', "; ")],
        ),
    }
}

fn needs(config: &Config) -> Needs {
    Needs {
        way: way(config),
        mark: config.upstream.mark,
        sessions: config.max_sessions as u64,
    }
}

/// As the rules have it, whoever danelaw's user is; where there can be none yet, as the listeners look.
fn way(config: &Config) -> Way {
    let has = |kind| config.listeners.iter().any(|one| one.kind == kind);
    match Plan::of(config, |_| Some(u32::MAX)) {
        Ok(plan) => match (&plan.local, plan.transparent()) {
            (Some(_), Some(_)) => Way::Both,
            (Some(_), None) => Way::Redirect,
            (None, Some(_)) => Way::Tproxy,
            (None, None) => Way::Gateway,
        },
        Err(_) if has(Via::Tproxy) => Way::Tproxy,
        Err(
            NoPlan::WhichLayout | NoPlan::LoopbackOnGateway { .. } | NoPlan::NoInterfaces { .. },
        ) => Way::Gateway,
        Err(_) if has(Via::Redirect) => Way::Redirect,
        Err(_) => Way::Handed,
    }
}

/// By name or by number.
fn named_user(name: &str) -> Option<u32> {
    kernel::uid_of(name).or_else(|| name.parse().ok())
}

/// What differs from what the configuration wants.
async fn rules(config: &Config, way: Way) -> Option<Result<Vec<RuleFault>, String>> {
    if way == Way::Handed {
        return None;
    }
    let differences = async || -> anyhow::Result<Vec<Difference>> {
        let plan = Plan::of(config, kernel::uid_of)?;
        Ok(compare(&plan, &kernel::look(&plan).await?))
    };
    let fault = |difference: &Difference| {
        (difference.grade() != Grade::Green).then(|| RuleFault {
            is_grave: difference.grade() == Grade::Red,
            seen: difference.to_string(),
            remedy: difference.remedy(),
        })
    };
    let differences = differences().await.map_err(|error| error.to_string());
    Some(differences.map(|all| all.iter().filter_map(fault).collect()))
}

fn flights(config: &Config, way: Way, own: Option<As>) -> Vec<Flight> {
    if way == Way::Handed {
        return Vec::new();
    }
    let port = config.intercept.ports.first().copied().unwrap_or(25);
    let me = geteuid().as_raw();
    let others = if geteuid().is_root() {
        Some(NOBODY)
    } else {
        // Whoever is not danelaw is another user.
        own.is_none_or(|own| own.uid != me).then_some(As {
            uid: me,
            mark: None,
        })
    };
    users::flights(
        port,
        others,
        own.filter(|own| geteuid().is_root() || own.uid == me),
    )
}

async fn health(config: &Config, roots: Option<&Roots>) -> Health {
    let roots = Arc::new(roots.cloned().unwrap_or_else(|| Roots::new(Vec::new())));
    let clock = Arc::new(SystemClock);
    match resolver(&config.dns, &roots, clock.clone()) {
        Ok(resolver) => {
            let probes = config.dns.probes.clone();
            Monitor::new(Arc::new(resolver), probes, clock)
                .probe()
                .await
        }
        // Its file is told of elsewhere.
        Err(_) => Health::Unknown,
    }
}

fn anchor(dns: &DnsConfig) -> Result<String, String> {
    let Some(path) = &dns.trust_anchor else {
        return Ok("the root keys that IANA publishes, built in".into());
    };
    TrustAnchor::from_file(path).map_err(|error| error.to_string())?;
    let changed = fs::metadata(path)
        .and_then(|metadata| metadata.modified())
        .ok();
    let age = changed.and_then(|changed| changed.elapsed().ok());
    let age = age.map_or_else(String::new, |age| {
        format!(", {} days old", age.as_secs() / (24 * 3600))
    });
    Ok(format!("{}{age}", path.display()))
}

/// As systemd sees it.
async fn is_synchronised() -> Option<bool> {
    let asked = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    // It asks over the system's bus, which may be stuck.
    let output = tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn place(config: &StoreConfig, own: Option<u32>) -> Store {
    let uid = own.unwrap_or_else(|| geteuid().as_raw());
    let file = |path: &Path| Store::Place(path.display().to_string(), users::unwritable(path, uid));
    match &config.place {
        StorePlace::Memory => Store::Memory,
        StorePlace::File(path) => file(path),
        StorePlace::Database { address, snapshot } => {
            // Its snapshot is left alone: files that root makes beside it would be in its owner's way.
            let alone = StoreConfig {
                place: StorePlace::Database {
                    address: address.clone(),
                    snapshot: None,
                },
                keep: config.keep,
            };
            let trouble = match store::open(&alone) {
                Ok(store) => store.trouble(),
                Err(error) => Some(error.to_string()),
            };
            match (trouble, snapshot) {
                (None, Some(path)) => file(path),
                (trouble, _) => Store::Place(address.to_string(), trouble),
            }
        }
    }
}

fn settings() -> Kernel {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let count = number("/proc/sys/net/netfilter/nf_conntrack_count");
    let most = number("/proc/sys/net/netfilter/nf_conntrack_max");
    let ports = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
    Kernel {
        conntrack: count.zip(most),
        src_valid_mark: highest("src_valid_mark"),
        rp_filter: highest("rp_filter"),
        ports: ports.and_then(|ports| {
            let mut ports = ports.split_whitespace().map(|port| port.parse().ok());
            ports.next()?.zip(ports.next()?)
        }),
    }
}

/// Of all interfaces, as `all` counts for each.
fn highest(setting: &str) -> u8 {
    let interfaces = fs::read_dir("/proc/sys/net/ipv4/conf")
        .into_iter()
        .flatten();
    interfaces
        .filter_map(Result::ok)
        .filter_map(|interface| fs::read_to_string(interface.path().join(setting)).ok())
        .filter_map(|value| value.trim().parse().ok())
        .max()
        .unwrap_or(0)
}

const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn net_06_how_connections_arrive_is_what_the_rules_say() {
        const OPEN: &str = "[[listener]]\nkind = \"redirect\"\naddress = \"[::]:10225\"\n";
        const LOOPBACK: &str = "[[listener]]\nkind = \"redirect\"\naddress = \"[::1]:10225\"\n";
        const TPROXY: &str = "[[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10125\"\n";
        const SOCKS: &str = "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:1080\"\n";
        const LINKS: &str = "[intercept]\nclients = [\"lan0\"]\nuplinks = [\"wan0\"]\n";
        const ON_HOST: &str = "[intercept]\nlayout = \"host\"\n";
        for (parts, expected) in [
            (&[][..], Way::Redirect),
            (&[LOOPBACK], Way::Redirect),
            (&[OPEN, ON_HOST], Way::Redirect),
            (&[OPEN, LINKS], Way::Gateway),
            (&[OPEN], Way::Gateway),
            (&[TPROXY, LINKS], Way::Tproxy),
            (&[TPROXY], Way::Tproxy),
            (&[LOOPBACK, TPROXY, LINKS], Way::Both),
            (&[SOCKS], Way::Handed),
        ] {
            let text = parts.concat();
            let config = Config::parse(&text, Path::new("d.toml")).unwrap().config;
            assert_eq!(way(&config), expected, "{text}");
        }
    }
}
