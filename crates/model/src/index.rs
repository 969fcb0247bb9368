//! Secondary indexes: what a table has of them, what of its rows each holds, and how one is searched.
//!
//! An index is a hidden table beside its base table on each replica. Its partitions are *terms*: indexed values in
//! byte-comparable form ([`crate::ordered`]), so that equal values have equal terms and order is kept. An entry says that
//! a row (or a whole partition) was once given the term, and when. It is a hint and never the truth: whoever follows it
//! looks at the row itself.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cell::{Cell, CellContent, ColumnData};
use crate::ids::{ColumnId, TableId};
use crate::key::{ClusteringKey, DecoratedKey, PartitionKey, Token};
use crate::limits::INDEX_TERM_BYTES_MAX;
use crate::ordered;
use crate::partition::Partition;
use crate::row::Row;
use crate::schema::{Column, ColumnKind, Table};
use crate::time::{Seconds, Timestamp, Ttl};
use crate::types::CqlType;
use crate::value::ValueError;

/// An index, as the schema has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its identity, and that of its hidden table.
    pub id: TableId,
    /// Its name, unique in the keyspace, case exact.
    pub name: String,
    /// The column it is on.
    pub column: ColumnId,
    /// What of the column's value it holds.
    pub part: IndexPart,
    /// How it was asked for.
    pub kind: IndexKind,
    /// `WITH OPTIONS`, given back.
    pub options: BTreeMap<String, String>,
}

/// What of a value an index holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum IndexPart {
    /// The value of a column that is no collection.
    Value,
    /// The elements of a list or set, the values of a map.
    Values,
    /// The keys of a map.
    Keys,
    /// The pairs of a map.
    Entries,
    /// A frozen collection as a whole.
    Full,
}

/// How an index was asked for. All are kept alike.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// `CREATE INDEX`.
    Composites,
    /// `CREATE CUSTOM INDEX … USING`, or `USING 'sai'`: the class as it was written.
    Custom(String),
}

/// What an engine needs to know to keep an index: no names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDefinition {
    /// Its identity, and that of its hidden table.
    pub id: TableId,
    /// Where its values are.
    pub source: IndexSource,
    /// What of them it holds.
    pub part: IndexPart,
    /// The type of the column.
    pub cql_type: CqlType,
}

/// Where an index's values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexSource {
    /// In the partition key.
    PartitionKey {
        /// The component.
        position: u16,
        /// Of so many.
        count: u16,
    },
    /// In the clustering key.
    Clustering {
        /// The component.
        position: u16,
        /// The types of all components, each with whether it descends.
        types: Vec<(CqlType, bool)>,
    },
    /// In a static column.
    Static(ColumnId),
    /// In a regular column.
    Regular(ColumnId),
}

/// What is sought in an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSearch {
    /// Which.
    pub index: TableId,
    /// The first term, inclusive.
    pub first: Bytes,
    /// The last term, inclusive: the same for equality.
    pub last: Bytes,
    /// Whether entries are of whole partitions rather than of rows.
    pub whole_partitions: bool,
}

/// That a row or partition was given a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// The term.
    pub term: Bytes,
    /// The row; `None` for the whole partition.
    pub row: Option<ClusteringKey>,
    /// When.
    pub timestamp: Timestamp,
    /// Until when, if it ends by itself.
    pub expiry: Option<(Seconds, Ttl)>,
}

impl Index {
    /// What the engine is told of it; `None` if the table lacks the column.
    pub fn definition(&self, table: &Table) -> Option<IndexDefinition> {
        let column = table.column_by_id(self.column)?;
        let source = match column.kind {
            ColumnKind::PartitionKey(position) => {
                let count = u16::try_from(table.partition_key().count()).ok()?;
                IndexSource::PartitionKey { position, count }
            }
            ColumnKind::Clustering(position, _) => {
                IndexSource::Clustering { position, types: table.clustering_types() }
            }
            ColumnKind::Static => IndexSource::Static(column.id),
            ColumnKind::Regular => IndexSource::Regular(column.id),
        };
        Some(IndexDefinition { id: self.id, source, part: self.part, cql_type: column.cql_type.clone() })
    }

