//! What is open, what is due, and what the operator has to know: without IO, clock or randomness.

use std::collections::BTreeMap;
use std::time::Duration;

use ashlar_proto::{BlobKey, Block, OperatorId};
use ashlar_restaking::OpenChallenge;
use ashlar_service::Backoff;

use super::{
    ChallengeSourceError, ChallengeStatus, CustodyStatus, LedgerStatus, MAX_OPEN, OpenChallenges,
};

/// Open challenges that the status shows.
const SHOWN: usize = 256;

/// Names a challenge. Ledgers that are one give the same name; one that makes up another challenge under a number that is taken
/// gives another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) number: u64,
    blob: BlobKey,
    row: u32,
    element: u32,
}

impl Name {
    fn of(number: u64, challenge: &OpenChallenge) -> Self {
        Self {
            number,
            blob: challenge.blob_key,
            row: challenge.row,
            element: challenge.element,
        }
    }
}

/// What came of an attempt to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// A ledger took the answer.
    Taken,
    /// A ledger says that the challenge is not open any more.
    Closed,
    /// No ledger took it.
    NotTaken(String),
    /// There is no answer: the data is missing or damaged.
    NoAnswer(String),
}

/// A challenge to answer now.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    pub(crate) name: Name,
    pub(crate) challenge: OpenChallenge,
    /// The ledgers that list it, in the order in which they are to be asked.
    pub(crate) ledgers: Vec<usize>,
}

/// A challenge that no ledger lists any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) number: u64,
    /// Its deadline passed, and no answer of this node was taken.
    pub(crate) missed: bool,
}

#[derive(Debug)]
struct Ledger {
    name: String,
    block: Option<Block>,
    problem: Option<String>,
}

#[derive(Debug)]
struct Entry {
    challenge: OpenChallenge,
    ledgers: Vec<usize>,
    attempts: u32,
    due: Duration,
    taken: bool,
    last: Option<Attempt>,
}

/// What the operator has to know, by cause.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Alarms {
    /// A deadline is near.
    pub(crate) deadline: Option<String>,
    /// There is no answer to a challenge.
    pub(crate) no_answer: Option<String>,
    /// No ledger answers.
    pub(crate) unfollowed: Option<String>,
    /// One of several ledgers does not answer.
    pub(crate) ledger: Option<String>,
}

/// The open challenges to one operator.
#[derive(Debug)]
pub(crate) struct Book {
    operator: OperatorId,
    backoff: Backoff,
    alarm_percent: u64,
    ledgers: Vec<Ledger>,
    open: BTreeMap<Name, Entry>,
    answered: u64,
    missed: u64,
}

impl Book {
    pub(crate) fn new(
        operator: OperatorId,
        ledgers: Vec<String>,
        backoff: Backoff,
        alarm_percent: u64,
    ) -> Self {
        let ledger = |name| Ledger {
            name,
            block: None,
            problem: None,
        };
        Self {
            operator,
            backoff,
            alarm_percent,
            ledgers: ledgers.into_iter().map(ledger).collect(),
            open: BTreeMap::new(),
            answered: 0,
            missed: 0,
        }
    }

    /// Takes what each ledger said. As long as none answers, what is open stays.
    pub(crate) fn heard(
        &mut self,
        now: Duration,
        said: Vec<Result<OpenChallenges, ChallengeSourceError>>,
    ) -> Vec<Ended> {
        let mut listed: BTreeMap<Name, (OpenChallenge, Vec<usize>)> = BTreeMap::new();
        let mut block = None;
        for ((place, ledger), said) in self.ledgers.iter_mut().enumerate().zip(said) {
            let said = match said {
                Ok(said) => said,
                Err(error) => {
                    ledger.problem = Some(error.to_string());
                    continue;
                }
            };
            ledger.problem = None;
            ledger.block = Some(said.block);
            block = block.max(Some(said.block));
            for (number, challenge) in said.challenges.into_iter().take(MAX_OPEN) {
                // A ledger lists nothing else; one that does is not worth an alarm of its own.
                if challenge.operator != self.operator
                    || challenge.blob.blob_key() != challenge.blob_key
                {
                    continue;
                }
                let name = Name::of(number, &challenge);
                let (_, ledgers) = listed.entry(name).or_insert((challenge, Vec::new()));
                ledgers.push(place);
            }
        }
        let Some(block) = block else {
            return Vec::new();
        };
        let mut ended = Vec::new();
        self.open.retain(|name, entry| {
            let stays = listed.contains_key(name);
            if !stays {
                ended.push(Ended {
                    number: name.number,
                    missed: !entry.taken && block > entry.challenge.deadline,
                });
            }
            stays
        });
        self.missed += ended.iter().filter(|ended| ended.missed).count() as u64;
        for (name, (challenge, ledgers)) in listed {
            let entry = self.open.entry(name).or_insert_with(|| Entry {
                challenge,
                ledgers: Vec::new(),
                attempts: 0,
                due: now,
                taken: false,
                last: None,
            });
            entry.ledgers = ledgers;
        }
        ended
    }

