//! Binary encodings ([`Wire`]) of all words that are logged, stored or sent.

pub(crate) mod encoded;
mod index;
mod partition;
mod read;
mod request;
mod schema;

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::cell::Deletion;
use crate::ids::{ClusterId, ColumnId, Epoch, NodeId, TableId};
use crate::key::{ClusteringKey, DecoratedKey, PartitionKey, Position, Token, TokenRange};
use crate::limits;
use crate::row::Liveness;
use crate::time::{Seconds, Timestamp, Ttl};
use crate::wire::{Reader, Wire, WireError, Writer};

macro_rules! wire_id {
    ($($name:ident),*) => {$(
        impl Wire for $name {
            fn encode(&self, out: &mut Writer) {
                out.raw(&self.0);
            }
            fn decode(input: &mut Reader) -> Result<Self, WireError> {
                Ok(Self(input.id(stringify!($name))?))
            }
        }
    )*};
}
wire_id!(NodeId, ClusterId, TableId);

impl Wire for Epoch {
    fn encode(&self, out: &mut Writer) {
        out.varint(self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self(input.varint("epoch")?))
    }
}

impl Wire for ColumnId {
    fn encode(&self, out: &mut Writer) {
        out.varint(u64::from(self.0));
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        u32_varint(input, "column id").map(Self)
    }
}

impl Wire for Token {
    fn encode(&self, out: &mut Writer) {
        out.i64(self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self(input.i64("token")?))
    }
}

impl Wire for TokenRange {
    fn encode(&self, out: &mut Writer) {
        self.start.encode(out);
        self.end.encode(out);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { start: Token::decode(input)?, end: Token::decode(input)? })
    }
}

impl Wire for Timestamp {
    fn encode(&self, out: &mut Writer) {
        out.signed(self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self(input.signed("timestamp")?))
    }
}

impl Wire for Seconds {
    fn encode(&self, out: &mut Writer) {
        out.signed(self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self(input.signed("seconds")?))
    }
}

impl Wire for Ttl {
    fn encode(&self, out: &mut Writer) {
        out.varint(u64::from(self.0));
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        u32_varint(input, "time to live").map(Self)
    }
}

impl Wire for PartitionKey {
    fn encode(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let key = input.bytes("partition key")?;
        if key.len() > limits::PARTITION_KEY_BYTES_MAX {
            return Err(input.error("partition key", "longer than 65535 bytes"));
        }
        Ok(Self(key))
    }
}

impl Wire for DecoratedKey {
    fn encode(&self, out: &mut Writer) {
        self.token.encode(out);
        self.key.encode(out);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { token: Token::decode(input)?, key: PartitionKey::decode(input)? })
    }
}

/// Encoded clustering keys and positions: every component may double its bytes by escaping.
fn clustering_bytes(input: &mut Reader, what: &'static str) -> Result<Bytes, WireError> {
    let bytes = input.bytes(what)?;
    if bytes.len() > limits::CLUSTERING_KEY_BYTES_MAX {
        return Err(input.error(what, "longer than a clustering key can be"));
    }
    Ok(bytes)
}

impl Wire for ClusteringKey {
    fn encode(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        clustering_bytes(input, "clustering key").map(Self)
    }
}

impl Wire for Position {
    fn encode(&self, out: &mut Writer) {
        out.bytes(&self.0);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        clustering_bytes(input, "position").map(Self)
    }
}

impl Wire for Deletion {
    fn encode(&self, out: &mut Writer) {
        self.timestamp.encode(out);
        self.deleted_at.encode(out);
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        Ok(Self { timestamp: Timestamp::decode(input)?, deleted_at: Seconds::decode(input)? })
    }
}

impl Wire for Liveness {
    fn encode(&self, out: &mut Writer) {
        self.timestamp.encode(out);
        encode_option(self.expiry.as_ref(), out, |(at, ttl), out| {
            at.encode(out);
            ttl.encode(out);
        });
    }
    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let timestamp = Timestamp::decode(input)?;
        let expiry = decode_option(input, "liveness", |input| Ok((Seconds::decode(input)?, Ttl::decode(input)?)))?;
        Ok(Self { timestamp, expiry })
    }
}

/// A flag, and the value if there is one.
pub(crate) fn encode_option<T>(value: Option<&T>, out: &mut Writer, encode: impl FnOnce(&T, &mut Writer)) {
    out.bool(value.is_some());
    if let Some(value) = value {
        encode(value, out);
    }
}

pub(crate) fn decode_option<T>(
    input: &mut Reader,
    what: &'static str,
    decode: impl FnOnce(&mut Reader) -> Result<T, WireError>,
) -> Result<Option<T>, WireError> {
    if input.bool(what)? { decode(input).map(Some) } else { Ok(None) }
}

pub(crate) fn u32_varint(input: &mut Reader, what: &'static str) -> Result<u32, WireError> {
    let value = input.varint(what)?;
    u32::try_from(value).map_err(|_| input.error(what, "a number over 32 bits"))
}

/// A count and the items.
pub(crate) fn encode_items<'a, T: 'a>(
    items: impl ExactSizeIterator<Item = &'a T>,
    out: &mut Writer,
    mut encode: impl FnMut(&T, &mut Writer),
) {
    out.varint(items.len() as u64);
    items.for_each(|item| encode(item, out));
}

/// A count and the items, each at least `item_size_min` bytes long.
pub(crate) fn decode_items<T>(
    input: &mut Reader,
    item_size_min: usize,
    what: &'static str,
    mut decode: impl FnMut(&mut Reader) -> Result<T, WireError>,
) -> Result<Vec<T>, WireError> {
    let count = input.count(item_size_min, what)?;
    // An item in memory may be far larger than its least encoding: the vector grows as items prove to be there.
    let mut items = Vec::with_capacity(count.min(64));
    for _ in 0..count {
        items.push(decode(input)?);
    }
    Ok(items)
}

/// A map from strings, in order of its keys.
pub(crate) fn encode_map<V>(map: &BTreeMap<String, V>, out: &mut Writer, mut encode: impl FnMut(&V, &mut Writer)) {
    out.varint(map.len() as u64);
    for (key, value) in map {
        out.string(key);
        encode(value, out);
    }
}

/// A map from strings; keys that are not ascending and unique are an error.
pub(crate) fn decode_map<V>(
    input: &mut Reader,
    what: &'static str,
    mut decode: impl FnMut(&mut Reader) -> Result<V, WireError>,
) -> Result<BTreeMap<String, V>, WireError> {
    let count = input.count(1, what)?;
    let mut map = BTreeMap::new();
    for _ in 0..count {
        let key = input.string(what)?;
        if map.last_key_value().is_some_and(|(last, _)| *last >= key) {
            return Err(input.error(what, "keys out of order"));
        }
        let value = decode(input)?;
        map.insert(key, value);
    }
    Ok(map)
}
