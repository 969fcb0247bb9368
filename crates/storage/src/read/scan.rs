//! Executes read commands: one partition, or a range of them in token order.

use quorate_model::{DecoratedKey, LimitCounter, Position, ReadCommand, ReadResponse, ReadTarget, Resume, Token};

use super::TableView;
use super::partition::{Budget, Want, gather};
use crate::engine::Access;
use crate::error::ReadError;
use crate::sstable::{BlockMode, KeyBound, TableCursor};

/// Answers a command from a view.
pub(crate) fn execute(view: &TableView, command: &ReadCommand, access: Access) -> Result<ReadResponse, ReadError> {
    let mode = match access {
        Access::MemoryOnly => BlockMode::MemoryOnly,
        Access::Disk => BlockMode::Disk,
    };
    let mut execution = Execution {
        view,
        command,
        counter: LimitCounter::new(command),
        budget: Budget::new(access == Access::MemoryOnly),
        response: ReadResponse::default(),
    };
    match &command.target {
        ReadTarget::Partition(key) => {
            let place = (key.token.0, &key.key.0[..]);
            let mut cursors: Vec<TableCursor> = Vec::new();
            for table in view.sstables.iter().filter(|table| table.may_contain(place.0, place.1)) {
                cursors.push(TableCursor::new(table.clone(), mode));
            }
            execution.partition(key, &command.slices, &mut cursors)?;
        }
        ReadTarget::Range { after, last, from } => execution.range(*after, *last, from.as_ref(), mode)?,
    }
    Ok(execution.response)
}

struct Execution<'a> {
    view: &'a TableView,
    command: &'a ReadCommand,
    counter: LimitCounter,
    budget: Budget,
    response: ReadResponse,
}

impl Execution<'_> {
    /// Reads one partition into the response.
    fn partition(
        &mut self,
        key: &DecoratedKey,
        slices: &[(Position, Position)],
        cursors: &mut [TableCursor],
    ) -> Result<(), ReadError> {
        let command = self.command;
        let want = Want {
            key,
            slices,
            reversed: command.reversed,
            now: command.now,
            rows: self.counter.rows_left().min(command.per_partition_limit).max(1) as usize,
            // More than the counter can take, so that where a read stops is for the counter alone to say.
            bytes: (command.byte_limit as usize).saturating_add(64 * 1024),
        };
        let gathered = gather(self.view, cursors, &want, &mut self.budget)?;
        if gathered.partition.is_empty() && gathered.cut.is_none() {
            return Ok(());
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
        if !limited.partition.is_empty() {
            self.response.partitions.push((key.clone(), limited.partition));
        }
        Ok(())
    }

    fn range(
        &mut self,
        after: Option<Token>,
        last: Token,
        from: Option<&Resume>,
        mode: BlockMode,
    ) -> Result<(), ReadError> {
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
                    cursor: Some(TableCursor::new(table.clone(), mode)),
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
            let outcome = self.partition(&key, &slices, &mut lent);
            for (index, cursor) in holders.into_iter().zip(lent) {
                files[index].cursor = Some(cursor);
                files[index].next = None;
            }
            outcome?;
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
