//! Dispersers, their bonds, and the protocol versions of a service.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_crypto::identity::NetworkSignature;
use ashlar_proto::table::dispersers_tree;
use ashlar_proto::{Account, TableAccess as _, TableScope};
use ashlar_stake::OperatorTable;

use super::super::testing::*;
use super::super::*;
use ashlar_testing::{network_key, network_secret};

const WHO: u8 = 5;

fn register(lab: &Lab, key: usize, bond: u64) -> Action {
    World::disperse(&lab.state, 1, account(WHO), key, bond)
}

const fn exit(disperser: u32) -> Action {
    Action::ExitDisperser {
        service: 1,
        disperser,
    }
}

fn slash(disperser: u32) -> Action {
    Action::SlashDisperser {
        service: 1,
        disperser,
        evidence_hash: B256::repeat_byte(1),
        reason: "two batches under one sequence".into(),
    }
}

/// A lab with an operator in the quorum, so that there are tables.
fn lab() -> Lab {
    let mut lab = Lab::new();
    lab.join(0, Wad::percent(50));
    lab
}

fn shown(lab: &Lab, block: Block) -> Vec<u32> {
    let table = lab.state.table_at(1, block).unwrap();
    table.dispersers().iter().map(|entry| entry.id).collect()
}

fn bond_token() -> Account {
    disperser_terms().token
}

#[test]
fn a_disperser_comes_and_goes_and_has_its_bond_back() {
    let mut lab = lab();
    lab.pass(1);
    lab.ok(WHO, register(&lab, 1, 500));
    lab.ok(WHO, register(&lab, 2, 700));
    lab.pass(1);
    lab.ok(
        WHO,
        Action::TopUpDisperser {
            service: 1,
            disperser: 1,
            amount: 50u64.into(),
        },
    );
    assert_eq!(lab.state.bond_fund(bond_token()).held, 1250u64.into());
    lab.pass(2);
    lab.ok(WHO, exit(0));
    lab.pass(1);
    // Each block's table says who was one at its end.
    assert_eq!(
        [1, 2, 4, 5].map(|block| shown(&lab, Block(block))),
        [vec![], vec![0, 1], vec![0, 1], vec![1]]
    );
    assert_eq!(lab.state.table_changed_at(1, Block(2)), Some(Block(2)));
    assert_eq!(lab.state.table_changed_at(1, Block(4)), Some(Block(3)));
    assert_eq!(lab.state.table_changed_at(1, Block(6)), Some(Block(5)));
    // And which bonds they had then.
    let bonds = |block| {
        let table = lab.state.table_at(1, Block(block)).unwrap();
        let bonds = table.dispersers().iter().map(|entry| entry.bond.to());
        bonds.collect::<Vec<u64>>()
    };
    assert_eq!(
        [2, 3, 5].map(bonds),
        [vec![500, 700], vec![500, 750], vec![750]]
    );
    let table = lab.state.table_at(1, Block(4)).unwrap();
    assert_eq!(table.dispersers()[0].network_key, network_key(1));
    assert_eq!(table.dispersers()[0].account, account(WHO));

    // The bond is held through the last block in which it can be slashed, and no longer.
    let until = Block(5) + params().deallocation_delay;
    lab.pass(until - lab.block);
    assert_eq!(
        lab.state.disperser(1, 0).unwrap().standing,
        Standing::Exiting {
            slashable_until: until
        }
    );
    assert_eq!(lab.code(SLASHER, exit(0)), "ledger.not_allowed");
    lab.pass(1);
    let gone = lab.state.disperser(1, 0).unwrap();
    assert_eq!((gone.standing, gone.bond), (Standing::Gone, Amount::ZERO));
    let fund = lab.state.bond_fund(bond_token());
    assert_eq!((fund.held, fund.returned), (750u64.into(), 500u64.into()));
    assert_eq!(
        lab.state.bonds_paid(account(WHO), bond_token()),
        500u64.into()
    );
    // The key is free again, under a number of its own.
    lab.ok(WHO, register(&lab, 1, 500));
    assert_eq!(
        lab.state.disperser(1, 2).unwrap().network_key,
        network_key(1)
    );
    lab.state.check_books().unwrap();
}

