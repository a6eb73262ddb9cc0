//! What must hold after every step of every trace.

use std::collections::BTreeMap;

use alloy_primitives::{U256, U512};
use ashlar_proto::{OperatorId, QuorumId};

use super::super::*;

type MemberKey = (ServiceId, QuorumId, OperatorId);

/// What is remembered of earlier steps.
#[derive(Default)]
pub(crate) struct Watch {
    /// Every weight at the end of some blocks that are over.
    history: BTreeMap<Block, BTreeMap<MemberKey, Amount>>,
    rebased_down: bool,
}

fn wide(amount: Amount) -> U512 {
    U512::from(amount.0)
}

/// Everything that one state must satisfy.
pub(crate) fn check(state: &State) {
    state.check_books().unwrap();
    let block = state.meta.block;
    // Tables show the bond that is held.
    for ((service, id), disperser) in state.dispersers.iter() {
        if disperser.standing == Standing::Active {
            let (_, shown) = state.last_bond(*service, *id, block).unwrap();
            assert_eq!(shown, disperser.bond, "bond of disperser {id}");
        }
    }
    let one = wide(Wad::ONE.times(Wad::ONE));
    // op · 10^36 >= Σ ⌊s·k⌋ · m · l
    let mut owed: BTreeMap<(Option<OperatorId>, StrategyId), U512> = BTreeMap::new();
    for ((staker, strategy), position) in state.positions.iter() {
        let (operator, m, l) = state.factors(*staker, *strategy);
        let n = position.scaled_shares(position.shares).unwrap();
        *owed.entry((operator, *strategy)).or_default() += wide(n) * wide(m.times(l));
        assert!(
            state
                .stakers
                .get(staker)
                .unwrap()
                .strategies
                .contains(strategy)
        );
    }
    for ((operator, strategy), owed) in owed {
        let held = match operator {
            Some(operator) => state.pool_ref(operator, strategy).shares,
            None => state.strategy(strategy).unwrap().idle,
        };
        assert!(
            wide(held) * one >= owed,
            "operator {operator:?} strategy {strategy}: {held} does not cover"
        );
    }
    // B >= Σ w·m/m_q (as rationals), matured = Σ payable, windows close on time.
    let mut queues: BTreeMap<(Option<OperatorId>, StrategyId), (U512, u64)> = BTreeMap::new();
    let mut matured: BTreeMap<StrategyId, Amount> = BTreeMap::new();
    let fine = U512::from(10u64).pow(U512::from(30u64));
    for (_, entry) in state.withdrawals.iter() {
        assert_eq!(
            entry.payable.is_some(),
            block > entry.end,
            "slashable exactly until the end"
        );
        match entry.payable {
            Some(payable) => {
                let sum = matured.entry(entry.strategy).or_default();
                *sum = sum.plus(payable).unwrap();
            }
            None => {
                let m = entry
                    .operator
                    .map_or(Wad::ONE, |id| state.pool_ref(id, entry.strategy).magnitude);
                let queue = queues.entry((entry.operator, entry.strategy)).or_default();
                // Thirty digits behind the point, rounded down.
                queue.0 +=
                    wide(entry.shares) * U512::from(m.0) * fine / U512::from(entry.magnitude.0);
                queue.1 += 1;
            }
        }
    }
    for ((operator, strategy), pool) in state.pools.iter() {
        let (due, open) = queues
            .remove(&(Some(*operator), *strategy))
            .unwrap_or_default();
        assert!(
            wide(pool.queued) * fine >= due,
            "the queue of {operator} does not cover"
        );
        assert_eq!(pool.open, open);
        assert!(open > 0 || pool.queued.is_zero());
        assert!(pool.encumbered <= pool.magnitude, "encumbered <= maximum");
        let encumbered: u64 = state
            .allocations(*operator)
            .filter(|((_, of, _, _), _)| of == strategy)
            .map(|(_, allocation)| match allocation.pending {
                Some(Pending::Up { by, .. }) => allocation.magnitude.0 + by.0,
                _ => allocation.magnitude.0,
            })
            .sum();
        assert_eq!(
            encumbered, pool.encumbered.0,
            "encumbered = sum of allocations"
        );
    }
    for (id, strategy) in state.strategies() {
        let (due, open) = queues.remove(&(None, id)).unwrap_or_default();
        assert!(wide(strategy.idle_queued) * fine >= due);
        assert_eq!(strategy.idle_open, open);
        let sum = matured.remove(&id).unwrap_or_default();
        assert_eq!(strategy.matured, sum, "matured = sum of payables");
    }
    assert!(queues.is_empty() && matured.is_empty());
    for ((service, quorum, id), member) in state.members.iter() {
        let config = &state.quorums.get(&(*service, *quorum)).unwrap().config;
        let weight = state.weight_of(*id, *service, *quorum, config).unwrap();
        let expected = if member.active && weight >= config.minimum_weight {
            weight
        } else {
            Amount::ZERO
        };
        assert_eq!(member.weight, expected, "weight follows stake");
        assert_eq!(state.weight_at(*service, *quorum, id, block), expected);
        assert!(member.slashable_until.is_none_or(|until| block <= until));
    }
    check_rewards(state);
    check_challenges(state);
    check_dispersers(state);
    check_payments(state);
    for (id, _) in state.vaults() {
        check_vault(state, id);
    }
}

