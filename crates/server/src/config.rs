//! The configuration: `quorate.toml`, overridden by `QUORATE_*` variables, overridden by flags.
//!
//! Every key is flat, and is the same everywhere: `data_dir` in the file is the variable `QUORATE_DATA_DIR` and the flag
//! `--data-dir`. [`KEYS`] lists and documents them all.

mod nearest;
mod shown;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::limits::WORKERS_MAX;
use nearest::nearest;
pub use tls::{ClientTls, InternodeTls, TlsConfig, TlsIdentity};

/// Every key with what it means. A flag's name has dashes where the key has underscores.
pub const KEYS: &[(&str, &str)] = &[
    ("cluster_name", "The cluster's name; nodes and data directories of another name are refused. Default: quorate"),
    ("data_dir", "Where the node keeps its data; one folder a node. Default: ./quorate-data"),
    ("listen", "IP address that all ports listen on. Default: 127.0.0.1"),
    ("advertise", "IP address or host name that others reach this node by. Default: the listen address"),
    ("seeds", "Nodes to join by: HOST or HOST:PORT (internode port), comma-separated or a list. Default: this node"),
    ("datacenter", "The node's data centre. Default: dc1"),
    ("rack", "The node's rack. Default: rack1"),
    ("cql_port", "Port for CQL drivers. Default: 9042"),
    ("internode_port", "Port for other nodes. Default: 7000"),
    ("grpc_port", "Port for gRPC. Default: 9044"),
    ("http_port", "Port for metrics and health over HTTP. Default: 9180"),
    (
        "client_tls",
        "TLS for clients (CQL and gRPC): off, optional (with and without on the same ports) or required. Default: off",
    ),
    (
        "client_tls_certificate",
        "PEM file of the certificate that clients are shown, and of those up to its authority. Default: none",
    ),
    ("client_tls_key", "PEM file of its private key. Default: none"),
    ("client_tls_ca", "PEM file of the authorities of clients' certificates. Default: none"),
    ("client_tls_require_certificate", "Whether clients must show a certificate: true or false. Default: false"),
    ("internode_tls", "TLS between nodes, both of which show a certificate: off or required. Default: off"),
    ("internode_tls_certificate", "PEM file of the certificate that other nodes are shown. Default: none"),
    ("internode_tls_key", "PEM file of its private key. Default: none"),
    ("internode_tls_ca", "PEM file of the authorities of nodes' certificates. Default: none"),
    (
        "internode_tls_verify_names",
        "Whether nodes' certificates must hold the nodes' addresses: true or false. Default: false",
    ),
    ("workers", "Worker threads; 0 means one a core. Default: 0"),
    ("job_threads", "Threads for disk reads, flushes and compactions; 0 means two, or one a core. Default: 0"),
    ("vnodes", "Tokens that the node takes when it joins. Default: 16"),
    ("commit_log", "When a write counts as durable: group, batch, periodic or unsynced. Default: group"),
    ("commit_log_period_ms", "Time between two syncs in the periodic mode. Default: 10000"),
    ("memtable_mb", "Memory for data not yet flushed, in MiB. Default: 64"),
    ("cache_mb", "Memory for cached blocks, in MiB. Default: 64"),
    ("requests_max", "Client requests in flight a worker; beyond it they are refused as overloaded. Default: 16384"),
    ("write_timeout_ms", "Time for a write, unless the client says otherwise. Default: 2000"),
    ("read_timeout_ms", "Time for a read of partitions, unless the client says otherwise. Default: 5000"),
    ("range_timeout_ms", "Time for a range read, unless the client says otherwise. Default: 10000"),
    ("hint_window_s", "How long hints are kept for a node that is down, in seconds. Default: 10800"),
    ("clock_skew_max_s", "How far ahead of this node's clock a timestamp may be, in seconds. Default: 3600"),
    ("log_level", "What is logged: error, warn, info, debug, trace, or a filter such as quorate=debug. Default: info"),
    ("log_format", "Form of the log on standard error: human or json. Default: human"),
];

