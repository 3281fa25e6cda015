//! Reaches the peer over TLS and writes down what was seen; passes no judgement on chain or name.
//!
//! [`evidence`] is what the verdict reads. [`client`] shakes hands with a verifier that proves possession of the
//! leaf's key and nothing more (`possession`), and says in a sentence why a handshake failed (`failure`). [`tickets`]
//! keeps what may be resumed, each session for the demand that it was cleared for. [`roots`] loads the CAs that MTA-STS
//! trusts. Towards mail servers it is the other way round: [`authority`] is the local CA, and [`server`] shakes hands
//! with the leaves that it mints.

pub mod authority;
pub mod client;
pub mod evidence;
mod failure;
mod possession;
pub mod roots;
pub mod server;
pub mod tickets;

pub use evidence::{Evidence, Handshake};
