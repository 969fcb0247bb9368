//! Rows looked at in place: in the layout of [`super::partition`], without taking anything out of it.
//!
//! Most reads want a few values of each row, of one source, with nothing to merge. Decoding a row costs it a vector, a share
//! of its buffer a value and a place in a map; looking at it in place costs a walk over its bytes.

use bytes::Bytes;

use super::partition::{
    KIND_COMPLEX, KIND_COMPLEX_DELETED, KIND_EXPIRING, KIND_LIVE, KIND_TOMBSTONE, ROW_COLUMNS, ROW_DELETION,
    ROW_EXPIRES, ROW_LIVENESS,
};
use crate::ids::ColumnId;
use crate::key::ClusteringKey;
use crate::row::Row;
use crate::time::{Seconds, Timestamp};
use crate::wire::{Wire, WireError};

/// A row in its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncodedRow<'a>(pub &'a [u8]);

/// What a read has to know of a row to count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowSummary {
    /// [`Row::is_live`].
    pub is_live: bool,
    /// [`Row::encoded_size_hint`].
    pub size_hint: usize,
    /// The smallest timestamp in it, of a write or a deletion, if it was asked for.
    pub timestamp_min: Option<Timestamp>,
}

/// A column's content that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveColumn<'a> {
    /// The value of its one cell.
    Simple(&'a [u8]),
    /// The encoding of a [`ColumnData::Complex`](crate::ColumnData::Complex), dead elements included.
    Complex(&'a [u8]),
}

impl<'a> EncodedRow<'a> {
    /// Looks at all of the row, and finds whatever is wrong with its structure.
    #[inline]
    pub fn summary(self, now: Seconds, wants_timestamp: bool) -> Result<RowSummary, WireError> {
        let mut found = Counted { now, oldest: wants_timestamp.then_some(i64::MAX), size_hint: 20, is_live: false };
        let mut input = Cursor::new(self.0);
        let flags = input.row_flags()?;
        if flags & ROW_LIVENESS != 0 {
            found.time(&mut input)?;
            found.is_live = flags & ROW_EXPIRES == 0 || {
                let expires_at = input.signed()?;
                input.skip_varint()?;
                now < Seconds(expires_at)
            };
        }
        if flags & ROW_DELETION != 0 {
            found.deletion(&mut input)?;
        }
        if flags & ROW_COLUMNS != 0 {
            for _ in 0..input.varint()? {
                input.skip_varint()?;
                found.column(&mut input)?;
            }
        }
        if !input.rest.is_empty() {
            return Err(input.error("bytes left over at the end"));
        }
        let timestamp_min = found.oldest.filter(|oldest| *oldest != i64::MAX).map(Timestamp);
        Ok(RowSummary { is_live: found.is_live, size_hint: found.size_hint, timestamp_min })
    }

    /// The columns in the order of their ids, each with what of it is alive at `now`. It ends after the first error.
    #[inline]
    pub fn columns(self, now: Seconds) -> Result<EncodedColumns<'a>, WireError> {
        let mut input = Cursor::new(self.0);
        let flags = input.row_flags()?;
        if flags & ROW_LIVENESS != 0 {
            input.skip_varint()?;
            if flags & ROW_EXPIRES != 0 {
                input.skip_varint()?;
                input.skip_varint()?;
            }
        }
        if flags & ROW_DELETION != 0 {
            input.skip_varint()?;
            input.skip_varint()?;
        }
        let left = if flags & ROW_COLUMNS != 0 { input.varint()? } else { 0 };
        Ok(EncodedColumns { input, left, next: 0, now })
    }

    /// The row itself; values are copies.
    pub fn decode(self) -> Result<Row, WireError> {
        Row::from_bytes(&Bytes::copy_from_slice(self.0))
    }
}

/// What a walk over a row has counted.
struct Counted {
    now: Seconds,
    /// The smallest timestamp so far, if it is wanted.
    oldest: Option<i64>,
    size_hint: usize,
    is_live: bool,
}

impl Counted {
    #[inline]
    fn time(&mut self, input: &mut Cursor<'_>) -> Result<(), WireError> {
        match &mut self.oldest {
            None => input.skip_varint(),
            Some(oldest) => {
                *oldest = input.signed()?.min(*oldest);
                Ok(())
            }
        }
    }

    #[inline]
    fn deletion(&mut self, input: &mut Cursor<'_>) -> Result<(), WireError> {
        self.time(input)?;
        input.skip_varint()
    }

