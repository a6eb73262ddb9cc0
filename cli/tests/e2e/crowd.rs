//! A crowd at a disperser's door: idle sockets, uploads that trickle, a client that posts ten times its rate, and a quorum whose
//! operators are gone. Others are served as before.
//!
//! The crowd comes from many networks of this machine, 127.0.N.M; who is to be served comes from 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ashlar_disperser::DisperserConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::support::load::{self, Arrivals, Pace};
use crate::support::random::payload;
use crate::support::{Devnet, wait_for};

/// How many of each, and how long all of it lasts.
struct Crowd {
    idle: usize,
    uploads: usize,
    /// Posts of the honest client without the crowd, and as many beside it.
    posts: usize,
}

/// Posts a second of the honest client.
const RATE: f64 = 2.0;
const PAYLOAD: usize = 120_000;
const WATCHER: Ipv4Addr = Ipv4Addr::new(127, 0, 251, 1);

async fn connect(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    socket.connect(to).await
}

/// One request on a connection of its own, and the status.
async fn ask(from: Ipv4Addr, to: SocketAddr, line: &str, body: &[u8]) -> std::io::Result<u16> {
    let mut stream = connect(from, to).await?;
    let length = body.len();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    // A refusal may come before the end.
    let _ = stream.write_all(body).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    let status = text.split_whitespace().nth(1);
    let status = status.and_then(|status| status.parse().ok());
    status.ok_or(std::io::ErrorKind::UnexpectedEof.into())
}

/// Connections that send nothing, and come back a while after they are closed.
fn idle(tasks: &mut JoinSet<()>, to: SocketAddr, count: usize) {
    for n in 0..count {
        let from = Ipv4Addr::new(127, 0, 1 + (n % 90) as u8, 1 + (n / 90 % 250) as u8);
        tasks.spawn(async move {
            loop {
                if let Ok(mut stream) = connect(from, to).await {
                    let _ = stream.read(&mut [0]).await;
                }
                sleep(Duration::from_secs(5)).await;
            }
        });
    }
}

/// Bodies of 16 MiB that come just faster than they are cut for.
fn uploads(tasks: &mut JoinSet<()>, to: SocketAddr, count: usize) {
    for n in 0..count {
        let from = Ipv4Addr::new(127, 0, 100 + (n % 16) as u8, 1);
        tasks.spawn(async move {
            loop {
                let _ = trickle(from, to).await;
                sleep(Duration::from_millis(100)).await;
            }
        });
    }
}

