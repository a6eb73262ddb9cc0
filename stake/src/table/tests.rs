#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::bls::{BlsError, PublicKeyBytes};
use ashlar_crypto::identity::IdentityError;
use ashlar_crypto::merkle::verify_path;
use ashlar_crypto::{Blame, Coded};
use ashlar_proto::table::{EntryError, operator_id};
use proptest::prelude::*;

use super::*;
use crate::testing::{bls_key, disperser, entry, network_key, registration, scope, stake};

fn entries(n: usize) -> Vec<OperatorEntry> {
    (0..n)
        .map(|index| entry(index, &[(0, stake(index as u64 + 1)), (3, stake(10))]))
        .collect()
}

fn refusal(operators: Vec<OperatorEntry>, dispersers: Vec<DisperserEntry>) -> TableError {
    OperatorTable::new(scope(1), operators, dispersers)
        .map(|_| ())
        .unwrap_err()
}

/// An entry with other bytes for a key, and the id that belongs to them.
fn with_key(mut entry: OperatorEntry, key: PublicKeyBytes) -> OperatorEntry {
    entry.operator_id = operator_id(&key);
    entry.bls_public_key = key;
    entry
}

#[test]
fn finds_everything() {
    let dispersers = vec![disperser(9), disperser(2)];
    let table = OperatorTable::new(scope(77), entries(5), dispersers).unwrap();
    assert_eq!(table.reference_block(), Block(77));
    assert_eq!(table.operators().len(), 5);
    assert!(
        table
            .operators()
            .is_sorted_by_key(|entry| entry.operator_id)
    );
    for (index, entry) in (0..).map(OperatorIndex).zip(table.operators()) {
        assert_eq!(table.find(&entry.operator_id), Some(index));
        assert_eq!(table.find_network_key(&entry.network_key), Some(index));
        assert_eq!(table.operator(index), Some(entry));
        assert_eq!(
            table.public_key(index).unwrap().to_bytes(),
            entry.bls_public_key
        );
        assert_eq!(table.proof_of_possession(index), None);
    }
    assert_eq!(table.operator(OperatorIndex(5)), None);
    assert_eq!(table.public_key(OperatorIndex(5)), None);
    assert_eq!(table.find(&OperatorId([0; 32])), None);
    assert_eq!(table.find_network_key(&disperser(2).network_key), None);
    assert_eq!(table.quorums().collect::<Vec<_>>(), [0, 3]);
    assert_eq!(
        (table.total(0), table.total(3), table.total(1)),
        (Some(stake(15)), Some(stake(50)), None)
    );
    assert_eq!(table.dispersers(), [disperser(2), disperser(9)]);
    assert_eq!(table.disperser(9), Some(&disperser(9)));
    assert_eq!(table.disperser(3), None);
    assert_eq!(
        table.disperser_by_key(&disperser(2).network_key),
        Some(&disperser(2))
    );
    assert_eq!(
        table.disperser_by_key(&table.operators()[0].network_key),
        None
    );
}

/// The header is what those who hold only the root check against: every part of it follows from the entries.
#[test]
fn header_is_made_by_the_functions_of_proto() {
    let table = OperatorTable::new(scope(77), entries(5), vec![disperser(1)]).unwrap();
    let header = table.header();
    assert_eq!(header.operators, 5);
    assert_eq!(
        header.operators_root,
        operators_tree(table.operators()).root()
    );
    assert_eq!(
        header.dispersers_root,
        dispersers_tree(table.dispersers()).root()
    );
    assert_eq!(header.aggregate_key, table.aggregate_key().to_bytes());
    let keys: Vec<PublicKey> = (0..5)
        .map(OperatorIndex)
        .map(|index| *table.public_key(index).unwrap())
        .collect();
    assert_eq!(Some(*table.aggregate_key()), aggregate_public_keys(&keys));
    assert_eq!(table.root(), header.root());
}

#[test]
fn witnesses_lead_to_the_root() {
    let table = OperatorTable::new(scope(1), entries(6), Vec::new()).unwrap();
    for index in (0..6).map(OperatorIndex) {
        let (entry, path) = table.witness(index).unwrap();
        verify_path(
            &table.header().operators_root,
            6,
            u64::from(index.0),
            entry.leaf(),
            &path,
        )
        .unwrap();
    }
    assert_eq!(table.witness(OperatorIndex(6)), None);
}

