//! Tables of headers, and what holds for all octets.

use proptest::prelude::*;
use proxy_header::{ParseConfig, ProxyHeader};

use super::v2::{SIGNATURE, crc32c};
use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn ends(client: &str, destination: &str) -> Header {
    Header::Proxied(Proxied {
        client: at(client),
        destination: at(destination),
    })
}

/// Feeds what is asked for: what comes of it, and how many octets were taken.
fn feed(octets: &[u8]) -> (Option<Result<Header, Malformed>>, usize) {
    let mut taken = 0;
    loop {
        match parse(&octets[..taken]) {
            Ok(Step::Done(header)) => return (Some(Ok(header)), taken),
            Err(malformed) => return (Some(Err(malformed)), taken),
            Ok(Step::More(count)) => {
                assert!(count > 0, "it asks for nothing");
                if taken + count > octets.len() {
                    return (None, taken);
                }
                taken += count;
            }
        }
    }
}

/// A binary header.
fn binary(version_command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[version_command, family], &length, block].concat()
}

const FOUR: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x9c, 0x40, 0, 25];

fn six() -> Vec<u8> {
    let addresses = ["2001:db8::7", "2001:db8:1::1"]
        .map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets());
    [&addresses.concat()[..], &[0x9c, 0x40, 0, 25]].concat()
}

fn mapped() -> Vec<u8> {
    let addresses = ["::ffff:192.0.2.7", "::ffff:198.51.100.1"]
        .map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets());
    [&addresses.concat()[..], &[0x9c, 0x40, 0, 25]].concat()
}

/// The addresses with a checksum behind a TLV, all of it right.
fn summed() -> Vec<u8> {
    let tlvs = [0x04, 0, 2, b'n', b'o', 0x03, 0, 4, 0, 0, 0, 0];
    let mut header = binary(0x21, 0x11, &[&FOUR[..], &tlvs].concat());
    let sum = crc32c(header.iter().copied()).to_be_bytes();
    let start = header.len() - 4;
    header[start..].copy_from_slice(&sum);
    header
}

#[test]
fn net_04_a_header_of_either_version_and_family_names_both_ends() {
    let v4 = ends("192.0.2.7:40000", "198.51.100.1:25");
    let v6 = ends("[2001:db8::7]:40000", "[2001:db8:1::1]:25");
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    let line = |rest: &str| format!("PROXY {rest}\r\n").into_bytes();
    let with_tlv = [&FOUR[..], &[0xe0, 0, 3, 1, 2, 3]].concat();
    let (unknown, local) = (Header::Unknown, Header::Local);
    let nowhere = ends("192.0.2.7:0", "198.51.100.1:0");
    let mapped_line = line("TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 40000 25");
    for (what, octets, expected) in [
        ("TCP4", line("TCP4 192.0.2.7 198.51.100.1 40000 25"), v4),
        ("TCP6", line("TCP6 2001:db8::7 2001:db8:1::1 40000 25"), v6),
        ("TCP6, mapped", mapped_line, v4),
        ("port 0", line("TCP4 192.0.2.7 198.51.100.1 0 0"), nowhere),
        ("UNKNOWN", line("UNKNOWN"), unknown),
        ("UNKNOWN, as long as may be", longest.into_bytes(), unknown),
        ("PROXY, IPv4", binary(0x21, 0x11, &FOUR), v4),
        ("PROXY, IPv6", binary(0x21, 0x21, &six()), v6),
        ("PROXY, IPv6, mapped", binary(0x21, 0x21, &mapped()), v4),
        ("PROXY, a TLV", binary(0x21, 0x11, &with_tlv), v4),
        ("PROXY, a right checksum", summed(), v4),
        ("PROXY, AF_UNSPEC", binary(0x21, 0, &[]), unknown),
        ("PROXY, AF_UNSPEC, a block", binary(0x21, 0, &FOUR), unknown),
        ("LOCAL", binary(0x20, 0, &[]), local),
        ("LOCAL, addresses", binary(0x20, 0x11, &FOUR), local),
        ("LOCAL, nonsense", binary(0x20, 0x31, &[1]), local),
    ] {
        let length = octets.len();
        let followed = [octets, b"EHLO x\r\n".to_vec()].concat();
        assert_eq!(feed(&followed), (Some(Ok(expected)), length), "{what}");
    }
}

