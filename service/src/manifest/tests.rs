#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

/// A MANIFEST of records with so many bytes, and where each ends.
fn manifest(lengths: &[usize]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for length in lengths {
        let mut left = *length;
        let mut begun = false;
        loop {
            let mut room = BLOCK - bytes.len() % BLOCK;
            if room < HEADER {
                bytes.resize(bytes.len() + room, 0);
                room = BLOCK;
            }
            let here = left.min(room - HEADER);
            left -= here;
            let kind = match (begun, left) {
                (false, 0) => FULL,
                (false, _) => FIRST,
                (true, 0) => LAST,
                (true, _) => MIDDLE,
            };
            let data = vec![0xa5; here];
            bytes.extend(checksum(kind, &data).to_le_bytes());
            bytes.extend((here as u16).to_le_bytes());
            bytes.push(kind);
            bytes.extend(data);
            begun = true;
            if left == 0 {
                break;
            }
        }
        ends.push(bytes.len());
    }
    (bytes, ends)
}

fn folder(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("CURRENT"), "MANIFEST-000021\n").unwrap();
    let path = folder.path().join("MANIFEST-000021");
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// As RocksDB wrote them.
#[test]
fn records_of_rocksdb_are_valid() {
    let full = b"\x71\xc3\xb6\x15\x09\x00\x01\x09\x00\x03\x15\xcb\x01\x03\x04\x00";
    assert_eq!(record(full, 0), Some((FULL, 16)));
    assert_eq!(record(b"\x05\x2b\x28\x43\x00\x00\x01", 0), Some((FULL, 7)));
}

#[test]
fn a_torn_end_is_cut() {
    let (mut bytes, ends) = manifest(&[39, 70, 63]);
    bytes[ends[1] + 30..].fill(0);
    let (folder, path) = folder(&bytes);
    mend(folder.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes[..ends[1]]);
    mend(folder.path()).unwrap();
    assert_eq!(fs::read(&path).unwrap(), bytes[..ends[1]]);
}

