//! Plans from configurations, the texts that come of them held against `testdata/rules`, and listings held against plans.
#![expect(
    clippy::disallowed_methods,
    reason = "reads what it is held against, and writes it anew when asked to"
)]

use std::path::{Path, PathBuf};

use super::compare::{Difference, Grade, compare, grade};
use super::plan::{Exempt, Family, NoPlan, Plan};
use super::routing::{self, Routing};
use super::seen::{Seen, SeenTable};
use super::{iptables, nft, table};
use crate::config::Config;

const HOST: &str = "[intercept]\nports = [25, 587]\nexempt = [\"10.99.0.0/16\", \"10.99.1.0/24\", \"2001:db8:99::/48\"]\n";
const GATEWAY: &str = "[[listener]]\nkind = \"redirect\"\naddress = \"[::]:10225\"\n[intercept]\nclients = [\"lan0\", \"lan1\"]\nexempt = [\"192.0.2.1\"]\n";
const TPROXY: &str = "[[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10125\"\n[intercept]\nclients = [\"lan0\"]\nuplinks = [\"wan0\"]\n";
const BOTH: &str = "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:10225\"\n[[listener]]\nkind = \"redirect\"\naddress = \"[::1]:10225\"\n\
    [[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10125\"\n[intercept]\nclients = [\"lan0\"]\nuplinks = [\"wan0\", \"lan0\"]\n";
const CONTAINER: &str =
    "[upstream]\nmark = 0x1125\n[intercept]\nlayout = \"container\"\nguard = \"mark\"\n";

fn config(text: &str) -> Config {
    Config::parse(text, Path::new("d.toml")).unwrap().config
}

fn plan(text: &str) -> Result<Plan, NoPlan> {
    Plan::of(&config(text), |user| (user == "danelaw").then_some(61_025))
}

#[test]
fn net_05_the_rules_of_each_layout_are_what_testdata_says() {
    for (name, config) in [
        ("host", HOST),
        ("gateway", GATEWAY),
        ("tproxy", TPROXY),
        ("both", BOTH),
        ("container", CONTAINER),
    ] {
        let plan = plan(config).unwrap();
        is_golden(&format!("{name}.nft"), &nft::text(&plan));
        is_golden(&format!("{name}.iptables.sh"), &iptables::script(&plan));
        is_golden(&format!("{name}.drain.nft"), &nft::drain(&plan));
    }
}

fn is_golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/rules")
        .join(name);
    if std::env::var_os("DANELAW_REGENERATE").is_some_and(|value| value == "rules") {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == text,
        "{}: `DANELAW_REGENERATE=rules cargo test --lib rules` writes it anew:\n{text}",
        path.display()
    );
}

#[test]
fn net_05_the_guard_alone_is_the_guard_of_the_whole_and_touches_nothing_else() {
    for config in [HOST, TPROXY] {
        let plan = plan(config).unwrap();
        let guard = nft::guard(&plan);
        assert!(nft::text(&plan).ends_with(&guard), "{guard}");
        let tables = guard.lines().filter(|line| line.starts_with("table "));
        assert!(tables.clone().count() > 0);
        for table in tables {
            assert!(table.starts_with("table inet danelaw_guard "), "{table}");
        }
    }
}

#[test]
fn what_the_listeners_leave_open_is_asked_for_and_never_guessed() {
    for (what, config, expected) in PLANS {
        let seen = plan(config).map(drop).map_err(|error| error.to_string());
        let is_so = match (&seen, expected) {
            (Ok(()), Ok(())) => true,
            (Err(seen), Err(words)) => seen.contains(words),
            (Ok(()), Err(_)) | (Err(_), Ok(())) => false,
        };
        assert!(is_so, "{what}: {seen:?}");
    }
}

macro_rules! OPEN {
    () => {
        "[[listener]]\nkind = \"redirect\"\naddress = \"[::]:10225\"\n"
    };
}
macro_rules! FD {
    () => {
        "[[listener]]\nkind = \"redirect\"\nfd = \"smtp\"\n"
    };
}
macro_rules! TRANSPARENT {
    () => {
        "[[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10125\"\n"
    };
}

