//! What the system store must hold at least, kept apart from the store.
//!
//! ```text
//! seal (in the store)   0  commits u64        file   0  record of the even commits
//!                       8  sum u64                 512  record of the odd ones
//! record                0  magic "QUORATEC" · 8 version u32 = 1 · 12 zeros u32 · 16 the seal · 32 FNV-1a of bytes 0..32
//! ```
//!
//! All integers are little-endian. The sum is over a hash of every entry, so that one entry's change changes it at once.
//! It catches what is missing or old; it is no defence against anybody. Two records, a sector each: one survives a torn write
//! of the other.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use quorate_env::{DiskError, DiskErrorKind};

use crate::disk::failure;
use crate::sled_store::sync_directory;

const MAGIC: &[u8; 8] = b"QUORATEC";
const VERSION: u32 = 1;
const SEAL_BYTES: usize = 16;
const RECORD_BYTES: usize = 40;
const RECORD_SPACING: u64 = 512;
const FILE_BYTES: u64 = 2 * RECORD_SPACING;

/// How many commits a store has seen, and a sum over what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Seal {
    /// Commits since the store was made, or first sealed.
    pub commits: u64,
    sum: u64,
}

impl Seal {
    /// Of entries that no commit has sealed yet.
    fn of(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let sum = entries.iter().fold(0_u64, |sum, (key, value)| sum.wrapping_add(entry_hash(key, value)));
        Self { commits: 0, sum }
    }

    /// A key's value was replaced.
    pub fn replace(&mut self, key: &[u8], before: Option<&[u8]>, after: Option<&[u8]>) {
        let hash = |value: Option<&[u8]>| value.map_or(0, |value| entry_hash(key, value));
        self.sum = self.sum.wrapping_sub(hash(before)).wrapping_add(hash(after));
    }

    /// The bytes.
    pub fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut bytes = [0; SEAL_BYTES];
        bytes[..8].copy_from_slice(&self.commits.to_le_bytes());
        bytes[8..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (commits, sum) = bytes.split_at_checked(8)?;
        Some(Self {
            commits: u64::from_le_bytes(commits.try_into().ok()?),
            sum: u64::from_le_bytes(sum.try_into().ok()?),
        })
    }

    /// The seal of what a store gave, if that is whole: it has the sum of the seal in it, and is not older than the one
    /// beside it. A store without any seal is new, or of a version before there were seals. The error says what is wrong.
    pub fn verify(
        inner: Option<&[u8]>,
        beside: Option<Self>,
        entries: &BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<Self, String> {
        let found = Self::of(entries);
        let inner = match inner {
            Some(bytes) => Some(Self::decode(bytes).ok_or("the seal in the store is malformed")?),
            None => None,
        };
        match (inner, beside) {
            (None, None) => Ok(found),
            (None, Some(beside)) if beside == found => Ok(found),
            (Some(inner), _) if inner.sum != found.sum => Err(format!(
                "the file is corrupt: its {} entries are not those of commit {}",
                entries.len(),
                inner.commits
            )),
            (Some(_), None) => {
                Err("the file 'seal' beside the store is missing: parts of the store were lost".to_owned())
            }
            (Some(inner), Some(beside)) if inner.commits > beside.commits || inner == beside => Ok(inner),
            (inner, Some(beside)) => {
                let commits = inner.map_or(0, |inner| inner.commits);
                Err(format!(
                    "parts of the store were lost: it holds {commits} commits, but once held {}",
                    beside.commits
                ))
            }
        }
    }
}

/// The file beside the store.
pub(crate) struct SealFile {
    file: File,
    path: PathBuf,
}

impl SealFile {
    /// The newest seal in a file; `None` if there is no file.
    pub fn read(path: &Path) -> Result<Option<Seal>, DiskError> {
        let name = path.display().to_string();
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failure("read", &name, &error)),
            Ok(bytes) => bytes,
        };
        let newest = [0, RECORD_SPACING as usize].into_iter().filter_map(|at| {
            let record = bytes.get(at..at.saturating_add(RECORD_BYTES))?;
            decode_record(record)
        });
        newest.max_by_key(|seal| seal.commits).map(Some).ok_or_else(|| {
            let problem = "the file is corrupt: neither record, at byte 0 and at byte 512, is whole".to_owned();
            DiskError::new("read", &name, DiskErrorKind::Io(problem))
        })
    }

    /// Opens or creates the file in the store's directory, with this seal in it, durably.
    pub fn open(dir: &Path, seal: &Seal) -> Result<Self, DiskError> {
        let (path, made) = (dir.join("seal"), dir.join("seal.new"));
        let io = |operation: &str, error: &io::Error| failure(operation, &path.display().to_string(), error);
        if !path.exists() {
            // Under its name the file always has a seal.
            let file = File::create(&made).map_err(|error| io("create", &error))?;
            file.set_len(FILE_BYTES).map_err(|error| io("create", &error))?;
            let file = Self { file, path: made.clone() };
            file.write(seal)?;
            fs::rename(&made, &path).and_then(|()| sync_directory(dir)).map_err(|error| io("create", &error))?;
        }
        let file = OpenOptions::new().write(true).open(&path).map_err(|error| io("open", &error))?;
        let file = Self { file, path };
        file.write(seal)?;
        Ok(file)
    }

    /// Writes a seal, durably.
    pub fn write(&self, seal: &Seal) -> Result<(), DiskError> {
        let offset = (seal.commits % 2) * RECORD_SPACING;
        let written = self.file.write_all_at(&encode_record(seal), offset).and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            failure(format!("write {RECORD_BYTES} bytes at {offset}"), &self.path.display().to_string(), &error)
        })
    }
}

