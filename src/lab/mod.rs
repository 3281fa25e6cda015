//! An embedded world: signed DNS, SMTP sinks and policy hosts on loopback, and the scenarios of `danelaw demo`.
//!
//! [`catalogue`] says what domains publish, what their MX hosts present, and what must become of a message to them:
//! data, nothing else. [`world`] makes it real: [`zones`] signs a
//! [`tree`] from the root down and [`dns_server`] serves it,
//! [`pki`] makes certificates, [`sink`] takes mail, [`policy_host`] serves MTA-STS policies. [`sender`] is a small MTA
//! that delivers through the proxy, and [`trial`] holds what became of it against the catalogue.
//!
//! Everything listens on loopback, on ports that the kernel picks, needs no privileges, and is gone when it is dropped.
//! Nothing outside of the lab and the command line knows it.

pub mod catalogue;
pub mod dns_server;
pub mod pki;
pub mod policy_host;
mod publish;
#[cfg(test)]
mod retrial;
pub mod sender;
pub mod sink;
pub mod tree;
pub mod trial;
pub mod world;
mod zone_key;
pub mod zones;
