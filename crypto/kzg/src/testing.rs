//! What the tests share: inputs from a seed, and ten-line twins of the fast algorithms.

use ark_bls12_381::G1Projective;
use ark_ec::{CurveGroup, VariableBaseMSM};
use ark_ff::{Field, PrimeField, Zero};
use ark_poly::univariate::{DenseOrSparsePolynomial, DensePolynomial};
use ark_poly::{DenseUVPolynomial, Polynomial};

use crate::curve::G1Affine;
use crate::field::{Fr, fr_from_be, fr_to_be};
use crate::hash::sha256;
use crate::kernel::{bit_reverse, root_of_unity};
use crate::{BYTES_PER_ROW, Code, ELEMENTS_PER_ROW, Rows, Setup};

/// All codes of the protocol's table: v1, v2, v3, and EIP-7594.
pub(crate) const CODES: [(u32, u32); 4] = [(8, 512), (8, 4096), (4, 2048), (2, 128)];

pub(crate) fn codes() -> impl Iterator<Item = Code> {
    CODES
        .into_iter()
        .map(|(blowup, chunks)| Code::new(blowup, chunks).unwrap())
}

pub(crate) fn random_scalar(seed: &str, index: usize) -> Fr {
    Fr::from_be_bytes_mod_order(&sha256(&[seed.as_bytes(), &index.to_be_bytes()]))
}

pub(crate) fn random_scalars(seed: &str, count: usize) -> Vec<Fr> {
    (0..count).map(|index| random_scalar(seed, index)).collect()
}

pub(crate) fn random_rows(seed: &str, count: usize) -> Rows {
    let elements = random_scalars(seed, count * ELEMENTS_PER_ROW);
    Rows::from_bytes(elements.iter().flat_map(fr_to_be).collect()).unwrap()
}

pub(crate) fn constant_row(element: Fr) -> Rows {
    Rows::from_bytes(fr_to_be(&element).repeat(ELEMENTS_PER_ROW)).unwrap()
}

/// Rows that have broken implementations before: all zero, one element, all maximal, random.
pub(crate) fn edge_rows() -> Vec<Rows> {
    let mut one = vec![0; BYTES_PER_ROW];
    one[77 * 32 + 31] = 5;
    vec![
        constant_row(Fr::zero()),
        Rows::from_bytes(one).unwrap(),
        constant_row(-Fr::from(1u64)),
        random_rows("edge", 1),
    ]
}

pub(crate) fn scalars(bytes: &[u8]) -> Vec<Fr> {
    bytes
        .as_chunks()
        .0
        .iter()
        .map(|element| fr_from_be(element).unwrap())
        .collect()
}

/// The polynomial through a row, from the definition by way of arkworks' transform.
pub(crate) fn polynomial(row: &[u8]) -> DensePolynomial<Fr> {
    use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
    let values = scalars(row);
    let in_order: Vec<_> = (0..values.len())
        .map(|i| values[bit_reverse(i, values.len().trailing_zeros())])
        .collect();
    let domain = Radix2EvaluationDomain::<Fr>::new(values.len()).unwrap();
    DensePolynomial::from_coefficients_vec(domain.ifft(&in_order))
}

/// The value at one position of an extended row.
pub(crate) fn naive_element(code: Code, polynomial: &DensePolynomial<Fr>, position: usize) -> Fr {
    let size = ELEMENTS_PER_ROW * code.blowup() as usize;
    let exponent = bit_reverse(position, size.trailing_zeros());
    polynomial.evaluate(&root_of_unity(size).pow([exponent as u64]))
}

/// The proof of one cell: the commitment to the quotient by X^l − h^l.
pub(crate) fn naive_proof(
    setup: &Setup,
    code: Code,
    polynomial: &DensePolynomial<Fr>,
    index: u32,
) -> G1Affine {
    let shift =
        bit_reverse(index as usize, code.chunks().trailing_zeros()) as u64 * code.cell_len() as u64;
    let size = ELEMENTS_PER_ROW * code.blowup() as usize;
    let mut divisor = vec![Fr::zero(); code.cell_len() + 1];
    divisor[0] = -root_of_unity(size).pow([shift]);
    divisor[code.cell_len()] = Fr::from(1u64);
    let divisor = DensePolynomial::from_coefficients_vec(divisor);
    let (quotient, _) = DenseOrSparsePolynomial::from(polynomial)
        .divide_with_q_and_r(&(&divisor).into())
        .unwrap();
    G1Projective::msm_unchecked(setup.monomial(), &quotient.coeffs).into_affine()
}
