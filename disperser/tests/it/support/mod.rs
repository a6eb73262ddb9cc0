//! Operators for the tests of this crate: net's server, real checks, real signatures; and a disperser in front of them.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey, NetworkSignature};
use ashlar_crypto::merkle::{leaf_hash, verify_range};
use ashlar_crypto::{
    Blame, ChunkColumn, Coded, Commitment, CommitmentBytes, Encoding, Proof, RowChallenge, Rows,
    Setup, commit_rows, verify_chunks,
};
use ashlar_disperser::clock::{WallClock, system_clock};
use ashlar_disperser::kv::{Kv, MemoryKv, Table};
use ashlar_disperser::{Disperser, DisperserConfig, RunningDisperser, Sources};
use ashlar_net::{BulkReader, Handler, NetLimits, Reply, Server};
use ashlar_proto::TableAccess;
use ashlar_proto::api::{BlobState, BlobStatus, Problem};
use ashlar_proto::table::DisperserEntry;
use ashlar_proto::wire::{ErrorReply, Latest, PutBlob, Request, Response, StoreBatch, Stored};
use ashlar_proto::{
    Account, BatchDigest, BlobId, Block, Domain, OperatorIndex, Sequence, Stake, version,
};
use ashlar_stake::{Assignment, OperatorTable, Registration, StakeError, StakeSource};
use bytes::Bytes;
use futures::future::BoxFuture;

pub const BLOCK: Block = Block(77);
/// Longest wait for anything in a test.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What an operator is like. Can be changed while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temper {
    Honest,
    /// Signs another message.
    BadSignature,
    /// Answers after this time.
    Slow(Duration),
    /// Takes the request and never answers.
    Hangs,
    /// Says that the request is wrong.
    Refuses,
    /// Its address is taken by somebody who does not speak.
    Dead,
}

/// What an operator says when the disperser asks for its own latest batch.
#[derive(Debug, Clone)]
pub enum Says {
    Truth,
    /// This, whatever it has.
    Latest(Option<Box<Latest>>),
    /// It refuses.
    Nothing,
}

pub struct Operator {
    pub bls: SecretKey,
    network: NetworkKey,
    temper: Mutex<Temper>,
    table: OnceLock<Arc<OperatorTable>>,
    /// The digest under each sequence number, of every request that came.
    pub seen: Mutex<HashMap<Sequence, BatchDigest>>,
    /// The disperser's signature of each of these digests.
    signed: Mutex<HashMap<BatchDigest, NetworkSignature>>,
    /// The disperser's batch with the highest number that came, and what it says when it is asked for it.
    pub newest: Mutex<Option<Latest>>,
    pub says: Mutex<Says>,
    /// Whether a sequence number ever came with two digests, or a digest with two signatures.
    pub betrayed: AtomicBool,
}

impl Operator {
    pub fn set(&self, temper: Temper) {
        *self.temper.lock().unwrap() = temper;
    }

    fn came(&self, batch: Latest) {
        let mut newest = self.newest.lock().unwrap();
        let before = newest.as_ref().map(|newest| newest.batch_header.sequence);
        if before < Some(batch.batch_header.sequence) {
            *newest = Some(batch);
        }
    }

