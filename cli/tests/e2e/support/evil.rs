//! A disperser made by hand: it can send operators anything, honest or not.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ashlar_crypto::bls::SignatureBytes;
use ashlar_crypto::hash::Hash;
use ashlar_crypto::kzg::ProofBytes;
use ashlar_crypto::{
    AggregatedRow, Encoding, MerkleTree, NetworkKey, NetworkSignature, RowChallenge, Rows, Setup,
    Slices, commit_rows, prove_chunks,
};
use ashlar_net::{Answer, Client, Handler, NetError, NetLimits, Peer, Server};
use ashlar_proto::wire::{Request, Response, StoreBatch};
use ashlar_proto::{
    Account, BatchHeader, BlobHeader, Block, ChunkIndex, ChunkRanges, Domain, OperatorEntry,
    OperatorIndex, Sequence, TableAccess as _, TableRoot, TableScope, batch_tree, commitments_root,
    version,
};
use ashlar_stake::{Assignment, FileStakeSource, OperatorTable, StakeSource, TableOrigin};
use bytes::Bytes;

use super::{Devnet, wait_for};

/// A key of a devnet process, opened with its password file.
pub fn network_key(dir: &std::path::Path) -> NetworkKey {
    let password = std::fs::read_to_string(dir.join("password")).unwrap();
    ashlar_cli::keys::open_network(&dir.join("network.json"), password.trim()).unwrap()
}

pub fn table(devnet: &Devnet) -> Arc<OperatorTable> {
    let Ok(TableOrigin::File(path)) = devnet.file.tables.origin() else {
        panic!("a devnet with --no-ledger is wanted here: its table stays as it is");
    };
    let source = FileStakeSource::open(path).unwrap();
    source.table_at(source.head().unwrap()).unwrap()
}

pub fn now_ms() -> u64 {
    u64::try_from(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_millis(),
    )
    .unwrap()
}

/// Kills an operator and takes its place: for whoever calls its address, this server is that operator.
pub fn impersonate(devnet: &mut Devnet, node: usize, handler: &Arc<dyn Handler>) -> Server {
    let key = network_key(&devnet.node(node).dir);
    let address = devnet.node(node).quic.parse().unwrap();
    devnet.kill_node(node);
    let mut server = None;
    wait_for("the address of a killed operator", || {
        let keys = std::slice::from_ref(&key);
        server = Server::bind(address, keys, NetLimits::default(), handler.clone()).ok();
        server.is_some()
    });
    server.unwrap()
}

/// A batch of one blob, every part of which a test can spoil before or after the parts that depend on it are made.
pub struct Batch {
    pub domain: Domain,
    pub table_root: TableRoot,
    pub version: u16,
    pub payload_len: u64,
    /// What the commitments and proofs are made from.
    pub rows: Rows,
    pub commitments: Vec<[u8; 48]>,
    /// What is sent as slices: `slices[j]` is slice j.
    pub slices: Vec<Vec<u8>>,
    pub quorums: Vec<u8>,
    pub reference_block: Block,
    pub disperser_id: u32,
    pub sequence: u64,
    pub created_at_ms: u64,
}

/// A batch whose headers and proofs are made.
pub struct Sealed {
    pub blob_header: BlobHeader,
    pub batch_header: BatchHeader,
    pub commitments: Vec<[u8; 48]>,
    pub slices: Vec<Vec<u8>>,
    pub tree: MerkleTree,
    pub chunk_proofs: Vec<ProofBytes>,
}

impl Batch {
    /// An honest one.
    pub fn honest(table: &OperatorTable, payload: &[u8], sequence: u64) -> Batch {
        Batch::of_version(1, table, payload, sequence)
    }

    /// An honest one of this protocol version.
    pub fn of_version(id: u16, table: &OperatorTable, payload: &[u8], sequence: u64) -> Batch {
        let rows = Rows::from_payload(payload, Encoding::Packed31).unwrap();
        let code = version(id).unwrap().code;
        Batch {
            domain: table.domain(),
            table_root: table.root(),
            version: id,
            payload_len: payload.len() as u64,
            commitments: commit_rows(Setup::ethereum(), &rows)
                .iter()
                .map(|point| point.to_bytes().0)
                .collect(),
            slices: Slices::extend(code, &rows)
                .iter()
                .map(<[u8]>::to_vec)
                .collect(),
            rows,
            quorums: vec![0],
            reference_block: table.reference_block(),
            disperser_id: 0,
            sequence,
            created_at_ms: now_ms(),
        }
    }

