#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::testing::{codes, edge_rows, naive_proof, polynomial, random_rows};
use crate::{CommitmentBytes, Slices, commit_rows};

const SEED: [u8; 32] = [7; 32];

/// A batch of blobs, as a disperser makes it and nodes check it.
struct Batch {
    code: Code,
    challenge: RowChallenge,
    commitments: Vec<Commitment>,
    slices: Vec<Slices>,
    proofs: Vec<ProofBytes>,
}

impl Batch {
    fn new(code: Code, blobs: &[Rows]) -> Self {
        let setup = Setup::ethereum();
        let challenge = RowChallenge::new(&[3; 32]);
        let mut aggregated = AggregatedRow::new(challenge);
        for blob in blobs {
            aggregated.absorb(blob);
        }
        Self {
            code,
            challenge,
            commitments: blobs
                .iter()
                .flat_map(|blob| commit_rows(setup, blob))
                .collect(),
            slices: blobs
                .iter()
                .map(|blob| Slices::extend(code, blob))
                .collect(),
            proofs: prove_chunks(setup, code, &aggregated),
        }
    }

    fn column(&self, index: u32) -> ChunkColumn<'_> {
        ChunkColumn {
            index,
            pieces: self
                .slices
                .iter()
                .map(|slices| slices.slice(index).unwrap())
                .collect(),
            proof: self.proofs[index as usize].try_into().unwrap(),
        }
    }

    fn verify(&self, columns: &[ChunkColumn<'_>]) -> Result<(), ChunkError> {
        verify_chunks(
            Setup::ethereum(),
            self.code,
            self.challenge,
            &self.commitments,
            columns,
            SEED,
        )
    }

    fn find_bad(&self, columns: &[ChunkColumn<'_>]) -> Vec<u32> {
        find_bad_chunks(
            Setup::ethereum(),
            self.code,
            self.challenge,
            &self.commitments,
            columns,
            SEED,
        )
    }
}

fn v1() -> Batch {
    Batch::new(
        Code::new(8, 512).unwrap(),
        &[random_rows("a", 2), random_rows("b", 1)],
    )
}

#[test]
fn every_code_proves_and_verifies() {
    for code in codes() {
        let batch = Batch::new(code, &[random_rows("one", 2), random_rows("two", 1)]);
        assert_eq!(batch.proofs.len(), code.chunks() as usize);
        let columns: Vec<_> = (0..code.chunks())
            .step_by(37)
            .map(|index| batch.column(index))
            .collect();
        batch.verify(&columns).unwrap();
        assert!(batch.find_bad(&columns).is_empty());
    }
}

#[test]
fn every_code_gives_the_proofs_of_the_definition() {
    let setup = Setup::ethereum();
    for code in codes() {
        for rows in edge_rows() {
            let mut aggregated = AggregatedRow::new(RowChallenge::new(&[1; 32]));
            aggregated.absorb(&rows);
            assert_eq!(aggregated.rows(), 1);
            let proofs = prove_chunks(setup, code, &aggregated);
            let polynomial = polynomial(rows.as_bytes());
            for index in [0, 1, code.needed() - 1, code.needed(), code.chunks() - 1] {
                let naive = ProofBytes(curve::compress(&naive_proof(
                    setup,
                    code,
                    &polynomial,
                    index,
                )));
                assert_eq!(proofs[index as usize], naive, "{code:?}, chunk {index}");
            }
        }
    }
}

#[test]
fn absorbing_in_pieces_is_absorbing_at_once() {
    let challenge = RowChallenge::new(&[9; 32]);
    let whole = random_rows("whole", 3);
    let mut at_once = AggregatedRow::new(challenge);
    at_once.absorb(&whole);
    let mut in_pieces = AggregatedRow::new(challenge);
    for row in whole.iter() {
        in_pieces.absorb(&Rows::from_bytes(row.to_vec()).unwrap());
    }
    assert_eq!(at_once.rows(), 3);
    assert_eq!(at_once.sums, in_pieces.sums);
    // And it is the sum of the definition.
    let first: Fr = (0..3)
        .map(|row| {
            crate::testing::scalars(&whole.row(row).unwrap()[..32])[0]
                * challenge.0.pow([row as u64])
        })
        .sum();
    assert_eq!(from_raw(&at_once.sums[0]), first);
}

#[test]
fn no_columns_are_fine() {
    v1().verify(&[]).unwrap();
}

#[test]
fn a_changed_cell_is_refused_and_found() {
    let batch = v1();
    let mut slice = batch.slices[0].slice(300).unwrap().to_vec();
    *slice.last_mut().unwrap() ^= 1;
    let mut columns: Vec<_> = [5, 300, 301, 511].map(|index| batch.column(index)).into();
    columns[1].pieces[0] = &slice;
    assert_eq!(batch.verify(&columns), Err(ChunkError::ProofMismatch));
    assert_eq!(batch.find_bad(&columns), [300]);
}

#[test]
fn a_changed_proof_is_refused_and_found() {
    let batch = v1();
    let mut columns: Vec<_> = (0..9).map(|index| batch.column(index)).collect();
    columns[0].proof = columns[8].proof;
    columns[4].proof = Proof::from_point(curve::G1Affine::default());
    assert_eq!(batch.verify(&columns), Err(ChunkError::ProofMismatch));
    assert_eq!(batch.find_bad(&columns), [0, 4]);
}

#[test]
fn swapped_columns_are_refused_and_found() {
    let batch = v1();
    let mut columns: Vec<_> = [10, 20, 30].map(|index| batch.column(index)).into();
    (columns[0].index, columns[1].index) = (20, 10);
    assert_eq!(batch.verify(&columns), Err(ChunkError::ProofMismatch));
    assert_eq!(batch.find_bad(&columns), [10, 20]);
}

#[test]
fn the_blobs_in_another_order_are_refused() {
    let blobs = [random_rows("a", 1), random_rows("b", 1)];
    let batch = Batch::new(Code::new(8, 512).unwrap(), &blobs);
    let mut column = batch.column(0);
    column.pieces.reverse();
    assert_eq!(batch.verify(&[column]), Err(ChunkError::ProofMismatch));
}

#[test]
fn another_challenge_is_refused() {
    let mut batch = v1();
    batch.challenge = RowChallenge::new(&[4; 32]);
    assert_eq!(
        batch.verify(&[batch.column(1)]),
        Err(ChunkError::ProofMismatch)
    );
    assert_eq!(batch.find_bad(&[batch.column(1), batch.column(0)]), [0, 1]);
}

#[test]
fn another_commitment_is_refused() {
    let mut batch = v1();
    batch.commitments.swap(0, 1);
    assert_eq!(
        batch.verify(&[batch.column(1)]),
        Err(ChunkError::ProofMismatch)
    );
}

#[test]
fn an_element_that_is_not_canonical_is_refused_and_found() {
    let batch = v1();
    let mut slice = batch.slices[1].slice(2).unwrap().to_vec();
    slice[32 * 9..32 * 10].fill(0xff);
    let mut columns = vec![batch.column(1), batch.column(2)];
    columns[1].pieces[1] = &slice;
    assert_eq!(
        batch.verify(&columns),
        Err(ChunkError::NonCanonical {
            index: 2,
            piece: 1,
            element: 9
        })
    );
    assert_eq!(batch.find_bad(&columns), [2]);
}

#[test]
fn wrong_shapes_are_refused_and_found() {
    let batch = v1();
    let cell = batch.code.cell_bytes();
    let good = batch.column(0);

    let mut short = batch.column(1);
    short.pieces[0] = &short.pieces[0][..cell];
    assert_eq!(
        batch.verify(std::slice::from_ref(&short)),
        Err(ChunkError::Length {
            index: 1,
            expected: 3 * cell,
            got: 2 * cell
        })
    );
    let mut ragged = batch.column(2);
    ragged.pieces[1] = &ragged.pieces[1][1..];
    assert_eq!(
        batch.verify(std::slice::from_ref(&ragged)),
        Err(ChunkError::PieceLength {
            index: 2,
            piece: 1,
            got: cell - 1
        })
    );
    let mut outside = batch.column(3);
    outside.index = 512;
    assert_eq!(
        batch.verify(std::slice::from_ref(&outside)),
        Err(ChunkError::IndexOutOfRange {
            index: 512,
            chunks: 512
        })
    );
    assert_eq!(batch.find_bad(&[good, short, ragged, outside]), [1, 2, 512]);
}

#[test]
fn an_index_that_comes_twice_is_refused() {
    let batch = v1();
    assert_eq!(
        batch.verify(&[batch.column(6), batch.column(6)]),
        Err(ChunkError::DuplicateIndex { index: 6 })
    );
}

#[test]
fn a_batch_without_rows_is_refused() {
    let mut batch = v1();
    batch.commitments.clear();
    assert_eq!(batch.verify(&[]), Err(ChunkError::NoRows));
    assert_eq!(batch.find_bad(&[batch.column(8)]), [8]);
}

#[test]
fn many_bad_columns_are_all_found() {
    let batch = v1();
    let mut columns: Vec<_> = (0..64).map(|index| batch.column(index)).collect();
    let infinity = CommitmentBytes(curve::compress(&curve::G1Affine::default()));
    for column in columns.iter_mut().filter(|column| column.index % 3 == 1) {
        column.proof = ProofBytes(infinity.0).try_into().unwrap();
    }
    let bad: Vec<_> = (0..64).filter(|index| index % 3 == 1).collect();
    assert_eq!(batch.find_bad(&columns), bad);
}

#[test]
fn combined_columns_make_every_proof_anew() {
    for code in codes() {
        let batch = Batch::new(code, &[random_rows("one", 2), random_rows("two", 1)]);
        let combined = |index: u32| {
            let pieces = batch.column(index).pieces;
            combine_cells(code, batch.challenge, index, &pieces).unwrap()
        };
        // Parity ones, so that the code is at work.
        let indices: Vec<u32> = (code.chunks() - code.needed()..code.chunks()).collect();
        let mut cells: Vec<Vec<u8>> = indices.iter().map(|index| combined(*index)).collect();
        let commitment = [combine_commitments(batch.challenge, &batch.commitments).unwrap()];
        let verify = |cells: &[Vec<u8>]| {
            let columns: Vec<ChunkColumn<'_>> = indices
                .iter()
                .zip(cells)
                .map(|(index, cell)| ChunkColumn {
                    pieces: vec![cell],
                    ..batch.column(*index)
                })
                .collect();
            let setup = Setup::ethereum();
            let bad = find_bad_chunks(setup, code, batch.challenge, &commitment, &columns, SEED);
            verify_chunks(setup, code, batch.challenge, &commitment, &columns, SEED)
                .map_err(|_| bad)
        };
        verify(&cells).unwrap();
        let pieces: Vec<(u32, &[u8])> = indices
            .iter()
            .zip(&cells)
            .map(|(index, cell)| (*index, cell.as_slice()))
            .collect();
        let mut sum = AggregatedRow::new(batch.challenge);
        sum.absorb(&crate::recover(code, 1, &pieces).unwrap());
        assert_eq!(prove_chunks(Setup::ethereum(), code, &sum), batch.proofs);

        *cells[1].last_mut().unwrap() ^= 1;
        assert_eq!(verify(&cells), Err(vec![indices[1]]));
    }
    let code = Code::new(8, 512).unwrap();
    let challenge = RowChallenge::new(&[3; 32]);
    assert!(combine_commitments(challenge, &[]).is_none());
    assert!(matches!(
        combine_cells(code, challenge, 3, &[&[0; 100]]),
        Err(ChunkError::PieceLength { index: 3, .. })
    ));
    assert!(matches!(
        combine_cells(code, challenge, 3, &[&[0xff; 2048]]),
        Err(ChunkError::NonCanonical { index: 3, .. })
    ));
}
