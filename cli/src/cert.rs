//! `ashlar cert`: look at a certificate, check it, turn it into its other form.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ashlar_client::{ClientError, Policy, Trust};
use ashlar_proto::{
    Attestation, Block, Certificate, Domain, OperatorIndex, QuorumId, Sequence, TableRoot,
    TrustedRoot, TrustedTable, VerifiedCertificate,
};
use ashlar_stake::{OperatorTable, StakeError, StakeSource, trusted_table};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::context::TableOption;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::reader::ReaderOption;
use crate::ui::{self, Ui};

/// No certificate is larger, not even a portable one with everybody's witness.
pub const CERTIFICATE_LIMIT: u64 = ashlar_proto::certificate::MAX_CERTIFICATE_BYTES as u64;

const EXAMPLES: &str = "\
Examples:
  ashlar cert show block.cert                        what it says, without checking it
  ashlar cert verify block.cert                      with the operator table of the devnet here, or of ASHLAR_TABLE
  ashlar cert verify block.cert --table operators.toml --required-quorums 0,1 --max-age 14d
  ashlar cert portable block.cert -o block.portable  for those who hold only the table's root
  ashlar cert verify block.portable --table-root 0x5f… --domain 0x8a… --required-quorums 0 --max-age 14d

A refused certificate exits with 3 and its own code, for instance certificate.threshold.";

/// Options of `ashlar cert`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CertArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: CertCommand,
}

/// The commands of `ashlar cert`.
#[derive(Debug, Subcommand)]
pub enum CertCommand {
    /// Show what a certificate says, without checking it
    Show(ShowArgs),
    /// Check a certificate against the operator table, or against the table's root
    Verify(VerifyArgs),
    /// Write the portable form: with witnesses, for those who hold only the table's root
    Portable(PortableArgs),
}

/// Options of `ashlar cert show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The certificate
    pub file: PathBuf,
}

/// Options of `ashlar cert verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The certificate
    pub file: PathBuf,
    /// Check a portable certificate against this root alone; you vouch for it
    #[arg(
        long,
        value_name = "HEX",
        conflicts_with = "table",
        requires = "domain"
    )]
    pub table_root: Option<TableRoot>,
    /// The service that the root is of; a table says it itself
    #[arg(long, value_name = "HEX", requires = "table_root")]
    pub domain: Option<Domain>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reader: ReaderOption,
}

/// Options of `ashlar cert portable`.
#[derive(Debug, Args)]
pub struct PortableArgs {
    /// The certificate
    pub file: PathBuf,
    /// Where to write the portable form
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub table: TableOption,
}

/// What a certificate says.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateView {
    /// `compact` or `portable`.
    pub form: &'static str,
    /// Size of the file.
    pub bytes: u64,
    /// The blob.
    pub blob_key: String,
    /// Protocol version.
    pub version: u16,
    /// How the payload fills the rows.
    pub encoding: String,
    /// Payload bytes.
    pub payload_len: u64,
    /// Rows of 128 KiB.
    pub rows: u32,
    /// Root over the rows' KZG commitments.
    pub commitments_root: String,
    /// Root over the slices.
    pub chunk_root: String,
    /// The quorums that the blob asked for.
    pub quorums: Vec<QuorumId>,
    /// The account that posted it.
    pub account: String,
    /// The service whose operators signed.
    pub domain: String,
    /// What operators signed.
    pub batch_digest: String,
    /// Blobs and rows of the batch, and the blob's place in it.
    pub batch_blobs: u32,
    /// Rows of the whole batch.
    pub batch_rows: u32,
    /// Which of the batch's blobs.
    pub blob_index: u32,
    /// The block whose operator table counts.
    pub reference_block: Block,
    /// The disperser that made the batch.
    pub disperser_id: u32,
    /// Its number for the batch.
    pub sequence: Sequence,
    /// When the batch was closed, Unix milliseconds.
    pub created_at_ms: u64,
    /// Root of the operator table.
    pub table_root: String,
    /// Signers (compact) or non-signers (portable).
    #[serde(flatten)]
    pub attestation: AttestationView,
}

/// Who signed, as far as the certificate alone tells.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum AttestationView {
    /// Indices in the operator table.
    Compact {
        /// Who signed.
        signers: Vec<OperatorIndex>,
    },
    /// Indices in the operator table.
    Portable {
        /// How many operators the table has.
        operators: u32,
        /// Who did not sign.
        non_signers: Vec<OperatorIndex>,
    },
}