    /// Roots, headers, digest and proofs over whatever the parts are now.
    pub fn seal(&self) -> Sealed {
        let code = version(self.version).unwrap().code;
        let tree = MerkleTree::from_leaves(&self.slices);
        let points: Vec<_> = self
            .commitments
            .iter()
            .map(|bytes| ashlar_crypto::CommitmentBytes(*bytes))
            .collect();
        let rows = u32::try_from(self.rows.count()).unwrap();
        let blob_header = BlobHeader {
            version: self.version,
            encoding: Encoding::Packed31,
            payload_len: self.payload_len,
            rows,
            commitments_root: commitments_root(&points),
            chunk_root: tree.root(),
            quorums: self.quorums.clone(),
            account: Account::default(),
            salt: self.sequence,
        };
        let batch_header = BatchHeader {
            domain: self.domain,
            table_root: self.table_root,
            version: self.version,
            batch_root: batch_tree(&[blob_header.blob_key()]).root(),
            blobs: 1,
            rows,
            reference_block: self.reference_block,
            disperser_id: self.disperser_id,
            sequence: Sequence(self.sequence),
            created_at_ms: self.created_at_ms,
        };
        let mut aggregated = AggregatedRow::new(RowChallenge::new(&batch_header.digest().0));
        aggregated.absorb(&self.rows);
        Sealed {
            chunk_proofs: prove_chunks(Setup::ethereum(), code, &aggregated),
            blob_header,
            batch_header,
            commitments: self.commitments.clone(),
            slices: self.slices.clone(),
            tree,
        }
    }
}

impl Sealed {
    /// What an operator with these chunks is sent.
    pub fn request(&self, chunks: &[ChunkIndex]) -> (StoreBatch, Vec<Bytes>) {
        let runs = ChunkRanges::from_indices(chunks).unwrap();
        let message = StoreBatch {
            batch_header: self.batch_header.clone(),
            // Whoever sends it signs it.
            disperser_signature: NetworkSignature([0; 64]),
            blob_headers: vec![self.blob_header.clone()],
            slice_proofs: vec![range_proofs(&self.tree, &runs)],
            chunk_proofs: chunks
                .iter()
                .map(|&chunk| self.chunk_proofs[chunk.0 as usize])
                .collect(),
            runs,
        };
        let mut bulk = vec![Bytes::from(self.commitments.concat())];
        bulk.extend(
            chunks
                .iter()
                .map(|&chunk| Bytes::from(self.slices[chunk.0 as usize].clone())),
        );
        (message, bulk)
    }
}

/// The Merkle range proof of each run.
pub fn range_proofs(tree: &MerkleTree, runs: &ChunkRanges) -> Vec<Vec<Hash>> {
    runs.as_slice()
        .iter()
        .map(|&(start, len)| {
            tree.range_proof(start as usize..(start + len) as usize)
                .unwrap()
        })
        .collect()
}

/// Which chunks each operator of the table is to hold.
pub fn assignment(table: &OperatorTable, quorums: &[u8]) -> Assignment {
    assignment_of(1, table, quorums)
}

/// The same in this protocol version.
pub fn assignment_of(id: u16, table: &OperatorTable, quorums: &[u8]) -> Assignment {
    let scope = TableScope {
        domain: table.domain(),
        reference_block: table.reference_block(),
        versions: vec![id],
    };
    // As if the service used it.
    let operators = table.operators().to_vec();
    let table = OperatorTable::new(scope, operators, table.dispersers().to_vec()).unwrap();
    Assignment::compute(&table, version(id).unwrap(), quorums).unwrap()
}

/// Sends requests with one network key.
pub struct Sender {
    /// Signs the batches.
    signer: NetworkKey,
    client: Client,
    runtime: tokio::runtime::Runtime,
}

impl Sender {
    pub fn new(key: &NetworkKey) -> Sender {
        Sender::signing_with(key, key)
    }

    /// One whose batches another key signs.
    pub fn signing_with(key: &NetworkKey, signer: &NetworkKey) -> Sender {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let client = runtime
            .block_on(async { Client::new(key, NetLimits::default()) })
            .unwrap();
        Sender {
            signer: signer.clone(),
            client,
            runtime,
        }
    }

    /// The answer's signature, or the refusal's code.
    pub fn send(
        &self,
        to: &OperatorEntry,
        mut message: StoreBatch,
        bulk: Vec<Bytes>,
    ) -> Result<SignatureBytes, String> {
        let peer = Peer {
            address: to.address.clone(),
            network_key: to.network_key,
        };
        message.disperser_signature = message.batch_header.sign_as_disperser(&self.signer);
        let request = self.client.request(
            &peer,
            Request::StoreBatch(message),
            bulk,
            Duration::from_secs(60),
        );
        match self.runtime.block_on(request) {
            Ok(Answer {
                response: Response::Stored(stored),
                ..
            }) => Ok(stored.signature),
            Err(NetError::Remote(refusal)) => Err(refusal.code),
            Ok(answer) => panic!("an operator answered a batch with {:?}", answer.response),
            Err(error) => panic!("{}: {error}", to.address),
        }
    }

    /// Sends a sealed batch to every operator and returns what each of them said, by index.
    pub fn send_to_all(
        &self,
        table: &OperatorTable,
        batch: &Sealed,
    ) -> Vec<Result<SignatureBytes, String>> {
        let header = &batch.blob_header;
        let assignment = assignment_of(header.version, table, &header.quorums);
        (0..)
            .map(OperatorIndex)
            .zip(table.operators())
            .map(|(index, operator)| {
                let (message, bulk) = batch.request(assignment.chunks(index));
                self.send(operator, message, bulk)
            })
            .collect()
    }
}
