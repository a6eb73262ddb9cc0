//! The crypto engine against its peers, in one run: `ashlar bench crypto` and `cargo bench -p ashlar-bench`.
//!
//! Every operation has candidates: ours, and those peers from crates.io that have the same operation. Inputs are made
//! from a seed. Before anything is timed, each candidate's output is compared with ours, byte for byte; a check has to
//! accept the right input and to refuse a wrong one. Then the candidates take turns, so that a machine that slows
//! down slows all of them down. What counts is the ratio in one run.
//!
//! | module | what it holds |
//! |---|---|
//! | [`op`] | the operations, with what each of them covers |
//! | [`workload`] | inputs and candidates |
//! | [`measure`] | comparing and timing |
//! | [`report`] | JSON lines, the table, the machine |
//! | [`command`] | options and the run as a command |

pub mod command;
pub mod measure;
pub mod op;
pub mod report;
pub mod workload;

mod batch;
mod inputs;
mod peers;

use ashlar_crypto::Coded;
use thiserror::Error;

/// Why a benchmark stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "bench", blame = Us)]
pub enum BenchError {
    /// A candidate failed where it must not.
    #[error("{implementation} failed: {reason}")]
    Failed {
        /// Which one.
        implementation: &'static str,
        /// What it said.
        reason: String,
    },
    /// A candidate's output differs from ours. Its time would mean nothing.
    #[error("{implementation} gives another result than ashlar for {op}")]
    Different {
        /// The operation.
        op: &'static str,
        /// Which one.
        implementation: &'static str,
    },
    /// Threads could not be started.
    #[error("could not start {threads} threads: {reason}")]
    Threads {
        /// How many.
        threads: usize,
        /// What the system said.
        reason: String,
    },
    /// The results could not be written.
    #[error("could not write the results: {0}")]
    Output(String),
}

impl BenchError {
    pub(crate) fn failed(implementation: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Failed {
            implementation,
            reason: reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
