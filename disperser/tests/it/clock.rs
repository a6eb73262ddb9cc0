//! Clocks that jump: nothing that was accepted or certified is lost to one.

use std::sync::Arc;

use crate::support::{Running, Temper, World, config, until};
use ashlar_crypto::Coded;
use ashlar_crypto::identity::NetworkKey;
use ashlar_disperser::kv::{Kv, RocksKv, RocksOptions};
use ashlar_disperser::{Disperser, DisperserConfig, DisperserError};
use ashlar_proto::BlobId;
use ashlar_proto::api::BlobState;

/// Looks for what has expired often.
fn settings() -> DisperserConfig {
    let mut settings = config();
    settings.store.expiry_interval_ms = 50;
    settings
}

/// Waits until expiry has been thought of once more, from beginning to end.
async fn expiry_round(running: &Running) {
    let before = running.metric("expiry_rounds_total").await;
    until("a look for what has expired", async || {
        running.metric("expiry_rounds_total").await >= before + 2
    })
    .await;
}

/// Waits for the complaint about a clock that is wrong by so many days.
async fn complains(running: &Running, days: i64) {
    let code = if days > 0 {
        "clock.disagrees"
    } else {
        "clock.behind"
    };
    until(code, async || running.complaints() == [code]).await;
}

async fn is_there(running: &Running, id: &BlobId, payload: &[u8]) {
    let answer = running.get(&format!("/v1/blobs/{id}")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.bytes().await.unwrap(), payload);
}

/// With this wrong clock: everything stays, nothing goes out, and when it is right again everything goes on.
async fn stands_still(running: &Running, world: &World, days: i64, certified: &BlobId) {
    complains(running, days).await;
    let batches = running.metric("batches_total").await;
    let payload = format!("accepted while the clock was wrong by {days} days");
    let waiting = running.accepted("", payload.as_bytes()).await.id;
    running
        .until(&waiting, |status| status.state == BlobState::Encoded)
        .await;
    expiry_round(running).await;
    is_there(running, certified, b"certified").await;
    is_there(running, &waiting, payload.as_bytes()).await;
    assert_eq!(running.metric("batches_total").await, batches);
    assert_eq!(running.status(&waiting).await.state, BlobState::Encoded);

    world.set_wrong(0);
    running.certified(&waiting).await;
    until("peace", async || running.complaints().is_empty()).await;
    expiry_round(running).await;
    is_there(running, certified, b"certified").await;
    is_there(running, &waiting, payload.as_bytes()).await;
    assert_eq!(running.metric("expired_records_total").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_while_running_costs_nothing() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(settings()).await;
    let certified = running.accepted("", b"certified").await.id;
    running.certified(&certified).await;
    for days in [20, -20] {
        world.set_wrong(days);
        stands_still(&running, &world, days, &certified).await;
    }
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_at_start_costs_nothing() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(settings()).await;
    let certified = running.accepted("", b"certified").await.id;
    running.certified(&certified).await;
    running.disperser.shutdown().await;
    for days in [20, -20] {
        world.set_wrong(days);
        let running = world.start(settings()).await;
        stands_still(&running, &world, days, &certified).await;
        running.disperser.shutdown().await;
    }
}

/// A batch under way when the disperser stops is not taken for an old one, nor do its blobs lose an attempt.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_the_right_time_too() {
    let world = World::new(&[(Temper::Hangs, 1)]);
    let running = world.start(settings()).await;
    let id = running.accepted("", b"on its way").await.id;
    running
        .until(&id, |status| status.state == BlobState::Dispersing)
        .await;
    let digest = running.status(&id).await.batch.unwrap().digest;
    drop(running);
    world.kv.cut_power();
    world.operators[0].set(Temper::Honest);
    for days in [20, -20] {
        world.set_wrong(days);
        let running = world.start(settings()).await;
        complains(&running, days).await;
        expiry_round(&running).await;
        let status = running.status(&id).await;
        assert!(matches!(
            status.state,
            BlobState::Batched | BlobState::Dispersing
        ));
        assert_eq!(status.batch.unwrap().digest, digest);
        if days < 0 {
            world.set_wrong(0);
            let batch = running.certified(&id).await.batch.unwrap();
            assert_eq!(batch.digest, digest);
        }
        running.disperser.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stop_needs_a_person_who_accepts_the_clock() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings();
    settings.paths.data = folder.path().join("data");
    let start = async || {
        let (path, key) = (&settings.paths.data, &world.key);
        let options = RocksOptions {
            write_buffer_bytes: settings.store.write_buffer_bytes,
        };
        let path = path.clone();
        let open = move || Ok(Arc::new(RocksKv::open(&path, options)?) as Arc<dyn Kv>);
        let disperser = Disperser::start_with(
            settings.clone(),
            NetworkKey::from_seed(**key.seed()),
            world.sources(),
            world.wall_clock(),
            open,
        );
        Running::new(disperser.await.unwrap())
    };
    // What `ashlar disperser clock accept` does.
    let accept = || {
        let store = Disperser::open_stopped(&settings)?;
        let (kept, now) = (store.kept_time()?, world.wall_clock()());
        store.keep_time(now)?;
        Ok::<_, DisperserError>((now - kept.unwrap().min(now), store.ending_by(now)?))
    };

    assert_eq!(accept().unwrap_err().code(), "store.missing");
    let running = start().await;
    let old = running.accepted("", b"old").await.id;
    running.certified(&old).await;
    assert_eq!(accept().unwrap_err().code(), "store.open", "it runs");
    running.disperser.shutdown().await;

    // Three days later.
    world.set_wrong(3);
    let running = start().await;
    complains(&running, 3).await;
    let id = running.accepted("", b"payload").await.id;
    running.disperser.shutdown().await;
    let (later, ending) = accept().unwrap();
    assert!(later > 3 * 86_400_000 - 60_000, "{later}");
    assert_eq!(ending, 0);
    let running = start().await;
    running.certified(&id).await;
    assert!(running.complaints().is_empty());
    is_there(&running, &old, b"old").await;
    running.disperser.shutdown().await;

    // Twenty more: their time is over, if a person says so.
    world.set_wrong(23);
    let (_, ending) = accept().unwrap();
    assert_eq!(ending, 4, "two blobs and their batches");
    let running = start().await;
    until("the old ones are forgotten", async || {
        running.get(&format!("/v1/blobs/{old}")).await.status() == 404
            && running.get(&format!("/v1/blobs/{id}")).await.status() == 404
    })
    .await;
    // And back: the same.
    running.disperser.shutdown().await;
    world.set_wrong(0);
    let running = start().await;
    complains(&running, -23).await;
    running.disperser.shutdown().await;
    accept().unwrap();
    let running = start().await;
    let new = running.accepted("", b"new").await.id;
    running.certified(&new).await;
    running.disperser.shutdown().await;
}
