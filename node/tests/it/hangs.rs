//! A disk whose IO does not return, under a running node.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::caller::{Caller, ME, get, start, until_cause, until_ready, valid};
use crate::common::{Recipe, World, config};
use ashlar_node::RunningNode;
use ashlar_testing::power::{Mounted, unavailable};

/// A request may wait for the disk so long, for each of a few pieces of IO.
const IN_TIME: Duration = Duration::from_secs(6);

/// A node with its data on a drive that can hang, for which it waits a second.
async fn start_on_a_drive(world: &World, folder: &Path) -> (Mounted, RunningNode) {
    let mut config = config(folder);
    config.store.drive_timeout_secs = 1;
    let mounted = Mounted::over(&config.paths.data).unwrap();
    (mounted, start(world, config).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_only_drive_hangs_says_so_and_goes_on_when_it_answers() {
    if unavailable("a_node_whose_only_drive_hangs").is_some() {
        return;
    }
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (mounted, node) = start_on_a_drive(&world, folder.path()).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let first = Recipe::small(1, 1).build();
    caller.store(&first, &mine).await.unwrap();
    assert_eq!(get(node.http_addr(), "/v1/ready").await.0, 200);

    mounted.hang(true);
    // Under way when it begins, each under a number of its own and under the same.
    let batches: Vec<_> = (0..24)
        .map(|n| Recipe::small(2 + n / 2, 2 + n as u8).build())
        .collect();
    let begun = Instant::now();
    let stores = batches.iter().map(|batch| caller.store(batch, &mine));
    for stored in futures::future::join_all(stores).await {
        stored.unwrap_err();
    }
    assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    until_cause(&node, "storage").await;
    for batch in batches.iter().take(3) {
        let begun = Instant::now();
        let (status, body) = get(node.http_addr(), "/v1/ready").await;
        assert_eq!(status, 503, "{body}");
        let (_, body) = get(node.http_addr(), "/v1/health").await;
        assert!(body.contains("hangs: it has not answered"), "{body}");
        assert_eq!(get(node.http_addr(), "/v1/status").await.0, 200);
        assert_eq!(get(node.http_addr(), "/metrics").await.0, 200);
        assert!(begun.elapsed() < Duration::from_secs(1));
        caller.store(batch, &mine).await.unwrap_err();
        assert!(begun.elapsed() < IN_TIME, "{:?}", begun.elapsed());
    }

    mounted.hang(false);
    until_ready(&node).await;
    let last = Recipe::small(100, 100).build();
    let signature = caller.store(&last, &mine).await.unwrap();
    valid(&world, signature, &last);
    // Of two batches under one number one may be signed, whatever became of their writes.
    for pair in batches.chunks(2) {
        let mut signed = 0;
        for batch in pair {
            signed += usize::from(caller.store(batch, &mine).await.is_ok());
        }
        assert_eq!(signed, 1);
    }
    let runs = crate::common::caller::runs(&mine);
    assert!(!caller.slices(&first, 0, &runs).await.unwrap().is_empty());
    node.shutdown().await;
}

/// Nobody has asked for anything yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_node_notices_that_its_drive_hangs() {
    if unavailable("an_idle_node_notices").is_some() {
        return;
    }
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let (mounted, node) = start_on_a_drive(&world, folder.path()).await;
    mounted.hang(true);
    until_cause(&node, "storage").await;
    mounted.hang(false);
    until_ready(&node).await;
    node.shutdown().await;
}
