#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn network(n: u8) -> Subnet {
    Subnet::of([10, 0, n, 1].into())
}

fn lost(place: &Place) -> bool {
    place.lost.is_cancelled()
}

#[test]
fn a_newcomer_has_the_place_of_the_idlest_of_the_network_with_most() {
    let places = Places::new(4, vec![]);
    let many: Vec<_> = (0..3).map(|_| places.enter(network(1)).unwrap()).collect();
    let first = places.enter(network(2)).unwrap();
    // The oldest of the many does something, so that it is not the idlest any more.
    drop(many[0].begin().unwrap());
    let second = places.enter(network(3)).unwrap();
    assert_eq!(
        many.iter().map(|place| lost(place)).collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(many[1].begin().is_none());
    assert!(!lost(&first) && !lost(&second));
}

#[test]
fn of_equals_the_idlest_goes() {
    let places = Places::new(2, vec![]);
    let (old, young) = (
        places.enter(network(9)).unwrap(),
        places.enter(network(1)).unwrap(),
    );
    let newcomer = places.enter(network(5)).unwrap();
    assert!(lost(&old) && !lost(&young) && !lost(&newcomer));
}

#[test]
fn requests_go_only_for_networks_with_fewer() {
    let places = Places::new(4, vec![]);
    let enter = |n| {
        places.enter(network(n)).map(|place| {
            let busy = place.begin();
            (place, busy)
        })
    };
    let own: Vec<_> = (0..4).map(|_| enter(1).unwrap()).collect();
    let beyond_share = false;
    assert_eq!(enter(1).unwrap_err(), NoPlace { beyond_share });
    let _second = enter(2).unwrap();
    // The youngest of the network with most.
    assert!(lost(&own[3].0) && !lost(&own[2].0));
    let _third = enter(2).unwrap();
    let beyond_share = true;
    assert_eq!(enter(1).unwrap_err(), NoPlace { beyond_share });
    assert_eq!(enter(2).unwrap_err(), NoPlace { beyond_share });
    // A place that is given back is free.
    drop(own);
    enter(1).unwrap();
}

#[test]
fn the_requests_of_a_proxy_are_left_alone() {
    let places = Places::new(1, vec![network(1)]);
    let place = places.enter(network(1)).unwrap();
    let _busy = place.begin();
    assert!(places.enter(network(2)).is_err());
}

proptest! {
    /// Whatever comes, begins, ends and goes, the books agree with what there is.
    #[test]
    fn the_books_agree(steps in prop::collection::vec((0u8..4, 0u8..4, 0usize..8), 0..200)) {
        let places = Places::new(5, vec![]);
        let mut open: Vec<(Arc<Place>, Option<Busy>)> = Vec::new();
        for (step, n, at) in steps {
            match step {
                0 => open.extend(places.enter(network(n)).ok().map(|place| (place, None))),
                _ if open.is_empty() => {}
                1 => drop(open.swap_remove(at % open.len())),
                2 => {
                    let at = at % open.len();
                    let (place, busy) = &mut open[at];
                    *busy = None;
                    *busy = place.begin();
                }
                _ => {
                    let at = at % open.len();
                    open[at].1 = None;
                }
            }
            let state = places.lock();
            let there = |busy: bool| {
                let of = open.iter().filter(|(place, _)| !lost(place));
                of.filter(|(_, is)| is.is_some() == busy).count()
            };
            let sum = |count: fn(&Network) -> usize| state.networks.values().map(count).sum::<usize>();
            prop_assert_eq!(sum(|of| of.idle.len()), there(false));
            prop_assert_eq!(sum(|of| of.busy.len()), there(true));
            prop_assert_eq!(state.open, there(false) + there(true));
            prop_assert!(state.open <= 5);
            prop_assert_eq!(state.most_idle.iter().map(|(count, _, _)| count).sum::<usize>(), there(false));
            prop_assert_eq!(state.most_busy.iter().map(|(count, _)| count).sum::<usize>(), there(true));
        }
    }
}
