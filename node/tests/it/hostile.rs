//! Nobody can silence a node: beside whatever others do, an honest disperser's batches are signed and an honest reader reads.
//!
//! These tests look whether it is served. How long it waits is measured by the long test at the end, as a ratio to a node that is
//! left alone.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::caller::{Caller, ME, get, peak_mib, runs, spawn_child, start, valid};
use crate::common::{Batch, Recipe, Sender, World, config};
use ashlar_crypto::Blame;
use ashlar_crypto::identity::NetworkKey;
use ashlar_net::NetError;
use ashlar_node::NodeConfig;
use ashlar_proto::ChunkIndex;
use ashlar_proto::wire::{GetSlices, Ping, Request};
use ashlar_testing::link::{network, slow_link, stalling_link};
use tokio::task::JoinSet;

fn stranger(n: u8) -> NetworkKey {
    NetworkKey::from_seed([n; 32])
}

/// Room for four batches at a time, of at most 64 rows.
fn small(folder: &Path) -> NodeConfig {
    let mut config = config(folder);
    config.accept.max_batch_rows = 64;
    config.load.memory_bytes = 128 << 20;
    config.load.max_stores = 4;
    config
}

/// A batch of about 2.6 MB for this operator.
fn large(world: &World, sender: &Sender, sequence: u64) -> Batch {
    let payload = (0..2_600_000u32).map(|i| (i / 7) as u8).collect();
    let recipe = Recipe {
        payloads: vec![payload],
        ..Recipe::new(sequence)
    };
    sender.recipe(world, recipe).build()
}