#[test]
fn net_02_what_is_no_header_is_refused_and_named() {
    for (what, rest, expected) in LINES {
        let line = format!("PROXY {rest}\r\n");
        assert_eq!(feed(line.as_bytes()).0, Some(Err(*expected)), "{what}");
    }
    for (what, (version_command, family), block, expected) in BLOCKS {
        let header = binary(*version_command, *family, block);
        assert_eq!(feed(&header).0, Some(Err(*expected)), "{what}");
    }
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 15));
    let mut damaged = summed();
    damaged[20] ^= 1;
    let other_end = [&SIGNATURE[..11], b"\r!\x11\0\0"].concat();
    for (what, octets, expected) in [
        ("SMTP", &b"EHLO client.example\r\n"[..], Malformed::NoHeader),
        ("SOCKS5", &[5, 1, 0], Malformed::NoHeader),
        ("TLS", &[0x16, 3, 1], Malformed::NoHeader),
        ("HTTP", b"POST / HTTP/1.1\r\n", Malformed::NoHeader),
        ("no space", b"PROXY\tTCP4 192.0.2.7 ", Malformed::NoHeader),
        ("another signature", &other_end, Malformed::NoHeader),
        (
            "LF alone",
            b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\n",
            ENDING,
        ),
        ("too long by one", long.as_bytes(), Malformed::LongLine),
        ("no end", &b"PROXY ".repeat(20), Malformed::LongLine),
        (
            "a change that the checksum shows",
            &damaged,
            Malformed::Checksum,
        ),
    ] {
        assert_eq!(feed(octets).0, Some(Err(expected)), "{what}");
    }
}

const FIELDS: Malformed = Malformed::Line("another number of fields than six");
const ADDRESS: Malformed = Malformed::Line("no address of its family");
const PORT: Malformed = Malformed::Line("no port from 0 to 65535");
const ENDING: Malformed = Malformed::Line("a line end that is not CRLF");
const PROTOCOL: Malformed = Malformed::Line("a protocol other than TCP4, TCP6, UNKNOWN");

/// What stands between `PROXY ` and the line end.
const LINES: &[(&str, &str, Malformed)] = &[
    ("UDP", "UDP4 192.0.2.7 198.51.100.1 40000 25", PROTOCOL),
    (
        "lower case",
        "tcp4 192.0.2.7 198.51.100.1 40000 25",
        PROTOCOL,
    ),
    (
        "UNKNOWN and more",
        "UNKNOWNS 192.0.2.7 198.51.100.1 1 25",
        PROTOCOL,
    ),
    ("no ports", "TCP4 192.0.2.7 198.51.100.1", FIELDS),
    (
        "two spaces",
        "TCP4  192.0.2.7 198.51.100.1 40000 25",
        FIELDS,
    ),
    (
        "a space at the end",
        "TCP4 192.0.2.7 198.51.100.1 40000 25 ",
        FIELDS,
    ),
    (
        "IPv6 as TCP4",
        "TCP4 2001:db8::7 2001:db8::1 40000 25",
        ADDRESS,
    ),
    (
        "IPv4 as TCP6",
        "TCP6 192.0.2.7 198.51.100.1 40000 25",
        ADDRESS,
    ),
    ("a name", "TCP4 192.0.2.7 mx.example 40000 25", ADDRESS),
    (
        "an octal address",
        "TCP4 192.0.2.07 198.51.100.1 40000 25",
        ADDRESS,
    ),
    ("a zone", "TCP6 fe80::1%eth0 2001:db8::1 40000 25", ADDRESS),
    ("NUL", "TCP4 192.0.2.7\0 198.51.100.1 40000 25", ADDRESS),
    (
        "a port with a sign",
        "TCP4 192.0.2.7 198.51.100.1 40000 +25",
        PORT,
    ),
    (
        "a zero before a port",
        "TCP4 192.0.2.7 198.51.100.1 40000 025",
        PORT,
    ),
    (
        "no such port",
        "TCP4 192.0.2.7 198.51.100.1 40000 65536",
        PORT,
    ),
    ("a port of nothing", "TCP4 192.0.2.7 198.51.100.1  25", PORT),
    ("CR within", "UNKNOWN \r x", ENDING),
];

/// Version and command with family and protocol, then the block.
type Block = (&'static str, (u8, u8), &'static [u8], Malformed);

const BLOCKS: &[Block] = &[
    (
        "version 1 in binary",
        (0x11, 0x11),
        &FOUR,
        Malformed::Version(1),
    ),
    ("version 3", (0x31, 0x11), &FOUR, Malformed::Version(3)),
    (
        "no such command",
        (0x22, 0x11),
        &FOUR,
        Malformed::Command(2),
    ),
    ("UDP", (0x21, 0x12), &FOUR, Malformed::Family(0x12)),
    (
        "a Unix socket",
        (0x21, 0x31),
        &[0; 216],
        Malformed::Family(0x31),
    ),
    ("no protocol", (0x21, 0x10), &FOUR, Malformed::Family(0x10)),
    (
        "too short for IPv4",
        (0x21, 0x11),
        &[1; 11],
        Malformed::ShortBlock,
    ),
    (
        "too short for IPv6",
        (0x21, 0x21),
        &[1; 35],
        Malformed::ShortBlock,
    ),
    (
        "too long",
        (0x21, 0x11),
        &[0; 4097],
        Malformed::LongBlock(4097),
    ),
    (
        "half a TLV",
        (0x21, 0x11),
        &[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 0],
        Malformed::Tlv,
    ),
    (
        "a TLV longer than the rest",
        (0x21, 0x11),
        &[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 4, 0, 2, 0],
        Malformed::Tlv,
    ),
    (
        "a checksum of three octets",
        (0x21, 0x11),
        &[1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 4, 4, 3, 0, 3, 0, 0, 0],
        Malformed::Tlv,
    ),
];

