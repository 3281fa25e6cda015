//! The destinations of the test mail, as one table, and the network they stand in.
//!
//! ```text
//!  namespace mta                                        namespace world (every address below is on its loopback)
//!  Postfix ─► nft redirect ─► danelaw ─ m0 ═veth═ w0 ─  nsd (. test. and the domains), unbound, nginx, MX hosts
//! ```
//!
//! Host number `n` has the addresses `192.0.2.n` and `2001:db8::n` (the digits of `n` again, not its value).

use super::sandbox::{Daemon, Namespace, log_of, read, sh};

/// A recipient domain and all that its owner published.
pub(crate) struct Domain {
    pub(crate) name: &'static str,
    pub(crate) signing: Signing,
    pub(crate) exchangers: &'static [Exchanger],
    pub(crate) sts: Sts,
}

/// What DNSSEC has to say about a domain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    Signed,
    Unsigned,
    /// Signed, and the signatures ran out yesterday.
    Expired,
}

/// Whether the domain has an MTA-STS policy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sts {
    Absent,
    Enforce,
}

/// An MX host.
pub(crate) struct Exchanger {
    pub(crate) label: &'static str,
    pub(crate) preference: u16,
    pub(crate) number: u8,
    pub(crate) families: Families,
    pub(crate) server: Server,
    pub(crate) tls: Tls,
    pub(crate) tlsa: Tlsa,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Families {
    Both,
    V6Only,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// TLS by OpenSSL.
    Postfix,
    /// One that stops where a test wants it to.
    HeldPostfix,
    /// TLS by GnuTLS.
    Exim,
    /// TLS by Go's own library.
    Chasquid,
}

/// What the MX host offers after EHLO.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    /// No STARTTLS.
    None,
    /// A certificate by nobody, for a name that is nobody's.
    SelfSigned,
    /// A certificate by nobody, for the host's own name.
    Untrusted,
    /// The lab's CA vouches for the host's own name.
    Trusted,
    /// The same, and nothing is taken without TLS.
    Required,
    /// The lab's CA vouches for another name.
    WrongName,
}

/// The TLSA record at `_25._tcp.<host>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tlsa {
    Absent,
    /// `3 1 1` of the host's key.
    Matching,
    /// `2 0 1` of the lab's CA, which the host then sends along.
    Anchored,
    /// `3 1 1` of another key.
    Differing,
}

