//! Who is connected, and who has to go when there is no place left.
//!
//! * **Half-open** connections, whose handshake is under way, have places of their own, and each network only some of them. A
//!   newcomer takes the place of the one that has been there longest: an honest handshake takes a round trip or two.
//! * **Strangers** have places of their own, and each network only some of them. The idlest goes first.
//! * **Known** callers, those of the operator table, have others. The idlest goes first here, too.
//! * A key has only a few connections, whoever it belongs to.
//!
//! A connection with a request under way goes only where none is idle, to make room for a user who has fewer than its own.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ashlar_crypto::NetworkPublicKey;
use quinn::Connection;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    NetLimits, Subnet,
    endpoint::{self, close},
    shares::User,
};

#[derive(Debug)]
pub(crate) struct Connections {
    limits: NetLimits,
    state: Mutex<State>,
}

/// By number, which rises with time.
#[derive(Debug, Default)]
struct State {
    next: u64,
    half_open: BTreeMap<u64, HalfOpen>,
    open: BTreeMap<u64, Open>,
}

#[derive(Debug)]
struct HalfOpen {
    subnet: Subnet,
    evicted: CancellationToken,
}

#[derive(Debug)]
struct Open {
    peer: NetworkPublicKey,
    user: User,
    /// Requests under way.
    requests: usize,
    /// When the last request began or ended.
    used: Instant,
    /// Whether it has a known caller's streams, and the window that it has.
    given: (bool, u32),
    connection: Connection,
}

/// A connection's place. Free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    of: Arc<Connections>,
    number: u64,
}

/// A request under way on a connection, which keeps that from being idle.
#[derive(Debug)]
pub(crate) struct Busy {
    of: Arc<Connections>,
    number: u64,
}

impl Connections {
    pub(crate) fn new(limits: NetLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// The guarded data are consistent after every statement, so a panic elsewhere is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        let state = self.lock();
        state.half_open.len() + state.open.len()
    }

    /// Whether somebody known is connected from this address.
    pub(crate) fn is_known_from(&self, address: IpAddr) -> bool {
        let state = self.lock();
        let mut known = state.open.values().filter(|open| open.user.is_known());
        known.any(|open| open.connection.remote_address().ip() == address)
    }

    /// Whether so many are half-open, of this network or in all, that a caller has to show that it owns its address before
    /// anything is spent on it.
    pub(crate) fn is_crowded(&self, subnet: Subnet) -> bool {
        let state = self.lock();
        let of_subnet = state.half_open.values().filter(|h| h.subnet == subnet);
        state.half_open.len() >= self.limits.retry_half_open
            || of_subnet.count() * 2 >= self.limits.max_half_open_subnet
    }

    /// A place for a handshake, and what tells it that another has taken the place.
    pub(crate) fn begin(self: &Arc<Self>, subnet: Subnet) -> (Place, CancellationToken) {
        let mut state = self.lock();
        let limits = &self.limits;
        let of_subnet = state.half_open.values().filter(|h| h.subnet == subnet);
        let victim = if of_subnet.count() >= limits.max_half_open_subnet {
            state.oldest_half_open(subnet)
        } else if state.half_open.len() >= limits.max_half_open {
            state
                .crowded_subnet()
                .and_then(|s| state.oldest_half_open(s))
        } else {
            None
        };
        if let Some(gone) = victim.and_then(|number| state.half_open.remove(&number)) {
            gone.evicted.cancel();
        }
        let evicted = CancellationToken::new();
        let number = state.number();
        let half_open = HalfOpen {
            subnet,
            evicted: evicted.clone(),
        };
        state.half_open.insert(number, half_open);
        let of = Arc::clone(self);
        (Place { of, number }, evicted)
    }

