//! Bytes of the CQL protocol with and without TLS, and handshakes with any port.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls;

use crate::certificates::Files;

/// No answer of a test takes longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A frame of version 4: OPTIONS on stream 0, without a body.
const OPTIONS: [u8; 9] = [0x04, 0, 0, 0, 0x05, 0, 0, 0, 0];
/// The opcode of its answer.
const SUPPORTED: u8 = 0x06;

fn config(ca: &str, identity: Option<&Files>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match identity {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = vec![CertificateDer::from_pem_file(&files.certificate).unwrap()];
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(&files.key).unwrap()).unwrap()
        }
    }
}

/// Connects over TLS to a port and verifies its certificate.
pub async fn connect_to(
    ip: Ipv4Addr,
    port: u16,
    ca: &str,
    identity: Option<&Files>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect((ip, port)).await?;
    let name = ServerName::from(std::net::IpAddr::from(ip));
    let handshake = TlsConnector::from(Arc::new(config(ca, identity))).connect(name, stream);
    tokio::time::timeout(ANSWER_WITHIN, handshake).await.expect("a handshake ends")
}

/// Connects over TLS to the CQL port.
pub async fn connect(ip: Ipv4Addr, ca: &str) -> io::Result<TlsStream<TcpStream>> {
    connect_to(ip, 9042, ca, None).await
}

/// Asks for the protocol's options; fails if there is no such answer.
pub async fn options(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let exchange = async {
        stream.write_all(&OPTIONS).await?;
        stream.flush().await?;
        let mut head = [0; 9];
        stream.read_exact(&mut head).await?;
        assert_eq!(head[4], SUPPORTED, "{head:?}");
        let length = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        stream.read_exact(&mut vec![0; length as usize]).await?;
        Ok(())
    };
    tokio::time::timeout(ANSWER_WITHIN, exchange).await.expect("an answer comes")
}

/// What a connection without TLS gets for its OPTIONS until it ends.
pub async fn plain_until_its_end(ip: Ipv4Addr, port: u16) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect((ip, port)).await?;
    stream.write_all(&OPTIONS).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(ANSWER_WITHIN, stream.read_to_end(&mut answer)).await.expect("it ends")?;
    Ok(answer)
}

/// The certificate that the other side has shown.
pub fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// A certificate's file.
pub fn certificate(path: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// What a node between nodes says to a certificate: the handshake may end well for the client before the server has seen
/// its certificate.
pub async fn peer_verdict(ip: Ipv4Addr, ca: &str, identity: Option<&Files>) -> io::Result<()> {
    let mut stream = connect_to(ip, 7000, ca, identity).await?;
    // HTTP/2 servers begin with their settings.
    let mut byte = [0];
    tokio::time::timeout(ANSWER_WITHIN, stream.read_exact(&mut byte)).await.expect("an answer comes")?;
    Ok(())
}
