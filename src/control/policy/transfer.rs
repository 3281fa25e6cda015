//! Policies from one node to another: JSON, one policy a line, each with a digest of itself.
//!
//! An import adds and strengthens only, and all of it or nothing: one line that is damaged, or that would loosen a policy
//! in force here, keeps the others out too. Lines that add nothing (the policy is known here or has expired) do no harm.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use crate::calendar::as_text;
use crate::clock::Timestamp;
use crate::control::{Failure, Items, result};
use crate::dane::presentation::hex;
use crate::digest;
use crate::mtasts::{Policy, PolicyId};
use crate::name::Domain;
use crate::policy::cache::Offered;
use crate::proxy::engine::Engine;
use crate::store::StoredPolicy;
use crate::store::peers::Doubt;

/// A policy on its way; fields that a newer release adds are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyLine {
    /// Whose.
    pub domain: String,
    /// The id that was announced when it was fetched.
    pub id: String,
    /// When: its life is counted from here.
    #[serde(with = "as_text")]
    pub fetched: Timestamp,
    /// As it was fetched.
    pub text: String,
    /// SHA-256 over the fields above, each preceded by its length in eight octets, the time in seconds since 1970 as
    /// eight octets.
    pub digest: String,
}

/// The end of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Lines.
    pub exported: usize,
}

/// A line that is not taken over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// From 1.
    pub line: usize,
    /// Whose, where that can be read.
    pub domain: Option<String>,
    /// Whether that keeps the others out.
    pub verdict: Verdict,
    /// Which rule keeps it out.
    pub rule: String,
    /// What to do about it.
    pub remedy: String,
}

/// What becomes of a line that is not taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It adds nothing.
    Kept,
    /// It must not be taken over, and nothing of the file is.
    Refused,
}

/// The end of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Lines with something on them.
    pub lines: usize,
    /// Taken over; none when a line was refused.
    pub taken: usize,
    /// Those that add nothing.
    pub kept: usize,
    /// Those that must not be taken over.
    pub refused: usize,
}

/// Why a line is not taken over, and what to do.
struct Obstacle {
    verdict: Verdict,
    rule: String,
    remedy: &'static str,
}

pub(super) async fn export(engine: &Engine, items: &Items) -> Result<Value, Failure> {
    let mut exported = Exported { exported: 0 };
    for domain in engine.sts.domains() {
        let told = engine.sts.told(&domain);
        let Some(held) = told.filter(|told| told.is_live).and_then(|told| told.held) else {
            continue; // Expired, or dropped since.
        };
        if items.tell(&PolicyLine::of(&held)).await.is_err() {
            break;
        }
        exported.exported += 1;
    }
    result(&exported)
}

pub(super) async fn import(engine: &Engine, body: &[u8], items: &Items) -> Result<Value, Failure> {
    let mut imported = Imported::default();
    let mut taken = Vec::new();
    let mut seen = HashMap::new();
    for (index, text) in body.split(|octet| *octet == b'\n').enumerate() {
        if text.trim_ascii().is_empty() {
            continue;
        }
        imported.lines += 1;
        if imported.lines % LINES_BETWEEN_PAUSES == 0 {
            tokio::task::yield_now().await;
        }
        let line = index + 1;
        let (domain, obstacle) = match examine(engine, text, line, &mut seen).await {
            Ok(policy) => {
                taken.push(policy);
                continue;
            }
            Err((domain, obstacle)) => (domain, obstacle),
        };
        match obstacle.verdict {
            Verdict::Kept => imported.kept += 1,
            Verdict::Refused => imported.refused += 1,
        }
        let told = Line {
            line,
            domain,
            verdict: obstacle.verdict,
            rule: obstacle.rule,
            remedy: obstacle.remedy.to_owned(),
        };
        // Whoever asked has gone: what is under way is not done behind their back.
        if items.tell(&told).await.is_err() {
            return result(&imported);
        }
    }
    if imported.refused == 0 && !taken.is_empty() {
        imported.taken = taken.len();
        engine.sts.take_over(taken).await?;
        info!(
            policies = imported.taken,
            "MTA-STS policies were imported by an operator"
        );
    }
    result(&imported)
}

