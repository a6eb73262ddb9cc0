//! What a follower knows of the heads of a service: whose signature counts, what it has seen, and whether two of its sources, or one at
//! two times, contradict each other.
//!
//! In the folder, if there is one: `known.json` (network, successions of the pinned keys, the sources' names), the heads
//! ([`HeadFiles`]), and `contradiction.json` once there is one. A head is synced before anybody acts on it. A contradiction stops the
//! follower for good: also after a restart, until a person has looked at the file and moved it away.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use ashlar_crypto::Coded as _;
use ashlar_proto::head::{HeadError, HeadKeySuccession, SignedHead};
use ashlar_proto::{Account, Block, Domain, Network};
use ashlar_restaking::ServiceId;
use ashlar_stake::StakeError;
use serde::{Deserialize, Serialize};

use crate::heads::{HeadFileError, HeadFiles, StoredHead, WINDOW, write_synced};

const KNOWN: &str = "known.json";
const CONTRADICTION: &str = "contradiction.json";
/// Heads kept in memory, to compare sources by.
const RECENT: usize = 1024;
/// Names of sources that are kept; a head told by one more is remembered without its name.
const MAX_NAMES: usize = 255;
/// Successions that are followed from the pinned keys on.
const MAX_SUCCESSIONS: usize = 64;

/// A set of sources, by their place in the configuration.
pub(super) type Sources = u8;

/// The set of one source.
pub(super) fn only(source: usize) -> Sources {
    // At most `MAX_SOURCES` places.
    1 << source
}

const _: () = assert!(ashlar_stake::MAX_SOURCES <= Sources::BITS as usize);

#[derive(Debug)]
pub(super) struct HeadStore {
    folder: Option<PathBuf>,
    urls: Vec<String>,
    pins: Vec<Account>,
    domain: Domain,
    known: Known,
    /// `known.successions`, each with the key that signed it: a pinned one, or the successor of one that stands before it.
    chain: Vec<(Account, HeadKeySuccession)>,
    files: Option<HeadFiles>,
    /// Blocks behind the newest that are remembered on disk.
    keep: u64,
    recent: BTreeMap<Block, Seen>,
    newest: Option<SignedHead>,
    /// What each source told last.
    told: Vec<Option<SignedHead>>,
    stopped: Option<StakeError>,
}

/// What is written down beside the heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    network: Network,
    service: ServiceId,
    /// Who told a head: its record has the place in this list.
    sources: Vec<String>,
    successions: Vec<HeadKeySuccession>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    stored: StoredHead,
    by: Sources,
}

/// One side of a contradiction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    source: String,
    signed: SignedHead,
}

/// Two heads of one block with different roots: proof against whoever signed them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contradiction {
    one: Side,
    other: Side,
}

impl HeadStore {
    /// Remembers what is in the folder, or nothing without one.
    ///
    /// # Errors
    ///
    /// [`StakeError::Memory`]: the folder cannot be used, or it belongs to another service.
    pub(super) fn open(
        folder: Option<&Path>,
        network: Network,
        service: ServiceId,
        urls: &[String],
        pins: &[Account],
        keep: u64,
    ) -> Result<Self, StakeError> {
        let domain = network.domain(u64::from(service));
        let mut memory = Self {
            folder: folder.map(Path::to_path_buf),
            urls: urls.to_vec(),
            pins: pins.to_vec(),
            domain,
            known: Known {
                network,
                service,
                sources: Vec::new(),
                successions: Vec::new(),
            },
            chain: Vec::new(),
            files: None,
            keep,
            recent: BTreeMap::new(),
            newest: None,
            told: vec![None; urls.len()],
            stopped: None,
        };
        let Some(folder) = folder else {
            return Ok(memory);
        };
        ashlar_service::folder::make(folder)
            .map_err(|error| unusable(folder, "heads.io", error))?;
        if let Some(known) = read::<Known>(&folder.join(KNOWN))? {
            if (known.network, known.service) != (network, service) {
                let why = format!(
                    "it remembers service {} of network {}, followed is service {service} of {network}; use another folder",
                    known.service, known.network
                );
                return Err(unusable(folder, "heads.other_service", why));
            }
            // Of keys that are not pinned any more, successions lead nowhere.
            for succession in &known.successions {
                let by = memory.signer(succession);
                memory.chain.extend(by.map(|by| (by, *succession)));
            }
            memory.known = known;
        } else {
            memory.save()?;
        }
        let files = HeadFiles::open(&folder.join("heads"), domain).map_err(disk)?;
        memory.newest = files.newest().map_err(disk)?.map(|stored| stored.signed);
        memory.files = Some(files);
        if let Some(found) = read::<Contradiction>(&folder.join(CONTRADICTION))? {
            memory.stopped = Some(memory.error_of(&found));
        }
        // One source cannot be behind what it told before. Of several, one may.
        if let [told] = memory.told.as_mut_slice() {
            *told = memory.newest;
        }
        Ok(memory)
    }

