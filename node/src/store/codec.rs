//! Keys and values as bytes. Pinned by golden tests: data lives for weeks, programs change in between.
//!
//! Every value is sealed: `format (1) | body | checksum (8)`, the checksum being the first bytes of
//! `SHA-256("ashlar/store" | key | format | body)`. The key is in it, so that a value at another's place is corrupt too.
//! Slice bytes are not sealed: the hash of each is in the sealed head of its blob's slices.

use std::collections::BTreeMap;

use ashlar_crypto::{
    CommitmentBytes, Hash, ProofBytes, bls::SignatureBytes, hash::sha256,
    identity::NetworkSignature, kzg::POINT_BYTES,
};
use ashlar_proto::wire::{BatchPlace, CertifiedBatch};
use ashlar_proto::{
    BatchDigest, BatchHeader, BlobHeader, BlobKey, Certificate, ChunkRanges, Domain, OperatorId,
    Sequence,
};
use prost::Message;

use super::{
    Allowance, BatchSummary, BlobRecord, BlobSlices, DatabaseId, Equivocation, IndexProgress,
    ListedPeer, SequenceId, SignedHeader, SignedRecord, StoreError, StoredBatch, WindowId,
};

/// Format of all values below.
pub(super) const FORMAT: u8 = 3;
const TAG: &[u8] = b"ashlar/store";
const CHECKSUM_LEN: usize = 8;
const HASH_LEN: usize = 32;
const SIGNATURE_LEN: usize = 48;

/// Keys in space `Meta`.
pub(super) const META_OWNER: &[u8] = b"owner";
pub(super) const META_FORMAT: &[u8] = b"format";
pub(super) const META_PROBE: &[u8] = b"probe";
pub(super) const META_DATABASE: &[u8] = b"database";
pub(super) const META_TIME: &[u8] = b"time";
pub(super) const META_SCRUB: &[u8] = b"scrub";
pub(super) const META_MOVED: &[u8] = b"moved";
/// How far the index of batches has been taken from peers; missing where none has to be.
pub(super) const META_INDEX: &[u8] = b"index";
/// There once were signed records that are pruned now.
pub(super) const META_PRUNED: &[u8] = b"pruned";
pub(super) const META_ALLOWANCE: &[u8] = b"allowance";
/// First bytes of the keys of floors; domain and disperser follow.
pub(super) const META_FLOOR: &[u8] = b"floor/";

/// First byte of a key in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// batch digest → [`StoredBatch`].
    Batch = b'b',
    /// batch digest → [`CertifiedBatch`].
    Certificate = b'c',
    /// batch digest → [`BatchSummary`].
    Directory = b'd',
    /// blob key → batch digest and place.
    Index = b'k',
    /// batch digest, place (u32) → the head of [`BlobSlices`]; with a number (u32) behind it → the bytes of some slices.
    Slices = b's',
}

pub(super) fn batch_key(digest: &BatchDigest) -> Vec<u8> {
    key(Kind::Batch, &digest.0, &[])
}

pub(super) fn directory_key(digest: &BatchDigest) -> Vec<u8> {
    key(Kind::Directory, &digest.0, &[])
}

pub(super) fn certificate_key(digest: &BatchDigest) -> Vec<u8> {
    key(Kind::Certificate, &digest.0, &[])
}

pub(super) fn index_key(blob: &BlobKey) -> Vec<u8> {
    key(Kind::Index, &blob.0, &[])
}

pub(super) fn slices_key(digest: &BatchDigest, index: u32) -> Vec<u8> {
    key(Kind::Slices, &digest.0, &index.to_be_bytes())
}

/// What the keys of all slices of a batch begin with.
pub(super) fn slices_prefix(digest: &BatchDigest) -> Vec<u8> {
    key(Kind::Slices, &digest.0, &[])
}

pub(super) fn slices_value_key(digest: &BatchDigest, index: u32, number: u32) -> Vec<u8> {
    let rest = [index.to_be_bytes(), number.to_be_bytes()];
    key(Kind::Slices, &digest.0, rest.as_flattened())
}

