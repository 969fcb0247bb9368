//! Partitions to rows of an answer: projection, tests, aggregates, limits, the place where a page ends.

use std::cmp::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use quorate_model::request::{RequestError, ResultMetadata, Rows};
use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{ClusteringKey, CqlType, DecoratedKey, LiveRows, Partition, Row, Seconds, Token};

use crate::codec;
use crate::filter::BoundFilter;
use crate::groups::Group;
use crate::json;
use crate::keys::partition_components;
use crate::operation::ReadOperation;
use crate::select::SelectPlan;
use crate::selection::Source;
use crate::view::View;

/// How far a paged answer has come, beyond the place where reading goes on: part of the paging state.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PageProgress {
    /// Rows that `LIMIT` still allows.
    pub rows_left: Option<u64>,
    /// The last partition of which rows were seen.
    pub partition: Option<Bytes>,
    /// Rows of it that were shown: counted by `PER PARTITION LIMIT`.
    pub partition_rows: u64,
    /// Whether live rows of it were seen: then its static row does not show alone.
    pub partition_has_rows: bool,
}

impl Wire for PageProgress {
    fn encode(&self, out: &mut Writer) {
        out.bool(self.rows_left.is_some());
        out.varint(self.rows_left.unwrap_or(0));
        out.bool(self.partition.is_some());
        out.bytes(self.partition.as_deref().unwrap_or_default());
        out.varint(self.partition_rows);
        out.bool(self.partition_has_rows);
    }

    fn decode(input: &mut Reader) -> Result<Self, WireError> {
        let limited = input.bool("page progress")?;
        let rows_left = input.varint("page progress")?;
        let in_partition = input.bool("page progress")?;
        let partition = input.bytes("page progress")?;
        Ok(Self {
            rows_left: limited.then_some(rows_left),
            partition: in_partition.then_some(partition),
            partition_rows: input.varint("page progress")?,
            partition_has_rows: input.bool("page progress")?,
        })
    }
}

/// The values that a row is sorted by, and the row.
type SortedRow = (Vec<Option<Bytes>>, Vec<u8>);

/// Rows that wait to be sorted.
#[derive(Debug, Default)]
struct Unsorted {
    rows: Vec<SortedRow>,
    /// Their bytes, for the bound of an answer.
    bytes: usize,
}

/// The groups that rows of an answer are made from.
#[derive(Debug)]
struct Grouping {
    /// The group in the making.
    open: Option<Group>,
    /// A page of groups is full and the last row begins the next one: it was not taken.
    refused: bool,
}

/// Builds one page of an answer (or the whole, without paging), fed with partitions in the order of reading.
#[derive(Debug)]
pub struct ResultBuilder {
    plan: Arc<SelectPlan>,
    metadata: Arc<ResultMetadata>,
    filters: Vec<BoundFilter>,
    constants: Vec<Option<Bytes>>,
    now: Seconds,
    partitioner: fn(&[u8]) -> Token,
    per_partition_limit: Option<u64>,
    page_left: Option<u32>,
    progress: PageProgress,
    clustering_types: Vec<(CqlType, bool)>,
    needs_clustering: bool,
    rows: Vec<u8>,
    row_count: u32,
    /// Where rows of the answer are made from groups.
    grouping: Grouping,
    /// Rows to be sorted at the end, for `IN` with `ORDER BY`.
    sorted: Option<Unsorted>,
}

impl ResultBuilder {
    /// A builder for one page. `page_size` is ignored where the answer is one row made of all, and for sorted answers, which
    /// are never paged; of groups it is the number. `progress` is that of the page before.
    pub fn new(operation: &ReadOperation, page_size: Option<u32>, progress: Option<PageProgress>) -> Self {
        let plan = operation.plan.clone();
        let is_grouped = plan.is_aggregate();
        let aggregates = &plan.selection.aggregates;
        // Without a `GROUP BY` there is one group, even of no rows.
        let is_single = is_grouped && plan.selection.group_by.is_empty();
        let group = is_single.then(|| Group::new((None, Vec::new()), aggregates));
        let sorts = plan.ordered_columns > 0 && operation.commands.len() > 1 && !is_grouped;
        let counts = !sorts && !is_single;
        let fresh = PageProgress { rows_left: if counts { operation.limit } else { None }, ..PageProgress::default() };
        let clustering_types = plan.table.clustering_types();
        let needs_clustering = sorts || plan.uses(|source| matches!(source, Source::Clustering(_)));
        Self {
            metadata: operation.metadata.clone(),
            filters: operation.filters.clone(),
            constants: operation.constants.clone(),
            now: operation.now,
            partitioner: operation.partitioner,
            per_partition_limit: operation.per_partition_limit,
            page_left: if counts { page_size } else { None },
            progress: progress.unwrap_or(fresh),
            clustering_types,
            needs_clustering,
            rows: Vec::new(),
            row_count: 0,
            grouping: Grouping { open: group, refused: false },
            sorted: sorts.then(Unsorted::default),
            plan,
        }
    }

