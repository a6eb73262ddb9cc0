//! A switch between hosts, as a state machine: of a seed, links, packets and times it makes what arrives when.
//!
//! It has no clock and no device; [`hosts`](crate::hosts) gives it both. Each direction of each pair of hosts has luck of its own, so what
//! happens to a packet depends on the seed and on how many went the same way before it, and on nobody else's traffic.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::random::Random;

/// How packets go from one host to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Time on the way, at least.
    pub delay: Duration,
    /// How much longer it may be, each time a random part of it. Alone it changes no order.
    pub jitter: Duration,
    /// Share of packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of packets that are held back, 0 to 1: those behind overtake them.
    pub held: f64,
    /// For how long they are held back.
    pub hold: Duration,
    /// Bytes a second; `None` is no limit.
    pub rate: Option<u64>,
    /// Bytes that wait for their turn at most; a packet that does not fit is lost.
    pub queue: u64,
}

impl Link {
    /// At once, and nothing is lost.
    pub const PERFECT: Link = Link {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        loss: 0.0,
        held: 0.0,
        hold: Duration::ZERO,
        rate: None,
        queue: u64::MAX,
    };
}

/// One direction between two hosts: its luck, and what it is still busy with.
#[derive(Debug)]
pub(crate) struct Line {
    random: Random,
    /// When the last packet is sent whole.
    free: Duration,
    /// When the last packet arrives that was not held back.
    last: Duration,
}

impl Line {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            free: Duration::ZERO,
            last: Duration::ZERO,
        }
    }

    /// When a packet of so many bytes arrives; `None` if it is lost.
    pub(crate) fn arrival(&mut self, link: &Link, now: Duration, len: usize) -> Option<Duration> {
        // Three numbers for each packet, whatever the link: another loss rate does not change who is held back.
        let [loss, held, jitter] = [(); 3].map(|()| self.random.share());
        let mut sent = now;
        if let Some(rate) = link.rate {
            let (rate, begins) = (rate as f64, self.free.max(now));
            let waiting = (begins - now).as_secs_f64() * rate;
            if waiting + len as f64 > link.queue as f64 {
                return None;
            }
            sent = begins + Duration::from_secs_f64(len as f64 / rate);
            self.free = sent;
        }
        if loss < link.loss {
            return None;
        }
        let arrives = sent + link.delay + link.jitter.mul_f64(jitter);
        if held < link.held {
            return Some(arrives + link.hold);
        }
        self.last = self.last.max(arrives);
        Some(self.last)
    }
}

/// What a switch did with packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Handed to it.
    pub sent: u64,
    /// Of those, lost by loss or a full queue.
    pub lost: u64,
    /// Of those, not let through by a partition.
    pub cut: u64,
}

/// When a packet arrives, its place in the order of sending, where, and the packet.
type UnderWay = (Duration, u64, Ipv4Addr, Vec<u8>);

/// See the module's documentation. All times count from any moment, the same for all calls.
#[derive(Debug)]
pub struct Switch {
    seed: u64,
    link: Link,
    of_hosts: BTreeMap<Ipv4Addr, Link>,
    of_pairs: BTreeMap<(Ipv4Addr, Ipv4Addr), Link>,
    lines: BTreeMap<(Ipv4Addr, Ipv4Addr), Line>,
    sides: BTreeMap<Ipv4Addr, usize>,
    under_way: BinaryHeap<Reverse<UnderWay>>,
    count: Count,
}

impl Switch {
    /// Between any hosts, with this link for each pair.
    pub fn new(seed: u64, link: Link) -> Self {
        Self {
            seed,
            link,
            of_hosts: BTreeMap::new(),
            of_pairs: BTreeMap::new(),
            lines: BTreeMap::new(),
            sides: BTreeMap::new(),
            under_way: BinaryHeap::new(),
            count: Count::default(),
        }
    }

    /// Sets the link for every pair that has none of its own.
    pub fn set_all(&mut self, link: Link) {
        self.link = link;
    }

    /// Sets the link of everything that this host sends, and of everything that it gets from hosts without a link of their own.
    pub fn set_host(&mut self, host: Ipv4Addr, link: Link) {
        self.of_hosts.insert(host, link);
    }

    /// Sets the link from one host to another, in this direction only.
    pub fn set_pair(&mut self, from: Ipv4Addr, to: Ipv4Addr, link: Link) {
        self.of_pairs.insert((from, to), link);
    }

    /// Hosts of different sides do not reach each other from now on; hosts of no side reach everybody. What is under way arrives.
    pub fn part(&mut self, sides: &[&[Ipv4Addr]]) {
        let each = sides.iter().enumerate();
        self.sides = each
            .flat_map(|(side, hosts)| hosts.iter().map(move |host| (*host, side)))
            .collect();
    }

    /// Everybody reaches everybody.
    pub fn heal(&mut self) {
        self.sides.clear();
    }

    /// Takes an IPv4 packet from a host, for the host that it names. Other packets go nowhere.
    pub fn send(&mut self, now: Duration, from: Ipv4Addr, packet: Vec<u8>) {
        let Some(to) = destination(&packet) else {
            return;
        };
        self.count.sent += 1;
        if let (Some(one), Some(other)) = (self.sides.get(&from), self.sides.get(&to))
            && one != other
        {
            self.count.cut += 1;
            return;
        }
        let link = self.link(from, to);
        let pair = u64::from(from.to_bits()) << 32 | u64::from(to.to_bits());
        // Drawn once, so that neighbours are not alike.
        let seed = Random::new(self.seed ^ pair).next();
        let line = self
            .lines
            .entry((from, to))
            .or_insert_with(|| Line::new(seed));
        match line.arrival(&link, now, packet.len()) {
            Some(at) => self
                .under_way
                .push(Reverse((at, self.count.sent, to, packet))),
            None => self.count.lost += 1,
        }
    }

    /// When [`take`](Self::take) has the next packet.
    pub fn next_arrival(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse((at, ..))| *at)
    }

    /// A packet that has arrived by now, and where.
    pub fn take(&mut self, now: Duration) -> Option<(Ipv4Addr, Vec<u8>)> {
        self.next_arrival().filter(|at| *at <= now)?;
        let Reverse((_, _, to, packet)) = self.under_way.pop()?;
        Some((to, packet))
    }

    /// What was done until now.
    pub fn count(&self) -> Count {
        self.count
    }

    fn link(&self, from: Ipv4Addr, to: Ipv4Addr) -> Link {
        let pair = self.of_pairs.get(&(from, to));
        let host = || self.of_hosts.get(&from).or_else(|| self.of_hosts.get(&to));
        *pair.or_else(host).unwrap_or(&self.link)
    }
}

/// Where an IPv4 packet wants to go (RFC 791).
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let ipv4 = packet.first().is_some_and(|first| first >> 4 == 4);
    let address = packet.get(16..20)?.try_into().ok()?;
    ipv4.then(|| Ipv4Addr::from_octets(address))
}

#[cfg(test)]
mod tests;
