//! A CA on the screen: who it is, until when, and what to do with its certificate.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Place;
use crate::clock::Timestamp;
use crate::tls::authority::{Certificate, Files};

pub(super) fn print(
    place: &Place,
    files: &Files,
    certificate: &Certificate,
    now: Timestamp,
) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if place.json {
        let told = json!({
            "subject": certificate.subject,
            "sha256": certificate.fingerprint(),
            "not_before": date(certificate.not_before),
            "not_after": date(certificate.not_after),
            "days_left": days_left(certificate, now),
            "in_date": certificate.is_current(now),
            "ca_cert": absolute(&files.certificate),
            "ca_key": absolute(&files.key),
        });
        return writeln!(out, "{told:#}");
    }
    let pem = absolute(&files.certificate).display().to_string();
    let key = absolute(&files.key).display().to_string();
    let state = if certificate.is_current(now) {
        format!("{} days left", days_left(certificate, now))
    } else {
        "not valid today".to_owned()
    };
    writeln!(out, "subject      {}", certificate.subject)?;
    writeln!(out, "SHA-256      {}", certificate.fingerprint())?;
    writeln!(
        out,
        "valid        {} to {} ({state})",
        date(certificate.not_before),
        date(certificate.not_after)
    )?;
    writeln!(out, "certificate  {pem}")?;
    writeln!(out, "key          {key}")?;
    writeln!(
        out,
        "\nIn danelaw's configuration; the key must belong to the user that runs danelaw:\n"
    )?;
    writeln!(
        out,
        "  [client_tls]\n  ca_cert = {pem:?}\n  ca_key = {key:?}"
    )?;
    write!(out, "{TRUST}")
}

/// What is done with the certificate on the mail servers' hosts.
const TRUST: &str = "
On the mail servers that shall trust it, with a copy of the certificate (never of the key):

  Debian    install -m 644 ca.pem /usr/local/share/ca-certificates/danelaw.crt && update-ca-certificates
  Postfix   postconf -e smtp_tls_CAfile=/etc/postfix/danelaw-ca.pem smtp_tls_servername=hostname
  Exim      tls_verify_certificates = /etc/exim4/danelaw-ca.pem    (in the SMTP transport)
  Exchange  Import-Certificate -FilePath ca.pem -CertStoreLocation Cert:\\LocalMachine\\Root
";

fn days_left(certificate: &Certificate, now: Timestamp) -> u64 {
    certificate.not_after.since(now).as_secs() / (24 * 3600)
}

fn date(time: Timestamp) -> String {
    i64::try_from(time.unix())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|date| date.format(&Rfc3339).ok())
        .unwrap_or_else(|| time.to_string())
}

/// As other programs, started elsewhere, must name it.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
