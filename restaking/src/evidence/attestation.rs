//! A signed batch that nobody may sign.

use std::sync::Arc;

use ashlar_crypto::hash::Hash;
use ashlar_crypto::merkle::{leaf_hash, verify_path};
use ashlar_proto::{BlobHeader, OperatorId, TableAccess, version};

use super::codec::{Input, put_blob_header, put_path};
use super::{
    EvidenceDecodeError, EvidenceError, ServiceRecords, SignedBatch, operator_key, table_at,
};
use ashlar_stake::OperatorTable;

/// Which rule the batch breaks. A node checks each of them before it signs.
///
/// What the ledger recorded at the reference block decides, once the batch names the very table that it recorded there: an operator
/// acted on the table that it signed for. Another table is a breach of its own, unless the source of tables signed that one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Breach {
    /// The header breaks a rule: its version is none that the service had recorded at the reference block, or it has no
    /// blob, more blobs than rows, or more rows than its version allows.
    Header,
    /// Its table root is not the one that the ledger recorded at its reference block.
    Table,
    /// Its disperser is not registered at its reference block.
    UnknownDisperser,
    /// One of its blobs is of another version, not valid in itself, or has more rows than the whole batch.
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
    /// What it signed.
    pub batch: SignedBatch,
    /// What is wrong with it.
    pub breach: Breach,
}

impl BadAttestation {
    /// Gives the subject: the batch.
    pub(super) fn check(&self, chain: &impl ServiceRecords) -> Result<Vec<u8>, EvidenceError> {
        self.check_breach(chain)?;
        let key = operator_key(chain, self.operator)?;
        self.batch.verify(&key, "batch")?;
        Ok(self.batch.header.digest().0.to_vec())
    }

    fn check_breach(&self, chain: &impl ServiceRecords) -> Result<(), EvidenceError> {
        let batch = &self.batch.header;
        let kept = |rule| Err(EvidenceError::NotBroken { rule });
        match &self.breach {
            Breach::Header => {
                if self.table(chain)?.versions().contains(&batch.version) {
                    known(batch.version)?;
                    if batch.validate().is_ok() {
                        return kept("a batch header is valid in itself");
                    }
                }
                Ok(())
            }
            Breach::Table => match self.table(chain) {
                Ok(_) => kept("the table root is that of the reference block"),
                Err(EvidenceError::OtherTable { .. }) => Ok(()),
                Err(error) => Err(error),
            },
            Breach::UnknownDisperser => {
                if self.table(chain)?.disperser(batch.disperser_id).is_some() {
                    return kept("the disperser is registered at the reference block");
                }
                Ok(())
            }
            Breach::Blob(blob) => {
                self.check_path(blob)?;
                let header = &blob.header;
                if header.version != batch.version || header.rows > batch.rows {
                    return Ok(());
                }
                known(header.version)?;
                if header.validate().is_ok() {
                    return kept(
                        "a blob is valid, of the batch's version, and within the batch's rows",
                    );
                }
                Ok(())
            }
            Breach::Unassigned(blob) => {
                self.check_path(blob)?;
                let table = self.table(chain)?;
                let entry = table
                    .find(&self.operator)
                    .and_then(|index| table.operator(index));
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

    /// The recorded table of the reference block, if it is the one that was signed for.
    fn table(&self, chain: &impl ServiceRecords) -> Result<Arc<OperatorTable>, EvidenceError> {
        let batch = &self.batch.header;
        let (block, signed) = (batch.reference_block, batch.table_root);
        let table = table_at(chain, block)?;
        let recorded = table.root();
        if recorded == signed {
            return Ok(table);
        }
        if chain.source_signed(block, &signed) {
            return Err(EvidenceError::SourceSigned {
                block,
                root: signed,
            });
        }
        Err(EvidenceError::OtherTable {
            block,
            signed,
            recorded,
        })
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
        self.batch.put(out);
        let (number, blob) = match &self.breach {
            Breach::Header => (0, None),
            Breach::Table => (1, None),
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
            batch: SignedBatch::take(input)?,
            breach: match input.u8("breach")? {
                0 => Breach::Header,
                1 => Breach::Table,
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

/// Whoever does not know a version cannot say that its rules are broken.
fn known(number: u16) -> Result<(), EvidenceError> {
    version(number)
        .map(drop)
        .map_err(|_| EvidenceError::UnknownVersion { version: number })
}

#[cfg(test)]
mod tests;
