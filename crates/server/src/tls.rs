//! TLS for clients and between nodes, with certificates that change while the node serves.
//!
//! What is in use is an immutable configuration that each new handshake takes as it is; loading the files anew puts another
//! in its place. Connections that are open keep what they have agreed on.

mod connect;
mod files;
mod handshake;
mod incoming;
mod metrics;
mod validity;
mod verify;
mod watch;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use quorate_os::Clock;
use rustls::ServerConfig;

use crate::config::{ClientTls, InternodeTls, TlsConfig};
use crate::error::ServerError;
use crate::limits::TLS_EXPIRY_WARNING;

pub(crate) use connect::connect;
pub use files::TlsError;
use files::{ClientSide, InternodeSide};
pub(crate) use handshake::{Accepted, Handshakes};
pub(crate) use incoming::{PeerInfo, incoming};
use metrics::TlsMetrics;
use validity::Validity;
pub(crate) use verify::holds_host_of;
pub(crate) use watch::watch;

/// Whom a connection is with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Clients,
    Internode,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Internode => "internode",
        }
    }
}

/// What one listener accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Port {
    Cql,
    Grpc,
    Internode,
}

impl Port {
    fn side(self) -> Side {
        match self {
            Self::Cql | Self::Grpc => Side::Clients,
            Self::Internode => Side::Internode,
        }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Cql => "CQL",
            Self::Grpc => "gRPC",
            Self::Internode => "internode",
        })
    }
}

/// A configuration with what its files held when they were last good.
struct Loaded<C, L> {
    config: C,
    load: fn(&C, i64) -> Result<L, TlsError>,
    current: Mutex<Arc<L>>,
}

impl<C, L> Loaded<C, L> {
    fn new(config: &C, load: fn(&C, i64) -> Result<L, TlsError>, now: i64) -> Result<Self, TlsError>
    where
        C: Clone,
    {
        let first = load(config, now)?;
        Ok(Self { config: config.clone(), load, current: Mutex::new(Arc::new(first)) })
    }

    fn current(&self) -> Arc<L> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn reload(&self, now: i64) -> Result<Arc<L>, TlsError> {
        let loaded = Arc::new((self.load)(&self.config, now)?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&loaded);
        Ok(loaded)
    }
}

/// The TLS of a server.
pub(crate) struct Tls {
    clients: Option<Loaded<ClientTls, ClientSide>>,
    internode: Option<Loaded<InternodeTls, InternodeSide>>,
    pub(crate) metrics: TlsMetrics,
    files: watch::Files,
    clock: Clock,
}

impl Tls {
    /// Loads all files. What cannot be used is refused.
    pub(crate) fn load(config: &TlsConfig, clock: Clock) -> Result<Self, ServerError> {
        let (now, files) = (seconds(clock), watch::Files::of(config));
        let refused = |side: Side| move |source| ServerError::Tls { side: side.name(), source };
        let clients = config.clients.as_ref().map(|config| Loaded::new(config, ClientSide::load, now));
        let clients = clients.transpose().map_err(refused(Side::Clients))?;
        let internode = config.internode.as_ref().map(|config| Loaded::new(config, InternodeSide::load, now));
        let internode = internode.transpose().map_err(refused(Side::Internode))?;
        let tls = Self { clients, internode, metrics: TlsMetrics::default(), files, clock };
        if let Some(clients) = &tls.clients {
            tls.in_use(Side::Clients, &clients.config.identity.certificate, clients.current().validity);
        }
        if let Some(internode) = &tls.internode {
            tls.in_use(Side::Internode, &internode.config.identity.certificate, internode.current().validity);
        }
        Ok(tls)
    }

    /// Whether there is nothing to reload.
    pub(crate) fn is_off(&self) -> bool {
        self.clients.is_none() && self.internode.is_none()
    }

    /// What a port accepts TLS with; nothing if it is off there.
    pub(crate) fn accepting(&self, port: Port) -> Option<Arc<ServerConfig>> {
        match port {
            Port::Cql => Some(Arc::clone(&self.clients.as_ref()?.current().cql)),
            Port::Grpc => Some(Arc::clone(&self.clients.as_ref()?.current().grpc)),
            Port::Internode => Some(Arc::clone(&self.internode.as_ref()?.current().accept)),
        }
    }

    fn takes_plain_too(&self, port: Port) -> bool {
        match port.side() {
            Side::Clients => self.clients.as_ref().is_none_or(|clients| clients.config.plain_too),
            Side::Internode => self.internode.is_none(),
        }
    }

    /// What this node connects to others with; nothing if it is off.
    pub(crate) fn connecting(&self) -> Option<Arc<rustls::ClientConfig>> {
        Some(Arc::clone(&self.internode.as_ref()?.current().connect))
    }

    /// Whether a node's certificate must hold the address that it gives for itself.
    pub(crate) fn verifies_names(&self) -> bool {
        self.internode.as_ref().is_some_and(|internode| internode.config.verify_names)
    }

    /// Loads all files anew, for handshakes to come. A side whose files cannot be used keeps what it has; the errors say
    /// which.
    pub(crate) fn reload(&self) -> Result<(), Vec<String>> {
        let now = seconds(self.clock);
        let mut errors = Vec::new();
        let mut note = |side: Side, certificate: &Path, loaded: Result<Validity, TlsError>| match loaded {
            Ok(validity) => {
                self.metrics.reloaded(side);
                self.in_use(side, certificate, validity);
            }
            Err(error) => {
                self.metrics.reload_failed(side);
                tracing::error!(side = side.name(), %error, "cannot reload TLS; the certificate in use stays");
                errors.push(format!("TLS for {} stays as it was: {error}", side.name()));
            }
        };
        if let Some(clients) = &self.clients {
            let loaded = clients.reload(now).map(|loaded| loaded.validity);
            note(Side::Clients, &clients.config.identity.certificate, loaded);
        }
        if let Some(internode) = &self.internode {
            let loaded = internode.reload(now).map(|loaded| loaded.validity);
            note(Side::Internode, &internode.config.identity.certificate, loaded);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// A certificate is in use from now on.
    fn in_use(&self, side: Side, certificate: &Path, validity: Validity) {
        self.metrics.expires(side, validity.until);
        let left = validity.until.saturating_sub(seconds(self.clock));
        let (side, file, expires_in) = (side.name(), certificate.display(), files::span(left));
        if u64::try_from(left).is_ok_and(|left| left > TLS_EXPIRY_WARNING.as_secs()) {
            tracing::info!(side, %file, expires_in, "serving TLS with this certificate");
        } else {
            tracing::warn!(side, %file, expires_in, "serving TLS with this certificate, which expires soon");
        }
    }
}

/// The wall clock, in seconds since 1970.
fn seconds(clock: Clock) -> i64 {
    clock.now().wall.0.div_euclid(1_000_000)
}
