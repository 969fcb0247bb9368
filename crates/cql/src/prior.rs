//! What some modifications have to read before they can be made: `l[i] = v`, `DELETE l[i]` and `l = l - […]` name cells of a
//! list by place or by value, and only who has read the list knows which cells those are.

use std::collections::{BTreeMap, BTreeSet};

use quorate_model::{
    ClusteringKey, DecoratedKey, Partition, Position, ReadCommand, ReadTarget, Row, RowChoice, Seconds, TableId,
};

/// Partitions as they were read before a modification.
#[derive(Clone, Debug, Default)]
pub struct Prior {
    partitions: BTreeMap<(TableId, DecoratedKey), Partition>,
}

impl Prior {
    /// Adds what a read gave; what is known of the partition already stays beside it.
    pub fn add(&mut self, table: TableId, key: DecoratedKey, partition: &Partition) {
        self.partitions.entry((table, key)).or_default().merge(partition);
    }

    /// A row, or the static one.
    pub(crate) fn row(&self, table: TableId, key: &DecoratedKey, clustering: Option<&ClusteringKey>) -> Option<&Row> {
        let partition = self.partitions.get(&(table, key.clone()))?;
        match clustering {
            Some(clustering) => partition.rows.get(clustering),
            None => Some(&partition.static_row),
        }
    }
}

/// The rows that are to be read, gathered over the statements of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    rows: BTreeMap<(TableId, DecoratedKey), BTreeSet<ClusteringKey>>,
}

impl Wanted {
    pub(crate) fn add(&mut self, table: TableId, key: DecoratedKey, rows: impl IntoIterator<Item = ClusteringKey>) {
        self.rows.entry((table, key)).or_default().extend(rows);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// One read a partition; static rows always come along.
    pub(crate) fn commands(self, now: Seconds) -> Vec<ReadCommand> {
        let command = |((table, key), rows): ((TableId, DecoratedKey), BTreeSet<ClusteringKey>)| ReadCommand {
            table,
            target: ReadTarget::Partition(key),
            slices: rows.iter().map(|row| (Position::before(&row.0), Position::after(&row.0))).collect(),
            reversed: false,
            row_limit: u32::MAX,
            per_partition_limit: u32::MAX,
            byte_limit: u32::MAX,
            now,
            rows: RowChoice::All,
        };
        self.rows.into_iter().map(command).collect()
    }
}
