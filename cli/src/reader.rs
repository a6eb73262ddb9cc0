//! What somebody who reads certificates insists on. Nothing is assumed: the person says it, the environment does, or the
//! devnet in this folder, whose file has it in words.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ashlar_proto::{CertificatePolicy, Domain, MaxAge, QuorumId, RequiredQuorums};
use ashlar_stake::StakeSource;
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::context::{TableOption, devnet_here};
use crate::error::{CliError, CliResult, Exit};

/// What a reader insists on.
#[derive(Clone, Debug, Default, Args)]
pub struct ReaderOption {
    /// The operator tables that certificates are checked with.
    #[command(flatten)]
    pub table: TableOption,
    /// Quorums that must have signed, such as 0,1; or `any` for those that the blob's submitter chose [default: as the
    /// devnet in .ashlar/devnet says, else there is none]
    #[arg(
        long,
        value_name = "LIST|any",
        env = "ASHLAR_REQUIRED_QUORUMS",
        hide_env_values = true
    )]
    pub required_quorums: Option<Quorums>,
    /// How old a certificate may be, such as 14d, 36h, 10m or 90s, and never more than operators have to hold the data; or
    /// `unbounded`, for archives [default: as the devnet in .ashlar/devnet says, else there is none]
    #[arg(
        long,
        value_name = "AGE|unbounded",
        env = "ASHLAR_MAX_AGE",
        hide_env_values = true
    )]
    pub max_age: Option<Age>,
}

/// What a devnet's file says for those who read in its folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReaderDefaults {
    /// As `--required-quorums`.
    pub required_quorums: Quorums,
    /// As `--max-age`.
    pub max_age: Age,
}

impl ReaderDefaults {
    /// For blobs posted with these quorums, as long as operators have to hold them.
    pub fn devnet() -> Self {
        Self {
            required_quorums: Quorums::These(vec![0]),
            max_age: Age::Most(Duration::from_secs(14 * DAY)),
        }
    }
}

/// Quorums, or leave to choose them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Quorums {
    /// All of these; at least one.
    These(Vec<QuorumId>),
    /// Those that the blob's submitter chose.
    Any,
}

impl std::str::FromStr for Quorums {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "any" {
            return Ok(Self::Any);
        }
        let quorums = text
            .split(',')
            .map(|quorum| quorum.trim().parse::<QuorumId>())
            .collect::<Result<Vec<_>, _>>();
        quorums
            .map(Self::These)
            .map_err(|_| format!("{text:?} is no list of quorums such as 0,1, and not `any`"))
    }
}

impl std::fmt::Display for Quorums {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::These(quorums) => {
                let quorums: Vec<String> = quorums.iter().map(QuorumId::to_string).collect();
                f.write_str(&quorums.join(","))
            }
            Self::Any => f.write_str("any"),
        }
    }
}

/// A longest age, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Age {
    /// At most so old, in whole seconds.
    Most(Duration),
    /// However old.
    Unbounded,
}

const DAY: u64 = 24 * 60 * 60;
/// Units, the largest first.
const UNITS: [(char, u64); 4] = [('d', DAY), ('h', 60 * 60), ('m', 60), ('s', 1)];

impl std::str::FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unbounded" {
            return Ok(Self::Unbounded);
        }
        let malformed =
            || format!("{text:?} is no age such as 14d, 36h, 10m or 90s, and not `unbounded`");
        let (_, seconds) = UNITS
            .into_iter()
            .find(|(unit, _)| text.ends_with(*unit))
            .ok_or_else(malformed)?;
        let number = text.get(..text.len() - 1).ok_or_else(malformed)?;
        let number: u64 = number.parse().map_err(|_| malformed())?;
        let seconds = number.checked_mul(seconds).ok_or_else(malformed)?;
        Ok(Self::Most(Duration::from_secs(seconds)))
    }
}

impl std::fmt::Display for Age {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::Most(age) = self else {
            return f.write_str("unbounded");
        };
        let seconds = age.as_secs();
        for (unit, length) in UNITS {
            if seconds.is_multiple_of(length) {
                return write!(f, "{}{unit}", seconds / length);
            }
        }
        write!(f, "{seconds}s")
    }
}

macro_rules! text_in_files {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}

text_in_files!(Quorums);
text_in_files!(Age);

impl ReaderOption {
    /// Opens the operator tables, with the policy for certificates of their service.
    ///
    /// # Errors
    /// As [`TableOption::open`] and [`ReaderOption::policy`].
    pub fn open(&self) -> CliResult<(Arc<dyn StakeSource>, CertificatePolicy)> {
        let source = self.table.open()?;
        let policy = self.policy(source.domain())?;
        Ok((source, policy))
    }

    /// The policy for certificates of this service, asked now.
    ///
    /// # Errors
    /// Nobody says which quorums are required or how old a certificate may be.
    pub fn policy(&self, domain: Domain) -> CliResult<CertificatePolicy> {
        let defaults = match (&self.required_quorums, self.max_age) {
            (Some(_), Some(_)) => None,
            _ => devnet_here()?.map(|devnet| devnet.reader),
        };
        let unsaid = |what: &str, option: &str, variable: &str, example: &str| {
            CliError::usage(format!("nothing says {what}"))
                .because(
                    "a certificate is good for what its reader asks of it, so nothing is assumed",
                )
                .next(format!(
                    "{option} {example}, or {variable} in the environment"
                ))
        };
        let quorums = self
            .required_quorums
            .clone()
            .or_else(|| defaults.as_ref().map(|d| d.required_quorums.clone()))
            .ok_or_else(|| {
                unsaid(
                    "which quorums must have signed",
                    "--required-quorums",
                    "ASHLAR_REQUIRED_QUORUMS",
                    "0",
                )
            })?;
        let age = self
            .max_age
            .or_else(|| defaults.as_ref().map(|d| d.max_age))
            .ok_or_else(|| {
                unsaid(
                    "how old a certificate may be",
                    "--max-age",
                    "ASHLAR_MAX_AGE",
                    "14d",
                )
            })?;
        let required_quorums = match quorums {
            Quorums::These(quorums) => RequiredQuorums::All(quorums),
            Quorums::Any => RequiredQuorums::ChosenBySubmitter,
        };
        let max_age = match age {
            Age::Most(most) => MaxAge::Time {
                now_ms: now_ms()?,
                most,
            },
            Age::Unbounded => MaxAge::Unbounded,
        };
        Ok(CertificatePolicy::new(domain, required_quorums, max_age))
    }
}

/// Milliseconds since 1970 by this machine's clock.
///
/// # Errors
/// The clock is before 1970.
pub fn now_ms() -> CliResult<u64> {
    let wrong = |reason: String| {
        CliError::new(
            Exit::Failure,
            "cli.clock",
            "this machine's clock cannot be used",
        )
        .because(reason)
    };
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| wrong(error.to_string()))?;
    u64::try_from(since.as_millis()).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests;
