//! How long a blob takes to its certificate, how many bytes a second pass, and what operators that misbehave cost the others.
//!
//! Times are printed and not asserted: they are those of this machine, on which everything runs beside each other.

use std::sync::Arc;
use std::time::Instant;

use ashlar_crypto::NetworkPublicKey;
use ashlar_crypto::bls::SignatureBytes;
use ashlar_net::{BulkReader, Handler, Reply};
use ashlar_proto::wire::{Request, Response, Stored};
use futures::future::BoxFuture;

use crate::support::load::{self, Arrivals, Pace, Used};
use crate::support::random::Random;
use crate::support::{Devnet, evil};

/// As a rollup of the size of Base posts.
const SMALL: usize = 120_000;
const SMALL_RATE: f64 = 2.0;
const LARGE: usize = 1_000_000;

/// An operator that takes what it is sent.
enum Bad {
    /// It keeps the sender waiting.
    Hangs,
    /// It answers at once, with what is no signature.
    Garbage,
}

impl Handler for Bad {
    fn handle(
        &self,
        _: NetworkPublicKey,
        _: Request,
        mut bulk: BulkReader,
    ) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            let _ = bulk.read_to_end().await;
            if matches!(self, Bad::Hangs) {
                return std::future::pending().await;
            }
            let signature = SignatureBytes([0x5a; 48]);
            Reply::new(Response::Stored(Stored { signature }))
        })
    }
}

fn post(
    devnet: &Devnet,
    what: &str,
    random: &mut Random,
    count: usize,
    arrivals: Arrivals,
) -> Pace {
    let bodies = load::bodies(random.next(), count, SMALL);
    let pace = load::run(devnet, &bodies, SMALL, arrivals);
    println!("{what}: {pace}");
    pace
}

/// One operator dead, one that hangs, one that sends garbage: 27 of 100 units of stake.
fn three_bad_operators(count: usize, test: &str) {
    let mut random = Random::from_env(test);
    let mut devnet = Devnet::start();
    post(&devnet, "warm-up", &mut random, 10, Arrivals::UnderWay(2));
    let rate = Arrivals::Rate(SMALL_RATE);
    let good = post(&devnet, "all operators well", &mut random, count, rate);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _context = runtime.enter();
    devnet.kill_node(3);
    let hangs: Arc<dyn Handler> = Arc::new(Bad::Hangs);
    let garbage: Arc<dyn Handler> = Arc::new(Bad::Garbage);
    let _hangs = evil::impersonate(&mut devnet, 4, &hangs);
    let _garbage = evil::impersonate(&mut devnet, 5, &garbage);
    let what = "one dead, one hangs, one sends garbage";
    let bad = post(&devnet, what, &mut random, count, rate);
    println!(
        "{test}: p50 with three bad operators is {:.2} times that without",
        bad.milliseconds.p50 / good.milliseconds.p50
    );
}

#[test]
fn three_bad_operators_keep_nobody_from_a_certificate() {
    three_bad_operators(12, "three_bad_operators");
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn how_long_a_blob_takes_to_its_certificate() {
    three_bad_operators(120, "how_long_a_blob_takes");
}

/// Bytes a second that a file takes which is written from its start to its end and synced.
fn sequential_rate(devnet: &Devnet) -> f64 {
    use std::io::Write as _;
    const LEN: usize = 1 << 30;
    let block = Random::new(1).bytes(4 << 20);
    let path = devnet.folder().join("sequential");
    let mut file = std::fs::File::create(&path).unwrap();
    let start = Instant::now();
    for _ in 0..LEN / block.len() {
        file.write_all(&block).unwrap();
    }
    file.sync_all().unwrap();
    let took = start.elapsed();
    std::fs::remove_file(path).unwrap();
    LEN as f64 / took.as_secs_f64()
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn how_many_bytes_a_second_pass() {
    let mut random = Random::from_env("how_many_bytes_a_second_pass");
    let devnet = Devnet::start();
    let disk = sequential_rate(&devnet);
    let warm_up = load::bodies(random.next(), 30, LARGE);
    load::run(&devnet, &warm_up, LARGE, Arrivals::UnderWay(8));
    let bodies = load::bodies(random.next(), 600, LARGE);
    let disperser = [devnet.file.disperser.pid];
    let nodes: Vec<u32> = devnet.file.nodes.iter().map(|node| node.pid).collect();
    let before = (Used::by(&disperser), Used::by(&nodes));
    let sustained = load::run(&devnet, &bodies, LARGE, Arrivals::UnderWay(24));
    let after = (Used::by(&disperser), Used::by(&nodes));
    let (disperser, nodes) = (after.0.since(before.0), after.1.since(before.1));
    let to_disk = (disperser.written + nodes.written) as f64 / sustained.bytes as f64;
    let processors = |used: Used| used.processor / sustained.took.as_secs_f64();
    println!("sustained, {LARGE} bytes each, 24 under way: {sustained}");
    println!(
        "processors: disperser {:.2}, operators together {:.2}; seconds of them for 100 MB: {:.2} and {:.2}",
        processors(disperser),
        processors(nodes),
        disperser.processor / sustained.bytes as f64 * 1e8,
        nodes.processor / sustained.bytes as f64 * 1e8,
    );
    println!(
        "bytes to disk a payload byte: {to_disk:.2} (disperser {:.2}); the disk writes {:.0} MB/s in sequence, so {:.1} MB/s of payload at most",
        disperser.written as f64 / sustained.bytes as f64,
        disk / 1e6,
        disk / to_disk / 1e6
    );
    half(&devnet, &mut random, LARGE, &sustained);
    let bodies = load::bodies(random.next(), 3000, SMALL);
    let sustained = load::run(&devnet, &bodies, SMALL, Arrivals::UnderWay(128));
    println!("sustained, {SMALL} bytes each, 128 under way: {sustained}");
    half(&devnet, &mut random, SMALL, &sustained);
}

/// Half of what passes of blobs of this length, for half a minute.
fn half(devnet: &Devnet, random: &mut Random, len: usize, sustained: &load::Pace) {
    let rate = sustained.megabytes() * 1e6 / 2.0 / len as f64;
    let bodies = load::bodies(random.next(), (rate * 30.0) as usize, len);
    let pace = load::run(devnet, &bodies, len, Arrivals::Rate(rate));
    println!("half of that, {rate:.1} blobs of {len} bytes a second: {pace}");
}
