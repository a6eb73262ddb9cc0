//! Requests and answers over real sockets on 127.0.0.1.

use std::{sync::Arc, time::Duration};

use crate::common::*;
use ashlar_crypto::{Blame, Coded, NetworkPublicKey};
use ashlar_net::{CallOptions, Client, NetError, NetLimits, Peer, Phase, Violation};
use ashlar_proto::{
    BatchDigest, ChunkRanges,
    wire::{AnswerLimit, GetChunks, Request, Response},
};
use futures::future::join_all;

#[tokio::test(flavor = "multi_thread")]
async fn more_than_64_mib_there_and_16_mib_back() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits::default());
    let (request, bulk) = store(4);
    let len: usize = bulk.iter().map(bytes::Bytes::len).sum();
    assert!(len >= 64 << 20, "{len}");
    let expected = checksum(&bulk);
    let answer = client
        .request(&peer(&server), request, bulk, LONG)
        .await
        .unwrap();
    let Response::Stored(stored) = answer.response else {
        panic!("{:?}", answer.response)
    };
    assert_eq!(stored.signature.0[..8], expected.to_be_bytes());
    assert!(answer.bulk.is_empty());

    let answer = client
        .request(&peer(&server), get_slices(64), vec![], LONG)
        .await
        .unwrap();
    assert!(answer.bulk.len() >= 16 << 20);
    assert!(answer.bulk.iter().enumerate().all(|(i, b)| *b == i as u8));
    // Everything that was reserved is free again.
    until("memory is free", || server.bulk_memory_used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_learns_who_asks() {
    let toy = Arc::new(Toy::default());
    let server = server(NetLimits::default(), Arc::clone(&toy));
    for seed in [CLIENT, 9] {
        let client = Client::new(&key(seed), NetLimits::default()).unwrap();
        let answer = client
            .request(&peer(&server), ping(77), vec![], LONG)
            .await
            .unwrap();
        assert_eq!(answer.response, pong(77));
    }
    assert_eq!(
        *toy.peers.lock().unwrap(),
        [key(CLIENT).public(), key(9).public()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_without_permission_is_told_so_before_its_bulk_data_is_read() {
    let toy = Arc::new(Toy::default());
    // Less memory than the bulk part: it could not even be read.
    let server = server(
        NetLimits {
            known_memory: 1 << 20,
            ..NetLimits::default()
        },
        Arc::clone(&toy),
    );
    let client = Client::new(&key(FORBIDDEN), NetLimits::default()).unwrap();
    let (request, bulk) = store(4);
    let error = client
        .request(&peer(&server), request, bulk, LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = &error else {
        panic!("{error}")
    };
    assert_eq!(
        (&*reply.code, reply.blame),
        ("store.not_a_disperser", Blame::Caller)
    );
    assert_eq!(
        (error.code(), error.blame(), error.is_transient()),
        ("net.remote", Blame::Caller, false)
    );
    assert_eq!(*toy.peers.lock().unwrap(), [key(FORBIDDEN).public()]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_than_expected_is_refused() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits::default());
    let wrong = Peer {
        network_key: key(99).public(),
        ..peer(&server)
    };
    let error = client
        .request(&wrong, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    assert_eq!(
        error,
        NetError::WrongIdentity {
            address: wrong.address,
            got: key(SERVER).public(),
            expected: key(99).public()
        }
    );
    assert_eq!(
        (error.code(), error.blame(), error.is_transient()),
        ("net.wrong_identity", Blame::Peer, false)
    );
    // The right key at the same address is another entry of the pool.
    client
        .request(&peer(&server), ping(5), vec![], LONG)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there() {
    // A bound socket that never answers, so that no other process can take the port.
    let silent = std::net::UdpSocket::bind(any_port()).unwrap();
    let limits = NetLimits {
        connect_timeout: Duration::from_millis(300),
        ..NetLimits::default()
    };
    let client = client(limits);
    let nobody = Peer {
        address: silent.local_addr().unwrap().to_string(),
        network_key: NetworkPublicKey([1; 32]),
    };
    // Ten at once wait for one attempt and share its error.
    let requests = (0..10).map(|_| client.request(&nobody, ping(5), vec![], LONG));
    for result in join_all(requests).await {
        let error = result.unwrap_err();
        assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
        assert_eq!(
            (error.code(), error.blame(), error.is_transient()),
            ("net.unreachable", Blame::Peer, true)
        );
    }
    // The caller's own deadline comes first if it is shorter.
    let error = client
        .request(&nobody, ping(5), vec![], Duration::from_millis(20))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Timeout {
                phase: Phase::Connect,
                ..
            }
        ),
        "{error}"
    );

    for (address, code) in [
        ("nowhere", "net.address"),
        (":1", "net.address"),
        ("host:x", "net.address"),
        ("host.invalid:1", "net.unreachable"),
    ] {
        let peer = Peer {
            address: address.into(),
            ..nobody.clone()
        };
        let error = client
            .request(&peer, ping(5), vec![], LONG)
            .await
            .unwrap_err();
        assert!(
            [code, "net.timeout"].contains(&error.code()),
            "{address}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_comes_with_its_numbers() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits::default());
    let get = GetChunks {
        batch_digest: BatchDigest([0; 32]),
        indices: ChunkRanges::new(vec![(0, 1)]).unwrap(),
    };
    let error = client
        .request(&peer(&server), Request::GetChunks(get), vec![], LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = error else {
        panic!("{error}")
    };
    assert_eq!(reply.to_string(), "never seen [batch.unknown]");
    assert_eq!(
        (reply.got.as_deref(), reply.expected.as_deref()),
        (Some("x"), Some("y"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_not_even_sent() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits {
        max_bulk: 1 << 20,
        max_envelope: 10_000,
        ..NetLimits::default()
    });
    let (request, bulk) = store(1);
    let error = client
        .request(&peer(&server), request, bulk, LONG)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetError::TooLarge {
                what: "bulk part",
                max: 0x10_0000,
                ..
            }
        ),
        "{error}"
    );
    let request = Request::StoreBatch(store_batch(50));
    let error = client
        .request(&peer(&server), request, vec![], LONG)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetError::TooLarge {
                what: "envelope",
                max: 10_000,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_request_is_refused_by_the_server() {
    let limits = NetLimits {
        max_bulk: 1 << 20,
        max_envelope: 10_000,
        ..NetLimits::default()
    };
    let server = server(limits, Arc::default());
    let client = client(NetLimits::default());
    let (request, bulk) = store(1);
    let error = client
        .request(&peer(&server), request, bulk, LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (&*reply.code, reply.blame),
        ("net.bulk_too_large", Blame::Caller)
    );
    assert_eq!(reply.expected.as_deref(), Some("at most 1048576"));

    let request = Request::StoreBatch(store_batch(50));
    let error = client
        .request(&peer(&server), request, vec![], LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = error else {
        panic!("{error}")
    };
    assert_eq!(
        (&*reply.code, reply.blame),
        ("net.envelope_too_large", Blame::Caller)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_wait_for_the_clients_memory() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits {
        answer_memory: 20 << 20,
        stall_timeout: Duration::from_millis(300),
        ..NetLimits::default()
    });
    let peer = peer(&server);
    let ask = || client.request(&peer, get_slices(64), vec![], LONG);
    let first = ask().await.unwrap();
    let used = client.answer_memory_used();
    assert!(
        used >= first.bulk.len() as u64 && used <= 20 << 20,
        "{used}"
    );
    // The next one does not fit as long as the first is held, even in part.
    let part = first.bulk.slice(..10);
    drop(first);
    let error = ask().await.unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Timeout {
                phase: Phase::Memory,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.blame(), Blame::Us);
    drop(part);
    assert_eq!(client.answer_memory_used(), 0);
    ask().await.unwrap();
    assert_eq!(client.answer_memory_used(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_answer_is_refused_by_the_client() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits::default());
    let options = CallOptions {
        deadline: LONG,
        answer: AnswerLimit {
            bulk: 1 << 20,
            ..get_slices(64).answer_limit()
        },
    };
    let error = client
        .call(&peer(&server), &get_slices(64), &[], options)
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Violation(Violation::AnswerTooLarge {
                part: "bulk part",
                max: 0x10_0000,
                ..
            })
        ),
        "{error}"
    );
    assert_eq!(error.blame(), Blame::Peer);
    // The connection is as good as before.
    client
        .request(&peer(&server), ping(5), vec![], LONG)
        .await
        .unwrap();
    until("memory is free", || server.bulk_memory_used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_get_small_envelopes_and_everything_else() {
    let toy = Arc::new(Toy {
        strangers: vec![key(CLIENT).public()],
        ..Toy::default()
    });
    let server = server(
        NetLimits {
            max_stranger_envelope: 2000,
            ..NetLimits::default()
        },
        toy,
    );
    let client = client(NetLimits::default());
    let (request, bulk) = store(4);
    let error = client
        .request(&peer(&server), request, bulk, LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = error else {
        panic!("{error}")
    };
    assert_eq!(reply.code, "net.envelope_too_large");
    // A large answer goes through a small window, too.
    let answer = client
        .request(&peer(&server), get_slices(64), vec![], LONG)
        .await
        .unwrap();
    assert!(answer.bulk.len() >= 16 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_within_the_memory_budget() {
    let toy = Arc::new(Toy::default());
    // Room for two of these requests at a time.
    let server = server(
        NetLimits {
            known_memory: 40 << 20,
            ..NetLimits::default()
        },
        Arc::clone(&toy),
    );
    let client = client(NetLimits::default());
    let (request, bulk) = store(1);
    let expected = checksum(&bulk);
    let peer = peer(&server);
    let stores = (0..8).map(|_| client.request(&peer, request.clone(), bulk.clone(), LONG));
    let pings = (0..200u64).map(|nonce| client.request(&peer, ping(1000 + nonce), vec![], LONG));
    let (stores, pings) = tokio::join!(join_all(stores), join_all(pings));
    for (nonce, result) in pings.into_iter().enumerate() {
        assert_eq!(result.unwrap().response, pong(1000 + nonce as u64));
    }
    for result in stores {
        let answer = result.unwrap();
        let Response::Stored(stored) = answer.response else {
            panic!("{:?}", answer.response)
        };
        assert_eq!(stored.signature.0[..8], expected.to_be_bytes());
    }
    until("memory is free", || server.bulk_memory_used() == 0).await;
    // One connection for all of it.
    assert_eq!(server.connections(), 1);
    assert_eq!(toy.peers.lock().unwrap().len(), 208);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_memory_there_is() {
    let server = server(
        NetLimits {
            known_memory: 1 << 20,
            ..NetLimits::default()
        },
        Arc::default(),
    );
    let client = client(NetLimits::default());
    let (request, bulk) = store(1);
    let error = client
        .request(&peer(&server), request, bulk, LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = &error else {
        panic!("{error}")
    };
    assert_eq!((&*reply.code, reply.blame), ("net.too_large", Blame::Us));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_peer_hits_the_callers_deadline() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits::default());
    let error = client
        .request(
            &peer(&server),
            ping(HANG),
            vec![],
            Duration::from_millis(300),
        )
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            NetError::Timeout {
                phase: Phase::Envelope,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!((error.code(), error.blame()), ("net.timeout", Blame::Peer));
    // Others are served meanwhile.
    client
        .request(&peer(&server), ping(5), vec![], LONG)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_handler_hits_the_servers_deadline() {
    let toy = Arc::new(Toy::default());
    let server = server(
        NetLimits {
            request_timeout: Duration::from_millis(300),
            ..NetLimits::default()
        },
        Arc::clone(&toy),
    );
    let client = client(NetLimits::default());
    let error = client
        .request(&peer(&server), ping(HANG), vec![], LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = &error else {
        panic!("{error}")
    };
    assert_eq!((&*reply.code, reply.blame), ("net.timeout", Blame::Us));
    assert!(error.is_transient());
    until("the handler was dropped", || {
        toy.handling.load(std::sync::atomic::Ordering::SeqCst) == 0
    })
    .await;
    until("its slot is free", || server.requests() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bug_in_a_handler_is_the_servers_fault_and_nobody_elses() {
    let server = server(NetLimits::default(), Arc::default());
    let client = client(NetLimits::default());
    for nonce in [PANIC, BAD_BULK] {
        let error = client
            .request(&peer(&server), ping(nonce), vec![], LONG)
            .await
            .unwrap_err();
        let NetError::Remote(reply) = error else {
            panic!("{error}")
        };
        assert_eq!((&*reply.code, reply.blame), ("net.internal", Blame::Us));
    }
    client
        .request(&peer(&server), ping(5), vec![], LONG)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_server_says_so_at_once() {
    let toy = Arc::new(Toy::default());
    let server = server(
        NetLimits {
            max_requests: 2,
            ..NetLimits::default()
        },
        Arc::clone(&toy),
    );
    let client = client(NetLimits::default());
    let peer = peer(&server);
    let held: Vec<_> = (0..2)
        .map(|_| {
            let (client, peer) = (client.clone(), peer.clone());
            tokio::spawn(async move { client.request(&peer, ping(HOLD), vec![], LONG).await })
        })
        .collect();
    until("two are handled", || {
        toy.handling.load(std::sync::atomic::Ordering::SeqCst) == 2
    })
    .await;
    let error = client
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    let NetError::Remote(reply) = &error else {
        panic!("{error}")
    };
    assert_eq!((&*reply.code, reply.blame), ("net.busy", Blame::Us));
    assert!(error.is_transient());
    toy.release.notify_waiters();
    for held in held {
        held.await.unwrap().unwrap();
    }
    until("slots are free", || server.requests() == 0).await;
    client.request(&peer, ping(5), vec![], LONG).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_take_every_place() {
    let toy = Arc::new(Toy {
        strangers: vec![key(9).public()],
        ..Toy::default()
    });
    let limits = NetLimits {
        max_stranger_connections: 1,
        max_stranger_requests: 1,
        stranger_memory: 20 << 20,
        ..NetLimits::default()
    };
    let server = server(limits, Arc::clone(&toy));
    let peer = peer(&server);
    let stranger = || Client::new(&key(9), NetLimits::default()).unwrap();
    let first = stranger();
    let held = tokio::spawn({
        let (first, peer) = (first.clone(), peer.clone());
        async move { first.request(&peer, ping(HOLD), vec![], LONG).await }
    });
    until("it is handled", || {
        toy.handling.load(std::sync::atomic::Ordering::SeqCst) == 1
    })
    .await;
    let error = first
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, NetError::Remote(reply) if reply.code == "net.busy"),
        "{error}"
    );
    let error = stranger()
        .request(&peer, ping(5), vec![], LONG)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, NetError::Unreachable { reason, .. } if reason.contains("no more connections")),
        "{error}"
    );
    // Meanwhile those with a part in the protocol are served.
    let known = client(NetLimits::default());
    known.request(&peer, ping(5), vec![], LONG).await.unwrap();
    toy.release.notify_one();
    held.await.unwrap().unwrap();
    until("slots are free", || server.requests() == 0).await;
    // An answer of 16 MiB fits into their own budget.
    first
        .request(&peer, get_slices(64), vec![], LONG)
        .await
        .unwrap();
    until("memory is free", || server.bulk_memory_used() == 0).await;
}
