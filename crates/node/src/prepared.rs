//! The texts of prepared statements, known to all workers of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use quorate_model::request::StatementId;
use quorate_model::schema::Table;

use crate::limits;

/// A prepared text, and what it was prepared for.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) keyspace: Option<String>,
    pub(crate) text: String,
    /// The table as it was then, if the statement has just one.
    pub(crate) table: Option<Arc<Table>>,
}

impl Text {
    /// Whether those who prepared it know the statement as it would be with this table: as in Cassandra, one whose table has
    /// other columns now has to be prepared again.
    pub(crate) fn fits(&self, table: Option<&Arc<Table>>) -> bool {
        match (&self.table, table) {
            (Some(then), Some(now)) => Arc::ptr_eq(then, now) || then.columns == now.columns,
            (then, now) => then.is_none() && now.is_none(),
        }
    }
}

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
    /// Of all texts.
    bytes: usize,
}

impl PreparedTexts {
    /// Keeps a text. False if another one has this identity.
    pub(crate) fn register(
        &self,
        id: StatementId,
        keyspace: Option<&str>,
        text: &str,
        table: Option<&Arc<Table>>,
    ) -> bool {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = inner.texts.get_mut(&id) {
            let same = known.keyspace.as_deref() == keyspace && known.text == text;
            if same {
                known.table = table.cloned();
            }
            return same;
        }
        while inner.texts.len() >= limits::PREPARED_MAX || inner.bytes + text.len() > limits::PREPARED_BYTES_MAX {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            if let Some((_, known)) = inner.texts.remove(&oldest) {
                inner.bytes -= known.text.len();
            }
        }
        inner.next += 1;
        inner.bytes += text.len();
        let order = inner.next;
        inner.order.insert(order, id);
        let known = Text { keyspace: keyspace.map(str::to_owned), text: text.to_owned(), table: table.cloned() };
        inner.texts.insert(id, (order, known));
        true
    }

    pub(crate) fn get(&self, id: StatementId) -> Option<Text> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.texts.get(&id).map(|(_, text)| text.clone())
    }

    /// All of them: identity, keyspace and text.
    pub(crate) fn all(&self) -> Vec<(StatementId, Option<String>, String)> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.texts.iter().map(|(id, (_, known))| (*id, known.keyspace.clone(), known.text.clone())).collect()
    }

    /// Forgets a text: its users prepare it again.
    pub(crate) fn forget(&self, id: StatementId) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((order, known)) = inner.texts.remove(&id) {
            inner.order.remove(&order);
            inner.bytes -= known.text.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_by_bytes_and_never_take_each_others_place() {
        let texts = PreparedTexts::default();
        let id = |number: u8| StatementId([number; 16]);
        let register = |number, keyspace, text: &str| texts.register(id(number), keyspace, text, None);
        assert!(register(0, None, "a") && register(0, None, "a"));
        assert!(!register(0, None, "b") && !register(0, Some("ks"), "a"));
        let long = "x".repeat(limits::PREPARED_BYTES_MAX / 4);
        (1..=5).for_each(|number| assert!(register(number, None, &long)));
        assert!([0, 1].iter().all(|number| texts.get(id(*number)).is_none()), "the first went");
        assert!((2..=5).all(|number| texts.get(id(number)).is_some()));
        texts.forget(id(2));
        assert!(texts.get(id(2)).is_none() && register(6, None, &long) && texts.get(id(3)).is_some());
    }
}
