//! Custody challenges: an operator that signed for a blob shows an element of it, or is slashed.
//!
//! ```text
//! open_challenge ─▶ OPEN ── answer_challenge until the deadline ─▶ the bond is the operator's
//!                     │
//!                     └── the block after the deadline ─▶ the bond goes back, the operator is slashed
//! ```
//!
//! Nobody picks the element. It follows from the hash of every transaction of the blocks before (so it is known to all before
//! the challenge is sent, and to nobody before those blocks were over), from the block, and from who asks whom for what. What a
//! challenger can do is to wait for a block whose element it likes better, or to ask from another account; what it cannot do is
//! to get a second draw in the same block, or to ask again while its first question is open. The operator has no say at all:
//! it would have to know who is going to ask, and when. Who orders the transactions could try orders until it likes an element.
//!
//! Slashing needs no slasher's transaction: by its terms of custody the service has said what it takes. Its veto window holds,
//! and after it somebody has to execute the request, as any other.

use ashlar_crypto::Setup;
use ashlar_crypto::hash::sha256;
use ashlar_proto::{Account, BatchDigest, BlobKey, Certificate, OperatorId, QuorumId};

use super::error::Outcome;
use super::services::Slash;
use super::stake::max_shares;
use super::state::{check_amount, inconsistent, take_number};
use super::types::*;
use super::weights::TableQueryError;
use super::{Amount, Event, State, TransactionError, Wad};
use crate::evidence::{CustodyAnswer, CustodyError, CustodyObligation, ProvenFault};

/// Most open challenges of a service.
pub const MAX_CHALLENGES: u32 = 65_536;
/// Most open challenges to one operator.
pub const MAX_CHALLENGES_PER_OPERATOR: u32 = 1024;
/// Bytes of a certificate in a challenge: the ledger has the table, so the compact form is enough, which is below 2 kB.
pub const MAX_CHALLENGE_CERTIFICATE: usize = 64 << 10;
/// Bytes of an answer: as hexadecimal digits it has to fit into a record of the log. Blobs of larger slices are answered with
/// an opening.
pub const MAX_CHALLENGE_ANSWER: usize = 480 << 10;

const SEED_TAG: &[u8] = b"ashlar/ledger-challenge/1";

impl CustodyTerms {
    /// Checks the terms that a service registers with.
    pub(super) fn check(&self, slash_cap: Wad) -> Outcome {
        check_amount("least bond", self.min_bond)?;
        if self.min_bond > max_shares() {
            return Err(TransactionError::ChallengeBond {
                got: self.min_bond,
                min: Amount::from(1u64),
            });
        }
        if self.wad.is_zero() || self.wad > slash_cap {
            return Err(TransactionError::SlashWad {
                got: self.wad,
                max: slash_cap,
            });
        }
        for (what, got, max) in [
            ("max_open", self.max_open, MAX_CHALLENGES),
            (
                "max_open_per_operator",
                self.max_open_per_operator,
                MAX_CHALLENGES_PER_OPERATOR,
            ),
        ] {
            if got == 0 || got > max {
                return Err(TransactionError::CustodyTerms {
                    what,
                    got: got.into(),
                    min: 1,
                    max: max.into(),
                });
            }
        }
        Ok(())
    }
}

fn check_length(what: &'static str, got: usize, max: usize) -> Outcome {
    if got > max {
        return Err(TransactionError::TooMany { what, got, max });
    }
    Ok(())
}

