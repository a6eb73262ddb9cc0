//! Who vouches for the tables: signs the head of every block that is over, for every service that has a table there.
//!
//! A table's root covers its block, so it changes with every block, and any block may be a batch's reference block: each gets one
//! signature, which is kept for as long as the ledger. The order for a group of blocks is: give up the right to sign them again
//! ([`SigningFloor`]), sign, write, sync, and only then tell anybody. A crash in between leaves blocks without a head: nobody may refer to
//! those, and nothing is signed twice.
//!
//! The time of a head is the ledger's, by the rule of [`ashlar_proto::time`]: one reading of a clock cannot move it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::store::{Position, Store};
use alloy_primitives::B256;
use ashlar_crypto::Coded;
use ashlar_crypto::account::AccountKey;
use ashlar_proto::head::{Head, SignedHead};
use ashlar_proto::time::{ClockFault, Reading, Timekeeper};
use ashlar_proto::{Account, Block, Domain, Network, TableAccess as _};
use ashlar_restaking::{ServiceId, State, TableQueryError};
use ashlar_stake::TableError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::health::{self, Health};
use super::signing_floor::{SigningFloor, SigningFloorError};
use super::{LedgerConfig, Metrics};
use crate::heads::{HeadFileError, HeadFiles, StoredHead, write_synced};

/// The folder of signed heads in a ledger's.
const HEADS: &str = "heads";
/// Blocks that are signed after they were over for long, at most, because something kept the ledger from it: older ones stay
/// without a head.
const CATCH_UP: u64 = 256;
/// With a fault it is tried again after this, also if there is no new block.
const RETRY: Duration = Duration::from_secs(5);

/// The newest block with a head, by service.
pub(crate) type Newest = Arc<BTreeMap<ServiceId, Block>>;

/// The keys that a ledger may sign heads with: the present one and, while it is being succeeded, the next.
#[derive(Clone, Debug, Default)]
pub struct HeadKeys(BTreeMap<Account, AccountKey>);

impl HeadKeys {
    /// These keys.
    pub fn new(keys: impl IntoIterator<Item = AccountKey>) -> Self {
        Self(
            keys.into_iter()
                .map(|key| (Account(key.address()), key))
                .collect(),
        )
    }
}

/// Where the signed heads of a ledger are, for those who read them.
#[derive(Clone, Debug)]
pub(crate) struct SignedHeads {
    folder: PathBuf,
    network: Network,
    newest: watch::Receiver<Newest>,
}

impl SignedHeads {
    /// Those in a folder, of blocks up to the newest ones.
    pub(crate) fn new(folder: PathBuf, network: Network, newest: watch::Receiver<Newest>) -> Self {
        Self {
            folder,
            network,
            newest,
        }
    }

    /// The newest block of a service that has a head.
    pub(crate) fn newest(&self, service: ServiceId) -> Option<Block> {
        self.newest.borrow().get(&service).copied()
    }

    /// Tells of every change.
    pub(crate) fn watch(&self) -> watch::Receiver<Newest> {
        self.newest.clone()
    }

    /// The head of a block. Reads the disk.
    ///
    /// # Errors
    ///
    /// [`HeadFileError`].
    pub(crate) fn get(
        &self,
        service: ServiceId,
        block: Block,
    ) -> Result<Option<SignedHead>, HeadFileError> {
        // Above the newest there may be some that are written and not synced.
        if self.newest(service).is_none_or(|newest| block > newest) {
            return Ok(None);
        }
        let domain = domain(&self.network, service);
        let files = HeadFiles::at(&folder_of(&self.folder, service), domain);
        Ok(files.get(block)?.map(|stored| stored.signed))
    }
}

fn domain(network: &Network, service: ServiceId) -> Domain {
    network.domain(u64::from(service))
}

fn folder_of(folder: &Path, service: ServiceId) -> PathBuf {
    folder.join(service.to_string())
}

/// Signs.
#[derive(Debug)]
pub(crate) struct Signer {
    keys: HeadKeys,
    network: Network,
    folder: PathBuf,
    high: SigningFloor,
    files: BTreeMap<ServiceId, HeadFiles>,
    clock: Timekeeper,
    newest: watch::Sender<Newest>,
}

