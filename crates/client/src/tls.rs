//! TLS with the nodes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::error::Error;

/// How a client knows its nodes, and they it, over TLS.
///
/// ```no_run
/// # async fn example() -> Result<(), quorate_client::Error> {
/// use quorate_client::{Session, Tls};
///
/// let tls = Tls::from_files("ca.pem", Some(("client.pem", "client.key")))?;
/// let session = Session::builder().contact_point("10.0.0.1").tls(tls).connect().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientTlsConfig>,
    pem: Pem,
}

/// What the configuration was made of.
#[derive(Clone, Default)]
struct Pem {
    authorities: Arc<[u8]>,
    identity: Option<PemIdentity>,
    server_name: Option<String>,
}

/// Who the client is.
#[derive(Clone)]
struct PemIdentity {
    certificate: Arc<[u8]>,
    key: Arc<[u8]>,
}

impl fmt::Debug for Tls {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// Trusts nodes whose certificates one of these authorities (PEM) has signed and hold the address that is connected to.
    pub fn new(authorities: &[u8]) -> Result<Self, Error> {
        let authorities = pem("the authorities", authorities)?;
        let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authorities));
        Ok(Self { config: Arc::new(config), pem: Pem { authorities: authorities.into(), ..Pem::default() } })
    }

    /// Shows the nodes this certificate (PEM), whose key this is (PEM, not encrypted).
    pub fn identity(self, certificate: &[u8], key: &[u8]) -> Result<Self, Error> {
        let certificate = pem("the client's certificate", certificate)?;
        PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| wrong(format!("the client's key is no private key in PEM: {error}")))?;
        let config = (*self.config).clone().identity(Identity::from_pem(certificate, key));
        let identity = Some(PemIdentity { certificate: certificate.into(), key: key.into() });
        Ok(Self { config: Arc::new(config), pem: Pem { identity, ..self.pem } })
    }

    /// The name that every node's certificate must hold, in the place of the address that is connected to.
    #[must_use]
    pub fn server_name(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let config = Arc::new((*self.config).clone().domain_name(name.clone()));
        Self { config, pem: Pem { server_name: Some(name), ..self.pem } }
    }

    /// The same for connections that are not gRPC.
    pub fn rustls(&self) -> Result<rustls::ClientConfig, Error> {
        let mut roots = rustls::RootCertStore::empty();
        for authority in certificates(&self.pem.authorities)? {
            roots.add(authority).map_err(|error| wrong(format!("the authorities: {error}")))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots);
        let Some(PemIdentity { certificate, key }) = &self.pem.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| wrong(format!("the client's key: {error}")))?;
        let chain = certificates(certificate)?;
        builder.with_client_auth_cert(chain, key).map_err(|error| wrong(format!("the client's certificate: {error}")))
    }

    /// The name that the node's certificate must hold, if it is not the address that is connected to.
    pub fn name(&self) -> Option<&str> {
        self.pem.server_name.as_deref()
    }

    /// Reads the authorities, and the client's certificate and key if it has them, from PEM files.
    pub fn from_files<P: AsRef<Path>>(authorities: P, identity: Option<(P, P)>) -> Result<Self, Error> {
        let tls = Self::new(&read(authorities.as_ref())?)?;
        match identity {
            None => Ok(tls),
            Some((certificate, key)) => tls.identity(&read(certificate.as_ref())?, &read(key.as_ref())?),
        }
    }

    /// Has an endpoint of tonic's use this.
    pub fn apply(&self, endpoint: Endpoint) -> Result<Endpoint, Error> {
        endpoint.tls_config((*self.config).clone()).map_err(|error| wrong(crate::connection::reason_of(&error)))
    }
}

/// An endpoint at `HOST:PORT`, with TLS or without.
pub(crate) fn endpoint(address: &str, tls: Option<&Tls>) -> Result<Endpoint, String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).map_err(|error| error.to_string())?;
    match tls {
        None => Ok(endpoint),
        Some(tls) => tls.apply(endpoint).map_err(|error| error.to_string()),
    }
}

/// TLS as a command line gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
pub struct TlsFiles {
    /// Use TLS, and trust nodes whose certificates these authorities have signed (a PEM file)
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE", global = true))]
    pub tls_ca: Option<PathBuf>,
    /// Show the nodes this certificate (a PEM file)
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE", global = true))]
    pub tls_cert: Option<PathBuf>,
    /// The key of that certificate (a PEM file)
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE", global = true))]
    pub tls_key: Option<PathBuf>,
    /// The name that the nodes' certificates must hold, if it is not the address that is connected to
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME", global = true))]
    pub tls_server_name: Option<String>,
}

impl TlsFiles {
    /// Reads the files; nothing if none is named.
    pub fn load(&self) -> Result<Option<Tls>, Error> {
        if *self == Self::default() {
            return Ok(None);
        }
        let authorities = self.tls_ca.as_ref().ok_or_else(|| {
            wrong("--tls-ca is needed: the file of the authorities that have signed the nodes' certificates")
        })?;
        let identity = match (&self.tls_cert, &self.tls_key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate, key)),
            _ => return Err(wrong("--tls-cert and --tls-key need each other")),
        };
        let tls = Tls::from_files(authorities, identity)?;
        Ok(Some(match &self.tls_server_name {
            None => tls,
            Some(name) => tls.server_name(name),
        }))
    }
}

fn wrong(reason: impl Into<String>) -> Error {
    Error::Tls { reason: reason.into() }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|error| wrong(format!("{} cannot be read: {error}", path.display())))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    all.map_err(|error| wrong(format!("no valid PEM: {error}")))
}

/// Checks that there is a certificate.
fn pem<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a [u8], Error> {
    match CertificateDer::pem_slice_iter(bytes).next() {
        Some(Ok(_)) => Ok(bytes),
        Some(Err(error)) => Err(wrong(format!("{what}: no valid PEM: {error}"))),
        None => Err(wrong(format!("{what}: there is no certificate in it; expected PEM"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(files: &TlsFiles) -> String {
        files.load().unwrap_err().to_string()
    }

    #[test]
    fn without_files_there_is_no_tls() {
        assert!(TlsFiles::default().load().unwrap().is_none());
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let key_alone = TlsFiles { tls_key: Some("k".into()), ..TlsFiles::default() };
        assert!(refusal(&key_alone).contains("--tls-ca is needed"));
        let half = TlsFiles { tls_ca: Some("c".into()), ..key_alone };
        assert!(refusal(&half).contains("need each other"));
        let absent = TlsFiles { tls_ca: Some("/nowhere/ca.pem".into()), ..TlsFiles::default() };
        assert!(refusal(&absent).contains("/nowhere/ca.pem cannot be read"));
        assert!(Tls::new(b"no PEM").unwrap_err().to_string().contains("no certificate in it"));
    }
}
