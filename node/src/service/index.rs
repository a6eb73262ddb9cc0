//! The index of batches: certificates that dispersers hand in, and pages of them for whoever lost a disk.

use std::sync::Arc;

use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_net::{BulkReader, Reply};
use ashlar_proto::wire::{
    BatchList, BatchPlace, GetLatest, KeepCertificate, Latest, ListBatches, Response, limits,
};
use ashlar_proto::{
    CertificateError, CertificatePolicy, MaxAge, RequiredQuorums, Sequence, TrustedTable,
    VerifiedCertificate, verify_certificate,
};
use ashlar_stake::OperatorTable;

use super::{Service, ServiceError};
use crate::shared::blocking;
use crate::store::{SequenceId, SignedHeader, Store, StoreError};
use crate::validate::check_domain;

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

    pub(super) async fn latest(
        self: Arc<Self>,
        wanted: GetLatest,
        bulk: &BulkReader,
    ) -> Result<Reply, ServiceError> {
        check_domain(wanted.domain, self.stake.domain())?;
        // A database that is not rebuilt yet does not know.
        self.may_sign()?;
        let load = &self.shared.config.load;
        let place = load.read_memory() / u64::from(load.max_reads);
        let memory = bulk.reserve(place, self.patience()).await;
        let memory = memory.map_err(|error| self.overload(error, "reads"))?;
        let found = blocking(move || latest(self.store.as_ref(), &wanted)).await?;
        drop(memory);
        let found = found.map(|offered| Latest {
            batch_header: offered.header,
            disperser_signature: offered.signature,
        });
        Ok(Response::Latest(found).into())
    }
}

/// The batch of a disperser with the highest number. Records lie in the order of their numbers and are listed forwards alone, so the
/// range of numbers is halved: 64 looks at most, however many there are.
fn latest(store: &dyn Store, of: &GetLatest) -> Result<Option<SignedHeader>, StoreError> {
    let (domain, disperser_id) = (of.domain, of.disperser_id);
    let mut best = None;
    let (mut low, mut high) = (0, u64::MAX);
    while low < high {
        let middle = low + (high - low) / 2;
        let after = SequenceId {
            domain,
            disperser_id,
            sequence: Sequence(middle),
        };
        let next = store.promises(Some(&after), 1)?.into_iter().next();
        match next.filter(|(at, _)| (at.domain, at.disperser_id) == (domain, disperser_id)) {
            Some((at, record)) => {
                low = at.sequence.0;
                // One that cannot be read is repaired by the scrub; its number is no secret, but nobody has to believe it.
                best = record.ok().map(|record| record.offered).or(best);
            }
            None => high = middle,
        }
    }
    Ok(best)
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
