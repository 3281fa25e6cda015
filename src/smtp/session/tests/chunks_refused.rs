//! BDAT that fails: what the MX refuses, what is no chunk of a message, who is lost in the middle, and what is left over.

use super::super::super::{End, Limits};
use super::script::{run, run_with, unescape};
use super::{SMUGGLING, settings};

#[test]
fn bdat_2_bdat_3_after_a_refused_chunk_the_mx_is_reset_and_the_rest_of_the_message_hears_the_same()
{
    run("
        @chunks
        C~ BDAT 3\\r\\na\\r\\nBDAT 6\\r\\nRSET\\r\\nBDAT 0 LAST\\r\\n
        s: BDAT 3
        s: a
        S: 452 4.3.1 disk full
        c: 452 4.3.1 disk full
        s: RSET
        S: 250 ok
        c: 452 4.3.1 disk full
        c: 452 4.3.1 disk full
        @mail
    ");
    run("
        @chunks
        C~ BDAT 3\\r\\na\\r\\n
        s: BDAT 3
        s: a
        S: 552 too big
        c: 552 5.0.0 too big
        s: RSET
        S: 250 ok
        C: MAIL FROM:<a@b.example>
        c: 503 5.5.1 …
        C: RCPT TO:<v@good.example>
        c: 503 5.5.1 …
        C: DATA
        c: 503 5.5.1 …
        C: NOOP
        c: 250 2.0.0 ok
        C~ BDAT 2\\r\\nx\\n
        c: 552 5.0.0 too big
        C: RSET
        c: 250 2.0.0 ok
        @asked
        @cleared
    ");
}

#[test]
fn bdat_3_a_message_that_the_mx_refuses_at_last_leaves_it_reset() {
    let refused = "
        @chunks
        C~ BDAT 3 LAST\\r\\na\\r\\n
        s: BDAT 3 LAST
        s: a
        S: 554 spam
        c: 554 5.0.0 spam
        s: RSET
    ";
    for (ending, next) in [
        ("S: 250 ok", "! judge good.example protected first"),
        ("S: 500 what\ns: QUIT\n! close-server", "! dial"),
        ("S$\n! close-server", "! dial"),
        ("> time server\n! close-server", "! dial"),
    ] {
        let session = run(&format!(
            "{refused}\n{ending}\n@mail\nC: RCPT TO:<u@good.example>\n{next}"
        ));
        assert_eq!(session.tally().messages, 0);
    }
}

#[test]
fn dn_13_what_may_announce_octets_that_are_not_counted_ends_the_session() {
    let rows = [
        ("@chunking", "BDAT", "501 5.5.4"),
        ("@chunking", "BDAT x", "501 5.5.4"),
        ("@chunking", "BDAT -1", "501 5.5.4"),
        ("@chunking", "BDAT 18446744073709551616", "501 5.5.4"),
        ("@chunks", "BDAT 28 LAST now", "501 5.5.4"),
        ("@chunks", "BDAT\\t28", "500 5.5.2"),
        ("@chunks", "bdat 28\\nLAST", "500 5.5.2"),
        ("@tls", "BDAT 28 LAST", "503 5.5.1"),
        ("@clear", "BDAT 28 LAST", "503 5.5.1"),
        ("@greeted", "BDAT 28 LAST", "503 5.5.1"),
    ];
    for (before, command, reply) in rows {
        let session = run(&format!(
            "
            {before}
            C~ {}\\r\\nMAIL FROM:<evil@b.example>\\r\\n
            c: {reply} …
            s: QUIT
            ! close-server
            ! close-client
        ",
            command.replace("\\t", "\\x09")
        ));
        assert_eq!(session.end(), Some(End::Refused), "{command}");
    }
    let long = "0".repeat(3000);
    let session = run(&format!(
        "@chunks\nC: BDAT {long}5\nc: 500 5.5.2 …\ns: QUIT\n! close-server\n! close-client"
    ));
    assert_eq!(session.end(), Some(End::Refused));
}

#[test]
fn dn_04_bare_line_ends_in_a_chunk_are_refused_and_the_mx_never_gets_the_whole_of_it() {
    for form in SMUGGLING {
        let message = format!("text{form}x\\r\\n");
        let length = unescape(&message).len();
        run(&format!(
            "
            @chunks
            C~ BDAT {length} LAST\\r\\n{message}NOOP\\r\\n
            s: BDAT {length} LAST
            ! close-server
            c: 550 5.6.0 bare-newline: …
            c: 250 2.0.0 ok
            @mail
        "
        ));
    }
}

#[test]
fn dn_04_the_lines_of_a_message_go_on_from_chunk_to_chunk() {
    run("
        @chunks
        C~ BDAT 2\\r\\na\\r
        s: BDAT 2
        s~ a\\r
        S: 250 ok
        c: 250 2.0.0 ok
        C~ BDAT 1 LAST\\r\\n\\n
        s: BDAT 1 LAST
        s~ \\n
        S: 250 ok
        c: 250 2.0.0 ok
    ");
    for (octets, length) in [("\\n", 1), ("b", 1), ("\\r\\n", 2), ("", 0)] {
        let first = if octets == "\\n" { "a" } else { "\\r" };
        run(&format!(
            "
            @chunks
            C~ BDAT 1\\r\\n{first}
            s: BDAT 1
            s~ {first}
            S: 250 ok
            c: 250 2.0.0 ok
            C~ BDAT {length} LAST\\r\\n{octets}
            s: BDAT {length} LAST
            ! close-server
            c: 550 5.6.0 …
        "
        ));
    }
    // Not the last: what is left of the message is refused with it.
    run("
        @chunks
        C~ BDAT 3\\r\\na\\nbBDAT 0 LAST\\r\\nRSET\\r\\n
        s: BDAT 3
        ! close-server
        c: 550 5.6.0 …
        c: 550 5.6.0 …
        c: 250 2.0.0 ok
    ");
}

#[test]
fn net_09_an_mx_lost_in_mid_chunk_or_unreadable_is_a_451_at_its_end() {
    for ending in ["S$", "S: garbage", "S: 250 already", "S: 354 go on"] {
        let session = run(&format!(
            "
            @chunks
            C~ BDAT 6\\r\\nRS
            s: BDAT 6
            s~ RS
            {ending}
            ! close-server
            C~ ET\\r\\nBDAT 0 LAST\\r\\n
            c: 451 4.4.2 server-lost: …
            c: 451 4.4.2 server-lost: …
            C: RSET
            c: 250 2.0.0 ok
        "
        ));
        assert_eq!(session.tally().messages, 0);
    }
    for ending in ["S$", "S: 354 what", "> time server"] {
        run(&format!(
            "
            @chunks
            C~ BDAT 1\\r\\nx
            s: BDAT 1
            s~ x
            {ending}
            ! close-server
            c: 451 4.4.2 server-lost: …
            C~ BDAT 1 LAST\\r\\nx
            c: 451 4.4.2 server-lost: …
        "
        ));
    }
}

#[test]
fn net_09_an_mx_that_refuses_in_mid_chunk_is_believed_at_its_end() {
    run("
        @chunks
        C~ BDAT 6 LAST\\r\\nRS
        s: BDAT 6 LAST
        s~ RS
        S: 552 5.3.4 too big
        ! close-server
        C~ ET\\r\\n
        c: 552 5.3.4 too big
        @mail
    ");
}

#[test]
fn smtp_t3_no_reply_to_the_last_chunk_is_no_result() {
    let lost = "! close-server\nc: 421 4.4.2 …\n! close-client";
    for (ending, outcome) in [
        ("> time server", lost),
        ("S$", lost),
        ("S~ 250 ok\\n250 x\\r\\n", lost),
        (
            "S: 350 what",
            "c: 421 4.4.2 …\n! close-server\n! close-client",
        ),
    ] {
        let session = run(&format!(
            "
            @chunks
            C: BDAT 0 LAST
            s: BDAT 0 LAST
            {ending}
            {outcome}
        "
        ));
        assert!(session.end().is_some(), "{ending}");
        assert_eq!(session.tally().messages, 0);
    }
}

#[test]
fn a_client_lost_in_mid_chunk_leaves_no_message() {
    for octets in ["", "\nC~ RS\ns~ RS"] {
        let session = run(&format!(
            "@chunks\nC: BDAT 6 LAST\ns: BDAT 6 LAST{octets}\nC$\n! close-server\n! close-client"
        ));
        assert_eq!(session.end(), Some(End::ClientLost));
        assert_eq!(session.tally().messages, 0);
    }
}

#[test]
fn dn_15_chunks_that_bring_nothing_forward_are_counted() {
    let mut settings = settings();
    settings.limits = Limits {
        idle_commands: 2,
        ..Limits::default()
    };
    run_with(
        settings.clone(),
        "
        @chunking
        C~ BDAT 1\\r\\nxBDAT 1\\r\\nxBDAT 1\\r\\nx
        c: 503 5.5.1 …
        c: 503 5.5.1 …
        c: 421 4.7.0 limit: …
        s: QUIT
        ! close-server
        ! close-client
    ",
    );
    let empty = "C: BDAT 0\ns: BDAT 0\nS: 250 ok\nc: 250 2.0.0 ok\n".repeat(2);
    run_with(
        settings,
        &format!(
            "@chunks\n{empty}C: BDAT 0\nc: 421 4.7.0 limit: …\ns: QUIT\n! close-server\n! close-client"
        ),
    );
}

#[test]
fn bdat_2_a_message_that_was_pipelined_whole_is_swallowed_whole() {
    let chunks = 4 * Limits::default().idle_commands;
    let message = format!("BDAT 512\\r\\n{}", "x".repeat(512)).repeat(chunks);
    let refusals = "c: 503 5.5.1 …\n".repeat(chunks);
    run(&format!(
        "@chunking\n@mail\nC~ {message}\n{refusals}C: NOOP\nc: 250 2.0.0 ok"
    ));
    let refusals = "c: 552 5.0.0 too big\n".repeat(chunks);
    run(&format!(
        "
        @chunks
        C~ BDAT 1\\r\\nx{message}
        s: BDAT 1
        s~ x
        S: 552 too big
        c: 552 5.0.0 too big
        s: RSET
        S: 250 ok
        {refusals}
        C: RSET
        c: 250 2.0.0 ok
    "
    ));
}
