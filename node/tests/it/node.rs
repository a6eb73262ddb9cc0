//! A running node over real QUIC and HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::caller::{
    Caller, ME, PATIENCE, get, runs, spawn_child, start, start_at, until, valid, which,
};
use crate::common::faulty::{Disk, Fault};
use crate::common::time::TestTime;
use crate::common::{Batch, HEAD, Recipe, World, config, domain};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::kzg::{CommitmentBytes, decode_commitments, decode_proofs};
use ashlar_crypto::{Blame, ChunkColumn, RowChallenge, Setup, verify_chunks};
use ashlar_net::NetError;
use ashlar_node::clock::SystemTimeSource;
use ashlar_node::health::Status;
use ashlar_node::store::Store;
use ashlar_node::{Database, Node, NodeConfig, RunningNode};
use ashlar_proto::wire::{GetChunks, GetLatest, Ping, Request, Response};
use ashlar_proto::{ChunkIndex, Domain};

async fn start_on(world: &World, config: NodeConfig, disk: &Arc<Disk>) -> RunningNode {
    let disk = Arc::clone(disk);
    let stake = Arc::clone(&world.stake) as _;
    let time = Arc::new(SystemTimeSource::default());
    let opening = Node::listen(config, world.keys(ME), stake, time)
        .await
        .unwrap();
    opening
        .open(move |owner| Ok(Arc::new(disk.store(owner)) as Arc<dyn Store>))
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_signs_and_serves() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let batch = Recipe::new(1).build();
    let mine = world.chunks(ME, &[0]);

    let signature = caller.store(&batch, &mine).await.unwrap();
    valid(&world, signature, &batch);
    assert_eq!(
        caller.store(&batch, &mine).await.unwrap(),
        signature,
        "a repeat gets the same signature"
    );
    assert_eq!(node.status().signed_batches, 1);

    // Anybody may read.
    let reader = Caller::new(&NetworkKey::from_seed([77; 32]), node.quic_addr(), &world);
    for blob in 0..2 {
        for wanted in [mine.clone(), vec![mine[1]], vec![mine[0], mine[2], mine[3]]] {
            let got = reader.slices(&batch, blob, &runs(&wanted)).await.unwrap();
            let expected: Vec<(ChunkIndex, Vec<u8>)> = wanted
                .iter()
                .map(|i| (*i, batch.slices[blob][i.0 as usize].clone()))
                .collect();
            assert_eq!(
                got.iter()
                    .map(|(i, s)| (*i, s.to_vec()))
                    .collect::<Vec<_>>(),
                expected
            );
        }
    }
    // Those not held are left out; none held is an error.
    let others = world.chunks(0, &[0]);
    let mut mixed = vec![mine[0], others[0]];
    mixed.sort_unstable();
    assert_eq!(
        reader.slices(&batch, 0, &runs(&mixed)).await.unwrap().len(),
        1
    );
    assert_eq!(
        reader
            .slices(&batch, 0, &runs(&others))
            .await
            .unwrap_err()
            .code,
        "node.no_such_chunks"
    );
    let unknown = Recipe::small(9, 9).build();
    assert_eq!(
        reader
            .slices(&unknown, 0, &runs(&mine))
            .await
            .unwrap_err()
            .code,
        "node.not_found"
    );

    let (code, body) = get(node.http_addr(), "/v1/health").await;
    assert_eq!(
        (code, body.as_str()),
        (200, r#"{"status":"ready","reasons":[],"notices":[]}"#)
    );
    let (_, status) = get(node.http_addr(), "/v1/status").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["operator_id"], world.operator_id(ME).to_string());
    assert_eq!(status["store"]["batches"], 1);
    assert_eq!(status["store"]["blobs"], 2);
    assert_eq!(status["head"], HEAD.0);
    assert_eq!(status["quic"], node.quic_addr().to_string());
    assert!(status["disk_free_bytes"].as_u64().unwrap() > 0);
    let (_, metrics) = get(node.http_addr(), "/metrics").await;
    for line in [
        "ashlar_node_signed_batches_total 1",
        "ashlar_node_repeated_batches_total 1",
        "ashlar_node_batches 1",
        "ashlar_node_ready 1",
        "ashlar_node_refused_total{code=\"node.not_found\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in\n{metrics}");
    }
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn serves_whole_chunks_to_auditors() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let batch = Recipe::new(1).build();
    let mine = world.chunks(ME, &[0]);
    caller.store(&batch, &mine).await.unwrap();

    let wanted = runs(&[mine[0], mine[1], mine[4]]);
    let digest = batch.header.digest();
    let request = Request::GetChunks(GetChunks {
        batch_digest: digest,
        indices: wanted.clone(),
    });
    let answer = caller.ask(request, vec![]).await.unwrap();
    let Response::Chunks(chunks) = answer.response else {
        panic!("{:?}", answer.response)
    };
    assert_eq!(
        (&chunks.batch_header, &chunks.runs),
        (&batch.header, &wanted)
    );
    chunks
        .batch_header
        .check_blobs(&chunks.blob_headers)
        .unwrap();
    let view = chunks.layout().unwrap().view(answer.bulk).unwrap();
    let commitments: Vec<CommitmentBytes> = view
        .commitments()
        .as_chunks::<48>()
        .0
        .iter()
        .copied()
        .map(CommitmentBytes)
        .collect();
    assert_eq!(commitments, batch.commitments);
    let proofs = decode_proofs(&chunks.chunk_proofs).unwrap();
    let columns: Vec<ChunkColumn<'_>> = wanted
        .iter()
        .zip(proofs)
        .enumerate()
        .map(|(place, (index, proof))| ChunkColumn {
            index: index.0,
            pieces: view.column(place).unwrap(),
            proof,
        })
        .collect();
    let points = decode_commitments(&commitments).unwrap();
    let code = batch.protocol().code;
    verify_chunks(
        Setup::ethereum(),
        code,
        RowChallenge::new(&digest.0),
        &points,
        &columns,
        [5; 32],
    )
    .unwrap();
    for (blob, proofs) in chunks.slice_proofs.iter().enumerate() {
        assert_eq!(
            *proofs,
            crate::common::range_proofs(&batch.trees[blob], &wanted)
        );
    }
    let unknown = GetChunks {
        batch_digest: ashlar_proto::BatchDigest([1; 32]),
        indices: wanted,
    };
    let error = caller
        .ask(Request::GetChunks(unknown), vec![])
        .await
        .unwrap_err();
    assert!(matches!(error, NetError::Remote(e) if e.code == "node.not_found"));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_with_the_reason_and_keeps_nothing() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let stranger = Caller::new(&NetworkKey::from_seed([66; 32]), node.quic_addr(), &world);
    let batch = Recipe::small(1, 1).build();
    let mine = world.chunks(ME, &[0]);

    let error = stranger.store(&batch, &mine).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.blame),
        ("validate.not_a_disperser", Blame::Caller)
    );

    let error = caller.store(&batch, &mine[1..]).await.unwrap_err();
    assert_eq!(error.code, "validate.assignment");
    let numbers = ((mine.len() - 1).to_string(), mine.len().to_string());
    assert_eq!((error.got.unwrap(), error.expected.unwrap()), numbers);

    let mut bulk = batch.bulk(&mine);
    *bulk.last_mut().unwrap() ^= 1;
    let request = Request::StoreBatch(batch.message(&mine));
    let error = caller.ask(request, vec![bulk.into()]).await.unwrap_err();
    assert!(matches!(error, NetError::Remote(e) if e.code == "validate.slices"));

    let stale = Recipe {
        reference_block: HEAD.saturating_sub(1),
        disperser_id: 6,
        ..Recipe::small(2, 1)
    }
    .build();
    assert_eq!(
        caller.store(&stale, &mine).await.unwrap_err().code,
        "validate.not_a_disperser"
    );
    let ahead = Recipe {
        reference_block: HEAD + 5,
        ..Recipe::small(2, 1)
    }
    .build();
    assert_eq!(
        caller.store(&ahead, &mine).await.unwrap_err().code,
        "validate.reference_unknown"
    );
    let gap = Recipe {
        reference_block: HEAD.saturating_sub(50),
        ..Recipe::small(2, 1)
    }
    .build();
    assert_eq!(
        caller.store(&gap, &mine).await.unwrap_err().code,
        "validate.reference_unknown"
    );
    let old = Recipe {
        created_at_ms: crate::common::now_ms() - 3_600_000,
        ..Recipe::small(2, 1)
    }
    .build();
    assert_eq!(
        caller.store(&old, &mine).await.unwrap_err().code,
        "validate.too_old"
    );

    assert_eq!(node.status().store.unwrap().batches, 0);
    assert_eq!(
        node.health().status,
        Status::Ready,
        "what callers do wrong is not the node's illness"
    );

    // The number was not used up by what was refused.
    caller.store(&batch, &mine).await.unwrap();
    let rival = Recipe::small(1, 2).build();
    let error = caller.store(&rival, &mine).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.blame),
        ("store.sequence_conflict", Blame::Caller)
    );
    assert_eq!(error.expected.unwrap(), batch.header.digest().to_string());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn says_hello() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&NetworkKey::from_seed([66; 32]), node.quic_addr(), &world);
    let answer = caller
        .ask(Request::Ping(Ping { nonce: 7 }), vec![])
        .await
        .unwrap();
    let Response::Pong(pong) = answer.response else {
        panic!("{:?}", answer.response)
    };
    assert_eq!((pong.nonce, pong.versions), (7, vec![1, 2, 3]));
    assert!(pong.software.starts_with("ashlar-node/"));
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disperser_learns_which_of_its_batches_is_the_latest() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let latest = async |disperser_id| {
        let request = Request::GetLatest(GetLatest {
            domain: domain(),
            disperser_id,
        });
        match caller.ask(request, vec![]).await.unwrap().response {
            Response::Latest(latest) => latest,
            other => panic!("{other:?}"),
        }
    };
    let mut of = 0;
    // In no order, and up to the end of all numbers.
    let mut highest = 0;
    for (byte, sequence) in (1..).zip([1 << 40, 3, (1 << 40) + 1, u64::MAX - 1, 9]) {
        let batch = Recipe::small(sequence, byte).build();
        of = batch.header.disperser_id;
        let before = latest(of).await;
        let known = before.map(|latest| latest.batch_header.sequence.0);
        assert_eq!(known.unwrap_or(0), highest);
        caller.store(&batch, &mine).await.unwrap();
        highest = highest.max(sequence);
        let latest = latest(of).await.unwrap();
        assert_eq!(latest.batch_header.sequence.0, highest);
        let (key, signature) = (world.disperser.public(), latest.disperser_signature);
        latest
            .batch_header
            .verify_disperser(&key, &signature)
            .unwrap();
    }
    // Those of others are others'.
    assert_eq!(latest(of + 1).await, None);
    assert_eq!(latest(of.wrapping_sub(1)).await, None);
    let elsewhere = Request::GetLatest(GetLatest {
        domain: Domain([0xee; 32]),
        disperser_id: of,
    });
    let refused = caller.ask(elsewhere, vec![]).await.unwrap_err();
    assert!(
        format!("{refused:?}").contains("validate.other_domain"),
        "{refused:?}"
    );
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_keeps_data_and_promises() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let batch = Recipe::small(1, 1).build();
    let mine = world.chunks(ME, &[0]);
    let node = start(&world, config(folder.path())).await;
    let first = Caller::new(&world.disperser, node.quic_addr(), &world)
        .store(&batch, &mine)
        .await
        .unwrap();
    node.shutdown().await;

    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    assert_eq!(caller.store(&batch, &mine).await.unwrap(), first);
    let rival = Recipe::small(1, 2).build();
    assert_eq!(
        caller.store(&rival, &mine).await.unwrap_err().code,
        "store.sequence_conflict"
    );
    assert_eq!(
        caller.slices(&batch, 0, &runs(&mine)).await.unwrap().len(),
        mine.len()
    );
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http_answers_before_the_database_is_open() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let opening = Node::listen(
        config(folder.path()),
        world.keys(ME),
        Arc::clone(&world.stake) as _,
        Arc::new(SystemTimeSource::default()),
    )
    .await
    .unwrap();
    let http = opening.http_addr();
    let (go, wait) = std::sync::mpsc::channel();
    let disk = Disk::new();
    let store = Arc::clone(&disk);
    let opened = tokio::spawn(opening.open(move |owner| {
        wait.recv().unwrap();
        Ok(Arc::new(store.store(owner)) as Arc<dyn Store>)
    }));
    let (code, body) = get(http, "/v1/health").await;
    assert_eq!(
        (code, body.as_str()),
        (503, r#"{"status":"opening","reasons":[],"notices":[]}"#)
    );
    let (code, status) = get(http, "/v1/status").await;
    assert_eq!(code, 200);
    assert!(status.contains(r#""quic":null"#), "{status}");
    go.send(()).unwrap();
    let node = tokio::time::timeout(PATIENCE, opened)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(get(http, "/v1/health").await.0, 200);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_signing_not_serving() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let node = start_on(&world, config(folder.path()), &disk).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let (before, after) = (Recipe::small(1, 1).build(), Recipe::small(2, 2).build());
    caller.store(&before, &mine).await.unwrap();

    disk.set(Fault::Full);
    let error = caller.store(&after, &mine).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.blame),
        ("store.no_space", Blame::Us)
    );
    assert_eq!(
        caller.store(&after, &mine).await.unwrap_err().code,
        "node.not_accepting"
    );
    let (code, body) = get(node.http_addr(), "/v1/health").await;
    assert_eq!(code, 503);
    assert!(
        body.contains("degraded") && body.contains("storage") && body.contains("disk is full"),
        "{body}"
    );
    assert_eq!(
        caller.slices(&before, 0, &runs(&mine)).await.unwrap().len(),
        mine.len(),
        "it goes on serving"
    );

    // Room again: the probe finds out by itself.
    disk.set(Fault::None);
    until("health", || async { node.health().status == Status::Ready }).await;
    valid(&world, caller.store(&after, &mine).await.unwrap(), &after);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_has_to_be_reopened_is() {
    use std::sync::atomic::Ordering::SeqCst;
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let node = start_on(&world, config(folder.path()), &disk).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::small(1, 1).build();
    disk.set(Fault::AfterWrite);
    caller.store(&batch, &mine).await.unwrap_err();
    until("three attempts", || async {
        disk.recoveries.load(SeqCst) >= 3
    })
    .await;
    assert_eq!(node.health().status, Status::Degraded);
    disk.recoverable.store(true, SeqCst);
    until("health", || async { node.health().status == Status::Ready }).await;
    valid(&world, caller.store(&batch, &mine).await.unwrap(), &batch);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_little_free_space_stops_signing() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.store.min_free_bytes = u64::MAX;
    let node = start(&world, config).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let batch = Recipe::small(1, 1).build();
    let error = caller
        .store(&batch, &world.chunks(ME, &[0]))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.got.as_deref()),
        ("node.not_accepting", Some("disk_space"))
    );
    assert_eq!(node.health().reasons[0].code, "disk_space");
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_batches_at_once_are_turned_away() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let mut config = config(folder.path());
    config.load.max_stores = 1;
    let node = start_on(&world, config, &disk).await;
    let caller = Arc::new(Caller::new(&world.disperser, node.quic_addr(), &world));
    let mine = world.chunks(ME, &[0]);
    let (first, second) = (
        Arc::new(Recipe::small(1, 1).build()),
        Recipe::small(2, 2).build(),
    );
    disk.hold();
    let (slow, waiting, chunks) = (Arc::clone(&caller), Arc::clone(&first), mine.clone());
    let running = tokio::spawn(async move { slow.store(&waiting, &chunks).await });
    let checked = "ashlar_node_validate_seconds_count 1";
    until("the first batch", || async {
        get(node.http_addr(), "/metrics").await.1.contains(checked)
    })
    .await;
    let error = caller.store(&second, &mine).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.blame),
        ("node.overloaded", Blame::Us)
    );
    assert_eq!(error.expected.as_deref(), Some("retry_after_ms=500"));
    // It still answers others.
    caller
        .ask(Request::Ping(Ping { nonce: 1 }), vec![])
        .await
        .unwrap();
    disk.release();
    tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    // Its place is free soon after its answer.
    until("a free place", || async {
        caller.store(&second, &mine).await.is_ok()
    })
    .await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_registered_says_so() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut keys = world.keys(ME);
    keys.bls = Arc::new(ashlar_crypto::bls::SecretKey::from_ikm(&[99; 32]));
    let stake = Arc::clone(&world.stake) as _;
    let node = Node::start(
        config(folder.path()),
        keys,
        stake,
        Vec::new(),
        Database::New,
    )
    .await
    .unwrap();
    assert_eq!(node.health().reasons[0].code, "not_registered");
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let error = caller
        .store(&Recipe::small(1, 1).build(), &world.chunks(ME, &[0]))
        .await
        .unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.blame),
        ("validate.not_an_operator", Blame::Us)
    );
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn data_expires() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let (age, left) = (60, 30);
    config.accept.max_age_secs = age;
    config.accept.max_clock_skew_secs = 0;
    config.store.retention_secs = age + 1;
    config.store.window_secs = 1;
    config.tasks.expiry_interval_ms = 50;
    let time = Arc::new(TestTime::new());
    let node = start_at(&world, config, &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let created_at_ms = crate::common::now_ms() - (age - left) * 1000;
    let batch = Recipe {
        created_at_ms,
        ..Recipe::small(1, 1)
    }
    .build();
    caller.store(&batch, &mine).await.unwrap();
    assert_eq!(node.status().store.unwrap().batches, 1);
    time.pass(Duration::from_secs(left + 2));
    until("expiry", || async {
        let status = node.status();
        status.store.unwrap().batches == 0 && status.last_expiry.is_some()
    })
    .await;
    assert_eq!(
        caller
            .slices(&batch, 0, &runs(&mine))
            .await
            .unwrap_err()
            .code,
        "node.not_found"
    );
    let status = node.status();
    assert_eq!(status.last_expiry.unwrap().windows.len(), 1);
    assert_eq!(status.store.unwrap().bytes, 0);
    // Its number stays taken, and it is too old to come again.
    assert_eq!(
        caller.store(&batch, &mine).await.unwrap_err().code,
        "validate.too_old"
    );
    let rival = Recipe::small(1, 2).build();
    assert_eq!(
        caller.store(&rival, &mine).await.unwrap_err().code,
        "store.sequence_conflict"
    );
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrub_finds_a_flipped_bit() {
    use ashlar_node::store::{Backend, Durability, Put, Space};
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let node = start_on(&world, config(folder.path()), &disk).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::new(1).build();
    caller.store(&batch, &mine).await.unwrap();
    let clean = node.scrub().await.unwrap();
    let bytes: u64 = batch
        .slices
        .iter()
        .map(|s| (s[0].len() * mine.len()) as u64)
        .sum();
    assert_eq!(
        (clean.batches, clean.blobs, clean.bytes, clean.corrupt),
        (1, 2, bytes, 0)
    );

    // One bit of the last slice of the second blob.
    let window = Space::Window(disk.memory.windows()[0]);
    let (key, value) = disk
        .memory
        .scan(window, b"s", None, 10)
        .unwrap()
        .pop()
        .unwrap();
    let mut bad = value.to_vec();
    *bad.last_mut().unwrap() ^= 1;
    let put = Put {
        space: window,
        key,
        value: Some(bad.into()),
    };
    disk.memory
        .write(&mut std::iter::once(put), 0, Durability::Synced)
        .unwrap();

    // It is not served, ...
    let error = caller.slices(&batch, 1, &runs(&mine)).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.blame),
        ("store.corrupt", Blame::Us)
    );
    assert_eq!(
        caller
            .slices(&batch, 1, &runs(&mine[..1]))
            .await
            .unwrap()
            .len(),
        1,
        "the other slices are"
    );
    // ... and the scrub names it.
    let report = node.scrub().await.unwrap();
    assert_eq!(report.corrupt, 1);
    assert!(
        report.examples[0].contains("blob 1"),
        "{:?}",
        report.examples
    );
    let (code, body) = get(node.http_addr(), "/v1/health").await;
    assert_eq!(code, 503);
    assert!(body.contains("corruption"), "{body}");
    let (_, status) = get(node.http_addr(), "/v1/status").await;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["last_scrub"]["corrupt"], 1);

    // Put right again, the next scrub says so.
    let put = Put {
        space: window,
        key: disk
            .memory
            .scan(window, b"s", None, 10)
            .unwrap()
            .pop()
            .unwrap()
            .0,
        value: Some(value.to_vec().into()),
    };
    disk.memory
        .write(&mut std::iter::once(put), 0, Durability::Synced)
        .unwrap();
    assert_eq!(node.scrub().await.unwrap().corrupt, 0);
    assert_eq!(node.health().status, Status::Ready);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_fails_with_a_reason() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let start = |config: NodeConfig| {
        let which = which(&config.paths.bls_key);
        Node::start(
            config,
            world.keys(ME),
            Arc::clone(&world.stake) as _,
            Vec::new(),
            which,
        )
    };
    let code = |error: ashlar_node::StartError| ashlar_crypto::Coded::code(&error);
    // The same database twice.
    assert_eq!(
        code(start(config(folder.path())).await.unwrap_err()),
        "store.locked"
    );
    // The same HTTP address twice.
    let other = tempfile::tempdir().unwrap();
    let mut taken = config(other.path());
    taken.listen.http = node.http_addr();
    assert_eq!(code(start(taken).await.unwrap_err()), "node.http_address");
    // The same QUIC address twice.
    let mut taken = config(other.path());
    taken.listen.quic = node.quic_addr();
    assert_eq!(code(start(taken).await.unwrap_err()), "net.bind");
    let mut wrong = config(other.path());
    wrong.tasks.shutdown_secs = 0;
    assert_eq!(code(start(wrong).await.unwrap_err()), "config.invalid");
    node.shutdown().await;
}

