//! Peers that speak QUIC and nothing else right.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use crate::common::{
    raw::{self, code_of, message, raw_answer, raw_connect},
    *,
};
use ashlar_crypto::{Blame, Coded};
use ashlar_net::{ALPN, CallOptions, NetError, NetLimits, Peer, Phase, Violation};
use ashlar_proto::{
    ChunkRanges,
    wire::{AnswerLimit, Request, Response, Slices, limits},
};
use proptest::{prelude::*, test_runner::TestRunner};
use quinn::Endpoint;

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_request_has_its_answer() {
    let server = server(NetLimits::default(), Arc::default());
    let connection = raw_connect(&server).await;
    let good = ping(5).encode();
    let whole = message(&good, 0, b"");
    for cut in 0..whole.len() {
        assert_eq!(
            code_of(&connection, &whole[..cut]).await,
            "net.truncated",
            "cut to {cut} bytes"
        );
    }
    assert_eq!(
        code_of(&connection, &message(&good, 0, b"x")).await,
        "net.trailing"
    );
    assert_eq!(
        code_of(&connection, &message(&good, 1, b"x")).await,
        "wire.bulk_length"
    );
    assert_eq!(
        code_of(&connection, &message(&good, u64::MAX, b"")).await,
        "net.bulk_too_large"
    );
    assert_eq!(
        code_of(&connection, &[0xff; 4]).await,
        "net.envelope_too_large"
    );
    assert_eq!(
        code_of(&connection, &message(&[0xff; 20], 0, b"")).await,
        "wire.malformed"
    );
    assert_eq!(
        code_of(&connection, &message(&[], 0, b"")).await,
        "wire.unknown_kind"
    );

    // A batch whose bulk part is cut off, too long, or of another length than its headers imply.
    let (batch, bulk) = store(1);
    let (envelope, bulk) = (batch.encode(), bulk.concat());
    let len = bulk.len() as u64;
    assert_eq!(
        code_of(&connection, &message(&envelope, len, &bulk[1..])).await,
        "net.truncated"
    );
    assert_eq!(
        code_of(
            &connection,
            &message(&envelope, len, &[&bulk[..], b"x"].concat())
        )
        .await,
        "net.trailing"
    );
    assert_eq!(
        code_of(&connection, &message(&envelope, len - 1, &bulk[1..])).await,
        "wire.bulk_length"
    );
    // The connection has survived all of it.
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    send.write_all(&whole).await.unwrap();
    send.finish().unwrap();
    assert_eq!(raw_answer(&mut recv).await, pong(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_mebibytes_of_empty_fields_are_refused() {
    let server = server(NetLimits::default(), Arc::default());
    let connection = raw_connect(&server).await;
    // A batch of 8 million blobs without a header, and one with as many empty proofs: they would take 256 MiB.
    let fields = (limits::MAX_ENVELOPE - 64) / 2;
    let field = |key: u8, bytes: Vec<u8>| {
        let mut out = vec![key];
        varint(bytes.len(), &mut out);
        out.extend(bytes);
        out
    };
    for batch in [
        [0x12, 0].repeat(fields),
        field(0x2a, [0x0a, 0].repeat(fields)),
        [0x1a, 0].repeat(fields),
    ] {
        let envelope = field(0x0a, batch);
        assert!(envelope.len() <= limits::MAX_ENVELOPE);
        let code = code_of(&connection, &message(&envelope, 0, b"")).await;
        assert!(["wire.limit", "header.length"].contains(&&*code), "{code}");
    }
    assert_eq!(
        code_of(&connection, &message(&[0x7a, 0].repeat(fields), 0, b"")).await,
        "wire.unknown_kind"
    );
    until("it is over", || server.requests() == 0).await;
}

fn varint(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_stalls_is_told_off() {
    let limits = NetLimits {
        stall_timeout: Duration::from_millis(200),
        ..NetLimits::default()
    };
    let server = server(limits, Arc::default());
    let connection = raw_connect(&server).await;
    let (batch, bulk) = store(1);
    let (envelope, bulk) = (batch.encode(), bulk.concat());
    let whole = message(&envelope, bulk.len() as u64, &bulk);
    // Inside the length, inside the envelope, inside the bulk part, before the end.
    for stop in [1, 100, whole.len() / 2, whole.len()] {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&whole[..stop]).await.unwrap();
        match raw_answer(&mut recv).await {
            Response::Error(error) => assert_eq!(error.code, "net.timeout", "stopped at {stop}"),
            other => panic!("{other:?}"),
        }
    }
    until("memory is free", || {
        server.bulk_memory_used() == 0 && server.requests() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_read_is_given_up() {
    let limits = NetLimits {
        stall_timeout: Duration::from_millis(200),
        ..NetLimits::default()
    };
    let server = server(limits, Arc::default());
    let connection = raw_connect(&server).await;
    connection.set_receive_window(10_000u32.into());
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&message(&get_slices(64).encode(), 0, b""))
        .await
        .unwrap();
    send.finish().unwrap();
    until("it is being answered", || server.bulk_memory_used() > 0).await;
    until("it is given up", || {
        server.bulk_memory_used() == 0 && server.requests() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_vanishes_leaves_nothing_behind() {
    let limits = NetLimits {
        idle_timeout: Duration::from_secs(1),
        ..NetLimits::default()
    };
    let server = server(limits, Arc::default());
    let (batch, bulk) = store(1);
    let whole = message(&batch.encode(), bulk.concat().len() as u64, &bulk.concat());
    for _ in 0..3 {
        let connection = raw_connect(&server).await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&whole[..whole.len() / 2]).await.unwrap();
        connection.close(0u32.into(), b"");
    }
    until("memory is free", || {
        server.bulk_memory_used() == 0 && server.requests() == 0 && server.connections() == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_another_key_and_another_protocol_do_not_get_in() {
    let toy = Arc::new(Toy::default());
    let server = server(NetLimits::default(), Arc::clone(&toy));
    let stolen = raw::certified(&key(CLIENT), &key(66));
    let own = raw::certified(&key(CLIENT), &key(CLIENT));
    for (what, alpn, identity) in [
        ("no key", ALPN, None),
        ("the public key of somebody else", ALPN, Some(stolen)),
        ("another protocol", &b"h3"[..], Some(own)),
    ] {
        let endpoint = Endpoint::client(any_port()).unwrap();
        let config = raw::client_config(alpn, identity);
        let connected = endpoint
            .connect_with(config, server.local_addr(), "x.invalid")
            .unwrap()
            .await;
        // A client is done before the server has looked at its key: then the first use fails.
        if let Ok(connection) = connected {
            let refused = tokio::time::timeout(LONG, connection.closed()).await;
            assert!(
                matches!(refused, Ok(quinn::ConnectionError::ConnectionClosed(_))),
                "{what}: {refused:?}"
            );
        }
    }
    assert!(toy.peers.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unidirectional_streams_and_datagrams_go_nowhere() {
    let server = server(NetLimits::default(), Arc::default());
    let connection = raw_connect(&server).await;
    assert!(
        tokio::time::timeout(Duration::from_millis(100), connection.open_uni())
            .await
            .is_err()
    );
    assert_eq!(connection.max_datagram_size(), None);
}

#[test]
fn garbage_never_disturbs_the_server() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let toy = Arc::new(Toy::default());
    let server = runtime.block_on(async { server(NetLimits::default(), Arc::clone(&toy)) });
    let connection = runtime.block_on(raw_connect(&server));
    let udp = std::net::UdpSocket::bind(any_port()).unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 300,
        ..ProptestConfig::default()
    });
    let garbage = proptest::collection::vec(any::<u8>(), 0..300);
    runner
        .run(
            &(garbage, any::<bool>(), 0u32..3000),
            |(bytes, framed, len)| {
                let bytes = if framed {
                    [&len.to_be_bytes()[..], &bytes].concat()
                } else {
                    bytes
                };
                // Beside QUIC, and as a request.
                let _ = udp.send_to(&bytes, server.local_addr());
                let code = runtime.block_on(code_of(&connection, &bytes));
                prop_assert!(
                    code.starts_with("net.") || code.starts_with("wire.") || code.contains('.'),
                    "{}",
                    code
                );
                prop_assert_ne!(code, "net.internal");
                Ok(())
            },
        )
        .unwrap();
    let client = runtime.block_on(async { client(NetLimits::default()) });
    let answer = runtime
        .block_on(client.request(&peer(&server), ping(5), vec![], LONG))
        .unwrap();
    assert_eq!(answer.response, pong(5));
    assert_eq!(toy.handling.load(Ordering::SeqCst), 0);
}

/// A server that sends these bytes in answer to any request, and ends the stream or not.
async fn liar(bytes: Vec<u8>, finish: bool) -> (Peer, Endpoint) {
    let endpoint = raw::server(ALPN, raw::certified(&key(SERVER), &key(SERVER)));
    let address: SocketAddr = endpoint.local_addr().unwrap();
    tokio::spawn({
        let endpoint = endpoint.clone();
        async move {
            while let Some(incoming) = endpoint.accept().await {
                let Ok(connection) = incoming.await else {
                    continue;
                };
                let bytes = bytes.clone();
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    while let Ok((mut send, mut recv)) = connection.accept_bi().await {
                        let _ = recv.read_to_end(1 << 20).await;
                        let _ = send.write_all(&bytes).await;
                        if finish {
                            let _ = send.finish();
                        }
                        kept.push((send, recv));
                    }
                });
            }
        }
    });
    (
        Peer {
            address: address.to_string(),
            network_key: key(SERVER).public(),
        },
        endpoint,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_answer_is_a_violation() {
    let good = message(&pong(5).encode(), 0, b"");
    let stored = Response::Stored(ashlar_proto::wire::Stored {
        signature: ashlar_crypto::bls::SignatureBytes([0; 48]),
    });
    let client = client(NetLimits::default());
    for (bytes, code) in [
        (vec![], "net.truncated"),
        (good[..3].to_vec(), "net.truncated"),
        (good[..good.len() - 1].to_vec(), "net.truncated"),
        ([&good[..], b"x"].concat(), "net.trailing"),
        (message(&pong(5).encode(), 1, b"x"), "net.answer_too_large"),
        (
            message(&pong(5).encode(), u64::MAX, b""),
            "net.answer_too_large",
        ),
        (vec![0xff; 100], "net.answer_too_large"),
        (message(&[0xff; 9], 0, b""), "wire.malformed"),
        (message(&stored.encode(), 0, b""), "net.wrong_answer"),
    ] {
        let (peer, _endpoint) = liar(bytes.clone(), true).await;
        let error = client
            .request(&peer, ping(5), vec![], LONG)
            .await
            .unwrap_err();
        assert!(matches!(error, NetError::Violation(_)), "{error}");
        assert_eq!(error.code(), code, "{bytes:?}");
    }
}

/// What follows from the request is the limit, long before the endpoint's own.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_with_more_than_was_asked_for_is_not_read() {
    let client = client(NetLimits::default());
    let slices = |count: u32| {
        let runs = ChunkRanges::new(vec![(0, count)]).unwrap();
        Response::Slices(Slices {
            blob_header: blob(PAYLOAD, 0),
            proofs: vec![vec![]],
            runs,
        })
    };
    let Request::GetSlices(asked) = get_slices(1) else {
        panic!("no request for slices")
    };
    let slice_limit = asked.answer_limit(&blob(PAYLOAD, 0)).unwrap();
    let two = slices(2);
    let two_len = two.bulk_len().unwrap();
    assert_eq!(two_len, 2 * slice_limit.bulk);
    for (request, answer, limit, part, got, max) in [
        // A pong of 16 MiB: its length is all that comes, and it is enough.
        (
            ping(5),
            (16u32 << 20).to_be_bytes().to_vec(),
            AnswerLimit::SMALL,
            "envelope",
            16 << 20,
            AnswerLimit::SMALL.envelope as u64,
        ),
        // Two slices where one was asked for; an envelope of 1 MiB around one.
        (
            Request::GetSlices(asked.clone()),
            message(&two.encode(), two_len, b""),
            slice_limit,
            "bulk part",
            two_len,
            slice_limit.bulk,
        ),
        (
            Request::GetSlices(asked.clone()),
            (1u32 << 20).to_be_bytes().to_vec(),
            slice_limit,
            "envelope",
            1 << 20,
            slice_limit.envelope as u64,
        ),
    ] {
        let (peer, _endpoint) = liar(answer, false).await;
        let options = CallOptions {
            deadline: LONG,
            answer: limit,
        };
        let error = client
            .call(&peer, &request, &[], options)
            .await
            .unwrap_err();
        assert_eq!(
            error,
            Violation::AnswerTooLarge { part, got, max }.into(),
            "{error}"
        );
        assert_eq!(error.code(), "net.answer_too_large");
        assert_eq!(error.blame(), Blame::Peer);
        assert_eq!(client.answer_memory_used(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_stalls_inside_its_answer() {
    let client = client(NetLimits {
        stall_timeout: Duration::from_millis(200),
        ..NetLimits::default()
    });
    let good = message(&pong(5).encode(), 0, b"");
    for (stop, phase) in [
        (2, Phase::Envelope),
        (good.len() - 1, Phase::Envelope),
        (good.len(), Phase::Bulk),
    ] {
        let (peer, _endpoint) = liar(good[..stop].to_vec(), false).await;
        let error = client
            .request(&peer, ping(5), vec![], LONG)
            .await
            .unwrap_err();
        assert!(
            matches!(error, NetError::Timeout { phase: p, .. } if p == phase),
            "{stop}: {error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_with_a_stolen_key_or_another_protocol() {
    let client = client(NetLimits::default());
    let stolen = raw::server(ALPN, raw::certified(&key(SERVER), &key(66)));
    let foreign = raw::server(b"h3", raw::certified(&key(SERVER), &key(SERVER)));
    for endpoint in [&stolen, &foreign] {
        let accepting = endpoint.clone();
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let _ = incoming.await;
            }
        });
        let peer = Peer {
            address: endpoint.local_addr().unwrap().to_string(),
            network_key: key(SERVER).public(),
        };
        let options = CallOptions {
            deadline: LONG,
            answer: AnswerLimit::SMALL,
        };
        let error = client
            .call(
                &peer,
                &Request::Ping(ashlar_proto::wire::Ping { nonce: 1 }),
                &[],
                options,
            )
            .await
            .unwrap_err();
        assert!(
            matches!(error, NetError::Violation(Violation::Transport(_))),
            "{error}"
        );
    }
}