/// When the commit log makes a write durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitLogMode {
    /// A write waits for an fsync, which all writes that wait share.
    Group,
    /// The same: there is no timer to leave out.
    Batch,
    /// A write does not wait; the log is synced every so often. A power loss takes acknowledged writes with it.
    Periodic,
    /// The log is never synced. For measuring only.
    Unsynced,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// A server's configuration, complete and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster's name.
    pub cluster_name: String,
    /// Where the node keeps its data.
    pub data_dir: PathBuf,
    /// Addresses and ports.
    pub network: NetworkConfig,
    /// TLS for clients and between nodes.
    pub tls: TlsConfig,
    /// The node's data centre.
    pub datacenter: String,
    /// The node's rack.
    pub rack: String,
    /// Threads.
    pub threads: ThreadConfig,
    /// Tokens that the node takes when it joins.
    pub vnodes: u32,
    /// When a write is durable.
    pub commit_log: CommitLogMode,
    /// Time between two syncs in the periodic mode.
    pub commit_log_period: Duration,
    /// Sizes and time limits.
    pub bounds: Bounds,
    /// What is logged.
    pub log_level: String,
    /// How it is logged.
    pub log_format: LogFormat,
}

/// Addresses and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// The address that all ports listen on.
    pub listen: IpAddr,
    /// How others reach this node: an IP address or a host name, without a port.
    pub advertise: String,
    /// Internode addresses to join by, each with its port.
    pub seeds: Vec<String>,
    /// Port for CQL drivers.
    pub cql_port: u16,
    /// Port for other nodes.
    pub internode_port: u16,
    /// Port for gRPC.
    pub grpc_port: u16,
    /// Port for metrics and health.
    pub http_port: u16,
}

impl NetworkConfig {
    /// A port at the listen address.
    pub fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.listen, port)
    }

    /// The internode address that others are told.
    pub fn internode_address(&self) -> String {
        join_host_port(&self.advertise, self.internode_port)
    }
}

/// Threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadConfig {
    /// Worker threads.
    pub workers: u16,
    /// Job threads.
    pub jobs: usize,
}

/// Sizes and time limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Memory for data not yet flushed.
    pub memtable_bytes: u64,
    /// Memory for cached blocks.
    pub cache_bytes: u64,
    /// Client requests in flight a worker.
    pub requests_max: usize,
    /// Time for a write.
    pub write_timeout: Duration,
    /// Time for a read of partitions.
    pub read_timeout: Duration,
    /// Time for a range read.
    pub range_timeout: Duration,
    /// How long hints are kept.
    pub hint_window: Duration,
    /// How far ahead a timestamp may be.
    pub clock_skew_max: Duration,
}

/// Why a configuration is refused. It names where the fault is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {reason}")]
    Read {
        /// The file.
        path: String,
        /// The system's reason.
        reason: String,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML: {reason}")]
    Syntax {
        /// The file.
        path: String,
        /// Where and what.
        reason: String,
    },
    /// A key that does not exist.
    #[error("unknown key '{key}' in {source_name}; did you mean '{nearest}'?")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        source_name: String,
        /// The known key most like it.
        nearest: &'static str,
    },
    /// A value that its key cannot have.
    #[error("{key} in {source_name}: {reason}")]
    Value {
        /// The key.
        key: String,
        /// Where it stands.
        source_name: String,
        /// What is wrong.
        reason: String,
    },
}

/// Values as they were given, each with its source; later layers override earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    values: BTreeMap<&'static str, (toml::Value, String)>,
    /// Variables that look like ours but are none of ours.
    pub unknown_variables: Vec<String>,
}

fn known_key(key: &str) -> Option<&'static str> {
    KEYS.iter().map(|(known, _)| *known).find(|known| *known == key)
}

