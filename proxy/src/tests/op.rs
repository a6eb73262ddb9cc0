//! Every answer that the OP Stack makes something of.

use ashlar_client::memory::{Certificates, MemoryNetwork};
use ashlar_client::{Age, DaClient as _, Policy, PutOptions, RequiredQuorums};
use ashlar_crypto::account::keccak256;

use super::world::{World, forged, payload};
use crate::commitment::generic;
use crate::config::{Failover, InvalidCert};

#[tokio::test]
async fn what_is_put_is_got() {
    let world = World::new();
    for len in [1, 31, 120_000, 1_000_000] {
        let sent = payload(1, len);
        let commitment = world.put(&sent).await.ok();
        assert_eq!(commitment[..3], [1, 0xa5, 1]);
        assert!(world.get(&commitment).await.ok() == sent);
        // Without the OP Stack's bytes, and with a slash, as its client writes the path.
        let path = "/put/?commitment_mode=standard";
        let standard = world.send("POST", path, sent.clone()).await.ok();
        assert_eq!(standard, commitment[2..]);
        let query = "?commitment_mode=standard&l1_inclusion_block_number=17";
        assert!(world.ask(&standard, query).await.ok() == sent);
    }
}

#[tokio::test]
async fn fault_proofs_get_the_rows() {
    let world = World::new();
    let sent = payload(2, 1000);
    let commitment = world.put(&sent).await.ok();
    let rows = world
        .ask(&commitment, "?return_encoded_payload=true")
        .await
        .ok();
    let expected = ashlar_crypto::Rows::from_payload(&sent, ashlar_crypto::Encoding::Packed31);
    assert_eq!(rows, expected.unwrap().as_bytes());
}

#[tokio::test]
async fn a_failed_post_is_never_a_success_and_closes_the_connection() {
    let world = World::with(|config| config.put.max_payload = 1000);
    for (sent, status, code) in [
        (Vec::new(), 400, "payload.empty"),
        (payload(1, 1001), 413, "proxy.too_large"),
    ] {
        let answer = world.put(&sent).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["code"], code);
        assert_eq!(answer.headers["connection"], "close");
    }
    world.network.set(|switches| switches.fail_blobs = 1);
    let answer = world.put(b"some").await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (500, &"client.blob_failed".into())
    );
    assert_eq!(answer.headers["connection"], "close");
    assert!(world.put(b"some").await.ok().starts_with(&[1]));
}

#[tokio::test]
async fn failover_is_503_after_so_many_failures_and_only_where_it_is_wanted() {
    for (failover, after, expected) in [
        (Failover::Retry, 1, [500, 500, 500]),
        (Failover::Unavailable, 1, [503, 503, 503]),
        (Failover::Unavailable, 3, [500, 500, 503]),
    ] {
        let world = World::with(|config| {
            config.op.failover = failover;
            config.op.failover_after = after;
        });
        world.network.set(|switches| switches.refuse_puts = 3);
        for status in expected {
            assert_eq!(world.put(b"some").await.status, status);
        }
        world.put(b"some").await.ok();
        world.network.set(|switches| switches.refuse_puts = 1);
        let first = if failover == Failover::Unavailable && after == 1 {
            503
        } else {
            500
        };
        assert_eq!(world.put(b"other").await.status, first);
        // A request that is none is no reason to go to L1.
        assert_eq!(world.put(b"").await.status, 400);
    }
}

#[tokio::test]
async fn too_much_at_a_time_is_not_the_layers_failure() {
    let world = World::with(|config| {
        config.op.failover = Failover::Unavailable;
        config.serve.places = 1;
        config.serve.wait_secs = 0;
    });
    let place = world.core.place_to_put().await.unwrap();
    let answer = world.put(b"some").await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (429, &"proxy.busy".into())
    );
    assert_eq!(answer.headers["retry-after"], "1");
    // Readers have places of their own.
    assert_eq!(world.get(&[1, 0xa5, 1, 0]).await.status, 200);
    drop(place);
    world.put(b"some").await.ok();
}

#[tokio::test]
async fn what_is_invalid_is_dropped_as_the_stack_wants_it() {
    let teapot = World::with(|config| config.op.invalid_cert = InvalidCert::Teapot);
    let empty = World::over(teapot.network.clone(), |_| {});
    let commitment = teapot.put(b"some").await.ok();
    let mut cut = commitment.to_vec();
    cut.pop();
    let mut magic = commitment.to_vec();
    magic[3] ^= 1;
    for (bad, number) in [
        (forged(&commitment), 3),
        (cut, 1),
        (magic, 1),
        (vec![1, 0xa5], 1),
        (vec![1, 0xa5, 7, 1], 1),
    ] {
        let told = teapot.get(&bad).await;
        assert_eq!(told.status, 418);
        assert_eq!(told.headers["connection"], "close");
        assert_eq!(told.json()["StatusCode"], number, "{}", told.json());
        assert!(told.json()["Msg"].is_string());
        assert!(empty.get(&bad).await.ok().is_empty());
    }
    assert!(teapot.metrics().contains("invalid_certificates_total"));
    // What follows the certificate's own words does not: it is still the other one.
    assert_eq!(teapot.get(&commitment).await.ok(), "some");
}

