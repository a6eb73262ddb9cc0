//! Two different batches signed by a disperser under one (domain, disperser, sequence).

use ashlar_crypto::identity::{NetworkKey, NetworkSignature};
use ashlar_proto::BatchHeader;

use super::codec::{Input, put_batch_header};
use super::double_signing::{check_pair, ordered};
use super::{Accused, EvidenceDecodeError, EvidenceError, ServiceRecords, table_at};

/// A batch header with its disperser's signature of its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DispersedBatch {
    /// The header, whatever it says.
    pub header: BatchHeader,
    /// The disperser's, by the network key of its table entry.
    pub signature: NetworkSignature,
}

impl DispersedBatch {
    /// Signs the header as a disperser does, without a disperser's memory.
    pub fn sign(key: &NetworkKey, header: BatchHeader) -> Self {
        let signature = header.sign_as_disperser(key);
        Self { header, signature }
    }

    /// The disperser had a key at the header's reference block, and signed with it.
    fn verify(&self, chain: &impl ServiceRecords, what: &'static str) -> Result<(), EvidenceError> {
        let (disperser, block) = (self.header.disperser_id, self.header.reference_block);
        let table = table_at(chain, block)?;
        let entry = table
            .disperser(disperser)
            .ok_or(EvidenceError::UnknownDisperser { disperser, block })?;
        self.header
            .verify_disperser(&entry.network_key, &self.signature)
            .map_err(|source| EvidenceError::DisperserSignature { what, source })
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_batch_header(out, &self.header);
        out.extend(self.signature.0);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            header: input.batch_header()?,
            signature: NetworkSignature(input.array("signature")?),
        })
    }
}

/// A disperser signed two batches with one number. It takes the number, synced, before it signs, so this takes intent, or two
/// dispersers with one key. A number of a disperser is never given to another one, so one disperser answers for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisperserEquivocation {
    /// The batch with the lower digest.
    pub first: DispersedBatch,
    /// The batch with the higher digest.
    pub second: DispersedBatch,
}

impl DisperserEquivocation {
    /// The claim, with the batches in their order.
    pub fn new(one: DispersedBatch, other: DispersedBatch) -> Self {
        let [first, second] = ordered(one, other, |batch| &batch.header);
        Self { first, second }
    }

    /// The disperser, as the first header names it.
    pub(super) fn accused(&self) -> Accused {
        Accused::Disperser(self.first.header.disperser_id)
    }

    /// Gives the subject: domain, disperser and sequence.
    pub(super) fn check(&self, chain: &impl ServiceRecords) -> Result<Vec<u8>, EvidenceError> {
        let subject = check_pair(&self.first.header, &self.second.header)?;
        self.first.verify(chain, "first batch")?;
        self.second.verify(chain, "second batch")?;
        Ok(subject)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        self.first.put(out);
        self.second.put(out);
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            first: DispersedBatch::take(input)?,
            second: DispersedBatch::take(input)?,
        })
    }
}

#[cfg(test)]
mod tests;
