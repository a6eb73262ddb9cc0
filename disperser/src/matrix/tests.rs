#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use ashlar_crypto::merkle::verify_range;
use ashlar_crypto::{ChunkColumn, Commitment, Proof, verify_chunks};
use ashlar_proto::operator_id;
use ashlar_proto::{ChunkIndex, HARD_MAX_BATCH_ROWS, verify_portable};

use super::*;
use crate::testing::{bls, encoded, owner, table};

const PLACE: BatchPosition = BatchPosition {
    disperser_id: 5,
    sequence: Sequence(42),
    created_at_ms: 1_700_000_000_000,
};

fn matrix() -> Matrix {
    let blobs = vec![
        encoded(&[1; 100], 1),
        encoded(&[2; 200_000], 2),
        encoded(&[3; 50_000], 3),
    ];
    Matrix::compose(blobs, table(&[10, 20, 70]), PLACE).unwrap()
}

fn signature(matrix: &Matrix) -> NetworkSignature {
    matrix.header().sign_as_disperser(&owner())
}

/// What an operator does with its request: every proof checked, by other code than that which made it.
fn check_as_operator(
    matrix: &Matrix,
    operator: OperatorIndex,
    proofs: &[ProofBytes],
) -> BTreeSet<ChunkIndex> {
    let (request, bulk) = matrix
        .request(operator, signature(matrix), proofs, &matrix.commitments())
        .unwrap();
    let wire::Request::StoreBatch(store) = request else {
        panic!("another request")
    };
    let (header, key) = (&store.batch_header, owner().public());
    header.check_blobs(&store.blob_headers).unwrap();
    header
        .verify_disperser(&key, &store.disperser_signature)
        .unwrap();
    let layout = store.layout().unwrap();
    let bulk = Bytes::from(bulk.concat());
    let view = layout.view(bulk).unwrap();
    let code = store.batch_header.protocol().unwrap().code;
    for (b, header) in store.blob_headers.iter().enumerate() {
        let mut place = 0;
        for (run, &(start, len)) in store.runs.as_slice().iter().enumerate() {
            let leaves: Vec<_> = (0..len as usize)
                .map(|i| leaf_hash(view.slice(b, place + i).unwrap()))
                .collect();
            let proof = &store.slice_proofs[b][run];
            verify_range(
                &header.chunk_root,
                u64::from(code.chunks()),
                u64::from(start),
                &leaves,
                proof,
            )
            .unwrap();
            place += len as usize;
        }
    }
    let commitments: Vec<Commitment> = view
        .commitments()
        .chunks_exact(48)
        .map(|bytes| {
            Commitment::try_from(ashlar_crypto::CommitmentBytes(bytes.try_into().unwrap())).unwrap()
        })
        .collect();
    let columns: Vec<ChunkColumn<'_>> = store
        .runs
        .iter()
        .enumerate()
        .map(|(place, index)| ChunkColumn {
            index: index.0,
            pieces: view.column(place).unwrap(),
            proof: Proof::try_from(store.chunk_proofs[place]).unwrap(),
        })
        .collect();
    let challenge = RowChallenge::new(&store.batch_header.digest().0);
    verify_chunks(
        Setup::ethereum(),
        code,
        challenge,
        &commitments,
        &columns,
        [8; 32],
    )
    .unwrap();
    store.runs.iter().collect()
}

#[test]
fn every_operator_can_check_what_it_gets() {
    let matrix = matrix();
    let proofs = matrix.prove(Setup::ethereum());
    let members = matrix.members();
    assert_eq!(members.len(), 3);
    let mut chunks = BTreeSet::new();
    for member in &members {
        chunks.extend(check_as_operator(&matrix, member.operator, &proofs));
    }
    assert!(chunks.len() >= 64, "enough to rebuild");
    assert_eq!(
        matrix
            .request(
                OperatorIndex(99),
                signature(&matrix),
                &proofs,
                &matrix.commitments()
            )
            .unwrap_err()
            .code(),
        "runs.count"
    );
    assert_eq!(
        matrix
            .request(
                OperatorIndex(0),
                signature(&matrix),
                &[],
                &matrix.commitments()
            )
            .unwrap_err()
            .code(),
        "batch.chunk"
    );
}

