//! A directory of the real file system.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_env::disk::check_path;
use quorate_env::{Disk, DiskError, DiskErrorKind, DiskFile, OpenMode, Space};

/// One node's data directory on a real file system.
#[derive(Clone, Debug)]
pub struct RealDisk {
    root: PathBuf,
}

impl RealDisk {
    /// Opens a directory, creating it, durably, if it is missing.
    pub fn open(root: &Path) -> Result<Self, DiskError> {
        let name = root.display().to_string();
        fs::create_dir_all(root).map_err(|error| failure("create directory", &name, &error))?;
        let root = root.canonicalize().map_err(|error| failure("resolve", &name, &error))?;
        for directory in [Some(root.as_path()), root.parent()].into_iter().flatten() {
            File::open(directory)
                .and_then(|directory| directory.sync_all())
                .map_err(|error| failure("sync directory", &name, &error))?;
        }
        Ok(Self { root })
    }

    /// The directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn resolve(&self, operation: &str, path: &str) -> Result<PathBuf, DiskError> {
        check_path(operation, path)?;
        // Joining an empty path would add a trailing slash.
        Ok(if path.is_empty() { self.root.clone() } else { self.root.join(path) })
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, mode: OpenMode) -> Result<Arc<dyn DiskFile>, DiskError> {
        let full = self.resolve("open", path)?;
        let mut options = OpenOptions::new();
        match mode {
            OpenMode::Read => options.read(true),
            OpenMode::ReadWrite => options.read(true).write(true),
            OpenMode::CreateNew => options.read(true).write(true).create_new(true),
        };
        let file = options.open(full).map_err(|error| failure("open", path, &error))?;
        // A directory opens for reading; no read of it would succeed.
        if file.metadata().map_err(|error| failure("open", path, &error))?.is_dir() {
            return Err(DiskError::new("open", path, DiskErrorKind::Io("it is a directory".to_owned())));
        }
        Ok(Arc::new(RealFile { file, path: path.to_owned() }))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (from_full, to_full) = (self.resolve("rename", from)?, self.resolve("rename", to)?);
        fs::rename(from_full, to_full).map_err(|error| failure(format!("rename to {to}"), from, &error))
    }

    fn hard_link(&self, from: &str, to: &str) -> Result<(), DiskError> {
        let (from_full, to_full) = (self.resolve("link", from)?, self.resolve("link", to)?);
        fs::hard_link(from_full, to_full).map_err(|error| failure(format!("link to {to}"), from, &error))
    }

    fn remove(&self, path: &str) -> Result<(), DiskError> {
        let full = self.resolve("remove", path)?;
        fs::remove_file(full).map_err(|error| failure("remove", path, &error))
    }

    fn remove_dir(&self, path: &str) -> Result<(), DiskError> {
        let full = self.resolve("remove directory", path)?;
        fs::remove_dir(full).map_err(|error| failure("remove directory", path, &error))
    }

    fn create_dir(&self, path: &str) -> Result<(), DiskError> {
        let full = self.resolve("create directory", path)?;
        fs::create_dir_all(full).map_err(|error| failure("create directory", path, &error))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, DiskError> {
        let full = self.resolve("list", path)?;
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(full)? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                names.push(if entry.file_type()?.is_dir() { format!("{name}/") } else { name });
            }
            names.sort();
            Ok(names)
        };
        list().map_err(|error| failure("list", path, &error))
    }

    fn sync_dir(&self, path: &str) -> Result<(), DiskError> {
        let full = self.resolve("sync directory", path)?;
        let result = File::open(full).and_then(|directory| directory.sync_all());
        result.map_err(|error| failure("sync directory", path, &error))
    }

    fn space(&self) -> Result<Space, DiskError> {
        let volume = rustix::fs::statvfs(&self.root)
            .map_err(|error| failure("measure", &self.root.display().to_string(), &error.into()))?;
        let bytes = |blocks: u64| blocks.saturating_mul(volume.f_frsize);
        Ok(Space { total: bytes(volume.f_blocks), available: bytes(volume.f_bavail) })
    }
}

