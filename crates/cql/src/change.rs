//! Changes of single columns: cells, elements, whole collections.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_model::request::RequestError;
use quorate_model::schema::{Column, ColumnKind, Table};
use quorate_model::{Cell, CellContent, ColumnData, ColumnId, CqlType, Deletion, Row, Seconds, Timestamp, Ttl};

use crate::ast::{Assignment, Change, DeleteTarget, Name, Term, TermKind};
use crate::bind::Evaluator;
use crate::codec;
use crate::expr::{Bound, Expr, Parameters, Receiver, invalid, typed};
use crate::parser::show_assignment;
use crate::restrictions::column;

/// A change of one column.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnChange {
    column: ColumnId,
    name: String,
    cql_type: CqlType,
    pub(crate) is_static: bool,
    kind: ChangeKind,
}

#[derive(Clone, Debug, PartialEq)]
enum ChangeKind {
    Set(Expr),
    Append(Expr),
    Prepend(Expr),
    /// Elements of a set, or keys of a map given as a set.
    Remove(Expr),
    /// A map's entry.
    SetElement(Expr, Expr),
    /// A set's element or a map's entry.
    DeleteElement(Expr),
    /// A list's element at an index.
    SetAt(Expr, Expr),
    DeleteAt(Expr),
    /// All elements of a list that are equal to one of these.
    RemoveValues(Expr),
    /// A user type's field: its position and value; none deletes it.
    Field(u16, CqlType, Option<Expr>),
    Delete,
}

/// What a statement stamps on its cells.
pub(crate) struct Stamp {
    pub(crate) timestamp: Timestamp,
    pub(crate) now: Seconds,
    pub(crate) ttl: Option<Ttl>,
}

impl Stamp {
    fn cell(&self, value: Bytes) -> Cell {
        let content = match self.ttl {
            Some(ttl) => CellContent::Expiring { value, ttl, expires_at: self.now.plus(ttl) },
            None => CellContent::Live(value),
        };
        Cell { timestamp: self.timestamp, content }
    }

    fn tombstone(&self) -> Cell {
        Cell { timestamp: self.timestamp, content: CellContent::Tombstone { deleted_at: self.now } }
    }

    fn deletion(&self, timestamp: Timestamp) -> Deletion {
        Deletion { timestamp, deleted_at: self.now }
    }
}

/// The changes of an `UPDATE`'s `SET`.
pub(crate) fn changes_of_update(
    assignments: &[Assignment],
    table: &Table,
    parameters: &mut Parameters,
) -> Result<Vec<ColumnChange>, RequestError> {
    let mut changes: Vec<ColumnChange> = Vec::with_capacity(assignments.len());
    for assignment in assignments {
        let found = column(table, &assignment.column)?;
        refuse_key(found, &assignment.column, |name| format!("PRIMARY KEY part {name} found in SET part"))?;
        let change = change_of(assignment, found, parameters)?;
        if changes.iter().any(|known| known.column == found.id && !known.goes_with(&change)) {
            return Err(RequestError::Syntax {
                message: format!("Multiple incompatible setting of column {}", found.name),
                place: Some(assignment.column.place),
            });
        }
        changes.push(change);
    }
    Ok(changes)
}

fn refuse_key(column: &Column, name: &Name, message: impl Fn(&Name) -> String) -> Result<(), RequestError> {
    match column.kind {
        ColumnKind::PartitionKey(_) | ColumnKind::Clustering(..) => Err(invalid(message(name), name.place)),
        ColumnKind::Static | ColumnKind::Regular => Ok(()),
    }
}

