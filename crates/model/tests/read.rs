//! Limits: one rule for storage and coordinator, pages that join up, and range tombstones told by a model.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod common;

use bytes::Bytes;
use common::{partition, position};
use proptest::prelude::*;
use quorate_model::read::apply_limits;
use quorate_model::{
    Cell, ClusteringKey, ColumnData, ColumnId, DecoratedKey, Deletion, Partition, PartitionKey, Position,
    RangeTombstone, RangeTombstones, ReadCommand, ReadResponse, ReadTarget, RowChoice, Seconds, TableId, Timestamp,
    Token,
};

const NOW: Seconds = Seconds(1);

fn key(token: i64) -> DecoratedKey {
    DecoratedKey { token: Token(token), key: PartitionKey(Bytes::from(token.to_string())) }
}

fn command() -> ReadCommand {
    ReadCommand {
        table: TableId::default(),
        target: ReadTarget::Range { after: None, last: Token::MAX, from: None },
        slices: vec![(Position::START, Position::END)],
        reversed: false,
        row_limit: u32::MAX,
        per_partition_limit: u32::MAX,
        byte_limit: u32::MAX,
        now: NOW,
        rows: RowChoice::All,
    }
}

/// A replica's store answering the command, starting where a page stopped.
fn read(
    store: &[(DecoratedKey, Partition)],
    command: &ReadCommand,
    from: Option<&quorate_model::Resume>,
) -> ReadResponse {
    let left = store.iter().filter_map(|(key, partition)| {
        let mut partition = partition.clone();
        match from {
            Some(from) if *key < from.key => return None,
            Some(from) if *key == from.key => {
                from.position.as_ref()?;
                partition.restrict(&command.slices_from(from));
            }
            _ => partition.restrict(&command.slices),
        }
        Some((key.clone(), partition))
    });
    apply_limits(left, command)
}

fn store() -> impl Strategy<Value = Vec<(DecoratedKey, Partition)>> {
    prop::collection::vec(partition(), 0..4).prop_map(|partitions| {
        let keyed = partitions.into_iter().enumerate().map(|(index, mut partition)| {
            partition.canonicalize();
            (key(index as i64), partition)
        });
        keyed.filter(|(_, partition)| !partition.is_empty()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn pages_add_up_to_the_whole(store in store(), reversed: bool, row_limit in 1u32..4, byte_limit in prop_oneof![Just(u32::MAX), 1u32..300], bounds in prop::collection::btree_set(position(), 2)) {
        let bounds: Vec<_> = bounds.into_iter().collect();
        let command = ReadCommand { reversed, row_limit, byte_limit, slices: vec![(bounds[0].clone(), bounds[1].clone())], ..command() };
        let whole = read(&store, &ReadCommand { row_limit: u32::MAX, byte_limit: u32::MAX, ..command.clone() }, None);
        prop_assert!(whole.stopped_at.is_none());
        let mut joined: Vec<(DecoratedKey, Partition)> = Vec::new();
        let mut from = None;
        for page in 0.. {
            prop_assert!(page < 100, "pages make headway");
            let response = read(&store, &command, from.as_ref());
            let live: usize = response.partitions.iter().map(|(_, partition)| partition.live_row_count(NOW)).sum();
            prop_assert!(live <= row_limit as usize);
            for (key, partition) in response.partitions {
                match joined.last_mut() {
                    Some((last, whole)) if *last == key => whole.merge_owned(partition),
                    _ => joined.push((key, partition)),
                }
            }
            from = response.stopped_at;
            if from.is_none() {
                break;
            }
        }
        prop_assert_eq!(joined, whole.partitions);
    }

    #[test]
    fn a_partition_is_cut_behind_its_last_counted_row(store in store(), reversed: bool, per_partition_limit in 1u32..3) {
        let command = ReadCommand { reversed, per_partition_limit, ..command() };
        let response = read(&store, &command, None);
        prop_assert!(response.stopped_at.is_none());
        prop_assert_eq!(response.partitions.len(), store.len());
        for ((_, cut), (_, whole)) in response.partitions.iter().zip(&store) {
            let live: Vec<_> = whole.rows.iter().filter(|(_, row)| row.is_live(NOW)).map(|(key, _)| key).collect();
            let in_order: Vec<_> = if reversed { live.into_iter().rev().collect() } else { live };
            match in_order.get(per_partition_limit as usize - 1) {
                None => prop_assert_eq!(cut, whole),
                Some(last) => {
                    let kept = if reversed { cut.rows.first_key_value() } else { cut.rows.last_key_value() };
                    prop_assert_eq!(kept.unwrap().0, *last);
                    prop_assert_eq!(cut.live_row_count(NOW), per_partition_limit as usize);
                }
            }
        }
    }

    #[test]
    fn ranges_are_what_a_map_of_places_says(ranges in prop::collection::vec((0u8..8, 0u8..8, 0i64..4, 0i64..2), 0..8), split in 0usize..8) {
        let range = |(start, end, timestamp, at): &(u8, u8, i64, i64)| RangeTombstone {
            start: Position(Bytes::copy_from_slice(&[*start])),
            end: Position(Bytes::copy_from_slice(&[*end])),
            deletion: Deletion { timestamp: Timestamp(*timestamp), deleted_at: Seconds(*at) },
        };
        let all: RangeTombstones = ranges.iter().map(range).collect();
        for place in 0u8..9 {
            let expected = ranges.iter().filter(|(start, end, ..)| *start <= place && place < *end).map(|given| range(given).deletion).max();
            prop_assert_eq!(all.covering(&ClusteringKey(Bytes::copy_from_slice(&[place]))), expected);
        }
        prop_assert_eq!(RangeTombstones::from_sorted_checked(all.iter().cloned().collect()), Some(all.clone()));
        let split = split.min(ranges.len());
        let mut merged: RangeTombstones = ranges[split..].iter().map(range).collect();
        merged.merge(&ranges[..split].iter().map(range).collect());
        prop_assert_eq!(merged, all);
    }
}

#[test]
fn a_static_row_alone_counts_as_one() {
    let static_only = || {
        let mut partition = Partition::default();
        let cell = Cell::live(Timestamp(1), Bytes::from_static(b"s"));
        partition.static_row.set(ColumnId(3), ColumnData::Simple(cell));
        partition
    };
    let command = ReadCommand { row_limit: 1, ..command() };
    let response = apply_limits([(key(1), static_only()), (key(2), static_only())], &command);
    assert_eq!(response.partitions.len(), 1);
    let stopped = response.stopped_at.unwrap();
    assert_eq!((stopped.key, stopped.position), (key(1), None));
}
