//! What accounts are charged and refunded, in the writes of what they are charged for.

use std::collections::BTreeMap;
use std::sync::PoisonError;

use ashlar_crypto::CommitmentBytes;
use ashlar_proto::api::BlobState;
use ashlar_proto::{Account, Stake};
use bytes::Bytes;

use super::{Store, StoreError, json, parse};
use crate::accounts::book::{AccountRecord, Charge, Charging, PayError, Size};
use crate::kv::{Op, Table};
use crate::record::BlobRecord;

impl Store {
    /// [`Store::accept`], and its account is charged in the same write: the record says what.
    ///
    /// # Errors
    /// The account cannot pay, or the database fails. Then nothing was taken in, and nothing charged.
    pub fn accept_charged(
        &self,
        record: &mut BlobRecord,
        payload: Bytes,
        commitments: Option<&[CommitmentBytes]>,
        charging: &Charging,
    ) -> Result<(), NotAccepted> {
        let size = Size {
            rows: record.rows,
            bytes: record.payload_len,
        };
        self.change_account(record.account, |account| {
            let charge = account.charge(size, charging, record.submitted_at_ms)?;
            record.charge = Some(charge);
            let op = put_account(record.account, account)?;
            Ok(self.write_accepted(record, payload, commitments, Some(op))?)
        })
    }

    /// Changes an account's record, and writes it within `change`. If that fails, or panics, the record is read again from the disk.
    fn change_account<E: From<StoreError>>(
        &self,
        account: Account,
        change: impl FnOnce(&mut AccountRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let cell = self.cells.of(account);
        let mut held = cell.lock().unwrap_or_else(PoisonError::into_inner);
        let mut record = match held.take() {
            Some(record) => record,
            None => self.read_account(account)?,
        };
        change(&mut record)?;
        *held = Some(record);
        Ok(())
    }

    /// Writes these changes, and with them what the failed blobs among these were charged goes back to their accounts: once, for a blob
    /// that has failed on disk was refunded then. Synced.
    pub(super) fn write_and_refund(
        &self,
        blobs: &[BlobRecord],
        mut ops: Vec<Op>,
    ) -> Result<(), StoreError> {
        let mut refunds: BTreeMap<Account, Vec<Charge>> = BTreeMap::new();
        for blob in blobs {
            if let Some(charge) = blob.charge.filter(|_| blob.state == BlobState::Failed)
                && charge.amount > Stake::ZERO
                && let Some(before) = self.blob(&blob.id)?
                && before.state != BlobState::Failed
            {
                refunds.entry(blob.account).or_default().push(charge);
            }
        }
        let cells: Vec<_> = refunds.keys().map(|of| self.cells.of(*of)).collect();
        // In rising order, as everybody takes them.
        let mut held: Vec<_> = cells
            .iter()
            .map(|cell| cell.lock().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let mut changed = Vec::with_capacity(held.len());
        for ((of, charges), held) in refunds.iter().zip(&mut held) {
            let mut account = match held.take() {
                Some(account) => account,
                None => self.read_account(*of)?,
            };
            charges.iter().for_each(|charge| account.refund(charge));
            ops.push(put_account(*of, &account)?);
            changed.push(account);
        }
        self.kv.write(ops, true)?;
        for (held, account) in held.iter_mut().zip(changed) {
            **held = Some(account);
        }
        Ok(())
    }

    fn read_account(&self, account: Account) -> Result<AccountRecord, StoreError> {
        let bytes = self.kv.get(Table::Accounts, &account.0)?;
        bytes.map_or_else(
            || Ok(AccountRecord::default()),
            |bytes| parse("an account's record", &bytes),
        )
    }

    /// An account's record; that of one which has posted nothing is empty. Waits for a change that is being written.
    ///
    /// # Errors
    /// The database fails, or the record cannot be read.
    pub fn account(&self, account: Account) -> Result<AccountRecord, StoreError> {
        let cell = self.cells.of(account);
        let held = cell.lock().unwrap_or_else(PoisonError::into_inner);
        match held.as_ref() {
            Some(record) => Ok(record.clone()),
            None => self.read_account(account),
        }
    }

    /// All accounts, with their records on disk.
    ///
    /// # Errors
    /// The database fails, or a record cannot be read.
    pub fn accounts(&self) -> Result<Vec<(Account, AccountRecord)>, StoreError> {
        let all = self.scan_all(Table::Accounts)?.into_iter();
        all.map(|(key, bytes)| {
            let account = Account::from_slice(&key).ok_or(StoreError::Corrupt {
                what: "the list of accounts",
            })?;
            Ok((account, parse("an account's record", &bytes)?))
        })
        .collect()
    }

    /// Notes up to which sum the ledger has paid an account's vouchers. Not synced: the ledger knows.
    ///
    /// # Errors
    /// The database fails.
    pub fn note_redeemed(&self, account: Account, paid: Stake) -> Result<(), StoreError> {
        self.change_account(account, |record| {
            record.redeemed = record.redeemed.max(paid);
            Ok(self.kv.write(vec![put_account(account, record)?], false)?)
        })
    }
}

fn put_account(account: Account, record: &AccountRecord) -> Result<Op, StoreError> {
    let value = json("an account's record", record)?;
    Ok(Op::Put(Table::Accounts, account.0.to_vec(), value))
}

/// Why a blob is not written for the first time.
#[derive(Debug, thiserror::Error)]
pub enum NotAccepted {
    /// Its account cannot pay.
    #[error(transparent)]
    Pay(#[from] PayError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}