    /// Feeds a partition, or the next part of one. `complete` says that no more rows of it follow in this read (the
    /// answer did not stop inside it). Returns how many rows the answer grew by.
    pub fn push(&mut self, key: &DecoratedKey, partition: &Partition, complete: bool) -> Result<u32, RequestError> {
        let live = partition.rows.iter().filter(|(_, row)| row.is_live(self.now));
        let live: Vec<(&ClusteringKey, &Row)> = if self.plan.reversed { live.rev().collect() } else { live.collect() };
        self.push_rows(key, &partition.static_row, live, complete)
    }

    /// [`ResultBuilder::push`] of what lives of the partition at the operation's `now`, in reading order.
    pub fn push_live(&mut self, key: &DecoratedKey, live: LiveRows, complete: bool) -> Result<u32, RequestError> {
        let broken = |error: WireError| RequestError::Server(error.to_string());
        let plan = self.plan.clone();
        let projection = plan.projection.as_ref().filter(|_| self.sorted.is_none() && !live.rows.is_empty());
        let Some(projection) = projection else {
            let rows = live.rows.decode().map_err(broken)?;
            let rows = rows.iter().map(|(clustering, row)| (clustering, row)).collect();
            return self.push_rows(key, &live.static_row, rows, complete);
        };
        let components = self.enter(key)?;
        self.progress.partition_has_rows = true;
        let partition_left =
            self.per_partition_limit.map_or(u64::MAX, |limit| limit.saturating_sub(self.progress.partition_rows));
        let wanted = u64::from(self.rows_remaining().min(live.rows.count())).min(partition_left);
        self.rows.reserve(live.rows.byte_count());
        let rows = live.rows.iter().take(wanted as usize);
        projection.write_rows((&components, &live.static_row), rows, self.now, &mut self.rows)?;
        self.progress.partition_rows = self.progress.partition_rows.saturating_add(wanted);
        self.count_rows(wanted as u32);
        Ok(wanted as u32)
    }

    /// Begins with a partition, or goes on with it; gives the components of its key.
    fn enter(&mut self, key: &DecoratedKey) -> Result<Vec<Bytes>, RequestError> {
        let count = self.plan.table.partition_key().count();
        let components = partition_components(count, &key.key).ok_or_else(|| {
            RequestError::Server(format!("partition key {:?} does not fit table {}", key.key, self.plan.table.name))
        })?;
        if self.progress.partition.as_ref() != Some(&key.key.0) {
            self.progress.partition = Some(key.key.0.clone());
            self.progress.partition_rows = 0;
            self.progress.partition_has_rows = false;
        }
        Ok(components)
    }

    fn push_rows(
        &mut self,
        key: &DecoratedKey,
        static_row: &Row,
        live: Vec<(&ClusteringKey, &Row)>,
        complete: bool,
    ) -> Result<u32, RequestError> {
        let components = self.enter(key)?;
        let before = self.row_count;
        for (clustering, row) in live {
            self.progress.partition_has_rows = true;
            if self.is_full() || (!self.plan.is_aggregate() && self.partition_is_full()) || self.has_its_distinct_row()
            {
                break;
            }
            let values = if self.needs_clustering {
                codec::clustering_components(&self.clustering_types, clustering)
            } else {
                Vec::new()
            };
            self.add(key, &components, static_row, Some((clustering, row)), &values)?;
        }
        let shows_static = complete
            && !self.progress.partition_has_rows
            && self.plan.shows_static_only()
            && !self.is_full()
            && static_row.has_live_cell(self.now);
        if shows_static {
            let values = vec![None; self.clustering_types.len()];
            self.add(key, &components, static_row, None, &values)?;
            self.progress.partition_has_rows = !self.grouping.refused;
        }
        Ok(self.row_count - before)
    }

