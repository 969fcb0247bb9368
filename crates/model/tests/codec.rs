//! Every word survives its encoding; hostile bytes are refused without a panic; there is one encoding only.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use common::{partition, position};
use proptest::prelude::*;
use quorate_model::request::{Place, RequestError, StatementId, Trace, TraceEvent, WriteType};
use quorate_model::schema::{Column, ColumnKind, Keyspace, Replication, Schema, Table, TableOptions, UserType};
use quorate_model::wire::Wire;
use quorate_model::{
    ColumnId, Consistency, CqlType, DecoratedKey, Epoch, Mutation, NodeId, Partition, PartitionKey, ReadCommand,
    ReadResponse, ReadTarget, Resume, RowChoice, Seconds, TableId, Token,
};

fn same<T: Wire + PartialEq + Debug>(word: &T) {
    let bytes = word.to_bytes();
    assert_eq!(&T::from_bytes(&bytes).unwrap(), word);
    for length in 0..bytes.len() {
        assert!(T::from_bytes(&bytes.slice(..length)).is_err(), "cut at {length} of {}: {word:?}", bytes.len());
    }
}

/// Whatever decodes must be the one encoding of what it decodes to.
fn refused_or_canonical<T: Wire>(bytes: &Bytes) {
    if let Ok(word) = T::from_bytes(bytes) {
        assert_eq!(word.to_bytes(), bytes);
    }
}

fn key() -> impl Strategy<Value = DecoratedKey> {
    (any::<i64>(), prop::collection::vec(any::<u8>(), 0..5))
        .prop_map(|(token, bytes)| DecoratedKey { token: Token(token), key: PartitionKey(bytes.into()) })
}

fn resume() -> impl Strategy<Value = Resume> {
    (key(), prop::option::of(position())).prop_map(|(key, position)| Resume { key, position })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_and_answers(key in key(), mut update in partition(), stopped_at in prop::option::of(resume()), id: u128) {
        update.canonicalize();
        same(&Mutation { table: TableId::from_u128(id), key: key.clone(), update: update.clone() });
        same(&ReadResponse { partitions: vec![(key, update)], stopped_at });
    }

    #[test]
    fn commands(first in key(), from in prop::option::of(resume()), after: Option<i64>, last: i64, bounds in prop::collection::btree_set(position(), 0..6), numbers: [u32; 3], reversed: bool, now: i64) {
        let bounds: Vec<_> = bounds.into_iter().collect();
        let command = ReadCommand {
            table: TableId::default(),
            target: ReadTarget::Range { after: after.map(Token), last: Token(last), from },
            slices: bounds.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
            reversed,
            row_limit: numbers[0],
            per_partition_limit: numbers[1],
            byte_limit: numbers[2],
            now: Seconds(now),
            rows: RowChoice::All,
        };
        same(&command);
        same(&ReadCommand { target: ReadTarget::Partition(first), ..command });
    }

    #[test]
    fn hostile_bytes(mut update in partition(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), noise in prop::collection::vec(prop_oneof![any::<u8>(), 0u8..16], 0..60)) {
        update.canonicalize();
        let mut bytes = update.to_bytes().to_vec();
        for (place, byte) in flips {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        refused_or_canonical::<Partition>(&bytes.into());
        let noise = Bytes::from(noise);
        refused_or_canonical::<Partition>(&noise);
        refused_or_canonical::<Mutation>(&noise);
        refused_or_canonical::<ReadCommand>(&noise);
        refused_or_canonical::<ReadResponse>(&noise);
        refused_or_canonical::<CqlType>(&noise);
        refused_or_canonical::<Schema>(&noise);
        refused_or_canonical::<Table>(&noise);
        refused_or_canonical::<RequestError>(&noise);
        refused_or_canonical::<Trace>(&noise);
    }
}

fn column(id: u32, name: &str, cql_type: CqlType, kind: ColumnKind) -> Column {
    Column { id: ColumnId(id), name: name.to_owned(), cql_type, kind }
}

fn table() -> Table {
    let nested =
        CqlType::Map(CqlType::Text.into(), CqlType::Tuple(vec![CqlType::Int, CqlType::Duration]).into(), false);
    let user = CqlType::UserDefined {
        keyspace: "k".into(),
        name: "u".into(),
        fields: vec![("f".into(), CqlType::Vector(CqlType::Float.into(), 3))],
        frozen: true,
    };
    let mut table = Table {
        id: TableId::from_u128(7),
        keyspace: "k".to_owned(),
        name: "t".to_owned(),
        columns: vec![
            column(5, "b", nested, ColumnKind::Regular),
            column(4, "a", user, ColumnKind::Regular),
            column(3, "s", CqlType::Counter, ColumnKind::Static),
            column(2, "c", CqlType::TimeUuid, ColumnKind::Clustering(0, true)),
            column(1, "p2", CqlType::Int, ColumnKind::PartitionKey(1)),
            column(0, "p1", CqlType::Int, ColumnKind::PartitionKey(0)),
        ],
        next_column: ColumnId(8),
        dropped: vec![(column(6, "old", CqlType::Blob, ColumnKind::Regular), 12)],
        indexes: Vec::new(),
        options: TableOptions { extensions: BTreeMap::from([("x".to_owned(), vec![1, 2])]), ..TableOptions::default() },
    };
    table.sort_columns();
    table
}

#[test]
fn schemas() {
    let table = table();
    let names: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["p1", "p2", "c", "s", "a", "b"]);
    assert_eq!(table.clustering_types(), [(CqlType::TimeUuid, true)]);
    assert_eq!(table.columns[4].cql_type.to_string(), "frozen<u>");
    assert_eq!(table.columns[5].cql_type.to_string(), "map<text, frozen<tuple<int, duration>>>");
    assert_eq!((table.columns[4].cql_type.depth(), table.columns[5].cql_type.depth()), (3, 3));
    let keyspace = |name: &str, replication| {
        let tables = BTreeMap::from([("t".to_owned(), Arc::new(table.clone()))]);
        let user_type =
            UserType { keyspace: name.to_owned(), name: "u".to_owned(), fields: vec![("f".to_owned(), CqlType::Int)] };
        let types = BTreeMap::from([("u".to_owned(), Arc::new(user_type))]);
        (
            name.to_owned(),
            Arc::new(Keyspace { name: name.to_owned(), replication, durable_writes: true, tables, types }),
        )
    };
    let factors = BTreeMap::from([("dc1".to_owned(), 3), ("dc2".to_owned(), 2)]);
    let schema = Schema {
        epoch: Epoch(300),
        keyspaces: BTreeMap::from([
            keyspace("a", Replication::Simple { factor: 3 }),
            keyspace("b", Replication::NetworkTopology { factors }),
            keyspace("c", Replication::Local),
        ]),
    };
    same(&schema);
    assert_eq!(schema.table_by_id(TableId::from_u128(7)), schema.table("a", "t"));
    for keyspace in schema.keyspaces.values() {
        let map = keyspace.replication.to_map();
        assert_eq!(Replication::from_map(&map), Ok(keyspace.replication.clone()));
        assert!(map["class"].starts_with("org.apache.cassandra.locator."));
    }
}

