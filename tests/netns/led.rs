//! How the rules of `danelaw rules` lead connections, in every layout and for both families: nothing here speaks SMTP, and
//! danelaw passes everything on as it is (`[[bypass]]`), so that each test is about netfilter alone.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::danelaw::{self, Rights};
use super::rules::{self, counted};
use super::sandbox::{Daemon, Namespace, sandboxed, write};
use super::world::Network;

/// Hosts of the world, one for each family.
const FAR: [&str; 2] = ["192.0.2.31", "2001:db8::31"];

/// Where danelaw stands, and what it and its rules are told.
struct Layout {
    name: &'static str,
    configuration: &'static str,
    socket: &'static str,
    rights: Rights,
    /// The counter of what is taken over.
    taken: &'static str,
    /// Whom the world sees.
    source: [&'static str; 2],
}

const HOST: Layout = Layout {
    name: "host",
    configuration: "[[listener]]\nkind = \"redirect\"\naddress = \"127.0.0.1:10225\"\n\
        [[listener]]\nkind = \"redirect\"\naddress = \"[::1]:10225\"\n[intercept]\nports = [25, 2525]\n",
    socket: "[::1]:10225",
    rights: Rights::Nothing,
    taken: "redirected",
    source: ["10.9.1.2", "fd09:1::2"],
};

const MARKED: Layout = Layout {
    name: "host, danelaw known by its mark",
    configuration: "[[listener]]\nkind = \"redirect\"\naddress = \"[::]:10225\"\n[upstream]\nmark = 0x1125\n\
        [intercept]\nlayout = \"container\"\nguard = \"mark\"\n",
    socket: "*:10225",
    rights: Rights::NetRaw,
    ..HOST
};

const GATEWAY: Layout = Layout {
    name: "gateway",
    configuration: "[[listener]]\nkind = \"redirect\"\naddress = \"[::]:10225\"\n[intercept]\nclients = [\"g0\"]\n",
    socket: "*:10225",
    rights: Rights::Nothing,
    taken: "redirected",
    source: ["10.9.2.1", "fd09:2::1"],
};

const TPROXY: Layout = Layout {
    name: "tproxy",
    configuration: "[[listener]]\nkind = \"tproxy\"\naddress = \"[::]:10125\"\n\
        [intercept]\nclients = [\"g0\"]\nuplinks = [\"g1\"]\n",
    socket: "*:10125",
    rights: Rights::NetRaw,
    taken: "intercepted",
    source: ["10.9.1.2", "fd09:1::2"],
};

/// A mail server's host, a world that answers at ports 25 and 2525, danelaw and its rules between them.
struct Course {
    layout: Layout,
    mta: Namespace,
    world: Namespace,
    gateway: Option<Namespace>,
    daemon: Option<Daemon>,
}

impl Course {
    /// Without rules.
    fn bare(layout: Layout) -> Self {
        let (Network { mta, world }, gateway) =
            match layout.taken == HOST.taken && layout.source == HOST.source {
                true => (Network::new(), None),
                false => {
                    let (network, gateway) = Network::with_gateway();
                    (network, Some(gateway))
                }
            };
        for port in ["25", "2525"] {
            serve(&world, port);
        }
        rules::count_arrivals(&world);
        let mut course = Self {
            layout,
            mta,
            world,
            gateway,
            daemon: None,
        };
        course.start();
        course
    }

    fn new(layout: Layout) -> Self {
        let course = Self::bare(layout);
        rules::apply(course.place(), &[]);
        course
    }

    /// Where danelaw and its rules are.
    fn place(&self) -> &Namespace {
        self.gateway.as_ref().unwrap_or(&self.mta)
    }

    fn start(&mut self) {
        let Layout {
            configuration,
            socket,
            rights,
            ..
        } = self.layout;
        let daemon = danelaw::start_passing(self.place(), (configuration, socket), rights);
        self.daemon = Some(daemon);
    }

    fn stop(&mut self) {
        self.daemon.take().expect("it runs").stop();
    }

    fn taken(&self) -> u64 {
        counted(self.place(), "danelaw", self.layout.taken)
    }

    fn arrived(&self) -> u64 {
        counted(&self.world, "arrivals", "smtp")
    }

