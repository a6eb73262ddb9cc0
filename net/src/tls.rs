//! TLS 1.3 with raw public keys (RFC 7250), ed25519 only.
//!
//! No certificate, no authority, no expiry: the key is the identity. Sessions are not resumed and no data is
//! sent before the handshake is done, so that each connection proves the key anew and nothing can be replayed.
//!
//! A caller names the key that it expects, as [`server_name`]. A server that holds several keys, because one is about to take the
//! place of another, proves the one that is asked for: callers with an older operator table and with a newer one both get theirs.

use std::sync::{Arc, OnceLock};

use ashlar_crypto::{NetworkKey, NetworkPublicKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls13_signature_with_raw_key},
    pki_types::{
        CertificateDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
    },
    server::{
        ClientHello, NoServerSessionStorage, ResolvesServerCert,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    sign::CertifiedKey,
    version::TLS13,
};

use crate::ALPN;

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

fn certified(key: &NetworkKey) -> Result<Arc<CertifiedKey>, Error> {
    let der = key.pkcs8_der();
    let secret =
        rustls::crypto::ring::sign::any_eddsa_type(&PrivatePkcs8KeyDer::from(der.as_slice()))?;
    let public = CertificateDer::from(key.public().spki_der().to_vec());
    Ok(Arc::new(CertifiedKey::new(vec![public], secret)))
}

fn identity(presented: &CertificateDer<'_>) -> Result<NetworkPublicKey, Error> {
    let key = NetworkPublicKey::from_spki_der(presented.as_ref())
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    // Under a key of small order anybody could sign.
    key.check_strength()
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadSignature))?;
    Ok(key)
}

fn verify_signature(
    message: &[u8],
    presented: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    let spki = SubjectPublicKeyInfoDer::from(presented.as_ref());
    verify_tls13_signature_with_raw_key(
        message,
        &spki,
        signature,
        &provider().signature_verification_algorithms,
    )
}

fn only_tls13() -> Error {
    Error::General("only TLS 1.3 is spoken here".into())
}

/// The key that a peer presented, from the connection's TLS session.
pub(crate) fn peer_key(connection: &quinn::Connection) -> Option<NetworkPublicKey> {
    let identity = connection.peer_identity()?;
    let keys = identity.downcast_ref::<Vec<CertificateDer<'static>>>()?;
    NetworkPublicKey::from_spki_der(keys.first()?.as_ref()).ok()
}

/// The name by which a caller asks for a key: the first half of it, as a name that no host has.
pub(crate) fn server_name(key: &NetworkPublicKey) -> String {
    let half: String = key.to_string().chars().skip(2).take(32).collect();
    format!("{half}.ashlar.invalid")
}

/// The keys of a server, by their names.
#[derive(Debug)]
struct Identities(Vec<(String, Arc<CertifiedKey>)>);

impl ResolvesServerCert for Identities {
    /// The key that is asked for; the first one if that is not here, so that the caller learns who answers in its place.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name();
        let named = |(name, _): &&(String, _)| asked == Some(name.as_str());
        let found = self.0.iter().find(named).or(self.0.first());
        found.map(|(_, key)| Arc::clone(key))
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }
}

pub(crate) fn server_config(keys: &[NetworkKey]) -> Result<rustls::ServerConfig, Error> {
    let identities = keys
        .iter()
        .map(|key| Ok((server_name(&key.public()), certified(key)?)))
        .collect::<Result<_, Error>>()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(AnyClient))
        .with_cert_resolver(Arc::new(Identities(identities)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

/// A configuration that connects to one key only. What the peer presented is left in the second value, whatever it was.
pub(crate) fn client_config(
    key: &NetworkKey,
    expected: NetworkPublicKey,
) -> Result<(rustls::ClientConfig, Arc<OnceLock<NetworkPublicKey>>), Error> {
    let seen = Arc::new(OnceLock::new());
    let verifier = Pinned {
        expected,
        seen: Arc::clone(&seen),
    };
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])?
        .dangerous() // pinning a key is what this is for
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(certified(
            key,
        )?)));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok((config, seen))
}

/// Accepts the one expected key.
#[derive(Debug)]
struct Pinned {
    expected: NetworkPublicKey,
    seen: Arc<OnceLock<NetworkPublicKey>>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let key = identity(end_entity)?;
        let _ = self.seen.set(key);
        if key == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            ))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

/// Accepts every ed25519 key whose holder the caller proves to be; what it may do is for the handler to say.
#[derive(Debug)]
struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        identity(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}
