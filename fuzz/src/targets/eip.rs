//! EIP-4844 and EIP-7594 beside `c-kzg` and `rust_eth_kzg`: from valid inputs with some changes all three make the same bytes, give the
//! same verdicts and refuse the same.

use std::fmt::Debug;
use std::sync::OnceLock;

use ashlar_crypto::eip::{self, EipError};
use ashlar_crypto::{Setup, sha256};
use c_kzg::{Blob, Bytes32, Bytes48, KzgSettings, ethereum_kzg_settings};
use rust_eth_kzg::{DASContext, TrustedSetup, UsePrecomp};

use crate::choices::Choices;

/// Functions that are compared: the first byte of an input, modulo this, is one of them.
pub(crate) const FUNCTIONS: u8 = 9;

const ORDER: [u8; 32] = [
    0x73, 0xed, 0xa7, 0x53, 0x29, 0x9d, 0x7d, 0x48, 0x33, 0x39, 0xd8, 0x08, 0x09, 0xa1, 0xd8, 0x05,
    0x53, 0xbd, 0xa4, 0x02, 0xff, 0xfe, 0x5b, 0xfe, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x01,
];

/// A blob with all that is valid about it.
struct Valid {
    blob: Vec<u8>,
    commitment: Vec<u8>,
    proof: Vec<u8>,
    z: Vec<u8>,
    y: Vec<u8>,
    proof_at_z: Vec<u8>,
    cells: Vec<Vec<u8>>,
    proofs: Vec<Vec<u8>>,
}

impl Valid {
    fn of(blob: Vec<u8>, setup: &Setup) -> Result<Self, EipError> {
        let commitment = eip::blob_to_kzg_commitment(setup, &blob)?.to_vec();
        let z = sha256(&[&commitment]).map(|byte| byte >> 2).to_vec();
        let (proof_at_z, y) = eip::compute_kzg_proof(setup, &blob, &z)?;
        let (cells, proofs) = eip::compute_cells_and_kzg_proofs(setup, &blob)?;
        Ok(Self {
            proof: eip::compute_blob_kzg_proof(setup, &blob, &commitment)?.to_vec(),
            commitment,
            z,
            y: y.to_vec(),
            proof_at_z: proof_at_z.to_vec(),
            cells: cells.iter().map(|cell| cell.to_vec()).collect(),
            proofs: proofs.iter().map(|proof| proof.to_vec()).collect(),
            blob,
        })
    }
}

/// The libraries, and blobs: any elements, a constant (whose proofs are infinity), and zeros (whose commitment is).
struct World {
    ours: &'static Setup,
    c_kzg: &'static KzgSettings,
    eth_kzg: DASContext,
    valid: Vec<Valid>,
}

fn world() -> &'static World {
    static MADE: OnceLock<World> = OnceLock::new();
    MADE.get_or_init(|| {
        let ours = Setup::ethereum();
        let random = (0..4096u64).flat_map(|at| sha256(&[&at.to_be_bytes()]).map(|byte| byte >> 2));
        let blobs = [
            random.collect(),
            vec![7; eip::BYTES_PER_BLOB],
            vec![0; eip::BYTES_PER_BLOB],
        ];
        World {
            ours,
            c_kzg: ethereum_kzg_settings(0),
            eth_kzg: DASContext::new(&TrustedSetup::default(), UsePrecomp::No),
            valid: blobs
                .into_iter()
                .map(|blob| Valid::of(blob, ours).expect("a valid blob"))
                .collect(),
        }
    })
}

/// A copy with up to three changes.
fn changed(bytes: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..choices.byte() % 4 {
        let kind = choices.byte();
        let at = usize::from(choices.number());
        let len = bytes.len();
        let element = at * 32 % len.max(1);
        let place = bytes.get_mut(element..element + 32);
        match (kind % 8, place) {
            (0, Some(place)) => place.copy_from_slice(&ORDER),
            (1, Some(place)) => {
                place.copy_from_slice(&ORDER);
                place[31] = 0;
            }
            (2, Some(place)) => place.fill(kind),
            // Another length, the sign of a point, infinity.
            (3, _) if at % 2 == 0 => bytes.push(kind),
            (3, _) => drop(bytes.pop()),
            (4, _) if len == 48 => bytes[0] ^= 0x20,
            (5, _) if len == 48 => {
                bytes.fill(0);
                bytes[0] = 0xc0;
            }
            _ if len > 0 => {
                bytes[(at * 2 + usize::from(kind >> 7)) % len] ^= 1 << (kind >> 4 & 7);
            }
            _ => {}
        }
    }
    bytes
}

