//! A queue in which many share one server: deficit round robin (Shreedhar and Varghese, 1995). Without IO and without a clock.
//!
//! Senders take turns, and so do the accounts of a sender. A turn is [`QUANTUM`] rows, what is not used of it, because the next blob
//! is larger, is there for the next turn, and a newcomer comes last. So between two turns of one that waits every other has one, and
//! whoever floods the queue waits behind its own blobs alone. Rows are the unit because they are the work: a blob of one byte is as
//! much as a full row.
//!
//! A sender is a [`Party`]: an account that signed, or a network of addresses. A network comes before the accounts that it names, because
//! these are mere claims: otherwise one sender could have a turn for each account that it makes up, or spend the turns of an account that
//! is not its own.
//!
//! There is state for those who wait, and nothing of others: its bound is that of open blobs.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use ashlar_proto::Account;

use crate::record::{Origin, Party};

/// Rows of a turn: 1 MiB of payload.
pub(crate) const QUANTUM: u64 = 8;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct FairQueue<T> {
    parties: Turns<Party, Turns<Account, VecDeque<(u64, T)>>>,
    len: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            parties: Turns::default(),
            len: 0,
        }
    }
}

impl<T> FairQueue<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Behind what waits of the same origin.
    pub(crate) fn push(&mut self, of: &Origin, rows: u64, item: T) {
        let accounts = self.parties.of(of.party);
        accounts.of(of.account).push_back((rows, item));
        self.len += 1;
    }

    /// Back to where [`pop`](Self::pop) took it from.
    pub(crate) fn put_back(&mut self, of: &Origin, rows: u64, item: T) {
        let accounts = self.parties.again(of.party, rows);
        let queue = accounts.again(of.account, rows);
        queue.push_front((rows, item));
        self.len += 1;
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let (_, item) = self.parties.pop()?;
        self.len -= 1;
        Some(item)
    }

    /// All that wait, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let accounts = self.parties.turns.values();
        let queues = accounts.flat_map(|turn| turn.queue.turns.values());
        queues.flat_map(|turn| turn.queue.iter().map(|(_, item)| item))
    }

    /// Takes out what is so among what these parties sent, in the order in which it would have come from each account.
    pub(crate) fn take_out(
        &mut self,
        from: impl Fn(&Party) -> bool,
        is_so: impl Fn(&T) -> bool,
    ) -> Vec<T> {
        let mut out = Vec::new();
        for (_, turn) in self.parties.turns.iter_mut().filter(|(of, _)| from(of)) {
            for account in turn.queue.turns.values_mut() {
                let all = std::mem::take(&mut account.queue);
                for (rows, item) in all {
                    match is_so(&item) {
                        true => out.push(item),
                        false => account.queue.push_back((rows, item)),
                    }
                }
            }
            turn.queue.forget_empty();
        }
        self.parties.forget_empty();
        self.len -= out.len();
        out
    }
}

/// What can wait for its turn: a line, or several that take turns themselves. None that takes turns is empty.
trait Queue: Default {
    type Item;

    /// Nobody waits.
    fn has_none(&self) -> bool;
    /// The rows of the next one.
    fn next_rows(&mut self) -> Option<u64>;
    /// The next one, and its rows.
    fn pop(&mut self) -> Option<(u64, Self::Item)>;
}

impl<T> Queue for VecDeque<(u64, T)> {
    type Item = T;

    fn has_none(&self) -> bool {
        self.is_empty()
    }

    fn next_rows(&mut self) -> Option<u64> {
        self.front().map(|(rows, _)| *rows)
    }

    fn pop(&mut self) -> Option<(u64, T)> {
        self.pop_front()
    }
}

/// Queues that take turns.
#[derive(Debug)]
struct Turns<K, Q> {
    /// The first one has its turn.
    order: VecDeque<K>,
    turns: HashMap<K, Turn<Q>>,
}

#[derive(Debug, Default)]
struct Turn<Q> {
    /// Rows that are left of its turns.
    left: u64,
    queue: Q,
}

impl<K, Q> Default for Turns<K, Q> {
    fn default() -> Self {
        Self {
            order: VecDeque::new(),
            turns: HashMap::new(),
        }
    }
}

impl<K: Copy + Eq + Hash, Q: Queue> Turns<K, Q> {
    /// This one's queue. A new one comes last.
    fn of(&mut self, key: K) -> &mut Q {
        let turn = self.turns.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Turn {
                left: QUANTUM,
                queue: Q::default(),
            }
        });
        &mut turn.queue
    }

    /// This one's queue, whose turn it was a moment ago.
    fn again(&mut self, key: K, rows: u64) -> &mut Q {
        let turn = self.turns.entry(key).or_insert_with(|| {
            self.order.push_front(key);
            Turn::default()
        });
        turn.left += rows;
        &mut turn.queue
    }

    fn forget_empty(&mut self) {
        self.turns.retain(|_, turn| !turn.queue.has_none());
        self.order.retain(|key| self.turns.contains_key(key));
    }
}

impl<K: Copy + Eq + Hash, Q: Queue> Queue for Turns<K, Q> {
    type Item = Q::Item;

    fn has_none(&self) -> bool {
        self.turns.is_empty()
    }

    fn next_rows(&mut self) -> Option<u64> {
        loop {
            let key = *self.order.front()?;
            let turn = self.turns.get_mut(&key)?;
            let rows = turn.queue.next_rows()?;
            if rows <= turn.left {
                return Some(rows);
            }
            turn.left += QUANTUM;
            self.order.rotate_left(1);
        }
    }

    fn pop(&mut self) -> Option<(u64, Q::Item)> {
        self.next_rows()?;
        let key = *self.order.front()?;
        let turn = self.turns.get_mut(&key)?;
        let (rows, item) = turn.queue.pop()?;
        turn.left = turn.left.saturating_sub(rows);
        // Whoever's turn it is has the front until the next one is asked for: what is put back finds its place there.
        if turn.queue.has_none() {
            self.turns.remove(&key);
            self.order.pop_front();
        }
        Some((rows, item))
    }
}

#[cfg(test)]
mod tests;
