#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::Block;

use super::super::Fault;
use super::super::testing::*;
use super::*;

fn double() -> DoubleSigning {
    match faults().swap_remove(0) {
        Fault::DoubleSigning(double) => double,
        _ => panic!("no double signing"),
    }
}

fn refuse(double: DoubleSigning) -> &'static str {
    world().refuse(&Fault::DoubleSigning(double))
}

fn resign(change: impl FnOnce(&mut BatchHeader)) -> DoubleSigning {
    let mut header = world().batch.clone();
    change(&mut header);
    DoubleSigning::new(
        id(1),
        SignedBatch::sign(&key(1), world().batch.clone()),
        SignedBatch::sign(&key(1), header),
    )
}

#[test]
fn each_refusal() {
    let good = double();
    assert_eq!(refuse(resign(|_| ())), "evidence.same_batch");
    assert_eq!(
        refuse(resign(|h| h.sequence.0 += 1)),
        "evidence.other_sequence"
    );
    assert_eq!(
        refuse(resign(|h| h.disperser_id += 1)),
        "evidence.other_sequence"
    );
    // One number in two services is two numbers.
    assert_eq!(
        refuse(resign(|h| h.domain.0[31] ^= 1)),
        "evidence.other_domain"
    );

    let swapped = DoubleSigning {
        operator: id(1),
        first: good.second.clone(),
        second: good.first.clone(),
    };
    assert_eq!(refuse(swapped), "evidence.order");

    // Operator 2 signed neither, somebody else's signature counts for nothing, nor does a malformed one.
    assert_eq!(
        refuse(DoubleSigning {
            operator: id(2),
            ..good.clone()
        }),
        "evidence.signature"
    );
    let mut forged = good.clone();
    forged.second.signature = SignedBatch::sign(&key(2), forged.second.header.clone()).signature;
    assert_eq!(refuse(forged), "evidence.signature");
    let mut torn = good.clone();
    torn.first.signature = SignatureBytes([0xff; 48]);
    assert_eq!(refuse(torn), "evidence.signature");

    assert_eq!(
        refuse(DoubleSigning {
            operator: id(9),
            ..good
        }),
        "evidence.unknown_operator"
    );
}

/// The batches may name any block and table, and break any rule: they were signed under the same number.
#[test]
fn two_signatures_are_enough() {
    let world = world();
    for n in [3, 6] {
        let at = |block| {
            let header = BatchHeader {
                reference_block: block,
                version: 77,
                ..world.batch.clone()
            };
            SignedBatch::sign(&key(n), header)
        };
        let (one, other) = (at(Block(u64::MAX)), at(Block(u64::MAX - 1)));
        let a = Fault::DoubleSigning(DoubleSigning::new(id(n), one.clone(), other.clone()));
        let b = Fault::DoubleSigning(DoubleSigning::new(id(n), other, one));
        assert_eq!(a, b);
        assert!(world.prove(&a).is_ok());
    }
}

/// A third batch under the number is other evidence of the same misdeed.
#[test]
fn other_evidence_has_the_same_subject() {
    let with = |ms| {
        let double = resign(|header| header.created_at_ms = ms);
        world().prove(&Fault::DoubleSigning(double)).unwrap()
    };
    assert_eq!(with(1).subject(), with(2).subject());
    assert_ne!(with(1).evidence_hash(), with(2).evidence_hash());
}
