//! The domains that a word of the operator's is for, and which of several words counts: the most specific. Pure.
//!
//! A [`Scope`] is one domain (`example.org`), or everything below one at any depth (`*.example.org`, which is not
//! `example.org` itself). [`Scoped`] finds what was said of a domain: exactly it before the nearest domain above it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::name::{DnsName, Domain, InvalidName};

/// One domain, or all below one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// This domain alone.
    Exactly(Domain),
    /// Every domain below this one.
    Below(Domain),
}

/// Why a text is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// What should be a name is none.
    #[error("{0}")]
    Name(#[from] InvalidName),
    /// An underscore: such names receive no mail.
    #[error("it is not a domain that receives mail")]
    NoDomain,
    /// An asterisk that is not the whole first label.
    #[error("an asterisk may only be the whole first label")]
    Asterisk,
}

impl Scope {
    /// The name without the asterisk.
    #[must_use]
    pub const fn base(&self) -> &Domain {
        match self {
            Self::Exactly(domain) | Self::Below(domain) => domain,
        }
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    /// Letters beyond ASCII are read as IDNA has them.
    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let (below, base) = match text.strip_prefix("*.") {
            Some(base) => (true, base),
            None => (false, text),
        };
        if base.contains('*') {
            return Err(InvalidScope::Asterisk);
        }
        let name = DnsName::parse_unicode(base)?;
        if !name.is_host_name() {
            return Err(InvalidScope::NoDomain);
        }
        let domain = Domain::new(name);
        Ok(if below {
            Self::Below(domain)
        } else {
            Self::Exactly(domain)
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exactly(domain) => domain.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// What was said of which domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scoped<T> {
    exactly: BTreeMap<String, T>,
    below: BTreeMap<String, T>,
}

impl<T> Default for Scoped<T> {
    fn default() -> Self {
        Self {
            exactly: BTreeMap::new(),
            below: BTreeMap::new(),
        }
    }
}

impl<T> Scoped<T> {
    /// The place of a scope; gives what stood there before.
    pub fn insert(&mut self, scope: &Scope, value: T) -> Option<T> {
        let (map, base) = self.map(scope);
        map.insert(base, value)
    }

    /// The place of a scope, to be filled.
    pub fn at(&mut self, scope: &Scope) -> &mut T
    where
        T: Default,
    {
        let (map, base) = self.map(scope);
        map.entry(base).or_default()
    }

    fn map(&mut self, scope: &Scope) -> (&mut BTreeMap<String, T>, String) {
        let map = match scope {
            Scope::Exactly(_) => &mut self.exactly,
            Scope::Below(_) => &mut self.below,
        };
        (map, scope.base().as_str().to_owned())
    }

    /// Everything that was said of `domain`, the most specific first.
    pub fn of<'a>(&'a self, domain: &str) -> impl Iterator<Item = &'a T> {
        let above = above(domain).filter_map(|name| self.below.get(name));
        self.exactly.get(domain).into_iter().chain(above)
    }
}

/// The names above `name`, the nearest first.
pub(super) fn above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(name.split_once('.'), |(_, rest)| rest.split_once('.'))
        .map(|(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_a_domain_or_all_below_one_and_says_what_is_wrong_with_others() {
        for (text, shown) in [
            ("example.org", Ok("example.org")),
            ("*.Example.ORG", Ok("*.example.org")),
            ("müller.example", Ok("xn--mller-kva.example")),
            ("*.müller.example.", Ok("*.xn--mller-kva.example")),
            ("localhost", Ok("localhost")),
            ("*", Err(InvalidScope::Asterisk)),
            ("*.*.example", Err(InvalidScope::Asterisk)),
            ("mx*.example", Err(InvalidScope::Asterisk)),
            ("a.*.example", Err(InvalidScope::Asterisk)),
            ("_mta-sts.example", Err(InvalidScope::NoDomain)),
            ("*.", Err(InvalidScope::Name(InvalidName::EmptyLabel))),
            ("", Err(InvalidScope::Name(InvalidName::EmptyLabel))),
            ("192.0.2.1", Err(InvalidScope::Name(InvalidName::Address))),
        ] {
            let read = text.parse::<Scope>().map(|scope| scope.to_string());
            assert_eq!(read, shown.map(str::to_owned), "{text:?}");
        }
    }

    #[test]
    fn the_most_specific_word_comes_first() {
        let mut scoped = Scoped::default();
        for text in [
            "example.org",
            "*.example.org",
            "*.b.example.org",
            "a.b.example.org",
            "*.org",
        ] {
            assert_eq!(scoped.insert(&text.parse().unwrap(), text), None);
        }
        for (domain, expected) in [
            ("example.org", vec!["example.org", "*.org"]),
            ("b.example.org", vec!["*.example.org", "*.org"]),
            (
                "a.b.example.org",
                vec![
                    "a.b.example.org",
                    "*.b.example.org",
                    "*.example.org",
                    "*.org",
                ],
            ),
            (
                "x.a.b.example.org",
                vec!["*.b.example.org", "*.example.org", "*.org"],
            ),
            ("org", vec![]),
            ("notexample.org", vec!["*.org"]),
        ] {
            let found: Vec<_> = scoped.of(domain).copied().collect();
            assert_eq!(found, expected, "{domain}");
        }
    }
}
