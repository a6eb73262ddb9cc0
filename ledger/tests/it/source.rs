//! A stake source that follows a service.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::common::proxy::between;
use crate::common::*;
use ashlar_crypto::Coded as _;
use ashlar_ledger::devnet::SERVICE;
use ashlar_ledger::source::FollowConfig;
use ashlar_ledger::{HeadKeys, HttpStakeSource};
use ashlar_proto::{Block, Head, HeadKeySuccession, SignedHead, TableAccess as _, TableRoot};
use ashlar_restaking::{Action, Transaction};
use ashlar_stake::{OperatorTable, StakeError, StakeSource, TableSource};

fn config(memory: Option<&Path>) -> FollowConfig {
    FollowConfig {
        poll: Duration::from_millis(500),
        backoff: Duration::from_millis(5),
        backoff_max: Duration::from_millis(50),
        memory: memory.map(Path::to_path_buf),
        ..FollowConfig::default()
    }
}

fn open(source: &TableSource, memory: Option<&Path>) -> Arc<HttpStakeSource> {
    Arc::new(HttpStakeSource::open(source, config(memory)).unwrap())
}

fn follow(home: &Home, urls: &[&str]) -> Arc<HttpStakeSource> {
    open(&home.source(urls), None)
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
    block: Block,
) -> Result<Arc<OperatorTable>, StakeError> {
    ask(source, move |source| source.table_at(block)).await
}

async fn ready(source: &Arc<HttpStakeSource>) -> Block {
    ask(source, |source| source.wait_ready(PATIENCE))
        .await
        .unwrap()
}

