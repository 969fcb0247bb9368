//! Planning and binding of `INSERT`, `UPDATE`, `DELETE` and `BATCH`.

use std::sync::Arc;

use quorate_model::request::{BatchKind, RequestError, ResultMetadata};
use quorate_model::schema::{Column, ColumnKind, Schema, Table};
use quorate_model::{
    ClusteringKey, CqlType, DecoratedKey, Deletion, Liveness, Mutation, Partition, RangeTombstone, Row, Timestamp, Ttl,
};

use crate::ast::{Batch, Delete, Insert, Statement, Term, Update, Using};
use crate::bind::Evaluator;
use crate::change::{ColumnChange, Stamp, changes_of_delete, changes_of_update};
use crate::expr::{Bound, Expr, Parameters, Receiver, invalid, typed};
use crate::indexes::check_values;
use crate::keys;
use crate::operation::{Operation, batch_operation};
use crate::plan::{BindSettings, Plan, PlanKind, find_table, finish, key_markers, refuse_system};
use crate::prior::{Prior, Wanted};
use crate::restrictions::{Choice, Partitions, Step, StepKind, WhereOf, analyse, column};

const CONDITIONS: &str = "Conditional statements (IF …) are not supported yet";

/// A planned `INSERT`, `UPDATE` or `DELETE`.
#[derive(Clone, Debug)]
pub struct ModifyPlan {
    /// The table it was planned with.
    pub table: Arc<Table>,
    verb: Verb,
    partitions: Vec<Choice>,
    clustering: Vec<Step>,
    changes: Vec<ColumnChange>,
    timestamp: Option<Expr>,
    ttl: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Insert,
    Update,
    Delete,
}

impl ModifyPlan {
    /// Whether it sets its own timestamp.
    pub fn has_timestamp(&self) -> bool {
        self.timestamp.is_some()
    }
}

/// A planned `BATCH` statement.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// Its kind.
    pub kind: BatchKind,
    timestamp: Option<Expr>,
    /// Its statements, in order.
    pub statements: Vec<ModifyPlan>,
}

pub(crate) fn plan_modification(
    statement: &Statement,
    schema: &Schema,
    keyspace: Option<&str>,
) -> Result<Plan, RequestError> {
    let mut parameters = Parameters::new();
    let plan = modification(statement, schema, keyspace, &mut parameters)?;
    let markers = key_markers(&Partitions::Keys(plan.partitions.clone()));
    finish(PlanKind::Modify(Arc::new(plan)), parameters, markers, ResultMetadata::default())
}

fn modification(
    statement: &Statement,
    schema: &Schema,
    keyspace: Option<&str>,
    parameters: &mut Parameters,
) -> Result<ModifyPlan, RequestError> {
    let (name, what) = match statement {
        Statement::Insert(insert) => (&insert.table, "INSERT into"),
        Statement::Update(update) => (&update.table, "UPDATE of"),
        Statement::Delete(delete) => (&delete.table, "DELETE from"),
        _ => return Err(RequestError::invalid("only INSERT, UPDATE and DELETE can be here")),
    };
    let table = find_table(name, schema, keyspace)?;
    refuse_system(&table.keyspace, what, schema)?;
    parameters.set_table(&table, schema);
    match statement {
        Statement::Insert(insert) => plan_insert(insert, table, parameters),
        Statement::Update(update) => plan_update(update, table, parameters),
        Statement::Delete(delete) => plan_delete(delete, table, parameters),
        _ => Err(RequestError::invalid("only INSERT, UPDATE and DELETE can be here")),
    }
}

