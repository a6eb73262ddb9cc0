//! What an operator or a disperser can be slashed for: faults with objective evidence, and the pure functions that check it.
//!
//! | fault | evidence | where |
//! |---|---|---|
//! | an operator signed two batches under one (domain, disperser, sequence) | two headers, two signatures | [`DoubleSigning`] |
//! | an operator signed a batch that breaks the rules | the header, the signature, the broken rule | [`BadAttestation`] |
//! | a custody challenge without an answer | a certificate, and silence until the deadline | [`CustodyObligation`], [`Challenge`], and the [ledger](crate::OpenChallenge), which knows the time |
//! | a disperser signed two batches under one (domain, disperser, sequence) | two headers, two signatures | [`DisperserEquivocation`] |
//!
//! An honest party does none of them, whatever its disperser, its peers and its network do. A node checks a header
//! before it signs, records what it signed before the signature leaves, and keeps its slices until the end of custody.
//! A disperser takes a number, synced, before it signs a batch under it. Being slow, missing a signature and not
//! answering off-chain are not here, because they may be bad luck or a bad line. They can cost
//! rewards, and the place in a quorum.
//!
//! **What evidence rests on.** On bytes that the accused signed, and on what the ledger has recorded of the service
//! that these bytes name ([`ServiceRecords`]). It never rests on the checker's own newest block, clock or software: what the
//! checker has not seen yet, or does not know, proves nothing ([`EvidenceError::Unseen`],
//! [`EvidenceError::UnknownVersion`]). Every check looks at the domain first, so that what was signed for one service
//! or network proves nothing in another. An operator that acted on a table that the source of tables signed is not at
//! fault ([`ServiceRecords::source_signed`]).
//!
//! A [`Fault`] is a claim that anybody may submit, as bytes or as hex in JSON. A [`ProvenFault`] comes from
//! [`Fault::check`] or from a challenge's deadline in the ledger, and from nowhere else. The ledger slashes for a
//! [`ProvenFault`], and once for each [`subject`](ProvenFault::subject): one fault can be shown by several pieces of
//! evidence.

mod attestation;
pub(crate) mod codec;
mod custody;
mod double_signing;
mod equivocation;
mod error;
mod open;
mod records;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod testing;

use std::fmt;
use std::sync::Arc;

use ashlar_crypto::bls::PublicKey;
use ashlar_crypto::hash::{Hash, sha256};
use ashlar_proto::{BatchHeader, Block, Domain, OperatorId, TableRoot};
use serde::{Deserialize, Serialize};

use ashlar_stake::OperatorTable;

pub use attestation::{BadAttestation, BlobInBatch, Breach};
pub use custody::{
    Challenge, ChallengeId, CustodyAnswer, CustodyObligation, MAX_ANSWER_BYTES, MAX_SLICE_BYTES,
    Position,
};
pub use double_signing::{DoubleSigning, SignedBatch};
pub use equivocation::{DispersedBatch, DisperserEquivocation};
pub use error::{CustodyError, EvidenceDecodeError, EvidenceError};
pub use records::Records;

const EVIDENCE_TAG: &[u8] = b"ashlar/evidence/2";
const SUBJECT_TAG: &[u8] = b"ashlar/fault/2";

/// First bytes of every encoded fault.
pub const FAULT_MAGIC: [u8; 4] = *b"ashf";
/// The format that this code writes and reads.
pub const FAULT_FORMAT: u8 = 2;
/// Longest encoded fault, in bytes.
pub const MAX_FAULT_BYTES: usize = 4096;

/// What a ledger recorded about one service: all that evidence rests on, besides signatures.
pub trait ServiceRecords {
    /// The service's. Evidence of any other domain proves nothing here.
    fn domain(&self) -> Domain;

    /// The operator table that was recorded for this block.
    ///
    /// # Errors
    /// [`NoTable`]: there is none, or not yet.
    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, NoTable>;

    /// The BLS key of an operator that ever registered. An operator's id is the hash of its key, so it never changes.
    fn operator_key(&self, operator: &OperatorId) -> Option<PublicKey>;

    /// Whether it is recorded that the source of tables signed a head of this block with this root, although the ledger's own
    /// is another one.
    fn source_signed(&self, block: Block, root: &TableRoot) -> bool;
}