#[test]
fn the_certificates_pass_for_holders_of_table_and_root() {
    let matrix = matrix();
    let table = Arc::clone(matrix.table());
    // The operator with 70 % of the stake signs alone. Indices are by id, not by key number.
    let index = table
        .find(&operator_id(&bls(2).public_key().to_bytes()))
        .unwrap();
    let signature = bls(2).sign(&matrix.digest().0);
    let certificates = matrix.certify(&[(index, signature)]).unwrap();
    assert_eq!(certificates.len(), 3);
    let policy =
        CertificatePolicy::new(table.domain(), RequiredQuorums::all([0]), MaxAge::Unbounded);
    let trusted = TrustedTable::trust_on_my_own_word(&table);
    for (certificate, blob) in certificates.iter().zip(matrix.blobs()) {
        let bytes = certificate.to_bytes();
        let read = Certificate::from_bytes(&bytes).unwrap();
        let verified = verify_certificate(&read, &trusted, &policy).unwrap();
        assert_eq!(verified.blob_key(), blob.key);
        let portable = read.to_portable(&table).unwrap();
        verify_portable(&portable, &trusted.trusted_root(), &policy).unwrap();
    }
}

#[test]
fn a_certificate_that_would_not_pass_is_not_issued() {
    let matrix = matrix();
    let find = |n| {
        matrix
            .table()
            .find(&operator_id(&bls(n).public_key().to_bytes()))
            .unwrap()
    };
    let sign = |n: u8| bls(n).sign(&matrix.digest().0);
    // Too little stake; another operator's signature; the signature of something else; none.
    assert_eq!(
        matrix.certify(&[(find(0), sign(0))]).unwrap_err().code(),
        "batch.self_check"
    );
    assert_eq!(
        matrix.certify(&[(find(2), sign(1))]).unwrap_err().code(),
        "batch.self_check"
    );
    assert_eq!(
        matrix
            .certify(&[(find(2), bls(2).sign(b"else"))])
            .unwrap_err()
            .code(),
        "batch.self_check"
    );
    assert_eq!(
        matrix.certify(&[]).unwrap_err().code(),
        "batch.no_signature"
    );
    assert_eq!(
        matrix
            .certify(&[(OperatorIndex(99), sign(2))])
            .unwrap_err()
            .code(),
        "batch.no_signature"
    );
}

#[test]
fn a_batch_made_again_has_the_same_digest_and_another_one_is_refused() {
    let first = matrix();
    let again = matrix();
    assert_eq!(first.digest(), again.digest());
    assert_eq!(
        first.prove(Setup::ethereum()),
        again.prove(Setup::ethereum())
    );
    let resumed = Matrix::resume(
        again.blobs().to_vec(),
        table(&[10, 20, 70]),
        first.header().clone(),
    )
    .unwrap();
    assert_eq!(resumed.digest(), first.digest());
    // Another table of the same block, and a header of another service.
    let resume = |table, header| Matrix::resume(again.blobs().to_vec(), table, header);
    let error = resume(table(&[10, 20, 71]), first.header().clone()).unwrap_err();
    assert_eq!(error.code(), "batch.table");
    let mut elsewhere = first.header().clone();
    elsewhere.domain = ashlar_proto::Network::file("test").domain(2);
    let error = resume(table(&[10, 20, 70]), elsewhere).unwrap_err();
    assert_eq!(error.code(), "batch.table");
    let mut swapped = again.blobs().to_vec();
    swapped.swap(0, 1);
    let error = Matrix::resume(swapped, table(&[10, 20, 70]), first.header().clone()).unwrap_err();
    assert_eq!(error.code(), "batch.root");
    let fewer = again.blobs()[..2].to_vec();
    let error = Matrix::resume(fewer, table(&[10, 20, 70]), first.header().clone()).unwrap_err();
    assert_eq!(error.code(), "batch.blob_count");
}

#[test]
fn what_makes_no_batch_is_refused() {
    let error = Matrix::compose(Vec::new(), table(&[1]), PLACE).unwrap_err();
    assert_eq!(error.code(), "batch.empty");
    let mut blob = (*encoded(b"payload", 1)).clone();
    blob.header.quorums = vec![0, 7];
    blob.key = blob.header.blob_key();
    let error = Matrix::compose(vec![Arc::new(blob.clone())], table(&[1]), PLACE).unwrap_err();
    assert!(
        matches!(
            error,
            MatrixError::Assignment(AssignmentError::UnknownQuorum { quorum: 7 })
        ),
        "{error}"
    );
    let mixed = vec![encoded(b"payload", 1), Arc::new(blob.clone())];
    assert_eq!(
        Matrix::compose(mixed, table(&[1]), PLACE)
            .unwrap_err()
            .code(),
        "batch.mixed_quorums"
    );
    blob.header.rows = HARD_MAX_BATCH_ROWS + 1;
    assert_eq!(
        Matrix::compose(vec![Arc::new(blob)], table(&[1]), PLACE)
            .unwrap_err()
            .code(),
        "batch.rows"
    );
}
