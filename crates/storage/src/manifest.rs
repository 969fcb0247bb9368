//! The manifest: which SSTables there are, what was truncated, dropped and lost.
//!
//! ```text
//! tables/MANIFEST    0  8 B  magic
//!                    8  u32  version
//!                   12  u32  CRC-32C of the payload (as content of file 0 at offset 16)
//!                   16  payload: varint next file number · tables · dropped tables · damage of the log
//! table                  id, truncation, from version 2 on a flag: lost with the log; then its files; from version 3 on
//!                        its indexes, each with a flag: built, and where its building goes on
//! ```
//!
//! Every edit writes the whole of it anew beside the old one, syncs it, renames it over and syncs the directory: after a
//! crash the live set is exactly that before or after the edit. An edit that fails before the rename changed nothing; one
//! that fails later leaves the disk in either state, so nothing more is written ([`StorageError::Poisoned`]).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use quorate_env::disk::DiskErrorKind;
use quorate_env::{Disk, OpenMode};
use quorate_model::wire::{Reader, Wire, WireError, Writer};
use quorate_model::{IndexDefinition, Resume, TableId, Timestamp, Token};

use crate::checksum;
use crate::error::{CorruptionError, StorageError};
use crate::limits::{DROPPED_TABLES_MAX, MANIFEST_BYTES_MAX};

/// Where tables live.
pub(crate) const TABLES_DIR: &str = "tables";
const PATH: &str = "tables/MANIFEST";
const TEMPORARY_PATH: &str = "tables/MANIFEST.tmp";
const MAGIC: [u8; 8] = *b"QrManif\n";
const VERSION: u32 = 3;
/// The oldest version that is read. It has no table that was lost with the log; before version 3 there are no indexes.
const VERSION_MIN: u32 = 1;
const HEADER_BYTES: usize = 16;

/// One SSTable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestFile {
    pub(crate) bytes: u64,
    pub(crate) first: Token,
    pub(crate) last: Token,
    /// Found damaged: it serves no more, and its range is lost until rebuilt.
    pub(crate) lost: bool,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct ManifestTable {
    pub(crate) truncated: Option<Timestamp>,
    /// The log lost writes that may have been this table's: all of it is lost until rebuilt.
    pub(crate) lost_with_log: bool,
    pub(crate) files: BTreeMap<u64, ManifestFile>,
    pub(crate) indexes: Vec<ManifestIndex>,
}

/// An index of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ManifestIndex {
    pub(crate) definition: IndexDefinition,
    /// Whether everything in the base table has its entries.
    pub(crate) built: bool,
    /// If not, up to where what was there before the index has them, in files.
    pub(crate) from: Option<Resume>,
}

impl ManifestIndex {
    /// One that nothing is built of.
    pub(crate) fn new(definition: IndexDefinition) -> Self {
        Self { definition, built: false, from: None }
    }
}

/// What the manifest says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct ManifestState {
    pub(crate) next_file: u64,
    pub(crate) tables: BTreeMap<TableId, ManifestTable>,
    pub(crate) dropped: BTreeSet<TableId>,
    /// Places of the commit log whose durable records could not be read; kept until the tables are marked that may
    /// have lost writes by it.
    pub(crate) log_damage: Vec<String>,
}

impl ManifestState {
    /// Takes a table out, for all time.
    pub(crate) fn drop_table(&mut self, id: TableId) {
        self.tables.remove(&id);
        if self.dropped.len() < DROPPED_TABLES_MAX {
            self.dropped.insert(id);
        }
    }

    /// Takes everything out of an index, which is to be built anew.
    pub(crate) fn begin_index(&mut self, id: TableId) {
        self.tables.entry(id).or_default().files.clear();
        let indexes = self.tables.values_mut().flat_map(|table| &mut table.indexes);
        for known in indexes.filter(|known| known.definition.id == id) {
            *known = ManifestIndex::new(known.definition.clone());
        }
    }
}

/// The manifest on disk and in memory.
pub(crate) struct Manifest {
    disk: Arc<dyn Disk>,
    state: ManifestState,
    poisoned: Option<String>,
}

