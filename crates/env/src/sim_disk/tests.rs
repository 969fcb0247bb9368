use std::sync::Arc;

use super::*;

fn disk(seed: u64) -> Arc<SimDisk> {
    SimDisk::new(seed, SimDiskOptions::default())
}

fn create(disk: &SimDisk, path: &str, bytes: &[u8]) -> Arc<dyn DiskFile> {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_at(0, bytes).unwrap();
    file
}

#[test]
fn what_is_synced_survives_every_crash() {
    for seed in 0..200 {
        let disk = disk(seed);
        disk.create_dir("a/b").unwrap();
        let file = create(&disk, "a/b/f", &[7; 2000]);
        file.sync().unwrap();
        for directory in ["a/b", "a", ""] {
            disk.sync_dir(directory).unwrap();
        }
        file.write_at(1500, &[9; 3000]).unwrap();
        disk.crash();
        let content = disk.content("a/b/f").unwrap();
        // Sectors that were not rewritten are untouched, the rest is old or new.
        assert!(content.len() >= 2000 && content.len() <= 4500);
        assert!(content[..1500].iter().all(|byte| *byte == 7));
        assert!(content[1500..2000].iter().all(|byte| [7, 9].contains(byte)));
        assert!(content[2000..].iter().all(|byte| [0, 9].contains(byte)));
        assert!(matches!(file.len(), Err(DiskError { kind: DiskErrorKind::Io(_), .. })), "handles die");
    }
}

#[test]
fn what_is_not_synced_survives_sometimes_and_in_parts() {
    let (mut none, mut all, mut torn, mut nameless) = (0, 0, 0, 0);
    for seed in 0..300 {
        let disk = disk(seed);
        create(&disk, "f", &[1; 4096]);
        disk.crash();
        match disk.content("f") {
            None => nameless += 1,
            Some(content) if content.is_empty() => none += 1,
            Some(content) if content == [1; 4096] => all += 1,
            Some(_) => torn += 1,
        }
    }
    assert!(none > 5 && all > 15 && torn > 30 && nameless > 60, "{none} {all} {torn} {nameless}");
}

#[test]
fn renames_are_atomic() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let disk = disk(seed);
        for (path, byte) in [("old", 1), ("new", 2)] {
            create(&disk, path, &[byte]).sync().unwrap();
        }
        disk.sync_dir("").unwrap();
        disk.rename("new", "old").unwrap();
        disk.crash();
        seen.insert((disk.content("old").unwrap()[0], disk.content("new").is_some()));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(1, true), (2, false)]);
}

#[test]
fn a_failed_sync_drops_pages_and_a_later_one_does_not_bring_them_back() {
    let mut lost = 0;
    for seed in 0..100 {
        let disk = disk(seed);
        let file = create(&disk, "f", &[0; 2048]);
        file.sync().unwrap();
        disk.sync_dir("").unwrap();
        file.write_at(0, &[5; 2048]).unwrap();
        disk.fail_next_sync("f");
        file.sync().unwrap_err();
        file.sync().unwrap();
        assert_eq!(disk.content("f").unwrap(), [5; 2048], "the cache still shows it");
        disk.crash();
        lost += u32::from(disk.content("f").unwrap() != [5; 2048]);
    }
    assert!(lost > 50, "{lost}");
}

#[test]
fn a_full_volume_refuses_growth_and_takes_it_again_when_room_returns() {
    let disk = disk(1);
    disk.set_capacity(Some(1000));
    let file = create(&disk, "f", &[0; 900]);
    assert!(file.write_at(900, &[0; 101]).unwrap_err().is_no_space());
    file.write_at(0, &[1; 900]).unwrap();
    assert_eq!(disk.space().unwrap().available, 100);
    disk.remove("f").unwrap();
    create(&disk, "g", &[0; 1000]);
}

#[test]
fn power_fails_at_the_chosen_operation_and_stays_off() {
    let disk = disk(3);
    let file = create(&disk, "f", &[1]);
    disk.crash_after(2);
    file.write_at(1, &[2]).unwrap();
    file.sync().unwrap_err();
    assert!(disk.power_lost());
    assert!(disk.open("f", OpenMode::Read).is_err());
    disk.crash();
    assert!(disk.list("").is_ok());
}

#[test]
fn death_of_the_process_keeps_what_was_written() {
    let disk = disk(4);
    let file = create(&disk, "f", b"unsynced");
    disk.kill();
    assert_eq!(disk.content("f").unwrap(), b"unsynced");
    assert!(file.sync().is_err());
}

#[test]
fn paths_that_leave_the_directory_are_refused() {
    let disk = disk(5);
    for path in ["/etc/passwd", "../x", "a/../b", "a//b", "./a", "a/"] {
        assert!(disk.open(path, OpenMode::CreateNew).is_err(), "{path}");
        assert!(disk.create_dir(path).is_err(), "{path}");
    }
}

#[test]
fn listing_is_sorted_and_only_of_that_directory() {
    let disk = disk(6);
    disk.create_dir("d/e").unwrap();
    for path in ["d/z", "d/a", "d-x", "d/e/inner"] {
        create(&disk, path, b"");
    }
    assert_eq!(disk.list("d").unwrap(), ["a", "e/", "z"]);
    assert_eq!(disk.list("").unwrap(), ["d-x", "d/"]);
    assert!(disk.remove_dir("d").is_err());
    assert!(disk.list("missing").unwrap_err().is_not_found());
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let run = |seed| {
        let disk = disk(seed);
        for number in 0..20_u8 {
            let file = create(&disk, &format!("f{number}"), &[number; 3000]);
            if number % 3 == 0 {
                file.sync().unwrap();
            }
        }
        disk.crash();
        disk.snapshot_paths().into_iter().map(|(path, _)| (disk.content(&path), path)).collect::<Vec<_>>()
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}

#[test]
fn a_lying_sync_is_found_out() {
    let lost = (0..50).filter(|seed| {
        let disk = SimDisk::new(*seed, SimDiskOptions { lying_sync: true, ..Default::default() });
        create(&disk, "f", &[1; 100]).sync().unwrap();
        disk.sync_dir("").unwrap();
        disk.crash();
        disk.content("f").is_none_or(|content| content != [1; 100])
    });
    assert!(lost.count() > 20);
}

#[test]
fn a_sector_may_be_in_the_wrong_place() {
    let disk = SimDisk::new(3, SimDiskOptions::default());
    for (name, byte) in [("a.sst", 1), ("b.sst", 2), ("c.log", 3)] {
        create(&disk, name, &[byte; 1_200]).sync().unwrap();
    }
    disk.sync_dir("").unwrap();
    assert_eq!(disk.misplace("nothing"), None);
    let (path, offset) = (0..50).find_map(|_| disk.misplace(".sst")).expect("two sectors that differ");
    let content = disk.content(&path).unwrap();
    let offset = usize::try_from(offset).unwrap();
    assert_eq!(content.len(), 1_200);
    assert_ne!(content[offset], content[1_199], "{path} at {offset}");
    assert!(content[offset..offset + 512].iter().all(|byte| *byte == 1 || *byte == 2));
}
