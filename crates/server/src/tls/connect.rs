//! Connections to other nodes over TLS.

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::transport::Uri;

/// Connects to a node. The error says whether it was the network or the handshake that failed.
pub(crate) async fn connect(config: Arc<ClientConfig>, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("'{uri}' {what}"));
    let host = uri.host().ok_or_else(|| invalid("has no host"))?.trim_matches(['[', ']']).to_owned();
    let port = uri.port_u16().ok_or_else(|| invalid("has no port"))?;
    let name = ServerName::try_from(host.clone()).map_err(|_| invalid("has a host that no certificate can name"))?;
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    match TlsConnector::from(config).connect(name, stream).await {
        Ok(stream) => Ok(TokioIo::new(stream)),
        Err(error) => {
            let hint = match error.kind() {
                io::ErrorKind::UnexpectedEof => "; it may serve without TLS, or refuse this node's certificate",
                _ if error.to_string().contains("corrupt message") => "; it seems to serve without TLS",
                _ => "",
            };
            Err(io::Error::new(error.kind(), format!("the TLS handshake with it failed: {error}{hint}")))
        }
    }
}
