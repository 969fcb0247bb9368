//! The network between nodes: connections, their order, and what cuts them.
//!
//! A connection is dialled by one node to another and carries frames both ways, in order within a stream (sender's
//! machine and lane), in any order between streams. It lives at most as long as both processes: what was under way when
//! it was reset is lost. A cut holds frames back; if it lasts, both ends notice and the connection is reset.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_env::Random;

use crate::limits::FRAMES_HELD_MAX;

/// A connection's direction: who dialled, and whom.
pub type Ends = (usize, usize);

/// The state of all connections.
pub struct Network {
    random: Random,
    latency_ns: (u64, u64),
    lost_per_mille: u64,
    /// Open connections with their numbers.
    open: BTreeMap<Ends, u64>,
    next: u64,
    /// Directions in which nothing passes.
    cut: BTreeSet<(usize, usize)>,
    slow: BTreeMap<(usize, usize), u64>,
    /// When the last frame of each stream arrives: (from, to, machine, lane).
    arrivals: BTreeMap<(usize, usize, u16, u8), u64>,
    held: BTreeMap<(usize, usize), VecDeque<Passage>>,
}

/// A frame on its way.
#[derive(Clone, Debug)]
pub struct Passage {
    /// Its connection.
    pub ends: Ends,
    /// The connection's number.
    pub connection: u64,
    /// The sending node and machine.
    pub from: (usize, u16),
    /// The receiving node and machine.
    pub to: (usize, u16),
    /// The bytes.
    pub frame: bytes::Bytes,
}

impl Network {
    /// A network of nodes that do not know each other yet.
    pub fn new(random: Random, latency_ns: (u64, u64), lost_per_mille: u64) -> Self {
        Self {
            random,
            latency_ns,
            lost_per_mille,
            open: BTreeMap::new(),
            next: 0,
            cut: BTreeSet::new(),
            slow: BTreeMap::new(),
            arrivals: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Whether packets pass both ways.
    pub fn passes(&self, a: usize, b: usize) -> bool {
        !self.cut.contains(&(a, b)) && !self.cut.contains(&(b, a))
    }

    /// Whether packets pass this way.
    pub fn passes_one_way(&self, from: usize, to: usize) -> bool {
        !self.cut.contains(&(from, to))
    }

    /// Whether this connection is open.
    pub fn is_open(&self, ends: Ends) -> bool {
        self.open.contains_key(&ends)
    }

    /// Whether it is open and still the same.
    pub fn is_current(&self, ends: Ends, connection: u64) -> bool {
        self.open.get(&ends) == Some(&connection)
    }

    /// Opens a connection, instead of one that is open already.
    pub fn connect(&mut self, ends: Ends) -> u64 {
        self.next += 1;
        self.open.insert(ends, self.next);
        self.next
    }

    /// Resets a connection; whether it was open.
    pub fn reset(&mut self, ends: Ends) -> bool {
        self.open.remove(&ends).is_some()
    }

    /// All open connections of a node.
    pub fn connections_of(&self, node: usize) -> Vec<Ends> {
        self.open.keys().copied().filter(|(from, to)| *from == node || *to == node).collect()
    }

    /// Chooses the connection for a frame and the time of its arrival; `None` if it is lost at once. Answers go back on
    /// the connection that the other side dialled.
    pub fn send(
        &mut self,
        now: u64,
        from: (usize, u16),
        to: (usize, u16),
        lane: u8,
        is_answer: bool,
    ) -> Option<(Ends, u64, u64)> {
        let (own, theirs) = ((from.0, to.0), (to.0, from.0));
        let choices = if is_answer { [theirs, own] } else { [own, theirs] };
        let (ends, connection) = choices.into_iter().find_map(|ends| Some((ends, *self.open.get(&ends)?)))?;
        if self.random.chance(self.lost_per_mille, 1_000) {
            return None;
        }
        let extra = self.slow.get(&(from.0, to.0)).copied().unwrap_or(0);
        let usual = self.random.between(self.latency_ns.0, self.latency_ns.1);
        let drawn = now + usual + self.random.below(extra.saturating_mul(2).max(1));
        let stream = self.arrivals.entry((from.0, to.0, from.1, lane)).or_default();
        *stream = drawn.max(*stream + 1);
        Some((ends, connection, *stream))
    }

    /// Keeps a frame until the cut that it met is mended.
    pub fn hold(&mut self, passage: Passage) {
        let held = self.held.entry((passage.from.0, passage.to.0)).or_default();
        if held.len() < FRAMES_HELD_MAX {
            held.push_back(passage);
        }
    }

    /// Cuts one direction.
    pub fn cut(&mut self, from: usize, to: usize) {
        self.cut.insert((from, to));
    }

    /// Mends one direction; gives the frames that waited.
    pub fn mend(&mut self, from: usize, to: usize) -> Vec<Passage> {
        self.cut.remove(&(from, to));
        self.held.remove(&(from, to)).unwrap_or_default().into()
    }

    /// All cuts.
    pub fn cuts(&self) -> Vec<(usize, usize)> {
        self.cut.iter().copied().collect()
    }

    /// Makes one direction slower by about so much, or as fast as it was.
    pub fn slow_down(&mut self, from: usize, to: usize, extra_ns: u64) {
        match extra_ns {
            0 => self.slow.remove(&(from, to)),
            _ => self.slow.insert((from, to), extra_ns),
        };
    }

    /// Ends everything that goes wrong.
    pub fn heal(&mut self) {
        self.slow.clear();
        self.lost_per_mille = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_keeps_its_order_and_a_reset_ends_it() {
        let mut network = Network::new(Random::new(1), (10, 1_000), 0);
        assert_eq!(network.send(0, (0, 1), (1, 2), 0, false), None, "not connected");
        let connection = network.connect((0, 1));
        let mut last = 0;
        for now in 0..200 {
            let (ends, number, at) = network.send(now, (0, 1), (1, 2), 0, false).unwrap();
            assert_eq!((ends, number), ((0, 1), connection));
            assert!(at > last && at > now);
            last = at;
        }
        assert!(network.send(0, (1, 2), (0, 1), 0, true).is_some(), "answers take the same connection");
        assert!(network.reset((0, 1)) && !network.is_current((0, 1), connection));
        assert_ne!(network.connect((0, 1)), connection);
    }
}
