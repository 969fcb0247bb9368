//! A cluster of real processes, each with an address of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use quorate_client::{Consistency, Options, Session};
use tempfile::TempDir;

use super::{Node, admin, eventually};

/// Networks handed out by this process.
static NETWORKS: AtomicU32 = AtomicU32::new(0);
/// Networks 127.A.B.0/24 that there are to choose from: A from 32 to 231.
const NETWORKS_MAX: u32 = 200 * 256;

/// A network within loopback that no other test uses: different for each call and for processes that run together.
pub fn network() -> Ipv4Addr {
    loop {
        let turn = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let place = (std::process::id().wrapping_mul(37).wrapping_add(turn)) % NETWORKS_MAX;
        let [_, _, high, low] = place.to_be_bytes();
        let network = Ipv4Addr::new(127, 32 + high, low, 0);
        if TcpListener::bind((address(network, 1), 9044)).is_ok() {
            return network;
        }
    }
}

/// The address of this number within a network.
pub fn address(network: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, number)
}

/// A cluster. Its processes and its folder go with it.
#[derive(Debug)]
pub struct TestCluster {
    /// The nodes, in the order in which they were added.
    pub nodes: Vec<Node>,
    network: Ipv4Addr,
    arguments: Vec<String>,
    folder: TempDir,
}

impl TestCluster {
    /// A cluster of so many nodes, ready to serve.
    pub async fn start(count: usize) -> Self {
        Self::start_with(count, &[]).await
    }

    /// The same with more arguments for every node.
    pub async fn start_with(count: usize, arguments: &[&str]) -> Self {
        Self::start_on(network(), count, arguments).await
    }

    /// The same in a network that the caller has chosen with [`network`].
    pub async fn start_on(network: Ipv4Addr, count: usize, arguments: &[&str]) -> Self {
        let mut all = vec![
            format!("--cluster-name=test-{network}"),
            format!("--seeds={},{}", address(network, 1), address(network, 2)),
            // Small machines run several clusters at once.
            "--workers=2".to_owned(),
        ];
        if count == 1 {
            all[1] = format!("--seeds={}", address(network, 1));
        }
        all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let folder = tempfile::Builder::new().prefix("quorate-test-").tempdir().expect("a folder can be made");
        let mut cluster = Self { nodes: Vec::new(), network, arguments: all, folder };
        for _ in 0..count {
            cluster.add().await;
        }
        cluster
    }

    /// Adds a node and waits until it serves; gives its index.
    pub async fn add(&mut self) -> usize {
        let index = self.prepare();
        self.nodes[index].start();
        self.nodes[index].ready().await;
        index
    }

    /// Adds a node without starting it; gives its index.
    pub fn prepare(&mut self) -> usize {
        let number = u8::try_from(self.nodes.len() + 1).expect("clusters are small");
        let node = Node::new(address(self.network, number), self.folder.path(), &self.arguments);
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Where its logs and data are; also good for a test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the nodes that do not run, all together, and waits until all serve.
    pub async fn start_again(&mut self) {
        for node in &mut self.nodes {
            if !node.is_started() {
                node.start();
            }
        }
        for node in &mut self.nodes {
            node.ready().await;
        }
    }

    /// `kill -9` for all at once.
    pub fn kill_all(&mut self) {
        for node in &self.nodes {
            if node.is_started() {
                node.signal(rustix::process::Signal::KILL);
            }
        }
        for node in &mut self.nodes {
            node.kill();
        }
    }

    /// A session that knows all nodes, at QUORUM; its requests may be repeated.
    pub async fn session(&self) -> Session {
        let mut builder = Session::builder().options(quorum());
        for node in &self.nodes {
            builder = builder.contact_point(node.ip.to_string());
        }
        builder.connect().await.expect("a node answers")
    }

    /// A session that talks to this node only, and is content with one replica, which is then this node's own.
    pub async fn session_alone(&self, index: usize) -> Session {
        Session::builder()
            .contact_point(self.nodes[index].ip.to_string())
            .contact_points_only(true)
            .options(Options::default().consistency(Consistency::One))
            .connect()
            .await
            .expect("the node answers")
    }

    /// Waits until the first of these nodes shows the second as up or down, as `quorate admin status` prints it.
    pub async fn shows(&self, at: usize, of: usize, state: &str, within: Duration) {
        let (at, of) = (self.nodes[at].ip, self.nodes[of].ip);
        eventually(within, &format!("{at} shows {of} as {state}"), async || {
            let status = admin(at, &["status"]).await.ok();
            let line = status.lines().find(|line| line.split_whitespace().nth(1) == Some(&of.to_string()));
            let line = line.ok_or_else(|| format!("it is not there:\n{status}"))?;
            if line.starts_with(state) { Ok(()) } else { Err(line.to_owned()) }
        })
        .await;
    }
}

/// QUORUM, for requests that may be repeated.
pub fn quorum() -> Options {
    Options::default().consistency(Consistency::Quorum).idempotent(true)
}
