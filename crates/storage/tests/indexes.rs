//! Indexes against a plain map: whatever is written, deleted, expires, is flushed, compacted, truncated, killed and
//! reopened, a read by an index gives what a filtered scan gives, also while and after it is built.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::collections::BTreeMap;

use bytes::Bytes;
use common::*;
use quorate_env::Random;
use quorate_model::index::term;
use quorate_model::*;
use quorate_storage::{Access, ReadError, Storage, StorageJob};

const VALUE: u8 = 1;
const SET: u8 = 2;
const STATIC: u8 = 3;
const LIST: u8 = 4;

fn set_type() -> CqlType {
    CqlType::Set(Box::new(CqlType::TinyInt), false)
}

fn list_type() -> CqlType {
    CqlType::List(Box::new(CqlType::TinyInt), false)
}

/// An index; each time it is made it is another one.
fn definition((number, time): (u8, u8)) -> IndexDefinition {
    let (source, part, cql_type) = match number {
        VALUE => (IndexSource::Regular(ColumnId(1)), IndexPart::Value, CqlType::TinyInt),
        SET => (IndexSource::Regular(ColumnId(2)), IndexPart::Values, set_type()),
        LIST => (IndexSource::Regular(ColumnId(4)), IndexPart::Values, list_type()),
        _ => (IndexSource::Static(ColumnId(3)), IndexPart::Value, CqlType::TinyInt),
    };
    IndexDefinition { id: TableId::from_u128(u128::from(number) << 32 | u128::from(time)), source, part, cql_type }
}

fn byte(value: u8) -> Bytes {
    Bytes::copy_from_slice(&[value])
}

fn search(index: (u8, u8), first: u8, last: u8) -> RowChoice {
    let term = |value| term(&[&CqlType::TinyInt], &[&byte(value)]).unwrap();
    let whole_partitions = definition(index).is_of_partitions();
    RowChoice::Index(IndexSearch {
        index: definition(index).id,
        first: term(first),
        last: term(last),
        whole_partitions,
    })
}

fn random_cell(random: &mut Random, timestamp: Timestamp, value: Bytes, now: i64) -> Cell {
    let content = match random.below(5) {
        0 => CellContent::Tombstone { deleted_at: Seconds(now) },
        1 => {
            let ttl = random.between(1, 20);
            CellContent::Expiring { value, ttl: Ttl(ttl as u32), expires_at: Seconds(now + ttl as i64) }
        }
        _ => CellContent::Live(value),
    };
    Cell { timestamp, content }
}

/// A random change of the one table. Few places, values and timestamps, so that everything meets.
fn random_change(random: &mut Random, now: i64) -> Mutation {
    let mut update = Partition::default();
    let timestamp = Timestamp(random.between(1, 80) as i64);
    let deletion = Deletion { timestamp, deleted_at: Seconds(now) };
    let row_key = |random: &mut Random| clustering(random.below(12) as u16);
    let value = |random: &mut Random| byte(random.below(4) as u8);
    match random.below(24) {
        0 => update.deletion = Some(deletion),
        1 => {
            let from = random.below(12) as u16;
            let end = position(from + random.between(1, 6) as u16);
            update.range_tombstones.add(RangeTombstone { start: position(from), end, deletion });
        }
        2 | 3 => {
            let row = Row { deletion: Some(deletion), ..Row::default() };
            update.rows.insert(row_key(random), row);
        }
        4..7 => {
            let value = value(random);
            update.static_row.set(ColumnId(3), ColumnData::Simple(random_cell(random, timestamp, value, now)));
        }
        _ => {
            let mut row = Row::default();
            if random.chance(1, 2) {
                row.liveness = Some(Liveness { timestamp, expiry: None });
            }
            if random.chance(2, 3) {
                let value = value(random);
                row.set(ColumnId(1), ColumnData::Simple(random_cell(random, timestamp, value, now)));
            }
            for (column, chance) in [(2, 3), (4, 4)] {
                if !random.chance(1, chance) {
                    continue;
                }
                let deletion =
                    random.chance(1, 3).then_some(Deletion { timestamp: Timestamp(timestamp.0 - 1), ..deletion });
                let element = value(random);
                let (path, content) = match column {
                    2 => (ordered::cell_path(&CqlType::TinyInt, &element).unwrap(), Bytes::new()),
                    _ => (byte(random.below(3) as u8), element),
                };
                let cell = random_cell(random, timestamp, content, now);
                row.set(ColumnId(column), ColumnData::Complex { deletion, cells: BTreeMap::from([(path, cell)]) });
            }
            update.rows.insert(row_key(random), row);
        }
    }
    update.canonicalize();
    Mutation { table: table(0), key: key(random.below(8)), update }
}

/// Whether a cell has one of the values.
fn has(data: Option<&ColumnData>, is_set: bool, first: u8, last: u8, now: Seconds) -> bool {
    let within = |value: &Bytes| value.first().is_some_and(|value| (first..=last).contains(value));
    match data {
        None => false,
        Some(ColumnData::Simple(cell)) => cell.value_at(now).is_some_and(within),
        Some(ColumnData::Complex { cells, .. }) => cells.iter().any(|(path, cell)| match cell.value_at(now) {
            Some(_) if is_set => within(&ordered::cell_path_value(&CqlType::TinyInt, path).unwrap()),
            Some(value) => within(value),
            None => false,
        }),
    }
}

