//! Damage anywhere in the files of the system store: never a panic, never a wrong answer. It gives back what was committed,
//! or does not open and says which file is to blame.
//!
//! 200 tries; a fifth of `QUORATE_CORRUPTION_TRIES` if that is set. `QUORATE_CORRUPTION_SEED` draws others. With `--nocapture` a
//! table shows what came of them, and with `QUORATE_CORRUPTION_GO_ON` a wrong answer does not end it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::disallowed_methods)]

#[path = "../../storage/tests/common/harm.rs"]
mod harm;

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use harm::{Outcomes, Region, damage, draw, from_environment};
use quorate_env::{Random, SystemStore};
use quorate_os::SledStore;

/// The files of a store, relative to its directory.
type Files = BTreeMap<String, Vec<u8>>;
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

const MIRRORED: [&[u8]; 1] = [b"node/"];

fn read_files(dir: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read_files(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}

fn write_files(dir: &Path, files: &Files) {
    let _ = fs::remove_dir_all(dir);
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A store with a history, as an orderly stop leaves it, or a `kill -9`.
fn fixture(dir: &Path, killed: bool) -> (Files, Entries) {
    let mut random = Random::new(11);
    let mut model = Entries::new();
    let mut files = Files::new();
    for start in 0..3 {
        let mut store = SledStore::open(dir, &MIRRORED).unwrap();
        for number in 0..25_u32 {
            let len = if number == 7 { 30_000 } else { random.below(600) as usize };
            let changes = [
                (b"node/id".to_vec(), Some(vec![start; 16])),
                (format!("log/{start}/{number:04}").into_bytes(), Some(vec![number as u8 + 1; len])),
                (b"cursor".to_vec(), Some(number.to_be_bytes().to_vec())),
                (format!("log/{start}/{:04}", number / 2).into_bytes(), (number % 5 != 4).then(|| vec![9; 40])),
            ];
            store.commit(&changes).unwrap();
            for (key, value) in changes {
                match value {
                    Some(value) => model.insert(key, value),
                    None => model.remove(&key),
                };
            }
        }
        if killed {
            files.clear();
            read_files(dir, "", &mut files);
        }
    }
    if !killed {
        read_files(dir, "", &mut files);
    }
    (files, model)
}

fn open_and_read(dir: &Path) -> Result<Entries, String> {
    let store = SledStore::open(dir, &MIRRORED).map_err(|error| error.to_string())?;
    let entries: Entries = store.scan(b"").map_err(|error| error.to_string())?.into_iter().collect();
    for (key, value) in &entries {
        assert_eq!(store.get(key).map_err(|error| error.to_string())?.as_ref(), Some(value));
    }
    Ok(entries)
}

fn judge(dir: &Path, damaged: &Files, model: &Entries) -> Result<&'static str, String> {
    write_files(dir, damaged);
    // Opened twice: what was refused once is not taken for whole after the attempt.
    let mut outcome = "all there";
    for _ in 0..2 {
        match open_and_read(dir) {
            Ok(entries) if entries == *model => {}
            Ok(entries) => {
                return Err(format!("{} entries instead of {}, or others", entries.len(), model.len()));
            }
            Err(error) if error.contains(&dir.display().to_string()) => outcome = "refused by name",
            Err(error) => return Err(format!("the error does not name the store: {error}")),
        }
    }
    Ok(outcome)
}

fn sweep(title: &str, killed: bool) {
    let tries = from_environment("QUORATE_CORRUPTION_TRIES", 1000).div_ceil(10);
    let seed = from_environment("QUORATE_CORRUPTION_SEED", 1);
    let folder = tempfile::tempdir().unwrap();
    let (files, model) = fixture(&folder.path().join("made"), killed);
    let mut regions = Vec::new();
    for (path, bytes) in &files {
        let kind = match path.as_str() {
            "sled/db" => "system store: sled's log",
            "sled/conf" => "system store: sled's configuration",
            path if path.starts_with("sled/snap") => "system store: sled's snapshot",
            path if path.starts_with("sled/blobs") => "system store: sled's blobs",
            "mirror" => "system store: mirror",
            "seal" => "system store: seal",
            other => panic!("an unknown file {other}"),
        };
        // sled grows its file ahead; what was never written is left out.
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        regions.push(Region { kind, path: path.clone(), range: 0..end });
    }
    let dir: PathBuf = folder.path().join("store");
    let mut outcomes = Outcomes::default();
    for number in 0..tries {
        let mut random = Random::new(seed.wrapping_mul(1 << 32).wrapping_add(number));
        let region = draw(&mut random, &regions);
        let mut damaged = files.clone();
        let said = damage(&mut random, damaged.get_mut(&region.path).unwrap(), &region.range);
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&dir, &damaged, &model)));
        match judged.unwrap_or_else(|_| Err("a panic".to_owned())) {
            Ok(outcome) => outcomes.add(region.kind, outcome),
            Err(wrong) if std::env::var_os("QUORATE_CORRUPTION_GO_ON").is_some() => {
                println!("seed {seed}, try {number}: {}, {said}: {wrong}", region.path);
                outcomes.add(region.kind, "WRONG");
            }
            Err(wrong) => panic!("seed {seed}, try {number}: {}, {said}: {wrong}", region.path),
        }
    }
    outcomes.print(title);
}

#[test]
fn damage_of_the_store_is_found_after_an_orderly_stop() {
    sweep("system store after an orderly stop", false);
}

#[test]
fn damage_of_the_store_is_found_after_a_kill() {
    sweep("system store after a kill", true);
}
