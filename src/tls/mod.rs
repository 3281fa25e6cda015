//! Reaches the peer over TLS and writes down what was seen; passes no judgement on chain or name.
//!
//! [`evidence`] is what the verdict reads. [`client`] shakes hands with a verifier that proves possession of the
//! leaf's key and nothing more (`possession`), and says in a sentence why a handshake failed (`failure`). [`roots`]
//! loads the CAs that MTA-STS trusts.

pub mod client;
pub mod evidence;
mod failure;
mod possession;
pub mod roots;

pub use evidence::{Evidence, Handshake};
