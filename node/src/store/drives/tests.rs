#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

//! Drives that die, are emptied, lie, stay behind, are swapped; and crashes between them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ashlar_crypto::Coded;
use ashlar_crypto::bls::SignatureBytes;
use ashlar_testing::files::copy_folder;

use super::*;
use crate::store::tests::{ME, PATIENCE, sample, sequence};
use crate::store::{
    BatchRecord, DatabaseId, Floor, RocksBackend, RocksOptions, Store, StoreError, TableStore,
};

const DRIVES: usize = 5;
const PARITY: usize = 2;

/// What a test does to a drive.
#[derive(Debug, Default)]
struct Switch {
    /// Everything fails.
    dead: std::sync::atomic::AtomicBool,
    full: std::sync::atomic::AtomicBool,
    /// So many writes still work; below zero all do.
    writes: AtomicI64,
    /// Bytes of values that were read.
    read: AtomicU64,
}

impl Switch {
    fn check(&self) -> Result<(), BackendError> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(BackendError::Io {
                detail: "dead (by a test)".into(),
            });
        }
        Ok(())
    }

    fn count<'a>(&self, values: impl Iterator<Item = &'a Bytes>) {
        let bytes: usize = values.map(Bytes::len).sum();
        self.read.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    fn check_write(&self) -> Result<(), BackendError> {
        self.check()?;
        if self.full.load(Ordering::SeqCst) {
            return Err(BackendError::NoSpace {
                detail: "full (by a test)".into(),
            });
        }
        let left =
            self.writes
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
                    0 => None,
                    left => Some(left - 1),
                });
        left.map(drop).map_err(|_| BackendError::Io {
            detail: "crashed (by a test)".into(),
        })
    }
}

#[derive(Debug)]
struct Flaky {
    inner: RocksBackend,
    switch: Arc<Switch>,
}

impl Backend for Flaky {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, BackendError> {
        self.switch.check()?;
        let value = self.inner.get(space, key)?;
        self.switch.count(value.iter());
        Ok(value)
    }

    fn write(
        &self,
        puts: &mut dyn Iterator<Item = Put>,
        size_hint: usize,
        durability: Durability,
    ) -> Result<(), BackendError> {
        self.switch.check_write()?;
        self.inner.write(puts, size_hint, durability)
    }

    fn scan(
        &self,
        space: Space,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Bytes)>, BackendError> {
        self.switch.check()?;
        let page = self.inner.scan(space, prefix, after, limit)?;
        self.switch.count(page.iter().map(|(_, value)| value));
        Ok(page)
    }

    fn windows(&self) -> Vec<WindowId> {
        self.inner.windows()
    }

    fn drop_window(&self, window: WindowId) -> Result<(), BackendError> {
        self.switch.check_write()?;
        self.inner.drop_window(window)
    }

    fn recover(&self, mark: &Put) -> Result<(), BackendError> {
        self.switch.check_write()?;
        self.inner.recover(mark)
    }
}

type Tables = TableStore<Drives<Flaky>>;

/// Folders, and what is wrong with them.
struct Rack {
    root: tempfile::TempDir,
    switches: Vec<Arc<Switch>>,
}

impl Rack {
    fn new() -> Self {
        let rack = Self {
            root: tempfile::tempdir().unwrap(),
            switches: (0..DRIVES).map(|_| Arc::default()).collect(),
        };
        rack.repair();
        rack
    }

    fn folder(&self, drive: usize) -> PathBuf {
        self.root.path().join(drive.to_string())
    }

    fn repair(&self) {
        for switch in &self.switches {
            switch.dead.store(false, Ordering::SeqCst);
            switch.full.store(false, Ordering::SeqCst);
            switch.writes.store(-1, Ordering::SeqCst);
        }
    }

    fn kill(&self, drive: usize) {
        self.switches[drive].dead.store(true, Ordering::SeqCst);
    }

    fn empty(&self, drive: usize) {
        // A database that is open may make a file meanwhile.
        while std::fs::remove_dir_all(self.folder(drive)).is_err() {}
        std::fs::create_dir(self.folder(drive)).unwrap();
    }

