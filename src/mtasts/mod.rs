//! MTA-STS (RFC 8461): [`record`] (pure) the TXT record, [`policy`] (pure) the policy file, [`fetch`] (IO) the policy
//! host.

pub mod fetch;
pub mod policy;
pub mod record;

pub use policy::{Mode, MxPattern, Policy};
pub use record::PolicyId;
