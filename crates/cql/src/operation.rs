//! What a bound plan asks of the node.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_model::request::{BatchKind, RequestError, ResultMetadata};
use quorate_model::schema::Table;
use quorate_model::{DecoratedKey, Mutation, ReadCommand, Seconds, TableId, Token};

use crate::describe::DescribeRequest;
use crate::filter::BoundFilter;
use crate::schema_change::SchemaStatement;
use crate::select::SelectPlan;

/// One execution's work.
#[derive(Clone, Debug)]
pub enum Operation {
    /// Write these, one a partition of a table.
    Mutations(Vec<Mutation>),
    /// Read, and build rows with a [`ResultBuilder`](crate::rows::ResultBuilder).
    Read(ReadOperation),
    /// Read these first, add what they give to a [`Prior`](crate::Prior), and bind again with it, the same time and the same
    /// timestamp: only then is it known which cells are to be written.
    ReadFirst(Vec<ReadCommand>),
    /// Change the schema.
    Schema(SchemaStatement),
    /// Make the table empty.
    Truncate(Arc<Table>),
    /// Choose the connection's keyspace.
    Use(String),
    /// Answer from the schema.
    Describe(DescribeRequest),
    /// Nothing to do (an empty batch, an `IN ()`): done at once.
    Nothing,
}

impl Operation {
    /// Merges mutations of the same partition, so that its share is applied wholly or not at all.
    pub(crate) fn from_mutations(mutations: Vec<Mutation>) -> Self {
        if let [_] = mutations.as_slice() {
            return Self::from_one(mutations);
        }
        let mut merged: BTreeMap<(TableId, DecoratedKey), Mutation> = BTreeMap::new();
        for mut mutation in mutations.into_iter().filter(|mutation| !mutation.update.is_empty()) {
            mutation.update.canonicalize();
            match merged.get_mut(&(mutation.table, mutation.key.clone())) {
                Some(known) => known.update.merge(&mutation.update),
                None => {
                    merged.insert((mutation.table, mutation.key.clone()), mutation);
                }
            }
        }
        if merged.is_empty() { Self::Nothing } else { Self::Mutations(merged.into_values().collect()) }
    }

    /// The same for the usual statement, which makes one: there is nothing to merge it with.
    fn from_one(mut mutations: Vec<Mutation>) -> Self {
        mutations.retain(|mutation| !mutation.update.is_empty());
        mutations.iter_mut().for_each(|mutation| mutation.update.canonicalize());
        if mutations.is_empty() { Self::Nothing } else { Self::Mutations(mutations) }
    }
}

/// The operation of a batch's mutations (of a `BATCH` statement or of a protocol's batch): merged by partition. A logged
/// batch over several partitions needs the batch log.
pub fn batch_operation(kind: BatchKind, mutations: Vec<Mutation>) -> Result<Operation, RequestError> {
    let operation = Operation::from_mutations(mutations);
    match (&operation, kind) {
        (Operation::Mutations(merged), BatchKind::Logged) if merged.len() > 1 => Err(RequestError::invalid(
            "Logged batches over several partitions are not supported yet; use BEGIN UNLOGGED BATCH if each partition's share may be applied on its own",
        )),
        (Operation::Mutations(_), BatchKind::Counter) => {
            Err(RequestError::invalid("Cannot include non-counter statement in a counter batch"))
        }
        _ => Ok(operation),
    }
}

/// A bound `SELECT`.
#[derive(Clone, Debug)]
pub struct ReadOperation {
    /// The plan.
    pub plan: Arc<SelectPlan>,
    /// The columns of its answer.
    pub metadata: Arc<ResultMetadata>,
    /// What to read, one after another: one for each partition in the order of its
    /// values, or a single range of tokens for the node to split over
    /// the ring. Empty if nothing can match. Limits in it are those of the whole statement; the node sets `row_limit`
    /// and `byte_limit` for each page.
    pub commands: Vec<ReadCommand>,
    /// `LIMIT`, in rows of the answer.
    pub limit: Option<u64>,
    /// `PER PARTITION LIMIT`, in rows of the answer.
    pub per_partition_limit: Option<u64>,
    /// The coordinator's one 'now' for expiry.
    pub now: Seconds,
    /// Tests of each row.
    pub(crate) filters: Vec<BoundFilter>,
    /// For `token()` of values.
    pub(crate) partitioner: fn(&[u8]) -> Token,
    /// Constants of the selection, evaluated.
    pub(crate) constants: Vec<Option<bytes::Bytes>>,
    /// Warnings for the client.
    pub warnings: Vec<String>,
}

impl ReadOperation {
    /// Whether rows are tested after they are read: a page may then need more reads than one.
    pub fn is_filtering(&self) -> bool {
        !self.filters.is_empty()
    }

    /// Whether rows are tested for more than the index says by which they were found: then most may not pass.
    pub fn filters_beyond_index(&self) -> bool {
        let covered = self.plan.restrictions.index.as_ref().map_or(0, |index| index.covers);
        self.filters.len() > covered
    }

    /// Whether rows of the answer are groups: where a page of them ends is known only once the next group has begun.
    pub fn is_grouped(&self) -> bool {
        self.plan.is_aggregate() && !self.plan.selection.group_by.is_empty()
    }

    /// Whether rows of the answer are made from several (`COUNT(*)`, `GROUP BY`). Unless they are groups, the node reads
    /// everything, page by page, into one builder.
    pub fn is_aggregate(&self) -> bool {
        self.plan.is_aggregate()
    }
}