const CHILD: &str = "ASHLAR_TEST_NODE_DIR";

/// Not a test by itself: the process that `sigkill_loses_nothing` kills.
#[test]
fn child_process() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let world = World::new();
        let node = start(&world, config(Path::new(&folder))).await;
        println!("\nquic={}", node.quic_addr());
        // Until it is killed; not for ever if the parent dies first.
        tokio::time::sleep(5 * PATIENCE).await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn sigkill_loses_nothing() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mine = world.chunks(ME, &[0]);
    let batches: Vec<Batch> = (1..=3).map(|n| Recipe::small(n, n as u8).build()).collect();
    let mut signatures = Vec::new();
    for batch in &batches {
        // A kill right behind every signature.
        let (mut child, quic) = spawn_child("node::child_process", CHILD, folder.path()).await;
        let caller = Caller::new(&world.disperser, quic, &world);
        signatures.push(caller.store(batch, &mine).await.unwrap());
        child.kill().await.unwrap();
    }
    let (mut child, quic) = spawn_child("node::child_process", CHILD, folder.path()).await;
    let caller = Caller::new(&world.disperser, quic, &world);
    for (batch, signature) in batches.iter().zip(signatures) {
        assert_eq!(
            caller.slices(batch, 0, &runs(&mine)).await.unwrap().len(),
            mine.len()
        );
        assert_eq!(caller.store(batch, &mine).await.unwrap(), signature);
        let rival = Recipe::small(batch.header.sequence.0, 99).build();
        assert_eq!(
            caller.store(&rival, &mine).await.unwrap_err().code,
            "store.sequence_conflict"
        );
    }
    child.kill().await.unwrap();
}
