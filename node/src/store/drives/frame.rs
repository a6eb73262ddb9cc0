//! A value as one drive holds it: whole, or one shard of it; with a checksum that also covers where it belongs.
//!
//! ```text
//! whole   0 | value                                       | checksum (8)
//! shard   1 | index (1) | length of the value (8) | bytes | checksum (8)
//! ```

use ashlar_crypto::hash::sha256;
use bytes::Bytes;
use reed_solomon_erasure::galois_8::ReedSolomon;

use super::super::codec::Kind;
use super::{BackendError, Space};

const TAG: &[u8] = b"ashlar/drive";
const CHECKSUM_LEN: usize = 8;
const WHOLE: u8 = 0;
const SHARD: u8 = 1;

/// What a drive holds under a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    /// All of the value.
    Whole(Bytes),
    /// One shard of it.
    Shard {
        index: usize,
        /// Bytes of the value.
        len: usize,
        bytes: Bytes,
    },
}

/// Whether the value of a key is striped. Slices are; all else is small, and whole on every drive.
pub(super) fn is_striped(space: Space, key: &[u8]) -> bool {
    matches!(space, Space::Window(_)) && key.first() == Some(&(Kind::Slices as u8))
}

fn checksum(space: Space, key: &[u8], frame: &[u8]) -> [u8; CHECKSUM_LEN] {
    let name = space.name();
    let hash = sha256(&[TAG, name.as_bytes(), &[0], key, frame]);
    let mut out = [0; CHECKSUM_LEN];
    out.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    out
}

pub(super) fn sealed(space: Space, key: &[u8], head: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(head.len() + bytes.len() + CHECKSUM_LEN);
    out.extend_from_slice(head);
    out.extend_from_slice(bytes);
    let sum = checksum(space, key, &out);
    out.extend_from_slice(&sum);
    out
}

/// The frame of a whole value.
pub(super) fn whole(space: Space, key: &[u8], value: &[u8]) -> Vec<u8> {
    sealed(space, key, &[WHOLE], value)
}

/// The frame of one shard of a value of `len` bytes.
pub(super) fn shard(space: Space, key: &[u8], index: usize, len: usize, bytes: &[u8]) -> Vec<u8> {
    // A set has at most `MAX_DRIVES`, so the index fits.
    let mut head = vec![SHARD, index as u8];
    head.extend_from_slice(&(len as u64).to_be_bytes());
    sealed(space, key, &head, bytes)
}

/// Reads a frame; `None` if it is damaged, or belongs elsewhere.
pub(super) fn parse(space: Space, key: &[u8], frame: &Bytes) -> Option<Frame> {
    let (body, sum) = frame.split_at_checked(frame.len().checked_sub(CHECKSUM_LEN)?)?;
    if checksum(space, key, body) != sum {
        return None;
    }
    match body.split_first()? {
        (&WHOLE, value) => Some(Frame::Whole(frame.slice_ref(value))),
        (&SHARD, rest) => {
            let (&index, rest) = rest.split_first()?;
            let (len, bytes) = rest.split_first_chunk::<8>()?;
            Some(Frame::Shard {
                index: usize::from(index),
                len: usize::try_from(u64::from_be_bytes(*len)).ok()?,
                bytes: frame.slice_ref(bytes),
            })
        }
        _ => None,
    }
}

/// Cuts values into shards and puts them together again.
#[derive(Debug)]
pub(super) struct Stripes {
    code: ReedSolomon,
}

impl Stripes {
    /// For `data` shards of a value and `parity` more, any of which may be missing.
    pub(super) fn new(data: usize, parity: usize) -> Result<Self, BackendError> {
        let code = ReedSolomon::new(data, parity).map_err(|error| BackendError::Drives {
            detail: format!("{data} drives of data and {parity} of parity: {error}"),
        })?;
        Ok(Self { code })
    }

    pub(super) fn drives(&self) -> usize {
        self.code.total_shard_count()
    }

    /// Shards that a value is made of.
    pub(super) fn data(&self) -> usize {
        self.code.data_shard_count()
    }

    pub(super) fn parity(&self) -> usize {
        self.code.parity_shard_count()
    }

    /// Which shard of a key's value a drive holds. It differs from key to key, so that reading, which asks for the first shards,
    /// uses all drives alike.
    pub(super) fn index(&self, key: &[u8], position: usize) -> usize {
        (position + self.drives() - self.turn(key)) % self.drives()
    }

    fn turn(&self, key: &[u8]) -> usize {
        let sum: usize = key.iter().map(|byte| usize::from(*byte)).sum();
        sum % self.drives()
    }

    fn shard_bytes(&self, len: usize) -> usize {
        len.div_ceil(self.data()).max(1)
    }

    /// All shards of a value, in order.
    pub(super) fn split(&self, value: &[u8]) -> Result<Vec<Vec<u8>>, BackendError> {
        let size = self.shard_bytes(value.len());
        let mut shards: Vec<Vec<u8>> = value
            .chunks(size)
            .map(|chunk| {
                let mut shard = chunk.to_vec();
                shard.resize(size, 0);
                shard
            })
            .collect();
        shards.resize(self.drives(), vec![0; size]);
        self.code.encode(&mut shards).map_err(impossible)?;
        Ok(shards)
    }

    /// The value of `len` bytes, from shards with their indices; `None` if there are too few that fit.
    pub(super) fn join(
        &self,
        len: usize,
        shards: &[(usize, Bytes)],
    ) -> Result<Option<Vec<u8>>, BackendError> {
        let size = self.shard_bytes(len);
        let mut places: Vec<Option<Vec<u8>>> = vec![None; self.drives()];
        for (index, bytes) in shards {
            if let Some(place) = places.get_mut(*index)
                && bytes.len() == size
            {
                *place = Some(bytes.to_vec());
            }
        }
        if places.iter().flatten().count() < self.data() {
            return Ok(None);
        }
        self.code
            .reconstruct_data(&mut places)
            .map_err(impossible)?;
        let mut value = places
            .into_iter()
            .take(self.data())
            .flatten()
            .collect::<Vec<_>>()
            .concat();
        value.truncate(len);
        Ok(Some(value))
    }
}

/// The shards have the number and sizes that the code asks for.
fn impossible(error: reed_solomon_erasure::Error) -> BackendError {
    BackendError::Io {
        detail: format!("the erasure code of the drives: {error}"),
    }
}
