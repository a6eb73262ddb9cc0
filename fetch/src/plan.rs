//! Which operator is asked for which chunk indices, and when: the retrieval logic without IO, clock or RNG.
//!
//! Time is a [`Duration`] since the start of the fetch and randomness a seed, both passed in by the caller, so that a
//! test can drive every decision step by step. The caller does three things: it sends what [`Plan::poll`] asks for, it
//! reports every outcome to [`Plan::settle`], and it polls again after each outcome and at the time `poll` names.
//!
//! # Rules
//!
//! * Any `needed` distinct indices rebuild the blob. Operators that signed the batch come before those that did not,
//!   systematic indices before the others (they decode without an FFT), operators in random order within a group.
//! * An operator starts with a small window that doubles with every good answer, so that what a silent operator can
//!   hold back is small enough to be asked for elsewhere at once.
//! * An operator that has been quiet for `hedge_after` is *stalled*: what it owes is asked for elsewhere (a hedge).
//! * **Budget**: indices requested, less those whose request has failed, never exceed `needed` plus `overhead_percent`
//!   of it. Only a failure makes room for more. Everything requested counts, whether or not it arrived.
//! * A plan that [knows](Plan::with_known) its operators takes wrong bytes that arrived off what hedging may cost. It spreads:
//!   any index is as good as a systematic one, fast operators are asked more often, those to be avoided last, and those that
//!   have not proven themselves for little at first.
//! * The time that our own check of an answer takes ([`Plan::received`]) counts against no operator.
//! * A request past its deadline has failed. An operator that failed to answer rests (twice as long each time) and is
//!   tried again `attempts` times in all; one that sent wrong data is never asked again.
//! * It ends: with enough indices, with the proof that the operators left cannot supply enough, or at the deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ashlar_proto::{ChunkIndex, OperatorIndex};

mod open;

use open::{Open, Round};

/// What a [`Plan`] is allowed to do. Units are chunk indices; every index costs the same number of bytes.
#[derive(Clone, Debug)]
pub struct PlanConfig {
    /// Distinct indices that rebuild the blob; indices below this number are the systematic ones.
    pub needed: u32,
    /// Bytes that one index costs on the wire.
    pub unit_bytes: u64,
    /// Share of `needed` that hedging may cost on top, percent.
    pub overhead_percent: u32,
    /// An operator that owes an answer and was quiet for so long is hedged.
    pub hedge_after: Duration,
    /// Bytes a second a good operator is expected to deliver: adds the transfer time to `hedge_after`.
    pub expected_rate: u64,
    /// Deadline of a request, before the transfer time is added.
    pub request_timeout: Duration,
    /// Bytes a second below which an operator counts as hung: adds the transfer time to `request_timeout`.
    pub min_rate: u64,
    /// Largest request, bytes (at least one index is always allowed).
    pub max_request_bytes: u64,
    /// Most bytes in flight from all operators together (at least one index is always allowed).
    pub max_in_flight_bytes: u64,
    /// Most runs of consecutive indices in a request (the wire format's limit).
    pub max_runs: usize,
    /// Most requests in flight together.
    pub max_requests: usize,
    /// How often an operator that does not answer is tried in all, at least 1.
    pub attempts: u32,
    /// Rest of an operator after its first failure; doubles with each.
    pub back_off: Duration,
    /// Everything ends here.
    pub deadline: Duration,
}

impl PlanConfig {
    /// Indices that hedging may cost on top of `needed`, at least 1.
    #[must_use]
    pub fn spare(&self) -> u32 {
        let spare = u64::from(self.needed) * u64::from(self.overhead_percent) / 100;
        u32::try_from(spare).unwrap_or(u32::MAX).max(1)
    }

    fn units(&self, bytes: u64) -> u32 {
        u32::try_from(bytes / self.unit_bytes.max(1))
            .unwrap_or(u32::MAX)
            .max(1)
    }

    fn transfer(&self, units: usize, rate: u64) -> Duration {
        let bytes = self.unit_bytes.saturating_mul(units as u64);
        Duration::from_millis(bytes.saturating_mul(1000) / rate.max(1))
    }
}

