#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use ashlar_crypto::Coded;
use ashlar_proto::params::{VERSIONS, version};
use proptest::prelude::*;

use super::*;
use crate::testing::{entry, scope, stake, table_of};

fn v1() -> &'static ProtocolVersion {
    version(1).unwrap()
}

fn range(start: u32, end: u32) -> Vec<ChunkIndex> {
    (start..end).map(ChunkIndex).collect()
}

fn indices(operators: std::ops::Range<u32>) -> Vec<OperatorIndex> {
    operators.map(OperatorIndex).collect()
}

/// The rule by hand: (512 − 128) · stake / total each, one after the other.
#[test]
fn one_quorum_by_hand() {
    let assignment = Assignment::compute(&table_of(&[stake(1); 8]), v1(), &[0]).unwrap();
    for operator in 0..8 {
        assert_eq!(
            assignment.chunks(OperatorIndex(operator)),
            range(48 * operator, 48 * (operator + 1))
        );
    }
    assert_eq!(
        assignment.holders(ChunkIndex(47)).collect::<Vec<_>>(),
        [OperatorIndex(0)]
    );
    assert_eq!(
        assignment.holders(ChunkIndex(48)).collect::<Vec<_>>(),
        [OperatorIndex(1)]
    );
    assert_eq!(assignment.holders(ChunkIndex(384)).count(), 0);
    assert_eq!(assignment.holders(ChunkIndex(u32::MAX)).count(), 0);
    assert_eq!(assignment.chunks(OperatorIndex(8)), []);
    assert_eq!(assignment.operators().collect::<Vec<_>>(), indices(0..8));

    // 384 · (1, 2, 7) / 10 = 38.4, 76.8, 268.8, rounded up; the second and the third are cut to 64.
    let assignment =
        Assignment::compute(&table_of(&[stake(1), stake(2), stake(7)]), v1(), &[0]).unwrap();
    assert_eq!(assignment.chunks(OperatorIndex(0)), range(0, 39));
    assert_eq!(assignment.chunks(OperatorIndex(1)), range(39, 39 + 64));
    assert_eq!(
        assignment.chunks(OperatorIndex(2)),
        range(39 + 77, 39 + 77 + 64)
    );
}

/// Two quorums by hand: what is held is used again first, the rest is the lowest free in the second quorum.
#[test]
fn two_quorums_by_hand() {
    let entries = (0..16)
        .map(|index| {
            // In quorum 0 all have 24 chunks; in quorum 1 the first has 12 and the second 36, all others 24.
            let second = [1, 3].get(index).copied().unwrap_or(2);
            entry(index, &[(0, stake(2)), (1, stake(second))])
        })
        .collect();
    let table = OperatorTable::new(scope(1), entries, Vec::new()).unwrap();
    let assignment = Assignment::compute(&table, v1(), &[0, 1]).unwrap();
    assert_eq!(
        assignment.chunks(OperatorIndex(0)),
        range(0, 24),
        "needs only 12 of its 24 in quorum 1"
    );
    // Indices 12 to 23 are not used in quorum 1: operator 1 gets them as its further 12.
    assert_eq!(
        assignment.chunks(OperatorIndex(1)),
        [range(12, 24), range(24, 48)].concat()
    );
    for operator in 2..16 {
        assert_eq!(
            assignment.chunks(OperatorIndex(operator)),
            range(24 * operator, 24 * (operator + 1))
        );
    }
    assert_eq!(
        assignment.holders(ChunkIndex(12)).collect::<Vec<_>>(),
        indices(0..2),
        "one holder in each quorum"
    );
}

#[test]
fn an_operator_alone_holds_just_enough() {
    let assignment = Assignment::compute(&table_of(&[stake(1)]), v1(), &[0]).unwrap();
    assert_eq!(assignment.chunks(OperatorIndex(0)), range(0, 64));
}

