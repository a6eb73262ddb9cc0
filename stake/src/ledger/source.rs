//! Operator tables out of a ledger that somebody else drives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ashlar_proto::{Domain, TableView};

use super::{ServiceId, State, TableQueryError};
use crate::{OperatorTable, StakeError, StakeEvent, StakeEventKind, StakeSource, TableError};

/// Tables kept ready: batches refer to a handful of recent blocks.
const CACHED: usize = 64;

/// Gives a service's tables out of a shared ledger.
///
/// The head is the block before the ledger's: that block is over, so its table cannot change any more.
pub struct LedgerStakeSource<L = RwLock<State>> {
    ledger: Arc<L>,
    service: ServiceId,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    tables: BTreeMap<u64, Arc<OperatorTable>>,
    events: Vec<StakeEvent>,
    /// The last block looked at for events, and the last change found.
    seen: Option<u64>,
    changed: Option<u64>,
}

/// Whatever holds a state behind a lock: a plain one, or a store.
pub trait SharedState: Send + Sync {
    /// Runs a function on the state.
    fn with<R>(&self, read: impl FnOnce(&State) -> R) -> R;
}

impl SharedState for RwLock<State> {
    fn with<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        // A panic elsewhere cannot have left half a transaction: the next one begins where the last one ended.
        read(&self.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl SharedState for RwLock<super::store::Store> {
    fn with<R>(&self, read: impl FnOnce(&State) -> R) -> R {
        read(self.read().unwrap_or_else(PoisonError::into_inner).state())
    }
}

impl<L: SharedState> LedgerStakeSource<L> {
    /// The tables of `service` in this ledger.
    pub fn new(ledger: Arc<L>, service: ServiceId) -> Self {
        Self {
            ledger,
            service,
            memory: Mutex::default(),
        }
    }

    fn block(&self) -> u64 {
        self.ledger.with(|state| state.meta().block)
    }

    fn table(&self, memory: &mut Memory, block: u64) -> Result<Arc<OperatorTable>, StakeError> {
        let head = self.block().saturating_sub(1);
        if block > head {
            return Err(StakeError::UnknownBlock { block, head });
        }
        if let Some(table) = memory.tables.get(&block) {
            return Ok(Arc::clone(table));
        }
        let table = self
            .ledger
            .with(|state| state.table_at(self.service, block))
            .map(Arc::new)
            .map_err(|error| match error {
                TableQueryError::Table(TableError::NoOperators)
                | TableQueryError::Future { .. } => StakeError::UnknownBlock { block, head },
                error => StakeError::Ledger {
                    block,
                    source: Box::new(error),
                },
            })?;
        memory.tables.insert(block, Arc::clone(&table));
        if memory.tables.len() > CACHED {
            memory.tables.pop_first();
        }
        Ok(table)
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<L: SharedState> StakeSource for LedgerStakeSource<L> {
    fn domain(&self) -> Domain {
        self.ledger.with(|state| state.domain(self.service))
    }

    fn head(&self) -> Result<u64, StakeError> {
        Ok(self.block().saturating_sub(1))
    }

    fn table_at(&self, block: u64) -> Result<Arc<OperatorTable>, StakeError> {
        self.table(&mut self.memory(), block)
    }

    /// One event for the newest change that was not told yet; changes that were over before anybody asked are left out.
    fn events_since(&self, cursor: u64) -> Result<Vec<StakeEvent>, StakeError> {
        let mut memory = self.memory();
        let head = self.block().saturating_sub(1);
        if memory.seen.is_none_or(|seen| seen < head) {
            let changed = self
                .ledger
                .with(|state| state.table_changed_at(self.service, head));
            if let Some(block) = changed.filter(|_| changed != memory.changed) {
                match self.table(&mut memory, block) {
                    Ok(table) => {
                        let cursor = memory.events.last().map_or(1, |event| event.cursor + 1);
                        memory.events.push(StakeEvent {
                            cursor,
                            kind: StakeEventKind::Table {
                                block,
                                root: table.root(),
                            },
                        });
                    }
                    // Nobody has stake: no table, nothing to tell.
                    Err(StakeError::UnknownBlock { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            memory.seen = Some(head);
            memory.changed = changed;
        }
        Ok(memory
            .events
            .iter()
            .filter(|event| event.cursor > cursor)
            .copied()
            .collect())
    }
}
