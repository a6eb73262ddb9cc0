//! The BLS key in another process: a node asks for its signatures, and gets none that the signer's own records forbid.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::caller::{
    Caller, ME, PATIENCE, get, start_with, until_cause, until_ready, valid, which,
};
use crate::common::{Recipe, World, config, domain};
use ashlar_crypto::Coded;
use ashlar_crypto::identity::NetworkKey;
use ashlar_net::{Client, NetError, NetLimits, Peer};
use ashlar_node::health::Status;
use ashlar_node::signer::remote::RemoteSigner;
use ashlar_node::signer::server::{RunningSigner, SignerConfig, SignerKeys};
use ashlar_node::{NodeConfig, NodeKeys, RunningNode};
use ashlar_proto::Domain;
use ashlar_proto::wire::{Ping, Request, SignBatch};
use ashlar_testing::files::copy_folder;

fn signer_identity() -> NetworkKey {
    NetworkKey::from_seed([77; 32])
}

fn signer_config(world: &World, folder: &Path, quic: SocketAddr) -> SignerConfig {
    let mut config = SignerConfig::default();
    config.paths.data = folder.join("signer");
    config.paths.bls_key = folder.join("signer.json");
    config.listen.quic = quic;
    config.listen.http = "127.0.0.1:0".to_owned().try_into().unwrap();
    config.accept.nodes = vec![world.network[ME].public()];
    config.accept.domains = vec![domain()];
    config
}

async fn start_signer(world: &World, config: SignerConfig) -> RunningSigner {
    let keys = SignerKeys {
        bls: world.bls[ME].clone(),
        network: signer_identity(),
    };
    let which = which(&config.paths.bls_key);
    RunningSigner::start(config, keys, which).await.unwrap()
}

/// A free port that stays ours from one signer to the next.
fn any_port() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

fn with_signer(world: &World, mut config: NodeConfig, quic: SocketAddr) -> NodeConfig {
    config.signer.address = quic.to_string();
    config.signer.network_key = signer_identity().public().to_string();
    config.signer.bls_public_key = world.bls[ME].public_key().to_bytes().to_string();
    config.signer.deadline_ms = 1000;
    config
}

async fn start_node(world: &World, config: NodeConfig) -> RunningNode {
    let at = config.remote_signer().unwrap().unwrap();
    let network = world.network[ME].clone();
    let keys = NodeKeys {
        bls: Arc::new(RemoteSigner::new(&at, &network).unwrap()),
        network,
        next_network: None,
    };
    start_with(world, config, keys).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_goes_and_comes_back_under_load() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let quic = any_port();
    let signer_config = signer_config(&world, folder.path(), quic);
    let signer = start_signer(&world, signer_config.clone()).await;
    let node = start_node(&world, with_signer(&world, config(folder.path()), quic)).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);

    let first = Recipe::small(1, 1).build();
    let signature = caller.store(&first, &mine).await.unwrap();
    valid(&world, signature, &first);
    assert_eq!(caller.store(&first, &mine).await.unwrap(), signature);
    // The signer says so on a page of its own.
    let http = signer.http_addr().unwrap();
    for path in ["/health", "/ready", "/v1/health", "/v1/ready"] {
        assert_eq!(get(http, path).await.0, 200, "{path}");
    }
    let (status, metrics) = get(http, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "ashlar_signer_signed_batches_total 1",
        "ashlar_signer_sign_seconds_count 1",
        "ashlar_signer_signing 1",
        "ashlar_signer_ready 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }

    // The batch that finds it out is on disk, and has no signature; the ones behind it are refused before they are received.
    signer.shutdown().await;
    let second = Recipe::small(2, 2).build();
    let error = caller.store(&second, &mine).await.unwrap_err();
    assert!(
        ["signer.unavailable", "node.not_accepting"].contains(&error.code.as_str()),
        "{error:?}"
    );
    until_cause(&node, "signer").await;
    let error = caller
        .store(&Recipe::small(3, 3).build(), &mine)
        .await
        .unwrap_err();
    assert_eq!(error.code, "node.not_accepting");
    assert_eq!(error.got.as_deref(), Some("signer"));
    // What was signed is still served, signature included.
    let (status, body) = get(node.http_addr(), "/v1/status").await;
    assert_eq!(status, 200, "{body}");

    let signer = start_signer(&world, signer_config).await;
    until_ready(&node).await;
    let signed = caller.store(&second, &mine).await.unwrap();
    valid(&world, signed, &second);
    assert_eq!(caller.store(&first, &mine).await.unwrap(), signature);
    node.shutdown().await;
    signer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_restored_from_a_backup_signs_nothing_twice() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let quic = any_port();
    let signer = start_signer(&world, signer_config(&world, folder.path(), quic)).await;
    let mine = world.chunks(ME, &[0]);
    let honest = Recipe::small(1, 1).build();
    let rival = Recipe::small(1, 2).build();
    let config = with_signer(&world, config(folder.path()), quic);

    let node = start_node(&world, config.clone()).await;
    node.shutdown().await;
    // The backup of a database in which nothing was signed.
    let backup = folder.path().join("backup");
    copy_folder(&config.paths.data, &backup).unwrap();

    let node = start_node(&world, config.clone()).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let signature = caller.store(&honest, &mine).await.unwrap();
    node.shutdown().await;

    std::fs::remove_dir_all(&config.paths.data).unwrap();
    copy_folder(&backup, &config.paths.data).unwrap();
    let node = start_node(&world, config).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    // Its own store knows of nothing and takes the other batch; the signer does not.
    let error = caller.store(&rival, &mine).await.unwrap_err();
    assert_eq!(error.code, "signer.refused", "{error:?}");
    assert!(error.message.contains("was used for batch"), "{error:?}");
    let (_, metrics) = get(signer.http_addr().unwrap(), "/metrics").await;
    let refused = r#"ashlar_signer_refused_total{code="store.sequence_conflict"} 1"#;
    assert!(metrics.contains(refused), "{metrics}");
    assert_eq!(node.health().status, Status::Ready, "the signer is well");
    valid(&world, signature, &honest);
    node.shutdown().await;
    signer.shutdown().await;
}

