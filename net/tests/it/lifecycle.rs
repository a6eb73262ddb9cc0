//! Endpoints that come and go.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use crate::common::*;
use ashlar_net::{NetError, NetLimits, Peer, Server};

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_requests_end() {
    let toy = Arc::new(Toy::default());
    let server = server(NetLimits::default(), Arc::clone(&toy));
    let client = client(NetLimits {
        connect_timeout: Duration::from_millis(300),
        ..NetLimits::default()
    });
    let peer = peer(&server);
    let held = tokio::spawn({
        let (client, peer) = (client.clone(), peer.clone());
        async move { client.request(&peer, ping(HOLD), vec![], LONG).await }
    });
    until("it is handled", || toy.handling.load(Ordering::SeqCst) == 1).await;
    let shutdown = tokio::spawn(async move { server.shutdown().await });
    // New connections are refused from now on; the request under way is not disturbed.
    let other = crate::common::client(NetLimits {
        connect_timeout: Duration::from_millis(300),
        ..NetLimits::default()
    });
    let started = tokio::time::Instant::now();
    loop {
        match other.request(&peer, ping(5), vec![], LONG).await {
            Err(NetError::Unreachable { .. }) => break,
            // It got in before the shutdown did.
            result => assert!(started.elapsed() < LONG, "{result:?}"),
        }
    }
    assert!(!shutdown.is_finished() && !held.is_finished());
    toy.release.notify_one();
    assert_eq!(held.await.unwrap().unwrap().response, pong(HOLD));
    tokio::time::timeout(LONG, shutdown).await.unwrap().unwrap();
    let error = client
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_ends_though_a_request_does_not() {
    let toy = Arc::new(Toy::default());
    let limits = NetLimits {
        shutdown_grace: Duration::from_millis(200),
        ..NetLimits::default()
    };
    let server = server(limits, Arc::clone(&toy));
    let client = client(NetLimits::default());
    let peer = peer(&server);
    let hanging =
        tokio::spawn(async move { client.request(&peer, ping(HANG), vec![], LONG).await });
    until("it is handled", || toy.handling.load(Ordering::SeqCst) == 1).await;
    tokio::time::timeout(LONG / 2, server.shutdown())
        .await
        .unwrap();
    let error = hanging.await.unwrap().unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_finds_its_peer_again_after_a_restart() {
    let (first, second) = (
        server(NetLimits::default(), Arc::default()),
        server(NetLimits::default(), Arc::default()),
    );
    let target = Arc::new(Mutex::new(first.local_addr()));
    let peer = Peer {
        address: relay(Arc::clone(&target)).await.to_string(),
        network_key: key(SERVER).public(),
    };
    let client = client(NetLimits::default());
    client.request(&peer, ping(5), vec![], LONG).await.unwrap();
    first.shutdown().await;
    *target.lock().unwrap() = second.local_addr();
    assert_eq!(
        client
            .request(&peer, ping(6), vec![], LONG)
            .await
            .unwrap()
            .response,
        pong(6)
    );
}

/// Passes datagrams between one caller and a server that can be exchanged for another behind its back.
async fn relay(to: Arc<Mutex<SocketAddr>>) -> SocketAddr {
    let front = tokio::net::UdpSocket::bind(any_port()).await.unwrap();
    let back = tokio::net::UdpSocket::bind(any_port()).await.unwrap();
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut caller, mut there, mut here) = (None, [0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut there) => {
                    caller = Some(from);
                    let target = *to.lock().unwrap();
                    let _ = back.send_to(&there[..len], target).await;
                }
                Ok((len, from)) = back.recv_from(&mut here) => {
                    let target = *to.lock().unwrap();
                    if let Some(caller) = caller.filter(|_| from == target) {
                        let _ = front.send_to(&here[..len], caller).await;
                    }
                }
            }
        }
    });
    address
}