#[test]
fn stake_one_against_all_the_rest() {
    for huge in [
        stake(u64::MAX),
        Stake::from(u128::MAX),
        Stake::MAX - stake(1),
    ] {
        let assignment = Assignment::compute(&table_of(&[stake(1), huge]), v1(), &[0]).unwrap();
        assert_eq!(
            assignment.chunks(OperatorIndex(0)),
            range(0, 1),
            "who has stake has a chunk"
        );
        assert_eq!(assignment.chunks(OperatorIndex(1)), range(1, 65));
        let assignment = Assignment::compute(&table_of(&[huge, stake(1)]), v1(), &[0]).unwrap();
        assert_eq!(
            (
                assignment.chunks(OperatorIndex(0)),
                assignment.chunks(OperatorIndex(1))
            ),
            (&range(0, 64)[..], &range(384, 385)[..])
        );
    }
}

/// The indices do not run out with as many operators as the version allows, where rounding adds most.
#[test]
fn as_many_operators_as_a_version_allows() {
    for version in VERSIONS.iter() {
        let n = version.max_operators as usize;
        let mut stakes = vec![stake(1); n];
        stakes[n - 1] = Stake::MAX - stake(n as u64);
        for table in [table_of(&vec![stake(1); n]), table_of(&stakes)] {
            let assignment = Assignment::compute(&table, version, &[0]).unwrap();
            let mut seen = HashSet::new();
            for operator in 0..n as u32 {
                assert!(!assignment.chunks(OperatorIndex(operator)).is_empty());
                for chunk in assignment.chunks(OperatorIndex(operator)) {
                    assert!(chunk.0 < version.code.chunks() && seen.insert(*chunk));
                }
            }
        }
    }
}

#[test]
fn refusals() {
    let table = table_of(&[stake(1), stake(2)]);
    let refusal = |version: &ProtocolVersion, quorums: &[u8]| {
        Assignment::compute(&table, version, quorums)
            .map(|_| ())
            .unwrap_err()
    };
    assert_eq!(refusal(v1(), &[]), AssignmentError::NoQuorums);
    assert_eq!(
        refusal(v1(), &[0, 7]),
        AssignmentError::UnknownQuorum { quorum: 7 }
    );
    let one = ProtocolVersion {
        max_operators: 1,
        ..*v1()
    };
    assert_eq!(
        refusal(&one, &[0]),
        AssignmentError::TooManyOperators {
            quorum: 0,
            version: 1,
            got: 2,
            max: 1
        }
    );
    for max_operators in [512, 513, u32::MAX] {
        let broken = ProtocolVersion {
            max_operators,
            ..*v1()
        };
        assert_eq!(
            refusal(&broken, &[0]),
            AssignmentError::Version {
                version: 1,
                chunks: 512,
                max_operators
            }
        );
    }
    let codes = [
        AssignmentError::NoQuorums,
        AssignmentError::UnknownQuorum { quorum: 0 },
        AssignmentError::TooManyOperators {
            quorum: 0,
            version: 0,
            got: 0,
            max: 0,
        },
        AssignmentError::Version {
            version: 0,
            chunks: 0,
            max_operators: 0,
        },
    ]
    .map(|error| error.code());
    assert_eq!(
        codes,
        [
            "assignment.no_quorums",
            "assignment.unknown_quorum",
            "assignment.too_many_operators",
            "assignment.version"
        ]
    );
}

/// Operators of other quorums do not count against the limit of one, and hold nothing.
#[test]
fn operators_of_other_quorums_are_left_out() {
    let n = v1().max_operators as usize;
    let entries = (0..2 * n)
        .map(|index| entry(index, &[((index % 2) as u8, stake(1))]))
        .collect();
    let table = OperatorTable::new(scope(1), entries, Vec::new()).unwrap();
    let assignment = Assignment::compute(&table, v1(), &[1]).unwrap();
    assert_eq!(assignment.operators().count(), n);
    assert!(assignment.operators().all(|operator| operator.0 % 2 == 1));
    assert_eq!(
        Assignment::compute(&table, v1(), &[0, 1])
            .unwrap()
            .operators()
            .count(),
        2 * n
    );
}

/// Stakes of all magnitudes, zero included. Sums of 1024 of them fit in 256 bits.
fn any_stake() -> impl Strategy<Value = Stake> {
    prop_oneof![
        2 => Just(stake(0)),
        3 => Just(stake(1)),
        4 => (1u64..100).prop_map(stake),
        3 => any::<u64>().prop_map(stake),
        3 => any::<u128>().prop_map(Stake::from),
        2 => any::<[u64; 4]>().prop_map(|limbs| Stake::from_limbs(limbs) >> 11),
    ]
}

