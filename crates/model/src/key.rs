//! Partition keys, tokens, token ranges, clustering keys and positions within a partition.

use std::cmp::Ordering;
use std::fmt;

use bytes::Bytes;

use crate::limits;

/// A position on the ring.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Token(pub i64);

impl Token {
    /// The ring's smallest position. No key hashes to it; as a range's end it means 'the end of the ring'.
    pub const MIN: Self = Self(i64::MIN);
    /// The ring's largest position.
    pub const MAX: Self = Self(i64::MAX);
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.0)
    }
}

/// A serialised partition key as drivers hash it: one component stands bare; several are each written as a big-endian
/// u16 length, the bytes and a zero byte (Cassandra's CompositeType). At most 65,535 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PartitionKey(pub Bytes);

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionKey(0x")?;
        for byte in self.0.iter() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

/// A partition key with its token: the order of partitions everywhere (token first, then the key's bytes).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DecoratedKey {
    /// The key's place on the ring.
    pub token: Token,
    /// The key.
    pub key: PartitionKey,
}

/// A range of tokens, start exclusive and end inclusive, as Cassandra has them. It wraps around the ring's end when
/// `start >= end`; `start == end` is the whole ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenRange {
    /// The position after which the range begins.
    pub start: Token,
    /// The last position in the range.
    pub end: Token,
}

impl TokenRange {
    /// The whole ring, not wrapping: everything after `Token::MIN` up to the ring's end.
    pub const FULL: Self = Self { start: Token::MIN, end: Token::MIN };

    /// Whether the token lies in the range.
    pub fn contains(&self, token: Token) -> bool {
        match self.start.cmp(&self.end) {
            Ordering::Less => token > self.start && token <= self.end,
            Ordering::Equal => true,
            Ordering::Greater => token > self.start || token <= self.end,
        }
    }

    /// The same tokens as at most two ranges that do not wrap, in ring order, each with an inclusive last token:
    /// `(after, last)`, where `after` is exclusive (or `None` for the very start of the ring).
    pub fn unwrapped(&self) -> Vec<(Option<Token>, Token)> {
        let after = |token: Token| (token != Token::MIN).then_some(token);
        if self.start < self.end {
            return vec![(after(self.start), self.end)];
        }
        let tail = (after(self.start), Token::MAX);
        if self.end == Token::MIN || (self.start == self.end && self.start == Token::MIN) {
            return vec![tail];
        }
        if self.start == Token::MAX {
            return vec![(None, self.end)];
        }
        vec![(None, self.end), tail]
    }
}

/// A clustering key in its byte-comparable form ([`crate::ordered`]): the order of the bytes is the clustering order of
/// the table, with `DESC` columns already reversed. Empty for a table without clustering columns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClusteringKey(pub Bytes);

impl fmt::Debug for ClusteringKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusteringKey(0x")?;
        for byte in self.0.iter() {
            write!(f, "{byte:02x}")?;
        }
        write!(f, ")")
    }
}

/// A place *between* rows of a partition, compared as bytes with clustering keys: a row lies in `[start, end)` iff
/// `start <= key < end`. Before all rows is the empty string; after all rows is [`Position::END`]. Before every row
/// with a given clustering prefix is the encoded prefix itself; after all of them is the prefix plus the byte `0xff`
/// (no encoded component starts with it, see [`crate::ordered`]).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position(pub Bytes);

impl Position {
    /// Before all rows.
    pub const START: Self = Self(Bytes::new());
    /// After all rows.
    pub const END: Self = Self(Bytes::from_static(&[0xff]));

    /// Before every row whose clustering key starts with this encoded prefix.
    pub fn before(prefix: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(prefix))
    }

    /// After every row whose clustering key starts with this encoded prefix.
    pub fn after(prefix: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(prefix.len() + 1);
        bytes.extend_from_slice(prefix);
        bytes.push(0xff);
        Self(bytes.into())
    }
}

/// Why components make no partition key, or bytes have no such components.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A key of one empty component.
    #[error("Key may not be empty")]
    Empty,
    /// Over the limit.
    #[error("Key length of {length} is longer than maximum of {max}")]
    TooLong {
        /// Its length.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// The bytes are not a composite of so many components.
    #[error("Invalid bytes for a partition key of {components} components (at byte {offset} of {length})")]
    Malformed {
        /// Number of components expected.
        components: usize,
        /// Where reading failed.
        offset: usize,
        /// Length of the key.
        length: usize,
    },
}

