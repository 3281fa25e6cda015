//! How each type of value is written in the file: read it, or say what was expected; and write it back.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::Value as Json;
use toml::Spanned;
use toml::de::DeValue;

use crate::calendar::{self, Day};
use crate::clock::Timestamp;
use crate::dns::health::question::Question;
use crate::dns::recursor::ServerAddress;
use crate::name::{DnsName, Domain};
use crate::policy::exceptions::What;
use crate::policy::mode::Percent;
use crate::policy::scope::Scope;

/// A type that a key of the file can have.
pub(super) trait Value: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What was expected, in the operator's words.
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str>;

    /// Writes it: numbers, truth values and JSON strings are TOML as they stand.
    fn write(&self) -> Json;
}

impl Value for bool {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value.as_bool().ok_or("true or false")
    }

    fn write(&self) -> Json {
        Json::Bool(*self)
    }
}

impl Value for u32 {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_integer()
            .and_then(|number| Self::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or("a number from 0 to 4294967295")
    }

    fn write(&self) -> Json {
        (*self).into()
    }
}

/// A TCP port that can be connected to.
#[derive(Clone, Copy)]
pub(super) struct Port(pub(super) u16);

impl Value for Port {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_integer()
            .and_then(|number| u16::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|port| *port != 0)
            .map(Self)
            .ok_or("a port from 1 to 65535")
    }

    fn write(&self) -> Json {
        self.0.into()
    }
}

/// A bound on a count: at least 1, at most a million.
#[derive(Clone, Copy)]
pub(super) struct Bound(pub(super) usize);

impl Value for Bound {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_integer()
            .and_then(|number| usize::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| (1..=1_000_000).contains(number))
            .map(Self)
            .ok_or("a number from 1 to 1000000")
    }

    fn write(&self) -> Json {
        self.0.into()
    }
}

impl Value for String {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value.as_str().map(Self::from).ok_or("a string")
    }

    fn write(&self) -> Json {
        self.as_str().into()
    }
}

impl Value for PathBuf {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_str()
            .filter(|path| !path.is_empty())
            .map(Self::from)
            .ok_or("a path")
    }

    fn write(&self) -> Json {
        self.to_string_lossy().into()
    }
}

impl Value for SocketAddr {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or("an address with a port, as \"127.0.0.1:10225\" or \"[::1]:10225\"")
    }

    fn write(&self) -> Json {
        self.to_string().into()
    }
}

impl Value for IpNet {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let text = value.as_str();
        text.and_then(|text| text.parse().ok().or_else(|| text.parse().ok().map(alone)))
            // Bits beyond the prefix, or an address that destinations are never told by, are a slip.
            .filter(|network: &Self| {
                let address = network.addr();
                *network == network.trunc() && address == address.to_canonical()
            })
            .ok_or(
                "a network or an address, as \"192.0.2.0/24\", \"192.0.2.1\" or \"2001:db8::/32\"",
            )
    }

    fn write(&self) -> Json {
        self.to_string().into()
    }
}

/// Several networks.
#[derive(Clone)]
pub(super) struct Networks(pub(super) Vec<IpNet>);

impl Value for Networks {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let read = |one: &Spanned<DeValue<'_>>| IpNet::read(one.get_ref()).ok();
        value
            .as_array()
            .and_then(|all| all.iter().map(read).collect())
            .map(Self)
            .ok_or("a list of networks or addresses, as [\"192.0.2.0/24\", \"2001:db8::1\"]")
    }

    fn write(&self) -> Json {
        self.0.iter().map(IpNet::to_string).collect()
    }
}

/// The name of a socket that a service manager passes, as `FileDescriptorName=` takes it.
#[derive(Clone)]
pub(super) struct FdName(pub(super) String);

impl Value for FdName {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let fits = |name: &&str| {
            (1..=255).contains(&name.len())
                && name
                    .bytes()
                    .all(|octet| (b' '..0x7f).contains(&octet) && octet != b':')
        };
        let name = value.as_str().filter(fits);
        name.map(|name| Self(name.to_owned()))
            .ok_or("a name of printable ASCII without colons, as FileDescriptorName= has it")
    }

    fn write(&self) -> Json {
        self.0.as_str().into()
    }
}

fn alone(address: IpAddr) -> IpNet {
    address.into()
}

impl Value for Domain {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_str()
            .and_then(|text| DnsName::parse_unicode(text).ok())
            .filter(DnsName::is_host_name)
            .map(Self::new)
            .ok_or("the name of a host, as \"smtp.relay.example\"")
    }

    fn write(&self) -> Json {
        self.as_str().into()
    }
}

