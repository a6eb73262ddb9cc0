//! What a rollup asks of a certificate, and whose word it takes for the operators. None of it has a default.

use std::sync::Arc;
use std::time::Duration;

use ashlar_proto::certificate::CertificateError;
use ashlar_proto::{
    Block, Certificate, CertificatePolicy, Domain, MaxAge, QuorumId, RequiredQuorums, TrustedRoot,
    TrustedTable, VerifiedCertificate, verify_certificate, verify_portable,
};
use ashlar_stake::{OperatorTable, StakeError, StakeSource, trusted_table};

use crate::ClientError;
use crate::runtime::{blocking, now_ms};

/// Whose word is taken for the operators.
#[derive(Clone)]
pub enum Trust {
    /// The operator table of the batch's reference block.
    Table(TrustedTable<Arc<OperatorTable>>),
    /// Whichever table this source has for the batch's reference block.
    Source(Arc<dyn StakeSource>),
    /// The root of that table; certificates are then asked for in their portable form.
    Root {
        /// The root.
        root: TrustedRoot,
        /// The service that it is of.
        domain: Domain,
    },
}

impl Trust {
    /// Where the operators' addresses are; a root has none.
    pub(crate) fn tables(&self) -> Option<Arc<dyn StakeSource>> {
        match self {
            Self::Table(table) => Some(Arc::new(OneTable(table.clone()))),
            Self::Source(source) => Some(Arc::clone(source)),
            Self::Root { .. } => None,
        }
    }

    /// The service whose certificates count.
    pub fn domain(&self) -> Domain {
        match self {
            Self::Table(table) => table.domain(),
            Self::Source(source) => source.domain(),
            Self::Root { domain, .. } => *domain,
        }
    }
}

/// One table that somebody vouches for.
struct OneTable(TrustedTable<Arc<OperatorTable>>);

impl StakeSource for OneTable {
    fn domain(&self) -> Domain {
        self.0.domain()
    }

    fn head(&self) -> Result<Block, StakeError> {
        Ok(self.0.reference_block())
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, StakeError> {
        let head = self.0.reference_block();
        if block == head {
            Ok(Arc::clone(&self.0))
        } else {
            Err(StakeError::UnknownBlock { block, head })
        }
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Table(table) => f
                .debug_tuple("Table")
                .field(&table.reference_block())
                .finish(),
            Self::Source(_) => f.write_str("Source"),
            Self::Root { root, .. } => f.debug_tuple("Root").field(root).finish(),
        }
    }
}

/// How old a certificate may be when it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// By this machine's clock, and never more than operators have to hold the data: `Duration::MAX` asks for no more than
    /// that. For whoever posts.
    Within(Duration),
    /// The reference block is at most so many blocks before the one at which the certificate was included. Everybody gets
    /// the same answer, at any time. For derivation.
    Blocks {
        /// Where the certificate was included, in blocks of the chain that reference blocks are blocks of.
        included_at: Block,
        /// Most blocks between.
        most: u64,
    },
    /// Any age. It says nothing about whether the data can still be had.
    Unbounded,
}

/// What is asked of a certificate. Whoever makes one says whose tables count, which quorums and how old.
#[derive(Clone, Debug)]
pub struct Policy {
    trust: Trust,
    required_quorums: RequiredQuorums,
    age: Age,
    accepted_versions: Option<Vec<u16>>,
    min_confirmation_percent: u32,
}

impl Policy {
    /// Asks for certificates of the service that `trust` is about.
    pub fn new(trust: Trust, required_quorums: RequiredQuorums, age: Age) -> Self {
        Self {
            trust,
            required_quorums,
            age,
            accepted_versions: None,
            min_confirmation_percent: 0,
        }
    }

    /// The same with another age, for instance [`Age::Blocks`] with the block of each certificate.
    #[must_use]
    pub fn with_age(mut self, age: Age) -> Self {
        self.age = age;
        self
    }

