//! Messages that come in chunks. No IO and no clock.
//!
//! Each call carries a checksum over what it says, which Nitro calls its signature: keccak256 of the chunk and of each number as eight bytes. It
//! needs no key, and proves nothing about the caller.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ashlar_crypto::account::keccak256;
use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// Uploads at a time.
const MAX_UPLOADS: usize = 10;
/// An upload of which nothing came for so long is forgotten.
const IDLE: Duration = Duration::from_secs(60);
/// A start that is older, or further in the future, is refused, in seconds.
const MAX_AGE: u64 = 300;
/// Most chunks of a message.
const MAX_CHUNKS: u64 = 65_536;
/// Starts that are remembered, so that none is taken twice. More than can be of five minutes at an honest pace.
const REMEMBERED: usize = 4096;

/// How a message will come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// Seconds since 1970.
    pub(super) timestamp: u64,
    pub(super) chunks: u64,
    pub(super) chunk_size: u64,
    pub(super) total_size: u64,
    pub(super) timeout: u64,
}

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum UploadError {
    #[error("the checksum is not that of the call")]
    Checksum,
    #[error("the start is of {got}, now is {now}: more than {MAX_AGE} s apart")]
    Old { got: u64, now: u64 },
    #[error("this start was seen before")]
    Replayed,
    #[error("the message has {got} bytes, at most {max}")]
    TooLarge { got: u64, max: u64 },
    #[error("{chunks} chunks of {size} bytes are no message of {total}")]
    Shape { chunks: u64, size: u64, total: u64 },
    #[error("{MAX_UPLOADS} uploads are under way already; try again later")]
    Full,
    #[error("there is no upload {id:#x}: it is done, or nothing came for {} s", IDLE.as_secs())]
    Unknown { id: u64 },
    #[error("chunk {got} has {len} bytes, expected {expected}")]
    Chunk { got: u64, len: u64, expected: u64 },
    #[error("chunk {got} came before with other bytes")]
    OtherChunk { got: u64 },
    #[error("{got} of {expected} chunks are here")]
    Incomplete { got: usize, expected: usize },
}

#[derive(Debug)]
struct Upload {
    start: Start,
    chunks: Vec<Option<Bytes>>,
    touched: Instant,
}

impl Upload {
    /// The length that a chunk has to have; none if there is no such chunk.
    fn expected(&self, chunk: u64) -> Option<u64> {
        let start = &self.start;
        let before = chunk.checked_mul(start.chunk_size)?;
        (chunk < start.chunks).then(|| {
            start
                .chunk_size
                .min(start.total_size.saturating_sub(before))
        })
    }
}

/// All that are under way.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    under_way: HashMap<u64, Upload>,
    /// Checksums of starts, the oldest first, with their time.
    seen: VecDeque<(u64, [u8; 32])>,
    last: u64,
}

/// The checksum of a call.
pub(super) fn checksum(data: &[u8], numbers: &[u64]) -> [u8; 32] {
    let mut all = data.to_vec();
    all.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    keccak256(&all)
}

fn check(sig: &[u8], data: &[u8], numbers: &[u64]) -> Result<[u8; 32], UploadError> {
    let expected = checksum(data, numbers);
    match sig == expected {
        true => Ok(expected),
        false => Err(UploadError::Checksum),
    }
}

impl Uploads {
    /// Begins one, and gives its number. `now` in seconds since 1970.
    pub(super) fn start(
        &mut self,
        start: Start,
        sig: &[u8],
        max: u64,
        now: u64,
        at: Instant,
    ) -> Result<u64, UploadError> {
        let Start {
            timestamp,
            chunks,
            chunk_size,
            total_size,
            timeout,
        } = start;
        let sum = check(
            sig,
            &[],
            &[timestamp, chunks, chunk_size, total_size, timeout],
        )?;
        if timestamp.abs_diff(now) > MAX_AGE {
            return Err(UploadError::Old {
                got: timestamp,
                now,
            });
        }
        if total_size > max {
            return Err(UploadError::TooLarge {
                got: total_size,
                max,
            });
        }
        let fits = (1..=MAX_CHUNKS).contains(&chunks)
            && chunk_size > 0
            && total_size.div_ceil(chunk_size) == chunks;
        if !fits {
            return Err(UploadError::Shape {
                chunks,
                size: chunk_size,
                total: total_size,
            });
        }
        self.seen.retain(|(time, _)| time.abs_diff(now) <= MAX_AGE);
        if self.seen.iter().any(|(_, seen)| *seen == sum) {
            return Err(UploadError::Replayed);
        }
        self.forget(at);
        if self.under_way.len() >= MAX_UPLOADS || self.seen.len() >= REMEMBERED {
            return Err(UploadError::Full);
        }
        self.seen.push_back((timestamp, sum));
        self.last = self.last.wrapping_add(1);
        let upload = Upload {
            start,
            chunks: (0..chunks).map(|_| None).collect(),
            touched: at,
        };
        self.under_way.insert(self.last, upload);
        Ok(self.last)
    }

    fn forget(&mut self, at: Instant) {
        self.under_way
            .retain(|_, upload| at.saturating_duration_since(upload.touched) <= IDLE);
    }

    fn find(&mut self, id: u64, at: Instant) -> Result<&mut Upload, UploadError> {
        self.forget(at);
        let upload = self
            .under_way
            .get_mut(&id)
            .ok_or(UploadError::Unknown { id })?;
        upload.touched = at;
        Ok(upload)
    }

    /// Takes a chunk. The same one again is fine.
    pub(super) fn chunk(
        &mut self,
        id: u64,
        chunk: u64,
        bytes: Bytes,
        sig: &[u8],
        at: Instant,
    ) -> Result<(), UploadError> {
        check(sig, &bytes, &[id, chunk])?;
        let upload = self.find(id, at)?;
        let (len, expected) = (bytes.len() as u64, upload.expected(chunk).unwrap_or(0));
        let place = usize::try_from(chunk)
            .ok()
            .and_then(|at| upload.chunks.get_mut(at));
        match place {
            Some(place) if len == expected => match place {
                Some(there) if *there != bytes => Err(UploadError::OtherChunk { got: chunk }),
                place => {
                    *place = Some(bytes);
                    Ok(())
                }
            },
            _ => Err(UploadError::Chunk {
                got: chunk,
                len,
                expected,
            }),
        }
    }

    /// The whole message.
    pub(super) fn whole(&mut self, id: u64, sig: &[u8], at: Instant) -> Result<Bytes, UploadError> {
        check(sig, &[], &[id])?;
        let upload = self.find(id, at)?;
        let (got, expected) = (upload.chunks.iter().flatten().count(), upload.chunks.len());
        if got < expected {
            return Err(UploadError::Incomplete { got, expected });
        }
        let mut all = BytesMut::new();
        for chunk in upload.chunks.iter().flatten() {
            all.extend_from_slice(chunk);
        }
        Ok(all.freeze())
    }

    /// Forgets one that is stored.
    pub(super) fn done(&mut self, id: u64) {
        self.under_way.remove(&id);
    }
}

#[cfg(test)]
mod tests;
