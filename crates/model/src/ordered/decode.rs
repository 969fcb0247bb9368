//! Byte-comparable encodings to CQL ones.

use bytes::Bytes;
use num_bigint::{BigInt, BigUint, Sign};

use super::{EMPTY, END, NEGATIVE, NULL, POSITIVE, VALUE, ZERO};
use crate::limits;
use crate::types::CqlType;
use crate::value::decode::fixed_length;
use crate::value::{ValueError, number, vint};

/// Reads one component from the input's start and moves past it; gives the value in its CQL encoding.
pub fn decode_component(cql_type: &CqlType, descending: bool, input: &mut &[u8]) -> Result<Option<Bytes>, ValueError> {
    let inverted = if descending { 0xff } else { 0 };
    let mut source = Source { input, inverted, decimals: 0, scales: None };
    let mut value = decode_at(cql_type, &mut source, limits::TYPE_DEPTH_MAX)?;
    if source.decimals > 0 {
        // The scales stand behind all else: now that their place is known, the value is read once more with them.
        let mut scales = Vec::with_capacity(source.decimals.min(64));
        for _ in 0..source.decimals {
            scales.push(source.scale().ok_or_else(|| bad(cql_type))?);
        }
        let mut again = Source { input, inverted, decimals: 0, scales: Some(scales.into_iter()) };
        value = decode_at(cql_type, &mut again, limits::TYPE_DEPTH_MAX)?;
    }
    *input = source.input;
    Ok(value.map(Bytes::from))
}

/// [`decode_component`] that appends the value to `out`; false if it is null. After an error `out` may have grown.
#[inline]
pub fn decode_component_into(
    cql_type: &CqlType,
    descending: bool,
    input: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<bool, ValueError> {
    let inverted = if descending { 0xff } else { 0 };
    if let Some((marker, rest)) = input.split_first()
        && marker ^ inverted == VALUE
    {
        // Usual types need no memory of their own.
        let (length, is_signed) = match cql_type {
            CqlType::Boolean => (1, false),
            CqlType::TinyInt => (1, true),
            CqlType::SmallInt => (2, true),
            CqlType::Int => (4, true),
            CqlType::BigInt | CqlType::Counter | CqlType::Timestamp => (8, true),
            CqlType::Time => (8, false),
            CqlType::Date => (4, false),
            CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Inet | CqlType::Duration => {
                *input = unescape(rest, inverted, out).ok_or_else(|| bad(cql_type))?;
                return Ok(true);
            }
            _ => (0, false),
        };
        if length > 0 {
            let (body, rest) = rest.split_at_checked(length).ok_or_else(|| bad(cql_type))?;
            let start = out.len();
            out.extend(body.iter().map(|byte| byte ^ inverted));
            if is_signed && let Some(first) = out.get_mut(start) {
                *first ^= 0x80;
            }
            *input = rest;
            return Ok(true);
        }
    }
    let value = decode_component(cql_type, descending, input)?;
    if let Some(value) = &value {
        out.extend_from_slice(value);
    }
    Ok(value.is_some())
}

/// Appends bytes in which zeros are escaped; gives what follows their end.
fn unescape<'a>(mut input: &'a [u8], inverted: u8, out: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let end = input.iter().position(|byte| *byte == inverted)?;
        let (plain, rest) = input.split_at_checked(end)?;
        match inverted {
            0 => out.extend_from_slice(plain),
            _ => out.extend(plain.iter().map(|byte| byte ^ inverted)),
        }
        let (_, rest) = rest.split_first()?;
        let (escaped, rest) = rest.split_first()?;
        input = rest;
        match escaped ^ inverted {
            0 => return Some(input),
            1 => out.push(0),
            _ => return None,
        }
    }
}

/// The input, with every byte inverted if the component descends.
struct Source<'a> {
    input: &'a [u8],
    inverted: u8,
    /// Decimals read so far.
    decimals: usize,
    /// Their scales; without them decimals are only skipped.
    scales: Option<std::vec::IntoIter<i32>>,
}

