//! What the disperser keeps: typed access to the [`Kv`] tables.
//!
//! What must not be lost is synced before the call returns:
//! * [`Store::accept`], before the `202`; [`Store::accept_charged`] with what the blob's account is charged in the same atomic write,
//!   and [`Store::failed`] and [`Store::finish_batch`] with the refund of what failed for good: an account is charged once for each
//!   blob that was accepted and has not failed, and for nothing else;
//! * [`Store::compose`], before the first byte of a batch leaves: the batch's composition and the advance of the sequence
//!   number are one atomic write, so a number is never used twice and a restart finds the batch that it names;
//! * [`Store::finish_batch`], before anybody sees the certificates.
//!
//! Between these nothing is written: that a blob is being encoded, is encoded, or is on its way, is told to those who watch it, and
//! follows again from what is on disk. The other writes are of what is over or better than before.
//!
//! # Sequence numbers
//!
//! Two batches under one number cost the bond, so a number must be new even if the disk has forgotten the last one. A
//! number is the milliseconds since 1970 in its high 44 bits and 20 random bits, or one more than the last one if that
//! is higher. So a new database, or one restored from an older copy, goes on above every number used before. To repeat
//! a number, the clock would have to go back to the same millisecond, and the random bits would have to be equal: one
//! chance in a million. The same holds for two dispersers with one key, which nobody should run. Within one database
//! numbers rise whatever the clock does. A new database does not begin by the clock alone: before its first batch
//! [operators say](Store::learn_sequence) what they have seen, and it goes on an hour of numbers above it.

mod accounts;

use std::sync::{Arc, Mutex, PoisonError};

use ashlar_crypto::{Coded, CommitmentBytes, identity::NetworkPublicKey};
use ashlar_proto::api::BlobState;
use ashlar_proto::{BatchDigest, BlobId, BlobKey, Sequence};
use bytes::Bytes;

use crate::accounts::Cells;
use crate::kv::{Kv, KvError, Op, Table};
use crate::record::{BatchRecord, BlobRecord};
use crate::state::TransitionError;

pub use accounts::NotAccepted;

/// Keys with their values.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

const FORMAT: &[u8] = b"ashlar/disperser/3";
const META_FORMAT: &[u8] = b"format";
const META_OWNER: &[u8] = b"owner";
const META_SEQUENCE: &[u8] = b"next_sequence";
const META_TIME: &[u8] = b"accepted_ms";
/// There as long as the database is new, and does not know what was used before it.
const META_UNKNOWN: &[u8] = b"sequence_unknown";

/// Low bits of a sequence number that are chance.
const CHANCE_BITS: u32 = 20;
/// Numbers left out behind the highest one that operators know, for those that they do not: as many as there are in 68 minutes. A clock
/// that was further ahead would not have been believed.
const GAP: u64 = 1 << 32;

const EXPIRE_BLOB: u8 = 0;
const EXPIRE_BATCH: u8 = 1;

/// Entries of one scan.
const PAGE: usize = 256;

/// The store. Every call blocks on the disk.
#[derive(Clone)]
pub struct Store {
    kv: Arc<dyn Kv>,
    /// Held while a batch is composed: two batches never take the same sequence number.
    composing: Arc<Mutex<()>>,
    /// Accounts that are being charged or refunded.
    cells: Arc<Cells>,
}

impl Store {
    /// Opens the tables for this disperser; an empty database becomes its own.
    ///
    /// # Errors
    /// The database fails, is of another format, or belongs to another network key.
    pub fn open(kv: Arc<dyn Kv>, owner: &NetworkPublicKey) -> Result<Self, StoreError> {
        let store = Self {
            kv,
            composing: Arc::default(),
            cells: Arc::default(),
        };
        match store.kv.get(Table::Meta, META_FORMAT)? {
            None => store.kv.write(
                vec![
                    Op::Put(Table::Meta, META_FORMAT.to_vec(), FORMAT.to_vec()),
                    Op::Put(Table::Meta, META_OWNER.to_vec(), owner.0.to_vec()),
                    Op::Put(
                        Table::Meta,
                        META_SEQUENCE.to_vec(),
                        0u64.to_be_bytes().to_vec(),
                    ),
                    Op::Put(Table::Meta, META_UNKNOWN.to_vec(), Vec::new()),
                ],
                true,
            )?,
            Some(format) if format == FORMAT => {
                let got = store.meta(META_OWNER, "the owner")?;
                if got != owner.0 {
                    return Err(StoreError::Owner {
                        got: hex::encode(got),
                        expected: owner.to_string(),
                    });
                }
            }
            Some(format) => {
                return Err(StoreError::Format {
                    got: String::from_utf8_lossy(&format).into_owned(),
                });
            }
        }
        store.least_sequence()?; // it has to be readable before anything is accepted
        Ok(store)
    }

