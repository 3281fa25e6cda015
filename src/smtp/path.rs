//! Paths of MAIL and RCPT (RFC 5321 §4.1.2): which domain has the recipient?
//!
//! Nothing here is rewritten: what is read is the client's own octets, and these are what the MX hears. So only what
//! every reader must read alike is accepted: one mailbox, one domain. Source routes are refused, since a server may obey
//! or ignore them (RFC 5321 §3.6.1), which would be two domains. Dots stand anywhere in a local part, because such
//! mailboxes exist and no domain depends on them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Target;
use crate::name::{DnsName, Domain, InvalidName};

/// Whether the transaction has asked for SMTPUTF8 (RFC 6531 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// It has not: US-ASCII only.
    Ascii,
    /// It has.
    Utf8,
}

/// Why octets are not a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No `<` where one must stand, or no `>` that closes it.
    #[error("a path stands in angle brackets")]
    Brackets,
    /// `<>` where somebody must be named.
    #[error("a recipient must be named")]
    Null,
    /// `<@relay:user@domain>`.
    #[error("source routes are not accepted")]
    SourceRoute,
    /// The local part is not one.
    #[error("the local part is malformed")]
    LocalPart,
    /// No domain, or more than one.
    #[error("a mailbox has exactly one domain")]
    NoDomain,
    /// The domain is not one.
    #[error("the domain is malformed: {0}")]
    Domain(#[from] InvalidName),
    /// The address literal is not one.
    #[error("the address literal is malformed")]
    Literal,
    /// Octets beyond US-ASCII without SMTPUTF8.
    #[error("SMTPUTF8 was not asked for")]
    NeedsUtf8,
    /// Octets that are no UTF-8.
    #[error("it is not UTF-8")]
    NotUtf8,
}

/// Splits `<path> parameters` into the path with its brackets and the rest.
///
/// # Errors
/// [`PathError::Brackets`] when there is no closed path at the start.
pub fn split(argument: &[u8]) -> Result<(&[u8], &[u8]), PathError> {
    if argument.first() != Some(&b'<') {
        return Err(PathError::Brackets);
    }
    let mut quoted = Quoting::Outside;
    for (at, &octet) in argument.iter().enumerate() {
        if quoted == Quoting::Outside && octet == b'>' {
            return Ok(argument.split_at(at + 1));
        }
        quoted = quoted.after(octet);
    }
    Err(PathError::Brackets)
}

/// Where in a quoted string the reader is; a `>` inside one closes nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Outside,
    Inside,
    Escaped,
}

impl Quoting {
    const fn after(self, octet: u8) -> Self {
        match (self, octet) {
            (Self::Outside, b'"') => Self::Inside,
            (Self::Inside, b'"') | (Self::Outside, _) => Self::Outside,
            (Self::Inside, b'\\') => Self::Escaped,
            (Self::Inside | Self::Escaped, _) => Self::Inside,
        }
    }
}

/// Reads a forward-path: whose policy decides?
///
/// # Errors
/// [`PathError`] says what is wrong with it.
pub fn forward(path: &[u8], charset: Charset) -> Result<Target, PathError> {
    let mailbox = unwrapped(path, charset)?;
    if mailbox.is_empty() {
        return Err(PathError::Null);
    }
    if mailbox.eq_ignore_ascii_case("postmaster") {
        return Ok(Target::Postmaster); // RFC 5321 §4.1.1.3
    }
    target(mailbox)
}

/// Reads a reverse-path; the null one is fine.
///
/// # Errors
/// [`PathError`] says what is wrong with it.
pub fn reverse(path: &[u8], charset: Charset) -> Result<(), PathError> {
    let mailbox = unwrapped(path, charset)?;
    if mailbox.is_empty() {
        return Ok(());
    }
    target(mailbox).map(|_| ())
}

fn unwrapped(path: &[u8], charset: Charset) -> Result<&str, PathError> {
    if charset == Charset::Ascii && !path.is_ascii() {
        return Err(PathError::NeedsUtf8);
    }
    let text = std::str::from_utf8(path).map_err(|_| PathError::NotUtf8)?;
    text.strip_prefix('<')
        .and_then(|text| text.strip_suffix('>'))
        .ok_or(PathError::Brackets)
}

