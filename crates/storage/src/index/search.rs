//! Reads by an index: candidates in the order of the base table, each looked at in the base table itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use quorate_model::index::term_key;
use quorate_model::{
    ClusteringKey, ColumnData, DecoratedKey, IndexDefinition, IndexSearch, IndexSource, Partition, Position,
    ReadCommand, ReadResponse, ReadTarget, Resume, RowChoice, Timestamp, Token,
};

use super::entry;
use crate::engine::Access;
use crate::error::ReadError;
use crate::limits::{INDEX_CANDIDATES_MAX, INDEX_CHUNK_MAX, INDEX_CHUNK_MIN, INDEX_REMOVALS_MAX};
use crate::read::{Execution, TableView};

/// A `[start, end)` slice.
type Slice = (Position, Position);

/// An entry that the base table proves wrong, now and for ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refuted {
    pub(crate) term: Bytes,
    pub(crate) row: ClusteringKey,
    pub(crate) timestamp: Timestamp,
}

/// Whose reading failed.
#[derive(Debug)]
pub(crate) enum SearchFailure {
    Index(ReadError),
    Base(ReadError),
}

/// What a search found.
pub(crate) struct Found {
    pub(crate) response: ReadResponse,
    pub(crate) refuted: Vec<Refuted>,
}

/// A row, or partition, that entries name.
struct Candidate {
    key: DecoratedKey,
    row: ClusteringKey,
    place: ClusteringKey,
    entries: Vec<(Bytes, Timestamp)>,
}

/// What a search goes through.
pub(crate) struct Search<'a> {
    pub(crate) base: &'a TableView,
    pub(crate) index: &'a TableView,
    pub(crate) definition: &'a IndexDefinition,
    pub(crate) command: &'a ReadCommand,
    pub(crate) search: &'a IndexSearch,
    pub(crate) access: Access,
}

