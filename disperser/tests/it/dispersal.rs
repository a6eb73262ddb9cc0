//! From a post to a certificate, with operators that check, and with some that fail.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::support::{
    PATIENCE, Running, Temper, World, config, events, http_from, problem, put_blob, until,
};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::{Encoding, Rows, Setup, commit_rows};
use ashlar_disperser::Disperser;
use ashlar_disperser::kv::{MemoryKv, Table};
use ashlar_proto::api::BlobState;
use ashlar_proto::{
    Certificate, CertificateError, CertificatePolicy, MaxAge, QuorumId, RequiredQuorums, Sequence,
    TrustedTable, VerifiedCertificate, verify_certificate, verify_portable,
};
use ashlar_stake::OperatorTable;

const ALL_STATES: [&str; 6] = [
    "queued",
    "encoding",
    "encoded",
    "batched",
    "dispersing",
    "certified",
];

async fn certificate(running: &Running, name: &str, form: &str) -> Certificate {
    let answer = running
        .get(&format!("/v1/blobs/{name}/certificate{form}"))
        .await;
    assert_eq!(answer.status(), 200);
    Certificate::from_bytes(&answer.bytes().await.unwrap()).unwrap()
}

/// A reader of these quorums who trusts the world's table.
fn reader(
    world: &World,
    quorums: &[QuorumId],
) -> (TrustedTable<Arc<OperatorTable>>, CertificatePolicy) {
    let table = TrustedTable::trust_on_my_own_word(Arc::clone(&world.table));
    let quorums = RequiredQuorums::all(quorums);
    let policy = CertificatePolicy::new(table.domain(), quorums, MaxAge::Unbounded);
    (table, policy)
}

fn checked(
    world: &World,
    certificate: &Certificate,
) -> Result<VerifiedCertificate, CertificateError> {
    let (table, policy) = reader(world, &[0]);
    verify_certificate(certificate, &table, &policy)
}