#[test]
fn a_slashed_disperser_loses_its_bond_and_its_place_at_once() {
    let mut lab = lab();
    lab.ok(WHO, register(&lab, 1, 500));
    lab.ok(WHO, register(&lab, 2, 600));
    lab.pass(1);
    // One that is there, and one that left.
    lab.ok(WHO, exit(1));
    lab.pass(params().deallocation_delay);
    assert_eq!(lab.code(OWNER, slash(0)), "ledger.not_allowed");
    for disperser in [0, 1] {
        let events = lab.ok(SLASHER, slash(disperser));
        assert!(
            matches!(events[..], [Event::DisperserSlashed { disperser: of, .. }] if of == disperser)
        );
    }
    let fund = lab.state.bond_fund(bond_token());
    assert_eq!((fund.held, fund.burnt), (Amount::ZERO, 1100u64.into()));
    lab.pass(50);
    assert_eq!(shown(&lab, Block(2)), [0]);
    assert!(shown(&lab, lab.block).is_empty());
    assert_eq!(
        lab.state.bonds_paid(account(WHO), bond_token()),
        Amount::ZERO
    );
    assert_eq!(lab.state.service(1).unwrap().bonded, 0);
}

#[test]
fn a_registration_changes_one_leaf_of_the_table() {
    let mut lab = lab();
    lab.ok(WHO, register(&lab, 1, 500));
    lab.pass(1);
    lab.ok(WHO, register(&lab, 2, 500));
    lab.pass(1);
    let (before, after) = (
        lab.state.table_at(1, Block(1)).unwrap(),
        lab.state.table_at(1, Block(2)).unwrap(),
    );
    assert_eq!(before.dispersers()[..], after.dispersers()[..1]);
    assert_eq!(after.dispersers().len(), 2);
    assert_eq!(before.operators(), after.operators());
}

/// A key registers for one account in one service on one network.
#[test]
fn a_statement_is_of_no_use_to_anybody_else() {
    let mut lab = lab();
    let action = register(&lab, 1, 500);
    assert_eq!(lab.code(6, action.clone()), "disperser.statement");
    let Action::RegisterDisperser {
        network_key,
        statement,
        bond,
        ..
    } = action
    else {
        unreachable!()
    };
    let elsewhere = Action::RegisterDisperser {
        service: 2,
        network_key,
        statement,
        bond,
    };
    assert_eq!(lab.code(WHO, elsewhere), "disperser.statement");
    let mut other = genesis();
    other.salt = B256::repeat_byte(8);
    let other = State::new(&other).unwrap();
    let action = World::disperse(&other, 1, account(WHO), 1, 500);
    assert_eq!(lab.code(WHO, action), "disperser.statement");
}

#[test]
fn a_service_records_from_which_block_on_it_uses_a_version() {
    let mut lab = lab();
    let block = lab.block;
    let versions = |lab: &Lab, block| lab.state.versions_at(1, block).collect::<Vec<_>>();
    assert_eq!(versions(&lab, block.saturating_sub(1)), Vec::<u16>::new());
    assert_eq!(versions(&lab, block), [1]);
    let activate = Action::ActivateVersion {
        service: 1,
        version: 3,
        from: block + 5,
    };
    assert_eq!(lab.code(SLASHER, activate.clone()), "ledger.not_allowed");
    lab.ok(OWNER, activate);
    assert_eq!(versions(&lab, block + 4), [1]);
    assert_eq!(versions(&lab, block + 5), [1, 3]);
    assert!(lab.state.versions_at(9, block).next().is_none());
    // The table says so, and changes at that block although nobody does anything in it.
    lab.pass(6);
    let table = |block| lab.state.table_at(1, block).unwrap();
    assert_eq!(table(block + 4).versions(), [1]);
    assert_eq!(table(block + 5).versions(), [1, 3]);
    assert_eq!(lab.state.table_changed_at(1, block + 5), Some(block + 5));
}

