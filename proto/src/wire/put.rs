//! The protobuf body of `POST /v1/blobs`.

use ashlar_crypto::{
    kzg::CommitmentBytes,
    payload::{Encoding, rows_for},
};
use bytes::Bytes;
use prost::Message;

use super::{
    WireError,
    convert::{array, packed},
    pb,
};
use crate::{
    Account, HARD_MAX_BATCH_ROWS, HARD_MAX_PAYLOAD, HeaderError, header::check_quorums,
    params::version,
};

/// A payload on its way to a disperser, with or without the client's commitments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBlob {
    /// Protocol version.
    pub version: u16,
    /// How the payload lies in the rows.
    pub encoding: Encoding,
    /// Quorums, strictly rising.
    pub quorums: Vec<u8>,
    /// Who pays.
    pub account: Account,
    /// Makes equal payloads different blobs.
    pub salt: u64,
    /// The rows' commitments, claimed; empty if the disperser is to compute them.
    pub commitments: Vec<CommitmentBytes>,
    /// The payload, 1 byte to 128 MiB; the disperser's own limit is lower.
    pub payload: Bytes,
}

impl PutBlob {
    /// Most bytes that the message has beyond the payload and 48 a row.
    pub const MAX_OVERHEAD: usize = 256;

    /// Most bytes of a message with a payload of this length.
    pub fn max_len(payload_len: u64) -> u64 {
        // 31 payload bytes an element of 32 are the most rows a payload can fill.
        let rows = payload_len / (31 * 4096) + 2;
        payload_len
            .saturating_add(rows.saturating_mul(48))
            .saturating_add(Self::MAX_OVERHEAD as u64)
    }

    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        pb::PutBlob {
            version: u32::from(self.version),
            encoding: self.encoding as u32,
            quorums: self.quorums.clone().into(),
            account: self.account.0.to_vec().into(),
            salt: self.salt,
            commitments: self
                .commitments
                .iter()
                .flat_map(|c| c.0)
                .collect::<Vec<u8>>()
                .into(),
            payload: self.payload.clone(),
        }
        .encode_to_vec()
    }

    /// Reads a message. The payload shares the memory of `bytes`.
    ///
    /// # Errors
    /// The first thing that is wrong with it: unknown version or encoding, quorums out of order, an empty or too
    /// large payload, or commitments of another number than the payload has rows.
    pub fn decode(bytes: impl Into<Bytes>) -> Result<Self, WireError> {
        let m = pb::PutBlob::decode(bytes.into()).map_err(|_| WireError::Malformed)?;
        let version_id = u16::try_from(m.version).map_err(|_| WireError::Value {
            field: "version",
            got: u64::from(m.version),
        })?;
        version(version_id).map_err(HeaderError::from)?;
        let encoding = u8::try_from(m.encoding)
            .ok()
            .and_then(|e| Encoding::try_from(e).ok())
            .ok_or(WireError::Value {
                field: "encoding",
                got: u64::from(m.encoding),
            })?;
        check_quorums(&m.quorums)?;
        let payload_len = m.payload.len() as u64;
        if payload_len == 0 || payload_len > HARD_MAX_PAYLOAD {
            return Err(HeaderError::PayloadLength {
                got: payload_len,
                max: HARD_MAX_PAYLOAD,
            }
            .into());
        }
        let rows = rows_for(encoding, payload_len).map_err(HeaderError::from)?;
        if rows > HARD_MAX_BATCH_ROWS {
            return Err(HeaderError::BatchRows {
                got: rows,
                max: HARD_MAX_BATCH_ROWS,
            }
            .into());
        }
        // Before they are copied.
        let count = m.commitments.len() / 48;
        if count != 0 && count != rows as usize {
            return Err(WireError::Count {
                field: "commitments",
                got: count,
                expected: rows as usize,
            });
        }
        let commitments: Vec<[u8; 48]> = packed("commitments", &m.commitments)?;
        Ok(Self {
            version: version_id,
            encoding,
            quorums: m.quorums.to_vec(),
            account: Account(array("account", &m.account)?),
            salt: m.salt,
            commitments: commitments.into_iter().map(CommitmentBytes).collect(),
            payload: m.payload,
        })
    }
}
