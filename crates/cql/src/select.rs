//! Planning and binding of `SELECT`.

use std::sync::Arc;

use quorate_model::request::{RequestError, ResultMetadata};
use quorate_model::schema::{Column, ColumnKind, Schema, Table};
use quorate_model::{CqlType, Position, ReadCommand, ReadTarget, RowChoice};

use crate::ast::{Name, Operator, RelationTarget, Select, Term};
use crate::bind::Evaluator;
use crate::expr::{Bound, Expr, Parameters, Receiver, invalid, typed};
use crate::filter::BoundFilter;
use crate::keys;
use crate::operation::ReadOperation;
use crate::plan::{BindSettings, Plan, PlanKind, find_table, finish, key_markers};
use crate::projection::Projection;
use crate::restrictions::{
    Choice, Filter, FilterTest, NEEDS_FILTERING, Partitions, Restrictions, StepKind, WhereOf, analyse, column,
};
use crate::selection::{Output, Selection, Source, select_columns};

/// A planned `SELECT`.
#[derive(Clone, Debug)]
pub struct SelectPlan {
    /// The table it was planned with.
    pub table: Arc<Table>,
    pub(crate) restrictions: Restrictions,
    pub(crate) selection: Selection,
    /// How rows become rows of the answer, if nothing is to be computed.
    pub(crate) projection: Option<Projection>,
    pub(crate) distinct: bool,
    pub(crate) reversed: bool,
    /// How many leading clustering columns `ORDER BY` orders by.
    pub(crate) ordered_columns: usize,
    limit: Option<Expr>,
    per_partition_limit: Option<Expr>,
}

impl SelectPlan {
    /// Whether the answer is made from all rows.
    pub fn is_aggregate(&self) -> bool {
        self.selection.is_aggregate()
    }

    /// Whether a partition of which only static columns are alive shows as a row.
    pub(crate) fn shows_static_only(&self) -> bool {
        self.restrictions.clustering.is_empty()
    }
}

/// Plans a `SELECT`.
pub(crate) fn plan_select(select: &Select, schema: &Schema, keyspace: Option<&str>) -> Result<Plan, RequestError> {
    let table = find_table(&select.table, schema, keyspace)?;
    let mut parameters = Parameters::new();
    parameters.set_table(&table, schema);
    let (selection, metadata) =
        select_columns(&select.columns, &select.group_by, select.json, &table, &mut parameters)?;
    let allow_filtering = select.allow_filtering || crate::system_tables::allows_filtering(&table.keyspace);
    let of = WhereOf::Select { allow_filtering, only_static: selection.shows_only_static() };
    let restrictions = analyse(&select.relations, &table, of, &mut parameters)?;
    check_group_by(&selection.group_by, &table, &restrictions, select.distinct)?;
    check_limits(select, &selection)?;
    if select.distinct {
        if select.per_partition_limit.is_some() {
            return Err(RequestError::invalid("PER PARTITION LIMIT is not allowed with SELECT DISTINCT queries"));
        }
        check_distinct_where(select, &table)?;
        check_distinct(select, &selection, &table)?;
    }
    let reversed = check_order(&select.order_by, &table, &restrictions)?;
    check_distinct_order(select, &restrictions)?;
    let ordered = orderings(&select.order_by, &table)?;
    let ordered_columns = ordered.iter().map(|(_, (position, _))| usize::from(*position) + 1).max().unwrap_or(0);
    if restrictions.refused {
        return Err(RequestError::invalid(NEEDS_FILTERING));
    }
    let mut limit_of = |term: Option<&Term>, name: &str| -> Result<Option<Expr>, RequestError> {
        let Some(term) = term else { return Ok(None) };
        let value = typed(term, &Receiver { name, cql_type: &CqlType::Int }, &mut parameters)?;
        if let Expr::Value(bytes) = &value {
            positive(bytes).map_err(|message| invalid(message, term.place))?;
        }
        Ok(Some(value))
    };
    let per_partition_limit = limit_of(select.per_partition_limit.as_ref(), "[per_partition_limit]")?;
    let limit = limit_of(select.limit.as_ref(), "[limit]")?;
    let markers = key_markers(&restrictions.partitions);
    let is_plain = !select.distinct && restrictions.filters.is_empty();
    let plan = SelectPlan {
        projection: if is_plain { Projection::of(&selection, &table) } else { None },
        table,
        restrictions,
        selection,
        distinct: select.distinct,
        reversed,
        ordered_columns,
        limit,
        per_partition_limit,
    };
    finish(PlanKind::Select(Arc::new(plan)), parameters, markers, metadata)
}

