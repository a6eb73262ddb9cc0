//! The graph as the algorithms see it: pools of stake by index, services with the pools behind them.

use std::collections::HashMap;

use num_bigint::{BigInt, Sign};
use num_traits::{One, Zero};

use super::{Graph, GraphError, Rational};
use ashlar_proto::Stake;

/// Stake that is slashed together: what an operator has not allocated, or what it allocated to one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct StakeUnit {
    /// The operator.
    pub operator: String,
    /// The only service that it backs; `None` for stake that backs all of the operator's other services.
    pub service: Option<String>,
}

impl std::fmt::Display for StakeUnit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.service {
            Some(service) => write!(f, "{} for {service}", self.operator),
            None => f.write_str(&self.operator),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ModelUnit {
    pub(super) pool: StakeUnit,
    pub(super) operator: usize,
    pub(super) stake: BigInt,
    /// Indices of the services that it backs.
    pub(super) services: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct ModelService {
    pub(super) name: String,
    /// π.
    pub(super) profit: BigInt,
    /// π/β: what counts against the stake.
    pub(super) weighted: Rational,
    pub(super) alpha: Rational,
    pub(super) cap: Rational,
    /// Indices of the pools behind it.
    pub(super) pools: Vec<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) pools: Vec<ModelUnit>,
    pub(super) services: Vec<ModelService>,
    pub(super) operators: Vec<String>,
}

pub(super) fn big(amount: &Stake) -> BigInt {
    BigInt::from_bytes_be(Sign::Plus, &amount.to_be_bytes::<32>())
}

impl Model {
    pub(super) fn new(graph: &Graph) -> Result<Self, GraphError> {
        graph.validate()?;
        let mut index_of = HashMap::new();
        let mut pools: Vec<ModelUnit> = Vec::with_capacity(graph.operators.len());
        for (index, operator) in graph.operators.iter().enumerate() {
            index_of.insert(operator.name.as_str(), index);
            pools.push(ModelUnit {
                pool: StakeUnit {
                    operator: operator.name.clone(),
                    service: None,
                },
                operator: index,
                stake: big(&operator.stake),
                services: Vec::new(),
            });
        }
        let mut services = Vec::with_capacity(graph.services.len());
        for (at, service) in graph.services.iter().enumerate() {
            let mut behind = Vec::with_capacity(service.operators.len());
            for edge in &service.operators {
                let Some(&operator) = index_of.get(edge.name()) else {
                    continue; // validate() has refused this
                };
                let Some(unique) = edge.unique().map(|unique| big(&unique)) else {
                    if let Some(pool) = pools.get_mut(operator) {
                        pool.services.push(at);
                    }
                    behind.push(operator);
                    continue;
                };
                if let Some(pool) = pools.get_mut(operator) {
                    pool.stake -= &unique;
                }
                behind.push(pools.len());
                pools.push(ModelUnit {
                    pool: StakeUnit {
                        operator: edge.name().to_owned(),
                        service: Some(service.name.clone()),
                    },
                    operator,
                    stake: unique,
                    services: vec![at],
                });
            }
            let cap = service
                .slash_cap
                .map_or_else(Rational::one, |cap| cap.to_rational());
            let profit = big(&service.profit);
            services.push(ModelService {
                name: service.name.clone(),
                weighted: Rational::from_integer(profit.clone()) / &cap,
                profit,
                alpha: service.alpha.to_rational(),
                cap,
                pools: behind,
            });
        }
        Ok(Self {
            pools,
            services,
            operators: graph.operators.iter().map(|o| o.name.clone()).collect(),
        })
    }

    pub(super) fn stake_of(&self, pools: &[usize]) -> BigInt {
        pools
            .iter()
            .filter_map(|&pool| self.pools.get(pool))
            .map(|pool| &pool.stake)
            .sum()
    }

    pub(super) fn total(&self) -> BigInt {
        self.pools.iter().map(|pool| &pool.stake).sum()
    }

    /// Least stake that corrupts the service. Stakes are integers, so rounding up loses nothing.
    pub(super) fn needed(&self, service: &ModelService) -> BigInt {
        let behind = Rational::from_integer(self.stake_of(&service.pools));
        (behind * &service.alpha).ceil().to_integer()
    }

    /// The model without these pools and services; indices stay, what is gone has no stake, no profit and no edges.
    pub(super) fn without(&self, pools: &[usize], services: &[usize]) -> Self {
        let mut left = self.clone();
        for &gone in pools {
            if let Some(pool) = left.pools.get_mut(gone) {
                pool.stake = BigInt::zero();
                pool.services.clear();
            }
            for service in &mut left.services {
                service.pools.retain(|&pool| pool != gone);
            }
        }
        for &gone in services {
            if let Some(service) = left.services.get_mut(gone) {
                service.profit = BigInt::zero();
                service.weighted = Rational::zero();
                service.pools.clear();
            }
            for pool in &mut left.pools {
                pool.services.retain(|&service| service != gone);
            }
        }
        left
    }
}
