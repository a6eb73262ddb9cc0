#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use alloy_primitives::B256;
use std::collections::BTreeSet;

use ashlar_crypto::Blame;
use ashlar_crypto::bls::SecretKey;
use ashlar_proto::{Stake, TableAccess};

use super::*;

fn account(name: &str) -> Account {
    Account(devnet_account(&[9; 32], name).address())
}

fn operator(index: u8, stake: u64) -> DevnetOperator {
    let bls = SecretKey::from_ikm(&[index; 32]);
    let network = NetworkKey::from_seed([index; 32]).public();
    DevnetOperator {
        account: account(&format!("operator {index}")),
        staker: account(&format!("staker {index}")),
        bls,
        network_key: network,
        address: format!("127.0.0.1:{}", 7000 + u16::from(index)),
        stakes: vec![stake; 2],
    }
}

fn spec(stakes: &[u64]) -> DevnetSpec {
    DevnetSpec {
        network: "devnet".into(),
        salt: B256::repeat_byte(1),
        head_key: account("heads"),
        block: Block(0),
        params: devnet_params(1, 60),
        roles: DevnetRoles::all(Account([7; 20])),
        dispersers: vec![DevnetDisperser {
            account: Account([8; 20]),
            network: NetworkKey::from_seed([200; 32]),
        }],
        payers: vec![account("payer")],
        operators: (1u8..)
            .zip(stakes)
            .map(|(index, stake)| operator(index, *stake))
            .collect(),
    }
}

fn state(devnet: &Devnet) -> State {
    let mut state = State::new(&devnet.genesis).unwrap();
    for transaction in &devnet.transactions {
        state.apply(devnet.genesis.block, transaction).unwrap();
    }
    state.advance(devnet.genesis.block + 1).unwrap();
    state
}

#[test]
fn weights_are_exactly_as_asked_for_from_the_first_block_on() {
    for stakes in [
        vec![1],
        vec![10, 20, 5, 7, 1, 33, 2],
        vec![MAX_STAKE, 1, 999_983],
        vec![3; 12],
    ] {
        for block in [0, 1, 77].map(Block) {
            let mut spec = spec(&stakes);
            spec.block = block;
            let devnet = devnet_genesis(&spec).unwrap();
            let state = state(&devnet);
            let table = state.table_at(devnet.service, block).unwrap();
            assert_eq!(table.operators().len(), stakes.len());
            for operator in &spec.operators {
                let index = table.find(&operator.id()).unwrap();
                let entry = table.operator(index).unwrap();
                let weight = |unit: u64| {
                    Stake::from(operator.stakes[0]) * Stake::from(unit) * Stake::from(ETHER)
                };
                assert_eq!(entry.stake(ETH_QUORUM), weight(ETH_UNIT));
                assert_eq!(entry.stake(TOKEN_QUORUM), weight(TOKEN_UNIT));
                assert_eq!(entry.address, operator.address);
            }
            assert!(table.disperser(0).is_some());
            state.check_books().unwrap();
        }
    }
}

#[test]
fn stakes_may_differ_by_quorum_and_a_quorum_may_be_left_out() {
    let mut spec = spec(&[1; 4]);
    let stakes = [vec![5, 0, 7], vec![0, 3, 1], vec![2], vec![1, 1, 1]];
    for (operator, stakes) in spec.operators.iter_mut().zip(&stakes) {
        operator.stakes.clone_from(stakes);
    }
    let state = state(&devnet_genesis(&spec).unwrap());
    let table = state.table_at(SERVICE, Block(0)).unwrap();
    assert_eq!(table.quorums().collect::<Vec<_>>(), [0, 1, 2]);
    for operator in &spec.operators {
        let index = table.find(&operator.id()).unwrap();
        let entry = table.operator(index).unwrap();
        for (quorum, unit) in [(0, ETH_UNIT), (1, TOKEN_UNIT), (2, TOKEN_UNIT)] {
            let stake = operator.stakes.get(usize::from(quorum)).copied();
            let weight = Stake::from(stake.unwrap_or(0)) * Stake::from(unit) * Stake::from(ETHER);
            assert_eq!(entry.stake(quorum), weight, "quorum {quorum}");
        }
    }
    state.check_books().unwrap();
}

#[test]
fn stake_comes_from_all_assets_and_from_delegation() {
    let spec = spec(&[10, 20, 5, 7, 4]);
    let state = state(&devnet_genesis(&spec).unwrap());
    for (id, strategy) in state.strategies() {
        assert!(!strategy.shares.is_zero(), "strategy {id} is not used");
        assert!(strategy.idle.is_zero());
    }
    for operator in &spec.operators {
        let id = operator.id();
        assert_eq!(state.staker(operator.staker).unwrap().operator, Some(id));
        let own: BTreeSet<_> = state.staker(operator.account).unwrap().strategies.clone();
        let delegated = &state.staker(operator.staker).unwrap().strategies;
        assert!(own.is_disjoint(delegated), "{own:?} {delegated:?}");
        assert!(!own.is_empty() && !delegated.is_empty());
    }
}

#[test]
fn an_operator_may_be_its_own_staker() {
    let mut spec = spec(&[10, 3]);
    for operator in &mut spec.operators {
        operator.staker = operator.account;
    }
    let state = state(&devnet_genesis(&spec).unwrap());
    let table = state.table_at(SERVICE, Block(0)).unwrap();
    let total = table.header().totals[0].1;
    assert_eq!(total, Stake::from(13 * ETH_UNIT) * Stake::from(ETHER));
}

#[test]
fn what_makes_no_devnet_is_refused() {
    let code = |spec: &DevnetSpec| devnet_genesis(spec).unwrap_err().code();
    assert_eq!(code(&spec(&[])), "devnet.operators");
    assert_eq!(code(&spec(&[1, 0])), "devnet.stake");
    assert_eq!(code(&spec(&[MAX_STAKE + 1])), "devnet.stake");
    let mut many = spec(&[1]);
    many.operators[0].stakes = vec![1; MAX_QUORUMS + 1];
    assert_eq!(code(&many), "devnet.quorums");
    let mut twice = spec(&[1, 2]);
    twice.operators[1] = twice.operators[0].clone();
    assert_eq!(code(&twice), "operator.account_taken");
    let mut shared = spec(&[1, 2]);
    shared.operators[1].bls = shared.operators[0].bls.clone();
    assert_eq!(code(&shared), "operator.key_taken");
    let mut crowd = spec(&[1]);
    crowd.operators = vec![crowd.operators[0].clone(); 129];
    assert_eq!(code(&crowd), "devnet.operators");
    let mut unnamed = spec(&[1]);
    unnamed.network = String::new();
    assert_eq!(devnet_genesis(&unnamed).unwrap_err().blame(), Blame::Caller);
}

#[test]
fn params_keep_the_timing_rule() {
    for escrow in [0, 5, 60, 100_000] {
        devnet_params(1, escrow).check().unwrap();
    }
}

#[test]
fn keys_are_one_for_each_name() {
    let secret = [1; 32];
    let of = |name: &str| devnet_key(&secret, name).public();
    assert_eq!(of("admin"), of("admin"));
    assert_ne!(of("admin"), of("slasher"));
    assert_ne!(of("admin"), devnet_key(&[2; 32], "admin").public());
    let of = |secret: u8, name: &str| devnet_account(&[secret; 32], name).address();
    assert_eq!(of(1, "admin"), of(1, "admin"));
    assert_ne!(of(1, "admin"), of(1, "slasher"));
    assert_ne!(of(1, "admin"), of(2, "admin"));
}
