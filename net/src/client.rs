//! The asking side: one endpoint, one connection a peer.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ashlar_crypto::{NetworkKey, NetworkPublicKey};
use ashlar_proto::OperatorEntry;
use ashlar_proto::wire::{AnswerLimit, Request, Response, WireError};
use bytes::Bytes;
use quinn::Connection;
use tokio::time::{Instant, timeout};

use crate::{
    Budget, NetError, NetLimits, Phase, Violation,
    endpoint::{self, close},
    frame::{Reader, Recv, SendError, Wait, lost, send_message},
    tls,
};

/// Addresses of one host name that are tried.
const MAX_ADDRESSES: usize = 4;

/// Whom to talk to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    /// `host:port`.
    pub address: String,
    /// The key it has to prove.
    pub network_key: NetworkPublicKey,
}

impl From<&OperatorEntry> for Peer {
    fn from(operator: &OperatorEntry) -> Self {
        Self {
            address: operator.address.clone(),
            network_key: operator.network_key,
        }
    }
}

/// What a call may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallOptions {
    /// Longest time for everything, from now on.
    pub deadline: Duration,
    /// Longest answer that is read; the endpoint's own limits if they are less.
    pub answer: AnswerLimit,
}

/// A peer's answer, never a [`Response::Error`]: that one is a [`NetError::Remote`].
#[derive(Debug, Clone)]
pub struct Answer {
    /// The envelope, of the kind that belongs to the request.
    pub response: Response,
    /// The bulk part, as long as the envelope implies. It holds its part of [`NetLimits::answer_memory`] until the last
    /// clone or slice of it is dropped.
    pub bulk: Bytes,
}

/// A client endpoint with a pool of connections. Cheap to clone; the last clone closes it.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: quinn::Endpoint,
    key: Mutex<NetworkKey>,
    limits: NetLimits,
    memory: AnswerMemory,
    pool: Mutex<HashMap<Peer, Arc<Slot>>>,
}

/// Memory for answers, taken before they are read. There are two budgets, because a caller that holds an envelope's
/// memory waits for its bulk part's: with one budget, callers could wait for each other.
pub(crate) struct AnswerMemory {
    pub(crate) envelopes: Budget,
    pub(crate) bulk: Budget,
}

/// A peer's place in the pool. Its lock is held while a connection is being made, so that a peer gets one.
struct Slot {
    state: tokio::sync::Mutex<State>,
    used: Mutex<Instant>,
}

#[derive(Default)]
struct State {
    connection: Option<Connection>,
    /// The last attempt, if it failed, and when: those who waited for it share its error.
    failed: Option<(Instant, NetError)>,
}

impl Slot {
    fn new() -> Self {
        Self {
            state: tokio::sync::Mutex::default(),
            used: Mutex::new(Instant::now()),
        }
    }

    fn touch(&self) {
        *guard(&self.used) = Instant::now();
    }

    fn last_used(&self) -> Instant {
        *guard(&self.used)
    }
}

/// Nothing here panics while it holds one of these locks, so poison cannot happen.
fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("key", &self.public_key())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.endpoint.close(close::DONE.into(), b"");
    }
}

impl Client {
    /// Opens an endpoint on a free port. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`NetError::Bind`] if there is no socket to be had.
    pub fn new(key: &NetworkKey, limits: NetLimits) -> Result<Self, NetError> {
        Self::open(None, key, limits)
    }

    /// Opens an endpoint on an address of this machine. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`NetError::Bind`] if the address cannot be had.
    pub fn bind(
        address: SocketAddr,
        key: &NetworkKey,
        limits: NetLimits,
    ) -> Result<Self, NetError> {
        Self::open(Some(address), key, limits)
    }

    fn open(
        address: Option<SocketAddr>,
        key: &NetworkKey,
        limits: NetLimits,
    ) -> Result<Self, NetError> {
        tokio::runtime::Handle::try_current().map_err(|e| NetError::Bind {
            address: "any".into(),
            reason: e.to_string(),
        })?;
        let endpoint = endpoint::client(address, &limits)?;
        let inner = Arc::new(Inner {
            endpoint,
            key: Mutex::new(key.clone()),
            memory: AnswerMemory {
                envelopes: Budget::new(limits.envelope_memory),
                bulk: Budget::new(limits.answer_memory),
            },
            limits,
            pool: Mutex::default(),
        });
        tokio::spawn(tidy(Arc::downgrade(&inner)));
        Ok(Self { inner })
    }