/// Signed stake in one quorum.
#[derive(Clone, Debug, Serialize)]
pub struct SignedStake {
    /// The quorum.
    pub quorum: QuorumId,
    /// Stake that signed, decimal.
    pub signed: String,
    /// All stake of the quorum, decimal.
    pub total: String,
    /// Share in percent, rounded down to two digits.
    pub percent: f64,
}

/// What checking a certificate gave.
#[derive(Clone, Debug, Serialize)]
pub struct VerifiedView {
    /// Always true: a refusal is an error.
    pub verified: bool,
    /// The blob.
    pub blob_key: String,
    /// Stake that signed.
    pub signed: Vec<SignedStake>,
    /// How many operators signed.
    pub signers: u32,
    /// Until when operators have to hold the blob, Unix milliseconds.
    pub held_until_ms: u64,
}

/// Runs `ashlar cert`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: CertArgs) -> CliResult {
    match args.command {
        CertCommand::Show(args) => {
            let (certificate, bytes) = read(&args.file)?;
            let view = view(&certificate, bytes);
            ui.data(&view, || view.text())
        }
        CertCommand::Verify(args) => verify(ui, &args),
        CertCommand::Portable(args) => {
            let (certificate, _) = read(&args.file)?;
            let table = table_of(args.table.open()?.as_ref(), &certificate)?;
            let portable = certificate.to_portable(&*table).map_err(|error| {
                CliError::coded(
                    Exit::Refused,
                    format!("{} does not fit the table", args.file.display()),
                    &error,
                )
            })?;
            let bytes = portable.to_bytes();
            files::write_atomically(&args.out, &bytes, Access::Everyone)?;
            let view = view(&portable, bytes.len() as u64);
            ui.data(&view, || view.text())
        }
    }
}

fn verify(ui: Ui, args: &VerifyArgs) -> CliResult {
    let (certificate, _) = read(&args.file)?;
    let policy = match args.table_root.zip(args.domain) {
        Some((root, domain)) => {
            if matches!(certificate.attestation, Attestation::Compact { .. }) {
                return Err(CliError::usage(format!(
                    "{} is a compact certificate",
                    args.file.display()
                ))
                .because(
                    "it names signers by their place in the operator table, so the table is needed",
                )
                .next("give --table, or make its portable form: ashlar cert portable"));
            }
            // The person who typed it vouches for it.
            let root = TrustedRoot::trust_on_my_own_word(root);
            args.reader.policy(Trust::Root { root, domain })?
        }
        None => args.reader.open()?.1,
    };
    let verified = check(&args.file, &certificate, &policy)?;
    let view = verified_view(&verified);
    ui.data(&view, || {
        let mut text = format!("verified {}\n", view.blob_key);
        for signed in &view.signed {
            text.push_str(&signed.text());
            text.push('\n');
        }
        text.push_str(&format!("  {} operators signed\n", view.signers));
        text
    })
}

/// Reads a certificate file: the certificate and the file's size.
///
/// # Errors
/// It is missing (4) or malformed (3).
pub fn read(path: &Path) -> CliResult<(Certificate, u64)> {
    let bytes = files::read(path, CERTIFICATE_LIMIT)?;
    let certificate = Certificate::from_bytes(&bytes).map_err(|error| {
        CliError::coded(Exit::Refused, format!("{} is no certificate", path.display()), &error)
            .next("it may be cut short; fetch it again from the disperser, under /v1/blobs/{key}/certificate")
    })?;
    Ok((certificate, bytes.len() as u64))
}

/// The operator table that a certificate refers to.
///
/// # Errors
/// The source has no table for that block.
pub fn table_of(
    source: &dyn StakeSource,
    certificate: &Certificate,
) -> CliResult<TrustedTable<Arc<OperatorTable>>> {
    let block = certificate.batch_header.reference_block;
    trusted_table(source, block).map_err(|error| no_table(block, &error))
}

/// Checks a certificate under a policy.
///
/// # Errors
/// It is refused (3), with its own code, or there is no table to check it with.
pub fn check(
    path: &Path,
    certificate: &Certificate,
    policy: &Policy,
) -> CliResult<VerifiedCertificate> {
    policy.check(certificate).map_err(|error| match &error {
        ClientError::Table(error) => no_table(certificate.batch_header.reference_block, error),
        _ => CliError::coded(Exit::Refused, format!("the certificate {} is refused", path.display()), &error)
            .next("do not rely on this blob; ask for its certificate again, and check that the table is the right one"),
    })
}

