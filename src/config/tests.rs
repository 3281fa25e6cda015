//! Files, what is taken from them, and the reference held against the code.

mod wrong;

use std::path::Path;

use super::{Config, Loaded, Origin, defaults};
use crate::intercept::Via;
use crate::policy::Mode;
use crate::policy::exceptions::Terms;
use crate::x509::sample::T0;

const EXAMPLE: &str = include_str!("../../docs/example.toml");
const REFERENCE: &str = include_str!("../../docs/configuration.md");

fn parse(text: &str) -> Result<Loaded, String> {
    Config::parse(text, Path::new("/etc/d.toml")).map_err(|problems| problems.to_string())
}

const NETWORK: &str = "destination = \"10.0.0.0/8\"\n";

const EXCEPTION: &str = "[[exception]]\ndomain = \"example.org\"\nwhat = \"none\"\nauthor = \"a\"\nreason = \"r\"\ncreated = 2026-01-01\nexpires = 2026-01-31\n";

/// The keys with their tables, as the reference names them.
fn keys(loaded: &Loaded) -> Vec<(String, String)> {
    let default = |setting: &super::Setting| match &setting.value {
        Some(value) => value.to_string(),
        None => "not set".to_owned(),
    };
    loaded
        .settings
        .iter()
        .map(|setting| {
            let table = setting.table.trim_matches(['[', ']']);
            let dot = if table.is_empty() { "" } else { "." };
            (format!("{table}{dot}{}", setting.key), default(setting))
        })
        .collect()
}

#[test]
fn an_empty_file_is_the_default_configuration() {
    let loaded = parse("").unwrap();
    assert_eq!(loaded.config, Config::default());
    let origins = loaded.settings.iter().map(|setting| setting.origin);
    assert!(origins.into_iter().all(|origin| origin == Origin::Default));
}

#[test]
fn values_and_their_lines_are_taken_over() {
    let loaded = parse(
        "[[listener]]\nkind = \"socks5\"\naddress = \"[::]:1080\"\nallow_remote = true\n\
         [upstream]\nmark = 0x25\n[dns]\nresolvers = [\"192.0.2.53\", \"[::1]:5353\"]\n\
         [tls]\nca_file = \"ca.pem\"\n[store]\npath = \"/var/d.db\"\n",
    )
    .unwrap();
    let config = &loaded.config;
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].kind, Via::Socks5);
    assert_eq!(config.upstream.mark, Some(0x25));
    let resolvers: Vec<_> = config
        .dns
        .resolvers
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(resolvers, ["192.0.2.53:53", "[::1]:5353"]);
    assert_eq!(config.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
    assert_eq!(
        config.store.place,
        super::StorePlace::File("/var/d.db".into())
    );
    let mark = loaded
        .settings
        .iter()
        .find(|one| one.table == "[upstream]" && one.key == "mark")
        .unwrap();
    assert_eq!(mark.origin, Origin::Line(6));
}

