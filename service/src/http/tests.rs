#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Blame;

use super::*;

#[test]
fn base_urls_keep_their_path_and_lose_their_slash() {
    let url = BaseUrl::parse(" http://127.0.0.1:3100/ ").unwrap();
    assert_eq!(url.to_string(), "http://127.0.0.1:3100");
    assert_eq!(
        url.join("v1/blobs").as_str(),
        "http://127.0.0.1:3100/v1/blobs"
    );
    let url = BaseUrl::parse("https://da.example/ashlar/").unwrap();
    assert!(url.is_https());
    assert_eq!(
        url.join("v1/blobs").as_str(),
        "https://da.example/ashlar/v1/blobs"
    );
}

#[test]
fn other_urls_are_refused() {
    for text in [
        "",
        "127.0.0.1:80",
        "ftp://host/",
        "file:///etc/passwd",
        "http://host/?a=1",
        "http://host/#x",
        "http://me:secret@host/",
    ] {
        let error = BaseUrl::parse(text).unwrap_err();
        assert_eq!(error.code(), "http.url", "{text}");
        assert_eq!(error.blame(), Blame::Caller);
    }
}

#[test]
fn plain_http_needs_no_certificates_and_no_installed_provider() {
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    build(client(Authorities::Nobody, Duration::from_secs(1)).unwrap()).unwrap();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
