//! One worked example of each number.

use super::super::distribution::{Distribution, OperatorShare, share_out, split_reward};
use super::super::testing::*;
use super::super::*;

fn ether(whole: u64) -> Amount {
    Amount::ether(whole)
}

fn amount(text: &str) -> Amount {
    text.parse().unwrap()
}

fn deposit(strategy: StrategyId, amount: Amount) -> Action {
    Action::Deposit { strategy, amount }
}

fn queue_all(strategy: StrategyId) -> Action {
    Action::QueueWithdrawal {
        strategy,
        shares: None,
    }
}

fn queued(events: &[Event]) -> (u64, Amount) {
    events
        .iter()
        .find_map(|event| match event {
            Event::WithdrawalQueued {
                withdrawal, shares, ..
            } => Some((*withdrawal, *shares)),
            _ => None,
        })
        .unwrap()
}

fn worth(lab: &Lab, staker: u8) -> Amount {
    lab.state.positions(account(staker)).unwrap()[0].withdrawable
}

#[test]
fn shares_have_a_virtual_offset() {
    let mut lab = Lab::new();
    // 1 wei deposited, 10^18 donated: the next one still gets shares, and most of the donation went to the offset.
    lab.ok(1, deposit(3, 1u64.into()));
    lab.ok(
        1,
        Action::Donate {
            strategy: 3,
            amount: ether(1),
        },
    );
    let strategy = lab.state.strategy(3).unwrap();
    // ⌊10^18 · (1 + 1000) / (1 + 10^18 + 1000)⌋
    assert_eq!(strategy.shares_for(ether(1)).unwrap(), 1000u64.into());
    assert_eq!(
        strategy.tokens_for(1u64.into()).unwrap(),
        amount("999000999001000")
    );
    lab.ok(
        ORACLE,
        Action::Rebase {
            strategy: 2,
            balance: ether(300),
        },
    );
    // 200 whole shares, 300 whole tokens: a token is two thirds of a share, less a dust of the offset.
    let strategy = lab.state.strategy(2).unwrap();
    let shares = strategy.shares_for(ether(3)).unwrap();
    // ⌊3·10^18 · (2·10^20 + 1000) / (3·10^20 + 1000)⌋
    assert_eq!(shares, amount("2000000000000000003"));
    assert!(strategy.tokens_for(shares).unwrap() <= ether(3));
}

#[test]
fn a_slash_takes_of_everybody_who_delegates_and_of_nobody_who_comes_later() {
    let mut lab = Lab::new();
    lab.ok(1, deposit(2, ether(50)));
    lab.ok(
        1,
        Action::Delegate {
            operator: operator_key(0),
        },
    );
    lab.join(0, Wad::percent(40));
    // Half of 40 %: the magnitude falls from 1 to 0.8, so does everybody's stake.
    let events = lab.ok(SLASHER, lab.slash(0, Wad::percent(50)));
    let Event::Slashed {
        magnitude,
        shares,
        tokens,
        ..
    } = &events[0]
    else {
        panic!("{events:?}")
    };
    assert_eq!(*magnitude, Wad::percent(20));
    assert_eq!(*shares, ether(30));
    assert_eq!(*tokens, ether(30));
    let pool = lab.state.pools(operator_key(0)).next().unwrap().1;
    assert_eq!(pool.shares, ether(120));
    assert_eq!(pool.magnitude, Wad::percent(80));
    assert_eq!(pool.encumbered, Wad::percent(20));
    assert_eq!(worth(&lab, 1), ether(40));
    // A later deposit of 10 on 40: k = ⌊⌊(40 + 10)/(50 + 10)⌋ / 0.8⌋.
    lab.ok(1, deposit(2, ether(10)));
    let position = lab.state.positions(account(1)).unwrap()[0];
    assert_eq!(position.shares, ether(60));
    assert_eq!(position.scaling, amount("1041666666666666666"));
    // 62.49999999999999996 deposit shares at 0.8; rounding leaves 32 wei with the operator.
    assert_eq!(position.withdrawable, amount("49999999999999999968"));
    // Who comes new to the operator keeps what it brings: k = 1 / 0.8.
    lab.ok(2, deposit(2, ether(8)));
    lab.ok(
        2,
        Action::Delegate {
            operator: operator_key(0),
        },
    );
    let position = lab.state.positions(account(2)).unwrap()[0];
    assert_eq!(position.scaling, amount("1250000000000000000"));
    assert_eq!(position.withdrawable, ether(8));
}