/// An operator and the chunk indices it is assigned.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Index in the operator table.
    pub operator: OperatorIndex,
    /// Whether it signed the batch.
    pub signer: bool,
    /// The indices, any order.
    pub indices: Vec<ChunkIndex>,
}

/// How an operator is treated, for what is known about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It has answered well before.
    Good,
    /// Nothing is known.
    Unknown,
    /// It is asked when there is nobody else.
    Avoided,
}

/// What is known about an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// How it is treated.
    pub trust: Trust,
    /// What asking it costs, in any unit of time: one that costs half as much comes first twice as often. Above 0.
    pub cost: f64,
}

/// Names a request within one plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// A request to send now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The request.
    pub request: RequestId,
    /// Whom to ask: index in the operator table.
    pub operator: OperatorIndex,
    /// What to ask for, ascending.
    pub indices: Vec<ChunkIndex>,
    /// How long it may take.
    pub timeout: Duration,
}

/// Why a request in flight is to be abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// Its deadline has passed, or the plan's.
    Expired,
    /// It ended before this request did; its operator was not late.
    Unneeded,
    /// As `Unneeded`, and its operator was stalled: others have delivered in its place.
    Overtaken,
    /// Its operator has sent wrong data in answer to another request.
    Dropped,
}

/// A request to abandon now; its outcome, should one still come, is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The request.
    pub request: RequestId,
    /// Whom it was sent to.
    pub operator: OperatorIndex,
    /// Why.
    pub reason: StopReason,
}

/// How a request ended, apart from the indices it delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was answered. Indices asked for and not delivered are not asked of this operator again.
    Answered,
    /// No answer (dead, unreachable, overloaded, late): worth trying again later.
    Retry,
    /// A wrong answer: this operator is not asked again.
    Drop,
}

/// Where the plan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Poll again at this time, or earlier when a request ends.
    Working {
        /// Time since the start of the fetch.
        wake_at: Duration,
    },
    /// Enough distinct indices are there.
    Done,
    /// The operators left cannot supply enough.
    Exhausted {
        /// Distinct good indices received.
        good: u32,
        /// Distinct indices that could be had at most: `good` and those of operators not given up.
        reachable: u32,
    },
    /// The deadline has passed.
    DeadlinePassed {
        /// Distinct good indices received.
        good: u32,
    },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Requests to abandon, before anything is sent.
    pub stops: Vec<Stop>,
    /// Requests to send.
    pub asks: Vec<Ask>,
    /// Where the plan stands after that.
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HolderStatus {
    Ready,
    Resting { until: Duration },
    Gone,
}

#[derive(Debug)]
struct HolderState {
    operator: OperatorIndex,
    signer: bool,
    avoided: bool,
    /// It has delivered something good, now or before.
    proven: bool,
    /// What it may still be asked for: assigned, not refused, not found bad.
    indices: BTreeSet<ChunkIndex>,
    in_flight: BTreeSet<ChunkIndex>,
    /// Of those in flight, how many it has yet to deliver: the others are here and being checked.
    owed: usize,
    window: u32,
    failures: u32,
    /// Since when nothing has come while something was owed.
    quiet_since: Duration,
    status: HolderStatus,
}

#[derive(Debug)]
struct PendingRequest {
    holder: usize,
    indices: Vec<ChunkIndex>,
    expires: Duration,
    /// The answer is here and being checked; that time does not count against the operator.
    received: bool,
}

/// The state machine. See the [module](self) for its rules.
#[derive(Debug)]
pub struct Plan {
    config: PlanConfig,
    /// In the order in which they are asked.
    holders: Vec<HolderState>,
    pending: BTreeMap<RequestId, PendingRequest>,
    good: BTreeSet<ChunkIndex>,
    requested: u64,
    failed: u64,
    /// Indices that wrong bytes would have been.
    spoilt: u64,
    /// Whether it spreads, and is careful with operators that have not proven themselves.
    spreads: bool,
    next_request: u64,
    random: SplitMix64,
    finished: Option<State>,
}

impl Plan {
    /// A plan over these holders, of which nothing is known: systematic indices first. `seed` decides the order of operators
    /// within a group.
    #[must_use]
    pub fn new(config: PlanConfig, holders: Vec<Holder>, seed: u64) -> Self {
        let unknown = |_: OperatorIndex| Standing {
            trust: Trust::Good,
            cost: 1.0,
        };
        Self::build(config, holders, unknown, false, seed)
    }

