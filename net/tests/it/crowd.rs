//! Many at once, and some of them hostile: whoever keeps to his share is served beside them.
//!
//! Hostile sources are at other loopback addresses, 127.0.N.M, each in a network of its own.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::common::raw::{certified, client_config, code_of, connect_from, message, raw_answer};
use crate::common::*;
use ashlar_net::{ALPN, Client, NetLimits, Peer};
use ashlar_proto::wire::{Request, Response};
use quinn::Endpoint;
use tokio::net::UdpSocket;

/// A free port in network `n`.
fn network(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, n, 1], 0))
}

/// All keys from 100 on are strangers'.
fn toy() -> Arc<Toy> {
    Arc::new(Toy {
        strangers: (100..=255).map(|seed| key(seed).public()).collect(),
        ..Toy::default()
    })
}

async fn is_served(client: &Client, to: &Peer) {
    let answer = client.request(to, ping(5), vec![], LONG).await;
    assert_eq!(answer.unwrap().response, pong(5));
}

/// Kinds of packets with a long header (RFC 9000, section 17.2).
const INITIAL: u8 = 0;
const RETRY: u8 = 3;

fn long_packet(datagram: &[u8]) -> Option<u8> {
    let first = *datagram.first()?;
    (first & 0x80 != 0).then_some(first >> 4 & 3)
}

/// Begins a handshake and never ends it, though it proves its address where it is asked to: passes only the client's first
/// packets on, and a Retry back.
async fn stall(from: SocketAddr, to: SocketAddr, seed: u8, retries: Arc<AtomicUsize>) {
    let front = UdpSocket::bind(any_port()).await.unwrap();
    let back = UdpSocket::bind(from).await.unwrap();
    let endpoint = Endpoint::client(any_port()).unwrap();
    let own = certified(&key(seed), &key(seed));
    let connecting = endpoint
        .connect_with(
            client_config(ALPN, Some(own)),
            front.local_addr().unwrap(),
            "x.invalid",
        )
        .unwrap();
    let (mut caller, mut there, mut here) = (None, [0; 2048], [0; 2048]);
    let relay = async {
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut there) => {
                    caller = Some(from);
                    if long_packet(&there[..len]) == Some(INITIAL) {
                        let _ = back.send_to(&there[..len], to).await;
                    }
                }
                Ok((len, _)) = back.recv_from(&mut here) => {
                    if long_packet(&here[..len]) == Some(RETRY) {
                        retries.fetch_add(1, Ordering::SeqCst);
                        let _ = front.send_to(&here[..len], caller.unwrap()).await;
                    }
                }
            }
        }
    };
    tokio::select! {
        _ = connecting => {}
        () = relay => {}
    }
}