impl Source<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.input.split_first()?;
        self.input = rest;
        Some(first ^ self.inverted)
    }

    fn peek(&self) -> Option<u8> {
        self.input.first().map(|byte| byte ^ self.inverted)
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let (head, rest) = self.input.split_at_checked(length)?;
        self.input = rest;
        Some(head.iter().map(|byte| byte ^ self.inverted).collect())
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.input.split_first_chunk::<N>()?;
        self.input = rest;
        Some(head.map(|byte| byte ^ self.inverted))
    }

    fn scale(&mut self) -> Option<i32> {
        if self.byte()? != VALUE {
            return None;
        }
        Some((u32::from_be_bytes(self.array()?) ^ (1 << 31)) as i32)
    }

    fn escaped(&mut self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.byte()? {
                0 => match self.byte()? {
                    0 => return Some(out),
                    1 => out.push(0),
                    _ => return None,
                },
                byte => out.push(byte),
            }
        }
    }
}

fn decode_at(cql_type: &CqlType, source: &mut Source, depth_left: usize) -> Result<Option<Vec<u8>>, ValueError> {
    let Some(depth_left) = depth_left.checked_sub(1) else {
        return Err(ValueError::TooDeep { max: limits::TYPE_DEPTH_MAX });
    };
    match source.byte() {
        Some(NULL) => return Ok(None),
        Some(EMPTY) => return Ok(Some(Vec::new())),
        Some(VALUE) => {}
        _ => return Err(bad(cql_type)),
    }
    let value = match cql_type {
        CqlType::List(element, _) | CqlType::Set(element, _) => {
            decode_elements(cql_type, &[element], source, depth_left)?
        }
        CqlType::Map(key, item, _) => decode_elements(cql_type, &[key, item], source, depth_left)?,
        CqlType::Tuple(fields) => decode_fields(fields.iter(), source, depth_left)?,
        CqlType::UserDefined { fields, .. } => {
            decode_fields(fields.iter().map(|(_, field)| field), source, depth_left)?
        }
        CqlType::Vector(element, dimension) => {
            let mut out = Vec::new();
            for _ in 0..*dimension {
                let item = decode_at(element, source, depth_left)?.ok_or_else(|| bad(cql_type))?;
                if fixed_length(element).is_none() {
                    vint::write_unsigned(item.len() as u64, &mut out);
                }
                out.extend_from_slice(&item);
            }
            out
        }
        _ => decode_native(cql_type, source).ok_or_else(|| bad(cql_type))?,
    };
    Ok(Some(value))
}

fn bad(cql_type: &CqlType) -> ValueError {
    ValueError::malformed(cql_type, format!("not a byte-comparable encoding of {cql_type}"))
}

fn push_part(part: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(part.len() as i32).to_be_bytes());
    out.extend_from_slice(part);
}

fn decode_elements(
    cql_type: &CqlType,
    types: &[&CqlType],
    source: &mut Source,
    depth_left: usize,
) -> Result<Vec<u8>, ValueError> {
    let mut count = 0i32;
    let mut out = vec![0; 4];
    while source.peek().ok_or_else(|| bad(cql_type))? != END {
        for element in types {
            let part = decode_at(element, source, depth_left)?.ok_or_else(|| bad(cql_type))?;
            push_part(&part, &mut out);
        }
        count += 1;
    }
    source.byte();
    if let Some(head) = out.first_chunk_mut::<4>() {
        *head = count.to_be_bytes();
    }
    Ok(out)
}

