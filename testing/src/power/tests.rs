#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;

use super::*;

fn file(disk: &mut Disk, name: &str) -> Inode {
    let kind = Kind::File(Default::default());
    disk.create(ROOT, name.as_ref(), kind, 0o600).unwrap()
}

fn names(disk: &Disk) -> Vec<&str> {
    let names = disk.entries(ROOT).unwrap().keys();
    names.map(|name| name.to_str().unwrap()).collect()
}

#[test]
fn what_was_synced_is_there() {
    for seed in 0..500 {
        let random = &mut Random::new(seed);
        let mut disk = Disk::new();
        let a = file(&mut disk, "a");
        disk.sync(ROOT).unwrap();
        // What should be there, as far as it was not written once more since it was synced.
        let mut synced: Vec<Option<u8>> = Vec::new();
        for round in 1..=5 {
            for _ in 0..random.below(6) {
                let (at, len) = (random.below(20_000) as usize, random.below(10_000) as usize);
                disk.write(a, at, &vec![round; len]).unwrap();
                for byte in synced.iter_mut().skip(at).take(len) {
                    *byte = None;
                }
            }
            if random.coin() {
                disk.sync(a).unwrap();
                synced = disk.bytes(a).unwrap().iter().copied().map(Some).collect();
            }
        }
        let before = disk.bytes(a).unwrap().to_vec();
        disk.cut(random);
        let after = disk.bytes(a).unwrap();
        assert!((synced.len()..=before.len()).contains(&after.len()));
        for (at, byte) in synced.iter().enumerate() {
            assert!(
                byte.is_none_or(|byte| byte == after[at]),
                "seed {seed}: {at}"
            );
        }
        disk.cut(random);
        assert_eq!(disk.node(a).unwrap().links, 1, "nothing more to lose");
    }
}

/// An append of two writes: each way in which a disk may leave it comes about.
#[test]
fn what_was_not_synced_is_lost_torn_holed_or_there() {
    let mut seen = BTreeSet::new();
    for seed in 0..500 {
        let mut disk = Disk::new();
        let a = file(&mut disk, "a");
        disk.sync(ROOT).unwrap();
        disk.write(a, 0, &[1; 1000]).unwrap();
        disk.sync(a).unwrap();
        disk.write(a, 1000, &[2; 9000]).unwrap();
        disk.write(a, 10_000, &[3; 9000]).unwrap();
        let unsynced = disk.cut(&mut Random::new(seed));
        assert_eq!((unsynced.writes, unsynced.entries), (2, 0));
        let bytes = disk.bytes(a).unwrap();
        assert_eq!(bytes[..1000], [1; 1000]);
        assert!(bytes[1000..].iter().all(|byte| [0, 2, 3].contains(byte)));
        let count = |byte| bytes.iter().filter(|b| **b == byte).count();
        seen.insert(match (count(2), count(3), count(0)) {
            (0, 0, 0) => "lost",
            (0, 0, _) => "zeros",
            (9000, 9000, 0) => "all",
            (9000, 0, 0) => "the first",
            (9000, 1..9000, 0) => "the second is torn",
            (_, _, 1..) => "holes",
            _ => "the first is torn",
        });
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn names_are_durable_when_their_folder_is() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = Disk::new();
        let a = file(&mut disk, "a");
        disk.sync(ROOT).unwrap();
        let b = file(&mut disk, "b");
        disk.write(b, 0, b"bytes").unwrap();
        // Of the bytes, not of the name.
        disk.sync(b).unwrap();
        disk.rename(ROOT, "b".as_ref(), "a".as_ref()).unwrap();
        let unsynced = disk.cut(&mut Random::new(seed));
        assert_eq!((unsynced.writes, unsynced.entries), (0, 2));
        // A rename is whole: what was there before, or the other, never none.
        let there = disk.lookup(ROOT, "a".as_ref()).unwrap();
        assert!(
            there == a && disk.bytes(a).unwrap().is_empty()
                || disk.bytes(there).unwrap() == b"bytes"
        );
        seen.insert((names(&disk).join(" "), there == b));
    }
    let expected = [("a", false), ("a", true), ("a b", false)];
    assert_eq!(
        seen,
        expected.map(|(names, new)| (names.to_owned(), new)).into()
    );
}

