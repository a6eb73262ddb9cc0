//! Records of the append-only log: a pure codec.
//!
//! A record is `length u32 | kind u8 | block u64 | check [8] | payload | link [32]`, numbers big-endian. The payload is a transaction in
//! canonical JSON, or empty for a step to a later block. `link = H("ashlar/ledger-record/1" | previous link | length | kind |
//! block | payload)` chains every record to all before it, from the genesis on; `check` is the start of a hash of the previous
//! link and the header, so that a length is believed before the record is complete.

use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_crypto::hash::sha256;
use ashlar_proto::Block;
use thiserror::Error;

use super::book::canonical;
use super::{Event, Genesis, State, Transaction, TransactionError};

const RECORD_TAG: &[u8] = b"ashlar/ledger-record/1";
const CHECK_TAG: &[u8] = b"ashlar/ledger-record-header/1";
/// Bytes before a payload.
pub const HEADER: usize = 21;
/// Bytes of the link behind it.
pub const LINK: usize = 32;

/// The largest payload: 1 MiB. The largest transactions (claims of 32 tokens) have some 150 kB.
pub const MAX_PAYLOAD: usize = 1 << 20;

/// What a ledger did: applied transactions and steps to later blocks, nothing that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The block began without a transaction.
    Block(Block),
    /// A transaction in a block.
    Transaction(Block, Box<Transaction>),
}

impl Entry {
    /// Its block.
    pub fn block(&self) -> Block {
        match self {
            Self::Block(block) | Self::Transaction(block, _) => *block,
        }
    }
}

/// Where a log stands: how many records, and the link of the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tip {
    /// Records.
    pub records: u64,
    /// Link of the last; of an empty log the hash of the genesis.
    pub link: B256,
}

/// What follows at some place of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// A record: what it says, and its bytes.
    Record(Entry, usize),
    /// Fewer bytes than the record needs, as after a write that was cut off.
    Cut,
    /// Nothing more.
    End,
}

/// Bytes that are no record of this log.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "log", blame = Us)]
pub enum LogError {
    /// The header's check is wrong: another log, or damage.
    #[error("record {record}: the header does not belong here")]
    Header {
        /// Its number, from 0 on.
        record: u64,
    },
    /// A length beyond the limit.
    #[error("record {record}: a payload of {got} bytes, at most {max} are allowed")]
    Length {
        /// Its number, from 0 on.
        record: u64,
        /// Stated.
        got: usize,
        /// Allowed.
        max: usize,
    },
    /// The link is wrong: damage.
    #[error("record {record}: the content does not match its link")]
    Link {
        /// Its number, from 0 on.
        record: u64,
    },
    /// The payload is no transaction.
    #[error("record {record}: {reason}")]
    Payload {
        /// Its number, from 0 on.
        record: u64,
        /// What the JSON library says.
        reason: String,
    },
}

impl Tip {
    /// Of an empty log.
    pub fn of(genesis: &Genesis) -> Self {
        Self {
            records: 0,
            link: genesis.hash(),
        }
    }

    /// The bytes of the next record; moves on.
    ///
    /// # Errors
    ///
    /// [`LogError::Length`] for a transaction beyond the limit.
    pub fn write(&mut self, entry: &Entry) -> Result<Vec<u8>, LogError> {
        let (kind, payload) = match entry {
            Entry::Block(_) => (0, Vec::new()),
            Entry::Transaction(_, transaction) => (1, canonical(transaction)),
        };
        if payload.len() > MAX_PAYLOAD {
            return Err(self.too_long(payload.len()));
        }
        let mut bytes = (payload.len() as u32).to_be_bytes().to_vec();
        bytes.push(kind);
        bytes.extend_from_slice(&entry.block().0.to_be_bytes());
        bytes.extend_from_slice(&self.check(&bytes));
        let head: Vec<u8> = bytes.iter().copied().take(13).collect();
        let link = self.link_of(&head, &payload);
        bytes.extend_from_slice(&payload);
        bytes.extend_from_slice(link.as_slice());
        self.records += 1;
        self.link = link;
        Ok(bytes)
    }

    /// Reads the record that `bytes` begin with; moves on if there is one.
    ///
    /// # Errors
    ///
    /// [`LogError`] if the bytes are there and wrong.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Read, LogError> {
        self.read_with(bytes, true)
    }

    /// [`read`](Self::read) without decoding the transaction: what comes back is `Entry::Block` for every record.
    ///
    /// # Errors
    ///
    /// As `read`.
    pub fn skip(&mut self, bytes: &[u8]) -> Result<Read, LogError> {
        self.read_with(bytes, false)
    }

    fn read_with(&mut self, bytes: &[u8], decode: bool) -> Result<Read, LogError> {
        let record = self.records;
        if bytes.is_empty() {
            return Ok(Read::End);
        }
        let Some((header, rest)) = bytes.split_at_checked(HEADER) else {
            return Ok(Read::Cut);
        };
        let (head, check) = header.split_at(13);
        if check != self.check(head) {
            return Err(LogError::Header { record });
        }
        let (&[a, b, c, d, kind, ref block @ ..], Some(block_bytes)) =
            (head, head.get(5..).and_then(|b| b.try_into().ok()))
        else {
            return Err(LogError::Header { record });
        };
        debug_assert_eq!(block.len(), 8);
        let block = Block(u64::from_be_bytes(block_bytes));
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MAX_PAYLOAD || kind > 1 {
            return Err(self.too_long(length));
        }
        let Some((payload, rest)) = rest.split_at_checked(length) else {
            return Ok(Read::Cut);
        };
        let Some((link, _)) = rest.split_at_checked(LINK) else {
            return Ok(Read::Cut);
        };
        let expected = self.link_of(head, payload);
        if link != expected.as_slice() {
            return Err(LogError::Link { record });
        }
        let entry = if kind == 0 || !decode {
            Entry::Block(block)
        } else {
            let transaction =
                serde_json::from_slice(payload).map_err(|error| LogError::Payload {
                    record,
                    reason: error.to_string(),
                })?;
            Entry::Transaction(block, transaction)
        };
        self.records += 1;
        self.link = expected;
        Ok(Read::Record(entry, HEADER + length + LINK))
    }

    fn too_long(&self, got: usize) -> LogError {
        LogError::Length {
            record: self.records,
            got,
            max: MAX_PAYLOAD,
        }
    }

    fn check(&self, head: &[u8]) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[CHECK_TAG, self.link.as_slice(), head]);
        [a, b, c, d, e, f, g, h]
    }

    fn link_of(&self, head: &[u8], payload: &[u8]) -> B256 {
        sha256(&[RECORD_TAG, self.link.as_slice(), head, payload]).into()
    }
}

impl State {
    /// Does what an entry of a log says.
    ///
    /// # Errors
    ///
    /// [`TransactionError`]; a log has no refused transactions, so then it is of another ledger or version.
    pub fn follow(&mut self, entry: &Entry) -> Result<Vec<Event>, TransactionError> {
        match entry {
            Entry::Block(block) => self.advance(*block),
            Entry::Transaction(block, transaction) => self.apply(*block, transaction),
        }
    }

    /// The state after all entries.
    ///
    /// # Errors
    ///
    /// The number of the entry that is refused, and why.
    pub fn replay<'a>(
        genesis: &Genesis,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Result<Self, (u64, TransactionError)> {
        let mut state = Self::new(genesis).map_err(|refusal| (0, refusal))?;
        for (number, entry) in (0..).zip(entries) {
            state.follow(entry).map_err(|refusal| (number, refusal))?;
        }
        Ok(state)
    }
}
