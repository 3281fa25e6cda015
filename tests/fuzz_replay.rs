//! Every input that the fuzzers have kept, and the seeds they start from, once more: a crash stays fixed.

#![cfg(feature = "lab")]
#![expect(clippy::disallowed_methods, reason = "IO: reads the corpora")]

use std::panic::catch_unwind;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "a library of its own in fuzz/")]
mod targets;

/// Runs one target over its corpus, which must not be empty.
fn replay(name: &str, target: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let entries = std::fs::read_dir(&corpus).map_or_else(|_| Vec::new(), Iterator::collect);
    assert!(!entries.is_empty(), "{} is empty", corpus.display());
    for entry in entries.into_iter().flatten() {
        let octets = std::fs::read(entry.path()).unwrap_or_default();
        assert!(!octets.is_empty(), "{} is empty", entry.path().display());
        // Cut short anywhere, it must be borne too.
        for end in (0..octets.len().min(400)).chain([octets.len()]) {
            let outcome = catch_unwind(|| target(&octets[..end]));
            let name = entry.path();
            assert!(
                outcome.is_ok(),
                "{}, its first {end} octets",
                name.display()
            );
        }
    }
}

#[test]
fn command_lines() {
    replay("command", targets::command);
}

#[test]
fn paths() {
    replay("path", targets::path);
}

#[test]
fn proxy_headers() {
    replay("proxy_protocol", targets::proxy_protocol);
}

#[test]
fn replies() {
    replay("reply", targets::reply);
}

#[test]
fn ehlo() {
    replay("ehlo", targets::ehlo);
}

#[test]
fn end_of_data() {
    replay("end_of_data", targets::end_of_data);
}

#[test]
fn sessions() {
    replay("session", targets::session);
}

#[test]
fn answers() {
    replay("answer", targets::answer);
}

/// The seeds are honest, so the fuzzer starts from answers and not from failures. The name of a seed ends with what comes out.
#[test]
fn whole_answers_come_out_as_they_are_named() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/answer");
    let mut seeds = 0;
    for entry in std::fs::read_dir(corpus).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((number, comes_out)) = name.split_once('-') else {
            continue; // One that a fuzzer has kept.
        };
        let seen = targets::answered(&std::fs::read(entry.path()).unwrap_or_default());
        let seen = seen.unwrap_or("no answer").replace(' ', "-");
        assert_eq!(seen, comes_out, "{number}");
        seeds += 1;
    }
    assert!(seeds >= 40, "{seeds} seeds");
}

#[test]
fn tlsa_records() {
    replay("tlsa", targets::tlsa);
}

#[test]
fn outlines() {
    replay("outline", targets::outline);
}

#[test]
fn chains() {
    replay("chain", targets::chain);
}
