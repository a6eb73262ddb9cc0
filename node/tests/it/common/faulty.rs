//! A store in memory whose disk breaks where a test says.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use ashlar_node::store::{
    Backend, BackendError, DatabaseId, Durability, MemoryBackend, Put, Space, TableStore, WindowId,
};
use ashlar_proto::OperatorId;
use bytes::Bytes;

/// Where the disk breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It works.
    None,
    /// Nothing is written.
    BeforeWrite,
    /// Written, but not synced: the sync fails.
    AfterWrite,
    /// Written and synced; the process does not learn of it.
    AfterSync,
    /// The disk is full.
    Full,
}

/// What the test holds on to.
#[derive(Debug)]
pub struct Disk {
    pub memory: MemoryBackend,
    fault: Mutex<Fault>,
    /// How many writes may pass before the fault.
    pub skip: AtomicU32,
    pub recoveries: AtomicU32,
    /// Whether recovering helps.
    pub recoverable: AtomicBool,
    held: Mutex<bool>,
    released: Condvar,
}

impl Disk {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            memory: MemoryBackend::new(),
            fault: Mutex::new(Fault::None),
            skip: AtomicU32::new(0),
            recoveries: AtomicU32::new(0),
            recoverable: AtomicBool::new(false),
            held: Mutex::new(false),
            released: Condvar::new(),
        })
    }

    pub fn set(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Writes wait until `release`.
    pub fn hold(&self) {
        *self.held.lock().unwrap() = true;
    }

    pub fn release(&self) {
        *self.held.lock().unwrap() = false;
        self.released.notify_all();
    }

    pub fn store(self: &Arc<Self>, owner: OperatorId) -> TableStore<Faulty> {
        let id = DatabaseId([1; 16]);
        TableStore::create(Faulty(Arc::clone(self)), owner, id, 3600).unwrap()
    }
}

/// The backend over it.
#[derive(Debug)]
pub struct Faulty(pub Arc<Disk>);

fn broken() -> BackendError {
    BackendError::Io {
        detail: "the disk is broken (by a test)".into(),
    }
}

impl Backend for Faulty {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        self.0.memory.get(space, key)
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        let mut held = self.0.held.lock().unwrap();
        while *held {
            held = self.0.released.wait(held).unwrap();
        }
        drop(held);
        let fault = *self.0.fault.lock().unwrap();
        let memory = &self.0.memory;
        if fault != Fault::None
            && self
                .0
                .skip
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
        {
            return memory.write(puts, size_hint, durability);
        }
        match fault {
            Fault::None => memory.write(puts, size_hint, durability),
            Fault::BeforeWrite => Err(broken()),
            Fault::Full => Err(BackendError::NoSpace {
                detail: "no room (by a test)".into(),
            }),
            Fault::AfterWrite => {
                memory.write(puts, size_hint, Durability::Buffered)?;
                Err(broken())
            }
            Fault::AfterSync => {
                memory.write(puts, size_hint, Durability::Synced)?;
                Err(broken())
            }
        }
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        self.0.memory.scan(space, prefix, after, limit)
    }

    fn windows(&self) -> Vec<WindowId> {
        self.0.memory.windows()
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        self.0.memory.drop_window(window)
    }

    fn recover(&self, _mark: &Put) -> Result<(), BackendError> {
        self.0.recoveries.fetch_add(1, Ordering::SeqCst);
        if self.0.recoverable.load(Ordering::SeqCst) {
            self.0.set(Fault::None);
        }
        Ok(())
    }
}
