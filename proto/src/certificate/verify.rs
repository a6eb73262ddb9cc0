//! The check. Pure: the same certificate, table and policy give the same answer, with no clock and no IO.
//!
//! Cheapest first: headers and version, the reader's quorums, place in the batch, table, who signed, stake; the
//! pairing last.

use ashlar_crypto::{
    bls::{PublicKey, Signature, aggregate_public_keys, subtract},
    merkle::{leaf_hash, verify_path},
};

use super::{Attestation, Certificate, CertificateError as Error, NonSigner};
use crate::{
    BatchDigest, BatchHeader, Bitmap, BlobHeader, BlobKey, ProtocolVersion, QuorumId, Stake,
    TableHeader, TableRoot, TableView, UnknownVersion, VERSIONS,
};

/// What a reader asks of a certificate beyond the protocol's own rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatePolicy {
    /// Quorums that the blob must name. The quorums of a blob are its submitter's choice, so a reader that required
    /// none would accept a quorum of its adversary's own token. Default: quorum 0.
    pub required_quorums: Vec<QuorumId>,
    /// Protocol versions accepted; `None` for every version in the table. Default: none named.
    pub accepted_versions: Option<Vec<u16>>,
    /// Least share of each quorum's stake in percent, if above the version's own threshold. Default 0.
    pub min_confirmation_percent: u32,
}

impl Default for CertificatePolicy {
    fn default() -> Self {
        Self {
            required_quorums: vec![0],
            accepted_versions: None,
            min_confirmation_percent: 0,
        }
    }
}

impl CertificatePolicy {
    /// The default policy with other required quorums.
    pub fn requiring(quorums: impl Into<Vec<QuorumId>>) -> Self {
        Self {
            required_quorums: quorums.into(),
            ..Self::default()
        }
    }
}

/// Stake of one quorum behind a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumSigned {
    /// The quorum.
    pub quorum: QuorumId,
    /// Stake that signed.
    pub signed: Stake,
    /// Stake in all.
    pub total: Stake,
}

impl QuorumSigned {
    /// Stake that signed in percent of all, rounded down to two digits; for people.
    pub fn percent(&self) -> f64 {
        if self.total.is_zero() {
            return 0.0;
        }
        let scaled = match self.signed.checked_mul(Stake::from(10_000)) {
            Some(product) => product / self.total,
            // More than 2^242: the last digits do not matter then.
            None => self.signed / (self.total / Stake::from(10_000)).max(Stake::from(1)),
        };
        scaled.min(Stake::from(10_000)).to::<u32>() as f64 / 100.0
    }
}

/// Least stake that satisfies `signed * 100 >= percent * total`: `ceil(percent * total / 100)`.
pub fn needed_stake(total: Stake, percent: u32) -> Stake {
    let hundred = Stake::from(100);
    let percent = Stake::from(percent);
    // Split so that it cannot overflow: total = 100 q + r.
    let (quotient, rest) = (total / hundred, total % hundred);
    let rest = (rest * percent).div_ceil(hundred);
    quotient.saturating_mul(percent).saturating_add(rest)
}

/// A certificate that has passed the check. There is no other way to make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCertificate {
    certificate: Certificate,
    blob_key: BlobKey,
    batch_digest: BatchDigest,
    version: &'static ProtocolVersion,
    signed: Vec<QuorumSigned>,
    signers: Bitmap,
}

impl VerifiedCertificate {
    /// The blob's name.
    pub fn blob_key(&self) -> BlobKey {
        self.blob_key
    }

    /// The batch's name.
    pub fn batch_digest(&self) -> BatchDigest {
        self.batch_digest
    }

    /// The blob.
    pub fn blob_header(&self) -> &BlobHeader {
        &self.certificate.blob_header
    }

    /// The batch.
    pub fn batch_header(&self) -> &BatchHeader {
        &self.certificate.batch_header
    }

    /// The protocol version.
    pub fn version(&self) -> &'static ProtocolVersion {
        self.version
    }

    /// The operator table that it was checked against.
    pub fn table_root(&self) -> TableRoot {
        self.certificate.table_root
    }

    /// Stake that signed, for each quorum of the blob.
    pub fn signed(&self) -> &[QuorumSigned] {
        &self.signed
    }

    /// Indices of the signers in the table.
    pub fn signers(&self) -> &Bitmap {
        &self.signers
    }

    /// How many operators signed.
    pub fn signer_count(&self) -> u32 {
        self.signers.count()
    }

    /// The certificate itself.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }
}

