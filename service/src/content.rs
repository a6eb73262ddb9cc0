//! Bytes that never change under their name, over HTTP (RFC 9110, RFC 8246): strong `ETag`, `304`, ranges, caching until they
//! are forgotten, and answers that a slow reader does not hold for ever.
//!
//! One range is served; several in one request are ignored, as the standard allows, and all of it is sent.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::ApiError;
use crate::capacity::Held;

/// Bytes handed to a connection at a time. They are copied, so that a connection holds no more of what is served than it has in
/// its own buffers.
const PIECE: usize = 64 << 10;

/// Something that never changes under its name.
#[derive(Debug, Clone, Copy)]
pub struct Content<'a> {
    /// What names the bytes: no two contents have the same. Letters, digits and punctuation that needs no quoting.
    pub tag: &'a str,
    /// Bytes.
    pub len: u64,
    /// How long it will be there.
    pub lifetime: Duration,
}

/// How fast an answer has to be taken.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Least bytes a second, on average.
    pub min_rate: u64,
    /// It may be slower for so long.
    pub grace: Duration,
}

/// What a request is to get.
#[derive(Debug)]
pub enum Wanted {
    /// This: no byte of the content is needed.
    Nothing(Response),
    /// These bytes of it.
    Bytes(Part),
}

/// A part of a content, or all of it, that a request is to get.
#[derive(Debug)]
pub struct Part {
    range: Range<u64>,
    head: Response,
}

impl Content<'_> {
    /// What a GET or HEAD request is to get.
    ///
    /// # Errors
    /// 412 if it wants another content of this name, 416 if its range begins behind the end.
    pub fn wanted(&self, method: &Method, request: &HeaderMap) -> Result<Wanted, ApiError> {
        let tag = format!("\"{}\"", self.tag);
        let names = |name| lists(request, name, &tag);
        if names(header::IF_MATCH) == Some(false) {
            let detail = "the content of this name has another ETag than If-Match asks for";
            return Err(ApiError::new(412, "request.if_match", detail).with("another", tag));
        }
        if names(header::IF_NONE_MATCH) == Some(true) {
            let head = self.head(StatusCode::NOT_MODIFIED, &tag);
            return Ok(Wanted::Nothing(head));
        }
        let asked = request.get(header::RANGE).filter(|_| {
            let condition = request.get(header::IF_RANGE);
            // A date is no tag of ours.
            method == Method::GET
                && condition.is_none_or(|known| known.as_bytes() == tag.as_bytes())
        });
        let asked = asked.and_then(|value| ByteRange::parse(value.to_str().ok()?));
        let (status, range) = match asked {
            None => (StatusCode::OK, 0..self.len),
            Some(asked) => {
                let range = asked.of(self.len).ok_or_else(|| {
                    let detail = format!(
                        "the range begins behind the end: there are {} bytes",
                        self.len
                    );
                    ApiError::new(416, "request.range", detail)
                        .header(header::CONTENT_RANGE, format!("bytes */{}", self.len))
                })?;
                (StatusCode::PARTIAL_CONTENT, range)
            }
        };
        let mut head = self.head(status, &tag);
        set(&mut head, header::CONTENT_TYPE, "application/octet-stream");
        set(
            &mut head,
            header::CONTENT_LENGTH,
            &(range.end - range.start).to_string(),
        );
        if status == StatusCode::PARTIAL_CONTENT {
            let of = format!("bytes {}-{}/{}", range.start, range.end - 1, self.len);
            set(&mut head, header::CONTENT_RANGE, &of);
        }
        if method == Method::HEAD {
            return Ok(Wanted::Nothing(head));
        }
        Ok(Wanted::Bytes(Part { range, head }))
    }

    fn head(&self, status: StatusCode, tag: &str) -> Response {
        let mut head = status.into_response();
        let cache = format!("public, immutable, max-age={}", self.lifetime.as_secs());
        set(&mut head, header::ETAG, tag);
        set(&mut head, header::CACHE_CONTROL, &cache);
        set(&mut head, header::ACCEPT_RANGES, "bytes");
        head
    }
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    #[expect(
        clippy::expect_used,
        reason = "values are numbers, constants, and tags without characters that need quoting"
    )]
    let value = HeaderValue::from_str(value).expect("the value of a header");
    response.headers_mut().insert(name, value);
}