/// As after SIGKILL and a restart: the new process knows nothing of the connection, and the old one said nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_notices_a_peer_that_was_killed_and_restarted() {
    let (first, second) = (
        server(NetLimits::default(), Arc::default()),
        server(NetLimits::default(), Arc::default()),
    );
    let target = Arc::new(Mutex::new(first.local_addr()));
    let address = relay(Arc::clone(&target)).await.to_string();
    let peer = Peer {
        address,
        network_key: key(SERVER).public(),
    };
    let client = client(NetLimits::default());
    client.request(&peer, ping(5), vec![], LONG).await.unwrap();
    *target.lock().unwrap() = second.local_addr();
    // Well before the connection would be given up as idle, after 30 s.
    let answer = client
        .request(&peer, ping(6), vec![], Duration::from_secs(15))
        .await
        .unwrap();
    assert_eq!(answer.response, pong(6));
    assert_eq!((first.connections(), second.connections()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_connections_are_closed() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits {
        pool_idle: Duration::from_millis(50),
        ..NetLimits::default()
    });
    client
        .request(&peer(&server), ping(5), vec![], LONG)
        .await
        .unwrap();
    until("the server is alone", || server.connections() == 0).await;
    client
        .request(&peer(&server), ping(5), vec![], LONG)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pool_is_bounded() {
    let servers: Vec<_> = (0..3)
        .map(|_| server(NetLimits::default(), Arc::default()))
        .collect();
    let client = client(NetLimits {
        max_peers: 2,
        ..NetLimits::default()
    });
    for server in servers.iter().chain(&servers) {
        client
            .request(&peer(server), ping(5), vec![], LONG)
            .await
            .unwrap();
    }
    until("one connection is closed", || {
        servers.iter().map(Server::connections).sum::<usize>() == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_connections() {
    let toy = Arc::new(Toy::default());
    let server = server(
        NetLimits {
            max_known_connections: 2,
            ..NetLimits::default()
        },
        Arc::clone(&toy),
    );
    let peer = peer(&server);
    let clients: Vec<_> = (0..3).map(|_| client(NetLimits::default())).collect();
    let held: Vec<_> = clients[..2]
        .iter()
        .map(|client| {
            let (client, peer) = (client.clone(), peer.clone());
            tokio::spawn(async move { client.request(&peer, ping(HOLD), vec![], LONG).await })
        })
        .collect();
    until("both are handled", || {
        toy.handling.load(Ordering::SeqCst) == 2
    })
    .await;
    let error = clients[2]
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, NetError::Unreachable { reason, .. } if reason.contains("no more connections")),
        "{error}"
    );
    toy.release.notify_waiters();
    for held in held {
        held.await.unwrap().unwrap();
    }
    until("both are idle", || server.requests() == 0).await;
    // The idlest makes room.
    clients[2]
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap();
    assert_eq!(server.connections(), 2);
    clients[0].close().await;
    let error = clients[0]
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    assert_eq!(error, NetError::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken() {
    let server = server(NetLimits::default(), Arc::default());
    let error = Server::bind(
        server.local_addr(),
        &[key(SERVER)],
        NetLimits::default(),
        Arc::<Toy>::default(),
    )
    .unwrap_err();
    assert!(matches!(error, NetError::Bind { .. }), "{error}");
    assert!(
        error.to_string().contains(&server.local_addr().to_string()),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_two_keys_proves_to_each_caller_the_one_it_expects() {
    let keys = [key(SERVER), key(SERVER + 10)];
    let limits = NetLimits::default();
    let server = Server::bind(any_port(), &keys, limits.clone(), Arc::<Toy>::default()).unwrap();
    let to = |key: ashlar_crypto::NetworkPublicKey| Peer {
        address: server.local_addr().to_string(),
        network_key: key,
    };
    let caller = client(limits);
    for key in &keys {
        let answer = caller
            .request(&to(key.public()), ping(5), vec![], LONG)
            .await;
        assert_eq!(answer.unwrap().response, pong(5));
    }
    // Whoever expects a third one learns who is there in its place.
    let third = key(SERVER + 11).public();
    let error = caller.request(&to(third), ping(5), vec![], LONG).await;
    match error.unwrap_err() {
        NetError::WrongIdentity { got, expected, .. } => {
            assert_eq!((got, expected), (keys[0].public(), third));
        }
        other => panic!("{other:?}"),
    }
    // A caller can change its own while it is at work.
    caller.set_key(&key(CLIENT + 1));
    assert_eq!(caller.public_key(), key(CLIENT + 1).public());
    let second = to(keys[1].public());
    let answer = caller.request(&second, ping(6), vec![], LONG).await;
    assert_eq!(answer.unwrap().response, pong(6));
}
