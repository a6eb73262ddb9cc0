//! The check. Pure: the same certificate, table and policy give the same answer, with no clock and no IO.
//!
//! Cheapest first: domain, table root, age; headers and version, the reader's quorums, place in the batch; who signed,
//! stake; then the signature's point, the keys, and the pairing last. So a certificate with too little stake and
//! thousands of keys is refused before any key is decoded.

use ashlar_crypto::{
    bls::{PublicKey, Signature, aggregate_public_keys, subtract},
    merkle::{leaf_hash, verify_path},
};

use super::{
    Attestation, Certificate, CertificateError as Error, CertificatePolicy, NonSigner, TrustedRoot,
    TrustedTable,
};
use crate::{
    BatchDigest, BatchHeader, Bitmap, BlobHeader, BlobKey, Domain, OperatorIndex, ProtocolVersion,
    QuorumId, Stake, TableAccess, TableHeader, TableRoot, UnknownVersion, VERSIONS,
};

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

    /// The service whose operators hold the blob.
    pub fn domain(&self) -> Domain {
        self.certificate.batch_header.domain
    }

    /// Until when operators have to hold the blob, in milliseconds since 1970.
    pub fn held_until_ms(&self) -> u64 {
        let retention_ms = self.version.retention_secs.saturating_mul(1000);
        self.batch_header()
            .created_at_ms
            .saturating_add(retention_ms)
    }

    /// The operator table that it was checked against.
    pub fn table_root(&self) -> TableRoot {
        self.certificate.batch_header.table_root
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
    table: &TrustedTable<impl TableAccess>,
    policy: &CertificatePolicy,
) -> Result<VerifiedCertificate, Error> {
    check_domain(certificate, policy)?;
    if table.header().domain != policy.domain {
        return Err(Error::TableDomain {
            got: table.header().domain,
            expected: policy.domain,
        });
    }
    check_root(certificate, &table.trusted_root())?;
    let checked = check_headers(&VERSIONS, certificate, policy)?;
    match &certificate.attestation {
        Attestation::Compact { signers } => {
            check_table_header(certificate, table.header())?;
            let signed = compact_stake(certificate, &**table, signers)?;
            let enough = check_threshold(checked, policy, signed, signers.clone())?;
            enough.finish(certificate, || compact_key(&**table, signers))
        }
        Attestation::Portable {
            table_header,
            non_signers,
        } => portable(certificate, checked, policy, table_header, non_signers),
    }
}

/// Checks a portable certificate for a holder of only the table's root.
///
/// # Errors
/// Why it is refused; a compact one with [`CertificateError::NeedsTable`](Error::NeedsTable).
pub fn verify_portable(
    certificate: &Certificate,
    root: &TrustedRoot,
    policy: &CertificatePolicy,
) -> Result<VerifiedCertificate, Error> {
    check_domain(certificate, policy)?;
    let Attestation::Portable {
        table_header,
        non_signers,
    } = &certificate.attestation
    else {
        return Err(Error::NeedsTable);
    };
    check_root(certificate, root)?;
    let checked = check_headers(&VERSIONS, certificate, policy)?;
    portable(certificate, checked, policy, table_header, non_signers)
}

fn check_domain(certificate: &Certificate, policy: &CertificatePolicy) -> Result<(), Error> {
    let got = certificate.batch_header.domain;
    if got != policy.domain {
        return Err(Error::OtherDomain {
            got,
            expected: policy.domain,
        });
    }
    Ok(())
}

