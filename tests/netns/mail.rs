//! Messages, what sends them, and what became of them: all that does not depend on which mail server it is.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::sandbox::{Daemon, Namespace, sh};
use super::{chasquid, exim, postfix};

/// A message with all that is easily damaged on the way, and a token that finds it again.
pub(crate) struct Message {
    pub(crate) recipients: Vec<String>,
    pub(crate) token: String,
    pub(crate) content: Vec<u8>,
}

impl Message {
    /// A message for `recipient`; no two recipients of a test are the same.
    pub(crate) fn to(recipient: &str) -> Self {
        let token = format!("token-{}-nekot", recipient.replace('@', "-at-"));
        let mut content = format!(
            "From: {SENDER}\nTo: {recipient}\nSubject: {token}\nDate: Mon, 1 Jan 2024 00:00:00 +0000\n\
            Message-ID: <{token}@client.test>\nX-Folded: one\n\ttwo\n  three\nMIME-Version: 1.0\n\
            Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: 8bit\n\n\
            {token}\n.\n..\n.dot first\nFrom here it goes on\n trailing blanks  \t \n\n\n"
        )
        .into_bytes();
        content.extend((0x80..=0xff).chain([0x01, 0x07, 0x0b, 0x0c, 0x1b, 0x7f, b'\n']));
        content.extend(std::iter::repeat_n(b'x', 990).chain([b'\n']));
        // Long enough for several TLS records and TCP segments, with dots wherever a boundary may fall.
        content.extend((0..20_000_u32).flat_map(|i| format!(".{i}\n").into_bytes()));
        content.extend(b"QUIT\nRSET\nSTARTTLS\nlast line\n");
        Self {
            recipients: vec![recipient.to_owned()],
            token,
            content,
        }
    }

    /// A message that takes a few segments only.
    pub(crate) fn short(recipient: &str) -> Self {
        let mut message = Self::to(recipient);
        message.content.truncate(SHORT);
        message.content.push(b'\n');
        message
    }

    /// The same message for `others` too.
    pub(crate) fn and(mut self, others: &[&str]) -> Self {
        self.recipients
            .extend(others.iter().map(ToString::to_string));
        self
    }

    /// With so many more bytes of text.
    pub(crate) fn longer(mut self, bytes: usize) -> Self {
        const LINE: &[u8] =
            b".. and another line of a long message, of which a copy would be seen\n";
        self.content
            .extend(LINE.iter().cycle().take(bytes / LINE.len() * LINE.len()));
        self
    }

    /// The recipient that names it.
    pub(crate) fn recipient(&self) -> &str {
        &self.recipients[0]
    }
}

/// A mail server as the sender: what any of them has.
pub(crate) trait Mta {
    /// Takes a message over, as from a program on its host.
    fn send(&self, message: &Message);

    /// All it has logged.
    fn log(&self) -> String;

    /// Its queue as it lists it to an operator, recipients included.
    fn queue(&self) -> String;
}

/// Runs a `sendmail` with the message as its input.
pub(crate) fn submit(command: &mut Command, message: &Message) {
    let mut child = command
        .stdin(Stdio::piped())
        .spawn()
        .expect("sendmail starts");
    let mut stdin = child.stdin.take().expect("its input is a pipe");
    stdin
        .write_all(&message.content)
        .expect("sendmail reads the message");
    drop(stdin);
    assert!(
        child.wait().expect("sendmail ends").success(),
        "sendmail takes {}",
        message.recipient()
    );
}

/// A message as an MX host stored it.
pub(crate) struct Stored {
    pub(crate) file: Vec<u8>,
}

impl Stored {
    /// The message with that token, once some MX host has stored it.
    pub(crate) fn find(message: &Message) -> Option<Self> {
        Self::all(&message.token).into_iter().next()
    }

    /// Every stored copy of the message with `token`.
    pub(crate) fn all(token: &str) -> Vec<Self> {
        Self::all_whose_head(|head| {
            memchr::memmem::find(head, token.as_bytes()).is_some() && !is_to_sender(head)
        })
    }

    /// All that came back to the sender.
    pub(crate) fn bounces() -> Vec<Self> {
        Self::all_whose_head(is_to_sender)
    }

    fn all_whose_head(wanted: impl Fn(&[u8]) -> bool) -> Vec<Self> {
        let Ok(new) = fs::read_dir(Path::new(MAILBOX).join("new")) else {
            return Vec::new();
        };
        let paths = new.filter_map(|entry| Some(entry.ok()?.path()));
        let found = paths.filter(|path| head_of(path).is_some_and(|head| wanted(&head)));
        found
            .filter_map(|path| fs::read(path).ok())
            .map(|file| Self { file })
            .collect()
    }

    /// The names of the header fields that stand above the message as it was sent, top first; fails unless all below
    /// them is the message, byte for byte.
    pub(crate) fn fields_above(&self, message: &Message) -> Vec<String> {
        let above = self.file.strip_suffix(message.content.as_slice());
        let above = above.unwrap_or_else(|| panic!("{}: changed on the way", message.recipient()));
        let lines = std::str::from_utf8(above)
            .expect("trace fields are ASCII")
            .lines();
        let fields = lines.filter(|line| !line.starts_with([' ', '\t']));
        fields
            .map(|line| {
                line.split(':')
                    .next()
                    .expect("split yields something")
                    .to_owned()
            })
            .collect()
    }

    /// The trace field of the MX host that took it: who sent, over which TLS.
    pub(crate) fn received(&self) -> String {
        let text = String::from_utf8_lossy(&self.file);
        let start = text
            .find("Received: ")
            .expect("an MX host adds a trace field");
        let mut lines = text[start..].lines();
        let first = lines.next().into_iter();
        let field: Vec<&str> = first
            .chain(lines.take_while(|line| line.starts_with([' ', '\t'])))
            .collect();
        field
            .concat()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Starts all MX hosts.
pub(crate) fn serve(world: &Namespace) -> [Daemon; 2] {
    sh(&format!(
        "install -d -o nobody -g nogroup {MAILBOX} {MAILBOX}/new {MAILBOX}/cur {MAILBOX}/tmp"
    ));
    postfix::serve(world);
    [exim::serve(world), chasquid::serve(world)]
}

/// The trace fields and the message's own header, in which its token stands.
fn head_of(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// Whether the MX host of the sender's own domain took it.
fn is_to_sender(head: &[u8]) -> bool {
    memchr::memmem::find(head, format!("Delivered-To: {SENDER}").as_bytes()).is_some()
}

/// Where all MX hosts put what they take.
pub(crate) const MAILBOX: &str = "/run/lab/box";

/// Who sends all this.
pub(crate) const SENDER: &str = "sender@client.test";

/// The local part that every MX host refuses.
pub(crate) const REFUSED: &str = "refused";

const SHORT: usize = 6000;
const HEAD: u64 = 8192;