/// Live rows that a scan with a filter finds, and partitions (with no row) by a static column.
fn filtered(
    model: &Model,
    number: u8,
    (first, last): (u8, u8),
    now: Seconds,
) -> Vec<(DecoratedKey, Option<ClusteringKey>)> {
    let mut found = Vec::new();
    for (key, partition) in model.content(0) {
        if number == STATIC {
            if has(partition.static_row.column(ColumnId(3)), false, first, last, now) {
                found.push((key.clone(), None));
                let live = partition.rows.iter().filter(|(_, row)| row.is_live(now));
                found.extend(live.map(|(row, _)| (key.clone(), Some(row.clone()))));
            }
            continue;
        }
        let column = ColumnId(u32::from(number));
        for (clustering, row) in &partition.rows {
            if has(row.column(column), number == SET, first, last, now) {
                found.push((key.clone(), Some(clustering.clone())));
            }
        }
    }
    found
}

/// The same read by the index, page by page.
fn found(
    storage: &Storage,
    random: &mut Random,
    index: (u8, u8),
    (first, last): (u8, u8),
    now: Seconds,
) -> Vec<(DecoratedKey, Option<ClusteringKey>)> {
    let mut found = Vec::new();
    let mut from: Option<Resume> = None;
    for page in 0.. {
        assert!(page < 1000, "paging does not end");
        let command = ReadCommand {
            target: ReadTarget::Range { after: None, last: Token::MAX, from: from.clone() },
            row_limit: if random.chance(1, 2) { u32::MAX } else { random.between(1, 5) as u32 },
            now,
            rows: search(index, first, last),
            ..whole(0)
        };
        let access = if random.chance(1, 3) { Access::MemoryOnly } else { Access::Disk };
        let response = match storage.read(&command, access) {
            Err(ReadError::NeedsDisk) => storage.read(&command, Access::Disk).unwrap(),
            response => response.unwrap(),
        };
        for (key, partition) in response.partitions {
            if index.0 == STATIC && found.last().is_none_or(|(last, _)| *last != key) {
                found.push((key.clone(), None));
            }
            let live = partition.rows.iter().filter(|(_, row)| row.is_live(now));
            found.extend(live.map(|(row, _)| (key.clone(), Some(row.clone()))));
        }
        match response.stopped_at {
            Some(resume) => from = Some(resume),
            None => break,
        }
    }
    found
}

fn history(seed: u64, steps: u64) {
    let mut random = Random::new(seed);
    let disk = disk(seed);
    let mut storage = open(&disk);
    let mut model = Model::default();
    let mut jobs: Vec<StorageJob> = Vec::new();
    let mut now = NOW.0;
    let mut indexes: Vec<(u8, u8)> = Vec::new();
    let mut version = 0;
    for step in 0..steps {
        match random.below(100) {
            0..64 => {
                let mutation = random_change(&mut random, now);
                model.apply(&mutation);
                storage.write(mutation).unwrap();
            }
            64..67 => now += random.between(0, 8) as i64,
            67..70 => jobs.extend(storage.flush(table(0))),
            70..75 => jobs.extend(storage.due_jobs(Seconds(now))),
            75..83 => jobs = step_all(std::mem::take(&mut jobs)),
            83 => jobs.extend(storage.major_compaction(table(0))),
            84 if random.chance(1, 4) => {
                let at = Timestamp(random.between(1, 30) as i64);
                storage.truncate(table(0), at).unwrap();
                let truncated = model.truncated.entry(table(0)).or_insert(at);
                *truncated = at.max(*truncated);
            }
            85 | 86 => {
                let number = random.between(1, 4) as u8;
                match indexes.iter().position(|(known, _)| *known == number) {
                    Some(place) if random.chance(1, 4) => drop(indexes.remove(place)),
                    Some(_) => {}
                    None => indexes.push((number, version)),
                }
                version += 1;
                let definitions: Vec<IndexDefinition> = indexes.iter().map(|index| definition(*index)).collect();
                storage.set_indexes(table(0), &definitions, u64::from(version)).unwrap();
            }
            87 | 88 => {
                jobs.clear();
                drop(storage);
                if random.chance(1, 2) {
                    disk.kill()
                } else {
                    disk.crash()
                }
                storage = open(&disk);
            }
            _ => {
                let Some(index) = indexes.get(random.below(4) as usize).copied() else { continue };
                let first = random.below(4) as u8;
                let values = (first, if random.chance(1, 3) { first + random.below(3) as u8 } else { first });
                if !storage.index_is_built(table(0), definition(index).id) {
                    let command = ReadCommand { rows: search(index, values.0, values.1), ..whole(0) };
                    let refused = storage.read(&command, Access::Disk);
                    assert!(matches!(refused, Err(ReadError::IndexUnavailable(_))), "{refused:?}");
                    if random.chance(1, 2) {
                        jobs.clear();
                        run_all(storage.build_indexes(table(0))).unwrap();
                    }
                    continue;
                }
                let expected = filtered(&model, index.0, values, Seconds(now));
                let found = found(&storage, &mut random, index, values, Seconds(now));
                assert_eq!(found, expected, "seed {seed}, step {step}: index {index:?}, values {values:?}");
            }
        }
    }
    storage.close().unwrap();
}

#[test]
fn an_index_gives_what_a_filtered_scan_gives() {
    for seed in 0..60 {
        history(seed, 700);
    }
}
