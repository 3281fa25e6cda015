//! MTA-STS (RFC 8461): [`record`] (pure) the TXT record, [`policy`] (pure) the policy file, [`lint`] (pure) what their
//! owner should know about both, [`fetch`] (IO) the policy host, [`hints`] whom to ask in advance; beside them, pure,
//! which addresses of a policy host may be reached and which of its answers may carry a policy.

mod answer;
#[cfg(test)]
mod corpora;
pub mod fetch;
pub mod hints;
pub mod lint;
pub mod policy;
mod reach;
pub mod record;

pub use policy::{Faults, InvalidPolicy, Mode, MxPattern, Policy};
pub use record::{NoRecord, PolicyId};

/// `sts-ext-name` and `sts-policy-ext-name` are one production (RFC 8461 §3.1, §3.2).
fn is_field_name(name: &[u8]) -> bool {
    let [first, rest @ ..] = name else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && rest.len() <= 31
        && rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}