    fn leaked(&self) -> u64 {
        counted(self.place(), "danelaw_guard", "leaked")
    }

    /// Both families are taken over, and the world sees whom it should.
    fn all_is_led(&self, when: &str) {
        let name = self.layout.name;
        for (host, source) in FAR.into_iter().zip(self.layout.source) {
            let before = self.taken();
            let greeting = self.greeting(host, "25");
            assert_eq!(greeting, format!("220 far saw {source}"), "{name}, {when}");
            let is_taken = self.taken() > before;
            assert!(is_taken, "{name}, {when}: {host} is not taken over");
        }
    }

    /// Neither family gets anywhere, and the client is told so at once.
    fn all_is_refused(&self, when: &str) {
        let before = self.arrived();
        for host in FAR {
            let heard = self.greeting(host, "25");
            let name = self.layout.name;
            // An accepted connection that is cut at once is what a gateway's own stack may make of it.
            assert_eq!(heard, "ECONNREFUSED", "{name}, {when}: {host}");
        }
        assert_eq!(
            self.arrived(),
            before,
            "{when}: something reached the world"
        );
    }

    fn dial(&self, host: &str, port: &str) -> Talk {
        Talk::dial(&self.mta, &[host, port])
    }

    fn greeting(&self, host: &str, port: &str) -> String {
        self.dial(host, port).greeting.clone()
    }

