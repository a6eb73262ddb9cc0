//! HTTP with limits: on the number of connections, on the time for a request's head, on silence, on the pace and the memory of bodies.
//!
//! Whoever comes when all places are taken has that of an idle connection, of the network with most of them. Where all are busy,
//! health, readiness and metrics are answered from places of their own, and all else with 503, or 429 if it is the caller's network
//! that has so many. [Health](Apps::health) can have a listener of its own, too.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ashlar_crypto::Coded;
use ashlar_net::Subnet;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request, header};
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::OptionalAddress;
use crate::{ApiError, Backoff, Cause, OnEnd, Supervisor, files};

pub use body::{BodyLimits, declared_length, read_body};
pub use sender::Sender;

mod body;
mod places;
mod sender;
mod watched;

use places::{Busy, NoPlace, Place, Places};
use watched::Watched;

/// Places for those who come when all others are taken: for health, and to be told so.
const RESERVE: usize = 64;
/// How long they have for their one request.
const RESERVE_TIME: Duration = Duration::from_secs(1);
/// A new connection that sends no request for so long is closed.
const FIRST_HEAD: Duration = Duration::from_secs(5);
/// How long a caller may go on sending after its answer, unheard.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that are read of a connection before somebody asks for them. A request's head is no longer.
const BUFFER: usize = 64 << 10;
/// What a connection takes, that included.
pub const CONNECTION_BYTES: u64 = BUFFER as u64 + (16 << 10);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 4096;
/// Files that a daemon opens beside connections: its database, its clients, its other listeners.
const OTHER_FILES: usize = 2048;
/// Pause after the operating system gave no connection: it has no file descriptors left.
const STARVED: Backoff = Backoff {
    base: Duration::from_millis(100),
    max: Duration::from_millis(100),
};

/// There are fewer file descriptors than the configured connections need.
const OPEN_FILES: Cause = Cause::degrades("open_files");

/// What a listener allows.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time, of at most [`CONNECTION_BYTES`] each.
    pub connections: usize,
    /// Time from one request to the end of the next request's head. From the beginning to the first it is at most 5 s.
    pub header_timeout: Duration,
    /// A connection on which nothing moves in either direction for so long is closed.
    pub idle_timeout: Duration,
    /// What a caller that is turned away is told to wait.
    pub retry_after_secs: u64,
    /// Our own proxies: each brings many callers, whom it is not for us to cut off.
    pub proxies: Vec<IpAddr>,
}

impl Limits {
    /// For the operator's own questions: health, status, metrics.
    pub const OPERATOR: Self = Self {
        connections: 128,
        header_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        retry_after_secs: 1,
        proxies: Vec::new(),
    };
}

/// What a daemon serves.
#[derive(Debug, Clone)]
pub struct Apps {
    /// The whole API.
    pub api: Router,
    /// Health, readiness and metrics alone.
    pub health: Router,
    /// The same, and to all else that there is no room: a refusal by [`Full`].
    pub full: Router,
}

/// Why a request is refused that came when all places were taken.
#[derive(Debug, Clone, Copy)]
pub struct Full {
    beyond_share: bool,
    retry_after_secs: u64,
}

impl Full {
    pub(crate) fn refusal(self) -> ApiError {
        let (status, code, what) = match self.beyond_share {
            true => (429, "connections.share", "of your network are open"),
            false => (503, "connections.full", "are open"),
        };
        let detail = format!("too many connections {what}; try again later");
        ApiError::new(status, code, detail).retry_after(self.retry_after_secs)
    }
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

fn bind(key: &'static str, address: SocketAddr) -> Result<Socket, BindError> {
    let bound = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bound().map_err(|error: std::io::Error| BindError {
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
    /// Binds both addresses; port 0 is any that is free. Within a runtime.
    ///
    /// # Errors
    /// One of them is taken, or not ours.
    pub fn bind(http: SocketAddr, health: OptionalAddress) -> Result<Self, BindError> {
        let health = health
            .0
            .map(|address| bind("health", address))
            .transpose()?;
        Ok(Self {
            http: bind("http", http)?,
            health,
        })
    }

    /// Where HTTP listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.1
    }

    /// Where health answers on its own, if it does.
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.health.as_ref().map(|(_, address)| *address)
    }

    /// Serves both until the supervisor stops, which it does if one of them ends. The process may open as many files from now on as
    /// the operating system lets it; if those are too few for all connections, there are fewer, and health says so.
    pub fn serve(self, supervisor: &Supervisor, apps: Apps, mut limits: Limits) {
        let stop = || supervisor.stop_token();
        let others = OTHER_FILES + RESERVE + Limits::OPERATOR.connections;
        let needed = limits.connections.saturating_add(others);
        let may = files::raise_limit(needed);
        if may < needed {
            limits.connections = may.saturating_sub(others).max(may / 4).max(1);
            let why = format!(
                "this process may open {may} files, and needs {needed} for all configured connections: it takes {}; raise its limit (LimitNOFILE, ulimit -n)",
                limits.connections
            );
            tracing::warn!("{why}");
            supervisor.health().raise(OPEN_FILES, why);
        }
        if let Some((listener, _)) = self.health {
            let own = Apps {
                api: apps.health.clone(),
                ..apps.clone()
            };
            let served = serve(listener, own, Limits::OPERATOR, stop());
            supervisor.spawn("health", OnEnd::Stop, served);
        }
        let served = serve(self.http.0, apps, limits, stop());
        supervisor.spawn("http", OnEnd::Stop, served);
    }
}

/// Serves until `stop`; requests under way are answered then. Handlers find who sent a request in its extension [`Sender`].
pub async fn serve(listener: TcpListener, apps: Apps, limits: Limits, stop: CancellationToken) {
    let networks = limits.proxies.iter().copied().map(Subnet::of).collect();
    let places = Places::new(limits.connections, networks);
    let reserve = Places::new(RESERVE, Vec::new());
    let terms = Terms {
        app: apps.api,
        proxies: limits.proxies.into(),
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        full: None,
    };
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
                places.end_one();
                sleep(STARVED.jittered(0)).await;
                continue;
            }
        };
        let network = Subnet::of(peer.ip());
        let (place, terms) = match places.enter(network) {
            Ok(place) => (place, terms.clone()),
            Err(NoPlace { beyond_share }) => {
                // If all of these are busy, too, it is closed.
                let Ok(place) = reserve.enter(network) else {
                    continue;
                };
                let retry_after_secs = limits.retry_after_secs;
                let terms = Terms {
                    app: apps.full.clone(),
                    proxies: Arc::clone(&terms.proxies),
                    header_timeout: RESERVE_TIME,
                    idle_timeout: RESERVE_TIME,
                    full: Some(Full {
                        beyond_share,
                        retry_after_secs,
                    }),
                };
                (place, terms)
            }
        };
        connections.spawn(connection(stream, peer, terms, stop.clone(), place));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// What a connection gets.
