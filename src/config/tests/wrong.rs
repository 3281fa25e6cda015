//! Files and what is wrong with them, in one table.

use super::parse;

#[test]
fn what_is_wrong_is_told_with_line_and_key() {
    for (what, text, expected) in WRONG {
        assert_eq!(parse(text).err().as_deref(), Some(*expected), "{what}");
    }
}

/// What is wrong, in which file, and how it is told.
const WRONG: &[(&str, &str, &str)] = &[
    (
        "an unknown key",
        "[dns]\ntimeot = \"1s\"",
        "/etc/d.toml:2 dns.timeot: expected one of resolvers, validate, trust_anchor, timeout, probe_good, probe_bogus, probe_interval, got an unknown key",
    ),
    (
        "an unknown table",
        "\n[dnss]",
        "/etc/d.toml:2 dnss: expected one of max_sessions, max_sessions_per_client, max_sessions_per_destination, drain_timeout, listener, intercept, dns, upstream, tls, client_tls, mta_sts, policy, store, log, admin, smtp, timeouts, limits, control, trace, route, bypass, exceptions, exception, got an unknown key",
    ),
    (
        "rules that cannot be",
        "[intercept]\nports = []\nclients = [\"a b\"]\nmask = 0xf\ntable = 254",
        "/etc/d.toml:2 intercept.ports: expected a list of ports, as [25, 587], got []\n/etc/d.toml:2 intercept.mark: expected a mark within mask that is not 0, as 0x25, got nothing\n/etc/d.toml:3 intercept.clients: expected a list of network interfaces, as [\"lan0\"], got [\"a b\"]\n/etc/d.toml:5 intercept.table: expected the number of a routing table of its own, as 2525, got 254",
    ),
    (
        "an address without a port",
        "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1\"",
        "/etc/d.toml:3 listener[0].address: expected an address with a port, as \"127.0.0.1:10225\" or \"[::1]:10225\", got \"127.0.0.1\"",
    ),
    (
        "a listener without a kind",
        "[[listener]]\naddress = \"127.0.0.1:1\"",
        "/etc/d.toml:2 listener[0].kind: expected \"redirect\", \"tproxy\", \"proxy-protocol\" or \"socks5\", got nothing",
    ),
    (
        "a kind that does not exist, in the second listener",
        "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:1\"\n[[listener]]\nkind = \"auto\"\naddress = \"127.0.0.1:2\"",
        "/etc/d.toml:5 listener[1].kind: expected \"redirect\", \"tproxy\", \"proxy-protocol\" or \"socks5\", got \"auto\"",
    ),
    (
        "a listener that listens nowhere",
        "[[listener]]\nkind = \"redirect\"",
        "/etc/d.toml:2 listener[0].address: expected an address with a port, as \"127.0.0.1:10225\", or fd, got nothing",
    ),
    (
        "a listener with an address and a socket that is bound already",
        "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:1\"\nfd = \"smtp\"",
        "/etc/d.toml:4 listener[0].fd: expected nothing beside address, got \"smtp\"",
    ),
    (
        "one passed socket for two listeners",
        "[[listener]]\nkind = \"redirect\"\nfd = \"smtp\"\n[[listener]]\nkind = \"socks5\"\nfd = \"smtp\"",
        "/etc/d.toml:6 listener[1].fd: expected a name that no other listener has, got \"smtp\"",
    ),
    (
        "a name that no service manager passes",
        "[[listener]]\nkind = \"redirect\"\nfd = \"a:b\"",
        "/etc/d.toml:3 listener[0].fd: expected a name of printable ASCII without colons, as FileDescriptorName= has it, got \"a:b\"",
    ),
    (
        "net_02: PROXY headers of nobody in particular",
        "[[listener]]\nkind = \"proxy-protocol\"\naddress = \"127.0.0.1:1\"",
        "/etc/d.toml:2 listener[0].trusted: expected the networks whose PROXY headers are believed, as [\"192.0.2.7\", \"2001:db8::/64\"], and not all there are, got nothing",
    ),
    (
        "net_02: PROXY headers of everybody",
        "[[listener]]\nkind = \"proxy-protocol\"\naddress = \"127.0.0.1:1\"\ntrusted = [\"127.0.0.1\", \"::/0\"]",
        "/etc/d.toml:4 listener[0].trusted: expected the networks whose PROXY headers are believed, as [\"192.0.2.7\", \"2001:db8::/64\"], and not all there are, got [\"127.0.0.1\", \"::/0\"]",
    ),
    (
        "neither yes nor no",
        "[intercept]\nwatch = \"maybe\"",
        "/etc/d.toml:2 intercept.watch: expected \"auto\", \"required\" or \"off\", got \"maybe\"",
    ),
    (
        "somebody trusted to say what nobody asks",
        "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:1\"\ntrusted = [\"127.0.0.1\"]",
        "/etc/d.toml:4 listener[0].trusted: expected nothing, or kind = \"proxy-protocol\", got [\"127.0.0.1\"]",
    ),
    (
        "a trusted network that is none",
        "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:1\"\ntrusted = [\"lb.example\"]",
        "/etc/d.toml:4 listener[0].trusted: expected a list of networks or addresses, as [\"192.0.2.0/24\", \"2001:db8::1\"], got [\"lb.example\"]",
    ),
    (
        "two listeners on one address",
        "[[listener]]\nkind = \"socks5\"\naddress = \"127.0.0.1:1\"\n[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:1\"",
        "/etc/d.toml:6 listener[1].address: expected an address that no other listener has, got \"127.0.0.1:1\"",
    ),
    (
        "an open SOCKS listener that nobody asked for",
        "[[listener]]\nkind = \"socks5\"\naddress = \"0.0.0.0:1080\"",
        "/etc/d.toml:3 listener[0].address: expected a loopback address, or allow_remote = true, got \"0.0.0.0:1080\"",
    ),
    (
        "a table where tables are expected",
        "[listener]\nkind = \"redirect\"",
        "/etc/d.toml:1 listener: expected [[listener]] tables, got [listener]",
    ),
    (
        "a value where a table is expected",
        "dns = 5",
        "/etc/d.toml:1 dns: expected a table, got 5",
    ),
    (
        "a duration without a unit",
        "[dns]\ntimeout = 20",
        "/etc/d.toml:2 dns.timeout: expected a duration from \"1ms\" to \"24h\", as \"20s\", \"5m\" or \"1m30s\", got 20",
    ),
    (
        "a duration of nothing",
        "[timeouts]\nreply = \"0s\"",
        "/etc/d.toml:2 timeouts.reply: expected a duration from \"1ms\" to \"24h\", as \"20s\", \"5m\" or \"1m30s\", got \"0s\"",
    ),
    (
        "a resolver with port 0",
        "[dns]\nresolvers = [\"127.0.0.1:0\"]",
        "/etc/d.toml:2 dns.resolvers: expected a list of addresses, as [\"127.0.0.1:53\", \"tls://192.0.2.53#resolver.example\"], got [\"127.0.0.1:0\"]",
    ),
    (
        "a probe without a type",
        "[dns]\nprobe_good = \"example.org\"",
        "/etc/d.toml:2 dns.probe_good: expected a name and a record type, as \". SOA\", or \"\" for none, got \"example.org\"",
    ),
    (
        "a probe of a type that does not exist",
        "[dns]\nprobe_bogus = [\"dnssec-failed.org NONSENSE\"]",
        "/etc/d.toml:2 dns.probe_bogus: expected a list of names and record types, as [\"dnssec-failed.org A\"], got [\"dnssec-failed.org NONSENSE\"]",
    ),
    (
        "net_14: an open admin address that nobody asked for",
        "[admin]\naddress = \"192.0.2.1:9225\"",
        "/etc/d.toml:2 admin.address: expected a loopback address, or allow_remote = true, got \"192.0.2.1:9225\"",
    ),
    (
        "port 0",
        "[mta_sts]\nport = 0",
        "/etc/d.toml:2 mta_sts.port: expected a port from 1 to 65535, got 0",
    ),
    (
        "a port that is none",
        "[mta_sts]\nport = 65536",
        "/etc/d.toml:2 mta_sts.port: expected a port from 1 to 65535, got 65536",
    ),
    (
        "a word that mta_sts.unknown does not know",
        "[mta_sts]\nunknown = \"allow\"",
        "/etc/d.toml:2 mta_sts.unknown: expected \"defer\" or \"pass\", got \"allow\"",
    ),
    (
        "hints without a key",
        "[mta_sts.hints]\nfile = \"hints.txt\"",
        "/etc/d.toml:2 mta_sts.hints.key: expected a path, beside file, got nothing",
    ),
    (
        "a key without hints",
        "[mta_sts]\nport = 443\n[mta_sts.hints]\nkey = \"hints.pem\"",
        "/etc/d.toml:4 mta_sts.hints.file: expected a path, beside key, got nothing",
    ),
    (
        "hints that are no table",
        "[mta_sts]\nhints = \"hints.txt\"",
        "/etc/d.toml:2 mta_sts.hints: expected a table, got \"hints.txt\"",
    ),
    (
        "an unknown key of hints",
        "[mta_sts.hints]\nsig = \"x\"",
        "/etc/d.toml:2 mta_sts.hints.sig: expected one of file, key, got an unknown key",
    ),
    (
        "no sessions at all",
        "max_sessions = 0",
        "/etc/d.toml:1 max_sessions: expected a number from 1 to 1000000, got 0",
    ),
    (
        "a negative mark",
        "[upstream]\nmark = -1",
        "/etc/d.toml:2 upstream.mark: expected a number from 0 to 4294967295, got -1",
    ),
    (
        "a word where a truth value is expected",
        "[upstream]\nkeep_source = \"yes\"",
        "/etc/d.toml:2 upstream.keep_source: expected true or false, got \"yes\"",
    ),
    (
        "a policy word that does not exist",
        "[policy]\ncombine = \"either\"",
        "/etc/d.toml:2 policy.combine: expected \"dane-first\" or \"both\", got \"either\"",
    ),
    (
        "a filter that is none",
        "[log]\nfilter = \"danelaw=loud\"",
        "/etc/d.toml:2 log.filter: expected log directives, as \"info,danelaw=debug\", got \"danelaw=loud\"",
    ),
    (
        "a limit below what RFC 5321 asks for",
        "[limits]\nrecipients = 99",
        "/etc/d.toml:2 limits.recipients: expected at least 100, got 99",
    ),
    (
        "a CA without its key",
        "[client_tls]\nca_cert = \"ca.pem\"",
        "/etc/d.toml:2 client_tls.ca_key: expected a path, beside ca_cert, got nothing",
    ),
    (
        "a key without its CA",
        "[client_tls]\nca_key = \"ca-key.pem\"",
        "/etc/d.toml:2 client_tls.ca_cert: expected a path, beside ca_key, got nothing",
    ),
    (
        "TLS for clients without a CA",
        "[client_tls]\n[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:1\"\nclient_tls = \"offer\"",
        "/etc/d.toml:5 listener[0].client_tls: expected \"auto\" or \"never\", or a CA under [client_tls], got \"offer\"",
    ),
    (
        "a route that leads nowhere",
        "[[route]]\ndestination = \"192.0.2.1\"",
        "/etc/d.toml:2 route[0].host: expected the name of a host, as \"smtp.relay.example\", got nothing",
    ),
    (
        "a route to an address",
        "[[route]]\ndestination = \"192.0.2.1\"\nhost = \"192.0.2.1\"",
        "/etc/d.toml:3 route[0].host: expected the name of a host, as \"smtp.relay.example\", got \"192.0.2.1\"",
    ),
    (
        "a network with bits beyond its prefix",
        "[[bypass]]\ndestination = \"10.0.0.1/8\"",
        "/etc/d.toml:2 bypass[0].destination: expected a network or an address, as \"192.0.2.0/24\", \"192.0.2.1\" or \"2001:db8::/32\", got \"10.0.0.1/8\"",
    ),
    (
        "a network that no destination is ever in",
        "[[bypass]]\ndestination = \"::ffff:10.0.0.0/104\"",
        "/etc/d.toml:2 bypass[0].destination: expected a network or an address, as \"192.0.2.0/24\", \"192.0.2.1\" or \"2001:db8::/32\", got \"::ffff:10.0.0.0/104\"",
    ),
    (
        "two minds about one destination",
        "[[bypass]]\ndestination = \"192.0.2.1/32\"\n[[route]]\ndestination = \"192.0.2.1\"\nhost = \"relay.example\"",
        "/etc/d.toml:2 bypass[0].destination: expected a destination and port that no other [[route]] or [[bypass]] has, got \"192.0.2.1/32\"",
    ),
    (
        "a word that says what nobody does",
        "[smtp]\nbare_line_ends = \"normalise\"",
        "/etc/d.toml:2 smtp.bare_line_ends: expected \"reject\" or \"pass\", got \"normalise\"",
    ),
    (
        "a client given up earlier than RFC 5321 allows",
        "[timeouts]\ncommand = \"4m59s\"",
        "/etc/d.toml:2 timeouts.command: expected at least \"5m\" (RFC 5321 §4.5.3.2.7), got \"4m59s\"",
    ),
    (
        "an MX given up earlier",
        "[timeouts]\nreply = \"1m\"",
        "/etc/d.toml:2 timeouts.reply: expected at least \"5m\" (RFC 5321 §4.5.3.2.3), got \"1m\"",
    ),
    (
        "a message given up earlier",
        "[timeouts]\ndata = \"2m\"",
        "/etc/d.toml:2 timeouts.data: expected at least \"3m\" (RFC 5321 §4.5.3.2.5), got \"2m\"",
    ),
    (
        "its outcome given up earlier",
        "[timeouts]\nend_of_data = \"599s\"",
        "/etc/d.toml:2 timeouts.end_of_data: expected at least \"10m\" (RFC 5321 §4.5.3.2.6), got \"599s\"",
    ),
    (
        "an empty path",
        "[store]\npath = \"\"",
        "/etc/d.toml:2 store.path: expected a path, got \"\"",
    ),
];

#[test]
fn everything_that_is_wrong_is_told_at_once_in_the_order_of_the_lines() {
    let problems =
        parse("max_sessions = \"many\"\n[dns]\ntimeout = 1\nresolver = []\n[log]\nformat = 1\n")
            .err()
            .unwrap();
    let places: Vec<_> = problems
        .lines()
        .map(|line| line.split(": ").next().unwrap())
        .collect();
    assert_eq!(
        places,
        [
            "/etc/d.toml:1 max_sessions",
            "/etc/d.toml:3 dns.timeout",
            "/etc/d.toml:4 dns.resolver",
            "/etc/d.toml:6 log.format",
        ]
    );
}

#[test]
fn a_breach_of_the_grammar_is_told_with_its_line() {
    for text in ["[dns\n", "max_sessions = \n", "a = 1\na = 2\n", "\u{0}"] {
        let problems = parse(text).err().unwrap();
        assert!(problems.contains("/etc/d.toml:"), "{text:?}: {problems}");
        assert!(problems.contains("expected"), "{text:?}: {problems}");
    }
}
