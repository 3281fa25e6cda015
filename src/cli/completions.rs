//! `danelaw completions`: what shells need to complete the command line, made from the command line itself.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell as Dialect;

use super::{CommandLine, Exit};

/// For which shell.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw completions bash > /etc/bash_completion.d/danelaw
  danelaw completions zsh > /usr/local/share/zsh/site-functions/_danelaw
  danelaw completions fish > ~/.config/fish/completions/danelaw.fish

The Debian package brings all three.

Exit codes:
  0   printed
  2   it cannot be printed
  64  the command line is wrong")]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Those that the packages serve.
#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let dialect = match args.shell {
        Shell::Bash => Dialect::Bash,
        Shell::Zsh => Dialect::Zsh,
        Shell::Fish => Dialect::Fish,
    };
    // In memory first: the generator panics where it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(dialect, &mut CommandLine::command(), "danelaw", &mut script);
    io::stdout().lock().write_all(&script)?;
    Ok(Exit::Ok.into())
}
