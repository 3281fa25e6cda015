//! SMTP servers that take mail, each as well or as badly as its [`Manner`] says, and write down what they were told.
//!
//! A [`Sink`] listens on one loopback address, speaks enough of RFC 5321 to be delivered to by a careful client, and
//! RFC 3207 STARTTLS. [`Sink::connections`] is what happened, connection by connection, for assertions. It stops when
//! it is dropped.
#![expect(clippy::disallowed_methods, reason = "IO: a task per connection")]
#![expect(clippy::disallowed_types, reason = "IO: it owns a listener")]

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// How a sink behaves.
#[derive(Clone)]
pub struct Manner {
    /// Its name in the greeting.
    pub name: String,
    /// What it makes of STARTTLS.
    pub starttls: Starttls,
    /// Its reply to RCPT, without CRLF.
    pub rcpt: &'static str,
    /// What it does at the end of a message.
    pub end_of_data: EndOfData,
    /// Its certificates.
    pub tls: Arc<ServerConfig>,
}

/// What a sink makes of STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starttls {
    /// It offers it and starts TLS.
    Offered,
    /// It does not offer it, as when somebody on the path has cut it out.
    Absent,
    /// It offers it, and then answers with this line.
    Refused(&'static str),
    /// It answers 220 with a plaintext reply behind it in the same segment (CVE-2021-38371).
    Injected,
    /// It goes by a script, from the greeting on.
    Scripted(&'static Script),
}

/// What a hostile MX, or somebody on the path to it, says until mail is spoken of: octets as they are, line ends and all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// At once.
    pub greeting: &'static str,
    /// To EHLO.
    pub ehlo: &'static str,
    /// To HELO.
    pub helo: &'static str,
    /// To STARTTLS.
    pub starttls: &'static str,
    /// What it does after that.
    pub then: Then,
    /// To EHLO inside TLS.
    pub inside: &'static str,
}

/// What a scripted sink does after its reply to STARTTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It starts TLS.
    Handshake,
    /// It goes on in clear.
    GoOn,
    /// It closes.
    Close,
}

impl Script {
    /// Nothing wrong with it.
    pub const SOUND: Self = Self {
        greeting: "220 mx.scripted.test ESMTP\r\n",
        ehlo: "250-mx.scripted.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n",
        helo: "250 mx.scripted.test\r\n",
        starttls: "220 2.0.0 go ahead\r\n",
        then: Then::Handshake,
        inside: "250-mx.scripted.test\r\n250 PIPELINING\r\n",
    };
}

/// What a sink does at the end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOfData {
    /// It answers with this line.
    Reply(&'static str),
    /// It closes the connection without a word.
    Drop,
}

/// One connection to a sink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The name asked for in the TLS handshake.
    pub sni: Option<String>,
    /// Whether TLS came up.
    pub protected: bool,
    /// How often MAIL was heard.
    pub mail_commands: usize,
    /// The messages that came in whole.
    pub deliveries: Vec<Delivery>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The reverse-path, as in the command.
    pub from: String,
    /// The forward-paths, as in the commands.
    pub to: Vec<String>,
    /// The content, dot-stuffing undone, every octet of it.
    pub message: Vec<u8>,
    /// Whether it came inside TLS.
    pub protected: bool,
}

/// A running server.
pub struct Sink {
    address: SocketAddr,
    journal: Journal,
    task: JoinHandle<()>,
}

impl Sink {
    /// Serves on `listener` from now on.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn start(listener: TcpListener, manner: Manner) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let journal = Journal::default();
        let task = tokio::spawn(accept(listener, Arc::new(manner), journal.clone()));
        Ok(Self {
            address,
            journal,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.journal.all()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Default)]
struct Journal(Arc<Mutex<Vec<Connection>>>);

impl Journal {
    fn all(&self) -> Vec<Connection> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn open(&self) -> Page {
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(Connection::default());
        Page {
            journal: self.clone(),
            index: connections.len() - 1,
        }
    }
}

/// The entry of one connection.
struct Page {
    journal: Journal,
    index: usize,
}

impl Page {
    fn note(&self, change: impl FnOnce(&mut Connection)) {
        let mut connections = self
            .journal
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get_mut(self.index) {
            change(connection);
        }
    }
}

async fn accept(listener: TcpListener, manner: Arc<Manner>, journal: Journal) {
    let mut sessions = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while sessions.try_join_next().is_some() {}
        let (manner, page) = (Arc::clone(&manner), journal.open());
        // A client that goes away in the middle is a matter of course.
        sessions.spawn(async move { serve(stream, &manner, &page).await.unwrap_or_default() });
    }
}

