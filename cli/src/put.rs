//! `ashlar put`: post a payload and wait for its certificate.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ashlar_client::{
    Age, BlobState, BlobStatus, ClientError, Dispersers, DispersersConfig, PayingAccount, Policy,
    PutOptions, RequiredQuorums, Submitted, Trust,
};
use ashlar_crypto::{Blame, Coded, Encoding};
use ashlar_ledger::devnet::DEPOSIT;
use ashlar_proto::api::AccountMode;
use ashlar_proto::{Account, DEFAULT_VERSION, QuorumId};
use ashlar_restaking::Amount;
use ashlar_stake::StakeSource;
use clap::Args;
use serde::Serialize;

use crate::cert::{self, VerifiedView};
use crate::context::{DisperserOption, TableOption, devnet_here};
use crate::devnet::layout::AccountEntry;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;
use crate::stake::units;
use crate::ui::{self, Ui};

/// The protocol takes no larger payload, whatever a disperser allows.
const PAYLOAD_LIMIT: u64 = ashlar_proto::HARD_MAX_PAYLOAD;
/// States on the way, for the progress bar.
const STAGES: u64 = 6;

const EXAMPLES: &str = "\
Examples:
  ashlar put block.bin --cert block.cert              the devnet in this folder, or ASHLAR_DISPERSER
  ashlar put block.bin --disperser https://da.example.com --quorums 0,1
  tar c . | ashlar put - --cert backup.cert           from standard input
  ashlar put blobs.bin --encoding eip4844             rows are EIP-4844 blobs as they are: 131072 bytes each
  ashlar put block.bin --no-wait --json               prints the id; the certificate follows later
  ashlar put block.bin --account account.json --max-price 0.01eth   signed, and paid from the account's deposit

The commitments are computed here, so the disperser can certify nothing but this payload. The certificate is checked
with the operator table (--table, ASHLAR_TABLE, or a devnet here) before it is written: of that table's service, signed by
every quorum of --quorums, and not older than operators hold data.";

/// Options of `ashlar put`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PutArgs {
    /// The file to post; - for standard input
    pub file: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub disperser: DisperserOption,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub table: TableOption,
    /// Where to write the certificate [default: FILE.cert]
    #[arg(long, value_name = "OUT")]
    pub cert: Option<PathBuf>,
    /// The quorums that are to sign
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0")]
    pub quorums: Vec<QuorumId>,
    /// How the payload fills rows: packed31 takes any bytes, eip4844 takes field elements
    #[arg(long, value_name = "NAME", default_value_t = Encoding::Packed31)]
    pub encoding: Encoding,
    /// The protocol version
    #[arg(long, value_name = "VERSION", default_value_t = DEFAULT_VERSION)]
    pub protocol: u16,
    /// Who posts: an account's key, which signs; or an address, which is only named, for dispersers that serve everybody
    /// [default: the zero account; of a devnet in .ashlar/devnet that asks who posts, its account]
    #[arg(long, value_name = "KEYFILE")]
    pub account: Option<PathBuf>,
    /// Pay so much at most: 1.5eth, 20gwei, or base units [default: nothing; a devnet's account: its deposit]
    #[arg(long, value_name = "AMOUNT", value_parser = units::amount)]
    pub max_price: Option<Amount>,
    /// Keep count of what the account has signed in this file, too [default: believe a voucher that the disperser shows]
    #[arg(long, value_name = "FILE")]
    pub vouchers: Option<PathBuf>,
    /// A file whose first line is the password of the account's key [default: ask]
    #[arg(long, value_name = "FILE", requires = "account")]
    pub password_file: Option<PathBuf>,
    /// Makes equal payloads different blobs; the same salt finds the same blob again [default: random]
    #[arg(long, value_name = "NUMBER")]
    pub salt: Option<u64>,
    /// Do not wait for the certificate
    #[arg(long, conflicts_with_all = ["cert", "timeout", "unverified"])]
    pub no_wait: bool,
    /// Write the certificate without checking it: then that the blob is available is the disperser's word alone
    #[arg(long, conflicts_with = "table")]
    pub unverified: bool,
    /// Give up waiting after this many seconds; the blob may be certified later
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: u64,
}

