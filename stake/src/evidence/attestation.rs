//! A signed batch that nobody may sign.

use ashlar_crypto::hash::Hash;
use ashlar_crypto::merkle::{leaf_hash, verify_path};
use ashlar_proto::{BlobHeader, OperatorId};

use super::codec::{Input, put_blob_header, put_path};
use super::{Chain, EvidenceDecodeError, EvidenceError, SignedBatch, key_at};

/// Which rule the batch breaks. A node checks each of them before it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// The header is not valid in itself: a version that is unknown to whoever checks, no blob, more blobs than rows, or more
    /// rows than any configuration allows.
    Header,
    /// It refers to a block that does not exist yet. Only provable until that block is there.
    FutureReference,
    /// Its disperser is not registered at its reference block.
    UnknownDisperser,
    /// One of its blobs is not valid in itself, is of another version, or has more rows than the whole batch.
    Blob(BlobInBatch),
    /// The operator has no stake in any quorum of this blob, so nothing of the batch is assigned to it.
    Unassigned(BlobInBatch),
}

/// A blob with the proof that it is in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobInBatch {
    /// The blob, whatever its header says.
    pub header: BlobHeader,
    /// Its place in the batch.
    pub index: u32,
    /// From its key to the batch root.
    pub path: Vec<Hash>,
}

/// An operator signed a batch that objectively breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadAttestation {
    /// The accused.
    pub operator: OperatorId,
    /// A block at which the accused was an operator; the batch's own reference block need not exist.
    pub table_block: u64,
    /// What it signed.
    pub batch: SignedBatch,
    /// What is wrong with it.
    pub breach: Breach,
}

impl BadAttestation {
    /// Gives the subject: the batch.
    pub(super) fn check(&self, chain: &impl Chain) -> Result<Vec<u8>, EvidenceError> {
        self.check_breach(chain)?;
        let key = key_at(chain, self.operator, self.table_block)?;
        self.batch.verify(&key, "batch")?;
        Ok(self.batch.header.digest().0.to_vec())
    }

    fn check_breach(&self, chain: &impl Chain) -> Result<(), EvidenceError> {
        let batch = &self.batch.header;
        let kept = |rule| Err(EvidenceError::NotBroken { rule });
        match &self.breach {
            Breach::Header => match batch.validate() {
                Err(_) => Ok(()),
                Ok(()) => kept("a batch header is valid in itself"),
            },
            Breach::FutureReference => {
                if batch.reference_block > chain.head() {
                    return Ok(());
                }
                kept("the reference block exists")
            }
            Breach::UnknownDisperser => {
                let block = batch.reference_block;
                let table = chain
                    .table_at(block)
                    .ok_or(EvidenceError::NoTable { block })?;
                match table.disperser(batch.disperser_id) {
                    None => Ok(()),
                    Some(_) => kept("the disperser is registered at the reference block"),
                }
            }
            Breach::Blob(blob) => {
                self.check_path(blob)?;
                let header = &blob.header;
                if header.validate().is_err()
                    || header.version != batch.version
                    || header.rows > batch.rows
                {
                    return Ok(());
                }
                kept("a blob is valid, of the batch's version, and within the batch's rows")
            }
            Breach::Unassigned(blob) => {
                self.check_path(blob)?;
                let block = batch.reference_block;
                let table = chain
                    .table_at(block)
                    .ok_or(EvidenceError::NoTable { block })?;
                let entry = table
                    .find(&self.operator)
                    .and_then(|index| table.operators().get(index as usize));
                let holds = entry.is_some_and(|entry| {
                    blob.header
                        .quorums
                        .iter()
                        .any(|&quorum| !entry.stake(quorum).is_zero())
                });
                if holds {
                    return kept("the operator has stake in a quorum of the blob");
                }
                Ok(())
            }
        }
    }

    fn check_path(&self, blob: &BlobInBatch) -> Result<(), EvidenceError> {
        let batch = &self.batch.header;
        verify_path(
            &batch.batch_root,
            u64::from(batch.blobs),
            u64::from(blob.index),
            leaf_hash(blob.header.blob_key().as_bytes()),
            &blob.path,
        )
        .map_err(EvidenceError::BlobPath)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.operator.0);
        out.extend(self.table_block.to_be_bytes());
        self.batch.put(out);
        let (number, blob) = match &self.breach {
            Breach::Header => (0, None),
            Breach::FutureReference => (1, None),
            Breach::UnknownDisperser => (2, None),
            Breach::Blob(blob) => (3, Some(blob)),
            Breach::Unassigned(blob) => (4, Some(blob)),
        };
        out.push(number);
        if let Some(blob) = blob {
            put_blob_header(out, &blob.header);
            out.extend(blob.index.to_be_bytes());
            put_path(out, &blob.path);
        }
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        let blob = |input: &mut Input<'_>| {
            Ok::<_, EvidenceDecodeError>(BlobInBatch {
                header: input.blob_header()?,
                index: input.u32("place in the batch")?,
                path: input.path("blob path")?,
            })
        };
        Ok(Self {
            operator: OperatorId(input.array("operator")?),
            table_block: input.u64("table block")?,
            batch: SignedBatch::take(input)?,
            breach: match input.u8("breach")? {
                0 => Breach::Header,
                1 => Breach::FutureReference,
                2 => Breach::UnknownDisperser,
                3 => Breach::Blob(blob(input)?),
                4 => Breach::Unassigned(blob(input)?),
                got => {
                    return Err(EvidenceDecodeError::Number {
                        field: "breach",
                        got,
                    });
                }
            },
        })
    }
}

#[cfg(test)]
mod tests;
