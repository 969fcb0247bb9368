//! Results and their rows.

use std::sync::Arc;

use bytes::{Buf as _, Bytes};
use quorate_model::Value;
use quorate_model::request::{Answer, ColumnSpec, ResultMetadata, Rows, SchemaChange, Trace};
use quorate_proto::Response;

use crate::codec::decode;
use crate::error::{Error, ValueError};
use crate::value::FromValue;
use crate::values::each_tuple;

/// The answer to a statement: one page of rows, or that something was done.
#[derive(Clone, Debug)]
pub struct QueryResult {
    answer: Answer,
    /// The node that answered.
    address: String,
    /// Warnings of the server.
    pub warnings: Vec<String>,
    /// What each replica did, if it was asked for.
    pub trace: Option<Trace>,
}

impl QueryResult {
    pub(crate) fn new(response: Response, address: String) -> Self {
        Self { answer: response.answer, address, warnings: response.warnings, trace: response.trace }
    }

    /// The node that answered.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The answer as it came.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// Whether it has rows (possibly none), as the answer to a query has.
    pub fn has_rows(&self) -> bool {
        matches!(self.answer, Answer::Rows(_))
    }

    /// The result's columns; empty if it has no rows.
    pub fn columns(&self) -> &[ColumnSpec] {
        self.raw_rows().map_or(&[], |rows| &rows.metadata.columns)
    }

    /// The rows in their encoding, if there are any.
    pub fn raw_rows(&self) -> Option<&Rows> {
        match &self.answer {
            Answer::Rows(rows) => Some(rows),
            _ => None,
        }
    }

    /// Number of rows in this page.
    pub fn row_count(&self) -> usize {
        self.raw_rows().map_or(0, |rows| rows.row_count as usize)
    }

    /// How to get the next page; `None` on the last. Give it to [`Options::paging_state`](crate::Options::paging_state).
    pub fn paging_state(&self) -> Option<&Bytes> {
        self.raw_rows()?.paging_state.as_ref()
    }

    /// The keyspace that `USE` chose.
    pub fn keyspace(&self) -> Option<&str> {
        match &self.answer {
            Answer::SetKeyspace(keyspace) => Some(keyspace),
            _ => None,
        }
    }

    /// What changed of the schema.
    pub fn schema_change(&self) -> Option<&SchemaChange> {
        match &self.answer {
            Answer::SchemaChange(change) => Some(change),
            _ => None,
        }
    }

    /// The page's rows.
    pub fn rows(&self) -> Result<Vec<Row>, Error> {
        self.raw_rows().map_or_else(|| Ok(Vec::new()), split_rows)
    }

    /// The page's rows as a Rust type, e.g. a tuple.
    pub fn rows_as<T: FromRow>(&self) -> Result<Vec<T>, Error> {
        self.rows()?.into_iter().map(|row| T::from_row(row).map_err(Error::from)).collect()
    }

    /// The first row as a Rust type; `None` if there is no row.
    pub fn first_as<T: FromRow>(&self) -> Result<Option<T>, Error> {
        Ok(self.rows()?.into_iter().next().map(T::from_row).transpose()?)
    }
}

/// Cuts a page into rows. Values are decoded when they are asked for.
pub(crate) fn split_rows(rows: &Rows) -> Result<Vec<Row>, Error> {
    let mut input = rows.data.clone();
    let mut result = Vec::with_capacity((rows.row_count as usize).min(input.len().max(1)));
    for _ in 0..rows.row_count {
        let cells =
            rows.metadata.columns.iter().map(|column| take_cell(&mut input, &column.name)).collect::<Result<_, _>>()?;
        result.push(Row { metadata: Arc::clone(&rows.metadata), cells });
    }
    Ok(result)
}

