//! The trust anchor: root keys that are believed without a signature (RFC 4035 §4.4).
//!
//! Built in are the keys of the public root. A file holds DNSKEY or DS lines of another root, or of the same one after a roll:
//!
//! ```text
//! . 172800 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3...
//! . IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D
//! ```
//!
//! Text after `;` is a comment. What is not understood is an error: an anchor that is missing would make every lookup fail, one
//! that is ignored could make the wrong root believed.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads the trust anchor file once, at the start"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hickory_resolver::proto::dnssec::rdata::{DNSKEY, DS};
use hickory_resolver::proto::dnssec::{Algorithm, DigestType, TrustAnchors};
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};

use super::proof::keys::RootTrust;

/// Keys of the root zone.
#[derive(Clone)]
pub struct TrustAnchor {
    trust: Arc<RootTrust>,
    /// As it was written; empty for the built-in one.
    text: Arc<str>,
}

impl PartialEq for TrustAnchor {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// Why there is no trust anchor.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The file cannot be read.
    #[error("the trust anchor file {path} cannot be read: {cause}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// The text holds no line at all, or comments only.
    #[error(
        "the trust anchor is empty: expected at least one line like \
         `. IN DNSKEY 257 3 8 AwEAA…`; leave the setting out to use the built-in keys of the public root"
    )]
    Empty,
    /// A DS record that names no key.
    #[error(
        "the trust anchor holds a DS record that cannot be used: expected a line like `. IN DS 20326 8 2 E06D44…` with a \
         SHA-256 (2) or SHA-384 (4) digest of its full length, but {0}"
    )]
    Ds(String),
    /// Something else that is no DNSKEY line.
    #[error(
        "the trust anchor is not understood: expected lines like `. IN DNSKEY 257 3 8 AwEAA…` or `. IN DS 20326 8 2 E06D44…`, but {0}"
    )]
    Syntax(String),
    /// A key of another zone than the root.
    #[error("the trust anchor holds a key of {0}; only keys of the root zone `.` can be used")]
    NotRoot(String),
    /// A key that may not sign.
    #[error(
        "the trust anchor holds a key that may not sign a zone: flags {0}, expected 257 or 256"
    )]
    NoZoneKey(u16),
    /// A key of an algorithm that cannot be checked.
    #[error(
        "the trust anchor holds a key of algorithm {0}, which cannot be checked; expected one of 5, 7, 8, 10, 13, 14, 15"
    )]
    Algorithm(u8),
}

impl TrustAnchor {
    /// The keys of the public root, as IANA publishes them.
    #[must_use]
    pub fn iana() -> Self {
        Self {
            trust: Arc::new(RootTrust {
                keys: TrustAnchors::default(),
                ds: Vec::new(),
            }),
            text: Arc::default(),
        }
    }

    /// Reads DNSKEY and DS lines from a file.
    ///
    /// # Errors
    /// [`AnchorError`] says what was expected and what was seen.
    pub fn from_file(path: &Path) -> Result<Self, AnchorError> {
        let text = std::fs::read_to_string(path).map_err(|cause| AnchorError::Unreadable {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&text)
    }

    /// Reads DNSKEY and DS lines.
    ///
    /// # Errors
    /// [`AnchorError`] says what was expected and what was seen.
    pub fn parse(text: &str) -> Result<Self, AnchorError> {
        let (ds, others): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| is_ds(line));
        let ds: Vec<DS> = ds.into_iter().map(read_ds).collect::<Result<_, _>>()?;
        // The parser wants a line end after the last record.
        let entries = Parser::new(format!("{}\n", others.join("\n")))
            .parse()
            .map_err(|error| AnchorError::Syntax(error.to_string()))?;
        let mut keys = TrustAnchors::empty();
        for entry in entries {
            let Entry::DNSKEY(record) = entry else {
                return Err(AnchorError::Syntax(
                    "a record of another type stands there".to_owned(),
                ));
            };
            keys.insert(usable(record.name(), record.data())?.public_key());
        }
        if keys.is_empty() && ds.is_empty() {
            return Err(AnchorError::Empty);
        }
        Ok(Self {
            trust: Arc::new(RootTrust { keys, ds }),
            text: text.into(),
        })
    }

    pub(super) fn trust(&self) -> Arc<RootTrust> {
        Arc::clone(&self.trust)
    }
}

impl std::fmt::Debug for TrustAnchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let RootTrust { keys, ds } = &*self.trust;
        write!(f, "TrustAnchor({} keys, {} digests)", keys.len(), ds.len())
    }
}

fn usable<'a>(owner: &Name, key: &'a DNSKEY) -> Result<&'a DNSKEY, AnchorError> {
    use hickory_resolver::proto::dnssec::PublicKey as _;

    if !owner.is_root() {
        return Err(AnchorError::NotRoot(owner.to_ascii()));
    }
    if !key.zone_key() || key.revoke() {
        return Err(AnchorError::NoZoneKey(key.flags()));
    }
    let algorithm = key.public_key().algorithm();
    if !algorithm.is_supported() {
        return Err(AnchorError::Algorithm(algorithm.into()));
    }
    Ok(key)
}

/// `. [ttl] [class] DS …`
fn is_ds(line: &str) -> bool {
    let mut words = without_comment(line).split_whitespace().skip(1).take(3);
    words.any(|word| word.eq_ignore_ascii_case("DS"))
}

fn without_comment(line: &str) -> &str {
    line.split(';').next().unwrap_or_default()
}

