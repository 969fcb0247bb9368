//! Index blocks: for each block of the level below, its first place and its address. The root has the same form.
//!
//! ```text
//! entry   i64  token · bytes key · u8 0 | 1 + bytes clustering key · varint offset · varint length
//! ```
//!
//! A place without a clustering key is a partition's head; it comes before all its rows.

use std::cmp::Ordering;

use bytes::Bytes;
use quorate_model::wire::{Reader, WireError, Writer};

use super::format::Address;

/// A place in an SSTable: a partition's head (`row` is `None`) or a row of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place<'a> {
    pub(crate) token: i64,
    pub(crate) key: &'a [u8],
    pub(crate) row: Option<&'a [u8]>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexEntry {
    pub(crate) token: i64,
    pub(crate) key: Bytes,
    pub(crate) row: Option<Bytes>,
    pub(crate) address: Address,
}

impl IndexEntry {
    pub(crate) fn place(&self) -> Place<'_> {
        Place { token: self.token, key: &self.key, row: self.row.as_deref() }
    }

    pub(crate) fn encode(&self, out: &mut Writer) {
        out.i64(self.token);
        out.bytes(&self.key);
        out.bool(self.row.is_some());
        if let Some(row) = &self.row {
            out.bytes(row);
        }
        out.varint(self.address.offset);
        out.varint(u64::from(self.address.len));
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let token = input.i64("token")?;
        let key = input.bytes("key")?;
        let row = if input.bool("row flag")? { Some(input.bytes("clustering key")?) } else { None };
        let offset = input.varint("offset")?;
        let len = u32::try_from(input.varint("length")?).map_err(|_| input.error("length", "over 32 bits"))?;
        Ok(Self { token, key, row, address: Address { offset, len } })
    }

    fn memory_size(&self) -> usize {
        size_of::<Self>() + self.key.len() + self.row.as_ref().map_or(0, Bytes::len)
    }
}

/// A parsed index block.
#[derive(Debug)]
pub(crate) struct IndexBlock {
    pub(crate) entries: Vec<IndexEntry>,
}

impl IndexBlock {
    /// Reads a payload; entries must be in strictly ascending order.
    pub(crate) fn parse(payload: Bytes) -> Result<Self, WireError> {
        let mut input = Reader::new(payload);
        let mut entries: Vec<IndexEntry> = Vec::new();
        while input.remaining() > 0 {
            let entry = IndexEntry::decode(&mut input)?;
            if entries.last().is_some_and(|last| last.place().cmp(&entry.place()) != Ordering::Less) {
                return Err(input.error("index entry", "out of order"));
            }
            entries.push(entry);
        }
        Ok(Self { entries })
    }

    /// The last entry whose place is not after the wanted one.
    pub(crate) fn locate(&self, wanted: Place<'_>) -> Option<usize> {
        self.entries.partition_point(|entry| entry.place() <= wanted).checked_sub(1)
    }

    /// Bytes in memory.
    pub(crate) fn memory_size(&self) -> usize {
        self.entries.iter().map(IndexEntry::memory_size).sum()
    }
}
