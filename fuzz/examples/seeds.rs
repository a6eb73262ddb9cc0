//! Writes valid inputs into the targets' corpora.

use std::path::Path;
use std::{fs, io};

use ashlar_crypto::identity::{NetworkKey, NetworkSignature};
use ashlar_crypto::keystore::{Cost, KeyKind, encrypt};
use ashlar_crypto::payload::Encoding;
use ashlar_proto::TableAccess;
use ashlar_proto::wire::{
    BatchList, BatchPlace, CertifiedBatch, ErrorReply, GetSlices, KeepCertificate, ListBatches, Ping,
    Pong, PutBlob, Request, Response, SignBatch, Stored,
};
use ashlar_proto::{Account, BatchDigest, Block, ChunkRanges};
use ashlar_restaking::log::{Entry, Tip};
use ashlar_restaking::{Action, StrategyKind, Transaction};
use ashlar_stake::{FileFormat, TableFile, TableRecord};

fn seed(target: &str, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    fs::create_dir_all(&directory)?;
    fs::write(directory.join(name), content)
}

fn main() -> io::Result<()> {
    let [compact, portable] = ashlar_fuzz::certificates();
    seed("certificate", "compact", compact.to_bytes())?;
    seed("certificate", "portable", portable.to_bytes())?;

    let (batch, blobs) = ashlar_fuzz::batch();
    seed("headers", "batch", batch.abi_encode())?;
    seed("headers", "blob", blobs[0].abi_encode())?;

    seed(
        "evidence",
        "double_signing",
        ashlar_fuzz::double_signing().to_bytes(),
    )?;
    seed(
        "evidence",
        "equivocation",
        ashlar_fuzz::equivocation().to_bytes(),
    )?;
    for (number, claim) in ashlar_fuzz::attestations().iter().enumerate() {
        seed(
            "evidence",
            &format!("attestation_{number}"),
            claim.to_bytes(),
        )?;
    }

    let mut tip = Tip::of(&ashlar_fuzz::genesis());
    let deposit = Transaction {
        sender: Account([1; 20]),
        action: Action::AddStrategy {
            name: "stETH".into(),
            kind: StrategyKind::Lst,
            asset: Account([3; 20]),
            oracle: Account([4; 20]),
        },
    };
    let mut log = Vec::new();
    for entry in [
        Entry::Transaction(Block(1), Box::new(deposit.clone())),
        Entry::Block(Block(2)),
    ] {
        log.extend(tip.write(&entry).map_err(io::Error::other)?);
    }
    seed("ledger", "log", log)?;
    seed("ledger", "transaction", serde_json::to_string(&deposit)?)?;
    seed(
        "ledger",
        "genesis",
        serde_json::to_string(&ashlar_fuzz::genesis())?,
    )?;

    let runs = ChunkRanges::new(vec![(0, 3), (7, 1)]).expect("ascending runs");
    let requests = [
        ("ping", Request::Ping(Ping { nonce: 7 })),
        ("dial_me", Request::DialMe),
        (
            "sign_batch",
            Request::SignBatch(SignBatch {
                batch_header: batch,
                disperser_signature: NetworkSignature([6; 64]),
            }),
        ),
        (
            "get_slices",
            Request::GetSlices(GetSlices {
                blob_key: blobs[0].blob_key(),
                indices: runs,
            }),
        ),
        (
            "keep_certificate",
            Request::KeepCertificate(Box::new(KeepCertificate {
                certificate: compact.clone(),
            })),
        ),
        (
            "list_batches",
            Request::ListBatches(ListBatches {
                after: Some(BatchPlace {
                    window: 7,
                    digest: BatchDigest([8; 32]),
                }),
            }),
        ),
    ];
    for (name, request) in requests {
        seed("wire_request", name, request.encode())?;
        seed("wire_memory", name, request.encode())?;
    }
    let responses = [
        (
            "pong",
            Response::Pong(Pong {
                nonce: 7,
                software: "ashlar".into(),
                versions: vec![1, 2],
            }),
        ),
        (
            "stored",
            Response::Stored(Stored {
                signature: compact.signature,
            }),
        ),
        (
            "batch_list",
            Response::BatchList(BatchList {
                batches: vec![CertifiedBatch {
                    certificate: compact.clone(),
                    disperser_signature: NetworkSignature([9; 64]),
                }],
                next: None,
            }),
        ),
        (
            "error",
            ErrorReply::new("wire.limit", ashlar_crypto::Blame::Peer, "too long")
                .with(2, 1)
                .into(),
        ),
    ];
    for (name, response) in responses {
        seed("wire_response", name, response.encode())?;
        seed("wire_memory", name, response.encode())?;
    }
    let put = PutBlob {
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0],
        account: Account([1; 20]),
        salt: 1,
        commitments: Vec::new(),
        payload: vec![5; 40].into(),
    };
    seed("put_blob", "plain", put.encode())?;

    let key = NetworkKey::from_seed([1; 32]);
    let json = encrypt(
        KeyKind::Network,
        key.seed(),
        &key.public().0,
        "password",
        [1; 32],
        [2; 16],
        [3; 16],
        Cost::Light,
    );
    seed("keystore", "network.json", json)?;

    let table = ashlar_fuzz::table();
    let record = TableRecord::from_table(table).expect("it was made with proofs");
    let file = TableFile {
        network: "fuzz".into(),
        service: 0,
        tables: vec![record],
    };
    for (name, format) in [
        ("operators.toml", FileFormat::Toml),
        ("operators.json", FileFormat::Json),
    ] {
        let text = file
            .to_text(format, Path::new(name))
            .expect("both formats hold every table");
        seed("operators_file", name, text)?;
    }
    seed("points", "signature", compact.signature.0)?;
    seed("points", "public_key", table.aggregate_key().to_bytes().0)?;
    seed("payload", "packed", b"\0hello")
}
