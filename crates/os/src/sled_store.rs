//! The node-local store over sled.
//!
//! sled's `flush` does not wait for the medium on Linux, so a commit also syncs sled's file through a handle of its own.
//! Keys under the mirrored prefixes are written, after each change, to a second small file, checksummed
//! (`quorate_env::system_store::snapshot`) and replaced atomically: should sled ever fail to open, the node's identity is
//! still there to be read by [`SledStore::read_mirror`].

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use quorate_env::system_store::{StoreChange, StoreEntry, check_changes, snapshot};
use quorate_env::{DiskError, DiskErrorKind, SystemStore};

use crate::disk::failure;

/// Memory that sled may use for pages.
const CACHE_BYTES: u64 = 8 << 20;

/// An open store.
pub struct SledStore {
    db: sled::Db,
    /// A handle to sled's one data file, for syncing it.
    file: File,
    dir: PathBuf,
    mirrored: Vec<Vec<u8>>,
    failed: Option<DiskError>,
}

impl SledStore {
    /// Opens or creates the store in a directory of its own. Keys that begin with one of `mirrored` are mirrored.
    pub fn open(dir: &Path, mirrored: &[&[u8]]) -> Result<Self, DiskError> {
        let name = dir.display().to_string();
        let io = |operation: &str, error: &std::io::Error| failure(operation, &name, error);
        let path = dir.join("sled");
        fs::create_dir_all(&path).map_err(|error| io("create directory", &error))?;
        let config = sled::Config::new()
            .path(&path)
            .cache_capacity(CACHE_BYTES)
            .mode(sled::Mode::LowSpace)
            // No flusher of its own: commits sync.
            .flush_every_ms(None);
        let db = config.open().map_err(|error| sled_failure("open store", &name, &error))?;
        let file = File::open(path.join("db")).map_err(|error| io("open store's file", &error))?;
        for directory in [path.as_path(), dir].into_iter().chain(dir.parent().filter(|above| above.is_dir())) {
            sync_directory(directory).map_err(|error| io("sync directory", &error))?;
        }
        let mirrored = mirrored.iter().map(|prefix| prefix.to_vec()).collect();
        let store = Self { db, file, dir: dir.to_owned(), mirrored, failed: None };
        store.sync()?;
        store.check_mirror()?;
        Ok(store)
    }

    /// sled begins anew when its file is gone. A store that knows nothing of what the mirror knows is not this node's.
    fn check_mirror(&self) -> Result<(), DiskError> {
        let Some(mirror) = Self::read_mirror(&self.dir)? else { return Ok(()) };
        for key in mirror.keys() {
            if self.get(key)?.is_some() {
                return Ok(());
            }
        }
        if mirror.is_empty() {
            return Ok(());
        }
        let problem = format!("the store is empty, but its mirror holds {} entries: the store was lost", mirror.len());
        Err(DiskError::new("open store", &self.name(), DiskErrorKind::Io(problem)))
    }

    /// What the mirror says; `None` if there never was one. For when the store itself does not open.
    pub fn read_mirror(dir: &Path) -> Result<Option<snapshot::Entries>, DiskError> {
        let path = dir.join("mirror");
        let name = path.display().to_string();
        match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure("read", &name, &error)),
            Ok(bytes) => snapshot::decode(&bytes).map(Some).map_err(|problem| {
                DiskError::new("read", &name, DiskErrorKind::Io(format!("the file is corrupt: {problem}")))
            }),
        }
    }

    fn name(&self) -> String {
        self.dir.display().to_string()
    }

    fn apply(&self, changes: &[StoreChange]) -> Result<(), DiskError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(batch).map_err(|error| sled_failure("commit", &self.name(), &error))?;
        self.sync()?;
        let is_mirrored = |key: &[u8]| self.mirrored.iter().any(|prefix| key.starts_with(prefix));
        if changes.iter().any(|(key, _)| is_mirrored(key)) { self.write_mirror() } else { Ok(()) }
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.db.flush().map_err(|error| sled_failure("flush", &self.name(), &error))?;
        self.file.sync_all().map_err(|error| failure("sync", &self.name(), &error))
    }

    fn write_mirror(&self) -> Result<(), DiskError> {
        let mut entries = snapshot::Entries::new();
        for prefix in &self.mirrored {
            entries.extend(self.scan(prefix)?);
        }
        let (temporary, path) = (self.dir.join("mirror.new"), self.dir.join("mirror"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&snapshot::encode(&entries))?;
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            sync_directory(&self.dir)
        };
        write().map_err(|error| failure("write mirror", &path.display().to_string(), &error))
    }
}

impl SystemStore for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        let value = self.db.get(key).map_err(|error| sled_failure("get", &self.name(), &error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<StoreEntry>, DiskError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        let entries = self.db.scan_prefix(prefix).map(|entry| {
            let (key, value) = entry.map_err(|error| sled_failure("scan", &self.name(), &error))?;
            Ok((key.to_vec(), value.to_vec()))
        });
        entries.collect()
    }

    fn commit(&mut self, changes: &[StoreChange]) -> Result<(), DiskError> {
        self.failed.clone().map_or(Ok(()), Err)?;
        check_changes(&self.name(), changes)?;
        if changes.is_empty() {
            return Ok(());
        }
        let result = self.apply(changes);
        self.failed = result.clone().err();
        result
    }
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn sled_failure(operation: &str, path: &str, error: &sled::Error) -> DiskError {
    match error {
        sled::Error::Io(error) => failure(operation, path, error),
        other => DiskError::new(operation, path, DiskErrorKind::Io(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_conforms() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("system");
        quorate_env::system_store::conformance::check(&mut || Ok(Box::new(SledStore::open(&dir, &[b"many/"])?)))
            .unwrap();
        assert_eq!(SledStore::read_mirror(&dir).unwrap().unwrap().len(), 16);
    }

    #[test]
    fn identity_survives_the_loss_of_the_store() {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().join("system");
        assert_eq!(SledStore::read_mirror(&dir).unwrap(), None);
        let mut store = SledStore::open(&dir, &[b"identity/"]).unwrap();
        store
            .commit(&[(b"identity/host".to_vec(), Some(b"h".to_vec())), (b"x".to_vec(), Some(b"y".to_vec()))])
            .unwrap();
        drop(store);
        drop(SledStore::open(&dir, &[b"identity/"]).unwrap());
        fs::remove_dir_all(dir.join("sled")).unwrap();
        let refused = SledStore::open(&dir, &[b"identity/"]).err().unwrap();
        assert!(refused.to_string().contains("the store was lost"), "{refused}");
        let mirror = SledStore::read_mirror(&dir).unwrap().unwrap();
        assert_eq!(mirror.into_iter().collect::<Vec<_>>(), [(b"identity/host".to_vec(), b"h".to_vec())]);
        fs::write(dir.join("mirror"), b"garbage").unwrap();
        assert!(SledStore::read_mirror(&dir).unwrap_err().to_string().contains("corrupt"));
    }
}
