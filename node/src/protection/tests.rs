#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::bls::SecretKey;

use super::*;
use crate::store::tests::{DOMAIN, ME, sample, sequence};
use crate::store::{
    DatabaseId, MemoryBackend, MemoryStore, RocksBackend, RocksOptions, TableStore,
};

fn key() -> PublicKeyBytes {
    SecretKey::from_ikm(&[1; 32]).public_key().to_bytes()
}

fn store() -> MemoryStore {
    TableStore::create(MemoryBackend::new(), ME, DatabaseId([1; 16]), 100).unwrap()
}

fn floor(disperser_id: u32, sequence: u64) -> Floor {
    Floor {
        domain: DOMAIN,
        disperser_id,
        sequence: Sequence(sequence),
    }
}

/// One in which disperser 1 is at 7, disperser 2 at 3.
fn used() -> MemoryStore {
    let store = store();
    for (disperser, sequence) in [(1, 5), (1, 7), (2, 3), (1, 6)] {
        store
            .commit(&sample(disperser, sequence, sequence, 950))
            .unwrap();
    }
    store
}

#[test]
fn export_ends_signing_and_import_goes_on_above() {
    let (old, new) = (used(), store());
    let file = export(&old, &key(), 99).unwrap();
    assert_eq!(file.floors, [floor(1, 7), floor(2, 3)]);
    assert!(!file.snapshot);
    for number in [7, 8] {
        let error = old.commit(&sample(1, number, number, 950)).unwrap_err();
        assert_eq!(error.code(), "store.moved");
    }
    // The same floors again, for who has lost the file.
    assert_eq!(export(&old, &key(), 99).unwrap(), file);

    let file = ProtectionFile::parse(&file.to_json().unwrap()).unwrap();
    let done = file.import(&new, &key()).unwrap();
    assert_eq!(
        done,
        Imported {
            floors: 2,
            raised: 2
        }
    );
    for (disperser, number) in [(1, 0), (1, 6), (1, 7), (2, 3)] {
        let error = new
            .commit(&sample(disperser, number, number, 950))
            .unwrap_err();
        assert_eq!(error.code(), "store.below_floor", "{disperser} {number}");
        let early = new.may_promise(&sequence(disperser, number)).unwrap_err();
        assert_eq!(early.code(), "store.below_floor");
    }
    for (disperser, number) in [(1, 8), (2, 4), (3, 0)] {
        new.commit(&sample(disperser, number, number, 950)).unwrap();
    }
    // Once more changes nothing; what was signed meanwhile makes the file an old one.
    let error = file.import(&new, &key()).unwrap_err();
    assert_eq!(error.code(), "protection.older");
}

#[test]
fn floors_survive_and_are_handed_on() {
    let folder = tempfile::tempdir().unwrap();
    let open = |create| {
        let options = RocksOptions {
            create,
            ..RocksOptions::new(folder.path())
        };
        RocksBackend::open(options).unwrap()
    };
    let first = TableStore::create(open(true), ME, DatabaseId([1; 16]), 100).unwrap();
    let file = export(&used(), &key(), 99).unwrap();
    file.import(&first, &key()).unwrap();
    drop(first);
    let again = TableStore::open(open(false), ME, 100).unwrap();
    assert_eq!(again.spent().unwrap(), file.floors);
    assert_eq!(
        again.commit(&sample(1, 7, 1, 950)).unwrap_err().code(),
        "store.below_floor"
    );
    export(&again, &key(), 99).unwrap();
    drop(again);
    let moved = TableStore::open(open(false), ME, 100).unwrap();
    assert!(moved.has_moved());
    assert_eq!(
        moved.commit(&sample(1, 8, 1, 950)).unwrap_err().code(),
        "store.moved"
    );
    let error = file.import(&moved, &key()).unwrap_err();
    assert_eq!(error.code(), "store.moved");
}

#[test]
fn an_older_file_lowers_nothing() {
    let file = |floors: Vec<Floor>| ProtectionFile {
        floors,
        ..export(&store(), &key(), 99).unwrap()
    };
    for floors in [
        vec![],
        vec![floor(1, 7)],
        vec![floor(1, 6), floor(2, 3)],
        vec![floor(1, 100), floor(2, 2)],
    ] {
        let here = used();
        let error = file(floors).import(&here, &key()).unwrap_err();
        assert_eq!(error.code(), "protection.older");
        assert_eq!(here.spent().unwrap(), [floor(1, 7), floor(2, 3)]);
    }
    // The same for floors that were imported before.
    let here = store();
    file(vec![floor(1, 7)]).import(&here, &key()).unwrap();
    let error = file(vec![floor(1, 6)]).import(&here, &key()).unwrap_err();
    assert_eq!(error.code(), "protection.older");
    let done = file(vec![floor(1, 7), floor(2, 0)])
        .import(&here, &key())
        .unwrap();
    assert_eq!(
        done,
        Imported {
            floors: 2,
            raised: 1
        }
    );
}

#[test]
fn a_snapshot_is_not_for_moving() {
    let old = used();
    let file = snapshot(&old, &key(), 99).unwrap();
    assert_eq!(file.floors, [floor(1, 7), floor(2, 3)]);
    old.commit(&sample(1, 8, 8, 950)).unwrap();
    let new = store();
    let error = file.import(&new, &key()).unwrap_err();
    assert_eq!(error.code(), "protection.snapshot");
    assert!(new.spent().unwrap().is_empty());
}

#[test]
fn another_operators_file_is_refused() {
    let other = SecretKey::from_ikm(&[2; 32]).public_key().to_bytes();
    let file = export(&used(), &other, 99).unwrap();
    let new = store();
    let error = file.import(&new, &key()).unwrap_err();
    assert_eq!(error.code(), "protection.other_key");
    assert!(new.spent().unwrap().is_empty());
}

/// The numbers of one service are not those of another.
#[test]
fn a_floor_holds_in_its_domain_alone() {
    let new = store();
    let elsewhere = Floor {
        domain: Domain([77; 32]),
        ..floor(1, 7)
    };
    let file = ProtectionFile {
        floors: vec![elsewhere],
        ..export(&store(), &key(), 99).unwrap()
    };
    file.import(&new, &key()).unwrap();
    new.commit(&sample(1, 7, 1, 950)).unwrap();
}

#[test]
fn what_is_no_such_file_is_refused() {
    let good = export(&used(), &key(), 99).unwrap();
    let text = good.to_json().unwrap();
    assert_eq!(ProtectionFile::parse(&text).unwrap(), good);
    let json = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        change(&mut value);
        ProtectionFile::parse(&value.to_string()).map_err(|e| e.code())
    };
    assert_eq!(
        json(&|v| v["version"] = 2.into()),
        Err("protection.version")
    );
    let malformed: [&dyn Fn(&mut serde_json::Value); 6] = [
        &|v| v["more"] = 1.into(),
        &|v| v["floors"][0]["more"] = 1.into(),
        &|v| v["floors"].as_array_mut().unwrap().reverse(),
        &|v| v["floors"][1] = v["floors"][0].clone(),
        &|v| v["floors"][0]["sequence"] = (-1).into(),
        &|v| {
            v.as_object_mut().unwrap().remove("snapshot");
        },
    ];
    for change in malformed {
        assert_eq!(json(change), Err("protection.malformed"));
    }
    for text in ["", "{}", "[]"] {
        assert_eq!(
            ProtectionFile::parse(text).unwrap_err().code(),
            "protection.malformed"
        );
    }
}
