//! Tickets of real handshakes over an in-memory pipe.

use std::io;
use std::sync::Arc;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, SupportedProtocolVersion};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::clock::{Clock, SystemClock};
use crate::policy::{Candidate, Requirement, StsDemand};
use crate::tls::Handshake;
use crate::tls::client::Connector;
use crate::x509::sample::{Sample, server};

const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

fn demand(host: &str) -> Fingerprint {
    let sts = StsDemand {
        listed: true,
        patterns: vec![],
    };
    let candidate = Candidate {
        host: host.parse().unwrap(),
        requirement: Requirement {
            sts: Some(sts),
            ..Requirement::default()
        },
        observed: None,
    };
    Fingerprint::of(&candidate, &[0; 32])
}

fn endpoint(destination: &str, sni: &str) -> Endpoint {
    Endpoint {
        destination: destination.parse().unwrap(),
        sni: sni.parse().unwrap(),
    }
}

fn mx() -> Endpoint {
    endpoint("192.0.2.1:25", "mx.example")
}

/// A mail server that hands out tickets, for its certificate of now.
struct Mx {
    version: &'static SupportedProtocolVersion,
    ticketer: Arc<dyn ProducesTickets>,
    connector: Connector,
}

impl Mx {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        Self {
            version,
            ticketer: Ticketer::new().unwrap(),
            connector: Connector::new().unwrap(),
        }
    }

    async fn shake(&self, sample: &Sample, pocket: &Arc<Pocket>) -> Handshake {
        let key = PrivatePkcs8KeyDer::from(sample.key.serialized_der().to_vec());
        let key = any_supported_type(&PrivateKeyDer::from(key)).unwrap();
        let key = CertifiedKey::new(vec![sample.der.clone()], key);
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[self.version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(key)));
        config.ticketer = Arc::clone(&self.ticketer);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 1 << 14;
        let (near, far) = duplex(1 << 14);
        let server = async {
            let mut stream = TlsAcceptor::from(Arc::new(config)).accept(far).await?;
            stream.write_all(b"220 ready\r\n").await?;
            stream.flush().await?;
            // Until the client closes.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.map(drop).or(Ok(()))
        };
        let client = async {
            let sni = mx().sni;
            let pocket = Arc::clone(pocket);
            let shaken = self.connector.resume(near, Some(&sni), pocket).await;
            let (mut stream, handshake) = shaken.unwrap();
            let mut line = [0; 11];
            stream.read_exact(&mut line).await.unwrap();
            stream.shutdown().await.unwrap();
            handshake
        };
        let (served, handshake): (io::Result<()>, _) = tokio::join!(server, client);
        served.unwrap();
        handshake
    }
}

fn cleared(handshake: &Handshake, demand: Fingerprint) -> Cleared {
    if handshake.is_resumed() {
        Cleared::Resumed
    } else {
        Cleared::Anew(demand)
    }
}

#[tokio::test]
async fn tls_12_a_session_is_resumed_with_the_certificates_of_its_full_handshake() {
    let sample = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let (mx_host, tickets) = (Mx::new(version), Tickets::default());
        let now = SystemClock.instant();
        let mut kinds = Vec::new();
        for _ in 0..6 {
            let pocket = Arc::new(tickets.offer(&mx(), now));
            let handshake = mx_host.shake(&sample, &pocket).await;
            assert_eq!(handshake.chain(), std::slice::from_ref(&sample.der));
            tickets.keep(
                &mx(),
                &pocket,
                cleared(&handshake, demand("mx.example")),
                now,
            );
            kinds.push(handshake.is_resumed());
        }
        assert_eq!(kinds, [false, true, true, true, true, true], "{version:?}");
    }
}

#[tokio::test]
async fn attack_tls_11_tls_11_a_ticket_never_crosses_to_another_endpoint_or_survives_its_hour() {
    let sample = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let mx_host = Mx::new(version);
        let t0 = SystemClock.instant();
        let kept = async || {
            let tickets = Tickets::default();
            let pocket = Arc::new(tickets.offer(&mx(), t0));
            let handshake = mx_host.shake(&sample, &pocket).await;
            tickets.keep(
                &mx(),
                &pocket,
                cleared(&handshake, demand("mx.example")),
                t0,
            );
            assert!(!tickets.is_empty());
            tickets
        };
        for (row, endpoint, after, is_offered) in [
            ("the same", mx(), 0, true),
            ("at the last moment", mx(), 3599, true),
            ("an hour later", mx(), 3600, false),
            (
                "another address",
                endpoint("192.0.2.2:25", "mx.example"),
                0,
                false,
            ),
            (
                "another port",
                endpoint("192.0.2.1:465", "mx.example"),
                0,
                false,
            ),
            (
                "another host there",
                endpoint("192.0.2.1:25", "mx2.example"),
                0,
                false,
            ),
        ] {
            let tickets = kept().await;
            let pocket = Arc::new(tickets.offer(&endpoint, t0 + Duration::from_secs(after)));
            assert_eq!(pocket.offered().is_some(), is_offered, "{row}");
            let handshake = mx_host.shake(&sample, &pocket).await;
            assert_eq!(handshake.is_resumed(), is_offered, "{row}");
        }
    }
}

#[tokio::test]
async fn tls_12_a_session_that_is_resumed_again_and_again_does_not_grow_younger() {
    let sample = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let (mx_host, tickets) = (Mx::new(version), Tickets::default());
        let t0 = SystemClock.instant();
        let mut kinds = Vec::new();
        for minutes in [0, 25, 50, 75, 100] {
            let now = t0 + Duration::from_secs(60 * minutes);
            let pocket = Arc::new(tickets.offer(&mx(), now));
            let handshake = mx_host.shake(&sample, &pocket).await;
            tickets.keep(
                &mx(),
                &pocket,
                cleared(&handshake, demand("mx.example")),
                now,
            );
            kinds.push(handshake.is_resumed());
        }
        assert_eq!(kinds, [false, true, true, false, true], "{version:?}");
    }
}

