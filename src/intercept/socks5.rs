//! SOCKS5 CONNECT (RFC 1928) without authentication, for clients that are configured rather than intercepted.
//!
//! [`accept`] reads the negotiation octet by octet as far as it goes and not one further: what follows belongs to SMTP.
//! A malformed request gets the reply code that fits, then the connection is closed. Where the client names a host, the
//! name is resolved here and kept as the [`Request::hint`]: it is the MX host that the client means.
//!
//! Success is reported before the destination is dialled. A SOCKS failure is one octet, and mail servers take it for a
//! fault of the proxy; an SMTP `421` in place of the greeting says in words what happened, with the trace id, and leads
//! to the same retry.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::redirect::canonical;
use crate::dns::{Family, Lookup};
use crate::name::DnsName;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Where to connect to.
    pub destination: SocketAddr,
    /// The name it was given by, if any.
    pub hint: Option<DnsName>,
}

/// Why there is no session. The client has been told, where the protocol has a way to tell.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not SOCKS5.
    #[error("the first octet is {0}, not 5: no SOCKS5 client")]
    Version(u8),
    /// The client insists on authentication.
    #[error("the client does not offer the method \"no authentication\"")]
    Method,
    /// A request that is answered with a failure.
    #[error("the request is answered with failure code {code}: {why}")]
    Request {
        /// The code of RFC 1928 §6.
        code: Rep,
        /// Why.
        why: &'static str,
    },
    /// The connection ended or failed.
    #[error("the negotiation broke off: {0}")]
    Io(#[from] io::Error),
}

/// Reply codes (RFC 1928 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Rep {
    /// Go ahead.
    Succeeded = 0,
    /// The request is malformed.
    GeneralFailure = 1,
    /// The destination is ourselves.
    NotAllowed = 2,
    /// The name has no address.
    HostUnreachable = 4,
    /// Neither BIND nor UDP ASSOCIATE.
    CommandNotSupported = 7,
    /// An address type that does not exist.
    AddressTypeNotSupported = 8,
}

impl std::fmt::Display for Rep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const NO_ACCEPTABLE_METHOD: u8 = 0xFF;
const CONNECT: u8 = 1;

/// Negotiates as far as the request; [`answer`] must follow. The caller limits the time.
///
/// # Errors
/// [`Refused`]: nothing is left to do but to close.
pub async fn accept<S>(stream: &mut S, lookup: &dyn Lookup) -> Result<Request, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    choose_method(stream).await?;
    match request(stream, lookup).await {
        Err(Refused::Request { code, why }) => {
            answer(stream, code).await?;
            Err(Refused::Request { code, why })
        }
        other => other,
    }
}

/// Answers the request. The bound address of RFC 1928 §6 means nothing to a CONNECT client and is left zero.
///
/// # Errors
/// When the client is gone.
pub async fn answer<S: AsyncWrite + Unpin>(stream: &mut S, code: Rep) -> io::Result<()> {
    stream
        .write_all(&[VERSION, code as u8, 0, Address::V4, 0, 0, 0, 0, 0, 0])
        .await
}

/// RFC 1928 §3.
async fn choose_method<S>(stream: &mut S) -> Result<(), Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let version = stream.read_u8().await?;
    if version != VERSION {
        return Err(Refused::Version(version));
    }
    let mut methods = vec![0; stream.read_u8().await?.into()];
    stream.read_exact(&mut methods).await?;
    if methods.contains(&NO_AUTHENTICATION) {
        stream.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
        return Ok(());
    }
    stream.write_all(&[VERSION, NO_ACCEPTABLE_METHOD]).await?;
    Err(Refused::Method)
}

/// RFC 1928 §4. All of the request is read before any of it is refused: an unread rest would turn the close into a
/// reset, and the client would never see the reply.
async fn request<S>(stream: &mut S, lookup: &dyn Lookup) -> Result<Request, Refused>
where
    S: AsyncRead + Unpin,
{
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [version, command, reserved, address_type] = head;
    let address = Address::read(stream, address_type).await?;
    let port = stream.read_u16().await?;
    if version != VERSION || reserved != 0 {
        return refuse(Rep::GeneralFailure, "a malformed request");
    }
    if command != CONNECT {
        return refuse(Rep::CommandNotSupported, "another command than CONNECT");
    }
    if port == 0 {
        return refuse(Rep::GeneralFailure, "port 0");
    }
    let (ip, hint) = match address {
        Address::Ip(ip) => (ip, None),
        Address::Host(name) => (resolve(&name, lookup).await?, Some(name)),
        Address::NoName => return refuse(Rep::GeneralFailure, "a domain that is no host name"),
    };
    let destination = canonical(SocketAddr::new(ip, port));
    Ok(Request { destination, hint })
}

