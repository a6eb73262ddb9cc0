#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;

use super::*;

/// The published file is what the code says. `ASHLAR_BLESS=1` writes it anew.
#[test]
fn published_example_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ledger.example.toml");
    let example = LedgerConfig::example();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        published, example,
        "run this test with ASHLAR_BLESS=1 to write ledger.example.toml anew"
    );
}

#[test]
fn example_is_the_default_and_valid() {
    let parsed = LedgerConfig::parse(&LedgerConfig::example()).unwrap();
    assert_eq!(parsed, LedgerConfig::default());
    assert_eq!(LedgerConfig::parse("").unwrap(), LedgerConfig::default());
    parsed.validate().unwrap();
}

#[test]
fn what_is_set_is_read_back() {
    let mut config = LedgerConfig::default();
    config.paths.data = "/somewhere".into();
    config.access.open = true;
    config.access.accounts = vec![Account([1; 20]), Account([2; 20])];
    config.evidence.slasher = Account([9; 20]);
    config.evidence.wad = Wad::percent(7);
    assert_eq!(
        LedgerConfig::parse(&config.to_toml().unwrap()).unwrap(),
        config
    );
}

#[test]
fn a_file_is_read_and_its_paths_start_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.toml");
    std::fs::write(
        &path,
        "[paths]\ndata = \"here\"\ngenesis = \"/there.json\"\n",
    )
    .unwrap();
    let config = LedgerConfig::load(&path).unwrap();
    assert_eq!(config.paths.data, folder.path().join("here"));
    assert_eq!(config.paths.genesis, Path::new("/there.json"));
    let missing = LedgerConfig::load(&folder.path().join("none.toml")).unwrap_err();
    assert_eq!(missing.code(), "config.read");
}

#[test]
fn nothing_unknown_is_accepted() {
    for text in [
        "[path]\n",
        "[paths]\ndate = \"x\"\n",
        "[blocks]\ninterval_ms = \"1\"\n",
        "[evidence]\nslasher = \"0x12\"\n",
    ] {
        assert_eq!(
            LedgerConfig::parse(text).unwrap_err().code(),
            "config.parse",
            "{text}"
        );
    }
}

/// A change that makes a configuration wrong.
type Break = fn(&mut LedgerConfig);

#[test]
fn each_range_is_checked() {
    let cases: &[(&str, Break)] = &[
        ("blocks.interval_ms", |c| c.blocks.interval_ms = 9),
        ("blocks.interval_ms", |c| c.blocks.interval_ms = 3_600_001),
        ("access.max_accounts", |c| c.access.max_accounts = 0),
        ("accept.max_body_bytes", |c| {
            c.accept.max_body_bytes = 16_383
        }),
        ("accept.queue", |c| c.accept.queue = 0),
        ("accept.group", |c| c.accept.group = 0),
        ("accept.max_queries", |c| c.accept.max_queries = 0),
        ("accept.max_waiters", |c| c.accept.max_waiters = 0),
        ("accept.max_connections", |c| c.accept.max_connections = 0),
        ("accept.body_timeout_secs", |c| {
            c.accept.body_timeout_secs = 0
        }),
        ("accept.idle_timeout_secs", |c| {
            c.accept.idle_timeout_secs = 30
        }),
        ("accept.retry_after_secs", |c| c.accept.retry_after_secs = 0),
        ("accept.events", |c| c.accept.events = 0),
        ("accept.answers", |c| c.accept.answers = 0),
        ("evidence.max_checks", |c| c.evidence.max_checks = 0),
        ("evidence.wad", |c| c.evidence.wad = Wad(0)),
        ("evidence.wad", |c| c.evidence.wad = Wad(Wad::ONE.0 + 1)),
    ];
    for (expected, change) in cases {
        let mut config = LedgerConfig::default();
        change(&mut config);
        match config.validate() {
            Err(ConfigError::Invalid { key, .. }) => assert_eq!(key, *expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}
