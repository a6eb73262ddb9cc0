//! `ashlar node clock`, `protection` and `equivocations`: what an operator does with a node's database beside running it.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ashlar_crypto::bls::PublicKeyBytes;
use ashlar_node::protection::{self, MAX_FILE_BYTES, ProtectionFile};
use ashlar_node::store::{DiskStore, IndexProgress, Store};
use ashlar_node::{Database, NodeConfig, database, scrub};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{CONFIG, RunningNodeArgs};
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;
use crate::ui::{self, Ui, pairs};

/// The commands of `ashlar node clock`.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Take this machine's clock for right, after a stop of more than an hour or a clock that was wrong. The node has to be
    /// stopped. Says what will expire by it, and asks
    Accept(AcceptArgs),
}

/// Options of `ashlar node clock accept`.
#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// The commands of `ashlar node protection`.
#[derive(Debug, Subcommand)]
pub enum ProtectionCommand {
    /// End signing with this database for ever, and write what another one needs to know. It has to be stopped
    Export(ExportArgs),
    /// Refuse from now on everything that the file says may have been signed. It has to be stopped
    Import(ImportArgs),
}

/// Options of `ashlar node protection export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Where to write the file; an existing one is never overwritten
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The configuration, of a node or of a remote signer [default: node.toml, or signer.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Do not end signing: a file to look at, that nobody may import
    #[arg(long)]
    pub snapshot: bool,
}

/// Options of `ashlar node protection import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The configuration, of a node or of a remote signer [default: node.toml, or signer.toml]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Make the database first: for a key that was moved to this machine and has none here
    #[arg(long)]
    pub new_database: bool,
}

