//! Walks one SSTable: from partition to partition, and through the rows of one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use quorate_model::wire::Wire;
use quorate_model::{ClusteringKey, DecoratedKey, EncodedRow, Partition, PartitionKey, Position, Row, Token};

use super::block::DataBlock;
use super::format::Address;
use super::index::{IndexBlock, Place};
use super::reader::SsTable;
use crate::error::ReadError;

/// After every row: no clustering key starts with this byte.
const AFTER_ROWS: &[u8] = &[0xff];

/// How blocks may be fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockMode {
    /// From the cache alone.
    MemoryOnly,
    /// From disk too; what is read is cached.
    Disk,
    /// From disk too, without caching data blocks: for compaction.
    Pass,
}

/// Where iteration over partitions goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeyBound {
    /// At this token or later.
    FromToken(Token),
    /// At this key or later.
    From(DecoratedKey),
    /// After this key.
    After(DecoratedKey),
}

/// A data block: which index block, which entry of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BlockPosition {
    index: usize,
    entry: usize,
}

/// A partition found last: where its head is.
struct Here {
    key: DecoratedKey,
    position: BlockPosition,
    fragment: usize,
}

/// A reader's place in one SSTable. Remembers the blocks last used.
pub(crate) struct TableCursor {
    table: Arc<SsTable>,
    mode: BlockMode,
    index: Option<(usize, Arc<IndexBlock>)>,
    data: Option<(BlockPosition, Arc<DataBlock>)>,
    here: Option<Here>,
    /// Where the head was found that was asked for last.
    begun: Option<(BlockPosition, usize)>,
}

impl TableCursor {
    pub(crate) fn new(table: Arc<SsTable>, mode: BlockMode) -> Self {
        Self { table, mode, index: None, data: None, here: None, begun: None }
    }

    pub(crate) fn table(&self) -> &Arc<SsTable> {
        &self.table
    }

    /// The first partition within the bound.
    pub(crate) fn next_key(&mut self, bound: &KeyBound) -> Result<Option<DecoratedKey>, ReadError> {
        let (position, fragment) = match (bound, &self.here) {
            (KeyBound::After(key), Some(here)) if *key == here.key => {
                let (position, fragment) = (here.position, here.fragment);
                let block = self.block(position)?;
                if block.fragments().get(fragment).is_some_and(|fragment| fragment.ends()) {
                    (position, fragment + 1)
                } else {
                    self.first_within(bound)?
                }
            }
            _ => self.first_within(bound)?,
        };
        let mut position = position;
        let mut fragment = fragment;
        loop {
            let block = self.block(position)?;
            match block.fragments().get(fragment) {
                Some(found) if found.begins() => {
                    let key = DecoratedKey {
                        token: Token(found.token),
                        // A copy: keys outlive reads in answers, and should not hold whole blocks.
                        key: PartitionKey(Bytes::copy_from_slice(block.key(found))),
                    };
                    self.here = Some(Here { key: key.clone(), position, fragment });
                    return Ok(Some(key));
                }
                Some(_) => fragment += 1,
                None => match self.following(position)? {
                    Some(next) => (position, fragment) = (next, 0),
                    None => return Ok(None),
                },
            }
        }
    }

    /// The block and the fragment from which on the first partition within the bound is found.
    fn first_within(&mut self, bound: &KeyBound) -> Result<(BlockPosition, usize), ReadError> {
        let start = BlockPosition { index: 0, entry: 0 };
        let (token, key, row) = match bound {
            KeyBound::FromToken(token) => (token.0, &[][..], None),
            KeyBound::From(key) => (key.token.0, &key.key.0[..], None),
            KeyBound::After(key) => (key.token.0, &key.key.0[..], Some(AFTER_ROWS)),
        };
        let Some(position) = self.locate(Place { token, key, row })? else { return Ok((start, 0)) };
        let block = self.block(position)?;
        let after = block.index_after(token, key);
        let inclusive = row.is_none();
        let fragment = match after.checked_sub(1).and_then(|index| block.fragments().get(index)) {
            Some(fragment) if inclusive && (fragment.token, block.key(fragment)) == (token, key) => after - 1,
            _ => after,
        };
        Ok((position, fragment))
    }

