//! Nodes are killed at random moments under load and started again: every signature that is in a certificate has its data, and no
//! number was signed for another batch.
//!
//! The seed is printed; `ASHLAR_SEED=…` repeats a run. `make test-long` kills 200 times, `make test` fewer.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use ashlar_node::NodeConfig;
use ashlar_node::database::{self, Database};
use ashlar_node::store::{DiskStore, SequenceId, Store, StoredBatch};
use ashlar_proto::{Certificate, OperatorId};

use crate::support::random::{Random, payload};
use crate::support::{Devnet, wait_for};

/// Posts under way at a time.
const POSTS: usize = 3;

/// Payloads that are posted, and the certificates that came.
#[derive(Default)]
pub struct Load {
    under_way: Vec<(Child, PathBuf)>,
    posted: u64,
    certificates: Vec<Certificate>,
    failed: u64,
}

impl Load {
    /// Takes in what is done, and posts on.
    pub fn keep_up(&mut self, devnet: &Devnet, random: &mut Random) {
        self.take_in();
        while self.under_way.len() < POSTS {
            self.posted += 1;
            let bytes = payload(random.next(), 1 + random.below(200_000) as usize);
            let file = devnet.write(&format!("load-{}", self.posted), &bytes);
            let certificate = file.with_extension("cert");
            let mut command = devnet.command(["put"]);
            command.arg(&file).arg("--cert").arg(&certificate);
            let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            self.under_way.push((child.unwrap(), certificate));
        }
    }

    /// Posts no more, and waits for what is under way.
    pub fn end(&mut self) {
        wait_for("the last posts", || {
            self.take_in();
            self.under_way.is_empty()
        });
    }

    fn take_in(&mut self) {
        let (certificates, failed) = (&mut self.certificates, &mut self.failed);
        self.under_way
            .retain_mut(|(child, path)| match child.try_wait().unwrap() {
                None => true,
                Some(status) if status.success() => {
                    let bytes = std::fs::read(&*path).unwrap();
                    certificates.push(Certificate::from_bytes(&bytes).unwrap());
                    false
                }
                // With the heaviest operators down for too long there is no certificate in time.
                Some(_) => {
                    *failed += 1;
                    false
                }
            });
    }

    /// Certificates that came.
    pub fn certificates(&self) -> u64 {
        self.certificates.len() as u64
    }

    /// Looks into the stores of all nodes, which are stopped: every signature in a certificate has its data, and nothing else was
    /// signed under its number. Says in words what there is.
    pub fn check(&self, devnet: &Devnet) -> String {
        let stores: Vec<DiskStore> = (0..8).map(|index| open(devnet, index)).collect();
        let (mut signatures, mut numbers) = (0, 0);
        for certificate in &self.certificates {
            let header = &certificate.batch_header;
            let held = stores.iter().filter(|store| holds(store, header)).count();
            // Each store has one digest under a number, and it is the certificate's.
            let (signers, _) = certificate.claimed_signers();
            assert!(
                held >= signers as usize,
                "{signers} signed, {held} hold the batch"
            );
            signatures += signers;
            numbers += 1;
        }
        for store in &stores {
            for window in store.windows().unwrap() {
                for (digest, _) in store.batches_in(window, None, usize::MAX).unwrap() {
                    check(store, &store.batch(&digest).unwrap().unwrap());
                }
            }
        }
        format!(
            "{numbers} certificates with {signatures} signatures, all with their data, 0 double-signed; {} posts without a certificate",
            self.failed
        )
    }
}

fn kill_at_random(kills: u64, test: &str) {
    let mut random = Random::from_env(test);
    let mut devnet = Devnet::start();
    let mut load = Load::default();
    for _ in 0..kills {
        load.keep_up(&devnet, &mut random);
        let index = random.below(8) as usize;
        std::thread::sleep(Duration::from_millis(random.below(400)));
        devnet.kill_node(index);
        load.keep_up(&devnet, &mut random);
        devnet.restart_node(index);
    }
    load.end();
    (0..8).for_each(|index| devnet.kill_node(index));
    let found = load.check(&devnet);
    println!("{kills} kills: {found}");
    assert!(
        load.certificates() * 4 >= kills,
        "hardly anything was certified"
    );
}

pub fn open(devnet: &Devnet, index: usize) -> DiskStore {
    let node = devnet.node(index);
    let config = NodeConfig::load(&node.dir.join("node.toml")).unwrap();
    let id: OperatorId = serde_json::from_value(node.operator_id.clone().into()).unwrap();
    database::open(&config, id, Database::Existing).unwrap()
}

/// Whether a store signed a batch; then it holds all of it.
fn holds(store: &DiskStore, header: &ashlar_proto::BatchHeader) -> bool {
    let Some(record) = store.signed(&SequenceId::of(header)).unwrap() else {
        return false;
    };
    assert_eq!(
        record.digest,
        header.digest(),
        "another batch was signed under the number"
    );
    let batch = store.batch(&record.digest).unwrap();
    check(store, &batch.expect("a signed batch is lost"));
    true
}

fn check(store: &DiskStore, batch: &StoredBatch) {
    for (index, blob) in (0..).zip(&batch.blobs) {
        let slices = store.batch_slices(&batch.header.digest(), index).unwrap();
        let slices = slices.expect("slices of a batch are lost");
        assert_eq!(slices.header(), blob);
        slices
            .check(blob.protocol().unwrap().code.chunks())
            .unwrap();
    }
}

#[test]
fn six_kills_under_load_lose_no_signature() {
    kill_at_random(6, "six_kills");
}

#[test]
#[ignore = "minutes; run by `make test-long`"]
fn two_hundred_kills_under_load_lose_no_signature() {
    kill_at_random(200, "two_hundred_kills");
}
