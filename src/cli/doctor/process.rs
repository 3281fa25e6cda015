//! The proxy that runs, as the kernel and its admin address tell of it.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads /proc, asks the admin address"
)]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde_json::Value as Json;

use crate::cli::health::ask;
use crate::doctor::facts::Daemon;

/// The proxy of this network namespace.
pub(super) async fn find(admin: Option<SocketAddr>) -> Option<Daemon> {
    let mut daemon = running()?;
    if let Some(admin) = admin {
        daemon.version = version(admin).await.ok().flatten();
        daemon.faults = Some(faults(admin).await.unwrap_or_else(|error| {
            vec![format!("admin.address {admin} does not answer: {error}")]
        }));
    }
    Some(daemon)
}

fn running() -> Option<Daemon> {
    let processes = fs::read_dir("/proc").ok()?;
    let ours = fs::read_link("/proc/self/ns/net").ok();
    processes.filter_map(Result::ok).find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let home = entry.path();
        (is_proxy(&home) && is_here(&home, ours.as_ref())).then(|| describe(pid, &home))?
    })
}

fn is_proxy(home: &Path) -> bool {
    let name = fs::read_to_string(home.join("comm")).unwrap_or_default();
    let line = fs::read(home.join("cmdline")).unwrap_or_default();
    let mut arguments = line.split(|octet| *octet == 0);
    name.trim_end() == "danelaw" && arguments.nth(1) == Some(b"run")
}

/// Whoever may not know takes it for one of ours.
fn is_here(home: &Path, ours: Option<&PathBuf>) -> bool {
    match fs::read_link(home.join("ns/net")) {
        Ok(theirs) => Some(&theirs) == ours,
        Err(_) => true,
    }
}

fn describe(pid: u32, home: &Path) -> Option<Daemon> {
    let status = fs::read_to_string(home.join("status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let limits = fs::read_to_string(home.join("limits")).unwrap_or_default();
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = limit.and_then(|limit| limit.split_whitespace().next());
    Some(Daemon {
        pid,
        uid: field("Uid:")?.split_whitespace().nth(1)?.parse().ok()?,
        capabilities: u64::from_str_radix(field("CapEff:")?.trim(), 16).ok()?,
        // `unlimited` is no number.
        descriptors: soft.and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX),
        version: None,
        faults: None,
    })
}

async fn version(admin: SocketAddr) -> anyhow::Result<Option<String>> {
    let metrics = get(admin, "/metrics").await?;
    let told = metrics.split_once("danelaw_build_info{version=\"");
    let version = told.and_then(|(_, rest)| rest.split_once('"'));
    Ok(version.map(|(version, _)| version.to_owned()))
}

async fn faults(admin: SocketAddr) -> anyhow::Result<Vec<String>> {
    let page: Json = serde_json::from_str(&get(admin, "/readyz?format=json").await?)?;
    let checks = page["checks"].as_array().into_iter().flatten();
    let fault = |check: &Json| {
        let (name, fault) = (check["name"].as_str()?, check["fault"].as_str()?);
        Some(format!("{name}: {fault}"))
    };
    Ok(checks.filter_map(fault).collect())
}

/// The body of a page.
async fn get(admin: SocketAddr, target: &str) -> anyhow::Result<String> {
    let asked = tokio::time::timeout(PATIENCE, ask(admin, target, LONGEST)).await;
    let (_, body) = asked.context("no answer within five seconds")??;
    Ok(String::from_utf8(body.into())?)
}

const PATIENCE: Duration = Duration::from_secs(5);

/// Of a page.
const LONGEST: usize = 1 << 20;