fn positive(bytes: &[u8]) -> Result<u64, String> {
    let number: [u8; 4] = bytes.try_into().map_err(|_| "Invalid limit value".to_owned())?;
    let number = i32::from_be_bytes(number);
    u64::try_from(number).ok().filter(|limit| *limit > 0).ok_or_else(|| "LIMIT must be strictly positive".to_owned())
}

/// Whether a clustering column has one value.
fn has_one_value(restrictions: &Restrictions, position: usize) -> bool {
    restrictions.clustering.iter().any(|step| {
        let covers = step.first <= position && position < step.first + step.types.len();
        covers && matches!(step.kind, StepKind::Choice(Choice::One(_)))
    })
}

/// Groups are of rows next to each other: by columns of the key in its order, but for those with one value.
fn check_group_by(
    outputs: &[Output],
    table: &Table,
    restrictions: &Restrictions,
    distinct: bool,
) -> Result<(), RequestError> {
    if outputs.is_empty() {
        return Ok(());
    }
    let message = "Group by currently only support groups of columns following their declared order in the PRIMARY KEY";
    let key_length = table.partition_key().count();
    // Rows may also be tested for one value.
    let is_tested = |source: Source| {
        let of = |filter: &Filter| Source::of(&filter.column) == source;
        let filters = restrictions.filters.iter().filter(|filter| of(filter));
        filters.into_iter().any(|filter| matches!(filter.test, FilterTest::Compare(Operator::Equal, _)))
    };
    let fixed = |position: usize| match position.checked_sub(key_length) {
        None => match &restrictions.partitions {
            Partitions::Keys(choices) => matches!(choices.get(position), Some(Choice::One(_))),
            Partitions::Range { .. } => is_tested(Source::Partition(position)),
        },
        Some(clustering) => has_one_value(restrictions, clustering) || is_tested(Source::Clustering(clustering)),
    };
    let mut next = 0;
    for (index, output) in outputs.iter().enumerate() {
        let mut found = None;
        output.mentions(&mut |inner| {
            found = found.or(inner.source());
            found.is_some()
        });
        let position = match found {
            Some(Source::Partition(position)) => position,
            Some(Source::Clustering(position)) => key_length + position,
            _ => return Err(RequestError::invalid(message)),
        };
        while next < position && fixed(next) {
            next += 1;
        }
        if position != next {
            return Err(RequestError::invalid(message));
        }
        next += 1;
        if !matches!(output, Output::Column(..)) && index + 1 < outputs.len() {
            return Err(RequestError::invalid(
                "Functions are only supported on the last element of the GROUP BY clause",
            ));
        }
    }
    if distinct && next > key_length {
        return Err(RequestError::invalid("Grouping on clustering columns is not allowed for SELECT DISTINCT queries"));
    }
    if next < key_length {
        return Err(RequestError::invalid("Group by is not supported on only a part of the partition key"));
    }
    Ok(())
}

fn check_limits(select: &Select, selection: &Selection) -> Result<(), RequestError> {
    if select.per_partition_limit.is_some() && selection.is_aggregate() && selection.group_by.is_empty() {
        return Err(RequestError::invalid("PER PARTITION LIMIT is not allowed with aggregate queries."));
    }
    Ok(())
}

fn check_distinct_where(select: &Select, table: &Table) -> Result<(), RequestError> {
    for relation in &select.relations {
        let names = match &relation.target {
            RelationTarget::Column(name) | RelationTarget::Element(name, _) => std::slice::from_ref(name),
            RelationTarget::Columns(names) | RelationTarget::Token(names) => names.as_slice(),
        };
        for name in names {
            if matches!(column(table, name)?.kind, ColumnKind::Clustering(..) | ColumnKind::Regular) {
                let message = "SELECT DISTINCT with WHERE clause only supports restriction by partition key and/or static columns.";
                return Err(invalid(message, name.place));
            }
        }
    }
    Ok(())
}

