//! A node whose disk lost something, and four operators that hold enough to make it anew.

use std::path::Path;
use std::sync::Arc;

use crate::common::caller::{Caller, ME, PATIENCE, runs, until};
use crate::common::faulty::Disk;
use crate::common::ledger::Ledger;
use crate::common::{Batch, HEAD, Recipe, World, config};
use ashlar_crypto::bls::Signature;
use ashlar_crypto::kzg::{decode_commitments, decode_proofs};
use ashlar_crypto::{ChunkColumn, CommitmentBytes, RowChallenge, Setup, verify_chunks};
use ashlar_net::{Client, NetError, NetLimits, Peer};
use ashlar_node::clock::SystemTimeSource;
use ashlar_node::health::Status;
use ashlar_node::store::{Backend, Durability, Put, Space, Store};
use ashlar_node::{Node, RunningNode};
use ashlar_proto::TableRoot;
use ashlar_proto::wire::{GetChunks, Request, Response};
use bytes::Bytes;

/// All operators as nodes.
pub struct Operators {
    pub world: World,
    pub nodes: Vec<RunningNode>,
    pub disks: Vec<Arc<Disk>>,
    pub root: TableRoot,
}

pub async fn start(folder: &Path, ledger: Option<&Arc<Ledger>>) -> Operators {
    let world = World::new();
    let (mut nodes, mut disks) = (Vec::new(), Vec::new());
    for operator in 0..world.bls.len() {
        let mut config = config(&folder.join(operator.to_string()));
        config.custody.poll_secs = 1;
        let stake = Arc::clone(&world.stake) as _;
        let time = Arc::new(SystemTimeSource::default());
        let opening = Node::listen(config, world.keys(operator), stake, time)
            .await
            .unwrap();
        let own = ledger.filter(|_| operator == ME);
        let disk = Disk::new();
        let opened = Arc::clone(&disk);
        let node = opening
            .answering(
                own.map(|ledger| Arc::clone(ledger) as _)
                    .into_iter()
                    .collect(),
            )
            .open(move |owner| Ok(Arc::new(opened.store(owner)) as Arc<dyn Store>));
        nodes.push(node.await.unwrap());
        disks.push(disk);
    }
    let addresses: Vec<String> = nodes.iter().map(|n| n.quic_addr().to_string()).collect();
    let root = world.move_operators(HEAD + 1, &addresses);
    Operators {
        world,
        nodes,
        disks,
        root,
    }
}

impl Operators {
    pub fn batch(&self, sequence: u64) -> Batch {
        let recipe = Recipe {
            reference_block: HEAD + 1,
            table_root: Some(self.root),
            ..Recipe::new(sequence)
        };
        recipe.build()
    }

    /// Stored by all of them.
    async fn store(&self, batch: &Batch) {
        self.store_by(batch, &[0, 1, 2, 3]).await;
    }

    /// Asks some of them, as the disperser.
    pub async fn ask(&self, operator: usize, request: Request, bulk: Vec<Bytes>) -> Response {
        let client = Client::new(&self.world.disperser, NetLimits::default()).unwrap();
        let to = Peer {
            address: self.nodes[operator].quic_addr().to_string(),
            network_key: self.world.network[operator].public(),
        };
        let answer = client.request(&to, request, bulk, PATIENCE).await;
        answer.unwrap().response
    }

    /// Stored by some of them. Gives their signatures.
    pub async fn store_by(&self, batch: &Batch, by: &[usize]) -> Vec<Signature> {
        let mut signatures = Vec::new();
        for &operator in by {
            let (request, bulk) = batch.request(&self.world.chunks(operator, &[0]));
            let Response::Stored(stored) = self.ask(operator, request, bulk).await else {
                panic!("no signature")
            };
            signatures.push(Signature::from_bytes(&stored.signature).unwrap());
        }
        signatures
    }

    pub fn me(&self) -> &RunningNode {
        &self.nodes[ME]
    }

    pub fn caller(&self) -> Caller {
        Caller::new(&self.world.disperser, self.me().quic_addr(), &self.world)
    }

