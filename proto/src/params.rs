//! Protocol versions: data in one table, which the compiler checks, and the limits of sizes.

use ashlar_crypto::{Coded, code::Code};

/// One protocol version: the code, how many operators it serves, the thresholds and the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtocolVersion {
    /// Its number in headers, from 1.
    pub id: u16,
    /// Erasure code: blowup and number of chunks.
    pub code: Code,
    /// Most operators in one quorum (n). Rounding up gives each of them at most one chunk too much, hence a bound.
    pub max_operators: u32,
    /// Share of each quorum's stake, in percent, that has to sign.
    pub confirmation_percent: u32,
    /// Share of each quorum's stake, in percent, that may sign and then withhold without any blob being lost.
    pub safety_percent: u32,
    /// How long operators store and serve, in seconds.
    pub retention_secs: u64,
    /// The first part of the retention, in seconds, in which custody may be challenged.
    pub challenge_secs: u64,
}

const DAY: u64 = 24 * 60 * 60;

impl ProtocolVersion {
    /// Checks everything that makes a version safe to use.
    ///
    /// Reconstruction needs stake of at least `r = c / ((c - n) * blowup)`; the safety inequality `confirmation -
    /// safety >= r` says that the stake that signed, less the stake that may withhold, is enough to rebuild.
    ///
    /// # Errors
    /// The first rule that is broken, with its numbers.
    pub const fn check(&self) -> Result<(), ParamError> {
        let id = self.id;
        if id == 0 {
            return Err(ParamError::ZeroId);
        }
        let (chunks, blowup) = (self.code.chunks() as u64, self.code.blowup() as u64);
        let operators = self.max_operators as u64;
        if operators == 0 || operators >= chunks {
            return Err(ParamError::Operators {
                id,
                got: self.max_operators,
                chunks: self.code.chunks(),
            });
        }
        if self.confirmation_percent > 100 || self.safety_percent >= self.confirmation_percent {
            return Err(ParamError::Thresholds {
                id,
                confirmation: self.confirmation_percent,
                safety: self.safety_percent,
            });
        }
        let margin = (self.confirmation_percent - self.safety_percent) as u64;
        let (left, right) = (blowup * (chunks - operators) * margin, 100 * chunks);
        if left < right {
            return Err(ParamError::Unsafe { id, left, right });
        }
        if self.challenge_secs == 0 || self.challenge_secs >= self.retention_secs {
            return Err(ParamError::Times {
                id,
                challenge_secs: self.challenge_secs,
                retention_secs: self.retention_secs,
            });
        }
        Ok(())
    }

    /// Reconstruction threshold as a fraction of a quorum's stake: `c / ((c - n) * blowup)`, numerator and denominator.
    pub fn reconstruction(&self) -> (u64, u64) {
        let (chunks, blowup) = (u64::from(self.code.chunks()), u64::from(self.code.blowup()));
        (
            chunks,
            chunks.saturating_sub(u64::from(self.max_operators)) * blowup,
        )
    }
}

/// The version used where nothing else is said.
pub const DEFAULT_VERSION: u16 = 1;

/// All protocol versions, by rising number (`docs/protocol.md`, section 2). An unsafe one, or one out of order, does not compile.
pub static VERSIONS: [ProtocolVersion; 3] = TABLE;

const TABLE: [ProtocolVersion; 3] = [
    ProtocolVersion {
        id: 1,
        code: code(8, 512),
        max_operators: 128,
        confirmation_percent: 55,
        safety_percent: 33,
        retention_secs: 14 * DAY,
        challenge_secs: 9 * DAY,
    },
    ProtocolVersion {
        id: 2,
        code: code(8, 4096),
        max_operators: 1024,
        confirmation_percent: 55,
        safety_percent: 33,
        retention_secs: 14 * DAY,
        challenge_secs: 9 * DAY,
    },
    ProtocolVersion {
        id: 3,
        code: code(4, 2048),
        max_operators: 256,
        confirmation_percent: 67,
        safety_percent: 33,
        retention_secs: 14 * DAY,
        challenge_secs: 9 * DAY,
    },
];