impl Signer {
    /// Opens what was signed.
    ///
    /// # Errors
    ///
    /// [`SignFault`].
    pub(crate) fn open(
        config: &LedgerConfig,
        keys: HeadKeys,
        genesis: B256,
        state: &State,
    ) -> Result<Self, SignFault> {
        let network = Network::ledger(&genesis.0);
        let folder = config.paths.data.join(HEADS);
        let (mut files, mut newest, mut time) = (BTreeMap::new(), BTreeMap::new(), None);
        for (service, _) in state.services() {
            let opened = HeadFiles::open(&folder_of(&folder, service), domain(&network, service))?;
            if let Some(stored) = opened.newest()? {
                newest.insert(service, stored.signed.head.block);
                time = time.max(Some(stored.signed.head.time_ms));
            }
            files.insert(service, opened);
        }
        time = time.max(accepted_clock(&folder)?);
        Ok(Self {
            keys,
            network,
            high: SigningFloor::open(&config.paths.signed, genesis)?,
            files,
            clock: Timekeeper::new(time),
            newest: watch::Sender::new(Arc::new(newest)),
            folder,
        })
    }

    /// For those who read.
    pub(crate) fn heads(&self) -> SignedHeads {
        SignedHeads::new(self.folder.clone(), self.network, self.newest.subscribe())
    }

    /// Signs every block up to the last one that is over. Blocks the thread.
    ///
    /// # Errors
    ///
    /// [`SignFault`]: nothing was signed, or nobody was told of it.
    pub(crate) fn sign(
        &mut self,
        store: &RwLock<Store>,
        reading: Reading,
    ) -> Result<Option<ClockFault>, SignFault> {
        let timing = self.clock.read(reading);
        timing.signing?;
        let look = || store.read().unwrap_or_else(PoisonError::into_inner);
        // Looked at for one block at a time, so that transactions need not wait for all of them.
        let block = look().state().meta().block;
        let next = self.high.next();
        let Some(last) = block.checked_sub(1).filter(|last| *last >= next) else {
            return match next > block {
                true => Err(SignFault::Restored { next, block }),
                false => Ok(timing.fault()),
            };
        };
        let first = next.max(block.saturating_sub(CATCH_UP));
        let mut heads = Vec::new();
        for block in (first.0..=last.0).map(Block) {
            let store = look();
            let state = store.state();
            let expected = state.head_key_at(block);
            let key = (self.keys.0.get(&expected)).ok_or_else(|| SignFault::Key {
                expected,
                got: self.keys.0.keys().copied().collect(),
            })?;
            for (service, _) in state.services() {
                let table = match state.table_at(service, block) {
                    Ok(table) => table,
                    // Nobody has stake: there is nothing to vouch for.
                    Err(TableQueryError::Table(TableError::NoOperators)) => continue,
                    Err(source) => {
                        return Err(SignFault::Table {
                            service,
                            block,
                            source,
                        });
                    }
                };
                let head = Head {
                    domain: domain(&self.network, service),
                    block,
                    time_ms: timing.accepted_ms,
                    table_root: table.root(),
                };
                heads.push((service, head, key.clone()));
            }
        }
        self.high.raise(last.saturating_add(1))?;
        let mut newest = BTreeMap::clone(&self.newest.borrow());
        for (service, head, key) in heads {
            let files = match self.files.entry(service) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => entry.insert(HeadFiles::open(
                    &folder_of(&self.folder, service),
                    head.domain,
                )?),
            };
            newest.insert(service, head.block);
            files.put(&StoredHead {
                signed: head.sign(&key),
                source: 0,
            })?;
        }
        for files in self.files.values_mut() {
            files.sync()?;
        }
        self.newest.send_replace(Arc::new(newest));
        Ok(timing.fault())
    }

    /// Signs whenever there is a new block, until the service stops.
    pub(crate) async fn run(
        self,
        store: Arc<RwLock<Store>>,
        mut position: watch::Receiver<Position>,
        health: Arc<Health>,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) {
        let begun = Instant::now();
        let mut signer = self;
        loop {
            position.mark_unchanged();
            let shared = Arc::clone(&store);
            let worked = tokio::task::spawn_blocking(move || {
                let result = signer.sign(&shared, now(begun));
                (signer, result)
            });
            let result;
            (signer, result) = match worked.await {
                Ok(back) => back,
                // The supervisor says that this task ended, which it may not.
                Err(error) => {
                    tracing::error!("signing heads failed: {error}");
                    return;
                }
            };
            tell(&health, &result);
            let newest = signer.newest.borrow().values().max().copied();
            metrics
                .signed_block
                .set(newest.map_or(-1, |block| ashlar_service::metrics::gauge(block.0)));
            tokio::select! {
                () = stop.cancelled() => return,
                changed = position.changed() => if changed.is_err() {
                    // The writer ended, and says why; there is nothing more to sign.
                    return stop.cancelled().await;
                },
                () = tokio::time::sleep(RETRY), if result.is_err() => {}
            }
        }
    }
}

