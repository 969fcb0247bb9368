//! Steps 4 and 5: every flight goes in and comes back equal, also when all nodes are killed; a fourth node joins.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use quorate_client::Session;

use crate::support::cluster::quorum;
use crate::support::flights::{
    FLIGHTS, Flight, Flights, SCHEMA, assert_equal, bundled, by_key, insert, key_of, path, read_all, read_csv, values,
};
use crate::support::load::{Load, assert_kept, create_tables};
use crate::support::program::{csv_rows, quorate_in};
use crate::support::{TestCluster, eventually, shell};

async fn read_back(session: &Session) -> Flights {
    eventually(Duration::from_secs(60), "all flights can be read", async || {
        read_all(session, &quorum()).await.map_err(|error| error.to_string())
    })
    .await
}

#[tokio::test]
async fn every_flight_comes_back_and_a_fourth_node_joins() {
    let mut cluster = TestCluster::start(3).await;
    let first = cluster.nodes[0].ip;
    shell(first, SCHEMA).await.ok();
    let started = Instant::now();
    let copy =
        format!("CONSISTENCY QUORUM; COPY nyc.flights FROM '{}' WITH HEADER = true AND NULL = 'NA';", path().display());
    let ip = first.to_string();
    let said = quorate_in(cluster.folder(), &["shell", &ip, "-e", &copy]).await.ok();
    assert!(said.contains(&format!("{FLIGHTS} rows imported")), "{said}");
    eprintln!("story: COPY FROM of {FLIGHTS} flights took {:.1?}", started.elapsed());

    let expected = by_key(&bundled());
    let session = cluster.session().await;
    let started = Instant::now();
    assert_equal(&expected, &read_back(&session).await);
    eprintln!("story: reading them back took {:.1?}", started.elapsed());

    cluster.kill_all();
    let started = Instant::now();
    cluster.start_again().await;
    eprintln!("story: all three killed; ready again after {:.1?}", started.elapsed());
    let counted = csv_rows(first, "CONSISTENCY QUORUM; SELECT COUNT(*) FROM nyc.flights;").await;
    assert_eq!(counted.last(), Some(&FLIGHTS.to_string()));

    let copied = cluster.folder().join("again.csv.gz");
    let copy =
        format!("CONSISTENCY QUORUM; COPY nyc.flights TO '{}' WITH HEADER = true AND NULL = 'NA';", copied.display());
    shell(first, &copy).await.ok();
    let mut again = read_csv(&copied);
    for flight in &mut again {
        // The shell writes times in Cassandra's form.
        let time: jiff::Timestamp = flight[18].parse().unwrap();
        flight[18] = time.to_string();
    }
    assert_equal(&expected, &by_key(&again));

    join_under_load(&mut cluster, &expected).await;
}

/// A fourth node joins while flights and new rows are read and written; nothing fails, and everything is there after.
async fn join_under_load(cluster: &mut TestCluster, expected: &Flights) {
    let session = cluster.session().await;
    create_tables(&session, 3).await;
    let before = owned(&session).await;
    let load = Load::start(&session, 0, 4);
    load.goes_on(200, Duration::from_secs(30)).await;
    let started = Instant::now();
    let new = cluster.add().await;
    eprintln!("story: the fourth node joined within {:.1?}", started.elapsed());
    for at in 0..4 {
        cluster.shows(at, new, "UN", Duration::from_secs(20)).await;
    }
    load.goes_on(200, Duration::from_secs(30)).await;
    let during = load.stop().await;
    assert!(during.errors.is_empty(), "while the node joined: {:?}", during.errors);
    eprintln!("story: {} writes and {} reads meanwhile, none failed", during.writes(), during.reads);

    let after = owned(&session).await;
    assert_eq!((before.len(), after.len()), (3, 4), "{before:?} {after:?}");
    assert!(after.iter().all(|share| (0.4..1.0).contains(share)), "each keeps about three quarters: {after:?}");
    let streamed = cluster.nodes[new].metric("quorate_streamed_partitions_total").await.unwrap();
    assert!(streamed > 100.0, "{streamed} partitions came by streaming");
    assert_kept(&session, &during, &quorum()).await;
    let session = cluster.session().await;
    assert_equal(expected, &read_back(&session).await);
}

/// What each node keeps of the flights' keyspace.
async fn owned(session: &Session) -> Vec<f64> {
    let request = quorate_client::AdminRequest::Status { keyspace: Some("nyc".to_owned()) };
    match session.admin(&request).await.unwrap() {
        quorate_client::AdminAnswer::Cluster(status) => status.nodes.iter().filter_map(|node| node.owns).collect(),
        other => panic!("no status: {other:?}"),
    }
}

#[tokio::test]
async fn all_nodes_die_in_the_middle_of_a_load() {
    /// Flights loaded altogether, when the nodes are killed for the first time, and every how many again.
    const LOADED: usize = 60_000;
    const KILL_AT: [usize; 2] = [15_000, 35_000];

    let mut cluster = TestCluster::start(3).await;
    shell(cluster.nodes[0].ip, SCHEMA).await.ok();
    let session = cluster.session().await;
    let all = Arc::new(bundled().into_iter().take(LOADED).collect::<Vec<Flight>>());
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let next = Arc::new(AtomicUsize::new(0));
    let failures = Arc::new(AtomicUsize::new(0));
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..128 {
        let (session, all, next) = (session.clone(), Arc::clone(&all), Arc::clone(&next));
        let (acknowledged, failures) = (Arc::clone(&acknowledged), Arc::clone(&failures));
        writers.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(flight) = all.get(index) else { return };
                match write(&session, flight).await {
                    Ok(()) => acknowledged.lock().unwrap().push(index),
                    // Not acknowledged: it may be there or not. It is not tried again.
                    Err(_) => {
                        failures.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }
    for at in KILL_AT {
        eventually(Duration::from_secs(120), "enough flights are written", async || {
            let count = acknowledged.lock().unwrap().len();
            if count >= at { Ok(()) } else { Err(format!("{count} of {at}")) }
        })
        .await;
        cluster.kill_all();
        cluster.start_again().await;
    }
    while let Some(ended) = writers.join_next().await {
        ended.unwrap();
    }

    // One more death of all, so that nothing that is read was only in memory.
    cluster.kill_all();
    cluster.start_again().await;
    let found = read_back(&cluster.session().await).await;
    let acknowledged = acknowledged.lock().unwrap();
    let lost: Vec<_> = acknowledged
        .iter()
        .map(|index| &all[*index])
        .filter(|flight| found.get(&key_of(flight)) != Some(*flight))
        .collect();
    assert!(lost.is_empty(), "{} acknowledged flights are lost, as {:?}", lost.len(), lost.first());
    let known = by_key(&all);
    assert!(found.iter().all(|(key, flight)| known.get(key) == Some(flight)), "nothing came of itself");
    eprintln!(
        "story: {} flights acknowledged, {} not, all nodes killed {} times, none lost",
        acknowledged.len(),
        failures.load(Ordering::Relaxed),
        KILL_AT.len() + 1
    );
}

async fn write(session: &Session, flight: &[String]) -> Result<(), quorate_client::Error> {
    let insert = session.prepare(insert()).await?;
    session.execute_with(&insert, values(flight), &quorum()).await?;
    Ok(())
}
