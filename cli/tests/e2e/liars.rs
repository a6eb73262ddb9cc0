//! Operators that serve corrupted slices or nothing at all: retrieval succeeds without them, and names them.
//!
//! The liar is a QUIC server of this test under the real address and with the real network key of an operator that was
//! killed, so for the reader it is that operator.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::random::payload;
use crate::support::{Devnet, evil};
use ashlar_crypto::{Encoding, MerkleTree, NetworkPublicKey, Rows, Slices};
use ashlar_net::{BulkReader, Handler, Reply, Server};
use ashlar_proto::wire::{self, Request, Response};
use ashlar_proto::{BlobHeader, Certificate, ChunkIndex, ChunkRanges, OperatorIndex, version};
use bytes::Bytes;
use futures::future::BoxFuture;
use serde_json::Value;

/// What a liar does with a request for slices.
enum Lie {
    /// Right headers, right Merkle proofs, one byte of each slice changed.
    Corrupt,
    /// Takes the request and never answers.
    Hang,
}

struct Liar {
    lie: Lie,
    blob_header: BlobHeader,
    chunks: Vec<ChunkIndex>,
    slices: Vec<Vec<u8>>,
    tree: MerkleTree,
    asked: Arc<AtomicU32>,
}

impl Handler for Liar {
    fn handle(&self, _: NetworkPublicKey, request: Request, _: BulkReader) -> BoxFuture<'_, Reply> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let Request::GetSlices(wanted) = request else {
                return std::future::pending().await;
            };
            if matches!(self.lie, Lie::Hang) {
                return std::future::pending().await;
            }
            let held: Vec<_> = wanted
                .indices
                .iter()
                .filter(|index| self.chunks.contains(index))
                .collect();
            let runs = ChunkRanges::from_indices(&held).unwrap();
            let bulk = held
                .iter()
                .map(|&index| {
                    let mut slice = self.slices[index.0 as usize].clone();
                    let middle = slice.len() / 2;
                    slice[middle] ^= 1;
                    Bytes::from(slice)
                })
                .collect();
            let proofs = evil::range_proofs(&self.tree, &runs);
            let message = wire::Slices {
                blob_header: self.blob_header.clone(),
                runs,
                proofs,
            };
            Reply::with_bulk(Response::Slices(message), bulk)
        })
    }
}

/// Eight operators with the same stake: a reader asks more than half of them, chosen anew each time.
struct Stage {
    devnet: Devnet,
    certificate: std::path::PathBuf,
    bytes: Vec<u8>,
    runtime: tokio::runtime::Runtime,
}

fn stage() -> Stage {
    let devnet = Devnet::start_with(&["--no-ledger", "--stakes", "10,10,10,10,10,10,10,10"]);
    let bytes = payload(61, 500_000);
    let certificate = devnet.put("p", &bytes);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    Stage {
        devnet,
        certificate,
        bytes,
        runtime,
    }
}

/// A liar that took an operator's place.
struct Placed {
    operator_id: String,
    asked: Arc<AtomicU32>,
    _server: Server,
}

impl Stage {
    /// Kills the operator at this index of the table and takes its place.
    fn place(&mut self, table_index: u32, lie: Lie) -> Placed {
        let table = evil::table(&self.devnet);
        let entry = table.operators()[table_index as usize].clone();
        let operator_id = entry.operator_id.to_string();
        let node = self
            .devnet
            .file
            .nodes
            .iter()
            .position(|node| node.operator_id == operator_id)
            .unwrap();
        let certificate =
            Certificate::from_bytes(&std::fs::read(&self.certificate).unwrap()).unwrap();
        let rows = Rows::from_payload(&self.bytes, Encoding::Packed31).unwrap();
        let slices = Slices::extend(version(1).unwrap().code, &rows);
        let asked = Arc::new(AtomicU32::new(0));
        let liar = Liar {
            lie,
            blob_header: certificate.blob_header,
            chunks: evil::assignment(&table, &[0])
                .chunks(OperatorIndex(table_index))
                .to_vec(),
            tree: MerkleTree::from_slices(&slices),
            slices: slices.iter().map(<[u8]>::to_vec).collect(),
            asked: asked.clone(),
        };
        assert_eq!(
            liar.tree.root(),
            liar.blob_header.chunk_root,
            "the liar knows the real slices"
        );
        let liar: Arc<dyn Handler> = Arc::new(liar);
        let _context = self.runtime.enter();
        let server = evil::impersonate(&mut self.devnet, node, &liar);
        Placed {
            operator_id,
            asked,
            _server: server,
        }
    }

