//! The index of batches, and what makes a batch's proofs anew: for operators and dispersers that lost a disk.

use bytes::Bytes;

use super::convert::{
    array, check_indices, chunk_proofs_from, chunk_proofs_to, runs_from, runs_to,
};
use super::{WireError, pb};
use crate::certificate::CertificateDecodeError;
use crate::{BatchDigest, BatchHeader, Certificate, ChunkRanges, Domain};
use ashlar_crypto::{identity::NetworkSignature, kzg::ProofBytes};

/// Disperser to an operator that signed: keep this with the batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeepCertificate {
    /// The compact certificate of the batch's first blob, unchecked.
    pub certificate: Certificate,
}

/// Anybody to operator: a page of the certified batches that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListBatches {
    /// Where the last page ended; `None` for the first one.
    pub after: Option<BatchPlace>,
}

/// A place in an operator's index: youngest window first, in a window by digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchPlace {
    /// End of the operator's expiry window, unix seconds.
    pub window: u64,
    /// The batch.
    pub digest: BatchDigest,
}

impl BatchPlace {
    /// Whether this place comes behind the other one in an index.
    pub fn is_behind(&self, other: &Self) -> bool {
        (other.window, self.digest.0) > (self.window, other.digest.0)
    }
}

/// A batch of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertifiedBatch {
    /// The compact certificate of the batch's first blob, unchecked.
    pub certificate: Certificate,
    /// The disperser's signature of the batch digest, unchecked.
    pub disperser_signature: NetworkSignature,
}

/// A page of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchList {
    /// At most [`MAX_LISTED`](super::limits::MAX_LISTED).
    pub batches: Vec<CertifiedBatch>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<BatchPlace>,
}

/// Disperser to operator: which of its batches has the highest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GetLatest {
    /// The service. An operator of several has a node for each.
    pub domain: Domain,
    /// Whose.
    pub disperser_id: u32,
}

/// The batch of a disperser with the highest number that the operator has promised to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// The batch.
    pub batch_header: BatchHeader,
    /// The disperser's signature of its digest, unchecked.
    pub disperser_signature: NetworkSignature,
}

/// Operator to operator: combined columns of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetCombined {
    /// The batch.
    pub batch_digest: BatchDigest,
    /// Indices wanted.
    pub indices: ChunkRanges,
}

/// Combined columns; the bulk part holds one cell for each index, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// The batch.
    pub batch_header: BatchHeader,
    /// Indices sent.
    pub runs: ChunkRanges,
    /// One proof an index, ascending.
    pub chunk_proofs: Vec<ProofBytes>,
}

impl Combined {
    /// Length of the bulk part.
    ///
    /// # Errors
    /// The version is unknown (not after decoding).
    pub fn bulk_len(&self) -> Result<u64, WireError> {
        let cell = self.batch_header.protocol()?.code.cell_bytes();
        Ok((self.runs.count() * cell) as u64)
    }
}

fn certificate(bytes: &[u8]) -> Result<Certificate, WireError> {
    let certificate = Certificate::from_bytes(bytes)?;
    if certificate.is_portable() {
        return Err(WireError::Certificate(CertificateDecodeError::Form {
            got: 1,
        }));
    }
    Ok(certificate)
}

fn place_from(place: &pb::BatchPlace) -> Result<BatchPlace, WireError> {
    Ok(BatchPlace {
        window: place.window,
        digest: BatchDigest(array("batch digest", &place.batch_digest)?),
    })
}

fn place_to(place: &BatchPlace) -> pb::BatchPlace {
    pb::BatchPlace {
        window: place.window,
        batch_digest: place.digest.0.to_vec().into(),
    }
}

impl From<&KeepCertificate> for pb::KeepCertificate {
    fn from(m: &KeepCertificate) -> Self {
        Self {
            certificate: m.certificate.to_bytes().into(),
        }
    }
}

impl TryFrom<pb::KeepCertificate> for KeepCertificate {
    type Error = WireError;

