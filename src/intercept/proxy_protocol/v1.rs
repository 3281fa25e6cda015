//! Version 1: one line of text, `PROXY TCP4 client destination port port`, at most 107 octets with its CRLF.
//!
//! Single spaces, decimal ports without leading zeros, addresses of the family that is named. Only what follows
//! `UNKNOWN` is left unread, as the standard wants it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Malformed, Proxied, Step, missing};

pub(super) const PREFIX: &[u8] = b"PROXY ";
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
const LONGEST: usize = 107;

/// The length of the line is known only at its end, so after the shortest one it is read octet by octet.
pub(super) fn parse(octets: &[u8]) -> Result<Step, Malformed> {
    let prefix = octets.len().min(PREFIX.len());
    if octets[..prefix] != PREFIX[..prefix] {
        return Err(Malformed::NoHeader);
    }
    if let Some(more) = missing(octets, SHORTEST) {
        return Ok(more);
    }
    let Some(line) = octets.strip_suffix(b"\r\n") else {
        return match octets {
            _ if octets.contains(&b'\n') => Err(Malformed::Line("a line end that is not CRLF")),
            _ if octets.len() >= LONGEST => Err(Malformed::LongLine),
            _ => Ok(Step::More(1)),
        };
    };
    if octets.len() > LONGEST {
        return Err(Malformed::LongLine);
    }
    if line.contains(&b'\n') || line.contains(&b'\r') {
        return Err(Malformed::Line("a line end that is not CRLF"));
    }
    fields(&line[PREFIX.len()..]).map(Step::Done)
}

fn fields(line: &[u8]) -> Result<Header, Malformed> {
    if line == b"UNKNOWN" || line.starts_with(b"UNKNOWN ") {
        return Ok(Header::Unknown);
    }
    let text = std::str::from_utf8(line).map_err(|_| Malformed::Line("octets beyond ASCII"))?;
    let fields: Vec<&str> = text.split(' ').collect();
    let [family, client, destination, client_port, port] = fields[..] else {
        return Err(Malformed::Line("another number of fields than six"));
    };
    let read: fn(&str) -> Option<IpAddr> = match family {
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(IpAddr::from),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        _ => return Err(Malformed::Line("a protocol other than TCP4, TCP6, UNKNOWN")),
    };
    let at = |address, port| {
        let ip = read(address).ok_or(Malformed::Line("no address of its family"))?;
        Ok(SocketAddr::new(ip, decimal(port)?))
    };
    Ok(Proxied::header(
        at(client, client_port)?,
        at(destination, port)?,
    ))
}

fn decimal(port: &str) -> Result<u16, Malformed> {
    let is_plain =
        port.bytes().all(|octet| octet.is_ascii_digit()) && (port == "0" || !port.starts_with('0'));
    let port = is_plain.then(|| port.parse().ok()).flatten();
    port.ok_or(Malformed::Line("no port from 0 to 65535"))
}