fn change_of(
    assignment: &Assignment,
    column: &Column,
    parameters: &mut Parameters,
) -> Result<ColumnChange, RequestError> {
    let (name, cql_type) = (&column.name, &column.cql_type);
    let place = assignment.column.place;
    let shown = || show_assignment(&assignment.column, &assignment.change);
    let whole = Receiver { name, cql_type };
    if let Change::Set(term) = &assignment.change {
        return Ok(ColumnChange::set(column, typed(term, &whole, parameters)?));
    }
    if let Change::Field(field, term) = &assignment.change {
        let CqlType::UserDefined { frozen, .. } = cql_type else {
            return Err(invalid(format!("Invalid operation ({}) for non-UDT column {name}", shown()), place));
        };
        if *frozen {
            return Err(invalid(format!("Invalid operation ({}) for frozen UDT column {name}", shown()), place));
        }
        let (position, field_type) = field_of(column, field)?;
        let receiver = format!("{name}.{field}");
        let value = typed(term, &Receiver { name: &receiver, cql_type: &field_type }, parameters)?;
        return Ok(ColumnChange::new(column, ChangeKind::Field(position, field_type, Some(value))));
    }
    if !cql_type.is_collection() {
        let kind = if matches!(assignment.change, Change::Element(..)) { "non collection" } else { "non counter" };
        return Err(invalid(format!("Invalid operation ({}) for {kind} column {name}", shown()), place));
    }
    if !cql_type.is_multicell() {
        let message = format!("Invalid operation ({}) for frozen collection column {name}", shown());
        return Err(invalid(message, place));
    }
    let kind = match (&assignment.change, cql_type) {
        (Change::Append(term), _) => {
            refuse_set_for_map(term, cql_type)?;
            ChangeKind::Append(typed(term, &whole, parameters)?)
        }
        (Change::Prepend(term), CqlType::List(..)) => ChangeKind::Prepend(typed(term, &whole, parameters)?),
        (Change::Prepend(_), _) => {
            return Err(invalid(format!("Invalid operation ({}) for non list column {name}", shown()), place));
        }
        (Change::Remove(term), CqlType::List(..)) => ChangeKind::RemoveValues(typed(term, &whole, parameters)?),
        (Change::Element(index, value), CqlType::List(element, _)) => {
            let index = list_index(name, index, parameters)?;
            let value_name = format!("value({name})");
            let value = typed(value, &Receiver { name: &value_name, cql_type: element }, parameters)?;
            ChangeKind::SetAt(index, value)
        }
        (Change::Remove(term), CqlType::Map(key, ..)) => {
            let keys = CqlType::Set(key.clone(), true);
            ChangeKind::Remove(typed(term, &Receiver { name, cql_type: &keys }, parameters)?)
        }
        (Change::Remove(term), _) => ChangeKind::Remove(typed(term, &whole, parameters)?),
        (Change::Element(key, value), CqlType::Map(key_type, value_type, _)) => {
            let key_name = format!("key({name})");
            let key = typed(key, &Receiver { name: &key_name, cql_type: key_type }, parameters)?;
            let value_name = format!("value({name})");
            let value = typed(value, &Receiver { name: &value_name, cql_type: value_type }, parameters)?;
            ChangeKind::SetElement(key, value)
        }
        _ => return Err(invalid(format!("Invalid operation ({}) for set column {name}", shown()), place)),
    };
    Ok(ColumnChange::new(column, kind))
}

fn list_index(name: &str, index: &Term, parameters: &mut Parameters) -> Result<Expr, RequestError> {
    let receiver = format!("idx({name})");
    typed(index, &Receiver { name: &receiver, cql_type: &CqlType::Int }, parameters)
}

fn refuse_set_for_map(term: &Term, cql_type: &CqlType) -> Result<(), RequestError> {
    match (&term.kind, cql_type) {
        (TermKind::Set(items), CqlType::Map(..)) if !items.is_empty() => {
            Err(invalid(format!("Value for a map addition has to be a map, but was: '{term}'"), term.place))
        }
        _ => Ok(()),
    }
}

/// The columns and elements that a `DELETE` names.
pub(crate) fn changes_of_delete(
    targets: &[DeleteTarget],
    table: &Table,
    parameters: &mut Parameters,
) -> Result<Vec<ColumnChange>, RequestError> {
    let mut changes = Vec::with_capacity(targets.len());
    for target in targets {
        let (DeleteTarget::Column(name) | DeleteTarget::Element(name, _) | DeleteTarget::Field(name, _)) = target;
        let found = column(table, name)?;
        refuse_key(found, name, |name| {
            format!("Invalid identifier {name} for deletion (should not be a PRIMARY KEY part)")
        })?;
        let kind = match target {
            DeleteTarget::Column(_) => ChangeKind::Delete,
            DeleteTarget::Field(_, field) => {
                let message = match found.cql_type {
                    CqlType::UserDefined { frozen: false, .. } => None,
                    CqlType::UserDefined { .. } => {
                        Some(format!("Frozen UDT column {name} does not support field deletions"))
                    }
                    _ => Some(format!("Invalid field deletion operation for non-UDT column {name}")),
                };
                if let Some(message) = message {
                    return Err(invalid(message, name.place));
                }
                let (position, field_type) = field_of(found, field)?;
                ChangeKind::Field(position, field_type, None)
            }
            DeleteTarget::Element(_, key) => delete_element(found, name, key, parameters)?,
        };
        changes.push(ColumnChange::new(found, kind));
    }
    Ok(changes)
}

