//! Two different batches signed by an operator under one (domain, disperser, sequence).

use std::cmp::Ordering;

use ashlar_crypto::bls::{PublicKey, SecretKey, Signature, SignatureBytes};
use ashlar_proto::{BatchHeader, OperatorId};

use super::codec::{Input, put_batch_header};
use super::{EvidenceDecodeError, EvidenceError, ServiceRecords, operator_key};

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
/// gives the signature away, so this takes intent, or two nodes with one key. Nothing but the two signatures is needed: the
/// batches may name any block and break any rule.
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
        let [first, second] = ordered(one, other, |batch| &batch.header);
        Self {
            operator,
            first,
            second,
        }
    }

    /// Gives the subject: domain, disperser and sequence.
    pub(super) fn check(&self, chain: &impl ServiceRecords) -> Result<Vec<u8>, EvidenceError> {
        let subject = check_pair(&self.first.header, &self.second.header)?;
        let key = operator_key(chain, self.operator)?;
        self.first.verify(&key, "first batch")?;
        self.second.verify(&key, "second batch")?;
        Ok(subject)
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

/// The batch with the lower digest first.
pub(super) fn ordered<T>(one: T, other: T, header: impl Fn(&T) -> &BatchHeader) -> [T; 2] {
    if header(&one).digest() <= header(&other).digest() {
        [one, other]
    } else {
        [other, one]
    }
}

/// Two different batches under one number, in their order. Gives the number: `domain 32 | disperser 4 | sequence 8`. That
/// both have one domain was checked before.
pub(super) fn check_pair(
    first: &BatchHeader,
    second: &BatchHeader,
) -> Result<Vec<u8>, EvidenceError> {
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
        Ordering::Less => {}
        Ordering::Equal => return Err(EvidenceError::SameBatch),
        Ordering::Greater => return Err(EvidenceError::Order),
    }
    let (disperser, sequence) = number(first);
    Ok([
        &first.domain.0[..],
        &disperser.to_be_bytes(),
        &sequence.0.to_be_bytes(),
    ]
    .concat())
}

#[cfg(test)]
mod tests;
