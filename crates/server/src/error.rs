//! Why a server does not start, or had to stop.

use std::path::PathBuf;

/// Why a server does not start or had to stop. Each message says what to do about it where that is not plain.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// An address cannot be listened on.
    #[error("{}", listen_text(.purpose, .address, .source))]
    Listen {
        /// What for: CQL, gRPC, internode, HTTP.
        purpose: &'static str,
        /// The address.
        address: std::net::SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// TLS cannot be served with the files that are configured.
    #[error("cannot serve TLS for {side}: {source}")]
    Tls {
        /// For whom: clients or internode.
        side: &'static str,
        /// Which file, and what is wrong with it.
        source: crate::tls::TlsError,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {reason}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The node cannot be opened from its data directory.
    #[error("cannot open the node: {0}")]
    Open(String),
    /// The node stopped by itself.
    #[error("{0}")]
    Fatal(String),
    /// The system refused a thread, a signal handler or the like.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

fn listen_text(purpose: &str, address: &std::net::SocketAddr, source: &std::io::Error) -> String {
    let hint = match source.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; another program (perhaps another node) uses it: stop that one, or choose another address with --listen \
             or another port in the configuration"
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "; this machine has no such address: choose one of its own with --listen"
        }
        std::io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege: choose a higher one",
        _ => "",
    };
    format!("cannot listen for {purpose} on {address}: {source}{hint}")
}
