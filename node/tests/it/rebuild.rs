//! A node whose disk was replaced by an empty one: peers tell it what it had promised, and have the data.

use std::sync::Arc;
use std::time::Duration;

use crate::common::caller::{ME, until};
use crate::common::faulty::Disk;
use crate::common::ledger::Ledger;
use crate::common::time::TestTime;
use crate::common::{Batch, HEAD, Recipe, config};
use crate::repair::{Operators, start};
use ashlar_crypto::bls::{Signature, aggregate_signatures};
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_crypto::{Blame, RowChallenge, combine_cells};
use ashlar_net::{BulkReader, Handler, NetLimits, Reply, Server};
use ashlar_node::clock::{SystemTimeSource, TimeSource};
use ashlar_node::health::Status;
use ashlar_node::status::IndexStatus;
use ashlar_node::store::{IndexProgress, Store};
use ashlar_node::{Node, RunningNode};
use ashlar_proto::times::RESUME;
use ashlar_proto::wire::{
    BatchList, BatchPlace, CertifiedBatch, Combined, ErrorReply, KeepCertificate, Request, Response,
};
use ashlar_proto::{Attestation, Bitmap, Certificate, batch_tree};
use ashlar_testing::process::Used;
use futures::future::BoxFuture;

/// The other operators.
const OTHERS: [usize; 3] = [0, 1, 3];

/// The certificate of a batch by these operators, whoever really signed.
fn certificate(
    operators: &Operators,
    batch: &Batch,
    by: &[usize],
    signatures: &[Signature],
) -> Certificate {
    let table = &operators.world.table;
    let indices = by
        .iter()
        .map(|operator| table.find(&operators.world.operator_id(*operator)).unwrap());
    let keys: Vec<_> = batch.blobs.iter().map(|blob| blob.blob_key()).collect();
    Certificate {
        blob_header: batch.blobs[0].clone(),
        blob_index: 0,
        blob_path: batch_tree(&keys).path(0).unwrap(),
        batch_header: batch.header.clone(),
        attestation: Attestation::Compact {
            signers: Bitmap::from_indices(4, indices).unwrap(),
        },
        signature: aggregate_signatures(signatures).unwrap().to_bytes(),
    }
}

/// Stored by these operators, who get its certificate, too.
async fn certify(operators: &Operators, batch: &Batch, by: &[usize]) {
    let signatures = operators.store_by(batch, by).await;
    let certificate = certificate(operators, batch, by, &signatures);
    for &operator in by {
        let certificate = certificate.clone();
        let request = Request::KeepCertificate(Box::new(KeepCertificate { certificate }));
        let answer = operators.ask(operator, request, vec![]).await;
        assert_eq!(answer, Response::Kept);
    }
}

/// [`ME`] again, on this disk; on an empty one if it is `None`.
async fn restart(
    operators: &mut Operators,
    folder: &std::path::Path,
    disk: Option<Arc<Disk>>,
    rate: u64,
    ledger: Option<&Arc<Ledger>>,
) {
    let time = Arc::new(SystemTimeSource::default());
    restart_after(operators, folder, disk, rate, ledger, Duration::ZERO, time).await;
}

/// The same after it was stopped for so long, by these clocks.
async fn restart_after(
    operators: &mut Operators,
    folder: &std::path::Path,
    disk: Option<Arc<Disk>>,
    rate: u64,
    ledger: Option<&Arc<Ledger>>,
    away: Duration,
    time: Arc<dyn TimeSource>,
) {
    let mut config = config(&folder.join("again"));
    config.custody.poll_secs = 1;
    config.tasks.repair_bytes_per_sec = rate;
    let world = &operators.world;
    let stake = Arc::clone(&world.stake) as _;
    let opening = Node::listen(config, world.keys(ME), stake, time)
        .await
        .unwrap();
    let lost = disk.is_none();
    let disk = disk.unwrap_or_else(Disk::new);
    let opened = Arc::clone(&disk);
    let node = opening
        .answering(ledger.map(|l| Arc::clone(l) as _).into_iter().collect())
        .open(move |owner| {
            let store = opened.store(owner);
            if lost {
                store
                    .keep_index_progress(&IndexProgress::default())
                    .unwrap();
            } else {
                let ran = store.kept_time().unwrap().unwrap();
                store.keep_time(ran - away.as_millis() as u64).unwrap();
            }
            Ok(Arc::new(store) as Arc<dyn Store>)
        })
        .await
        .unwrap();
    operators.disks[ME] = disk;
    let old = std::mem::replace(&mut operators.nodes[ME], node);
    old.shutdown().await;
}

fn index(node: &RunningNode) -> IndexStatus {
    node.status().index.unwrap_or_default()
}

