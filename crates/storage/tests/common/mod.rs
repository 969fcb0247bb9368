//! Random histories, the model that they are compared with, and shorthands.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, reason = "shared by several test binaries")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use quorate_env::Random;
use quorate_env::sim_disk::{SimDisk, SimDiskOptions};
use quorate_model::{
    Cell, CellContent, ClusteringKey, ColumnData, ColumnId, DecoratedKey, Deletion, Liveness, Mutation, Partition,
    PartitionKey, Position, RangeTombstone, ReadCommand, ReadResponse, ReadTarget, Row, RowChoice, Seconds, TableId,
    Timestamp, Token, Ttl,
};
use quorate_storage::{Access, JobResult, Storage, StorageError, StorageJob, StorageOptions};

pub const NOW: Seconds = Seconds(1_000);

pub fn disk(seed: u64) -> Arc<SimDisk> {
    SimDisk::new(seed, SimDiskOptions::default())
}

pub fn open(disk: &Arc<SimDisk>) -> Storage {
    try_open(disk).unwrap()
}

pub fn try_open(disk: &Arc<SimDisk>) -> Result<Storage, StorageError> {
    Storage::open(disk.clone(), StorageOptions::tiny(), NOW).map(|(storage, _)| storage)
}

pub fn table(number: u8) -> TableId {
    TableId([number; 16])
}

pub fn key(number: u64) -> DecoratedKey {
    // Spread over the ring, in an order unlike the numbers'.
    let token = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) as i64;
    DecoratedKey { token: Token(token), key: PartitionKey(Bytes::copy_from_slice(&number.to_be_bytes())) }
}

pub fn clustering(number: u16) -> ClusteringKey {
    ClusteringKey(Bytes::copy_from_slice(&[0x40, (number >> 8) as u8, number as u8]))
}

pub fn position(number: u16) -> Position {
    Position(clustering(number).0)
}

pub fn live_row(timestamp: i64, value: &[u8]) -> Row {
    Row {
        liveness: Some(Liveness { timestamp: Timestamp(timestamp), expiry: None }),
        deletion: None,
        columns: vec![(
            ColumnId(1),
            ColumnData::Simple(Cell::live(Timestamp(timestamp), Bytes::copy_from_slice(value))),
        )],
    }
}

pub fn insert(table_number: u8, partition: u64, row: u16, timestamp: i64, value: &[u8]) -> Mutation {
    let mut update = Partition::default();
    update.rows.insert(clustering(row), live_row(timestamp, value));
    Mutation { table: table(table_number), key: key(partition), update }
}

