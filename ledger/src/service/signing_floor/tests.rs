#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const GENESIS: B256 = B256::repeat_byte(7);

#[test]
fn it_remembers_and_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signed");
    let mut file = SigningFloor::create(&path, GENESIS, Block(0)).unwrap();
    for next in [1, 2, 7, 7, 3, 8].map(Block) {
        file.raise(next).unwrap();
        let opened = SigningFloor::open(&path, GENESIS).unwrap();
        assert_eq!(opened.next(), next.max(file.next()));
    }
    assert_eq!(file.next(), Block(8));
    // It goes on where it was, place by place.
    let mut opened = SigningFloor::open(&path, GENESIS).unwrap();
    opened.raise(Block(9)).unwrap();
    opened.raise(Block(10)).unwrap();
    assert_eq!(
        SigningFloor::open(&path, GENESIS).unwrap().next(),
        Block(10)
    );
}

/// Whatever a power cut leaves of the place that was being written, the one before it stands; and the next write goes over the
/// spoiled one.
#[test]
fn a_torn_write_leaves_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signed");
    for last in [20, 21] {
        let _ = std::fs::remove_file(&path);
        let mut file = SigningFloor::create(&path, GENESIS, Block(0)).unwrap();
        for next in 1..last {
            file.raise(Block(next)).unwrap();
        }
        let before = std::fs::read(&path).unwrap();
        file.raise(Block(last)).unwrap();
        let after = std::fs::read(&path).unwrap();
        let changed: Vec<usize> = (0..after.len())
            .filter(|at| before[*at] != after[*at])
            .collect();
        for cut in changed.iter().skip(1) {
            let mut torn = after[..*cut].to_vec();
            torn.extend_from_slice(&before[*cut..]);
            std::fs::write(&path, &torn).unwrap();
            let mut opened = SigningFloor::open(&path, GENESIS).unwrap();
            assert_eq!(opened.next(), Block(last - 1), "cut at {cut}");
            opened.raise(Block(last + 5)).unwrap();
            assert_eq!(
                SigningFloor::open(&path, GENESIS).unwrap().next(),
                Block(last + 5)
            );
        }
    }
}

#[test]
fn each_refusal_has_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signed");
    let code = |genesis| SigningFloor::open(&path, genesis).unwrap_err().code();
    assert_eq!(code(GENESIS), "heads.signed_missing");
    SigningFloor::create(&path, GENESIS, Block(5)).unwrap();
    assert_eq!(code(B256::ZERO), "heads.other_ledger");
    // What is there is never written over.
    let error = SigningFloor::create(&path, GENESIS, Block(0)).unwrap_err();
    assert_eq!(error.code(), "heads.io");
    assert_eq!(SigningFloor::open(&path, GENESIS).unwrap().next(), Block(5));
    std::fs::write(&path, [0; 5000]).unwrap();
    assert_eq!(code(GENESIS), "heads.signed_damaged");
    std::fs::write(&path, b"").unwrap();
    assert_eq!(code(GENESIS), "heads.signed_damaged");
}
