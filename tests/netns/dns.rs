//! The lab's DNS: zones from the root down, signed by BIND's tools, served by NSD, looked up through an Unbound that
//! does not validate, so that whatever DNSSEC says here, danelaw found it out by itself.

use std::fs;

use super::pki;
use super::sandbox::{Daemon, HOME, Namespace, sh, write};
use super::world::{DOMAINS, Domain, Families, Signing, Sts, v4, v6};

/// The host number of the authoritative server.
pub(crate) const AUTHORITY: u8 = 53;

/// The host number of the recursive resolver.
pub(crate) const RESOLVER_NUMBER: u8 = 54;

/// The recursive resolver's address.
pub(crate) const RESOLVER: &str = "192.0.2.54";

/// The root's key signing key as `dnssec-keygen` wrote it, comments included.
pub(crate) const TRUST_ANCHOR: &str = "/run/lab/dns/root.key";

/// The same key in the form that `delv` reads.
pub(crate) const DELV_ANCHOR: &str = "/run/lab/dns/delv.conf";

/// Writes and signs all zones, children first, since a parent needs their DS records.
pub(crate) fn publish() {
    sh(&format!("mkdir -p {HOME}/dns"));
    for domain in DOMAINS {
        zone(domain.name, domain.signing, &records_of(domain));
    }
    zone(super::sts::ZONE, Signing::Unsigned, &super::sts::zone());
    let delegations: Vec<String> = DOMAINS
        .iter()
        .map(|domain| domain.name)
        .chain([super::sts::ZONE])
        .map(|name| format!("{name}. NS ns.test."))
        .chain([
            format!("ns.test. A {}", v4(AUTHORITY)),
            format!("ns.test. AAAA {}", v6(AUTHORITY)),
        ])
        .collect();
    zone("test", Signing::Signed, &delegations);
    let glue = format!(
        "test. NS ns.test.\nns.test. A {}\nns.test. AAAA {}",
        v4(AUTHORITY),
        v6(AUTHORITY)
    );
    zone(".", Signing::Signed, &[glue]);
    sh(&format!("cd {HOME}/dns; cp K.+*.key {TRUST_ANCHOR}"));
    let key = fs::read_to_string(TRUST_ANCHOR).expect("the root has a key");
    let fields: Vec<&str> = key
        .lines()
        .rfind(|line| line.starts_with('.'))
        .expect("a record")
        .split(' ')
        .collect();
    let (numbers, material) = fields[3..].split_at(3);
    let anchor = format!(
        ". static-key {} \"{}\";",
        numbers.join(" "),
        material.concat()
    );
    write("dns/delv.conf", format!("trust-anchors {{ {anchor} }};\n"));
}

/// Starts both servers and waits for them.
pub(crate) fn serve(world: &Namespace) -> [Daemon; 2] {
    let nsd = write("dns/nsd.conf", nsd_conf());
    let authority = world.daemon("nsd", "nsd", &["-d", "-c", &nsd.to_string_lossy()]);
    let hints = format!(
        ". 3600 NS ns.test.\nns.test. 3600 A {}\nns.test. 3600 AAAA {}\n",
        v4(AUTHORITY),
        v6(AUTHORITY)
    );
    write("dns/hints", hints);
    let unbound = write("dns/unbound.conf", unbound_conf());
    let resolver = world.daemon(
        "unbound",
        "unbound",
        &["-d", "-c", &unbound.to_string_lossy()],
    );
    [
        authority.await_ready("listens", || {
            world.listens(&format!("{}:53", v4(AUTHORITY)))
        }),
        resolver.await_ready("listens", || world.listens(&format!("{RESOLVER}:53"))),
    ]
}

fn records_of(domain: &Domain) -> Vec<String> {
    let mut records = vec![format!("{}. NS ns.test.", domain.name)];
    for exchanger in domain.exchangers {
        let host = exchanger.host(domain);
        records.push(format!(
            "{}. MX {} {host}.",
            domain.name, exchanger.preference
        ));
        if exchanger.families == Families::Both {
            records.push(format!("{host}. A {}", v4(exchanger.number)));
        }
        records.push(format!("{host}. AAAA {}", v6(exchanger.number)));
        records.extend(pki::tlsa_of(exchanger).map(|tlsa| format!("_25._tcp.{host}. TLSA {tlsa}")));
    }
    if domain.sts == Sts::Enforce {
        records.push(format!("_mta-sts.{}. TXT \"v=STSv1; id=1;\"", domain.name));
        records.push(format!(
            "mta-sts.{}. A {}",
            domain.name,
            v4(super::policy_host::NUMBER)
        ));
        records.push(format!(
            "mta-sts.{}. AAAA {}",
            domain.name,
            v6(super::policy_host::NUMBER)
        ));
    }
    records
}

fn zone(name: &str, signing: Signing, records: &[String]) {
    let origin = if name == "." {
        ".".to_owned()
    } else {
        format!("{name}.")
    };
    let apex = format!(
        "$TTL 300\n{origin} SOA ns.test. hostmaster.test. 1 3600 600 86400 60\n{origin} NS ns.test.\n"
    );
    let file = file_of(name);
    write(
        &format!("dns/{file}"),
        format!("{apex}{}\n", records.join("\n")),
    );
    // `-P`: the tool would refuse to write a zone that nobody can validate.
    let period = match signing {
        Signing::Unsigned => return,
        Signing::Signed => String::new(),
        Signing::Expired => {
            "-P -s $(date -ud -10days +%Y%m%d%H%M%S) -e $(date -ud -1day +%Y%m%d%H%M%S)".to_owned()
        }
    };
    // As registries do: hashed denial with opt-out where there are delegations to anybody, plain denial elsewhere.
    let denial = if name == "test" { "-3 - -A -H 0" } else { "" };
    sh(&format!(
        "cd {HOME}/dns; key=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK {origin}); cat $key.key >>{file}
        dnssec-signzone -q -z -g {denial} {period} -o {origin} -f {file}.signed {file} $key 2>&1
        mv {file}.signed {file}"
    ));
}

fn file_of(zone: &str) -> String {
    if zone == "." {
        "root.zone".to_owned()
    } else {
        format!("{zone}.zone")
    }
}

fn nsd_conf() -> String {
    let zones: String = DOMAINS
        .iter()
        .map(|domain| domain.name)
        .chain([super::sts::ZONE, "test", "."])
        .map(|name| {
            format!(
                "zone:\n  name: \"{name}\"\n  zonefile: \"{HOME}/dns/{}\"\n",
                file_of(name)
            )
        })
        .collect();
    format!(
        "server:\n  ip-address: {}\n  ip-address: {}\n  username: \"\"\n  server-count: 1\n  database: \"\"\n  \
        pidfile: \"\"\n  zonesdir: \"\"\n  xfrdfile: \"\"\n  zonelistfile: \"{HOME}/dns/zone.list\"\n  \
        xfrdir: \"{HOME}/dns\"\nremote-control:\n  control-enable: no\n{zones}",
        v4(AUTHORITY),
        v6(AUTHORITY)
    )
}

fn unbound_conf() -> String {
    format!(
        "server:\n  username: \"\"\n  chroot: \"\"\n  directory: \"{HOME}/dns\"\n  pidfile: \"\"\n  use-syslog: no\n  \
        logfile: \"\"\n  do-daemonize: no\n  num-threads: 1\n  interface: {RESOLVER}\n  \
        access-control: 0.0.0.0/0 allow\n  module-config: \"iterator\"\n  root-hints: \"{HOME}/dns/hints\"\n  \
        local-zone: \"test.\" nodefault\nremote-control:\n  control-enable: no\n"
    )
}
