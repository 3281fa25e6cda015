//! The manual page of a command. Its options are clap's to tell; what the help says under `Examples:` and `Exit codes:`
//! becomes sections of their own, and everything else there a note.

use std::io;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Page;
use crate::config::defaults;

/// The pages of a command that was built and of all that are below it.
pub(super) fn of_all(command: &Command) -> io::Result<Vec<Page>> {
    let mut pages = vec![of(command)?];
    for below in command.get_subcommands() {
        pages.extend(of_all(below)?);
    }
    Ok(pages)
}

fn of(command: &Command) -> io::Result<Page> {
    let source = concat!("danelaw ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).source(source).manual("danelaw");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    Notes::of(command).roff(command).to_writer(&mut text)?;
    Ok(Page {
        file: man.get_filename(),
        text: with_one_preamble(&String::from_utf8_lossy(&text)),
    })
}

/// Each section that is rendered by itself brings the definition of the apostrophe again.
fn with_one_preamble(text: &str) -> String {
    let preamble = Roff::new().render();
    preamble.clone() + &text.replace(&preamble, "")
}

/// What stands below the options in the help.
#[derive(Default)]
struct Notes {
    examples: Vec<String>,
    codes: Vec<(String, String)>,
    others: Vec<String>,
}

impl Notes {
    fn of(command: &Command) -> Self {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        let mut notes = Self::default();
        for paragraph in help.split("\n\n") {
            if let Some(examples) = paragraph.strip_prefix("Examples:\n") {
                notes.examples.extend(examples.lines().map(outdented));
            } else if let Some(codes) = paragraph.strip_prefix("Exit codes:\n") {
                notes.codes.extend(codes.lines().filter_map(code));
            } else if !paragraph.is_empty() {
                notes.others.push(paragraph.replace('\n', " "));
            }
        }
        if notes.codes.is_empty() && command.has_subcommands() {
            notes.codes = of_a_group();
        }
        notes
    }

    fn roff(&self, command: &Command) -> Roff {
        let mut roff = Roff::new();
        if !self.others.is_empty() {
            roff.control("SH", ["NOTES"]);
            for other in &self.others {
                roff.control("PP", []).text([roman(other)]);
            }
        }
        roff.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in &self.codes {
            roff.control("TP", []).text([bold(code)]);
            roff.text([roman(meaning)]);
        }
        roff.control("SH", ["FILES"]).control("TP", []);
        roff.text([bold(defaults::PATH)]);
        roff.text([roman("the configuration, where no other is named")]);
        roff.control("SH", ["EXAMPLES"]).control("nf", []);
        for example in &self.examples {
            roff.text([roman(example)]);
        }
        roff.control("fi", []);
        roff.control("SH", ["SEE ALSO"]);
        roff.text([roman(relatives(command))]);
        roff
    }
}

/// `0   listed, perhaps none`
fn code(line: &str) -> Option<(String, String)> {
    let (code, meaning) = line.trim().split_once(' ')?;
    Some((code.to_owned(), meaning.trim().to_owned()))
}

fn outdented(line: &str) -> String {
    line.strip_prefix("  ").unwrap_or(line).to_owned()
}

/// What a command without a meaning of its own ends with.
fn of_a_group() -> Vec<(String, String)> {
    [
        ("0", "help was asked for"),
        ("64", "no command was named, or one that there is not"),
        ("other", "that of the command: see its page"),
    ]
    .map(|(code, meaning)| (code.to_owned(), meaning.to_owned()))
    .into()
}

/// The pages above and below, and the configuration's.
fn relatives(command: &Command) -> String {
    let name = command
        .get_display_name()
        .unwrap_or_else(|| command.get_name());
    let below = command.get_subcommands().map(Command::get_name);
    let below = below.map(|below| format!("{name}-{below}(1)"));
    let above = name.rsplit_once('-').map(|(above, _)| above);
    let above = above.map(|above| format!("{above}(1)"));
    let all = above.into_iter().chain(below);
    let all: Vec<String> = all.chain(["danelaw.toml(5)".to_owned()]).collect();
    all.join(", ")
}
