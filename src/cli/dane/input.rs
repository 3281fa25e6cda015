//! What the commands read: chains and keys in PEM, lists of records, times. Every file is bounded, and what is wrong
//! with one is said with its name and what to do.
#![expect(
    clippy::disallowed_methods,
    reason = "IO: reads the files that the command line names"
)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};

use crate::dane::presentation::{self, Entry};
use crate::name::DnsName;
use crate::x509::outline::{Outline, split_spki};

/// The certificates of a PEM file, in its order; at least one, and the first can be read.
pub(super) fn chain(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = path.display();
    let chain: Vec<CertificateDer<'static>> = sections(path)?
        .into_iter()
        .filter(|(kind, _)| *kind == SectionKind::Certificate)
        .map(|(_, der)| CertificateDer::from(der))
        .collect();
    let Some(leaf) = chain.first() else {
        bail!(
            "{shown} holds no `BEGIN CERTIFICATE` section; expected PEM, the server's certificate first (`openssl x509 -inform DER` makes PEM of DER)"
        );
    };
    Outline::parse(leaf).with_context(|| format!("{shown}, the first certificate"))?;
    Ok(chain)
}

/// The SubjectPublicKeyInfo of a PEM file.
pub(super) fn public_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let sections = sections(path)?;
    let found = sections
        .iter()
        .find(|(kind, _)| *kind == SectionKind::PublicKey);
    if let Some((_, spki)) = found {
        split_spki(spki).map_err(|_| anyhow!("{shown}: its `PUBLIC KEY` section is no key"))?;
        return Ok(spki.clone());
    }
    let private = sections.iter().any(|(kind, _)| {
        [
            SectionKind::PrivateKey,
            SectionKind::RsaPrivateKey,
            SectionKind::EcPrivateKey,
        ]
        .contains(kind)
    });
    if private {
        bail!(
            "{shown} holds a private key, which is not wanted here; `openssl pkey -in {shown} -pubout` prints the public one"
        );
    }
    bail!(
        "{shown} holds no `BEGIN PUBLIC KEY` section; `openssl pkey -in KEY.pem -pubout` prints one"
    )
}

/// The records of a file, at least one, all of one owner.
pub(super) fn records(path: &Path) -> anyhow::Result<Vec<Entry>> {
    let shown = path.display();
    let Ok(text) = String::from_utf8(read(path)?) else {
        bail!("{shown} is not text; expected a TLSA record in each line");
    };
    let entries =
        presentation::zone(&text).map_err(|(line, why)| anyhow!("{shown}, line {line}: {why}"))?;
    if entries.is_empty() {
        bail!("{shown} holds no record; expected lines such as `3 1 1 <hex>`");
    }
    let owners: Vec<String> = entries
        .iter()
        .filter_map(|entry| entry.owner.as_deref())
        .map(str::to_ascii_lowercase)
        .collect();
    if let [first, others @ ..] = &owners[..]
        && let Some(other) = others.iter().find(|other| *other != first)
    {
        bail!(
            "{shown} holds records of {first:?} and of {other:?}; expected one RRset, since a sender never mixes two"
        );
    }
    Ok(entries)
}

/// A name of the command line, U-labels too.
pub(super) fn name(text: &OsStr) -> anyhow::Result<DnsName> {
    let name = text.to_str().map(DnsName::parse_unicode);
    match name {
        Some(Ok(name)) => Ok(name),
        Some(Err(why)) => bail!("expected a name such as mx.example.com, got {text:?}: {why}"),
        None => bail!("expected a name such as mx.example.com, got {text:?}: it is not UTF-8"),
    }
}

fn sections(path: &Path) -> anyhow::Result<Vec<(SectionKind, Vec<u8>)>> {
    let bytes = read(path)?;
    let mut sections: Vec<(SectionKind, Vec<u8>)> = Vec::new();
    for section in PemObject::pem_slice_iter(&bytes) {
        let section = section.map_err(|why| {
            anyhow!(
                "{} is damaged after {} PEM sections: {why}",
                path.display(),
                sections.len()
            )
        })?;
        sections.push(section);
    }
    Ok(sections)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("{shown} cannot be read"))?;
    if bytes.len() as u64 > LARGEST {
        bail!("{shown} is larger than {LARGEST} octets; expected a few certificates or records");
    }
    Ok(bytes)
}

/// A hundred times what a chain or an RRset takes.
const LARGEST: u64 = 1 << 20;
