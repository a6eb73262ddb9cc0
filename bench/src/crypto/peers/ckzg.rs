//! `c-kzg`, the reference library in C over blst. Precomputation 8 where it makes a difference, which is proving.

use ashlar_crypto::BYTES_PER_ROW;
use c_kzg::{Blob, Bytes48, Cell, KzgProof, KzgSettings, ethereum_kzg_settings};

use crate::crypto::BenchError;
use crate::crypto::inputs::RowInputs;
use crate::crypto::measure::Candidate;

const PLAIN: &str = "c-kzg";
const TABLES: &str = "c-kzg/precompute-8";

fn failed(error: c_kzg::Error) -> BenchError {
    BenchError::failed(PLAIN, format!("{error:?}"))
}

fn plain() -> &'static KzgSettings {
    ethereum_kzg_settings(0)
}

fn for_proving(small: bool) -> (&'static str, &'static KzgSettings) {
    if small {
        (PLAIN, plain())
    } else {
        (TABLES, ethereum_kzg_settings(8))
    }
}

fn blob(inputs: &RowInputs) -> Box<Blob> {
    let bytes: [u8; BYTES_PER_ROW] = *inputs.blob;
    Box::new(Blob::new(bytes))
}

fn flat(cells: &[Cell], proofs: &[KzgProof]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cells.iter().flat_map(Cell::to_bytes).collect();
    bytes.extend(
        proofs
            .iter()
            .flat_map(|proof| proof.to_bytes().into_inner()),
    );
    bytes
}

pub(super) fn commit(inputs: &RowInputs) -> Candidate<'_> {
    let (settings, blob) = (plain(), blob(inputs));
    let output = self::blob(inputs);
    Candidate::new(PLAIN, move || {
        settings.blob_to_kzg_commitment(&blob).map_err(failed)
    })
    .output(move || {
        settings
            .blob_to_kzg_commitment(&output)
            .map(|commitment| commitment.to_bytes().into_inner().to_vec())
            .map_err(failed)
    })
}

pub(super) fn cells(inputs: &RowInputs) -> Candidate<'_> {
    let (settings, blob) = (plain(), blob(inputs));
    let output = self::blob(inputs);
    Candidate::new(PLAIN, move || settings.compute_cells(&blob).map_err(failed)).output(move || {
        settings
            .compute_cells(&output)
            .map(|cells| flat(&cells[..], &[]))
            .map_err(failed)
    })
}

pub(super) fn cells_and_proofs(inputs: &RowInputs, small_tables: bool) -> Candidate<'_> {
    let (name, settings) = for_proving(small_tables);
    let (blob, output) = (blob(inputs), blob(inputs));
    Candidate::new(name, move || {
        settings.compute_cells_and_kzg_proofs(&blob).map_err(failed)
    })
    .output(move || {
        let (cells, proofs) = settings
            .compute_cells_and_kzg_proofs(&output)
            .map_err(failed)?;
        Ok(flat(&cells[..], &proofs[..]))
    })
}

fn to_cells<'a>(
    cells: impl IntoIterator<Item = &'a ashlar_crypto::eip::Cell>,
) -> Result<Vec<Cell>, BenchError> {
    cells
        .into_iter()
        .map(|cell| Cell::from_bytes(cell).map_err(failed))
        .collect()
}

pub(super) fn verify(inputs: &RowInputs) -> Result<Candidate<'_>, BenchError> {
    let settings = plain();
    let good = to_cells(&inputs.cells)?;
    let (output_good, output_bad) = (good.clone(), to_cells(&inputs.tampered_cells())?);
    let verify =
        move |cells: &[Cell], commitments: &[Bytes48], indices: &[u64], proofs: &[Bytes48]| {
            settings
                .verify_cell_kzg_proof_batch(commitments, indices, cells, proofs)
                .map_err(failed)
        };
    let commitments = vec![Bytes48::from(inputs.commitment); inputs.cells.len()];
    let proofs: Vec<_> = inputs.proofs.iter().copied().map(Bytes48::from).collect();
    let indices = inputs.indices();
    let (commitments_2, proofs_2, indices_2) =
        (commitments.clone(), proofs.clone(), indices.clone());
    Ok(Candidate::new(PLAIN, move || {
        verify(&good, &commitments, &indices, &proofs)
    })
    .output(move || {
        let one =
            |cells: &[Cell]| verify(cells, &commitments_2, &indices_2, &proofs_2).map(u8::from);
        Ok(vec![one(&output_good)?, one(&output_bad)?])
    }))
}

pub(super) fn recover(inputs: &RowInputs, small_tables: bool) -> Result<Candidate<'_>, BenchError> {
    let (name, settings) = for_proving(small_tables);
    let cells = to_cells(inputs.kept_cells())?;
    let output_cells = cells.clone();
    let recover = |cells: &[Cell]| {
        settings
            .recover_cells_and_kzg_proofs(&inputs.kept, cells)
            .map_err(failed)
    };
    Ok(
        Candidate::new(name, move || recover(&cells)).output(move || {
            let (cells, proofs) = recover(&output_cells)?;
            Ok(flat(&cells[..], &proofs[..]))
        }),
    )
}
