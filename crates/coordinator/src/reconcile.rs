//! The merge of several replicas' answers to one read.
//!
//! A replica stops where *its* rows fill the page; another one may hold deletions of these rows, or rows between them. An
//! answer is complete only up to where it stopped, so the merge is trusted only up to the *frontier*: the first place, in
//! read order, at which any answer stopped. What lies behind is cut away and read again if the page is not yet full.
//! With `PER PARTITION LIMIT` a replica may stop within every partition: an answer with that many live rows of a
//! partition may have been cut there, and the frontier may lie there too.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_model::read::LimitCounter;
use quorate_model::read::{NamedRows, Resume};
use quorate_model::{DecoratedKey, LiveRows, Partition, Position, ReadCommand, ReadResponse, ReadTarget, Seconds};

/// Compares two places in read order: the one that is reached first is less.
pub fn compare_places(a: &Resume, b: &Resume, reversed: bool) -> Ordering {
    a.key.cmp(&b.key).then_with(|| match (&a.position, &b.position) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(a), Some(b)) if reversed => b.cmp(a),
        (Some(a), Some(b)) => a.cmp(b),
    })
}

/// The earlier of two frontiers; `None` is the end of everything.
pub(crate) fn earlier(a: Option<Resume>, b: Option<Resume>, reversed: bool) -> Option<Resume> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if compare_places(&a, &b, reversed).is_le() { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// Cuts a partition to this side of a frontier; `false` if it lies behind it altogether.
fn cut_partition(key: &DecoratedKey, partition: &mut Partition, frontier: Option<&Resume>, reversed: bool) -> bool {
    let Some(frontier) = frontier else { return true };
    match (key.cmp(&frontier.key), &frontier.position) {
        (Ordering::Less, _) | (Ordering::Equal, None) => true,
        (Ordering::Greater, _) => false,
        (Ordering::Equal, Some(position)) => {
            partition.restrict(&[side_of(position, reversed)]);
            true
        }
    }
}

/// The rows of a partition that come before a position in read order.
fn side_of(position: &Position, reversed: bool) -> (Position, Position) {
    if reversed { (position.clone(), Position::END) } else { (Position::START, position.clone()) }
}

/// What several answers say together.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Merged {
    /// The partitions, cut at the frontier.
    pub partitions: BTreeMap<DecoratedKey, Partition>,
    /// Up to where this is the whole truth; `None` if all was read.
    pub frontier: Option<Resume>,
}

/// Merges answers to the same command. `counted_before` is the number of live rows that were already given of the
/// partition in whose midst the command begins, if it does.
pub fn merge(command: &ReadCommand, responses: &[&ReadResponse], counted_before: u32) -> Merged {
    let reversed = command.reversed;
    let mut frontier =
        responses.iter().fold(None, |frontier, response| earlier(frontier, response.stopped_at.clone(), reversed));
    let mut partitions: BTreeMap<DecoratedKey, Partition> = BTreeMap::new();
    for (key, partition) in responses.iter().flat_map(|response| &response.partitions) {
        partitions.entry(key.clone()).or_default().merge(partition);
    }
    if command.per_partition_limit != u32::MAX {
        for (key, partition) in &partitions {
            let stop = partition_stop(command, responses, key);
            let place = Resume { key: key.clone(), position: stop };
            if place.position.is_none() {
                continue;
            }
            let mut sure = partition.clone();
            cut_partition(key, &mut sure, Some(&place), reversed);
            let before = if is_resumed(command, key) { counted_before } else { 0 };
            let wanted = command.per_partition_limit.saturating_sub(before);
            if sure.live_row_count(command.now) < usize::try_from(wanted).unwrap_or(usize::MAX) {
                frontier = earlier(frontier, Some(place), reversed);
                break;
            }
        }
    }
    partitions
        .retain(|key, partition| cut_partition(key, partition, frontier.as_ref(), reversed) && !partition.is_empty());
    Merged { partitions, frontier }
}

/// The first place at which any answer may have been cut by the per-partition limit.
fn partition_stop(command: &ReadCommand, responses: &[&ReadResponse], key: &DecoratedKey) -> Option<Position> {
    let limit = usize::try_from(command.per_partition_limit).unwrap_or(usize::MAX);
    let stops = responses.iter().filter_map(|response| {
        let index = response.partitions.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        let (_, partition) = response.partitions.get(index)?;
        let live = || partition.rows.iter().filter(|(_, row)| row.is_live(command.now));
        if live().count() < limit {
            return None;
        }
        if command.reversed {
            live().next().map(|(row_key, _)| Position::before(&row_key.0))
        } else {
            live().next_back().map(|(row_key, _)| Position::after(&row_key.0))
        }
    });
    if command.reversed { stops.max() } else { stops.min() }
}