pub(crate) fn plan_batch(batch: &Batch, schema: &Schema, keyspace: Option<&str>) -> Result<Plan, RequestError> {
    if let Some(ttl) = &batch.using.ttl {
        return Err(invalid("Global TTL on the BATCH statement is not supported.", ttl.place));
    }
    let mut parameters = Parameters::new();
    let timestamp = using_timestamp(&batch.using, &mut parameters)?;
    let mut statements = Vec::with_capacity(batch.statements.len());
    for statement in &batch.statements {
        let plan = modification(statement, schema, keyspace, &mut parameters)?;
        if timestamp.is_some() && plan.has_timestamp() {
            return Err(RequestError::invalid("Timestamp must be set either on BATCH or individual statements"));
        }
        if batch.kind == BatchKind::Counter {
            return Err(RequestError::invalid("Cannot include non-counter statement in a counter batch"));
        }
        statements.push(plan);
    }
    let plan = BatchPlan { kind: batch.kind, timestamp, statements };
    finish(PlanKind::Batch(Arc::new(plan)), parameters, Vec::new(), ResultMetadata::default())
}

fn using_timestamp(using: &Using, parameters: &mut Parameters) -> Result<Option<Expr>, RequestError> {
    let typed_as = |term: &Term, parameters: &mut Parameters| {
        typed(term, &Receiver { name: "[timestamp]", cql_type: &CqlType::BigInt }, parameters)
    };
    using.timestamp.as_ref().map(|term| typed_as(term, parameters)).transpose()
}

fn using_ttl(using: &Using, parameters: &mut Parameters) -> Result<Option<Expr>, RequestError> {
    let Some(term) = &using.ttl else { return Ok(None) };
    let ttl = typed(term, &Receiver { name: "[ttl]", cql_type: &CqlType::Int }, parameters)?;
    if let Expr::Value(bytes) = &ttl {
        ttl_of(bytes).map_err(|message| invalid(message, term.place))?;
    }
    Ok(Some(ttl))
}

fn ttl_of(bytes: &[u8]) -> Result<u32, String> {
    let number: [u8; 4] = bytes.try_into().map_err(|_| "Invalid TTL value".to_owned())?;
    let number = i32::from_be_bytes(number);
    let ttl = u32::try_from(number).map_err(|_| format!("A TTL must be greater or equal to 0, but was {number}"))?;
    if ttl > Ttl::MAX.0 {
        return Err(format!("ttl is too large. requested ({ttl}) maximum ({})", Ttl::MAX.0));
    }
    Ok(ttl)
}

fn refuse_counters(table: &Table, verb: Verb) -> Result<(), RequestError> {
    if !table.is_counter() {
        return Ok(());
    }
    Err(RequestError::invalid(match verb {
        Verb::Insert => "INSERT statements are not allowed on counter tables, use UPDATE instead",
        Verb::Update | Verb::Delete => "Counters are not supported yet",
    }))
}

fn missing<'a>(columns: impl Iterator<Item = &'a Column>) -> String {
    columns.map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The columns of an `INSERT`, each with its value.
fn given_values<'a>(
    insert: &Insert,
    table: &'a Table,
    parameters: &mut Parameters,
) -> Result<Vec<(&'a Column, Expr)>, RequestError> {
    if let (Some(unset), Some(term)) = (insert.json, insert.values.first()) {
        return crate::insert_json::columns(term, unset, table, parameters);
    }
    if insert.columns.len() != insert.values.len() {
        return Err(RequestError::invalid("Unmatched column names/values"));
    }
    let mut given: Vec<(&Column, Expr)> = Vec::with_capacity(insert.columns.len());
    for (name, term) in insert.columns.iter().zip(&insert.values) {
        let found = column(table, name)?;
        if given.iter().any(|(known, _)| known.id == found.id) {
            return Err(invalid("The column names contains duplicates", name.place));
        }
        let value = typed(term, &Receiver { name: &found.name, cql_type: &found.cql_type }, parameters)?;
        given.push((found, value));
    }
    Ok(given)
}

