//! What belongs to one lookup while it runs: what it may spend, whom it asks first, and a diary when somebody wants to read one.

use std::sync::Arc;

use hickory_resolver::proto::rr::Name;

use super::diary::{Diary, Step};
use super::negative::{NegativeAnchors, plain};
use super::proof::Terms;
use super::proof::delegation::Ruling;
use super::proof::keys::ZoneKeys;
use super::purse::{Purses, Spent};
use crate::clock::Timestamp;

/// One lookup on its way.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    purses: Purses,
    /// The resolver to ask first: a lookup that came to nothing is tried again at the next one. Otherwise the one that answers.
    first: Option<usize>,
    diary: Option<Diary>,
    negative: Option<Arc<dyn NegativeAnchors>>,
}

impl Errand {
    pub(super) const fn new(purses: Purses, diary: Option<Diary>) -> Self {
        Self {
            purses,
            first: None,
            diary,
            negative: None,
        }
    }

    /// The same errand, with DNSSEC left aside where these say.
    pub(super) fn exempting(self, negative: Option<Arc<dyn NegativeAnchors>>) -> Self {
        Self { negative, ..self }
    }

    /// Until when DNSSEC is left aside at a name.
    pub(super) fn exempt(&self, name: &Name, now: Timestamp) -> Option<Timestamp> {
        let until = self.negative.as_ref()?.over(&plain(name), now)?;
        self.note(|| Step::Exempt {
            name: name.to_ascii(),
            until,
        });
        Some(until)
    }

    /// What was found out under another revision of the negative trust anchors is not used.
    pub(super) fn revision(&self) -> u64 {
        self.negative
            .as_ref()
            .map_or(0, |negative| negative.revision())
    }

    /// The same errand, with another resolver asked first.
    pub(super) fn starting_at(&self, first: usize) -> Self {
        Self {
            first: Some(first),
            ..self.clone()
        }
    }

    pub(super) const fn first(&self) -> Option<usize> {
        self.first
    }

    pub(super) fn pay_messages(&self, count: u32) -> Result<(), Spent> {
        self.purses.messages(count)
    }

    pub(super) const fn purses(&self) -> &Purses {
        &self.purses
    }

    /// For proofs at `now`.
    pub(super) const fn terms(&self, now: Timestamp) -> Terms<'_> {
        Terms {
            now,
            purses: &self.purses,
        }
    }

    pub(super) const fn has_diary(&self) -> bool {
        self.diary.is_some()
    }

    /// Writes down what stands at a name, seen from the zone above it. A signed zone writes itself down, once its keys are known.
    pub(super) fn note_ruling(&self, name: &Name, parent: &ZoneKeys, ruling: &Ruling) {
        let step = |name: String| match ruling {
            Ruling::Signed(_) => None,
            Ruling::Inside => Some(Step::Inside { name }),
            Ruling::Nothing => Some(Step::Nothing { name }),
            Ruling::Unsigned(because) => Some(Step::Unsigned {
                name,
                proven_by: parent.zone().to_ascii(),
                because: because.words().to_owned(),
            }),
        };
        if let Some(diary) = &self.diary
            && let Some(step) = step(name.to_ascii())
        {
            diary.write(step);
        }
    }

    /// Writes a step down, when somebody wants to read it.
    pub(super) fn note(&self, step: impl FnOnce() -> Step) {
        if let Some(diary) = &self.diary {
            diary.write(step());
        }
    }
}
