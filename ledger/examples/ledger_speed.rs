//! How fast the ledger is: transactions a minute (in memory, and with every batch synced to disk), and the time of a table of
//! 1,000 operators with 100,000 stakers.
//!
//! `cargo run --release -p ashlar-ledger --example ledger_speed`

use std::error::Error;
use std::time::Instant;

use alloy_primitives::B256;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_ledger::store::Store;
use ashlar_proto::registration::OperatorStatement;
use ashlar_proto::table::operator_id;
use ashlar_proto::{Account, Block, OperatorId};
use ashlar_restaking::log::Entry;
use ashlar_restaking::{
    Action, Amount, DisperserTerms, Genesis, Params, QuorumConfig, QuorumStrategy, State,
    StrategyKind, Transaction, Wad,
};

const OPERATORS: u64 = 1000;
const STAKERS: u64 = 100_000;
const MIXED: u64 = 1_000_000;

fn account(kind: u8, number: u64) -> Account {
    let mut account = Account([kind; 20]);
    for (to, from) in account.0.iter_mut().skip(1).zip(number.to_be_bytes()) {
        *to = from;
    }
    account
}

fn main() -> Result<(), Box<dyn Error>> {
    let admin = account(0xa, 0);
    let genesis = Genesis {
        network: "speed".into(),
        salt: B256::repeat_byte(1),
        head_key: admin,
        block: Block(1),
        admin,
        reward_updater: admin,
        params: Params::current().faster(1000),
    };
    let mut state = State::new(&genesis)?;
    let send = |state: &mut State, block: Block, sender: Account, action: Action| {
        state.apply(block, &Transaction { sender, action })
    };
    let kinds = [
        StrategyKind::NativeEth,
        StrategyKind::Lst,
        StrategyKind::LpEth,
        StrategyKind::Other,
    ];
    for kind in kinds {
        let action = Action::AddStrategy {
            name: "asset".into(),
            kind,
            asset: admin,
            oracle: admin,
        };
        send(&mut state, Block(1), admin, action)?;
    }
    let service = Action::RegisterService {
        name: "data".into(),
        conditions: "double signing".into(),
        slasher: admin,
        resolver: None,
        veto_window: 0,
        slash_cap: Wad::ONE,
        ejector: admin,
        versions: vec![2],
        dispersers: DisperserTerms {
            token: admin,
            min_bond: Amount::WAD,
            max: 1024,
        },
        custody: None,
    };
    send(&mut state, Block(1), admin, service)?;
    for quorum in 0..2 {
        let config = QuorumConfig {
            strategies: (1..=4)
                .map(|strategy| QuorumStrategy {
                    strategy,
                    multiplier: Amount::WAD,
                })
                .collect(),
            minimum_weight: Amount::ZERO,
            maximum_operators: 1024,
            churn_bps: 11_000,
            ejection_bps: 1000,
            ejection_window: 1000,
            ejection_cooldown: 1000,
            redistribute_to: None,
        };
        let action = Action::AddQuorum {
            service: 1,
            quorum,
            config,
        };
        send(&mut state, Block(1), admin, action)?;
    }

    let begin = Instant::now();
    let mut operators: Vec<OperatorId> = Vec::new();
    for number in 0..OPERATORS {
        let mut seed = [7; 32];
        for (to, from) in seed.iter_mut().zip(number.to_be_bytes()) {
            *to = from;
        }
        let key = SecretKey::from_ikm(&seed);
        let bls_public_key = key.public_key().to_bytes();
        let who = account(1, number);
        let statement = OperatorStatement {
            network: state.meta().id,
            account: who,
            network_key: NetworkKey::from_seed(seed).public(),
            address: format!("node-{number}.example:7000"),
            sequence: 0,
        };
        operators.push(operator_id(&bls_public_key));
        let register = Action::RegisterOperator {
            bls_public_key,
            proof_of_possession: key.prove_possession().to_bytes(),
            network_key: statement.network_key,
            statement: statement.sign(&key),
            address: statement.address,
            allocation_delay: 0,
        };
        send(&mut state, Block(1), who, register)?;
        for quorum in 0..2 {
            for strategy in 2..=4 {
                let magnitude = Wad::percent(20);
                let action = Action::Allocate {
                    service: 1,
                    quorum,
                    strategy,
                    magnitude,
                };
                send(&mut state, Block(1), who, action)?;
            }
            send(
                &mut state,
                Block(1),
                who,
                Action::OptIn { service: 1, quorum },
            )?;
        }
    }
    println!(
        "{OPERATORS} operators registered in {:.2?}",
        begin.elapsed()
    );

    let begin = Instant::now();
    for number in 0..STAKERS {
        let who = account(2, number);
        let operator = operators[(number % OPERATORS) as usize];
        let block = Block(2 + number / 1000);
        send(&mut state, block, who, Action::Delegate { operator })?;
        let action = Action::Deposit {
            strategy: 2 + (number % 3) as u32,
            amount: Amount::ether(1 + number % 50),
        };
        send(&mut state, block, who, action)?;
    }
    let elapsed = begin.elapsed();
    println!(
        "{} delegations and deposits in {elapsed:.2?}: {:.0} a minute",
        2 * STAKERS,
        2.0 * STAKERS as f64 * 60.0 / elapsed.as_secs_f64()
    );

    let mut times = Vec::new();
    let block = state.meta().block;
    for back in 0..20 {
        let begin = Instant::now();
        let table = state.table_at(1, block.saturating_sub(back))?;
        times.push(begin.elapsed());
        assert_eq!(table.operators().len() as u64, OPERATORS);
    }
    times.sort();
    println!(
        "a table of {OPERATORS} operators in 2 quorums, {STAKERS} stakers: median {:.2?}, longest {:.2?}",
        times[times.len() / 2],
        times[times.len() - 1]
    );

    let begin = Instant::now();
    state.root();
    println!("the first state root: {:.2?}", begin.elapsed());

    // Deposits, withdrawals, delegations, completions and slashes, one after another.
    let mut mixed = Vec::new();
    for number in 0..MIXED {
        let staker = (number * 7919) % STAKERS;
        let who = account(2, staker);
        let strategy = 2 + (staker % 3) as u32;
        let action = match number % 10 {
            0..=4 => Action::Deposit {
                strategy,
                amount: Amount::from(1_000_000_007 * (1 + number % 97)),
            },
            5..=8 => Action::QueueWithdrawal {
                strategy,
                shares: Some(Amount::from(1_000_003u64)),
            },
            _ => Action::Donate {
                strategy,
                amount: Amount::from(1_000_003u64),
            },
        };
        let block = state.meta().block + number / 2000;
        mixed.push((
            block,
            Transaction {
                sender: who,
                action,
            },
        ));
    }
    let begin = Instant::now();
    let mut accepted = 0u64;
    for (block, transaction) in &mixed {
        accepted += u64::from(state.apply(*block, transaction).is_ok());
    }
    let elapsed = begin.elapsed();
    println!(
        "{MIXED} mixed transactions ({accepted} accepted) in {elapsed:.2?}: {:.0} a minute",
        MIXED as f64 * 60.0 / elapsed.as_secs_f64()
    );
    let begin = Instant::now();
    let root = state.root();
    println!("the state root after them: {:.2?}", begin.elapsed());
    let begin = Instant::now();
    let bytes = state.to_json()?;
    let mut restored = State::from_json(&bytes)?;
    assert_eq!(restored.root(), root);
    println!(
        "a snapshot of {} MB, written, read and checked: {:.2?}",
        bytes.len() / 1_000_000,
        begin.elapsed()
    );

    // On disk: batches of 200, each synced before it is acknowledged.
    let directory = tempfile::tempdir()?;
    let (mut store, _) = Store::open(directory.path(), &genesis)?;
    let add = Action::AddStrategy {
        name: "asset".into(),
        kind: StrategyKind::Lst,
        asset: admin,
        oracle: admin,
    };
    store.apply(
        Block(1),
        Transaction {
            sender: admin,
            action: add,
        },
    )?;
    let begin = Instant::now();
    let count = 100_000u64;
    for batch in 0..count / 200 {
        let entries = (0..200).map(|number| {
            let action = Action::Deposit {
                strategy: 1,
                amount: Amount::ether(1),
            };
            let sender = account(3, batch * 200 + number);
            Entry::Transaction(Block(1 + batch), Box::new(Transaction { sender, action }))
        });
        for result in store.apply_all(entries)? {
            result?;
        }
    }
    let elapsed = begin.elapsed();
    println!(
        "{count} deposits on disk in batches of 200 in {elapsed:.2?}: {:.0} a minute",
        count as f64 * 60.0 / elapsed.as_secs_f64()
    );
    Ok(())
}
