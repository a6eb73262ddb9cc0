//! Payloads on disk, each in a file of its own with the certificate under which it was fetched and a hash over both.
//!
//! A file is written beside its place, synced, and put there, so that a power cut leaves all of it or nothing. Whoever reads it
//! gets all of it or nothing, too: the hash is compared each time, and a file that is not what was written is dropped. What was
//! read longest ago makes room.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use ashlar_crypto::{Hash, sha256};
use ashlar_proto::{BlobId, BlobKey};
use ashlar_service::disk::free_bytes;
use ashlar_service::folder;
use ashlar_service::metrics::gauge;

use super::metrics::Metrics;

const MAGIC: &[u8; 16] = b"ashlar/gateway/1";
/// Magic, hash, key, id, four numbers.
const HEAD: usize = 16 + 32 + 32 + 32 + 4 * 8;
/// What a file takes on disk is counted in such blocks, so that many small ones are bounded, too.
const BLOCK: u64 = 4096;
/// How long a file's time of its last use may be wrong.
const TOUCH: Duration = Duration::from_secs(60);
const UNFINISHED: &str = "unfinished-";

/// A cached payload, as the beginning of its file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) key: BlobKey,
    pub(super) id: BlobId,
    pub(super) created_at_ms: u64,
    pub(super) held_until_ms: u64,
    pub(super) certificate_len: u64,
    pub(super) payload_len: u64,
    /// It was checked under today's policy since the gateway started.
    pub(super) checked: bool,
}

/// A cached payload that is what was written.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) meta: Meta,
    pub(super) certificate: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// The folder and what is in it. Reading and writing block.
#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    max_bytes: u64,
    min_free: u64,
    metrics: Arc<Metrics>,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    entries: HashMap<BlobKey, Slot>,
    ids: HashMap<BlobId, BlobKey>,
    /// Keys by their last use.
    order: BTreeMap<u64, BlobKey>,
    uses: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Slot {
    meta: Meta,
    last_use: u64,
    touched: SystemTime,
}

impl Meta {
    fn head(&self, hash: Hash) -> Vec<u8> {
        let numbers = [
            self.created_at_ms,
            self.held_until_ms,
            self.certificate_len,
            self.payload_len,
        ];
        let mut head = [&MAGIC[..], &hash, &self.key.0, &self.id.0].concat();
        head.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
        head
    }

    /// The hash that a head states, and the rest of it.
    fn parse(head: &[u8; HEAD]) -> Option<(Hash, Self)> {
        let rest = head.strip_prefix(MAGIC)?;
        let (hash, rest) = rest.split_first_chunk::<32>()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (id, rest) = rest.split_first_chunk::<32>()?;
        let (numbers, _) = rest.as_chunks::<8>();
        let [created_at_ms, held_until_ms, certificate_len, payload_len] =
            <[[u8; 8]; 4]>::try_from(numbers)
                .ok()?
                .map(u64::from_be_bytes);
        let meta = Self {
            key: BlobKey(*key),
            id: BlobId(*id),
            created_at_ms,
            held_until_ms,
            certificate_len,
            payload_len,
            checked: false,
        };
        Some((*hash, meta))
    }

    fn hash(&self, certificate: &[u8], payload: &[u8]) -> Hash {
        // The head with no hash in it.
        sha256(&[&self.head([0; 32]), certificate, payload])
    }

    fn file_bytes(&self) -> Option<u64> {
        let body = self.certificate_len.checked_add(self.payload_len)?;
        body.checked_add(HEAD as u64)
    }

    fn on_disk(&self) -> u64 {
        let bytes = self.file_bytes().unwrap_or(u64::MAX - BLOCK);
        bytes.div_ceil(BLOCK).saturating_mul(BLOCK)
    }
}