fn check_rewards(state: &State) {
    let mut claimed: BTreeMap<_, Amount> = BTreeMap::new();
    for ((_, token), amount) in state.claims.iter() {
        let sum = claimed.entry(*token).or_default();
        *sum = sum.plus(*amount).unwrap();
    }
    for (token, fund) in state.funds.iter() {
        assert!(fund.claimed <= fund.paid_in, "claims <= funds");
        let sum = claimed.remove(token).unwrap_or_default();
        assert_eq!(fund.claimed, sum, "claimed = sum of claims");
    }
    assert!(claimed.is_empty());
}

fn check_challenges(state: &State) {
    let block = state.meta.block;
    let mut to_operator: BTreeMap<_, u32> = BTreeMap::new();
    for (number, challenge) in state.challenges() {
        assert!(
            challenge.opened <= block && block <= challenge.deadline,
            "open until the deadline and no longer"
        );
        let key = (
            challenge.service,
            challenge.operator,
            challenge.challenger,
            challenge.blob_key,
        );
        assert_eq!(state.challenged.get(&key), Some(&number));
        *to_operator
            .entry((challenge.service, challenge.operator))
            .or_default() += 1;
    }
    assert_eq!(state.challenged.iter().count(), state.challenges().count());
    for ((service, _), open) in to_operator {
        let service = state.service(service).unwrap();
        let terms = service.custody.unwrap();
        assert!(open <= terms.max_open_per_operator && service.challenges <= terms.max_open);
    }
    let mut paid: BTreeMap<_, Amount> = BTreeMap::new();
    for ((_, token), amount) in state.bonds_paid.iter() {
        let sum = paid.entry(*token).or_default();
        *sum = sum.plus(*amount).unwrap();
    }
    for (token, fund) in state.bonds.iter() {
        let sum = paid.remove(token).unwrap_or_default();
        let out = fund.to_operators.plus(fund.returned).unwrap();
        assert_eq!(out, sum, "bonds paid = sum of payments");
        let kept = out.plus(fund.held).unwrap().plus(fund.burnt).unwrap();
        assert_eq!(kept, fund.paid_in, "bonds are kept");
    }
    assert!(paid.is_empty());
}

fn check_dispersers(state: &State) {
    let block = state.meta.block;
    let mut shown = 0;
    for ((service, id), record) in state.dispersers.iter() {
        let of = state.service(*service).unwrap();
        assert!(*id < of.next_disperser && of.bonded <= of.dispersers.max);
        assert!(record.from <= block && record.until.is_none_or(|until| until <= block));
        let active = record.standing == Standing::Active;
        assert_eq!(active, record.until.is_none(), "tables show the active");
        if active {
            shown += 1;
            let key = (*service, record.network_key);
            assert_eq!(state.disperser_keys.get(&key), Some(id));
            assert!(record.bond >= of.dispersers.min_bond);
        }
        if let Standing::Exiting { slashable_until } = record.standing {
            assert!(block <= slashable_until, "bonds come back in time");
        }
    }
    assert_eq!(state.disperser_keys.iter().count(), shown);
}