/// Options of `ashlar node retire`.
#[derive(Debug, Args)]
pub struct RetireArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Options of `ashlar node verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
}

/// What a node's or a remote signer's database is opened with.
pub(crate) type Local = (NodeConfig, PublicKeyBytes);

/// A node's configuration and its BLS public key, which needs no password.
pub(crate) fn local(config: &Path) -> CliResult<Local> {
    let config = super::load(config)?;
    let remote = config
        .remote_signer()
        .map_err(|error| CliError::coded(Exit::Usage, "could not use the configuration", &error))?;
    let key = match remote {
        Some(signer) => signer.bls_public_key.to_bytes(),
        None => keys::bls_public(&config.paths.bls_key)?,
    };
    Ok((config, key))
}

/// Makes the database of a new key, and its marker.
///
/// # Errors
/// The key has a database already, or it cannot be made.
pub(crate) fn new_database((config, key): &Local) -> CliResult {
    open(config, key, Database::New).map(drop)
}

fn open(config: &NodeConfig, key: &PublicKeyBytes, which: Database) -> CliResult<DiskStore> {
    database::open(config, ashlar_proto::operator_id(key), which).map_err(|error| {
        CliError::coded(
            Exit::Failure,
            format!(
                "could not open the database {}",
                config.paths.data.display()
            ),
            &error,
        )
    })
}

fn failed<E: ashlar_crypto::Coded + std::error::Error>(what: &str, error: &E) -> CliError {
    CliError::coded(Exit::Failure, what, error)
}

pub(super) fn now_ms() -> CliResult<u64> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .ok_or_else(|| {
            CliError::new(
                Exit::Failure,
                "clock.before_1970",
                "this machine's clock stands before 1970",
            )
        })
}

#[derive(Debug, Serialize)]
struct AcceptOut {
    kept_ms: Option<u64>,
    accepted_ms: u64,
    windows_ending: Vec<u64>,
}

/// Runs `ashlar node clock`.
///
/// # Errors
/// The node runs, its database is not the key's, or the person does not agree.
pub(super) fn clock(ui: Ui, command: &ClockCommand) -> CliResult {
    let ClockCommand::Accept(args) = command;
    let (config, key) = local(&args.config)?;
    let store = open(&config, &key, Database::Existing)?;
    let read = |error: &_| failed("could not read the database", error);
    let kept_ms = store.kept_time().map_err(|error| read(&error))?;
    let accepted_ms = now_ms()?;
    let mut windows_ending: Vec<u64> = store
        .windows()
        .map_err(|error| read(&error))?
        .iter()
        .map(|window| window.0)
        .collect();
    windows_ending.retain(|end| *end <= accepted_ms / 1000);
    let out = AcceptOut {
        kept_ms,
        accepted_ms,
        windows_ending,
    };
    let ending = match out.windows_ending.last() {
        None => "nothing that is held expires by it".to_owned(),
        Some(last) => format!(
            "{} windows of data end by {} and will be DROPPED when the node runs",
            out.windows_ending.len(),
            ui::utc(last.saturating_mul(1000))
        ),
    };
    crate::clock::confirm(ui, kept_ms, accepted_ms, &ending, args.yes)?;
    store
        .keep_time(accepted_ms)
        .map_err(|error| failed("could not keep the time", &error))?;
    ui.data(&out, || format!("accepted: it is {}", ui::utc(accepted_ms)))
}

/// Runs `ashlar node verify`.
///
/// # Errors
/// The node runs, its database is not the key's, or something is damaged ([`Exit::Refused`]).
pub(super) fn verify(ui: Ui, args: &VerifyArgs) -> CliResult {
    let (config, key) = local(&args.config)?;
    let store = open(&config, &key, Database::Existing)?;
    let bar = ui.progress(store.totals().bytes, "reading");
    let mut report = scrub::verify(&store, |so_far| bar.set_position(so_far.bytes));
    bar.finish_and_clear();
    report.finished_at = now_ms()? / 1000;
    if report.corrupt > 0 {
        let what = format!(
            "of what {} signed records promise, {} parts are damaged or missing",
            report.promises, report.corrupt
        );
        let error = CliError::new(Exit::Refused, "node.damaged", what);
        let error = (report.examples.iter()).fold(error, |error, why| error.because(why.clone()));
        return Err(error.next("start the node: it repairs this out of what its peers hold, and says how in ashlar node status"));
    }
    ui.data(&report, || {
        pairs! {
            "signed records": report.promises,
            "batches": report.batches,
            "blobs": report.blobs,
            "bytes": report.bytes,
            "damaged": report.corrupt,
        }
    })
}

#[derive(Debug, Serialize)]
struct RetireOut {
    operator_id: String,
    batches: u64,
    /// When the last of them expires, seconds since 1970; none if nothing is held.
    held_until: Option<u64>,
}

/// Runs `ashlar node retire`.
///
/// # Errors
/// The node runs, its database is not the key's, or the person does not agree.
pub(super) fn retire(ui: Ui, args: &RetireArgs) -> CliResult {
    let (config, key) = local(&args.config)?;
    if !config.signer.address.is_empty() {
        return Err(CliError::usage("the key is in a remote signer")
            .next("end signing there: ashlar signer protection export FILE"));
    }
    let store = open(&config, &key, Database::Existing)?;
    let windows = store.windows();
    let windows = windows.map_err(|error| failed("could not read the database", &error))?;
    let out = RetireOut {
        operator_id: ashlar_proto::operator_id(&key).to_string(),
        batches: store.totals().batches,
        held_until: windows.last().map(|window| window.0),
    };
    ui.note(format!(
        "operator {} will sign nothing any more, for ever",
        out.operator_id
    ));
    if !(args.yes || crate::clock::agreed("has another key taken its place?")?) {
        let what = "nothing has changed";
        return Err(CliError::new(Exit::Usage, "node.not_retired", what)
            .next("answer with yes, or give --yes"));
    }
    store
        .end_signing()
        .map_err(|error| failed("could not end signing", &error))?;
    ui.data(&out, || match out.held_until {
        None => "retired; nothing is held: the node can be switched off".to_owned(),
        Some(end) => format!(
            "retired; keep the node running until {}, when the last of {} batches has expired: until then it serves them, and answers challenges",
            ui::utc(end.saturating_mul(1000)),
            out.batches
        ),
    })
}

#[derive(Debug, Serialize)]
struct ExportOut {
    file: PathBuf,
    snapshot: bool,
    floors: usize,
}

/// Runs `ashlar node protection` and `ashlar signer protection`: `config` is the configuration's name if none is given.
///
/// # Errors
/// See the commands.
pub(crate) fn protection(
    ui: Ui,
    command: &ProtectionCommand,
    config: &Path,
    load: fn(&Path) -> CliResult<Local>,
) -> CliResult {
    match command {
        ProtectionCommand::Export(args) => {
            export(ui, args, || load(args.config.as_deref().unwrap_or(config)))
        }
        ProtectionCommand::Import(args) => {
            import(ui, args, || load(args.config.as_deref().unwrap_or(config)))
        }
    }
}

fn export(ui: Ui, args: &ExportArgs, local: impl FnOnce() -> CliResult<Local>) -> CliResult {
    // Before signing ends: a file that cannot be written should cost nothing.
    files::refuse_existing(&args.file)?;
    let (config, key) = local()?;
    let store = open(&config, &key, Database::Existing)?;
    let made = if args.snapshot {
        protection::snapshot(&store, &key, now_ms()?)
    } else {
        protection::export(&store, &key, now_ms()?)
    };
    let (text, floors) = made
        .and_then(|file| Ok((file.to_json()?, file.floors.len())))
        .map_err(|error| failed("could not export", &error))?;
    files::write_atomically(&args.file, text.as_bytes(), Access::Owner)
        .map_err(|error| error.next("export again, to a place that can be written"))?;
    let out = ExportOut {
        file: args.file.clone(),
        snapshot: args.snapshot,
        floors,
    };
    ui.data(&out, || {
        let what = if out.snapshot {
            "a snapshot, not for moving"
        } else {
            "this database signs no more"
        };
        format!(
            "wrote {} with {} floors: {what}",
            out.file.display(),
            out.floors
        )
    })
}

fn import(ui: Ui, args: &ImportArgs, local: impl FnOnce() -> CliResult<Local>) -> CliResult {
    let what = format!("could not import {}", args.file.display());
    let file = ProtectionFile::parse(&files::read_text(&args.file, MAX_FILE_BYTES)?)
        .map_err(|error| CliError::coded(Exit::Usage, what.clone(), &error))?;
    let (config, key) = local()?;
    let done = if args.new_database {
        let owner = ashlar_proto::operator_id(&key);
        database::create(&config, owner, |store| {
            let done = file.import(store, &key)?;
            // What was promised elsewhere is fetched from peers; floors cover it, so that signing need not wait for them.
            store.keep_index_progress(&IndexProgress {
                may_sign: true,
                ..IndexProgress::default()
            })?;
            Ok(done)
        })
        .map(|(_, done)| done)
    } else {
        file.import(&open(&config, &key, Database::Existing)?, &key)
    };
    let done = done.map_err(|error| CliError::coded(Exit::Refused, what, &error))?;
    ui.data(&done, || {
        format!(
            "{} floors, {} of them higher than before: every number up to them is refused from now on",
            done.floors, done.raised
        )
    })
}

/// Runs `ashlar node equivocations`.
///
/// # Errors
/// The node does not answer.
pub(super) async fn equivocations(ui: Ui, which: &RunningNodeArgs) -> CliResult {
    let base = which.base()?;
    let value = crate::http::get_json(&format!("{base}/v1/equivocations"), "the node").await?;
    ui.data(&value, || super::outline(&value, 0))
}