/// What a configuration comes to: a plan, or these words.
const PLANS: &[(&str, &str, Result<(), &str>)] = &[
    ("loopback alone is a host", "", Ok(())),
    (
        "a listener that may be either",
        OPEN!(),
        Err("a mail server's host or a gateway"),
    ),
    (
        "the same, said",
        concat!(OPEN!(), "[intercept]\nlayout = \"host\"\n"),
        Ok(()),
    ),
    (
        "the same, with clients",
        concat!(OPEN!(), "[intercept]\nclients = [\"lan0\"]\n"),
        Ok(()),
    ),
    (
        "a gateway without clients",
        concat!(OPEN!(), "[intercept]\nlayout = \"gateway\"\n"),
        Err("expected intercept.clients or --clients"),
    ),
    (
        "no listener for netfilter",
        "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:1080\"\n",
        Err("expected one of kind \"redirect\" or \"tproxy\", got \"socks5\""),
    ),
    (
        "tproxy on a host",
        concat!(TRANSPARENT!(), "[intercept]\nlayout = \"host\"\n"),
        Err("layout \"host\" takes a listener of kind \"redirect\", got \"tproxy\""),
    ),
    (
        "tproxy without uplinks",
        concat!(TRANSPARENT!(), "[intercept]\nclients = [\"lan0\"]\n"),
        Err("expected intercept.uplinks or --uplinks"),
    ),
    (
        "loopback on a gateway",
        "[intercept]\nlayout = \"gateway\"\nclients = [\"lan0\"]\n",
        Err("expected a redirect listener on \"[::]:10225\""),
    ),
    (
        "a port that systemd knows",
        concat!(FD!(), "[intercept]\nlayout = \"host\"\n"),
        Err("expected intercept.listener_port or --listener-port"),
    ),
    (
        "the same, said",
        concat!(
            FD!(),
            "[intercept]\nlayout = \"host\"\nlistener_port = 10225\n"
        ),
        Ok(()),
    ),
    (
        "a port that nobody has",
        "[intercept]\nlistener_port = 10226\n",
        Err("no listener of that kind has it: they have [10225]"),
    ),
    (
        "a listener's own port",
        "[intercept]\nports = [25, 10225]\n",
        Err("port 10225 is the listener's own"),
    ),
    (
        "no such user",
        "[intercept]\nuser = \"nobody-at-all\"\n",
        Err("there is no user \"nobody-at-all\" on this host"),
    ),
    ("root", "[intercept]\nuser = \"0\"\n", Err("is root")),
    (
        "a name in a container",
        "[intercept]\nlayout = \"container\"\n",
        Err("expected the number of danelaw's user, got \"danelaw\""),
    ),
    (
        "a number in a container",
        "[intercept]\nlayout = \"container\"\nuser = \"1025\"\n",
        Ok(()),
    ),
    (
        "a mark that is not set",
        "[intercept]\nguard = \"mark\"\n",
        Err("expected upstream.mark with a bit of intercept.mask (0xff), got none"),
    ),
    (
        "a mark beyond the mask",
        "[upstream]\nmark = 0x100\n[intercept]\nguard = \"mark\"\n",
        Err("got 0x100"),
    ),
];

#[test]
fn a_family_that_nobody_listens_for_is_told() {
    const V4: &str = "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:10225\"\n";
    for (what, config, expected) in [
        ("both by default", String::new(), &[][..]),
        ("IPv4 alone", V4.to_owned(), &[Family::V6]),
        ("where REDIRECT never leads", V4.replace("127.0.0.1", "127.0.0.2"), &[Family::V4, Family::V6]),
        ("a dual-stack socket", TPROXY.to_owned(), &[]),
        ("what systemd has bound", "[[listener]]\nkind = \"tproxy\"\nfd = \"smtp\"\n[intercept]\nlistener_port = 1\nclients = [\"a\"]\nuplinks = [\"b\"]\n".to_owned(), &[]),
    ] {
        let plan = plan(&config).unwrap();
        let unserved: Vec<Family> = plan.listeners().flat_map(|one| one.unserved.clone()).collect();
        assert_eq!(unserved, expected, "{what}");
    }
}

