//! Mail of every kind from the mail servers that people run: each sends it through the redirect, and nothing is lost,
//! changed, sent back or delivered twice.

use super::capture::Capture;
use super::chasquid::Chasquid;
use super::dma::Dma;
use super::exim::Exim;
use super::mail::{Message, Mta, REFUSED, Stored};
use super::opensmtpd::OpenSmtpd;
use super::postfix::Client;
use super::rules::{self, Exempt};
use super::sandbox::{Namespace, sandboxed, until};
use super::{Lab, danelaw};

/// What a mail server does by itself.
#[expect(clippy::struct_excessive_bools, reason = "a row of a table")]
struct Habits {
    /// Sends several commands at once where it may.
    pipelines: bool,
    /// Knows SMTPUTF8.
    utf8: bool,
    /// After a temporary refusal of a recipient, goes on to the next MX host at once.
    next_host: bool,
}

#[test]
fn role_1_postfix_sends_mail_of_every_kind() {
    sandboxed(|| {
        let habits = Habits {
            pipelines: true,
            utf8: true,
            next_host: true,
        };
        sends_mail_of_every_kind(&habits, |mta| Box::new(Client::start(mta)));
    });
}

#[test]
fn exim_sends_mail_of_every_kind() {
    sandboxed(|| {
        let habits = Habits {
            pipelines: true,
            utf8: true,
            next_host: true,
        };
        sends_mail_of_every_kind(&habits, |mta| Box::new(Exim::start(mta)));
    });
}

#[test]
fn opensmtpd_sends_mail_of_every_kind() {
    sandboxed(|| {
        let habits = Habits {
            pipelines: false,
            utf8: false,
            next_host: false,
        };
        sends_mail_of_every_kind(&habits, |mta| Box::new(OpenSmtpd::start(mta)));
    });
}

#[test]
fn dma_sends_mail_of_every_kind() {
    sandboxed(|| {
        let habits = Habits {
            pipelines: false,
            utf8: false,
            next_host: true,
        };
        sends_mail_of_every_kind(&habits, |mta| Box::new(Dma::start(mta)));
    });
}

#[test]
fn chasquid_sends_mail_of_every_kind() {
    sandboxed(|| {
        let habits = Habits {
            pipelines: false,
            utf8: true,
            next_host: true,
        };
        sends_mail_of_every_kind(&habits, |mta| Box::new(Chasquid::start(mta)));
    });
}

fn sends_mail_of_every_kind<S>(habits: &Habits, start: S)
where
    S: for<'a> FnOnce(&'a Namespace) -> Box<dyn Mta + 'a>,
{
    let lab = Lab::start();
    let mta = &lab.network.mta;
    let capture = Capture::between_mta_and_danelaw(mta);
    let _danelaw = danelaw::start(mta);
    rules::load(mta, Exempt::Danelaw);
    let client = start(mta);

    let refused = format!("{REFUSED}@dane.test");
    let several = Message::to("several@dane.test").and(&["second@dane.test", "third@plain.test"]);
    let one_refused = Message::to("good@dane.test").and(&[&refused, "also-good@dane.test"]);
    let next = Message::to("all.next@second.test");
    let waits = Message::to("waits@mismatch.test");
    let mut all = vec![
        (several, 3),
        (Message::to("big@dane.test").longer(BIG), 1),
        (one_refused, 2),
        (next, usize::from(habits.next_host)),
    ];
    if habits.utf8 {
        all.push((Message::to("gr\u{fc}\u{df}e@dane.test"), 1));
    }
    for (message, _) in &all {
        client.send(message);
    }
    client.send(&waits);

    for (message, copies) in &all {
        arrives_so_often(message, *copies);
    }
    let bounce = until("the refused recipient's bounce", || Stored::bounces().pop());
    let bounce = String::from_utf8_lossy(&bounce.file).into_owned();
    assert!(bounce.contains(&refused), "{bounce}");
    let waiting = |queue: &str| {
        let kept = all.iter().filter(|(_, copies)| *copies == 0);
        let gone = all.iter().filter(|(_, copies)| *copies > 0);
        kept.map(|(message, _)| message)
            .chain([&waits])
            .all(|message| queue.contains(message.recipient()))
            && !gone
                .flat_map(|(message, _)| &message.recipients)
                .any(|recipient| queue.contains(recipient))
    };
    until("a queue with nothing but what is deferred", || {
        waiting(&client.queue()).then_some(())
    });
    for host in ["mx1.second.test", "mx.mismatch.test"] {
        let reason = format!("451 4.7.5 dane-mismatch: no TLSA record of {host} matches");
        until(&format!("{reason:?} in its log"), || {
            client.log().contains(&reason).then_some(())
        });
    }
    // Once the queue holds what is deferred and nothing else, all that could come back has come back.
    assert_eq!(Stored::bounces().len(), 1, "bounces");
    for (message, copies) in &all {
        arrives_so_often(message, *copies);
    }
    let wire = capture.stop();
    let at_once = memchr::memmem::find_iter(&wire, b"RCPT TO:<second@dane.test>")
        .any(|at| wire[..at].ends_with(b"\r\n"));
    assert_eq!(at_once, habits.pipelines, "pipelining");
    let leaked = rules::counted(mta, "danelaw_guard", "leaked");
    assert_eq!(leaked, 0, "connections that went past the redirect");
}

/// Every copy is the message that was sent, and there are as many as it has good recipients.
fn arrives_so_often(message: &Message, copies: usize) {
    let stored = until(
        &format!("{copies} copies for {:?}", message.recipients),
        || {
            let stored = Stored::all(&message.token);
            (stored.len() >= copies).then_some(stored)
        },
    );
    assert_eq!(stored.len(), copies, "copies for {:?}", message.recipients);
    for copy in stored {
        copy.fields_above(message);
    }
}

const BIG: usize = 50 << 20;