fn check_distinct(select: &Select, selection: &Selection, table: &Table) -> Result<(), RequestError> {
    let mut requested: Vec<&Column> = Vec::new();
    let mut has_token = false;
    let mut note = |output: &Output| {
        output.mentions(&mut |inner| {
            has_token |= matches!(inner, Output::Token);
            let source = inner.source();
            requested.extend(table.columns.iter().filter(|column| Some(Source::of(column)) == source));
            false
        });
    };
    selection.outputs.iter().for_each(&mut note);
    selection.aggregates.iter().filter_map(|aggregate| aggregate.argument.as_deref()).for_each(&mut note);
    if select.columns.is_empty() {
        requested.extend(&table.columns);
    }
    if has_token {
        requested.extend(table.partition_key());
    }
    if let Some(wrong) =
        requested.iter().find(|column| matches!(column.kind, ColumnKind::Clustering(..) | ColumnKind::Regular))
    {
        return Err(RequestError::invalid(format!(
            "SELECT DISTINCT queries must only request partition key columns and/or static columns (not {})",
            wrong.name
        )));
    }
    if let Some(missing) = table.partition_key().find(|column| !requested.contains(column)) {
        return Err(RequestError::invalid(format!(
            "SELECT DISTINCT queries must request all the partition key columns (missing {})",
            missing.name
        )));
    }
    Ok(())
}

/// Rows of several partitions are put in order by the clustering columns, which `DISTINCT` has not.
fn check_distinct_order(select: &Select, restrictions: &Restrictions) -> Result<(), RequestError> {
    let Partitions::Keys(choices) = &restrictions.partitions else { return Ok(()) };
    let is_one = choices.iter().all(|choice| matches!(choice, Choice::One(_)));
    match select.order_by.first().filter(|_| select.distinct && !is_one) {
        Some((name, _)) => Err(RequestError::invalid(format!(
            "SELECT DISTINCT queries must only request partition key columns and/or static columns (not {name})"
        ))),
        None => Ok(()),
    }
}

/// Columns' names, each with a position in the clustering key and whether it is read backwards.
type Orderings<'a> = Vec<(&'a Name, (u16, bool))>;

/// The clustering columns of an `ORDER BY`, each with its position and whether it goes against the table's order. Of a column
/// that is named twice, the first place and the last direction count.
fn orderings<'a>(order: &'a [(Name, bool)], table: &Table) -> Result<Orderings<'a>, RequestError> {
    let mut found: Orderings<'_> = Vec::new();
    for (name, descending) in order {
        let ColumnKind::Clustering(position, column_descends) = column(table, name)?.kind else {
            let message =
                format!("Order by is currently only supported on the clustered columns of the PRIMARY KEY, got {name}");
            return Err(invalid(message, name.place));
        };
        let ordering = (position, *descending != column_descends);
        match found.iter_mut().find(|(_, (known, _))| *known == position) {
            Some((_, known)) => *known = ordering,
            None => found.push((name, ordering)),
        }
    }
    Ok(found)
}

/// Whether rows are read backwards.
fn check_order(order: &[(Name, bool)], table: &Table, restrictions: &Restrictions) -> Result<bool, RequestError> {
    let Some((first, _)) = order.first() else { return Ok(false) };
    if restrictions.index.is_some() {
        let message = "ORDER BY with 2ndary indexes is not supported, except for ANN queries.";
        return Err(invalid(message, first.place));
    }
    if !matches!(restrictions.partitions, Partitions::Keys(_)) {
        let message = "ORDER BY is only supported when the partition key is restricted by an EQ or an IN.";
        return Err(invalid(message, first.place));
    }
    let equal = |position: usize| has_one_value(restrictions, position);
    let mut next = 0;
    let mut reversed: Option<bool> = None;
    for (name, (position, backwards)) in orderings(order, table)? {
        let position = usize::from(position);
        while next < position && equal(next) {
            next += 1;
        }
        if position != next {
            let message = "Order by currently only supports the ordering of columns following their declared order in the PRIMARY KEY";
            return Err(invalid(message, name.place));
        }
        next += 1;
        if reversed.is_some_and(|known| known != backwards) {
            return Err(invalid("Unsupported order by relation", name.place));
        }
        reversed = Some(backwards);
    }
    Ok(reversed.unwrap_or(false))
}

