//! Parsed and planned statements: prepared ones by id, and recently used texts.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use quorate_cql::Plan;
use quorate_cql::ast::Statement;
use quorate_model::request::{RequestError, StatementId};

use crate::limits;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// A statement that is ready to be bound.
#[derive(Clone)]
pub(super) struct Planned {
    /// Its plan, valid for the schema it was made with.
    pub plan: Arc<Plan>,
    /// Tells it from other statements in paging states.
    pub fingerprint: u64,
}

struct Entry {
    keyspace: Option<String>,
    statement: Arc<Statement>,
    planned: Planned,
    schema_epoch: u64,
    used: u64,
}

/// The statements that one worker has planned. The node's registry of prepared texts is [`Shared::prepared`].
#[derive(Default)]
pub(super) struct Statements {
    entries: BTreeMap<StatementId, Entry>,
    uses: u64,
}

impl Statements {
    /// Plans a text, or finds its plan.
    pub(super) fn plan_text(
        &mut self,
        snapshot: &Snapshot,
        keyspace: Option<&str>,
        text: &str,
    ) -> Result<Planned, RequestError> {
        let id = statement_id(keyspace, text);
        if let Some(planned) = self.find(snapshot, id)? {
            return Ok(planned);
        }
        let statement = Arc::new(quorate_cql::parse(text)?);
        self.insert(snapshot, id, keyspace, statement)
    }

    /// Plans a text and registers it for the whole node.
    pub(super) fn prepare(
        &mut self,
        shared: &Shared,
        snapshot: &Snapshot,
        keyspace: Option<&str>,
        text: &str,
    ) -> Result<(StatementId, Planned), RequestError> {
        let planned = self.plan_text(snapshot, keyspace, text)?;
        let id = statement_id(keyspace, text);
        shared.prepared.register(id, keyspace, text);
        Ok((id, planned))
    }

    /// The plan of a prepared statement, made here if another worker prepared it.
    pub(super) fn prepared(
        &mut self,
        shared: &Shared,
        snapshot: &Snapshot,
        id: StatementId,
    ) -> Result<Planned, RequestError> {
        if let Some(planned) = self.find(snapshot, id)? {
            return Ok(planned);
        }
        let Some((keyspace, text)) = shared.prepared.get(id) else { return Err(RequestError::Unprepared(id)) };
        self.plan_text(snapshot, keyspace.as_deref(), &text)
    }

    /// A plan at hand, made anew if the schema has changed since.
    fn find(&mut self, snapshot: &Snapshot, id: StatementId) -> Result<Option<Planned>, RequestError> {
        self.uses += 1;
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        entry.used = self.uses;
        if entry.schema_epoch == snapshot.metadata.schema.epoch.0 {
            return Ok(Some(entry.planned.clone()));
        }
        let (keyspace, statement) = (entry.keyspace.clone(), Arc::clone(&entry.statement));
        self.entries.remove(&id);
        self.insert(snapshot, id, keyspace.as_deref(), statement).map(Some)
    }

    fn insert(
        &mut self,
        snapshot: &Snapshot,
        id: StatementId,
        keyspace: Option<&str>,
        statement: Arc<Statement>,
    ) -> Result<Planned, RequestError> {
        let schema = &snapshot.metadata.schema;
        let plan = Arc::new(quorate_cql::plan(&statement, schema, keyspace)?);
        let planned = Planned { plan, fingerprint: fingerprint(id) };
        if self.entries.len() >= limits::PREPARED_MAX {
            let oldest = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        let entry = Entry {
            keyspace: keyspace.map(str::to_owned),
            statement,
            planned: planned.clone(),
            schema_epoch: schema.epoch.0,
            used: self.uses,
        };
        self.entries.insert(id, entry);
        Ok(planned)
    }
}

/// The identity of a statement: Murmur3 (x64, 128 bits) of its keyspace and text, the same on every node.
fn statement_id(keyspace: Option<&str>, text: &str) -> StatementId {
    let mut bytes = Vec::with_capacity(text.len() + 32);
    bytes.extend_from_slice(keyspace.unwrap_or_default().as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(text.as_bytes());
    // Reading from a slice cannot fail.
    let hash = murmur3::murmur3_x64_128(&mut Cursor::new(&bytes), 0).unwrap_or_default();
    StatementId(hash.to_be_bytes())
}

fn fingerprint(id: StatementId) -> u64 {
    id.0.iter().take(8).fold(0, |value, byte| (value << 8) | u64::from(*byte))
}