    /// The types of the values that make its terms: two for pairs.
    pub fn term_types<'a>(&self, column: &'a Column) -> Vec<&'a CqlType> {
        term_types(self.part, &column.cql_type)
    }
}

impl IndexPart {
    /// The modifier's name in CQL; none for a plain value.
    pub fn modifier(self) -> Option<&'static str> {
        match self {
            Self::Value => None,
            Self::Values => Some("values"),
            Self::Keys => Some("keys"),
            Self::Entries => Some("entries"),
            Self::Full => Some("full"),
        }
    }
}

fn term_types(part: IndexPart, cql_type: &CqlType) -> Vec<&CqlType> {
    match (part, cql_type) {
        (IndexPart::Values, CqlType::List(element, _) | CqlType::Set(element, _) | CqlType::Map(_, element, _)) => {
            vec![element]
        }
        (IndexPart::Keys, CqlType::Map(key, ..)) => vec![key],
        (IndexPart::Entries, CqlType::Map(key, value, _)) => vec![key, value],
        _ => vec![cql_type],
    }
}

/// The term of a value, or of a pair. Long ones are cut and told apart by a hash: rows that share a term by chance are
/// sorted out by looking at them.
pub fn term(types: &[&CqlType], values: &[&Bytes]) -> Result<Bytes, ValueError> {
    let mut out = Vec::new();
    for (cql_type, value) in types.iter().zip(values) {
        let types = [((*cql_type).clone(), false)];
        out.extend(ordered::prefix(&types, std::slice::from_ref(*value))?);
    }
    if out.len() > INDEX_TERM_BYTES_MAX {
        let hash = xxhash_rust::xxh3::xxh3_128(&out);
        out.truncate(INDEX_TERM_BYTES_MAX - size_of::<u128>());
        out.extend(hash.to_be_bytes());
    }
    Ok(out.into())
}

/// The partition of a hidden table that holds a term's entries. Its token is the term's beginning, so that the order of
/// partitions is that of terms.
pub fn term_key(term: &Bytes) -> DecoratedKey {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(term.iter()) {
        *to = *from;
    }
    let token = Token((u64::from_be_bytes(first) ^ (1 << 63)) as i64);
    DecoratedKey { token, key: PartitionKey(term.clone()) }
}

impl IndexDefinition {
    /// Whether its entries are of whole partitions rather than of rows.
    pub fn is_of_partitions(&self) -> bool {
        matches!(self.source, IndexSource::PartitionKey { .. } | IndexSource::Static(_))
    }

    /// Whether a row has at most one cell that gives it a certain term: then a later cell in its place proves an entry
    /// wrong.
    pub fn has_one_cell(&self) -> bool {
        let is_key = matches!(self.source, IndexSource::PartitionKey { .. } | IndexSource::Clustering { .. });
        !is_key && matches!(self.part, IndexPart::Value | IndexPart::Full)
    }

    /// Whether an entry ends when its value expires. Not if several elements may have the same value: one that stays would
    /// be hidden by one that expires.
    pub fn entries_expire(&self) -> bool {
        self.part != IndexPart::Values || matches!(self.cql_type, CqlType::Set(..))
    }

