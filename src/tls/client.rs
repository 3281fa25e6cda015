//! The TLS client towards MX hosts: possession of the key is proven, everything else is written down.
//!
//! [`Connector`] offers TLS 1.2 and 1.3 (RFC 8996, RFC 9325 §3.1) with *ring*'s suites, AES-128-GCM first. It never
//! presents a certificate and never sends early data (RFC 8446 §2.3 asks for a profile that SMTP has not). It resumes
//! what it is given to resume, and nothing else ([`Connector::resume`]). The server name is sent as a DNS name or not at
//! all, never as an address (RFC 6066 §3). A handshake that fails is a sentence; there is no half-protected stream.

use std::net::Ipv4Addr;
use std::sync::Arc;

use ring::digest;
use rustls::client::Resumption;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::possession::Possession;
use super::tickets::Pocket;
use super::{Handshake, failure};
use crate::name::DnsName;
use crate::x509::outline::Outline;

/// Makes handshakes; one for the process.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
}

impl Connector {
    /// With the provider's safe defaults: TLS 1.2 and 1.3, no client certificate.
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

    /// Shakes hands over `stream`, asking for `sni`, in full.
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
        shake(Arc::clone(&self.config), stream, sni).await
    }

    /// The same with what is in the pocket, where the server has not forgotten it; what the server hands out is in the
    /// pocket afterwards.
    ///
    /// # Errors
    /// As [`Connector::handshake`].
    pub async fn resume<S>(
        &self,
        stream: S,
        sni: Option<&DnsName>,
        pocket: Arc<Pocket>,
    ) -> Result<(TlsStream<S>, Handshake), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        // The verifier stays the same, or rustls would not take the ticket.
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(pocket);
        shake(Arc::new(config), stream, sni).await
    }
}

async fn shake<S>(
    config: Arc<ClientConfig>,
    stream: S,
    sni: Option<&DnsName>,
) -> Result<(TlsStream<S>, Handshake), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let connecting = TlsConnector::from(config).connect(server_name(sni)?, stream);
    // On the heap: the future is large, and every session would carry it to its end.
    let stream = Box::pin(connecting)
        .await
        .map_err(|error| failure::sentence(&error))?;
    let handshake = seen(stream.get_ref().1, sni)?;
    Ok((stream, handshake))
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
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        recalled: Vec::new(),
        chain,
    })
}

pub(super) fn version(version: Option<ProtocolVersion>) -> Option<&'static str> {
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

#[cfg(test)]
mod tests {
    use std::io;

    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::ring::Ticketer;
    use rustls::crypto::ring::sign::any_supported_type;
    use rustls::server::{ClientCertVerifierBuilder, WebPkiClientVerifier};
    use rustls::sign::{CertifiedKey, SingleCertAndKey};
    use rustls::{ServerConfig, ServerConnection, SupportedProtocolVersion};
    use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::x509::path::Roots;
    use crate::x509::sample::{Sample, between, ca, server, server_by_cn, with_unknown_critical};

    const MX: &str = "mx.example.com";
    const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

    /// What a server presents and the key it signs with, which need not be the same.
    #[derive(Clone)]
    struct Identity {
        chain: Vec<CertificateDer<'static>>,
        key: Vec<u8>,
    }

    impl Identity {
        fn of(chain: &[&Sample]) -> Self {
            Self {
                chain: chain.iter().map(|sample| sample.der.clone()).collect(),
                key: chain[0].key.serialized_der().to_vec(),
            }
        }

        fn self_signed(params: CertificateParams) -> Self {
            Self::of(&[&Sample::self_signed(params)])
        }

        fn with_key(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
            let key = KeyPair::generate_for(algorithm).unwrap();
            Self::of(&[&Sample::self_signed_with(server(&[MX]), key)])
        }

        fn fixture(certificate: &[u8], key: &[u8]) -> Self {
            Self {
                chain: vec![CertificateDer::from(certificate.to_vec())],
                key: key.to_vec(),
            }
        }

