//! Starting, running and stopping a server.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use quorate_model::admin::AdminRequest;
use quorate_model::request::{ClientRequest, QueryOptions, RequestBody};
use quorate_node::MachineId;
use quorate_os::Clock;
use tokio::signal::unix::{SignalKind, signal};

use crate::committer::Committer;
use crate::config::Config;
use crate::driver::{Opened, Phase};
use crate::error::ServerError;
use crate::front::PreparedMetadata;
use crate::jobs::JobPool;
use crate::limits::STOP_TIMEOUT;
use crate::listen::listen;
use crate::mailbox::{Mail, Mailbox};
use crate::metrics::Metrics;
use crate::outside::{Outside, Queues};
use crate::shared::{Shared, Stopping};
use crate::threads::{self, Listeners};
use crate::tls::Tls;
use crate::transport::{Directory, Identity};

/// Runs a node until it is told to stop by SIGTERM or SIGINT, or cannot go on. Prints one line on standard output once it
/// serves.
pub fn run(config: &Config) -> Result<(), ServerError> {
    crate::logging::start(config)?;
    abort_on_panic();
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| ServerError::System { action: "start the main runtime", source })?;
    let ended = runtime.block_on(async {
        let server = Server::open(config).await?;
        server.run_until_told().await
    });
    // Dropped, it would wait for whoever still waits for a thread that hangs: a stop has its time.
    runtime.shutdown_background();
    ended
}

/// A panic anywhere is a bug of ours: the process ends, and what is on disk is right.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    http: tokio::task::JoinHandle<()>,
    observer: tokio::task::JoinHandle<()>,
    tls_watch: tokio::task::JoinHandle<()>,
    names: tokio::task::JoinHandle<()>,
    ready_line: String,
    /// Held for as long as the data directory is in use.
    _lock: Option<quorate_os::DataDirLock>,
}

impl Server {
    /// Starts the node that lives in the configured data directory, or a new one.
    pub async fn open(config: &Config) -> Result<Self, ServerError> {
        Self::start(config, |clock| crate::driver::open(config, clock)).await
    }

