//! Version 2: a signature of twelve octets, version and command, family and protocol, and the length of a block with
//! the addresses and any TLVs.
//!
//! TLVs must be whole; of their contents only the checksum is looked at. The block of a LOCAL header is not read, and
//! neither is one without a family: the standard leaves both to the receiver to skip.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Header, Malformed, Proxied, Step, missing};

pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The fixed part: the signature and four octets.
const HEAD: usize = 16;

/// Addresses take at most 36; what senders tell of TLS sessions some hundreds.
const LONGEST_BLOCK: u16 = 4096;

const LOCAL: u8 = 0;
const PROXY: u8 = 1;
const UNSPEC: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const CRC32C: u8 = 0x03;

pub(super) fn parse(octets: &[u8]) -> Result<Step, Malformed> {
    let signature = octets.len().min(SIGNATURE.len());
    if octets[..signature] != SIGNATURE[..signature] {
        return Err(Malformed::NoHeader);
    }
    let Some(&[version, family, high, low]) =
        octets.get(SIGNATURE.len()..).and_then(<[u8]>::first_chunk)
    else {
        return Ok(Step::More(HEAD.saturating_sub(octets.len())));
    };
    if version >> 4 != 2 {
        return Err(Malformed::Version(version >> 4));
    }
    let length = u16::from_be_bytes([high, low]);
    if length > LONGEST_BLOCK {
        return Err(Malformed::LongBlock(length));
    }
    let command = version & 0x0f;
    if command > PROXY {
        return Err(Malformed::Command(command));
    }
    if let Some(more) = missing(octets, HEAD + usize::from(length)) {
        return Ok(more);
    }
    if command == LOCAL {
        return Ok(Step::Done(Header::Local));
    }
    proxied(octets, family).map(Step::Done)
}

fn proxied(octets: &[u8], family: u8) -> Result<Header, Malformed> {
    let block = &octets[HEAD..];
    let (header, rest) = match family {
        UNSPEC => return Ok(Header::Unknown),
        TCP4 => {
            let (ends, rest) = block
                .split_first_chunk::<12>()
                .ok_or(Malformed::ShortBlock)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *ends;
            let ips = [Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h)];
            (ends_of(ips, ports), rest)
        }
        TCP6 => {
            let (client, rest) = block
                .split_first_chunk::<16>()
                .ok_or(Malformed::ShortBlock)?;
            let (destination, rest) = rest
                .split_first_chunk::<16>()
                .ok_or(Malformed::ShortBlock)?;
            let (ports, rest) = rest.split_first_chunk::<4>().ok_or(Malformed::ShortBlock)?;
            let ips = [Ipv6Addr::from(*client), Ipv6Addr::from(*destination)];
            (ends_of(ips, *ports), rest)
        }
        other => return Err(Malformed::Family(other)),
    };
    check_tlvs(octets, rest)?;
    Ok(header)
}

fn ends_of<T: Into<std::net::IpAddr>>(
    [client, destination]: [T; 2],
    [client_high, client_low, high, low]: [u8; 4],
) -> Header {
    let client_port = u16::from_be_bytes([client_high, client_low]);
    let port = u16::from_be_bytes([high, low]);
    Proxied::header(
        SocketAddr::new(client.into(), client_port),
        SocketAddr::new(destination.into(), port),
    )
}

fn check_tlvs(octets: &[u8], mut rest: &[u8]) -> Result<(), Malformed> {
    while let Some((&kind, tail)) = rest.split_first() {
        let (length, tail) = tail.split_first_chunk::<2>().ok_or(Malformed::Tlv)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (value, tail) = tail.split_at_checked(length).ok_or(Malformed::Tlv)?;
        if kind == CRC32C {
            let start = octets.len() - tail.len() - value.len();
            check_sum(octets, start, value)?;
        }
        rest = tail;
    }
    Ok(())
}

/// The checksum covers the whole header, with zeros where it stands itself.
fn check_sum(octets: &[u8], start: usize, value: &[u8]) -> Result<(), Malformed> {
    let told = <[u8; 4]>::try_from(value).map_err(|_| Malformed::Tlv)?;
    let (before, after) = (&octets[..start], &octets[start + told.len()..]);
    let sum = crc32c(before.iter().chain(&[0; 4]).chain(after).copied());
    if sum == u32::from_be_bytes(told) {
        Ok(())
    } else {
        Err(Malformed::Checksum)
    }
}

/// CRC-32C (Castagnoli), bit by bit: a header is short, and few carry one.
pub(super) fn crc32c(octets: impl Iterator<Item = u8>) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0x82f6_3b78;
    !octets.fold(!0, |sum, octet| {
        (0..8).fold(sum ^ u32::from(octet), |sum, _| {
            (sum >> 1) ^ (REVERSED_POLYNOMIAL & (sum & 1).wrapping_neg())
        })
    })
}
