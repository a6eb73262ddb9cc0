#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;
use ashlar_proto::{BatchHeader, HARD_MAX_BATCH_ROWS, batch_tree};

use super::super::Fault;
use super::super::testing::*;
use super::*;

fn attest(n: u8, header: BatchHeader, breach: Breach) -> Fault {
    Fault::BadAttestation(BadAttestation {
        operator: id(n),
        table_block: BLOCK,
        batch: SignedBatch::sign(&key(n), header),
        breach,
    })
}

fn honest_blob() -> BlobInBatch {
    BlobInBatch {
        header: world().blob().clone(),
        index: BLOB as u32,
        path: world().blob_path(BLOB),
    }
}

/// What an honest operator signed convicts it of nothing.
#[test]
fn a_batch_that_keeps_the_rules() {
    let world = world();
    for breach in [
        Breach::Header,
        Breach::FutureReference,
        Breach::UnknownDisperser,
        Breach::Blob(honest_blob()),
        Breach::Unassigned(honest_blob()),
    ] {
        let fault = attest(2, world.batch.clone(), breach);
        assert_eq!(world.refuse(&fault), "evidence.not_broken", "{fault:?}");
    }
}

#[test]
fn headers_that_are_not_valid() {
    let world = world();
    let with = |change: fn(&mut BatchHeader)| {
        let mut header = world.batch.clone();
        change(&mut header);
        world.prove(&attest(1, header, Breach::Header)).map(|_| ())
    };
    assert_eq!(with(|h| h.version = 0), Ok(()));
    assert_eq!(with(|h| h.blobs = 0), Ok(()));
    assert_eq!(with(|h| h.blobs = h.rows + 1), Ok(()));
    assert_eq!(with(|h| h.rows = HARD_MAX_BATCH_ROWS + 1), Ok(()));
    assert_eq!(
        with(|h| h.rows = HARD_MAX_BATCH_ROWS).unwrap_err().code(),
        "evidence.not_broken"
    );
}

#[test]
fn the_newest_block_is_not_the_future() {
    let world = world();
    let at = |reference_block| {
        let header = BatchHeader {
            reference_block,
            ..world.batch.clone()
        };
        world.prove(&attest(1, header, Breach::FutureReference))
    };
    assert!(at(HEAD + 1).is_ok() && at(u64::MAX).is_ok());
    assert_eq!(at(HEAD).unwrap_err().code(), "evidence.not_broken");
}

#[test]
fn blobs_that_break_the_rules() {
    let world = world();
    let with = |change: fn(&mut Vec<BlobHeader>, &mut BatchHeader)| {
        let mut blobs = world.blobs.clone();
        let mut scratch = world.batch.clone();
        change(&mut blobs, &mut scratch);
        let mut batch = batch_of(&blobs);
        batch.rows = scratch.rows;
        let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
        let blob = BlobInBatch {
            header: blobs[0].clone(),
            index: 0,
            path: batch_tree(&keys).path(0).unwrap(),
        };
        world
            .prove(&attest(3, batch, Breach::Blob(blob)))
            .map(|_| ())
            .map_err(|error| error.code())
    };
    assert_eq!(with(|_, _| ()), Err("evidence.not_broken"));
    assert_eq!(with(|blobs, _| blobs[0].version = 2), Ok(()));
    assert_eq!(with(|blobs, _| blobs[0].rows = 2), Ok(()));
    assert_eq!(with(|blobs, _| blobs[0].payload_len = 0), Ok(()));
    assert_eq!(with(|blobs, _| blobs[0].quorums = vec![1, 0]), Ok(()));
    assert_eq!(with(|blobs, _| blobs[0].quorums = vec![]), Ok(()));
    assert_eq!(
        with(|blobs, batch| {
            blobs[0] = blobs[1].clone();
            batch.rows = 1;
        }),
        Ok(())
    );
}

#[test]
fn unassigned_is_without_stake_in_every_quorum() {
    let world = world();
    let mut blobs = world.blobs.clone();
    blobs.iter_mut().for_each(|blob| blob.quorums = vec![1]);
    let batch = batch_of(&blobs);
    let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
    let blob = BlobInBatch {
        header: blobs[0].clone(),
        index: 0,
        path: batch_tree(&keys).path(0).unwrap(),
    };
    assert!(
        world
            .prove(&attest(1, batch.clone(), Breach::Unassigned(blob.clone())))
            .is_ok()
    );
    assert_eq!(
        world.refuse(&attest(5, batch, Breach::Unassigned(blob))),
        "evidence.not_broken"
    );
}

#[test]
fn each_refusal() {
    let world = world();
    let future = BatchHeader {
        reference_block: HEAD + 1,
        ..world.batch.clone()
    };
    let Fault::BadAttestation(good) = attest(2, future, Breach::FutureReference) else {
        panic!("another kind");
    };
    let with = |change: fn(&mut BadAttestation)| {
        let mut fault = good.clone();
        change(&mut fault);
        world.refuse(&Fault::BadAttestation(fault))
    };
    assert_eq!(with(|f| f.table_block = 99), "evidence.no_table");
    assert_eq!(with(|f| f.table_block = 120), "evidence.not_on_table");
    assert_eq!(with(|f| f.operator = id(3)), "evidence.signature");
    assert_eq!(
        with(|f| f.batch.signature.0 = [1; 48]),
        "evidence.signature"
    );
    assert_eq!(
        with(|f| f.breach = Breach::UnknownDisperser),
        "evidence.no_table"
    );
    assert_eq!(
        with(|f| f.breach = Breach::Unassigned(honest_blob())),
        "evidence.no_table"
    );
    let mut elsewhere = honest_blob();
    elsewhere.index = 0;
    assert_eq!(
        world.refuse(&attest(
            5,
            world.batch.clone(),
            Breach::Unassigned(elsewhere.clone())
        )),
        "evidence.blob_path"
    );
    assert_eq!(
        world.refuse(&attest(5, world.batch.clone(), Breach::Blob(elsewhere))),
        "evidence.blob_path"
    );
}
