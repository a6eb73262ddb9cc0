//! A new database learns which sequence numbers were used before, with a disk that is lost.
//!
//! Two batches under one number cost the bond. So before the first batch of a new database operators are asked for the batch of this
//! disperser with the highest number that they have promised to hold. Nobody has to be believed who names a number that is too high: it
//! comes with the header and this disperser's own signature, or does not count. Whoever names one that is too low, or none, hides nothing
//! as long as one of those that are asked does not: the signers of a certificate hold the confirmation threshold of each of its
//! quorums, so operators with more than the rest of the stake have one of them among them. Fewer are not enough, and waiting for
//! them costs nothing, because what fewer sign is not certified either. A number that only operators have seen who hide it is not met
//! again all the same, because numbers follow the clock (see [`store`](crate::store)).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_net::{NetError, Peer};
use ashlar_proto::wire::{GetLatest, Request, Response};
use ashlar_proto::{OperatorEntry, OperatorId, QuorumId, Sequence};
use ashlar_service::Backoff;
use ashlar_stake::OperatorTable;
use futures::StreamExt as _;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::health;

/// Operators asked at a time.
const AT_A_TIME: usize = 32;
/// Longest wait for an answer, and for the answers of those who are not needed any more.
const PATIENCE: Duration = Duration::from_secs(5);
const GRACE: Duration = Duration::from_secs(1);
/// Operators that health names.
const SHOWN: usize = 8;
/// Pause before they are asked again.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(500),
    max: Duration::from_secs(10),
};

/// Why an operator's answer does not count.
#[derive(Debug, thiserror::Error, Coded)]
#[coded(prefix = "sequence", blame = Peer)]
enum AskError {
    /// None came, or a refusal.
    #[error(transparent)]
    Net(#[from] NetError),
    /// It names a batch that is not this disperser's.
    #[error("it names batch {digest} with sequence {got}, which this disperser has not signed")]
    NotOurs {
        /// The batch.
        digest: String,
        /// Its number.
        got: Sequence,
    },
}

/// What operators have answered in one round.
#[derive(Default)]
struct Answers {
    heard: HashSet<OperatorId>,
    highest: Option<Sequence>,
    problems: Vec<String>,
}

impl Engine {
    /// Learns the numbers that were used, if this database does not know them; then batches are made. Ends with that.
    pub(crate) async fn run_sequence(self: Arc<Self>) {
        let known = self.durably("reading whether the sequence is known", |registry, _| {
            registry.store().knows_sequence()
        });
        let Some(mut known) = known.await else {
            return;
        };
        let mut failures = 0;
        while !known {
            known = match self.newest_table().await {
                Some((table, id)) => self.learn_sequence(&table, id).await,
                None => false,
            };
            if !known && !self.durable.sleep(BACKOFF.jittered(failures)).await {
                return;
            }
            failures += 1;
        }
        self.health.clear(health::SEQUENCE_UNKNOWN);
        self.sequence_known.cancel();
        self.wake_batcher.notify_one();
    }

    /// Whether it is known now; health says why not.
    async fn learn_sequence(&self, table: &OperatorTable, id: u32) -> bool {
        let quorums = self.quorums_to_hear(table);
        let answers = self.ask_all(table, id, &quorums).await;
        let lacking: Vec<QuorumId> = (quorums.iter().copied())
            .filter(|quorum| {
                !table.meets_every_certificate(*quorum, |id| answers.heard.contains(id))
            })
            .collect();
        let (heard, all) = (answers.heard.len(), table.operators().len());
        if !lacking.is_empty() {
            self.health.raise(
                health::SEQUENCE_UNKNOWN,
                format!(
                    "the database is new, and only {heard} of {all} operators say which batches they have of disperser {id}: too little \
                     stake in the quorums {lacking:?} to know the numbers that were used before; no batch is made until more of them \
                     answer: {}",
                    answers.problems.join("; ")
                ),
            );
            return false;
        }
        let highest = answers.highest;
        let learned = self.durably(
            "writing which sequence numbers were used",
            move |registry, _| registry.store().learn_sequence(highest),
        );
        if learned.await.is_none() {
            return false;
        }
        tracing::info!(
            heard,
            of = all,
            highest = highest.map(|sequence| sequence.0),
            "the database is new: operators have said which sequence numbers were used"
        );
        true
    }

    /// Those of a post that names none, which this disperser is for; all if the table has none of them.
    fn quorums_to_hear(&self, table: &OperatorTable) -> Vec<QuorumId> {
        let default = &self.config.accept.default_quorums;
        let known: Vec<_> = table.quorums().filter(|q| default.contains(q)).collect();
        match known.is_empty() {
            true => table.quorums().collect(),
            false => known,
        }
    }

    /// Asks all operators, until all have answered or nobody is needed any more.
    async fn ask_all(&self, table: &OperatorTable, id: u32, quorums: &[QuorumId]) -> Answers {
        let mut answers = Answers::default();
        let operators = table.operators().to_vec().into_iter();
        let asking = operators.map(|operator| async move {
            let answer = self.ask_latest(table, &operator, id).await;
            (operator.operator_id, answer)
        });
        let mut asking = std::pin::pin!(futures::stream::iter(asking).buffer_unordered(AT_A_TIME));
        let mut until = None;
        loop {
            let next = match until {
                None => asking.next().await,
                Some(until) => {
                    let next = tokio::time::timeout_at(until, asking.next());
                    next.await.unwrap_or(None)
                }
            };
            let Some((operator, answer)) = next else {
                return answers;
            };
            match answer {
                Ok(latest) => {
                    answers.heard.insert(operator);
                    answers.highest = answers.highest.max(latest);
                }
                Err(error) => {
                    let code = error.code();
                    tracing::warn!(%operator, code, "it does not say which batches it has: {error}");
                    if answers.problems.len() < SHOWN {
                        let problem = format!("operator {operator}: {error}");
                        answers.problems.push(problem);
                    }
                }
            }
            let is_heard = |id: &OperatorId| answers.heard.contains(id);
            if until.is_none()
                && quorums
                    .iter()
                    .all(|q| table.meets_every_certificate(*q, is_heard))
            {
                until = Some(Instant::now() + GRACE);
            }
        }
    }

    /// The highest number that an operator knows of this disperser.
    async fn ask_latest(
        &self,
        table: &OperatorTable,
        operator: &OperatorEntry,
        disperser_id: u32,
    ) -> Result<Option<Sequence>, AskError> {
        let domain = table.domain();
        let request = Request::GetLatest(GetLatest {
            domain,
            disperser_id,
        });
        let client = self.operators_client.client();
        let peer = Peer::from(operator);
        let asked = client.request(&peer, request, Vec::new(), PATIENCE);
        // The client takes no other answer.
        let Response::Latest(Some(latest)) = asked.await?.response else {
            return Ok(None);
        };
        let (header, signature) = (&latest.batch_header, &latest.disperser_signature);
        let is_ours = header.domain == domain
            && header.disperser_id == disperser_id
            && header
                .verify_disperser(&self.key.public(), signature)
                .is_ok();
        match is_ours {
            true => Ok(Some(header.sequence)),
            false => Err(AskError::NotOurs {
                digest: header.digest().to_string(),
                got: header.sequence,
            }),
        }
    }
}
