//! Rewards, vaults, points.

use alloy_primitives::B256;
use ashlar_restaking::distribution::{Distribution, OperatorShare, split_reward};

use super::*;

#[test]
fn rewards_split() {
    let operators = [OperatorShare {
        account: OTTO,
        weight: wei("5"),
        split_bps: DEFAULT_SPLIT_BPS,
        stakers: vec![(ALICE, wei("3")), (BOB, wei("1"))],
    }];
    let paid = split_reward(wei("1001"), &operators).unwrap();
    let parts = [OTTO, ALICE, BOB].map(|who| paid[&who].to_string());
    assert_eq!(parts, ["100", "675", "226"]);
    says(
        "of 1001 wei Otto gets ⌊10 %⌋ = 100, of the other 901 Alice ⌊3/4⌋ = 675 and Bob the rest, 226",
    );
    // On the ledger: Otto's own stake is a staker like any other.
    let mut ledger = Ledger::market(Params::current());
    ledger.deposit(ALICE, ether(50));
    ledger.delegate(ALICE, OTTO);
    ledger.join(OTTO, Wad::percent(40));
    let shares = ledger.state.reward_shares(1, 0, ether(3)).unwrap();
    assert_eq!(
        (shares[&OTTO], shares[&ALICE]),
        (wei("2100000000000000000"), wei("900000000000000000"))
    );
    says("a fee of 3 ETH: 0.3 + 1.8 = 2.1 for Otto, 0.9 for Alice");
}

#[test]
fn rewards_are_claimed_cumulatively() {
    // What Alice is paid by the first claim and by the second, if she makes the first at all.
    let paid = |first: bool| {
        let mut ledger = Ledger::market(Params::current());
        let mut all = Distribution::default();
        let mut paid = Vec::new();
        for (number, amount) in [(1, 100u64), (2, 150)] {
            let pay = Action::PayReward {
                service: 1,
                token: TOKEN,
                amount: ether(amount),
                kind: RewardKind::Fee,
            };
            ledger.ok(OWNER, pay);
            all.add(ALICE, TOKEN, ether(amount)).unwrap();
            let root = all.root();
            ledger.ok(ADMIN, Action::SubmitRoot { root });
            let claim = Action::ClaimReward {
                claim: all.claim(number, ALICE).unwrap(),
            };
            assert_eq!(ledger.code(BOB, claim.clone()), "reward.root_early");
            ledger.pass(ledger.state.meta().params.root_delay);
            if number == 1 && !first {
                continue;
            }
            let events = ledger.ok(BOB, claim.clone());
            let Event::RewardClaimed { amount, .. } = &events[0] else {
                panic!("{events:?}")
            };
            paid.push(*amount);
            assert_eq!(ledger.code(BOB, claim), "reward.not_rising");
        }
        paid
    };
    assert_eq!(paid(true), [ether(100), ether(150)]);
    says("the first root says 100 and pays 100, the second says 250 and pays 150");
    assert_eq!(paid(false), [ether(250)]);
    says("Had she skipped the first claim, the second would pay 250");
    says(&format!(
        "each root waits {} blocks",
        thousands(Params::current().root_delay)
    ));
}