#[test]
fn a_header_that_has_not_come_to_its_end_is_waited_for() {
    for octets in [
        b"PROXY TCP4 192.0.2.7 198.51.100.1 40000 25\r\n".to_vec(),
        binary(0x21, 0x21, &six()),
        summed(),
    ] {
        for length in 0..octets.len() {
            assert_eq!(feed(&octets[..length]).0, None, "{length} octets");
        }
    }
}

#[test]
fn the_checksum_is_crc_32c() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
}

/// How another implementation reads the same octets.
fn by_another(octets: &[u8]) -> Option<(Option<[SocketAddr; 2]>, usize)> {
    let (header, length) = ProxyHeader::parse(octets, ParseConfig::default()).ok()?;
    let ends = header.proxied_address();
    Some((ends.map(|ends| [ends.source, ends.destination]), length))
}

fn likely() -> impl Strategy<Value = Vec<u8>> {
    let tlv = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..6)).prop_map(|(kind, value)| {
        let length = u8::try_from(value.len()).unwrap();
        [&[kind, 0, length][..], &value].concat()
    });
    let block = (
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(tlv, 0..3),
    );
    let block = block.prop_map(|(addresses, tlvs)| [addresses, tlvs.concat()].concat());
    let family = prop::sample::select(vec![0x00, 0x11, 0x21, 0x12, 0x31]);
    prop_oneof![
        (prop::sample::select(vec![0x20, 0x21]), family, block)
            .prop_map(|(command, family, block)| binary(command, family, &block)),
        "PROXY (TCP4|TCP6|UNKNOWN)( [0-9a-f.:]{1,15}){0,2}( [0-9]{1,5}){0,2}\r\n"
            .prop_map(String::into_bytes),
        (any::<[u8; 8]>(), any::<[u16; 2]>()).prop_map(|([a, b, c, d, e, f, g, h], [from, to])| {
            format!("PROXY TCP4 {a}.{b}.{c}.{d} {e}.{f}.{g}.{h} {from} {to}\r\n").into_bytes()
        }),
        (any::<[[u16; 8]; 2]>(), any::<[u16; 2]>()).prop_map(|([a, b], [from, to])| {
            let [a, b] = [a, b].map(std::net::Ipv6Addr::from);
            format!("PROXY TCP6 {a} {b} {from} {to}\r\n").into_bytes()
        }),
        prop::collection::vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #[test]
    fn what_is_taken_for_a_header_another_implementation_reads_the_same_way(
        octets in likely(),
        after in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let all = [octets, after].concat();
        let (outcome, taken) = feed(&all);
        let Some(Ok(header)) = outcome else {
            return Ok(());
        };
        match header {
            Header::Proxied(Proxied { client, destination }) => {
                let (ends, length) = by_another(&all).unwrap();
                let ends = ends.map(|ends| ends.map(canonical));
                prop_assert_eq!((ends, length), (Some([client, destination]), taken));
            }
            // It may reject a block that we skip unread.
            Header::Local | Header::Unknown => {
                if let Some((ends, length)) = by_another(&all) {
                    prop_assert_eq!((ends, length), (None, taken));
                }
            }
        }
    }

    #[test]
    fn how_the_octets_arrive_changes_nothing(octets in likely()) {
        let (outcome, taken) = feed(&octets);
        if let Some(Ok(header)) = outcome {
            prop_assert_eq!(parse(&octets[..taken]), Ok(Step::Done(header)));
        }
    }
}

#[tokio::test]
async fn the_octets_after_the_header_are_left_alone() {
    let sent = [&binary(0x21, 0x11, &FOUR)[..], b"EHLO x\r\n"].concat();
    let mut stream = &sent[..];
    let header = accept(&mut stream).await.unwrap();
    assert_eq!(header, ends("192.0.2.7:40000", "198.51.100.1:25"));
    assert_eq!(stream, b"EHLO x\r\n");
    let mut broken = &sent[..20];
    assert!(matches!(accept(&mut broken).await, Err(Refused::Io(_))));
}
