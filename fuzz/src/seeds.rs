//! Valid inputs to start from. They lie in the corpus beside what fuzzing has found; a test compares.

use std::path::Path;

use ashlar_crypto::Blame;
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::keystore::{Cost, KeyKind, encrypt};
use ashlar_crypto::payload::Encoding;
use ashlar_crypto::{CommitmentBytes, ProofBytes};
use ashlar_disperser::DisperserConfig;
use ashlar_disperser::dispersal::{Failure, FailureKind};
use ashlar_disperser::record::{BatchRecord, BlobRecord, OperatorFailure};
use ashlar_disperser::state::BatchState;
use ashlar_ledger::types::{
    AnswerBody, EvidenceBody, HeadKeysView, TableHead, TableRootView, TableView,
};
use ashlar_ledger::{LedgerConfig, SignedTransaction};
use ashlar_node::NodeConfig;
use ashlar_node::protection::ProtectionFile;
use ashlar_node::store::Floor;
use ashlar_proto::api::{BatchStatus, BlobState, Problem, SignedQuorum, StatusError};
use ashlar_proto::wire::{
    BatchList, CertifiedBatch, Chunks, Combined, Dialed, ErrorReply, Latest, Pong, PutBlob,
    Response, Slices, Stored,
};
use ashlar_proto::{
    Account, Block, HeadKeySuccession, Network, OperatorIndex, Sequence, Stake, Submission,
    TableAccess as _,
};
use ashlar_restaking::evidence::{Challenge, CustodyAnswer, Position};
use ashlar_restaking::log::{Entry, Tip};
use ashlar_restaking::{Action, State, StrategyKind, Transaction};
use ashlar_stake::{FileFormat, TableFile, TableRecord};
use serde::Serialize;

use crate::samples::{self, table};
use crate::targets::{FUNCTIONS, requests};

const NOW_MS: u64 = 1_700_000_000_000;

/// A valid input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// Name of the target.
    pub target: &'static str,
    /// Name of the file.
    pub name: String,
    /// The input.
    pub input: Vec<u8>,
}

#[derive(Default)]
struct Seeds(Vec<Seed>);

impl Seeds {
    fn add(&mut self, target: &'static str, name: impl Into<String>, input: impl Into<Vec<u8>>) {
        self.0.push(Seed {
            target,
            name: format!("seed_{}", name.into()),
            input: input.into(),
        });
    }