/// Stakes of some operators in some quorums, such that each operator and each quorum has some.
fn any_stakes(
    operators: std::ops::Range<usize>,
    quorums: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<Vec<Stake>>> {
    (operators, quorums).prop_flat_map(|(operators, quorums)| {
        proptest::collection::vec(proptest::collection::vec(any_stake(), quorums), operators)
            .prop_map(|mut stakes| {
                let quorums = stakes[0].len();
                for (index, row) in stakes.iter_mut().enumerate() {
                    if row.iter().all(Stake::is_zero) {
                        row[index % quorums] = stake(1);
                    }
                }
                for quorum in 0..quorums {
                    if stakes.iter().all(|row| row[quorum].is_zero()) {
                        stakes[0][quorum] = stake(1);
                    }
                }
                stakes
            })
    })
}

fn table_of_rows(rows: &[Vec<Stake>]) -> OperatorTable {
    let entries = rows
        .iter()
        .enumerate()
        .map(|(index, row)| entry(index, &(0..).zip(row.iter().copied()).collect::<Vec<_>>()))
        .collect();
    OperatorTable::new(scope(1), entries, Vec::new()).unwrap()
}

/// Whether a stake reaches r · total, by the definition of r: `stake · (c − n) · blowup ≥ c · total`.
fn reaches_r(signed: U512, total: Stake, version: &ProtocolVersion) -> bool {
    let (numerator, denominator) = version.reconstruction();
    signed * U512::from(denominator) >= U512::from(total) * U512::from(numerator)
}

fn distinct(assignment: &Assignment, operators: &[OperatorIndex]) -> usize {
    operators
        .iter()
        .flat_map(|&operator| assignment.chunks(operator))
        .collect::<HashSet<_>>()
        .len()
}

fn stake_of(rows: &[Vec<Stake>], quorum: usize, operators: &[OperatorIndex]) -> U512 {
    operators
        .iter()
        .map(|&operator| U512::from(rows[operator.0 as usize][quorum]))
        .fold(U512::ZERO, |a, b| a + b)
}

fn total_of(rows: &[Vec<Stake>], quorum: usize) -> Stake {
    rows.iter()
        .map(|row| row[quorum])
        .fold(Stake::ZERO, |a, b| a + b)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The property that the protocol rests on, for every set of few operators.
    #[test]
    fn every_set_with_enough_stake_rebuilds(rows in any_stakes(1..10, 1..4), id in 1u16..=3) {
        let version = version(id).unwrap();
        let quorums: Vec<u8> = (0..rows[0].len() as u8).collect();
        let assignment = Assignment::compute(&table_of_rows(&rows), version, &quorums).unwrap();
        for set in 0u32..1 << rows.len() {
            let mut members = indices(0..rows.len() as u32);
            members.retain(|operator| set >> operator.0 & 1 == 1);
            let enough = quorums.iter().any(|&quorum| {
                let quorum = usize::from(quorum);
                reaches_r(stake_of(&rows, quorum, &members), total_of(&rows, quorum), version)
            });
            if enough {
                prop_assert!(distinct(&assignment, &members) >= version.code.needed() as usize, "set {set:b}");
            }
        }
    }

    /// The same for many operators, for the sets most likely to fail: those that reach r with as few chunks for their stake
    /// as possible, and random ones, each stopped as soon as it reaches r.
    #[test]
    fn sparse_sets_of_many_operators_rebuild(rows in any_stakes(1..129, 1..4), order in any::<u64>()) {
        let version = v1();
        let quorums: Vec<u8> = (0..rows[0].len() as u8).collect();
        let assignment = Assignment::compute(&table_of_rows(&rows), version, &quorums).unwrap();
        for quorum in 0..rows[0].len() {
            let total = total_of(&rows, quorum);
            let mut by_cost = indices(0..rows.len() as u32);
            // Few chunks for much stake first: a / b < c / d as a · d < c · b.
            by_cost.sort_by(|&a, &b| {
                let cost = |operator: OperatorIndex, other: OperatorIndex| {
                    U512::from(assignment.chunks(operator).len()) * U512::from(rows[other.0 as usize][quorum])
                };
                cost(a, b).cmp(&cost(b, a))
            });
            let mut shuffled = indices(0..rows.len() as u32);
            shuffled.sort_by_key(|&operator| (u64::from(operator.0) + 1).wrapping_mul(order | 1).rotate_left(17));
            for sequence in [by_cost, shuffled] {
                let mut members = Vec::new();
                for operator in sequence {
                    members.push(operator);
                    if reaches_r(stake_of(&rows, quorum, &members), total, version) {
                        break;
                    }
                }
                prop_assert!(distinct(&assignment, &members) >= version.code.needed() as usize);
            }
        }
    }

    /// No index twice in one quorum; nobody without stake, everybody with stake; no more than the cap.
    #[test]
    fn one_quorum_is_a_partition(rows in any_stakes(1..129, 1..2)) {
        let version = v1();
        let assignment = Assignment::compute(&table_of_rows(&rows), version, &[0]).unwrap();
        let mut seen = HashSet::new();
        for (operator, row) in (0..).zip(&rows) {
            let chunks = assignment.chunks(OperatorIndex(operator));
            prop_assert_eq!(chunks.is_empty(), row[0].is_zero());
            prop_assert!(chunks.len() <= version.code.needed() as usize);
            for (at, &chunk) in chunks.iter().enumerate() {
                prop_assert!(chunk.0 < version.code.chunks());
                prop_assert!(seen.insert(chunk), "chunk {} twice", chunk);
                prop_assert_eq!(chunk.0, chunks[0].0 + at as u32, "consecutive");
            }
        }
    }

    /// No index twice in any quorum, each share met exactly, and with two quorums as much reused as can be.
    #[test]
    fn quorums_reuse(rows in any_stakes(1..129, 2..5)) {
        let chunks = v1().code.chunks();
        let shared = chunks - v1().max_operators;
        let mut held = vec![BTreeSet::new(); rows.len()];
        for quorum in 0..rows[0].len() {
            let total = total_of(&rows, quorum);
            let shares: Vec<u32> = rows.iter().map(|row| share(row[quorum], shared, total)).collect();
            let assigned = assign_quorum(&held, &shares, chunks);
            let mut seen = HashSet::new();
            for ((indices, &share), own) in assigned.iter().zip(&shares).zip(&held) {
                prop_assert_eq!(indices.len(), share as usize);
                prop_assert!(indices.iter().all(|&index| index.0 < chunks && seen.insert(index)));
                let reused = indices.iter().filter(|index| own.contains(index)).count();
                if quorum == 1 {
                    prop_assert!(reused >= own.len().min(share as usize));
                }
            }
            for (all, new) in held.iter_mut().zip(assigned) {
                all.extend(new);
            }
        }
    }

    /// `share` is what it says: the least whole number that is not below the exact quotient.
    #[test]
    fn shares_are_rounded_up(a in any_stake(), b in any_stake(), shared in 1u32..5000) {
        prop_assume!(!(a.is_zero() && b.is_zero()));
        let total = a + b;
        let got = U512::from(share(a, shared, total));
        let exact = U512::from(a) * U512::from(shared);
        prop_assert!(got * U512::from(total) >= exact);
        prop_assert!(got.is_zero() || (got - U512::from(1)) * U512::from(total) < exact);
    }

    /// Everybody computes the same: whatever the order of operators, of quorums, and however often a quorum is named.
    #[test]
    fn order_does_not_matter(rows in any_stakes(1..40, 1..4), rotation in 0usize..40) {
        let quorums: Vec<u8> = (0..rows[0].len() as u8).collect();
        let table = table_of_rows(&rows);
        let expected = Assignment::compute(&table, v1(), &quorums).unwrap();
        let mut entries = table.operators().to_vec();
        let middle = rotation % entries.len();
        entries.rotate_left(middle);
        entries.reverse();
        let other = OperatorTable::new(scope(1), entries, Vec::new()).unwrap();
        let doubled: Vec<u8> = quorums.iter().rev().chain(&quorums).copied().collect();
        prop_assert_eq!(Assignment::compute(&other, v1(), &doubled).unwrap(), expected.clone());
        for chunk in range(0, v1().code.chunks()) {
            let holders: Vec<_> = expected.holders(chunk).collect();
            let mut naive = indices(0..rows.len() as u32);
            naive.retain(|&operator| expected.chunks(operator).contains(&chunk));
            prop_assert_eq!(holders, naive);
        }
    }
}
