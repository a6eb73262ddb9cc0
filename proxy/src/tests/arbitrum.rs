//! Every call that Nitro makes, and the texts that it looks for.

use ashlar_client::memory::MemoryNetwork;
use ashlar_crypto::account::keccak256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::world::{World, forged, payload};

async fn call(world: &World, method: &str, params: Value) -> Result<Value, String> {
    let body = json!({ "jsonrpc": "2.0", "id": 7, "method": format!("daprovider_{method}"), "params": params });
    let answer = world.send("POST", "/arbitrum", body.to_string()).await;
    let answer: Value = serde_json::from_slice(&answer.ok()).unwrap();
    assert_eq!(
        (&answer["jsonrpc"], &answer["id"]),
        (&"2.0".into(), &7.into())
    );
    match answer.get("error") {
        Some(error) => Err(error["message"].as_str().unwrap().to_owned()),
        None => Ok(answer["result"].clone()),
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn message(certificate: &[u8]) -> Value {
    json!(["0x5", hex(&[9; 32]), hex(&[&[0; 40], certificate].concat())])
}

async fn store(world: &World, message: &[u8]) -> Result<Vec<u8>, String> {
    let stored = call(world, "store", json!([hex(message), "0x7fffffff"])).await?;
    let certificate = stored["serialized-da-cert"].as_str().unwrap();
    Ok(hex::decode(&certificate[2..]).unwrap())
}

#[tokio::test]
async fn what_is_stored_is_recovered_with_its_preimage() {
    let world = World::new();
    let supported = call(&world, "getSupportedHeaderBytes", json!([]))
        .await
        .unwrap();
    assert_eq!(supported, json!({ "headerBytes": "0x01" }));
    let most = call(&world, "getMaxMessageSize", json!([])).await.unwrap();
    assert_eq!(most, json!({ "maxSize": 16 << 20 }));

    let sent = payload(1, 100_000);
    let certificate = store(&world, &sent).await.unwrap();
    assert_eq!(certificate[..3], [1, 0xa5, 1]);
    assert_eq!(
        store(&world, &sent).await.unwrap(),
        certificate,
        "the same blob"
    );
    let encoded = STANDARD.encode(&sent);
    let preimages = json!({ "3": { hex(&keccak256(&certificate)): encoded } });
    for (method, expected) in [
        ("recoverPayload", json!({ "Payload": encoded })),
        ("collectPreimages", json!({ "Preimages": preimages })),
        (
            "recoverPayloadAndPreimages",
            json!({ "Payload": encoded, "Preimages": preimages }),
        ),
    ] {
        let got = call(&world, method, message(&certificate)).await.unwrap();
        assert!(got == expected, "{method}");
    }
}

#[tokio::test]
async fn an_invalid_certificate_becomes_a_drop_and_nothing_else_does() {
    let world = World::new();
    let certificate = store(&world, b"some").await.unwrap();
    for method in [
        "recoverPayload",
        "collectPreimages",
        "recoverPayloadAndPreimages",
    ] {
        for bad in [forged(&certificate), vec![1, 0xa5, 1, 9, 9]] {
            let error = call(&world, method, message(&bad)).await.unwrap_err();
            assert!(error.contains("certificate validation failed"), "{error}");
        }
        world.network.set(|switches| switches.fail_gets = 1);
        let error = call(&world, method, message(&certificate))
            .await
            .unwrap_err();
        assert!(!error.contains("certificate validation failed"), "{error}");
        world
            .tables
            .broken
            .store(true, std::sync::atomic::Ordering::Relaxed);
        let error = call(&world, method, message(&forged(&certificate)))
            .await
            .unwrap_err();
        assert!(!error.contains("certificate validation failed"), "{error}");
        world
            .tables
            .broken
            .store(false, std::sync::atomic::Ordering::Relaxed);
        let short = json!(["0x5", hex(&[9; 32]), "0x0102"]);
        let error = call(&world, method, short).await.unwrap_err();
        assert!(!error.contains("certificate validation failed"), "{error}");
    }
}

#[tokio::test]
async fn the_sequencer_goes_to_the_next_writer_or_makes_a_smaller_batch() {
    for (after, texts) in [(1, [true, true]), (2, [false, true]), (0, [false, false])] {
        let world = World::over(MemoryNetwork::new(4), |config| {
            config.arbitrum.fallback_after = after;
            config.put.max_payload = 1000;
        });
        world.network.set(|switches| switches.refuse_puts = 2);
        for goes_on in texts {
            let error = store(&world, b"some").await.unwrap_err();
            let says = error.contains("DA provider requests fallback to next writer");
            assert_eq!(says, goes_on, "{error}");
        }
        let error = store(&world, &payload(1, 1001)).await.unwrap_err();
        assert!(
            error.contains("message too large for current DA backend"),
            "{error}"
        );
        store(&world, b"some").await.unwrap();
    }
}

#[tokio::test]
async fn a_message_comes_in_chunks() {
    let world = World::new();
    let sent = payload(4, 250_000);
    let now = crate::core::now_ms().unwrap() / 1000;
    let sum = |data: &[u8], numbers: &[u64]| {
        let numbers = numbers.iter().flat_map(|number| number.to_be_bytes());
        hex(&keccak256(
            &data.iter().copied().chain(numbers).collect::<Vec<u8>>(),
        ))
    };
    let numbers = [now, 3, 100_000, 250_000, now + 1000];
    let mut params: Vec<String> = numbers
        .iter()
        .map(|number| format!("{number:#x}"))
        .collect();
    params.push(sum(&[], &numbers));
    let started = call(&world, "startChunkedStore", json!(params))
        .await
        .unwrap();
    let id = started["BatchId"].as_str().unwrap().to_owned();
    let number = u64::from_str_radix(&id[2..], 16).unwrap();
    for (at, chunk) in sent.chunks(100_000).enumerate() {
        let at = at as u64;
        let params = json!([
            id,
            format!("{at:#x}"),
            hex(chunk),
            sum(chunk, &[number, at])
        ]);
        assert_eq!(call(&world, "sendChunk", params).await, Ok(Value::Null));
    }
    let commit = json!([id, sum(&[], &[number])]);
    let stored = call(&world, "commitChunkedStore", commit.clone())
        .await
        .unwrap();
    let certificate = stored["serialized-da-cert"].as_str().unwrap();
    let certificate = hex::decode(&certificate[2..]).unwrap();
    let got = call(&world, "recoverPayload", message(&certificate))
        .await
        .unwrap();
    assert!(got["Payload"] == STANDARD.encode(&sent));
    call(&world, "commitChunkedStore", commit)
        .await
        .unwrap_err();
    call(&world, "startChunkedStore", json!(params))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let world = World::new();
    for (method, params) in [
        ("generateReadPreimageProof", json!(["0x0", "0x01"])),
        ("generateCertificateValidityProof", json!(["0x01"])),
    ] {
        let error = call(&world, method, params).await.unwrap_err();
        assert!(error.starts_with("unimplemented"), "{error}");
    }
    assert!(
        call(&world, "other", json!([]))
            .await
            .unwrap_err()
            .contains("does not exist")
    );
    for params in [
        json!([]),
        json!([5, "0x0"]),
        json!(["0xzz", "0x0"]),
        json!(["0x00", "12"]),
    ] {
        call(&world, "store", params).await.unwrap_err();
    }
    let none = world.send("POST", "/arbitrum", "no JSON").await.json();
    assert_eq!(none["error"]["code"], -32600);
}

#[tokio::test]
async fn with_a_secret_callers_have_to_sign() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "07".repeat(32)).unwrap();
    let world = World::with(|config| config.arbitrum.jwt_secret = secret);
    let answer = world.send("POST", "/arbitrum", "{}").await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (401, &"arbitrum.jwt".into())
    );
    // The OP Stack's interface is another's.
    world.put(b"some").await.ok();
}
