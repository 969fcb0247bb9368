//! Aggregates: count, min, max, sum, avg.

use bytes::Bytes;
use num_bigint::BigInt;
use quorate_model::request::RequestError;
use quorate_model::{CqlType, Value};

use crate::codec;
use crate::limits::SCALE_DISTANCE_MAX;
use crate::selection::Output;

/// An aggregate of a selection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Aggregate {
    kind: Kind,
    /// What is aggregated; `None` for rows.
    pub(crate) argument: Option<Box<Output>>,
    cql_type: CqlType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Count,
    Min,
    Max,
    Sum,
    Average,
}

const NAMES: [(&str, Kind); 5] =
    [("count", Kind::Count), ("min", Kind::Min), ("max", Kind::Max), ("sum", Kind::Sum), ("avg", Kind::Average)];

impl Aggregate {
    pub(crate) fn is_aggregate(name: &str) -> bool {
        NAMES.iter().any(|(known, _)| *known == name)
    }

    pub(crate) fn count_rows() -> Self {
        Self { kind: Kind::Count, argument: None, cql_type: CqlType::BigInt }
    }

    /// The aggregate and the type of its result.
    pub(crate) fn new(name: &str, argument: Output, cql_type: &CqlType) -> Result<(Self, CqlType), String> {
        let mismatch = || format!("Invalid call to function {name}, none of its type signatures match");
        let kind = NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(mismatch)?;
        let is_number = matches!(
            cql_type,
            CqlType::TinyInt
                | CqlType::SmallInt
                | CqlType::Int
                | CqlType::BigInt
                | CqlType::Varint
                | CqlType::Float
                | CqlType::Double
                | CqlType::Decimal
                | CqlType::Counter
        );
        if matches!(kind, Kind::Sum | Kind::Average) && !is_number {
            return Err(mismatch());
        }
        let result = if kind == Kind::Count { CqlType::BigInt } else { cql_type.clone() };
        Ok((Self { kind, argument: Some(Box::new(argument)), cql_type: cql_type.clone() }, result))
    }
}

/// An aggregate's state over the rows seen.
#[derive(Clone, Debug)]
pub(crate) struct Accumulator {
    aggregate: Aggregate,
    count: i64,
    best: Option<Bytes>,
    sum: Sum,
}

#[derive(Clone, Debug)]
enum Sum {
    Whole(i128),
    Float(f64),
    Big(BigInt, i32),
}

impl Accumulator {
    pub(crate) fn new(aggregate: &Aggregate) -> Self {
        let sum = match aggregate.cql_type {
            CqlType::Float | CqlType::Double => Sum::Float(0.0),
            CqlType::Varint | CqlType::Decimal => Sum::Big(BigInt::from(0), 0),
            _ => Sum::Whole(0),
        };
        Self { aggregate: aggregate.clone(), count: 0, best: None, sum }
    }

    /// Takes a row; `value` is the argument's, ignored when rows are counted.
    pub(crate) fn add(&mut self, value: Option<Bytes>) -> Result<(), RequestError> {
        if self.aggregate.argument.is_none() {
            self.count = self.count.saturating_add(1);
            return Ok(());
        }
        let Some(value) = value else { return Ok(()) };
        self.count = self.count.saturating_add(1);
        match self.aggregate.kind {
            Kind::Count => {}
            Kind::Min | Kind::Max => {
                let better = self.best.as_ref().is_none_or(|best| {
                    let order = codec::compare(&self.aggregate.cql_type, &value, best);
                    if self.aggregate.kind == Kind::Min { order.is_lt() } else { order.is_gt() }
                });
                if better {
                    self.best = Some(value);
                }
            }
            Kind::Sum | Kind::Average => return self.add_number(&value),
        }
        Ok(())
    }

    fn add_number(&mut self, value: &Bytes) -> Result<(), RequestError> {
        let value = codec::decode(&self.aggregate.cql_type, value).map_err(RequestError::Server)?;
        let whole = match &value {
            Value::TinyInt(number) => i128::from(*number),
            Value::SmallInt(number) => i128::from(*number),
            Value::Int(number) => i128::from(*number),
            Value::BigInt(number) => i128::from(*number),
            _ => 0,
        };
        match (&mut self.sum, value) {
            (Sum::Whole(sum), _) => *sum = sum.wrapping_add(whole),
            (Sum::Float(sum), Value::Float(number)) => *sum += f64::from(number),
            (Sum::Float(sum), Value::Double(number)) => *sum += number,
            (Sum::Big(sum, _), Value::Varint(number)) => *sum += number,
            (Sum::Big(sum, scale), Value::Decimal(number, other)) => {
                let distance = other.abs_diff(*scale);
                if distance > SCALE_DISTANCE_MAX {
                    let message =
                        format!("sum() of decimals whose scales differ by {distance} digits is not supported");
                    return Err(RequestError::invalid(message));
                }
                let shift = BigInt::from(10).pow(distance);
                if other > *scale {
                    *sum *= shift;
                    *scale = other;
                    *sum += number;
                } else {
                    *sum += number * shift;
                }
            }
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Option<Bytes> {
        let cql_type = &self.aggregate.cql_type;
        let value = match self.aggregate.kind {
            Kind::Count => return Some(Bytes::copy_from_slice(&self.count.to_be_bytes())),
            Kind::Min | Kind::Max => return self.best,
            Kind::Sum => number(cql_type, self.sum, 1),
            Kind::Average => number(cql_type, self.sum, self.count.max(1)),
        };
        codec::encode(cql_type, &value).ok()
    }
}

/// The sum over the count, as the type; whole numbers wrap and round towards zero, as in Cassandra.
fn number(cql_type: &CqlType, sum: Sum, count: i64) -> Value {
    match (sum, cql_type) {
        (Sum::Whole(sum), _) => {
            let whole = sum / i128::from(count);
            match cql_type {
                CqlType::TinyInt => Value::TinyInt(whole as i8),
                CqlType::SmallInt => Value::SmallInt(whole as i16),
                CqlType::Int => Value::Int(whole as i32),
                _ => Value::BigInt(whole as i64),
            }
        }
        (Sum::Float(sum), CqlType::Float) => Value::Float((sum / count as f64) as f32),
        (Sum::Float(sum), _) => Value::Double(sum / count as f64),
        (Sum::Big(sum, scale), CqlType::Decimal) => Value::Decimal(half_even(&sum, count), scale),
        (Sum::Big(sum, _), _) => Value::Varint(sum / BigInt::from(count)),
    }
}

/// The quotient, rounded to the nearest, or of two that are as near to the even one.
fn half_even(sum: &BigInt, count: i64) -> BigInt {
    let count = BigInt::from(count.max(1));
    let (whole, rest) = (sum / &count, sum % &count);
    let is_odd = (&whole % BigInt::from(2)) != BigInt::from(0);
    let away = match (rest.magnitude() * 2u32).cmp(count.magnitude()) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => is_odd,
        std::cmp::Ordering::Greater => true,
    };
    let step = if sum.sign() == num_bigint::Sign::Minus { -1 } else { 1 };
    if away { whole + step } else { whole }
}
