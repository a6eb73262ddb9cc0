//! Exact search: the attack that earns most, with a witness, and the exact slack.
//!
//! The problem is the integer program "maximise `ρ Σ π_s x_s − Σ σ_v y_v` subject to `Σ_{v∈N(s)} σ_v y_v ≥ α_s σ_N(s) x_s`, all x and y
//! 0 or 1". It is solved by branch and bound over the operators, in integers from the first step to the last: a
//! solver in floating point could err by more than what an attack earns, since stakes have 60 binary digits and more.
//!
//! A branch has put some operators in (I), some out, and left the others open. A service that still lacks r_s, and can
//! still get it, needs `Σ min(σ_v, r_s) / r_s ≥ 1` from the open ones, so charging `ρ π_s min(σ_v, r_s) / r_s` to each of them counts
//! its profit at least once. Hence no coalition of the branch is worth more than its present value plus all positive
//! `charge_v − σ_v`. With nobody in or out these charges are at most the `σ_v T_v` of the certificate: a certified network is settled
//! in one step.
//!
//! The slack is found by Dinkelbach's iteration: with ρ the cost of the best attack known over its profit, an attack with a
//! value above zero is a cheaper one; when there is none, ρ − 1 is the slack.

use ashlar_crypto::Coded;
use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};
use thiserror::Error;

use super::model::Model;
use super::{Graph, GraphError, Rational, Slack, StakeUnit};

/// Most pools with stake behind services with profit in an exact search.
pub const MAX_SEARCH_POOLS: usize = 64;
/// Most services with profit in an exact search.
pub const MAX_SEARCH_SERVICES: usize = 64;
/// Branches looked at before a search gives up, where nothing else is said: some seconds.
pub const DEFAULT_SEARCH_STEPS: u64 = 200_000;

/// Binary digits behind the point of a charge; charges are rounded up, so that the bound holds.
const CHARGE_BITS: u32 = 32;

/// A coalition and what it attacks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Attack {
    /// The coalition.
    pub coalition: Vec<StakeUnit>,
    /// What it corrupts: everything with profit that it can.
    pub services: Vec<String>,
    /// What that gains: the sum of π.
    #[serde(serialize_with = "display")]
    pub profit: BigInt,
    /// The sum of π/β, which is compared with the stake; the profit itself if no attacked service has a slash cap.
    #[serde(serialize_with = "display")]
    pub weighted_profit: Rational,
    /// The coalition's stake.
    #[serde(serialize_with = "display")]
    pub stake: BigInt,
    /// What slashing takes of it: of each member the largest cap among the attacked services that it serves.
    #[serde(serialize_with = "display")]
    pub loss: Rational,
}

fn display<S: serde::Serializer>(value: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

/// Why an exact search gives no answer.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "risk", blame = Caller)]
pub enum SearchError {
    /// The graph breaks a rule.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// Too large for a search that may be exponential.
    #[error(
        "an exact search takes at most {max} {what}, the graph has {got}; the certificate has no such limit"
    )]
    #[coded("search_too_large")]
    TooLarge {
        /// `pools of stake` or `services with profit`.
        what: &'static str,
        /// How many.
        got: usize,
        /// How many may be.
        max: usize,
    },
    /// Not finished within the steps given.
    #[error("the exact search did not end within {max} steps{}", known_text(.known))]
    #[coded("search_steps")]
    Steps {
        /// The limit.
        max: u64,
        /// The best attack found until then. If it pays, the network is not secure, whatever else there is; its cost over its
        /// profit, less one, is an upper bound of the slack.
        known: Option<Box<Attack>>,
    },
    /// The witness does not stand the check by the definition; a mistake in this program.
    #[error(
        "the search found an attack that the definition does not confirm; please report this graph"
    )]
    #[coded("search_witness", blame = Us)]
    Witness,
}

fn known_text(known: &Option<Box<Attack>>) -> String {
    known.as_ref().map_or_else(String::new, |attack| {
        let (stake, profit) = (&attack.stake, &attack.profit);
        format!("; the best attack found until then costs {stake} and gains {profit}")
    })
}

/// The attack whose profit exceeds its stake by most, or `None` if no attack pays; exact either way.
///
/// With slash caps, profits are counted as π/β: see the module's page.
///
/// # Errors
/// [`SearchError`]: the graph is refused, too large, or not settled within `max_steps`.
pub fn find_attack(graph: &Graph, max_steps: u64) -> Result<Option<Attack>, SearchError> {
    let model = Model::new(graph)?;
    Ok(best_attack(&model, max_steps)?.map(|found| found.attack))
}

