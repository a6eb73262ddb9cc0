#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn plain_http_needs_no_certificates_and_no_installed_provider() {
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
    build(client(Authorities::Nobody, Duration::from_secs(1)).unwrap()).unwrap();
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}