/// That sums agree is checked with the books.
fn check_payments(state: &State) {
    let block = state.meta.block;
    for (key, payee) in state.payees.iter() {
        let terms = state.market(key.0).unwrap().terms;
        let paid = payee.to_disperser.plus(payee.to_operators).unwrap();
        let share = paid.basis_points(terms.operators_bps).unwrap();
        assert_eq!(payee.to_operators, share, "the share of operators");
    }
    let mut reserved: BTreeMap<ServiceId, Vec<HeldReservation>> = BTreeMap::new();
    for ((service, disperser, account), record) in state.payment_accounts.iter() {
        let terms = state.account_terms(*service, *disperser, *account);
        let terms = terms.unwrap();
        assert!(terms.redeemed <= terms.funded, "vouchers are covered");
        assert!(terms.funded <= record.covered().unwrap().0);
        if let Some(held) = record.reservation {
            assert!(held.from <= held.settled && block <= held.until);
            reserved.entry(*service).or_default().push(held);
        }
    }
    // In every block that is to come exactly what is held, and no more than there is.
    for ((service, from), rows) in state
        .reserved
        .iter()
        .filter(|((_, from), _)| *from >= block)
    {
        let held = reserved.get(service).into_iter().flatten();
        let sum: u64 = held
            .filter(|held| (held.from..held.until).contains(from))
            .map(|held| u64::from(held.rows_per_second))
            .sum();
        assert_eq!(*rows, sum, "reserved rows of block {from}");
        assert!(*rows <= state.market(*service).unwrap().terms.capacity.into());
    }
    for (service, held) in &reserved {
        for one in held {
            assert!(state.reserved.contains(&(*service, one.until)));
        }
    }
}

/// What the rewards of operators and stakers were paid, and nothing else came into their fund.
fn check_income(before: &State, after: &State, events: &[Event]) {
    let mut income: BTreeMap<_, Amount> = BTreeMap::new();
    for event in events {
        let (token, amount) = match event {
            Event::RewardPaid { token, amount, .. } => (token, amount),
            Event::VaultDistributed {
                token,
                amount,
                kind: RewardKind::Fee | RewardKind::Bounty | RewardKind::Incentive,
                ..
            } => (token, amount),
            _ => continue,
        };
        let sum = income.entry(*token).or_default();
        *sum = sum.plus(*amount).unwrap();
    }
    for (token, fund) in after.funds.iter() {
        let came = income.remove(token).unwrap_or_default();
        let then = before.fund(*token).paid_in;
        assert_eq!(fund.paid_in, then.plus(came).unwrap(), "rewards of {token}");
    }
    assert!(income.is_empty());
}

fn check_vault(state: &State, id: VaultId) {
    let vault = state.vault(id).unwrap();
    let held = state
        .vault_holders(id)
        .fold(U256::ZERO, |sum, (_, shares)| sum + shares.0);
    let (mut queued, mut asked, mut payable) = (U256::ZERO, U256::ZERO, U256::ZERO);
    for (number, request) in state.vault_requests(id) {
        assert_eq!(
            request.payable.is_some(),
            number < vault.next_final,
            "first in, first out"
        );
        match request.payable {
            Some(amount) => {
                assert!(amount <= request.asked);
                payable += amount.0;
            }
            None => {
                queued += request.shares.0;
                asked += request.asked.0;
            }
        }
    }
    assert_eq!(held + queued, vault.shares.0, "vault shares");
    assert_eq!(asked, vault.asked.0);
    assert_eq!(payable, vault.reserved.0);
}

impl Watch {
    /// Before the ledger leaves its block for `next`.
    pub(crate) fn remember(&mut self, state: &State, next: Block) {
        let block = state.meta.block;
        if next > block {
            let weights = state
                .members
                .iter()
                .map(|(key, member)| (*key, member.weight))
                .collect();
            self.history.insert(block, weights);
        }
    }

