//! Partitions to rows of an answer: projection, tests, aggregates, limits, the place where a page ends.

use std::sync::Arc;

use bytes::Bytes;
use quorate_model::request::{RequestError, ResultMetadata, Rows};
use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{CellContent, ClusteringKey, ColumnData, ColumnId, CqlType, DecoratedKey, Partition, Row, Seconds};

use crate::aggregate::Accumulator;
use crate::codec;
use crate::filter::BoundFilter;
use crate::keys::partition_components;
use crate::operation::ReadOperation;
use crate::select::SelectPlan;
use crate::selection::{Output, Source};

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

/// Builds one page of an answer (or the whole, without paging), fed with partitions in the order of reading.
#[derive(Debug)]
pub struct ResultBuilder {
    plan: Arc<SelectPlan>,
    metadata: Arc<ResultMetadata>,
    filters: Vec<BoundFilter>,
    constants: Vec<Option<Bytes>>,
    now: Seconds,
    per_partition_limit: Option<u64>,
    page_left: Option<u32>,
    progress: PageProgress,
    clustering_types: Vec<(CqlType, bool)>,
    needs_clustering: bool,
    rows: Vec<u8>,
    sorted_bytes: usize,
    row_count: u32,
    aggregates: Option<Vec<Accumulated>>,
    /// Rows to be sorted at the end, for `IN` with `ORDER BY`.
    sorted: Option<Vec<(ClusteringKey, Vec<u8>)>>,
}

/// A column of an aggregate's single row.
#[derive(Debug)]
enum Accumulated {
    Aggregate(Box<Accumulator>),
    /// Not aggregated: the first row's value.
    First(Option<Option<Bytes>>),
}

/// What of a row the outputs are made from.
struct View<'a> {
    key: &'a DecoratedKey,
    partition: &'a [Bytes],
    clustering: &'a [Option<Bytes>],
    static_row: &'a Row,
    row: Option<&'a Row>,
    now: Seconds,
    constants: &'a [Option<Bytes>],
}

impl ResultBuilder {
    /// A builder for one page. `page_size` is ignored for aggregates and sorted answers, which are never paged;
    /// `progress` is that of the page before.
    pub fn new(operation: &ReadOperation, page_size: Option<u32>, progress: Option<PageProgress>) -> Self {
        let plan = operation.plan.clone();
        let aggregates = plan.is_aggregate().then(|| {
            let columns = plan.selection.outputs.iter().map(|output| match output {
                Output::Aggregate(aggregate) => Accumulated::Aggregate(Box::new(Accumulator::new(aggregate))),
                _ => Accumulated::First(None),
            });
            columns.collect()
        });
        let sorts = plan.is_ordered && operation.commands.len() > 1;
        let is_paged = aggregates.is_none() && !sorts;
        let fresh =
            PageProgress { rows_left: if is_paged { operation.limit } else { None }, ..PageProgress::default() };
        let clustering_types = plan.table.clustering_types();
        let needs_clustering = plan.uses(|source| matches!(source, Source::Clustering(_)));
        Self {
            metadata: operation.metadata.clone(),
            filters: operation.filters.clone(),
            constants: operation.constants.clone(),
            now: operation.now,
            per_partition_limit: operation.per_partition_limit,
            page_left: if is_paged { page_size } else { None },
            progress: progress.unwrap_or(fresh),
            clustering_types,
            needs_clustering,
            rows: Vec::new(),
            sorted_bytes: 0,
            row_count: 0,
            aggregates,
            sorted: sorts.then(Vec::new),
            plan,
        }
    }

