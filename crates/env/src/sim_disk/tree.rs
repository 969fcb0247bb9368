//! Names: the tree that programs see, the tree on the medium, and the operations between the two.

use std::collections::{BTreeMap, BTreeSet};

use crate::Random;
use crate::disk::parent;

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry {
    /// A directory.
    Directory,
    /// A file, by its inode's number.
    File(u64),
}

/// One directory operation that is not durable yet. It survives a power loss whole or not at all.
struct Pending {
    edits: Vec<(String, Option<Entry>)>,
    /// Directories whose sync it still waits for.
    waits_for: BTreeSet<String>,
}

/// A directory tree with its durable twin.
#[derive(Default)]
pub struct Tree {
    live: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    pending: Vec<Pending>,
}

impl Tree {
    /// What a path names now. The empty path is the root directory.
    pub fn get(&self, path: &str) -> Option<Entry> {
        if path.is_empty() { Some(Entry::Directory) } else { self.live.get(path).copied() }
    }

    /// Applies one atomic operation to the live tree.
    pub fn apply(&mut self, edits: Vec<(String, Option<Entry>)>) {
        for (path, entry) in &edits {
            set(&mut self.live, path, *entry);
        }
        let waits_for = edits.iter().map(|(path, _)| parent(path).to_owned()).collect();
        self.pending.push(Pending { edits, waits_for });
    }

    /// Paths directly inside a directory.
    pub fn children<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, Entry)> + 'a {
        let below = self.live.range(directory.to_owned()..);
        below
            .filter(move |(path, _)| !path.is_empty() && parent(path) == directory)
            .map(|(path, entry)| (path.as_str(), *entry))
    }

    /// All live files.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.live.iter().filter_map(|(path, entry)| match entry {
            Entry::File(inode) => Some((path.as_str(), *inode)),
            Entry::Directory => None,
        })
    }

    /// Whether any tree, live or on the medium, or an operation between them, still refers to an inode.
    pub fn referenced(&self) -> BTreeSet<u64> {
        let pending = self.pending.iter().flat_map(|op| op.edits.iter().filter_map(|(_, entry)| entry.as_ref()));
        let all = self.live.values().chain(self.durable.values()).chain(pending);
        all.filter_map(|entry| if let Entry::File(inode) = entry { Some(*inode) } else { None }).collect()
    }

    /// Makes what touched this directory durable: an operation over two directories when both are synced, and with it
    /// everything earlier that concerns the same names, as a journal would.
    pub fn sync(&mut self, directory: &str) {
        for op in &mut self.pending {
            op.waits_for.remove(directory);
        }
        let mut done: Vec<bool> = self.pending.iter().map(|op| op.waits_for.is_empty()).collect();
        let mut names = BTreeSet::new();
        for (op, done) in self.pending.iter().zip(&mut done).rev() {
            *done |= op.edits.iter().any(|(path, _)| names.contains(path));
            if *done {
                names.extend(op.edits.iter().map(|(path, _)| path.clone()));
            }
        }
        let mut done = done.into_iter();
        for op in std::mem::take(&mut self.pending) {
            if done.next() == Some(true) {
                op.edits.iter().for_each(|(path, entry)| set(&mut self.durable, path, *entry));
            } else {
                self.pending.push(op);
            }
        }
    }

    /// Power loss: each pending operation is kept with a chance of `keep` in 4; names in directories that are gone go too.
    pub fn crash(&mut self, keep: u64, random: &mut Random) {
        for op in std::mem::take(&mut self.pending) {
            if random.chance(keep, 4) {
                op.edits.iter().for_each(|(path, entry)| set(&mut self.durable, path, *entry));
            }
        }
        let all = std::mem::take(&mut self.durable);
        for (path, entry) in all {
            // Parents sort before their children, so one pass is enough.
            if parent(&path).is_empty() || self.durable.get(parent(&path)) == Some(&Entry::Directory) {
                self.durable.insert(path, entry);
            }
        }
        self.live.clone_from(&self.durable);
    }
}

fn set(tree: &mut BTreeMap<String, Entry>, path: &str, entry: Option<Entry>) {
    match entry {
        Some(entry) => tree.insert(path.to_owned(), entry),
        None => tree.remove(path),
    };
}