/// Every domain that mail goes to.
pub(crate) const DOMAINS: &[Domain] = &[
    Domain {
        name: "dane.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tlsa: Tlsa::Matching,
            ..Exchanger::new("mx", 11)
        }],
    },
    Domain {
        name: "six.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            families: Families::V6Only,
            tlsa: Tlsa::Matching,
            ..Exchanger::new("mx", 12)
        }],
    },
    Domain {
        name: "second.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[
            Exchanger {
                tlsa: Tlsa::Differing,
                ..Exchanger::new("mx1", 13)
            },
            Exchanger {
                preference: 20,
                server: Server::Exim,
                tlsa: Tlsa::Matching,
                ..Exchanger::new("mx2", 14)
            },
        ],
    },
    Domain {
        name: "mismatch.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tlsa: Tlsa::Differing,
            ..Exchanger::new("mx", 15)
        }],
    },
    Domain {
        name: "stripped.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tls: Tls::None,
            tlsa: Tlsa::Matching,
            ..Exchanger::new("mx", 16)
        }],
    },
    Domain {
        name: "bogus.test",
        signing: Signing::Expired,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tlsa: Tlsa::Matching,
            ..Exchanger::new("mx", 17)
        }],
    },
    Domain {
        name: "sts.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            tls: Tls::Trusted,
            ..Exchanger::new("mx", 21)
        }],
    },
    Domain {
        name: "sts-wrong.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            tls: Tls::WrongName,
            ..Exchanger::new("mx", 22)
        }],
    },
    Domain {
        name: "plain.test",
        signing: Signing::Unsigned,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            server: Server::Exim,
            ..Exchanger::new("mx", 31)
        }],
    },
    Domain {
        name: "clear.test",
        signing: Signing::Unsigned,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tls: Tls::None,
            ..Exchanger::new("mx", 32)
        }],
    },
    Domain {
        name: "postfix-ta.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tls: Tls::Trusted,
            tlsa: Tlsa::Anchored,
            ..Exchanger::new("mx", 41)
        }],
    },
    Domain {
        name: "exim-ta.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            server: Server::Exim,
            tls: Tls::Trusted,
            tlsa: Tlsa::Anchored,
            ..Exchanger::new("mx", 42)
        }],
    },
    Domain {
        name: "chasquid.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            server: Server::Chasquid,
            tlsa: Tlsa::Matching,
            ..Exchanger::new("mx", 43)
        }],
    },
    Domain {
        name: "chasquid-ta.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            server: Server::Chasquid,
            tls: Tls::Trusted,
            tlsa: Tlsa::Anchored,
            ..Exchanger::new("mx", 44)
        }],
    },
    Domain {
        name: "sts-second.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[
            Exchanger {
                tls: Tls::WrongName,
                ..Exchanger::new("mx1", 23)
            },
            Exchanger {
                preference: 20,
                tls: Tls::Trusted,
                ..Exchanger::new("mx2", 24)
            },
        ],
    },
    // The six hosts of the public MTA-STS sender audit: two as they should be, on either family; one without TLS, one
    // with a certificate by nobody, one that insists on TLS, and an old one without TLS and without a policy.
    Domain {
        name: "audit-a.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            tls: Tls::Trusted,
            ..Exchanger::new("mx", 61)
        }],
    },
    Domain {
        name: "audit-b.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            tls: Tls::None,
            ..Exchanger::new("mx", 62)
        }],
    },
    Domain {
        name: "audit-c.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            families: Families::V6Only,
            tls: Tls::Trusted,
            ..Exchanger::new("mx", 63)
        }],
    },
    Domain {
        name: "audit-d.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            families: Families::V6Only,
            tls: Tls::Untrusted,
            ..Exchanger::new("mx", 64)
        }],
    },
    Domain {
        name: "audit-e.test",
        signing: Signing::Unsigned,
        sts: Sts::Enforce,
        exchangers: &[Exchanger {
            families: Families::V6Only,
            tls: Tls::Required,
            ..Exchanger::new("mx", 65)
        }],
    },
    Domain {
        name: "audit-f.test",
        signing: Signing::Unsigned,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            tls: Tls::None,
            ..Exchanger::new("mx", 66)
        }],
    },
    // Its MX host can be held at every phase.
    Domain {
        name: "held.test",
        signing: Signing::Signed,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            server: Server::HeldPostfix,
            tlsa: Tlsa::Matching,
            ..Exchanger::new("mx", 45)
        }],
    },
    // The sender's own domain: what bounces ends here.
    Domain {
        name: "client.test",
        signing: Signing::Unsigned,
        sts: Sts::Absent,
        exchangers: &[Exchanger {
            ..Exchanger::new("mx", 33)
        }],
    },
];

impl Exchanger {
    /// A Postfix on both families with a self-signed certificate and nothing in the DNS to say so.
    const fn new(label: &'static str, number: u8) -> Self {
        Self {
            label,
            preference: 10,
            number,
            families: Families::Both,
            server: Server::Postfix,
            tls: Tls::SelfSigned,
            tlsa: Tlsa::Absent,
        }
    }

    /// Its addresses, as they stand in a URL or in front of a port.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let six = format!("[{}]", v6(self.number));
        match self.families {
            Families::Both => vec![v4(self.number), six],
            Families::V6Only => vec![six],
        }
    }

    /// Its name in `domain`.
    pub(crate) fn host(&self, domain: &Domain) -> String {
        format!("{}.{}", self.label, domain.name)
    }
}

/// Every MX host with its domain.
pub(crate) fn exchangers() -> impl Iterator<Item = (&'static Domain, &'static Exchanger)> {
    DOMAINS.iter().flat_map(|domain| {
        domain
            .exchangers
            .iter()
            .map(move |exchanger| (domain, exchanger))
    })
}

/// The IPv4 address of host number `n`.
pub(crate) fn v4(n: u8) -> String {
    format!("192.0.2.{n}")
}

/// The IPv6 address of host number `n`.
pub(crate) fn v6(n: u8) -> String {
    format!("2001:db8::{n}")
}

/// The namespaces and the wires between them.
pub(crate) struct Network {
    pub(crate) mta: Namespace,
    pub(crate) world: Namespace,
}

impl Network {
    /// Both families, fixed link addresses and permanent neighbours: no packet ever waits for a neighbour's answer.
    pub(crate) fn new() -> Self {
        let (mta, world) = (Namespace::new("mta"), Namespace::new("world"));
        sh(
            "ip link add m0 netns mta address 02:00:00:00:00:02 type veth \
            peer name w0 netns world address 02:00:00:00:00:01",
        );
        mta.sh(MTA);
        world.sh(
            "ip addr add 10.9.1.1/24 dev w0; ip addr add fd09:1::1/64 dev w0 nodad; ip link set w0 up
            for host in 10.9.1.2 10.9.1.3 fd09:1::2 fd09:1::3; do
            ip neigh add $host lladdr 02:00:00:00:00:02 dev w0 nud permanent; done",
        );
        populate(&world);
        Self { mta, world }
    }

