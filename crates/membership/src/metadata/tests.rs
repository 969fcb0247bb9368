use std::collections::BTreeMap;

use quorate_model::schema::{Column, ColumnKind, Keyspace, Replication, Table, TableOptions};
use quorate_model::wire::Wire;
use quorate_model::{ColumnId, CqlType, Token};
use quorate_ring::{MovementPhase, NodeEntry, NodeState};

use super::*;

fn node(id: u128) -> NodeId {
    NodeId::from_u128(id)
}

fn entry(id: u128, tokens: &[i64]) -> NodeEntry {
    NodeEntry {
        id: node(id),
        address: format!("10.0.0.{id}:7000"),
        cql_port: 9042,
        grpc_port: 9044,
        datacenter: "dc1".to_owned(),
        rack: "r1".to_owned(),
        tokens: tokens.iter().map(|token| Token(*token)).collect(),
        state: NodeState::Joining,
    }
}

fn keyspace(name: &str, factor: u32) -> Keyspace {
    let replication = Replication::Simple { factor };
    Keyspace {
        name: name.to_owned(),
        replication,
        durable_writes: true,
        tables: BTreeMap::new(),
        types: BTreeMap::new(),
    }
}

fn table(keyspace: &str, name: &str, id: u128) -> Table {
    Table {
        id: TableId::from_u128(id),
        keyspace: keyspace.to_owned(),
        name: name.to_owned(),
        columns: vec![Column {
            id: ColumnId(0),
            name: "k".to_owned(),
            cql_type: CqlType::Int,
            kind: ColumnKind::PartitionKey(0),
        }],
        next_column: ColumnId(1),
        indexes: Vec::new(),
        dropped: Vec::new(),
        options: TableOptions::default(),
    }
}

/// Applies the changes, checks every state, and returns what was rejected.
fn apply(metadata: &mut ClusterMetadata, changes: Vec<Change>) -> Vec<Option<Rejection>> {
    changes
        .into_iter()
        .map(|change| {
            let before = metadata.clone();
            let proposal = Proposal { id: ProposalId(1), change };
            let entry = Entry { epoch: metadata.epoch.next(), proposal };
            assert_eq!(Entry::from_bytes(&entry.to_bytes()).unwrap(), entry);
            let result = metadata.apply(&entry);
            metadata.check();
            assert_eq!(ClusterMetadata::from_bytes(&metadata.to_bytes()).unwrap(), *metadata);
            if result.is_err() {
                assert_eq!(
                    *metadata,
                    ClusterMetadata { epoch: entry.epoch, ..before },
                    "a rejected change changes nothing"
                );
            }
            result.err()
        })
        .collect()
}

fn founded() -> ClusterMetadata {
    let mut metadata = ClusterMetadata::default();
    let cluster = ClusterId::from_u128(5);
    let found = Change::Found { cluster, name: "c".to_owned(), first: entry(1, &[0, 100]) };
    assert_eq!(apply(&mut metadata, vec![found]), [None]);
    metadata
}

#[test]
fn a_cluster_is_founded_once_and_first() {
    let mut metadata = ClusterMetadata::default();
    assert_eq!(apply(&mut metadata, vec![Change::DropKeyspace("a".to_owned())]), [Some(Rejection::NotFounded)]);
    let mut metadata = founded();
    assert_eq!(metadata.members, [node(1)]);
    assert_eq!(metadata.topology.node(node(1)).unwrap().state, NodeState::Normal);
    let again = Change::Found { cluster: ClusterId::from_u128(6), name: "d".to_owned(), first: entry(2, &[7]) };
    assert_eq!(apply(&mut metadata, vec![again]), [Some(Rejection::AlreadyFounded)]);
}

