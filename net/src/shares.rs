//! Capacity that its users share: whoever is alone may have all of it, whoever comes later gets its part back.
//!
//! A user's *share* is the capacity divided by the number of users who hold or want some of it. Who stays within its share goes
//! first, and where nothing is free for it, what others have beyond theirs is taken back: of whoever has most the youngest request
//! is ended. What goes beyond a share is lent while nobody within his own waits; of those who wait for that, whoever has least
//! comes first. So nobody can keep anybody else from his share for longer than it takes to end a request.
//!
//! A request that is alone larger than its user's share, as that of an honest reader among many can be, is let through as if it were
//! within the share after it has waited for [`TURN`], if its user has nothing else, and has [`GRACE`] before it is taken back.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use ashlar_crypto::NetworkPublicKey;
use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{NetError, Phase, Subnet};

/// Whose share something comes out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum User {
    /// Somebody of the operator table.
    Known(NetworkPublicKey),
    /// All strangers of one network.
    Strangers(Subnet),
}

impl User {
    pub(crate) fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}

/// After this time a user who has nothing comes first, however much it asks for.
const TURN: Duration = Duration::from_millis(100);
/// How long the only request of a user is left in peace.
const GRACE: Duration = Duration::from_secs(2);

/// A request, as far as others may end it. It ends up [settled](Self::settle) or revoked, never both.
#[derive(Debug)]
pub struct Claim {
    user: User,
    state: AtomicU8,
    revoked: CancellationToken,
}

const OPEN: u8 = 0;
const SETTLED: u8 = 1;
const REVOKED: u8 = 2;

impl Claim {
    /// An open one.
    pub fn new(user: User) -> Arc<Self> {
        Arc::new(Self {
            user,
            state: AtomicU8::new(OPEN),
            revoked: CancellationToken::new(),
        })
    }

    /// Whose it is.
    pub fn user(&self) -> User {
        self.user
    }

    fn leave_open(&self, to: u8) -> bool {
        let (ok, failed) = (Ordering::AcqRel, Ordering::Acquire);
        self.state.compare_exchange(OPEN, to, ok, failed).is_ok()
    }

    /// From now on nothing is taken back: all that is left is our own work.
    pub fn settle(&self) {
        self.leave_open(SETTLED);
    }

    fn revoke(&self) -> bool {
        let revoked = self.leave_open(REVOKED);
        if revoked {
            self.revoked.cancel();
        }
        revoked
    }

    fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }

    fn is_revoked(&self) -> bool {
        self.state.load(Ordering::Acquire) == REVOKED
    }

    /// Waits until others want back what this request holds.
    pub async fn revoked(&self) {
        self.revoked.cancelled().await;
    }
}

/// See the module's documentation. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Shares(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    total: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: u64,
    used: HashMap<User, u64>,
    /// By number, which rises with time.
    leases: BTreeMap<u64, Held>,
    next: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Held {
    amount: u64,
    claim: Arc<Claim>,
    since: Instant,
}

#[derive(Debug)]
struct Waiter {
    since: Instant,
    amount: u64,
    claim: Arc<Claim>,
    to: oneshot::Sender<Lease>,
}

/// A part of the capacity. It goes back when this is dropped.
#[derive(Debug)]
pub struct Lease {
    of: Arc<Inner>,
    number: u64,
}

impl Shares {
    /// So much to share, in any unit.
    pub fn new(total: u64) -> Self {
        Self(Arc::new(Inner {
            total,
            state: Mutex::default(),
        }))
    }

    /// Whether this user would have more than its share with so much more, of what others have some of too.
    pub fn is_beyond(&self, user: &User, amount: u64) -> bool {
        let state = self.0.lock();
        let alone = state.used.keys().all(|other| other == user);
        !alone && state.used_by(user).saturating_add(amount) > state.share(self.0.total)
    }

    /// How much is held.
    pub fn used(&self) -> u64 {
        self.0.lock().taken
    }

    /// Takes a part, in its turn. For what goes beyond its share a request waits only if it is `patient`.
    ///
    /// # Errors
    /// [`NetError::TooLarge`] if there is never so much; [`NetError::Timeout`] if not before the deadline.
    pub async fn take(
        &self,
        claim: &Arc<Claim>,
        amount: u64,
        patient: bool,
        deadline: Instant,
    ) -> Result<Lease, NetError> {
        if amount > self.0.total {
            return Err(NetError::TooLarge {
                what: "data",
                got: amount,
                max: self.0.total,
            });
        }
        let started = Instant::now();
        let (to, from) = oneshot::channel();
        let refused = {
            let mut state = self.0.lock();
            state.waiting.push_back(Waiter {
                since: started,
                amount,
                claim: Arc::clone(claim),
                to,
            });
            let granted = self.0.serve(&mut state);
            let share = state.share(self.0.total);
            let waits = state
                .waiting
                .back()
                .is_some_and(|last| Arc::ptr_eq(&last.claim, claim));
            let refused = waits && !patient && state.used_by(&claim.user) + amount > share;
            if refused {
                state.waiting.pop_back();
            }
            drop(state);
            hand_over(granted);
            refused
        };
        let timeout = || NetError::timeout(Phase::Memory, started.elapsed());
        if refused {
            return Err(timeout());
        }
        let mut from = Abandoned { of: &self.0, from };
        let turn = deadline.min(started + TURN);
        let granted = match timeout_at(turn, &mut from.from).await {
            Ok(granted) => Ok(granted),
            Err(_) => {
                self.0.look();
                timeout_at(deadline, &mut from.from).await
            }
        };
        match granted {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) | Err(_) => Err(timeout()),
        }
    }
}