    /// Opens the tables of a disperser that is stopped, whosever they are: for its clock.
    ///
    /// # Errors
    /// The database fails, or is no disperser's.
    pub fn open_stopped(kv: Arc<dyn Kv>) -> Result<Self, StoreError> {
        let store = Self {
            kv,
            composing: Arc::default(),
            cells: Arc::default(),
        };
        let format = store.meta(META_FORMAT, "the format")?;
        if format != FORMAT {
            return Err(StoreError::Format {
                got: String::from_utf8_lossy(&format).into_owned(),
            });
        }
        Ok(store)
    }

    /// How many blobs and batches end by this time, milliseconds since 1970.
    ///
    /// # Errors
    /// The database fails.
    pub fn ending_by(&self, time_ms: u64) -> Result<usize, StoreError> {
        let all = self.scan_all(Table::Expiry)?;
        let after = time_ms.saturating_add(1).to_be_bytes();
        Ok(all
            .iter()
            .filter(|(key, _)| key.as_slice() < after.as_slice())
            .count())
    }

    fn meta(&self, key: &[u8], what: &'static str) -> Result<Vec<u8>, StoreError> {
        let value = self.kv.get(Table::Meta, key)?;
        value.ok_or(StoreError::Corrupt { what })
    }

    /// The least sequence number that the next batch may have, whatever the clock says: one more than that of the last one.
    ///
    /// # Errors
    /// The database fails.
    pub fn least_sequence(&self) -> Result<Sequence, StoreError> {
        let what = "the sequence counter";
        number(what, self.meta(META_SEQUENCE, what)?).map(Sequence)
    }

    /// Whether it is known which numbers were used before this database.
    ///
    /// # Errors
    /// The database fails.
    pub fn knows_sequence(&self) -> Result<bool, StoreError> {
        Ok(self.kv.get(Table::Meta, META_UNKNOWN)?.is_none())
    }

    /// Goes on above the highest number that operators know of this disperser, if they know one. Synced.
    ///
    /// # Errors
    /// The database fails, or there are no numbers above it.
    pub fn learn_sequence(&self, highest: Option<Sequence>) -> Result<(), StoreError> {
        let _one_at_a_time = self
            .composing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let what = "the highest sequence number that operators know";
        let above = match highest {
            None => 0,
            Some(highest) => (highest.0.checked_add(GAP)).ok_or(StoreError::Corrupt { what })?,
        };
        let least = self.least_sequence()?.0.max(above).to_be_bytes();
        let ops = vec![
            Op::Put(Table::Meta, META_SEQUENCE.to_vec(), least.to_vec()),
            Op::Delete(Table::Meta, META_UNKNOWN.to_vec()),
        ];
        Ok(self.kv.write(ops, true)?)
    }

    /// The last time that [`keep_time`](Self::keep_time) wrote, milliseconds since 1970.
    ///
    /// # Errors
    /// The database fails.
    pub fn kept_time(&self) -> Result<Option<u64>, StoreError> {
        let bytes = self.kv.get(Table::Meta, META_TIME)?;
        bytes.map(|bytes| number("the time", bytes)).transpose()
    }

    /// Writes the highest time that was believed, milliseconds since 1970. Synced.
    ///
    /// # Errors
    /// The database fails.
    pub fn keep_time(&self, accepted_ms: u64) -> Result<(), StoreError> {
        let time = accepted_ms.to_be_bytes().to_vec();
        let op = Op::Put(Table::Meta, META_TIME.to_vec(), time);
        Ok(self.kv.write(vec![op], true)?)
    }

