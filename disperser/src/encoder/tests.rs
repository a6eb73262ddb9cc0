#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use ashlar_crypto::merkle::leaf_hash;
use ashlar_crypto::{Blame, Encoding};

use super::*;
use crate::testing::{encoded, record};

fn input(payload: &[u8], salt: u64, commitments: Option<Vec<CommitmentBytes>>) -> EncodeInput {
    let mut record = record(payload, salt);
    record.claimed = commitments.is_some();
    EncodeInput {
        record,
        payload: payload.to_vec().into(),
        hashed: false,
        commitments,
    }
}

fn encode(inputs: Vec<EncodeInput>) -> Vec<Result<EncodedBlob, EncodeError>> {
    encode_tick(Setup::ethereum(), inputs, ClaimCheck::Together, [5; 32])
        .blobs
        .into_iter()
        .map(|(_, result)| result)
        .collect()
}

#[test]
fn claimed_and_computed_commitments_give_the_same_blob() {
    let payload = vec![0x5a; 200_000]; // two rows
    let computed = encoded(&payload, 1);
    assert_eq!(computed.commitments.len(), 2);
    let claimed = encode(vec![input(&payload, 1, Some(computed.commitments.clone()))])
        .remove(0)
        .unwrap();
    assert_eq!(claimed.header, computed.header);
    assert_eq!(claimed.key, computed.key);
    assert_eq!(claimed.slices, computed.slices);
    computed.header.validate().unwrap();
}

#[test]
fn false_claims_fail_alone() {
    let payloads: Vec<Vec<u8>> = (0..5u8).map(|n| vec![n + 1; 1000]).collect();
    let true_claims: Vec<_> = payloads
        .iter()
        .map(|payload| encoded(payload, 0).commitments.clone())
        .collect();
    let mut inputs: Vec<EncodeInput> = payloads
        .iter()
        .zip(&true_claims)
        .map(|(payload, claims)| input(payload, 0, Some(claims.clone())))
        .collect();
    inputs[1].commitments = Some(true_claims[2].clone()); // of another row
    inputs[3].commitments = Some(vec![CommitmentBytes([0xff; 48])]); // no point
    inputs[4].commitments = None;
    inputs.push(input(&payloads[0], 9, Some(vec![true_claims[0][0]; 2]))); // too many
    let results = encode(inputs);
    let codes: Vec<Option<&str>> = results
        .iter()
        .map(|result| result.as_ref().err().map(Coded::code))
        .collect();
    assert_eq!(
        codes,
        [
            None,
            Some("claim.mismatch"),
            None,
            Some("claim.point"),
            None,
            Some("claim.count")
        ]
    );
    assert_eq!(results[1].as_ref().unwrap_err().blame(), Blame::Caller);
}

/// Eight blobs with the commitments of the same payload, which is not theirs for those that lie.
fn claims(lies: &[u64]) -> Vec<EncodeInput> {
    let claimed = &encoded(b"payload", 0).commitments;
    let each = (0..8).map(|salt| {
        let payload: &[u8] = match lies.contains(&salt) {
            true => b"another",
            false => b"payload",
        };
        input(payload, salt, Some(claimed.clone()))
    });
    each.collect()
}

#[test]
fn true_claims_cost_one_commitment_and_those_of_suspects_one_each() {
    let tick = |check, lies: &[u64]| {
        let tick = encode_tick(Setup::ethereum(), claims(lies), check, [5; 32]);
        let refused: Vec<u64> = tick
            .blobs
            .iter()
            .filter(|(_, result)| matches!(result, Err(EncodeError::Claim(_))))
            .map(|(record, _)| record.salt)
            .collect();
        assert_eq!(refused, lies);
        tick.checks
    };
    assert_eq!(tick(ClaimCheck::Together, &[]), 1);
    assert_eq!(tick(ClaimCheck::Apart, &[]), 8);
    assert_eq!(tick(ClaimCheck::Apart, &[2, 3, 7]), 8);
    // One lie is found by halving, many by looking at each: never more than two a claim, and the first one.
    for lies in [&[6][..], &[0, 1, 2, 3, 4, 5, 6, 7]] {
        let checks = tick(ClaimCheck::Together, lies);
        assert!(checks <= 1 + 2 * 8, "{checks} for {lies:?}");
    }
}

