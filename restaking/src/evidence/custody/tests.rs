#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use ashlar_crypto::{Coded, Encoding, rows_for};
use ashlar_proto::{Attestation, Bitmap, HARD_MAX_PAYLOAD, OperatorIndex, VERSIONS};
use proptest::prelude::*;

use super::super::testing::*;
use super::*;

#[test]
fn duty_follows_from_certificate_table_and_bitmap() {
    let world = world();
    let duty = world.duty(3);
    assert_eq!(duty.operator(), id(3));
    assert_eq!(
        (duty.blob_key(), duty.batch_digest()),
        (world.blob().blob_key(), world.batch.digest())
    );
    // ⌈30 · (512 − 128) / 100⌉, above the 64 that rebuild the blob alone.
    assert_eq!(duty.chunks().len(), 64);
    let portable = world.certificate.to_portable(&*world.table).unwrap();
    assert_eq!(
        CustodyObligation::prove(&portable, &world.table, &id(3)),
        Ok(duty)
    );
}

#[test]
fn no_duty() {
    let world = world();
    let code = |certificate: &Certificate, table: &OperatorTable, n| {
        CustodyObligation::prove(certificate, table, &id(n))
            .unwrap_err()
            .code()
    };
    let good = &world.certificate;
    assert_eq!(code(good, &world.table, 1), "custody.did_not_sign");
    assert_eq!(code(good, &world.table, 5), "custody.did_not_sign");
    assert_eq!(code(good, &world.table, 9), "custody.not_on_table");
    assert_eq!(code(good, &world.other_table, 3), "custody.certificate");
    // Of another service or network: that is looked at before whether anything else holds.
    let mut elsewhere = good.clone();
    elsewhere.batch_header.domain = ashlar_proto::Network::file("elsewhere").domain(1);
    elsewhere.batch_header.version = 77;
    assert_eq!(code(&elsewhere, &world.table, 3), "custody.other_domain");
    // The bitmap is bound by the signature: nobody can be written into it.
    let mut framed = good.clone();
    framed.attestation = Attestation::Compact {
        signers: Bitmap::from_indices(5, (0..5).map(OperatorIndex)).unwrap(),
    };
    assert_eq!(code(&framed, &world.table, 1), "custody.certificate");
}

/// Operator 5 signs along, although nothing is assigned to it: no duty, but a [`super::super::BadAttestation`].
#[test]
fn a_signer_without_chunks() {
    let world = world();
    let signers = [2, 3, 4, 5];
    let digest = world.batch.digest();
    let signatures: Vec<_> = signers
        .iter()
        .map(|&n| key(n).sign(digest.as_bytes()))
        .collect();
    let indices = signers.iter().map(|&n| world.table.find(&id(n)).unwrap());
    let mut certificate = world.certificate.clone();
    certificate.attestation = Attestation::Compact {
        signers: Bitmap::from_indices(5, indices).unwrap(),
    };
    certificate.signature = ashlar_crypto::bls::aggregate_signatures(&signatures)
        .unwrap()
        .to_bytes();
    let error = CustodyObligation::prove(&certificate, &world.table, &id(5)).unwrap_err();
    assert_eq!(error.code(), "custody.no_chunks");
}

#[test]
fn positions_inside_and_outside() {
    let duty = world().duty(2);
    let chunk = duty.chunks()[0].0;
    let at = |row, element| {
        duty.check(Position { row, element })
            .map_err(|error| error.code())
    };
    assert_eq!(at(0, chunk * 64), Ok(()));
    assert_eq!(at(1, chunk * 64 + 63), Ok(()));
    assert_eq!(at(2, chunk * 64), Err("custody.row"));
    let last = *duty.chunks().last().unwrap();
    assert_eq!(at(0, (last.0 + 1) * 64), Err("custody.not_assigned"));
    assert_eq!(at(0, u32::MAX), Err("custody.not_assigned"));
}