    /// A plan that spreads over these holders, by what is known about them.
    #[must_use]
    pub fn with_known(
        config: PlanConfig,
        holders: Vec<Holder>,
        known: impl Fn(OperatorIndex) -> Standing,
        seed: u64,
    ) -> Self {
        Self::build(config, holders, known, true, seed)
    }

    fn build(
        config: PlanConfig,
        holders: Vec<Holder>,
        known: impl Fn(OperatorIndex) -> Standing,
        spreads: bool,
        seed: u64,
    ) -> Self {
        let mut random = SplitMix64(seed);
        let most = config.needed.max(1);
        let mut keyed: Vec<_> = holders
            .into_iter()
            .map(|holder| {
                let standing = known(holder.operator);
                // The first of exponential clocks: each is the first as often as its rate, 1 / cost, says.
                let key = -(-random.fraction()).ln_1p() * standing.cost;
                let avoided = standing.trust == Trust::Avoided;
                ((avoided, !holder.signer, key), holder, standing)
            })
            .collect();
        keyed.sort_by(|(a, ..), (b, ..)| {
            let groups = (a.0, a.1).cmp(&(b.0, b.1));
            groups.then(a.2.total_cmp(&b.2))
        });
        let holders = keyed
            .into_iter()
            .map(|(_, holder, standing)| HolderState {
                operator: holder.operator,
                signer: holder.signer,
                avoided: standing.trust == Trust::Avoided,
                proven: standing.trust == Trust::Good,
                indices: holder.indices.into_iter().collect(),
                in_flight: BTreeSet::new(),
                owed: 0,
                window: match spreads && standing.trust != Trust::Good {
                    true => (config.spare() / 4).clamp(1, most),
                    false => config.spare().min(most),
                },
                failures: 0,
                quiet_since: Duration::ZERO,
                status: HolderStatus::Ready,
            })
            .collect();
        Self {
            config,
            holders,
            pending: BTreeMap::new(),
            good: BTreeSet::new(),
            requested: 0,
            failed: 0,
            spoilt: 0,
            spreads,
            next_request: 0,
            random,
            finished: None,
        }
    }

    /// Indices requested so far, whatever became of them.
    #[must_use]
    pub fn requested(&self) -> u64 {
        self.requested
    }

    /// Indices whose request failed, or that were asked for and not delivered.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Reports how many bytes of a settled request have come, with so many good indices: the others were for nothing.
    pub fn spoilt(&mut self, bytes: u64, good: usize) {
        let units = bytes / self.config.unit_bytes.max(1);
        self.spoilt += units.saturating_sub(good as u64);
    }

    /// What hedging may still cost. In a plan that is careful, wrong bytes are taken off it: they stay few. In one that is not they
    /// would use it up, and a silent operator be waited for.
    fn spare(&self) -> u32 {
        if !self.spreads {
            return self.config.spare();
        }
        let spoilt = u32::try_from(self.spoilt).unwrap_or(u32::MAX);
        self.config.spare().saturating_sub(spoilt)
    }

    /// Distinct good indices received.
    #[must_use]
    pub fn good(&self) -> &BTreeSet<ChunkIndex> {
        &self.good
    }

    /// Reports that the answer to a request is here and will be [settled](Plan::settle) once it has been checked. From now
    /// on its operator is not late, however long that takes.
    pub fn received(&mut self, now: Duration, request: RequestId) {
        let Some(sent) = self.pending.get_mut(&request).filter(|sent| !sent.received) else {
            return;
        };
        sent.received = true;
        if let Some(holder) = self.holders.get_mut(sent.holder) {
            holder.owed = holder.owed.saturating_sub(sent.indices.len());
            holder.quiet_since = now;
        }
    }

