//! Prepared statements and batches.

use std::sync::{Arc, Mutex, PoisonError};

use quorate_model::request::{BatchKind, ResultMetadata, StatementId};

use crate::values::{Binds, ToValues};

/// A prepared statement. Cheap to clone; good for every node of the session's cluster.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) inner: Arc<PreparedInner>,
}

#[derive(Debug)]
pub(crate) struct PreparedInner {
    pub(crate) text: String,
    pub(crate) keyspace: Option<String>,
    pub(crate) id: StatementId,
    pub(crate) parameters: Arc<ResultMetadata>,
    pub(crate) partition_key: Vec<u16>,
    /// The result's metadata with its id; it changes when the table does.
    pub(crate) result: Mutex<(u64, Arc<ResultMetadata>)>,
}

impl Prepared {
    /// The statement's text.
    pub fn text(&self) -> &str {
        &self.inner.text
    }

    /// Its id, the same on every node.
    pub fn id(&self) -> StatementId {
        self.inner.id
    }

    /// Its bind markers.
    pub fn parameters(&self) -> &ResultMetadata {
        &self.inner.parameters
    }

    /// Its result's columns; without any for modifications.
    pub fn result(&self) -> Arc<ResultMetadata> {
        self.known_result().1
    }

    pub(crate) fn known_result(&self) -> (u64, Arc<ResultMetadata>) {
        self.inner.result.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn learn_result(&self, id: u64, metadata: &Arc<ResultMetadata>) {
        *self.inner.result.lock().unwrap_or_else(PoisonError::into_inner) = (id, Arc::clone(metadata));
    }

    /// The keyspace of the statement's table, for routing.
    pub(crate) fn table_keyspace(&self) -> Option<&str> {
        self.inner.parameters.columns.first().map(|column| column.keyspace.as_str())
    }
}

/// Several modifications that are sent together.
///
/// ```
/// use quorate_client::Batch;
///
/// let mut batch = Batch::unlogged();
/// batch.query("INSERT INTO t (a, b) VALUES (?, ?)", (1, "x"));
/// batch.query("INSERT INTO t (a, b) VALUES (2, 'y')", ());
/// ```
#[derive(Clone, Debug)]
pub struct Batch {
    pub(crate) kind: BatchKind,
    pub(crate) statements: Vec<(BatchText, Binds)>,
}

#[derive(Clone, Debug)]
pub(crate) enum BatchText {
    Text(String),
    Prepared(Prepared),
}

impl Batch {
    /// An empty batch of this kind.
    pub fn new(kind: BatchKind) -> Self {
        Self { kind, statements: Vec::new() }
    }

    /// Applied wholly or not at all, in the end.
    pub fn logged() -> Self {
        Self::new(BatchKind::Logged)
    }

    /// Sent together, without that promise.
    pub fn unlogged() -> Self {
        Self::new(BatchKind::Unlogged)
    }

    /// Adds a statement as text. With values it is prepared first, once a session.
    pub fn query(&mut self, text: impl Into<String>, values: impl ToValues) -> &mut Self {
        self.statements.push((BatchText::Text(text.into()), values.to_values()));
        self
    }

    /// Adds a prepared statement.
    pub fn execute(&mut self, prepared: &Prepared, values: impl ToValues) -> &mut Self {
        self.statements.push((BatchText::Prepared(prepared.clone()), values.to_values()));
        self
    }

    /// The number of statements.
    pub fn len(&self) -> usize {
        self.statements.len()
    }

    /// Whether it has no statements.
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}