impl Value for Scope {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let text = value.as_str();
        text.and_then(|text| text.parse().ok())
            .ok_or("a domain, as \"example.org\", or all below one, as \"*.example.org\"")
    }

    fn write(&self) -> Json {
        self.to_string().into()
    }
}

impl Value for Vec<Scope> {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_array()
            .and_then(|all| {
                let scopes = all.iter().map(|one| Scope::read(one.get_ref()).ok());
                scopes.collect()
            })
            .ok_or("a list of domains, as [\"example.org\", \"*.example.net\"]")
    }

    fn write(&self) -> Json {
        self.iter().map(Scope::to_string).collect()
    }
}

impl Value for What {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let text = value.as_str();
        text.and_then(|text| text.parse().ok()).ok_or(
            "\"none\", \"encrypt\", \"webpki\", \"mta-sts\", \"dane\", \"nta\", or \"pin sha256/…\" with 32 octets in base64",
        )
    }

    fn write(&self) -> Json {
        self.to_string().into()
    }
}

impl Value for Percent {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_integer()
            .and_then(|number| u8::from_str_radix(number.as_str(), number.radix()).ok())
            .and_then(Self::new)
            .ok_or("a percentage from 1 to 100")
    }

    fn write(&self) -> Json {
        self.get().into()
    }
}

/// A number of days: at least 1, at most a year.
#[derive(Clone, Copy)]
pub(super) struct Days(pub(super) u32);

impl Value for Days {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_integer()
            .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| (1..=366).contains(number))
            .map(Self)
            .ok_or("a number of days from 1 to 366")
    }

    fn write(&self) -> Json {
        self.0.into()
    }
}

/// When something begins; a day, in UTC, stands for its first second.
#[derive(Clone, Copy)]
pub(super) struct Since(pub(super) Timestamp);

/// When something ends; a day, in UTC, is still part of it.
#[derive(Clone, Copy)]
pub(super) struct Until(pub(super) Timestamp);

impl Value for Since {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        moment(value, Day::Begins).map(Self)
    }

    fn write(&self) -> Json {
        calendar::written(self.0).into()
    }
}

impl Value for Until {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        moment(value, Day::Ends).map(Self)
    }

    fn write(&self) -> Json {
        calendar::written(self.0).into()
    }
}

/// A string or TOML's own form.
fn moment(value: &DeValue<'_>, day: Day) -> Result<Timestamp, &'static str> {
    let text = match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    };
    text.and_then(|text| calendar::read_day(&text, day).ok())
        .ok_or("a day or a time in UTC, as \"2026-01-31\" or \"2026-01-31T12:00:00Z\"")
}

/// DNS servers.
#[derive(Clone)]
pub(super) struct Resolvers(pub(super) Vec<ServerAddress>);

impl Value for Resolvers {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        value
            .as_array()
            .and_then(|all| {
                let texts = all.iter().map(|one| one.get_ref().as_str());
                texts.map(|text| text?.parse().ok()).collect()
            })
            .map(Self)
            .ok_or(
                "a list of addresses, as [\"127.0.0.1:53\", \"tls://192.0.2.53#resolver.example\"]",
            )
    }

    fn write(&self) -> Json {
        self.0.iter().map(ServerAddress::to_string).collect()
    }
}

/// The name that must validate; an empty string is none.
#[derive(Clone)]
pub(super) struct GoodProbe(pub(super) Option<Question>);

impl Value for GoodProbe {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        match value.as_str() {
            Some("") => Some(None),
            Some(text) => text.parse().ok().map(Some),
            None => None,
        }
        .map(Self)
        .ok_or("a name and a record type, as \". SOA\", or \"\" for none")
    }

    fn write(&self) -> Json {
        let question = self.0.as_ref();
        question
            .map_or_else(String::new, Question::to_string)
            .into()
    }
}

/// The names that must not validate.
#[derive(Clone)]
pub(super) struct BogusProbes(pub(super) Vec<Question>);

impl Value for BogusProbes {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let read = |one: &Spanned<DeValue<'_>>| one.get_ref().as_str()?.parse().ok();
        value
            .as_array()
            .and_then(|all| all.iter().map(read).collect())
            .map(Self)
            .ok_or("a list of names and record types, as [\"dnssec-failed.org A\"]")
    }

    fn write(&self) -> Json {
        self.0.iter().map(Question::to_string).collect()
    }
}
