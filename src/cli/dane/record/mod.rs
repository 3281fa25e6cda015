//! `danelaw dane record`: the TLSA record of a certificate or a public key, and what is unwise about it.

mod kind;
mod subject;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use serde::Serialize;

use self::kind::Kind;
use self::subject::Subject;
use super::input;
use crate::cli::Exit;
use crate::dane::Selector;
use crate::dane::presentation::shown;
use crate::dane::tlsa::{Fate, rdata, sift};
use crate::dns::TlsaRdata;
use crate::name::DnsName;

/// Of what, and which kind.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  danelaw dane record --cert fullchain.pem --name mx.example.com
  danelaw dane record --cert fullchain.pem --key next.pub.pem --name mx.example.com --ttl 3600   # before a rollover
  danelaw dane record --cert fullchain.pem --usage 2 --name mx.example.com                       # of the CA's certificate
  openssl pkey -in next.key.pem -pubout -out next.pub.pem

Exit codes:
  0   printed; warnings are on stderr
  2   bad input: a file that cannot be read or is of another kind, or a record that no sender could use
  64  the command line is wrong")]
pub(in crate::cli) struct Args {
    /// The certificate in PEM; of a chain the first, with usage 2 the last.
    #[arg(long, value_name = "FILE", required_unless_present = "key")]
    cert: Option<PathBuf>,
    /// A public key in PEM, whose certificate need not exist yet.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// 3: the server's own certificate or key; 2: a CA of the domain's choice.
    #[arg(long, value_name = "2|3", default_value_t = 3)]
    usage: u8,
    /// 1: the public key; 0: the whole certificate. 1 by default, 0 with usage 2.
    #[arg(long, value_name = "0|1")]
    selector: Option<u8>,
    /// 1: SHA-256; 2: SHA-512; 0: no digest.
    #[arg(long, value_name = "0|1|2", default_value_t = 1)]
    matching_type: u8,
    /// The TLSA base domain: the MX host's name.
    #[arg(long, value_name = "MX")]
    name: Option<OsString>,
    /// The port of the MX host.
    #[arg(long, value_name = "PORT", default_value_t = 25)]
    port: u16,
    /// The TTL in seconds, where the record is to have one of its own.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=i64::from(i32::MAX)))]
    ttl: Option<u32>,
    /// Prints a JSON object.
    #[arg(long)]
    json: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Made {
    owner: String,
    ttl: Option<u32>,
    records: Vec<Record>,
    warnings: Vec<String>,
}

/// One record.
#[derive(Debug, Serialize)]
struct Record {
    /// Of which certificate or key, in words.
    of: String,
    usage: u8,
    selector: u8,
    matching_type: u8,
    /// `3 1 1 ab12…`
    rdata: String,
    /// The line for the zone file.
    line: String,
    #[serde(skip)]
    octets: TlsaRdata,
}

/// Makes the records and prints them.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let made = args.make()?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&made)?)?;
    } else {
        for warning in &made.warnings {
            // On stderr, so that stdout can be a zone file.
            writeln!(io::stderr(), "danelaw: warning: {warning}")?;
        }
        for record in &made.records {
            writeln!(out, "; {}", record.of)?;
            writeln!(out, "{}", record.line)?;
        }
    }
    Ok(Exit::Ok.into())
}

impl Args {
    fn make(&self) -> anyhow::Result<Made> {
        let kind = Kind::new(self.usage, self.selector, self.matching_type)?;
        let name = self.name.as_deref().map(input::name).transpose()?;
        let owner = self.owner(name.as_ref())?;
        let mut warnings = kind.warnings();
        if name.is_none() {
            warnings.push(format!(
                "without --name the owner is `{owner}`, which is right only where $ORIGIN is the MX host's name"
            ));
        }
        let mut records = Vec::new();
        if let Some(path) = &self.cert {
            let chain = input::chain(path)?;
            let subject = Subject::of(&chain, kind)?;
            let record = self.record(kind, subject.selected, subject.called(path), &owner)?;
            warnings.extend(subject.doubts(&record.octets, name.as_ref()));
            records.push(record);
        }
        if let Some(path) = &self.key {
            if kind.selector == Selector::Cert {
                bail!(
                    "selector 0 is about a whole certificate, and --key gives a key alone; expected --selector 1"
                );
            }
            let spki = input::public_key(path)?;
            let of = format!("the key in {path:?}");
            records.push(self.record(kind, &spki, of, &owner)?);
        }
        Ok(Made {
            owner,
            ttl: self.ttl,
            records,
            warnings,
        })
    }

    fn owner(&self, name: Option<&DnsName>) -> anyhow::Result<String> {
        let below = format!("_{}._tcp", self.port);
        let Some(name) = name else {
            return Ok(below);
        };
        let owner = name
            .prefixed(&below)
            .map_err(|why| anyhow!("no TLSA record can stand below {name}: {why}"))?;
        Ok(format!("{owner}."))
    }

    fn record(
        &self,
        kind: Kind,
        selected: &[u8],
        of: String,
        owner: &str,
    ) -> anyhow::Result<Record> {
        let octets = rdata(kind.usage, kind.selector, kind.matching, selected);
        if octets.len() > usize::from(u16::MAX) {
            bail!("{of} is too long for a record; expected --matching-type 1");
        }
        // What no sender could use is not printed, whatever its cause.
        if let [Fate::Unusable(why)] = &sift(std::slice::from_ref(&octets))[..] {
            bail!("{of} makes no usable record: {why}");
        }
        let rdata = shown(&octets);
        let ttl = self.ttl.map(|ttl| format!(" {ttl}")).unwrap_or_default();
        Ok(Record {
            of,
            usage: kind.usage.number(),
            selector: kind.selector.number(),
            matching_type: kind.matching.number(),
            line: format!("{owner}{ttl} IN TLSA {rdata}"),
            rdata,
            octets,
        })
    }
}