async fn trickle(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<()> {
    let mut stream = connect(from, to).await?;
    let head = format!(
        "POST /v1/blobs HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
        16 << 20
    );
    stream.write_all(head.as_bytes()).await?;
    loop {
        stream.write_all(&[7; 3400]).await?;
        sleep(Duration::from_millis(100)).await;
    }
}

/// Posts at a steady pace, whatever the answers are. Counts those that were taken in, and those that were refused.
fn flood(
    tasks: &mut JoinSet<()>,
    to: SocketAddr,
    (from, line): (Ipv4Addr, &'static str),
    pace: Duration,
    counts: &Arc<[AtomicU64; 2]>,
) {
    let counts = Arc::clone(counts);
    tasks.spawn(async move {
        let (mut ticks, mut posts) = (interval(pace), JoinSet::new());
        for n in 0u64.. {
            ticks.tick().await;
            let seed = u64::from(u32::from(from)) << 32 | n;
            let counts = Arc::clone(&counts);
            posts.spawn(async move {
                let answer = ask(from, to, line, &payload(seed, PAYLOAD)).await;
                let refused = !matches!(answer, Ok(202));
                counts[usize::from(refused)].fetch_add(1, Ordering::Relaxed);
            });
            while posts.try_join_next().is_some() {}
        }
    });
}

/// How long `/health` takes, ten times a second.
async fn watch(to: SocketAddr, times: tokio::sync::mpsc::UnboundedSender<Duration>) {
    let mut ticks = interval(Duration::from_millis(100));
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let status = ask(WATCHER, to, "GET /health", b"").await.unwrap();
        assert!(matches!(status, 200 | 503), "{status}");
        times.send(began.elapsed()).unwrap();
    }
}

/// What it costs the honest client and health: how long posts take alone and beside the crowd, and the longest that health took.
fn stand(crowd: &Crowd) -> (Pace, Pace, Duration) {
    let sockets = crowd.idle + crowd.uploads + 1024;
    let may = ashlar_service::files::raise_limit(sockets);
    assert!(
        may >= sockets,
        "{may} files may be open, {sockets} are needed"
    );
    // Who has nearly all of quorum 1 has 3 % of quorum 0.
    let (first, second) = ("30,20,15,10,10,7,5,3", "1,1,1,1,1,1,1,1000");
    let mut devnet = Devnet::start_with(&["--stakes", first, "--stakes", second]);
    devnet.kill_disperser();
    let file = devnet.file.disperser.dir.join("disperser.toml");
    let mut config = DisperserConfig::load(&file).unwrap();
    // What the honest client posts, and at once no more than one of the largest blobs.
    config.accept.sender_rows_per_sec = RATE as u32;
    config.accept.sender_burst_rows = 133;
    std::fs::write(&file, config.to_toml().unwrap()).unwrap();
    devnet.restart_disperser();
    let url = &devnet.file.disperser_url;
    let to: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let honest = |devnet: &Devnet, seed: u64, posts: usize| {
        let bodies = load::bodies(seed << 32, posts, PAYLOAD);
        load::run(devnet, &bodies, PAYLOAD, Arrivals::Rate(RATE))
    };
    // The first batches wait for connections.
    honest(&devnet, 1, 4);
    let alone = honest(&devnet, 2, crowd.posts);
    devnet.kill_node(7);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let within = runtime.enter();
    let (mut tasks, counts) = (JoinSet::new(), Arc::<[AtomicU64; 2]>::default());
    idle(&mut tasks, to, crowd.idle);
    uploads(&mut tasks, to, crowd.uploads);
    let pace = Duration::from_secs_f64(1.0 / RATE);
    let dead = (Ipv4Addr::new(127, 0, 220, 1), "POST /v1/blobs?quorums=1");
    flood(&mut tasks, to, dead, pace, &Arc::default());
    let greedy = (Ipv4Addr::new(127, 0, 210, 1), "POST /v1/blobs");
    flood(&mut tasks, to, greedy, pace / 10, &counts);
    wait_for("the greedy one to be refused", || {
        counts[1].load(Ordering::Relaxed) > 0
    });
    let (send, mut health) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(watch(to, send));
    let beside = honest(&devnet, 3, crowd.posts);
    assert!(!watching.is_finished(), "health was not answered");
    watching.abort();
    runtime.block_on(tasks.shutdown());
    drop(within);

    let mut health: Vec<Duration> = std::iter::from_fn(|| health.try_recv().ok()).collect();
    health.sort_unstable();
    let longest = health.last().copied().expect("health was asked");
    // The most that it ever had.
    let peak = load::memory(devnet.file.disperser.pid, "VmHWM");
    let bound = config.memory_bound();
    let [accepted, refused] = [0, 1].map(|at: usize| counts[at].load(Ordering::Relaxed));
    println!("alone: {alone}\nbeside the crowd: {beside}");
    println!(
        "/health: {} answers, half of them in {:.1?}, the longest took {longest:.1?}",
        health.len(),
        health[health.len() / 2]
    );
    println!(
        "the greedy one: {accepted} taken in, {refused} refused; memory {} of at most {} MiB",
        peak >> 20,
        bound >> 20
    );
    assert!(peak < bound, "{peak} bytes");
    (alone, beside, longest)
}

/// Fewer, and no look at the clock: tests beside this one may have the machine.
#[test]
fn a_crowd_silences_nobody() {
    let (_, _, health) = stand(&Crowd {
        idle: 4500,
        uploads: 16,
        posts: 8,
    });
    assert!(health < Duration::from_secs(5), "{health:?}");
}

#[test]
#[ignore = "minutes, and the machine for itself; run by `make test-long`"]
fn what_a_crowd_costs_others() {
    let (alone, beside, health) = stand(&Crowd {
        idle: 8000,
        uploads: 64,
        posts: 120,
    });
    let (alone, beside) = (alone.milliseconds.p99, beside.milliseconds.p99);
    assert!(beside <= 2.0 * alone, "{beside} ms, and {alone} ms alone");
    assert!(health <= Duration::from_millis(100), "{health:?}");
}
