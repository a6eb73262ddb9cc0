//! HTTP with limits: on the number of connections, on the time for a request's head, on silence, on the pace of a body.
//!
//! Whoever comes when all connections are taken waits a second for one, and is told 503 then. [Health](crate::api::Daemon::health_router)
//! has a listener, and connections, of its own: it answers whatever happens on the other.

use std::convert::Infallible;
use std::future::Future as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ashlar_crypto::{Blame, Coded};
use ashlar_proto::api::{PROBLEM_TYPE, Problem};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::OptionalAddress;
use crate::{ApiError, Backoff, OnEnd, Supervisor};

/// Connections beyond the limit that wait for a place, or are being told that there is none. More are closed.
const MAX_SHED: usize = 64;
/// How long each of them waits for a place.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause after the operating system gave no connection: it has no file descriptors left.
const STARVED: Backoff = Backoff {
    base: Duration::from_millis(100),
    max: Duration::from_millis(100),
};

/// What a listener allows.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub connections: usize,
    /// Time from one request, or from the beginning, to the end of the next request's head.
    pub header_timeout: Duration,
    /// A connection on which nothing moves in either direction for so long is closed.
    pub idle_timeout: Duration,
    /// What a caller that is turned away is told to wait.
    pub retry_after_secs: u64,
}

impl Limits {
    /// For the operator's own questions: health, status, metrics.
    pub const OPERATOR: Self = Self {
        connections: 128,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        retry_after_secs: 1,
    };
}

/// An address that a daemon cannot listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Coded)]
#[coded("http.bind", blame = Caller)]
#[error("cannot listen on {address}: {reason}; choose another listen.{key}")]
pub struct BindError {
    /// `http` or `health`.
    pub key: &'static str,
    /// As configured.
    pub address: SocketAddr,
    /// As the operating system says.
    pub reason: String,
}

/// A socket that listens, and its address.
type Socket = (TcpListener, SocketAddr);

async fn bind(key: &'static str, address: SocketAddr) -> Result<Socket, BindError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bound.await.map_err(|error: std::io::Error| BindError {
        key,
        address,
        reason: error.to_string(),
    })
}

/// What a daemon listens on. Bound before anything else is opened: an address that is taken ends the start at once.
#[derive(Debug)]
pub struct Listeners {
    http: Socket,
    health: Option<Socket>,
}

impl Listeners {
    /// Binds both addresses; port 0 is any that is free.
    ///
    /// # Errors
    /// One of them is taken, or not ours.
    pub async fn bind(http: SocketAddr, health: OptionalAddress) -> Result<Self, BindError> {
        let http = bind("http", http).await?;
        let health = match health.0 {
            Some(address) => Some(bind("health", address).await?),
            None => None,
        };
        Ok(Self { http, health })
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.1
    }

    /// Where health answers on its own, if it does.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref().map(|(_, address)| *address)
    }

    /// Serves both until the supervisor stops, which it does if one of them ends.
    pub fn serve(self, supervisor: &Supervisor, app: Router, limits: Limits, health: Router) {
        let stop = || supervisor.stop_token();
        let served = serve(self.http.0, app, limits, stop());
        supervisor.spawn("http", OnEnd::Stop, served);
        if let Some((listener, _)) = self.health {
            let served = serve(listener, health, Limits::OPERATOR, stop());
            supervisor.spawn("health", OnEnd::Stop, served);
        }
    }
}

