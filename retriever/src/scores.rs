//! What a retriever has learned about operators: how fast each one is, who did not answer, who lied.
//!
//! Of two operators the faster one is asked more often, and not always: readers spread over all that are good. Who did not
//! answer several times, or sent anything wrong, is asked last for a time that doubles; then like a stranger, for little. Nothing is
//! kept for ever: half of what is held against an operator is forgotten in ten minutes, of lies in six hours.
//!
//! No clock: the time is passed in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ashlar_fetch::gather::{Conduct, Observation};
use ashlar_fetch::millis;
use ashlar_fetch::plan::{Standing, Trust};
use ashlar_proto::OperatorId;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

/// Operators that are remembered; then the one that was asked longest ago is forgotten.
const MAX_OPERATORS: usize = 4096;
/// Answers of which the times are kept.
const SAMPLES: usize = 256;
/// Fewer of them say nothing.
const MIN_SAMPLES: usize = 32;
/// An operator that takes longer than this share of all answers, twice over, is hedged; percent.
const HEDGE_PERCENTILE: usize = 90;
/// No operator is hedged earlier, however fast all are.
const MIN_HEDGE: Duration = Duration::from_millis(50);
/// Weight of a new measurement.
const NEWEST: f64 = 0.2;
/// A shorter answer says nothing about the rate, bytes.
const MIN_MEASURED: u64 = 16 << 10;
/// What an unknown operator counts as.
const UNKNOWN_MS: f64 = 50.0;

const FORGIVEN: Duration = Duration::from_secs(600);
const LIES_FORGIVEN: Duration = Duration::from_secs(6 * 3600);
const AVOID: Duration = Duration::from_secs(5);
const AVOID_MOST: Duration = Duration::from_secs(600);
const AVOID_LIAR: Duration = Duration::from_secs(600);
const AVOID_LIAR_MOST: Duration = Duration::from_secs(24 * 3600);

/// What is known about operators. One for all fetches of a retriever.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    operators: HashMap<OperatorId, Score>,
    /// Times to an answer, less the transfer, of the last answers of all operators.
    samples: VecDeque<Duration>,
}

#[derive(Debug)]
struct Score {
    address: String,
    seen: Instant,
    latency_ms: Option<f64>,
    rate: Option<f64>,
    requests: BTreeMap<Conduct, u64>,
    /// Fetches in which it did not answer or refused, decaying.
    strikes: f64,
    /// Fetches in which it sent something wrong, decaying.
    lies: f64,
    avoided_until: Option<Instant>,
    last_fault: Option<(Instant, String, String)>,
}

/// What a retriever knows about an operator. Counts are since the retriever started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorScore {
    /// The operator.
    #[schema(value_type = String)]
    pub operator: OperatorId,
    /// Its address when it was asked last.
    pub address: String,
    /// How it is treated.
    pub trust: TrustName,
    /// Milliseconds to an answer, without its transfer, on average.
    pub latency_ms: Option<u64>,
    /// Bytes a second of its answers, on average.
    pub bytes_per_second: Option<u64>,
    /// Requests that it answered.
    pub answered: u64,
    /// Requests that it did not answer, or too late.
    pub late: u64,
    /// Requests that it refused, or did not have the data for.
    pub refused: u64,
    /// Requests to which it sent something wrong.
    pub wrong: u64,
    /// For how much longer it is asked last, milliseconds; 0 if it is not.
    pub avoided_ms: u64,
    /// The last fault.
    pub last_fault: Option<LastFault>,
}

/// How an operator is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TrustName {
    /// It has answered, and nothing is held against it.
    Good,
    /// It was never asked, or is on probation: it is asked for little at first.
    Unknown,
    /// It is asked last.
    Avoided,
}

/// Why an operator did not help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastFault {
    /// Stable code.
    pub code: String,
    /// In words.
    pub reason: String,
    /// Milliseconds since then.
    pub ago_ms: u64,
}

impl Scores {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a fetch has seen. Several requests to one operator that fail in one fetch are one failure.
    pub(crate) fn learn(&self, now: Instant, expected_rate: u64, seen: &[Observation]) {
        let mut inner = self.lock();
        let mut worst: HashMap<OperatorId, &Observation> = HashMap::new();
        for observation in seen {
            let transfer = observation.bytes.saturating_mul(1000) / expected_rate.max(1);
            let latency = observation
                .after
                .saturating_sub(Duration::from_millis(transfer));
            // How long one was waited for in vain is a lower bound: without it the fast ones would make all others late.
            if matches!(observation.conduct, Conduct::Answered | Conduct::Late) {
                inner.samples.push_back(latency);
                if inner.samples.len() > SAMPLES {
                    inner.samples.pop_front();
                }
            }
            let score = inner.score(now, observation);
            *score.requests.entry(observation.conduct).or_default() += 1;
            if observation.conduct == Conduct::Answered {
                average(&mut score.latency_ms, latency.as_secs_f64() * 1000.0);
                if observation.bytes >= MIN_MEASURED {
                    let seconds = observation.after.as_secs_f64().max(0.000_1);
                    average(&mut score.rate, observation.bytes as f64 / seconds);
                }
            }
            let known = worst.entry(observation.operator).or_insert(observation);
            if observation.conduct > known.conduct {
                *known = observation;
            }
        }
        for observation in worst.into_values() {
            inner.score(now, observation).judge(now, observation);
        }
    }