    /// Takes in a blob with its payload and claimed commitments, which replaces a failed one of the same id. Synced.
    ///
    /// # Errors
    /// The database fails; then nothing was taken in.
    pub fn accept(
        &self,
        record: &BlobRecord,
        payload: Bytes,
        commitments: Option<&[CommitmentBytes]>,
    ) -> Result<(), StoreError> {
        self.write_accepted(record, payload, commitments, None)
    }

    fn write_accepted(
        &self,
        record: &BlobRecord,
        payload: Bytes,
        commitments: Option<&[CommitmentBytes]>,
        charged: Option<Op>,
    ) -> Result<(), StoreError> {
        let id = record.id.as_bytes();
        let mut ops = vec![
            put_blob(record)?,
            Op::PutUntil(Table::Payloads, id.to_vec(), payload, record.expires_at_ms),
            Op::Put(
                Table::Open,
                record.order.to_be_bytes().to_vec(),
                id.to_vec(),
            ),
            Op::Put(
                Table::Expiry,
                expiry_key(record.expires_at_ms, EXPIRE_BLOB, id),
                Vec::new(),
            ),
        ];
        ops.push(match commitments {
            Some(commitments) => Op::Put(Table::Commitments, id.to_vec(), join(commitments)),
            None => Op::Delete(Table::Commitments, id.to_vec()),
        });
        ops.extend(charged);
        Ok(self.kv.write(ops, true)?)
    }