/// A hundred of them a second, from ten networks, one of them the honest client's.
#[tokio::test(flavor = "multi_thread")]
async fn stalled_handshakes_keep_nobody_out() {
    let limits = NetLimits {
        max_half_open: 60,
        max_half_open_subnet: 12,
        retry_half_open: 10,
        ..NetLimits::default()
    };
    let most = limits.max_half_open;
    let server = server(limits, toy());
    let (to, peer) = (server.local_addr(), peer(&server));
    let retries = Arc::new(AtomicUsize::new(0));
    let known = client(NetLimits::default());
    is_served(&known, &peer).await;
    let mut stalled = tokio::task::JoinSet::new();
    for round in 0..30u8 {
        for n in 0..10u8 {
            stalled.spawn(stall(
                network(n),
                to,
                100 + (round * 10 + n) % 100,
                Arc::clone(&retries),
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        // One who is connected, and one who comes now.
        is_served(&known, &peer).await;
        is_served(&client(NetLimits::default()), &peer).await;
        let connections = server.connections();
        assert!(
            connections <= most + 1 + usize::from(round) + 1,
            "{connections}"
        );
    }
    assert!(retries.load(Ordering::SeqCst) > 0, "addresses were proven");
    drop(stalled);
    until("they are given up", || server.connections() <= 31).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_idlest_stranger_of_a_crowded_network_goes_first() {
    let limits = NetLimits {
        max_stranger_connections: 5,
        max_stranger_connections_subnet: 3,
        max_connections_key: 2,
        ..NetLimits::default()
    };
    let toy = toy();
    let server = server(limits, Arc::clone(&toy));
    let to = server.local_addr();
    let ask = async |connection: &quinn::Connection| {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&message(&ping(5).encode(), 0, b""))
            .await
            .unwrap();
        send.finish().unwrap();
        assert_eq!(raw_answer(&mut recv).await, pong(5));
        until("it is idle", || {
            server.requests() == toy.handling.load(Ordering::SeqCst)
        })
        .await;
    };
    let connect = async |n, seed| {
        let connection = connect_from(network(n), &key(seed), to).await.unwrap();
        ask(&connection).await;
        connection
    };
    let one = connect(1, 101).await;
    let two = connect(1, 102).await;
    let three = connect(1, 103).await;
    // The first is used last, and the second has a request under way.
    let (mut send, mut held) = two.open_bi().await.unwrap();
    send.write_all(&message(&ping(HOLD).encode(), 0, b""))
        .await
        .unwrap();
    send.finish().unwrap();
    until("it is handled", || toy.handling.load(Ordering::SeqCst) == 1).await;
    ask(&one).await;
    let four = connect(1, 104).await;
    tokio::time::timeout(LONG, three.closed()).await.unwrap();
    assert!(one.close_reason().is_none() && two.close_reason().is_none());
    // Other networks have their own, until all places of strangers are taken: then the idlest of all.
    let five = connect(2, 105).await;
    let six = connect(2, 106).await;
    assert_eq!(server.connections(), 5);
    let seven = connect(3, 107).await;
    tokio::time::timeout(LONG, one.closed()).await.unwrap();
    // Of one key's connections the idlest goes.
    let again = connect(4, 107).await;
    tokio::time::timeout(LONG, four.closed()).await.unwrap();
    let third = connect(5, 107).await;
    tokio::time::timeout(LONG, seven.closed()).await.unwrap();
    for open in [&two, &five, &six, &again, &third] {
        assert!(open.close_reason().is_none());
    }
    // The operator table's have places of their own.
    let known = client(NetLimits::default());
    is_served(&known, &peer(&server)).await;
    assert_eq!(server.connections(), 6);
    toy.release.notify_waiters();
    assert_eq!(raw_answer(&mut held).await, pong(HOLD));
}

/// One known caller's streams that trickle: 16 of them would take all memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_caller_that_trickles_keeps_no_other_from_its_share() {
    let limits = NetLimits {
        known_memory: 80 << 20,
        stall_timeout: Duration::from_secs(2),
        ..NetLimits::default()
    };
    let server = server(limits, toy());
    let slow = connect_from(network(1), &key(9), server.local_addr())
        .await
        .unwrap();
    let (batch, bulk) = store(1);
    let whole = Arc::new(message(
        &batch.encode(),
        bulk.concat().len() as u64,
        &bulk.concat(),
    ));
    let codes = Arc::new(std::sync::Mutex::new(HashSet::new()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (slow, whole) = (slow.clone(), Arc::clone(&whole));
        let (codes, stop) = (Arc::clone(&codes), Arc::clone(&stop));
        streams.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                let (mut send, mut recv) = slow.open_bi().await.unwrap();
                // Begins at full speed, so that it is received; then a hundred bytes every 20 ms.
                let (begin, rest) = whole.split_at(100_000);
                let trickle = async {
                    send.write_all(begin).await?;
                    for bytes in rest.chunks(100) {
                        send.write_all(bytes).await?;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    Ok::<_, quinn::WriteError>(())
                };
                tokio::select! {
                    answer = raw_answer(&mut recv) => match answer {
                        Response::Error(error) => {
                            codes.lock().unwrap().insert(error.code);
                        }
                        other => panic!("{other:?}"),
                    },
                    // Told to stop: the answer says why.
                    Err(_) = trickle => {}
                }
            }
        });
    }
    until("it holds what it can", || {
        server.bulk_memory_used() > 60 << 20
    })
    .await;
    let honest = client(NetLimits::default());
    for _ in 0..5 {
        let (batch, bulk) = store(1);
        let answer = honest.request(&peer(&server), batch, bulk, LONG).await;
        assert!(matches!(answer.unwrap().response, Response::Stored(_)));
    }
    until("the trickle is found out", || {
        let codes = codes.lock().unwrap();
        codes.contains("net.busy") && codes.contains("net.too_slow")
    })
    .await;
    stop.store(true, Ordering::SeqCst);
    streams.shutdown().await;
}

/// Readers of 16 MiB that take a little at a time hold memory only until somebody else needs it, and not for long.
#[tokio::test(flavor = "multi_thread")]
async fn readers_that_trickle_keep_nobody_from_reading() {
    let limits = NetLimits {
        stranger_memory: 60 << 20,
        stall_timeout: Duration::from_secs(2),
        ..NetLimits::default()
    };
    let server = server(limits, toy());
    let mut readers = tokio::task::JoinSet::new();
    for n in 0..6u8 {
        let slow = connect_from(network(1), &key(110 + n), server.local_addr())
            .await
            .unwrap();
        slow.set_receive_window(20_000u32.into());
        readers.spawn(async move {
            let (mut send, mut recv) = slow.open_bi().await.unwrap();
            send.write_all(&message(&get_slices(64).encode(), 0, b""))
                .await
                .unwrap();
            send.finish().unwrap();
            // About 5 kB a second.
            let mut bytes = [0; 100];
            while let Ok(Some(_)) = recv.read(&mut bytes).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    until("they hold what they can", || {
        server.bulk_memory_used() > 48 << 20
    })
    .await;
    // From another network.
    let honest = connect_from(network(2), &key(120), server.local_addr())
        .await
        .unwrap();
    let (mut send, mut recv) = honest.open_bi().await.unwrap();
    send.write_all(&message(&get_slices(64).encode(), 0, b""))
        .await
        .unwrap();
    send.finish().unwrap();
    let read = tokio::time::timeout(LONG, recv.read_to_end(64 << 20))
        .await
        .unwrap()
        .unwrap();
    assert!(read.len() > 16 << 20);
    until("they are given up", || server.bulk_memory_used() == 0).await;
    readers.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_network_have_a_rate() {
    let limits = NetLimits {
        stranger_request_rate: 2,
        ..NetLimits::default()
    };
    let server = server(limits, toy());
    let many = connect_from(network(1), &key(101), server.local_addr())
        .await
        .unwrap();
    let request = message(&[0xff; 20], 0, b"");
    // Two at once. One or two more in the second that the others wait.
    let at_once = (0..10).map(|_| code_of(&many, &request));
    let codes = futures::future::join_all(at_once).await;
    let passed = codes.iter().filter(|code| *code == "wire.malformed");
    assert!((2..=5).contains(&passed.count()), "{codes:?}");
    let busy = codes.iter().filter(|code| *code == "net.busy");
    assert!(busy.count() >= 5, "{codes:?}");
    // Who asks one after the other is slowed down, not refused.
    for _ in 0..4 {
        assert_eq!(code_of(&many, &request).await, "wire.malformed");
    }
    let other = connect_from(network(2), &key(101), server.local_addr())
        .await
        .unwrap();
    assert_eq!(code_of(&other, &request).await, "wire.malformed");
    // Those of the operator table have none, wherever they are.
    let known = connect_from(network(1), &key(CLIENT), server.local_addr())
        .await
        .unwrap();
    for _ in 0..40 {
        assert_eq!(code_of(&known, &request).await, "wire.malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_who_go_on_sending_are_shut_out() {
    let limits = NetLimits {
        shut_out: Duration::from_secs(3600),
        ..NetLimits::default()
    };
    let server = server(limits, toy());
    let address = server.local_addr();
    let stranger = connect_from(network(1), &key(101), address).await.unwrap();
    // The bulk part that it announces never comes.
    let batch = Request::StoreBatch(store_batch(1));
    let request = message(&batch.encode(), batch.bulk_len().unwrap(), b"");
    let mut served = 0;
    loop {
        let Ok((mut send, mut recv)) = stranger.open_bi().await else {
            break;
        };
        let _ = send.write_all(&request).await;
        let _ = send.finish();
        let Ok(_) = tokio::time::timeout(LONG, recv.read_to_end(1 << 20))
            .await
            .unwrap()
        else {
            break;
        };
        served += 1;
    }
    assert!((5..50).contains(&served), "{served}");
    // Its packets are not looked at.
    let again = key(102);
    let again = connect_from(network(1), &again, address);
    let answered = tokio::time::timeout(Duration::from_secs(2), again).await;
    assert!(!matches!(answered, Ok(Ok(_))));
    // The others of its network can, and so can others.
    let SocketAddr::V4(neighbour) = network(1) else {
        panic!("{}", network(1));
    };
    let [a, b, c, d] = neighbour.ip().octets();
    let neighbour = SocketAddr::from(([a, b, c, d ^ 1], 0));
    for from in [neighbour, network(2)] {
        let other = connect_from(from, &key(103), address).await.unwrap();
        assert_eq!(
            code_of(&other, &message(&[0xff; 20], 0, b"")).await,
            "wire.malformed"
        );
    }
}

/// As many as there are places of strangers, all at work: the known are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_strangers_leaves_the_known_alone() {
    let limits = NetLimits {
        max_stranger_requests: 8,
        ..NetLimits::default()
    };
    let toy = toy();
    let server = server(limits, Arc::clone(&toy));
    let address = server.local_addr();
    let stop = Arc::new(AtomicBool::new(false));
    let mut flood = tokio::task::JoinSet::new();
    for n in 0..20u8 {
        let stop = Arc::clone(&stop);
        flood.spawn(async move {
            let stranger = connect_from(network(n), &key(100 + n), address)
                .await
                .unwrap();
            let request = Arc::new(message(&ping(HANG).encode(), 0, b""));
            let mut kept = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let Ok((mut send, recv)) = stranger.open_bi().await else {
                    return;
                };
                let _ = send.write_all(&request).await;
                let _ = send.finish();
                kept.push(recv);
                if kept.len() == 8 {
                    kept.clear();
                }
            }
        });
    }
    until("strangers' places are taken", || server.requests() >= 8).await;
    let known = client(NetLimits::default());
    for _ in 0..100 {
        is_served(&known, &peer(&server)).await;
    }
    stop.store(true, Ordering::SeqCst);
    flood.shutdown().await;
}
