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
    /// Of all texts.
    bytes: usize,
}

impl PreparedTexts {
    /// Keeps a text. False if another one has this identity.
    pub(crate) fn register(&self, id: StatementId, keyspace: Option<&str>, text: &str) -> bool {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = inner.texts.get(&id) {
            return known.0.as_deref() == keyspace && known.1 == text;
        }
        while inner.texts.len() >= limits::PREPARED_MAX || inner.bytes + text.len() > limits::PREPARED_BYTES_MAX {
            let Some((_, oldest)) = inner.order.pop_first() else { break };
            if let Some((_, (_, text))) = inner.texts.remove(&oldest) {
                inner.bytes -= text.len();
            }
        }
        inner.next += 1;
        inner.bytes += text.len();
        let order = inner.next;
        inner.order.insert(order, id);
        inner.texts.insert(id, (order, (keyspace.map(str::to_owned), text.to_owned())));
        true
    }

    pub(crate) fn get(&self, id: StatementId) -> Option<Text> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.texts.get(&id).map(|(_, text)| text.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_by_bytes_and_never_take_each_others_place() {
        let texts = PreparedTexts::default();
        let id = |number: u8| StatementId([number; 16]);
        assert!(texts.register(id(0), None, "a") && texts.register(id(0), None, "a"));
        assert!(!texts.register(id(0), None, "b") && !texts.register(id(0), Some("ks"), "a"));
        let long = "x".repeat(limits::PREPARED_BYTES_MAX / 4);
        (1..=5).for_each(|number| assert!(texts.register(id(number), None, &long)));
        assert!([0, 1].iter().all(|number| texts.get(id(*number)).is_none()), "the first went");
        assert!((2..=5).all(|number| texts.get(id(number)).is_some()));
    }
}
