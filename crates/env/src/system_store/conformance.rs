//! What every [`SystemStore`] must do: one suite for the real store and its simulated twin, called from their tests.

use super::{StoreChange, SystemStore, VALUE_BYTES_MAX};
use crate::disk::DiskError;

/// Opens the store under test again, after the one before was dropped.
pub type Reopen<'a> = dyn FnMut() -> Result<Box<dyn SystemStore>, DiskError> + 'a;

/// Runs the suite on a store that is empty at first. The error names the rule that was broken.
pub fn check(reopen: &mut Reopen<'_>) -> Result<(), String> {
    reads_and_writes(reopen)?;
    changes_of_one_commit_apply_in_order(reopen)?;
    limits_are_refusals(reopen)?;
    many_values_survive_reopening(reopen)
}

fn put(key: &[u8], value: &[u8]) -> StoreChange {
    (key.to_vec(), Some(value.to_vec()))
}

fn rule(holds: bool, rule: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("broken: {rule}")) }
}

fn disk<T>(result: Result<T, DiskError>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn reads_and_writes(reopen: &mut Reopen<'_>) -> Result<(), String> {
    let mut store = disk(reopen())?;
    rule(disk(store.get(b"a"))?.is_none(), "a new store is empty")?;
    rule(disk(store.scan(b""))?.is_empty(), "a new store has nothing to scan")?;
    disk(store.commit(&[]))?;
    disk(store.commit(&[put(b"b/2", b"two"), put(b"a", b""), put(b"b/1", b"one"), put(b"c", &[0, 255, 10])]))?;
    rule(disk(store.get(b"a"))?.as_deref() == Some(b""), "an empty value is a value")?;
    rule(disk(store.get(b"b"))?.is_none(), "a prefix is no key")?;
    let found = disk(store.scan(b"b/"))?;
    rule(found == [(b"b/1".to_vec(), b"one".to_vec()), (b"b/2".to_vec(), b"two".to_vec())], "a scan is in key order")?;
    disk(store.commit(&[(b"b/1".to_vec(), None), put(b"b/2", b"zwei"), (b"absent".to_vec(), None)]))?;
    drop(store);
    let store = disk(reopen())?;
    let all = disk(store.scan(b""))?;
    let expected = [(b"a".to_vec(), vec![]), (b"b/2".to_vec(), b"zwei".to_vec()), (b"c".to_vec(), vec![0, 255, 10])];
    rule(all == expected, "commits survive reopening, replaced and removed entries included")
}

fn changes_of_one_commit_apply_in_order(reopen: &mut Reopen<'_>) -> Result<(), String> {
    let mut store = disk(reopen())?;
    disk(store.commit(&[put(b"k", b"1"), (b"k".to_vec(), None), put(b"k", b"2")]))?;
    rule(disk(store.get(b"k"))?.as_deref() == Some(b"2"), "the last change of a key wins")?;
    disk(store.commit(&[put(b"k", b"3"), (b"k".to_vec(), None)]))?;
    rule(disk(store.get(b"k"))?.is_none(), "a removal after a put wins")
}

fn limits_are_refusals(reopen: &mut Reopen<'_>) -> Result<(), String> {
    let mut store = disk(reopen())?;
    let largest = vec![7; VALUE_BYTES_MAX];
    disk(store.commit(&[put(b"large", &largest)]))?;
    rule(disk(store.get(b"large"))?.as_ref() == Some(&largest), "the largest value comes back")?;
    let refused = store.commit(&[put(b"other", b"x"), put(b"larger", &vec![7; VALUE_BYTES_MAX + 1])]);
    rule(refused.is_err(), "a value of 64 KiB is refused")?;
    rule(disk(store.get(b"other"))?.is_none(), "a refused commit changes nothing")?;
    disk(store.commit(&[(b"large".to_vec(), None)]))
}

fn many_values_survive_reopening(reopen: &mut Reopen<'_>) -> Result<(), String> {
    for round in 0..8_u32 {
        let mut store = disk(reopen())?;
        for number in 0..16_u32 {
            let value = [round.to_be_bytes(), number.to_be_bytes()].concat();
            disk(store.commit(&[put(&[b"many/".as_slice(), &number.to_be_bytes()].concat(), &value)]))?;
        }
    }
    let found = disk(disk(reopen())?.scan(b"many/"))?;
    let newest = found.iter().all(|(_, value)| value.starts_with(&7_u32.to_be_bytes()));
    rule(found.len() == 16 && newest, "the newest of many values survive")
}