    fn json(&mut self, target: &'static str, name: &str, value: &impl Serialize) {
        self.add(target, name, json(value));
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("it has a JSON form")
}

/// All of them. Each target has one.
pub fn seeds() -> Vec<Seed> {
    let mut seeds = Seeds::default();
    crypto(&mut seeds);
    messages(&mut seeds);
    evidence(&mut seeds);
    ledger(&mut seeds);
    files(&mut seeds);
    node(&mut seeds);
    disperser(&mut seeds);
    seeds.0
}

fn crypto(seeds: &mut Seeds) {
    let [compact, _] = samples::certificates();
    seeds.add("points", "signature", compact.signature.0);
    seeds.add("points", "public_key", table().aggregate_key().to_bytes().0);
    seeds.add("payload", "packed", *b"\0hello");
    seeds.add("payload", "fields", [1; 65]);
    // One row, to be cut nowhere, whose first element says 5 bytes.
    seeds.add("rows", "packed", [1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5]);
    seeds.add("merkle", "range", [9, 2, 3, 1, 1, 0, 1, 0, 0]);
    let all: Vec<u8> = (0..64).flat_map(|index| [index, 0, 0]).collect();
    for function in 0..FUNCTIONS {
        for blob in 0..3 {
            seeds.add("eip", format!("{function}_of_{blob}"), [function, blob]);
        }
        let changes = [1, 0x60, 0, 5, 1, 0, 0, 3, 0, 1, 0x45, 0, 9];
        let input = [&[function, 0], &changes[..]].concat();
        seeds.add("eip", format!("{function}_changed"), input);
    }
    for (name, input) in [
        ("three_blobs", &[5, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2][..]),
        (
            "four_cells",
            &[7, 0, 4, 0, 3, 0, 0, 0, 0, 1, 9, 0, 0, 0, 0, 2, 5, 0],
        ),
        ("the_second_half", &[8, 0, 0, 1, 2, 0, 64]),
        ("every_second", &[8, 0, 0, 2, 2]),
        ("all", &[8, 1, 0, 1, 66]),
        (
            "more_than_needed_and_one_wrong",
            &[8, 0, 0, 1, 10, 0, 70, 1, 0x60, 0, 9],
        ),
    ] {
        seeds.add("eip", name, input);
    }
    seeds.add("recover", "all", [&[1, 7], all.as_slice()].concat());
    let key = NetworkKey::from_seed([1; 32]);
    let keystore = encrypt(
        KeyKind::Network,
        key.seed(),
        &key.public().0,
        "password",
        [1; 32],
        [2; 16],
        [3; 16],
        Cost::Light,
    );
    seeds.add("keystore", "network", keystore);
}

fn messages(seeds: &mut Seeds) {
    let [compact, portable] = samples::certificates();
    seeds.add("certificate", "compact", compact.to_bytes());
    seeds.add("certificate", "portable", portable.to_bytes());
    let (batch_header, blob_headers) = samples::batch();
    seeds.add("headers", "batch", batch_header.abi_encode());
    seeds.add("headers", "blob", blob_headers[0].abi_encode());

    for request in requests() {
        envelope(
            seeds,
            "wire_request",
            request.kind(),
            request.encode(),
            request.bulk_len(),
        );
    }
    let runs = samples::runs();
    let [certificate, _] = samples::certificates();
    let (batch_header, _) = samples::batch();
    let responses: [Response; 10] = [
        Response::Kept,
        Response::Latest(Some(Latest {
            batch_header: batch_header.clone(),
            disperser_signature: samples::disperser_signature(),
        })),
        Response::BatchList(BatchList {
            batches: vec![CertifiedBatch {
                certificate,
                disperser_signature: samples::disperser_signature(),
            }],
            next: Some(samples::batch_place()),
        }),
        Response::Combined(Combined {
            batch_header: batch_header.clone(),
            runs: samples::runs(),
            chunk_proofs: samples::chunk_proofs(),
        }),
        Response::Dialed(Dialed {
            address: "node1.example.com:7400".into(),
        }),
        Response::Stored(Stored {
            signature: compact.signature,
        }),
        Response::Slices(Slices {
            blob_header: blob_headers[0].clone(),
            runs: runs.clone(),
            proofs: samples::proofs(),
        }),
        Response::Chunks(Chunks {
            batch_header,
            slice_proofs: vec![samples::proofs(); blob_headers.len()],
            blob_headers,
            runs,
            chunk_proofs: samples::chunk_proofs(),
        }),
        Response::Pong(Pong {
            nonce: 7,
            software: "ashlar".into(),
            versions: vec![1, 2],
        }),
        ErrorReply::new("wire.limit", Blame::Peer, "too long")
            .with(2, 1)
            .into(),
    ];
    for response in responses {
        envelope(
            seeds,
            "wire_response",
            response.kind(),
            response.encode(),
            response.bulk_len(),
        );
    }
    let mut put = PutBlob {
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0],
        account: Account([1; 20]),
        salt: 1,
        commitments: Vec::new(),
        payload: vec![5; 40].into(),
    };
    seeds.add("put_blob", "plain", put.encode());
    put.commitments = vec![CommitmentBytes([0xc0; 48])];
    seeds.add("put_blob", "claimed", put.encode());

    let signed = samples::authorization().to_string();
    seeds.add("auth_headers", "authorization", signed);
    seeds.add("auth_headers", "granted", samples::granted().to_string());
    seeds.add("auth_headers", "voucher", samples::voucher().to_string());

    let (_, blob) = blob_record();
    seeds.json("disperser_json", "status", &blob.status());
    let problem = Problem::new(413, "payload.too_large", Blame::Caller, "17 MiB");
    seeds.json("disperser_json", "problem", &problem);
}

