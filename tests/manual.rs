//! The real binary: the manual pages render without a warning, and the shells take their completions.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test crate: it runs programs, reads files, and fails by panicking"
)]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

fn danelaw(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    output
}

fn pages() -> (TempDir, Vec<PathBuf>) {
    let out = TempDir::new().unwrap();
    let told = danelaw(&["man", "--out", out.path().to_str().unwrap()]);
    let told = String::from_utf8(told.stdout).unwrap();
    let paths: Vec<PathBuf> = told.lines().map(PathBuf::from).collect();
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), paths.len());
    (out, paths)
}

/// Runs a program of the machine; where there is none the test says so, and fails under `CI`.
fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    match Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .output()
    {
        Ok(output) => Some(output),
        Err(error) => {
            let in_ci = std::env::var_os("CI").is_some();
            assert!(!in_ci, "{program} cannot be run: {error}");
            None
        }
    }
}

fn is_silent(program: &str, arguments: &[&str]) {
    if let Some(output) = run(program, arguments) {
        assert!(output.status.success(), "{program} {arguments:?}");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(complaints.is_empty(), "{arguments:?}: {complaints}");
    }
}

#[test]
fn every_manual_page_renders_without_a_warning() {
    let (_out, paths) = pages();
    for path in paths {
        let path = path.to_str().unwrap();
        is_silent("groff", &["-Kutf8", "-Tutf8", "-man", "-ww", "-z", path]);
        is_silent(
            "man",
            &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", path],
        );
    }
}

#[test]
fn a_directory_that_cannot_be_made_is_told_with_its_name() {
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["man", "--out", "/dev/null/man"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("/dev/null/man cannot be made"), "{told}");
}

#[test]
fn each_shell_takes_its_completions() {
    let out = TempDir::new().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let script = danelaw(&["completions", shell]).stdout;
        let file = out.path().join(shell);
        fs::write(&file, script).unwrap();
        is_silent(shell, &["-n", file.to_str().unwrap()]);
    }
}

/// What bash offers after a command line, its last word included.
fn offered(script: &str, words: &[&str]) -> Vec<String> {
    let last = words.len() - 1;
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let program = format!(
        "source {script}; COMP_WORDS=({}); COMP_CWORD={last}; _danelaw danelaw \"${{COMP_WORDS[{last}]}}\" \
         \"${{COMP_WORDS[{}]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        last - 1,
    );
    let output = run("bash", &["--norc", "-c", &program]).unwrap();
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let out = TempDir::new().unwrap();
    let file = out.path().join("danelaw");
    fs::write(&file, danelaw(&["completions", "bash"]).stdout).unwrap();
    let script = file.to_str().unwrap();
    for (words, expected) in [
        (&["danelaw", "exc"][..], vec!["except"]),
        (&["danelaw", "except", "rem"], vec!["remove"]),
        (
            &["danelaw", "config", "check", "--"],
            vec!["--config", "--json", "--help"],
        ),
        (&["danelaw", "completions", "f"], vec!["fish"]),
    ] {
        assert_eq!(offered(script, words), expected, "{words:?}");
    }
}
