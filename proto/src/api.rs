//! JSON of the disperser's HTTP interface, shared by the disperser, the client and the command line.
//!
//! Ids are lower-case hexadecimal with `0x`, stakes decimal text, times milliseconds since 1970.

use ashlar_crypto::{Blame, Coded, payload::Encoding};
use serde::{Deserialize, Serialize};

use crate::{
    BatchDigest, BlobId, BlobKey, Block, QuorumId, Sequence, Stake, certificate::QuorumSigned,
    wire::ErrorReply,
};

mod accounts;

pub use accounts::{
    AccountMode, AccountView, CHARGED_HEADER, DayUse, Prices, REFUNDED_HEADER, ReservationView,
    RetentionDays, TermsView, price,
};

/// Media type of [`Problem`].
pub const PROBLEM_TYPE: &str = "application/problem+json";
/// Media type of a [`PutBlob`](crate::wire::PutBlob) body.
pub const PUT_BLOB_TYPE: &str = "application/x-protobuf";

/// Where a blob is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum BlobState {
    /// Accepted and on disk.
    Queued,
    /// Rows are being committed and extended.
    Encoding,
    /// Its header and key are known.
    Encoded,
    /// In a closed batch.
    Batched,
    /// Being sent to operators.
    Dispersing,
    /// Enough stake has signed. Final.
    Certified,
    /// Given up, with an error. Final.
    Failed,
}

impl BlobState {
    /// Every state, in order.
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Encoding,
        Self::Encoded,
        Self::Batched,
        Self::Dispersing,
        Self::Certified,
        Self::Failed,
    ];

    /// No other state follows.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Certified | Self::Failed)
    }

    /// As in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Encoding => "encoding",
            Self::Encoded => "encoded",
            Self::Batched => "batched",
            Self::Dispersing => "dispersing",
            Self::Certified => "certified",
            Self::Failed => "failed",
        }
    }
}

impl std::fmt::Display for BlobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Answer to `POST /v1/blobs` and `GET /v1/blobs/{key}/status`, and the data of each server-sent event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BlobStatus {
    /// Known from the first answer on.
    pub id: BlobId,
    /// Known once the blob is encoded.
    pub key: Option<BlobKey>,
    /// Where it is.
    pub state: BlobState,
    /// Protocol version.
    pub version: u16,
    /// Payload encoding.
    pub encoding: Encoding,
    /// Quorums asked for.
    pub quorums: Vec<QuorumId>,
    /// Payload length in bytes.
    pub payload_len: u64,
    /// Rows of 4096 field elements.
    pub rows: u32,
    /// When it was accepted, milliseconds since 1970.
    pub submitted_at_ms: u64,
    /// When each later state was reached.
    #[serde(default)]
    pub stages: StageTimes,
    /// Its batch, once it is in one.
    pub batch: Option<BatchStatus>,
    /// Why it failed.
    pub error: Option<StatusError>,
}

/// When a blob reached its states, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default)]
pub struct StageTimes {
    /// Work on it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_ms: Option<u64>,
    /// Its header was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoded_ms: Option<u64>,
    /// Its batch was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batched_ms: Option<u64>,
    /// Its batch's proofs were ready and sending began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispersing_ms: Option<u64>,
    /// Enough stake had signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certified_ms: Option<u64>,
    /// It was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_ms: Option<u64>,
}

impl StageTimes {
    /// Notes that a state was reached; the first time counts.
    pub fn reached(&mut self, state: BlobState, now_ms: u64) {
        let slot = match state {
            BlobState::Queued => return,
            BlobState::Encoding => &mut self.encoding_ms,
            BlobState::Encoded => &mut self.encoded_ms,
            BlobState::Batched => &mut self.batched_ms,
            BlobState::Dispersing => &mut self.dispersing_ms,
            BlobState::Certified => &mut self.certified_ms,
            BlobState::Failed => &mut self.failed_ms,
        };
        slot.get_or_insert(now_ms);
    }
}

/// The batch that a blob is in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BatchStatus {
    /// What operators sign.
    pub digest: BatchDigest,
    /// The disperser's running number.
    pub sequence: Sequence,
    /// Block of its operator table.
    pub reference_block: Block,
    /// The blob's place in it.
    pub blob_index: u32,
    /// Number of blobs in it.
    pub blobs: u32,
    /// Number of rows in it.
    pub rows: u32,
    /// Operators that signed so far.
    pub signers: u32,
    /// Operators in the table.
    pub operators: u32,
    /// Stake that signed so far.
    pub signed: Vec<SignedQuorum>,
}