/// Whatever changes in the table changes its root.
#[test]
fn everything_is_in_the_root() {
    let base = || (entries(3), vec![disperser(1)]);
    let root = |block, (operators, dispersers)| {
        OperatorTable::new(scope(block), operators, dispersers)
            .unwrap()
            .root()
    };
    let expected = root(1, base());
    assert_eq!(root(1, base()), expected);
    let mut roots = vec![expected, root(2, base())];
    let mut change = |change: &dyn Fn(&mut Vec<OperatorEntry>, &mut Vec<DisperserEntry>)| {
        let mut parts = base();
        change(&mut parts.0, &mut parts.1);
        roots.push(root(1, parts));
    };
    change(&|operators, _| operators[1].stakes[0].1 += stake(1));
    change(&|operators, _| operators[1].stakes.truncate(1));
    change(&|operators, _| operators[1].address = "other.example:1".into());
    change(&|operators, _| operators[1].network_key = network_key(900));
    change(&|operators, _| drop(operators.pop()));
    change(&|operators, _| operators.push(entry(3, &[(0, stake(1))])));
    change(&|_, dispersers| dispersers[0].id = 2);
    change(&|_, dispersers| dispersers[0].account.0[0] ^= 1);
    change(&|_, dispersers| dispersers[0].bond += stake(1));
    change(&|_, dispersers| dispersers[0].network_key = network_key(901));
    change(&|_, dispersers| dispersers.clear());
    let mut unique = roots.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), roots.len());
}

#[test]
fn registers_with_proofs() {
    let registrations: Vec<_> = (0..3).map(|index| registration(index, &[(0, 5)])).collect();
    let table = OperatorTable::register(scope(1), registrations.clone(), Vec::new()).unwrap();
    for registration in &registrations {
        let index = table.find(&registration.entry.operator_id).unwrap();
        assert_eq!(
            table.proof_of_possession(index),
            Some(&registration.proof_of_possession)
        );
    }
    let plain = registrations
        .iter()
        .map(|registration| registration.entry.clone())
        .collect();
    assert_eq!(
        OperatorTable::new(scope(1), plain, Vec::new())
            .unwrap()
            .root(),
        table.root()
    );
}

#[test]
fn refuses_missing_possession() {
    let refusal = |registrations| {
        OperatorTable::register(scope(1), registrations, Vec::new())
            .map(|_| ())
            .unwrap_err()
    };
    let (honest, other) = (registration(0, &[(0, 5)]), registration(1, &[(0, 5)]));
    let operator = other.entry.operator_id;

    let mut borrowed = other.clone();
    borrowed.proof_of_possession = honest.proof_of_possession;
    assert_eq!(
        refusal(vec![honest.clone(), borrowed]),
        TableError::Possession {
            operator,
            source: BlsError::Possession
        }
    );
    // A signature of the key's bytes as a message is something else than a proof.
    let mut signed = other.clone();
    signed.proof_of_possession = bls_key(1).sign(&other.entry.bls_public_key.0).to_bytes();
    assert_eq!(
        refusal(vec![signed]),
        TableError::Possession {
            operator,
            source: BlsError::Possession
        }
    );
    let mut garbage = other.clone();
    garbage.proof_of_possession.0 = [0xff; 48];
    assert_eq!(
        refusal(vec![garbage]),
        TableError::Possession {
            operator,
            source: BlsError::Encoding
        }
    );
    let mut infinity = other;
    infinity.proof_of_possession.0 = [0; 48];
    infinity.proof_of_possession.0[0] = 0xc0;
    assert_eq!(
        refusal(vec![infinity]),
        TableError::Possession {
            operator,
            source: BlsError::Infinity
        }
    );
    assert_eq!(refusal(Vec::new()), TableError::NoOperators);
}

