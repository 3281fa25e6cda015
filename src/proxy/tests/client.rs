//! The mail server that sends, which the proxy takes for its client.

use std::net::SocketAddr;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A mail server's sending side.
pub(super) struct Client<S = TcpStream> {
    pub(super) stream: BufReader<S>,
}

impl Client {
    /// With an address that is known before it connects.
    pub(super) fn socket() -> (TcpSocket, SocketAddr) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Asks the proxy for `destination`.
    pub(super) async fn new(proxy: SocketAddr, destination: SocketAddr) -> Self {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream.write_all(&[5, 1, 0]).await.unwrap();
        Self::request(stream, destination).await
    }

    /// The same for a stream that has offered its methods.
    pub(super) async fn request(mut stream: TcpStream, destination: SocketAddr) -> Self {
        let SocketAddr::V4(v4) = destination else {
            panic!("the tests speak IPv4")
        };
        let mut request = vec![5, 1, 0, 1];
        request.extend_from_slice(&v4.ip().octets());
        request.extend_from_slice(&v4.port().to_be_bytes());
        stream.write_all(&request).await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Goes on inside TLS; nothing may have come before the handshake.
    pub(super) async fn secure(
        self,
        connector: &TlsConnector,
        name: &str,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        assert!(
            self.stream.buffer().is_empty(),
            "nothing comes before the handshake"
        );
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let stream = connector.connect(name, self.stream.into_inner()).await?;
        let stream = BufReader::new(stream);
        Ok(Client { stream })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// One reply, all its lines.
    pub(super) async fn hear(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let count = self.stream.read_line(&mut reply).await.unwrap();
            if count == 0 || reply.as_bytes().get(start + 3) != Some(&b'-') {
                return reply;
            }
        }
    }

    pub(super) async fn send(&mut self, octets: &[u8]) {
        self.stream.write_all(octets).await.unwrap();
    }

    /// A message of so many lines, which is taken.
    pub(super) async fn deliver(&mut self, lines: u32) -> Vec<u8> {
        let mut message = Vec::new();
        for number in 0..lines {
            message.extend_from_slice(format!("line {number:020}\r\n").as_bytes());
        }
        message.extend_from_slice(b".\r\n");
        self.send(&message).await;
        assert!(self.hear().await.starts_with("250 "));
        message
    }

    /// A command and its reply.
    pub(super) async fn say(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes()).await;
        self.hear().await
    }

    /// EHLO and MAIL, which are taken.
    pub(super) async fn begin(&mut self) {
        self.expect(&[
            ("EHLO client.example", "250"),
            ("MAIL FROM:<a@client.example>", "250"),
        ])
        .await;
    }

    /// Commands whose replies must have these codes.
    pub(super) async fn expect(&mut self, dialogue: &[(&str, &str)]) {
        for (command, code) in dialogue {
            let reply = self.say(command).await;
            assert!(reply.starts_with(code), "{command}: {reply}");
        }
    }
}
