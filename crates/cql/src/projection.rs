//! Answers of plain columns, written from rows in their encoding.
//!
//! Most statements show columns as they are. Which column goes where is known with the plan, so that for each row one walk
//! over its bytes finds the values and one pass over the columns of the answer copies them; nothing is allocated a row. What
//! is computed, tested or grouped goes by way of [`crate::view`], and both give the same bytes.

use bytes::Bytes;
use quorate_model::request::RequestError;
use quorate_model::schema::Table;
use quorate_model::wire::{Wire, WireError};
use quorate_model::{ColumnData, ColumnId, CqlType, EncodedRow, LiveColumn, Row, Seconds, ordered};

use crate::codec;
use crate::selection::{Output, Selection, Source};
use crate::view::{cell_value, data_value};

/// Where each column of the answer comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Projection {
    outputs: Vec<Slot>,
    /// The regular columns that are shown, each once, in the order of their ids.
    regular: Vec<(ColumnId, CqlType)>,
    /// The table's clustering columns, each with whether it descends; none if none is shown.
    clustering: Vec<(CqlType, bool)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Slot {
    /// A component of the partition key.
    Partition(usize),
    Static(ColumnId, CqlType),
    Clustering(usize),
    /// The regular column with this number.
    Regular(usize),
}

impl Projection {
    /// That of a selection of plain columns; `None` for any other.
    pub(crate) fn of(selection: &Selection, table: &Table) -> Option<Self> {
        if selection.json.is_some() || selection.is_aggregate() {
            return None;
        }
        let mut regular: Vec<(ColumnId, CqlType)> = Vec::new();
        for output in &selection.outputs {
            if let Output::Column(Source::Regular(id), cql_type) = output {
                regular.push((*id, cql_type.clone()));
            }
        }
        regular.sort_by_key(|(id, _)| *id);
        regular.dedup_by_key(|(id, _)| *id);
        let mut outputs = Vec::with_capacity(selection.outputs.len());
        for output in &selection.outputs {
            let Output::Column(source, cql_type) = output else { return None };
            outputs.push(match source {
                Source::Partition(position) => Slot::Partition(*position),
                Source::Clustering(position) => Slot::Clustering(*position),
                Source::Static(id) => Slot::Static(*id, cql_type.clone()),
                Source::Regular(id) => Slot::Regular(regular.binary_search_by_key(id, |(known, _)| *known).ok()?),
            });
        }
        let shows_clustering = outputs.iter().any(|slot| matches!(slot, Slot::Clustering(_)));
        let clustering = if shows_clustering { table.clustering_types() } else { Vec::new() };
        Some(Self { outputs, regular, clustering })
    }

    /// Appends rows of one partition, which live at `now`.
    pub(crate) fn write_rows<'a>(
        &self,
        (components, static_row): (&[Bytes], &Row),
        rows: impl Iterator<Item = (&'a [u8], EncodedRow<'a>)>,
        now: Seconds,
        out: &mut Vec<u8>,
    ) -> Result<(), RequestError> {
        // What all rows share is found once.
        let shared = |slot: &Slot| match slot {
            Slot::Partition(position) => components.get(*position).cloned(),
            Slot::Static(id, cql_type) => cell_value(static_row, *id, cql_type, now),
            Slot::Clustering(_) | Slot::Regular(_) => None,
        };
        let shared: Vec<Option<Bytes>> = self.outputs.iter().map(shared).collect();
        let mut cells = vec![Shown::Null; self.regular.len()];
        let mut clustering = Clustering::default();
        for (key, row) in rows {
            if !self.clustering.is_empty() {
                clustering.read(&self.clustering, key);
            }
            self.find_cells(row, now, &mut cells).map_err(|error| RequestError::Server(error.to_string()))?;
            for (slot, shared) in self.outputs.iter().zip(&shared) {
                let value = match slot {
                    Slot::Partition(_) | Slot::Static(..) => shared.as_deref(),
                    Slot::Clustering(position) => clustering.component(*position),
                    Slot::Regular(number) => cells.get(*number).and_then(Shown::value),
                };
                codec::write_bytes(value, out);
            }
        }
        Ok(())
    }

    /// Finds the values of the regular columns.
    fn find_cells<'a>(&self, row: EncodedRow<'a>, now: Seconds, cells: &mut [Shown<'a>]) -> Result<(), WireError> {
        cells.fill(Shown::Null);
        let mut wanted = self.regular.iter().zip(cells).peekable();
        if wanted.peek().is_none() {
            return Ok(());
        }
        for column in row.columns(now)? {
            let (id, value) = column?;
            while wanted.next_if(|((next, _), _)| *next < id).is_some() {}
            let Some(((next, cql_type), cell)) = wanted.peek_mut() else { break };
            if *next != id {
                continue;
            }
            **cell = match value {
                None => Shown::Null,
                Some(LiveColumn::Simple(value)) => Shown::InPlace(value),
                Some(LiveColumn::Complex(encoded)) => {
                    let data = ColumnData::from_bytes(&Bytes::copy_from_slice(encoded))?;
                    data_value(&data, cql_type, now).map_or(Shown::Null, Shown::Made)
                }
            };
        }
        Ok(())
    }
}

/// A value of a row.
#[derive(Clone)]
enum Shown<'a> {
    Null,
    InPlace(&'a [u8]),
    Made(Bytes),
}

impl Shown<'_> {
    fn value(&self) -> Option<&[u8]> {
        match self {
            Self::Null => None,
            Self::InPlace(value) => Some(value),
            Self::Made(value) => Some(value),
        }
    }
}

/// The components of a clustering key, in memory that serves all rows.
#[derive(Default)]
struct Clustering {
    bytes: Vec<u8>,
    /// Where each ends, and whether there is one; it begins where the one before ends.
    components: Vec<(usize, bool)>,
}

impl Clustering {
    /// Takes a key apart. A broken one (storage verifies checksums, so none is expected) has no components.
    fn read(&mut self, types: &[(CqlType, bool)], key: &[u8]) {
        self.bytes.clear();
        self.components.clear();
        let mut input = key;
        for (cql_type, descends) in types {
            match ordered::decode_component_into(cql_type, *descends, &mut input, &mut self.bytes) {
                Ok(is_there) => self.components.push((self.bytes.len(), is_there)),
                Err(_) => return self.components.clear(),
            }
        }
        if !input.is_empty() {
            self.components.clear();
        }
    }

    fn component(&self, position: usize) -> Option<&[u8]> {
        let (end, is_there) = *self.components.get(position)?;
        let start = match position.checked_sub(1) {
            Some(before) => self.components.get(before)?.0,
            None => 0,
        };
        self.bytes.get(start..end).filter(|_| is_there)
    }
}
