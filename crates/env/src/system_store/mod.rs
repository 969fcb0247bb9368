//! The node-local store of small control state: identity, generation, the applied metadata log, Paxos promises, cursors.

use crate::disk::{DiskError, DiskErrorKind};

/// A key and its value.
pub type StoreEntry = (Vec<u8>, Vec<u8>);
/// A key and its new value, or `None` to remove it.
pub type StoreChange = (Vec<u8>, Option<Vec<u8>>);

/// A small ordered key-value store, outside the data path. Values stay below 64 KiB. Synchronous; a few writes a second.
pub trait SystemStore: Send {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError>;
    /// All entries whose key starts with the prefix, in key order.
    fn scan(&self, prefix: &[u8]) -> Result<Vec<StoreEntry>, DiskError>;
    /// Applies all puts (`Some`) and removals (`None`) atomically and durably: when it returns, they survive a power
    /// loss. After an error the store must not be used again.
    fn commit(&mut self, changes: &[StoreChange]) -> Result<(), DiskError>;
}

pub mod conformance;
pub mod snapshot;

/// Greatest key of a [`SystemStore`], in bytes.
pub const KEY_BYTES_MAX: usize = 1024;
/// Greatest value of a [`SystemStore`], in bytes: less than 64 KiB.
pub const VALUE_BYTES_MAX: usize = 64 * 1024 - 1;

/// Refuses keys and values beyond the limits, before anything is written. Every [`SystemStore`] calls it first.
pub fn check_changes(path: &str, changes: &[StoreChange]) -> Result<(), DiskError> {
    for (key, value) in changes {
        let value_len = value.as_ref().map_or(0, Vec::len);
        if key.len() > KEY_BYTES_MAX || value_len > VALUE_BYTES_MAX {
            let key =
                String::from_utf8_lossy(key.get(..key.len().min(64)).unwrap_or_default()).escape_debug().to_string();
            let problem = format!(
                "a value of {value_len} bytes under key '{key}' exceeds the store's limits of {KEY_BYTES_MAX} bytes a key and {VALUE_BYTES_MAX} a value"
            );
            return Err(DiskError::new("commit", path, DiskErrorKind::Io(problem)));
        }
    }
    Ok(())
}