#[test]
fn a_withdrawal_can_be_slashed_through_its_last_block_and_not_after() {
    let delay = params().withdrawal_delay;
    for (wait, expected) in [(0, 25), (delay, 25), (delay + 1, 50)] {
        let mut lab = Lab::new();
        lab.ok(1, deposit(2, ether(50)));
        lab.ok(
            1,
            Action::Delegate {
                operator: operator_key(0),
            },
        );
        lab.join(0, Wad::ONE);
        let (withdrawal, shares) = queued(&lab.ok(1, queue_all(2)));
        assert_eq!(shares, ether(50));
        lab.pass(wait);
        let complete = Action::CompleteWithdrawal {
            withdrawal,
            as_shares: false,
        };
        let done = lab.send(1, complete.clone()).is_ok();
        assert_eq!(done, wait > delay);
        if done {
            assert_eq!(lab.state.strategy(2).unwrap().paid, ether(expected));
            continue;
        }
        lab.ok(SLASHER, lab.slash(0, Wad::percent(50)));
        lab.pass(delay + 1);
        lab.ok(1, complete);
        assert_eq!(lab.state.strategy(2).unwrap().paid, ether(expected));
    }
}

#[test]
fn an_operator_that_left_can_be_slashed_through_the_last_block_of_its_delay() {
    let delay = params().deallocation_delay;
    for (wait, expected) in [(delay, true), (delay + 1, false)] {
        let mut lab = Lab::new();
        lab.join(0, Wad::ONE);
        lab.ok(
            0x40,
            Action::OptOut {
                service: 1,
                quorum: 0,
            },
        );
        lab.pass(wait);
        let result = lab.send(SLASHER, lab.slash(0, Wad::percent(1)));
        assert_eq!(result.is_ok(), expected, "{result:?}");
    }
}

#[test]
fn a_decrease_of_a_slashable_allocation_is_slashable_until_it_holds() {
    let delay = params().deallocation_delay;
    let allocate = |magnitude| Action::Allocate {
        service: 1,
        quorum: 0,
        strategy: 2,
        magnitude,
    };
    for (wait, expected) in [(delay, Wad::percent(30)), (delay + 1, Wad::percent(5))] {
        let mut lab = Lab::new();
        lab.join(0, Wad::percent(60));
        lab.ok(0x40, allocate(Wad::percent(10)));
        // Certain to the end: 10 % of 100, though 60 % can still be slashed.
        assert_eq!(
            lab.state.weight_at(1, 0, &operator_key(0), lab.block),
            ether(10)
        );
        lab.pass(wait);
        let events = lab.ok(SLASHER, lab.slash(0, Wad::percent(50)));
        let Event::Slashed { magnitude, .. } = &events[0] else {
            panic!("{events:?}")
        };
        assert_eq!(*magnitude, expected);
        // The pending part shrank with the rest: 30 of 60 are left, 25 of the 50 still go.
        lab.pass(2);
        let key = (operator_key(0), 2, 1, 0);
        let left = lab.state.allocations(operator_key(0)).next().unwrap();
        assert_eq!(
            left,
            (
                key,
                Allocation {
                    magnitude: Wad::percent(5),
                    pending: None
                }
            )
        );
        let pool = lab.state.pools(operator_key(0)).next().unwrap().1;
        assert_eq!(pool.encumbered, Wad::percent(5));
    }
}

#[test]
fn an_increase_encumbers_at_once_and_counts_after_the_delay() {
    let mut lab = Lab::new();
    lab.ok(0x42, World::register(2, 4));
    lab.ok(0x42, deposit(2, ether(100)));
    let allocate = |magnitude| Action::Allocate {
        service: 1,
        quorum: 0,
        strategy: 2,
        magnitude,
    };
    lab.ok(0x42, allocate(Wad::percent(50)));
    let pool = lab.state.pools(operator_key(2)).next().unwrap().1;
    assert_eq!(pool.encumbered, Wad::percent(50));
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 0,
    };
    lab.pass(3);
    assert_eq!(lab.code(0x42, opt_in.clone()), "service.below_minimum");
    lab.pass(1);
    lab.ok(0x42, opt_in);
    let key = (operator_key(2), 2, 1, 0);
    assert_eq!(lab.state.slashable_shares(&key).unwrap(), ether(50));
}