/// Whether the command begins in the midst of this partition.
fn is_resumed(command: &ReadCommand, key: &DecoratedKey) -> bool {
    match &command.target {
        ReadTarget::Partition(_) => false,
        ReadTarget::Range { from, .. } => from.as_ref().is_some_and(|from| from.key == *key),
    }
}

/// The partitions of the merge that a replica, by its own answer, does not hold as merged: what it is to be sent.
pub fn lacking(command: &ReadCommand, merged: &Merged, response: &ReadResponse) -> Vec<(DecoratedKey, Partition)> {
    let mut lacking = Vec::new();
    for (key, partition) in &merged.partitions {
        let own = response.partitions.binary_search_by(|(other, _)| other.cmp(key)).ok();
        let same = own.and_then(|index| response.partitions.get(index)).is_some_and(|(_, own)| {
            let mut own = own.clone();
            cut_partition(key, &mut own, merged.frontier.as_ref(), command.reversed);
            own == *partition
        });
        if !same {
            lacking.push((key.clone(), partition.clone()));
        }
    }
    lacking
}

/// The rows that replicas' indexes offered, merged up to a frontier: what each replica has of them is to be looked at, for
/// one that did not offer a row may know better.
pub fn offered(command: &ReadCommand, merged: &Merged, whole_partitions: bool) -> Vec<NamedRows> {
    let named = merged.partitions.iter().map(|(key, partition)| {
        if !whole_partitions {
            let rows = partition.rows.keys().map(|row| (Position::before(&row.0), Position::after(&row.0)));
            return (key.clone(), rows.collect());
        }
        let mut slices = match &command.target {
            ReadTarget::Range { from: Some(from), .. } if from.key == *key => command.slices_from(from),
            _ => command.slices.clone(),
        };
        if let Some(position) =
            merged.frontier.as_ref().filter(|place| place.key == *key).and_then(|place| place.position.as_ref())
        {
            let (start, end) = side_of(position, command.reversed);
            let within =
                |slice: &(Position, Position)| (slice.0.clone().max(start.clone()), slice.1.clone().min(end.clone()));
            slices = slices.iter().map(within).filter(|(start, end)| start < end).collect();
        }
        (key.clone(), slices)
    });
    named.filter(|(_, slices)| whole_partitions || !slices.is_empty()).collect()
}

/// Where a page goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Continuation {
    /// Where the page before it stopped.
    pub place: Resume,
    /// Live rows of that partition that all pages before it gave.
    pub rows_given: u32,
}

impl Continuation {
    /// What follows a page; `None` if it was the last one. `before` is the page's own beginning.
    pub fn after(before: Option<&Self>, page: &ReadResponse, now: Seconds) -> Option<Self> {
        let place = page.stopped_at.clone()?;
        let earlier = before.filter(|before| before.place.key == place.key).map_or(0, |before| before.rows_given);
        let here = page.partitions.last().filter(|(key, _)| *key == place.key);
        let rows_given = earlier.saturating_add(here.map_or(0, |(_, partition)| live_rows(partition, now)));
        Some(Self { place, rows_given })
    }
}

fn live_rows(partition: &Partition, now: Seconds) -> u32 {
    u32::try_from(partition.live_row_count(now)).unwrap_or(u32::MAX)
}

/// Fills a page: cuts what comes in, in read order, by the limits of the client's command, over any number of rounds.
#[derive(Clone, Debug)]
pub struct Page {
    command: Arc<ReadCommand>,
    resume: Option<Continuation>,
    counter: LimitCounter,
    response: ReadResponse,
}

impl Page {
    /// An empty page of the client's whole command.
    pub fn new(command: Arc<ReadCommand>, resume: Option<Continuation>) -> Self {
        let counter = LimitCounter::new(&command);
        Self { command, resume, counter, response: ReadResponse::default() }
    }

    /// Live rows that still fit.
    pub fn rows_left(&self) -> u32 {
        self.counter.rows_left()
    }

    /// Live rows given of this partition so far, earlier pages included.
    pub fn counted_of(&self, key: &DecoratedKey) -> u32 {
        let before = self.resume.as_ref().filter(|resume| resume.place.key == *key);
        let here = self.response.partitions.last().filter(|(last, _)| last == key);
        before
            .map_or(0, |before| before.rows_given)
            .saturating_add(here.map_or(0, |(_, partition)| live_rows(partition, self.command.now)))
    }