/// 128 operators are all that version 1 assigns chunks to: a quorum has no place for more, and quorums together have not.
#[test]
fn no_more_operators_than_the_versions_allow() {
    let mut lab = Lab::new();
    let with = |maximum_operators| {
        let config = QuorumConfig {
            maximum_operators,
            ..lab.config(0)
        };
        Action::AddQuorum {
            service: 1,
            quorum: 7,
            config,
        }
    };
    let (too_many, as_many) = (with(129), with(128));
    assert_eq!(lab.code(OWNER, too_many), "service.version_operators");
    lab.ok(OWNER, as_many);
    // A service of version 2 has room for 1,024; it cannot take up version 1 then.
    let mut wide = lab.service(None, 0);
    if let Action::RegisterService { versions, .. } = &mut wide {
        *versions = vec![2];
    }
    lab.ok(OWNER, wide);
    let config = QuorumConfig {
        maximum_operators: 1024,
        ..lab.config(0)
    };
    lab.ok(
        OWNER,
        Action::AddQuorum {
            service: 3,
            quorum: 0,
            config,
        },
    );
    let activate = Action::ActivateVersion {
        service: 3,
        version: 1,
        from: lab.block + 1,
    };
    assert_eq!(lab.code(OWNER, activate), "service.version_operators");
    // The 129th in all quorums together.
    lab.ok(
        0x40,
        Action::Allocate {
            service: 1,
            quorum: 7,
            strategy: 2,
            magnitude: Wad::percent(50),
        },
    );
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 7,
    };
    let mut full = lab.state.clone();
    full.services.edit(&1).unwrap().operators = 128;
    let transaction = Transaction {
        sender: account(0x40),
        action: opt_in.clone(),
    };
    let refusal = full.apply(lab.block, &transaction).unwrap_err();
    assert_eq!(refusal.code(), "service.full");
    lab.ok(0x40, opt_in);
}

/// Every refusal about dispersers and versions, in directed transactions.
pub(super) fn refusals() -> BTreeSet<&'static str> {
    let mut met = BTreeSet::new();
    let mut expect = |code: &'static str, got: &'static str| {
        assert_eq!(code, got);
        met.insert(code);
    };
    let mut lab = lab();
    for change in [
        |terms: &mut DisperserTerms| terms.max = 0,
        |terms: &mut DisperserTerms| terms.max = MAX_DISPERSERS + 1,
    ] {
        let mut service = lab.service(None, 0);
        if let Action::RegisterService { dispersers, .. } = &mut service {
            change(dispersers);
        }
        expect("service.dispersers", lab.code(OWNER, service));
    }
    for (code, list) in [
        ("service.versions", vec![]),
        ("service.versions", vec![2, 1]),
        ("service.versions", vec![1, 1]),
        ("service.versions", (1..=17).collect()),
        ("service.version_unknown", vec![1, 99]),
    ] {
        let mut service = lab.service(None, 0);
        if let Action::RegisterService { versions, .. } = &mut service {
            *versions = list;
        }
        expect(code, lab.code(OWNER, service));
    }
    let activate = |version, from| Action::ActivateVersion {
        service: 1,
        version,
        from,
    };
    expect(
        "service.version_active",
        lab.code(OWNER, activate(1, Block(9))),
    );
    expect(
        "service.version_unknown",
        lab.code(OWNER, activate(99, Block(9))),
    );
    let now = lab.block;
    expect("service.version_early", lab.code(OWNER, activate(2, now)));

    expect("disperser.unknown", lab.code(WHO, exit(0)));
    let action = register(&lab, 1, 499);
    expect("disperser.bond", lab.code(WHO, action));
    lab.ok(WHO, register(&lab, 1, 500));
    let action = register(&lab, 1, 500);
    expect("disperser.key_taken", lab.code(WHO, action));
    // Somebody else's key.
    let mut action = register(&lab, 2, 500);
    if let Action::RegisterDisperser { statement, .. } = &mut action {
        *statement = NetworkSignature(network_secret(3).sign(b"mine"));
    }
    expect("disperser.statement", lab.code(WHO, action));
    lab.ok(WHO, register(&lab, 2, 500));
    lab.ok(WHO, register(&lab, 3, 500));
    let action = register(&lab, 4, 500);
    expect("disperser.full", lab.code(WHO, action.clone()));
    // Whoever is leaving has its place still: numbers are not to be had for nothing.
    lab.ok(WHO, exit(0));
    expect("disperser.full", lab.code(WHO, action));
    expect("disperser.exiting", lab.code(WHO, exit(0)));
    let top_up = |disperser| Action::TopUpDisperser {
        service: 1,
        disperser,
        amount: 1u64.into(),
    };
    expect("disperser.exiting", lab.code(WHO, top_up(0)));
    lab.pass(params().deallocation_delay + 1);
    expect("disperser.gone", lab.code(WHO, exit(0)));
    expect("disperser.gone", lab.code(SLASHER, slash(0)));
    lab.ok(SLASHER, slash(1));
    expect("disperser.slashed", lab.code(SLASHER, slash(1)));
    expect("disperser.slashed", lab.code(WHO, exit(1)));
    expect("service.version_operators", {
        let config = QuorumConfig {
            maximum_operators: 129,
            ..lab.config(0)
        };
        lab.code(
            OWNER,
            Action::AddQuorum {
                service: 1,
                quorum: 9,
                config,
            },
        )
    });
    met
}

