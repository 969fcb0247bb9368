//! Dates and timestamps with durations: sums, differences and time buckets.

use quorate_model::value::calendar::{MILLIS_PER_DAY, NANOS_PER_DAY, civil_from_days, days_from_civil, days_in_month};
use quorate_model::{CqlType, Value};

/// The day 1970-01-01 in a `date`.
const DATE_EPOCH: i64 = 1 << 31;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Milliseconds since 1970 of a timestamp, date or timeuuid.
pub(crate) fn millis(value: &Value) -> Option<i64> {
    match value {
        Value::Timestamp(ms) => Some(*ms),
        Value::Date(day) => Some((i64::from(*day) - DATE_EPOCH).saturating_mul(MILLIS_PER_DAY)),
        Value::Uuid(uuid) => Some(crate::functions::millis_of_uuid(*uuid)),
        _ => None,
    }
}

pub(crate) fn date(ms: i64) -> Value {
    let day = ms.div_euclid(MILLIS_PER_DAY).saturating_add(DATE_EPOCH).clamp(0, i64::from(u32::MAX));
    Value::Date(u32::try_from(day).unwrap_or(0))
}

/// Adds months to a number of days since 1970; a day that the month does not have becomes its last.
fn add_months(days: i64, months: i64) -> Option<i64> {
    let (year, month, day) = civil_from_days(days);
    let total = year.checked_mul(12)?.checked_add(i64::from(month) - 1)?.checked_add(months)?;
    let (year, month) = (total.div_euclid(12), u32::try_from(total.rem_euclid(12)).ok()? + 1);
    days_from_civil(year, month, day.min(days_in_month(year, month)))
}

/// A date or timestamp plus a duration, or minus it.
pub(crate) fn add(moment: &Value, (months, days, nanos): (i32, i32, i64), minus: bool) -> Result<Value, String> {
    let sign = if minus { -1 } else { 1 };
    if matches!(moment, Value::Date(_)) && nanos != 0 {
        let shown = Value::Duration(months, days, nanos).to_cql_literal(&CqlType::Duration);
        return Err(format!("The duration must have a day precision. Was: {shown}"));
    }
    let ms = millis(moment).ok_or("not a moment")?;
    let overflow = || "the result is out of range".to_owned();
    let (day, of_day) = (ms.div_euclid(MILLIS_PER_DAY), ms.rem_euclid(MILLIS_PER_DAY));
    let day = add_months(day, i64::from(months) * sign).ok_or_else(overflow)?;
    let day = day.checked_add(i64::from(days) * sign).ok_or_else(overflow)?;
    let sum = day.checked_mul(MILLIS_PER_DAY).and_then(|ms| ms.checked_add(of_day)).ok_or_else(overflow)?;
    let sum = sum.checked_add(nanos / NANOS_PER_MILLI * sign).ok_or_else(overflow)?;
    Ok(if matches!(moment, Value::Date(_)) { date(sum) } else { Value::Timestamp(sum) })
}

/// The beginning of the bucket of the given length that holds a moment: of buckets from 1970, or from a start, on.
pub(crate) fn floor(to: &CqlType, values: &[Value]) -> Result<Value, String> {
    let (Some(value), Some(Value::Duration(months, days, nanos))) = (values.first(), values.get(1)) else {
        return Ok(Value::Null);
    };
    if *months < 0 || *days < 0 || *nanos < 0 {
        let shown = Value::Duration(*months, *days, *nanos).to_cql_literal(&CqlType::Duration);
        return Err(format!("Negative durations are not supported by the floor function. Was: {shown}"));
    }
    if let Value::Time(time) = value {
        if *months != 0 || *days != 0 {
            return Err("For time values, the floor can only be computed for durations smaller that a day".to_owned());
        }
        return Ok(Value::Time(if *nanos == 0 { *time } else { time - time % nanos }));
    }
    let ms = millis(value).ok_or("not a moment")?;
    let start = values.get(2).and_then(millis).unwrap_or(0);
    if values.len() > 2 && start > ms {
        return Err("The floor function starting time is greater than the provided time".to_owned());
    }
    let as_type = |ms: i64| if *to == CqlType::Date { date(ms) } else { Value::Timestamp(ms) };
    if *months == 0 && *days == 0 && *nanos == 0 {
        return Ok(as_type(ms));
    }
    if *months == 0 {
        let length = i64::from(*days).saturating_mul(MILLIS_PER_DAY).saturating_add(nanos / NANOS_PER_MILLI);
        if length == 0 {
            return Err(
                "The floor cannot be computed for the given duration: it is shorter than a millisecond".to_owned()
            );
        }
        return Ok(as_type(ms - (ms - start).rem_euclid(length)));
    }
    by_months(ms, start, (*months, *days, *nanos)).map(as_type)
}

/// Buckets whose length is in months, perhaps with days: the last beginning that is not after the moment.
fn by_months(ms: i64, start: i64, (months, days, nanos): (i32, i32, i64)) -> Result<i64, String> {
    let beginning = |count: i64| -> Option<i64> {
        let day = add_months(start.div_euclid(MILLIS_PER_DAY), i64::from(months).checked_mul(count)?)?;
        let extra = i64::from(days).checked_mul(NANOS_PER_DAY)?.checked_add(nanos)? / NANOS_PER_MILLI;
        day.checked_mul(MILLIS_PER_DAY)?
            .checked_add(start.rem_euclid(MILLIS_PER_DAY))?
            .checked_add(extra.checked_mul(count)?)
    };
    let overflow = || "the result is out of range".to_owned();
    // Months have 28 to 31 days: the true count lies between.
    let shortest = i64::from(months) * 28 * MILLIS_PER_DAY;
    let longest = (i64::from(months) * 31 + i64::from(days)).saturating_mul(MILLIS_PER_DAY) + nanos / NANOS_PER_MILLI;
    let (mut low, mut high) = ((ms - start).div_euclid(longest), (ms - start).div_euclid(shortest) + 1);
    if ms < start {
        (low, high) = ((ms - start).div_euclid(shortest), (ms - start).div_euclid(longest) + 1);
    }
    while low + 1 < high {
        let middle = low + (high - low) / 2;
        if beginning(middle).ok_or_else(overflow)? <= ms { low = middle } else { high = middle }
    }
    beginning(low).ok_or_else(overflow)
}
