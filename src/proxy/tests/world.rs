//! What the proxy's tests need around it: names that resolve to loopback, a proxy and its records.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

pub(super) use super::client::Client;
pub(super) use super::sink::{Offers, Sink, converse};
use crate::clock::SystemClock;
use crate::config::defaults::KEEP;
use crate::config::{ClientTls, Config, InterceptConfig, ListenerConfig, Watch};
use crate::dns::health::Monitor;
use crate::dns::{
    Absence, AbsenceKind, Answer, Denial, Exchange, Family, Lookup, Mx, Resolved, Secure, Source,
    Text, TlsaRdata,
};
use crate::intercept::{Intercepted, Via};
use crate::mtasts::Policy;
use crate::mtasts::fetch::{FetchFailure, FetchPolicy};
use crate::name::{DnsName, Domain};
use crate::policy::cache::{CacheOptions, StsCache};
use crate::policy::exceptions::held::Held;
use crate::policy::facts::Gatherer;
use crate::policy::identity::Identities;
use crate::policy::{Continuity, Modes};
use crate::proxy::Proxy;
use crate::proxy::engine::Engine;
use crate::proxy::learned::Learned;
use crate::proxy::recall::Recall;
use crate::report::trace::keeper::{KeepTraces, Keeper};
use crate::report::{Judgement, Record, Records};
use crate::store::memory::MemoryStore;
use crate::store::{Pen, Store};
use crate::tls::client::Connector;
use crate::tls::roots;
use crate::tls::tickets::Tickets;
use crate::x509::path::Roots;
use crate::x509::sample::{Sample, T0, server};

/// `signed.example` has the MX `mx.signed.example` at 127.0.0.1, all secure, with these TLSA records at any port;
/// `second.example` and `other.example` are the same by other names. `plain.example` is the same without signatures, and
/// so is `policy.example`, which enforces MTA-STS. Nobody answers for `silent.example`. Nothing else exists.
#[derive(Default)]
pub(crate) struct Names {
    pub(crate) tlsa: Vec<TlsaRdata>,
}

fn secure<T>(data: T) -> Answer<T> {
    Answer::Secure(Secure::asserted(data, T0.plus(std::time::Duration::MAX)))
}

fn nothing<T>(denial: Denial) -> Answer<T> {
    let kind = AbsenceKind::NxDomain;
    Answer::Absent(Absence { kind, denial })
}

fn told<'a, T: Send + 'a>(answer: Answer<T>) -> BoxFuture<'a, Resolved<T>> {
    Box::pin(async {
        Resolved {
            answer,
            aliases: vec![],
            source: Source::default(),
        }
    })
}

impl Lookup for Names {
    fn mx<'a>(&'a self, domain: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        let mx = || {
            let host = domain.prefixed("mx").unwrap();
            let exchange = Exchange::Host(host);
            vec![Mx {
                preference: 10,
                exchange,
            }]
        };
        if domain.as_str() == "silent.example" {
            return Box::pin(std::future::pending());
        }
        told(match domain.as_str() {
            "signed.example" | "second.example" | "other.example" => secure(mx()),
            "plain.example" | "policy.example" => Answer::Insecure(mx()),
            _ => nothing(Denial::Insecure),
        })
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let here = || vec!["127.0.0.1".parse().unwrap()];
        told(match (host.as_str(), family) {
            ("mx.signed.example" | "mx.second.example" | "mx.other.example", Family::V4) => {
                secure(here())
            }
            ("mx.plain.example" | "mx.policy.example", Family::V4) => Answer::Insecure(here()),
            _ => nothing(Denial::Insecure),
        })
    }

    fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        told(if self.tlsa.is_empty() {
            nothing(Denial::Secure)
        } else {
            secure(self.tlsa.clone())
        })
    }

    fn txt<'a>(&'a self, name: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        told(match name.as_str() {
            "_mta-sts.policy.example" => Answer::Insecure(vec![b"v=STSv1; id=1;".to_vec()]),
            _ => nothing(Denial::Insecure),
        })
    }
}

/// The policy host of `policy.example`; no other answers.
struct OnePolicy;

impl FetchPolicy for OnePolicy {
    fn fetch<'a>(&'a self, domain: &'a Domain) -> BoxFuture<'a, Result<Policy, FetchFailure>> {
        let policy = b"version: STSv1\nmode: enforce\nmx: mx.policy.example\nmax_age: 86400\n";
        Box::pin(async {
            match domain.as_str() {
                "policy.example" => Ok(Policy::parse(policy).unwrap()),
                _ => Err(FetchFailure::Fetch("no such host".into())),
            }
        })
    }
}

/// Sends records to the test.
struct Kept(UnboundedSender<Record>);

impl Records for Kept {
    fn record(&self, record: &Record) {
        // A test that is over needs no records.
        let _ = self.0.send(record.clone());
    }
}

/// A proxy with a SOCKS5 listener, then a redirect listener.
pub(super) struct World {
    pub(super) proxy: Proxy,
    pub(super) records: UnboundedReceiver<Record>,
}

impl World {
    pub(super) async fn new(names: Names) -> Self {
        Self::with(names, |_| {}).await
    }