impl Search<'_> {
    /// Answers the command.
    pub(crate) fn run(&self) -> Result<Found, SearchFailure> {
        let mut execution = Execution::new(self.base, self.command, self.access);
        let mut refuted = Vec::new();
        let mut slices = self.first_slices();
        let mut examined = 0;
        loop {
            let wanted = (execution.rows_left() as usize).clamp(INDEX_CHUNK_MIN, INDEX_CHUNK_MAX);
            let (candidates, known_to) = self.candidates(&slices, wanted).map_err(SearchFailure::Index)?;
            for group in candidates.chunk_by(|left, right| left.key == right.key) {
                self.look_at(group, &mut execution, &mut refuted).map_err(SearchFailure::Base)?;
                if execution.is_stopped() {
                    return Ok(Found { response: execution.finish(None), refuted });
                }
            }
            examined += candidates.len();
            let Some(known_to) = known_to else { break };
            if let Some(last) = candidates.last().filter(|_| examined >= INDEX_CANDIDATES_MAX) {
                let position = (!self.search.whole_partitions).then(|| Position::after(&last.row.0));
                let stopped = Resume { key: last.key.clone(), position };
                return Ok(Found { response: execution.finish(Some(stopped)), refuted });
            }
            slices.retain_mut(|(start, end)| {
                *start = start.clone().max(known_to.clone());
                start < end
            });
            if slices.is_empty() {
                break;
            }
        }
        Ok(Found { response: execution.finish(None), refuted })
    }

    /// Where in each term's partition entries of the wanted rows lie.
    fn first_slices(&self) -> Vec<Slice> {
        let whole = self.search.whole_partitions;
        match &self.command.target {
            ReadTarget::Partition(key) => entry::slices_of(key, &self.command.slices, whole),
            ReadTarget::Range { after, last, from } => {
                let start = after.map_or(Position::START, entry::after_token);
                let start = from.as_ref().map_or(start.clone(), |from| entry::resumed(from, whole).max(start));
                let end = entry::after_token(*last);
                if start < end { vec![(start, end)] } else { Vec::new() }
            }
        }
    }

    /// The first so many candidates within the slices, and the place up to which these are all, if not to the end.
    fn candidates(&self, slices: &[Slice], wanted: usize) -> Result<(Vec<Candidate>, Option<Position>), ReadError> {
        let mut found: BTreeMap<ClusteringKey, Vec<(Bytes, Timestamp)>> = BTreeMap::new();
        let mut known_to: Option<Position> = None;
        let mut cut_at = |place: Position| match &known_to {
            Some(known) if *known <= place => {}
            _ => known_to = Some(place),
        };
        let rows = u32::try_from(wanted).unwrap_or(u32::MAX);
        let mut from = None;
        loop {
            let command = self.term_command(slices, rows, from.take());
            let answer = crate::read::execute(self.index, &command, self.access)?;
            for (key, partition) in answer.partitions {
                let term = key.key.0;
                if term < self.search.first || term > self.search.last {
                    continue;
                }
                let live = partition.rows.into_iter().filter(|(_, row)| row.is_live(self.command.now));
                for (count, (place, row)) in live.enumerate() {
                    if count + 1 >= wanted {
                        cut_at(Position::after(&place.0));
                    }
                    let timestamp = row.liveness.map_or(Timestamp::MIN, |liveness| liveness.timestamp);
                    found.entry(place).or_default().push((term.clone(), timestamp));
                }
                while found.len() > wanted {
                    found.pop_last();
                    found.last_key_value().into_iter().for_each(|(place, _)| cut_at(Position::after(&place.0)));
                }
            }
            let Some(stopped) = answer.stopped_at else { break };
            // The term has more entries than one read gives: what follows is for the next chunk.
            stopped.position.into_iter().for_each(&mut cut_at);
            if self.search.first == self.search.last {
                break;
            }
            from = Some(Resume { key: stopped.key, position: None });
        }
        let known = |place: &ClusteringKey| known_to.as_ref().is_none_or(|known| place.0 < known.0);
        let candidates = found.into_iter().filter(|(place, _)| known(place)).filter_map(|(place, entries)| {
            let (key, row) = entry::decode(&place)?;
            Some(Candidate { key, row, place, entries })
        });
        Ok((candidates.collect(), known_to))
    }

    /// The read of the terms' partitions.
    fn term_command(&self, slices: &[Slice], rows: u32, from: Option<Resume>) -> ReadCommand {
        let (first, last) = (term_key(&self.search.first), term_key(&self.search.last));
        let (target, row_limit) = match self.search.first == self.search.last {
            true => (ReadTarget::Partition(first), rows),
            false => {
                let after = first.token.0.checked_sub(1).map(Token);
                (ReadTarget::Range { after, last: last.token, from }, u32::MAX)
            }
        };
        ReadCommand {
            table: self.definition.id,
            target,
            slices: slices.to_vec(),
            reversed: false,
            row_limit,
            per_partition_limit: if row_limit == u32::MAX { rows } else { u32::MAX },
            byte_limit: u32::MAX,
            now: self.command.now,
            rows: RowChoice::All,
        }
    }

    /// Reads the candidates of one partition and keeps those that have the term.
    fn look_at(
        &self,
        group: &[Candidate],
        execution: &mut Execution<'_>,
        refuted: &mut Vec<Refuted>,
    ) -> Result<(), ReadError> {
        let Some(Candidate { key, .. }) = group.first() else { return Ok(()) };
        let slices = self.base_slices(key, group);
        if slices.is_empty() && !self.search.whole_partitions {
            return Ok(());
        }
        let rows = if self.search.whole_partitions { None } else { Some(usize::MAX) };
        let mut gathered = execution.gather_alone(key, &slices, rows)?;
        for candidate in group {
            self.refute(candidate, &gathered.partition, refuted);
        }
        self.retain(key, &mut gathered.partition);
        if self.search.whole_partitions && gathered.partition.is_empty() {
            // Its rows are not wanted, however many there are.
            gathered.cut = None;
        }
        execution.take(key, gathered);
        Ok(())
    }

    /// The slices of the base partition that candidates of it name.
    fn base_slices(&self, key: &DecoratedKey, group: &[Candidate]) -> Vec<Slice> {
        if self.search.whole_partitions {
            return match &self.command.target {
                ReadTarget::Range { from: Some(from), .. } if from.key == *key => self.command.slices_from(from),
                _ => self.command.slices.clone(),
            };
        }
        let wanted =
            |row: &ClusteringKey| self.command.slices.iter().any(|(start, end)| start.0 <= row.0 && row.0 < end.0);
        let rows = group.iter().map(|candidate| &candidate.row).filter(|row| wanted(row));
        rows.map(|row| row_slice(&row.0)).collect()
    }

    /// Drops what has not the term.
    fn retain(&self, key: &DecoratedKey, partition: &mut Partition) {
        let now = self.command.now;
        let mut entries = self.definition.entries(key, partition);
        entries.retain(|entry| {
            let sought = entry.term >= self.search.first && entry.term <= self.search.last;
            sought && entry.expiry.is_none_or(|(expires_at, _)| now < expires_at)
        });
        if self.search.whole_partitions {
            if entries.is_empty() {
                *partition = Partition::default();
            }
            return;
        }
        let with_term: BTreeSet<&ClusteringKey> = entries.iter().filter_map(|entry| entry.row.as_ref()).collect();
        partition.rows.retain(|row, content| with_term.contains(row) && content.is_live(now));
        if partition.rows.is_empty() {
            *partition = Partition::default();
            return;
        }
        let slices: Vec<Slice> = partition.rows.keys().map(|row| row_slice(&row.0)).collect();
        partition.restrict(&slices);
    }

    /// Notes entries that can never become true again: something newer is in the place of what they tell of.
    fn refute(&self, candidate: &Candidate, partition: &Partition, refuted: &mut Vec<Refuted>) {
        let above = partition.deletion.map(|deletion| deletion.timestamp).max(self.base.truncated);
        let (above, row) = match self.search.whole_partitions {
            true => (above, Some(&partition.static_row)),
            false => {
                let range = partition.range_tombstones.covering(&candidate.row).map(|deletion| deletion.timestamp);
                let row = partition.rows.get(&candidate.row);
                let own = row.and_then(|row| row.deletion).map(|deletion| deletion.timestamp);
                (above.max(range).max(own), row)
            }
        };
        let data = match self.definition.source {
            IndexSource::Static(column) | IndexSource::Regular(column) => row.and_then(|row| row.column(column)),
            IndexSource::PartitionKey { .. } | IndexSource::Clustering { .. } => None,
        };
        for (term, timestamp) in &candidate.entries {
            let replaced = data.is_some_and(|data| self.is_replaced(data, *timestamp));
            let is_wrong = replaced || above.is_some_and(|above| *timestamp <= above);
            if is_wrong && refuted.len() < INDEX_REMOVALS_MAX {
                let (term, row) = (term.clone(), candidate.place.clone());
                refuted.push(Refuted { term, row, timestamp: *timestamp });
            }
        }
    }

    /// Whether what is in the column now has taken the place of a value of then. At the same time it may be that value.
    fn is_replaced(&self, data: &ColumnData, timestamp: Timestamp) -> bool {
        match data {
            ColumnData::Simple(cell) => self.definition.has_one_cell() && cell.timestamp > timestamp,
            ColumnData::Complex { deletion, .. } => deletion.is_some_and(|deletion| deletion.covers(timestamp)),
        }
    }
}

/// The slice with one row.
fn row_slice(row: &[u8]) -> Slice {
    (Position::before(row), Position::after(row))
}
