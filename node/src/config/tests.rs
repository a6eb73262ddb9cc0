#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;

use super::*;

#[test]
fn versions_that_are_not_served() {
    let mut accept = NodeConfig::default().accept;
    accept.versions = vec![1, 3];
    assert_eq!(accept.refused_of(&[1, 3]), None);
    let refused = accept.refused_of(&[1, 2]).unwrap();
    assert_eq!(refused, RefusedVersions(vec![2]));
    assert!(refused.remedy().contains("accept.versions"));
    let refused = accept.refused_of(&[2, 999]).unwrap();
    assert!(refused.to_string().ends_with("2, 999"), "{refused}");
    assert!(refused.remedy().contains("upgrade"));
}

/// The published file is what the code says. `ASHLAR_BLESS=1` writes it anew.
#[test]
fn published_example_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("node.example.toml");
    let example = NodeConfig::example();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        published, example,
        "run this test with ASHLAR_BLESS=1 to write node.example.toml anew"
    );
}

#[test]
fn example_is_the_default() {
    let parsed = NodeConfig::parse(&NodeConfig::example()).unwrap();
    assert_eq!(parsed, NodeConfig::default());
    assert_eq!(NodeConfig::parse("").unwrap(), NodeConfig::default());
    parsed.validate().unwrap();
}

#[test]
fn round_trip() {
    let mut config = NodeConfig::default();
    config.accept.max_age_secs = 7;
    config.listen.http = "127.0.0.1:1".parse().unwrap();
    assert_eq!(
        NodeConfig::parse(&config.to_toml().unwrap()).unwrap(),
        config
    );
}

/// A path that TOML cannot spell is an error, not an empty file.
#[test]
fn a_path_that_is_not_utf_8_is_not_written() {
    use std::os::unix::ffi::OsStrExt;
    let mut config = NodeConfig::default();
    config.paths.data = std::ffi::OsStr::from_bytes(b"da\xffta").into();
    assert_eq!(config.to_toml().unwrap_err().code(), "config.write");
}

#[test]
fn unknown_keys_are_refused_with_their_place() {
    for text in ["[store]\nwindow = 3\n", "[stores]\n", "data = 1\n"] {
        let error = NodeConfig::parse(text).unwrap_err();
        assert_eq!(error.code(), "config.parse");
        assert!(
            error.to_string().contains("line 1") || error.to_string().contains("line 2"),
            "{error}"
        );
    }
    assert_eq!(
        NodeConfig::parse("[listen]\nquic = \"nowhere\"\n")
            .unwrap_err()
            .code(),
        "config.parse"
    );
}

