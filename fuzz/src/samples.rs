//! What targets and seeds share: one small network whose table, certificates and messages are valid.

use std::sync::OnceLock;

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::{SecretKey, aggregate_signatures};
use ashlar_crypto::identity::{NetworkKey, NetworkSignature};
use ashlar_crypto::payload::Encoding;
use ashlar_crypto::{Hash, ProofBytes};
use ashlar_proto::auth::header::{SignedAuthorization, SignedVoucher};
use ashlar_proto::auth::{AccountStatement as _, Authorization, KeyGrant, Voucher};
use ashlar_proto::header::batch_tree;
use ashlar_proto::wire::BatchPlace;
use ashlar_proto::{
    Account, Attestation, BatchDigest, BatchHeader, Bitmap, BlobHeader, BlobId, Block, Certificate,
    ChunkRanges, DisperserEntry, Domain, Head, OperatorIndex, Sequence, SignedHead, Stake,
    TableAccess, TableScope, operator_id,
};
use ashlar_restaking::evidence::{
    BadAttestation, BlobInBatch, Breach, DispersedBatch, DisperserEquivocation, DoubleSigning,
    Fault, SignedBatch,
};
use ashlar_restaking::{Genesis, Params};
use ashlar_stake::{OperatorTable, Registration};

const OPERATORS: u8 = 4;

/// The secret key of operator number `n`, in the order of making.
fn key(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n; 32])
}

fn disperser_key() -> NetworkKey {
    NetworkKey::from_seed([0xd0; 32])
}

/// Four operators in quorum 0, of block 7.
pub(crate) fn table() -> &'static OperatorTable {
    static TABLE: OnceLock<OperatorTable> = OnceLock::new();
    TABLE.get_or_init(|| {
        let registrations = (1..=OPERATORS)
            .map(|n| {
                let network = NetworkKey::from_seed([n; 32]).public();
                Registration::new(
                    &key(n),
                    network,
                    format!("127.0.0.1:{}", 7000 + u16::from(n)),
                    vec![(0, Stake::from(n))],
                )
            })
            .collect();
        let disperser = DisperserEntry {
            id: 0,
            network_key: disperser_key().public(),
            account: Account([1; 20]),
            bond: Stake::from(1),
        };
        let scope = TableScope {
            domain: Domain([0xd0; 32]),
            reference_block: Block(7),
            versions: vec![1],
        };
        OperatorTable::register(scope, registrations, vec![disperser]).expect("a valid table")
    })
}

/// What a small ledger begins with.
pub(crate) fn genesis() -> Genesis {
    Genesis {
        network: "fuzz".into(),
        salt: [7; 32].into(),
        head_key: Account([9; 20]),
        block: Block(1),
        admin: Account([1; 20]),
        reward_updater: Account([2; 20]),
        params: Params::current(),
    }
}

/// Operator 1 signs two batches under one number.
pub(crate) fn double_signing() -> Fault {
    let (batch, _) = batch();
    let mut other = batch.clone();
    other.created_at_ms += 1;
    let secret = key(1);
    let operator = operator_id(&secret.public_key().to_bytes());
    Fault::DoubleSigning(DoubleSigning::new(
        operator,
        SignedBatch::sign(&secret, batch),
        SignedBatch::sign(&secret, other),
    ))
}

/// The disperser signs two batches under one number.
pub(crate) fn equivocation() -> Fault {
    let (batch, _) = batch();
    let mut other = batch.clone();
    other.created_at_ms += 1;
    Fault::DisperserEquivocation(DisperserEquivocation::new(
        DispersedBatch::sign(&disperser_key(), batch),
        DispersedBatch::sign(&disperser_key(), other),
    ))
}

/// Claims that an honest batch breaks a rule, one for each rule.
pub(crate) fn attestations() -> Vec<Fault> {
    let (batch, blobs) = batch();
    let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
    let blob = BlobInBatch {
        header: blobs[1].clone(),
        index: 1,
        path: batch_tree(&keys).path(1).expect("it is in the tree"),
    };
    let secret = key(1);
    [
        Breach::Header,
        Breach::Table,
        Breach::UnknownDisperser,
        Breach::Blob(blob.clone()),
        Breach::Unassigned(blob),
    ]
    .into_iter()
    .map(|breach| {
        Fault::BadAttestation(BadAttestation {
            operator: operator_id(&secret.public_key().to_bytes()),
            batch: SignedBatch::sign(&secret, batch.clone()),
            breach,
        })
    })
    .collect()
}

