//! The command line: one file per command, exit codes in one place.
mod ca;
mod check;
mod completions;
mod config;
mod continuity;
mod dane;
#[cfg(feature = "lab")]
mod demo;
mod desk;
mod dns;
mod doctor;
#[cfg(test)]
mod documented;
mod except;
mod exchangers;
mod health;
mod manual;
mod pins;
mod policy;
mod reload;
mod report;
mod rules;
mod run;
mod sources;
mod sts;
mod trace;

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// How every command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Exit {
    /// Done; the answer is yes.
    Ok = 0,
    /// Done; the answer is no: the configuration is wrong, the destination would be refused.
    Negative = 1,
    /// It could not be found out or not be started, or the input is bad.
    Unknown = 2,
    /// Done; the TLSA records that were given authenticate nobody, right or wrong.
    Unusable = 3,
    /// The command line is wrong.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

const AFTER_HELP: &str = "\
Examples:
  danelaw check example.com
  danelaw dns _25._tcp.mx.example.com TLSA
  sudo danelaw doctor
  danelaw config check --config /etc/danelaw/danelaw.toml
  danelaw dane record --cert fullchain.pem --name mx.example.com
  danelaw except add partner.example encrypt --days 14 --reason \"expired certificate\"
  danelaw report would-refuse --days 7
  danelaw rules apply
  danelaw sts lint example.com
  danelaw run --config /etc/danelaw/danelaw.toml

Exit codes:
  0   done, the answer is yes
  1   done, the answer is no (a wrong configuration, a destination that would be refused)
  2   it could not be found out, the input is bad, or the proxy could not be started
  3   `dane verify`: none of the records can be used
  64  the command line is wrong";

/// A transparent egress proxy for SMTP: enforces DANE and MTA-STS on behalf of any mail server.
#[derive(Parser)]
#[command(name = "danelaw", version, about, after_help = AFTER_HELP, max_term_width = 100)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the proxy until SIGTERM or SIGINT, then lets sessions finish.
    Run(run::Args),
    /// Has the running proxy read its configuration anew, and says what changed.
    Reload(reload::Args),
    /// Says how mail to a domain would be judged now, with a live handshake to its MX hosts.
    Check(check::Args),
    /// Looks a name up as a delivery would, and says how far the answer can be believed and why.
    Dns(dns::Args),
    /// Says whether this host is fit for danelaw: rules, DNS, clock, limits, the running proxy.
    Doctor(doctor::Args),
    /// Checks a configuration file, or shows what is in force.
    #[command(subcommand, after_help = config::EXAMPLES)]
    Config(config::Command),
    /// Makes TLSA records, checks them offline, and says whether a domain is ready for its next key.
    #[command(subcommand, after_help = dane::EXAMPLES)]
    Dane(dane::Command),
    /// Looks at MTA-STS policies as their owners should.
    #[command(subcommand, after_help = sts::EXAMPLES)]
    Sts(sts::Command),
    /// Makes or shows the local CA for TLS between mail servers and danelaw.
    #[command(subcommand, after_help = ca::EXAMPLES)]
    Ca(ca::Command),
    /// Makes, shows, renews and removes exceptions for single domains.
    #[command(subcommand, after_help = except::EXAMPLES)]
    Except(except::Command),
    /// Reports what was refused, and what would have been.
    #[command(subcommand, after_help = report::EXAMPLES)]
    Report(report::Command),
    /// Shows and changes what is known of MTA-STS policies.
    #[command(subcommand, after_help = policy::EXAMPLES)]
    Policy(policy::Command),
    /// Says why a recipient was refused or relayed, with all the evidence.
    Trace(trace::Args),
    /// Shows what MX hosts have been seen to do, and releases them.
    #[command(subcommand, after_help = continuity::EXAMPLES)]
    Continuity(continuity::Command),
    /// Makes, loads, removes and checks the netfilter rules that lead mail to danelaw.
    #[command(subcommand, after_help = rules::EXAMPLES)]
    Rules(rules::Command),
    /// Shows what cleared sessions, and revokes it.
    #[command(subcommand, after_help = pins::EXAMPLES)]
    Pins(pins::Command),
    /// Says whether the running proxy is alive, or ready.
    Health(health::Args),
    /// Prints what a shell needs to complete these commands.
    Completions(completions::Args),
    /// Writes the manual pages.
    Man(manual::Args),
    /// Sets up a world on this machine and puts the proxy to the test in it.
    #[cfg(feature = "lab")]
    Demo(demo::Args),
}

/// Runs the command that the arguments name.
#[must_use]
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    let done = match &line.command {
        Command::Run(args) => run::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Check(args) => check::run(args),
        Command::Dns(args) => dns::run(args),
        Command::Doctor(args) => doctor::run(args),
        Command::Config(command) => config::run(command),
        Command::Ca(command) => ca::run(command),
        Command::Dane(command) => dane::run(command),
        Command::Except(command) => except::run(command),
        Command::Report(command) => report::run(command),
        Command::Policy(command) => policy::run(command),
        Command::Trace(args) => trace::run(args),
        Command::Continuity(command) => continuity::run(command),
        Command::Rules(command) => rules::run(command),
        Command::Pins(command) => pins::run(command),
        Command::Sts(command) => sts::run(command),
        Command::Health(args) => health::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => manual::run(args),
        #[cfg(feature = "lab")]
        Command::Demo(args) => demo::run(args),
    };
    done.unwrap_or_else(|error| {
        if !is_unread(&error) {
            // Nor is there anybody to tell where stderr is closed.
            let _ = writeln!(io::stderr(), "danelaw: {}", in_words(&error));
        }
        Exit::Unknown.into()
    })
}

/// Whoever read what was printed has heard enough (`danelaw … | head -1`). There is no complaint, and no answer either.
fn is_unread(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// The error with its causes; most of ours name their cause themselves, and once is enough.
fn in_words(error: &anyhow::Error) -> String {
    let mut words = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if words.is_empty() {
            words = cause;
        } else if !words.contains(&cause) {
            words = format!("{words}: {cause}");
        }
    }
    words
}

/// Help and version are answers; everything else is a wrong command line.
fn usage(error: &clap::Error) -> ExitCode {
    // A closed stdout or stderr leaves nobody to tell.
    let _ = error.print();
    if error.use_stderr() {
        Exit::Usage.into()
    } else {
        Exit::Ok.into()
    }
}

/// Text that others chose, without what would give a terminal orders.
pub(super) fn printable(text: &str) -> String {
    let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().map(plain).collect()
}
