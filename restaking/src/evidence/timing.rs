//! The timing rule: a fault that can be found has to be found while the stake is still there.

use ashlar_crypto::Coded;
use ashlar_proto::params::ProtocolVersion;
use thiserror::Error;

const DAY: u64 = 24 * 60 * 60;

/// How long things take, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// From a challenge to its deadline. Default 2 days.
    pub response_secs: u64,
    /// From the request of a slashing to its execution. Default 2 days.
    pub veto_secs: u64,
    /// A margin, for late blocks and slow people. Default 1 day.
    pub margin_secs: u64,
    /// How long withdrawn stake stays slashable. Default 14 days.
    pub withdrawal_secs: u64,
    /// How long deallocated stake stays slashable. Default 14 days.
    pub deallocation_secs: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            response_secs: 2 * DAY,
            veto_secs: 2 * DAY,
            margin_secs: DAY,
            withdrawal_secs: 14 * DAY,
            deallocation_secs: 14 * DAY,
        }
    }
}

/// Times with which a fault could go unpunished, or an honest operator could not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "timing", blame = Caller)]
pub enum TimingError {
    /// The stake may be gone before the slashing.
    #[error(
        "stake stays slashable for {slashable} s, but a challenge may end in a slashing after {needed} s (challenge + response + veto + margin)"
    )]
    StakeGone {
        /// The shorter of the two delays.
        slashable: u64,
        /// What it has to be at least.
        needed: u64,
    },
    /// The data may be deleted before the deadline of a challenge.
    #[error(
        "data is kept for {retention} s, but may be asked for until {needed} s (challenge + response)"
    )]
    DataGone {
        /// The version's retention.
        retention: u64,
        /// What it has to be at least.
        needed: u64,
    },
    /// No time to answer at all.
    #[error("the time to answer a challenge must not be zero")]
    NoResponse,
}

/// Checks `challenge + response + veto + margin ≤ min(withdrawal, deallocation)` and `challenge + response ≤ retention`.
///
/// # Errors
/// The rule that is broken, with its numbers.
pub fn check_timing(version: &ProtocolVersion, timing: &Timing) -> Result<(), TimingError> {
    if timing.response_secs == 0 {
        return Err(TimingError::NoResponse);
    }
    let asked = version.challenge_secs.saturating_add(timing.response_secs);
    if asked > version.retention_secs {
        return Err(TimingError::DataGone {
            retention: version.retention_secs,
            needed: asked,
        });
    }
    let needed = asked
        .saturating_add(timing.veto_secs)
        .saturating_add(timing.margin_secs);
    let slashable = timing.withdrawal_secs.min(timing.deallocation_secs);
    if needed > slashable {
        return Err(TimingError::StakeGone { slashable, needed });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