#[test]
fn rates_of_a_vault() {
    let mut ledger = Ledger::market(Params::current());
    ledger.operator(OLGA);
    ledger.join(OTTO, Wad::ONE);
    ledger.ok(
        MANAGER,
        Action::CreateVault {
            name: "ashETH".into(),
            strategy: STETH,
            seed: ether(10),
            fee_bps: 1000,
            fee_recipient: MANAGER,
            cap_up_bps: CAP_UP_BPS,
            cap_down_bps: CAP_DOWN_BPS,
            profile: vec![(id(OTTO), 5000), (id(OLGA), 5000)],
        },
    );
    let deposit = |amount| Action::VaultDeposit { vault: 1, amount };
    let minted = |events: &[Event]| match &events[0] {
        Event::VaultDeposited { shares, .. } => *shares,
        _ => panic!("{events:?}"),
    };
    assert_eq!(minted(&ledger.ok(ALICE, deposit(ether(90)))), ether(90));
    ledger.ok(
        MANAGER,
        Action::VaultStake {
            vault: 1,
            validators: Vec::new(),
        },
    );
    ledger.slash(1, Wad::percent(50));
    let (assets, shares) = ledger.state.vault_rate(1).unwrap();
    assert_eq!(shares, ether(100));
    says(&format!(
        "the vault counts `{assets}` wei for its 100 shares"
    ));
    let minted = minted(&ledger.ok(BOB, deposit(ether(3))));
    says(&format!(
        "Bob's 3 stETH mint ⌊3 · 100 / 74.999…⌋ = `{minted}` shares"
    ));
    let events = ledger.ok(
        ALICE,
        Action::VaultRequestWithdrawal {
            vault: 1,
            amount: Some(ether(3)),
        },
    );
    let Event::VaultWithdrawalRequested { shares, .. } = &events[0] else {
        panic!("{events:?}")
    };
    says(&format!(
        "Alice's request for 3 stETH burns ⌈…⌉ = `{shares}`"
    ));
    // A gain of a third is reported at 25 basis points a day.
    ledger.ok(
        BOB,
        Action::Donate {
            strategy: STETH,
            amount: ether(50),
        },
    );
    ledger.pass(7200);
    let events = ledger.ok(BOB, Action::VaultReport { vault: 1 });
    let report = events
        .iter()
        .find(|event| matches!(event, Event::VaultReported { .. }));
    let Some(Event::VaultReported {
        before,
        after,
        fee_shares,
        ..
    }) = report
    else {
        panic!("{events:?}")
    };
    says(&format!(
        "a report raises the assets from `{before}` to `{after}`, 25 basis points, and mints `{fee_shares}` shares for the fee"
    ));
    // More is there than the rate says, but no more is paid than was asked.
    ledger.ok(BOB, Action::VaultFinalize { vault: 1, count: 1 });
    assert_eq!(
        ledger.state.vault_requests(1).next().unwrap().1.payable,
        Some(ether(3))
    );
    says("pays min(asked, worth) = 3 stETH, although the rate rose since");
}

#[test]
fn one_distribution_across_vaults() {
    let mut ledger = Ledger::market(Params::current());
    for vault in 1..=2u32 {
        ledger.ok(
            MANAGER,
            Action::CreateVault {
                name: "ashETH".into(),
                strategy: STETH,
                seed: ether(1),
                fee_bps: 0,
                fee_recipient: MANAGER,
                cap_up_bps: CAP_UP_BPS,
                cap_down_bps: CAP_DOWN_BPS,
                profile: vec![(id(OTTO), 10_000)],
            },
        );
        for (who, amount) in [(ALICE, 3), (BOB, u64::from(vault))] {
            ledger.ok(
                who,
                Action::VaultDeposit {
                    vault,
                    amount: ether(amount),
                },
            );
        }
    }
    let source = |vault, byte| Action::VaultSource {
        vault,
        source: B256::repeat_byte(byte),
        kind: RewardKind::Points,
        token: TOKEN,
        amount: wei("1000"),
    };
    ledger.ok(MANAGER, source(1, 1));
    assert_eq!(ledger.code(MANAGER, source(2, 1)), "reward.same_source");
    ledger.ok(MANAGER, source(2, 2));
    let mut taken = Vec::new();
    for vault in 1..=2 {
        let token = TOKEN;
        for event in ledger.ok(ADMIN, Action::VaultDistribute { vault, token }) {
            if let Event::VaultDistributed { amount, .. } = event {
                taken.push((vault, token, amount));
            }
        }
    }
    let sums = ledger.state.vault_rewards(&taken).unwrap();
    assert_eq!(sums[&(ALICE, TOKEN)], wei("1350"));
    assert_eq!(sums[&(BOB, TOKEN)], wei("650"));
    says("Alice gets 750 + 600 = 1350 points and Bob 250 + 400 = 650");
    says("`reward.same_source`");
}
