//! A process that ends at each durable step, with the real store: every signature that it ever gave has its data, no number was
//! signed twice, and what it said about floors and time holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use ashlar_crypto::bls::SignatureBytes;
use ashlar_testing::random::Random;

use super::model::{Disk, Machine};
use super::*;

/// Every place where the process may end; those of `drives` only with several of them.
const POINTS: [&str; 27] = [
    "values.made",
    "values.named",
    "values.written",
    "values.synced",
    "rocks.window",
    "rocks.write",
    "rocks.written",
    "rocks.dropped",
    "store.commit",
    "store.committed",
    "store.note",
    "store.noted",
    "store.expire",
    "store.expired",
    "store.prune",
    "store.pruned",
    "store.raise",
    "store.raised",
    "store.time",
    "store.timed",
    "drives.written",
    "drives.members",
    "drives.settle",
    "drives.settled",
    "drives.begin",
    "drives.copy",
    "drives.finish",
];
/// Numbers of a disperser that a child tries, from its first one on.
const NUMBERS: u64 = 12;
const CHILD: &str = "ASHLAR_TEST_CRASH_CHILD";

/// Batches of one number expire together.
fn offered(disperser: u32, number: u64, salt: u64) -> BatchRecord {
    mixed(disperser, number, 1000 * number + salt, 1000 + 20 * number)
}

/// Works until it is done or the failpoint ends it, and says on standard error what it promised.
#[test]
#[ignore = "the child of another test"]
fn child() {
    let Ok(orders) = std::env::var(CHILD) else {
        return;
    };
    let orders: Vec<&str> = orders.split('|').collect();
    let [folder, drives, point, hit, round] = orders.as_slice() else {
        panic!("{orders:?}")
    };
    let (hit, round): (u64, u64) = (hit.parse().unwrap(), round.parse().unwrap());
    let hits = AtomicU64::new(0);
    fail::cfg_callback(*point, move || {
        if hits.fetch_add(1, Ordering::SeqCst) == hit {
            // No destructor, no flush: the process is gone.
            std::process::abort();
        }
    })
    .unwrap();
    let store = Disk::open(Path::new(folder), *drives == "drives").unwrap();
    work(&store, round, &mut |line| eprintln!("{line}")).unwrap();
}

/// What a node does with its store, at random. Says what it promised, each line after the fact; what it is about to let expire,
/// before.
pub(super) fn work(
    store: &dyn Store,
    round: u64,
    say: &mut dyn FnMut(&str),
) -> Result<(), StoreError> {
    let random = &mut Random::new(round);
    for step in 0..24 {
        let disperser = 1 + random.below(2) as u32;
        match random.below(12) {
            0..8 => {
                let (number, salt) = (round * 4 + random.below(NUMBERS), random.below(3));
                let mut record = match store.commit(&offered(disperser, number, salt)) {
                    Ok(record) => record,
                    Err(StoreError::Conflict { .. } | StoreError::BelowFloor { .. }) => continue,
                    Err(error) => return Err(error),
                };
                say(&format!("signed {disperser} {number} {salt}"));
                record.signature = Some(SignatureBytes([salt as u8; 48]));
                store.record_signature(&record)?;
            }
            8 => {
                let floor = Floor {
                    domain: DOMAIN,
                    disperser_id: 9,
                    sequence: Sequence(round),
                };
                store.raise_floors(&[floor])?;
                say(&format!("floor {round} 0 0"));
            }
            9 => {
                let time = 100 * round + step;
                store.keep_time(time)?;
                say(&format!("time {time} 0 0"));
            }
            10 => {
                let now = 1000 + 20 * (round * 4).saturating_sub(random.below(20));
                say(&format!("expire {now} 0 0"));
                store.expire(now)?;
                store.prune(now)?;
            }
            _ => while store.tend_drives()?.is_some() {},
        }
    }
    Ok(())
}

/// What was said by children, or before a power cut.
#[derive(Default)]
pub(super) struct Said {
    /// Salt of the batch that was signed, by disperser and number.
    pub(super) signed: BTreeMap<(u32, u64), u64>,
    floor: u64,
    time: u64,
    expired: u64,
}

impl Said {
    pub(super) fn hear(&mut self, text: &str) {
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [what, a, b, c] = words.as_slice() else {
                continue;
            };
            let (Ok(a), Ok(b), Ok(c)) = (a.parse::<u64>(), b.parse(), c.parse()) else {
                continue;
            };
            match *what {
                "signed" => {
                    let before = self.signed.insert((a as u32, b), c);
                    assert!(
                        before.is_none_or(|before| before == c),
                        "signed twice: {line}"
                    );
                }
                "floor" => self.floor = self.floor.max(a),
                // The last one counts; those that were not said may be newer.
                "time" => self.time = a,
                "expire" => self.expired = self.expired.max(a),
                _ => {}
            }
        }
    }

    pub(super) fn check(&self, store: &dyn Store) {
        for (&(disperser, number), &salt) in &self.signed {
            let batch = offered(disperser, number, salt);
            let held = store.batch(&batch.digest).unwrap().is_some();
            let end = WindowId::for_expiry(batch.expires_at, WINDOW).0;
            assert!(
                held || end <= self.expired,
                "{disperser} {number} {salt} is lost"
            );
            for (index, _) in (0..).zip(&batch.blobs) {
                let slices = store.batch_slices(&batch.digest, index).unwrap();
                assert_eq!(slices.is_some(), held);
                slices
                    .into_iter()
                    .for_each(|slices| slices.check(512).unwrap());
            }
            let rival = store.commit(&offered(disperser, number, salt + 10));
            match rival {
                Err(StoreError::Conflict { existing, .. }) => assert_eq!(existing, batch.digest),
                Err(StoreError::BelowFloor { .. }) => assert!(end <= self.expired),
                other => panic!("{disperser} {number}: {other:?}"),
            }
        }
        let spent = store.spent().unwrap();
        let floor = spent.iter().find(|floor| floor.disperser_id == 9);
        assert!(floor.map_or(0, |floor| floor.sequence.0) >= self.floor);
        assert!(store.kept_time().unwrap().unwrap_or(0) >= self.time);
    }
}

fn crash_everywhere(drives: bool, hits: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    drop(Disk::create(folder.path(), drives));
    let mut said = Said::default();
    let (mut round, mut ended) = (0, 0);
    for hit in hits {
        for point in POINTS {
            if point.starts_with("drives") && !drives {
                continue;
            }
            round += 1;
            if drives && round % 3 == 0 {
                let drive = folder.path().join((round / 3 % 3).to_string());
                std::fs::remove_dir_all(&drive).unwrap();
                std::fs::create_dir(&drive).unwrap();
            }
            let kind = if drives { "drives" } else { "folder" };
            let orders = format!("{}|{kind}|{point}|{hit}|{round}", folder.path().display());
            let (aborted, text) =
                ashlar_testing::process::child("store::tests::crash::child", CHILD, &orders);
            ended += u32::from(aborted);
            said.hear(&text);
            let mut disk = Disk::at(folder.path(), drives);
            said.check(disk.store());
            // Of three drives one was emptied perhaps; the next may be only when it is back.
            disk.tend();
        }
    }
    assert!(
        ended as usize > hits.len() * 10,
        "{ended} children ended at their point"
    );
    assert!(said.signed.len() > 50 * hits.len());
}

#[test]
fn a_process_that_ends_at_any_step_keeps_its_word() {
    crash_everywhere(false, &[0, 3]);
}

#[test]
fn a_process_with_drives_that_ends_at_any_step_keeps_its_word() {
    crash_everywhere(true, &[0, 3]);
}