/// An envelope, and the whole message that it is in.
fn envelope<E: std::fmt::Debug>(
    seeds: &mut Seeds,
    target: &'static str,
    kind: &str,
    envelope: Vec<u8>,
    bulk: Result<u64, E>,
) {
    let bulk = bulk.expect("a valid message");
    let mut message = (envelope.len() as u32).to_be_bytes().to_vec();
    message.extend_from_slice(&envelope);
    message.extend_from_slice(&bulk.to_be_bytes());
    message.resize(message.len() + bulk as usize, 7);
    seeds.add("frame", kind, message);
    seeds.add("wire_memory", kind, envelope.clone());
    seeds.add(target, kind, envelope);
}

fn challenge() -> Challenge {
    let (batch, blobs) = samples::batch();
    Challenge {
        challenger: Account([1; 20]),
        blob_key: blobs[0].blob_key(),
        batch_digest: batch.digest(),
        position: Position { row: 0, element: 5 },
        operator: table()
            .operator(OperatorIndex(0))
            .expect("an operator")
            .operator_id,
        opened_block: Block(8),
        deadline_block: Block(20),
        bond: Stake::from(7u8),
    }
}

fn answers() -> [CustodyAnswer; 2] {
    [
        CustodyAnswer::Opening {
            commitment: CommitmentBytes([0xc0; 48]),
            path: vec![[1; 32]; 2],
            y: [3; 32],
            proof: ProofBytes([0xc0; 48]),
        },
        CustodyAnswer::Slice {
            bytes: vec![4; 64],
            path: vec![[5; 32]; 3],
        },
    ]
}

fn evidence(seeds: &mut Seeds) {
    seeds.add(
        "evidence",
        "double_signing",
        samples::double_signing().to_bytes(),
    );
    seeds.add(
        "evidence",
        "equivocation",
        samples::equivocation().to_bytes(),
    );
    for (number, claim) in samples::attestations().iter().enumerate() {
        seeds.add(
            "evidence",
            format!("attestation_{number}"),
            claim.to_bytes(),
        );
    }
    seeds.add("evidence", "challenge", challenge().to_bytes());
    for (number, answer) in answers().iter().enumerate() {
        seeds.add("evidence", format!("answer_{number}"), answer.to_bytes());
    }
}