    /// Feeds a partition, or the next part of one. `complete` says that no more rows of it follow in this read (the
    /// answer did not stop inside it). Returns how many rows the answer grew by.
    pub fn push(&mut self, key: &DecoratedKey, partition: &Partition, complete: bool) -> Result<u32, RequestError> {
        let count = self.plan.table.partition_key().count();
        let components = partition_components(count, &key.key).ok_or_else(|| {
            RequestError::Server(format!("partition key {:?} does not fit table {}", key.key, self.plan.table.name))
        })?;
        if self.progress.partition.as_ref() != Some(&key.key.0) {
            self.progress.partition = Some(key.key.0.clone());
            self.progress.partition_rows = 0;
            self.progress.partition_has_rows = false;
        }
        let before = self.row_count;
        let static_row = &partition.static_row;
        let live = partition.rows.iter().filter(|(_, row)| row.is_live(self.now));
        let live: Vec<(&ClusteringKey, &Row)> = if self.plan.reversed { live.rev().collect() } else { live.collect() };
        for (clustering, row) in live {
            self.progress.partition_has_rows = true;
            if self.is_full() || self.partition_is_full() {
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
            self.progress.partition_has_rows = true;
            self.add(key, &components, static_row, None, &values)?;
        }
        Ok(self.row_count - before)
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
        let view = View {
            key,
            partition: components,
            clustering,
            static_row,
            row: row.map(|(_, row)| row),
            now: self.now,
            constants: &self.constants,
        };
        let passes = self
            .filters
            .iter()
            .all(|filter| filter.passes(view.column(Source::of(&filter.column), &filter.column.cql_type).as_ref()));
        if !passes {
            return Ok(());
        }
        self.progress.partition_rows = self.progress.partition_rows.saturating_add(1);
        let outputs = &self.plan.selection.outputs;
        if let Some(columns) = &mut self.aggregates {
            for (column, output) in columns.iter_mut().zip(outputs) {
                column.add(output, &view)?;
            }
            return Ok(());
        }
        let mut sorted_row = Vec::new();
        let out = if self.sorted.is_some() { &mut sorted_row } else { &mut self.rows };
        for output in outputs {
            codec::write_part(view.value(output)?.as_ref(), out);
        }
        if let Some(rows) = &mut self.sorted {
            let position = row.map(|(clustering, _)| clustering.clone()).unwrap_or_default();
            self.sorted_bytes += position.0.len() + sorted_row.len();
            rows.push((position, sorted_row));
        }
        self.row_count = self.row_count.saturating_add(1);
        if let Some(left) = &mut self.page_left {
            *left = left.saturating_sub(1);
        }
        if let Some(left) = &mut self.progress.rows_left {
            *left = left.saturating_sub(1);
        }
        Ok(())
    }

    /// Rows that still fit into this page: the `row_limit` of the next read. Reads made with it never overfill the page.
    pub fn rows_remaining(&self) -> u32 {
        let limit = self.progress.rows_left.map_or(u32::MAX, |left| u32::try_from(left).unwrap_or(u32::MAX));
        self.page_left.unwrap_or(u32::MAX).min(limit)
    }

    /// Whether the page takes no more rows.
    pub fn is_full(&self) -> bool {
        self.rows_remaining() == 0
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
        self.rows.len().saturating_add(self.sorted_bytes)
    }

    /// What the next page's builder must know: for the paging state.
    pub fn progress(&self) -> &PageProgress {
        &self.progress
    }

    /// Ends the page. `limit` of sorted answers is applied here.
    pub fn finish(mut self, operation: &ReadOperation, paging_state: Option<Bytes>) -> Rows {
        if let Some(columns) = self.aggregates.take() {
            for column in columns {
                codec::write_part(column.finish().as_ref(), &mut self.rows);
            }
            self.row_count = 1;
        }
        if let Some(mut sorted) = self.sorted.take() {
            sorted.sort_by(|(left, _), (right, _)| if self.plan.reversed { right.cmp(left) } else { left.cmp(right) });
            let limit = operation.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
            sorted.truncate(limit);
            self.row_count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
            self.rows = sorted.into_iter().flat_map(|(_, row)| row).collect();
        }
        Rows { metadata: self.metadata, row_count: self.row_count, data: self.rows.into(), paging_state }
    }
}

impl Accumulated {
    fn add(&mut self, output: &Output, view: &View<'_>) -> Result<(), RequestError> {
        match (self, output) {
            (Self::Aggregate(accumulator), Output::Aggregate(aggregate)) => {
                let value = match &aggregate.argument {
                    Some(argument) => view.value(argument)?,
                    None => None,
                };
                accumulator.add(value)?;
            }
            (Self::First(first @ None), _) => *first = Some(view.value(output)?),
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Option<Bytes> {
        match self {
            Self::Aggregate(accumulator) => accumulator.finish(),
            Self::First(first) => first.flatten(),
        }
    }
}

impl View<'_> {
    fn value(&self, output: &Output) -> Result<Option<Bytes>, RequestError> {
        Ok(match output {
            Output::Column(source, cql_type) => self.column(*source, cql_type),
            Output::WriteTime(source) => {
                let cell = self.cell(*source).filter(|cell| cell.value_at(self.now).is_some());
                cell.map(|cell| Bytes::copy_from_slice(&cell.timestamp.0.to_be_bytes()))
            }
            Output::Ttl(source) => self.cell(*source).and_then(|cell| match &cell.content {
                CellContent::Expiring { expires_at, .. } if *expires_at > self.now => {
                    let left = i32::try_from(expires_at.0.saturating_sub(self.now.0)).unwrap_or(i32::MAX);
                    Some(Bytes::copy_from_slice(&left.to_be_bytes()))
                }
                _ => None,
            }),
            Output::Token => Some(Bytes::copy_from_slice(&self.key.token.0.to_be_bytes())),
            Output::Function(function, arguments) => {
                let mut values = Vec::with_capacity(arguments.len());
                for (cql_type, argument) in arguments {
                    values.push((cql_type.clone(), self.value(argument)?));
                }
                crate::functions::convert(*function, &values)?
            }
            Output::Constant(index) => self.constants.get(*index).cloned().flatten(),
            Output::Field(inner, cql_type, position) => {
                let Some(whole) = self.value(inner)? else { return Ok(None) };
                let parts = codec::split(cql_type, &whole).map_err(RequestError::Server)?;
                parts.into_iter().nth(*position).flatten()
            }
            Output::Aggregate(_) => None,
        })
    }

    fn cell(&self, source: Source) -> Option<&quorate_model::Cell> {
        match source {
            Source::Static(id) => self.static_row.cell(id),
            Source::Regular(id) => self.row?.cell(id),
            Source::Partition(_) | Source::Clustering(_) => None,
        }
    }

    fn column(&self, source: Source, cql_type: &CqlType) -> Option<Bytes> {
        match source {
            Source::Partition(position) => self.partition.get(position).cloned(),
            Source::Clustering(position) => self.clustering.get(position).cloned().flatten(),
            Source::Static(id) => cell_value(self.static_row, id, cql_type, self.now),
            Source::Regular(id) => cell_value(self.row?, id, cql_type, self.now),
        }
    }
}

/// A column's value in its CQL encoding; a collection without live elements is null.
fn cell_value(row: &Row, id: ColumnId, cql_type: &CqlType, now: Seconds) -> Option<Bytes> {
    let cells = match row.column(id)? {
        ColumnData::Simple(cell) => return cell.value_at(now).cloned(),
        ColumnData::Complex { cells, .. } => cells,
    };
    let live = cells.iter().filter_map(|(path, cell)| cell.value_at(now).map(|value| (path, value)));
    if let CqlType::UserDefined { fields, .. } = cql_type {
        let mut values = vec![None; fields.len()];
        for (path, value) in live {
            if let Some(slot) = codec::path_field(path).and_then(|position| values.get_mut(position)) {
                *slot = Some(value.clone());
            }
        }
        return if values.iter().all(Option::is_none) { None } else { codec::assemble(cql_type, values).ok() };
    }
    let (items, per_entry): (Vec<Bytes>, usize) = match cql_type {
        CqlType::List(..) => (live.map(|(_, value)| value.clone()).collect(), 1),
        CqlType::Set(element, _) => (live.filter_map(|(path, _)| codec::path_value(element, path)).collect(), 1),
        CqlType::Map(key, ..) => {
            let entries = live.filter_map(|(path, value)| Some([codec::path_value(key, path)?, value.clone()]));
            (entries.flatten().collect(), 2)
        }
        _ => return None,
    };
    if items.is_empty() { None } else { Some(codec::collection(&items, per_entry)) }
}
