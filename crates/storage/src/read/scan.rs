//! Executes read commands: one partition, or a range of them in token order.

use quorate_model::{
    DecoratedKey, LimitCounter, Position, ReadCommand, ReadResponse, ReadTarget, Resume, RowChoice, Token,
};

use super::TableView;
use super::partition::{Budget, Gathered, Want, gather};
use crate::engine::Access;
use crate::error::ReadError;
use crate::sstable::{BlockMode, KeyBound, TableCursor};

/// Answers a command from a view.
pub(crate) fn execute(view: &TableView, command: &ReadCommand, access: Access) -> Result<ReadResponse, ReadError> {
    let mut execution = Execution::new(view, command, access);
    match (&command.rows, &command.target) {
        (RowChoice::Named(rows), _) => {
            for (key, slices) in rows {
                let gathered = execution.gather_alone(key, slices, None)?;
                execution.take(key, gathered);
                if execution.is_stopped() {
                    break;
                }
            }
        }
        // Rows of an index are sought by whoever has its view.
        (_, ReadTarget::Partition(key)) => {
            let gathered = execution.gather_alone(key, &command.slices, None)?;
            execution.take(key, gathered);
        }
        (_, ReadTarget::Range { after, last, from }) => execution.range(*after, *last, from.as_ref())?,
    }
    Ok(execution.finish(None))
}

