//! What a node must not lose: its promises and the data behind them, whatever clocks, volumes and dispersers do.

use std::path::Path;
use std::sync::Arc;

use crate::common::caller::{
    Caller, ME, get, runs, start, start_at, until, until_cause, until_ready, valid,
};
use crate::common::faulty::Disk;
use crate::common::time::{DAY, TestTime};
use crate::common::{Batch, HEAD, Recipe, World, config, now_ms};
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::{Blame, Coded};
use ashlar_node::health::Status;
use ashlar_node::protection;
use ashlar_node::store::{DiskStore, Store};
use ashlar_node::{Database, Node, NodeConfig, RunningNode, database};
use ashlar_restaking::evidence::{Accused, Fault};
use ashlar_stake::StakeError;

/// 20 days, in milliseconds.
const JUMP: i64 = 20 * 24 * 60 * 60 * 1000;

/// A node that looks at its clocks often.
fn quick(folder: &Path) -> NodeConfig {
    let mut config = config(folder);
    config.tasks.expiry_interval_ms = 50;
    config
}

/// Waits until the time was kept, and data expired by it, twice more: whatever the clock says now has had its effect.
async fn two_rounds(node: &RunningNode) {
    for _ in 0..2 {
        let before = node.status().time_kept_ms;
        until("the next round of expiry", || async {
            node.status().time_kept_ms != before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_forward_while_running_drops_nothing() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let time = Arc::new(TestTime::new());
    let node = start_at(&world, quick(folder.path()), &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::small(1, 1).build();
    caller.store(&batch, &mine).await.unwrap();

    time.set_wrong(JUMP);
    until_cause(&node, "clock.disagrees").await;
    let kept = node.status().time_kept_ms;
    let before = node.status().time_kept_ms.unwrap();
    until("more time kept", || async {
        node.status().time_kept_ms > kept.map(|ms| ms + 200)
    })
    .await;
    assert_eq!(node.status().store.unwrap().batches, 1, "it is still there");
    assert_eq!(
        caller.slices(&batch, 0, &runs(&mine)).await.unwrap().len(),
        mine.len()
    );
    let later = node.status().time_kept_ms.unwrap();
    assert!(later < before + 60_000, "only measured time was kept");
    let (_, body) = get(node.http_addr(), "/v1/health").await;
    assert!(body.contains("nothing expires"), "{body}");

    // Put right again, it goes on; and in its time the data does expire.
    time.set_wrong(0);
    until_ready(&node).await;
    time.pass(DAY * 16);
    until("expiry", || async {
        node.status().store.unwrap().batches == 0
    })
    .await;
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong_at_start_drops_nothing() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::small(1, 1).build();
    let time = Arc::new(TestTime::new());
    let node = start_at(&world, quick(folder.path()), &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    caller.store(&batch, &mine).await.unwrap();
    node.shutdown().await;

    // However often it starts.
    for _ in 0..3 {
        let time = Arc::new(TestTime::new());
        time.set_wrong(JUMP);
        let node = start_at(&world, quick(folder.path()), &time).await;
        assert_eq!(node.health().reasons[0].code, "clock.disagrees");
        two_rounds(&node).await;
        assert_eq!(node.status().store.unwrap().batches, 1);
        node.shutdown().await;
    }

    // The same after a stop that really was long: a person says that the clock is right.
    let id = world.operator_id(ME);
    let store = database::open(&quick(folder.path()), id, Database::Existing).unwrap();
    assert!(store.kept_time().unwrap().unwrap() < now_ms() + 60_000);
    store
        .keep_time(now_ms().saturating_add_signed(JUMP))
        .unwrap();
    drop(store);
    let time = Arc::new(TestTime::new());
    time.set_wrong(JUMP);
    let node = start_at(&world, quick(folder.path()), &time).await;
    until("expiry", || async {
        node.status().store.unwrap().batches == 0
    })
    .await;
    assert_eq!(node.health().status, Status::Ready);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_back_stops_signing_not_serving() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let time = Arc::new(TestTime::new());
    let node = start_at(&world, quick(folder.path()), &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::small(1, 1).build();
    caller.store(&batch, &mine).await.unwrap();

    // At once, not when somebody looks at the clock again.
    time.set_wrong(-JUMP);
    let next = Recipe {
        created_at_ms: now_ms().saturating_add_signed(-JUMP),
        ..Recipe::small(2, 2)
    }
    .build();
    let error = caller.store(&next, &mine).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.got.as_deref(), error.blame),
        ("node.not_accepting", Some("clock.behind"), Blame::Us)
    );
    assert_eq!(
        caller.slices(&batch, 0, &runs(&mine)).await.unwrap().len(),
        mine.len(),
        "it goes on serving"
    );
    node.shutdown().await;

    // After a restart as well: the highest time was kept.
    let node = start_at(&world, quick(folder.path()), &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let error = caller.store(&next, &mine).await.unwrap_err();
    assert_eq!(error.got.as_deref(), Some("clock.behind"));
    time.set_wrong(0);
    until_ready(&node).await;
    let right = Recipe::small(2, 2).build();
    valid(&world, caller.store(&right, &mine).await.unwrap(), &right);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_head_vouches_for_a_long_stop_and_against_a_wrong_clock() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mine = world.chunks(ME, &[0]);
    let head = |ms: u64| *world.stake.head_time_ms.lock().unwrap() = Some(ms);
    head(now_ms());
    let time = Arc::new(TestTime::new());
    let node = start_at(&world, quick(folder.path()), &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let batch = Recipe::small(1, 1).build();
    caller.store(&batch, &mine).await.unwrap();
    time.set_wrong(JUMP);
    until_cause(&node, "clock.disagrees").await;
    assert_eq!(node.status().store.unwrap().batches, 1);
    node.shutdown().await;

    // Three weeks later: clock and head agree, and nobody has to say anything.
    head(now_ms().saturating_add_signed(JUMP));
    let time = Arc::new(TestTime::new());
    time.set_wrong(JUMP);
    let node = start_at(&world, quick(folder.path()), &time).await;
    until("expiry", || async {
        node.status().store.unwrap().batches == 0
    })
    .await;
    assert_eq!(node.health().status, Status::Ready);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_directory_starts_no_node() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let start_with = |which: Database| {
        let stake = Arc::clone(&world.stake) as _;
        Node::start(
            config(folder.path()),
            world.keys(ME),
            stake,
            Vec::new(),
            which,
        )
    };
    let code = |started: Result<RunningNode, ashlar_node::StartError>| {
        started.map(|_| ()).unwrap_err().code()
    };
    assert_eq!(
        code(start_with(Database::Existing).await),
        "database.no_marker"
    );
    let node = start_with(Database::New).await.unwrap();
    node.shutdown().await;
    assert_eq!(
        code(start_with(Database::New).await),
        "database.marker_exists"
    );
    let data = config(folder.path()).paths.data;
    std::fs::rename(&data, folder.path().join("away")).unwrap();
    std::fs::create_dir(&data).unwrap();
    assert_eq!(
        code(start_with(Database::Existing).await),
        "database.missing"
    );
}

fn database_of(world: &World, folder: &Path) -> DiskStore {
    let id = world.operator_id(ME);
    database::open(&config(folder), id, Database::Existing).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_export_the_old_node_serves_and_the_new_one_signs_above() {
    let world = World::new();
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::small(7, 1).build();
    let node = start(&world, config(old.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let signature = caller.store(&batch, &mine).await.unwrap();
    node.shutdown().await;

    let key = world.bls[ME].public_key().to_bytes();
    let file = protection::export(&database_of(&world, old.path()), &key, now_ms()).unwrap();

    let node = start(&world, config(old.path())).await;
    assert_eq!(node.health().reasons[0].code, "database.moved");
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    for sequence in [8, 9] {
        let error = caller
            .store(&Recipe::small(sequence, 1).build(), &mine)
            .await
            .unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.got.as_deref()),
            ("node.not_accepting", Some("database.moved"))
        );
    }
    assert_eq!(
        caller.slices(&batch, 0, &runs(&mine)).await.unwrap().len(),
        mine.len()
    );
    node.shutdown().await;

    let id = world.operator_id(ME);
    let import = |store: &DiskStore| file.import(store, &key);
    let (store, done) = database::create(&config(new.path()), id, import).unwrap();
    assert_eq!(done.raised, 1);
    drop(store);
    let node = start(&world, config(new.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    // Also the very batch that was signed before: this database does not know that.
    for rival in [
        batch,
        Recipe::small(7, 2).build(),
        Recipe::small(6, 2).build(),
    ] {
        let error = caller.store(&rival, &mine).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.expected.as_deref()),
            ("store.below_floor", Some("more than 7"))
        );
    }
    let next = Recipe::small(8, 3).build();
    let signed = caller.store(&next, &mine).await.unwrap();
    valid(&world, signed, &next);
    assert_ne!(signed, signature);
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_of_this_service_is_refused() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.accept.versions = vec![1, 3];
    let node = start(&world, config).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let cases: [(&str, Recipe); 5] = [
        // The node would serve it; the service does not use it at that block, so whoever signed it would be slashed.
        (
            "assignment.version_not_recorded",
            Recipe {
                version: 3,
                ..Recipe::small(1, 1)
            },
        ),
        (
            "validate.other_domain",
            Recipe {
                domain: crate::common::network().domain(1),
                ..Recipe::small(1, 1)
            },
        ),
        (
            "validate.other_domain",
            Recipe {
                domain: ashlar_proto::Network::file("another").domain(0),
                ..Recipe::small(1, 1)
            },
        ),
        (
            "validate.table_root",
            Recipe {
                table_root: Some(ashlar_proto::TableRoot([1; 32])),
                ..Recipe::small(1, 1)
            },
        ),
        (
            "validate.disperser_signature",
            Recipe {
                signed_by: [3; 32],
                ..Recipe::small(1, 1)
            },
        ),
    ];
    for (code, recipe) in cases {
        let error = caller.store(&recipe.build(), &mine).await.unwrap_err();
        assert_eq!((error.code.as_str(), error.blame), (code, Blame::Caller));
    }
    assert_eq!(node.status().store.unwrap().batches, 0);
    // None of them has used up the number.
    let good = Recipe::small(1, 1).build();
    valid(&world, caller.store(&good, &mine).await.unwrap(), &good);
    node.shutdown().await;
}

/// The only place is taken: strangers and batches of other services are told who they are, not that there is no room, so they
/// never take one.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_take_no_place() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new();
    let mut config = config(folder.path());
    config.load.max_stores = 1;
    let stake = Arc::clone(&world.stake) as _;
    let opening = Node::listen(config, world.keys(ME), stake, Arc::new(TestTime::new()))
        .await
        .unwrap();
    let store = Arc::clone(&disk);
    let node = opening
        .open(move |owner| Ok(Arc::new(store.store(owner)) as Arc<dyn Store>))
        .await
        .unwrap();
    let caller = Arc::new(Caller::new(&world.disperser, node.quic_addr(), &world));
    let mine = world.chunks(ME, &[0]);
    disk.hold();
    let first = Arc::new(Recipe::small(1, 1).build());
    let running = tokio::spawn({
        let (caller, first, mine) = (Arc::clone(&caller), Arc::clone(&first), mine.clone());
        async move { caller.store(&first, &mine).await }
    });
    let second = Recipe::small(2, 2).build();
    let in_flight = "ashlar_node_in_flight{request=\"store_batch\"} 1";
    until("the first batch", || async {
        get(node.http_addr(), "/metrics")
            .await
            .1
            .contains(in_flight)
    })
    .await;
    let error = caller.store(&second, &mine).await.unwrap_err();
    assert_eq!(error.code, "node.overloaded", "the place is taken");
    let stranger = Caller::new(&NetworkKey::from_seed([7; 32]), node.quic_addr(), &world);
    let error = stranger.store(&second, &mine).await.unwrap_err();
    assert_eq!(error.code, "validate.not_a_disperser");
    let elsewhere = Recipe {
        domain: crate::common::network().domain(1),
        ..Recipe::small(3, 3)
    }
    .build();
    let error = caller.store(&elsewhere, &mine).await.unwrap_err();
    assert_eq!(error.code, "validate.other_domain");
    disk.release();
    running.await.unwrap().unwrap();
    node.shutdown().await;
}

/// A disperser that was registered a moment ago need not wait until the node looks at the table by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_disperser_is_let_in() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.tasks.watch_interval_secs = 3600;
    let node = start(&world, config).await;
    let key = NetworkKey::from_seed([202; 32]);
    let caller = Caller::new(&key, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    world.register_disperser(HEAD + 1, &key);
    let root = ashlar_proto::TableAccess::root(
        ashlar_stake::StakeSource::table_at(world.stake.as_ref(), HEAD + 1)
            .unwrap()
            .as_ref(),
    );
    let batch = Recipe {
        reference_block: HEAD + 1,
        table_root: Some(root),
        signed_by: [202; 32],
        ..Recipe::small(1, 1)
    }
    .build();
    until("the new table", || async {
        match caller.store(&batch, &mine).await {
            Ok(signature) => {
                valid(&world, signature, &batch);
                true
            }
            Err(error) => {
                assert_eq!(error.code, "validate.not_a_disperser");
                false
            }
        }
    })
    .await;
    node.shutdown().await;
}

async fn shown(node: &RunningNode) -> serde_json::Value {
    let (code, body) = get(node.http_addr(), "/v1/equivocations").await;
    assert_eq!(code, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disperser_that_signs_twice_leaves_evidence() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let node = start(&world, config(folder.path())).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let first = Recipe::small(1, 1).build();
    caller.store(&first, &mine).await.unwrap();
    caller.store(&first, &mine).await.unwrap();

    // What the disperser did not sign is no evidence against it: nothing but its own signature says that it made a batch.
    let forged = Recipe {
        signed_by: [3; 32],
        ..Recipe::small(1, 9)
    }
    .build();
    caller.store(&forged, &mine).await.unwrap_err();
    assert_eq!(shown(&node).await["held"], 0);
    assert!(node.health().notices.is_empty());

    // Nor is what no ledger would take: it refers to a table that there is not.
    let nowhere = Recipe {
        reference_block: HEAD + 50,
        ..Recipe::small(1, 8)
    }
    .build();
    let error = caller.store(&nowhere, &mine).await.unwrap_err();
    assert_eq!(error.code, "store.sequence_conflict");
    assert_eq!(shown(&node).await["held"], 0);

    let rivals: Vec<Batch> = (2..4).map(|byte| Recipe::small(1, byte).build()).collect();
    for rival in &rivals {
        let error = caller.store(rival, &mine).await.unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.blame),
            ("store.sequence_conflict", Blame::Caller)
        );
    }
    let check = |list: serde_json::Value| {
        assert_eq!(list["held"], 1);
        let pair = &list["pairs"][0];
        assert_eq!(pair["disperser_id"], crate::common::DISPERSER);
        assert_eq!(pair["sequence"], 1);
        assert_eq!(pair["domain"], crate::common::domain().to_string());
        let fault: Fault = serde_json::from_value(pair["evidence"].clone()).unwrap();
        assert_eq!(
            fault.accused(),
            Accused::Disperser(crate::common::DISPERSER)
        );
        assert_eq!(fault.domain(), crate::common::domain());
        for (which, batch) in [("first", &first), ("second", &rivals[0])] {
            let signed = &pair[which];
            assert_eq!(signed["digest"], batch.header.digest().to_string());
            let bytes = |name: &str| {
                hex::decode(signed[name].as_str().unwrap().strip_prefix("0x").unwrap()).unwrap()
            };
            let header = ashlar_proto::BatchHeader::abi_decode(&bytes("header")).unwrap();
            assert_eq!(header, batch.header);
            let signature = bytes("signature").try_into().unwrap();
            header
                .verify_disperser(
                    &world.disperser.public(),
                    &ashlar_crypto::identity::NetworkSignature(signature),
                )
                .unwrap();
        }
    };
    check(shown(&node).await);
    let health = node.health();
    assert_eq!(health.status, Status::Ready, "it is not this node's fault");
    assert_eq!(health.notices[0].code, "disperser.equivocation");
    assert_eq!(node.status().equivocations, 1);
    let (_, metrics) = get(node.http_addr(), "/metrics").await;
    assert!(metrics.contains("ashlar_node_equivocations 1"), "{metrics}");
    node.shutdown().await;

    let node = start(&world, config(folder.path())).await;
    check(shown(&node).await);
    assert_eq!(node.health().notices[0].code, "disperser.equivocation");
    node.shutdown().await;
}

/// Two heads of one block: whatever the node signed by either table could be held against it, so it signs by none.
#[tokio::test(flavor = "multi_thread")]
async fn a_contradiction_stops_signing_not_serving() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let time = Arc::new(TestTime::new());
    let node = start_at(&world, quick(folder.path()), &time).await;
    let caller = Caller::new(&world.disperser, node.quic_addr(), &world);
    let mine = world.chunks(ME, &[0]);
    let batch = Recipe::small(1, 1).build();
    caller.store(&batch, &mine).await.unwrap();

    let root = |byte| ashlar_proto::TableRoot([byte; 32]);
    *world.stake.problem.lock().unwrap() = Some(StakeError::Contradiction(Box::new(
        ashlar_stake::Contradiction {
            block: HEAD,
            one: "https://one".into(),
            one_root: root(1),
            other: "https://other".into(),
            other_root: root(2),
            proof: None,
        },
    )));
    // At once, not when somebody looks at the tables again.
    let next = Recipe::small(2, 2).build();
    assert!(caller.store(&next, &mine).await.is_err());
    until("the reason", || async {
        let reasons = node.health().reasons;
        reasons
            .iter()
            .any(|reason| reason.code == "head.contradiction")
    })
    .await;
    let error = caller.store(&next, &mine).await.unwrap_err();
    assert_eq!(
        (error.code.as_str(), error.got.as_deref()),
        ("node.not_accepting", Some("head.contradiction"))
    );
    assert_eq!(
        caller.slices(&batch, 0, &runs(&mine)).await.unwrap().len(),
        mine.len(),
        "it goes on serving"
    );
    node.shutdown().await;
}