    /// The partition without its rows; `None` if it is not in the file.
    pub(crate) fn head(&mut self, key: &DecoratedKey) -> Result<Option<Partition>, ReadError> {
        let Some((position, block)) = self.head_block(key)? else { return Ok(None) };
        let hint = self.here.as_ref().filter(|here| here.key == *key).map_or(0, |here| here.fragment);
        let Some(number) = block.find(key.token.0, &key.key.0, hint) else { return Ok(None) };
        let Some(fragment) = block.fragments().get(number).filter(|fragment| fragment.begins()) else {
            return Ok(None);
        };
        self.begun = Some((position, number));
        let encoded = block.head(fragment);
        if encoded.is_empty() {
            return Ok(Some(Partition::default()));
        }
        match Partition::from_bytes(&encoded) {
            Ok(head) => Ok(Some(head)),
            Err(error) => Err(self.malformed(position, &error)),
        }
    }

    fn head_block(&mut self, key: &DecoratedKey) -> Result<Option<(BlockPosition, Arc<DataBlock>)>, ReadError> {
        let position = match &self.here {
            Some(here) if here.key == *key => Some(here.position),
            _ => self.locate(Place { token: key.token.0, key: &key.key.0, row: None })?,
        };
        let Some(position) = position else { return Ok(None) };
        Ok(Some((position, self.block(position)?)))
    }

    /// The data block that holds the place, if any partition of the file can.
    fn locate(&mut self, place: Place<'_>) -> Result<Option<BlockPosition>, ReadError> {
        let Some(index) = self.table.root.locate(place) else { return Ok(None) };
        let block = self.index_block(index)?;
        Ok(block.locate(place).map(|entry| BlockPosition { index, entry }))
    }

    fn index_block(&mut self, index: usize) -> Result<Arc<IndexBlock>, ReadError> {
        if let Some((_, block)) = self.index.as_ref().filter(|(number, _)| *number == index) {
            return Ok(block.clone());
        }
        let Some(entry) = self.table.root.entries.get(index) else {
            return Err(self.lost("the root has no such entry"));
        };
        let block = self.table.index(entry.address, self.mode)?;
        self.index = Some((index, block.clone()));
        Ok(block)
    }

    fn address(&mut self, position: BlockPosition) -> Result<Address, ReadError> {
        let block = self.index_block(position.index)?;
        match block.entries.get(position.entry) {
            Some(entry) => Ok(entry.address),
            None => Err(self.lost("an index block has no such entry")),
        }
    }

    fn block(&mut self, position: BlockPosition) -> Result<Arc<DataBlock>, ReadError> {
        if let Some((_, block)) = self.data.as_ref().filter(|(at, _)| *at == position) {
            return Ok(block.clone());
        }
        let address = self.address(position)?;
        let block = self.table.data(address, self.mode)?;
        self.data = Some((position, block.clone()));
        Ok(block)
    }

    fn following(&mut self, position: BlockPosition) -> Result<Option<BlockPosition>, ReadError> {
        let block = self.index_block(position.index)?;
        if position.entry + 1 < block.entries.len() {
            return Ok(Some(BlockPosition { entry: position.entry + 1, ..position }));
        }
        let index = position.index + 1;
        Ok((index < self.table.root.entries.len()).then_some(BlockPosition { index, entry: 0 }))
    }

    fn preceding(&mut self, position: BlockPosition) -> Result<Option<BlockPosition>, ReadError> {
        if let Some(entry) = position.entry.checked_sub(1) {
            return Ok(Some(BlockPosition { entry, ..position }));
        }
        let Some(index) = position.index.checked_sub(1) else { return Ok(None) };
        let entry = self.index_block(index)?.entries.len().saturating_sub(1);
        Ok(Some(BlockPosition { index, entry }))
    }

    fn lost(&self, problem: &'static str) -> ReadError {
        let error = quorate_model::wire::WireError { what: "index", offset: 0, problem };
        self.table.malformed(0, &error).into()
    }

    fn malformed(&mut self, position: BlockPosition, error: &quorate_model::wire::WireError) -> ReadError {
        let offset = self.address(position).map_or(0, |address| address.offset);
        self.table.malformed(offset, error).into()
    }
}

