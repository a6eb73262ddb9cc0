#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::Store;
use crate::store::tests::{ME, sample};

/// A configuration with keystore and data in different folders.
fn config(folder: &Path) -> NodeConfig {
    let mut config = NodeConfig::default();
    std::fs::create_dir_all(folder.join("keys")).unwrap();
    config.paths.bls_key = folder.join("keys/bls.json");
    config.paths.data = folder.join("volume/data");
    config
}

fn code(result: Result<DiskStore, DatabaseError>) -> &'static str {
    result.map(|store| store.id()).unwrap_err().code()
}

#[test]
fn made_once_and_then_found() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let made = open(&config, ME, Database::New).unwrap();
    let id = made.id();
    drop(made);
    let marker = folder.path().join("keys/bls.database.json");
    assert_eq!(marker_path(&config.paths.bls_key), marker);
    assert_eq!(
        std::fs::read_to_string(&marker).unwrap(),
        format!(r#"{{"version":1,"database":"{id}"}}"#)
    );
    let mode = std::fs::metadata(&marker).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names: Vec<_> = std::fs::read_dir(folder.path().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["bls.database.json"], "nothing else is left");
    assert_eq!(open(&config, ME, Database::Existing).unwrap().id(), id);
}

#[test]
fn an_empty_folder_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    assert_eq!(
        code(open(&config, ME, Database::Existing)),
        "database.no_marker"
    );
    assert!(!config.paths.data.exists(), "nothing was made");

    drop(open(&config, ME, Database::New).unwrap());
    // The volume is not mounted: its folder is empty, or not there.
    let away = folder.path().join("away");
    std::fs::rename(&config.paths.data, &away).unwrap();
    assert_eq!(
        code(open(&config, ME, Database::Existing)),
        "database.missing"
    );
    std::fs::create_dir(&config.paths.data).unwrap();
    assert_eq!(
        code(open(&config, ME, Database::Existing)),
        "database.missing"
    );
    assert_eq!(
        std::fs::read_dir(&config.paths.data).unwrap().count(),
        0,
        "nothing was made"
    );
    std::fs::remove_dir(&config.paths.data).unwrap();
    std::fs::rename(&away, &config.paths.data).unwrap();
    open(&config, ME, Database::Existing).unwrap();
}

#[test]
fn a_new_database_is_made_only_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    drop(open(&config, ME, Database::New).unwrap());
    assert_eq!(
        code(open(&config, ME, Database::New)),
        "database.marker_exists"
    );
    // Also when the data are gone.
    std::fs::remove_dir_all(&config.paths.data).unwrap();
    assert_eq!(
        code(open(&config, ME, Database::New)),
        "database.marker_exists"
    );
    assert!(!config.paths.data.exists());
}

#[test]
fn another_database_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (
        config(&folder.path().join("one")),
        config(&folder.path().join("other")),
    );
    drop(open(&one, ME, Database::New).unwrap());
    drop(open(&other, ME, Database::New).unwrap());
    let mut crossed = one.clone();
    crossed.paths.data.clone_from(&other.paths.data);
    assert_eq!(
        code(open(&crossed, ME, Database::Existing)),
        "database.other"
    );
    let stranger = OperatorId([8; 32]);
    assert_eq!(
        code(open(&one, stranger, Database::Existing)),
        "store.wrong_operator"
    );
}

/// A database without its marker: what an interrupted attempt left is taken, one with a history is not.
#[test]
fn a_database_with_a_history_is_not_new() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let marker = marker_path(&config.paths.bls_key);
    let store = open(&config, ME, Database::New).unwrap();
    let id = store.id();
    drop(store);
    std::fs::remove_file(&marker).unwrap();
    let store = open(&config, ME, Database::New).unwrap();
    assert_eq!(store.id(), id);
    store.commit(&sample(1, 1, 1, 950)).unwrap();
    drop(store);
    std::fs::remove_file(&marker).unwrap();
    assert_eq!(code(open(&config, ME, Database::New)), "database.in_use");
    assert!(!marker.exists());
}

#[test]
fn what_fails_before_the_marker_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let failed = create(&config, ME, |_| {
        Err::<(), _>(DatabaseError::Random("by a test".into()))
    });
    assert_eq!(failed.map(drop).unwrap_err().code(), "database.random");
    assert_eq!(
        code(open(&config, ME, Database::Existing)),
        "database.no_marker"
    );
}