    pub fn say(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    pub fn requests(&self) -> HashMap<Sequence, BatchDigest> {
        self.seen.lock().unwrap().clone()
    }

    /// Every check that can be made without the node's own store.
    fn check(&self, peer: NetworkPublicKey, store: &StoreBatch, bulk: Bytes) -> Result<(), String> {
        let table = self.table.get().ok_or("no table")?;
        let header = &store.batch_header;
        if table.disperser(header.disperser_id).map(|d| d.network_key) != Some(peer) {
            return Err("not a registered disperser".into());
        }
        if header.domain != DOMAIN || header.table_root != table.root() {
            return Err("another table".into());
        }
        header
            .check_blobs(&store.blob_headers)
            .map_err(|e| e.to_string())?;
        let version = version(header.version).map_err(|e| e.to_string())?;
        let quorums = &store.blob_headers.first().ok_or("no blob")?.quorums;
        let assignment = Assignment::compute(table, version, quorums).map_err(|e| e.to_string())?;
        let me = table
            .find_network_key(&self.network.public())
            .ok_or("not in the table")?;
        if store.runs.iter().collect::<Vec<_>>() != assignment.chunks(me) {
            return Err("not my chunks".into());
        }
        let view = store
            .layout()
            .and_then(|layout| layout.view(bulk))
            .map_err(|e| e.to_string())?;
        let chunks = u64::from(version.code.chunks());
        for (b, blob) in store.blob_headers.iter().enumerate() {
            let mut place = 0;
            for (run, &(start, len)) in store.runs.as_slice().iter().enumerate() {
                let leaves: Vec<_> = (place..place + len as usize)
                    .map(|p| leaf_hash(view.slice(b, p).unwrap()))
                    .collect();
                verify_range(
                    &blob.chunk_root,
                    chunks,
                    u64::from(start),
                    &leaves,
                    &store.slice_proofs[b][run],
                )
                .map_err(|e| e.to_string())?;
                place += len as usize;
            }
        }
        let commitments = view
            .commitments()
            .chunks_exact(48)
            .map(|bytes| Commitment::try_from(CommitmentBytes(bytes.try_into().unwrap())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| e.to_string())?;
        let columns = store
            .runs
            .iter()
            .enumerate()
            .map(|(place, index)| {
                let proof =
                    Proof::try_from(store.chunk_proofs[place]).map_err(|e| e.to_string())?;
                Ok(ChunkColumn {
                    index: index.0,
                    pieces: view.column(place).unwrap(),
                    proof,
                })
            })
            .collect::<Result<Vec<_>, String>>()?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let challenge = RowChallenge::new(&header.digest().0);
        verify_chunks(
            Setup::ethereum(),
            version.code,
            challenge,
            &commitments,
            &columns,
            seed,
        )
        .map_err(|e| e.to_string())
    }
}

struct Door(Arc<Operator>);

impl Handler for Door {
    fn handle(
        &self,
        peer: NetworkPublicKey,
        request: Request,
        mut bulk: BulkReader,
    ) -> BoxFuture<'_, Reply> {
        let operator = Arc::clone(&self.0);
        Box::pin(async move {
            if let Request::GetLatest(_) = request {
                let latest = match operator.says.lock().unwrap().clone() {
                    Says::Truth => operator.newest.lock().unwrap().clone(),
                    Says::Latest(latest) => latest.map(|latest| *latest),
                    Says::Nothing => {
                        return ErrorReply::new("test.silent", Blame::Us, "not now").into();
                    }
                };
                return Response::Latest(latest).into();
            }
            let Request::StoreBatch(store) = request else {
                return ErrorReply::new("test.unknown", Blame::Caller, "not here").into();
            };
            let bulk = match bulk.read_to_end().await {
                Ok(bulk) => bulk,
                Err(error) => return error.into(),
            };
            let digest = store.batch_header.digest();
            let signature = store.disperser_signature;
            if let Err(error) = store.batch_header.verify_disperser(&peer, &signature) {
                return ErrorReply::new(error.code(), Blame::Caller, error).into();
            }
            operator.came(Latest {
                batch_header: store.batch_header.clone(),
                disperser_signature: signature,
            });
            let signed = operator.signed.lock().unwrap().insert(digest, signature);
            if signed.is_some_and(|before| before != signature) {
                operator.betrayed.store(true, Ordering::SeqCst);
            }
            let before = operator
                .seen
                .lock()
                .unwrap()
                .insert(store.batch_header.sequence, digest);
            if before.is_some_and(|before| before != digest) {
                operator.betrayed.store(true, Ordering::SeqCst);
                return ErrorReply::new(
                    "store.sequence_reused",
                    Blame::Caller,
                    "two batches under one number",
                )
                .into();
            }
            let temper = *operator.temper.lock().unwrap();
            match temper {
                Temper::Slow(time) => tokio::time::sleep(time).await,
                Temper::Hangs => futures::future::pending::<()>().await,
                Temper::Refuses => {
                    return ErrorReply::new("test.refused", Blame::Caller, "I do not want this")
                        .into();
                }
                Temper::Honest | Temper::BadSignature | Temper::Dead => {}
            }
            let work = tokio::task::spawn_blocking(move || {
                operator.check(peer, &store, bulk)?;
                let message: &[u8] = if temper == Temper::BadSignature {
                    b"something else"
                } else {
                    &digest.0
                };
                Ok::<_, String>(operator.bls.sign(message).to_bytes())
            });
            match work.await.unwrap() {
                Ok(signature) => Response::Stored(Stored { signature }).into(),
                Err(why) => ErrorReply::new("test.invalid", Blame::Caller, why).into(),
            }
        })
    }
}

/// The service of all tables.
pub use ashlar_testing::{DOMAIN, scope};

/// One table, with or without the disperser in it.
pub struct TestStake(pub Mutex<Arc<OperatorTable>>);

impl StakeSource for TestStake {
    fn domain(&self) -> Domain {
        DOMAIN
    }

