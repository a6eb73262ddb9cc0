#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use ashlar_crypto::bls::Signature;
use ashlar_crypto::identity::NetworkSignature;
use ashlar_proto::{BatchHeader, Block, OperatorId, Sequence, TableRoot};

use super::*;
use crate::store::{Backend, DatabaseId, Floor, MemoryBackend};

const DOMAIN: Domain = Domain([7; 32]);
const NOW_MS: u64 = 1_700_000_000_000;

fn key() -> SecretKey {
    SecretKey::from_ikm(&[1; 32])
}

/// A signer on this disk, as after a start.
fn service(disk: &MemoryBackend) -> SigningService {
    let backend: Box<dyn Backend> = Box::new(disk.clone());
    let owner = OperatorId([3; 32]);
    SigningService {
        rules: Rules {
            nodes: Vec::new(),
            domains: vec![DOMAIN],
            max_age_ms: 600_000,
            max_skew_ms: 30_000,
        },
        key: key(),
        store: DiskStore::create(backend, owner, DatabaseId([4; 16]), 3600).unwrap(),
        health: Arc::default(),
        metrics: Arc::default(),
    }
}

/// A batch of disperser 5; another root is another batch.
fn batch(sequence: u64, root: u8) -> SignBatch {
    let batch_header = BatchHeader {
        domain: DOMAIN,
        table_root: TableRoot([0x7a; 32]),
        version: 1,
        batch_root: [root; 32],
        blobs: 1,
        rows: 1,
        reference_block: Block(5),
        disperser_id: 5,
        sequence: Sequence(sequence),
        created_at_ms: NOW_MS,
    };
    SignBatch {
        batch_header,
        disperser_signature: NetworkSignature([0x51; 64]),
    }
}

fn code(result: Result<SignatureBytes, Refusal>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn published_example_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("signer.example.toml");
    let example = SignerConfig::example();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        example,
        "run this test with ASHLAR_BLESS=1 to write signer.example.toml anew"
    );
}

#[test]
fn one_number_one_digest_over_restarts() {
    let disk = MemoryBackend::default();
    let signer = service(&disk);
    let first = signer.sign(batch(7, 1), NOW_MS).unwrap();
    Signature::from_bytes(&first)
        .and_then(|signature| {
            key()
                .public_key()
                .verify(&batch(7, 1).batch_header.digest().0, &signature)
        })
        .unwrap();
    assert_eq!(signer.sign(batch(7, 1), NOW_MS).unwrap(), first);
    assert_eq!(
        code(signer.sign(batch(7, 2), NOW_MS)),
        "store.sequence_conflict"
    );
    // The note of the signature is lost with the power, the record is not.
    drop(signer);
    disk.cut_power();
    let signer = service(&disk);
    assert_eq!(
        code(signer.sign(batch(7, 2), NOW_MS)),
        "store.sequence_conflict"
    );
    assert_eq!(signer.sign(batch(7, 1), NOW_MS).unwrap(), first);
    // Also when nobody would offer it any more.
    assert_eq!(signer.sign(batch(7, 1), NOW_MS + 900_000).unwrap(), first);
}

#[test]
fn batches_come_in_any_order_above_the_floor() {
    let signer = service(&MemoryBackend::default());
    for sequence in [10, 8, 12, 9, 11] {
        signer.sign(batch(sequence, 1), NOW_MS).unwrap();
    }
    // Twice the time in which a batch can be offered: the records stay. After it a floor takes their place.
    let kept_secs = 2 * 630;
    assert_eq!(
        signer.store.prune(NOW_MS / 1000 + kept_secs - 1).unwrap(),
        0
    );
    assert_eq!(signer.store.prune(NOW_MS / 1000 + kept_secs).unwrap(), 5);
    let later = NOW_MS + 1000 * kept_secs;
    let fresh = |sequence, root| {
        let mut batch = batch(sequence, root);
        batch.batch_header.created_at_ms = later;
        batch
    };
    for sequence in [7, 8, 10, 12] {
        assert_eq!(
            code(signer.sign(fresh(sequence, 2), later)),
            "store.below_floor"
        );
    }
    signer.sign(fresh(13, 2), later).unwrap();
}

#[test]
fn what_the_node_says_is_not_believed() {
    let signer = service(&MemoryBackend::default());
    let mut other = batch(1, 1);
    other.batch_header.domain = Domain([8; 32]);
    assert_eq!(code(signer.sign(other, NOW_MS)), "signer.other_domain");
    assert_eq!(
        code(signer.sign(batch(1, 1), NOW_MS + 600_001)),
        "signer.time"
    );
    assert_eq!(
        code(signer.sign(batch(1, 1), NOW_MS - 30_001)),
        "signer.time"
    );
    // Nothing of that used a number.
    signer.sign(batch(1, 2), NOW_MS).unwrap();
}

#[test]
fn floors_that_were_imported_and_the_end_of_signing_hold() {
    let signer = service(&MemoryBackend::default());
    let floor = Floor {
        domain: DOMAIN,
        disperser_id: 5,
        sequence: Sequence(20),
    };
    signer.store.raise_floors(&[floor]).unwrap();
    assert_eq!(code(signer.sign(batch(20, 1), NOW_MS)), "store.below_floor");
    signer.sign(batch(21, 1), NOW_MS).unwrap();
    signer.is_ready().unwrap();
    // A disk that failed is tried again, and health forgets it.
    signer.health.opened();
    signer.health.raise(health::STORAGE, "it failed");
    assert!(!signer.health.ready().ready);
    signer.is_ready().unwrap();
    assert!(signer.health.ready().ready);
    signer.store.end_signing().unwrap();
    assert_eq!(code(signer.sign(batch(22, 1), NOW_MS)), "store.moved");
    assert!(signer.is_ready().is_err());
    assert!(signer.health.raised(health::MOVED).is_some());
    // Another database may have signed another batch under this number: not even that is given again.
    assert_eq!(code(signer.sign(batch(21, 1), NOW_MS)), "store.moved");
}
