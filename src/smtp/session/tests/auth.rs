//! Logins: when they are offered, what passes, and what one is worth.

use super::super::super::{Auth, ClientTls, End, Settings};
use super::super::Session;
use super::script::run_with;
use super::settings;

/// Towards a host that the configuration names, up to its EHLO in TLS.
const NAMED: &str = "
    @handshake
    > secured
    s: EHLO mta.example
    S: 250-mx.example
    S: 250-PIPELINING
    S: 250 AUTH GSSAPI PLAIN LOGIN
    ! judge postmaster protected first
";

/// The host is proven, and the client knows that it may log in.
const OFFERED: &str = "
    > pin dane
    c: 250-mx.example
    c: 250-PIPELINING
    c: 250-8BITMIME
    c: 250-SMTPUTF8
    c: 250-ENHANCEDSTATUSCODES
    c: 250-AUTH PLAIN LOGIN
    c: 250 LIMITS RCPTMAX=1000 RCPTDOMAINMAX=1
";

/// It may not.
const UNOFFERED: &str = "
    @least
";

const LOGGED_IN: &str = "
    C: AUTH PLAIN AGEAYg==
    s: AUTH PLAIN AGEAYg==
    S: 235 2.7.0 welcome
    c: 235 2.7.0 welcome
";

fn run(script: &[&str]) -> Session {
    let settings = Settings {
        auth: Auth::OnceProven,
        ..settings()
    };
    run_with(settings, &script.concat())
}

#[test]
fn role_6_a_login_is_offered_once_the_host_is_proven_and_not_before() {
    run(&[NAMED, OFFERED]);
    for (what, verdict) in [
        ("TLS that proves nothing", "> pin\n"),
        ("a refusal", "> refuse\n"),
        (
            "no verdict in time",
            "> time verdict\n! gave-up postmaster undecided\n",
        ),
    ] {
        let session = run(&[
            NAMED,
            verdict,
            UNOFFERED,
            "C: AUTH PLAIN AGEAYg==\nc: 502 5.5.1 …\n",
            "C: MAIL FROM:<a@b.example> AUTH=<>\nc: 555 5.5.4 …\n",
        ]);
        assert_eq!(session.end(), None, "{what}");
    }
}

#[test]
fn tls_9_role_6_after_a_login_the_client_gets_no_new_beginning() {
    let settings = Settings {
        auth: Auth::OnceProven,
        client_tls: ClientTls::Offered,
        ..settings()
    };
    let offered = OFFERED.replace("c: 250-AUTH", "c: 250-STARTTLS\n    c: 250-AUTH");
    let script = [NAMED, &offered, LOGGED_IN, "C: STARTTLS\nc: 503 5.5.1 …\n"].concat();
    run_with(settings, &script);
}

#[test]
fn role_6_elsewhere_nobody_is_asked_and_nothing_offered() {
    let hello = "
        @handshake
        > secured
        s: EHLO mta.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250 AUTH PLAIN
    ";
    run_with(settings(), &[hello, UNOFFERED].concat());
    // In clear the MX may say what it likes.
    let clear = "
        @greeted
        C: EHLO mta.example
        s: EHLO mta.example
        S: 250-mx.example
        S: 250 AUTH PLAIN
    ";
    run(&[clear, UNOFFERED]);
}

#[test]
fn dane_32_a_host_that_must_be_asked_for_by_another_name_is_dialled_again_before_the_hello_is_answered()
 {
    let again = "
        > redial base.example
        s: QUIT
        ! close-server
        ! dial
        @again
        ! starttls base.example
        > secured
        s: EHLO mta.example
        S: 250-mx.example
        S: 250-PIPELINING
        S: 250 AUTH GSSAPI PLAIN LOGIN
        ! judge postmaster protected again
    ";
    run(&[NAMED, again, OFFERED, LOGGED_IN]);
}

#[test]
fn a_login_goes_back_and_forth_line_by_line_and_its_failure_is_the_host_s_own_word() {
    run(&[
        NAMED,
        OFFERED,
        "
        C: AUTH LOGIN
        s: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        c: 334 VXNlcm5hbWU6
        C: YQ==
        s: YQ==
        S: 334 UGFzc3dvcmQ6
        c: 334 UGFzc3dvcmQ6
        C: Yg==
        s: Yg==
        S: 535 5.7.8 no
        c: 535 5.7.8 no
        ",
        LOGGED_IN,
        "
        C: AUTH PLAIN AGEAYg==
        c: 503 5.5.1 …
        C: MAIL FROM:<a@b.example> AUTH=<>
        c: 250 2.1.0 …
        C: RCPT TO:<u@good.example>
        ! judge good.example protected first
        > pin dane
        s: MAIL FROM:<a@b.example> AUTH=<>
        s: RCPT TO:<u@good.example>
        ",
    ]);
}

