//! Reads what lives of one partition, for whoever asks nobody else.
//!
//! Such an answer needs no tombstones and is merged with nothing, so rows stay in their encoding: one copy of each goes into
//! the answer, and only rows that several sources hold, or that a deletion above them may cover, are taken apart. What it
//! says is what [`super::execute`] says, without what is dead.

use quorate_model::wire::{Wire, WireError, Writer};
use quorate_model::{
    DecoratedKey, EncodedRow, EncodedRows, LimitCounter, LiveRows, Partition, Position, ReadCommand, Row, RowSummary,
    Timestamp,
};

use super::TableView;
use super::merge::shadow;
use super::partition::{Budget, heads_of};
use crate::engine::Access;
use crate::error::ReadError;
use crate::limits::{DEAD_ROWS_MAX, LIVE_BYTES_AHEAD_MAX, LIVE_ROWS_AHEAD_MAX};
use crate::memtable::Window;
use crate::sstable::{BlockMode, RowCursor, TableCursor};

/// Reads of the partition what the slices say; all else is as in the command.
pub(crate) fn read_live(
    view: &TableView,
    command: &ReadCommand,
    (key, slices): (&DecoratedKey, &[(Position, Position)]),
    access: Access,
) -> Result<LiveRows, ReadError> {
    let mode = match access {
        Access::MemoryOnly => BlockMode::MemoryOnly,
        Access::Disk => BlockMode::Disk,
    };
    let holders = view.sstables.iter().filter(|table| table.may_contain(key.token.0, &key.key.0));
    let mut cursors: Vec<TableCursor> = holders.map(|table| TableCursor::new(table.clone(), mode)).collect();
    let read = Read { view, command, key, slices, access };
    if let ([memtable], []) = (view.memtables.as_slice(), cursors.as_slice()) {
        // The usual case: everything is in one place and canonical there, and is looked at where it is.
        let found = memtable.with_partition(key, |partition| {
            let head = partition.head().cloned().unwrap_or_default();
            let mut collector = Collector::new(&read, head, true);
            let mut outcome = Ok(());
            partition.rows_within(slices, command.reversed, &mut |row| match collector.take(row.key, row.encoded()) {
                Ok(goes_on) => goes_on,
                Err(problem) => {
                    outcome = Err(problem);
                    false
                }
            });
            outcome.map(|()| collector.answer)
        });
        return found.unwrap_or_else(|| Ok(LiveRows::default())).map_err(Problem::of_memory);
    }
    let rows = command.row_limit.min(command.per_partition_limit);
    let mut window = Window::of(rows.max(1) as usize, command.byte_limit as usize);
    loop {
        if let Some(answer) = read_window(&read, &mut cursors, window)? {
            return Ok(answer);
        }
        // The memtables' rows were mostly dead. A new attempt, not a continuation: all that one read gives of a partition
        // is of one moment.
        window = window.wider();
    }
}

/// What is read.
struct Read<'a> {
    view: &'a TableView,
    command: &'a ReadCommand,
    key: &'a DecoratedKey,
    slices: &'a [(Position, Position)],
    access: Access,
}

/// Merges all sources, with so many rows of memtables as the window allows; `None` if these were too few.
fn read_window(read: &Read<'_>, cursors: &mut [TableCursor], window: Window) -> Result<Option<LiveRows>, ReadError> {
    let (view, reversed) = (read.view, read.command.reversed);
    let mut head = Partition::default();
    let mut sources = Vec::new();
    for memtable in &view.memtables {
        if let Some(part) = memtable.read(read.key, read.slices, reversed, window) {
            head.merge_owned(part.head);
            sources.push(Source::Memory { rows: part.rows, at: 0, cut: part.cut });
        }
    }
    let in_memory = sources.len();
    let holders = heads_of(view.truncated, cursors, (read.key, read.slices), &mut head)?;
    for holder in holders.iter().filter(|holder| holder.has_rows) {
        let rows = RowCursor::new(read.key.clone(), read.slices, reversed).behind_head(&cursors[holder.cursor]);
        sources.push(Source::Table { cursor: holder.cursor, rows });
    }
    let mut collector = Collector::new(read, head, in_memory + holders.len() <= 1);
    match merge(&mut sources, cursors, reversed, &mut collector)? {
        MergeEnd::Whole => {}
        MergeEnd::Cut(_) if !window.is_widest() => return Ok(None),
        MergeEnd::Cut(last) => collector.answer.stopped_at = Some(collector.place(&last)),
    }
    Ok(Some(collector.answer))
}

