//! Between protobuf messages and checked ones. What [`scan`] has counted is not counted again.

use ashlar_crypto::{
    Blame, bls::SignatureBytes, hash::Hash, identity::NetworkSignature, kzg::ProofBytes,
};
use bytes::Bytes;
use prost::Message;

use super::{
    Chunks, Dialed, ErrorReply, GetChunks, GetLatest, GetSlices, Ping, Pong, Request, Response,
    SignBatch, Slices, StoreBatch, Stored, WireError,
    error::at_most,
    index::{latest_from, latest_to},
    limits, pb, scan,
};
use crate::{
    BatchDigest, BatchHeader, BlobHeader, BlobKey, ChunkRanges, Domain, HeaderError,
    params::version,
};

pub(super) fn array<const N: usize>(
    field: &'static str,
    bytes: &[u8],
) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length {
        field,
        got: bytes.len(),
        expected: N,
    })
}

/// A list of fixed-width entries, one after another.
pub(super) fn packed<const N: usize>(
    field: &'static str,
    bytes: &[u8],
) -> Result<Vec<[u8; N]>, WireError> {
    let (entries, rest) = bytes.as_chunks::<N>();
    if !rest.is_empty() {
        return Err(WireError::Length {
            field,
            got: bytes.len(),
            expected: entries.len() * N,
        });
    }
    Ok(entries.to_vec())
}

pub(super) fn runs_from(list: Vec<pb::Run>) -> Result<ChunkRanges, WireError> {
    Ok(ChunkRanges::new(
        list.into_iter().map(|r| (r.start, r.len)).collect(),
    )?)
}

pub(super) fn runs_to(runs: &ChunkRanges) -> Vec<pb::Run> {
    runs.as_slice()
        .iter()
        .map(|&(start, len)| pb::Run { start, len })
        .collect()
}

fn blob_headers_from(list: &[Bytes]) -> Result<Vec<BlobHeader>, WireError> {
    Ok(list
        .iter()
        .map(|bytes| BlobHeader::abi_decode(bytes))
        .collect::<Result<_, _>>()?)
}

fn blob_headers_to(list: &[BlobHeader]) -> Vec<Bytes> {
    list.iter()
        .map(|header| header.abi_encode().into())
        .collect()
}

/// Headers and runs that fit together: as many blobs and rows as the batch header says, all of its version, and no
/// index that the version does not have. The batch root is left to the receiver: it costs hashing.
fn check_batch(
    header: &BatchHeader,
    blobs: &[BlobHeader],
    runs: &ChunkRanges,
) -> Result<(), WireError> {
    if blobs.len() != header.blobs as usize {
        return Err(HeaderError::BlobCount {
            got: blobs.len(),
            expected: header.blobs,
        }
        .into());
    }
    let rows: u64 = blobs.iter().map(|b| u64::from(b.rows)).sum();
    if rows != u64::from(header.rows) {
        return Err(HeaderError::RowCount {
            got: rows,
            expected: header.rows,
        }
        .into());
    }
    if let Some(blob) = blobs.iter().find(|b| b.version != header.version) {
        return Err(HeaderError::MixedVersions {
            got: blob.version,
            expected: header.version,
        }
        .into());
    }
    check_indices(header.version, runs)
}

pub(super) fn check_indices(version_id: u16, runs: &ChunkRanges) -> Result<(), WireError> {
    let chunks = version(version_id)
        .map_err(HeaderError::from)?
        .code
        .chunks();
    if runs.last().0 >= chunks {
        return Err(WireError::ChunkIndex {
            got: runs.last(),
            chunks,
        });
    }
    Ok(())
}

pub(super) fn chunk_proofs_from(
    bytes: &[u8],
    runs: &ChunkRanges,
) -> Result<Vec<ProofBytes>, WireError> {
    let proofs: Vec<[u8; 48]> = packed("chunk proofs", bytes)?;
    if proofs.len() != runs.count() {
        return Err(WireError::Count {
            field: "chunk proofs",
            got: proofs.len(),
            expected: runs.count(),
        });
    }
    Ok(proofs.into_iter().map(ProofBytes).collect())
}

pub(super) fn chunk_proofs_to(proofs: &[ProofBytes]) -> Bytes {
    proofs.iter().flat_map(|p| p.0).collect::<Vec<u8>>().into()
}

fn range_proofs_from(list: &[Bytes], runs: &ChunkRanges) -> Result<Vec<Vec<Hash>>, WireError> {
    let expected = runs.as_slice().len();
    if list.len() != expected {
        return Err(WireError::Count {
            field: "range proofs",
            got: list.len(),
            expected,
        });
    }
    list.iter()
        .map(|proof| packed("range proof", proof))
        .collect()
}

