#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::thread;
use std::time::{Duration, Instant};

use ashlar_crypto::Coded;
use tempfile::TempDir;

use super::*;
use crate::file::{OperatorRecord, TableRecord};
use crate::testing::registration;

fn record(block: u64, stakes: &[u64]) -> TableRecord {
    TableRecord {
        block: Block(block),
        versions: vec![1],
        dispersers: Vec::new(),
        operators: stakes
            .iter()
            .enumerate()
            .map(|(index, &stake)| OperatorRecord::from(&registration(index, &[(0, stake)])))
            .collect(),
    }
}

fn file(records: &[TableRecord]) -> TableFile {
    TableFile {
        network: "test".into(),
        service: 0,
        tables: records.to_vec(),
    }
}

fn source(records: &[TableRecord]) -> (TempDir, FileStakeSource) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("operators.toml");
    file(records).write(&path).unwrap();
    let source = FileStakeSource::open(&path).unwrap();
    (directory, source)
}

fn blocks(source: &FileStakeSource) -> Vec<u64> {
    source.refresh();
    source.read_state(|state| state.tables.keys().map(|block| block.0).collect())
}

#[test]
fn answers_from_the_file() {
    let (_directory, source) = source(&[record(20, &[1, 2]), record(10, &[1])]);
    assert_eq!(source.head(), Ok(Block(20)));
    assert_eq!(source.table_at(Block(10)).unwrap().operators().len(), 1);
    assert_eq!(source.table_at(Block(20)).unwrap().operators().len(), 2);
    // Only the blocks that it has: a certificate is checked against the table of exactly its block.
    for block in [0, 9, 15, 21, u64::MAX].map(Block) {
        assert_eq!(
            source.table_at(block).map(|_| ()).unwrap_err(),
            StakeError::UnknownBlock {
                block,
                head: Block(20)
            }
        );
    }
    assert_eq!(source.health(), Ok(()));
}

#[test]
fn refuses_to_open_what_is_broken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("operators.toml");
    assert_eq!(
        FileStakeSource::open(&path).map(|_| ()).unwrap_err().code(),
        "stake.io"
    );
    fs::write(&path, "tables = 1").unwrap();
    assert_eq!(
        FileStakeSource::open(&path).map(|_| ()).unwrap_err().code(),
        "stake.malformed"
    );
    fs::write(&path, "network = \"test\"\ntables = []").unwrap();
    assert_eq!(
        FileStakeSource::open(&path).map(|_| ()).unwrap_err().code(),
        "stake.no_tables"
    );
    assert_eq!(
        FileStakeSource::open(directory.path())
            .map(|_| ())
            .unwrap_err()
            .code(),
        "stake.io"
    );
}

#[test]
fn follows_the_file() {
    let (_directory, source) = source(&[record(10, &[1])]);
    let first = source.table_at(Block(10)).unwrap();
    file(&[record(10, &[1]), record(20, &[1, 2])])
        .write(source.path())
        .unwrap();
    assert_eq!(source.head(), Ok(Block(20)));
    assert_eq!(blocks(&source), [10, 20]);
    assert_eq!(source.table_at(Block(10)).unwrap().root(), first.root());
    // Old tables may go.
    file(&[record(20, &[1, 2])]).write(source.path()).unwrap();
    assert_eq!(blocks(&source), [20]);
    assert_eq!(source.reload(), Ok(()));
}

/// In place, with the same length: seen by the time of modification.
#[test]
fn follows_a_file_that_is_edited_in_place() {
    let (_directory, source) = source(&[record(10, &[1])]);
    let edited = file(&[record(11, &[1])])
        .to_text(crate::FileFormat::Toml, source.path())
        .unwrap();
    assert_eq!(
        edited.len() as u64,
        fs::metadata(source.path()).unwrap().len()
    );
    let handle = File::options().write(true).open(source.path()).unwrap();
    std::io::Write::write_all(&mut &handle, edited.as_bytes()).unwrap();
    // Not left to the resolution of the file system's clock.
    handle
        .set_modified(SystemTime::now() + Duration::from_secs(5))
        .unwrap();
    assert_eq!(source.head(), Ok(Block(11)));
}

#[test]
fn a_broken_file_keeps_the_last_good_table_and_says_why() {
    let (_directory, source) = source(&[record(10, &[1])]);
    let root = source.table_at(Block(10)).unwrap().root();
    let still_there = |code: Option<&str>| {
        assert_eq!(source.head(), Ok(Block(10)));
        assert_eq!(source.table_at(Block(10)).unwrap().root(), root);
        for _ in 0..2 {
            assert_eq!(source.health().err().map(|error| error.code()), code);
        }
    };
    fs::write(source.path(), "[[tables]]\nblock =").unwrap();
    still_there(Some("stake.malformed"));

    let mut unproven = record(20, &[1, 2]);
    unproven.operators[0].proof_of_possession = unproven.operators[1].proof_of_possession;
    file(&[record(10, &[1]), unproven])
        .write(source.path())
        .unwrap();
    still_there(Some("table.possession"));

    fs::remove_file(source.path()).unwrap();
    still_there(Some("stake.io"));

    file(&[record(10, &[1])]).write(source.path()).unwrap();
    still_there(None);
}

/// The table of a block is what batches of that block were signed under.
#[test]
fn a_table_in_use_cannot_be_rewritten() {
    let (_directory, source) = source(&[record(10, &[1])]);
    let old = source.table_at(Block(10)).unwrap().root();
    file(&[record(10, &[2]), record(20, &[1])])
        .write(source.path())
        .unwrap();
    match source.reload().unwrap_err() {
        StakeError::Rewritten {
            path,
            block: Block(10),
            old: named,
            new,
        } => {
            assert_eq!((path.as_path(), named), (source.path(), old));
            assert_ne!(new, old);
        }
        other => panic!("{other}"),
    }
    assert_eq!(
        source.head(),
        Ok(Block(10)),
        "nothing of the file was taken over"
    );
    assert_eq!(source.table_at(Block(10)).unwrap().root(), old);
    file(&[record(10, &[1]), record(20, &[2])])
        .write(source.path())
        .unwrap();
    assert_eq!((source.reload(), source.head()), (Ok(()), Ok(Block(20))));
}

/// Many readers while the file changes: each sees one whole state or the other, and in the end all see the last.
#[test]
fn readers_see_whole_states() {
    let (_directory, source) = source(&[record(1, &[1])]);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let deadline = Instant::now() + Duration::from_secs(60);
                let mut last = Block(0);
                while last < Block(8) {
                    assert!(Instant::now() < deadline, "stuck at block {last}");
                    let head = source.head().unwrap();
                    assert!(head >= last, "the head went back from {last} to {head}");
                    let table = source.table_at(head).unwrap();
                    assert_eq!(
                        table.operators()[0].stakes[0].1,
                        crate::testing::stake(head.0)
                    );
                    last = head;
                }
            });
        }
        for head in 2..=8u64 {
            let records: Vec<_> = (1..=head).map(|block| record(block, &[block])).collect();
            file(&records).write(source.path()).unwrap();
        }
    });
    assert_eq!(source.health(), Ok(()));
}
