//! What outlives the data beside the signed records: floors, the end of signing, the time kept, evidence.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ashlar_proto::{BatchDigest, Domain, Sequence};
use fail::fail_point;

use super::codec;
use super::table::{PAGE, lock};
use super::{
    Backend, Durability, Equivocation, Floor, Put, SequenceId, SignedRecord, Space, Store,
    StoreError, TableStore,
};

/// Most pairs of batches kept as evidence against one disperser of a service: one is enough to take its bond.
pub const MAX_EQUIVOCATIONS: usize = 16;

impl<B: Backend> TableStore<B> {
    /// Floors and whether signing has ended, from the backend: looked at before every promise.
    pub(super) fn read_promises(&self) -> Result<(), StoreError> {
        let mut floors = BTreeMap::new();
        self.each(Space::Meta, codec::META_FLOOR, |key, value| {
            let number = Sequence(codec::decode_u64("a floor", key, value)?);
            floors.insert(codec::disperser_of_floor_key(key)?, number);
            Ok(())
        })?;
        *lock(&self.floors) = floors;
        let key = codec::META_MOVED;
        let moved = self.get("read whether the database was moved", Space::Meta, key)?;
        if let Some(value) = &moved {
            codec::unseal("the mark of a moved database", key, value)?;
        }
        self.moved.store(moved.is_some(), Ordering::SeqCst);
        Ok(())
    }