    /// The entries that a change (or what is stored) gives rise to: of every value in it, though it may be shadowed.
    pub fn entries(&self, key: &DecoratedKey, update: &Partition) -> Vec<IndexEntry> {
        let mut found = Vec::new();
        match &self.source {
            IndexSource::PartitionKey { position, count } => {
                let written = update.rows.values().chain([&update.static_row]).filter_map(last_write).max();
                let components = key.key.components(usize::from(*count)).unwrap_or_default();
                if let (Some(timestamp), Some(value)) = (written, components.get(usize::from(*position))) {
                    self.add(&[value], None, (timestamp, None), &mut found);
                }
            }
            IndexSource::Clustering { position, types } => {
                for (clustering, row) in &update.rows {
                    let Some(timestamp) = last_write(row) else { continue };
                    let components = ordered::clustering_components(types, clustering).unwrap_or_default();
                    if let Some(Some(value)) = components.get(usize::from(*position)) {
                        self.add(&[value], Some(clustering), (timestamp, None), &mut found);
                    }
                }
            }
            IndexSource::Static(column) => {
                if let Some(data) = update.static_row.column(*column) {
                    self.add_cells(data, None, &mut found);
                }
            }
            IndexSource::Regular(column) => {
                for (clustering, row) in &update.rows {
                    if let Some(data) = row.column(*column) {
                        self.add_cells(data, Some(clustering), &mut found);
                    }
                }
            }
        }
        found
    }

    fn add_cells(&self, data: &ColumnData, row: Option<&ClusteringKey>, found: &mut Vec<IndexEntry>) {
        match data {
            ColumnData::Simple(cell) => {
                if let Some((value, expiry)) = value_of(cell) {
                    self.add(&[value], row, (cell.timestamp, expiry), found);
                }
            }
            ColumnData::Complex { cells, .. } => {
                for (path, cell) in cells {
                    self.add_element(path, cell, row, found);
                }
            }
        }
    }

    fn add_element(&self, path: &Bytes, cell: &Cell, row: Option<&ClusteringKey>, found: &mut Vec<IndexEntry>) {
        let Some((value, expiry)) = value_of(cell) else { return };
        let key_type = match &self.cql_type {
            CqlType::Set(key, _) | CqlType::Map(key, ..) => Some(key),
            _ => None,
        };
        let key = key_type.and_then(|key_type| ordered::cell_path_value(key_type, path).ok());
        let written = (cell.timestamp, expiry);
        match (self.part, &self.cql_type, key) {
            (IndexPart::Values, CqlType::Set(..), Some(key)) | (IndexPart::Keys, CqlType::Map(..), Some(key)) => {
                self.add(&[&key], row, written, found);
            }
            (IndexPart::Entries, CqlType::Map(..), Some(key)) => self.add(&[&key, value], row, written, found),
            (IndexPart::Values, ..) => self.add(&[value], row, written, found),
            _ => {}
        }
    }

    fn add(
        &self,
        values: &[&Bytes],
        row: Option<&ClusteringKey>,
        (timestamp, expiry): (Timestamp, Option<(Seconds, Ttl)>),
        found: &mut Vec<IndexEntry>,
    ) {
        // What has no term cannot be sought either: values too long for a key, which writes with an index refuse.
        if let Ok(term) = term(&term_types(self.part, &self.cql_type), values) {
            found.push(IndexEntry { term, row: row.cloned(), timestamp, expiry });
        }
    }
}

/// A cell's value, though it may have expired.
fn value_of(cell: &Cell) -> Option<(&Bytes, Option<(Seconds, Ttl)>)> {
    match &cell.content {
        CellContent::Live(value) => Some((value, None)),
        CellContent::Expiring { value, ttl, expires_at } => Some((value, Some((*expires_at, *ttl)))),
        CellContent::Tombstone { .. } => None,
    }
}

/// The greatest timestamp of anything in a row that is no deletion.
fn last_write(row: &Row) -> Option<Timestamp> {
    let cells = row.columns.iter().flat_map(|(_, data)| {
        let (simple, complex) = match data {
            ColumnData::Simple(cell) => (Some(cell), None),
            ColumnData::Complex { cells, .. } => (None, Some(cells.values())),
        };
        simple.into_iter().chain(complex.into_iter().flatten())
    });
    let written = cells.filter(|cell| value_of(cell).is_some()).map(|cell| cell.timestamp);
    written.chain(row.liveness.map(|liveness| liveness.timestamp)).max()
}