#[test]
fn a_join_goes_through_its_phases_one_at_a_time() {
    let mut metadata = founded();
    let phase = |metadata: &ClusterMetadata| metadata.topology.movement.map(|movement| movement.phase());
    let wrong = Some(Rejection::WrongPhase { node: node(2) });
    let rejected = apply(
        &mut metadata,
        vec![
            Change::JoinReadNew(node(2)),
            Change::JoinPrepare(entry(2, &[50])),
            Change::JoinPrepare(entry(3, &[70])),
            Change::JoinFinish(node(2)),
        ],
    );
    assert_eq!(rejected, [wrong.clone(), None, Some(Rejection::AlreadyMoving { node: node(2) }), wrong.clone()]);
    assert_eq!(phase(&metadata), Some(MovementPhase::WriteBoth));
    assert_eq!(metadata.placement_epoch, Epoch(3));
    assert_eq!(
        apply(&mut metadata, vec![Change::JoinReadNew(node(2)), Change::JoinReadNew(node(2))]),
        [None, wrong.clone()]
    );
    assert_eq!(phase(&metadata), Some(MovementPhase::ReadNew));
    assert_eq!(apply(&mut metadata, vec![Change::JoinFinish(node(2))]), [None]);
    assert_eq!(phase(&metadata), None);
    assert_eq!(metadata.topology.node(node(2)).unwrap().state, NodeState::Normal);
    assert_eq!(apply(&mut metadata, vec![Change::JoinAbort(node(2))]), [wrong]);
}

#[test]
fn an_aborted_join_leaves_no_trace() {
    let mut metadata = founded();
    let before = metadata.topology.nodes.clone();
    let abort = vec![Change::JoinPrepare(entry(2, &[50])), Change::JoinReadNew(node(2)), Change::JoinAbort(node(2))];
    assert_eq!(apply(&mut metadata, abort), [None, None, None]);
    assert_eq!((&metadata.topology.nodes, metadata.topology.movement), (&before, None));
}

#[test]
fn newcomers_must_be_new() {
    let mut metadata = founded();
    let at_taken_address = NodeEntry { address: "10.0.0.1:7000".to_owned(), ..entry(2, &[50]) };
    let bad = Rejection::BadTokens { node: node(2) };
    let rejected = apply(
        &mut metadata,
        vec![
            Change::JoinPrepare(entry(1, &[50])),
            Change::JoinPrepare(at_taken_address),
            Change::JoinPrepare(entry(2, &[100])),
            Change::JoinPrepare(entry(2, &[])),
            Change::JoinPrepare(entry(2, &[i64::MIN])),
            Change::JoinPrepare(NodeEntry { rack: String::new(), ..entry(2, &[50]) }),
        ],
    );
    let address = "10.0.0.1:7000".to_owned();
    assert_eq!(
        rejected.into_iter().flatten().collect::<Vec<_>>(),
        [
            Rejection::NodeExists { node: node(1) },
            Rejection::AddressInUse { address, owner: node(1) },
            bad.clone(),
            bad.clone(),
            bad,
            Rejection::BadName { max: crate::limits::NAME_BYTES_MAX },
        ]
    );
}

#[test]
fn members_are_few_distinct_and_joined() {
    let mut metadata = founded();
    apply(&mut metadata, vec![Change::JoinPrepare(entry(2, &[50]))]);
    let bad = Some(Rejection::BadMembers { max: crate::limits::MEMBERS_MAX });
    let sets = [vec![], vec![node(1), node(1)], vec![node(2)], vec![node(9)], vec![node(1)]];
    let rejected = apply(&mut metadata, sets.into_iter().map(Change::SetMembers).collect());
    assert_eq!(rejected, [bad.clone(), bad.clone(), bad.clone(), bad, None]);
}

#[test]
fn nodes_may_swap_addresses() {
    let mut metadata = founded();
    let join = vec![Change::JoinPrepare(entry(2, &[50])), Change::JoinReadNew(node(2)), Change::JoinFinish(node(2))];
    apply(&mut metadata, join);
    let placed = metadata.placement_epoch;
    let update = |id, address: &str| Change::UpdateNode {
        node: node(id),
        address: address.to_owned(),
        cql_port: 1,
        grpc_port: 2,
    };
    apply(&mut metadata, vec![update(1, "10.0.0.2:7000"), update(2, "10.0.0.1:7000")]);
    assert_eq!(metadata.topology.node_at("10.0.0.2:7000").unwrap().id, node(1));
    assert_eq!(metadata.topology.node_at("10.0.0.1:7000").unwrap().id, node(2));
    assert_eq!(metadata.placement_epoch, placed, "an address moves no data");
}