    /// The same for these protocol versions alone, else for all that there are.
    #[must_use]
    pub fn accept_versions(mut self, versions: Vec<u16>) -> Self {
        self.accepted_versions = Some(versions);
        self
    }

    /// The same with at least this share of each quorum's stake, if the protocol version asks for less.
    #[must_use]
    pub fn min_confirmation_percent(mut self, percent: u32) -> Self {
        self.min_confirmation_percent = percent;
        self
    }

    /// Whose word is taken.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Whether certificates are needed in their portable form.
    pub fn needs_portable(&self) -> bool {
        matches!(self.trust, Trust::Root { .. })
    }

    /// A quorum that is required, and that a blob with these would not have.
    pub(crate) fn missing_quorum(&self, asked: &[QuorumId]) -> Option<QuorumId> {
        match &self.required_quorums {
            RequiredQuorums::All(all) => all.iter().find(|q| !asked.contains(q)).copied(),
            RequiredQuorums::ChosenBySubmitter => None,
        }
    }

    /// Checks a certificate, which takes some pairings: on a thread that may block.
    ///
    /// # Errors
    ///
    /// [`ClientError::Certificate`] with the reason; [`ClientError::Table`] if the table cannot be had.
    pub fn check(&self, certificate: &Certificate) -> Result<VerifiedCertificate, ClientError> {
        let block = certificate.batch_header.reference_block;
        if let Age::Blocks { included_at, .. } = self.age
            && block > included_at
        {
            // Before a table of a block is asked for that nobody has seen.
            return Err(ClientError::Certificate(CertificateError::FromTheFuture {
                got: block.0,
                now: included_at.0,
                unit: "blocks",
            }));
        }
        let max_age = match self.age {
            Age::Within(most) => MaxAge::Time {
                now_ms: now_ms()?,
                most,
            },
            Age::Blocks { included_at, most } => MaxAge::Blocks { included_at, most },
            Age::Unbounded => MaxAge::Unbounded,
        };
        let policy = CertificatePolicy {
            domain: self.trust.domain(),
            required_quorums: self.required_quorums.clone(),
            max_age,
            accepted_versions: self.accepted_versions.clone(),
            min_confirmation_percent: self.min_confirmation_percent,
        };
        match &self.trust {
            Trust::Root { root, .. } => verify_portable(certificate, root, &policy),
            Trust::Table(table) => verify_certificate(certificate, table, &policy),
            Trust::Source(source) => {
                let table = trusted_table(source.as_ref(), block).map_err(ClientError::Table)?;
                verify_certificate(certificate, &table, &policy)
            }
        }
        .map_err(ClientError::Certificate)
    }
}

/// A certificate as a disperser, a chain or a file had it: well-formed, and not checked. Only [`verify`](Self::verify) makes a
/// checked one of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedCertificate(Certificate);

impl UnverifiedCertificate {
    /// Reads one, compact or portable.
    ///
    /// # Errors
    ///
    /// [`ClientError::CertificateMalformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ClientError> {
        Certificate::from_bytes(bytes)
            .map(Self)
            .map_err(ClientError::CertificateMalformed)
    }

    /// Checks it, off the async runtime.
    ///
    /// # Errors
    ///
    /// As [`Policy::check`].
    pub async fn verify(&self, policy: &Policy) -> Result<VerifiedCertificate, ClientError> {
        let (certificate, policy) = (self.0.clone(), policy.clone());
        blocking(move || policy.check(&certificate)).await?
    }

    /// What it says. Nothing of it is checked.
    pub fn unverified(&self) -> &Certificate {
        &self.0
    }

    /// The certificate, for tools that keep it and check it later.
    pub fn into_unverified(self) -> Certificate {
        self.0
    }
}

impl From<Certificate> for UnverifiedCertificate {
    fn from(certificate: Certificate) -> Self {
        Self(certificate)
    }
}