    fn drives(&self, folders: Vec<PathBuf>, create: bool) -> Result<Drives<Flaky>, BackendError> {
        let by_folder: Vec<(PathBuf, Arc<Switch>)> = (0..DRIVES)
            .map(|n| (self.folder(n), Arc::clone(&self.switches[n])))
            .collect();
        let options = DrivesOptions {
            folders,
            parity: PARITY,
            create,
            patience: PATIENCE,
        };
        Drives::open(options, move |folder, create| {
            let (_, switch) = by_folder
                .iter()
                .find(|(f, _)| folder.starts_with(f))
                .unwrap();
            switch.check()?;
            let inner = RocksBackend::open(RocksOptions {
                create,
                write_buffer_bytes: 4 << 20,
                ..RocksOptions::new(folder)
            })?;
            let switch = Arc::clone(switch);
            Ok(Flaky { inner, switch })
        })
    }

    fn all(&self) -> Vec<PathBuf> {
        (0..DRIVES).map(|n| self.folder(n)).collect()
    }

    fn create(&self) -> Tables {
        let drives = self.drives(self.all(), true).unwrap();
        TableStore::create(drives, ME, DatabaseId([3; 16]), 100).unwrap()
    }

    fn open(&self) -> Result<Tables, StoreError> {
        let drives = self
            .drives(self.all(), false)
            .map_err(|source| StoreError::Backend {
                doing: "open",
                source,
            })?;
        TableStore::open(drives, ME, 100)
    }
}

fn states(store: &Tables) -> Vec<DriveState> {
    store.drives().iter().map(|drive| drive.state).collect()
}

fn all_in_sync(store: &Tables) {
    assert_eq!(
        states(store),
        [DriveState::InSync; DRIVES],
        "{:?}",
        store.drives()
    );
}

fn sign(store: &Tables, batch: &BatchRecord) {
    let mut record = store.commit(batch).unwrap();
    record.signature = Some(SignatureBytes([9; 48]));
    store.record_signature(&record).unwrap();
}

/// All of a signed batch is there, and nothing else under its number is signed.
fn holds(store: &Tables, batch: &BatchRecord) {
    assert!(
        whole(store, batch),
        "batch {} is lost",
        batch.header.sequence
    );
    let rival = sample(1, batch.header.sequence.0, 7_000_000, 950);
    assert!(matches!(
        store.commit(&rival),
        Err(StoreError::Conflict { .. })
    ));
}

/// Whether a batch is there; it is there whole or not at all.
fn whole(store: &Tables, batch: &BatchRecord) -> bool {
    let stored = store.batch(&batch.digest).unwrap();
    let signed = store.signed(&sequence(1, batch.header.sequence.0)).unwrap();
    for (index, blob) in (0..).zip(&batch.blobs) {
        let slices = store.batch_slices(&batch.digest, index).unwrap();
        assert_eq!(slices.is_some(), stored.is_some());
        if let Some(slices) = slices {
            assert_eq!(slices.header(), &blob.header);
            slices.check(512).unwrap();
        }
    }
    assert_eq!(
        signed.map(|record| record.digest),
        stored.as_ref().map(|_| batch.digest)
    );
    let listed: Vec<_> = store
        .windows()
        .unwrap()
        .into_iter()
        .flat_map(|window| store.batches_in(window, None, 999).unwrap())
        .filter(|(digest, _)| *digest == batch.digest)
        .collect();
    assert_eq!(listed.len(), usize::from(stored.is_some()));
    stored.is_some()
}

/// Tends until nothing is left to copy.
fn rebuild(store: &Tables) -> u64 {
    let mut bytes = 0;
    while let Some(more) = store.tend_drives().unwrap() {
        bytes += more;
    }
    bytes
}

fn pairs() -> impl Iterator<Item = (usize, usize)> {
    (0..DRIVES).flat_map(|a| (a + 1..DRIVES).map(move |b| (a, b)))
}

