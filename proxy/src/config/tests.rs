#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// The published file is what the code says. `ASHLAR_BLESS=1` writes it anew.
#[test]
fn published_example_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proxy.example.toml");
    let example = ProxyConfig::example();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        published, example,
        "run this test with ASHLAR_BLESS=1 to write proxy.example.toml anew"
    );
    assert_eq!(
        ProxyConfig::parse(&example).unwrap(),
        ProxyConfig::default()
    );
}

fn good() -> ProxyConfig {
    let mut config = ProxyConfig::default();
    config.policy.required_quorums = vec![0];
    config.proxy.dispersers = vec!["https://disperser.example".to_owned()];
    config
}

#[test]
fn mistakes_name_their_key() {
    good().validate().unwrap();
    type Break = fn(&mut ProxyConfig);
    let broken: [(&str, Break); 8] = [
        ("policy.required_quorums", |c| {
            c.policy.required_quorums.clear()
        }),
        ("proxy.dispersers", |c| c.proxy.dispersers.clear()),
        ("proxy.dispersers", |c| {
            c.proxy.dispersers = vec!["127.0.0.1:1".into()]
        }),
        ("put.min_left_secs", |c| c.put.min_left_secs += 1),
        ("put.max_payload", |c| c.put.max_payload = 0),
        ("account.max_price", |c| c.account.max_price = "1eth".into()),
        ("op.failover_after", |c| c.op.failover_after = 0),
        ("serve.idle_timeout_secs", |c| {
            c.serve.idle_timeout_secs = 120
        }),
    ];
    for (key, spoil) in broken {
        let mut config = good();
        spoil(&mut config);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}

#[test]
fn memory_needs_nothing_and_readers_need_no_disperser() {
    let mut config = ProxyConfig::default();
    config.proxy.mode = Mode::Memory;
    config.validate().unwrap();
    assert_eq!(config.quorums(), [0]);
    let mut config = good();
    config.proxy.dispersers.clear();
    config.proxy.mode = Mode::ReadOnly;
    config.validate().unwrap();
}

#[test]
fn paths_start_at_the_folder_and_urls_stay() {
    let mut config = good();
    config.store.cache = "cache".into();
    config.store.fallback = "s3://bucket/blobs".into();
    config.start_at(Path::new("/etc/proxy"));
    assert_eq!(config.store.cache, "/etc/proxy/cache");
    assert_eq!(config.store.fallback, "s3://bucket/blobs");
    assert_eq!(config.store.keccak, "");
    assert_eq!(config.paths.heads, Path::new("/etc/proxy/heads"));
}
