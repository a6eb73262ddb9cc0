//! The example of a disperser inside of the rollup's process, over a devnet whose own disperser has left.

use std::net::TcpStream;

use ashlar_client::{BlobState, DaClient, PutOptions};
use ashlar_crypto::account::AccountKey;
use ashlar_disperser::DisperserConfig;
use ashlar_retriever::RetrievalPath;
use futures::StreamExt as _;

use crate::support::Devnet;
use crate::support::random::payload;

#[path = "../../examples/own_disperser.rs"]
#[allow(dead_code, unreachable_pub)] // a program of its own
mod example;
use example::{embed, secret};

#[test]
fn a_rollup_has_its_disperser_inside_of_its_own_process() {
    let mut devnet = Devnet::start();
    devnet.kill_disperser();
    let account = &devnet.file.account;
    let account = secret(&account.key, &account.password_file).unwrap();
    let account = || AccountKey::from_bytes(&account).unwrap();
    let file = devnet.file.disperser.dir.join("disperser.toml");
    let config = || DisperserConfig::load(&file).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();

    let first = runtime.block_on(async {
        let (disperser, client) = embed(config(), account()).await.unwrap();
        TcpStream::connect(config().listen.http).unwrap_err();
        let put = |seed: u64| {
            let client = client.clone();
            async move {
                let sent = payload(seed, 50_000 + 100_000 * seed as usize);
                let options = PutOptions::default();
                let certified = client
                    .put_and_wait(sent.clone().into(), options)
                    .await
                    .unwrap();
                let found = client.get(&certified.certificate).await.unwrap();
                assert_eq!(found.report.via, Some(RetrievalPath::Relay));
                assert!(found.payload == sent, "other bytes came back");
                certified
            }
        };
        let certified = futures::future::join_all((0..6).map(put)).await;
        // Its events end behind the last state.
        let submitted = client.put(payload(9, 1000).into(), PutOptions::default());
        let events = client.dispersers().events(&submitted.await.unwrap()).await;
        let events: Vec<_> = events.unwrap().collect().await;
        let last = events.last().unwrap().as_ref().unwrap();
        assert_eq!(last.state, BlobState::Certified);
        disperser.shutdown().await;
        let refused = client.put(payload(10, 1000).into(), PutOptions::default());
        assert!(refused.await.unwrap_err().retryable());
        certified[0].certificate.clone()
    });

    // The next process finds what the last one left.
    runtime.block_on(async {
        let (disperser, client) = embed(config(), account()).await.unwrap();
        let status = client.status(first.blob_key().into()).await.unwrap();
        assert_eq!(status.state, BlobState::Certified);
        let found = client.get(&first).await.unwrap();
        assert_eq!(found.payload, payload(0, 50_000));
        disperser.shutdown().await;
    });
}
