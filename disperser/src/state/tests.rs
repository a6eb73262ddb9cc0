#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_blob_state_is_reachable_from_queued_and_leads_to_an_end() {
    let reach = |from: BlobState| {
        let mut seen = BTreeSet::from([from]);
        loop {
            let more: Vec<_> = BlobState::ALL
                .into_iter()
                .filter(|to| !seen.contains(to) && seen.iter().any(|s| blob_can_become(*s, *to)))
                .collect();
            if more.is_empty() {
                return seen;
            }
            seen.extend(more);
        }
    };
    assert_eq!(reach(BlobState::Queued).len(), BlobState::ALL.len());
    for state in BlobState::ALL {
        assert!(
            reach(state).iter().any(|s| s.is_final()),
            "{state} leads nowhere"
        );
        if !state.is_final() {
            assert!(
                blob_can_become(state, BlobState::Failed)
                    || reach(state).contains(&BlobState::Failed)
            );
        }
    }
}

#[test]
fn a_certified_blob_stays_certified() {
    for to in BlobState::ALL {
        assert!(
            !blob_can_become(BlobState::Certified, to),
            "certified became {to}"
        );
        // A certificate comes from nowhere but a dispersal.
        assert_eq!(
            blob_can_become(to, BlobState::Certified),
            to == BlobState::Dispersing
        );
    }
    assert!(!blob_can_become(BlobState::Queued, BlobState::Encoded));
    assert!(!blob_can_become(BlobState::Encoded, BlobState::Dispersing));
}

#[test]
fn terminal_batches_do_not_move() {
    for from in BatchState::ALL {
        for to in BatchState::ALL {
            if from.is_terminal() {
                assert!(!batch_can_become(from, to), "{from} became {to}");
            }
        }
    }
    assert!(!batch_can_become(
        BatchState::Composed,
        BatchState::Certified
    ));
}

#[test]
fn batch_names_are_those_of_the_json() {
    for state in BatchState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), state.name());
    }
}
