//! A small network in one process: operators with real keys behind real QUIC servers, a disperser's encoder that can be
//! told to encode wrongly, and certificates that are really signed.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ashlar_crypto::bls::{SecretKey, Signature, aggregate_signatures};
use ashlar_crypto::{
    AggregatedRow, Blame, CommitmentBytes, Encoding, Hash, MerkleTree, NetworkKey,
    NetworkPublicKey, ProofBytes, RowChallenge, Rows, Scalar, Setup, Slices, commit_rows,
    hash_to_scalar, prove_chunks,
};
use ashlar_net::{BulkReader, Client, Handler, NetLimits, Reply, Server};
use ashlar_proto::wire::{self, Chunks, ErrorReply, Request, Response};
use ashlar_proto::{
    Account, Attestation, BatchHeader, Bitmap, BlobHeader, BlobKey, Block, Certificate,
    CertificatePolicy, ChunkIndex, ChunkRanges, Domain, MaxAge, OperatorIndex, ProtocolVersion,
    RequiredQuorums, Sequence, Stake, TableAccess, TrustedTable, VerifiedCertificate, batch_tree,
    commitments_root, verify_certificate, version,
};
use ashlar_stake::{Assignment, OperatorTable, Registration, StakeError, StakeSource};
use bytes::Bytes;
use futures::future::BoxFuture;

pub(crate) const BLOCK: Block = Block(77);

/// How an operator treats readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Honest,
    /// One byte of each answer's slices is wrong.
    Corrupt,
    /// Every slice is right, and no Merkle path is.
    WrongPaths,
    /// Never answers.
    Hangs,
    /// Answers rightly, after three seconds.
    Slow,
    /// No server.
    Dead,
    /// Sends twice as much as was asked for.
    Greedy,
    /// Sends other indices than those asked for.
    OtherIndices,
    /// Says that it is overloaded.
    Overloaded,
    /// Says that it does not know the blob.
    Forgot,
    /// Has lost every second slice.
    Holes,
    /// Audit only: another chunk's proof.
    WrongProof,
    /// Audit only: moves value between two rows so that their sum under the row challenge stays the same.
    Trades,
}

/// What a disperser has encoded: headers, slices, commitments, proofs.
pub(crate) struct Batch {
    pub(crate) header: BatchHeader,
    pub(crate) blobs: Vec<BlobHeader>,
    pub(crate) slices: Vec<Vec<Vec<u8>>>, // blob, index
    pub(crate) trees: Vec<MerkleTree>,
    pub(crate) commitments: Vec<CommitmentBytes>,
    pub(crate) proofs: Vec<ProofBytes>,
}

impl Batch {
    /// Encodes payloads. `spoil` may change the slices of blob 0 before they are hashed: a disperser that encodes wrongly.
    pub(crate) fn encode(
        world: &World,
        payloads: &[(&[u8], Encoding)],
        salt: u64,
        spoil: impl Fn(u32, &mut Vec<u8>),
    ) -> Self {
        let rows: Vec<Rows> = payloads
            .iter()
            .map(|(payload, encoding)| Rows::from_payload(payload, *encoding).unwrap())
            .collect();
        Self::encode_rows(
            world,
            &rows,
            &payloads
                .iter()
                .map(|(payload, encoding)| (payload.len() as u64, *encoding))
                .collect::<Vec<_>>(),
            salt,
            spoil,
        )
    }

    pub(crate) fn encode_rows(
        world: &World,
        rows: &[Rows],
        kinds: &[(u64, Encoding)],
        salt: u64,
        spoil: impl Fn(u32, &mut Vec<u8>),
    ) -> Self {
        let version = world.version;
        let code = version.code;
        let mut blobs = Vec::new();
        let mut all_slices = Vec::new();
        let mut trees = Vec::new();
        let mut commitments = Vec::new();
        for (number, (rows, (payload_len, encoding))) in rows.iter().zip(kinds).enumerate() {
            let own: Vec<CommitmentBytes> = commit_rows(Setup::ethereum(), rows)
                .iter()
                .map(|c| c.to_bytes())
                .collect();
            let extended = Slices::extend(code, rows);
            let mut slices: Vec<Vec<u8>> = (0..code.chunks())
                .map(|j| extended.slice(j).unwrap().to_vec())
                .collect();
            if number == 0 {
                for (index, slice) in slices.iter_mut().enumerate() {
                    spoil(index as u32, slice);
                }
            }
            let tree = MerkleTree::from_leaves(&slices);
            blobs.push(BlobHeader {
                version: version.id,
                encoding: *encoding,
                payload_len: *payload_len,
                rows: rows.count() as u32,
                commitments_root: commitments_root(&own),
                chunk_root: tree.root(),
                quorums: vec![0],
                account: Account::default(),
                salt,
            });
            commitments.extend(own);
            all_slices.push(slices);
            trees.push(tree);
        }
        let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
        let header = BatchHeader {
            domain: DOMAIN,
            table_root: world.table.root(),
            version: version.id,
            batch_root: batch_tree(&keys).root(),
            blobs: blobs.len() as u32,
            rows: rows.iter().map(|rows| rows.count() as u32).sum(),
            reference_block: BLOCK,
            disperser_id: 1,
            sequence: Sequence(1),
            created_at_ms: now_ms(),
        };
        let mut sum = AggregatedRow::new(RowChallenge::new(header.digest().as_bytes()));
        for rows in rows {
            sum.absorb(rows);
        }
        let proofs = prove_chunks(Setup::ethereum(), code, &sum);
        Self {
            header,
            blobs,
            slices: all_slices,
            trees,
            commitments,
            proofs,
        }
    }
}