/// The cache spares a pairing, never a check: another key, another proof or another entry is looked at.
#[test]
fn the_cache_believes_nothing_new() {
    let mut cache = PossessionCache::default();
    let (first, second) = (registration(0, &[(0, 5)]), registration(1, &[(0, 5)]));
    cache.verify(&first).unwrap();
    cache.verify(&first).unwrap();
    let mut borrowed = second.clone();
    borrowed.proof_of_possession = first.proof_of_possession;
    for _ in 0..2 {
        assert!(matches!(
            cache.verify(&borrowed),
            Err(TableError::Possession { .. })
        ));
    }
    let mut changed = first.clone();
    changed.entry.stakes = vec![(0, stake(0))];
    assert!(matches!(
        cache.verify(&changed),
        Err(TableError::Entry { .. })
    ));
    let table = OperatorTable::register(scope(1), vec![second], Vec::new()).unwrap();
    cache.retain([&table]);
    cache.verify(&first).unwrap();
}

#[test]
fn refuses_no_or_too_many_operators() {
    assert_eq!(refusal(Vec::new(), Vec::new()), TableError::NoOperators);
    let many = vec![entry(0, &[(0, stake(1))]); MAX_OPERATORS + 1];
    assert_eq!(
        refusal(many, Vec::new()),
        TableError::TooManyOperators {
            got: MAX_OPERATORS + 1,
            max: MAX_OPERATORS
        }
    );
}

#[test]
fn refuses_broken_entries() {
    let broken = |change: &dyn Fn(&mut OperatorEntry)| {
        let mut operators = entries(3);
        change(&mut operators[1]);
        refusal(operators, Vec::new())
    };
    let operator = entries(3)[1].operator_id;
    assert!(matches!(
        broken(&|entry| entry.operator_id.0[0] ^= 1),
        TableError::Entry {
            source: EntryError::Id { .. },
            ..
        }
    ));
    assert!(matches!(
        broken(&|entry| entry.address = "nowhere".into()),
        TableError::Entry {
            source: EntryError::Address { .. },
            ..
        }
    ));
    assert_eq!(
        broken(&|entry| entry.stakes[1].1 = stake(0)),
        TableError::Entry {
            operator,
            source: EntryError::ZeroStake { quorum: 3 }
        }
    );
    assert_eq!(
        broken(&|entry| entry.stakes.reverse()),
        TableError::Entry {
            operator,
            source: EntryError::QuorumOrder {
                first: 3,
                second: 0
            }
        }
    );
    assert_eq!(
        broken(&|entry| entry.stakes.clear()),
        TableError::NoStake { operator }
    );
    assert_eq!(
        broken(&|entry| entry.network_key.0 = [0; 32]),
        TableError::NetworkKey {
            who: format!("operator {operator}"),
            source: IdentityError::WeakKey
        }
    );
}

#[test]
fn refuses_bls_keys_that_are_none() {
    let broken = |key: [u8; 96]| {
        let mut operators = entries(2);
        operators[1] = with_key(operators[1].clone(), PublicKeyBytes(key));
        match refusal(operators, Vec::new()) {
            TableError::BlsKey { source, .. } => source,
            other => panic!("{other}"),
        }
    };
    assert_eq!(broken([0xff; 96]), BlsError::Encoding);
    let mut infinity = [0; 96];
    infinity[0] = 0xc0;
    assert_eq!(broken(infinity), BlsError::Infinity);
}

#[test]
fn refuses_duplicates() {
    let mut operators = entries(3);
    let mut again = operators[2].clone();
    again.network_key = network_key(902);
    operators.push(again);
    assert_eq!(
        refusal(operators, Vec::new()),
        TableError::DuplicateOperator {
            operator: entries(3)[2].operator_id
        }
    );

    let mut operators = entries(3);
    operators[2].network_key = operators[0].network_key;
    let (first, second) = (operators[0].operator_id, operators[2].operator_id);
    assert_eq!(
        refusal(operators, Vec::new()),
        TableError::DuplicateNetworkKey { first, second }
    );

    let mut again = disperser(1);
    again.network_key = network_key(903);
    assert_eq!(
        refusal(entries(1), vec![disperser(1), again]),
        TableError::DuplicateDisperser { id: 1 }
    );
    let mut same_key = disperser(1);
    same_key.id = 5;
    assert_eq!(
        refusal(entries(1), vec![same_key, disperser(1)]),
        TableError::DuplicateDisperserKey {
            first: 1,
            second: 5
        }
    );
    let mut unbonded = disperser(1);
    unbonded.bond = Stake::ZERO;
    assert_eq!(
        refusal(entries(1), vec![unbonded]),
        TableError::ZeroBond { id: 1 }
    );
    let mut whale = disperser(2);
    whale.bond = Stake::MAX;
    assert_eq!(
        refusal(entries(1), vec![disperser(1), whale]),
        TableError::BondOverflow
    );
    let mut weak = disperser(1);
    weak.network_key.0 = [0; 32];
    assert_eq!(
        refusal(entries(1), vec![weak]),
        TableError::NetworkKey {
            who: "disperser 1".into(),
            source: IdentityError::WeakKey
        }
    );
}