fn range_proofs_to(proofs: &[Vec<Hash>]) -> pb::SliceProofs {
    pb::SliceProofs {
        runs: proofs.iter().map(|proof| proof.concat().into()).collect(),
    }
}

fn slice_proofs_from(
    list: &[pb::SliceProofs],
    runs: &ChunkRanges,
) -> Result<Vec<Vec<Vec<Hash>>>, WireError> {
    list.iter()
        .map(|proofs| range_proofs_from(&proofs.runs, runs))
        .collect()
}

fn slice_proofs_to(list: &[Vec<Vec<Hash>>]) -> Vec<pb::SliceProofs> {
    list.iter().map(|blob| range_proofs_to(blob)).collect()
}

impl Request {
    /// The envelope's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Self::StoreBatch(m) => pb::request::Kind::StoreBatch(m.into()),
            Self::GetSlices(m) => pb::request::Kind::GetSlices(pb::GetSlices {
                blob_key: m.blob_key.0.to_vec().into(),
                runs: runs_to(&m.indices),
            }),
            Self::GetChunks(m) => pb::request::Kind::GetChunks(pb::GetChunks {
                batch_digest: m.batch_digest.0.to_vec().into(),
                runs: runs_to(&m.indices),
            }),
            Self::Ping(m) => pb::request::Kind::Ping(pb::Ping { nonce: m.nonce }),
            Self::SignBatch(m) => pb::request::Kind::SignBatch(pb::SignBatch {
                batch_header: m.batch_header.abi_encode().into(),
                disperser_signature: m.disperser_signature.0.to_vec().into(),
            }),
            Self::DialMe => pb::request::Kind::DialMe(pb::DialMe {}),
            Self::KeepCertificate(m) => pb::request::Kind::KeepCertificate((&**m).into()),
            Self::ListBatches(m) => pb::request::Kind::ListBatches(m.into()),
            Self::GetCombined(m) => pb::request::Kind::GetCombined(m.into()),
            Self::GetLatest(m) => pb::request::Kind::GetLatest(pb::GetLatest {
                domain: Bytes::copy_from_slice(&m.domain.0),
                disperser_id: m.disperser_id,
            }),
        };
        pb::Request { kind: Some(kind) }.encode_to_vec()
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, WireError> {
        let bytes = bytes.into();
        at_most("envelope", bytes.len(), limits::MAX_ENVELOPE)?;
        scan::request(&bytes)?;
        pb::Request::decode(bytes)
            .map_err(|_| WireError::Malformed)?
            .try_into()
    }

    /// Its kind, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StoreBatch(_) => "store_batch",
            Self::GetSlices(_) => "get_slices",
            Self::GetChunks(_) => "get_chunks",
            Self::Ping(_) => "ping",
            Self::SignBatch(_) => "sign_batch",
            Self::DialMe => "dial_me",
            Self::KeepCertificate(_) => "keep_certificate",
            Self::ListBatches(_) => "list_batches",
            Self::GetCombined(_) => "get_combined",
            Self::GetLatest(_) => "get_latest",
        }
    }

    /// Length of the bulk part that belongs to it.
    ///
    /// # Errors
    /// The version is unknown (not after decoding).
    pub fn bulk_len(&self) -> Result<u64, WireError> {
        match self {
            Self::StoreBatch(m) => Ok(m.layout()?.len()),
            _ => Ok(0),
        }
    }
}

impl TryFrom<pb::Request> for Request {
    type Error = WireError;

    fn try_from(message: pb::Request) -> Result<Self, WireError> {
        Ok(match message.kind.ok_or(WireError::UnknownKind)? {
            pb::request::Kind::StoreBatch(m) => Self::StoreBatch(m.try_into()?),
            pb::request::Kind::GetSlices(m) => Self::GetSlices(GetSlices {
                blob_key: BlobKey(array("blob key", &m.blob_key)?),
                indices: runs_from(m.runs)?,
            }),
            pb::request::Kind::GetChunks(m) => Self::GetChunks(GetChunks {
                batch_digest: BatchDigest(array("batch digest", &m.batch_digest)?),
                indices: runs_from(m.runs)?,
            }),
            pb::request::Kind::Ping(m) => Self::Ping(Ping { nonce: m.nonce }),
            pb::request::Kind::SignBatch(m) => Self::SignBatch(SignBatch {
                batch_header: BatchHeader::abi_decode(&m.batch_header)?,
                disperser_signature: NetworkSignature(array(
                    "disperser signature",
                    &m.disperser_signature,
                )?),
            }),
            pb::request::Kind::DialMe(pb::DialMe {}) => Self::DialMe,
            pb::request::Kind::KeepCertificate(m) => Self::KeepCertificate(Box::new(m.try_into()?)),
            pb::request::Kind::ListBatches(m) => Self::ListBatches(m.try_into()?),
            pb::request::Kind::GetCombined(m) => Self::GetCombined(m.try_into()?),
            pb::request::Kind::GetLatest(m) => Self::GetLatest(GetLatest {
                domain: Domain(array("domain", &m.domain)?),
                disperser_id: m.disperser_id,
            }),
        })
    }
}

