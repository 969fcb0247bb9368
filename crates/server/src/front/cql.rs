//! The front for CQL drivers: the native protocol on one listener a worker thread. It translates and decides nothing.
//!
//! A connection is one task on the thread that accepted it. What has arrived is decoded and given to the thread's machine in
//! place; the answers that one tick brings gather in the connection's buffer and go out with one write.

mod connection;
mod events;
mod handle;
mod metadata;

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quorate_os::Clock;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::driver::Phase;
use crate::limits::CQL_CONNECTIONS_MAX;
use crate::shared::Shared;

pub(crate) use connection::CqlItem;
use events::Registry;
pub(crate) use metadata::PreparedMetadata;

/// How often a thread looks whether the node serves, and whether there is something to tell those who listen to events.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What the connections of one thread share.
struct Thread {
    shared: Arc<Shared>,
    clock: Clock,
    registry: Registry,
    connections: AtomicUsize,
}

/// Serves drivers on the present thread. Dropping what it returns stops accepting.
pub(crate) fn serve(listener: StdListener, shared: &Arc<Shared>, clock: Clock) -> oneshot::Sender<()> {
    let (closer, closed) = oneshot::channel::<()>();
    let thread = Arc::new(Thread {
        shared: Arc::clone(shared),
        clock,
        registry: Registry::default(),
        connections: AtomicUsize::new(0),
    });
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
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a CQL connection");
                tokio::time::sleep(LOOK_INTERVAL).await;
                continue;
            }
        };
        if thread.connections.load(Ordering::Relaxed) >= CQL_CONNECTIONS_MAX {
            thread.shared.metrics.overloaded.inc();
            continue;
        }
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot switch off Nagle's delay");
        }
        thread.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn({
            let thread = Arc::clone(&thread);
            async move {
                connection::serve(stream, &thread).await;
                thread.connections.fetch_sub(1, Ordering::Relaxed);
            }
        });
    }
}
