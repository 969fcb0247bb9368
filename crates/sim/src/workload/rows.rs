//! From an answer's rows to what was seen of each cell, the cells that were looked for and not found included.

use std::collections::BTreeMap;

use quorate_model::request::Rows;

use super::ReadShape;
use crate::history::{CellId, Column, Seen, TRUNCATED};
use crate::limits::{PARTITIONS, ROWS};

/// An answer that makes no sense whatever the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsError(pub String);

/// A decoded row: its partition, its clustering key, its cells by name.
type Row = (u16, Option<u8>, BTreeMap<String, Option<String>>);

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub enum Expected<'a> {
    /// Something of the main table.
    Main(&'a ReadShape),
    /// All of the table that is truncated.
    Short,
    /// One partition of another table, as histories number it, and the first that they give that table.
    Side(u16, u16),
}

/// What all pages of a read say.
#[allow(clippy::type_complexity)] // Two lists, used once.
pub fn read_rows(
    pages: &[Rows],
    expected: Expected<'_>,
) -> Result<(Vec<(CellId, Seen)>, Vec<(u16, Option<u8>)>), RowsError> {
    let mut rows: Vec<Row> = Vec::new();
    let first = match expected {
        Expected::Main(_) => 0,
        Expected::Short => TRUNCATED,
        Expected::Side(_, first) => first,
    };
    for page in pages {
        decode(page, first, &mut rows)?;
    }
    let mut seen = Vec::new();
    for (pk, ck, cells) in &rows {
        see_row(*pk, *ck, cells, &mut seen);
    }
    let keys: Vec<(u16, Option<u8>)> = rows.iter().map(|(pk, ck, _)| (*pk, *ck)).collect();
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(RowsError(format!("row {:?} is there twice", twice[0])));
    }
    match expected {
        Expected::Main(shape) => see_absent(shape, &keys, &mut seen)?,
        Expected::Side(pk, _) => {
            if let Some((other, _)) = keys.iter().find(|(other, _)| *other != pk) {
                return Err(RowsError(format!("partition {other} was not asked for")));
            }
            if keys.is_empty() {
                seen.push((CellId { pk, ck: Some(0), column: Column::A }, Seen::Null));
            }
        }
        Expected::Short => {
            for pk in (TRUNCATED..TRUNCATED + 8).filter(|pk| !keys.contains(&(*pk, Some(0)))) {
                seen.push((CellId { pk, ck: Some(0), column: Column::A }, Seen::Null));
            }
        }
    }
    Ok((seen, keys))
}

/// `first` is the table's first partition in histories: zero for the main table.
fn decode(page: &Rows, first: u16, rows: &mut Vec<Row>) -> Result<(), RowsError> {
    let short = first > 0;
    let wrong = |what: &str| RowsError(format!("{what} in an answer of {} rows", page.row_count));
    let mut rest: &[u8] = &page.data;
    for _ in 0..page.row_count {
        let (mut pk, mut ck) = (None, short.then_some(0_u8));
        let mut cells = BTreeMap::new();
        for column in &page.metadata.columns {
            let (len, after) = rest.split_first_chunk::<4>().ok_or_else(|| wrong("a cell is missing"))?;
            rest = after;
            let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
                cells.insert(column.name.clone(), None);
                continue;
            };
            let (bytes, after) = rest.split_at_checked(len).ok_or_else(|| wrong("a cell is cut"))?;
            rest = after;
            let int = || bytes.try_into().map(i32::from_be_bytes).map_err(|_| wrong("a key is not an int"));
            match &*column.name {
                "pk" => pk = Some(u16::try_from(int()?).map_err(|_| wrong("a partition that was never written"))?),
                "ck" => ck = Some(u8::try_from(int()?).map_err(|_| wrong("a row that was never written"))?),
                name => {
                    let text = String::from_utf8(bytes.to_vec()).map_err(|_| wrong("a text is not UTF-8"))?;
                    cells.insert(name.to_owned(), Some(text));
                }
            }
        }
        let pk = pk.ok_or_else(|| wrong("a partition key is null"))?;
        if !short && (pk >= PARTITIONS || ck.is_some_and(|ck| ck >= ROWS)) {
            return Err(wrong(&format!("row {pk}/{ck:?}, which was never written,")));
        }
        rows.push((pk.checked_add(first).ok_or_else(|| wrong("a partition that was never written"))?, ck, cells));
    }
    if rest.is_empty() { Ok(()) } else { Err(wrong("bytes are left over")) }
}

