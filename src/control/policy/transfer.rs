//! Policies from one node to another; `sheet` knows the file.
//!
//! An import adds and strengthens only, and all of it or nothing: one line that is damaged or missing, or that would
//! loosen a policy in force here, keeps the others out too. Lines that add nothing (the policy is known here, has expired,
//! or enforces nothing) do no harm. What is told at the end is what memory holds then.

mod sheet;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::info;

use crate::control::{Failure, Items, result};
use crate::name::Domain;
use crate::policy::cache::{Offered, Taken};
use crate::proxy::engine::Engine;
use crate::store::StoredPolicy;
use crate::store::peers::{Doubt, Idle};

use sheet::Ending;
pub use sheet::{Part, PolicyLine, Sheet};

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
    /// It was taken over, and memory has no room for it.
    Crowded,
    /// It must not be taken over, and nothing of the file is.
    Refused,
}

/// The end of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// Policies in the file.
    pub lines: usize,
    /// Taken over and in memory now; none when a line was refused.
    pub taken: usize,
    /// Those that add nothing: the sum of the four that follow.
    pub kept: usize,
    /// Their life is over.
    pub expired: usize,
    /// This node has the same policy or a newer one.
    pub known: usize,
    /// They enforce nothing: this node looks for itself.
    pub enforcing_nothing: usize,
    /// While the file was taken over, a session has learnt something newer.
    pub overtaken: usize,
    /// Memory has no room for them: the store has them, where there is one that lasts.
    pub crowded: usize,
    /// Lines that keep the whole file out.
    pub refused: usize,
}

impl Imported {
    const fn passed_over(&mut self, idle: Idle) {
        self.kept += 1;
        match idle {
            Idle::Over => self.expired += 1,
            Idle::Known => self.known += 1,
            Idle::EnforcesNothing => self.enforcing_nothing += 1,
        }
    }
}

/// Why a line is not taken over.
enum Obstacle {
    /// It adds nothing.
    Idle(Idle),
    /// It must not be, and what to do.
    Refused { rule: String, remedy: &'static str },
}

pub(super) async fn export(engine: &Engine, items: &Items) -> Result<Value, Failure> {
    let mut exported = Exported { exported: 0 };
    for domain in engine.sts.domains() {
        let told = engine.sts.told(&domain);
        let Some(held) = told
            .filter(|told| told.is_live())
            .and_then(|told| told.held)
        else {
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
    let (mut offered, mut seen) = (Vec::new(), HashMap::new());
    let mut ending = Ending::default();
    for (index, text) in body.split_inclusive(|octet| *octet == b'\n').enumerate() {
        let line = index + 1;
        let examined = match ending.read(text, line) {
            Ok(None) => continue,
            Ok(Some(read)) => {
                imported.lines += 1;
                if imported.lines % LINES_BETWEEN_PAUSES == 0 {
                    tokio::task::yield_now().await;
                }
                examine(engine, read, line, &mut seen).await
            }
            Err(obstacle) => Err((None, obstacle)),
        };
        let told = match examined {
            Ok(policy) => {
                offered.push((line, policy));
                continue;
            }
            Err((domain, obstacle)) => imported.note(line, domain, obstacle),
        };
        // Whoever asked has gone: what is under way is not done behind their back.
        if items.tell(&told).await.is_err() {
            return result(&imported);
        }
    }
    if let Err((line, obstacle)) = ending.check() {
        let told = imported.note(line, None, obstacle);
        let _ = items.tell(&told).await;
    }
    if imported.refused == 0 && !offered.is_empty() {
        take_over(engine, offered, &mut imported, items).await?;
    }
    result(&imported)
}

/// What becomes of them is told as it stands afterwards.
async fn take_over(
    engine: &Engine,
    offered: Vec<(usize, StoredPolicy)>,
    imported: &mut Imported,
    items: &Items,
) -> Result<(), Failure> {
    let (lines, policies): (Vec<usize>, Vec<StoredPolicy>) = offered.into_iter().unzip();
    let domains: Vec<Domain> = policies.iter().map(|one| one.domain.clone()).collect();
    let all = engine.sts.take_over(policies).await?;
    for ((line, domain), taken) in lines.into_iter().zip(domains).zip(all) {
        let told = match taken {
            Taken::Held => {
                imported.taken += 1;
                continue;
            }
            Taken::Overtaken => {
                imported.kept += 1;
                imported.overtaken += 1;
                let rule = "a session has learnt something newer meanwhile";
                Line::new(line, &domain, Verdict::Kept, rule, "nothing")
            }
            Taken::Crowded => {
                imported.crowded += 1;
                Line::new(
                    line,
                    &domain,
                    Verdict::Crowded,
                    CROWDED,
                    "raise mta_sts.cache_mib",
                )
            }
        };
        // It is done, whoever hears of it.
        let _ = items.tell(&told).await;
    }
    let Imported { taken, crowded, .. } = *imported;
    info!(
        policies = taken,
        crowded, "MTA-STS policies were imported by an operator"
    );
    Ok(())
}

const CROWDED: &str = "memory has no room for it: it is looked for in the store when mail goes there, where one is \
    configured, else it is lost";

impl Imported {
    fn note(&mut self, line: usize, domain: Option<String>, obstacle: Obstacle) -> Line {
        let (verdict, rule, remedy) = match obstacle {
            Obstacle::Idle(idle) => {
                self.passed_over(idle);
                (Verdict::Kept, idle.to_string(), "nothing")
            }
            Obstacle::Refused { rule, remedy } => {
                self.refused += 1;
                (Verdict::Refused, rule, remedy)
            }
        };
        Line {
            line,
            domain,
            verdict,
            rule,
            remedy: remedy.to_owned(),
        }
    }
}

impl Line {
    fn new(line: usize, domain: &Domain, verdict: Verdict, rule: &str, remedy: &str) -> Self {
        Self {
            line,
            domain: Some(domain.to_string()),
            verdict,
            rule: rule.to_owned(),
            remedy: remedy.to_owned(),
        }
    }
}

/// Sessions on the same thread do not wait for a whole file.
const LINES_BETWEEN_PAUSES: usize = 64;

/// One line: a policy to take over, or why not.
async fn examine(
    engine: &Engine,
    read: PolicyLine,
    line: usize,
    seen: &mut HashMap<Domain, usize>,
) -> Result<StoredPolicy, (Option<String>, Obstacle)> {
    let domain = Some(read.domain.clone());
    let policy = read
        .policy()
        .map_err(|obstacle| (domain.clone(), obstacle))?;
    if let Some(before) = seen.insert(policy.domain.clone(), line) {
        let rule = format!("line {before} is about the same domain");
        return Err((domain, refused(rule, "export again")));
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
        Offered::Idle(idle) => Some(Obstacle::Idle(idle)),
        // Neither enforces: nothing is lost, and the domain itself is asked.
        Offered::Refused(Doubt::Other) => Some(Obstacle::Idle(Idle::EnforcesNothing)),
        Offered::Refused(why @ Doubt::Ahead) => Some(refused(
            why.to_string(),
            "set the clocks of both nodes, and export again",
        )),
        Offered::Refused(why @ (Doubt::Mode | Doubt::Life | Doubt::Hosts)) => Some(refused(
            why.to_string(),
            "have this node look for itself (`danelaw policy refresh`) or forget what it holds (`danelaw policy drop`), \
             then import again",
        )),
    }
}

const fn refused(rule: String, remedy: &'static str) -> Obstacle {
    Obstacle::Refused { rule, remedy }
}

#[cfg(test)]
mod tests;