#[test]
fn every_rule_refuses_and_names_its_key() {
    type Change = Box<dyn Fn(&mut NodeConfig)>;
    let cases: Vec<(&str, Change)> = vec![
        ("accept.versions", Box::new(|c| c.accept.versions.clear())),
        (
            "accept.versions",
            Box::new(|c| c.accept.versions = vec![1, 77]),
        ),
        (
            "accept.max_batch_rows",
            Box::new(|c| c.accept.max_batch_rows = 0),
        ),
        (
            "accept.max_batch_rows",
            Box::new(|c| c.accept.max_batch_rows = HARD_MAX_BATCH_ROWS + 1),
        ),
        (
            "accept.max_payload",
            Box::new(|c| c.accept.max_payload = HARD_MAX_PAYLOAD + 1),
        ),
        (
            "accept.max_batch_blobs",
            Box::new(|c| c.accept.max_batch_blobs = 0),
        ),
        (
            "accept.max_age_secs",
            Box::new(|c| c.accept.max_age_secs = 0),
        ),
        (
            "accept.max_age_secs",
            Box::new(|c| c.accept.max_age_secs = 449),
        ),
        (
            "accept.max_reference_age_blocks",
            Box::new(|c| c.accept.max_reference_age_blocks = 599),
        ),
        (
            "load.bulk_timeout_secs",
            Box::new(|c| c.load.bulk_timeout_secs = 59),
        ),
        (
            "tasks.shutdown_secs",
            Box::new(|c| c.tasks.shutdown_secs = 21),
        ),
        (
            "store.retention_secs",
            Box::new(|c| c.store.retention_secs = 600),
        ),
        ("store.window_secs", Box::new(|c| c.store.window_secs = 0)),
        ("store.parity", Box::new(|c| c.store.parity = 1)),
        (
            "store.parity",
            Box::new(|c| {
                c.store.drives = ["a", "b", "c", "d"].map(PathBuf::from).into();
                c.store.parity = 2;
            }),
        ),
        ("load.max_stores", Box::new(|c| c.load.max_stores = 0)),
        (
            "load.memory_bytes",
            Box::new(|c| c.load.memory_bytes = 127 << 20),
        ),
        (
            "load.memory_bytes",
            Box::new(|c| c.load.memory_bytes = 255 << 20),
        ),
        (
            // Several drives: a batch takes more of it.
            "load.memory_bytes",
            Box::new(|c| {
                c.store.drives = ["a", "b", "c", "d", "e"].map(PathBuf::from).into();
                c.store.parity = 2;
                c.load.memory_bytes = 767 << 20;
            }),
        ),
        ("tasks.probe_max_ms", Box::new(|c| c.tasks.probe_max_ms = 1)),
        (
            "tasks.expiry_interval_ms",
            Box::new(|c| c.tasks.expiry_interval_ms = 900_001),
        ),
        (
            "tasks.scrub_interval_secs",
            Box::new(|c| c.tasks.scrub_interval_secs = 0),
        ),
        (
            "custody.alarm_percent",
            Box::new(|c| c.custody.alarm_percent = 100),
        ),
        (
            "custody.ledgers",
            Box::new(|c| c.custody.ledgers = vec![Path::new("table.toml").to_path_buf().into()]),
        ),
        (
            "custody.ledgers",
            Box::new(|c| c.custody.ledgers = vec![ledger("a", 1), ledger("a", 1)]),
        ),
        (
            "custody.ledgers",
            Box::new(|c| c.custody.ledgers = vec![ledger("a", 1), ledger("b", 2)]),
        ),
        (
            "custody.ledgers",
            Box::new(|c| {
                c.operators.tables = vec![ledger("a", 1)];
                c.operators.head_keys = vec![ashlar_proto::Account([1; 20])];
                c.custody.ledgers = vec![ledger("b", 2)];
            }),
        ),
        (
            "custody.ledgers",
            Box::new(|c| {
                c.custody.ledgers = ["a", "b", "c", "d", "e"].map(|at| ledger(at, 1)).into()
            }),
        ),
    ];
    for (expected, change) in cases {
        let mut config = NodeConfig::default();
        change(&mut config);
        match config.validate() {
            Err(ConfigError::Invalid { key, .. }) => assert_eq!(key, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

fn ledger(host: &str, service: u32) -> TableLocation {
    let network = "11".repeat(32);
    format!("http://{host}/v1/services/{service}#0x{network}")
        .parse()
        .unwrap()
}

#[test]
fn challenges_are_looked_for_where_the_tables_are_unless_ledgers_are_named() {
    let mut config = NodeConfig::default();
    assert_eq!(config.challenge_ledgers().count(), 0, "tables in a file");
    config.custody.ledgers = vec![ledger("a", 1), ledger("b", 1)];
    config.validate().unwrap();
    let named: Vec<_> = config.challenge_ledgers().cloned().collect();
    assert_eq!(named, config.custody.ledgers);
    config.custody.ledgers.clear();
    config.operators.tables = vec![ledger("c", 3)];
    let of_tables: Vec<_> = config.challenge_ledgers().cloned().collect();
    assert_eq!(of_tables, [ledger("c", 3)]);
}

#[test]
fn load_resolves_paths_at_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(
        &file,
        "[paths]\ndata = \"/absolute\"\n[operators]\ntables = [\"../table.toml\"]\n",
    )
    .unwrap();
    let config = NodeConfig::load(&file).unwrap();
    assert_eq!(config.paths.data, Path::new("/absolute"));
    assert_eq!(config.operators, folder.path().join("../table.toml").into());
    assert_eq!(config.paths.bls_key, folder.path().join("bls.json"));
    assert_eq!(
        NodeConfig::load(&folder.path().join("no.toml"))
            .unwrap_err()
            .code(),
        "config.read"
    );
}

#[test]
fn a_ledger_without_a_head_key_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    let network = "11".repeat(32);
    let tables = format!("https://ledger.example/v1/services/1#0x{network}");
    std::fs::write(&file, format!("[operators]\ntables = [\"{tables}\"]\n")).unwrap();
    let error = NodeConfig::load(&file).unwrap_err();
    assert_eq!(error.code(), "stake.no_head_key");
}
