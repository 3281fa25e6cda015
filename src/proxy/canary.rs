//! Sends canaries: connections to nobody, and who answers them. None gets further than the first hop.
#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "IO: dials, reads what names this network namespace"
)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use ring::rand::{SecureRandom, SystemRandom};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};

use super::dial::marked;
use crate::intercept::canary::{Answerer, Family, TTL, Token};

/// What became of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody has taken the connection.
    Answered(Answerer),
    /// Nothing came back.
    Silence,
    /// A reset came back: how it is told.
    Refused(String),
    /// It came to an end on its way, by a message of a router or a route of this host: which.
    Stopped(String),
    /// It could not be sent: why.
    Untried(String),
}

/// Sends one, with this mark.
pub async fn fly(destination: SocketAddr, mark: Option<u32>, token: &Token) -> Heard {
    let connecting = async { socket(destination, mark)?.connect(destination).await };
    match tokio::time::timeout(CONNECT, connecting).await {
        Ok(Ok(stream)) => Heard::Answered(token.answerer(&first_line(stream).await)),
        Ok(Err(error)) if was_not_sent(&error) => Heard::Untried(error.to_string()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Heard::Refused(error.to_string())
        }
        Ok(Err(error)) => Heard::Stopped(error.to_string()),
        Err(_) => Heard::Silence,
    }
}

/// Sends them to one address after the other until one has really left, as a connection to an MX host would.
pub async fn fly_plain(family: Family, (port, mark): (u16, Option<u32>), token: &Token) -> Heard {
    let mut heard = Heard::Untried("no address to try".into());
    for address in family.plain() {
        heard = fly(SocketAddr::new(address, port), mark, token).await;
        match heard {
            Heard::Answered(_) | Heard::Silence => break,
            // It may be a route of this host that has refused it, before netfilter saw it.
            Heard::Refused(_) | Heard::Stopped(_) | Heard::Untried(_) => {}
        }
    }
    heard
}

/// The token of this network namespace: the same for all processes in it.
#[must_use]
pub fn token() -> Token {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id");
    let namespace = std::fs::read_link("/proc/self/ns/net");
    match (boot, namespace) {
        (Ok(boot), Ok(namespace)) => Token::of(&[&boot, namespace.as_os_str().as_encoded_bytes()]),
        // Then a process at least knows itself.
        (_, _) => {
            let mut random = [0; 16];
            let _ = SystemRandom::new().fill(&mut random);
            Token::of(&[&random])
        }
    }
}

fn socket(destination: SocketAddr, mark: Option<u32>) -> io::Result<TcpSocket> {
    let socket = marked(destination, mark)?;
    let options = SockRef::from(&socket);
    match destination {
        SocketAddr::V4(_) => options.set_ttl_v4(TTL.into())?,
        SocketAddr::V6(_) => options.set_unicast_hops_v6(TTL.into())?,
    }
    Ok(socket)
}

/// As far as it comes, within its time.
async fn first_line(stream: TcpStream) -> String {
    let mut line = Vec::new();
    let mut reader = BufReader::new(stream).take(LONGEST);
    let reading = async {
        while let Ok(octet) = reader.read_u8().await {
            line.push(octet);
            if octet == b'\n' {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(GREETING, reading).await;
    String::from_utf8_lossy(&line).into_owned()
}

/// No route, no such family, nothing to make a socket of.
fn was_not_sent(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(
            Errno::ENETUNREACH
                | Errno::EAFNOSUPPORT
                | Errno::EADDRNOTAVAIL
                | Errno::EADDRINUSE
                | Errno::EINVAL
                | Errno::EACCES
                | Errno::EMFILE
                | Errno::ENFILE
                | Errno::ENOBUFS
                | Errno::ENOMEM
        )
    )
}

/// What netfilter takes over is connected at once, on this very host.
const CONNECT: Duration = Duration::from_secs(1);

/// A host with much to do takes a while to answer what it has accepted.
const GREETING: Duration = Duration::from_secs(5);

/// Of a greeting.
const LONGEST: u64 = 512;

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn net_01_who_answers_is_known_by_its_greeting() {
        let token = token();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        for (greeting, expected) in [
            (token.greeting(), Answerer::Here),
            (Token::of(&[b"another"]).greeting(), Answerer::Elsewhere),
            (
                "220 mx ESMTP\r\n".into(),
                Answerer::Stranger("220 mx ESMTP".into()),
            ),
            (String::new(), Answerer::Stranger(String::new())),
        ] {
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(greeting.as_bytes()).await.unwrap();
            };
            let (heard, ()) = tokio::join!(fly(address, None, &token), answering);
            assert_eq!(heard, Heard::Answered(expected), "{greeting}");
        }
        drop(listener);
        let heard = fly(address, None, &token).await;
        assert!(matches!(heard, Heard::Refused(_)), "{heard:?}");
    }

    #[test]
    fn net_01_a_process_knows_its_namespace_again() {
        assert_eq!(token(), token());
    }

    #[test]
    fn net_10_what_this_host_lacks_is_no_answer() {
        for (errno, unsent) in [
            (Errno::ENETUNREACH, true),
            (Errno::EADDRNOTAVAIL, true),
            (Errno::EMFILE, true),
            (Errno::ENOMEM, true),
            (Errno::EHOSTUNREACH, false),
            (Errno::ECONNREFUSED, false),
            (Errno::EPERM, false),
        ] {
            let error = io::Error::from_raw_os_error(errno as i32);
            assert_eq!(was_not_sent(&error), unsent, "{errno}");
        }
    }
}