#[test]
fn random_positions_are_owed_and_spread() {
    let duty = world().duty(2);
    let mut seen = BTreeSet::new();
    for n in 0..2000u16 {
        let mut seed = [0; 32];
        seed[..2].copy_from_slice(&n.to_be_bytes());
        let position = duty.random_position(&seed);
        assert_eq!(duty.check(position), Ok(()));
        assert_eq!(duty.random_position(&seed), position);
        seen.insert((position.row, position.element / 64));
    }
    // Two rows of every chunk: 2000 draws leave out a few of 128 only by a miracle.
    assert_eq!(seen.len(), 2 * duty.chunks().len());
    assert_ne!(
        duty.random_position(&[0; 32]),
        world().duty(3).random_position(&[0; 32])
    );
}

#[test]
fn both_answers_hold() {
    let world = world();
    let duty = world.duty(3);
    let setup = Setup::ethereum();
    for seed in 0..4 {
        let position = duty.random_position(&[seed; 32]);
        let answers = [world.opening(position), world.slice(position.element / 64)];
        for answer in answers {
            assert_eq!(answer.check(setup, world.blob(), position), Ok(()));
            let bytes = answer.to_bytes();
            assert_eq!(CustodyAnswer::from_bytes(&bytes).unwrap(), answer);
            let json = serde_json::to_string(&answer).unwrap();
            assert_eq!(
                serde_json::from_str::<CustodyAnswer>(&json).unwrap(),
                answer
            );
            for len in (0..bytes.len()).step_by(7) {
                assert_eq!(
                    CustodyAnswer::from_bytes(&bytes[..len]).unwrap_err().code(),
                    "evidence.truncated"
                );
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(
                CustodyAnswer::from_bytes(&longer).unwrap_err().code(),
                "evidence.trailing"
            );
        }
    }
}

#[test]
fn wrong_answers() {
    let world = world();
    let duty = world.duty(3);
    let position = duty.random_position(&[1; 32]);
    let chunk = position.element / 64;
    let code = |answer: &CustodyAnswer| {
        answer
            .check(Setup::ethereum(), world.blob(), position)
            .unwrap_err()
            .code()
    };
    let elsewhere = Position {
        element: position.element ^ 1,
        ..position
    };
    assert_eq!(code(&world.opening(elsewhere)), "custody.opening");
    let other_row = Position {
        row: 1 - position.row,
        ..position
    };
    assert_eq!(code(&world.opening(other_row)), "custody.commitment_path");
    assert_eq!(code(&world.slice(chunk + 1)), "custody.slice_path");
    let CustodyAnswer::Slice { bytes, path } = world.slice(chunk) else {
        panic!("no slice");
    };
    let mut flipped = bytes.clone();
    flipped[0] ^= 1;
    assert_eq!(
        code(&CustodyAnswer::Slice {
            bytes: flipped,
            path: path.clone()
        }),
        "custody.slice_path"
    );
    let short = CustodyAnswer::Slice {
        bytes: bytes[1..].to_vec(),
        path,
    };
    assert_eq!(code(&short), "custody.slice_length");
}

/// Of an opening: the element has to exist, the commitment to be the row's and a point, and the proof to be the value's.
#[test]
fn wrong_openings() {
    let world = world();
    let position = world.duty(3).random_position(&[1; 32]);
    let with =
        |change: fn(&mut CommitmentBytes, &mut Vec<Hash>, &mut [u8; 32], &mut ProofBytes)| {
            let mut answer = world.opening(position);
            if let CustodyAnswer::Opening {
                commitment,
                path,
                y,
                proof,
            } = &mut answer
            {
                change(commitment, path, y, proof);
            }
            answer
                .check(Setup::ethereum(), world.blob(), position)
                .unwrap_err()
                .code()
        };
    assert_eq!(
        with(|_, path, _, _| path.push([0; 32])),
        "custody.commitment_path"
    );
    assert_eq!(
        with(|commitment, _, _, _| commitment.0[5] ^= 1),
        "custody.commitment_path"
    );
    assert_eq!(
        with(|_, _, _, proof| proof.0 = [0xff; 48]),
        "custody.opening"
    );
    assert_eq!(with(|_, _, y, _| *y = [0xff; 32]), "custody.opening");
    assert_eq!(with(|_, _, y, _| y[31] ^= 2), "custody.opening");

    let code = |blob: &BlobHeader, answer: &CustodyAnswer, position| {
        answer
            .check(Setup::ethereum(), blob, position)
            .unwrap_err()
            .code()
    };
    let answer = world.opening(position);
    for element in [4096 * 8, u32::MAX] {
        let beyond = Position { row: 0, element };
        assert_eq!(code(world.blob(), &answer, beyond), "custody.element");
    }
    let mut blob = world.blob().clone();
    blob.rows = 7;
    assert_eq!(code(&blob, &answer, position), "custody.blob_header");

    // A disperser may put anything at all under the root.
    let none = CommitmentBytes([0xff; 48]);
    blob.payload_len = 1000;
    blob.rows = 1;
    blob.commitments_root = ashlar_proto::commitments_root(&[none]);
    let CustodyAnswer::Opening { y, proof, .. } = answer else {
        panic!("no opening");
    };
    let answer = CustodyAnswer::Opening {
        commitment: none,
        path: Vec::new(),
        y,
        proof,
    };
    let first = Position { row: 0, ..position };
    assert_eq!(code(&blob, &answer, first), "custody.commitment");
}

/// The element may lie anywhere in the row's extension.
#[test]
fn openings_of_the_extension_too() {
    let world = world();
    for element in [0, 4095, 4096, 4096 * 8 - 1] {
        let position = Position { row: 1, element };
        let answer = world.opening(position);
        assert_eq!(
            answer.check(Setup::ethereum(), world.blob(), position),
            Ok(())
        );
    }
}

#[test]
fn limits_of_answers() {
    assert_eq!(
        CustodyAnswer::from_bytes(&vec![1; MAX_ANSWER_BYTES + 1])
            .unwrap_err()
            .code(),
        "evidence.too_long"
    );
    assert_eq!(
        CustodyAnswer::from_bytes(&[1, 0xff, 0xff, 0xff, 0xff])
            .unwrap_err()
            .code(),
        "evidence.limit"
    );
    assert_eq!(
        CustodyAnswer::from_bytes(&[2]).unwrap_err().code(),
        "evidence.number"
    );
    // The longest slice that any blob can have fits.
    let rows =
        [Encoding::Packed31, Encoding::Eip4844].map(|e| rows_for(e, HARD_MAX_PAYLOAD).unwrap_or(0));
    let cell = VERSIONS
        .iter()
        .map(|version| version.code.cell_bytes())
        .max()
        .unwrap();
    let longest = rows[0].max(rows[1]) as usize * cell;
    assert!(longest > 2 << 20 && longest <= MAX_SLICE_BYTES, "{longest}");
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), form in 0u8..3) {
        let bytes = [&[form][..], &bytes].concat();
        if let Ok(answer) = CustodyAnswer::from_bytes(&bytes) {
            prop_assert_eq!(answer.to_bytes(), bytes.clone());
            let _ = answer.check(Setup::ethereum(), world().blob(), Position { row: 0, element: 0 });
        }
        if let Ok(challenge) = Challenge::from_bytes(&bytes) {
            prop_assert_eq!(challenge.to_bytes(), bytes);
        }
    }

    #[test]
    fn challenges_come_back(bytes in proptest::collection::vec(any::<u8>(), CHALLENGE_BYTES)) {
        let challenge = Challenge::from_bytes(&bytes).unwrap();
        prop_assert_eq!(challenge.to_bytes(), bytes.clone());
        let json = serde_json::to_string(&challenge).unwrap();
        prop_assert_eq!(serde_json::from_str::<Challenge>(&json).unwrap(), challenge);
        let id = serde_json::to_string(&challenge.id()).unwrap();
        prop_assert_eq!(serde_json::from_str::<ChallengeId>(&id).unwrap(), challenge.id());
        prop_assert!(Challenge::from_bytes(&bytes[1..]).is_err());
    }
}
