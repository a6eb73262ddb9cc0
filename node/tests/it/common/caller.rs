//! A disperser or a reader that talks to a running node, and its HTTP read by hand.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::bls::{Signature, SignatureBytes};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::merkle::{leaf_hash, verify_range};
use ashlar_net::{Answer, Client, NetError, NetLimits, Peer};
use ashlar_node::database::marker_path;
use ashlar_node::health::Status;
use ashlar_node::store::Store;
use ashlar_node::{Database, Node, NodeConfig, NodeKeys, RunningNode, database};
use ashlar_proto::wire::{ErrorReply, GetSlices, Request, Response};
use ashlar_proto::{ChunkIndex, ChunkRanges};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::time::TestTime;
use super::{Batch, World};

/// The operator whose node runs.
pub const ME: usize = 2;
/// Most time that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn start(world: &World, config: NodeConfig) -> RunningNode {
    start_with(world, config, world.keys(ME)).await
}

pub async fn start_with(world: &World, config: NodeConfig, keys: NodeKeys) -> RunningNode {
    let (stake, which) = (Arc::clone(&world.stake) as _, which(&config.paths.bls_key));
    Node::start(config, keys, stake, Vec::new(), which)
        .await
        .unwrap()
}

/// A node with clocks that the test sets.
pub async fn start_at(world: &World, config: NodeConfig, time: &Arc<TestTime>) -> RunningNode {
    let stake = Arc::clone(&world.stake) as _;
    let time = Arc::clone(time) as _;
    let opening = Node::listen(config.clone(), world.keys(ME), stake, time)
        .await
        .unwrap();
    opening
        .open(move |owner| {
            let which = which(&config.paths.bls_key);
            Ok(Arc::new(database::open(&config, owner, which)?) as Arc<dyn Store>)
        })
        .await
        .unwrap()
}

/// A new database if there is none.
pub fn which(bls_key: &Path) -> Database {
    if marker_path(bls_key).exists() {
        Database::Existing
    } else {
        Database::New
    }
}

pub struct Caller {
    client: Client,
    to: Peer,
}

impl Caller {
    pub fn new(key: &NetworkKey, quic: SocketAddr, world: &World) -> Self {
        Self::of(Client::new(key, NetLimits::default()).unwrap(), quic, world)
    }

    /// One whose packets come from this address.
    pub fn at(from: SocketAddr, key: &NetworkKey, quic: SocketAddr, world: &World) -> Self {
        let client = Client::bind(from, key, NetLimits::default()).unwrap();
        Self::of(client, quic, world)
    }

    fn of(client: Client, quic: SocketAddr, world: &World) -> Self {
        Self {
            client,
            to: Peer {
                address: quic.to_string(),
                network_key: world.network[ME].public(),
            },
        }
    }

    pub async fn ask(&self, request: Request, bulk: Vec<Bytes>) -> Result<Answer, NetError> {
        self.client.request(&self.to, request, bulk, PATIENCE).await
    }

    pub async fn store(
        &self,
        batch: &Batch,
        chunks: &[ChunkIndex],
    ) -> Result<SignatureBytes, ErrorReply> {
        let (request, bulk) = batch.request(chunks);
        match self.ask(request, bulk).await {
            Ok(Answer {
                response: Response::Stored(stored),
                ..
            }) => Ok(stored.signature),
            Err(NetError::Remote(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    /// Slices that verify against the blob header of the answer.
    pub async fn slices(
        &self,
        batch: &Batch,
        blob: usize,
        indices: &ChunkRanges,
    ) -> Result<Vec<(ChunkIndex, Bytes)>, ErrorReply> {
        let request = Request::GetSlices(GetSlices {
            blob_key: batch.key(blob),
            indices: indices.clone(),
        });
        let answer = match self.ask(request, vec![]).await {
            Err(NetError::Remote(error)) => return Err(error),
            other => other.unwrap(),
        };
        let Response::Slices(slices) = answer.response else {
            panic!("{:?}", answer.response)
        };
        assert_eq!(slices.blob_header, batch.blobs[blob]);
        let view = slices.layout().unwrap().view(answer.bulk).unwrap();
        let got: Vec<(ChunkIndex, Bytes)> = slices
            .runs
            .iter()
            .enumerate()
            .map(|(place, i)| (i, view.slice_bytes(0, place).unwrap()))
            .collect();
        let mut rest = got.as_slice();
        for (&(start, len), proof) in slices.runs.as_slice().iter().zip(&slices.proofs) {
            let (run, behind) = rest.split_at(len as usize);
            let leaves: Vec<_> = run.iter().map(|(_, s)| leaf_hash(s)).collect();
            verify_range(
                &slices.blob_header.chunk_root,
                512,
                start.into(),
                &leaves,
                proof,
            )
            .unwrap();
            rest = behind;
        }
        Ok(got)
    }
}

pub fn runs(indices: &[ChunkIndex]) -> ChunkRanges {
    ChunkRanges::from_indices(indices).unwrap()
}

pub fn valid(world: &World, signature: SignatureBytes, batch: &Batch) {
    let signature = Signature::from_bytes(&signature).unwrap();
    world.bls[ME]
        .public_key()
        .verify(&batch.header.digest().0, &signature)
        .unwrap();
}

/// `GET`, by hand: status code and body.
pub async fn get(http: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text))
        .await
        .unwrap()
        .unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}

/// Waits for a condition; fails when it does not come.
pub async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("{what} did not come"));
}

/// Runs one test of this program, which starts a node with this folder in the variable and says `quic=` and its address, in a process
/// of its own.
pub async fn spawn_child(
    test: &str,
    variable: &str,
    folder: &Path,
) -> (tokio::process::Child, SocketAddr) {
    use tokio::io::AsyncBufReadExt;
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(variable, folder)
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap()).lines();
    let find = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix("quic=") {
                return address.parse().unwrap();
            }
        }
        panic!("the child ended");
    };
    let quic = tokio::time::timeout(PATIENCE, find).await.unwrap();
    (child, quic)
}

/// The most memory that a process ever had, in MiB.
pub fn peak_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() / 1024
}

pub async fn until_cause(node: &RunningNode, code: &str) {
    until(code, || async {
        node.health().reasons.iter().any(|r| r.code == code)
    })
    .await;
}

pub async fn until_ready(node: &RunningNode) {
    until("health", || async { node.health().status == Status::Ready }).await;
}
