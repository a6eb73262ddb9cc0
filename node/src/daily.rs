//! How many bytes dispersers may store a day, and how they share them: without IO, and with the time passed in.
//!
//! The node takes in so many bytes a day that those which it has promised to keep fit on its disk at any time: see [`daily_bytes`].
//! They flow into a store of bytes that holds up to thirty hours' worth. A disperser's **share** of the day is in proportion to its
//! bond, rounded down; what it has not used in a day is lost to it. A batch is taken
//!
//! * out of its disperser's share, if there is enough of that left; or
//! * out of what others leave: if after it there is still as much as is left of all shares together.
//!
//! So whatever is lent, everybody's share is there when he asks for it: nothing has to be taken back, lending just ends.
//!
//! Nobody has a share for being there: it would be a prize for cutting one bond into many. A bond that is nothing beside the
//! others' has a share that is nothing beside theirs, down to no byte at all, and its disperser stores what others leave. The least bond
//! that a service asks for is what keeps shares worth having.
//!
//! A share that was used fills up evenly and is whole again after a day at most. So it is known by one number, the time when it is
//! whole, and the sum of all shares by three: a request costs the same for thousands of dispersers as for ten.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use ashlar_proto::Stake;

use crate::store::Allowance;

/// A day, and how many of its bytes can be there at once: the day's, and six hours' more for lending.
const DAY: u128 = 24 * HOUR;
const MOST: u128 = 30 * HOUR;
const HOUR: u128 = 3600 * 1_000_000_000;
/// Bonds count with so many leading bits of their sum: a byte of 280 terabytes a day.
const BITS: usize = 48;

/// Bytes a day that fit on a disk with `room` bytes if they are kept for `kept`, window included.
pub(crate) fn daily_bytes(room: u64, kept: Duration) -> u64 {
    // What was there at the beginning comes on top of what flows in while the oldest bytes are kept.
    share_of(room, DAY, kept.as_nanos() + MOST)
}

/// `whole * part / all`, rounded down. Nothing of nothing is nothing.
fn share_of(whole: u64, part: u128, all: u128) -> u64 {
    let share = u128::from(whole).saturating_mul(part) / all.max(1);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// How long `bytes` take at a rate, in nanoseconds, rounded down.
fn time_of(bytes: u64, a_day: u64) -> u128 {
    u128::from(bytes) * DAY / u128::from(a_day.max(1))
}

/// An amount of bytes to which more flow in, at a number of bytes a day.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    /// When it was looked at, less what has not made a whole byte.
    at: u128,
}

impl Bucket {
    fn fill(&mut self, a_day: u64, most: u64, now: u128) {
        if a_day == 0 {
            return;
        }
        let new = share_of(a_day, now.saturating_sub(self.at), DAY);
        self.at += time_of(new, a_day);
        self.left = self.left.saturating_add(new).min(most);
    }
}

/// See the module's documentation. Times are nanoseconds of the node's own clock: products with bytes of a day fit for 500 years.
#[derive(Debug)]
pub(crate) struct DailyBytes {
    a_day: u64,
    all: Bucket,
    shares: Shares,
    /// Time that the node did not run, not yet counted.
    stopped: Duration,
}

/// A batch's bytes, taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Taken {
    disperser: u32,
    bytes: u64,
    own: bool,
}

/// There is not enough: what is left of a disperser's share, its share of a day, and when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub(crate) left: u64,
    pub(crate) share: u64,
    pub(crate) after: Duration,
}

impl DailyBytes {
    /// Nothing flows, and nobody shares, before both are set.
    pub(crate) fn new(now: Duration) -> Self {
        let all = Bucket {
            left: u64::MAX,
            at: now.as_nanos(),
        };
        Self {
            a_day: 0,
            all,
            shares: Shares::default(),
            stopped: Duration::ZERO,
        }
    }

    /// Goes on from what was kept, if something was: what was stored since then, by how much more is held now, is gone for all.
    pub(crate) fn restore(
        &mut self,
        kept: &Allowance,
        held: u64,
        stopped: Duration,
        now: Duration,
    ) {
        self.all.left = kept.left.saturating_sub(held.saturating_sub(kept.held));
        self.stopped = stopped;
        for &(id, until_ms) in &kept.used {
            let until = Duration::from_millis(until_ms).saturating_sub(stopped);
            let whole_at = now.as_nanos() + until.as_nanos().min(DAY);
            self.shares.of.insert(
                id,
                Share {
                    whole_at,
                    ..Share::default()
                },
            );
        }
    }

