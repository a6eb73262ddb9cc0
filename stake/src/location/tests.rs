#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn text_and_back() {
    for text in ["operators.toml", "/etc/ashlar/operators.json", "../http"] {
        let location: TableLocation = text.parse().unwrap();
        assert_eq!(location, TableLocation::File(text.into()));
        assert_eq!(location.to_string(), text);
    }
    let text = "https://ledger.example/prefix/v1/services/12";
    let location: TableLocation = text.parse().unwrap();
    assert_eq!(
        location,
        TableLocation::Ledger {
            url: "https://ledger.example/prefix".into(),
            service: 12
        }
    );
    assert_eq!(location.to_string(), text);
}

#[test]
fn a_url_that_names_no_service_is_refused() {
    for text in [
        "http://127.0.0.1:7600",
        "http://127.0.0.1:7600/v1/services/",
        "http://127.0.0.1:7600/v1/services/0",
        "http://127.0.0.1:7600/v1/services/+1",
        "http://127.0.0.1:7600/v1/services/1/",
        "http://127.0.0.1:7600/v1/services/4294967296",
        "http:///v1/services/1",
    ] {
        let error = text.parse::<TableLocation>().unwrap_err();
        assert_eq!(error.code(), "stake.location");
        assert!(error.to_string().contains(text), "{error}");
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
    let ledger: TableLocation = "http://a/v1/services/1".parse().unwrap();
    assert_eq!(ledger.clone().starting_at(folder), ledger);
}
