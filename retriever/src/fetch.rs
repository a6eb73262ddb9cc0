//! The retriever: certificate in, payload and report out.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Rows;
use ashlar_fetch::chunks::ChunksTask;
use ashlar_fetch::gather::{Gathered, gather};
use ashlar_fetch::plan::{Holder, Plan, PlanConfig, Standing, State, Trust};
use ashlar_fetch::slices::SlicesTask;
use ashlar_fetch::{Network, OperatorReport, Skipped, millis};
use ashlar_proto::{ChunkIndex, TableAccess, VerifiedCertificate};
use ashlar_stake::{Assignment, OperatorTable, StakeSource};
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::config::{RetrieverConfig, Source};
use crate::error::{RetrieveError, RetrieveErrorKind as Kind};
use crate::http::{self, Authorities, HttpError, Server};
use crate::relay::{RelayError, allowance, download};
use crate::report::{AuditReport, Report, RetrievalPath};
use crate::scores::{OperatorScore, Scores};
use crate::verify::{VerifyError, check_payload, decode_slices};

/// A payload that matches its certificate's commitments, and how it was found.
#[derive(Clone, Debug)]
pub struct Retrieved {
    /// The payload, byte for byte what was posted.
    pub payload: Vec<u8>,
    /// How it was found.
    pub report: Report,
}

/// Fetches payloads. Cheap to clone; clones share connections and the memory budget, and any number of fetches may run
/// at once. Dropping the future of a fetch abandons its requests.
#[derive(Clone)]
pub struct Retriever {
    inner: Arc<Inner>,
}

struct Inner {
    config: RetrieverConfig,
    http: reqwest::Client,
    operators: Option<Operators>,
    memory: KibBudget,
    in_flight: KibBudget,
    audits: Semaphore,
    scores: Scores,
}

/// A budget of bytes in units of KiB.
struct KibBudget {
    free: Semaphore,
    total: u32,
}

impl KibBudget {
    fn new(bytes: u64) -> Self {
        let total = u32::try_from(bytes >> 10).unwrap_or(u32::MAX).max(1);
        Self {
            free: Semaphore::new((total as usize).min(Semaphore::MAX_PERMITS)),
            total,
        }
    }

    /// Waits for so many bytes, or for all if there are never so many.
    async fn take(
        &self,
        fetch: &Fetch<'_>,
        stage: &'static str,
        bytes: u64,
    ) -> Result<SemaphorePermit<'_>, Kind> {
        let kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        timeout_at(
            fetch.deadline,
            self.free.acquire_many(kib.clamp(1, self.total)),
        )
        .await
        .map_err(|_| fetch.late(stage, 0, 0))?
        .map_err(|_| Kind::Internal {
            reason: "a budget is closed".to_owned(),
        })
    }
}

struct Operators {
    stake: Arc<dyn StakeSource>,
    network: Arc<dyn Network>,
}

/// What a fetch carries through its stages.
struct Fetch<'a> {
    cert: &'a VerifiedCertificate,
    start: Instant,
    deadline: Instant,
    report: Report,
}

impl Retriever {
    /// A retriever that asks relays, and operators over `network`: an [`ashlar_net::Client`], or a test's own.
    ///
    /// # Errors
    ///
    /// TLS that cannot be set up for a relay that is `https`.
    pub fn new(
        config: RetrieverConfig,
        stake: Arc<dyn StakeSource>,
        network: Arc<dyn Network>,
    ) -> Result<Self, HttpError> {
        Self::build(config, Some(Operators { stake, network }))
    }

    /// A retriever that asks relays only. It needs no operator table, and finds nothing if no relay answers.
    ///
    /// # Errors
    ///
    /// As [`Retriever::new`].
    pub fn relay_only(config: RetrieverConfig) -> Result<Self, HttpError> {
        Self::build(config, None)
    }

