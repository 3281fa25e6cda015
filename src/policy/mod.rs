//! What a destination demands: [`facts`] (IO) gathers what DNS and policy hosts say, [`demand`] (pure) turns it into
//! the table of precedence, [`cache`] remembers MTA-STS policies between sessions and over restarts, [`identity`] holds
//! what the operator says of destinations. [`exceptions`] (pure) are what they say of single domains, [`mode`] (pure) is
//! whether a domain's demands are enforced or only reported; [`scope`] says for which domains. [`continuity`] (pure) is
//! what MX hosts had before, [`fingerprint`] (pure) what makes two demands the same, [`pins`] what cleared sessions.

pub mod cache;
pub mod continuity;
pub mod demand;
pub mod exceptions;
pub mod facts;
pub mod fingerprint;
pub mod identity;
pub mod mode;
pub mod pins;
pub mod scope;
mod spending;

pub use continuity::Continuity;
pub use demand::{
    Candidate, Combine, DaneDemand, Demand, InsecureMx, Level, Local, Located, Requirement,
    Settings, StsDemand, Terms,
};
pub use facts::{AddressFacts, Facts, HostFacts, MxFacts, StsState, TlsaFacts};
pub use fingerprint::Fingerprint;
pub use mode::{Mode, Modes};