#[derive(Clone)]
struct Terms {
    app: Router,
    proxies: Arc<[IpAddr]>,
    header_timeout: Duration,
    idle_timeout: Duration,
    /// All places are taken: one request, and it is refused for this unless it is for health.
    full: Option<Full>,
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    terms: Terms,
    stop: CancellationToken,
    place: Arc<Place>,
) {
    // Events and small answers should not wait for more to send.
    let _ = stream.set_nodelay(true);
    let Terms {
        app,
        proxies,
        header_timeout,
        idle_timeout,
        full,
    } = terms;
    let service = {
        let place = Arc::clone(&place);
        hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let busy = place.begin();
            let sender = Sender::of(peer.ip(), request.headers(), &proxies);
            request.extensions_mut().insert(sender);
            if let Some(full) = full {
                request.extensions_mut().insert(full);
            }
            let (request, read) = Asked::of(request);
            let answer = app.clone().oneshot(request);
            Box::pin(async move {
                let mut answer = answer.await.unwrap_or_else(|never| match never {});
                if !read.load(Ordering::Relaxed) {
                    // The connection ends behind this answer, and a caller that does not know it loses its next request.
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
                }
                Ok::<_, Infallible>(answer.map(|body| Counted { body, _busy: busy }))
            })
        })
    };
    let mut served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .keep_alive(full.is_none())
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Watched::new(stream, idle_timeout)), service);
    let silent = async {
        sleep(FIRST_HEAD.min(header_timeout)).await;
        if place.spoke() {
            std::future::pending::<()>().await;
        }
    };
    let work = async {
        let end = tokio::select! {
            end = poll_fn(|cx| served.poll_without_shutdown(cx)) => end,
            () = silent => return Ok(()),
            () = stop.cancelled() => {
                Pin::new(&mut served).graceful_shutdown();
                poll_fn(|cx| served.poll_without_shutdown(cx)).await
            }
        };
        end?;
        // Who does not take the rest of its answer is not waited for.
        let _ = timeout(LINGER, linger(served.into_parts().io.into_inner())).await;
        Ok::<_, hyper::Error>(())
    };
    tokio::select! {
        end = work => {
            if let Err(error) = end {
                tracing::debug!(%peer, %error, "a connection broke");
            }
        }
        () = place.lost() => tracing::debug!(%peer, "a connection gave its place to another"),
    }
}

/// Closes a connection. With unread bytes of a body that was refused, closing alone would reset it, and the answer with it.
async fn linger(mut stream: Watched) -> std::io::Result<()> {
    stream.shutdown().await?;
    let mut sink = [0; 8192];
    while stream.read(&mut sink).await? > 0 {}
    Ok(())
}

/// The body of a request, which tells whether it was read to its end.
struct Asked {
    body: Incoming,
    read: Arc<AtomicBool>,
}

impl Asked {
    fn of(request: Request<Incoming>) -> (Request<Self>, Arc<AtomicBool>) {
        let read = Arc::new(AtomicBool::new(request.body().is_end_stream()));
        let told = Arc::clone(&read);
        (request.map(|body| Self { body, read: told }), read)
    }
}

impl HttpBody for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.read.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer: until its end the connection is busy.
struct Counted {
    body: Body,
    _busy: Option<Busy>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
