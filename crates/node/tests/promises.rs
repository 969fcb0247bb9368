//! What a node promises, in the corners: after restarts, under limits, and when clients are impatient.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod support;

use std::time::Duration;

use quorate_model::Consistency;
use quorate_model::request::{Answer, ClientRequest, RequestBody, RequestError, Values, WriteType};
use quorate_model::value::Value;
use quorate_node::{Input, MachineId, RequestId, limits};
use quorate_storage::{LogPosition, StorageError};
use support::{Cluster, at};

fn create(cluster: &mut Cluster, factor: u32) {
    cluster.run(
        0,
        &format!("CREATE KEYSPACE ks WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"),
    );
    cluster.run(0, "CREATE TABLE ks.t (p int PRIMARY KEY, v text)");
}

fn restart(cluster: &mut Cluster, index: usize) {
    cluster.crash(index);
    cluster.start(index, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(index));
}

/// A later write wins over an earlier one whose timestamp was ahead of this node's clock, also after a restart: from the
/// log, and from a file.
#[test]
fn the_clock_does_not_fall_behind_what_is_stored() {
    for flushed in [false, true] {
        let mut cluster = Cluster::of(1);
        create(&mut cluster, 1);
        let ahead = cluster.now.wall.0 + 600_000_000;
        cluster.run(0, &format!("INSERT INTO ks.t (p, v) VALUES (1, 'first') USING TIMESTAMP {ahead}"));
        if flushed {
            let storage = cluster.members[0].node.as_ref().unwrap().shared.storage().clone();
            for job in storage.flush_all() {
                job.run_to_end().unwrap();
            }
        }
        restart(&mut cluster, 0);
        cluster.run(0, "INSERT INTO ks.t (p, v) VALUES (1, 'second')");
        let rows = cluster.rows(0, "SELECT v FROM ks.t WHERE p = 1", Consistency::One);
        assert_eq!(rows, vec![vec![Value::Text("second".to_owned())]], "flushed: {flushed}");
    }
}

/// A table that takes the identity of a dropped one either is refused or keeps what it is given.
#[test]
fn a_dropped_tables_identity_does_not_swallow_writes() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    let create = "CREATE TABLE ks.again (p int PRIMARY KEY, v text) WITH ID = 5a1c395e-b41f-11e5-9f22-ba0be0483c18";
    cluster.run(0, create);
    cluster.run(0, "INSERT INTO ks.again (p, v) VALUES (1, 'old')");
    cluster.run(0, "DROP TABLE ks.again");
    match cluster.query(0, create, at(Consistency::One)) {
        Err(error) => assert!(matches!(error, RequestError::Invalid { .. }), "{error:?}"),
        Ok(_) => {
            cluster.run(0, "INSERT INTO ks.again (p, v) VALUES (2, 'new')");
            assert_eq!(
                cluster.rows(0, "SELECT p FROM ks.again", Consistency::One),
                vec![vec![Value::Int(2)]],
                "an acknowledged write vanished"
            );
        }
    }
}

/// One table truncated again within the same millisecond.
#[test]
fn two_truncations_at_one_moment_are_two_truncations() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    let before = cluster.now.mono;
    for _ in 0..3 {
        cluster.run(0, "INSERT INTO ks.t (p, v) VALUES (1, 'x')");
        cluster.run(0, "TRUNCATE ks.t");
        assert!(cluster.rows(0, "SELECT p FROM ks.t", Consistency::One).is_empty());
    }
    assert!(cluster.now.mono.since(before) < Duration::from_millis(1), "the clock went on");
}

/// What does not fit the log is refused before anybody is asked, and leaves no hint that could never be delivered.
#[test]
fn a_mutation_that_no_replica_could_take_is_refused() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    let limit = cluster.members[0].node.as_ref().unwrap().shared.storage().options().log_segment_bytes;
    let text = "x".repeat(usize::try_from(limit).unwrap());
    let refused = cluster.query(0, &format!("INSERT INTO ks.t (p, v) VALUES (1, '{text}')"), at(Consistency::One));
    assert!(matches!(refused, Err(RequestError::Invalid { .. })), "{refused:?}");
    let hints = &cluster.members[0].node.as_ref().unwrap().shared.storage().hints;
    assert_eq!(hints.targets(), Vec::new());
}