    fn window(&self) -> Space {
        Space::Window(self.disks[ME].memory.windows()[0])
    }

    /// Flips a bit of the last value whose key begins so.
    fn flip(&self, space: Space, prefix: &[u8]) {
        let memory = &self.disks[ME].memory;
        let (key, value) = memory.scan(space, prefix, None, 99).unwrap().pop().unwrap();
        let mut value = value.to_vec();
        *value.last_mut().unwrap() ^= 1;
        let put = Put {
            space,
            key,
            value: Some(value.into()),
        };
        let mut puts = std::iter::once(put);
        memory.write(&mut puts, 0, Durability::Synced).unwrap();
    }

    /// Loses the headers, commitments and proofs of a batch. Gives how many values that were.
    pub fn lose_batch(&self, digest: ashlar_proto::BatchDigest) -> usize {
        let key = [b"b".as_slice(), &digest.0].concat();
        let memory = &self.disks[ME].memory;
        let windows = memory.windows().into_iter().map(Space::Window);
        let held = windows.filter(|space| memory.get(*space, &key).unwrap().is_some());
        let gone = |space| {
            let put = Put {
                space,
                key: key.clone(),
                value: None,
            };
            let mut puts = std::iter::once(put);
            memory.write(&mut puts, 0, Durability::Synced).unwrap();
        };
        held.map(gone).count()
    }

    /// Waits until nothing is damaged any more, and gives how much was made anew.
    pub async fn repaired(&self) -> u64 {
        until("the repair", || async {
            self.me().status().repair.damaged == 0
        })
        .await;
        let report = self.me().scrub().await.unwrap();
        assert_eq!(report.corrupt, 0, "{report:?}");
        // A challenge that came before its data has its cause until it is looked at again.
        until("health", || async {
            self.me().health().status == Status::Ready
        })
        .await;
        self.me().status().repair.repaired
    }

    /// Everything of a batch is served, and holds: slices to readers, columns to auditors.
    pub async fn serves(&self, batch: &Batch) {
        let (caller, mine) = (self.caller(), self.world.chunks(ME, &[0]));
        for blob in 0..batch.blobs.len() {
            let got = caller.slices(batch, blob, &runs(&mine)).await.unwrap();
            assert_eq!(got.len(), mine.len());
            for (chunk, slice) in got {
                assert_eq!(slice, batch.slices[blob][chunk.0 as usize]);
            }
        }
        let request = Request::GetChunks(GetChunks {
            batch_digest: batch.header.digest(),
            indices: runs(&mine),
        });
        let answer = caller.ask(request, vec![]).await.unwrap();
        let Response::Chunks(chunks) = answer.response else {
            panic!("{:?}", answer.response)
        };
        let expected: Vec<_> = mine.iter().map(|i| batch.proofs[i.0 as usize]).collect();
        assert_eq!(chunks.chunk_proofs, expected);
        let view = chunks.layout().unwrap().view(answer.bulk).unwrap();
        let (points, _) = view.commitments().as_chunks::<48>();
        let points: Vec<_> = points.iter().map(|bytes| CommitmentBytes(*bytes)).collect();
        let columns: Vec<ChunkColumn<'_>> = mine
            .iter()
            .zip(decode_proofs(&chunks.chunk_proofs).unwrap())
            .enumerate()
            .map(|(place, (&index, proof))| ChunkColumn {
                index: index.0,
                pieces: view.column(place).unwrap(),
                proof,
            })
            .collect();
        let digest = batch.header.digest();
        verify_chunks(
            Setup::ethereum(),
            batch.protocol().code,
            RowChallenge::new(&digest.0),
            &decode_commitments(&points).unwrap(),
            &columns,
            [5; 32],
        )
        .unwrap();
    }

