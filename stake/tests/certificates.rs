//! Certificates against a real table: whatever is changed in a valid one, the check refuses it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::OnceLock;

use ashlar_crypto::bls::{SecretKey, aggregate_signatures};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::payload::Encoding;
use ashlar_proto::header::batch_tree;
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, Block, Certificate, CertificatePolicy,
    MaxAge, RequiredQuorums, Sequence, Stake, TableAccess, TrustedTable, operator_id,
    verify_certificate, verify_portable,
};
use ashlar_stake::{OperatorTable, Registration};
use ashlar_testing::{DOMAIN, scope};
use proptest::prelude::*;

fn key(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n; 32])
}

fn table() -> &'static OperatorTable {
    static TABLE: OnceLock<OperatorTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let registrations = (1..=5)
            .map(|n| {
                let network = NetworkKey::from_seed([n; 32]).public();
                Registration::new(
                    &key(n),
                    network,
                    format!("10.0.0.{n}:7000"),
                    vec![(0, Stake::from(n))],
                )
            })
            .collect();
        OperatorTable::register(scope(7), registrations, Vec::new()).unwrap()
    })
}

/// Of a batch that all but the weakest two signed: compact and portable.
fn certificates() -> [Certificate; 2] {
    let blobs: Vec<BlobHeader> = (0..3)
        .map(|salt| BlobHeader {
            version: 1,
            encoding: Encoding::Packed31,
            payload_len: 1000,
            rows: 1,
            commitments_root: [2; 32],
            chunk_root: [3; 32],
            quorums: vec![0],
            account: Account([1; 20]),
            salt,
        })
        .collect();
    let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
    let batch_header = BatchHeader {
        domain: DOMAIN,
        table_root: table().root(),
        version: 1,
        batch_root: batch_tree(&keys).root(),
        blobs: 3,
        rows: 3,
        reference_block: Block(7),
        disperser_id: 0,
        sequence: Sequence(1),
        created_at_ms: 1_700_000_000_000,
    };
    let digest = batch_header.digest();
    let signers = (3..=5).map(|n| {
        table()
            .find(&operator_id(&key(n).public_key().to_bytes()))
            .unwrap()
    });
    let signatures: Vec<_> = (3..=5).map(|n| key(n).sign(digest.as_bytes())).collect();
    let compact = Certificate {
        blob_header: blobs[1].clone(),
        blob_index: 1,
        blob_path: batch_tree(&keys).path(1).unwrap(),
        batch_header,
        attestation: Attestation::Compact {
            signers: Bitmap::from_indices(5, signers).unwrap(),
        },
        signature: aggregate_signatures(&signatures).unwrap().to_bytes(),
    };
    let portable = compact.to_portable(table()).unwrap();
    [compact, portable]
}

/// Whether bytes are a certificate that passes, for a holder of the table and for a holder of its root.
fn passes(bytes: &[u8]) -> [bool; 2] {
    let Ok(certificate) = Certificate::from_bytes(bytes) else {
        return [false; 2];
    };
    let policy = CertificatePolicy::new(
        table().domain(),
        RequiredQuorums::all([0]),
        MaxAge::Unbounded,
    );
    let trusted = TrustedTable::trust_on_my_own_word(table());
    [
        verify_certificate(&certificate, &trusted, &policy).is_ok(),
        verify_portable(&certificate, &trusted.trusted_root(), &policy).is_ok(),
    ]
}

#[test]
fn the_real_table_serves_both_forms() {
    let [compact, portable] = certificates().map(|certificate| certificate.to_bytes());
    assert_eq!(passes(&compact), [true, false]);
    assert_eq!(passes(&portable), [true, true]);
}

/// Every single bit.
#[test]
fn no_bit_may_change() {
    for certificate in certificates() {
        let bytes = certificate.to_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(passes(&changed), [false; 2], "bit {bit}");
        }
    }
}

#[test]
fn no_byte_may_be_missing_or_added() {
    for certificate in certificates() {
        let bytes = certificate.to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(
                passes(&bytes[..len]),
                [false; 2],
                "{len} of {} bytes",
                bytes.len()
            );
        }
        assert_eq!(passes(&[&bytes[..], &[0]].concat()), [false; 2]);
    }
}

proptest! {
    /// Several changes at once, insertions and removals included.
    #[test]
    fn nothing_else_passes(form in 0usize..2, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0u8..3), 1..8)) {
        let bytes = certificates()[form].to_bytes();
        let mut changed = bytes.clone();
        for (place, byte, edit) in edits {
            let place = place.index(changed.len());
            match edit {
                0 => changed[place] = byte,
                1 => changed.insert(place, byte),
                _ => {
                    changed.remove(place);
                }
            }
        }
        prop_assume!(changed != bytes);
        prop_assert_eq!(passes(&changed), [false; 2]);
    }
}
