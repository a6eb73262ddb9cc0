#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::account::AccountKey;
use ashlar_proto::{Head, TableRoot};

use super::*;

const SERVICE: ServiceId = 3;
const A: usize = 0;
const B: usize = 1;

fn key(number: u8) -> AccountKey {
    AccountKey::from_bytes(&[number; 32]).unwrap()
}

fn account(number: u8) -> Account {
    Account(key(number).address())
}

fn network() -> Network {
    Network::ledger(&[1; 32])
}

fn domain() -> Domain {
    network().domain(u64::from(SERVICE))
}

/// A head of a block, dated a second a block.
fn head(block: u64, root: u8, by: u8) -> SignedHead {
    dated(block, block * 1000, root, by)
}

fn dated(block: u64, time_ms: u64, root: u8, by: u8) -> SignedHead {
    Head {
        domain: domain(),
        block: Block(block),
        time_ms,
        table_root: TableRoot([root; 32]),
    }
    .sign(&key(by))
}

fn succession(by: u8, to: u8, from_block: u64) -> HeadKeySuccession {
    HeadKeySuccession::sign(&key(by), network(), account(to), Block(from_block))
}

fn open_with(folder: Option<&Path>, urls: &[&str], pins: &[Account]) -> HeadStore {
    let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
    HeadStore::open(folder, network(), SERVICE, &urls, pins, 1 << 20).unwrap()
}

/// One source, whose key 1 is pinned.
fn open(folder: Option<&Path>) -> HeadStore {
    open_with(folder, &["http://a"], &[account(1)])
}

fn newest(memory: &mut HeadStore, source: usize, signed: SignedHead) -> Result<(), StakeError> {
    memory.accept_newest(source, &signed)
}

fn code(result: Result<(), StakeError>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn only_a_pinned_key_counts() {
    let mut memory = open(None);
    assert_eq!(
        code(newest(&mut memory, A, head(5, 1, 2))),
        "head.other_key"
    );
    assert_eq!(memory.newest(), None);
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    assert_eq!(memory.newest(), Some(&head(5, 1, 1)));

    // Any of several pins will do.
    let mut memory = open_with(None, &["http://a"], &[account(1), account(2)]);
    newest(&mut memory, A, head(5, 1, 2)).unwrap();
    newest(&mut memory, A, head(6, 1, 1)).unwrap();
    assert_eq!(
        code(newest(&mut memory, A, head(7, 1, 3))),
        "head.other_key"
    );
}

#[test]
fn whatever_is_changed_in_a_head_its_signature_does_not_hold() {
    let mut memory = open(None);
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    let good = head(6, 1, 1);
    let mut root = good;
    root.head.table_root = TableRoot([2; 32]);
    let mut time = good;
    time.head.time_ms += 1;
    let mut block = good;
    block.head.block.0 += 1;
    for changed in [root, time, block] {
        assert_eq!(code(newest(&mut memory, A, changed)), "head.other_key");
    }
    let mut signature = good;
    signature.signature.0[64] = 0;
    assert_eq!(code(newest(&mut memory, A, signature)), "head.signature");
    newest(&mut memory, A, good).unwrap();
}

/// The same key signs for all services of its ledger.
#[test]
fn a_head_of_another_service_or_ledger_is_refused() {
    let of = |domain: Domain| {
        Head {
            domain,
            block: Block(5),
            time_ms: 5000,
            table_root: TableRoot([1; 32]),
        }
        .sign(&key(1))
    };
    let other_service = of(network().domain(u64::from(SERVICE) + 1));
    let other_ledger = of(Network::ledger(&[9; 32]).domain(u64::from(SERVICE)));
    let mut memory = open(None);
    for wrong in [other_service, other_ledger] {
        assert_eq!(code(newest(&mut memory, A, wrong)), "head.other_domain");
    }
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    newest(&mut memory, A, head(6, 1, 1)).unwrap();
}

#[test]
fn a_head_that_goes_back_is_refused() {
    let mut memory = open(None);
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    assert_eq!(code(newest(&mut memory, A, head(4, 1, 1))), "head.back");
    assert_eq!(
        code(newest(&mut memory, A, dated(6, 4999, 1, 1))),
        "head.time_back"
    );
    newest(&mut memory, A, dated(6, 5000, 1, 1)).unwrap();
    // Asked for, an old one is welcome.
    memory.accept(A, &head(2, 1, 1)).unwrap();
    assert_eq!(memory.newest().unwrap().head.block, Block(6));
}

#[test]
fn two_heads_of_one_block_are_proof_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = open(Some(folder.path()));
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    newest(&mut memory, A, head(6, 1, 1)).unwrap();
    let error = newest(&mut memory, A, head(6, 2, 1)).unwrap_err();
    assert_eq!(error.code(), "head.contradiction");
    let text = error.to_string();
    assert!(
        text.contains("http://a") && text.contains("block 6"),
        "{text}"
    );
    // From now on nothing is believed.
    assert_eq!(
        code(newest(&mut memory, A, head(7, 1, 1))),
        "head.contradiction"
    );
    assert_eq!(memory.stopped(), Some(&error));

    // Both heads are there for everybody to check.
    let proof = std::fs::read(folder.path().join(CONTRADICTION)).unwrap();
    let proof: Contradiction = serde_json::from_slice(&proof).unwrap();
    for (side, root) in [(&proof.one, 1), (&proof.other, 2)] {
        assert_eq!(side.signed.head.table_root, TableRoot([root; 32]));
        let domain = domain();
        side.signed.verify(&domain, &account(1)).unwrap();
    }

    // A restart does not make it good; a person does.
    drop(memory);
    let memory = open(Some(folder.path()));
    assert_eq!(memory.stopped(), Some(&error));
    std::fs::remove_file(folder.path().join(CONTRADICTION)).unwrap();
    assert_eq!(open(Some(folder.path())).stopped(), None);
}

