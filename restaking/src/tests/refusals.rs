//! Every refusal has a transaction that meets it, and none of them changes anything.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use ashlar_crypto::Coded;

use super::super::distribution::Distribution;
use super::super::testing::*;
use super::super::*;
use ashlar_testing::network_key;

fn deposit(strategy: StrategyId, amount: u64) -> Action {
    Action::Deposit {
        strategy,
        amount: amount.into(),
    }
}

fn vault(seed: Amount, fee_bps: u16) -> Action {
    Action::CreateVault {
        name: "liquid".into(),
        strategy: 2,
        seed,
        fee_bps,
        fee_recipient: account(MANAGER),
        cap_up_bps: CAP_UP_BPS,
        cap_down_bps: CAP_DOWN_BPS,
        profile: vec![(operator_key(0), 10_000)],
    }
}

const OPT_IN: Action = Action::OptIn {
    service: 1,
    quorum: 0,
};
const OPT_OUT: Action = Action::OptOut {
    service: 1,
    quorum: 0,
};

fn allocate(magnitude: Wad) -> Action {
    Action::Allocate {
        service: 1,
        quorum: 0,
        strategy: 2,
        magnitude,
    }
}

/// Codes met by directed transactions.
fn directed() -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let mut expect = |code: &'static str, got: &'static str| {
        assert_eq!(code, got);
        met.insert(code);
    };

    // Of any transaction, and parameters.
    let mut lab = Lab::new();
    let undelegate = Transaction {
        sender: account(1),
        action: Action::Undelegate {},
    };
    expect(
        "ledger.block_in_past",
        lab.state.apply(Block(0), &undelegate).unwrap_err().code(),
    );
    let mut params = params();
    params.block_seconds = 0;
    expect(
        "params.range",
        lab.code(
            ADMIN,
            Action::SetParams {
                params: params.clone(),
            },
        ),
    );
    params.block_seconds = 12;
    params.timing.margin += 100;
    expect(
        "params.timing",
        lab.code(
            ADMIN,
            Action::SetParams {
                params: params.clone(),
            },
        ),
    );
    params.timing = super::super::testing::params().timing;
    params.timing.veto = 2;
    expect(
        "service.veto_window",
        lab.code(ADMIN, Action::SetParams { params }),
    );
    let native = Action::AddStrategy {
        name: "again".into(),
        kind: StrategyKind::NativeEth,
        asset: account(0),
        oracle: account(ORACLE),
    };
    expect("strategy.second_native", lab.code(ADMIN, native.clone()));
    let Action::AddStrategy {
        kind,
        asset,
        oracle,
        ..
    } = native
    else {
        unreachable!()
    };
    let name = String::new();
    expect(
        "ledger.text",
        lab.code(
            ADMIN,
            Action::AddStrategy {
                name,
                kind,
                asset,
                oracle,
            },
        ),
    );

    // Strategies and positions.
    expect("strategy.unknown", lab.code(1, deposit(9, 1)));
    expect("strategy.native", lab.code(1, deposit(1, 1)));
    expect(
        "strategy.native_only",
        lab.code(
            1,
            Action::AddValidator {
                strategy: 2,
                validator: 1,
            },
        ),
    );
    let amount = max_shares();
    expect(
        "strategy.share_limit",
        lab.code(
            1,
            Action::Deposit {
                strategy: 2,
                amount,
            },
        ),
    );
    let amount = Amount(alloy_primitives::U256::MAX);
    expect(
        "ledger.overflow",
        lab.code(
            1,
            Action::Donate {
                strategy: 2,
                amount,
            },
        ),
    );
    for index in 0..31u8 {
        let action = Action::AddStrategy {
            name: "one of many".into(),
            kind: StrategyKind::Other,
            asset: account(index),
            oracle: account(ORACLE),
        };
        lab.ok(ADMIN, action);
    }
    for strategy in 2..34 {
        lab.ok(1, deposit(strategy, 1_000_000));
    }
    expect(
        "position.too_many_strategies",
        lab.code(1, deposit(34, 1_000_000)),
    );
    let queue = Action::QueueWithdrawal {
        strategy: 2,
        shares: Some(1u64.into()),
    };
    for _ in 0..MAX_WITHDRAWALS {
        lab.ok(1, queue.clone());
    }
    expect("withdrawal.too_many", lab.code(1, queue));

    // Operators.
    let register = |change: fn(&mut Action)| {
        let mut action = World::register(2, 0);
        change(&mut action);
        action
    };
    let bad_key = register(|action| {
        if let Action::RegisterOperator {
            proof_of_possession,
            ..
        } = action
        {
            *proof_of_possession = key(3).1;
        }
    });
    expect("operator.bls_key", lab.code(3, bad_key));
    let weak = register(|action| {
        if let Action::RegisterOperator { network_key, .. } = action {
            network_key.0 = [0; 32];
        }
    });
    expect("operator.network_key", lab.code(3, weak));
    let nowhere = register(|action| {
        if let Action::RegisterOperator { address, .. } = action {
            *address = "nowhere".into();
        }
    });
    expect("operator.address", lab.code(3, nowhere));
    let slow = register(|action| {
        if let Action::RegisterOperator {
            allocation_delay, ..
        } = action
        {
            *allocation_delay = MAX_ALLOCATION_DELAY + 1;
        }
    });
    expect("operator.allocation_delay", lab.code(3, slow));

    expect("operator.key_taken", lab.code(3, World::register(0, 0)));
    let same = register(|action| {
        if let Action::RegisterOperator {
            network_key: key, ..
        } = action
        {
            *key = network_key(0);
        }
    });
    expect("operator.network_key_taken", lab.code(3, same));

    // Services.
    let mut service = lab.service(None, 1);
    expect("service.resolver", lab.code(OWNER, service.clone()));
    if let Action::RegisterService { veto_window, .. } = &mut service {
        *veto_window = 4;
    }
    expect("service.veto_window", lab.code(OWNER, service));
    let add = |quorum, config| Action::AddQuorum {
        service: 1,
        quorum,
        config,
    };
    expect(
        "service.quorum_taken",
        lab.code(OWNER, add(0, lab.config(0))),
    );
    let mut config = lab.config(0);
    config.maximum_operators = 0;
    expect("service.quorum_config", lab.code(OWNER, add(2, config)));
    let mut config = lab.config(0);
    config.strategies.reverse();
    expect("service.strategy_order", lab.code(OWNER, add(2, config)));
    let mut config = lab.config(0);
    config.redistribute_to = Some(account(1));
    expect(
        "service.redistribute_native",
        lab.code(OWNER, add(2, config)),
    );
    let mut strategies = lab.config(0).strategies;
    strategies.pop();
    let action = Action::SetMultipliers {
        service: 1,
        quorum: 0,
        strategies,
    };
    expect("service.strategy_missing", lab.code(OWNER, action));
    expect(
        "service.unknown",
        lab.code(
            0x40,
            Action::OptIn {
                service: 9,
                quorum: 0,
            },
        ),
    );
    expect(
        "service.unknown_quorum",
        lab.code(
            0x40,
            Action::OptIn {
                service: 1,
                quorum: 9,
            },
        ),
    );

    // Membership and allocations.
    lab.join(0, Wad::percent(50));
    expect(
        "operator.still_member",
        lab.code(0x40, Action::RetireOperator {}),
    );
    lab.ok(0x40, allocate(Wad::percent(40)));
    expect(
        "allocation.pending",
        lab.code(0x40, allocate(Wad::percent(30))),
    );
    let eject = Action::Eject {
        service: 1,
        quorum: 0,
        operator: operator_key(0),
    };
    let mut rated = lab.state.clone();
    rated.quorums.edit(&(1, 0)).unwrap().config.ejection_bps = 5000;
    let sender = account(EJECTOR);
    let transaction = Transaction {
        sender,
        action: eject.clone(),
    };
    expect(
        "service.ejection_rate",
        rated.apply(Block(1), &transaction).unwrap_err().code(),
    );
    lab.ok(0x40, OPT_OUT);
    expect("service.still_slashable", lab.code(0x40, OPT_IN));
    lab.pass(17);
    let config = lab.config(1);
    for quorum in 10..75 {
        let config = QuorumConfig {
            minimum_weight: Amount::ZERO,
            ..config.clone()
        };
        lab.ok(OWNER, add(quorum, config));
        let opt_in = Action::OptIn { service: 1, quorum };
        if quorum == 74 {
            expect("operator.too_many_quorums", lab.code(0x40, opt_in));
        } else {
            lab.ok(0x40, opt_in);
        }
    }
    let mut full = lab.state.clone();
    full.services.edit(&1).unwrap().operators = ashlar_proto::MAX_TABLE_OPERATORS;
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 74,
    };
    let transaction = Transaction {
        sender: account(0x41),
        action: opt_in,
    };
    expect(
        "service.full",
        full.apply(lab.block, &transaction).unwrap_err().code(),
    );

    let mut lab = Lab::new();
    lab.ok(
        OWNER,
        Action::AddQuorum {
            service: 1,
            quorum: 5,
            config: QuorumConfig {
                ejection_cooldown: 100,
                minimum_weight: Amount::ZERO,
                ..lab.config(0)
            },
        },
    );
    lab.ok(
        0x40,
        Action::OptIn {
            service: 1,
            quorum: 5,
        },
    );
    lab.ok(
        EJECTOR,
        Action::Eject {
            service: 1,
            quorum: 5,
            operator: operator_key(0),
        },
    );
    lab.pass(18);
    expect(
        "service.cooling_down",
        lab.code(
            0x40,
            Action::OptIn {
                service: 1,
                quorum: 5,
            },
        ),
    );

    // Slashing.
    lab.join(0, Wad::percent(50));
    expect("slash.wad", lab.code(SLASHER, lab.slash(0, Wad::ZERO)));
    let part = SlashPart {
        strategy: 2,
        wad: Wad::ONE,
    };
    let slash = |parts| Action::Slash {
        service: 1,
        quorum: 0,
        operator: operator_key(0),
        parts,
        reason: "why".into(),
    };
    expect("slash.order", lab.code(SLASHER, slash(vec![part, part])));
    let other = SlashPart {
        strategy: 3,
        ..part
    };
    expect("slash.nothing", lab.code(SLASHER, slash(vec![other])));
    let fault = FaultRecord {
        operator: operator_key(0),
        kind: 1,
        evidence_hash: B256::repeat_byte(1),
    };
    let proven = |service, wad| Action::SlashByEvidence {
        service,
        quorum: 0,
        parts: vec![SlashPart { strategy: 2, wad }],
        fault,
        reason: "why".into(),
    };
    lab.ok(SLASHER, proven(1, Wad::percent(10)));
    expect(
        "slash.same_fault",
        lab.code(SLASHER, proven(1, Wad::percent(10))),
    );

    // With a veto window, and after it.
    lab.ok(
        0x41,
        Action::Allocate {
            service: 2,
            quorum: 0,
            strategy: 2,
            magnitude: Wad::ONE,
        },
    );
    lab.ok(
        0x41,
        Action::OptIn {
            service: 2,
            quorum: 0,
        },
    );
    let fault = FaultRecord {
        operator: operator_key(1),
        ..fault
    };
    let proven = Action::SlashByEvidence {
        service: 2,
        quorum: 0,
        parts: vec![part],
        fault,
        reason: "why".into(),
    };
    lab.ok(SLASHER, proven.clone());
    expect(
        "slash.early",
        lab.code(SLASHER, Action::ExecuteSlash { request: 1 }),
    );
    lab.pass(4);
    expect(
        "slash.veto_late",
        lab.code(RESOLVER, Action::VetoSlash { request: 1 }),
    );
    // Nobody executes it: then it can be asked for again.
    lab.pass(4);
    expect(
        "slash.unknown_request",
        lab.code(SLASHER, Action::ExecuteSlash { request: 1 }),
    );
    lab.ok(SLASHER, proven.clone());
    lab.ok(RESOLVER, Action::VetoSlash { request: 2 });
    lab.ok(SLASHER, proven);
    lab.pass(4);
    lab.ok(SLASHER, Action::ExecuteSlash { request: 3 });
    expect(
        "position.fully_slashed",
        lab.code(0x41, deposit(2, 1_000_000)),
    );

    // Rewards.
    lab.ok(
        OWNER,
        Action::PayReward {
            service: 1,
            token: account(0xe0),
            amount: 10u64.into(),
            kind: RewardKind::Bounty,
        },
    );
    let mut distribution = Distribution::default();
    distribution
        .add(account(1), account(0xe0), 10u64.into())
        .unwrap();
    distribution
        .add(account(2), account(0xe0), 1u64.into())
        .unwrap();
    lab.ok(
        UPDATER,
        Action::SubmitRoot {
            root: distribution.root(),
        },
    );
    let claim = |who, root| Action::ClaimReward {
        claim: distribution.claim(root, account(who)).unwrap(),
    };
    expect("reward.root_early", lab.code(5, claim(1, 1)));
    lab.pass(3);
    lab.ok(5, claim(1, 1));
    expect("reward.not_rising", lab.code(5, claim(1, 1)));
    expect("reward.no_funds", lab.code(5, claim(2, 1)));
    let Action::ClaimReward { mut claim } = claim(2, 1) else {
        unreachable!()
    };
    claim.tokens[0].cumulative = 2u64.into();
    expect("reward.proof", lab.code(5, Action::ClaimReward { claim }));

    // Vaults.
    expect(
        "vault.unknown",
        lab.code(1, Action::VaultReport { vault: 7 }),
    );
    expect(
        "vault.config",
        lab.code(MANAGER, vault(Amount::ether(1), 2001)),
    );
    expect("vault.seed", lab.code(MANAGER, vault(1u64.into(), 0)));
    lab.ok(MANAGER, vault(Amount::ether(1), 0));
    let unstake = |operator| Action::VaultUnstake {
        vault: 1,
        operator,
        shares: None,
    };
    expect(
        "vault.not_in_profile",
        lab.code(MANAGER, unstake(operator_key(1))),
    );
    let request = Action::VaultRequestWithdrawal {
        vault: 1,
        amount: Some(Amount::ether(1)),
    };
    expect("vault.shares", lab.code(1, request.clone()));
    lab.ok(
        1,
        Action::VaultDeposit {
            vault: 1,
            amount: 10u64.into(),
        },
    );
    lab.ok(
        1,
        Action::VaultRequestWithdrawal {
            vault: 1,
            amount: Some(1u64.into()),
        },
    );
    expect(
        "vault.not_final",
        lab.code(
            1,
            Action::VaultClaimWithdrawal {
                vault: 1,
                request: 1,
            },
        ),
    );
    lab.ok(
        MANAGER,
        Action::VaultStake {
            vault: 1,
            validators: Vec::new(),
        },
    );
    let profile = vec![(operator_key(1), 10_000)];
    expect(
        "vault.profile_in_use",
        lab.code(MANAGER, Action::SetProfile { vault: 1, profile }),
    );
    // The asset loses half: nobody gets in or out until reports have taken the loss over.
    let balance = lab
        .state
        .strategy(2)
        .unwrap()
        .balance
        .mul_div(1u64.into(), 2u64.into())
        .unwrap();
    lab.ok(
        ORACLE,
        Action::Rebase {
            strategy: 2,
            balance,
        },
    );
    expect(
        "vault.loss_pending",
        lab.code(
            1,
            Action::VaultDeposit {
                vault: 1,
                amount: 10u64.into(),
            },
        ),
    );
    lab.ok(
        ORACLE,
        Action::Rebase {
            strategy: 2,
            balance: balance.plus(balance).unwrap(),
        },
    );
    // A vault whose rate rose: one wei is less than a share.
    let mut rich = lab.state.clone();
    let record = rich.vaults.edit(&1).unwrap();
    record.assets = record.assets.mul_div(3u64.into(), 1u64.into()).unwrap();
    record.buffer = record.assets;
    let action = Action::VaultDeposit {
        vault: 1,
        amount: 1u64.into(),
    };
    let transaction = Transaction {
        sender: account(1),
        action,
    };
    expect(
        "vault.no_shares",
        rich.apply(lab.block, &transaction).unwrap_err().code(),
    );
    let mut empty = lab.state.clone();
    empty.vaults.edit(&1).unwrap().assets = Amount::ZERO;
    let transaction = Transaction {
        sender: account(1),
        action: request,
    };
    expect(
        "vault.empty",
        empty.apply(lab.block, &transaction).unwrap_err().code(),
    );
    met
}

#[test]
fn every_refusal_is_met() {
    let mut met = directed();
    met.extend(super::challenges::refusals());
    met.extend(super::dispersers::refusals());
    met.extend(super::heads::refusals());
    met.extend(super::payments::refusals());
    met.extend(super::registrations::refusals());
    for seed in 900..930 {
        let mut trace = Trace::new(seed);
        for _ in 0..200 {
            trace.step();
        }
        met.extend(trace.refused.keys());
    }
    let missing: Vec<_> = TransactionError::CODES
        .iter()
        .filter(|code| !met.contains(*code) && **code != "ledger.inconsistent")
        .collect();
    assert!(missing.is_empty(), "never met: {missing:?}");
    let codes: BTreeSet<_> = TransactionError::CODES.iter().collect();
    assert_eq!(
        codes.len(),
        TransactionError::CODES.len(),
        "a code is there twice"
    );
}
