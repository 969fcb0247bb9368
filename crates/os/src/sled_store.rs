//! The node-local store over sled.
//!
//! sled's `flush` does not wait for the medium on Linux, so a commit also syncs sled's file through a handle of its own.
//!
//! sled takes damage within its log for the log's end, and silently gives back an earlier state. So every commit carries
//! a [seal](Seal), which is the number of commits and a sum over all entries, and is then written, durably, to a file
//! beside sled. At opening everything is read, into memory, and must be what its seal says and not older than what the
//! file says; otherwise the store does not open. Nothing is read from sled after that.
//!
//! Keys under the mirrored prefixes are written, after each change, to a second small file, checksummed
//! (`quorate_env::system_store::snapshot`) and replaced atomically: should sled ever fail to open, the node's identity is
//! still there to be read by [`SledStore::read_mirror`].

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use quorate_env::system_store::{StoreChange, StoreEntry, check_changes, snapshot};
use quorate_env::{DiskError, DiskErrorKind, SystemStore};

use crate::disk::failure;
use crate::seal::{Seal, SealFile};

/// Memory that sled may use for pages.
const CACHE_BYTES: u64 = 8 << 20;
/// Where sled keeps the seal.
const SEAL_KEY: &[u8] = b"\0seal";

/// An open store.
pub struct SledStore {
    db: sled::Db,
    /// A handle to sled's one data file, for syncing it.
    file: File,
    dir: PathBuf,
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
    seal: Seal,
    seal_file: SealFile,
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
        let sealed = SealFile::read(&dir.join("seal"))?;
        let open = || {
            let db = config.open()?;
            let entries = db.iter().collect::<Result<Vec<_>, _>>()?;
            Ok((db, entries))
        };
        let (db, found) = guarded("open store", &path.display().to_string(), open)?;
        let mut entries: BTreeMap<Vec<u8>, Vec<u8>> =
            found.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        let inner = entries.remove(SEAL_KEY);
        let seal = Seal::verify(inner.as_deref(), sealed, &entries)
            .map_err(|problem| DiskError::new("open store", &path.display().to_string(), DiskErrorKind::Io(problem)))?;
        let file = File::open(path.join("db")).map_err(|error| io("open store's file", &error))?;
        for directory in [path.as_path(), dir].into_iter().chain(dir.parent().filter(|above| above.is_dir())) {
            sync_directory(directory).map_err(|error| io("sync directory", &error))?;
        }
        let mirrored = mirrored.iter().map(|prefix| prefix.to_vec()).collect();
        sync_store(&db, &file, &name)?;
        // What sled gave may have been in the cache alone until now.
        let seal_file = SealFile::open(dir, &seal)?;
        let store = Self { db, file, dir: dir.to_owned(), entries, seal, seal_file, mirrored, failed: None };
        store.check_mirror()?;
        Ok(store)
    }

    /// sled begins anew when its file is gone. A store that knows nothing of what the mirror knows is not this node's.
    fn check_mirror(&self) -> Result<(), DiskError> {
        let Some(mirror) = Self::read_mirror(&self.dir)? else { return Ok(()) };
        if mirror.is_empty() || mirror.keys().any(|key| self.entries.contains_key(key)) {
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

    fn apply(&mut self, changes: &[StoreChange]) -> Result<(), DiskError> {
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value.as_slice()),
                None => batch.remove(key.as_slice()),
            }
            let before = match value {
                Some(value) => self.entries.insert(key.clone(), value.clone()),
                None => self.entries.remove(key),
            };
            self.seal.replace(key, before.as_deref(), value.as_deref());
        }
        self.seal.commits = self.seal.commits.saturating_add(1);
        batch.insert(SEAL_KEY, &self.seal.encode()[..]);
        guarded("commit", &self.name(), || self.db.apply_batch(batch))?;
        sync_store(&self.db, &self.file, &self.name())?;
        self.seal_file.write(&self.seal)?;
        let is_mirrored = |key: &[u8]| self.mirrored.iter().any(|prefix| key.starts_with(prefix));
        if changes.iter().any(|(key, _)| is_mirrored(key)) { self.write_mirror() } else { Ok(()) }
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
        check_changes(&self.name(), changes)?;
        if changes.iter().any(|(key, _)| key == SEAL_KEY) {
            let problem = "the key is the store's own".to_owned();
            return Err(DiskError::new("commit", &self.name(), DiskErrorKind::Io(problem)));
        }
        if changes.is_empty() {
            return Ok(());
        }
        let result = self.apply(changes);
        self.failed = result.clone().err();
        result
    }
}

/// Runs sled, which panics on some damage.
fn guarded<T>(operation: &str, path: &str, run: impl FnOnce() -> sled::Result<T>) -> Result<T, DiskError> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result.map_err(|error| sled_failure(operation, path, &error)),
        Err(_) => {
            let problem = "sled panicked, as it does on damaged files".to_owned();
            Err(DiskError::new(operation, path, DiskErrorKind::Io(problem)))
        }
    }
}

fn sync_store(db: &sled::Db, file: &File, name: &str) -> Result<(), DiskError> {
    guarded("flush", name, || db.flush())?;
    file.sync_all().map_err(|error| failure("sync", name, &error))
}

pub(crate) fn sync_directory(path: &Path) -> std::io::Result<()> {
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
        assert!(refused.to_string().contains("parts of the store were lost"), "{refused}");
        fs::remove_dir_all(dir.join("sled")).unwrap();
        fs::remove_file(dir.join("seal")).unwrap();
        let refused = SledStore::open(&dir, &[b"identity/"]).err().unwrap();
        assert!(refused.to_string().contains("the store was lost"), "{refused}");
        let mirror = SledStore::read_mirror(&dir).unwrap().unwrap();
        assert_eq!(mirror.into_iter().collect::<Vec<_>>(), [(b"identity/host".to_vec(), b"h".to_vec())]);
        fs::write(dir.join("mirror"), b"garbage").unwrap();
        assert!(SledStore::read_mirror(&dir).unwrap_err().to_string().contains("corrupt"));
    }
}