/// The position and type of a user type's field.
fn field_of(column: &Column, field: &Name) -> Result<(u16, CqlType), RequestError> {
    let CqlType::UserDefined { fields, .. } = &column.cql_type else {
        return Err(invalid(format!("{} is not a user type", column.name), field.place));
    };
    let found = (0u16..).zip(fields).find(|(_, (name, _))| *name == field.text);
    found
        .map(|(position, (_, field_type))| (position, field_type.clone()))
        .ok_or_else(|| invalid(format!("UDT column {} does not have a field named {field}", column.name), field.place))
}

fn delete_element(
    column: &Column,
    name: &Name,
    key: &Term,
    parameters: &mut Parameters,
) -> Result<ChangeKind, RequestError> {
    let (receiver, cql_type) = match &column.cql_type {
        CqlType::Map(key, _, false) => (format!("key({name})"), key),
        CqlType::Set(element, false) => (format!("value({name})"), element),
        CqlType::List(_, false) => return Ok(ChangeKind::DeleteAt(list_index(&column.name, key, parameters)?)),
        other => {
            let kind = if other.is_collection() { "frozen collection" } else { "non collection" };
            return Err(invalid(format!("Invalid deletion operation for {kind} column {name}"), name.place));
        }
    };
    Ok(ChangeKind::DeleteElement(typed(key, &Receiver { name: &receiver, cql_type }, parameters)?))
}

impl ColumnChange {
    fn new(column: &Column, kind: ChangeKind) -> Self {
        Self {
            column: column.id,
            name: column.name.clone(),
            cql_type: column.cql_type.clone(),
            is_static: column.kind == ColumnKind::Static,
            kind,
        }
    }