impl Response {
    /// The envelope's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self {
            Self::Stored(m) => pb::response::Kind::Stored(pb::Stored {
                signature: m.signature.0.to_vec().into(),
            }),
            Self::Slices(m) => pb::response::Kind::Slices(pb::Slices {
                blob_header: m.blob_header.abi_encode().into(),
                runs: runs_to(&m.runs),
                proofs: Some(range_proofs_to(&m.proofs)),
            }),
            Self::Chunks(m) => pb::response::Kind::Chunks(pb::Chunks {
                batch_header: m.batch_header.abi_encode().into(),
                blob_headers: blob_headers_to(&m.blob_headers),
                runs: runs_to(&m.runs),
                chunk_proofs: chunk_proofs_to(&m.chunk_proofs),
                slice_proofs: slice_proofs_to(&m.slice_proofs),
            }),
            Self::Pong(m) => pb::response::Kind::Pong(pb::Pong {
                nonce: m.nonce,
                software: cut_text(&m.software, limits::MAX_SHORT_TEXT),
                versions: m.versions.iter().map(|v| u32::from(*v)).collect(),
            }),
            Self::Dialed(m) => pb::response::Kind::Dialed(pb::Dialed {
                address: cut_text(&m.address, limits::MAX_SHORT_TEXT),
            }),
            Self::Kept => pb::response::Kind::Kept(pb::Kept {}),
            Self::BatchList(m) => pb::response::Kind::BatchList(m.into()),
            Self::Combined(m) => pb::response::Kind::Combined(m.into()),
            Self::Latest(m) => pb::response::Kind::Latest(latest_to(m.as_ref())),
            Self::Error(m) => pb::response::Kind::Error(m.into()),
        };
        pb::Response { kind: Some(kind) }.encode_to_vec()
    }

    /// Reads an envelope.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, WireError> {
        let bytes = bytes.into();
        at_most("envelope", bytes.len(), limits::MAX_ENVELOPE)?;
        scan::response(&bytes)?;
        pb::Response::decode(bytes)
            .map_err(|_| WireError::Malformed)?
            .try_into()
    }

    /// Its kind, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stored(_) => "stored",
            Self::Slices(_) => "slices",
            Self::Chunks(_) => "chunks",
            Self::Pong(_) => "pong",
            Self::Dialed(_) => "dialed",
            Self::Kept => "kept",
            Self::BatchList(_) => "batch_list",
            Self::Combined(_) => "combined",
            Self::Latest(_) => "latest",
            Self::Error(_) => "error",
        }
    }

    /// Length of the bulk part that belongs to it.
    ///
    /// # Errors
    /// The version is unknown (not after decoding).
    pub fn bulk_len(&self) -> Result<u64, WireError> {
        match self {
            Self::Slices(m) => Ok(m.layout()?.len()),
            Self::Chunks(m) => Ok(m.layout()?.len()),
            Self::Combined(m) => m.bulk_len(),
            _ => Ok(0),
        }
    }
}

impl TryFrom<pb::Response> for Response {
    type Error = WireError;

    fn try_from(message: pb::Response) -> Result<Self, WireError> {
        Ok(match message.kind.ok_or(WireError::UnknownKind)? {
            pb::response::Kind::Stored(m) => Self::Stored(Stored {
                signature: SignatureBytes(array("signature", &m.signature)?),
            }),
            pb::response::Kind::Slices(m) => {
                let blob_header = BlobHeader::abi_decode(&m.blob_header)?;
                let runs = runs_from(m.runs)?;
                check_indices(blob_header.version, &runs)?;
                // Protobuf leaves a message without entries out.
                let proofs = m.proofs.as_ref().map_or(&[][..], |proofs| &proofs.runs);
                let proofs = range_proofs_from(proofs, &runs)?;
                Self::Slices(Slices {
                    blob_header,
                    runs,
                    proofs,
                })
            }
            pb::response::Kind::Chunks(m) => {
                let batch_header = BatchHeader::abi_decode(&m.batch_header)?;
                let blob_headers = blob_headers_from(&m.blob_headers)?;
                let runs = runs_from(m.runs)?;
                check_batch(&batch_header, &blob_headers, &runs)?;
                let chunk_proofs = chunk_proofs_from(&m.chunk_proofs, &runs)?;
                let slice_proofs = slice_proofs_from(&m.slice_proofs, &runs)?;
                Self::Chunks(Chunks {
                    batch_header,
                    blob_headers,
                    runs,
                    chunk_proofs,
                    slice_proofs,
                })
            }
            pb::response::Kind::Pong(m) => Self::Pong(m.try_into()?),
            pb::response::Kind::Dialed(m) => Self::Dialed(Dialed {
                address: cut_text(&m.address, limits::MAX_SHORT_TEXT),
            }),
            pb::response::Kind::Kept(_) => Self::Kept,
            pb::response::Kind::BatchList(m) => Self::BatchList(m.try_into()?),
            pb::response::Kind::Combined(m) => Self::Combined(m.try_into()?),
            pb::response::Kind::Latest(m) => Self::Latest(latest_from(&m)?),
            pb::response::Kind::Error(m) => Self::Error(m.try_into()?),
        })
    }
}