/// Path of an SSTable.
pub(crate) fn sstable_path(number: u64) -> String {
    format!("{TABLES_DIR}/{number:016x}.sst")
}

/// The number in an SSTable's file name.
pub(crate) fn sstable_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".sst").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

impl Manifest {
    /// Reads what is there; an empty one if there is none.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> Result<Self, StorageError> {
        let state = match disk.open(PATH, OpenMode::Read) {
            Ok(file) => {
                let len = file.len()?;
                let corrupt = |problem: String| CorruptionError { path: PATH.to_owned(), offset: 0, problem };
                if len < HEADER_BYTES as u64 || len > MANIFEST_BYTES_MAX {
                    return Err(corrupt(format!("a manifest of {len} bytes")).into());
                }
                let mut bytes = vec![0; len as usize];
                file.read_at(0, &mut bytes)?;
                decode(bytes.into()).map_err(corrupt)?
            }
            Err(error) if error.kind == DiskErrorKind::NotFound => ManifestState { next_file: 1, ..Default::default() },
            Err(error) => return Err(error.into()),
        };
        Ok(Self { disk, state, poisoned: None })
    }

    /// What it says now.
    pub(crate) fn state(&self) -> &ManifestState {
        &self.state
    }

    /// A number for a new file. Not durable by itself: a file that no edit lists is removed at the next start.
    pub(crate) fn take_number(&mut self) -> u64 {
        let number = self.state.next_file;
        self.state.next_file += 1;
        number
    }

    /// Changes it, durably and atomically. Returns what the change returned.
    pub(crate) fn edit<T>(&mut self, change: impl FnOnce(&mut ManifestState) -> T) -> Result<T, StorageError> {
        if let Some(cause) = &self.poisoned {
            return Err(StorageError::Poisoned(cause.clone()));
        }
        let mut state = self.state.clone();
        let outcome = change(&mut state);
        if state == self.state {
            return Ok(outcome);
        }
        if let Err(error) = self.write_beside(&encode(&state)) {
            let _ = self.disk.remove(TEMPORARY_PATH);
            return Err(error);
        }
        let replaced = self.disk.rename(TEMPORARY_PATH, PATH).and_then(|()| self.disk.sync_dir(TABLES_DIR));
        if let Err(error) = replaced {
            self.poisoned = Some(error.to_string());
            return Err(StorageError::Poisoned(error.to_string()));
        }
        self.state = state;
        Ok(outcome)
    }

    fn write_beside(&self, bytes: &[u8]) -> Result<(), StorageError> {
        match self.disk.remove(TEMPORARY_PATH) {
            Err(error) if error.kind != DiskErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = self.disk.open(TEMPORARY_PATH, OpenMode::CreateNew)?;
        file.write_at(0, bytes)?;
        Ok(file.sync()?)
    }
}

fn encode(state: &ManifestState) -> Vec<u8> {
    let mut out = Writer::default();
    out.varint(state.next_file);
    out.varint(state.tables.len() as u64);
    for (id, table) in &state.tables {
        out.raw(&id.0);
        out.bool(table.truncated.is_some());
        out.i64(table.truncated.map_or(0, |timestamp| timestamp.0));
        out.bool(table.lost_with_log);
        out.varint(table.files.len() as u64);
        for (number, file) in &table.files {
            out.varint(*number);
            out.varint(file.bytes);
            out.i64(file.first.0);
            out.i64(file.last.0);
            out.bool(file.lost);
        }
        out.varint(table.indexes.len() as u64);
        for index in &table.indexes {
            index.definition.encode(&mut out);
            out.bool(index.built);
            out.bool(index.from.is_some());
            index.from.iter().for_each(|from| from.encode(&mut out));
        }
    }
    out.varint(state.dropped.len() as u64);
    state.dropped.iter().for_each(|id| out.raw(&id.0));
    out.varint(state.log_damage.len() as u64);
    state.log_damage.iter().for_each(|damage| out.string(damage));
    let payload = out.finish();
    let mut bytes = Vec::with_capacity(payload.len() + HEADER_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&checksum::placed(0, HEADER_BYTES as u64, &[&payload]).to_le_bytes());
    bytes.extend_from_slice(&payload);
    bytes
}

