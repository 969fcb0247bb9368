//! Tests of rows by `ALLOW FILTERING`.

use bytes::Bytes;
use quorate_model::CqlType;
use quorate_model::request::RequestError;
use quorate_model::schema::Column;

use crate::ast::Operator;
use crate::bind::Evaluator;
use crate::codec;
use crate::expr::{Bound, Expr};
use crate::keys::{choices, tuple_components};
use crate::restrictions::{Filter, FilterTest};
use crate::selection::Source;
use crate::view::View;

/// A test with its values.
#[derive(Clone, Debug)]
pub(crate) struct BoundFilter {
    pub(crate) column: Column,
    test: BoundTest,
}

#[derive(Clone, Debug)]
enum BoundTest {
    Compare(Operator, Bytes),
    In(Vec<Bytes>),
    Contains(Bytes),
    ContainsKey(Bytes),
    Element(Bytes, Bytes),
    Tuple(Vec<Column>, Vec<Vec<Bytes>>),
}

/// A value that must be there.
fn required(value: &Expr, name: &str, evaluator: &mut Evaluator<'_>) -> Result<Bytes, RequestError> {
    match value.eval(evaluator)? {
        Bound::Value(bytes) => Ok(bytes),
        Bound::Null => Err(RequestError::invalid(format!("Unsupported null value for column {name}"))),
        Bound::Unset => Err(RequestError::invalid(format!("Unsupported unset value for column {name}"))),
    }
}

impl BoundFilter {
    pub(crate) fn new(filter: &Filter, evaluator: &mut Evaluator<'_>) -> Result<Self, RequestError> {
        let name = &filter.column.name;
        let test = match &filter.test {
            FilterTest::Compare(operator, value) => BoundTest::Compare(*operator, required(value, name, evaluator)?),
            FilterTest::In(choice) => BoundTest::In(choices(choice, name, evaluator)?),
            FilterTest::Contains(value) => BoundTest::Contains(required(value, name, evaluator)?),
            FilterTest::ContainsKey(value) => BoundTest::ContainsKey(required(value, name, evaluator)?),
            FilterTest::Element(key, value) => {
                let Bound::Value(key) = key.eval(evaluator)? else {
                    return Err(RequestError::invalid(format!("Unsupported null map key for column {name}")));
                };
                BoundTest::Element(key, required(value, name, evaluator)?)
            }
            FilterTest::Tuple(columns, choice) => {
                let names = columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(",");
                let types = || columns.iter().map(|column| column.cql_type.clone()).collect();
                let tuples = choices(choice, &names, evaluator)?;
                let tuples = tuples.iter().map(|tuple| tuple_components(tuple, types(), &names));
                BoundTest::Tuple(columns.clone(), tuples.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { column: filter.column.clone(), test })
    }

    /// Whether a row passes. Null never does.
    pub(crate) fn passes(&self, view: &View<'_>) -> bool {
        let value_of = |column: &Column| view.column(Source::of(column), &column.cql_type);
        if let BoundTest::Tuple(columns, wanted) = &self.test {
            let values: Option<Vec<Bytes>> = columns.iter().map(value_of).collect();
            let equals = |(value, wanted, column): (&Bytes, &Bytes, &Column)| {
                codec::compare(&column.cql_type, value, wanted).is_eq()
            };
            return values.is_some_and(|values| {
                wanted.iter().any(|wanted| {
                    let pairs = values.iter().zip(wanted).zip(columns);
                    wanted.len() == values.len()
                        && pairs.into_iter().all(|((value, wanted), column)| equals((value, wanted, column)))
                })
            });
        }
        let Some(value) = &value_of(&self.column) else { return false };
        let cql_type = &self.column.cql_type;
        match &self.test {
            BoundTest::Compare(operator, wanted) => {
                let order = codec::compare(cql_type, value, wanted);
                match operator {
                    Operator::Equal => order.is_eq(),
                    Operator::Less => order.is_lt(),
                    Operator::LessEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    Operator::GreaterEqual => order.is_ge(),
                    _ => false,
                }
            }
            BoundTest::In(wanted) => wanted.iter().any(|wanted| codec::compare(cql_type, value, wanted).is_eq()),
            BoundTest::Contains(wanted) => match cql_type {
                CqlType::Map(_, element, _) => holds(cql_type, value, element, wanted, 1, 2),
                CqlType::List(element, _) | CqlType::Set(element, _) => holds(cql_type, value, element, wanted, 0, 1),
                _ => false,
            },
            BoundTest::ContainsKey(wanted) => match cql_type {
                CqlType::Map(key, _, _) => holds(cql_type, value, key, wanted, 0, 2),
                _ => false,
            },
            BoundTest::Tuple(..) => false,
            BoundTest::Element(key, wanted) => {
                let CqlType::Map(key_type, value_type, _) = cql_type else { return false };
                let parts = codec::split(cql_type, value).unwrap_or_default();
                parts.chunks_exact(2).any(|entry| match entry {
                    [Some(found), Some(value)] => {
                        codec::compare(key_type, found, key).is_eq()
                            && codec::compare(value_type, value, wanted).is_eq()
                    }
                    _ => false,
                })
            }
        }
    }
}

fn holds(whole: &CqlType, value: &Bytes, element: &CqlType, wanted: &Bytes, skip: usize, step: usize) -> bool {
    let parts = codec::split(whole, value).unwrap_or_default();
    parts.iter().skip(skip).step_by(step).flatten().any(|part| codec::compare(element, part, wanted).is_eq())
}
