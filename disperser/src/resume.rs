//! What a restart finds on its way is continued.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::QuorumId;
use ashlar_stake::OperatorTable;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::batcher::Lane;
use crate::compute::blocking;
use crate::durable::Durable;
use crate::engine::{BufferedBlob, Engine};
use crate::matrix::Matrix;
use crate::memory::MemoryBudget;
use crate::owners::OwnedBlob;
use crate::pipeline::{BatchPlace, InFlightBatch};
use crate::record::BatchRecord;
use crate::slots::Slots;

/// What a batch is made of again.
struct Parts {
    table: Arc<OperatorTable>,
    quorums: Vec<QuorumId>,
    /// The memory of each blob.
    units: Vec<u32>,
}

impl Engine {
    /// Continues what the last run left: batches under their own digests, then all other open blobs from the encoder on.
    pub(crate) async fn resume(self: Arc<Self>, slots: Arc<Slots>) {
        let resumed = self.resumed.clone().drop_guard();
        let reading = self.durably("reading open batches", |registry, _| {
            registry.store().open_batches()
        });
        let Some(batches) = reading.await else {
            return;
        };
        let registry = &self.durable.registry;
        let batches: Vec<(BatchRecord, Vec<OwnedBlob>)> = batches
            .into_iter()
            .map(|batch| {
                let open = batch.blobs.iter().filter(|id| registry.live(id).is_some());
                let owned = open.filter_map(|id| self.owners.own(*id)).collect();
                (batch, owned)
            })
            .collect();
        let loose: Vec<OwnedBlob> = registry
            .open_ids()
            .into_iter()
            .filter_map(|id| self.owners.own(id))
            .collect();
        if !batches.is_empty() || !loose.is_empty() {
            tracing::info!(
                batches = batches.len(),
                blobs = loose.len(),
                "continuing after a restart"
            );
        }
        self.requeue(loose);
        drop(resumed);
        // By a wrong clock they would all seem too old.
        if !self.upkeep.clock_is_believed().await {
            return;
        }
        let (mut running, nobody) = (JoinSet::new(), HashSet::new());
        for (record, owned) in batches {
            let began = Instant::now();
            // Its memory first: what waits for a place holds memory, so the other way round each could wait for the other.
            match self.rebuild(&record, owned).await {
                Ok((matrix, held)) => {
                    let lane = Lane {
                        version: record.header.version,
                        quorums: matrix.quorums().to_vec(),
                        alone: None,
                    };
                    let slot = tokio::select! {
                        slot = slots.take(&lane, &nobody) => slot,
                        () = self.stop.cancelled() => return,
                    };
                    tracing::info!(sequence = record.header.sequence.0, digest = %record.digest(), "batch continued");
                    let batch = InFlightBatch {
                        record,
                        matrix: Arc::new(matrix),
                        proofs: None,
                        held,
                        place: BatchPlace::new(&self, slot),
                        began,
                    };
                    running.spawn(Arc::clone(&self).disperse_batch(batch));
                }
                Err(Some((owned, why))) => {
                    let code = "batch.not_resumed";
                    let place = BatchPlace::none();
                    running.spawn(Arc::clone(&self).abandon(record, owned, code, why, place));
                }
                Err(None) => {}
            }
        }
        while running.join_next().await.is_some() {}
    }

    /// A batch as it was before the restart; `Err(Some(why))` if it cannot be, with its blobs, `Err(None)` if the disperser stops or
    /// its blobs are lost.
    async fn rebuild(
        &self,
        record: &BatchRecord,
        owned: Vec<OwnedBlob>,
    ) -> Result<(Matrix, Vec<BufferedBlob>), Option<(Vec<OwnedBlob>, String)>> {
        let Parts {
            table,
            quorums,
            units,
        } = match self.can_rebuild(record).await.ok_or(None)? {
            Ok(parts) if parts.units.len() != owned.len() => {
                let why = "one of its blobs is in another batch, too";
                return Err(Some((owned, why.to_owned())));
            }
            Ok(parts) => parts,
            Err(why) => return Err(Some((owned, why))),
        };
        let needed = units.iter().map(|units| u64::from(*units)).sum::<u64>();
        // Taken in one go: two halves of two batches could wait for each other.
        let needed = u32::try_from(needed).ok();
        let Some(needed) = needed.filter(|units| self.memory.fits(*units)) else {
            let why = "it does not fit into encode.memory_bytes any more";
            return Err(Some((owned, why.to_owned())));
        };
        let mut memory = self.take_memory(&quorums, needed).await.ok_or(None)?;
        let blobs = match self.encode_again(record).await {
            Ok(blobs) => blobs,
            Err((id, error)) => {
                let why = format!("its blob {id} cannot be encoded again: {error}");
                return Err(Some((owned, why)));
            }
        };
        let matrix = match Matrix::resume(blobs.clone(), table, record.header.clone()) {
            Ok(matrix) => matrix,
            Err(error) => return Err(Some((owned, error.to_string()))),
        };
        let mut held = Vec::with_capacity(blobs.len());
        for ((blob, owned), units) in blobs.into_iter().zip(owned).zip(units) {
            let _memory = memory.split(units as usize).ok_or(None)?;
            held.push(BufferedBlob {
                blob,
                owned,
                since: Instant::now(),
                _memory,
            });
        }
        Ok((matrix, held))
    }

    /// What a batch is made of again, or why it cannot be. `None` if the disperser stops.
    async fn can_rebuild(&self, record: &BatchRecord) -> Option<Result<Parts, String>> {
        let Durable {
            registry, clock, ..
        } = &self.durable;
        let age = record.age(clock.wall_ms());
        let longest = Duration::from_secs(self.config.batch.max_resume_age_secs);
        if age > longest {
            return Some(Err(format!(
                "it is {} s old, older than {} s",
                age.as_secs(),
                longest.as_secs()
            )));
        }
        let (stake, block) = (Arc::clone(&self.stake), record.header.reference_block);
        let table = blocking(move || stake.table_at(block)).await?;
        let table = match table {
            Ok(table) => table,
            Err(error) => return Some(Err(error.to_string())),
        };
        let (mut quorums, mut units) = (Vec::new(), Vec::with_capacity(record.blobs.len()));
        for id in &record.blobs {
            let Some(blob) = registry.live(id) else {
                return Some(Err(format!("its blob {id} is not open")));
            };
            units.push(MemoryBudget::units(&blob));
            quorums = blob.quorums;
        }
        Some(Ok(Parts {
            table,
            quorums,
            units,
        }))
    }
}