/// The digest may stand in several pieces (RFC 4034 §5.3).
fn read_ds(line: &str) -> Result<DS, AnchorError> {
    let wrong = |what: &str| AnchorError::Ds(format!("`{}` {what}", line.trim()));
    let mut words = without_comment(line).split_whitespace();
    let owner = words.next().unwrap_or_default();
    if owner != "." {
        return Err(AnchorError::NotRoot(owner.to_owned()));
    }
    let mut data = words
        .skip_while(|word| !word.eq_ignore_ascii_case("DS"))
        .skip(1);
    let mut number = || data.next();
    let (tag, algorithm, kind) = (number(), number(), number());
    let tag = tag.and_then(|tag| tag.parse().ok());
    let tag: u16 = tag.ok_or_else(|| wrong("has no key tag"))?;
    let algorithm = algorithm.and_then(|algorithm| algorithm.parse::<u8>().ok());
    let algorithm = algorithm.ok_or_else(|| wrong("has no algorithm number"))?;
    let kind = match kind {
        Some("2") => DigestType::SHA256,
        Some("4") => DigestType::SHA384,
        _ => return Err(wrong("has another digest type")),
    };
    let digest = octets(&data.collect::<String>());
    let digest = digest.ok_or_else(|| wrong("has a digest that is not hexadecimal"))?;
    let length = if kind == DigestType::SHA256 { 32 } else { 48 };
    if digest.len() != length {
        return Err(wrong("has a digest of another length"));
    }
    let algorithm = Algorithm::from_u8(algorithm);
    if !algorithm.is_supported() {
        return Err(AnchorError::Algorithm(algorithm.into()));
    }
    Ok(DS::new(tag, algorithm, kind, digest))
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    // The standard library takes `+f` for a number.
    let is_digit = |octet: u8| octet.is_ascii_hexdigit();
    if !hex.bytes().all(is_digit) || !hex.len().is_multiple_of(2) {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2).map(|at| hex.get(at..at + 2));
    pairs
        .map(|pair| u8::from_str_radix(pair?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb\
                       krSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";

    #[test]
    fn dnssec_2_the_public_root_is_built_in() {
        assert_eq!(TrustAnchor::iana().trust().keys.len(), 2);
    }

    #[test]
    fn dnssec_2_dnskey_lines_with_and_without_ttl_and_comments_are_read() {
        for text in [
            format!(". IN DNSKEY {KEY}"),
            format!(".\t172800\tIN\tDNSKEY\t{KEY} ;{{id = 55648 (ksk)}} ;;state=2\n"),
            format!("; a comment\n\n. 300 IN DNSKEY {KEY}\n"),
        ] {
            let anchor = TrustAnchor::parse(&text).unwrap();
            assert_eq!(anchor.trust().keys.len(), 1, "{text}");
        }
    }

    #[test]
    fn dnssec_2_what_is_no_anchor_says_what_was_expected() {
        for (text, word) in [
            ("", "is empty"),
            ("; nothing\n", "is empty"),
            (". IN DS 20326 8 2 E06D44B80B8F1D39", "another length"),
            (
                ". 3600 IN ds 20326 8 1 E06D44B80B8F1D39",
                "another digest type",
            ),
            (". IN DS 20326 8", "another digest type"),
            (". IN DS x 8 2 00", "no key tag"),
            (". IN DS 20326 -8 2 00", "no algorithm number"),
            (". IN DS 20326 8 2 0g", "not hexadecimal"),
            (". IN DS 20326 8 2 +f", "not hexadecimal"),
            (". IN DS 20326 8 2 é0", "not hexadecimal"),
            (
                &format!(". IN DS 1 16 2 {}", "00".repeat(32)),
                "algorithm 16",
            ),
            ("example. IN DS 20326 8 2 00", "a key of example."),
            ("nonsense", "not understood"),
            (". IN A 192.0.2.1", "not understood"),
            (". IN DNSKEY 257 3 13 !!!", "not understood"),
            (&format!("example. IN DNSKEY {KEY}"), "a key of example."),
            (
                &format!(". IN DNSKEY {}", KEY.replace("257", "385")),
                "flags 385",
            ),
            (
                &format!(". IN DNSKEY {}", KEY.replace("257", "1")),
                "flags 1",
            ),
            (
                &format!(". IN DNSKEY {}", KEY.replace(" 13 ", " 16 ")),
                "algorithm 16",
            ),
        ] {
            let error = TrustAnchor::parse(text).map(drop).unwrap_err();
            assert!(error.to_string().contains(word), "{text}: {error}");
            assert!(
                error.to_string().contains("DNSKEY")
                    || word.starts_with("a key")
                    || word.contains(' ')
            );
        }
    }

    #[test]
    fn dnssec_2_ds_lines_are_read_beside_dnskey_lines() {
        let sha256 = "E06D44B80B8F1D39A95C0B0D7C65D084 58E880409BBC683457104237C7F8EC8D";
        for (text, keys, ds) in [
            (format!(". IN DS 20326 8 2 {sha256}"), 0, 1),
            (format!(". 3600 in ds 20326 8 2 {sha256} ; KSK"), 0, 1),
            (format!(". DS 1 13 4 {}\n", "0a".repeat(48)), 0, 1),
            (
                format!("; both\n. IN DS 20326 8 2 {sha256}\n. IN DNSKEY {KEY}"),
                1,
                1,
            ),
        ] {
            let anchor = TrustAnchor::parse(&text).unwrap();
            let trust = anchor.trust();
            assert_eq!((trust.keys.len(), trust.ds.len()), (keys, ds), "{text}");
        }
    }

    #[test]
    fn dnssec_2_an_unreadable_file_is_named() {
        let error = TrustAnchor::from_file(Path::new("/nowhere/root.key")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/root.key"), "{error}");
    }
}