#[test]
fn dn_06_dn_19_what_is_no_login_never_reaches_the_mx() {
    for (command, reply) in [
        ("AUTH", "501 5.5.4"),
        ("AUTH PLAIN no base64", "501 5.5.4"),
        ("AUTH GSSAPI", "504 5.5.4"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
    ] {
        run(&[NAMED, OFFERED, &format!("C: {command}\nc: {reply} …\n")]);
    }
    let session = run(&[
        NAMED,
        OFFERED,
        "
        C: AUTH LOGIN
        s: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        c: 334 VXNlcm5hbWU6
        C: MAIL FROM:<a@b.example>
        c: 421 4.7.0 limit: …
        ! close-server
        ! close-client
        ",
    ]);
    assert_eq!(session.end(), Some(End::Refused));
}

#[test]
fn a_login_is_worth_nothing_on_another_connection() {
    let lost = "c: 421 4.4.2 server-lost: …\n! close-client\n";
    for (what, script) in [
        (
            "lost while idle",
            "S$\n! close-server\n@mail\nC: RCPT TO:<u@good.example>\n",
        ),
        (
            "lost before a hello",
            "S$\n! close-server\nC: EHLO mta.example\n",
        ),
    ] {
        let session = run(&[NAMED, OFFERED, LOGGED_IN, script, lost]);
        assert_eq!(session.end(), Some(End::ServerLost), "{what}");
    }
    run(&[
        NAMED,
        OFFERED,
        LOGGED_IN,
        "
        @asked
        > redial other.example
        c: 421 4.4.2 server-lost: …
        ! close-server
        ! close-client
        ",
    ]);
    // The permission goes with the connection too.
    run(&[
        NAMED,
        OFFERED,
        "
        S$
        ! close-server
        C: AUTH PLAIN AGEAYg==
        c: 421 4.4.2 server-lost: …
        ! close-client
        ",
    ]);
}

#[test]
fn an_mx_that_nobody_uses_is_left_but_not_with_a_login() {
    let left = "> time client\ns: QUIT\n! close-server\n";
    run(&[
        NAMED,
        OFFERED,
        left,
        "C: AUTH PLAIN AGEAYg==\nc: 421 4.4.2 server-lost: …\n! close-client\n",
    ]);
    let session = run(&[
        NAMED,
        OFFERED,
        LOGGED_IN,
        "> time client\nc: 421 4.4.2 timeout: …\ns: QUIT\n! close-server\n! close-client\n",
    ]);
    assert_eq!(session.end(), Some(End::Timeout));
}

#[test]
fn attack_tls_10_dn_10_whoever_goes_away_in_a_login_ends_it() {
    let challenged = "
        C: AUTH LOGIN
        s: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        c: 334 VXNlcm5hbWU6
    ";
    for (what, script, end) in [
        (
            "the client",
            "C$\n! close-server\n! close-client",
            End::ClientLost,
        ),
        (
            "the client's patience",
            "> time client\nc: 421 4.4.2 timeout: …\n! close-server\n! close-client",
            End::Timeout,
        ),
        (
            "the MX",
            "S$\n! close-server\nc: 421 4.4.2 …\n! close-client",
            End::ServerLost,
        ),
        (
            "an MX that speaks out of turn",
            "S: 235 2.7.0 welcome\n! close-server\nc: 421 4.4.2 …\n! close-client",
            End::ServerLost,
        ),
        (
            "an MX that says what is no answer",
            "C: YQ==\ns: YQ==\nS: 250 2.0.0 ok\nc: 421 4.4.2 …\n! close-server\n! close-client",
            End::ServerLost,
        ),
        (
            "the proxy",
            "> shutdown\nc: 421 4.3.2 …\n! close-server\n! close-client",
            End::Shutdown,
        ),
    ] {
        let session = run(&[NAMED, OFFERED, challenged, script]);
        assert_eq!(session.end(), Some(end), "{what}");
    }
}

#[test]
fn smtp_19_the_lines_of_an_exchange_may_be_of_12288_octets_and_only_they() {
    let base64 = |octets: usize| "QUJD".repeat(octets / 4);
    // AUTH PLAIN, a space before it and CRLF behind it: the longest multiple of four that fits, and the next.
    let (longest, beyond) = (base64(12_272), base64(12_276));
    run(&[
        NAMED,
        OFFERED,
        &format!(
            "C: auth PLAIN {longest}\ns: auth PLAIN {longest}\nS: 334 {longest}\nc: 334 {longest}\n"
        ),
        &format!("C: {longest}\ns: {longest}\nS: 235 2.7.0 welcome\nc: 235 2.7.0 welcome"),
    ]);
    run(&[
        NAMED,
        OFFERED,
        &format!("C: AUTH PLAIN {beyond}\nc: 500 5.5.2 command line too long\n"),
        &format!("C: NOOP {longest}\nc: 500 5.5.2 command line too long\n"),
    ]);
    let unoffered = format!("C: AUTH PLAIN {longest}\nc: 500 5.5.2 command line too long\n");
    run(&[NAMED, "> refuse\n", UNOFFERED, &unoffered]);
}

#[test]
fn dn_24_a_challenge_that_is_none_is_cut_and_cleaned_like_any_reply() {
    let session = run(&[
        NAMED,
        OFFERED,
        "
        C: AUTH LOGIN
        s: AUTH LOGIN
        S: 334 what\u{1b}[31m?
        c: 334 what?[31m?
        C: YQ==
        s: YQ==
        S: 334-one
        S: 334 two
        c: 334-one
        c: 334 two
        ",
    ]);
    assert_eq!(session.end(), None);
}

#[test]
fn eai_3_tls_01_an_mx_that_is_lost_while_it_is_judged_hides_no_extension() {
    for verdict in ["> pin dane\n", "> refuse\n"] {
        run(&[
            NAMED,
            "S$\n! close-server\n",
            verdict,
            UNOFFERED,
            "C: MAIL FROM:<a@b.example> SMTPUTF8\nc: 250 2.1.0 …\nC: RCPT TO:<u@good.example>\n! dial\n",
        ]);
    }
}