impl From<&StoreBatch> for pb::StoreBatch {
    fn from(m: &StoreBatch) -> Self {
        Self {
            batch_header: m.batch_header.abi_encode().into(),
            disperser_signature: m.disperser_signature.0.to_vec().into(),
            blob_headers: blob_headers_to(&m.blob_headers),
            runs: runs_to(&m.runs),
            chunk_proofs: chunk_proofs_to(&m.chunk_proofs),
            slice_proofs: slice_proofs_to(&m.slice_proofs),
        }
    }
}

impl TryFrom<pb::StoreBatch> for StoreBatch {
    type Error = WireError;

    fn try_from(m: pb::StoreBatch) -> Result<Self, WireError> {
        let batch_header = BatchHeader::abi_decode(&m.batch_header)?;
        let disperser_signature =
            NetworkSignature(array("disperser signature", &m.disperser_signature)?);
        let blob_headers = blob_headers_from(&m.blob_headers)?;
        let runs = runs_from(m.runs)?;
        check_batch(&batch_header, &blob_headers, &runs)?;
        let chunk_proofs = chunk_proofs_from(&m.chunk_proofs, &runs)?;
        let slice_proofs = slice_proofs_from(&m.slice_proofs, &runs)?;
        Ok(Self {
            batch_header,
            disperser_signature,
            blob_headers,
            runs,
            chunk_proofs,
            slice_proofs,
        })
    }
}

impl TryFrom<pb::Pong> for Pong {
    type Error = WireError;

    fn try_from(m: pb::Pong) -> Result<Self, WireError> {
        let versions = m
            .versions
            .iter()
            .map(|v| {
                u16::try_from(*v).map_err(|_| WireError::Value {
                    field: "protocol version",
                    got: u64::from(*v),
                })
            })
            .collect::<Result<Vec<u16>, _>>()?;
        if versions
            .iter()
            .zip(versions.iter().skip(1))
            .any(|(a, b)| a >= b)
        {
            return Err(WireError::VersionOrder);
        }
        Ok(Self {
            nonce: m.nonce,
            software: cut_text(&m.software, limits::MAX_SHORT_TEXT),
            versions,
        })
    }
}

/// Text for a terminal or a log: control characters become `?`, and it ends after `max` bytes.
pub fn cut_text(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let c = if c.is_control() { '?' } else { c };
        if out.len() + c.len_utf8() > max {
            break;
        }
        out.push(c);
    }
    out
}

impl From<&ErrorReply> for pb::Error {
    fn from(m: &ErrorReply) -> Self {
        let blame = match m.blame {
            Blame::Caller => pb::Blame::Caller,
            Blame::Peer => pb::Blame::Peer,
            Blame::Us => pb::Blame::Us,
        };
        // Proto3 has no other "absent" for text than the empty one.
        let short = |text: &Option<String>| {
            text.as_ref()
                .map_or_else(String::new, |text| cut_text(text, limits::MAX_SHORT_TEXT))
        };
        Self {
            code: cut_text(&m.code, limits::MAX_CODE),
            blame: blame.into(),
            message: cut_text(&m.message, limits::MAX_MESSAGE),
            got: short(&m.got),
            expected: short(&m.expected),
        }
    }
}

impl TryFrom<pb::Error> for ErrorReply {
    type Error = WireError;

    fn try_from(m: pb::Error) -> Result<Self, WireError> {
        let blame = match m.blame() {
            pb::Blame::Caller => Blame::Caller,
            pb::Blame::Peer => Blame::Peer,
            pb::Blame::Us => Blame::Us,
            pb::Blame::Unspecified => {
                return Err(WireError::Value {
                    field: "blame",
                    got: u64::from(m.blame.unsigned_abs()),
                });
            }
        };
        let plain = |text: String| cut_text(&text, text.len());
        let short = |text: String| (!text.is_empty()).then(|| plain(text));
        Ok(Self {
            code: plain(m.code),
            blame,
            message: plain(m.message),
            got: short(m.got),
            expected: short(m.expected),
        })
    }
}