#[test]
fn penalties_lower_the_beacon_factor() {
    let mut lab = Lab::new();
    lab.ok(
        1,
        Action::AddValidator {
            strategy: 1,
            validator: 7,
        },
    );
    lab.ok(
        1,
        Action::Delegate {
            operator: operator_key(0),
        },
    );
    let beacon = |balance| Action::BeaconBalance {
        strategy: 1,
        staker: account(1),
        balance,
    };
    lab.ok(ORACLE, beacon(ether(24)));
    assert_eq!(worth(&lab, 1), ether(24));
    let pod = lab.state.staker(account(1)).unwrap().pod.clone().unwrap();
    assert_eq!(pod.factor, Wad::percent(75));
    assert_eq!(lab.state.strategy(1).unwrap().penalised, ether(8));
    // Another validator is worth all of its 32; rewards are a deposit.
    lab.ok(
        1,
        Action::AddValidator {
            strategy: 1,
            validator: 8,
        },
    );
    lab.ok(ORACLE, beacon(ether(57)));
    let now = worth(&lab, 1);
    assert!(
        now <= ether(57) && now.plus(100u64.into()).unwrap() >= ether(57),
        "{now}"
    );
    // A queued withdrawal shares a penalty until it is paid.
    let (withdrawal, _) = queued(&lab.ok(1, queue_all(1)));
    lab.pass(params().withdrawal_delay + 1);
    lab.ok(ORACLE, beacon(amount("28500000000000000000")));
    lab.ok(
        1,
        Action::CompleteWithdrawal {
            withdrawal,
            as_shares: false,
        },
    );
    let paid = lab.state.strategy(1).unwrap().paid;
    let half = amount("28500000000000000000");
    assert!(
        paid <= half && paid.plus(100u64.into()).unwrap() >= half,
        "{paid}"
    );
}

#[test]
fn rewards_go_to_the_operator_first_and_add_up() {
    let parts = share_out(100u64.into(), &[1u64.into(), 1u64.into(), 1u64.into()]).unwrap();
    assert_eq!(parts.unwrap(), [33u64.into(), 33u64.into(), 34u64.into()]);
    assert_eq!(share_out(100u64.into(), &[Amount::ZERO]).unwrap(), None);
    let operators = [OperatorShare {
        account: account(9),
        weight: 5u64.into(),
        split_bps: 1000,
        stakers: vec![(account(1), 3u64.into()), (account(2), 1u64.into())],
    }];
    let paid = split_reward(1001u64.into(), &operators).unwrap();
    // 10 % of 1001 is 100; three quarters of 901 are 675.
    assert_eq!(paid[&account(9)], 100u64.into());
    assert_eq!(paid[&account(1)], 675u64.into());
    assert_eq!(paid[&account(2)], 226u64.into());
}

#[test]
fn a_claim_is_refused_with_any_part_changed() {
    let mut distribution = Distribution::default();
    for number in 1..=5u8 {
        for token in 0xe0..=0xe2 {
            let earned = Amount::from(u64::from(number) * u64::from(token));
            distribution
                .add(account(number), account(token), earned)
                .unwrap();
        }
    }
    let root = distribution.root();
    let claim = distribution.claim(1, account(3)).unwrap();
    assert_eq!(claim.verify(&root), Ok(()));
    type Change = fn(&mut distribution::RewardClaim);
    let changes: [Change; 9] = [
        |c| c.earner = account(4),
        |c| c.earners += 1,
        |c| c.index += 1,
        |c| c.path[0] = Default::default(),
        |c| c.token_count -= 1,
        |c| c.tokens[0].cumulative = 1_000_000u64.into(),
        |c| c.tokens[0].token = account(9),
        |c| c.tokens[1].index = 0,
        |c| c.tokens_root = c.earners_root,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut bad = claim.clone();
        change(&mut bad);
        assert!(bad.verify(&root).is_err(), "change {number}");
    }
}