async fn indexed(operators: &Operators) -> IndexStatus {
    until("the index", || async { index(operators.me()).done }).await;
    index(operators.me())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_disk_is_filled_with_what_was_promised() {
    let folder = tempfile::tempdir().unwrap();
    let mut operators = start(folder.path(), None).await;
    let batches: Vec<Batch> = (1..=5).map(|n| operators.batch(n)).collect();
    for batch in &batches[..3] {
        certify(&operators, batch, &[0, 1, 2, 3]).await;
    }
    // Certified without this operator, and not certified.
    certify(&operators, &batches[3], &OTHERS).await;
    operators.store_by(&batches[4], &OTHERS).await;

    let ledger = Ledger::new("ledger");
    let mine = operators.world.chunks(ME, &[0]);
    ledger.ask(&operators.world, &batches[1], 1, 0, mine[3]);
    restart(&mut operators, folder.path(), None, 64 << 20, Some(&ledger)).await;
    let status = indexed(&operators).await;
    assert_eq!(
        (status.peers_done, status.promises, status.taken),
        (3, 3, 1),
        "{status:?}"
    );
    assert!(operators.repaired().await >= 3);
    let report = operators.me().scrub().await.unwrap();
    assert_eq!(
        (report.promises, report.batches, report.corrupt),
        (4, 4, 0),
        "{report:?}"
    );
    for batch in &batches[..4] {
        operators.serves(batch).await;
    }
    until("the answer", || async { ledger.open() == 0 }).await;

    // What was signed stays signed, and what is new can be.
    let caller = operators.caller();
    let rival = operators.batch(2);
    let error = caller.store(&rival, &mine).await.unwrap_err();
    assert_eq!(error.code, "store.sequence_conflict");
    let signature = caller.store(&operators.batch(6), &mine).await.unwrap();
    assert_ne!(signature.0, [0; 48]);
    // It tells others.
    let request = Request::ListBatches(ashlar_proto::wire::ListBatches { after: None });
    let Response::BatchList(list) = operators.ask(ME, request, vec![]).await else {
        panic!("no list")
    };
    assert_eq!((list.batches.len(), list.next), (4, None));
    operators.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_away_for_long_takes_its_part_of_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut operators = start(folder.path(), None).await;
    let (mine, missed) = (operators.batch(1), operators.batch(2));
    certify(&operators, &mine, &[0, 1, 2, 3]).await;
    certify(&operators, &missed, &OTHERS).await;
    // A disperser sends again what was missed in a short time.
    for (away, taken) in [(RESUME / 2, 0), (RESUME * 2, 1)] {
        let disk = Some(Arc::clone(&operators.disks[ME]));
        let time = Arc::new(SystemTimeSource::default());
        restart_after(
            &mut operators,
            folder.path(),
            disk,
            64 << 20,
            None,
            away,
            time,
        )
        .await;
        // It signs at once.
        let caller = operators.caller();
        let chunks = operators.world.chunks(ME, &[0]);
        let batch = operators.batch(10 + taken);
        caller.store(&batch, &chunks).await.unwrap();
        if taken == 0 {
            assert_eq!(index(operators.me()), IndexStatus::default());
            continue;
        }
        let status = indexed(&operators).await;
        assert_eq!((status.promises, status.taken), (0, taken), "{status:?}");
        operators.serves(&missed).await;
    }
    let report = operators.me().scrub().await.unwrap();
    assert_eq!((report.batches, report.corrupt), (4, 0), "{report:?}");
    operators.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_cut_off_for_long_takes_its_part_of_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut operators = start(folder.path(), None).await;
    certify(&operators, &operators.batch(1), &[0, 1, 2, 3]).await;
    let missed = operators.batch(2);
    certify(&operators, &missed, &OTHERS).await;
    // It runs since a while ago, and heard of nothing.
    let (away, time) = (RESUME + Duration::from_secs(60), Arc::new(TestTime::new()));
    time.set_wrong(-(away.as_millis() as i64));
    let disk = Some(Arc::clone(&operators.disks[ME]));
    restart_after(
        &mut operators,
        folder.path(),
        disk,
        64 << 20,
        None,
        away,
        Arc::clone(&time) as _,
    )
    .await;
    time.pass(away);
    assert_eq!(index(operators.me()), IndexStatus::default());

    let (caller, chunks) = (operators.caller(), operators.world.chunks(ME, &[0]));
    let store = async |number| caller.store(&operators.batch(number), &chunks).await;
    until("the clock to be right", || async {
        store(10).await.is_ok()
    })
    .await;
    let status = indexed(&operators).await;
    assert_eq!((status.promises, status.taken), (0, 1), "{status:?}");
    operators.serves(&missed).await;
    // Nobody was silent since.
    store(11).await.unwrap();
    assert_eq!(index(operators.me()).listed, status.listed);
    operators.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_where_it_was_stopped_and_signs_nothing_before_peers_have_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let mut operators = start(folder.path(), None).await;
    let batches: Vec<Batch> = (1..=4).map(|n| operators.batch(n)).collect();
    for batch in &batches {
        certify(&operators, batch, &[0, 1, 2, 3]).await;
    }
    // One has moved since; where the others are, nobody answers.
    let here: Vec<String> = operators
        .nodes
        .iter()
        .map(|node| node.quic_addr().to_string())
        .collect();
    let mut away = vec!["127.0.0.1:9".to_owned(); 4];
    away[3] = here[3].clone();
    operators.world.move_operators(HEAD + 2, &away);
    restart(&mut operators, folder.path(), None, 1 << 20, None).await;
    until("one peer", || async {
        index(operators.me()).peers_done == 1
    })
    .await;
    let status = index(operators.me());
    assert_eq!((status.promises, status.may_sign), (4, false), "{status:?}");
    let mine = operators.world.chunks(ME, &[0]);
    let new = operators.batch(9);
    let error = operators.caller().store(&new, &mine).await.unwrap_err();
    assert_eq!(error.code, "node.not_accepting");
    let health = operators.me().health();
    assert!(
        (health.reasons.iter()).any(|reason| reason.code == "database.rebuilding"),
        "{health:?}"
    );

    // Stopped, and started on what it had got.
    operators.world.move_operators(HEAD + 3, &here);
    let disk = Arc::clone(&operators.disks[ME]);
    restart(&mut operators, folder.path(), Some(disk), 64 << 20, None).await;
    let status = indexed(&operators).await;
    // Nothing is found twice.
    assert_eq!((status.peers_done, status.promises), (3, 0), "{status:?}");
    operators.repaired().await;
    for batch in &batches {
        operators.serves(batch).await;
    }
    operators.caller().store(&new, &mine).await.unwrap();
    assert_eq!(operators.me().health().status, Status::Ready);
    operators.stop().await;
}

/// A peer that lies.
struct Liar {
    list: BatchList,
    batch: Arc<Batch>,
}

impl Handler for Liar {
    fn handle(&self, _: NetworkPublicKey, request: Request, _: BulkReader) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            match request {
                Request::ListBatches(_) => Response::BatchList(self.list.clone()).into(),
                Request::GetCombined(wanted) => {
                    let (batch, runs) = (&self.batch, wanted.indices);
                    let (code, digest) = (batch.protocol().code, batch.header.digest());
                    let cell = |index: ashlar_proto::ChunkIndex| {
                        let column = batch.slices.iter().map(|blob| &blob[index.0 as usize][..]);
                        let pieces: Vec<&[u8]> = column.collect();
                        let challenge = RowChallenge::new(&digest.0);
                        let mut cell = combine_cells(code, challenge, index.0, &pieces).unwrap();
                        *cell.last_mut().unwrap() ^= 1;
                        cell
                    };
                    let cells: Vec<u8> = runs.iter().flat_map(cell).collect();
                    let proofs = runs.iter().map(|index| batch.proofs[index.0 as usize]);
                    let combined = Combined {
                        batch_header: batch.header.clone(),
                        chunk_proofs: proofs.collect(),
                        runs,
                    };
                    Reply::with_bulk(Response::Combined(combined), vec![cells.into()])
                }
                _ => ErrorReply::new("liar.no", Blame::Us, "no").into(),
            }
        })
    }
}

