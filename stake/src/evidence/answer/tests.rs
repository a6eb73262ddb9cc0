#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::BatchDigest;

use super::super::Fault;
use super::super::testing::*;
use super::*;

fn answer() -> FalseAnswer {
    match faults().swap_remove(1) {
        Fault::FalseAnswer(answer) => answer,
        _ => panic!("no answer"),
    }
}

fn refuse(answer: FalseAnswer) -> &'static str {
    world().refuse(&Fault::FalseAnswer(answer))
}

/// The same answer, signed anew.
fn resign(fault: &mut FalseAnswer) {
    let a = &fault.answer;
    fault.answer = SignedAnswer::sign(&key(2), a.blob_key, a.row, a.element, a.y);
}

#[test]
fn sign_and_verify() {
    let answer = SignedAnswer::sign(&key(1), BlobKey([3; 32]), 4, 5, [6; 32]);
    assert_eq!(answer.operator, id(1));
    assert_eq!(answer.verify(&key(1).public_key()), Ok(()));
    assert_eq!(
        answer.verify(&key(2).public_key()),
        Err(BlsError::Signature)
    );
    for changed in [
        SignedAnswer {
            blob_key: BlobKey([4; 32]),
            ..answer.clone()
        },
        SignedAnswer {
            row: 5,
            ..answer.clone()
        },
        SignedAnswer {
            element: 4,
            ..answer.clone()
        },
        SignedAnswer {
            y: [7; 32],
            ..answer.clone()
        },
    ] {
        assert_eq!(
            changed.verify(&key(1).public_key()),
            Err(BlsError::Signature)
        );
    }
    // Pinned: another implementation has to sign the same bytes.
    let parts: &[&[u8]] = &[
        b"ashlar/answer/1",
        &[3; 32],
        &[0, 0, 0, 4],
        &[0, 0, 0, 5],
        &[6; 32],
    ];
    assert_eq!(answer.message(), sha256(&[&parts.concat()]));
    assert_ne!(BatchDigest(answer.message()), world().batch.digest());
}

#[test]
fn each_refusal() {
    let good = answer();
    let with = |change: fn(&mut FalseAnswer)| {
        let mut fault = good.clone();
        change(&mut fault);
        refuse(fault)
    };
    assert_eq!(
        with(|f| {
            f.answer.y = f.y;
            resign(f)
        }),
        "evidence.answer_true"
    );
    assert_eq!(
        with(|f| {
            f.answer.blob_key.0[0] ^= 1;
            resign(f)
        }),
        "evidence.other_blob"
    );
    assert_eq!(with(|f| f.blob_header.salt += 1), "evidence.other_blob");
    assert_eq!(with(|f| f.table_block = 99), "evidence.no_table");
    assert_eq!(with(|f| f.table_block = 120), "evidence.not_on_table");
    assert_eq!(with(|f| f.answer.operator = id(3)), "evidence.signature");
    assert_eq!(
        with(|f| f.answer.signature.0 = [0; 48]),
        "evidence.signature"
    );
    assert_eq!(with(|f| f.answer.element += 1), "evidence.signature");
    assert_eq!(
        with(|f| {
            f.blob_header.rows = 7;
            f.answer.blob_key = f.blob_header.blob_key();
            resign(f)
        }),
        "evidence.blob_header"
    );
    assert_eq!(
        with(|f| {
            f.answer.element = 4096 * 8;
            resign(f)
        }),
        "evidence.element"
    );
    assert_eq!(
        with(|f| {
            f.answer.element = u32::MAX;
            resign(f)
        }),
        "evidence.element"
    );
    assert_eq!(
        with(|f| {
            f.answer.row = 2;
            resign(f)
        }),
        "evidence.commitment_path"
    );
    assert_eq!(
        with(|f| {
            f.answer.row = 0;
            resign(f)
        }),
        "evidence.commitment_path"
    );
    assert_eq!(with(|f| f.path.push([0; 32])), "evidence.commitment_path");
    assert_eq!(with(|f| f.commitment.0[5] ^= 1), "evidence.commitment_path");
    assert_eq!(
        with(|f| {
            f.answer.element = 78;
            resign(f)
        }),
        "evidence.opening"
    );
    assert_eq!(with(|f| f.proof.0 = [0xff; 48]), "evidence.opening");
    assert_eq!(with(|f| f.y = [0xff; 32]), "evidence.opening");
    assert_eq!(with(|f| f.y[31] ^= 2), "evidence.opening");
}

/// A disperser may put anything at all under the root.
#[test]
fn a_commitment_that_is_no_point() {
    let mut fault = answer();
    let none = CommitmentBytes([0xff; 48]);
    fault.blob_header.payload_len = 1000;
    fault.blob_header.rows = 1;
    fault.blob_header.commitments_root = ashlar_proto::commitments_root(&[none]);
    fault.commitment = none;
    fault.path.clear();
    fault.answer.blob_key = fault.blob_header.blob_key();
    fault.answer.row = 0;
    resign(&mut fault);
    assert_eq!(refuse(fault), "evidence.commitment");
}

#[test]
fn elements_of_the_extension_too() {
    let world = world();
    for element in [0, 4095, 4096, 4096 * 8 - 1] {
        let mut fault = answer();
        (fault.y, fault.proof) = world.open(1, element);
        fault.answer.element = element;
        fault.answer.y = [9; 32];
        resign(&mut fault);
        assert!(world.prove(&Fault::FalseAnswer(fault)).is_ok(), "{element}");
    }
}