#[test]
fn what_is_shown_reads_back_as_the_same_configuration() {
    for text in [
        "",
        EXAMPLE,
        "[upstream]\nmark = 37\n[tls]\nca_file = \"a\\\"b.pem\"\n",
        "[[route]]\ndestination = \"192.0.2.1\"\nport = 587\nhost = \"relay.example\"\n[[bypass]]\ndestination = \"fd00::/8\"\n",
        "[[listener]]\nkind = \"tproxy\"\nfd = \"smtp\"\n[[listener]]\nkind = \"proxy-protocol\"\naddress = \"[::]:10325\"\ntrusted = [\"192.0.2.7\", \"2001:db8::/64\"]\n",
        "[dns]\nprobe_good = \"\"\nprobe_bogus = []\n[admin]\naddress = \"[::1]:9225\"\n",
    ] {
        let loaded = parse(text).unwrap();
        let shown = loaded.to_toml();
        assert_eq!(parse(&shown).unwrap().config, loaded.config, "{shown}");
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let missing = "[dns]\ntrust_anchor = \"/nowhere/root.key\"\n[tls]\nca_file = \"/nowhere/ca.pem\"\n[client_tls]\nca_cert = \"/nowhere/c.pem\"\nca_key = \"/nowhere/k.pem\"\n[store]\npath = \"/nowhere/d.db\"\n[mta_sts.hints]\nfile = \"/nowhere/h.txt\"\nkey = \"/nowhere/h.pem\"\n";
    let problems = parse(missing)
        .unwrap()
        .unusable_files(Path::new("d.toml"), T0);
    let places: Vec<_> = problems
        .iter()
        .map(|problem| (problem.line, problem.key.as_str()))
        .collect();
    assert_eq!(
        places,
        [
            (2, "dns.trust_anchor"),
            (4, "tls.ca_file"),
            (6, "client_tls.ca_cert"),
            (12, "mta_sts.hints.key"),
            (9, "store.path")
        ]
    );
}

#[test]
fn an_exception_that_breaks_a_rule_is_told_with_line_and_key_and_none_is_taken() {
    for (what, from, to, expected) in [
        (
            "no such word",
            "\"none\"",
            "\"nothing\"",
            "3 exception[0].what: expected \"none\", \"encrypt\", \"webpki\", \"mta-sts\", \"dane\", \"nta\", or \"pin sha256/…\" with 32 octets in base64, got \"nothing\"",
        ),
        (
            "too long",
            "2026-01-31",
            "2026-04-01",
            "7 exception[0].expires: expected at most 90 days after it was granted (exceptions.max_days), and a renewal then, got 2026-04-01",
        ),
        (
            "no reason",
            "\"r\"",
            "\"\"",
            "5 exception[0].reason: expected 1 to 500 characters on one line, got \"\"",
        ),
        (
            "no end",
            "expires = 2026-01-31",
            "",
            "2 exception[0].expires: expected a day or a time in UTC, as \"2026-01-31\" or \"2026-01-31T12:00:00Z\", got nothing",
        ),
        (
            "a top-level domain loosened",
            "example.org",
            "*.org",
            "2 exception[0].domain: expected an asterisk below a name of at least two labels: a top-level domain is too much to loosen, got \"*.org\"",
        ),
        (
            "no domain",
            "example.org",
            "example..org",
            "2 exception[0].domain: expected a domain, as \"example.org\", or all below one, as \"*.example.org\", got \"example..org\"",
        ),
    ] {
        let text = EXCEPTION.replacen(from, to, 1);
        let told = parse(&text).err();
        assert_eq!(told, Some(format!("/etc/d.toml:{expected}")), "{what}");
        let file = Path::new("e.toml");
        let good = EXCEPTION.replace("example.org", "example.net");
        let both = format!("{good}{text}");
        let refused = super::exceptions(&both, file, Terms::default(), T0).unwrap_err();
        assert_eq!(refused.0.len(), 1, "{what}");
        assert!(refused.0[0].key.starts_with("exception[1]."), "{what}");
    }
    let twice = parse(&EXCEPTION.repeat(2)).unwrap_err();
    assert!(
        twice.contains("9 exception[1].domain: expected a domain that no other"),
        "{twice}"
    );
    let beside = format!("{EXCEPTION}{}", EXCEPTION.replace("none", "nta"));
    assert_eq!(parse(&beside).unwrap().config.exceptions.declared.len(), 2);
}

#[test]
fn an_exception_from_the_future_is_none() {
    let file = Path::new("d.toml");
    let text = EXCEPTION.replace("2026-01", "2099-01");
    for problems in [
        parse(&text).unwrap().unusable_files(file, T0),
        super::exceptions(&text, file, Terms::default(), T0)
            .unwrap_err()
            .0,
    ] {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "d.toml:6 exception[0].created: expected a day or time that has come, got \"2099-01-01T00:00:00Z\""
            ]
        );
    }
}

#[test]
fn modes_are_read_and_a_domain_in_both_lists_or_a_share_of_nothing_is_refused() {
    let text = "[policy]\nmode = \"report-only\"\nshare = 10\nenforce = [\"a.example\"]\nreport_only = [\"*.b.example\"]";
    let modes = parse(text).unwrap().config.modes;
    let mode = |name: &str| modes.of(Some(&name.parse().unwrap()));
    assert_eq!((modes.mode, modes.share.get()), (Mode::ReportOnly, 10));
    assert_eq!(
        (mode("a.example"), mode("x.b.example")),
        (Mode::Enforce, Mode::ReportOnly)
    );
    for (text, expected) in [
        (
            "[policy]\nshare = 10",
            "2 policy.share: expected nothing, or mode = \"report-only\", of which it is a share, got 10",
        ),
        (
            "[policy]\nmode = \"report-only\"\nshare = 0",
            "3 policy.share: expected a percentage from 1 to 100, got 0",
        ),
        (
            "[policy]\nenforce = [\"A.example\"]\nreport_only = [\"a.example\"]",
            "3 policy.report_only: expected a.example once, in one of the two lists, got [\"a.example\"]",
        ),
        (
            "[policy]\nenforce = [\"*\"]",
            "2 policy.enforce: expected a list of domains, as [\"example.org\", \"*.example.net\"], got [\"*\"]",
        ),
        (
            "[policy]\nmode = \"audit\"",
            "2 policy.mode: expected \"enforce\" or \"report-only\", got \"audit\"",
        ),
    ] {
        assert_eq!(parse(text).err(), Some(format!("/etc/d.toml:{expected}")));
    }
}