#[test]
fn a_vault_mints_down_burns_up_and_shares_a_slash() {
    let mut lab = Lab::new();
    lab.join(0, Wad::ONE);
    lab.ok(
        MANAGER,
        Action::CreateVault {
            name: "liquid".into(),
            strategy: 2,
            seed: ether(10),
            fee_bps: 1000,
            fee_recipient: account(MANAGER),
            cap_up_bps: CAP_UP_BPS,
            cap_down_bps: CAP_DOWN_BPS,
            profile: vec![(operator_key(0), 5000), (operator_key(1), 5000)],
        },
    );
    lab.ok(
        1,
        Action::VaultDeposit {
            vault: 1,
            amount: ether(90),
        },
    );
    lab.ok(
        MANAGER,
        Action::VaultStake {
            vault: 1,
            validators: Vec::new(),
        },
    );
    assert_eq!(lab.state.vault_holdings(1).unwrap(), ether(100));
    let staked: Vec<_> = lab
        .state
        .vault_profile(1)
        .map(|(_, part)| part.seen)
        .collect();
    assert_eq!(staked, [ether(50), ether(50)]);
    // Half of operator 0's stake is slashed: a quarter of the vault, for every holder.
    lab.ok(SLASHER, lab.slash(0, Wad::percent(50)));
    let (assets, shares) = lab.state.vault_rate(1).unwrap();
    assert_eq!(shares, ether(100));
    // One wei less than 75: losses round up.
    assert_eq!(assets, amount("74999999999999999999"));
    lab.ok(
        1,
        Action::VaultRequestWithdrawal {
            vault: 1,
            amount: Some(ether(3)),
        },
    );
    let request = lab.state.vault_requests(1).next().unwrap().1;
    // ⌈3 · 100 / 74.999999999999999999⌉
    assert_eq!(request.shares, amount("4000000000000000001"));
    // A gain of 10 % enters at 25 basis points a report, and a tenth of it is the fee.
    lab.ok(
        1,
        Action::Donate {
            strategy: 2,
            amount: ether(50),
        },
    );
    lab.pass(2);
    lab.ok(1, Action::VaultReport { vault: 1 });
    let (after, with_fee) = lab.state.vault_rate(1).unwrap();
    assert_eq!(after, amount("75187499999999999998"));
    assert!(with_fee > shares);
    let fee = lab.state.vault_shares(1, account(MANAGER));
    assert_eq!(fee.plus(shares).unwrap(), with_fee);
    assert_eq!(
        lab.code(1, Action::VaultFinalize { vault: 1, count: 1 }),
        "vault.buffer"
    );
    lab.ok(
        MANAGER,
        Action::VaultUnstake {
            vault: 1,
            operator: operator_key(1),
            shares: Some(ether(10)),
        },
    );
    lab.pass(params().withdrawal_delay + 1);
    let staker = vault_account(1, &operator_key(1));
    let withdrawal = *lab
        .state
        .staker(staker)
        .unwrap()
        .withdrawals
        .first()
        .unwrap();
    lab.ok(
        1,
        Action::VaultCollect {
            vault: 1,
            withdrawal,
        },
    );
    lab.ok(1, Action::VaultFinalize { vault: 1, count: 5 });
    // The rate rose since, but no more is paid than was asked.
    assert_eq!(
        lab.state.vault_requests(1).next().unwrap().1.payable,
        Some(ether(3))
    );
    lab.ok(
        1,
        Action::VaultClaimWithdrawal {
            vault: 1,
            request: 1,
        },
    );
    assert!(lab.state.vault_requests(1).next().is_none());
}