#[test]
fn replication_options_are_checked() {
    let read = |pairs: &[(&str, &str)]| {
        Replication::from_map(&pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect())
    };
    assert_eq!(
        read(&[("class", "SimpleStrategy"), ("replication_factor", "3")]),
        Ok(Replication::Simple { factor: 3 })
    );
    for wrong in [
        &[("replication_factor", "3")][..],
        &[("class", "SimpleStrategy")],
        &[("class", "SimpleStrategy"), ("replication_factor", "-1")],
        &[("class", "SimpleStrategy"), ("replication_factor", "x")],
        &[("class", "SimpleStrategy"), ("replication_factor", "3"), ("dc1", "1")],
        &[("class", "NetworkTopologyStrategy")],
        &[("class", "NetworkTopologyStrategy"), ("dc1", "3/1")],
        &[("class", "OtherStrategy")],
    ] {
        assert!(read(wrong).is_err(), "{wrong:?}");
    }
    let expanded = read(&[("class", "NetworkTopologyStrategy"), ("replication_factor", "3"), ("b", "1")])
        .unwrap()
        .expand(["a", "b"]);
    assert_eq!(expanded, Replication::NetworkTopology { factors: BTreeMap::from([("a".into(), 3), ("b".into(), 1)]) });
}

#[test]
fn types_too_deep_are_refused() {
    let mut deep = CqlType::Int;
    for _ in 1..quorate_model::limits::TYPE_DEPTH_MAX {
        deep = CqlType::List(deep.into(), true);
    }
    same(&deep);
    assert!(CqlType::from_bytes(&CqlType::List(deep.into(), true).to_bytes()).is_err());
}

#[test]
fn errors_and_traces() {
    let consistency = Consistency::Quorum;
    let failures = vec![(NodeId::from_u128(1), "disk".to_owned())];
    let place = Some(Place { line: 1, column: 300, length: 2 });
    let errors = [
        RequestError::Server("m".into()),
        RequestError::Protocol("m".into()),
        RequestError::Unavailable { consistency, required: 2, alive: 1 },
        RequestError::Overloaded("m".into()),
        RequestError::Bootstrapping("m".into()),
        RequestError::Truncate("m".into()),
        RequestError::WriteTimeout { consistency, received: 1, required: 2, write_type: WriteType::UnloggedBatch },
        RequestError::ReadTimeout { consistency, received: 1, required: 2, data_present: true },
        RequestError::ReadFailure {
            consistency,
            received: 1,
            required: 2,
            data_present: false,
            failures: failures.clone(),
        },
        RequestError::WriteFailure { consistency, received: 1, required: 2, write_type: WriteType::Cas, failures },
        RequestError::Syntax { message: "m".into(), place },
        RequestError::Unauthorized("m".into()),
        RequestError::Invalid { message: "m".into(), place: None },
        RequestError::Configuration("m".into()),
        RequestError::FunctionFailure {
            keyspace: "system".into(),
            function: "/".into(),
            argument_types: vec!["int".into(), "tinyint".into()],
            message: "/ by zero".into(),
        },
        RequestError::AlreadyExists { keyspace: "k".into(), table: String::new() },
        RequestError::Unprepared(StatementId([9; 16])),
    ];
    errors.iter().for_each(same);
    let event = TraceEvent { node: NodeId::from_u128(3), elapsed_us: 1000, activity: "read".into() };
    same(&Trace { session: [1; 16], duration_us: 5, events: vec![event] });
}
