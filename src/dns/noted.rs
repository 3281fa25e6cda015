//! Writes down every answer that passes, for the trace of a decision: whole, so that it can be decided again from them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::BoxFuture;

use super::purse::Purse;
use super::{Family, Lookup, Mx, Resolved, Text, TlsaRdata};
use crate::name::DnsName;

/// Answers, in the order in which they came.
#[derive(Debug, Default)]
pub struct Notes(Mutex<Vec<Note>>);

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The name that was asked for.
    pub name: DnsName,
    /// What came.
    pub found: Found,
}

/// An answer of each type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// MX.
    Mx(Resolved<Vec<Mx>>),
    /// A or AAAA.
    Addresses(Family, Resolved<Vec<IpAddr>>),
    /// TLSA.
    Tlsa(Resolved<Vec<TlsaRdata>>),
    /// TXT.
    Txt(Resolved<Vec<Text>>),
}

impl Notes {
    /// What has been noted so far.
    #[must_use]
    pub fn taken(&self) -> Vec<Note> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn take(&self, name: &DnsName, found: Found) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.len() < MOST {
            notes.push(Note {
                name: name.clone(),
                found,
            });
        }
    }
}

/// A [`Lookup`] whose answers are noted.
pub struct Noted<L: ?Sized> {
    notes: Arc<Notes>,
    lookup: Arc<L>,
}

impl<L: Lookup + ?Sized> Noted<L> {
    /// Notes what `lookup` answers.
    #[must_use]
    pub const fn new(lookup: Arc<L>, notes: Arc<Notes>) -> Self {
        Self { notes, lookup }
    }
}

impl<L: Lookup + ?Sized> Lookup for Noted<L> {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Box::pin(async {
            let resolved = self.lookup.mx(domain).await;
            self.notes.take(domain, Found::Mx(resolved.clone()));
            resolved
        })
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        Box::pin(async move {
            let resolved = self.lookup.addresses(host, family).await;
            let found = Found::Addresses(family, resolved.clone());
            self.notes.take(host, found);
            resolved
        })
    }

    fn tlsa<'a>(&'a self, owner: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Box::pin(async {
            let resolved = self.lookup.tlsa(owner).await;
            self.notes.take(owner, Found::Tlsa(resolved.clone()));
            resolved
        })
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Box::pin(async {
            let resolved = self.lookup.txt(name).await;
            self.notes.take(name, Found::Txt(resolved.clone()));
            resolved
        })
    }

    fn within(&self, purse: Arc<Purse>) -> Option<Box<dyn Lookup + '_>> {
        let lookup: Arc<dyn Lookup + '_> = self.lookup.within(purse)?.into();
        Some(Box::new(Noted {
            notes: Arc::clone(&self.notes),
            lookup,
        }))
    }
}

/// A hundred MX hosts with aliases need fewer.
const MOST: usize = 1000;