#[test]
fn claims_can_be_checked_after_the_rows_are_extended() {
    for lies in [&[][..], &[6], &[2, 3, 7]] {
        let tick = encode_tick(Setup::ethereum(), claims(lies), ClaimCheck::Later, [5; 32]);
        assert_eq!(tick.checks, 0);
        let blobs: Vec<_> = tick
            .blobs
            .into_iter()
            .map(|(_, blob)| Arc::new(blob.unwrap()))
            .collect();
        assert!(blobs.iter().all(|blob| blob.unchecked));
        for of_group in [1, 4, 8] {
            let groups = blobs.chunks(of_group);
            let (refused, checks) = check_claims(Setup::ethereum(), groups, [6; 32]);
            let expected = lies.iter().map(|salt| blobs[*salt as usize].id);
            assert_eq!(
                refused.keys().copied().collect::<HashSet<_>>(),
                expected.collect()
            );
            let is_claim = |error: &EncodeError| matches!(error, EncodeError::Claim(_));
            assert!(refused.values().all(is_claim));
            let least = 8 / of_group;
            assert!(checks == least || !lies.is_empty() && checks > least);
        }
    }
    let computed = encode(vec![input(b"payload", 0, None)]).remove(0).unwrap();
    assert!(computed.computed && !computed.unchecked);
}

#[test]
fn slices_lie_under_the_chunk_root_and_runs_are_pieces_of_them() {
    let payload = vec![3; 300_000];
    let blob = encoded(&payload, 1);
    assert_eq!(blob.header.rows, 3);
    assert_eq!(blob.tree.root(), blob.header.chunk_root);
    let run = blob.run(10, 4).unwrap();
    assert_eq!(run.len(), 4 * blob.slice_bytes);
    for (index, slice) in run.chunks_exact(blob.slice_bytes).enumerate() {
        assert_eq!(blob.tree.leaf(10 + index), Some(leaf_hash(slice)));
    }
    assert_eq!(blob.run(510, 2).unwrap().len(), 2 * blob.slice_bytes);
    assert_eq!(blob.run(511, 2), None);
    assert_eq!(blob.run(u32::MAX, u32::MAX), None);
    // Systematic: the first slices are the rows themselves.
    let rows = Rows::from_payload(&payload, Encoding::Packed31).unwrap();
    assert_eq!(
        blob.run(0, 1).unwrap()[..64 * 32],
        rows.as_bytes()[..64 * 32]
    );
}

#[test]
fn a_disk_that_forgets_is_noticed() {
    let mut changed = input(b"payload", 1, None);
    changed.payload = Bytes::from_static(b"qayload");
    let mut shorter = input(b"payload", 1, None);
    shorter.payload.truncate(shorter.payload.len() - 1);
    // Commitments that were true when they were stored.
    let mut stored = input(
        b"payload",
        1,
        Some(encoded(b"another", 1).commitments.clone()),
    );
    stored.record.claimed = false;
    let mut header = input(b"payload", 1, None);
    header.record.header = Some(encoded(b"payload", 2).header.clone());
    let mut same = input(b"payload", 1, None);
    same.record.header = Some(encoded(b"payload", 1).header.clone());
    let results = encode(vec![changed, shorter, stored, header, same]);
    let codes: Vec<Option<(&str, Blame)>> = results
        .iter()
        .map(|r| r.as_ref().err().map(|error| (error.code(), error.blame())))
        .collect();
    assert_eq!(
        codes,
        [
            Some(("encode.payload_changed", Blame::Us)),
            Some(("encode.payload_changed", Blame::Us)),
            Some(("encode.stored_commitments", Blame::Us)),
            Some(("encode.header_changed", Blame::Us)),
            None
        ]
    );
}