fn no_table(block: Block, error: &StakeError) -> CliError {
    CliError::coded(
        Exit::Unavailable,
        format!("there is no operator table for block {block}"),
        error,
    )
    .next("use the table file of the network that signed it")
}

/// What a certificate of this size says.
pub fn view(certificate: &Certificate, bytes: u64) -> CertificateView {
    let blob = &certificate.blob_header;
    let batch = &certificate.batch_header;
    let hash = |hash: &[u8; 32]| format!("0x{}", hex::encode(hash));
    let (form, attestation) = match &certificate.attestation {
        Attestation::Compact { signers } => (
            "compact",
            AttestationView::Compact {
                signers: signers.iter().collect(),
            },
        ),
        Attestation::Portable {
            table_header,
            non_signers,
        } => (
            "portable",
            AttestationView::Portable {
                operators: table_header.operators,
                non_signers: non_signers.iter().map(|operator| operator.index).collect(),
            },
        ),
    };
    CertificateView {
        form,
        bytes,
        blob_key: blob.blob_key().to_string(),
        version: blob.version,
        encoding: blob.encoding.to_string(),
        payload_len: blob.payload_len,
        rows: blob.rows,
        commitments_root: hash(&blob.commitments_root),
        chunk_root: hash(&blob.chunk_root),
        quorums: blob.quorums.clone(),
        account: blob.account.to_string(),
        domain: batch.domain.to_string(),
        batch_digest: batch.digest().to_string(),
        batch_blobs: batch.blobs,
        batch_rows: batch.rows,
        blob_index: certificate.blob_index,
        reference_block: batch.reference_block,
        disperser_id: batch.disperser_id,
        sequence: batch.sequence,
        created_at_ms: batch.created_at_ms,
        table_root: batch.table_root.to_string(),
        attestation,
    }
}

/// What a checked certificate gives.
pub fn verified_view(verified: &VerifiedCertificate) -> VerifiedView {
    VerifiedView {
        verified: true,
        blob_key: verified.blob_key().to_string(),
        signed: verified
            .signed()
            .iter()
            .map(|signed| SignedStake {
                quorum: signed.quorum,
                signed: signed.signed.to_string(),
                total: signed.total.to_string(),
                percent: percent(signed.signed, signed.total),
            })
            .collect(),
        signers: verified.signer_count(),
        held_until_ms: verified.held_until_ms(),
    }
}

/// A share of stake in percent, rounded down to two digits: 54.999 % never reads as 55 %.
pub fn percent(part: ashlar_proto::Stake, total: ashlar_proto::Stake) -> f64 {
    let hundredths = part
        .saturating_mul(ashlar_proto::Stake::from(10_000u32))
        .checked_div(total)
        .unwrap_or(ashlar_proto::Stake::ZERO);
    u32::try_from(hundredths).map_or(f64::INFINITY, |value| f64::from(value) / 100.0)
}

impl SignedStake {
    /// One line for the person.
    pub fn text(&self) -> String {
        format!(
            "  quorum {}: {} of {} stake signed, {:.2} %",
            self.quorum,
            crate::ui::stake(&self.signed),
            crate::ui::stake(&self.total),
            self.percent
        )
    }
}

impl CertificateView {
    /// A few lines for the person.
    pub fn text(&self) -> String {
        let who = match &self.attestation {
            AttestationView::Compact { signers } => {
                format!("{} operators {signers:?}", signers.len())
            }
            AttestationView::Portable {
                operators,
                non_signers,
            } if non_signers.is_empty() => format!("all {operators} operators"),
            AttestationView::Portable {
                operators,
                non_signers,
            } => {
                format!("all of {operators} operators but {non_signers:?}")
            }
        };
        let quorums: Vec<String> = self.quorums.iter().map(ToString::to_string).collect();
        [
            format!("blob         {}", self.blob_key),
            format!(
                "payload      {} in {} rows, {}, protocol version {}",
                ui::bytes(self.payload_len),
                self.rows,
                self.encoding,
                self.version
            ),
            format!("quorums      {}", quorums.join(", ")),
            format!("account      {}", self.account),
            format!("service      {}", self.domain),
            format!("batch        {}", self.batch_digest),
            format!(
                "             blob {} of {}, {} rows; disperser {}, sequence {}",
                u64::from(self.blob_index) + 1,
                self.batch_blobs,
                self.batch_rows,
                self.disperser_id,
                self.sequence
            ),
            format!(
                "table        {} at block {}",
                self.table_root, self.reference_block
            ),
            format!("signed by    {who}"),
            format!("certificate  {} bytes, {}", self.bytes, self.form),
        ]
        .join("\n")
    }
}
