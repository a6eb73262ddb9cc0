//! A batch over a link that loses packets, between two hosts of their own. Skipped, aloud, without root.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::*;
use ashlar_net::{Client, NetLimits, Server};
use ashlar_proto::wire::Response;
use ashlar_testing::hosts::Hosts;
use ashlar_testing::switch::{Link, Switch};

const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
const THERE: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 2);

/// Loss is not congestion: who sends slower for it is given up by the other side.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_crosses_a_link_that_loses_faster_than_the_least_rate() {
    let link = Link {
        delay: Duration::from_millis(100),
        loss: 0.02,
        ..Link::PERFECT
    };
    let hosts = match Hosts::new(&[HERE, THERE], Switch::new(1, link)) {
        Ok(hosts) => hosts,
        Err(error) => return println!("SKIPPED, there are no hosts on this machine: {error}"),
    };
    let runtime = tokio::runtime::Handle::current();
    let server = hosts.on(THERE, || {
        let _runtime = runtime.enter();
        let limits = NetLimits::default();
        Server::bind(
            (THERE, 7400).into(),
            &[key(SERVER)],
            limits,
            Arc::<Toy>::default(),
        )
    });
    let server = server.unwrap();
    let client = hosts.on(HERE, || {
        let _runtime = runtime.enter();
        Client::bind((HERE, 0).into(), &key(CLIENT), NetLimits::default())
    });
    let client = client.unwrap();
    let (batch, bulk) = store(1);
    let bytes: usize = bulk.iter().map(bytes::Bytes::len).sum();
    let began = Instant::now();
    // The least rate would take four times as long.
    let answer = client.request(&peer(&server), batch, bulk, LONG).await;
    assert!(matches!(answer.unwrap().response, Response::Stored(_)));
    println!("{bytes} bytes in {:.2?}", began.elapsed());
}