/// Whoever waits no more leaves the queue, and those behind it move up.
struct Abandoned<'a> {
    of: &'a Arc<Inner>,
    from: oneshot::Receiver<Lease>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        self.from.close();
        // A lease that came at the last moment goes back by itself.
        if self.from.is_terminated() {
            return;
        }
        self.of.look();
    }
}

impl Inner {
    /// The guarded data are consistent after every statement, so a panic elsewhere is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks whether anything can be granted.
    fn look(self: &Arc<Self>) {
        let granted = self.serve(&mut self.lock());
        hand_over(granted);
    }

    /// Grants what can be granted, and asks for the return of what has to be. What is granted is handed over without the lock.
    fn serve(self: &Arc<Self>, state: &mut State) -> Vec<(oneshot::Sender<Lease>, Lease)> {
        let mut granted = Vec::new();
        state.waiting.retain(|waiter| !waiter.to.is_closed());
        loop {
            let share = state.share(self.total);
            let within = |waiter: &Waiter| {
                let used = state.used_by(&waiter.claim.user);
                used + waiter.amount <= share || used == 0 && waiter.since.elapsed() >= TURN
            };
            let first = state.waiting.iter().position(within);
            let place = first.or_else(|| {
                let least = state.waiting.iter().enumerate();
                least
                    .min_by_key(|(_, waiter)| state.used_by(&waiter.claim.user))
                    .map(|(place, _)| place)
            });
            let Some(amount) = place.and_then(|at| state.waiting.get(at)).map(|w| w.amount) else {
                break;
            };
            let free = self.total - state.taken;
            if amount > free {
                if first.is_some() {
                    state.take_back(amount - free, share);
                }
                break;
            }
            let Some(waiter) = place.and_then(|at| state.waiting.remove(at)) else {
                break;
            };
            let number = state.next;
            state.next += 1;
            state.taken += amount;
            *state.used.entry(waiter.claim.user).or_default() += amount;
            state.leases.insert(
                number,
                Held {
                    amount,
                    claim: waiter.claim,
                    since: Instant::now(),
                },
            );
            let of = Arc::clone(self);
            granted.push((waiter.to, Lease { of, number }));
        }
        granted
    }
}

impl State {
    fn used_by(&self, user: &User) -> u64 {
        self.used.get(user).copied().unwrap_or(0)
    }

    fn share(&self, total: u64) -> u64 {
        let waiting = self.waiting.iter().map(|waiter| waiter.claim.user);
        let new: HashSet<User> = waiting
            .filter(|user| !self.used.contains_key(user))
            .collect();
        total / ((self.used.len() + new.len()) as u64).max(1)
    }

    /// Ends requests of those who hold most, as long as they hold more than their share, until so much is on its way back.
    fn take_back(&mut self, needed: u64, share: u64) {
        // What a user has that is not on its way back: how much, and in how many parts.
        let mut left: HashMap<User, (u64, usize)> = HashMap::new();
        let mut coming = 0;
        for held in self.leases.values() {
            if held.claim.is_revoked() {
                coming += held.amount;
            } else {
                let (amount, parts) = left.entry(held.claim.user).or_default();
                *amount += held.amount;
                *parts += 1;
            }
        }
        while coming < needed {
            let open = self.leases.values().filter(|held| held.claim.is_open());
            let beyond = open.filter_map(|held| {
                let (amount, parts) = left.get(&held.claim.user).copied()?;
                let ripe = parts > 1 || held.since.elapsed() > GRACE;
                (amount > share && ripe).then_some(((parts > 1, amount), held))
            });
            // Of equals the last one: the youngest.
            let Some((_, held)) = beyond.max_by_key(|(rank, _)| *rank) else {
                return;
            };
            if held.claim.revoke() {
                coming += held.amount;
                if let Some((amount, parts)) = left.get_mut(&held.claim.user) {
                    *amount -= held.amount;
                    *parts -= 1;
                }
            }
        }
    }
}

fn hand_over(granted: Vec<(oneshot::Sender<Lease>, Lease)>) {
    for (to, lease) in granted {
        // Nobody waits any more: the lease comes back at once, and goes to the next.
        let _ = to.send(lease);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        let Some(held) = state.leases.remove(&self.number) else {
            return;
        };
        state.taken -= held.amount;
        if let Some(used) = state.used.get_mut(&held.claim.user) {
            *used -= held.amount;
            if *used == 0 {
                state.used.remove(&held.claim.user);
            }
        }
        let granted = self.of.serve(&mut state);
        drop(state);
        hand_over(granted);
    }
}

#[cfg(test)]
mod tests;
