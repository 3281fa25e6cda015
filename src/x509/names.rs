//! Names of a certificate against reference identifiers (RFC 6125 §6.4, RFC 7672 §3.2.3).
