//! Which index answers a `SELECT`, and what is sought in it.

use bytes::Bytes;
use quorate_model::index::term;
use quorate_model::limits::{INDEX_TERM_BYTES_MAX, INDEXED_VALUE_BYTES_MAX};
use quorate_model::request::RequestError;
use quorate_model::schema::{Column, ColumnKind, Table};
use quorate_model::{CqlType, Index, IndexPart, IndexSearch, Mutation};

use crate::ast::Operator;
use crate::bind::Evaluator;
use crate::expr::Expr;
use crate::keys::required;
use crate::restrictions::{Choice, Filter, FilterTest, Step, StepKind};
use crate::schema_index::is_sai;

/// An index and what is sought in it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct IndexUse {
    index: Index,
    column: Column,
    sought: Sought,
    /// Tests of rows that finding a row by the index makes true, but for what replicas do not agree on.
    pub(crate) covers: usize,
}

#[derive(Clone, Debug, PartialEq)]
enum Sought {
    Equal(Vec<Expr>),
    Range { lower: Option<Expr>, upper: Option<Expr> },
}

/// A restriction that would have to be tested row by row.
struct Candidate<'a> {
    column: &'a Column,
    test: Test<'a>,
    covers: usize,
}

enum Test<'a> {
    Equal(&'a Expr),
    Range { lower: Option<&'a Expr>, upper: Option<&'a Expr> },
    Contains(&'a Expr),
    ContainsKey(&'a Expr),
    Element(&'a Expr, &'a Expr),
    Other,
}

/// What came of looking for an index.
pub(crate) struct Chosen {
    /// The index to use, if one fits.
    pub(crate) index: Option<IndexUse>,
    /// Whether something is left to test row by row, so that `ALLOW FILTERING` is needed.
    pub(crate) needs_filtering: bool,
}

/// Looks for an index. `steps` are given if they are not within known partitions.
pub(crate) fn choose(table: &Table, filters: &[Filter], steps: &[Step]) -> Chosen {
    let mut candidates = candidates_of_filters(filters);
    let clustering: Vec<&Column> = table.clustering().collect();
    for step in steps {
        for position in step.first..step.first + step.types.len() {
            let Some(column) = clustering.get(position).copied() else { continue };
            let test = match &step.kind {
                StepKind::Choice(Choice::One(value)) if !step.is_tuple => Test::Equal(value),
                StepKind::Slice { lower, upper } if !step.is_tuple => Test::Range {
                    lower: lower.as_ref().map(|bound| &bound.0),
                    upper: upper.as_ref().map(|bound| &bound.0),
                },
                _ => Test::Other,
            };
            candidates.push(Candidate { column, test, covers: 0 });
        }
    }
    let fitting = |candidate: &Candidate<'_>| {
        let fits = table.indexes.iter().filter(|index| fits(index, candidate));
        // One that can be combined with others, if there is one.
        fits.max_by_key(|index| is_sai(index)).cloned()
    };
    let found: Vec<Option<Index>> = candidates.iter().map(fitting).collect();
    let all_combine = found.iter().all(|index| index.as_ref().is_some_and(is_sai));
    let equal = |candidate: &Candidate<'_>| !matches!(candidate.test, Test::Range { .. });
    let usable = || candidates.iter().zip(&found).filter_map(|(candidate, index)| Some((candidate, index.as_ref()?)));
    let best = usable().find(|(candidate, _)| equal(candidate)).or_else(|| usable().next());
    let index = best.map(|(candidate, index)| IndexUse {
        index: index.clone(),
        column: candidate.column.clone(),
        sought: sought(&candidate.test),
        covers: candidate.covers,
    });
    Chosen { needs_filtering: index.is_none() || (candidates.len() > 1 && !all_combine), index }
}

/// Whether an index on one of the columns could answer such a restriction at all.
pub(crate) fn has_fitting(table: &Table, column: &Column, test: &FilterTest) -> bool {
    let filter = Filter { column: column.clone(), test: test.clone() };
    let filters = [filter];
    let candidates = candidates_of_filters(&filters);
    candidates.iter().any(|candidate| table.indexes.iter().any(|index| fits(index, candidate)))
}

/// Both bounds of a range are one restriction.
fn candidates_of_filters(filters: &[Filter]) -> Vec<Candidate<'_>> {
    let mut candidates: Vec<Candidate<'_>> = Vec::new();
    for Filter { column, test } in filters {
        let test = match test {
            FilterTest::Compare(Operator::Equal, value) => Test::Equal(value),
            FilterTest::Compare(Operator::Greater | Operator::GreaterEqual, value) => {
                Test::Range { lower: Some(value), upper: None }
            }
            FilterTest::Compare(Operator::Less | Operator::LessEqual, value) => {
                Test::Range { lower: None, upper: Some(value) }
            }
            FilterTest::Contains(value) => Test::Contains(value),
            FilterTest::ContainsKey(value) => Test::ContainsKey(value),
            FilterTest::Element(key, value) => Test::Element(key, value),
            FilterTest::Compare(..) | FilterTest::In(_) | FilterTest::Tuple(..) => Test::Other,
        };
        if let Some(Candidate { column: known, test: Test::Range { lower, upper }, covers }) = candidates.last_mut()
            && *known == column
            && let Test::Range { lower: more_lower, upper: more_upper } = test
        {
            *lower = lower.or(more_lower);
            *upper = upper.or(more_upper);
            *covers += 1;
            continue;
        }
        candidates.push(Candidate { column, test, covers: 1 });
    }
    candidates
}

