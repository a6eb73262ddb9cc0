//! The index of batches: certificates that dispersers hand in, and pages of them for whoever lost a disk.

use std::sync::Arc;

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_net::{BulkReader, Reply};
use ashlar_proto::wire::{BatchList, BatchPlace, KeepCertificate, ListBatches, Response, limits};
use ashlar_proto::{
    CertificateError, CertificatePolicy, MaxAge, RequiredQuorums, TrustedTable,
    VerifiedCertificate, verify_certificate,
};
use ashlar_stake::OperatorTable;

use super::{Service, ServiceError};
use crate::shared::blocking;
use crate::store::{SequenceId, Store, StoreError};

/// Checks a certificate of an index with the table of its reference block, for which the caller vouches. Its age does not matter:
/// what is not owed any more is left out by its window.
///
/// # Errors
/// Why it is none.
pub(crate) fn check_certified(
    certificate: &ashlar_proto::Certificate,
    table: &OperatorTable,
) -> Result<VerifiedCertificate, CertificateError> {
    let policy = CertificatePolicy::new(
        table.domain(),
        RequiredQuorums::ChosenBySubmitter,
        MaxAge::Unbounded,
    );
    let table = TrustedTable::trust_on_my_own_word(table);
    verify_certificate(certificate, &table, &policy)
}

impl Service {
    pub(super) async fn keep_certificate(
        self: Arc<Self>,
        peer: NetworkPublicKey,
        message: KeepCertificate,
    ) -> Result<Reply, ServiceError> {
        let header = &message.certificate.batch_header;
        self.check_domain_and_sender(&peer, header).await?;
        let (at, digest) = (SequenceId::of(header), header.digest());
        blocking(move || {
            let record = self.store.signed(&at)?;
            let record = record.filter(|record| record.digest == digest);
            let record = record.ok_or_else(|| ServiceError::NotFound {
                what: format!("batch {digest}"),
            })?;
            // Only a better one is looked at: repeating costs its sender more than this node.
            let held = self.store.certificate(&digest)?;
            let held = held.map_or(0, |held| held.certificate.claimed_signers().0);
            if message.certificate.claimed_signers().0 > held {
                let block = record.offered.header.reference_block;
                let table = self.stake.table_at(block)?;
                check_certified(&message.certificate, &table)?;
                self.store.keep_certificate(&record, &message.certificate)?;
            }
            Ok(Response::Kept.into())
        })
        .await
    }

    pub(super) async fn list_batches(
        self: Arc<Self>,
        wanted: ListBatches,
        bulk: &BulkReader,
    ) -> Result<Reply, ServiceError> {
        let load = &self.shared.config.load;
        let place = load.read_memory() / u64::from(load.max_reads);
        let memory = bulk.reserve(place, self.patience()).await;
        let memory = memory.map_err(|error| self.overload(error, "reads"))?;
        let list = blocking(move || list(self.store.as_ref(), wanted.after)).await?;
        drop(memory);
        Ok(Response::BatchList(list).into())
    }
}

/// The page of the index behind a place.
fn list(store: &dyn Store, after: Option<BatchPlace>) -> Result<BatchList, StoreError> {
    let (mut batches, mut read, mut next) = (Vec::new(), 0, None);
    for window in store.windows()?.into_iter().rev() {
        let behind = match after {
            Some(place) if window.0 > place.window => continue,
            Some(place) if window.0 == place.window => Some(place.digest),
            _ => None,
        };
        let page = store.certified_in(window, behind, limits::MAX_LISTED - read)?;
        read += page.len();
        for (digest, certified) in page {
            next = Some(BatchPlace {
                window: window.0,
                digest,
            });
            batches.extend(certified);
        }
        if read >= limits::MAX_LISTED {
            return Ok(BatchList { batches, next });
        }
    }
    Ok(BatchList {
        batches,
        next: None,
    })
}