    /// Reads, rightly each time, until a reader has met this operator; its report.
    fn get_past(&self, placed: &Placed) -> Value {
        for _ in 0..40 {
            let report = self
                .devnet
                .get_expecting(&self.certificate, "operators", &self.bytes);
            if skip_of(&report, &placed.operator_id).is_some() {
                assert!(placed.asked.load(Ordering::SeqCst) > 0, "{report}");
                return report;
            }
        }
        panic!("no reader names {}", placed.operator_id)
    }
}

fn skip_of<'a>(report: &'a Value, operator: &str) -> Option<&'a Value> {
    report["skipped"]
        .as_array()
        .unwrap()
        .iter()
        .find(|skip| skip["operator"] == operator)
}

#[test]
fn corrupted_slices_are_thrown_away_and_their_sender_is_named() {
    let mut stage = stage();
    let liar = stage.place(0, Lie::Corrupt);
    let report = stage.get_past(&liar);
    let skip = skip_of(&report, &liar.operator_id).unwrap();
    assert_eq!(
        (skip["code"].as_str(), skip["blame"].as_str()),
        (Some("operator.corrupt_slices"), Some("peer")),
        "{skip}"
    );
    assert_eq!(report["skipped"].as_array().unwrap().len(), 1, "{report}");
}

#[test]
fn an_operator_that_hangs_is_left_behind_and_named() {
    let mut stage = stage();
    let liar = stage.place(0, Lie::Hang);
    let report = stage.get_past(&liar);
    let skip = skip_of(&report, &liar.operator_id).unwrap();
    let code = skip["code"].as_str().unwrap();
    assert!(
        code == "operator.slow" || code == "operator.timeout",
        "{skip}"
    );
}

#[test]
fn a_liar_a_sleeper_and_a_dead_operator_together_are_no_obstacle() {
    let mut stage = stage();
    let liar = stage.place(0, Lie::Corrupt);
    let sleeper = stage.place(1, Lie::Hang);
    let dead = evil::table(&stage.devnet).operators()[2]
        .operator_id
        .to_string();
    let node = stage
        .devnet
        .file
        .nodes
        .iter()
        .position(|node| node.operator_id == dead)
        .unwrap();
    stage.devnet.kill_node(node);
    stage.get_past(&liar);
    stage.get_past(&sleeper);
}

/// The reader checks what it does with the relay's bytes as well: a relay is trusted with nothing.
#[test]
fn a_relay_that_lies_is_skipped_and_the_operators_are_asked() {
    let stage = stage();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut wrong = stage.bytes.clone();
    wrong[1234] ^= 1;
    std::thread::spawn(move || {
        use std::io::{BufRead, Write};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = std::io::BufReader::new(stream.try_clone().unwrap()).lines();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                wrong.len()
            );
            let _ = stream
                .write_all(head.as_bytes())
                .and_then(|()| stream.write_all(&wrong));
        }
    });
    let out = stage.devnet.folder().join("out");
    let mut command = stage.devnet.command([
        "get",
        "--json",
        "--from",
        "auto",
        "--disperser",
        &url,
        "--cert",
    ]);
    let report =
        crate::support::Outcome::of(command.arg(&stage.certificate).arg("-o").arg(&out)).success();
    assert_eq!(report["via"], "operators", "{report}");
    assert_eq!(
        report["skipped"][0]["address"]
            .as_str()
            .map(|a| a.trim_end_matches('/')),
        Some(url.as_str()),
        "{report}"
    );
    assert!(std::fs::read(&out).unwrap() == stage.bytes);
    // And with nobody else to ask, nothing is written.
    let nothing = stage.devnet.folder().join("nothing");
    let mut command = stage.devnet.command([
        "get",
        "--json",
        "--from",
        "relay",
        "--disperser",
        &url,
        "--cert",
    ]);
    let outcome =
        crate::support::Outcome::of(command.arg(&stage.certificate).arg("-o").arg(&nothing));
    assert!(outcome.code != 0 && !nothing.exists(), "{}", outcome.stderr);
}
