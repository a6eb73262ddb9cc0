//! Blobs that operators signed for, challenges and answers.

use std::sync::OnceLock;

use ashlar_crypto::MerkleTree;
use ashlar_proto::{BlobHeader, Certificate, version};
use ashlar_testing::bls_key;
use ashlar_testing::custody::{self, Blob};

use super::*;
use crate::evidence::CustodyAnswer;

/// Two rows, made once.
pub(crate) fn content() -> &'static Blob {
    static MADE: OnceLock<Blob> = OnceLock::new();
    MADE.get_or_init(|| {
        let payload = (0..130_000u32).map(|i| (i * 7 + i / 251) as u8);
        Blob::of(payload.collect(), 0)
    })
}

/// The same content, as the blob number `salt`.
pub(crate) fn blob(salt: u64, quorums: &[u8]) -> BlobHeader {
    BlobHeader {
        salt,
        quorums: quorums.to_vec(),
        ..content().header.clone()
    }
}

/// The certificate of a batch with this one blob, which these operators signed; `None` if one of them is not on the table.
pub(crate) fn certificate(
    state: &State,
    service: ServiceId,
    reference: Block,
    blob: &BlobHeader,
    signers: &[usize],
) -> Option<Certificate> {
    let table = state.table_at(service, reference).ok()?;
    let keys: Vec<_> = signers.iter().map(|index| bls_key(*index)).collect();
    custody::certificate(&table, blob, &keys)
}

/// The slice that a challenge asks for.
pub(crate) fn slice(challenge: &OpenChallenge) -> CustodyAnswer {
    let cell = version(1).unwrap().code.cell_len() as u32;
    slice_of(challenge.element / cell)
}

pub(crate) fn slice_of(chunk: u32) -> CustodyAnswer {
    let slices = &content().slices;
    CustodyAnswer::Slice {
        bytes: slices.slice(chunk).unwrap().to_vec(),
        path: MerkleTree::from_slices(slices)
            .path(chunk as usize)
            .unwrap(),
    }
}

pub(crate) fn custody_terms() -> CustodyTerms {
    CustodyTerms {
        token: account(0xe5),
        min_bond: Amount::from(5u64),
        wad: Wad::percent(30),
        max_open: 3,
        max_open_per_operator: 2,
    }
}

impl World {
    /// Somebody asks an operator for a blob of some blocks ago.
    pub(super) fn challenge(&mut self, state: &State) -> Option<(Account, Action)> {
        let service = 1 + self.below(2) as u32;
        let reference = state.meta().block.checked_sub(1 + self.below(7))?;
        let table = state.table_at(service, reference).ok()?;
        let mut signers: Vec<usize> = (0..6)
            .filter(|index| table.find(&operator_key(*index)).is_some())
            .collect();
        let place = self.below(signers.len() as u64) as usize;
        let operator = match self.below(6) {
            0 => self.below(5) as usize,
            _ => *signers.get(place)?,
        };
        if self.below(8) == 0 {
            signers.pop();
        }
        let quorums: &[u8] = if self.below(6) == 0 { &[0, 1] } else { &[0] };
        let blob = blob(self.below(5), quorums);
        let certificate = certificate(state, service, reference, &blob, &signers)?;
        let mut certificate = certificate.to_bytes();
        if self.below(20) == 0 {
            certificate.pop();
        }
        let action = Action::OpenChallenge {
            service,
            operator: operator_key(operator),
            certificate,
            bond: if self.below(6) == 0 {
                some_amount(self.draw(), 10)
            } else {
                Amount::from(5 + self.below(1000))
            },
        };
        Some((account(1 + self.below(3) as u8), action))
    }

    /// Somebody answers, most often well.
    pub(super) fn answer(&mut self, state: &State) -> Option<(Account, Action)> {
        let count = state.challenges().count() as u64;
        let place = self.below(count) as usize;
        let (challenge, record) = state.challenges().nth(place)?;
        let answer = match self.below(6) {
            0 => slice_of(self.below(512) as u32),
            _ => slice(record),
        };
        let action = Action::AnswerChallenge {
            challenge,
            answer: answer.to_bytes(),
        };
        Some((account(1 + self.below(7) as u8), action))
    }
}