fn encode_record(seal: &Seal) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&seal.encode());
    let check = fnv1a(&[&bytes]);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

fn decode_record(bytes: &[u8]) -> Option<Seal> {
    let (body, check) = bytes.split_at_checked(RECORD_BYTES - 8)?;
    let seal = Seal::decode(body.get(16..)?)?;
    (encode_record(&seal) == bytes && fnv1a(&[body]).to_le_bytes() == check).then_some(seal)
}

/// A number of an entry: its bytes' hash, mixed so that sums of several tell them apart (the mixing is SplitMix64's).
fn entry_hash(key: &[u8], value: &[u8]) -> u64 {
    let mut mixed = fnv1a(&[&(key.len() as u64).to_le_bytes(), key, value]);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fowler, Noll and Vo's hash, variant 1a.
fn fnv1a(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: u8) -> BTreeMap<Vec<u8>, Vec<u8>> {
        (0..count).map(|number| (vec![number], vec![number; 3])).collect()
    }

    #[test]
    fn a_store_is_whole_or_it_does_not_open() {
        let (old, new) = (Seal { commits: 4, ..Seal::of(&entries(4)) }, Seal { commits: 5, ..Seal::of(&entries(5)) });
        let verify = |inner: Option<Seal>, beside, count| {
            let inner = inner.map(|seal| seal.encode());
            Seal::verify(inner.as_ref().map(|bytes| &bytes[..]), beside, &entries(count))
        };
        assert_eq!(verify(Some(new), Some(new), 5), Ok(new));
        assert_eq!(verify(Some(new), Some(old), 5), Ok(new), "it died before the seal was written");
        assert!(verify(Some(old), Some(new), 4).unwrap_err().contains("holds 4 commits, but once held 5"));
        assert!(verify(Some(new), Some(new), 4).unwrap_err().contains("not those of commit 5"));
        assert!(verify(Some(new), None, 5).unwrap_err().contains("seal"));
        assert!(verify(None, Some(new), 0).is_err());
        assert_eq!(verify(None, None, 3), Ok(Seal::of(&entries(3))), "of a version before there were seals");
        assert_eq!(verify(None, Some(Seal::of(&entries(3))), 3), Ok(Seal::of(&entries(3))));
        let mut changed = Seal::of(&entries(4));
        changed.replace(&[4], None, Some(&[4; 3]));
        assert_eq!(changed, Seal::of(&entries(5)));
        changed.replace(&[4], Some(&[4; 3]), None);
        assert_eq!(changed, Seal::of(&entries(4)));
    }

    #[test]
    fn one_torn_record_leaves_the_other() {
        let directory = tempfile::tempdir().unwrap();
        let seal = |commits| Seal { commits, sum: commits * 7 };
        let file = SealFile::open(directory.path(), &seal(0)).unwrap();
        let path = directory.path().join("seal");
        for commits in 1..5 {
            file.write(&seal(commits)).unwrap();
            assert_eq!(SealFile::read(&path).unwrap(), Some(seal(commits)));
        }
        file.file.write_all_at(b"torn", 4).unwrap();
        assert_eq!(SealFile::read(&path).unwrap(), Some(seal(3)));
        file.file.write_all_at(b"torn", 512).unwrap();
        assert!(SealFile::read(&path).unwrap_err().to_string().contains("seal"));
    }
}
