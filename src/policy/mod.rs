//! What a destination demands: [`facts`] (IO) gathers what DNS and policy hosts say, [`demand`] (pure) turns it into
//! the table of precedence, [`cache`] remembers MTA-STS policies between sessions and over restarts, [`identity`] holds
//! what the operator says of destinations, [`continuity`] what MX hosts had before, [`fingerprint`] what makes two demands the
//! same, [`pins`] what cleared sessions.

pub mod cache;
pub mod continuity;
pub mod demand;
pub mod facts;
pub mod fingerprint;
pub mod identity;
pub mod pins;
mod spending;

pub use continuity::Continuity;
pub use demand::{
    Candidate, Combine, DaneDemand, Demand, InsecureMx, Level, Located, Requirement, Settings,
    StsDemand,
};
pub use facts::{AddressFacts, Facts, HostFacts, MxFacts, StsState, TlsaFacts};
pub use fingerprint::Fingerprint;