/// Why there is no table of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTable {
    /// The block is not over: whoever asks again later may find one.
    Unseen,
    /// The block is over, and nobody had stake.
    Nobody,
    /// The records contradict themselves: the checker's own fault, whoever is accused.
    Broken,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Accused {
    /// An operator, of any service.
    Operator(OperatorId),
    /// A disperser, by its number in the fault's domain.
    Disperser(u32),
}

impl Accused {
    /// Its kind and its id.
    fn to_bytes(self) -> Vec<u8> {
        match self {
            Self::Operator(OperatorId(id)) => [&[0][..], &id].concat(),
            Self::Disperser(id) => [&[1][..], &id.to_be_bytes()].concat(),
        }
    }
}

impl fmt::Display for Accused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(id) => write!(f, "operator {id}"),
            Self::Disperser(id) => write!(f, "disperser {id}"),
        }
    }
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// [`DoubleSigning`].
    DoubleSigning,
    /// [`BadAttestation`].
    BadAttestation,
    /// A custody challenge that nobody answered.
    UnansweredChallenge,
    /// [`DisperserEquivocation`].
    DisperserEquivocation,
}

impl FaultKind {
    /// Its number in encodings and digests.
    pub const fn number(self) -> u8 {
        match self {
            Self::DoubleSigning => 0,
            Self::BadAttestation => 1,
            Self::UnansweredChallenge => 2,
            Self::DisperserEquivocation => 3,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DoubleSigning => "double signing",
            Self::BadAttestation => "bad attestation",
            Self::UnansweredChallenge => "unanswered challenge",
            Self::DisperserEquivocation => "equivocation of a disperser",
        })
    }
}

/// A fault that somebody claims, with its evidence. JSON: the hex of its bytes.
///
/// The encoding is `magic "ashf" 4 | format 1 | kind 1 | body`, integers big-endian, every field of fixed width or with a count in front: one
/// encoding for each claim, and nothing may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(clippy::large_enum_variant)] // one at a time, never in bulk
pub enum Fault {
    /// Two batches under one number.
    DoubleSigning(DoubleSigning),
    /// A batch that nobody may sign.
    BadAttestation(BadAttestation),
    /// Two batches by a disperser under one number.
    DisperserEquivocation(DisperserEquivocation),
}

#[cfg(feature = "openapi")]
ashlar_crypto::text_schema!(Fault, "0x61736866([0-9a-f]{2})+");

impl Fault {
    /// Which kind it is.
    pub fn kind(&self) -> FaultKind {
        match self {
            Self::DoubleSigning(_) => FaultKind::DoubleSigning,
            Self::BadAttestation(_) => FaultKind::BadAttestation,
            Self::DisperserEquivocation(_) => FaultKind::DisperserEquivocation,
        }
    }

    /// Who is accused.
    pub fn accused(&self) -> Accused {
        match self {
            Self::DoubleSigning(fault) => Accused::Operator(fault.operator),
            Self::BadAttestation(fault) => Accused::Operator(fault.operator),
            Self::DisperserEquivocation(fault) => fault.accused(),
        }
    }

    /// The domain that the accused is said to have signed for. The ledger of that domain can check it. If it holds two
    /// batches, the first one's.
    pub fn domain(&self) -> Domain {
        let (first, _) = self.headers();
        first.domain
    }

    fn headers(&self) -> (&BatchHeader, Option<&BatchHeader>) {
        match self {
            Self::DoubleSigning(fault) => (&fault.first.header, Some(&fault.second.header)),
            Self::BadAttestation(fault) => (&fault.batch.header, None),
            Self::DisperserEquivocation(fault) => (&fault.first.header, Some(&fault.second.header)),
        }
    }

    /// Checks the evidence: that everything was signed for this service, then the rest.
    ///
    /// # Errors
    /// [`EvidenceError::OtherDomain`], then the first thing that does not hold.
    pub fn check(&self, chain: &impl ServiceRecords) -> Result<ProvenFault, EvidenceError> {
        let expected = chain.domain();
        let (first, second) = self.headers();
        for header in [Some(first), second].into_iter().flatten() {
            if header.domain != expected {
                return Err(EvidenceError::OtherDomain {
                    got: header.domain,
                    expected,
                });
            }
        }
        let subject = match self {
            Self::DoubleSigning(fault) => fault.check(chain)?,
            Self::BadAttestation(fault) => fault.check(chain)?,
            Self::DisperserEquivocation(fault) => fault.check(chain)?,
        };
        Ok(ProvenFault::new(
            self.accused(),
            self.kind(),
            &subject,
            self.hash(),
        ))
    }

