//! The rows of a hidden table.
//!
//! ```text
//! partition        the term; its token is the term's beginning
//! row              0x40 | u64 token, sign turned | base key, 0x00 as 0x00 0xff | 0x00 0x01 | base clustering key
//! content          a row marker: when the term was given, and until when
//! ```
//!
//! So a term's entries are in the order of the base table's partitions and rows, and a page may begin anywhere.

use bytes::Bytes;
use quorate_model::{
    ClusteringKey, DecoratedKey, IndexEntry, Liveness, Partition, PartitionKey, Position, Resume, Row, Token,
};

const BEGIN: u8 = 0x40;
const TOKEN_END: usize = 1 + size_of::<u64>();
/// Ends a key: less than what an escaped zero goes on with.
const KEY_END: [u8; 2] = [0x00, 0x01];
const ESCAPED_ZERO: [u8; 2] = [0x00, 0xff];

/// What stands before the base clustering key.
fn prefix(key: &DecoratedKey) -> Vec<u8> {
    let mut out = before_token(key.token);
    for byte in key.key.0.iter() {
        match byte {
            0 => out.extend(ESCAPED_ZERO),
            byte => out.push(*byte),
        }
    }
    out.extend(KEY_END);
    out
}

fn before_token(token: Token) -> Vec<u8> {
    let mut out = vec![BEGIN];
    out.extend(((token.0 as u64) ^ (1 << 63)).to_be_bytes());
    out
}

/// The place before all entries of tokens after this one.
pub(crate) fn after_token(token: Token) -> Position {
    match token.0.checked_add(1) {
        Some(next) => Position(before_token(Token(next)).into()),
        None => Position(Bytes::from_static(&[BEGIN + 1])),
    }
}

/// Where a search goes on that stopped there.
pub(crate) fn resumed(resume: &Resume, whole_partitions: bool) -> Position {
    let mut bytes = prefix(&resume.key);
    match &resume.position {
        None => bytes.push(0xff),
        // The one entry of the partition, whose rows go on.
        Some(_) if whole_partitions => {}
        Some(position) => bytes.extend_from_slice(&position.0),
    }
    Position(bytes.into())
}

/// The slices of a term's partition with the entries of one base partition, or of its rows within slices.
pub(crate) fn slices_of(
    key: &DecoratedKey,
    slices: &[(Position, Position)],
    whole_partitions: bool,
) -> Vec<(Position, Position)> {
    let prefix = prefix(key);
    if whole_partitions {
        return vec![(Position::before(&prefix), Position::after(&prefix))];
    }
    let within = |position: &Position| Position([&prefix[..], &position.0[..]].concat().into());
    slices.iter().map(|(start, end)| (within(start), within(end))).collect()
}

/// The key of an entry's row.
pub(crate) fn row_key(key: &DecoratedKey, entry: &IndexEntry) -> ClusteringKey {
    let mut bytes = prefix(key);
    if let Some(row) = &entry.row {
        bytes.extend_from_slice(&row.0);
    }
    ClusteringKey(bytes.into())
}

/// The change of the term's partition that an entry makes.
pub(crate) fn update(key: &DecoratedKey, entry: &IndexEntry, expires: bool) -> Partition {
    let liveness = Liveness { timestamp: entry.timestamp, expiry: entry.expiry.filter(|_| expires) };
    let row = Row { liveness: Some(liveness), ..Row::default() };
    let mut update = Partition::default();
    update.rows.insert(row_key(key, entry), row);
    update
}

/// The base key and clustering key of an entry's row; `None` if it is no such row.
pub(crate) fn decode(row: &ClusteringKey) -> Option<(DecoratedKey, ClusteringKey)> {
    let token: [u8; 8] = row.0.get(1..TOKEN_END)?.try_into().ok()?;
    let token = Token((u64::from_be_bytes(token) ^ (1 << 63)) as i64);
    let mut key = Vec::new();
    let mut place = TOKEN_END;
    loop {
        match row.0.get(place)? {
            0 if row.0.get(place + 1) == Some(&0xff) => {
                key.push(0);
                place += 2;
            }
            0 => break,
            byte => {
                key.push(*byte);
                place += 1;
            }
        }
    }
    let clustering = ClusteringKey(row.0.slice((place + KEY_END.len()).min(row.0.len())..));
    Some((DecoratedKey { token, key: PartitionKey(key.into()) }, clustering))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::Timestamp;

    fn key(token: i64, bytes: &'static [u8]) -> DecoratedKey {
        DecoratedKey { token: Token(token), key: PartitionKey(Bytes::from_static(bytes)) }
    }

    #[test]
    fn entries_come_in_the_order_of_rows_and_go_back_to_them() {
        let keys =
            [key(i64::MIN + 1, b"b"), key(-1, b"a"), key(0, b"\0"), key(0, b"\0\0"), key(0, b"\0a"), key(0, b"a")];
        let last = [key(i64::MAX, b""), key(i64::MAX, b"\xff\xff")];
        let mut previous: Option<ClusteringKey> = None;
        for key in keys.iter().chain(&last) {
            for row in [&b""[..], b"\x01", b"\x01\0", b"\xf0"] {
                let row = ClusteringKey(Bytes::copy_from_slice(row));
                let entry =
                    IndexEntry { term: Bytes::new(), row: Some(row.clone()), timestamp: Timestamp(1), expiry: None };
                let found = row_key(key, &entry);
                assert_eq!(decode(&found), Some((key.clone(), row.clone())));
                assert!(previous.as_ref().is_none_or(|previous| *previous < found), "{key:?} {row:?}");
                assert!(found.0 < after_token(key.token).0 && found.0 < Position::END.0);
                assert!(Token(key.token.0 - 1).0 > key.token.0 || found.0 >= after_token(Token(key.token.0 - 1)).0);
                let slices = slices_of(key, &[(Position::before(&row.0), Position::after(&row.0))], false);
                assert!(slices[0].0.0 <= found.0 && found.0 < slices[0].1.0);
                previous = Some(found);
            }
        }
    }
}
