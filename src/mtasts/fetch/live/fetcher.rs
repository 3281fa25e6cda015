//! The fetcher in a world where the policy host is at one address.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::host::Host;
use super::pki::Pki;
use crate::dns::{
    Absence, AbsenceKind, Answer, Denial, Family, Lookup, Mx, Resolved, Source, Text, TlsaRdata,
};
use crate::mtasts::Policy;
use crate::mtasts::fetch::{FetchFailure, FetchOptions, FetchPolicy, HttpsFetcher};
use crate::name::{DnsName, Domain};

/// Everything is at this address.
pub(super) struct AllAt(pub(super) IpAddr);

impl AllAt {
    fn resolved<T: Send + 'static>(answer: Answer<T>) -> BoxFuture<'static, Resolved<T>> {
        Box::pin(std::future::ready(Resolved {
            answer,
            aliases: Vec::new(),
            source: Source::default(),
        }))
    }
}

const ABSENT: Absence = Absence {
    kind: AbsenceKind::NoData,
    denial: Denial::Insecure,
};

impl Lookup for AllAt {
    fn mx<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
        Self::resolved(Answer::Absent(ABSENT))
    }

    fn addresses<'a>(
        &'a self,
        host: &'a DnsName,
        family: Family,
    ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
        let here = host.as_str() == "mta-sts.example.test" && Family::of(self.0) == family;
        Self::resolved(if here {
            Answer::Insecure(vec![self.0])
        } else {
            Answer::Absent(ABSENT)
        })
    }

    fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
        Self::resolved(Answer::Absent(ABSENT))
    }

    fn txt<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
        Self::resolved(Answer::Absent(ABSENT))
    }
}

pub(super) fn fetcher(pki: &Pki, port: u16, timeout: Duration) -> HttpsFetcher {
    let options = FetchOptions {
        port,
        allow_private: true,
        timeout,
        ..FetchOptions::default()
    };
    HttpsFetcher::new(
        Arc::new(AllAt(Ipv4Addr::LOCALHOST.into())),
        &pki.roots(),
        options,
    )
    .unwrap()
}

/// Long enough for a busy machine: nothing but a fault of ours makes a test wait for it.
pub(super) const PATIENT: Duration = Duration::from_secs(60);

pub(super) async fn fetch(
    pki: &Pki,
    host: &Host,
    timeout: Duration,
) -> Result<Policy, FetchFailure> {
    let domain: Domain = "example.test".parse().unwrap();
    fetcher(pki, host.port, timeout).fetch(&domain).await
}