/// Key of a signed record and of an equivocation: domain, disperser, sequence, so that they lie in that order.
pub(super) fn signed_key(at: &SequenceId) -> Vec<u8> {
    let mut out = disperser_key(&at.domain, at.disperser_id);
    out.extend_from_slice(&at.sequence.0.to_be_bytes());
    out
}

/// What the [`signed_key`]s of one disperser begin with.
pub(super) fn disperser_key(domain: &Domain, disperser_id: u32) -> Vec<u8> {
    let mut out = domain.0.to_vec();
    out.extend_from_slice(&disperser_id.to_be_bytes());
    out
}

pub(super) fn floor_key(domain: &Domain, disperser_id: u32) -> Vec<u8> {
    [META_FLOOR, &disperser_key(domain, disperser_id)].concat()
}

/// Domain and disperser at the start of a key, and what follows.
fn split_disperser_key(key: &[u8]) -> Option<(Domain, u32, &[u8])> {
    let (domain, rest) = key.split_first_chunk::<HASH_LEN>()?;
    let (disperser_id, rest) = rest.split_first_chunk::<4>()?;
    Some((Domain(*domain), u32::from_be_bytes(*disperser_id), rest))
}

/// Whose number a [`signed_key`] is.
pub(super) fn sequence_of_key(key: &[u8]) -> Result<SequenceId, StoreError> {
    let parts = split_disperser_key(key).and_then(|(domain, disperser_id, rest)| {
        Some(SequenceId {
            domain,
            disperser_id,
            sequence: Sequence(u64::from_be_bytes(rest.try_into().ok()?)),
        })
    });
    parts.ok_or_else(|| StoreError::Corrupt {
        what: "the key of a signed record",
        detail: hex::encode(key),
    })
}

/// Domain and disperser of a [`floor_key`].
pub(super) fn disperser_of_floor_key(key: &[u8]) -> Result<(Domain, u32), StoreError> {
    match key.strip_prefix(META_FLOOR).and_then(split_disperser_key) {
        Some((domain, disperser_id, [])) => Ok((domain, disperser_id)),
        _ => Err(StoreError::Corrupt {
            what: "the key of a floor",
            detail: hex::encode(key),
        }),
    }
}

fn key(kind: Kind, id: &Hash, rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + id.len() + rest.len());
    out.push(kind as u8);
    out.extend_from_slice(id);
    out.extend_from_slice(rest);
    out
}

/// The digest in a key of the directory, or of a certificate.
pub(super) fn digest_of_key(of: Kind, key: &[u8]) -> Option<BatchDigest> {
    match key.split_first() {
        Some((&kind, digest)) if kind == of as u8 => BatchDigest::from_slice(digest),
        _ => None,
    }
}

fn checksum(key: &[u8], format: u8, body: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash = sha256(&[TAG, key, &[format], body]);
    let mut out = [0; CHECKSUM_LEN];
    out.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    out
}

pub(super) fn seal(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + body.len() + CHECKSUM_LEN);
    out.push(FORMAT);
    out.extend_from_slice(body);
    out.extend_from_slice(&checksum(key, FORMAT, body));
    out
}

pub(super) fn unseal<'a>(
    what: &'static str,
    key: &[u8],
    value: &'a [u8],
) -> Result<&'a [u8], StoreError> {
    let corrupt = |why: String| StoreError::Corrupt {
        what,
        detail: format!("key {}: {why}", hex::encode(key)),
    };
    let (&format, rest) = value
        .split_first()
        .ok_or_else(|| corrupt("it is empty".into()))?;
    if format != FORMAT {
        return Err(corrupt(format!("format {format}, expected {FORMAT}")));
    }
    let split = rest
        .len()
        .checked_sub(CHECKSUM_LEN)
        .ok_or_else(|| corrupt(format!("{} bytes", value.len())))?;
    let (body, sum) = rest.split_at(split);
    if checksum(key, format, body) != sum {
        return Err(corrupt("its bytes have another checksum".into()));
    }
    Ok(body)
}

