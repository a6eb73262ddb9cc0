//! Who was asked for what, and who did not help.

use std::time::Duration;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::{OperatorId, OperatorIndex};
use serde::{Deserialize, Serialize};

/// A party that was asked and did not help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The operator; none for a relay.
    pub operator: Option<OperatorId>,
    /// Its index in the operator table; none for a relay.
    pub index: Option<OperatorIndex>,
    /// Where it was asked: `host:port` of an operator, URL of a relay.
    pub address: String,
    /// Stable code of the reason.
    pub code: String,
    /// Who has to act, seen from here.
    pub blame: Blame,
    /// The reason in words.
    pub reason: String,
}

impl Skipped {
    /// A relay that did not help.
    pub fn relay(address: &str, error: &(impl Coded + std::fmt::Display)) -> Self {
        Self {
            operator: None,
            index: None,
            address: address.to_owned(),
            code: error.code().to_owned(),
            blame: error.blame(),
            reason: error.to_string(),
        }
    }
}

/// What one operator was asked for and delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorReport {
    /// The operator.
    pub operator: OperatorId,
    /// Its index in the operator table.
    pub index: OperatorIndex,
    /// Its address.
    pub address: String,
    /// Whether it signed the batch.
    pub signer: bool,
    /// Requests sent to it.
    pub requests: u32,
    /// Chunk indices requested from it.
    pub requested: u32,
    /// Chunk indices delivered and found good.
    pub good: u32,
    /// Bulk bytes received from it.
    pub bytes: u64,
    /// Time from the first request to the last answer, milliseconds.
    pub ms: u64,
}

/// Whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
