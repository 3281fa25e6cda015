//! The values that are one of a few words, and what was expected where none of them stands.

use serde_json::Value as Json;
use toml::de::DeValue;

use super::mta_sts::{Prewarm, Unknown};
use super::value::Value;
use super::{ClientTls, Layout, OwnBy, Sandbox, Watch};
use crate::dns::resolver::Validate;
use crate::intercept::Via;
use crate::policy::{Combine, Continuity, InsecureMx, Mode};
use crate::report::trace::keeper::KeepTraces;
use crate::smtp::data::BareLineEnds;

/// A type whose values are a few words.
trait Words: Copy + PartialEq + 'static {
    const EXPECTED: &'static str;
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Words> Value for T {
    fn read(value: &DeValue<'_>) -> Result<Self, &'static str> {
        let text = value.as_str();
        Self::WORDS
            .iter()
            .find(|word| Some(word.0) == text)
            .map(|word| word.1)
            .ok_or(Self::EXPECTED)
    }

    fn write(&self) -> Json {
        let word = Self::WORDS.iter().find(|word| word.1 == *self);
        word.map_or(Json::Null, |word| word.0.into())
    }
}

impl Words for Via {
    const EXPECTED: &'static str = "\"redirect\", \"tproxy\", \"proxy-protocol\" or \"socks5\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        (Self::Redirect.label(), Self::Redirect),
        (Self::Tproxy.label(), Self::Tproxy),
        (Self::ProxyProtocol.label(), Self::ProxyProtocol),
        (Self::Socks5.label(), Self::Socks5),
    ];
}

impl Words for ClientTls {
    const EXPECTED: &'static str = "\"auto\", \"never\" or \"offer\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("never", Self::Never),
        ("offer", Self::Offer),
    ];
}

impl Words for Sandbox {
    const EXPECTED: &'static str = "\"best-effort\", \"required\" or \"off\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("best-effort", Self::BestEffort),
        ("required", Self::Required),
        ("off", Self::Off),
    ];
}

impl Words for Watch {
    const EXPECTED: &'static str = "\"auto\", \"required\" or \"off\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("required", Self::Required),
        ("off", Self::Off),
    ];
}

impl Words for Layout {
    const EXPECTED: &'static str = "\"host\", \"gateway\" or \"container\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("host", Self::Host),
        ("gateway", Self::Gateway),
        ("container", Self::Container),
    ];
}

impl Words for OwnBy {
    const EXPECTED: &'static str = "\"uid\" or \"mark\"";
    const WORDS: &'static [(&'static str, Self)] = &[("uid", Self::Uid), ("mark", Self::Mark)];
}

impl Words for Unknown {
    const EXPECTED: &'static str = "\"defer\" or \"pass\"";
    const WORDS: &'static [(&'static str, Self)] = &[("defer", Self::Defer), ("pass", Self::Pass)];
}

impl Words for Prewarm {
    const EXPECTED: &'static str = "\"history\" or \"off\"";
    const WORDS: &'static [(&'static str, Self)] =
        &[("history", Self::History), ("off", Self::Off)];
}

impl Words for InsecureMx {
    const EXPECTED: &'static str = "\"dane\", \"encrypt\" or \"ignore\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("dane", Self::Dane),
        ("encrypt", Self::Encrypt),
        ("ignore", Self::Ignore),
    ];
}

impl Words for Validate {
    const EXPECTED: &'static str = "\"local\", \"trust-ad\" or \"both\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("local", Self::Local),
        ("trust-ad", Self::TrustAd),
        ("both", Self::Both),
    ];
}

impl Words for BareLineEnds {
    const EXPECTED: &'static str = "\"reject\" or \"pass\"";
    const WORDS: &'static [(&'static str, Self)] =
        &[("reject", Self::Reject), ("pass", Self::Pass)];
}

impl Words for Mode {
    const EXPECTED: &'static str = "\"enforce\" or \"report-only\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("enforce", Self::Enforce),
        ("report-only", Self::ReportOnly),
    ];
}

impl Words for KeepTraces {
    const EXPECTED: &'static str = "\"refusals\", \"all\" or \"off\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("refusals", Self::Refusals),
        ("all", Self::All),
        ("off", Self::Off),
    ];
}

impl Words for Combine {
    const EXPECTED: &'static str = "\"dane-first\" or \"both\"";
    const WORDS: &'static [(&'static str, Self)] =
        &[("dane-first", Self::DaneFirst), ("both", Self::Both)];
}

impl Words for Continuity {
    const EXPECTED: &'static str = "\"off\", \"alert\" or \"enforce\"";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("off", Self::Off),
        ("alert", Self::Alert),
        ("enforce", Self::Enforce),
    ];
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LogFormat {
    /// `key=value` after a sentence.
    Text,
    /// One JSON object.
    Json,
}

impl Words for LogFormat {
    const EXPECTED: &'static str = "\"text\" or \"json\"";
    const WORDS: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}
