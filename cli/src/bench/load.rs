//! `ashlar bench load`: posts blobs to a running disperser and measures the time to their certificates.
//!
//! Arrivals keep their times whatever the answers do, and a blob's time counts from when it was to arrive, so that a disperser which
//! stops for a second is seen by all who would have come meanwhile. Payloads differ in every byte. Their commitments are made before
//! the clock starts; the bytes are made again from a number when they are sent, so that a long run needs no memory for them.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::{CommitmentBytes, Encoding, Rows, Setup, commit_rows};
use ashlar_proto::api::PUT_BLOB_TYPE;
use ashlar_proto::wire::PutBlob;
use ashlar_proto::{Account, DEFAULT_VERSION, HARD_MAX_PAYLOAD, QuorumId};
use ashlar_service::http::{self, Authorities, Server};
use clap::Args;
use reqwest::{Url, header};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::context::DisperserOption;
use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;

/// A disperser answers a waiting post after two minutes at the latest, unless it is told otherwise.
const PATIENCE: Duration = Duration::from_secs(150);
/// Longest time to reach it.
const CONNECTING: Duration = Duration::from_secs(10);
/// Most bytes of a status document.
const MAX_ANSWER: usize = 1 << 20;

/// Options of `ashlar bench load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Whom to post to.
    #[command(flatten)]
    pub disperser: DisperserOption,
    /// Arrivals a second, whatever the answers do; or `max`: the next post is sent when one is answered
    #[arg(long, value_name = "NUMBER|max", default_value = "2")]
    pub rate: Rate,
    /// Payload bytes of each post
    #[arg(long, value_name = "BYTES", default_value_t = 120_000, value_parser = clap::value_parser!(u64).range(1..=HARD_MAX_PAYLOAD))]
    pub size: u64,
    /// How long posts arrive
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub duration: u64,
    /// Most posts under way; at a fixed rate one that arrives beyond them is not sent and has failed
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub connections: u32,
    /// How many payloads to commit to beforehand; with `max` the run ends when they are used up [default: as many as arrive, with
    /// `max` 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub payloads: Option<u64>,
    /// The quorums that are to sign
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0")]
    pub quorums: Vec<QuorumId>,
    /// Post payloads alone: the disperser computes the commitments
    #[arg(long)]
    pub raw: bool,
}

/// How posts arrive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// So many a second.
    Fixed(f64),
    /// As many as are answered.
    Max,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate <= 100_000.0 => Ok(Self::Fixed(rate)),
            _ => Err("neither `max` nor a number up to 100000".to_owned()),
        }
    }
}

/// What came of it, printed at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoadReport {
    /// Posts that arrived.
    pub posts: u64,
    /// Blobs certified.
    pub certified: u64,
    /// The others, by the code of the answer.
    pub failed: BTreeMap<String, u64>,
    /// From the first arrival to the last answer.
    pub seconds: f64,
    /// Payload certified in that time, in 10⁶ bytes a second.
    pub payload_mb_per_second: f64,
    /// From a post's arrival to the answer that its blob is certified; none if no blob was.
    pub milliseconds: Option<Percentiles>,
}

/// Of the certified ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentiles {
    /// Half are not slower.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// The slowest.
    pub max: f64,
}

impl Percentiles {
    /// By nearest rank: each is a time that was measured. None without any.
    pub fn of(mut times: Vec<f64>) -> Option<Self> {
        times.sort_unstable_by(f64::total_cmp);
        let rank = |percent: usize| {
            let at = (times.len() * percent).div_ceil(100).checked_sub(1)?;
            times.get(at).copied()
        };
        Some(Self {
            p50: rank(50)?,
            p90: rank(90)?,
            p99: rank(99)?,
            max: rank(100)?,
        })
    }
}

#[derive(Default)]
struct Tally {
    posts: u64,
    times: Vec<f64>,
    failed: BTreeMap<String, u64>,
}

impl Tally {
    fn note(&mut self, outcome: Result<Duration, String>) {
        self.posts += 1;
        match outcome {
            Ok(time) => self.times.push(time.as_secs_f64() * 1000.0),
            Err(code) => *self.failed.entry(code).or_default() += 1,
        }
    }

