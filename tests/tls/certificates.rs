//! Authorities and certificates in a folder.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// An authority; its files lie in a folder.
pub struct Authority {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate's file and its key's.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: String,
    /// The key.
    pub key: String,
}

impl Authority {
    /// A new one, whose certificate is `NAME.pem` in the folder.
    pub fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join(format!("{name}.pem")), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder: folder.to_owned(), issuer: Issuer::new(params, key) }
    }

    /// Signs a certificate for these addresses; `NAME.pem` and `NAME.key` in the folder, new or in the place of old ones.
    pub fn sign(&self, name: &str, addresses: &[Ipv4Addr]) -> Files {
        self.sign_with(name, addresses, |_| {})
    }

    /// The same, with something else about it.
    pub fn sign_with(&self, name: &str, addresses: &[Ipv4Addr], with: impl FnOnce(&mut CertificateParams)) -> Files {
        let names: Vec<String> = addresses.iter().map(Ipv4Addr::to_string).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        with(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files { certificate: path(&self.folder, name, "pem"), key: path(&self.folder, name, "key") };
        std::fs::write(&files.certificate, certificate.pem()).unwrap();
        std::fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
}

/// A file of the folder.
pub fn path(folder: &Path, name: &str, extension: &str) -> String {
    folder.join(format!("{name}.{extension}")).display().to_string()
}
