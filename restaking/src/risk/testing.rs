//! Graphs for the tests, by hand and at random, and the twin of the search that tries every coalition.

use num_traits::Zero;

use super::*;
use ashlar_proto::Stake;

pub(super) fn share(numerator: u64, denominator: u64) -> Fraction {
    Fraction::new(numerator, denominator).unwrap()
}

pub(super) fn ratio(numerator: i64, denominator: i64) -> Rational {
    Rational::new(numerator.into(), denominator.into())
}

pub(super) fn slack(numerator: i64, denominator: i64) -> Slack {
    Slack::Finite(ratio(numerator, denominator))
}

/// Operators by stake, named `a`, `b`, …
pub(super) fn graph(stakes: &[u64], services: Vec<ServiceNode>) -> Graph {
    Graph {
        operators: stakes
            .iter()
            .enumerate()
            .map(|(at, &stake)| OperatorNode {
                name: name(at),
                stake: Stake::from(stake),
            })
            .collect(),
        services,
    }
}

pub(super) fn name(at: usize) -> String {
    char::from(b'a' + at as u8).to_string()
}

/// A service secured by the common stake of these operators.
pub(super) fn service(name: &str, profit: u64, alpha: Fraction, operators: &str) -> ServiceNode {
    ServiceNode {
        name: name.to_owned(),
        profit: Stake::from(profit),
        alpha,
        slash_cap: None,
        operators: operators
            .chars()
            .map(|c| Edge::Common(c.to_string()))
            .collect(),
    }
}

pub(super) fn unique(name: &str, unique: u64) -> Edge {
    Edge::Unique {
        name: name.to_owned(),
        unique: Stake::from(unique),
    }
}

/// A small generator with its state outside: the same graphs in every run, on every machine.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// A number below `end`.
    pub(super) fn roll(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ (x >> 31)) % end
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caps {
    None,
    Mixed,
}

/// Up to six operators and four services; now and then an operator without stake, a service without profit or without
/// operators, and allocations.
pub(super) fn random(dice: &mut Dice, stake: u64, profit: u64, caps: Caps) -> Graph {
    let operators = 1 + dice.roll(6) as usize;
    let stakes: Vec<u64> = (0..operators)
        .map(|_| {
            if dice.roll(12) == 0 {
                0
            } else {
                1 + dice.roll(stake)
            }
        })
        .collect();
    let mut unallocated = stakes.clone();
    let services = (0..1 + dice.roll(4))
        .map(|at| {
            let isolated = dice.roll(4) == 0;
            let edges = (0..operators)
                .filter_map(|operator| {
                    if dice.roll(5) < 2 {
                        return None;
                    }
                    Some(if isolated {
                        let part = dice.roll(unallocated[operator] + 1);
                        unallocated[operator] -= part;
                        unique(&name(operator), part)
                    } else {
                        Edge::Common(name(operator))
                    })
                })
                .collect();
            ServiceNode {
                name: format!("s{at}"),
                profit: Stake::from(dice.roll(profit + 1)),
                alpha: [
                    share(1, 3),
                    share(1, 2),
                    share(2, 3),
                    share(1, 1),
                    share(1, 10),
                ][dice.roll(5) as usize],
                slash_cap: match caps {
                    Caps::None => None,
                    Caps::Mixed => {
                        [None, Some(share(1, 2)), Some(share(1, 5))][dice.roll(3) as usize]
                    }
                },
                operators: edges,
            }
        })
        .collect();
    graph(&stakes, services)
}

/// One coalition and one set of services that it attacks, as the definition has it.
pub(super) struct NaiveAttack {
    pub(super) profit: Rational,
    pub(super) weighted: Rational,
    pub(super) stake: Rational,
    pub(super) loss: Rational,
}

/// Every coalition with every set of services that it can attack. From the graph itself; shares nothing with the search.
pub(super) fn every_attack(graph: &Graph) -> Vec<NaiveAttack> {
    // (operator, only service, stake)
    let mut pools: Vec<(String, Option<String>, u64)> = Vec::new();
    for operator in &graph.operators {
        let mut left = operator.stake.to::<u64>();
        for service in &graph.services {
            for edge in service
                .operators
                .iter()
                .filter(|e| e.name() == operator.name)
            {
                if let Some(unique) = edge.unique() {
                    left -= unique.to::<u64>();
                    pools.push((
                        operator.name.clone(),
                        Some(service.name.clone()),
                        unique.to(),
                    ));
                }
            }
        }
        pools.push((operator.name.clone(), None, left));
    }
    pools.retain(|(_, _, stake)| *stake > 0);
    let serves = |pool: &(String, Option<String>, u64), service: &ServiceNode| {
        service.operators.iter().any(|edge| {
            edge.name() == pool.0
                && match &pool.1 {
                    Some(only) => edge.unique().is_some() && *only == service.name,
                    None => edge.unique().is_none(),
                }
        })
    };
    let mut attacks = Vec::new();
    for coalition in 0u32..1 << pools.len() {
        let members: Vec<_> = pools
            .iter()
            .enumerate()
            .filter(|(at, _)| coalition >> at & 1 == 1)
            .map(|(_, pool)| pool)
            .collect();
        let stake: u64 = members.iter().map(|(_, _, stake)| stake).sum();
        let open: Vec<&ServiceNode> = graph
            .services
            .iter()
            .filter(|service| {
                let corrupt: u64 = members
                    .iter()
                    .filter(|pool| serves(pool, service))
                    .map(|pool| pool.2)
                    .sum();
                let behind: u64 = pools
                    .iter()
                    .filter(|pool| serves(pool, service))
                    .map(|pool| pool.2)
                    .sum();
                corrupt * service.alpha.denominator() >= behind * service.alpha.numerator()
            })
            .collect();
        for chosen in 0u32..1 << open.len() {
            let attacked: Vec<_> = open
                .iter()
                .enumerate()
                .filter(|(at, _)| chosen >> at & 1 == 1)
                .map(|(_, service)| *service)
                .collect();
            let cap =
                |service: &ServiceNode| service.slash_cap.unwrap_or(Fraction::ONE).to_rational();
            let mut attack = NaiveAttack {
                profit: Rational::zero(),
                weighted: Rational::zero(),
                stake: Rational::from_integer(stake.into()),
                loss: Rational::zero(),
            };
            for service in &attacked {
                let profit = Rational::from_integer(service.profit.to::<u64>().into());
                attack.weighted += &profit / cap(service);
                attack.profit += profit;
            }
            for pool in &members {
                let caps = attacked
                    .iter()
                    .filter(|service| serves(pool, service))
                    .map(|s| cap(s));
                if let Some(cap) = caps.max() {
                    attack.loss += Rational::from_integer(pool.2.into()) * cap;
                }
            }
            attacks.push(attack);
        }
    }
    attacks
}

/// The exact slack by trying everything.
pub(super) fn naive_slack(graph: &Graph) -> Slack {
    every_attack(graph)
        .iter()
        .map(|attack| Slack::of(&attack.stake, &attack.weighted))
        .min()
        .unwrap_or(Slack::Unbounded)
}

/// The most that an attack earns above its stake, if any does.
pub(super) fn naive_surplus(graph: &Graph) -> Option<Rational> {
    every_attack(graph)
        .into_iter()
        .map(|attack| attack.weighted - attack.stake)
        .max()
        .filter(|surplus| *surplus > Rational::zero())
}