fn plan_insert(insert: &Insert, table: Arc<Table>, parameters: &mut Parameters) -> Result<ModifyPlan, RequestError> {
    refuse_counters(&table, Verb::Insert)?;
    let given = given_values(insert, &table, parameters)?;
    if insert.if_not_exists {
        return Err(RequestError::invalid(CONDITIONS));
    }
    let value_of =
        |column: &Column| given.iter().find(|(known, _)| known.id == column.id).map(|(_, value)| value.clone());
    let lacks = |column: &&Column| value_of(column).is_none();
    let absent = missing(table.partition_key().filter(lacks));
    if !absent.is_empty() {
        return Err(RequestError::invalid(format!("Some partition key parts are missing: {absent}")));
    }
    let partitions = table.partition_key().filter_map(value_of).map(Choice::One).collect();
    let of_kind = |kind| given.iter().any(|(column, _)| column.kind == kind);
    let no_clustering = table.clustering().all(|column| lacks(&column));
    let static_only =
        table.has_clustering() && no_clustering && of_kind(ColumnKind::Static) && !of_kind(ColumnKind::Regular);
    let mut clustering = Vec::new();
    if !static_only {
        let absent = missing(table.clustering().filter(lacks));
        if !absent.is_empty() {
            return Err(RequestError::invalid(format!("Some clustering keys are missing: {absent}")));
        }
        for (first, column) in table.clustering().enumerate() {
            let Some(value) = value_of(column) else { continue };
            let descending = matches!(column.kind, ColumnKind::Clustering(_, true));
            clustering.push(Step {
                first,
                types: vec![(column.cql_type.clone(), descending)],
                is_tuple: false,
                kind: StepKind::Choice(Choice::One(value)),
                names: column.name.clone(),
            });
        }
    }
    let changes = given
        .iter()
        .filter(|(column, _)| matches!(column.kind, ColumnKind::Static | ColumnKind::Regular))
        .map(|(column, value)| ColumnChange::set(column, value.clone()))
        .collect();
    let timestamp = using_timestamp(&insert.using, parameters)?;
    let ttl = using_ttl(&insert.using, parameters)?;
    let verb = if static_only { Verb::Update } else { Verb::Insert };
    Ok(ModifyPlan { table, verb, partitions, clustering, changes, timestamp, ttl })
}

/// The key of an `UPDATE` or `DELETE`.
fn key_of(
    relations: &[crate::ast::Relation],
    table: &Table,
    of: WhereOf,
    parameters: &mut Parameters,
) -> Result<(Vec<Choice>, Vec<Step>), RequestError> {
    let restrictions = analyse(relations, table, of, parameters)?;
    match restrictions.partitions {
        Partitions::Keys(choices) => Ok((choices, restrictions.clustering)),
        Partitions::Range { .. } => Err(RequestError::invalid(format!(
            "Some partition key parts are missing: {}",
            missing(table.partition_key())
        ))),
    }
}

/// Clustering columns beyond the restricted ones.
fn unrestricted(table: &Table, clustering: &[Step]) -> String {
    let restricted: usize = clustering.iter().map(|step| step.types.len()).sum();
    missing(table.clustering().skip(restricted))
}

fn changes_statics_only(changes: &[ColumnChange]) -> bool {
    !changes.is_empty() && changes.iter().all(|change| change.is_static)
}

fn plan_update(update: &Update, table: Arc<Table>, parameters: &mut Parameters) -> Result<ModifyPlan, RequestError> {
    let timestamp = using_timestamp(&update.using, parameters)?;
    let ttl = using_ttl(&update.using, parameters)?;
    refuse_counters(&table, Verb::Update)?;
    let changes = changes_of_update(&update.assignments, &table, parameters)?;
    let (partitions, clustering) = key_of(&update.relations, &table, WhereOf::Update, parameters)?;
    if update.conditional {
        return Err(RequestError::invalid(CONDITIONS));
    }
    if changes_statics_only(&changes) {
        if !clustering.is_empty() {
            return Err(RequestError::invalid(
                "Invalid restrictions on clustering columns since the UPDATE statement modifies only static columns",
            ));
        }
    } else {
        if clustering.iter().any(|step| matches!(step.kind, StepKind::Slice { .. })) {
            return Err(RequestError::invalid(
                "Slice restrictions are not supported on the clustering columns in UPDATE statements",
            ));
        }
        let absent = unrestricted(&table, &clustering);
        if !absent.is_empty() {
            return Err(RequestError::invalid(format!("Some clustering keys are missing: {absent}")));
        }
    }
    Ok(ModifyPlan { table, verb: Verb::Update, partitions, clustering, changes, timestamp, ttl })
}

