//! The node-local store of small control state: identity, generation, the applied metadata log, Paxos promises, cursors.

use crate::disk::DiskError;

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
