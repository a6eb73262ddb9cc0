//! The relay: payloads and slices, with ranges, tags and caching.

use ashlar_crypto::merkle::{leaf_hash, verify_range};
use ashlar_crypto::recover;
use ashlar_proto::Certificate;
use ashlar_proto::wire::Response;
use bytes::Bytes;

use crate::support::{Temper, World, config, problem};

#[tokio::test(flavor = "multi_thread")]
async fn payloads_are_served_in_parts_and_never_change() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(config()).await;
    let payload: Vec<u8> = (0..300_000u32).map(|i| (i % 253) as u8).collect();
    let accepted = running.accepted("", &payload).await;
    let key = running.certified(&accepted.id).await.key.unwrap();
    let get = |headers: &[(&'static str, String)]| {
        let mut request = running.http.get(running.url(&format!("/v1/blobs/{key}")));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request.send()
    };
    let whole = get(&[]).await.unwrap();
    assert_eq!(whole.status(), 200);
    let tag = whole.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", accepted.id));
    let cache = whole.headers()["cache-control"].to_str().unwrap();
    let seconds = cache.strip_prefix("public, immutable, max-age=").unwrap();
    let seconds: u64 = seconds.parse().unwrap();
    let retention = 14 * 24 * 3600;
    assert!((retention - 600..=retention).contains(&seconds), "{cache}");
    assert!(whole.bytes().await.unwrap() == payload);

    let part = get(&[
        ("range", "bytes=131000-200000".into()),
        ("if-range", tag.clone()),
    ]);
    let part = part.await.unwrap();
    assert_eq!(part.status(), 206);
    assert_eq!(
        part.headers()["content-range"],
        "bytes 131000-200000/300000"
    );
    assert!(part.bytes().await.unwrap() == payload[131_000..=200_000]);
    let known = get(&[("if-none-match", tag)]).await.unwrap();
    assert_eq!(
        (known.status().as_u16(), known.bytes().await.unwrap().len()),
        (304, 0)
    );
    let behind = get(&[("range", "bytes=300000-".into())]).await.unwrap();
    assert_eq!(behind.headers()["content-range"], "bytes */300000");
    assert_eq!(problem(behind).await.code, "request.range");
    let head = running.http.head(running.url(&format!("/v1/blobs/{key}")));
    let head = head.send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &"300000".parse().unwrap())
    );
    assert_eq!(head.bytes().await.unwrap().len(), 0);
    running.disperser.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_come_with_their_paths_and_rebuild_the_blob() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let running = world.start(config()).await;
    let payload: Vec<u8> = (0..300_000u32).map(|i| (i % 253) as u8).collect();
    let accepted = running.accepted("", &payload).await;
    running.certified(&accepted.id).await;
    let path = format!("/v1/blobs/{}", accepted.id);
    let certificate = running
        .get(&format!("{path}/certificate"))
        .await
        .bytes()
        .await
        .unwrap();
    let header = Certificate::from_bytes(&certificate).unwrap().blob_header;
    let code = header.protocol().unwrap().code;

    // None of them is a row's own cell.
    let answer = running
        .get(&format!("{path}/slices?chunks=64-95,100,480-511"))
        .await;
    assert_eq!(answer.status(), 200);
    let mut rest: Bytes = answer.bytes().await.unwrap();
    let length = u32::from_be_bytes(rest.split_to(4)[..].try_into().unwrap());
    let Response::Slices(slices) = Response::decode(rest.split_to(length as usize)).unwrap() else {
        panic!("another message")
    };
    let length = u64::from_be_bytes(rest.split_to(8)[..].try_into().unwrap());
    assert_eq!(length, rest.len() as u64);
    assert_eq!(slices.blob_header, header);
    let view = slices.layout().unwrap().view(rest).unwrap();
    let found: Vec<(u32, &[u8])> = slices
        .runs
        .iter()
        .enumerate()
        .map(|(place, index)| (index.0, view.slice(0, place).unwrap()))
        .collect();
    let mut leaves = found.iter().map(|(_, slice)| leaf_hash(slice));
    for ((start, len), proof) in slices.runs.as_slice().iter().zip(&slices.proofs) {
        let leaves: Vec<_> = leaves.by_ref().take(*len as usize).collect();
        let (chunks, start) = (u64::from(code.chunks()), u64::from(*start));
        verify_range(&header.chunk_root, chunks, start, &leaves, proof).unwrap();
    }
    let rows = recover(code, header.rows as usize, &found[..64]).unwrap();
    assert!(
        rows.to_payload(header.encoding, header.payload_len)
            .unwrap()
            == payload
    );

    for (query, status, code) in [
        ("", 400, "request.query"),
        ("?chunks=", 400, "request.chunks"),
        ("?chunks=5-4", 400, "request.chunks"),
        ("?chunks=5,5", 400, "request.chunks"),
        ("?chunks=512", 400, "request.chunks"),
        ("?chunks=0-4294967295", 400, "request.chunks"),
    ] {
        let told = problem(running.get(&format!("{path}/slices{query}")).await).await;
        assert_eq!((told.status, told.code.as_str()), (status, code), "{query}");
    }
    running.disperser.shutdown().await;
}

/// One extension is made for everybody who asks, and what memory does not take is refused.
#[tokio::test(flavor = "multi_thread")]
async fn slices_are_computed_once_for_all_who_ask() {
    let world = World::new(&[(Temper::Honest, 1)]);
    let mut settings = config();
    settings.accept.max_payload = 500_000;
    settings.relay.slice_memory_bytes = 8 << 20;
    let running = world.start(settings).await;
    let mut ids = Vec::new();
    for fill in 0..3u8 {
        let accepted = running.accepted("", &vec![fill; 500_000]).await;
        running.certified(&accepted.id).await;
        ids.push(accepted.id);
    }
    // More blobs than fit, several times each, all at once.
    let asks = (0..24).map(|n| {
        let (id, chunk) = (ids[n % 3], n);
        let path = format!("/v1/blobs/{id}/slices?chunks={chunk}");
        let running = &running;
        async move { running.get(&path).await.status().as_u16() }
    });
    let answers = futures::future::join_all(asks).await;
    assert!(
        answers.iter().all(|status| [200, 503].contains(status)),
        "{answers:?}"
    );
    assert!(answers.contains(&200));
    let again = running
        .get(&format!("/v1/blobs/{}/slices?chunks=1", ids[0]))
        .await;
    assert_eq!(again.status(), 200);
    running.disperser.shutdown().await;
}
