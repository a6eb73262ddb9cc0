//! Blobs whose owners end in a panic, or at a record that cannot be read: they are brought back without a restart.

use std::sync::atomic::Ordering;
use std::time::Duration;

use ashlar_disperser::kv::{PanicAt, Table};
use ashlar_proto::api::BlobState;

use crate::support::{Running, Temper, World, config, put_blob, until};

const HONEST: [(Temper, u64); 3] = [
    (Temper::Honest, 10),
    (Temper::Honest, 10),
    (Temper::Honest, 10),
];

/// The stages, by a table that nobody else writes to: encoder, composition, publication.
const STAGES: [Table; 3] = [Table::Keys, Table::OpenBatches, Table::Certificates];

async fn nobody_betrayed(world: &World, running: &Running) {
    until("all lost blobs are certified", async || {
        !running.complaints().contains(&"lost_blobs".to_owned())
    })
    .await;
    for operator in &world.operators {
        assert!(!operator.betrayed.load(Ordering::SeqCst));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_at_any_stage_before_or_after_its_write_loses_nothing() {
    let world = World::new(&HONEST);
    let running = world.start(config()).await;
    let mut lost = 0;
    for table in STAGES {
        for at in [PanicAt::Before, PanicAt::After] {
            world.kv.panic_writes(table, &[], at, 2);
            let mut ids = Vec::new();
            for n in 0..3u8 {
                let payload = [&format!("{table:?} {at:?}").into_bytes()[..], &[n]].concat();
                ids.push(running.accepted("", &payload).await.id);
            }
            for id in &ids {
                running.certified(id).await;
            }
            until("the loss is counted", async || {
                running.metric("lost_blobs_total").await > lost
            })
            .await;
            lost = running.metric("lost_blobs_total").await;
        }
    }
    nobody_betrayed(&world, &running).await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_its_owners_again_and_again_waits_alone() {
    let world = World::new(&HONEST);
    let running = world.start(config()).await;
    let poison = put_blob(b"poison", 0, true);
    let of_poison = ashlar_proto::wire::PutBlob::decode(poison.clone()).unwrap();
    let id = ashlar_proto::Submission {
        version: of_poison.version,
        encoding: of_poison.encoding,
        payload_len: of_poison.payload.len() as u64,
        quorums: of_poison.quorums,
        account: of_poison.account,
        salt: of_poison.salt,
        payload_sha256: ashlar_crypto::sha256(&[&of_poison.payload]),
    }
    .id();
    // Its certificate ends whoever writes it, and with it the first batch, in which others are.
    world
        .kv
        .panic_writes(Table::Certificates, &id.0, PanicAt::Before, usize::MAX);
    let answer = running
        .http
        .post(running.url("/v1/blobs"))
        .header("content-type", ashlar_proto::api::PUT_BLOB_TYPE)
        .body(poison);
    let post = tokio::spawn(async move {
        assert_eq!(answer.send().await.unwrap().status(), 202);
    });
    let mut others = Vec::new();
    for n in 0..5u8 {
        others.push(running.accepted("", &[n; 100]).await.id);
    }
    post.await.unwrap();
    for other in &others {
        running.certified(other).await;
    }
    let lost = running.metric("lost_blobs_total").await;
    until("it is lost alone, too", async || {
        running.metric("lost_blobs_total").await > lost
    })
    .await;
    assert_ne!(running.status(&id).await.state, BlobState::Certified);
    assert!(running.complaints().contains(&"lost_blobs".to_owned()));
    // Others are not held up by it.
    let began = std::time::Instant::now();
    let other = running.accepted("", b"another").await.id;
    running.certified(&other).await;
    assert!(began.elapsed() < Duration::from_secs(60));

    world
        .kv
        .panic_writes(Table::Certificates, &id.0, PanicAt::Before, 0);
    running.certified(&id).await;
    nobody_betrayed(&world, &running).await;
    running.disperser.shutdown().await;
}
