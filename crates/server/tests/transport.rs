//! Two servers in one process, with small machines in the place of a node's: frames between them, refusals, limits.
#![allow(clippy::unwrap_used)] // A test may fail where it stands.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use quorate_env::{Instant, Now};
use quorate_model::request::{Answer, ClientResponse, RequestBody, RequestError};
use quorate_model::{ClusterId, NodeId};
use quorate_node::metrics::Sample;
use quorate_node::{Input, Lane, MachineId, Output, PeerAddress};
use quorate_server::{Config, Layers, Machine, NodeView, Opened, Phase, Server, ServerError};
use quorate_storage::LogPosition;

/// What a test sees of a node.
#[derive(Default)]
struct Seen {
    /// Frames that came, with the machine that got them and their sender.
    frames: Mutex<Vec<(MachineId, PeerAddress, Bytes)>>,
    links: Mutex<Vec<(MachineId, NodeId, bool)>>,
    synced: Mutex<u32>,
    cancelled: Mutex<u32>,
    /// What the control machine does next.
    orders: Mutex<Vec<Output>>,
}

/// Echoes what other nodes' machines send, remembers everything, and does as it is ordered.
struct Parrot {
    id: MachineId,
    seen: Arc<Seen>,
    next: Instant,
}

impl Machine for Parrot {
    fn step(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Peer { from, frame } => {
                let lane = if frame.starts_with(b"ECHO") { Lane::Large } else { Lane::Small };
                if frame.starts_with(b"echo") || lane == Lane::Large {
                    let answer = Bytes::from([b"answer".as_slice(), &frame[4..]].concat());
                    out.push(Output::Send { to: from, lane, frame: answer });
                }
                self.seen.frames.lock().unwrap().push((self.id, from, frame));
            }
            Input::Link { node, up } => self.seen.links.lock().unwrap().push((self.id, node, up)),
            Input::LogSynced(result) => {
                assert!(result.is_ok());
                *self.seen.synced.lock().unwrap() += 1;
            }
            Input::Cancel(_) => *self.seen.cancelled.lock().unwrap() += 1,
            Input::Client { id, request } => match request.body {
                RequestBody::Query { text, .. } if text == "HANG" => {}
                RequestBody::Query { .. } => {
                    let response = ClientResponse { result: Ok(Answer::Void), warnings: vec![], trace: None };
                    out.push(Output::Reply { id, response: Box::new(response) });
                }
                _ => {
                    let result = Err(RequestError::invalid("a parrot knows only queries"));
                    let response = ClientResponse { result, warnings: vec![], trace: None };
                    out.push(Output::Reply { id, response: Box::new(response) });
                }
            },
            Input::JobDone(_) | Input::Internal(_) | Input::Tick => {}
        }
        if self.id != MachineId::CONTROL || now.mono >= self.next {
            self.next = now.mono + Duration::from_millis(5);
        }
        let mut orders = self.seen.orders.lock().unwrap();
        let mut kept = Vec::new();
        for order in orders.drain(..) {
            let mine = match &order {
                Output::Send { .. } | Output::SyncLog => self.id != MachineId::CONTROL,
                _ => self.id == MachineId::CONTROL,
            };
            if mine { out.push(order) } else { kept.push(order) }
        }
        *orders = kept;
    }

    fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }
}

struct View(Option<ClusterId>);

impl NodeView for View {
    fn phase(&self) -> Phase {
        Phase::Ready
    }

    fn cluster_id(&self) -> Option<ClusterId> {
        self.0
    }

    fn samples(&self) -> Vec<Sample> {
        Vec::new()
    }
}

