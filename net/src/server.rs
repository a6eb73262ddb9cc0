//! The answering side.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use ashlar_crypto::{Blame, Coded, NetworkKey, NetworkPublicKey};
use ashlar_proto::wire::{ErrorReply, Request, Response};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use quinn::{Connection, Incoming, RecvStream, SendStream};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Budget, BulkReader, NetError, NetLimits, Phase, Violation,
    endpoint::{self, close},
    frame::{Reader, SendError, Wait, send_message},
    tls,
};

/// How much a caller may ask of the server before its request is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Somebody with a part in the protocol, such as a registered disperser: full windows and envelopes.
    Full,
    /// Anybody: small windows, small envelopes, fewer streams.
    Stranger,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. `peer` has proven to hold this key; what it may do is for the handler to decide, before it
    /// reads the bulk part. Must not block the thread. Is dropped at the request's deadline.
    fn handle(
        &self,
        peer: NetworkPublicKey,
        request: Request,
        bulk: BulkReader,
    ) -> BoxFuture<'_, Reply>;

    /// How much to take from this caller. Asked for each request, so it has to be quick. By default everybody gets
    /// everything: override it wherever strangers can connect.
    fn admission(&self, peer: &NetworkPublicKey) -> Admission {
        let _ = peer;
        Admission::Full
    }
}

/// What goes back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The envelope.
    pub response: Response,
    /// The bulk part, in pieces; together as long as the envelope implies.
    pub bulk: Vec<Bytes>,
}

impl Reply {
    /// An answer without bulk part.
    pub fn new(response: Response) -> Self {
        Self {
            response,
            bulk: Vec::new(),
        }
    }

    /// An answer with bulk part.
    pub fn with_bulk(response: Response, bulk: Vec<Bytes>) -> Self {
        Self { response, bulk }
    }

    /// A refusal.
    pub fn refuse(error: &(impl Coded + std::fmt::Display)) -> Self {
        ErrorReply::from_coded(error).into()
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self::new(response)
    }
}

impl From<ErrorReply> for Reply {
    fn from(error: ErrorReply) -> Self {
        Self::new(Response::Error(error))
    }
}

impl From<NetError> for Reply {
    fn from(error: NetError) -> Self {
        error.to_reply().into()
    }
}

