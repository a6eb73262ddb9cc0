//! Two different batches signed under one (disperser, sequence).

use ashlar_crypto::bls::{PublicKey, SecretKey, Signature, SignatureBytes};
use ashlar_proto::{BatchHeader, OperatorId};

use super::codec::{Input, put_batch_header};
use super::{Chain, EvidenceDecodeError, EvidenceError, key_at};

/// A batch header with one operator's own signature of its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBatch {
    /// The header, whatever it says.
    pub header: BatchHeader,
    /// The operator's signature, not an aggregate.
    pub signature: SignatureBytes,
}

impl SignedBatch {
    /// Signs the header as a node does, without a node's checks.
    pub fn sign(key: &SecretKey, header: BatchHeader) -> Self {
        let signature = key.sign(header.digest().as_bytes()).to_bytes();
        Self { header, signature }
    }

    pub(super) fn verify(&self, key: &PublicKey, what: &'static str) -> Result<(), EvidenceError> {
        Signature::from_bytes(&self.signature)
            .and_then(|signature| key.verify(self.header.digest().as_bytes(), &signature))
            .map_err(|source| EvidenceError::Signature { what, source })
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put_batch_header(out, &self.header);
        out.extend(self.signature.0);
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            header: input.batch_header()?,
            signature: SignatureBytes(input.array("signature")?),
        })
    }
}

/// An operator signed two batches of one disperser with one number. A node records what it signed, synced, before it
/// gives the signature away, so this takes intent, or two nodes with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubleSigning {
    /// The accused.
    pub operator: OperatorId,
    /// The batch with the lower digest.
    pub first: SignedBatch,
    /// The batch with the higher digest.
    pub second: SignedBatch,
}

impl DoubleSigning {
    /// The claim, with the batches in their order.
    pub fn new(operator: OperatorId, one: SignedBatch, other: SignedBatch) -> Self {
        let (first, second) = if one.header.digest() <= other.header.digest() {
            (one, other)
        } else {
            (other, one)
        };
        Self {
            operator,
            first,
            second,
        }
    }

    /// Gives the subject: disperser and sequence.
    pub(super) fn check(&self, chain: &impl Chain) -> Result<Vec<u8>, EvidenceError> {
        let (first, second) = (&self.first.header, &self.second.header);
        let number = |header: &BatchHeader| (header.disperser_id, header.sequence);
        if number(first) != number(second) {
            return Err(EvidenceError::OtherSequence {
                first_disperser: first.disperser_id,
                first_sequence: first.sequence,
                second_disperser: second.disperser_id,
                second_sequence: second.sequence,
            });
        }
        match first.digest().cmp(&second.digest()) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Err(EvidenceError::SameBatch),
            std::cmp::Ordering::Greater => return Err(EvidenceError::Order),
        }
        // An operator's id is the hash of its key, so the key is the same on every table. To be on one of the two is
        // enough: the other batch may name any block.
        let key = key_at(chain, self.operator, first.reference_block)
            .or_else(|_| key_at(chain, self.operator, second.reference_block))?;
        self.first.verify(&key, "first batch")?;
        self.second.verify(&key, "second batch")?;
        let (disperser, sequence) = number(first);
        Ok([&disperser.to_be_bytes()[..], &sequence.to_be_bytes()].concat())
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.operator.0);
        self.first.put(out);
        self.second.put(out);
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            operator: OperatorId(input.array("operator")?),
            first: SignedBatch::take(input)?,
            second: SignedBatch::take(input)?,
        })
    }
}

#[cfg(test)]
mod tests;