impl SelectPlan {
    pub(crate) fn bind(
        self: &Arc<Self>,
        metadata: &Arc<ResultMetadata>,
        evaluator: &mut Evaluator<'_>,
        settings: &BindSettings<'_>,
    ) -> Result<ReadOperation, RequestError> {
        let filters = self
            .restrictions
            .filters
            .iter()
            .map(|filter| BoundFilter::new(filter, evaluator))
            .collect::<Result<_, _>>()?;
        let mut constants = Vec::new();
        for constant in &self.selection.constants {
            constants.push(constant.eval(evaluator)?.into_option());
        }
        let limit = bound_limit(self.limit.as_ref(), evaluator)?;
        let per_partition_limit = bound_limit(self.per_partition_limit.as_ref(), evaluator)?;
        let mut operation = ReadOperation {
            plan: self.clone(),
            metadata: metadata.clone(),
            commands: Vec::new(),
            limit,
            per_partition_limit: match self.distinct {
                true if self.is_aggregate() => None,
                true => Some(1),
                false => per_partition_limit,
            },
            now: settings.now,
            partitioner: evaluator.partitioner(),
            filters,
            constants,
            warnings: Vec::new(),
        };
        operation.commands = self.commands(&operation, evaluator, settings)?;
        let (is_restricted, has_in) = self.restrictions.of_partition_key();
        if self.ordered_columns > 0 && has_in && settings.page_size.is_some() {
            return Err(RequestError::invalid(
                "Cannot page queries with both ORDER BY and a IN restriction on the partition key; you must either remove the ORDER BY or the IN and sort client side, or disable paging for this query",
            ));
        }
        if self.is_aggregate() {
            let warning = match (is_restricted, has_in) {
                (false, _) => Some("Aggregation query used without partition key"),
                (true, true) => Some("Aggregation query used on multiple partition keys (IN restriction)"),
                (true, false) => None,
            };
            operation.warnings.extend(warning.map(str::to_owned));
        }
        Ok(operation)
    }

    fn commands(
        &self,
        operation: &ReadOperation,
        evaluator: &mut Evaluator<'_>,
        settings: &BindSettings<'_>,
    ) -> Result<Vec<ReadCommand>, RequestError> {
        let slices = if self.restrictions.clustering.is_empty() {
            vec![(Position::START, Position::END)]
        } else {
            keys::slices(&self.restrictions.clustering, evaluator)?
        };
        // `IN ()` names no rows; a command without slices would read the static row.
        let no_rows = slices.is_empty();
        let pushed_down = |limit: Option<u64>| {
            let limit = if operation.filters.is_empty() { limit } else { None };
            limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX)
        };
        let pushed_down = |limit: Option<u64>| if self.is_aggregate() { u32::MAX } else { pushed_down(limit) };
        let command = |target, slices, rows| ReadCommand {
            table: self.table.id,
            target,
            slices,
            reversed: self.reversed,
            row_limit: pushed_down(operation.limit),
            per_partition_limit: pushed_down(operation.per_partition_limit),
            byte_limit: u32::MAX,
            now: settings.now,
            rows,
        };
        let (mut targets, mut last) = (Vec::new(), None);
        match &self.restrictions.partitions {
            Partitions::Keys(choices) => {
                targets = keys::partition_keys(&self.table, choices, settings.partitioner, evaluator)?;
                last = targets.pop().map(ReadTarget::Partition);
            }
            Partitions::Range { lower, upper } => {
                if let Some((after, end)) = keys::token_range(lower.as_ref(), upper.as_ref(), evaluator)? {
                    last = Some(ReadTarget::Range { after, last: end, from: None });
                }
            }
        }
        if no_rows {
            return Ok(Vec::new());
        }
        let rows = match &self.restrictions.index {
            Some(index) => RowChoice::Index(index.search(evaluator)?),
            None => RowChoice::All,
        };
        // The usual statement names one partition: only further ones need copies.
        let mut commands = Vec::with_capacity(targets.len() + 1);
        commands
            .extend(targets.into_iter().map(|key| command(ReadTarget::Partition(key), slices.clone(), rows.clone())));
        commands.extend(last.map(|target| command(target, slices, rows)));
        Ok(commands)
    }

    /// Whether a value of this kind is shown or tested, so that it has to be taken out of rows.
    pub(crate) fn uses(&self, test: impl Fn(&Source) -> bool + Copy) -> bool {
        let uses = |output: &Output| output.mentions(&mut |inner| inner.source().is_some_and(|source| test(&source)));
        let arguments = self.selection.aggregates.iter().filter_map(|aggregate| aggregate.argument.as_deref());
        self.selection.outputs.iter().chain(&self.selection.group_by).chain(arguments).any(uses)
            || self.restrictions.filters.iter().any(|filter| test(&Source::of(&filter.column)))
    }
}

fn bound_limit(limit: Option<&Expr>, evaluator: &mut Evaluator<'_>) -> Result<Option<u64>, RequestError> {
    let Some(limit) = limit else { return Ok(None) };
    match limit.eval(evaluator)? {
        Bound::Unset => Ok(None),
        Bound::Null => Err(RequestError::invalid("Invalid null value of limit")),
        Bound::Value(bytes) => positive(&bytes).map(Some).map_err(RequestError::invalid),
    }
}
