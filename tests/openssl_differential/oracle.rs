//! The program over libssl that says what OpenSSL makes of a case: compiled here, kept running, asked line by line.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::NOW;
use crate::case::Built;

pub(crate) struct Oracle {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What OpenSSL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Opinion {
    /// The depth of the match, or why there is none.
    pub(crate) outcome: Result<usize, i32>,
    /// Which records it takes for usable.
    pub(crate) usable: Vec<bool>,
}

impl Oracle {
    /// Compiles and starts it.
    ///
    /// # Errors
    /// What is missing on this machine.
    pub(crate) fn start() -> Result<Self, String> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let program = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("openssl-oracle-{}-{number}", std::process::id()));
        let compiled = Command::new("cc")
            .args(["-O1", "-Wall", "-Wextra", "-Werror", "-o"])
            .arg(&program)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/openssl_differential/oracle.c"
            ))
            .args(["-lssl", "-lcrypto"])
            .output()
            .map_err(|error| format!("cc cannot be run: {error}"))?;
        if !compiled.status.success() {
            return Err(format!(
                "the program over libssl does not compile (Debian: libssl-dev): {}",
                String::from_utf8_lossy(&compiled.stderr)
            ));
        }
        let mut child = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the program over libssl cannot be started: {error}"))?;
        // It runs, and nobody else needs the file.
        std::fs::remove_file(&program).map_err(|error| error.to_string())?;
        Ok(Self {
            questions: child.stdin.take().expect("a pipe"),
            answers: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        })
    }

    /// OpenSSL's opinion of a case at [`NOW`].
    pub(crate) fn ask(&mut self, built: &Built, ids: &[&str]) -> Opinion {
        let mut question = format!("at {}\n", NOW.unix());
        for id in ids {
            writeln!(question, "id {id}").expect("a string");
        }
        for rdata in &built.rrset {
            let [usage, selector, matching, data @ ..] = &rdata[..] else {
                panic!("a record without its first three octets");
            };
            writeln!(question, "tlsa {usage} {selector} {matching} {}", hex(data))
                .expect("a string");
        }
        for certificate in &built.chain {
            writeln!(question, "cert {}", hex(certificate)).expect("a string");
        }
        question.push_str("judge\n");
        self.questions
            .write_all(question.as_bytes())
            .expect("the program over libssl listens");
        let mut answer = String::new();
        self.answers
            .read_line(&mut answer)
            .expect("the program over libssl answers");
        opinion(&answer)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How many have been started, so that no two have one file.
static STARTED: AtomicUsize = AtomicUsize::new(0);

fn opinion(answer: &str) -> Opinion {
    let fields: Vec<&str> = answer.split_whitespace().collect();
    let [error, depth, usable] = fields[..] else {
        panic!("the program over libssl said {answer:?}");
    };
    let error: i32 = error.parse().expect("a number");
    Opinion {
        outcome: match error {
            0 => Ok(depth.parse().expect("a depth")),
            error => Err(error),
        },
        usable: usable
            .chars()
            .filter(|digit| *digit != '-')
            .map(|digit| digit == '1')
            .collect(),
    }
}

fn hex(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "-".to_owned();
    }
    let mut text = String::with_capacity(2 * octets.len());
    for octet in octets {
        write!(text, "{octet:02x}").expect("a string");
    }
    text
}
