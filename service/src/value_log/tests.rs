#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

fn open(folder: &Path) -> ValueLog {
    ValueLog::open(folder, |_| true).unwrap()
}

fn put(log: &ValueLog, group: u64, value: &[u8]) -> Vec<u8> {
    let mut append = log.append();
    let pointer = append.put(group, value).unwrap();
    append.sync().unwrap();
    pointer.stored()
}

fn read(log: &ValueLog, stored: &[u8]) -> Result<Bytes, ValueError> {
    log.resolve(Bytes::copy_from_slice(stored))
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn values_come_back_also_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("values");
    let log = open(&folder);
    let values: Vec<Vec<u8>> = (0..20u8).map(|n| vec![n; 1000 * usize::from(n)]).collect();
    let mut append = log.append();
    let pointers: Vec<Vec<u8>> = values
        .iter()
        .map(|value| {
            let group = value.len() as u64 % 3;
            append.put(group, value).unwrap().stored()
        })
        .collect();
    append.sync().unwrap();
    assert_eq!(log.syncs().0, 3, "one for each group");
    for log in [log, open(&folder)] {
        for (value, pointer) in values.iter().zip(&pointers) {
            assert_eq!(read(&log, pointer).unwrap(), value);
        }
    }
    let log = open(&folder);
    // What may be torn at the end of a file stays there.
    put(&log, 1, b"more");
    assert_eq!(
        names(&folder),
        [
            "000000000000-00000001.values",
            "000000000001-00000002.values",
            "000000000001-00000004.values",
            "000000000002-00000003.values"
        ]
    );
    assert_eq!(read(&log, &inline(b"small")).unwrap(), &b"small"[..]);
}

#[test]
fn groups_go_together() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let (one, two) = (put(&log, 1, b"one"), put(&log, 2, b"two"));
    let gone = log.take_out(|group| group == 1).unwrap();
    let meanwhile = put(&log, 1, b"meanwhile");
    gone.remove().unwrap();
    assert_eq!(read(&log, &meanwhile).unwrap(), &b"meanwhile"[..]);
    assert!(read(&log, &one).unwrap_err().is_missing());
    assert_eq!(read(&log, &two).unwrap(), &b"two"[..]);
    let again = put(&log, 1, b"again");
    assert!(read(&log, &one).unwrap_err().is_missing());
    drop(log);
    std::fs::write(folder.path().join("notes"), "somebody's").unwrap();
    let log = ValueLog::open(folder.path(), |group| group == 2).unwrap();
    assert!(read(&log, &again).unwrap_err().is_missing());
    assert_eq!(
        names(folder.path()),
        ["000000000002-00000002.values", "notes"]
    );
}

#[test]
fn what_is_damaged_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let value: Vec<u8> = (0..5000u32).map(|n| n as u8).collect();
    put(&log, 7, b"before");
    let stored = put(&log, 7, &value);
    let pointer = Pointer::parse(&stored).unwrap();
    let path = log.path(7, pointer.file);
    let whole = std::fs::read(&path).unwrap();
    for place in [0, 2500, 4999] {
        let mut bytes = whole.clone();
        bytes[pointer.at as usize + place] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = read(&log, &stored).unwrap_err();
        assert!(matches!(error, ValueError::Corrupt { .. }), "{error}");
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let error = read(&log, &stored).unwrap_err();
    assert!(matches!(error, ValueError::Corrupt { .. }), "{error}");
    for (at, len) in [(0, u64::MAX), (u64::MAX, 2), (1 << 40, 1)] {
        let wrong = Pointer { at, len, ..pointer };
        let error = read(&log, &wrong.stored()).unwrap_err();
        assert!(matches!(error, ValueError::Corrupt { .. }), "{error}");
    }
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read(&log, &stored).unwrap(), value);
    for stored in [&[][..], &[2], &stored[..stored.len() - 1]] {
        let error = read(&log, stored).unwrap_err();
        assert!(matches!(error, ValueError::Stored { .. }), "{error}");
    }
}

/// Appends at the same time: each is where its pointer says, and they share syncs.
#[test]
fn appends_share_syncs() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path());
    let log = &log;
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            scope.spawn(move || {
                for n in 0..20u8 {
                    let value = vec![thread ^ n; 100 * usize::from(n) + usize::from(thread)];
                    let stored = put(log, u64::from(n % 2), &value);
                    assert_eq!(read(log, &stored).unwrap(), value);
                }
            });
        }
    });
    assert!(log.syncs().0 <= 160);
    assert_eq!(names(folder.path()).len(), 2);
}

/// A folder that is taken away under the log: nothing is written elsewhere, and with the folder back writing works.
#[test]
fn a_lost_folder_is_an_error() {
    let above = tempfile::tempdir().unwrap();
    let folder = above.path().join("values");
    let log = open(&folder);
    std::fs::rename(&folder, above.path().join("away")).unwrap();
    let mut append = log.append();
    assert!(append.put(1, b"value").unwrap_err().is_missing());
    assert!(!folder.exists());
    std::fs::rename(above.path().join("away"), &folder).unwrap();
    let stored = put(&log, 1, b"value");
    assert_eq!(read(&log, &stored).unwrap(), &b"value"[..]);
}

proptest! {
    #[test]
    fn pointers_come_back(group: u64, file: u64, at: u64, len: u64, checksum: u32) {
        let pointer = Pointer { group, file, at, len, checksum };
        prop_assert_eq!(Pointer::parse(&pointer.stored()), Some(pointer));
    }

    #[test]
    fn whatever_is_a_pointer_is_written_again_the_same(mut stored in prop::collection::vec(any::<u8>(), 30..40)) {
        stored[0] = POINTER;
        if let Some(pointer) = Pointer::parse(&stored) {
            prop_assert_eq!(pointer.stored(), stored);
        }
    }
}
