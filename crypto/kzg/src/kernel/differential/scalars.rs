//! Products and transforms of scalars.

use super::{Choices, Disagreement, compare, twin};
use crate::field::{Fr, fr_to_be};
use crate::{BYTES_PER_ROW, ELEMENTS_PER_ROW};

fn list(choices: &mut Choices<'_>, count: usize) -> Vec<Fr> {
    (0..count).map(|_| choices.scalar()).collect()
}

/// Lists multiplied by each other, again and again: in products.
pub(super) fn products(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    const TIMES: usize = 64;
    let count = match choices.below(3) {
        0 => choices.below(20),
        _ => 1000 + choices.below(100),
    };
    let (values, factors) = (list(choices, count), list(choices, count));
    compare(choices, format!("products of {count} scalars"), |kernel| {
        let (mut values, mut factors) = (values.clone(), factors.clone());
        let mut after = Vec::new();
        for _ in 0..TIMES {
            kernel.multiply(&mut values, &factors);
            after.extend_from_slice(&values[..count.min(16)]);
            std::mem::swap(&mut values, &mut factors);
            // Something must not become nothing for good.
            for value in &mut values {
                *value += Fr::from(3u64);
            }
        }
        (after, values, factors)
    })?;
    // The twin.
    if choices.one_in(16) {
        let expected: Vec<_> = values.iter().zip(&factors).map(|(a, b)| *a * b).collect();
        let products = compare(choices, "products of scalars", |kernel| {
            let mut values = values.clone();
            kernel.multiply(&mut values, &factors);
            values
        })?;
        twin("products of scalars", &products, &expected)?;
    }
    Ok((count * TIMES) as u64)
}

/// One transform, in numbers of transforms.
pub(super) fn transforms(choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    let size = 1usize << choices.below(9);
    let count = match choices.below(3) {
        0 => 1 + choices.below(24),
        _ => 8 * (1 + choices.below(3)),
    };
    let values = list(choices, size * count);
    let over =
        |choices: &mut Choices<'_>, name: &str, work: &dyn Fn(&dyn super::Kernel, &mut Vec<Fr>)| {
            compare(choices, format!("{name}, {count} of {size}"), |kernel| {
                let mut values = values.clone();
                work(kernel, &mut values);
                values
            })
            .map(drop)
        };
    match choices.below(8) {
        0 => over(choices, "fft", &|kernel, values| {
            values
                .chunks_exact_mut(size)
                .for_each(|row| kernel.fft(row));
        })?,
        1 => over(choices, "inverse_fft", &|kernel, values| {
            values
                .chunks_exact_mut(size)
                .for_each(|row| kernel.inverse_fft(row));
        })?,
        2 => over(choices, "fft_columns", &|kernel, values| {
            kernel.fft_columns(values, count);
        })?,
        3 => over(choices, "inverse_fft_columns", &|kernel, values| {
            kernel.inverse_fft_columns(values, count);
        })?,
        4 => over(choices, "fft_rows", &|kernel, values| {
            kernel.fft_rows(values, size)
        })?,
        5 => over(choices, "inverse_fft_rows", &|kernel, values| {
            kernel.inverse_fft_rows(values, size);
        })?,
        6 => {
            let terms = match choices.below(3) {
                0 => choices.below(3),
                1 => choices.below(20),
                _ => 120 + choices.below(20),
            };
            let elements: Vec<u8> = list(choices, values.len() + terms)
                .iter()
                .flat_map(fr_to_be)
                .collect();
            // The largest sums come from the largest of both.
            let largest = fr_to_be(&-Fr::from(1u64)).repeat(values.len());
            let terms: Vec<_> = (0..terms)
                .map(|at| {
                    let weight = choices.scalar();
                    if choices.one_in(3) {
                        (&largest[..], weight)
                    } else {
                        (&elements[at * 32..], weight)
                    }
                })
                .collect();
            over(choices, "add_weighted", &|kernel, values| {
                kernel.add_weighted(values, &terms);
            })?;
        }
        _ => extension(choices)?,
    }
    Ok(count as u64)
}

fn extension(choices: &mut Choices<'_>) -> Result<(), Disagreement> {
    let blowup = 1 << choices.below(4);
    let row = row(choices);
    compare(choices, format!("extend by {blowup}"), |kernel| {
        let mut parity = vec![0; BYTES_PER_ROW * (blowup - 1)];
        kernel.extend(blowup, &row, &mut parity);
        parity
    })?;
    Ok(())
}

/// Blobs of eight ones, whose positions are a line, with a collision in one limb on the way to their commitment.
pub(in crate::kernel) fn colliding_blobs() -> Vec<Vec<usize>> {
    include_str!("../../../tests/data/colliding_blobs.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(' ').filter_map(|at| at.parse().ok()).collect())
        .collect()
}

/// A row of canonical elements: few of them, the same everywhere, powers that fall into one bucket, a known collision, or
/// anything.
pub(super) fn row(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut elements = vec![[0; 32]; ELEMENTS_PER_ROW];
    match choices.below(5) {
        4 => {
            let blobs = colliding_blobs();
            for at in &blobs[choices.below(blobs.len())] {
                elements[*at][31] = 1;
            }
        }
        0 => {
            let element = fr_to_be(&choices.scalar());
            for _ in 0..1 + choices.below(64) {
                elements[choices.below(ELEMENTS_PER_ROW)] = element;
            }
        }
        1 => {
            for _ in 0..1 + choices.below(200) {
                let power = 13 * choices.below(19);
                let mut element = [0; 32];
                element[31 - power / 8] = 1 << (power % 8);
                elements[choices.below(ELEMENTS_PER_ROW)] = element;
            }
        }
        2 => elements.fill(fr_to_be(&choices.scalar())),
        _ => elements.fill_with(|| fr_to_be(&choices.scalar())),
    }
    elements.concat()
}