/// An open file.
struct RealFile {
    file: File,
    path: String,
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let result = self.file.read_exact_at(buffer, offset);
        result.map_err(|error| failure(format!("read {} bytes at {offset}", buffer.len()), &self.path, &error))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let result = self.file.write_all_at(bytes, offset);
        result.map_err(|error| failure(format!("write {} bytes at {offset}", bytes.len()), &self.path, &error))
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().map_err(|error| failure("sync", &self.path, &error))
    }

    fn set_len(&self, len: u64) -> Result<(), DiskError> {
        self.file.set_len(len).map_err(|error| failure(format!("set length {len}"), &self.path, &error))
    }

    fn len(&self) -> Result<u64, DiskError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|error| failure("measure", &self.path, &error))
    }
}

/// The system's error in the words of the seam.
pub(crate) fn failure(operation: impl Into<String>, path: &str, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        io::ErrorKind::AlreadyExists => DiskErrorKind::AlreadyExists,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
        io::ErrorKind::UnexpectedEof => DiskErrorKind::UnexpectedEnd,
        _ => DiskErrorKind::Io(error.to_string()),
    };
    DiskError::new(operation, path, kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_do_what_the_seam_says() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(&directory.path().join("data/node")).unwrap();
        disk.create_dir("a/b").unwrap();
        disk.create_dir("a/b").unwrap();
        let file = disk.open("a/b/f", OpenMode::CreateNew).unwrap();
        file.write_at(3, b"xyz").unwrap();
        file.sync().unwrap();
        disk.sync_dir("a/b").unwrap();
        disk.sync_dir("").unwrap();
        let mut bytes = [9; 6];
        file.read_at(0, &mut bytes).unwrap();
        assert_eq!((&bytes, file.len().unwrap()), (b"\0\0\0xyz", 6));
        assert_eq!(file.read_at(1, &mut bytes).unwrap_err().kind, DiskErrorKind::UnexpectedEnd);
        file.set_len(4).unwrap();
        disk.hard_link("a/b/f", "a/g").unwrap();
        assert_eq!(disk.hard_link("a/b/f", "a/g").unwrap_err().kind, DiskErrorKind::AlreadyExists);
        disk.rename("a/b/f", "a/h").unwrap();
        assert_eq!(disk.list("a").unwrap(), ["b/", "g", "h"]);
        assert!(disk.remove_dir("a").is_err());
        disk.remove("a/g").unwrap();
        assert!(disk.open("a/g", OpenMode::Read).err().unwrap().is_not_found());
        assert_eq!(disk.open("a/h", OpenMode::CreateNew).err().unwrap().kind, DiskErrorKind::AlreadyExists);
        assert_eq!(disk.open("a/h", OpenMode::Read).unwrap().len().unwrap(), 4);
        assert!(disk.open("a/h", OpenMode::Read).unwrap().write_at(0, b"x").is_err());
        assert!(disk.open("a", OpenMode::Read).is_err());
        let space = disk.space().unwrap();
        assert!(space.total >= space.available && space.available > 0);
    }

    #[test]
    fn no_path_leaves_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let disk = RealDisk::open(&directory.path().join("data")).unwrap();
        for path in ["../escaped", "/tmp/escaped", "a/../../escaped", "./x", "a//b"] {
            assert!(disk.open(path, OpenMode::CreateNew).is_err(), "{path}");
            assert!(disk.create_dir(path).is_err(), "{path}");
            assert!(disk.rename("x", path).is_err(), "{path}");
        }
        assert!(!directory.path().join("escaped").exists());
    }

    #[test]
    fn a_full_device_is_no_space() {
        let full =
            RealFile { file: OpenOptions::new().write(true).open("/dev/full").unwrap(), path: "full".to_owned() };
        let error = full.write_at(0, b"x").unwrap_err();
        assert!(error.is_no_space(), "{error}");
    }
}