    /// Takes the addresses, opens the node and starts its threads. The main thread's runtime serves HTTP.
    pub async fn start(
        config: &Config,
        open: impl FnOnce(Clock) -> Result<Opened, ServerError>,
    ) -> Result<Self, ServerError> {
        let network = &config.network;
        let workers = usize::from(config.threads.workers).max(1);
        let grpc = listen("gRPC", network.at(network.grpc_port), workers)?;
        let internode = listen("internode", network.at(network.internode_port), workers)?;
        let http = listen("HTTP", network.at(network.http_port), 1)?;
        let cql = listen("CQL", network.at(network.cql_port), workers)?;
        let clock = Clock::new();
        let tls = Arc::new(Tls::load(&config.tls, clock)?);
        let opened = open(clock)?;
        let parts = (opened.node_id, opened.sync_log, tls);
        let shared = share(config, &opened.view, parts, opened.workers.len(), clock)?;
        let mut threads = vec![threads::start(MachineId::CONTROL, opened.control, clock, Arc::clone(&shared), None)?];
        let sockets = grpc.into_iter().zip(internode).zip(cql);
        let sockets = sockets.map(|((grpc, internode), cql)| Listeners { grpc, internode, cql });
        for ((index, machine), listeners) in (0u16..).zip(opened.workers).zip(sockets) {
            let id = MachineId::worker(index);
            threads.push(threads::start(id, machine, clock, Arc::clone(&shared), Some(listeners))?);
        }
        let http = http
            .into_iter()
            .next()
            .map(tokio::net::TcpListener::from_std)
            .transpose()
            .map_err(|source| ServerError::System { action: "serve HTTP", source })?;
        let http = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                if let Some(listener) = http {
                    crate::http::serve(listener, shared).await;
                }
            }
        });
        let observer = tokio::spawn(crate::observer::watch(Arc::clone(&shared.view)));
        let tls_watch = tokio::spawn(crate::tls::watch(Arc::clone(&shared.tls)));
        let names = tokio::spawn(crate::names::watch(
            Arc::clone(&shared.view),
            Arc::clone(&shared.outside),
            network.internode_address(),
            network.listen,
        ));
        let ready_line = format!(
            "ready: cql={} grpc={} http=http://{}",
            network.at(network.cql_port),
            network.at(network.grpc_port),
            network.at(network.http_port)
        );
        Ok(Self { shared, threads, http, observer, tls_watch, names, ready_line, _lock: opened.lock })
    }

    /// Waits until the node serves, or cannot.
    pub async fn ready(&self) -> Result<(), ServerError> {
        loop {
            if let Some(message) = self.shared.stopping.failure() {
                return Err(ServerError::Fatal(message));
            }
            if self.shared.view.phase() == Phase::Ready {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn run_until_told(self) -> Result<(), ServerError> {
        let failed = |source| ServerError::System { action: "handle signals", source };
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let told = async {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = reload_on_hangup(&self.shared.tls) => "SIGHUP",
            }
        };
        let serve = async {
            self.ready().await?;
            announce(&self.ready_line);
            tracing::info!(node = %self.shared.identity.node_id, "serving");
            Err::<(), _>(ServerError::Fatal(self.shared.stopping.failed().await))
        };
        let told = tokio::select! {
            told = told => Ok(told),
            failed = serve => failed.map(|()| ""),
        };
        match told {
            Ok(name) => {
                tracing::info!(signal = name, "stopping");
                self.stop().await;
                Ok(())
            }
            Err(error) => {
                // The log may be what failed: nothing is flushed, the next start replays it.
                self.end_threads();
                Err(error)
            }
        }
    }

    /// Refuses new requests, flushes, and ends the threads.
    pub async fn stop(self) {
        self.shared.stopping.drain();
        if tokio::time::timeout(STOP_TIMEOUT, self.drain()).await.is_err() {
            tracing::warn!("the node was not drained in time; its commit log has what is missing");
        }
        self.end_threads();
        self.http.abort();
        self.observer.abort();
        self.tls_watch.abort();
        self.names.abort();
        let Self { shared, threads, .. } = self;
        let joined = tokio::task::spawn_blocking(move || threads.into_iter().try_for_each(JoinHandle::join));
        if tokio::time::timeout(Duration::from_millis(500), joined).await.is_err() {
            tracing::debug!("a thread did not end in time");
        }
        shared.jobs.stop();
    }

    /// Has the node flush what is in memory.
    async fn drain(&self) {
        if self.shared.view.phase() != Phase::Ready {
            return;
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let body = RequestBody::Admin(AdminRequest::Drain);
        let request = ClientRequest { body, keyspace: None, options: QueryOptions::default() };
        let Some(mailbox) = self.shared.mailbox(MachineId::worker(0)) else { return };
        mailbox.send(Mail::Request(Box::new(request), sender));
        match receiver.await.map(|response| response.result) {
            Ok(Ok(_)) => tracing::info!("drained"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot drain"),
            Err(_) => tracing::warn!("cannot drain: the worker has ended"),
        }
    }

    fn end_threads(&self) {
        for mailbox in &self.shared.mailboxes {
            mailbox.send(Mail::Stop);
        }
        self.shared.committer.stop();
        self.shared.jobs.stop();
    }

    /// The server's metrics page.
    pub fn metrics_page(&self) -> String {
        self.shared.metrics.page().unwrap_or_default()
    }
}

/// With TLS, SIGHUP loads its files anew; without, it ends the process, as it does those that do not know it.
async fn reload_on_hangup(tls: &Arc<Tls>) {
    let hangups = if tls.is_off() { None } else { signal(SignalKind::hangup()).ok() };
    let Some(mut hangups) = hangups else { return std::future::pending().await };
    while hangups.recv().await.is_some() {
        tracing::info!(signal = "SIGHUP", "loading the files of TLS");
        let tls = Arc::clone(tls);
        // What goes wrong is logged and counted there.
        let _ = tokio::task::spawn_blocking(move || tls.reload()).await;
    }
}

#[allow(clippy::print_stdout)] // The line that scripts wait for.
fn announce(line: &str) {
    println!("{line}");
}

fn share(
    config: &Config,
    view: &Arc<dyn crate::driver::NodeView>,
    (node_id, sync_log, tls): (quorate_model::NodeId, crate::committer::SyncLog, Arc<Tls>),
    workers: usize,
    clock: Clock,
) -> Result<Arc<Shared>, ServerError> {
    let mut metrics = Metrics::new();
    let mailboxes: Vec<Arc<Mailbox>> = (0..=workers).map(|_| Arc::default()).collect();
    let jobs = JobPool::start(config.threads.jobs, clock, metrics.jobs.clone())?;
    let sync_durations = metrics.log_syncs.clone();
    let committer = Committer::start(
        config.commit_log,
        config.commit_log_period,
        Box::new(move || {
            let began = clock.now().mono;
            let result = sync_log();
            sync_durations.observe(clock.now().mono.since(began).as_secs_f64());
            result
        }),
        mailboxes.iter().skip(1).map(Arc::clone).collect(),
    )?;
    metrics.collect_from(view, &jobs, &mailboxes);
    tls.metrics.register(metrics.registry());
    let queues = Queues { mailboxes: mailboxes.clone(), jobs: Arc::clone(&jobs), committer: Arc::clone(&committer) };
    let outside = Arc::new(Outside::new(config.settings(), queues, clock));
    view.set_surroundings(Arc::<Outside>::clone(&outside));
    let of_view = Arc::clone(view);
    let identity = Identity {
        cluster_name: config.cluster_name.clone(),
        cluster_id: Box::new(move || of_view.cluster_id()),
        node_id,
        address: config.network.internode_address(),
    };
    Ok(Arc::new(Shared {
        mailboxes,
        jobs,
        committer,
        directory: Directory::default(),
        identity,
        view: Arc::clone(view),
        metrics,
        stopping: Stopping::default(),
        prepared_metadata: PreparedMetadata::default(),
        tls,
        outside,
        log_level: config.log_level.clone(),
    }))
}
