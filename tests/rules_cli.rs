//! The real binary: `danelaw rules` as far as it needs no rights: what is printed, and how a command line or a
//! configuration that cannot be is told.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "a test crate of its own: it does IO, and a panic is how a test fails"
)]

use std::process::Command;

fn rules(arguments: &[&str], configuration: &str) -> (i32, String, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("danelaw.toml");
    std::fs::write(&file, configuration).expect("the file can be written");
    let output = Command::new(env!("CARGO_BIN_EXE_danelaw"))
        .arg("rules")
        .args(arguments)
        .arg("--config")
        .arg(&file)
        .output()
        .expect("danelaw runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("it ends by itself");
    (code, text(&output.stdout), text(&output.stderr))
}

const OPEN: &str = "[[listener]]\nkind = \"redirect\"\naddress = \"[::]:10225\"\n";
const TPROXY: &str = "[[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10125\"\n";

#[test]
fn options_stand_in_for_what_the_configuration_does_not_say() {
    for (arguments, configuration, expected) in PRINTED {
        let (code, printed, said) = rules(arguments, configuration);
        assert_eq!((code, said.as_str()), (0, ""), "{arguments:?}");
        for words in *expected {
            assert!(
                printed.contains(words),
                "{arguments:?}: no {words:?} in {printed}"
            );
        }
        assert!(
            !printed.contains("192.0.2.0/24"),
            "{arguments:?}: of the other family"
        );
    }
}

/// With which options and which configuration, and what stands in the text.
const PRINTED: &[(&[&str], &str, &[&str])] = &[
    (
        &["print", "--user", "1025"],
        "",
        &[
            "meta skuid 1025 counter",
            "redirect to :10225",
            "elements = { 25 }",
        ],
    ),
    (
        &[
            "print",
            "--layout",
            "container",
            "--user",
            "1025",
            "--exempt",
            "10.0.0.0/8,2001:db8::1",
        ],
        OPEN,
        &[
            "ip daddr @exempt4",
            "elements = { 10.0.0.0/8 }",
            "elements = { 2001:db8::1/128 }",
        ],
    ),
    (
        &[
            "print",
            "--clients",
            "lan0,lan1",
            "--uplinks",
            "wan0",
            "--ports",
            "25",
        ],
        TPROXY,
        &[
            "tproxy to :10125",
            "elements = { \"lan0\", \"lan1\" }",
            "elements = { 25 }",
            "#   ip -6 rule add pref 25252 iif wan0 fwmark 0x25/0xff lookup 2525",
            "hook forward priority -6",
        ],
    ),
    (
        &[
            "print",
            "--layout",
            "gateway",
            "--clients",
            "lan0",
            "--format",
            "iptables",
        ],
        OPEN,
        &[
            "-i lan0 -p tcp -m multiport --dports 25",
            "-j REDIRECT --to-ports 10225",
            "enter filter FORWARD",
        ],
    ),
    (
        &[
            "print", "--user", "1025", "--format", "iptables", "--family", "6",
        ],
        "[intercept]\nexempt = [\"192.0.2.0/24\", \"2001:db8::/32\"]\n",
        &["*nat\n", "-d 2001:db8::/32 -j RETURN", "COMMIT\n"],
    ),
];

#[test]
fn what_cannot_be_is_one_clear_error() {
    for (arguments, configuration, expected_code, expected) in [
        (
            &["print"][..],
            OPEN,
            2,
            "expected intercept.layout or --layout",
        ),
        (
            &["apply", "--layout", "host"],
            TPROXY,
            2,
            "layout \"host\" takes a listener of kind \"redirect\", got \"tproxy\"",
        ),
        (
            &["apply", "--user", "no-such-user"],
            "",
            2,
            "there is no user \"no-such-user\" on this host: make it first",
        ),
        (
            &["print", "--user", "root"],
            "",
            2,
            "its connections would all go past danelaw",
        ),
        (
            &["print", "--format", "nft", "--family", "4", "--user", "1"],
            "",
            2,
            "expected --format iptables beside --family",
        ),
        (
            &["print", "--clients", "a b"],
            "",
            64,
            "expected the name of an interface",
        ),
        (
            &["print", "--exempt", "10.0.0.1/8"],
            "",
            64,
            "as 10.0.0.0/8",
        ),
        (&["print", "--ports", "0"], "", 64, "invalid value '0'"),
        (&["print"], "[intercept]\nmask = 0\n", 2, "danelaw.toml"),
    ] {
        let (code, printed, said) = rules(arguments, configuration);
        assert_eq!(code, expected_code, "{arguments:?}: {said}");
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert_eq!(printed, "", "{arguments:?}");
    }
}
