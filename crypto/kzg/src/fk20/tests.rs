#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::Setup;
use crate::testing::{naive_proof, polynomial, random_rows};

/// The codes of the protocol are compared with the definition in module `batch`; these are the other shapes.
#[test]
fn other_cell_lengths_give_the_proofs_of_the_definition() {
    let setup = Setup::ethereum();
    let rows = random_rows("fk20", 1);
    let polynomial = polynomial(rows.as_bytes());
    for (blowup, chunks) in [(2, 256), (4, 512)] {
        let code = Code::new(blowup, chunks).unwrap();
        let proofs = setup.prove_cells(code, &polynomial.coeffs);
        assert_eq!(proofs.len(), chunks as usize);
        for index in [0, 1, chunks / 2, chunks - 1] {
            assert_eq!(
                proofs[index as usize],
                naive_proof(setup, code, &polynomial, index),
                "{code:?} {index}"
            );
        }
    }
}

#[test]
fn a_constant_has_proofs_at_infinity() {
    use ark_ec::AffineRepr;
    let mut coefficients = vec![Fr::zero(); ELEMENTS_PER_ROW];
    coefficients[0] = Fr::from(5u64);
    let proofs = Setup::ethereum().prove_cells(Code::new(2, 128).unwrap(), &coefficients);
    assert!(proofs.iter().all(AffineRepr::is_zero));
}