    /// The handshake is done, and with it the half-open place is free. `None`: every place that this caller may have is taken by
    /// a connection with a request under way.
    pub(crate) fn open(
        self: &Arc<Self>,
        half_open: Place,
        peer: NetworkPublicKey,
        user: User,
        connection: Connection,
    ) -> Option<Place> {
        drop(half_open);
        let limits = &self.limits;
        let mut state = self.lock();
        let mut room = |max: usize, among: &dyn Fn(&Open) -> bool| {
            let there = state.open.values().filter(|open| among(open)).count();
            there < max || state.close_idlest(&|open| open.requests == 0 && among(open))
        };
        let fits = room(limits.max_connections_key, &|open| open.peer == peer)
            && if user.is_known() {
                let known = |open: &Open| open.user.is_known();
                room(limits.max_known_connections, &known) || state.close_one_of_many(user)
            } else {
                let strange = |open: &Open| !open.user.is_known();
                room(limits.max_stranger_connections_subnet, &|open| {
                    open.user == user
                }) && (room(limits.max_stranger_connections, &strange)
                    || state.close_one_of_many(user))
            };
        if !fits {
            return None;
        }
        let number = state.number();
        let open = Open {
            peer,
            user,
            requests: 0,
            used: Instant::now(),
            given: (false, limits.stranger_window),
            connection,
        };
        state.open.insert(number, open);
        state.share_windows(limits);
        let of = Arc::clone(self);
        Some(Place { of, number })
    }
}

impl Place {
    /// A request begins. Its caller may have become known, or unknown, since the last one.
    pub(crate) fn busy(&self, user: User) -> Busy {
        let mut state = self.of.lock();
        if let Some(open) = state.open.get_mut(&self.number) {
            open.requests += 1;
            open.used = Instant::now();
            if open.user != user {
                open.user = user;
                state.share_windows(&self.of.limits);
            }
        }
        let of = Arc::clone(&self.of);
        let number = self.number;
        Busy { of, number }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(open) = self.of.lock().open.get_mut(&self.number) {
            open.requests -= 1;
            open.used = Instant::now();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.of.lock();
        state.half_open.remove(&self.number);
        if state.open.remove(&self.number).is_some() {
            state.share_windows(&self.of.limits);
        }
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn oldest_half_open(&self, subnet: Subnet) -> Option<u64> {
        let mut all = self.half_open.iter();
        all.find(|(_, h)| h.subnet == subnet)
            .map(|(number, _)| *number)
    }

    /// The network with the most half-open connections.
    fn crowded_subnet(&self) -> Option<Subnet> {
        let mut counts = HashMap::new();
        for half_open in self.half_open.values() {
            *counts.entry(half_open.subnet).or_insert(0usize) += 1;
        }
        counts.into_iter().max_by_key(|(_, n)| *n).map(|(s, _)| s)
    }

    /// Closes the connection on which nothing has begun or ended for longest. False if there is none.
    fn close_idlest(&mut self, among: &dyn Fn(&Open) -> bool) -> bool {
        let idle = self.open.iter().filter(|(_, open)| among(open));
        let idlest = idle.min_by_key(|(_, open)| open.used);
        let Some(number) = idlest.map(|(number, _)| *number) else {
            return false;
        };
        if let Some(gone) = self.open.remove(&number) {
            tracing::debug!(peer = %gone.peer, "a connection makes room for another");
            let why = b"others wait for a place";
            gone.connection.close(close::BUSY.into(), why);
        }
        true
    }

    /// Closes a connection of the user of this kind that has the most, if it then still has as many as this one will have.
    fn close_one_of_many(&mut self, newcomer: User) -> bool {
        let mut counts = HashMap::from([(newcomer, 0usize)]);
        for open in self.open.values() {
            if open.user.is_known() == newcomer.is_known() {
                *counts.entry(open.user).or_default() += 1;
            }
        }
        let own = counts.get(&newcomer).copied().unwrap_or(0);
        match counts.into_iter().max_by_key(|(_, count)| *count) {
            Some((user, count)) if count > own + 1 => self.close_idlest(&|open| open.user == user),
            _ => false,
        }
    }

    /// Known callers share the memory of windows. Their number counts as the next power of two, so that windows rarely change.
    fn share_windows(&mut self, limits: &NetLimits) {
        let known = self
            .open
            .values()
            .filter(|open| open.user.is_known())
            .count();
        let share = limits.known_window_memory / known.next_power_of_two() as u64;
        let share = u32::try_from(share).unwrap_or(u32::MAX);
        let wide = share.clamp(
            limits.stranger_window,
            limits.connection_window.max(limits.stranger_window),
        );
        for open in self.open.values_mut() {
            let known = open.user.is_known();
            let window = if known { wide } else { limits.stranger_window };
            let due = (known, window);
            if open.given != due {
                endpoint::set_windows(&open.connection, limits, due);
                open.given = due;
            }
        }
    }
}
