//! Whether a domain's demands are enforced or only reported. Pure.
//!
//! What the configuration says of the domain itself counts first, then of the nearest domain above it, then its share of
//! all domains. A share is drawn by a keyed hash of the domain's name, so that a domain never changes sides between
//! sessions or restarts; with one key all proxies of a fleet draw alike, and a greater share keeps every domain of a
//! smaller one.

use ring::hmac::{HMAC_SHA256, Key, sign};

use super::scope::Scoped;
use crate::name::Domain;

/// What becomes of a recipient whose domain's demands are not met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is refused.
    #[default]
    Enforce,
    /// It is delivered as if nothing were demanded, and the refusal is told of.
    ReportOnly,
}

/// The modes of all domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// Of what nothing else is said.
    pub mode: Mode,
    /// Of how many domains in a hundred [`Mode::ReportOnly`] holds, where that is `mode`.
    pub share: Percent,
    /// What the share is drawn by.
    pub key: String,
    /// What is said of single domains.
    pub named: Scoped<Mode>,
}

/// From 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100);

    /// None outside 1 to 100.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match number {
            1..=100 => Some(Self(number)),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            mode: Mode::Enforce,
            share: Percent::ALL,
            key: SHARE_KEY.to_owned(),
            named: Scoped::default(),
        }
    }
}

/// What a share is drawn by when the configuration does not say.
pub const SHARE_KEY: &str = "danelaw";

impl Modes {
    /// The mode of a recipient's domain; without one (an address literal, `postmaster`) there is no share.
    #[must_use]
    pub fn of(&self, domain: Option<&Domain>) -> Mode {
        let Some(domain) = domain else {
            return self.mode;
        };
        if let Some(mode) = self.named.of(domain.as_str()).next() {
            return *mode;
        }
        match self.mode {
            Mode::ReportOnly if self.draws(domain) => Mode::ReportOnly,
            Mode::ReportOnly | Mode::Enforce => Mode::Enforce,
        }
    }

    /// Is the domain in the share?
    fn draws(&self, domain: &Domain) -> bool {
        if self.share == Percent::ALL {
            return true;
        }
        let key = Key::new(HMAC_SHA256, self.key.as_bytes());
        let tag = sign(&key, domain.as_str().as_bytes());
        let lot = tag
            .as_ref()
            .iter()
            .take(8)
            .fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        // The hundredth of the whole range that the lot falls into.
        let hundredth = (u128::from(lot) * 100) >> 64;
        hundredth < u128::from(self.share.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(mode: Mode, share: u8, key: &str, named: &[(&str, Mode)]) -> Modes {
        let mut modes = Modes {
            mode,
            share: Percent::new(share).unwrap(),
            key: key.into(),
            named: Scoped::default(),
        };
        for (scope, mode) in named {
            modes.named.insert(&scope.parse().unwrap(), *mode);
        }
        modes
    }

    fn domain(index: usize) -> Domain {
        format!("d{index}.example").parse().unwrap()
    }

    fn drawn(modes: &Modes) -> Vec<usize> {
        let is_in = |index: &usize| modes.of(Some(&domain(*index))) == Mode::ReportOnly;
        (0..2000).filter(is_in).collect()
    }

    #[test]
    fn what_is_said_of_a_domain_outweighs_what_is_said_of_all() {
        use Mode::{Enforce, ReportOnly};
        let named = [
            ("*.example.org", ReportOnly),
            ("strict.example.org", Enforce),
            ("*.strict.example.org", Enforce),
        ];
        for (mode, name, expected) in [
            (Enforce, Some("example.org"), Enforce),
            (Enforce, Some("a.example.org"), ReportOnly),
            (Enforce, Some("strict.example.org"), Enforce),
            (Enforce, Some("b.a.strict.example.org"), Enforce),
            (ReportOnly, Some("example.org"), ReportOnly),
            (ReportOnly, Some("strict.example.org"), Enforce),
            (ReportOnly, None, ReportOnly),
            (Enforce, None, Enforce),
        ] {
            let name = name.map(|name| name.parse().unwrap());
            let modes = modes(mode, 100, "k", &named);
            assert_eq!(modes.of(name.as_ref()), expected, "{mode:?} {name:?}");
        }
    }

    #[test]
    fn a_share_is_about_as_large_as_it_says_and_a_greater_one_keeps_the_smaller() {
        let mut before: Vec<usize> = Vec::new();
        for share in [1, 10, 25, 50, 90, 100] {
            let now = drawn(&modes(Mode::ReportOnly, share, "k", &[]));
            let expected = 20 * usize::from(share);
            assert!(
                now.len().abs_diff(expected) <= 100,
                "{share}: {}",
                now.len()
            );
            assert!(before.iter().all(|index| now.contains(index)), "{share}");
            before = now;
        }
        assert_eq!(before.len(), 2000);
    }

    #[test]
    fn a_share_is_the_same_at_every_start_and_another_with_another_key() {
        let draw = |key| drawn(&modes(Mode::ReportOnly, 10, key, &[]));
        assert_eq!(draw("k"), draw("k"));
        assert_ne!(draw("k"), draw("another"));
        // Written down: a release that drew otherwise would move domains about.
        let first: Vec<usize> = draw(SHARE_KEY).into_iter().take(5).collect();
        assert_eq!(first, FIRST_DRAWN);
    }

    const FIRST_DRAWN: [usize; 5] = [3, 18, 22, 35, 67];

    #[test]
    fn nothing_is_drawn_where_all_is_enforced() {
        assert!(drawn(&modes(Mode::Enforce, 50, "k", &[])).is_empty());
    }
}
