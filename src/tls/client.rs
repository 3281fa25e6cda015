//! The TLS client towards MX hosts: possession of the key is proven, everything else is written down.
//!
//! [`Connector`] offers TLS 1.2 and 1.3 (RFC 8996, RFC 9325 §3.1) with *ring*'s suites, AES-128-GCM first. It never
//! presents a certificate, never sends early data (RFC 8446 §2.3 asks for a profile that SMTP has not), and never
//! resumes: a ticket may not be used under another demand than it was made under (RFC 6066 §3), and tickets are not
//! kept apart by demand here. The server name is sent as a DNS name or not at all, never as an address (RFC 6066 §3).
//! A handshake that fails is a sentence; there is no half-protected stream.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ring::digest;
use rustls::client::Resumption;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::possession::Possession;
use super::{Handshake, failure};
use crate::name::DnsName;
use crate::x509::outline::Outline;

/// Makes handshakes; one for the process.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// With the provider's safe defaults: TLS 1.2 and 1.3, no resumption across demands, no client certificate.
    ///
    /// # Errors
    /// When the provider cannot be set up.
    pub fn new() -> Result<Self, rustls::Error> {
        let mut provider = default_provider();
        // The cheaper of the two where both sides leave the choice open; either is strong enough.
        provider.cipher_suites.sort_by_key(|suite| {
            ![
                cipher_suite::TLS13_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
                cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            ]
            .contains(suite)
        });
        let verifier = Possession(provider.signature_verification_algorithms);
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        Ok(Self {
            config: Arc::new(config),
        })
    }

    /// Shakes hands over `stream`, asking for `sni`.
    ///
    /// # Errors
    /// Why there is no protected channel, in words for the record; the stream is gone.
    pub async fn handshake<S>(
        &self,
        stream: S,
        sni: Option<&DnsName>,
    ) -> Result<(TlsStream<S>, Handshake), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let connecting =
            TlsConnector::from(Arc::clone(&self.config)).connect(server_name(sni)?, stream);
        // On the heap: the future is large, and every session would carry it to its end.
        let stream = Box::pin(connecting)
            .await
            .map_err(|error| failure::sentence(&error))?;
        let handshake = seen(stream.get_ref().1, sni)?;
        Ok((stream, handshake))
    }
}

/// rustls sends no server name for an address, so any address stands for "none".
fn server_name(sni: Option<&DnsName>) -> Result<ServerName<'static>, String> {
    match sni {
        Some(name) => ServerName::try_from(name.as_str().to_owned())
            .map_err(|_| format!("{name} cannot be asked for in TLS")),
        None => Ok(ServerName::from(Ipv4Addr::UNSPECIFIED)),
    }
}

/// What the finished handshake has shown; without a readable leaf it has shown nothing.
fn seen(connection: &ClientConnection, sni: Option<&DnsName>) -> Result<Handshake, String> {
    let chain: Vec<_> = connection
        .peer_certificates()
        .unwrap_or_default()
        .iter()
        .map(|certificate| certificate.clone().into_owned())
        .collect();
    let leaf = chain
        .first()
        .ok_or("the server has presented no certificate")?;
    let outline = Outline::parse(leaf).map_err(|malformed| malformed.to_string())?;
    let digest = digest::digest(&digest::SHA256, outline.spki);
    let spki_sha256 = digest
        .as_ref()
        .try_into()
        .map_err(|_| "a digest is of the wrong length")?;
    Ok(Handshake {
        sni: sni.cloned(),
        version: version(connection.protocol_version())
            .ok_or("a version was agreed on that was not offered")?,
        suite: connection
            .negotiated_cipher_suite()
            .map(suite)
            .ok_or("no cipher suite was agreed on")?,
        spki_sha256,
        chain,
    })
}

fn version(version: Option<ProtocolVersion>) -> Option<&'static str> {
    if version == Some(ProtocolVersion::TLSv1_3) {
        Some("TLSv1.3")
    } else if version == Some(ProtocolVersion::TLSv1_2) {
        Some("TLSv1.2")
    } else {
        None
    }
}

/// The name of RFC 8446 §B.4, which has no version in it.
fn suite(suite: rustls::SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replace("TLS13_", "TLS_")
}
