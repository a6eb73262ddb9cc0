//! `rust_eth_kzg`, over blstrs and blst. Width 8 is what its documentation recommends for proving; its commitment
//! uses no table. Without blst's feature `no-threads` the commitment would take every core.

use ashlar_crypto::{ELEMENTS_PER_ROW, eip};
use ekzg_erasure_codes::{BlockErasureIndices, ReedSolomon};
use ekzg_multi_open::recover_evaluations_in_domain_order;
use ekzg_serialization::{deserialize_cells, serialize_cells};
use rust_eth_kzg::{DASContext, TrustedSetup, UsePrecomp};

use crate::crypto::BenchError;
use crate::crypto::inputs::RowInputs;
use crate::crypto::measure::Candidate;

const PLAIN: &str = "rust_eth_kzg";
const PARTS: &str = "rust_eth_kzg/parts";
const NAME: &str = "rust_eth_kzg/width-8";

fn failed(error: rust_eth_kzg::Error) -> BenchError {
    BenchError::failed(PLAIN, format!("{error:?}"))
}

pub(super) fn context(small_tables: bool) -> DASContext {
    let tables = if small_tables {
        UsePrecomp::No
    } else {
        UsePrecomp::Yes { width: 8 }
    };
    DASContext::new(&TrustedSetup::default(), tables)
}

fn flat(cells: &[rust_eth_kzg::Cell], proofs: &[rust_eth_kzg::KZGProof]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.iter().copied()).collect();
    bytes.extend(proofs.iter().flatten());
    bytes
}

pub(super) fn commit<'a>(context: &'a DASContext, inputs: &'a RowInputs) -> Candidate<'a> {
    let run = || context.blob_to_kzg_commitment(&inputs.blob).map_err(failed);
    Candidate::new(PLAIN, run).output(move || Ok(run()?.to_vec()))
}

pub(super) fn cells<'a>(context: &'a DASContext, inputs: &'a RowInputs) -> Candidate<'a> {
    let run = || context.compute_cells(&inputs.blob).map_err(failed);
    Candidate::new(PLAIN, run).output(move || Ok(flat(&run()?, &[])))
}

pub(super) fn cells_and_proofs<'a>(
    context: &'a DASContext,
    inputs: &'a RowInputs,
) -> Candidate<'a> {
    let run = || {
        context
            .compute_cells_and_kzg_proofs(&inputs.blob)
            .map_err(failed)
    };
    Candidate::new(NAME, run).output(move || {
        let (cells, proofs) = run()?;
        Ok(flat(&cells, &proofs))
    })
}

pub(super) fn verify<'a>(context: &'a DASContext, inputs: &'a RowInputs) -> Candidate<'a> {
    let indices = inputs.indices();
    let bad = inputs.tampered_cells();
    let verify = move |cells: &[eip::Cell]| {
        let commitments = vec![&inputs.commitment; cells.len()];
        context.verify_cell_kzg_proof_batch(
            commitments,
            &indices,
            cells.iter().collect(),
            inputs.proofs.iter().collect(),
        )
    };
    let output = verify.clone();
    Candidate::new(PLAIN, move || verify(&inputs.cells).map_err(failed)).output(move || {
        Ok(vec![
            u8::from(output(&inputs.cells).is_ok()),
            u8::from(output(&bad).is_ok()),
        ])
    })
}

pub(super) fn recover<'a>(context: &'a DASContext, inputs: &'a RowInputs) -> Candidate<'a> {
    let run = || {
        context
            .recover_cells_and_kzg_proofs(inputs.kept.clone(), inputs.kept_cells())
            .map_err(failed)
    };
    Candidate::new(NAME, run).output(move || {
        let (cells, proofs) = run()?;
        Ok(flat(&cells, &proofs))
    })
}

/// As its `recover_cells_and_kzg_proofs` does up to the proofs, by the crates that it is made of.
pub(super) fn recover_cells(inputs: &RowInputs) -> Candidate<'_> {
    let count = eip::CELLS_PER_EXT_BLOB;
    let elements = 2 * ELEMENTS_PER_ROW;
    let code = ReedSolomon::new(ELEMENTS_PER_ROW, 2, count);
    let run = move || {
        let wrong = |what: String| BenchError::failed(PARTS, what);
        let indices = inputs.kept.iter().map(|index| *index as usize).collect();
        let cells =
            deserialize_cells(inputs.kept_cells()).map_err(|error| wrong(format!("{error:?}")))?;
        let (known, values) = recover_evaluations_in_domain_order(elements, indices, cells)
            .ok_or_else(|| wrong("cells in no order".into()))?;
        let missing = (0..count).filter(|index| !known.contains(index)).collect();
        let codeword = code
            .recover_polynomial_coefficient(values, BlockErasureIndices(missing))
            .and_then(|polynomial| code.encode(polynomial))
            .map_err(|error| wrong(format!("{error:?}")))?;
        let bits = elements.trailing_zeros();
        let in_order: Vec<_> = (0..elements)
            .map(|index| codeword[super::bit_reverse(index, bits)])
            .collect();
        let cells: Vec<_> = in_order
            .chunks_exact(elements / count)
            .map(<[_]>::to_vec)
            .collect();
        Ok(serialize_cells(&cells))
    };
    let run = std::sync::Arc::new(run);
    let output = std::sync::Arc::clone(&run);
    Candidate::new(PARTS, move || run()).output(move || Ok(flat(&output()?, &[])))
}
