//! Step 3: a node dies, the cluster goes on, the node returns and has what it missed.

use std::time::{Duration, Instant};

use quorate_client::{Consistency, Options, RequestError};
use rustix::process::Signal;

use crate::support::cluster::quorum;
use crate::support::load::{Load, assert_kept, create_tables};
use crate::support::{TestCluster, admin, eventually, shell};

/// A dead node is shown as down within this time.
const DOWN_WITHIN: Duration = Duration::from_secs(10);
/// A node that returned has its hints within this time of being ready.
const HINTS_WITHIN: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_node_dies_and_returns() {
    let mut cluster = TestCluster::start(3).await;
    for state in 0..3 {
        cluster.shows(0, state, "UN", Duration::from_secs(10)).await;
    }
    let ring = admin(cluster.nodes[1].ip, &["ring"]).await.ok();
    for node in &cluster.nodes {
        let tokens = ring.lines().filter(|line| line.starts_with(&format!("{} ", node.ip))).count();
        assert_eq!(tokens, 16, "tokens of {}:\n{ring}", node.ip);
    }

    let session = cluster.session().await;
    create_tables(&session, 3).await;
    let load = Load::start(&session, 0, 8);
    load.goes_on(500, Duration::from_secs(30)).await;
    let killed = Instant::now();
    cluster.nodes[2].kill();
    for at in [0, 1] {
        cluster.shows(at, 2, "DN", DOWN_WITHIN.saturating_sub(killed.elapsed())).await;
    }
    eprintln!("story: shown as down after {:.1?}", killed.elapsed());
    load.goes_on(1_000, Duration::from_secs(30)).await;

    all_fails(&cluster, &session).await;

    let away = load.stop().await;
    assert!(away.errors.is_empty(), "errors reached the client: {:?}", away.errors);
    assert!(away.reads > 50, "{} reads", away.reads);
    session.query("INSERT INTO load.rows (writer, number, payload) VALUES (-1, 0, 'while away')", ()).await.unwrap();

    cluster.nodes[2].start();
    let ready = cluster.nodes[2].ready().await;
    eprintln!("story: ready {ready:.1?} after its second start");
    let alone = cluster.session_alone(2).await;
    let returned = Instant::now();
    eventually(HINTS_WITHIN, "the node alone gives what was written while it was away", async || {
        let one = Options::default().consistency(Consistency::One);
        let mut found = std::collections::BTreeSet::new();
        let rows = alone.query_iter_with("SELECT writer, number FROM load.rows", (), &one).await;
        let mut rows = rows.map_err(|error| error.to_string())?;
        while let Some(row) = rows.next_as::<(i32, i32)>().await.map_err(|error| error.to_string())? {
            found.insert(row);
        }
        let missing = away.rows.iter().filter(|row| !found.contains(*row)).count();
        let last = found.contains(&(-1, 0));
        if missing == 0 && last { Ok(()) } else { Err(format!("{missing} of {} are missing", away.rows.len())) }
    })
    .await;
    eprintln!("story: {} writes; hints were there {:.1?} after ready", away.writes(), returned.elapsed());
    let delivered: f64 = cluster.nodes[0].metric("quorate_hints_delivered_total").await.unwrap()
        + cluster.nodes[1].metric("quorate_hints_delivered_total").await.unwrap();
    assert!(delivered > 0.0, "hints were delivered");
    cluster.shows(0, 2, "UN", Duration::from_secs(10)).await;
}

/// A process that hangs says nothing and closes nothing: the hard case for a failure detector, and for whoever waits.
#[tokio::test]
async fn a_node_hangs_and_goes_on() {
    let cluster = TestCluster::start(3).await;
    let session = cluster.session().await;
    create_tables(&session, 3).await;
    let load = Load::start(&session, 0, 8);
    load.goes_on(500, Duration::from_secs(30)).await;
    cluster.nodes[2].signal(Signal::STOP);
    let stopped = Instant::now();
    cluster.shows(0, 2, "DN", DOWN_WITHIN).await;
    eprintln!("story: a node that hangs is shown as down after {:.1?}", stopped.elapsed());
    load.goes_on(500, Duration::from_secs(30)).await;
    cluster.nodes[2].signal(Signal::CONT);
    cluster.shows(0, 2, "UN", Duration::from_secs(20)).await;
    load.goes_on(200, Duration::from_secs(30)).await;
    let acknowledged = load.stop().await;
    assert!(acknowledged.errors.is_empty(), "errors reached the client: {:?}", acknowledged.errors);
    assert_kept(&session, &acknowledged, &quorum()).await;
}

/// With a node down, ALL is refused with what it needs and what there is.
async fn all_fails(cluster: &TestCluster, session: &quorate_client::Session) {
    let all = quorum().consistency(Consistency::All);
    let insert = "INSERT INTO load.rows (writer, number, payload) VALUES (-2, 0, 'x')";
    for statement in [insert, "SELECT payload FROM load.rows WHERE writer = 0 AND number = 0"] {
        let error = session.query_with(statement, (), &all).await.expect_err("ALL cannot be had");
        let expected = RequestError::Unavailable { consistency: Consistency::All, required: 3, alive: 2 };
        assert_eq!(error.request_error(), Some(&expected), "{statement}: {error}");
    }
    let said = shell(cluster.nodes[0].ip, &format!("CONSISTENCY ALL; {insert};")).await.failed();
    assert!(said.contains("Unavailable") && said.contains('3') && said.contains('2'), "{said}");
}