    /// The challenges to answer now, the nearest deadline first, at most `most`.
    pub(crate) fn due(&self, now: Duration, most: usize) -> Vec<Due> {
        let mut due: Vec<(&Name, &Entry)> = self
            .open
            .iter()
            .filter(|(_, entry)| entry.due <= now)
            .collect();
        due.sort_by_key(|(_, entry)| entry.challenge.deadline);
        due.truncate(most);
        due.into_iter()
            .map(|(name, entry)| {
                let mut ledgers = entry.ledgers.clone();
                let turn = entry.attempts as usize % ledgers.len().max(1);
                ledgers.rotate_left(turn);
                Due {
                    name: *name,
                    challenge: entry.challenge.clone(),
                    ledgers,
                }
            })
            .collect()
    }

    /// Takes what came of an attempt. Also a challenge whose answer was taken is tried again, should it still be open then.
    /// `random` is any number.
    pub(crate) fn tried(&mut self, now: Duration, name: &Name, attempt: Attempt, random: u64) {
        let Some(entry) = self.open.get_mut(name) else {
            return;
        };
        entry.due = now + self.backoff.delay(entry.attempts, random);
        entry.attempts = entry.attempts.saturating_add(1);
        if attempt == Attempt::Taken && !entry.taken {
            entry.taken = true;
            self.answered += 1;
        }
        entry.last = Some(attempt);
    }

    /// When something is due next.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.open.values().map(|entry| entry.due).min()
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// The newest block that a ledger told.
    fn block(&self) -> Block {
        let told = self.ledgers.iter().filter_map(|ledger| ledger.block);
        told.max().unwrap_or_default()
    }

    /// Blocks to the nearest deadline; none if nothing is open.
    pub(crate) fn blocks_left(&self) -> Option<u64> {
        let deadlines = self.open.values().map(|entry| entry.challenge.deadline);
        Some(deadlines.min()?.saturating_since(self.block()))
    }

    pub(crate) fn alarms(&self) -> Alarms {
        let block = self.block();
        let late = |challenge: &OpenChallenge| {
            let gone = block.saturating_since(challenge.opened);
            let window = challenge.deadline.saturating_since(challenge.opened);
            gone.saturating_mul(100) >= window.saturating_mul(self.alarm_percent)
        };
        let near = self.open.iter().filter(|(_, entry)| late(&entry.challenge));
        let nearest = near.min_by_key(|(_, entry)| entry.challenge.deadline);
        let deadline = nearest.map(|(name, Entry { challenge, .. })| {
            format!(
                "challenge {} has to be answered through block {}, it is block {block}, and the operator is slashed if it is not",
                name.number, challenge.deadline
            )
        });
        let no_answer = self.open.iter().find_map(|(name, entry)| match &entry.last {
            Some(Attempt::NoAnswer(why)) => Some(format!(
                "challenge {} cannot be answered, and ends with block {}: {why}; whoever has the payload can answer it: ashlar stake evidence answer",
                name.number, entry.challenge.deadline
            )),
            _ => None,
        });
        let silent: Vec<String> = (self.ledgers.iter())
            .filter_map(|ledger| Some(format!("{}: {}", ledger.name, ledger.problem.as_ref()?)))
            .collect();
        let said = (!silent.is_empty()).then(|| silent.join("; "));
        let all = silent.len() == self.ledgers.len();
        Alarms {
            deadline,
            no_answer,
            unfollowed: said.clone().filter(|_| all),
            ledger: said.filter(|_| !all),
        }
    }

    pub(crate) fn status(&self) -> CustodyStatus {
        let block = self.block();
        let mut open: Vec<(&Name, &Entry)> = self.open.iter().collect();
        open.sort_by_key(|(_, entry)| entry.challenge.deadline);
        let shown = open.iter().take(SHOWN).map(|(name, entry)| {
            let challenge = &entry.challenge;
            ChallengeStatus {
                challenge: name.number,
                blob_key: challenge.blob_key,
                row: challenge.row,
                element: challenge.element,
                opened: challenge.opened,
                deadline: challenge.deadline,
                blocks_left: challenge.deadline.saturating_since(block),
                answered: entry.taken,
                problem: match &entry.last {
                    Some(Attempt::NotTaken(why) | Attempt::NoAnswer(why)) => Some(why.clone()),
                    _ => None,
                },
            }
        });
        CustodyStatus {
            ledgers: (self.ledgers.iter())
                .map(|ledger| LedgerStatus {
                    ledger: ledger.name.clone(),
                    block: ledger.block,
                    problem: ledger.problem.clone(),
                })
                .collect(),
            open: shown.collect(),
            open_count: self.open.len() as u64,
            answered: self.answered,
            missed: self.missed,
        }
    }
}

#[cfg(test)]
mod tests;
