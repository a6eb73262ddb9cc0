//! A registered disperser that cheats: real operators refuse, each of them, and say which check failed.

use crate::support::Devnet;
use crate::support::evil::{self, Batch, Sealed, Sender};
use crate::support::random::payload;
use ashlar_crypto::bls::PublicKey;
use ashlar_crypto::kzg::{Commitment, CommitmentBytes, PointError};
use ashlar_crypto::{Encoding, NetworkKey, Rows, Slices};
use ashlar_proto::{Domain, Network, OperatorIndex, TableAccess, version};
use ashlar_stake::OperatorTable;

/// A devnet whose disperser is gone and whose identity the test has taken over.
struct Stage {
    devnet: Devnet,
    table: std::sync::Arc<OperatorTable>,
    sender: Sender,
}

fn stage() -> Stage {
    let mut devnet =
        Devnet::start_with(&["--no-ledger", "--operators", "4", "--stakes", "10,10,10,10"]);
    let sender = Sender::new(&evil::network_key(&devnet.file.disperser.dir));
    let table = evil::table(&devnet);
    devnet.kill_disperser();
    Stage {
        devnet,
        table,
        sender,
    }
}

impl Stage {
    #[track_caller]
    fn all_refuse(&self, batch: &Sealed, code: &str) {
        for (index, answer) in self
            .sender
            .send_to_all(&self.table, batch)
            .into_iter()
            .enumerate()
        {
            assert_eq!(answer, Err(code.to_owned()), "operator {index}");
        }
    }

    #[track_caller]
    fn all_sign(&self, batch: &Sealed) -> Vec<ashlar_crypto::bls::SignatureBytes> {
        let digest = batch.batch_header.digest();
        self.sender
            .send_to_all(&self.table, batch)
            .into_iter()
            .zip((0..).map(OperatorIndex))
            .map(|(answer, index)| {
                let signature =
                    answer.unwrap_or_else(|code| panic!("operator {index} refused with {code}"));
                let key: &PublicKey = self.table.public_key(index).unwrap();
                let checked = ashlar_crypto::bls::Signature::from_bytes(&signature).unwrap();
                key.verify(&digest.0, &checked).unwrap();
                signature
            })
            .collect()
    }
}

#[test]
fn every_honest_operator_refuses_a_wrong_encoding_and_names_the_check() {
    let stage = stage();
    let (data, other) = (payload(51, 300_000), payload(52, 300_000));
    let honest = |sequence| Batch::honest(&stage.table, &data, sequence);
    let code = version(1).unwrap().code;

    // Commitments and proofs of one payload, slices of another, all roots made to fit: only the KZG check can tell.
    let mut batch = honest(1000);
    let others = Rows::from_payload(&other, Encoding::Packed31).unwrap();
    batch.slices = Slices::extend(code, &others)
        .iter()
        .map(<[u8]>::to_vec)
        .collect();
    stage.all_refuse(&batch.seal(), "chunk.proof_mismatch");

    // One element of each slice is off by one.
    let mut batch = honest(1001);
    batch.slices.iter_mut().for_each(|slice| slice[31] ^= 1);
    stage.all_refuse(&batch.seal(), "chunk.proof_mismatch");

    // The chunks are right, their proofs belong to their neighbours.
    let mut sealed = honest(1002).seal();
    sealed.chunk_proofs.rotate_left(1);
    stage.all_refuse(&sealed, "chunk.proof_mismatch");

    // Elements that are not below the field's modulus.
    let mut batch = honest(1003);
    batch
        .slices
        .iter_mut()
        .for_each(|slice| slice[..32].fill(0xff));
    stage.all_refuse(&batch.seal(), "chunk.non_canonical");

    // A commitment that is no point of the curve's subgroup.
    let mut batch = honest(1004);
    batch.commitments[0] = [0xff; 48];
    stage.all_refuse(&batch.seal(), "validate.commitment");
    let mut batch = honest(1005);
    batch.commitments[0] = outside_the_subgroup();
    assert_eq!(
        Commitment::try_from(CommitmentBytes(batch.commitments[0])).err(),
        Some(PointError::NotInSubgroup)
    );
    stage.all_refuse(&batch.seal(), "validate.commitment");

    // Chunk proofs that are no points.
    let mut sealed = honest(1006).seal();
    sealed
        .chunk_proofs
        .iter_mut()
        .for_each(|proof| proof.0 = [0xff; 48]);
    stage.all_refuse(&sealed, "validate.chunk_proof");

    // Commitments other than those of the header.
    let mut sealed = honest(1007).seal();
    sealed.commitments.swap(0, 1);
    stage.all_refuse(&sealed, "validate.commitments_root");

    // Slices that are not those of the chunk root.
    let mut sealed = honest(1008).seal();
    sealed.slices.iter_mut().for_each(|slice| slice[100] ^= 1);
    stage.all_refuse(&sealed, "validate.slices");

    // After all of that, an honest batch is signed by everybody.
    stage.all_sign(&honest(1009).seal());
}

