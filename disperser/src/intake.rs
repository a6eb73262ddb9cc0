//! How much of what is open each sender may have, and when there is room again: without IO and without a clock.
//!
//! A 202 is a promise: nothing that was taken in is ended because others come. So a sender gets only so much that others find room:
//! it may have four times what is free. Alone that is four fifths of all; each of n that want more than they get has 4 / (4 n + 1)
//! of all, and 1 / (4 n + 1) stays free for the next one, who has room at once. These are the "dynamic thresholds" of shared buffers
//! (Choudhury and Hahne, 1998). A sender is a [`Party`]; the same rule holds for the accounts that a network names, in what it may
//! have. Who has nothing may have all that is free.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant};

use ashlar_proto::Account;

use crate::record::{Origin, Party};

/// How many times what is free a sender may have.
const LENT: u64 = 4;
/// How long it is counted what is done before that becomes part of the rate.
const WINDOW: Duration = Duration::from_secs(5);
/// Nobody is told to wait longer.
const LONGEST_WAIT_SECS: u64 = 60;

/// How many blobs may be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenLimits {
    /// Blobs.
    pub blobs: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Payload bytes that stay in memory until they are encoded.
    pub memory: u64,
    /// Whoever is refused is told to wait so long at least, in seconds.
    pub retry_after_secs: u64,
}

/// No room for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// The sender has its share; else nobody has room.
    pub(crate) beyond_share: bool,
    /// When there will be room, at the rate at which blobs are done with.
    pub(crate) retry_after_secs: u64,
}

/// Blobs and their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Load {
    blobs: u64,
    bytes: u64,
}

impl Load {
    fn one(bytes: u64) -> Self {
        Self { blobs: 1, bytes }
    }

    fn add(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes += other.bytes;
    }

    fn sub(&mut self, other: Self) {
        self.blobs -= other.blobs;
        self.bytes -= other.bytes;
    }
}

#[derive(Debug, Default)]
struct OfParty {
    open: Load,
    accounts: HashMap<Account, Load>,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Intake {
    limits: OpenLimits,
    open: Load,
    parties: HashMap<Party, OfParty>,
    /// Done since then.
    done: (Instant, Load),
    /// Blobs and bytes a second, once they are known.
    rate: Option<(f64, f64)>,
}

impl Intake {
    pub(crate) fn new(limits: OpenLimits, now: Instant) -> Self {
        Self {
            limits,
            open: Load::default(),
            parties: HashMap::new(),
            done: (now, Load::default()),
            rate: None,
        }
    }

    /// Payload bytes of what is open.
    pub(crate) fn bytes(&self) -> u64 {
        self.open.bytes
    }

    /// Whether there is room for a blob of a sender, and of an account if it is known.
    pub(crate) fn check(
        &mut self,
        party: &Party,
        account: Option<&Account>,
        bytes: u64,
        now: Instant,
    ) -> Result<(), NoRoom> {
        let of_party = self.parties.get(party);
        let of_account = account.and_then(|account| of_party?.accounts.get(account));
        let (party, account) = (
            of_party.map_or(Load::default(), |of| of.open),
            of_account.copied().unwrap_or_default(),
        );
        let Self { limits, open, .. } = self;
        let blobs = Room::of(limits.blobs, open.blobs, party.blobs, account.blobs);
        let bytes_room = Room::of(limits.bytes, open.bytes, party.bytes, account.bytes);
        if blobs.share >= 1 && bytes_room.share >= bytes {
            return Ok(());
        }
        let missing = Load {
            blobs: 1u64.saturating_sub(blobs.share),
            bytes: bytes.saturating_sub(bytes_room.share),
        };
        Err(NoRoom {
            beyond_share: blobs.free >= 1 && bytes_room.free >= bytes,
            retry_after_secs: self.wait_secs(missing, now),
        })
    }

    /// A blob is open from now on.
    pub(crate) fn take_in(&mut self, of: &Origin, bytes: u64) {
        let one = Load::one(bytes);
        let party = self.parties.entry(of.party).or_default();
        self.open.add(one);
        party.open.add(one);
        party.accounts.entry(of.account).or_default().add(one);
    }

    /// A blob that was taken in is not there after all.
    pub(crate) fn give_back(&mut self, of: &Origin, bytes: u64) {
        let one = Load::one(bytes);
        let Entry::Occupied(mut party) = self.parties.entry(of.party) else {
            return;
        };
        let Entry::Occupied(mut account) = party.get_mut().accounts.entry(of.account) else {
            return;
        };
        account.get_mut().sub(one);
        if account.get().blobs == 0 {
            account.remove();
        }
        party.get_mut().open.sub(one);
        if party.get().open.blobs == 0 {
            party.remove();
        }
        self.open.sub(one);
    }

    /// A blob is done with.
    pub(crate) fn finish(&mut self, of: &Origin, bytes: u64, now: Instant) {
        self.give_back(of, bytes);
        self.done.1.add(Load::one(bytes));
        self.measure(now);
    }

    fn measure(&mut self, now: Instant) {
        let (since, done) = self.done;
        let took = now.saturating_duration_since(since);
        if took < WINDOW {
            return;
        }
        let a_second = |amount: u64| amount as f64 / took.as_secs_f64();
        let (blobs, bytes) = (a_second(done.blobs), a_second(done.bytes));
        let before = self.rate.unwrap_or((blobs, bytes));
        self.rate = Some(((before.0 + blobs) / 2.0, (before.1 + bytes) / 2.0));
        self.done = (now, Load::default());
    }

    fn wait_secs(&mut self, missing: Load, now: Instant) -> u64 {
        self.measure(now);
        let least = self.limits.retry_after_secs;
        let Some((blobs, bytes)) = self.rate else {
            return least;
        };
        let wait = |missing: u64, rate: f64| match missing {
            0 => 0.0,
            // By a rate of nothing it is forever.
            missing => missing as f64 / rate,
        };
        let secs = wait(missing.blobs, blobs).max(wait(missing.bytes, bytes));
        (secs.ceil() as u64).clamp(least, LONGEST_WAIT_SECS.max(least))
    }
}

/// What is free, and how much of it a sender may have.
struct Room {
    free: u64,
    share: u64,
}

impl Room {
    fn of(total: u64, open: u64, of_party: u64, of_account: u64) -> Self {
        let free = total.saturating_sub(open);
        if of_party == 0 {
            return Self { free, share: free };
        }
        let party = free.saturating_mul(LENT).saturating_sub(of_party);
        let account = party.saturating_mul(LENT).saturating_sub(of_account);
        Self {
            free,
            share: free.min(party).min(account),
        }
    }
}

#[cfg(test)]
mod tests;