/// What the signer answers to `request` of `key`.
async fn ask(key: &NetworkKey, quic: SocketAddr, request: Request) -> Result<(), NetError> {
    let client = Client::new(key, NetLimits::default()).unwrap();
    let to = Peer {
        address: quic.to_string(),
        network_key: signer_identity().public(),
    };
    client
        .request(&to, request, vec![], PATIENCE)
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_other_domains_and_other_requests_are_refused() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = signer_config(&world, folder.path(), "127.0.0.1:0".parse().unwrap());
    config.listen.http = String::new().try_into().unwrap();
    let elsewhere = Domain([9; 32]);
    config.accept.domains = vec![elsewhere];
    let signer = start_signer(&world, config).await;
    let quic = signer.quic_addr();
    assert_eq!(signer.http_addr(), None);
    let batch = Recipe::small(1, 1).build();
    let sign = || {
        Request::SignBatch(SignBatch {
            batch_header: batch.header.clone(),
            disperser_signature: batch.disperser_signature,
        })
    };
    let code = |result: Result<(), NetError>| match result {
        Err(NetError::Remote(error)) => error.code,
        other => panic!("{other:?}"),
    };
    let stranger = NetworkKey::from_seed([55; 32]);
    let node = &world.network[ME];
    assert_eq!(code(ask(&stranger, quic, sign()).await), "signer.stranger");
    assert_eq!(
        code(ask(&stranger, quic, Request::Ping(Ping { nonce: 1 })).await),
        "signer.stranger"
    );
    assert_eq!(code(ask(node, quic, sign()).await), "signer.other_domain");
    let slices = Request::GetSlices(ashlar_proto::wire::GetSlices {
        blob_key: batch.key(0),
        indices: ashlar_proto::ChunkRanges::new(vec![(0, 1)]).unwrap(),
    });
    assert_eq!(code(ask(node, quic, slices).await), "signer.other_request");
    ask(node, quic, Request::Ping(Ping { nonce: 1 }))
        .await
        .unwrap();
    // A node whose configuration names another key behind the address learns who answers, and signs nothing.
    let client = Client::new(node, NetLimits::default()).unwrap();
    let to = Peer {
        address: quic.to_string(),
        network_key: stranger.public(),
    };
    let error = client
        .request(&to, sign(), vec![], PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "net.wrong_identity", "{error:?}");
    // Bytes that are no QUIC at all, and QUIC that is no TLS of ours.
    let garbage = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    for len in [1, 100, 1200] {
        garbage.send_to(&vec![0xff; len], quic).unwrap();
    }
    ask(node, quic, Request::Ping(Ping { nonce: 2 }))
        .await
        .unwrap();
    signer.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signer_that_says_nothing_costs_its_deadline() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    // Somebody is there, and never answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = with_signer(&world, config(folder.path()), silent.local_addr().unwrap());
    let node = start_node(&world, config).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let began = Instant::now();
    let error = caller
        .store(&Recipe::small(1, 1).build(), &world.chunks(ME, &[0]))
        .await
        .unwrap_err();
    assert!(
        ["signer.unavailable", "node.not_accepting"].contains(&error.code.as_str()),
        "{error:?}"
    );
    assert!(began.elapsed() < Duration::from_secs(30));
    until_cause(&node, "signer").await;
    node.shutdown().await;
}
