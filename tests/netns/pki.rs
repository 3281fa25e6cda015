//! Keys and certificates, made and measured by OpenSSL so that nothing of danelaw's own vouches for danelaw.

use super::sandbox::{HOME, sh};
use super::world::{Exchanger, Tls, Tlsa, exchangers};

/// The lab's CA: the only one that danelaw trusts in here.
pub(crate) const CA: &str = "/run/lab/pki/ca.pem";

/// Makes the CA and one certificate for each MX host and policy host.
pub(crate) fn make(policy_hosts: &[String]) {
    sh(&format!(
        "mkdir -p {HOME}/pki; cd {HOME}/pki; openssl req -x509 {KEY} -keyout ca.key -out ca.pem -days 30 \
        -subj '/CN=Lab CA' -addext keyUsage=critical,keyCertSign 2>&1"
    ));
    for (domain, exchanger) in exchangers() {
        let file = exchanger.number.to_string();
        match exchanger.tls {
            Tls::None | Tls::SelfSigned => leaf(&file, "nobody.invalid", ""),
            Tls::Untrusted => leaf(&file, &exchanger.host(domain), ""),
            Tls::Trusted | Tls::Required => leaf(&file, &exchanger.host(domain), BY_CA),
            Tls::WrongName => leaf(&file, "elsewhere.test", BY_CA),
        }
    }
    for (_, exchanger) in exchangers().filter(|(_, exchanger)| exchanger.tlsa == Tlsa::Anchored) {
        // RFC 7672 §3.1.2: what a usage 2 record names has to be in the chain.
        sh(&format!("cat {CA} >>{}", chain_of(exchanger)));
    }
    for host in policy_hosts {
        leaf(host, host, BY_CA);
    }
}

/// The file with key and certificate of an MX host.
pub(crate) fn chain_of(exchanger: &Exchanger) -> String {
    format!("{HOME}/pki/{}.pem", exchanger.number)
}

/// The data of an MX host's TLSA record, RFC 6698 §2.1: usage, selector, matching type, association.
pub(crate) fn tlsa_of(exchanger: &Exchanger) -> Option<String> {
    let spki = match exchanger.tlsa {
        Tlsa::Absent => return None,
        Tlsa::Matching => chain_of(exchanger),
        Tlsa::Differing => CA.to_owned(),
        Tlsa::Anchored => {
            let digest = sh(&format!(
                "openssl x509 -in {CA} -outform DER | openssl dgst -sha256 -r"
            ));
            return Some(format!("2 0 1 {}", hex_of(&digest)));
        }
    };
    let digest = sh(&format!(
        "openssl x509 -in {spki} -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst -sha256 -r"
    ));
    Some(format!("3 1 1 {}", hex_of(&digest)))
}

/// The digest in what `openssl dgst -r` says: it stands in front of the file's name.
fn hex_of(said: &str) -> &str {
    said.split_once(' ').map_or(said, |(digest, _file)| digest)
}

fn leaf(file: &str, name: &str, signer: &str) {
    sh(&format!(
        "cd {HOME}/pki; openssl req -x509 {KEY} -keyout {file}.key -out {file}.crt -days 20 -subj /CN={name} \
        -addext subjectAltName=DNS:{name} -addext basicConstraints=critical,CA:FALSE \
        -addext extendedKeyUsage=serverAuth {signer} 2>&1; cat {file}.key {file}.crt >{file}.pem; chmod 644 {file}.*"
    ));
}

const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
const BY_CA: &str = "-CA ca.pem -CAkey ca.key";
