//! An operator table and certificates for the tests of this crate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{
    bls::{PublicKey, SecretKey, Signature, aggregate_public_keys, aggregate_signatures},
    identity::NetworkPublicKey,
    payload::{Encoding, rows_for},
};

use crate::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, BlobKey, Block, Certificate,
    DisperserEntry, Domain, Network, OperatorEntry, OperatorIndex, Sequence, Stake, TableAccess,
    TableHeader, TableRoot, batch_tree, operator_id,
    table::{dispersers_tree, operators_tree},
};

pub(crate) const BLOCK: Block = Block(1_234_567);

/// The service of all tables and batches of these tests.
pub(crate) fn domain() -> Domain {
    Network::file("test").domain(1)
}

/// A table whose secret keys are known.
pub(crate) struct Table {
    pub(crate) header: TableHeader,
    pub(crate) operators: Vec<OperatorEntry>,
    pub(crate) secrets: Vec<SecretKey>,
    keys: Vec<PublicKey>,
    aggregate: PublicKey,
}

impl Table {
    /// Operators with these stakes: (stake in quorum 0, stake in quorum 1), zero for none.
    pub(crate) fn new(stakes: &[(u64, u64)]) -> Self {
        let mut operators: Vec<(OperatorEntry, SecretKey)> = stakes
            .iter()
            .enumerate()
            .map(|(i, &(a, b))| {
                let secret = SecretKey::from_ikm(&[i as u8 + 1; 32]);
                let bls = secret.public_key().to_bytes();
                let stakes = [(0u8, a), (1u8, b)];
                let entry = OperatorEntry {
                    operator_id: operator_id(&bls),
                    bls_public_key: bls,
                    network_key: NetworkPublicKey([i as u8 + 100; 32]),
                    address: format!("10.0.0.{i}:4400"),
                    stakes: stakes
                        .iter()
                        .filter(|s| s.1 > 0)
                        .map(|&(q, s)| (q, Stake::from(s)))
                        .collect(),
                };
                (entry, secret)
            })
            .collect();
        operators.sort_by_key(|(entry, _)| entry.operator_id);
        let (operators, secrets): (Vec<_>, Vec<_>) = operators.into_iter().unzip();
        let keys: Vec<PublicKey> = secrets.iter().map(SecretKey::public_key).collect();
        let aggregate = aggregate_public_keys(&keys).unwrap();
        let total = |q: u8| {
            operators
                .iter()
                .map(|o| o.stake(q))
                .fold(Stake::ZERO, |a, b| a + b)
        };
        let dispersers = [DisperserEntry {
            id: 7,
            network_key: NetworkPublicKey([9; 32]),
            account: Account([3; 20]),
            bond: Stake::from(1),
        }];
        let header = TableHeader {
            domain: domain(),
            reference_block: BLOCK,
            versions: vec![1],
            operators: operators.len() as u32,
            operators_root: operators_tree(&operators).root(),
            dispersers_root: dispersers_tree(&dispersers).root(),
            aggregate_key: aggregate.to_bytes(),
            totals: [0u8, 1]
                .iter()
                .map(|&q| (q, total(q)))
                .filter(|t| !t.1.is_zero())
                .collect(),
        };
        Self {
            header,
            operators,
            secrets,
            keys,
            aggregate,
        }
    }

    /// Seven operators in quorum 0, three of them in quorum 1 too. Index order is that of the ids.
    pub(crate) fn usual() -> Self {
        Self::new(&[
            (100, 0),
            (90, 30),
            (80, 0),
            (70, 40),
            (60, 0),
            (50, 30),
            (10, 0),
        ])
    }

    /// A certificate of a batch of three blobs, of the middle one, signed by the operators of these indices.
    pub(crate) fn certify(&self, signers: &[OperatorIndex], quorums: &[u8]) -> Certificate {
        let blobs: Vec<BlobHeader> = (0..3u64)
            .map(|salt| blob_header(100_000 * (salt + 1), quorums, salt))
            .collect();
        let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
        let tree = batch_tree(&keys);
        let batch_header = BatchHeader {
            domain: domain(),
            table_root: self.header.root(),
            version: 1,
            batch_root: tree.root(),
            blobs: 3,
            rows: blobs.iter().map(|b| b.rows).sum(),
            reference_block: BLOCK,
            disperser_id: 7,
            sequence: Sequence(42),
            created_at_ms: 1_700_000_000_123,
        };
        let mut certificate = Certificate {
            blob_header: blobs[1].clone(),
            blob_index: 1,
            blob_path: tree.path(1).unwrap(),
            batch_header,
            attestation: Attestation::Compact {
                signers: Bitmap::from_indices(self.header.operators, signers.iter().copied())
                    .unwrap(),
            },
            signature: self.secrets[0].sign(b"").to_bytes(),
        };
        self.sign(&mut certificate, signers);
        certificate
    }

    /// Signs the certificate's batch anew by these operators; the attestation stays as it is.
    pub(crate) fn sign(&self, certificate: &mut Certificate, signers: &[OperatorIndex]) {
        let digest = certificate.batch_header.digest();
        let signatures: Vec<Signature> = signers
            .iter()
            .map(|&i| self.secrets[i.0 as usize].sign(digest.as_bytes()))
            .collect();
        if let Some(sum) = aggregate_signatures(&signatures) {
            certificate.signature = sum.to_bytes();
        }
    }
}

impl TableAccess for Table {
    fn header(&self) -> &TableHeader {
        &self.header
    }

    fn root(&self) -> TableRoot {
        self.header.root()
    }

    fn operator(&self, index: OperatorIndex) -> Option<&OperatorEntry> {
        self.operators.get(index.0 as usize)
    }

    fn public_key(&self, index: OperatorIndex) -> Option<&PublicKey> {
        self.keys.get(index.0 as usize)
    }

    fn aggregate_key(&self) -> &PublicKey {
        &self.aggregate
    }
}

/// A valid blob header of version 1.
pub(crate) fn blob_header(payload_len: u64, quorums: &[u8], salt: u64) -> BlobHeader {
    BlobHeader {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len,
        rows: rows_for(Encoding::Packed31, payload_len).unwrap(),
        commitments_root: [0x11; 32],
        chunk_root: [0x22; 32],
        quorums: quorums.to_vec(),
        account: Account(std::array::from_fn(|i| i as u8 + 1)),
        salt,
    }
}

/// A batch header for these blobs.
pub(crate) fn batch_header(blobs: &[BlobHeader]) -> BatchHeader {
    let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
    BatchHeader {
        domain: domain(),
        table_root: TableRoot([0x33; 32]),
        version: 1,
        batch_root: batch_tree(&keys).root(),
        blobs: blobs.len() as u32,
        rows: blobs.iter().map(|b| b.rows).sum(),
        reference_block: BLOCK,
        disperser_id: 42,
        sequence: Sequence(9),
        created_at_ms: 1_700_000_000_123,
    }
}