#[test]
fn any_two_drives_die_while_it_runs() {
    for (a, b) in pairs() {
        let rack = Rack::new();
        let store = rack.create();
        sign(&store, &sample(1, 1, 1, 950));
        rack.kill(a);
        sign(&store, &sample(1, 2, 2, 950));
        rack.kill(b);
        sign(&store, &sample(1, 3, 3, 950));
        (1..=3).for_each(|n| holds(&store, &sample(1, n, n, 950)));
        let failed: Vec<usize> = (0..DRIVES)
            .filter(|n| states(&store)[*n] == DriveState::Failed)
            .collect();
        assert_eq!(failed, [a, b]);
        // The two come back with what they had: they are not trusted.
        drop(store);
        rack.repair();
        let store = rack.open().unwrap();
        (1..=3).for_each(|n| holds(&store, &sample(1, n, n, 950)));
        assert_eq!(states(&store)[a], DriveState::Failed);
        assert_eq!(states(&store)[b], DriveState::Failed);
        sign(&store, &sample(1, 4, 4, 950));
        // Rebuilt, they are as good as the others, which may go now.
        assert!(rebuild(&store) > 0);
        all_in_sync(&store);
        let others: Vec<usize> = (0..DRIVES).filter(|n| ![a, b].contains(n)).collect();
        rack.kill(others[0]);
        rack.kill(others[1]);
        (1..=4).for_each(|n| holds(&store, &sample(1, n, n, 950)));
        sign(&store, &sample(1, 5, 5, 950));
        holds(&store, &sample(1, 5, 5, 950));
    }
}

#[test]
fn any_two_drives_are_emptied() {
    for (a, b) in pairs() {
        let rack = Rack::new();
        let store = rack.create();
        (1..=3).for_each(|n| sign(&store, &sample(1, n, n, 950)));
        let floor = Floor {
            domain: crate::store::tests::DOMAIN,
            disperser_id: 9,
            sequence: ashlar_proto::Sequence(44),
        };
        store.raise_floors(&[floor]).unwrap();
        store.keep_time(77).unwrap();
        let spent = store.spent().unwrap();
        drop(store);
        rack.empty(a);
        rack.empty(b);
        let store = rack.open().unwrap();
        (1..=3).for_each(|n| holds(&store, &sample(1, n, n, 950)));
        assert_eq!(store.spent().unwrap(), spent);
        assert_eq!(store.kept_time().unwrap(), Some(77));
        assert!(matches!(
            store.commit(&sample(9, 44, 1, 950)),
            Err(StoreError::BelowFloor { .. })
        ));
        rebuild(&store);
        all_in_sync(&store);
    }
}

/// Wrong bytes on two drives, in every value that they hold: what is read is right, and put right.
#[test]
fn any_two_drives_lie() {
    for (a, b) in pairs() {
        let rack = Rack::new();
        let store = rack.create();
        (1..=2).for_each(|n| sign(&store, &sample(1, n, n, 950)));
        let spent = store.spent().unwrap();
        for handle in store.backend().handles() {
            if ![a, b].contains(&handle.position) {
                continue;
            }
            for space in Space::KEPT
                .into_iter()
                .chain([Space::Window(WindowId(1000))])
            {
                for (n, (key, value)) in
                    (0..).zip(handle.drive.scan(space, &[], None, 999).unwrap())
                {
                    let mut bad = value.to_vec();
                    // Every third is gone, every third has a wrong byte, every third is another key's.
                    let place = n * 7 % bad.len();
                    bad[place] ^= 1;
                    let (key, value) = match n % 3 {
                        0 => (key, None),
                        1 => (key, Some(bad)),
                        _ => (key, Some(frame::whole(space, b"elsewhere", b"x"))),
                    };
                    if key == RECORD {
                        continue;
                    }
                    let value = value.map(Into::into);
                    let put = Put { space, key, value };
                    handle
                        .drive
                        .write(&mut std::iter::once(put), 0, Durability::Synced)
                        .unwrap();
                }
            }
        }
        assert_eq!(store.spent().unwrap(), spent);
        (1..=2).for_each(|n| holds(&store, &sample(1, n, n, 950)));
        assert!(store.drives()[a].healed > 0 && store.drives()[b].healed > 0);
        all_in_sync(&store);
        // Healed, also where nobody read: now two others may go.
        for n in 1..=2 {
            store.mend(&sample(1, n, n, 950).digest).unwrap();
        }
        let others: Vec<usize> = (0..DRIVES).filter(|n| ![a, b].contains(n)).collect();
        rack.kill(others[0]);
        rack.kill(others[2]);
        (1..=2).for_each(|n| holds(&store, &sample(1, n, n, 950)));
    }
}

/// A crash in the middle of a commit, with every set of drives that had written it: what was signed is there, what was not is
/// there whole or not at all, on all drives alike. The same with a second crash, while they are made to agree.
#[test]
fn a_crash_between_drives_tears_nothing() {
    for wrote in 0..1u32 << DRIVES {
        crash(wrote, None);
        crash(wrote, Some(wrote.wrapping_mul(13) % 32));
        crash(wrote, Some(1 << (wrote % 5)));
    }
}