    fn head(&self) -> Result<Block, StakeError> {
        Ok(self.0.lock().unwrap().reference_block())
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        let table = Arc::clone(&self.0.lock().unwrap());
        match table.reference_block() == block {
            true => Ok(table),
            false => Err(StakeError::UnknownBlock {
                block,
                head: table.reference_block(),
            }),
        }
    }
}

/// Operators, a table, and a disperser's key and disk.
pub struct World {
    pub operators: Vec<Arc<Operator>>,
    pub table: Arc<OperatorTable>,
    pub stake: Arc<TestStake>,
    pub key: NetworkKey,
    pub kv: MemoryKv,
    /// How wrong the disperser's wall clock is, in milliseconds.
    pub wrong_ms: Arc<AtomicI64>,
    servers: Vec<Server>,
    silent: Vec<UdpSocket>,
}

impl World {
    /// Operators with these tempers and stakes (the same in quorums 0 and 1). Those that are dead make up quorum 2, those that refuse
    /// quorum 3.
    pub fn new(tempers: &[(Temper, u64)]) -> Self {
        // RUST_LOG=ashlar_disperser=debug shows what a failing test did.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_test_writer()
            .try_init();
        let mut world = Self {
            operators: Vec::new(),
            table: Arc::new(
                OperatorTable::register(
                    scope(1),
                    vec![registration(0, "127.0.0.1:1", 1)],
                    Vec::new(),
                )
                .unwrap(),
            ),
            stake: Arc::new(TestStake(Mutex::new(Arc::new(
                OperatorTable::register(
                    scope(1),
                    vec![registration(0, "127.0.0.1:1", 1)],
                    Vec::new(),
                )
                .unwrap(),
            )))),
            key: NetworkKey::from_seed([0xdd; 32]),
            kv: MemoryKv::new(),
            wrong_ms: Arc::default(),
            servers: Vec::new(),
            silent: Vec::new(),
        };
        let mut registrations = Vec::new();
        for (n, (temper, stake)) in tempers.iter().enumerate() {
            let n = u8::try_from(n).unwrap();
            let operator = Arc::new(Operator {
                bls: bls(n),
                network: network(n),
                temper: Mutex::new(*temper),
                table: OnceLock::new(),
                seen: Mutex::default(),
                signed: Mutex::default(),
                newest: Mutex::default(),
                says: Mutex::new(Says::Truth),
                betrayed: AtomicBool::new(false),
            });
            let address = if *temper == Temper::Dead {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                let address = socket.local_addr().unwrap();
                world.silent.push(socket);
                address
            } else {
                let door = Arc::new(Door(Arc::clone(&operator)));
                let address = "127.0.0.1:0".parse().unwrap();
                let server =
                    Server::bind(address, &[network(n)], NetLimits::default(), door).unwrap();
                let address = server.local_addr();
                world.servers.push(server);
                address
            };
            let mut registered = registration(n, &address.to_string(), *stake);
            let apart = match temper {
                Temper::Dead => Some(2),
                Temper::Refuses => Some(3),
                _ => None,
            };
            let stakes = &mut registered.entry.stakes;
            stakes.extend(apart.map(|quorum| (quorum, Stake::from(*stake))));
            registrations.push(registered);
            world.operators.push(operator);
        }
        let disperser = DisperserEntry {
            id: 5,
            network_key: world.key.public(),
            account: Account([1; 20]),
            bond: Stake::from(1),
        };
        world.table = Arc::new(
            OperatorTable::register(scope(BLOCK.0), registrations, vec![disperser]).unwrap(),
        );
        for operator in &world.operators {
            let _ = operator.table.set(Arc::clone(&world.table));
        }
        world.publish(Arc::clone(&world.table));
        world
    }

    pub fn publish(&self, table: Arc<OperatorTable>) {
        *self.stake.0.lock().unwrap() = table;
    }

