//! Partition keys as memtables keep them: a short one lies in the tree itself, so that comparing it touches no other memory.

use std::cmp::Ordering;

use bytes::Bytes;
use quorate_model::{DecoratedKey, PartitionKey, Token};

/// The longest key that lies in the tree, in bytes: as many as a box and its mark take anyway.
const INLINE_BYTES_MAX: usize = 22;

/// A partition key with its token, in the order of [`DecoratedKey`].
#[derive(Clone, Debug)]
pub(crate) struct MemoryKey {
    token: Token,
    key: Key,
}

#[derive(Clone, Debug)]
enum Key {
    Inline { length: u8, bytes: [u8; INLINE_BYTES_MAX] },
    Boxed(Box<[u8]>),
}

impl MemoryKey {
    /// A copy of a key: what came over the network is part of a larger buffer.
    pub(crate) fn of(key: &DecoratedKey) -> Self {
        let from = &key.key.0[..];
        let mut bytes = [0; INLINE_BYTES_MAX];
        let own = match (bytes.get_mut(..from.len()), u8::try_from(from.len())) {
            (Some(place), Ok(length)) => {
                place.copy_from_slice(from);
                Key::Inline { length, bytes }
            }
            _ => Key::Boxed(from.into()),
        };
        Self { token: key.token, key: own }
    }

    /// The key's bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.key {
            Key::Inline { length, bytes } => bytes.get(..usize::from(*length)).unwrap_or(bytes),
            Key::Boxed(bytes) => bytes,
        }
    }

    /// A copy of it as others know it.
    pub(crate) fn decorated(&self) -> DecoratedKey {
        DecoratedKey { token: self.token, key: PartitionKey(Bytes::copy_from_slice(self.bytes())) }
    }
}

impl Ord for MemoryKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.token.cmp(&other.token).then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl PartialOrd for MemoryKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for MemoryKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for MemoryKey {}

#[cfg(test)]
mod tests {
    use quorate_env::Random;

    use super::*;

    #[test]
    fn keys_of_all_lengths_have_the_order_of_the_model_and_come_back_whole() {
        let mut random = Random::new(5);
        let keys: Vec<DecoratedKey> = (0..400)
            .map(|_| {
                let bytes: Vec<u8> = (0..random.below(48)).map(|_| random.below(2) as u8).collect();
                DecoratedKey { token: Token(random.below(4) as i64 - 2), key: PartitionKey(bytes.into()) }
            })
            .collect();
        for left in &keys {
            assert_eq!(MemoryKey::of(left).decorated(), *left);
            for right in &keys {
                assert_eq!(MemoryKey::of(left).cmp(&MemoryKey::of(right)), left.cmp(right), "{left:?}, {right:?}");
            }
        }
        assert_eq!(size_of::<MemoryKey>(), 32, "no more than a token and a share of a buffer took before");
    }
}
