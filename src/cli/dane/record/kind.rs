//! Usage, selector and matching type of a record to be made: what they may be, and what is unwise about them.

use anyhow::bail;

use crate::dane::{Matching, Selector, Usage};

/// The three numbers, understood.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) usage: Usage,
    pub(super) selector: Selector,
    pub(super) matching: Matching,
}

impl Kind {
    /// From the numbers of the command line; without a selector, the one that RFC 7672 §3.1 recommends for the usage:
    /// `3 1 1`, and `2 0 1` as the second choice.
    pub(super) fn new(usage: u8, selector: Option<u8>, matching_type: u8) -> anyhow::Result<Self> {
        let usage = match usage {
            2 => Usage::DaneTa,
            3 => Usage::DaneEe,
            // RFC 7672 §3.1.3
            pkix @ (0 | 1) => bail!(
                "usage {pkix} is not for SMTP: senders have no CAs in common with receivers, so they treat such a record as unusable and authenticate nobody; expected --usage 3 (or 2)"
            ),
            other => bail!("usage {other} is not known; expected --usage 3 or 2"),
        };
        let by_default = match usage {
            Usage::DaneEe => Selector::Spki,
            Usage::DaneTa => Selector::Cert,
        };
        let selector = match selector {
            None => by_default,
            Some(0) => Selector::Cert,
            Some(1) => Selector::Spki,
            Some(other) => bail!("selector {other} is not known; expected --selector 1 or 0"),
        };
        let matching = match matching_type {
            0 => Matching::Full,
            1 => Matching::Sha256,
            2 => Matching::Sha512,
            other => {
                bail!("matching type {other} is not known; expected --matching-type 1, 2 or 0")
            }
        };
        Ok(Self {
            usage,
            selector,
            matching,
        })
    }

    /// What an operator should know before publishing.
    pub(super) fn warnings(self) -> Vec<String> {
        let mut warnings = Vec::new();
        match (self.usage, self.selector) {
            // RFC 7671 §5.1
            (Usage::DaneEe, Selector::Cert) => warnings.push(
                "a 3 0 x record breaks with every renewal of the certificate, even when the key stays; 3 1 1 does not",
            ),
            (Usage::DaneEe, Selector::Spki) => {}
            (Usage::DaneTa, Selector::Cert) => {
                warnings.push("a 2 0 x record breaks with every renewal of the CA's certificate");
            }
            (Usage::DaneTa, Selector::Spki) => warnings.push(
                "the constraints of the CA's certificate are no part of a 2 1 x record (RFC 7671 §5.2.1)",
            ),
        }
        if self.usage == Usage::DaneTa {
            warnings.push(
                "with usage 2 the server's certificate must be in date and carry the MX host's name",
            );
        }
        match self.matching {
            Matching::Full => warnings.push(
                "matching type 0 puts all of it into the DNS, which makes answers long; 1 is enough",
            ),
            // RFC 7671 §5.2.2
            Matching::Sha256 | Matching::Sha512 if self.usage == Usage::DaneTa => warnings
                .push("with a digest the server must send the CA's certificate in its chain, a root too"),
            Matching::Sha256 | Matching::Sha512 => {}
        }
        warnings.into_iter().map(str::to_owned).collect()
    }
}
