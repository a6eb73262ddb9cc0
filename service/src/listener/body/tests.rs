#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use ashlar_net::Subnet;
use axum::response::IntoResponse as _;
use futures::stream::{self, StreamExt as _};
use tokio::time::sleep;

use super::*;
use crate::capacity::Capacity;

const LIMITS: BodyLimits = BodyLimits {
    max: 100_000,
    timeout: Duration::from_secs(2),
    min_rate: 10_000,
    grace: Duration::from_millis(200),
};

fn memory() -> Held {
    capacity(1 << 20).open(network(1))
}

fn capacity(bytes: u64) -> Capacity {
    Capacity::new("uploads", bytes, 1)
}

fn network(n: u8) -> Subnet {
    Subnet::of([10, 0, n, 1].into())
}

/// A body of so many pieces of 100 bytes, one every `pause`.
fn body(pieces: usize, pause: Duration) -> Body {
    let pieces = stream::iter(0..pieces).then(move |_| async move {
        sleep(pause).await;
        Ok::<_, std::io::Error>(vec![7; 100])
    });
    Body::from_stream(pieces)
}

/// The body's length, or the status and code that refuse it, with the time that it took.
async fn read(body: Body, declared: Option<u64>) -> (Result<usize, (u16, String)>, Duration) {
    let begin = Instant::now();
    let too_large = |got| ApiError::new(413, "too_large", got);
    let result = match read_body(body, declared, LIMITS, &mut memory(), too_large).await {
        Ok(bytes) => Ok(bytes.len()),
        Err(refusal) => {
            let response = refusal.into_response();
            let status = response.status().as_u16();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let problem: ashlar_proto::api::Problem = serde_json::from_slice(&bytes).unwrap();
            Err((status, problem.code))
        }
    };
    (result, begin.elapsed())
}

#[tokio::test]
async fn a_body_is_read_whole_if_it_comes_fast_enough() {
    let (read, _) = read(body(100, Duration::from_millis(1)), None).await;
    assert_eq!(read, Ok(10_000));
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_long_before_its_timeout() {
    // 2000 bytes a second, 10000 are asked for.
    let (refused, took) = read(body(1000, Duration::from_millis(50)), None).await;
    assert_eq!(refused, Err((408, "request.timeout".to_owned())));
    assert!(took >= LIMITS.grace && took < LIMITS.timeout, "{took:?}");
}

#[tokio::test]
async fn no_body_takes_longer_than_its_timeout() {
    let slowly = async |limits: BodyLimits| {
        let too_large = |got| ApiError::new(413, "too_large", got);
        let (body, mut memory) = (body(1000, Duration::from_millis(20)), memory());
        let refused = read_body(body, None, limits, &mut memory, too_large);
        refused.await.unwrap_err().into_response().status().as_u16()
    };
    let begin = Instant::now();
    let limits = BodyLimits {
        timeout: Duration::from_millis(300),
        min_rate: 1,
        grace: Duration::from_secs(60),
        ..LIMITS
    };
    assert_eq!(slowly(limits).await, 408);
    assert!(begin.elapsed() >= limits.timeout);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_before_it_is_read_or_as_soon_as_it_shows() {
    let begin = || body(2000, Duration::ZERO);
    let too_large = Err((413, "too_large".to_owned()));
    let never = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(read(never, Some(LIMITS.max + 1)).await.0, too_large);
    assert_eq!(read(begin(), None).await.0, too_large);
}

#[test]
fn a_declared_length_is_a_number() {
    let mut headers = HeaderMap::new();
    assert_eq!(declared_length(&headers).unwrap(), None);
    headers.insert(header::CONTENT_LENGTH, "17".parse().unwrap());
    assert_eq!(declared_length(&headers).unwrap(), Some(17));
    headers.insert(header::CONTENT_LENGTH, "-1".parse().unwrap());
    assert!(declared_length(&headers).is_err());
}

#[tokio::test]
async fn a_body_takes_memory_as_it_arrives_and_not_as_it_is_declared() {
    let capacity = capacity(16 << 20);
    let mut held = capacity.open(network(1));
    let limits = BodyLimits {
        max: 16 << 20,
        grace: Duration::from_secs(60),
        ..LIMITS
    };
    let come = vec![Ok::<_, std::io::Error>(vec![7; 100])];
    let body = Body::from_stream(stream::iter(come).chain(stream::pending()));
    let too_large = |got| ApiError::new(413, "too_large", got);
    let reading = read_body(body, Some(16 << 20), limits, &mut held, too_large);
    let waited = tokio::time::timeout(Duration::from_millis(100), reading).await;
    assert!(waited.is_err());
    assert_eq!(capacity.used(), STEP);
}

/// One network has all of the memory with bodies that do not go on. Another comes and has its part.
#[tokio::test]
async fn bodies_that_do_not_go_on_give_way_to_those_of_others() {
    let capacity = capacity(4 * STEP);
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut held = capacity.open(network(1));
        held.more(STEP).await.unwrap();
        slow.push(tokio::spawn(async move { held.wanted().await }));
    }
    let mut own = capacity.open(network(1));
    let refused = own.more(STEP).await.unwrap_err().into_response();
    assert_eq!(refused.status(), 503, "nobody else has anything");
    // What is held is let go of when its upload ends.
    let mut other = capacity.open(network(2));
    other.more(2 * STEP).await.unwrap();
    let ended = slow.iter().filter(|slow| slow.is_finished()).count();
    assert_eq!(ended, 2);
    assert_eq!(
        own.more(STEP).await.unwrap_err().into_response().status(),
        429
    );
}
