//! Groups of rows that make one row of an answer.

use bytes::Bytes;
use quorate_model::request::RequestError;
use quorate_model::{DecoratedKey, Row};

use crate::aggregate::{Accumulator, Aggregate};
use crate::view::View;

/// What rows of a group have in common: the partition, if there is a `GROUP BY`, and the values grouped by.
pub(crate) type GroupKey = (Option<Bytes>, Vec<Option<Bytes>>);

/// A group in the making.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: GroupKey,
    /// Its first row gives the values that are not aggregated.
    first: Option<FirstRow>,
    accumulators: Vec<Accumulator>,
}

#[derive(Debug)]
pub(crate) struct FirstRow {
    key: DecoratedKey,
    partition: Vec<Bytes>,
    clustering: Vec<Option<Bytes>>,
    static_row: Row,
    row: Option<Row>,
}

impl Group {
    pub(crate) fn new(key: GroupKey, aggregates: &[Aggregate]) -> Self {
        Self { key, first: None, accumulators: aggregates.iter().map(Accumulator::new).collect() }
    }

    /// Takes a row.
    pub(crate) fn add(&mut self, view: &View<'_>, aggregates: &[Aggregate]) -> Result<(), RequestError> {
        for (accumulator, aggregate) in self.accumulators.iter_mut().zip(aggregates) {
            let value = aggregate.argument.as_ref().map(|argument| view.value(argument)).transpose()?;
            accumulator.add(value.flatten())?;
        }
        if self.first.is_none() {
            self.first = Some(FirstRow {
                key: view.key.clone(),
                partition: view.partition.to_vec(),
                clustering: view.clustering.to_vec(),
                static_row: view.static_row.clone(),
                row: view.row.cloned(),
            });
        }
        Ok(())
    }

    /// The results of the aggregates, and the first row.
    pub(crate) fn finish(self) -> (Vec<Option<Bytes>>, Option<FirstRow>) {
        (self.accumulators.into_iter().map(Accumulator::finish).collect(), self.first)
    }
}

impl FirstRow {
    /// Shows the row again, with the aggregates' results.
    pub(crate) fn view<'a>(&'a self, aggregates: &'a [Option<Bytes>], of: &View<'a>) -> View<'a> {
        View {
            key: &self.key,
            partition: &self.partition,
            clustering: &self.clustering,
            static_row: &self.static_row,
            row: self.row.as_ref(),
            aggregates,
            now: of.now,
            constants: of.constants,
            partitioner: of.partitioner,
        }
    }
}
