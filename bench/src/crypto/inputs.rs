//! Inputs from a seed: the same seed, the same bytes, on every machine.

use std::sync::OnceLock;

use ashlar_crypto::hash::sha256;
use ashlar_crypto::{BYTES_PER_ELEMENT, BYTES_PER_ROW, Setup, eip};

use super::BenchError;

/// A value that is made when first needed, by something that can fail.
pub(crate) fn once<T>(
    cell: &OnceLock<T>,
    make: impl FnOnce() -> Result<T, BenchError>,
) -> Result<&T, BenchError> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// `len` bytes that look random: SHA-256 of seed, label and a counter.
pub(crate) fn bytes(seed: u64, label: &str, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len.next_multiple_of(32));
    let mut counter = 0u64;
    while out.len() < len {
        out.extend(sha256(&[
            &seed.to_be_bytes(),
            &counter.to_be_bytes(),
            label.as_bytes(),
        ]));
        counter += 1;
    }
    out.truncate(len);
    out
}

/// 32 bytes.
pub(crate) fn seed_bytes(seed: u64, label: &str) -> [u8; 32] {
    sha256(&[&seed.to_be_bytes(), label.as_bytes()])
}

/// A row of random elements of full size.
pub(crate) fn row(seed: u64, label: &str) -> Vec<u8> {
    let mut row = bytes(seed, label, BYTES_PER_ROW);
    for element in row.chunks_exact_mut(BYTES_PER_ELEMENT) {
        // The group order starts with 0x73; below 0x73 every element is canonical.
        if let Some(first) = element.first_mut() {
            *first %= 0x73;
        }
    }
    row
}

/// 64 of 128 cell indices, ascending, picked at random: a pattern without structure.
pub(crate) fn half_of_the_cells(seed: u64) -> Vec<u64> {
    let count = eip::CELLS_PER_EXT_BLOB;
    let mut ranked: Vec<_> = (0..count as u64)
        .map(|index| {
            (
                sha256(&[&seed.to_be_bytes(), b"cell", &index.to_be_bytes()]),
                index,
            )
        })
        .collect();
    ranked.sort_unstable();
    let mut picked: Vec<_> = ranked
        .into_iter()
        .take(count / 2)
        .map(|(_, index)| index)
        .collect();
    picked.sort_unstable();
    picked
}

/// What the operations on one row work on.
pub(crate) struct RowInputs {
    /// The row.
    pub(crate) blob: Box<[u8; BYTES_PER_ROW]>,
    /// Its commitment.
    pub(crate) commitment: [u8; 48],
    /// Its 128 cells.
    pub(crate) cells: Vec<eip::Cell>,
    /// Their proofs.
    pub(crate) proofs: Vec<[u8; 48]>,
    /// The cells that recovery has.
    pub(crate) kept: Vec<u64>,
}

impl RowInputs {
    pub(crate) fn new(setup: &Setup, seed: u64) -> Result<Self, BenchError> {
        let failed = |error: eip::EipError| BenchError::failed("ashlar", error);
        let blob: Box<[u8; BYTES_PER_ROW]> = row(seed, "row")
            .into_boxed_slice()
            .try_into()
            .map_err(|_| BenchError::failed("ashlar", "a row of another length"))?;
        let commitment = eip::blob_to_kzg_commitment(setup, &blob[..]).map_err(failed)?;
        let (cells, proofs) =
            eip::compute_cells_and_kzg_proofs(setup, &blob[..]).map_err(failed)?;
        Ok(Self {
            blob,
            commitment,
            cells,
            proofs,
            kept: half_of_the_cells(seed),
        })
    }

    /// The indices of all cells.
    pub(crate) fn indices(&self) -> Vec<u64> {
        (0..self.cells.len() as u64).collect()
    }

    /// The cells that recovery has.
    pub(crate) fn kept_cells(&self) -> Vec<&eip::Cell> {
        self.kept
            .iter()
            .filter_map(|index| self.cells.get(*index as usize))
            .collect()
    }

    /// The cells with one bit of one element turned over: what a check has to refuse.
    pub(crate) fn tampered_cells(&self) -> Vec<eip::Cell> {
        let mut cells = self.cells.clone();
        if let Some(last) = cells.get_mut(77).and_then(|cell| cell.last_mut()) {
            *last ^= 1;
        }
        cells
    }
}
