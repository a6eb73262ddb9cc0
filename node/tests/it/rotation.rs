//! Keys that change while the network runs: a node's network key, and its BLS key, which makes it another operator.

use std::sync::Arc;

use crate::common::caller::{Caller, ME, runs, start, until, valid, which};
use crate::common::ledger::Ledger;
use crate::common::{HEAD, Recipe, World, config};
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_node::store::Store;
use ashlar_node::{Database, Node, NodeKeys, database};

fn next_network() -> NetworkKey {
    NetworkKey::from_seed([150; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_key_changes_with_the_table_and_without_a_restart() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let keys = NodeKeys {
        next_network: Some(next_network()),
        ..world.keys(ME)
    };
    let stake = Arc::clone(&world.stake) as _;
    let config = config(folder.path());
    let node = Node::start(config, keys, stake, Vec::new(), Database::New)
        .await
        .unwrap();
    let old_caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let first = Recipe::small(1, 1).build();
    let chunks = world.chunks(ME, &[0]);
    let signature = old_caller.store(&first, &chunks).await.unwrap();
    valid(&world, signature, &first);
    assert!(node.health().notices.is_empty(), "{:?}", node.health());

    let after = world.with_keys(HEAD + 1, ME, None, &next_network());
    let caller = Caller::new(&after.disperser, node.quic_addr(), &after);
    let second = after.recipe(Recipe::small(2, 2)).build();
    let chunks_after = after.chunks(ME, &[0]);
    let signature = caller.store(&second, &chunks_after).await.unwrap();
    valid(&after, signature, &second);
    until("the notice", || async {
        let notices = node.health().notices;
        notices
            .iter()
            .any(|notice| notice.code == "network_key.next")
    })
    .await;
    assert!(node.health().reasons.is_empty(), "{:?}", node.health());
    // A disperser whose table is a block older, and readers of what was signed before.
    let third = Recipe::small(3, 3).build();
    old_caller.store(&third, &chunks).await.unwrap();
    let slices = old_caller.slices(&first, 0, &runs(&chunks)).await.unwrap();
    assert_eq!(slices.len(), chunks.len());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_bls_key_keeps_its_duties_to_the_end_and_signs_no_more() {
    let world = World::new();
    let (old_folder, new_folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old_config = config(old_folder.path());
    let old = start(&world, old_config.clone()).await;
    let old_caller = Caller::new(&world.disperser, old.quic_addr(), &world);
    let chunks = world.chunks(ME, &[0]);
    let first = Recipe::small(1, 1).build();
    let promised = old_caller.store(&first, &chunks).await.unwrap();

    // The new key is another operator, beside the old one from the first block on whose table shows it.
    let new_bls = SecretKey::from_ikm(&[66; 32]);
    let after = world.with_keys(HEAD + 1, ME, Some(new_bls), &next_network());
    let new = {
        let config = config(new_folder.path());
        let stake = Arc::clone(&after.stake) as _;
        let which = which(&config.paths.bls_key);
        Node::start(config, after.keys(ME), stake, Vec::new(), which)
            .await
            .unwrap()
    };
    let new_caller = Caller::new(&after.disperser, new.quic_addr(), &after);
    // Batches of both tables are under way at the same time; each key signs for its own.
    for number in 2..6 {
        let by_old = Recipe::small(2 * number, 1).build();
        let by_new = after.recipe(Recipe::small(2 * number + 1, 2)).build();
        let chunks_after = after.chunks(ME, &[0]);
        valid(
            &world,
            old_caller.store(&by_old, &chunks).await.unwrap(),
            &by_old,
        );
        valid(
            &after,
            new_caller.store(&by_new, &chunks_after).await.unwrap(),
            &by_new,
        );
        let error = old_caller.store(&by_new, &chunks_after).await.unwrap_err();
        assert_eq!(error.code, "validate.not_an_operator");
        let error = new_caller.store(&by_old, &chunks).await.unwrap_err();
        assert_eq!(error.code, "validate.not_an_operator");
    }

    // The old one retires: it signs nothing any more, whatever table it is offered, and keeps what it promised.
    old.shutdown().await;
    let owner = world.operator_id(ME);
    let store = database::open(&old_config, owner, Database::Existing).unwrap();
    store.end_signing().unwrap();
    drop(store);
    let ledger = Ledger::new("ledger");
    ledger.ask(&world, &first, 0, 0, chunks[0]);
    let mut old_config = old_config;
    old_config.custody.poll_secs = 1;
    let old = Node::start(
        old_config,
        world.keys(ME),
        Arc::clone(&world.stake) as _,
        vec![Arc::clone(&ledger) as _],
        Database::Existing,
    )
    .await
    .unwrap();
    let old_caller = Caller::new(&world.disperser, old.quic_addr(), &world);
    let error = old_caller
        .store(&Recipe::small(99, 1).build(), &chunks)
        .await;
    assert_eq!(error.unwrap_err().got.as_deref(), Some("database.moved"));
    let slices = old_caller.slices(&first, 0, &runs(&chunks)).await.unwrap();
    assert_eq!(slices.len(), chunks.len());
    until("its challenge to be answered", || async {
        ledger.open() == 0
    })
    .await;
    valid(&world, promised, &first);
    old.shutdown().await;
    new.shutdown().await;
}