#[allow(clippy::panic)] // of the compiler
const fn code(blowup: u32, chunks: u32) -> Code {
    match Code::new(blowup, chunks) {
        Ok(code) => code,
        Err(_) => panic!("a version names an erasure code that does not exist"),
    }
}

const _: () = {
    let mut at = 0;
    while at < TABLE.len() {
        assert!(TABLE[at].check().is_ok(), "a version is unsafe");
        assert!(
            at == 0 || TABLE[at - 1].id < TABLE[at].id,
            "versions rise, so that a number names one of them"
        );
        at += 1;
    }
};

/// The version with this number.
///
/// # Errors
/// No version has this number.
pub fn version(id: u16) -> Result<&'static ProtocolVersion, UnknownVersion> {
    VERSIONS
        .iter()
        .find(|v| v.id == id)
        .ok_or(UnknownVersion { got: id })
}

/// A version number that is not in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Coded)]
#[error(
    "protocol version {got} is unknown here; known are 1 (default), 2 (large networks) and 3 (lean)"
)]
#[coded("version.unknown", blame = Caller)]
pub struct UnknownVersion {
    /// The number asked for.
    pub got: u16,
}

/// A protocol version that must not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "params", blame = Us)]
pub enum ParamError {
    /// Number 0 is no version.
    #[error("version 0 is reserved")]
    ZeroId,
    /// There must be at least one operator and more chunks than operators.
    #[error("version {id}: {got} operators, expected 1 to {chunks} - 1")]
    Operators {
        /// Version.
        id: u16,
        /// Its operators.
        got: u32,
        /// Its chunks.
        chunks: u32,
    },
    /// Needs `0 <= safety < confirmation <= 100`.
    #[error(
        "version {id}: confirmation {confirmation} %, safety {safety} %, expected safety < confirmation <= 100"
    )]
    Thresholds {
        /// Version.
        id: u16,
        /// Its confirmation threshold.
        confirmation: u32,
        /// Its safety threshold.
        safety: u32,
    },
    /// The safety inequality: the stake that signed, less the stake that may withhold, would not suffice to rebuild a
    /// blob.
    #[error(
        "version {id} is unsafe: blowup * (c - n) * (confirmation - safety) = {left}, needs at least 100 * c = {right}"
    )]
    Unsafe {
        /// Version.
        id: u16,
        /// Left side.
        left: u64,
        /// Right side.
        right: u64,
    },
    /// Challenges have to end before the data may go.
    #[error(
        "version {id}: challenges for {challenge_secs} s, retention {retention_secs} s, expected 0 < challenges < retention"
    )]
    Times {
        /// Version.
        id: u16,
        /// Challenge period, seconds.
        challenge_secs: u64,
        /// Retention, seconds.
        retention_secs: u64,
    },
}

/// Most payload bytes that any configuration can allow: 128 MiB.
pub const HARD_MAX_PAYLOAD: u64 = 128 << 20;
/// Most rows of a batch that any configuration can allow: 4096, that is 512 MiB.
pub const HARD_MAX_BATCH_ROWS: u32 = 4096;
/// Most quorums of a blob.
pub const MAX_QUORUMS: usize = 16;
/// Most operators in a table.
pub const MAX_TABLE_OPERATORS: u32 = 4096;

/// Size limits that a process applies. The defaults are the network's; a configuration can move them
/// within the hard limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most payload bytes of a blob. Default 16 MiB.
    pub max_payload: u64,
    /// Most rows of a batch. Default 1024, that is 128 MiB of rows.
    pub max_batch_rows: u32,
    /// Most blobs of a batch. Default 1024.
    pub max_batch_blobs: u32,
}

impl Limits {
    /// The network's limits.
    pub const DEFAULT: Self = Self {
        max_payload: 16 << 20,
        max_batch_rows: 1024,
        max_batch_blobs: 1024,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests;
