//! A [`SystemStore`] over any [`Disk`], for simulations: the twin of the real node's embedded database.
//!
//! The whole store is one file ([`snapshot`] has its bytes), replaced by each commit: written beside, synced, renamed,
//! the directory synced. A power loss at any moment leaves the state before or after a commit. Fit for kilobytes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::disk::{Disk, DiskError, DiskErrorKind, OpenMode, parent};
use crate::system_store::{StoreChange, StoreEntry, SystemStore, check_changes, snapshot};

/// Greatest file that is opened.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// An open store.
pub struct SimSystemStore {
    disk: Arc<dyn Disk>,
    path: String,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    failed: Option<DiskError>,
}

impl SimSystemStore {
    /// Opens or creates the store in a directory.
    pub fn open(disk: Arc<dyn Disk>, dir: &str) -> Result<Self, DiskError> {
        disk.create_dir(dir)?;
        let mut above = dir;
        while !above.is_empty() {
            above = parent(above);
            disk.sync_dir(above)?;
        }
        let path = format!("{dir}/state");
        let entries = match disk.open(&path, OpenMode::Read) {
            Err(error) if error.is_not_found() => BTreeMap::new(),
            Err(error) => return Err(error),
            Ok(file) => {
                let mut bytes = vec![0; file.len()?.min(FILE_BYTES_MAX) as usize];
                file.read_at(0, &mut bytes)?;
                let corrupt = |problem: &str| {
                    DiskError::new("open store", &path, DiskErrorKind::Io(format!("the file is corrupt: {problem}")))
                };
                snapshot::decode(&bytes).map_err(corrupt)?
            }
        };
        Ok(Self { disk, path, entries, failed: None })
    }

    fn replace(&self, bytes: &[u8]) -> Result<(), DiskError> {
        let temporary = format!("{}.new", self.path);
        match self.disk.remove(&temporary) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let file = self.disk.open(&temporary, OpenMode::CreateNew)?;
        file.write_at(0, bytes)?;
        file.sync()?;
        self.disk.rename(&temporary, &self.path)?;
        self.disk.sync_dir(parent(&self.path))
    }
}

impl SystemStore for SimSystemStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        Ok(self.entries.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<StoreEntry>, DiskError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        let from = self.entries.range(prefix.to_vec()..);
        Ok(from
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn commit(&mut self, changes: &[StoreChange]) -> Result<(), DiskError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        check_changes(&self.path, changes)?;
        for (key, value) in changes {
            match value {
                Some(value) => self.entries.insert(key.clone(), value.clone()),
                None => self.entries.remove(key),
            };
        }
        let result = self.replace(&snapshot::encode(&self.entries));
        self.failed = result.clone().err();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim_disk::{SimDisk, SimDiskOptions};
    use crate::system_store::conformance;

    fn open(disk: &Arc<SimDisk>) -> Result<SimSystemStore, DiskError> {
        SimSystemStore::open(Arc::<SimDisk>::clone(disk), "node/system")
    }

    #[test]
    fn it_conforms() {
        let disk = SimDisk::new(1, SimDiskOptions::default());
        conformance::check(&mut || Ok(Box::new(open(&disk)?))).unwrap();
        // And when the power fails whenever it is closed: every commit was durable.
        let disk = SimDisk::new(2, SimDiskOptions::default());
        conformance::check(&mut || {
            disk.crash();
            Ok(Box::new(open(&disk)?))
        })
        .unwrap();
    }

    #[test]
    fn power_may_fail_at_every_operation() {
        for seed in 0..20 {
            for at in 1.. {
                let disk = SimDisk::new(seed * 100 + at, SimDiskOptions::default());
                disk.crash_after(at);
                let (mut tried, mut done) = (0_u64, 0_u64);
                let mut run = || -> Result<(), DiskError> {
                    let mut store = open(&disk)?;
                    for number in 1..=5_u64 {
                        tried = number;
                        let value = Some(number.to_le_bytes().to_vec());
                        store.commit(&[(b"left".to_vec(), value.clone()), (b"right".to_vec(), value)])?;
                        done = number;
                    }
                    Ok(())
                };
                let finished = run().is_ok();
                disk.crash();
                let store = open(&disk).unwrap();
                let (left, right) = (store.get(b"left").unwrap(), store.get(b"right").unwrap());
                assert_eq!(left, right, "a commit is atomic");
                let found = left.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()));
                assert!((done..=tried).contains(&found), "seed {seed}, operation {at}: {found} of {done}..={tried}");
                if finished {
                    break;
                }
            }
        }
    }

    #[test]
    fn damage_is_an_error_and_so_is_use_after_one() {
        let disk = SimDisk::new(3, SimDiskOptions::default());
        let mut store = open(&disk).unwrap();
        store.commit(&[(b"k".to_vec(), Some(b"v".to_vec()))]).unwrap();
        disk.fail_next_sync("state");
        assert!(store.commit(&[(b"k".to_vec(), None)]).is_err());
        assert!(store.get(b"k").is_err());
        disk.rot("state").unwrap();
        assert!(open(&disk).err().unwrap().to_string().contains("corrupt"));
    }
}