#[derive(Clone, PartialEq, Message)]
struct BatchValue {
    #[prost(bytes = "vec", tag = "1")]
    header: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    blobs: Vec<Vec<u8>>,
    #[prost(uint32, repeated, tag = "3")]
    runs: Vec<u32>,
    #[prost(bytes = "vec", tag = "4")]
    commitments: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    chunk_proofs: Vec<u8>,
    #[prost(bytes = "vec", tag = "6")]
    disperser_signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct CertifiedValue {
    #[prost(bytes = "vec", tag = "1")]
    certificate: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    disperser_signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct IndexValue {
    #[prost(bool, tag = "1")]
    may_sign: bool,
    #[prost(bool, tag = "2")]
    done: bool,
    #[prost(message, repeated, tag = "3")]
    peers: Vec<ListedPeerValue>,
    #[prost(bool, tag = "4")]
    held: bool,
    #[prost(uint64, tag = "5")]
    since: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ListedPeerValue {
    #[prost(bytes = "vec", tag = "1")]
    operator: Vec<u8>,
    #[prost(uint64, tag = "2")]
    window: u64,
    /// Empty: the place is the beginning.
    #[prost(bytes = "vec", tag = "3")]
    digest: Vec<u8>,
    #[prost(bool, tag = "4")]
    done: bool,
}

#[derive(Clone, PartialEq, Message)]
struct EquivocationValue {
    #[prost(bytes = "vec", tag = "1")]
    first: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    first_signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    second: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    second_signature: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct SignedValue {
    #[prost(bytes = "vec", tag = "1")]
    header: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    disperser_signature: Vec<u8>,
    #[prost(uint64, tag = "3")]
    window: u64,
    #[prost(bytes = "vec", optional, tag = "4")]
    signature: Option<Vec<u8>>,
    #[prost(uint64, tag = "5")]
    owed_until: u64,
}

#[derive(Clone, PartialEq, Message)]
struct SlicesHead {
    #[prost(bytes = "vec", tag = "1")]
    header: Vec<u8>,
    #[prost(uint32, repeated, tag = "2")]
    runs: Vec<u32>,
    #[prost(bytes = "vec", tag = "3")]
    leaves: Vec<u8>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    proofs: Vec<Vec<u8>>,
}

fn flatten(runs: &ChunkRanges) -> Vec<u32> {
    runs.as_slice()
        .iter()
        .flat_map(|&(start, len)| [start, len])
        .collect()
}

/// Collects what is wrong with the value of one key.
struct Reader<'a> {
    what: &'static str,
    key: &'a [u8],
}

impl Reader<'_> {
    fn fail(&self, why: impl std::fmt::Display) -> StoreError {
        StoreError::Corrupt {
            what: self.what,
            detail: format!("key {}: {why}", hex::encode(self.key)),
        }
    }

    fn runs(&self, flat: &[u32]) -> Result<ChunkRanges, StoreError> {
        let pairs = flat.chunks_exact(2).filter_map(|pair| match pair {
            [start, len] => Some((*start, *len)),
            _ => None,
        });
        if !flat.len().is_multiple_of(2) {
            return Err(self.fail("half a run of indices"));
        }
        ChunkRanges::new(pairs.collect()).map_err(|e| self.fail(e))
    }

    fn array<const N: usize>(&self, bytes: &[u8]) -> Result<[u8; N], StoreError> {
        bytes
            .try_into()
            .map_err(|_| self.fail(format!("{} bytes, expected {N}", bytes.len())))
    }

    fn signed_header(&self, header: &[u8], signature: &[u8]) -> Result<SignedHeader, StoreError> {
        Ok(SignedHeader {
            header: BatchHeader::abi_decode(header).map_err(|e| self.fail(e))?,
            signature: NetworkSignature(self.array(signature)?),
        })
    }

    fn arrays<const N: usize>(&self, bytes: &[u8]) -> Result<Vec<[u8; N]>, StoreError> {
        let (arrays, rest) = bytes.as_chunks::<N>();
        if rest.is_empty() {
            Ok(arrays.to_vec())
        } else {
            Err(self.fail(format!("{} bytes too many", rest.len())))
        }
    }
}

pub(super) fn encode_batch(key: &[u8], batch: &StoredBatch) -> Vec<u8> {
    let value = BatchValue {
        header: batch.header.abi_encode(),
        blobs: batch.blobs.iter().map(BlobHeader::abi_encode).collect(),
        runs: flatten(&batch.runs),
        commitments: batch.commitments.iter().flat_map(|c| c.0).collect(),
        chunk_proofs: batch.chunk_proofs.iter().flat_map(|p| p.0).collect(),
        disperser_signature: batch.disperser_signature.0.to_vec(),
    };
    seal(key, &value.encode_to_vec())
}

pub(super) fn decode_batch(key: &[u8], value: &[u8]) -> Result<StoredBatch, StoreError> {
    let read = Reader {
        what: "a batch",
        key,
    };
    let value = BatchValue::decode(unseal(read.what, key, value)?).map_err(|e| read.fail(e))?;
    let commitments = read.arrays::<POINT_BYTES>(&value.commitments)?;
    let proofs = read.arrays::<POINT_BYTES>(&value.chunk_proofs)?;
    Ok(StoredBatch {
        header: BatchHeader::abi_decode(&value.header).map_err(|e| read.fail(e))?,
        disperser_signature: NetworkSignature(read.array(&value.disperser_signature)?),
        runs: read.runs(&value.runs)?,
        blobs: value
            .blobs
            .iter()
            .map(|b| BlobHeader::abi_decode(b).map_err(|e| read.fail(e)))
            .collect::<Result<_, _>>()?,
        commitments: commitments.into_iter().map(CommitmentBytes).collect(),
        chunk_proofs: proofs.into_iter().map(ProofBytes).collect(),
    })
}

pub(super) fn encode_certified(
    key: &[u8],
    certificate: &Certificate,
    disperser_signature: &NetworkSignature,
) -> Vec<u8> {
    let value = CertifiedValue {
        certificate: certificate.to_bytes(),
        disperser_signature: disperser_signature.0.to_vec(),
    };
    seal(key, &value.encode_to_vec())
}

pub(super) fn decode_certified(key: &[u8], value: &[u8]) -> Result<CertifiedBatch, StoreError> {
    let read = Reader {
        what: "a certificate",
        key,
    };
    let value = CertifiedValue::decode(unseal(read.what, key, value)?).map_err(|e| read.fail(e))?;
    Ok(CertifiedBatch {
        certificate: Certificate::from_bytes(&value.certificate).map_err(|e| read.fail(e))?,
        disperser_signature: NetworkSignature(read.array(&value.disperser_signature)?),
    })
}

pub(super) fn encode_index_progress(key: &[u8], progress: &IndexProgress) -> Vec<u8> {
    let peers = progress
        .peers
        .iter()
        .map(|(operator, peer)| ListedPeerValue {
            operator: operator.0.to_vec(),
            window: peer.after.map_or(0, |place| place.window),
            digest: peer
                .after
                .map_or(Vec::new(), |place| place.digest.0.to_vec()),
            done: peer.done,
        });
    let value = IndexValue {
        may_sign: progress.may_sign,
        done: progress.done,
        peers: peers.collect(),
        held: progress.held,
        since: progress.since,
    };
    seal(key, &value.encode_to_vec())
}

pub(super) fn decode_index_progress(key: &[u8], value: &[u8]) -> Result<IndexProgress, StoreError> {
    let read = Reader {
        what: "the progress of the index",
        key,
    };
    let value = IndexValue::decode(unseal(read.what, key, value)?).map_err(|e| read.fail(e))?;
    let peers = value.peers.iter().map(|peer| {
        let after = match peer.digest.as_slice() {
            [] => None,
            digest => Some(BatchPlace {
                window: peer.window,
                digest: BatchDigest(read.array(digest)?),
            }),
        };
        let operator = OperatorId(read.array(&peer.operator)?);
        let done = peer.done;
        Ok((operator, ListedPeer { after, done }))
    });
    Ok(IndexProgress {
        may_sign: value.may_sign,
        done: value.done,
        held: value.held,
        since: value.since,
        peers: peers.collect::<Result<_, StoreError>>()?,
    })
}

pub(super) fn encode_slices(key: &[u8], runs: &ChunkRanges, blob: &BlobRecord) -> Vec<u8> {
    let head = SlicesHead {
        header: blob.header.abi_encode(),
        runs: flatten(runs),
        leaves: blob.leaves.concat(),
        proofs: blob.proofs.iter().map(|p| p.concat()).collect(),
    };
    seal(key, &head.encode_to_vec())
}

/// The head, without the bytes of any slice.
pub(super) fn decode_slices(key: &[u8], value: &[u8]) -> Result<BlobSlices, StoreError> {
    let read = Reader {
        what: "the head of slices",
        key,
    };
    let head = SlicesHead::decode(unseal(read.what, key, value)?).map_err(|e| read.fail(e))?;
    let header = BlobHeader::abi_decode(&head.header).map_err(|e| read.fail(e))?;
    let runs = read.runs(&head.runs)?;
    let slice_bytes = header.slice_bytes().map_err(|e| read.fail(e))?;
    let leaves = read.arrays::<HASH_LEN>(&head.leaves)?;
    if leaves.len() != runs.count() || head.proofs.len() != runs.as_slice().len() {
        return Err(read.fail("leaves or proofs do not fit its runs"));
    }
    let proofs = head
        .proofs
        .iter()
        .map(|p| read.arrays::<HASH_LEN>(p))
        .collect::<Result<_, _>>()?;
    Ok(BlobSlices {
        header,
        runs,
        leaves,
        proofs,
        slice_bytes,
        values: BTreeMap::new(),
    })
}

pub(super) fn encode_index(key: &[u8], digest: &BatchDigest, index: u32) -> Vec<u8> {
    let mut body = digest.0.to_vec();
    body.extend_from_slice(&index.to_be_bytes());
    seal(key, &body)
}

pub(super) fn decode_index(key: &[u8], value: &[u8]) -> Result<(BatchDigest, u32), StoreError> {
    let read = Reader {
        what: "a blob's place",
        key,
    };
    let body = unseal(read.what, key, value)?;
    let (digest, index) = body
        .split_first_chunk::<HASH_LEN>()
        .ok_or_else(|| read.fail("too short"))?;
    let index = index.try_into().map_err(|_| read.fail("wrong length"))?;
    Ok((BatchDigest(*digest), u32::from_be_bytes(index)))
}

pub(super) fn encode_summary(key: &[u8], summary: BatchSummary) -> Vec<u8> {
    let mut body = summary.blobs.to_be_bytes().to_vec();
    body.extend_from_slice(&summary.bytes.to_be_bytes());
    seal(key, &body)
}

pub(super) fn decode_summary(key: &[u8], value: &[u8]) -> Result<BatchSummary, StoreError> {
    let read = Reader {
        what: "a batch's summary",
        key,
    };
    let body = unseal(read.what, key, value)?;
    let (blobs, bytes) = body
        .split_first_chunk::<4>()
        .ok_or_else(|| read.fail("too short"))?;
    let bytes = bytes.try_into().map_err(|_| read.fail("wrong length"))?;
    Ok(BatchSummary {
        blobs: u32::from_be_bytes(*blobs),
        bytes: u64::from_be_bytes(bytes),
    })
}

pub(super) fn encode_signed(key: &[u8], record: &SignedRecord) -> Vec<u8> {
    let value = SignedValue {
        header: record.offered.header.abi_encode(),
        disperser_signature: record.offered.signature.0.to_vec(),
        window: record.window.0,
        signature: record.signature.map(|signature| signature.0.to_vec()),
        owed_until: record.owed_until,
    };
    seal(key, &value.encode_to_vec())
}

pub(super) fn decode_signed(
    key: &[u8],
    value: &[u8],
    at: &SequenceId,
) -> Result<SignedRecord, StoreError> {
    let read = Reader {
        what: "a signed record",
        key,
    };
    let value = SignedValue::decode(unseal(read.what, key, value)?).map_err(|e| read.fail(e))?;
    let offered = read.signed_header(&value.header, &value.disperser_signature)?;
    let signature = value
        .signature
        .map(|bytes| read.array::<SIGNATURE_LEN>(&bytes));
    let record = SignedRecord {
        signature: signature.transpose()?.map(SignatureBytes),
        ..SignedRecord::new(offered, WindowId(value.window), value.owed_until)
    };
    if record.at != *at {
        return Err(read.fail(format!("it is of {}", record.at)));
    }
    Ok(record)
}

pub(super) fn encode_equivocation(key: &[u8], evidence: &Equivocation) -> Vec<u8> {
    let value = EquivocationValue {
        first: evidence.first.header.abi_encode(),
        first_signature: evidence.first.signature.0.to_vec(),
        second: evidence.second.header.abi_encode(),
        second_signature: evidence.second.signature.0.to_vec(),
    };
    seal(key, &value.encode_to_vec())
}

pub(super) fn decode_equivocation(key: &[u8], value: &[u8]) -> Result<Equivocation, StoreError> {
    let read = Reader {
        what: "an equivocation",
        key,
    };
    let value =
        EquivocationValue::decode(unseal(read.what, key, value)?).map_err(|e| read.fail(e))?;
    Ok(Equivocation {
        first: read.signed_header(&value.first, &value.first_signature)?,
        second: read.signed_header(&value.second, &value.second_signature)?,
    })
}

/// A number of milliseconds or a sequence number.
pub(super) fn encode_u64(key: &[u8], number: u64) -> Vec<u8> {
    seal(key, &number.to_be_bytes())
}

pub(super) fn decode_u64(what: &'static str, key: &[u8], value: &[u8]) -> Result<u64, StoreError> {
    let body = unseal(what, key, value)?;
    Reader { what, key }.array(body).map(u64::from_be_bytes)
}

pub(super) fn encode_allowance(key: &[u8], allowance: &Allowance) -> Vec<u8> {
    let used = allowance.used.iter();
    let used = used.flat_map(|&(disperser, until_ms)| [u64::from(disperser), until_ms]);
    let numbers = [allowance.left, allowance.held].into_iter().chain(used);
    let body: Vec<u8> = numbers.flat_map(u64::to_be_bytes).collect();
    seal(key, &body)
}

pub(super) fn decode_allowance(key: &[u8], value: &[u8]) -> Result<Allowance, StoreError> {
    let what = "the allowance";
    let read = Reader { what, key };
    let pairs: Vec<[u8; 16]> = read.arrays(unseal(what, key, value)?)?;
    let mut pairs = pairs.into_iter().map(|pair| {
        let pair = u128::from_be_bytes(pair);
        ((pair >> 64) as u64, pair as u64)
    });
    let (left, held) = pairs.next().ok_or_else(|| read.fail("empty"))?;
    let used = pairs.map(|(id, until_ms)| {
        let id = u32::try_from(id).map_err(|_| read.fail("no number of a disperser"))?;
        Ok((id, until_ms))
    });
    Ok(Allowance {
        left,
        held,
        used: used.collect::<Result<_, StoreError>>()?,
    })
}

pub(super) fn decode_database_id(key: &[u8], value: &[u8]) -> Result<DatabaseId, StoreError> {
    let what = "the id of the database";
    let body = unseal(what, key, value)?;
    Reader { what, key }.array(body).map(DatabaseId)
}
