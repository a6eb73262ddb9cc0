//! What a power cut leaves of the log: its end cut off, zeros, wrong bytes, a hole inside the last record. The database opens,
//! holds all that was synced before, and does not pretend that the rest was signed. Damage before that is refused, or harmless.

use std::path::{Path, PathBuf};

use ashlar_crypto::bls::SignatureBytes;
use ashlar_testing::random::Random;

use super::disk::open;
use super::*;

/// The log that is written to.
fn log(folder: &Path) -> PathBuf {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .max()
        .unwrap()
}

/// A batch of some bytes.
fn batch(number: u64, bytes: u64) -> BatchRecord {
    let mut batch = sample(1, number, number, 950);
    let bytes = bytes as usize;
    batch.blobs[0].leaves = vec![[number as u8; 32]; bytes / 32];
    batch
}

/// Changes bytes of a log from `from` on, as a power cut does. What it did, in words.
fn tear(bytes: &mut Vec<u8>, from: usize, random: &mut Random) -> String {
    let len = bytes.len();
    let at = from + random.below((len - from) as u64) as usize;
    match random.below(5) {
        0 => {
            bytes.truncate(at);
            format!("cut off at {at} of {len}")
        }
        1 => {
            bytes[at..].fill(0);
            format!("zeros from {at} to the end, {len}")
        }
        2 => {
            let end = len.min(at + 1 + random.below(4096) as usize);
            bytes[at..end].fill(0);
            format!("a hole from {at} to {end} of {len}")
        }
        3 => {
            // A page of the file that never came to the disk.
            let start = (at & !4095).max(from);
            let end = len.min((at | 4095) + 1);
            bytes[start..end].fill(0);
            format!("a page of zeros from {start} to {end} of {len}")
        }
        _ => {
            let bits = 1 + random.below(40);
            for _ in 0..bits {
                let place = from + random.below((len - from) as u64) as usize;
                bytes[place] ^= 1 << random.below(8);
            }
            format!("{bits} bits from {from} on, of {len}")
        }
    }
}

fn note(store: &dyn Store, record: SignedRecord) {
    let signature = Some(SignatureBytes([7; 48]));
    store
        .record_signature(&SignedRecord {
            signature,
            ..record
        })
        .unwrap();
}

