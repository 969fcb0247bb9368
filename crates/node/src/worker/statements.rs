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
    /// Identities are no secure hashes: another text may have this one's.
    text: Arc<str>,
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
    /// Of all texts.
    bytes: usize,
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
        let known = |entry: &Entry| *entry.text == *text && entry.keyspace.as_deref() == keyspace;
        if self.entries.get(&id).is_some_and(known)
            && let Some(planned) = self.find(snapshot, id)?
        {
            return Ok(planned);
        }
        let statement = Arc::new(quorate_cql::parse(text)?);
        self.insert(snapshot, id, (keyspace, Arc::from(text)), statement)
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
        if !shared.prepared.register(id, keyspace, text, planned.plan.table()) {
            return Err(RequestError::invalid("another prepared statement has the identity of this one"));
        }
        Ok((id, planned))
    }

    /// The plan of a prepared statement, made here if another worker prepared it. One whose table has other columns now is
    /// no longer prepared.
    pub(super) fn prepared(
        &mut self,
        shared: &Shared,
        snapshot: &Snapshot,
        id: StatementId,
    ) -> Result<Planned, RequestError> {
        let epoch = snapshot.metadata.schema.epoch.0;
        if self.entries.get(&id).is_some_and(|entry| entry.schema_epoch == epoch)
            && let Some(planned) = self.find(snapshot, id)?
        {
            return Ok(planned);
        }
        // The schema has changed since, or another worker prepared it.
        let Some(known) = shared.prepared.get(id) else { return Err(RequestError::Unprepared(id)) };
        let planned = self.plan_text(snapshot, known.keyspace.as_deref(), &known.text)?;
        if known.fits(planned.plan.table()) {
            return Ok(planned);
        }
        shared.prepared.forget(id);
        self.remove(id);
        Err(RequestError::Unprepared(id))
    }

    /// A plan at hand, made anew if the schema has changed since.
    fn find(&mut self, snapshot: &Snapshot, id: StatementId) -> Result<Option<Planned>, RequestError> {
        self.uses += 1;
        let Some(entry) = self.entries.get_mut(&id) else { return Ok(None) };
        entry.used = self.uses;
        if entry.schema_epoch == snapshot.metadata.schema.epoch.0 {
            return Ok(Some(entry.planned.clone()));
        }
        let (text, keyspace, statement) =
            (Arc::clone(&entry.text), entry.keyspace.clone(), Arc::clone(&entry.statement));
        self.remove(id);
        self.insert(snapshot, id, (keyspace.as_deref(), text), statement).map(Some)
    }

    fn insert(
        &mut self,
        snapshot: &Snapshot,
        id: StatementId,
        (keyspace, text): (Option<&str>, Arc<str>),
        statement: Arc<Statement>,
    ) -> Result<Planned, RequestError> {
        let schema = &snapshot.metadata.schema;
        let plan = Arc::new(quorate_cql::plan(&statement, schema, keyspace)?);
        let planned = Planned { plan, fingerprint: fingerprint(id) };
        self.remove(id);
        let bytes = text.len();
        if bytes > limits::STATEMENT_CACHED_BYTES_MAX {
            return Ok(planned);
        }
        if self.entries.len() >= limits::PREPARED_MAX || self.bytes + bytes > limits::STATEMENTS_BYTES_MAX {
            self.forget_half();
        }
        let keyspace = keyspace.map(str::to_owned);
        let (schema_epoch, used) = (schema.epoch.0, self.uses);
        self.bytes += bytes;
        self.entries.insert(id, Entry { text, keyspace, statement, planned: planned.clone(), schema_epoch, used });
        Ok(planned)
    }

    fn remove(&mut self, id: StatementId) {
        if let Some(entry) = self.entries.remove(&id) {
            self.bytes -= entry.text.len();
        }
    }

    /// Makes room for many at once: looking for the one that was used least recently costs as much.
    fn forget_half(&mut self) {
        let mut used: Vec<u64> = self.entries.values().map(|entry| entry.used).collect();
        used.sort_unstable();
        let middle = used.get(used.len() / 2).copied().unwrap_or_default();
        self.entries.retain(|_, entry| entry.used > middle);
        self.bytes = self.entries.values().map(|entry| entry.text.len()).sum();
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
