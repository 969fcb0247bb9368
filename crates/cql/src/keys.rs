//! Restrictions with their values: partition keys, slices of rows, token ranges.

use bytes::Bytes;
use quorate_model::limits::{CLUSTERING_BYTES_MAX, PARTITION_KEY_BYTES_MAX};
use quorate_model::request::RequestError;
use quorate_model::schema::Table;
use quorate_model::{ClusteringKey, CqlType, DecoratedKey, PartitionKey, Position, Token};

use crate::bind::Evaluator;
use crate::codec;
use crate::expr::{Bound, Expr};
use crate::limits::{PARTITIONS_PER_STATEMENT_MAX, SLICES_PER_STATEMENT_MAX};
use crate::restrictions::{Choice, Step, StepKind};

/// A `[start, end)` slice of rows.
pub(crate) type Slice = (Position, Position);

/// A value that must be there.
pub(crate) fn required(expr: &Expr, name: &str, evaluator: &mut Evaluator<'_>) -> Result<Bytes, RequestError> {
    match expr.eval(evaluator)? {
        Bound::Value(bytes) => Ok(bytes),
        Bound::Null => Err(RequestError::invalid(format!("Invalid null value in condition for column {name}"))),
        Bound::Unset => Err(RequestError::invalid(format!("Invalid unset value for column {name}"))),
    }
}

/// All values of a choice.
pub(crate) fn choices(choice: &Choice, name: &str, evaluator: &mut Evaluator<'_>) -> Result<Vec<Bytes>, RequestError> {
    match choice {
        Choice::One(value) => Ok(vec![required(value, name, evaluator)?]),
        Choice::Many(values) => values.iter().map(|value| required(value, name, evaluator)).collect(),
        Choice::Bound(list, element) => {
            let list_type = CqlType::List(Box::new(element.freeze()), true);
            let bytes = required(list, name, evaluator)?;
            let items = codec::split(&list_type, &bytes).map_err(RequestError::invalid)?;
            let missing = || RequestError::invalid(format!("Invalid null value in condition for column {name}"));
            items.into_iter().map(|item| item.ok_or_else(missing)).collect()
        }
    }
}

/// The partitions with these values, a choice for each column of the partition key; each once, in the order of the values: so
/// does Cassandra give them.
pub(crate) fn partition_keys(
    table: &Table,
    given: &[Choice],
    partitioner: fn(&[u8]) -> Token,
    evaluator: &mut Evaluator<'_>,
) -> Result<Vec<DecoratedKey>, RequestError> {
    let mut columns = table.partition_key();
    if let ([Choice::One(value)], Some(column)) = (given, columns.next()) {
        let key = partition_key(&[required(value, &column.name, evaluator)?])?;
        return Ok(vec![DecoratedKey { token: partitioner(&key.0), key }]);
    }
    let mut keys: Vec<Vec<Bytes>> = vec![Vec::new()];
    for (column, choice) in table.partition_key().zip(given) {
        let mut values = choices(choice, &column.name, evaluator)?;
        values.sort_by(|left, right| codec::compare(&column.cql_type, left, right));
        values.dedup();
        let values: Vec<Vec<Bytes>> = values.into_iter().map(|value| vec![value]).collect();
        keys = product(&keys, &values, PARTITIONS_PER_STATEMENT_MAX)?;
    }
    let mut decorated = Vec::with_capacity(keys.len());
    for components in &keys {
        let key = partition_key(components)?;
        decorated.push(DecoratedKey { token: partitioner(&key.0), key });
    }
    Ok(decorated)
}

fn product(keys: &[Vec<Bytes>], values: &[Vec<Bytes>], limit: usize) -> Result<Vec<Vec<Bytes>>, RequestError> {
    if keys.len().saturating_mul(values.len()) > limit {
        return Err(RequestError::invalid(format!("IN restrictions name more than {limit} combinations of values")));
    }
    let mut all = Vec::with_capacity(keys.len() * values.len());
    for key in keys {
        for value in values {
            let mut longer = key.clone();
            longer.extend(value.iter().cloned());
            all.push(longer);
        }
    }
    Ok(all)
}

/// The serialised key.
pub(crate) fn partition_key(components: &[Bytes]) -> Result<PartitionKey, RequestError> {
    let too_long = |length: usize| {
        RequestError::invalid(format!("Key length of {length} is longer than maximum of {PARTITION_KEY_BYTES_MAX}"))
    };
    if let [single] = components {
        if single.is_empty() {
            return Err(RequestError::invalid("Key may not be empty"));
        }
        if single.len() > PARTITION_KEY_BYTES_MAX {
            return Err(too_long(single.len()));
        }
        return Ok(PartitionKey(single.clone()));
    }
    let length = components.iter().map(|component| component.len() + 3).sum();
    if length > PARTITION_KEY_BYTES_MAX {
        return Err(too_long(length));
    }
    let mut bytes = Vec::with_capacity(length);
    for component in components {
        bytes.extend_from_slice(&(component.len() as u16).to_be_bytes());
        bytes.extend_from_slice(component);
        bytes.push(0);
    }
    Ok(PartitionKey(bytes.into()))
}

