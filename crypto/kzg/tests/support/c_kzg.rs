//! Module `eip` against the `c-kzg` crate, on edge and random inputs: the same bytes, the same answers, the same refusals.

use ashlar_kzg::{Setup, eip};
use c_kzg::{Blob, Bytes32, Bytes48, Cell, KzgSettings, ethereum_kzg_settings};
use proptest::prelude::*;

const ELEMENTS: usize = 4096;
const MODULUS: &str = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

fn both() -> (&'static Setup, &'static KzgSettings) {
    crate::choose_kernel();
    (Setup::ethereum(), ethereum_kzg_settings(0))
}

fn maximal() -> [u8; 32] {
    let mut element: [u8; 32] = hex::decode(MODULUS).unwrap().try_into().unwrap();
    element[31] -= 1;
    element
}

fn blob_of(elements: impl IntoIterator<Item = [u8; 32]>) -> Vec<u8> {
    let mut blob = elements.into_iter().flatten().collect::<Vec<_>>();
    blob.resize(ELEMENTS * 32, 0);
    blob
}

/// A field element below r: the top byte below 0x73.
fn element() -> impl Strategy<Value = [u8; 32]> {
    prop_oneof![
        6 => any::<[u8; 32]>().prop_map(|mut bytes| { bytes[0] %= 0x73; bytes }),
        1 => Just([0; 32]),
        1 => Just(maximal()),
    ]
}

/// All zero, one element somewhere, all maximal, or 64 random elements over and over.
fn blob() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        1 => Just(blob_of([])),
        1 => Just(blob_of([maximal(); ELEMENTS])),
        2 => (0..ELEMENTS, element()).prop_map(|(at, element)| {
            let mut blob = blob_of([]);
            blob[at * 32..][..32].copy_from_slice(&element);
            blob
        }),
        4 => proptest::collection::vec(element(), 64).prop_map(|elements| {
            blob_of(elements.iter().cycle().take(ELEMENTS).enumerate().map(|(at, element)| {
                let mut element = *element;
                element[16..24].copy_from_slice(&(at as u64).to_be_bytes());
                if element[0] >= 0x73 { element[0] = 0; }
                element
            }))
        }),
    ]
}

#[test]
fn the_setups_are_the_same() {
    // Loading has checked that the parts of ours belong together, so equal commitments to a random blob, which weigh
    // every point, and one G2 power in a pairing check settle it.
    let (ours, theirs) = both();
    for seed in 0..3u8 {
        let blob = blob_of((0..ELEMENTS).map(|at| {
            let mut element = ashlar_kzg::hash::sha256(&[&[seed], &at.to_be_bytes()]);
            element[0] %= 0x73;
            element
        }));
        let commitment = eip::blob_to_kzg_commitment(ours, &blob).unwrap();
        assert_eq!(
            commitment,
            theirs
                .blob_to_kzg_commitment(&Blob::from_bytes(&blob).unwrap())
                .unwrap()
                .to_bytes()
                .into_inner()
        );
    }
}

/// One element alone: its commitment is one point of the setup.
#[test]
fn single_points_of_the_setups_are_the_same() {
    let (ours, theirs) = both();
    for at in [0, 1, 2, 3, 64, 1000, 2048, 4094, 4095] {
        let mut blob = blob_of([]);
        blob[at * 32 + 31] = 1;
        assert_eq!(
            eip::blob_to_kzg_commitment(ours, &blob).unwrap(),
            theirs
                .blob_to_kzg_commitment(&Blob::from_bytes(&blob).unwrap())
                .unwrap()
                .to_bytes()
                .into_inner()
        );
    }
}

