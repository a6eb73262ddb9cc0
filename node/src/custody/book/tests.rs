#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::{Account, BatchDigest};
use ashlar_restaking::Amount;

use super::*;

const ME: OperatorId = OperatorId([7; 32]);
const SECOND: Duration = Duration::from_secs(1);

fn book(ledgers: usize) -> Book {
    let backoff = Backoff {
        base: SECOND,
        max: 8 * SECOND,
    };
    let names = (0..ledgers).map(|place| format!("ledger {place}"));
    Book::new(ME, names.collect(), backoff, 50)
}

/// Opened in block 100, to be answered through block 200, of the blob with this salt.
fn challenge(salt: u64) -> OpenChallenge {
    let blob = ashlar_testing::custody::blob(salt).header;
    OpenChallenge {
        service: 1,
        operator: ME,
        challenger: Account([1; 20]),
        blob_key: blob.blob_key(),
        batch_digest: BatchDigest([2; 32]),
        row: 0,
        element: 5,
        opened: Block(100),
        deadline: Block(200),
        token: Account([3; 20]),
        bond: Amount::from(1u64),
        blob,
    }
}

type Said = Result<OpenChallenges, ChallengeSourceError>;

fn says(block: u64, challenges: &[(u64, &OpenChallenge)]) -> Said {
    let own = |&(number, challenge): &(u64, &OpenChallenge)| (number, challenge.clone());
    Ok(OpenChallenges {
        block: Block(block),
        challenges: challenges.iter().map(own).collect(),
    })
}

fn silent() -> Said {
    Err(ChallengeSourceError {
        code: "http.unreachable".into(),
        reason: "nobody is there".into(),
    })
}

#[test]
fn a_challenge_is_tried_with_growing_pauses_until_no_ledger_lists_it() {
    let (mut book, one) = (book(1), challenge(1));
    assert_eq!(book.heard(SECOND, vec![says(101, &[(4, &one)])]), []);
    assert_eq!((book.open(), book.blocks_left()), (1, Some(99)));
    let mut now = SECOND;
    for pause in [1u32, 2, 4, 8, 8] {
        let [due] = &book.due(now, 9)[..] else {
            panic!("one is due")
        };
        assert_eq!((due.name.number, &due.ledgers), (4, &vec![0]));
        let name = due.name;
        book.tried(now, &name, Attempt::NotTaken("no".into()), 0);
        assert_eq!(book.next_due(), Some(now + pause * SECOND));
        let early = now + pause * SECOND - SECOND / 2;
        assert!(book.due(early, 9).is_empty());
        now += pause * SECOND;
    }
    let name = book.due(now, 9)[0].name;
    book.tried(now, &name, Attempt::Taken, 0);
    // Taken, and yet listed: it is open, and tried again.
    book.heard(now, vec![says(110, &[(4, &one)])]);
    assert!(book.status().open[0].answered);
    assert!(book.due(now, 9).is_empty());
    assert_eq!(book.due(now + 8 * SECOND, 9).len(), 1);
    let ended = book.heard(now, vec![says(111, &[])]);
    let expected = Ended {
        number: 4,
        missed: false,
    };
    assert_eq!(ended, [expected]);
    let status = book.status();
    assert_eq!(
        (status.open_count, status.answered, status.missed),
        (0, 1, 0)
    );
    assert_eq!(book.blocks_left(), None);
}

#[test]
fn one_ledger_that_answers_is_enough_and_none_hides_anything() {
    let (mut book, one, two) = (book(2), challenge(1), challenge(2));
    book.heard(SECOND, vec![silent(), says(101, &[(1, &one)])]);
    assert_eq!(book.due(SECOND, 9)[0].ledgers, [1]);
    let alarms = book.alarms();
    assert_eq!(alarms.ledger.unwrap(), "ledger 0: nobody is there");
    assert_eq!(alarms.unfollowed, None);

    // The union counts. Whom to ask first changes with each attempt.
    let both = [(1, &one), (2, &two)];
    book.heard(SECOND, vec![says(101, &both), says(101, &[(1, &one)])]);
    assert_eq!(book.alarms(), Alarms::default());
    let due = book.due(SECOND, 9);
    assert_eq!(due[0].ledgers, [0, 1]);
    assert_eq!(due[1].ledgers, [0]);
    book.tried(SECOND, &due[0].name, Attempt::NotTaken("no".into()), 0);
    assert_eq!(book.due(9 * SECOND, 9)[0].ledgers, [1, 0]);

    // As long as nobody answers, nothing is closed.
    assert_eq!(book.heard(SECOND, vec![silent(), silent()]), []);
    assert_eq!(book.open(), 2);
    assert!(book.alarms().unfollowed.unwrap().contains("ledger 1"));

    // Another challenge under the same number is another challenge.
    book.heard(
        SECOND,
        vec![says(102, &[(1, &one)]), says(102, &[(1, &two)])],
    );
    assert_eq!(book.open(), 2, "(2, two) is closed");
}

#[test]
fn what_is_not_a_challenge_to_this_operator_is_left_out() {
    let mut book = book(1);
    let mut other = challenge(1);
    other.operator = OperatorId([8; 32]);
    let mut wrong = challenge(2);
    wrong.blob_key = BlobKey([0; 32]);
    book.heard(SECOND, vec![says(101, &[(1, &other), (2, &wrong)])]);
    assert_eq!(book.open(), 0);
}

#[test]
fn alarms_come_at_half_of_the_time_and_at_once_without_an_answer() {
    let (mut book, one) = (book(1), challenge(1));
    book.heard(SECOND, vec![says(149, &[(3, &one)])]);
    assert_eq!(book.alarms(), Alarms::default());
    let name = book.due(SECOND, 9)[0].name;
    book.tried(SECOND, &name, Attempt::NoAnswer("it is gone".into()), 0);
    let why = book.alarms().no_answer.unwrap();
    assert!(
        why.contains("challenge 3") && why.contains("it is gone"),
        "{why}"
    );
    book.heard(SECOND, vec![says(150, &[(3, &one)])]);
    let why = book.alarms().deadline.unwrap();
    assert!(why.contains("through block 200"), "{why}");
    // Answered, but nobody says so yet: still near.
    book.tried(SECOND, &name, Attempt::Taken, 0);
    assert_eq!(book.alarms().no_answer, None);
    assert!(book.alarms().deadline.is_some());
    book.heard(SECOND, vec![says(150, &[])]);
    assert_eq!(book.alarms(), Alarms::default());
}

#[test]
fn a_deadline_that_passed_is_counted() {
    let (mut book, one) = (book(1), challenge(1));
    book.heard(SECOND, vec![says(149, &[(3, &one)])]);
    // In its last block it may have been answered by somebody.
    let mut again = challenge(1);
    again.deadline = Block(300);
    book.heard(SECOND, vec![says(200, &[(4, &again)])]);
    assert_eq!(book.status().missed, 0);
    let ended = book.heard(SECOND, vec![says(301, &[])]);
    assert!(ended[0].missed);
    assert_eq!(book.status().missed, 1);
}

#[test]
fn the_nearest_deadline_comes_first() {
    let mut book = book(1);
    let (late, mut soon) = (challenge(1), challenge(2));
    soon.deadline = Block(150);
    book.heard(SECOND, vec![says(120, &[(1, &late), (2, &soon)])]);
    assert_eq!(book.due(SECOND, 1)[0].name.number, 2);
    assert_eq!(book.blocks_left(), Some(30));
    assert_eq!(book.status().open[0].challenge, 2);
}
