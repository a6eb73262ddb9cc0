#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::Slices;
use crate::testing::{codes, edge_rows, random_rows, random_scalars};

fn pick(slices: &Slices, indices: impl IntoIterator<Item = u32>) -> Vec<(u32, &[u8])> {
    indices
        .into_iter()
        .map(|index| (index, slices.slice(index).unwrap()))
        .collect()
}

#[test]
fn every_code_recovers_edge_rows_from_the_last_slices() {
    for code in codes() {
        for rows in edge_rows() {
            let slices = Slices::extend(code, &rows);
            let last = pick(&slices, code.chunks() - code.needed()..code.chunks());
            assert!(recover(code, 1, &last).unwrap() == rows, "{code:?}");
        }
    }
}

#[test]
fn both_methods_and_the_plain_copy_agree() {
    for code in codes() {
        let rows = random_rows("methods", 2);
        let slices = Slices::extend(code, &rows);
        let mut methods = [false; 4];
        for missing in [
            0,
            1,
            code.needed() / 16,
            code.needed() / 2,
            code.needed() - 1,
            code.needed(),
        ] {
            // Systematic slices from `missing` on, then the last parity slices.
            let known: Vec<_> = (missing..code.needed())
                .chain(code.chunks() - missing..code.chunks())
                .collect();
            let method = match Plan::new(code, &known, Wanted::Row).method {
                Method::Copy => 0,
                Method::Direct(_) => 1,
                Method::Transform(_) => 2,
                Method::Derivative(_) => 3,
            };
            methods[method] = true;
            assert!(
                recover(code, 2, &pick(&slices, known.clone())).unwrap() == rows,
                "{code:?} without {missing}"
            );
            assert!(
                recover_slices(code, 2, &pick(&slices, known)).unwrap() == slices,
                "{code:?} without {missing}"
            );
        }
        assert!(methods[0] && methods[1], "{code:?}");
    }
}

#[test]
fn every_method_recovers_what_the_direct_way_does() {
    for code in codes() {
        let rows = random_rows("forced", 1);
        let slices = Slices::extend(code, &rows);
        let all: Vec<u8> = slices.iter().flatten().copied().collect();
        let known: Vec<_> = (1..=code.needed()).collect();
        let unknown: Vec<_> = (0..code.chunks())
            .filter(|index| !known.contains(index))
            .collect();
        let cells: Vec<_> = known
            .iter()
            .map(|index| slices.slice(*index).unwrap())
            .collect();
        let mut plan = Plan::new(code, &known, Wanted::Row);
        assert!(matches!(plan.method, Method::Direct(_)));
        let mut row = vec![0; BYTES_PER_ROW];
        plan.recover(&cells, &mut row);
        assert!(row == rows.as_bytes(), "{code:?}");

        plan.method = Method::Transform(plan.transform());
        row.fill(0);
        plan.recover(&cells, &mut row);
        assert!(row == rows.as_bytes(), "{code:?}");

        plan.method = Method::Derivative(plan.derivative(&unknown, &[0]));
        row.fill(0);
        plan.recover(&cells, &mut row);
        assert!(row == rows.as_bytes(), "{code:?}");

        plan.wanted = Wanted::All;
        plan.method = Method::Derivative(plan.derivative(&unknown, &unknown));
        let mut extended = vec![0; all.len()];
        plan.recover(&cells, &mut extended);
        assert!(extended == all, "{code:?}");
    }
}

#[test]
fn every_method_is_in_use() {
    let plan = |blowup, chunks, wanted| {
        let code = Code::new(blowup, chunks).unwrap();
        let last: Vec<_> = (code.chunks() - code.needed()..code.chunks()).collect();
        Plan::new(code, &last, wanted).method
    };
    assert!(matches!(plan(8, 4096, Wanted::Row), Method::Transform(_)));
    assert!(matches!(plan(2, 128, Wanted::Row), Method::Derivative(_)));
    assert!(matches!(plan(2, 128, Wanted::All), Method::Derivative(_)));
}

