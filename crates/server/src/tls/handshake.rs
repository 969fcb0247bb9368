//! Handshakes on one listener: bounded in number and in time, each in the task of its own connection.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::{Port, Tls};
use crate::limits::{TLS_FAILURE_LOG_INTERVAL, TLS_HANDSHAKE_TIMEOUT, TLS_HANDSHAKES_MAX};

/// The first byte of every TLS connection: a record of the handshake. No frame of CQL and no gRPC begins with it.
const TLS_FIRST_BYTE: u8 = 0x16;

/// A connection that may be served.
pub(crate) enum Accepted {
    /// Without TLS, where that is allowed.
    Plain(TcpStream),
    /// With TLS, agreed on.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Why a connection is not served.
enum Refused {
    /// It went away without a word, as probes of load balancers do.
    Silent,
    TooMany,
    Timeout,
    Plain,
    Handshake(std::io::Error),
}

/// The handshakes of one listener of one worker.
pub(crate) struct Handshakes {
    port: Port,
    tls: Arc<Tls>,
    under_way: AtomicUsize,
    log: LogGate,
}

/// A place among the handshakes under way.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Handshakes {
    /// Those of a port; nothing if TLS is off there.
    pub(crate) fn on(port: Port, tls: &Arc<Tls>) -> Option<Arc<Self>> {
        tls.accepting(port)?;
        let (under_way, log) = (AtomicUsize::new(0), LogGate::default());
        Some(Arc::new(Self { port, tls: Arc::clone(tls), under_way, log }))
    }

    /// Agrees with a client on TLS, or finds that it wants none. Nothing comes of a connection that is refused.
    pub(crate) async fn accept(&self, stream: TcpStream) -> Option<Accepted> {
        let peer = stream.peer_addr().ok();
        match self.negotiate(stream).await {
            Ok(accepted) => {
                if matches!(accepted, Accepted::Tls(_)) {
                    self.tls.metrics.handshake(self.port.side());
                }
                Some(accepted)
            }
            Err(refused) => {
                self.refused(peer, &refused);
                None
            }
        }
    }

    async fn negotiate(&self, stream: TcpStream) -> Result<Accepted, Refused> {
        if self.under_way.fetch_add(1, Ordering::Relaxed) >= TLS_HANDSHAKES_MAX {
            drop(Place(&self.under_way));
            return Err(Refused::TooMany);
        }
        let _place = Place(&self.under_way);
        tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, self.shake(stream)).await.unwrap_or(Err(Refused::Timeout))
    }

    async fn shake(&self, stream: TcpStream) -> Result<Accepted, Refused> {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(0) => return Err(Refused::Silent),
            Ok(_) => {}
            Err(error) => return Err(Refused::Handshake(error)),
        }
        let config = self.tls.accepting(self.port);
        match config {
            Some(config) if first == [TLS_FIRST_BYTE] => {
                let accepted = TlsAcceptor::from(config).accept(stream).await.map_err(Refused::Handshake)?;
                Ok(Accepted::Tls(Box::new(accepted)))
            }
            _ if self.tls.takes_plain_too(self.port) => Ok(Accepted::Plain(stream)),
            _ => {
                // What is left unread when a socket closes makes an error of its end.
                let mut unread = [0; 4_096];
                while matches!(stream.try_read(&mut unread), Ok(1..)) {}
                Err(Refused::Plain)
            }
        }
    }

    fn refused(&self, peer: Option<SocketAddr>, refused: &Refused) {
        let (label, reason) = match refused {
            Refused::Silent => return,
            Refused::TooMany => ("too_many", format!("{TLS_HANDSHAKES_MAX} handshakes are under way already")),
            Refused::Timeout => ("timeout", format!("no handshake within {} s", TLS_HANDSHAKE_TIMEOUT.as_secs())),
            Refused::Plain => ("plain", "it came without TLS, which is required".to_owned()),
            Refused::Handshake(error) if error.kind() == ErrorKind::UnexpectedEof => {
                ("handshake", "it went away during the handshake".to_owned())
            }
            Refused::Handshake(error) => ("handshake", error.to_string()),
        };
        self.tls.metrics.failure(self.port.side(), label);
        if let Some(unlogged) = self.log.open(Instant::now()) {
            tracing::warn!(port = %self.port, ?peer, reason, unlogged, "a connection was refused before TLS was agreed on");
        }
    }
}

/// Lets one message through every so often, and counts the others.
#[derive(Default)]
struct LogGate(Mutex<(Option<Instant>, u64)>);

impl LogGate {
    /// How many were held back since the last one, if this one may pass.
    fn open(&self, now: Instant) -> Option<u64> {
        let mut gate = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.0.is_some_and(|last| now.duration_since(last) < TLS_FAILURE_LOG_INTERVAL) {
            gate.1 = gate.1.saturating_add(1);
            return None;
        }
        gate.0 = Some(now);
        Some(std::mem::take(&mut gate.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_logged_once_an_interval() {
        let (gate, now) = (LogGate::default(), Instant::now());
        assert_eq!(gate.open(now), Some(0));
        assert_eq!(gate.open(now), None);
        assert_eq!(gate.open(now), None);
        assert_eq!(gate.open(now + TLS_FAILURE_LOG_INTERVAL), Some(2));
    }
}
