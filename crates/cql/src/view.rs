//! A row as the selection sees it: columns, cells and what is computed from them.

use bytes::Bytes;
use quorate_model::request::RequestError;
use quorate_model::{Cell, CellContent, ColumnData, ColumnId, CqlType, DecoratedKey, Row, Seconds, Token};

use crate::ast::Attribute;
use crate::codec;
use crate::selection::{Output, Part, Source};

/// What of a row the outputs are made from.
pub(crate) struct View<'a> {
    pub(crate) key: &'a DecoratedKey,
    pub(crate) partition: &'a [Bytes],
    pub(crate) clustering: &'a [Option<Bytes>],
    pub(crate) static_row: &'a Row,
    pub(crate) row: Option<&'a Row>,
    /// Results of the aggregates, once a group is complete.
    pub(crate) aggregates: &'a [Option<Bytes>],
    pub(crate) now: Seconds,
    pub(crate) constants: &'a [Option<Bytes>],
    pub(crate) partitioner: fn(&[u8]) -> Token,
}

impl View<'_> {
    pub(crate) fn value(&self, output: &Output) -> Result<Option<Bytes>, RequestError> {
        Ok(match output {
            Output::Column(source, cql_type) => self.column(*source, cql_type),
            Output::Attribute(attribute, source, cql_type, part) => {
                return self.attribute(*attribute, *source, cql_type, *part);
            }
            Output::Token => Some(Bytes::copy_from_slice(&self.key.token.0.to_be_bytes())),
            Output::TokenOf(arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    let Some(value) = self.value(argument)? else { return Ok(None) };
                    values.push(value);
                }
                let token = (self.partitioner)(&crate::keys::partition_key(&values)?.0);
                Some(Bytes::copy_from_slice(&token.0.to_be_bytes()))
            }
            Output::Call(call, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    values.push(self.value(argument)?);
                }
                return call.eval(&values, None);
            }
            Output::Collection(cql_type, parts) => {
                let mut values = Vec::with_capacity(parts.len());
                for part in parts {
                    values.push(self.value(part)?);
                }
                return collected(cql_type, values).map(Some);
            }
            Output::Constant(index) => self.constant(*index),
            Output::Field(inner, cql_type, position) => {
                let Some(whole) = self.value(inner)? else { return Ok(None) };
                let parts = codec::split(cql_type, &whole).map_err(RequestError::Server)?;
                parts.into_iter().nth(*position).flatten()
            }
            Output::Element(inner, cql_type, key) => {
                let (Some(whole), Some(key)) = (self.value(inner)?, self.constant(*key)) else { return Ok(None) };
                element(cql_type, &whole, &key)?
            }
            Output::Slice(inner, cql_type, from, to) => {
                let Some(whole) = self.value(inner)? else { return Ok(None) };
                let bound = |index: &Option<usize>| index.and_then(|index| self.constant(index));
                slice(cql_type, &whole, bound(from).as_ref(), bound(to).as_ref())?
            }
            Output::Aggregate(index) => self.aggregates.get(*index).cloned().flatten(),
        })
    }

    fn constant(&self, index: usize) -> Option<Bytes> {
        self.constants.get(index).cloned().flatten()
    }

    /// Write times or times to live of the cells that a part has.
    fn attribute(
        &self,
        attribute: Attribute,
        source: Source,
        cql_type: &CqlType,
        part: Part,
    ) -> Result<Option<Bytes>, RequestError> {
        let data = match source {
            Source::Static(id) => self.static_row.column(id),
            Source::Regular(id) => self.row.and_then(|row| row.column(id)),
            Source::Partition(_) | Source::Clustering(_) => None,
        };
        let cells = match data {
            None => return Ok(None),
            Some(ColumnData::Simple(cell)) => return Ok(self.of_cell(attribute, cell)),
            Some(ColumnData::Complex { cells, .. }) => cells,
        };
        let path = |index: usize| -> Result<Option<Bytes>, RequestError> {
            let key_type = match cql_type {
                CqlType::Set(element, _) => element,
                CqlType::Map(key, ..) => key,
                _ => return Ok(None),
            };
            let Some(key) = self.constant(index) else { return Ok(None) };
            codec::path(key_type, &key).map(Some).map_err(RequestError::invalid)
        };
        let single = |path: Option<Bytes>| path.and_then(|path| self.of_cell(attribute, cells.get(&path)?));
        let (from, to) = match part {
            Part::Field(position) => return Ok(single(Some(codec::field_path(position)))),
            Part::Element(index) => return Ok(single(path(index)?)),
            Part::Slice(from, to) => (from.map(path).transpose()?.flatten(), to.map(path).transpose()?.flatten()),
            Part::Whole => (None, None),
        };
        let within = cells.iter().filter(|(path, _)| {
            from.as_ref().is_none_or(|from| *path >= from) && to.as_ref().is_none_or(|to| *path <= to)
        });
        let live: Vec<(&Bytes, &Cell)> = within.filter(|(_, cell)| cell.value_at(self.now).is_some()).collect();
        if attribute == Attribute::MaxWriteTime {
            let latest = live.iter().map(|(_, cell)| cell.timestamp.0).max();
            return Ok(latest.map(|latest| Bytes::copy_from_slice(&latest.to_be_bytes())));
        }
        let values: Vec<Option<Bytes>> = match cql_type {
            CqlType::UserDefined { fields, .. } => {
                let of_field = |position: usize| {
                    let found = live.iter().find(|(path, _)| codec::path_field(path) == Some(position));
                    found.and_then(|(_, cell)| self.of_cell(attribute, cell))
                };
                (0..fields.len()).map(of_field).collect()
            }
            _ => live.iter().map(|(_, cell)| self.of_cell(attribute, cell)).collect(),
        };
        if live.is_empty() {
            return Ok(None);
        }
        let mut out = Vec::new();
        out.extend_from_slice(&i32::try_from(values.len()).unwrap_or(i32::MAX).to_be_bytes());
        values.iter().for_each(|value| codec::write_part(value.as_ref(), &mut out));
        Ok(Some(out.into()))
    }

    fn of_cell(&self, attribute: Attribute, cell: &Cell) -> Option<Bytes> {
        cell.value_at(self.now)?;
        if attribute != Attribute::Ttl {
            return Some(Bytes::copy_from_slice(&cell.timestamp.0.to_be_bytes()));
        }
        match &cell.content {
            CellContent::Expiring { expires_at, .. } => {
                let left = i32::try_from(expires_at.0.saturating_sub(self.now.0)).unwrap_or(i32::MAX);
                Some(Bytes::copy_from_slice(&left.to_be_bytes()))
            }
            _ => None,
        }
    }

    pub(crate) fn column(&self, source: Source, cql_type: &CqlType) -> Option<Bytes> {
        match source {
            Source::Partition(position) => self.partition.get(position).cloned(),
            Source::Clustering(position) => self.clustering.get(position).cloned().flatten(),
            Source::Static(id) => cell_value(self.static_row, id, cql_type, self.now),
            Source::Regular(id) => cell_value(self.row?, id, cql_type, self.now),
        }
    }
}