    /// A table of a later block, with the same disperser and more stake.
    pub fn later(&self) -> Arc<OperatorTable> {
        let registrations = self
            .operators
            .iter()
            .zip(0u8..)
            .map(|(operator, n)| registration(n, &self.address(operator), 1000 + u64::from(n)))
            .collect();
        let dispersers = self.table.dispersers().to_vec();
        Arc::new(OperatorTable::register(scope(BLOCK.0 + 1), registrations, dispersers).unwrap())
    }

    fn address(&self, operator: &Operator) -> String {
        let key = operator.network.public();
        let index = self.table.find_network_key(&key).unwrap();
        self.table.operator(index).unwrap().address.clone()
    }

    /// The table without the disperser in it, as of an earlier block.
    pub fn unregistered(&self) -> Arc<OperatorTable> {
        let registrations = self
            .table
            .operators()
            .iter()
            .zip(0..)
            .map(|(entry, index)| Registration {
                entry: entry.clone(),
                proof_of_possession: *self
                    .table
                    .proof_of_possession(OperatorIndex(index))
                    .unwrap(),
            })
            .collect();
        Arc::new(
            OperatorTable::register(scope(BLOCK.saturating_sub(1).0), registrations, Vec::new())
                .unwrap(),
        )
    }

    /// Index in the table of the operator made as number `n`.
    pub fn index(&self, n: usize) -> OperatorIndex {
        self.table
            .find_network_key(&self.operators[n].network.public())
            .unwrap()
    }

    pub async fn start(&self, config: DisperserConfig) -> Running {
        let kv = self.kv.next_life();
        let open = move || Ok(Arc::new(kv) as Arc<dyn Kv>);
        let key = NetworkKey::from_seed(**self.key.seed());
        Running::new(
            Disperser::start_with(config, key, self.sources(), self.wall_clock(), open)
                .await
                .unwrap(),
        )
    }

    /// The same, once it knows which numbers it has used: all that a start writes is written.
    pub async fn started(&self, config: DisperserConfig) -> Running {
        let running = self.start(config).await;
        until("the sequence is known", async || {
            let unknown = self.kv.get(Table::Meta, b"sequence_unknown");
            unknown.unwrap().is_none()
        })
        .await;
        running
    }

    /// The tables; nobody pays.
    pub fn sources(&self) -> Sources {
        let stake: Arc<dyn StakeSource> = self.stake.clone();
        stake.into()
    }

    /// The disperser's wall clock.
    pub fn wall_clock(&self) -> WallClock {
        let (wrong_ms, right) = (Arc::clone(&self.wrong_ms), system_clock());
        Arc::new(move || right().saturating_add_signed(wrong_ms.load(Ordering::SeqCst)))
    }