    fn report(self, size: u64, elapsed: Duration) -> LoadReport {
        let (certified, seconds) = (self.times.len() as u64, elapsed.as_secs_f64());
        LoadReport {
            posts: self.posts,
            certified,
            failed: self.failed,
            seconds,
            payload_mb_per_second: (certified * size) as f64 / 1e6 / seconds.max(f64::EPSILON),
            milliseconds: Percentiles::of(self.times),
        }
    }
}

impl LoadReport {
    fn text(&self) -> String {
        let mut text = format!(
            "{} posts, {} certified in {:.1} s: {:.2} MB/s of payload\n",
            self.posts, self.certified, self.seconds, self.payload_mb_per_second
        );
        if let Some(ms) = self.milliseconds {
            let Percentiles { p50, p90, p99, max } = ms;
            text.push_str(&format!(
                "to the certificate: p50 {p50:.0} ms, p90 {p90:.0} ms, p99 {p99:.0} ms, max {max:.0} ms\n"
            ));
        }
        for (code, count) in &self.failed {
            text.push_str(&format!("failed with {code}: {count}\n"));
        }
        text
    }
}

/// What is posted: payload number `n` of so many bytes.
struct Payloads {
    seed: u64,
    size: usize,
    quorums: Vec<QuorumId>,
    /// Of each payload; empty if the disperser is to make them.
    commitments: Vec<Vec<CommitmentBytes>>,
    count: u64,
}

