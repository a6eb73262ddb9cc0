//! The ledger vouches for its tables: once for each block, durably, and never for a second story.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::common::*;
use ashlar_crypto::Coded as _;
use ashlar_ledger::client::LedgerClient;
use ashlar_ledger::devnet::SERVICE;
use ashlar_ledger::types::{HealthReport, Status};
use ashlar_ledger::{HeadKeys, LedgerService, RunningLedger};
use ashlar_proto::{Block, SignedHead};
use ashlar_testing::files::copy_folder;

async fn signed_at(client: &LedgerClient, block: Block) -> Option<SignedHead> {
    client.table_root(SERVICE, block).await.unwrap().signed
}

fn reason(report: &HealthReport, code: &str) -> Option<String> {
    let found = report.reasons.iter().find(|reason| reason.code == code)?;
    Some(found.message.clone())
}

async fn complains(running: &RunningLedger, code: &str, of: &str) {
    until(of, async || {
        reason(&running.health(), code).is_some_and(|message| message.contains(of))
    })
    .await;
    assert_eq!(running.health().status, Status::Degraded);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_has_one_head_and_it_is_kept() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let receipt = client.submit(&deposit(&staker_key(1), 5)).await.unwrap();
    let newest = block_after(&client, receipt.block + 5).await;
    let key = account(&head_key());
    let mut heads = Vec::new();
    for block in (0..=newest.0).map(Block) {
        let view = client.table_root(SERVICE, block).await.unwrap();
        let signed = view.signed.unwrap_or_else(|| panic!("block {block}"));
        let vouched = signed.verify(&home.domain(), &key).unwrap();
        assert_eq!(vouched.head().block, block);
        assert_eq!(vouched.head().table_root, view.root);
        heads.push(signed);
    }
    assert!(heads.is_sorted_by_key(|signed| signed.head.time_ms));
    assert_eq!(
        code(client.table_root(SERVICE, newest + 1000).await),
        "table.future"
    );
    assert_eq!(code(client.table_head(9, None).await), "table.unsigned");
    // Nor is a block of it waited for.
    let (began, patience) = (Instant::now(), Duration::from_secs(25));
    let waited = client.table_head(9, Some((Block(0), patience))).await;
    assert_eq!(code(waited), "table.unsigned");
    assert!(began.elapsed() < patience);
    running.shutdown().await;

    let running = home.start().await;
    let client = crate::common::client(&running);
    for (block, signed) in (0..).map(Block).zip(&heads) {
        assert_eq!(signed_at(&client, block).await.as_ref(), Some(signed));
    }
    assert!(newest_head(&client).await.head.time_ms >= heads.last().unwrap().head.time_ms);
    running.shutdown().await;
}

/// Killed again and again: whatever anybody was told is still there, and no block has a second head.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_was_told_outlives_any_crash() {
    let home = Home::new(10);
    let mut told: BTreeMap<Block, SignedHead> = BTreeMap::new();
    for round in 0..12 {
        let running = home.start().await;
        let client = client(&running);
        let newest = told.keys().next_back().copied();
        for (block, signed) in &told {
            assert_eq!(signed_at(&client, *block).await.as_ref(), Some(signed));
        }
        let mut after = newest.unwrap_or_default();
        for _ in 0..=round % 4 {
            after = block_after(&client, after).await;
            let signed = signed_at(&client, after).await.unwrap();
            assert_eq!(told.insert(after, signed), None);
        }
        // Not shut down: dropped in the middle of whatever it does.
        drop(running);
    }
    assert!(told.len() > 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_restored_from_a_copy_signs_no_block_twice() {
    let home = Home::new(20);
    let copied = tempfile::tempdir().unwrap();
    let running = home.start().await;
    block_after(&client(&running), Block(2)).await;
    running.shutdown().await;
    copy_folder(home.data(), copied.path()).unwrap();

    let running = home.start().await;
    let before = client(&running);
    let newest = block_after(&before, Block(25)).await;
    let old = signed_at(&before, newest).await.unwrap();
    running.shutdown().await;

    // The copy of the data is put back; what lies with the keys is not touched.
    std::fs::remove_dir_all(home.data()).unwrap();
    copy_folder(copied.path(), home.data()).unwrap();
    let running = home.start().await;
    let client = client(&running);
    complains(&running, "heads", "heads.restored").await;
    // Another story than the first one, from its first block on.
    let receipt = client.submit(&deposit(&staker_key(1), 5)).await.unwrap();
    assert!(
        receipt.block < newest,
        "the test is too slow for its blocks"
    );
    let after = block_after(&client, newest).await;
    until("it to sign again", async || {
        running.health().status == Status::Ready
    })
    .await;
    for block in (receipt.block.0..=newest.0).map(Block) {
        assert_eq!(signed_at(&client, block).await, None, "block {block}");
    }
    let new = signed_at(&client, after).await.unwrap();
    assert!(new.head.block > old.head.block);
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_knowing_what_was_signed_it_does_not_start() {
    let home = Home::new(NO_BLOCKS);
    home.start().await.shutdown().await;
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let refusal = async || {
        let started = LedgerService::start(home.config.clone(), home.keys.clone(), address).await;
        started.unwrap_err().code()
    };
    let path = &home.config.paths.signed;
    let good = std::fs::read(path).unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(refusal().await, "heads.signed_missing");
    std::fs::write(path, vec![0; good.len()]).unwrap();
    assert_eq!(refusal().await, "heads.signed_damaged");
    let other = Home::salted(9, NO_BLOCKS);
    std::fs::copy(&other.config.paths.signed, path).unwrap();
    assert_eq!(refusal().await, "heads.other_ledger");
    std::fs::write(path, good).unwrap();
    home.start().await.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_of_the_genesis_nothing_is_signed() {
    let mut home = Home::new(20);
    for keys in [HeadKeys::default(), HeadKeys::new([next_head_key()])] {
        home.keys = keys;
        let running = home.start().await;
        complains(&running, "heads", "heads.key").await;
        let client = client(&running);
        assert_eq!(
            code(client.table_head(SERVICE, None).await),
            "table.unsigned"
        );
        // The rest goes on.
        client.submit(&deposit(&staker_key(1), 5)).await.unwrap();
        running.shutdown().await;
    }
    // Blocks that were over meanwhile are made up for.
    home.keys = HeadKeys::new([next_head_key(), head_key()]);
    let running = home.start().await;
    let client = client(&running);
    block_after(&client, Block(0)).await;
    assert!(signed_at(&client, Block(0)).await.is_some());
    running.shutdown().await;
}

/// Writes fail for real: the file of heads is the device that is always full.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_cannot_be_written_is_not_told() {
    let home = Home::new(20);
    let folder = home.data().join("heads").join(SERVICE.to_string());
    let file = folder.join("000000000000.heads");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", &file).unwrap();
    let running = home.start().await;
    complains(&running, "heads", "heads.io").await;
    let client = client(&running);
    assert_eq!(
        code(client.table_head(SERVICE, None).await),
        "table.unsigned"
    );
    std::fs::remove_file(&file).unwrap();
    drop(running);
    let running = home.start().await;
    let client = crate::common::client(&running);
    until("heads", async || {
        client.table_head(SERVICE, None).await.is_ok()
    })
    .await;
    // The right to sign the first ones was given up before the disk failed.
    assert_eq!(signed_at(&client, Block(0)).await, None);
    running.shutdown().await;
}