#[tokio::test]
async fn a_server_that_changes_its_key_and_takes_old_tickets_is_what_it_was_for_an_hour() {
    let old = Sample::self_signed(server(&["mx.example"]));
    let new = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let (mx_host, tickets) = (Mx::new(version), Tickets::default());
        let t0 = SystemClock.instant();
        let mut seen = Vec::new();
        for (sample, minutes) in [(&old, 0), (&new, 30), (&new, 61)] {
            let now = t0 + Duration::from_secs(60 * minutes);
            let pocket = Arc::new(tickets.offer(&mx(), now));
            let handshake = mx_host.shake(sample, &pocket).await;
            tickets.keep(
                &mx(),
                &pocket,
                cleared(&handshake, demand("mx.example")),
                now,
            );
            seen.push(handshake.chain()[0] == new.der);
        }
        assert_eq!(seen, [false, false, true], "{version:?}");
    }
}

#[tokio::test]
async fn tls_11_what_was_cleared_for_a_demand_goes_before_what_was_cleared_for_none() {
    let sample = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let mx_host = Mx::new(version);
        let now = SystemClock.instant();
        let (a, b) = (demand("a.example"), demand("b.example"));
        for (order, expected) in [
            (vec![Fingerprint::NOTHING], Fingerprint::NOTHING),
            (vec![a, Fingerprint::NOTHING], a),
            (vec![Fingerprint::NOTHING, a], a),
            (vec![a, b], b),
        ] {
            let tickets = Tickets::default();
            for demand in &order {
                let pocket = Arc::new(tickets.none(&mx(), now));
                mx_host.shake(&sample, &pocket).await;
                tickets.keep(&mx(), &pocket, Cleared::Anew(*demand), now);
            }
            assert_eq!(
                tickets.offer(&mx(), now).offered(),
                Some(expected),
                "{order:?}"
            );
        }
    }
}

#[tokio::test]
async fn what_was_revoked_or_in_the_way_is_not_offered_and_not_kept_from_a_connection_under_way() {
    let sample = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let mx_host = Mx::new(version);
        let t0 = SystemClock.instant();
        let later = t0 + Duration::from_secs(1);
        for (row, after, is_kept) in [("revoked", later, true), ("in the way", later, false)] {
            let tickets = Tickets::default();
            let first = Arc::new(tickets.none(&mx(), t0));
            let handshake = mx_host.shake(&sample, &first).await;
            tickets.keep(&mx(), &first, cleared(&handshake, demand("mx.example")), t0);
            // This one is under way, with a ticket, when the word comes.
            let under_way = Arc::new(tickets.offer(&mx(), t0));
            let handshake = mx_host.shake(&sample, &under_way).await;
            assert!(handshake.is_resumed());
            match row {
                "revoked" => tickets.forget(&mx(), t0),
                _ => tickets.pause(&mx(), t0),
            }
            tickets.keep(&mx(), &under_way, Cleared::Resumed, after);
            assert!(tickets.is_empty(), "{row}");
            // A full handshake begins afresh, once nothing is in the way.
            let full = Arc::new(tickets.none(&mx(), after));
            mx_host.shake(&sample, &full).await;
            tickets.keep(&mx(), &full, Cleared::Anew(demand("mx.example")), after);
            assert_eq!(!tickets.is_empty(), is_kept, "{row}");
        }
    }
}

/// A recipient may be judged long after the handshake, on a connection that has carried others.
#[tokio::test]
async fn tls_12_the_hour_of_a_ticket_and_a_revocation_count_from_its_handshake_not_from_the_verdict()
 {
    let sample = Sample::self_signed(server(&["mx.example"]));
    for version in BOTH {
        let mx_host = Mx::new(version);
        let t0 = SystemClock.instant();
        let at = |minutes: u64| t0 + Duration::from_secs(60 * minutes);
        for (row, revoked, judged, offered, expected) in [
            ("judged late", None, 50, 59, true),
            ("an hour after the handshake", None, 50, 60, false),
            ("revoked before the verdict", Some(10), 50, 51, false),
        ] {
            let tickets = Tickets::default();
            let pocket = Arc::new(tickets.none(&mx(), t0));
            mx_host.shake(&sample, &pocket).await;
            if let Some(minutes) = revoked {
                tickets.forget(&mx(), at(minutes));
            }
            let demand = Cleared::Anew(demand("mx.example"));
            tickets.keep(&mx(), &pocket, demand, at(judged));
            let is_offered = tickets.offer(&mx(), at(offered)).offered().is_some();
            assert_eq!(is_offered, expected, "{row}, {version:?}");
        }
    }
}

#[tokio::test]
async fn attack_tls_13_a_flood_of_tickets_is_bounded() {
    let sample = Sample::self_signed(server(&["mx.example"]));
    let (mx_host, tickets) = (Mx::new(&rustls::version::TLS13), Tickets::default());
    let now = SystemClock.instant();
    for _ in 0..20 {
        let pocket = Arc::new(tickets.none(&mx(), now));
        mx_host.shake(&sample, &pocket).await;
        tickets.keep(&mx(), &pocket, Cleared::Anew(demand("mx.example")), now);
    }
    assert_eq!(tickets.len(), MAX_TICKETS);
}

#[test]
fn the_secrets_of_a_pocket_are_not_shown() {
    let pocket = Tickets::default().none(&mx(), SystemClock.instant());
    let shown = format!("{pocket:?}");
    assert_eq!(shown, "Pocket { offered: None, .. }");
}
