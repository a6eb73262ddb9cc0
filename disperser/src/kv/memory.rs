//! The twin in memory, which can lose what was not synced.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Entry, Kv, KvError, Op, Table};

type Tables = HashMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Default)]
struct State {
    now: Tables,
    /// What a power cut leaves.
    durable: Tables,
    unsynced: Vec<Op>,
    /// The next writes fail, so many.
    failures: usize,
    /// So many more writes succeed, and then none.
    left: Option<usize>,
    /// Writes of these panic, so many times.
    panics: Vec<Panic>,
    /// Reads of these fail.
    unreadable: HashSet<(Table, Vec<u8>)>,
    /// Counts the processes that the data has outlived.
    life: u64,
}

/// When a write panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicAt {
    /// Nothing is written.
    Before,
    /// All of it is.
    After,
}

struct Panic {
    table: Table,
    key: Vec<u8>,
    at: PanicAt,
    left: usize,
}

/// Tables in memory. Clones share them, so a test can drop a disperser and open the same data again.
#[derive(Clone, Default)]
pub struct MemoryKv {
    state: Arc<Mutex<State>>,
    life: u64,
}

impl MemoryKv {
    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything that was not synced.
    pub fn cut_power(&self) {
        let mut state = self.lock();
        state.now = state.durable.clone();
        state.unsynced.clear();
    }

    /// The same data for the next process: what is left of the one before, threads in the middle of a write, can no longer
    /// write.
    pub fn next_life(&self) -> Self {
        let mut state = self.lock();
        state.life += 1;
        Self {
            state: Arc::clone(&self.state),
            life: state.life,
        }
    }

    /// What is durable now, as another database: a backup.
    pub fn copy(&self) -> Self {
        let durable = self.lock().durable.clone();
        let state = State {
            now: durable.clone(),
            durable,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            life: 0,
        }
    }

    /// Lets the next `count` writes fail.
    pub fn fail_writes(&self, count: usize) {
        self.lock().failures = count;
    }

    /// Lets the next `count` writes panic that put something into this table under a key that begins so.
    pub fn panic_writes(&self, table: Table, key: &[u8], at: PanicAt, count: usize) {
        let mut state = self.lock();
        let (key, left) = (key.to_vec(), count);
        state
            .panics
            .retain(|panic| panic.table != table || panic.key != key);
        state.panics.push(Panic {
            table,
            key,
            at,
            left,
        });
    }

    /// No value of this key can be read any more.
    pub fn damage(&self, table: Table, key: &[u8]) {
        self.lock().unreadable.insert((table, key.to_vec()));
    }

    /// Lets `count` more writes succeed and none after them; `None` for no such limit.
    pub fn fail_after(&self, count: Option<usize>) {
        self.lock().left = count;
    }

    /// Whether a write has met the limit of [`fail_after`](Self::fail_after).
    pub fn is_spent(&self) -> bool {
        self.lock().left == Some(0)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn apply(tables: &mut Tables, op: Op) {
    match op {
        Op::Put(table, key, value) => {
            tables.entry(table).or_default().insert(key, value);
        }
        Op::PutUntil(table, key, value, _) => {
            tables.entry(table).or_default().insert(key, value.into());
        }
        Op::Delete(table, key) => {
            tables.entry(table).or_default().remove(&key);
        }
    }
}

impl Kv for MemoryKv {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, KvError> {
        let state = self.lock();
        if state.unreadable.contains(&(table, key.to_vec())) {
            return Err(KvError::Read {
                detail: "told to fail".into(),
            });
        }
        let entries = state.now.get(&table);
        Ok(entries.and_then(|entries| entries.get(key)).cloned())
    }

    fn scan(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Entry>, KvError> {
        let state = self.lock();
        Ok(state
            .now
            .get(&table)
            .into_iter()
            .flat_map(|entries| entries.range(from.to_vec()..))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn write(&self, ops: Vec<Op>, sync: bool) -> Result<(), KvError> {
        let mut state = self.lock();
        if state.life != self.life {
            return Err(KvError::Write {
                detail: "the process is dead".into(),
            });
        }
        if state.failures > 0 {
            state.failures -= 1;
            return Err(KvError::Write {
                detail: "told to fail".into(),
            });
        }
        match &mut state.left {
            Some(0) => {
                return Err(KvError::Write {
                    detail: "told to fail from here on".into(),
                });
            }
            Some(left) => *left -= 1,
            None => {}
        }
        let panic = state.panics.iter_mut().find(|panic| {
            let put = |op: &Op| matches!(op, Op::Put(table, key, _) if *table == panic.table && key.starts_with(&panic.key));
            panic.left > 0 && ops.iter().any(put)
        });
        let panic = panic.map(|panic| {
            panic.left -= 1;
            panic.at
        });
        assert_ne!(panic, Some(PanicAt::Before), "told to panic before a write");
        for op in ops {
            apply(&mut state.now, op.clone());
            state.unsynced.push(op);
        }
        if sync {
            for op in std::mem::take(&mut state.unsynced) {
                apply(&mut state.durable, op);
            }
        }
        assert_ne!(panic, Some(PanicAt::After), "told to panic after a write");
        Ok(())
    }
}
