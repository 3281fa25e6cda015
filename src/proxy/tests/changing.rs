//! Names and a mail server that change from session to session.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::ProducesTickets;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::sink::{certified, server_config};
use super::world::{Names, converse};
use crate::dns::{Family, Lookup, Mx, Resolved, Text, TlsaRdata};
use crate::name::DnsName;
use crate::x509::sample::Sample;

/// [`Names`] whose TLSA records change.
#[derive(Default)]
pub(super) struct Changing(Mutex<Arc<Names>>);

impl Changing {
    pub(super) fn publish(&self, tlsa: &TlsaRdata) {
        let tlsa = vec![tlsa.clone()];
        *self.0.lock().unwrap() = Arc::new(Names { tlsa });
    }

    pub(super) fn now(&self) -> Arc<Names> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

impl Lookup for Changing {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        let names = self.now();
        Box::pin(async move { names.mx(domain).await })
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<std::net::IpAddr>>> {
        let names = self.now();
        Box::pin(async move { names.addresses(host, family).await })
    }

    fn tlsa<'a>(&'a self, base: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        let names = self.now();
        Box::pin(async move { names.tlsa(base).await })
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        let names = self.now();
        Box::pin(async move { names.txt(name).await })
    }
}

/// What the mail server does with its next connections.
#[derive(Clone)]
pub(super) enum Does {
    Tls(Arc<ServerConfig>),
    /// No STARTTLS.
    Clear,
    /// No ClientHello is answered.
    Breaks,
    /// The next ClientHello breaks it, those after it do not.
    Chokes(Arc<ServerConfig>),
}

/// A mail server for ever that hands out tickets and honours them whatever its key is meanwhile.
pub(super) struct Host {
    pub(super) address: SocketAddr,
    does: Arc<Mutex<Does>>,
    ticketer: Arc<dyn ProducesTickets>,
}

impl Host {
    pub(super) async fn new(sample: &Sample) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ticketer = Ticketer::new().unwrap();
        let does = Arc::new(Mutex::new(Does::Tls(config(sample, &ticketer))));
        let address = listener.local_addr().unwrap();
        let hers = Arc::clone(&does);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let now = hers.lock().unwrap().clone();
                if let Does::Chokes(config) = &now {
                    *hers.lock().unwrap() = Does::Tls(Arc::clone(config));
                }
                tokio::spawn(serve(stream, now));
            }
        });
        Self {
            address,
            does,
            ticketer,
        }
    }

    pub(super) fn presents(&self, sample: &Sample) {
        self.will(Does::Tls(config(sample, &self.ticketer)));
    }

    pub(super) fn chokes(&self, sample: &Sample) {
        self.will(Does::Chokes(config(sample, &self.ticketer)));
    }

    pub(super) fn will(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }
}

fn config(sample: &Sample, ticketer: &Arc<dyn ProducesTickets>) -> Arc<ServerConfig> {
    let resolver = Arc::new(SingleCertAndKey::from(certified(sample)));
    let mut config = server_config(resolver);
    config.ticketer = Arc::clone(ticketer);
    Arc::new(config)
}

async fn serve(stream: TcpStream, does: Does) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let greeting = b"220 mx.signed.example ready\r\n";
    stream.write_all(greeting).await.ok()?;
    let config = match does {
        Does::Clear => return converse(stream, "").await.map(drop),
        Does::Tls(config) => Some(config),
        Does::Breaks | Does::Chokes(_) => None,
    };
    converse(&mut stream, "250-STARTTLS\r\n").await?;
    stream.write_all(b"220 go ahead\r\n").await.ok()?;
    let Some(config) = config else {
        stream.read_u8().await.ok()?;
        return None;
    };
    let acceptor = TlsAcceptor::from(config);
    let stream = acceptor.accept(stream.into_inner()).await.ok()?;
    converse(BufReader::new(stream), "").await.map(drop)
}