#[test]
fn a_product_tree_vanishes_where_it_should() {
    use ark_poly::Polynomial;
    for count in [0, 1, 31, 32, 33, 64, 200] {
        let points = random_scalars("vanishing", count);
        let polynomial = DensePolynomial {
            coeffs: vanishing(&points),
        };
        assert_eq!(polynomial.coeffs.len(), count + 1);
        assert_eq!(polynomial.coeffs[count], Fr::one());
        assert!(
            points
                .iter()
                .all(|point| polynomial.evaluate(point).is_zero())
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_sufficient_set_recovers(
        which in 0usize..4,
        order in proptest::collection::vec(any::<u32>(), 4096),
        extra in 0usize..3,
    ) {
        let code = codes().nth(which).unwrap();
        let rows = random_rows("any", 1);
        let slices = Slices::extend(code, &rows);
        let mut indices: Vec<_> = (0..code.chunks()).collect();
        indices.sort_by_key(|index| order[*index as usize]);
        indices.truncate(code.needed() as usize + extra);
        prop_assert!(recover(code, 1, &pick(&slices, indices.clone())).unwrap() == rows);
        prop_assert!(recover_slices(code, 1, &pick(&slices, indices)).unwrap() == slices);
    }
}

#[test]
fn too_few_are_refused() {
    let code = Code::new(8, 512).unwrap();
    let slices = Slices::extend(code, &random_rows("few", 1));
    assert_eq!(
        recover(code, 1, &pick(&slices, 1..64)),
        Err(RecoverError::TooFew {
            needed: 64,
            got: 63
        })
    );
    assert_eq!(
        recover(code, 1, &[]),
        Err(RecoverError::TooFew { needed: 64, got: 0 })
    );
}

#[test]
fn malformed_slices_are_refused() {
    let code = Code::new(8, 512).unwrap();
    let slices = Slices::extend(code, &random_rows("malformed", 1));
    let good = pick(&slices, 0..64);
    assert_eq!(recover(code, 0, &good), Err(RecoverError::NoRows));

    let mut twice = good.clone();
    twice[3] = twice[9];
    assert_eq!(
        recover(code, 1, &twice),
        Err(RecoverError::DuplicateIndex { index: 9 })
    );

    let mut outside = good.clone();
    outside[3].0 = 512;
    assert_eq!(
        recover(code, 1, &outside),
        Err(RecoverError::IndexOutOfRange {
            index: 512,
            chunks: 512
        })
    );

    let mut short = good.clone();
    short[3].1 = &short[3].1[1..];
    assert_eq!(
        recover(code, 1, &short),
        Err(RecoverError::Length {
            index: 3,
            expected: 2048,
            got: 2047
        })
    );
    assert_eq!(
        recover(code, 2, &good),
        Err(RecoverError::Length {
            index: 0,
            expected: 4096,
            got: 2048
        })
    );
    assert!(matches!(
        recover(code, usize::MAX, &good),
        Err(RecoverError::Length { index: 0, .. })
    ));

    let mut bytes = good[3].1.to_vec();
    bytes[64..96].fill(0xff);
    let mut large = good.clone();
    large[3].1 = &bytes;
    assert_eq!(
        recover(code, 1, &large),
        Err(RecoverError::NonCanonical {
            index: 3,
            element: 2
        })
    );
}

#[test]
fn slices_beyond_the_needed_ones_are_not_looked_into() {
    let code = Code::new(8, 512).unwrap();
    let rows = random_rows("beyond", 1);
    let slices = Slices::extend(code, &rows);
    let mut given = pick(&slices, 0..64);
    let garbage = vec![0xff; code.cell_bytes()];
    given.push((500, &garbage));
    assert!(recover(code, 1, &given).unwrap() == rows);
}
