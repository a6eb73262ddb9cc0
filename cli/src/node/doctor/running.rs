//! What only a running node knows.

use std::net::SocketAddr;

use ashlar_node::NodeConfig;
use ashlar_node::health::HealthReport;
use ashlar_node::reach::{Reach, Reachability};
use ashlar_node::refusals::{Refusal, RefusalList};
use ashlar_proto::{Block, OperatorId};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Report;
use crate::error::CliResult;
use crate::node::upkeep;
use crate::ui;

/// A rate that was measured for less time says little.
const LEAST_UPTIME_SECS: u64 = 3600;
/// A node that is so many blocks behind follows too slowly, or not at all.
const BEHIND: u64 = 60;
/// What was refused longer ago is history.
const RECENT_MS: u64 = 3600 * 1000;

/// The part of a node's status that is looked at.
#[derive(Debug, Deserialize)]
pub(super) struct Status {
    software: String,
    operator_id: OperatorId,
    quic: Option<SocketAddr>,
    http: Option<SocketAddr>,
    uptime_secs: u64,
    head: Option<Block>,
    signed_batches: u64,
    stored_bytes: u64,
    custody: Option<Custody>,
    health: HealthReport,
}

#[derive(Debug, Deserialize)]
struct Custody {
    open: Vec<Challenge>,
    missed: u64,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    challenge: u64,
    blocks_left: u64,
    answered: bool,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Ready {
    ready: bool,
    reasons: Vec<ashlar_node::health::Reason>,
}

/// Whether the node runs.
pub(super) enum Running {
    Up(Box<Status>),
    Down { why: String },
}

impl Running {
    /// Asks it.
    ///
    /// # Errors
    /// HTTP cannot be set up.
    pub(super) async fn ask(base: &str, own: OperatorId) -> CliResult<Self> {
        Ok(match get::<Status>(base, "status").await {
            Ok(status) if status.operator_id == own => Self::Up(Box::new(status)),
            Ok(status) => Self::Down {
                why: format!("at {base} is operator {}, not {own}", status.operator_id),
            },
            Err(why) => Self::Down { why },
        })
    }

