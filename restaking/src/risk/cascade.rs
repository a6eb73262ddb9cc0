//! What the loss of some operators sets off.
//!
//! A shock takes a share ψ of all stake, whole operators at a time. What is left may be attackable with profit; those
//! attackers lose their stake, which may make the next attack pay, and so on. If the network had slack γ before, then
//! everything lost, the shock included, is less than `(1 + 1/γ) ψ` of all stake, and there are fewer than `ψ σ_V / (γ σ_min)` steps.
//!
//! The simulation plays the adversary greedily: in each step the attack that earns most, joined by as many further operators as it
//! still pays for. That gives a lower bound of the worst case; the theorem gives the upper one.

use ashlar_crypto::Coded;
use num_bigint::BigInt;
use num_traits::{One, Signed, Zero};
use thiserror::Error;

use super::certificate::certify_model;
use super::model::Model;
use super::search::{Found, best_attack, describe};
use super::{Attack, Fraction, Graph, GraphError, Rational, SearchError, Slack};

/// Operators that lose all of their stake at once.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Shock {
    /// Their names.
    pub operators: Vec<String>,
}

/// One attack of a cascade.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct CascadeStep {
    /// Who attacked what.
    pub attack: Attack,
    /// Services that nobody secures any more after it; they are lost without an attack.
    pub abandoned: Vec<String>,
}

/// A shock and everything that followed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cascade {
    /// What began it.
    pub shock: Shock,
    /// Services that the shock left without any stake.
    pub abandoned: Vec<String>,
    /// The attacks, in order.
    pub steps: Vec<CascadeStep>,
    /// All stake before.
    #[serde(serialize_with = "display")]
    pub total: BigInt,
    /// ψ: the share that the shock took.
    #[serde(serialize_with = "display")]
    pub psi: Rational,
    /// The share lost in the end, ψ included.
    #[serde(serialize_with = "display")]
    pub loss: Rational,
    /// γ* before the shock.
    pub gamma: Slack,
    /// `(1 + 1/γ*) ψ`; `None` if the network is not certified.
    #[serde(serialize_with = "display_option")]
    pub bound: Option<Rational>,
    /// `ψ σ_V / (γ* σ_min)`: more than the number of steps; `None` if the network is not certified.
    #[serde(serialize_with = "display_option")]
    pub length_bound: Option<Rational>,
}

fn display<S: serde::Serializer>(value: &impl std::fmt::Display, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(value)
}

fn display_option<S: serde::Serializer>(
    value: &Option<Rational>,
    to: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => to.collect_str(value),
        None => to.serialize_none(),
    }
}

/// Why a cascade cannot be simulated.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "risk", blame = Caller)]
pub enum CascadeError {
    /// The graph is refused, or a step cannot be searched.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The shock names nobody.
    #[error("the shock names the operator {name:?}, which is not in the graph")]
    #[coded("shock_operator")]
    UnknownOperator {
        /// The name.
        name: String,
    },
}

impl From<GraphError> for CascadeError {
    fn from(source: GraphError) -> Self {
        Self::Search(source.into())
    }
}

/// Takes these operators out and lets the attacks run until none pays. Naming an operator twice adds nothing.
///
/// # Errors
/// [`CascadeError`]; `max_steps` bounds the search of each attack.
pub fn simulate(graph: &Graph, shock: &Shock, max_steps: u64) -> Result<Cascade, CascadeError> {
    let model = Model::new(graph)?;
    let mut gone = Vec::with_capacity(shock.operators.len());
    for name in &shock.operators {
        let operator = model.operators.iter().position(|known| known == name);
        gone.push(operator.ok_or_else(|| CascadeError::UnknownOperator {
            name: name.chars().take(super::MAX_NAME_BYTES).collect(),
        })?);
    }
    Ok(run(&model, &gone, max_steps)?)
}

/// The worst of three shocks of at most ψ of the stake: operators taken by falling load T_v, by falling stake, and by rising
/// stake, each as long as it fits. Deterministic; not always the worst one there is.
///
/// # Errors
/// [`CascadeError`]; `max_steps` bounds the search of each attack.
pub fn worst_shock(graph: &Graph, psi: &Fraction, max_steps: u64) -> Result<Cascade, CascadeError> {
    let model = Model::new(graph)?;
    let total = model.total();
    let budget = (Rational::from_integer(total) * psi.to_rational())
        .floor()
        .to_integer();
    let mut stakes = vec![BigInt::zero(); model.operators.len()];
    let mut loads = vec![Rational::zero(); model.operators.len()];
    for pool in &model.pools {
        if let Some(stake) = stakes.get_mut(pool.operator) {
            *stake += &pool.stake;
        }
    }
    for load in certify_model(&model).loads {
        let at = model
            .operators
            .iter()
            .position(|name| *name == load.pool.operator);
        if let Some(worst) = at.and_then(|at| loads.get_mut(at)) {
            *worst = load.load.max(worst.clone());
        }
    }
    let mut orders: Vec<Vec<usize>> = vec![(0..stakes.len()).collect(); 3];
    for (kind, order) in orders.iter_mut().enumerate() {
        order.sort_by(|&a, &b| match kind {
            0 => loads.get(b).cmp(&loads.get(a)),
            1 => stakes.get(b).cmp(&stakes.get(a)),
            _ => stakes.get(a).cmp(&stakes.get(b)),
        });
    }
    let mut worst: Option<Cascade> = None;
    for order in orders {
        let mut left = budget.clone();
        let mut gone = Vec::new();
        for operator in order {
            if let Some(stake) = stakes.get(operator)
                && stake.is_positive()
                && *stake <= left
            {
                left -= stake;
                gone.push(operator);
            }
        }
        let cascade = run(&model, &gone, max_steps)?;
        if worst.as_ref().is_none_or(|worst| cascade.loss > worst.loss) {
            worst = Some(cascade);
        }
    }
    match worst {
        Some(worst) => Ok(worst),
        None => Ok(run(&model, &[], max_steps)?),
    }
}