/// Serves until `stop`; requests under way are answered then. Handlers find the other end's address in [`ConnectInfo`].
pub async fn serve(listener: TcpListener, app: Router, limits: Limits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let shedders = Arc::new(Semaphore::new(MAX_SHED));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted");
                sleep(STARVED.jittered(0)).await;
                continue;
            }
        };
        let (app, stop) = (app.clone(), stop.clone());
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            connections.spawn(connection(stream, peer, app, limits, stop, slot));
        } else if let Ok(shedder) = Arc::clone(&shedders).try_acquire_owned() {
            let slots = Arc::clone(&slots);
            connections.spawn(async move {
                match timeout(PATIENCE, slots.acquire_owned()).await {
                    Ok(Ok(slot)) => {
                        drop(shedder);
                        connection(stream, peer, app, limits, stop, slot).await;
                    }
                    _ => {
                        let _shedder = shedder;
                        // Who does not take it is not waited for.
                        let _ = timeout(PATIENCE, shed(stream, limits.retry_after_secs)).await;
                    }
                }
            });
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Router,
    limits: Limits,
    stop: CancellationToken,
    _slot: OwnedSemaphorePermit,
) {
    // Events and small answers should not wait for more to send.
    let _ = stream.set_nodelay(true);
    let stream = Watched {
        stream,
        idle: limits.idle_timeout,
        timer: Box::pin(sleep(limits.idle_timeout)),
    };
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let answer = app.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .serve_connection(TokioIo::new(stream), service);
    let mut served = pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// Tells a caller that there is no room, whatever it came for.
async fn shed(mut stream: TcpStream, retry_after_secs: u64) -> std::io::Result<()> {
    let problem = Problem::new(
        503,
        "connections.full",
        Blame::Us,
        "too many connections are open; try again later",
    );
    let body = serde_json::to_string(&problem)?;
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: {}\r\nretry-after: {retry_after_secs}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        PROBLEM_TYPE,
        body.len(),
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with unread bytes would reset the connection, and the answer with it.
    let mut sink = [0; 4096];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// A connection that fails when nothing has moved for a while: a caller that sends no request to its end, or does not take
/// its answer, keeps neither a slot nor memory.
struct Watched {
    stream: TcpStream,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Watched {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        if poll.is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.idle);
            return poll;
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.watch(cx, poll)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        // Always ready on TCP, so it is no sign of life.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// What a body may be.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes.
    pub max: u64,
    /// Most time for all of it.
    pub timeout: Duration,
    /// Least bytes a second, on average.
    pub min_rate: u64,
    /// A body may be slower than that for so long.
    pub grace: Duration,
}

impl BodyLimits {
    /// Five seconds: the connection warms up, and small bodies are through.
    pub const GRACE: Duration = Duration::from_secs(5);
}

/// The length that a request's head states, if it does.
///
/// # Errors
/// It is no number.
pub fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else {
        return Ok(None);
    };
    let parsed = value.to_str().ok().and_then(|text| text.parse().ok());
    let no_number = || ApiError::new(400, "request.content_length", "Content-Length is no number");
    parsed.map(Some).ok_or_else(no_number)
}

/// Reads a body: one byte more than `limits.max` ends it, whatever was declared.
///
/// # Errors
/// `too_large` of the bytes that came; 408 if it is too slow, 400 if it breaks off.
pub async fn read_body(
    mut body: Body,
    declared: Option<u64>,
    limits: BodyLimits,
    too_large: impl Fn(u64) -> ApiError,
) -> Result<Bytes, ApiError> {
    // Before a byte of it is read: the caller waits for nothing.
    if let Some(declared) = declared.filter(|declared| *declared > limits.max) {
        return Err(too_large(declared));
    }
    let begin = Instant::now();
    let deadline = begin + limits.timeout;
    let late = |detail: String| ApiError::new(408, "request.timeout", detail);
    // What was declared is at most `max`; without it the buffer grows with what really comes.
    let mut all = BytesMut::with_capacity(usize::try_from(declared.unwrap_or(0)).unwrap_or(0));
    loop {
        let pace = Duration::from_millis(all.len() as u64 * 1000 / limits.min_rate.max(1));
        let due = deadline.min(begin + limits.grace + pace);
        let frame = tokio::time::timeout_at(due, body.frame()).await;
        let frame = frame.map_err(|_| match due < deadline {
            true => late(format!(
                "the body comes slower than {} bytes a second",
                limits.min_rate
            )),
            false => late(format!(
                "the body did not arrive within {} s",
                limits.timeout.as_secs()
            )),
        })?;
        let Some(frame) = frame else {
            return Ok(all.freeze());
        };
        let broken =
            |error| ApiError::new(400, "request.body", format!("the body broke off: {error}"));
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            let got = all.len() as u64 + data.len() as u64;
            if got > limits.max {
                return Err(too_large(got));
            }
            all.extend_from_slice(&data);
        }
    }
}

#[cfg(test)]
mod tests;
