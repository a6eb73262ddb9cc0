//! The dispersal of one batch, as a state machine without IO and without a clock.
//!
//! Time comes in as the duration since the dispersal began, answers come in as values, and what has to happen comes
//! out as [`Action`]s; the shell around it (`distribute`) only carries them out. A test drives it second by second.
//!
//! ```text
//!   collecting ──► improving ──► done
//!       │   every quorum    the others may still sign:
//!       │   has enough:     a better certificate
//!       │   the certificate
//!       ▼
//!     failed
//! ```
//!
//! * Each operator has its own clock: a slow or dead one delays nobody. A failed attempt is repeated after a back-off that doubles
//!   and jitters. An answer that says "your request is wrong" is repeated a few times only (the operator may not have
//!   read the newest table yet); a signature that does not verify is final.
//! * The certificate is issued the moment enough stake has signed. Signatures are verified in bulk, lazily: when those at hand could
//!   be enough. Whoever failed a short while ago is asked later and looked at apart: a dead operator costs no work before the
//!   certificate, and a liar does not spoil the sum of the others.
//! * Then the others have a while. What they sign makes better certificates, which have more signers and so a better chance that
//!   the blob can be read: one after the linger, one at the end.
//! * If so many operators are out that a quorum cannot be reached any more, the dispersal fails at once.

use std::collections::BTreeMap;
use std::time::Duration;

use ashlar_crypto::Blame;
use ashlar_crypto::bls::SignatureBytes;
use ashlar_proto::{OperatorIndex, QuorumId, QuorumSigned, Stake, needed_stake};
use ashlar_service::Backoff;
use serde::{Deserialize, Serialize};

/// Times and bounds of one dispersal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispersalParams {
    /// From the first byte on: when this is over, enough stake has signed or the batch is abandoned.
    pub deadline: Duration,
    /// Without enough signatures after this time, [`Action::Stalled`] says so.
    pub stall: Duration,
    /// How long after the certificate a better one is made of what came since.
    pub linger: Duration,
    /// How long after the certificate the others may still sign.
    pub straggler_grace: Duration,
    /// Longest time of one attempt with one operator.
    pub attempt_timeout: Duration,
    /// Back-off after the first failed attempt; doubles with each further one.
    pub backoff_min: Duration,
    /// Longest back-off.
    pub backoff_max: Duration,
    /// How often a request is repeated that the operator called wrong.
    pub refusal_retries: u32,
    /// Seed of the jitter: any number, another one for each dispersal.
    pub jitter_seed: u64,
}

/// A quorum whose stake has to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumNeed {
    /// Its number.
    pub quorum: QuorumId,
    /// Its total stake, not zero.
    pub total: Stake,
    /// Share that has to sign, in percent.
    pub percent: u32,
}

/// An operator that gets chunks of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its index in the table.
    pub operator: OperatorIndex,
    /// Its stake in each quorum of the batch where it has some.
    pub stakes: Vec<(QuorumId, Stake)>,
    /// It failed a short while ago: asked after a back-off, or when the certificate is out, whichever comes first.
    pub suspect: bool,
}

/// What became of an attempt that brought no signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whether another attempt can help.
    pub kind: FailureKind,
    /// Stable code: ours for the network, the operator's for its refusals.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// Who has to act, from our point of view.
    pub blame: Blame,
}

/// Whether another attempt can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// Not reached, timed out, or the operator has a problem of its own: try again until the deadline.
    Transient,
    /// The operator says that our request is wrong: try a few times.
    Refused,
    /// The answer itself is wrong: do not try again.
    Invalid,
}

/// What the shell has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the operator its chunks; report with [`Dispersal::answered`] within `timeout`.
    Send {
        /// Index in the table.
        operator: OperatorIndex,
        /// 1 for the first attempt.
        attempt: u32,
        /// Give up after this long.
        timeout: Duration,
    },
    /// Verify these signatures of the batch digest; report with [`Dispersal::verified`].
    Verify {
        /// Operator and its signature, by rising operator.
        signatures: Vec<(OperatorIndex, SignatureBytes)>,
    },
    /// Enough signatures are a long time coming: others go first. Comes at most once.
    Stalled,
    /// Enough stake signed: issue the certificates, with these signers. Comes at most once.
    Certify {
        /// Indices in the table, rising.
        signers: Vec<OperatorIndex>,
    },
    /// More have signed since: make better certificates, with these signers.
    Improve {
        /// Indices in the table, rising.
        signers: Vec<OperatorIndex>,
    },
    /// It failed: requeue the blobs or give them up. The last action.
    Fail {
        /// Why.
        reason: FailReason,
    },
    /// Certified, and nobody is left to wait for. The last action.
    Done,
}