/// The service of everything.
pub(crate) use ashlar_testing::{DOMAIN, scope};

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

/// A table that never changes.
pub(crate) struct Fixed(pub(crate) Arc<OperatorTable>);

impl StakeSource for Fixed {
    fn domain(&self) -> Domain {
        DOMAIN
    }

    fn head(&self) -> Result<Block, StakeError> {
        Ok(self.0.reference_block())
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        assert_eq!(block, self.0.reference_block());
        Ok(self.0.clone())
    }
}

struct Elsewhere(Fixed);

impl StakeSource for Elsewhere {
    fn domain(&self) -> Domain {
        Domain([0xe0; 32])
    }

    fn head(&self) -> Result<Block, StakeError> {
        self.0.head()
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        self.0.table_at(block)
    }
}

struct Operator {
    behaviour: Behaviour,
    chunks: RwLock<Vec<ChunkIndex>>,
    batch: RwLock<Option<Arc<Batch>>>,
    /// Indices asked of it by `GetSlices`, one entry a request.
    asked: Mutex<Vec<Vec<ChunkIndex>>>,
}

pub(crate) struct World {
    pub(crate) version: &'static ProtocolVersion,
    pub(crate) table: Arc<OperatorTable>,
    /// In the order of the table.
    pub(crate) bls: Vec<SecretKey>,
    operators: Vec<Arc<Operator>>,
    _servers: Vec<Server>,
    _silent: Vec<UdpSocket>,
    pub(crate) assignment: Assignment,
}

impl World {
    /// Operators with these stakes. Behaviours are by **table index**, which follows the ids; that is why they are
    /// assigned by a function.
    pub(crate) fn new(stakes: &[u64], behave: impl Fn(u32) -> Behaviour) -> Self {
        let version = version(1).unwrap();
        let mut made: Vec<(SecretKey, NetworkKey, u64)> = stakes
            .iter()
            .enumerate()
            .map(|(number, stake)| {
                let seed = [number as u8 + 1; 32];
                (
                    SecretKey::from_ikm(&seed),
                    NetworkKey::from_seed(seed),
                    *stake,
                )
            })
            .collect();
        made.sort_by_key(|(bls, _, _)| ashlar_proto::operator_id(&bls.public_key().to_bytes()));

        let mut operators = Vec::new();
        let (mut servers, mut silent) = (Vec::new(), Vec::new());
        let mut registrations = Vec::new();
        for (index, (bls, key, stake)) in made.iter().enumerate() {
            let operator = Arc::new(Operator {
                behaviour: behave(index as u32),
                chunks: RwLock::default(),
                batch: RwLock::default(),
                asked: Mutex::default(),
            });
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            // A dead one has an address that stays its own, so that no other server comes to be there, and says nothing.
            let address = if operator.behaviour == Behaviour::Dead {
                let socket = UdpSocket::bind(any).unwrap();
                let address = socket.local_addr().unwrap();
                silent.push(socket);
                address
            } else {
                let handler = operator.clone() as Arc<dyn Handler>;
                let keys = std::slice::from_ref(key);
                let server = Server::bind(any, keys, NetLimits::default(), handler).unwrap();
                let address = server.local_addr();
                servers.push(server);
                address
            };
            let address = address.to_string();
            registrations.push(Registration::new(
                bls,
                key.public(),
                address,
                vec![(0, Stake::from(*stake))],
            ));
            operators.push(operator);
        }
        let table =
            Arc::new(OperatorTable::register(scope(BLOCK.0), registrations, Vec::new()).unwrap());
        let assignment = Assignment::compute(&table, version, &[0]).unwrap();
        for (index, operator) in operators.iter().enumerate() {
            *operator.chunks.write().unwrap() =
                assignment.chunks(OperatorIndex(index as u32)).to_vec();
        }
        Self {
            version,
            table,
            bls: made.into_iter().map(|(bls, _, _)| bls).collect(),
            operators,
            _servers: servers,
            _silent: silent,
            assignment,
        }
    }

