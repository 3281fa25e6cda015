//! What an operator may see of the cache and do to it: look, fetch anew, forget.
#![expect(clippy::disallowed_methods, reason = "IO: the store blocks")]

use std::sync::Arc;

use super::StsCache;
use super::discovery::Errand;
use super::entry::{Entry, Told};
use crate::name::Domain;
use crate::store::StoreError;

/// A domain before and after it was looked at anew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refreshed {
    /// What was known.
    pub before: Option<Told>,
    /// What is.
    pub after: Option<Told>,
}

impl StsCache {
    /// The domains with a policy, expired ones too, in order.
    #[must_use]
    pub fn domains(&self) -> Vec<Domain> {
        let mut domains = self.shared.lock().shelf.domains(Entry::is_stored);
        domains.sort_unstable();
        domains
    }

    /// What is known of a domain.
    #[must_use]
    pub fn told(&self, domain: &Domain) -> Option<Told> {
        let now = self.shared.now();
        self.shared.lock().shelf.peek(domain).told(domain, now)
    }

    /// Asks for the records and fetches the policy now, back-off or not. A failure leaves what is in force in force.
    pub async fn refresh(&self, domain: &Domain) -> Refreshed {
        let before = self.told(domain);
        self.shared.run_anew(domain, Errand::Operator).await;
        Refreshed {
            before,
            after: self.told(domain),
        }
    }

    /// Forgets a domain, here and in the store: its next contact is a first one. Gives what was known.
    ///
    /// # Errors
    /// When the store cannot be written; nothing is forgotten then.
    pub async fn forget(&self, domain: &Domain) -> Result<Option<Told>, StoreError> {
        let before = self.told(domain);
        let (store, name) = (Arc::clone(&self.shared.store), domain.clone());
        let removed = tokio::task::spawn_blocking(move || store.remove(&name)).await;
        if let Ok(Err(error)) = removed {
            return Err(error);
        }
        self.shared.lock().shelf.remove(domain);
        Ok(before)
    }
}
