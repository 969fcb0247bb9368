//! Paging state: where a query stopped, in a form that survives the coordinator.
//!
//! ```text
//! version u8 = 1 | statement u64 | command varint | resume? rows_given varint | progress bytes | check u64 (xxh3 of all before, keyed)
//! ```
//!
//! It is opaque to clients. The check tells a mangled or a foreign state from ours; it is keyed with the cluster's
//! identity, so that a state of another cluster is refused too.

use bytes::Bytes;
use quorate_coordinator::Continuation;
use quorate_model::ClusterId;
use quorate_model::read::Resume;
use quorate_model::request::RequestError;
use quorate_model::wire::{Reader, Wire, WireError, Writer};

const VERSION: u8 = 1;
const CHECK_BYTES: usize = 8;

/// Where a query stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagingState {
    /// Fingerprint of the statement it belongs to.
    pub statement: u64,
    /// Which of the query's read commands comes next.
    pub command: u32,
    /// Where that command goes on; `None` at its start.
    pub resume: Option<Continuation>,
    /// The result builder's own progress, encoded.
    pub progress: Bytes,
}

impl PagingState {
    /// The bytes for the client.
    pub fn seal(&self, cluster: ClusterId) -> Bytes {
        let mut out = Writer::default();
        out.u8(VERSION);
        out.u64(self.statement);
        out.varint(u64::from(self.command));
        match &self.resume {
            None => out.bool(false),
            Some(resume) => {
                out.bool(true);
                resume.place.encode(&mut out);
                out.varint(u64::from(resume.rows_given));
            }
        }
        out.bytes(&self.progress);
        let check = check(out.as_slice(), cluster);
        out.u64(check);
        out.finish()
    }

    /// Reads a client's bytes; refuses what is not ours or not of this statement.
    pub fn open(bytes: &Bytes, statement: u64, cluster: ClusterId) -> Result<Self, RequestError> {
        let refuse = |problem: &str| RequestError::Protocol(format!("Invalid value for the paging state: {problem}"));
        let Some(body_len) = bytes.len().checked_sub(CHECK_BYTES) else { return Err(refuse("it is too short")) };
        let body = bytes.slice(..body_len);
        let mut tail = Reader::new(bytes.slice(body_len..));
        let found = tail.u64("paging state").map_err(|error| refuse(&error.to_string()))?;
        if found != check(&body, cluster) {
            return Err(refuse("it was altered, or comes from another cluster"));
        }
        let state = Self::decode(body).map_err(|error| refuse(&error.to_string()))?;
        if state.statement != statement {
            return Err(refuse("it belongs to another statement"));
        }
        Ok(state)
    }

    fn decode(body: Bytes) -> Result<Self, WireError> {
        const WHAT: &str = "paging state";
        let mut input = Reader::new(body);
        if input.u8(WHAT)? != VERSION {
            return Err(input.error(WHAT, "an unknown version"));
        }
        let statement = input.u64(WHAT)?;
        let small = |input: &mut Reader| {
            let value = input.varint(WHAT)?;
            u32::try_from(value).map_err(|_| input.error(WHAT, "a number over 32 bits"))
        };
        let command = small(&mut input)?;
        let resume = if input.bool(WHAT)? {
            let place = Resume::decode(&mut input)?;
            Some(Continuation { place, rows_given: small(&mut input)? })
        } else {
            None
        };
        let progress = input.bytes(WHAT)?;
        if input.remaining() > 0 {
            return Err(input.error(WHAT, "bytes left over at the end"));
        }
        Ok(Self { statement, command, resume, progress })
    }
}

fn check(bytes: &[u8], cluster: ClusterId) -> u64 {
    let (high, low) = cluster.0.split_at(8);
    let part = |half: &[u8]| half.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, part(high) ^ part(low).rotate_left(32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_model::{DecoratedKey, PartitionKey, Position, Token};

    fn state() -> PagingState {
        PagingState {
            statement: 7,
            command: 3,
            resume: Some(Continuation {
                place: Resume {
                    key: DecoratedKey { token: Token(-5), key: PartitionKey(Bytes::from_static(b"key")) },
                    position: Some(Position::after(b"abc")),
                },
                rows_given: 12,
            }),
            progress: Bytes::from_static(&[1, 2, 3]),
        }
    }

    #[test]
    fn it_comes_back_as_it_went() {
        let cluster = ClusterId::from_u128(9);
        let sealed = state().seal(cluster);
        assert_eq!(PagingState::open(&sealed, 7, cluster), Ok(state()));
    }

    #[test]
    fn any_change_of_any_byte_is_refused() {
        let cluster = ClusterId::from_u128(9);
        let sealed = state().seal(cluster);
        for index in 0..sealed.len() {
            let mut mangled = sealed.to_vec();
            mangled[index] ^= 0x10;
            assert!(PagingState::open(&mangled.into(), 7, cluster).is_err(), "byte {index}");
        }
        for len in 0..sealed.len() {
            assert!(PagingState::open(&sealed.slice(..len), 7, cluster).is_err(), "length {len}");
        }
        assert!(PagingState::open(&sealed, 8, cluster).is_err(), "another statement");
        assert!(PagingState::open(&sealed, 7, ClusterId::from_u128(10)).is_err(), "another cluster");
    }
}
