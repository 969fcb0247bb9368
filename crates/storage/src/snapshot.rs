//! Snapshots: hard links to SSTables under a tag.
//!
//! ```text
//! snapshots/TAG/TABLE/<number>.sst   links
//! snapshots/TAG/TABLE/SNAPSHOT       u32 CRC-32C · i64 created · bool + i64 expires · u64 bytes · count · u64 numbers
//! ```
//!
//! `SNAPSHOT` is written last: a directory without it is what a crash left of a snapshot that never was.

use std::sync::Arc;

use bytes::Bytes;
use quorate_env::disk::DiskErrorKind;
use quorate_env::{Disk, DiskError, OpenMode};
use quorate_model::wire::{Reader, WireError, Writer};
use quorate_model::{Seconds, TableId};

use crate::checksum;
use crate::commit_log::create_dir_durably;
use crate::error::StorageError;
use crate::limits::SNAPSHOT_TAG_BYTES_MAX;
use crate::sstable::SsTable;

const DIR: &str = "snapshots";
const DESCRIPTION: &str = "SNAPSHOT";

/// A snapshot of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotDescription {
    /// Its name.
    pub tag: String,
    /// The table.
    pub table: TableId,
    /// When it was taken.
    pub created_at: Seconds,
    /// When it may be cleared, if ever.
    pub expires_at: Option<Seconds>,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Links a table's files.
pub(crate) fn take(
    disk: &Arc<dyn Disk>,
    table: TableId,
    files: &[Arc<SsTable>],
    tag: &str,
    ttl_seconds: Option<u64>,
    now: Seconds,
) -> Result<SnapshotDescription, StorageError> {
    check_tag(tag)?;
    let dir = format!("{DIR}/{tag}/{table}");
    create_dir_durably(disk, &dir)?;
    if disk.list(&dir)?.iter().any(|name| name == DESCRIPTION) {
        return Err(StorageError::Invalid(format!("a snapshot {tag} of table {table} exists already")));
    }
    let expires_at = ttl_seconds.map(|ttl| Seconds(now.0.saturating_add(i64::try_from(ttl).unwrap_or(i64::MAX))));
    let bytes = files.iter().map(|file| file.bytes).sum();
    let description = SnapshotDescription { tag: tag.to_owned(), table, created_at: now, expires_at, bytes };
    for file in files {
        match disk.hard_link(&file.path, &format!("{dir}/{:016x}.sst", file.number)) {
            // Left by an attempt that a crash cut short: the same file, for numbers are unique.
            Err(error) if error.kind == DiskErrorKind::AlreadyExists => {}
            other => other?,
        }
    }
    disk.sync_dir(&dir)?;
    let file = disk.open(&format!("{dir}/{DESCRIPTION}"), OpenMode::CreateNew)?;
    file.write_at(0, &encode(&description, files))?;
    file.sync()?;
    disk.sync_dir(&dir)?;
    Ok(description)
}

/// All whole snapshots.
pub(crate) fn list(disk: &dyn Disk) -> Result<Vec<SnapshotDescription>, StorageError> {
    let mut found = Vec::new();
    for (tag, table, dir) in directories(disk)? {
        let bytes = match disk.open(&format!("{dir}/{DESCRIPTION}"), OpenMode::Read) {
            Ok(file) => {
                let mut bytes = vec![0; usize::try_from(file.len()?).unwrap_or(0).min(1 << 24)];
                file.read_at(0, &mut bytes)?;
                bytes
            }
            Err(error) if error.kind == DiskErrorKind::NotFound => continue,
            Err(error) => return Err(error.into()),
        };
        if let Ok(description) = decode(bytes.into(), tag, table) {
            found.push(description);
        }
    }
    Ok(found)
}

/// Removes the snapshots for which `wanted` says so, and what crashes left of others. Returns how many went.
pub(crate) fn clear(disk: &dyn Disk, wanted: impl Fn(&SnapshotDescription) -> bool) -> Result<u64, StorageError> {
    let mut removed = 0;
    for description in list(disk)?.into_iter().filter(wanted) {
        let dir = format!("{DIR}/{}/{}", description.tag, description.table);
        // The description first: what remains after a crash is then no snapshot.
        disk.remove(&format!("{dir}/{DESCRIPTION}"))?;
        for name in disk.list(&dir)? {
            disk.remove(&format!("{dir}/{name}"))?;
        }
        disk.remove_dir(&dir)?;
        let tag_dir = format!("{DIR}/{}", description.tag);
        if disk.list(&tag_dir)?.is_empty() {
            disk.remove_dir(&tag_dir)?;
        }
        removed += 1;
    }
    Ok(removed)
}

fn directories(disk: &dyn Disk) -> Result<Vec<(String, TableId, String)>, DiskError> {
    let mut found = Vec::new();
    for tag in list_dirs(disk, DIR)? {
        for name in list_dirs(disk, &format!("{DIR}/{tag}"))? {
            if let Some(table) = TableId::parse(&name) {
                found.push((tag.clone(), table, format!("{DIR}/{tag}/{name}")));
            }
        }
    }
    Ok(found)
}

fn list_dirs(disk: &dyn Disk, path: &str) -> Result<Vec<String>, DiskError> {
    match disk.list(path) {
        Ok(names) => Ok(names.iter().filter_map(|name| name.strip_suffix('/')).map(str::to_owned).collect()),
        Err(error) if error.kind == DiskErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A tag becomes a directory's name.
fn check_tag(tag: &str) -> Result<(), StorageError> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ' | '@' | '+');
    if tag.is_empty() || tag.len() > SNAPSHOT_TAG_BYTES_MAX || tag.starts_with('.') || !tag.chars().all(plain) {
        return Err(StorageError::Invalid(format!("'{tag}' cannot be a snapshot's tag")));
    }
    Ok(())
}

fn encode(description: &SnapshotDescription, files: &[Arc<SsTable>]) -> Vec<u8> {
    let mut out = Writer::default();
    out.i64(description.created_at.0);
    out.bool(description.expires_at.is_some());
    out.i64(description.expires_at.map_or(0, |at| at.0));
    out.u64(description.bytes);
    out.varint(files.len() as u64);
    files.iter().for_each(|file| out.u64(file.number));
    let payload = out.finish();
    let mut bytes = checksum::placed(0, 4, &[&payload]).to_le_bytes().to_vec();
    bytes.extend_from_slice(&payload);
    bytes
}

fn decode(bytes: Bytes, tag: String, table: TableId) -> Result<SnapshotDescription, WireError> {
    let mut input = Reader::new(bytes.clone());
    let found = input.u32("checksum")?;
    if found != checksum::placed(0, 4, &[&bytes.slice(4..)]) {
        return Err(input.error("snapshot", "its checksum is wrong"));
    }
    let created_at = Seconds(input.i64("creation")?);
    let expires = input.bool("expiry flag")?;
    let at = Seconds(input.i64("expiry")?);
    let bytes = input.u64("bytes")?;
    Ok(SnapshotDescription { tag, table, created_at, expires_at: expires.then_some(at), bytes })
}
