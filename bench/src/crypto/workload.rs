//! Inputs and candidates.

use std::sync::OnceLock;

use ashlar_crypto::{
    AggregatedRow, BYTES_PER_ROW, ChunkColumn, Code, Commitment, CommitmentBytes, Encoding,
    ProofBytes, RowChallenge, Rows, Setup, Slices, commit_rows, eip, prove_chunks, verify_chunks,
};
use ashlar_proto::ProtocolVersion;
use rayon::ThreadPool;

use super::BenchError;
use super::batch::{self, Dispersal, Posted};
use super::inputs::{self, RowInputs, once};
use super::measure::Candidate;
use super::op::Op;
use super::peers::Peers;

/// How results name us.
pub const OURS: &str = "ashlar";

const MIB: usize = 1 << 20;
/// Chunks of a node with 1/8 of the stake in version 1: ⌈(512 − 128) / 8⌉.
const SHARE_8: u32 = 48;
/// Chunks of a node with 1/100 of the stake: ⌈(512 − 128) / 100⌉.
const SHARE_100: u32 = 4;

/// How large the inputs are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// What the operations' names say, and the peers' larger tables.
    Full,
    /// Batches a sixteenth of that. The rates of batches come out lower: there are fewer rows to share the proofs.
    Quick,
    /// Batches of four rows and the peers' smallest tables, for tests: nothing to compare with anything.
    Tiny,
}

impl Scale {
    /// Bytes of the largest blob.
    const fn blob_bytes(self) -> usize {
        match self {
            Self::Full => 16 * MIB,
            Self::Quick => MIB,
            Self::Tiny => 1000,
        }
    }
}

fn failed(reason: impl std::fmt::Display) -> BenchError {
    BenchError::failed(OURS, reason)
}

/// All inputs, made when first needed.
pub struct Workload {
    setup: &'static Setup,
    version: &'static ProtocolVersion,
    seed: u64,
    scale: Scale,
    /// All cores: making inputs is not measured.
    workers: ThreadPool,
    peers: Option<Peers>,
    row: OnceLock<RowInputs>,
    batch: OnceLock<Vec<Posted>>,
    blob: OnceLock<Vec<Posted>>,
    sent: OnceLock<[Dispersal; 2]>,
}

impl Workload {
    /// Inputs from `seed`, with or without peers.
    ///
    /// # Errors
    /// Threads could not be started, or the protocol's version table has no version 1.
    pub fn new(seed: u64, scale: Scale, peers: bool) -> Result<Self, BenchError> {
        let workers =
            rayon::ThreadPoolBuilder::new()
                .build()
                .map_err(|error| BenchError::Threads {
                    threads: 0,
                    reason: error.to_string(),
                })?;
        let setup = Setup::ethereum();
        let version = ashlar_proto::version(1).map_err(failed)?;
        Ok(Self {
            setup,
            version,
            seed,
            scale,
            workers,
            peers: peers.then(|| Peers::new(scale == Scale::Tiny)),
            row: OnceLock::new(),
            batch: OnceLock::new(),
            blob: OnceLock::new(),
            sent: OnceLock::new(),
        })
    }

    /// Bytes of payload that one run of an operation takes care of.
    pub fn payload_bytes(&self, op: Op) -> u64 {
        let bytes = match op {
            Op::EncodeBatch64MibV1 | Op::CheckBatch64MibShare8 | Op::CheckBatch64MibShare100 => {
                4 * self.scale.blob_bytes()
            }
            Op::Encode16MibV1WithCommit => self.scale.blob_bytes(),
            _ => BYTES_PER_ROW,
        };
        bytes as u64
    }

