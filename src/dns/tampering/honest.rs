//! An honest resolver is believed as far as its data goes.

use RecordType::{A, AAAA, DNAME, DS, TLSA};

use super::*;

#[tokio::test]
async fn dnssec_1_13_15_19_22_24_dns_13_an_honest_resolver_is_believed_as_far_as_its_data_goes() {
    let rows: Vec<Row> = ANSWERS
        .iter()
        .map(|&(says, owner, record_type, comes_out)| Row {
            says,
            ask: (owner, record_type),
            lie: HONEST,
            comes_out,
        })
        .collect();
    check(&rows).await;
}

pub(super) type Honest = (&'static str, &'static str, RecordType, &'static str);

pub(super) const ANSWERS: &[Honest] = &[
    (
        "signed records",
        "_25._tcp.mx.lab.test",
        TLSA,
        "secure records",
    ),
    (
        "signed records, NSEC3",
        "_25._tcp.mx.hash.test",
        TLSA,
        "secure records",
    ),
    ("upper case", "_25._TCP.MX.LAB.TEST", TLSA, "secure records"),
    ("no such type", "no.lab.test", TLSA, "secure nodata"),
    ("no such type, NSEC3", "no.hash.test", TLSA, "secure nodata"),
    (
        "an empty non-terminal",
        "_tcp.mx.lab.test",
        TLSA,
        "secure nodata",
    ),
    (
        "an empty non-terminal, NSEC3",
        "_tcp.mx.hash.test",
        TLSA,
        "secure nodata",
    ),
    (
        "no such name",
        "_25._tcp.no.lab.test",
        TLSA,
        "secure nxdomain",
    ),
    (
        "no such name, NSEC3",
        "_25._tcp.no.hash.test",
        TLSA,
        "secure nxdomain",
    ),
    (
        "a wildcard, one label",
        "x.wild.lab.test",
        TLSA,
        "secure records",
    ),
    (
        "a wildcard, three labels",
        "x.y.z.wild.lab.test",
        TLSA,
        "secure records",
    ),
    (
        "a wildcard, NSEC3",
        "x.y.wild.hash.test",
        TLSA,
        "secure records",
    ),
    (
        "the wildcard itself",
        "*.wild.lab.test",
        TLSA,
        "secure records",
    ),
    (
        "a wildcard without the type",
        "x.wild.lab.test",
        AAAA,
        "secure nodata",
    ),
    (
        "a wildcard without the type, NSEC3",
        "x.wild.hash.test",
        AAAA,
        "secure nodata",
    ),
    (
        "blocked by a closer name",
        "x.exact.wild.lab.test",
        TLSA,
        "secure nxdomain",
    ),
    ("an alias", "alias.lab.test", A, "secure records"),
    (
        "an alias to nothing of the type",
        "nowhere.hash.test",
        TLSA,
        "secure nodata",
    ),
    (
        "an alias into an unsigned zone",
        "out.lab.test",
        A,
        "insecure records",
    ),
    (
        "an alias into an unsigned zone, absent",
        "out.lab.test",
        AAAA,
        "insecure nodata",
    ),
    ("a DNAME", "_25._tcp.mx.dn.lab.test", TLSA, "secure records"),
    ("the DNAME itself", "dn.lab.test", DNAME, "secure records"),
    (
        "a DNAME from an unsigned zone",
        "_25._tcp.mx.dn.free.test",
        TLSA,
        "insecure records",
    ),
    (
        "an unsigned zone",
        "_25._tcp.mx.free.test",
        TLSA,
        "insecure records",
    ),
    (
        "an unsigned zone, absent",
        "_25._tcp.no.free.test",
        TLSA,
        "insecure nxdomain",
    ),
    ("the DS of a signed child", "lab.test", DS, "secure records"),
    (
        "the DS of an unsigned child",
        "free.test",
        DS,
        "secure nodata",
    ),
    ("the DS of no zone", "mx.lab.test", DS, "secure nodata"),
    (
        "a zone of an unknown algorithm",
        "strange.test",
        A,
        "insecure records",
    ),
    (
        "a signed zone under opt-out",
        "_25._tcp.mx.s.oo",
        TLSA,
        "secure records",
    ),
    (
        "an unsigned zone under opt-out",
        "_25._tcp.mx.u.oo",
        TLSA,
        "insecure records",
    ),
    (
        "no such name, under opt-out",
        "nope.oo",
        A,
        "insecure nxdomain",
    ),
    (
        "a wildcard under opt-out",
        "x.wild.oo",
        TLSA,
        "insecure records",
    ),
    (
        "records, 101 iterations",
        "_25._tcp.mx.rounds.test",
        TLSA,
        "secure records",
    ),
    (
        "no such name, 101 iterations",
        "_25._tcp.no.rounds.test",
        TLSA,
        "insecure nxdomain",
    ),
    (
        "a wildcard, 101 iterations",
        "x.wild.rounds.test",
        TLSA,
        "insecure records",
    ),
    (
        "a top-level domain that is none",
        "nope",
        A,
        "secure nxdomain",
    ),
    ("sixteen aliases", "c2.lab.test", A, "secure records"),
    ("seventeen aliases", "c1.lab.test", A, "no answer"),
    ("aliases in a circle", "loop.lab.test", A, "no answer"),
    (
        "aliases in a circle, unsigned",
        "loop.free.test",
        A,
        "no answer",
    ),
];

#[tokio::test]
async fn dnssec_22_23_each_alias_keeps_its_own_trust() {
    let liar = Liar::new(Arc::new(world()), HONEST);
    let chase = chase(liar, Hand::at(T0));
    let outcome = chase.look_up(&name("out.lab.test"), A, &errand()).await;
    let links: Vec<_> = outcome.links.iter().map(|link| link.trust).collect();
    assert_eq!(links, [Trust::Secure]);
    assert_eq!(comes_out(&outcome), "insecure records");
    let back = chase.look_up(&name("mx.dn.free.test"), A, &errand()).await;
    let links: Vec<_> = back.links.iter().map(|link| link.trust).collect();
    assert_eq!(links, [Trust::Insecure]);
    assert_eq!(comes_out(&back), "insecure records");
}