fn ledger(seeds: &mut Seeds) {
    let genesis = samples::genesis();
    let transaction = Transaction {
        sender: Account(samples::account_key().address()),
        action: Action::AddStrategy {
            name: "stETH".into(),
            kind: StrategyKind::Lst,
            asset: Account([3; 20]),
            oracle: Account([4; 20]),
        },
    };
    let mut tip = Tip::of(&genesis);
    let mut log = Vec::new();
    for entry in [
        Entry::Transaction(Block(1), Box::new(transaction.clone())),
        Entry::Block(Block(2)),
    ] {
        log.extend(tip.write(&entry).expect("a valid entry"));
    }
    seeds.add("ledger_log", "log", log);
    seeds.json("ledger_transaction", "genesis", &genesis);

    let network = Network::ledger(&[7; 32]);
    let signed = SignedTransaction::sign(&samples::account_key(), network, 1, transaction);
    seeds.json("ledger_request", "transaction", &signed);
    for (number, answer) in answers().into_iter().enumerate() {
        let body = AnswerBody {
            challenge: 3,
            answer,
        };
        seeds.json("ledger_request", &format!("answer_{number}"), &body);
    }
    let fault = samples::double_signing();
    seeds.json("ledger_request", "evidence", &EvidenceBody { fault });

    let (signed, root) = (samples::signed_head(), table().root());
    let (service, block) = (1, Block(7));
    let head = TableHead {
        service,
        signed,
        block_ms: 1000,
    };
    seeds.json("ledger_answer", "head", &head);
    let of_root = TableRootView {
        service,
        block,
        root,
        signed: Some(signed),
        changed_at: Some(block),
    };
    seeds.json("ledger_answer", "root", &of_root);
    let whole = TableView {
        service,
        root,
        signed: Some(signed),
        changed_at: None,
        table: table_record(),
    };
    seeds.json("ledger_answer", "table", &whole);
    let successor = Account([6; 20]);
    let keys = HeadKeysView {
        genesis: [7; 32].into(),
        key: successor,
        successions: vec![HeadKeySuccession::sign(
            &samples::account_key(),
            network,
            successor,
            Block(9),
        )],
    };
    seeds.json("ledger_answer", "keys", &keys);
    seeds.add(
        "risk_graph",
        "graph",
        *br#"{"operators":[{"name":"a","stake":"10"},{"name":"b","stake":4}],"services":[{"name":"s","profit":"3","alpha":"1/3","slash_cap":"0.5","operators":["a",{"name":"b","unique":"2"}]}]}"#,
    );

    let mut record = block.0.to_be_bytes().to_vec();
    record.extend_from_slice(&NOW_MS.to_be_bytes());
    record.extend_from_slice(&root.0);
    record.extend_from_slice(&signed.signature.0);
    record.push(1);
    seeds.add("ledger_files", "head", [vec![0], record].concat());
    seeds.add("ledger_files", "floor", [1; 41]);
    let known = format!(
        r#"{{"network":"{network}","service":1,"sources":["http://127.0.0.1:7600"],"successions":{}}}"#,
        String::from_utf8_lossy(&json(&keys.successions)),
    );
    seeds.add("ledger_files", "known", [&[2], known.as_bytes()].concat());
    let side = format!(
        r#"{{"source":"a","signed":{}}}"#,
        String::from_utf8_lossy(&json(&signed))
    );
    let sides = format!(r#"{{"one":{side},"other":{side}}}"#);
    seeds.add(
        "ledger_files",
        "contradiction",
        [&[2], sides.as_bytes()].concat(),
    );
    let state = State::new(&genesis).expect("a valid genesis");
    seeds.add("ledger_files", "state", [vec![3], json(&state)].concat());
}

fn table_record() -> TableRecord {
    TableRecord::from_table(table()).expect("it was made with proofs")
}

fn files(seeds: &mut Seeds) {
    let file = TableFile {
        network: "fuzz".into(),
        service: 0,
        tables: vec![table_record()],
    };
    for (name, format) in [("toml", FileFormat::Toml), ("json", FileFormat::Json)] {
        let text = file
            .to_text(format, Path::new(name))
            .expect("both formats hold every table");
        seeds.add("operators_file", name, text);
    }
    let written = "both hold nothing but UTF-8";
    let defaults = [
        ("node_config", NodeConfig::default().to_toml()),
        ("disperser_config", DisperserConfig::default().to_toml()),
        ("ledger_config", LedgerConfig::default().to_toml()),
    ];
    let network = Network::ledger(&[7; 32]);
    let from_ledger = format!(
        "[operators]\ntables = [\"https://a.example/v1/services/1#{network}\"]\nhead_keys = [\"{}\"]\nca = \"ca.pem\"\n",
        Account([9; 20])
    );
    for (target, text) in defaults {
        seeds.add(target, "defaults", text.expect(written));
        if target != "ledger_config" {
            seeds.add(target, "from_ledger", from_ledger.clone());
        }
    }
    seeds.add(
        "node_config",
        "drives",
        "[store]\ndrives = [\"/mnt/1\", \"/mnt/2\", \"/mnt/3\"]\nparity = 1\n",
    );
    let accounts = format!("[access]\naccounts = [\"{}\"]\n", Account([9; 20]));
    seeds.add("ledger_config", "accounts", accounts);
    let protection = ProtectionFile {
        version: 1,
        bls_public_key: format!("0x{}", "ab".repeat(96)),
        snapshot: false,
        written_at_ms: NOW_MS,
        floors: [1, 2]
            .map(|disperser_id| Floor {
                domain: table().domain(),
                disperser_id,
                sequence: Sequence(7),
            })
            .to_vec(),
    };
    seeds.add(
        "protection_file",
        "file",
        protection.to_json().expect(written),
    );
}

fn node(seeds: &mut Seeds) {
    let (_, blobs) = samples::batch();
    let [certificate, _] = samples::certificates();
    for (name, input) in ashlar_node::fuzzing::values(&certificate, &blobs) {
        seeds.add("node_store", name, input);
    }
    seeds.add("drives", "whole", *b"\0\0value");
    seeds.add("drives", "shard", *b"\0\x01\x01\0\0\0\0\0\0\0\x05ab");
    seeds.add("drives", "stripes", *b"\x01\x07a value for stripes");
    let set = "00112233445566778899aabbccddeeff";
    let label = format!(r#"{{"version":1,"set":"{set}","position":0,"drives":5,"parity":2}}"#);
    seeds.add("drives", "label", [b"\x04", label.as_bytes()].concat());
    let marker = format!(r#"{{"version":1,"database":"{set}"}}"#);
    seeds.add("drives", "marker", [b"\x04", marker.as_bytes()].concat());
    // Of five drives, with one write of one key: fields 1 to 10 of the protobuf.
    seeds.add(
        "drives",
        "record",
        *b"\x02\x0a\x10................\x10\x01\x18\x05\x20\x02\x28\x03\x32\x03\0\x01\x02\x38\x09\x40\x01\x48\x01\x52\x0d\x0a\x0b\x0a\x04meta\x12\x03key",
    );
    let tally = [9u64, 1, 9, 11, 12].map(u64::to_be_bytes).concat();
    seeds.add("drives", "tally", [vec![3], tally].concat());
    // Group, file, place and length of a value, then its checksum.
    let place = [9u64, 1, 2, 3].map(u64::to_be_bytes).concat();
    let pointer = [vec![3, 1], place, vec![0, 0, 0, 4]].concat();
    seeds.add("drives", "pointer", pointer);
}

fn blob_record() -> (BatchRecord, BlobRecord) {
    let (header, blobs) = samples::batch();
    let submission = Submission {
        version: 1,
        encoding: Encoding::Packed31,
        payload_len: 1000,
        quorums: vec![0],
        account: Account([1; 20]),
        salt: 1,
        payload_sha256: [9; 32],
    };
    let network = std::net::IpAddr::from([192, 0, 2, 1]).into();
    let mut blob = BlobRecord::new(&submission, network, 1, true, 4, NOW_MS, NOW_MS + 1);
    blob.go(BlobState::Encoding, NOW_MS + 2)
        .expect("the first step");
    blob.header = Some(blobs[1].clone());
    blob.key = Some(blobs[1].blob_key());
    let signed = SignedQuorum {
        quorum: 0,
        signed: Stake::from(2u8),
        total: Stake::from(3u8),
        percent: 66.66,
    };
    blob.batch = Some(BatchStatus {
        digest: header.digest(),
        sequence: header.sequence,
        reference_block: header.reference_block,
        blob_index: 1,
        blobs: 3,
        rows: 3,
        signers: 2,
        operators: 4,
        signed: vec![signed],
    });
    blob.error = Some(StatusError {
        code: "claim.false".into(),
        message: "no".into(),
    });
    let batch = BatchRecord {
        header,
        signature: Some(samples::disperser_signature()),
        blobs: vec![blob.id],
        state: BatchState::Dispersing,
        signers: vec![OperatorIndex(1)],
        signed: vec![signed],
        failures: vec![OperatorFailure {
            operator: OperatorIndex(0),
            attempts: 2,
            failure: Some(Failure {
                kind: FailureKind::Refused,
                code: "store.moved".into(),
                message: "no".into(),
                blame: Blame::Peer,
            }),
        }],
        expires_at_ms: NOW_MS + 1,
    };
    (batch, blob)
}

fn disperser(seeds: &mut Seeds) {
    let (batch, blob) = blob_record();
    seeds.json("disperser_store", "blob", &blob);
    seeds.json("disperser_store", "batch", &batch);
}