    /// How `danelaw rules status` ends, and what it says.
    fn status(&self) -> (i32, String) {
        rules::rules_end(self.place(), &["status"])
    }
}

fn serve(place: &Namespace, port: &str) -> Daemon {
    let name = format!("peer-{}-{port}", place.name());
    let server = place.daemon(&name, "python3", &[PEER, "serve", port]);
    server.await_ready("listens", || place.listens(&format!("*:{port}")))
}

/// A client's side of a connection.
struct Talk {
    greeting: String,
    client: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talk {
    fn dial(place: &Namespace, to: &[&str]) -> Self {
        let mut client = place
            .command("python3")
            .args([&[PEER, "dial"], to].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let input = client.stdin.take().expect("its input is a pipe");
        let output = BufReader::new(client.stdout.take().expect("its output is a pipe"));
        let mut talk = Self {
            greeting: String::new(),
            client,
            input,
            output,
        };
        talk.greeting = talk.heard();
        talk
    }

    fn says(&mut self, line: &str) -> String {
        // What the client cannot read any more, it has told why.
        let _ = writeln!(self.input, "{line}");
        self.heard()
    }

    fn heard(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it speaks UTF-8");
        line.trim().to_owned()
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

/// One held connection for each family.
fn hold(course: &Course) -> [Talk; 2] {
    FAR.map(|host| {
        let mut talk = course.dial(host, "25");
        assert_eq!(
            talk.says("hello"),
            "hello",
            "{}: {host}",
            course.layout.name
        );
        talk
    })
}

fn still_hears(talks: &mut [Talk; 2], when: &str, layout: &str) {
    for (talk, host) in talks.iter_mut().zip(FAR) {
        assert_eq!(talk.says(when), when, "{layout}, {host}: {when}");
    }
}

/// From danelaw in place to everything gone, one loss after the other; each is noticed by `status`.
fn loses_one_thing_after_the_other(layout: Layout) {
    // TPROXY needs no connection tracking, and so has no rule that would need it.
    let watched: &[&str] = match layout.name {
        "tproxy" => &[],
        _ => &["192.0.2.78", "2001:db8::78"],
    };
    let mut course = Course::new(layout);
    course.all_is_led("all is in place");
    assert_eq!(course.leaked(), 0, "nothing went past the rules");
    for nobody in watched {
        let greeting = Talk::dial(course.place(), &[nobody, "25"]).greeting.clone();
        let stands = greeting.starts_with("220 danelaw canary ");
        assert!(
            stands,
            "danelaw sees by {nobody} that its rules stand: {greeting}"
        );
    }
    assert_eq!(course.status().0, 0, "{}", course.status().1);

    course.stop();
    course.all_is_refused("danelaw is down");

    let place = course.place();
    place.sh("nft delete table inet danelaw");
    let before = course.leaked();
    course.all_is_refused("the first table is gone");
    assert!(
        course.leaked() >= before + 2,
        "the guard refused both families"
    );
    let (code, said) = course.status();
    assert!(
        code == 1 && said.contains("RED     table inet danelaw is missing"),
        "{said}"
    );

    // A foreign reload: what stands in nobody's rules any more is direct, and status says so.
    place.sh("nft flush ruleset");
    let (code, said) = course.status();
    assert!(
        code == 1 && said.contains("RED     table inet danelaw_guard is missing"),
        "{said}"
    );
    assert!(
        course.greeting(FAR[0], "25").starts_with("220 "),
        "a control: nothing is in its way"
    );

    rules::apply(place, &[]);
    assert_eq!(course.status().0, 0, "{}", course.status().1);
    course.all_is_refused("the rules are back, danelaw is not");
    course.start();
    course.all_is_led("all is back");

    let said = rules::rules(course.place(), &["remove"]);
    assert!(said.contains("the guard stands: mail is refused"), "{said}");
    course.all_is_refused("the rules are removed");
    rules::rules(course.place(), &["remove", "--open"]);
    assert!(
        course.greeting(FAR[0], "25").starts_with("220 "),
        "the guard is removed too"
    );
    let left = course
        .place()
        .sh("nft list ruleset; ip rule | grep 2525 || true; ip -6 rule | grep 2525 || true");
    assert_eq!(left.trim(), "", "everything is removed");
}

#[test]
fn net_05_net_06_on_a_host_every_loss_is_a_refusal_until_the_guard_is_gone() {
    sandboxed(|| loses_one_thing_after_the_other(HOST));
}

#[test]
fn net_05_net_06_on_a_host_with_marks_every_loss_is_a_refusal_until_the_guard_is_gone() {
    sandboxed(|| loses_one_thing_after_the_other(MARKED));
}

#[test]
fn net_05_net_06_on_a_gateway_every_loss_is_a_refusal_until_the_guard_is_gone() {
    sandboxed(|| loses_one_thing_after_the_other(GATEWAY));
}

#[test]
fn net_05_net_06_by_tproxy_every_loss_is_a_refusal_until_the_guard_is_gone() {
    sandboxed(|| loses_one_thing_after_the_other(TPROXY));
}

/// Rules are loaded again, changed, drained and taken away under sessions that go on.
fn live_sessions_outlast_all_but_removal(layout: Layout) {
    let name = layout.name;
    let course = Course::new(layout);
    let place = course.place();
    let mut talks = hold(&course);
    rules::apply(place, &[]);
    still_hears(&mut talks, "after the rules were loaded again", name);
    rules::rules(place, &["exempt", "add", "192.0.2.0/24", "2001:db8::/32"]);
    still_hears(&mut talks, "after their destination became exempt", name);

    rules::rules(place, &["remove", "--soft"]);
    still_hears(&mut talks, "while the rules let them end", name);
    rules::rules(
        place,
        &["exempt", "remove", "192.0.2.0/24", "2001:db8::/32"],
    );
    let before = course.leaked();
    course.all_is_refused("while the rules let sessions end");
    assert!(
        course.leaked() >= before + 2,
        "the guard refuses the new ones"
    );
    let (code, said) = course.status();
    assert!(code == 1 && said.contains("being drained"), "{said}");
    still_hears(&mut talks, "while others are refused", name);

    rules::apply(place, &[]);
    still_hears(&mut talks, "after the rules were loaded once more", name);
    course.all_is_led("after the rules were loaded once more");
}

#[test]
fn on_a_host_live_sessions_outlast_new_rules_and_soft_removal() {
    sandboxed(|| live_sessions_outlast_all_but_removal(HOST));
}

#[test]
fn on_a_gateway_live_sessions_outlast_new_rules_and_soft_removal() {
    sandboxed(|| live_sessions_outlast_all_but_removal(GATEWAY));
}

#[test]
fn by_tproxy_live_sessions_outlast_new_rules_and_soft_removal() {
    sandboxed(|| live_sessions_outlast_all_but_removal(TPROXY));
}

/// Connection tracking remembers a connection that was never redirected, and a new one from the same port is taken for it.
#[test]
fn net_06_a_stale_entry_of_connection_tracking_is_forgotten_or_refused() {
    sandboxed(|| {
        let course = Course::new(HOST);
        let remember = |port: u16| {
            for (host, own) in FAR.into_iter().zip(HOST.source) {
                course.mta.sh(&format!(
                    "conntrack -I -p tcp -s {own} -d {host} --sport {port} --dport 25 --state ESTABLISHED \
                    -t 4000 -u SEEN_REPLY,ASSURED"
                ));
            }
        };
        let dial = |host: &str, port: u16| {
            Talk::dial(&course.mta, &[host, "25", &port.to_string()])
                .greeting
                .clone()
        };
        remember(45_001);
        let arrived = course.arrived();
        for host in FAR {
            assert_eq!(dial(host, 45_001), "ECONNREFUSED", "{host}: a stale entry");
        }
        assert_eq!(course.leaked(), 2, "the guard caught them");
        assert_eq!(course.arrived(), arrived, "nothing reached the world");

        remember(45_002);
        rules::apply(&course.mta, &[]);
        for host in FAR {
            let greeting = dial(host, 45_002);
            assert!(
                greeting.starts_with("220 "),
                "{host}: forgotten by apply: {greeting}"
            );
        }
        assert_eq!(course.taken(), 2, "and taken over");
    });
}

/// A connection from before the rules is judged by nobody, so it ends.
fn a_direct_connection_ends(layout: Layout) {
    let name = layout.name;
    let course = Course::bare(layout);
    // Somebody else has connection tracking on.
    course.place().sh(
        "nft add table inet other
        nft 'add chain inet other c { type filter hook output priority 0; }'
        nft 'add chain inet other f { type filter hook forward priority 0; }'
        nft add rule inet other c ct state invalid drop; nft add rule inet other f ct state invalid drop",
    );
    let mut talks = hold(&course);
    rules::apply(course.place(), &[]);
    for (talk, host) in talks.iter_mut().zip(FAR) {
        let heard = talk.says("who judges this?");
        let is_cut = ["gone", "ECONNRESET"].contains(&heard.as_str());
        assert!(is_cut, "{name}: {host}: {heard}");
    }
}

#[test]
fn on_a_host_a_direct_connection_from_before_the_rules_ends() {
    sandboxed(|| a_direct_connection_ends(HOST));
}

#[test]
fn on_a_gateway_a_direct_connection_from_before_the_rules_ends() {
    sandboxed(|| a_direct_connection_ends(GATEWAY));
}

#[test]
fn by_tproxy_a_direct_connection_from_before_the_rules_ends() {
    sandboxed(|| a_direct_connection_ends(TPROXY));
}

#[test]
fn on_a_host_what_is_exempt_is_let_go_and_sets_change_at_once() {
    sandboxed(|| exempt_is_let_go(HOST));
}

#[test]
fn on_a_gateway_what_is_exempt_is_let_go_and_sets_change_at_once() {
    sandboxed(|| exempt_is_let_go(GATEWAY));
}

#[test]
fn by_tproxy_what_is_exempt_is_let_go_and_sets_change_at_once() {
    sandboxed(|| exempt_is_let_go(TPROXY));
}

fn exempt_is_let_go(layout: Layout) {
    let name = layout.name;
    let course = Course::new(layout);
    let place = course.place();
    let is_taken = |host: &str, port: &str| {
        let before = course.taken();
        let greeting = course.greeting(host, port);
        assert!(
            greeting.starts_with("220 far saw "),
            "{name}: {host}: {greeting}"
        );
        course.taken() > before
    };
    for host in FAR {
        assert!(is_taken(host, "25"), "{name}: {host}");
    }
    let taken = course.taken();
    rules::rules(place, &["exempt", "add", "192.0.2.31", "2001:db8::/48"]);
    for host in FAR {
        assert!(!is_taken(host, "25"), "{name}: {host} is exempt");
    }
    assert!(is_taken("192.0.2.32", "25"), "{name}: its neighbour is not");
    assert!(course.taken() > taken, "{name}: the counters were kept");
    assert!(counted(place, "danelaw", "bypass_exempt") >= 2, "{name}");
    let (code, said) = course.status();
    assert!(
        code == 1 && said.contains("has 192.0.2.31 that the configuration has not"),
        "{said}"
    );

    rules::rules(place, &["exempt", "remove", "192.0.2.31", "2001:db8::/48"]);
    for host in FAR {
        assert!(is_taken(host, "25"), "{name}: {host} is exempt no more");
    }
    assert_eq!(course.status().0, 0, "{}", course.status().1);
    assert_eq!(course.leaked(), 0, "{name}: the guard knew all that");
    if course.gateway.is_none() {
        assert!(is_taken(FAR[0], "2525"), "{name}: port 2525 is taken over");
        rules::rules(place, &["exempt", "add", "--port", "2525"]);
        assert!(!is_taken(FAR[0], "2525"), "{name}: port 2525 is exempt");
        serve(&course.mta, "25");
        for own in ["10.9.1.2", "fd09:1::2", "127.0.0.1", "::1"] {
            assert!(!is_taken(own, "25"), "{name}: {own} is this host");
        }
    }
}

/// The MX host's side of the way has a link that takes less; the client's side hears nothing of it.
#[test]
fn net_04_by_tproxy_packets_that_are_too_large_are_told_to_danelaw_and_not_to_the_client() {
    sandboxed(|| {
        let course = Course::new(TPROXY);
        let narrow = Namespace::new("narrow");
        course.world.sh(
            "ip link add n0 type veth peer name n1 netns narrow
            ip addr add 10.9.3.1/24 dev n0; ip addr add fd09:3::1/64 dev n0 nodad; ip link set n0 mtu 1280 up
            sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        );
        // Its own end takes all, so that the segments' size is not agreed on beforehand.
        narrow.sh(
            "ip addr add 10.9.3.2/24 dev n1; ip addr add fd09:3::2/64 dev n1 nodad; ip link set n1 up
            ip route add default via 10.9.3.1; ip route add default via fd09:3::1",
        );
        serve(&narrow, "25");
        let gateway = course.place();
        for host in ["10.9.3.2", "fd09:3::2"] {
            let mut talk = course.dial(host, "25");
            assert!(
                talk.greeting.starts_with("220 far saw "),
                "{host}: {}",
                talk.greeting
            );
            assert_eq!(talk.says("take 200000"), "taken", "{host}");
            let learnt = gateway.sh(&format!("ip route get {host}"));
            assert!(
                learnt.contains("mtu 1280"),
                "the gateway learnt it for {host}: {learnt}"
            );
        }
    });
}

/// The script around `iptables-restore` with both kinds of iptables, in every layout.
#[test]
fn net_05_the_rules_for_iptables_lead_and_refuse_as_those_for_nft_do() {
    sandboxed(|| {
        let mut course = Course::bare(HOST);
        for kind in ["nft", "legacy"] {
            iptables_lead(&mut course, kind);
        }
    });
}

#[test]
fn net_05_on_a_gateway_the_rules_for_iptables_lead_and_refuse_as_those_for_nft_do() {
    sandboxed(|| {
        let mut course = Course::bare(GATEWAY);
        for kind in ["nft", "legacy"] {
            iptables_lead(&mut course, kind);
        }
    });
}

#[test]
fn net_05_by_tproxy_the_rules_for_iptables_lead_and_refuse_as_those_for_nft_do() {
    sandboxed(|| {
        let mut course = Course::bare(TPROXY);
        for kind in ["nft", "legacy"] {
            iptables_lead(&mut course, kind);
        }
    });
}

fn iptables_lead(course: &mut Course, kind: &str) {
    let name = course.layout.name;
    let script = rules::rules(course.place(), &["print", "--format", "iptables"]);
    let script = write("iptables/danelaw.sh", script);
    let run = |course: &Course, what: &str| {
        course.place().sh(&format!(
            "IPTABLES=iptables-{kind} IP6TABLES=ip6tables-{kind} sh {} {what}",
            script.display()
        ));
    };
    let listed = |course: &Course| {
        course
            .place()
            .sh(&format!("iptables-{kind}-save; ip6tables-{kind}-save"))
    };
    run(course, "apply");
    let once = without_counts(&listed(course));
    run(course, "apply");
    assert_eq!(
        without_counts(&listed(course)),
        once,
        "{name}, {kind}: the second time changes nothing"
    );
    for (host, source) in FAR.into_iter().zip(course.layout.source) {
        // Refused by the guard, had it not been taken over.
        let greeting = course.greeting(host, "25");
        assert_eq!(greeting, format!("220 far saw {source}"), "{name}, {kind}");
    }
    let refused =
        |course: &Course, when: &str| course.all_is_refused(&format!("iptables-{kind}, {when}"));
    if course.layout.taken == "redirected" {
        course.stop();
        refused(course, "danelaw is down");
        course.start();
    }
    run(course, "remove");
    refused(course, "the guard stands");
    run(course, "open");
    assert_eq!(
        listed(course).matches("DANELAW").count(),
        0,
        "{name}, {kind}"
    );
    assert!(
        course.greeting(FAR[1], "25").starts_with("220 "),
        "{name}, {kind}: open"
    );
}

fn without_counts(listed: &str) -> Vec<String> {
    let lines = listed.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split(" [").next().unwrap_or_default().to_owned())
        .collect()
}

/// An ordinary user has all rights over namespaces of its own, but only one user id there.
#[test]
fn rules_load_in_a_namespace_of_an_ordinary_user() {
    sandboxed(|| {
        let configuration = write("danelaw/danelaw.toml", MARKED.configuration);
        let program = env!("CARGO_BIN_EXE_danelaw");
        let copy = "/run/lab/danelaw/unprivileged";
        super::sandbox::sh(&format!(
            "install -m 755 {program} {copy}; chmod 755 /run/lab/danelaw"
        ));
        let said = super::sandbox::sh(&format!(
            "exec 2>&1; as='setpriv --reuid=nobody --regid=nogroup --clear-groups'
            $as {copy} rules apply --config {0} && exit 1
            $as unshare -Urn sh -ec 'ip link set lo up
                {copy} rules apply --config {0}; {copy} rules status --config {0}'",
            configuration.display()
        ));
        for words in [
            "danelaw: nft is not permitted: run this as root, or with CAP_NET_ADMIN",
            "begins with `flush ruleset`",
            "all is as the configuration wants it",
        ] {
            assert!(said.contains(words), "no {words:?} in {said}");
        }
    });
}

/// Stand-ins for `ip` and `conntrack` fail where the network cannot be made to.
#[test]
fn what_cannot_be_loaded_as_a_whole_leaves_nothing_behind_and_what_is_loaded_is_told_of() {
    sandboxed(|| {
        let directory = "/run/lab/stand-ins";
        let full = "#!/bin/sh\ncase \"$*\" in *'rule add pref 25251'*) echo full >&2; exit 2 ;; esac\nexec /sbin/ip \"$@\"\n";
        write("stand-ins/ip", full);
        write(
            "stand-ins/conntrack",
            "#!/bin/sh\necho 'Operation not permitted' >&2\nexit 1\n",
        );
        let tproxy = write("danelaw/tproxy.toml", TPROXY.configuration);
        let host = write("danelaw/host.toml", HOST.configuration);
        let said = super::sandbox::sh(&format!(
            "exec 2>&1; chmod +x {directory}/*; PATH={directory}:$PATH
            unshare -n sh -c '
                {program} rules apply --user 61025 --config {tproxy}; echo \"ended with $?\"
                /sbin/ip -4 rule show | grep 2525; /sbin/ip -4 route show table 2525; nft list tables
                echo \"all that is there\"
                {program} rules apply --user 61025 --config {host}; echo \"ended with $?\"'",
            program = env!("CARGO_BIN_EXE_danelaw"),
            tproxy = tproxy.display(),
            host = host.display(),
        ));
        let (failed, loaded) = said.split_once("all that is there").expect("both");
        let left = failed.split_once("ended with 2\n").map(|(_, left)| left);
        let nothing = |left: &str| left.is_empty() || left.contains("FIB table does not exist");
        assert!(
            failed.contains("failed: full") && left.is_some_and(nothing),
            "{said}"
        );
        assert!(
            loaded.contains("were not looked for") && loaded.contains("ended with 0"),
            "{said}"
        );
    });
}

const PEER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netns/peer.py");
