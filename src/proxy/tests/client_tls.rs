//! The client's leg inside TLS, over real sockets: with clients that verify, and with attackers before the handshake.

use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::LITERAL;
use super::world::{Client, Names, Offers, Sink, World, pinned};
use crate::clock::{Clock, SystemClock};
use crate::config::{ClientTls, Config};
use crate::report::{ClientLeg, Record};
use crate::tls::authority::Files;
use crate::tls::authority::found::{Charter, Existing, found};

/// A proxy with a CA, and a client that trusts it alone.
struct Trust {
    world: World,
    config: ClientConfig,
}

impl Trust {
    async fn new(client_tls: ClientTls) -> Self {
        Self::with(Names::default(), client_tls, |_| {}).await
    }

    async fn with(names: Names, client_tls: ClientTls, change: impl FnOnce(&mut Config)) -> Self {
        let directory = TempDir::new().unwrap();
        let files = Files {
            certificate: directory.path().join("ca.pem"),
            key: directory.path().join("ca-key.pem"),
        };
        let charter = Charter {
            name: "A CA".parse().unwrap(),
            lifetime: Duration::from_secs(100 * 24 * 3600),
            existing: Existing::Keep,
        };
        found(&files, &charter, SystemClock.wall()).unwrap();
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(&files.certificate);
        roots.add(certificate.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let world = World::with(names, |proxy| {
            proxy.client_ca = Some(files);
            for listener in &mut proxy.listeners {
                listener.client_tls = client_tls;
            }
            change(proxy);
        });
        let world = world.await;
        Self { world, config }
    }

    fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::new(self.config.clone()))
    }

    /// A client that was told to go ahead.
    async fn client(&self, sink: &Sink) -> Client {
        let mut client = self.world.greeted(sink.address).await;
        let offer = client.say("EHLO client.example").await;
        assert!(offer.contains("250-STARTTLS\r\n"), "{offer}");
        client
    }

    /// A client inside TLS that asked for a name of the MX.
    async fn secured(&self, sink: &Sink) -> Client<TlsStream<TcpStream>> {
        let mut client = self.client(sink).await;
        client.expect(&[("STARTTLS", "220")]).await;
        let secured = client.secure(&self.connector(), "mx.signed.example").await;
        secured.unwrap()
    }

    async fn record(mut self) -> Record {
        self.world.record().await
    }
}

#[tokio::test]
async fn tls_9_a_client_that_verifies_is_served_inside_tls_and_both_legs_are_recorded() {
    let (sample, tlsa) = pinned("whatever.example");
    let names = Names { tlsa: vec![tlsa] };
    let trust = Trust::with(names, ClientTls::Offer, |_| {}).await;
    let sink = Sink::new(Offers::StartTls(&sample)).await;
    let mut client = trust.client(&sink).await;
    client.expect(&[("STARTTLS", "220 2.0.0")]).await;
    let secured = client.secure(&trust.connector(), "mx.asked.example").await;
    let mut client = secured.unwrap();
    client
        .expect(&[("MAIL FROM:<a@client.example>", "503")])
        .await;
    let offer = client.say("EHLO client.example").await;
    assert!(
        offer.starts_with("250-") && !offer.contains("STARTTLS"),
        "{offer}"
    );
    client
        .expect(&[
            ("STARTTLS", "503"),
            ("MAIL FROM:<a@client.example>", "250"),
            ("RCPT TO:<b@signed.example>", "250"),
            ("DATA", "354"),
        ])
        .await;
    let message = client.deliver(100_000).await;
    client.expect(&[("QUIT", "221")]).await;
    // close_notify: without it this would be an error.
    assert_eq!(client.hear().await, "");
    assert!(sink.message().await == message);

    let record = trust.record().await;
    let leg = ClientLeg::Protected {
        version: "TLSv1.3",
        sni: Some("mx.asked.example".parse().unwrap()),
    };
    assert_eq!(record.client_leg, leg);
    assert_eq!(record.tls_version, Some("TLSv1.3"));
    assert_eq!((record.end, record.messages), ("quit", 1));
}

#[tokio::test]
async fn tls_9_without_an_sni_the_certificate_is_for_the_host_that_the_destination_says_it_is() {
    let mut trust = Trust::new(ClientTls::Offer).await;
    trust.config.enable_sni = false;
    let sink = Sink::new(Offers::Nothing).await;
    let secured = trust.secured(&sink);
    secured.await.expect(&[("QUIT", "221")]).await;
    let leg = ClientLeg::Protected {
        version: "TLSv1.3",
        sni: None,
    };
    assert_eq!(trust.record().await.client_leg, leg);
}

#[tokio::test]
async fn tls_9_a_client_that_trusts_another_ca_goes_away_and_is_recorded() {
    let trust = Trust::new(ClientTls::Offer).await;
    let other = Trust::new(ClientTls::Offer).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = trust.client(&sink).await;
    client.expect(&[("STARTTLS", "220")]).await;
    let refused = client.secure(&other.connector(), "mx.signed.example").await;
    assert!(refused.is_err());
    let record = trust.record().await;
    assert_eq!(record.end, "client-lost");
    let ClientLeg::Failed(why) = record.client_leg else {
        panic!("{record:?}")
    };
    assert!(why.contains("alert"), "{why}");
}