impl PartitionKey {
    /// The key of these components, in order, each in its CQL encoding.
    pub fn from_components(components: &[Bytes]) -> Result<Self, KeyError> {
        let key = match components {
            [] => return Err(KeyError::Empty),
            [only] if only.is_empty() => return Err(KeyError::Empty),
            [only] => only.clone(),
            several => {
                let mut bytes = Vec::with_capacity(several.iter().map(|component| component.len() + 3).sum());
                for component in several {
                    let length = u16::try_from(component.len()).map_err(|_| KeyError::TooLong {
                        length: component.len(),
                        max: limits::PARTITION_KEY_BYTES_MAX,
                    })?;
                    bytes.extend_from_slice(&length.to_be_bytes());
                    bytes.extend_from_slice(component);
                    bytes.push(0);
                }
                bytes.into()
            }
        };
        if key.len() > limits::PARTITION_KEY_BYTES_MAX {
            return Err(KeyError::TooLong { length: key.len(), max: limits::PARTITION_KEY_BYTES_MAX });
        }
        Ok(Self(key))
    }

    /// The key's components; `count` is the table's number of partition key columns.
    pub fn components(&self, count: usize) -> Result<Vec<Bytes>, KeyError> {
        if count == 1 {
            return Ok(vec![self.0.clone()]);
        }
        let malformed = |offset| KeyError::Malformed { components: count, offset, length: self.0.len() };
        let mut components = Vec::with_capacity(count);
        let mut offset = 0usize;
        for _ in 0..count {
            let Some([high, low]) = self.0.get(offset..offset + 2) else { return Err(malformed(offset)) };
            let start = offset + 2;
            let end = start + usize::from(u16::from_be_bytes([*high, *low]));
            if self.0.get(end) != Some(&0) {
                return Err(malformed(offset));
            }
            components.push(self.0.slice(start..end));
            offset = end + 1;
        }
        if offset == self.0.len() { Ok(components) } else { Err(malformed(offset)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_component_stands_bare_and_several_are_composite() {
        let parts = [Bytes::from_static(b"ab"), Bytes::new()];
        let bare = PartitionKey::from_components(&parts[..1]).unwrap();
        assert_eq!(bare.0, "ab");
        assert_eq!(bare.components(1).unwrap(), parts[..1]);
        let composite = PartitionKey::from_components(&parts).unwrap();
        assert_eq!(composite.0.as_ref(), b"\0\x02ab\0\0\0\0");
        assert_eq!(composite.components(2).unwrap(), parts);
    }

    #[test]
    fn impossible_keys_are_refused() {
        assert_eq!(PartitionKey::from_components(&[Bytes::new()]), Err(KeyError::Empty));
        assert_eq!(PartitionKey::from_components(&[]), Err(KeyError::Empty));
        let long = Bytes::from(vec![1; limits::PARTITION_KEY_BYTES_MAX]);
        assert!(PartitionKey::from_components(std::slice::from_ref(&long)).is_ok());
        assert!(matches!(PartitionKey::from_components(&[long.clone(), long]), Err(KeyError::TooLong { .. })));
        let composite = PartitionKey(Bytes::from_static(b"\0\x02ab\0\0\0\0"));
        assert!(composite.components(3).is_err());
        for length in 0..composite.0.len() {
            assert!(PartitionKey(composite.0.slice(..length)).components(2).is_err());
        }
    }

    #[test]
    fn unwrapped_ranges_hold_the_same_tokens() {
        let edges = [i64::MIN, i64::MIN + 1, -5, 0, 5, i64::MAX - 1, i64::MAX];
        for (start, end) in edges.iter().flat_map(|start| edges.iter().map(move |end| (Token(*start), Token(*end)))) {
            let range = TokenRange { start, end };
            let parts = range.unwrapped();
            for token in
                edges.iter().flat_map(|edge| [edge.saturating_sub(1), *edge, edge.saturating_add(1)]).map(Token)
            {
                // No key has the smallest token.
                if token == Token::MIN {
                    continue;
                }
                let within =
                    parts.iter().filter(|(after, last)| after.is_none_or(|after| token > after) && token <= *last);
                assert_eq!(within.count(), usize::from(range.contains(token)), "{token} in {range:?}: {parts:?}");
            }
        }
    }
}
