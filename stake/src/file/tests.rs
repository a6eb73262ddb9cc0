#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::TableRoot;
use proptest::prelude::*;

use super::*;
use crate::TableError;
use crate::testing::{disperser, entry, registration, scope, stake};

fn sample() -> TableFile {
    TableFile {
        network: "test".into(),
        service: 3,
        tables: vec![
            TableRecord {
                block: Block(20),
                versions: vec![1],
                dispersers: vec![DisperserRecord::from(&disperser(1))],
                operators: (0..3)
                    .map(|index| {
                        OperatorRecord::from(&registration(
                            index,
                            &[(0, 100), (7, index as u64 + 1)],
                        ))
                    })
                    .collect(),
            },
            TableRecord {
                block: Block(10),
                versions: vec![1],
                dispersers: Vec::new(),
                operators: vec![OperatorRecord::from(&registration(0, &[(0, 100)]))],
            },
        ],
    }
}

fn path() -> &'static Path {
    Path::new("some/operators.toml")
}

fn parse(text: &str, format: FileFormat) -> Result<TableFile, StakeError> {
    TableFile::from_text(text, format, path())
}

/// The reason why a text is malformed; the error names the file and the format.
fn reason(text: &str, format: FileFormat) -> String {
    let error = parse(text, format).unwrap_err();
    assert_eq!(error.code(), "stake.malformed");
    let shown = error.to_string();
    assert!(
        shown.contains("some/operators.toml") && shown.contains(format.name()),
        "{shown}"
    );
    match error {
        StakeError::Malformed { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn both_formats_round_trip() {
    let mut file = sample();
    file.tables[0].block = Block(u64::MAX);
    for format in [FileFormat::Toml, FileFormat::Json] {
        let text = file.to_text(format, path()).unwrap();
        assert_eq!(parse(&text, format).unwrap(), file, "{text}");
    }
}

#[test]
fn the_format_follows_from_the_name() {
    assert_eq!(FileFormat::of(Path::new("a/b.json")), FileFormat::Json);
    assert_eq!(FileFormat::of(Path::new("b.JSON")), FileFormat::Json);
    assert_eq!(FileFormat::of(Path::new("b.toml")), FileFormat::Toml);
    assert_eq!(FileFormat::of(Path::new("json")), FileFormat::Toml);
}

/// The shape that the operator's guide shows, written by hand.
#[test]
fn reads_what_a_person_writes() {
    let registration = registration(0, &[(0, 1)]);
    let text = format!(
        r#"
        network = "test"

        [[tables]]
        block = 5

        [[tables.dispersers]]
        id = 1
        network_key = "{network}"
        account = "0x00000000000000000000000000000000000000aa"
        bond = 50

        [[tables.operators]]
        bls_public_key = "{bls}"
        proof_of_possession = "{proof}"
        network_key = "{network}"
        address = "node.example:7000"
        stakes = {{ 3 = "0xff", 0 = 12, 1 = "340282366920938463463374607431768211456" }}
        "#,
        bls = registration.entry.bls_public_key,
        proof = registration.proof_of_possession,
        network = registration.entry.network_key,
    );
    let file = parse(&text, FileFormat::Toml).unwrap();
    let tables = file.tables(path()).unwrap();
    assert_eq!(tables.len(), 1);
    let table = &tables[0];
    assert_eq!(table.reference_block(), Block(5));
    assert_eq!(
        table.operators()[0].stakes,
        [
            (0, stake(12)),
            (1, Stake::from(1u64) << 128),
            (3, stake(255))
        ]
    );
    assert_eq!(
        table.operators()[0].operator_id,
        registration.entry.operator_id
    );
    let disperser = table.disperser(1).unwrap();
    assert_eq!((disperser.account.0[19], disperser.bond), (0xaa, stake(50)));
}

#[test]
fn tables_come_by_rising_block_and_go_back_to_records() {
    let file = sample();
    let tables = file.tables(path()).unwrap();
    assert_eq!(
        tables
            .iter()
            .map(OperatorTable::reference_block)
            .collect::<Vec<_>>(),
        [Block(10), Block(20)]
    );
    let mut records: Vec<TableRecord> = tables
        .iter()
        .map(|table| TableRecord::from_table(table).unwrap())
        .collect();
    records.reverse();
    let mut expected = file;
    for record in &mut expected.tables {
        record
            .operators
            .sort_by_key(|operator| operator.operator_id);
    }
    assert_eq!(records, expected.tables);
    let unproven =
        OperatorTable::new(scope(1), vec![entry(0, &[(0, stake(1))])], Vec::new()).unwrap();
    assert_eq!(TableRecord::from_table(&unproven), None);
}

#[test]
fn refuses_unknown_and_missing_keys_everywhere() {
    let json = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = serde_json::to_value(sample()).unwrap();
        change(&mut value);
        reason(&value.to_string(), FileFormat::Json)
    };
    for place in [
        "",
        "/tables/0",
        "/tables/0/dispersers/0",
        "/tables/0/operators/0",
    ] {
        let why = json(&|value| {
            let object = value.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.insert("stakse".into(), 1.into());
        });
        assert!(why.contains("unknown field `stakse`"), "{place}: {why}");
    }
    for (place, key) in [
        ("", "tables"),
        ("/tables/0", "block"),
        ("/tables/0", "operators"),
        ("/tables/0/dispersers/0", "account"),
        ("/tables/0/dispersers/0", "bond"),
        ("/tables/0/operators/0", "proof_of_possession"),
        ("/tables/0/operators/0", "stakes"),
    ] {
        let why = json(&|value| {
            value
                .pointer_mut(place)
                .unwrap()
                .as_object_mut()
                .unwrap()
                .remove(key)
                .unwrap();
        });
        assert!(why.contains(&format!("missing field `{key}`")), "{why}");
    }
    assert!(reason("tables = []\ncolour = 1", FileFormat::Toml).contains("unknown field `colour`"));
    assert!(reason("not toml", FileFormat::Toml).contains("line 1"));
    assert!(!reason("{", FileFormat::Json).is_empty());
}

#[test]
fn refuses_stakes_that_are_none() {
    let with = |stakes: &str| {
        let mut value = serde_json::to_value(sample()).unwrap();
        value["tables"][0]["operators"][0]["stakes"] = serde_json::Value::Null;
        // By text, because a JSON value cannot hold a key twice.
        reason(
            &value.to_string().replacen("null", stakes, 1),
            FileFormat::Json,
        )
    };
    let too_large = format!("{{\"0\":\"1{}\"}}", "0".repeat(78));
    for (stakes, expected) in [
        ("{\"256\":\"1\"}", "\"256\" is no quorum number (0 to 255)"),
        ("{\"-1\":\"1\"}", "\"-1\" is no quorum number"),
        ("{\"01\":\"1\"}", "\"01\" is no quorum number"),
        ("{\"+1\":\"1\"}", "\"+1\" is no quorum number"),
        ("{\"1\":\"1\",\"1\":\"2\"}", "quorum 1 is named twice"),
        ("{\"0\":\"\"}", "is no stake"),
        ("{\"0\":\"0x\"}", "is no stake"),
        ("{\"0\":\"-5\"}", "is no stake"),
        ("{\"0\":\"1_000\"}", "is no stake"),
        ("{\"0\":\"12a\"}", "is no stake"),
        (too_large.as_str(), "is no stake"),
        ("{\"0\":-1}", "expected a stake"),
        ("{\"0\":1.5}", "expected a stake"),
        ("[1]", "a map of quorum numbers"),
    ] {
        let why = with(stakes);
        assert!(why.contains(expected), "{stakes}: {why}");
    }
}

#[test]
fn refuses_files_without_tables_and_blocks_twice() {
    assert_eq!(
        TableFile {
            tables: Vec::new(),
            ..sample()
        }
        .tables(path())
        .unwrap_err(),
        StakeError::NoTables {
            path: path().into()
        }
    );
    let mut file = sample();
    file.tables[1].block = Block(20);
    assert_eq!(
        file.tables(path()).unwrap_err(),
        StakeError::DuplicateBlock {
            path: path().into(),
            block: Block(20)
        }
    );
}

#[test]
fn refuses_wrong_ids_and_proofs() {
    let mut file = sample();
    let other = file.tables[0].operators[1].operator_id;
    file.tables[0].operators[0].operator_id = other;
    match file.tables(path()).unwrap_err() {
        StakeError::OperatorId {
            block: Block(20),
            got,
            expected,
            ..
        } => {
            assert_eq!(Some(got), other);
            assert_eq!(expected, registration(0, &[(0, 1)]).entry.operator_id);
        }
        other => panic!("{other}"),
    }
    let mut file = sample();
    file.tables[0].operators[0].proof_of_possession =
        file.tables[0].operators[1].proof_of_possession;
    let error = file.tables(path()).unwrap_err();
    assert_eq!(error.code(), "table.possession");
    match error {
        StakeError::Table {
            block: Block(20),
            source,
            ..
        } => {
            assert!(matches!(*source, TableError::Possession { .. }), "{source}");
        }
        other => panic!("{other}"),
    }
    let mut file = sample();
    file.tables[0].operators.clear();
    assert_eq!(
        file.tables(path()).unwrap_err().code(),
        "table.no_operators"
    );
}

#[test]
fn writes_and_reads() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["operators.toml", "operators.json"] {
        let path = directory.path().join(name);
        sample().write(&path).unwrap();
        assert_eq!(TableFile::read(&path).unwrap(), sample());
        // Over an existing file too, and nothing else stays behind.
        TableFile {
            tables: sample().tables.split_off(1),
            ..sample()
        }
        .write(&path)
        .unwrap();
        assert_eq!(TableFile::read(&path).unwrap().tables.len(), 1);
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(directory.path().join("operators.toml"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o600, 0o600);
        assert_eq!(mode & 0o111, 0);
    }
}

/// A write that fails leaves everything as it was.
#[test]
fn a_failed_write_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("missing/operators.toml");
    match sample().write(&nowhere).unwrap_err() {
        StakeError::Io {
            action: "write",
            path,
            ..
        } => assert_eq!(path, nowhere),
        other => panic!("{other}"),
    }
    // A directory is in the way of the name: the temporary file must not stay.
    let taken = directory.path().join("taken.toml");
    fs::create_dir(&taken).unwrap();
    assert_eq!(sample().write(&taken).unwrap_err().code(), "stake.io");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn refuses_unreadable_and_oversized_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("operators.toml");
    match TableFile::read(&path).unwrap_err() {
        StakeError::Io {
            action: "read",
            path: named,
            ..
        } => assert_eq!(named, path),
        other => panic!("{other}"),
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(TableFile::read(&path).unwrap_err().code(), "stake.io");
    fs::write(&path, " ".repeat(MAX_FILE_BYTES as usize + 5)).unwrap();
    assert_eq!(
        TableFile::read(&path).unwrap_err(),
        StakeError::TooLarge {
            path: path.clone(),
            got: MAX_FILE_BYTES + 1,
            max: MAX_FILE_BYTES
        }
    );
}

#[test]
fn codes_are_stable() {
    let path = std::path::PathBuf::new();
    let (root, id) = (TableRoot([0; 32]), OperatorId([0; 32]));
    let errors = [
        StakeError::Io {
            action: "read",
            path: path.clone(),
            reason: String::new(),
        },
        StakeError::TooLarge {
            path: path.clone(),
            got: 0,
            max: 0,
        },
        StakeError::Malformed {
            path: path.clone(),
            format: "TOML",
            reason: String::new(),
        },
        StakeError::NoTables { path: path.clone() },
        StakeError::DuplicateBlock {
            path: path.clone(),
            block: Block(0),
        },
        StakeError::Table {
            path: path.clone(),
            block: Block(0),
            source: Box::new(TableError::NoOperators),
        },
        StakeError::OperatorId {
            path: path.clone(),
            block: Block(0),
            got: id,
            expected: id,
        },
        StakeError::Rewritten {
            path,
            block: Block(0),
            old: root,
            new: root,
        },
        StakeError::UnknownBlock {
            block: Block(0),
            head: Block(0),
        },
    ];
    let (last, others) = errors.split_last().unwrap();
    assert!(others.iter().all(|error| error.blame() == Blame::Us));
    assert_eq!(last.blame(), Blame::Caller);
    assert_eq!(
        errors.map(|error| error.code()),
        [
            "stake.io",
            "stake.too_large",
            "stake.malformed",
            "stake.no_tables",
            "stake.duplicate_block",
            "table.no_operators",
            "table.operator_id",
            "stake.rewritten",
            "stake.unknown_block",
        ]
    );
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in "(\\PC|\n){0,300}") {
        for format in [FileFormat::Toml, FileFormat::Json] {
            let _ = parse(&text, format).and_then(|file| file.tables(path()));
        }
    }

    #[test]
    fn any_stakes_round_trip(stakes in proptest::collection::btree_map(any::<u8>(), any::<[u64; 4]>(), 0..20)) {
        let stakes = Stakes(stakes.into_iter().map(|(quorum, limbs)| (quorum, Stake::from_limbs(limbs))).collect());
        let mut file = sample();
        file.tables[0].operators[0].stakes = stakes;
        for format in [FileFormat::Toml, FileFormat::Json] {
            prop_assert_eq!(&parse(&file.to_text(format, path()).unwrap(), format).unwrap(), &file);
        }
    }
}
