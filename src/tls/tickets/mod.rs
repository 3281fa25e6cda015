//! TLS sessions that a later connection may resume, kept apart by what they were cleared for (RFC 8446 §4.6.1,
//! RFC 6066 §3, attack TLS-11).
//!
//! A ticket is kept only once its connection was cleared, under the [`Endpoint`] and the [`Fingerprint`] of the demand
//! that it met, and only for [`LIFETIME`] from the full handshake on: a session that is resumed again and again does not
//! grow younger. rustls asks a store for tickets by the server's name alone, so it never sees this one: each connection
//! has a [`Pocket`] with the one ticket that it may use, and what the server hands out meanwhile.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls_pki_types::ServerName;

use crate::name::DnsName;
use crate::policy::Fingerprint;

/// How long after its full handshake a session may be resumed: so long a server that has changed its key can be taken
/// for the one that it was.
pub const LIFETIME: Duration = Duration::from_hours(1);

/// Endpoints that are remembered; some 4 KiB each, mostly the certificates.
pub const CAPACITY: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Tickets of one endpoint, the latest. A TLS 1.3 server hands out two or four.
const MAX_TICKETS: usize = 8;

/// How long none is offered where one has cost a connection: its demand was another's, or the server choked on it.
const PAUSE: Duration = LIFETIME;

/// Where a ticket comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address and port.
    pub destination: SocketAddr,
    /// The name that was asked for.
    pub sni: DnsName,
}

/// All tickets.
pub struct Tickets {
    shelves: Mutex<LruCache<Endpoint, Shelf>>,
}

/// What is kept of an endpoint.
#[derive(Default)]
struct Shelf {
    /// The latest last.
    tickets: VecDeque<Ticket>,
    group: Option<NamedGroup>,
    paused: Option<Instant>,
    /// What was born until then counts no more.
    void: Option<Instant>,
}

struct Ticket {
    label: Label,
    value: Value,
}

/// What a ticket was cleared for, and when its full handshake was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Label {
    demand: Fingerprint,
    born: Instant,
}

enum Value {
    Tls12(Tls12ClientSessionValue),
    Tls13(Tls13ClientSessionValue),
}

/// What one connection may use, and what it is given. rustls takes it for a store.
pub struct Pocket {
    /// When its handshake began, which its tickets are as old as.
    began: Instant,
    offered: Option<Label>,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    ticket: Option<Value>,
    received: Vec<Value>,
    group: Option<NamedGroup>,
}

impl Default for Tickets {
    fn default() -> Self {
        Self {
            shelves: Mutex::new(LruCache::new(CAPACITY)),
        }
    }
}

impl Tickets {
    /// The pocket for a connection: with a ticket where there is one. One that was cleared for a demand goes before one
    /// that was cleared for none, since it serves both.
    #[must_use]
    pub fn offer(&self, endpoint: &Endpoint, now: Instant) -> Pocket {
        let mut shelves = lock(&self.shelves);
        let Some(shelf) = shelves.get_mut(endpoint) else {
            return Pocket::new(None, now);
        };
        let mut pocket = Pocket::new(shelf.group, now);
        if shelf.is_paused(now) {
            return pocket;
        }
        shelf
            .tickets
            .retain(|ticket| now.saturating_duration_since(ticket.label.born) < LIFETIME);
        let proven = |ticket: &Ticket| !ticket.label.demand.is_nothing();
        let chosen = shelf
            .tickets
            .iter()
            .rposition(proven)
            .or_else(|| shelf.tickets.len().checked_sub(1));
        let Some(ticket) = chosen.and_then(|index| shelf.take(index)) else {
            return pocket;
        };
        pocket.offered = Some(ticket.label);
        lock(&pocket.inside).ticket = Some(ticket.value);
        pocket
    }

    /// The pocket for a connection that is to make a full handshake.
    #[must_use]
    pub fn none(&self, endpoint: &Endpoint, now: Instant) -> Pocket {
        let shelves = lock(&self.shelves);
        Pocket::new(shelves.peek(endpoint).and_then(|shelf| shelf.group), now)
    }

