//! False commitments cost whoever sends them, and nobody else.

use crate::support::{Running, Temper, World, config, http_from, problem, put_blob};
use ashlar_proto::api::{BlobState, BlobStatus};
use futures::future::join_all;

/// Posts a message with commitments.
async fn post(running: &Running, from: &reqwest::Client, body: Vec<u8>) -> reqwest::Response {
    from.post(running.url("/v1/blobs"))
        .header("content-type", "application/x-protobuf")
        .body(body)
        .send()
        .await
        .unwrap()
}

async fn accepted(answer: reqwest::Response) -> BlobStatus {
    assert_eq!(answer.status(), 202, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

/// Checks that this is the refusal of a sender of false commitments.
async fn refused(answer: reqwest::Response) {
    let wait: u64 = answer.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(wait >= 1);
    let told = problem(answer).await;
    assert_eq!((told.status, told.code.as_str()), (429, "claim.backoff"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_false_claims_costs_its_sender_and_nobody_else() {
    let world = World::new(&[(Temper::Honest, 1), (Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.false_claim_backoff_secs = 3600;
    let tick_blobs = settings.pace().tick_blobs as u64;
    let running = world.start(settings).await;
    let (liar, honest) = (http_from("127.6.6.6"), http_from("127.1.1.1"));

    // Both at once, from two networks: 100 false claims, 32 true ones.
    let lies = join_all((0..100).map(|n| post(&running, &liar, put_blob(b"a lie", n, false))));
    let truths =
        join_all((0..32).map(|n| post(&running, &honest, put_blob(b"the truth", n, true))));
    let (lies, truths) = tokio::join!(lies, truths);
    let mut accepted_lies = Vec::new();
    for answer in lies {
        if answer.status() == 202 {
            accepted_lies.push(accepted(answer).await.id);
        } else {
            refused(answer).await; // it was found out meanwhile
        }
    }
    assert!(!accepted_lies.is_empty());
    for answer in truths {
        let id = accepted(answer).await.id;
        running.certified(&id).await;
    }
    for id in &accepted_lies {
        let status = running.until(id, |status| status.state.is_final()).await;
        assert_eq!(status.state, BlobState::Failed);
        assert_eq!(status.error.unwrap().code, "claim.mismatch");
    }

    // One tick at most was spoiled, which costs two commitments a claim; after that a lie costs one, as a blob without
    // claims does, and true claims one a tick.
    let lies = accepted_lies.len() as u64;
    assert_eq!(running.metric("false_claims_total").await, lies);
    let checks = running.metric("claim_checks_total").await;
    assert!(
        checks <= lies + 32 + 2 * tick_blobs + 2,
        "{checks} commitments for {lies} false claims"
    );

    // The liar stays out; what needs no trust is taken from it as from everybody.
    refused(post(&running, &liar, put_blob(b"the truth", 1000, true)).await).await;
    let raw = liar.post(running.url("/v1/blobs")).body("raw").send();
    running
        .certified(&accepted(raw.await.unwrap()).await.id)
        .await;
    let honest = post(&running, &honest, put_blob(b"the truth", 1000, true)).await;
    running.certified(&accepted(honest).await.id).await;
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspect_is_served_again_and_pays_for_its_lies_alone() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.false_claim_backoff_secs = 1;
    let running = world.start(settings).await;
    let client = http_from("127.6.6.6");
    let mut salt = 0;
    let mut after_backoff = async |true_claims| loop {
        salt += 1;
        let answer = post(&running, &client, put_blob(b"payload", salt, true_claims)).await;
        if answer.status() == 202 {
            break accepted(answer).await.id;
        }
        refused(answer).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    for _ in 0..2 {
        let id = after_backoff(false).await;
        let status = running.until(&id, |status| status.state.is_final()).await;
        assert_eq!(status.error.unwrap().code, "claim.mismatch");
    }
    let before = running.metric("claim_checks_total").await;
    let id = after_backoff(true).await;
    running.certified(&id).await;
    assert_eq!(running.metric("claim_checks_total").await, before + 1);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_of_ours_senders_are_told_apart() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let running = world.start(settings).await;
    let from = |address: &'static str, body: Vec<u8>| {
        let request = running.http.post(running.url("/v1/blobs"));
        request
            .header("content-type", "application/x-protobuf")
            .header("x-forwarded-for", address)
            .body(body)
            .send()
    };
    let liar = "198.51.100.1, 203.0.113.6";
    let lie = accepted(from(liar, put_blob(b"a lie", 1, false)).await.unwrap()).await;
    running
        .until(&lie.id, |status| status.state.is_final())
        .await;
    refused(from(liar, put_blob(b"the truth", 1, true)).await.unwrap()).await;
    let other = "203.0.113.6, 198.51.100.1";
    let truth = from(other, put_blob(b"the truth", 2, true)).await.unwrap();
    running.certified(&accepted(truth).await.id).await;
    running.disperser.shutdown().await;
}
