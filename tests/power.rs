//! Power cuts of the real binary: each node lives in a file system of its own, which is shut down without flushing its log
//! while a load goes on. What the disk did not have is gone, as after a power loss; nothing that was acknowledged may be.
//!
//! Three cuts of one node and one of three at once, unless `QUORATE_POWER_CUTS` and `QUORATE_POWER_CUTS_OF_ALL` say otherwise;
//! `QUORATE_POWER_FS` is ext4 or xfs, `QUORATE_POWER_SEED` draws other moments. Skipped where file systems cannot be mounted.
//!
//! With `QUORATE_POWER_COMMIT_LOG=unsynced` writes are acknowledged before they are synced, and the test has to find losses.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::time::{Duration, Instant};

use quorate_client::Session;
use support::cluster::quorum;
use support::draws::{Draws, from_environment};
use support::load::{Acknowledged, Load, create_tables, missing};
use support::volume::{Volume, cut_power, unavailable};
use support::{TestCluster, eventually};

/// Writers of the load.
const WRITERS: i32 = 24;
/// Bytes of a row: with the smallest memtable a flush every few hundred rows.
const PADDING: usize = 2_000;
/// Within so long a cluster that has come back takes writes and answers.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What a run has seen.
#[derive(Debug, Default)]
struct Tally {
    cuts: u64,
    lost: Vec<(i32, i32)>,
    flushes: u64,
    compactions: u64,
    slowest_start: Duration,
}

struct World {
    // Before the volumes go, the nodes must have ended: fields are dropped in this order.
    cluster: TestCluster,
    volumes: Vec<Volume>,
    tally: Tally,
}

impl World {
    async fn start(nodes: usize, kind: &str, commit_log: &str) -> Self {
        let mut cluster = TestCluster::start_with(0, &["--memtable-mb=1", &format!("--commit-log={commit_log}")]).await;
        let mut volumes = Vec::new();
        for _ in 0..nodes {
            let index = cluster.prepare();
            volumes.push(Volume::make(kind, &cluster.nodes[index].data_dir));
            cluster.nodes[index].start();
            cluster.nodes[index].ready().await;
        }
        Self { cluster, volumes, tally: Tally::default() }
    }

    /// Cuts the power of all nodes, and starts them again from what their disks have.
    async fn cut(&mut self) {
        for node in &self.cluster.nodes {
            let jobs = async |class: &str| {
                let name = format!("quorate_job_duration_seconds_count{{class=\"{class}\"}}");
                node.metric(&name).await.unwrap_or_default() as u64
            };
            self.tally.flushes += jobs("flush").await;
            self.tally.compactions += jobs("compaction").await;
        }
        cut_power(&self.volumes.iter().collect::<Vec<_>>());
        self.cluster.kill_all();
        for volume in &self.volumes {
            volume.unmount();
            volume.mount();
        }
        let started = Instant::now();
        self.cluster.start_again().await;
        self.tally.slowest_start = self.tally.slowest_start.max(started.elapsed());
        self.tally.cuts += 1;
    }
}

async fn look(session: &Session, acknowledged: &Acknowledged) -> Vec<(i32, i32)> {
    eventually(BACK_WITHIN, "acknowledged rows can be read", async || {
        missing(session, acknowledged, &quorum()).await.map_err(|error| error.to_string())
    })
    .await
}

async fn cuts(nodes: usize, cuts: u64) {
    let kind = std::env::var("QUORATE_POWER_FS").unwrap_or_else(|_| "ext4".to_owned());
    if let Some(reason) = unavailable(&kind) {
        eprintln!("skipped: {reason}");
        return;
    }
    let commit_log = std::env::var("QUORATE_POWER_COMMIT_LOG").unwrap_or_else(|_| "group".to_owned());
    let seed = from_environment("QUORATE_POWER_SEED", 1);
    let mut draws = Draws::new(seed);
    let mut world = World::start(nodes, &kind, &commit_log).await;
    let session = world.cluster.session().await;
    create_tables(&session, nodes).await;
    let load = Load::start_padded(&session, 0, WRITERS, PADDING);
    let mut looked_at = 0;
    for cut in 0..cuts {
        load.goes_on(100 + draws.below(600) as usize, BACK_WITHIN).await;
        tokio::time::sleep(Duration::from_micros(draws.below(100_000))).await;
        world.cut().await;
        // All that the cut could have taken: rows are acknowledged in the order in which they stand there.
        let fresh = load.acknowledged_since(looked_at);
        looked_at += fresh.rows.len();
        let lost = look(&session, &fresh).await;
        if !lost.is_empty() {
            eprintln!("cut {cut}: {} acknowledged rows are lost, {:?} among them", lost.len(), lost.first());
        }
        world.tally.lost.extend(lost);
        if cut % 10 == 9 {
            eprintln!(
                "{} cuts, {} writes acknowledged, {} not, {:?}",
                cut + 1,
                load.writes(),
                load.errors(),
                world.tally.lost
            );
        }
    }
    let acknowledged = load.stop().await;
    world.cut().await;
    let mut lost = look(&session, &acknowledged).await;
    lost.append(&mut world.tally.lost);
    lost.sort_unstable();
    lost.dedup();
    let tally = &world.tally;
    eprintln!(
        "power: {kind}, {nodes} nodes, commit_log {commit_log}, seed {seed}: {} cuts, {} writes acknowledged, {} not, \
         {} reads, {} flushes and {} compactions, slowest start {} ms; {} acknowledged writes lost, 0 failed starts",
        tally.cuts,
        acknowledged.writes(),
        acknowledged.errors.len(),
        acknowledged.reads,
        tally.flushes,
        tally.compactions,
        tally.slowest_start.as_millis(),
        lost.len()
    );
    if commit_log == "unsynced" {
        assert!(!lost.is_empty(), "{cuts} cuts without a sync lost nothing: this test sees nothing");
    } else {
        assert!(lost.is_empty(), "{} acknowledged writes are lost: {lost:?}", lost.len());
    }
}

#[tokio::test]
async fn one_node_keeps_what_it_acknowledged() {
    cuts(1, from_environment("QUORATE_POWER_CUTS", 3)).await;
}

#[tokio::test]
async fn all_nodes_at_once_keep_what_they_acknowledged() {
    cuts(3, from_environment("QUORATE_POWER_CUTS_OF_ALL", 1)).await;
}