/// All slices of a blob. As any reader does, it comes back when it is told to.
async fn read(reader: &Caller, batch: &Batch, chunks: &[ChunkIndex]) {
    let mut refused = Vec::new();
    for _ in 0..50 {
        match reader.slices(batch, 0, &runs(chunks)).await {
            Ok(slices) => return assert_eq!(slices.len(), chunks.len()),
            Err(error) => refused.push(error.code),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("it is not served: {refused:?}");
}

/// The codes with which somebody's requests ended.
#[derive(Clone, Default)]
struct Codes(Arc<Mutex<BTreeSet<String>>>);

impl Codes {
    fn add(&self, code: &str) {
        self.0.lock().unwrap().insert(code.to_owned());
    }

    fn of(&self, error: &NetError) {
        match error {
            NetError::Remote(reply) => self.add(&reply.code),
            error => self.add(ashlar_crypto::Coded::code(error)),
        }
    }

    fn has(&self, code: &str) -> bool {
        self.0.lock().unwrap().contains(code)
    }
}

/// Strangers, each in a network of its own, who send a disperser's batch again and again.
fn flood(world: &Arc<World>, batch: &Arc<Batch>, quic: SocketAddr, codes: &Codes) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for n in 1..=20u8 {
        let caller = Caller::at(network(n), &stranger(n), quic, world);
        let (batch, codes) = (Arc::clone(batch), codes.clone());
        let mine = world.chunks(ME, &[0]);
        tasks.spawn(async move {
            loop {
                let (request, bulk) = batch.request(&mine);
                if let Err(error) = caller.ask(request, bulk).await {
                    codes.of(&error);
                }
            }
        });
    }
    tasks
}

/// Sixteen streams of one registered disperser over a link of 20 kB a second.
async fn slow_streams(
    world: &Arc<World>,
    sender: &Sender,
    batches: Vec<Arc<Batch>>,
    quic: SocketAddr,
    codes: &Codes,
) -> JoinSet<()> {
    let link = slow_link(network(1), quic, 20_000, 1_000_000).await;
    let caller = Arc::new(Caller::new(&sender.key(), link, world));
    let mut tasks = JoinSet::new();
    for n in 0..16usize {
        let (caller, codes) = (Arc::clone(&caller), codes.clone());
        let batch = Arc::clone(&batches[n % batches.len()]);
        let mine = world.chunks(ME, &[0]);
        tasks.spawn(async move {
            loop {
                let (request, bulk) = batch.request(&mine);
                match caller.ask(request, bulk).await {
                    Err(error) => codes.of(&error),
                    Ok(_) => return,
                }
            }
        });
    }
    tasks
}

/// Handshakes that never end, a hundred a second.
fn stalled_handshakes(world: &Arc<World>, quic: SocketAddr) -> JoinSet<()> {
    let world = Arc::clone(world);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut stalled = JoinSet::new();
        for n in (0..20u8).cycle() {
            let link = stalling_link(network(n), quic, Arc::default()).await;
            let caller = Caller::new(&stranger(n), link, &world);
            stalled.spawn(async move {
                let _ = caller.ask(Request::Ping(Ping { nonce: 1 }), vec![]).await;
            });
            while stalled.try_join_next().is_some() {}
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    tasks
}

/// Readers of everything there is of a blob, over links of 20 kB a second.
async fn slow_readers(world: &Arc<World>, batch: &Arc<Batch>, quic: SocketAddr) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for n in 0..32u8 {
        let link = slow_link(network(n / 4), quic, 1_000_000, 20_000).await;
        let caller = Caller::new(&stranger(n), link, world);
        let request = Request::GetSlices(GetSlices {
            blob_key: batch.key(0),
            indices: runs(&world.chunks(ME, &[0])),
        });
        tasks.spawn(async move {
            loop {
                let _ = caller.ask(request.clone(), vec![]).await;
            }
        });
    }
    tasks
}

/// Readers that ask as fast as they can, from a few networks.
fn fast_readers(world: &Arc<World>, batch: &Arc<Batch>, quic: SocketAddr) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for n in 0..8u8 {
        let caller = Arc::new(Caller::at(network(n), &stranger(n), quic, world));
        let request = Request::GetSlices(GetSlices {
            blob_key: batch.key(0),
            indices: runs(&world.chunks(ME, &[0])[..1]),
        });
        for _ in 0..16 {
            let (caller, request) = (Arc::clone(&caller), request.clone());
            tasks.spawn(async move {
                loop {
                    let _ = caller.ask(request.clone(), vec![]).await;
                }
            });
        }
    }
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_batches_from_strangers() {
    let world = Arc::new(World::new());
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, small(folder.path())).await;
    let mine = world.chunks(ME, &[0]);
    let codes = Codes::default();
    let batch = Arc::new(Recipe::small(100, 1).build());
    let flood = flood(&world, &batch, node.quic_addr(), &codes);
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let reader = Caller::at(network(50), &stranger(50), node.quic_addr(), &world);
    for sequence in 1..=5 {
        let batch = Recipe::small(sequence, 1).build();
        valid(&world, caller.store(&batch, &mine).await.unwrap(), &batch);
        read(&reader, &batch, &mine).await;
    }
    assert!(codes.has("validate.not_a_disperser"), "{:?}", codes.0);
    let status = node.status();
    assert_eq!(status.store.unwrap().batches, 5);
    drop(flood);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_disperser_that_trickles() {
    let mut world = World::new();
    let senders = world.crowd(2);
    let world = Arc::new(world);
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, small(folder.path())).await;
    let mine = world.chunks(ME, &[0]);
    let codes = Codes::default();
    let batch = Arc::new(large(&world, &senders[0], 1));
    let slow = slow_streams(&world, &senders[0], vec![batch], node.quic_addr(), &codes).await;
    let caller = Caller::new(&senders[1].key(), node.quic_addr(), &world);
    let mut sequence = 0;
    // Until the slow one was told that it is too slow, or that others wait.
    let told = |codes: &Codes| codes.has("net.too_slow") || codes.has("net.busy");
    while sequence < 5 || !told(&codes) {
        sequence += 1;
        let batch = senders[1]
            .recipe(&world, Recipe::small(sequence, 2))
            .build();
        valid(&world, caller.store(&batch, &mine).await.unwrap(), &batch);
        assert!(sequence < 200, "{:?}", codes.0);
    }
    drop(slow);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_never_end() {
    let world = Arc::new(World::new());
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, small(folder.path())).await;
    let mine = world.chunks(ME, &[0]);
    let stalled = stalled_handshakes(&world, node.quic_addr());
    for sequence in 1..=10 {
        let batch = Recipe::small(sequence, 1).build();
        // Each over a connection of its own.
        let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
        valid(&world, caller.store(&batch, &mine).await.unwrap(), &batch);
        let reader = Caller::at(network(50), &stranger(50), node.quic_addr(), &world);
        read(&reader, &batch, &mine).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    drop(stalled);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_slow_and_fast() {
    let mut world = World::new();
    let senders = world.crowd(1);
    let world = Arc::new(world);
    let folder = tempfile::tempdir().unwrap();
    let mut config = small(folder.path());
    config.load.reads_per_sec = 50;
    let node = start(&world, config).await;
    let mine = world.chunks(ME, &[0]);
    let caller = Caller::new(&senders[0].key(), node.quic_addr(), &world);
    let blob = Arc::new(large(&world, &senders[0], 1));
    caller.store(&blob, &mine).await.unwrap();
    let slow = slow_readers(&world, &blob, node.quic_addr()).await;
    let fast = fast_readers(&world, &blob, node.quic_addr());
    let reader = Caller::at(network(50), &stranger(50), node.quic_addr(), &world);
    for sequence in 2..=6 {
        let batch = senders[0]
            .recipe(&world, Recipe::small(sequence, 1))
            .build();
        valid(&world, caller.store(&batch, &mine).await.unwrap(), &batch);
        read(&reader, &blob, &mine).await;
    }
    drop((slow, fast));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disperser_has_its_share_of_the_days_bytes() {
    let mut world = World::new();
    let senders = world.crowd(3);
    let folder = tempfile::tempdir().unwrap();
    let mut config = small(folder.path());
    let mine = world.chunks(ME, &[0]);
    // Batches of one row: four a day, one for each disperser, and one more for lending.
    let bytes = mine.len() as u64 * 2048;
    // A few bytes more: what flows in counts by whole bytes.
    let a_day = 4 * bytes + 400;
    config.store.daily_bytes = a_day;
    let node = start(&world, config.clone()).await;
    let greedy = Caller::new(&senders[0].key(), node.quic_addr(), &world);
    for sequence in 1..=2 {
        let batch = senders[0]
            .recipe(&world, Recipe::small(sequence, 1))
            .build();
        greedy.store(&batch, &mine).await.unwrap();
    }
    let third = senders[0].recipe(&world, Recipe::small(3, 1)).build();
    let refused = greedy.store(&third, &mine).await.unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.blame),
        ("node.daily_bytes", Blame::Us)
    );
    assert_eq!(refused.got, Some(bytes.to_string()));
    let retry = refused.expected.unwrap();
    let retry: u64 = retry
        .strip_prefix("retry_after_ms=")
        .unwrap()
        .parse()
        .unwrap();
    assert!((3600 * 1000..24 * 3600 * 1000).contains(&retry), "{retry}");
    // A restart gives nothing, and a repeat costs nothing.
    node.shutdown().await;
    let node = start(&world, config).await;
    let other = Caller::new(&senders[1].key(), node.quic_addr(), &world);
    let batch = senders[1].recipe(&world, Recipe::small(1, 2)).build();
    other.store(&batch, &mine).await.unwrap();
    other.store(&batch, &mine).await.unwrap();
    let (_, metrics) = get(node.http_addr(), "/metrics").await;
    let line = format!("ashlar_node_daily_bytes {a_day}");
    assert!(metrics.contains(&line), "{line} in\n{metrics}");
    node.shutdown().await;
}

/// Not a test by itself: the process whose node is attacked by the long test, so that its memory can be told from the attackers'.
#[test]
fn attacked_process() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut world = World::new();
        world.crowd(CROWD);
        let mut config = config(Path::new(&folder));
        // Its batches are made before the first attack.
        config.accept.max_age_secs = 7200;
        config.accept.max_reference_age_blocks = 7200;
        let node = start(&world, config).await;
        println!("\nquic={}", node.quic_addr());
        // Until it is killed; not for ever if the parent dies first.
        tokio::time::sleep(Duration::from_secs(3600)).await;
    });
}

