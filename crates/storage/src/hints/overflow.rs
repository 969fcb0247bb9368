//! The mark that a target misses writes for which no hint is kept.
//!
//! ```text
//! 0  magic "QUORATEO" · 8 version u32 = 1 · 12 hints dropped u64 · 20 CRC-32C of bytes 0..20, placed at file 0, offset 0
//! ```

use std::sync::Arc;

use quorate_env::{Disk, DiskError, OpenMode};

use crate::checksum::placed;

const MAGIC: &[u8; 8] = b"QUORATEO";
const VERSION: u32 = 1;
const BYTES: usize = 24;

/// Replaces the mark of a target, durably.
pub(super) fn save(disk: &Arc<dyn Disk>, dir: &str, dropped: u64) -> Result<(), DiskError> {
    let mut bytes = Vec::with_capacity(BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&dropped.to_le_bytes());
    let check = placed(0, 0, &[&bytes]);
    bytes.extend_from_slice(&check.to_le_bytes());
    let temporary = format!("{dir}/overflow.new");
    match disk.remove(&temporary) {
        Err(error) if !error.is_not_found() => return Err(error),
        _ => {}
    }
    let file = disk.open(&temporary, OpenMode::CreateNew)?;
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(&temporary, &format!("{dir}/overflow"))?;
    disk.sync_dir(dir)
}

/// Reads the mark. A damaged one still marks: it says that something is missing, no longer how much.
pub(super) fn load(disk: &Arc<dyn Disk>, dir: &str) -> Result<u64, DiskError> {
    let file = disk.open(&format!("{dir}/overflow"), OpenMode::Read)?;
    let mut bytes = [0; BYTES];
    if file.len()? != BYTES as u64 {
        return Ok(1);
    }
    file.read_at(0, &mut bytes)?;
    let (body, check) = bytes.split_at(BYTES - 4);
    let (head, dropped) = body.split_at(12);
    let sound =
        head == [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat() && placed(0, 0, &[body]).to_le_bytes() == check;
    Ok(dropped.try_into().ok().filter(|_| sound).map_or(1, u64::from_le_bytes))
}