    /// Adds what was read, complete up to `frontier`. Returns whether the page is full.
    pub fn add(
        &mut self,
        partitions: impl IntoIterator<Item = (DecoratedKey, Partition)>,
        frontier: Option<&Resume>,
    ) -> bool {
        for (key, partition) in partitions {
            let counted = self.counted_of(&key);
            if partition.is_empty() || counted >= self.command.per_partition_limit {
                continue;
            }
            let unfinished = frontier.filter(|place| place.key == key && place.position.is_some());
            let mut command = ReadCommand::clone(&self.command);
            if command.per_partition_limit != u32::MAX {
                command.per_partition_limit -= counted;
            }
            if unfinished.is_some() || counted > 0 {
                // Its static row does not stand alone, or that is not known yet: it is not to be counted as a row.
                command.slices = Vec::from([(Position::START, Position::START), (Position::START, Position::END)]);
            }
            let limited = command.limit_partition(&mut self.counter, &key, partition);
            let partition_full = live_rows(&limited.partition, command.now) >= command.per_partition_limit;
            self.append(key, limited.partition);
            if let Some(mut stopped) = limited.stopped {
                if let Some(place) = unfinished
                    && stopped.position.is_none()
                    && !partition_full
                {
                    stopped.position.clone_from(&place.position);
                }
                self.response.stopped_at = Some(stopped);
                return true;
            }
        }
        false
    }

    fn append(&mut self, key: DecoratedKey, partition: Partition) {
        match self.response.partitions.last_mut() {
            Some((last, own)) if *last == key => own.merge_owned(partition),
            _ if partition.is_empty() => {}
            _ => self.response.partitions.push((key, partition)),
        }
    }

    /// A place within a partition that has given all the rows it may is a place behind that partition.
    pub fn skip_full_partition(&self, place: Option<Resume>) -> Option<Resume> {
        place.map(|mut place| {
            if place.position.is_some() && self.counted_of(&place.key) >= self.command.per_partition_limit {
                place.position = None;
            }
            place
        })
    }

    /// The page that one answer makes as it stands, if it was cut by this page's own limits. Not for a page that begins
    /// within a partition and has a per-partition limit: the replica could not know how many rows were given before.
    pub fn whole(mut self, response: ReadResponse) -> ReadResponse {
        let frontier = response.stopped_at;
        self.response.partitions = response.partitions;
        self.finish(frontier)
    }

    /// The page as it stands; `frontier` is from where to go on if it is not full. Partitions that make no row of the
    /// result are left out: one without live rows is in the page only if its static row is to be shown as a row.
    pub fn finish(mut self, frontier: Option<Resume>) -> ReadResponse {
        let stopped_at = self.response.stopped_at.take().or(frontier);
        self.response.stopped_at = self.skip_full_partition(stopped_at);
        close(&self.command, self.resume.as_ref(), self.response)
    }
}

/// What lives of one partition within these slices, as the only replica that is asked says it, as a page: there is nothing to
/// go on with if all of them were read.
pub fn only_live_answer(command: &ReadCommand, slices: &[(Position, Position)], mut live: LiveRows) -> LiveRows {
    live.stopped_at.take_if(|place| {
        let is_left =
            |(start, end): &(Position, Position)| if command.reversed { start < place } else { &*place < end };
        !slices.iter().any(is_left)
    });
    live
}

/// Leaves out what makes no row, and the place to go on from if nothing follows it.
fn close(command: &ReadCommand, resume: Option<&Continuation>, mut response: ReadResponse) -> ReadResponse {
    if let ReadTarget::Partition(_) = &command.target {
        // Behind the last row of the only partition there is nothing to go on with.
        response.stopped_at.take_if(|place| command.slices_from(place).is_empty());
    }
    let statics_count = match command.slices.as_slice() {
        [] => true,
        [(start, end)] => *start == Position::START && *end == Position::END,
        _ => false,
    };
    let stopped_at = response.stopped_at.as_ref();
    response.partitions.retain(|(key, partition)| {
        let unfinished = stopped_at.is_some_and(|place| place.key == *key && place.position.is_some());
        let given = resume.is_some_and(|resume| resume.place.key == *key && resume.rows_given > 0);
        partition.rows.values().any(|row| row.is_live(command.now))
            || (statics_count && !unfinished && !given && partition.static_is_live(command.now))
    });
    response
}