fn decode_fields<'a>(
    fields: impl Iterator<Item = &'a CqlType>,
    source: &mut Source,
    depth_left: usize,
) -> Result<Vec<u8>, ValueError> {
    let mut out = Vec::new();
    for field in fields {
        match decode_at(field, source, depth_left)? {
            Some(part) => push_part(&part, &mut out),
            None => out.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    Ok(out)
}

fn decode_native(cql_type: &CqlType, source: &mut Source) -> Option<Vec<u8>> {
    Some(match cql_type {
        CqlType::Ascii | CqlType::Text | CqlType::Blob | CqlType::Inet | CqlType::Duration => source.escaped()?,
        CqlType::Boolean => source.take(1)?,
        CqlType::TinyInt => vec![source.byte()? ^ 0x80],
        CqlType::SmallInt => signed(source.take(2)?)?,
        CqlType::Int => signed(source.take(4)?)?,
        CqlType::BigInt | CqlType::Counter | CqlType::Timestamp => signed(source.take(8)?)?,
        CqlType::Time => source.take(8)?,
        CqlType::Date => source.take(4)?,
        CqlType::Float => number::unsortable_f32(u32::from_be_bytes(source.array()?)).to_be_bytes().to_vec(),
        CqlType::Double => number::unsortable_f64(u64::from_be_bytes(source.array()?)).to_be_bytes().to_vec(),
        CqlType::Uuid => number::unsortable_uuid(source.array()?)?.to_vec(),
        CqlType::TimeUuid => number::unsortable_timeuuid(source.array()?).to_vec(),
        CqlType::Varint => decode_varint(source)?.to_signed_bytes_be(),
        CqlType::Decimal => decode_decimal(source)?,
        _ => return None,
    })
}

/// Turns the sign bit back.
fn signed(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    *bytes.first_mut()? ^= 0x80;
    Some(bytes)
}

fn sign(byte: u8) -> Option<Sign> {
    match byte {
        NEGATIVE => Some(Sign::Minus),
        ZERO => Some(Sign::NoSign),
        POSITIVE => Some(Sign::Plus),
        _ => None,
    }
}

fn decode_varint(source: &mut Source) -> Option<BigInt> {
    let sign = sign(source.byte()?)?;
    if sign == Sign::NoSign {
        return Some(BigInt::ZERO);
    }
    let flip = if sign == Sign::Minus { 0xff } else { 0 };
    let length = match source.byte()? ^ flip {
        0xff => u32::from_be_bytes(source.array::<4>()?.map(|byte| byte ^ flip)) as usize,
        length => usize::from(length),
    };
    let magnitude: Vec<u8> = source.take(length)?.into_iter().map(|byte| byte ^ flip).collect();
    Some(BigInt::from_biguint(sign, BigUint::from_bytes_be(&magnitude)))
}

fn decode_decimal(source: &mut Source) -> Option<Vec<u8>> {
    let sign = sign(source.byte()?)?;
    let flip = if sign == Sign::Minus { 0xff } else { 0 };
    let mut digits = Vec::new();
    let mut exponent = 0;
    if sign != Sign::NoSign {
        exponent = (u64::from_be_bytes(source.array::<8>()?.map(|byte| byte ^ flip)) ^ (1 << 63)) as i64;
        loop {
            match source.byte()? ^ flip {
                0 => break,
                digit if digit.is_ascii_digit() => digits.push(digit),
                _ => return None,
            }
        }
    }
    source.decimals += 1;
    let Some(scales) = &mut source.scales else { return Some(Vec::new()) };
    let scale = scales.next()?;
    let unscaled = if digits.is_empty() {
        BigInt::ZERO
    } else {
        let zeros = exponent.checked_add(i64::from(scale))?.checked_sub(i64::try_from(digits.len()).ok()?)?;
        if !(0..=limits::DECIMAL_KEY_ZEROS_MAX).contains(&zeros) {
            return None;
        }
        digits.resize(digits.len() + zeros as usize, b'0');
        BigInt::from_biguint(sign, BigUint::parse_bytes(&digits, 10)?)
    };
    let mut out = scale.to_be_bytes().to_vec();
    out.extend_from_slice(&unscaled.to_signed_bytes_be());
    Some(out)
}