impl State {
    /// Whatever is cheap is checked before the signature of the certificate.
    pub(super) fn open_challenge(
        &mut self,
        challenger: Account,
        id: ServiceId,
        operator: OperatorId,
        certificate: &[u8],
        bond: Amount,
    ) -> Outcome {
        let now = self.block();
        let service = self.service_ref(id)?;
        let terms = service
            .custody
            .ok_or(TransactionError::NoChallenges { service: id })?;
        // A bound for the sum of all bonds ever, which has to fit; nobody has that much.
        let min = terms.min_bond;
        if bond < min || bond > max_shares() {
            return Err(TransactionError::ChallengeBond { got: bond, min });
        }
        if service.challenges >= terms.max_open {
            return Err(TransactionError::TooManyChallenges {
                whom: "the service",
                max: terms.max_open,
            });
        }
        let max = terms.max_open_per_operator;
        if self
            .challenged_blobs(id, operator)
            .take(max as usize)
            .count()
            >= max as usize
        {
            return Err(TransactionError::TooManyChallenges {
                whom: "the operator",
                max,
            });
        }
        check_length(
            "bytes of a certificate",
            certificate.len(),
            MAX_CHALLENGE_CERTIFICATE,
        )?;
        let certificate = Certificate::from_bytes(certificate)
            .map_err(|source| TransactionError::CertificateForm { source })?;
        let (got, expected) = (certificate.batch_header.domain, self.domain(id));
        if got != expected {
            return Err(TransactionError::ChallengeDomain { got, expected });
        }
        let key = (id, operator, challenger, certificate.blob_header.blob_key());
        if let Some(&challenge) = self.challenged.get(&key) {
            return Err(TransactionError::SameChallenge { challenge });
        }
        let reference = certificate.batch_header.reference_block;
        self.check_window(reference, self.last_challenge(reference))?;
        let duty = self.duty(id, operator, &certificate)?;
        self.check_window(reference, self.last_challenge_of(&duty))?;
        let position = duty.random_position(&self.challenge_seed(id, challenger, &duty));
        let record = OpenChallenge {
            service: id,
            operator,
            challenger,
            blob_key: duty.blob_key(),
            batch_digest: duty.batch_digest(),
            row: position.row,
            element: position.element,
            opened: now,
            deadline: self.after(self.meta.params.timing.response)?,
            token: terms.token,
            bond,
            blob: duty.blob().clone(),
        };
        self.check_punishable(&record)?;
        self.insert_challenge(record)
    }

    fn insert_challenge(&mut self, record: OpenChallenge) -> Outcome {
        let challenge = take_number(&mut self.meta.next_challenge)?;
        self.at(
            record.deadline.saturating_add(1),
            Timer::Unanswered(challenge),
        )?;
        self.hold_bond(record.token, record.bond)?;
        self.count_challenges(record.service, |open| open.checked_add(1))?;
        self.challenged.insert(key_of(&record), challenge);
        self.emit(Event::ChallengeOpened {
            challenge,
            service: record.service,
            operator: record.operator,
            challenger: record.challenger,
            blob_key: record.blob_key,
            row: record.row,
            element: record.element,
            deadline: record.deadline,
            token: record.token,
            bond: record.bond,
        });
        self.challenges.insert(challenge, record);
        Ok(())
    }

    pub(super) fn answer_challenge(&mut self, challenge: u64, answer: &[u8]) -> Outcome {
        let record = self
            .challenges
            .get(&challenge)
            .ok_or(TransactionError::UnknownChallenge { challenge })?;
        check_length("bytes of an answer", answer.len(), MAX_CHALLENGE_ANSWER)?;
        let answer = CustodyAnswer::from_bytes(answer)
            .map_err(|source| TransactionError::AnswerForm { source })?;
        answer
            .check(Setup::ethereum(), &record.blob, record.position())
            .map_err(|source| TransactionError::WrongAnswer {
                source: Box::new(source),
            })?;
        let account = self.operator_ref(record.operator)?.account;
        let Some(record) = self.take_challenge(challenge)? else {
            return Err(inconsistent("a challenge is gone"));
        };
        let fund = self.pay_bond(record.token, record.bond, account)?;
        fund.to_operators = fund.to_operators.plus(record.bond)?;
        self.emit(Event::ChallengeAnswered {
            challenge,
            operator: record.operator,
            account,
            token: record.token,
            bond: record.bond,
        });
        Ok(())
    }

