//! Statements to plans: names resolved, types checked, restrictions analysed. A plan is immutable and shareable, and
//! holds the table it was made for: when the schema changes, it is made anew.

use std::sync::Arc;

use quorate_model::request::{RequestError, ResultMetadata, Values};
use quorate_model::schema::{Schema, Table};

use crate::ast::{Name, Statement, TableName};
use crate::bind::{BindContext, Evaluator};
use crate::describe::DescribeRequest;
use crate::expr::{Parameters, invalid};
use crate::modify::{BatchPlan, ModifyPlan};
use crate::operation::Operation;
use crate::prior::Wanted;
use crate::schema_change::SchemaStatement;
use crate::select::SelectPlan;

/// A statement ready to be executed any number of times.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it does.
    pub kind: PlanKind,
    /// Its bind markers.
    pub parameters: Arc<ResultMetadata>,
    /// For each component of the partition key, the marker that gives it; empty if they are not all markers.
    pub partition_key_markers: Vec<u16>,
    /// The columns of its answer; none for modifications.
    pub result: Arc<ResultMetadata>,
}

/// Kinds of plan.
#[derive(Clone, Debug)]
pub enum PlanKind {
    /// Reads.
    Select(Arc<SelectPlan>),
    /// Writes to one table.
    Modify(Arc<ModifyPlan>),
    /// Several writes.
    Batch(Arc<BatchPlan>),
    /// A change of the schema.
    Schema(SchemaStatement),
    /// Makes a table empty.
    Truncate(Arc<Table>),
    /// Chooses the connection's keyspace.
    Use(String),
    /// Describes the schema.
    Describe(DescribeRequest),
}

/// Plans a statement. `keyspace` is the connection's.
pub fn plan(statement: &Statement, schema: &Schema, keyspace: Option<&str>) -> Result<Plan, RequestError> {
    match statement {
        Statement::Select(select) => crate::select::plan_select(select, schema, keyspace),
        Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
            crate::modify::plan_modification(statement, schema, keyspace)
        }
        Statement::Batch(batch) => crate::modify::plan_batch(batch, schema, keyspace),
        Statement::Truncate(name) => {
            let table = find_table(name, schema, keyspace)?;
            refuse_system(&table.keyspace, "TRUNCATE of", schema)?;
            Ok(Plan::without_parameters(PlanKind::Truncate(table)))
        }
        Statement::Use(name) => {
            if schema.keyspace(&name.text).is_none() && !crate::system_tables::is_system_keyspace(&name.text) {
                return Err(invalid(format!("Keyspace '{name}' does not exist"), name.place));
            }
            Ok(Plan::without_parameters(PlanKind::Use(name.text.clone())))
        }
        Statement::Describe(describe) => {
            let request = DescribeRequest::new(describe, keyspace);
            let result = Arc::new(request.metadata());
            Ok(Plan { result, ..Plan::without_parameters(PlanKind::Describe(request)) })
        }
        Statement::Unsupported(feature) => Err(RequestError::invalid(format!("{feature} is not supported yet"))),
        _ => Ok(Plan::without_parameters(PlanKind::Schema(SchemaStatement::new(statement, keyspace)?))),
    }
}

impl Plan {
    pub(crate) fn without_parameters(kind: PlanKind) -> Self {
        Self { kind, parameters: Arc::default(), partition_key_markers: Vec::new(), result: Arc::default() }
    }

    /// The table that it was planned with, if there is exactly one.
    pub fn table(&self) -> Option<&Arc<Table>> {
        match &self.kind {
            PlanKind::Select(select) => Some(&select.table),
            PlanKind::Modify(modify) => Some(&modify.table),
            PlanKind::Truncate(table) => Some(table),
            _ => None,
        }
    }

    /// The operation for one execution with these values.
    pub fn bind(&self, values: &Values, context: &mut BindContext<'_>) -> Result<Operation, RequestError> {
        self.bind_next(values, context, &mut 0)
    }

    /// The same for one of several statements of a batch with one timestamp. `sequence` begins at 0 and goes from one to
    /// the next, so that what they append to a list stays in their order.
    pub fn bind_next(
        &self,
        values: &Values,
        context: &mut BindContext<'_>,
        sequence: &mut u32,
    ) -> Result<Operation, RequestError> {
        let settings = BindSettings {
            now: context.now,
            timestamp: context.timestamp,
            partitioner: context.partitioner,
            page_size: context.page_size,
            prior: context.prior,
        };
        let mut evaluator = Evaluator::new(values, &self.parameters, context, *sequence)?;
        let operation = self.operation(&mut evaluator, &settings)?;
        *sequence = evaluator.sequence();
        Ok(operation)
    }