    /// Reports the end of a request: the indices delivered and found good, and how it ended. `false` if the request is
    /// not in flight any more (it was abandoned): whatever it delivered must then be thrown away.
    pub fn settle(
        &mut self,
        now: Duration,
        request: RequestId,
        good: &[ChunkIndex],
        verdict: Verdict,
    ) -> bool {
        let Some(sent) = self.pending.remove(&request) else {
            return false;
        };
        let delivered: BTreeSet<ChunkIndex> = good
            .iter()
            .copied()
            .filter(|index| sent.indices.contains(index))
            .collect();
        self.failed += (sent.indices.len() - delivered.len()) as u64;
        let rest = self.rest_after(sent.holder, verdict);
        if let Some(holder) = self.holders.get_mut(sent.holder) {
            if !sent.received {
                holder.owed = holder.owed.saturating_sub(sent.indices.len());
            }
            for index in &sent.indices {
                holder.in_flight.remove(index);
                if verdict == Verdict::Answered && !delivered.contains(index) {
                    holder.indices.remove(index);
                }
            }
            holder.quiet_since = now;
            match verdict {
                Verdict::Answered => {
                    if !delivered.is_empty() {
                        holder.proven = true;
                        holder.window = holder
                            .window
                            .saturating_mul(2)
                            .min(self.config.needed.max(1));
                    }
                }
                // Several requests that fail together are one failure.
                Verdict::Retry if holder.status != HolderStatus::Ready => {}
                Verdict::Retry => {
                    holder.failures += 1;
                    holder.window = self.config.spare().min(self.config.needed.max(1));
                    if holder.failures >= self.config.attempts.max(1) {
                        holder.status = HolderStatus::Gone;
                    } else {
                        holder.status = HolderStatus::Resting { until: now + rest };
                    }
                }
                Verdict::Drop => holder.status = HolderStatus::Gone,
            }
        }
        self.good.extend(delivered);
        true
    }

    /// Decides what to do now. Idempotent at one time: a second call without news asks for nothing more.
    pub fn poll(&mut self, now: Duration) -> Step {
        let mut step = Step {
            stops: Vec::new(),
            asks: Vec::new(),
            state: State::Done,
        };
        if let Some(state) = self.finished {
            step.state = state;
            return step;
        }
        self.expire(now, &mut step.stops);
        let good = self.good_count();
        if good >= self.config.needed {
            return self.finish(now, State::Done, step);
        }
        if now >= self.config.deadline {
            return self.finish(now, State::DeadlinePassed { good }, step);
        }
        let reachable = self.reachable();
        if reachable < self.config.needed {
            return self.finish(now, State::Exhausted { good, reachable }, step);
        }
        for holder in &mut self.holders {
            if matches!(holder.status, HolderStatus::Resting { until } if until <= now) {
                holder.status = HolderStatus::Ready;
            }
        }
        self.fill(now, &mut step.asks);
        step.state = State::Working {
            wake_at: self.wake_at(now),
        };
        step
    }

    fn finish(&mut self, now: Duration, state: State, mut step: Step) -> Step {
        for (request, sent) in std::mem::take(&mut self.pending) {
            let stalled = self
                .holders
                .get(sent.holder)
                .is_some_and(|holder| self.is_stalled(holder, now));
            step.stops.push(Stop {
                request,
                operator: self.operator(sent.holder),
                reason: match state {
                    State::DeadlinePassed { .. } if !sent.received => StopReason::Expired,
                    _ if stalled => StopReason::Overtaken,
                    _ => StopReason::Unneeded,
                },
            });
        }
        self.finished = Some(state);
        step.state = state;
        step
    }

    fn operator(&self, holder: usize) -> OperatorIndex {
        self.holders
            .get(holder)
            .map_or(OperatorIndex(u32::MAX), |holder| holder.operator)
    }

    fn good_count(&self) -> u32 {
        u32::try_from(self.good.len()).unwrap_or(u32::MAX)
    }

    /// Doubles with each failure, plus up to a quarter at random so that operators do not come back in step.
    fn rest_after(&mut self, holder: usize, verdict: Verdict) -> Duration {
        if verdict != Verdict::Retry {
            return Duration::ZERO;
        }
        let failures = self.holders.get(holder).map_or(0, |holder| holder.failures);
        let rest = self.config.back_off * 2u32.saturating_pow(failures.min(10));
        let quarter = u64::try_from(rest.as_millis() / 4).unwrap_or(0);
        rest + Duration::from_millis(self.random.next() % (quarter + 1))
    }

