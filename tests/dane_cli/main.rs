//! `danelaw dane verify|record|rollover` as an operator runs them: the real binary on chains made here, and in the lab.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may panic, write files and start processes"
)]

#[path = "../chains/mod.rs"]
mod chains;
mod record;
#[cfg(feature = "lab")]
mod rollover;
mod verify;

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use chains::Cert;

const MX: &str = "mx.example.com";
/// When all chains are valid that are not made otherwise.
const T0: &str = "2026-01-01T00:00:00Z";

/// A directory for what the program reads.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    fn chain(&self, chain: &[&Cert]) -> PathBuf {
        let pem: String = chain.iter().map(|one| &one.pem[..]).collect();
        self.put("chain.pem", pem)
    }
}

fn dane(command: &str, arguments: &[&OsStr]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .args(["dane", command])
        .args(arguments)
        .output()
        .unwrap()
}

/// The answer as JSON, with the exit code.
fn answer(output: &Output) -> (Value, i32) {
    let value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (value, output.status.code().unwrap())
}

/// A word for the answer: the depth of a match, the label of a mismatch, or that nothing can be used.
fn word((answer, exit): &(Value, i32)) -> String {
    match (answer["result"].as_str().unwrap(), exit) {
        ("match", 0) => answer["depth"].to_string(),
        ("mismatch", 1) => {
            let reason = answer["reason"].as_str().unwrap();
            reason.split(':').next().unwrap().to_owned()
        }
        ("unusable", 3) => "unusable".into(),
        other => panic!("{other:?}: {answer}"),
    }
}

#[test]
fn what_is_wrong_with_the_command_line_is_exit_code_64() {
    for arguments in [
        &["verify", "--chain", "chain.pem"][..],
        &["verify", "--tlsa", "3 1 1 ab"],
        &["record"],
        &["record", "--cert", "a.pem", "--usage", "three"],
        &["rollover"],
        &[
            "rollover",
            "example.com",
            "--cert",
            "a.pem",
            "--key",
            "b.pem",
        ],
    ] {
        let rest: Vec<_> = arguments[1..].iter().map(OsStr::new).collect();
        let output = dane(arguments[0], &rest);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
}
