//! QUIT, RSET, EHLO and a second MAIL, said while something else is awaited: they wait, and then do what they must.

use super::super::super::End;
use super::script::run;

/// Something that is awaited.
struct Wait {
    /// How it comes to it.
    state: &'static str,
    /// How it ends.
    outcome: &'static str,
    /// Whether there is a connection to the MX then.
    mx: Mx,
    transaction: Transaction,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mx {
    Greeted,
    Usable,
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Transaction {
    None,
    /// The MX has not heard of it.
    Here,
    /// It has.
    There,
    /// It was lost or is spoilt, and the client must say that it knows.
    Spoilt,
}

const JUDGED: &str = "
    @tls
    @asked
";

const ASKED: &str = "
    @tls
    @asked
    @cleared
";

const WAITS: [Wait; 16] = [
    Wait {
        state: "! dial",
        outcome: "> connected\nS: 220 mx.example\nc: 220 mx.example",
        mx: Mx::Greeted,
        transaction: Transaction::None,
    },
    Wait {
        state: "@handshake",
        outcome: "> secured\ns: EHLO mta.example\nS: 250 mx.example\nc: 250-mx.example\nc: 250-PIPELINING
            c: 250-8BITMIME\nc: 250-SMTPUTF8\nc: 250-ENHANCEDSTATUSCODES\nc: 250 LIMITS …",
        mx: Mx::Usable,
        transaction: Transaction::None,
    },
    Wait {
        state: JUDGED,
        outcome: "> refuse\ns: QUIT\n! close-server\nc: 451 4.7.4 …",
        mx: Mx::Gone,
        transaction: Transaction::Here,
    },
    Wait {
        state: "@tls\n@mail\nC: RCPT TO:<u@good.example>\n! judge good.example protected first\n> redial a.example
            s: QUIT\n! close-server\n! dial",
        outcome: "> failed refused\n! gave-up good.example unreachable(refused)\nc: 451 4.4.1 …",
        mx: Mx::Gone,
        transaction: Transaction::Here,
    },
    Wait {
        state: ASKED,
        outcome: "S: 250 ok\nS: 250 ok\nc: 250 2.0.0 ok",
        mx: Mx::Usable,
        transaction: Transaction::There,
    },
    Wait {
        state: ASKED,
        outcome: "S: 550 no\nS: 503 no\nc: 550 5.0.0 no",
        mx: Mx::Usable,
        transaction: Transaction::Here,
    },
    Wait {
        state: ASKED,
        outcome: "S: 250 ok\nS: 550 no\nc: 550 5.0.0 no",
        mx: Mx::Usable,
        transaction: Transaction::There,
    },
    Wait {
        state: ASKED,
        outcome: "S$\n! close-server\nc: 451 4.4.2 …",
        mx: Mx::Gone,
        transaction: Transaction::Here,
    },
    Wait {
        state: "@rcpt\nC: RCPT TO:<v@good.example>\n! judge good.example protected first\n> pin
            s: RCPT TO:<v@good.example>",
        outcome: "S$\n! close-server\nc: 451 4.4.2 …",
        mx: Mx::Gone,
        transaction: Transaction::Spoilt,
    },
    Wait {
        state: "@rcpt\nC: RSET\ns: RSET",
        outcome: "S: 250 ok\nc: 250 2.0.0 ok",
        mx: Mx::Usable,
        transaction: Transaction::None,
    },
    Wait {
        state: "@data\nC: .\ns: .",
        outcome: "S: 250 queued\nc: 250 2.0.0 queued",
        mx: Mx::Usable,
        transaction: Transaction::None,
    },
    Wait {
        state: "@data\nC: .\ns: .",
        outcome: "S: 554 spam\nc: 554 5.0.0 spam",
        mx: Mx::Usable,
        transaction: Transaction::None,
    },
    Wait {
        state: "@chunks\nC~ BDAT 1\\r\\nx\ns: BDAT 1\ns~ x",
        outcome: "S: 250 ok\nc: 250 2.0.0 ok",
        mx: Mx::Usable,
        transaction: Transaction::There,
    },
    Wait {
        state: "@chunks\nC~ BDAT 1\\r\\nx\ns: BDAT 1\ns~ x",
        outcome: "S: 552 full\nc: 552 5.0.0 full\ns: RSET\nS: 250 ok",
        mx: Mx::Usable,
        transaction: Transaction::Spoilt,
    },
    Wait {
        state: "@chunks\nC: BDAT 0 LAST\ns: BDAT 0 LAST",
        outcome: "S: 250 queued\nc: 250 2.0.0 queued",
        mx: Mx::Usable,
        transaction: Transaction::None,
    },
    Wait {
        state: "@chunks\nC: BDAT 0 LAST\ns: BDAT 0 LAST",
        outcome: "S: 554 spam\nc: 554 5.0.0 spam\ns: RSET\nS: 250 ok",
        mx: Mx::Usable,
        transaction: Transaction::None,
    },
];

fn interrupted(wait: &Wait, command: &str, rest: &str) -> super::super::Session {
    run(&format!(
        "{}\nC: {command}\n{}\n{rest}",
        wait.state, wait.outcome
    ))
}

#[test]
fn smtp_6_quit_at_every_state_is_answered_in_its_turn_and_said_to_an_mx_that_is_there() {
    for wait in &WAITS {
        let goodbye = match wait.mx {
            Mx::Greeted | Mx::Usable => "s: QUIT\n! close-server\n",
            Mx::Gone => "",
        };
        let rest = format!("c: 221 2.0.0 goodbye\n{goodbye}! close-client");
        let session = interrupted(wait, "QUIT", &rest);
        assert_eq!(session.end(), Some(End::Quit));
    }
}

#[test]
fn smtp_8_dn_22_rset_at_every_state_is_answered_in_its_turn_and_said_to_an_mx_that_must_forget() {
    for wait in &WAITS {
        let forget = match wait.transaction {
            Transaction::There => "s: RSET\nS: 250 ok\n",
            Transaction::None | Transaction::Here | Transaction::Spoilt => "",
        };
        interrupted(wait, "RSET", &format!("{forget}c: 250 2.0.0 ok"));
    }
}

#[test]
fn smtp_7_dn_20_ehlo_at_every_state_resets_what_there_is_and_asks_the_mx_anew() {
    for wait in &WAITS {
        let rest = match wait.mx {
            Mx::Greeted | Mx::Usable => "s: EHLO again.example",
            Mx::Gone => "! dial\n> connected\nS: 220 mx.example\ns: EHLO again.example",
        };
        let session = interrupted(wait, "EHLO again.example", rest);
        assert!(session.transaction.is_none());
    }
}

#[test]
fn smtp_9_mail_at_every_state_opens_a_transaction_or_is_out_of_order_and_changes_nothing() {
    for wait in &WAITS {
        let reply = match (wait.mx, wait.transaction) {
            (Mx::Greeted, _)
            | (_, Transaction::Here | Transaction::There | Transaction::Spoilt) => "503 5.5.1 …",
            (Mx::Usable | Mx::Gone, Transaction::None) => "250 2.1.0 …",
        };
        let session = interrupted(wait, "MAIL FROM:<c@d.example>", &format!("c: {reply}"));
        let has_transaction = session.transaction.is_some();
        assert_eq!(has_transaction, wait.mx != Mx::Greeted);
    }
}

#[test]
fn dn_20_a_client_that_knows_only_helo_delivers_and_may_say_it_again() {
    let session = run("
        @greeted
        C: HELO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 STARTTLS
        s: STARTTLS
        S: 220 go
        ! starttls mx.example
        > secured
        s: EHLO mta.example
        S: 250-mx.example hello
        S: 250-PIPELINING
        S: 250 CHUNKING
        c: 250 mx.example hello
        @asked
        @cleared
        S: 250 ok
        S: 250-fine
        S: 250 ok
        c: 250-fine
        c: 250 ok
        C: DATA
        s: DATA
        S: 354 go
        c: 354 go
        C: .
        s: .
        S: 250 queued
        c: 250 queued
        C: HELO mta.example
        s: EHLO mta.example
        S: 500 what
        s: HELO mta.example
        S: 250 mx.example again
        c: 250 mx.example again
        C: BDAT 3 LAST
        c: 503 5.5.1 …
        s: QUIT
        ! close-server
        ! close-client
    ");
    assert_eq!(session.tally().messages, 1);
}