fn fits(index: &Index, candidate: &Candidate<'_>) -> bool {
    if index.column != candidate.column.id {
        return false;
    }
    match (&candidate.test, index.part) {
        (Test::Equal(_), IndexPart::Value | IndexPart::Full) => true,
        (Test::Range { .. }, IndexPart::Value) => is_sai(index) && has_ranges(&candidate.column.cql_type),
        (Test::Contains(_), IndexPart::Values) | (Test::ContainsKey(_), IndexPart::Keys) => true,
        (Test::Element(..), IndexPart::Entries) => true,
        _ => false,
    }
}

/// Types of which a storage-attached index knows ranges, as in Cassandra.
fn has_ranges(cql_type: &CqlType) -> bool {
    !matches!(
        cql_type,
        CqlType::Ascii
            | CqlType::Text
            | CqlType::Boolean
            | CqlType::Blob
            | CqlType::List(..)
            | CqlType::Set(..)
            | CqlType::Map(..)
            | CqlType::Tuple(_)
            | CqlType::UserDefined { .. }
            | CqlType::Vector(..)
    )
}

fn sought(test: &Test<'_>) -> Sought {
    match test {
        Test::Equal(value) | Test::Contains(value) | Test::ContainsKey(value) => Sought::Equal(vec![(*value).clone()]),
        Test::Element(key, value) => Sought::Equal(vec![(*key).clone(), (*value).clone()]),
        Test::Range { lower, upper } => Sought::Range { lower: lower.cloned(), upper: upper.cloned() },
        Test::Other => Sought::Range { lower: None, upper: None },
    }
}

/// Greater than any term.
const LAST_TERM: [u8; 16] = [0xff; 16];

impl IndexUse {
    /// What replicas are to look for.
    pub(crate) fn search(&self, evaluator: &mut Evaluator<'_>) -> Result<IndexSearch, RequestError> {
        let types = self.index.term_types(&self.column);
        let (first, last) = match &self.sought {
            Sought::Equal(values) => {
                let values = values.iter().map(|value| required(value, &self.column.name, evaluator));
                let values: Vec<Bytes> = values.collect::<Result<_, _>>()?;
                let term = term_of(&types, &values.iter().collect::<Vec<_>>())?;
                (term.clone(), term)
            }
            Sought::Range { lower, upper } => {
                let mut bound = |value: &Option<Expr>| -> Result<Option<Bytes>, RequestError> {
                    let Some(value) = value else { return Ok(None) };
                    let value = required(value, &self.column.name, evaluator)?;
                    term_of(&types, &[&value]).map(Some)
                };
                // What was cut of a long term is not in order.
                let cut = |term: Bytes| match term.len() < INDEX_TERM_BYTES_MAX {
                    true => (term.clone(), term),
                    false => {
                        let kept = term.slice(..INDEX_TERM_BYTES_MAX - size_of::<u128>());
                        (kept.clone(), [&kept[..], &LAST_TERM].concat().into())
                    }
                };
                let first = bound(lower)?.map(|term| cut(term).0).unwrap_or_default();
                let last = bound(upper)?.map(|term| cut(term).1);
                (first, last.unwrap_or_else(|| Bytes::from_static(&LAST_TERM)))
            }
        };
        let whole_partitions = matches!(self.column.kind, ColumnKind::PartitionKey(_) | ColumnKind::Static);
        Ok(IndexSearch { index: self.index.id, first, last, whole_partitions })
    }
}

fn term_of(types: &[&CqlType], values: &[&Bytes]) -> Result<Bytes, RequestError> {
    if values.iter().any(|value| value.len() > INDEXED_VALUE_BYTES_MAX) {
        return Err(RequestError::invalid("Index expression values may not be larger than 64K"));
    }
    term(types, values).map_err(|error| RequestError::invalid(error.to_string()))
}

/// Refuses values that an index does not take.
pub(crate) fn check_values(table: &Table, mutations: &[Mutation]) -> Result<(), RequestError> {
    for index in &table.indexes {
        let Some(column) = table.column_by_id(index.column) else { continue };
        for mutation in mutations {
            let rows = mutation.update.rows.values().chain([&mutation.update.static_row]);
            for data in rows.filter_map(|row| row.column(index.column)) {
                let size = match data {
                    quorate_model::ColumnData::Simple(cell) => cell.value_len(),
                    quorate_model::ColumnData::Complex { cells, .. } => {
                        let longest = cells.iter().map(|(path, cell)| match index.part {
                            IndexPart::Keys => path.len(),
                            _ => cell.value_len(),
                        });
                        longest.max().unwrap_or(0)
                    }
                };
                if size >= INDEXED_VALUE_BYTES_MAX {
                    return Err(RequestError::invalid(format!(
                        "Cannot index value of size {size} for index {} on {}.{}({}) (maximum allowed size={INDEXED_VALUE_BYTES_MAX})",
                        index.name, table.keyspace, table.name, column.name
                    )));
                }
            }
        }
    }
    Ok(())
}
