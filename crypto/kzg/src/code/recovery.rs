//! Recovery of rows from any sufficient set of cells.

use std::collections::HashSet;

use crate::parallel::*;
use ark_ff::{Field, One, Zero};
use ark_poly::univariate::DensePolynomial;
use thiserror::Error;

use crate::field::{Fr, first_non_canonical, raw_from_be, raw_to_be};
use crate::kernel;
use crate::{BYTES_PER_ROW, Code, Coded, ELEMENTS_PER_ROW, Rows, Slices};

/// Why slices do not give the rows back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "recover", blame = Caller)]
pub enum RecoverError {
    /// A blob has at least one row.
    #[error("a blob has at least one row")]
    NoRows,
    /// Too few different slices.
    #[error("{needed} slices are needed, {got} are there")]
    TooFew {
        /// Slices that suffice.
        needed: u32,
        /// Slices given.
        got: usize,
    },
    /// An index that the code does not have.
    #[error("slice index {index} is not below {chunks}")]
    IndexOutOfRange {
        /// The index.
        index: u32,
        /// Chunks of the code.
        chunks: u32,
    },
    /// The same index twice.
    #[error("slice index {index} comes twice")]
    DuplicateIndex {
        /// The index.
        index: u32,
    },
    /// A slice of another length than its rows need.
    #[error("slice {index} has {got} bytes instead of {expected}")]
    #[coded(blame = Peer)]
    Length {
        /// The slice.
        index: u32,
        /// Bytes it needs.
        expected: usize,
        /// Bytes it has.
        got: usize,
    },
    /// An element that is not below the group order.
    #[error("element {element} of slice {index} is not a canonical field element")]
    #[coded(blame = Peer)]
    NonCanonical {
        /// The slice.
        index: u32,
        /// The element in it.
        element: usize,
    },
}

/// Rebuilds the rows of a blob with `rows` rows from slices: pairs of an index and its bytes, any `code.needed()`
/// different ones. Of more than enough, the systematic ones are preferred, because they are the rows themselves, and
/// the rest is not looked into. Runs on all threads of the current rayon pool.
///
/// Whether the slices are those that somebody committed to is not checked here: wrong slices give wrong rows. Compare
/// the commitments of the result.
///
/// # Errors
///
/// [`RecoverError`] names the slice that is malformed, or how many are missing.
pub fn recover(code: Code, rows: usize, slices: &[(u32, &[u8])]) -> Result<Rows, RecoverError> {
    let used = select(code, rows, slices)?;
    let plan = Plan::new(code, &indices(&used), Wanted::Row);
    let mut bytes = vec![0; rows * BYTES_PER_ROW];
    bytes
        .par_chunks_exact_mut(BYTES_PER_ROW)
        .enumerate()
        .for_each(|(at, row)| plan.recover(&cells_of_row(code, &used, at), row));
    Ok(Rows::from_canonical(bytes))
}

/// All slices of a blob, parity included, from those that [`recover`] takes, which it is like in everything else: for
/// whoever has to store or serve what was lost.
///
/// # Errors
///
/// [`RecoverError`] names the slice that is malformed, or how many are missing.
pub fn recover_slices(
    code: Code,
    rows: usize,
    slices: &[(u32, &[u8])],
) -> Result<Slices, RecoverError> {
    let used = select(code, rows, slices)?;
    let plan = Plan::new(code, &indices(&used), Wanted::All);
    Ok(Slices::from_extended(code, rows, |at, extended| {
        plan.recover(&cells_of_row(code, &used, at), extended);
    }))
}

/// The whole extension of one row into `extended`, from cells of it.
pub(crate) fn recover_extended(
    code: Code,
    cells: &[(u32, &[u8])],
    extended: &mut [u8],
) -> Result<(), RecoverError> {
    let used = select(code, 1, cells)?;
    let plan = Plan::new(code, &indices(&used), Wanted::All);
    plan.recover(&cells_of_row(code, &used, 0), extended);
    Ok(())
}

fn indices(slices: &[(u32, &[u8])]) -> Vec<u32> {
    slices.iter().map(|(index, _)| *index).collect()
}

fn cells_of_row<'a>(code: Code, slices: &[(u32, &'a [u8])], row: usize) -> Vec<&'a [u8]> {
    let cell = code.cell_bytes();
    // [`select`] has checked that every slice has a cell for each row.
    let cell = |slice: &'a [u8]| &slice[row * cell..(row + 1) * cell];
    slices.iter().map(|(_, slice)| cell(slice)).collect()
}