fn plan_delete(delete: &Delete, table: Arc<Table>, parameters: &mut Parameters) -> Result<ModifyPlan, RequestError> {
    let changes = changes_of_delete(&delete.targets, &table, parameters)?;
    let timestamp = using_timestamp(&delete.using, parameters)?;
    refuse_counters(&table, Verb::Delete)?;
    let (partitions, clustering) = key_of(&delete.relations, &table, WhereOf::Delete, parameters)?;
    if delete.conditional {
        return Err(RequestError::invalid(CONDITIONS));
    }
    if changes_statics_only(&changes) {
        if !clustering.is_empty() {
            return Err(RequestError::invalid(
                "Invalid restrictions on clustering columns since the DELETE statement modifies only static columns",
            ));
        }
    } else if !changes.is_empty() {
        let is_slice = clustering.iter().any(|step| matches!(step.kind, StepKind::Slice { .. }));
        if is_slice || !unrestricted(&table, &clustering).is_empty() {
            return Err(RequestError::invalid("Range deletions are not supported for specific columns"));
        }
    }
    Ok(ModifyPlan { table, verb: Verb::Delete, partitions, clustering, changes, timestamp, ttl: None })
}

impl ModifyPlan {
    pub(crate) fn bind(
        &self,
        evaluator: &mut Evaluator<'_>,
        settings: &BindSettings<'_>,
        wanted: &mut Wanted,
    ) -> Result<Vec<Mutation>, RequestError> {
        let timestamp = bound_timestamp(self.timestamp.as_ref(), evaluator)?.unwrap_or(settings.timestamp);
        let ttl = match self.ttl.as_ref().map(|ttl| ttl.eval(evaluator)).transpose()? {
            Some(Bound::Value(bytes)) => ttl_of(&bytes).map_err(RequestError::invalid)?,
            _ => self.table.options.default_time_to_live,
        };
        let stamp = Stamp { timestamp, now: settings.now, ttl: (ttl > 0).then_some(Ttl(ttl)) };
        let mut partitions = keys::partition_keys(&self.table, &self.partitions, settings.partitioner, evaluator)?;
        if !self.changes.iter().any(ColumnChange::needs_read) {
            let update = self.update(&stamp, evaluator, None)?;
            let mutation = |key, update| Mutation { table: self.table.id, key, update };
            let mut mutations = Vec::with_capacity(partitions.len());
            // The usual statement names one partition: only further ones need copies.
            let last = partitions.pop();
            mutations.extend(partitions.into_iter().map(|key| mutation(key, update.clone())));
            mutations.extend(last.map(|key| mutation(key, update)));
            check_values(&self.table, &mutations)?;
            return Ok(mutations);
        }
        let Some(prior) = settings.prior else {
            for key in partitions {
                wanted.add(self.table.id, key, keys::clustering_keys(&self.clustering, evaluator)?);
            }
            return Ok(Vec::new());
        };
        let mut mutations = Vec::with_capacity(partitions.len());
        for key in partitions {
            let update = self.update(&stamp, evaluator, Some((prior, &key)))?;
            mutations.push(Mutation { table: self.table.id, key, update });
        }
        check_values(&self.table, &mutations)?;
        Ok(mutations)
    }

