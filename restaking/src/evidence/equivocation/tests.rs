#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::testing::*;
use super::super::{Fault, FaultKind};
use super::*;

fn pair(key: &NetworkKey, change: impl FnOnce(&mut BatchHeader)) -> DisperserEquivocation {
    let mut header = world().batch.clone();
    change(&mut header);
    DisperserEquivocation::new(
        DispersedBatch::sign(key, world().batch.clone()),
        DispersedBatch::sign(key, header),
    )
}

fn refuse(pair: DisperserEquivocation) -> &'static str {
    world().refuse(&Fault::DisperserEquivocation(pair))
}

#[test]
fn the_disperser_is_accused_and_nobody_else() {
    let fault = pair(&disperser_key(), |header| header.created_at_ms += 1);
    let proven = world().prove(&Fault::DisperserEquivocation(fault)).unwrap();
    assert_eq!(proven.accused(), Accused::Disperser(DISPERSER));
    assert_eq!(proven.kind(), FaultKind::DisperserEquivocation);
    // The same two headers signed by an operator are another misdeed, of somebody else.
    let operator = world().prove(&faults()[0]).unwrap();
    assert_ne!(operator.subject(), proven.subject());
}

#[test]
fn each_refusal() {
    let with = |change: fn(&mut BatchHeader)| refuse(pair(&disperser_key(), change));
    assert_eq!(with(|_| ()), "evidence.same_batch");
    assert_eq!(with(|h| h.sequence.0 += 1), "evidence.other_sequence");
    assert_eq!(with(|h| h.disperser_id += 1), "evidence.other_sequence");
    assert_eq!(with(|h| h.domain.0[0] ^= 1), "evidence.other_domain");
    assert_eq!(
        with(|h| h.reference_block = HEAD + 1),
        "evidence.unseen_block"
    );
    assert_eq!(
        with(|h| h.reference_block = BLOCK.saturating_sub(1)),
        "evidence.no_table"
    );
    assert_eq!(
        with(|h| h.reference_block = OTHER_BLOCK),
        "evidence.unknown_disperser"
    );
    let later = |h: &mut BatchHeader| h.created_at_ms += 1;
    let stranger = NetworkKey::from_seed([1; 32]);
    assert_eq!(
        refuse(pair(&stranger, later)),
        "evidence.disperser_signature"
    );
    let good = pair(&disperser_key(), later);
    let swapped = DisperserEquivocation {
        first: good.second.clone(),
        second: good.first.clone(),
    };
    assert_eq!(refuse(swapped), "evidence.order");
    let mut forged = good.clone();
    forged.second.signature = good.first.signature;
    assert_eq!(refuse(forged), "evidence.disperser_signature");
}

/// A third batch under the number is other evidence of the same misdeed.
#[test]
fn other_evidence_has_the_same_subject() {
    let with = |ms| {
        let fault = pair(&disperser_key(), |header| header.created_at_ms = ms);
        world().prove(&Fault::DisperserEquivocation(fault)).unwrap()
    };
    assert_eq!(with(1).subject(), with(2).subject());
    assert_ne!(with(1).evidence_hash(), with(2).evidence_hash());
}
