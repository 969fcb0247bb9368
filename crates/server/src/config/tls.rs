//! The settings of TLS.

use std::path::PathBuf;

use serde::Deserialize;

use super::{ConfigError, Layers};

/// TLS on both kinds of port; `None` where it is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// On the ports for clients: CQL and gRPC.
    pub clients: Option<ClientTls>,
    /// On the port for other nodes.
    pub internode: Option<InternodeTls>,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, then those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// TLS for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Connections without TLS are served on the same ports.
    pub plain_too: bool,
    /// What clients are shown.
    pub identity: TlsIdentity,
    /// The authorities of clients' certificates.
    pub ca: Option<PathBuf>,
    /// A client without a certificate is refused.
    pub require_certificate: bool,
}

/// TLS between nodes. Both sides always show a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InternodeTls {
    /// What other nodes are shown, whoever connects.
    pub identity: TlsIdentity,
    /// The authorities of nodes' certificates.
    pub ca: PathBuf,
    /// A node's certificate must hold the address that it is reached by.
    pub verify_names: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientMode {
    Off,
    Optional,
    Required,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum InternodeMode {
    Off,
    Required,
}

const CLIENT_KEYS: [&str; 4] =
    ["client_tls_certificate", "client_tls_key", "client_tls_ca", "client_tls_require_certificate"];

const INTERNODE_KEYS: [&str; 4] =
    ["internode_tls_certificate", "internode_tls_key", "internode_tls_ca", "internode_tls_verify_names"];

impl Layers {
    pub(super) fn tls(&self) -> Result<TlsConfig, ConfigError> {
        Ok(TlsConfig { clients: self.client_tls()?, internode: self.internode_tls()? })
    }

    fn client_tls(&self) -> Result<Option<ClientTls>, ConfigError> {
        let mode = self.choice("client_tls", ClientMode::Off, "off, optional or required")?;
        if mode == ClientMode::Off {
            self.refuse_without(&CLIENT_KEYS, "client_tls", "optional or required")?;
            return Ok(None);
        }
        let ca = self.path("client_tls_ca")?;
        let require_certificate = self.flag_value("client_tls_require_certificate", false)?;
        if require_certificate && ca.is_none() {
            return Err(self.wrong(
                "client_tls_require_certificate",
                "needs client_tls_ca, the file of the authorities of clients' certificates",
            ));
        }
        if require_certificate && mode == ClientMode::Optional {
            return Err(self.wrong(
                "client_tls_require_certificate",
                "has no use with client_tls = optional, where a client may come without TLS; it needs required",
            ));
        }
        let identity = self.identity("client_tls", "client_tls_certificate", "client_tls_key")?;
        Ok(Some(ClientTls { plain_too: mode == ClientMode::Optional, identity, ca, require_certificate }))
    }

    fn internode_tls(&self) -> Result<Option<InternodeTls>, ConfigError> {
        if self.choice("internode_tls", InternodeMode::Off, "off or required")? == InternodeMode::Off {
            self.refuse_without(&INTERNODE_KEYS, "internode_tls", "required")?;
            return Ok(None);
        }
        let identity = self.identity("internode_tls", "internode_tls_certificate", "internode_tls_key")?;
        let ca = self.needed("internode_tls", "internode_tls_ca")?;
        let verify_names = self.flag_value("internode_tls_verify_names", false)?;
        Ok(Some(InternodeTls { identity, ca, verify_names }))
    }

    fn identity(&self, mode: &str, certificate: &'static str, key: &'static str) -> Result<TlsIdentity, ConfigError> {
        Ok(TlsIdentity { certificate: self.needed(mode, certificate)?, key: self.needed(mode, key)? })
    }

    /// Whoever gives a certificate believes that it is used.
    fn refuse_without(&self, keys: &[&'static str], mode: &str, modes: &str) -> Result<(), ConfigError> {
        match keys.iter().find(|key| self.values.contains_key(*key)) {
            None => Ok(()),
            Some(key) => {
                Err(self.wrong(key, format!("has no effect while {mode} is off: set it to {modes}, or leave this out")))
            }
        }
    }

    fn path(&self, key: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        if self.values.contains_key(key) { self.text(key, "").map(|text| Some(text.into())) } else { Ok(None) }
    }

    fn needed(&self, mode: &str, key: &'static str) -> Result<PathBuf, ConfigError> {
        self.path(key)?.ok_or_else(|| self.wrong(mode, format!("needs {key}, a PEM file")))
    }

    fn flag_value(&self, key: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.values.get(key).map(|(value, _)| value) {
            None => Ok(default),
            Some(toml::Value::Boolean(flag)) => Ok(*flag),
            Some(toml::Value::String(text)) => {
                text.trim().parse().map_err(|_| self.wrong(key, format!("is '{text}'; expected true or false")))
            }
            Some(other) => Err(self.wrong(key, format!("is {other}; expected true or false"))),
        }
    }
}

impl TlsConfig {
    /// What reaches this address unprotected, if others than this machine can reach it.
    pub(super) fn warnings(&self, listen: std::net::IpAddr) -> Vec<String> {
        if listen.is_loopback() {
            return Vec::new();
        }
        let all = "everybody who can reach it can read and change everything";
        let mut warnings = Vec::new();
        match (&self.clients, &self.internode) {
            (None, None) => return vec![format!("listening on {listen} without TLS: {all}")],
            (None, Some(_)) => {
                warnings.push(format!("listening for clients on {listen} without TLS (client_tls is off): {all}"));
            }
            (Some(clients), _) if clients.plain_too => warnings.push(format!(
                "listening for clients on {listen} with TLS as well as without TLS (client_tls is optional): {all}"
            )),
            (Some(_), _) => {}
        }
        if self.internode.is_none() {
            warnings.push(format!("listening for other nodes on {listen} without TLS (internode_tls is off): {all}"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    const CLIENT: &str = "client_tls_certificate = 'c.pem'\nclient_tls_key = 'c.key'\n";
    const INTERNODE: &str = "internode_tls = 'required'\ninternode_tls_certificate = 'n.pem'\ninternode_tls_key = \
                             'n.key'\ninternode_tls_ca = 'ca.pem'\n";

    fn build(text: &str) -> Result<Config, ConfigError> {
        let mut layers = Layers::default();
        layers.file_text(text, "quorate.toml")?;
        layers.build()
    }

    fn refusal(text: &str) -> String {
        build(text).unwrap_err().to_string()
    }

    #[test]
    fn it_is_off_unless_asked_for() {
        assert_eq!(build("").unwrap().tls, TlsConfig::default());
    }

    #[test]
    fn each_side_has_its_own_settings() {
        let config = build(&format!("client_tls = 'optional'\n{CLIENT}{INTERNODE}internode_tls_verify_names = true"));
        let tls = config.unwrap().tls;
        let clients = tls.clients.unwrap();
        assert!(clients.plain_too && clients.ca.is_none() && !clients.require_certificate);
        let internode = tls.internode.unwrap();
        assert_eq!(internode.identity.certificate, PathBuf::from("n.pem"));
        assert!(internode.verify_names);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert!(refusal("client_tls = 'required'").contains("needs client_tls_certificate"));
        assert!(refusal("client_tls = 'sometimes'").contains("off, optional or required"));
        assert!(refusal("internode_tls = 'optional'").contains("off or required"));
        let without_ca = INTERNODE.replace("internode_tls_ca = 'ca.pem'\n", "");
        assert!(refusal(&without_ca).contains("needs internode_tls_ca"));
        let required = format!("client_tls = 'required'\n{CLIENT}client_tls_require_certificate = true");
        assert!(refusal(&required).contains("needs client_tls_ca"));
        assert!(refusal(&format!("{required}\nclient_tls_ca = ''")).contains("is empty"));
    }

    #[test]
    fn a_setting_without_effect_is_refused() {
        assert!(refusal(CLIENT).contains("no effect while client_tls is off"));
        assert!(refusal(&INTERNODE.replace("'required'", "'off'")).contains("no effect while internode_tls is off"));
        let optional = format!("client_tls = 'optional'\n{CLIENT}client_tls_ca = 'ca.pem'");
        assert!(refusal(&format!("{optional}\nclient_tls_require_certificate = true")).contains("has no use with"));
        assert!(refusal(&format!("{optional}\nclient_tls_require_certificate = 1")).contains("true or false"));
    }

    #[test]
    fn each_combination_warns_of_what_is_open() {
        let warnings = |text: &str, listen: &str| {
            build(&format!("listen = '{listen}'\n{text}")).unwrap().warnings().into_iter().collect::<Vec<_>>()
        };
        let (open, closed) = ("10.0.0.1", "127.0.0.1");
        let required = format!("client_tls = 'required'\n{CLIENT}");
        let optional = format!("client_tls = 'optional'\n{CLIENT}");
        assert_eq!(warnings("", closed), Vec::<String>::new());
        assert_eq!(warnings(&optional, closed), Vec::<String>::new());
        assert!(warnings("", open)[0].starts_with("listening on 10.0.0.1 without TLS:"));
        let only_internode = warnings(INTERNODE, open);
        assert!(only_internode.len() == 1 && only_internode[0].contains("for clients"), "{only_internode:?}");
        let only_clients = warnings(&required, open);
        assert!(only_clients.len() == 1 && only_clients[0].contains("for other nodes"), "{only_clients:?}");
        assert_eq!(warnings(&format!("{optional}{INTERNODE}"), open).len(), 1);
        assert_eq!(warnings(&optional, open).len(), 2);
        assert_eq!(warnings(&format!("{required}{INTERNODE}"), open), Vec::<String>::new());
    }
}