impl Cache {
    /// Opens the folder, makes it if there is none, and looks at the beginning of each file. What is no file of ours is left
    /// alone; what was not finished, is cut off or does not fit any more is dropped.
    ///
    /// # Errors
    /// The folder cannot be made, read or written.
    pub(super) fn open(
        folder: PathBuf,
        max_bytes: u64,
        min_free: u64,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        folder::make(&folder)?;
        let mut found = Vec::new();
        for file in fs::read_dir(&folder)? {
            let file = file?;
            let name = file.file_name();
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(UNFINISHED) {
                fs::remove_file(file.path())?;
                continue;
            }
            let Ok(key) = name.parse::<BlobKey>() else {
                continue;
            };
            match read_head(&file.path())? {
                Some((used, meta)) if meta.key == key => found.push((used, meta)),
                _ => fs::remove_file(file.path())?,
            }
        }
        found.sort_by_key(|(used, _)| *used);
        let cache = Self {
            folder,
            max_bytes,
            min_free,
            metrics,
            index: Mutex::default(),
        };
        for (used, meta) in found {
            cache.add(meta, used);
        }
        cache.make_room(0);
        Ok(cache)
    }

    fn lock(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, key: &BlobKey) -> PathBuf {
        self.folder.join(key.to_string())
    }

    /// What is known of the payload with this key or id.
    pub(super) fn find(&self, name: &[u8; 32]) -> Option<Meta> {
        let index = self.lock();
        let key = index.ids.get(&BlobId(*name)).copied();
        let slot = index.entries.get(&key.unwrap_or(BlobKey(*name)))?;
        Some(slot.meta.clone())
    }

    /// Reads a payload that [`find`](Self::find) knows. `None` if it is gone, or was not what was written and is gone now.
    pub(super) fn read(&self, meta: &Meta) -> Option<Entry> {
        let path = self.path(&meta.key);
        match read_entry(&path, meta) {
            Ok(entry) => {
                self.used(&meta.key, &path);
                Some(entry)
            }
            Err(error) => {
                let known = self.lock().remove(&meta.key);
                // One that was forgotten meanwhile is no damage.
                if known {
                    tracing::warn!(blob = %meta.key, %error, "a cached payload is damaged and dropped");
                    self.metrics.damaged.inc();
                    let _ = fs::remove_file(&path);
                }
                self.measure();
                None
            }
        }
    }

    /// It was checked under today's policy.
    pub(super) fn checked(&self, key: &BlobKey) {
        if let Some(slot) = self.lock().entries.get_mut(key) {
            slot.meta.checked = true;
        }
    }

    /// It is not to be served again.
    pub(super) fn drop_entry(&self, key: &BlobKey) {
        if self.lock().remove(key) {
            let _ = fs::remove_file(self.path(key));
        }
        self.measure();
    }

    /// Keeps a payload, if there is room on the disk. Synced.
    ///
    /// # Errors
    /// It cannot be written; then it is not kept.
    pub(super) fn insert(&self, entry: &Entry) -> io::Result<()> {
        let meta = &entry.meta;
        if meta.on_disk() > self.max_bytes {
            return Ok(());
        }
        self.drop_entry(&meta.key);
        self.make_room(meta.on_disk());
        if free_bytes(&self.folder)? < self.min_free.saturating_add(meta.on_disk()) {
            tracing::debug!(blob = %meta.key, "not kept: less space is free than cache.min_free_bytes");
            return Ok(());
        }
        let chance = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let unfinished = self.folder.join(format!("{UNFINISHED}{chance:016x}"));
        let head = meta.head(meta.hash(&entry.certificate, &entry.payload));
        let parts: [&[u8]; 3] = [&head, &entry.certificate, &entry.payload];
        let written = folder::write(&self.path(&meta.key), &unfinished, &parts);
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written?;
        self.add(meta.clone(), SystemTime::now());
        self.make_room(0);
        Ok(())
    }