fn take_cell(input: &mut Bytes, column: &str) -> Result<Option<Bytes>, ValueError> {
    let short = || ValueError {
        place: column.to_owned(),
        expected: "a whole page of rows".to_owned(),
        found: "a page that ends too early".to_owned(),
    };
    if input.remaining() < 4 {
        return Err(short());
    }
    match usize::try_from(input.get_i32()) {
        Err(_) => Ok(None),
        Ok(len) if len <= input.len() => Ok(Some(input.split_to(len))),
        Ok(_) => Err(short()),
    }
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    metadata: Arc<ResultMetadata>,
    cells: Vec<Option<Bytes>>,
}

impl Row {
    /// The row's columns.
    pub fn columns(&self) -> &[ColumnSpec] {
        &self.metadata.columns
    }

    /// The number of columns.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether it has no columns.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// A column's bytes in Cassandra's encoding; `None` for null.
    pub fn raw(&self, index: usize) -> Option<&Bytes> {
        self.cells.get(index)?.as_ref()
    }

    /// The value of the column at this index.
    pub fn value(&self, index: usize) -> Result<Value, ValueError> {
        let (Some(column), Some(cell)) = (self.columns().get(index), self.cells.get(index)) else {
            return Err(ValueError {
                place: format!("column {index}"),
                expected: format!("an index below {}", self.len()),
                found: index.to_string(),
            });
        };
        match cell {
            None => Ok(Value::Null),
            Some(bytes) => decode(&column.cql_type, bytes, &column.name),
        }
    }

    /// All values in order.
    pub fn values(&self) -> Result<Vec<Value>, ValueError> {
        (0..self.len()).map(|index| self.value(index)).collect()
    }

    /// The column of this name as a Rust type. Null is an error unless the type is an `Option` or a collection.
    pub fn get<T: FromValue>(&self, name: &str) -> Result<T, ValueError> {
        let index = self.columns().iter().position(|column| column.name == name).ok_or_else(|| ValueError {
            place: name.to_owned(),
            expected: "a column of the result".to_owned(),
            found: "none of this name".to_owned(),
        })?;
        self.get_at(index)
    }

    /// The column at this index as a Rust type.
    pub fn get_at<T: FromValue>(&self, index: usize) -> Result<T, ValueError> {
        let value = self.value(index)?;
        let found = || format!("{:?}", self.value(index));
        T::from_value(value).ok_or_else(|| ValueError {
            place: self.columns().get(index).map_or_else(String::new, |column| column.name.clone()),
            expected: T::NAME.to_owned(),
            found: found(),
        })
    }
}

/// A Rust type that a row can be read as: a tuple of up to 16 values, a [`Row`], or your own.
///
/// ```
/// use quorate_client::{FromRow, Row, ValueError};
///
/// struct Reading {
///     origin: String,
///     temp: Option<f64>,
/// }
///
/// impl FromRow for Reading {
///     fn from_row(row: Row) -> Result<Self, ValueError> {
///         Ok(Self { origin: row.get("origin")?, temp: row.get("temp")? })
///     }
/// }
/// ```
pub trait FromRow: Sized {
    /// Reads the row.
    fn from_row(row: Row) -> Result<Self, ValueError>;
}

impl FromRow for Row {
    fn from_row(row: Row) -> Result<Self, ValueError> {
        Ok(row)
    }
}

impl FromRow for Vec<Value> {
    fn from_row(row: Row) -> Result<Self, ValueError> {
        row.values()
    }
}

macro_rules! tuple_from_row {
    ($($name:ident $index:tt),+) => {
        impl<$($name: FromValue),+> FromRow for ($($name,)+) {
            fn from_row(row: Row) -> Result<Self, ValueError> {
                let wanted = [$($index),+].len();
                if row.len() != wanted {
                    return Err(ValueError {
                        place: "row".to_owned(),
                        expected: format!("{wanted} columns"),
                        found: row.len().to_string(),
                    });
                }
                Ok(($(row.get_at::<$name>($index)?,)+))
            }
        }
    };
}
each_tuple!(tuple_from_row);
