//! The real binary runs in a signed world with a control socket, and commands ask it: what it knows of policies, what is
//! done to them, why mail was refused, and what becomes of those who ask badly.
#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, opens sockets and files, and fails by panicking"
)]

mod exceptions;
mod place;
mod policies;
#[path = "../service/mod.rs"]
mod service;
mod socket;
mod traces;