    /// What [`restore`](Self::restore) goes on from.
    pub(crate) fn keep(&mut self, held: u64, now: Duration) -> Allowance {
        let left = self.left(now);
        self.shares.settle(now.as_nanos());
        let growing = self.shares.growing.iter().map(|&(whole_at, id)| {
            let until = (whole_at - now.as_nanos()).div_ceil(1_000_000);
            (id, u64::try_from(until).unwrap_or(u64::MAX))
        });
        let used = growing.collect();
        Allowance { left, held, used }
    }

    fn most(&self) -> u64 {
        share_of(self.a_day, MOST, DAY)
    }

    /// What is left for all.
    pub(crate) fn left(&mut self, now: Duration) -> u64 {
        let most = self.most();
        self.all.fill(self.a_day, most, now.as_nanos());
        self.all.left.min(most)
    }

    /// How many bytes flow in a day. Of whatever a share becomes, the same part is left.
    pub(crate) fn set_rate(&mut self, a_day: u64, now: Duration) {
        self.left(now);
        self.all.at = now.as_nanos();
        self.a_day = a_day;
        let stopped = std::mem::take(&mut self.stopped).as_nanos();
        let missed = share_of(a_day, stopped, DAY);
        self.all.left = self.all.left.saturating_add(missed);
        self.shares.divide(a_day, now.as_nanos());
    }

    /// The dispersers that there are, with their bonds. Bytes that one has used are used of its new share; a new one has its
    /// share of a day.
    pub(crate) fn set_dispersers(
        &mut self,
        bonds: impl Iterator<Item = (u32, Stake)> + Clone,
        now: Duration,
    ) {
        let now = now.as_nanos();
        self.shares.settle(now);
        let mut before = std::mem::take(&mut self.shares.of);
        #[expect(
            clippy::expect_used,
            reason = "a table whose bonds add up to more is refused"
        )]
        let total = bonds
            .clone()
            .try_fold(Stake::ZERO, |sum, (_, bond)| sum.checked_add(bond))
            .expect("the sum of all bonds has 256 bits");
        let cut = total.bit_len().saturating_sub(BITS);
        self.shares.weights = (total >> cut).to();
        self.shares.of = bonds
            .map(|(id, bond)| {
                let known = before.remove(&id).unwrap_or_default();
                let weight = (bond >> cut).to();
                (id, Share { weight, ..known })
            })
            .collect();
        let used = self.shares.used(now);
        self.shares.divide(self.a_day, now);
        for (id, bytes) in used {
            self.shares.use_again(id, bytes, now);
        }
    }

    /// Takes a batch's bytes.
    ///
    /// # Errors
    /// Neither its disperser's share nor what others leave is enough.
    pub(crate) fn take(
        &mut self,
        disperser: u32,
        bytes: u64,
        now: Duration,
    ) -> Result<Taken, Exhausted> {
        let all = self.left(now);
        let now = now.as_nanos();
        self.shares.settle(now);
        let (share, left) = self.shares.get(disperser, now);
        let left = left.min(all);
        let reserved = self.shares.left(now);
        let own = bytes <= left;
        let needed = bytes.saturating_add(reserved);
        if own || needed <= all {
            if own {
                self.shares.take(disperser, bytes, now);
            }
            self.all.left -= bytes;
            return Ok(Taken {
                disperser,
                bytes,
                own,
            });
        }
        // When its own share has grown to it, if it ever does, or when full shares have let as much flow past them.
        let lent = time_of(needed - all, self.a_day.saturating_sub(self.shares.rate));
        let own = (bytes <= share).then(|| time_of(bytes - left, share));
        let after = own.map_or(lent, |own| own.min(lent)).min(DAY);
        Err(Exhausted {
            left,
            share,
            after: Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX))
                .max(Duration::from_millis(1)),
        })
    }

    /// A batch was not stored after all.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        self.all.left = self.all.left.saturating_add(taken.bytes);
        if taken.own {
            self.shares.give_back(taken.disperser, taken.bytes);
        }
    }
}