/// Stake of a quorum that signed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedQuorum {
    /// The quorum.
    pub quorum: QuorumId,
    /// Stake that signed, in decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub signed: Stake,
    /// Stake in all, in decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub total: Stake,
    /// The share in percent, rounded down to two digits.
    pub percent: f64,
}

impl From<QuorumSigned> for SignedQuorum {
    fn from(q: QuorumSigned) -> Self {
        Self {
            quorum: q.quorum,
            signed: q.signed,
            total: q.total,
            percent: q.percent(),
        }
    }
}

/// Stake of an operator in a quorum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StakeShare {
    /// The quorum.
    pub quorum: QuorumId,
    /// The operator's stake, in decimal.
    #[serde(with = "decimal")]
    #[cfg_attr(feature = "openapi", schema(value_type = Decimal))]
    pub stake: Stake,
    /// Its share of all stake of the quorum in percent, rounded down to two digits.
    pub percent: f64,
}

/// Why a blob failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusError {
    /// Stable and dotted.
    pub code: String,
    /// For people.
    pub message: String,
}

/// An error of the HTTP interface: a problem document of RFC 9457, with four members of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[error("{title} [{code}]: {detail}")]
pub struct Problem {
    /// `urn:ashlar:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every problem of this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// The path asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Stable and dotted; what programs match.
    pub code: String,
    /// Who has to act: `caller`, `peer` or `us` (the server).
    pub blame: Blame,
    /// What came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<String>,
    /// What would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

impl Problem {
    /// Prefix of every problem's type.
    pub const TYPE_PREFIX: &'static str = "urn:ashlar:problem:";

    /// A problem; the title is made from the code ("payload.too_large": "payload too large").
    pub fn new(status: u16, code: &str, blame: Blame, detail: impl std::fmt::Display) -> Self {
        Self {
            kind: format!("{}{code}", Self::TYPE_PREFIX),
            title: code.replace(['.', '_'], " "),
            status,
            detail: detail.to_string(),
            instance: None,
            code: code.to_owned(),
            blame,
            got: None,
            expected: None,
        }
    }

    /// From an error type.
    pub fn from_coded(status: u16, error: &(impl Coded + std::fmt::Display)) -> Self {
        Self::new(status, error.code(), error.blame(), error)
    }

    /// Adds the numbers.
    #[must_use]
    pub fn with(mut self, got: impl std::fmt::Display, expected: impl std::fmt::Display) -> Self {
        self.got = Some(got.to_string());
        self.expected = Some(expected.to_string());
        self
    }

    /// Adds the path asked for.
    #[must_use]
    pub fn at(mut self, instance: impl Into<String>) -> Self {
        self.instance = Some(instance.into());
        self
    }
}

impl From<Problem> for ErrorReply {
    fn from(p: Problem) -> Self {
        Self {
            code: p.code,
            blame: p.blame,
            message: p.detail,
            got: p.got,
            expected: p.expected,
        }
    }
}

/// In OpenAPI documents: an integer of 256 bits as decimal text.
#[cfg(feature = "openapi")]
pub struct Decimal;
#[cfg(feature = "openapi")]
ashlar_crypto::text_schema!(
    Decimal,
    ashlar_crypto::openapi::decimal(&crate::Stake::MAX.to_string())
);

/// In OpenAPI documents: 32 bytes.
#[cfg(feature = "openapi")]
pub struct Bytes32;
#[cfg(feature = "openapi")]
ashlar_crypto::text_schema!(Bytes32, "0x[0-9a-f]{64}");

/// In OpenAPI documents: any number of bytes.
#[cfg(feature = "openapi")]
pub struct HexBytes;
#[cfg(feature = "openapi")]
ashlar_crypto::text_schema!(HexBytes, "0x([0-9a-f]{2})*");

/// Stake as decimal text, so that no JSON reader rounds it. For `#[serde(with = "ashlar_proto::api::decimal")]`.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::Stake;

    /// Writes decimal text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(stake: &Stake, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(stake)
    }

    /// Reads decimal text: digits only.
    ///
    /// # Errors
    /// Anything else, and numbers of more than 256 bits.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Stake, D::Error> {
        parse(&String::deserialize(from)?)
            .ok_or_else(|| de::Error::custom("stake is not a decimal number below 2^256"))
    }

    /// Decimal digits to a stake; `None` for anything else.
    pub fn parse(text: &str) -> Option<Stake> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Stake::from_str_radix(text, 10).ok()
    }
}

#[cfg(test)]
mod tests;