#[test]
fn a_folder_that_was_not_synced_takes_all_in_it_along() {
    let outcomes: BTreeSet<bool> = (0..50)
        .map(|seed| {
            let mut disk = Disk::new();
            let kind = Kind::Folder(Default::default());
            let folder = disk.create(ROOT, "folder".as_ref(), kind, 0o700).unwrap();
            let kind = Kind::File(Default::default());
            let a = disk.create(folder, "a".as_ref(), kind, 0o600).unwrap();
            disk.sync(a).unwrap();
            disk.sync(folder).unwrap();
            disk.cut(&mut Random::new(seed));
            let there = disk.lookup(ROOT, "folder".as_ref()).is_ok();
            assert_eq!(disk.lookup(folder, "a".as_ref()).is_ok(), there);
            there
        })
        .collect();
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn what_has_no_name_lives_as_long_as_it_is_open_or_may_come_back() {
    let mut disk = Disk::new();
    let a = file(&mut disk, "a");
    disk.sync(ROOT).unwrap();
    disk.open(a).unwrap();
    disk.remove(ROOT, "a".as_ref()).unwrap();
    assert_eq!(disk.node(a).unwrap().links, 0);
    disk.write(a, 0, b"still there").unwrap();
    disk.sync(ROOT).unwrap();
    assert_eq!(disk.bytes(a).unwrap(), b"still there");
    disk.close(a).unwrap();
    disk.sync(ROOT).unwrap();
    assert!(disk.node(a).is_err());
}

#[test]
fn programs_see_a_file_system_until_the_power_is_cut() {
    if unavailable("programs_see_a_file_system_until_the_power_is_cut").is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("below")).unwrap();
    std::fs::write(at("below/before"), b"it").unwrap();
    let mut mounted = Mounted::over(folder.path()).unwrap();
    let sync = |folder: &Path| File::open(folder).unwrap().sync_all().unwrap();

    assert_eq!(std::fs::read(at("below/before")).unwrap(), b"it");
    std::fs::write(at("long"), vec![7; 3 << 20]).unwrap();
    let long = File::options()
        .read(true)
        .write(true)
        .open(at("long"))
        .unwrap();
    long.write_all_at(b"changed", 1 << 20).unwrap();
    long.sync_data().unwrap();
    long.lock().unwrap();
    let again = File::open(at("long")).unwrap();
    assert!(again.try_lock().is_err(), "locks work");
    let mut appended = File::options()
        .append(true)
        .open(at("below/before"))
        .unwrap();
    appended.write_all(b" was").unwrap();
    assert_eq!(std::fs::read(at("below/before")).unwrap(), b"it was");
    appended.set_len(1).unwrap();
    appended.write_all(b"n").unwrap();
    assert_eq!(std::fs::read(at("below/before")).unwrap(), b"in");
    std::fs::hard_link(at("long"), at("link")).unwrap();
    std::fs::remove_file(at("long")).unwrap();
    std::fs::rename(at("link"), at("linked")).unwrap();
    let moved = std::fs::rename(at("linked"), at("below/linked")).unwrap_err();
    assert_eq!(moved.kind(), io::ErrorKind::CrossesDevices);
    // More names than a reply holds, removed while they are read.
    std::fs::create_dir(at("many")).unwrap();
    for n in 0..500 {
        std::fs::write(
            at(&format!("many/a-name-that-is-not-short-at-all-{n}")),
            b"",
        )
        .unwrap();
    }
    assert_eq!(std::fs::read_dir(at("many")).unwrap().count(), 500);
    std::fs::remove_dir_all(at("many")).unwrap();
    sync(folder.path());
    assert!(!at("many").exists());
    drop((again, appended));

    std::fs::write(at("late"), b"late").unwrap();
    std::fs::remove_file(at("linked")).unwrap();
    mounted.cut_after(1, 1);
    long.write_all_at(b"not synced", 0).unwrap();
    assert!(long.sync_all().is_err());
    assert!(mounted.is_off());
    assert!(std::fs::write(at("later"), b"").is_err());
    drop(long);
    let unsynced = mounted.power_on().unwrap();
    assert_eq!((unsynced.writes, unsynced.entries), (5, 2));

    // With this seed the removal came to the disk, or not; what was synced is whole.
    if let Ok(bytes) = std::fs::read(at("linked")) {
        assert_eq!(bytes.len(), 3 << 20);
        assert_eq!(&bytes[1 << 20..][..8], b"changed\x07");
    }
    assert!(!at("later").exists());
    drop(mounted);
    assert_eq!(std::fs::read(at("below/before")).unwrap(), b"it");
    assert!(!at("linked").exists());
}

#[test]
fn programs_see_a_disk_that_is_full_or_broken_and_then_works_again() {
    if unavailable("a disk that fails").is_some() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::over(folder.path()).unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), b"before").unwrap();
    let file = File::options().write(true).open(at("file")).unwrap();
    let code = |done: io::Result<()>| done.unwrap_err().raw_os_error();

    mounted.fail(Some(Failure::Full));
    assert_eq!(code(file.write_all_at(b"x", 0)), Some(nix::libc::ENOSPC));
    assert!(std::fs::write(at("new"), b"").is_err());
    file.sync_all().unwrap();

    mounted.fail(Some(Failure::Broken));
    assert_eq!(code(file.write_all_at(b"x", 0)), Some(nix::libc::EIO));
    assert_eq!(code(file.sync_all()), Some(nix::libc::EIO));
    assert!(std::fs::remove_file(at("file")).is_err());
    std::fs::read(at("file")).unwrap();

    mounted.fail(None);
    file.write_all_at(b"behind", 0).unwrap();
    file.sync_all().unwrap();
    assert_eq!(std::fs::read(at("file")).unwrap(), b"behind");
}
