//! What the relay serves beside payloads: slices. They are not stored; a blob is extended again when somebody asks.
//!
//! That takes as much computing as the encoder once took for it. So it has a thread of its own, which encodes one blob at a time
//! whatever is asked, and the last few extensions are kept within `relay.slice_memory_bytes`: operators that miss their slices of a
//! blob ask for it one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ashlar_crypto::{Coded, Hash, MerkleTree, PayloadError, Rows, Slices};
use ashlar_net::{Budget, Reservation};
use ashlar_proto::wire::{self, Response};
use ashlar_proto::{BlobHeader, BlobId, ChunkRanges, HeaderError};
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::compute::Threads;
use crate::config::encoded_bytes;
use crate::store::{Store, StoreError};

/// How long a request waits for its turn.
const PATIENCE: Duration = Duration::from_secs(20);

/// Extends blobs again, and keeps the last ones.
pub(crate) struct SliceRelay {
    threads: Threads,
    turn: Arc<Semaphore>,
    memory: Budget,
    /// The newest last.
    kept: Mutex<Vec<Arc<Extended>>>,
}

/// A blob's slices.
pub(crate) struct Extended {
    id: BlobId,
    header: BlobHeader,
    slices: Bytes,
    slice_bytes: usize,
    tree: MerkleTree,
}

impl SliceRelay {
    pub(crate) fn new(memory_bytes: u64) -> Result<Self, rayon::ThreadPoolBuildError> {
        Ok(Self {
            threads: Threads::new("slices", 1, 10)?,
            turn: Arc::new(Semaphore::new(1)),
            memory: Budget::new(memory_bytes),
            kept: Mutex::default(),
        })
    }

    /// The slices of a blob with this header, whose payload is in `store`.
    pub(crate) async fn slices(
        &self,
        store: &Store,
        id: BlobId,
        header: &BlobHeader,
    ) -> Result<Arc<Extended>, RelayError> {
        if let Some(kept) = self.find(&id) {
            return Ok(kept);
        }
        let turn = Arc::clone(&self.turn).acquire_owned();
        let Ok(turn) = tokio::time::timeout(PATIENCE, turn).await else {
            return Err(RelayError::Busy);
        };
        // Somebody else has asked for the same one meanwhile.
        if let Some(kept) = self.find(&id) {
            return Ok(kept);
        }
        let version = header.protocol()?;
        let memory = self.make_room(encoded_bytes(version, header.rows, 1))?;
        let (store, header) = (store.clone(), header.clone());
        let extended = self.threads.run(move || {
            // To the end of the work, also if who asked goes away.
            let _turn = turn;
            let payload = store.payload(&id)?.ok_or(RelayError::Gone)?;
            let rows = Rows::from_payload(&payload, header.encoding)?;
            let slices = Slices::extend(version.code, &rows);
            let tree = MerkleTree::from_slices(&slices);
            if tree.root() != header.chunk_root {
                let (got, expected) = (tree.root(), header.chunk_root);
                return Err(RelayError::Changed { got, expected });
            }
            Ok(Extended {
                id,
                slice_bytes: slices.slice_bytes(),
                slices: memory.attach(slices.into_bytes()),
                header,
                tree,
            })
        });
        let extended = Arc::new(extended.await.map_err(|_| RelayError::Panicked)??);
        self.kept().push(Arc::clone(&extended));
        Ok(extended)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Extended>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &BlobId) -> Option<Arc<Extended>> {
        let mut kept = self.kept();
        let place = kept.iter().position(|extended| extended.id == *id)?;
        let found = kept.remove(place);
        kept.push(Arc::clone(&found));
        Some(found)
    }

    /// Forgets the oldest ones until there is room. What is being sent keeps its memory until it is sent.
    fn make_room(&self, bytes: u64) -> Result<Reservation, RelayError> {
        loop {
            if let Some(memory) = self.memory.try_reserve(bytes) {
                return Ok(memory);
            }
            let mut kept = self.kept();
            if kept.is_empty() {
                return Err(RelayError::Busy);
            }
            kept.remove(0);
        }
    }
}

impl Extended {
    /// The slices of these indices with their Merkle paths, as an operator answers `GetSlices` on its stream: `u32` length,
    /// envelope, `u64` length, slices. `None` if an index is behind the last one.
    pub(crate) fn answer(&self, runs: ChunkRanges) -> Option<Vec<Bytes>> {
        let (mut proofs, mut bulk) = (Vec::new(), Vec::new());
        for &(start, len) in runs.as_slice() {
            let (start, end) = (start as usize, start as usize + len as usize);
            proofs.push(self.tree.range_proof(start..end)?);
            let bytes = start * self.slice_bytes..end * self.slice_bytes;
            bulk.push((bytes.end <= self.slices.len()).then(|| self.slices.slice(bytes))?);
        }
        let blob_header = self.header.clone();
        let envelope = Response::Slices(wire::Slices {
            blob_header,
            runs,
            proofs,
        })
        .encode();
        let length: usize = bulk.iter().map(Bytes::len).sum();
        let mut head = u32::try_from(envelope.len()).ok()?.to_be_bytes().to_vec();
        head.extend(envelope);
        head.extend((length as u64).to_be_bytes());
        bulk.insert(0, head.into());
        Some(bulk)
    }
}

/// Why there are no slices.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "slices", blame = Us)]
pub(crate) enum RelayError {
    /// Others are being served.
    #[error("too many slices of other blobs are asked for; try again later")]
    Busy,
    /// There is no payload.
    #[error("the blob's time is over; its payload is not kept")]
    #[coded(blame = Caller)]
    Gone,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The header's version.
    #[error(transparent)]
    #[coded(blame = Us)]
    Header(#[from] HeaderError),
    /// The payload on disk is not the one that was encoded.
    #[error("the stored payload does not fill rows: {0}")]
    #[coded(blame = Us)]
    Payload(#[from] PayloadError),
    /// The payload on disk is not the one that was encoded.
    #[error(
        "the stored payload is another one than was encoded: its chunk root is {}, not {}",
        hex::encode(got),
        hex::encode(expected)
    )]
    #[coded("payload_changed")]
    Changed {
        /// Root of the slices.
        got: Hash,
        /// Root of the header.
        expected: Hash,
    },
    /// A bug.
    #[error("the blob could not be extended")]
    Panicked,
}
