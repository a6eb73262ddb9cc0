//! A small world with real keys, real codes and real proofs: a table of operators, a disperser, and batches made from
//! payloads, right or wrong in one place.

pub mod caller;
pub mod faulty;
pub mod ledger;
pub mod time;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey, NetworkSignature};
use ashlar_crypto::kzg::{CommitmentBytes, ProofBytes, commit_rows};
use ashlar_crypto::{
    AggregatedRow, Encoding, Hash, RowChallenge, Rows, Setup, Slices, prove_chunks,
};
use ashlar_node::validate::{Clock, Rules, UnverifiedBatch};
use ashlar_node::{NodeConfig, NodeKeys};
use ashlar_proto::table::DisperserEntry;
use ashlar_proto::wire::{self, StoreBatch};
use ashlar_proto::{
    Account, BatchHeader, BlobHeader, BlobKey, Block, ChunkIndex, ChunkRanges, Domain, Network,
    OperatorId, ProtocolVersion, Sequence, Stake, TableAccess, TableRoot, batch_tree,
    commitments_root, version,
};
use ashlar_stake::{Assignment, OperatorTable, Registration, StakeError, StakeSource};
use bytes::Bytes;

/// Newest block of the world.
pub const HEAD: Block = Block(1000);
/// Number of the disperser.
pub const DISPERSER: u32 = 5;
/// Seed of its key.
const DISPERSER_SEED: [u8; 32] = [200; 32];
/// Stakes of the operators in quorum 0; those of the first two in quorum 1 are the same.
const STAKES: [u64; 4] = [40, 30, 20, 10];

/// Operators, disperser, table.
pub struct World {
    pub bls: Vec<SecretKey>,
    pub network: Vec<NetworkKey>,
    pub disperser: NetworkKey,
    pub table: Arc<OperatorTable>,
    pub stake: Arc<Tables>,
}

/// Tables by block.
#[derive(Default)]
pub struct Tables {
    tables: Mutex<BTreeMap<Block, Arc<OperatorTable>>>,
    /// What the newest signed head says, if there are heads.
    pub head_time_ms: Mutex<Option<u64>>,
    /// Why there is nothing to be had, if there is not.
    pub problem: Mutex<Option<StakeError>>,
}

impl Tables {
    pub fn insert(&self, table: Arc<OperatorTable>) {
        self.tables
            .lock()
            .unwrap()
            .insert(table.reference_block(), table);
    }
}

impl StakeSource for Tables {
    fn domain(&self) -> Domain {
        domain()
    }

    fn head_time_ms(&self) -> Option<u64> {
        *self.head_time_ms.lock().unwrap()
    }

    fn head(&self) -> Result<Block, StakeError> {
        if let Some(problem) = self.problem.lock().unwrap().clone() {
            return Err(problem);
        }
        Ok(*self.tables.lock().unwrap().keys().next_back().unwrap())
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        let head = self.head()?;
        let tables = self.tables.lock().unwrap();
        tables
            .get(&block)
            .cloned()
            .ok_or(StakeError::UnknownBlock { block, head })
    }
}

impl World {
    /// Always the same one.
    pub fn new() -> Self {
        let n = STAKES.len() as u8;
        let bls: Vec<SecretKey> = (0..n).map(|i| SecretKey::from_ikm(&[i + 1; 32])).collect();
        let network: Vec<NetworkKey> = (0..n)
            .map(|i| NetworkKey::from_seed([i + 100; 32]))
            .collect();
        let disperser = NetworkKey::from_seed(DISPERSER_SEED);
        let stake = Arc::new(Tables::default());
        // The disperser that the last block lost is still in the older one.
        for (block, key) in [
            (HEAD.saturating_sub(1), &NetworkKey::from_seed([201; 32])),
            (HEAD, &disperser),
        ] {
            stake.insert(Arc::new(table(block, &bls, &network, key.public())));
        }
        let table = stake.table_at(HEAD).unwrap();
        Self {
            bls,
            network,
            disperser,
            table,
            stake,
        }
    }