/// Where rows come from.
enum Source {
    /// Copied from a memtable; `cut` if there are more behind them.
    Memory { rows: EncodedRows, at: usize, cut: bool },
    /// Read through the cursor with this index.
    Table { cursor: usize, rows: RowCursor },
}

impl Source {
    /// Makes the next row present; false if there is none.
    fn prepare(&mut self, cursors: &mut [TableCursor]) -> Result<bool, ReadError> {
        match self {
            Self::Memory { rows, at, .. } => Ok(*at < rows.byte_count()),
            Self::Table { cursor, rows } => rows.prepare(&mut cursors[*cursor]),
        }
    }

    fn current(&self) -> Option<(&[u8], EncodedRow<'_>)> {
        match self {
            Self::Memory { rows, at, .. } => rows.at(*at).map(|(key, row, _)| (key, row)),
            Self::Table { rows, .. } => rows.current(),
        }
    }

    fn advance(&mut self) {
        match self {
            Self::Memory { rows, at, .. } => *at = rows.at(*at).map_or(usize::MAX, |(_, _, next)| next),
            Self::Table { rows, .. } => rows.advance(),
        }
    }

    /// Whether rows that are not here may follow the last one.
    fn is_cut(&self) -> bool {
        matches!(self, Self::Memory { cut: true, .. })
    }

    fn blame(&self, cursors: &[TableCursor], problem: Problem) -> ReadError {
        match (self, problem) {
            (Self::Table { cursor, .. }, Problem::Row(error)) => cursors[*cursor].table().malformed(0, &error).into(),
            (_, problem) => problem.of_memory(),
        }
    }
}

/// How a merge ended.
enum MergeEnd {
    /// The collector had enough, or there is no more.
    Whole,
    /// A memtable's window ended before, with this key or an earlier one.
    Cut(Vec<u8>),
}

/// Feeds the rows of all sources to the collector, in order.
fn merge(
    sources: &mut [Source],
    cursors: &mut [TableCursor],
    reversed: bool,
    collector: &mut Collector<'_>,
) -> Result<MergeEnd, ReadError> {
    let may_be_cut = sources.iter().any(Source::is_cut);
    let mut last = Vec::new();
    loop {
        let (mut first, mut is_shared): (Option<usize>, bool) = (None, false);
        for index in 0..sources.len() {
            if !sources[index].prepare(cursors)? {
                if sources[index].is_cut() {
                    return Ok(MergeEnd::Cut(last));
                }
                continue;
            }
            let best = first.and_then(|first| sources[first].current());
            let Some(((key, _), (best, _))) = sources[index].current().zip(best) else {
                first = first.or(Some(index));
                continue;
            };
            match if reversed { best.cmp(key) } else { key.cmp(best) } {
                std::cmp::Ordering::Less => (first, is_shared) = (Some(index), false),
                std::cmp::Ordering::Equal => is_shared = true,
                std::cmp::Ordering::Greater => {}
            }
        }
        let Some(first) = first else { return Ok(MergeEnd::Whole) };
        let Some((key, row)) = sources[first].current() else { return Ok(MergeEnd::Whole) };
        if may_be_cut {
            last.clear();
            last.extend_from_slice(key);
        }
        let goes_on = if is_shared {
            let key = key.to_vec();
            let row = merged(sources, cursors, &key)?;
            collector.take_decoded(&key, row)
        } else {
            let taken = collector.take(key, row);
            let taken = taken.map_err(|problem| sources[first].blame(cursors, problem))?;
            sources[first].advance();
            Ok(taken)
        };
        match goes_on {
            Ok(true) => {}
            Ok(false) => return Ok(MergeEnd::Whole),
            Err(problem) => return Err(problem.of_memory()),
        }
    }
}

/// Takes the row with this key from all sources that hold it.
fn merged(sources: &mut [Source], cursors: &[TableCursor], key: &[u8]) -> Result<Row, ReadError> {
    let mut merged = Row::default();
    for source in sources {
        let Some((_, row)) = source.current().filter(|(own, _)| *own == key) else { continue };
        match row.decode() {
            Ok(row) => merged.merge_owned(row),
            Err(error) => return Err(source.blame(cursors, Problem::Row(error))),
        }
        source.advance();
    }
    Ok(merged)
}