/// What posting needs.
pub struct Post {
    /// The disperser's URL.
    pub disperser: String,
    /// What is to be done about the certificate.
    pub check: Check,
    /// How.
    pub options: PutOptions,
    /// How long to wait for the certificate.
    pub timeout: Duration,
    /// Signs, and pays.
    pub account: Option<PayingAccount>,
}

/// What is to be done about the certificate of a blob.
pub enum Check {
    /// It is waited for, and checked with the tables of this source.
    With(Arc<dyn StakeSource>),
    /// It is waited for, and kept as the disperser sent it.
    Unverified,
    /// Nothing.
    NotAwaited,
}

impl Post {
    /// To this disperser, with the default options.
    pub fn new(disperser: String, check: Check) -> Post {
        Post {
            disperser,
            check,
            options: PutOptions::default(),
            timeout: Duration::from_secs(120),
            account: None,
        }
    }
}

/// What posting gave.
pub struct Posted {
    /// The last status.
    pub status: BlobStatus,
    /// The certificate, if it was waited for.
    pub certificate: Option<ashlar_proto::Certificate>,
    /// What checking it gave, unless it was not to be checked.
    pub verified: Option<VerifiedView>,
    /// What took how long, in order: milliseconds.
    pub stages: Vec<(String, u64)>,
}

#[derive(Serialize)]
struct PutOut {
    id: String,
    key: Option<String>,
    state: BlobState,
    payload_bytes: u64,
    payload_sha256: String,
    certificate: Option<PathBuf>,
    verified: Option<VerifiedView>,
    stages_ms: serde_json::Map<String, serde_json::Value>,
    status: BlobStatus,
}

/// Runs `ashlar put`.
///
/// # Errors
/// The payload is refused (1), nobody answers (4), or it is not certified in time (5). No certificate is written then.
pub async fn run(ui: Ui, args: PutArgs) -> CliResult {
    let mut quorums = args.quorums.clone();
    quorums.sort_unstable();
    if quorums.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(
            CliError::usage("a quorum is named twice").next("name each once: --quorums 0,1")
        );
    }
    let stdin = args.file.as_os_str() == "-";
    let payload = files::read(&args.file, PAYLOAD_LIMIT)?;
    let check = if args.no_wait {
        Check::NotAwaited
    } else if args.unverified {
        ui.note("the certificate is not checked (--unverified)");
        Check::Unverified
    } else {
        if args.table.given()?.is_none() && devnet_here()?.is_none() {
            return Err(CliError::usage(
                "no operator table is known here, so the certificate cannot be checked",
            )
            .next("name one with --table or ASHLAR_TABLE, or write the certificate as it comes: --unverified"));
        }
        Check::With(args.table.open()?)
    };
    let disperser = args.disperser.resolve()?;
    let (named, account) = who(&args, &disperser)?;
    let payload_sha256 = format!("0x{}", hex::encode(ashlar_crypto::sha256(&[&payload])));
    let payload_bytes = payload.len() as u64;
    let posted = post(
        ui,
        &Post {
            disperser,
            check,
            options: PutOptions {
                version: args.protocol,
                encoding: args.encoding,
                quorums,
                account: named,
                salt: args.salt,
            },
            timeout: Duration::from_secs(args.timeout),
            account,
        },
        payload,
    )
    .await?;

    let certificate = match &posted.certificate {
        None => None,
        Some(certificate) => {
            let path = match &args.cert {
                Some(path) => Some(path.clone()),
                None if stdin => None,
                None => Some(beside(&args.file)),
            };
            if let Some(path) = &path {
                files::write_atomically(path, &certificate.to_bytes(), Access::Everyone)?;
            }
            path
        }
    };
    let out = PutOut {
        id: posted.status.id.to_string(),
        key: posted.status.key.map(|key| key.to_string()),
        state: posted.status.state,
        payload_bytes,
        payload_sha256,
        certificate,
        verified: posted.verified,
        stages_ms: posted
            .stages
            .iter()
            .map(|(name, ms)| (name.clone(), (*ms).into()))
            .collect(),
        status: posted.status,
    };
    ui.data(&out, || out.text(&posted.stages))
}