pub fn whole(table_number: u8) -> ReadCommand {
    ReadCommand {
        table: table(table_number),
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

pub fn one(table_number: u8, partition: u64) -> ReadCommand {
    ReadCommand { target: ReadTarget::Partition(key(partition)), ..whole(table_number) }
}

pub fn read(storage: &Storage, command: &ReadCommand) -> ReadResponse {
    storage.read(command, Access::Disk).unwrap()
}

/// What a table holds, as a map.
pub fn content(storage: &Storage, table_number: u8) -> BTreeMap<DecoratedKey, Partition> {
    let response = read(storage, &whole(table_number));
    assert_eq!(response.stopped_at, None);
    response.partitions.into_iter().collect()
}

pub fn run_all(jobs: Vec<StorageJob>) -> Result<(), StorageError> {
    for job in jobs {
        job.run_to_end()?;
    }
    Ok(())
}

/// Runs due jobs until none is due.
pub fn settle(storage: &Storage) -> Result<(), StorageError> {
    for round in 0..1000 {
        let jobs = storage.due_jobs(Seconds(NOW.0 + round));
        if jobs.is_empty() {
            return Ok(());
        }
        run_all(jobs)?;
    }
    panic!("jobs are due for ever");
}

/// Runs one step of each job; gives back those that go on.
pub fn step_all(jobs: Vec<StorageJob>) -> Vec<StorageJob> {
    jobs.into_iter()
        .filter_map(|job| match job.run() {
            JobResult::Again(job) => Some(job),
            JobResult::Done(_) => None,
            JobResult::Failed(error) => panic!("{error}"),
        })
        .collect()
}

/// The truth: all mutations merged in a plain map.
#[derive(Clone, Default)]
pub struct Model {
    pub tables: BTreeMap<TableId, BTreeMap<DecoratedKey, Partition>>,
    pub truncated: BTreeMap<TableId, Timestamp>,
}

impl Model {
    pub fn apply(&mut self, mutation: &Mutation) {
        let table = self.tables.entry(mutation.table).or_default();
        table.entry(mutation.key.clone()).or_default().merge(&mutation.update);
    }

    pub fn content(&self, table_number: u8) -> BTreeMap<DecoratedKey, Partition> {
        let id = table(table_number);
        let mut content = self.tables.get(&id).cloned().unwrap_or_default();
        if let Some(truncated) = self.truncated.get(&id) {
            content.values_mut().for_each(|partition| partition.drop_up_to(*truncated));
        }
        content.retain(|_, partition| !partition.is_empty());
        content
    }

    /// The answer that a read must give.
    pub fn read(&self, command: &ReadCommand, table_number: u8) -> ReadResponse {
        let wanted = |key: &DecoratedKey| match &command.target {
            ReadTarget::Partition(wanted) => wanted == key,
            ReadTarget::Range { after, last, .. } => after.is_none_or(|after| key.token > after) && key.token <= *last,
        };
        let partitions =
            self.content(table_number).into_iter().filter(|(key, _)| wanted(key)).map(|(key, mut found)| {
                found.restrict(&command.slices);
                (key, found)
            });
        quorate_model::read::apply_limits(partitions, command)
    }
}

/// A random change; few places and timestamps, so that everything meets.
pub fn random_mutation(random: &mut Random, tables: u8) -> Mutation {
    let mut update = Partition::default();
    let timestamp = Timestamp(random.between(1, 60) as i64);
    let deletion = Deletion { timestamp, deleted_at: Seconds(random.between(1, 5) as i64) };
    match random.below(20) {
        0 => update.deletion = Some(deletion),
        1 | 2 => {
            let (from, len) = (random.below(40) as u16, random.between(1, 20) as u16);
            update.range_tombstones.add(RangeTombstone { start: position(from), end: position(from + len), deletion });
        }
        3 => update.static_row = random_row(random, timestamp),
        4 => {
            let row = Row { deletion: Some(deletion), ..Row::default() };
            update.rows.insert(clustering(random.below(40) as u16), row);
        }
        _ => {
            for _ in 0..random.between(1, 4) {
                update.rows.insert(clustering(random.below(40) as u16), random_row(random, timestamp));
            }
        }
    }
    update.static_row.liveness = None;
    update.canonicalize();
    Mutation { table: table(random.below(u64::from(tables)) as u8), key: key(random.below(30)), update }
}

fn random_row(random: &mut Random, timestamp: Timestamp) -> Row {
    let mut row = Row::default();
    if random.chance(1, 2) {
        let expiry = random.chance(1, 3).then(|| (Seconds(random.between(995, 1005) as i64), Ttl(10)));
        row.liveness = Some(Liveness { timestamp, expiry });
    }
    for column in 0..random.between(1, 3) {
        let data = if column == 2 {
            let deletion =
                random.chance(1, 3).then(|| Deletion { timestamp: Timestamp(timestamp.0 - 1), deleted_at: Seconds(1) });
            let path = Bytes::copy_from_slice(&[random.below(5) as u8]);
            ColumnData::Complex { deletion, cells: BTreeMap::from([(path, random_cell(random, timestamp))]) }
        } else {
            ColumnData::Simple(random_cell(random, timestamp))
        };
        row.set(ColumnId(column as u32), data);
    }
    row
}

fn random_cell(random: &mut Random, timestamp: Timestamp) -> Cell {
    let value = Bytes::from(vec![random.below(256) as u8; random.between(0, 40) as usize]);
    let content = match random.below(6) {
        0 => CellContent::Tombstone { deleted_at: Seconds(random.between(1, 9) as i64) },
        1 => CellContent::Expiring { value, ttl: Ttl(10), expires_at: Seconds(random.between(995, 1005) as i64) },
        _ => CellContent::Live(value),
    };
    Cell { timestamp, content }
}