    #[inline]
    fn column(&mut self, input: &mut Cursor<'_>) -> Result<(), WireError> {
        let kind = input.u8()?;
        match kind {
            KIND_COMPLEX => {}
            KIND_COMPLEX_DELETED => self.deletion(input)?,
            _ => return self.cell(kind, input),
        }
        self.size_hint += 20;
        for _ in 0..input.varint()? {
            self.size_hint += input.bytes()?.len();
            let kind = input.u8()?;
            self.cell(kind, input)?;
        }
        Ok(())
    }

    #[inline]
    fn cell(&mut self, kind: u8, input: &mut Cursor<'_>) -> Result<(), WireError> {
        let cell = input.cell(kind, |input| self.time(input))?;
        self.size_hint += cell.value.map_or(0, <[u8]>::len) + 14;
        self.is_live |= cell.live_value(self.now).is_some();
        Ok(())
    }
}

/// See [`EncodedRow::columns`].
#[derive(Clone, Debug)]
pub struct EncodedColumns<'a> {
    input: Cursor<'a>,
    left: u64,
    /// The id after the last column's.
    next: u64,
    now: Seconds,
}

impl<'a> EncodedColumns<'a> {
    #[inline]
    fn read(&mut self) -> Result<(ColumnId, Option<LiveColumn<'a>>), WireError> {
        let input = &mut self.input;
        let id = self.next.saturating_add(input.varint()?);
        self.next = id.saturating_add(1);
        let id = u32::try_from(id).map_err(|_| input.error("a column id over 32 bits"))?;
        let start = input.rest;
        let kind = input.u8()?;
        let column = match kind {
            KIND_COMPLEX | KIND_COMPLEX_DELETED => {
                if kind == KIND_COMPLEX_DELETED {
                    input.skip_varint()?;
                    input.skip_varint()?;
                }
                let mut is_live = false;
                for _ in 0..input.varint()? {
                    input.bytes()?;
                    let kind = input.u8()?;
                    is_live |= input.cell(kind, Cursor::skip_varint)?.live_value(self.now).is_some();
                }
                let whole = start.get(..start.len() - input.rest.len()).unwrap_or_default();
                is_live.then_some(LiveColumn::Complex(whole))
            }
            _ => input.cell(kind, Cursor::skip_varint)?.live_value(self.now).map(LiveColumn::Simple),
        };
        Ok((ColumnId(id), column))
    }
}

impl<'a> Iterator for EncodedColumns<'a> {
    /// `None` for a column of which nothing is alive.
    type Item = Result<(ColumnId, Option<LiveColumn<'a>>), WireError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let column = self.read();
        if column.is_err() {
            self.left = 0;
        }
        Some(column)
    }
}

struct EncodedCell<'a> {
    value: Option<&'a [u8]>,
    expires_at: Option<Seconds>,
}

impl<'a> EncodedCell<'a> {
    #[inline]
    fn live_value(&self, now: Seconds) -> Option<&'a [u8]> {
        self.value.filter(|_| self.expires_at.is_none_or(|expires_at| now < expires_at))
    }
}

/// Reads primitives of [`crate::wire`] from borrowed bytes.
#[derive(Clone, Copy, Debug)]
struct Cursor<'a> {
    rest: &'a [u8],
    length: usize,
}

const ENDS_EARLY: &str = "ends too early";

