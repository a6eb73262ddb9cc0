//! What outlives the data beside the signed records: floors, the end of signing, the time kept, evidence.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ashlar_proto::{Domain, Sequence};

use super::codec;
use super::table::{PAGE, lock};
use super::{
    Backend, Durability, Equivocation, Floor, Put, SequenceId, Space, StoreError, TableStore,
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

    fn page(
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
        let mut puts = puts
            .into_iter()
            .map(|(key, value)| Put { space, key, value });
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

    pub(super) fn read_time(&self) -> Result<Option<u64>, StoreError> {
        let key = codec::META_TIME;
        self.get("read the time kept", Space::Meta, key)?
            .map(|value| codec::decode_u64("the time kept", key, &value))
            .transpose()
    }

    pub(super) fn write_time(&self, time_ms: u64) -> Result<(), StoreError> {
        let key = codec::META_TIME.to_vec();
        let value = codec::encode_u64(&key, time_ms);
        self.put("keep the time", Space::Meta, vec![(key, value)])
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
        self.put("raise floors", Space::Meta, puts.collect())?;
        *held = raised;
        Ok(())
    }

    /// Whether anything was ever promised with this database, or it was moved: it has a history then.
    ///
    /// # Errors
    /// The backend cannot be read.
    pub fn has_promised(&self) -> Result<bool, StoreError> {
        Ok(self.is_moved() || !self.page(Space::Signed, &[], None, 1)?.is_empty())
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