    /// The evidence's name: `H("ashlar/evidence/1" | bytes)`.
    pub fn hash(&self) -> Hash {
        sha256(&[EVIDENCE_TAG, &self.to_bytes()])
    }

    /// Its bytes. Paths longer than [`MAX_PATH`](ashlar_proto::codec::MAX_PATH) are cut; none that decodes or passes a check has one.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend(FAULT_MAGIC);
        out.push(FAULT_FORMAT);
        out.push(self.kind().number());
        match self {
            Self::DoubleSigning(fault) => fault.put(&mut out),
            Self::BadAttestation(fault) => fault.put(&mut out),
            Self::DisperserEquivocation(fault) => fault.put(&mut out),
        }
        out
    }

    /// Reads a fault. Nothing in it is checked beyond its form.
    ///
    /// # Errors
    /// The first thing that is not as [`to_bytes`](Self::to_bytes) writes it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceDecodeError> {
        let mut input = codec::input(bytes, MAX_FAULT_BYTES)?;
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
            1 => Self::BadAttestation(BadAttestation::take(&mut input)?),
            3 => Self::DisperserEquivocation(DisperserEquivocation::take(&mut input)?),
            got => return Err(EvidenceDecodeError::Number { field: "kind", got }),
        };
        input.finish()?;
        Ok(fault)
    }
}

codec::as_hex!(Fault, MAX_FAULT_BYTES);

/// A fault that was checked. There is no other way to make one than the checks of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct ProvenFault {
    accused: Accused,
    kind: FaultKind,
    #[serde(serialize_with = "codec::serialize_hash")]
    subject: Hash,
    #[serde(serialize_with = "codec::serialize_hash")]
    evidence_hash: Hash,
}

impl ProvenFault {
    /// What follows from a challenge that nobody answered until its deadline. The subject is the duty, one for the
    /// whole blob: an operator that lost the blob can be asked for any of its elements, but lost it once.
    pub(crate) fn unanswered(challenge: &Challenge) -> Self {
        Self::new(
            Accused::Operator(challenge.operator),
            FaultKind::UnansweredChallenge,
            &[&challenge.batch_digest.0[..], &challenge.blob_key.0].concat(),
            challenge.id().0,
        )
    }

    /// Of whatever was signed the domain is part: it stands in the subject itself, or in a batch's digest that is.
    fn new(accused: Accused, kind: FaultKind, subject: &[u8], evidence_hash: Hash) -> Self {
        Self {
            accused,
            kind,
            subject: sha256(&[SUBJECT_TAG, &[kind.number()], &accused.to_bytes(), subject]),
            evidence_hash,
        }
    }

    /// Who did it.
    pub fn accused(&self) -> Accused {
        self.accused
    }

    /// What it was.
    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The name of the fault, whatever evidence showed it: of two batches under one number the domain, the disperser
    /// and the sequence, of a bad attestation the batch, of an unanswered challenge the batch and the blob. Slash once
    /// for each.
    pub fn subject(&self) -> Hash {
        self.subject
    }

    /// The evidence's name: [`Fault::hash`], or [`ChallengeId`].
    pub fn evidence_hash(&self) -> Hash {
        self.evidence_hash
    }
}

/// The table of a block, with which something is to be proven.
fn table_at(
    chain: &impl ServiceRecords,
    block: Block,
) -> Result<Arc<OperatorTable>, EvidenceError> {
    chain.table_at(block).map_err(|why| match why {
        NoTable::Unseen => EvidenceError::Unseen { block },
        NoTable::Nobody => EvidenceError::NoTable { block },
        NoTable::Broken => EvidenceError::Broken { block },
    })
}

fn operator_key(
    chain: &impl ServiceRecords,
    operator: OperatorId,
) -> Result<PublicKey, EvidenceError> {
    chain
        .operator_key(&operator)
        .ok_or(EvidenceError::UnknownOperator { operator })
}

#[cfg(test)]
mod tests;
