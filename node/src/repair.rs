//! Makes damaged parts of the store anew, out of what peers hold.
//!
//! ```text
//! slices of a blob    k slices of peers, each with its Merkle path ─▶ the rows ─▶ all slices ─▶ the signed chunk root
//! the rest of a batch header list and commitments from a peer, checked against the signed digest; all its blobs as above;
//!                     proofs by FK20 of the sum of all rows, checked against the commitments: the sum of the rows if all
//!                     blobs are made anew, else out of the combined columns of peers, each checked by its proof
//! a signed record     out of the batch itself: the scrub does it
//! ```
//!
//! Nothing is believed: the promise has the digest, and everything follows from it. What cannot be made anew stops signing, is said
//! in health, and is tried again with growing pauses.

mod plan;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::kzg::{decode_commitments, decode_proofs};
use ashlar_crypto::{
    AggregatedRow, ChunkColumn, ChunkError, Code, Coded, Commitment, CommitmentBytes, MerkleTree,
    RecoverError, RowChallenge, Rows, Setup, Slices, combine_commitments, prove_chunks, recover,
    verify_chunks,
};
use ashlar_fetch::Network;
use ashlar_fetch::chunks::ChunksTask;
use ashlar_fetch::combined::CombinedTask;
use ashlar_fetch::gather::{Arrival, Gathered, Outcome, gather};
use ashlar_fetch::plan::{Ask, Holder, Plan, State};
use ashlar_fetch::slices::SlicesTask;
use ashlar_proto::{
    BatchHeader, Bitmap, BlobHeader, Block, Certificate, ChunkRanges, HeaderError, OperatorEntry,
    ProtocolVersion, QuorumId, TableAccess,
};
use ashlar_service::metrics::Code as CodeLabel;
use ashlar_stake::{Assignment, AssignmentError, OperatorTable, StakeError, StakeSource};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::damage::{Part, Repairs};
use crate::scrub::{check_slices, is_owed, read_batch};
use crate::shared::{Shared, blocking};
use crate::store::{
    BlobRecord, IndexProgress, SequenceId, SignedRecord, Store, StoreError, StoredBatch,
};
use crate::tasks::pause;

/// Promises listed at a time.
const PAGE: usize = 1024;

