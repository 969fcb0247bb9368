//! The configuration as names and values, for those who ask a running node.

use std::path::Path;

use super::{CommitLogMode, Config, KEYS, LogFormat};

impl Config {
    /// Every key of [`KEYS`] with the value that is in use, in their order. Files of keys are named, never shown; what is
    /// not set is empty.
    pub fn settings(&self) -> Vec<(String, String)> {
        KEYS.iter().map(|(key, _)| ((*key).to_owned(), self.shown(key).unwrap_or_default())).collect()
    }

    fn shown(&self, key: &str) -> Option<String> {
        let (network, bounds) = (&self.network, &self.bounds);
        let value = match key {
            "cluster_name" => self.cluster_name.clone(),
            "data_dir" => self.data_dir.display().to_string(),
            "listen" => network.listen.to_string(),
            "advertise" => network.advertise.clone(),
            "seeds" => network.seeds.join(","),
            "datacenter" => self.datacenter.clone(),
            "rack" => self.rack.clone(),
            "cql_port" => network.cql_port.to_string(),
            "internode_port" => network.internode_port.to_string(),
            "grpc_port" => network.grpc_port.to_string(),
            "http_port" => network.http_port.to_string(),
            "workers" => self.threads.workers.to_string(),
            "job_threads" => self.threads.jobs.to_string(),
            "vnodes" => self.vnodes.to_string(),
            "commit_log" => match self.commit_log {
                CommitLogMode::Group => "group",
                CommitLogMode::Batch => "batch",
                CommitLogMode::Periodic => "periodic",
                CommitLogMode::Unsynced => "unsynced",
            }
            .to_owned(),
            "commit_log_period_ms" => self.commit_log_period.as_millis().to_string(),
            "memtable_mb" => (bounds.memtable_bytes >> 20).to_string(),
            "cache_mb" => (bounds.cache_bytes >> 20).to_string(),
            "requests_max" => bounds.requests_max.to_string(),
            "write_timeout_ms" => bounds.write_timeout.as_millis().to_string(),
            "read_timeout_ms" => bounds.read_timeout.as_millis().to_string(),
            "range_timeout_ms" => bounds.range_timeout.as_millis().to_string(),
            "hint_window_s" => bounds.hint_window.as_secs().to_string(),
            "clock_skew_max_s" => bounds.clock_skew_max.as_secs().to_string(),
            "log_level" => self.log_level.clone(),
            "log_format" => match self.log_format {
                LogFormat::Human => "human",
                LogFormat::Json => "json",
            }
            .to_owned(),
            of_tls => return self.shown_tls(of_tls),
        };
        Some(value)
    }

    fn shown_tls(&self, key: &str) -> Option<String> {
        let path = |path: &Path| Some(path.display().to_string());
        let (clients, internode) = (self.tls.clients.as_ref(), self.tls.internode.as_ref());
        match key {
            "client_tls" => {
                let mode = clients.map_or("off", |tls| if tls.plain_too { "optional" } else { "required" });
                Some(mode.to_owned())
            }
            "client_tls_certificate" => path(&clients?.identity.certificate),
            "client_tls_key" => path(&clients?.identity.key),
            "client_tls_ca" => path(clients?.ca.as_ref()?),
            "client_tls_require_certificate" => Some(clients.is_some_and(|tls| tls.require_certificate).to_string()),
            "internode_tls" => Some(internode.map_or("off", |_| "required").to_owned()),
            "internode_tls_certificate" => path(&internode?.identity.certificate),
            "internode_tls_key" => path(&internode?.identity.key),
            "internode_tls_ca" => path(&internode?.ca),
            "internode_tls_verify_names" => Some(internode.is_some_and(|tls| tls.verify_names).to_string()),
            _ => None,
        }
    }
}