impl Layers {
    /// Adds the file.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Read { path: shown.clone(), reason: error.to_string() })?;
        self.file_text(&text, &shown)
    }

    /// Adds a file's text.
    pub fn file_text(&mut self, text: &str, path: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
        for (key, value) in table {
            self.set(&key, value, path.to_owned())?;
        }
        Ok(())
    }

    /// Adds the `QUORATE_*` variables. Those that are no key are only noted: other programs name variables so, too.
    pub fn variables(&mut self, variables: impl IntoIterator<Item = (String, String)>) -> Result<(), ConfigError> {
        for (name, value) in variables {
            let Some(key) = name.strip_prefix("QUORATE_").map(str::to_lowercase) else { continue };
            if known_key(&key).is_some() {
                self.set(&key, toml::Value::String(value), format!("the variable {name}"))?;
            } else {
                self.unknown_variables.push(name);
            }
        }
        Ok(())
    }

    /// Adds a flag, named by its key (`data_dir` for `--data-dir`).
    pub fn flag(&mut self, key: &str, value: impl Into<String>) -> Result<(), ConfigError> {
        let source = format!("the flag --{}", key.replace('_', "-"));
        self.set(key, toml::Value::String(value.into()), source)
    }

    fn set(&mut self, key: &str, value: toml::Value, source_name: String) -> Result<(), ConfigError> {
        match known_key(key) {
            Some(known) => {
                self.values.insert(known, (value, source_name));
                Ok(())
            }
            None => {
                let nearest = nearest(key, KEYS.iter().map(|(known, _)| *known));
                Err(ConfigError::UnknownKey { key: key.to_owned(), source_name, nearest })
            }
        }
    }

    fn wrong(&self, key: &str, reason: impl Into<String>) -> ConfigError {
        let source_name = self.values.get(key).map_or_else(|| "the defaults".to_owned(), |(_, source)| source.clone());
        ConfigError::Value { key: key.to_owned(), source_name, reason: reason.into() }
    }

    fn text(&self, key: &'static str, default: &str) -> Result<String, ConfigError> {
        match self.values.get(key).map(|(value, _)| value) {
            None => Ok(default.to_owned()),
            Some(toml::Value::String(text)) if text.trim().is_empty() => Err(self.wrong(key, "is empty")),
            Some(toml::Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.wrong(key, format!("expected text, found {other}"))),
        }
    }

    fn number(
        &self,
        key: &'static str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<u64, ConfigError> {
        let number = match self.values.get(key).map(|(value, _)| value) {
            None => return Ok(default),
            Some(toml::Value::Integer(number)) => u64::try_from(*number).ok(),
            Some(toml::Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        let (low, high) = (*range.start(), *range.end());
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.wrong(key, format!("expected a whole number from {low} to {high}")))
    }

    fn list(&self, key: &'static str) -> Result<Vec<String>, ConfigError> {
        let items: Vec<String> = match self.values.get(key).map(|(value, _)| value) {
            None => Vec::new(),
            Some(toml::Value::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(toml::Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "expected a list of texts")))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(self.wrong(key, "expected a list, or text with commas")),
        };
        Ok(items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }

    fn choice<T: for<'de> Deserialize<'de>>(
        &self,
        key: &'static str,
        default: T,
        choices: &str,
    ) -> Result<T, ConfigError> {
        match self.values.get(key).map(|(value, _)| value) {
            None => Ok(default),
            Some(value) => {
                value.clone().try_into().map_err(|_| self.wrong(key, format!("is {value}; expected {choices}")))
            }
        }
    }

    /// Checks everything and gives the configuration.
    pub fn build(&self) -> Result<Config, ConfigError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = match self.number("workers", 0, 0..=WORKERS_MAX as u64)? {
            0 => cores.min(WORKERS_MAX) as u64,
            workers => workers,
        };
        let jobs = match self.number("job_threads", 0, 0..=1_024)? {
            0 => cores.max(2) as u64,
            jobs => jobs.max(2),
        };
        let seconds = |key, default| self.number(key, default, 0..=31_536_000).map(Duration::from_secs);
        let millis = |key, default| self.number(key, default, 1..=3_600_000).map(Duration::from_millis);
        let cluster_name = self.text("cluster_name", "quorate")?;
        Ok(Config {
            cluster_name,
            data_dir: PathBuf::from(self.text("data_dir", "./quorate-data")?),
            network: self.network()?,
            tls: self.tls()?,
            datacenter: self.text("datacenter", "dc1")?,
            rack: self.text("rack", "rack1")?,
            threads: ThreadConfig { workers: workers as u16, jobs: jobs as usize },
            vnodes: self.number("vnodes", 16, 1..=1_024)? as u32,
            commit_log: self.choice("commit_log", CommitLogMode::Group, "group, batch, periodic or unsynced")?,
            commit_log_period: millis("commit_log_period_ms", 10_000)?,
            bounds: Bounds {
                memtable_bytes: self.number("memtable_mb", 64, 1..=1_048_576)? << 20,
                cache_bytes: self.number("cache_mb", 64, 1..=1_048_576)? << 20,
                requests_max: self.number("requests_max", 16_384, 1..=1_000_000)? as usize,
                write_timeout: millis("write_timeout_ms", 2_000)?,
                read_timeout: millis("read_timeout_ms", 5_000)?,
                range_timeout: millis("range_timeout_ms", 10_000)?,
                hint_window: seconds("hint_window_s", 10_800)?,
                clock_skew_max: seconds("clock_skew_max_s", 3_600)?,
            },
            log_level: self.text("log_level", "info")?,
            log_format: self.choice("log_format", LogFormat::Human, "human or json")?,
        })
    }

    fn network(&self) -> Result<NetworkConfig, ConfigError> {
        let port = |key, default| self.number(key, default, 1..=65_535).map(|port| port as u16);
        let listen: IpAddr = self
            .text("listen", "127.0.0.1")?
            .trim()
            .parse()
            .map_err(|_| self.wrong("listen", "expected an IP address, such as 127.0.0.1 or 0.0.0.0"))?;
        if listen.is_unspecified() && !self.values.contains_key("advertise") {
            return Err(self.wrong(
                "listen",
                format!("{listen} is no address that others can reach: say with 'advertise' which one is"),
            ));
        }
        let advertise = self.text("advertise", &listen.to_string())?;
        let internode_port = port("internode_port", 7_000)?;
        let mut seeds: Vec<String> = self.list("seeds")?;
        if seeds.is_empty() {
            seeds.push(advertise.clone());
        }
        for seed in &mut seeds {
            *seed = seed_address(seed, internode_port)
                .ok_or_else(|| self.wrong("seeds", format!("'{seed}' is no address: expected HOST or HOST:PORT")))?;
        }
        Ok(NetworkConfig {
            listen,
            advertise,
            seeds,
            cql_port: port("cql_port", 9_042)?,
            internode_port,
            grpc_port: port("grpc_port", 9_044)?,
            http_port: port("http_port", 9_180)?,
        })
    }
}

fn join_host_port(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn seed_address(seed: &str, port: u16) -> Option<String> {
    if let Ok(ip) = seed.parse::<IpAddr>() {
        return Some(join_host_port(&ip.to_string(), port));
    }
    match seed.rsplit_once(':') {
        None => Some(join_host_port(seed, port)),
        Some((host, port)) if !host.is_empty() => port.parse::<u16>().ok().map(|port| format!("{host}:{port}")),
        Some(_) => None,
    }
}

impl Config {
    /// Warnings that do not keep a node from starting.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.tls.warnings(self.network.listen);
        match self.commit_log {
            CommitLogMode::Group | CommitLogMode::Batch => {}
            CommitLogMode::Periodic => warnings.push(format!(
                "commit_log is periodic: a power loss loses up to {} ms of acknowledged writes",
                self.commit_log_period.as_millis()
            )),
            CommitLogMode::Unsynced => {
                warnings
                    .push("commit_log is unsynced: a power loss loses acknowledged writes; for measuring only".into());
            }
        }
        warnings
    }
}