fn crash(wrote: u32, settled: Option<u32>) {
    let rack = Rack::new();
    let store = rack.create();
    let first = sample(1, 1, 1, 950);
    sign(&store, &first);
    // It may be written again, as after a lost note of its signature.
    let second = sample(1, 2, 2, 1950);
    store.commit(&second).unwrap();
    let only = |set: u32| {
        for (n, switch) in rack.switches.iter().enumerate() {
            switch
                .writes
                .store(i64::from(set >> n & 1), Ordering::SeqCst);
        }
    };
    only(wrote);
    let batch = match settled {
        Some(_) => sample(1, 3, 3, 2950),
        None => second.clone(),
    };
    let outcome = store.commit(&batch);
    drop(store);
    if let Some(settled) = settled {
        only(settled);
        drop(rack.open());
    }
    rack.repair();
    let store = rack.open().unwrap();
    all_in_sync(&store);
    holds(&store, &first);
    holds(&store, &second);
    let there = whole(&store, &batch);
    assert!(there || outcome.is_err(), "{wrote:b} {settled:?}");
    drop(store);
    // On all alike: whichever two go, the answer is the same.
    let (a, b) = pairs().nth(wrote as usize % 10).unwrap();
    rack.empty(a);
    rack.empty(b);
    let store = rack.open().unwrap();
    holds(&store, &first);
    holds(&store, &second);
    assert_eq!(whole(&store, &batch), there, "{wrote:b} {settled:?}");
    // Its number is free only if nothing was promised under it.
    let rival = store.commit(&sample(1, batch.header.sequence.0, 8_000_000, 950));
    assert_eq!(rival.is_ok(), !there);
}

#[test]
fn more_than_the_parity_stops_signing_until_they_are_back() {
    let rack = Rack::new();
    let store = rack.create();
    let first = sample(1, 1, 1, 950);
    sign(&store, &first);
    (0..3).for_each(|n| rack.kill(n));
    let error = store.commit(&sample(1, 2, 2, 950)).unwrap_err();
    assert_eq!(error.code(), "store.too_few_drives", "{error}");
    assert!(
        error
            .to_string()
            .contains("2 of 5 drives can be used, 3 are needed"),
        "{error}"
    );
    assert!(
        store.commit(&sample(1, 3, 3, 950)).is_err(),
        "until it has recovered"
    );
    assert!(store.probe().is_err());
    rack.repair();
    store.probe().unwrap();
    all_in_sync(&store);
    holds(&store, &first);
    sign(&store, &sample(1, 2, 20, 950));
    // Not at the start either.
    drop(store);
    (1..4).for_each(|n| rack.empty(n));
    let error = rack.open().map(drop).unwrap_err();
    assert_eq!(error.code(), "store.too_few_drives", "{error}");
    assert!(error.to_string().contains("drive 3"), "{error}");
}

/// A full drive is no broken drive: it fills up like the others, and needs room, not a rebuild.
#[test]
fn a_full_drive_stops_signing_and_is_no_failed_drive() {
    let rack = Rack::new();
    let store = rack.create();
    sign(&store, &sample(1, 1, 1, 950));
    rack.switches[2].full.store(true, Ordering::SeqCst);
    let error = store.commit(&sample(1, 2, 2, 950)).unwrap_err();
    assert_eq!(error.code(), "store.no_space");
    assert_eq!(store.probe().unwrap_err().code(), "store.no_space");
    holds(&store, &sample(1, 1, 1, 950));
    rack.repair();
    store.probe().unwrap();
    all_in_sync(&store);
    // Enough of it was written, so it was completed; the same batch is signed, and no other.
    holds(&store, &sample(1, 2, 2, 950));
    sign(&store, &sample(1, 2, 2, 950));
}