struct Shared {
    handler: Arc<dyn Handler>,
    limits: NetLimits,
    bulk_memory: Budget,
    stranger_memory: Budget,
    envelope_memory: Budget,
    connections: Arc<Semaphore>,
    stranger_connections: Arc<Semaphore>,
    requests: Arc<Semaphore>,
    stranger_requests: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A request's place among those being worked on.
type RequestSlot = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

impl Shared {
    /// A place for a request, if there is one. Strangers cannot take all of them.
    fn admit_request(&self, admission: Admission) -> Option<RequestSlot> {
        let stranger = match admission {
            Admission::Full => None,
            Admission::Stranger => Some(
                Arc::clone(&self.stranger_requests)
                    .try_acquire_owned()
                    .ok()?,
            ),
        };
        Some((
            Arc::clone(&self.requests).try_acquire_owned().ok()?,
            stranger,
        ))
    }
}

/// A listening endpoint. Dropped, it stops at once; [`shutdown`](Self::shutdown) lets requests end first.
pub struct Server {
    endpoint: quinn::Endpoint,
    local: SocketAddr,
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Opens the socket and begins to answer. Port 0 takes a free one. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`NetError::Bind`] if the address cannot be had.
    pub fn bind(
        address: SocketAddr,
        key: &NetworkKey,
        limits: NetLimits,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, NetError> {
        let bind = |reason: String| NetError::Bind {
            address: address.to_string(),
            reason,
        };
        tokio::runtime::Handle::try_current().map_err(|e| bind(e.to_string()))?;
        let endpoint = endpoint::server(address, key, &limits)?;
        let local = endpoint.local_addr().map_err(|e| bind(e.to_string()))?;
        let shared = Arc::new(Shared {
            handler,
            bulk_memory: Budget::new(limits.bulk_memory),
            stranger_memory: Budget::new(limits.stranger_memory),
            envelope_memory: Budget::new(limits.envelope_memory),
            connections: Arc::new(Semaphore::new(limits.max_connections)),
            stranger_connections: Arc::new(Semaphore::new(limits.max_stranger_connections)),
            requests: Arc::new(Semaphore::new(limits.max_requests)),
            stranger_requests: Arc::new(Semaphore::new(limits.max_stranger_requests)),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            limits,
        });
        shared
            .tasks
            .spawn(accept(endpoint.clone(), Arc::clone(&shared)));
        Ok(Self {
            endpoint,
            local,
            shared,
        })
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Connections open now.
    pub fn connections(&self) -> usize {
        self.shared
            .limits
            .max_connections
            .saturating_sub(self.shared.connections.available_permits())
    }

    /// Requests being worked on now.
    pub fn requests(&self) -> usize {
        self.shared
            .limits
            .max_requests
            .saturating_sub(self.shared.requests.available_permits())
    }

    /// Bytes of bulk data in memory now, strangers' included.
    pub fn bulk_memory_used(&self) -> u64 {
        self.shared.bulk_memory.used() + self.shared.stranger_memory.used()
    }

    /// Takes no more requests, lets those under way end for [`NetLimits::shutdown_grace`] at most, then closes.
    pub async fn shutdown(&self) {
        self.endpoint.set_server_config(None); // refuses new connections
        self.shared.stop.cancel();
        self.shared.tasks.close();
        let _ = timeout(self.shared.limits.shutdown_grace, self.shared.tasks.wait()).await;
        self.endpoint
            .close(close::SHUTDOWN.into(), b"shutting down");
        // Time for the farewells to leave the socket; three probe timeouts are well below that.
        let _ = timeout(self.shared.limits.stall_timeout, self.endpoint.wait_idle()).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.endpoint
            .close(close::SHUTDOWN.into(), b"shutting down");
    }
}

async fn accept(endpoint: quinn::Endpoint, shared: Arc<Shared>) {
    loop {
        let incoming = tokio::select! {
            biased;
            () = shared.stop.cancelled() => return,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { return };
        let Ok(slot) = Arc::clone(&shared.connections).try_acquire_owned() else {
            tracing::debug!(peer = %incoming.remote_address(), "connection refused: too many");
            incoming.refuse();
            continue;
        };
        // Half full: from here on, callers show that they own their address before they cost anything.
        let crowded = shared.connections.available_permits() < shared.limits.max_connections / 2;
        if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
            let _ = incoming.retry();
            continue;
        }
        shared
            .tasks
            .spawn(connection(Arc::clone(&shared), incoming, slot));
    }
}

async fn connection(shared: Arc<Shared>, incoming: Incoming, slot: OwnedSemaphorePermit) {
    let address: Arc<str> = incoming.remote_address().to_string().into();
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    let connection = match timeout(shared.limits.connect_timeout, connecting).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%address, "handshake too slow");
            return;
        }
    };
    // The verifier has seen to it that there is one.
    let Some(peer) = tls::peer_key(&connection) else {
        connection.close(close::NO_IDENTITY.into(), b"no ed25519 key");
        return;
    };
    // Known only now: a part of the connections is kept for those who have a part in the protocol.
    let stranger_slot = match shared.handler.admission(&peer) {
        Admission::Full => None,
        Admission::Stranger => {
            let Ok(slot) = Arc::clone(&shared.stranger_connections).try_acquire_owned() else {
                tracing::debug!(%address, %peer, "connection closed: too many strangers");
                connection.close(close::BUSY.into(), b"too many connections");
                return;
            };
            Some(slot)
        }
    };
    let mut caller = Caller {
        peer,
        address,
        connection: connection.clone(),
        wide: false,
    };
    let mut streams = JoinSet::new();
    let stopped = loop {
        tokio::select! {
            biased;
            () = shared.stop.cancelled() => break true,
            // Only to forget those that are done.
            Some(_) = streams.join_next() => {}
            stream = connection.accept_bi() => match stream {
                Ok((send, recv)) => {
                    let admission = caller.admit(&shared);
                    streams.spawn(stream_task(Arc::clone(&shared), caller.clone(), admission, send, recv));
                }
                Err(error) => {
                    tracing::trace!(address = %caller.address, %error, "connection ended");
                    break false;
                }
            },
        }
    };
    drop((slot, stranger_slot));
    // What has begun is finished, even if nobody waits for the answer any more: a batch that is being stored is asked
    // for again, and then it is there. Each request has its own deadline.
    while streams.join_next().await.is_some() {}
    if stopped {
        connection.close(close::SHUTDOWN.into(), b"shutting down");
    }
}

#[derive(Clone)]
struct Caller {
    peer: NetworkPublicKey,
    address: Arc<str>,
    connection: Connection,
    wide: bool,
}

impl Caller {
    fn admit(&mut self, shared: &Shared) -> Admission {
        let admission = shared.handler.admission(&self.peer);
        if admission == Admission::Full && !self.wide {
            endpoint::widen(&self.connection, &shared.limits);
            self.wide = true;
        }
        admission
    }
}