    pub fn operator_id(&self, operator: usize) -> OperatorId {
        ashlar_proto::operator_id(&self.bls[operator].public_key().to_bytes())
    }

    pub fn keys(&self, operator: usize) -> NodeKeys {
        NodeKeys {
            bls: Arc::new(self.bls[operator].clone()),
            network: self.network[operator].clone(),
            next_network: None,
        }
    }

    /// From this block on another key is the disperser's.
    pub fn register_disperser(&self, block: Block, key: &NetworkKey) {
        let table = table(block, &self.bls, &self.network, key.public());
        self.stake.insert(Arc::new(table));
    }

    /// The world from this block on, in which an operator has another network key, and another BLS key if one is given: then it is
    /// another operator in the old one's place.
    pub fn with_keys(
        &self,
        block: Block,
        operator: usize,
        bls: Option<SecretKey>,
        network: &NetworkKey,
    ) -> World {
        let (mut all_bls, mut all_network) = (self.bls.clone(), self.network.clone());
        all_network[operator] = network.clone();
        if let Some(bls) = bls {
            all_bls[operator] = bls;
        }
        let table = Arc::new(table(
            block,
            &all_bls,
            &all_network,
            self.disperser.public(),
        ));
        self.stake.insert(Arc::clone(&table));
        World {
            bls: all_bls,
            network: all_network,
            disperser: self.disperser.clone(),
            table,
            stake: Arc::clone(&self.stake),
        }
    }

    /// A batch by this world's table.
    pub fn recipe(&self, recipe: Recipe) -> Recipe {
        Recipe {
            reference_block: self.table.reference_block(),
            table_root: Some(self.table.root()),
            ..recipe
        }
    }

    /// From this block on the operators are at these addresses. Gives the root of the block's table.
    pub fn move_operators(&self, block: Block, addresses: &[String]) -> TableRoot {
        let disperser = vec![disperser_entry(DISPERSER, self.disperser.public())];
        let table = table_at(
            block,
            &self.bls,
            &self.network,
            disperser,
            addresses,
            STAKES,
        );
        let root = table.root();
        self.stake.insert(Arc::new(table));
        root
    }

    /// A block behind the newest with so many dispersers more, and their numbers and keys.
    pub fn crowd(&mut self, count: u32) -> Vec<Sender> {
        let senders: Vec<Sender> = (0..count).map(|n| Sender::new(1000 + n)).collect();
        let entries = senders
            .iter()
            .map(|sender| disperser_entry(sender.id, sender.key().public()));
        let first = disperser_entry(DISPERSER, self.disperser.public());
        self.add_block(std::iter::once(first).chain(entries).collect(), STAKES);
        senders
    }

    /// A block behind the newest with other stakes.
    pub fn restake(&mut self, stakes: [u64; 4]) {
        let disperser = disperser_entry(DISPERSER, self.disperser.public());
        self.add_block(vec![disperser], stakes);
    }

    fn add_block(&mut self, dispersers: Vec<DisperserEntry>, stakes: [u64; 4]) {
        let (block, addresses) = (HEAD + 1, addresses(self.bls.len()));
        let table = table_at(
            block,
            &self.bls,
            &self.network,
            dispersers,
            &addresses,
            stakes,
        );
        self.table = Arc::new(table);
        self.stake.insert(Arc::clone(&self.table));
    }

    pub fn assignment(&self, quorums: &[u8]) -> Assignment {
        Assignment::compute(&self.table, version(1).unwrap(), quorums).unwrap()
    }

    /// Ascending chunk indices of an operator (by key, not by table index).
    pub fn chunks(&self, operator: usize, quorums: &[u8]) -> Vec<ChunkIndex> {
        let index = self.table.find(&self.operator_id(operator)).unwrap();
        self.assignment(quorums).chunks(index).to_vec()
    }
}

/// One of a crowd of dispersers.
#[derive(Debug, Clone, Copy)]
pub struct Sender {
    pub id: u32,
    seed: [u8; 32],
}