/// The slices to work with, exactly `needed` of them, systematic ones first.
fn select<'a>(
    code: Code,
    rows: usize,
    slices: &[(u32, &'a [u8])],
) -> Result<Vec<(u32, &'a [u8])>, RecoverError> {
    if rows == 0 {
        return Err(RecoverError::NoRows);
    }
    let expected = rows.saturating_mul(code.cell_bytes());
    let mut seen = HashSet::with_capacity(slices.len());
    for (index, slice) in slices {
        let index = *index;
        if index >= code.chunks() {
            return Err(RecoverError::IndexOutOfRange {
                index,
                chunks: code.chunks(),
            });
        }
        if !seen.insert(index) {
            return Err(RecoverError::DuplicateIndex { index });
        }
        if slice.len() != expected {
            return Err(RecoverError::Length {
                index,
                expected,
                got: slice.len(),
            });
        }
    }
    let needed = code.needed();
    if slices.len() < needed as usize {
        return Err(RecoverError::TooFew {
            needed,
            got: slices.len(),
        });
    }
    let mut used = slices.to_vec();
    used.sort_unstable_by_key(|(index, _)| *index);
    used.truncate(needed as usize);
    let bad = used
        .par_iter()
        .find_map_first(|(index, slice)| Some((*index, first_non_canonical(slice)?)));
    match bad {
        Some((index, element)) => Err(RecoverError::NonCanonical { index, element }),
        None => Ok(used),
    }
}

/// What depends only on which cells are known, made once for all rows.
///
/// A cell on the coset with X^l = z determines f modulo X^l − z: l numbers, the values at z of l polynomials f_r of
/// degree below m = 4096 / l, where f(X) = Σ X^r f_r(X^l). So recovery is l interpolations of size m, all through the
/// same m points, which are c-th roots of unity.
struct Plan {
    code: Code,
    wanted: Wanted,
    /// Indices of the known cells, as many as are needed, ascending.
    known: Vec<u32>,
    /// h^−i of each known coset, cell by cell.
    unshift: Vec<Fr>,
    /// A, m + 1 coefficients.
    vanishing: Vec<Fr>,
    /// 1 / A'(z_k) for each known cell.
    weights: Vec<Fr>,
    method: Method,
}

enum Method {
    /// All systematic cells are there.
    Copy,
    /// Each missing systematic cell as a weighted sum of the known ones: m multiplications an element, best when few
    /// are missing.
    Direct(Vec<MissingCell>),
    /// All coefficients at once, by FFTs.
    Transform(Transform),
    /// All cells that are wanted at once, by two FFTs: best at small blow-up.
    Derivative(Derivative),
}

/// What a plan gives.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The systematic cells.
    Row,
    /// All cells.
    All,
}

/// With V(Y) the product of Y − z over all c − m unknown cells, N = f · V has fewer than c coefficients and is known on
/// the whole domain: f(z) · V(z) at the known cells, zero elsewhere. At an unknown cell N'(z) = f(z) · V'(z), since the
/// other half of the product rule vanishes there; and Y · N' is N with its i-th coefficient multiplied by i.
/// (The formal derivative of erasure decoders over additive FFTs: Lin, Chung, Han, FOCS 2014.)
struct Derivative {
    /// For each element of a known cell: V(z) h^−i, divided by the lengths of the two inverse transforms.
    before: Vec<Fr>,
    /// i, for each coefficient of each of the l polynomials.
    degrees: Vec<Fr>,
    /// Unknown cells that are wanted.
    wanted: Vec<u32>,
    /// For each of their elements: h^i / (z V'(z)).
    after: Vec<Fr>,
}

struct MissingCell {
    index: u32,
    /// One Lagrange coefficient for each known cell.
    weights: Vec<Fr>,
    /// h^i of its coset.
    shift: Vec<Fr>,
}

/// With A(Y) = Π (Y − z_k) and u_k = f(z_k) / A'(z_k): f is the polynomial part of A(Y) · Σ_i s_i Y^(−1−i), where
/// s_i = Σ_k u_k z_k^i. The s_i are one transform of size c, the product with A is one of size 2m.
struct Transform {
    /// c / A'(z_k) for each known cell; c, because the inverse transform divides by it.
    weights: Vec<Fr>,
    /// Transform of A_1 … A_m, of size 2m.
    vanishing: Vec<Fr>,
}

