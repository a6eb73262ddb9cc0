//! The twin: the same interface, real certificates, and mishaps on demand.

use std::time::{Duration, Instant};

use ashlar_client::memory::{Certificates, MemoryClient, MemoryNetwork};
use ashlar_client::{
    Age, BlobState, ClientError, DaClient, Policy, PutOptions, RequiredQuorums, Trust, TrustedRoot,
    UnverifiedCertificate,
};
use ashlar_crypto::Coded;
use ashlar_proto::{BlobId, TableAccess};

use crate::support::salted;
use crate::world::noise;

pub(crate) fn network() -> (MemoryNetwork, MemoryClient) {
    let network = MemoryNetwork::new(4);
    let age = Age::Within(Duration::from_secs(14 * 86_400));
    let policy = Policy::new(network.trust(), RequiredQuorums::all([0]), age);
    let client = network.client(policy);
    (network, client)
}

#[tokio::test]
async fn a_payload_is_certified_checked_and_read_back() {
    let (network, client) = network();
    let client: &dyn DaClient = &client;
    let payload = noise(200_000, 3);
    let certified = client
        .put_and_wait(payload.clone().into(), salted())
        .await
        .unwrap();
    let found = client.get(&certified.certificate).await.unwrap();
    assert_eq!(found.payload, payload);
    assert_eq!(certified.certificate.signer_count(), 4);
    let status = client.status(certified.status.id.into()).await.unwrap();
    assert_eq!(status.state, BlobState::Certified);
    assert_eq!(status.key, Some(certified.certificate.blob_key()));

    // Posted again it is the same blob, with the certificate that it has.
    let again = client.put_and_wait(payload.into(), salted()).await.unwrap();
    assert_eq!(
        again.certificate.certificate(),
        certified.certificate.certificate()
    );
    assert_eq!(network.blobs(), 1);

    // What came over a wire is checked anew, by a table or by its root.
    let bytes = certified.certificate.certificate().to_bytes();
    let read = UnverifiedCertificate::from_bytes(&bytes).unwrap();
    let verified = client.verify(&read).await.unwrap();
    assert_eq!(verified.blob_key(), certified.certificate.blob_key());
    let Trust::Table(table) = network.trust() else {
        panic!("it is a table")
    };
    let portable = read.unverified().to_portable(&**table).unwrap();
    let by_root = Policy::new(
        Trust::Root {
            root: TrustedRoot::trust_on_my_own_word(table.root()),
            domain: table.domain(),
        },
        RequiredQuorums::all([0]),
        Age::Unbounded,
    );
    by_root.check(&portable).unwrap();
    let mut changed = bytes;
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let checked = match UnverifiedCertificate::from_bytes(&changed) {
        Ok(read) => client.verify(&read).await.map(|_| ()),
        Err(error) => Err(error),
    };
    assert!(checked.is_err(), "a changed certificate passed");
}

#[tokio::test]
async fn false_certificates_are_refused() {
    for (kind, code) in [
        (Certificates::Expired, "certificate.expired"),
        (Certificates::TooFewSigners, "certificate.threshold"),
        (Certificates::Forged, "certificate.signature_invalid"),
        (Certificates::OtherBlob, "client.other_blob"),
    ] {
        let (network, client) = network();
        network.set(|switches| switches.certificates = kind);
        let error = client.put_and_wait("x".into(), salted()).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (code, false));
        // A false one does not stay: the disperser comes to its senses.
        network.set(|switches| switches.certificates = Certificates::True);
        client.put_and_wait("x".into(), salted()).await.unwrap();
        assert_eq!(network.blobs(), 1);
    }
}

#[tokio::test]
async fn mishaps_happen_as_often_as_asked() {
    let (network, client) = network();
    network.set(|switches| {
        switches.refuse_puts = 1;
        switches.lose_answers = 1;
        switches.fail_blobs = 1;
        switches.fail_gets = 1;
    });
    let put = || client.put_and_wait("x".into(), salted());
    let error = put().await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "intake.full");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
    assert!(error.retryable());
    let error = put().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Transport { sent: true, .. }),
        "{error}"
    );
    let error = put().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Failed(_)) && error.retryable(),
        "{error}"
    );
    let certified = put().await.unwrap();
    assert_eq!(
        network.blobs(),
        1,
        "one blob, whatever happened to its answers"
    );

    let error = client.get(&certified.certificate).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("retrieve.too_few_slices", true)
    );
    client.get(&certified.certificate).await.unwrap();
    assert!(network.lose(certified.certificate.blob_key()));
    client.get(&certified.certificate).await.unwrap_err();
    assert!(!network.lose(BlobId([1; 32])));

    network.set(|switches| switches.stall = true);
    let error = client.put_and_wait("y".into(), salted()).await.unwrap_err();
    assert!(matches!(error, ClientError::Deadline { .. }), "{error}");
    let error = client.status(BlobId([1; 32]).into()).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "blob.unknown");
}

#[tokio::test]
async fn it_refuses_what_the_client_refuses_and_is_as_slow_as_asked() {
    let (network, client) = network();
    let put = |payload: &'static [u8], quorums: Vec<u8>| {
        let options = PutOptions {
            quorums,
            ..salted()
        };
        client.put(payload.into(), options)
    };
    assert_eq!(put(b"", vec![0]).await.unwrap_err().code(), "payload.empty");
    let error = put(b"x", vec![1]).await.unwrap_err();
    assert_eq!(
        (error.code(), network.blobs()),
        ("client.quorum_not_asked", 0)
    );
    let error = put(b"x", vec![0, 7]).await.unwrap_err();
    assert_eq!(error.problem().unwrap().code, "quorum.unknown");

    let slow = Duration::from_millis(50);
    network.set(|switches| {
        switches.put_latency = slow;
        switches.certify_latency = slow;
        switches.get_latency = slow;
    });
    let begin = Instant::now();
    let certified = client.put_and_wait("z".into(), salted()).await.unwrap();
    client.get(&certified.certificate).await.unwrap();
    assert!(begin.elapsed() >= 3 * slow);
}
