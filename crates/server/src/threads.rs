//! The threads that drive the machines: one for control, one for each worker.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use quorate_node::MachineId;
use quorate_os::Clock;
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::Router;

use crate::driver::Phase;
use crate::error::ServerError;
use crate::front::stub::admin_server::AdminServer;
use crate::front::stub::quorate_server::QuorateServer;
use crate::front::{AdminService, QuorateService};
use crate::host::{self, Host};
use crate::limits::{CONNECTION_STREAMS_MAX, MESSAGE_BYTES_MAX, PING_INTERVAL, PING_TIMEOUT};
use crate::machine::Machine;
use crate::shared::Shared;
use crate::tls::{Handshakes, Port};
use crate::transport::InternodeService;
use crate::transport::stub::internode_server::InternodeServer;

/// A worker's sockets.
pub(crate) struct Listeners {
    pub(crate) grpc: TcpListener,
    pub(crate) internode: TcpListener,
    pub(crate) cql: TcpListener,
}

/// Starts a thread for a machine. It ends when its mailbox says so; a worker has listeners, control has none.
pub(crate) fn start(
    id: MachineId,
    machine: Box<dyn Machine>,
    clock: Clock,
    shared: Arc<Shared>,
    listeners: Option<Listeners>,
) -> Result<JoinHandle<()>, ServerError> {
    let name = if id == MachineId::CONTROL { "control".to_owned() } else { format!("worker-{}", id.0 - 1) };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServerError::System { action: "start a thread's runtime", source })?;
    std::thread::Builder::new()
        .name(name)
        .spawn(move || {
            runtime.block_on(run(id, machine, clock, shared, listeners));
            // A name that is being resolved keeps no stop waiting.
            runtime.shutdown_background();
        })
        .map_err(|source| ServerError::System { action: "start a thread", source })
}

async fn run(
    id: MachineId,
    machine: Box<dyn Machine>,
    clock: Clock,
    shared: Arc<Shared>,
    listeners: Option<Listeners>,
) {
    Host::new(id, machine, clock, Arc::clone(&shared)).install();
    let mut closers = Vec::new();
    if let Some(listeners) = listeners {
        let internode = Server::builder()
            .http2_keepalive_interval(Some(PING_INTERVAL))
            .http2_keepalive_timeout(Some(PING_TIMEOUT))
            .initial_stream_window_size(8 * 1024 * 1024)
            .initial_connection_window_size(16 * 1024 * 1024)
            .add_service(
                InternodeServer::new(InternodeService::new(Arc::clone(&shared)))
                    .max_decoding_message_size(MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(MESSAGE_BYTES_MAX),
            );
        closers.push(serve(Port::Internode, internode, listeners.internode, &shared));
        let clients = client_services(&shared, clock);
        closers.push(serve(Port::Grpc, clients, listeners.grpc, &shared));
        closers.push(crate::front::serve_cql(listeners.cql, &shared, clock));
    }
    let ticker = tokio::spawn(host::tick());
    // The machine may want to act at once: its first deadline is set by its first step.
    host::input(quorate_node::Input::Tick);
    host::read_mail().await;
    ticker.abort();
    drop(closers);
    host::remove();
}

fn client_services(shared: &Arc<Shared>, clock: Clock) -> Router {
    let (health, health_service) = tonic_health::server::health_reporter();
    tokio::spawn(report_health(health, Arc::clone(shared)));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(quorate_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .with_service_name("quorate.v1.Quorate")
        .with_service_name("quorate.v1.Admin")
        .with_service_name("grpc.health.v1.Health");
    let reflection = match reflection.build_v1() {
        Ok(service) => Some(service),
        Err(error) => {
            tracing::error!(%error, "no reflection service");
            None
        }
    };
    Server::builder()
        .max_concurrent_streams(CONNECTION_STREAMS_MAX)
        .http2_keepalive_interval(Some(std::time::Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(std::time::Duration::from_secs(10)))
        .initial_stream_window_size(2 * 1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .add_service(health_service)
        .add_optional_service(reflection)
        .add_service(AdminServer::new(AdminService::new(Arc::clone(shared), clock)))
        .add_service(
            QuorateServer::new(QuorateService::new(Arc::clone(shared), clock))
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(usize::MAX),
        )
}

/// Keeps the health service up to date: the node serves while it is ready.
async fn report_health(health: tonic_health::server::HealthReporter, shared: Arc<Shared>) {
    let mut serving = None;
    loop {
        let ready = shared.view.phase() == Phase::Ready && !shared.stopping.is_draining();
        if serving != Some(ready) {
            serving = Some(ready);
            let status =
                if ready { tonic_health::ServingStatus::Serving } else { tonic_health::ServingStatus::NotServing };
            for service in ["", "quorate.v1.Quorate", "quorate.v1.Admin"] {
                health.set_service_status(service, status).await;
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Serves a listener on the present thread. Dropping what it returns stops accepting.
fn serve(port: Port, router: Router, listener: TcpListener, shared: &Arc<Shared>) -> oneshot::Sender<()> {
    let (closer, closed) = oneshot::channel::<()>();
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return shared.stopping.fail(format!("cannot serve {port}: {error}")),
        };
        let closed = async move {
            // Both a closer that was dropped and one that was used mean 'stop'.
            let _ = closed.await;
        };
        let ended = match Handshakes::on(port, &shared.tls) {
            None => {
                let incoming = NoDelay(TcpListenerStream::new(listener));
                router.serve_with_incoming_shutdown(incoming, closed).await
            }
            Some(handshakes) => {
                router.serve_with_incoming_shutdown(crate::tls::incoming(listener, handshakes), closed).await
            }
        };
        if let Err(error) = ended {
            shared.stopping.fail(format!("{port} cannot be served any more: {error}"));
        }
    });
    closer
}

/// Accepted connections without Nagle's delay; a failed accept is passed over after a pause.
struct NoDelay(TcpListenerStream);

impl tokio_stream::Stream for NoDelay {
    type Item = std::io::Result<tokio::net::TcpStream>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let next = std::task::ready!(std::pin::Pin::new(&mut self.0).poll_next(context));
        if let Some(Ok(stream)) = &next
            && let Err(error) = stream.set_nodelay(true)
        {
            tracing::debug!(%error, "cannot switch off Nagle's delay");
        }
        std::task::Poll::Ready(next)
    }
}
