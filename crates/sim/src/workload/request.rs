//! From an intent to a request, and to what it means for the checkers.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_model::Timestamp;
use quorate_model::request::{BoundValue, ClientRequest, QueryOptions, RequestBody, StatementId, Values};

use super::{Intent, ReadShape, WriteShape};
use crate::clock::WALL_START_US;
use crate::history::{Body, CellId, Column, Effect, Level, STAMPED, TIED, TRUNCATED, value_of};
use crate::limits::ROWS;

/// Statements that a client has prepared, by their text.
pub type Prepared = BTreeMap<String, StatementId>;

/// A request with what it means.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is sent.
    pub request: ClientRequest,
    /// What is recorded; a read's findings are filled in when they come.
    pub body: Body,
    /// The text to prepare first, if the statement is to be executed prepared and is not known yet.
    pub to_prepare: Option<String>,
}

/// Text with values for its markers.
struct Statement {
    text: String,
    values: Vec<BoundValue>,
}

/// Builds the request of an operation with this number and this moment as its timestamp. With `prepared` it is executed
/// as a prepared statement if it can be.
pub fn build(intent: &Intent, operation: usize, timestamp: i64, prepared: Option<&Prepared>) -> Request {
    let mut options = QueryOptions { consistency: level_of(intent).consistency(), ..QueryOptions::default() };
    let (statement, body) = match intent {
        Intent::Write { shape, level } => {
            let effects = effects(shape);
            options.timestamp = Some(Timestamp(timestamp));
            let statement = write_statement(shape, operation, timestamp);
            (statement, Body::Write { timestamp, level: *level, effects })
        }
        Intent::Read { shape, level, page_size } => {
            options.page_size = *page_size;
            let single = page_size.is_none() && !matches!(shape, ReadShape::Scan | ReadShape::Some { .. });
            (read_statement(shape), read_body(*level, single))
        }
        Intent::ReadAt { shape, .. } => (read_statement(shape), read_body(Level::One, true)),
        Intent::WriteShort { pk } => {
            options.timestamp = Some(Timestamp(timestamp));
            let cell = CellId { pk: TRUNCATED + pk, ck: Some(0), column: Column::A };
            let text = "INSERT INTO sim.short (pk, a) VALUES (?, ?)".to_owned();
            let values = vec![int(i32::from(*pk)), text_value(&value_of(operation, cell))];
            let effects = BTreeMap::from([(cell, Effect::Put)]);
            (Statement { text, values }, Body::Write { timestamp, level: Level::Quorum, effects })
        }
        Intent::ReadShort { level } => {
            let text = "SELECT pk, a FROM sim.short".to_owned();
            (Statement { text, values: Vec::new() }, read_body(*level, false))
        }
        Intent::Truncate => {
            let text = "TRUNCATE sim.short".to_owned();
            (Statement { text, values: Vec::new() }, Body::Truncate { from_us: timestamp, until_us: None })
        }
        Intent::WriteTied { pk, timestamp, delete, level } => {
            // Long ago, and not in order of invocation.
            let timestamp = WALL_START_US - 1_000_000_000 + *timestamp as i64;
            options.timestamp = Some(Timestamp(timestamp));
            let cell = CellId { pk: TIED + pk, ck: Some(0), column: Column::A };
            let effects = BTreeMap::from([(cell, if *delete { Effect::Delete } else { Effect::Put })]);
            (tied_statement(*pk, operation, *delete), Body::Write { timestamp, level: *level, effects })
        }
        Intent::WriteStamped { pk } => {
            let cell = CellId { pk: STAMPED + pk, ck: Some(0), column: Column::A };
            let text = "UPDATE sim.stamped SET a = ? WHERE pk = ?".to_owned();
            let values = vec![text_value(&value_of(operation, cell)), int(i32::from(*pk))];
            (Statement { text, values }, Body::Stamped { cell })
        }
        Intent::ReadSide { tied, pk, level } => {
            let table = if *tied { "tied" } else { "stamped" };
            let text = format!("SELECT pk, a FROM sim.{table} WHERE pk = ?");
            (Statement { text, values: vec![int(i32::from(*pk))] }, read_body(*level, true))
        }
        Intent::Comment => {
            let text = format!("ALTER TABLE sim.main WITH comment = '{operation}'");
            (Statement { text, values: Vec::new() }, Body::Comment)
        }
        Intent::Ddl(text) => (Statement { text: text.clone(), values: Vec::new() }, Body::Other),
    };
    // A batch is text of its own: there the values are written out.
    let preparable = !statement.values.is_empty();
    let Statement { text, values } = statement;
    let values = Values::Positional(values);
    let (request, to_prepare) = match prepared.filter(|_| preparable) {
        None => (RequestBody::Query { text, values }, None),
        Some(known) => match known.get(&text) {
            Some(statement) => (RequestBody::Execute { statement: *statement, values }, None),
            None => (RequestBody::Prepare { text: text.clone() }, Some(text)),
        },
    };
    Request { request: ClientRequest { body: request, keyspace: None, options }, body, to_prepare }
}