impl Payloads {
    fn commit(args: &LoadArgs, seed: u64, count: u64, ui: Ui) -> CliResult<Self> {
        let size = usize::try_from(args.size)
            .map_err(|_| CliError::usage("this machine has no memory for such a payload"))?;
        let mut payloads = Self {
            seed,
            size,
            quorums: args.quorums.clone(),
            commitments: Vec::new(),
            count,
        };
        if args.raw {
            return Ok(payloads);
        }
        let setup = Setup::ethereum();
        let bar = ui.progress(count, "committing to payloads");
        for n in 0..count {
            let rows = Rows::from_payload(&payloads.bytes(n), Encoding::Packed31);
            let rows = rows.map_err(|error| {
                CliError::coded(Exit::Usage, "cannot make such a payload", &error)
            })?;
            let commitments = commit_rows(setup, &rows);
            let of_one = commitments.iter().map(|c| c.to_bytes()).collect();
            payloads.commitments.push(of_one);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(payloads)
    }

    fn bytes(&self, n: u64) -> Vec<u8> {
        let mut state = self.seed ^ n.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut bytes = Vec::with_capacity(self.size + 8);
        while bytes.len() < self.size {
            bytes.extend_from_slice(&split_mix(&mut state).to_le_bytes());
        }
        bytes.truncate(self.size);
        bytes
    }

    /// The body of its post.
    fn body(&self, n: u64) -> Vec<u8> {
        let payload = self.bytes(n);
        let Some(commitments) = usize::try_from(n)
            .ok()
            .and_then(|n| self.commitments.get(n))
        else {
            return payload;
        };
        let put = PutBlob {
            version: DEFAULT_VERSION,
            encoding: Encoding::Packed31,
            quorums: self.quorums.clone(),
            account: Account::default(),
            salt: n,
            commitments: commitments.clone(),
            payload: payload.into(),
        };
        put.encode()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): gigabytes a second of bytes that nothing compresses.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Posts, and waits for the answers.
struct Poster {
    http: reqwest::Client,
    url: Url,
    kind: &'static str,
    payloads: Payloads,
}

impl Poster {
    /// The time since `due` when the blob was certified, or a code.
    async fn post(self: Arc<Self>, n: u64, due: Instant) -> Result<Duration, String> {
        let request = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, self.kind)
            .body(self.payloads.body(n));
        match http::exchange(request.send(), MAX_ANSWER, PATIENCE).await {
            Ok(answer) if answer.status == 200 => Ok(due.elapsed()),
            Ok(answer) if answer.is_success() => Err("load.not_certified_in_time".to_owned()),
            Ok(answer) => Err(answer.problem().code),
            Err(http::Broken::Timeout(_)) => Err("load.no_answer".to_owned()),
            Err(_) => Err("load.connection".to_owned()),
        }
    }

    /// A post each `gap`, at most `limit` at a time.
    async fn at_rate(self: Arc<Self>, gap: Duration, limit: usize) -> Tally {
        let mut tally = Tally::default();
        let mut under_way = JoinSet::new();
        let begin = Instant::now();
        for n in 0..self.payloads.count {
            let due = begin + gap.mul_f64(n as f64);
            tokio::time::sleep_until(due).await;
            while let Some(ended) = under_way.try_join_next() {
                tally.note(ended.unwrap_or_else(panicked));
            }
            if under_way.len() < limit {
                under_way.spawn(Arc::clone(&self).post(n, due));
            } else {
                tally.note(Err("load.connections".to_owned()));
            }
        }
        while let Some(ended) = under_way.join_next().await {
            tally.note(ended.unwrap_or_else(panicked));
        }
        tally
    }

    /// Always so many at a time, for so long or until the payloads are used up.
    async fn at_most(self: Arc<Self>, many: usize, duration: Duration) -> Tally {
        let mut tally = Tally::default();
        let mut under_way = JoinSet::new();
        let end = Instant::now() + duration;
        for n in 0..self.payloads.count {
            if under_way.len() >= many
                && let Some(ended) = under_way.join_next().await
            {
                tally.note(ended.unwrap_or_else(panicked));
            }
            if Instant::now() >= end {
                break;
            }
            under_way.spawn(Arc::clone(&self).post(n, Instant::now()));
        }
        while let Some(ended) = under_way.join_next().await {
            tally.note(ended.unwrap_or_else(panicked));
        }
        tally
    }
}

fn panicked(_: tokio::task::JoinError) -> Result<Duration, String> {
    Err("load.panicked".to_owned())
}

/// Runs `ashlar bench load`.
///
/// # Errors
/// The options do not fit together, or the disperser's address is none. Posts that fail are in the report.
pub async fn run(ui: Ui, args: LoadArgs) -> CliResult {
    let url = args.disperser.resolve()?;
    let failed = |error: http::HttpError| CliError::coded(Exit::Usage, "cannot post", &error);
    let base = Server::at(&url).map_err(failed)?;
    let http = http::client(Authorities::needed(base.is_https()), CONNECTING);
    let http = http.and_then(http::build).map_err(failed)?;
    let seed = getrandom::u64().map_err(|error| {
        CliError::new(Exit::Failure, "load.random", "no random bytes").because(error.to_string())
    })?;
    let duration = Duration::from_secs(args.duration);
    let arriving = match args.rate {
        Rate::Fixed(rate) => (rate * duration.as_secs_f64()).ceil() as u64,
        Rate::Max => 1000,
    };
    let count = args.payloads.unwrap_or(arriving).max(1);
    let payloads = Payloads::commit(&args, seed, count, ui)?;
    let mut url = base.join("v1/blobs");
    url.set_query(Some("wait=certified"));
    if args.raw {
        let quorums: Vec<String> = args.quorums.iter().map(u8::to_string).collect();
        url.query_pairs_mut()
            .append_pair("quorums", &quorums.join(","));
    }
    let poster = Arc::new(Poster {
        http,
        url,
        kind: match args.raw {
            true => "application/octet-stream",
            false => PUT_BLOB_TYPE,
        },
        payloads,
    });
    ui.note(format!("posting {count} payloads of {} bytes", args.size));
    let (begin, many) = (Instant::now(), args.connections as usize);
    let tally = match args.rate {
        Rate::Fixed(rate) => {
            let gap = Duration::from_secs_f64(1.0 / rate);
            poster.at_rate(gap, many).await
        }
        Rate::Max => poster.at_most(many, duration).await,
    };
    let report = tally.report(args.size, begin.elapsed());
    ui.data(&report, || report.text())
}

#[cfg(test)]
mod tests;
