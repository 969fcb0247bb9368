//! What the log keeps in the system store.
//!
//! ```text
//! metadata/acceptor            the acceptor of the slot after the last entry
//! metadata/entry/<epoch:u64be> a decided entry
//! metadata/snapshot            epoch:varint pieces:varint of the snapshot that entries follow on
//! metadata/snapshot/<u32be>    a piece of its encoding
//! ```

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use quorate_model::Epoch;
use quorate_model::wire::{Reader, Wire, WireError, Writer};

use super::acceptor::Acceptor;
use crate::limits::SNAPSHOT_PIECE_BYTES;
use crate::metadata::{ClusterMetadata, Entry};

/// All keys of the log start with this: scan it and hand the result to [`super::MetadataLog::open`].
pub const STORE_PREFIX: &[u8] = b"metadata/";

const ACCEPTOR: &[u8] = b"metadata/acceptor";
const ENTRY: &[u8] = b"metadata/entry/";
const SNAPSHOT: &[u8] = b"metadata/snapshot";

/// Puts (`Some`) and removals (`None`), as the system store commits them atomically.
pub type StoreChanges = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Why what was stored cannot be the log of this node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A value does not decode.
    #[error("the stored metadata log is damaged: {0}")]
    Damaged(#[from] WireError),
    /// An entry is missing.
    #[error("the stored metadata log has a gap: entry {expected} is missing, {found} is there")]
    Gap {
        /// The epoch that should come next.
        expected: Epoch,
        /// The one that does.
        found: Epoch,
    },
    /// A piece of the snapshot is missing.
    #[error("the stored metadata snapshot lacks its piece {piece}")]
    SnapshotPiece {
        /// The piece's number.
        piece: u32,
    },
}

pub(super) fn put_acceptor(acceptor: &Acceptor) -> StoreChanges {
    vec![(ACCEPTOR.to_vec(), Some(acceptor.to_bytes().to_vec()))]
}

pub(super) fn put_entries(entries: &[Entry]) -> StoreChanges {
    let mut changes: StoreChanges =
        entries.iter().map(|entry| (entry_key(entry.epoch), Some(entry.to_bytes().to_vec()))).collect();
    changes.push((ACCEPTOR.to_vec(), None));
    changes
}

pub(super) fn put_snapshot(metadata: &ClusterMetadata) -> StoreChanges {
    let bytes = metadata.to_bytes();
    let mut changes: StoreChanges = Vec::new();
    let mut pieces = 0u32;
    for piece in bytes.chunks(SNAPSHOT_PIECE_BYTES) {
        changes.push((piece_key(pieces), Some(piece.to_vec())));
        pieces += 1;
    }
    let mut head = Writer::default();
    head.varint(metadata.epoch.0);
    head.varint(u64::from(pieces));
    changes.push((SNAPSHOT.to_vec(), Some(head.finish().to_vec())));
    changes.push((ACCEPTOR.to_vec(), None));
    changes
}

fn entry_key(epoch: Epoch) -> Vec<u8> {
    [ENTRY, &epoch.0.to_be_bytes()].concat()
}

fn piece_key(piece: u32) -> Vec<u8> {
    [SNAPSHOT, b"/", &piece.to_be_bytes()].concat()
}

/// What was stored, put together again.
pub(super) struct Stored {
    pub(super) metadata: ClusterMetadata,
    pub(super) recent: BTreeMap<Epoch, Entry>,
    pub(super) acceptor: Option<Acceptor>,
}

pub(super) fn load(pairs: &[(Vec<u8>, Vec<u8>)], recent_max: usize) -> Result<Stored, OpenError> {
    let pairs: BTreeMap<&[u8], &[u8]> = pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
    let mut metadata = load_snapshot(&pairs)?.unwrap_or_default();
    let mut recent = BTreeMap::new();
    for (_, value) in pairs.range(ENTRY..).take_while(|(key, _)| key.starts_with(ENTRY)) {
        let entry = Entry::from_bytes(&Bytes::copy_from_slice(value))?;
        if entry.epoch <= metadata.epoch {
            continue;
        }
        if entry.epoch != metadata.epoch.next() {
            return Err(OpenError::Gap { expected: metadata.epoch.next(), found: entry.epoch });
        }
        // A rejected change was decided all the same.
        let _ = metadata.apply(&entry);
        recent.insert(entry.epoch, entry);
        if recent.len() > recent_max {
            recent.pop_first();
        }
    }
    let acceptor = match pairs.get(ACCEPTOR) {
        Some(value) => Some(Acceptor::from_bytes(&Bytes::copy_from_slice(value))?),
        None => None,
    };
    Ok(Stored { metadata, recent, acceptor })
}

fn load_snapshot(pairs: &BTreeMap<&[u8], &[u8]>) -> Result<Option<ClusterMetadata>, OpenError> {
    let Some(head) = pairs.get(SNAPSHOT) else { return Ok(None) };
    let mut head = Reader::new(Bytes::copy_from_slice(head));
    let _epoch = head.varint("snapshot's epoch")?;
    let pieces = head.varint("snapshot's pieces")?;
    let mut bytes = BytesMut::new();
    for piece in 0..u32::try_from(pieces).unwrap_or(u32::MAX) {
        let Some(value) = pairs.get(piece_key(piece).as_slice()) else {
            return Err(OpenError::SnapshotPiece { piece });
        };
        bytes.extend_from_slice(value);
    }
    Ok(Some(ClusterMetadata::from_bytes(&bytes.freeze())?))
}
