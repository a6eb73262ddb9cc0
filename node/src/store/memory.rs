//! The backend in memory, with a power switch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Backend, BackendError, Durability, Put, Space, WindowId};

type Spaces = BTreeMap<Space, BTreeMap<Vec<u8>, Bytes>>;

#[derive(Debug, Default)]
struct State {
    live: Spaces,
    /// As of the last sync.
    durable: Spaces,
}

/// Keys and values in memory. What was not synced is lost when the [power is cut](MemoryBackend::cut_power), so that a
/// test can ask what would have survived. A clone is another handle on the same values.
#[derive(Debug, Default, Clone)]
pub struct MemoryBackend {
    state: Arc<Mutex<State>>,
}

impl MemoryBackend {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything that was not synced.
    pub fn cut_power(&self) {
        let mut state = self.state();
        state.live = state.durable.clone();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for MemoryBackend {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        Ok(self
            .state()
            .live
            .get(&space)
            .and_then(|values| values.get(key))
            .cloned())
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        _size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        // Encode before taking the lock: all or nothing, even if encoding panics.
        let puts: Vec<Put> = puts.collect();
        let mut state = self.state();
        for put in puts {
            let values = state.live.entry(put.space).or_default();
            match put.value {
                // A copy: what came from the network holds a request's memory as long as it lives.
                Some(value) => values.insert(put.key, Bytes::copy_from_slice(&value)),
                None => values.remove(&put.key),
            };
        }
        if durability == Durability::Synced {
            state.durable = state.live.clone();
        }
        Ok(())
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        let state = self.state();
        let Some(values) = state.live.get(&space) else {
            return Ok(Vec::new());
        };
        let from = after.filter(|a| *a > prefix).unwrap_or(prefix);
        Ok(values
            .range(from.to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| after.is_none_or(|after| key.as_slice() > after))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn windows(&self) -> Vec<WindowId> {
        self.state()
            .live
            .keys()
            .filter_map(|space| match space {
                Space::Window(window) => Some(*window),
                _ => None,
            })
            .collect()
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        let mut state = self.state();
        state.live.remove(&Space::Window(window));
        state.durable.remove(&Space::Window(window));
        Ok(())
    }

    fn recover(&self, mark: &Put) -> Result<(), BackendError> {
        match self.get(mark.space, &mark.key)? {
            Some(value) if Some(&value) == mark.value.as_ref() => Ok(()),
            _ => Err(BackendError::Replaced),
        }
    }
}
