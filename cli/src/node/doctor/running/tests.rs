#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_node::health::{Reason, Status as Word};
use ashlar_node::reach::PeerView;
use ashlar_proto::BatchDigest;

use super::*;
use crate::node::doctor::Grade;

fn grades(look: impl FnOnce(&mut Report)) -> Vec<Grade> {
    let mut report = Report::default();
    look(&mut report);
    report
        .findings
        .iter()
        .map(|finding| finding.grade)
        .collect()
}

fn reachability(peers: &[Reach]) -> Reachability {
    let peer = |reach: &Reach| PeerView {
        operator_id: OperatorId([1; 32]),
        address: "node2:7400".into(),
        reach: *reach,
        code: None,
        message: None,
    };
    Reachability {
        address: Some("node1:7400".into()),
        peers: peers.iter().map(peer).collect(),
    }
}

#[test]
fn one_peer_that_reaches_the_node_is_enough() {
    use Reach::{Reached, Unknown, Unreachable};
    for (peers, grade) in [
        (&[Reached, Reached, Unknown][..], Grade::Ok),
        (&[Reached, Unreachable], Grade::Warn),
        (&[Unreachable, Unknown], Grade::Fail),
        (&[Unknown], Grade::Unknown),
        (&[], Grade::Unknown),
    ] {
        let got = grades(|report| reached(report, Ok(reachability(peers))));
        assert_eq!(got, [grade], "{peers:?}");
    }
}

#[test]
fn what_stops_signing_fails_and_what_does_not_warns() {
    let reason = |code: &str| Reason {
        code: code.into(),
        message: "why".into(),
    };
    let health = HealthReport {
        status: Word::Degraded,
        reasons: vec![reason("disk_space"), reason("drives")],
        notices: vec![reason("custody.ledger")],
    };
    let ready = Ready {
        ready: false,
        reasons: vec![reason("disk_space")],
    };
    let got = grades(|report| well(report, &health, Ok(ready)));
    assert_eq!(got, [Grade::Fail, Grade::Warn, Grade::Ok]);
}

#[test]
fn refusals_of_dispersers_count_while_they_are_new() {
    let refusal = |disperser, last_ms| Refusal {
        code: "validate.too_old".into(),
        blame: "caller".into(),
        message: "too old".into(),
        disperser,
        batch: BatchDigest([1; 32]),
        times: 3,
        first_ms: 0,
        last_ms,
    };
    let now = 2 * RECENT_MS;
    let all = [
        refusal(Some(0), now - 5),
        refusal(Some(0), now - RECENT_MS),
        refusal(None, now),
    ];
    let got = grades(|report| refused(report, &all, now));
    assert_eq!(got, [Grade::Warn, Grade::Ok, Grade::Ok]);
    assert_eq!(grades(|report| refused(report, &[], now)), [Grade::Ok]);
}
