//! Random sequences of what a node does with its store, with restarts and power cuts, on every backend: each answer is that of
//! a model of some sets and maps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use ashlar_crypto::bls::SignatureBytes;
use proptest::prelude::*;

use super::*;

const DISPERSERS: u32 = 2;
const SEQUENCES: u64 = 5;
const SALTS: u64 = 3;
const DRIVES: usize = 3;
const SIGNATURE: SignatureBytes = SignatureBytes([5; 48]);

/// Disperser and sequence.
type Number = (u32, u64);
/// The same, and which of several batches under it.
type Name = (u32, u64, u64);

#[derive(Debug, Clone)]
enum Step {
    Commit(Name),
    Sign(Number),
    Expire(u64),
    Prune(u64),
    Floor(Number),
    Time(u64),
    Evidence(Number),
    Probe,
    Reopen,
    PowerCut,
}

fn expiry(salt: u64) -> u64 {
    950 + 500 * salt
}

fn batch((disperser, sequence, salt): Name) -> &'static BatchRecord {
    static ALL: OnceLock<BTreeMap<Name, BatchRecord>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let name = |(d, s, n)| ((d, s, n), mixed(d, s, 10 * s + n, expiry(n)));
        names().map(name).collect()
    });
    &all[&(disperser, sequence, salt)]
}

fn numbers() -> impl Iterator<Item = Number> {
    (1..=DISPERSERS).flat_map(|d| (1..=SEQUENCES).map(move |s| (d, s)))
}