struct Node {
    id: NodeId,
    config: Config,
    seen: Arc<Seen>,
    server: Server,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn config(cluster: &str) -> Config {
    let mut layers = Layers::default();
    layers.flag("cluster_name", cluster).unwrap();
    layers.flag("workers", "2").unwrap();
    for port in ["internode_port", "grpc_port", "http_port", "cql_port"] {
        layers.flag(port, free_port().to_string()).unwrap();
    }
    let mut config = layers.build().unwrap();
    config.data_dir = PathBuf::from("/nonexistent");
    config
}

async fn node(number: u128, cluster: &str, cluster_id: Option<ClusterId>) -> Node {
    let config = config(cluster);
    let (id, seen) = (NodeId::from_u128(number), Arc::<Seen>::default());
    let server = start(&config, id, &seen, cluster_id).await.unwrap();
    Node { id, config, seen, server }
}

async fn start(
    config: &Config,
    node_id: NodeId,
    seen: &Arc<Seen>,
    cluster_id: Option<ClusterId>,
) -> Result<Server, ServerError> {
    let parrot = |id| Box::new(Parrot { id, seen: Arc::clone(seen), next: Instant::default() }) as Box<dyn Machine>;
    let opened = Opened {
        node_id,
        control: parrot(MachineId::CONTROL),
        workers: vec![parrot(MachineId::worker(0)), parrot(MachineId::worker(1))],
        sync_log: Box::new(|| Ok(LogPosition::default())),
        view: Arc::new(View(cluster_id)),
        lock: None,
    };
    Server::start(config, |_| Ok(opened)).await
}

fn directory(nodes: &[&Node]) -> Output {
    let addresses: BTreeMap<NodeId, String> =
        nodes.iter().map(|node| (node.id, node.config.network.internode_address())).collect();
    Output::Directory(Arc::new(addresses))
}

fn order(node: &Node, output: Output) {
    node.seen.orders.lock().unwrap().push(output);
}

async fn until(what: &str, done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("in vain: {what}");
}

fn links_up(node: &Node, to: &Node) -> usize {
    let links = node.seen.links.lock().unwrap();
    let mut last = BTreeMap::new();
    for (machine, peer, up) in links.iter().filter(|(_, peer, _)| *peer == to.id) {
        last.insert((*machine, *peer), *up);
    }
    last.values().filter(|up| **up).count()
}

fn frames(node: &Node, prefix: &[u8]) -> Vec<(MachineId, PeerAddress, Bytes)> {
    let frames = node.seen.frames.lock().unwrap();
    frames.iter().filter(|(_, _, frame)| frame.starts_with(prefix)).cloned().collect()
}

#[tokio::test]
async fn frames_go_to_a_node_and_answers_to_the_machine_that_asked() {
    let (a, b) = (node(1, "c", None).await, node(2, "c", None).await);
    order(&a, directory(&[&a, &b]));
    order(&b, directory(&[&a, &b]));
    until("every machine of a has a link to b", || links_up(&a, &b) == 3).await;
    for number in 0..100u32 {
        let frame = Bytes::from([b"echo".as_slice(), &number.to_le_bytes()].concat());
        let to = PeerAddress { node: b.id, machine: MachineId::ANY_WORKER };
        order(&a, Output::Send { to, lane: Lane::Small, frame });
    }
    until("all are answered", || frames(&a, b"answer").len() == 100).await;
    for (machine, from, _) in frames(&b, b"echo") {
        assert_ne!(machine, MachineId::CONTROL, "any worker is a worker");
        assert_eq!(from.node, a.id);
    }
    let asked: Vec<MachineId> = frames(&b, b"echo").iter().map(|(_, from, _)| from.machine).collect();
    let answered: Vec<MachineId> = frames(&a, b"answer").iter().map(|(machine, _, _)| *machine).collect();
    for machine in [MachineId::worker(0), MachineId::worker(1)] {
        let count = |machines: &[MachineId]| machines.iter().filter(|other| **other == machine).count();
        assert_eq!(count(&asked), count(&answered), "answers go to the machine that asked");
    }
    a.server.stop().await;
    b.server.stop().await;
}

#[tokio::test]
async fn a_seed_is_reached_by_its_address_and_told_who_asks() {
    let (a, b) = (node(1, "c", None).await, node(2, "c", Some(ClusterId::from_u128(7))).await);
    let address = b.config.network.internode_address();
    order(&a, Output::SendToAddress { address, frame: Bytes::from_static(b"hello") });
    until("control of b hears of it", || frames(&b, b"hello").len() == 1).await;
    let (machine, from, _) = frames(&b, b"hello").remove(0);
    assert_eq!(machine, MachineId::CONTROL);
    assert_eq!(from, PeerAddress { node: a.id, machine: MachineId::CONTROL });
}

#[tokio::test]
async fn a_link_goes_down_with_its_peer_and_up_again() {
    let (a, b) = (node(1, "c", None).await, node(2, "c", None).await);
    order(&a, directory(&[&a, &b]));
    until("links are up", || links_up(&a, &b) == 3).await;
    let (id, config, seen) = (b.id, b.config.clone(), Arc::clone(&b.seen));
    let b_again = Node { id, config, seen, server: node(3, "other", None).await.server };
    b.server.stop().await;
    until("links are down", || links_up(&a, &b_again) == 0).await;
    let server = start(&b_again.config, b_again.id, &b_again.seen, None).await.unwrap();
    until("links are up again", || links_up(&a, &b_again) == 3).await;
    server.stop().await;
}

#[tokio::test]
async fn great_answers_go_by_the_small_lane_while_the_large_one_cannot_be_opened() {
    let (a, b) = (node(1, "c", None).await, node(2, "c", None).await);
    order(&a, directory(&[&a, &b]));
    // B answers where A's streams come from, but cannot open one itself: nobody listens where it looks for A.
    let wrong = BTreeMap::from([(a.id, format!("127.0.0.1:{}", free_port()))]);
    order(&b, Output::Directory(Arc::new(wrong)));
    until("links are up", || links_up(&a, &b) == 3).await;
    let to = PeerAddress { node: b.id, machine: MachineId::ANY_WORKER };
    for number in 1..=20 {
        order(&a, Output::Send { to, lane: Lane::Small, frame: Bytes::from_static(b"ECHO") });
        until("it is answered", || frames(&a, b"answer").len() == number).await;
    }
}

#[tokio::test]
async fn workers_hear_when_the_stream_of_great_answers_ends() {
    let (a, b) = (node(1, "c", None).await, node(2, "c", None).await);
    order(&a, directory(&[&a, &b]));
    order(&b, directory(&[&a, &b]));
    until("links are up", || links_up(&a, &b) == 3 && links_up(&b, &a) == 3).await;
    let to = PeerAddress { node: b.id, machine: MachineId::ANY_WORKER };
    order(&a, Output::Send { to, lane: Lane::Small, frame: Bytes::from_static(b"ECHO") });
    until("it is answered", || frames(&a, b"answer").len() == 1).await;
    // B closes the streams that it has opened; A's own stay.
    order(&b, Output::Directory(Arc::default()));
    let hears = |machine| a.seen.links.lock().unwrap().contains(&(machine, b.id, false));
    until("every worker hears", || hears(MachineId::worker(0)) && hears(MachineId::worker(1))).await;
    assert!(!hears(MachineId::CONTROL), "the node as a whole is not down");
}

#[tokio::test]
async fn another_clusters_node_is_refused_with_the_reason() {
    let (a, b) = (node(1, "ours", None).await, node(2, "theirs", None).await);
    order(
        &a,
        Output::SendToAddress { address: b.config.network.internode_address(), frame: Bytes::from_static(b"hello") },
    );
    until("b counts it", || b.server.metrics_page().contains("quorate_peers_refused_total 1")).await;
    // A node that has not joined is told to stop: going on would hide that it was sent to the wrong cluster.
    let error = loop {
        match a.server.ready().await {
            Ok(()) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("'theirs'") && error.contains("'ours'"), "{error}");
    assert!(frames(&b, b"hello").is_empty());
}

#[tokio::test]
async fn equal_names_do_not_make_one_cluster() {
    let (one, two) = (ClusterId::from_u128(1), ClusterId::from_u128(2));
    let (a, b) = (node(1, "c", Some(one)).await, node(2, "c", Some(two)).await);
    order(&a, directory(&[&a, &b]));
    until("b refuses", || !b.server.metrics_page().contains("quorate_peers_refused_total 0")).await;
    assert_eq!(links_up(&a, &b), 0);
    assert!(a.server.ready().await.is_ok(), "a node that has its cluster goes on");
}

#[tokio::test]
async fn a_sync_is_told_to_whoever_asked() {
    let a = node(1, "c", None).await;
    order(&a, Output::SyncLog);
    until("the machine that asked hears of it", || *a.seen.synced.lock().unwrap() == 1).await;
}

#[tokio::test]
async fn an_address_in_use_is_an_error_that_names_it() {
    let a = node(1, "c", None).await;
    let error = start(&a.config, NodeId::from_u128(2), &Arc::default(), None).await.err().unwrap();
    assert!(error.to_string().contains(&a.config.network.grpc_port.to_string()), "{error}");
}

mod clients {
    //! Clients of a parrot.

    use quorate_client::{Error, Options, Session};

    use super::*;

    async fn session(node: &Node) -> Session {
        let address = format!("127.0.0.1:{}", node.config.network.grpc_port);
        Session::builder().contact_point(address).contact_points_only(true).connect().await.unwrap()
    }

    #[tokio::test]
    async fn many_requests_share_a_stream() {
        let node = node(1, "c", None).await;
        let session = session(&node).await;
        let mut tasks = Vec::new();
        for _ in 0..500 {
            let session = session.clone();
            tasks.push(tokio::spawn(async move { session.query("ANYTHING", ()).await.map(drop) }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let page = node.server.metrics_page();
        assert!(page.contains("quorate_requests_total{kind=\"query\",consistency=\"LOCAL_ONE\"} 500"), "{page}");
    }

    #[tokio::test]
    async fn errors_come_typed() {
        let node = node(1, "c", None).await;
        let error = session(&node).await.prepare("x").await.unwrap_err();
        assert_eq!(error.request_error(), Some(&RequestError::invalid("a parrot knows only queries")));
        let admin = session(&node).await.admin(&quorate_client::AdminRequest::Info).await.unwrap_err();
        assert_eq!(admin.request_error(), Some(&RequestError::invalid("a parrot knows only queries")));
    }

    #[tokio::test]
    async fn a_client_that_goes_away_cancels_its_requests() {
        let node = node(1, "c", None).await;
        let session = session(&node).await;
        let hanging = tokio::time::timeout(Duration::from_millis(100), session.query("HANG", ()));
        assert!(hanging.await.is_err());
        until("the machine hears of it", || *node.seen.cancelled.lock().unwrap() == 1).await;
        let other = session.clone();
        let task = tokio::spawn(async move { other.query("HANG", ()).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(50)).await;
        task.abort();
        drop(session);
        until("also when its connection closes", || *node.seen.cancelled.lock().unwrap() == 2).await;
    }

    #[tokio::test]
    async fn a_request_ends_as_unknown_when_the_node_does() {
        let node = node(1, "c", None).await;
        let session = session(&node).await;
        let request = tokio::spawn(async move { session.query("HANG", ()).await.map(drop) });
        tokio::time::sleep(Duration::from_millis(100)).await;
        node.server.stop().await;
        let error = request.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::ConnectionLost { .. } | Error::Request(_)), "{error}");
        assert_eq!(error.outcome(), quorate_client::Outcome::Unknown, "{error}");
    }

    #[tokio::test]
    async fn an_oversized_message_is_refused_and_the_node_goes_on() {
        let node = node(1, "c", None).await;
        let session = session(&node).await;
        let text = "x".repeat(18 * 1024 * 1024);
        assert!(session.query_with(&text, (), &Options::default()).await.is_err());
        session.query("ANYTHING", ()).await.unwrap();
    }

    #[tokio::test]
    async fn no_node_is_an_error_that_names_the_address() {
        let port = free_port();
        let error = Session::connect(format!("127.0.0.1:{port}")).await.unwrap_err();
        assert!(error.to_string().contains(&port.to_string()), "{error}");
        assert_eq!(error.outcome(), quorate_client::Outcome::Refused);
        assert!(matches!(Session::connect("host:port").await, Err(Error::Address { .. })));
    }
}