fn see_row(pk: u16, ck: Option<u8>, cells: &BTreeMap<String, Option<String>>, seen: &mut Vec<(CellId, Seen)>) {
    let mut see = |ck, column, value: &Option<String>| {
        let found = value.clone().map_or(Seen::Null, Seen::Value);
        seen.push((CellId { pk, ck, column }, found));
    };
    let get = |name: &str| cells.get(name).cloned().flatten();
    if cells.contains_key("s") {
        see(None, Column::Static, &get("s"));
    }
    let Some(ck) = ck else {
        // The row that stands for a partition of which only the static column is live.
        for ck in 0..ROWS {
            see_absent_row(pk, ck, seen);
        }
        return;
    };
    see(Some(ck), Column::A, &get("a"));
    if cells.contains_key("b") {
        see(Some(ck), Column::B, &get("b"));
        if get("a").is_none() && get("b").is_none() {
            seen.push((CellId { pk, ck: Some(ck), column: Column::Marker }, Seen::Present));
        }
    }
}

fn see_absent_row(pk: u16, ck: u8, seen: &mut Vec<(CellId, Seen)>) {
    for column in [Column::Marker, Column::A, Column::B] {
        seen.push((CellId { pk, ck: Some(ck), column }, Seen::Null));
    }
}

/// Rows that were asked for and did not come; refuses rows that were not asked for, or that come out of order.
fn see_absent(shape: &ReadShape, keys: &[(u16, Option<u8>)], seen: &mut Vec<(CellId, Seen)>) -> Result<(), RowsError> {
    let (pks, low, high, whole): (Vec<u16>, u8, u8, bool) = match shape {
        ReadShape::Row { pk, ck } => (vec![*pk], *ck, *ck + 1, false),
        ReadShape::Slice { pk, low, high, .. } => (vec![*pk], *low, *high, false),
        ReadShape::Partition { pk, .. } => (vec![*pk], 0, ROWS, true),
        ReadShape::Some { pks } => (pks.clone(), 0, ROWS, true),
        ReadShape::Scan => ((0..PARTITIONS).collect(), 0, ROWS, true),
    };
    if let Some((pk, ck)) =
        keys.iter().find(|(pk, ck)| !pks.contains(pk) || ck.is_some_and(|ck| ck < low || ck >= high))
    {
        return Err(RowsError(format!("row {pk}/{ck:?} was not asked for")));
    }
    let reversed =
        matches!(shape, ReadShape::Slice { reversed: true, .. } | ReadShape::Partition { reversed: true, .. });
    for pair in keys.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        if (pair[0].1 < pair[1].1) == reversed {
            return Err(RowsError(format!("rows {:?} and {:?} are out of order", pair[0], pair[1])));
        }
    }
    // With a limit nothing is said about what lies behind the last row.
    let (mut low, mut high, mut whole) = (low, high, whole);
    if let ReadShape::Partition { limit: Some(limit), .. } = shape {
        if keys.len() > *limit as usize {
            return Err(RowsError(format!("{} rows at a limit of {limit}", keys.len())));
        }
        if keys.len() == *limit as usize {
            whole = false;
            match (keys.last().and_then(|(_, ck)| *ck), reversed) {
                (Some(last), false) => high = last,
                (Some(last), true) => low = last,
                (None, _) => {}
            }
        }
    }
    for pk in pks {
        let found: Vec<Option<u8>> = keys.iter().filter(|key| key.0 == pk).map(|key| key.1).collect();
        if found.contains(&None) {
            continue;
        }
        for ck in (low..high).filter(|ck| !found.contains(&Some(*ck))) {
            see_absent_row(pk, ck, seen);
        }
        if found.is_empty() && whole {
            seen.push((CellId { pk, ck: None, column: Column::Static }, Seen::Null));
        }
    }
    Ok(())
}
