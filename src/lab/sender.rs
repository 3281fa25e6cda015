//! A small MTA: delivers one message to one recipient through a SOCKS5 proxy, and tells what it heard.
//!
//! It goes the way of RFC 1928 CONNECT to the destination, then EHLO, MAIL, RCPT, DATA and QUIT one by one
//! (RFC 5321 §3). A refusal is an answer, not an error: [`Heard`] has every reply up to it. Only a broken connection
//! or something that is no reply is an error.
#![expect(clippy::disallowed_types, reason = "IO: it owns its connection")]

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// What to send, and where.
#[derive(Clone, Debug)]
pub struct Letter<'a> {
    /// The forward-path.
    pub recipient: &'a str,
    /// The destination that the MTA would have connected to.
    pub destination: SocketAddr,
    /// The content, lines ended by CRLF.
    pub message: &'a [u8],
}

/// The replies, as far as they went; each without its last CRLF.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Our own address, by which the proxy knows us.
    pub client: Option<SocketAddr>,
    /// Every reply, from the greeting on.
    pub replies: Vec<String>,
    /// The reply that decided: the one to the final dot, or the first that refused.
    pub decisive: String,
}

/// Sends `letter` through the proxy at `proxy`.
///
/// # Errors
/// When a connection breaks, or the other side does not speak the protocol.
pub async fn send(proxy: SocketAddr, letter: &Letter<'_>) -> io::Result<Heard> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    let client = stream.local_addr()?;
    connect(&mut stream, letter.destination).await?;
    let mut talk = Talk {
        stream: BufReader::new(stream),
        heard: Heard {
            client: Some(client),
            ..Heard::default()
        },
    };
    if talk.say(b"").await? && talk.say(format!("EHLO {CLIENT}\r\n").as_bytes()).await? {
        talk.transaction(letter).await?;
    }
    let mut heard = talk.heard.clone();
    // What is said to QUIT decides nothing any more, and the connection may be closed already.
    if talk.say(b"QUIT\r\n").await.is_ok() {
        heard.replies = talk.heard.replies;
    }
    Ok(heard)
}

struct Talk {
    stream: BufReader<TcpStream>,
    heard: Heard,
}

impl Talk {
    /// Says something, or nothing before the greeting; whether the reply lets us go on.
    async fn say(&mut self, bytes: &[u8]) -> io::Result<bool> {
        self.stream.get_mut().write_all(bytes).await?;
        let reply = self.reply().await?;
        let going = reply.starts_with(['2', '3']);
        self.heard.decisive.clone_from(&reply);
        self.heard.replies.push(reply);
        Ok(going)
    }

    async fn transaction(&mut self, letter: &Letter<'_>) -> io::Result<()> {
        // Where 8-bit text cannot be announced, it is sent all the same, as many MTAs do.
        let is_offered = self.heard.decisive.contains("8BITMIME");
        let announced = is_offered && !letter.message.is_ascii();
        let body = if announced { " BODY=8BITMIME" } else { "" };
        let steps = [
            format!("MAIL FROM:<{SENDER}>{body}\r\n").into_bytes(),
            format!("RCPT TO:<{}>\r\n", letter.recipient).into_bytes(),
            b"DATA\r\n".to_vec(),
            stuffed(letter.message),
        ];
        for step in &steps {
            if !self.say(step).await? {
                break;
            }
        }
        Ok(())
    }

    /// All lines of one reply (RFC 5321 §4.2.1).
    async fn reply(&mut self) -> io::Result<String> {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            if self.stream.read_line(&mut reply).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            match reply.as_bytes().get(start + 3) {
                Some(b'-') => {}
                Some(_) => return Ok(reply.trim_end().to_owned()),
                None => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

/// RFC 1928 §3 to §6, without authentication.
async fn connect(stream: &mut TcpStream, destination: SocketAddr) -> io::Result<()> {
    stream.write_all(&[5, 1, 0]).await?;
    let mut method = [0; 2];
    stream.read_exact(&mut method).await?;
    if method != [5, 0] {
        return Err(io::Error::other("the proxy wants authentication"));
    }
    let mut request = vec![5, 1, 0];
    push_address(&mut request, destination);
    stream.write_all(&request).await?;
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let rest = if head[3] == 4 { 18 } else { 6 };
    stream.read_exact(&mut vec![0; rest]).await?;
    match head[1] {
        0 => Ok(()),
        code => Err(io::Error::other(format!(
            "the proxy refuses CONNECT: {code}"
        ))),
    }
}

fn push_address(request: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            request.push(1);
            request.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            request.push(4);
            request.extend(ip.octets());
        }
    }
    request.extend(address.port().to_be_bytes());
}

/// With a dot before every dot that begins a line, and the final one (RFC 5321 §4.5.2).
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(message.len() + 16);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        if line.starts_with(b".") {
            data.push(b'.');
        }
        data.extend_from_slice(line);
    }
    data.extend_from_slice(b".\r\n");
    data
}

/// The name that the sender calls itself.
const CLIENT: &str = "mta.sender.test";
/// The reverse-path.
pub(super) const SENDER: &str = "sender@sender.test";
