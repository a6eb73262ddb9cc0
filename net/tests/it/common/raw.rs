//! Peers under no control of ours: QUIC and TLS by hand.

use std::{net::SocketAddr, sync::Arc};

use ashlar_crypto::NetworkKey;
use ashlar_net::{ALPN, Server};
use ashlar_proto::wire::Response;
use quinn::{Connection, Endpoint, RecvStream};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    server::danger::{ClientCertVerified, ClientCertVerifier},
    sign::CertifiedKey,
};

use super::{CLIENT, LONG, any_port, key};

#[derive(Debug)]
pub struct Anybody;

macro_rules! common {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            unreachable!()
        }
        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }
        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }
        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }
    common!();
}

impl ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }
    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }
    common!();
}

/// A key with the secret half of one identity and the public half of another, if they differ.
pub fn certified(public: &NetworkKey, secret: &NetworkKey) -> Arc<CertifiedKey> {
    let der = secret.pkcs8_der();
    let signer =
        rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice()))
            .unwrap();
    Arc::new(CertifiedKey::new(
        vec![CertificateDer::from(public.public().spki_der().to_vec())],
        signer,
    ))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub fn client_config(alpn: &[u8], identity: Option<Arc<CertifiedKey>>) -> quinn::ClientConfig {
    let builder = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody));
    let mut tls = match identity {
        Some(key) => builder.with_client_cert_resolver(Arc::new(
            rustls::client::AlwaysResolvesClientRawPublicKeys::new(key),
        )),
        None => builder.with_no_client_auth(),
    };
    tls.alpn_protocols = vec![alpn.to_vec()];
    quinn::ClientConfig::new(Arc::new(
        quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap(),
    ))
}

pub fn server(alpn: &[u8], identity: Arc<CertifiedKey>) -> Endpoint {
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_cert_resolver(Arc::new(
            rustls::server::AlwaysResolvesServerRawPublicKeys::new(identity),
        ));
    tls.alpn_protocols = vec![alpn.to_vec()];
    let crypto = quinn::crypto::rustls::QuicServerConfig::try_from(tls).unwrap();
    Endpoint::server(
        quinn::ServerConfig::with_crypto(Arc::new(crypto)),
        any_port(),
    )
    .unwrap()
}

pub async fn raw_connect(server: &Server) -> Connection {
    connect_from(any_port(), &key(CLIENT), server.local_addr())
        .await
        .unwrap()
}

/// A connection with this key from this address.
pub async fn connect_from(
    from: SocketAddr,
    key: &NetworkKey,
    to: SocketAddr,
) -> Result<Connection, quinn::ConnectionError> {
    let endpoint = Endpoint::client(from).unwrap();
    let config = client_config(ALPN, Some(certified(key, key)));
    endpoint
        .connect_with(config, to, "x.invalid")
        .unwrap()
        .await
}

/// Reads an answer by hand.
pub async fn raw_answer(recv: &mut RecvStream) -> Response {
    let bytes = tokio::time::timeout(LONG, recv.read_to_end(1 << 20))
        .await
        .unwrap()
        .unwrap();
    let len = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    Response::decode(bytes[4..4 + len].to_vec()).unwrap()
}

pub async fn code_of(connection: &Connection, bytes: &[u8]) -> String {
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let _ = send.write_all(bytes).await;
    let _ = send.finish();
    match raw_answer(&mut recv).await {
        Response::Error(error) => error.code,
        other => panic!("{other:?}"),
    }
}

pub fn message(envelope: &[u8], declared: u64, bulk: &[u8]) -> Vec<u8> {
    let mut out = (envelope.len() as u32).to_be_bytes().to_vec();
    out.extend(envelope);
    out.extend(declared.to_be_bytes());
    out.extend(bulk);
    out
}
