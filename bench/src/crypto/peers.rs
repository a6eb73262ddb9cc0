//! The peers, as their users call them: bytes in, bytes out. Each has tables of its own, made when first needed.

mod ark;
mod blst_pippenger;
mod ckzg;
mod eth_kzg;

use std::sync::OnceLock;

use ashlar_crypto::ELEMENTS_PER_ROW;

use super::BenchError;
use super::inputs::{RowInputs, once};
use super::measure::Candidate;
use super::op::Op;

/// The peers with their tables.
pub(crate) struct Peers {
    /// Smaller tables for tests, that cost no seconds to make.
    small_tables: bool,
    eth_kzg: OnceLock<rust_eth_kzg::DASContext>,
    blst: OnceLock<Vec<blst::blst_p1_affine>>,
    ark: OnceLock<Vec<ark_bls12_381::G1Affine>>,
}

impl Peers {
    pub(crate) fn new(small_tables: bool) -> Self {
        Self {
            small_tables,
            eth_kzg: OnceLock::new(),
            blst: OnceLock::new(),
            ark: OnceLock::new(),
        }
    }

    /// All that have this operation.
    pub(crate) fn candidates<'a>(
        &'a self,
        op: Op,
        inputs: &'a RowInputs,
    ) -> Result<Vec<Candidate<'a>>, BenchError> {
        let all = match op {
            Op::CommitRow => vec![
                ckzg::commit(inputs),
                eth_kzg::commit(self.eth_kzg(), inputs),
                blst_pippenger::commit(once(&self.blst, blst_pippenger::bases)?, inputs),
                ark::commit(once(&self.ark, ark::bases)?, inputs),
            ],
            Op::CellsAndProofs7594 => {
                vec![
                    ckzg::cells_and_proofs(inputs, self.small_tables),
                    eth_kzg::cells_and_proofs(self.eth_kzg(), inputs),
                ]
            }
            Op::ExtendX2 => {
                vec![
                    ckzg::cells(inputs),
                    eth_kzg::cells(self.eth_kzg(), inputs),
                    ark::extend(2, inputs)?,
                ]
            }
            Op::ExtendX8 => vec![
                ark::extend(8, inputs)?,
                ark::bare_fft(8 * ELEMENTS_PER_ROW, inputs)?,
            ],
            Op::VerifyCells128 => vec![
                ckzg::verify(inputs)?,
                eth_kzg::verify(self.eth_kzg(), inputs),
            ],
            Op::RecoverCellsAndProofs64 => {
                vec![
                    ckzg::recover(inputs, self.small_tables)?,
                    eth_kzg::recover(self.eth_kzg(), inputs),
                ]
            }
            Op::RecoverCells64 => vec![eth_kzg::recover_cells(inputs)],
            Op::EncodeBatch64MibV1
            | Op::Encode16MibV1WithCommit
            | Op::ProveBatchV1
            | Op::ProveBatchV2
            | Op::ProveBatchV3
            | Op::CheckBatch64MibShare8
            | Op::CheckBatch64MibShare100 => Vec::new(),
        };
        Ok(all)
    }

    fn eth_kzg(&self) -> &rust_eth_kzg::DASContext {
        self.eth_kzg
            .get_or_init(|| eth_kzg::context(self.small_tables))
    }
}

/// The setup's 4096 points for commitments, in the order of a row's elements: x and y, 48 bytes each, big-endian.
fn lagrange_points() -> impl Iterator<Item = [u8; 96]> {
    // After an eight-byte mark, the file holds them in the natural order of the roots of unity.
    let file = ashlar_crypto::Setup::ethereum_file();
    let points = file[8..].as_chunks::<96>().0;
    let bits = ELEMENTS_PER_ROW.trailing_zeros();
    (0..ELEMENTS_PER_ROW).map(move |index| points[bit_reverse(index, bits)])
}

fn bit_reverse(index: usize, bits: u32) -> usize {
    index.reverse_bits() >> (usize::BITS - bits)
}