/// Checks a certificate, compact or portable, for a holder of the operator table.
///
/// # Errors
/// Why it is refused.
pub fn verify_certificate(
    certificate: &Certificate,
    table: &impl TableView,
    policy: &CertificatePolicy,
) -> Result<VerifiedCertificate, Error> {
    let checked = check_headers(&VERSIONS, certificate, policy)?;
    check_root(certificate, &table.root())?;
    match &certificate.attestation {
        Attestation::Compact { signers } => {
            check_block(certificate, table.header())?;
            let attested = attest_compact(certificate, table, signers)?;
            finish(certificate, checked, policy, attested)
        }
        Attestation::Portable {
            table_header,
            non_signers,
        } => {
            let attested = attest_portable(certificate, table_header, non_signers)?;
            finish(certificate, checked, policy, attested)
        }
    }
}

/// Checks a portable certificate for a holder of only the table's root.
///
/// # Errors
/// Why it is refused; a compact one with [`CertificateError::NeedsTable`](Error::NeedsTable).
pub fn verify_portable(
    certificate: &Certificate,
    table_root: &TableRoot,
    policy: &CertificatePolicy,
) -> Result<VerifiedCertificate, Error> {
    let checked = check_headers(&VERSIONS, certificate, policy)?;
    check_root(certificate, table_root)?;
    let Attestation::Portable {
        table_header,
        non_signers,
    } = &certificate.attestation
    else {
        return Err(Error::NeedsTable);
    };
    let attested = attest_portable(certificate, table_header, non_signers)?;
    finish(certificate, checked, policy, attested)
}

/// What the headers alone say.
pub(super) struct Checked {
    version: &'static ProtocolVersion,
    blob_key: BlobKey,
}

pub(super) fn check_headers(
    versions: &'static [ProtocolVersion],
    certificate: &Certificate,
    policy: &CertificatePolicy,
) -> Result<Checked, Error> {
    let (blob, batch) = (&certificate.blob_header, &certificate.batch_header);
    blob.validate().map_err(Error::BlobHeader)?;
    batch.validate().map_err(Error::BatchHeader)?;
    if blob.version != batch.version {
        return Err(Error::VersionMismatch {
            blob: blob.version,
            batch: batch.version,
        });
    }
    let got = blob.version;
    if policy
        .accepted_versions
        .as_ref()
        .is_some_and(|accepted| !accepted.contains(&got))
    {
        return Err(Error::VersionNotAccepted { got });
    }
    let version = versions
        .iter()
        .find(|v| v.id == got)
        .ok_or(Error::BlobHeader(UnknownVersion { got }.into()))?;
    version.check().map_err(Error::UnsafeVersion)?;
    if let Some(&quorum) = policy
        .required_quorums
        .iter()
        .find(|q| !blob.quorums.contains(q))
    {
        return Err(Error::QuorumMissing {
            quorum,
            got: blob.quorums.clone(),
        });
    }
    if blob.rows > batch.rows {
        return Err(Error::Rows {
            blob: blob.rows,
            batch: batch.rows,
        });
    }
    let blob_key = blob.blob_key();
    verify_path(
        &batch.batch_root,
        u64::from(batch.blobs),
        u64::from(certificate.blob_index),
        leaf_hash(blob_key.as_bytes()),
        &certificate.blob_path,
    )
    .map_err(Error::BlobPath)?;
    Ok(Checked { version, blob_key })
}

fn check_root(certificate: &Certificate, expected: &TableRoot) -> Result<(), Error> {
    if certificate.table_root != *expected {
        return Err(Error::TableRoot {
            got: certificate.table_root,
            expected: *expected,
        });
    }
    Ok(())
}

fn check_block(certificate: &Certificate, table: &TableHeader) -> Result<(), Error> {
    let got = certificate.batch_header.reference_block;
    if got != table.reference_block {
        return Err(Error::ReferenceBlock {
            got,
            expected: table.reference_block,
        });
    }
    Ok(())
}

/// Who signed, their keys' sum, and the stake for each quorum of the blob.
struct Attested {
    signers: Bitmap,
    key: PublicKey,
    signed: Vec<QuorumSigned>,
}

fn attest_compact(
    certificate: &Certificate,
    table: &impl TableView,
    signers: &Bitmap,
) -> Result<Attested, Error> {
    let header = table.header();
    if signers.len() != header.operators {
        return Err(Error::BitmapLength {
            got: signers.len(),
            expected: header.operators,
        });
    }
    let count = signers.count();
    if count == 0 {
        return Err(Error::NoSigners);
    }
    let key_at = |index| {
        table
            .public_key(index)
            .copied()
            .ok_or(Error::TableInconsistent { index })
    };
    // Whichever is shorter: add up the signers or take the others away from the sum of all.
    let key = if count * 2 <= header.operators {
        let keys = signers.iter().map(key_at).collect::<Result<Vec<_>, _>>()?;
        aggregate_public_keys(&keys)
    } else {
        let keys = signers
            .iter_missing()
            .map(key_at)
            .collect::<Result<Vec<_>, _>>()?;
        subtract(table.aggregate_key(), &keys)
    }
    .ok_or(Error::AggregateIdentity)?;
    let mut signed = quorums(certificate, header)?;
    for index in signers.iter() {
        let entry = table
            .operator(index)
            .ok_or(Error::TableInconsistent { index })?;
        for quorum in &mut signed {
            quorum.signed = quorum
                .signed
                .checked_add(entry.stake(quorum.quorum))
                .filter(|sum| *sum <= quorum.total)
                .ok_or(Error::TableInconsistent { index })?;
        }
    }
    Ok(Attested {
        signers: signers.clone(),
        key,
        signed,
    })
}

