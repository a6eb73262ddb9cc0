//! A backend whose device may never answer: everything is given up in time, see [`Lane`].

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;

use super::lane::Lane;
use super::{Backend, BackendError, Durability, Put, Space, Syncs, WindowId};

/// Opening a database reads its whole log and many files: it may take so many times as long as a piece of IO.
const OPENING: u32 = 60;
/// Opening it again: its files are in memory, and others wait.
const REOPENING: u32 = 6;

/// A backend on a device of its own. Dropped, it is closed on the device's threads: when the device answers again, if it hangs.
#[derive(Debug)]
pub(crate) struct Watched<B: Backend> {
    lane: Arc<Lane>,
    /// `None` only while it is dropped.
    inner: Option<Arc<B>>,
    /// Those of the backend, which would wait for whoever makes or drops one.
    windows: Arc<Mutex<Windows>>,
}

/// Windows as they were when they were looked at last.
#[derive(Debug, Default)]
struct Windows {
    /// Looks that were begun.
    begun: u64,
    /// The look that `list` comes from.
    seen: u64,
    list: Vec<WindowId>,
}

/// Looks at the windows anew. A backend may have this wait; nobody else waits for it then.
fn look<B: Backend>(inner: &B, windows: &Mutex<Windows>) {
    let lock = || windows.lock().unwrap_or_else(PoisonError::into_inner);
    let look = {
        let mut windows = lock();
        windows.begun += 1;
        windows.begun
    };
    let list = inner.windows();
    let mut windows = lock();
    // A look that was begun later saw all that this one did.
    if look > windows.seen {
        (windows.seen, windows.list) = (look, list);
    }
}

impl<B: Backend> Watched<B> {
    /// Opens a backend on a lane whose patience this is.
    ///
    /// # Errors
    /// What `open` says, or the device hangs.
    pub(crate) fn open(
        lane: &Arc<Lane>,
        open: impl FnOnce() -> Result<B, BackendError> + Send + 'static,
    ) -> Result<Self, BackendError> {
        let opened = move || {
            let inner = Arc::new(open()?);
            let windows = Arc::default();
            look(inner.as_ref(), &windows);
            Ok((inner, windows))
        };
        let (inner, windows) = lane.run_for(lane.patience() * OPENING, opened)??;
        Ok(Self {
            lane: Arc::clone(lane),
            inner: Some(inner),
            windows,
        })
    }

    /// Counts whoever still has the backend open.
    pub(super) fn users(&self) -> Weak<B> {
        self.inner.as_ref().map(Arc::downgrade).unwrap_or_default()
    }

    fn inner(&self) -> Result<&Arc<B>, BackendError> {
        self.inner.as_ref().ok_or_else(|| BackendError::Closed {
            detail: "it is being dropped".into(),
        })
    }

    /// Does something with the backend that leaves its windows alone.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&B) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let inner = Arc::clone(self.inner()?);
        self.lane.run(move || work(&inner))?
    }

    /// Does something that may change the windows.
    fn change<T: Send + 'static>(
        &self,
        patience: Duration,
        work: impl FnOnce(&B) -> Result<T, BackendError> + Send + 'static,
    ) -> Result<T, BackendError> {
        let (inner, windows) = (Arc::clone(self.inner()?), Arc::clone(&self.windows));
        self.lane.run_for(patience, move || {
            let done = work(&inner);
            look(inner.as_ref(), &windows);
            done
        })?
    }
}

impl<B: Backend> Backend for Watched<B> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        let key = key.to_vec();
        self.run(move |inner| inner.get(space, &key))
    }

    fn find(&self, spaces: &[Space], key: &[u8]) -> Result<Option<(Space, Bytes)>, BackendError> {
        let (spaces, key) = (spaces.to_vec(), key.to_vec());
        self.run(move |inner| inner.find(&spaces, &key))
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        // Each is freed as soon as it is copied, so that no more of them are there at a time than without this.
        let puts: Vec<Put> = puts.collect();
        self.change(self.lane.patience(), move |inner| {
            inner.write(&mut puts.into_iter(), size_hint, durability)
        })
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        let (prefix, after) = (prefix.to_vec(), after.map(<[u8]>::to_vec));
        self.run(move |inner| inner.scan(space, &prefix, after.as_deref(), limit))
    }

    fn windows(&self) -> Vec<WindowId> {
        let known = self.windows.lock();
        known.unwrap_or_else(PoisonError::into_inner).list.clone()
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        self.change(self.lane.patience(), move |inner| inner.drop_window(window))
    }

    fn recover(&self, mark: &Put) -> Result<(), BackendError> {
        let mark = mark.clone();
        let patience = self.lane.patience() * REOPENING;
        self.change(patience, move |inner| inner.recover(&mark))
    }

    fn syncs(&self) -> Syncs {
        self.inner().map(|inner| inner.syncs()).unwrap_or_default()
    }
}

impl<B: Backend> Drop for Watched<B> {
    fn drop(&mut self) {
        let inner = self.inner.take();
        self.lane.finish(move || drop(inner));
    }
}