    pub(crate) fn stake_source(&self) -> Arc<dyn StakeSource> {
        Arc::new(Fixed(self.table.clone()))
    }

    /// The same operators, as another service has them.
    pub(crate) fn source_of_another_service(&self) -> Arc<dyn StakeSource> {
        Arc::new(Elsewhere(Fixed(self.table.clone())))
    }

    pub(crate) fn network(&self) -> Arc<Client> {
        let key = NetworkKey::from_seed([200; 32]);
        Arc::new(Client::new(&key, NetLimits::default()).unwrap())
    }

    /// Gives the batch to every operator and has `signers` sign it.
    pub(crate) fn store(&self, batch: Batch) -> Arc<Batch> {
        let batch = Arc::new(batch);
        for operator in &self.operators {
            *operator.batch.write().unwrap() = Some(batch.clone());
        }
        batch
    }

    pub(crate) fn certify(&self, batch: &Batch, blob: usize, signers: &[u32]) -> Certificate {
        let digest = batch.header.digest();
        let signatures: Vec<Signature> = signers
            .iter()
            .map(|signer| self.bls[*signer as usize].sign(digest.as_bytes()))
            .collect();
        let keys: Vec<BlobKey> = batch.blobs.iter().map(BlobHeader::blob_key).collect();
        let bitmap = Bitmap::from_indices(
            self.table.header().operators,
            signers.iter().copied().map(OperatorIndex),
        )
        .unwrap();
        Certificate {
            blob_header: batch.blobs[blob].clone(),
            blob_index: blob as u32,
            blob_path: batch_tree(&keys).path(blob).unwrap(),
            batch_header: batch.header.clone(),
            attestation: Attestation::Compact { signers: bitmap },
            signature: aggregate_signatures(&signatures).unwrap().to_bytes(),
        }
    }

    pub(crate) fn verified(&self, batch: &Batch, blob: usize) -> VerifiedCertificate {
        let everybody: Vec<u32> = (0..self.bls.len() as u32).collect();
        let certificate = self.certify(batch, blob, &everybody);
        self.check(&certificate)
    }

    /// What a reader of quorum 0 makes of a certificate.
    pub(crate) fn check(&self, certificate: &Certificate) -> VerifiedCertificate {
        let table = TrustedTable::trust_on_my_own_word(self.table.as_ref());
        verify_certificate(certificate, &table, &self.policy()).unwrap()
    }

    pub(crate) fn policy(&self) -> CertificatePolicy {
        CertificatePolicy::new(
            self.table.domain(),
            RequiredQuorums::all([0]),
            MaxAge::Unbounded,
        )
    }

    /// Indices asked of an operator so far, one list a request.
    pub(crate) fn asked(&self, operator: u32) -> Vec<Vec<ChunkIndex>> {
        self.operators[operator as usize]
            .asked
            .lock()
            .unwrap()
            .clone()
    }
}

impl Handler for Operator {
    fn handle(
        &self,
        _peer: NetworkPublicKey,
        request: Request,
        _bulk: BulkReader,
    ) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            match self.behaviour {
                Behaviour::Hangs => {
                    tokio::time::sleep(Duration::from_secs(3600)).await;
                }
                Behaviour::Slow => tokio::time::sleep(Duration::from_secs(3)).await,
                Behaviour::Overloaded => return refuse("store.overloaded", Blame::Us),
                Behaviour::Forgot => return refuse("store.unknown_blob", Blame::Caller),
                _ => {}
            }
            let batch = self.batch.read().unwrap().clone();
            let Some(batch) = batch else {
                return refuse("store.unknown_blob", Blame::Caller);
            };
            match request {
                Request::GetSlices(get) => self.slices(&batch, &get),
                Request::GetChunks(get) => self.columns(&batch, &get),
                _ => refuse("store.not_for_tests", Blame::Caller),
            }
        })
    }
}

fn refuse(code: &str, blame: Blame) -> Reply {
    Reply::new(ErrorReply::new(code, blame, "as the test wants it").into())
}

