//! Cache and fallback: believed by nobody, and of use past the retention.

use std::path::{Path, PathBuf};

use super::world::{World, payload};

/// The only object below a folder.
pub(super) fn object(folder: &Path) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn lose(world: &World, commitment: &[u8]) {
    let read = ashlar_proto::Certificate::from_bytes(&commitment[3..]).unwrap();
    assert!(world.network.lose(read.blob_header.blob_key()));
}

#[tokio::test]
async fn a_fallback_gives_what_operators_no_longer_have() {
    let folder = tempfile::tempdir().unwrap();
    let fallback = folder.path().display().to_string();
    let world = World::with(|config| config.store.fallback.clone_from(&fallback));
    let sent = payload(5, 200_000);
    let commitment = world.put(&sent).await.ok();
    lose(&world, &commitment);
    assert!(world.get(&commitment).await.ok() == sent);
    assert!(
        world
            .metrics()
            .contains(r#"reads_total{from="fallback"} 1"#)
    );
    // What was planted in its place is refused, and nothing is said about the commitment.
    std::fs::write(object(folder.path()), payload(6, 200_000)).unwrap();
    let answer = world.get(&commitment).await;
    assert_eq!(answer.status, 503);
    assert!(
        world
            .metrics()
            .contains(r#"damaged_objects_total{store="fallback"} 1"#)
    );
}

#[tokio::test]
async fn operators_that_are_silent_leave_time_for_the_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with(|config| {
        config.store.fallback = folder.path().display().to_string();
        config.get.deadline_secs = 2;
    });
    let commitment = world.put(b"some").await.ok();
    let silence = std::time::Duration::from_secs(60);
    world.network.set(|switches| switches.get_latency = silence);
    assert_eq!(world.get(&commitment).await.ok(), "some");
}

#[tokio::test]
async fn what_a_reader_fetched_is_kept_for_the_next() {
    let (cache, fallback) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let writer = World::new();
    let sent = payload(7, 1000);
    let commitment = writer.put(&sent).await.ok();
    let reader = World::over(writer.network.clone(), |config| {
        config.proxy.mode = crate::Mode::ReadOnly;
        config.store.cache = cache.path().display().to_string();
        config.store.fallback = fallback.path().display().to_string();
    });
    assert!(reader.get(&commitment).await.ok() == sent);
    assert!(std::fs::read(object(fallback.path())).unwrap() == sent);
    lose(&writer, &commitment);
    assert!(reader.get(&commitment).await.ok() == sent);
    assert!(reader.metrics().contains(r#"reads_total{from="cache"} 1"#));
}

#[tokio::test]
async fn a_store_that_fails_keeps_nobody_from_posting_and_reading() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let world = World::with(|config| config.store.cache = cache.display().to_string());
    std::fs::remove_dir(&cache).unwrap();
    std::fs::write(&cache, "no folder").unwrap();
    let commitment = world.put(b"some").await.ok();
    assert_eq!(world.get(&commitment).await.ok(), "some");
    assert!(
        world
            .metrics()
            .contains(r#"store_failures_total{store="cache"}"#)
    );
    assert_eq!(
        world.send("GET", "/v1/health", "").await.json()["reasons"][0]["code"],
        "store"
    );
}