/// A header of a blob of one row.
pub(crate) fn blob_header(salt: u64) -> BlobHeader {
    BlobHeader {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: 1000,
        rows: 1,
        commitments_root: [2; 32],
        chunk_root: [3; 32],
        quorums: vec![0],
        account: Account([1; 20]),
        salt,
    }
}

/// A batch of three blobs, and their headers.
pub(crate) fn batch() -> (BatchHeader, Vec<BlobHeader>) {
    let blobs: Vec<_> = (0..3).map(blob_header).collect();
    let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
    let header = BatchHeader {
        domain: table().domain(),
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
    (header, blobs)
}

/// A certificate that the three strongest operators signed: compact, and portable.
pub(crate) fn certificates() -> [Certificate; 2] {
    let table = table();
    let (batch_header, blobs) = batch();
    let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
    let digest = batch_header.digest();
    let signers: Vec<(OperatorIndex, SecretKey)> = (2..=OPERATORS)
        .map(|n| {
            let key = key(n);
            let id = operator_id(&key.public_key().to_bytes());
            (table.find(&id).expect("it is in the table"), key)
        })
        .collect();
    let signatures: Vec<_> = signers
        .iter()
        .map(|(_, key)| key.sign(digest.as_bytes()))
        .collect();
    let compact = Certificate {
        blob_header: blobs[1].clone(),
        blob_index: 1,
        blob_path: batch_tree(&keys).path(1).expect("it is in the tree"),
        batch_header,
        attestation: Attestation::Compact {
            signers: Bitmap::from_indices(
                u32::from(OPERATORS),
                signers.iter().map(|(index, _)| *index),
            )
            .expect("they are in the table"),
        },
        signature: aggregate_signatures(&signatures)
            .expect("three signatures")
            .to_bytes(),
    };
    let portable = compact.to_portable(table).expect("the table is its own");
    [compact, portable]
}

/// Indices of chunks: 0, 1, 2, and 7.
pub(crate) fn batch_place() -> BatchPlace {
    BatchPlace {
        window: 7,
        digest: BatchDigest([8; 32]),
    }
}

pub(crate) fn runs() -> ChunkRanges {
    ChunkRanges::new(vec![(0, 3), (7, 1)]).expect("rising runs")
}

/// One proof for each of these indices; points that nobody checked.
pub(crate) fn chunk_proofs() -> Vec<ProofBytes> {
    vec![ProofBytes([0xc0; 48]); runs().count()]
}

/// Merkle proofs of one blob, one for each run.
pub(crate) fn proofs() -> Vec<Vec<Hash>> {
    vec![vec![[4; 32]; 2]; runs().as_slice().len()]
}

/// The disperser's signature of the batch.
pub(crate) fn disperser_signature() -> NetworkSignature {
    NetworkSignature(disperser_key().sign(batch().0.digest().as_bytes()))
}

/// Signs heads, and sends transactions.
pub(crate) fn account_key() -> AccountKey {
    AccountKey::from_bytes(&[5; 32]).expect("a key")
}

/// The account that posts.
pub(crate) fn account() -> Account {
    Account(account_key().address())
}

/// The disperser that it posts to, and until when.
pub(crate) const DISPERSER: u32 = 0;
pub(crate) const DEADLINE: u64 = 1_700_000_600;

fn authorization_of(key: &AccountKey) -> SignedAuthorization {
    let authorization = Authorization {
        disperser_id: DISPERSER,
        submission: BlobId([6; 32]),
        deadline: DEADLINE,
    };
    SignedAuthorization::sign(table().domain(), authorization, key)
}

/// An authorisation by the account.
pub(crate) fn authorization() -> SignedAuthorization {
    authorization_of(&account_key())
}

/// The same by a key that the account has granted that.
pub(crate) fn granted() -> SignedAuthorization {
    let key = AccountKey::from_bytes(&[4; 32]).expect("a key");
    let grant = KeyGrant {
        key: Account(key.address()),
        until: DEADLINE,
    };
    SignedAuthorization {
        account: account(),
        grant: Some((grant, grant.sign(&table().domain(), &account_key()))),
        ..authorization_of(&key)
    }
}

/// The account's voucher.
pub(crate) fn voucher() -> SignedVoucher {
    let voucher = Voucher {
        account: account(),
        disperser_id: DISPERSER,
        cumulative: Stake::from(123_456),
    };
    SignedVoucher::sign(table().domain(), voucher, &account_key())
}

/// The head of the table's block.
pub(crate) fn signed_head() -> SignedHead {
    let head = Head {
        domain: table().domain(),
        block: Block(7),
        time_ms: 1_700_000_000_000,
        table_root: table().root(),
    };
    head.sign(&account_key())
}