/// A read in progress.
pub(crate) struct Execution<'a> {
    view: &'a TableView,
    command: &'a ReadCommand,
    mode: BlockMode,
    counter: LimitCounter,
    budget: Budget,
    response: ReadResponse,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(view: &'a TableView, command: &'a ReadCommand, access: Access) -> Self {
        Self {
            view,
            command,
            mode: match access {
                Access::MemoryOnly => BlockMode::MemoryOnly,
                Access::Disk => BlockMode::Disk,
            },
            counter: LimitCounter::new(command),
            budget: Budget::new(access == Access::MemoryOnly),
            response: ReadResponse::default(),
        }
    }

    /// Live rows that may still be taken.
    pub(crate) fn rows_left(&self) -> u32 {
        self.counter.rows_left()
    }

    /// Whether a limit was met.
    pub(crate) fn is_stopped(&self) -> bool {
        self.response.stopped_at.is_some()
    }

    /// The answer; `stopped` is where it ends if no limit was met.
    pub(crate) fn finish(mut self, stopped: Option<Resume>) -> ReadResponse {
        self.response.stopped_at = self.response.stopped_at.or(stopped);
        self.response
    }

    /// Reads of one partition what the slices say, and so many live rows at most as may still be taken, unless otherwise
    /// said.
    pub(crate) fn gather_alone(
        &mut self,
        key: &DecoratedKey,
        slices: &[(Position, Position)],
        rows: Option<usize>,
    ) -> Result<Gathered, ReadError> {
        let holders = self.view.sstables.iter().filter(|table| table.may_contain(key.token.0, &key.key.0));
        let mut cursors: Vec<TableCursor> = holders.map(|table| TableCursor::new(table.clone(), self.mode)).collect();
        self.gather(key, slices, rows, &mut cursors)
    }

    fn gather(
        &mut self,
        key: &DecoratedKey,
        slices: &[(Position, Position)],
        rows: Option<usize>,
        cursors: &mut [TableCursor],
    ) -> Result<Gathered, ReadError> {
        let command = self.command;
        let rows_left = self.counter.rows_left().min(command.per_partition_limit).max(1) as usize;
        let want = Want {
            key,
            slices,
            reversed: command.reversed,
            now: command.now,
            rows: rows.unwrap_or(rows_left),
            // More than the counter can take, so that where a read stops is for the counter alone to say.
            bytes: (command.byte_limit as usize).saturating_add(64 * 1024),
        };
        gather(self.view, cursors, &want, &mut self.budget)
    }

    /// Takes what was read of a partition into the answer, as far as the limits allow.
    pub(crate) fn take(&mut self, key: &DecoratedKey, gathered: Gathered) {
        let command = self.command;
        if gathered.partition.is_empty() && gathered.cut.is_none() {
            return;
        }
        let mut limited = command.limit_partition(&mut self.counter, key, gathered.partition);
        let live = limited.partition.live_row_count(command.now);
        let goes_on = limited.stopped.as_ref().is_none_or(|resume| resume.position.is_none());
        if let Some(cut) = gathered.cut.filter(|_| goes_on && live < command.per_partition_limit as usize) {
            // The memtables held more than one read copies: it stops there, though no limit was met.
            let kept = if command.reversed { (cut.clone(), Position::END) } else { (Position::START, cut.clone()) };
            limited.partition.restrict(&[kept]);
            limited.stopped = Some(Resume { key: key.clone(), position: Some(cut) });
        }
        self.response.stopped_at = limited.stopped;
        if limited.partition.is_empty() {
            return;
        }
        match self.response.partitions.last_mut() {
            // Rows that an index offers come in several parts.
            Some((last, own)) if last == key => own.merge_owned(limited.partition),
            _ => self.response.partitions.push((key.clone(), limited.partition)),
        }
    }

    fn range(&mut self, after: Option<Token>, last: Token, from: Option<&Resume>) -> Result<(), ReadError> {
        let mut bound = match after {
            Some(Token::MAX) => return Ok(()),
            Some(token) => KeyBound::FromToken(Token(token.0.saturating_add(1))),
            None => KeyBound::FromToken(Token::MIN),
        };
        let mut first_slices = None;
        if let Some(resume) = from {
            bound = match resume.position {
                Some(_) => {
                    first_slices = Some((resume.key.clone(), self.command.slices_from(resume)));
                    KeyBound::From(resume.key.clone())
                }
                None => KeyBound::After(resume.key.clone()),
            };
        }
        let mut files: Vec<FileCursor> = Vec::new();
        for table in &self.view.sstables {
            let (low, high) = (table.stats.first.token, table.stats.last.token);
            if low <= last && after.is_none_or(|after| high > after) {
                files.push(FileCursor {
                    cursor: Some(TableCursor::new(table.clone(), self.mode)),
                    next: None,
                    ended: false,
                });
            }
        }
        while self.response.stopped_at.is_none() {
            let Some(key) = self.next_key(&bound, &mut files)?.filter(|key| key.token <= last) else { break };
            self.budget.spend()?;
            let slices = match &first_slices {
                Some((resumed, slices)) if *resumed == key => slices.clone(),
                _ => self.command.slices.clone(),
            };
            // Cursors of the files that hold the partition are lent to its read.
            let holding = |file: &FileCursor| file.next.as_ref() == Some(&key);
            let holders: Vec<usize> = (0..files.len()).filter(|index| holding(&files[*index])).collect();
            let mut lent: Vec<TableCursor> = holders.iter().filter_map(|index| files[*index].cursor.take()).collect();
            let outcome = self.gather(&key, &slices, None, &mut lent);
            for (index, cursor) in holders.into_iter().zip(lent) {
                files[index].cursor = Some(cursor);
                files[index].next = None;
            }
            self.take(&key, outcome?);
            bound = KeyBound::After(key);
        }
        Ok(())
    }

    /// The first key within the bound of any source.
    fn next_key(&self, bound: &KeyBound, files: &mut [FileCursor]) -> Result<Option<DecoratedKey>, ReadError> {
        let mut first: Option<DecoratedKey> = None;
        for memtable in &self.view.memtables {
            let key = memtable.next_key(bound);
            first = [first, key].into_iter().flatten().min();
        }
        for file in files {
            if file.next.is_none()
                && !file.ended
                && let Some(cursor) = &mut file.cursor
            {
                file.next = cursor.next_key(bound)?;
                file.ended = file.next.is_none();
            }
            if let Some(next) = &file.next
                && first.as_ref().is_none_or(|first| next < first)
            {
                first = Some(next.clone());
            }
        }
        Ok(first)
    }
}

/// A file that a range is read from, with the next key found in it.
struct FileCursor {
    cursor: Option<TableCursor>,
    next: Option<DecoratedKey>,
    ended: bool,
}
