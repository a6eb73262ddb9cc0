use super::*;
use crate::testing::random_scalars;

/// The same transforms in arkworks' arithmetic, every root multiplied by.
mod twin {
    use super::{Fr, twiddles};

    /// Ordered columns to bit-reversed evaluations.
    pub(super) fn fft_columns(values: &mut [Fr], columns: usize) {
        let size = values.len() / columns;
        let roots = &twiddles(size.trailing_zeros()).forward;
        let mut half = size / 2;
        while half > 0 {
            for start in (0..size).step_by(2 * half) {
                for (i, column) in (0..half).flat_map(|i| (0..columns).map(move |c| (i, c))) {
                    let (low, high) = (start + i, start + i + half);
                    let (a, b) = (
                        values[low * columns + column],
                        values[high * columns + column],
                    );
                    values[low * columns + column] = a + b;
                    values[high * columns + column] = (a - b) * roots[i * (size / (2 * half))];
                }
            }
            half /= 2;
        }
    }

    /// The inverse, times the length of a column.
    pub(super) fn inverse_fft_columns(values: &mut [Fr], columns: usize) {
        let size = values.len() / columns;
        let roots = &twiddles(size.trailing_zeros()).inverse;
        let mut half = 1;
        while half < size {
            for start in (0..size).step_by(2 * half) {
                for (i, column) in (0..half).flat_map(|i| (0..columns).map(move |c| (i, c))) {
                    let (low, high) = (start + i, start + i + half);
                    let a = values[low * columns + column];
                    let b = values[high * columns + column] * roots[i * (size / (2 * half))];
                    values[low * columns + column] = a + b;
                    values[high * columns + column] = a - b;
                }
            }
            half *= 2;
        }
    }
}

#[test]
fn transforms_are_those_of_the_twin() {
    for log in 0..=13 {
        for columns in [1, 2, 3, 8] {
            let values = random_scalars("columns", columns << log);
            let (mut got, mut expected) = (values.clone(), values.clone());
            fft_columns(&mut got, columns);
            twin::fft_columns(&mut expected, columns);
            assert_eq!(got, expected, "2^{log}, {columns} columns");
            let (mut got, mut expected) = (values.clone(), values);
            inverse_fft_columns(&mut got, columns);
            twin::inverse_fft_columns(&mut expected, columns);
            assert_eq!(got, expected, "2^{log}, {columns} columns, inverse");
        }
    }
}

#[test]
fn edges_of_the_field() {
    let (zero, one) = (Fr::from(0u64), Fr::from(1u64));
    for values in [
        [zero; 8],
        [one; 8],
        [-one; 8],
        [zero, -one, one, -one, zero, one, -one, zero],
    ] {
        let (mut got, mut expected) = (values, values);
        fft_columns(&mut got, 1);
        twin::fft_columns(&mut expected, 1);
        assert_eq!(got, expected);
        inverse_fft_columns(&mut got, 1);
        assert_eq!(got, values.map(|value| value * Fr::from(8u64)));
    }
}
