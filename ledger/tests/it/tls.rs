//! A ledger behind `https://`: its own interface speaks plain HTTP, and a proxy in front of it does the rest.
//!
//! The certificates in `tls/` were made for this: an authority, the server's for 127.0.0.1 and localhost, and another authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::common::*;
use ashlar_crypto::Coded as _;
use ashlar_ledger::HttpStakeSource;
use ashlar_ledger::client::{ClientConfig, ClientError, LedgerClient};
use ashlar_ledger::source::FollowConfig;
use ashlar_proto::TableAccess as _;
use ashlar_stake::StakeSource;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/tls")
        .join(name)
}

/// Does TLS at an address and passes on what comes to the ledger. Gives its port.
async fn terminate(at: [u8; 4], ledger: SocketAddr) -> u16 {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_file_iter(file("server.pem"))
        .unwrap()
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    let key = PrivateKeyDer::from_pem_file(file("server.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((std::net::IpAddr::from(at), 0))
        .await
        .unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust us hangs up here.
                let mut inside = acceptor.accept(connection).await?;
                let mut outside = TcpStream::connect(ledger).await?;
                tokio::io::copy_bidirectional(&mut inside, &mut outside).await
            });
        }
    });
    port
}

fn client(url: &str, ca: Option<PathBuf>) -> Result<LedgerClient, ClientError> {
    let config = ClientConfig {
        attempts: 1,
        ca,
        ..ClientConfig::default()
    };
    LedgerClient::parse_with(url, config)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_behind_tls_is_followed() {
    let home = Home::new(20);
    let running = home.start().await;
    let port = terminate([127, 0, 0, 1], running.addr).await;
    for host in ["127.0.0.1", "localhost"] {
        let mut source = home.source(&[&format!("https://{host}:{port}")]);
        source.ca = file("ca.pem");
        let source = HttpStakeSource::open(&source, FollowConfig::default()).unwrap();
        let source = Arc::new(source);
        let asked = Arc::clone(&source);
        let table = tokio::task::spawn_blocking(move || {
            let head = asked.wait_ready(PATIENCE).unwrap();
            asked.table_at(head).unwrap()
        })
        .await
        .unwrap();
        assert_eq!(table.header().domain, source.domain());
    }
    running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_the_authorities_did_not_sign_for_is_refused() {
    let home = Home::new(NO_BLOCKS);
    let running = home.start().await;
    let port = terminate([127, 0, 0, 1], running.addr).await;
    // Its certificate is for 127.0.0.1.
    let elsewhere = terminate([127, 0, 0, 2], running.addr).await;
    let good = format!("https://127.0.0.1:{port}");
    let ours = || Some(file("ca.pem"));
    assert!(client(&good, ours()).unwrap().head().await.is_ok());
    for (url, ca, why) in [
        (good.clone(), Some(file("other-ca.pem")), "UnknownIssuer"),
        // The operating system trusts others.
        (good, None, "certificate"),
        (
            format!("https://127.0.0.2:{elsewhere}"),
            ours(),
            "not valid for",
        ),
        // No TLS at all.
        (format!("https://{}", running.addr), ours(), ""),
    ] {
        let error = client(&url, ca).unwrap().head().await.unwrap_err();
        assert_eq!(error.code(), "http.unreachable", "{error}");
        assert!(error.to_string().contains(why), "{error}");
    }
    running.shutdown().await;
}

#[test]
fn authorities_that_cannot_be_read_are_an_error_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("empty"), b"").unwrap();
    std::fs::write(at("key"), std::fs::read(file("server.key")).unwrap()).unwrap();
    std::fs::write(
        at("broken"),
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    for name in ["missing", "empty", "key", "broken"] {
        let error = client("https://127.0.0.1:1", Some(at(name))).unwrap_err();
        assert_eq!(error.code(), "http.ca", "{name}: {error}");
    }
    let home = Home::new(NO_BLOCKS);
    let mut source = home.source(&["https://127.0.0.1:1"]);
    source.ca = at("missing");
    let error = HttpStakeSource::open(&source, FollowConfig::default()).unwrap_err();
    assert_eq!(error.code(), "http.ca");
    // What is not trusted is not talked to at all; and nothing waits for it.
    source.ca = file("other-ca.pem");
    let source = HttpStakeSource::open(&source, FollowConfig::default()).unwrap();
    let error = source.wait_ready(Duration::ZERO).unwrap_err();
    assert!(
        ["stake.opening", "http.unreachable"].contains(&error.code()),
        "{error}"
    );
}
