//! Asks the ledgers, answers what is due, and tells the operator.

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded as _;
use ashlar_restaking::OpenChallenge;
use ashlar_restaking::evidence::CustodyAnswer;
use ashlar_service::Backoff;
use ashlar_service::metrics::{Code, gauge};
use futures::StreamExt as _;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::answer::{self, AnswerError};
use super::book::{Attempt, Book, Due};
use super::{ChallengeSource, ChallengeSourceError};
use crate::health;
use crate::repair::{HealError, Healer};
use crate::shared::{Shared, blocking};
use crate::store::Store;
use crate::tasks::pause;

/// Longest wait for a ledger, its own attempts included.
const PATIENCE: Duration = Duration::from_secs(30);
/// Challenges worked on at a time, and before the ledgers are asked again. An answer takes 1 MiB at most while it is sent.
const AT_A_TIME: usize = 4;
const A_ROUND: usize = 64;
/// First and longest pause before the same challenge is tried again, and before ledgers are asked again of which none answered.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(1),
    max: Duration::from_secs(60),
};

/// Follows the challenges until the node stops.
pub(crate) async fn follow(
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    sources: Vec<Arc<dyn ChallengeSource>>,
    healer: Arc<Healer>,
    stop: CancellationToken,
) {
    let config = &shared.config.custody;
    let interval = Duration::from_secs(config.poll_secs);
    let names = sources.iter().map(|source| source.name().to_owned());
    let book = Book::new(
        shared.operator_id,
        names.collect(),
        BACKOFF,
        config.alarm_percent,
    );
    let start = Instant::now();
    let mut agent = Agent {
        shared: Arc::clone(&shared),
        store,
        sources,
        healer,
        book,
        start,
    };
    let mut unheard = 0;
    while !stop.is_cancelled() {
        let heard = tokio::select! {
            heard = agent.look() => heard,
            () = stop.cancelled() => return,
        };
        let taken = tokio::select! {
            taken = agent.answer_due() => taken,
            () = stop.cancelled() => return,
        };
        agent.publish();
        unheard = if heard { 0 } else { unheard + 1 };
        let wait = match unheard {
            // Whether they are closed now.
            0 if taken => continue,
            0 => interval,
            failures => BACKOFF.jittered(failures - 1).min(interval),
        };
        let due = agent.book.next_due();
        let due = due.map(|due| due.saturating_sub(start.elapsed()).max(BACKOFF.base / 2));
        if !pause(&stop, due.map_or(wait, |due| due.min(wait))).await {
            return;
        }
    }
}

struct Agent {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    sources: Vec<Arc<dyn ChallengeSource>>,
    healer: Arc<Healer>,
    book: Book,
    start: Instant,
}

impl Agent {
    /// Asks all ledgers. Says whether one answered.
    async fn look(&mut self) -> bool {
        let operator = self.shared.operator_id;
        let asked = self.sources.iter().map(|source| async move {
            let late = |_| Err(no_answer_in_time());
            timeout(PATIENCE, source.open(operator))
                .await
                .unwrap_or_else(late)
        });
        let said = futures::future::join_all(asked).await;
        let heard = said.iter().any(Result::is_ok);
        let ended = self.book.heard(self.start.elapsed(), said);
        for ended in ended {
            if ended.missed {
                self.shared.metrics.challenges_missed.inc();
                tracing::error!(
                    challenge = ended.number,
                    "a custody challenge ended, and no answer of this node was taken"
                );
            } else {
                tracing::info!(challenge = ended.number, "a custody challenge is closed");
            }
        }
        self.publish();
        heard
    }

    /// Answers what is due. Says whether a ledger took something.
    async fn answer_due(&mut self) -> bool {
        let due = self.book.due(self.start.elapsed(), A_ROUND);
        let attempts = due.into_iter().map(|due| {
            let (store, sources) = (Arc::clone(&self.store), self.sources.clone());
            let healer = Arc::clone(&self.healer);
            async move { (due.name, attempt(store, &sources, &healer, due).await) }
        });
        let mut attempts = futures::stream::iter(attempts).buffer_unordered(AT_A_TIME);
        let mut taken = false;
        let metrics = &self.shared.metrics;
        while let Some((name, (attempt, code))) = attempts.next().await {
            let challenge = name.number;
            match &attempt {
                Attempt::Taken => {
                    taken = true;
                    metrics.challenges_answered.inc();
                    tracing::info!(challenge, "a custody challenge is answered");
                }
                Attempt::Closed => {
                    tracing::info!(challenge, "a custody challenge was closed already")
                }
                Attempt::NotTaken(why) | Attempt::NoAnswer(why) => {
                    tracing::warn!(
                        challenge,
                        code,
                        "a custody challenge is not answered yet: {why}"
                    );
                }
            }
            if let Some(code) = code {
                metrics
                    .challenges_failed
                    .get_or_create(&Code { code })
                    .inc();
            }
            let random = getrandom::u64().unwrap_or(0);
            self.book
                .tried(self.start.elapsed(), &name, attempt, random);
        }
        taken
    }