/// The listing that nft 1.0.6 gave of `tproxy.nft`, and what `ip` 6.1 said of its routes.
const LISTED: [&str; 2] = [
    include_str!("../../../testdata/rules/tproxy.danelaw.json"),
    include_str!("../../../testdata/rules/tproxy.danelaw_guard.json"),
];
const LISTED_RULES: &str = r#"[{"priority":0,"src":"all","table":"255"},{"priority":25250,"src":"all","fwmark":"0x25","fwmask":"0xff","iif":"lan0","table":"2525"},{"priority":25251,"src":"all","fwmark":"0x25","fwmask":"0xff","iif":"wan0","table":"2525"},{"priority":32766,"src":"all","table":"254"}]"#;
const LISTED_ROUTES: &str =
    r#"[{"type":"local","dst":"default","dev":"lo","scope":"host","flags":[]}]"#;

fn seen() -> Seen {
    let [danelaw, guard] = LISTED.map(|listing| Some(SeenTable::parse(listing).unwrap()));
    let routing = || Routing::parse(LISTED_RULES, LISTED_ROUTES, 2525).unwrap();
    Seen {
        danelaw,
        guard,
        routing: vec![(Family::V4, routing()), (Family::V6, routing())],
    }
}

#[test]
fn what_was_loaded_is_found_as_it_should_be_and_each_loss_is_noticed() {
    let plan = plan(TPROXY).unwrap();
    assert_eq!(compare(&plan, &seen()), []);
    for (what, change, words, expected) in LOSSES {
        let mut seen = seen();
        change(&mut seen);
        let differences = compare(&plan, &seen);
        let found: Vec<&str> = differences.iter().map(Difference::word).collect();
        assert_eq!(found, *words, "{what}: {differences:?}");
        assert_eq!(grade(&differences), *expected, "{what}");
    }
}

type Loss = (&'static str, fn(&mut Seen), &'static [&'static str], Grade);

const LOSSES: &[Loss] = &[
    (
        "no table",
        |seen| seen.danelaw = None,
        &["no-table"],
        Grade::Red,
    ),
    (
        "no guard",
        |seen| seen.guard = None,
        &["no-table"],
        Grade::Red,
    ),
    (
        "nothing",
        |seen| {
            *seen = Seen {
                routing: vec![(Family::V4, Routing::none(2525))],
                ..Seen::default()
            }
        },
        &[
            "no-table",
            "no-table",
            "no-routing-rule",
            "no-routing-rule",
            "no-route",
        ],
        Grade::Red,
    ),
    (
        "a rule of somebody else's",
        |seen| chain(seen, "incoming").push(None),
        &["chain"],
        Grade::Red,
    ),
    (
        "another order",
        |seen| chain(seen, "incoming").swap(0, 3),
        &["chain"],
        Grade::Red,
    ),
    (
        "one address exempt by hand",
        |seen| element(seen, "exempt4", "\"192.0.2.9\""),
        &["set"],
        Grade::Yellow,
    ),
    (
        "no port",
        |seen| element(seen, "ports", ""),
        &["set"],
        Grade::Red,
    ),
    (
        "one port more",
        |seen| element(seen, "ports", "25, 587"),
        &["set"],
        Grade::Yellow,
    ),
    (
        "drained",
        |seen| {
            let counters = &mut seen.danelaw.as_mut().unwrap().counters;
            counters.insert(table::DRAINING.to_owned(), 0);
        },
        &["draining"],
        Grade::Yellow,
    ),
    (
        "a rule without its interface",
        |seen| seen.routing[0].1.rules[0].interface = None,
        &["no-routing-rule", "surplus-routing-rule"],
        Grade::Red,
    ),
];

fn chain<'s>(seen: &'s mut Seen, name: &str) -> &'s mut Vec<Option<String>> {
    let table = seen.danelaw.as_mut().unwrap();
    &mut table.chains.get_mut(name).unwrap().notes
}

