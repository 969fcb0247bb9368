//! What one execution of a plan is given: values, the time, randomness.

use std::borrow::Cow;

use quorate_model::request::{BoundValue, RequestError, ResultMetadata, Values};
use quorate_model::{Seconds, Timestamp, Token};

use crate::functions::uuid_at;

/// What a plan needs to become an operation, besides the values.
pub struct BindContext<'a> {
    /// The coordinator's one 'now' for expiry.
    pub now: Seconds,
    /// The timestamp of writes that do not say their own, and the time that `now()` shows.
    pub timestamp: Timestamp,
    /// The token of a serialised partition key.
    pub partitioner: fn(&[u8]) -> Token,
    /// Random numbers, for `uuid()`, `now()` and the places of list elements.
    pub random: &'a mut dyn FnMut() -> u64,
    /// The page size, if the answer is to be paged.
    pub page_size: Option<u32>,
    /// What was read for an [`Operation::ReadFirst`](crate::Operation::ReadFirst).
    pub prior: Option<&'a crate::Prior>,
}

/// Evaluates typed values for one execution.
pub(crate) struct Evaluator<'a> {
    values: Cow<'a, [BoundValue]>,
    timestamp: Timestamp,
    partitioner: fn(&[u8]) -> Token,
    random: &'a mut dyn FnMut() -> u64,
    /// Counts what must differ within one execution: time UUIDs and list places.
    sequence: u32,
    /// The document of `INSERT … JSON`, once it is read.
    pub(crate) document: Option<crate::insert_json::Document>,
}

impl<'a> Evaluator<'a> {
    /// Puts the values into the order of the markers.
    pub(crate) fn new(
        values: &'a Values,
        parameters: &ResultMetadata,
        context: &'a mut BindContext<'_>,
        sequence: u32,
    ) -> Result<Self, RequestError> {
        let wanted = parameters.columns.len();
        let values = match values {
            Values::Positional(values) if values.len() == wanted => Cow::Borrowed(values.as_slice()),
            Values::Positional(_) => return Err(RequestError::invalid("Invalid amount of bind variables")),
            Values::Named(named) => {
                let find = |name: &str| named.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone());
                let found = parameters.columns.iter().map(|spec| {
                    find(&spec.name).ok_or_else(|| {
                        RequestError::invalid(format!("Invalid amount of bind variables: no value for {}", spec.name))
                    })
                });
                Cow::Owned(found.collect::<Result<Vec<_>, _>>()?)
            }
        };
        Ok(Self {
            values,
            timestamp: context.timestamp,
            partitioner: context.partitioner,
            random: &mut *context.random,
            sequence,
            document: None,
        })
    }

    pub(crate) fn value(&self, index: u16) -> Result<&BoundValue, RequestError> {
        self.values.get(usize::from(index)).ok_or_else(|| RequestError::invalid("Invalid amount of bind variables"))
    }

    pub(crate) fn partitioner(&self) -> fn(&[u8]) -> Token {
        self.partitioner
    }

    /// The token of a serialised partition key.
    pub(crate) fn token(&self, key: &[u8]) -> Token {
        (self.partitioner)(key)
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.timestamp.0
    }

    /// A number that is greater at each call.
    pub(crate) fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// Where the next evaluator of the same request goes on.
    pub(crate) fn sequence(&self) -> u32 {
        self.sequence
    }

    pub(crate) fn random(&mut self) -> u64 {
        (self.random)()
    }

    /// A version-1 UUID of now; each call gives another, later one. The node part is random (RFC 9562, 6.10: with the
    /// multicast bit set, so that it is no real network card's).
    pub(crate) fn time_uuid(&mut self) -> [u8; 16] {
        let steps = i128::from(self.now_us()) * 10 + i128::from(self.next_sequence() % 10_000);
        let clock_and_node = (self.random() & 0x3fff_ffff_ffff_ffff) | 0x8000_0100_0000_0000;
        uuid_at(steps, clock_and_node)
    }

    /// A version-4 UUID.
    pub(crate) fn random_uuid(&mut self) -> [u8; 16] {
        let (high, low) = (self.random(), self.random());
        let mut uuid = [0; 16];
        let (first, second) = uuid.split_at_mut(8);
        first.copy_from_slice(&((high & 0xffff_ffff_ffff_0fff) | 0x4000).to_be_bytes());
        second.copy_from_slice(&((low & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000).to_be_bytes());
        uuid
    }

    /// A list element's place: 8 bytes of time, 4 of the order within this execution, 4 random, so that places made by
    /// different coordinators differ. Prepended ones count time backwards, with the sign bit clear, so that they come
    /// before all appended ones and later ones before earlier ones.
    pub(crate) fn list_place(&mut self, before: bool) -> [u8; 16] {
        let time = self.now_us().max(0) as u64;
        let time = if before { (1 << 63) - 1 - time } else { time | (1 << 63) };
        let sequence = self.next_sequence();
        let random = self.random() as u32;
        let mut place = [0; 16];
        for (slot, byte) in place
            .iter_mut()
            .zip(time.to_be_bytes().into_iter().chain(sequence.to_be_bytes()).chain(random.to_be_bytes()))
        {
            *slot = byte;
        }
        place
    }
}
