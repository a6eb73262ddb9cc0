#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http_body_util::BodyExt as _;

use super::*;
use crate::capacity::Capacity;

const CONTENT: Content<'static> = Content {
    tag: "0xab",
    len: 1000,
    lifetime: Duration::from_secs(77),
};

const PACE: Pace = Pace {
    min_rate: 1 << 20,
    grace: Duration::from_secs(60),
};

async fn memory(of: &Capacity, network: &str) -> Held {
    let network = ashlar_net::Subnet::of(network.parse().unwrap());
    of.take(network, 1000).await.unwrap()
}

fn capacity() -> Capacity {
    Capacity::new("serving", 1500, 1)
}

fn bytes() -> Vec<u8> {
    (0..1000u32).map(|i| (i % 251) as u8).collect()
}

/// Status, `Content-Range` and body that a request gets, whose content lies in pieces of 7 bytes.
async fn answer(method: Method, headers: &[(HeaderName, &str)]) -> (u16, Option<String>, Vec<u8>) {
    let mut request = HeaderMap::new();
    for (name, value) in headers {
        request.append(name, value.parse().unwrap());
    }
    let all = bytes();
    let pieces = all.chunks(7).map(Bytes::copy_from_slice);
    let response = match CONTENT.wanted(&method, &request) {
        Ok(Wanted::Nothing(response)) => response,
        Ok(Wanted::Bytes(part)) => part.send(pieces, PACE, memory(&capacity(), "192.0.2.1").await),
        Err(refused) => refused.into_response(),
    };
    let (parts, body) = response.into_parts();
    if parts.status.as_u16() < 400 {
        assert_eq!(parts.headers[header::ETAG], "\"0xab\"");
        let cache = "public, immutable, max-age=77";
        assert_eq!(parts.headers[header::CACHE_CONTROL], cache);
        assert_eq!(parts.headers[header::ACCEPT_RANGES], "bytes");
    }
    let range = parts.headers.get(header::CONTENT_RANGE);
    let range = range.map(|value| value.to_str().unwrap().to_owned());
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.map(|value| value.to_str().unwrap().parse::<usize>().unwrap());
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    if method == Method::GET && matches!(parts.status.as_u16(), 200 | 206) {
        assert_eq!(length, Some(body.len()));
    }
    (parts.status.as_u16(), range, body)
}

#[tokio::test]
async fn ranges_are_those_of_the_standard() {
    let all = bytes();
    for (asked, status, range) in [
        ("bytes=0-0", 206, 0..1),
        ("bytes=5-9", 206, 5..10),
        ("bytes=990-", 206, 990..1000),
        ("bytes=990-99999999999999999999999", 206, 990..1000),
        ("bytes=-10", 206, 990..1000),
        ("bytes=-5000", 206, 0..1000),
        ("bytes=999-999", 206, 999..1000),
        // No single range of bytes: as if nothing had been asked.
        ("bytes=5-4", 200, 0..1000),
        ("bytes=0-1,5-6", 200, 0..1000),
        ("bytes=a-b", 200, 0..1000),
        ("bytes=+1-2", 200, 0..1000),
        ("bytes=", 200, 0..1000),
        ("rows=0-1", 200, 0..1000),
    ] {
        let (got, said, body) = answer(Method::GET, &[(header::RANGE, asked)]).await;
        assert_eq!(got, status, "{asked}");
        assert!(body == all[range.clone()], "{asked}");
        let range = format!("bytes {}-{}/1000", range.start, range.end - 1);
        assert_eq!(said, (status == 206).then_some(range), "{asked}");
    }
    for asked in ["bytes=1000-", "bytes=1000-2000", "bytes=-0"] {
        let (got, said, _) = answer(Method::GET, &[(header::RANGE, asked)]).await;
        assert_eq!(
            (got, said.as_deref()),
            (416, Some("bytes */1000")),
            "{asked}"
        );
    }
    let (status, _, body) = answer(Method::HEAD, &[(header::RANGE, "bytes=0-0")]).await;
    assert_eq!((status, body.len()), (200, 0));
}

#[tokio::test]
async fn conditions_come_before_ranges() {
    let range = (header::RANGE, "bytes=1-2");
    for (headers, status) in [
        (vec![(header::IF_NONE_MATCH, "\"0xab\"")], 304),
        (vec![(header::IF_NONE_MATCH, "\"other\", W/\"0xab\"")], 304),
        (vec![(header::IF_NONE_MATCH, "*")], 304),
        (vec![(header::IF_NONE_MATCH, "\"other\"")], 200),
        (
            vec![(header::IF_NONE_MATCH, "\"0xab\""), range.clone()],
            304,
        ),
        (vec![(header::IF_MATCH, "\"other\"")], 412),
        (vec![(header::IF_MATCH, "\"other\", \"0xab\"")], 200),
        (vec![(header::IF_RANGE, "\"0xab\""), range.clone()], 206),
        (vec![(header::IF_RANGE, "W/\"0xab\""), range.clone()], 200),
        (vec![(header::IF_RANGE, "\"other\""), range.clone()], 200),
        (
            vec![(header::IF_RANGE, "Wed, 21 Oct 2015 07:28:00 GMT"), range],
            200,
        ),
        // The old content is continued, or the new one sent from its beginning: never 416.
        (
            vec![
                (header::IF_RANGE, "\"other\""),
                (header::RANGE, "bytes=5000-"),
            ],
            200,
        ),
    ] {
        let (got, _, body) = answer(Method::GET, &headers).await;
        assert_eq!(got, status, "{headers:?}");
        assert!(status != 304 || body.is_empty());
    }
}

struct Owned(Vec<u8>, #[expect(dead_code, reason = "counted")] Arc<()>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A reader that asks for a piece from time to time keeps nothing, and one that is fast enough gets everything.
#[tokio::test]
async fn slow_readers_lose_what_they_do_not_take() {
    let len = 10 * PIECE;
    let content = Content {
        len: len as u64,
        ..CONTENT
    };
    for (pause, whole) in [(1, true), (200, false)] {
        let held = Arc::new(());
        let bytes = Bytes::from_owner(Owned(vec![1; len], Arc::clone(&held)));
        let Ok(Wanted::Bytes(part)) = content.wanted(&Method::GET, &HeaderMap::new()) else {
            panic!("all of it is wanted")
        };
        let pace = Pace {
            min_rate: 10 * PIECE as u64,
            grace: Duration::from_millis(300),
        };
        let memory = memory(&capacity(), "192.0.2.1").await;
        let mut body = part.send([bytes], pace, memory).into_body();
        let mut got = 0;
        let ended = loop {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            match body.frame().await {
                None => break true,
                Some(Err(_)) => break false,
                Some(Ok(frame)) => got += frame.into_data().unwrap().len(),
            }
        };
        assert_eq!((ended, got == len), (whole, whole), "{pause} ms");
        // While the connection may live on, the memory is free.
        assert_eq!(Arc::strong_count(&held), 1, "{pause} ms");
    }
}