fn run(model: &Model, gone: &[usize], max_steps: u64) -> Result<Cascade, SearchError> {
    let total = model.total();
    let gamma = certify_model(model).gamma;
    let shocked: Vec<usize> = (0..model.pools.len())
        .filter(|&pool| {
            model
                .pools
                .get(pool)
                .is_some_and(|p| gone.contains(&p.operator))
        })
        .collect();
    let struck = model.stake_of(&shocked);
    let mut lost = struck.clone();
    let mut left = model.without(&shocked, &[]);
    let abandoned = abandon(&mut left);
    let mut steps = Vec::new();
    // Every attack burns stake, so this ends.
    while let Some(found) = best_attack(&left, max_steps)? {
        let found = join(&left, found)?;
        lost += &found.attack.stake;
        left = left.without(&found.pools, &found.services);
        steps.push(CascadeStep {
            attack: found.attack,
            abandoned: abandon(&mut left),
        });
    }
    let share = |part: BigInt| {
        if total.is_zero() {
            Rational::zero()
        } else {
            Rational::new(part, total.clone())
        }
    };
    let psi = share(struck);
    let smallest = model.pools.iter().map(|pool| &pool.stake);
    let smallest = smallest.filter(|stake| !stake.is_zero()).min();
    let length_bound = match (&gamma, smallest) {
        (Slack::Finite(gamma), Some(smallest)) if gamma.is_positive() => {
            let stake = &psi * Rational::from_integer(total.clone());
            Some(stake / (gamma * Rational::from_integer(smallest.clone())))
        }
        (Slack::Unbounded, _) => Some(Rational::zero()),
        _ => None,
    };
    Ok(Cascade {
        shock: Shock {
            operators: gone
                .iter()
                .filter_map(|&operator| model.operators.get(operator).cloned())
                .collect(),
        },
        abandoned,
        steps,
        loss: share(lost),
        bound: loss_bound(&gamma, &psi),
        total,
        psi,
        gamma,
        length_bound,
    })
}

/// `(1 + 1/γ) ψ`, just ψ if nothing has profit; `None` if γ is not above zero.
fn loss_bound(gamma: &Slack, psi: &Rational) -> Option<Rational> {
    match gamma {
        Slack::Unbounded => Some(psi.clone()),
        Slack::Finite(gamma) if gamma.is_positive() => {
            Some((Rational::one() + gamma.recip()) * psi)
        }
        Slack::Finite(_) => None,
    }
}

/// Takes out the services with profit that have no stake left; an attack on them costs nothing and burns nothing.
fn abandon(model: &mut Model) -> Vec<String> {
    let lost: Vec<usize> = (0..model.services.len())
        .filter(|&at| {
            model.services.get(at).is_some_and(|service| {
                !service.profit.is_zero() && model.stake_of(&service.pools).is_zero()
            })
        })
        .collect();
    let names = lost
        .iter()
        .filter_map(|&at| model.services.get(at))
        .map(|service| service.name.clone())
        .collect();
    if !lost.is_empty() {
        *model = model.without(&[], &lost);
    }
    names
}

/// Adds operators of the attacked services, the largest first, as long as the attack still pays.
fn join(model: &Model, found: Found) -> Result<Found, SearchError> {
    let mut more: Vec<usize> = (0..model.pools.len())
        .filter(|pool| !found.pools.contains(pool))
        .filter(|&pool| {
            model.pools.get(pool).is_some_and(|pool| {
                pool.stake.is_positive()
                    && pool
                        .services
                        .iter()
                        .any(|service| found.services.contains(service))
            })
        })
        .collect();
    more.sort_by_key(|&pool| std::cmp::Reverse(model.pools.get(pool).map(|pool| &pool.stake)));
    let mut coalition = found.pools;
    let mut stake = found.attack.stake;
    for pool in more {
        let with = &stake + model.stake_of(&[pool]);
        if Rational::from_integer(with.clone()) < found.attack.weighted_profit {
            stake = with;
            coalition.push(pool);
        }
    }
    describe(model, &coalition)
}

#[cfg(test)]
mod tests;