#[test]
fn one_sequence_number_is_signed_once_and_a_repetition_gets_the_same_signature() {
    let mut stage = stage();
    let first = Batch::honest(&stage.table, &payload(53, 1000), 7).seal();
    let signatures = stage.all_sign(&first);
    assert_eq!(stage.all_sign(&first), signatures);

    let second = Batch::honest(&stage.table, &payload(54, 1000), 7).seal();
    assert_ne!(first.batch_header.digest(), second.batch_header.digest());
    stage.all_refuse(&second, "store.sequence_conflict");

    // The record outlives the process, also one that is killed.
    for index in 0..4 {
        stage.devnet.kill_node(index);
        stage.devnet.restart_node(index);
    }
    stage.all_refuse(&second, "store.sequence_conflict");
    assert_eq!(stage.all_sign(&first), signatures);
}

#[test]
fn only_registered_dispersers_are_listened_to() {
    let stage = stage();
    let batch = Batch::honest(&stage.table, &payload(55, 1000), 1).seal();
    let assignment = evil::assignment(&stage.table, &[0]);
    let operator = &stage.table.operators()[0];
    // A stranger, and an operator of the same network.
    let strangers = [
        NetworkKey::from_seed([7; 32]),
        evil::network_key(&stage.devnet.node(1).dir),
    ];
    for key in strangers {
        let (message, bulk) = batch.request(assignment.chunks(OperatorIndex(0)));
        let answer = Sender::new(&key).send(operator, message, bulk);
        assert_eq!(answer, Err("validate.not_a_disperser".to_owned()));
    }
    // A registered one that speaks for another.
    let mut impostor = Batch::honest(&stage.table, &payload(55, 1000), 2);
    impostor.disperser_id = 5;
    stage.all_refuse(&impostor.seal(), "validate.not_a_disperser");
}

#[test]
fn a_batch_of_another_service_or_table_or_without_its_signature_is_refused() {
    let stage = stage();
    let data = payload(57, 1000);
    let spoiled = |sequence, spoil: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::honest(&stage.table, &data, sequence);
        spoil(&mut batch);
        batch.seal()
    };
    // A service of another network, and nothing that was ever made.
    let elsewhere = [Network::file("another network").domain(1), Domain([0; 32])];
    for (domain, sequence) in elsewhere.into_iter().zip(1..) {
        assert_ne!(domain, stage.table.domain());
        stage.all_refuse(
            &spoiled(sequence, &|b| b.domain = domain),
            "validate.other_domain",
        );
    }
    stage.all_refuse(
        &spoiled(4, &|b| b.table_root.0[0] ^= 1),
        "validate.table_root",
    );
    // The disperser sends it, another key signed it: nobody could hold the disperser to it.
    let key = evil::network_key(&stage.devnet.file.disperser.dir);
    let sender = Sender::signing_with(&key, &NetworkKey::from_seed([7; 32]));
    let batch = spoiled(5, &|_| {});
    for answer in sender.send_to_all(&stage.table, &batch) {
        assert_eq!(answer, Err("validate.disperser_signature".to_owned()));
    }
    // None of that used up a number.
    for sequence in 1..=5 {
        stage.all_sign(&spoiled(sequence, &|_| {}));
    }
}

#[test]
fn headers_that_do_not_fit_the_network_are_refused() {
    let stage = stage();
    let data = payload(56, 1000);
    let spoiled = |sequence, spoil: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::honest(&stage.table, &data, sequence);
        spoil(&mut batch);
        batch.seal()
    };
    stage.all_refuse(
        &spoiled(1, &|b| b.reference_block.0 += 1),
        "validate.reference_unknown",
    );
    stage.all_refuse(
        &spoiled(2, &|b| b.created_at_ms += 3_600_000),
        "validate.from_future",
    );
    stage.all_refuse(
        &spoiled(3, &|b| b.created_at_ms -= 36_000_000),
        "validate.too_old",
    );
    let other = Batch::of_version(2, &stage.table, &data, 4).seal();
    stage.all_refuse(&other, "assignment.version_not_recorded");

    // Somebody else's chunks, and too few of one's own.
    let batch = spoiled(5, &|_| {});
    let assignment = evil::assignment(&stage.table, &[0]);
    let operator = &stage.table.operators()[0];
    let own = assignment.chunks(OperatorIndex(0));
    for chunks in [assignment.chunks(OperatorIndex(1)), &own[1..]] {
        let (message, bulk) = batch.request(chunks);
        assert_eq!(
            stage.sender.send(operator, message, bulk),
            Err("validate.assignment".to_owned())
        );
    }
    // One byte missing in the bulk part.
    let (message, mut bulk) = batch.request(own);
    let last = bulk.pop().unwrap();
    bulk.push(last.slice(..last.len() - 1));
    assert_eq!(
        stage.sender.send(operator, message, bulk),
        Err("wire.bulk_length".to_owned())
    );
}

/// x = 4: on the curve (4³ + 4 = 68 is a square), and not in the subgroup of prime order.
fn outside_the_subgroup() -> [u8; 48] {
    let mut bytes = [0u8; 48];
    bytes[47] = 4;
    bytes[0] = 0x80;
    bytes
}
