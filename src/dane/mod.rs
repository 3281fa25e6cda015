//! DANE for SMTP: TLSA records and what they say of a certificate chain (RFC 6698, RFC 7671, RFC 7672). Pure.
//!
//! [`tlsa`] parses RDATA and keeps what is usable, [`verify()`] holds a presented chain against it; `anchor` is its
//! part for DANE-TA, the trust anchors that records name and the paths to them. [`presentation`] reads and writes records
//! as zone files have them.

mod anchor;
pub mod presentation;
pub mod tlsa;
mod verify;

pub use tlsa::{Matching, Selector, Tlsa, Usage};
pub(crate) use verify::published;
pub use verify::{Match, Mismatch, Presented, verify};