/// Why a part could not be made anew.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "repair", blame = Us)]
pub(crate) enum HealError {
    /// No batch tells it, and no peer has told it so far.
    #[error("nothing here tells what was signed; peers are asked")]
    Record,
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operator table of the batch cannot be had.
    #[error("the operator table: {0}")]
    #[coded(transparent, blame = Us)]
    Stake(#[from] StakeError),
    /// Nothing is assigned by it.
    #[error("the chunks of the operators: {0}")]
    #[coded(transparent, blame = Us)]
    Assignment(#[from] AssignmentError),
    /// A header that this program does not understand.
    #[error("a header: {0}")]
    #[coded(transparent, blame = Us)]
    Header(#[from] HeaderError),
    /// This operator is not in that table.
    #[error("this operator has no chunks of the batch by the table of its block")]
    NotAssigned,
    /// Peers do not have enough, or do not answer.
    #[error("{good} of {needed} pieces came from peers{first}")]
    #[coded(blame = Peer)]
    TooFew {
        /// Pieces that came.
        good: u32,
        /// Pieces needed.
        needed: u32,
        /// Why the first peer did not help.
        first: String,
    },
    /// What came cannot be decoded.
    #[error("the slices cannot be decoded: {0}")]
    #[coded(blame = Peer)]
    Decode(RecoverError),
    /// The disperser encoded the blob wrongly: what is lost was not what the code gives.
    #[error("the disperser encoded blob {place} wrongly: its slices cannot be made anew")]
    #[coded(blame = Peer)]
    EncodedWrongly {
        /// Place of the blob.
        place: u32,
    },
    /// The proofs made here do not fit the commitments: rows that are not those committed to.
    #[error("the proofs made anew do not hold ({0}): the disperser committed to something else")]
    #[coded(blame = Peer)]
    Proofs(ChunkError),
    /// No randomness.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

/// What making parts anew needs.
pub(crate) struct Healer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) stake: Arc<dyn StakeSource>,
    pub(crate) network: Arc<dyn Network>,
    pub(crate) repairs: Arc<Repairs>,
    /// Peers are to be asked once more what was promised.
    pub(crate) reindex: Notify,
}

/// Makes one part after the other anew until the node stops.
pub(crate) async fn run(healer: Arc<Healer>, stop: CancellationToken) {
    let rate = healer.shared.config.tasks.repair_bytes_per_sec;
    let repairs = Arc::clone(&healer.repairs);
    while !stop.is_cancelled() {
        let part = match repairs.next() {
            Ok(part) => part,
            Err(due) => {
                let wait = async {
                    match due {
                        Some(due) => tokio::time::sleep_until(due).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = repairs.news.notified() => {}
                    () = wait => {}
                }
                continue;
            }
        };
        let started = Instant::now();
        let healed = tokio::select! {
            () = stop.cancelled() => return,
            healed = healer.heal(part) => healed,
        };
        let metrics = &healer.shared.metrics;
        let bytes = match healed {
            Ok(bytes) => {
                tracing::info!(?part, bytes, "made anew");
                metrics.repaired.inc();
                metrics.repair_bytes.inc_by(bytes);
                repairs.healed(&part);
                bytes
            }
            Err(error) => {
                let code = error.code().to_owned();
                tracing::warn!(?part, code, "not made anew: {error}");
                metrics
                    .repair_failed
                    .get_or_create(&CodeLabel { code })
                    .inc();
                repairs.failed(&part, error.to_string());
                0
            }
        };
        repairs.publish(&healer.shared);
        let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
        if !pause(&stop, due.saturating_sub(started.elapsed())).await {
            return;
        }
    }
}

/// Who holds what of a batch.
struct Holders {
    table: Arc<OperatorTable>,
    /// The newest table: an operator that has moved is asked where it is now.
    newest: Arc<OperatorTable>,
    /// Everybody but this operator.
    others: Vec<Holder>,
    /// This operator's chunks.
    own: ChunkRanges,
}

/// The slices of one blob, made anew.
struct Remade {
    rows: Rows,
    blob: BlobRecord,
}

impl Healer {
    /// Makes a part anew; gives the bytes that peers sent. What is no damage any more costs nothing.
    async fn heal(&self, part: Part) -> Result<u64, HealError> {
        let (at, only) = match part {
            // The next scrub finds what the list names.
            Part::List => return self.list().await,
            Part::Record(at) => return self.record(at).await,
            Part::Batch(at) => (at, None),
            Part::Blob(at, place) => (at, Some(place)),
        };
        match self.promise(at).await? {
            Some((record, Ok(batch))) => self.heal_slices(&record, batch.blobs, only).await,
            Some((record, Err(_))) => self.heal_batch(&record, None).await,
            None => Ok(0),
        }
    }

    /// Whether a record that was lost is there again. If not, peers are asked what was promised.
    async fn record(&self, at: SequenceId) -> Result<u64, HealError> {
        let store = Arc::clone(&self.store);
        let asked = blocking(move || {
            if matches!(store.signed(&at), Ok(Some(_))) {
                return Ok(false);
            }
            if store.index_progress()?.is_none_or(|progress| progress.done) {
                store.keep_index_progress(&IndexProgress {
                    // This damage stops signing by itself.
                    may_sign: true,
                    ..IndexProgress::default()
                })?;
            }
            Ok::<_, HealError>(true)
        });
        if asked.await? {
            self.reindex.notify_one();
            return Err(HealError::Record);
        }
        Ok(0)
    }

    /// Whether all promises can be listed again.
    async fn list(&self) -> Result<u64, HealError> {
        let store = Arc::clone(&self.store);
        blocking(move || {
            let mut after = None;
            loop {
                let page = store.promises(after.as_ref(), PAGE)?;
                match page.last() {
                    Some((at, _)) => after = Some(*at),
                    None => return Ok(0),
                }
            }
        })
        .await
    }

    /// A promise that is owed, and its batch or what is wrong with it.
    async fn promise(
        &self,
        at: SequenceId,
    ) -> Result<Option<(SignedRecord, Result<StoredBatch, String>)>, HealError> {
        let store = Arc::clone(&self.store);
        blocking(move || {
            let record = store.signed(&at)?.ok_or(HealError::Record)?;
            if !is_owed(store.as_ref(), record.window)? {
                return Ok(None);
            }
            let batch = read_batch(store.as_ref(), &record).transpose();
            Ok(batch.map(|batch| (record, batch)))
        })
        .await
    }

    /// Makes the slices of one blob anew, or of all, where they are damaged.
    async fn heal_slices(
        &self,
        record: &SignedRecord,
        blobs: Vec<BlobHeader>,
        only: Option<u32>,
    ) -> Result<u64, HealError> {
        let store = Arc::clone(&self.store);
        let looked = record.clone();
        let damaged = blocking(move || {
            let store = store.as_ref();
            let places = (0u32..).zip(blobs);
            let places = places.filter(|(place, _)| only.is_none_or(|only| only == *place));
            places
                .filter(|(place, blob)| check_slices(store, &looked, *place, blob).is_err())
                .collect::<Vec<_>>()
        })
        .await;
        // All blobs of a batch have the same quorums.
        let Some((_, first)) = damaged.first() else {
            return Ok(0);
        };
        let holders = self.holders(record, &first.quorums).await?;
        let mut bytes = 0;
        for (place, header) in damaged {
            let (remade, fetched) = self.remake(place, &header, &holders).await?;
            bytes += fetched;
            let (store, record) = (Arc::clone(&self.store), record.clone());
            let own = holders.own.clone();
            blocking(move || store.restore_slices(&record, &own, place, &remade.blob)).await?;
        }
        Ok(bytes)
    }

    /// Takes a batch that this operator had not signed. It is a promise from the moment on when all of it is here.
    pub(crate) async fn take(
        &self,
        record: &SignedRecord,
        certificate: &Certificate,
    ) -> Result<u64, HealError> {
        self.heal_batch(record, Some(certificate.clone())).await
    }

    /// The rows of a blob of a promised batch, out of the slices of peers.
    pub(crate) async fn rows(
        &self,
        record: &SignedRecord,
        blob: &BlobHeader,
    ) -> Result<Rows, HealError> {
        let holders = self.holders(record, &blob.quorums).await?;
        let (rows, bytes) = self.fetch(blob, &holders).await?;
        self.shared.metrics.repair_bytes.inc_by(bytes);
        Ok(rows)
    }

    /// Makes a whole batch anew, but for slices that are still there. Without a promise it needs the certificate.
    async fn heal_batch(
        &self,
        record: &SignedRecord,
        certificate: Option<Certificate>,
    ) -> Result<u64, HealError> {
        let header = record.offered.header.clone();
        let (blobs, commitments, mut bytes) = self.frame(record).await?;
        let quorums = blobs.first().map(|blob| blob.quorums.clone());
        let holders = self.holders(record, &quorums.unwrap_or_default()).await?;
        let held = self.held(record, &blobs, &holders.own).await;
        let none_held = held.iter().all(Option::is_none);
        let mut sum = AggregatedRow::new(RowChallenge::new(record.digest.as_bytes()));
        let mut parts = Vec::with_capacity(blobs.len());
        for ((header, place), held) in blobs.iter().zip(0u32..).zip(held) {
            if let Some(blob) = held {
                parts.push((false, blob));
                continue;
            }
            let (Remade { rows, blob }, fetched) = self.remake(place, header, &holders).await?;
            bytes += fetched;
            parts.push((true, blob));
            if none_held {
                sum = blocking(move || {
                    sum.absorb(&rows);
                    sum
                })
                .await;
            }
        }
        if !none_held {
            let fetched;
            (sum, fetched) = self.combined(record, &commitments, &holders).await?;
            bytes += fetched;
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| HealError::Random(error.to_string()))?;
        let (store, record) = (Arc::clone(&self.store), record.clone());
        blocking(move || {
            let version = header.protocol()?;
            let setup = Setup::ethereum();
            let proofs = prove_chunks(setup, version.code, &sum);
            let own = holders
                .own
                .iter()
                .filter_map(|chunk| proofs.get(chunk.0 as usize));
            let batch = StoredBatch {
                disperser_signature: record.offered.signature,
                runs: holders.own.clone(),
                blobs,
                commitments,
                chunk_proofs: own.copied().collect(),
                header,
            };
            check_proofs(setup, version, &batch, &parts, seed)?;
            if let Some(certificate) = &certificate {
                store.note_promise(&record, certificate)?;
            }
            for ((remade, blob), place) in parts.iter().zip(0u32..) {
                if *remade {
                    store.restore_slices(&record, &batch.runs, place, blob)?;
                }
            }
            // Last: with it the batch is there.
            store.restore_batch(&record, &batch)?;
            Ok::<_, HealError>(())
        })
        .await?;
        Ok(bytes)
    }

    /// The slices of each blob that are still there, all of them and right.
    async fn held(
        &self,
        record: &SignedRecord,
        blobs: &[BlobHeader],
        own: &ChunkRanges,
    ) -> Vec<Option<BlobRecord>> {
        let (store, digest) = (Arc::clone(&self.store), record.digest);
        let (blobs, own) = (blobs.to_vec(), own.clone());
        blocking(move || {
            let held = |(header, place): (BlobHeader, u32)| {
                let slices = store.batch_slices(&digest, place).ok()??;
                let version = header.protocol().ok()?;
                slices.check(version.code.chunks()).ok()?;
                if *slices.header() != header || *slices.runs() != own {
                    return None;
                }
                let mut data = Vec::with_capacity(slices.slice_bytes() * own.count());
                for chunk in own.iter() {
                    data.extend_from_slice(&slices.slice(chunk).ok()??);
                }
                Some(BlobRecord {
                    key: header.blob_key(),
                    header,
                    // Only to be looked at: it is not written again.
                    leaves: Vec::new(),
                    proofs: Vec::new(),
                    data: data.into(),
                })
            };
            blobs.into_iter().zip(0u32..).map(held).collect()
        })
        .await
    }

    /// The sum of all rows, out of the combined columns of peers; with the bytes that it took.
    async fn combined(
        &self,
        record: &SignedRecord,
        commitments: &[CommitmentBytes],
        holders: &Holders,
    ) -> Result<(AggregatedRow, u64), HealError> {
        let header = record.offered.header.clone();
        let code = header.protocol()?.code;
        let challenge = RowChallenge::new(record.digest.as_bytes());
        let commitments = commitments.to_vec();
        let commitment = blocking(move || {
            let points = decode(&commitments)?;
            combine_commitments(challenge, &points).ok_or(HealError::Proofs(ChunkError::NoRows))
        })
        .await?;
        let task = CombinedTask::new(Arc::clone(&self.network), header, code, commitment);
        let task = Arc::new(task);
        let (needed, unit) = (code.needed(), task.column_bytes());
        let gathered = self
            .gather(needed, unit, holders, |entry, ask, arrival| {
                Arc::clone(&task).run(entry, ask, arrival)
            })
            .await?;
        let bytes = gathered.bytes;
        let cells = enough(needed, gathered)?;
        blocking(move || {
            let rows = decode_rows(code, 1, &cells)?;
            let mut sum = AggregatedRow::new(challenge);
            sum.absorb(&rows);
            Ok((sum, bytes))
        })
        .await
    }

    /// Asks those who hold something, and names those who did not help.
    async fn gather<F, R>(
        &self,
        needed: u32,
        unit_bytes: u64,
        holders: &Holders,
        request: R,
    ) -> Result<Gathered<Bytes>, HealError>
    where
        F: Future<Output = Outcome<Bytes>> + Send + 'static,
        R: Fn(OperatorEntry, Ask, Arrival) -> F,
    {
        let gathered = gather(
            Plan::new(
                plan::plan(needed, unit_bytes),
                holders.others.clone(),
                seed()?,
            ),
            Instant::now(),
            &holders.table,
            &Bitmap::new(holders.table.operators().len() as u32),
            |entry, ask, arrival| request(holders.now_at(entry), ask, arrival),
        )
        .await;
        for peer in &gathered.skipped {
            let code = peer.code.clone();
            tracing::info!(operator = ?peer.operator, address = peer.address, code, "a peer did not help with a repair: {}", peer.reason);
            let skipped = &self.shared.metrics.repair_skipped;
            skipped.get_or_create(&CodeLabel { code }).inc();
        }
        Ok(gathered)
    }

    /// The list of blob headers and the commitments of a batch, from whoever has them, with the bytes that it took.
    async fn frame(
        &self,
        record: &SignedRecord,
    ) -> Result<(Vec<BlobHeader>, Vec<CommitmentBytes>, u64), HealError> {
        let header = &record.offered.header;
        let code = header.protocol()?.code;
        let table = self.table(header.reference_block).await?;
        let mut last = None;
        // Which quorums the blobs have is in their headers. Whoever holds chunks for the first of them holds some of these.
        for quorum in table.quorums() {
            let mut holders = match self.holders(record, &[quorum]).await {
                Ok(holders) => holders,
                // Not this operator's quorum.
                Err(error) => {
                    last = Some(Err(error));
                    continue;
                }
            };
            for holder in &mut holders.others {
                holder.indices.truncate(1);
            }
            let task = ChunksTask::new(Arc::clone(&self.network), None, header.clone(), code);
            let task = Arc::new(task);
            let unit = task.column_bytes();
            let asking = Arc::clone(&task);
            let gathered = self
                .gather(1, unit, &holders, |entry, ask, arrival| {
                    Arc::clone(&asking).run(entry, ask, arrival)
                })
                .await?;
            let bytes = gathered.bytes;
            if let Some((blobs, commitments)) = task.frame() {
                return Ok((blobs, commitments, bytes));
            }
            last = Some(enough(1, gathered));
        }
        match last {
            Some(Err(error)) => Err(error),
            _ => Err(HealError::NotAssigned),
        }
    }

    /// Makes the slices of a blob anew out of those of peers; with the bytes that it took.
    async fn remake(
        &self,
        place: u32,
        header: &BlobHeader,
        holders: &Holders,
    ) -> Result<(Remade, u64), HealError> {
        let code = header.protocol()?.code;
        let (rows, bytes) = self.fetch(header, holders).await?;
        let (header, own) = (header.clone(), holders.own.clone());
        let remade = blocking(move || {
            let blob = cut(header, &Slices::extend(code, &rows), &own)
                .ok_or(HealError::EncodedWrongly { place })?;
            Ok::<_, HealError>(Remade { rows, blob })
        })
        .await?;
        Ok((remade, bytes))
    }

    /// The rows of a blob, decoded from the slices of peers; with the bytes that it took. That they are those committed to is for the
    /// caller to find out.
    async fn fetch(
        &self,
        header: &BlobHeader,
        holders: &Holders,
    ) -> Result<(Rows, u64), HealError> {
        let code = header.protocol()?.code;
        let task = Arc::new(SlicesTask {
            network: Arc::clone(&self.network),
            key: header.blob_key(),
            header: header.clone(),
            code,
        });
        let (needed, rows) = (code.needed(), header.rows as usize);
        let unit = task.slice_bytes();
        let gathered = self
            .gather(needed, unit, holders, |entry, ask, arrival| {
                Arc::clone(&task).run(entry, ask, arrival)
            })
            .await?;
        let bytes = gathered.bytes;
        let slices = enough(needed, gathered)?;
        Ok((
            blocking(move || decode_rows(code, rows, &slices)).await?,
            bytes,
        ))
    }

    async fn table(&self, block: Block) -> Result<Arc<OperatorTable>, HealError> {
        let stake = Arc::clone(&self.stake);
        Ok(blocking(move || stake.table_at(block)).await?)
    }

    async fn holders(
        &self,
        record: &SignedRecord,
        quorums: &[QuorumId],
    ) -> Result<Holders, HealError> {
        let header: &BatchHeader = &record.offered.header;
        let table = self.table(header.reference_block).await?;
        let stake = Arc::clone(&self.stake);
        let newest = blocking(move || stake.newest()).await?;
        let assignment = Assignment::compute(&table, header.protocol()?, quorums)?;
        let me = table.find(&self.shared.operator_id);
        let own = me.map(|me| assignment.chunks(me)).unwrap_or_default();
        let others = assignment
            .operators()
            .filter(|operator| Some(*operator) != me);
        Ok(Holders {
            own: ChunkRanges::from_indices(own).map_err(|_| HealError::NotAssigned)?,
            others: others
                .map(|operator| Holder {
                    operator,
                    // Nobody says here who signed.
                    signer: false,
                    indices: assignment.chunks(operator).to_vec(),
                })
                .collect(),
            table,
            newest,
        })
    }
}

impl Holders {
    /// An operator where it is now.
    fn now_at(&self, entry: OperatorEntry) -> OperatorEntry {
        let place = self.newest.find(&entry.operator_id);
        let now = place.and_then(|place| self.newest.operator(place));
        now.cloned().unwrap_or(entry)
    }
}

fn decode_rows(code: Code, rows: usize, pieces: &Gathered<Bytes>) -> Result<Rows, HealError> {
    let pieces = pieces.items.iter();
    let pieces: Vec<(u32, &[u8])> = pieces
        .map(|(index, bytes)| (index.0, bytes.as_ref()))
        .collect();
    recover(code, rows, &pieces).map_err(HealError::Decode)
}

fn decode(commitments: &[CommitmentBytes]) -> Result<Vec<Commitment>, HealError> {
    decode_commitments(commitments).map_err(|(row, error)| {
        HealError::Store(StoreError::Corrupt {
            what: "a point",
            detail: format!("the commitment of row {row}: {error}"),
        })
    })
}

fn seed() -> Result<u64, HealError> {
    getrandom::u64().map_err(|error| HealError::Random(error.to_string()))
}

fn enough(needed: u32, gathered: Gathered<Bytes>) -> Result<Gathered<Bytes>, HealError> {
    if gathered.state == State::Done {
        return Ok(gathered);
    }
    let first = gathered.skipped.first();
    Err(HealError::TooFew {
        good: u32::try_from(gathered.items.len()).unwrap_or(u32::MAX),
        needed,
        first: first
            .map(|peer| format!("; {}: {}", peer.address, peer.reason))
            .unwrap_or_default(),
    })
}

/// This operator's part of a blob's slices; `None` if they are not those of its chunk root.
fn cut(header: BlobHeader, slices: &Slices, own: &ChunkRanges) -> Option<BlobRecord> {
    let tree = MerkleTree::from_slices(slices);
    if tree.root() != header.chunk_root {
        return None;
    }
    let mut data = Vec::with_capacity(slices.slice_bytes() * own.count());
    let mut leaves = Vec::with_capacity(own.count());
    for chunk in own.iter() {
        data.extend_from_slice(slices.slice(chunk.0)?);
        leaves.push(tree.leaf(chunk.0 as usize)?);
    }
    let proof = |&(start, len): &(u32, u32)| -> Option<Vec<ashlar_crypto::Hash>> {
        let range: Range<usize> = start as usize..start as usize + len as usize;
        tree.range_proof(range)
    };
    Some(BlobRecord {
        key: header.blob_key(),
        proofs: own.as_slice().iter().map(proof).collect::<Option<_>>()?,
        leaves,
        data: data.into(),
        header,
    })
}

/// What was made anew has to hold as it held when it was signed.
fn check_proofs(
    setup: &Setup,
    version: &ProtocolVersion,
    batch: &StoredBatch,
    blobs: &[(bool, BlobRecord)],
    seed: [u8; 32],
) -> Result<(), HealError> {
    let malformed = |what: String| StoreError::Corrupt {
        what: "a point",
        detail: what,
    };
    let commitments = decode(&batch.commitments)?;
    let proofs = decode_proofs(&batch.chunk_proofs)
        .map_err(|(place, error)| malformed(format!("proof {place}: {error}")))?;
    let cell = version.code.cell_bytes();
    let columns: Vec<ChunkColumn<'_>> = batch
        .runs
        .iter()
        .zip(proofs)
        .enumerate()
        .map(|(place, (index, proof))| ChunkColumn {
            index: index.0,
            pieces: blobs
                .iter()
                .filter_map(|(_, blob)| {
                    let len = blob.header.rows as usize * cell;
                    blob.data.get(place * len..(place + 1) * len)
                })
                .collect(),
            proof,
        })
        .collect();
    let digest = batch.header.digest();
    let challenge = RowChallenge::new(digest.as_bytes());
    verify_chunks(setup, version.code, challenge, &commitments, &columns, seed)
        .map_err(HealError::Proofs)
}
