//! What a node tells its operator: whether peers reach it, why it did not sign, whether it is ready, where its time goes.

use std::path::Path;
use std::sync::Arc;

use ashlar_crypto::identity::NetworkKey;
use ashlar_net::{Client, NetError, NetLimits, Peer};
use ashlar_node::clock::SystemTimeSource;
use ashlar_node::reach::{Reach, Reachability};
use ashlar_node::refusals::RefusalList;
use ashlar_node::store::Store;
use ashlar_node::{Node, RunningNode};
use ashlar_proto::wire::Request;

use crate::common::caller::{Caller, ME, PATIENCE, get, runs, start, until};
use crate::common::faulty::Disk;
use crate::common::{DISPERSER, HEAD, Recipe, World, config};

/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:9";

async fn operators(world: &World, folder: &Path) -> Vec<RunningNode> {
    let mut nodes = Vec::new();
    for operator in 0..world.bls.len() {
        let config = config(&folder.join(operator.to_string()));
        let time = Arc::new(SystemTimeSource::default());
        let stake = Arc::clone(&world.stake) as _;
        let opening = Node::listen(config, world.keys(operator), stake, time);
        let opening = opening.await.unwrap();
        let disk = Disk::new();
        let node = opening.open(move |owner| Ok(Arc::new(disk.store(owner)) as Arc<dyn Store>));
        nodes.push(node.await.unwrap());
    }
    nodes
}

async fn ask(node: &RunningNode) -> Reachability {
    let (status, body) = get(node.http_addr(), "/v1/reachability").await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_say_whether_they_reach_a_node_at_its_address_and_dial_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let nodes = operators(&world, folder.path()).await;
    let mut addresses: Vec<String> = nodes.iter().map(|n| n.quic_addr().to_string()).collect();
    addresses[1] = NOWHERE.into();
    world.move_operators(HEAD + 1, &addresses);
    until("the new table", || async {
        nodes
            .iter()
            .all(|node| node.status().head == Some(HEAD + 1))
    })
    .await;

    // Two reach it; the third is where nobody listens, and cannot say.
    let asked = ask(&nodes[0]).await;
    assert_eq!(asked.address.as_ref(), Some(&addresses[0]));
    let of = |asked: &Reachability, reach| {
        let peers = asked.peers.iter().filter(|peer| peer.reach == reach);
        peers.count()
    };
    assert_eq!(
        (of(&asked, Reach::Reached), of(&asked, Reach::Unknown)),
        (2, 1),
        "{asked:?}"
    );
    // Not again at once.
    let again = ask(&nodes[0]).await;
    assert_eq!(of(&again, Reach::Unknown), 3);
    let codes = again.peers.iter().filter_map(|peer| peer.code.as_deref());
    assert_eq!(
        codes.filter(|code| *code == "node.overloaded").count(),
        2,
        "{again:?}"
    );
    // Its peers dial what the table says, and not where it is.
    let lost = ask(&nodes[1]).await;
    assert_eq!(of(&lost, Reach::Unreachable), 3, "{lost:?}");
    assert_eq!(lost.peers[0].code.as_deref(), Some("node.dial_failed"));
    assert!(
        lost.peers[0].message.as_ref().unwrap().contains(NOWHERE),
        "{lost:?}"
    );

    // A stranger has no address.
    let client = Client::new(&NetworkKey::from_seed([66; 32]), NetLimits::default()).unwrap();
    let to = Peer {
        address: addresses[0].clone(),
        network_key: world.network[0].public(),
    };
    match client.request(&to, Request::DialMe, vec![], PATIENCE).await {
        Err(NetError::Remote(error)) => assert_eq!(error.code, "node.not_an_operator"),
        other => panic!("{other:?}"),
    }
    for node in nodes {
        node.shutdown().await;
    }
}

async fn refusals(node: &RunningNode) -> RefusalList {
    serde_json::from_str(&get(node.http_addr(), "/v1/refusals").await.1).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_says_why_it_did_not_sign() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    assert!(refusals(&node).await.refusals.is_empty());
    let batch = Recipe::small(1, 1).build();
    let disperser = Caller::new(&world.disperser, node.quic_addr(), &world);
    let wrong = world.chunks(ME + 1, &[0]);
    for _ in 0..2 {
        disperser.store(&batch, &wrong).await.unwrap_err();
    }
    let stranger = Caller::new(&NetworkKey::from_seed([66; 32]), node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    stranger.store(&batch, &mine).await.unwrap_err();

    let list = refusals(&node).await.refusals;
    let told: Vec<_> = list
        .iter()
        .map(|r| (r.code.as_str(), r.disperser, r.times))
        .collect();
    let expected = [
        ("validate.not_a_disperser", None, 1),
        ("validate.assignment", Some(DISPERSER), 2),
    ];
    assert_eq!(told, expected);
    assert_eq!(list[0].batch, batch.header.digest());

    // Ready all the time: what was wrong was not the node.
    assert_eq!(get(node.http_addr(), "/v1/ready").await.0, 200);
    disperser.store(&batch, &mine).await.unwrap();
    let (_, metrics) = get(node.http_addr(), "/metrics").await;
    for line in [
        "ashlar_node_signing 1",
        "ashlar_node_receive_seconds_count 1",
        "ashlar_node_validate_seconds_count 1",
        "ashlar_node_commit_seconds_count 1",
        "ashlar_node_sign_seconds_count 1",
        "ashlar_node_connections{kind=\"known\"} 1",
        "ashlar_node_connections{kind=\"stranger\"} 1",
        "ashlar_node_head_block 1000",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    let value = |start: &str| -> f64 {
        let line = metrics.lines().find(|line| line.starts_with(start));
        line.unwrap_or_else(|| panic!("{start}: {metrics}"))
            .rsplit(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!(value("ashlar_node_window_batches{window="), 1.0);
    assert!(value("ashlar_node_window_slices_bytes{window=") > 0.0);
    assert!(value("ashlar_node_syncs_total ") >= 1.0);
    assert!(value("ashlar_node_sync_seconds_total ") > 0.0);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nearly_full_disk_ends_signing_and_readiness_and_not_serving() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let node = start(&world, config.clone()).await;
    let (batch, mine) = (Recipe::small(1, 1).build(), world.chunks(ME, &[0]));
    let disperser = Caller::new(&world.disperser, node.quic_addr(), &world);
    disperser.store(&batch, &mine).await.unwrap();
    node.shutdown().await;

    config.store.min_free_bytes = u64::MAX;
    let node = start(&world, config).await;
    let (status, body) = get(node.http_addr(), "/v1/ready").await;
    assert_eq!(status, 503, "{body}");
    assert!(body.contains("disk_space"), "{body}");
    let disperser = Caller::new(&world.disperser, node.quic_addr(), &world);
    let more = Recipe::small(2, 2).build();
    let refused = disperser.store(&more, &mine).await.unwrap_err();
    assert_eq!(refused.code, "node.not_accepting");
    let served = disperser.slices(&batch, 0, &runs(&mine)).await.unwrap();
    assert_eq!(served.len(), mine.len());
    node.shutdown().await;
}