    /// The contradiction that stopped this follower.
    pub(super) fn stopped(&self) -> Option<&StakeError> {
        self.stopped.as_ref()
    }

    /// The newest head, whoever told it.
    pub(super) fn newest(&self) -> Option<&SignedHead> {
        self.newest.as_ref()
    }

    /// The head of a block, if one was seen.
    ///
    /// # Errors
    ///
    /// [`StakeError::Memory`].
    pub(super) fn head(&self, block: Block) -> Result<Option<SignedHead>, StakeError> {
        Ok(self.seen(block)?.map(|seen| seen.stored.signed))
    }

    /// Those that told a block's head, of those that were heard since this process began.
    pub(super) fn told_by(&self, block: Block) -> Sources {
        self.recent.get(&block).map_or(0, |seen| seen.by)
    }

    /// The highest block above `after` and not above `most` whose head all of these told.
    pub(super) fn agreed(
        &self,
        all: Sources,
        after: Option<Block>,
        most: Block,
    ) -> Option<SignedHead> {
        let blocks = (above(after), Bound::Included(most));
        if after >= Some(most) {
            return None;
        }
        self.recent
            .range(blocks)
            .rev()
            .find(|(_, seen)| seen.by & all == all)
            .map(|(_, seen)| seen.stored.signed)
    }

    /// The highest block above `after` that others told and this source did not, and must know by now: it told a newer one.
    pub(super) fn unconfirmed(&self, source: usize, after: Option<Block>) -> Option<Block> {
        let told = self.told.get(source).copied().flatten()?.head.block;
        if after >= Some(told) {
            return None;
        }
        self.recent
            .range((above(after), Bound::Excluded(told)))
            .rev()
            .find(|(_, seen)| seen.by & only(source) == 0)
            .map(|(block, _)| *block)
    }

    /// Takes a head that a source tells as its newest one.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept), or the source went back.
    pub(super) fn accept_newest(
        &mut self,
        source: usize,
        signed: &SignedHead,
    ) -> Result<(), StakeError> {
        let before = self.told.get(source).copied().flatten();
        if let Some(before) = before {
            let (block, time) = (signed.head.block, signed.head.time_ms);
            let newest = before.head.block;
            if block < newest {
                let why = format!(
                    "its newest signed head is of block {block}, it told of block {newest} before"
                );
                return Err(self.refused(source, "head.back", why));
            }
            if block > newest && time < before.head.time_ms {
                let why = format!(
                    "the head of block {block} is dated {time} ms, that of block {newest} {} ms: time went back",
                    before.head.time_ms
                );
                return Err(self.refused(source, "head.time_back", why));
            }
        }
        self.accept(source, signed)?;
        if let Some(told) = self.told.get_mut(source) {
            *told = Some(*signed);
        }
        Ok(())
    }

    /// Takes a head that a source tells, once it is on disk.
    ///
    /// # Errors
    ///
    /// Why the head is refused; [`StakeError::Contradiction`] if another one of the block with another root was seen, from
    /// then on always.
    pub(super) fn accept(&mut self, source: usize, signed: &SignedHead) -> Result<(), StakeError> {
        if let Some(stopped) = &self.stopped {
            return Err(stopped.clone());
        }
        self.vouched(signed)
            .map_err(|error| self.refused(source, error.code(), error.to_string()))?;
        let block = signed.head.block;
        let seen = match self.seen(block)? {
            Some(before) if before.stored.signed.head.table_root != signed.head.table_root => {
                return Err(self.contradicted(source, before.stored, signed));
            }
            // The first one stays: another signer's may be of another time.
            Some(before) => Seen {
                by: before.by | only(source),
                ..before
            },
            None => {
                let stored = StoredHead {
                    signed: *signed,
                    source: self.name(source)?,
                };
                self.write(&stored)?;
                Seen {
                    stored,
                    by: only(source),
                }
            }
        };
        self.recent.insert(block, seen);
        if self.recent.len() > RECENT {
            self.recent.pop_first();
        }
        if self.newest.is_none_or(|newest| newest.head.block < block) {
            self.newest = Some(*signed);
        }
        Ok(())
    }

