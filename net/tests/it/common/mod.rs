//! A handler, keys and messages for the tests with real sockets.

pub mod raw;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ashlar_crypto::{
    Blame, NetworkKey, NetworkPublicKey, NetworkSignature, ProofBytes, bls::SignatureBytes,
    payload::Encoding, payload::rows_for,
};
use ashlar_net::{Admission, BulkReader, Client, Handler, NetLimits, Peer, Reply, Server};
use ashlar_proto::{
    Account, BatchHeader, BlobHeader, BlobKey, ChunkRanges, Domain, TableRoot, batch_tree,
    wire::{
        Dialed, ErrorReply, GetSlices, Ping, Pong, Request, Response, Slices, StoreBatch, Stored,
    },
};
use ashlar_proto::{Block, Sequence};
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::Notify;

pub fn key(seed: u8) -> NetworkKey {
    NetworkKey::from_seed([seed; 32])
}

pub const SERVER: u8 = 1;
pub const CLIENT: u8 = 2;
/// The handler answers this caller's StoreBatch without reading its bulk part.
pub const FORBIDDEN: u8 = 3;

/// Nonces of pings with a meaning.
pub const HANG: u64 = 1;
pub const PANIC: u64 = 2;
pub const HOLD: u64 = 3;
pub const BAD_BULK: u64 = 4;

/// Answers pings, stores nothing, serves one blob that it makes up.
#[derive(Default)]
pub struct Toy {
    pub peers: Mutex<Vec<NetworkPublicKey>>,
    pub handling: AtomicUsize,
    pub most: AtomicUsize,
    pub release: Notify,
    /// Who is a stranger; by default nobody.
    pub strangers: Vec<NetworkPublicKey>,
}

impl Toy {
    async fn answer(
        &self,
        peer: NetworkPublicKey,
        request: Request,
        mut bulk: BulkReader,
    ) -> Reply {
        match request {
            Request::Ping(Ping { nonce }) => {
                match nonce {
                    HANG => std::future::pending().await,
                    PANIC => panic!("on purpose"),
                    HOLD => self.release.notified().await,
                    BAD_BULK => {
                        return Reply::with_bulk(pong(nonce), vec![Bytes::from_static(b"?")]);
                    }
                    _ => {}
                }
                Reply::new(pong(nonce))
            }
            Request::StoreBatch(batch) => {
                if peer == key(FORBIDDEN).public() {
                    return ErrorReply::new("store.not_a_disperser", Blame::Caller, "who are you")
                        .into();
                }
                let len = bulk.len();
                let bytes = match bulk.read_to_end().await {
                    Ok(bytes) => bytes,
                    Err(error) => return error.into(),
                };
                assert_eq!(bytes.len() as u64, len);
                let mut signature = [0; 48];
                signature[..8].copy_from_slice(&checksum(&[bytes]).to_be_bytes());
                signature[8..12].copy_from_slice(&(batch.blob_headers.len() as u32).to_be_bytes());
                Response::Stored(Stored {
                    signature: SignatureBytes(signature),
                })
                .into()
            }
            Request::GetSlices(get) => {
                let slices = Slices {
                    blob_header: blob(PAYLOAD, 0),
                    proofs: vec![vec![]; get.indices.as_slice().len()],
                    runs: get.indices,
                };
                let len = slices.layout().unwrap().len();
                let memory = match bulk.reserve(len, LONG).await {
                    Ok(memory) => memory,
                    Err(error) => return error.into(),
                };
                let data = memory.attach((0..len).map(|i| i as u8).collect::<Vec<u8>>());
                Reply::with_bulk(Response::Slices(slices), vec![data])
            }
            Request::GetChunks(_) => ErrorReply::new("batch.unknown", Blame::Caller, "never seen")
                .with("x", "y")
                .into(),
            Request::DialMe => Response::Dialed(Dialed {
                address: "where it is".into(),
            })
            .into(),
            _ => ErrorReply::new("toy.unknown", Blame::Caller, "not a toy's").into(),
        }
    }
}