/// A change that was given less time than the one before it in the queue: the control machine must not ask to be called
/// again and again for a deadline that has passed.
#[test]
fn an_impatient_change_in_the_queue_keeps_nobody_busy() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    cluster.run_until("all are members", |cluster| {
        cluster.members[0].node.as_ref().unwrap().shared.snapshot().metadata.members.len() == 3
    });
    for index in [1, 2] {
        cluster.crash(index);
    }
    cluster.settle();
    let request = |name: &str, timeout_ms| {
        let mut options = at(Consistency::One);
        options.timeout_ms = Some(timeout_ms);
        let text = format!("CREATE TABLE ks.{name} (p int PRIMARY KEY)");
        ClientRequest { body: RequestBody::Query { text, values: Values::default() }, keyspace: None, options }
    };
    cluster.begin(0, request("patient", 8_000));
    let impatient = cluster.begin(0, request("impatient", 1_000));
    let begun = cluster.now.mono;
    cluster.run_until("the second is answered", |cluster| cluster.is_answered(impatient));
    assert!(cluster.now.mono.since(begun) <= Duration::from_millis(1_500));
    cluster.run_until("a moment has passed", |cluster| cluster.now.mono.since(begun) > Duration::from_secs(3));
    let deadline = cluster.members[0].node.as_ref().unwrap().control.deadline();
    assert!(deadline.is_some_and(|deadline| deadline > cluster.now.mono), "{deadline:?} at {:?}", cluster.now.mono);
}

/// Where writes do not wait for the log, the driver says so once, and never again.
#[test]
fn writes_need_not_wait_for_the_log_if_the_driver_says_so() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    cluster.syncs = false;
    let everything = LogPosition { segment: u64::MAX, offset: u64::MAX };
    cluster.input(0, MachineId::worker(0), Input::LogSynced(Ok(everything)));
    cluster.settle();
    for p in 0..3 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, v) VALUES ({p}, 'x')"));
    }
    assert_eq!(cluster.rows(0, "SELECT p FROM ks.t", Consistency::One).len(), 3);
}

fn insert(p: i32) -> ClientRequest {
    let body =
        RequestBody::Query { text: format!("INSERT INTO ks.t (p, v) VALUES ({p}, 'x')"), values: Values::default() };
    ClientRequest { body, keyspace: None, options: at(Consistency::One) }
}

/// What becomes of writes whose only replica is their coordinator when the log is not synced: they end as others do.
#[test]
fn writes_that_a_node_does_alone_end_in_time() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    let worker = MachineId::worker(0);
    cluster.syncs = false;

    // The client goes away: nobody is answered, and the next one is.
    let (gone, waiting) = (cluster.begin(0, insert(1)), cluster.begin(0, insert(2)));
    cluster.settle();
    cluster.input(0, worker, Input::Cancel(gone));
    cluster.settle();
    let node = |cluster: &Cluster| cluster.members[0].node.as_ref().unwrap().shared.clone();
    assert_eq!(node(&cluster).metrics.requests_in_flight.get(), 1);
    assert!(!cluster.is_answered(waiting), "nothing is acknowledged before it is durable");
    let durable = node(&cluster).storage().sync_log();
    cluster.input(0, worker, Input::LogSynced(durable));
    cluster.settle();
    assert!(matches!(cluster.replies[&waiting].result, Ok(Answer::Void)));
    assert!(!cluster.is_answered(gone));

    // The log has no room.
    let waiting = [cluster.begin(0, insert(3)), cluster.begin(0, insert(4))];
    cluster.settle();
    cluster.input(0, worker, Input::LogSynced(Err(StorageError::NoSpace("full".to_owned()))));
    cluster.settle();
    for id in waiting {
        let result = &cluster.replies[&id].result;
        assert!(matches!(result, Err(RequestError::WriteFailure { received: 0, required: 1, .. })), "{result:?}");
    }

    // The sync takes too long. What it made durable in the end is there all the same.
    let waiting = [cluster.begin(0, insert(5)), cluster.begin(0, insert(6))];
    cluster.run_until("both are late", |cluster| waiting.iter().all(|id| cluster.is_answered(*id)));
    for id in waiting {
        let timeout = RequestError::WriteTimeout {
            consistency: Consistency::One,
            received: 0,
            required: 1,
            write_type: WriteType::Simple,
        };
        assert_eq!(cluster.replies[&id].result.as_ref().err(), Some(&timeout));
    }
    let durable = node(&cluster).storage().sync_log();
    cluster.input(0, worker, Input::LogSynced(durable));
    cluster.settle();
    assert_eq!(node(&cluster).metrics.requests_in_flight.get(), 0);
    let rows = cluster.rows(0, "SELECT p FROM ks.t WHERE p IN (1, 2, 5, 6)", Consistency::One);
    assert_eq!(rows.len(), 4);
}

