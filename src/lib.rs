//! danelaw: a transparent egress proxy for SMTP.
//!
//! A mail server that knows nothing of DANE or MTA-STS opens a TCP connection to some MX; the kernel hands it to
//! danelaw, which learns the recipient's domain from `RCPT TO`, finds out what that destination demands, checks what
//! the MX presents, and then relays or refuses. *The shell moves things, the core decides, the verifier only collects.*
//!
//! ```text
//!    client MTA                                                              destination MX
//!        │                                                                        ▲
//!        ▼                                                                        │
//!  ┌───────────┐  who + whither   ┌──────────────────────────────────────────────┴───────┐
//!  │ intercept │ ───────────────► │ proxy            one task per session; moves bytes,   │   IO
//!  └───────────┘   Intercepted    │                  time and answers; decides nothing    │  shell
//!                                 └───┬───────────────┬──────────────────┬───────────┬────┘
//!                                     │ bytes, now    │ facts(domain)    │ dial      │ Record
//!                                     ▼               ▼                  ▼           ▼
//!                               ┌──────────┐   ┌─────────────┐    ┌───────────┐  ┌─────────┐
//!                               │   smtp   │   │   policy    │    │    tls    │  │ report  │
//!                               │ Session  │   │ facts (IO)  │    │ evidence  │  │ Record  │
//!                               │  (pure)  │   │ demand(pure)│    │ capturing │  │ log     │
//!                               └──────────┘   └──┬───────┬──┘    └─────┬─────┘  └─────────┘
//!                                     ▲       ┌───▼───┐ ┌─▼──────┐      │
//!                                     │       │  dns  │ │ mtasts │      │ Evidence
//!                                     │       └───┬───┘ └─┬──────┘      │
//!                                     │       Answer<T>  Policy         │
//!                                     │      ┌────▼───────▼─────────────▼─────┐
//!                                     └──────┤ verdict: demand × evidence →   │      pure
//!                                  Verdict   │ Pin | Redial | Refuse          │
//!                                            └────────────────────────────────┘
//! ```
//!
//! **Words.** [`name`] holds the name types, [`clock`] wall time and the only clock reader, `calendar` how it is written,
//! `digest` how the fields of a record are digested.
//!
//! **Core, pure.** [`smtp`] is one session as a state machine; [`dane`] matches TLSA records (RFC 6698, RFC 7671, RFC 7672);
//! [`mtasts`] parses records and policies (RFC 8461); [`x509`] reads certificates and builds paths;
//! [`policy::demand`] turns facts into what is demanded; [`verdict`] judges evidence against it.
//!
//! **Adapters, IO.** [`dns`] resolves, validates, and watches whether it still does; [`mtasts::fetch`] gets policies;
//! [`policy::facts`] gathers; [`policy::cache`] and [`store`] remember; [`tls`] shakes hands and writes down what was seen,
//! and is the server of clients that want TLS; [`intercept`] takes connections over.
//!
//! **Shell.** [`proxy`] drives sessions, [`report`] tells what became of them (log, metrics, readiness), [`config`] reads the
//! file, [`cli`] is the command line, [`control`] lets it ask the running proxy, [`supervisor`] tells the service manager how it
//! fares, [`doctor`] judges whether a host is fit for it. [`lab`] is an embedded world for `danelaw demo` and the tests.

mod calendar;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod dane;
mod digest;
pub mod dns;
pub mod doctor;
pub mod intercept;
#[cfg(feature = "lab")]
pub mod lab;
pub mod mtasts;
pub mod name;
pub mod policy;
pub mod proxy;
pub mod report;
pub mod smtp;
pub mod store;
pub mod supervisor;
pub mod tls;
pub mod verdict;
pub mod x509;