#[test]
fn a_damaged_proof_is_not_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(CONTRADICTION), b"{}").unwrap();
    let urls = ["http://a".to_owned()];
    let error = HeadStore::open(
        Some(folder.path()),
        network(),
        SERVICE,
        &urls,
        &[account(1)],
        1,
    )
    .unwrap_err();
    assert_eq!(error.code(), "heads.damaged");
}

#[test]
fn two_sources_are_compared() {
    let folder = tempfile::tempdir().unwrap();
    let urls = ["http://a", "http://b"];
    let mut memory = open_with(Some(folder.path()), &urls, &[account(1), account(2)]);
    let both = only(A) | only(B);
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    assert_eq!(
        memory.agreed(both, None, Block(100)),
        None,
        "one of them only"
    );
    assert_eq!(
        memory.agreed(only(A), None, Block(100)),
        Some(head(5, 1, 1))
    );
    // Signed by another key, and at another moment: it is the root that counts.
    newest(&mut memory, B, dated(5, 5010, 1, 2)).unwrap();
    assert_eq!(memory.agreed(both, None, Block(100)), Some(head(5, 1, 1)));
    assert_eq!(memory.agreed(both, Some(Block(5)), Block(100)), None);
    assert_eq!(memory.agreed(both, None, Block(4)), None);

    // Each was asked at another moment: what the other one told has to be asked for.
    newest(&mut memory, A, head(6, 1, 1)).unwrap();
    newest(&mut memory, B, head(8, 1, 1)).unwrap();
    assert_eq!(memory.unconfirmed(B, Some(Block(5))), Some(Block(6)));
    assert_eq!(memory.unconfirmed(A, Some(Block(5))), None);
    memory.accept(B, &head(6, 1, 1)).unwrap();
    assert_eq!(memory.unconfirmed(B, Some(Block(5))), None);
    assert_eq!(
        memory.agreed(both, Some(Block(5)), Block(100)),
        Some(head(6, 1, 1))
    );

    // They differ: both are named.
    let error = newest(&mut memory, A, head(8, 2, 1)).unwrap_err();
    assert_eq!(error.code(), "head.contradiction");
    let StakeError::Contradiction(found) = &error else {
        panic!("{error}");
    };
    assert_eq!(
        [found.one.as_str(), found.other.as_str()],
        ["http://b", "http://a"]
    );
}

/// Of two sources one may be behind the other; of itself it may not.
#[test]
fn of_two_sources_one_may_be_behind_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let urls = ["http://a", "http://b"];
    let mut memory = open_with(Some(folder.path()), &urls, &[account(1)]);
    newest(&mut memory, A, head(9, 1, 1)).unwrap();
    drop(memory);
    let mut memory = open_with(Some(folder.path()), &urls, &[account(1)]);
    newest(&mut memory, B, head(8, 1, 1)).unwrap();
    assert_eq!(code(newest(&mut memory, B, head(7, 1, 1))), "head.back");
}

