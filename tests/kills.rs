//! `kill -9` of random nodes, and of all at once, under load at QUORUM: nothing that was acknowledged is ever lost.
//!
//! Three rounds unless `QUORATE_KILL_ROUNDS` says otherwise; `QUORATE_KILL_SEED` draws other nodes and moments.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::time::Duration;

use support::TestCluster;
use support::cluster::quorum;
use support::load::{Load, assert_kept, create_tables};

/// Rounds where nothing else is said.
const ROUNDS_DEFAULT: u64 = 3;
/// Writers of the load.
const WRITERS: i32 = 24;
/// Writes between two rounds.
const WRITES_A_ROUND: usize = 1_500;

fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not '{text}'")),
        Err(_) => default,
    }
}

/// Numbers that differ well enough from round to round (SplitMix64).
struct Draws(u64);

impl Draws {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }
}

#[tokio::test]
async fn nothing_acknowledged_is_lost() {
    let rounds = from_environment("QUORATE_KILL_ROUNDS", ROUNDS_DEFAULT);
    let seed = from_environment("QUORATE_KILL_SEED", 1);
    let mut draws = Draws(seed);
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
        eprintln!("round {round}: {killed} killed, {} writes acknowledged so far", load.writes());
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
