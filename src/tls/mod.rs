//! Reaches the peer over TLS and writes down what was seen; passes no judgement on chain or name.
//!
//! [`evidence`] is what the verdict reads. [`client`] shakes hands with a verifier that proves possession of the
//! leaf's key and nothing more.

pub mod client;
pub mod evidence;

pub use evidence::{Evidence, Handshake};