#[test]
fn a_restarted_follower_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = open(Some(folder.path()));
    for block in 1..=9 {
        newest(&mut memory, A, head(block, 1, 1)).unwrap();
    }
    drop(memory);
    // As a crash would: nothing is written at the end.
    let mut memory = open(Some(folder.path()));
    assert_eq!(memory.newest(), Some(&head(9, 1, 1)));
    assert_eq!(code(newest(&mut memory, A, head(8, 1, 1))), "head.back");
    newest(&mut memory, A, head(9, 1, 1)).unwrap();
    assert_eq!(memory.told_by(Block(8)), 0, "not heard since the start");
    // What was told then is compared with what is told now.
    let error = memory.accept(A, &head(4, 2, 1)).unwrap_err();
    assert_eq!(error.code(), "head.contradiction");
}

#[test]
fn without_a_folder_it_forgets() {
    let mut memory = open(None);
    newest(&mut memory, A, head(9, 1, 1)).unwrap();
    let mut memory = open(None);
    newest(&mut memory, A, head(8, 1, 1)).unwrap();
}

#[test]
fn a_folder_is_of_one_service() {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = open(Some(folder.path()));
    newest(&mut memory, A, head(9, 1, 1)).unwrap();
    drop(memory);
    let urls = ["http://a".to_owned()];
    let error = HeadStore::open(
        Some(folder.path()),
        network(),
        SERVICE + 1,
        &urls,
        &[account(1)],
        1,
    );
    assert_eq!(error.unwrap_err().code(), "heads.other_service");
}

#[test]
fn what_is_remembered_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let urls = ["http://a".to_owned()];
    let mut memory = HeadStore::open(
        Some(folder.path()),
        network(),
        SERVICE,
        &urls,
        &[account(1)],
        WINDOW,
    )
    .unwrap();
    for window in 0..4 {
        newest(&mut memory, A, head(window * WINDOW + 1, 1, 1)).unwrap();
    }
    drop(memory);
    let memory = HeadStore::open(
        Some(folder.path()),
        network(),
        SERVICE,
        &urls,
        &[account(1)],
        WINDOW,
    )
    .unwrap();
    let known: Vec<bool> = (0..4)
        .map(|window| memory.head(Block(window * WINDOW + 1)).unwrap().is_some())
        .collect();
    assert_eq!(known, [false, false, true, true]);
}

#[test]
fn a_rotated_key_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let mut memory = open(Some(folder.path()));
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    assert_eq!(
        code(newest(&mut memory, A, head(10, 1, 2))),
        "head.other_key"
    );
    // In any order, and with one that leads nowhere among them.
    let told = [
        succession(2, 3, 20),
        succession(7, 8, 10),
        succession(1, 2, 10),
    ];
    assert!(memory.follow(A, &told).unwrap());
    assert!(!memory.follow(A, &told).unwrap());
    // Each key has its own blocks.
    for (block, by, good) in [
        (9, 2, false),
        (9, 1, true),
        (10, 1, false),
        (10, 3, false),
        (10, 2, true),
        (20, 2, false),
        (20, 8, false),
        (20, 3, true),
        (21, 1, false),
        (21, 3, true),
    ] {
        let result = newest(&mut memory, A, head(block, 1, by));
        match good {
            true => result.unwrap(),
            false => assert_eq!(code(result), "head.other_key", "block {block} by {by}"),
        }
    }
    drop(memory);
    let mut memory = open(Some(folder.path()));
    newest(&mut memory, A, head(22, 1, 3)).unwrap();
    assert_eq!(
        code(newest(&mut memory, A, head(23, 1, 1))),
        "head.other_key"
    );
}

#[test]
fn a_false_succession_is_refused() {
    let mut memory = open(None);
    newest(&mut memory, A, head(5, 1, 1)).unwrap();
    // Signed by nobody who is followed, or for another network.
    let stranger = succession(7, 2, 10);
    let elsewhere =
        HeadKeySuccession::sign(&key(1), Network::ledger(&[9; 32]), account(2), Block(10));
    let mut moved = succession(1, 2, 10);
    moved.from_block = Block(6);
    assert!(!memory.follow(A, &[stranger, elsewhere, moved]).unwrap());
    assert_eq!(
        code(newest(&mut memory, A, head(10, 1, 2))),
        "head.other_key"
    );

    // From a block on that the old key vouched for itself.
    let late = memory.follow(A, &[succession(1, 2, 5)]).unwrap_err();
    assert_eq!(late.code(), "head.late_succession");

    // A second successor of a key that has one.
    assert!(memory.follow(A, &[succession(1, 2, 10)]).unwrap());
    let told = [succession(1, 2, 10), succession(1, 3, 9)];
    let second = memory.follow(A, &told).unwrap_err();
    assert_eq!(second.code(), "head.two_successors");
    newest(&mut memory, A, head(10, 1, 2)).unwrap();
}