/// Commitments on whose way there are two points that agree in one limb of x only. A commitment off the curve would have been made
/// again by the portable kernel, and the other one given up.
#[test]
fn colliding_blobs() {
    let (ours, theirs) = both();
    let lines = include_str!("../data/colliding_blobs.txt").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let mut blob = blob_of([]);
        for at in line.split(' ') {
            blob[at.parse::<usize>().unwrap() * 32 + 31] = 1;
        }
        let theirs = theirs.blob_to_kzg_commitment(&Blob::from_bytes(&blob).unwrap());
        assert_eq!(
            eip::blob_to_kzg_commitment(ours, &blob).unwrap(),
            theirs.unwrap().to_bytes().into_inner(),
            "{line}"
        );
    }
    assert_eq!(ashlar_kzg::kernel_status().refused, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]

    #[test]
    fn blobs_and_points(blob in blob(), z in element()) {
        let (ours, theirs) = both();
        let their_blob = Blob::from_bytes(&blob).unwrap();

        let commitment = eip::blob_to_kzg_commitment(ours, &blob).unwrap();
        prop_assert_eq!(commitment, theirs.blob_to_kzg_commitment(&their_blob).unwrap().to_bytes().into_inner());

        let (proof, y) = eip::compute_kzg_proof(ours, &blob, &z).unwrap();
        let (their_proof, their_y) = theirs.compute_kzg_proof(&their_blob, &Bytes32::from(z)).unwrap();
        prop_assert_eq!((proof, y), (their_proof.to_bytes().into_inner(), *their_y));
        prop_assert!(eip::verify_kzg_proof(ours, &commitment, &z, &y, &proof).unwrap());

        let proof = eip::compute_blob_kzg_proof(ours, &blob, &commitment).unwrap();
        let their_proof = theirs.compute_blob_kzg_proof(&their_blob, &Bytes48::from(commitment)).unwrap();
        prop_assert_eq!(proof, their_proof.to_bytes().into_inner());
        prop_assert!(eip::verify_blob_kzg_proof(ours, &blob, &commitment, &proof).unwrap());
        prop_assert!(theirs.verify_blob_kzg_proof(&their_blob, &commitment.into(), &proof.into()).unwrap());
    }

    #[test]
    fn points_in_the_domain(blob in blob(), index in 0u32..4096) {
        let (ours, theirs) = both();
        let z = ashlar_kzg::kzg::element_point(index).unwrap();
        let (proof, y) = eip::compute_kzg_proof(ours, &blob, &z).unwrap();
        let (their_proof, their_y) =
            theirs.compute_kzg_proof(&Blob::from_bytes(&blob).unwrap(), &Bytes32::from(z)).unwrap();
        prop_assert_eq!((proof, y), (their_proof.to_bytes().into_inner(), *their_y));
        prop_assert_eq!(&y[..], &blob[index as usize * 32..][..32]);
    }

    #[test]
    fn cells_proofs_and_recovery(blob in blob(), order in Just((0..128u64).collect::<Vec<_>>()).prop_shuffle(), extra in 0usize..3) {
        let (ours, theirs) = both();
        let (cells, proofs) = eip::compute_cells_and_kzg_proofs(ours, &blob).unwrap();
        let (their_cells, their_proofs) =
            theirs.compute_cells_and_kzg_proofs(&Blob::from_bytes(&blob).unwrap()).unwrap();
        prop_assert!(cells.iter().zip(their_cells.iter()).all(|(a, b)| *a == b.to_bytes()));
        prop_assert!(proofs.iter().zip(their_proofs.iter()).all(|(a, b)| *a == b.to_bytes().into_inner()));
        prop_assert_eq!((cells.len(), proofs.len()), (128, 128));
        prop_assert!(eip::compute_cells(&blob).unwrap() == cells);

        let mut known = order[..64 + extra].to_vec();
        known.sort_unstable();
        let given: Vec<_> = known.iter().map(|index| cells[*index as usize]).collect();
        let (recovered, recovered_proofs) = eip::recover_cells_and_kzg_proofs(ours, &known, &given).unwrap();
        prop_assert!(recovered == cells && recovered_proofs == proofs);
    }

    #[test]
    fn both_give_the_same_verdict_on_cells(
        blob in blob(),
        indices in proptest::collection::vec(0u64..128, 1..6),
        fault in 0usize..5,
        other in 0u64..128,
    ) {
        let (ours, theirs) = both();
        let (all, all_proofs) = eip::compute_cells_and_kzg_proofs(ours, &blob).unwrap();
        let commitment = eip::blob_to_kzg_commitment(ours, &blob).unwrap();
        let mut commitments = vec![commitment; indices.len()];
        let mut given = indices.clone();
        let mut cells: Vec<_> = indices.iter().map(|index| all[*index as usize]).collect();
        let mut proofs: Vec<_> = indices.iter().map(|index| all_proofs[*index as usize]).collect();
        match fault {
            0 => {}
            1 => cells[0][2047] ^= 1,
            2 => proofs[0] = all_proofs[other as usize],
            3 => given[0] = other,
            _ => commitments[0] = proofs[0],
        }
        let verdict = eip::verify_cell_kzg_proof_batch(ours, &commitments, &given, &cells, &proofs);
        let bytes48 = |list: &[[u8; 48]]| list.iter().map(|bytes| Bytes48::from(*bytes)).collect::<Vec<_>>();
        let their_cells: Vec<_> = cells.iter().map(|cell| Cell::new(*cell)).collect();
        let their_verdict =
            theirs.verify_cell_kzg_proof_batch(&bytes48(&commitments), &given, &their_cells, &bytes48(&proofs));
        prop_assert_eq!(verdict.ok(), their_verdict.ok());
    }

    #[test]
    fn both_give_the_same_verdict_on_blob_batches(a in blob(), b in blob(), fault in 0usize..4) {
        let (ours, theirs) = both();
        let blobs = [a, b];
        let mut commitments: Vec<_> = blobs.iter().map(|blob| eip::blob_to_kzg_commitment(ours, blob).unwrap()).collect();
        let mut proofs: Vec<_> = blobs
            .iter()
            .zip(&commitments)
            .map(|(blob, commitment)| eip::compute_blob_kzg_proof(ours, blob, commitment).unwrap())
            .collect();
        match fault {
            0 => {}
            1 => proofs.swap(0, 1),
            2 => commitments.swap(0, 1),
            _ => proofs[1][7] ^= 1,
        }
        let verdict = eip::verify_blob_kzg_proof_batch(ours, &blobs, &commitments, &proofs);
        let bytes48 = |list: &[[u8; 48]]| list.iter().map(|bytes| Bytes48::from(*bytes)).collect::<Vec<_>>();
        let their_blobs: Vec<_> = blobs.iter().map(|blob| Blob::from_bytes(blob).unwrap()).collect();
        let their_verdict = theirs.verify_blob_kzg_proof_batch(&their_blobs, &bytes48(&commitments), &bytes48(&proofs));
        prop_assert_eq!(verdict.ok(), their_verdict.ok());
    }
}

#[test]
fn more_cells_than_needed_must_agree() {
    let (ours, _) = both();
    let mut cells = eip::compute_cells(&blob_of([[7; 32], [9; 32]])).unwrap();
    let indices: Vec<_> = (0..128).collect();
    cells[100][2047] ^= 1;
    assert_eq!(
        eip::recover_cells_and_kzg_proofs(ours, &indices, &cells).map(|_| ()),
        Err(eip::EipError::Inconsistent { index: 100 })
    );
}
