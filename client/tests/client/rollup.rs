//! The examples over the twin: what they promise holds while it refuses, fails, forges and forgets.

use std::sync::Arc;
use std::time::Duration;

use ashlar_client::memory::{Certificates, MemoryClient, MemoryNetwork};
use ashlar_client::{DaClient, PutOptions};
use ashlar_proto::Block;

use crate::example::{Batcher, Chain, Derived, PATIENCE, derive, in_memory};

struct Rollup {
    folder: tempfile::TempDir,
    network: MemoryNetwork,
    client: MemoryClient,
}

impl Rollup {
    fn new() -> Self {
        let (network, client) = crate::memory::network();
        Self {
            folder: tempfile::tempdir().unwrap(),
            client,
            network,
        }
    }

    fn chain(&self) -> Chain {
        Chain::open(&self.folder.path().join("chain")).unwrap()
    }

    /// As after a start of the process.
    fn batcher(&self) -> Batcher {
        let journal = self.folder.path().join("journal");
        Batcher::open(Arc::new(self.client.clone()), self.chain(), &journal).unwrap()
    }

    async fn derive(&self) -> Derived {
        derive(&self.client, &self.chain(), PATIENCE).await.unwrap()
    }
}

fn transactions(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|n| n.to_be_bytes().repeat(10_000)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_come_back_in_order_whatever_happens_on_the_way() {
    let rollup = Rollup::new();
    rollup.network.set(|switches| {
        switches.refuse_puts = 2;
        switches.lose_answers = 2;
        switches.fail_blobs = 2;
        switches.fail_gets = 2;
        switches.certify_latency = Duration::from_millis(30);
    });
    let all = transactions(0..12);
    let mut batcher = rollup.batcher();
    for transaction in &all {
        batcher.add(transaction).unwrap();
    }
    batcher.close().unwrap();
    // Two transactions of 40 kB to a frame of 120,000 bytes: with their lengths a third is too much.
    assert_eq!(batcher.post(Block(1)).await.unwrap(), 6);
    assert_eq!(rollup.network.blobs(), 6, "one blob a frame");
    assert_eq!(batcher.post(Block(1)).await.unwrap(), 0);
    let derived = rollup.derive().await;
    assert_eq!(derived.transactions, all);
    assert_eq!(derived.dropped, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batcher_that_is_killed_posts_nothing_twice() {
    let rollup = Rollup::new();
    let all = transactions(0..8);
    let mut batcher = rollup.batcher();
    for transaction in &all[..6] {
        batcher.add(transaction).unwrap();
    }
    batcher.close().unwrap();
    // It is killed while it posts: all three frames are at the disperser, and no certificate on the chain.
    rollup
        .network
        .set(|switches| switches.certify_latency = Duration::from_secs(5));
    let killed = tokio::time::timeout(Duration::from_secs(2), batcher.post(Block(1)));
    killed.await.unwrap_err();
    drop(batcher);
    assert_eq!(rollup.network.blobs(), 3);
    assert!(rollup.chain().from(0).unwrap().is_empty());

    let mut batcher = rollup.batcher();
    for transaction in &all[6..] {
        batcher.add(transaction).unwrap();
    }
    batcher.close().unwrap();
    assert_eq!(batcher.post(Block(1)).await.unwrap(), 4);
    assert_eq!(
        rollup.network.blobs(),
        4,
        "the same frames were the same blobs"
    );
    assert_eq!(rollup.derive().await.transactions, all);

    // Killed between the chain and the journal: the chain says what is there.
    let journal = rollup.folder.path().join("journal");
    std::fs::write(journal.join("3"), b"left behind").unwrap();
    let batcher = rollup.batcher();
    assert_eq!(batcher.post(Block(1)).await.unwrap(), 0);
    assert_eq!(rollup.derive().await.transactions, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_put_onto_the_chain_counts_for_nothing() {
    let rollup = Rollup::new();
    let chain = rollup.chain();
    let put = |payload: &'static str, salt| {
        let options = PutOptions {
            salt: Some(salt),
            ..PutOptions::default()
        };
        let client = rollup.client.clone();
        async move {
            let payload = payload.into();
            let certified = client.put_and_wait(payload, options).await.unwrap();
            certified.certificate.certificate().to_bytes()
        }
    };
    let good = put("\0\0\0\x04good", 0).await;
    chain.append(Block(1), &good).unwrap();
    chain.append(Block(1), b"no certificate").unwrap();
    chain.append(Block(1), &good).unwrap();
    // Before its reference block, and long after it.
    let early = put("\0\0\0\x05early", 1).await;
    chain.append(Block(0), &early).unwrap();
    chain.append(Block(1_000_000), &early).unwrap();
    let odd = put("no frame", 2).await;
    chain.append(Block(1), &odd).unwrap();
    let mut forged = good.clone();
    let at = forged.len() - 1;
    forged[at] ^= 1;
    chain.append(Block(1), &forged).unwrap();

    let derived = rollup.derive().await;
    assert_eq!(derived.transactions, [b"good"]);
    let dropped: Vec<_> = derived.dropped.iter().map(|(number, _)| *number).collect();
    assert_eq!(dropped, [1, 2, 3, 4, 5, 6]);
    let codes: Vec<_> = derived.dropped.iter().map(|(_, code)| *code).collect();
    assert_eq!(
        codes[1..5],
        [
            "rollup.repeated",
            "certificate.from_the_future",
            "certificate.expired",
            "rollup.frame"
        ]
    );
    // The same for everybody, at any time.
    assert_eq!(rollup.derive().await, derived);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_false_certificate_stops_the_batcher_and_lost_data_the_derivation() {
    let rollup = Rollup::new();
    let mut batcher = rollup.batcher();
    batcher.add(b"a transaction").unwrap();
    batcher.close().unwrap();
    let false_ones = |kind| move |s: &mut ashlar_client::memory::Switches| s.certificates = kind;
    rollup.network.set(false_ones(Certificates::Forged));
    batcher.post(Block(1)).await.unwrap_err();
    assert!(rollup.chain().from(0).unwrap().is_empty());
    rollup.network.set(false_ones(Certificates::True));
    assert_eq!(batcher.post(Block(1)).await.unwrap(), 1);

    let certificate = rollup.chain().from(0).unwrap().remove(0).certificate;
    let certificate = ashlar_client::UnverifiedCertificate::from_bytes(&certificate).unwrap();
    let key = certificate.unverified().blob_header.blob_key();
    assert!(rollup.network.lose(key));
    // It may come back: the chain waits, and nothing is dropped.
    let patience = Duration::from_millis(300);
    let waits = derive(&rollup.client, &rollup.chain(), patience).await;
    waits.unwrap_err();
}

/// As the programs start it.
#[tokio::test]
async fn the_examples_run_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (client, block) = in_memory();
    let chain = Chain::open(&folder.path().join("chain")).unwrap();
    let journal = folder.path().join("journal");
    let mut batcher = Batcher::open(Arc::clone(&client), chain.clone(), &journal).unwrap();
    batcher.add(b"one").unwrap();
    batcher.close().unwrap();
    assert_eq!(batcher.post(block).await.unwrap(), 1);
    let derived = derive(client.as_ref(), &chain, PATIENCE).await.unwrap();
    assert_eq!(derived.transactions, [b"one"]);
}
