//! Addresses that nothing is taken from for a while.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Whoever was shut out cannot connect until its time is over. Only addresses whose owner has completed a handshake get here, so
/// that nobody can have others shut out.
#[derive(Debug)]
pub(crate) struct ShutOut {
    time: Duration,
    until: Mutex<HashMap<IpAddr, Instant>>,
}

/// More addresses are not remembered; the other limits hold for the rest.
const MOST: usize = 4096;

impl ShutOut {
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            time,
            until: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, address: IpAddr) {
        let (mut until, now) = (self.lock(), Instant::now());
        if until.len() >= MOST {
            until.retain(|_, until| *until > now);
        }
        if until.len() < MOST {
            until.insert(host(address), now + self.time);
        }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let until = self.lock();
        until
            .get(&host(address))
            .is_some_and(|until| *until > Instant::now())
    }
}

/// An IPv4 address, or the /64 of an IPv6 one, which one host can have all of.
fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}
