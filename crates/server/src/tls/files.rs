//! From PEM files to what rustls serves with. Every refusal names the file and what is wrong with it.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig, version};

use super::validity::Validity;
use super::verify::ChainVerifier;
use crate::config::{ClientTls, InternodeTls, TlsIdentity};
use crate::limits::TLS_FILE_BYTES_MAX;

/// A file that TLS cannot be served with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

fn wrong(path: &Path, reason: impl Into<String>) -> TlsError {
    TlsError { path: path.to_owned(), reason: reason.into() }
}

/// What the fronts serve clients with.
#[derive(Debug)]
pub(crate) struct ClientSide {
    pub(crate) cql: Arc<ServerConfig>,
    pub(crate) grpc: Arc<ServerConfig>,
    pub(crate) validity: Validity,
}

/// What this node meets other nodes with.
#[derive(Debug)]
pub(crate) struct InternodeSide {
    pub(crate) accept: Arc<ServerConfig>,
    pub(crate) connect: Arc<ClientConfig>,
    pub(crate) validity: Validity,
}

/// What a protocol is called in the handshake: HTTP/2 carries gRPC.
const ALPN_H2: &[u8] = b"h2";

impl ClientSide {
    /// Reads the files and checks them; `now` in seconds since 1970.
    pub(crate) fn load(config: &ClientTls, now: i64) -> Result<Self, TlsError> {
        let provider = provider();
        let verifier = match &config.ca {
            None => WebPkiClientVerifier::no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(read_roots(ca)?);
                let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider));
                let builder = if config.require_certificate { builder } else { builder.allow_unauthenticated() };
                builder.build().map_err(|error| wrong(ca, error.to_string()))?
            }
        };
        let identity = Identity::load(&config.identity, now)?;
        let versions = &[&version::TLS13, &version::TLS12];
        let server = identity.server(&provider, verifier, versions)?;
        let mut grpc = server.clone();
        grpc.alpn_protocols = vec![ALPN_H2.to_vec()];
        Ok(Self { cql: Arc::new(server), grpc: Arc::new(grpc), validity: identity.validity })
    }
}

impl InternodeSide {
    /// Reads the files and checks them; `now` in seconds since 1970.
    pub(crate) fn load(config: &InternodeTls, now: i64) -> Result<Self, TlsError> {
        let provider = provider();
        let roots = Arc::new(read_roots(&config.ca)?);
        let broken_ca = |error: rustls::server::VerifierBuilderError| wrong(&config.ca, error.to_string());
        let peers = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider));
        let peers = peers.build().map_err(broken_ca)?;
        let chain = Arc::new(ChainVerifier::new(Arc::clone(&roots), provider.signature_verification_algorithms));
        let identity = Identity::load(&config.identity, now)?;
        identity.check_chain(&config.ca, &chain, &*peers, now)?;
        let servers: Arc<dyn ServerCertVerifier> = if config.verify_names {
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build().map_err(broken_ca)?
        } else {
            chain
        };
        let versions = &[&version::TLS13];
        let mut accept = identity.server(&provider, peers, versions)?;
        accept.alpn_protocols = vec![ALPN_H2.to_vec()];
        let mut connect = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| identity.unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(servers)
            .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
            .map_err(|error| identity.unusable(&error))?;
        connect.alpn_protocols = vec![ALPN_H2.to_vec()];
        Ok(Self { accept: Arc::new(accept), connect: Arc::new(connect), validity: identity.validity })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate with its key.
struct Identity<'a> {
    files: &'a TlsIdentity,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    validity: Validity,
}

impl<'a> Identity<'a> {
    fn load(files: &'a TlsIdentity, now: i64) -> Result<Self, TlsError> {
        let path = &files.certificate;
        let chain = read_certificates(path)?;
        let validity = chain.first().and_then(|leaf| Validity::of(leaf));
        let validity = validity.ok_or_else(|| wrong(path, "its first certificate is malformed"))?;
        if now > validity.until {
            return Err(wrong(path, format!("it expired {} ago", span(now.saturating_sub(validity.until)))));
        }
        if now < validity.from {
            let until = span(validity.from.saturating_sub(now));
            return Err(wrong(
                path,
                format!("it is not valid before {until} from now; is this machine's clock right?"),
            ));
        }
        Ok(Self { files, chain, key: read_key(&files.key)?, validity })
    }

    fn server(
        &self,
        provider: &Arc<CryptoProvider>,
        clients: Arc<dyn ClientCertVerifier>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Result<ServerConfig, TlsError> {
        ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(|error| self.unusable(&error))?
            .with_client_cert_verifier(clients)
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .map_err(|error| self.unusable(&error))
    }

    fn unusable(&self, error: &rustls::Error) -> TlsError {
        match error {
            rustls::Error::InconsistentKeys(_) => wrong(
                &self.files.key,
                format!("it is not the key of the certificate in {}", self.files.certificate.display()),
            ),
            rustls::Error::General(reason) => wrong(&self.files.key, format!("this key cannot be used: {reason}")),
            other => wrong(&self.files.certificate, other.to_string()),
        }
    }

    /// A node whose own certificate its peers must refuse would only be alone.
    fn check_chain(
        &self,
        ca: &Path,
        servers: &ChainVerifier,
        clients: &dyn ClientCertVerifier,
        now: i64,
    ) -> Result<(), TlsError> {
        let Some((leaf, between)) = self.chain.split_first() else { return Ok(()) };
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
        let as_server = servers.verify_chain(leaf, between, now);
        let as_client = clients.verify_client_cert(leaf, between, now).map(|_| ());
        as_server.and(as_client).map_err(|error| {
            let reason = format!(
                "other nodes would refuse it by the authorities in {}: {error} (between nodes a certificate serves on \
                 both sides; if it names extended key usages, serverAuth and clientAuth must be among them)",
                ca.display()
            );
            wrong(&self.files.certificate, reason)
        })
    }
}

/// A time for people.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        172_800.. => format!("{} days", seconds / 86_400),
        7_200.. => format!("{} hours", seconds / 3_600),
        _ => format!("{seconds} seconds"),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| wrong(path, format!("cannot be read: {error}")))?;
    let limit = TLS_FILE_BYTES_MAX.saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| wrong(path, format!("cannot be read: {error}")))?;
    if bytes.len() as u64 >= limit {
        return Err(wrong(path, format!("it is over {TLS_FILE_BYTES_MAX} bytes, too long for certificates")));
    }
    Ok(bytes)
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(path, format!("it is no valid PEM: {error}")))?;
    if chain.is_empty() {
        return Err(wrong(path, "there is no certificate in it; expected PEM with '-----BEGIN CERTIFICATE-----'"));
    }
    Ok(chain)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let bytes = read(path)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
        match error {
            rustls::pki_types::pem::Error::NoItemsFound if encrypted => {
                wrong(path, "its key is encrypted; a key without a passphrase is needed")
            }
            rustls::pki_types::pem::Error::NoItemsFound => {
                wrong(path, "there is no private key in it; expected PEM with '-----BEGIN PRIVATE KEY-----'")
            }
            other => wrong(path, format!("it is no valid PEM: {other}")),
        }
    })
}

fn read_roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots.add(certificate).map_err(|error| wrong(path, format!("a certificate in it is unusable: {error}")))?;
    }
    Ok(roots)
}
