//! What an operator can be slashed for: faults with objective evidence, and the pure functions that check it.
//!
//! | fault | evidence | where |
//! |---|---|---|
//! | two batches signed under one (disperser, sequence) | two headers, two signatures | [`DoubleSigning`] |
//! | a signed answer that is false | the answer, and a KZG opening with another value | [`FalseAnswer`] |
//! | a signed batch that breaks the rules | the header, the signature, the broken rule | [`BadAttestation`] |
//! | a custody challenge without an answer | a certificate, and silence until the deadline | [`Duty`], [`Challenge`], and the [ledger](crate::ledger::OpenChallenge), which knows the time |
//!
//! Each of them is something that an honest node never does, whatever its disperser, its peers and its network do: it
//! looks at a header before it signs, it records what it signed before the signature leaves, and it keeps its
//! slices until the end of custody. What cannot be told from bad luck or a bad line is not here: being slow, missing a
//! signature, not answering off-chain. Those count in [`performance`]: they lower rewards and end in ejection.
//!
//! A [`Fault`] is a claim that anybody may submit, as bytes or as hex in JSON. A [`ProvenFault`] comes from [`Fault::check`]
//! or from a challenge's deadline in the ledger, and from nowhere else. The ledger slashes for a [`ProvenFault`], and once for each [`subject`](ProvenFault::subject):
//! one misdeed can be shown by several pieces of evidence.

mod answer;
mod attestation;
pub(crate) mod codec;
mod custody;
mod double_signing;
mod error;
mod open;
pub mod performance;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod testing;
mod timing;

use std::fmt;
use std::sync::Arc;

use ashlar_crypto::Setup;
use ashlar_crypto::bls::PublicKey;
use ashlar_crypto::hash::{Hash, sha256};
use ashlar_proto::{OperatorId, TableView};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::OperatorTable;

pub use answer::{FalseAnswer, SignedAnswer};
pub use attestation::{BadAttestation, BlobInBatch, Breach};
pub use codec::MAX_EVIDENCE_PATH;
pub use custody::{
    Challenge, ChallengeId, CustodyAnswer, Duty, MAX_ANSWER_BYTES, MAX_SLICE_BYTES, Position,
};
pub use double_signing::{DoubleSigning, SignedBatch};
pub use error::{CustodyError, EvidenceDecodeError, EvidenceError};
pub use timing::{Timing, TimingError, check_timing};

use codec::Input;

const EVIDENCE_TAG: &[u8] = b"ashlar/evidence/1";
const SUBJECT_TAG: &[u8] = b"ashlar/fault/1";

/// First bytes of every encoded fault.
pub const FAULT_MAGIC: [u8; 4] = *b"ashf";
/// The format that this code writes and reads.
pub const FAULT_FORMAT: u8 = 1;
/// Longest encoded fault, in bytes.
pub const MAX_FAULT_BYTES: usize = 4096;

/// What the checks need to know of the chain: tables that were, and the newest block.
pub trait Chain {
    /// The operator table that held at this block; `None` if there is none or it is not known any more.
    fn table_at(&self, block: u64) -> Option<Arc<OperatorTable>>;

    /// The newest block.
    fn head(&self) -> u64;
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// [`DoubleSigning`].
    DoubleSigning,
    /// [`FalseAnswer`].
    FalseAnswer,
    /// [`BadAttestation`].
    BadAttestation,
    /// A custody challenge that nobody answered.
    UnansweredChallenge,
}

impl FaultKind {
    /// Its number in encodings and digests.
    pub const fn number(self) -> u8 {
        match self {
            Self::DoubleSigning => 0,
            Self::FalseAnswer => 1,
            Self::BadAttestation => 2,
            Self::UnansweredChallenge => 3,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoubleSigning => "double signing",
            Self::FalseAnswer => "false answer",
            Self::BadAttestation => "bad attestation",
            Self::UnansweredChallenge => "unanswered challenge",
        })
    }
}

/// A fault that somebody claims, with its evidence. JSON: the hex of its bytes.
///
/// The encoding is `magic "ashf" | format 1 | kind 1 | body`, integers big-endian, every field of fixed width or with a count in front: one
/// encoding for each claim, and nothing may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // one at a time, never in bulk
pub enum Fault {
    /// Two batches under one number.
    DoubleSigning(DoubleSigning),
    /// A value that the commitment contradicts.
    FalseAnswer(FalseAnswer),
    /// A batch that nobody may sign.
    BadAttestation(BadAttestation),
}