    pub(super) async fn with(names: Names, change: impl FnOnce(&mut Config)) -> Self {
        let listener = |kind| ListenerConfig {
            client_tls: ClientTls::Never,
            ..ListenerConfig::new(kind, "127.0.0.1:0".parse().unwrap())
        };
        let mut config = Config {
            listeners: vec![listener(Via::Socks5), listener(Via::Redirect)],
            intercept: InterceptConfig {
                canary: false,
                watch: Watch::Off,
                ..Config::default().intercept
            },
            ..Config::default()
        };
        change(&mut config);
        let declared = config.exceptions.declared.clone();
        let roots = config.ca_file.as_deref();
        let roots = roots.map_or_else(
            || Roots::new(vec![]),
            |file| roots::load(Some(file)).unwrap(),
        );
        let engine = Engine {
            identities: Identities::new(config.rules.clone()),
            modes: config.modes.clone(),
            exceptions: Arc::new(Held::new(declared, config.exceptions.terms)),
            roots: Arc::new(roots),
            ..engine(names)
        };
        Self::of(&config, engine).await
    }

    pub(super) async fn of(config: &Config, engine: Engine) -> Self {
        let (sender, records) = unbounded_channel();
        let proxy = Proxy::serve(config, Arc::new(engine), Arc::new(Kept(sender))).await;
        Self {
            proxy: proxy.unwrap(),
            records,
        }
    }

    pub(super) fn socks5(&self) -> SocketAddr {
        self.proxy.addresses()[0]
    }

    pub(super) fn redirect(&self) -> SocketAddr {
        self.proxy.addresses()[1]
    }

    pub(super) async fn record(&mut self) -> Record {
        self.records.recv().await.unwrap()
    }

    /// A client of the SOCKS5 listener that `destination` has greeted.
    pub(super) async fn greeted(&self, destination: SocketAddr) -> Client {
        let mut client = Client::new(self.socks5(), destination).await;
        client.hear().await;
        client
    }

    /// The same, and it has begun a transaction.
    pub(super) async fn begun(&self, destination: SocketAddr) -> Client {
        let mut client = self.greeted(destination).await;
        client.begin().await;
        client
    }

    /// One recipient and no message: the reply to RCPT, and the record.
    pub(super) async fn asked(
        &mut self,
        destination: SocketAddr,
        recipient: &str,
    ) -> (String, Record) {
        let mut client = self.begun(destination).await;
        let reply = client.say(&format!("RCPT TO:<{recipient}>")).await;
        client.expect(&[("QUIT", "221")]).await;
        (reply, self.record().await)
    }
}

pub(crate) fn engine(names: Names) -> Engine {
    engine_of(Arc::new(names), Continuity::Alert)
}

pub(super) fn engine_of(lookup: Arc<dyn Lookup>, continuity: Continuity) -> Engine {
    let clock = Arc::new(SystemClock);
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let fetch = Arc::new(OnePolicy);
    let sts = StsCache::open(
        Arc::clone(&lookup),
        fetch,
        Arc::clone(&store),
        clock.clone(),
        CacheOptions::default(),
    );
    let sts = Arc::new(sts.unwrap());
    let pen = Pen::new(Arc::clone(&store));
    let roots = Arc::new(Roots::new(vec![]));
    let recall = Recall::new(
        continuity,
        Some(Tickets::default()),
        Arc::clone(&roots),
        pen.clone(),
    );
    let recall = recall.load(&*store, &*clock).unwrap();
    Engine {
        gatherer: Gatherer::new(Arc::clone(&lookup), Arc::clone(&sts), clock.clone()),
        traces: Keeper::new(KeepTraces::default(), pen.clone()),
        lookup,
        monitor: Arc::new(Monitor::off()),
        tally: Arc::default(),
        connector: Connector::new().unwrap(),
        roots,
        settings: crate::policy::Settings::default(),
        identities: Identities::default(),
        clock,
        sts,
        learned: Learned::default(),
        recall: Arc::new(recall),
        pen,
        store,
        keep: KEEP,
        modes: Modes::default(),
        exceptions: Arc::default(),
        validate: crate::dns::resolver::Validate::Local,
    }
}

/// A connection to `destination` that was redirected and is just accepted: the client's end, ours, and what is known of it.
pub(super) async fn redirected(destination: SocketAddr) -> (TcpStream, TcpStream, Intercepted) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, address) = listener.accept().await.unwrap();
    let from = Intercepted {
        client: address,
        destination,
        via: Via::Redirect,
        hint: None,
    };
    (client, accepted, from)
}

/// The judgement of a session that has come to only one.
pub(super) fn only(record: &Record) -> &Judgement {
    let [judgement] = &record.judgements[..] else {
        panic!("{record:?}")
    };
    judgement
}

/// A certificate and the `3 1 1` record that matches it.
pub(super) fn pinned(name: &str) -> (Sample, TlsaRdata) {
    let sample = Sample::self_signed(server(&[name]));
    let digest = ring::digest::digest(&ring::digest::SHA256, sample.spki());
    let mut rdata = vec![3, 1, 1];
    rdata.extend_from_slice(digest.as_ref());
    (sample, rdata)
}
