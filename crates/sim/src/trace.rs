//! The hash over everything that happens in a run: two runs of one seed must agree on it.

use xxhash_rust::xxh3::Xxh3;

/// A running hash over events.
pub struct Trace {
    hash: Xxh3,
    /// Events hashed.
    pub events: u64,
    /// Whether to print each event, to look at a run.
    shown: bool,
}

impl Trace {
    /// Of nothing; `shown` prints every event.
    pub fn new(shown: bool) -> Self {
        Self { hash: Xxh3::new(), events: 0, shown }
    }

    /// Takes up one event: when, on which node, of what kind, with which bytes.
    pub fn note(&mut self, virtual_ns: u64, node: usize, kind: &str, bytes: &[u8]) {
        self.events += 1;
        self.hash.update(&virtual_ns.to_le_bytes());
        self.hash.update(&(node as u64).to_le_bytes());
        self.hash.update(kind.as_bytes());
        self.hash.update(&(bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
        if self.shown {
            self.show(virtual_ns, node, kind, bytes);
        }
    }

    /// The hash of what was noted so far.
    pub fn digest(&self) -> u64 {
        self.hash.digest()
    }

    #[allow(clippy::print_stderr)] // Printing is what it was asked for.
    fn show(&self, virtual_ns: u64, node: usize, kind: &str, bytes: &[u8]) {
        let bytes = if kind == "knobs" { bytes } else { bytes.get(..160).unwrap_or(bytes) };
        let text = String::from_utf8_lossy(bytes);
        let who = if node == usize::MAX { "world".to_owned() } else { format!("n{node}") };
        eprintln!("{:>12.6} {who} {kind} {}", virtual_ns as f64 / 1e9, text.escape_debug());
    }
}