#[tokio::test(flavor = "multi_thread")]
async fn from_post_to_certificate_and_back() {
    let world = World::new(&[
        (Temper::Honest, 10),
        (Temper::Honest, 20),
        (Temper::Honest, 30),
        (Temper::Honest, 40),
    ]);
    let running = world.start(config()).await;
    let payload: Vec<u8> = (0..300_000u32).map(|n| (n * 7 % 251) as u8).collect();
    let accepted = running.accepted("?quorums=1,0&salt=3", &payload).await;
    assert_eq!(accepted.quorums, [0, 1]);
    assert_eq!(accepted.rows, 3);

    // Every state in order; the stream ends by itself.
    let live = events(
        running
            .get(&format!("/v1/blobs/{}/events", accepted.id))
            .await,
    )
    .await;
    let names: Vec<&str> = live.iter().map(|(_, name, _)| name.as_str()).collect();
    assert_eq!(names, ALL_STATES);
    assert_eq!(
        live.iter().map(|(id, ..)| *id).collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
    for (_, name, status) in &live {
        assert_eq!(status.state.as_str(), name);
        assert_eq!(status.id, accepted.id);
    }

    // The first certificate has as many signers as it needs, a later one all of them; both are good.
    let first = certificate(&running, &accepted.id.to_string(), "?issued=first").await;
    let status = running.signed_by(&accepted.id, 4).await;
    let key = status.key.unwrap();
    let batch = status.batch.unwrap();
    assert_eq!((batch.signers, batch.operators), (4, 4));
    assert_eq!(
        batch
            .signed
            .iter()
            .map(|q| (q.quorum, q.percent))
            .collect::<Vec<_>>(),
        [(0, 100.0), (1, 100.0)]
    );
    assert!(status.stages.certified_ms.unwrap() >= status.stages.encoded_ms.unwrap());

    // By id and by key, compact and portable.
    let (trusted, policy) = reader(&world, &[0, 1]);
    let compact = certificate(&running, &accepted.id.to_string(), "").await;
    assert_eq!(compact.claimed_signers(), (4, 4));
    let again = certificate(&running, &accepted.id.to_string(), "?issued=first").await;
    assert_eq!(again, first);
    for issued in [&first, &compact] {
        verify_certificate(issued, &trusted, &policy).unwrap();
    }
    assert_eq!(first.batch_header, compact.batch_header);
    assert_eq!(
        certificate(&running, &key.to_string(), "?form=compact").await,
        compact
    );
    let verified = verify_certificate(&compact, &trusted, &policy).unwrap();
    assert_eq!(verified.blob_key(), key);
    let portable = certificate(&running, &key.to_string(), "?form=portable").await;
    assert!(portable.is_portable());
    verify_portable(&portable, &trusted.trusted_root(), &policy).unwrap();
    for name in [accepted.id.to_string(), key.to_string()] {
        let answer = running.get(&format!("/v1/blobs/{name}")).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.bytes().await.unwrap(), payload);
    }

    // The header commits to what a client computes by itself.
    let rows = Rows::from_payload(&payload, Encoding::Packed31).unwrap();
    let commitments: Vec<_> = commit_rows(Setup::ethereum(), &rows)
        .iter()
        .map(|c| c.to_bytes())
        .collect();
    assert_eq!(
        compact.blob_header.commitments_root,
        ashlar_proto::commitments_root(&commitments)
    );

    // Posted again it is the same blob, and there at once.
    let again = running
        .post("?quorums=0,1&salt=3&wait=certified", payload.clone())
        .await;
    assert_eq!(again.status(), 200);
    let requests = world.operators[0].requests().len();
    let again: ashlar_proto::api::BlobStatus = again.json().await.unwrap();
    assert_eq!((again.id, again.key), (accepted.id, Some(key)));
    assert_eq!(requests, 1);

    // Late subscribers see all; those that were cut off see the rest.
    let late = events(running.get(&format!("/v1/blobs/{key}/events")).await).await;
    assert_eq!(
        late.iter()
            .map(|(_, name, _)| name.as_str())
            .collect::<Vec<_>>(),
        ALL_STATES
    );
    let url = running.url(&format!("/v1/blobs/{key}/events"));
    let rest = events(
        running
            .http
            .get(url)
            .header("Last-Event-ID", "3")
            .send()
            .await
            .unwrap(),
    )
    .await;
    assert_eq!(
        rest.iter()
            .map(|(id, name, _)| (*id, name.as_str()))
            .collect::<Vec<_>>(),
        [(4, "dispersing"), (5, "certified")]
    );
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_slow_and_lying_operators_delay_nobody_and_do_not_sign() {
    let slow = Duration::from_secs(20);
    let world = World::new(&[
        (Temper::Honest, 30),
        (Temper::Honest, 30),
        (Temper::Dead, 10),
        (Temper::Slow(slow), 10),
        (Temper::BadSignature, 10),
        (Temper::Refuses, 10),
    ]);
    let running = world.start(config()).await;
    let began = Instant::now();
    let answer = running.post("?wait=certified", vec![7; 1000]).await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let status: ashlar_proto::api::BlobStatus = answer.json().await.unwrap();
    assert!(began.elapsed() < slow, "it waited for the slow one");
    let compact = certificate(&running, &status.id.to_string(), "").await;
    let verified = checked(&world, &compact).unwrap();
    let honest: HashSet<_> = [world.index(0), world.index(1)].into();
    assert_eq!(verified.signers().iter().collect::<HashSet<_>>(), honest);
    assert_eq!(status.batch.unwrap().signed[0].percent, 60.0);
    let liar = world.table.operators()[world.index(4).0 as usize].operator_id;
    let blamed = format!("attempts_total{{operator=\"{liar}\",result=\"bad_signature\"}} 1");
    until("the liar is blamed", async || {
        let metrics = running.get("/metrics").await.text().await.unwrap();
        metrics.contains(&blamed)
    })
    .await;
    let metrics = running.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("result=\"refused\""));
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quorums_that_do_not_sign_hold_up_nobody_and_lose_nothing() {
    let world = World::new(&[
        (Temper::Honest, 50),
        (Temper::Honest, 40),
        (Temper::Dead, 5),
        (Temper::Refuses, 5),
    ]);
    let mut settings = config();
    settings.batch.stall_ms = 300;
    settings.batch.max_in_flight = 2;
    let running = world.start(settings).await;
    let mut waiting = Vec::new();
    for n in 0..12 {
        // The silent one never answers: without a way out its batches would wait for ten minutes.
        let query = format!("?quorums={}&salt={n}", 2 + n % 2);
        waiting.push(running.accepted(&query, &[n]).await);
        let query = format!("?wait=certified&salt={n}");
        let answer = running.post(&query, vec![n; 1000]).await;
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    }
    for blob in &waiting {
        let status = running.until(&blob.id, |_| true).await;
        assert!(!status.state.is_final(), "{status:?}");
    }
    // One of them comes back.
    world.operators[3].set(Temper::Honest);
    for blob in waiting.iter().filter(|blob| blob.quorums == [3]) {
        running.certified(&blob.id).await;
    }
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_read_fails_alone() {
    let world = World::new(&[(Temper::Hangs, 1), (Temper::Hangs, 1)]);
    let running = world.start(config()).await;
    let [good, bad] = [1u8, 2].map(|n| vec![n; 1000]);
    let (good, bad) = (
        running.accepted("", &good).await.id,
        running.accepted("", &bad).await.id,
    );
    drop(running);
    // The next life encodes both of them again.
    world.kv.damage(Table::Payloads, &bad.0);
    world
        .operators
        .iter()
        .for_each(|operator| operator.set(Temper::Honest));
    let running = world.start(config()).await;
    running.certified(&good).await;
    let status = running.until(&bad, |status| status.state.is_final()).await;
    assert_eq!(status.error.unwrap().code, "encode.payload_unreadable");
    running.accepted("", b"another").await;
    assert_eq!(running.get("/v1/health").await.status(), 200);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_nearly_full_takes_nothing_in_and_finishes_what_it_has() {
    let world = World::new(&[(Temper::Hangs, 1), (Temper::Hangs, 1)]);
    let running = world.start(config()).await;
    let id = running.accepted("", b"before").await.id;
    drop(running);
    let mut settings = config();
    settings.store.min_free_bytes = u64::MAX;
    world
        .operators
        .iter()
        .for_each(|operator| operator.set(Temper::Honest));
    let running = world.start(settings).await;
    until("the disk is looked at", async || {
        running.complaints().contains(&"disk_space".to_owned())
    })
    .await;
    let told = problem(running.post("", b"after".to_vec()).await).await;
    assert_eq!((told.status, told.code.as_str()), (503, "intake.disk"));
    running.certified(&id).await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_stake_fails_the_blob_after_its_time_with_every_reason() {
    let world = World::new(&[
        (Temper::Honest, 40),
        (Temper::Refuses, 35),
        (Temper::BadSignature, 25),
    ]);
    let mut settings = config();
    settings.batch.give_up_secs = 1;
    let running = world.start(settings).await;
    let accepted = running.accepted("", b"payload").await;
    let status = running
        .until(&accepted.id, |status| status.state.is_final())
        .await;
    assert_eq!(status.state, BlobState::Failed);
    let error = status.error.unwrap();
    assert_eq!(error.code, "dispersal.out_of_reach");
    for part in [
        "quorum 0: 40.00 % of stake signed, 55 % needed",
        "test.refused",
        "bls.signature",
        "127.0.0.1:",
    ] {
        assert!(
            error.message.contains(part),
            "{part} is not in: {}",
            error.message
        );
    }
    // Several batches, each under a number of its own.
    let seen = world.operators[0].requests();
    let batches = seen.len();
    assert!((2..=10).contains(&batches), "{batches}");
    assert_eq!(seen.values().collect::<HashSet<_>>().len(), batches);
    let live = events(
        running
            .get(&format!("/v1/blobs/{}/events", accepted.id))
            .await,
    )
    .await;
    let names: Vec<&str> = live.iter().map(|(_, name, _)| name.as_str()).collect();
    let round = ["encoding", "encoded", "batched", "dispersing", "encoded"];
    let expected: Vec<&str> = std::iter::once("queued")
        .chain(round.repeat(batches).into_iter().take(5 * batches - 1))
        .chain(["failed"])
        .collect();
    assert_eq!(names, expected);
    assert_eq!(
        problem(
            running
                .get(&format!("/v1/blobs/{}/certificate", accepted.id))
                .await
        )
        .await
        .code,
        "blob.failed"
    );
    // It is not to blame: its payload is kept.
    let kept = running.get(&format!("/v1/blobs/{}", accepted.id)).await;
    assert_eq!(kept.bytes().await.unwrap().as_ref(), b"payload");
    // Somebody who waits is told the same.
    let told = problem(running.post("?wait=certified", "payload").await).await;
    assert_eq!(
        (told.status, told.code.as_str()),
        (502, "dispersal.out_of_reach")
    );
    // The operators recover: posted again, it is certified.
    world.operators[1].set(Temper::Honest);
    let answer = running.post("?wait=certified", "payload").await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn false_commitments_fail_their_blob_alone() {
    let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 1)]);
    let running = world.start(config()).await;
    // Each from another network: one that sent something false is refused for a while.
    let post = async |query: &str, from: u64, body: Vec<u8>| {
        http_from(&format!("127.2.{from}.1"))
            .post(running.url(&format!("/v1/blobs{query}")))
            .header("content-type", "application/x-protobuf")
            .body(body)
            .send()
            .await
            .unwrap()
    };
    let mut ids = Vec::new();
    for salt in 0..6 {
        let answer = post("", salt, put_blob(b"payload", salt, salt != 3)).await;
        assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
        let status: ashlar_proto::api::BlobStatus = answer.json().await.unwrap();
        ids.push(status.id);
    }
    for (salt, id) in ids.iter().enumerate() {
        let status = running.until(id, |status| status.state.is_final()).await;
        if salt == 3 {
            assert_eq!(status.state, BlobState::Failed);
            assert_eq!(status.error.unwrap().code, "claim.mismatch");
        } else {
            assert_eq!(status.state, BlobState::Certified, "{:?}", status.error);
        }
    }
    // Who waits for such a blob is told that it is the blob's own fault.
    let told = post("?wait=certified", 7, put_blob(b"payload", 3, false)).await;
    let told = problem(told).await;
    assert_eq!((told.status, told.code.as_str()), (422, "claim.mismatch"));
    // And with true commitments it goes through.
    let answer = post("?wait=certified", 8, put_blob(b"payload", 3, true)).await;
    assert_eq!(answer.status(), 200);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_blobs_share_batches_and_quorums_do_not_mix() {
    let world = World::new(&[
        (Temper::Honest, 1),
        (Temper::Honest, 2),
        (Temper::Honest, 3),
    ]);
    let running = world.start(config()).await;
    let mut ids = Vec::new();
    for n in 0..24usize {
        let query = if n % 3 == 0 {
            "?quorums=0,1"
        } else {
            "?quorums=0"
        };
        ids.push(
            running
                .accepted(query, &vec![n as u8; 1 + n * 9000])
                .await
                .id,
        );
    }
    let mut batches = std::collections::HashMap::new();
    for (n, id) in ids.iter().enumerate() {
        let status = running.certified(id).await;
        let batch = status.batch.unwrap();
        assert_eq!(batch.signed.len(), if n % 3 == 0 { 2 } else { 1 });
        batches.insert(batch.digest, batch.blobs);
        let compact = certificate(&running, &id.to_string(), "").await;
        checked(&world, &compact).unwrap();
    }
    assert_eq!(batches.values().sum::<u32>(), 24, "every blob in one batch");
    assert!(batches.len() < 24, "no two blobs shared a batch");
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_any_batch_loses_nothing() {
    let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 1)]);
    world.publish(world.unregistered());
    let running = world.start(config()).await;
    let mut ids = Vec::new();
    for n in 0..5u8 {
        ids.push(running.accepted("", &[n; 5000]).await.id);
    }
    let health = running.get("/v1/health").await;
    assert_eq!(health.status(), 503, "not registered is not healthy");
    assert!(health.text().await.unwrap().contains("not_registered"));
    running
        .until(&ids[4], |status| status.state == BlobState::Encoded)
        .await;
    drop(running);
    world.kv.cut_power();
    world.publish(std::sync::Arc::clone(&world.table));
    let running = world.start(config()).await;
    for id in &ids {
        running.certified(id).await;
    }
    assert_eq!(running.get("/v1/health").await.status(), 200);
    running.disperser.shutdown().await;
}

/// Waits until the operator has got a request, and tells sequence and digest.
async fn first_request(
    operator: &crate::support::Operator,
) -> (Sequence, ashlar_proto::BatchDigest) {
    let began = Instant::now();
    loop {
        if let Some(first) = operator.requests().into_iter().next() {
            return first;
        }
        assert!(began.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_during_dispersal_continues_the_same_batch() {
    let world = World::new(&[(Temper::Hangs, 1), (Temper::Hangs, 1)]);
    let running = world.start(config()).await;
    let id = running.accepted("", &[5; 200_000]).await.id;
    let (sequence, digest) = first_request(&world.operators[0]).await;
    drop(running);
    world.kv.cut_power();
    for operator in &world.operators {
        operator.set(Temper::Honest);
    }
    let running = world.start(config()).await;
    let batch = running.certified(&id).await.batch.unwrap();
    assert_eq!((batch.sequence, batch.digest), (sequence, digest));
    assert_eq!(
        world.operators[0].requests().len(),
        1,
        "one batch under one number"
    );
    let compact = certificate(&running, &id.to_string(), "").await;
    checked(&world, &compact).unwrap();
    // The next batch has a higher number.
    let next = running.accepted("", b"another").await.id;
    assert!(running.certified(&next).await.batch.unwrap().sequence > sequence);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_cannot_be_continued_is_given_up_and_its_blobs_go_into_another() {
    let world = World::new(&[(Temper::Hangs, 1), (Temper::Hangs, 1)]);
    let running = world.start(config()).await;
    let id = running.accepted("", &[5; 1000]).await.id;
    let (sequence, digest) = first_request(&world.operators[0]).await;
    drop(running);
    for operator in &world.operators {
        operator.set(Temper::Honest);
    }
    // While it was down the table of that block went away.
    world.publish(world.later());
    let running = world.start(config()).await;
    let status = running.until(&id, |status| {
        status
            .batch
            .as_ref()
            .is_some_and(|batch| batch.digest != digest)
    });
    let batch = status.await.batch.unwrap();
    assert!(batch.sequence > sequence);
    assert_eq!(batch.reference_block, crate::support::BLOCK + 1);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_rocksdb_everything_is_there_after_a_restart() {
    let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 1)]);
    let folder = tempfile::tempdir().unwrap();
    let mut settings = config();
    settings.paths.data = folder.path().join("data");
    let key = || NetworkKey::from_seed(**world.key.seed());
    let running = Running::new(
        Disperser::start(settings.clone(), key(), world.sources())
            .await
            .unwrap(),
    );
    let payload = vec![9; 150_000];
    let id = running.accepted("", &payload).await.id;
    running.certified(&id).await;
    let before = certificate(&running, &id.to_string(), "").await;
    running.disperser.shutdown().await;

    let running = Running::new(
        Disperser::start(settings, key(), world.sources())
            .await
            .unwrap(),
    );
    assert_eq!(running.certified(&id).await.state, BlobState::Certified);
    assert_eq!(certificate(&running, &id.to_string(), "").await, before);
    assert_eq!(
        running
            .get(&format!("/v1/blobs/{id}"))
            .await
            .bytes()
            .await
            .unwrap(),
        payload
    );
    let next = running.accepted("", b"another").await.id;
    let number = running.certified(&next).await.batch.unwrap().sequence;
    assert!(number > before.batch_header.sequence, "the numbers go on");
    running.disperser.shutdown().await;
}

/// The disk dies after the n-th write, the process with it, and the power: whatever n is, every accepted blob is certified
/// after the restart, and no operator ever sees two batches under one number.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_write_loses_nothing() {
    for writes in 0..12 {
        let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 1)]);
        let running = world.started(config()).await; // its own writes are done
        world.kv.fail_after(Some(writes));
        let answer = running.post("", vec![writes as u8; 1000]).await;
        let accepted = answer.status() == 202;
        assert_eq!(accepted, writes > 0, "{}", answer.text().await.unwrap());
        if accepted {
            let status: ashlar_proto::api::BlobStatus = answer.json().await.unwrap();
            let began = Instant::now();
            while !world.kv.is_spent() && !running.status(&status.id).await.state.is_final() {
                assert!(began.elapsed() < PATIENCE);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        let before = world.operators[0].requests();
        drop(running);
        world.kv.cut_power();
        world.kv.fail_after(None);
        let running = world.start(config()).await;
        let status = running.accepted_or_known(&vec![writes as u8; 1000]).await;
        let batch = running.certified(&status.id).await.batch.unwrap();
        let compact = certificate(&running, &status.id.to_string(), "").await;
        checked(&world, &compact).unwrap();
        if let Some(digest) = before.get(&batch.sequence) {
            assert_eq!(*digest, batch.digest);
        }
        for operator in &world.operators {
            assert!(
                !operator.betrayed.load(Ordering::SeqCst),
                "two batches under one number after {writes} writes"
            );
        }
        running.disperser.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_for_a_while_delays_and_loses_nothing() {
    let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 1)]);
    let running = world.started(config()).await;
    world.kv.fail_writes(1);
    let told = problem(running.post("", b"payload".to_vec()).await).await;
    assert_eq!((told.status, told.code.as_str()), (503, "intake.store"));
    let id = running.accepted("", b"payload").await.id;
    world.kv.fail_writes(3);
    running.certified(&id).await;
    assert_eq!(
        running.get("/v1/health").await.status(),
        200,
        "it is well again"
    );
    running.disperser.shutdown().await;
}