#[tokio::test]
async fn tls_9_a_connection_that_is_cut_inside_tls_is_a_lost_client() {
    let trust = Trust::new(ClientTls::Offer).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = trust.secured(&sink).await;
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    client.send(b"half a message\r\n").await;
    // The socket alone, without close_notify.
    let (mut socket, _) = client.stream.into_inner().into_inner();
    socket.shutdown().await.unwrap();
    let record = trust.record().await;
    assert_eq!((record.end, record.messages), ("client-lost", 0));
}

#[tokio::test]
async fn dn_11_a_client_that_closes_its_side_inside_tls_still_hears_what_became_of_its_message() {
    let trust = Trust::new(ClientTls::Offer).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = trust.secured(&sink).await;
    client.expect(&LITERAL).await;
    client.expect(&[("DATA", "354")]).await;
    client.send(b"a message\r\n.\r\n").await;
    client.stream.get_mut().shutdown().await.unwrap();
    assert!(client.hear().await.starts_with("250 "));
    assert_eq!(client.hear().await, "");
    assert_eq!(trust.record().await.messages, 1);
}

#[tokio::test]
async fn dn_01_commands_behind_starttls_are_refused_with_the_connection() {
    let trust = Trust::new(ClientTls::Offer).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = trust.client(&sink).await;
    client
        .send(b"STARTTLS\r\nMAIL FROM:<x@evil.example>\r\nRCPT TO:<b@[127.0.0.1]>\r\n")
        .await;
    let mut heard = String::new();
    client.stream.read_to_string(&mut heard).await.unwrap();
    assert!(heard.starts_with("421 4.7.0 pipelining"), "{heard}");
    assert_eq!(heard.matches("\r\n").count(), 1, "{heard}");
    let record = trust.record().await;
    assert_eq!((record.end, record.recipients), ("refused", 0));
    assert_eq!(record.client_leg, ClientLeg::Clear);
}

#[tokio::test]
async fn dn_01_commands_between_the_220_and_the_handshake_break_it_and_are_never_run() {
    for injected in [
        &b"MAIL FROM:<x@evil.example>\r\n"[..],
        b"\r\n",
        b"NOOP\r\nNOOP\r\n",
    ] {
        let trust = Trust::new(ClientTls::Offer).await;
        let sink = Sink::new(Offers::Nothing).await;
        let mut client = trust.client(&sink).await;
        client.expect(&[("STARTTLS", "220")]).await;
        client.send(injected).await;
        let secured = client.secure(&trust.connector(), "mx.signed.example").await;
        assert!(secured.is_err());
        let record = trust.record().await;
        assert_eq!((record.end, record.recipients), ("client-lost", 0));
        assert!(
            matches!(record.client_leg, ClientLeg::Failed(_)),
            "{record:?}"
        );
    }
}

#[tokio::test]
async fn tls_9_a_client_that_does_not_shake_hands_is_left_after_a_while() {
    let patience = Duration::from_millis(200);
    let impatient = |config: &mut Config| config.upstream.connect_timeout = patience;
    let trust = Trust::with(Names::default(), ClientTls::Offer, impatient).await;
    let sink = Sink::new(Offers::Nothing).await;
    let mut client = trust.client(&sink).await;
    client.expect(&[("STARTTLS", "220")]).await;
    assert_eq!(client.hear().await, "");
    let record = trust.record().await;
    let leg = ClientLeg::Failed("no handshake within 0.2 s".into());
    assert_eq!(record.client_leg, leg);
}

#[tokio::test]
async fn tls_9_a_client_of_this_host_is_offered_nothing_unless_it_is_asked_for() {
    for client_tls in [ClientTls::Auto, ClientTls::Never] {
        let trust = Trust::new(client_tls).await;
        let sink = Sink::new(Offers::Nothing).await;
        let mut client = trust.world.greeted(sink.address).await;
        let offer = client.say("EHLO client.example").await;
        assert!(!offer.contains("STARTTLS"), "{offer}");
        client.expect(&[("STARTTLS", "502"), ("QUIT", "221")]).await;
        assert_eq!(trust.record().await.client_leg, ClientLeg::Clear);
    }
}

#[tokio::test]
async fn tls_9_what_is_offered_depends_on_the_listener_the_ca_and_where_the_client_is() {
    use crate::smtp::ClientTls as Session;
    let with_ca = Trust::new(ClientTls::Auto).await.world;
    let without = World::new(Names::default()).await;
    for (what, world, wanted, client, offered) in [
        (
            "here",
            &with_ca,
            ClientTls::Auto,
            "127.0.0.1",
            Session::Hidden,
        ),
        (
            "here too",
            &with_ca,
            ClientTls::Auto,
            "::1",
            Session::Hidden,
        ),
        (
            "elsewhere",
            &with_ca,
            ClientTls::Auto,
            "192.0.2.1",
            Session::Offered,
        ),
        (
            "all",
            &with_ca,
            ClientTls::Offer,
            "127.0.0.1",
            Session::Offered,
        ),
        (
            "nobody",
            &with_ca,
            ClientTls::Never,
            "192.0.2.1",
            Session::Hidden,
        ),
        (
            "no CA",
            &without,
            ClientTls::Auto,
            "192.0.2.1",
            Session::Unavailable,
        ),
        (
            "none, and never",
            &without,
            ClientTls::Never,
            "192.0.2.1",
            Session::Hidden,
        ),
    ] {
        let shell = world.proxy.shell();
        let seen = shell.client_tls(wanted, client.parse().unwrap());
        assert_eq!(seen, offered, "{what}");
    }
}
