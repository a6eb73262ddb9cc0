//! Who may post, who pays, and how: an account's book ([`book`]), and how vouchers become money ([`redeem`]). `docs/protocol.md`, section 15, has the rules.

pub mod book;
pub mod redeem;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ashlar_proto::Account;

use crate::accounts::book::AccountRecord;

/// Accounts of which a record stays in memory while nobody uses it, 6 KiB each with a month of use.
const KEPT: usize = 1024;

/// The record of an account, if it is in memory. Nothing after a write that failed, or that nobody saw the end of: then the disk knows.
pub(crate) type Cell = Arc<Mutex<Option<AccountRecord>>>;

/// The accounts that are being changed. A record is locked from the decision to the end of the write, so what is on disk is never
/// older than what was decided by. Whoever needs several takes them in rising order.
#[derive(Default)]
pub(crate) struct Cells(Mutex<HashMap<Account, Cell>>);

impl Cells {
    /// One account's.
    pub(crate) fn of(&self, account: Account) -> Cell {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= KEPT && !cells.contains_key(&account) {
            cells.retain(|_, cell| Arc::strong_count(cell) > 1);
        }
        Arc::clone(cells.entry(account).or_default())
    }
}

#[cfg(test)]
mod tests;