fn refuse<T>(code: Rep, why: &'static str) -> Result<T, Refused> {
    Err(Refused::Request { code, why })
}

/// The destination as it stands in a request (RFC 1928 §5).
enum Address {
    Ip(IpAddr),
    Host(DnsName),
    NoName,
}

impl Address {
    const V4: u8 = 1;
    const DOMAIN: u8 = 3;
    const V6: u8 = 4;

    async fn read<S: AsyncRead + Unpin>(stream: &mut S, kind: u8) -> Result<Self, Refused> {
        match kind {
            Self::V4 => {
                let mut octets = [0; 4];
                stream.read_exact(&mut octets).await?;
                Ok(Self::Ip(Ipv4Addr::from(octets).into()))
            }
            Self::V6 => {
                let mut octets = [0; 16];
                stream.read_exact(&mut octets).await?;
                Ok(Self::Ip(Ipv6Addr::from(octets).into()))
            }
            Self::DOMAIN => {
                let mut octets = vec![0; stream.read_u8().await?.into()];
                stream.read_exact(&mut octets).await?;
                Ok(Self::domain(&octets))
            }
            _ => refuse(Rep::AddressTypeNotSupported, "an unknown address type"),
        }
    }

    /// Clients that leave resolution to the proxy send addresses as domains too.
    fn domain(octets: &[u8]) -> Self {
        let Ok(text) = std::str::from_utf8(octets) else {
            return Self::NoName;
        };
        if let Ok(ip) = text.parse() {
            return Self::Ip(ip);
        }
        DnsName::parse(text).map_or(Self::NoName, Self::Host)
    }
}

/// IPv4 is preferred: SOCKS clients that name hosts rarely say which they want, and it is what most MX hosts have.
async fn resolve(name: &DnsName, lookup: &dyn Lookup) -> Result<IpAddr, Refused> {
    for family in [Family::V4, Family::V6] {
        let found = lookup.addresses(name, family).await;
        let first = found.answer.records().and_then(|all| all.first().copied());
        if let Some(ip) = first {
            return Ok(ip);
        }
    }
    refuse(
        Rep::HostUnreachable,
        "the name has no address that can be looked up",
    )
}

#[cfg(test)]
mod tests {
    use futures_util::future::BoxFuture;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use tokio::io::duplex;

    use super::*;
    use crate::dns::{
        Absence, AbsenceKind, Answer, Denial, Failure, Mx, Resolved, Source, Text, TlsaRdata,
    };

    /// A world of three names.
    struct World;