    /// Ends what is late, and what was asked of operators that turned out to lie.
    fn expire(&mut self, now: Duration, stops: &mut Vec<Stop>) {
        let over: Vec<(RequestId, StopReason)> = self
            .pending
            .iter()
            .filter_map(|(request, sent)| {
                let gone = self
                    .holders
                    .get(sent.holder)
                    .is_none_or(|holder| holder.status == HolderStatus::Gone);
                if gone {
                    Some((*request, StopReason::Dropped))
                } else if sent.expires <= now && !sent.received {
                    Some((*request, StopReason::Expired))
                } else {
                    None
                }
            })
            .collect();
        for (request, reason) in over {
            let operator = self
                .pending
                .get(&request)
                .map_or(OperatorIndex(u32::MAX), |sent| self.operator(sent.holder));
            let verdict = match reason {
                StopReason::Dropped => Verdict::Drop,
                _ => Verdict::Retry,
            };
            self.settle(now, request, &[], verdict);
            stops.push(Stop {
                request,
                operator,
                reason,
            });
        }
    }

    /// Distinct indices that could still be had.
    fn reachable(&self) -> u32 {
        let mut all = self.good.clone();
        for holder in &self.holders {
            if holder.status != HolderStatus::Gone {
                all.extend(&holder.indices);
            }
        }
        u32::try_from(all.len()).unwrap_or(u32::MAX)
    }

    fn stalls_at(&self, holder: &HolderState) -> Duration {
        let units = holder
            .owed
            .min(self.config.units(self.config.max_request_bytes) as usize);
        holder.quiet_since
            + self.config.hedge_after
            + self.config.transfer(units, self.config.expected_rate)
    }

    fn is_stalled(&self, holder: &HolderState, now: Duration) -> bool {
        holder.owed > 0 && now >= self.stalls_at(holder)
    }

    fn wake_at(&self, now: Duration) -> Duration {
        let mut wake = self.config.deadline;
        for sent in self.pending.values().filter(|sent| !sent.received) {
            wake = wake.min(sent.expires);
        }
        for holder in &self.holders {
            if let HolderStatus::Resting { until } = holder.status {
                wake = wake.min(until);
            }
            if holder.owed > 0 {
                // One that has stalled already is hedged already: only its deadline is left to wait for.
                let at = self.stalls_at(holder);
                if at > now {
                    wake = wake.min(at);
                }
            }
        }
        wake
    }

    /// Chooses and books what to ask for now.
    fn fill(&mut self, now: Duration, asks: &mut Vec<Ask>) {
        let stalled: Vec<bool> = self
            .holders
            .iter()
            .map(|holder| self.is_stalled(holder, now))
            .collect();
        let mut open = Open::count(self, &stalled);
        let picks = self.pick(&stalled, &mut open);
        for (position, indices) in picks {
            self.book(now, position, &indices, open.requests, asks);
            open.requests = self.config.max_requests.saturating_sub(self.pending.len());
        }
    }

    /// Walks the holders in order of preference until the indices still wanted are found. What a holder has no window
    /// for yet is left for it (it is neither slow nor wrong so far), not asked for elsewhere, unless the plan spreads.
    fn pick(&self, stalled: &[bool], open: &mut Open) -> BTreeMap<usize, Vec<ChunkIndex>> {
        let mut picks: BTreeMap<usize, Vec<ChunkIndex>> = BTreeMap::new();
        for round in self.rounds() {
            for (position, holder) in self.holders.iter().enumerate() {
                if open.wanted == 0 {
                    return picks;
                }
                if holder.avoided != round.avoided
                    || holder.signer != round.signer
                    || holder.status != HolderStatus::Ready
                    || stalled.get(position).copied().unwrap_or(false)
                {
                    continue;
                }
                let mine = picks.entry(position).or_default();
                let window = self.window(holder, open);
                let window = window.saturating_sub(holder.in_flight.len() + mine.len());
                let most = match self.spreads {
                    true => window.min(open.wanted as usize),
                    false => open.wanted as usize,
                };
                let systematic = |index: &ChunkIndex| index.0 < self.config.needed;
                let candidates: Vec<_> = holder
                    .indices
                    .iter()
                    .copied()
                    .filter(|index| round.systematic.is_none_or(|yes| systematic(index) == yes))
                    .filter(|index| !self.good.contains(index))
                    .filter(|index| !open.claimed.contains(index))
                    .filter(|index| !holder.in_flight.contains(index))
                    .filter(|index| open.in_flight.contains(index) == round.again)
                    .take(most)
                    .collect();
                open.wanted -= u32::try_from(candidates.len()).unwrap_or(open.wanted);
                open.claimed.extend(&candidates);
                let now = open.afford(candidates.len().min(window), round.again);
                if !holder.proven {
                    open.at_risk = open.at_risk.saturating_sub(now);
                }
                mine.extend(candidates.into_iter().take(now));
            }
        }
        picks
    }

