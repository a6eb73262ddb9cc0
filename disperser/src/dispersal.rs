//! The dispersal of one batch, as a state machine without IO and without a clock.
//!
//! Time comes in as the duration since the dispersal began, answers come in as values, and what has to happen comes
//! out as [`Action`]s; the shell around it (`distribute`) only carries them out. A test drives it second by second.
//!
//! ```text
//!   collecting ──► lingering ──► draining ──► done
//!       │   every quorum    until everybody     operators that are still busy may finish,
//!       │   has enough      answered, or the    for a short time and without retries
//!       ▼                   linger is over:
//!     failed                the certificate
//! ```
//!
//! * Each operator has its own clock: a slow or dead one delays nobody. A failed attempt is repeated after a back-off that doubles
//!   and jitters. An answer that says "your request is wrong" is repeated a few times only (the operator may not have
//!   read the newest table yet); a signature that does not verify is final.
//! * Signatures are verified in bulk, lazily: when those at hand could be enough, and again when the linger ends.
//! * The certificate is issued once, after the linger, and never changes. The linger buys certificates with more
//!   signers, and so a better chance to read the blob, for a fraction of a second.
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
    /// How long to wait for more signatures once there are enough.
    pub linger: Duration,
    /// How long requests that are under way may still take when the certificate is out.
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
    /// Enough stake signed: issue the certificates, with these signers. Comes at most once.
    Certify {
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Collecting,
    Lingering { until: Duration },
    Draining { until: Duration },
    Over,
}

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Dispersal {
    params: DispersalParams,
    needs: Vec<QuorumNeed>,
    peers: BTreeMap<OperatorIndex, Peer>,
    phase: Phase,
}

impl Dispersal {
    /// Begins at time zero. Members without stake in any quorum of `needs` count for nothing but get their chunks.
    pub fn new(params: DispersalParams, needs: Vec<QuorumNeed>, members: Vec<Member>) -> Self {
        let peers = members
            .into_iter()
            .map(|member| {
                let peer = Peer {
                    slot: Slot::Waiting {
                        from: Duration::ZERO,
                    },
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
        }
    }

    /// What has to happen now. Call it after every input and at [`next_wake`](Self::next_wake).
    pub fn poll(&mut self, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        if matches!(self.phase, Phase::Collecting | Phase::Lingering { .. }) {
            self.start_attempts(now, &mut actions);
            self.judge(now, &mut actions);
        }
        if let Phase::Draining { until } = self.phase
            && (now >= until || !self.any(|slot| matches!(slot, Slot::InFlight)))
        {
            self.phase = Phase::Over;
            actions.push(Action::Done);
        }
        actions
    }

    /// When [`poll`](Self::poll) has something to do even if no input comes. `None` when it is over.
    pub fn next_wake(&self) -> Option<Duration> {
        let phase = match self.phase {
            // While signatures are being verified the deadline has nothing to add: the result decides.
            Phase::Collecting if self.any(|slot| matches!(slot, Slot::Verifying)) => None,
            Phase::Collecting => Some(self.params.deadline),
            Phase::Lingering { .. } if self.any(|slot| matches!(slot, Slot::Verifying)) => None,
            Phase::Lingering { until } | Phase::Draining { until } => Some(until),
            Phase::Over => return None,
        };
        let attempts = self.peers.values().filter_map(|peer| match peer.slot {
            Slot::Waiting { from }
                if !matches!(self.phase, Phase::Draining { .. }) && from < self.params.deadline =>
            {
                Some(from)
            }
            _ => None,
        });
        attempts.chain(phase).min().or(Some(self.params.deadline))
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
        self.needs
            .iter()
            .map(|need| QuorumSigned {
                quorum: need.quorum,
                signed: self.stake(need.quorum, |slot| *slot == Slot::Signed),
                total: need.total,
            })
            .collect()
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

    fn start_attempts(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let left = self.params.deadline.saturating_sub(now);
        if left.is_zero() {
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

    /// Verify, linger, certify or fail, whatever the slots call for.
    fn judge(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.any(|slot| matches!(slot, Slot::Verifying)) {
            return; // one at a time; its result calls again
        }
        let enough = self.reached(|slot| *slot == Slot::Signed);
        if enough && self.phase == Phase::Collecting {
            let until = (now + self.params.linger).min(self.params.deadline.max(now));
            self.phase = Phase::Lingering { until };
        }
        // Nobody is under way or will be: waiting longer brings nothing.
        let settled = !self.any(|slot| matches!(slot, Slot::Waiting { .. } | Slot::InFlight))
            || now >= self.params.deadline;
        let decide = match self.phase {
            Phase::Lingering { until } => settled || now >= until,
            _ => settled || self.reached(|slot| matches!(slot, Slot::Signed | Slot::Answered(_))),
        };
        if decide && let Some(signatures) = self.take_answered() {
            actions.push(Action::Verify { signatures });
            return;
        }
        if enough {
            if decide {
                let signers = self
                    .peers
                    .values()
                    .filter(|peer| peer.slot == Slot::Signed)
                    .map(|peer| peer.member.operator)
                    .collect();
                self.phase = Phase::Draining {
                    until: now + self.params.straggler_grace,
                };
                actions.push(Action::Certify { signers });
            }
        } else if settled || !self.reached(|slot| *slot != Slot::GaveUp) {
            let reason = if now >= self.params.deadline {
                FailReason::Deadline
            } else {
                FailReason::OutOfReach
            };
            self.phase = Phase::Over;
            actions.push(Action::Fail { reason });
        }
    }

    fn take_answered(&mut self) -> Option<Vec<(OperatorIndex, SignatureBytes)>> {
        let mut taken = Vec::new();
        for peer in self.peers.values_mut() {
            if let Slot::Answered(signature) = peer.slot {
                peer.slot = Slot::Verifying;
                taken.push((peer.member.operator, signature));
            }
        }
        (!taken.is_empty()).then_some(taken)
    }

    fn any(&self, test: impl Fn(&Slot) -> bool) -> bool {
        self.peers.values().any(|peer| test(&peer.slot))
    }

    fn stake(&self, quorum: QuorumId, test: impl Fn(&Slot) -> bool) -> Stake {
        self.peers
            .values()
            .filter(|peer| test(&peer.slot))
            .flat_map(|peer| &peer.member.stakes)
            .filter(|(id, _)| *id == quorum)
            // Part of a total that fits, so it cannot overflow.
            .fold(Stake::ZERO, |sum, (_, stake)| sum.saturating_add(*stake))
    }

    /// Whether the stake of these operators is enough in every quorum.
    fn reached(&self, test: impl Fn(&Slot) -> bool) -> bool {
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