    /// Writes blobs that failed, and refunds them. If that is their own fault their payloads and commitments go; the records stay. Synced.
    ///
    /// # Errors
    /// The database fails.
    pub fn failed(&self, records: &[BlobRecord], own_fault: bool) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        for record in records {
            ops.extend(close_ops(record)?);
            if own_fault {
                let id = record.id.0.to_vec();
                ops.push(Op::Delete(Table::Payloads, id.clone()));
                ops.push(Op::Delete(Table::Commitments, id));
            }
        }
        self.write_and_refund(records, ops)
    }

    /// Takes a sequence number and makes a batch with it; batch, blobs, these commitments, which were computed here, and the number's
    /// advance are one write. Synced. Gives back what `make` gave.
    ///
    /// # Errors
    /// The database fails, or `make` does; then the number is not used.
    pub fn compose<T>(
        &self,
        now_ms: u64,
        commitments: &[(BlobId, Vec<CommitmentBytes>)],
        make: impl FnOnce(Sequence) -> Result<(BatchRecord, Vec<BlobRecord>, T), StoreError>,
    ) -> Result<(BatchRecord, Vec<BlobRecord>, T), StoreError> {
        let _composing = self
            .composing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut chance = [0; 4];
        getrandom::fill(&mut chance).map_err(|_| StoreError::Chance)?;
        let fresh = fresh_sequence(now_ms, u32::from_be_bytes(chance));
        let sequence = self.least_sequence()?.max(fresh);
        let after = sequence.0.checked_add(1).ok_or(StoreError::Corrupt {
            what: "the sequence counter",
        })?;
        let (batch, blobs, result) = make(sequence)?;
        let digest = batch.digest();
        let mut ops = vec![
            Op::Put(
                Table::Meta,
                META_SEQUENCE.to_vec(),
                after.to_be_bytes().to_vec(),
            ),
            put_batch(&batch)?,
            Op::Put(
                Table::OpenBatches,
                sequence.0.to_be_bytes().to_vec(),
                digest.0.to_vec(),
            ),
            Op::Put(
                Table::Expiry,
                expiry_key(batch.expires_at_ms, EXPIRE_BATCH, &digest.0),
                Vec::new(),
            ),
        ];
        for record in &blobs {
            ops.extend(put_blob_and_key(record)?);
        }
        for (id, commitments) in commitments {
            let value = join(commitments);
            ops.push(Op::Put(Table::Commitments, id.0.to_vec(), value));
        }
        self.kv.write(ops, true)?;
        Ok((batch, blobs, result))
    }

    /// Writes a batch that ended, with its blobs (certified, failed and refunded, or back among the encoded) and the certificates. Synced.
    ///
    /// # Errors
    /// The database fails.
    pub fn finish_batch(
        &self,
        batch: &BatchRecord,
        blobs: &[BlobRecord],
        certificates: Vec<(BlobId, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let mut ops = vec![
            put_batch(batch)?,
            Op::Delete(
                Table::OpenBatches,
                batch.header.sequence.0.to_be_bytes().to_vec(),
            ),
        ];
        for record in blobs {
            match record.state {
                // A failed one found too few signatures, which is not its fault: the payload stays.
                BlobState::Failed | BlobState::Certified => ops.extend(close_ops(record)?),
                _ => ops.push(put_blob(record)?),
            }
        }
        for (id, certificate) in certificates {
            ops.push(Op::Put(Table::Certificates, id.0.to_vec(), certificate));
        }
        self.write_and_refund(blobs, ops)
    }

    /// Writes better certificates of a batch that is certified, beside the issued ones. Not synced: those are there.
    ///
    /// # Errors
    /// The database fails, or a record cannot be read.
    pub fn improve(
        &self,
        batch: &BatchRecord,
        certificates: Vec<(BlobId, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let mut ops = vec![put_batch(batch)?];
        for (id, certificate) in certificates {
            // Its time may be over meanwhile.
            let Some(mut record) = self.blob(&id)? else {
                continue;
            };
            if let Some(status) = &mut record.batch {
                status.signers = u32::try_from(batch.signers.len()).unwrap_or(u32::MAX);
                status.signed.clone_from(&batch.signed);
            }
            ops.push(put_blob(&record)?);
            ops.push(Op::Put(
                Table::BetterCertificates,
                id.0.to_vec(),
                certificate,
            ));
        }
        Ok(self.kv.write(ops, false)?)
    }

    /// A blob's record.
    ///
    /// # Errors
    /// The database fails, or the record cannot be read.
    pub fn blob(&self, id: &BlobId) -> Result<Option<BlobRecord>, StoreError> {
        let bytes = self.kv.get(Table::Blobs, &id.0)?;
        bytes
            .map(|bytes| parse("a blob record", &bytes))
            .transpose()
    }

    /// The blob with this key.
    ///
    /// # Errors
    /// The database fails.
    pub fn id_of(&self, key: &BlobKey) -> Result<Option<BlobId>, StoreError> {
        let bytes = self.kv.get(Table::Keys, &key.0)?;
        bytes
            .map(|b| BlobId::from_slice(&b).ok_or(StoreError::Corrupt { what: "a blob id" }))
            .transpose()
    }

    /// What `read` gives. Its failure is within the result if the rest of the database can be read: then trying again for long
    /// mends nothing.
    ///
    /// # Errors
    /// The database fails as a whole.
    pub fn read_one<T>(
        &self,
        read: impl Fn(&Self) -> Result<T, StoreError>,
    ) -> Result<Result<T, StoreError>, StoreError> {
        let mut result = read(self);
        for _ in 0..2 {
            if result.is_ok() {
                break;
            }
            self.least_sequence()?;
            result = read(self);
        }
        Ok(result)
    }

    /// A blob's payload.
    ///
    /// # Errors
    /// The database fails.
    pub fn payload(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kv.get(Table::Payloads, &id.0)?)
    }

    /// A blob's commitments: claimed ones until it is encoded.
    ///
    /// # Errors
    /// The database fails.
    pub fn commitments(&self, id: &BlobId) -> Result<Option<Vec<CommitmentBytes>>, StoreError> {
        let Some(bytes) = self.kv.get(Table::Commitments, &id.0)? else {
            return Ok(None);
        };
        let (points, rest) = bytes.as_chunks::<48>();
        if !rest.is_empty() {
            return Err(StoreError::Corrupt {
                what: "commitments",
            });
        }
        Ok(Some(
            points.iter().map(|point| CommitmentBytes(*point)).collect(),
        ))
    }

    /// A blob's compact certificate, as it was issued.
    ///
    /// # Errors
    /// The database fails.
    pub fn issued_certificate(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.kv.get(Table::Certificates, &id.0)?)
    }

    /// A blob's compact certificate with the most signers.
    ///
    /// # Errors
    /// The database fails.
    pub fn certificate(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        match self.kv.get(Table::BetterCertificates, &id.0)? {
            None => self.issued_certificate(id),
            better => Ok(better),
        }
    }

    /// A batch's record.
    ///
    /// # Errors
    /// The database fails, or the record cannot be read.
    pub fn batch(&self, digest: &BatchDigest) -> Result<Option<BatchRecord>, StoreError> {
        let bytes = self.kv.get(Table::Batches, &digest.0)?;
        bytes
            .map(|bytes| parse("a batch record", &bytes))
            .transpose()
    }

    /// The blobs that are neither certified nor failed, in the order in which they were accepted.
    ///
    /// # Errors
    /// The database fails, or a record cannot be read.
    pub fn open_blobs(&self) -> Result<Vec<BlobRecord>, StoreError> {
        let mut open = Vec::new();
        for (_, id) in self.scan_all(Table::Open)? {
            let id = BlobId::from_slice(&id).ok_or(StoreError::Corrupt { what: "a blob id" })?;
            open.push(self.blob(&id)?.ok_or(StoreError::Corrupt {
                what: "the list of open blobs",
            })?);
        }
        Ok(open)
    }

    /// The batches that are neither certified nor abandoned, by sequence number.
    ///
    /// # Errors
    /// The database fails, or a record cannot be read.
    pub fn open_batches(&self) -> Result<Vec<BatchRecord>, StoreError> {
        let mut open = Vec::new();
        for (_, digest) in self.scan_all(Table::OpenBatches)? {
            let digest = BatchDigest::from_slice(&digest).ok_or(StoreError::Corrupt {
                what: "a batch digest",
            })?;
            open.push(self.batch(&digest)?.ok_or(StoreError::Corrupt {
                what: "the list of open batches",
            })?);
        }
        Ok(open)
    }

    /// Forgets up to `limit` blobs and batches whose time is over, oldest first; says how many. Blobs and batches that are
    /// still open are left until they are not. Not synced: what comes back after a power cut is forgotten again.
    ///
    /// # Errors
    /// The database fails.
    pub fn expire(&self, now_ms: u64, limit: usize) -> Result<usize, StoreError> {
        let mut ops = Vec::new();
        let mut forgotten = 0;
        for (key, _) in self.kv.scan(Table::Expiry, &[], limit)? {
            let (Some(at), Some(kind), Some(id)) =
                (key.first_chunk::<8>(), key.get(8), key.get(9..))
            else {
                return Err(StoreError::Corrupt {
                    what: "the list of expiries",
                });
            };
            if u64::from_be_bytes(*at) > now_ms {
                break;
            }
            let gone = match *kind {
                EXPIRE_BLOB => self.forget_blob(id, u64::from_be_bytes(*at), &mut ops)?,
                _ => {
                    let digest = BatchDigest::from_slice(id).ok_or(StoreError::Corrupt {
                        what: "a batch digest",
                    })?;
                    let open = self
                        .batch(&digest)?
                        .is_some_and(|batch| !batch.state.is_terminal());
                    if !open {
                        ops.push(Op::Delete(Table::Batches, id.to_vec()));
                    }
                    !open
                }
            };
            if gone {
                ops.push(Op::Delete(Table::Expiry, key));
                forgotten += 1;
            }
        }
        if !ops.is_empty() {
            self.kv.write(ops, false)?;
        }
        // A blob that is not forgotten yet has an entry, so nobody reads a payload that ended before the first one.
        let first = self.kv.scan(Table::Expiry, &[], 1)?;
        let first = first.first().and_then(|(key, _)| key.first_chunk::<8>());
        let first = first.map_or(now_ms, |at| u64::from_be_bytes(*at));
        self.kv.forget(first.min(now_ms))?;
        Ok(forgotten)
    }

    /// Whether the expiry entry can go.
    fn forget_blob(&self, id: &[u8], at_ms: u64, ops: &mut Vec<Op>) -> Result<bool, StoreError> {
        let id = BlobId::from_slice(id).ok_or(StoreError::Corrupt { what: "a blob id" })?;
        let Some(record) = self.blob(&id)? else {
            return Ok(true);
        };
        // Posted again since: another entry stands for its new time.
        if record.expires_at_ms > at_ms {
            return Ok(true);
        }
        if !record.state.is_final() {
            return Ok(false);
        }
        for table in [
            Table::Blobs,
            Table::Payloads,
            Table::Commitments,
            Table::Certificates,
            Table::BetterCertificates,
        ] {
            ops.push(Op::Delete(table, id.0.to_vec()));
        }
        ops.extend(
            record
                .key
                .map(|key| Op::Delete(Table::Keys, key.0.to_vec())),
        );
        Ok(true)
    }

    fn scan_all(&self, table: Table) -> Result<Pairs, StoreError> {
        let mut all = Vec::new();
        let mut from = Vec::new();
        loop {
            let page = self.kv.scan(table, &from, PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(all);
            };
            // The smallest key behind the last one.
            from = [last.as_slice(), &[0]].concat();
            all.extend(page);
        }
    }
}

