//! What somebody who reads certificates insists on. Nothing is assumed: the person says it, the environment does, or the
//! devnet in this folder, whose file has it in words.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ashlar_client::{Policy, RequiredQuorums, Trust};
use ashlar_stake::StakeSource;
use clap::Args;

use crate::context::{TableOption, devnet_here};
use crate::error::{CliError, CliResult, Exit};
use crate::requirements::{Age, Quorums};

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

impl ReaderOption {
    /// Opens the operator tables, with the policy for certificates of their service.
    ///
    /// # Errors
    /// As [`TableOption::open`] and [`ReaderOption::policy`].
    pub fn open(&self) -> CliResult<(Arc<dyn StakeSource>, Policy)> {
        let source = self.table.open()?;
        let policy = self.policy(Trust::Source(Arc::clone(&source)))?;
        Ok((source, policy))
    }

    /// The policy for certificates of the service that this is about.
    ///
    /// # Errors
    /// Nobody says which quorums are required or how old a certificate may be.
    pub fn policy(&self, trust: Trust) -> CliResult<Policy> {
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
        let age = match age {
            Age::Most(most) => ashlar_client::Age::Within(most),
            Age::Unbounded => ashlar_client::Age::Unbounded,
        };
        Ok(Policy::new(trust, required_quorums, age))
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