    /// Status, metrics, health.
    fn publish(&self) {
        let Shared {
            metrics,
            health,
            facts,
            ..
        } = self.shared.as_ref();
        metrics.challenges_open.set(gauge(self.book.open() as u64));
        let left = self.book.blocks_left().unwrap_or(0);
        metrics.challenge_blocks_left.set(gauge(left));
        let alarms = self.book.alarms();
        for (cause, why) in [
            (health::CHALLENGE_DEADLINE, alarms.deadline),
            (health::CHALLENGE_NO_ANSWER, alarms.no_answer),
            (health::CHALLENGES_UNFOLLOWED, alarms.unfollowed),
            (health::CHALLENGE_LEDGER, alarms.ledger),
        ] {
            health.set(cause, why);
        }
        facts.set(|facts| facts.custody = Some(self.book.status()));
    }
}

/// Makes the answer and offers it to one ledger after the other. Gives the code of what failed, too.
async fn attempt(
    store: Arc<dyn Store>,
    sources: &[Arc<dyn ChallengeSource>],
    healer: &Healer,
    due: Due,
) -> (Attempt, Option<String>) {
    let Due {
        name,
        challenge,
        ledgers,
    } = due;
    let challenge = Arc::new(challenge);
    let (held, asked) = (Arc::clone(&store), Arc::clone(&challenge));
    let mut made = blocking(move || answer::make(held.as_ref(), &asked)).await;
    // An opening is short, and needs the whole row.
    if let Err(AnswerError::TooLong { .. }) = made {
        made = open(&store, healer, &challenge).await;
    }
    let answer = match made {
        Ok(answer) => answer,
        Err(error) => {
            // Made anew before everything else; the next attempt finds it.
            let (error, damage) = blocking(move || {
                let damage = answer::damage(store.as_ref(), &challenge, &error);
                (error, damage)
            })
            .await;
            if let Some(damage) = damage {
                healer.repairs.add_urgent(damage);
            }
            let code = error.code().to_owned();
            return (Attempt::NoAnswer(error.to_string()), Some(code));
        }
    };
    let mut last = None;
    for source in ledgers.into_iter().filter_map(|place| sources.get(place)) {
        let sent = timeout(PATIENCE, source.answer(name.number, &answer)).await;
        match sent.unwrap_or_else(|_| Err(no_answer_in_time())) {
            Ok(()) => return (Attempt::Taken, None),
            Err(error) if error.code == "challenge.unknown" => return (Attempt::Closed, None),
            Err(error) => last = Some((format!("{}: {error}", source.name()), error.code)),
        }
    }
    match last {
        Some((why, code)) => (Attempt::NotTaken(why), Some(code)),
        // One that no ledger lists is not in the book.
        None => (Attempt::Closed, None),
    }
}

/// The answer with an opening, out of the rows that peers give.
async fn open(
    store: &Arc<dyn Store>,
    healer: &Healer,
    challenge: &Arc<OpenChallenge>,
) -> Result<CustodyAnswer, AnswerError> {
    let (held, asked) = (Arc::clone(store), Arc::clone(challenge));
    let promise = blocking(move || answer::promise_of(held.as_ref(), &asked)).await;
    let promise = promise.ok_or(AnswerError::Rows(HealError::Record))?;
    let rows = healer.rows(&promise, &challenge.blob).await?;
    let asked = Arc::clone(challenge);
    blocking(move || answer::open(&asked, &rows)).await
}

fn no_answer_in_time() -> ChallengeSourceError {
    ChallengeSourceError {
        code: "custody.timeout".into(),
        reason: format!("no answer in {} s", PATIENCE.as_secs()),
    }
}
