//! The outline of a certificate: where its parts lie, nothing parsed that is not needed.

/// Borrowed parts of one DER certificate.
#[derive(Clone, Copy, Debug)]
pub struct Outline<'a> {
    /// The whole SubjectPublicKeyInfo, header included: what selector 1 and pins are about.
    pub spki: &'a [u8],
}

/// The bytes are no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the certificate is not readable: {0}")]
pub struct Malformed(pub &'static str);

impl<'a> Outline<'a> {
    /// Finds the parts.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes are not one certificate and nothing else.
    pub fn parse(_der: &'a [u8]) -> Result<Self, Malformed> {
        unimplemented!()
    }
}
