//! Products and transforms of scalars.

use super::{Dice, Disagreement, compare, twin};
use crate::field::{Scalar, scalar_to_be};
use crate::{BYTES_PER_ROW, ELEMENTS_PER_ROW};

fn list(dice: &mut Dice<'_>, count: usize) -> Vec<Scalar> {
    (0..count).map(|_| dice.scalar()).collect()
}

/// Lists multiplied by each other, again and again: in products.
pub(super) fn products(dice: &mut Dice<'_>) -> Result<u64, Disagreement> {
    const TIMES: usize = 64;
    let count = match dice.below(3) {
        0 => dice.below(20),
        _ => 1000 + dice.below(100),
    };
    let (values, factors) = (list(dice, count), list(dice, count));
    compare(dice, format!("products of {count} scalars"), |kernel| {
        let (mut values, mut factors) = (values.clone(), factors.clone());
        let mut after = Vec::new();
        for _ in 0..TIMES {
            kernel.multiply(&mut values, &factors);
            after.extend_from_slice(&values[..count.min(16)]);
            std::mem::swap(&mut values, &mut factors);
            // Something must not become nothing for good.
            for value in &mut values {
                *value += Scalar::from(3u64);
            }
        }
        (after, values, factors)
    })?;
    // The twin.
    if dice.one_in(16) {
        let expected: Vec<_> = values.iter().zip(&factors).map(|(a, b)| *a * b).collect();
        let products = compare(dice, "products of scalars", |kernel| {
            let mut values = values.clone();
            kernel.multiply(&mut values, &factors);
            values
        })?;
        twin("products of scalars", &products, &expected)?;
    }
    Ok((count * TIMES) as u64)
}

/// One transform, in numbers of transforms.
pub(super) fn transforms(dice: &mut Dice<'_>) -> Result<u64, Disagreement> {
    let size = 1usize << dice.below(9);
    let count = match dice.below(3) {
        0 => 1 + dice.below(24),
        _ => 8 * (1 + dice.below(3)),
    };
    let values = list(dice, size * count);
    let over =
        |dice: &mut Dice<'_>, name: &str, work: &dyn Fn(&dyn super::Kernel, &mut Vec<Scalar>)| {
            compare(dice, format!("{name}, {count} of {size}"), |kernel| {
                let mut values = values.clone();
                work(kernel, &mut values);
                values
            })
            .map(drop)
        };
    match dice.below(8) {
        0 => over(dice, "fft", &|kernel, values| {
            values
                .chunks_exact_mut(size)
                .for_each(|row| kernel.fft(row));
        })?,
        1 => over(dice, "inverse_fft", &|kernel, values| {
            values
                .chunks_exact_mut(size)
                .for_each(|row| kernel.inverse_fft(row));
        })?,
        2 => over(dice, "fft_columns", &|kernel, values| {
            kernel.fft_columns(values, count);
        })?,
        3 => over(dice, "inverse_fft_columns", &|kernel, values| {
            kernel.inverse_fft_columns(values, count);
        })?,
        4 => over(dice, "fft_rows", &|kernel, values| {
            kernel.fft_rows(values, size)
        })?,
        5 => over(dice, "inverse_fft_rows", &|kernel, values| {
            kernel.inverse_fft_rows(values, size);
        })?,
        6 => {
            let elements: Vec<u8> = list(dice, values.len())
                .iter()
                .flat_map(scalar_to_be)
                .collect();
            let weight = dice.scalar();
            over(dice, "add_scaled", &|kernel, values| {
                kernel.add_scaled(values, &weight, &elements);
            })?;
        }
        _ => extension(dice)?,
    }
    Ok(count as u64)
}

fn extension(dice: &mut Dice<'_>) -> Result<(), Disagreement> {
    let blowup = 1 << dice.below(4);
    let row = row(dice);
    compare(dice, format!("extend by {blowup}"), |kernel| {
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
pub(super) fn row(dice: &mut Dice<'_>) -> Vec<u8> {
    let mut elements = vec![[0; 32]; ELEMENTS_PER_ROW];
    match dice.below(5) {
        4 => {
            let blobs = colliding_blobs();
            for at in &blobs[dice.below(blobs.len())] {
                elements[*at][31] = 1;
            }
        }
        0 => {
            let element = scalar_to_be(&dice.scalar());
            for _ in 0..1 + dice.below(64) {
                elements[dice.below(ELEMENTS_PER_ROW)] = element;
            }
        }
        1 => {
            for _ in 0..1 + dice.below(200) {
                let power = 13 * dice.below(19);
                let mut element = [0; 32];
                element[31 - power / 8] = 1 << (power % 8);
                elements[dice.below(ELEMENTS_PER_ROW)] = element;
            }
        }
        2 => elements.fill(scalar_to_be(&dice.scalar())),
        _ => elements.fill_with(|| scalar_to_be(&dice.scalar())),
    }
    elements.concat()
}