/// The key's components again; `None` if it is not such a key.
pub(crate) fn partition_components(count: usize, key: &PartitionKey) -> Option<Vec<Bytes>> {
    if count == 1 {
        return Some(vec![key.0.clone()]);
    }
    let mut components = Vec::with_capacity(count);
    let mut rest = key.0.clone();
    while !rest.is_empty() {
        let length = usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?]));
        if rest.len() < length + 3 {
            return None;
        }
        components.push(rest.slice(2..2 + length));
        rest = rest.slice(length + 3..);
    }
    (components.len() == count).then_some(components)
}

/// The values of one step: for each choice, one value a column.
fn step_values(choice: &Choice, step: &Step, evaluator: &mut Evaluator<'_>) -> Result<Vec<Vec<Bytes>>, RequestError> {
    let values = choices(choice, &step.names, evaluator)?;
    values.into_iter().map(|value| step_components(value, step)).collect()
}

/// One value of a step, as one value a column; a tuple may have fewer.
fn step_components(value: Bytes, step: &Step) -> Result<Vec<Bytes>, RequestError> {
    if !step.is_tuple {
        return Ok(vec![value]);
    }
    tuple_components(&value, step.types.iter().map(|(cql_type, _)| cql_type.clone()).collect(), &step.names)
}

/// The values of a tuple, none of them null; there may be fewer than types. The columns' names stand with commas between them.
pub(crate) fn tuple_components(value: &Bytes, types: Vec<CqlType>, names: &str) -> Result<Vec<Bytes>, RequestError> {
    let parts = codec::split(&CqlType::Tuple(types), value).map_err(RequestError::invalid)?;
    let name_of = |index: usize| names.split(',').nth(index).unwrap_or(names);
    let null = |index| RequestError::invalid(format!("Invalid null value in condition for column {}", name_of(index)));
    if parts.is_empty() {
        return Err(null(0));
    }
    parts.into_iter().enumerate().map(|(index, part)| part.ok_or_else(|| null(index))).collect()
}

fn encode(prefix: &[u8], values: &[Bytes], types: &[(CqlType, bool)]) -> Result<Vec<u8>, RequestError> {
    let mut encoded = prefix.to_vec();
    for (value, (cql_type, descending)) in values.iter().zip(types) {
        if value.len() > CLUSTERING_BYTES_MAX {
            let message = format!("Key length of {} is longer than maximum of {CLUSTERING_BYTES_MAX}", value.len());
            return Err(RequestError::invalid(message));
        }
        codec::ordered(cql_type, *descending, value, &mut encoded).map_err(RequestError::invalid)?;
    }
    Ok(encoded)
}

/// The prefixes that the leading choices give, sorted and each once, and the slice that follows, if any.
fn prefixes<'a>(
    steps: &'a [Step],
    evaluator: &mut Evaluator<'_>,
) -> Result<(Vec<Vec<u8>>, Option<&'a Step>), RequestError> {
    let mut prefixes: Vec<Vec<u8>> = vec![Vec::new()];
    for step in steps {
        let StepKind::Choice(choice) = &step.kind else { return Ok((prefixes, Some(step))) };
        let values = step_values(choice, step, evaluator)?;
        if prefixes.len().saturating_mul(values.len()) > SLICES_PER_STATEMENT_MAX {
            let message = format!("IN restrictions name more than {SLICES_PER_STATEMENT_MAX} combinations of values");
            return Err(RequestError::invalid(message));
        }
        let mut longer = Vec::with_capacity(prefixes.len() * values.len());
        for prefix in &prefixes {
            for value in &values {
                longer.push(encode(prefix, value, &step.types)?);
            }
        }
        longer.sort();
        longer.dedup();
        prefixes = longer;
    }
    Ok((prefixes, None))
}

/// The exact rows that writes name.
pub(crate) fn clustering_keys(
    steps: &[Step],
    evaluator: &mut Evaluator<'_>,
) -> Result<Vec<ClusteringKey>, RequestError> {
    let (prefixes, _) = prefixes(steps, evaluator)?;
    Ok(prefixes.into_iter().map(|prefix| ClusteringKey(prefix.into())).collect())
}

