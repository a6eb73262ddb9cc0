//! The SDK's examples over real processes: a batcher that is killed, a disperser that is killed, and a derivation without it.

use std::time::Duration;

use ashlar_client::UnverifiedCertificate;
use ashlar_stake::TableLocation;

use crate::support::Devnet;
use crate::support::random::payload;

#[path = "../../../client/examples/rollup/mod.rs"]
#[allow(dead_code, unreachable_pub)] // it uses its own part
mod example;
use example::{Batcher, Chain, PATIENCE, connect, derive};

#[test]
fn a_batcher_and_a_derivation_loop_over_a_devnet() {
    let mut devnet = Devnet::start_with(&["--no-ledger"]);
    let TableLocation::File(table) = devnet.file.tables.tables[0].clone() else {
        panic!("without a ledger the table is a file")
    };
    // The first disperser is none: nobody listens there.
    let dispersers = [
        "http://127.0.0.1:1".to_owned(),
        devnet.file.disperser_url.clone(),
    ];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let chain = Chain::open(&devnet.folder().join("chain")).unwrap();
    let journal = devnet.folder().join("journal");
    let all: Vec<Vec<u8>> = (0..10).map(|seed| payload(seed, 50_000)).collect();
    let (client, block) = runtime
        .block_on(async { connect(&dispersers, &table) })
        .unwrap();

    let mut batcher = Batcher::open(client.clone(), chain.clone(), &journal).unwrap();
    for transaction in &all[..6] {
        batcher.add(transaction).unwrap();
    }
    batcher.close().unwrap();
    // The batcher is killed in the middle of it, and then the disperser.
    let some_of_it =
        async { tokio::time::timeout(Duration::from_millis(400), batcher.post(block)).await };
    let _ = runtime.block_on(some_of_it);
    drop(batcher);
    devnet.kill_disperser();
    devnet.restart_disperser();

    let mut batcher = Batcher::open(client.clone(), chain.clone(), &journal).unwrap();
    for transaction in &all[6..] {
        batcher.add(transaction).unwrap();
    }
    batcher.close().unwrap();
    runtime.block_on(batcher.post(block)).unwrap();
    let salts: Vec<u64> = chain
        .from(0)
        .unwrap()
        .iter()
        .map(|inclusion| {
            let certificate = UnverifiedCertificate::from_bytes(&inclusion.certificate).unwrap();
            certificate.unverified().blob_header.salt
        })
        .collect();
    assert_eq!(salts, [0, 1, 2, 3, 4], "each frame once, in order");

    // Readers need no disperser.
    devnet.kill_disperser();
    let derived = runtime
        .block_on(derive(client.as_ref(), &chain, PATIENCE))
        .unwrap();
    assert_eq!(derived.dropped, []);
    assert!(derived.transactions == all, "other transactions came back");
}
