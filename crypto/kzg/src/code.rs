//! The erasure code: Reed-Solomon over the scalar field, by FFT.
//!
//! A row is the polynomial of degree below 4096 with these evaluations. It is extended by evaluating it on the
//! `4096 × blowup`-th roots of unity in bit-reversed order, whose first 4096 are the row's own, so the code is
//! systematic. The extension is cut into `chunks` cells of `cell_len` elements; each cell is a coset (EIP-7594).

use crate::parallel::*;
use ark_ff::Field;
use thiserror::Error;

use crate::field::Fr;
use crate::kernel::{self, Kernel, bit_reverse, root_of_unity};
use crate::{BYTES_PER_ELEMENT, BYTES_PER_ROW, Coded, ELEMENTS_PER_ROW, Rows};

mod recovery;

pub use crate::kernel::MAX_BLOWUP;
pub(crate) use recovery::recover_extended;
pub use recovery::{RecoverError, recover, recover_slices};

/// Longest cell: the setup has 65 powers in G2, and the check of a proof needs the one of `cell_len`.
pub const MAX_CELL_LEN: u32 = 64;

/// Why a pair of blow-up and number of chunks is no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "code", blame = Caller)]
pub enum CodeError {
    /// Blow-ups are the powers of two from 2 to 64.
    #[error("the blow-up must be a power of two from 2 to {MAX_BLOWUP}, not {got}")]
    Blowup {
        /// The blow-up given.
        got: u32,
    },
    /// The number of chunks has to be a power of two, and cells have from 1 to 64 elements.
    #[error(
        "the number of chunks must be a power of two that leaves cells of 1 to {MAX_CELL_LEN} elements; {got} does not with blow-up {blowup}"
    )]
    Chunks {
        /// The blow-up given.
        blowup: u32,
        /// The number of chunks given.
        got: u32,
    },
}

/// The parameters of a code, checked: `4096 × blowup` elements a row in `chunks` cells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Code {
    blowup: u32,
    chunks: u32,
}

impl Code {
    /// Checks a pair of parameters. `const`, so that a table of codes is checked by the compiler.
    ///
    /// # Errors
    ///
    /// [`CodeError`] names the parameter that does not fit.
    pub const fn new(blowup: u32, chunks: u32) -> Result<Self, CodeError> {
        if !blowup.is_power_of_two() || blowup < 2 || blowup > MAX_BLOWUP {
            return Err(CodeError::Blowup { got: blowup });
        }
        let elements = ELEMENTS_PER_ROW as u32 * blowup;
        if !chunks.is_power_of_two() || chunks > elements || elements / chunks > MAX_CELL_LEN {
            return Err(CodeError::Chunks {
                blowup,
                got: chunks,
            });
        }
        Ok(Self { blowup, chunks })
    }

    /// Elements of the extension for each element of the row.
    pub const fn blowup(&self) -> u32 {
        self.blowup
    }

    /// Cells of an extended row.
    pub const fn chunks(&self) -> u32 {
        self.chunks
    }

    /// Elements in a cell, 1 to 64.
    pub const fn cell_len(&self) -> usize {
        self.elements() / self.chunks as usize
    }

    /// Bytes in a cell.
    pub const fn cell_bytes(&self) -> usize {
        self.cell_len() * BYTES_PER_ELEMENT
    }

    /// Cells that suffice to rebuild a row; the first so many are the row itself.
    pub const fn needed(&self) -> u32 {
        self.chunks / self.blowup
    }

    /// The shift h of coset `index`: its elements are the l-th roots of unity times h, bit-reversed.
    pub(crate) fn coset_shift(&self, index: u32) -> Fr {
        let position = bit_reverse(index as usize, self.chunks().trailing_zeros());
        root_of_unity(self.elements()).pow([position as u64])
    }