fn agree<T: PartialEq + Debug>(function: &str, ours: &Result<T, EipError>, theirs: [Option<T>; 2]) {
    for (name, theirs) in ["c-kzg", "rust_eth_kzg"].into_iter().zip(theirs) {
        // Not `assert_eq`: nobody reads 256 KiB.
        assert!(
            ours.as_ref().ok() == theirs.as_ref(),
            "{function}: we say {:?}, {name} {}",
            ours.as_ref().map(|_| "another value"),
            if theirs.is_some() {
                "accepts"
            } else {
                "refuses"
            },
        );
    }
}

fn sized<const N: usize>(bytes: &[u8]) -> Option<&[u8; N]> {
    bytes.try_into().ok()
}

fn all<const N: usize>(list: &[Vec<u8>]) -> Option<Vec<&[u8; N]>> {
    list.iter().map(|bytes| sized(bytes)).collect()
}

fn points(list: &[Vec<u8>]) -> Option<Vec<Bytes48>> {
    list.iter()
        .map(|bytes| Bytes48::from_bytes(bytes).ok())
        .collect()
}

/// Their error for a proof that proves nothing is our `Ok(false)`.
fn verdict(result: Result<(), rust_eth_kzg::Error>) -> Option<bool> {
    match result {
        Ok(()) => Some(true),
        Err(error) => error.is_proof_invalid().then_some(false),
    }
}

type Many = (Vec<[u8; 2048]>, Vec<[u8; 48]>);

fn many(cells: &[rust_eth_kzg::Cell], proofs: &[rust_eth_kzg::KZGProof]) -> Many {
    (cells.iter().map(|cell| **cell).collect(), proofs.to_vec())
}

fn many_of_c_kzg(cells: &[c_kzg::Cell], proofs: &[c_kzg::KzgProof]) -> Many {
    let proofs = proofs.iter().map(|proof| proof.to_bytes().into_inner());
    (
        cells.iter().map(c_kzg::Cell::to_bytes).collect(),
        proofs.collect(),
    )
}

