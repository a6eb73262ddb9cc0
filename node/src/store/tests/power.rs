//! The power is cut under the real store, at any write or sync, also of its recovery: it opens, every signature that it ever gave
//! has its data, no number was signed twice, and what it said about floors and time holds.

use ashlar_testing::power::{Mounted, unavailable};
use ashlar_testing::random::Random;

use super::crash::{Said, work};
use super::model::Disk;
use super::*;

/// Cuts in the life of a disk.
const CUTS: u64 = 4;

/// What happened in the lives of some disks.
#[derive(Debug, Default)]
struct Seen {
    cuts: u64,
    signatures: usize,
    /// Cuts while the store was opened.
    opening: u64,
    /// Cuts with a name that was not synced.
    names: u64,
}

fn live(seed: u64, drives: bool, seen: &mut Seen) {
    let random = &mut Random::new(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut mounted = Mounted::over(folder.path()).unwrap();
    drop(Disk::create(folder.path(), drives));
    let mut said = Said::default();
    for round in 0..CUTS {
        let what = format!("seed {seed}, cut {round}");
        let at = random.next();
        let early = random.coin();
        if early {
            mounted.cut_after(random.below(60), at);
        }
        match Disk::open(folder.path(), drives) {
            Ok(store) => {
                if !early {
                    mounted.cut_after(random.below(300), at);
                }
                for part in 0..3 {
                    let mut say = |line: &str| said.hear(line);
                    if let Err(error) = work(&store, round * 3 + part, &mut say) {
                        assert!(mounted.is_off(), "{what}: {error}");
                        break;
                    }
                }
            }
            Err(error) => {
                assert!(mounted.is_off(), "{what}: {error}");
                seen.opening += 1;
            }
        }
        mounted.cut(at);
        let unsynced = mounted.power_on().unwrap();
        seen.names += u64::from(unsynced.entries > 0);
        seen.cuts += 1;
        let store = Disk::open(folder.path(), drives);
        let store = store.unwrap_or_else(|error| panic!("{what}: {error}"));
        said.check(&store);
        let mut failed = store.drives();
        failed.retain(|drive| drive.state != DriveState::InSync);
        assert!(failed.is_empty(), "{what}: {failed:?}");
    }
    seen.signatures += said.signed.len();
}

fn lives(test: &str, seeds: std::ops::Range<u64>, drives: bool) {
    if unavailable(test).is_some() {
        return;
    }
    let started = std::time::Instant::now();
    let mut seen = Seen::default();
    let first = std::env::var("ASHLAR_SEED").map_or(0, |seed| seed.parse().unwrap());
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let seed = seed + first;
        println!("{test}: ASHLAR_SEED={seed}");
        live(seed, drives, &mut seen);
    }
    println!(
        "{test}: {seen:?}, 0 missing, 0 double-signed, {:.1?}",
        started.elapsed()
    );
    assert!(seen.signatures as u64 > count, "{seen:?}");
}

#[test]
fn a_store_survives_power_cuts() {
    lives("a_store_survives_power_cuts", 0..6, false);
}

#[test]
fn drives_survive_power_cuts_of_all_at_once() {
    lives("drives_survive_power_cuts_of_all_at_once", 0..3, true);
}

/// The cut tears the last record of the list of files, which is as long as it should be and ends in zeros.
#[test]
fn a_store_survives_a_torn_list_of_files() {
    lives("a_store_survives_a_torn_list_of_files", 1050..1051, false);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn a_store_survives_a_thousand_power_cuts() {
    lives("a_store_survives_a_thousand_power_cuts", 1000..1250, false);
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn drives_survive_four_hundred_power_cuts_of_all_at_once() {
    let test = "drives_survive_four_hundred_power_cuts_of_all_at_once";
    lives(test, 2000..2100, true);
}