    /// The deadline is over. This happens between blocks, so nothing in here may refuse a state that can occur.
    pub(super) fn unanswered(&mut self, challenge: u64) -> Outcome {
        let Some(record) = self.take_challenge(challenge)? else {
            // It was answered.
            return Ok(());
        };
        let fund = self.pay_bond(record.token, record.bond, record.challenger)?;
        fund.returned = fund.returned.plus(record.bond)?;
        self.emit(Event::ChallengeUnanswered {
            challenge,
            operator: record.operator,
            challenger: record.challenger,
            token: record.token,
            bond: record.bond,
        });
        let fault = ProvenFault::unanswered(&record.challenge());
        let reason = format!("{}, number {challenge}", fault.kind());
        for (quorum, parts) in self.punishable(&record, &fault)? {
            let name = FaultRecord::of(record.operator, &fault, record.service, quorum);
            self.faults.insert(name, self.meta.block);
            self.slash_or_request(&Slash {
                service: record.service,
                quorum,
                operator: record.operator,
                parts: &parts,
                reason: &reason,
                fault: Some(name),
            })?;
        }
        Ok(())
    }

    /// What an unanswered challenge costs now: in each of the blob's quorums (whoever relies on the others lost nothing) in which
    /// this duty was not punished before, the part of the terms of every allocation.
    fn punishable(
        &self,
        record: &OpenChallenge,
        fault: &ProvenFault,
    ) -> Outcome<Vec<(QuorumId, Vec<SlashPart>)>> {
        let (service, operator) = (record.service, record.operator);
        let of = self.service_ref(service)?;
        let wad = of
            .custody
            .map_or(Wad::ZERO, |terms| terms.wad)
            .min(of.slash_cap)
            .min(self.meta.params.slash_cap);
        let parts_in = |quorum: QuorumId| -> Vec<SlashPart> {
            let Some(rules) = self.quorums.get(&(service, quorum)) else {
                return Vec::new();
            };
            let slashable = |strategy: &StrategyId| {
                self.allocations
                    .get(&(operator, *strategy, service, quorum))
                    .is_some_and(|allocation| !allocation.magnitude.is_zero())
            };
            let strategies = rules.config.strategies.iter().map(|part| part.strategy);
            strategies
                .filter(slashable)
                .map(|strategy| SlashPart { strategy, wad })
                .collect()
        };
        Ok(record
            .blob
            .quorums
            .iter()
            .filter(|quorum| {
                !self
                    .faults
                    .contains(&FaultRecord::of(operator, fault, service, **quorum))
                    && self.can_be_slashed(operator, service, **quorum)
            })
            .map(|quorum| (*quorum, parts_in(*quorum)))
            .filter(|(_, parts)| !parts.is_empty() && !wad.is_zero())
            .collect())
    }

    /// A challenge that could end in nothing would only hold the operator up.
    fn check_punishable(&self, record: &OpenChallenge) -> Outcome {
        let fault = ProvenFault::unanswered(&record.challenge());
        if !self.punishable(record, &fault)?.is_empty() {
            return Ok(());
        }
        let punished = record.blob.quorums.iter().filter_map(|quorum| {
            self.faults.get(&FaultRecord::of(
                record.operator,
                &fault,
                record.service,
                *quorum,
            ))
        });
        Err(match punished.max() {
            Some(&block) => TransactionError::SameFault { block },
            None => TransactionError::NotSlashable {
                operator: record.operator,
            },
        })
    }

    /// The last block in which a batch can be challenged, by the ledger's own times: it may be sent until the first ends, and be
    /// included until the second does.
    fn last_challenge(&self, reference: Block) -> Block {
        let timing = &self.meta.params.timing;
        reference
            .saturating_add(timing.open_to_challenges)
            .saturating_add(timing.challenge)
    }

    /// The same, and not later than its protocol version says, nor so late that the data may be deleted before the deadline.
    fn last_challenge_of(&self, duty: &CustodyObligation) -> Block {
        let (params, version) = (&self.meta.params, duty.version());
        let blocks = |secs: u64| secs / params.block_seconds.max(1);
        let kept = blocks(version.retention_secs).saturating_sub(params.timing.response);
        let most = blocks(version.challenge_secs).min(kept);
        let reference = duty.reference_block();
        self.last_challenge(reference)
            .min(reference.saturating_add(most))
    }