    fn operation(&self, evaluator: &mut Evaluator<'_>, settings: &BindSettings<'_>) -> Result<Operation, RequestError> {
        match &self.kind {
            PlanKind::Select(select) => select.bind(&self.result, evaluator, settings).map(Operation::Read),
            PlanKind::Modify(modify) => {
                let mut wanted = Wanted::default();
                let mutations = modify.bind(evaluator, settings, &mut wanted)?;
                if !wanted.is_empty() {
                    return Ok(Operation::ReadFirst(wanted.commands(settings.now)));
                }
                Ok(Operation::from_mutations(mutations))
            }
            PlanKind::Batch(batch) => batch.bind(evaluator, settings),
            PlanKind::Schema(statement) => Ok(Operation::Schema(statement.clone())),
            PlanKind::Truncate(table) => Ok(Operation::Truncate(table.clone())),
            PlanKind::Use(keyspace) => Ok(Operation::Use(keyspace.clone())),
            PlanKind::Describe(request) => Ok(Operation::Describe(request.clone())),
        }
    }
}

/// What of a [`BindContext`] the plans need beside the evaluator.
#[derive(Clone, Copy)]
pub(crate) struct BindSettings<'a> {
    pub(crate) now: quorate_model::Seconds,
    pub(crate) timestamp: quorate_model::Timestamp,
    pub(crate) partitioner: fn(&[u8]) -> quorate_model::Token,
    pub(crate) page_size: Option<u32>,
    pub(crate) prior: Option<&'a crate::Prior>,
}

/// The keyspace that a table's name means.
pub(crate) fn keyspace_of<'a>(given: Option<&'a Name>, keyspace: Option<&'a str>) -> Result<&'a str, RequestError> {
    given.map(|name| name.text.as_str()).or(keyspace).ok_or_else(|| {
        RequestError::invalid(
            "No keyspace has been specified. USE a keyspace, or explicitly specify keyspace.tablename",
        )
    })
}

/// The table that a name means.
pub(crate) fn find_table(
    name: &TableName,
    schema: &Schema,
    keyspace: Option<&str>,
) -> Result<Arc<Table>, RequestError> {
    let keyspace = keyspace_of(name.keyspace.as_ref(), keyspace)?;
    let place = name.keyspace.as_ref().map_or(name.name.place, |name| name.place);
    // Of a keyspace of the system that is stored, the schema's own table goes first.
    if schema.keyspace(keyspace).is_none()
        && let Some(table) = crate::system_tables::find(keyspace, &name.name.text)
    {
        return Ok(table);
    }
    if crate::system_tables::is_system_keyspace(keyspace) && schema.keyspace(keyspace).is_none() {
        return Err(invalid(format!("table {} does not exist", name.name), name.name.place));
    }
    let Some(found) = schema.keyspace(keyspace) else {
        return Err(invalid(format!("keyspace {keyspace} does not exist"), place));
    };
    let table = found.tables.get(&name.name.text);
    table.cloned().ok_or_else(|| invalid(format!("table {} does not exist", name.name), name.name.place))
}

/// Keyspaces of the system are not for users to write, but for those whose rows are stored.
pub(crate) fn refuse_system(keyspace: &str, what: &str, schema: &Schema) -> Result<(), RequestError> {
    let is_stored = crate::system_tables::is_stored(keyspace) && schema.keyspace(keyspace).is_some();
    if crate::system_tables::is_system_keyspace(keyspace) && !is_stored {
        return Err(RequestError::Unauthorized(format!("{what} tables of the {keyspace} keyspace is not permitted")));
    }
    Ok(())
}

/// The markers of the partition key, if each component is one.
pub(crate) fn key_markers(partitions: &crate::restrictions::Partitions) -> Vec<u16> {
    use crate::restrictions::{Choice, Partitions};
    let Partitions::Keys(choices) = partitions else { return Vec::new() };
    let markers = choices.iter().map(|choice| if let Choice::One(value) = choice { value.marker() } else { None });
    markers.collect::<Option<Vec<u16>>>().unwrap_or_default()
}

/// Ends planning of something with markers.
pub(crate) fn finish(
    kind: PlanKind,
    parameters: Parameters,
    partition_key_markers: Vec<u16>,
    result: ResultMetadata,
) -> Result<Plan, RequestError> {
    Ok(Plan { kind, parameters: Arc::new(parameters.finish()?), partition_key_markers, result: Arc::new(result) })
}
