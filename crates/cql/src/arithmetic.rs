//! Arithmetic on numbers, texts and moments, with Java's overflow and rounding.

use num_bigint::{BigInt, Sign};
use quorate_model::{CqlType, Value};

use crate::calls::{Math, ten_to};
use crate::casts::{big_of, decimal_of, double_of, whole_of};
use crate::limits::SCALE_DISTANCE_MAX;
use crate::{logarithms, moments};

/// Significant digits that a quotient of decimals has at least, and the bounds of its scale.
const QUOTIENT_DIGITS_MIN: i64 = 32;
const QUOTIENT_SCALE_MAX: i64 = 1000;

pub(crate) fn is_number(cql_type: &CqlType) -> bool {
    rank(cql_type).is_some()
}

pub(crate) fn is_moment(cql_type: &CqlType) -> bool {
    matches!(cql_type, CqlType::Date | CqlType::Timestamp)
}

/// Bytes of a number type, and whether it has a fraction; unbounded ones count 16.
fn rank(cql_type: &CqlType) -> Option<(u8, bool)> {
    Some(match cql_type {
        CqlType::TinyInt => (1, false),
        CqlType::SmallInt => (2, false),
        CqlType::Int => (4, false),
        CqlType::BigInt | CqlType::Counter => (8, false),
        CqlType::Varint => (16, false),
        CqlType::Float => (4, true),
        CqlType::Double => (8, true),
        CqlType::Decimal => (16, true),
        _ => return None,
    })
}

/// The type of the result, if the operator takes such operands.
pub(crate) fn result(operator: char, left: &CqlType, right: &CqlType) -> Option<CqlType> {
    if is_moment(left) && *right == CqlType::Duration {
        return matches!(operator, '+' | '-').then(|| left.clone());
    }
    if let (CqlType::Text | CqlType::Ascii, CqlType::Text | CqlType::Ascii) = (left, right) {
        let both_ascii = *left == CqlType::Ascii && *right == CqlType::Ascii;
        return (operator == '+').then_some(if both_ascii { CqlType::Ascii } else { CqlType::Text });
    }
    let ((left_size, left_fraction), (right_size, right_fraction)) = (rank(left)?, rank(right)?);
    let size = left_size.max(right_size);
    Some(match (size, left_fraction || right_fraction) {
        (1, _) => CqlType::TinyInt,
        (2, false) => CqlType::SmallInt,
        (4, false) => CqlType::Int,
        (8, false) => CqlType::BigInt,
        (_, false) => CqlType::Varint,
        (16, true) => CqlType::Decimal,
        (8, true) => CqlType::Double,
        (_, true) => CqlType::Float,
    })
}

/// Computes in the result's type.
pub(crate) fn operate(operator: char, to: &CqlType, left: &Value, right: &Value) -> Result<Value, String> {
    match (to, left, right) {
        (_, Value::Null, _) | (_, _, Value::Null) => Ok(Value::Null),
        (CqlType::Text | CqlType::Ascii, Value::Text(left), Value::Text(right)) => {
            Ok(Value::Text(format!("{left}{right}")))
        }
        (CqlType::Date | CqlType::Timestamp, _, Value::Duration(months, days, nanos)) => {
            moments::add(left, (*months, *days, *nanos), operator == '-')
        }
        (CqlType::Float | CqlType::Double, ..) => {
            let number = match *to {
                // Each step in the result's own precision.
                CqlType::Float => {
                    let (left, right) = (double_of(left) as f32, double_of(right) as f32);
                    return Ok(Value::Float(float(operator, f64::from(left), f64::from(right)) as f32));
                }
                _ => float(operator, double_of(left), double_of(right)),
            };
            Ok(Value::Double(number))
        }
        (CqlType::Decimal, ..) => decimal(operator, as_decimal(left), as_decimal(right)),
        (CqlType::Varint, ..) => {
            let (left, right) = (big_of(left), big_of(right));
            if matches!(operator, '/' | '%') && right.sign() == Sign::NoSign {
                return Err("BigInteger divide by zero".to_owned());
            }
            Ok(Value::Varint(match operator {
                '+' => left + right,
                '-' => left - right,
                '*' => left * right,
                '/' => left / right,
                _ => left % right,
            }))
        }
        _ => whole(operator, to, whole_of(left), whole_of(right)),
    }
}

/// A whole number of fixed size becomes a decimal by way of a double, as in Java, and so gets a digit behind the point.
fn as_decimal(value: &Value) -> Decimal {
    match value {
        Value::Varint(_) | Value::Decimal(..) | Value::Float(_) | Value::Double(_) => decimal_of(value),
        whole => decimal_of(&Value::Double(double_of(whole))),
    }
}

fn float(operator: char, left: f64, right: f64) -> f64 {
    match operator {
        '+' => left + right,
        '-' => left - right,
        '*' => left * right,
        '/' => left / right,
        _ => left % right,
    }
}

fn whole(operator: char, to: &CqlType, left: i64, right: i64) -> Result<Value, String> {
    if matches!(operator, '/' | '%') && right == 0 {
        return Err("/ by zero".to_owned());
    }
    let number = match operator {
        '+' => left.wrapping_add(right),
        '-' => left.wrapping_sub(right),
        '*' => left.wrapping_mul(right),
        '/' => left.wrapping_div(right),
        _ => left.wrapping_rem(right),
    };
    Ok(narrow(to, number))
}

/// A whole number's lowest bits, as the type.
pub(crate) fn narrow(to: &CqlType, number: i64) -> Value {
    match to {
        CqlType::TinyInt => Value::TinyInt(number as i8),
        CqlType::SmallInt => Value::SmallInt(number as i16),
        CqlType::Int => Value::Int(number as i32),
        _ => Value::BigInt(number),
    }
}

