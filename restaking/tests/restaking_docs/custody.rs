//! The worked example of "Custody challenges".

use ashlar_crypto::bls::aggregate_signatures;
use ashlar_crypto::{CommitmentBytes, Encoding, MerkleTree, Rows, Setup, Slices, commit_rows};
use ashlar_proto::{
    Attestation, BatchHeader, Bitmap, BlobHeader, Certificate, OperatorIndex, Sequence, batch_tree,
    commitments_root, version,
};
use ashlar_restaking::evidence::CustodyAnswer;

use super::*;

/// Block 1,000; Otto with 40 % of 100 stETH in the service.
fn custody() -> Ledger {
    let mut ledger = Ledger::new(Params::current());
    ledger.ok(
        OWNER,
        Action::RegisterService {
            name: "da".into(),
            conditions: "an unanswered challenge".into(),
            slasher: SLASHER,
            resolver: None,
            veto_window: 0,
            slash_cap: Wad::ONE,
            ejector: OWNER,
            versions: vec![1],
            dispersers: DISPERSERS,
            custody: Some(CustodyTerms {
                token: TOKEN,
                min_bond: wei("10000000000000000"),
                wad: Wad::percent(25),
                max_open: 1024,
                max_open_per_operator: 64,
            }),
        },
    );
    ledger.quorum(1, 10, None);
    ledger.operator(OTTO);
    ledger.join(OTTO, Wad::percent(40));
    ledger.pass(999);
    assert_eq!(ledger.state.meta().block, Block(1000));
    ledger
}

fn rows() -> Rows {
    Rows::from_payload(&[7; 100_000], Encoding::Packed31).unwrap()
}

/// Otto signed for the payload in a batch with the reference block 900.
fn certificate(ledger: &Ledger) -> Certificate {
    let rows = rows();
    let commitments: Vec<CommitmentBytes> = commit_rows(Setup::ethereum(), &rows)
        .iter()
        .map(|commitment| commitment.to_bytes())
        .collect();
    let blob_header = BlobHeader {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: 100_000,
        rows: rows.count() as u32,
        commitments_root: commitments_root(&commitments),
        chunk_root: MerkleTree::from_slices(&Slices::extend(version(1).unwrap().code, &rows))
            .root(),
        quorums: vec![0],
        account: BOB,
        salt: 0,
    };
    let tree = batch_tree(&[blob_header.blob_key()]);
    let batch_header = BatchHeader {
        domain: ledger.state.domain(1),
        table_root: ledger.state.table_at(1, Block(900)).unwrap().root(),
        version: 1,
        batch_root: tree.root(),
        blobs: 1,
        rows: blob_header.rows,
        reference_block: Block(900),
        disperser_id: 0,
        sequence: Sequence(1),
        created_at_ms: 1,
    };
    let signature = bls(OTTO).sign(batch_header.digest().as_bytes());
    Certificate {
        blob_header,
        blob_index: 0,
        blob_path: tree.path(0).unwrap(),
        batch_header,
        attestation: Attestation::Compact {
            signers: Bitmap::from_indices(1, [OperatorIndex(0)]).unwrap(),
        },
        signature: aggregate_signatures(&[signature]).unwrap().to_bytes(),
    }
}

fn ask(certificate: &Certificate) -> Action {
    Action::OpenChallenge {
        service: 1,
        operator: id(OTTO),
        certificate: certificate.to_bytes(),
        bond: wei("10000000000000000"),
    }
}

fn answer(ledger: &Ledger) -> Action {
    let (challenge, record) = ledger.state.challenges().next().unwrap();
    let (setup, at) = (Setup::ethereum(), record.position());
    let answer = CustodyAnswer::from_rows(setup, &record.blob, &rows(), at).unwrap();
    says("an opening of 130 bytes");
    assert_eq!(answer.to_bytes().len(), 130);
    Action::AnswerChallenge {
        challenge,
        answer: answer.to_bytes(),
    }
}

#[test]
fn a_challenge_answered() {
    let mut ledger = custody();
    let ask = ask(&certificate(&ledger));
    ledger.ok(ALICE, ask.clone());
    let (_, record) = ledger.state.challenges().next().unwrap();
    assert_eq!(record.deadline, Block(8200));
    says("has to be answered through block 8,200");
    let answer = answer(&ledger);
    ledger.pass(7200);
    ledger.ok(BOB, answer);
    says("the bond of `10000000000000000` wei is Otto's");
    assert_eq!(
        ledger.state.bonds_paid(OTTO, TOKEN),
        wei("10000000000000000")
    );
    // The last block for another question.
    ledger.pass(65_700 - 8200);
    ledger.ok(ALICE, ask.clone());
    ledger.pass(1);
    assert_eq!(ledger.code(BOB, ask), "challenge.late");
    says("He can be asked through block 65,700");
}

#[test]
fn a_challenge_without_an_answer() {
    let mut ledger = custody();
    let ask = ask(&certificate(&ledger));
    ledger.ok(ALICE, ask.clone());
    ledger.ok(BOB, ask.clone());
    ledger.pass(7200);
    assert_eq!(ledger.weight(), ether(42));
    ledger.pass(1);
    assert_eq!(ledger.worth(OTTO).withdrawable, ether(90));
    assert_eq!(ledger.weight(), wei("31500000000000000000"));
    says(
        "In block 8,201 a quarter of his 40 stETH is gone: 90 of 100 are left, and his weight falls from 42 to 31.5",
    );
    for who in [ALICE, BOB] {
        assert_eq!(
            ledger.state.bonds_paid(who, TOKEN),
            wei("10000000000000000")
        );
    }
    says("Alice and Bob have their bonds back");
    assert_eq!(ledger.code(ALICE, ask), "slash.same_fault");
}
