//! The content of one simulated file: what programs see, and what a power loss may take back.

use std::collections::BTreeMap;

use crate::Random;

/// The unit that a power loss keeps or loses whole.
pub const SECTOR_BYTES: u64 = 512;

/// What the medium holds in a sector whose newest content is not durable.
struct Before {
    /// The durable bytes; `None` where the durable file had none.
    image: Option<Box<[u8]>>,
    /// Set when a sync failed on it: the cache holds it as clean, no later sync writes it, every power loss reverts it.
    ghost: bool,
}

/// One file. Appending costs as much as the bytes appended; a sync as much as the sectors it makes durable.
#[derive(Default)]
pub struct Inode {
    /// What reads see.
    content: Vec<u8>,
    /// Sectors that differ from the medium, by number.
    unsynced: BTreeMap<u64, Before>,
    /// The file's length on the medium.
    durable_len: u64,
    /// Names in the live tree.
    pub names: u32,
    /// Open handles.
    pub handles: u32,
}

impl Inode {
    /// Length as programs see it.
    pub fn len(&self) -> u64 {
        self.content.len() as u64
    }

    /// Whether nothing is waiting for a sync.
    pub fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && self.durable_len == self.len()
    }

    /// The bytes at an offset, if the file has them all.
    pub fn read(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        self.content.get(start..start.checked_add(len)?)
    }

    /// Everything.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Overwrites or extends; a hole reads as zeros.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        self.remember(offset.min(self.len()), end);
        if end > self.len() {
            self.content.resize(end as usize, 0);
        }
        self.content[offset as usize..end as usize].copy_from_slice(bytes);
    }

    /// Cuts, or extends with zeros.
    pub fn set_len(&mut self, len: u64) {
        self.remember(len.min(self.len()), len.max(self.len()));
        self.content.resize(len as usize, 0);
    }

    /// Everything becomes durable, but for what a failed sync has already dropped.
    pub fn sync(&mut self) {
        self.unsynced.retain(|_, before| before.ghost);
        self.durable_len = self.len();
    }

    /// A sync that fails: some sectors reached the medium, the others are forgotten while the cache goes on showing them.
    pub fn fail_sync(&mut self, random: &mut Random) {
        let chance = random.below(4);
        self.unsynced.retain(|_, before| {
            before.ghost |= !random.chance(chance, 4);
            before.ghost
        });
    }

    /// The cache forgets what failed syncs left behind (memory pressure): reads see the medium again.
    pub fn evict_ghosts(&mut self) {
        let ghosts: Vec<u64> =
            self.unsynced.iter().filter(|(_, before)| before.ghost).map(|(number, _)| *number).collect();
        for number in ghosts {
            if let Some(before) = self.unsynced.remove(&number) {
                self.restore(number, before.image.as_deref());
            }
        }
    }

    /// Power loss: each unsynced sector survives with a chance of `keep` in 4, and the length is one of those that the
    /// file went through.
    pub fn crash(&mut self, keep: u64, random: &mut Random) {
        let (volatile_len, durable_len) = (self.len(), self.durable_len);
        self.content.resize(volatile_len.max(durable_len) as usize, 0);
        for (number, before) in std::mem::take(&mut self.unsynced) {
            if before.ghost || !random.chance(keep, 4) {
                self.restore(number, before.image.as_deref());
            }
        }
        let (low, high) = (volatile_len.min(durable_len), volatile_len.max(durable_len));
        let len = match keep {
            0 => durable_len,
            4.. => volatile_len,
            _ => random.between(low, high),
        };
        self.content.truncate(len as usize);
        self.durable_len = len;
    }

    /// Flips one bit on the medium, below cache and checks.
    pub fn flip_bit(&mut self, offset: u64, bit: u8) -> bool {
        let Some(byte) = usize::try_from(offset).ok().and_then(|offset| self.content.get_mut(offset)) else {
            return false;
        };
        *byte ^= 1 << (bit & 7);
        true
    }

    /// Overwrites bytes on the medium, below cache and checks; false if the file is shorter.
    pub fn scribble(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let Ok(from) = usize::try_from(offset) else { return false };
        let Some(place) = self.content.get_mut(from..from.saturating_add(bytes.len())) else { return false };
        place.copy_from_slice(bytes);
        true
    }

    /// Keeps the durable image of each sector in `[from, to)` that is about to change.
    fn remember(&mut self, from: u64, to: u64) {
        for number in from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES) {
            let start = number * SECTOR_BYTES;
            let content = &self.content;
            let durable_len = self.durable_len.min(content.len() as u64);
            let before = self.unsynced.entry(number).or_insert_with(|| {
                let image = (start < durable_len).then(|| {
                    let end = (start + SECTOR_BYTES).min(durable_len);
                    content[start as usize..end as usize].into()
                });
                Before { image, ghost: false }
            });
            before.ghost = false;
        }
    }

    fn restore(&mut self, number: u64, image: Option<&[u8]>) {
        let start = (number * SECTOR_BYTES) as usize;
        let end = (start + SECTOR_BYTES as usize).min(self.content.len());
        let Some(sector) = self.content.get_mut(start..end) else { return };
        sector.fill(0);
        if let Some(image) = image {
            let len = image.len().min(sector.len());
            sector[..len].copy_from_slice(&image[..len]);
        }
    }
}
