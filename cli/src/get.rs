//! `ashlar get`: rebuild a payload from its certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::NetworkKey;
use ashlar_net::NetLimits;
use ashlar_proto::VerifiedCertificate;
use ashlar_retriever::http::Server;
use ashlar_retriever::{
    Report, RetrievalPath, RetrieveErrorKind, Retriever, RetrieverConfig, Source,
};
use ashlar_stake::StakeSource;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::cert;
use crate::context::DisperserOption;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::reader::ReaderOption;
use crate::ui::{self, Ui};

const EXAMPLES: &str = "\
Examples:
  ashlar get --cert block.cert -o block.bin           the disperser's copy if it has one, else the operators' slices
  ashlar get --cert block.cert -o block.bin --from operators     nobody's goodwill needed but that of a third of the stake
  ashlar get --cert block.cert -o - | sha256sum       to standard output
  ashlar get --cert block.cert -o block.bin --json    with the whole report: who was asked, who was skipped and why

The certificate is checked first, and what comes back is compared with its commitments before a byte is written. The
output file appears whole or not at all.";

/// Options of `ashlar get`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GetArgs {
    /// The certificate
    #[arg(long, value_name = "FILE")]
    pub cert: PathBuf,
    /// Where to write the payload; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Where to look
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = From::Auto)]
    pub from: From,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub disperser: DisperserOption,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reader: ReaderOption,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

/// Where to look for a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// The disperser first, then the operators
    Auto,
    /// The disperser only
    Relay,
    /// The operators only
    Operators,
}

/// What a fetch needs.
pub struct Fetch {
    /// Where to look.
    pub from: Source,
    /// The operator table.
    pub stake: Arc<dyn StakeSource>,
    /// Dispersers that may have the payload.
    pub relays: Vec<Server>,
    /// When to give up.
    pub deadline: Duration,
}

#[derive(Serialize)]
struct GetOut<'a> {
    file: String,
    sha256: String,
    #[serde(flatten)]
    report: &'a Report,
}

/// Runs `ashlar get`.
///
/// # Errors
/// The certificate is refused (3), or the payload cannot be had (4) or not in time (5). Nothing is written then.
pub async fn run(ui: Ui, args: GetArgs) -> CliResult {
    let (certificate, _) = cert::read(&args.cert)?;
    let (stake, policy) = args.reader.open()?;
    let verified = cert::check(&args.cert, &certificate, &policy)?;
    let (from, relays) = match args.from {
        From::Operators => (Source::Operators, Vec::new()),
        From::Relay => (Source::Relay, vec![relay(&args.disperser.resolve()?)?]),
        // Without a disperser, `auto` is left with the operators.
        From::Auto => match args.disperser.resolve() {
            Ok(url) => (Source::Auto, vec![relay(&url)?]),
            Err(_) => (Source::Operators, Vec::new()),
        },
    };
    let fetch = Fetch {
        from,
        stake,
        relays,
        deadline: Duration::from_secs(args.timeout),
    };
    let length = verified.blob_header().payload_len;
    let bar = ui.progress(1, &format!("fetching {}", ui::bytes(length)));
    let result = self::fetch(&fetch, &verified).await;
    bar.finish_and_clear();
    let (payload, report) = result?;

    tell_skipped(ui, &report);
    if args.out.as_os_str() == "-" {
        ui.note(summary(&report));
        return ui::write_stdout(&payload);
    }
    files::write_atomically(&args.out, &payload, Access::Everyone)?;
    let out = GetOut {
        file: args.out.display().to_string(),
        sha256: format!("0x{}", hex::encode(ashlar_crypto::sha256(&[&payload]))),
        report: &report,
    };
    ui.data(&out, || {
        format!(
            "{}\nwrote {}, SHA-256 {}",
            summary(&report),
            out.file,
            out.sha256
        )
    })
}

/// Fetches the payload of a checked certificate.
///
/// # Errors
/// As [`run`]; the error names those who were skipped.
pub async fn fetch(fetch: &Fetch, verified: &VerifiedCertificate) -> CliResult<(Vec<u8>, Report)> {
    let retriever = retriever(fetch)?;
    match retriever.fetch(verified, fetch.from).await {
        Ok(found) => Ok((found.payload, found.report)),
        Err(error) => {
            let exit = match error.kind {
                RetrieveErrorKind::Deadline { .. } => Exit::Timeout,
                RetrieveErrorKind::EncodedWrongly { .. }
                | RetrieveErrorKind::Payload(_)
                | RetrieveErrorKind::OtherDomain { .. }
                | RetrieveErrorKind::WrongTable { .. } => Exit::Refused,
                _ => Exit::Unavailable,
            };
            let mut failure = CliError::coded(exit, "could not get the payload", &error.kind);
            for skipped in &error.report.skipped {
                failure = failure.because(format!(
                    "{}: {} [{}]",
                    who(skipped),
                    skipped.reason,
                    skipped.code
                ));
            }
            Err(failure.next("start or reach more operators, raise --timeout, or try --from auto"))
        }
    }
}

fn relay(url: &str) -> CliResult<Server> {
    Server::at(url).map_err(|error| CliError::coded(Exit::Usage, "no such relay", &error))
}

fn retriever(fetch: &Fetch) -> CliResult<Retriever> {
    let config = RetrieverConfig {
        relays: fetch.relays.clone(),
        deadline: fetch.deadline,
        ..RetrieverConfig::default()
    };
    crate::daemon::install_crypto();
    Retriever::new(config, Arc::clone(&fetch.stake), network()?)
        .map_err(|error| CliError::coded(Exit::Usage, "could not set up the retriever", &error))
}

/// How operators are asked by readers, who are nobody in particular: with a fresh key for each run.
///
/// # Errors
/// There is no randomness, or no QUIC.
pub fn network() -> CliResult<Arc<ashlar_net::Client>> {
    let key = NetworkKey::from_seed(files::random()?);
    let network = ashlar_net::Client::new(&key, NetLimits::default());
    let failed = |error| CliError::coded(Exit::Failure, "could not set up QUIC", &error);
    Ok(Arc::new(network.map_err(failed)?))
}

fn who(skipped: &ashlar_retriever::Skipped) -> String {
    match (skipped.index, &skipped.operator) {
        (Some(index), Some(id)) => {
            format!(
                "operator {index} ({}) at {}",
                crate::operators::short(&id.to_string()),
                skipped.address
            )
        }
        _ => format!("relay {}", skipped.address),
    }
}

fn tell_skipped(ui: Ui, report: &Report) {
    for skipped in &report.skipped {
        ui.note(format!(
            "skipped {}: {} [{}]",
            who(skipped),
            skipped.reason,
            skipped.code
        ));
    }
}

fn summary(report: &Report) -> String {
    let time = ui::millis(report.stages.total_ms);
    let size = ui::bytes(report.payload_bytes);
    match report.via {
        Some(RetrievalPath::Relay) => format!(
            "{size} from the relay {} in {time}, checked against the commitments",
            report.relay.as_deref().unwrap_or("that was asked")
        ),
        Some(via) => format!(
            "{size} from {} operators in {time}: {} of {} slices needed, {} fetched{}",
            report
                .operators
                .iter()
                .filter(|operator| operator.good > 0)
                .count(),
            report.slices_good,
            report.slices_needed,
            ui::bytes(report.bytes_fetched),
            if via == RetrievalPath::Audit {
                ", audited chunk by chunk"
            } else {
                ""
            },
        ),
        None => format!("{size}: not found"),
    }
}
