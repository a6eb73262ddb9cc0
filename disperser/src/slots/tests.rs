#![allow(clippy::unwrap_used)]

use super::*;

fn lane(quorum: u8) -> Lane {
    Lane {
        version: 1,
        quorums: vec![quorum],
        alone: None,
    }
}

fn sender(number: u8) -> Party {
    crate::testing::party(number)
}

#[test]
fn lanes_have_places_of_their_own_and_all_together_twice_as_many() {
    let slots = Slots::new(2);
    let nobody = HashSet::new();
    let take = |quorum| slots.try_take(&lane(quorum), &nobody);
    let first = take(0).unwrap();
    let _second = take(0).unwrap();
    assert!(take(0).is_none() && !slots.is_free(&lane(0)) && slots.is_free(&lane(1)));
    let _others = (take(1).unwrap(), take(1).unwrap());
    assert!(take(2).is_none() && !slots.is_free(&lane(2)));
    drop(first);
    assert!(slots.is_free(&lane(0)) && slots.is_free(&lane(2)) && !slots.is_free(&lane(1)));
}

#[test]
fn who_has_nothing_on_its_way_waits_for_one_batch_of_others_at_most() {
    let slots = Slots::new(8);
    let (of, mut held) = (lane(0), Vec::new());
    let idle = |waiting: &[u8]| {
        let waiting = waiting.iter().map(|number| sender(*number));
        slots.is_idle(&of, waiting)
    };
    let take = |numbers: &[u8]| {
        let senders = numbers.iter().map(|number| sender(*number)).collect();
        slots.try_take(&of, &senders).unwrap()
    };
    assert!(idle(&[1]));
    held.push(take(&[1, 2]));
    assert!(!idle(&[1]) && !idle(&[1, 2, 1]));
    assert!(idle(&[1, 3]));
    held.push(take(&[1, 3]));
    assert!(!idle(&[4]));
    held.remove(0);
    assert!(!idle(&[3]) && idle(&[2]));
    // Another lane is another matter.
    assert!(slots.is_idle(&lane(1), [sender(3)].into_iter()));
}

#[tokio::test]
async fn a_place_that_is_given_back_is_taken_by_who_waits() {
    let (slots, nobody) = (Slots::new(1), HashSet::new());
    let first = slots.try_take(&lane(0), &nobody).unwrap();
    let (of, give) = (lane(0), async { drop(first) });
    let (second, ()) = tokio::join!(slots.take(&of, &nobody), give);
    assert!(!slots.is_free(&lane(0)));
    drop(second);
    assert!(slots.is_free(&lane(0)));
}
