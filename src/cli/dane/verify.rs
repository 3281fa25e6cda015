//! `danelaw dane verify`: a chain against TLSA records as a delivery would hold it, from files and without any network.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use rustls_pki_types::CertificateDer;
use serde::Serialize;

use super::{fates, input};
use crate::calendar;
use crate::cli::Exit;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::dane::presentation::{hex, record};
use crate::dane::tlsa::usable;
use crate::dane::{self, Match, Matching, Mismatch, Presented, Tlsa, Usage};
use crate::dns::TlsaRdata;
use crate::name::ReferenceId;
use crate::x509::names::Names;
use crate::x509::outline::Outline;

/// What to hold against what.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw dane verify --tlsa '3 1 1 8d02…' --chain fullchain.pem
  danelaw dane verify --tlsa-file tlsa.zone --chain fullchain.pem --name mx.example.com --name example.com
  dig +short _25._tcp.mx.example.com TLSA > tlsa.zone    # not validated: for a look only
  danelaw dane verify --json --time 2027-01-31T00:00:00Z --tlsa '2 0 1 …' --chain fullchain.pem --name mx.example.com

Exit codes:
  0   a record matches
  1   no record matches
  2   bad input: a file that cannot be read or is of another kind, a text that is no record, name or time
  3   no record can be used; such an RRset demands TLS and authenticates nobody
  64  the command line is wrong")]
pub(in crate::cli) struct Args {
    /// A record, as in a zone file: usage, selector, matching type and hexadecimal digits; may be repeated.
    #[arg(long, value_name = "RECORD", required_unless_present = "tlsa_file")]
    tlsa: Vec<OsString>,
    /// A file with a record in each line, or with the lines of a zone file.
    #[arg(long, value_name = "FILE")]
    tlsa_file: Option<PathBuf>,
    /// What the server presents, in PEM, its own certificate first.
    #[arg(long, value_name = "FILE")]
    chain: PathBuf,
    /// A name that the certificate may carry, the TLSA base domain first; may be repeated. Only usage 2 looks at names.
    #[arg(long, value_name = "NAME")]
    name: Vec<OsString>,
    /// When to judge, such as 2027-01-31T12:00:00Z; now by default.
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Findings {
    result: &'static str,
    usage: Option<u8>,
    selector: Option<u8>,
    matching_type: Option<u8>,
    depth: Option<usize>,
    reason: Option<String>,
    time: String,
    names: Vec<String>,
    records: Vec<fates::Record>,
    certificates: Vec<Certificate>,
    notes: Vec<&'static str>,
}

/// One certificate of the chain.
#[derive(Debug, Serialize)]
struct Certificate {
    /// What `x 0 1` records hold.
    cert_sha256: String,
    /// What `x 1 1` records hold; nothing where no key can be found.
    spki_sha256: Option<String>,
    names: Vec<String>,
}

/// Everything that was read.
struct Inputs {
    rrset: Vec<TlsaRdata>,
    chain: Vec<CertificateDer<'static>>,
    names: Vec<ReferenceId>,
    now: Timestamp,
}

/// Reads, judges, prints; the exit code is the result.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let inputs = args.read()?;
    let records = usable(&inputs.rrset);
    let presented = Presented {
        chain: &inputs.chain,
        reference_ids: &inputs.names,
    };
    // An RRset without a usable record never comes this far in a delivery: TLS is demanded, and that is all.
    let outcome = (!records.is_empty()).then(|| dane::verify(&records, presented, inputs.now));
    let findings = Findings::new(&inputs, &records, outcome.as_ref());
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&findings)?)?;
    } else {
        text(&mut out, &findings)?;
    }
    Ok(match outcome {
        Some(Ok(_)) => Exit::Ok,
        Some(Err(_)) => Exit::Negative,
        None => Exit::Unusable,
    }
    .into())
}

