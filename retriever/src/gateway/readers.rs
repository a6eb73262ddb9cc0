//! What each reader's network has under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ashlar_net::Subnet;
use bytes::Bytes;

/// Requests and bytes of all networks that have any.
#[derive(Debug, Default)]
pub(super) struct Readers {
    busy: Mutex<HashMap<Subnet, Load>>,
}

#[derive(Debug, Default)]
struct Load {
    requests: usize,
    bytes: u64,
}

/// A request that is counted, until this and what is [attached](Self::attach) to it is dropped.
#[derive(Debug)]
pub(super) struct Counted {
    readers: Arc<Readers>,
    network: Subnet,
    bytes: u64,
}

struct Held {
    payload: Bytes,
    _counted: Counted,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.payload
    }
}

impl Readers {
    fn change<T>(&self, network: Subnet, change: impl FnOnce(&mut Load) -> T) -> T {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let load = busy.entry(network).or_default();
        let result = change(load);
        if load.requests == 0 {
            busy.remove(&network);
        }
        result
    }

    /// Counts a request; `None` if its network has too many.
    pub(super) fn enter(self: &Arc<Self>, network: Subnet, most: usize) -> Option<Counted> {
        let entered = self.change(network, |load| {
            let room = load.requests < most;
            load.requests += usize::from(room);
            room
        });
        entered.then(|| Counted {
            readers: Arc::clone(self),
            network,
            bytes: 0,
        })
    }
}

impl Counted {
    /// Counts the bytes of its answer; `false` if its network has too many.
    pub(super) fn take(&mut self, bytes: u64, most: u64) -> bool {
        let taken = self.readers.change(self.network, |load| {
            let room = load.bytes.saturating_add(bytes) <= most;
            load.bytes += if room { bytes } else { 0 };
            room
        });
        self.bytes += if taken { bytes } else { 0 };
        taken
    }

    /// Makes an answer hold it.
    pub(super) fn attach(self, payload: Bytes) -> Bytes {
        Bytes::from_owner(Held {
            payload,
            _counted: self,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.readers.change(self.network, |load| {
            load.requests = load.requests.saturating_sub(1);
            load.bytes = load.bytes.saturating_sub(self.bytes);
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_network_has_its_share_and_no_more() {
        let readers = Arc::new(Readers::default());
        let network = |text: &str| Subnet::of(text.parse().unwrap());
        let (one, other) = (network("192.0.2.1"), network("198.51.100.1"));
        let mut first = readers.enter(one, 2).unwrap();
        let second = readers.enter(network("192.0.2.99"), 2).unwrap();
        assert!(readers.enter(one, 2).is_none());
        assert!(readers.enter(other, 2).is_some());
        assert!(first.take(70, 100) && !first.take(31, 100) && first.take(30, 100));
        let answer = first.attach(Bytes::from_static(b"answer"));
        let part = answer.slice(1..2);
        drop(answer);
        assert!(
            readers.enter(one, 2).is_none(),
            "a part of it is still on its way"
        );
        drop(part);
        assert!(readers.enter(one, 2).unwrap().take(100, 100));
        drop(second);
        assert!(readers.busy.lock().unwrap().is_empty());
    }
}