    /// A table is known once its block is over.
    fn check_window(&self, reference: Block, last: Block) -> Outcome {
        let got = self.block();
        if got <= reference {
            return Err(TransactionError::ChallengeEarly {
                got,
                expected: reference.saturating_add(1),
            });
        }
        if got > last {
            return Err(TransactionError::ChallengeLate {
                got,
                expected: last,
            });
        }
        Ok(())
    }

    /// What the operator owes by a certificate, checked with the table of its reference block.
    fn duty(
        &self,
        service: ServiceId,
        operator: OperatorId,
        certificate: &Certificate,
    ) -> Outcome<CustodyObligation> {
        let block = certificate.batch_header.reference_block;
        let table = self.table_at(service, block).map_err(|error| match error {
            TableQueryError::Inconsistent { .. } => inconsistent("a table cannot be made"),
            _ => TransactionError::NoTable { service, block },
        })?;
        CustodyObligation::prove(certificate, &table, &operator).map_err(|error| match error {
            CustodyError::Certificate(source) => TransactionError::Certificate {
                source: Box::new(source),
            },
            source => TransactionError::NoDuty {
                source: Box::new(source),
            },
        })
    }

    /// The position follows from it, together with the blob and the operator.
    fn challenge_seed(
        &self,
        service: ServiceId,
        challenger: Account,
        duty: &CustodyObligation,
    ) -> [u8; 32] {
        let BatchDigest(batch) = duty.batch_digest();
        sha256(&[
            SEED_TAG,
            self.meta.seed.as_slice(),
            &self.meta.block.0.to_be_bytes(),
            &service.to_be_bytes(),
            &challenger.0,
            &batch,
        ])
    }

    fn challenged_blobs(
        &self,
        service: ServiceId,
        operator: OperatorId,
    ) -> impl Iterator<Item = u64> + '_ {
        let first = (service, operator, Account([0; 20]), BlobKey([0; 32]));
        let last = (service, operator, Account([0xff; 20]), BlobKey([0xff; 32]));
        self.challenged.range(first..=last).map(|(_, id)| *id)
    }

    fn take_challenge(&mut self, challenge: u64) -> Outcome<Option<OpenChallenge>> {
        let Some(record) = self.challenges.remove(&challenge) else {
            return Ok(None);
        };
        self.challenged.remove(&key_of(&record));
        self.count_challenges(record.service, |open| open.checked_sub(1))?;
        Ok(Some(record))
    }

    fn count_challenges(
        &mut self,
        service: ServiceId,
        change: impl FnOnce(u32) -> Option<u32>,
    ) -> Outcome {
        let of = self
            .services
            .edit(&service)
            .ok_or(inconsistent("a challenge without a service"))?;
        of.challenges =
            change(of.challenges).ok_or(inconsistent("the number of open challenges"))?;
        Ok(())
    }

    /// Takes a bond in.
    pub(super) fn hold_bond(&mut self, token: Account, bond: Amount) -> Outcome {
        let mut fund = self.bond_fund(token);
        fund.paid_in = fund.paid_in.plus(bond)?;
        fund.held = fund.held.plus(bond)?;
        self.bonds.insert(token, fund);
        Ok(())
    }

    /// Takes a bond out of what is held. The caller books what for.
    pub(super) fn take_bond(&mut self, token: Account, bond: Amount) -> Outcome<&mut BondFund> {
        let fund = self
            .bonds
            .edit(&token)
            .ok_or(inconsistent("a bond without a fund"))?;
        fund.held = fund.held.minus(bond)?;
        Ok(fund)
    }

    /// The same, for an account.
    pub(super) fn pay_bond(
        &mut self,
        token: Account,
        bond: Amount,
        account: Account,
    ) -> Outcome<&mut BondFund> {
        let before = self.bonds_paid(account, token);
        self.bonds_paid.insert((account, token), before.plus(bond)?);
        self.take_bond(token, bond)
    }
}

fn key_of(record: &OpenChallenge) -> (ServiceId, OperatorId, Account, BlobKey) {
    (
        record.service,
        record.operator,
        record.challenger,
        record.blob_key,
    )
}
