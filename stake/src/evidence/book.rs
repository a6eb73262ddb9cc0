//! Open custody challenges.
//!
//! ```text
//!            open: duty proven, bond paid, in the challenge period
//!                     │
//!                   OPEN ── answer until the deadline ──▶ answered: the bond goes to the operator
//!                     │
//!          expire after the deadline ──▶ unanswered: a proven fault; the bond goes back
//! ```
//!
//! Pure: blocks come from the caller, money stays with the caller, who moves it as a [`Settlement`] says.

use std::collections::BTreeMap;

use ashlar_crypto::Setup;
use ashlar_crypto::hash::{Hash, sha256};
use ashlar_proto::params::ProtocolVersion;
use ashlar_proto::{Account, BlobHeader, Stake};

use super::codec::{Input, put_blob_header};
use super::{
    Challenge, ChallengeId, CustodyAnswer, CustodyError, Duty, EvidenceDecodeError, Position,
    ProvenFault, Timing,
};

const BOOK_TAG: &[u8] = b"ashlar/custody-book/1";
/// Most entries of either list in a snapshot: 2^20.
const MAX_ENTRIES: u32 = 1 << 20;
/// Bytes of the longest snapshot that is read, 512 MiB: far above what the limits of any book allow.
const MAX_BOOK_BYTES: usize = 512 << 20;

/// Limits of a [`CustodyBook`]. An open challenge takes about 500 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustodyParams {
    /// Blocks from a batch's reference block in which challenges may be opened.
    pub challenge_blocks: u64,
    /// Blocks from there to the deadline.
    pub response_blocks: u64,
    /// Least bond.
    pub min_bond: Stake,
    /// Most open challenges in all, at most 2^20.
    pub max_open: u32,
    /// Most open challenges to one operator, so that nobody can be drowned in them.
    pub max_open_per_operator: u32,
}

impl CustodyParams {
    /// The windows of a protocol version and of `timing` in blocks of `block_secs` seconds. The challenge period is rounded down
    /// and the time to answer up, both in the operator's favour.
    pub fn new(
        version: &ProtocolVersion,
        timing: &Timing,
        block_secs: u64,
        min_bond: Stake,
    ) -> Self {
        let block_secs = block_secs.max(1);
        Self {
            challenge_blocks: version.challenge_secs / block_secs,
            response_blocks: timing.response_secs.div_ceil(block_secs),
            min_bond,
            max_open: 65_536,
            max_open_per_operator: 64,
        }
    }
}

/// A challenge that waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The challenge.
    pub challenge: Challenge,
    /// What the answer is checked against.
    pub blob: BlobHeader,
}

/// How a challenge ended, and who gets its bond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Answered: the bond is the operator's.
    Answered {
        /// The challenge.
        challenge: Challenge,
    },
    /// Not answered: the bond goes back to the challenger.
    Unanswered {
        /// The challenge.
        challenge: Challenge,
        /// The fault.
        fault: ProvenFault,
    },
}

/// All open challenges. An element that was shown may be asked for again: each time the challenger pays a bond for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustodyBook {
    params: CustodyParams,
    open: BTreeMap<ChallengeId, Open>,
}

impl CustodyBook {
    /// A book without challenges.
    pub fn new(params: CustodyParams) -> Self {
        Self {
            params,
            open: BTreeMap::new(),
        }
    }

    /// The limits.
    pub fn params(&self) -> &CustodyParams {
        &self.params
    }

    /// An open challenge.
    pub fn get(&self, id: &ChallengeId) -> Option<&Open> {
        self.open.get(id)
    }

    /// All open challenges, by id.
    pub fn open_challenges(&self) -> impl Iterator<Item = (&ChallengeId, &Open)> {
        self.open.iter()
    }