impl Sender {
    fn new(id: u32) -> Self {
        let mut seed = [202; 32];
        seed[..4].copy_from_slice(&id.to_be_bytes());
        Self { id, seed }
    }

    pub fn key(&self) -> NetworkKey {
        NetworkKey::from_seed(self.seed)
    }

    /// A batch of this disperser.
    pub fn recipe(&self, world: &World, recipe: Recipe) -> Recipe {
        Recipe {
            disperser_id: self.id,
            signed_by: self.seed,
            reference_block: world.table.reference_block(),
            table_root: Some(world.table.root()),
            ..recipe
        }
    }
}

fn table(
    block: Block,
    bls: &[SecretKey],
    network: &[NetworkKey],
    disperser: NetworkPublicKey,
) -> OperatorTable {
    let entries = vec![disperser_entry(DISPERSER, disperser)];
    table_at(block, bls, network, entries, &addresses(bls.len()), STAKES)
}

fn disperser_entry(id: u32, network_key: NetworkPublicKey) -> DisperserEntry {
    DisperserEntry {
        id,
        network_key,
        account: Account([9; 20]),
        bond: Stake::from(1),
    }
}

fn addresses(count: usize) -> Vec<String> {
    (0..count)
        .map(|i| format!("127.0.0.1:{}", 7000 + i))
        .collect()
}

fn table_at(
    block: Block,
    bls: &[SecretKey],
    network: &[NetworkKey],
    dispersers: Vec<DisperserEntry>,
    addresses: &[String],
    stakes: [u64; 4],
) -> OperatorTable {
    let registrations = bls
        .iter()
        .zip(network)
        .zip(stakes)
        .enumerate()
        .map(|(i, ((bls, network), stake))| {
            let mut stakes = vec![(0, Stake::from(stake))];
            if i < 2 {
                stakes.push((1, Stake::from(stake)));
            }
            Registration::new(bls, network.public(), addresses[i].clone(), stakes)
        })
        .collect();
    let scope = ashlar_proto::TableScope {
        domain: domain(),
        versions: vec![1],
        ..ashlar_testing::scope(block.0)
    };
    OperatorTable::register(scope, registrations, dispersers).unwrap()
}

/// The network of the world.
pub fn network() -> Network {
    Network::file("node tests")
}

/// Its service.
pub fn domain() -> Domain {
    network().domain(0)
}

/// Root of the table of a block; of the newest one if there is none.
fn root(block: Block) -> TableRoot {
    static WORLD: OnceLock<World> = OnceLock::new();
    let world = WORLD.get_or_init(World::new);
    let table = world
        .stake
        .table_at(block)
        .unwrap_or(Arc::clone(&world.table));
    table.root()
}

pub fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as u64
}

/// A configuration for tests in a folder: free ports, small buffers, any disk is large enough.
pub fn config(data: &std::path::Path) -> NodeConfig {
    let mut config = NodeConfig::default();
    config.paths.data = data.join("data");
    // Free space is looked at here, also where the database is in memory.
    std::fs::create_dir_all(&config.paths.data).unwrap();
    config.paths.bls_key = data.join("bls.json");
    config.listen.quic = "127.0.0.1:0".parse().unwrap();
    config.listen.http = "127.0.0.1:0".parse().unwrap();
    config.store.min_free_bytes = 0;
    config.tasks.probe_min_ms = 20;
    config.tasks.probe_max_ms = 100;
    config.tasks.watch_interval_secs = 1;
    config.tasks.shutdown_secs = 10;
    config
}

pub fn rules() -> Rules {
    NodeConfig::default().rules()
}

