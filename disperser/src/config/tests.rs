#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;

use super::*;

/// The published file is what the code says. `ASHLAR_BLESS=1` writes it anew.
#[test]
fn published_example_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("disperser.example.toml");
    let example = DisperserConfig::example();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        published, example,
        "run this test with ASHLAR_BLESS=1 to write disperser.example.toml anew"
    );
}

#[test]
fn example_is_the_default_and_valid() {
    let parsed = DisperserConfig::parse(&DisperserConfig::example()).unwrap();
    assert_eq!(parsed, DisperserConfig::default());
    assert_eq!(
        DisperserConfig::parse("").unwrap(),
        DisperserConfig::default()
    );
    parsed.validate().unwrap();
}

#[test]
fn round_trip() {
    let mut config = DisperserConfig::default();
    config.batch.interval_ms = 7;
    config.listen.http = "127.0.0.1:1".parse().unwrap();
    assert_eq!(
        DisperserConfig::parse(&config.to_toml().unwrap()).unwrap(),
        config
    );
}

#[test]
fn a_profile_sets_what_nobody_has_set() {
    let fast = DisperserConfig::default().pace();
    assert_eq!((fast.tick_rows, fast.max_in_flight), (256, 4));
    let text = "[batch]\nprofile = \"low-latency\"\nmax_in_flight = 3\n";
    let soon = DisperserConfig::parse(text).unwrap().pace();
    assert_eq!((soon.tick_rows, soon.max_in_flight), (32, 3));
    assert!(soon.interval < fast.interval);
    let text = "[batch]\nprofile = \"slow\"\n";
    let error = DisperserConfig::parse(text).unwrap_err();
    assert_eq!(error.code(), "config.parse");
    assert_eq!("low-latency".parse(), Ok(Profile::LowLatency));
    assert!("slow".parse::<Profile>().is_err());
}

#[test]
fn a_path_that_toml_cannot_say_is_an_error() {
    use std::os::unix::ffi::OsStrExt;
    let mut config = DisperserConfig::default();
    config.paths.data = std::ffi::OsStr::from_bytes(b"\xff").into();
    assert_eq!(config.to_toml().unwrap_err().code(), "config.write");
}

#[test]
fn unknown_keys_and_wrong_types_are_refused() {
    for text in [
        "[store]\nwindow = 3\n",
        "[stores]\n",
        "data = 1\n",
        "[listen]\nhttp = \"nowhere\"\n",
    ] {
        assert_eq!(
            DisperserConfig::parse(text).unwrap_err().code(),
            "config.parse",
            "{text}"
        );
    }
}

#[test]
fn every_rule_refuses_and_names_its_key() {
    type Change = Box<dyn Fn(&mut DisperserConfig)>;
    let cases: Vec<(&str, Change)> = vec![
        ("accept.versions", Box::new(|c| c.accept.versions.clear())),
        (
            "accept.versions",
            Box::new(|c| c.accept.versions = vec![1, 99]),
        ),
        (
            "accept.default_version",
            Box::new(|c| c.accept.default_version = 2),
        ),
        (
            "accept.default_quorums",
            Box::new(|c| c.accept.default_quorums = vec![1, 0]),
        ),
        ("accept.max_payload", Box::new(|c| c.accept.max_payload = 0)),
        (
            "accept.max_payload",
            Box::new(|c| c.accept.max_payload = HARD_MAX_PAYLOAD + 1),
        ),
        (
            "accept.max_open_bytes",
            Box::new(|c| c.accept.max_open_bytes = 5),
        ),
        (
            "accept.body_memory_bytes",
            Box::new(|c| c.accept.body_memory_bytes = c.accept.max_payload),
        ),
        ("relay.memory_bytes", Box::new(|c| c.relay.memory_bytes = 5)),
        ("accept.max_waiters", Box::new(|c| c.accept.max_waiters = 0)),
        (
            "accept.idle_timeout_secs",
            Box::new(|c| c.accept.idle_timeout_secs = 120),
        ),
        (
            "encode.memory_bytes",
            Box::new(|c| c.encode.memory_bytes = 1 << 30),
        ),
        ("batch.max_rows", Box::new(|c| c.batch.max_rows = 100)),
        (
            "batch.max_rows",
            Box::new(|c| c.batch.max_rows = HARD_MAX_BATCH_ROWS + 1),
        ),
        ("batch.stall_ms", Box::new(|c| c.batch.stall_ms = 0)),
        (
            "disperse.straggler_grace_ms",
            Box::new(|c| c.disperse.straggler_grace_ms = 60_001),
        ),
        (
            "disperse.backoff_max_ms",
            Box::new(|c| c.disperse.backoff_max_ms = 1),
        ),
        (
            "disperse.deadline_secs",
            Box::new(|c| c.disperse.deadline_secs = 0),
        ),
        (
            "disperse.deadline_secs",
            Box::new(|c| c.disperse.deadline_secs = 59),
        ),
        (
            "batch.max_resume_age_secs",
            Box::new(|c| c.batch.max_resume_age_secs = 451),
        ),
        (
            "store.write_buffer_bytes",
            Box::new(|c| c.store.write_buffer_bytes = 1),
        ),
    ];
    for (key, change) in cases {
        let mut config = DisperserConfig::default();
        change(&mut config);
        match config.validate().unwrap_err() {
            ConfigError::Invalid { key: got, why, .. } => assert_eq!(got, key, "{why}"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("disperser.toml");
    std::fs::write(&file, "[operators]\ntables = [\"/etc/operators.toml\"]\n").unwrap();
    let config = DisperserConfig::load(&file).unwrap();
    assert_eq!(config.paths.data, folder.path().join("data"));
    assert_eq!(
        config.operators,
        std::path::PathBuf::from("/etc/operators.toml").into()
    );
    assert_eq!(
        DisperserConfig::load(&folder.path().join("no.toml"))
            .unwrap_err()
            .code(),
        "config.read"
    );
    std::fs::write(&file, "[batch]\nmax_rows = 0\n").unwrap();
    assert_eq!(
        DisperserConfig::load(&file).unwrap_err().code(),
        "config.invalid"
    );
}
