//! The power of a node is cut at a random write or sync under load: what it had not synced is gone, in part or torn. It starts
//! again on what is left, every signature that is in a certificate has its data, and no number was signed for another batch.
//!
//! The seed is printed; `ASHLAR_SEED=…` repeats a run as far as processes allow. `make test-long` cuts 50 times, `make test`
//! fewer. Needs root and `/dev/fuse`.

use std::time::{Duration, Instant};

use ashlar_testing::power::{Mounted, unavailable};

use crate::kills::Load;
use crate::support::Devnet;
use crate::support::random::Random;

/// The power is cut at one of so many writes and syncs, some of which a batch takes.
const STEPS: u64 = 12;

fn cut_at_random(cuts: u64, nodes: u64, test: &str) {
    if unavailable(test).is_some() {
        return;
    }
    let started = Instant::now();
    let mut random = Random::from_env(test);
    let mut devnet = Devnet::start();
    let mut disks = Vec::new();
    for index in 0..nodes as usize {
        devnet.kill_node(index);
        // Keystores, marker, heads and data.
        disks.push(Mounted::over(&devnet.node(index).dir).unwrap());
        devnet.restart_node(index);
    }
    let mut load = Load::default();
    let (mut writes, mut entries, mut at_once) = (0, 0, 0);
    for _ in 0..cuts {
        load.keep_up(&devnet, &mut random);
        let index = random.below(nodes) as usize;
        let disk = &mut disks[index];
        std::thread::sleep(Duration::from_millis(random.below(200)));
        disk.cut_after(random.below(STEPS), random.next());
        let waited = Instant::now();
        while !disk.is_off() && waited.elapsed() < Duration::from_secs(3) {
            load.keep_up(&devnet, &mut random);
            std::thread::sleep(Duration::from_millis(2));
        }
        // With too few operators up, nothing may be written for a while.
        at_once += u64::from(!disk.is_off());
        disk.cut(random.next());
        devnet.kill_node(index);
        load.keep_up(&devnet, &mut random);
        let unsynced = disk.power_on().unwrap();
        writes += unsynced.writes;
        entries += unsynced.entries;
        devnet.restart_node(index);
    }
    load.end();
    for (index, disk) in disks.iter_mut().enumerate() {
        disk.cut(random.next());
        devnet.kill_node(index);
        disk.power_on().unwrap();
    }
    (disks.len()..8).for_each(|index| devnet.kill_node(index));
    let found = load.check(&devnet);
    println!(
        "{cuts} power cuts ({at_once} of them not at a write or sync), {writes} writes and {entries} names not synced: {found}; {:.0?}",
        started.elapsed()
    );
    assert!(
        load.certificates() * 4 >= cuts,
        "hardly anything was certified"
    );
}

#[test]
fn three_power_cuts_under_load_lose_no_signature() {
    cut_at_random(3, 2, "three_power_cuts");
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn fifty_power_cuts_under_load_lose_no_signature() {
    cut_at_random(50, 8, "fifty_power_cuts");
}