/// A sequence number that was not used before, if the clock is right.
fn fresh_sequence(now_ms: u64, chance: u32) -> Sequence {
    let longest = u64::MAX >> CHANCE_BITS;
    let chance = u64::from(chance >> (u32::BITS - CHANCE_BITS));
    Sequence((now_ms.min(longest) << CHANCE_BITS) | chance)
}

fn number(what: &'static str, bytes: Vec<u8>) -> Result<u64, StoreError> {
    let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt { what })?;
    Ok(u64::from_be_bytes(bytes))
}

fn put_blob(record: &BlobRecord) -> Result<Op, StoreError> {
    Ok(Op::Put(
        Table::Blobs,
        record.id.0.to_vec(),
        json("a blob record", record)?,
    ))
}

fn put_batch(record: &BatchRecord) -> Result<Op, StoreError> {
    Ok(Op::Put(
        Table::Batches,
        record.digest().0.to_vec(),
        json("a batch record", record)?,
    ))
}

/// The record, and the key by which it is found, if it has one.
fn put_blob_and_key(record: &BlobRecord) -> Result<impl Iterator<Item = Op> + use<>, StoreError> {
    let id = record.id.0.to_vec();
    let key = record
        .key
        .map(|key| Op::Put(Table::Keys, key.0.to_vec(), id));
    Ok([put_blob(record)?].into_iter().chain(key))
}