#[test]
fn refuses_totals_beyond_256_bits() {
    let operators = vec![entry(0, &[(4, Stake::MAX)]), entry(1, &[(4, stake(1))])];
    assert_eq!(
        refusal(operators, Vec::new()),
        TableError::TotalOverflow { quorum: 4 }
    );
    let fits = vec![
        entry(0, &[(4, Stake::MAX - stake(1))]),
        entry(1, &[(4, stake(1))]),
    ];
    assert_eq!(
        OperatorTable::new(scope(1), fits, Vec::new())
            .unwrap()
            .total(4),
        Some(Stake::MAX)
    );
}

#[test]
fn refuses_keys_that_cancel_out() {
    let honest = entry(0, &[(0, stake(1))]);
    let mut negative = honest.bls_public_key;
    negative.0[0] ^= 0x20;
    let opposite = with_key(entry(1, &[(0, stake(1))]), negative);
    assert_eq!(
        refusal(vec![honest, opposite], Vec::new()),
        TableError::NoAggregateKey
    );
}

#[test]
fn codes_are_stable() {
    let operator = OperatorId([0; 32]);
    let (key, network) = (BlsError::Encoding, IdentityError::WeakKey);
    let errors = [
        TableError::NoOperators,
        TableError::TooManyOperators { got: 0, max: 0 },
        TableError::Entry {
            operator,
            source: EntryError::ZeroStake { quorum: 0 },
        },
        TableError::NoStake { operator },
        TableError::BlsKey {
            operator,
            source: key,
        },
        TableError::Possession {
            operator,
            source: key,
        },
        TableError::NetworkKey {
            who: String::new(),
            source: network,
        },
        TableError::DuplicateOperator { operator },
        TableError::DuplicateNetworkKey {
            first: operator,
            second: operator,
        },
        TableError::DuplicateDisperser { id: 0 },
        TableError::DuplicateDisperserKey {
            first: 0,
            second: 0,
        },
        TableError::ZeroBond { id: 0 },
        TableError::BondOverflow,
        TableError::TotalOverflow { quorum: 0 },
        TableError::NoAggregateKey,
    ];
    assert!(errors.iter().all(|error| error.blame() == Blame::Caller));
    assert_eq!(
        errors.map(|error| error.code()),
        [
            "table.no_operators",
            "table.too_many_operators",
            "table.zero_stake",
            "table.no_stake",
            "table.bls_key",
            "table.possession",
            "table.network_key",
            "table.duplicate_operator",
            "table.duplicate_network_key",
            "table.duplicate_disperser",
            "table.duplicate_disperser_key",
            "table.zero_bond",
            "table.bond_overflow",
            "table.total_overflow",
            "table.no_aggregate_key",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The order in which operators and dispersers are given changes nothing.
    #[test]
    fn order_does_not_matter(n in 1usize..20, seed: u64) {
        let shuffle = |position: usize| (position as u64 + 1).wrapping_mul(seed | 1).rotate_left(23);
        let mut operators: Vec<_> = entries(n).into_iter().enumerate().collect();
        operators.sort_by_key(|&(position, _)| shuffle(position));
        let mut dispersers: Vec<_> = (0..4).map(disperser).enumerate().collect();
        dispersers.sort_by_key(|&(position, _)| shuffle(position));
        let shuffled = OperatorTable::new(scope(1),
            operators.into_iter().map(|(_, entry)| entry).collect(),
            dispersers.into_iter().map(|(_, entry)| entry).collect(),
        ).unwrap();
        let sorted = OperatorTable::new(scope(1), entries(n), (0..4).map(disperser).collect()).unwrap();
        prop_assert_eq!(shuffled.root(), sorted.root());
        prop_assert_eq!(shuffled.operators(), sorted.operators());
    }
}