fn range_proofs(tree: &MerkleTree, runs: &ChunkRanges) -> Vec<Vec<Hash>> {
    runs.as_slice()
        .iter()
        .map(|(start, len)| {
            tree.range_proof(*start as usize..(*start + *len) as usize)
                .unwrap()
        })
        .collect()
}

impl Operator {
    fn held(&self, wanted: &ChunkRanges) -> Option<ChunkRanges> {
        let chunks = self.chunks.read().unwrap();
        let mut held: Vec<_> = wanted
            .iter()
            .filter(|index| chunks.contains(index))
            .collect();
        match self.behaviour {
            Behaviour::Holes => held.retain(|index| index.0 % 2 == 0),
            Behaviour::Greedy => {
                held.clone_from(&chunks);
            }
            Behaviour::OtherIndices => {
                held = chunks.iter().rev().take(held.len()).copied().collect();
                held.sort_unstable();
            }
            _ => {}
        }
        ChunkRanges::from_indices(&held).ok()
    }

    fn slices(&self, batch: &Batch, get: &wire::GetSlices) -> Reply {
        self.asked
            .lock()
            .unwrap()
            .push(get.indices.iter().collect());
        let place = batch
            .blobs
            .iter()
            .position(|blob| blob.blob_key() == get.blob_key);
        let (Some(place), Some(runs)) = (place, self.held(&get.indices)) else {
            return refuse("store.unknown_blob", Blame::Caller);
        };
        let mut bulk: Vec<Bytes> = runs
            .iter()
            .map(|index| batch.slices[place][index.0 as usize].clone().into())
            .collect();
        if self.behaviour == Behaviour::Corrupt {
            let mut wrong = bulk[0].to_vec();
            wrong[40] ^= 1;
            bulk[0] = wrong.into();
        }
        let mut proofs = range_proofs(&batch.trees[place], &runs);
        if self.behaviour == Behaviour::WrongPaths {
            let hashes = proofs.iter_mut().flatten();
            hashes.for_each(|hash| hash[0] ^= 1);
        }
        let response = wire::Slices {
            blob_header: batch.blobs[place].clone(),
            runs,
            proofs,
        };
        Reply::with_bulk(Response::Slices(response), bulk)
    }

    fn columns(&self, batch: &Batch, get: &wire::GetChunks) -> Reply {
        let Some(runs) = self
            .held(&get.indices)
            .filter(|_| get.batch_digest == batch.header.digest())
        else {
            return refuse("store.unknown_batch", Blame::Caller);
        };
        let mut bulk: Vec<Bytes> = vec![
            batch
                .commitments
                .iter()
                .flat_map(|commitment| commitment.0)
                .collect::<Vec<u8>>()
                .into(),
        ];
        for index in runs.iter() {
            let mut column: Vec<Vec<u8>> = batch
                .slices
                .iter()
                .map(|slices| slices[index.0 as usize].clone())
                .collect();
            if self.behaviour == Behaviour::Trades {
                trade(batch, &mut column);
            }
            bulk.extend(column.into_iter().map(Bytes::from));
        }
        let shift = u32::from(self.behaviour == Behaviour::WrongProof);
        let chunk_proofs = runs
            .iter()
            .map(|index| batch.proofs[((index.0 + shift) as usize) % batch.proofs.len()])
            .collect();
        let slice_proofs = batch
            .trees
            .iter()
            .map(|tree| range_proofs(tree, &runs))
            .collect();
        let response = Chunks {
            batch_header: batch.header.clone(),
            blob_headers: batch.blobs.clone(),
            runs,
            chunk_proofs,
            slice_proofs,
        };
        Reply::with_bulk(Response::Chunks(response), bulk)
    }
}

/// Adds 1 to the first element of row 1 and takes γ from the first element of row 0: Σ γ^i v_i stays what it was, and
/// the KZG check of the column with it.
fn trade(batch: &Batch, column: &mut [Vec<u8>]) {
    assert!(
        batch.blobs.len() > 1 && batch.blobs[0].rows == 1,
        "the trade needs two blobs, the first of one row"
    );
    let gamma = hash_to_scalar("ashlar/row-challenge/1", batch.header.digest().as_bytes());
    let change = |piece: &mut Vec<u8>, by: Scalar, add: bool| {
        let old = Scalar::from_be_bytes(piece[..32].try_into().unwrap()).unwrap();
        let new = if add { old + by } else { old - by };
        piece[..32].copy_from_slice(&new.to_be_bytes());
    };
    change(&mut column[0], gamma, false);
    change(&mut column[1], Scalar::from(1u64), true);
}

/// Bytes that look random and are the same in every run.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        })
        .collect()
}