    /// Follows successions that a source tells, from the pinned keys on. Those that lead nowhere are passed over. Says whether
    /// there was a new one.
    ///
    /// # Errors
    ///
    /// A key that has two successors, or one that is succeeded from a block on that it signed itself.
    pub(super) fn follow(
        &mut self,
        source: usize,
        told: &[HeadKeySuccession],
    ) -> Result<bool, StakeError> {
        let mut found = false;
        // One that was passed over may follow from one that comes later in the list.
        while let Some((by, succession)) = told.iter().find_map(|succession| {
            let by = self.signer(succession)?;
            (!self.chain.contains(&(by, *succession))).then_some((by, *succession))
        }) {
            if let Some((_, known)) = self.chain.iter().find(|(key, _)| *key == by) {
                let why = format!(
                    "key {by} has two successors, {} from block {} on and {} from block {} on: it is in the wrong hands",
                    known.successor, known.from_block, succession.successor, succession.from_block
                );
                return Err(self.refused(source, "head.two_successors", why));
            }
            let newest = self.newest.map(|newest| newest.head.block);
            if newest.is_some_and(|newest| succession.from_block <= newest) {
                let why = format!(
                    "key {by} is said to be succeeded from block {} on, and vouched for later blocks itself",
                    succession.from_block
                );
                return Err(self.refused(source, "head.late_succession", why));
            }
            if self.chain.len() >= MAX_SUCCESSIONS {
                let why = format!("there are more than {MAX_SUCCESSIONS} successions");
                return Err(self.refused(source, "head.successions", why));
            }
            self.chain.push((by, succession));
            self.known.successions.push(succession);
            self.save()?;
            found = true;
        }
        Ok(found)
    }

    /// Which of the keys that are followed signed a succession.
    fn signer(&self, succession: &HeadKeySuccession) -> Option<Account> {
        let successors = self.chain.iter().map(|(_, known)| &known.successor);
        self.pins
            .iter()
            .chain(successors)
            .find(|key| succession.verify(&self.known.network, key).is_ok())
            .copied()
    }

    /// Whether the key that counts at this block signed it: a pinned one, or what it was succeeded by until then.
    fn vouched(&self, signed: &SignedHead) -> Result<(), HeadError> {
        let mut result = Ok(());
        for pin in &self.pins {
            // A successor stands behind its key in the chain.
            let key = self.chain.iter().fold(*pin, |key, (by, succession)| {
                let over = *by == key && succession.from_block <= signed.head.block;
                if over { succession.successor } else { key }
            });
            result = signed.verify(&self.domain, &key).map(drop);
            if result.is_ok() {
                break;
            }
        }
        result
    }

    fn seen(&self, block: Block) -> Result<Option<Seen>, StakeError> {
        if let Some(seen) = self.recent.get(&block) {
            return Ok(Some(*seen));
        }
        let stored = match &self.files {
            Some(files) => files.get(block).map_err(disk)?,
            None => None,
        };
        Ok(stored.map(|stored| Seen { stored, by: 0 }))
    }

    fn write(&mut self, stored: &StoredHead) -> Result<(), StakeError> {
        let Some(files) = &mut self.files else {
            return Ok(());
        };
        let block = stored.signed.head.block;
        files
            .put(stored)
            .and_then(|()| files.sync())
            .map_err(disk)?;
        let newest = self.newest.map_or(Block(0), |newest| newest.head.block);
        if block.0 / WINDOW > newest.0 / WINDOW {
            files
                .forget_before(block.saturating_sub(self.keep))
                .map_err(disk)?;
        }
        Ok(())
    }