/// The blob is not open any more.
fn close_ops(record: &BlobRecord) -> Result<impl Iterator<Item = Op> + use<>, StoreError> {
    let close = Op::Delete(Table::Open, record.order.to_be_bytes().to_vec());
    Ok(put_blob_and_key(record)?.chain([close]))
}

fn expiry_key(at_ms: u64, kind: u8, id: &[u8]) -> Vec<u8> {
    [at_ms.to_be_bytes().as_slice(), &[kind], id].concat()
}

fn join(commitments: &[CommitmentBytes]) -> Vec<u8> {
    commitments.iter().flat_map(|c| c.0).collect()
}

fn json(what: &'static str, value: &impl serde::Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::Corrupt { what })
}

fn parse<T: serde::de::DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|_| StoreError::Corrupt { what })
}

/// The store cannot do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "store", blame = Caller)]
pub enum StoreError {
    /// The database failed.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The database was written by something else.
    #[error(
        "the database has the format {got:?}, this program writes another one; use another data folder"
    )]
    Format {
        /// Format found.
        got: String,
    },
    /// The database is another disperser's.
    #[error(
        "the database belongs to the network key {got}, not to {expected}; use another data folder or the right key"
    )]
    Owner {
        /// Key found.
        got: String,
        /// Our key.
        expected: String,
    },
    /// Something in it cannot be read.
    #[error("{what} in the database cannot be read")]
    #[coded(blame = Us)]
    Corrupt {
        /// What.
        what: &'static str,
    },
    /// It holds blobs on their way that this program cannot encode.
    #[error(
        "the database holds blobs of protocol version {got}, which this program does not know; run the one that accepted them"
    )]
    Version {
        /// Their version.
        got: u16,
    },
    /// The operating system has no randomness.
    #[error("the operating system gives no randomness for a sequence number")]
    #[coded(blame = Us)]
    Chance,
    /// A change that the states do not allow: a bug of ours.
    #[error(transparent)]
    Transition(#[from] TransitionError),
}

#[cfg(test)]
mod tests;