fn target(mailbox: &str) -> Result<Target, PathError> {
    if mailbox.starts_with('@') {
        return Err(PathError::SourceRoute);
    }
    let after_local = if mailbox.starts_with('"') {
        skip_quoted(mailbox)?
    } else {
        skip_dotted(mailbox)?
    };
    let domain = after_local.strip_prefix('@').ok_or(PathError::NoDomain)?;
    if let Some(literal) = domain.strip_prefix('[') {
        return literal_address(literal).map(Target::Literal);
    }
    // The name type drops a trailing dot, the grammar does not know one.
    if domain.is_empty() || domain.ends_with(['.', '\u{3002}', '\u{ff0e}', '\u{ff61}']) {
        return Err(PathError::NoDomain);
    }
    if domain.contains('@') {
        return Err(PathError::NoDomain);
    }
    Ok(Target::Domain(Domain::new(DnsName::parse_unicode(domain)?)))
}

/// Quoted-string: what stands behind it.
fn skip_quoted(mailbox: &str) -> Result<&str, PathError> {
    let mut octets = mailbox.bytes().enumerate().skip(1);
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Ok(&mailbox[at + 1..]),
            b'\\' if octets.next().is_some_and(|(_, next)| is_text(next)) => {}
            b'\\' => return Err(PathError::LocalPart),
            other if is_text(other) || !other.is_ascii() => {}
            _ => return Err(PathError::LocalPart),
        }
    }
    Err(PathError::LocalPart)
}

/// Atoms and dots: what stands behind them.
fn skip_dotted(mailbox: &str) -> Result<&str, PathError> {
    let end = mailbox
        .bytes()
        .position(|octet| !(is_atext(octet) || octet == b'.' || !octet.is_ascii()))
        .unwrap_or(mailbox.len());
    let (local, rest) = mailbox.split_at(end);
    if local.is_empty() || !(rest.is_empty() || rest.starts_with('@')) {
        return Err(PathError::LocalPart);
    }
    Ok(rest)
}

/// RFC 5321 §4.1.3, without the bracket that opens it. General literals name no address that could be dialled.
fn literal_address(text: &str) -> Result<IpAddr, PathError> {
    let text = text.strip_suffix(']').ok_or(PathError::Literal)?;
    let v6 = text
        .get(..5)
        .filter(|tag| tag.eq_ignore_ascii_case("IPv6:"))
        .and_then(|_| text.get(5..));
    match v6 {
        Some(v6) => v6.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse::<Ipv4Addr>().map(IpAddr::V4),
    }
    .map_err(|_| PathError::Literal)
}

const fn is_text(octet: u8) -> bool {
    matches!(octet, b' '..=b'~')
}

const fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(name: &str) -> Result<Target, PathError> {
        Ok(Target::Domain(Domain::new(DnsName::parse(name)?)))
    }

    fn literal(address: &str) -> Result<Target, PathError> {
        let address = address.parse().map_err(|_| PathError::Literal)?;
        Ok(Target::Literal(address))
    }

    #[test]
    fn a2_dn_17_smtp_14_smtp_15_a_path_has_one_unambiguous_domain_or_none() {
        use PathError as E;
        let rows: [(&str, Result<Target, PathError>); 44] = [
            ("<u@good.example>", domain("good.example")),
            ("<U@GOOD.Example>", domain("good.example")),
            ("<u@localhost>", domain("localhost")),
            (r#"<"a@evil.example"@good.example>"#, domain("good.example")),
            (r#"<"a@evil>"@good.example>"#, domain("good.example")),
            (r#"<"x\" Y@evil"@good.example>"#, domain("good.example")),
            (r#"<"x\\"@good.example>"#, domain("good.example")),
            (r#"<"a b"@good.example>"#, domain("good.example")),
            ("<a%evil@good.example>", domain("good.example")),
            ("<evil!u@good.example>", domain("good.example")),
            ("<a..b.@good.example>", domain("good.example")),
            ("<u+tag=x@good.example>", domain("good.example")),
            ("<u@[192.0.2.1]>", literal("192.0.2.1")),
            ("<u@[IPv6:::1]>", literal("::1")),
            ("<u@[ipv6:2001:db8::1]>", literal("2001:db8::1")),
            ("<u@[IPv6:::ffff:192.0.2.1]>", literal("::ffff:192.0.2.1")),
            (r#"<""@good.example>"#, domain("good.example")),
            ("<u@xn--mller-kva.example>", domain("xn--mller-kva.example")),
            ("<u@XN--MLLER-KVA.example>", domain("xn--mller-kva.example")),
            ("<Postmaster>", Ok(Target::Postmaster)),
            ("<pOSTMASTER>", Ok(Target::Postmaster)),
            ("<@evil:u@good.example>", Err(E::SourceRoute)),
            ("<@a,@b:u@c.example>", Err(E::SourceRoute)),
            ("<>", Err(E::Null)),
            ("<u>", Err(E::NoDomain)),
            ("<u@>", Err(E::NoDomain)),
            ("<@good.example>", Err(E::SourceRoute)),
            ("<u@good@evil>", Err(E::NoDomain)),
            ("<u@good.>", Err(E::NoDomain)),
            (r#"<"x"\ Y@evil"@good.example>"#, Err(E::NoDomain)),
            (r#"<"x@good.example>"#, Err(E::LocalPart)),
            (r#"<"x"y@good.example>"#, Err(E::NoDomain)),
            (r#"<x"y"@good.example>"#, Err(E::LocalPart)),
            ("<u(comment)@good.example>", Err(E::LocalPart)),
            (
                "<u@good.example(comment)>",
                Err(E::Domain(InvalidName::BadCharacter)),
            ),
            ("<a b@good.example>", Err(E::LocalPart)),
            (
                "<u@good example>",
                Err(E::Domain(InvalidName::BadCharacter)),
            ),
            ("<u@good,evil>", Err(E::Domain(InvalidName::BadCharacter))),
            ("<u@192.0.2.1>", Err(E::Domain(InvalidName::Address))),
            ("<u@[::1]>", Err(E::Literal)),
            ("<u@[192.0.2.1>", Err(E::Literal)),
            ("<u@[192.0.2.1]x>", Err(E::Literal)),
            ("<u@[x-tag:what]>", Err(E::Literal)),
            ("u@good.example", Err(E::Brackets)),
        ];
        for (path, expected) in rows {
            for charset in [Charset::Ascii, Charset::Utf8] {
                assert_eq!(forward(path.as_bytes(), charset), expected, "{path}");
            }
        }
    }

    #[test]
    fn dn_17_smtp_17_a_literal_that_readers_might_take_for_two_addresses_is_none() {
        for path in [
            // Octal to some, decimal to others.
            "<u@[010.0.0.1]>",
            "<u@[IPv6:192.0.2.1]>",
            "<u@[IPv6:fe80::1%eth0]>",
            "<u@[192.0.2.1].example>",
        ] {
            let read = forward(path.as_bytes(), Charset::Ascii);
            assert_eq!(read, Err(PathError::Literal), "{path}");
        }
    }

    #[test]
    fn dn_18_eai_2_international_paths_need_smtputf8_and_give_one_a_label() {
        use PathError as E;
        let rows: [(&str, Result<Target, PathError>); 17] = [
            ("<u@müller.example>", domain("xn--mller-kva.example")),
            ("<u@MÜLLER.example>", domain("xn--mller-kva.example")),
            ("<u@mu\u{308}ller.example>", domain("xn--mller-kva.example")),
            ("<u@faß.example>", domain("xn--fa-hia.example")),
            ("<u@βόλος.example>", domain("xn--nxasmm1c.example")),
            // A joiner counts where the script needs it, and is refused elsewhere (RFC 5892 §A.2).
            (
                "<u@ශ\u{dca}\u{200d}රී.example>",
                domain("xn--10cl1a0b660p.example"),
            ),
            (
                "<u@نامه\u{200c}ای.example>",
                domain("xn--mgba3gch31f060k.example"),
            ),
            (
                "<u@a\u{200d}b.example>",
                Err(E::Domain(InvalidName::NotIdna)),
            ),
            (
                "<u@a\u{200c}b.example>",
                Err(E::Domain(InvalidName::NotIdna)),
            ),
            ("<u@ｇｏｏｄ.example>", domain("good.example")),
            // A homograph is another domain.
            ("<u@\u{430}pple.example>", domain("xn--pple-43d.example")),
            ("<u@a.example\u{ff0e}>", Err(E::NoDomain)),
            ("<ü@good.example>", domain("good.example")),
            ("<\"ü\"@good.example>", domain("good.example")),
            ("<u@a\u{3002}example>", domain("a.example")),
            ("<u@a.example\u{3002}>", Err(E::NoDomain)),
            (
                "<u@\u{202e}a.example>",
                Err(E::Domain(InvalidName::NotIdna)),
            ),
        ];
        for (path, expected) in rows {
            assert_eq!(forward(path.as_bytes(), Charset::Utf8), expected, "{path}");
            assert_eq!(
                forward(path.as_bytes(), Charset::Ascii),
                Err(E::NeedsUtf8),
                "{path}"
            );
        }
    }

    #[test]
    fn dn_18_fake_a_labels_long_labels_and_overlong_utf_8_are_refused() {
        let long = format!("<u@{}.example>", "ü".repeat(63));
        let rows: [(&[u8], PathError); 4] = [
            (
                b"<u@xn--a.example>",
                PathError::Domain(InvalidName::NotIdna),
            ),
            (
                b"<u@xn--zzzzzz-.example>",
                PathError::Domain(InvalidName::NotIdna),
            ),
            (long.as_bytes(), PathError::Domain(InvalidName::LongLabel)),
            (b"<u\xc0\xae@a.example>", PathError::NotUtf8),
        ];
        for (path, expected) in rows {
            let name = String::from_utf8_lossy(path);
            assert_eq!(forward(path, Charset::Utf8), Err(expected), "{name}");
        }
    }

    #[test]
    fn smtp_19_paths_up_to_the_sizes_of_the_rfc_are_read_and_beyond_those_of_dns_refused() {
        let local = |octets| "l".repeat(octets);
        let labels = |last: usize| format!("{0}.{0}.{0}.{1}", "d".repeat(63), "d".repeat(last));
        for (local_part, host, expected) in [
            (local(64), "good.example".into(), Ok(())),
            // Beyond the 256 octets of RFC 5321 §4.5.3.1.3, which are what must be taken at least.
            (local(64), labels(61), Ok(())),
            (
                local(64),
                labels(62),
                Err(PathError::Domain(InvalidName::TooLong)),
            ),
            (local(1), format!("{}.example", "d".repeat(63)), Ok(())),
            (
                local(1),
                format!("{}.example", "d".repeat(64)),
                Err(PathError::Domain(InvalidName::LongLabel)),
            ),
        ] {
            let path = format!("<{local_part}@{host}>");
            let read = forward(path.as_bytes(), Charset::Ascii).map(|_| ());
            assert_eq!(read, expected, "{path}");
        }
    }

    #[test]
    fn smtp_15_a_path_ends_at_the_bracket_outside_quotes() {
        let rows = [
            (r"<a@b> X=1", Ok((r"<a@b>", " X=1"))),
            (r#"<"a> X"@b>"#, Ok((r#"<"a> X"@b>"#, ""))),
            (r#"<"a\"> X"@b> Y"#, Ok((r#"<"a\"> X"@b>"#, " Y"))),
            (r"<a@b", Err(PathError::Brackets)),
            (r#"<"a@b>"#, Err(PathError::Brackets)),
            (r"a@b>", Err(PathError::Brackets)),
            ("", Err(PathError::Brackets)),
        ];
        for (argument, expected) in rows {
            let expected = expected.map(|(path, rest)| (path.as_bytes(), rest.as_bytes()));
            assert_eq!(split(argument.as_bytes()), expected, "{argument}");
        }
    }

    #[test]
    fn the_null_reverse_path_names_nobody_and_is_fine() {
        assert_eq!(reverse(b"<>", Charset::Ascii), Ok(()));
        assert_eq!(reverse(b"<u@a.example>", Charset::Ascii), Ok(()));
        assert_eq!(reverse(b"<u>", Charset::Ascii), Err(PathError::NoDomain));
    }
}
