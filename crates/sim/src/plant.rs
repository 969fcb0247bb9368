//! Bugs that can be planted, to show that the checkers find them. None touches the shipped code: each is a lie of the
//! world around it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_env::system_store::{StoreChange, StoreEntry};
use quorate_env::{DiskError, SystemStore};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// The driver says that the commit log is synced without syncing it.
    AckBeforeFsync,
    /// The disk answers syncs without performing them.
    LyingFsync,
    /// One commit in four to the system store is only in memory.
    ForgetPersist,
    /// A restarted node does not find its commit log.
    ForgetLog,
    /// The transport delivers what was on connections that are gone, again and again, also to the next incarnation of whom
    /// it was for.
    StaleFrames,
    /// The transport lets damaged frames through.
    DamagedFrames,
    /// Something between client and node answers a read with an earlier answer to the same question.
    StaleCache,
}

impl Plant {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::AckBeforeFsync,
        Self::LyingFsync,
        Self::ForgetPersist,
        Self::ForgetLog,
        Self::StaleFrames,
        Self::DamagedFrames,
        Self::StaleCache,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::AckBeforeFsync => "ack-before-fsync",
            Self::LyingFsync => "lying-fsync",
            Self::ForgetPersist => "forget-persist",
            Self::ForgetLog => "forget-log",
            Self::StaleFrames => "stale-frames",
            Self::DamagedFrames => "damaged-frames",
            Self::StaleCache => "stale-cache",
        }
    }

    /// The plant of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plant| plant.name() == name)
    }
}

/// A system store that keeps one commit in four to itself.
pub struct ForgetfulStore<S> {
    store: S,
    commits: Arc<AtomicU64>,
    /// What only it knows: laid over the store.
    unwritten: Vec<StoreChange>,
}

impl<S: SystemStore> ForgetfulStore<S> {
    /// Over a real one. The counter outlives restarts, so that every commit has its turn.
    pub fn new(store: S, commits: Arc<AtomicU64>) -> Self {
        Self { store, commits, unwritten: Vec::new() }
    }

    fn overlay(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.unwritten.iter().rev().find(|(changed, _)| changed == key).map(|(_, value)| value)
    }
}

impl<S: SystemStore> SystemStore for ForgetfulStore<S> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        match self.overlay(key) {
            Some(value) => Ok(value.clone()),
            None => self.store.get(key),
        }
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<StoreEntry>, DiskError> {
        let mut found = self.store.scan(prefix)?;
        found.retain(|(key, _)| self.overlay(key).is_none());
        let mut keys: Vec<&Vec<u8>> =
            self.unwritten.iter().map(|(key, _)| key).filter(|key| key.starts_with(prefix)).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            if let Some(Some(value)) = self.overlay(key) {
                found.push((key.clone(), value.clone()));
            }
        }
        found.sort();
        Ok(found)
    }

    fn commit(&mut self, changes: &[StoreChange]) -> Result<(), DiskError> {
        if self.commits.fetch_add(1, Ordering::Relaxed) % 4 == 3 {
            self.unwritten.extend_from_slice(changes);
            return Ok(());
        }
        for (key, _) in changes {
            self.unwritten.retain(|(unwritten, _)| unwritten != key);
        }
        self.store.commit(changes)
    }
}

#[cfg(test)]
mod tests {
    use quorate_env::sim_disk::{SimDisk, SimDiskOptions};
    use quorate_env::sim_system_store::SimSystemStore;

    use super::*;

    #[test]
    fn names_are_read_back() {
        for plant in Plant::ALL {
            assert_eq!(Plant::parse(plant.name()), Some(plant));
        }
        assert_eq!(Plant::parse("none"), None);
    }

    #[test]
    fn a_forgetful_store_forgets_at_a_restart_only() {
        let disk = SimDisk::new(1, SimDiskOptions::default());
        let open = || SimSystemStore::open(Arc::<SimDisk>::clone(&disk), "system").unwrap();
        let commits = Arc::new(AtomicU64::new(3));
        let mut store = ForgetfulStore::new(open(), Arc::clone(&commits));
        store.commit(&[(b"a".to_vec(), Some(vec![1]))]).unwrap();
        assert_eq!(store.get(b"a").unwrap(), Some(vec![1]));
        assert_eq!(store.scan(b"").unwrap(), vec![(b"a".to_vec(), vec![1])]);
        assert_eq!(ForgetfulStore::new(open(), commits).get(b"a").unwrap(), None);
    }
}