    fn build(config: RetrieverConfig, operators: Option<Operators>) -> Result<Self, HttpError> {
        let https = config.relays.iter().any(Server::is_https);
        let http = http::client(Authorities::needed(https), config.connect_timeout)?;
        let http = http::build(http.read_timeout(config.relay_silence))?;
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                operators,
                memory: KibBudget::new(config.memory),
                in_flight: KibBudget::new(config.in_flight),
                audits: Semaphore::new(config.audits.max(1)),
                scores: Scores::default(),
                config,
            }),
        })
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &RetrieverConfig {
        &self.inner.config
    }

    /// What is known about operators, by their ids.
    #[must_use]
    pub fn scores(&self) -> Vec<OperatorScore> {
        self.inner.scores.all(Instant::now())
    }

    /// The silence after which operators are hedged now, without the time of a transfer.
    #[must_use]
    pub fn hedge_after(&self) -> Duration {
        self.inner.hedge_after()
    }

    /// Fetches the payload of a certificate. Whatever the network does, the bytes returned match its commitments.
    ///
    /// # Errors
    ///
    /// [`RetrieveError`], with the report of what was tried.
    pub async fn fetch(
        &self,
        cert: &VerifiedCertificate,
        from: Source,
    ) -> Result<Retrieved, RetrieveError> {
        let start = Instant::now();
        let mut fetch = Fetch {
            cert,
            start,
            deadline: start + self.inner.config.deadline,
            report: Report::new(cert.blob_key(), cert.blob_header().payload_len),
        };
        let result = self.inner.run(&mut fetch, from).await;
        fetch.report.stages.total_ms = millis(start.elapsed());
        match result {
            Ok(payload) => Ok(Retrieved {
                payload,
                report: fetch.report,
            }),
            Err(kind) => Err(RetrieveError {
                kind,
                report: Box::new(fetch.report),
            }),
        }
    }
}

impl Fetch<'_> {
    fn late(&self, stage: &'static str, good: u32, needed: u32) -> Kind {
        Kind::Deadline {
            stage,
            after_ms: millis(self.start.elapsed()),
            good,
            needed,
        }
    }
}

impl Inner {
    async fn run(&self, fetch: &mut Fetch<'_>, from: Source) -> Result<Vec<u8>, Kind> {
        // Before anybody is asked.
        if let Some(operators) = &self.operators
            && operators.stake.domain() != fetch.cert.domain()
        {
            return Err(Kind::OtherDomain {
                got: fetch.cert.domain(),
                expected: operators.stake.domain(),
            });
        }
        let header = fetch.cert.blob_header();
        if header.payload_len > self.config.max_payload {
            return Err(Kind::TooLarge {
                got: header.payload_len,
                max: self.config.max_payload,
            });
        }
        let _memory = self.book_memory(fetch).await?;
        if from != Source::Operators {
            match self.ask_relays(fetch, from).await? {
                Ok(payload) => return Ok(payload),
                Err(error) if from == Source::Relay => {
                    return Err(error.map_or(Kind::NoSource { wanted: "relay" }, Kind::Relay));
                }
                Err(_) => {}
            }
        }
        match &self.operators {
            Some(operators) => self.ask_operators(fetch, operators).await,
            None => Err(Kind::NoSource {
                wanted: "operator network",
            }),
        }
    }