#[test]
fn whatever_a_power_cut_leaves_of_the_last_record_it_opens() {
    for seed in 0..60 {
        let random = &mut Random::new(seed);
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let synced = 1 + random.below(4);
        let batches: Vec<BatchRecord> = (1..=synced + 1)
            // From a part of a block of the log to several blocks.
            .map(|n| batch(n, random.below(150_000)))
            .collect();
        let (last, before) = batches.split_last().unwrap();
        for batch in before {
            note(&store, store.commit(batch).unwrap());
        }
        let path = log(folder.path());
        let mut from = path.metadata().unwrap().len() as usize;
        // The note of the last signature was not synced; it may be torn as well.
        let with_note = random.below(2) == 0;
        if with_note {
            let at = sequence(1, synced);
            note(&store, store.signed(&at).unwrap().unwrap());
        }
        store.commit(last).unwrap();
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        if !with_note {
            // Only the last record: what is before it is on disk.
            from = from.min(bytes.len() - 1);
        }
        let what = format!("seed {seed}: {}", tear(&mut bytes, from, random));
        std::fs::write(&path, &bytes).unwrap();

        for again in 0..2 {
            let store = open(folder.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
            for batch in before {
                let number = batch.header.sequence.0;
                let record = store.signed(&sequence(1, number)).unwrap();
                assert_eq!(record.unwrap().digest, batch.digest, "{what}");
                assert!(store.batch(&batch.digest).unwrap().is_some(), "{what}");
                assert!(
                    store.batch_slices(&batch.digest, 1).unwrap().is_some(),
                    "{what}"
                );
            }
            // The last one is there whole, or not at all; then another may have its number.
            let signed = store.signed(&sequence(1, synced + 1)).unwrap();
            let held = store.batch(&last.digest).unwrap().is_some();
            assert_eq!(signed.is_some(), held || again == 1, "{what}");
            if !held {
                let rival = sample(1, synced + 1, 77, 950);
                store.commit(&rival).unwrap();
                let error = store.commit(last).unwrap_err();
                assert_eq!(error.code(), "store.sequence_conflict", "{what}");
            }
        }
    }
}

/// Damage in what was synced is refused, or nothing of it is lost: never does a signed record vanish.
#[test]
fn damage_before_the_last_record_forgets_nothing() {
    let mut refused = 0;
    for seed in 0..60 {
        let random = &mut Random::new(1000 + seed);
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        let batches: Vec<BatchRecord> = (1..=4)
            // The last one reaches into another block than the damage does.
            .map(|n| batch(n, random.below(100_000) + 70_000 * (n / 4)))
            .collect();
        let mut len = 0;
        for batch in &batches {
            len = log(folder.path()).metadata().unwrap().len() as usize;
            note(&store, store.commit(batch).unwrap());
        }
        drop(store);
        let path = log(folder.path());
        let bytes = std::fs::read(&path).unwrap();
        let (damaged, rest) = bytes.split_at(len);
        let mut damaged = damaged.to_vec();
        // Not cut off: something is behind.
        let from = random.below(len as u64) as usize;
        let what = format!("seed {seed}: {}", tear(&mut damaged, from, random));
        damaged.resize(len, 0);
        damaged.extend_from_slice(rest);
        std::fs::write(&path, &damaged).unwrap();
        let store = match open(folder.path()) {
            Ok(store) => store,
            Err(error) => {
                let expected = ["store.database_corrupt", "store.empty"];
                assert!(expected.contains(&error.code()), "{what}: {error}");
                refused += 1;
                continue;
            }
        };
        for batch in &batches {
            let record = store.signed(&sequence(1, batch.header.sequence.0)).unwrap();
            assert_eq!(record.unwrap().digest, batch.digest, "{what}");
            assert!(store.batch(&batch.digest).unwrap().is_some(), "{what}");
        }
    }
    assert!(refused > 30, "{refused}");
}

/// Many writers at once: numbers of writes and their order in the log differ, and nothing is taken for damage.
#[test]
fn a_torn_end_of_many_writers_opens() {
    for seed in 0..8 {
        let random = &mut Random::new(2000 + seed);
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for disperser in 1..=6 {
                let store = &store;
                scope.spawn(move || {
                    for n in 1..=10 {
                        store.commit(&sample(disperser, n, n, 950)).unwrap();
                    }
                });
            }
        });
        let path = log(folder.path());
        let from = path.metadata().unwrap().len() as usize;
        store.commit(&sample(7, 1, 1, 950)).unwrap();
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        let what = format!("seed {seed}: {}", tear(&mut bytes, from, random));
        std::fs::write(&path, &bytes).unwrap();
        let store = open(folder.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let spent = store.spent().unwrap();
        let expected: Vec<u64> = vec![10; 6];
        assert_eq!(
            spent
                .iter()
                .map(|f| f.sequence.0)
                .take(6)
                .collect::<Vec<_>>(),
            expected,
            "{what}"
        );
    }
}

/// The list of files that is in use.
fn list(folder: &Path) -> PathBuf {
    let name = std::fs::read_to_string(folder.join("CURRENT")).unwrap();
    folder.join(name.trim_end())
}

/// While a database is opened, the new name in `CURRENT` comes to the disk and that of the list that it names does not.
#[test]
fn a_list_of_files_without_a_name_costs_nothing() {
    for writes in [1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).unwrap();
        for number in 1..=writes {
            store.commit(&batch(number, 100_000)).unwrap();
        }
        drop(store);
        for again in 0..2 {
            let before = list(folder.path());
            let bytes = std::fs::read(&before).unwrap();
            drop(open(folder.path()).unwrap());
            let new = list(folder.path());
            assert_ne!(new, before);
            std::fs::remove_file(new).unwrap();
            std::fs::write(&before, bytes).unwrap();
            let store = open(folder.path()).unwrap();
            for number in 1..=writes {
                let record = store.signed(&sequence(1, number)).unwrap().unwrap();
                assert!(
                    store.batch(&record.digest).unwrap().is_some(),
                    "{number} of {writes}, {again}"
                );
            }
        }
    }
}
