//! The TLS client towards MX hosts: possession of the key is proven, everything else is written down.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;

use super::Handshake;
use crate::name::DnsName;

/// Makes handshakes; one for the process.
#[derive(Clone)]
pub struct Connector {}

impl Connector {
    /// With the provider's safe defaults: TLS 1.2 and 1.3, no resumption across demands, no client certificate.
    ///
    /// # Errors
    /// When the provider cannot be set up.
    pub fn new() -> Result<Self, rustls::Error> {
        unimplemented!()
    }

    /// Shakes hands over `stream`, asking for `sni`.
    ///
    /// # Errors
    /// Why there is no protected channel, in words for the record; the stream is gone.
    pub async fn handshake<S>(
        &self,
        _stream: S,
        _sni: Option<&DnsName>,
    ) -> Result<(TlsStream<S>, Handshake), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        unimplemented!()
    }
}