    /// See [`RetrieverConfig`] for what the number means. A blob larger than the whole budget takes all of it.
    async fn book_memory(&self, fetch: &mut Fetch<'_>) -> Result<SemaphorePermit<'_>, Kind> {
        let rows = u64::from(fetch.cert.blob_header().rows) * ashlar_crypto::BYTES_PER_ROW as u64;
        let permit = self
            .memory
            .take(fetch, "waiting for memory", 4 * rows)
            .await?;
        fetch.report.stages.wait_ms = millis(fetch.start.elapsed());
        Ok(permit)
    }

    /// The payload, or why the last relay did not deliver (none if there is no relay).
    async fn ask_relays(
        &self,
        fetch: &mut Fetch<'_>,
        from: Source,
    ) -> Result<Result<Vec<u8>, Option<RelayError>>, Kind> {
        let begin = Instant::now();
        let header = fetch.cert.blob_header();
        let mut last = None;
        for relay in &self.config.relays {
            let wanted = allowance(
                self.config.relay_timeout,
                header.payload_len,
                self.config.min_rate,
            );
            // With operators to fall back on, relays together may not eat more than half of what is left.
            let left = fetch.deadline.saturating_duration_since(Instant::now());
            let most = if from == Source::Auto { left / 2 } else { left };
            let until = Instant::now() + wanted.min(most);
            let result = self.ask_relay(fetch, relay, until).await?;
            fetch.report.stages.relay_ms = millis(begin.elapsed());
            match result {
                Ok(payload) => {
                    fetch.report.via = Some(RetrievalPath::Relay);
                    fetch.report.relay = Some(relay.to_string());
                    return Ok(Ok(payload));
                }
                Err(error) => {
                    tracing::debug!(%relay, %error, "relay skipped");
                    let skipped = Skipped::relay(&relay.to_string(), &error);
                    fetch.report.skipped.push(skipped);
                    last = Some(error);
                }
            }
        }
        Ok(Err(last))
    }

    async fn ask_relay(
        &self,
        fetch: &mut Fetch<'_>,
        relay: &Server,
        until: Instant,
    ) -> Result<Result<Vec<u8>, RelayError>, Kind> {
        let header = fetch.cert.blob_header().clone();
        let key = fetch.cert.blob_key();
        let payload = match download(&self.http, relay, &key, header.payload_len, until).await {
            Ok(payload) => payload,
            Err(error) => return Ok(Err(error)),
        };
        fetch.report.bytes_fetched += payload.len() as u64;
        blocking(move || match check_payload(&header, &payload) {
            Ok(()) => Ok(payload),
            Err(error) => Err(RelayError::Wrong(error)),
        })
        .await
    }

    async fn ask_operators(
        &self,
        fetch: &mut Fetch<'_>,
        operators: &Operators,
    ) -> Result<Vec<u8>, Kind> {
        let cert = fetch.cert;
        let table = load_table(fetch, &operators.stake).await?;
        let assignment = Assignment::compute(&table, cert.version(), &cert.blob_header().quorums)
            .map_err(Kind::Assignment)?;
        let holders: Vec<Holder> = assignment
            .operators()
            .map(|operator| Holder {
                operator,
                signer: cert.signers().contains(operator),
                indices: assignment.chunks(operator).to_vec(),
            })
            .collect();
        let gathered = self
            .gather_slices(fetch, operators, &table, holders.clone())
            .await?;
        let begin = Instant::now();
        let header = cert.blob_header().clone();
        let code = cert.version().code;
        let decoded = blocking(move || {
            let slices: Vec<(ChunkIndex, &[u8])> = gathered
                .items
                .iter()
                .map(|(index, slice)| (*index, slice.as_ref()))
                .collect();
            decode_slices(&header, code, &slices)
        })
        .await?;
        fetch.report.stages.decode_ms = millis(begin.elapsed());
        let (rows, via) = match decoded {
            Ok(rows) => (rows, RetrievalPath::Operators),
            Err(cause) => {
                tracing::warn!(blob = %cert.blob_key(), %cause, "certified slices do not match the commitments: audit");
                let rows = self.audit(fetch, operators, &table, holders, cause).await?;
                (rows, RetrievalPath::Audit)
            }
        };
        let (encoding, len) = (cert.blob_header().encoding, cert.blob_header().payload_len);
        let payload = blocking(move || rows.to_payload(encoding, len))
            .await?
            .map_err(Kind::Payload)?;
        fetch.report.via = Some(via);
        Ok(payload)
    }

    fn hedge_after(&self) -> Duration {
        let config = &self.config;
        let most = config.request_timeout / 2;
        self.scores.hedge_after(config.hedge_after, most)
    }

    /// A plan with what is known about these operators.
    fn plan(
        &self,
        config: PlanConfig,
        table: &OperatorTable,
        holders: Vec<Holder>,
    ) -> Result<Plan, Kind> {
        let seed = random_seed()?;
        if !self.config.spread {
            return Ok(Plan::new(config, holders, seed));
        }
        let now = Instant::now();
        let standing = |operator| match table.operator(operator) {
            Some(entry) => self.scores.standing(now, &entry.operator_id),
            None => Standing {
                trust: Trust::Avoided,
                cost: 1.0,
            },
        };
        Ok(Plan::with_known(config, holders, standing, seed))
    }

    /// Takes what a gathering has shown into the report and the scores.
    fn learn<T>(&self, report: &mut Report, gathered: &Gathered<T>) {
        report.hedge_after_ms = millis(self.hedge_after());
        merge(report, gathered);
        let now = Instant::now();
        let seen = &gathered.observations;
        self.scores.learn(now, self.config.expected_rate, seen);
        let asked = |score: &OperatorScore| {
            let mut operators = report.operators.iter();
            operators.any(|operator| operator.operator == score.operator)
        };
        report.scores = self.scores.all(now).into_iter().filter(asked).collect();
    }

    async fn gather_slices(
        &self,
        fetch: &mut Fetch<'_>,
        operators: &Operators,
        table: &OperatorTable,
        holders: Vec<Holder>,
    ) -> Result<Gathered<Bytes>, Kind> {
        let begin = Instant::now();
        let cert = fetch.cert;
        let task = Arc::new(SlicesTask {
            network: operators.network.clone(),
            key: cert.blob_key(),
            header: cert.blob_header().clone(),
            code: cert.version().code,
        });
        let needed = task.code.needed();
        let unit = task.slice_bytes();
        // Whatever is in flight, hedges included: one fetch never has more than that.
        let most = (2 * u64::from(needed) * unit).min(self.config.in_flight / 4);
        let most = most.max(unit);
        let _in_flight = self
            .in_flight
            .take(fetch, "waiting for other fetches", most)
            .await?;
        let plan = self.config.plan(needed, unit, self.hedge_after(), most);
        let plan = self.plan(plan, table, holders)?;
        let gathered = gather(
            plan,
            fetch.start,
            table,
            cert.signers(),
            |entry, ask, arrival| task.clone().run(entry, ask, arrival),
        )
        .await;
        let report = &mut fetch.report;
        report.slices_needed = needed;
        report.slices_good = u32::try_from(gathered.items.len()).unwrap_or(u32::MAX);
        report.bytes_needed = u64::from(needed) * unit;
        report.bytes_requested = gathered.requested * unit;
        report.bytes_fetched += gathered.bytes;
        self.learn(report, &gathered);
        report.stages.slices_ms = millis(begin.elapsed());
        match gathered.state {
            State::Done => Ok(gathered),
            State::Exhausted { good, reachable } => Err(Kind::TooFewSlices {
                good,
                needed,
                reachable,
            }),
            State::DeadlinePassed { good } => Err(fetch.late("slices", good, needed)),
            State::Working { .. } => Err(unfinished()),
        }
    }

    async fn audit(
        &self,
        fetch: &mut Fetch<'_>,
        operators: &Operators,
        table: &OperatorTable,
        holders: Vec<Holder>,
        cause: VerifyError,
    ) -> Result<Rows, Kind> {
        let cert = fetch.cert;
        let needed = cert.version().code.needed();
        let _turn = timeout_at(fetch.deadline, self.audits.acquire())
            .await
            .map_err(|_| fetch.late("waiting for other audits", 0, needed))?;
        let begin = Instant::now();
        let task = Arc::new(ChunksTask::new(
            operators.network.clone(),
            Some(cert.blob_key()),
            cert.batch_header().clone(),
            cert.version().code,
        ));
        let unit = task.column_bytes();
        let all: std::collections::BTreeSet<ChunkIndex> = holders
            .iter()
            .flat_map(|holder| holder.indices.iter().copied())
            .collect();
        let plan = self.config.audit_plan(needed, unit, self.hedge_after());
        let plan = self.plan(plan, table, holders)?;
        let gathered = gather(
            plan,
            fetch.start,
            table,
            cert.signers(),
            |entry, ask, arrival| task.clone().run(entry, ask, arrival),
        )
        .await;
        let bad: Vec<_> = gathered
            .bad
            .iter()
            .copied()
            .filter(|index| !gathered.items.contains_key(index))
            .collect();
        let good = u32::try_from(gathered.items.len()).unwrap_or(u32::MAX);
        self.learn(&mut fetch.report, &gathered);
        fetch.report.audit = Some(AuditReport {
            cause: cause.to_string(),
            good,
            bad: bad.clone(),
            bytes_requested: gathered.requested * unit,
            bytes_fetched: gathered.bytes,
        });
        fetch.report.stages.audit_ms = millis(begin.elapsed());
        match gathered.state {
            State::Done => {}
            State::Exhausted { .. } => {
                return Err(Kind::EncodedWrongly {
                    cause,
                    good,
                    bad: u32::try_from(bad.len()).unwrap_or(u32::MAX),
                    needed,
                    conclusive: all.len() - bad.len() < needed as usize,
                });
            }
            State::DeadlinePassed { good } => return Err(fetch.late("audit", good, needed)),
            State::Working { .. } => return Err(unfinished()),
        }
        let header = cert.blob_header().clone();
        let code = cert.version().code;
        let rows = blocking(move || {
            let slices: Vec<(ChunkIndex, &[u8])> = gathered
                .items
                .iter()
                .map(|(index, slice)| (*index, slice.as_ref()))
                .collect();
            decode_slices(&header, code, &slices)
        })
        .await?;
        fetch.report.stages.audit_ms = millis(begin.elapsed());
        // Columns with valid proofs determine the committed polynomials (docs/protocol.md, section 7): this cannot
        // fail.
        rows.map_err(|error| Kind::Internal {
            reason: format!("audited chunks do not decode to the committed rows: {error}"),
        })
    }
}

/// The table of the certificate's block, and only the one that the certificate was checked against.
async fn load_table(
    fetch: &Fetch<'_>,
    stake: &Arc<dyn StakeSource>,
) -> Result<Arc<OperatorTable>, Kind> {
    let block = fetch.cert.batch_header().reference_block;
    let stake = stake.clone();
    let loaded = timeout_at(fetch.deadline, blocking(move || stake.table_at(block)))
        .await
        .map_err(|_| fetch.late("operator table", 0, 0))??;
    let table = loaded.map_err(|error| Kind::table(block, &error))?;
    let (got, expected) = (table.root(), fetch.cert.table_root());
    if got == expected {
        Ok(table)
    } else {
        Err(Kind::WrongTable { got, expected })
    }
}

/// The operators and reasons of a gathering; an audit asks the same operators again.
fn merge<T>(report: &mut Report, gathered: &Gathered<T>) {
    for new in &gathered.operators {
        let known: Option<&mut OperatorReport> = report
            .operators
            .iter_mut()
            .find(|known| known.index == new.index);
        match known {
            Some(known) => {
                known.requests += new.requests;
                known.requested += new.requested;
                known.good += new.good;
                known.bytes += new.bytes;
                known.ms += new.ms;
            }
            None => report.operators.push(new.clone()),
        }
    }
    report.operators.sort_by_key(|operator| operator.index);
    for new in &gathered.skipped {
        let known = report
            .skipped
            .iter()
            .any(|known| known.index == new.index && known.code == new.code);
        if !known {
            report.skipped.push(new.clone());
        }
    }
}

/// Runs a computation of many milliseconds on a thread for blocking work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Kind> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Kind::Internal {
            reason: error.to_string(),
        })
}

fn random_seed() -> Result<u64, Kind> {
    getrandom::u64().map_err(|error| Kind::Internal {
        reason: error.to_string(),
    })
}

fn unfinished() -> Kind {
    Kind::Internal {
        reason: "the plan stopped before its end".to_owned(),
    }
}
