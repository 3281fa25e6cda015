//! What the help and the documentation tell others to run is put to the parser of the command line, so that none of it can
//! be out of date.
#![expect(
    clippy::disallowed_methods,
    reason = "a test: reads the documentation of the tree"
)]

mod packaged;

use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use super::CommandLine;

/// A command line, and where it stands.
struct Told {
    place: String,
    words: Vec<String>,
}

impl Told {
    /// As a shell would take it: up to a pipe, a redirection or the next command.
    fn read(place: &Path, line: &str) -> Self {
        let words = shlex::split(line)
            .unwrap_or_else(|| panic!("{}: no shell takes: {line}", place.display()));
        let ends =
            |word: &String| word.starts_with(['|', '>', '<', '&', ';']) || word.starts_with("2>");
        let mut words: Vec<String> = words.into_iter().take_while(|word| !ends(word)).collect();
        if let Some(last) = words.last_mut() {
            last.truncate(last.trim_end_matches([';', ')']).len());
        }
        Self {
            place: place.display().to_string(),
            words,
        }
    }

    fn complaint(&self) -> Option<String> {
        let error = CommandLine::try_parse_from(&self.words).err()?;
        if matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
        ) {
            return None;
        }
        let said = error.to_string();
        let said = said.lines().next().unwrap_or_default().to_owned();
        Some(format!("{}: {:?}: {said}", self.place, self.words))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a directory with this ending.
fn files(directory: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let path = entry.unwrap().path();
        let below = path.strip_prefix(root()).unwrap().to_str().unwrap();
        if path.is_dir() {
            found.extend(files(below, ending));
        } else if below.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn all_are_taken(told: &[Told], at_least: usize) {
    assert!(told.len() >= at_least, "only {} were found", told.len());
    let complaints: Vec<String> = told.iter().filter_map(Told::complaint).collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn is_ours(line: &str) -> bool {
    line.strip_prefix("danelaw ")
        .is_some_and(|rest| !rest.trim().is_empty())
}

#[test]
fn the_examples_of_the_help_are_commands() {
    fn examples(command: &clap::Command, told: &mut Vec<Told>) {
        let help = command.get_after_help().map(ToString::to_string);
        let place = PathBuf::from(format!("danelaw {} --help", command.get_name()));
        for line in help.unwrap_or_default().lines() {
            let line = line.strip_prefix("  ").filter(|line| is_ours(line));
            told.extend(line.map(|line| Told::read(&place, line)));
        }
        for below in command.get_subcommands() {
            examples(below, told);
        }
    }
    let mut told = Vec::new();
    examples(&CommandLine::command(), &mut told);
    all_are_taken(&told, 50);
}

/// The documentation is of the whole program.
#[cfg(feature = "lab")]
#[test]
fn the_commands_in_the_documentation_are_commands() {
    let mut told = Vec::new();
    let pages = files("docs", ".md");
    for path in pages.iter().chain([&root().join("README.md")]) {
        let mut is_code = false;
        for line in read(path).replace("\\\n", " ").lines() {
            if let Some(fence) = line.trim_start().strip_prefix("```") {
                is_code = fence == "sh";
            } else if is_code {
                let line = line.trim_start();
                let line = line.strip_prefix("sudo ").unwrap_or(line);
                told.extend(is_ours(line).then(|| Told::read(path, line)));
            }
        }
    }
    all_are_taken(&told, 20);
}

/// What stands in a sentence may leave something out, but every command and option that it names is one.
#[cfg(feature = "lab")]
#[test]
fn the_commands_in_sentences_name_what_there_is() {
    let mut told = Vec::new();
    let pages = files("docs", ".md");
    for path in pages.iter().chain([&root().join("README.md")]) {
        let text = read(path);
        // Outside of code blocks, every second piece is code.
        let prose: String = text.split("\n```").step_by(2).collect();
        for code in prose.split('`').skip(1).step_by(2) {
            let code = code.split_whitespace().collect::<Vec<_>>().join(" ");
            if is_ours(&code) && !code.contains(['…', '[', '<', '"', '\'']) {
                told.extend(alternatives(&code).iter().map(|one| Told::read(path, one)));
            }
        }
    }
    let lacks = |told: &Told| {
        let kind = CommandLine::try_parse_from(&told.words)
            .err()
            .map(|error| error.kind());
        matches!(
            kind,
            Some(
                ErrorKind::MissingRequiredArgument
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::InvalidValue
                    | ErrorKind::ValueValidation
            )
        )
    };
    told.retain(|told| !lacks(told));
    all_are_taken(&told, 20);
}

/// `danelaw config check|show` is two commands.
#[cfg(feature = "lab")]
fn alternatives(code: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in code.split(' ') {
        let words: Vec<&str> = word.split('|').filter(|word| !word.is_empty()).collect();
        lines = lines
            .iter()
            .flat_map(|line| words.iter().map(move |word| format!("{line} {word}")))
            .collect();
    }
    lines
        .iter()
        .map(|line| line.trim_start().to_owned())
        .collect()
}