#[test]
fn the_example_holds_every_key_and_the_defaults() {
    let example = parse(EXAMPLE).unwrap();
    for (key, _) in keys(&example) {
        let name = key.rsplit('.').next().unwrap();
        assert!(EXAMPLE.contains(&format!("{name} = ")), "{key}");
    }
    let expected = Config {
        listeners: example.config.listeners.clone(),
        store: example.config.store.clone(),
        control: example.config.control.clone(),
        rules: example.config.rules.clone(),
        exceptions: example.config.exceptions.clone(),
        ..Config::default()
    };
    assert_eq!(example.config, expected);
    assert_eq!(example.config.listeners[0], defaults::listeners()[0]);
}

#[test]
fn every_configuration_in_the_manual_is_one() {
    let manual = [
        include_str!("../../docs/client-tls.md"),
        include_str!("../../docs/interception.md"),
        include_str!("../../docs/mta-sts.md"),
        include_str!("../../docs/quick-start-gateway.md"),
        include_str!("../../docs/quick-start-lab.md"),
        include_str!("../../docs/quick-start-mta.md"),
        include_str!("../../docs/roll-out.md"),
    ];
    let mut count = 0;
    for page in manual {
        for block in page.split("```toml\n").skip(1) {
            let (text, _) = block.split_once("```").unwrap();
            assert_eq!(parse(text).err(), None, "{text}");
            count += 1;
        }
    }
    assert!(count > 0, "the manual shows no configuration");
}

#[test]
fn the_reference_names_every_key_with_its_default_and_no_other() {
    let (reference, _) = REFERENCE.split_once("## The session line").unwrap();
    let mut keys = keys(&parse("").unwrap());
    // Tables of which there are none by default.
    let table = "[[route]]\ndestination = \"192.0.2.1\"\nhost = \"a.example\"\n";
    let others = format!("{table}[[bypass]]\n{NETWORK}{EXCEPTION}");
    let others = self::keys(&parse(&others).unwrap());
    let listed = ["route.", "bypass.", "exception."];
    keys.extend(
        others
            .into_iter()
            .filter(|(key, _)| listed.iter().any(|table| key.starts_with(table)))
            .map(|(key, default)| {
                let unset = default == "not set";
                (key, if unset { default } else { "required".into() })
            }),
    );
    for (key, default) in &keys {
        let row = format!("| `{key}` | `{default}` |");
        let unset = format!("| `{key}` | {default} |");
        let told = reference.contains(&row) || reference.contains(&unset);
        // The two default listeners differ in their addresses.
        assert!(told || key == "listener.address", "{row}");
        assert!(reference.contains(&format!("| `{key}` |")), "{key}");
    }
    for row in reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
    {
        let key = row.split('`').next().unwrap();
        let exists = keys.iter().any(|known| known.0 == key);
        assert!(exists, "{key} does not exist");
    }
}

#[test]
fn dnssec_3_dane_1_only_resolvers_that_nobody_else_can_speak_for_are_believed() {
    for (resolvers, safe) in [
        (None, false),
        (Some("[\"192.0.2.53\"]"), false),
        (Some("[\"127.0.0.1\", \"192.0.2.53\"]"), false),
        (
            Some("[\"tls://192.0.2.53#dns.example\", \"10.0.0.1\"]"),
            false,
        ),
        (Some("[\"127.0.0.1\"]"), true),
        (Some("[\"[::1]:5353\", \"tls://192.0.2.53\"]"), true),
    ] {
        for (validate, is_allowed) in [("local", true), ("trust-ad", safe), ("both", safe)] {
            let resolvers =
                resolvers.map_or_else(String::new, |list| format!("resolvers = {list}"));
            let text = format!("[dns]\nvalidate = \"{validate}\"\n{resolvers}");
            let expected = format!(
                "/etc/d.toml:2 dns.validate: expected \"local\", or resolvers that are all named here and on loopback or \
                 reached by TLS, got \"{validate}\""
            );
            assert_eq!(
                parse(&text).err(),
                (!is_allowed).then_some(expected),
                "{text}"
            );
        }
    }
}

#[test]
fn a_password_for_the_database_comes_from_its_file_and_an_empty_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    let text = format!(
        "[store]\nurl = \"postgres:///danelaw?host=/run/postgresql&user=danelaw\"\npassword_file = {file:?}\n"
    );
    for (content, expected) in [
        ("secret\n", None),
        ("", Some("a password in the file, which is empty")),
        ("\n", Some("a password in the file, which is empty")),
    ] {
        #[expect(clippy::disallowed_methods, reason = "a test writes its password")]
        std::fs::write(&file, content).unwrap();
        match (parse(&text), expected) {
            (Ok(config), None) => {
                let shown = format!("{config:?}");
                assert!(!shown.contains("secret"), "{shown}");
            }
            (Err(told), Some(expected)) => {
                assert!(told.contains("store.password_file"), "{told}");
                assert!(told.contains(expected), "{told}");
            }
            (got, expected) => panic!("{got:?}, {expected:?}"),
        }
    }
}
