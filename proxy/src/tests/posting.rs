//! The same payload posted again.

use bytes::Bytes;

use super::world::World;
use crate::core::now_ms;
use crate::put::{PERIOD, salt};

const DAY_MS: u64 = 86_400_000;

#[tokio::test]
async fn a_post_whose_answer_was_lost_finds_the_same_blob_also_after_a_restart() {
    let world = World::new();
    world.network.set(|switches| switches.lose_answers = 1);
    assert_eq!(world.put(b"frame").await.status, 500);
    // The proxy is started anew: it remembers nothing.
    let world = World::over(world.network.clone(), |_| {});
    let commitment = world.put(b"frame").await.ok();
    assert!(world.metrics().contains("ashlar_proxy_found_again_total 1"));
    assert_eq!(world.put(b"frame").await.ok(), commitment);
    assert_eq!(world.network.blobs(), 1);
    world.put(b"another").await.ok();
    assert_eq!(world.network.blobs(), 2);
}

#[tokio::test]
async fn a_blob_that_failed_is_posted_again_under_its_name() {
    let world = World::new();
    world.network.set(|switches| switches.fail_blobs = 2);
    assert_eq!(world.put(b"frame").await.status, 500);
    assert_eq!(world.put(b"frame").await.status, 500);
    world.put(b"frame").await.ok();
    assert_eq!(world.network.blobs(), 1);
}

#[tokio::test]
async fn one_of_yesterday_counts_while_operators_hold_it_for_long_enough() {
    let world = World::new();
    let now = now_ms().unwrap();
    let period = now / 1000 / PERIOD.as_secs();
    let frame = Bytes::from_static(b"frame");
    let yesterday = world.core.options(salt(&frame, period - 1));
    let posted = world.core.da.put_and_wait(frame.clone(), yesterday);
    let posted = posted.await.unwrap().certificate;
    let found = world.core.put_at(frame.clone(), now).await.unwrap();
    assert_eq!(found.blob_key(), posted.blob_key());
    assert_eq!(world.network.blobs(), 1);

    // Posted the day before, as seen from two days later: twelve days are left.
    let later = World::new();
    let tomorrow = later.core.options(salt(&frame, period + 1));
    let posted = later.core.da.put_and_wait(frame.clone(), tomorrow);
    let posted = posted.await.unwrap().certificate;
    let anew = later
        .core
        .put_at(frame.clone(), now + 2 * DAY_MS)
        .await
        .unwrap();
    assert_ne!(anew.blob_key(), posted.blob_key());
    assert_eq!(later.network.blobs(), 2);
}

#[test]
fn the_salt_is_of_payload_and_day() {
    assert_eq!(salt(b"frame", 20_000), salt(b"frame", 20_000));
    assert_ne!(salt(b"frame", 20_000), salt(b"frame", 20_001));
    assert_ne!(salt(b"frame", 20_000), salt(b"fram", 20_000));
    // sha256("ashlar/proxy-salt/1" ‖ "frame" ‖ 20000 as u64, big-endian), its first eight bytes: others have to find the same.
    assert_eq!(
        format!("{:016x}", salt(b"frame", 20_000)),
        "0c21d3104f962405"
    );
}