/// The dispersers' shares of a day.
#[derive(Debug, Default)]
struct Shares {
    of: HashMap<u32, Share>,
    /// What the weights are parts of.
    weights: u128,
    /// Those that are not whole, by the time when they are.
    growing: BTreeSet<(u128, u32)>,
    /// Bytes a day of all, and of those that are not whole.
    all: u64,
    rate: u64,
    /// For each that is not whole: its bytes a day, times when it is whole; in sum.
    due: u128,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    weight: u128,
    a_day: u64,
    /// When it is whole again, or was.
    whole_at: u128,
}

impl Share {
    /// Bytes of it that are used, rounded up.
    fn used(&self, now: u128) -> u64 {
        let used = u128::from(self.a_day) * self.whole_at.saturating_sub(now);
        u64::try_from(used.div_ceil(DAY)).unwrap_or(u64::MAX)
    }
}

impl Shares {
    /// Divides the bytes of a day anew: the time when a share is whole stays.
    fn divide(&mut self, a_day: u64, now: u128) {
        self.growing.clear();
        (self.all, self.rate, self.due) = (0, 0, 0);
        for (id, share) in &mut self.of {
            share.a_day = share_of(a_day, share.weight, self.weights);
            self.all += share.a_day;
            if share.whole_at > now {
                self.growing.insert((share.whole_at, *id));
                self.rate += share.a_day;
                self.due += u128::from(share.a_day) * share.whole_at;
            }
        }
    }

    /// Moves the time when a share is whole.
    fn change(&mut self, id: u32, whole_at: impl FnOnce(&Share) -> u128) {
        let Some(share) = self.of.get_mut(&id) else {
            return;
        };
        if self.growing.remove(&(share.whole_at, id)) {
            self.rate -= share.a_day;
            self.due -= u128::from(share.a_day) * share.whole_at;
        }
        share.whole_at = whole_at(share);
        self.growing.insert((share.whole_at, id));
        self.rate += share.a_day;
        self.due += u128::from(share.a_day) * share.whole_at;
    }

    /// Forgets what is whole by now. All below take it for done.
    fn settle(&mut self, now: u128) {
        while let Some(&(whole_at, id)) = self.growing.first().filter(|(at, _)| *at <= now) {
            self.growing.pop_first();
            let a_day = self.of.get(&id).map_or(0, |share| share.a_day);
            self.rate -= a_day;
            self.due -= u128::from(a_day) * whole_at;
        }
    }

    /// A disperser's bytes a day, and those that are left of them.
    fn get(&self, id: u32, now: u128) -> (u64, u64) {
        let share = self.of.get(&id).copied().unwrap_or_default();
        (share.a_day, share.a_day.saturating_sub(share.used(now)))
    }

    /// What is left of all shares together, rounded up.
    fn left(&self, now: u128) -> u64 {
        let used = (self.due - u128::from(self.rate) * now) / DAY;
        self.all
            .saturating_sub(u64::try_from(used).unwrap_or(u64::MAX))
    }

    /// Bytes that are used of each share. Where nothing flows they do not follow from the time, which stays then.
    fn used(&self, now: u128) -> Vec<(u32, u64)> {
        let growing = self.growing.iter().filter_map(|(_, id)| {
            let share = self.of.get(id).filter(|share| share.a_day > 0)?;
            Some((*id, share.used(now)))
        });
        growing.collect()
    }

    fn take(&mut self, id: u32, bytes: u64, now: u128) {
        self.change(id, |share| {
            share.whole_at.max(now) + time_of(bytes, share.a_day)
        });
    }

    /// So many bytes of it are used, or all that there are: in a day it is whole.
    fn use_again(&mut self, id: u32, bytes: u64, now: u128) {
        self.change(id, |share| match share.a_day {
            0 => share.whole_at,
            a_day => now + time_of(bytes.min(a_day), a_day),
        });
    }

    fn give_back(&mut self, id: u32, bytes: u64) {
        self.change(id, |share| {
            share.whole_at.saturating_sub(time_of(bytes, share.a_day))
        });
    }
}

#[cfg(test)]
mod tests;
