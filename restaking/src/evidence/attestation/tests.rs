#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;
use ashlar_proto::{BatchHeader, Block, HARD_MAX_BATCH_ROWS, TableRoot, batch_tree};

use super::super::Fault;
use super::super::testing::*;
use super::*;

fn attest(n: u8, header: BatchHeader, breach: Breach) -> Fault {
    Fault::BadAttestation(BadAttestation {
        operator: id(n),
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

/// Those that the ledger's records decide.
fn recorded_breaches() -> [Breach; 4] {
    [
        Breach::Header,
        Breach::Table,
        Breach::UnknownDisperser,
        Breach::Unassigned(honest_blob()),
    ]
}

/// The codes with which each of [`recorded_breaches`] is refused or proven (`""`) for a header changed so.
fn outcomes(change: impl Fn(&mut BatchHeader)) -> [&'static str; 4] {
    recorded_breaches().map(|breach| {
        let mut header = world().batch.clone();
        change(&mut header);
        match world().prove(&attest(2, header, breach)) {
            Ok(_) => "",
            Err(error) => error.code(),
        }
    })
}

/// What an honest operator signed convicts it of nothing.
#[test]
fn a_batch_that_keeps_the_rules() {
    let world = world();
    for breach in recorded_breaches()
        .into_iter()
        .chain([Breach::Blob(honest_blob())])
    {
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

/// A version counts from the block on in which the service recorded it, whatever the checker's software knows.
#[test]
fn versions_are_those_recorded_at_the_block() {
    let world = world();
    let at = |table: &OperatorTable, version| {
        let mut header = batch_of(table, &world.blobs);
        header.version = version;
        match world.prove(&attest(6, header, Breach::Header)) {
            Ok(_) => "",
            Err(error) => error.code(),
        }
    };
    // Version 2 is known to this software, but was recorded between the two blocks only.
    assert_eq!(at(&world.table, 2), "");
    assert_eq!(at(&world.other_table, 2), "evidence.not_broken");
    // Recorded, but unknown to this software: not proven, whatever else the header says.
    assert_eq!(at(&world.table, NEW_VERSION), "");
    assert_eq!(
        at(&world.other_table, NEW_VERSION),
        "evidence.unknown_version"
    );
    let mut header = batch_of(&world.other_table, &world.blobs);
    (header.version, header.blobs) = (NEW_VERSION, 0);
    assert_eq!(
        world.refuse(&attest(6, header, Breach::Header)),
        "evidence.unknown_version"
    );
}

/// The same of a blob: the rules of an unknown version cannot be seen broken, but that the versions differ can.
#[test]
fn blobs_of_an_unknown_version() {
    let world = world();
    let with = |blob: u16, batch: u16| {
        let mut blobs = world.blobs.clone();
        blobs[0].version = blob;
        blobs[0].payload_len = 0;
        let mut header = batch_of(&world.other_table, &blobs);
        header.version = batch;
        let keys: Vec<_> = blobs.iter().map(BlobHeader::blob_key).collect();
        let blob = BlobInBatch {
            header: blobs[0].clone(),
            index: 0,
            path: batch_tree(&keys).path(0).unwrap(),
        };
        match world.prove(&attest(6, header, Breach::Blob(blob))) {
            Ok(_) => "",
            Err(error) => error.code(),
        }
    };
    assert_eq!(with(NEW_VERSION, NEW_VERSION), "evidence.unknown_version");
    assert_eq!(with(2, NEW_VERSION), "");
    assert_eq!(with(2, 2), "");
}

/// A checker that is behind, even by one block, proves nothing about what it has not seen.
#[test]
fn blocks_that_are_not_over() {
    for block in [HEAD + 1, Block(u64::MAX)] {
        let codes = outcomes(|header| header.reference_block = block);
        assert_eq!(codes, ["evidence.unseen_block"; 4]);
    }
    let codes = outcomes(|header| header.reference_block = BLOCK.saturating_sub(1));
    assert_eq!(codes, ["evidence.no_table"; 4]);
}

/// Who signs for another table than the recorded one is guilty of that, and judged by no other rule of the recorded table.
#[test]
fn another_table() {
    let codes = outcomes(|header| {
        header.table_root = TableRoot([7; 32]);
        header.version = 9;
        header.disperser_id = 99;
    });
    assert_eq!(
        codes,
        [
            "evidence.other_table",
            "",
            "evidence.other_table",
            "evidence.other_table"
        ]
    );
    // The root of another block is another table too.
    let codes = outcomes(|header| header.table_root = world().other_table.root());
    assert_eq!(codes[1], "");
}

/// Who believed a head that the source signed is acquitted of whatever follows from it.
#[test]
fn a_table_that_the_source_signed() {
    let codes = outcomes(|header| {
        header.table_root = LIE;
        header.version = 9;
        header.disperser_id = 99;
    });
    assert_eq!(codes, ["evidence.source_signed"; 4]);
    // It signed it for one block, not for every one.
    let codes = outcomes(|header| {
        header.table_root = LIE;
        header.reference_block = OTHER_BLOCK;
    });
    assert_eq!(codes[1], "");
}

#[test]
fn blobs_that_break_the_rules() {
    let world = world();
    let with = |change: fn(&mut Vec<BlobHeader>, &mut BatchHeader)| {
        let mut blobs = world.blobs.clone();
        let mut scratch = world.batch.clone();
        change(&mut blobs, &mut scratch);
        let mut batch = batch_of(&world.table, &blobs);
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
    let batch = batch_of(&world.table, &blobs);
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
    let Fault::BadAttestation(good) = faults().swap_remove(3) else {
        panic!("another kind");
    };
    let with = |change: fn(&mut BadAttestation)| {
        let mut fault = good.clone();
        change(&mut fault);
        world.refuse(&Fault::BadAttestation(fault))
    };
    assert_eq!(with(|f| f.operator = id(9)), "evidence.unknown_operator");
    assert_eq!(with(|f| f.operator = id(3)), "evidence.signature");
    assert_eq!(
        with(|f| f.batch.signature.0 = [1; 48]),
        "evidence.signature"
    );
    assert_eq!(
        with(|f| f.batch.header.domain.0[0] ^= 1),
        "evidence.other_domain"
    );
    let mut elsewhere = honest_blob();
    elsewhere.index = 0;
    for breach in [
        Breach::Unassigned(elsewhere.clone()),
        Breach::Blob(elsewhere),
    ] {
        assert_eq!(
            world.refuse(&attest(5, world.batch.clone(), breach)),
            "evidence.blob_path"
        );
    }
}
