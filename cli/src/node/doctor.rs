//! `ashlar node doctor`: looks at everything that keeps a node from signing, and says what to do about it.
//!
//! What a stopped node can be asked for is asked of its files and of its operator table: here. What only a running one knows, it is
//! asked for over its own HTTP: [`running`]. Disk and clock are looked at either way: [`disk`], [`ntp`].

mod disk;
mod ntp;
mod running;

use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ashlar_crypto::Coded;
use ashlar_node::{Database, NodeConfig, database};
use ashlar_proto::time::{MAX_BEHIND, MAX_DISAGREEMENT};
use ashlar_proto::{OperatorId, TableAccess};
use ashlar_stake::{OperatorTable, StakeError, StakeSource};
use clap::Args;
use serde::Serialize;

use super::{CONFIG, upkeep};
use crate::context::open_table;
use crate::error::{CliError, CliResult, Exit};
use crate::operators::describe;
use crate::ui::{self, Ui};
use crate::{daemon, keys};

/// Options of `ashlar node doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The node's configuration
    #[arg(long, value_name = "FILE", default_value = CONFIG)]
    pub config: PathBuf,
    /// The node's own HTTP address [default: that of the configuration]
    #[arg(long, value_name = "URL")]
    pub http: Option<String>,
}

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    /// It could not be found out.
    Unknown,
    /// It will be a problem, or is a small one.
    Warn,
    /// The node cannot do its job.
    Fail,
}

/// What one check says.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    grade: Grade,
    says: String,
    /// What to do.
    next: Option<String>,
}

/// What all say, in the order of the checks.
#[derive(Debug, Default, Serialize)]
struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn add(
        &mut self,
        check: &'static str,
        grade: Grade,
        says: impl Into<String>,
        next: Option<&str>,
    ) {
        self.findings.push(Finding {
            check,
            grade,
            says: says.into(),
            next: next.map(str::to_owned),
        });
    }

    fn ok(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, Grade::Ok, says, None);
    }

    fn unknown(&mut self, check: &'static str, says: impl Into<String>) {
        self.add(check, Grade::Unknown, says, None);
    }

    fn warn(&mut self, check: &'static str, says: impl Into<String>, next: &str) {
        self.add(check, Grade::Warn, says, Some(next));
    }

    fn fail(&mut self, check: &'static str, says: impl Into<String>, next: &str) {
        self.add(check, Grade::Fail, says, Some(next));
    }

    /// As an error of the command line says it.
    fn error(&mut self, check: &'static str, error: &CliError) {
        let why = error.why.join(": ");
        let says = format!("{}: {why} [{}]", error.what, error.code);
        self.add(check, Grade::Fail, says, error.next.as_deref());
    }

    fn text(&self) -> String {
        let width = self.findings.iter().map(|f| f.check.len()).max();
        let width = width.unwrap_or(0);
        let mut out = String::new();
        for finding in &self.findings {
            let grade = match finding.grade {
                Grade::Ok => "ok     ",
                Grade::Unknown => "unknown",
                Grade::Warn => "WARN   ",
                Grade::Fail => "FAIL   ",
            };
            let (check, says) = (finding.check, &finding.says);
            out.push_str(&format!("{grade}  {check:<width$}  {says}\n"));
            if let Some(next) = &finding.next {
                out.push_str(&format!("{:width$}{next}\n", "", width = 11 + width));
            }
        }
        out
    }
}