    fn add(&self, meta: Meta, used: SystemTime) {
        let mut index = self.lock();
        index.remove(&meta.key);
        index.uses += 1;
        let last_use = index.uses;
        index.bytes += meta.on_disk();
        index.order.insert(last_use, meta.key);
        index.ids.insert(meta.id, meta.key);
        let slot = Slot {
            last_use,
            touched: used,
            meta,
        };
        index.entries.insert(slot.meta.key, slot);
        drop(index);
        self.measure();
    }

    fn used(&self, key: &BlobKey, path: &Path) {
        let mut index = self.lock();
        index.uses += 1;
        let now = index.uses;
        let Some(slot) = index.entries.get_mut(key) else {
            return;
        };
        let before = std::mem::replace(&mut slot.last_use, now);
        let time = SystemTime::now();
        let old = time
            .duration_since(slot.touched)
            .is_ok_and(|age| age > TOUCH);
        if old {
            slot.touched = time;
        }
        index.order.remove(&before);
        index.order.insert(now, *key);
        drop(index);
        if old {
            // Only which one goes first after a restart hangs on it.
            let _ = File::options()
                .write(true)
                .open(path)
                .and_then(|file| file.set_modified(time));
        }
    }

    /// Forgets what was used longest ago until so many bytes fit.
    fn make_room(&self, bytes: u64) {
        let mut index = self.lock();
        while index.bytes.saturating_add(bytes) > self.max_bytes {
            let Some((_, key)) = index.order.first_key_value() else {
                break;
            };
            let key = *key;
            index.remove(&key);
            // Within the lock: a new file of this name is not to be taken for the old one.
            let _ = fs::remove_file(self.path(&key));
            self.metrics.evicted.inc();
        }
        drop(index);
        self.measure();
    }

    fn measure(&self) {
        let index = self.lock();
        self.metrics.cache_bytes.set(gauge(index.bytes));
        self.metrics
            .cache_entries
            .set(gauge(index.entries.len() as u64));
    }
}

impl Index {
    fn remove(&mut self, key: &BlobKey) -> bool {
        let Some(slot) = self.entries.remove(key) else {
            return false;
        };
        self.order.remove(&slot.last_use);
        self.ids.remove(&slot.meta.id);
        self.bytes = self.bytes.saturating_sub(slot.meta.on_disk());
        true
    }
}

/// The beginning of a file, and when it was used last; `None` if it is not as long as it says, or no file of ours.
fn read_head(path: &Path) -> io::Result<Option<(SystemTime, Meta)>> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    let mut head = [0; HEAD];
    if about.len() < HEAD as u64 {
        return Ok(None);
    }
    file.read_exact(&mut head)?;
    let meta = Meta::parse(&head).map(|(_, meta)| meta);
    let whole = meta.filter(|meta| meta.file_bytes() == Some(about.len()));
    Ok(whole.map(|meta| (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), meta)))
}

fn read_entry(path: &Path, known: &Meta) -> io::Result<Entry> {
    let damaged = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut file = File::open(path)?;
    // Before memory is taken: it was booked for this length.
    if Some(file.metadata()?.len()) != known.file_bytes() {
        return Err(damaged("it has another length"));
    }
    let mut head = [0; HEAD];
    file.read_exact(&mut head)?;
    let (hash, meta) =
        Meta::parse(&head).ok_or_else(|| damaged("it begins with something else"))?;
    let meta = Meta {
        checked: known.checked,
        ..meta
    };
    if meta != *known {
        return Err(damaged("its beginning has changed"));
    }
    let part = |file: &mut File, len: u64| {
        let len = usize::try_from(len).map_err(|_| damaged("it is too long"))?;
        let mut bytes = vec![0; len];
        file.read_exact(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let certificate = part(&mut file, meta.certificate_len)?;
    let payload = part(&mut file, meta.payload_len)?;
    if meta.hash(&certificate, &payload) != hash {
        return Err(damaged("its hash is another one"));
    }
    Ok(Entry {
        meta,
        certificate,
        payload,
    })
}

#[cfg(test)]
mod tests;
