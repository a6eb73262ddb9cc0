//! γ* = min_v 1/T_v − 1: a lower bound of the slack in one pass over the edges.
//!
//! `T_v = Σ_{s∈N(v)} π_s / (α_s σ_N(s))` charges each service's profit to those who must attack it, in proportion to their stake.
//! For an attack, `π_A = Σ_s π_s ≤ Σ_s π_s σ_{B∩N(s)} / (α_s σ_N(s)) ≤ Σ_{v∈B} σ_v T_v`, so that with T_v ≤ 1/(1+γ) for all v no
//! attack earns more than `σ_B / (1 + γ)`. The converse does not hold: a network may be secure with a higher slack than γ*.

use std::collections::HashMap;

use num_bigint::BigInt;
use num_traits::Zero;

use super::model::Model;
use super::{Graph, GraphError, Rational, Slack, StakeUnit};

/// What [`certify`] found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Certificate {
    /// γ*. The exact slack is never below it.
    pub gamma: Slack,
    /// The pool that decides it; `None` if there is no profit, or if a service without stake decides.
    pub worst: Option<StakeUnit>,
    /// Every pool with stake, in the graph's order, allocations behind.
    pub loads: Vec<PoolLoad>,
    /// Services with profit and no stake: anybody can corrupt them.
    pub unbacked: Vec<String>,
}

/// How much profit hangs on a pool, for each unit of its stake.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct PoolLoad {
    /// Whose stake.
    pub pool: StakeUnit,
    /// Its stake.
    #[serde(serialize_with = "display")]
    pub stake: BigInt,
    /// T_v.
    #[serde(serialize_with = "display")]
    pub load: Rational,
    /// 1/T_v − 1.
    pub slack: Slack,
}

fn display<S: serde::Serializer>(value: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

impl Certificate {
    /// Whether γ* is above zero. `false` means "not certified", not "insecure": the exact search tells.
    pub fn is_certified(&self) -> bool {
        self.gamma.is_positive()
    }
}

/// Computes the certificate.
///
/// # Errors
/// [`GraphError`] if the graph breaks a rule.
pub fn certify(graph: &Graph) -> Result<Certificate, GraphError> {
    Ok(certify_model(&Model::new(graph)?))
}

pub(super) fn certify_model(model: &Model) -> Certificate {
    let mut unbacked = Vec::new();
    let mut each: Vec<Option<Rational>> = Vec::with_capacity(model.services.len());
    for service in &model.services {
        let behind = Rational::from_integer(model.stake_of(&service.pools));
        let profitable = !service.profit.is_zero();
        if profitable && behind.is_zero() {
            unbacked.push(service.name.clone());
        }
        let counts = profitable && !behind.is_zero();
        each.push(counts.then(|| &service.weighted / (behind * &service.alpha)));
    }
    // Operators of the same services have the same load, and most networks have few different sets of services.
    let mut known: HashMap<&[usize], Rational> = HashMap::new();
    let one = Rational::from_integer(1.into());
    let loads: Vec<PoolLoad> = model
        .pools
        .iter()
        .filter(|pool| !pool.stake.is_zero())
        .map(|pool| {
            let load = known.entry(&pool.services).or_insert_with(|| {
                sum(pool.services.iter().filter_map(|&s| each.get(s)?.as_ref()))
            });
            PoolLoad {
                pool: pool.pool.clone(),
                stake: pool.stake.clone(),
                slack: Slack::of(&one, load),
                load: load.clone(),
            }
        })
        .collect();
    let least = loads
        .iter()
        .filter(|load| load.slack != Slack::Unbounded)
        .min_by(|a, b| a.slack.cmp(&b.slack));
    let (gamma, worst) = match least {
        _ if !unbacked.is_empty() => (Slack::Finite(-one), None),
        Some(load) => (load.slack.clone(), Some(load.pool.clone())),
        None => (Slack::Unbounded, None),
    };
    Certificate {
        gamma,
        worst,
        loads,
        unbacked,
    }
}

/// The sum, reduced once at the end: reducing costs far more than adding.
fn sum<'a>(terms: impl Iterator<Item = &'a Rational>) -> Rational {
    let (mut numerator, mut denominator) = (BigInt::zero(), BigInt::from(1));
    for term in terms {
        numerator = numerator * term.denom() + term.numer() * &denominator;
        denominator *= term.denom();
    }
    Rational::new(numerator, denominator)
}

#[cfg(test)]
mod tests;
