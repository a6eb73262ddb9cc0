//! Tables out of the ledger.

use ashlar_proto::{OperatorIndex, TableAccess, TableScope};

use super::super::testing::*;
use super::super::*;
use ashlar_stake::{OperatorTable, Registration};
use ashlar_testing::network_key;

#[test]
fn a_table_of_any_past_block_stays_what_it_was() {
    let mut lab = Lab::new();
    lab.join(0, Wad::percent(50));
    lab.pass(1);
    let first = lab.state.table_at(1, Block(1)).unwrap();
    assert_eq!(first.total(0), Some(Amount::ether(50).0));
    let (entry, path) = first.witness(OperatorIndex(0)).unwrap();
    let root = first.header().operators_root;
    ashlar_crypto::verify_path(&root, 1, 0, entry.leaf(), &path).unwrap();
    lab.ok(SLASHER, lab.slash(0, Wad::percent(10)));
    lab.ok(0x40, World::update(0, network_key(0), "10.9.9.9:1", 1));
    lab.pass(5);
    let now = lab.state.table_at(1, Block(2)).unwrap();
    assert_eq!(now.total(0), Some(Amount::ether(45).0));
    assert_eq!(now.operators()[0].address, "10.9.9.9:1");
    assert_eq!(
        lab.state.table_at(1, Block(1)).unwrap().root(),
        first.root()
    );
    assert_eq!(lab.state.table_changed_at(1, Block(6)), Some(Block(2)));
    // The table that checks every proof says the same.
    let operator = lab.state.operator(operator_key(0)).unwrap();
    let checked = OperatorTable::register(
        TableScope {
            domain: lab.state.domain(1),
            reference_block: Block(2),
            versions: vec![1],
        },
        vec![Registration {
            entry: now.operators()[0].clone(),
            proof_of_possession: operator.proof_of_possession,
        }],
        Vec::new(),
    )
    .unwrap();
    assert_eq!(checked.root(), now.root());
    assert!(matches!(
        lab.state.table_at(1, Block(100)),
        Err(TableQueryError::Future {
            block: Block(100),
            head: Block(7)
        })
    ));
    assert!(lab.state.table_at(9, Block(1)).is_err());
}

#[test]
fn the_smallest_makes_room_for_a_larger_one() {
    let mut lab = Lab::new();
    lab.join(0, Wad::percent(50));
    let allocate = |magnitude| Action::Allocate {
        service: 1,
        quorum: 0,
        strategy: 2,
        magnitude,
    };
    let opt_in = Action::OptIn {
        service: 1,
        quorum: 0,
    };
    lab.ok(0x41, allocate(Wad::percent(54)));
    assert_eq!(lab.code(0x41, opt_in.clone()), "service.quorum_full");
    lab.ok(0x41, allocate(Wad::percent(55)));
    let events = lab.ok(0x41, opt_in);
    assert!(events.iter().any(|event| matches!(event,
        Event::OptedOut { operator, evicted: true, .. } if *operator == operator_key(0))));
    let (_, totals) = lab.state.quorum(1, 0).unwrap();
    assert_eq!((totals.members, totals.weight), (1, Amount::ether(55)));
}