#[test]
#[expect(
    clippy::disallowed_types,
    reason = "what it costs is printed, and nothing depends on it"
)]
fn of_thousands_of_dispersers_a_registration_changes_one_leaf() {
    use std::time::Instant;
    const MANY: usize = 4000;
    let mut lab = lab();
    let service = lab.state.services.edit(&1).unwrap();
    service.dispersers.max = MAX_DISPERSERS;
    lab.pass(1);
    let actions: Vec<_> = (1..=MANY + 1).map(|key| register(&lab, key, 500)).collect();
    let sender = account(WHO);
    let apply = |lab: &mut Lab, action: &Action| {
        let action = action.clone();
        let transaction = Transaction { sender, action };
        lab.state.apply(lab.block, &transaction).unwrap();
    };
    let begun = Instant::now();
    actions[..MANY]
        .iter()
        .for_each(|action| apply(&mut lab, action));
    let registering = begun.elapsed() / MANY as u32;
    lab.pass(1);
    let begun = Instant::now();
    let before = lab.state.table_at(1, lab.block.saturating_sub(1)).unwrap();
    let making = begun.elapsed();
    assert_eq!(before.dispersers().len(), MANY);

    apply(&mut lab, &actions[MANY]);
    lab.pass(1);
    let after = lab.state.table_at(1, lab.block.saturating_sub(1)).unwrap();
    assert_eq!(after.dispersers()[..MANY], *before.dispersers());
    assert_ne!(after.root(), before.root());
    assert_eq!(
        after.header().operators_root,
        before.header().operators_root
    );
    // Of the hashes beside the first leaf, only that of the half with the new one is another.
    let paths = [&before, &after].map(|table| dispersers_tree(table.dispersers()).path(0).unwrap());
    let changed = paths[0].iter().zip(&paths[1]).filter(|(a, b)| a != b);
    assert_eq!((paths[1].len(), changed.count()), (12, 1));

    // What a follower does with its content, and a node with each request.
    let scope = TableScope {
        domain: after.domain(),
        reference_block: after.reference_block(),
        versions: vec![1],
    };
    let (operators, dispersers) = (after.operators().to_vec(), after.dispersers().to_vec());
    let begun = Instant::now();
    let loaded = OperatorTable::new(scope, operators, dispersers).unwrap();
    let loading = begun.elapsed();
    assert_eq!(loaded.root(), after.root());
    let begun = Instant::now();
    for id in 0..=MANY as u32 {
        assert_eq!(std::hint::black_box(loaded.disperser(id)).unwrap().id, id);
    }
    let finding = begun.elapsed() / (MANY as u32 + 1);
    eprintln!(
        "{MANY} dispersers: a registration {registering:?}, a table {making:?}, loaded in {loading:?}, a look {finding:?}"
    );
}