/// The account that is named, and the one that signs, if it does.
fn who(args: &PutArgs, disperser: &str) -> CliResult<(Account, Option<PayingAccount>)> {
    let pays = args.max_price.is_some() || args.vouchers.is_some();
    let cannot = |why| Err(CliError::usage(why).next("name the account's key: --account KEYFILE"));
    let mut account = match &args.account {
        None => match devnet_here()?.filter(|here| here.disperser_url == disperser) {
            Some(devnet) if devnet.accounts != AccountMode::Open => of_devnet(&devnet.account)?,
            _ if pays => return cannot("no account is named that could pay"),
            _ => return Ok((Account::default(), None)),
        },
        Some(given) => {
            if let Some(address) = given.to_str().and_then(|text| text.parse().ok()) {
                return match pays {
                    true => cannot("an address cannot sign, so it cannot pay"),
                    false => Ok((address, None)),
                };
            }
            let prompt = "Password of the account's key";
            let password = files::password(args.password_file.as_deref(), prompt, false)?;
            PayingAccount::new(keys::open_account(given, &password)?)
        }
    };
    if let Some(limit) = args.max_price {
        account = account.max_price(limit.0);
    }
    if let Some(file) = &args.vouchers {
        account = account.counted_in(file).map_err(|error| {
            CliError::coded(Exit::Usage, "could not read the count of vouchers", &error)
        })?;
    }
    Ok((account.account(), Some(account)))
}

/// A devnet's account, which pays whatever its deposit covers.
///
/// # Errors
/// Its key cannot be opened.
pub fn of_devnet(account: &AccountEntry) -> CliResult<PayingAccount> {
    let password = files::password(Some(&account.password_file), "", false)?;
    let key = keys::open_account(&account.key, &password)?;
    Ok(PayingAccount::new(key).max_price(Amount::ether(DEPOSIT).0))
}

fn beside(file: &std::path::Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".cert");
    PathBuf::from(name)
}

/// Posts a payload and, unless told otherwise, waits for its certificate.
///
/// # Errors
/// As [`run`].
pub async fn post(ui: Ui, post: &Post, payload: Vec<u8>) -> CliResult<Posted> {
    crate::daemon::install_crypto();
    let config = DispersersConfig {
        max_payload: PAYLOAD_LIMIT,
        account: post.account.clone(),
        domain: match &post.check {
            Check::With(source) => Some(source.domain()),
            Check::Unverified | Check::NotAwaited => None,
        },
        ..DispersersConfig::new(post.disperser.clone())
    };
    let failed = |error: ClientError| failure(error, &post.disperser);
    let dispersers = Dispersers::new(config).map_err(failed)?;
    let bar = ui.progress(
        STAGES,
        &format!("committing to {}", ui::bytes(payload.len() as u64)),
    );
    let submitted = dispersers
        .put(payload, post.options.clone())
        .await
        .inspect_err(|_| bar.finish_and_clear());
    let submitted = submitted.map_err(failed)?;
    let id = submitted.id.to_string();
    let progress = |status: &BlobStatus| {
        bar.set_position(place(status.state));
        bar.set_message(describe(status));
    };
    let result = match &post.check {
        Check::NotAwaited => Ok((submitted.status.clone(), None, None)),
        Check::With(source) => {
            // What a submitter asks: that all whom it asked have signed, and that they still have to hold the blob.
            let policy = Policy::new(
                Trust::Source(Arc::clone(source)),
                RequiredQuorums::all(post.options.quorums.clone()),
                Age::Within(Duration::MAX),
            );
            dispersers
                .wait_checked(&submitted, &policy, post.timeout, progress)
                .await
                .map(|certified| {
                    let view = cert::verified_view(&certified.certificate);
                    let certificate = certified.certificate.certificate().clone();
                    (certified.status, Some(certificate), Some(view))
                })
        }
        Check::Unverified => dispersers
            .wait_unverified(&submitted, post.timeout, progress)
            .await
            .map(|said| {
                let certificate = said.certificate.into_unverified();
                (said.status, Some(certificate), None)
            }),
    };
    bar.finish_and_clear();
    let (status, certificate, verified) = result.map_err(|error| failed(error).fact("id", id))?;
    Ok(Posted {
        stages: stages(&submitted, &status),
        status,
        certificate,
        verified,
    })
}

fn place(state: BlobState) -> u64 {
    match state {
        BlobState::Queued => 1,
        BlobState::Encoding => 2,
        BlobState::Encoded => 3,
        BlobState::Batched => 4,
        BlobState::Dispersing => 5,
        BlobState::Certified | BlobState::Failed => STAGES,
    }
}