    pub async fn stop(self) {
        for node in self.nodes {
            node.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_batches_and_records_are_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let operators = start(folder.path(), None).await;
    let batches = [operators.batch(1), operators.batch(2)];
    for batch in &batches {
        operators.store(batch).await;
    }

    // Slices of one blob.
    operators.flip(operators.window(), b"s");
    let report = operators.me().scrub().await.unwrap();
    assert_eq!((report.promises, report.corrupt), (2, 1), "{report:?}");
    assert_eq!(operators.repaired().await, 1);

    // A batch's headers, commitments and proofs.
    operators.flip(operators.window(), b"b");
    assert_eq!(operators.me().scrub().await.unwrap().corrupt, 1);
    assert_eq!(operators.repaired().await, 2);

    // A signed record, which the batch tells: at once, and without anybody's help.
    operators.flip(Space::Signed, &[]);
    let report = operators.me().scrub().await.unwrap();
    assert_eq!((report.corrupt, report.restored), (0, 1), "{report:?}");

    // Everything but the promises.
    let totals = operators.me().status().store;
    for window in operators.disks[ME].memory.windows() {
        operators.disks[ME].memory.drop_window(window).unwrap();
    }
    let report = operators.me().scrub().await.unwrap();
    assert_eq!((report.batches, report.corrupt), (0, 2), "{report:?}");
    assert_eq!(operators.repaired().await, 4);
    for batch in &batches {
        operators.serves(batch).await;
    }
    assert!(operators.me().status().store.unwrap().batches >= totals.unwrap().batches);

    // A promise is still a promise.
    let caller = operators.caller();
    let mine = operators.world.chunks(ME, &[0]);
    let rival = operators.batch(1);
    assert_ne!(rival.header.digest(), batches[0].header.digest());
    let error = caller.store(&rival, &mine).await.unwrap_err();
    assert_eq!(error.code, "store.sequence_conflict");
    operators.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_stops_signing_until_somebody_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let operators = start(folder.path(), None).await;
    let batch = operators.batch(1);
    operators.store(&batch).await;
    operators.flip(operators.window(), b"s");
    let others = (0..operators.nodes.len()).filter(|operator| *operator != ME);
    let mut lost = Vec::new();
    for operator in others {
        let memory = &operators.disks[operator].memory;
        for window in memory.windows() {
            let space = Space::Window(window);
            let values = memory.scan(space, &[], None, 999).unwrap();
            lost.push((operator, space, values));
            memory.drop_window(window).unwrap();
        }
    }
    operators.me().scrub().await.unwrap();
    let unrepaired = |node: &RunningNode| {
        let health = node.health();
        health
            .reasons
            .iter()
            .any(|r| r.code == "corruption.unrepaired")
    };
    until("health to say it", || async { unrepaired(operators.me()) }).await;
    let status = operators.me().status().repair;
    assert_eq!((status.damaged, status.failing, status.repaired), (1, 1, 0));
    assert!(status.examples[0].contains("0 of 64 pieces"), "{status:?}");
    let (request, bulk) = operators
        .batch(2)
        .request(&operators.world.chunks(ME, &[0]));
    let refused = operators.caller().ask(request, bulk).await;
    let Err(NetError::Remote(error)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(error.code, "node.not_accepting");

    for (operator, space, values) in lost {
        let mut puts = values.into_iter().map(|(key, value)| Put {
            space,
            key,
            value: Some(value.to_vec().into()),
        });
        let memory = &operators.disks[operator].memory;
        memory.write(&mut puts, 0, Durability::Synced).unwrap();
    }
    assert_eq!(operators.repaired().await, 1);
    operators.serves(&batch).await;
    operators.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_for_something_lost_is_answered_once_it_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::new("ledger");
    let operators = start(folder.path(), Some(&ledger)).await;
    let batches = [operators.batch(1), operators.batch(2)];
    for batch in &batches {
        operators.store(batch).await;
    }
    // No scrub has seen it.
    for window in operators.disks[ME].memory.windows() {
        operators.disks[ME].memory.drop_window(window).unwrap();
    }
    let mine = operators.world.chunks(ME, &[0]);
    ledger.ask(&operators.world, &batches[1], 1, 0, mine[3]);
    until("the answer", || async { ledger.open() == 0 }).await;
    operators.serves(&batches[1]).await;
    operators.stop().await;
}