/// Runs `ashlar node doctor`.
///
/// # Errors
/// A check failed (1).
pub(super) fn run(ui: Ui, args: &DoctorArgs) -> CliResult {
    let mut report = Report::default();
    let (config, own) = match upkeep::local(&args.config) {
        Ok((config, bls)) => {
            let path = args.config.display().to_string();
            report.ok("config", format!("{path} can be used"));
            (config, ashlar_proto::operator_id(&bls))
        }
        Err(error) => {
            report.error("config", &error);
            return end(ui, &report);
        }
    };
    let base = match &args.http {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{}", config.listen.http),
    };
    let node = daemon::block_on(running::Running::ask(&base, own))?;
    look_at_keys(&mut report, &config);
    if let running::Running::Down { why } = &node {
        look_at_stopped(&mut report, &config, own, why);
    }
    let table = look_at_table(&mut report, &config, own);
    let kept = daemon::block_on(async { Ok(ntp::is_kept().await) })?;
    ntp::look(&mut report, kept);
    for folder in config.data_folders() {
        disk::look(&mut report, &config, folder, node.rate());
    }
    if let running::Running::Up(status) = &node {
        let head = table.as_deref().map(|table| table.header().reference_block);
        daemon::block_on(async {
            running::look(&mut report, &config, &base, status, head).await;
            Ok(())
        })?;
    }
    end(ui, &report)
}

fn end(ui: Ui, report: &Report) -> CliResult {
    ui.data(report, || report.text())?;
    let count = |grade| report.findings.iter().filter(|f| f.grade == grade).count();
    match count(Grade::Fail) {
        0 => Ok(()),
        failed => {
            let all = report.findings.len();
            let what = format!("{failed} of {all} checks failed");
            Err(CliError::new(Exit::Failure, "node.unwell", what))
        }
    }
}

/// Both keystores are there, and only their owner reads them.
fn look_at_keys(report: &mut Report, config: &NodeConfig) {
    const CHECK: &str = "keys";
    if let Err(error) = keys::network_public(&config.paths.network_key) {
        return report.error(CHECK, &error);
    }
    let paths = &config.paths;
    for path in [&paths.bls_key, &paths.network_key, &paths.password_file] {
        let mode = std::fs::metadata(path).map(|about| about.mode() & 0o077);
        if mode.is_ok_and(|others| others != 0) {
            let says = format!("{} can be read by others than its owner", path.display());
            return report.warn(CHECK, says, "chmod 600 it");
        }
    }
    report.ok(
        CHECK,
        "both keystores are there, and nobody else reads them",
    );
}

/// Whether the node could be started.
fn look_at_stopped(report: &mut Report, config: &NodeConfig, own: OperatorId, why: &str) {
    let next = "start it, or say where it answers: --http";
    report.fail("node", format!("no node answers: {why}"), next);
    match database::open(config, own, Database::Existing) {
        Ok(store) => report.ok(
            "database",
            format!("{} opens, and is the key's", store.id()),
        ),
        Err(error) => {
            let says = format!("{error} [{}]", error.code());
            let next = "the operator guide says what to do about this code; never make a new database for a key that has signed";
            report.fail("database", says, next);
        }
    }
    let listen = &config.listen;
    let quic = UdpSocket::bind(listen.quic).map(drop);
    let http = TcpListener::bind(listen.http).map(drop);
    for (bound, what) in [
        (quic, format!("UDP {} (listen.quic)", listen.quic)),
        (http, format!("TCP {} (listen.http)", listen.http)),
    ] {
        match bound {
            Ok(()) => report.ok("ports", format!("{what} is free")),
            Err(error) => {
                let next = "does another process have it, or is it not of this machine?";
                report.fail("ports", format!("{what}: {error}"), next);
            }
        }
    }
}

/// The newest operator table, and this operator's place in it.
fn look_at_table(
    report: &mut Report,
    config: &NodeConfig,
    own: OperatorId,
) -> Option<Arc<OperatorTable>> {
    const CHECK: &str = "table";
    let source = match open_table(&config.operators) {
        Ok(source) => source,
        Err(error) => {
            report.error(CHECK, &error);
            return None;
        }
    };
    let table = source.newest();
    let table = match table {
        Ok(table) => table,
        Err(error) => {
            stake_error(report, &error);
            return None;
        }
    };
    match source.health() {
        Ok(()) => report.ok("sources", format!("{} can be followed", config.operators)),
        Err(error) => stake_error(report, &error),
    }
    look_at_clock(report, source.as_ref());
    look_at_entry(report, config, own, &table);
    look_at_versions(report, config, &table);
    Some(table)
}

