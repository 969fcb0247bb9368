//! Strategies that draw partitions from so few keys, timestamps and values that everything collides.
#![allow(dead_code)]

use bytes::Bytes;
use proptest::prelude::*;
use quorate_model::{
    Cell, CellContent, ClusteringKey, ColumnData, ColumnId, Deletion, Liveness, Partition, Position, RangeTombstone,
    Row, Seconds, Timestamp, Ttl,
};

fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0i64..6).prop_map(Timestamp)
}

fn deletion() -> impl Strategy<Value = Deletion> {
    (timestamp(), 0i64..3).prop_map(|(timestamp, at)| Deletion { timestamp, deleted_at: Seconds(at) })
}

fn value() -> impl Strategy<Value = Bytes> {
    prop::sample::select(vec!["", "a", "b"]).prop_map(|text| Bytes::from_static(text.as_bytes()))
}

pub fn cell() -> impl Strategy<Value = Cell> {
    let content = prop_oneof![
        value().prop_map(CellContent::Live),
        (value(), 1u32..3, 0i64..3).prop_map(|(value, ttl, at)| CellContent::Expiring {
            value,
            ttl: Ttl(ttl),
            expires_at: Seconds(at)
        }),
        (0i64..3).prop_map(|at| CellContent::Tombstone { deleted_at: Seconds(at) }),
    ];
    (timestamp(), content).prop_map(|(timestamp, content)| Cell { timestamp, content })
}

fn complex() -> impl Strategy<Value = ColumnData> {
    (prop::option::weighted(0.3, deletion()), prop::collection::btree_map(value(), cell(), 0..3))
        .prop_map(|(deletion, cells)| ColumnData::Complex { deletion, cells })
}

fn columns() -> impl Strategy<Value = Vec<(ColumnId, ColumnData)>> {
    // Columns 1 and 7 are simple, 4 and 9 complex.
    (
        prop::option::of(cell().prop_map(ColumnData::Simple)),
        prop::option::weighted(0.4, complex()),
        prop::option::of(cell().prop_map(ColumnData::Simple)),
        prop::option::weighted(0.2, complex()),
    )
        .prop_map(|(one, four, seven, nine)| {
            let slots = [(1, one), (4, four), (7, seven), (9, nine)];
            slots.into_iter().filter_map(|(id, data)| Some((ColumnId(id), data?))).collect()
        })
}

pub fn row() -> impl Strategy<Value = Row> {
    let liveness = (timestamp(), prop::option::of((0i64..3, 1u32..3))).prop_map(|(timestamp, expiry)| Liveness {
        timestamp,
        expiry: expiry.map(|(at, ttl)| (Seconds(at), Ttl(ttl))),
    });
    (prop::option::of(liveness), prop::option::weighted(0.3, deletion()), columns())
        .prop_map(|(liveness, deletion, columns)| Row { liveness, deletion, columns })
}

/// Like real keys of one table, none is a prefix of another.
pub fn key() -> impl Strategy<Value = ClusteringKey> {
    prop::sample::select(vec!["a", "ba", "bb", "c", "da", "db"])
        .prop_map(|text| ClusteringKey(Bytes::from_static(text.as_bytes())))
}

pub fn position() -> impl Strategy<Value = Position> {
    prop_oneof![
        prop::sample::select(vec!["b", "d"]).prop_map(|prefix| Position::before(prefix.as_bytes())),
        prop::sample::select(vec!["b", "d"]).prop_map(|prefix| Position::after(prefix.as_bytes())),
        key().prop_map(|key| Position::before(&key.0)),
        key().prop_map(|key| Position::after(&key.0)),
        Just(Position::START),
        Just(Position::END),
    ]
}

fn range() -> impl Strategy<Value = RangeTombstone> {
    (position(), position(), deletion()).prop_map(|(start, end, deletion)| RangeTombstone { start, end, deletion })
}

pub fn partition() -> impl Strategy<Value = Partition> {
    (
        prop::option::weighted(0.3, deletion()),
        prop_oneof![2 => Just(Row::default()), 1 => columns().prop_map(|columns| Row { columns, ..Row::default() })],
        prop::collection::btree_map(key(), row(), 0..5),
        prop::collection::vec(range(), 0..4),
    )
        .prop_map(|(deletion, static_row, rows, ranges)| Partition {
            deletion,
            static_row,
            rows: rows.into_iter().collect(),
            range_tombstones: ranges.into_iter().collect(),
        })
}