struct Counted<'a>(&'a Toy);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.handling.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handler for Toy {
    fn handle(
        &self,
        peer: NetworkPublicKey,
        request: Request,
        bulk: BulkReader,
    ) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            self.peers.lock().unwrap().push(peer);
            let now = self.handling.fetch_add(1, Ordering::SeqCst) + 1;
            let _counted = Counted(self);
            self.most.fetch_max(now, Ordering::SeqCst);
            self.answer(peer, request, bulk).await
        })
    }

    fn admission(&self, peer: &NetworkPublicKey) -> Admission {
        if self.strangers.contains(peer) {
            Admission::Stranger
        } else {
            Admission::Known
        }
    }
}

pub fn pong(nonce: u64) -> Response {
    Response::Pong(Pong {
        nonce,
        software: "toy".into(),
        versions: vec![1],
    })
}

pub fn ping(nonce: u64) -> Request {
    Request::Ping(Ping { nonce })
}

/// FNV-1a, to see that every byte arrives in its place.
pub fn checksum(parts: &[Bytes]) -> u64 {
    parts
        .iter()
        .flat_map(|p| p.iter())
        .fold(0xcbf2_9ce4_8422_2325, |h, b| {
            (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)
        })
}

pub const PAYLOAD: u64 = 16 << 20;

pub fn blob(payload_len: u64, salt: u64) -> BlobHeader {
    BlobHeader {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len,
        rows: rows_for(Encoding::Packed31, payload_len).unwrap(),
        commitments_root: [1; 32],
        chunk_root: [2; 32],
        quorums: vec![0],
        account: Account([3; 20]),
        salt,
    }
}

/// A batch of blobs of 16 MiB, and all 64 chunks that an operator can have: about 17 MB of bulk data a blob.
pub fn store_batch(blobs: u64) -> StoreBatch {
    let blob_headers: Vec<_> = (0..blobs).map(|salt| blob(PAYLOAD, salt)).collect();
    let keys: Vec<BlobKey> = blob_headers.iter().map(BlobHeader::blob_key).collect();
    let batch_header = BatchHeader {
        domain: Domain([0xd0; 32]),
        table_root: TableRoot([0x77; 32]),
        version: 1,
        batch_root: batch_tree(&keys).root(),
        blobs: blobs as u32,
        rows: blob_headers.iter().map(|b| b.rows).sum(),
        reference_block: Block(1),
        disperser_id: 0,
        sequence: Sequence(1),
        created_at_ms: 1,
    };
    StoreBatch {
        batch_header,
        disperser_signature: NetworkSignature([0; 64]),
        blob_headers,
        chunk_proofs: vec![ProofBytes([0; 48]); 64],
        slice_proofs: vec![vec![vec![[0; 32]; 3]]; blobs as usize],
        runs: ChunkRanges::new(vec![(0, 64)]).unwrap(),
    }
}

/// Such a batch with its bulk data.
pub fn store(blobs: u64) -> (Request, Vec<Bytes>) {
    let batch = store_batch(blobs);
    let len = batch.layout().unwrap().len() as usize;
    let data: Bytes = (0..len)
        .map(|i| (i * 7 + i / 251) as u8)
        .collect::<Vec<_>>()
        .into();
    // In pieces, as a disperser has it; one is empty.
    let middle = len / 3;
    let bulk = vec![data.slice(..middle), Bytes::new(), data.slice(middle..)];
    (Request::StoreBatch(batch), bulk)
}

pub fn get_slices(count: u32) -> Request {
    let indices = ChunkRanges::new(vec![(0, count)]).unwrap();
    Request::GetSlices(GetSlices {
        blob_key: BlobKey([0; 32]),
        indices,
    })
}

pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn server(limits: NetLimits, handler: Arc<Toy>) -> Server {
    Server::bind(any_port(), &[key(SERVER)], limits, handler).unwrap()
}

pub fn peer(server: &Server) -> Peer {
    Peer {
        address: server.local_addr().to_string(),
        network_key: key(SERVER).public(),
    }
}

pub fn client(limits: NetLimits) -> Client {
    Client::new(&key(CLIENT), limits).unwrap()
}

pub const LONG: Duration = Duration::from_secs(60);

/// Waits for a condition, for a minute at most.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < LONG, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