    /// The number under which a source's name is written down.
    fn name(&mut self, source: usize) -> Result<u8, StakeError> {
        let url = self.url(source);
        let place = match self.known.sources.iter().position(|known| *known == url) {
            Some(place) => place,
            None if self.known.sources.len() < MAX_NAMES => {
                self.known.sources.push(url);
                self.save()?;
                self.known.sources.len() - 1
            }
            None => MAX_NAMES,
        };
        Ok(u8::try_from(place).unwrap_or(u8::MAX))
    }

    fn url(&self, source: usize) -> String {
        match self.urls.get(source) {
            Some(url) => url.clone(),
            None => format!("source {source}"),
        }
    }

    /// Two heads of one block: written down, and the end of following.
    fn contradicted(
        &mut self,
        source: usize,
        before: StoredHead,
        signed: &SignedHead,
    ) -> StakeError {
        let name = self.known.sources.get(usize::from(before.source)).cloned();
        let found = Contradiction {
            one: Side {
                source: name.unwrap_or_else(|| "a source whose name was not kept".to_owned()),
                signed: before.signed,
            },
            other: Side {
                source: self.url(source),
                signed: *signed,
            },
        };
        let error = self.error_of(&found);
        if let Some(folder) = &self.folder
            && let Err(problem) = save(&folder.join(CONTRADICTION), &found)
        {
            // Nothing is signed in any case; the heads themselves are in the log.
            tracing::error!("the contradiction could not be written down: {problem}: {found:?}");
        }
        tracing::error!(code = error.code(), "{error}");
        self.stopped = Some(error.clone());
        error
    }

    fn error_of(&self, found: &Contradiction) -> StakeError {
        StakeError::Contradiction(Box::new(ashlar_stake::Contradiction {
            block: found.one.signed.head.block,
            one: found.one.source.clone(),
            one_root: found.one.signed.head.table_root,
            other: found.other.source.clone(),
            other_root: found.other.signed.head.table_root,
            proof: self
                .folder
                .as_ref()
                .map(|folder| folder.join(CONTRADICTION)),
        }))
    }

    fn save(&self) -> Result<(), StakeError> {
        match &self.folder {
            Some(folder) => save(&folder.join(KNOWN), &self.known),
            None => Ok(()),
        }
    }

    fn refused(&self, source: usize, code: &'static str, reason: String) -> StakeError {
        StakeError::Remote {
            url: self.url(source),
            code,
            reason,
        }
    }
}

fn above(block: Option<Block>) -> Bound<Block> {
    block.map_or(Bound::Unbounded, Bound::Excluded)
}

fn disk(error: HeadFileError) -> StakeError {
    StakeError::Memory {
        path: error.path().to_path_buf(),
        code: error.code(),
        reason: error.to_string(),
    }
}

fn unusable(path: &Path, code: &'static str, reason: impl ToString) -> StakeError {
    StakeError::Memory {
        path: path.to_path_buf(),
        code,
        reason: reason.to_string(),
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StakeError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, "heads.io", error)),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| unusable(path, "heads.damaged", error))
}

fn save(path: &Path, value: &impl Serialize) -> Result<(), StakeError> {
    let bytes =
        serde_json::to_vec_pretty(value).map_err(|error| unusable(path, "heads.io", error))?;
    write_synced(path, &bytes).map_err(|error| unusable(path, "heads.io", error))
}

/// See [`crate::fuzzing`].
pub(crate) mod fuzzing {
    use super::{Contradiction, Known};

    /// What a follower writes down beside the heads: sources, successions, contradictions.
    #[expect(clippy::expect_used, reason = "a fuzz target fails by a panic")]
    pub fn follower_files(json: &[u8]) {
        if let Ok(known) = serde_json::from_slice::<Known>(json) {
            let written = serde_json::to_vec_pretty(&known).expect("it has a JSON form");
            assert_eq!(serde_json::from_slice(&written).ok(), Some(known));
        }
        if let Ok(heads) = serde_json::from_slice::<Contradiction>(json) {
            let written = serde_json::to_vec_pretty(&heads).expect("it has a JSON form");
            assert_eq!(serde_json::from_slice(&written).ok(), Some(heads));
        }
    }
}

#[cfg(test)]
mod tests;