    /// The change, the same for each partition unless it depends on what was read there.
    fn update(
        &self,
        stamp: &Stamp,
        evaluator: &mut Evaluator<'_>,
        prior: Option<(&Prior, &DecoratedKey)>,
    ) -> Result<Partition, RequestError> {
        let prior_row = |clustering: Option<&ClusteringKey>| -> Option<&Row> {
            let (prior, key) = prior?;
            prior.row(self.table.id, key, clustering)
        };
        let mut update = Partition::default();
        for change in self.changes.iter().filter(|change| change.is_static) {
            change.apply(&mut update.static_row, stamp, evaluator, prior_row(None))?;
        }
        let deletion = Deletion { timestamp: stamp.timestamp, deleted_at: stamp.now };
        if self.verb == Verb::Delete && self.changes.is_empty() {
            self.delete_rows(&mut update, deletion, evaluator)?;
            return Ok(update);
        }
        if changes_statics_only(&self.changes) && self.verb != Verb::Insert {
            return Ok(update);
        }
        for clustering in keys::clustering_keys(&self.clustering, evaluator)? {
            let mut row = Row::default();
            if self.verb == Verb::Insert {
                let expiry = stamp.ttl.map(|ttl| (stamp.now.plus(ttl), ttl));
                row.liveness = Some(Liveness { timestamp: stamp.timestamp, expiry });
            }
            for change in self.changes.iter().filter(|change| !change.is_static) {
                change.apply(&mut row, stamp, evaluator, prior_row(Some(&clustering)))?;
            }
            if !row.is_empty() {
                update.rows.insert(clustering, row);
            }
        }
        Ok(update)
    }

    fn delete_rows(
        &self,
        update: &mut Partition,
        deletion: Deletion,
        evaluator: &mut Evaluator<'_>,
    ) -> Result<(), RequestError> {
        if self.clustering.is_empty() {
            update.deletion = Some(deletion);
            return Ok(());
        }
        let is_slice = self.clustering.iter().any(|step| matches!(step.kind, StepKind::Slice { .. }));
        if is_slice || !unrestricted(&self.table, &self.clustering).is_empty() {
            for (start, end) in keys::slices(&self.clustering, evaluator)? {
                update.range_tombstones.add(RangeTombstone { start, end, deletion });
            }
            return Ok(());
        }
        for clustering in keys::clustering_keys(&self.clustering, evaluator)? {
            let row = Row { deletion: Some(deletion), ..Row::default() };
            update.rows.insert(clustering, row);
        }
        Ok(())
    }
}

fn bound_timestamp(expr: Option<&Expr>, evaluator: &mut Evaluator<'_>) -> Result<Option<Timestamp>, RequestError> {
    let Some(expr) = expr else { return Ok(None) };
    match expr.eval(evaluator)? {
        Bound::Unset => Ok(None),
        Bound::Null => Err(RequestError::invalid("Invalid null value of timestamp")),
        Bound::Value(bytes) => {
            let number: [u8; 8] =
                bytes.as_ref().try_into().map_err(|_| RequestError::invalid("Invalid timestamp value"))?;
            match i64::from_be_bytes(number) {
                i64::MIN => Err(RequestError::invalid(format!(
                    "Out of bound timestamp, must be in [{}, {}]",
                    i64::MIN + 1,
                    i64::MAX
                ))),
                timestamp => Ok(Some(Timestamp(timestamp))),
            }
        }
    }
}

impl BatchPlan {
    pub(crate) fn bind(
        &self,
        evaluator: &mut Evaluator<'_>,
        settings: &BindSettings<'_>,
    ) -> Result<Operation, RequestError> {
        let timestamp = bound_timestamp(self.timestamp.as_ref(), evaluator)?.unwrap_or(settings.timestamp);
        let settings = BindSettings { timestamp, ..*settings };
        let (mut mutations, mut wanted) = (Vec::new(), Wanted::default());
        for statement in &self.statements {
            mutations.extend(statement.bind(evaluator, &settings, &mut wanted)?);
        }
        if !wanted.is_empty() {
            return Ok(Operation::ReadFirst(wanted.commands(settings.now)));
        }
        batch_operation(self.kind, mutations)
    }
}