#[test]
fn schema_changes_keep_what_they_do_not_name() {
    let mut metadata = founded();
    let truncate = |id, up_to| Change::Truncate { table: TableId::from_u128(id), up_to: Timestamp(up_to) };
    let rejected = apply(
        &mut metadata,
        vec![
            Change::PutTable(table("ks", "t", 1)),
            Change::PutKeyspace(keyspace("ks", 1)),
            Change::PutTable(table("ks", "t", 1)),
            Change::PutTable(table("ks", "t", 2)),
            Change::PutTable(table("ks", "u", 1)),
            truncate(1, 50),
            truncate(1, 40),
            truncate(7, 1),
        ],
    );
    let unknown = Some(Rejection::UnknownKeyspace { keyspace: "ks".to_owned() });
    let conflict = |name: &str| Some(Rejection::TableConflict { keyspace: "ks".to_owned(), table: name.to_owned() });
    let none = || None;
    let expected = [unknown, None, None, conflict("t"), conflict("u"), None, none(), Some(Rejection::UnknownTable)];
    assert_eq!(rejected, expected);
    assert_eq!(metadata.truncations[&TableId::from_u128(1)], Timestamp(50));
    let placed = metadata.placement_epoch;
    apply(&mut metadata, vec![Change::PutKeyspace(keyspace("ks", 3))]);
    assert!(metadata.placement_epoch > placed, "another replication places anew");
    assert!(metadata.schema.keyspaces["ks"].tables.contains_key("t"), "altering a keyspace keeps its tables");
    let drop = Change::DropTable { keyspace: "ks".to_owned(), name: "t".to_owned() };
    assert_eq!(apply(&mut metadata, vec![drop.clone(), drop]), [None, Some(Rejection::UnknownTable)]);
    assert!(metadata.truncations.is_empty());
    assert_eq!(apply(&mut metadata, vec![Change::DropKeyspace("ks".to_owned())]), [None]);
    assert!(metadata.schema.keyspaces.is_empty());
}

#[test]
fn a_type_changes_with_all_that_uses_it_and_is_dropped_only_unused() {
    let mut metadata = founded();
    let user_type = |fields: &[&str]| quorate_model::schema::UserType {
        keyspace: "ks".to_owned(),
        name: "u".to_owned(),
        fields: fields.iter().map(|name| (name.to_string(), CqlType::Int)).collect(),
    };
    let mut outer = user_type(&[]);
    outer.name = "outer".to_owned();
    outer.fields = vec![("inner".to_owned(), CqlType::List(user_type(&["a"]).cql_type(true).into(), true))];
    let mut holder = table("ks", "t", 1);
    holder.columns[0].cql_type = CqlType::Set(user_type(&["a"]).cql_type(true).into(), false);
    let drop = |name: &str| Change::DropType { keyspace: "ks".to_owned(), name: name.to_owned() };
    let in_use = Some(Rejection::TypeInUse { keyspace: "ks".to_owned(), name: "u".to_owned() });
    let unknown = Some(Rejection::UnknownKeyspace { keyspace: "ks".to_owned() });
    let rejected = apply(
        &mut metadata,
        vec![
            Change::PutType(user_type(&["a"])),
            Change::PutKeyspace(keyspace("ks", 1)),
            Change::PutType(user_type(&["a"])),
            Change::PutType(outer),
            Change::PutTable(holder),
            drop("u"),
            Change::PutType(user_type(&["a", "b"])),
            Change::PutKeyspace(keyspace("ks", 3)),
            drop("nope"),
        ],
    );
    let no_type = Some(Rejection::UnknownType { keyspace: "ks".to_owned(), name: "nope".to_owned() });
    assert_eq!(rejected, [unknown, None, None, None, None, in_use, None, None, no_type]);
    let schema = metadata.schema.keyspaces["ks"].clone();
    let renewed = user_type(&["a", "b"]).cql_type(true);
    assert_eq!(schema.tables["t"].columns[0].cql_type, CqlType::Set(renewed.clone().into(), false));
    assert_eq!(schema.types["outer"].fields[0].1, CqlType::List(renewed.into(), true));
    let drop_table = Change::DropTable { keyspace: "ks".to_owned(), name: "t".to_owned() };
    assert_eq!(apply(&mut metadata, vec![drop_table, drop("outer"), drop("u")]), [None, None, None]);
    assert!(metadata.schema.keyspaces["ks"].types.is_empty());
}

#[test]
fn replication_stays_while_ranges_move() {
    let mut metadata = founded();
    let rejected = apply(
        &mut metadata,
        vec![
            Change::PutKeyspace(keyspace("ks", 1)),
            Change::JoinPrepare(entry(2, &[50])),
            Change::PutKeyspace(keyspace("ks", 3)),
            Change::PutKeyspace(keyspace("other", 3)),
        ],
    );
    assert_eq!(rejected, [None, None, Some(Rejection::AlreadyMoving { node: node(2) }), None]);
}