    /// Keeps what a connection was given, under what it was cleared for; one that was resumed goes on with the label of its
    /// ticket. It may have been cleared long after its handshake.
    pub fn keep(&self, endpoint: &Endpoint, pocket: &Pocket, session: Cleared, now: Instant) {
        let (received, group) = {
            let mut inside = lock(&pocket.inside);
            (std::mem::take(&mut inside.received), inside.group)
        };
        if received.is_empty() && group.is_none() {
            return;
        }
        let label = match (session, pocket.offered) {
            (Cleared::Anew(demand), _) => Label {
                demand,
                born: pocket.began,
            },
            (Cleared::Resumed, Some(label)) => label,
            (Cleared::Resumed, None) => return,
        };
        let mut shelves = lock(&self.shelves);
        let shelf = shelves.get_or_insert_mut(endpoint.clone(), Shelf::default);
        shelf.group = group.or(shelf.group);
        if shelf.is_paused(now) || shelf.void.is_some_and(|void| label.born <= void) {
            return;
        }
        for value in received {
            shelf.put(Ticket { label, value });
        }
    }

    /// A ticket has been in the way: it is not tried again for a while.
    pub fn pause(&self, endpoint: &Endpoint, now: Instant) {
        let mut shelves = lock(&self.shelves);
        let shelf = shelves.get_or_insert_mut(endpoint.clone(), Shelf::default);
        shelf.tickets.clear();
        shelf.paused = Some(now + PAUSE);
    }

    /// Forgets the tickets of an endpoint, also those that connections have in their pockets.
    pub fn forget(&self, endpoint: &Endpoint, now: Instant) {
        let mut shelves = lock(&self.shelves);
        let shelf = shelves.get_or_insert_mut(endpoint.clone(), Shelf::default);
        shelf.tickets.clear();
        shelf.void = Some(now);
    }

    /// Tickets that are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        let shelves = lock(&self.shelves);
        shelves.iter().map(|(_, shelf)| shelf.tickets.len()).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a connection that was cleared has come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleared {
    /// By a full handshake, for this demand.
    Anew(Fingerprint),
    /// By its ticket.
    Resumed,
}

impl Shelf {
    fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| now < until)
    }

    /// A TLS 1.3 ticket serves once (RFC 8446 §C.4), a TLS 1.2 session again and again.
    fn take(&mut self, index: usize) -> Option<Ticket> {
        let Ticket { label, value } = self.tickets.get(index)?;
        match value {
            Value::Tls12(session) => Some(Ticket {
                label: *label,
                value: Value::Tls12(session.clone()),
            }),
            Value::Tls13(_) => self.tickets.remove(index),
        }
    }

    fn put(&mut self, ticket: Ticket) {
        if matches!(ticket.value, Value::Tls12(_)) {
            let is_older = |one: &Ticket| {
                matches!(one.value, Value::Tls12(_)) && one.label.demand == ticket.label.demand
            };
            self.tickets.retain(|one| !is_older(one));
        }
        if self.tickets.len() == MAX_TICKETS {
            self.tickets.pop_front();
        }
        self.tickets.push_back(ticket);
    }
}

impl Pocket {
    fn new(group: Option<NamedGroup>, began: Instant) -> Self {
        let inside = Inside {
            group,
            ..Inside::default()
        };
        Self {
            began,
            offered: None,
            inside: Mutex::new(inside),
        }
    }

    /// What the ticket in it was cleared for, where there is one.
    #[must_use]
    pub fn offered(&self) -> Option<Fingerprint> {
        self.offered.map(|label| label.demand)
    }
}

impl ClientSessionStore for Pocket {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        lock(&self.inside).group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        lock(&self.inside).group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        lock(&self.inside).receive(Value::Tls12(session));
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        match &lock(&self.inside).ticket {
            Some(Value::Tls12(session)) => Some(session.clone()),
            Some(Value::Tls13(_)) | None => None,
        }
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        let mut inside = lock(&self.inside);
        inside
            .ticket
            .take_if(|ticket| matches!(ticket, Value::Tls12(_)));
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        lock(&self.inside).receive(Value::Tls13(ticket));
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        match lock(&self.inside)
            .ticket
            .take_if(|ticket| matches!(ticket, Value::Tls13(_)))?
        {
            Value::Tls13(ticket) => Some(ticket),
            Value::Tls12(_) => None,
        }
    }
}

impl Inside {
    /// A server may hand out as many as it likes.
    fn receive(&mut self, value: Value) {
        if self.received.len() < MAX_TICKETS {
            self.received.push(value);
        }
    }
}

impl fmt::Debug for Pocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the secrets.
        f.debug_struct("Pocket")
            .field("offered", &self.offered)
            .finish_non_exhaustive()
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one insert or remove, so a panic elsewhere leaves nothing half done.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