/// The slices of rows that the steps restrict, disjoint and ascending.
pub(crate) fn slices(steps: &[Step], evaluator: &mut Evaluator<'_>) -> Result<Vec<Slice>, RequestError> {
    let (prefixes, last) = prefixes(steps, evaluator)?;
    let mut bounds = (None, None);
    if let Some(step) = last
        && let StepKind::Slice { lower, upper } = &step.kind
    {
        bounds.0 = bound_values(lower.as_ref(), step, evaluator)?;
        bounds.1 = bound_values(upper.as_ref(), step, evaluator)?;
    }
    let mut slices = Vec::new();
    for prefix in &prefixes {
        let whole = vec![(Position::before(prefix), Position::after(prefix))];
        let Some(step) = last else {
            slices.extend(whole);
            continue;
        };
        let mut found = whole;
        for (bound, is_lower) in [(&bounds.0, true), (&bounds.1, false)] {
            if let Some((values, inclusive)) = bound {
                let side = bound_slices(prefix, values, *inclusive, is_lower, &step.types)?;
                found = intersect(&found, &side);
            }
        }
        slices.extend(found);
    }
    Ok(slices)
}

fn bound_values(
    bound: Option<&(Expr, bool)>,
    step: &Step,
    evaluator: &mut Evaluator<'_>,
) -> Result<Option<(Vec<Bytes>, bool)>, RequestError> {
    let Some((expr, inclusive)) = bound else { return Ok(None) };
    let value = required(expr, &step.names, evaluator)?;
    Ok(Some((step_components(value, step)?, *inclusive)))
}

/// The rows on one side of a bound. `(b, c) > (1, 2)` is `b > 1`, or `b = 1` and `c > 2`: one slice a column, because the
/// columns may be ordered in different directions.
fn bound_slices(
    prefix: &[u8],
    values: &[Bytes],
    inclusive: bool,
    is_lower: bool,
    types: &[(CqlType, bool)],
) -> Result<Vec<Slice>, RequestError> {
    let mut slices = Vec::new();
    let mut equal = prefix.to_vec();
    for (index, (value, (_, descending))) in values.iter().zip(types).enumerate() {
        let with = encode(&equal, std::slice::from_ref(value), types.get(index..).unwrap_or_default())?;
        // In a descending column greater values come first in bytes.
        let slice = if is_lower != *descending {
            (Position::after(&with), Position::after(&equal))
        } else {
            (Position::before(&equal), Position::before(&with))
        };
        slices.push(slice);
        equal = with;
    }
    if inclusive {
        slices.push((Position::before(&equal), Position::after(&equal)));
    }
    slices.retain(|(start, end)| start < end);
    slices.sort();
    Ok(slices)
}

fn intersect(left: &[Slice], right: &[Slice]) -> Vec<Slice> {
    let mut common: Vec<Slice> = Vec::new();
    for (start, end) in left {
        for (other_start, other_end) in right {
            let slice = (start.max(other_start).clone(), end.min(other_end).clone());
            if slice.0 < slice.1 {
                common.push(slice);
            }
        }
    }
    common.sort();
    // Slices that touch are one.
    let mut joined: Vec<Slice> = Vec::with_capacity(common.len());
    for slice in common {
        match joined.last_mut() {
            Some(last) if last.1 >= slice.0 => last.1 = last.1.clone().max(slice.1),
            _ => joined.push(slice),
        }
    }
    joined
}

/// The tokens of a `token()` restriction as `after < token <= last`; `None` if no token lies between.
pub(crate) fn token_range(
    lower: Option<&(Expr, bool)>,
    upper: Option<&(Expr, bool)>,
    evaluator: &mut Evaluator<'_>,
) -> Result<Option<(Option<Token>, Token)>, RequestError> {
    let mut value = |bound: Option<&(Expr, bool)>| -> Result<Option<(i64, bool)>, RequestError> {
        let Some((expr, inclusive)) = bound else { return Ok(None) };
        let bytes = required(expr, "partition key token", evaluator)?;
        let number: [u8; 8] = bytes
            .as_ref()
            .try_into()
            .map_err(|_| RequestError::invalid("Invalid empty value for partition key token"))?;
        Ok(Some((i64::from_be_bytes(number), *inclusive)))
    };
    let after = match value(lower)? {
        None | Some((i64::MIN, _)) => None,
        Some((token, true)) => Some(Token(token - 1)),
        Some((token, false)) => Some(Token(token)),
    };
    let last = match value(upper)? {
        None => Token::MAX,
        Some((token, true)) => Token(token),
        // Nothing hashes below the smallest token.
        Some((i64::MIN, false)) => return Ok(None),
        Some((token, false)) => Token(token - 1),
    };
    // The ring's smallest position as an upper bound is the ring's end in Cassandra's ranges, but a number here.
    let empty = after.is_some_and(|after| after >= last);
    Ok((!empty).then_some((after, last)))
}
