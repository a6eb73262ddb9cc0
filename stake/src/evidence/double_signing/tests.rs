#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::super::testing::*;
use super::super::{Fault, SignedAnswer};
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

#[test]
fn each_refusal() {
    let world = world();
    let good = double();
    let resign = |change: fn(&mut BatchHeader)| {
        let mut header = world.batch.clone();
        change(&mut header);
        DoubleSigning::new(
            id(1),
            SignedBatch::sign(&key(1), world.batch.clone()),
            SignedBatch::sign(&key(1), header),
        )
    };
    assert_eq!(refuse(resign(|_| ())), "evidence.same_batch");
    assert_eq!(
        refuse(resign(|h| h.sequence += 1)),
        "evidence.other_sequence"
    );
    assert_eq!(
        refuse(resign(|h| h.disperser_id += 1)),
        "evidence.other_sequence"
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
    // A signature of an answer is none of a batch.
    let mut answer = good.clone();
    answer.first.signature =
        SignedAnswer::sign(&key(1), Default::default(), 0, 0, [0; 32]).signature;
    assert_eq!(refuse(answer), "evidence.signature");

    assert_eq!(
        refuse(DoubleSigning {
            operator: id(9),
            ..good
        }),
        "evidence.not_on_table"
    );
    let nowhere = |block| {
        let at = |created_at_ms| {
            let header = BatchHeader {
                reference_block: block,
                created_at_ms,
                ..world.batch.clone()
            };
            SignedBatch::sign(&key(1), header)
        };
        DoubleSigning::new(id(1), at(1), at(2))
    };
    assert_eq!(refuse(nowhere(99)), "evidence.no_table");
    assert_eq!(refuse(nowhere(120)), "evidence.not_on_table");
}

/// The second batch may name any block, and break any rule: it was signed under the same number.
#[test]
fn one_known_block_is_enough() {
    let world = world();
    let header = BatchHeader {
        reference_block: u64::MAX,
        version: 77,
        ..world.batch.clone()
    };
    let (one, other) = (
        SignedBatch::sign(&key(3), world.batch.clone()),
        SignedBatch::sign(&key(3), header),
    );
    let a = Fault::DoubleSigning(DoubleSigning::new(id(3), one.clone(), other.clone()));
    let b = Fault::DoubleSigning(DoubleSigning::new(id(3), other, one));
    assert_eq!(a, b);
    assert!(world.prove(&a).is_ok());
}

/// A third batch under the number is other evidence of the same misdeed.
#[test]
fn other_evidence_has_the_same_subject() {
    let world = world();
    let with = |ms| {
        let header = BatchHeader {
            created_at_ms: ms,
            ..world.batch.clone()
        };
        let double = DoubleSigning::new(
            id(1),
            SignedBatch::sign(&key(1), world.batch.clone()),
            SignedBatch::sign(&key(1), header),
        );
        world.prove(&Fault::DoubleSigning(double)).unwrap()
    };
    assert_eq!(with(1).subject(), with(2).subject());
    assert_ne!(with(1).evidence_hash(), with(2).evidence_hash());
}