#[test]
fn damage_in_the_middle_is_refused() {
    let (mut bytes, ends) = manifest(&[39, 70, 63]);
    bytes[ends[0] + 9] ^= 1;
    let (folder, path) = folder(&bytes);
    let error = mend(folder.path()).unwrap_err();
    assert!(
        matches!(error, ManifestError::Damaged { at, .. } if at == ends[0]),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn one_without_any_record_is_refused() {
    let (folder, _) = folder(&[0; 100]);
    let error = mend(folder.path()).unwrap_err();
    assert!(matches!(error, ManifestError::Damaged { at: 0, .. }));
}

#[test]
fn a_folder_without_a_database_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    mend(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// What is in a folder, by name.
fn files(folder: &Path) -> Vec<String> {
    let mut names = names(folder).unwrap();
    names.retain(|name| name != "LOCK");
    names.sort_unstable();
    names
}

#[test]
fn without_the_name_of_the_new_list_the_one_before_is_used() {
    let (bytes, ends) = manifest(&[39, 70, 63]);
    let (folder, path) = folder(&bytes);
    fs::remove_file(path).unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("MANIFEST-000008"), &bytes).unwrap();
    // The one before, with a torn end as well; and one that was newer when it was in use.
    fs::write(at("MANIFEST-000013"), &bytes[..ends[1] + 9]).unwrap();
    fs::write(at("MANIFEST-000100"), &bytes).unwrap();
    fs::write(at("000012.sst"), b"data").unwrap();
    mend(folder.path()).unwrap();
    assert_eq!(fs::read(at("CURRENT")).unwrap(), b"MANIFEST-000013\n");
    assert_eq!(fs::read(at("MANIFEST-000013")).unwrap(), bytes[..ends[1]]);
    assert_eq!(
        files(folder.path()),
        ["000012.sst", "CURRENT", "MANIFEST-000013"]
    );
}

#[test]
fn lists_that_an_earlier_opening_left_are_removed() {
    let (bytes, _) = manifest(&[39, 70, 63]);
    let (folder, path) = folder(&bytes);
    fs::write(folder.path().join("MANIFEST-000013"), &bytes[..50]).unwrap();
    fs::write(folder.path().join("MANIFEST-000025"), b"").unwrap();
    mend(folder.path()).unwrap();
    assert_eq!(files(folder.path()), ["CURRENT", "MANIFEST-000021"]);
    assert_eq!(fs::read(path).unwrap(), bytes);
}

/// The other list is then the only one that holds anything.
#[test]
fn beside_a_damaged_list_nothing_is_removed() {
    let (mut bytes, ends) = manifest(&[39, 70, 63]);
    bytes[ends[0] + 9] ^= 1;
    let (folder, _) = folder(&bytes);
    fs::write(folder.path().join("MANIFEST-000013"), &bytes[..50]).unwrap();
    mend(folder.path()).unwrap_err();
    assert_eq!(files(folder.path()).len(), 3);
}

#[test]
fn a_database_that_was_being_made_is_made_again() {
    let (folder, path) = folder(&[]);
    fs::remove_file(path).unwrap();
    fs::write(folder.path().join("IDENTITY"), b"of the database").unwrap();
    mend(folder.path()).unwrap();
    assert_eq!(files(folder.path()), ["IDENTITY"]);
}

#[test]
fn data_without_any_list_is_left_alone() {
    for data in ["000012.sst", "000013.blob", "000014.log"] {
        let (folder, path) = folder(&[]);
        fs::remove_file(path).unwrap();
        fs::write(folder.path().join(data), b"data").unwrap();
        mend(folder.path()).unwrap();
        assert_eq!(files(folder.path()), [data, "CURRENT"]);
    }
}

fn lengths() -> impl Strategy<Value = Vec<usize>> {
    let length = prop_oneof![4 => 0usize..200, 1 => 0usize..70_000];
    prop::collection::vec(length, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_undamaged_one_is_whole(lengths in lengths()) {
        prop_assert_eq!(State::of(&manifest(&lengths).0), State::Whole);
    }

    #[test]
    fn wherever_it_is_cut_off_whole_records_stay(lengths in lengths(), at in any::<prop::sample::Index>()) {
        let (bytes, ends) = manifest(&lengths);
        let at = at.index(bytes.len()).max(1);
        let whole = ends.iter().rev().find(|end| **end <= at).copied().unwrap_or(0);
        let expected = match whole {
            0 => State::Damaged { at: 0 },
            _ if whole == at => State::Whole,
            from => State::Torn { from },
        };
        let found = State::of(&bytes[..at]);
        // Cut off in what a block leaves unused, it may also count as whole.
        let unused = found == State::Whole && bytes[whole..at].len() < HEADER;
        prop_assert!(found == expected || unused, "{:?}, {:?}", found, expected);
    }

    /// Never is anything cut off that was there before the last record.
    #[test]
    fn a_sector_of_zeros_costs_the_last_record_at_most(lengths in lengths(), at in any::<prop::sample::Index>()) {
        let (mut bytes, ends) = manifest(&lengths);
        let len = bytes.len();
        let start = at.index(len) / 512 * 512;
        let end = len.min(start + 512);
        bytes[start..end].fill(0);
        let before = ends.iter().rev().find(|end| **end <= start).copied().unwrap_or(0);
        match State::of(&bytes) {
            // The sector was unused.
            State::Whole => prop_assert_eq!(bytes, manifest(&lengths).0),
            State::Torn { from } => {
                prop_assert_eq!(from, before);
                // No record that begins behind the zeros has been cut off.
                let starts = ends.iter().take(ends.len() - 1);
                prop_assert!(starts.filter(|s| **s >= end).count() == 0);
            }
            State::Damaged { at } => prop_assert!(at <= end),
        }
    }
}