    /// The key that peers see.
    pub fn public_key(&self) -> NetworkPublicKey {
        guard(&self.inner.key).public()
    }

    /// From now on peers see this key. What is under way ends under the one before.
    pub fn set_key(&self, key: &NetworkKey) {
        *guard(&self.inner.key) = key.clone();
        guard(&self.inner.pool).clear();
    }

    /// The endpoint's limits.
    pub fn limits(&self) -> &NetLimits {
        &self.inner.limits
    }

    /// Bytes of answers' bulk parts in memory now.
    pub fn answer_memory_used(&self) -> u64 {
        self.inner.memory.bulk.used()
    }

    /// Sends a request and waits for the answer, which may be as long as the request alone allows. See
    /// [`call`](Self::call).
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn request(
        &self,
        to: &Peer,
        request: Request,
        bulk: Vec<Bytes>,
        deadline: Duration,
    ) -> Result<Answer, NetError> {
        let options = CallOptions {
            deadline,
            answer: request.answer_limit(),
        };
        self.call(to, &request, &bulk, options).await
    }

    /// Sends a request and waits for the answer, over the pooled connection if there is one. If that turns out to be
    /// dead, a new one is tried once: every request of the protocol can be repeated.
    ///
    /// # Errors
    /// What failed; see [`NetError`].
    pub async fn call(
        &self,
        to: &Peer,
        request: &Request,
        bulk: &[Bytes],
        options: CallOptions,
    ) -> Result<Answer, NetError> {
        let limits = &self.inner.limits;
        let envelope = request.encode();
        let too_large = |what, got, max| Err(NetError::TooLarge { what, got, max });
        if envelope.len() > limits.max_envelope {
            return too_large(
                "envelope",
                envelope.len() as u64,
                limits.max_envelope as u64,
            );
        }
        let got: u64 = bulk.iter().map(|part| part.len() as u64).sum();
        if got > limits.max_bulk {
            return too_large("bulk part", got, limits.max_bulk);
        }
        let wait = Wait {
            total: Instant::now() + options.deadline,
            stall: limits.stall_timeout,
            min_rate: 0,
        };
        let slot = self.inner.slot(to);
        for last_try in [false, true] {
            slot.touch();
            let (connection, reused) = wait
                .all(Phase::Connect, self.inner.connection(to, &slot))
                .await??;
            let received = connection.stats().udp_rx.datagrams;
            let result = exchange(
                &connection,
                to,
                request,
                &envelope,
                bulk,
                options,
                wait,
                &self.inner,
            )
            .await;
            slot.touch();
            match result {
                Err(NetError::Unreachable { .. }) if reused && !last_try => continue,
                Err(error @ NetError::Timeout { .. }) => {
                    // Not a sign of life in all that time: the next caller had better connect anew.
                    if connection.stats().udp_rx.datagrams == received {
                        connection.close(close::DONE.into(), b"");
                    }
                    return Err(error);
                }
                result => return result,
            }
        }
        Err(NetError::Closed)
    }

    /// Closes all connections and the endpoint. Requests under way fail.
    pub async fn close(&self) {
        self.inner.endpoint.close(close::DONE.into(), b"");
        let _ = timeout(
            self.inner.limits.stall_timeout,
            self.inner.endpoint.wait_idle(),
        )
        .await;
    }
}

impl Inner {
    fn slot(&self, peer: &Peer) -> Arc<Slot> {
        let mut pool = guard(&self.pool);
        if let Some(slot) = pool.get(peer) {
            return Arc::clone(slot);
        }
        // Full: whoever was not asked for longest has to go. A request over its connection keeps that alive.
        while pool.len() >= self.limits.max_peers.max(1) {
            let Some(oldest) = pool
                .iter()
                .min_by_key(|(_, slot)| slot.last_used())
                .map(|(peer, _)| peer.clone())
            else {
                break;
            };
            pool.remove(&oldest);
        }
        let slot = Arc::new(Slot::new());
        pool.insert(peer.clone(), Arc::clone(&slot));
        slot
    }