/// Two digests under one number cost the bond. Kills, a table that changed meanwhile, a database restored from an older
/// copy, a new disk: whatever lies between two lives, a number names one batch, and a batch has one signature.
#[tokio::test(flavor = "multi_thread")]
async fn no_restart_signs_two_batches_under_one_number() {
    let mut world = World::new(&[(Temper::Hangs, 1), (Temper::Hangs, 1)]);
    let mut numbers = 0;
    let mut copies = Vec::new();
    for life in 0..8u8 {
        let running = world.start(config()).await;
        running.accepted("", &[life; 1000]).await;
        until("a batch of this life", async || {
            world.operators[0].requests().len() > numbers
        })
        .await;
        drop(running);
        world.kv.cut_power();
        numbers = world.operators[0].requests().len();
        copies.push(world.kv.copy());
        match life {
            1 => world.publish(world.later()),
            2 => world.publish(std::sync::Arc::clone(&world.table)),
            // An older copy, twice the same one, and one of before the table changed.
            3 | 4 => world.kv = copies[2].copy(),
            5 => world.kv = copies[0].copy(),
            6 => world.kv = MemoryKv::new(),
            _ => {}
        }
    }
    assert!(numbers >= 8);
    for operator in &world.operators {
        assert!(!operator.betrayed.load(Ordering::SeqCst));
    }
}

/// Who hung while a batch was on its way gets its part when it works again, although the batch has left the memory.
#[tokio::test(flavor = "multi_thread")]
async fn who_hung_gets_its_part_when_it_works_again() {
    let world = World::new(&[
        (Temper::Honest, 10),
        (Temper::Honest, 10),
        (Temper::Hangs, 5),
    ]);
    let running = world.start(config()).await;
    let mut ids = Vec::new();
    for n in 0..3u8 {
        let id = running.accepted("", &[n; 1000]).await.id;
        running.signed_by(&id, 2).await;
        ids.push(id);
    }
    // Nobody keeps it in memory until the other one answers.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running.metric("late_signatures_total").await, 0);
    world.operators[2].set(Temper::Honest);
    for id in &ids {
        running.signed_by(id, 3).await;
        let better = certificate(&running, &id.to_string(), "").await;
        checked(&world, &better).unwrap();
    }
    assert!(running.metric("late_signatures_total").await >= 3);
    assert!(!world.operators[2].betrayed.load(Ordering::SeqCst));
    running.disperser.shutdown().await;
}
