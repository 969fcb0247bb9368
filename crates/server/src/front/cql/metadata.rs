//! What clients know of results' columns.
//!
//! In v5 a client says under which id it knows a statement's columns. Before, it only says that it knows them, and it may
//! have prepared the statement before the schema changed. So the server remembers as what each statement was announced: a
//! statement that was announced with other columns at another time has its columns sent with every answer.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use quorate_cql_wire::metadata_id;
use quorate_model::request::{ResultMetadata, StatementId};

use crate::limits::CQL_STATEMENTS_MAX;

type MetadataId = [u8; 16];

/// The columns with which statements were announced to clients, for all threads.
#[derive(Default)]
pub(crate) struct PreparedMetadata {
    /// `None`: with different ones at different times.
    announced: Mutex<BTreeMap<StatementId, Option<MetadataId>>>,
    /// Grows whenever an entry changes: threads then forget their copies.
    changes: AtomicU64,
}

#[derive(Default)]
struct Copies {
    changes: u64,
    announced: BTreeMap<StatementId, Option<Bytes>>,
    /// By address; holding the metadata keeps its address from being another's.
    ids: BTreeMap<usize, (MetadataId, Arc<ResultMetadata>)>,
}

thread_local! {
    static COPIES: RefCell<Copies> = RefCell::default();
}

impl PreparedMetadata {
    /// A statement is announced with these columns.
    pub(super) fn announce(&self, statement: StatementId, id: MetadataId) {
        let mut announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
        let count = announced.len();
        match announced.entry(statement) {
            Entry::Occupied(mut known) => match known.get() {
                Some(before) if *before != id => known.insert(None),
                _ => return,
            },
            Entry::Vacant(place) if count < CQL_STATEMENTS_MAX => *place.insert(Some(id)),
            Entry::Vacant(_) => return,
        };
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// The id of the columns with which every client knows a statement; `None` if they may know different ones.
    pub(super) fn known(&self, statement: StatementId) -> Option<Bytes> {
        COPIES.with(|copies| {
            let mut copies = copies.borrow_mut();
            let changes = self.changes.load(Ordering::Acquire);
            if copies.changes != changes {
                copies.changes = changes;
                copies.announced.clear();
            }
            if let Some(known) = copies.announced.get(&statement) {
                return known.clone();
            }
            let announced = self.announced.lock().unwrap_or_else(PoisonError::into_inner);
            let id = announced.get(&statement).copied().flatten();
            drop(announced);
            let known = id.map(|id| Bytes::copy_from_slice(&id));
            if copies.announced.len() >= CQL_STATEMENTS_MAX {
                copies.announced.clear();
            }
            copies.announced.insert(statement, known.clone());
            known
        })
    }
}

/// Metadata remembered by a thread; when there are more, it begins anew.
const REMEMBERED_MAX: usize = 1_024;

/// The id of a result's columns, computed once for those in use.
pub(super) fn id_of(metadata: &Arc<ResultMetadata>) -> MetadataId {
    let address = Arc::as_ptr(metadata).addr();
    COPIES.with(|copies| {
        let ids = &mut copies.borrow_mut().ids;
        if let Some((id, _)) = ids.get(&address) {
            return *id;
        }
        if ids.len() >= REMEMBERED_MAX {
            ids.clear();
        }
        let id = metadata_id(metadata);
        ids.insert(address, (id, Arc::clone(metadata)));
        id
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_announced_in_two_ways_is_known_in_none() {
        let prepared = PreparedMetadata::default();
        let statement = StatementId([1; 16]);
        assert_eq!(prepared.known(statement), None);
        prepared.announce(statement, [7; 16]);
        assert_eq!(prepared.known(statement).as_deref(), Some([7; 16].as_slice()));
        prepared.announce(statement, [7; 16]);
        assert!(prepared.known(statement).is_some());
        prepared.announce(statement, [8; 16]);
        assert_eq!(prepared.known(statement), None);
        prepared.announce(statement, [7; 16]);
        assert_eq!(prepared.known(statement), None);
    }
}