    impl Lookup for World {
        fn addresses<'a>(
            &'a self,
            host: &'a DnsName,
            family: Family,
        ) -> BoxFuture<'a, Resolved<Vec<IpAddr>>> {
            let absent = Answer::Absent(Absence {
                kind: AbsenceKind::NoData,
                denial: Denial::Insecure,
            });
            let answer = match (host.as_str(), family) {
                ("four.example", Family::V4) => {
                    Answer::Insecure(vec!["192.0.2.4".parse().unwrap()])
                }
                ("four.example" | "six.example", Family::V6) => {
                    Answer::Insecure(vec!["2001:db8::6".parse().unwrap()])
                }
                ("bogus.example", _) => Answer::Failed(Failure::Bogus("expired".into())),
                _ => absent,
            };
            Box::pin(async move {
                Resolved {
                    answer,
                    aliases: vec![],
                    source: Source::default(),
                }
            })
        }

        fn mx<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Mx>>> {
            unreachable!("SOCKS asks for addresses only")
        }

        fn tlsa<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<TlsaRdata>>> {
            unreachable!("SOCKS asks for addresses only")
        }

        fn txt<'a>(&'a self, _: &'a DnsName) -> BoxFuture<'a, Resolved<Vec<Text>>> {
            unreachable!("SOCKS asks for addresses only")
        }
    }

    /// What the client sends, what it gets back, and what comes of it.
    async fn talk(sent: &[u8]) -> (Vec<u8>, Result<Request, Refused>) {
        let (mut client, mut proxy) = duplex(1024);
        client.write_all(sent).await.unwrap();
        client.shutdown().await.unwrap();
        let outcome = accept(&mut proxy, &World).await;
        drop(proxy);
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        (received, outcome)
    }

    fn domain(name: &[u8], port: [u8; 2]) -> Vec<u8> {
        let mut sent = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
        sent.extend_from_slice(name);
        sent.extend_from_slice(&port);
        sent
    }

    #[tokio::test]
    async fn a_well_formed_request_names_destination_and_hint() {
        let v6 = [
            &[5, 2, 2, 0, 5, 1, 0, 4][..],
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            &[0, 25],
        ];
        let mapped = [
            &[5, 1, 0, 5, 1, 0, 4][..],
            &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1],
            &[2, 75],
        ];
        for (what, sent, destination, hint) in [
            (
                "an IPv4 address",
                vec![5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 25],
                "192.0.2.1:25",
                None,
            ),
            (
                "an IPv6 address, another method offered first",
                v6.concat(),
                "[2001:db8::1]:25",
                None,
            ),
            ("a mapped address", mapped.concat(), "192.0.2.1:587", None),
            (
                "a name with both families",
                domain(b"four.example", [0, 25]),
                "192.0.2.4:25",
                Some("four.example"),
            ),
            (
                "a name with IPv6 only",
                domain(b"SIX.example.", [0, 25]),
                "[2001:db8::6]:25",
                Some("six.example"),
            ),
            (
                "an address sent as a name",
                domain(b"192.0.2.9", [0, 25]),
                "192.0.2.9:25",
                None,
            ),
            (
                "SMTP that follows at once is left alone",
                [domain(b"192.0.2.9", [0, 25]), b"EHLO x\r\n".to_vec()].concat(),
                "192.0.2.9:25",
                None,
            ),
        ] {
            let (received, outcome) = talk(&sent).await;
            let expected = Request {
                destination: destination.parse().unwrap(),
                hint: hint.map(|name| name.parse().unwrap()),
            };
            assert_eq!(outcome.unwrap(), expected, "{what}");
            assert_eq!(received, [5, 0], "{what}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_served_gets_the_reply_code_that_fits() {
        let v4 = |version, command, reserved| {
            vec![5, 1, 0, version, command, reserved, 1, 192, 0, 2, 1, 0, 25]
        };
        for (what, sent, code) in [
            ("another version in the request", v4(4, 1, 0), 1),
            ("a reserved octet that is set", v4(5, 1, 1), 1),
            ("BIND", v4(5, 2, 0), 7),
            ("UDP ASSOCIATE", v4(5, 3, 0), 7),
            ("a command that does not exist", v4(5, 0, 0), 7),
            (
                "an address type that does not exist",
                vec![5, 1, 0, 5, 1, 0, 2],
                8,
            ),
            ("port 0", vec![5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 1, 0, 0], 1),
            ("an empty name", domain(b"", [0, 25]), 1),
            ("a name with a space", domain(b"a b.example", [0, 25]), 1),
            ("a name with NUL", domain(b"a\0.example", [0, 25]), 1),
            ("a name that is not UTF-8", domain(&[0xff; 3], [0, 25]), 1),
            ("a name of 255 octets", domain(&[b'a'; 255], [0, 25]), 1),
            (
                "a name without addresses",
                domain(b"none.example", [0, 25]),
                4,
            ),
            (
                "a name whose zone is bogus",
                domain(b"bogus.example", [0, 25]),
                4,
            ),
        ] {
            let (received, outcome) = talk(&sent).await;
            assert!(matches!(outcome, Err(Refused::Request { .. })), "{what}");
            assert_eq!(received, [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0], "{what}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_sent_gets_one_answer_or_none(
            offer in prop_oneof![Just(vec![5, 1, 0]), vec(any::<u8>(), 0..6)],
            head in prop_oneof![Just(vec![5, 1, 0]), vec(any::<u8>(), 0..4)],
            rest in vec(any::<u8>(), 0..300),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let sent = [offer, head, rest].concat();
            let (received, outcome) = runtime.block_on(talk(&sent));
            match outcome {
                Ok(request) => {
                    prop_assert_eq!(&received, &[5, 0]);
                    prop_assert!(request.destination.port() != 0);
                }
                Err(Refused::Request { code, .. }) => {
                    prop_assert_eq!(received.len(), 12);
                    prop_assert_eq!(received[3], code as u8);
                }
                Err(Refused::Version(_)) => prop_assert!(received.is_empty()),
                Err(Refused::Method) => prop_assert_eq!(&received, &[5, 0xff]),
                Err(Refused::Io(_)) => prop_assert!(received.is_empty() || received == [5, 0]),
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_socks5_negotiation_is_dropped() {
        for (what, sent, reply) in [
            ("SOCKS4", &[4, 1, 0, 25, 192, 0, 2, 1, 0][..], &[][..]),
            ("SMTP", b"EHLO x\r\n", &[]),
            ("no methods", &[5, 0], &[5, 0xff]),
            ("GSSAPI and password only", &[5, 2, 1, 2], &[5, 0xff]),
            ("nothing", &[], &[]),
            ("half a greeting", &[5, 3, 0], &[]),
            ("half a request", &[5, 1, 0, 5, 1, 0, 1, 192], &[5, 0]),
            ("half a name", &[5, 1, 0, 5, 1, 0, 3, 9, b'a'], &[5, 0]),
        ] {
            let (received, outcome) = talk(sent).await;
            assert!(outcome.is_err(), "{what}");
            assert_eq!(received, reply, "{what}");
        }
    }
}
