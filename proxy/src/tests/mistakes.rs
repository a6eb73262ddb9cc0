//! What another proxy got wrong, and what it must not be here.

use std::sync::atomic::Ordering;

use ashlar_crypto::account::keccak256;

use super::stores::object;
use super::world::{World, forged, payload};
use crate::config::InvalidCert;
use crate::{Failover, Mode};

#[tokio::test]
async fn cache_hits_are_verified_and_a_damaged_one_is_healed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().display().to_string();
    let world = World::with(|config| config.store.cache.clone_from(&cache));
    let sent = payload(1, 300_000);
    let commitment = world.put(&sent).await.ok();
    let file = object(folder.path());
    let mut flipped = sent.clone();
    flipped[150_000] ^= 1;
    for planted in [
        flipped,
        payload(2, 300_000),
        payload(1, 299_999),
        Vec::new(),
        payload(1, 300_001),
    ] {
        std::fs::write(&file, planted).unwrap();
        assert!(world.get(&commitment).await.ok() == sent);
        assert!(std::fs::read(&file).unwrap() == sent, "it is not healed");
    }
    let metrics = world.metrics();
    assert!(
        metrics.contains(r#"damaged_objects_total{store="cache"} 5"#),
        "{metrics}"
    );
    assert!(
        metrics.contains(r#"healed_objects_total{store="cache"} 5"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn damaged_keccak_objects_are_refused_and_healed_by_the_next_post() {
    let folder = tempfile::tempdir().unwrap();
    let keccak = folder.path().display().to_string();
    let world = World::with(|config| config.store.keccak.clone_from(&keccak));
    let commitment = [&[0], &keccak256(b"some")[..]].concat();
    let path = format!("/put/0x{}", hex::encode(&commitment));
    world.send("POST", &path, "some").await.ok();
    std::fs::write(object(folder.path()), "other").unwrap();
    // It is not missing, of which op-node would make an end of the chain.
    let answer = world.get(&commitment).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (500, &"store.damaged".into())
    );
    world.send("POST", &path, "some").await.ok();
    assert_eq!(world.get(&commitment).await.ok(), "some");
    assert!(
        world
            .metrics()
            .contains(r#"healed_objects_total{store="keccak"} 1"#)
    );
}

#[tokio::test]
async fn an_error_of_the_verifier_is_never_told_as_a_drop() {
    for invalid_cert in [InvalidCert::Teapot, InvalidCert::Empty] {
        let world = World::with(|config| config.op.invalid_cert = invalid_cert);
        let commitment = world.put(b"some").await.ok();
        // Neither of a good certificate nor of a bad one is anything said while the operator table cannot be had.
        world.tables.broken.store(true, Ordering::Relaxed);
        for asked in [commitment.to_vec(), forged(&commitment)] {
            let answer = world.get(&asked).await;
            assert!(answer.status >= 500, "{}", answer.status);
        }
        world.tables.broken.store(false, Ordering::Relaxed);
        assert_eq!(world.get(&commitment).await.ok(), "some");
        assert_ne!(world.get(&forged(&commitment)).await.body, "some");
    }
}

#[tokio::test]
async fn read_only_holds_for_every_post() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(|config| {
        config.proxy.mode = Mode::ReadOnly;
        config.op.failover = Failover::Unavailable;
        config.store.keccak = folder.path().display().to_string();
    });
    let keccak = format!("/put/0x00{}", hex::encode(keccak256(b"some")));
    for path in ["/put", "/put/", "/put?commitment_mode=standard", &keccak] {
        let answer = world.send("POST", path, "some").await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (403, &"proxy.read_only".into()),
            "{path}"
        );
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(world.network.blobs(), 0);
}
