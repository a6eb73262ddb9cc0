//! Which nonces are used, durably: a file beside the ledger's log.
//!
//! A record is `records u64 | nonce u64 | account [20] | signature [65] | check [8]`, integers big-endian: `records` is the length of the
//! ledger's log when the transaction came, `check` the start of a hash of the record and the check before it. It is on disk
//! before the transaction is applied, and so a nonce is used up whether the ledger then takes the transaction or refuses
//! it; what a crash in between leaves is a used nonce and no transaction, which was not acknowledged. The signatures are
//! here so that whoever audits a log can see who asked for each transaction.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use ashlar_crypto::hash::sha256;
use ashlar_proto::Account;

use super::ServiceError;
use crate::auth::SignedTransaction;

const FILE: &str = "nonces.log";
const TAG: &[u8] = b"ashlar/ledger-nonce/2";
const CONTENT: usize = 8 + 8 + 20 + 65;
const CHECK: usize = 8;
const RECORD: usize = CONTENT + CHECK;
/// More than the largest group's records.
const ZEROS: u64 = 1 << 24;

/// The last nonce of every account that ever signed.
#[derive(Debug)]
pub(crate) struct Nonces {
    path: PathBuf,
    file: File,
    check: [u8; CHECK],
    last: HashMap<Account, u64>,
    pending: Vec<u8>,
    failed: bool,
}

impl Nonces {
    /// Reads the file of a ledger's folder, or begins one. An unfinished record at the end, which a power cut leaves, is cut
    /// off.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Nonces`].
    pub(crate) fn open(directory: &Path) -> Result<Self, ServiceError> {
        let path = directory.join(FILE);
        let failed = |action: &str, error: &std::io::Error| ServiceError::Nonces {
            path: path.clone(),
            reason: format!("cannot {action} it: {error}"),
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|error| failed("open", &error))?;
        // The name itself is durable only when the directory is.
        ashlar_service::folder::sync(directory)
            .map_err(|error| failed("sync the folder of", &error))?;
        let length = file
            .metadata()
            .map_err(|error| failed("read", &error))?
            .len();
        let mut reader = BufReader::new(&file);
        let (mut check, mut last) = ([0; CHECK], HashMap::new());
        let mut good = 0u64;
        let mut record = [0; RECORD];
        loop {
            match reader.read_exact(&mut record) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(failed("read", &error)),
            }
            let Some((account, nonce)) = decode(&mut check, &record) else {
                // A whole record that is wrong: at the very end, or with nothing but zeros behind it, a write that was cut off left it
                // (a file may have grown before its new blocks were written); elsewhere it is damage.
                if only_zeros(&mut reader).map_err(|error| failed("read", &error))? {
                    break;
                }
                return Err(ServiceError::Nonces {
                    path,
                    reason: format!("it is damaged at byte {good}; restore it from a copy"),
                });
            };
            last.insert(account, nonce);
            good += RECORD as u64;
        }
        if good < length {
            tracing::warn!(
                path = %path.display(),
                "an unfinished record of {} bytes was cut off: it was never acknowledged",
                length - good
            );
            file.set_len(good)
                .and_then(|()| file.sync_all())
                .map_err(|error| failed("shorten", &error))?;
        }
        Ok(Self {
            path,
            file,
            check,
            last,
            pending: Vec::new(),
            failed: false,
        })
    }

    /// The last nonce of an account; 0 if it has used none.
    pub(crate) fn last(&self, account: &Account) -> u64 {
        self.last.get(account).copied().unwrap_or(0)
    }

    /// Accounts that ever signed.
    pub(crate) fn accounts(&self) -> usize {
        self.last.len()
    }

    /// Whether the account ever signed.
    pub(crate) fn knows(&self, account: &Account) -> bool {
        self.last.contains_key(account)
    }

    /// Uses a nonce, which is larger than the last; durable after [`sync`](Self::sync).
    pub(crate) fn take(&mut self, records: u64, signed: &SignedTransaction) {
        let mut record = Vec::with_capacity(RECORD);
        record.extend_from_slice(&records.to_be_bytes());
        record.extend_from_slice(&signed.nonce.to_be_bytes());
        record.extend_from_slice(&signed.transaction.sender.0);
        record.extend_from_slice(&signed.signature.0);
        self.check = check(&self.check, &record);
        record.extend_from_slice(&self.check);
        self.pending.extend_from_slice(&record);
        self.last.insert(signed.transaction.sender, signed.nonce);
    }

    /// Puts what was taken on disk.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Nonces`], from then on always: what is on disk is unknown.
    pub(crate) fn sync(&mut self) -> Result<(), ServiceError> {
        if self.pending.is_empty() && !self.failed {
            return Ok(());
        }
        let was_failed = std::mem::replace(&mut self.failed, true);
        let written = if was_failed {
            Err(std::io::Error::other("an earlier write failed"))
        } else {
            self.file
                .write_all(&self.pending)
                .and_then(|()| self.file.sync_data())
        };
        written.map_err(|error| ServiceError::Nonces {
            path: self.path.clone(),
            reason: format!("cannot write it: {error}; free the disk and start again"),
        })?;
        self.pending.clear();
        self.failed = false;
        Ok(())
    }
}

/// Whether nothing but zeros follows; of a device without an end, that it begins with them is enough.
fn only_zeros(reader: &mut impl Read) -> std::io::Result<bool> {
    let mut rest = Vec::new();
    reader.take(ZEROS).read_to_end(&mut rest)?;
    Ok(rest.iter().all(|byte| *byte == 0))
}

fn check(before: &[u8; CHECK], content: &[u8]) -> [u8; CHECK] {
    let [a, b, c, d, e, f, g, h, ..] = sha256(&[TAG, before, content]);
    [a, b, c, d, e, f, g, h]
}

/// The account and its nonce; moves the check on if the record is good.
fn decode(before: &mut [u8; CHECK], record: &[u8; RECORD]) -> Option<(Account, u64)> {
    let (content, got) = record.split_at_checked(CONTENT)?;
    let expected = check(before, content);
    if got != expected {
        return None;
    }
    let nonce = u64::from_be_bytes(content.get(8..16)?.try_into().ok()?);
    let account = Account(content.get(16..36)?.try_into().ok()?);
    *before = expected;
    Some((account, nonce))
}

#[cfg(test)]
mod tests;
