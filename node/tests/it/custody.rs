//! A node that answers custody challenges, against ledgers that check answers as the real one does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::caller::{Caller, ME, get, start, until, which};
use crate::common::ledger::Ledger;
use crate::common::{Batch, Recipe, World, config};
use ashlar_node::{Node, NodeConfig, RunningNode};
use ashlar_proto::ChunkIndex;

async fn start_with(world: &World, config: NodeConfig, ledgers: &[&Arc<Ledger>]) -> RunningNode {
    let which = which(&config.paths.bls_key);
    let stake = Arc::clone(&world.stake) as _;
    let ledgers = ledgers.iter().map(|&ledger| Arc::clone(ledger) as _);
    Node::start(config, world.keys(ME), stake, ledgers.collect(), which)
        .await
        .unwrap()
}

/// An element of every chunk held, and one of the last row.
fn ask_for_everything(ledger: &Ledger, world: &World, batch: &Batch, mine: &[ChunkIndex]) -> usize {
    for blob in 0..batch.blobs.len() {
        for &chunk in mine {
            ledger.ask(world, batch, blob, 0, chunk);
        }
        let last = batch.blobs[blob].rows - 1;
        let chunk = mine[mine.len() - 1];
        ledger.ask(world, batch, blob, last, chunk);
    }
    ledger.open()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_held_can_be_shown_whatever_else_is_wrong() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::new(1).build();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    caller.store(&batch, &mine).await.unwrap();
    node.shutdown().await;

    // Challenges opened while it was down; half of their time is over; the first ledger is silent; the disk is full.
    let (silent, ledger) = (Ledger::new("silent"), Ledger::new("ledger"));
    silent.silent.store(true, Ordering::SeqCst);
    let asked = ask_for_everything(&ledger, &world, &batch, &mine);
    ledger.block.fetch_add(60, Ordering::SeqCst);
    let mut config = config(folder.path());
    config.store.min_free_bytes = u64::MAX;
    config.custody.poll_secs = 1;
    let node = start_with(&world, config, &[&silent, &ledger]).await;
    until("all challenges to be closed", || async {
        ledger.open() == 0
    })
    .await;
    until("the status to say so", || async {
        let custody = node.status().custody.unwrap();
        custody.open_count == 0 && custody.answered == asked as u64
    })
    .await;
    let health = node.health();
    assert_eq!(health.reasons.len(), 1, "{health:?}");
    assert_eq!(health.reasons[0].code, "disk_space");
    assert_eq!(health.notices[0].code, "custody.ledger");
    let (_, metrics) = get(node.http_addr(), "/metrics").await;
    for line in [
        "ashlar_node_custody_open 0".to_owned(),
        "ashlar_node_custody_missed_total 0".to_owned(),
        format!("ashlar_node_custody_answered_total {asked}"),
    ] {
        assert!(metrics.contains(&line), "{line} in\n{metrics}");
    }

    // Later ones, and a ledger that was away.
    ledger.silent.store(true, Ordering::SeqCst);
    until("health to say that nobody answers", || async {
        let health = node.health();
        health
            .reasons
            .iter()
            .any(|r| r.code == "custody.unfollowed")
    })
    .await;
    ledger.ask(&world, &batch, 0, 0, mine[0]);
    silent.ask(&world, &batch, 0, 0, mine[0]);
    silent.silent.store(false, Ordering::SeqCst);
    until("the other ledger to be answered", || async {
        silent.open() == 0
    })
    .await;
    assert_eq!(ledger.open(), 1);
    ledger.silent.store(false, Ordering::SeqCst);
    until("this ledger to be answered", || async {
        ledger.open() == 0
    })
    .await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_shown_is_said_at_once() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let batch = Recipe::small(1, 1).build();
    let ledger = Ledger::new("ledger");
    let mine = world.chunks(ME, &[0]);
    ledger.ask(&world, &batch, 0, 0, mine[0]);
    let mut config = config(folder.path());
    config.custody.poll_secs = 1;
    let node = start_with(&world, config, &[&ledger]).await;
    until("health to say it", || async {
        let health = node.health();
        health.reasons.iter().any(|r| r.code == "custody.no_answer")
    })
    .await;
    let custody = node.status().custody.unwrap();
    assert_eq!(custody.open[0].blocks_left, 100);
    assert!(
        custody.open[0]
            .problem
            .as_ref()
            .unwrap()
            .contains("not held")
    );
    assert!(
        !node
            .health()
            .reasons
            .iter()
            .any(|r| r.code == "custody.deadline")
    );
    ledger.block.fetch_add(50, Ordering::SeqCst);
    until("the deadline to be near", || async {
        let health = node.health();
        health.reasons.iter().any(|r| r.code == "custody.deadline")
    })
    .await;
    let (_, metrics) = get(node.http_addr(), "/metrics").await;
    for line in [
        "ashlar_node_custody_open 1",
        "ashlar_node_custody_blocks_left 50",
        "ashlar_node_custody_failed_total{code=\"custody.missing\"}",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }

    // The data comes after all.
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    caller.store(&batch, &mine).await.unwrap();
    until("the answer", || async { ledger.open() == 0 }).await;
    until("health", || async { node.health().reasons.is_empty() }).await;

    // One that nobody can answer any more.
    let other = Recipe::small(2, 2).build();
    ledger.ask(&world, &other, 0, 0, mine[0]);
    until("it to be seen", || async {
        node.status().custody.unwrap().open_count == 1
    })
    .await;
    ledger.block.fetch_add(101, Ordering::SeqCst);
    ledger.open.lock().unwrap().clear();
    until("it to be counted", || async {
        node.status().custody.unwrap().missed == 1
    })
    .await;
    until("health", || async { node.health().reasons.is_empty() }).await;
    node.shutdown().await;
}