/// Whether one of the tags that a header lists is this one, or any; none without the header.
pub(crate) fn lists(headers: &HeaderMap, name: HeaderName, tag: &str) -> Option<bool> {
    let mut values = headers.get_all(name).iter().peekable();
    values.peek()?;
    let mut tags = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    Some(tags.any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag))
}

/// One range, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteRange {
    /// From here to there, or to the end.
    From(u64, Option<u64>),
    /// So many at the end.
    Last(u64),
}

impl ByteRange {
    /// None for what is no single range of bytes.
    fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.trim().strip_prefix("bytes=")?.trim().split_once('-')?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // More digits than a number has are behind any end.
            digits.then(|| text.parse().unwrap_or(u64::MAX))
        };
        match (first, last) {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?, None)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Self::From(first, Some(last)))
            }
        }
    }

    /// The bytes of a content of this length; none if there are none.
    fn of(self, len: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first, None) => first..len,
            Self::From(first, Some(last)) => first..len.min(last.saturating_add(1)),
            Self::Last(count) => len.saturating_sub(count)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

impl Part {
    /// The bytes that are wanted.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// The answer. `content` is all of the content, in order, in pieces of any length. Who takes it more slowly than `pace` says, or
    /// has to give `memory` back to others, loses it: the pieces are dropped then, and the connection ends.
    pub fn send(
        self,
        content: impl IntoIterator<Item = Bytes>,
        pace: Pace,
        memory: Held,
    ) -> Response {
        let taken = Arc::new(Mutex::new(Taken {
            left: Some(cut(content, self.range)),
            bytes: 0,
        }));
        let watch =
            AbortOnDropHandle::new(tokio::spawn(watch(Arc::downgrade(&taken), pace, memory)));
        let pieces = stream::unfold((taken, watch), |(taken, watch)| async {
            let piece = lock(&taken).next().transpose()?;
            Some((piece, (taken, watch)))
        });
        let (parts, _) = self.head.into_parts();
        Response::from_parts(parts, Body::from_stream(pieces))
    }
}

/// The bytes of a range, out of pieces that make up the whole.
fn cut(content: impl IntoIterator<Item = Bytes>, range: Range<u64>) -> VecDeque<Bytes> {
    let mut start = 0u64;
    let mut pieces = VecDeque::new();
    for piece in content {
        let end = start + piece.len() as u64;
        let (from, to) = (range.start.clamp(start, end), range.end.clamp(start, end));
        if from < to {
            // Both lie within the piece, whose length is one of this machine.
            pieces.push_back(piece.slice((from - start) as usize..(to - start) as usize));
        }
        start = end;
    }
    pieces
}

/// What of an answer is not sent yet; nothing once its time is over.
struct Taken {
    left: Option<VecDeque<Bytes>>,
    bytes: u64,
}

impl Taken {
    fn next(&mut self) -> Result<Option<Bytes>, std::io::Error> {
        let left = self.left.as_mut().ok_or(std::io::ErrorKind::TimedOut)?;
        let Some(front) = left.front_mut() else {
            return Ok(None);
        };
        let piece = Bytes::copy_from_slice(&front.split_to(front.len().min(PIECE)));
        if front.is_empty() {
            left.pop_front();
        }
        self.bytes += piece.len() as u64;
        Ok(Some(piece))
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes the pieces away from a reader that is too slow. A connection that is blocked asks for nothing, so somebody else has to
/// look at the clock.
async fn watch(taken: Weak<Mutex<Taken>>, pace: Pace, memory: Held) {
    let begin = Instant::now();
    let mut wanted = false;
    while let Some(taken) = taken.upgrade() {
        let bytes = lock(&taken).bytes;
        let due = begin + pace.grace + Duration::from_millis(bytes * 1000 / pace.min_rate.max(1));
        if wanted || due <= Instant::now() {
            tracing::debug!(bytes, wanted, "a reader is cut off");
            lock(&taken).left = None;
            return;
        }
        drop(taken);
        tokio::select! {
            () = sleep_until(due) => {}
            _ = memory.wanted() => wanted = true,
        }
    }
}

#[cfg(test)]
mod tests;