/// Brings two decimals to one scale.
fn align((left, left_scale): Decimal, (right, right_scale): Decimal) -> Result<(BigInt, BigInt, i32), String> {
    let distance = left_scale.abs_diff(right_scale);
    if distance > SCALE_DISTANCE_MAX {
        return Err(format!("scales that differ by {distance} digits are not supported"));
    }
    let shift = ten_to(distance);
    Ok(if left_scale < right_scale { (left * shift, right, right_scale) } else { (left, right * shift, left_scale) })
}

type Decimal = (BigInt, i32);

fn digits(number: &BigInt) -> i64 {
    number.magnitude().to_string().len() as i64
}

fn decimal(operator: char, left: Decimal, right: Decimal) -> Result<Value, String> {
    if operator == '*' {
        let scale = left.1.checked_add(right.1).ok_or("the scale overflows")?;
        return Ok(Value::Decimal(left.0 * right.0, scale));
    }
    if matches!(operator, '/' | '%') && right.0.sign() == Sign::NoSign {
        return Err("BigInteger divide by zero".to_owned());
    }
    if operator == '/' {
        return quotient(left, right);
    }
    let (left, right, scale) = align(left, right)?;
    Ok(Value::Decimal(
        match operator {
            '+' => left + right,
            '-' => left - right,
            _ => left % right,
        },
        scale,
    ))
}

/// Rounded half up, to at least 32 significant digits, without zeros at the end.
fn quotient(left: Decimal, right: Decimal) -> Result<Value, String> {
    let (left_scale, right_scale) = (i64::from(left.1), i64::from(right.1));
    let first = (digits(&left.0) - left_scale) - (digits(&right.0) - right_scale);
    let scale = (QUOTIENT_DIGITS_MIN - first).max(left_scale).max(right_scale).max(QUOTIENT_DIGITS_MIN);
    let scale = scale.min(QUOTIENT_SCALE_MAX);
    let shift = scale - left_scale + right_scale;
    let power = u32::try_from(shift.unsigned_abs()).ok().filter(|power| *power <= SCALE_DISTANCE_MAX);
    let power = ten_to(power.ok_or("scales that differ so much are not supported")?);
    let (dividend, divisor) = if shift >= 0 { (left.0 * power, right.0) } else { (left.0, right.0 * power) };
    let (mut whole, rest) = (&dividend / &divisor, &dividend % &divisor);
    if rest.magnitude() * 2u32 >= *divisor.magnitude() {
        whole += if dividend.sign() == divisor.sign() { 1 } else { -1 };
    }
    Ok(strip(whole, scale as i32))
}

fn strip(mut number: BigInt, mut scale: i32) -> Value {
    if number.sign() == Sign::NoSign {
        return Value::Decimal(number, 0);
    }
    let ten = BigInt::from(10);
    while (&number % &ten).sign() == Sign::NoSign {
        number /= &ten;
        scale -= 1;
    }
    Value::Decimal(number, scale)
}

pub(crate) fn negate(to: &CqlType, value: Value) -> Result<Value, String> {
    Ok(match value {
        Value::Float(number) => Value::Float(-number),
        Value::Double(number) => Value::Double(-number),
        Value::Varint(number) => Value::Varint(-number),
        Value::Decimal(number, scale) => Value::Decimal(-number, scale),
        Value::Null => Value::Null,
        other => narrow(to, whole_of(&other).wrapping_neg()),
    })
}

/// `abs`, `exp`, `log`, `log10`, `round`. Of whole numbers the fraction of the result is cut off.
pub(crate) fn math(math: Math, to: &CqlType, value: Value) -> Result<Value, String> {
    let of = |number: f64| match math {
        Math::Abs => number.abs(),
        Math::Exp => number.exp(),
        Math::Log => number.ln(),
        Math::Log10 => number.log10(),
        Math::Round => (number + 0.5).floor(),
    };
    match (math, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Math::Abs, Value::Varint(number)) => Ok(Value::Varint(number.magnitude().clone().into())),
        (Math::Abs, Value::Decimal(number, scale)) => Ok(Value::Decimal(number.magnitude().clone().into(), scale)),
        (Math::Round, value @ Value::Varint(_)) => Ok(value),
        (Math::Round, Value::Decimal(number, scale)) if scale > 0 => {
            let power = u32::try_from(scale).ok().filter(|scale| *scale <= SCALE_DISTANCE_MAX);
            let power = ten_to(power.ok_or("a scale so great is not supported")?);
            let (mut whole, rest) = (&number / &power, &number % &power);
            if rest.magnitude() * 2u32 >= *power.magnitude() {
                whole += if number.sign() == Sign::Minus { -1 } else { 1 };
            }
            Ok(Value::Decimal(whole, 0))
        }
        (Math::Round, value @ Value::Decimal(..)) => Ok(value),
        (_, Value::Varint(number)) => {
            let (number, scale) = logarithms::of(math, &number, 0)?;
            Ok(Value::Varint(logarithms::whole(number, scale)))
        }
        (_, Value::Decimal(number, scale)) => {
            let (number, scale) = logarithms::of(math, &number, scale)?;
            Ok(Value::Decimal(number, scale))
        }
        (_, Value::Float(number)) => Ok(Value::Float(of(f64::from(number)) as f32)),
        (_, Value::Double(number)) => Ok(Value::Double(of(number))),
        (Math::Abs, whole) => Ok(narrow(to, whole_of(&whole).wrapping_abs())),
        (Math::Round, whole) => Ok(whole),
        (_, Value::BigInt(number)) => Ok(Value::BigInt(of(number as f64) as i64)),
        // To an int first, saturating; from there the lowest bits.
        (_, whole) => Ok(narrow(to, i64::from(of(whole_of(&whole) as f64) as i32))),
    }
}