impl Plan {
    /// `known` are exactly `needed` different indices, ascending.
    fn new(code: Code, known: &[u32], wanted: Wanted) -> Self {
        let cell_len = code.cell_len();
        let needed = code.needed();
        let unknown: Vec<_> = (0..code.chunks())
            .filter(|index| known.binary_search(index).is_err())
            .collect();
        let missing: Vec<_> = unknown
            .iter()
            .copied()
            .filter(|index| *index < needed)
            .collect();
        let mut plan = Self {
            code,
            wanted,
            known: known.to_vec(),
            unshift: Vec::new(),
            vanishing: Vec::new(),
            weights: Vec::new(),
            method: Method::Copy,
        };
        if missing.is_empty() {
            return plan;
        }
        let (m, chunks) = (needed as usize, code.chunks() as usize);
        let butterflies = |size: usize| size / 2 * size.trailing_zeros() as usize;
        let direct = missing.len() * ELEMENTS_PER_ROW;
        let transform = cell_len * (butterflies(chunks) + 2 * butterflies(2 * m))
            + butterflies(ELEMENTS_PER_ROW);
        let targets = match wanted {
            Wanted::Row => &missing,
            Wanted::All => &unknown,
        };
        let derivative = cell_len * (2 * butterflies(chunks) + chunks)
            + targets.len() * (cell_len + butterflies(cell_len));
        // What the others still have to do then.
        let extension = match wanted {
            Wanted::Row => 0,
            Wanted::All => (code.blowup() as usize) * butterflies(ELEMENTS_PER_ROW),
        };
        if derivative < direct.min(transform) + extension {
            plan.method = Method::Derivative(plan.derivative(&unknown, targets));
            return plan;
        }
        for index in known {
            let unshift = kernel::invert(&code.coset_shift(*index));
            plan.unshift.extend(powers(unshift, cell_len));
        }

        let points: Vec<_> = known
            .iter()
            .map(|index| coset_point(code, *index))
            .collect();
        plan.vanishing = vanishing(&points);
        let derivative: Vec<_> = plan
            .vanishing
            .iter()
            .zip(0u64..)
            .skip(1)
            .map(|(coefficient, i)| *coefficient * Fr::from(i))
            .collect();
        let derivative = plan.on_domain(&derivative);
        plan.weights = known
            .iter()
            .map(|index| derivative[*index as usize])
            .collect();
        ark_ff::batch_inversion(&mut plan.weights);

        plan.method = if direct <= transform {
            Method::Direct(plan.direct(&missing, &points))
        } else {
            Method::Transform(plan.transform())
        };
        plan
    }

    fn derivative(&self, unknown: &[u32], wanted: &[u32]) -> Derivative {
        let code = self.code;
        let (cell_len, chunks) = (code.cell_len(), code.chunks() as usize);
        let points: Vec<_> = unknown
            .iter()
            .map(|index| coset_point(code, *index))
            .collect();
        let vanishing = vanishing(&points);
        let degrees: Vec<_> = (0..code.chunks()).map(Fr::from).collect();
        // Y · V'.
        let derivative: Vec<_> = vanishing
            .iter()
            .zip(&degrees)
            .map(|(coefficient, degree)| *coefficient * degree)
            .collect();
        let (values, derivative) = (self.on_domain(&vanishing), self.on_domain(&derivative));
        let scale = kernel::invert(&Fr::from((cell_len * chunks) as u64));
        let before = self.known.iter().flat_map(|index| {
            let factor = values[*index as usize] * scale;
            let unshift = kernel::invert(&code.coset_shift(*index));
            powers(unshift, cell_len).map(move |power| power * factor)
        });
        let after = wanted.iter().flat_map(|index| {
            // The vanishing polynomial has simple roots only.
            let factor = kernel::invert(&derivative[*index as usize]);
            powers(code.coset_shift(*index), cell_len).map(move |power| power * factor)
        });
        Derivative {
            before: before.collect(),
            degrees: degrees
                .iter()
                .flat_map(|degree| std::iter::repeat_n(*degree, cell_len))
                .collect(),
            wanted: wanted.to_vec(),
            after: after.collect(),
        }
    }

