//! Cassandra's variable-length integers: as many leading one bits as bytes follow, big-endian.

/// Appends an unsigned number.
pub(crate) fn write_unsigned(value: u64, out: &mut Vec<u8>) {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    // n extra bytes carry 7 + 7n bits, except that 8 extra bytes carry all 64.
    let extra = ((bits - 1) / 7).min(8);
    let bytes = value.to_be_bytes();
    if extra == 8 {
        out.push(0xff);
        out.extend_from_slice(&bytes);
        return;
    }
    let mask = !(0xffu8 >> extra);
    out.push(bytes[7 - extra] | mask);
    out.extend_from_slice(&bytes[8 - extra..]);
}

/// Appends a signed number, zigzag.
pub(crate) fn write_signed(value: i64, out: &mut Vec<u8>) {
    write_unsigned(((value << 1) ^ (value >> 63)) as u64, out);
}

/// Reads an unsigned number; `None` if the input ends too early.
pub(crate) fn read_unsigned(input: &mut &[u8]) -> Option<u64> {
    let (first, rest) = input.split_first()?;
    let extra = first.leading_ones() as usize;
    let tail = rest.get(..extra)?;
    let head = u64::from(if extra == 8 { 0 } else { first & (0xff >> extra) });
    *input = rest.get(extra..)?;
    Some(tail.iter().fold(head, |value, byte| (value << 8) | u64::from(*byte)))
}

/// Reads a signed number.
pub(crate) fn read_signed(input: &mut &[u8]) -> Option<i64> {
    let value = read_unsigned(input)?;
    Some(((value >> 1) as i64) ^ -((value & 1) as i64))
}
