//! MTA-STS policies between sessions: what is in force now (RFC 8461 §3.3, §5.1).
//!
//! An unexpired policy is never loosened by a failure: TXT missing, bogus or unreachable, a fetch that fails or an
//! invalid body leave it in force. One discovery runs per domain at a time, the others wait for it.
//!
//! `entry` and `held` (pure) know what one domain's answers mean and what is to be done next, `shelf` (pure) keeps
//! entries within a bound of memory, `discovery` (IO) lets one discovery run per domain, `errand` (IO) is one: it does what
//! is to be done, `writing` (IO) holds the store to it. `upkeep` (IO) fetches in advance, `recall` (IO) finds in the store
//! what memory has no room for, `hinted` (IO) asks for what a list names, `following` hears what others write to the store,
//! `inspect` shows and changes entries for an operator, `lost` asks anew what a damaged store has lost, `tally` counts.

mod discovery;
mod entry;
mod errand;
mod following;
mod held;
mod hinted;
mod inspect;
mod lost;
mod recall;
mod shelf;
mod slots;
pub mod tally;
#[cfg(test)]
mod tests;
mod upkeep;
mod writing;

pub use discovery::{CacheOptions, StsCache};
pub use entry::{Heard, Patience, Standing, Told, ToldFailure, ToldRecord};
pub use inspect::{Offered, Refreshed, Taken};