    /// Whether one statement may hold this change and the other, of the same column: each touches elements, and no field twice.
    fn goes_with(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (ChangeKind::Set(_), _) | (_, ChangeKind::Set(_)) => false,
            (ChangeKind::Field(one, ..), ChangeKind::Field(other, ..)) => one != other,
            _ => true,
        }
    }

    /// The column becomes this value.
    pub(crate) fn set(column: &Column, value: Expr) -> Self {
        Self::new(column, ChangeKind::Set(value))
    }

    /// Whether it depends on the row as it is.
    pub(crate) fn needs_read(&self) -> bool {
        matches!(self.kind, ChangeKind::SetAt(..) | ChangeKind::DeleteAt(_) | ChangeKind::RemoveValues(_))
    }

    /// Puts the change into a row. `prior` is the row as it was read, for changes that need it.
    pub(crate) fn apply(
        &self,
        row: &mut Row,
        stamp: &Stamp,
        evaluator: &mut Evaluator<'_>,
        prior: Option<&Row>,
    ) -> Result<(), RequestError> {
        match &self.kind {
            ChangeKind::Set(value) => self.apply_set(value.eval(evaluator)?, row, stamp, evaluator),
            ChangeKind::Append(value) | ChangeKind::Prepend(value) => match value.eval(evaluator)? {
                Bound::Value(bytes) => {
                    let before = matches!(self.kind, ChangeKind::Prepend(_));
                    let cells = self.elements(&bytes, before, stamp, evaluator)?;
                    self.complex(row, None, cells);
                    Ok(())
                }
                // Adding null to a list is an error in Cassandra; to sets and maps it changes nothing.
                Bound::Null if matches!(self.cql_type, CqlType::List(..)) => {
                    Err(RequestError::invalid(format!("Invalid null value for list column {}", self.name)))
                }
                Bound::Null | Bound::Unset => Ok(()),
            },
            ChangeKind::Remove(value) => {
                let Bound::Value(bytes) = value.eval(evaluator)? else { return Ok(()) };
                let element = self.path_type();
                let set = CqlType::Set(Box::new(element.clone()), true);
                let mut cells = BTreeMap::new();
                for item in codec::split(&set, &bytes).map_err(RequestError::invalid)?.into_iter().flatten() {
                    cells.insert(codec::path(element, &item).map_err(RequestError::invalid)?, stamp.tombstone());
                }
                self.complex(row, None, cells);
                Ok(())
            }
            ChangeKind::SetElement(key, value) => {
                let path = self.path_of(key, evaluator)?;
                let cell = match value.eval(evaluator)? {
                    Bound::Value(bytes) => stamp.cell(bytes),
                    Bound::Null => stamp.tombstone(),
                    Bound::Unset => return Ok(()),
                };
                self.complex(row, None, BTreeMap::from([(path, cell)]));
                Ok(())
            }
            ChangeKind::SetAt(..) | ChangeKind::DeleteAt(_) | ChangeKind::RemoveValues(_) => {
                let cells = self.list_edits(stamp, evaluator, prior)?;
                self.complex(row, None, cells);
                Ok(())
            }
            ChangeKind::DeleteElement(key) => {
                let path = self.path_of(key, evaluator)?;
                self.complex(row, None, BTreeMap::from([(path, stamp.tombstone())]));
                Ok(())
            }
            ChangeKind::Field(position, _, value) => {
                let cell = match value.as_ref().map(|value| value.eval(evaluator)).transpose()? {
                    Some(Bound::Value(bytes)) => stamp.cell(bytes),
                    Some(Bound::Unset) => return Ok(()),
                    Some(Bound::Null) | None => stamp.tombstone(),
                };
                self.complex(row, None, BTreeMap::from([(codec::field_path(*position), cell)]));
                Ok(())
            }
            ChangeKind::Delete if self.cql_type.is_multicell() => {
                self.complex(row, Some(stamp.deletion(stamp.timestamp)), BTreeMap::new());
                Ok(())
            }
            ChangeKind::Delete => self.apply_set(Bound::Null, row, stamp, evaluator),
        }
    }

    /// The cells that an edit of a list changes, found in the list as it was read.
    fn list_edits(
        &self,
        stamp: &Stamp,
        evaluator: &mut Evaluator<'_>,
        prior: Option<&Row>,
    ) -> Result<BTreeMap<Bytes, Cell>, RequestError> {
        let known: Vec<(&Bytes, &Bytes)> = match prior.and_then(|row| row.column(self.column)) {
            Some(ColumnData::Complex { cells, .. }) => {
                cells.iter().filter_map(|(path, cell)| Some((path, cell.value_at(stamp.now)?))).collect()
            }
            _ => Vec::new(),
        };
        let (index, cell, verb) = match &self.kind {
            ChangeKind::SetAt(index, value) => {
                let (index, value) = (index.eval(evaluator)?, value.eval(evaluator)?);
                let cell = match value {
                    Bound::Value(bytes) => Some(stamp.cell(bytes)),
                    Bound::Null => Some(stamp.tombstone()),
                    Bound::Unset => None,
                };
                (index, cell, "set an element on")
            }
            ChangeKind::DeleteAt(index) => match index.eval(evaluator)? {
                Bound::Unset => return Ok(BTreeMap::new()),
                index => (index, Some(stamp.tombstone()), "delete an element from"),
            },
            ChangeKind::RemoveValues(values) => {
                let Bound::Value(bytes) = values.eval(evaluator)? else { return Ok(BTreeMap::new()) };
                let unwanted: BTreeSet<Bytes> = codec::split(&self.cql_type, &bytes)
                    .map_err(RequestError::invalid)?
                    .into_iter()
                    .flatten()
                    .collect();
                let found = known.iter().filter(|(_, value)| unwanted.contains(*value));
                return Ok(found.map(|(path, _)| ((*path).clone(), stamp.tombstone())).collect());
            }
            _ => return Ok(BTreeMap::new()),
        };
        let index = match index {
            Bound::Value(bytes) => <[u8; 4]>::try_from(bytes.as_ref()).map(i32::from_be_bytes),
            Bound::Null => return Err(RequestError::invalid("Invalid null value for list index")),
            Bound::Unset => return Err(RequestError::invalid("Invalid unset value for list index")),
        };
        let index = index.map_err(|_| RequestError::invalid("Invalid empty value for list index"))?;
        if known.is_empty() {
            return Err(RequestError::invalid(format!("Attempted to {verb} a list which is null")));
        }
        let Some((path, _)) = usize::try_from(index).ok().and_then(|place| known.get(place)) else {
            let message = format!("List index {index} out of bound, list has size {}", known.len());
            return Err(RequestError::invalid(message));
        };
        Ok(cell.into_iter().map(|cell| ((*path).clone(), cell)).collect())
    }

    fn apply_set(
        &self,
        value: Bound,
        row: &mut Row,
        stamp: &Stamp,
        evaluator: &mut Evaluator<'_>,
    ) -> Result<(), RequestError> {
        if !self.cql_type.is_multicell() {
            match value {
                Bound::Value(bytes) => row.set(self.column, ColumnData::Simple(stamp.cell(bytes))),
                Bound::Null => row.set(self.column, ColumnData::Simple(stamp.tombstone())),
                Bound::Unset => {}
            }
            return Ok(());
        }
        match value {
            Bound::Unset => {}
            // As an overwriting value that has no elements: cells of the same timestamp stay.
            Bound::Null => {
                let before = Timestamp(stamp.timestamp.0.saturating_sub(1));
                self.complex(row, Some(stamp.deletion(before)), BTreeMap::new());
            }
            Bound::Value(bytes) => {
                // What was there goes by a deletion just older than the new elements.
                let before = Timestamp(stamp.timestamp.0.saturating_sub(1));
                let cells = self.elements(&bytes, false, stamp, evaluator)?;
                self.complex(row, Some(stamp.deletion(before)), cells);
            }
        }
        Ok(())
    }

    /// The element cells of a collection's encoding.
    fn elements(
        &self,
        bytes: &Bytes,
        before: bool,
        stamp: &Stamp,
        evaluator: &mut Evaluator<'_>,
    ) -> Result<BTreeMap<Bytes, Cell>, RequestError> {
        let mut cells = BTreeMap::new();
        if let CqlType::UserDefined { .. } = &self.cql_type {
            let parts = codec::split(&self.cql_type, bytes).map_err(RequestError::invalid)?;
            for (position, part) in (0u16..).zip(parts) {
                if let Some(part) = part {
                    cells.insert(codec::field_path(position), stamp.cell(part));
                }
            }
            return Ok(cells);
        }
        let mut parts = codec::split(&self.cql_type, bytes).map_err(RequestError::invalid)?.into_iter();
        while let Some(part) = parts.next() {
            let null = || RequestError::invalid("null is not supported inside collections");
            let part = part.ok_or_else(null)?;
            let (path, value) = match &self.cql_type {
                CqlType::List(..) => (Bytes::copy_from_slice(&evaluator.list_place(before)), part),
                CqlType::Map(key, ..) => {
                    let value = parts.next().flatten().ok_or_else(null)?;
                    (codec::path(key, &part).map_err(RequestError::invalid)?, value)
                }
                _ => (codec::path(self.path_type(), &part).map_err(RequestError::invalid)?, Bytes::new()),
            };
            cells.insert(path, stamp.cell(value));
        }
        Ok(cells)
    }

    /// The type of what names an element.
    fn path_type(&self) -> &CqlType {
        match &self.cql_type {
            CqlType::Set(element, _) => element,
            CqlType::Map(key, ..) => key,
            other => other,
        }
    }

    fn path_of(&self, key: &Expr, evaluator: &mut Evaluator<'_>) -> Result<Bytes, RequestError> {
        match key.eval(evaluator)? {
            Bound::Value(bytes) => codec::path(self.path_type(), &bytes).map_err(RequestError::invalid),
            Bound::Null => Err(RequestError::invalid("Invalid null map key")),
            Bound::Unset => Err(RequestError::invalid("Invalid unset map key")),
        }
    }

    /// Puts element cells beside those that other changes of the statement put there; of two for an element the merge decides.
    fn complex(&self, row: &mut Row, deletion: Option<Deletion>, cells: BTreeMap<Bytes, Cell>) {
        let (mut known_deletion, mut known) = match row.column(self.column) {
            Some(ColumnData::Complex { deletion, cells }) => (*deletion, cells.clone()),
            _ => (None, BTreeMap::new()),
        };
        known_deletion = known_deletion.max(deletion);
        for (path, cell) in cells {
            known.entry(path).and_modify(|known| known.merge(&cell)).or_insert(cell);
        }
        if known_deletion.is_some() || !known.is_empty() {
            row.set(self.column, ColumnData::Complex { deletion: known_deletion, cells: known });
        }
    }
}