/// Gives a set of the first table the elements of a listing.
fn element(seen: &mut Seen, set: &str, elements: &str) {
    let listing = format!(r#"{{"nftables":[{{"set":{{"name":"{set}","elem":[{elements}]}}}}]}}"#);
    let table = SeenTable::parse(&listing).unwrap();
    let sets = &mut seen.danelaw.as_mut().unwrap().sets;
    sets.extend(table.sets);
}

#[test]
fn sets_are_read_in_every_form_that_nft_lists() {
    for (listed, networks, ports) in [
        ("25, 587", "", vec![25, 587]),
        ("\"192.0.2.1\"", "192.0.2.1/32", vec![]),
        (
            "{\"prefix\": {\"addr\": \"2001:db8::\", \"len\": 32}}",
            "2001:db8::/32",
            vec![],
        ),
        (
            "{\"range\": [\"192.0.2.0\", \"192.0.2.2\"]}",
            "192.0.2.0/31 192.0.2.2/32",
            vec![],
        ),
        (
            "{\"elem\": {\"val\": \"192.0.2.1\", \"comment\": \"c\"}}",
            "192.0.2.1/32",
            vec![],
        ),
        ("", "", vec![]),
    ] {
        let listing = format!(r#"{{"nftables":[{{"set":{{"name":"s","elem":[{listed}]}}}}]}}"#);
        let table = SeenTable::parse(&listing).unwrap();
        let seen: Vec<String> = table
            .networks("s")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            (seen.join(" ").as_str(), table.ports("s")),
            (networks, ports),
            "{listed}"
        );
    }
}

#[test]
fn routes_are_changed_only_where_they_differ_and_the_old_ones_go() {
    let plan = plan(TPROXY).unwrap();
    let wanted = routing::wanted(plan.transparent().unwrap());
    let there = Routing::parse(LISTED_RULES, LISTED_ROUTES, 2525).unwrap();
    let none = Routing::parse("[", "", 2525).unwrap();
    let old = Routing::parse(&LISTED_RULES.replace("lan0", "lan9"), LISTED_ROUTES, 2525).unwrap();
    let joined =
        |commands: Vec<Vec<String>>| commands.iter().map(|one| one.join(" ")).collect::<Vec<_>>();
    assert_eq!(joined(there.additions(&wanted, Family::V4)), [""; 0]);
    assert_eq!(joined(there.removals(&wanted, Family::V4)), [""; 0]);
    assert_eq!(
        joined(none.additions(&wanted, Family::V4)),
        [
            "-4 route replace local default dev lo table 2525",
            "-4 rule add pref 25250 iif lan0 fwmark 0x25/0xff lookup 2525",
            "-4 rule add pref 25251 iif wan0 fwmark 0x25/0xff lookup 2525",
        ]
    );
    assert_eq!(
        joined(old.additions(&wanted, Family::V4)),
        ["-4 rule add pref 25250 iif lan0 fwmark 0x25/0xff lookup 2525"]
    );
    assert_eq!(
        joined(old.removals(&wanted, Family::V4)),
        ["-4 rule del pref 25250 iif lan9 fwmark 0x25/0xff lookup 2525"]
    );
    assert_eq!(
        joined(there.removals(&none, Family::V6)),
        [
            "-6 rule del pref 25250 iif lan0 fwmark 0x25/0xff lookup 2525",
            "-6 rule del pref 25251 iif wan0 fwmark 0x25/0xff lookup 2525",
            "-6 route del local default dev lo table 2525",
        ]
    );
}

#[test]
fn a_set_is_filled_anew_in_one_transaction_without_what_is_part_of_another() {
    let networks =
        ["10.0.0.0/8", "10.1.0.0/16", "2001:db8::1/128"].map(|text| text.parse().unwrap());
    let text = nft::exempt(&Exempt::of(&networks), &["danelaw_guard"]);
    assert_eq!(
        text,
        "flush set inet danelaw_guard exempt4\nadd element inet danelaw_guard exempt4 { 10.0.0.0/8 }\n\
         flush set inet danelaw_guard exempt6\nadd element inet danelaw_guard exempt6 { 2001:db8::1/128 }\n"
    );
}
