//! Modifications, bound again once what they depend on has been read.

use std::time::Duration;

use quorate_cql::{Operation, Prior, batch_operation};
use quorate_model::request::{Answer, BatchKind, QueryOptions, RequestError, Values};
use quorate_model::{Consistency, ReadCommand, ReadResponse, TableId};

use super::client::{Bound, batch_type};
use super::op::Op;
use super::statements::Planned;
use super::{Step, Worker};
use crate::limits;

/// A request that is to be bound again with what is read for it.
pub(super) struct PendingWrites {
    /// What is read.
    pub commands: Vec<ReadCommand>,
    prior: Prior,
    bytes: usize,
    request: Modification,
}

/// A request that writes.
pub(super) enum Modification {
    Statement { planned: Planned, values: Values, options: QueryOptions, timeout: Duration },
    Batch { kind: BatchKind, statements: Vec<(Planned, Values)>, options: QueryOptions },
}

impl PendingWrites {
    pub(super) fn new(commands: Vec<ReadCommand>, request: Modification) -> Self {
        Self { commands, prior: Prior::default(), bytes: 0, request }
    }

    /// Takes what a read gave, unless it is too much to hold.
    pub(super) fn add(&mut self, table: TableId, response: ReadResponse) -> Result<(), RequestError> {
        for (key, partition) in response.partitions {
            self.bytes = self.bytes.saturating_add(partition.encoded_size_hint());
            if self.bytes > limits::UNPAGED_BYTES_MAX {
                return Err(RequestError::invalid(format!(
                    "the rows to be read before this write are larger than {} bytes",
                    limits::UNPAGED_BYTES_MAX
                )));
            }
            self.prior.add(table, key, &partition);
        }
        Ok(())
    }
}

impl Modification {
    pub(super) fn consistency(&self) -> Consistency {
        match self {
            Self::Statement { options, .. } | Self::Batch { options, .. } => options.consistency,
        }
    }
}

impl Worker {
    /// Writes, now that all is read.
    pub(super) fn write_after_read(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        pending: PendingWrites,
    ) -> Result<(), RequestError> {
        let prior = Some(&pending.prior);
        match pending.request {
            Modification::Statement { planned, values, options, timeout } => {
                self.run(step, id, op, Bound { planned: &planned, values: &values, options, timeout, prior })
            }
            Modification::Batch { kind, statements, options } => {
                self.write_batch(step, id, op, (kind, statements), options, prior)
            }
        }
    }

    /// Binds the statements of a protocol's batch and starts what they ask for.
    pub(super) fn write_batch(
        &mut self,
        step: &mut Step<'_>,
        id: u64,
        op: &mut Op,
        (kind, statements): (BatchKind, Vec<(Planned, Values)>),
        options: QueryOptions,
        prior: Option<&Prior>,
    ) -> Result<(), RequestError> {
        let (mut mutations, mut reads, mut sequence) = (Vec::new(), Vec::new(), 0);
        for (planned, values) in &statements {
            match self.bind(step, planned, values, &options, (prior, &mut sequence))? {
                Operation::Mutations(own) => mutations.extend(own),
                Operation::ReadFirst(commands) => reads.extend(commands),
                _ => {}
            }
        }
        if !reads.is_empty() {
            return self.start_prior_read(step, id, op, reads, Modification::Batch { kind, statements, options });
        }
        let Operation::Mutations(mutations) = batch_operation(kind, mutations)? else {
            self.answer(step, op, Ok(Answer::Void));
            return Ok(());
        };
        self.check_mutations(step, &mutations)?;
        let write_type = batch_type(mutations.len());
        self.start_writes(step, id, op, mutations, options.consistency, write_type)
    }
}