    /// A live connection, and whether it was there before.
    async fn connection(&self, peer: &Peer, slot: &Slot) -> Result<(Connection, bool), NetError> {
        let asked = Instant::now();
        let mut state = slot.state.lock().await;
        if let Some(connection) = state
            .connection
            .as_ref()
            .filter(|c| c.close_reason().is_none())
        {
            return Ok((connection.clone(), true));
        }
        if let Some((when, error)) = &state.failed
            && *when > asked
        {
            return Err(error.clone());
        }
        state.connection = None;
        let result = self.connect(peer).await;
        match &result {
            Ok(connection) => {
                state.connection = Some(connection.clone());
                state.failed = None;
            }
            Err(error) => state.failed = Some((Instant::now(), error.clone())),
        }
        result.map(|connection| (connection, false))
    }

    async fn connect(&self, peer: &Peer) -> Result<Connection, NetError> {
        let limit = self.limits.connect_timeout;
        let addresses = timeout(limit, resolve(&peer.address)).await;
        let addresses = addresses.map_err(|_| NetError::timeout(Phase::Resolve, limit))??;
        let mut last = None;
        for address in addresses {
            match timeout(limit, self.connect_to(peer, address)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = Some(error),
                Err(_) => {
                    last = Some(NetError::Unreachable {
                        address: peer.address.clone(),
                        reason: format!("no answer within {} ms", limit.as_millis()),
                    });
                }
            }
        }
        Err(last.unwrap_or_else(|| NetError::Unreachable {
            address: peer.address.clone(),
            reason: "the host name has no address".into(),
        }))
    }

    async fn connect_to(&self, peer: &Peer, address: SocketAddr) -> Result<Connection, NetError> {
        let setup = |reason: String| NetError::Bind {
            address: "any".into(),
            reason,
        };
        let key = guard(&self.key).clone();
        let (tls, seen) =
            tls::client_config(&key, peer.network_key).map_err(|e| setup(e.to_string()))?;
        let config = endpoint::client_config(tls, &self.limits)?;
        let name = tls::server_name(&peer.network_key);
        let connecting = match self.endpoint.connect_with(config, address, &name) {
            Ok(connecting) => connecting,
            Err(quinn::ConnectError::EndpointStopping) => return Err(NetError::Closed),
            Err(error) => {
                return Err(NetError::Unreachable {
                    address: peer.address.clone(),
                    reason: error.to_string(),
                });
            }
        };
        connecting.await.map_err(|error| match seen.get() {
            Some(got) if *got != peer.network_key => NetError::WrongIdentity {
                address: peer.address.clone(),
                got: *got,
                expected: peer.network_key,
            },
            _ => lost(&error, &peer.address),
        })
    }
}

async fn resolve(address: &str) -> Result<Vec<SocketAddr>, NetError> {
    let malformed = |reason: &str| NetError::Address {
        address: address.to_owned(),
        reason: reason.to_owned(),
    };
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| malformed("there is no port"))?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(malformed("host or port is missing"));
    }
    let found = tokio::net::lookup_host(address)
        .await
        .map_err(|e| NetError::Unreachable {
            address: address.to_owned(),
            reason: format!("the host name cannot be resolved: {e}"),
        })?;
    Ok(found.take(MAX_ADDRESSES).collect())
}

/// Closes what is not used, until the client is gone.
async fn tidy(inner: Weak<Inner>) {
    loop {
        let Some(idle) = inner.upgrade().map(|inner| inner.limits.pool_idle) else {
            return;
        };
        tokio::time::sleep((idle / 2).max(Duration::from_millis(10))).await;
        let Some(inner) = inner.upgrade() else { return };
        // A request holds a clone of its slot: only slots that nobody but the pool holds are idle.
        guard(&inner.pool).retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.last_used().elapsed() < inner.limits.pool_idle
        });
    }
}

