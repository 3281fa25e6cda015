//! What finding out about one recipient's domain may cost, over all sessions (attacks DNS-10, DNS-14, DNS-15).
//!
//! Sessions that ask about a domain at the same time pay from one purse. A purse that is spent stays the domain's purse for a
//! while, so that a hostile domain cannot have a new one for every recipient; what is cached is served all the same.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;

use crate::clock::{Clock, Timestamp};
use crate::dns::purse::Purse;
use crate::name::Domain;

/// The purses of the domains that were asked about lately.
pub(super) struct Spending {
    accounts: Mutex<LruCache<Domain, Account>>,
    clock: Arc<dyn Clock>,
}

struct Account {
    purse: Arc<Purse>,
    opened: Timestamp,
}

impl Spending {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            accounts: Mutex::new(LruCache::new(MOST_ACCOUNTS)),
            clock,
        }
    }

    /// What is paid from for this domain now.
    pub(super) fn purse(&self, domain: &Domain) -> Arc<Purse> {
        let now = self.clock.wall();
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(domain)
            && account.is_open(now)
        {
            return Arc::clone(&account.purse);
        }
        let purse = Arc::new(Purse::for_domain());
        let account = Account {
            purse: Arc::clone(&purse),
            opened: now,
        };
        accounts.put(domain.clone(), account);
        purse
    }
}

impl Account {
    fn is_open(&self, now: Timestamp) -> bool {
        let lasts = if self.purse.is_spent() {
            SPENT_FOR
        } else {
            SHARED_FOR
        };
        // A clock that was set back opens a new account.
        self.opened <= now && now < self.opened.plus(lasts)
    }
}

/// Long enough for all who ask at once, short enough for a busy domain whose answers may not be kept.
const SHARED_FOR: Duration = Duration::from_secs(2);

/// Mail servers try again after minutes.
const SPENT_FOR: Duration = Duration::from_secs(60);

const MOST_ACCOUNTS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(9_999);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[derive(Clone, Default)]
    struct Hand(Arc<AtomicU64>);

    impl Clock for Hand {
        fn wall(&self) -> Timestamp {
            Timestamp::from_unix(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn dns_10_dns_14_dns_15_a_spent_purse_stays_the_purse_of_its_domain_for_a_while() {
        let clock = Hand::default();
        let spending = Spending::new(Arc::new(clock.clone()));
        let at = |seconds: u64, domain: &str| {
            clock.0.store(seconds, Ordering::Relaxed);
            spending.purse(&domain.parse().unwrap())
        };
        let first = at(100, "a.example");
        for (seconds, domain, same) in [
            (101, "a.example", true),
            (101, "b.example", false),
            (102, "a.example", false),
        ] {
            assert_eq!(
                Arc::ptr_eq(&first, &at(seconds, domain)),
                same,
                "{seconds} {domain}"
            );
        }
        let spent = at(200, "a.example");
        spent.empty();
        for (seconds, same) in [(202, true), (259, true), (260, false)] {
            let now = at(seconds, "a.example");
            assert_eq!(Arc::ptr_eq(&spent, &now), same, "{seconds}");
        }
    }

    #[test]
    fn a_clock_set_back_opens_a_new_account() {
        let clock = Hand::default();
        let spending = Spending::new(Arc::new(clock.clone()));
        let domain: Domain = "a.example".parse().unwrap();
        clock.0.store(200, Ordering::Relaxed);
        let spent = spending.purse(&domain);
        spent.empty();
        clock.0.store(199, Ordering::Relaxed);
        assert!(!Arc::ptr_eq(&spent, &spending.purse(&domain)));
    }
}