fn decode(bytes: Bytes) -> Result<ManifestState, String> {
    let malformed = |error: WireError| error.to_string();
    let mut header = Reader::new(bytes.slice(..HEADER_BYTES));
    if header.take(8, "magic").map_err(malformed)? != MAGIC[..] {
        return Err("the magic is missing".to_owned());
    }
    let version = header.u32("version").map_err(malformed)?;
    if !(VERSION_MIN..=VERSION).contains(&version) {
        return Err(format!("format version {version}, this build reads {VERSION_MIN} to {VERSION}"));
    }
    let found = header.u32("checksum").map_err(malformed)?;
    let payload = bytes.slice(HEADER_BYTES..);
    let expected = checksum::placed(0, HEADER_BYTES as u64, &[&payload]);
    if found != expected {
        return Err(format!("checksum {expected:08x} expected, {found:08x} found"));
    }
    decode_state(&mut Reader::new(payload), version).map_err(malformed)
}

fn decode_state(input: &mut Reader, version: u32) -> Result<ManifestState, WireError> {
    let mut state = ManifestState { next_file: input.varint("next file number")?, ..Default::default() };
    for _ in 0..input.count(26, "tables")? {
        let id = TableId(input.id("table")?);
        let is_truncated = input.bool("truncation flag")?;
        let timestamp = Timestamp(input.i64("truncation")?);
        let lost_with_log = version >= 2 && input.bool("lost with the log")?;
        let truncated = is_truncated.then_some(timestamp);
        let mut table = ManifestTable { truncated, lost_with_log, files: BTreeMap::new(), indexes: Vec::new() };
        for _ in 0..input.count(19, "files")? {
            let number = input.varint("file number")?;
            let file = ManifestFile {
                bytes: input.varint("file size")?,
                first: Token(input.i64("first token")?),
                last: Token(input.i64("last token")?),
                lost: input.bool("lost flag")?,
            };
            table.files.insert(number, file);
        }
        for _ in 0..if version >= 3 { input.count(4, "indexes")? } else { 0 } {
            let definition = IndexDefinition::decode(input)?;
            let built = input.bool("built flag")?;
            let from = if input.bool("progress flag")? { Some(Resume::decode(input)?) } else { None };
            table.indexes.push(ManifestIndex { definition, built, from });
        }
        state.tables.insert(id, table);
    }
    for _ in 0..input.count(16, "dropped tables")? {
        state.dropped.insert(TableId(input.id("dropped table")?));
    }
    for _ in 0..input.count(1, "log damage")? {
        state.log_damage.push(input.string("log damage")?);
    }
    if input.remaining() > 0 {
        return Err(input.error("manifest", "bytes left over at the end"));
    }
    Ok(state)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_first_version_is_still_read() {
        let file = ManifestFile { bytes: 5, first: Token(1), last: Token(2), lost: true };
        let files = BTreeMap::from([(3, file)]);
        let table = ManifestTable { truncated: Some(Timestamp(4)), lost_with_log: true, files, indexes: Vec::new() };
        let mut state = ManifestState { next_file: 9, ..ManifestState::default() };
        state.tables.insert(TableId([7; 16]), table);
        let mut bytes = encode(&state);
        assert_eq!(decode(bytes.clone().into()).unwrap(), state);
        // No indexes: their count ends the table, the counts of dropped tables and of damages end the whole.
        assert_eq!(bytes.remove(bytes.len() - 3), 0);
        // The flag follows the next file's number, the count of tables, and the table's id and truncation.
        assert_eq!(bytes.remove(HEADER_BYTES + 1 + 1 + 16 + 1 + 8), 1);
        bytes[8..12].copy_from_slice(&1_u32.to_le_bytes());
        let check = checksum::placed(0, HEADER_BYTES as u64, &[&bytes[HEADER_BYTES..]]);
        bytes[12..16].copy_from_slice(&check.to_le_bytes());
        state.tables.values_mut().for_each(|table| table.lost_with_log = false);
        assert_eq!(decode(bytes.into()).unwrap(), state);
    }
}
