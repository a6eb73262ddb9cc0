#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::testing::party;

const MIB: u64 = 1 << 20;

fn origin(net: u8, account: u8) -> Origin {
    Origin {
        party: party(net),
        account: Account([account; 20]),
    }
}

fn intake(blobs: u64, bytes: u64) -> (Intake, Instant) {
    let now = Instant::now();
    let limits = OpenLimits {
        blobs,
        bytes,
        memory: 0,
        retry_after_secs: 2,
    };
    (Intake::new(limits, now), now)
}

/// Takes in blobs until there is no room for another.
fn fill(intake: &mut Intake, of: &Origin, bytes: u64, now: Instant) -> (u64, NoRoom) {
    let mut count = 0;
    loop {
        match intake.check(&of.party, Some(&of.account), bytes, now) {
            Ok(()) => intake.take_in(of, bytes),
            Err(no_room) => return (count, no_room),
        }
        count += 1;
    }
}

#[test]
fn alone_a_sender_has_most_and_others_find_room_beside_it() {
    let (mut intake, now) = intake(1000, u64::MAX);
    let (first, no_room) = fill(&mut intake, &origin(1, 1), 1, now);
    assert!((750..=800).contains(&first), "{first}");
    assert!(no_room.beyond_share);
    let (second, _) = fill(&mut intake, &origin(2, 1), 1, now);
    assert!((150..=200).contains(&second), "{second}");
    let (third, _) = fill(&mut intake, &origin(3, 1), 1, now);
    assert!(third >= 30, "{third}");
    // What the first one's blobs give back is the others'.
    for _ in 0..400 {
        intake.finish(&origin(1, 1), 1, now);
    }
    let (second_again, _) = fill(&mut intake, &origin(2, 1), 1, now);
    assert!(second + second_again > 400, "{second_again}");
}

#[test]
fn accounts_of_a_sender_share_what_it_may_have() {
    let (mut intake, now) = intake(u64::MAX, 1000 * MIB);
    let (first, no_room) = fill(&mut intake, &origin(1, 1), MIB, now);
    assert!(no_room.beyond_share);
    let (second, no_room) = fill(&mut intake, &origin(1, 2), MIB, now);
    assert!(second >= 5, "{first} and {second}");
    assert!(no_room.beyond_share);
    // The same account from elsewhere is somebody else.
    let (elsewhere, _) = fill(&mut intake, &origin(2, 1), MIB, now);
    assert!(elsewhere >= 100, "{elsewhere}");
}

#[test]
fn when_nothing_is_free_nobody_is_to_blame() {
    let (mut intake, now) = intake(1, u64::MAX);
    intake.take_in(&origin(1, 1), 1);
    let no_room = NoRoom {
        beyond_share: false,
        retry_after_secs: 2,
    };
    assert_eq!(intake.check(&party(2), None, 1, now), Err(no_room));
}

#[test]
fn the_wait_follows_the_rate_at_which_blobs_are_done_with() {
    let (mut intake, mut now) = intake(u64::MAX, 100 * MIB);
    let (me, large) = (origin(1, 1), 10 * MIB);
    let wait = |intake: &mut Intake, now| {
        while intake.check(&me.party, None, large, now).is_ok() {
            intake.take_in(&me, large);
        }
        let no_room = intake.check(&me.party, None, 100 * MIB, now);
        no_room.unwrap_err().retry_after_secs
    };
    assert_eq!(wait(&mut intake, now), 2, "nothing is known yet");
    // Two MiB a second.
    for _ in 0..2 {
        now += WINDOW;
        intake.finish(&me, large, now);
    }
    let fast = wait(&mut intake, now);
    assert!((30..=50).contains(&fast), "{fast}");
    // Then nothing for a while.
    for _ in 0..20 {
        now += WINDOW;
        let slow = wait(&mut intake, now);
        assert!(slow >= fast && slow <= LONGEST_WAIT_SECS, "{slow}");
    }
    assert_eq!(wait(&mut intake, now), LONGEST_WAIT_SECS);
}

proptest! {
    /// Sums agree, and nothing is remembered of who has nothing.
    #[test]
    fn what_comes_back_is_what_was_taken(
        steps in prop::collection::vec((0u8..3, 0u8..3, 1u64..100, any::<bool>()), 0..200),
    ) {
        let (mut intake, now) = intake(50, 2000);
        let mut open: Vec<(Origin, u64)> = Vec::new();
        for (net, account, bytes, enters) in steps {
            let of = origin(net, account);
            if enters {
                if intake.check(&of.party, Some(&of.account), bytes, now).is_ok() {
                    intake.take_in(&of, bytes);
                    open.push((of, bytes));
                }
            } else if let Some((of, bytes)) = open.pop() {
                intake.finish(&of, bytes, now);
            }
            let bytes: u64 = open.iter().map(|(_, bytes)| bytes).sum();
            prop_assert_eq!(intake.open, Load { blobs: open.len() as u64, bytes });
            prop_assert!(open.len() <= 50 && bytes <= 2000);
        }
        for (of, bytes) in open {
            intake.finish(&of, bytes, now);
        }
        prop_assert!(intake.parties.is_empty());
        prop_assert_eq!(intake.open, Load::default());
    }
}
