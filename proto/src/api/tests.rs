#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;

fn status() -> BlobStatus {
    let mut stages = StageTimes::default();
    stages.reached(BlobState::Queued, 1);
    stages.reached(BlobState::Encoded, 20);
    stages.reached(BlobState::Encoded, 30);
    BlobStatus {
        id: BlobId([1; 32]),
        key: None,
        state: BlobState::Dispersing,
        version: 1,
        encoding: Encoding::Packed31,
        quorums: vec![0, 1],
        payload_len: 1000,
        rows: 1,
        submitted_at_ms: 10,
        stages,
        batch: Some(BatchStatus {
            digest: BatchDigest([2; 32]),
            sequence: crate::Sequence(9),
            reference_block: crate::Block(8),
            blob_index: 0,
            blobs: 1,
            rows: 1,
            signers: 3,
            operators: 4,
            signed: vec![
                QuorumSigned {
                    quorum: 0,
                    signed: Stake::from(1) << 100,
                    total: Stake::from(1) << 101,
                }
                .into(),
            ],
        }),
        error: None,
    }
}

#[test]
fn the_status_in_json() {
    let value = serde_json::to_value(status()).unwrap();
    assert_eq!(
        value,
        json!({
            "id": format!("0x{}", "01".repeat(32)),
            "key": null,
            "state": "dispersing",
            "version": 1,
            "encoding": "packed31",
            "quorums": [0, 1],
            "payload_len": 1000,
            "rows": 1,
            "submitted_at_ms": 10,
            "stages": {"encoded_ms": 20},
            "batch": {
                "digest": format!("0x{}", "02".repeat(32)),
                "sequence": 9,
                "reference_block": 8,
                "blob_index": 0,
                "blobs": 1,
                "rows": 1,
                "signers": 3,
                "operators": 4,
                "signed": [{
                    "quorum": 0,
                    "signed": "1267650600228229401496703205376",
                    "total": "2535301200456458802993406410752",
                    "percent": 50.0,
                }],
            },
            "error": null,
        })
    );
    assert_eq!(
        serde_json::from_value::<BlobStatus>(value).unwrap(),
        status()
    );
}

#[test]
fn states_have_one_name() {
    for state in BlobState::ALL {
        assert_eq!(serde_json::to_value(state).unwrap(), json!(state.as_str()));
        assert_eq!(
            state.is_final(),
            ["certified", "failed"].contains(&state.as_str())
        );
    }
}

#[test]
fn a_problem_in_json() {
    let problem = Problem::new(
        413,
        "payload.too_large",
        Blame::Caller,
        "payload of 20 bytes",
    )
    .with(20, 16)
    .at("/v1/blobs");
    let value = serde_json::to_value(&problem).unwrap();
    assert_eq!(
        value,
        json!({
            "type": "urn:ashlar:problem:payload.too_large",
            "title": "payload too large",
            "status": 413,
            "detail": "payload of 20 bytes",
            "instance": "/v1/blobs",
            "code": "payload.too_large",
            "blame": "caller",
            "got": "20",
            "expected": "16",
        })
    );
    assert_eq!(serde_json::from_value::<Problem>(value).unwrap(), problem);
    let short = Problem::new(500, "x", Blame::Us, "y");
    let value = serde_json::to_value(&short).unwrap();
    assert!(value.get("got").is_none() && value.get("instance").is_none());
    assert_eq!(serde_json::from_value::<Problem>(value).unwrap(), short);
}

#[test]
fn stakes_are_decimal_text() {
    assert_eq!(decimal::parse("0"), Some(Stake::ZERO));
    assert_eq!(decimal::parse(&Stake::MAX.to_string()), Some(Stake::MAX));
    for bad in [
        "",
        "-1",
        "+1",
        "0x10",
        "1e3",
        " 1",
        "1_000",
        &format!("{}0", Stake::MAX),
    ] {
        assert_eq!(decimal::parse(bad), None, "{bad:?}");
    }
}
