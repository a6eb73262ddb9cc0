#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

/// The published file is what the code says. `ASHLAR_BLESS=1` writes it anew.
#[test]
fn published_example_is_generated() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("gateway.example.toml");
    let example = GatewayConfig::example();
    if std::env::var_os("ASHLAR_BLESS").is_some() {
        std::fs::write(&path, &example).unwrap();
    }
    let published = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        published, example,
        "run this test with ASHLAR_BLESS=1 to write gateway.example.toml anew"
    );
    assert_eq!(
        GatewayConfig::parse(&example).unwrap(),
        GatewayConfig::default()
    );
}

fn good() -> GatewayConfig {
    let mut config = GatewayConfig::default();
    config.policy.required_quorums = vec![0];
    config.policy.max_age_secs = 1000;
    config
}

#[test]
fn nothing_is_assumed_about_certificates_and_mistakes_name_their_key() {
    good().validate().unwrap();
    type Break = fn(&mut GatewayConfig);
    let broken: [(&str, Break); 7] = [
        ("policy.required_quorums", |c| {
            c.policy.required_quorums.clear()
        }),
        ("policy.max_age_secs", |c| c.policy.max_age_secs = 0),
        ("fetch.dispersers", |c| {
            c.fetch.dispersers = vec!["127.0.0.1:7500".into()]
        }),
        ("fetch.places", |c| c.fetch.places = 0),
        ("fetch.max_payload", |c| c.fetch.max_payload = 0),
        ("serve.memory_bytes", |c| c.serve.memory_bytes = 5),
        ("serve.idle_timeout_secs", |c| {
            c.serve.idle_timeout_secs = 60
        }),
    ];
    for (key, spoil) in broken {
        let mut config = good();
        spoil(&mut config);
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains(key), "{key}: {error}");
    }
}
