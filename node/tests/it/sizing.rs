//! What a node takes, by its share of the stake and the payload that the network takes: the table in the operator's guide.

use std::path::Path;
use std::time::{Duration, Instant};

use ashlar_crypto::Encoding;
use ashlar_crypto::rows::Rows;
use ashlar_node::NodeConfig;
use ashlar_proto::TableAccess as _;

use crate::common::caller::{Caller, ME, peak_mib, spawn_child, start, valid};
use crate::common::{Recipe, World, config};
use crate::hostile::percentile;

const CHILD: &str = "ASHLAR_TEST_SIZING_DIR";
const SHARE: &str = "ASHLAR_TEST_SIZING_SHARE";
/// Batches of each measurement, one a second.
const BATCHES: u64 = 10;

fn world(percent: u64) -> World {
    let mut world = World::new();
    // The third of them is the node's.
    let rest = (100 - percent) / 3;
    world.restake([100 - percent - 2 * rest, rest, percent, rest]);
    world
}

/// Not a test by itself: the process that is measured.
#[test]
fn measured_process() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let percent = std::fs::read_to_string(Path::new(&folder).join(SHARE));
    let world = world(percent.unwrap().parse().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node = start(&world, config(Path::new(&folder))).await;
        println!("\nquic={}", node.quic_addr());
        tokio::time::sleep(Duration::from_secs(3600)).await;
    });
}

/// Seconds of CPU, and bytes written to disk, of a process.
fn used(pid: u32) -> (f64, u64) {
    let read = |file| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let (stat, io) = (read("stat"), read("io"));
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    let written = io
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    (ticks as f64 / 100.0, written.unwrap().parse().unwrap())
}

/// Prints the table. One batch a second, of as many bytes as come in one.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; run by `make test-long`"]
async fn what_a_share_of_the_stake_costs() {
    println!(
        "| stake | payload | chunks | received | written | cores | memory, MiB | p50 of a signature | worst |\n|---|---|---|---|---|---|---|---|---|"
    );
    for megabytes in [1usize, 10, 100] {
        let mut payloads = Vec::new();
        let mut left = megabytes * 1_000_000;
        while left > 0 {
            let len = left.min(NodeConfig::default().accept.max_payload as usize);
            let fill = (payloads.len() as u32 + 1) * 7;
            payloads.push(
                (0..len as u32)
                    .map(|i| (i / fill) as u8)
                    .collect::<Vec<u8>>(),
            );
            left -= len;
        }
        let rows: Vec<Rows> = payloads
            .iter()
            .map(|payload| Rows::from_payload(payload, Encoding::Packed31).unwrap())
            .collect();
        let mut batch = None;
        for percent in [1, 5, 20] {
            let world = world(percent);
            let mine = world.chunks(ME, &[0]);
            let recipe = Recipe {
                payloads: payloads.clone(),
                reference_block: world.table.reference_block(),
                ..Recipe::new(1)
            };
            let batch = batch.get_or_insert_with(|| recipe.build());
            batch.header.table_root = world.table.root();
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join(SHARE), percent.to_string()).unwrap();
            let (child, quic) = spawn_child("sizing::measured_process", CHILD, folder.path()).await;
            let pid = child.id().unwrap();
            let caller = Caller::new(&world.disperser, quic, &world);
            let (mut times, mut cpu, mut written, mut received) = (Vec::new(), 0.0, 0, 0);
            for sequence in 1..=BATCHES {
                batch.renumber(&rows, sequence);
                let (request, bulk) = batch.request(&mine);
                received += bulk.iter().map(bytes::Bytes::len).sum::<usize>();
                drop((request, bulk));
                let (before, _) = used(pid);
                let started = Instant::now();
                valid(&world, caller.store(batch, &mine).await.unwrap(), batch);
                times.push(started.elapsed());
                let (after, bytes) = used(pid);
                (cpu, written) = (cpu + after - before, bytes);
            }
            let a_batch = 1e6 * BATCHES as f64;
            println!(
                "| {percent} % | {megabytes} MB/s | {} | {:.2} MB/s | {:.2} MB/s | {:.2} | {} | {:.0?} | {:.0?} |",
                mine.len(),
                received as f64 / a_batch,
                written as f64 / a_batch,
                cpu / BATCHES as f64,
                peak_mib(pid),
                percentile(&mut times.clone(), 50),
                times.iter().max().unwrap(),
            );
        }
    }
}
