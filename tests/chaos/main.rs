//! Kills, pauses, cut networks and full disks on three real nodes under load, each node in a network namespace and on a
//! small volume of its own. Nothing acknowledged is lost, no quorum read is stale, nothing deleted comes back, nothing that
//! was refused shows.
//!
//! Six rounds unless `QUORATE_CHAOS_ROUNDS` says otherwise; `QUORATE_CHAOS_WRITES` is how many writes there must be at least before it
//! ends, `QUORATE_CHAOS_SEED` draws other faults. Namespaces, volumes and processes are the test's own and go with it. Skipped
//! where they cannot be made. `run` in this folder is the long run. With `QUORATE_CHAOS_LEVEL=ONE` writes and reads do not meet,
//! and the test has to find stale reads.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod faults;
mod ledger;
mod load;

use std::process::Command;
use std::time::{Duration, Instant};

use faults::World;
use load::Load;
use quorate_client::{Consistency, Options};
use support::draws::{Draws, from_environment};

/// Set in the process that is within its own namespaces.
const INSIDE: &str = "QUORATE_CHAOS_INSIDE";
/// Tasks that write and read.
const WRITERS: i32 = 24;
/// After a round the load goes on within this time.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// Whether everything is done at ONE, where reads may miss writes: then the checks must find that they do.
fn at_one() -> bool {
    std::env::var("QUORATE_CHAOS_LEVEL").is_ok_and(|level| level == "ONE")
}

/// How requests are executed.
fn options() -> Options {
    let level = if at_one() { Consistency::One } else { Consistency::Quorum };
    Options::default().consistency(level).idempotent(true).timeout(Duration::from_secs(3))
}

/// Runs this very test in namespaces of its own, which end with it.
fn within_namespaces() {
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    command.arg(std::env::current_exe().unwrap()).args([
        "--exact",
        "--nocapture",
        "nothing_is_lost_and_nothing_comes_back",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let status = command.env(INSIDE, "1").env("TMPDIR", folder.path()).status().unwrap();
    assert!(status.success(), "the test within its namespaces ended with {status}");
}

#[test]
fn nothing_is_lost_and_nothing_comes_back() {
    if std::env::var_os(INSIDE).is_none() {
        return match faults::unavailable() {
            Some(reason) => eprintln!("skipped: {reason}"),
            None => within_namespaces(),
        };
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(rounds());
}

async fn rounds() {
    let rounds = from_environment("QUORATE_CHAOS_ROUNDS", 6);
    let writes = from_environment("QUORATE_CHAOS_WRITES", 0);
    let seed = from_environment("QUORATE_CHAOS_SEED", 1);
    let mut draws = Draws::new(seed);
    let mut world = World::start().await;
    let session = world.session().await;
    load::create_tables(&session).await;
    let load = Load::start(&session, WRITERS, seed);
    let started = Instant::now();
    let mut round = 0;
    while round < rounds || load.writes() < writes {
        load.goes_on(2_000, BACK_WITHIN).await;
        let what = world.round(&mut draws).await;
        round += 1;
        eprintln!("round {round}: {what}; {}", load.summary());
        assert!(at_one() || load.violations().is_empty(), "{:?}", load.violations());
    }
    load.goes_on(2_000, BACK_WITHIN).await;
    let summary = load.summary();
    let ledger = load.stop().await;
    let checked = ledger.check_all(&session).await;
    world.kill_all_and_start().await;
    let again = ledger.check_all(&world.session().await).await;
    eprintln!(
        "chaos: seed {seed}, {round} rounds in {} s ({}); {summary}; at the end {checked} partitions read, after another \
         death of all {again}; violations: {:?}",
        started.elapsed().as_secs(),
        world.tally(),
        ledger.violations()
    );
    for (error, count) in ledger.errors() {
        eprintln!("  {count} x {error}");
    }
    assert_eq!(ledger.violations().is_empty(), !at_one(), "{:?}", ledger.violations());
}
