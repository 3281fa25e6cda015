//! The file: JSON, one policy a line, each with a digest of itself; the last line says how many there are, and has a
//! digest of all lines before it. So a file that was cut is not taken for a smaller one.

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::{Obstacle, refused};
use crate::calendar::as_text;
use crate::clock::Timestamp;
use crate::dane::presentation::hex;
use crate::digest;
use crate::mtasts::{Policy, PolicyId};
use crate::name::Domain;
use crate::store::StoredPolicy;

/// A policy on its way; fields that a newer release adds are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyLine {
    /// Whose.
    pub domain: String,
    /// The id that was announced when it was fetched.
    pub id: String,
    /// When: its life is counted from here.
    #[serde(with = "as_text")]
    pub fetched: Timestamp,
    /// As it was fetched.
    pub text: String,
    /// SHA-256 over the fields above, each preceded by its length in eight octets, the time in seconds since 1970 as
    /// eight octets.
    pub digest: String,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    /// Of the file, [`VERSION`].
    end: u32,
    /// Lines before this one.
    policies: usize,
    /// SHA-256 over their octets, line ends included.
    digest: String,
}

/// Of what such a file looks like.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(untagged)]
enum Either {
    End(End),
    Policy(PolicyLine),
}

/// A share of all domains, always the same: the first of four, say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    number: u32,
    of: u32,
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = text.split_once('/').and_then(|(number, of)| {
            let (number, of) = (number.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&number).then_some(Self { number, of })
        });
        read.ok_or_else(|| "expected a part such as 1/4, from 1/4 to 4/4".to_owned())
    }
}

impl Part {
    fn has(self, domain: &str) -> bool {
        let [a, b, c, d, ..] = digest::of_fields(&[domain.as_bytes()]);
        u32::from_be_bytes([a, b, c, d]) % self.of + 1 == self.number
    }
}

/// A file that is being written.
pub struct Sheet<W> {
    out: W,
    part: Option<Part>,
    policies: usize,
    digest: Context,
}

impl<W: Write> Sheet<W> {
    /// Of all policies, or of those of some domains.
    pub fn new(out: W, part: Option<Part>) -> Self {
        Self {
            out,
            part,
            policies: 0,
            digest: Context::new(&SHA256),
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, line: &PolicyLine) -> io::Result<()> {
        if self.part.is_some_and(|part| !part.has(&line.domain)) {
            return Ok(());
        }
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.policies += 1;
        self.out.write_all(&text)
    }

    /// Writes that this is all; tells how many there are.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> io::Result<usize> {
        let end = End {
            end: VERSION,
            policies: self.policies,
            digest: hex(self.digest.finish().as_ref()),
        };
        serde_json::to_writer(&mut self.out, &end)?;
        writeln!(self.out)?;
        self.out.flush()?;
        Ok(self.policies)
    }
}

/// A file that is being read: has it all the lines that it was written with?
pub(super) struct Ending {
    policies: usize,
    digest: Context,
    line: usize,
    end: Option<(usize, End)>,
    /// Something of it has been refused before.
    is_told: bool,
}

impl Default for Ending {
    fn default() -> Self {
        Self {
            policies: 0,
            digest: Context::new(&SHA256),
            line: 0,
            end: None,
            is_told: false,
        }
    }
}

impl Ending {
    /// A policy, or none on a line that is empty or the last.
    pub(super) fn read(
        &mut self,
        text: &[u8],
        line: usize,
    ) -> Result<Option<PolicyLine>, Obstacle> {
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        self.line = line;
        if let Some((end, _)) = self.end {
            self.is_told = true;
            let rule = format!("the file ends at line {end}, and this comes after it");
            return Err(refused(
                rule,
                "import files one by one; a part of `danelaw policy export --part` is one too",
            ));
        }
        match serde_json::from_slice(text) {
            Ok(Either::End(end)) => {
                self.end = Some((line, end));
                Ok(None)
            }
            Ok(Either::Policy(policy)) => {
                self.policies += 1;
                self.digest.update(text);
                Ok(Some(policy))
            }
            Err(_) => {
                self.is_told = true;
                let rule = "it is not a policy as JSON, nor the end of a file of them".to_owned();
                Err(refused(rule, "export again"))
            }
        }
    }

    /// After the last line.
    pub(super) fn check(self) -> Result<(), (usize, Obstacle)> {
        let Some((line, end)) = self.end else {
            let rule = if self.line == 0 {
                "the file is empty"
            } else {
                "the line that says how many policies there are, the last of a whole file, does not come after this one"
            };
            return Err((self.line.max(1), refused(rule.to_owned(), CUT)));
        };
        let rule = if end.end != VERSION {
            format!("the file is of version {}, expected {VERSION}", end.end)
        } else if end.policies != self.policies {
            format!(
                "expected {} policies before this line, seen {}",
                end.policies, self.policies
            )
        } else if end.digest != hex(self.digest.finish().as_ref()) {
            "its digest is not that of the lines before it".to_owned()
        } else {
            return Ok(());
        };
        if self.is_told {
            return Ok(());
        }
        let remedy = if end.end == VERSION {
            CUT
        } else {
            "import it with the release that wrote it"
        };
        Err((line, refused(rule, remedy)))
    }
}

const CUT: &str = "it is not whole: export again, and see that all of it arrives";

impl PolicyLine {
    pub(super) fn of(held: &StoredPolicy) -> Self {
        let mut line = Self {
            domain: held.domain.to_string(),
            id: held.id.as_str().to_owned(),
            fetched: held.fetched,
            text: held.policy.text.clone(),
            digest: String::new(),
        };
        line.digest = line.digested();
        line
    }

    pub(super) fn policy(self) -> Result<StoredPolicy, Obstacle> {
        const AGAIN: &str = "export again; a line that was changed by hand is not taken";
        if self.digest != self.digested() {
            return Err(refused(
                "its digest is not that of its fields".into(),
                AGAIN,
            ));
        }
        let domain: Domain = self
            .domain
            .parse()
            .map_err(|error| refused(format!("its domain is none: {error}"), AGAIN))?;
        let id = PolicyId::parse(self.id.as_bytes())
            .ok_or_else(|| refused("its id is not 1 to 32 letters and digits".into(), AGAIN))?;
        let policy = Policy::parse(self.text.as_bytes())
            .map_err(|error| refused(format!("its text is no policy: {error}"), AGAIN))?;
        Ok(StoredPolicy {
            domain,
            id,
            policy: Arc::new(policy),
            fetched: self.fetched,
        })
    }

    fn digested(&self) -> String {
        let fetched = self.fetched.unix().to_be_bytes();
        hex(&digest::of_fields(&[
            self.domain.as_bytes(),
            self.id.as_bytes(),
            &fetched,
            self.text.as_bytes(),
        ]))
    }
}
