//! Certificates before and while they are checked.

use ashlar_proto::{
    Certificate, CertificatePolicy, VerifiedCertificate, verify_certificate, verify_portable,
};
use ashlar_stake::trusted_table;

use crate::runtime::{blocking, now_ms};
use crate::{ClientError, Trust};

/// A certificate as a disperser sent it: well-formed, and not checked. Only [`verify`](Self::verify) makes a checked
/// one of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedCertificate(Certificate);

impl UnverifiedCertificate {
    pub(crate) fn new(certificate: Certificate) -> Self {
        Self(certificate)
    }

    /// Checks it, off the async runtime. A policy with [`MaxAge::Time`](ashlar_proto::MaxAge::Time) is asked now.
    ///
    /// # Errors
    ///
    /// [`ClientError::Certificate`] with the reason; [`ClientError::Table`] if the table cannot be had.
    pub async fn verify(
        &self,
        trust: &Trust,
        policy: &CertificatePolicy,
    ) -> Result<VerifiedCertificate, ClientError> {
        let certificate = self.0.clone();
        let trust = trust.clone();
        let policy = CertificatePolicy {
            max_age: policy.max_age.at(now_ms()?),
            ..policy.clone()
        };
        blocking(move || {
            match trust {
                Trust::Root(root) => verify_portable(&certificate, &root, &policy),
                Trust::Table(table) => verify_certificate(&certificate, &table, &policy),
                Trust::Source(source) => {
                    let block = certificate.batch_header.reference_block;
                    let table =
                        trusted_table(source.as_ref(), block).map_err(ClientError::Table)?;
                    verify_certificate(&certificate, &table, &policy)
                }
            }
            .map_err(ClientError::Certificate)
        })
        .await?
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