/// A column's value in its CQL encoding; a collection without live elements is null.
pub(crate) fn cell_value(row: &Row, id: ColumnId, cql_type: &CqlType, now: Seconds) -> Option<Bytes> {
    data_value(row.column(id)?, cql_type, now)
}

/// The same for a column's content.
pub(crate) fn data_value(data: &ColumnData, cql_type: &CqlType, now: Seconds) -> Option<Bytes> {
    let cells = match data {
        ColumnData::Simple(cell) => return cell.value_at(now).cloned(),
        ColumnData::Complex { cells, .. } => cells,
    };
    let live = cells.iter().filter_map(|(path, cell)| cell.value_at(now).map(|value| (path, value)));
    if let CqlType::UserDefined { fields, .. } = cql_type {
        let mut values = vec![None; fields.len()];
        for (path, value) in live {
            if let Some(slot) = codec::path_field(path).and_then(|position| values.get_mut(position)) {
                *slot = Some(value.clone());
            }
        }
        return if values.iter().all(Option::is_none) { None } else { codec::assemble(cql_type, values).ok() };
    }
    let (items, per_entry): (Vec<Bytes>, usize) = match cql_type {
        CqlType::List(..) => (live.map(|(_, value)| value.clone()).collect(), 1),
        CqlType::Set(element, _) => (live.filter_map(|(path, _)| codec::path_value(element, path)).collect(), 1),
        CqlType::Map(key, ..) => {
            let entries = live.filter_map(|(path, value)| Some([codec::path_value(key, path)?, value.clone()]));
            (entries.flatten().collect(), 2)
        }
        _ => return None,
    };
    if items.is_empty() { None } else { Some(codec::collection(&items, per_entry)) }
}

/// A list, set or tuple of what was selected; a list keeps its nulls, as in Cassandra.
fn collected(cql_type: &CqlType, mut values: Vec<Option<Bytes>>) -> Result<Bytes, RequestError> {
    match cql_type {
        CqlType::List(..) => {
            let mut out = Vec::new();
            out.extend_from_slice(&i32::try_from(values.len()).unwrap_or(i32::MAX).to_be_bytes());
            values.iter().for_each(|value| codec::write_part(value.as_ref(), &mut out));
            return Ok(out.into());
        }
        CqlType::Set(..) => values.retain(Option::is_some),
        _ => {}
    }
    codec::assemble(cql_type, values).map_err(RequestError::invalid)
}

/// A set's element if it is in the set, or a map's value of a key.
fn element(cql_type: &CqlType, whole: &Bytes, key: &Bytes) -> Result<Option<Bytes>, RequestError> {
    let parts = codec::split(cql_type, whole).map_err(RequestError::Server)?;
    let (key_type, step) = match cql_type {
        CqlType::Map(key_type, ..) => (key_type, 2),
        CqlType::Set(element, _) => (element, 1),
        _ => return Ok(None),
    };
    let is_it = |entry: &&[Option<Bytes>]| matches!(entry.first(), Some(Some(found)) if codec::compare(key_type, found, key).is_eq());
    Ok(parts.chunks_exact(step).find(is_it).and_then(|entry| entry.last().cloned().flatten()))
}

/// The elements from one to another, both included.
fn slice(
    cql_type: &CqlType,
    whole: &Bytes,
    from: Option<&Bytes>,
    to: Option<&Bytes>,
) -> Result<Option<Bytes>, RequestError> {
    let parts = codec::split(cql_type, whole).map_err(RequestError::Server)?;
    let (key_type, step) = match cql_type {
        CqlType::Map(key_type, ..) => (key_type, 2),
        CqlType::Set(element, _) => (element, 1),
        _ => return Ok(None),
    };
    let within = |entry: &&[Option<Bytes>]| {
        let Some(Some(found)) = entry.first() else { return false };
        from.is_none_or(|from| codec::compare(key_type, found, from).is_ge())
            && to.is_none_or(|to| codec::compare(key_type, found, to).is_le())
    };
    let chosen: Vec<Bytes> = parts.chunks_exact(step).filter(within).flatten().flatten().cloned().collect();
    Ok(if chosen.is_empty() { None } else { Some(codec::collection(&chosen, step)) })
}