/// What to build. Every field can be wrong on purpose.
pub struct Recipe {
    pub payloads: Vec<Vec<u8>>,
    pub quorums: Vec<u8>,
    pub version: u16,
    pub sequence: u64,
    pub disperser_id: u32,
    pub reference_block: Block,
    pub created_at_ms: u64,
    pub domain: Domain,
    /// The root of the reference block's table, if not this one.
    pub table_root: Option<TableRoot>,
    /// Seed of the key that signs as the disperser.
    pub signed_by: [u8; 32],
    /// Changes a blob's commitments before anything is derived from them.
    pub spoil_commitments: fn(usize, &mut Vec<CommitmentBytes>),
    /// Changes a slice before the Merkle tree: blob, chunk, bytes.
    pub spoil_slice: fn(usize, u32, &mut Vec<u8>),
}

impl Recipe {
    pub fn new(sequence: u64) -> Self {
        Self {
            payloads: vec![vec![1; 1000], (0..200_000u32).map(|i| i as u8).collect()],
            quorums: vec![0],
            version: 1,
            sequence,
            disperser_id: DISPERSER,
            reference_block: HEAD,
            created_at_ms: now_ms(),
            domain: domain(),
            table_root: None,
            signed_by: DISPERSER_SEED,
            spoil_commitments: |_, _| {},
            spoil_slice: |_, _, _| {},
        }
    }

    /// One blob of one row.
    pub fn small(sequence: u64, byte: u8) -> Self {
        Self {
            payloads: vec![vec![byte; 100]],
            ..Self::new(sequence)
        }
    }

    pub fn build(self) -> Batch {
        Batch::build(self)
    }
}

/// A batch as its disperser sees it.
pub struct Batch {
    pub header: BatchHeader,
    pub disperser_signature: NetworkSignature,
    pub blobs: Vec<BlobHeader>,
    pub commitments: Vec<CommitmentBytes>,
    pub proofs: Vec<ProofBytes>,
    /// By blob, by chunk.
    pub slices: Vec<Vec<Vec<u8>>>,
    pub trees: Vec<ashlar_crypto::merkle::MerkleTree>,
    version: &'static ProtocolVersion,
}

impl Batch {
    fn build(recipe: Recipe) -> Self {
        let version = version(recipe.version).unwrap();
        let setup = Setup::ethereum();
        let rows: Vec<Rows> = recipe
            .payloads
            .iter()
            .map(|p| Rows::from_payload(p, Encoding::Packed31).unwrap())
            .collect();
        let (mut blobs, mut commitments, mut all_slices, mut trees) =
            (vec![], vec![], vec![], vec![]);
        for (number, (rows, payload)) in rows.iter().zip(&recipe.payloads).enumerate() {
            let mut own: Vec<CommitmentBytes> = commit_rows(setup, rows)
                .iter()
                .map(|c| c.to_bytes())
                .collect();
            (recipe.spoil_commitments)(number, &mut own);
            let extended = Slices::extend(version.code, rows);
            let slices: Vec<Vec<u8>> = (0..version.code.chunks())
                .map(|chunk| {
                    let mut slice = extended.slice(chunk).unwrap().to_vec();
                    (recipe.spoil_slice)(number, chunk, &mut slice);
                    slice
                })
                .collect();
            let tree = ashlar_crypto::merkle::MerkleTree::from_leaves(&slices);
            blobs.push(BlobHeader {
                version: recipe.version,
                encoding: Encoding::Packed31,
                payload_len: payload.len() as u64,
                rows: rows.count() as u32,
                commitments_root: commitments_root(&own),
                chunk_root: tree.root(),
                quorums: recipe.quorums.clone(),
                account: Account([9; 20]),
                salt: recipe.sequence * 1000 + number as u64,
            });
            commitments.extend(own);
            all_slices.push(slices);
            trees.push(tree);
        }
        let header = batch_header(&recipe, &blobs);
        let mut batch = Self {
            disperser_signature: NetworkSignature([0; 64]),
            header,
            blobs,
            commitments,
            proofs: vec![],
            slices: all_slices,
            trees,
            version,
        };
        batch.seal(&rows, recipe.signed_by);
        batch
    }