/// Waits until the source says this about itself, and gives the reason.
async fn says(source: &HttpStakeSource, code: &str) -> StakeError {
    until(code, async || {
        source.health().is_err_and(|error| error.code() == code)
    })
    .await;
    source.health().unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_follows() {
    let home = Home::new(20);
    let running = home.start().await;
    let client = client(&running);
    let source = follow(&home, &[&running.url()]);
    let head = ready(&source).await;
    source.health().unwrap();
    assert_eq!(source.domain(), home.domain());
    assert!(source.head_time_ms().unwrap() > 1_600_000_000_000);
    let table = table_at(&source, head).await.unwrap();
    let told = client.table_root(SERVICE, head).await.unwrap();
    assert_eq!(table.root(), told.root);
    assert_eq!(told.signed.unwrap().head.table_root, told.root);
    // Long ago, and never seen before.
    let first = table_at(&source, Block(0)).await.unwrap();
    assert_eq!(
        first.root(),
        client.table_root(SERVICE, Block(0)).await.unwrap().root
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
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_outlives_its_ledger_and_finds_it_again() {
    let home = Home::new(20);
    let running = home.start().await;
    let address = running.addr;
    let source = follow(&home, &[&running.url()]);
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
async fn another_ledger_at_the_same_address_is_refused() {
    let home = Home::new(20);
    let running = home.start().await;
    let address = running.addr;
    let source = follow(&home, &[&running.url()]);
    block_after(&client(&running), Block(3)).await;
    ready(&source).await;
    running.shutdown().await;
    until("the outage to show", async || source.health().is_err()).await;
    let head = source.head().unwrap();
    let table = table_at(&source, head).await.unwrap();

    // It even has the same head key; its genesis is its own.
    let other = Home::salted(9, 20);
    let running = other.start_at(address).await;
    says(&source, "head.other_domain").await;
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
        old_tables: 2,
        ..FollowConfig::default()
    };
    let source = home.source(&[&running.url()]);
    let source = Arc::new(HttpStakeSource::open(&source, config).unwrap());
    block_after(&client, Block(10)).await;
    ready(&source).await;
    for block in [0, 7, 3, 0, 9, 0, 0].map(Block) {
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
    let url = running.url();
    running.shutdown().await;
    let source = follow(&home, &[&url]);
    let error = ask(&source, |source| {
        source.wait_ready(Duration::from_millis(300))
    })
    .await
    .unwrap_err();
    assert!(
        ["http.unreachable", "stake.opening"].contains(&error.code()),
        "{error}"
    );
    says(&source, "http.unreachable").await;
    assert_eq!(source.head_time_ms(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_whose_key_is_not_pinned_is_refused() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let mut source = home.source(&[&running.url()]);
    source.head_keys.clear();
    let error = HttpStakeSource::open(&source, FollowConfig::default()).unwrap_err();
    assert_eq!(error.code(), "stake.no_head_key");

    source.head_keys = vec![account(&next_head_key())];
    let source = open(&source, None);
    says(&source, "head.other_key").await;
    assert_eq!(source.head().unwrap_err().code(), "head.other_key");
    assert_eq!(
        table_at(&source, Block(0)).await.unwrap_err().code(),
        "head.other_key"
    );
    running.shutdown().await;
}

/// Whoever is on the way can delay, and nothing else: neither can he put himself into a table, nor sign a head, nor show one of another
/// block or service.
#[tokio::test(flavor = "multi_thread")]
async fn somebody_on_the_way_changes_nothing() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let genuine = newest_head(&client(&running)).await;
    let forged = |head: Head| serde_json::to_value(head.sign(&next_head_key())).unwrap();
    let head = genuine.head;
    let json = serde_json::to_value(genuine).unwrap();

    // The table gets another disperser, and the answer the root that fits.
    let url = between(
        running.url(),
        |path, mut answer| {
            if path.ends_with("/tables/0") {
                answer["table"]["dispersers"][0]["id"] = 77.into();
            }
            answer
        },
        |_| Duration::ZERO,
    )
    .await;
    says(&follow(&home, &[&url]), "table.root").await;

    // Another root in the head, with the old signature, and with one of his own.
    let mut altered = json.clone();
    altered["head"]["table_root"] = TableRoot([1; 32]).to_string().into();
    let own = forged(Head {
        table_root: TableRoot([1; 32]),
        ..head
    });
    for (signed, code) in [(altered, "head.other_key"), (own, "head.other_key")] {
        let url = between(
            running.url(),
            move |path, mut answer| {
                if path.contains("/head?") || path.ends_with("/head") && path.contains("services") {
                    answer["signed"] = signed.clone();
                }
                answer
            },
            |_| Duration::ZERO,
        )
        .await;
        let source = follow(&home, &[&url]);
        says(&source, code).await;
        assert!(source.head().is_err());
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_goes_back_is_refused_and_the_next_one_taken() {
    let home = Home::new(20);
    let running = home.start().await;
    let first = newest_head(&client(&running)).await;
    let old = serde_json::to_value(first).unwrap();
    block_after(&client(&running), Block(2)).await;
    // For a while, the head of long ago.
    let (from, to) = (Arc::new(AtomicU64::new(0)), 12);
    let count = Arc::clone(&from);
    let url = between(
        running.url(),
        move |path, mut answer| {
            if path.contains("services") && path.contains("/head") {
                let asked = count.fetch_add(1, Ordering::Relaxed);
                if (2..to).contains(&asked) {
                    answer["signed"] = old.clone();
                }
            }
            answer
        },
        |_| Duration::ZERO,
    )
    .await;
    let source = follow(&home, &[&url]);
    says(&source, "head.back").await;
    let head = source.head().unwrap();
    assert!(head > first.head.block);
    until("it to go on", async || {
        source.health().is_ok() && source.head().unwrap() > head
    })
    .await;
    running.shutdown().await;
}

/// Two ledgers with one genesis and one key, as a thief of the key would run a second one.
async fn two_stories(interval_ms: u64) -> (Home, Home) {
    let (one, other) = (Home::new(interval_ms), Home::new(interval_ms));
    assert_eq!(one.domain(), other.domain());
    let running = other.start().await;
    let client = client(&running);
    let told = client.submit(&deposit(&staker_key(1), 5)).await.unwrap();
    // Every head that is told from now on is of a block with the deposit: the stories differ in it.
    block_after(&client, told.block).await;
    running.shutdown().await;
    (one, other)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_that_differ_end_it_and_are_both_named() {
    let (one, other) = two_stories(20).await;
    let (running, second) = (one.start().await, other.start().await);
    let folder = tempfile::tempdir().unwrap();
    let urls = [running.url(), second.url()];
    let described = one.source(&[&urls[0], &urls[1]]);
    let source = open(&described, Some(folder.path()));
    let error = says(&source, "head.contradiction").await;
    let text = error.to_string();
    assert!(text.contains(&urls[0]) && text.contains(&urls[1]), "{text}");
    // Nothing is to be had any more, so nothing is signed.
    assert_eq!(source.head().unwrap_err(), error);
    assert_eq!(table_at(&source, Block(0)).await.unwrap_err(), error);
    // The proof is two heads that anybody can check.
    let proof = std::fs::read(folder.path().join("contradiction.json")).unwrap();
    let proof: serde_json::Value = serde_json::from_slice(&proof).unwrap();
    let mut roots = Vec::new();
    for side in ["one", "other"] {
        let signed: SignedHead = serde_json::from_value(proof[side]["signed"].clone()).unwrap();
        let key = account(&head_key());
        roots.push(
            signed
                .verify(&one.domain(), &key)
                .unwrap()
                .head()
                .table_root,
        );
        assert!(urls.iter().any(|url| proof[side]["source"] == url.as_str()));
    }
    assert_ne!(roots[0], roots[1]);

    // Not after a restart either, until somebody has looked at it.
    drop(source);
    let source = open(&described, Some(folder.path()));
    assert_eq!(source.head().unwrap_err(), error);
    running.shutdown().await;
    second.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_follower_knows_that_the_story_changed() {
    let (one, other) = two_stories(20).await;
    let folder = tempfile::tempdir().unwrap();
    let running = other.start().await;
    let address = running.addr;
    let described = one.source(&[&running.url()]);
    let source = open(&described, Some(folder.path()));
    ready(&source).await;
    let seen = source.head().unwrap();
    drop(source);
    running.shutdown().await;
    // Nobody answers: the time is that of the newest head that is remembered.
    let source = open(&described, Some(folder.path()));
    assert!(source.head().is_err());
    assert!(source.head_time_ms().unwrap() > 1_600_000_000_000);
    drop(source);
    // The other one, at the same address, once it is as far.
    let running = one.start_at(address).await;
    block_after(&client(&running), seen + 3).await;
    let source = open(&described, Some(folder.path()));
    says(&source, "head.contradiction").await;
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_sources_may_be_down() {
    let home = Home::new(20);
    let running = home.start().await;
    let nobody = Home::new(NO_BLOCKS).start().await;
    let down = nobody.url();
    nobody.shutdown().await;
    let source = follow(&home, &[&down, &running.url()]);
    let head = ready(&source).await;
    until("the head to move", async || {
        source.head().unwrap() > head + 2
    })
    .await;
    let error = source.health().unwrap_err();
    assert_eq!(error.code(), "http.unreachable");
    assert!(error.to_string().contains(&down), "{error}");
    table_at(&source, Block(0)).await.unwrap();
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sources_that_agree_are_followed() {
    let home = Home::new(20);
    let running = home.start().await;
    // The second way to the ledger is slower.
    let url = between(
        running.url(),
        |_, answer| answer,
        |_| Duration::from_millis(30),
    )
    .await;
    let source = follow(&home, &[&running.url(), &url]);
    let head = ready(&source).await;
    until("the head to move", async || {
        source.head().unwrap() > head + 5
    })
    .await;
    source.health().unwrap();
    for block in [Block(0), head, source.head().unwrap()] {
        table_at(&source, block).await.unwrap();
    }
    running.shutdown().await;
}

/// Strangers can have a node ask for any old table. However slow those are, and however many: the head is followed, and tables of new
/// blocks are there.
#[tokio::test(flavor = "multi_thread")]
async fn questions_for_old_tables_keep_nobody_from_following() {
    let home = Home::new(20);
    let running = home.start().await;
    // Further than the strangers' tables and those that are looked at below.
    let newest = block_after(&client(&running), Block(60)).await;
    let url = between(
        running.url(),
        |_, answer| answer,
        |path| {
            let old = (0..40).any(|block| path.contains(&format!("/tables/{block}/")));
            Duration::from_millis(if old { 2000 } else { 0 })
        },
    )
    .await;
    let described = home.source(&[&url]);
    let config = FollowConfig {
        tables: 16,
        patience: Duration::from_secs(3),
        ..config(None)
    };
    let source = Arc::new(HttpStakeSource::open(&described, config).unwrap());
    ready(&source).await;
    let strangers: Vec<_> = (0..40)
        .map(|block| {
            let source = Arc::clone(&source);
            tokio::task::spawn_blocking(move || source.table_at(Block(block)))
        })
        .collect();
    let begun = Instant::now();
    let head = source.head().unwrap();
    assert!(head >= newest);
    for ahead in 1..20 {
        until("the head to move", async || {
            source.head().unwrap() >= head + ahead
        })
        .await;
        let now = source.head().unwrap();
        table_at(&source, now).await.unwrap();
        // Not seen, and new: it is asked for, and does not wait behind the strangers'.
        table_at(&source, now.saturating_sub(10)).await.unwrap();
        source.health().unwrap();
    }
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "{:?}",
        begun.elapsed()
    );
    let mut busy = 0;
    for stranger in strangers {
        match stranger.await.unwrap() {
            Ok(_) => {}
            Err(error) => {
                assert!(
                    ["stake.timeout", "stake.busy"].contains(&error.code()),
                    "{error}"
                );
                busy += 1;
            }
        }
    }
    assert!(busy > 0, "they all were answered: nothing was slow");
    running.shutdown().await;
}

/// The key is handed over: whoever pinned the old one goes on without being told, and whoever comes later with the old pin, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_handed_over_is_followed() {
    let mut home = Home::new(20);
    home.keys = HeadKeys::new([head_key(), next_head_key()]);
    let running = home.start().await;
    let client = client(&running);
    let folder = tempfile::tempdir().unwrap();
    let described = home.source(&[&running.url()]);
    let source = open(&described, Some(folder.path()));
    let head = ready(&source).await;

    let from_block = head + 10;
    let successor = account(&next_head_key());
    let signed = HeadKeySuccession::sign(&head_key(), network(), successor, from_block);
    let rotate = |signature| Transaction {
        sender: account(&stranger_key()),
        action: Action::RotateHeadKey {
            successor,
            from_block,
            signature,
        },
    };
    // Anybody may bring what the present key signed, and nobody anything else.
    let stranger = HeadKeySuccession::sign(&stranger_key(), network(), successor, from_block);
    let refused = client.submit(&rotate(stranger.signature)).await;
    assert_eq!(code(refused), "head.succession");
    client.submit(&rotate(signed.signature)).await.unwrap();

    until("the new key's heads", async || {
        source.head().unwrap() > from_block
    })
    .await;
    source.health().unwrap();
    for (block, key) in [
        (from_block.saturating_sub(1), head_key()),
        (from_block, next_head_key()),
    ] {
        let view = client.table_root(SERVICE, block).await.unwrap();
        let signed = view.signed.unwrap();
        signed.verify(&home.domain(), &account(&key)).unwrap();
        table_at(&source, block).await.unwrap();
    }
    drop(source);
    for memory in [Some(folder.path()), None] {
        let source = open(&described, memory);
        ready(&source).await;
        table_at(&source, Block(0)).await.unwrap();
        source.health().unwrap();
    }
    let keys = client.head_keys().await.unwrap();
    assert_eq!((keys.key, keys.successions), (successor, vec![signed]));
    running.shutdown().await;
}

/// The path to the ledger shows a succession that the pinned key did not sign.
#[tokio::test(flavor = "multi_thread")]
async fn a_false_succession_is_not_followed() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let genuine = newest_head(&client(&running)).await;
    let successor = account(&next_head_key());
    // By the thief's own key, in the name of the pinned one; its head would be good.
    let succession = HeadKeySuccession::sign(&next_head_key(), network(), successor, Block(0));
    let head = Head {
        table_root: TableRoot([1; 32]),
        ..genuine.head
    }
    .sign(&next_head_key());
    let url = between(
        running.url(),
        move |path, mut answer| {
            if path.ends_with("/head-keys") {
                answer["successions"] = serde_json::to_value([succession]).unwrap();
            } else if path.contains("services") && path.contains("/head") {
                answer["signed"] = serde_json::to_value(head).unwrap();
            }
            answer
        },
        |_| Duration::ZERO,
    )
    .await;
    says(&follow(&home, &[&url]), "head.other_key").await;
    running.shutdown().await;
}
