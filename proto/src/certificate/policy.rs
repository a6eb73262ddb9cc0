//! What a reader asks of a certificate, and whose word it takes for the operator table.
//!
//! None of it has a default. A reader that did not say how old a certificate may be would accept one whose data is gone;
//! one that required no quorum would accept a quorum of its adversary's own token; and one that took the table from where
//! the certificate came from would accept anything.

use std::{ops::Deref, time::Duration};

use super::CertificateError as Error;
use crate::{BatchHeader, Block, Domain, ProtocolVersion, QuorumId, TableAccess, TableRoot};

/// A batch that claims to be closed so much later than the reader's clock is refused: 10 minutes, in milliseconds.
pub const MAX_AHEAD_MS: u64 = 10 * 60 * 1000;

/// What a reader asks of a certificate beyond the protocol's own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePolicy {
    /// The service whose certificates count.
    pub domain: Domain,
    /// Quorums that have to have signed.
    pub required_quorums: RequiredQuorums,
    /// How old the certificate may be.
    pub max_age: MaxAge,
    /// Protocol versions accepted; `None` for every version in the table.
    pub accepted_versions: Option<Vec<u16>>,
    /// Least share of each quorum's stake in percent, if above the version's own threshold; 0 adds nothing to it.
    pub min_confirmation_percent: u32,
}

impl CertificatePolicy {
    /// A policy that accepts every protocol version and asks for no more stake than the version does.
    pub fn new(domain: Domain, required_quorums: RequiredQuorums, max_age: MaxAge) -> Self {
        Self {
            domain,
            required_quorums,
            max_age,
            accepted_versions: None,
            min_confirmation_percent: 0,
        }
    }
}

/// The quorums that a reader relies on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequiredQuorums {
    /// All of these, whatever else the blob names. An empty list is refused: use the other variant to require none.
    All(Vec<QuorumId>),
    /// Those that the blob names, which its submitter chose. It is for checking what operators signed, and for tools
    /// that show a certificate. A reader of data has to say which stake it relies on.
    ChosenBySubmitter,
}

impl RequiredQuorums {
    /// All of these.
    pub fn all(quorums: impl Into<Vec<QuorumId>>) -> Self {
        Self::All(quorums.into())
    }

    pub(super) fn check(&self, blob: &[QuorumId]) -> Result<(), Error> {
        let required = match self {
            Self::All(required) if required.is_empty() => return Err(Error::NoQuorumRequired),
            Self::All(required) => required,
            Self::ChosenBySubmitter => return Ok(()),
        };
        match required.iter().find(|quorum| !blob.contains(quorum)) {
            Some(&quorum) => Err(Error::QuorumMissing {
                quorum,
                got: blob.to_vec(),
            }),
            None => Ok(()),
        }
    }
}

/// How old a certificate may be, and when that is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxAge {
    /// For readers with a clock: the batch was closed at most so long ago. Never more than the version's retention,
    /// after which operators owe nothing: `Duration::MAX` asks for no more than that.
    Time {
        /// Now, in milliseconds since 1970.
        now_ms: u64,
        /// Longest time since the batch was closed.
        most: Duration,
    },
    /// For readers who follow a chain: the reference block is at most so many blocks before the one at which the
    /// certificate was included. The same for everybody, whenever it is asked.
    Blocks {
        /// Where the certificate was included, in blocks of the chain that reference blocks are blocks of.
        included_at: Block,
        /// Most blocks between.
        most: u64,
    },
    /// Any age, for archives and for proofs about the past. It says nothing about whether the data can still be had.
    Unbounded,
}

impl MaxAge {
    /// The same rule, asked at another time. Only [`MaxAge::Time`] depends on it.
    #[must_use]
    pub fn at(self, now_ms: u64) -> Self {
        match self {
            Self::Time { most, .. } => Self::Time { now_ms, most },
            other => other,
        }
    }

    pub(super) fn check(
        &self,
        batch: &BatchHeader,
        version: &ProtocolVersion,
    ) -> Result<(), Error> {
        let (unit, made, asked, ahead, most) = match *self {
            Self::Time { now_ms, most } => {
                let most = most.min(Duration::from_secs(version.retention_secs));
                // The retention is a few days: it fits.
                let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
                ("ms", batch.created_at_ms, now_ms, MAX_AHEAD_MS, most)
            }
            Self::Blocks { included_at, most } => {
                ("blocks", batch.reference_block.0, included_at.0, 0, most)
            }
            Self::Unbounded => return Ok(()),
        };
        if made > asked.saturating_add(ahead) {
            return Err(Error::FromTheFuture {
                got: made,
                now: asked,
                unit,
            });
        }
        let got = asked.saturating_sub(made);
        if got > most {
            return Err(Error::Expired {
                got,
                expected: most,
                unit,
            });
        }
        Ok(())
    }
}

/// An operator table for which somebody vouches: a certificate is only as good as the table that it is checked with, so
/// the check takes no other.
#[derive(Debug, Clone)]
pub struct TrustedTable<T>(T);

impl<T: TableAccess> TrustedTable<T> {
    /// The caller vouches that this is the table of the service at its block: it comes from a source that the caller
    /// trusts, such as a file of its own or signed heads, and not from where the certificate came from.
    pub fn trust_on_my_own_word(table: T) -> Self {
        Self(table)
    }

    /// Its root, for those who keep only that.
    pub fn trusted_root(&self) -> TrustedRoot {
        TrustedRoot(self.0.root())
    }

    /// The table.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> Deref for TrustedTable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// The root of an operator table for which somebody vouches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedRoot(TableRoot);

impl TrustedRoot {
    /// The caller vouches that this is the root of the service's table at the certificate's reference block.
    pub fn trust_on_my_own_word(root: TableRoot) -> Self {
        Self(root)
    }

    /// The root.
    pub fn root(&self) -> TableRoot {
        self.0
    }
}
