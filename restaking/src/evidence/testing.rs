//! A small network with real keys, a real blob with its commitments and slices, and a certificate of it.

use std::sync::OnceLock;

use ashlar_crypto::bls::{SecretKey, aggregate_signatures};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::kzg::{extended_point, open_at};
use ashlar_crypto::merkle::MerkleTree;
use ashlar_crypto::{CommitmentBytes, ProofBytes, Rows, Setup, Slices};
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, BlobKey, Certificate, DisperserEntry,
    QuorumId, Sequence, Stake, TableAccess as _, TableScope, batch_tree, operator_id, version,
};

use super::*;
use ashlar_stake::Registration;
pub(super) use ashlar_testing::DOMAIN;
use ashlar_testing::custody::Blob;
use ashlar_testing::scope;

/// The reference block.
pub(super) const BLOCK: Block = Block(100);
/// The block of the other table.
pub(super) const OTHER_BLOCK: Block = Block(120);
/// The newest block that is over.
pub(super) const HEAD: Block = Block(150);
/// A root that the source of tables signed for the reference block, against the ledger.
pub(super) const LIE: TableRoot = TableRoot([0x11; 32]);
/// A version that the service recorded at the other block, and this software does not know.
pub(super) const NEW_VERSION: u16 = 999;
/// The registered disperser.
pub(super) const DISPERSER: u32 = 42;

/// Operators 1 to 4 have stake 10, 20, 30, 40 in quorum 0; operator 5 has stake in quorum 1 only.
pub(super) fn key(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n; 32])
}

pub(super) fn id(n: u8) -> OperatorId {
    operator_id(&key(n).public_key().to_bytes())
}

pub(super) fn disperser_key() -> NetworkKey {
    NetworkKey::from_seed([0xdd; 32])
}

fn registration(n: u8, quorum: QuorumId, stake: u64) -> Registration {
    let network = NetworkKey::from_seed([n; 32]).public();
    Registration::new(
        &key(n),
        network,
        format!("10.0.0.{n}:7000"),
        vec![(quorum, Stake::from(stake))],
    )
}

pub(super) struct World {
    pub(super) table: Arc<OperatorTable>,
    /// A table of operator 6 alone, without dispersers.
    pub(super) other_table: Arc<OperatorTable>,
    pub(super) rows: Rows,
    pub(super) commitments: Vec<CommitmentBytes>,
    pub(super) slices: Slices,
    pub(super) blobs: Vec<BlobHeader>,
    pub(super) batch: BatchHeader,
    /// Of blob 1, signed by operators 2, 3 and 4.
    pub(super) certificate: Certificate,
}

/// The blob with real contents.
pub(super) const BLOB: usize = 1;

impl World {
    pub(super) fn blob(&self) -> &BlobHeader {
        &self.blobs[BLOB]
    }

    pub(super) fn blob_path(&self, index: usize) -> Vec<Hash> {
        let keys: Vec<BlobKey> = self.blobs.iter().map(BlobHeader::blob_key).collect();
        batch_tree(&keys).path(index).unwrap()
    }

    pub(super) fn commitment_path(&self, row: u32) -> Vec<Hash> {
        let tree = MerkleTree::from_leaves(self.commitments.iter().map(|c| c.0));
        tree.path(row as usize).unwrap()
    }

    /// The element, with its proof.
    pub(super) fn open(&self, row: u32, element: u32) -> ([u8; 32], ProofBytes) {
        let z = extended_point(version(1).unwrap().code, element).unwrap();
        open_at(Setup::ethereum(), self.rows.row(row as usize).unwrap(), &z).unwrap()
    }

    pub(super) fn opening(&self, position: Position) -> CustodyAnswer {
        let (y, proof) = self.open(position.row, position.element);
        CustodyAnswer::Opening {
            commitment: self.commitments[position.row as usize],
            path: self.commitment_path(position.row),
            y,
            proof,
        }
    }

    pub(super) fn slice(&self, chunk: u32) -> CustodyAnswer {
        CustodyAnswer::Slice {
            bytes: self.slices.slice(chunk).unwrap().to_vec(),
            path: MerkleTree::from_slices(&self.slices)
                .path(chunk as usize)
                .unwrap(),
        }
    }

    pub(super) fn duty(&self, n: u8) -> CustodyObligation {
        CustodyObligation::prove(&self.certificate, &self.table, &id(n)).unwrap()
    }

    pub(super) fn prove(&self, fault: &Fault) -> Result<ProvenFault, EvidenceError> {
        fault.check(self)
    }

    /// The code of a refusal.
    pub(super) fn refuse(&self, fault: &Fault) -> &'static str {
        ashlar_crypto::Coded::code(&self.prove(fault).unwrap_err())
    }
}