/// The exact slack: the cost of the attack that is cheapest for what it earns, over what it earns, less one; with that
/// attack, unless nothing has any profit.
///
/// # Errors
/// As [`find_attack`]; `max_steps` counts over all searches together.
pub fn exact_slack(graph: &Graph, max_steps: u64) -> Result<(Slack, Option<Attack>), SearchError> {
    let model = Model::new(graph)?;
    let everybody: Vec<usize> = (0..model.pools.len()).collect();
    let mut best = describe(&model, &everybody)?;
    if best.attack.weighted_profit.is_zero() {
        return Ok((Slack::Unbounded, None));
    }
    let mut left = max_steps;
    loop {
        let ratio =
            Rational::from_integer(best.attack.stake.clone()) / &best.attack.weighted_profit;
        let (done, pools) = Search::new(&model, &ratio, left)?.run(&mut left);
        let Some(pools) = pools else {
            if done {
                return Ok((Slack::Finite(ratio - Rational::one()), Some(best.attack)));
            }
            return Err(out_of_steps(max_steps, Some(best)));
        };
        let cheaper = describe(&model, &pools)?;
        // A witness of an unfinished search is a cheaper attack all the same; the next round says what is left to do.
        // Each round has to lower the ratio; anything else would be a loop without end.
        let lower = Rational::from_integer(cheaper.attack.stake.clone())
            < &ratio * &cheaper.attack.weighted_profit;
        if !lower {
            return Err(SearchError::Witness);
        }
        best = cheaper;
    }
}

fn out_of_steps(max: u64, known: Option<Found>) -> SearchError {
    let known = known.map(|found| Box::new(found.attack));
    SearchError::Steps { max, known }
}

/// An attack with its indices in the model.
pub(super) struct Found {
    pub(super) attack: Attack,
    pub(super) pools: Vec<usize>,
    pub(super) services: Vec<usize>,
}

pub(super) fn best_attack(model: &Model, max_steps: u64) -> Result<Option<Found>, SearchError> {
    let mut left = max_steps;
    let search = Search::new(model, &Rational::one(), left)?;
    let (done, pools) = search.run(&mut left);
    let Some(pools) = pools else {
        return if done {
            Ok(None)
        } else {
            Err(out_of_steps(max_steps, None))
        };
    };
    let found = describe(model, &pools)?;
    if found.attack.weighted_profit <= Rational::from_integer(found.attack.stake.clone()) {
        return Err(SearchError::Witness);
    }
    if !done {
        return Err(out_of_steps(max_steps, Some(found)));
    }
    Ok(Some(found))
}

