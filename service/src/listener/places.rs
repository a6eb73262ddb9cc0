//! Who is connected, and who has to go when no place is left: without IO.
//!
//! A connection is *busy* from the end of a request's head to the end of its answer, else *idle*. A newcomer takes the place of an
//! idle one: of the network with most of them the one that has been idle for longest. So thousands of idle connections keep nobody
//! out, and one that has just come has time to send its request. Where all are busy, a newcomer whose network has fewer takes the
//! place of the youngest one of the network with most, unless those are the connections of a proxy of ours, which has many callers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ashlar_net::Subnet;
use tokio_util::sync::CancellationToken;

/// All places are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoPlace {
    /// The newcomer's network has its part of them.
    pub(super) beyond_share: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Places {
    max: usize,
    proxies: Vec<Subnet>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Rises with every change, and numbers it.
    time: u64,
    open: usize,
    networks: HashMap<Subnet, Network>,
    /// Networks by how many idle connections they have; of equals the one with the idlest is last.
    most_idle: BTreeSet<(usize, Reverse<u64>, Subnet)>,
    /// Networks by how many busy connections they have.
    most_busy: BTreeSet<(usize, Subnet)>,
}

/// Connections of a network, by the time of their last change.
#[derive(Debug, Default)]
struct Network {
    idle: BTreeMap<u64, CancellationToken>,
    busy: BTreeMap<u64, CancellationToken>,
}

impl Network {
    fn len(&self) -> usize {
        self.idle.len() + self.busy.len()
    }
}

/// A connection's place. Free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Places>,
    network: Subnet,
    /// The time of its last change.
    at: AtomicU64,
    busy: AtomicBool,
    spoke: AtomicBool,
    lost: CancellationToken,
}

/// A request of a connection. Its end makes the connection idle.
#[derive(Debug)]
pub(super) struct Busy(Arc<Place>);

impl Places {
    pub(super) fn new(max: usize, proxies: Vec<Subnet>) -> Arc<Self> {
        Arc::new(Self {
            max,
            proxies,
            state: Mutex::default(),
        })
    }

    /// The guarded data are consistent after every statement, so a panic elsewhere is no reason to stop.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection.
    pub(super) fn enter(self: &Arc<Self>, network: Subnet) -> Result<Arc<Place>, NoPlace> {
        let mut state = self.lock();
        if state.open >= self.max && !state.end_idlest() && !state.end_busy(network, &self.proxies)
        {
            let (own, networks) = (state.len_of(&network), state.networks.len());
            return Err(NoPlace {
                beyond_share: networks > 1 && own >= self.max / networks,
            });
        }
        let lost = CancellationToken::new();
        let at = state.tick();
        state.change(network, |of| of.idle.insert(at, lost.clone()));
        state.open += 1;
        Ok(Arc::new(Place {
            of: Arc::clone(self),
            network,
            at: AtomicU64::new(at),
            busy: AtomicBool::new(false),
            spoke: AtomicBool::new(false),
            lost,
        }))
    }

    /// Ends the connection that a newcomer would take the place of, if it is idle: there is something else missing.
    pub(super) fn end_one(&self) {
        self.lock().end_idlest();
    }
}

impl Place {
    /// A request begins. `None` if the place is lost.
    pub(super) fn begin(self: &Arc<Self>) -> Option<Busy> {
        self.spoke.store(true, Ordering::Relaxed);
        self.turn(true).then(|| Busy(Arc::clone(self)))
    }

    /// Whether a request ever came.
    pub(super) fn spoke(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    /// Waits until somebody else has the place.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Becomes busy or idle. False if the place is lost.
    fn turn(&self, busy: bool) -> bool {
        let mut state = self.of.lock();
        let (before, now) = (self.at.load(Ordering::Relaxed), state.tick());
        let there = state.change(self.network, |of| {
            let (from, to) = match busy {
                true => (&mut of.idle, &mut of.busy),
                false => (&mut of.busy, &mut of.idle),
            };
            let lost = from.remove(&before);
            lost.is_some_and(|lost| to.insert(now, lost).is_none())
        });
        self.at.store(now, Ordering::Relaxed);
        self.busy.store(busy, Ordering::Relaxed);
        there
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.turn(false);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (at, busy) = (*self.at.get_mut(), *self.busy.get_mut());
        let mut state = self.of.lock();
        let there = state.change(self.network, |of| match busy {
            true => of.busy.remove(&at).is_some(),
            false => of.idle.remove(&at).is_some(),
        });
        state.open -= usize::from(there);
    }
}

impl State {
    fn tick(&mut self) -> u64 {
        self.time += 1;
        self.time
    }

    fn len_of(&self, network: &Subnet) -> usize {
        self.networks.get(network).map_or(0, Network::len)
    }

    /// Changes a network, and where it stands among the others.
    fn change<T>(&mut self, network: Subnet, change: impl FnOnce(&mut Network) -> T) -> T {
        let ranks = |of: &Network| {
            let idlest = of.idle.keys().next();
            let idle = idlest.map(|at| (of.idle.len(), Reverse(*at), network));
            let busy = (!of.busy.is_empty()).then_some((of.busy.len(), network));
            (idle, busy)
        };
        let of = self.networks.entry(network).or_default();
        let (idle, busy) = ranks(of);
        let changed = change(of);
        let (idle_now, busy_now) = ranks(of);
        if of.len() == 0 {
            self.networks.remove(&network);
        }
        idle.map(|rank| self.most_idle.remove(&rank));
        busy.map(|rank| self.most_busy.remove(&rank));
        self.most_idle.extend(idle_now);
        self.most_busy.extend(busy_now);
        changed
    }

    /// Ends the idlest connection of the network with most idle ones. False if none is idle.
    fn end_idlest(&mut self) -> bool {
        let Some((_, _, network)) = self.most_idle.last().copied() else {
            return false;
        };
        let lost = self.change(network, |of| of.idle.pop_first());
        self.end(lost)
    }

    /// Ends the youngest request of the network with most, if the newcomer's network would not have more then.
    fn end_busy(&mut self, newcomer: Subnet, proxies: &[Subnet]) -> bool {
        let mut most = self.most_busy.iter().rev();
        let Some((count, network)) = most
            .find(|(_, network)| !proxies.contains(network))
            .copied()
        else {
            return false;
        };
        if count <= self.len_of(&newcomer) + 1 {
            return false;
        }
        let lost = self.change(network, |of| of.busy.pop_last());
        self.end(lost)
    }

    fn end(&mut self, lost: Option<(u64, CancellationToken)>) -> bool {
        let ended = lost.is_some();
        if let Some((_, lost)) = lost {
            lost.cancel();
            self.open -= 1;
        }
        ended
    }
}

#[cfg(test)]
mod tests;
