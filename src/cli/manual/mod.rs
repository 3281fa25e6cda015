//! `danelaw man`: the manual pages, made from the command line itself and from the reference of the configuration.
//!
//! A page says nothing that the help or the documentation does not say, and holds no date, so that the same release makes
//! the same pages anywhere.
#![expect(clippy::disallowed_methods, reason = "IO: writes the pages")]

mod page;
mod reference;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;

use super::{CommandLine, Exit};

/// Where to.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw man --out man
  danelaw man --out man && man -l man/danelaw-check.1

One page for each command, danelaw.1 for the program and danelaw.toml.5 for the configuration. The files are named on
stdout; those of the same names that are there are written anew.

Exit codes:
  0   written
  2   a file cannot be written
  64  the command line is wrong")]
pub(super) struct Args {
    /// The directory; it is made where there is none.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Writes the pages.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let out = &args.out;
    fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
    let mut told = io::stdout().lock();
    for page in pages()? {
        let path = out.join(&page.file);
        fs::write(&path, &page.text)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        writeln!(told, "{}", path.display())?;
    }
    Ok(Exit::Ok.into())
}

/// One page.
struct Page {
    /// Its name with the section behind it, as `danelaw-check.1`.
    file: String,
    /// Its source.
    text: String,
}

fn pages() -> io::Result<Vec<Page>> {
    let mut root = CommandLine::command().disable_help_subcommand(true);
    root.build();
    let mut pages = page::of_all(&root)?;
    pages.push(reference::page());
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every command, however deep.
    fn names(command: &clap::Command, parents: &str) -> Vec<String> {
        let name = format!("{parents}{}", command.get_name());
        let below = command.get_subcommands();
        let below = below.flat_map(|one| names(one, &format!("{name}-")));
        std::iter::once(name.clone()).chain(below).collect()
    }

    #[test]
    fn every_command_has_a_page_with_all_that_a_page_must_have() {
        let pages = pages().unwrap();
        let commands = names(&CommandLine::command(), "");
        assert_eq!(pages.len(), commands.len() + 1);
        for name in commands {
            let file = format!("{name}.1");
            let page = pages.iter().find(|page| page.file == file);
            let text = &page.unwrap_or_else(|| panic!("no page {file}")).text;
            for section in [
                "NAME",
                "SYNOPSIS",
                "DESCRIPTION",
                "OPTIONS",
                "EXAMPLES",
                "EXIT STATUS",
                "SEE ALSO",
            ] {
                let heading = if section.contains(' ') {
                    format!("\n.SH \"{section}\"\n")
                } else {
                    format!("\n.SH {section}\n")
                };
                let found = text.split_once(&heading);
                let (_, body) = found.unwrap_or_else(|| panic!("{file} has no {section}"));
                let is_empty = body.trim_start().starts_with(".SH ");
                assert!(!is_empty, "{file}: {section} is empty");
            }
            assert!(text.contains("\n\\fB0\\fR\n"), "{file}: no exit status 0");
            assert!(text.contains("\n\\fB64\\fR\n"), "{file}: no exit status 64");
            assert!(!text.contains("Exit codes:"), "{file}: they stand twice");
        }
    }

    #[test]
    fn a_page_is_the_same_each_time() {
        let texts = || pages().unwrap().into_iter().map(|page| page.text);
        assert!(texts().eq(texts()));
    }
}