impl Args {
    fn read(&self) -> anyhow::Result<Inputs> {
        let mut rrset = Vec::new();
        for text in &self.tlsa {
            let read = text
                .to_str()
                .ok_or_else(|| anyhow!("--tlsa {text:?} is not UTF-8"))
                .and_then(|text| record(text).map_err(|why| anyhow!("--tlsa {text:?}: {why}")));
            rrset.push(read?);
        }
        if let Some(path) = &self.tlsa_file {
            rrset.extend(input::records(path)?.into_iter().map(|entry| entry.rdata));
        }
        let names = self.name.iter().map(|name| input::name(name));
        Ok(Inputs {
            rrset,
            chain: input::chain(&self.chain)?,
            names: names
                .map(|name| name.map(ReferenceId::new))
                .collect::<anyhow::Result<_>>()?,
            now: match &self.time {
                Some(text) => calendar::read(text)?,
                None => SystemClock.wall(),
            },
        })
    }
}

impl Findings {
    fn new(inputs: &Inputs, usable: &[Tlsa], outcome: Option<&Result<Match, Mismatch>>) -> Self {
        let (result, matched, reason) = match outcome {
            Some(Ok(matched)) => ("match", Some(matched), None),
            Some(Err(mismatch)) => ("mismatch", None, Some(in_words(mismatch))),
            None => ("unusable", None, Some(UNUSABLE.to_owned())),
        };
        let record = matched.map(|matched| &matched.record);
        let mut notes = Vec::new();
        let anchors = usable.iter().any(|record| record.usage == Usage::DaneTa);
        if anchors && inputs.names.is_empty() {
            notes.push(NO_NAMES);
        }
        Self {
            result,
            usage: record.map(|record| record.usage.number()),
            selector: record.map(|record| record.selector.number()),
            matching_type: record.map(|record| record.matching.number()),
            depth: matched.map(|matched| matched.depth),
            reason,
            time: calendar::written(inputs.now),
            names: inputs.names.iter().map(ToString::to_string).collect(),
            records: fates::records(&inputs.rrset),
            certificates: inputs
                .chain
                .iter()
                .map(|der| Certificate::of(der))
                .collect(),
            notes,
        }
    }
}

impl Certificate {
    fn of(der: &[u8]) -> Self {
        let digest = |selected| hex(&Matching::Sha256.of(selected));
        Self {
            cert_sha256: digest(der),
            spki_sha256: Outline::parse(der).ok().map(|outline| digest(outline.spki)),
            names: Names::of(der).shown(),
        }
    }
}

/// The label, and what was seen.
pub(super) fn in_words(mismatch: &Mismatch) -> String {
    format!("{}: {mismatch}", mismatch.label())
}

fn text(out: &mut impl Write, findings: &Findings) -> io::Result<()> {
    match (
        findings.usage,
        findings.selector,
        findings.matching_type,
        findings.depth,
    ) {
        (Some(usage), Some(selector), Some(matching), Some(depth)) => writeln!(
            out,
            "match: a {usage} {selector} {matching} record, at depth {depth} of the chain"
        )?,
        _ => writeln!(
            out,
            "{}: {}",
            findings.result,
            findings.reason.as_deref().unwrap_or_default()
        )?,
    }
    for note in &findings.notes {
        writeln!(out, "  note      {note}")?;
    }
    for record in &findings.records {
        writeln!(out, "  {:9} {}", record.status, record.record)?;
        if let Some(note) = &record.note {
            writeln!(out, "            {note}")?;
        }
    }
    for (depth, certificate) in findings.certificates.iter().enumerate() {
        let key = certificate.spki_sha256.as_deref().unwrap_or("unreadable");
        writeln!(
            out,
            "  depth {depth}   cert sha256 {}, key sha256 {key}, names {:?}",
            certificate.cert_sha256, certificate.names
        )?;
    }
    Ok(())
}

const UNUSABLE: &str =
    "tlsa-unusable: no record can be used, so TLS is demanded and nobody is authenticated";
const NO_NAMES: &str =
    "no --name was given, so a usage 2 record cannot match: its certificate must name the server";