    /// Whether `DISTINCT` has had its one row of the partition.
    fn has_its_distinct_row(&self) -> bool {
        self.plan.distinct && self.progress.partition_rows > 0
    }

    fn partition_is_full(&self) -> bool {
        self.per_partition_limit.is_some_and(|limit| self.progress.partition_rows >= limit)
    }

    fn add(
        &mut self,
        key: &DecoratedKey,
        components: &[Bytes],
        static_row: &Row,
        row: Option<(&ClusteringKey, &Row)>,
        clustering: &[Option<Bytes>],
    ) -> Result<(), RequestError> {
        let plan = self.plan.clone();
        let constants = std::mem::take(&mut self.constants);
        let view = View {
            key,
            partition: components,
            clustering,
            static_row,
            row: row.map(|(_, row)| row),
            aggregates: &[],
            now: self.now,
            constants: &constants,
            partitioner: self.partitioner,
        };
        let passes = self.filters.iter().all(|filter| filter.passes(&view));
        let added = match (passes, self.plan.is_aggregate()) {
            (false, _) => Ok(()),
            (true, true) => self.add_to_group(&plan, &view),
            (true, false) => self.add_row(&plan, &view),
        };
        self.constants = constants;
        added
    }

    fn add_row(&mut self, plan: &SelectPlan, view: &View<'_>) -> Result<(), RequestError> {
        self.progress.partition_rows = self.progress.partition_rows.saturating_add(1);
        let mut sorted_row = Vec::new();
        let out = if self.sorted.is_some() { &mut sorted_row } else { &mut self.rows };
        write_row(plan, view, out)?;
        if let Some(sorted) = &mut self.sorted {
            let place: Vec<_> = view.clustering.iter().take(plan.ordered_columns).cloned().collect();
            let bytes: usize = place.iter().flatten().map(Bytes::len).sum();
            sorted.bytes += bytes + sorted_row.len();
            sorted.rows.push((place, sorted_row));
        }
        self.count_row();
        Ok(())
    }

    fn count_row(&mut self) {
        self.count_rows(1);
    }

    fn count_rows(&mut self, count: u32) {
        self.row_count = self.row_count.saturating_add(count);
        if let Some(left) = &mut self.page_left {
            *left = left.saturating_sub(count);
        }
        if let Some(left) = &mut self.progress.rows_left {
            *left = left.saturating_sub(u64::from(count));
        }
    }

    fn add_to_group(&mut self, plan: &SelectPlan, view: &View<'_>) -> Result<(), RequestError> {
        let selection = &plan.selection;
        if !selection.group_by.is_empty() {
            let mut values = Vec::with_capacity(selection.group_by.len());
            for output in &selection.group_by {
                values.push(view.value(output)?);
            }
            let wanted = (Some(view.key.key.0.clone()), values);
            if self.grouping.open.as_ref().is_none_or(|group| group.key != wanted) {
                self.end_group(plan, view.constants)?;
                self.grouping.refused = self.page_left == Some(0) && !self.is_exhausted();
                if self.is_full() || self.partition_is_full() {
                    return Ok(());
                }
                self.progress.partition_rows = self.progress.partition_rows.saturating_add(1);
                self.grouping.open = Some(Group::new(wanted, &selection.aggregates));
            }
        } else if plan.distinct {
            self.progress.partition_rows = self.progress.partition_rows.saturating_add(1);
        }
        match &mut self.grouping.open {
            Some(group) => group.add(view, &selection.aggregates),
            None => Ok(()),
        }
    }

    /// Writes the row of the group that is complete.
    fn end_group(&mut self, plan: &SelectPlan, constants: &[Option<Bytes>]) -> Result<(), RequestError> {
        let Some(group) = self.grouping.open.take() else { return Ok(()) };
        let (results, first) = group.finish();
        let nowhere = quorate_model::PartitionKey(Bytes::new());
        let (key, row) = (DecoratedKey { token: quorate_model::Token(0), key: nowhere }, Row::default());
        let nothing = View {
            key: &key,
            partition: &[],
            clustering: &[],
            static_row: &row,
            row: None,
            aggregates: &results,
            now: self.now,
            constants,
            partitioner: self.partitioner,
        };
        match &first {
            Some(first) => write_row(plan, &first.view(&results, &nothing), &mut self.rows)?,
            None => write_row(plan, &nothing, &mut self.rows)?,
        }
        self.count_row();
        Ok(())
    }