async fn serve(stream: TcpStream, manner: &Manner, page: &Page) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut clear = Session::new(stream, manner, page);
    clear.greet().await?;
    match clear.run().await? {
        Next::Close => Ok(()),
        Next::StartTls(stream) => {
            let acceptor = TlsAcceptor::from(Arc::clone(&manner.tls));
            let stream = acceptor.accept(stream).await?;
            let sni = stream.get_ref().1.server_name().map(str::to_owned);
            page.note(|connection| {
                connection.sni = sni;
                connection.protected = true;
            });
            let mut protected = Session::new(stream, manner, page);
            protected.protected = true;
            // STARTTLS is not offered again inside TLS, so there is nothing left to do after it.
            protected.run().await.map(|_| ())
        }
    }
}

enum Next<S> {
    Close,
    StartTls(S),
}

struct Session<'a, S> {
    stream: Option<BufReader<S>>,
    manner: &'a Manner,
    page: &'a Page,
    protected: bool,
    from: String,
    to: Vec<String>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Session<'a, S> {
    fn new(stream: S, manner: &'a Manner, page: &'a Page) -> Self {
        Self {
            stream: Some(BufReader::new(stream)),
            manner,
            page,
            protected: false,
            from: String::new(),
            to: Vec::new(),
        }
    }

    async fn greet(&mut self) -> io::Result<()> {
        if let Some(script) = self.script() {
            return self.recite(script.greeting).await;
        }
        let greeting = format!("220 {} ESMTP lab sink", self.manner.name);
        self.say(&greeting).await
    }

    /// Until the connection ends or TLS is to start.
    async fn run(&mut self) -> io::Result<Next<S>> {
        loop {
            let Some(line) = self.line().await? else {
                return Ok(Next::Close);
            };
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            let verb = text
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.capabilities().await?,
                "HELO" => match self.script() {
                    Some(script) => self.recite(script.helo).await?,
                    None => self.say(&format!("250 {}", self.manner.name)).await?,
                },
                "STARTTLS" => {
                    if let Some(stream) = self.starttls().await? {
                        return Ok(Next::StartTls(stream));
                    }
                    if self
                        .script()
                        .is_some_and(|script| script.then == Then::Close)
                    {
                        return Ok(Next::Close);
                    }
                }
                "MAIL" => self.mail(&text).await?,
                "RCPT" => self.rcpt(&text).await?,
                "DATA" => {
                    if !self.data().await? {
                        return Ok(Next::Close);
                    }
                }
                "RSET" => {
                    self.reset();
                    self.say("250 2.0.0 reset").await?;
                }
                "NOOP" => self.say("250 2.0.0 ok").await?,
                "QUIT" => {
                    self.say("221 2.0.0 bye").await?;
                    self.hang_up().await?;
                    return Ok(Next::Close);
                }
                _ => self.say("500 5.5.1 unknown command").await?,
            }
        }
    }

    async fn capabilities(&mut self) -> io::Result<()> {
        if let Some(script) = self.script() {
            let reply = if self.protected {
                script.inside
            } else {
                script.ehlo
            };
            return self.recite(reply).await;
        }
        let offered = !self.protected && self.manner.starttls != Starttls::Absent;
        let starttls = if offered { "250-STARTTLS\r\n" } else { "" };
        let name = &self.manner.name;
        let lines = format!(
            "250-{name}\r\n250-PIPELINING\r\n250-SIZE 10485760\r\n{starttls}250-ENHANCEDSTATUSCODES\r\n250 8BITMIME"
        );
        self.say(&lines).await
    }

    /// The bare connection, when TLS is to start on it.
    async fn starttls(&mut self) -> io::Result<Option<S>> {
        if self.protected {
            self.say("503 5.5.1 TLS is up already").await?;
            return Ok(None);
        }
        match self.manner.starttls {
            Starttls::Absent => self.say("502 5.5.1 not implemented").await?,
            Starttls::Refused(reply) => self.say(reply).await?,
            Starttls::Offered => self.say("220 2.0.0 go ahead").await?,
            Starttls::Injected => {
                self.say("220 2.0.0 go ahead\r\n250-injected\r\n250 SIZE 1")
                    .await?;
            }
            Starttls::Scripted(script) => self.recite(script.starttls).await?,
        }
        let starts = match self.manner.starttls {
            Starttls::Offered | Starttls::Injected => true,
            Starttls::Scripted(script) => script.then == Then::Handshake,
            Starttls::Absent | Starttls::Refused(_) => false,
        };
        // Plaintext that came behind STARTTLS must not be taken for protected input (RFC 3207 §6).
        let clean = |stream: &BufReader<S>| stream.buffer().is_empty();
        if starts && !self.stream.as_ref().is_some_and(clean) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(self.stream.take_if(|_| starts).map(BufReader::into_inner))
    }

    async fn mail(&mut self, text: &str) -> io::Result<()> {
        self.page.note(|connection| connection.mail_commands += 1);
        self.reset();
        self.from = path_of(text);
        self.say("250 2.1.0 sender ok").await
    }

    async fn rcpt(&mut self, text: &str) -> io::Result<()> {
        let reply = self.manner.rcpt;
        if reply.starts_with('2') {
            self.to.push(path_of(text));
        }
        self.say(reply).await
    }

    /// Whether the connection goes on.
    async fn data(&mut self) -> io::Result<bool> {
        if self.to.is_empty() {
            self.say("503 5.5.1 no recipients").await?;
            return Ok(true);
        }
        self.say("354 go on").await?;
        let mut message = Vec::new();
        loop {
            let Some(line) = self.line().await? else {
                return Ok(false);
            };
            if line == b".\r\n" {
                break;
            }
            message.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
        }
        let delivery = Delivery {
            from: std::mem::take(&mut self.from),
            to: std::mem::take(&mut self.to),
            message,
            protected: self.protected,
        };
        self.page
            .note(|connection| connection.deliveries.push(delivery));
        match self.manner.end_of_data {
            EndOfData::Reply(reply) => self.say(reply).await.map(|()| true),
            EndOfData::Drop => Ok(false),
        }
    }

    /// With close_notify inside TLS; elsewhere the connection just drops.
    async fn hang_up(&mut self) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.shutdown().await
    }

    fn reset(&mut self) {
        self.from.clear();
        self.to.clear();
    }

    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let read = stream.read_until(b'\n', &mut line).await?;
        Ok((read > 0).then_some(line))
    }

    async fn say(&mut self, lines: &str) -> io::Result<()> {
        self.recite(&format!("{lines}\r\n")).await
    }

    async fn recite(&mut self, octets: &str) -> io::Result<()> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        stream.write_all(octets.as_bytes()).await?;
        stream.flush().await
    }

    const fn script(&self) -> Option<&'static Script> {
        match self.manner.starttls {
            Starttls::Scripted(script) => Some(script),
            Starttls::Offered | Starttls::Absent | Starttls::Refused(_) | Starttls::Injected => {
                None
            }
        }
    }
}