    /// Calls `each` for every key that starts with `prefix`, in order.
    fn each(
        &self,
        space: Space,
        prefix: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.page(space, prefix, after.as_deref(), PAGE)?;
            for (key, value) in &page {
                each(key, value)?;
            }
            match page.into_iter().next_back() {
                Some((key, _)) => after = Some(key),
                None => return Ok(()),
            }
        }
    }

    pub(super) fn page(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, bytes::Bytes)>, StoreError> {
        self.backend
            .scan(space, prefix, after, limit)
            .map_err(|source| StoreError::Backend {
                doing: "list promises",
                source,
            })
    }

    pub(super) fn put(
        &self,
        doing: &'static str,
        space: Space,
        puts: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StoreError> {
        let size = puts
            .iter()
            .map(|(key, value)| key.len() + value.len())
            .sum();
        let mut puts = puts.into_iter().map(|(key, value)| Put {
            space,
            key,
            value: Some(value.into()),
        });
        self.write(doing, &mut puts, size, Durability::Synced)
    }

    pub(super) fn check_promise(&self, at: &SequenceId) -> Result<(), StoreError> {
        if self.is_moved() {
            return Err(StoreError::Moved);
        }
        match lock(&self.floors).get(&(at.domain, at.disperser_id)) {
            Some(&floor) if at.sequence <= floor => Err(StoreError::BelowFloor { at: *at, floor }),
            _ => Ok(()),
        }
    }

    /// The record of a batch under its number, which has to be free or this batch's. Its lock has to be held.
    pub(super) fn record_of(
        &self,
        at: &SequenceId,
        digest: &BatchDigest,
    ) -> Result<Option<SignedRecord>, StoreError> {
        let known = match self.signed(at)? {
            Some(existing) if existing.digest != *digest => {
                return Err(StoreError::Conflict {
                    at: *at,
                    existing: existing.digest,
                    offered: *digest,
                });
            }
            known => known,
        };
        // What was signed before may be promised again; a new promise needs a number that is free.
        if self.is_moved() || known.as_ref().is_none_or(|r| r.signature.is_none()) {
            self.check_promise(at)?;
        }
        Ok(known)
    }

    /// Writes a promise whose data somebody else keeps, and syncs: a remote signer's. Gives the record that counts, with its
    /// signature if there is one.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn promise(&self, record: SignedRecord) -> Result<SignedRecord, StoreError> {
        let at = record.at;
        let _one_at_a_time = self.lock_sequence(&at);
        match self.record_of(&at, &record.digest)? {
            // A signature says that an earlier write was synced; without one it may have failed halfway.
            Some(known) if known.signature.is_some() => return Ok(known),
            _ => {}
        }
        let key = codec::signed_key(&at);
        let value = codec::encode_signed(&key, &record);
        self.put("write a promise", Space::Signed, vec![(key, value)])?;
        Ok(record)
    }

    /// From now on a remote signer answers for what the key signs, with floors of its own: that signing with this database has
    /// ended does not count any more, as long as it is open.
    pub fn rely_on_remote_signer(&self) {
        self.moved.store(false, Ordering::SeqCst);
    }

    pub(super) fn read_time(&self) -> Result<Option<u64>, StoreError> {
        let key = codec::META_TIME;
        self.get("read the time kept", Space::Meta, key)?
            .map(|value| codec::decode_u64("the time kept", key, &value))
            .transpose()
    }

    pub(super) fn write_time(&self, time_ms: u64) -> Result<(), StoreError> {
        let key = codec::META_TIME.to_vec();
        let value = codec::encode_u64(&key, time_ms);
        fail_point!("store.time");
        self.put("keep the time", Space::Meta, vec![(key, value)])?;
        fail_point!("store.timed");
        Ok(())
    }

    pub(super) fn collect_spent(&self) -> Result<Vec<Floor>, StoreError> {
        let mut spent: BTreeMap<(Domain, u32), Sequence> = lock(&self.floors).clone();
        self.each(Space::Signed, &[], |key, _| {
            let at = codec::sequence_of_key(key)?;
            let highest = spent
                .entry((at.domain, at.disperser_id))
                .or_insert(at.sequence);
            *highest = at.sequence.max(*highest);
            Ok(())
        })?;
        let floor = |((domain, disperser_id), sequence)| Floor {
            domain,
            disperser_id,
            sequence,
        };
        Ok(spent.into_iter().map(floor).collect())
    }

    pub(super) fn write_floors(&self, floors: &[Floor]) -> Result<(), StoreError> {
        let mut held = lock(&self.floors);
        let mut raised = held.clone();
        for floor in floors {
            let place = raised
                .entry((floor.domain, floor.disperser_id))
                .or_insert(floor.sequence);
            *place = floor.sequence.max(*place);
        }
        let puts = raised.iter().map(|((domain, disperser_id), sequence)| {
            let key = codec::floor_key(domain, *disperser_id);
            let value = codec::encode_u64(&key, sequence.0);
            (key, value)
        });
        fail_point!("store.raise");
        self.put("raise floors", Space::Meta, puts.collect())?;
        fail_point!("store.raised");
        *held = raised;
        Ok(())
    }

    /// Whether anything was ever promised with this database, or it was moved: it has a history then.
    ///
    /// # Errors
    /// The backend cannot be read.
    pub fn has_promised(&self) -> Result<bool, StoreError> {
        let pruned = self.get(
            "read whether records were pruned",
            Space::Meta,
            codec::META_PRUNED,
        )?;
        let signed = self.page(Space::Signed, &[], None, 1)?;
        Ok(self.is_moved() || pruned.is_some() || !signed.is_empty())
    }

    pub(super) fn prune_signed(&self, now_secs: u64) -> Result<u64, StoreError> {
        let mut pruned = 0;
        let mut after: Option<Vec<u8>> = None;
        // From one disperser to the next.
        while let Some((key, _)) = self.page(Space::Signed, &[], after.as_deref(), 1)?.pop() {
            let first = codec::sequence_of_key(&key)?;
            loop {
                let over = self.over(&first, now_secs)?;
                let Some(last) = over.last() else { break };
                self.replace_by_floor(&over, last)?;
                pruned += over.len() as u64;
            }
            let last = SequenceId {
                sequence: Sequence(u64::MAX),
                ..first
            };
            after = Some(codec::signed_key(&last));
        }
        Ok(pruned)
    }

    /// Records of a disperser whose time is over, from the lowest number on, some at a time.
    fn over(&self, of: &SequenceId, now_secs: u64) -> Result<Vec<SequenceId>, StoreError> {
        let prefix = codec::disperser_key(&of.domain, of.disperser_id);
        let mut over = Vec::new();
        for (key, value) in self.page(Space::Signed, &prefix, None, PAGE)? {
            let at = codec::sequence_of_key(&key)?;
            let record = codec::decode_signed(&key, &value, &at)?;
            let data = codec::directory_key(&record.digest);
            if record.owed_until > now_secs || self.find("look for a batch", &data)?.is_some() {
                break;
            }
            over.push(at);
        }
        Ok(over)
    }

    /// Removes records and raises the floor to `last`, the highest of them, in one write.
    fn replace_by_floor(&self, over: &[SequenceId], last: &SequenceId) -> Result<(), StoreError> {
        // Held until the floor counts: whoever looks for a record in vain asks for the floor next.
        let mut floors = lock(&self.floors);
        let place = (last.domain, last.disperser_id);
        let floor = floors
            .get(&place)
            .map_or(last.sequence, |floor| last.sequence.max(*floor));
        let key = codec::floor_key(&last.domain, last.disperser_id);
        let meta = |key: Vec<u8>, value: Vec<u8>| Put {
            space: Space::Meta,
            key,
            value: Some(value.into()),
        };
        let value = codec::encode_u64(&key, floor.0);
        let mark = codec::META_PRUNED.to_vec();
        let gone = over.iter().map(|at| Put {
            space: Space::Signed,
            key: codec::signed_key(at),
            value: None,
        });
        let mark_value = codec::seal(&mark, &[]);
        fail_point!("store.prune");
        let mut puts = [meta(key, value), meta(mark, mark_value)]
            .into_iter()
            .chain(gone);
        let size = 256 + 64 * over.len();
        self.write("prune signed records", &mut puts, size, Durability::Synced)?;
        fail_point!("store.pruned");
        floors.insert(place, floor);
        Ok(())
    }

    pub(super) fn is_moved(&self) -> bool {
        self.moved.load(Ordering::SeqCst)
    }

    pub(super) fn write_moved(&self) -> Result<(), StoreError> {
        // First here, then on disk: when it is there, nothing is promised any more.
        self.moved.store(true, Ordering::SeqCst);
        let key = codec::META_MOVED.to_vec();
        let value = codec::seal(&key, &[]);
        self.put("end signing", Space::Meta, vec![(key, value)])
    }

    pub(super) fn write_equivocation(&self, evidence: &Equivocation) -> Result<bool, StoreError> {
        let at = evidence.at();
        let _one_at_a_time = self.lock_sequence(&at);
        let key = codec::signed_key(&at);
        if self
            .get("read evidence", Space::Equivocations, &key)?
            .is_some()
        {
            return Ok(false);
        }
        let prefix = codec::disperser_key(&at.domain, at.disperser_id);
        let held = self.page(Space::Equivocations, &prefix, None, MAX_EQUIVOCATIONS)?;
        if held.len() >= MAX_EQUIVOCATIONS {
            return Ok(false);
        }
        let value = codec::encode_equivocation(&key, evidence);
        self.put("keep evidence", Space::Equivocations, vec![(key, value)])?;
        Ok(true)
    }

    pub(super) fn read_equivocations(
        &self,
        after: Option<&SequenceId>,
        limit: usize,
    ) -> Result<Vec<Equivocation>, StoreError> {
        let after = after.map(codec::signed_key);
        self.page(Space::Equivocations, &[], after.as_deref(), limit)?
            .iter()
            .map(|(key, value)| codec::decode_equivocation(key, value))
            .collect()
    }
}