    /// Values on all c-th roots of unity, bit-reversed like the cells.
    fn on_domain(&self, coefficients: &[Fr]) -> Vec<Fr> {
        let mut values = coefficients.to_vec();
        values.resize(self.code.chunks() as usize, Fr::zero());
        kernel::active().fft(&mut values);
        values
    }

    fn direct(&self, missing: &[u32], points: &[Fr]) -> Vec<MissingCell> {
        let values = self.on_domain(&self.vanishing);
        let cell = |index: &u32| {
            let point = coset_point(self.code, *index);
            let mut lagrange: Vec<_> = points.iter().map(|known| point - known).collect();
            ark_ff::batch_inversion(&mut lagrange);
            for (lagrange, weight) in lagrange.iter_mut().zip(&self.weights) {
                *lagrange *= *weight * values[*index as usize];
            }
            let shift = powers(self.code.coset_shift(*index), self.code.cell_len()).collect();
            MissingCell {
                index: *index,
                weights: lagrange,
                shift,
            }
        };
        missing.iter().map(cell).collect()
    }

    fn transform(&self) -> Transform {
        let scale = Fr::from(u64::from(self.code.chunks()));
        let weights = self.weights.iter().map(|weight| *weight * scale).collect();
        let mut vanishing = self.vanishing[1..].to_vec();
        vanishing.resize(2 * self.code.needed() as usize, Fr::zero());
        kernel::active().fft(&mut vanishing);
        Transform { weights, vanishing }
    }

    /// `cells` are the known cells of one row, canonical, in the plan's order; `to` gets the row, or all of its
    /// extension where that is wanted.
    fn recover(&self, cells: &[&[u8]], to: &mut [u8]) {
        let cell_bytes = self.code.cell_bytes();
        for (index, cell) in self.known.iter().zip(cells) {
            let start = *index as usize * cell_bytes;
            // Parity goes nowhere where only the row is wanted.
            if let Some(to) = to.get_mut(start..start + cell_bytes) {
                to.copy_from_slice(cell);
            }
        }
        if let Method::Derivative(derivative) = &self.method {
            self.derive(derivative, cells, to);
            return;
        }
        let (row, parity) = to.split_at_mut(BYTES_PER_ROW);
        self.recover_row(cells, row);
        if self.wanted == Wanted::All {
            kernel::active().extend(self.code.blowup() as usize, row, parity);
        }
    }

    fn derive(&self, derivative: &Derivative, cells: &[&[u8]], to: &mut [u8]) {
        let kernel = kernel::active();
        let cell_len = self.code.cell_len();
        let mut known: Vec<_> = cells
            .iter()
            .flat_map(|cell| cell.as_chunks().0)
            .map(raw_from_be)
            .collect();
        kernel.inverse_fft_rows(&mut known, cell_len);
        kernel.multiply(&mut known, &derivative.before);
        let cell = |index: u32| index as usize * cell_len..(index as usize + 1) * cell_len;
        let mut values = vec![Fr::zero(); self.code.elements()];
        for (index, known) in self.known.iter().zip(known.chunks_exact(cell_len)) {
            values[cell(*index)].copy_from_slice(known);
        }
        kernel.inverse_fft_columns(&mut values, cell_len);
        kernel.multiply(&mut values, &derivative.degrees);
        kernel.fft_columns(&mut values, cell_len);
        let mut found: Vec<_> = derivative
            .wanted
            .iter()
            .flat_map(|index| &values[cell(*index)])
            .copied()
            .collect();
        kernel.multiply(&mut found, &derivative.after);
        kernel.fft_rows(&mut found, cell_len);
        let cell_bytes = self.code.cell_bytes();
        for (index, found) in derivative.wanted.iter().zip(found.chunks_exact(cell_len)) {
            let start = *index as usize * cell_bytes;
            if let Some(to) = to.get_mut(start..start + cell_bytes) {
                write(found, to);
            }
        }
    }

    fn recover_row(&self, cells: &[&[u8]], row: &mut [u8]) {
        let cell_bytes = self.code.cell_bytes();
        match &self.method {
            Method::Copy | Method::Derivative(_) => {}
            Method::Direct(missing) => {
                let remainders = self.remainders(cells);
                for cell in missing {
                    let start = cell.index as usize * cell_bytes;
                    if let Some(to) = row.get_mut(start..start + cell_bytes) {
                        self.missing_cell(cell, &remainders, to);
                    }
                }
            }
            Method::Transform(transform) => {
                self.transform_row(transform, self.remainders(cells), row)
            }
        }
    }