fn read_body(level: Level, single: bool) -> Body {
    Body::Read { level, seen: Vec::new(), rows: Vec::new(), single }
}

fn tied_statement(pk: u16, operation: usize, delete: bool) -> Statement {
    let key = int(i32::from(pk));
    if delete {
        return Statement { text: "DELETE a FROM sim.tied WHERE pk = ?".to_owned(), values: vec![key] };
    }
    let value = value_of(operation, CellId { pk: TIED + pk, ck: Some(0), column: Column::A });
    Statement { text: "UPDATE sim.tied SET a = ? WHERE pk = ?".to_owned(), values: vec![text_value(&value), key] }
}

fn level_of(intent: &Intent) -> Level {
    match intent {
        Intent::Write { level, .. }
        | Intent::Read { level, .. }
        | Intent::ReadShort { level }
        | Intent::ReadSide { level, .. }
        | Intent::WriteTied { level, .. } => *level,
        Intent::ReadAt { .. } => Level::One,
        _ => Level::Quorum,
    }
}

fn write_statement(shape: &WriteShape, operation: usize, timestamp: i64) -> Statement {
    let value = |pk: u16, ck: Option<u8>, column| value_of(operation, CellId { pk, ck, column });
    let key = |pk: u16, ck: u8| vec![int(i32::from(pk)), int(i32::from(ck))];
    let (text, values) = match shape {
        WriteShape::Insert { pk, ck, with_b, ttl } => {
            let mut values = key(*pk, *ck);
            values.push(text_value(&value(*pk, Some(*ck), Column::A)));
            if *with_b {
                values.push(text_value(&value(*pk, Some(*ck), Column::B)));
            }
            let (columns, markers) = if *with_b { ("pk, ck, a, b", "?, ?, ?, ?") } else { ("pk, ck, a", "?, ?, ?") };
            let ttl = ttl.map(|ttl| format!(" USING TTL {ttl}")).unwrap_or_default();
            (format!("INSERT INTO sim.main ({columns}) VALUES ({markers}){ttl}"), values)
        }
        WriteShape::Update { pk, ck } => {
            let mut values = vec![text_value(&value(*pk, Some(*ck), Column::A))];
            values.extend(key(*pk, *ck));
            ("UPDATE sim.main SET a = ? WHERE pk = ? AND ck = ?".to_owned(), values)
        }
        WriteShape::Static { pk } => {
            let values = vec![text_value(&value(*pk, None, Column::Static)), int(i32::from(*pk))];
            ("UPDATE sim.main SET s = ? WHERE pk = ?".to_owned(), values)
        }
        WriteShape::DeleteCell { pk, ck } => {
            ("DELETE b FROM sim.main WHERE pk = ? AND ck = ?".to_owned(), key(*pk, *ck))
        }
        WriteShape::DeleteRow { pk, ck } => ("DELETE FROM sim.main WHERE pk = ? AND ck = ?".to_owned(), key(*pk, *ck)),
        WriteShape::DeleteRange { pk, low, high } => {
            let values = [i32::from(*pk), i32::from(*low), i32::from(*high)].map(int).to_vec();
            ("DELETE FROM sim.main WHERE pk = ? AND ck >= ? AND ck < ?".to_owned(), values)
        }
        WriteShape::DeletePartition { pk } => {
            ("DELETE FROM sim.main WHERE pk = ?".to_owned(), vec![int(i32::from(*pk))])
        }
        WriteShape::Batch { pk, cks } => {
            let rows: Vec<(u16, u8)> = cks.iter().map(|ck| (*pk, *ck)).collect();
            (batch_text(&rows, operation, timestamp), Vec::new())
        }
        WriteShape::Spread { rows } => (batch_text(rows, operation, timestamp), Vec::new()),
    };
    Statement { text, values }
}