/// Why a dispersal failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailReason {
    /// Time ran out.
    Deadline,
    /// Too much stake gave up for good.
    OutOfReach,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    /// The next attempt starts at this time.
    Waiting {
        from: Duration,
    },
    InFlight,
    /// Has answered; nobody has looked at the signature.
    Answered(SignatureBytes),
    Verifying,
    Signed,
    GaveUp,
}

#[derive(Clone, Debug)]
struct Peer {
    member: Member,
    slot: Slot,
    attempts: u32,
    refusals: u32,
    last_failure: Option<Failure>,
}

impl Peer {
    /// With a signature, good or not.
    fn has_answered(&self) -> bool {
        matches!(
            self.slot,
            Slot::Signed | Slot::Answered(_) | Slot::Verifying
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Collecting,
    Improving {
        /// When to make a better certificate.
        next: Duration,
        until: Duration,
        /// Signers of the last certificate.
        signers: usize,
    },
    Over,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Dispersal {
    params: DispersalParams,
    needs: Vec<QuorumNeed>,
    peers: BTreeMap<OperatorIndex, Peer>,
    phase: Phase,
    stalled: bool,
}

impl Dispersal {
    /// Begins at time zero. Members without stake in any quorum of `needs` count for nothing but get their chunks.
    pub fn new(params: DispersalParams, needs: Vec<QuorumNeed>, members: Vec<Member>) -> Self {
        let peers = members
            .into_iter()
            .map(|member| {
                let from = match member.suspect {
                    true => params.backoff_min,
                    false => Duration::ZERO,
                };
                let peer = Peer {
                    slot: Slot::Waiting { from },
                    attempts: 0,
                    refusals: 0,
                    last_failure: None,
                    member,
                };
                (peer.member.operator, peer)
            })
            .collect();
        Self {
            params,
            needs,
            peers,
            phase: Phase::Collecting,
            stalled: false,
        }
    }

    /// What has to happen now. Call it after every input and at [`next_wake`](Self::next_wake).
    pub fn poll(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.phase != Phase::Over {
            self.start_attempts(now, &mut actions);
        }
        // One at a time; its result calls again.
        if self.any(|slot| matches!(slot, Slot::Verifying)) {
            return actions;
        }
        if self.phase == Phase::Collecting {
            self.collect(now, &mut actions);
        }
        if self.phase == Phase::Collecting && now >= self.params.stall && !self.stalled {
            self.stalled = true;
            actions.push(Action::Stalled);
        }
        if let Phase::Improving {
            next,
            until,
            signers,
        } = self.phase
        {
            self.improve(now, next, until, signers, &mut actions);
        }
        actions
    }

    /// When [`poll`](Self::poll) has something to do even if no input comes. `None` when it is over.
    pub fn next_wake(&self) -> Option<Duration> {
        let deadline = self.params.deadline;
        // While signatures are being verified the phase's end has nothing to add: the result decides.
        let verifying = self.any(|slot| matches!(slot, Slot::Verifying));
        let (until, next) = match self.phase {
            Phase::Collecting if self.stalled => (deadline, deadline),
            Phase::Collecting => (deadline, deadline.min(self.params.stall)),
            Phase::Improving { next, until, .. } => (until, next),
            Phase::Over => return None,
        };
        let attempts = self.peers.values().filter_map(|peer| match peer.slot {
            Slot::Waiting { from } if from < until => Some(from),
            _ => None,
        });
        let phase = (!verifying).then_some(next);
        attempts.chain(phase).min().or(Some(deadline))
    }

    /// An attempt ended. Answers that nobody waits for are ignored.
    pub fn answered(
        &mut self,
        now: Duration,
        operator: OperatorIndex,
        result: Result<SignatureBytes, Failure>,
    ) {
        let params = self.params;
        let Some(peer) = self.peers.get_mut(&operator) else {
            return;
        };
        if peer.slot != Slot::InFlight {
            return;
        }
        match result {
            Ok(signature) => peer.slot = Slot::Answered(signature),
            Err(failure) => {
                peer.refusals += u32::from(failure.kind == FailureKind::Refused);
                let again = match failure.kind {
                    FailureKind::Transient => true,
                    FailureKind::Refused => peer.refusals <= params.refusal_retries,
                    FailureKind::Invalid => false,
                };
                peer.last_failure = Some(failure);
                peer.slot = if again {
                    Slot::Waiting {
                        from: now + backoff(&params, operator, peer.attempts),
                    }
                } else {
                    Slot::GaveUp
                };
            }
        }
    }

    /// The signatures of an [`Action::Verify`] were verified: those that are good, and why the others are not.
    pub fn verified(
        &mut self,
        results: impl IntoIterator<Item = (OperatorIndex, Result<(), Failure>)>,
    ) {
        for (operator, result) in results {
            let Some(peer) = self.peers.get_mut(&operator) else {
                continue;
            };
            if peer.slot != Slot::Verifying {
                continue;
            }
            match result {
                Ok(()) => peer.slot = Slot::Signed,
                Err(failure) => {
                    peer.last_failure = Some(failure);
                    peer.slot = Slot::GaveUp;
                }
            }
        }
    }

    /// How much of each quorum has signed, verified.
    pub fn signed(&self) -> Vec<QuorumSigned> {
        self.stakes(|peer| peer.slot == Slot::Signed)
    }

    /// How much of each quorum has answered with a signature so far, good or not.
    pub fn answering(&self) -> Vec<QuorumSigned> {
        self.stakes(Peer::has_answered)
    }

    fn stakes(&self, counts: impl Fn(&Peer) -> bool) -> Vec<QuorumSigned> {
        let of = |need: &QuorumNeed| QuorumSigned {
            quorum: need.quorum,
            signed: self.stake(need.quorum, &counts),
            total: need.total,
        };
        self.needs.iter().map(of).collect()
    }

    /// The quorums of which too little has answered so far.
    pub fn lacking(&self) -> Vec<QuorumId> {
        let lacks = |need: &&QuorumNeed| {
            let answered = self.stake(need.quorum, Peer::has_answered);
            answered < needed_stake(need.total, need.percent)
        };
        let lacking = self.needs.iter().filter(lacks);
        lacking.map(|need| need.quorum).collect()
    }

    /// The operators that did not sign, how often they were tried, and what the last attempt said.
    pub fn unsigned(&self) -> impl Iterator<Item = (OperatorIndex, u32, Option<&Failure>)> + '_ {
        self.peers
            .values()
            .filter(|peer| peer.slot != Slot::Signed)
            .map(|peer| {
                (
                    peer.member.operator,
                    peer.attempts,
                    peer.last_failure.as_ref(),
                )
            })
    }

    /// The operators whose answer is waited for.
    pub fn under_way(&self) -> impl Iterator<Item = OperatorIndex> + '_ {
        let waiting = |peer: &&Peer| peer.slot == Slot::InFlight;
        self.peers
            .values()
            .filter(waiting)
            .map(|peer| peer.member.operator)
    }

    fn start_attempts(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let end = match self.phase {
            Phase::Improving { until, .. } => until,
            _ => self.params.deadline,
        };
        let left = self.params.deadline.saturating_sub(now);
        if now >= end || left.is_zero() {
            return;
        }
        for peer in self.peers.values_mut() {
            if matches!(peer.slot, Slot::Waiting { from } if from <= now) {
                peer.slot = Slot::InFlight;
                peer.attempts += 1;
                actions.push(Action::Send {
                    operator: peer.member.operator,
                    attempt: peer.attempts,
                    timeout: self.params.attempt_timeout.min(left),
                });
            }
        }
    }

    /// Nobody is under way or will be: waiting longer brings nothing.
    fn is_settled(&self) -> bool {
        !self.any(|slot| matches!(slot, Slot::Waiting { .. } | Slot::InFlight))
    }

    /// Verify, certify or fail, whatever the slots call for.
    fn collect(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let DispersalParams {
            deadline,
            linger,
            straggler_grace,
            ..
        } = self.params;
        if self.reached(|peer| peer.slot == Slot::Signed) {
            let signers = self.signers();
            self.phase = Phase::Improving {
                next: now + linger.min(straggler_grace),
                until: now + straggler_grace,
                signers: signers.len(),
            };
            actions.push(Action::Certify { signers });
            // Those who failed of late are asked now: it costs nobody any time.
            for peer in self.peers.values_mut() {
                if peer.attempts == 0 {
                    peer.slot = Slot::Waiting { from: now };
                }
            }
            self.start_attempts(now, actions);
            return;
        }
        let settled = self.is_settled() || now >= deadline;
        let could_be = |peer: &Peer| matches!(peer.slot, Slot::Signed | Slot::Answered(_));
        let without_suspects = self.reached(|peer| could_be(peer) && !peer.member.suspect);
        if (without_suspects || settled || self.reached(could_be))
            && let Some(signatures) = self.take_answered(!without_suspects)
        {
            actions.push(Action::Verify { signatures });
        } else if settled || !self.reached(|peer| peer.slot != Slot::GaveUp) {
            let reason = if now >= deadline {
                FailReason::Deadline
            } else {
                FailReason::OutOfReach
            };
            self.phase = Phase::Over;
            actions.push(Action::Fail { reason });
        }
    }

    /// What came since the last certificate makes a better one: after the linger, and at the end.
    fn improve(
        &mut self,
        now: Duration,
        next: Duration,
        until: Duration,
        certified: usize,
        actions: &mut Vec<Action>,
    ) {
        let over = self.is_settled() || now >= until;
        if now < next && !over {
            return;
        }
        if let Some(signatures) = self.take_answered(true) {
            actions.push(Action::Verify { signatures });
            return;
        }
        let signers = self.signers();
        self.phase = match over {
            true => Phase::Over,
            false => Phase::Improving {
                next: until,
                until,
                signers: signers.len(),
            },
        };
        if signers.len() > certified {
            actions.push(Action::Improve { signers });
        }
        if over {
            actions.push(Action::Done);
        }
    }

    fn signers(&self) -> Vec<OperatorIndex> {
        let signed = self.peers.values().filter(|peer| peer.slot == Slot::Signed);
        signed.map(|peer| peer.member.operator).collect()
    }

    fn take_answered(
        &mut self,
        with_suspects: bool,
    ) -> Option<Vec<(OperatorIndex, SignatureBytes)>> {
        let mut taken = Vec::new();
        for peer in self.peers.values_mut() {
            if let Slot::Answered(signature) = peer.slot
                && (with_suspects || !peer.member.suspect)
            {
                peer.slot = Slot::Verifying;
                taken.push((peer.member.operator, signature));
            }
        }
        (!taken.is_empty()).then_some(taken)
    }

    fn any(&self, test: impl Fn(&Slot) -> bool) -> bool {
        self.peers.values().any(|peer| test(&peer.slot))
    }

    fn stake(&self, quorum: QuorumId, test: impl Fn(&Peer) -> bool) -> Stake {
        self.peers
            .values()
            .filter(|peer| test(peer))
            .flat_map(|peer| &peer.member.stakes)
            .filter(|(id, _)| *id == quorum)
            // Part of a total that fits, so it cannot overflow.
            .fold(Stake::ZERO, |sum, (_, stake)| sum.saturating_add(*stake))
    }

    /// Whether the stake of these operators is enough in every quorum.
    fn reached(&self, test: impl Fn(&Peer) -> bool) -> bool {
        !self.needs.is_empty()
            && self.needs.iter().all(|need| {
                self.stake(need.quorum, &test) >= needed_stake(need.total, need.percent)
            })
    }
}

/// Jittered, so that the operators of many batches are not all called again in the same instant.
fn backoff(params: &DispersalParams, operator: OperatorIndex, attempts: u32) -> Duration {
    let backoff = Backoff {
        base: params.backoff_min,
        max: params.backoff_max,
    };
    let chance = mix(params.jitter_seed ^ (u64::from(operator.0) << 32) ^ u64::from(attempts));
    backoff.delay(attempts.saturating_sub(1), chance)
}

/// SplitMix64 (Steele, Lea, Flood 2014): good enough to spread retries, of no use for secrets.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