    /// The same with a router between them: `mta m0 ═ g0 gateway g1 ═ w0 world`. The MTA's addresses are the same.
    pub(crate) fn with_gateway() -> (Self, Namespace) {
        let (mta, world) = (Namespace::new("mta"), Namespace::new("world"));
        let gateway = Namespace::new("gateway");
        sh(
            "ip link add m0 netns mta address 02:00:00:00:00:02 type veth \
            peer name g0 netns gateway address 02:00:00:00:00:01
            ip link add g1 netns gateway address 02:00:00:00:00:03 type veth \
            peer name w0 netns world address 02:00:00:00:00:04",
        );
        mta.sh(MTA);
        gateway.sh(
            "ip addr add 10.9.1.1/24 dev g0; ip addr add fd09:1::1/64 dev g0 nodad; ip link set g0 up
            ip addr add 10.9.2.1/24 dev g1; ip addr add fd09:2::1/64 dev g1 nodad; ip link set g1 up
            for host in 10.9.1.2 10.9.1.3 fd09:1::2 fd09:1::3; do
            ip neigh add $host lladdr 02:00:00:00:00:02 dev g0 nud permanent; done
            for host in 10.9.2.2 fd09:2::2; do
            ip neigh add $host lladdr 02:00:00:00:00:04 dev g1 nud permanent; done
            ip route add default via 10.9.2.2; ip route add default via fd09:2::2
            sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        );
        world.sh(
            "ip addr add 10.9.2.2/24 dev w0; ip addr add fd09:2::2/64 dev w0 nodad; ip link set w0 up
            for host in 10.9.2.1 fd09:2::1; do
            ip neigh add $host lladdr 02:00:00:00:00:03 dev w0 nud permanent; done
            ip route add default via 10.9.2.1; ip route add default via fd09:2::1",
        );
        populate(&world);
        (Self { mta, world }, gateway)
    }

    /// Puts a bad wire between the MTA and the MX hosts, while it lives: loses so many of all packets and holds each for
    /// `delay` and up to `jitter` more seconds, so that they overtake each other. DNS and policies keep the good one.
    pub(crate) fn worsen(&self, loss: f64, delay: f64, jitter: f64, seed: u32) -> Daemon {
        let numbers = [loss, delay, jitter].map(|number| number.to_string());
        let [loss, delay, jitter] = numbers.each_ref().map(String::as_str);
        let seed = seed.to_string();
        let arguments = [WIRE, "mta", "m1", "world", "w1", loss, delay, jitter, &seed];
        let wire = self.mta.daemon("wire", "python3", &arguments);
        let wire = wire.await_ready("is up", || read(log_of("wire")).contains("the wire is up"));
        for number in super::HOSTS {
            self.mta.sh(&format!(
                "ip route add {} via 10.9.1.1; ip route add {} via fd09:1::1",
                v4(number),
                v6(number)
            ));
        }
        self.world
            .sh("ip route add 10.9.1.2 dev w1; ip route add fd09:1::2 dev w1");
        self.mta.sh(
            "ip route replace default dev m1 src 10.9.1.2; ip -6 route replace default dev m1 src fd09:1::2",
        );
        wire
    }
}

/// Gives the world all its hosts.
fn populate(world: &Namespace) {
    let mut numbers: Vec<u8> = exchangers()
        .map(|(_, exchanger)| exchanger.number)
        .collect();
    numbers.extend(super::HOSTS);
    for number in numbers {
        world.sh(&format!(
            "ip addr add {}/32 dev lo; ip addr add {}/128 dev lo nodad",
            v4(number),
            v6(number)
        ));
    }
}

/// The MTA's host: it knows its addresses and the way out.
const MTA: &str =
    "ip addr add 10.9.1.2/24 dev m0; ip addr add fd09:1::2/64 dev m0 nodad; ip link set m0 up
    # The addresses of a sender that chooses; nothing else takes them.
    ip addr add 10.9.1.3/24 dev m0; ip addr add fd09:1::3/64 dev m0 nodad preferred_lft 0
    ip neigh add 10.9.1.1 lladdr 02:00:00:00:00:01 dev m0 nud permanent
    ip neigh add fd09:1::1 lladdr 02:00:00:00:00:01 dev m0 nud permanent
    ip route add default via 10.9.1.1; ip route add default via fd09:1::1";

const WIRE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/netns/wire.py");