    /// How operators are to be treated in a fetch that begins now.
    pub(crate) fn standing(&self, now: Instant, operator: &OperatorId) -> Standing {
        let inner = self.lock();
        inner.operators.get(operator).map_or_else(
            || Standing {
                trust: Trust::Unknown,
                cost: UNKNOWN_MS,
            },
            |score| score.standing(now),
        )
    }

    /// After which silence an operator is hedged; `configured` as long as too little is known.
    pub(crate) fn hedge_after(&self, configured: Duration, most: Duration) -> Duration {
        let inner = self.lock();
        if inner.samples.len() < MIN_SAMPLES {
            return configured;
        }
        let mut samples: Vec<Duration> = inner.samples.iter().copied().collect();
        samples.sort_unstable();
        let place = samples.len() * HEDGE_PERCENTILE / 100;
        let slow = samples.get(place).copied().unwrap_or(configured);
        (2 * slow).clamp(MIN_HEDGE.min(most), most)
    }

    /// Everything that is known, by operator id.
    pub(crate) fn all(&self, now: Instant) -> Vec<OperatorScore> {
        let inner = self.lock();
        let scores = inner.operators.iter();
        let mut all: Vec<_> = scores.map(|(id, score)| score.view(now, *id)).collect();
        all.sort_by_key(|score| score.operator);
        all
    }
}

impl Inner {
    fn score(&mut self, now: Instant, observation: &Observation) -> &mut Score {
        if self.operators.len() >= MAX_OPERATORS
            && !self.operators.contains_key(&observation.operator)
        {
            let oldest = self.operators.iter().min_by_key(|(_, score)| score.seen);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.operators.remove(&oldest);
            }
        }
        let score = self
            .operators
            .entry(observation.operator)
            .or_insert_with(|| Score {
                address: String::new(),
                seen: now,
                latency_ms: None,
                rate: None,
                requests: BTreeMap::new(),
                strikes: 0.0,
                lies: 0.0,
                avoided_until: None,
                last_fault: None,
            });
        score.age(now);
        score.address.clone_from(&observation.address);
        score
    }
}

impl Score {
    fn age(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.seen);
        self.strikes *= halved(since, FORGIVEN);
        self.lies *= halved(since, LIES_FORGIVEN);
        self.seen = now;
    }

    fn judge(&mut self, now: Instant, observation: &Observation) {
        let avoid = match observation.conduct {
            Conduct::Answered => {
                self.strikes = 0.0;
                return;
            }
            Conduct::Late | Conduct::Refused => {
                self.strikes += 1.0;
                // Everybody misses once.
                (self.strikes > 1.5).then(|| doubled(AVOID, self.strikes - 2.0, AVOID_MOST))
            }
            Conduct::Wrong => {
                self.lies += 1.0;
                Some(doubled(AVOID_LIAR, self.lies - 1.0, AVOID_LIAR_MOST))
            }
        };
        self.avoided_until = self.avoided_until.max(avoid.map(|time| now + time));
        let (code, reason) = (observation.code.clone(), observation.reason.clone());
        self.last_fault = Some((now, code, reason));
    }

    fn avoided(&self, now: Instant) -> Duration {
        let until = self.avoided_until.unwrap_or(now);
        until.saturating_duration_since(now)
    }

    fn standing(&self, now: Instant) -> Standing {
        let since = now.saturating_duration_since(self.seen);
        let trust = if !self.avoided(now).is_zero() {
            Trust::Avoided
        } else if self.latency_ms.is_none() || self.lies * halved(since, LIES_FORGIVEN) > 0.5 {
            Trust::Unknown
        } else {
            Trust::Good
        };
        let transfer = self
            .rate
            .map_or(0.0, |rate| 1000.0 * (256u32 << 10) as f64 / rate);
        let time = self.latency_ms.unwrap_or(UNKNOWN_MS) + transfer;
        let cost = time.max(1.0) * (1.0 + self.strikes * halved(since, FORGIVEN));
        Standing { trust, cost }
    }

    fn view(&self, now: Instant, operator: OperatorId) -> OperatorScore {
        let count = |conduct| self.requests.get(&conduct).copied().unwrap_or(0);
        let whole = |number: Option<f64>| number.map(|number| number as u64);
        OperatorScore {
            operator,
            address: self.address.clone(),
            trust: match self.standing(now).trust {
                Trust::Good => TrustName::Good,
                Trust::Unknown => TrustName::Unknown,
                Trust::Avoided => TrustName::Avoided,
            },
            latency_ms: whole(self.latency_ms),
            bytes_per_second: whole(self.rate),
            answered: count(Conduct::Answered),
            late: count(Conduct::Late),
            refused: count(Conduct::Refused),
            wrong: count(Conduct::Wrong),
            avoided_ms: millis(self.avoided(now)),
            last_fault: self
                .last_fault
                .as_ref()
                .map(|(at, code, reason)| LastFault {
                    code: code.clone(),
                    reason: reason.clone(),
                    ago_ms: millis(now.saturating_duration_since(*at)),
                }),
        }
    }
}

fn average(known: &mut Option<f64>, new: f64) {
    *known = Some(known.map_or(new, |old| old + NEWEST * (new - old)));
}

/// What is left after this time, of which half is forgotten in `half`.
fn halved(time: Duration, half: Duration) -> f64 {
    (-time.as_secs_f64() / half.as_secs_f64()).exp2()
}

fn doubled(first: Duration, times: f64, most: Duration) -> Duration {
    let factor = times.clamp(0.0, 30.0).exp2();
    Duration::from_secs_f64((first.as_secs_f64() * factor).min(most.as_secs_f64()))
}

#[cfg(test)]
mod tests;