    /// 1/h of [`Code::coset_shift`].
    pub(crate) fn coset_unshift(&self, index: u32) -> Fr {
        let position = bit_reverse(index as usize, self.chunks().trailing_zeros());
        // A root of unity: its inverse is another one, and nothing is inverted.
        root_of_unity(self.elements()).pow([(self.elements() - position) as u64])
    }

    /// Elements of an extended row.
    pub(crate) const fn elements(&self) -> usize {
        ELEMENTS_PER_ROW * self.blowup as usize
    }
}

/// Rows extended at a time: their extensions are the only scratch memory, 16 × 1 MiB at blow-up 8.
const TILE: usize = 16;

/// The extension of a blob, slice-major: slice j holds the cells with index j of all its rows, in order.
#[derive(Clone, PartialEq, Eq)]
pub struct Slices {
    code: Code,
    rows: usize,
    bytes: Vec<u8>,
}

impl Slices {
    /// Extends every row. Takes `blowup` times the memory of the rows, and 16 extended rows of scratch; runs on all
    /// threads of the current rayon pool.
    pub fn extend(code: Code, rows: &Rows) -> Self {
        let kernel = kernel::active();
        let bytes = rows.as_bytes();
        Self::from_extended(code, rows.count(), |index, extended| {
            if let Some(row) = bytes.get(index * BYTES_PER_ROW..(index + 1) * BYTES_PER_ROW) {
                extend_row(kernel, code, row, extended);
            }
        })
    }

    /// Slices of `count` rows of which `extend(index, to)` writes the extension; in parallel.
    pub(crate) fn from_extended(
        code: Code,
        count: usize,
        extend: impl Fn(usize, &mut [u8]) + Sync,
    ) -> Self {
        let cell = code.cell_bytes();
        let mut bytes = vec![0; count * code.chunks() as usize * cell];
        let extended_row = code.elements() * BYTES_PER_ELEMENT;
        let mut scratch = vec![0; TILE.min(count) * extended_row];
        for start in (0..count).step_by(TILE) {
            let filled = TILE.min(count - start);
            scratch
                .par_chunks_exact_mut(extended_row)
                .take(filled)
                .enumerate()
                .for_each(|(at, extended)| extend(start + at, extended));
            let (scratch, first) = (&scratch, start * cell);
            bytes
                .par_chunks_exact_mut(count * cell)
                .enumerate()
                .for_each(|(index, slice)| {
                    let cells = slice.chunks_exact_mut(cell).skip(first / cell).take(filled);
                    for (to, extended) in cells.zip(scratch.chunks_exact(extended_row)) {
                        if let Some(from) = extended.get(index * cell..(index + 1) * cell) {
                            to.copy_from_slice(from);
                        }
                    }
                });
        }
        Self {
            code,
            rows: count,
            bytes,
        }
    }

    /// The code of this extension.
    pub fn code(&self) -> Code {
        self.code
    }

    /// Rows of the blob, at least 1.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of every slice: `rows() × cell_bytes`.
    pub fn slice_bytes(&self) -> usize {
        self.rows * self.code.cell_bytes()
    }

    /// Slice `index`; `None` outside `0..chunks`.
    pub fn slice(&self, index: u32) -> Option<&[u8]> {
        let start = (index as usize).checked_mul(self.slice_bytes())?;
        self.bytes
            .get(start..start.checked_add(self.slice_bytes())?)
    }

    /// All slices in order.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, u8> {
        self.bytes.chunks_exact(self.slice_bytes())
    }

    /// The slices' bytes, one slice behind the other.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slices")
            .field("code", &self.code)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

/// Writes the extension of `row` to `extended`, `blowup` times as long.
pub(crate) fn extend_row(kernel: &dyn Kernel, code: Code, row: &[u8], extended: &mut [u8]) {
    let (systematic, parity) = extended.split_at_mut(BYTES_PER_ROW);
    systematic.copy_from_slice(row);
    kernel.extend(code.blowup() as usize, row, parity);
}

#[cfg(test)]
mod tests;