/// Operators, of which the last lies: it lists batches that nobody certified, as many as it likes.
async fn with_liar(folder: &std::path::Path) -> (Operators, Vec<Batch>, Server) {
    let operators = start(folder, None).await;
    let batches: Vec<Batch> = (1..=2).map(|n| operators.batch(n)).collect();
    for batch in &batches {
        certify(&operators, batch, &[0, 1, 2, 3]).await;
    }
    let uncertified = |n: u64| {
        let batch = Recipe {
            reference_block: HEAD + 1,
            table_root: Some(batches[0].header.table_root),
            ..Recipe::small(100 + n, 7)
        }
        .build();
        // With everybody's bits and the signature of one.
        let signature = operators.world.bls[3].sign(&batch.header.digest().0);
        CertifiedBatch {
            certificate: certificate(&operators, &batch, &[0, 1, 2, 3], &[signature]),
            disperser_signature: batch.disperser_signature,
        }
    };
    let list = BatchList {
        batches: (0..3).map(uncertified).collect(),
        next: Some(BatchPlace {
            window: u64::MAX,
            digest: batches[0].header.digest(),
        }),
    };
    let same = Recipe {
        created_at_ms: batches[0].header.created_at_ms,
        reference_block: HEAD + 1,
        table_root: Some(batches[0].header.table_root),
        ..Recipe::new(1)
    };
    let liar = Liar {
        list,
        batch: Arc::new(same.build()),
    };
    assert_eq!(liar.batch.header, batches[0].header);
    let server = Server::bind(
        "127.0.0.1:0".parse().unwrap(),
        std::slice::from_ref(&operators.world.network[3]),
        NetLimits::default(),
        Arc::new(liar),
    )
    .unwrap();
    let mut addresses: Vec<String> = operators
        .nodes
        .iter()
        .map(|node| node.quic_addr().to_string())
        .collect();
    addresses[3] = server.local_addr().to_string();
    operators.world.move_operators(HEAD + 2, &addresses);
    (operators, batches, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn liars_are_named_and_what_is_not_certified_fills_no_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (mut operators, batches, server) = with_liar(folder.path()).await;
    restart(&mut operators, folder.path(), None, 64 << 20, None).await;
    let status = indexed(&operators).await;
    assert_eq!(
        (status.peers_done, status.promises, status.taken),
        (2, 2, 0)
    );
    let liar = operators.world.operator_id(3).to_string();
    assert_eq!(status.problems.len(), 1, "{status:?}");
    assert!(
        status.problems[0].contains(&liar) && status.problems[0].contains("certificate"),
        "{status:?}"
    );
    operators.repaired().await;
    assert_eq!(operators.me().status().store.unwrap().batches, 2);
    assert_eq!(operators.me().scrub().await.unwrap().promises, 2);
    for batch in &batches {
        operators.serves(batch).await;
    }

    // A batch's own value is lost, and the slices are not: its proofs come from combined columns, and not from the liar's, who is
    // asked in most cases.
    let mut found = false;
    for _ in 0..8 {
        assert_eq!(operators.lose_batch(batches[0].header.digest()), 1);
        assert_eq!(operators.me().scrub().await.unwrap().corrupt, 1);
        operators.repaired().await;
        operators.serves(&batches[0]).await;
        let (_, metrics) = crate::common::caller::get(operators.me().http_addr(), "/metrics").await;
        found = metrics.contains(r#"repair_skipped_total{code="operator.chunk_proof"}"#);
        if found {
            break;
        }
    }
    assert!(found);
    server.shutdown().await;
    operators.stop().await;
}

/// Figures for docs/performance.md. `cargo test --release --workspace --test it -- --ignored --nocapture how_fast`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "measures; takes a minute"]
async fn how_fast_a_disk_is_filled() {
    const BATCHES: u64 = 16;
    let folder = tempfile::tempdir().unwrap();
    let mut operators = start(folder.path(), None).await;
    let mut rows = 0;
    for n in 1..=BATCHES {
        let batch = Recipe {
            payloads: vec![vec![n as u8; 900_000]; 2],
            reference_block: HEAD + 1,
            table_root: Some(operators.root),
            ..Recipe::new(n)
        }
        .build();
        rows += u64::from(batch.header.rows);
        certify(&operators, &batch, &[0, 1, 2, 3]).await;
    }
    let request = Request::ListBatches(ashlar_proto::wire::ListBatches { after: None });
    let page = operators.ask(0, request, vec![]).await.encode().len() as u64;
    // Of all four nodes and the caller, which share this process.
    let (begun, before) = (std::time::Instant::now(), Used::here());
    restart(&mut operators, folder.path(), None, 1 << 40, None).await;
    until("all promises", || async {
        index(operators.me()).promises == BATCHES
    })
    .await;
    let listed = begun.elapsed();
    until("the repair", || async {
        operators.me().status().repair.repaired == BATCHES
    })
    .await;
    let cpu = Used::here().since(before).processor;
    let took = begun.elapsed().as_secs_f64();
    let (_, metrics) = crate::common::caller::get(operators.me().http_addr(), "/metrics").await;
    let line = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    let bytes = line("ashlar_node_repair_bytes_total");
    let data = rows * 131_072;
    println!(
        "{BATCHES} batches of {} rows: listed in {:.2} s, {} bytes of the index a batch and peer; whole in {took:.2} s: {:.1} batches/s, \
         {:.1} MB/s of rows; {} bytes of slices a batch, {:.2} times its rows; {cpu:.2} s of CPU, {:.1} ms a MB of rows",
        rows / BATCHES,
        listed.as_secs_f64(),
        page / BATCHES,
        BATCHES as f64 / took,
        data as f64 / took / 1e6,
        bytes / BATCHES,
        bytes as f64 / data as f64,
        cpu * 1e9 / data as f64,
    );
    operators.stop().await;
}
