//! What a rollup does with data availability: the interface of the SDK, and of its twin for tests.

use ashlar_proto::VerifiedCertificate;
use ashlar_proto::api::BlobStatus;
use ashlar_retriever::Retrieved;
use bytes::Bytes;
use futures::future::BoxFuture;

use crate::{
    BlobName, Certified, ClientError, Policy, PutOptions, Submitted, UnverifiedCertificate,
};

/// What a call gives, later.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, ClientError>>;

/// Posts payloads, waits for their certificates, checks certificates and brings payloads back. Code over `dyn DaClient` runs over
/// a network with [`Client`](crate::Client) and without one with [`MemoryClient`](crate::memory::MemoryClient).
///
/// Every call has a deadline of its own. Every error says whether it is worth repeating ([`ClientError::retryable`]).
pub trait DaClient: Send + Sync {
    /// What this client asks of certificates.
    fn policy(&self) -> &Policy;

    /// Posts a payload with its commitments. The same payload with the same options and salt is the same blob, at whichever
    /// disperser. What comes back says that a disperser keeps it, and not that it is available.
    fn put(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Submitted>;

    /// Waits for the certificate of what was posted, and checks it against what was posted and under the policy.
    fn wait<'a>(&'a self, submitted: &'a Submitted) -> Answer<'a, Certified>;

    /// [`put`](DaClient::put) and [`wait`](DaClient::wait). Repeat it with the same salt: it finds the same blob.
    fn put_and_wait(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Certified> {
        Box::pin(async move {
            let submitted = self.put(payload, options).await?;
            self.wait(&submitted).await
        })
    }

    /// What was posted before with this payload, these options and this salt, if a disperser has it and it has not failed. Nothing is
    /// posted, and nothing is paid. [`wait`](DaClient::wait) then gives its certificate. A disperser that does not answer at once is
    /// passed over.
    fn find(&self, payload: Bytes, options: PutOptions) -> Answer<'_, Option<Submitted>>;

    /// Where a blob is on its way.
    fn status(&self, name: BlobName) -> Answer<'_, BlobStatus>;

    /// Checks a certificate under the policy. [`UnverifiedCertificate::verify`] does it under another one.
    fn verify<'a>(
        &'a self,
        certificate: &'a UnverifiedCertificate,
    ) -> Answer<'a, VerifiedCertificate> {
        Box::pin(certificate.verify(self.policy()))
    }

    /// The payload of a certificate. What comes back matches its commitments, whoever sent it.
    fn get<'a>(&'a self, certificate: &'a VerifiedCertificate) -> Answer<'a, Retrieved>;
}