const CHILD: &str = "ASHLAR_TEST_ATTACKED_DIR";
const CROWD: u32 = 200;

/// A node in a process of its own.
struct Attacked {
    child: tokio::process::Child,
    quic: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Attacked {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (child, quic) = spawn_child("hostile::attacked_process", CHILD, folder.path()).await;
        Self {
            child,
            quic,
            _folder: folder,
        }
    }

    /// The most memory that it ever had, in MiB.
    fn peak(&self) -> u64 {
        peak_mib(self.child.id().unwrap())
    }
}

pub fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

/// Prints a table: what an honest disperser waits for its signature, alone and beside each attack, and the node's memory.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; run by `make test-long`"]
async fn what_an_attack_costs_the_honest() {
    const BATCHES: u64 = 150;
    let mut world = World::new();
    let senders = world.crowd(CROWD);
    let world = Arc::new(world);
    let mine = world.chunks(ME, &[0]);
    let recipe = |sender: &Sender, n| sender.recipe(&world, Recipe::small(n, 1)).build();
    let honest: Vec<Batch> = (1..=BATCHES).map(|n| recipe(&senders[0], n)).collect();
    let slow: Vec<Arc<Batch>> = (1..=16)
        .map(|n| Arc::new(large(&world, &senders[1], n)))
        .collect();
    let strange = Arc::new(recipe(&senders[1], 1000));
    let blob = {
        let recipe = Recipe {
            payloads: vec![(0..(16u32 << 20)).map(|i| (i / 7) as u8).collect()],
            ..Recipe::new(2000)
        };
        Arc::new(senders[0].recipe(&world, recipe).build())
    };
    println!("| attack | p50 | p99 | p99, times alone | memory, MiB |\n|---|---|---|---|---|");
    let mut alone = None;
    for attack in [
        "none",
        "flood of StoreBatch by strangers",
        "100 stalled handshakes a second",
        "16 slow streams of a registered disperser",
        "32 trickling readers of a 16 MiB blob",
        "128 readers that ask without a pause",
    ] {
        let node = Attacked::start().await;
        let caller = Caller::new(&senders[0].key(), node.quic, &world);
        caller.store(&blob, &mine).await.unwrap();
        let codes = Codes::default();
        let tasks = match attack {
            "none" => JoinSet::new(),
            "flood of StoreBatch by strangers" => flood(&world, &strange, node.quic, &codes),
            "100 stalled handshakes a second" => stalled_handshakes(&world, node.quic),
            "16 slow streams of a registered disperser" => {
                slow_streams(&world, &senders[1], slow.clone(), node.quic, &codes).await
            }
            "32 trickling readers of a 16 MiB blob" => slow_readers(&world, &blob, node.quic).await,
            _ => fast_readers(&world, &blob, node.quic),
        };
        tokio::time::sleep(Duration::from_secs(2)).await;
        let mut times = Vec::new();
        for batch in &honest {
            let started = Instant::now();
            valid(&world, caller.store(batch, &mine).await.unwrap(), batch);
            times.push(started.elapsed());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
        let alone = *alone.get_or_insert(p99);
        let ratio = p99.as_secs_f64() / alone.as_secs_f64();
        let peak = node.peak();
        println!("| {attack} | {p50:.1?} | {p99:.1?} | {ratio:.2} | {peak} |");
        assert!(peak < 2048);
        drop(tasks);
    }
}

/// Two hundred dispersers with a small batch a second each. Run under `strace -f -c -e trace=fdatasync` it shows the syncs.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes; run by `make test-long`"]
async fn two_hundred_dispersers() {
    const ROUNDS: u64 = 3;
    let mut world = World::new();
    let senders = world.crowd(CROWD);
    let world = Arc::new(world);
    let mine = Arc::new(world.chunks(ME, &[0]));
    let mut batches: Vec<Vec<Batch>> = Vec::new();
    for sender in &senders {
        let build = |n| sender.recipe(&world, Recipe::small(n, 1)).build();
        batches.push((1..=ROUNDS).map(build).collect());
    }
    let node = Attacked::start().await;
    let mut tasks = JoinSet::new();
    let started = tokio::time::Instant::now();
    for (n, (sender, batches)) in senders.iter().zip(batches).enumerate() {
        let caller = Caller::new(&sender.key(), node.quic, &world);
        let (world, mine) = (Arc::clone(&world), Arc::clone(&mine));
        tasks.spawn(async move {
            let mut times = Vec::new();
            for (round, batch) in (0u64..).zip(&batches) {
                let due = Duration::from_millis(1000 + round * 1000 + n as u64 * 5);
                tokio::time::sleep_until(started + due).await;
                let sent = Instant::now();
                loop {
                    match caller.store(batch, &mine).await {
                        Ok(signature) => break valid(&world, signature, batch),
                        Err(error) => assert_eq!(error.blame, Blame::Us, "{error}"),
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                times.push(sent.elapsed());
            }
            times
        });
    }
    let mut times: Vec<Duration> = tasks.join_all().await.concat();
    let took = started.elapsed().as_secs_f64() - 1.0;
    let (p50, p99) = (percentile(&mut times, 50), percentile(&mut times, 99));
    println!(
        "{} batches in {took:.1} s, p50 {p50:.1?}, p99 {p99:.1?}, {} MiB",
        times.len(),
        node.peak()
    );
}