    /// The candidates of an operation: ours on each of these numbers of threads, then the peers on one.
    ///
    /// # Errors
    /// The inputs could not be made.
    pub fn candidates(&self, op: Op, threads: &[usize]) -> Result<Vec<Candidate<'_>>, BenchError> {
        // The tables are made here and on all cores: their time is no part of any operation.
        self.workers.install(|| {
            self.setup.prepare(self.version.code);
            self.setup.prepare(self.eip_code()?);
            Ok(())
        })?;
        let mut all = threads
            .iter()
            .map(|threads| Ok(self.ours(op)?.ours(*threads)))
            .collect::<Result<Vec<_>, BenchError>>()?;
        if let Some(peers) = &self.peers {
            all.extend(peers.candidates(op, self.row()?)?);
        }
        Ok(all)
    }

    fn eip_code(&self) -> Result<Code, BenchError> {
        Code::new(2, eip::CELLS_PER_EXT_BLOB as u32).map_err(failed)
    }

    fn row(&self) -> Result<&RowInputs, BenchError> {
        once(&self.row, || {
            self.workers
                .install(|| RowInputs::new(self.setup, self.seed))
        })
    }

    fn payload(&self, label: &str) -> Vec<u8> {
        inputs::bytes(self.seed, label, self.scale.blob_bytes())
    }

    fn batch(&self) -> Result<&[Posted], BenchError> {
        let make = || {
            let posted = ["batch/0", "batch/1", "batch/2", "batch/3"].map(|label| {
                let payload = self.payload(label);
                let rows = Rows::from_payload(&payload, Encoding::Packed31).map_err(failed)?;
                let commitments = commit_rows(self.setup, &rows)
                    .iter()
                    .map(Commitment::to_bytes)
                    .collect();
                Ok(Posted {
                    payload,
                    commitments: Some(commitments),
                })
            });
            posted.into_iter().collect()
        };
        once(&self.batch, || self.workers.install(make)).map(Vec::as_slice)
    }

    fn blob(&self) -> Result<&[Posted], BenchError> {
        once(&self.blob, || {
            Ok(vec![Posted {
                payload: self.payload("blob"),
                commitments: None,
            }])
        })
        .map(Vec::as_slice)
    }

    /// What nodes with 1/8 and with 1/100 of the stake are sent.
    fn sent(&self) -> Result<&[Dispersal; 2], BenchError> {
        let batch = self.batch()?;
        once(&self.sent, || {
            self.workers.install(|| {
                let encoded = batch::encode(self.setup, self.version, batch, self.fresh())?;
                Ok([
                    encoded.dispersal(0..SHARE_8)?,
                    encoded.dispersal(100..100 + SHARE_100)?,
                ])
            })
        })
    }

    /// What would be fresh randomness from the operating system.
    fn fresh(&self) -> [u8; 32] {
        inputs::seed_bytes(self.seed, "weights")
    }

    fn ours(&self, op: Op) -> Result<Candidate<'_>, BenchError> {
        match op {
            Op::CommitRow => {
                let row = self.row()?;
                let run =
                    move || eip::blob_to_kzg_commitment(self.setup, &row.blob[..]).map_err(failed);
                Ok(Candidate::new(OURS, run).output(move || Ok(run()?.to_vec())))
            }
            Op::CellsAndProofs7594 => {
                let row = self.row()?;
                let run = move || {
                    eip::compute_cells_and_kzg_proofs(self.setup, &row.blob[..]).map_err(failed)
                };
                Ok(Candidate::new(OURS, run)
                    .output(move || run().map(|(cells, proofs)| flat(&cells, &proofs))))
            }
            Op::ExtendX2 => {
                let row = self.row()?;
                let run = move || eip::compute_cells(&row.blob[..]).map_err(failed);
                Ok(Candidate::new(OURS, run).output(move || Ok(run()?.concat())))
            }
            Op::ExtendX8 => {
                let rows = Rows::from_bytes(self.row()?.blob.to_vec()).map_err(failed)?;
                let run = move || Ok(Slices::extend(self.version.code, &rows));
                let output = run.clone();
                Ok(Candidate::new(OURS, run).output(move || Ok(output()?.into_bytes())))
            }
            Op::VerifyCells128 => self.verify_cells(),
            Op::RecoverCells64 => {
                let row = self.row()?;
                let run = move || eip::recover_cells(&row.kept, &row.kept_cells()).map_err(failed);
                Ok(Candidate::new(OURS, run).output(move || match run()? {
                    cells if cells == row.cells => Ok(cells.concat()),
                    _ => Err(failed("the cells recovered are not those of the row")),
                }))
            }
            Op::RecoverCellsAndProofs64 => {
                let row = self.row()?;
                let run = move || {
                    eip::recover_cells_and_kzg_proofs(self.setup, &row.kept, &row.kept_cells())
                        .map_err(failed)
                };
                Ok(Candidate::new(OURS, run)
                    .output(move || run().map(|(cells, proofs)| flat(&cells, &proofs))))
            }
            Op::ProveBatchV1 => self.prove_batch(1),
            Op::ProveBatchV2 => self.prove_batch(2),
            Op::ProveBatchV3 => self.prove_batch(3),
            Op::EncodeBatch64MibV1 => Ok(self.encode(self.batch()?)),
            Op::Encode16MibV1WithCommit => Ok(self.encode(self.blob()?)),
            Op::CheckBatch64MibShare8 => Ok(self.check(&self.sent()?[0])),
            Op::CheckBatch64MibShare100 => Ok(self.check(&self.sent()?[1])),
        }
    }

    fn verify_cells(&self) -> Result<Candidate<'_>, BenchError> {
        let row = self.row()?;
        let (indices, commitments) = (row.indices(), vec![row.commitment; row.cells.len()]);
        let bad = row.tampered_cells();
        let verify = move |cells: &[eip::Cell]| {
            eip::verify_cell_kzg_proof_batch(self.setup, &commitments, &indices, cells, &row.proofs)
                .map_err(failed)
        };
        let output = verify.clone();
        Ok(Candidate::new(OURS, move || verify(&row.cells))
            .output(move || verdicts(&[(output(&row.cells)?, true), (output(&bad)?, false)])))
    }

    fn prove_batch(&self, version: u16) -> Result<Candidate<'_>, BenchError> {
        let code = ashlar_proto::version(version).map_err(failed)?.code;
        self.workers.install(|| self.setup.prepare(code));
        let rows = Rows::from_bytes(self.row()?.blob.to_vec()).map_err(failed)?;
        let challenge = RowChallenge::new(&self.fresh());
        let mut aggregated = AggregatedRow::new(challenge);
        aggregated.absorb(&rows);
        let run = move || Ok(prove_chunks(self.setup, code, &aggregated));
        let output = run.clone();
        Ok(Candidate::new(OURS, run).output(move || {
            let proofs = output()?;
            self.all_proofs_hold(code, &rows, challenge, &proofs)?;
            Ok(proofs.iter().flat_map(|proof| proof.0).collect())
        }))
    }

    fn all_proofs_hold(
        &self,
        code: Code,
        rows: &Rows,
        challenge: RowChallenge,
        proofs: &[ProofBytes],
    ) -> Result<(), BenchError> {
        let slices = Slices::extend(code, rows);
        let commitment =
            Commitment::try_from(CommitmentBytes(self.row()?.commitment)).map_err(failed)?;
        let proofs =
            ashlar_crypto::kzg::decode_proofs(proofs).map_err(|(_, error)| failed(error))?;
        let columns: Vec<_> = proofs
            .into_iter()
            .zip(slices.iter())
            .zip(0..)
            .map(|((proof, slice), index)| ChunkColumn {
                index,
                pieces: vec![slice],
                proof,
            })
            .collect();
        if columns.len() != code.chunks() as usize {
            return Err(failed("another number of proofs than chunks"));
        }
        verify_chunks(
            self.setup,
            code,
            challenge,
            &[commitment],
            &columns,
            self.fresh(),
        )
        .map_err(failed)
    }

    fn encode<'a>(&'a self, posted: &'a [Posted]) -> Candidate<'a> {
        let run = move || batch::encode(self.setup, self.version, posted, self.fresh());
        Candidate::new(OURS, run).output(move || {
            let encoded = run()?;
            let sent = encoded.dispersal(0..SHARE_100)?;
            match batch::check(self.setup, self.version, &sent, self.fresh())? {
                true => Ok(encoded.fingerprint()),
                false => Err(failed("a node would refuse the batch")),
            }
        })
    }

    fn check<'a>(&'a self, sent: &'a Dispersal) -> Candidate<'a> {
        let check =
            move |sent: &Dispersal| batch::check(self.setup, self.version, sent, self.fresh());
        Candidate::new(OURS, move || check(sent)).output(move || {
            verdicts(&[
                (check(sent)?, true),
                (check(&sent.with_a_false_proof())?, false),
                (check(&sent.with_a_false_slice())?, false),
            ])
        })
    }
}

/// Verdicts that have to be as they should.
fn verdicts(found_and_expected: &[(bool, bool)]) -> Result<Vec<u8>, BenchError> {
    match found_and_expected
        .iter()
        .all(|(found, expected)| found == expected)
    {
        true => Ok(found_and_expected
            .iter()
            .map(|(found, _)| u8::from(*found))
            .collect()),
        false => Err(failed(
            "a check accepts what is wrong or refuses what is right",
        )),
    }
}

fn flat(cells: &[eip::Cell], proofs: &[[u8; 48]]) -> Vec<u8> {
    let mut bytes = cells.concat();
    bytes.extend(proofs.iter().flatten());
    bytes
}
