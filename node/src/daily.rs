//! How many bytes dispersers may store a day, and how they share them: without IO, and with the time passed in.
//!
//! The node takes in so many bytes a day that those which it has promised to keep fit on its disk at any time: see [`daily_bytes`].
//! They flow into a store of bytes that holds up to thirty hours' worth. A disperser's **share** of the day is in proportion to its
//! bond; what it has not used in a day is lost to it. A batch is taken
//!
//! * out of its disperser's share, if there is enough of that left; or
//! * out of what others leave: if after it there is still as much as is left of all shares together.
//!
//! So whatever is lent, everybody's share is there when he asks for it: nothing has to be taken back, lending just ends.

use std::collections::HashMap;
use std::time::Duration;

use crate::store::Allowance;

/// Milliseconds of a day, and how many of its bytes can be there at once: the day's, and six hours' more for lending.
const DAY_MS: u64 = 24 * 3600 * 1000;
const LENDING_MS: u64 = 6 * 3600 * 1000;

/// Bytes a day that fit on a disk with `room` bytes if they are kept for `kept`, window included.
pub(crate) fn daily_bytes(room: u64, kept: Duration) -> u64 {
    // What was there at the beginning comes on top of what flows in while the oldest bytes are kept.
    let most = kept.as_millis() + u128::from(DAY_MS + LENDING_MS);
    share_of(room, u128::from(DAY_MS), most)
}

/// `whole * part / all`, rounded down.
fn share_of(whole: u64, part: u128, all: u128) -> u64 {
    let share = u128::from(whole).saturating_mul(part) / all.max(1);
    u64::try_from(share).unwrap_or(u64::MAX)
}

/// An amount of bytes to which more flow in, at a number of bytes a day.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: u64,
    /// When it was looked at, less what has not made a whole byte.
    at: Duration,
}

impl Bucket {
    fn fill(&mut self, a_day: u64, most: u64, now: Duration) {
        if a_day == 0 {
            return;
        }
        let elapsed = now.saturating_sub(self.at).as_millis();
        let new = share_of(a_day, elapsed, u128::from(DAY_MS));
        if new == 0 && self.left <= most {
            return;
        }
        self.at = now;
        self.left = self.left.saturating_add(new).min(most);
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct DailyBytes {
    a_day: u64,
    all: Bucket,
    dispersers: HashMap<u32, Disperser>,
    bonds: u128,
    /// Time that the node did not run, not yet counted.
    stopped: Duration,
}

#[derive(Debug)]
struct Disperser {
    bond: u128,
    own: Bucket,
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
            at: now,
        };
        Self {
            a_day: 0,
            all,
            dispersers: HashMap::new(),
            bonds: 0,
            stopped: Duration::ZERO,
        }
    }

    /// Goes on from what was kept, if something was: what was stored since then, by how much more is held now, is gone.
    pub(crate) fn restore(&mut self, kept: Allowance, held: u64, stopped: Duration) {
        self.all.left = kept.left.saturating_sub(held.saturating_sub(kept.held));
        self.stopped = stopped;
    }

    fn most(&self) -> u64 {
        share_of(
            self.a_day,
            u128::from(DAY_MS + LENDING_MS),
            u128::from(DAY_MS),
        )
    }

    /// What is left for all.
    pub(crate) fn left(&mut self, now: Duration) -> u64 {
        let most = self.most();
        self.all.fill(self.a_day, most, now);
        self.all.left.min(most)
    }

    /// How many bytes flow in a day.
    pub(crate) fn set_rate(&mut self, a_day: u64, now: Duration) {
        self.left(now);
        let (before, bonds) = (self.a_day, self.bonds);
        for disperser in self.dispersers.values_mut() {
            let share = share_of(before, disperser.bond, bonds);
            disperser.own.fill(share, share, now);
        }
        self.a_day = a_day;
        let stopped = std::mem::take(&mut self.stopped).as_millis();
        let missed = share_of(a_day, stopped, u128::from(DAY_MS));
        self.all.left = self.all.left.saturating_add(missed);
    }

    /// The dispersers that there are, with their bonds. A new one has its share of a day.
    pub(crate) fn set_dispersers(
        &mut self,
        bonds: impl Iterator<Item = (u32, u128)>,
        now: Duration,
    ) {
        let mut before = std::mem::take(&mut self.dispersers);
        self.bonds = 0;
        for (id, bond) in bonds {
            let own = before.remove(&id).map_or(
                Bucket {
                    left: u64::MAX,
                    at: now,
                },
                |known| known.own,
            );
            self.bonds += bond;
            self.dispersers.insert(id, Disperser { bond, own });
        }
    }

    /// Takes a batch's bytes.
    ///
    /// # Errors
    /// Neither its disperser's share nor what others leave is enough.
    pub(crate) fn take(&mut self, id: u32, bytes: u64, now: Duration) -> Result<Taken, Exhausted> {
        let all = self.left(now);
        let (a_day, bonds) = (self.a_day, self.bonds);
        let (mut left, mut share) = (0, 0);
        if let Some(disperser) = self.dispersers.get_mut(&id) {
            share = share_of(a_day, disperser.bond, bonds);
            disperser.own.fill(share, share, now);
            left = disperser.own.left.min(all);
            if bytes <= left {
                disperser.own.left -= bytes;
                self.all.left -= bytes;
                let own = true;
                return Ok(Taken {
                    disperser: id,
                    bytes,
                    own,
                });
            }
        }
        let (mut reserved, mut growing) = (0u64, 0u64);
        for disperser in self.dispersers.values_mut() {
            let share = share_of(a_day, disperser.bond, bonds);
            disperser.own.fill(share, share, now);
            reserved = reserved.saturating_add(disperser.own.left.min(share));
            if disperser.own.left < share {
                growing += share;
            }
        }
        let needed = bytes.saturating_add(reserved);
        if needed <= all {
            self.all.left -= bytes;
            let own = false;
            return Ok(Taken {
                disperser: id,
                bytes,
                own,
            });
        }
        // When its own share has grown to it, if it ever does, or when full shares have let as much flow past them.
        let time = |missing: u64, a_day: u64| share_of(missing, u128::from(DAY_MS), a_day.into());
        let lent = time(needed - all, a_day.saturating_sub(growing));
        let own = (bytes <= share).then(|| time(bytes.saturating_sub(left), share));
        Err(Exhausted {
            left,
            share,
            after: Duration::from_millis(own.map_or(lent, |own| own.min(lent)).clamp(1, DAY_MS)),
        })
    }

    /// A batch was not stored after all.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        self.all.left = self.all.left.saturating_add(taken.bytes);
        if let Some(disperser) = self
            .dispersers
            .get_mut(&taken.disperser)
            .filter(|_| taken.own)
        {
            disperser.own.left = disperser.own.left.saturating_add(taken.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