        fn config(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.key.clone()));
            let key = CertifiedKey::new(self.chain.clone(), any_supported_type(&key).unwrap());
            ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    }

    fn v1() -> Identity {
        Identity::fixture(
            include_bytes!("../../testdata/dane/v1.der"),
            include_bytes!("../../testdata/dane/v1.key.der"),
        )
    }

    fn rsa() -> Identity {
        Identity::fixture(
            include_bytes!("../../testdata/dane/rsa2048.der"),
            include_bytes!("../../testdata/dane/rsa2048.key.der"),
        )
    }

    /// What both sides saw of a handshake after which a line has gone either way.
    struct Seen {
        handshake: Handshake,
        kind: Option<HandshakeKind>,
        sni_at_server: Option<String>,
    }

    async fn shake(
        connector: &Connector,
        config: &Arc<ServerConfig>,
        sni: Option<&DnsName>,
    ) -> Result<Seen, String> {
        let (near, far) = duplex(1 << 14);
        let server = async {
            let mut stream = TlsAcceptor::from(Arc::clone(config)).accept(far).await?;
            let mut line = [0; 6];
            stream.read_exact(&mut line).await?;
            stream.write_all(&line).await?;
            stream.flush().await?;
            Ok::<_, io::Error>(stream.get_ref().1.server_name().map(str::to_owned))
        };
        let client = async {
            let (mut stream, handshake) = connector.handshake(near, sni).await?;
            stream.write_all(b"EHLO\r\n").await.unwrap();
            stream.flush().await.unwrap();
            let mut line = [0; 6];
            stream.read_exact(&mut line).await.unwrap();
            assert_eq!(&line, b"EHLO\r\n");
            Ok::<_, String>((handshake, stream.get_ref().1.handshake_kind()))
        };
        let (server, client) = tokio::join!(server, client);
        let (handshake, kind) = client?;
        Ok(Seen {
            handshake,
            kind,
            sni_at_server: server.unwrap(),
        })
    }

    #[test]
    fn a_handshake_can_move_between_threads() {
        fn moves(_: &impl Send) {}
        let connector = Connector::new().unwrap();
        moves(&connector.handshake(duplex(1).0, None));
    }

    fn mx() -> DnsName {
        MX.parse().unwrap()
    }

    #[tokio::test]
    async fn tlsa_13_dane_01_odd_certificates_are_written_down_and_not_judged() {
        let connector = Connector::new().unwrap();
        let root = Sample::self_signed(ca("Root"));
        let leaf = root.issue(server(&[MX]));
        let padded = {
            let mut identity = Identity::self_signed(server(&[MX]));
            let der = identity.chain[0].to_vec();
            assert_eq!(der[1], 0x82);
            identity.chain[0] = [&[0x30, 0x83, 0], &der[2..]].concat().into();
            identity
        };
        for (sentence, identity) in [
            ("a chain", Identity::of(&[&leaf, &root])),
            ("self-signed", Identity::self_signed(server(&[MX]))),
            (
                "expired",
                Identity::self_signed(between(server(&[MX]), 2020, 2021)),
            ),
            (
                "valid at no time",
                Identity::self_signed(between(server(&[MX]), 2031, 2030)),
            ),
            (
                "another name",
                Identity::self_signed(server(&["a.example"])),
            ),
            (
                "a common name only",
                Identity::self_signed(server_by_cn(MX)),
            ),
            ("a CA", Identity::self_signed(ca("CA"))),
            (
                "critical and unknown",
                Identity::self_signed(with_unknown_critical(server(&[MX]))),
            ),
            ("version 1", v1()),
            ("a length longer than DER wants", padded),
            ("RSA", rsa()),
            ("P-384", Identity::with_key(&rcgen::PKCS_ECDSA_P384_SHA384)),
            ("Ed25519", Identity::with_key(&rcgen::PKCS_ED25519)),
        ] {
            for version in BOTH {
                let config = Arc::new(identity.config(&[version]));
                let seen = shake(&connector, &config, Some(&mx())).await;
                let Seen { handshake, .. } =
                    seen.map_err(|why| format!("{sentence}: {why}")).unwrap();
                assert_eq!(handshake.chain(), identity.chain, "{sentence}");
                let spki = Outline::parse(&identity.chain[0]).unwrap().spki;
                assert_eq!(
                    handshake.spki_sha256()[..],
                    *digest::digest(&digest::SHA256, spki).as_ref(),
                    "{sentence}"
                );
            }
        }
    }

    #[tokio::test]
    async fn tls_15_tlsa_20_the_version_and_the_suite_are_named() {
        let connector = Connector::new().unwrap();
        let ecdsa = Identity::self_signed(server(&[MX]));
        for (identity, versions, version, suite) in [
            (&ecdsa, &BOTH[..], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            (&ecdsa, &BOTH[1..], "TLSv1.3", "TLS_AES_128_GCM_SHA256"),
            (
                &ecdsa,
                &BOTH[..1],
                "TLSv1.2",
                "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            ),
            (
                &rsa(),
                &BOTH[..1],
                "TLSv1.2",
                "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            ),
        ] {
            // The server leaves the choice of suite to the client's order.
            let mut config = identity.config(versions);
            config.ignore_client_order = false;
            let seen = shake(&connector, &Arc::new(config), None).await.unwrap();
            assert_eq!(seen.handshake.version(), version);
            assert_eq!(seen.handshake.suite(), suite);
        }
    }

    #[tokio::test]
    async fn dane_32_tls_10_the_server_name_is_what_was_asked_for_or_none() {
        let connector = Connector::new().unwrap();
        let config = Arc::new(Identity::self_signed(server(&[MX])).config(&BOTH));
        for (sni, on_the_wire) in [
            (Some("MX.Example.COM."), Some("mx.example.com")),
            (Some("m_x.example.com"), Some("m_x.example.com")),
            (None, None),
        ] {
            let sni: Option<DnsName> = sni.map(|name| name.parse().unwrap());
            let seen = shake(&connector, &config, sni.as_ref()).await.unwrap();
            assert_eq!(seen.sni_at_server.as_deref(), on_the_wire);
            assert_eq!(seen.handshake.sni(), sni.as_ref());
        }
    }

    #[tokio::test]
    async fn attack_tls_11_tls_11_tls_12_tls_13_nothing_is_resumed_and_nothing_is_sent_early() {
        let connector = Connector::new().unwrap();
        for version in BOTH {
            let mut config = Identity::self_signed(server(&[MX])).config(&[version]);
            config.max_early_data_size = 1 << 14;
            config.send_tls13_tickets = 2;
            config.ticketer = Ticketer::new().unwrap();
            let config = Arc::new(config);
            for name in [MX, "mx.example.org", MX] {
                let name = name.parse().unwrap();
                let seen = shake(&connector, &config, Some(&name)).await.unwrap();
                assert_ne!(seen.kind, Some(HandshakeKind::Resumed));
            }
        }
        assert!(!connector.config.enable_early_data);
    }

    /// A server that asks for a certificate, and insists on one unless it is told otherwise.
    fn asking(
        version: &'static SupportedProtocolVersion,
        change: impl FnOnce(ClientCertVerifierBuilder) -> ClientCertVerifierBuilder,
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let root = Sample::self_signed(ca("Root"));
        let anchor = webpki::anchor_from_trusted_cert(&root.der).unwrap();
        let roots = Arc::new(Roots::new(vec![anchor.to_owned()]).store());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(change(verifier).build().unwrap())
            .with_cert_resolver(
                Identity::self_signed(server(&[MX]))
                    .config(&[version])
                    .cert_resolver,
            );
        Arc::new(config)
    }

    #[tokio::test]
    async fn attack_tls_12_a_request_for_a_client_certificate_is_answered_with_none() {
        let connector = Connector::new().unwrap();
        for version in BOTH {
            let config = asking(version, ClientCertVerifierBuilder::allow_unauthenticated);
            assert!(shake(&connector, &config, Some(&mx())).await.is_ok());
        }
    }

    #[tokio::test]
    async fn attack_tls_12_a_server_that_insists_on_a_client_certificate_is_lost() {
        let connector = Connector::new().unwrap();
        for version in BOTH {
            let acceptor = TlsAcceptor::from(asking(version, |insists| insists));
            let (near, far) = duplex(1 << 14);
            let client = async {
                // TLS 1.3 has the client done before the server has looked for its certificate.
                match connector.handshake(near, Some(&mx())).await {
                    Ok((mut stream, _)) => stream.read_u8().await.unwrap_err().to_string(),
                    Err(why) => why,
                }
            };
            let (accepted, why) = tokio::join!(acceptor.accept(far), client);
            assert!(accepted.is_err());
            assert!(why.contains("alert"), "{why}");
        }
    }

    #[tokio::test]
    async fn attack_tls_13_a_flood_of_key_updates_ends_the_connection() {
        let connector = Connector::new().unwrap();
        let config = Identity::self_signed(server(&[MX])).config(&BOTH[1..]);
        let acceptor = TlsAcceptor::from(Arc::new(config));
        for (updates, survives) in [(10, true), (1000, false)] {
            let (near, far) = duplex(1 << 18);
            let server = async {
                let mut stream = acceptor.accept(far).await.unwrap();
                for _ in 0..updates {
                    stream.get_mut().1.refresh_traffic_keys().unwrap();
                }
                stream.write_all(b"250 ok\r\n").await.unwrap();
                stream.flush().await.unwrap();
                stream // kept, so that what the client still has to say can go somewhere
            };
            let client = async {
                let (mut stream, _) = connector.handshake(near, Some(&mx())).await.unwrap();
                let mut line = [0; 8];
                let read = stream.read_exact(&mut line).await;
                read.map(|_| line)
            };
            let (_server, line) = tokio::join!(server, client);
            assert_eq!(line.is_ok(), survives, "{updates}: {line:?}");
        }
    }

    #[tokio::test]
    async fn attack_tls_13_many_certificates_are_taken_and_a_megabyte_of_them_is_not() {
        let connector = Connector::new().unwrap();
        let identity = Identity::self_signed(server(&[MX]));
        for (count, length, taken) in [(100, 400, true), (100, 10_000, false), (1, 1 << 20, false)]
        {
            let mut identity = identity.clone();
            let filler = CertificateDer::from(vec![0x30; length]);
            identity.chain.extend(vec![filler; count]);
            for version in BOTH {
                let config = Arc::new(identity.config(&[version]));
                match shake(&connector, &config, Some(&mx())).await {
                    Ok(seen) => {
                        assert!(taken, "{count} of {length} octets were taken");
                        assert_eq!(seen.handshake.chain().len(), 1 + count);
                    }
                    Err(why) => {
                        assert!(!taken, "{count} of {length} octets: {why}");
                        assert!(why.contains("is not TLS, or is damaged"), "{why}");
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn a_server_without_the_certificate_s_key_has_proven_nothing() {
        let connector = Connector::new().unwrap();
        let own = Identity::self_signed(server(&[MX]));
        let other = Identity::self_signed(server(&[MX]));
        let p384 = Identity::with_key(&rcgen::PKCS_ECDSA_P384_SHA384);
        let stolen = |chain: &Identity, key: &Identity| Identity {
            chain: chain.chain.clone(),
            key: key.key.clone(),
        };
        let signature = "the server has not proven that the certificate's key is its own";
        let kind = "the certificate's key is of a kind that cannot be verified";
        for (sentence, identity, why) in [
            ("another key", stolen(&own, &other), signature),
            ("version 1, another key", stolen(&v1(), &other), signature),
            ("another kind of key", stolen(&rsa(), &other), kind),
            ("another curve", stolen(&own, &p384), kind),
            (
                "a key that cannot be verified",
                Identity {
                    chain: vec![CertificateDer::from_slice(include_bytes!(
                        "../../testdata/dane/ed448.der"
                    ))],
                    ..other.clone()
                },
                kind,
            ),
            (
                "no certificate",
                Identity {
                    chain: vec![CertificateDer::from_slice(b"hello")],
                    ..other.clone()
                },
                "the certificate is not readable: ",
            ),
        ] {
            let config = Arc::new(identity.config(&[&rustls::version::TLS13]));
            let Err(seen) = shake(&connector, &config, Some(&mx())).await else {
                panic!("{sentence}: the handshake succeeded");
            };
            assert!(seen.starts_with(why), "{sentence}: {seen}");

            let config = Arc::new(identity.config(&[&rustls::version::TLS12]));
            let outcome = shake(&connector, &config, Some(&mx())).await;
            assert!(outcome.is_err(), "{sentence}, TLS 1.2");
        }
    }

    /// Reads the ClientHello, answers with these bytes, and closes.
    async fn answered(bytes: impl AsyncFnOnce(&[u8]) -> Vec<u8>) -> Result<Handshake, String> {
        let (near, mut far) = duplex(1 << 16);
        let connector = Connector::new().unwrap();
        let server = async {
            let mut hello = vec![0; 1 << 14];
            let length = far.read(&mut hello).await.unwrap();
            let answer = bytes(&hello[..length]).await;
            far.write_all(&answer).await.unwrap();
            far.shutdown().await.unwrap();
            far // kept, so that what the client still has to say can go somewhere
        };
        let mx = mx();
        let (outcome, _far) = tokio::join!(connector.handshake(near, Some(&mx)), server);
        outcome.map(|(_, handshake)| handshake)
    }

    #[tokio::test]
    async fn tls_04_tls_09_tls_15_what_is_no_handshake_is_a_sentence() {
        let tls_1_0 = {
            let mut hello = vec![0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1];
            hello.extend([7; 32]);
            hello.extend([0, 0x00, 0x2f, 0]);
            hello
        };
        for (sentence, answer, expected) in [
            ("nothing", &b""[..], "closed the connection"),
            (
                "SMTP",
                b"554 5.7.0 no TLS here\r\n",
                "is not TLS, or is damaged",
            ),
            (
                "HTTP",
                b"HTTP/1.1 400 Bad Request\r\n\r\n",
                "is not TLS, or is damaged",
            ),
            (
                "an alert",
                &[0x15, 3, 3, 0, 2, 2, 40],
                "alert handshake_failure",
            ),
            (
                "half an alert",
                &[0x15, 3, 3, 0, 2, 2],
                "closed the connection",
            ),
            ("TLS 1.0", &tls_1_0, "neither TLS 1.2 nor TLS 1.3"),
            ("application data", &[0x17, 3, 3, 0, 1, 0], "out of turn"),
            (
                "an empty ServerHello",
                &[0x16, 3, 3, 0, 4, 2, 0, 0, 0],
                "is not TLS, or is damaged",
            ),
        ] {
            let why = answered(async |_| answer.to_vec()).await.unwrap_err();
            assert!(why.contains(expected), "{sentence}: {why}");
            assert!(
                why.chars().all(|c| c.is_ascii_graphic() || c == ' '),
                "{sentence}"
            );
        }
    }

    /// A handshake record with a ServerHello of this version and suite, and nothing else.
    fn server_hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
        let hello = [
            &[0x16][..],
            &version,
            &[0, 42, 2, 0, 0, 38],
            &version,
            &[7; 32],
            &[0],
            &suite,
            &[0],
        ];
        hello.concat()
    }

    #[tokio::test]
    async fn attack_tls_14_old_versions_and_weak_suites_are_no_handshake() {
        let old = "neither TLS 1.2 nor TLS 1.3";
        let foreign = "has broken the TLS protocol";
        let ssl_2 = [
            &[0x80, 29, 4, 0, 1, 0, 2, 0, 0, 0, 3, 0, 16][..],
            &[1, 0, 0x80],
            &[7; 16],
        ];
        for (sentence, answer, expected) in [
            ("SSL 2", ssl_2.concat(), "is not TLS, or is damaged"),
            ("SSL 3", server_hello([3, 0], [0, 0x2f]), old),
            ("TLS 1.0", server_hello([3, 1], [0xc0, 0x13]), old),
            ("TLS 1.1", server_hello([3, 2], [0xc0, 0x14]), old),
            ("RC4", server_hello([3, 3], [0, 0x05]), foreign),
            ("3DES", server_hello([3, 3], [0, 0x0a]), foreign),
            ("no encryption", server_hello([3, 3], [0, 0x3b]), foreign),
            ("exportable DHE", server_hello([3, 3], [0, 0x14]), foreign),
            ("DHE", server_hello([3, 3], [0, 0x9e]), foreign),
            ("anonymous DH", server_hello([3, 3], [0, 0xa6]), foreign),
            (
                "anonymous ECDH",
                server_hello([3, 3], [0xc0, 0x18]),
                foreign,
            ),
            ("RSA key exchange", server_hello([3, 3], [0, 0x9c]), foreign),
            ("CBC", server_hello([3, 3], [0xc0, 0x13]), foreign),
            (
                "the alert of a server that has nothing better",
                vec![0x15, 3, 1, 0, 2, 2, 70],
                "alert protocol_version",
            ),
        ] {
            let why = answered(async |_| answer).await.unwrap_err();
            assert!(why.contains(expected), "{sentence}: {why}");
        }
    }

    #[tokio::test]
    async fn attack_tls_13_floods_of_odd_records_are_no_handshake() {
        let config = Arc::new(Identity::self_signed(server(&[MX])).config(&BOTH[..1]));
        let damaged = "is not TLS, or is damaged";
        for (sentence, record, expected) in [
            ("empty handshake records", &[0x16, 3, 3, 0, 0][..], damaged),
            ("empty alerts", &[0x15, 3, 3, 0, 0], damaged),
            ("empty data", &[0x17, 3, 3, 0, 0], "out of turn"),
            (
                "requests to renegotiate",
                &[0x16, 3, 3, 0, 4, 0, 0, 0, 0],
                "out of turn",
            ),
            (
                "warnings",
                &[0x15, 3, 3, 0, 2, 1, 90],
                "has broken the TLS protocol",
            ),
            ("a record too long", &[0x16, 3, 3, 0xff, 0xff], damaged),
            (
                "a message of 16 megabytes",
                &[0x16, 3, 3, 0, 4, 2, 0xff, 0xff, 0xff],
                damaged,
            ),
        ] {
            let why = answered(async |_| record.repeat(1000)).await.unwrap_err();
            assert!(why.contains(expected), "{sentence}: {why}");
        }
        // Each octet of a sound flight in a record of its own is a flight all the same.
        let why = answered(async |hello| {
            let flight = flight(&config, hello);
            let mut tiny = Vec::new();
            let mut rest = &flight[..];
            while let [0x16, 3, 3, high, low, tail @ ..] = rest {
                let length = usize::from(*high) << 8 | usize::from(*low);
                let (body, after) = tail.split_at(length);
                tiny.extend(body.iter().flat_map(|octet| [0x16, 3, 3, 0, 1, *octet]));
                rest = after;
            }
            assert!(rest.is_empty() && tiny.len() > 3000, "{}", tiny.len());
            tiny
        })
        .await
        .unwrap_err();
        assert!(why.contains("closed the connection"), "{why}");
    }

    #[tokio::test]
    async fn tls_16_tls_13_tlsa_23_dane_33_the_hello_offers_what_is_ordinary_and_nothing_else() {
        let mut hello = Vec::new();
        let outcome = answered(async |octets| {
            hello = octets.to_vec();
            Vec::new()
        });
        outcome.await.unwrap_err();
        let mut rest = &hello[9 + 2 + 32..]; // record, handshake, version, random
        let mut vector = |width: usize| {
            let length = rest[..width]
                .iter()
                .fold(0, |length, octet| length << 8 | usize::from(*octet));
            let (vector, after) = rest[width..].split_at(length);
            rest = after;
            vector.to_vec()
        };
        let _session = vector(1);
        let suites = vector(2);
        let compression = vector(1);
        let extensions = vector(2);
        assert_eq!(compression, [0], "none");
        let suites: Vec<u16> = suites
            .chunks(2)
            .map(|pair| u16::from(pair[0]) << 8 | u16::from(pair[1]))
            .collect();
        // TLS 1.3, ECDHE with AES-GCM or ChaCha20, and the signal against renegotiation (RFC 5746 §3.3).
        let ordinary = [
            0x1301, 0x1302, 0x1303, 0xc02b, 0xc02c, 0xcca9, 0xc02f, 0xc030, 0xcca8, 0x00ff,
        ];
        assert!(
            suites.iter().all(|suite| ordinary.contains(suite)),
            "{suites:04x?}"
        );
        assert!(suites.len() >= 9, "{suites:04x?}");
        let mut offered = std::collections::BTreeMap::new();
        let mut rest = &extensions[..];
        while let [a, b, c, d, tail @ ..] = rest {
            let length = usize::from(*c) << 8 | usize::from(*d);
            let (body, after) = tail.split_at(length);
            offered.insert(u16::from(*a) << 8 | u16::from(*b), body);
            rest = after;
        }
        assert_eq!(offered[&43], [4, 3, 4, 3, 3], "TLS 1.3 and 1.2 alone");
        for (extension, what) in [
            (19, "raw public keys of the client"),
            (20, "raw public keys of the server"),
            (27, "compressed certificates"),
            (41, "a pre-shared key"),
            (42, "early data"),
        ] {
            assert!(!offered.contains_key(&extension), "{what}");
        }
    }

    #[tokio::test]
    async fn tls_17_a_server_without_any_certificate_has_not_shaken_hands() {
        let message = |kind: u8, body: &[u8]| {
            let length = u8::try_from(body.len()).unwrap();
            [&[kind, 0, 0, length], body].concat()
        };
        let chosen = [
            &[3, 3][..],
            &[7; 32],
            &[0, 0xc0, 0x2b, 0],
            &[0, 4, 0, 23, 0, 0], // the extended master secret
        ];
        let key = [&[3, 0, 29, 32][..], &[9; 32], &[4, 3, 0, 2, 1, 1]].concat();
        let flight = [
            message(2, &chosen.concat()),
            message(11, &[0, 0, 0]),
            message(12, &key),
            message(14, &[]),
        ]
        .concat();
        let length = u8::try_from(flight.len()).unwrap();
        let flight = [&[0x16, 3, 3, 0, length], &flight[..]].concat();
        let why = answered(async |_| flight).await.unwrap_err();
        assert_eq!(why, "the server has presented no certificate");
    }

    /// What a sound server answers to this ClientHello.
    fn flight(config: &Arc<ServerConfig>, hello: &[u8]) -> Vec<u8> {
        let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
        connection.read_tls(&mut &*hello).unwrap();
        connection.process_new_packets().unwrap();
        let mut flight = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut flight).unwrap();
        }
        flight
    }

    #[tokio::test]
    async fn tls_09_a_flight_cut_off_anywhere_is_no_handshake() {
        let config = Arc::new(Identity::self_signed(server(&[MX])).config(&BOTH));
        let whole = answered(async |hello| flight(&config, hello)).await;
        assert_eq!(whole.unwrap().version(), "TLSv1.3");
        for eighth in 0..8 {
            let why = answered(async |hello| {
                let mut flight = flight(&config, hello);
                flight.truncate(flight.len() * eighth / 8);
                flight
            })
            .await
            .unwrap_err();
            assert!(why.contains("closed the connection"), "{eighth}/8: {why}");
        }
    }

    #[tokio::test]
    async fn a_damaged_flight_is_no_handshake() {
        let config = Arc::new(Identity::self_signed(server(&[MX])).config(&BOTH[..1]));
        for at in [3, 20, 80, 150, 300, 500] {
            let outcome = answered(async |hello| {
                let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                connection.read_tls(&mut &*hello).unwrap();
                connection.process_new_packets().unwrap();
                let mut flight = Vec::new();
                connection.write_tls(&mut flight).unwrap();
                flight[at] ^= 0x40;
                flight
            })
            .await;
            assert!(outcome.is_err(), "octet {at}");
        }
    }
}
