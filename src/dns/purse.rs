//! What may be spent on answers: messages to the recursive resolvers, and arithmetic on what comes back.
//!
//! The zones of a destination decide how many questions it takes to judge them and how many signatures there are to try, so
//! there must be an end that they do not choose (CVE-2023-50387, CVE-2023-50868, attacks DNS-10, DNS-14 and DNS-15). Every
//! lookup has a purse of its own, and all lookups for one recipient's domain share another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// So much and no more.
#[derive(Debug)]
pub struct Purse {
    messages: AtomicU32,
    proofs: AtomicU32,
}

/// Nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

/// The purses that one lookup pays from, at once.
#[derive(Clone, Debug)]
pub(super) struct Purses {
    lookup: Arc<Purse>,
    domain: Option<Arc<Purse>>,
}

impl Purse {
    /// For one lookup. Enough for the deepest honest chain of zones and aliases.
    pub(super) const fn for_lookup() -> Self {
        Self::of(MOST_MESSAGES, MOST_PROOFS)
    }

    /// For all lookups about one recipient's domain: a hundred MX hosts, each in a signed zone of its own.
    #[must_use]
    pub const fn for_domain() -> Self {
        Self::of(MOST_MESSAGES_OF_A_DOMAIN, MOST_PROOFS_OF_A_DOMAIN)
    }

    const fn of(messages: u32, proofs: u32) -> Self {
        Self {
            messages: AtomicU32::new(messages),
            proofs: AtomicU32::new(proofs),
        }
    }

    /// Messages and proofs that are left.
    #[cfg(test)]
    pub(super) fn left(&self) -> (u32, u32) {
        let left = |kind: &AtomicU32| kind.load(Ordering::Relaxed);
        (left(&self.messages), left(&self.proofs))
    }

    fn is_spent(&self) -> bool {
        self.messages.load(Ordering::Relaxed) == 0 || self.proofs.load(Ordering::Relaxed) == 0
    }
}

impl Purses {
    pub(super) fn new(domain: Option<Arc<Purse>>) -> Self {
        Self {
            lookup: Arc::new(Purse::for_lookup()),
            domain,
        }
    }

    /// Pays for messages.
    pub(super) fn messages(&self, count: u32) -> Result<(), Spent> {
        self.pay(count, |purse| &purse.messages)
    }

    /// Pays for signatures to check or names to hash, in units of the work that an ordinary one is.
    pub(super) fn proofs(&self, count: u32) -> Result<(), Spent> {
        self.pay(count, |purse| &purse.proofs)
    }

    /// Did the domain as a whole come to its end? Then this says nothing about the name that was looked up last.
    pub(super) fn domain_is_spent(&self) -> bool {
        self.domain.as_deref().is_some_and(Purse::is_spent)
    }

    /// Messages that this lookup has paid for.
    pub(super) fn messages_spent(&self) -> u32 {
        MOST_MESSAGES - self.lookup.messages.load(Ordering::Relaxed)
    }

    fn pay(&self, count: u32, kind: fn(&Purse) -> &AtomicU32) -> Result<(), Spent> {
        take(count, kind(&self.lookup))?;
        self.domain
            .as_deref()
            .map_or(Ok(()), |purse| take(count, kind(purse)))
    }
}

/// What is left goes, even when it is not enough: otherwise nobody could tell that it was spent.
fn take(count: u32, left: &AtomicU32) -> Result<(), Spent> {
    let rest = |left: u32| Some(left.saturating_sub(count));
    match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest) {
        Ok(before) if before >= count => Ok(()),
        Ok(_) | Err(_) => Err(Spent),
    }
}

/// Messages of one lookup.
pub(super) const MOST_MESSAGES: u32 = 160;

/// Signatures and hashes of one lookup; each unit is a third of a millisecond at most.
const MOST_PROOFS: u32 = 600;

/// Messages for one recipient's domain.
pub(super) const MOST_MESSAGES_OF_A_DOMAIN: u32 = 600;

/// Signatures and hashes for one recipient's domain.
const MOST_PROOFS_OF_A_DOMAIN: u32 = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_15_lookups_for_one_domain_pay_from_one_purse() {
        let domain = Arc::new(Purse::of(3, 1));
        let (one, other) = (
            Purses::new(Some(Arc::clone(&domain))),
            Purses::new(Some(domain)),
        );
        assert_eq!(one.messages(1), Ok(()));
        assert_eq!(other.messages(1), Ok(()));
        assert!(!other.domain_is_spent());
        assert_eq!(one.messages(1), Ok(()));
        assert_eq!(other.messages(1), Err(Spent));
        assert!(one.domain_is_spent() && other.domain_is_spent());
        assert_eq!(one.proofs(1), Ok(()));
        assert_eq!(other.proofs(1), Err(Spent));
    }

    #[test]
    fn dns_10_what_is_not_enough_is_spent_too() {
        let purses = Purses::new(Some(Arc::new(Purse::of(9, 9))));
        assert_eq!(purses.proofs(7), Ok(()));
        assert!(!purses.domain_is_spent());
        assert_eq!(purses.proofs(3), Err(Spent));
        assert!(purses.domain_is_spent());
        assert_eq!(purses.proofs(1), Err(Spent));
    }

    #[test]
    fn dns_10_a_lookup_has_an_end_of_its_own() {
        let purses = Purses::new(None);
        let messages = (0..).take_while(|_| purses.messages(1).is_ok()).count();
        let proofs = (0..).take_while(|_| purses.proofs(1).is_ok()).count();
        assert_eq!((messages, proofs), (160, 600));
        assert!(!purses.domain_is_spent(), "there is no domain");
        assert_eq!(purses.messages_spent(), 160);
    }
}
