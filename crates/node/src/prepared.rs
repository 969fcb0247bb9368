//! The texts of prepared statements, known to all workers of a node.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use quorate_model::request::StatementId;

use crate::limits;

type Text = (Option<String>, String);

/// Prepared texts by their identity. Bounded: the one registered first goes first, and its users prepare again.
#[derive(Debug, Default)]
pub struct PreparedTexts {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    texts: BTreeMap<StatementId, (u64, Text)>,
    order: BTreeMap<u64, StatementId>,
    next: u64,
}

impl PreparedTexts {
    pub(crate) fn register(&self, id: StatementId, keyspace: Option<&str>, text: &str) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.texts.contains_key(&id) {
            return;
        }
        while inner.texts.len() >= limits::PREPARED_MAX {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            inner.texts.remove(&oldest);
        }
        inner.next += 1;
        let order = inner.next;
        inner.order.insert(order, id);
        inner.texts.insert(id, (order, (keyspace.map(str::to_owned), text.to_owned())));
    }

    pub(crate) fn get(&self, id: StatementId) -> Option<Text> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.texts.get(&id).map(|(_, text)| text.clone())
    }
}
