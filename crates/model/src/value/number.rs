//! Numbers and UUIDs in forms whose bytes sort as the values do.

use num_bigint::BigInt;

/// Java's order of floats: -0 before 0, NaN after all.
pub(crate) fn sortable_f32(value: f32) -> u32 {
    let bits = if value.is_nan() { 0x7fc0_0000 } else { value.to_bits() };
    if bits >> 31 == 0 { bits | (1 << 31) } else { !bits }
}

/// The float of a sortable form.
pub(crate) fn unsortable_f32(bits: u32) -> f32 {
    f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })
}

/// Java's order of doubles: -0 before 0, NaN after all.
pub(crate) fn sortable_f64(value: f64) -> u64 {
    let bits = if value.is_nan() { 0x7ff8_0000_0000_0000 } else { value.to_bits() };
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// The double of a sortable form.
pub(crate) fn unsortable_f64(bits: u64) -> f64 {
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

fn most_significant(uuid: &[u8; 16]) -> u64 {
    uuid[..8].iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

/// A version-1 UUID's first half with the time's highest bits first.
fn time_first(most: u64) -> u64 {
    (most << 48) | ((most << 16) & 0xffff_0000_0000) | (most >> 32)
}

/// Undoes [`time_first`].
fn time_last(sortable: u64) -> u64 {
    (sortable << 32) | ((sortable >> 16) & 0xffff_0000) | (sortable >> 48)
}

/// Cassandra's order of UUIDs: by version, then (version 1) by time, then by bytes.
pub(crate) fn sortable_uuid(uuid: [u8; 16]) -> [u8; 17] {
    let version = uuid[6] >> 4;
    let most = most_significant(&uuid);
    let mut out = [0; 17];
    out[0] = version;
    out[1..9].copy_from_slice(&(if version == 1 { time_first(most) } else { most }).to_be_bytes());
    out[9..].copy_from_slice(&uuid[8..]);
    out
}

/// The UUID of a sortable form; `None` if it is none.
pub(crate) fn unsortable_uuid(sortable: [u8; 17]) -> Option<[u8; 16]> {
    let mut uuid = [0; 16];
    let most = sortable[1..9].iter().fold(0, |value, byte| (value << 8) | u64::from(*byte));
    let most: u64 = if sortable[0] == 1 { time_last(most) } else { most };
    uuid[..8].copy_from_slice(&most.to_be_bytes());
    uuid[8..].copy_from_slice(&sortable[9..]);
    (uuid[6] >> 4 == sortable[0]).then_some(uuid)
}

/// Cassandra's order of time UUIDs: by time, then by the other bytes as signed ones.
pub(crate) fn sortable_timeuuid(uuid: [u8; 16]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&time_first(most_significant(&uuid)).to_be_bytes());
    for (to, from) in out[8..].iter_mut().zip(&uuid[8..]) {
        *to = from ^ 0x80;
    }
    out
}

/// The UUID of a sortable form.
pub(crate) fn unsortable_timeuuid(sortable: [u8; 16]) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&time_last(most_significant(&sortable)).to_be_bytes());
    for (to, from) in out[8..].iter_mut().zip(&sortable[8..]) {
        *to = from ^ 0x80;
    }
    out
}

/// A decimal's magnitude as `0.digits * 10^exponent`, without zeros at the end: equal numbers have equal forms.
pub(crate) struct Digits {
    /// ASCII digits, the first and the last not zero; empty for zero.
    pub digits: Vec<u8>,
    /// The power of ten.
    pub exponent: i64,
}

impl Digits {
    pub(crate) fn of(unscaled: &BigInt, scale: i32) -> Self {
        let mut digits = unscaled.magnitude().to_str_radix(10).into_bytes();
        let exponent = digits.len() as i64 - i64::from(scale);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        Self { exponent: if digits.is_empty() { 0 } else { exponent }, digits }
    }
}