/// What one sync made durable is applied and answered in pieces, one a step, so that clients work on the first answers while
/// the rest is applied; and what is durable is answered as written also if the next sync finds no room.
#[test]
fn durable_writes_are_answered_in_pieces() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    cluster.syncs = false;
    let worker = MachineId::worker(0);
    let piece = limits::APPLIED_A_STEP;
    let answered = |cluster: &Cluster, ids: &[RequestId]| ids.iter().filter(|id| cluster.is_answered(**id)).count();
    let node = |cluster: &Cluster| cluster.members[0].node.as_ref().unwrap().shared.clone();

    let begin = |cluster: &mut Cluster, count: usize, first: i32| -> Vec<RequestId> {
        (0..count).map(|number| cluster.begin(0, insert(first + number as i32))).collect()
    };
    let writes = begin(&mut cluster, 2 * piece + 1, 0);
    cluster.settle();
    let durable = node(&cluster).storage().sync_log();
    cluster.input(0, worker, Input::LogSynced(durable));
    for expected in [piece, 2 * piece, 2 * piece + 1] {
        cluster.settle();
        assert_eq!(answered(&cluster, &writes), expected);
        let deadline = cluster.members[0].node.as_ref().unwrap().workers[0].deadline();
        let goes_on = deadline.is_some_and(|at| at <= cluster.now.mono);
        assert_eq!(goes_on, expected < writes.len(), "it asks to go on at once, as long as something is left");
        cluster.input(0, worker, Input::Tick);
    }

    let writes = begin(&mut cluster, piece + 2, 1_000);
    cluster.settle();
    let durable = node(&cluster).storage().sync_log();
    let lost = begin(&mut cluster, 1, 2_000);
    cluster.settle();
    cluster.input(0, worker, Input::LogSynced(durable));
    cluster.input(0, worker, Input::LogSynced(Err(StorageError::NoSpace("full".to_owned()))));
    cluster.settle();
    for id in writes {
        let result = &cluster.replies[&id].result;
        assert!(matches!(result, Ok(Answer::Void)), "what is durable was written: {result:?}");
    }
    assert!(matches!(cluster.replies[&lost[0]].result, Err(RequestError::WriteFailure { .. })));
}

/// A damaged table that nobody else keeps cannot be rebuilt; that keeps no other table waiting.
#[test]
fn a_table_without_other_replicas_keeps_no_rebuild_waiting() {
    let mut cluster = Cluster::of(3);
    create(&mut cluster, 3);
    cluster.run(0, "CREATE KEYSPACE lone WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
    cluster.run(0, "CREATE TABLE lone.t (p int PRIMARY KEY, v text)");
    for p in 0..50 {
        cluster.run(0, &format!("INSERT INTO ks.t (p, v) VALUES ({p}, 'x')"));
        cluster.run(0, &format!("INSERT INTO lone.t (p, v) VALUES ({p}, 'x')"));
    }
    let storage = cluster.members[1].node.as_ref().unwrap().shared.storage().clone();
    for job in storage.flush_all() {
        job.run_to_end().unwrap();
    }
    drop(storage);
    cluster.crash(1);
    let disk = cluster.members[1].disk.clone();
    for (path, _) in disk.snapshot_paths().into_iter().filter(|(path, _)| path.ends_with(".sst")) {
        assert!(disk.flip_bit(&path, 100, 3));
    }
    cluster.start(1, 1);
    cluster.run_until("it serves again", |cluster| cluster.is_ready(1));
    for keyspace in ["ks", "lone"] {
        let _ = cluster.query(1, &format!("SELECT p FROM {keyspace}.t"), at(Consistency::One));
    }
    assert_eq!(cluster.members[1].node.as_ref().unwrap().shared.storage().lost_ranges().len(), 2);
    cluster.run_until("the one is rebuilt", |cluster| {
        cluster.members[1].node.as_ref().unwrap().shared.storage().lost_ranges().len() == 1
    });
    assert_eq!(cluster.rows(1, "SELECT p FROM ks.t", Consistency::All).len(), 50);
}

/// A client's patience has a limit: what waited for days would keep others out.
#[test]
fn nobody_waits_for_longer_than_the_limit() {
    let mut cluster = Cluster::of(1);
    create(&mut cluster, 1);
    cluster.syncs = false;
    let mut options = at(Consistency::One);
    options.timeout_ms = Some(u32::MAX);
    let text = "INSERT INTO ks.t (p, v) VALUES (1, 'x')".to_owned();
    let body = RequestBody::Query { text, values: Values::default() };
    let waiting = cluster.begin(0, ClientRequest { body, keyspace: None, options });
    cluster.settle();
    assert!(!cluster.is_answered(waiting));
    let deadline = cluster.members[0].node.as_ref().unwrap().workers[0].deadline().unwrap();
    let wait = deadline.since(cluster.now.mono);
    assert!(wait <= Duration::from_millis(limits::TIMEOUT_MS_MAX.into()), "{wait:?}");
}

#[test]
fn replicas_of_tables_do_not_change_without_their_data() {
    let mut cluster = Cluster::of(3);
    let keyspace = |verb: &str, factor: u32| {
        format!("{verb} KEYSPACE k WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}")
    };
    cluster.run(0, &keyspace("CREATE", 1));
    cluster.run(0, &keyspace("ALTER", 2));
    cluster.run(0, "CREATE TABLE k.t (p int PRIMARY KEY, v text)");
    let refused = cluster.query(0, &keyspace("ALTER", 3), at(Consistency::Quorum));
    let Err(RequestError::Invalid { message, .. }) = refused else { panic!("{refused:?}") };
    assert!(message.contains("not supported yet while it has tables"), "{message}");
    cluster.run(0, "ALTER KEYSPACE k WITH durable_writes = true");
    cluster.run(0, "DROP TABLE k.t");
    cluster.run(0, &keyspace("ALTER", 3));
}