fn names() -> impl Iterator<Item = Name> {
    numbers().flat_map(|(d, s)| (0..SALTS).map(move |n| (d, s, n)))
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = || (1..=DISPERSERS, 1..=SEQUENCES);
    let name = (1..=DISPERSERS, 1..=SEQUENCES, 0..SALTS);
    let now = || (0u64..6).prop_map(|n| 500 * n);
    let step = prop_oneof![
        8 => name.prop_map(Step::Commit),
        4 => number().prop_map(Step::Sign),
        1 => now().prop_map(Step::Expire),
        2 => now().prop_map(Step::Prune),
        1 => number().prop_map(Step::Floor),
        1 => any::<u64>().prop_map(Step::Time),
        1 => number().prop_map(Step::Evidence),
        1 => Just(Step::Probe),
        1 => Just(Step::Reopen),
        1 => Just(Step::PowerCut),
    ];
    prop::collection::vec(step, 1..40)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Promise {
    salt: u64,
    signed: bool,
    /// Whether a power cut leaves the signature.
    signed_durably: bool,
}

#[derive(Debug, Default)]
struct Model {
    promises: BTreeMap<Number, Promise>,
    held: BTreeSet<Name>,
    floors: BTreeMap<u32, u64>,
    time: Option<u64>,
    evidence: BTreeSet<Number>,
}

impl Model {
    fn synced(&mut self) {
        for promise in self.promises.values_mut() {
            promise.signed_durably = promise.signed;
        }
    }

    fn is_spent(&self, (disperser, sequence): Number) -> bool {
        self.floors
            .get(&disperser)
            .is_some_and(|floor| sequence <= *floor)
    }

    fn raise(&mut self, (disperser, sequence): Number) {
        let floor = self.floors.entry(disperser).or_default();
        *floor = sequence.max(*floor);
        self.synced();
    }

    fn commit(&mut self, name: Name) -> Result<(), &'static str> {
        let (disperser, sequence, salt) = name;
        let number = (disperser, sequence);
        let known = self.promises.get(&number).copied();
        if known.is_some_and(|promise| promise.salt != salt) {
            return Err("store.sequence_conflict");
        }
        if known.is_none_or(|promise| !promise.signed) && self.is_spent(number) {
            return Err("store.below_floor");
        }
        if known.is_some_and(|promise| promise.signed) && self.held.contains(&name) {
            return Ok(());
        }
        let signed = known.is_some_and(|promise| promise.signed);
        self.promises.insert(
            number,
            Promise {
                salt,
                signed,
                signed_durably: signed,
            },
        );
        self.held.insert(name);
        self.synced();
        Ok(())
    }

    fn windows(&self) -> Vec<WindowId> {
        let windows = self
            .held
            .iter()
            .map(|(_, _, salt)| WindowId::for_expiry(expiry(*salt), WINDOW));
        windows.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn expire(&mut self, now: u64) -> Vec<WindowId> {
        let mut dropped = self.windows();
        dropped.retain(|window| window.0 <= now);
        self.held
            .retain(|(_, _, salt)| WindowId::for_expiry(expiry(*salt), WINDOW).0 > now);
        dropped
    }

    fn prune(&mut self, now: u64) -> u64 {
        let mut pruned = 0;
        for disperser in 1..=DISPERSERS {
            for number in (1..=SEQUENCES).map(|sequence| (disperser, sequence)) {
                let Some(promise) = self.promises.get(&number) else {
                    continue;
                };
                let name = (number.0, number.1, promise.salt);
                if expiry(promise.salt) > now || self.held.contains(&name) {
                    break;
                }
                self.promises.remove(&number);
                self.raise(number);
                pruned += 1;
            }
        }
        pruned
    }

    fn spent(&self) -> Vec<(u32, u64)> {
        let mut spent = self.floors.clone();
        for (disperser, sequence) in self.promises.keys() {
            let highest = spent.entry(*disperser).or_default();
            *highest = (*sequence).max(*highest);
        }
        spent.into_iter().collect()
    }
}

/// A store that can be closed and opened again.
pub(super) trait Machine {
    fn store(&self) -> &dyn Store;
    fn reopen(&mut self);
    /// Whether what was not synced is lost with it.
    fn cut_power(&mut self) -> bool;
    fn tend(&mut self) {}
}

struct Memory {
    backend: MemoryBackend,
    store: MemoryStore,
}

impl Memory {
    fn new() -> Self {
        let backend = MemoryBackend::new();
        let store = TableStore::create(backend.clone(), ME, ID, WINDOW).unwrap();
        Self { backend, store }
    }
}

impl Machine for Memory {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn reopen(&mut self) {
        self.store = TableStore::open(self.backend.clone(), ME, WINDOW).unwrap();
    }

    fn cut_power(&mut self) -> bool {
        self.backend.cut_power();
        self.reopen();
        true
    }
}

/// A folder, or one a drive.
pub(super) struct Disk {
    folder: std::path::PathBuf,
    drives: bool,
    /// Closed only to be opened again.
    store: Option<DiskStore>,
    cuts: usize,
}

impl Disk {
    pub(super) fn create(folder: &std::path::Path, drives: bool) -> Self {
        let backend = Self::backend(folder, drives, true).unwrap();
        drop(TableStore::create(backend, ME, ID, WINDOW).unwrap());
        Self::at(folder, drives)
    }

    pub(super) fn at(folder: &std::path::Path, drives: bool) -> Self {
        Self {
            folder: folder.to_path_buf(),
            drives,
            store: Some(Self::open(folder, drives).unwrap()),
            cuts: 0,
        }
    }

    pub(super) fn open(folder: &std::path::Path, drives: bool) -> Result<DiskStore, StoreError> {
        let backend = Self::backend(folder, drives, false);
        let backend = backend.map_err(|source| StoreError::Backend {
            doing: "open",
            source,
        })?;
        TableStore::open(backend, ME, WINDOW)
    }

    fn backend(
        folder: &std::path::Path,
        drives: bool,
        create: bool,
    ) -> Result<Box<dyn Backend>, BackendError> {
        let open = move |folder: &std::path::Path, create: bool| {
            RocksBackend::open(RocksOptions {
                create,
                write_buffer_bytes: 1 << 20,
                // Some batches go to the log of values, some do not.
                large_write_bytes: if drives { 20 << 10 } else { 40 << 10 },
                ..RocksOptions::new(folder)
            })
        };
        if !drives {
            return Ok(Box::new(open(folder, create)?));
        }
        let options = DrivesOptions {
            folders: (0..DRIVES).map(|n| folder.join(n.to_string())).collect(),
            parity: 1,
            create,
            patience: PATIENCE,
        };
        Ok(Box::new(Drives::open(options, open)?))
    }
}

impl Machine for Disk {
    fn store(&self) -> &dyn Store {
        self.store.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.store = None;
        self.store = Some(Self::open(&self.folder, self.drives).unwrap());
    }

    /// A file system is not cut off here; of several drives one is emptied.
    fn cut_power(&mut self) -> bool {
        self.tend();
        self.store = None;
        if self.drives {
            let drive = self.folder.join((self.cuts % DRIVES).to_string());
            std::fs::remove_dir_all(&drive).unwrap();
            std::fs::create_dir(&drive).unwrap();
            self.cuts += 1;
        }
        self.reopen();
        false
    }

    fn tend(&mut self) {
        while self.store().tend_drives().unwrap().is_some() {}
        let drives = self.store().drives();
        assert!(
            drives.iter().all(|drive| drive.state == DriveState::InSync),
            "{drives:?}"
        );
    }
}

fn run(machine: &mut dyn Machine, steps: &[Step]) {
    let mut model = Model::default();
    for step in steps {
        let store = machine.store();
        match *step {
            Step::Commit(name) => {
                let done = store.commit(batch(name)).map_err(|error| error.code());
                assert_eq!(
                    done.map(|record| record.digest),
                    model.commit(name).map(|()| batch(name).digest)
                );
            }
            Step::Sign(number) => {
                let record = store.signed(&sequence(number.0, number.1)).unwrap();
                let promise = model.promises.get_mut(&number);
                assert_eq!(record.is_some(), promise.is_some());
                let record =
                    record.unwrap_or_else(|| super::promise(&sample(number.0, number.1, 1, 950)));
                let signature = Some(SIGNATURE);
                let noted = store.record_signature(&SignedRecord {
                    signature,
                    ..record
                });
                assert_eq!(noted.is_ok(), promise.is_some());
                if let Some(promise) = promise {
                    promise.signed = true;
                }
            }
            Step::Expire(now) => assert_eq!(store.expire(now).unwrap(), model.expire(now)),
            Step::Prune(now) => assert_eq!(store.prune(now).unwrap(), model.prune(now)),
            Step::Floor((disperser_id, sequence)) => {
                let floor = Floor {
                    domain: DOMAIN,
                    disperser_id,
                    sequence: Sequence(sequence),
                };
                store.raise_floors(&[floor]).unwrap();
                model.raise((disperser_id, sequence));
            }
            Step::Time(time) => {
                store.keep_time(time).unwrap();
                model.time = Some(time);
                model.synced();
            }
            Step::Evidence((disperser, number)) => {
                let signed = |salt: u64| SignedHeader {
                    header: batch((disperser, number, salt)).header.clone(),
                    signature: NetworkSignature([salt as u8; 64]),
                };
                let pair = Equivocation {
                    first: signed(0),
                    second: signed(1),
                };
                let new = model.evidence.insert((disperser, number));
                assert_eq!(store.keep_equivocation(&pair).unwrap(), new);
                if new {
                    model.synced();
                }
            }
            Step::Probe => {
                store.probe().unwrap();
                model.synced();
                machine.tend();
            }
            Step::Reopen => machine.reopen(),
            Step::PowerCut => {
                if machine.cut_power() {
                    for promise in model.promises.values_mut() {
                        promise.signed = promise.signed_durably;
                    }
                }
            }
        }
        compare(machine.store(), &model);
    }
}

fn compare(store: &dyn Store, model: &Model) {
    for number in numbers() {
        let record = store.signed(&sequence(number.0, number.1)).unwrap();
        let expected = model.promises.get(&number).map(|promise| {
            let batch = batch((number.0, number.1, promise.salt));
            (batch.digest, promise.signed.then_some(SIGNATURE))
        });
        assert_eq!(
            record.map(|record| (record.digest, record.signature)),
            expected
        );
    }
    for name in names() {
        let batch = batch(name);
        let held = model.held.contains(&name);
        assert_eq!(store.batch(&batch.digest).unwrap().is_some(), held);
        let slices = store.batch_slices(&batch.digest, 1).unwrap();
        assert_eq!(slices.is_some(), held);
        if let Some(slices) = slices {
            slices.check(512).unwrap();
        }
    }
    assert_eq!(store.windows().unwrap(), model.windows());
    let totals = store.totals();
    assert_eq!(totals.batches, model.held.len() as u64);
    assert_eq!(totals.windows, model.windows().len() as u64);
    let spent = store.spent().unwrap();
    let spent: Vec<_> = spent
        .iter()
        .map(|f| (f.disperser_id, f.sequence.0))
        .collect();
    assert_eq!(spent, model.spent());
    assert_eq!(store.kept_time().unwrap(), model.time);
    let evidence = store.equivocations(None, 99).unwrap();
    assert_eq!(evidence.len(), model.evidence.len());
}

proptest! {
    // A failure prints the shortest sequence that fails, and its seed.
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn memory_answers_as_the_model(steps in steps()) {
        run(&mut Memory::new(), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_folder_answers_as_the_model(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        run(&mut Disk::create(folder.path(), false), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn drives_answer_as_the_model(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        run(&mut Disk::create(folder.path(), true), &steps);
    }
}