    /// In which order indices are looked for.
    fn rounds(&self) -> Vec<Round> {
        let systematic: &[_] = match self.spreads {
            true => &[None],
            false => &[Some(true), Some(false)],
        };
        let mut rounds = Vec::new();
        for avoided in [false, true] {
            for again in [false, true] {
                for signer in [true, false] {
                    rounds.extend(systematic.iter().map(|systematic| Round {
                        avoided,
                        again,
                        signer,
                        systematic: *systematic,
                    }));
                }
            }
        }
        rounds
    }

    /// Indices that an operator may owe. One that has not proven itself, in a plan that is careful, gets a quarter of what wrong
    /// bytes may still cost, and all of those together no more than that.
    fn window(&self, holder: &HolderState, open: &Open) -> usize {
        let window = holder.window as usize;
        if !self.spreads || holder.proven {
            return window;
        }
        let fresh = (self.spare() as usize / 4).max(1);
        let held = holder.in_flight.len();
        window.min(fresh).min(held + open.at_risk)
    }

    fn book(
        &mut self,
        now: Duration,
        position: usize,
        indices: &[ChunkIndex],
        requests: usize,
        asks: &mut Vec<Ask>,
    ) {
        let largest = self.config.units(self.config.max_request_bytes) as usize;
        let mut indices = indices.to_vec();
        indices.sort_unstable();
        for part in parts(&indices, largest, self.config.max_runs)
            .into_iter()
            .take(requests)
        {
            let Some(holder) = self.holders.get_mut(position) else {
                return;
            };
            if holder.owed == 0 {
                holder.quiet_since = now;
            }
            holder.in_flight.extend(part);
            // Requests to one operator share its link: the last of them has to wait for the others.
            holder.owed += part.len();
            let owed = holder.owed;
            let operator = holder.operator;
            let timeout = (self.config.request_timeout
                + self.config.transfer(owed, self.config.min_rate))
            .min(self.config.deadline.saturating_sub(now));
            let request = RequestId(self.next_request);
            self.next_request += 1;
            self.requested += part.len() as u64;
            self.pending.insert(
                request,
                PendingRequest {
                    holder: position,
                    indices: part.to_vec(),
                    expires: now + timeout,
                    received: false,
                },
            );
            asks.push(Ask {
                request,
                operator,
                indices: part.to_vec(),
                timeout,
            });
        }
    }
}

/// Cuts ascending indices into pieces of at most `largest` indices and `max_runs` runs.
fn parts(indices: &[ChunkIndex], largest: usize, max_runs: usize) -> Vec<&[ChunkIndex]> {
    let mut parts = Vec::new();
    let (mut start, mut runs) = (0, 0);
    let mut previous = None;
    for (position, index) in indices.iter().enumerate() {
        let new_run =
            previous.is_none_or(|previous: ChunkIndex| previous.0.checked_add(1) != Some(index.0));
        let full = position - start >= largest.max(1) || (new_run && runs >= max_runs.max(1));
        if full && position > start {
            parts.extend(indices.get(start..position));
            (start, runs) = (position, 1);
        } else if new_run {
            runs += 1;
        }
        previous = Some(*index);
    }
    parts.extend(indices.get(start..).filter(|rest| !rest.is_empty()));
    parts
}

/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014). Spreads load; nothing secret hangs on it.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
    /// From 0 up to 1, without it.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests;
