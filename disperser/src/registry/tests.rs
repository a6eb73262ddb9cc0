#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use super::*;
use crate::kv::MemoryKv;
use crate::testing::{owner, party, posted};

fn open(kv: &MemoryKv, blobs: u64, bytes: u64) -> Registry {
    let store = Store::open(Arc::new(kv.clone()), &owner().public()).unwrap();
    Registry::open(
        store,
        OpenLimits {
            blobs,
            bytes,
            memory: 4096,
            retry_after_secs: 1,
        },
        Arc::new(Metrics::default()),
    )
    .unwrap()
}

const FULL: AcceptError = AcceptError::Full {
    retry_after_secs: 1,
};

fn has_room(registry: &Registry, bytes: u64) -> Result<(), AcceptError> {
    registry.check_room(&party(1), None, bytes)
}

fn fail(registry: &Registry, id: BlobId) {
    let records = registry
        .draft(&[id], |_, record| record.go(BlobState::Failed, 2))
        .unwrap();
    registry.store().failed(&records, true).unwrap();
    registry.publish(&records);
}

#[test]
fn the_same_blob_posted_again_is_the_same_blob() {
    let registry = open(&MemoryKv::new(), 10, 1000);
    let (first, new) = registry.accept(posted(b"payload", 1), 1, 100).unwrap();
    assert!(new);
    let (second, new) = registry.accept(posted(b"payload", 1), 50, 100).unwrap();
    assert!(!new);
    assert_eq!(first, second);
    let (third, new) = registry.accept(posted(b"payload", 2), 50, 100).unwrap();
    assert!(new);
    assert_ne!(first.id, third.id, "another salt is another blob");
    assert_eq!(registry.open_ids(), [first.id, third.id]);
}

#[test]
fn twins_posted_at_the_same_moment_are_one_blob() {
    let registry = open(&MemoryKv::new(), 100, 100_000);
    let new: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    usize::from(registry.accept(posted(b"payload", 1), 1, 100).unwrap().1)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(new, 1);
    assert_eq!(registry.open_ids().len(), 1);
}

#[test]
fn a_failed_blob_can_be_posted_again() {
    let registry = open(&MemoryKv::new(), 10, 1000);
    let (first, _) = registry.accept(posted(b"payload", 1), 1, 100).unwrap();
    fail(&registry, first.id);
    assert_eq!(
        registry.find(&first.id.0).unwrap().unwrap().state,
        BlobState::Failed
    );
    let (again, new) = registry.accept(posted(b"payload", 1), 50, 100).unwrap();
    assert!(new);
    assert_eq!(
        (again.id, again.state, again.submitted_at_ms),
        (first.id, BlobState::Queued, 50)
    );
    assert_eq!(
        registry.store().payload(&again.id).unwrap().unwrap(),
        b"payload"
    );
}

#[test]
fn blobs_and_bytes_are_bounded_and_room_comes_back() {
    let registry = open(&MemoryKv::new(), 2, 1000);
    let (first, _) = registry.accept(posted(b"payload", 1), 1, 100).unwrap();
    registry.accept(posted(b"payload", 2), 1, 100).unwrap();
    assert_eq!(has_room(&registry, 1), Err(FULL));
    assert_eq!(
        registry.accept(posted(b"payload", 3), 1, 100).unwrap_err(),
        FULL
    );
    // One that is there already needs no room.
    assert!(!registry.accept(posted(b"payload", 2), 1, 100).unwrap().1);
    fail(&registry, first.id);
    assert!(registry.accept(posted(b"payload", 3), 1, 100).unwrap().1);

    let registry = open(&MemoryKv::new(), 10, 20);
    registry.accept(posted(&[1; 15], 1), 1, 100).unwrap();
    assert_eq!(has_room(&registry, 5), Ok(()));
    assert_eq!(has_room(&registry, 6), Err(FULL));
    assert_eq!(
        registry.accept(posted(&[1; 6], 1), 1, 100).unwrap_err(),
        FULL
    );
    registry.accept(posted(&[1; 5], 1), 1, 100).unwrap();
}

#[test]
fn a_write_that_fails_gives_its_room_back() {
    let kv = MemoryKv::new();
    let registry = open(&kv, 1, 1000);
    kv.fail_writes(1);
    assert_eq!(
        registry
            .accept(posted(b"payload", 1), 1, 100)
            .unwrap_err()
            .code(),
        "store.write"
    );
    assert!(registry.open_ids().is_empty());
    assert!(registry.accept(posted(b"payload", 1), 1, 100).unwrap().1);
}

#[test]
fn a_restart_finds_every_open_blob() {
    let kv = MemoryKv::new();
    let registry = open(&kv, 10, 1000);
    let ids: Vec<BlobId> = (0..3)
        .map(|salt| {
            registry
                .accept(posted(b"payload", salt), 1, 100)
                .unwrap()
                .0
                .id
        })
        .collect();
    fail(&registry, ids[1]);
    drop(registry);
    kv.cut_power();
    let registry = open(&kv, 10, 1000);
    assert_eq!(registry.open_ids(), [ids[0], ids[2]]);
    let (fourth, _) = registry.accept(posted(b"payload", 9), 1, 100).unwrap();
    assert_eq!(
        registry.open_ids().last(),
        Some(&fourth.id),
        "orders go on behind those on disk"
    );
}

#[test]
fn drafts_are_not_seen_before_they_are_published() {
    let registry = open(&MemoryKv::new(), 10, 1000);
    let (blob, _) = registry.accept(posted(b"payload", 1), 1, 100).unwrap();
    let mut news = registry.watch(&blob.id).unwrap();
    let drafts = registry
        .draft(&[blob.id], |_, record| record.go(BlobState::Encoding, 2))
        .unwrap();
    assert_eq!(registry.live(&blob.id).unwrap().state, BlobState::Queued);
    assert!(!news.has_changed().unwrap());
    registry.publish(&drafts);
    assert_eq!(registry.live(&blob.id).unwrap().state, BlobState::Encoding);
    assert!(news.has_changed().unwrap());
    news.mark_unchanged();
    let error = registry
        .draft(&[blob.id], |_, record| record.go(BlobState::Certified, 3))
        .unwrap_err();
    assert_eq!(error.code(), "disperser.transition");
    fail(&registry, blob.id);
    assert!(news.has_changed().is_err(), "the news end with the blob");
    assert!(registry.watch(&blob.id).is_none());
}