    /// Opens a challenge. The caller has taken the bond, and keeps it until the [`Settlement`].
    ///
    /// # Errors
    /// A refusal leaves the book as it is: [`CustodyError::Row`], [`CustodyError::NotAssigned`],
    /// [`CustodyError::Bond`], [`CustodyError::NotYet`], [`CustodyError::PeriodOver`], [`CustodyError::Duplicate`] or [`CustodyError::TooMany`].
    pub fn open(
        &mut self,
        now: u64,
        challenger: Account,
        bond: Stake,
        duty: &Duty,
        position: Position,
    ) -> Result<Challenge, CustodyError> {
        duty.check(position)?;
        let needed = self.params.min_bond;
        if bond < needed {
            return Err(CustodyError::Bond { got: bond, needed });
        }
        let reference = duty.reference_block();
        if reference > now {
            return Err(CustodyError::NotYet { reference, now });
        }
        let last = reference.saturating_add(self.params.challenge_blocks);
        if now > last {
            return Err(CustodyError::PeriodOver { last, now });
        }
        let asked = (duty.operator(), duty.blob_key(), position);
        let same = |open: &Open| {
            let challenge = &open.challenge;
            (challenge.operator, challenge.blob_key, challenge.position) == asked
        };
        if self.open.values().any(same) {
            return Err(CustodyError::Duplicate);
        }
        let limit = |scope, got: usize, max: u32| {
            if got >= max as usize {
                return Err(CustodyError::TooMany { scope, max });
            }
            Ok(())
        };
        limit(
            "in all",
            self.open.len(),
            self.params.max_open.min(MAX_ENTRIES),
        )?;
        let to_operator = self
            .open
            .values()
            .filter(|open| open.challenge.operator == duty.operator());
        limit(
            "to this operator",
            to_operator.count(),
            self.params.max_open_per_operator,
        )?;
        let challenge = Challenge {
            challenger,
            blob_key: duty.blob_key(),
            batch_digest: duty.batch_digest(),
            position,
            operator: duty.operator(),
            opened_block: now,
            deadline_block: now.saturating_add(self.params.response_blocks),
            bond,
        };
        let blob = duty.blob().clone();
        self.open.insert(challenge.id(), Open { challenge, blob });
        Ok(challenge)
    }

    /// Settles a challenge with an answer. Anybody may bring it.
    ///
    /// # Errors
    /// A refusal leaves the challenge open: [`CustodyError::Unknown`], [`CustodyError::DeadlineOver`], or what is wrong with the answer.
    pub fn answer(
        &mut self,
        now: u64,
        id: &ChallengeId,
        answer: &CustodyAnswer,
        setup: &Setup,
    ) -> Result<Settlement, CustodyError> {
        let open = self.open.get(id).ok_or(CustodyError::Unknown)?;
        let challenge = open.challenge;
        let deadline = challenge.deadline_block;
        if now > deadline {
            return Err(CustodyError::DeadlineOver { deadline, now });
        }
        answer.check(setup, &open.blob, challenge.position)?;
        self.open.remove(id);
        Ok(Settlement::Answered { challenge })
    }

    /// Ends every challenge whose deadline lies before `now`, in the order of their ids.
    pub fn expire(&mut self, now: u64) -> Vec<Settlement> {
        let over: Vec<ChallengeId> = self
            .open
            .iter()
            .filter(|(_, open)| open.challenge.deadline_block < now)
            .map(|(id, _)| *id)
            .collect();
        over.into_iter()
            .filter_map(|id| Some((id, self.open.remove(&id)?.challenge)))
            .map(|(_, challenge)| Settlement::Unanswered {
                challenge,
                fault: ProvenFault::unanswered(&challenge),
            })
            .collect()
    }

    /// The open challenges as bytes, for a snapshot: `count 4 | (challenge, blob header) each`, by rising id. The limits are not in it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + self.open.len() * 350);
        // At most MAX_ENTRIES are ever open.
        out.extend((self.open.len() as u32).to_be_bytes());
        for open in self.open.values() {
            out.extend(open.challenge.to_bytes());
            put_blob_header(&mut out, &open.blob);
        }
        out
    }

    /// Reads a snapshot of a book with these limits. It is trusted like the state that it is part of: its duties were proven when
    /// its challenges were opened.
    ///
    /// # Errors
    /// Anything that [`to_bytes`](Self::to_bytes) would not have written.
    pub fn from_bytes(params: CustodyParams, bytes: &[u8]) -> Result<Self, EvidenceDecodeError> {
        let mut input = Input::new(bytes, MAX_BOOK_BYTES)?;
        let count = input.u32("count")?;
        if count > MAX_ENTRIES {
            return Err(EvidenceDecodeError::Limit {
                field: "open challenges",
                got: u64::from(count),
                max: u64::from(MAX_ENTRIES),
            });
        }
        let snapshot = |what| EvidenceDecodeError::Snapshot { what };
        let mut book = Self::new(params);
        for _ in 0..count {
            let challenge = Challenge::take(&mut input)?;
            let blob = input.blob_header()?;
            if blob.validate().is_err() || blob.blob_key() != challenge.blob_key {
                return Err(snapshot("a blob header is not that of its challenge"));
            }
            let id = challenge.id();
            if book
                .open
                .last_key_value()
                .is_some_and(|(last, _)| *last >= id)
            {
                return Err(snapshot("the challenges are not in order"));
            }
            book.open.insert(id, Open { challenge, blob });
        }
        input.finish()?;
        Ok(book)
    }

    /// `H("ashlar/custody-book/1" | bytes)`: goes into a state root.
    pub fn hash(&self) -> Hash {
        sha256(&[BOOK_TAG, &self.to_bytes()])
    }
}

#[cfg(test)]
mod tests;
