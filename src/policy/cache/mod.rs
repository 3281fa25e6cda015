//! MTA-STS policies between sessions: what is in force now (RFC 8461 §3.3, §5.1).
//!
//! An unexpired policy is never loosened by a failure: TXT missing, bogus or unreachable, a fetch that fails or an
//! invalid body leave it in force. One discovery runs per domain at a time, the others wait for it.
//!
//! `entry` (pure) knows what one domain's answers mean and what is to be done next, `shelf` (pure) keeps entries
//! within a bound of memory, `discovery` (IO) does what is to be done and holds the store to it, `following` hears what
//! others write there, `inspect` shows and changes entries for an operator.

mod discovery;
mod entry;
mod following;
mod inspect;
mod shelf;
#[cfg(test)]
mod tests;

pub use discovery::StsCache;
pub use entry::{Heard, Told, ToldFailure, ToldRecord};
pub use inspect::{Offered, Refreshed};
