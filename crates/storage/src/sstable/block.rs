//! Data blocks: fragments of partitions in (token, key) order.
//!
//! ```text
//! fragment   u32  length of what follows
//!            i64  token
//!            bytes  key (varint length first)
//!            u8   flags: 1 the partition begins here, 2 it ends here
//!            bytes  head: a `Partition` without rows (deletion, static row, range tombstones); empty unless it begins
//!            rows:  bytes clustering key · bytes `Row`, in clustering order, to the fragment's end
//! ```

use std::ops::Range;

use bytes::Bytes;
use quorate_model::wire::{Reader, WireError, Writer};
use quorate_model::{EncodedRow, split_row};

const BEGINS: u8 = 1;
const ENDS: u8 = 2;

/// One fragment: ranges into the block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fragment {
    pub(crate) token: i64,
    key: (u32, u32),
    head: (u32, u32),
    /// The numbers of its rows in the block, from the first to before the second.
    rows: (u32, u32),
    flags: u8,
}

impl Fragment {
    /// Whether the partition's head is in it.
    pub(crate) fn begins(&self) -> bool {
        self.flags & BEGINS != 0
    }

    /// Whether the partition's last row is in it.
    pub(crate) fn ends(&self) -> bool {
        self.flags & ENDS != 0
    }

    /// The numbers of its rows in the block.
    pub(crate) fn rows(&self) -> Range<usize> {
        self.rows.0 as usize..self.rows.1 as usize
    }
}

/// A parsed block. Rows stay encoded until they are asked for.
#[derive(Debug)]
pub(crate) struct DataBlock {
    raw: Bytes,
    fragments: Vec<Fragment>,
    /// Where each row begins.
    rows: Vec<u32>,
}

impl DataBlock {
    /// Reads a payload.
    pub(crate) fn parse(raw: Bytes) -> Result<Self, WireError> {
        let mut input = Reader::new(raw.clone());
        let (mut fragments, mut rows) = (Vec::new(), Vec::new());
        while input.remaining() > 0 {
            let len = input.u32("fragment length")? as usize;
            if len > input.remaining() {
                return Err(input.error("fragment", "longer than its block"));
            }
            let end = input.offset() + len;
            let token = input.i64("token")?;
            let key = span(&mut input, "key")?;
            let flags = input.u8("flags")?;
            let head = span(&mut input, "head")?;
            let Some(rows_len) = end.checked_sub(input.offset()) else {
                return Err(input.error("fragment", "longer than it says"));
            };
            let first = rows.len() as u32;
            let mut rest = raw.get(end - rows_len..end).unwrap_or_default();
            while !rest.is_empty() {
                rows.push((end - rest.len()) as u32);
                let Some((_, _, following)) = split_row(rest) else {
                    return Err(input.error("rows", "a row that is longer than its fragment"));
                };
                rest = following;
            }
            input.take(rows_len, "rows")?;
            fragments.push(Fragment { token, key, head, rows: (first, rows.len() as u32), flags });
        }
        rows.shrink_to_fit();
        Ok(Self { raw, fragments, rows })
    }

    /// All fragments.
    pub(crate) fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// A fragment's key.
    pub(crate) fn key(&self, fragment: &Fragment) -> &[u8] {
        &self.raw[fragment.key.0 as usize..][..fragment.key.1 as usize]
    }

    /// A fragment's encoded head.
    pub(crate) fn head(&self, fragment: &Fragment) -> Bytes {
        self.slice(fragment.head)
    }

    /// The row with this number, and its clustering key.
    pub(crate) fn row(&self, number: usize) -> Option<(&[u8], EncodedRow<'_>)> {
        let start = *self.rows.get(number)?;
        let (key, row, _) = split_row(self.raw.get(start as usize..)?)?;
        Some((key, row))
    }

    /// [`DataBlock::row`] as shares of the block.
    pub(crate) fn shared_row(&self, number: usize) -> Option<(Bytes, Bytes)> {
        let (key, row) = self.row(number)?;
        Some((self.raw.slice_ref(key), self.raw.slice_ref(row.0)))
    }

    /// The number of the fragment's first row that does not come before the place; one after its last if all do.
    pub(crate) fn seek(&self, fragment: &Fragment, place: &[u8]) -> usize {
        let Range { start, end } = fragment.rows();
        let rows = self.rows.get(start..end).unwrap_or_default();
        let is_before = |offset: &u32| {
            let row = self.raw.get(*offset as usize..).and_then(split_row);
            row.is_some_and(|(key, _, _)| key < place)
        };
        start + rows.partition_point(is_before)
    }

    /// The number of this partition's fragment, which may be the hint.
    pub(crate) fn find(&self, token: i64, key: &[u8], hint: usize) -> Option<usize> {
        let is_it = |fragment: &Fragment| fragment.token == token && self.key(fragment) == key;
        if self.fragments.get(hint).is_some_and(is_it) {
            return Some(hint);
        }
        let order = |fragment: &Fragment| fragment.token.cmp(&token).then_with(|| self.key(fragment).cmp(key));
        self.fragments.binary_search_by(order).ok()
    }

    /// The first fragment after this partition's.
    pub(crate) fn index_after(&self, token: i64, key: &[u8]) -> usize {
        self.fragments.partition_point(|fragment| (fragment.token, self.key(fragment)) <= (token, key))
    }

    /// Bytes in memory.
    pub(crate) fn memory_size(&self) -> usize {
        let rows = self.rows.len() * size_of::<u32>();
        self.raw.len() + self.fragments.len() * size_of::<Fragment>() + rows + size_of::<Self>()
    }

    fn slice(&self, (start, len): (u32, u32)) -> Bytes {
        self.raw.slice(start as usize..(start + len) as usize)
    }
}

/// The place of length-prefixed bytes, without taking a share of the buffer.
fn span(input: &mut Reader, what: &'static str) -> Result<(u32, u32), WireError> {
    let len = input.count(1, what)?;
    let start = input.offset();
    input.take(len, what)?;
    Ok((start as u32, len as u32))
}

/// Builds one fragment.
#[derive(Default)]
pub(crate) struct FragmentBuilder {
    rows: Writer,
    head: Bytes,
    begins: bool,
}

impl FragmentBuilder {
    /// The fragment begins its partition.
    pub(crate) fn begin(&mut self, head: Bytes) {
        self.head = head;
        self.begins = true;
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, clustering: &[u8], row: &[u8]) {
        self.rows.bytes(clustering);
        self.rows.bytes(row);
    }

    /// Bytes so far, about.
    pub(crate) fn len(&self) -> usize {
        self.rows.len() + self.head.len()
    }

    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        !self.begins && self.rows.is_empty()
    }

    /// Appends the fragment to a block and starts over.
    pub(crate) fn finish(&mut self, token: i64, key: &[u8], ends: bool, block: &mut Writer) {
        let mut prefix = Writer::default();
        prefix.i64(token);
        prefix.bytes(key);
        prefix.u8(u8::from(self.begins) * BEGINS + u8::from(ends) * ENDS);
        prefix.bytes(&self.head);
        block.u32((prefix.len() + self.rows.len()) as u32);
        block.raw(prefix.as_slice());
        block.raw(self.rows.as_slice());
        *self = Self::default();
    }
}