/// The first byte says which function, then come the choices of its inputs.
pub(crate) fn beside_peers(data: &[u8]) {
    let mut choices = Choices::new(data);
    let function = choices.byte() % FUNCTIONS;
    let World {
        ours,
        c_kzg,
        eth_kzg,
        valid,
    } = world();
    let pick = |choices: &mut Choices<'_>| &valid[usize::from(choices.byte()) % valid.len()];
    let choices = &mut choices;
    let one = pick(choices);
    match function {
        0 => {
            let blob = changed(&one.blob, choices);
            let c = || {
                let commitment = c_kzg.blob_to_kzg_commitment(&Blob::from_bytes(&blob).ok()?);
                Some(commitment.ok()?.to_bytes().into_inner())
            };
            let eth = || eth_kzg.blob_to_kzg_commitment(sized(&blob)?).ok();
            agree(
                "blob_to_kzg_commitment",
                &eip::blob_to_kzg_commitment(ours, &blob),
                [c(), eth()],
            );
        }
        1 => {
            let (blob, z) = (changed(&one.blob, choices), changed(&one.z, choices));
            let c = || {
                let (blob, z) = (Blob::from_bytes(&blob).ok()?, Bytes32::from_bytes(&z).ok()?);
                let (proof, y) = c_kzg.compute_kzg_proof(&blob, &z).ok()?;
                Some((proof.to_bytes().into_inner(), *y))
            };
            let eth = || eth_kzg.compute_kzg_proof(sized(&blob)?, *sized(&z)?).ok();
            agree(
                "compute_kzg_proof",
                &eip::compute_kzg_proof(ours, &blob, &z),
                [c(), eth()],
            );
        }
        2 => {
            let commitment = changed(&one.commitment, choices);
            let (z, y) = (changed(&one.z, choices), changed(&one.y, choices));
            let proof = changed(&one.proof_at_z, choices);
            let c = || {
                let (commitment, proof) = (
                    Bytes48::from_bytes(&commitment).ok()?,
                    Bytes48::from_bytes(&proof).ok()?,
                );
                let (z, y) = (Bytes32::from_bytes(&z).ok()?, Bytes32::from_bytes(&y).ok()?);
                c_kzg.verify_kzg_proof(&commitment, &z, &y, &proof).ok()
            };
            let eth = || {
                let (z, y) = (*sized(&z)?, *sized(&y)?);
                verdict(eth_kzg.verify_kzg_proof(sized(&commitment)?, z, y, sized(&proof)?))
            };
            let verdict = eip::verify_kzg_proof(ours, &commitment, &z, &y, &proof);
            agree("verify_kzg_proof", &verdict, [c(), eth()]);
        }
        3 => {
            let (blob, commitment) = (
                changed(&one.blob, choices),
                changed(&one.commitment, choices),
            );
            let c = || {
                let (blob, commitment) = (
                    Blob::from_bytes(&blob).ok()?,
                    Bytes48::from_bytes(&commitment).ok()?,
                );
                let proof = c_kzg.compute_blob_kzg_proof(&blob, &commitment).ok()?;
                Some(proof.to_bytes().into_inner())
            };
            let eth = || {
                eth_kzg
                    .compute_blob_kzg_proof(sized(&blob)?, sized(&commitment)?)
                    .ok()
            };
            let proof = eip::compute_blob_kzg_proof(ours, &blob, &commitment);
            agree("compute_blob_kzg_proof", &proof, [c(), eth()]);
        }
        4 => {
            let (blob, commitment) = (
                changed(&one.blob, choices),
                changed(&one.commitment, choices),
            );
            let proof = changed(&one.proof, choices);
            let c = || {
                let (commitment, proof) = (
                    Bytes48::from_bytes(&commitment).ok()?,
                    Bytes48::from_bytes(&proof).ok()?,
                );
                c_kzg
                    .verify_blob_kzg_proof(&Blob::from_bytes(&blob).ok()?, &commitment, &proof)
                    .ok()
            };
            let eth = || {
                let proof = sized(&proof)?;
                verdict(eth_kzg.verify_blob_kzg_proof(sized(&blob)?, sized(&commitment)?, proof))
            };
            let verdict = eip::verify_blob_kzg_proof(ours, &blob, &commitment, &proof);
            agree("verify_blob_kzg_proof", &verdict, [c(), eth()]);
        }
        5 => {
            let (mut blobs, mut commitments, mut proofs) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..choices.byte() % 4 {
                let one = pick(choices);
                blobs.push(changed(&one.blob, choices));
                commitments.push(changed(&one.commitment, choices));
                proofs.push(changed(&one.proof, choices));
            }
            match choices.byte() {
                250 => drop(blobs.pop()),
                251 => drop(commitments.pop()),
                252 => drop(proofs.pop()),
                _ => {}
            }
            let c = || {
                let blobs: Option<Vec<_>> = blobs
                    .iter()
                    .map(|blob| Blob::from_bytes(blob).ok())
                    .collect();
                c_kzg
                    .verify_blob_kzg_proof_batch(&blobs?, &points(&commitments)?, &points(&proofs)?)
                    .ok()
            };
            let eth = || {
                verdict(eth_kzg.verify_blob_kzg_proof_batch(
                    all(&blobs)?,
                    all(&commitments)?,
                    all(&proofs)?,
                ))
            };
            let verdict = eip::verify_blob_kzg_proof_batch(ours, &blobs, &commitments, &proofs);
            agree("verify_blob_kzg_proof_batch", &verdict, [c(), eth()]);
        }
        6 => {
            let blob = changed(&one.blob, choices);
            let result = eip::compute_cells_and_kzg_proofs(ours, &blob);
            assert!(
                eip::compute_cells(&blob).ok()
                    == result.as_ref().ok().map(|(cells, _)| cells.clone())
            );
            let c = || {
                let (cells, proofs) = c_kzg
                    .compute_cells_and_kzg_proofs(&Blob::from_bytes(&blob).ok()?)
                    .ok()?;
                Some(many_of_c_kzg(&cells[..], &proofs[..]))
            };
            let eth = || {
                let (cells, proofs) = eth_kzg.compute_cells_and_kzg_proofs(sized(&blob)?).ok()?;
                Some(many(&cells, &proofs))
            };
            agree("compute_cells_and_kzg_proofs", &result, [c(), eth()]);
        }
        7 => {
            let (mut commitments, mut indices) = (Vec::new(), Vec::new());
            let (mut cells, mut proofs) = (Vec::new(), Vec::new());
            for _ in 0..choices.byte() % 9 {
                let one = pick(choices);
                let [index, claimed] = choices.array();
                let index = usize::from(index) % one.cells.len();
                commitments.push(changed(&one.commitment, choices));
                // Mostly the cell's own, but also others and those that no cell has.
                indices.push(if claimed < 200 {
                    index as u64
                } else {
                    u64::from(claimed) - 100
                });
                cells.push(changed(&one.cells[index], choices));
                proofs.push(changed(&one.proofs[index], choices));
            }
            match choices.byte() {
                250 => drop(commitments.pop()),
                251 => drop(indices.pop()),
                252 => drop(cells.pop()),
                253 => drop(proofs.pop()),
                _ => {}
            }
            let c = || {
                let cells: Vec<_> = all(&cells)?
                    .into_iter()
                    .map(|cell| c_kzg::Cell::new(*cell))
                    .collect();
                c_kzg
                    .verify_cell_kzg_proof_batch(
                        &points(&commitments)?,
                        &indices,
                        &cells,
                        &points(&proofs)?,
                    )
                    .ok()
            };
            let eth = || {
                verdict(eth_kzg.verify_cell_kzg_proof_batch(
                    all(&commitments)?,
                    &indices,
                    all(&cells)?,
                    all(&proofs)?,
                ))
            };
            let verdict =
                eip::verify_cell_kzg_proof_batch(ours, &commitments, &indices, &cells, &proofs);
            agree("verify_cell_kzg_proof_batch", &verdict, [c(), eth()]);
        }
        _ => {
            let [start, step, count] = choices.array();
            let (step, count) = (u64::from(step % 3), 62 + usize::from(count) % 67);
            let mut indices: Vec<u64> = (0..count as u64)
                .map(|at| u64::from(start) % 64 + at * step.max(1))
                .collect();
            if choices.byte() > 200 {
                let at = usize::from(choices.byte()) % indices.len();
                indices[at] = choices.byte().into();
            }
            let mut cells: Vec<Vec<u8>> = indices
                .iter()
                .map(|index| one.cells[*index as usize % one.cells.len()].clone())
                .collect();
            let at = usize::from(choices.byte()) % cells.len();
            cells[at] = changed(&cells[at], choices);
            if choices.byte() > 250 {
                cells.pop();
            }
            let result = eip::recover_cells_and_kzg_proofs(ours, &indices, &cells);
            let alone = eip::recover_cells(&indices, &cells);
            assert!(alone.as_ref().ok() == result.as_ref().ok().map(|(cells, _)| cells));
            let eth = || {
                let (cells, proofs) = eth_kzg
                    .recover_cells_and_kzg_proofs(indices.clone(), all(&cells)?)
                    .ok()?;
                Some(many(&cells, &proofs))
            };
            // Where more cells than needed do not belong together, c-kzg answers all the same: the specification leaves that open.
            let c = || {
                if let Err(EipError::Inconsistent { .. }) = result {
                    return None;
                }
                let cells: Vec<_> = all(&cells)?
                    .into_iter()
                    .map(|cell| c_kzg::Cell::new(*cell))
                    .collect();
                let (cells, proofs) = c_kzg.recover_cells_and_kzg_proofs(&indices, &cells).ok()?;
                Some(many_of_c_kzg(&cells[..], &proofs[..]))
            };
            agree("recover_cells_and_kzg_proofs", &result, [c(), eth()]);
        }
    }
}