#[test]
fn one_distribution_across_vaults_counts_each_source_once() {
    let mut lab = Lab::new();
    for vault in 1..=2u32 {
        lab.ok(
            MANAGER,
            Action::CreateVault {
                name: "liquid".into(),
                strategy: 2,
                seed: ether(1),
                fee_bps: 0,
                fee_recipient: account(MANAGER),
                cap_up_bps: CAP_UP_BPS,
                cap_down_bps: CAP_DOWN_BPS,
                profile: vec![(operator_key(0), 10_000)],
            },
        );
        lab.ok(
            1,
            Action::VaultDeposit {
                vault,
                amount: ether(3),
            },
        );
        lab.ok(
            2,
            Action::VaultDeposit {
                vault,
                amount: ether(u64::from(vault)),
            },
        );
    }
    let source = |vault, byte| Action::VaultSource {
        vault,
        source: alloy_primitives::B256::repeat_byte(byte),
        kind: RewardKind::Incentive,
        token: account(0xe5),
        amount: 1000u64.into(),
    };
    lab.ok(MANAGER, source(1, 1));
    assert_eq!(lab.code(MANAGER, source(2, 1)), "reward.same_source");
    lab.ok(MANAGER, source(2, 2));
    let mut taken = Vec::new();
    for vault in 1..=2 {
        let distribute = Action::VaultDistribute {
            vault,
            token: account(0xe5),
        };
        for event in lab.ok(UPDATER, distribute.clone()) {
            if let Event::VaultDistributed {
                vault,
                token,
                amount,
                ..
            } = event
            {
                taken.push((vault, token, amount));
            }
        }
        assert_eq!(lab.code(UPDATER, distribute), "ledger.zero_amount");
    }
    let sums = lab.state.vault_rewards(&taken).unwrap();
    // 3:1 of 1000 and 3:2 of 1000; one sum for each holder.
    assert_eq!(sums[&(account(1), account(0xe5))], 1350u64.into());
    assert_eq!(sums[&(account(2), account(0xe5))], 650u64.into());
    assert_eq!(lab.state.fund(account(0xe5)).paid_in, 2000u64.into());
}

#[test]
fn presets_keep_the_timing_rule() {
    let current = Params::current();
    assert_eq!(current.check(), Ok(()));
    assert_eq!(current.withdrawal_delay, 100_800);
    assert_eq!(current.timing.total(), 100_800);
    let classic = Params::classic();
    assert_eq!(classic.check(), Ok(()));
    assert_eq!(classic.withdrawal_delay, 50_400);
    assert_eq!(classic.slash_cap, Wad::percent(50));
    for factor in [0, 1, 7, 1000, 1 << 40] {
        assert_eq!(Params::current().faster(factor).check(), Ok(()), "{factor}");
    }
    let mut late = Params::current();
    late.timing.margin += 1;
    assert_eq!(
        late.check(),
        Err(TransactionError::Timing {
            got: 100_801,
            expected: 100_800
        })
    );
}

#[test]
fn json_has_one_form() {
    let transaction = Transaction {
        sender: account(1),
        action: deposit(2, ether(32)),
    };
    let text = serde_json::to_string(&transaction).unwrap();
    assert_eq!(
        text,
        r#"{"sender":"0x0101010101010101010101010101010101010101","action":{"type":"deposit","strategy":2,"amount":"32000000000000000000"}}"#
    );
    assert_eq!(
        serde_json::from_str::<Transaction>(&text).unwrap(),
        transaction
    );
    for bad in ["32", "\"032\"", "\"-1\"", "\"1e3\"", "\"\""] {
        let text = text.replace("\"32000000000000000000\"", bad);
        assert!(serde_json::from_str::<Transaction>(&text).is_err(), "{bad}");
    }
    assert!("1000000000000000001".parse::<Wad>().is_err());
    assert_eq!(
        serde_json::to_string(&Action::Undelegate {}).unwrap(),
        r#"{"type":"undelegate"}"#
    );
}

#[test]
fn mul_div_agrees_with_wide_integers() {
    use alloy_primitives::{U256, U512};
    let mut world = World::new(3);
    for _ in 0..20_000 {
        let mut wide = || {
            let bits = world.below(257) as usize;
            let limbs = [world.draw(), world.draw(), world.draw(), world.draw()];
            let all = U256::from_limbs(limbs);
            if bits == 0 {
                U256::ZERO
            } else {
                all >> (256 - bits)
            }
        };
        let (a, b, c) = (wide(), wide(), wide());
        if c.is_zero() {
            assert!(Amount(a).mul_div(Amount(b), Amount(c)).is_err());
            continue;
        }
        let product: U512 = U512::from(a) * U512::from(b);
        let (down, rest) = product.div_rem(U512::from(c));
        let up = down + U512::from(u64::from(!rest.is_zero()));
        let expect = |wide: U512| (wide <= U512::from(U256::MAX)).then_some(wide);
        let got =
            |result: Result<Amount, TransactionError>| result.ok().map(|got| U512::from(got.0));
        assert_eq!(got(Amount(a).mul_div(Amount(b), Amount(c))), expect(down));
        assert_eq!(got(Amount(a).mul_div_up(Amount(b), Amount(c))), expect(up));
    }
}