/// Why a row could not be taken.
enum Problem {
    Read(ReadError),
    Row(WireError),
}

impl Problem {
    /// The error, if the row was not a file's. What a memtable has packed can be read: anything else is a bug of ours.
    fn of_memory(self) -> ReadError {
        match self {
            Self::Read(error) => error,
            Self::Row(error) => panic!("a row that a memtable has packed: {error}"),
        }
    }
}

/// Takes rows into the answer until a limit is met.
struct Collector<'a> {
    command: &'a ReadCommand,
    /// All but the rows, for what in it covers rows.
    head: Partition,
    /// There is one source: nothing in the head covers a row of it, only what was truncated may.
    is_canonical: bool,
    truncated: Option<Timestamp>,
    counter: LimitCounter,
    budget: Budget,
    /// Live rows so far.
    taken: u32,
    /// Rows so far of which nothing was left.
    gone: usize,
    answer: LiveRows,
}

impl<'a> Collector<'a> {
    fn new(read: &Read<'a>, mut head: Partition, is_canonical: bool) -> Self {
        let command = read.command;
        if let Some(truncated) = read.view.truncated {
            head.drop_up_to(truncated);
        }
        head.restrict(read.slices);
        let mut counter = LimitCounter::new(command);
        counter.take_head(read.key, &head);
        let static_row = std::mem::take(&mut head.static_row);
        Self {
            command,
            head,
            is_canonical,
            truncated: read.view.truncated,
            counter,
            budget: Budget::new(read.access == Access::MemoryOnly),
            taken: 0,
            gone: 0,
            answer: LiveRows { static_row, ..LiveRows::default() },
        }
    }

    /// Takes a row; tells whether more are wanted.
    fn take(&mut self, key: &[u8], row: EncodedRow<'_>) -> Result<bool, Problem> {
        let above = self.above(key);
        let summary = row.summary(self.command.now, above.is_some()).map_err(Problem::Row)?;
        if above.is_some() && summary.timestamp_min <= above {
            return self.take_decoded(key, row.decode().map_err(Problem::Row)?);
        }
        self.add(key, row, summary)
    }

    /// Takes a row of which something may be covered.
    fn take_decoded(&mut self, key: &[u8], mut row: Row) -> Result<bool, Problem> {
        shadow(&mut row, self.above(key));
        if row.is_empty() {
            self.budget.spend().map_err(Problem::Read)?;
            self.gone += 1;
            let goes_on = self.gone < DEAD_ROWS_MAX;
            if !goes_on {
                self.answer.stopped_at = Some(self.place(key));
            }
            return Ok(goes_on);
        }
        let mut out = Writer::default();
        row.encode(&mut out);
        let encoded = EncodedRow(out.as_slice());
        let summary = encoded.summary(self.command.now, false).map_err(Problem::Row)?;
        self.add(key, encoded, summary)
    }

    /// Takes a row that nothing covers.
    fn add(&mut self, key: &[u8], row: EncodedRow<'_>, summary: RowSummary) -> Result<bool, Problem> {
        self.budget.spend().map_err(Problem::Read)?;
        if summary.is_live {
            if self.taken == 0 {
                // The others will be about as long.
                let wanted = self.command.row_limit.min(self.command.per_partition_limit).min(LIVE_ROWS_AHEAD_MAX);
                self.answer
                    .rows
                    .reserve((wanted as usize).saturating_mul(key.len() + row.0.len() + 4).min(LIVE_BYTES_AHEAD_MAX));
            }
            self.taken = self.taken.saturating_add(1);
            self.answer.rows.push(key, row);
        }
        let goes_on = self.counter.take(key.len() + summary.size_hint, summary.is_live);
        if self.taken >= self.command.per_partition_limit {
            return Ok(false);
        }
        if !goes_on {
            self.answer.stopped_at = Some(self.place(key));
        }
        Ok(goes_on)
    }

    /// The greatest timestamp of what covers the row.
    fn above(&self, key: &[u8]) -> Option<Timestamp> {
        if self.is_canonical {
            return self.truncated;
        }
        let above = self.head.deletion.max(self.head.range_tombstones.covering_bytes(key));
        above.map(|deletion| deletion.timestamp).max(self.truncated)
    }

    /// Behind the row, in reading order.
    fn place(&self, key: &[u8]) -> Position {
        if self.command.reversed { Position::before(key) } else { Position::after(key) }
    }
}