    /// Sets the disperser's wall clock wrong by so many days.
    pub fn set_wrong(&self, days: i64) {
        self.wrong_ms.store(days * 86_400_000, Ordering::SeqCst);
    }
}

fn bls(n: u8) -> SecretKey {
    SecretKey::from_ikm(&[n + 1; 32])
}

fn network(n: u8) -> NetworkKey {
    NetworkKey::from_seed([n + 1; 32])
}

fn registration(n: u8, address: &str, stake: u64) -> Registration {
    let stakes = vec![(0, Stake::from(stake)), (1, Stake::from(stake))];
    Registration::new(&bls(n), network(n).public(), address, stakes)
}

/// Short times, any port.
pub fn config() -> DisperserConfig {
    let mut config = DisperserConfig::default();
    config.listen.http = "127.0.0.1:0".parse().unwrap();
    // The database is in memory; free space is looked at here.
    config.paths.data = std::env::temp_dir();
    config.store.min_free_bytes = 0;
    config.batch.interval_ms = 100;
    config.batch.requeue_delay_ms = 50;
    // Beyond the patience of every test: nothing may ever wait for the deadline of a dispersal that goes well.
    config.disperse.deadline_secs = 500;
    config.batch.max_resume_age_secs = 70;
    config.disperse.linger_ms = 100;
    config.disperse.straggler_grace_ms = 100;
    config.disperse.backoff_min_ms = 50;
    config.disperse.backoff_max_ms = 200;
    config
}

/// A disperser and somebody who talks to it.
pub struct Running {
    pub disperser: RunningDisperser,
    pub http: reqwest::Client,
    pub url: String,
}

impl Running {
    pub fn new(disperser: RunningDisperser) -> Self {
        let url = format!("http://{}", disperser.http_addr());
        Self {
            disperser,
            http: http(),
            url,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    pub async fn post(&self, query: &str, body: impl Into<reqwest::Body>) -> reqwest::Response {
        self.http
            .post(self.url(&format!("/v1/blobs{query}")))
            .body(body)
            .send()
            .await
            .unwrap()
    }

    /// Posts raw bytes and expects a 202.
    pub async fn accepted(&self, query: &str, payload: &[u8]) -> BlobStatus {
        let answer = self.post(query, payload.to_vec()).await;
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
        answer.json().await.unwrap()
    }

    /// Posts raw bytes that may be there already.
    pub async fn accepted_or_known(&self, payload: &[u8]) -> BlobStatus {
        let answer = self.post("", payload.to_vec()).await;
        assert!(
            answer.status().is_success(),
            "{}",
            answer.text().await.unwrap()
        );
        answer.json().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(self.url(path)).send().await.unwrap()
    }

    pub async fn status(&self, id: &BlobId) -> BlobStatus {
        let answer = self.get(&format!("/v1/blobs/{id}/status")).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    /// Waits until the blob is in a state that `enough` likes.
    pub async fn until(&self, id: &BlobId, enough: impl Fn(&BlobStatus) -> bool) -> BlobStatus {
        let started = std::time::Instant::now();
        loop {
            let status = self.status(id).await;
            if enough(&status) {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "still {status:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The sum of a metric over all its series.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        text.lines()
            .filter(|line| {
                line.strip_prefix("ashlar_disperser_")
                    .and_then(|line| line.strip_prefix(name))
                    .is_some_and(|rest| rest.starts_with([' ', '{']))
            })
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum::<f64>() as u64
    }

    /// Codes of what health complains about.
    pub fn complaints(&self) -> Vec<String> {
        let reasons = self.disperser.health().reasons;
        reasons.into_iter().map(|reason| reason.code).collect()
    }

    pub async fn certified(&self, id: &BlobId) -> BlobStatus {
        let status = self.until(id, |status| status.state.is_final()).await;
        assert_eq!(status.state, BlobState::Certified, "{:?}", status.error);
        status
    }

    /// Certified, and by so many operators.
    pub async fn signed_by(&self, id: &BlobId, signers: u32) -> BlobStatus {
        self.certified(id).await;
        let enough = |status: &BlobStatus| {
            let batch = status.batch.as_ref();
            batch.is_some_and(|batch| batch.signers == signers)
        };
        self.until(id, enough).await
    }
}

pub fn http() -> reqwest::Client {
    http_from("127.0.0.1")
}

/// A caller with this address, one of 127.0.0.0/8.
pub fn http_from(address: &str) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .local_address(Some(address.parse().unwrap()))
        .timeout(PATIENCE)
        .build()
        .unwrap()
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A `PutBlob` message with true commitments or with those of another payload.
pub fn put_blob(payload: &[u8], salt: u64, true_claims: bool) -> Vec<u8> {
    let of = if true_claims {
        payload
    } else {
        b"another payload"
    };
    let rows = Rows::from_payload(of, Encoding::Packed31).unwrap();
    let commitments = commit_rows(Setup::ethereum(), &rows)
        .iter()
        .map(|c| c.to_bytes())
        .collect();
    PutBlob {
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0],
        account: Account([4; 20]),
        salt,
        commitments,
        payload: Bytes::copy_from_slice(payload),
    }
    .encode()
}

/// The problem document of a refusal, with everything that each of them has to have.
pub async fn problem(answer: reqwest::Response) -> Problem {
    let status = answer.status().as_u16();
    let kind = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    let text = answer.text().await.unwrap();
    assert_eq!(kind, "application/problem+json", "{text}");
    let problem: Problem = serde_json::from_str(&text).unwrap();
    assert_eq!(problem.status, status);
    assert_eq!(
        problem.kind,
        format!("{}{}", Problem::TYPE_PREFIX, problem.code)
    );
    assert!(problem.instance.is_some(), "{problem:?}");
    problem
}

/// The events of a stream until it ends: id, name, data.
pub async fn events(answer: reqwest::Response) -> Vec<(usize, String, BlobStatus)> {
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.unwrap();
    text.split("\n\n")
        .filter(|block| block.lines().any(|line| line.starts_with("data:")))
        .map(|block| {
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| line.strip_prefix(name))
                    .map(|value| value.trim().to_owned())
                    .unwrap()
            };
            (
                field("id:").parse().unwrap(),
                field("event:"),
                serde_json::from_str(&field("data:")).unwrap(),
            )
        })
        .collect()
}