/// What stands between the angle brackets.
fn path_of(text: &str) -> String {
    let start = text.find('<').map_or(0, |at| at + 1);
    let end = text.rfind('>').unwrap_or(text.len());
    text.get(start..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::pki::{Issuer, Leaf, Pki, Validity};
    use rustls_pki_types::ServerName;
    use rustls_pki_types::pem::PemObject;
    use std::net::Ipv4Addr;
    use tokio::io::AsyncReadExt;

    async fn sink(starttls: Starttls, end_of_data: EndOfData) -> (Sink, Pki) {
        let pki = Pki::generate().unwrap();
        let identity = pki
            .identity(&Leaf {
                issuer: Issuer::Public,
                names: vec!["mx.good.test".into()],
                validity: Validity::Current,
            })
            .unwrap();
        let manner = Manner {
            name: "mx.good.test".into(),
            starttls,
            rcpt: "250 2.1.5 ok",
            end_of_data,
            tls: pki
                .server(vec![("mx.good.test".into(), &identity)])
                .unwrap(),
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        (Sink::start(listener, manner).unwrap(), pki)
    }

    /// Says everything at once and reads until the sink closes.
    async fn converse(sink: &Sink, said: &str) -> String {
        let mut stream = TcpStream::connect(sink.address()).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        heard
    }

    const TAKEN: EndOfData = EndOfData::Reply("250 taken");

    #[tokio::test]
    async fn it_writes_down_every_octet_with_dot_stuffing_undone() {
        let (sink, _) = sink(Starttls::Absent, TAKEN).await;
        let heard = converse(
            &sink,
            "EHLO me\r\nMAIL FROM:<a@b> SIZE=3\r\nRCPT TO:<c@d>\r\nDATA\r\n..\r\n...x\r\ny\r\n.\r\nQUIT\r\n",
        )
        .await;
        assert!(
            heard.ends_with("354 go on\r\n250 taken\r\n221 2.0.0 bye\r\n"),
            "{heard}"
        );
        let delivery = Delivery {
            from: "a@b".into(),
            to: vec!["c@d".into()],
            message: b".\r\n..x\r\ny\r\n".to_vec(),
            protected: false,
        };
        assert_eq!(sink.connections()[0].deliveries, [delivery]);
    }

    #[tokio::test]
    async fn it_treats_starttls_as_it_was_told() {
        for (starttls, offered, reply) in [
            (Starttls::Absent, false, "502"),
            (Starttls::Refused("454 not today"), true, "454 not today"),
            (
                Starttls::Injected,
                true,
                "220 2.0.0 go ahead\r\n250-injected",
            ),
        ] {
            let (sink, _) = sink(starttls, TAKEN).await;
            let mut stream = TcpStream::connect(sink.address()).await.unwrap();
            stream.write_all(b"EHLO me\r\n").await.unwrap();
            let mut heard = String::new();
            let mut stream = BufReader::new(stream);
            while !heard.contains("250 8BITMIME") {
                stream.read_line(&mut heard).await.unwrap();
            }
            assert_eq!(heard.contains("250-STARTTLS"), offered, "{starttls:?}");
            stream.write_all(b"STARTTLS\r\n").await.unwrap();
            let mut answer = vec![0; reply.len()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(String::from_utf8_lossy(&answer), reply);
        }
    }

    #[tokio::test]
    async fn it_can_drop_the_connection_after_the_message() {
        let (sink, _) = sink(Starttls::Absent, EndOfData::Drop).await;
        let heard = converse(&sink, "MAIL FROM:<>\r\nRCPT TO:<c@d>\r\nDATA\r\n.\r\n").await;
        assert!(heard.ends_with("354 go on\r\n"), "{heard}");
        assert_eq!(sink.connections()[0].deliveries.len(), 1);
    }

    #[tokio::test]
    async fn inside_tls_it_knows_the_name_that_was_asked_for() {
        let (sink, pki) = sink(Starttls::Offered, TAKEN).await;
        let mut stream = TcpStream::connect(sink.address()).await.unwrap();
        let mut greeting = [0; 256];
        let length = stream.read(&mut greeting).await.unwrap();
        assert!(greeting[..length].starts_with(b"220 "));
        stream.write_all(b"STARTTLS\r\n").await.unwrap();
        let length = stream.read(&mut greeting).await.unwrap();
        assert!(greeting[..length].starts_with(b"220 "));
        let mut roots = rustls::RootCertStore::empty();
        let root = rustls_pki_types::CertificateDer::from_pem_slice(pki.root_pem().as_bytes());
        roots.add(root.unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("mx.good.test").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream.write_all(b"MAIL FROM:<>\r\nQUIT\r\n").await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        assert!(heard.ends_with("221 2.0.0 bye\r\n"), "{heard}");
        let connection = &sink.connections()[0];
        assert_eq!(connection.sni.as_deref(), Some("mx.good.test"));
        assert_eq!((connection.protected, connection.mail_commands), (true, 1));
    }
}
