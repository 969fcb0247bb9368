//! Damage of files, drawn from a seed, and what came of it.

#![allow(dead_code, clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "for tests")]

use std::collections::BTreeMap;
use std::ops::Range;

use quorate_env::Random;

/// A part of a file that damage aims at.
#[derive(Clone, Debug)]
pub struct Region {
    /// What is there; regions of one kind share a line of the table.
    pub kind: &'static str,
    /// The file.
    pub path: String,
    /// Its bytes.
    pub range: Range<usize>,
}

/// A number from the environment.
pub fn from_environment(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number, not '{text}'")),
        Err(_) => default,
    }
}

/// Kinds of region, each drawn equally often.
pub fn draw<'a>(random: &mut Random, regions: &'a [Region]) -> &'a Region {
    let mut kinds: Vec<&str> = regions.iter().map(|region| region.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let kind = kinds[random.below(kinds.len() as u64) as usize];
    let of_kind: Vec<&Region> =
        regions.iter().filter(|region| region.kind == kind && !region.range.is_empty()).collect();
    of_kind[random.below(of_kind.len() as u64) as usize]
}

/// Damages a file within a range, for sure. Gives the damage in words.
pub fn damage(random: &mut Random, bytes: &mut Vec<u8>, range: &Range<usize>) -> String {
    let before = bytes.clone();
    let start = range.start + random.below(range.len() as u64) as usize;
    let scale = 1 << random.below(13);
    let len = (1 + random.below(scale) as usize).min(bytes.len() - start);
    let end = start + len;
    let elsewhere = random.below((bytes.len() - len + 1) as u64) as usize;
    let mut said = match random.below(8) {
        0..=2 => String::new(),
        3 => {
            bytes[start..end].fill(0);
            format!("bytes {start}..{end} zeroed")
        }
        4 => {
            bytes[start..end].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
            format!("bytes {start}..{end} drawn anew")
        }
        5 => {
            bytes.truncate(start);
            format!("cut at {start}")
        }
        6 => {
            let block = bytes[start..end].to_vec();
            bytes[elsewhere..elsewhere + len].copy_from_slice(&block);
            format!("bytes {start}..{end} also at {elsewhere}")
        }
        _ => {
            let block: Vec<u8> = bytes.drain(start..end).collect();
            let elsewhere = elsewhere.min(bytes.len());
            bytes.splice(elsewhere..elsewhere, block);
            format!("bytes {start}..{end} moved to {elsewhere}")
        }
    };
    if *bytes == before {
        let bit = random.below(8);
        bytes[start] ^= 1 << bit;
        said = format!("bit {bit} of byte {start} flipped");
    }
    said
}

/// What came of damage, by kind of region.
#[derive(Debug, Default)]
pub struct Outcomes(BTreeMap<&'static str, BTreeMap<&'static str, u64>>);

impl Outcomes {
    /// Counts one.
    pub fn add(&mut self, kind: &'static str, outcome: &'static str) {
        *self.0.entry(kind).or_default().entry(outcome).or_default() += 1;
    }

    /// Prints a line a kind.
    pub fn print(&self, title: &str) {
        println!("{title}");
        for (kind, outcomes) in &self.0 {
            let shown: Vec<String> = outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
            println!("| {kind} | {} | {} |", outcomes.values().sum::<u64>(), shown.join(", "));
        }
    }
}
