//! A stake source that follows a service.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use ashlar_crypto::Coded as _;
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::SERVICE;
use ashlar_ledger::source::{FollowConfig, HttpStakeSource};
use ashlar_proto::TableView as _;
use ashlar_stake::{OperatorTable, StakeError, StakeEventKind, StakeSource};
use common::*;

fn follow(client: &LedgerClient) -> Arc<HttpStakeSource> {
    let config = FollowConfig {
        poll: Duration::from_millis(500),
        backoff: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        ..FollowConfig::default()
    };
    Arc::new(HttpStakeSource::start(client.clone(), SERVICE, config).unwrap())
}

/// A source blocks its caller: on a thread that may.
async fn ask<T: Send + 'static>(
    source: &Arc<HttpStakeSource>,
    ask: impl FnOnce(&HttpStakeSource) -> T + Send + 'static,
) -> T {
    let source = Arc::clone(source);
    tokio::task::spawn_blocking(move || ask(&source))
        .await
        .unwrap()
}

async fn table_at(
    source: &Arc<HttpStakeSource>,
    block: u64,
) -> Result<Arc<OperatorTable>, StakeError> {
    ask(source, move |source| source.table_at(block)).await
}

async fn ready(source: &Arc<HttpStakeSource>) -> u64 {
    ask(source, |source| source.wait_ready(PATIENCE))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_follows() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let source = follow(&client);
    let head = ready(&source).await;
    source.health().unwrap();
    let table = table_at(&source, head).await.unwrap();
    assert_eq!(
        table.root(),
        client.table_root(SERVICE, head).await.unwrap().root
    );
    // Long ago, and never seen before.
    let first = table_at(&source, 0).await.unwrap();
    assert_eq!(
        first.root(),
        client.table_root(SERVICE, 0).await.unwrap().root
    );
    let future = table_at(&source, head + 1_000_000).await.unwrap_err();
    assert!(
        matches!(future, StakeError::UnknownBlock { .. }),
        "{future}"
    );

    let receipt = client.submit(&deposit(&staker_key(1), 5)).await.unwrap();
    until("the change", async || {
        source.head().is_ok_and(|head| head >= receipt.block)
    })
    .await;
    let changed = table_at(&source, receipt.block).await.unwrap();
    assert_ne!(changed.header().totals, table.header().totals);
    until("its event", async || {
        source.events_since(0).unwrap().iter().any(|event| {
            matches!(event.kind, StakeEventKind::Table { block, root }
                if block == receipt.block && root == changed.root())
        })
    })
    .await;
    let last = source.events_since(0).unwrap().last().unwrap().cursor;
    assert_eq!(source.events_since(last).unwrap(), Vec::new());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_outlives_its_ledger_and_finds_it_again() {
    let home = Home::new(20);
    let running = home.start().await;
    let address = running.addr;
    let source = follow(&client(&running));
    let head = ready(&source).await;
    running.shutdown().await;
    until("the outage to show", async || source.health().is_err()).await;
    // What was seen is still there, at once.
    assert!(source.head().unwrap() >= head);
    let last = source.head().unwrap();
    let table = table_at(&source, last).await.unwrap();
    let running = home.start_at(address).await;
    until("the ledger to be followed again", async || {
        source.health().is_ok() && source.head().unwrap() > last
    })
    .await;
    assert_eq!(table_at(&source, last).await.unwrap().root(), table.root());
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_is_refused() {
    let home = Home::new(20);
    let running = home.start().await;
    let address = running.addr;
    let client = client(&running);
    let source = follow(&client);
    block_after(&client, 3).await;
    ready(&source).await;
    running.shutdown().await;
    until("the outage to show", async || source.health().is_err()).await;
    let head = source.head().unwrap();
    let table = table_at(&source, head).await.unwrap();

    // Another ledger at the same address: shorter at first, then longer and different.
    let other = Home::with(&spec(&[1, 2, 3]), 20);
    let running = other.start_at(address).await;
    until("the other history to be noticed", async || {
        source
            .health()
            .is_err_and(|error| error.code() == "table.root")
    })
    .await;
    assert_eq!(source.head().unwrap(), head);
    assert_eq!(table_at(&source, head).await.unwrap().root(), table.root());
    assert!(table_at(&source, head + 1).await.is_err());
    running.shutdown().await;

    let running = home.start_at(address).await;
    until("the right one to be followed", async || {
        source.health().is_ok() && source.head().unwrap() > head
    })
    .await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_tables_are_kept_and_all_can_be_had() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let config = FollowConfig {
        tables: 2,
        ..FollowConfig::default()
    };
    let source = Arc::new(HttpStakeSource::start(client.clone(), SERVICE, config).unwrap());
    block_after(&client, 10).await;
    ready(&source).await;
    for block in [0, 7, 3, 0, 9] {
        let table = table_at(&source, block).await.unwrap();
        assert_eq!(table.header().reference_block, block);
        assert_eq!(
            table.root(),
            client.table_root(SERVICE, block).await.unwrap().root
        );
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ledger_there_is_no_head() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let client = client(&running);
    running.shutdown().await;
    let source = follow(&client);
    let error = ask(&source, |source| {
        source.wait_ready(Duration::from_millis(300))
    })
    .await
    .unwrap_err();
    assert!(
        ["http.unreachable", "stake.opening"].contains(&error.code()),
        "{error}"
    );
    until("the reason", async || {
        source
            .health()
            .is_err_and(|error| error.code() == "http.unreachable")
    })
    .await;
}