#[test]
fn wrong_order_foreign_and_missing_drives_are_named() {
    let rack = Rack::new();
    sign(&rack.create(), &sample(1, 1, 1, 950));
    let other = Rack::new();
    drop(other.create());
    let refused = |folders: Vec<PathBuf>, parity: usize| {
        let options = DrivesOptions {
            folders,
            parity,
            create: false,
            patience: PATIENCE,
        };
        Drives::open(options, |folder, create| {
            RocksBackend::open(RocksOptions {
                create,
                ..RocksOptions::new(folder)
            })
        })
        .map(drop)
        .unwrap_err()
    };
    let mut swapped = rack.all();
    swapped.swap(1, 3);
    let error = refused(swapped, 2);
    assert_eq!(error.code(), "store.drives");
    assert!(
        error.to_string().contains("is drive 3 of 5 with parity 2"),
        "{error}"
    );
    let mut foreign = rack.all();
    foreign[4] = other.folder(4);
    let error = refused(foreign, 2);
    assert!(
        error.to_string().contains("belongs to another set"),
        "{error}"
    );
    let error = refused(rack.all(), 1);
    assert!(
        error
            .to_string()
            .contains("the configuration says drive 0 of 5 with parity 1"),
        "{error}"
    );
    let mut twice = rack.all();
    twice[1] = rack.folder(0);
    assert!(refused(twice, 2).to_string().contains("named twice"));
    for (drives, parity) in [(2, 1), (4, 2), (5, 0), (5, 3), (1, 0)] {
        assert_eq!(
            refused(rack.all()[..drives].to_vec(), parity).code(),
            "store.drives"
        );
    }
    let error = refused(Rack::new().all(), 2);
    assert_eq!(error.code(), "store.too_few_drives", "{error}");
    // A new set is made of empty folders only.
    let error = rack.drives(
        rack.all()
            .into_iter()
            .take(4)
            .chain([rack.root.path().join("4/new")])
            .collect(),
        true,
    );
    assert_eq!(error.unwrap_err().code(), "store.drives");

    // One whose folder is not there is used again once it is, and empty; nobody makes it.
    std::fs::remove_dir_all(rack.folder(4)).unwrap();
    let store = rack.open().unwrap();
    assert!(
        store.drives()[4]
            .cause
            .as_ref()
            .unwrap()
            .contains("is the volume mounted?")
    );
    rebuild(&store);
    assert!(!rack.folder(4).exists());
    // The label of one is another's: its place is wrong, its database too.
    assert_eq!(states(&store)[4], DriveState::Failed);
}

/// A drive that was exchanged for an older copy of itself.
#[test]
fn an_old_copy_is_found() {
    let rack = Rack::new();
    let old = tempfile::tempdir().unwrap();
    let store = rack.create();
    sign(&store, &sample(1, 1, 1, 950));
    drop(store);
    copy_folder(&rack.folder(2), old.path()).unwrap();
    let store = rack.open().unwrap();
    (2..=4).for_each(|n| sign(&store, &sample(1, n, n, 950)));
    drop(store);
    std::fs::remove_dir_all(rack.folder(2)).unwrap();
    copy_folder(old.path(), &rack.folder(2)).unwrap();
    let store = rack.open().unwrap();
    let cause = store.drives()[2].cause.clone().unwrap();
    assert!(cause.contains("old copy"), "{cause}");
    (1..=4).for_each(|n| holds(&store, &sample(1, n, n, 950)));
    rebuild(&store);
    all_in_sync(&store);
}

/// Emptied under the node, rebuilt while batches come and windows go, with a restart in between.
#[test]
fn a_rebuild_goes_on_beside_writes_and_over_a_restart() {
    let rack = Rack::new();
    let store = rack.create();
    (1..=40).for_each(|n| sign(&store, &sample(1, n, n, 50 * n)));
    rack.empty(1);
    rack.empty(3);
    // The first look finds both, and begins.
    store.tend_drives().unwrap();
    let rebuilding = |store: &Tables| {
        states(store)
            .iter()
            .filter(|s| **s == DriveState::Rebuilding)
            .count()
    };
    assert_eq!(rebuilding(&store), 2);
    store.expire(300).unwrap();
    sign(&store, &sample(1, 41, 41, 5000));
    for _ in 0..6 {
        store.tend_drives().unwrap();
    }
    let before = store.drives()[1].clone();
    assert!(
        before.rebuilt_bytes > 0 && before.state == DriveState::Rebuilding,
        "{before:?}"
    );
    drop(store);
    let store = rack.open().unwrap();
    assert_eq!(rebuilding(&store), 2);
    assert!(
        store.drives()[1].rebuilt_bytes >= before.rebuilt_bytes,
        "it goes on where it was"
    );
    sign(&store, &sample(1, 42, 42, 5000));
    store.expire(400).unwrap();
    rebuild(&store);
    all_in_sync(&store);
    sign(&store, &sample(1, 43, 43, 5000));
    rack.kill(0);
    rack.kill(2);
    (9..=43).for_each(|n| holds(&store, &sample(1, n, n, if n > 40 { 5000 } else { 50 * n })));
}

