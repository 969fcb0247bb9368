//! `kill -9` of random nodes, and of all at once, under load at QUORUM: nothing that was acknowledged is ever lost.
//!
//! Three rounds unless `QUORATE_KILL_ROUNDS` says otherwise; `QUORATE_KILL_SEED` draws other nodes and moments.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::time::Duration;

use support::cluster::quorum;
use support::draws::{Draws, from_environment};
use support::load::{Load, assert_kept, create_tables};
use support::node::READY_WITHIN;
use support::{TestCluster, eventually};

/// Rounds where nothing else is said.
const ROUNDS_DEFAULT: u64 = 3;
/// Writers of the load.
const WRITERS: i32 = 24;
/// Writes between two rounds.
const WRITES_A_ROUND: usize = 1_500;

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let rounds = from_environment("QUORATE_KILL_ROUNDS", ROUNDS_DEFAULT);
    let seed = from_environment("QUORATE_KILL_SEED", 1);
    let mut draws = Draws::new(seed);
    // Small memtables, so that kills meet flushes and compactions, too.
    let mut cluster = TestCluster::start_with(3, &["--memtable-mb=1"]).await;
    let session = cluster.session().await;
    create_tables(&session, 3).await;
    let load = Load::start(&session, 0, WRITERS);
    let mut kills = 0;
    for round in 0..rounds {
        load.goes_on(WRITES_A_ROUND, Duration::from_secs(60)).await;
        // Every third round takes all at once, every other one a random node, or two one after the other.
        let killed = match round % 3 {
            0 => {
                cluster.kill_all();
                3
            }
            _ => {
                let first = draws.below(3) as usize;
                cluster.nodes[first].kill();
                let pause = draws.below(300);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let both = draws.below(2) == 1;
                if both {
                    cluster.nodes[(first + 1) % 3].kill();
                }
                1 + usize::from(both)
            }
        };
        kills += killed;
        if killed == 1 {
            // The others go on, and keep hints.
            load.goes_on(300, Duration::from_secs(30)).await;
        }
        let pause = draws.below(1_000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        cluster.start_again().await;
        eprintln!(
            "round {round}: {killed} killed, {} writes acknowledged and {} not so far",
            load.writes(),
            load.errors()
        );
    }
    load.goes_on(200, Duration::from_secs(60)).await;
    let acknowledged = load.stop().await;
    assert_kept(&session, &acknowledged, &quorum()).await;
    // Once more from disk alone.
    cluster.kill_all();
    cluster.start_again().await;
    assert_kept(&cluster.session().await, &acknowledged, &quorum()).await;
    eprintln!(
        "kills: seed {seed}, {rounds} rounds, {kills} processes killed, {} writes acknowledged, {} not, 0 lost",
        acknowledged.writes(),
        acknowledged.errors.len()
    );
}

/// The newcomer dies while it takes its share, and a member dies meanwhile, too: when they return, the join comes to its
/// end, and nothing is lost.
#[tokio::test]
async fn nodes_die_while_one_joins() {
    let mut draws = Draws::new(from_environment("QUORATE_KILL_SEED", 1));
    let mut cluster = TestCluster::start_with(3, &["--memtable-mb=1"]).await;
    let session = cluster.session().await;
    create_tables(&session, 3).await;
    let load = Load::start(&session, 0, 8);
    load.goes_on(3_000, Duration::from_secs(60)).await;
    let new = cluster.prepare();
    let member = draws.below(3) as usize;
    for who in [new, member] {
        if !cluster.nodes[new].is_started() {
            cluster.nodes[new].start();
        }
        let pause = 100 + draws.below(1_500);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let joined = cluster.nodes[new].ready_line().is_some();
        cluster.nodes[who].kill();
        eprintln!("killed {} after {pause} ms, {}", cluster.nodes[who].ip, if joined { "joined" } else { "joining" });
        load.goes_on(200, Duration::from_secs(30)).await;
        cluster.nodes[who].start();
    }
    for node in &mut cluster.nodes {
        node.ready().await;
    }
    for at in 0..4 {
        cluster.shows(at, new, "UN", READY_WITHIN).await;
    }
    load.goes_on(500, Duration::from_secs(60)).await;
    let acknowledged = load.stop().await;
    assert_kept(&session, &acknowledged, &quorum()).await;
    cluster.kill_all();
    cluster.start_again().await;
    assert_kept(&cluster.session().await, &acknowledged, &quorum()).await;
    eprintln!("joining: {} writes acknowledged, {} not, 0 lost", acknowledged.writes(), acknowledged.errors.len());
}

/// All nodes of a new cluster are started together, as a container engine starts them: they found one cluster.
#[tokio::test]
async fn a_new_cluster_is_started_all_at_once() {
    let mut cluster = TestCluster::start(0).await;
    for _ in 0..3 {
        cluster.prepare();
    }
    for node in cluster.nodes.iter_mut().rev() {
        node.start();
    }
    for node in &mut cluster.nodes {
        node.ready().await;
    }
    for at in 0..3 {
        for of in 0..3 {
            cluster.shows(at, of, "UN", READY_WITHIN).await;
        }
    }
    let session = cluster.session().await;
    create_tables(&session, 3).await;
    let load = Load::start(&session, 0, 4);
    load.goes_on(200, Duration::from_secs(30)).await;
    let acknowledged = load.stop().await;
    assert!(acknowledged.errors.is_empty(), "{:?}", acknowledged.errors);
    eventually(Duration::from_secs(10), "every node keeps everything", async || {
        for index in 0..3 {
            let alone = cluster.session_alone(index).await;
            let rows = alone.query("SELECT COUNT(*) FROM load.rows", ()).await.map_err(|error| error.to_string())?;
            let count = rows.first_as::<(i64,)>().map_err(|error| error.to_string())?.map(|(count,)| count);
            if count.is_none_or(|count| count < acknowledged.rows.len() as i64) {
                return Err(format!("node {index} has {count:?} of {}", acknowledged.rows.len()));
            }
        }
        Ok(())
    })
    .await;
}
