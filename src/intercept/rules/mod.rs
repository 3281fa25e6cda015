//! The netfilter rules that lead connections to the listeners, and the guard that turns away what they miss.
//!
//! [`plan`] says what is wanted, from the configuration alone; [`table`] makes it two tables of nft, [`nft`] and
//! [`iptables`] their text, [`routing`] the routes that TPROXY takes. [`seen`] reads what the kernel has, and [`compare`]
//! tells where that differs. All of that is pure; [`kernel`] runs `nft`, `ip` and `conntrack`, and [`change`] by way of it
//! makes the one into the other.

pub mod change;
pub mod compare;
pub mod iptables;
pub mod kernel;
pub mod nft;
pub mod plan;
pub mod routing;
pub mod seen;
pub mod table;

#[cfg(test)]
mod tests;
