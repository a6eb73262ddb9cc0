#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn domain(number: u8) -> Domain {
    Domain([number; 32])
}

fn head(block: u64) -> StoredHead {
    StoredHead {
        signed: SignedHead {
            head: Head {
                domain: domain(1),
                block: Block(block),
                time_ms: 1_700_000_000_000 + block,
                table_root: TableRoot([block as u8; 32]),
            },
            signature: AccountSignature([9; 65]),
        },
        source: 3,
    }
}

#[test]
fn what_is_put_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let mut files = HeadFiles::open(&path, domain(1)).unwrap();
    assert_eq!(files.newest().unwrap(), None);
    // Not in their order, and in three files.
    let blocks = [0, 5, 2, WINDOW - 1, WINDOW, 3 * WINDOW + 7, WINDOW + 1];
    for block in blocks {
        files.put(&head(block)).unwrap();
    }
    files.sync().unwrap();
    drop(files);
    let files = HeadFiles::open(&path, domain(1)).unwrap();
    for block in blocks {
        assert_eq!(files.get(Block(block)).unwrap(), Some(head(block)));
    }
    for block in [1, 3, 6, 2 * WINDOW, u64::MAX] {
        assert_eq!(files.get(Block(block)).unwrap(), None);
    }
    assert_eq!(files.newest().unwrap(), Some(head(3 * WINDOW + 7)));
}

#[test]
fn old_files_go_whole() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = HeadFiles::open(folder.path(), domain(1)).unwrap();
    for block in [1, WINDOW + 1, WINDOW + 2, 2 * WINDOW] {
        files.put(&head(block)).unwrap();
    }
    files.sync().unwrap();
    files.forget_before(Block(WINDOW + 2)).unwrap();
    assert_eq!(files.get(Block(1)).unwrap(), None);
    assert_eq!(
        files.get(Block(WINDOW + 1)).unwrap(),
        Some(head(WINDOW + 1))
    );
    assert_eq!(files.newest().unwrap(), Some(head(2 * WINDOW)));
}

/// Whatever a power cut leaves of the newest record: it is no head, and those before it are.
#[test]
fn a_torn_record_is_no_head() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = HeadFiles::open(folder.path(), domain(1)).unwrap();
    for block in [4, 5] {
        files.put(&head(block)).unwrap();
    }
    files.sync().unwrap();
    let path = files.path(0);
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(whole.len(), 6 * RECORD);
    for kept in 5 * RECORD..6 * RECORD {
        std::fs::write(&path, &whole[..kept]).unwrap();
        assert_eq!(files.get(Block(5)).unwrap(), None, "cut at {kept}");
        assert_eq!(files.newest().unwrap(), Some(head(4)), "cut at {kept}");
        let mut wrong = whole.clone();
        wrong[kept] ^= 1;
        std::fs::write(&path, &wrong).unwrap();
        assert_eq!(files.get(Block(5)).unwrap(), None, "changed at {kept}");
        assert_eq!(files.newest().unwrap(), Some(head(4)), "changed at {kept}");
    }
}

/// A record in the place of another block, or of another domain, is none.
#[test]
fn a_record_counts_for_its_block_and_domain_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = HeadFiles::open(folder.path(), domain(1)).unwrap();
    files.put(&head(5)).unwrap();
    files.sync().unwrap();
    let path = files.path(0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.copy_within(5 * RECORD..6 * RECORD, 4 * RECORD);
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(files.get(Block(4)).unwrap(), None);
    let other = HeadFiles::open(folder.path(), domain(2)).unwrap();
    assert_eq!(other.get(Block(5)).unwrap(), None);
}

#[test]
fn a_folder_that_is_none_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    std::fs::write(&path, b"").unwrap();
    let error = HeadFiles::open(&path, domain(1)).unwrap_err();
    assert_eq!(error.code(), "heads.io");
}

/// Whatever lies there, no more is read than a file may have.
#[cfg(target_os = "linux")]
#[test]
fn a_file_without_an_end_is_read_up_to_its_last_place() {
    let folder = tempfile::tempdir().unwrap();
    let files = HeadFiles::open(folder.path(), domain(1)).unwrap();
    std::os::unix::fs::symlink("/dev/zero", files.path(0)).unwrap();
    assert_eq!(files.newest().unwrap(), None);
}