    /// The proofs of the header as it is, and its signature.
    fn seal(&mut self, rows: &[Rows], signed_by: [u8; 32]) {
        let mut sum = AggregatedRow::new(RowChallenge::new(&self.header.digest().0));
        rows.iter().for_each(|rows| sum.absorb(rows));
        self.proofs = prove_chunks(Setup::ethereum(), self.version.code, &sum);
        self.disperser_signature = self
            .header
            .sign_as_disperser(&NetworkKey::from_seed(signed_by));
    }

    /// Becomes the disperser's batch of this number with the same blobs, made now.
    pub fn renumber(&mut self, rows: &[Rows], sequence: u64) {
        self.header.sequence = Sequence(sequence);
        self.header.created_at_ms = now_ms();
        self.seal(rows, DISPERSER_SEED);
    }

    /// The message to the holder of these chunks.
    pub fn message(&self, chunks: &[ChunkIndex]) -> StoreBatch {
        let runs = ChunkRanges::from_indices(chunks).unwrap();
        StoreBatch {
            batch_header: self.header.clone(),
            disperser_signature: self.disperser_signature,
            blob_headers: self.blobs.clone(),
            chunk_proofs: chunks.iter().map(|i| self.proofs[i.0 as usize]).collect(),
            slice_proofs: self
                .trees
                .iter()
                .map(|tree| range_proofs(tree, &runs))
                .collect(),
            runs,
        }
    }

    /// The bulk part that belongs to it.
    pub fn bulk(&self, chunks: &[ChunkIndex]) -> Vec<u8> {
        let mut out: Vec<u8> = self.commitments.iter().flat_map(|c| c.0).collect();
        for slices in &self.slices {
            for chunk in chunks {
                out.extend_from_slice(&slices[chunk.0 as usize]);
            }
        }
        out
    }

    /// Where the slice of a blob begins in the bulk part for these chunks.
    pub fn offset(&self, chunks: &[ChunkIndex], blob: usize, place: usize) -> usize {
        let before: usize = self.slices[..blob]
            .iter()
            .map(|s| s[0].len() * chunks.len())
            .sum();
        self.commitments.len() * 48 + before + self.slices[blob][0].len() * place
    }

    /// As the receiver of the message sees it first.
    pub fn unverified(&self, peer: NetworkPublicKey, chunks: &[ChunkIndex]) -> UnverifiedBatch {
        let message = self.message(chunks);
        let bulk_len = message.layout().unwrap().len();
        UnverifiedBatch::new(peer, message, bulk_len)
    }

    pub fn key(&self, blob: usize) -> BlobKey {
        self.blobs[blob].blob_key()
    }

    pub fn clock(&self) -> Clock {
        Clock {
            now_ms: self.header.created_at_ms,
            head: HEAD,
        }
    }

    pub fn request(&self, chunks: &[ChunkIndex]) -> (wire::Request, Vec<Bytes>) {
        (
            wire::Request::StoreBatch(self.message(chunks)),
            vec![self.bulk(chunks).into()],
        )
    }

    pub fn protocol(&self) -> &'static ProtocolVersion {
        self.version
    }
}

fn batch_header(recipe: &Recipe, blobs: &[BlobHeader]) -> BatchHeader {
    let keys: Vec<BlobKey> = blobs.iter().map(BlobHeader::blob_key).collect();
    BatchHeader {
        domain: recipe.domain,
        table_root: recipe
            .table_root
            .unwrap_or_else(|| root(recipe.reference_block)),
        version: recipe.version,
        batch_root: batch_tree(&keys).root(),
        blobs: blobs.len() as u32,
        rows: blobs.iter().map(|b| b.rows).sum(),
        reference_block: recipe.reference_block,
        disperser_id: recipe.disperser_id,
        sequence: Sequence(recipe.sequence),
        created_at_ms: recipe.created_at_ms,
    }
}

pub fn range_proofs(
    tree: &ashlar_crypto::merkle::MerkleTree,
    runs: &ChunkRanges,
) -> Vec<Vec<Hash>> {
    runs.as_slice()
        .iter()
        .map(|&(start, len)| {
            tree.range_proof(start as usize..(start + len) as usize)
                .unwrap()
        })
        .collect()
}
