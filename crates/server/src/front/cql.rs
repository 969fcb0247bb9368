//! The front for CQL drivers: the native protocol on one listener a worker thread. It translates and decides nothing.
//!
//! A connection is one task on the thread that accepted it. What has arrived is decoded and given to the thread's machine in
//! place, a piece a turn; the answers that a turn brings gather in the connection's buffer and go out with one write, so that
//! the client works on them while the next piece is served.

mod budget;
mod connection;
mod events;
mod handle;
mod metadata;
mod socket;

use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use quorate_os::Clock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::driver::Phase;
use crate::shared::Shared;
use crate::tls::{Accepted, Handshakes, Port};

use budget::{Budget, Share};
pub(crate) use connection::CqlItem;
pub(crate) use events::Registry;
pub(crate) use metadata::PreparedMetadata;
use socket::TlsSocket;

/// How often a thread looks whether the node serves, and whether there is something to tell those who listen to events.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What the connections of one thread share.
struct Thread {
    shared: Arc<Shared>,
    clock: Clock,
    registry: Arc<Registry>,
    budget: Arc<Budget>,
    /// Nothing where no client may use TLS.
    handshakes: Option<Arc<Handshakes>>,
}

/// Serves drivers on the present thread. Dropping what it returns stops accepting.
pub(crate) fn serve(listener: StdListener, shared: &Arc<Shared>, clock: Clock) -> oneshot::Sender<()> {
    let (closer, closed) = oneshot::channel::<()>();
    let thread = Arc::new(Thread {
        shared: Arc::clone(shared),
        clock,
        registry: Arc::default(),
        // Control has a mailbox, too.
        budget: Arc::new(Budget::of_one_of(shared.mailboxes.len().saturating_sub(1))),
        handshakes: Handshakes::on(Port::Cql, &shared.tls),
    });
    shared.outside.serves(&thread.registry);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(listener, Arc::clone(&thread)) => {}
            () = events::watch(thread) => {}
            // Both a closer that was dropped and one that was used mean 'stop'.
            _ = closed => {}
        }
    });
    closer
}

async fn accept(listener: StdListener, thread: Arc<Thread>) {
    // Drivers take a node that accepts for one that serves.
    while thread.shared.view.phase() == Phase::Joining {
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return thread.shared.stopping.fail(format!("cannot serve CQL: {error}")),
    };
    loop {
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a CQL connection");
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            }
        };
        let Some(share) = thread.budget.admit(address.ip()) else {
            thread.shared.metrics.overloaded.inc();
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off Nagle's delay");
        }
        let thread = Arc::clone(&thread);
        tokio::spawn(async move {
            match &thread.handshakes {
                None => connection::serve(stream, Some(address), share, &thread).await,
                Some(handshakes) => Box::pin(agree_and_serve(handshakes, (stream, address), share, &thread)).await,
            }
        });
    }
}

/// Serves a connection on which TLS may or must be agreed on first.
async fn agree_and_serve(
    handshakes: &Handshakes,
    (stream, address): (TcpStream, SocketAddr),
    share: Share,
    thread: &Arc<Thread>,
) {
    let address = Some(address);
    match handshakes.accept(stream).await {
        None => {}
        Some(Accepted::Plain(stream)) => connection::serve(stream, address, share, thread).await,
        Some(Accepted::Tls(stream)) => match TlsSocket::new(*stream) {
            Ok(socket) => connection::serve(socket, address, share, thread).await,
            Err(error) => tracing::debug!(%error, "a CQL connection ended"),
        },
    }
}