#[allow(clippy::too_many_arguments)] // one step of `call`, taken out for its early returns
async fn exchange(
    connection: &Connection,
    to: &Peer,
    request: &Request,
    envelope: &[u8],
    bulk: &[Bytes],
    options: CallOptions,
    wait: Wait,
    inner: &Inner,
) -> Result<Answer, NetError> {
    let opened = wait.step(Phase::OpenStream, connection.open_bi()).await?;
    let (mut send, recv) = opened.map_err(|e| lost(&e, &to.address))?;
    let reader = Reader::new(Recv::Stream(recv), wait, to.address.as_str().into());
    let limit = AnswerLimit {
        envelope: options.answer.envelope.min(inner.limits.max_envelope),
        bulk: options.answer.bulk.min(inner.limits.max_bulk),
    };
    let result = {
        let sending = send_message(&mut send, envelope, bulk, wait, &to.address);
        let reading = read_answer(reader, request, limit, wait, &inner.memory);
        tokio::pin!(sending, reading);
        // The answer may come before everything is sent: a refusal needs no bulk part.
        tokio::select! {
            biased;
            answer = &mut reading => Err(answer),
            sent = &mut sending => match sent {
                Ok(()) | Err(SendError::Stopped) => Ok(reading.await),
                Err(SendError::Failed(error)) => Err(Err(error)),
            },
        }
    };
    match result {
        Ok(answer) => answer,
        Err(answer) => {
            // The rest will not come. After a complete message this does nothing.
            let _ = send.reset(close::DONE.into());
            answer
        }
    }
}

pub(crate) async fn read_answer(
    mut reader: Reader,
    request: &Request,
    limit: AnswerLimit,
    wait: Wait,
    memory: &AnswerMemory,
) -> Result<Answer, NetError> {
    let memory_by = || wait.total.min(Instant::now() + wait.stall);
    let len = reader
        .envelope_len(limit.envelope, true)
        .await
        .map_err(too_large)?;
    let held = memory.envelopes.reserve(len as u64, memory_by()).await?;
    let envelope = reader.exact(len, "envelope", Phase::Envelope).await?;
    let response = Response::decode(held.attach(envelope))?;
    let expected = match (request, &response) {
        (_, Response::Error(error)) => return Err(NetError::Remote(error.clone())),
        (Request::StoreBatch(_) | Request::SignBatch(_), Response::Stored(_))
        | (Request::GetSlices(_), Response::Slices(_))
        | (Request::GetChunks(_), Response::Chunks(_))
        | (Request::Ping(_), Response::Pong(_))
        | (Request::DialMe, Response::Dialed(_))
        | (Request::KeepCertificate(_), Response::Kept)
        | (Request::ListBatches(_), Response::BatchList(_))
        | (Request::GetCombined(_), Response::Combined(_))
        | (Request::GetLatest(_), Response::Latest(_)) => response.bulk_len()?,
        _ => {
            return Err(Violation::WrongAnswer {
                got: response.kind(),
                expected: request.kind(),
            }
            .into());
        }
    };
    let got = reader.bulk_len(limit.bulk).await.map_err(too_large)?;
    if got != expected {
        return Err(WireError::BulkLength { got, expected }.into());
    }
    let max = limit.bulk;
    let len =
        usize::try_from(got).map_err(|_| too_large(Violation::BulkTooLarge { got, max }.into()))?;
    let held_bulk = memory.bulk.reserve(got, memory_by()).await?;
    let bulk = reader.exact(len, "bulk part", Phase::Bulk).await?;
    reader.end().await?;
    Ok(Answer {
        response,
        bulk: held_bulk.attach(bulk),
    })
}

/// The same limit, seen from the asker: the request says how long an answer can be.
fn too_large(error: NetError) -> NetError {
    let (part, got, max) = match error {
        NetError::Violation(Violation::EnvelopeTooLarge { got, max }) => ("envelope", got, max),
        NetError::Violation(Violation::BulkTooLarge { got, max }) => ("bulk part", got, max),
        other => return other,
    };
    Violation::AnswerTooLarge { part, got, max }.into()
}