fn check_root(certificate: &Certificate, expected: &TrustedRoot) -> Result<(), Error> {
    let got = certificate.batch_header.table_root;
    if got != expected.root() {
        return Err(Error::TableRoot {
            got,
            expected: expected.root(),
        });
    }
    Ok(())
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
    let got = batch.version;
    let version = versions
        .iter()
        .find(|v| v.id == got)
        .ok_or(Error::BatchHeader(UnknownVersion { got }.into()))?;
    policy.max_age.check(batch, version)?;
    blob.validate().map_err(Error::BlobHeader)?;
    batch.validate().map_err(Error::BatchHeader)?;
    if blob.version != got {
        return Err(Error::VersionMismatch {
            blob: blob.version,
            batch: got,
        });
    }
    if policy
        .accepted_versions
        .as_ref()
        .is_some_and(|accepted| !accepted.contains(&got))
    {
        return Err(Error::VersionNotAccepted { got });
    }
    version.check().map_err(Error::UnsafeVersion)?;
    policy.required_quorums.check(&blob.quorums)?;
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

/// What the table's header says of the batch's.
fn check_table_header(certificate: &Certificate, table: &TableHeader) -> Result<(), Error> {
    let batch = &certificate.batch_header;
    if batch.reference_block != table.reference_block {
        return Err(Error::ReferenceBlock {
            got: batch.reference_block,
            expected: table.reference_block,
        });
    }
    if !table.versions.contains(&batch.version) {
        return Err(Error::VersionNotRecorded {
            got: batch.version,
            recorded: table.versions.clone(),
        });
    }
    Ok(())
}

/// The signers' stake in each quorum of the blob, by the table.
fn compact_stake(
    certificate: &Certificate,
    table: &impl TableAccess,
    signers: &Bitmap,
) -> Result<Vec<QuorumSigned>, Error> {
    let header = table.header();
    if signers.len() != header.operators {
        return Err(Error::BitmapLength {
            got: signers.len(),
            expected: header.operators,
        });
    }
    if signers.count() == 0 {
        return Err(Error::NoSigners);
    }
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
    Ok(signed)
}

/// The sum of the signers' keys, by the table: whichever is shorter, adding them up or taking the others away from the
/// sum of all.
fn compact_key(table: &impl TableAccess, signers: &Bitmap) -> Result<PublicKey, Error> {
    let keys = |indices: &mut dyn Iterator<Item = OperatorIndex>| {
        indices
            .map(|index| {
                table
                    .public_key(index)
                    .copied()
                    .ok_or(Error::TableInconsistent { index })
            })
            .collect::<Result<Vec<_>, _>>()
    };
    if signers.count() * 2 <= signers.len() {
        aggregate_public_keys(&keys(&mut signers.iter())?)
    } else {
        subtract(table.aggregate_key(), &keys(&mut signers.iter_missing())?)
    }
    .ok_or(Error::AggregateIdentity)
}

fn portable(
    certificate: &Certificate,
    checked: Checked,
    policy: &CertificatePolicy,
    header: &TableHeader,
    non_signers: &[NonSigner],
) -> Result<VerifiedCertificate, Error> {
    let got = header.root();
    let expected = certificate.batch_header.table_root;
    if got != expected {
        return Err(Error::TableHeader { got, expected });
    }
    if header.domain != policy.domain {
        return Err(Error::TableDomain {
            got: header.domain,
            expected: policy.domain,
        });
    }
    check_table_header(certificate, header)?;
    let (signed, signers) = portable_stake(certificate, header, non_signers)?;
    let enough = check_threshold(checked, policy, signed, signers)?;
    enough.finish(certificate, || portable_key(header, non_signers))
}

/// The signers' stake in each quorum of the blob and who they are: everybody but the witnesses, who are in the table
/// where they say. Their keys are bytes so far.
fn portable_stake(
    certificate: &Certificate,
    header: &TableHeader,
    non_signers: &[NonSigner],
) -> Result<(Vec<QuorumSigned>, Bitmap), Error> {
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
            u64::from(index.0),
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
    }
    let mut signers = Bitmap::new(operators);
    absent.iter_missing().for_each(|index| {
        signers.insert(index);
    });
    Ok((signed, signers))
}

/// The sum of the signers' keys: the table's, less the witnesses'.
fn portable_key(header: &TableHeader, non_signers: &[NonSigner]) -> Result<PublicKey, Error> {
    let decode = |bytes, which| {
        PublicKey::from_bytes(bytes).map_err(|source| Error::PublicKey { which, source })
    };
    let aggregate = decode(&header.aggregate_key, "the table's aggregate")?;
    let keys = non_signers
        .iter()
        .map(|non_signer| decode(&non_signer.entry.bls_public_key, "a non-signer's"))
        .collect::<Result<Vec<_>, _>>()?;
    subtract(&aggregate, &keys).ok_or(Error::AggregateIdentity)
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

/// A certificate with enough stake behind it, if these signed.
struct EnoughStake {
    checked: Checked,
    signed: Vec<QuorumSigned>,
    signers: Bitmap,
}

fn check_threshold(
    checked: Checked,
    policy: &CertificatePolicy,
    signed: Vec<QuorumSigned>,
    signers: Bitmap,
) -> Result<EnoughStake, Error> {
    let percent = checked
        .version
        .confirmation_percent
        .max(policy.min_confirmation_percent);
    for &QuorumSigned {
        quorum,
        signed,
        total,
    } in &signed
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
    Ok(EnoughStake {
        checked,
        signed,
        signers,
    })
}

impl EnoughStake {
    /// Whether they did.
    fn finish(
        self,
        certificate: &Certificate,
        key: impl FnOnce() -> Result<PublicKey, Error>,
    ) -> Result<VerifiedCertificate, Error> {
        let batch_digest = certificate.batch_header.digest();
        let signature =
            Signature::from_bytes(&certificate.signature).map_err(Error::SignatureMalformed)?;
        key()?
            .verify(batch_digest.as_bytes(), &signature)
            .map_err(|_| Error::SignatureInvalid)?;
        Ok(VerifiedCertificate {
            certificate: certificate.clone(),
            blob_key: self.checked.blob_key,
            batch_digest,
            version: self.checked.version,
            signed: self.signed,
            signers: self.signers,
        })
    }
}