impl ServiceRecords for World {
    fn domain(&self) -> Domain {
        DOMAIN
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, NoTable> {
        match block {
            BLOCK => Ok(self.table.clone()),
            OTHER_BLOCK => Ok(self.other_table.clone()),
            _ if block <= HEAD => Err(NoTable::Nobody),
            _ => Err(NoTable::Unseen),
        }
    }

    fn operator_key(&self, operator: &OperatorId) -> Option<PublicKey> {
        (1..=6)
            .find(|n| id(*n) == *operator)
            .map(|n| key(n).public_key())
    }

    fn source_signed(&self, block: Block, root: &TableRoot) -> bool {
        (block, *root) == (BLOCK, LIE)
    }
}

pub(super) fn batch_of(table: &OperatorTable, blobs: &[BlobHeader]) -> BatchHeader {
    let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
    BatchHeader {
        domain: DOMAIN,
        table_root: table.root(),
        version: 1,
        batch_root: batch_tree(&keys).root(),
        blobs: blobs.len() as u32,
        rows: blobs.iter().map(|blob| blob.rows).sum(),
        reference_block: table.reference_block(),
        disperser_id: DISPERSER,
        sequence: Sequence(9),
        created_at_ms: 1_700_000_000_000,
    }
}

pub(super) fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut operators: Vec<_> = (1..=4)
            .map(|n| registration(n, 0, u64::from(n) * 10))
            .collect();
        operators.push(registration(5, 1, 10));
        let disperser = DisperserEntry {
            id: DISPERSER,
            network_key: disperser_key().public(),
            account: Account([7; 20]),
            bond: Stake::from(1),
        };
        let now = TableScope {
            versions: vec![1],
            ..scope(BLOCK.0)
        };
        let table = OperatorTable::register(now, operators, vec![disperser]).unwrap();
        let later = TableScope {
            versions: vec![1, 2, NEW_VERSION],
            ..scope(OTHER_BLOCK.0)
        };
        let other_table =
            OperatorTable::register(later, vec![registration(6, 0, 1)], vec![]).unwrap();

        let payload = (0..200_000u32).map(|i| (i * 7 + i / 251) as u8);
        let blob = Blob::of(payload.collect(), 5);
        let real = blob.header;
        let other = |salt| BlobHeader {
            payload_len: 1000,
            rows: 1,
            commitments_root: [2; 32],
            salt,
            ..real.clone()
        };
        let blobs = vec![other(1), real.clone(), other(2)];
        let batch = batch_of(&table, &blobs);
        let signers = [2, 3, 4];
        let signatures: Vec<_> = signers
            .iter()
            .map(|&n| key(n).sign(batch.digest().as_bytes()))
            .collect();
        let indices = signers.iter().map(|&n| table.find(&id(n)).unwrap());
        let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
        let certificate = Certificate {
            blob_header: real,
            blob_index: BLOB as u32,
            blob_path: batch_tree(&keys).path(BLOB).unwrap(),
            batch_header: batch.clone(),
            attestation: Attestation::Compact {
                signers: Bitmap::from_indices(5, indices).unwrap(),
            },
            signature: aggregate_signatures(&signatures).unwrap().to_bytes(),
        };
        World {
            table: Arc::new(table),
            other_table: Arc::new(other_table),
            rows: blob.rows,
            commitments: blob.commitments,
            slices: blob.slices,
            blobs,
            batch,
            certificate,
        }
    })
}

/// Every kind of fault, each of them proven.
pub(super) fn faults() -> Vec<Fault> {
    let world = world();
    let mut second = world.batch.clone();
    second.created_at_ms += 1;
    let double = DoubleSigning::new(
        id(1),
        SignedBatch::sign(&key(1), world.batch.clone()),
        SignedBatch::sign(&key(1), second),
    );
    let mut third = world.batch.clone();
    third.table_root = LIE;
    let equivocation = DisperserEquivocation::new(
        DispersedBatch::sign(&disperser_key(), world.batch.clone()),
        DispersedBatch::sign(&disperser_key(), third),
    );
    let attest = |n, header: BatchHeader, breach| {
        Fault::BadAttestation(BadAttestation {
            operator: id(n),
            batch: SignedBatch::sign(&key(n), header),
            breach,
        })
    };
    let header = |change: fn(&mut BatchHeader)| {
        let mut header = world.batch.clone();
        change(&mut header);
        header
    };
    let mut bad_blobs = world.blobs.clone();
    bad_blobs[0].rows = 2;
    let bad_batch = batch_of(&world.table, &bad_blobs);
    let keys: Vec<BlobKey> = bad_blobs.iter().map(BlobHeader::blob_key).collect();
    let bad_blob = BlobInBatch {
        header: bad_blobs[0].clone(),
        index: 0,
        path: batch_tree(&keys).path(0).unwrap(),
    };
    let good_blob = BlobInBatch {
        header: world.blob().clone(),
        index: BLOB as u32,
        path: world.blob_path(BLOB),
    };
    vec![
        Fault::DoubleSigning(double),
        Fault::DisperserEquivocation(equivocation),
        attest(1, header(|h| h.version = NEW_VERSION), Breach::Header),
        attest(2, header(|h| h.table_root.0[0] ^= 1), Breach::Table),
        attest(3, header(|h| h.disperser_id = 43), Breach::UnknownDisperser),
        attest(4, bad_batch, Breach::Blob(bad_blob)),
        attest(5, world.batch.clone(), Breach::Unassigned(good_blob)),
    ]
}