#[tokio::test]
async fn recency_follows_the_block_of_inclusion_and_nothing_else() {
    let world = World::with(|config| {
        config.policy.recency_blocks = 10;
        config.op.invalid_cert = InvalidCert::Teapot;
    });
    // Its reference block is 1.
    let commitment = world.put(b"some").await.ok();
    for (query, status) in [
        ("", 200),
        ("?l1_inclusion_block_number=0", 200),
        ("?l1_inclusion_block_number=11", 200),
        ("?l1_inclusion_block_number=12", 418),
    ] {
        let answer = world.ask(&commitment, query).await;
        assert_eq!(answer.status, status, "{query}");
        if status == 418 {
            assert_eq!(answer.json()["StatusCode"], 2);
        }
    }
}

/// A certificate that is past the retention, and that everybody read in time.
async fn old(network: &MemoryNetwork) -> Vec<u8> {
    network.set(|switches| switches.certificates = Certificates::Expired);
    let policy = Policy::new(network.trust(), RequiredQuorums::all([0]), Age::Unbounded);
    let client = network.client(policy);
    let put = client.put_and_wait("old".into(), PutOptions::default());
    let certificate = put.await.unwrap().certificate;
    network.set(|switches| switches.certificates = Certificates::True);
    generic(&certificate.certificate().to_bytes())
}

#[tokio::test]
async fn a_generic_commitment_is_never_told_that_there_is_nothing() {
    let world = World::with(|config| config.op.invalid_cert = InvalidCert::Teapot);
    let commitment = world.put(b"some").await.ok();
    let old = old(&world.network).await;
    // The time of a certificate is over: its data is gone, and the certificate is as good as before.
    let answer = world.get(&old).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (503, &"retrieve.too_few_slices".into())
    );
    // Operators do not answer, or have lost it.
    world.network.set(|switches| switches.fail_gets = 1);
    assert_eq!(world.get(&commitment).await.status, 503);
    assert_eq!(world.get(&commitment).await.ok(), "some");
    let read = ashlar_proto::Certificate::from_bytes(&commitment[3..]).unwrap();
    assert!(world.network.lose(read.blob_header.blob_key()));
    let answer = world.get(&commitment).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["connection"], "close");
    // Another layer's: not for us to say what it is worth.
    assert_eq!(world.get(&[1, 0, 1, 2, 3]).await.status, 400);
}

#[tokio::test]
async fn keccak_commitments_are_kept_and_a_missing_one_is_404() {
    let folder = tempfile::tempdir().unwrap();
    let keccak = folder.path().join("keccak").display().to_string();
    let world = World::with(|config| config.store.keccak.clone_from(&keccak));
    let sent = payload(3, 100_000);
    let commitment = [&[0], &keccak256(&sent)[..]].concat();
    let missing = world.get(&commitment).await;
    assert_eq!(
        (missing.status, &missing.json()["code"]),
        (404, &"proxy.missing".into())
    );
    let path = format!("/put/0x{}", hex::encode(&commitment));
    let other = world.send("POST", &path, "other").await;
    assert_eq!(
        (other.status, &other.json()["code"]),
        (400, &"proxy.other_hash".into())
    );
    for _ in 0..2 {
        assert!(
            world
                .send("POST", &path, sent.clone())
                .await
                .ok()
                .is_empty()
        );
    }
    // Another process finds it.
    let world = World::with(|config| config.store.keccak.clone_from(&keccak));
    assert!(world.get(&commitment).await.ok() == sent);
    assert_eq!(world.network.blobs(), 0);
    // Without a store nothing is missing: it is this proxy that cannot say.
    let without = World::new();
    assert_eq!(without.get(&commitment).await.status, 500);
    assert_eq!(without.send("POST", &path, sent).await.status, 500);
}

#[tokio::test]
async fn paths_that_are_none_are_400() {
    let world = World::new();
    for path in [
        "/get/0xzz",
        "/get/01a501",
        "/get/0x07",
        "/get/0x0011",
        "/get/0x01a501?commitment_mode=other",
        "/get/0x01a501?l1_inclusion_block_number=x",
    ] {
        assert_eq!(world.send("GET", path, "").await.status, 400, "{path}");
    }
    let by_certificate = world.send("POST", "/put/0x01a5010203", "some").await;
    assert_eq!(by_certificate.status, 400);
}

#[tokio::test]
async fn start_up_checks_see_how_it_judges() {
    let world = World::new();
    let config = world.send("GET", "/config", "").await;
    let config = config.json();
    assert_eq!(config["invalid_cert"], "empty-200");
    assert_eq!(config["failover"], "retry");
    assert_eq!(config["commitment"]["da_byte"], 0xa5);
    assert_eq!(config["required_quorums"], serde_json::json!([0]));
    for path in ["/health", "/v1/health", "/metrics", "/v1/openapi.json"] {
        world.send("GET", path, "").await.ok();
    }
}

#[tokio::test]
async fn memory_mode_has_switches() {
    let world = World::new();
    let change = r#"{"refuse_puts": 1, "put_latency_ms": 1, "certificates": "true"}"#;
    let now = world.send("POST", "/memstore/config", change).await.json();
    assert_eq!(
        (&now["refuse_puts"], &now["put_latency_ms"]),
        (&1.into(), &1.into())
    );
    assert_eq!(world.put(b"some").await.status, 500);
    world.put(b"some").await.ok();
    let shown = world.send("GET", "/memstore/config", "").await.json();
    assert_eq!(
        (&shown["refuse_puts"], &shown["put_latency_ms"]),
        (&0.into(), &1.into())
    );
    let unknown = world.send("POST", "/memstore/config", r#"{"no": 1}"#).await;
    assert_eq!(unknown.status, 400);
}
