#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn text_and_back() {
    for text in ["operators.toml", "/etc/ashlar/operators.json", "../http"] {
        let location: TableLocation = text.parse().unwrap();
        assert_eq!(location, TableLocation::File(text.into()));
        assert_eq!(location.to_string(), text);
    }
    let network = Network::file("a");
    let text = format!("https://ledger.example/prefix/v1/services/12#{network}");
    let location: TableLocation = text.parse().unwrap();
    assert_eq!(
        location,
        TableLocation::Ledger {
            url: "https://ledger.example/prefix".into(),
            service: 12,
            network,
        }
    );
    assert_eq!(location.to_string(), text);
}

#[test]
fn a_url_that_names_no_service_is_refused() {
    let network = Network::file("a");
    let urls = [
        "http://127.0.0.1:7600",
        "http://127.0.0.1:7600/v1/services/",
        "http://127.0.0.1:7600/v1/services/0",
        "http://127.0.0.1:7600/v1/services/+1",
        "http://127.0.0.1:7600/v1/services/1/",
        "http://127.0.0.1:7600/v1/services/4294967296",
        "http:///v1/services/1",
    ];
    let without_network = ["http://127.0.0.1:7600/v1/services/1".to_owned()];
    for text in urls
        .iter()
        .map(|url| format!("{url}#{network}"))
        .chain(without_network)
    {
        let error = text.parse::<TableLocation>().unwrap_err();
        assert_eq!(error.code(), "stake.location");
        assert!(error.to_string().contains(&text), "{error}");
    }
}

#[test]
fn only_paths_start_at_a_folder() {
    let folder = Path::new("/etc/ashlar");
    let file = TableLocation::File("operators.toml".into());
    assert_eq!(
        file.starting_at(folder),
        TableLocation::File("/etc/ashlar/operators.toml".into())
    );
    let text = format!("http://a/v1/services/1#{}", Network::file("a"));
    let ledger: TableLocation = text.parse().unwrap();
    assert_eq!(ledger.clone().starting_at(folder), ledger);
}

fn source(tables: &[&str], keys: usize, ca: &str) -> TableSource {
    // Of one network, unless they say otherwise.
    let located = |text: &&str| match text.contains("://") && !text.contains('#') {
        true => format!("{text}#{}", Network([1; 32])).parse().unwrap(),
        false => text.parse().unwrap(),
    };
    TableSource {
        tables: tables.iter().map(located).collect(),
        head_keys: vec![Account([7; 20]); keys],
        ca: ca.into(),
    }
}

#[test]
fn a_source_is_one_file_or_ledgers_with_a_key() {
    assert_eq!(
        TableSource::default().origin().unwrap(),
        TableOrigin::File(Path::new("operators.toml"))
    );
    let two = source(
        &["https://a/v1/services/3", "http://b/v1/services/3"],
        1,
        "ca.pem",
    );
    assert_eq!(
        two.origin().unwrap(),
        TableOrigin::Ledgers {
            urls: vec!["https://a", "http://b"],
            network: Network([1; 32]),
            service: 3
        }
    );
    assert_eq!(
        two.starting_at(Path::new("/etc")).ca(),
        Some(Path::new("/etc/ca.pem"))
    );
    assert_eq!(
        TableSource::default().starting_at(Path::new("/etc")).ca(),
        None
    );
}

#[test]
fn each_misdescription_has_its_code() {
    let a = "http://a/v1/services/1";
    let elsewhere = format!("http://b/v1/services/1#{}", Network([2; 32]));
    let names: Vec<String> = (0..5)
        .map(|n| format!("http://{n}/v1/services/1"))
        .collect();
    let five: Vec<&str> = names.iter().map(String::as_str).collect();
    for (source, code) in [
        (source(&[], 1, ""), "stake.no_source"),
        (source(&five, 1, ""), "stake.too_many_sources"),
        (
            source(&[a, "operators.toml"], 1, ""),
            "stake.file_among_others",
        ),
        (source(&["operators.toml"], 1, ""), "stake.file_with_keys"),
        (
            source(&["operators.toml"], 0, "ca.pem"),
            "stake.file_with_keys",
        ),
        (source(&[a, a], 1, ""), "stake.source_twice"),
        (
            source(&[a, "http://b/v1/services/2"], 1, ""),
            "stake.services_differ",
        ),
        (source(&[a, &elsewhere], 1, ""), "stake.services_differ"),
        (source(&[a], 0, ""), "stake.no_head_key"),
        (source(&[a], 1, "ca.pem"), "stake.ca_without_tls"),
    ] {
        assert_eq!(source.origin().unwrap_err().code(), code, "{source}");
    }
}

#[test]
fn every_key_of_a_source_is_documented() {
    let table = toml::Table::try_from(TableSource::default()).unwrap();
    let documented: Vec<&str> = TableSource::DOCS.iter().map(|(key, _)| *key).collect();
    assert_eq!(
        table
            .keys()
            .map(String::as_str)
            .collect::<std::collections::BTreeSet<_>>(),
        documented.into_iter().collect()
    );
}