#[test]
fn a_broken_marker_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    let store = open(&config, ME, Database::New).unwrap();
    let id = store.id();
    drop(store);
    let marker = marker_path(&config.paths.bls_key);
    for text in [
        String::new(),
        "{".into(),
        format!(r#"{{"version":2,"database":"{id}"}}"#),
        format!(r#"{{"version":1,"database":"{id}","more":1}}"#),
        " ".repeat(1 << 20),
    ] {
        std::fs::write(&marker, text).unwrap();
        for which in [Database::Existing, Database::New] {
            assert_eq!(code(open(&config, ME, which)), "database.marker");
        }
    }
}

/// The power is cut while a database is made: there is one with its marker, or none and another attempt makes it. Once it is
/// made, it is there.
#[test]
fn a_power_cut_leaves_a_database_or_none() {
    use ashlar_testing::power::{Mounted, unavailable};
    if unavailable("a_power_cut_leaves_a_database_or_none").is_some() {
        return;
    }
    let (mut made, mut lost) = (0, 0);
    for seed in 0..40 {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        if seed % 4 == 0 {
            let drive = |n: u32| folder.path().join(format!("drives/{n}"));
            config.store.drives = (0..3).map(drive).collect();
            config.store.parity = 1;
        }
        let mut mounted = Mounted::over(folder.path()).unwrap();
        mounted.cut_after(seed * 3, seed);
        let batch = sample(1, 1, 1, 950);
        let signed = match open(&config, ME, Database::New) {
            Ok(store) => {
                made += 1;
                store.commit(&batch).is_ok()
            }
            Err(error) => {
                assert!(mounted.is_off(), "seed {seed}: {error}");
                lost += 1;
                false
            }
        };
        mounted.cut(seed);
        mounted.power_on().unwrap();
        let store = match open(&config, ME, Database::Existing) {
            Err(DatabaseError::NoMarker { .. }) if !signed => {
                // A person empties drives of which some have a label already.
                let _ = std::fs::remove_dir_all(folder.path().join("drives"));
                open(&config, ME, Database::New)
            }
            opened => opened,
        };
        let store = store.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if signed {
            assert!(store.batch(&batch.digest).unwrap().is_some(), "seed {seed}");
        }
    }
    assert!(made > 5 && lost > 5, "{made} made, {lost} lost");
}

#[test]
fn a_lost_database_is_replaced_once_and_signs_nothing_at_first() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path());
    assert_eq!(
        code(open(&config, ME, Database::Lost)),
        "database.no_marker"
    );
    let made = open(&config, ME, Database::New).unwrap();
    let lost = made.id();
    made.commit(&sample(1, 1, 1, 900)).unwrap();
    drop(made);
    // It is there: not lost.
    assert_eq!(code(open(&config, ME, Database::Lost)), "database.in_use");

    let away = folder.path().join("away");
    std::fs::rename(&config.paths.data, &away).unwrap();
    let replaced = open(&config, ME, Database::Lost).unwrap();
    let id = replaced.id();
    assert_ne!(id, lost);
    let progress = replaced.index_progress().unwrap().unwrap();
    assert!(!progress.may_sign && !progress.done);
    drop(replaced);
    assert_eq!(code(open(&config, ME, Database::Lost)), "database.in_use");
    assert_eq!(open(&config, ME, Database::Existing).unwrap().id(), id);
    let names: Vec<_> = std::fs::read_dir(folder.path().join("keys"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["bls.database.json"], "nothing else is left");

    // The lost one comes back: the marker does not name it any more.
    std::fs::remove_dir_all(&config.paths.data).unwrap();
    std::fs::rename(&away, &config.paths.data).unwrap();
    assert_eq!(
        code(open(&config, ME, Database::Existing)),
        "database.other"
    );
    assert_eq!(code(open(&config, ME, Database::Lost)), "database.in_use");

    // Interrupted before the marker was written: it is done again.
    std::fs::remove_dir_all(&config.paths.data).unwrap();
    drop(create_empty(&config, ME).unwrap());
    open(&config, ME, Database::Lost).unwrap();
}
