//! Three nodes in network namespaces, and what befalls them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quorate_client::Session;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::Node;
use crate::support::draws::Draws;

/// Nodes.
const NODES: u64 = 3;
/// Size of a node's volume.
const VOLUME: &str = "size=3g";

/// Why namespaces cannot be made here, if so.
pub fn unavailable() -> Option<String> {
    if !rustix::process::getuid().is_root() {
        return Some("only root may make namespaces".to_owned());
    }
    for (tool, argument) in [("unshare", "--version"), ("ip", "-V"), ("nft", "--version"), ("mount", "--version")] {
        if Command::new(tool).arg(argument).output().is_err() {
            return Some(format!("{tool} is not installed"));
        }
    }
    let tried = Command::new("unshare").args(["--net", "--mount", "--pid", "--fork", "true"]).output();
    (!tried.is_ok_and(|output| output.status.success())).then(|| "namespaces cannot be made".to_owned())
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

fn address(node: u64) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, node as u8 + 1)
}

/// The cluster and its networks.
pub struct World {
    nodes: Vec<Node>,
    /// Volumes and networks go with the namespaces, what is left of the folder with the process that made those.
    _folder: TempDir,
    tally: BTreeMap<&'static str, u64>,
}

impl World {
    /// Makes networks and volumes, and starts the nodes.
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("quorate-chaos-").tempdir().unwrap();
        std::fs::create_dir_all("/run/netns").unwrap();
        for line in [
            "mount -t tmpfs tmpfs /run/netns",
            "ip link set lo up",
            "ip link add br0 type bridge",
            "ip addr add 10.77.0.254/24 dev br0",
            "ip link set br0 up",
        ] {
            run(line);
        }
        let mut nodes = Vec::new();
        for number in 0..NODES {
            let ip = address(number);
            for line in [
                format!("ip netns add q{number}"),
                format!("ip link add p{number} type veth peer name v0 netns q{number}"),
                format!("ip link set p{number} master br0 up"),
                format!("ip -n q{number} addr add {ip}/24 dev v0"),
                format!("ip -n q{number} link set v0 up"),
                format!("ip -n q{number} link set lo up"),
                format!("ip netns exec q{number} nft add table inet t"),
                format!("ip netns exec q{number} nft add chain inet t in {{ type filter hook input priority 0; }}"),
            ] {
                run(&line);
            }
            let arguments = [
                "--cluster-name=chaos".to_owned(),
                format!("--seeds={},{}", address(0), address(1)),
                "--workers=2".to_owned(),
                "--memtable-mb=4".to_owned(),
            ];
            let mut node = Node::new(ip, folder.path(), &arguments);
            node.run_by(&["ip", "netns", "exec", &format!("q{number}")]);
            std::fs::create_dir_all(&node.data_dir).unwrap();
            run(&format!("mount -t tmpfs -o {VOLUME} tmpfs {}", node.data_dir.display()));
            node.start();
            node.ready().await;
            nodes.push(node);
        }
        Self { nodes, _folder: folder, tally: BTreeMap::new() }
    }

    /// A session that knows all nodes.
    pub async fn session(&self) -> Session {
        let mut builder = Session::builder().options(crate::options());
        for node in &self.nodes {
            builder = builder.contact_point(node.ip.to_string());
        }
        builder.connect().await.expect("a node answers")
    }

    /// What was done how often.
    pub fn tally(&self) -> String {
        let shown: Vec<String> = self.tally.iter().map(|(what, count)| format!("{count} {what}")).collect();
        shown.join(", ")
    }

    /// Kills all nodes and starts them again.
    pub async fn kill_all_and_start(&mut self) {
        self.nodes.iter_mut().for_each(Node::kill);
        self.start_again().await;
    }

    async fn start_again(&mut self) {
        for node in self.nodes.iter_mut().filter(|node| !node.is_started()) {
            node.start();
        }
        for node in &mut self.nodes {
            node.ready().await;
        }
    }

    /// One fault, or two at the same time, for a while; then all is mended. Gives it in words.
    pub async fn round(&mut self, draws: &mut Draws) -> String {
        let (one, other) = (draws.below(NODES), draws.below(NODES - 1));
        let other = (one + 1 + other) % NODES;
        let scale = 7 + draws.below(6);
        let hold = Duration::from_millis(100 + draws.below(1 << scale));
        let fault = draws.below(9);
        let (name, what) = match fault {
            0 => self.kill("killed one", &[one]),
            1 => self.kill("killed two", &[one, other]),
            2 => self.kill("killed all", &[0, 1, 2]),
            3 => self.pause(&[one]),
            4 => self.pause(&[one, other]),
            5 => self.unplug(one),
            6 => self.drop_between(&[(one, other)]),
            7 => self.drop_between(&[(one, other), (other, one)]),
            _ => self.fill(one, draws.below(2) * draws.below(100 << 20)),
        };
        *self.tally.entry(name).or_default() += 1;
        tokio::time::sleep(hold).await;
        match fault {
            0..=2 => self.start_again().await,
            3 => self.signal(&[one], Signal::CONT),
            4 => self.signal(&[one, other], Signal::CONT),
            5 => run(&format!("ip link set p{one} up")),
            6 | 7 => {
                [one, other].iter().for_each(|node| run(&format!("ip netns exec q{node} nft flush chain inet t in")))
            }
            _ => std::fs::remove_file(self.ballast(one)).unwrap(),
        }
        // A full disk may have ended a node; that is its right.
        if fault > 7 {
            for node in &mut self.nodes {
                if !node.runs() {
                    *self.tally.entry("ended by a full disk").or_default() += 1;
                    node.kill();
                }
            }
            self.start_again().await;
        }
        format!("{what} for {} ms", hold.as_millis())
    }

    fn kill(&mut self, name: &'static str, nodes: &[u64]) -> (&'static str, String) {
        nodes.iter().for_each(|node| self.nodes[*node as usize].kill());
        (name, format!("{name} ({nodes:?})"))
    }

    fn signal(&self, nodes: &[u64], signal: Signal) {
        nodes.iter().for_each(|node| self.nodes[*node as usize].signal(signal));
    }

    fn pause(&self, nodes: &[u64]) -> (&'static str, String) {
        self.signal(nodes, Signal::STOP);
        (if nodes.len() == 1 { "paused one" } else { "paused two" }, format!("paused {nodes:?}"))
    }

    fn unplug(&self, node: u64) -> (&'static str, String) {
        run(&format!("ip link set p{node} down"));
        ("unplugged", format!("unplugged {node}"))
    }

    /// Drops what goes from the first to the second of each pair.
    fn drop_between(&self, pairs: &[(u64, u64)]) -> (&'static str, String) {
        for (from, to) in pairs {
            run(&format!("ip netns exec q{to} nft add rule inet t in ip saddr {} drop", address(*from)));
        }
        (if pairs.len() == 1 { "cut one way" } else { "cut both ways" }, format!("cut {pairs:?}"))
    }

    fn ballast(&self, node: u64) -> PathBuf {
        self.nodes[node as usize].data_dir.join("ballast")
    }

    /// Takes all room of a node's volume but so many bytes.
    fn fill(&self, node: u64, left: u64) -> (&'static str, String) {
        let path: &Path = &self.nodes[node as usize].data_dir;
        let stat = rustix::fs::statvfs(path).unwrap();
        let take = (stat.f_bavail * stat.f_frsize).saturating_sub(left).max(1);
        let file = std::fs::File::create(self.ballast(node)).unwrap();
        // A node that writes meanwhile may take some of it; then it is as full as can be.
        let _ = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, take);
        ("filled a disk", format!("filled the disk of {node} up to the last {left} bytes"))
    }
}
