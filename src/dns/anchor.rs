//! The trust anchor: root keys that are believed without a signature (RFC 4035 §4.4).
//!
//! Built in are the keys of the public root. A file holds DNSKEY lines of another root, or of the same one after a roll:
//!
//! ```text
//! . 172800 IN DNSKEY 257 3 8 AwEAAaz/tAm8yTn4Mfeh5eyI96WSVexTBAvkMgJzkKTOiW1vkIbzxeF3...
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

use hickory_resolver::proto::dnssec::TrustAnchors;
use hickory_resolver::proto::dnssec::rdata::DNSKEY;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::serialize::txt::trust_anchor::{Entry, Parser};

/// Keys of the root zone.
#[derive(Clone)]
pub struct TrustAnchor(Arc<TrustAnchors>);

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
    /// DS instead of DNSKEY.
    #[error(
        "the trust anchor holds a DS record, but only the DNSKEY it stands for can be used: expected a line like \
         `. IN DNSKEY 257 3 8 AwEAA…`; get it with `dig . DNSKEY` and compare it with the DS record before you trust it"
    )]
    Ds,
    /// Something else that is no DNSKEY line.
    #[error(
        "the trust anchor is not understood: expected lines like `. IN DNSKEY 257 3 8 AwEAA…`, but {0}"
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
        Self(Arc::new(TrustAnchors::default()))
    }

    /// Reads DNSKEY lines from a file.
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

    /// Reads DNSKEY lines.
    ///
    /// # Errors
    /// [`AnchorError`] says what was expected and what was seen.
    pub fn parse(text: &str) -> Result<Self, AnchorError> {
        if holds_ds(text) {
            return Err(AnchorError::Ds);
        }
        // The parser wants a line end after the last record.
        let entries = Parser::new(format!("{text}\n"))
            .parse()
            .map_err(|error| AnchorError::Syntax(error.to_string()))?;
        let mut anchors = TrustAnchors::empty();
        for entry in entries {
            let Entry::DNSKEY(record) = entry else {
                return Err(AnchorError::Syntax(
                    "a record of another type stands there".to_owned(),
                ));
            };
            anchors.insert(usable(record.name(), record.data())?.public_key());
        }
        if anchors.is_empty() {
            return Err(AnchorError::Empty);
        }
        Ok(Self(Arc::new(anchors)))
    }

    pub(super) fn keys(&self) -> Arc<TrustAnchors> {
        Arc::clone(&self.0)
    }
}

impl std::fmt::Debug for TrustAnchor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TrustAnchor({} keys)", self.0.len())
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
fn holds_ds(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.split(';').next())
        .any(|line| {
            let mut words = line.split_whitespace().skip(1).take(3);
            words.any(|word| word.eq_ignore_ascii_case("DS"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "257 3 13 GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb\
                       krSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==";

    #[test]
    fn dnssec_2_the_public_root_is_built_in() {
        assert_eq!(TrustAnchor::iana().keys().len(), 2);
    }

    #[test]
    fn dnssec_2_dnskey_lines_with_and_without_ttl_and_comments_are_read() {
        for text in [
            format!(". IN DNSKEY {KEY}"),
            format!(".\t172800\tIN\tDNSKEY\t{KEY} ;{{id = 55648 (ksk)}} ;;state=2\n"),
            format!("; a comment\n\n. 300 IN DNSKEY {KEY}\n"),
        ] {
            let anchor = TrustAnchor::parse(&text).unwrap();
            assert_eq!(anchor.keys().len(), 1, "{text}");
        }
    }

    #[test]
    fn dnssec_2_what_is_no_anchor_says_what_was_expected() {
        for (text, word) in [
            ("", "is empty"),
            ("; nothing\n", "is empty"),
            (". IN DS 20326 8 2 E06D44B80B8F1D39", "DS record"),
            (". 3600 IN ds 20326 8 2 E06D44B80B8F1D39", "DS record"),
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
    fn dnssec_2_an_unreadable_file_is_named() {
        let error = TrustAnchor::from_file(Path::new("/nowhere/root.key")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/root.key"), "{error}");
    }
}
