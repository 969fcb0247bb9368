//! Ids of result metadata, computed once for each that is in use.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_model::request::{Answer, ClientResponse, ResultMetadata};

/// Metadata remembered by a thread; when there are more, it begins anew.
const REMEMBERED_MAX: usize = 1_024;

thread_local! {
    /// By address; holding the metadata keeps its address from being another's.
    static IDS: RefCell<BTreeMap<usize, (u64, Arc<ResultMetadata>)>> = const { RefCell::new(BTreeMap::new()) };
}

/// The id of a response's metadata, if it has rows.
pub(super) fn metadata_id_of(response: &ClientResponse) -> Option<u64> {
    match &response.result {
        Ok(Answer::Rows(rows)) => Some(metadata_id(&rows.metadata)),
        _ => None,
    }
}

fn metadata_id(metadata: &Arc<ResultMetadata>) -> u64 {
    let address = Arc::as_ptr(metadata).addr();
    IDS.with(|ids| {
        let mut ids = ids.borrow_mut();
        if let Some((id, _)) = ids.get(&address) {
            return *id;
        }
        if ids.len() >= REMEMBERED_MAX {
            ids.clear();
        }
        let id = quorate_proto::metadata_id(metadata);
        ids.insert(address, (id, Arc::clone(metadata)));
        id
    })
}