/// Rows of one partition of one SSTable, in the read's direction, block by block.
pub(crate) struct RowCursor {
    key: DecoratedKey,
    /// Slices still to be read, the next one first.
    slices: VecDeque<(Position, Position)>,
    reversed: bool,
    block: Option<Arc<DataBlock>>,
    /// The numbers of the block's rows that are still to be given: from the first on, or from the last back.
    ready: Range<usize>,
    /// The block after the present one, if the present slice goes on.
    ahead: Option<BlockPosition>,
    /// Where the partition begins, if that is known.
    begun: Option<(BlockPosition, usize)>,
}

impl RowCursor {
    /// `slices` ascend, whatever the direction.
    pub(crate) fn new(key: DecoratedKey, slices: &[(Position, Position)], reversed: bool) -> Self {
        let mut slices: VecDeque<_> = slices.iter().cloned().collect();
        if reversed {
            slices.make_contiguous().reverse();
        }
        Self { key, slices, reversed, block: None, ready: 0..0, ahead: None, begun: None }
    }

    /// Begins where the cursor has just found the partition's head.
    pub(crate) fn behind_head(mut self, cursor: &TableCursor) -> Self {
        self.begun = cursor.begun;
        self
    }

    /// The next row.
    pub(crate) fn next(&mut self, cursor: &mut TableCursor) -> Result<Option<(ClusteringKey, Row)>, ReadError> {
        if !self.prepare(cursor)? {
            return Ok(None);
        }
        let Some((clustering, row)) = self.number().zip(self.block.as_ref()).and_then(|(n, block)| block.shared_row(n))
        else {
            return Ok(None);
        };
        self.advance();
        match Row::from_bytes(&row) {
            Ok(row) => Ok(Some((ClusteringKey(clustering), row))),
            Err(error) => Err(cursor.table.malformed(0, &error).into()),
        }
    }

    /// Fetches blocks until there is a row to be given; false if there is none any more.
    pub(crate) fn prepare(&mut self, cursor: &mut TableCursor) -> Result<bool, ReadError> {
        while self.ready.is_empty() {
            let position = match self.ahead.take() {
                Some(position) => Some(position),
                None => {
                    let Some((start, end)) = self.slices.front() else { return Ok(false) };
                    let bound = if self.reversed { end } else { start };
                    let row = (!bound.0.is_empty()).then_some(&bound.0[..]);
                    let begun = self.begun.filter(|_| row.is_none()).map(|(position, _)| position);
                    if begun.is_some() {
                        begun
                    } else {
                        cursor.locate(Place { token: self.key.token.0, key: &self.key.key.0, row })?
                    }
                }
            };
            match position {
                Some(position) => self.fill(cursor, position)?,
                None => self.slices.clear(),
            }
        }
        Ok(true)
    }

    /// The row to be given next, once there is one.
    pub(crate) fn current(&self) -> Option<(&[u8], EncodedRow<'_>)> {
        self.block.as_ref()?.row(self.number()?)
    }

    /// Goes behind it.
    pub(crate) fn advance(&mut self) {
        if self.reversed {
            self.ready.next_back();
        } else {
            self.ready.next();
        }
    }

    fn number(&self) -> Option<usize> {
        if self.ready.is_empty() {
            return None;
        }
        if self.reversed { self.ready.end.checked_sub(1) } else { Some(self.ready.start) }
    }

    /// Takes the block's rows within the present slice, and notes whether the slice goes on in the block after it.
    fn fill(&mut self, cursor: &mut TableCursor, position: BlockPosition) -> Result<(), ReadError> {
        let Some((start, end)) = self.slices.front() else { return Ok(()) };
        let block = cursor.block(position)?;
        let hint = self.begun.filter(|(begun, _)| *begun == position).map_or(0, |(_, number)| number);
        let number = block.find(self.key.token.0, &self.key.key.0, hint);
        let Some(fragment) = number.and_then(|number| block.fragments().get(number)) else {
            self.slices.clear();
            return Ok(());
        };
        let all = fragment.rows();
        self.ready = block.seek(fragment, &start.0)..block.seek(fragment, &end.0);
        let (before, after) = (all.start < self.ready.start, self.ready.end < all.end);
        let done = if self.reversed { before || fragment.begins() } else { after || fragment.ends() };
        if !done {
            self.ahead = if self.reversed { cursor.preceding(position)? } else { cursor.following(position)? };
        }
        if self.ahead.is_none() {
            self.slices.pop_front();
        }
        self.block = Some(block);
        Ok(())
    }
}