fn stake_error(report: &mut Report, error: &StakeError) {
    let says = format!("{error} [{}]", error.code());
    let next = "see From a restaking ledger in the operator guide";
    match error {
        StakeError::Contradiction(_) => report.fail("sources", says, next),
        _ => report.warn("sources", says, next),
    }
}

/// This machine's clock against the newest signed head's.
fn look_at_clock(report: &mut Report, source: &dyn StakeSource) {
    const CHECK: &str = "clock";
    let now = upkeep::now_ms().ok();
    let (Some(now), Some(head)) = (now, source.head_time_ms()) else {
        let says = "nobody signs heads here, so nothing vouches for the time: compare it with another clock (timedatectl, chronyc tracking)";
        return report.unknown(CHECK, says);
    };
    let apart = now.abs_diff(head);
    let side = if now < head { "behind" } else { "ahead of" };
    let says = format!(
        "this machine is {} {side} the newest signed head",
        ui::millis(apart)
    );
    let next = "set the clock, by NTP; or the ledger stands still";
    let (small, large) = (MAX_BEHIND.as_millis(), MAX_DISAGREEMENT.as_millis());
    match u128::from(apart) {
        apart if apart > large => report.fail(CHECK, says, next),
        apart if apart > small => report.warn(CHECK, says, next),
        _ => report.ok(CHECK, says),
    }
}

/// The entry of this operator: keys, stake, chunks.
fn look_at_entry(report: &mut Report, config: &NodeConfig, own: OperatorId, table: &OperatorTable) {
    const CHECK: &str = "entry";
    let block = table.header().reference_block;
    let mut operators = table.operators().iter();
    let Some(entry) = operators.find(|entry| entry.operator_id == own) else {
        let says = format!("operator {own} is not in the table of block {block}");
        let next =
            "register it, allocate stake and opt in; or hand its entry to who keeps the table file";
        return report.fail(CHECK, says, next);
    };
    let key = keys::network_public(&config.paths.network_key).ok();
    if key.is_some_and(|key| key != entry.network_key) {
        let says = format!(
            "the table of block {block} has another network key, {}: nobody can connect",
            entry.network_key
        );
        return report.fail(
            CHECK,
            says,
            "put that key's keystore in place, or register this one",
        );
    }
    let used = table.header().versions.first();
    let shares = used.and_then(|version| describe(table, *version).ok());
    let shares = shares.and_then(|out| {
        let mut operators = out.operators.into_iter();
        operators.find(|operator| operator.operator_id == own)
    });
    let shares: Vec<String> = shares
        .iter()
        .flat_map(|operator| &operator.stakes)
        .map(|share| {
            format!(
                "{} chunks for {:.2} % of quorum {}",
                share.chunks, share.percent, share.quorum
            )
        })
        .collect();
    if shares.is_empty() {
        let says = format!("no stake in any quorum at block {block}: it gets no batches");
        return report.fail(CHECK, says, "allocate stake and opt in");
    }
    let says = format!(
        "at block {block}: {}, address {}",
        shares.join(", "),
        entry.address
    );
    report.ok(CHECK, says);
}

/// What the service uses is served.
fn look_at_versions(report: &mut Report, config: &NodeConfig, table: &OperatorTable) {
    const CHECK: &str = "versions";
    let (used, accept) = (table.versions(), &config.accept);
    match accept.refused_of(used) {
        None => {
            let says = format!("serves {:?}, the service uses {used:?}", accept.versions);
            report.ok(CHECK, says);
        }
        Some(refused) => report.fail(CHECK, refused.to_string(), refused.remedy()),
    }
}

/// A folder or the nearest one above it that exists.
fn existing(folder: &Path) -> &Path {
    let mut all = folder.ancestors();
    all.find(|path| path.exists()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