/// One request, from its first byte until the peer has the answer.
async fn stream_task(
    shared: Arc<Shared>,
    caller: Caller,
    admission: Admission,
    mut send: SendStream,
    recv: RecvStream,
) {
    let limits = &shared.limits;
    let wait = Wait {
        total: Instant::now() + limits.request_timeout,
        stall: limits.stall_timeout,
    };
    let reply = match shared.admit_request(admission) {
        // Quick, and before anything is read: whoever is refused can go elsewhere.
        None => (
            ErrorReply::new("net.busy", Blame::Us, "too many requests at once").into(),
            None,
        ),
        Some(slot) => {
            let reader = Reader::new(recv, wait, Arc::clone(&caller.address));
            let reply = match wait
                .all(Phase::Handler, answer(&shared, &caller, admission, reader))
                .await
            {
                Ok(Ok(reply)) => reply,
                Ok(Err(error)) | Err(error) => {
                    tracing::debug!(peer = %caller.peer, address = %caller.address, %error, "request refused");
                    error.into()
                }
            };
            (reply, Some(slot))
        }
    };
    // The slot is held until the answer is out: it is memory, too.
    let (reply, _slot) = reply;
    let reply = check_reply(reply, limits);
    // After a deadline there is still time to say so.
    let total = wait.total.max(Instant::now() + limits.stall_timeout);
    let wait = Wait { total, ..wait };
    match send_message(
        &mut send,
        &reply.response.encode(),
        &reply.bulk,
        wait,
        &caller.address,
    )
    .await
    {
        Ok(()) => {
            // Acknowledged by the peer, given up by it, or too slow.
            let _ = timeout_at(total, send.stopped()).await;
        }
        Err(SendError::Stopped) => {}
        Err(SendError::Failed(error)) => {
            let _ = send.reset(close::DONE.into());
            tracing::debug!(peer = %caller.peer, address = %caller.address, %error, "answer not sent");
        }
    }
}

async fn answer(
    shared: &Shared,
    caller: &Caller,
    admission: Admission,
    mut reader: Reader,
) -> Result<Reply, NetError> {
    let limits = &shared.limits;
    let max = match admission {
        Admission::Full => limits.max_envelope,
        Admission::Stranger => limits.max_envelope.min(limits.max_stranger_envelope),
    };
    let len = reader.envelope_len(max, false).await?;
    let memory_by = Instant::now() + limits.stall_timeout;
    let memory = shared
        .envelope_memory
        .reserve(len as u64, memory_by)
        .await?;
    let envelope = memory.attach(reader.exact(len, "envelope", Phase::Envelope).await?);
    drop(memory);
    let request = Request::decode(envelope)?;
    let expected = request.bulk_len()?;
    let got = reader.bulk_len(limits.max_bulk).await?;
    if got != expected {
        return Err(ashlar_proto::wire::WireError::BulkLength { got, expected }.into());
    }
    let memory = match admission {
        Admission::Full => &shared.bulk_memory,
        Admission::Stranger => &shared.stranger_memory,
    };
    let mut bulk = BulkReader::new(reader, got, memory.clone());
    if got == 0 {
        bulk.end().await?;
    }
    let kind = request.kind();
    // A handler that panics has a bug; its caller learns that it is not to blame, and everybody else goes on.
    let handled = AssertUnwindSafe(shared.handler.handle(caller.peer, request, bulk))
        .catch_unwind()
        .await;
    Ok(handled.unwrap_or_else(|_| {
        tracing::error!(peer = %caller.peer, kind, "the handler of a request panicked");
        ErrorReply::new(
            "net.internal",
            Blame::Us,
            "the request met a bug here; it is in the log",
        )
        .into()
    }))
}

/// What a handler must not do: answer with other bytes than its envelope implies, or with more than fits.
fn check_reply(reply: Reply, limits: &NetLimits) -> Reply {
    let got: u64 = reply.bulk.iter().map(|part| part.len() as u64).sum();
    let expected = reply.response.bulk_len().unwrap_or(0);
    if got == expected && got <= limits.max_bulk {
        return reply;
    }
    let error = if got == expected {
        NetError::TooLarge {
            what: "answer",
            got,
            max: limits.max_bulk,
        }
    } else {
        NetError::Violation(Violation::Wire(ashlar_proto::wire::WireError::BulkLength {
            got,
            expected,
        }))
    };
    tracing::error!(%error, kind = reply.response.kind(), "the handler made a bad answer");
    ErrorReply::new(
        "net.internal",
        Blame::Us,
        "the answer met a bug here; it is in the log",
    )
    .into()
}