    /// Rows that still fit into this page: the `row_limit` of the next read. Reads made with it never overfill the page.
    pub fn rows_remaining(&self) -> u32 {
        if self.plan.is_aggregate() {
            // How many rows a group has is not known before they are read.
            let is_full = self.progress.rows_left == Some(0) || self.page_left == Some(0);
            return if is_full { 0 } else { u32::MAX };
        }
        let limit = self.progress.rows_left.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
        self.page_left.unwrap_or(u32::MAX).min(limit)
    }

    /// Whether the page takes no more rows.
    pub fn is_full(&self) -> bool {
        self.rows_remaining() == 0
    }

    /// Whether the row that was pushed last was not taken, as it begins a group of the next page: that page begins with it.
    pub fn has_refused(&self) -> bool {
        self.grouping.refused
    }

    /// The page takes no more groups than the one in the making.
    pub fn close_after_group(&mut self) {
        if self.page_left.is_some() {
            self.page_left = Some(1);
        }
    }

    /// Whether `LIMIT` is reached: there is no further page, whatever is left to read.
    pub fn is_exhausted(&self) -> bool {
        self.progress.rows_left == Some(0)
    }

    /// Rows of the answer so far.
    pub fn row_count(&self) -> u32 {
        self.row_count
    }

    /// Bytes of the answer so far.
    pub fn byte_count(&self) -> usize {
        self.rows.len().saturating_add(self.sorted.as_ref().map_or(0, |sorted| sorted.bytes))
    }

    /// What the next page's builder must know: for the paging state.
    pub fn progress(&self) -> &PageProgress {
        &self.progress
    }

    /// Ends the page. `limit` of sorted answers is applied here.
    pub fn finish(mut self, operation: &ReadOperation, paging_state: Option<Bytes>) -> Result<Rows, RequestError> {
        let (plan, constants) = (self.plan.clone(), std::mem::take(&mut self.constants));
        if !self.is_full() {
            self.end_group(&plan, &constants)?;
        }
        if let Some(Unsorted { rows: mut sorted, .. }) = self.sorted.take() {
            sorted.sort_by(|(left, _), (right, _)| self.compare_places(left, right));
            let limit = operation.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
            sorted.truncate(limit);
            self.row_count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
            self.rows = sorted.into_iter().flat_map(|(_, row)| row).collect();
        }
        Ok(Rows { metadata: self.metadata, row_count: self.row_count, data: self.rows.into(), paging_state })
    }
}

impl ResultBuilder {
    /// The order of rows of several partitions; of those that `ORDER BY` does not tell apart it says nothing.
    fn compare_places(&self, left: &[Option<Bytes>], right: &[Option<Bytes>]) -> Ordering {
        let pairs = left.iter().zip(right).zip(&self.clustering_types);
        let mut orders = pairs.map(|((left, right), (cql_type, descending))| {
            let order = match (left, right) {
                (Some(left), Some(right)) => codec::compare(cql_type, left, right),
                _ => left.is_some().cmp(&right.is_some()),
            };
            if *descending != self.plan.reversed { order.reverse() } else { order }
        });
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }
}

/// Appends a row of the answer.
fn write_row(plan: &SelectPlan, view: &View<'_>, out: &mut Vec<u8>) -> Result<(), RequestError> {
    let selection = &plan.selection;
    let Some(columns) = &selection.json else {
        for output in &selection.outputs {
            codec::write_part(view.value(output)?.as_ref(), out);
        }
        return Ok(());
    };
    let mut entries = Vec::with_capacity(columns.len());
    for ((name, cql_type), output) in columns.iter().zip(&selection.outputs) {
        let value = match view.value(output)? {
            Some(bytes) => json::to_json(cql_type, &bytes).map_err(RequestError::Server)?,
            None => "null".to_owned(),
        };
        entries.push(format!("{name}: {value}"));
    }
    codec::write_part(Some(&format!("{{{}}}", entries.join(", ")).into()), out);
    Ok(())
}