impl<'a> Cursor<'a> {
    #[inline]
    fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, length: bytes.len() }
    }

    fn error(&self, problem: &'static str) -> WireError {
        WireError { what: "row", offset: self.length - self.rest.len(), problem }
    }

    #[inline]
    fn u8(&mut self) -> Result<u8, WireError> {
        let Some((first, rest)) = self.rest.split_first() else { return Err(self.error(ENDS_EARLY)) };
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    fn row_flags(&mut self) -> Result<u8, WireError> {
        let flags = self.u8()?;
        if flags > 15 || flags == 0 || flags & (ROW_LIVENESS | ROW_EXPIRES) == ROW_EXPIRES {
            return Err(self.error("impossible flags"));
        }
        Ok(flags)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireError> {
        if let Some((first, rest)) = self.rest.split_first()
            && *first < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*first));
        }
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.error("a number over 64 bits"))
    }

    #[inline]
    fn signed(&mut self) -> Result<i64, WireError> {
        let value = self.varint()?;
        Ok(((value >> 1) as i64) ^ -((value & 1) as i64))
    }

    /// Numbers end with the first byte whose upper bit is not set: of eight bytes one look finds it.
    #[inline]
    fn skip_varint(&mut self) -> Result<(), WireError> {
        if let Some(eight) = self.rest.first_chunk::<8>() {
            let ends = !u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080;
            let length = (ends.trailing_zeros() / 8 + 1) as usize;
            if ends != 0
                && let Some(rest) = self.rest.get(length..)
            {
                self.rest = rest;
                return Ok(());
            }
        }
        self.varint().map(|_| ())
    }

    #[inline]
    fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let Some((bytes, rest)) = self.rest.split_at_checked(length) else { return Err(self.error(ENDS_EARLY)) };
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn cell(
        &mut self,
        kind: u8,
        time: impl FnOnce(&mut Self) -> Result<(), WireError>,
    ) -> Result<EncodedCell<'a>, WireError> {
        if !matches!(kind, KIND_LIVE | KIND_EXPIRING | KIND_TOMBSTONE) {
            return Err(self.error("unknown kind of cell"));
        }
        time(self)?;
        Ok(match kind {
            KIND_LIVE => EncodedCell { value: Some(self.bytes()?), expires_at: None },
            KIND_EXPIRING => {
                let expires_at = Some(Seconds(self.signed()?));
                self.skip_varint()?;
                EncodedCell { value: Some(self.bytes()?), expires_at }
            }
            _ => {
                self.skip_varint()?;
                EncodedCell { value: None, expires_at: None }
            }
        })
    }
}

/// Rows of one partition with their keys, in one piece of memory, in the order in which they were added.
///
/// ```text
/// row   clustering key (len, bytes) | row (len, bytes)
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EncodedRows {
    bytes: Vec<u8>,
    count: u32,
}

impl EncodedRows {
    /// Number of rows.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes that they take.
    pub fn byte_count(&self) -> usize {
        self.bytes.len()
    }

    /// Makes room for so many bytes of rows.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }

    /// Adds a row.
    #[inline]
    pub fn push(&mut self, key: &[u8], row: EncodedRow<'_>) {
        self.bytes.reserve(key.len() + row.0.len() + 20);
        for part in [key, row.0] {
            let mut length = part.len();
            while length >= 0x80 {
                self.bytes.push((length as u8) | 0x80);
                length >>= 7;
            }
            self.bytes.push(length as u8);
            self.bytes.extend_from_slice(part);
        }
        self.count = self.count.saturating_add(1);
    }

    /// The rows with their keys.
    #[inline]
    pub fn iter(&self) -> EncodedRowsIter<'_> {
        EncodedRowsIter(Cursor::new(&self.bytes))
    }

    /// The row at this offset of their bytes, and the offset of the one after it; `None` at the end.
    #[inline]
    pub fn at(&self, offset: usize) -> Option<(&[u8], EncodedRow<'_>, usize)> {
        let rest = self.bytes.get(offset..)?;
        let mut rows = EncodedRowsIter(Cursor::new(rest));
        let (key, row) = rows.next()?;
        Some((key, row, offset + rest.len() - rows.0.rest.len()))
    }

    /// The rows, decoded, in their order. They share one copy of what is here.
    pub fn decode(self) -> Result<Vec<(ClusteringKey, Row)>, WireError> {
        let mut rows = Vec::with_capacity(self.count as usize);
        let mut input = crate::wire::Reader::new(Bytes::from(self.bytes));
        while input.remaining() > 0 {
            let key = ClusteringKey(input.bytes("clustering key")?);
            rows.push((key, Row::from_bytes(&input.bytes("row")?)?));
        }
        Ok(rows)
    }
}

/// See [`EncodedRows::iter`].
#[derive(Clone, Debug)]
pub struct EncodedRowsIter<'a>(Cursor<'a>);

impl<'a> Iterator for EncodedRowsIter<'a> {
    type Item = (&'a [u8], EncodedRow<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // What was pushed can be read: it ends with its last row.
        let key = self.0.bytes().ok()?;
        let row = self.0.bytes().ok()?;
        Some((key, EncodedRow(row)))
    }
}

/// Takes a clustering key and a row, each with its length first, from the beginning of these bytes; gives what follows too.
/// `None` if they are not there whole.
#[inline]
pub fn split_row(bytes: &[u8]) -> Option<(&[u8], EncodedRow<'_>, &[u8])> {
    let mut input = Cursor::new(bytes);
    let key = input.bytes().ok()?;
    let row = input.bytes().ok()?;
    Some((key, EncodedRow(row), input.rest))
}