    /// What a step may do and what not.
    pub(crate) fn compare(
        &mut self,
        before: &State,
        after: &State,
        action: Option<&Action>,
        events: &[Event],
    ) {
        check(after);
        check_income(before, after, events);
        for (key, record) in before.payment_accounts.iter() {
            let now = after.payment_accounts.get(key).unwrap();
            assert!(now.redeemed >= record.redeemed, "vouchers only rise");
        }
        for (key, pool) in before.pools.iter() {
            let now = after.pools.get(key).unwrap();
            assert!(now.magnitude <= pool.magnitude, "magnitudes never grow");
        }
        for (key, amount) in before.claims.iter() {
            assert!(
                after.claims.get(key).unwrap() >= amount,
                "claims never fall"
            );
        }
        for event in events {
            if let Event::Slashed {
                operator,
                service,
                quorum,
                strategy,
                ..
            } = event
            {
                isolation(
                    before,
                    after,
                    (*operator, *strategy, *service, *quorum),
                    events,
                );
            }
        }
        match action {
            Some(Action::Rebase { strategy, balance }) => {
                self.rebased_down |= *balance < before.strategy(*strategy).unwrap().balance;
            }
            Some(Action::BeaconBalance { .. }) => {}
            _ if events.iter().any(|e| matches!(e, Event::Slashed { .. })) => {}
            _ => self.rates(before, after, action),
        }
    }

    fn rates(&self, before: &State, after: &State, step: Option<&Action>) {
        for (id, _) in before.vaults() {
            let (a0, s0) = before.vault_rate(id).unwrap();
            let (a1, s1) = after.vault_rate(id).unwrap();
            let (then, now) = (wide(a0) * wide(s1), wide(a1) * wide(s0));
            if self.rebased_down && matches!(step, Some(Action::VaultReport { .. })) {
                let cap = U512::from(10_000u64);
                assert!(now * cap + wide(s0) * wide(s1) * cap >= then * (cap - U512::from(3u64)));
            } else {
                assert!(
                    now >= then,
                    "the rate fell from {a0}/{s0} to {a1}/{s1} by {step:?}"
                );
            }
            if !self.rebased_down {
                let held = after.vault_holdings(id).unwrap();
                let tolerance = Amount::from(TOLERANCE);
                assert!(
                    held.plus(tolerance).unwrap() >= a1,
                    "the vault holds what it counts"
                );
            }
        }
    }

    /// History, once more and all of it.
    pub(crate) fn finish(&self, state: &State) {
        for (block, weights) in &self.history {
            for (key, _) in state.members.iter() {
                let then = weights.get(key).copied().unwrap_or_default();
                let (service, quorum, id) = key;
                assert_eq!(
                    state.weight_at(*service, *quorum, id, *block),
                    then,
                    "history of block {block} changed"
                );
            }
        }
    }
}

/// A slash by one quorum leaves every other allocation's magnitude, and its value but for one unit of rounding upwards (for each
/// slash: several challenges can end between two blocks).
fn isolation(before: &State, after: &State, slashed: AllocationKey, events: &[Event]) {
    let by = |key: &AllocationKey| {
        events.iter().any(|event| {
            matches!(event, Event::Slashed { operator, service, quorum, strategy, .. }
                if (*operator, *strategy, *service, *quorum) == *key)
        })
    };
    // What takes effect by itself between two blocks is nobody's slash.
    let due = |key: &AllocationKey| {
        events.iter().any(|event| {
            matches!(event, Event::AllocationInEffect { operator, service, quorum, strategy, .. }
                if (*operator, *strategy, *service, *quorum) == *key)
        })
    };
    let slashes = |key: &AllocationKey| {
        let of_pool = |event: &&Event| {
            matches!(event, Event::Slashed { operator, strategy, .. }
                if (*operator, *strategy) == (key.0, key.1))
        };
        events.iter().filter(of_pool).count() as u64
    };
    for (key, allocation) in before
        .allocations
        .iter()
        .filter(|(key, _)| !by(key) && !due(key))
    {
        let now = after.allocations.get(key).unwrap();
        assert_eq!(allocation, now, "isolation of magnitudes");
        if key.0 != slashed.0 {
            continue;
        }
        let value = |state: &State| {
            let pool = state.pool_ref(key.0, key.1);
            if pool.magnitude.is_zero() {
                return Amount::ZERO;
            }
            pool.shares
                .mul_div(allocation.magnitude.into(), pool.magnitude.into())
                .unwrap()
        };
        let (then, now) = (value(before), value(after));
        assert!(
            now >= then && now <= then.plus(slashes(key).into()).unwrap(),
            "isolation of values: {then} then {now}"
        );
    }
}