fn attest_portable(
    certificate: &Certificate,
    header: &TableHeader,
    non_signers: &[NonSigner],
) -> Result<Attested, Error> {
    let got = header.root();
    if got != certificate.table_root {
        return Err(Error::TableHeader {
            got,
            expected: certificate.table_root,
        });
    }
    check_block(certificate, header)?;
    let operators = header.operators;
    if non_signers.len() > operators as usize {
        return Err(Error::WitnessCount {
            got: non_signers.len(),
            operators,
        });
    }
    if non_signers.len() == operators as usize {
        return Err(Error::NoSigners);
    }
    let mut absent = Bitmap::new(operators);
    let mut signed = quorums(certificate, header)?;
    signed
        .iter_mut()
        .for_each(|quorum| quorum.signed = quorum.total);
    let mut keys = Vec::with_capacity(non_signers.len());
    let mut previous = None;
    for NonSigner { index, entry, path } in non_signers {
        let index = *index;
        if let Some(first) = previous.filter(|first| *first >= index) {
            return Err(Error::WitnessOrder {
                first,
                second: index,
            });
        }
        previous = Some(index);
        if !absent.insert(index) {
            return Err(Error::WitnessIndex {
                got: index,
                operators,
            });
        }
        verify_path(
            &header.operators_root,
            u64::from(operators),
            u64::from(index),
            entry.leaf(),
            path,
        )
        .map_err(|source| Error::WitnessPath { index, source })?;
        entry
            .validate()
            .map_err(|source| Error::WitnessEntry { index, source })?;
        for quorum in &mut signed {
            quorum.signed = quorum
                .signed
                .checked_sub(entry.stake(quorum.quorum))
                .ok_or(Error::TableInconsistent { index })?;
        }
        let key =
            PublicKey::from_bytes(&entry.bls_public_key).map_err(|source| Error::PublicKey {
                which: "a non-signer's",
                source,
            })?;
        keys.push(key);
    }
    let aggregate =
        PublicKey::from_bytes(&header.aggregate_key).map_err(|source| Error::PublicKey {
            which: "the table's aggregate",
            source,
        })?;
    let key = subtract(&aggregate, &keys).ok_or(Error::AggregateIdentity)?;
    let mut signers = Bitmap::new(operators);
    absent.iter_missing().for_each(|index| {
        signers.insert(index);
    });
    Ok(Attested {
        signers,
        key,
        signed,
    })
}

/// The blob's quorums with their totals, nothing signed yet.
fn quorums(certificate: &Certificate, table: &TableHeader) -> Result<Vec<QuorumSigned>, Error> {
    certificate
        .blob_header
        .quorums
        .iter()
        .map(|&quorum| match table.total(quorum) {
            Some(total) if !total.is_zero() => Ok(QuorumSigned {
                quorum,
                signed: Stake::ZERO,
                total,
            }),
            _ => Err(Error::QuorumUnknown { quorum }),
        })
        .collect()
}

fn finish(
    certificate: &Certificate,
    checked: Checked,
    policy: &CertificatePolicy,
    attested: Attested,
) -> Result<VerifiedCertificate, Error> {
    let percent = checked
        .version
        .confirmation_percent
        .max(policy.min_confirmation_percent);
    for &QuorumSigned {
        quorum,
        signed,
        total,
    } in &attested.signed
    {
        let needed = needed_stake(total, percent);
        if signed < needed {
            return Err(Error::Threshold {
                quorum,
                signed,
                total,
                needed,
                percent,
            });
        }
    }
    let batch_digest = certificate.batch_header.digest();
    let signature =
        Signature::from_bytes(&certificate.signature).map_err(Error::SignatureMalformed)?;
    attested
        .key
        .verify(batch_digest.as_bytes(), &signature)
        .map_err(|_| Error::SignatureInvalid)?;
    Ok(VerifiedCertificate {
        certificate: certificate.clone(),
        blob_key: checked.blob_key,
        batch_digest,
        version: checked.version,
        signed: attested.signed,
        signers: attested.signers,
    })
}