fn describe(status: &BlobStatus) -> String {
    match (&status.state, &status.batch) {
        (BlobState::Dispersing, Some(batch)) => {
            format!(
                "dispersing, {} of {} operators signed",
                batch.signers, batch.operators
            )
        }
        (state, _) => state.to_string(),
    }
}

/// What took how long: our commitments and upload, then the disperser's stages by its own clock.
fn stages(submitted: &Submitted, status: &BlobStatus) -> Vec<(String, u64)> {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let mut stages = vec![
        ("commit".to_owned(), millis(submitted.commit_time)),
        ("upload".to_owned(), millis(submitted.post_time)),
    ];
    let times = &status.stages;
    let mut before = Some(status.submitted_at_ms);
    for (name, at) in [
        ("queue", times.encoding_ms),
        ("encode", times.encoded_ms),
        ("batch", times.batched_ms),
        ("prove", times.dispersing_ms),
        ("disperse and sign", times.certified_ms),
    ] {
        if let (Some(start), Some(end)) = (before, at) {
            stages.push((name.to_owned(), end.saturating_sub(start)));
        }
        before = at.or(before);
    }
    stages
}

/// The client's error as a person needs it.
fn failure(error: ClientError, disperser: &str) -> CliError {
    match &error {
        // The disperser's own code and words say more than "refused".
        ClientError::Refused { problem, .. } => {
            let exit = match problem.status {
                404 => Exit::Unavailable,
                429 | 503 => Exit::Unavailable,
                408 | 504 => Exit::Timeout,
                _ => Exit::Failure,
            };
            let mut failure = CliError::new(exit, &problem.code, format!("the disperser {disperser} refused"));
            failure.blame = Some(error.blame());
            let failure = failure.because(problem.to_string());
            match problem.code.as_str() {
                "auth.missing" => failure.next("it serves accounts only: name the key of one with --account"),
                "voucher.too_low" => failure.next("it wants to be paid: say how much at most with --max-price"),
                _ => failure,
            }
        }
        ClientError::PriceAboveLimit { .. } => {
            CliError::coded(Exit::Refused, "the blob costs more than it may", &error).next("raise --max-price, or ask another disperser")
        }
        ClientError::Failed(reason) => {
            let mut failure = CliError::new(Exit::Failure, &reason.code, "the disperser gave the blob up");
            failure.blame = Some(Blame::Peer);
            failure.because(reason.message.clone()).next("post it again; with the same --salt it keeps its id")
        }
        ClientError::Transport { .. } => {
            CliError::coded(Exit::Unavailable, format!("the disperser {disperser} cannot be reached"), &error)
                .next("is it running, and is the URL right? A devnet here is started with: ashlar devnet")
        }
        ClientError::Deadline { .. } => {
            CliError::coded(Exit::Timeout, "the blob was not certified in time", &error).next(
                "nothing is lost: the disperser keeps trying; ask it under /v1/blobs/{id}/status, or raise --timeout",
            )
        }
        ClientError::Certificate(_)
        | ClientError::CertificateMalformed(_)
        | ClientError::OtherBlob { .. }
        | ClientError::WrongId { .. } => {
            CliError::coded(Exit::Refused, format!("what the disperser {disperser} sent does not verify"), &error)
                .next("check that the operator table is that of its network; else do not use this disperser")
        }
        _ => CliError::coded(Exit::Failure, "could not post the payload", &error),
    }
}

impl PutOut {
    fn text(&self, stages: &[(String, u64)]) -> String {
        let mut lines = vec![format!("id           {}", self.id)];
        lines.extend(self.key.iter().map(|key| format!("blob         {key}")));
        lines.push(format!("state        {}", self.state));
        lines.push(format!(
            "payload      {}, SHA-256 {}",
            ui::bytes(self.payload_bytes),
            self.payload_sha256
        ));
        if let Some(verified) = &self.verified {
            for signed in &verified.signed {
                lines.push(format!("signed       {}", signed.text().trim_start()));
            }
            lines.push(format!("signers      {} operators", verified.signers));
        }
        let stages: Vec<String> = stages
            .iter()
            .map(|(name, ms)| format!("{name} {}", ui::millis(*ms)))
            .collect();
        lines.push(format!("times        {}", stages.join(", ")));
        lines.extend(
            self.certificate
                .iter()
                .map(|path| format!("certificate  {}", path.display())),
        );
        lines.join("\n")
    }
}