    /// f modulo X^l − z of every known cell: l coefficients each, in raw form.
    fn remainders(&self, cells: &[&[u8]]) -> Vec<Fr> {
        let kernel = kernel::active();
        let cell_len = self.code.cell_len();
        let mut remainders: Vec<_> = cells
            .iter()
            .flat_map(|cell| cell.as_chunks().0)
            .map(raw_from_be)
            .collect();
        for remainder in remainders.chunks_exact_mut(cell_len) {
            kernel.inverse_fft(remainder);
        }
        for (remainder, unshift) in remainders.iter_mut().zip(&self.unshift) {
            *remainder *= unshift;
        }
        remainders
    }

    fn missing_cell(&self, cell: &MissingCell, remainders: &[Fr], to: &mut [u8]) {
        let cell_len = self.code.cell_len();
        let mut values = vec![Fr::zero(); cell_len];
        for (remainder, weight) in remainders.chunks_exact(cell_len).zip(&cell.weights) {
            for (value, coefficient) in values.iter_mut().zip(remainder) {
                *value += *coefficient * weight;
            }
        }
        for (value, shift) in values.iter_mut().zip(&cell.shift) {
            *value *= shift;
        }
        kernel::active().fft(&mut values);
        write(&values, to);
    }

    fn transform_row(&self, transform: &Transform, remainders: Vec<Fr>, row: &mut [u8]) {
        let kernel = kernel::active();
        let (cell_len, m, chunks) = (
            self.code.cell_len(),
            self.code.needed() as usize,
            self.code.chunks() as usize,
        );
        let mut coefficients = vec![Fr::zero(); ELEMENTS_PER_ROW];
        let mut sums = vec![Fr::zero(); chunks];
        let mut product = vec![Fr::zero(); 2 * m];
        for residue in 0..cell_len {
            sums.fill(Fr::zero());
            let values = remainders.iter().skip(residue).step_by(cell_len);
            for ((index, weight), value) in self.known.iter().zip(&transform.weights).zip(values) {
                sums[*index as usize] = *value * weight;
            }
            kernel.inverse_fft(&mut sums);
            // s_i is at −i; the product wants s_(m−1) … s_0.
            product.fill(Fr::zero());
            for (at, to) in product.iter_mut().take(m).enumerate() {
                *to = sums[(chunks + at + 1 - m) % chunks];
            }
            kernel.fft(&mut product);
            for (value, vanishing) in product.iter_mut().zip(&transform.vanishing) {
                *value *= vanishing;
            }
            kernel.inverse_fft(&mut product);
            let found = product.iter().skip(m - 1).take(m);
            for (to, coefficient) in coefficients
                .iter_mut()
                .skip(residue)
                .step_by(cell_len)
                .zip(found)
            {
                *to = *coefficient;
            }
        }
        kernel.fft(&mut coefficients);
        write(&coefficients, row);
    }
}

fn write(values: &[Fr], to: &mut [u8]) {
    for (bytes, value) in to.as_chunks_mut().0.iter_mut().zip(values) {
        *bytes = raw_to_be(value);
    }
}

fn powers(base: Fr, count: usize) -> impl Iterator<Item = Fr> {
    std::iter::successors(Some(Fr::one()), move |power| Some(*power * base)).take(count)
}

/// z = h^l of a coset.
fn coset_point(code: Code, index: u32) -> Fr {
    code.coset_shift(index).pow([code.cell_len() as u64])
}

/// Coefficients of Π (Y − point), by a tree of products.
fn vanishing(points: &[Fr]) -> Vec<Fr> {
    const NAIVE: usize = 32;
    if points.len() <= NAIVE {
        let mut product = vec![Fr::one()];
        for point in points {
            product.push(Fr::zero());
            for i in (0..product.len()).rev() {
                let below = if i > 0 { product[i - 1] } else { Fr::zero() };
                product[i] = below - product[i] * point;
            }
        }
        return product;
    }
    let (left, right) = points.split_at(points.len() / 2);
    let (left, right) = (
        DensePolynomial {
            coeffs: vanishing(left),
        },
        DensePolynomial {
            coeffs: vanishing(right),
        },
    );
    // By FFT.
    (&left * &right).coeffs
}

#[cfg(test)]
mod tests;
