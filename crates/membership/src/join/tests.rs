use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_model::schema::{Keyspace, Replication, Schema, Table, TableOptions};
use quorate_model::{ColumnId, Token};
use quorate_ring::{Movement, NodeEntry, Topology};

use super::*;

fn node(id: u128) -> NodeId {
    NodeId::from_u128(id)
}

fn metadata(joining: Option<MovementPhase>) -> ClusterMetadata {
    let mut topology = Topology::default();
    for id in 1..=4u128 {
        let entry = NodeEntry {
            id: node(id),
            address: format!("10.0.0.{id}:7000"),
            cql_port: 9042,
            grpc_port: 9044,
            datacenter: "dc1".to_owned(),
            rack: "r1".to_owned(),
            tokens: vec![Token(id as i64 * 100)],
            state: if id == 4 { NodeState::Joining } else { NodeState::Normal },
        };
        topology.nodes.insert(entry.id, entry);
    }
    match joining {
        Some(phase) => topology.movement = Some(Movement::Joining { node: node(4), phase }),
        None => {
            topology.nodes.remove(&node(4));
        }
    }
    let table = |name: &str, id| {
        let table = Table {
            id: TableId::from_u128(id),
            keyspace: "ks".to_owned(),
            name: name.to_owned(),
            columns: Vec::new(),
            next_column: ColumnId(0),
            indexes: Vec::new(),
            dropped: Vec::new(),
            options: TableOptions::default(),
        };
        (name.to_owned(), Arc::new(table))
    };
    let keyspace = Keyspace {
        name: "ks".to_owned(),
        replication: Replication::Simple { factor: 3 },
        durable_writes: true,
        tables: BTreeMap::from([table("a", 1), table("b", 2)]),
        types: BTreeMap::new(),
    };
    let schema = Schema { epoch: Epoch(2), keyspaces: BTreeMap::from([("ks".to_owned(), Arc::new(keyspace))]) };
    ClusterMetadata {
        epoch: Epoch(9),
        placement_epoch: Epoch(7),
        schema: Arc::new(schema),
        topology: Arc::new(topology),
        ..ClusterMetadata::default()
    }
}

fn progress(applied: &[(u128, u64)], live: &[u128]) -> JoinProgress {
    JoinProgress {
        applied: applied.iter().map(|(id, epoch)| (node(*id), Epoch(*epoch))).collect(),
        live: live.iter().map(|id| node(*id)).collect(),
        copied: BTreeSet::new(),
    }
}

#[test]
fn a_join_goes_step_by_step() {
    let ready = progress(&[(1, 7), (2, 8), (3, 9)], &[1, 2, 3]);
    assert_eq!(next_step(&metadata(None), node(4), &ready), JoinStep::Prepare);
    let write_both = metadata(Some(MovementPhase::WriteBoth));
    let waiting = progress(&[(1, 7), (2, 6)], &[1, 2, 3]);
    let expected = JoinStep::AwaitApplied { epoch: Epoch(7), missing: vec![node(2), node(3)] };
    assert_eq!(next_step(&write_both, node(4), &waiting), expected);
    let JoinStep::Copy(tasks) = next_step(&write_both, node(4), &ready) else { panic!("nothing to copy") };
    // Three ranges move, each with two tables.
    assert_eq!(tasks.len(), 6);
    assert_eq!(tasks.iter().map(CopyTask::key).collect::<BTreeSet<_>>().len(), 6);
    // After a crash the finished ones are not copied again.
    let mut later = ready.clone();
    later.copied = tasks.iter().take(5).map(CopyTask::key).collect();
    assert_eq!(next_step(&write_both, node(4), &later), JoinStep::Copy(vec![tasks[5].clone()]));
    later.copied.insert(tasks[5].key());
    assert_eq!(next_step(&write_both, node(4), &later), JoinStep::Propose(Change::JoinReadNew(node(4))));
    let read_new = metadata(Some(MovementPhase::ReadNew));
    assert_eq!(next_step(&read_new, node(4), &ready), JoinStep::Propose(Change::JoinFinish(node(4))));
    assert_eq!(next_step(&read_new, node(1), &ready), JoinStep::Done);
    assert_eq!(next_step(&read_new, node(5), &ready), JoinStep::AwaitOther(node(4)));
}

#[test]
fn replicas_of_moving_ranges_are_awaited_also_when_they_are_down() {
    let read_new = metadata(Some(MovementPhase::ReadNew));
    // Two of three old replicas are cut off and have not heard that reads moved: together they are a majority.
    let step = next_step(&read_new, node(4), &progress(&[(1, 7), (2, 6), (3, 6)], &[1]));
    assert_eq!(step, JoinStep::AwaitApplied { epoch: Epoch(7), missing: vec![node(2), node(3)] });
    // What a node was once known to have applied counts, for it is durable.
    let step = next_step(&read_new, node(4), &progress(&[(1, 7), (2, 7), (3, 7)], &[1]));
    assert_eq!(step, JoinStep::Propose(Change::JoinFinish(node(4))));
}

#[test]
fn a_later_attempt_copies_again() {
    let ready = progress(&[(1, 7), (2, 8), (3, 9)], &[1, 2, 3]);
    let first = metadata(Some(MovementPhase::WriteBoth));
    let JoinStep::Copy(tasks) = next_step(&first, node(4), &ready) else { panic!("nothing to copy") };
    let mut progress = progress(&[(1, 9), (2, 9), (3, 9)], &[1, 2, 3]);
    progress.copied = tasks.iter().map(CopyTask::key).collect();
    let again = ClusterMetadata { placement_epoch: Epoch(9), ..first };
    assert!(matches!(next_step(&again, node(4), &progress), JoinStep::Copy(tasks) if tasks.len() == 6));
}