fn batch_text(rows: &[(u16, u8)], operation: usize, timestamp: i64) -> String {
    let inserts: String = rows
        .iter()
        .map(|(pk, ck)| {
            let [a, b] =
                [Column::A, Column::B].map(|column| value_of(operation, CellId { pk: *pk, ck: Some(*ck), column }));
            format!("INSERT INTO sim.main (pk, ck, a, b) VALUES ({pk}, {ck}, '{a}', '{b}'); ")
        })
        .collect();
    format!("BEGIN UNLOGGED BATCH USING TIMESTAMP {timestamp} {inserts}APPLY BATCH")
}

fn read_statement(shape: &ReadShape) -> Statement {
    const SELECT: &str = "SELECT pk, ck, s, a, b FROM sim.main";
    let order = |reversed: bool| if reversed { " ORDER BY ck DESC" } else { "" };
    let (text, values) = match shape {
        ReadShape::Row { pk, ck } => {
            (format!("{SELECT} WHERE pk = ? AND ck = ?"), vec![i32::from(*pk), i32::from(*ck)])
        }
        ReadShape::Slice { pk, low, high, reversed } => (
            format!("{SELECT} WHERE pk = ? AND ck >= ? AND ck < ?{}", order(*reversed)),
            vec![i32::from(*pk), i32::from(*low), i32::from(*high)],
        ),
        ReadShape::Partition { pk, limit, reversed } => {
            let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
            (format!("{SELECT} WHERE pk = ?{}{limit}", order(*reversed)), vec![i32::from(*pk)])
        }
        ReadShape::Some { pks } => {
            let list: Vec<String> = pks.iter().map(u16::to_string).collect();
            (format!("{SELECT} WHERE pk IN ({})", list.join(", ")), Vec::new())
        }
        ReadShape::Scan => (SELECT.to_owned(), Vec::new()),
    };
    Statement { text, values: values.into_iter().map(int).collect() }
}

/// What a write does, cell by cell.
fn effects(shape: &WriteShape) -> BTreeMap<CellId, Effect> {
    let cell = |pk: u16, ck: Option<u8>, column| CellId { pk, ck, column };
    let row = |pk: u16, ck: u8, effect| {
        [Column::Marker, Column::A, Column::B].map(|column| (cell(pk, Some(ck), column), effect))
    };
    match shape {
        WriteShape::Insert { pk, ck, with_b, ttl } => {
            let effect = ttl.map_or(Effect::Put, Effect::PutForAWhile);
            row(*pk, *ck, effect).into_iter().filter(|(cell, _)| *with_b || cell.column != Column::B).collect()
        }
        WriteShape::Update { pk, ck } => BTreeMap::from([(cell(*pk, Some(*ck), Column::A), Effect::Put)]),
        WriteShape::Static { pk } => BTreeMap::from([(cell(*pk, None, Column::Static), Effect::Put)]),
        WriteShape::DeleteCell { pk, ck } => BTreeMap::from([(cell(*pk, Some(*ck), Column::B), Effect::Delete)]),
        WriteShape::DeleteRow { pk, ck } => row(*pk, *ck, Effect::Delete).into(),
        WriteShape::DeleteRange { pk, low, high } => {
            (*low..*high).flat_map(|ck| row(*pk, ck, Effect::Delete)).collect()
        }
        WriteShape::DeletePartition { pk } => {
            let mut cells: BTreeMap<_, _> = (0..ROWS).flat_map(|ck| row(*pk, ck, Effect::Delete)).collect();
            cells.insert(cell(*pk, None, Column::Static), Effect::Delete);
            cells
        }
        WriteShape::Batch { pk, cks } => cks.iter().flat_map(|ck| row(*pk, *ck, Effect::Put)).collect(),
        WriteShape::Spread { rows } => rows.iter().flat_map(|(pk, ck)| row(*pk, *ck, Effect::Put)).collect(),
    }
}

fn int(value: i32) -> BoundValue {
    BoundValue::Bytes(Bytes::copy_from_slice(&value.to_be_bytes()))
}

fn text_value(value: &str) -> BoundValue {
    BoundValue::Bytes(Bytes::copy_from_slice(value.as_bytes()))
}