/// Bytes that the others are asked for while emptied drives are filled, and bytes that these get.
fn fill(emptied: &[usize], late: Option<usize>) -> (u64, u64) {
    let rack = Rack::new();
    let store = rack.create();
    let batches: Vec<BatchRecord> = (1..=30)
        .map(|n| {
            let mut batch = sample(1, n, n, 950);
            batch.blobs[0].leaves = vec![[n as u8; 32]; 5000];
            batch
        })
        .collect();
    batches.iter().for_each(|batch| drop(store.commit(batch)));
    drop(store);
    emptied.iter().for_each(|drive| rack.empty(*drive));
    let store = rack.open().unwrap();
    let read = || {
        let counts = rack.switches.iter();
        counts
            .map(|switch| switch.read.load(Ordering::SeqCst))
            .sum()
    };
    let before: u64 = read();
    let mut copied = 0;
    if let Some(late) = late {
        // The others are some way ahead of it.
        copied += (0..2)
            .filter_map(|_| store.tend_drives().unwrap())
            .sum::<u64>();
        rack.kill(late);
        store.keep_time(7).unwrap();
        rack.empty(late);
        rack.repair();
    }
    copied += rebuild(&store);
    all_in_sync(&store);
    let read = read() - before;
    drop(store);
    // What they got is right: two others may go.
    let others: Vec<usize> = (0..DRIVES)
        .filter(|n| !emptied.contains(n) && Some(*n) != late)
        .collect();
    others.iter().take(PARITY).for_each(|n| rack.empty(*n));
    let store = rack.open().unwrap();
    for batch in &batches {
        assert!(store.batch(&batch.digest).unwrap().is_some());
        assert!(store.batch_slices(&batch.digest, 1).unwrap().is_some());
    }
    (read, copied)
}

#[test]
fn two_emptied_drives_are_filled_while_the_others_are_read_once() {
    let (one, copied_to_one) = fill(&[1], None);
    let (two, copied_to_two) = fill(&[1, 3], None);
    println!("read {one} to copy {copied_to_one}, {two} to copy {copied_to_two}");
    assert!(copied_to_two > copied_to_one * 19 / 10);
    assert!(two < one * 11 / 10, "{two} and not {one}");
    // One that comes later is waited for by nobody, and joined.
    let (late, copied) = fill(&[1], Some(3));
    println!("read {late} to copy {copied}, one of them later");
    assert!(late < 2 * one);
}

#[test]
fn writers_that_come_together_share_a_write() {
    let rack = Rack::new();
    let store = rack.create();
    std::thread::scope(|scope| {
        for disperser in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for n in 1..=6 {
                    store
                        .commit(&sample(disperser, n, u64::from(disperser) * 10 + n, 950))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(store.totals().batches, 48);
    drop(store);
    rack.empty(0);
    rack.empty(4);
    let store = rack.open().unwrap();
    assert_eq!(store.totals().batches, 48);
    assert_eq!(store.spent().unwrap().len(), 8);
}

#[test]
fn shards_join_from_any_of_them() {
    let stripes = Stripes::new(3, 2).unwrap();
    for len in [0, 1, 2, 3, 4, 100, 1001] {
        let value: Vec<u8> = (0..len).map(|n| n as u8).collect();
        let shards = stripes.split(&value).unwrap();
        assert_eq!(shards.len(), 5);
        for keep in (0..32u32).filter(|set| set.count_ones() >= 2) {
            let some: Vec<(usize, Bytes)> = (0..5)
                .filter(|n| keep >> n & 1 == 1)
                .map(|n| (n, shards[n].clone().into()))
                .collect();
            let joined = stripes.join(len, &some).unwrap();
            assert_eq!(
                joined,
                (some.len() >= 3).then(|| value.clone()),
                "{len} {keep:b}"
            );
        }
    }
    let key = b"some key";
    let mut places: Vec<usize> = (0..5).map(|n| stripes.index(key, n)).collect();
    places.sort_unstable();
    assert_eq!(places, [0, 1, 2, 3, 4]);
}
