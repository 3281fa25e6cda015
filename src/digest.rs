//! Digests of records: fields are kept apart by their lengths, so that no two records have the same octets.

use ring::digest::{Context, SHA256};

/// SHA-256 over the fields, each preceded by its length as eight octets.
#[must_use]
pub(crate) fn of_fields(fields: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for field in fields {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}