/// Sessions on the same thread do not wait for a whole file.
const LINES_BETWEEN_PAUSES: usize = 64;

/// One line: a policy to take over, or why not.
async fn examine(
    engine: &Engine,
    text: &[u8],
    line: usize,
    seen: &mut HashMap<Domain, usize>,
) -> Result<StoredPolicy, (Option<String>, Obstacle)> {
    let read: PolicyLine = serde_json::from_slice(text).map_err(|error| {
        let rule = format!("it is not a policy as JSON: {error}");
        (None, refused(rule, "take the line out, or export again"))
    })?;
    let domain = Some(read.domain.clone());
    let policy = read
        .policy()
        .map_err(|obstacle| (domain.clone(), obstacle))?;
    if let Some(before) = seen.insert(policy.domain.clone(), line) {
        let rule = format!("line {before} is about the same domain");
        return Err((domain, refused(rule, "take one of them out")));
    }
    let offered = engine.sts.weigh(&policy).await.map_err(|failure| {
        let rule = format!("what this node knows of the domain cannot be read: {failure}");
        let remedy = "mend the store (docs/store.md), then import again";
        (domain.clone(), refused(rule, remedy))
    })?;
    match obstacle(offered) {
        None => Ok(policy),
        Some(obstacle) => Err((domain, obstacle)),
    }
}

fn obstacle(offered: Offered) -> Option<Obstacle> {
    match offered {
        Offered::Taken => None,
        Offered::Kept => Some(Obstacle {
            verdict: Verdict::Kept,
            rule: "it has expired, or this node has the same policy or a newer one".into(),
            remedy: "nothing",
        }),
        Offered::Refused(why @ Doubt::Ahead) => Some(refused(
            why.to_string(),
            "set the clocks of both nodes, and export again",
        )),
        Offered::Refused(why @ (Doubt::Mode | Doubt::Life | Doubt::Hosts)) => Some(refused(
            why.to_string(),
            "have this node look for itself (`danelaw policy refresh`), then import again",
        )),
    }
}

const fn refused(rule: String, remedy: &'static str) -> Obstacle {
    Obstacle {
        verdict: Verdict::Refused,
        rule,
        remedy,
    }
}

impl PolicyLine {
    fn of(held: &StoredPolicy) -> Self {
        let mut line = Self {
            domain: held.domain.to_string(),
            id: held.id.as_str().to_owned(),
            fetched: held.fetched,
            text: held.policy.text.clone(),
            digest: String::new(),
        };
        line.digest = line.digested();
        line
    }

    fn policy(self) -> Result<StoredPolicy, Obstacle> {
        const AGAIN: &str = "export again; a line that was changed by hand is not taken";
        if self.digest != self.digested() {
            return Err(refused(
                "its digest is not that of its fields".into(),
                AGAIN,
            ));
        }
        let domain: Domain = self
            .domain
            .parse()
            .map_err(|error| refused(format!("its domain is none: {error}"), AGAIN))?;
        let id = PolicyId::parse(self.id.as_bytes())
            .ok_or_else(|| refused("its id is not 1 to 32 letters and digits".into(), AGAIN))?;
        let policy = Policy::parse(self.text.as_bytes())
            .map_err(|error| refused(format!("its text is no policy: {error}"), AGAIN))?;
        Ok(StoredPolicy {
            domain,
            id,
            policy: Arc::new(policy),
            fetched: self.fetched,
        })
    }

    fn digested(&self) -> String {
        let fetched = self.fetched.unix().to_be_bytes();
        hex(&digest::of_fields(&[
            self.domain.as_bytes(),
            self.id.as_bytes(),
            &fetched,
            self.text.as_bytes(),
        ]))
    }
}

#[cfg(test)]
mod tests;