impl Fault {
    /// Which kind it is.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::DoubleSigning(_) => FaultKind::DoubleSigning,
            Self::FalseAnswer(_) => FaultKind::FalseAnswer,
            Self::BadAttestation(_) => FaultKind::BadAttestation,
        }
    }

    /// Who is accused.
    pub fn operator(&self) -> OperatorId {
        match self {
            Self::DoubleSigning(fault) => fault.operator,
            Self::FalseAnswer(fault) => fault.answer.operator,
            Self::BadAttestation(fault) => fault.operator,
        }
    }

    /// Checks the evidence.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn check(&self, chain: &impl Chain, setup: &Setup) -> Result<ProvenFault, EvidenceError> {
        let subject = match self {
            Self::DoubleSigning(fault) => fault.check(chain)?,
            Self::FalseAnswer(fault) => fault.check(chain, setup)?,
            Self::BadAttestation(fault) => fault.check(chain)?,
        };
        Ok(ProvenFault::new(
            self.operator(),
            self.kind(),
            &subject,
            self.hash(),
        ))
    }

    /// The evidence's name: `H("ashlar/evidence/1" | bytes)`.
    pub fn hash(&self) -> Hash {
        sha256(&[EVIDENCE_TAG, &self.to_bytes()])
    }

    /// Its bytes. Paths longer than [`MAX_EVIDENCE_PATH`] are cut; none that decodes or passes a check has one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend(FAULT_MAGIC);
        out.push(FAULT_FORMAT);
        out.push(self.kind().number());
        match self {
            Self::DoubleSigning(fault) => fault.put(&mut out),
            Self::FalseAnswer(fault) => fault.put(&mut out),
            Self::BadAttestation(fault) => fault.put(&mut out),
        }
        out
    }

    /// Reads a fault. Nothing in it is checked beyond its form.
    ///
    /// # Errors
    /// The first thing that is not as [`to_bytes`](Self::to_bytes) writes it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceDecodeError> {
        let mut input = Input::new(bytes, MAX_FAULT_BYTES)?;
        if input.array::<4>("magic")? != FAULT_MAGIC {
            return Err(EvidenceDecodeError::Magic);
        }
        let format = input.u8("format")?;
        if format != FAULT_FORMAT {
            return Err(EvidenceDecodeError::Number {
                field: "format",
                got: format,
            });
        }
        let fault = match input.u8("kind")? {
            0 => Self::DoubleSigning(DoubleSigning::take(&mut input)?),
            1 => Self::FalseAnswer(FalseAnswer::take(&mut input)?),
            2 => Self::BadAttestation(BadAttestation::take(&mut input)?),
            got => return Err(EvidenceDecodeError::Number { field: "kind", got }),
        };
        input.finish()?;
        Ok(fault)
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        codec::serialize_hex(&self.to_bytes(), to)
    }
}

impl<'de> Deserialize<'de> for Fault {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = codec::deserialize_hex(from, MAX_FAULT_BYTES)?;
        Self::from_bytes(&bytes).map_err(de::Error::custom)
    }
}

/// A fault that was checked. There is no other way to make one than the checks of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ProvenFault {
    operator: OperatorId,
    kind: FaultKind,
    #[serde(serialize_with = "codec::serialize_hash")]
    subject: Hash,
    #[serde(serialize_with = "codec::serialize_hash")]
    evidence_hash: Hash,
}

impl ProvenFault {
    /// What follows from a challenge that nobody answered until its deadline. The subject is the duty, which is one for the
    /// whole blob: who lost it can be asked for any of its elements, and lost it once.
    pub(crate) fn unanswered(challenge: &Challenge) -> Self {
        Self::new(
            challenge.operator,
            FaultKind::UnansweredChallenge,
            &[&challenge.batch_digest.0[..], &challenge.blob_key.0].concat(),
            challenge.id().0,
        )
    }

    fn new(operator: OperatorId, kind: FaultKind, subject: &[u8], evidence_hash: Hash) -> Self {
        Self {
            operator,
            kind,
            subject: sha256(&[SUBJECT_TAG, &[kind.number()], &operator.0, subject]),
            evidence_hash,
        }
    }

    /// Who did it.
    pub fn operator(&self) -> OperatorId {
        self.operator
    }

    /// What it was.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The misdeed's name, whatever evidence showed it: of a double signing the disperser and the sequence, of a false answer the
    /// element, of a bad attestation the batch, of an unanswered challenge the batch and the blob. Slash once for each.
    pub fn subject(&self) -> Hash {
        self.subject
    }

    /// The evidence's name: [`Fault::hash`], or [`ChallengeId`].
    pub fn evidence_hash(&self) -> Hash {
        self.evidence_hash
    }
}

/// The BLS key of an operator that is on the table of this block.
fn key_at(
    chain: &impl Chain,
    operator: OperatorId,
    block: u64,
) -> Result<PublicKey, EvidenceError> {
    let table = chain
        .table_at(block)
        .ok_or(EvidenceError::NoTable { block })?;
    table
        .find(&operator)
        .and_then(|index| table.public_key(index).copied())
        .ok_or(EvidenceError::NotOnTable { operator, block })
}

#[cfg(test)]
mod tests;
