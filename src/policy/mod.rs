//! What a destination demands: [`facts`] (IO) gathers what DNS and policy hosts say, [`demand`] (pure) turns it into
//! the table of precedence, [`cache`] remembers MTA-STS policies between sessions and over restarts, [`identity`] holds
//! what the operator says of destinations.

pub mod cache;
pub mod demand;
pub mod facts;
pub mod identity;
mod spending;

pub use demand::{
    Candidate, Combine, DaneDemand, Demand, InsecureMx, Level, Located, Requirement, Settings,
    StsDemand,
};
pub use facts::{AddressFacts, Facts, HostFacts, MxFacts, StsState, TlsaFacts};