    /// Bytes a second that it stores, if it has run for long enough to say.
    pub(super) fn rate(&self) -> Option<u64> {
        match self {
            Self::Up(status) if status.uptime_secs >= LEAST_UPTIME_SECS => {
                Some(status.stored_bytes / status.uptime_secs)
            }
            _ => None,
        }
    }
}

async fn get<T: DeserializeOwned>(base: &str, path: &str) -> Result<T, String> {
    let url = format!("{base}/v1/{path}");
    let value = crate::http::get_json_within(&url, "the node", crate::http::PATIENT).await;
    let value = value.map_err(|error| format!("{}: {}", error.what, error.why.join(": ")))?;
    serde_json::from_value(value).map_err(|error| format!("{url}: {error}"))
}

/// Looks at all of it. `newest` is the newest block that this command has found.
pub(super) async fn look(
    report: &mut Report,
    config: &NodeConfig,
    base: &str,
    status: &Status,
    newest: Option<Block>,
) {
    let up = ui::span(status.uptime_secs.saturating_mul(1000));
    report.ok(
        "node",
        format!(
            "{} runs for {up}, signed {} batches since",
            status.software, status.signed_batches
        ),
    );
    ports(report, config, status);
    follows(report, status, newest);
    let ready = get(base, "ready").await;
    well(report, &status.health, ready);
    let reachability = get(base, "reachability").await;
    reached(report, reachability);
    if let Some(custody) = &status.custody {
        challenged(report, custody);
    }
    match get::<RefusalList>(base, "refusals").await {
        Ok(list) => refused(report, &list.refusals, upkeep::now_ms().unwrap_or(u64::MAX)),
        Err(why) => report.unknown("refusals", why),
    }
}

fn ports(report: &mut Report, config: &NodeConfig, status: &Status) {
    let listen = &config.listen;
    let (quic, http) = (listen.quic.port(), listen.http.port());
    let bound = |at: Option<SocketAddr>| at.map(|at| at.port());
    let same = |configured, bound| configured == 0 || bound == Some(configured);
    let text = |at: Option<SocketAddr>| at.map_or("nowhere".to_owned(), |at| at.to_string());
    let says = format!(
        "QUIC at {}, HTTP at {}",
        text(status.quic),
        text(status.http)
    );
    if same(quic, bound(status.quic)) && same(http, bound(status.http)) {
        return report.ok("ports", says);
    }
    let says = format!("{says}; the configuration says UDP {quic} and TCP {http}");
    report.warn(
        "ports",
        says,
        "it was changed since the start: restart the node",
    );
}

fn follows(report: &mut Report, status: &Status, newest: Option<Block>) {
    const CHECK: &str = "follows";
    let (Some(newest), Some(head)) = (newest, status.head) else {
        return report.unknown(CHECK, "no newest block is known");
    };
    let behind = newest.0.saturating_sub(head.0);
    let says = format!("the node is at block {head}, the newest is {newest}");
    match behind > BEHIND {
        true => report.warn(
            CHECK,
            says,
            "look at its log: the ledger may be out of its reach",
        ),
        false => report.ok(CHECK, says),
    }
}

/// What the node says of itself.
fn well(report: &mut Report, health: &HealthReport, ready: Result<Ready, String>) {
    const CHECK: &str = "health";
    let next = "see Health in the operator guide";
    let ready = match ready {
        Ok(ready) => ready,
        Err(why) => return report.unknown(CHECK, why),
    };
    for reason in &ready.reasons {
        let says = format!("signs nothing: {} [{}]", reason.message, reason.code);
        report.fail(CHECK, says, next);
    }
    let halts = |code: &str| ready.reasons.iter().any(|reason| reason.code == code);
    for reason in health.reasons.iter().filter(|reason| !halts(&reason.code)) {
        let says = format!("{} [{}]", reason.message, reason.code);
        report.warn(CHECK, says, next);
    }
    for notice in &health.notices {
        report.ok(
            CHECK,
            format!("notice: {} [{}]", notice.message, notice.code),
        );
    }
    if ready.ready && health.reasons.is_empty() {
        report.ok(CHECK, "ready, and signs what it is sent");
    }
}

/// What its peers say.
fn reached(report: &mut Report, asked: Result<Reachability, String>) {
    const CHECK: &str = "reachable";
    let asked = match asked {
        Ok(asked) => asked,
        Err(why) => return report.unknown(CHECK, why),
    };
    let Some(address) = asked.address else {
        return report.unknown(CHECK, "it is not in the table, so it has no address");
    };
    let of = |reach| asked.peers.iter().filter(move |peer| peer.reach == reach);
    let (yes, no) = (of(Reach::Reached).count(), of(Reach::Unreachable).count());
    if yes > 0 {
        let says = format!("{yes} of {} operators reach {address}", yes + no);
        return match no {
            0 => report.ok(CHECK, says),
            _ => report.warn(CHECK, says, "does a firewall treat networks differently?"),
        };
    }
    let why = asked.peers.iter().find_map(|peer| peer.message.as_deref());
    let why = why.unwrap_or("there is no other operator");
    if no > 0 {
        let says = format!("none of {no} operators reaches {address}: {why}");
        let next = "is the UDP port open and forwarded, and does the table's address lead here?";
        return report.fail(CHECK, says, next);
    }
    report.unknown(
        CHECK,
        format!("no operator could say whether {address} is reached: {why}"),
    );
}

fn challenged(report: &mut Report, custody: &Custody) {
    const CHECK: &str = "custody";
    let next = "see Custody challenges in the operator guide, now";
    for challenge in custody.open.iter().filter(|challenge| !challenge.answered) {
        let (number, left) = (challenge.challenge, challenge.blocks_left);
        let says = format!("challenge {number} is open, {left} blocks are left");
        match &challenge.problem {
            Some(problem) => report.fail(CHECK, format!("{says}: {problem}"), next),
            None => report.warn(CHECK, says, "the node works on it"),
        }
    }
    match custody.missed {
        0 if custody.open.is_empty() => report.ok(CHECK, "no challenge is open"),
        0 => {}
        missed => report.fail(CHECK, format!("{missed} challenges ended unanswered"), next),
    }
}

/// Why it did not sign.
fn refused(report: &mut Report, refusals: &[Refusal], now_ms: u64) {
    const CHECK: &str = "refusals";
    if refusals.is_empty() {
        return report.ok(CHECK, "no batch was refused since the start");
    }
    for refusal in refusals {
        let whose = match refusal.disperser {
            Some(id) => format!("disperser {id}"),
            None => "nobody who is registered".to_owned(),
        };
        let ago = now_ms.saturating_sub(refusal.last_ms);
        let says = format!(
            "{} of {whose}, the last {} ago ({}): {} [{}]",
            match refusal.times {
                1 => "a batch".to_owned(),
                times => format!("{times} batches"),
            },
            ui::millis(ago),
            refusal.batch,
            refusal.message,
            refusal.code
        );
        match (refusal.disperser, ago < RECENT_MS) {
            (Some(_), true) => report.warn(CHECK, says, remedy(&refusal.code)),
            _ => report.ok(CHECK, says),
        }
    }
}

/// What to do about a refusal.
fn remedy(code: &str) -> &'static str {
    match code {
        "validate.too_old" | "validate.from_future" => {
            "a clock is wrong: this machine's, if all dispersers get it"
        }
        "validate.reference_unknown" => "this node's operator table is behind the disperser's",
        "validate.reference_stale" => "the disperser's operator table is behind this node's",
        "validate.table_root" => "the disperser has another operator table for that block: compare",
        "validate.version_not_served" => "add the version to accept.versions, or upgrade",
        "node.overloaded" => "a slow disk or CPU, or [load] is too small",
        "node.daily_bytes" => {
            "the disperser's share of the day is used up: the disk is too small for this stake, or store.daily_bytes is"
        }
        "node.not_accepting" => "see health: something stopped signing",
        "net.too_slow" | "net.timeout" | "net.busy" => {
            "the disperser's connection, or this machine's, is too slow or too busy"
        }
        "store.sequence_conflict" => {
            "the disperser used a number twice: ashlar node equivocations shows the evidence"
        }
        "store.no_space" | "store.io" => "look at the disk",
        _ => {
            "the disperser's fault, unless others sign what it sends: see Troubleshooting in the operator guide"
        }
    }
}

#[cfg(test)]
mod tests;