/// The file of the time that a person accepted, beside the heads.
fn accepted_path(heads: &Path) -> PathBuf {
    heads.join("accepted-clock")
}

/// The time that a person accepted, in milliseconds since 1970.
fn accepted_clock(heads: &Path) -> Result<Option<u64>, HeadFileError> {
    let path = accepted_path(heads);
    let failed =
        |error: std::io::Error| HeadFileError::new("read the accepted time of", &path, &error);
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(time) => Ok(Some(time)),
            Err(_) => Err(failed(std::io::Error::other(format!(
                "{text:?} is no number of milliseconds"
            )))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Has the ledger in this folder believe a time, in milliseconds since 1970, from its next start on: after it was stopped for longer
/// than is credited, or its clock was wrong. Heads never go back in time.
///
/// # Errors
///
/// [`HeadFileError`].
pub fn accept_clock(data: &Path, wall_ms: u64) -> Result<(), HeadFileError> {
    let heads = data.join(HEADS);
    let path = accepted_path(&heads);
    ashlar_service::folder::make(&heads)
        .and_then(|()| write_synced(&path, format!("{wall_ms}\n").as_bytes()))
        .map_err(|error| HeadFileError::new("write the accepted time of", &path, &error))
}

fn tell(health: &Health, result: &Result<Option<ClockFault>, SignFault>) {
    if let Some(refused) = ashlar_crypto::kernel_status().refused {
        health.raise(health::KERNEL, refused.to_string());
    }
    let clock = match result {
        Ok(fault) => {
            health.clear(health::HEADS);
            *fault
        }
        Err(SignFault::Clock(fault)) => Some(*fault),
        Err(fault) => {
            health.raise(health::HEADS, format!("[{}] {fault}", fault.code()));
            return;
        }
    };
    let why = clock.map(|fault| format!("[{}] {fault}", fault.code()));
    health.set(health::CLOCK, why);
}

/// The wall clock, in milliseconds since 1970.
pub(crate) fn wall_ms() -> u64 {
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        // A clock before 1970: as far behind as one can be.
        .unwrap_or(Duration::ZERO);
    u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)
}

fn now(begun: Instant) -> Reading {
    Reading {
        wall_ms: wall_ms(),
        monotonic: begun.elapsed(),
        head_ms: None,
    }
}

/// Why no heads are signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Coded)]
#[coded(prefix = "heads", blame = Us)]
pub enum SignFault {
    /// The ledger is behind what its keys signed: it was restored from a copy.
    #[error(
        "the keys signed heads up to block {}, the ledger is in block {block}: it was restored from a copy. Nothing is signed before block {next}, so that no block gets two heads", next.saturating_sub(1)
    )]
    Restored {
        /// The lowest block that may be signed.
        next: Block,
        /// Where the ledger is.
        block: Block,
    },
    /// The key that the ledger names is not here.
    #[error(
        "heads are to be signed by {expected}, and that key is not here; paths.head_key and paths.next_head_key hold {}",
        list(got)
    )]
    Key {
        /// The account that the ledger's genesis, or a succession since, names.
        expected: Account,
        /// Whose keys are here.
        got: Vec<Account>,
    },
    /// The clock.
    #[error(transparent)]
    Clock(#[from] ClockFault),
    /// The files of what was signed.
    #[error(transparent)]
    Files(#[from] HeadFileError),
    /// The file beside the keys.
    #[error(transparent)]
    #[coded(blame = Us)]
    SigningFloor(#[from] SigningFloorError),
    /// A table that cannot be made.
    #[error("the table of service {service} at block {block}: {source}")]
    #[coded(transparent, blame = Us)]
    Table {
        /// The service.
        service: ServiceId,
        /// The block.
        block: Block,
        /// Why.
        source: TableQueryError,
    },
}

fn list(accounts: &[Account]) -> String {
    match accounts {
        [] => "none".to_owned(),
        some => some
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" and "),
    }
}

#[cfg(test)]
mod tests;
