//! Signed answers, and the proof that one is false.

use ashlar_crypto::bls::{BlsError, PublicKey, SecretKey, Signature, SignatureBytes};
use ashlar_crypto::hash::{Hash, sha256};
use ashlar_crypto::kzg::{extended_point, verify_at};
use ashlar_crypto::merkle::{leaf_hash, verify_path};
use ashlar_crypto::{Commitment, CommitmentBytes, ELEMENTS_PER_ROW, ProofBytes, Setup};
use ashlar_proto::{BlobHeader, BlobKey, OperatorId, operator_id};

use super::codec::{Input, put_blob_header, put_path};
use super::{Chain, EvidenceDecodeError, EvidenceError, key_at};

const ANSWER_TAG: &[u8] = b"ashlar/answer/1";

/// An operator's word about one element of a blob.
///
/// The message is `H("ashlar/answer/1" | blob key 32 | row 4 | element 4 | y 32)`, integers big-endian. No batch digest is
/// one: those are hashes with another tag in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAnswer {
    /// Who answers.
    pub operator: OperatorId,
    /// The blob.
    pub blob_key: BlobKey,
    /// Row of the blob.
    pub row: u32,
    /// Element of the row's extension; the first 4096 are the row's own.
    pub element: u32,
    /// The value given, big-endian.
    pub y: [u8; 32],
    /// The operator's signature of the message.
    pub signature: SignatureBytes,
}

impl SignedAnswer {
    /// Signs an answer.
    pub fn sign(key: &SecretKey, blob_key: BlobKey, row: u32, element: u32, y: [u8; 32]) -> Self {
        let mut answer = Self {
            operator: operator_id(&key.public_key().to_bytes()),
            blob_key,
            row,
            element,
            y,
            signature: SignatureBytes([0; 48]),
        };
        answer.signature = key.sign(&answer.message()).to_bytes();
        answer
    }

    /// What is signed.
    pub fn message(&self) -> Hash {
        sha256(&[
            ANSWER_TAG,
            &self.blob_key.0,
            &self.row.to_be_bytes(),
            &self.element.to_be_bytes(),
            &self.y,
        ])
    }

    /// Checks the signature with the operator's key.
    ///
    /// # Errors
    /// [`BlsError`]: malformed, or of another key or message.
    pub fn verify(&self, key: &PublicKey) -> Result<(), BlsError> {
        key.verify(&self.message(), &Signature::from_bytes(&self.signature)?)
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.operator.0);
        out.extend(self.blob_key.0);
        out.extend(self.row.to_be_bytes());
        out.extend(self.element.to_be_bytes());
        out.extend(self.y);
        out.extend(self.signature.0);
    }

    fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            operator: OperatorId(input.array("operator")?),
            blob_key: BlobKey(input.array("blob key")?),
            row: input.u32("row")?,
            element: input.u32("element")?,
            y: input.array("value")?,
            signature: SignatureBytes(input.array("signature")?),
        })
    }
}

/// A signed answer and an opening of the same element with another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FalseAnswer {
    /// A block at which the accused was an operator.
    pub table_block: u64,
    /// The answer.
    pub answer: SignedAnswer,
    /// The blob that it is about.
    pub blob_header: BlobHeader,
    /// Commitment of the row.
    pub commitment: CommitmentBytes,
    /// From the commitment to the header's `commitments_root`.
    pub path: Vec<Hash>,
    /// The committed value, big-endian.
    pub y: [u8; 32],
    /// Its proof: what the precompile 0x0A checks.
    pub proof: ProofBytes,
}

impl FalseAnswer {
    /// Gives the subject: blob, row and element.
    pub(super) fn check(
        &self,
        chain: &impl Chain,
        setup: &Setup,
    ) -> Result<Vec<u8>, EvidenceError> {
        let answer = &self.answer;
        if answer.y == self.y {
            return Err(EvidenceError::AnswerTrue);
        }
        let header = self.blob_header.blob_key();
        if answer.blob_key != header {
            return Err(EvidenceError::OtherBlob {
                answer: answer.blob_key,
                header,
            });
        }
        let key = key_at(chain, answer.operator, self.table_block)?;
        answer
            .verify(&key)
            .map_err(|source| EvidenceError::Signature {
                what: "answer",
                source,
            })?;
        let opened = Opened {
            commitment: self.commitment,
            path: &self.path,
            y: &self.y,
            proof: &self.proof,
        };
        opened.check(setup, &self.blob_header, answer.row, answer.element)?;
        Ok([
            &answer.blob_key.0[..],
            &answer.row.to_be_bytes(),
            &answer.element.to_be_bytes(),
        ]
        .concat())
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.table_block.to_be_bytes());
        self.answer.put(out);
        put_blob_header(out, &self.blob_header);
        out.extend(self.commitment.0);
        put_path(out, &self.path);
        out.extend(self.y);
        out.extend(self.proof.0);
    }

    pub(super) fn take(input: &mut Input<'_>) -> Result<Self, EvidenceDecodeError> {
        Ok(Self {
            table_block: input.u64("table block")?,
            answer: SignedAnswer::take(input)?,
            blob_header: input.blob_header()?,
            commitment: CommitmentBytes(input.array("commitment")?),
            path: input.path("commitment path")?,
            y: input.array("value")?,
            proof: ProofBytes(input.array("proof")?),
        })
    }
}

/// A claim about one element of a blob that its header decides.
pub(super) struct Opened<'a> {
    pub(super) commitment: CommitmentBytes,
    pub(super) path: &'a [Hash],
    pub(super) y: &'a [u8; 32],
    pub(super) proof: &'a ProofBytes,
}

impl Opened<'_> {
    /// The row's commitment is in the header, and the row has this value at this element.
    pub(super) fn check(
        &self,
        setup: &Setup,
        blob: &BlobHeader,
        row: u32,
        element: u32,
    ) -> Result<(), EvidenceError> {
        // The number of rows is the number of leaves, so a header whose rows are not those of its payload proves nothing.
        blob.validate().map_err(EvidenceError::BlobHeader)?;
        let code = blob.protocol().map_err(EvidenceError::BlobHeader)?.code;
        let z = extended_point(code, element).ok_or(EvidenceError::Element {
            got: element,
            elements: code.blowup().saturating_mul(ELEMENTS_PER_ROW as u32),
        })?;
        verify_path(
            &blob.commitments_root,
            u64::from(blob.rows),
            u64::from(row),
            leaf_hash(&self.commitment.0),
            self.path,
        )
        .map_err(EvidenceError::CommitmentPath)?;
        let commitment =
            Commitment::try_from(self.commitment).map_err(EvidenceError::Commitment)?;
        verify_at(setup, &commitment, &z, self.y, self.proof).map_err(EvidenceError::Opening)
    }
}

#[cfg(test)]
mod tests;