    fn try_from(m: pb::KeepCertificate) -> Result<Self, WireError> {
        Ok(Self {
            certificate: certificate(&m.certificate)?,
        })
    }
}

impl From<&ListBatches> for pb::ListBatches {
    fn from(m: &ListBatches) -> Self {
        Self {
            after: m.after.as_ref().map(place_to),
        }
    }
}

impl TryFrom<pb::ListBatches> for ListBatches {
    type Error = WireError;

    fn try_from(m: pb::ListBatches) -> Result<Self, WireError> {
        Ok(Self {
            after: m.after.as_ref().map(place_from).transpose()?,
        })
    }
}

impl From<&BatchList> for pb::BatchList {
    fn from(m: &BatchList) -> Self {
        let batches = m.batches.iter().map(|batch| pb::CertifiedBatch {
            certificate: batch.certificate.to_bytes().into(),
            disperser_signature: Bytes::copy_from_slice(&batch.disperser_signature.0),
        });
        Self {
            batches: batches.collect(),
            next: m.next.as_ref().map(place_to),
        }
    }
}

impl TryFrom<pb::BatchList> for BatchList {
    type Error = WireError;

    fn try_from(m: pb::BatchList) -> Result<Self, WireError> {
        let batches = m.batches.iter().map(|batch| {
            let signature = array("disperser signature", &batch.disperser_signature)?;
            Ok(CertifiedBatch {
                certificate: certificate(&batch.certificate)?,
                disperser_signature: NetworkSignature(signature),
            })
        });
        Ok(Self {
            batches: batches.collect::<Result<_, WireError>>()?,
            next: m.next.as_ref().map(place_from).transpose()?,
        })
    }
}

pub(super) fn latest_to(latest: Option<&Latest>) -> pb::Latest {
    let both = latest.map(|m| {
        let signature = Bytes::copy_from_slice(&m.disperser_signature.0);
        (m.batch_header.abi_encode().into(), signature)
    });
    let (batch_header, disperser_signature) = both.unwrap_or_default();
    pb::Latest {
        batch_header,
        disperser_signature,
    }
}

pub(super) fn latest_from(m: &pb::Latest) -> Result<Option<Latest>, WireError> {
    if m.batch_header.is_empty() && m.disperser_signature.is_empty() {
        return Ok(None);
    }
    Ok(Some(Latest {
        batch_header: BatchHeader::abi_decode(&m.batch_header)?,
        disperser_signature: NetworkSignature(array(
            "disperser signature",
            &m.disperser_signature,
        )?),
    }))
}

impl From<&GetCombined> for pb::GetCombined {
    fn from(m: &GetCombined) -> Self {
        Self {
            batch_digest: m.batch_digest.0.to_vec().into(),
            runs: runs_to(&m.indices),
        }
    }
}

impl TryFrom<pb::GetCombined> for GetCombined {
    type Error = WireError;

    fn try_from(m: pb::GetCombined) -> Result<Self, WireError> {
        Ok(Self {
            batch_digest: BatchDigest(array("batch digest", &m.batch_digest)?),
            indices: runs_from(m.runs)?,
        })
    }
}

impl From<&Combined> for pb::Combined {
    fn from(m: &Combined) -> Self {
        Self {
            batch_header: m.batch_header.abi_encode().into(),
            runs: runs_to(&m.runs),
            chunk_proofs: chunk_proofs_to(&m.chunk_proofs),
        }
    }
}

impl TryFrom<pb::Combined> for Combined {
    type Error = WireError;

    fn try_from(m: pb::Combined) -> Result<Self, WireError> {
        let batch_header = BatchHeader::abi_decode(&m.batch_header)?;
        let runs = runs_from(m.runs)?;
        check_indices(batch_header.version, &runs)?;
        let chunk_proofs = chunk_proofs_from(&m.chunk_proofs, &runs)?;
        Ok(Self {
            batch_header,
            runs,
            chunk_proofs,
        })
    }
}