/// What a coalition attacks, by the definition alone: this is the check of every witness.
pub(super) fn describe(model: &Model, coalition: &[usize]) -> Result<Found, SearchError> {
    let mut attack = Attack {
        coalition: Vec::new(),
        services: Vec::new(),
        profit: BigInt::zero(),
        weighted_profit: Rational::zero(),
        stake: model.stake_of(coalition),
        loss: Rational::zero(),
    };
    let mut services = Vec::new();
    for (index, service) in model.services.iter().enumerate() {
        if service.profit.is_zero() {
            continue;
        }
        let corrupt: BigInt = service
            .pools
            .iter()
            .filter(|pool| coalition.contains(pool))
            .filter_map(|&pool| model.pools.get(pool))
            .map(|pool| &pool.stake)
            .sum();
        let behind = Rational::from_integer(model.stake_of(&service.pools));
        if Rational::from_integer(corrupt) >= behind * &service.alpha {
            services.push(index);
            attack.services.push(service.name.clone());
            attack.profit += &service.profit;
            attack.weighted_profit += &service.weighted;
        }
    }
    let mut pools = coalition.to_vec();
    pools.sort_unstable();
    for pool in pools.iter().filter_map(|&pool| model.pools.get(pool)) {
        let cap = pool
            .services
            .iter()
            .filter(|service| services.contains(service))
            .filter_map(|&service| model.services.get(service))
            .map(|service| &service.cap)
            .max();
        if let Some(cap) = cap {
            attack.loss += Rational::from_integer(pool.stake.clone()) * cap;
        }
        attack.coalition.push(pool.pool.clone());
    }
    Ok(Found {
        attack,
        pools,
        services,
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Open,
    In,
    Out,
}

struct SearchUnit {
    index: usize,
    stake: BigInt,
    /// Stake in units of the value.
    cost: BigInt,
    services: Vec<usize>,
}

struct SearchService {
    needed: BigInt,
    /// ρ · π/β in units of the value.
    gain: BigInt,
}

/// What a branch knows of a service: stake in, and stake in or open.
#[derive(Clone)]
struct Held {
    inside: BigInt,
    within: BigInt,
}

struct Search {
    pools: Vec<SearchUnit>,
    services: Vec<SearchService>,
    steps_left: u64,
    places: Vec<Place>,
    best: BigInt,
    witness: Option<Vec<usize>>,
}

impl Search {
    /// A search for `ρ · profit − stake`, that is for a coalition in which this is above zero.
    fn new(model: &Model, ratio: &Rational, steps: u64) -> Result<Self, SearchError> {
        let profitable: Vec<usize> = (0..model.services.len())
            .filter(|&s| model.services.get(s).is_some_and(|s| !s.profit.is_zero()))
            .collect();
        limit(
            "services with profit",
            profitable.len(),
            MAX_SEARCH_SERVICES,
        )?;
        // One common denominator makes every value an integer.
        let gains: Vec<Rational> = profitable
            .iter()
            .filter_map(|&s| model.services.get(s))
            .map(|service| &service.weighted * ratio)
            .collect();
        let unit = gains.iter().fold(BigInt::one(), |unit, gain| {
            let common = Rational::new(unit.clone(), gain.denom().clone());
            unit * common.denom()
        });
        let services: Vec<SearchService> = profitable
            .iter()
            .filter_map(|&s| model.services.get(s))
            .zip(gains)
            .map(|(service, gain)| SearchService {
                needed: model.needed(service),
                gain: (gain * Rational::from_integer(unit.clone())).to_integer(),
            })
            .collect();
        let pools: Vec<SearchUnit> = model
            .pools
            .iter()
            .enumerate()
            .filter(|(_, pool)| !pool.stake.is_zero())
            .map(|(index, pool)| SearchUnit {
                index,
                stake: pool.stake.clone(),
                cost: &pool.stake * &unit,
                services: pool
                    .services
                    .iter()
                    .filter_map(|service| profitable.binary_search(service).ok())
                    .collect(),
            })
            .filter(|pool| !pool.services.is_empty())
            .collect();
        limit("pools of stake", pools.len(), MAX_SEARCH_POOLS)?;
        Ok(Self {
            places: vec![Place::Open; pools.len()],
            pools,
            services,
            steps_left: steps,
            best: BigInt::zero(),
            witness: None,
        })
    }

    /// Whether it came to an end, and the indices of the best coalition found; `None` if none has a value above zero.
    fn run(mut self, left: &mut u64) -> (bool, Option<Vec<usize>>) {
        let mut held = vec![
            Held {
                inside: BigInt::zero(),
                within: BigInt::zero(),
            };
            self.services.len()
        ];
        for pool in &self.pools {
            for &service in &pool.services {
                if let Some(held) = held.get_mut(service) {
                    held.within += &pool.stake;
                }
            }
        }
        let done = self.branch(&held, &BigInt::zero());
        *left = self.steps_left;
        (done, self.witness)
    }

    /// Looks at a branch; false if the steps ran out. As deep as there are pools, at most [`MAX_SEARCH_POOLS`].
    fn branch(&mut self, held: &[Held], cost: &BigInt) -> bool {
        let Some(left) = self.steps_left.checked_sub(1) else {
            return false;
        };
        self.steps_left = left;

        let mut value = -cost.clone();
        let mut open = vec![None; self.services.len()];
        let mut reachable = BigInt::zero();
        for ((service, held), open) in self.services.iter().zip(held).zip(&mut open) {
            if held.inside >= service.needed {
                value += &service.gain;
            } else if held.within >= service.needed {
                reachable += &service.gain;
                *open = Some(&service.needed - &held.inside);
            }
        }
        if value > self.best {
            self.best = value.clone();
            let inside = self.pools.iter().zip(&self.places);
            self.witness = Some(
                inside
                    .filter(|(_, place)| **place == Place::In)
                    .map(|(pool, _)| pool.index)
                    .collect(),
            );
        }
        if &value + reachable <= self.best {
            return true;
        }

        let mut charged = BigInt::zero();
        let mut choice: Option<(BigInt, usize)> = None;
        for (at, (pool, place)) in self.pools.iter().zip(&self.places).enumerate() {
            if *place != Place::Open {
                continue;
            }
            let mut surplus = -(&pool.cost << CHARGE_BITS);
            for &index in &pool.services {
                let missing = open.get(index).and_then(Option::as_ref);
                if let (Some(missing), Some(service)) = (missing, self.services.get(index)) {
                    let part = (&pool.stake).min(missing);
                    // Rounded up: the charge may be too high, never too low.
                    let numerator = (&service.gain * part) << CHARGE_BITS;
                    surplus += (numerator + missing - 1u8) / missing;
                }
            }
            if surplus.is_positive() {
                charged += &surplus;
                if choice.as_ref().is_none_or(|(most, _)| surplus > *most) {
                    choice = Some((surplus, at));
                }
            }
        }
        let Some((_, at)) = choice else {
            return true;
        };
        if (&value << CHARGE_BITS) + charged <= &self.best << CHARGE_BITS {
            return true;
        }
        let Some(pool) = self.pools.get(at) else {
            return true;
        };
        let (mut inside, mut outside) = (held.to_vec(), held.to_vec());
        for &service in &pool.services {
            if let Some(held) = inside.get_mut(service) {
                held.inside += &pool.stake;
            }
            if let Some(held) = outside.get_mut(service) {
                held.within -= &pool.stake;
            }
        }
        let with = cost + &pool.cost;
        self.place(at, Place::In);
        let mut done = self.branch(&inside, &with);
        if done {
            self.place(at, Place::Out);
            done = self.branch(&outside, cost);
        }
        self.place(at, Place::Open);
        done
    }

    fn place(&mut self, at: usize, to: Place) {
        if let Some(place) = self.places.get_mut(at) {
            *place = to;
        }
    }
}

fn limit(what: &'static str, got: usize, max: usize) -> Result<(), SearchError> {
    if got > max {
        return Err(SearchError::TooLarge { what, got, max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
