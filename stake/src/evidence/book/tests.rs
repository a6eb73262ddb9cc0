#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;
use ashlar_proto::version;
use proptest::prelude::*;

use super::super::FaultKind;
use super::super::testing::*;
use super::*;

const WHO: Account = Account([8; 20]);

fn params() -> CustodyParams {
    CustodyParams {
        challenge_blocks: 50,
        response_blocks: 10,
        min_bond: Stake::from(5),
        max_open: 3,
        max_open_per_operator: 2,
    }
}

fn bond() -> Stake {
    Stake::from(5)
}

fn position(duty: &Duty, seed: u8) -> Position {
    duty.random_position(&[seed; 32])
}

#[test]
fn answered_in_time() {
    let (world, duty) = (world(), world().duty(3));
    let mut book = CustodyBook::new(params());
    let at = position(&duty, 1);
    let challenge = book.open(120, WHO, bond(), &duty, at).unwrap();
    assert_eq!(
        (challenge.opened_block, challenge.deadline_block),
        (120, 130)
    );
    assert!(book.expire(130).is_empty());
    let answer = world.opening(at);
    let settled = book
        .answer(130, &challenge.id(), &answer, Setup::ethereum())
        .unwrap();
    assert_eq!(settled, Settlement::Answered { challenge });
    assert_eq!(book, CustodyBook::new(params()));
    let again = book.answer(130, &challenge.id(), &answer, Setup::ethereum());
    assert_eq!(again.unwrap_err().code(), "custody.unknown");
    assert!(book.expire(1000).is_empty());
}

#[test]
fn silence_is_a_fault() {
    let (world, duty) = (world(), world().duty(3));
    let mut book = CustodyBook::new(params());
    let at = position(&duty, 1);
    let challenge = book.open(120, WHO, bond(), &duty, at).unwrap();
    let late = book.answer(131, &challenge.id(), &world.opening(at), Setup::ethereum());
    assert_eq!(
        late,
        Err(CustodyError::DeadlineOver {
            deadline: 130,
            now: 131
        })
    );
    let ended = book.expire(131);
    let [
        Settlement::Unanswered {
            challenge: ended,
            fault,
        },
    ] = &ended[..]
    else {
        panic!("{ended:?}");
    };
    assert_eq!(*ended, challenge);
    assert_eq!(
        (fault.operator(), fault.kind()),
        (id(3), FaultKind::UnansweredChallenge)
    );
    assert_eq!(fault.evidence_hash(), challenge.id().0);
    assert!(book.expire(131).is_empty());

    // The same element once more: another challenge, the same misdeed.
    let challenge = book.open(140, WHO, bond(), &duty, at).unwrap();
    let Some(Settlement::Unanswered { fault: second, .. }) = book.expire(151).pop() else {
        panic!("still open");
    };
    assert_eq!(second.subject(), fault.subject());
    assert_eq!(second.evidence_hash(), challenge.id().0);
}

#[test]
fn a_wrong_answer_changes_nothing() {
    let (world, duty) = (world(), world().duty(3));
    let mut book = CustodyBook::new(params());
    let challenge = book
        .open(120, WHO, bond(), &duty, position(&duty, 1))
        .unwrap();
    let before = book.clone();
    let wrong = world.opening(position(&duty, 2));
    assert!(
        book.answer(121, &challenge.id(), &wrong, Setup::ethereum())
            .is_err()
    );
    assert_eq!(book, before);
    let slice = world.slice(challenge.position.element / 64);
    assert!(
        book.answer(121, &challenge.id(), &slice, Setup::ethereum())
            .is_ok()
    );
}

#[test]
fn refused_challenges_change_nothing() {
    let world = world();
    let (two, three, four) = (world.duty(2), world.duty(3), world.duty(4));
    let mut book = CustodyBook::new(params());
    let at = position(&three, 1);
    book.open(BLOCK, WHO, bond(), &three, at).unwrap();
    let before = book.hash();
    let mut refuse = |now, bond, duty, position| {
        let error = book
            .open(now, WHO, Stake::from(bond), duty, position)
            .unwrap_err();
        assert_eq!(book.hash(), before);
        error.code()
    };
    let next = position(&three, 2);
    assert_eq!(refuse(120, 4u8, &three, next), "custody.bond");
    assert_eq!(refuse(99, 5, &three, next), "custody.not_yet");
    assert_eq!(refuse(151, 5, &three, next), "custody.period_over");
    assert_eq!(refuse(120, 5, &three, at), "custody.duplicate");
    assert_eq!(
        refuse(120, 5, &three, Position { row: 9, ..at }),
        "custody.row"
    );
    assert_eq!(
        refuse(
            120,
            5,
            &two,
            Position {
                row: 0,
                element: u32::MAX
            }
        ),
        "custody.not_assigned"
    );

    // The last block of the period still counts.
    book.open(150, WHO, bond(), &three, next).unwrap();
    let third = book
        .open(120, WHO, bond(), &three, position(&three, 3))
        .unwrap_err();
    assert_eq!(
        third,
        CustodyError::TooMany {
            scope: "to this operator",
            max: 2
        }
    );
    book.open(120, WHO, bond(), &four, position(&four, 1))
        .unwrap();
    let fourth = book
        .open(120, WHO, bond(), &two, position(&two, 1))
        .unwrap_err();
    assert_eq!(
        fourth,
        CustodyError::TooMany {
            scope: "in all",
            max: 3
        }
    );
}

#[test]
fn windows_in_blocks_favour_the_operator() {
    let params = CustodyParams::new(version(1).unwrap(), &Timing::default(), 12, bond());
    assert_eq!(
        (params.challenge_blocks, params.response_blocks),
        (64_800, 14_400)
    );
    let odd = CustodyParams::new(version(1).unwrap(), &Timing::default(), 7, bond());
    assert_eq!(
        (odd.challenge_blocks, odd.response_blocks),
        (111_085, 24_686)
    );
    let zero = CustodyParams::new(version(1).unwrap(), &Timing::default(), 0, bond());
    assert_eq!(zero.challenge_blocks, 777_600);
}

#[test]
fn snapshots_come_back() {
    let world = world();
    let mut book = CustodyBook::new(params());
    for (n, seed) in [(3, 1), (3, 2), (4, 1)] {
        let duty = world.duty(n);
        book.open(120, WHO, bond(), &duty, position(&duty, seed))
            .unwrap();
    }
    let bytes = book.to_bytes();
    let back = CustodyBook::from_bytes(params(), &bytes).unwrap();
    assert_eq!(back, book);
    assert_eq!(back.hash(), book.hash());
    assert_eq!(book.open_challenges().count(), 3);
    for (id, open) in book.open_challenges() {
        assert_eq!(book.get(id), Some(open));
    }

    let code = |bytes: &[u8]| CustodyBook::from_bytes(params(), bytes).unwrap_err().code();
    for len in 0..bytes.len() {
        assert_eq!(code(&bytes[..len]), "evidence.truncated");
    }
    assert_eq!(code(&[&bytes[..], &[0]].concat()), "evidence.trailing");
    assert_eq!(code(&[0xff; 4]), "evidence.limit");
    let entry = (bytes.len() - 4) / 3;
    let mut swapped = bytes.clone();
    swapped[4..4 + 2 * entry].rotate_left(entry);
    assert_eq!(code(&swapped), "evidence.snapshot");
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(code(&other), "evidence.snapshot");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        if let Ok(book) = CustodyBook::from_bytes(params(), &bytes) {
            prop_assert_eq!(book.to_bytes(), bytes);
        }
    }
}
