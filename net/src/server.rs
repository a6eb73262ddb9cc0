//! The answering side.

use std::{net::SocketAddr, num::NonZeroU32, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use ashlar_crypto::{Blame, Coded, NetworkKey, NetworkPublicKey};
use ashlar_proto::wire::{ErrorReply, Request, Response};
use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock};
use quinn::{Incoming, RecvStream, SendStream};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    BulkReader, NetError, NetLimits, Phase, Reservation, Subnet, Violation,
    connections::{ConnectionCounts, Connections, Place},
    endpoint::{self, close},
    frame::{Account, Reader, Recv, SendError, Wait, send_message},
    shares::{Claim, Lease, Shares, User},
    shut_out::ShutOut,
    tls,
};

/// How much a caller may ask of the server before its request is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Somebody of the operator table, such as a registered disperser: full windows and envelopes, places and memory of its own.
    Known,
    /// Anybody: small windows, small envelopes, fewer streams, and what it shares with the others of its network.
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

    /// A request was refused, or its answer not taken, before or after the handler had it. For counting.
    fn refused(&self, error: &ErrorReply) {
        let _ = error;
    }

    /// How much to take from this caller. Asked for each request, so it has to be quick. By default everybody is known:
    /// override it wherever strangers can connect.
    fn admission(&self, peer: &NetworkPublicKey) -> Admission {
        let _ = peer;
        Admission::Known
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

    fn bulk_len(&self) -> u64 {
        self.bulk.iter().map(|part| part.len() as u64).sum()
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
    known: Pool,
    strangers: Pool,
    connections: Arc<Connections>,
    handshake_rate: RateBySubnet,
    request_rate: RateBySubnet,
    shut_out: ShutOut,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Events a second of each network.
type RateBySubnet = DefaultKeyedRateLimiter<Subnet>;

fn rate(a_second: u32) -> RateBySubnet {
    let a_second = NonZeroU32::new(a_second).unwrap_or(NonZeroU32::MIN);
    RateBySubnet::keyed(Quota::per_second(a_second))
}

/// What callers of one kind share.
struct Pool {
    requests: Shares,
    envelopes: Shares,
    memory: Shares,
}

impl Pool {
    fn new(requests: usize, envelopes: u64, memory: u64) -> Self {
        Self {
            requests: Shares::new(requests as u64),
            envelopes: Shares::new(envelopes),
            memory: Shares::new(memory),
        }
    }
}

impl Shared {
    /// Whose share this caller's requests come out of now.
    fn user(&self, peer: NetworkPublicKey, subnet: Subnet) -> User {
        match self.handler.admission(&peer) {
            Admission::Known => User::Known(peer),
            Admission::Stranger => User::Strangers(subnet),
        }
    }

    /// Waits until so many more requests keep strangers of one network within their rate. Who asks for too much waits for it
    /// rather than to be refused at once, so that it does not come back at once.
    async fn pace(&self, user: User, requests: u64) -> Result<(), ErrorReply> {
        let User::Strangers(subnet) = user else {
            return Ok(());
        };
        let most = self.limits.stranger_request_rate.max(1);
        let requests = u32::try_from(requests).unwrap_or(most).min(most);
        let Some(requests) = NonZeroU32::new(requests) else {
            return Ok(());
        };
        let until = Instant::now() + PATIENCE;
        while let Ok(Err(wait)) = self.request_rate.check_key_n(&subnet, requests) {
            let wait = wait.wait_time_from(self.request_rate.clock().now());
            let next = Instant::now() + wait.max(PACE);
            if next > until {
                return Err(busy("too many requests a second from your network"));
            }
            sleep_until(next).await;
        }
        Ok(())
    }

    /// Strangers have nothing to send but what may come from somebody whom the newest table does not show yet. Whoever goes on
    /// with it is shut out.
    fn take_bulk(&self, caller: &Caller) -> Result<(), NetError> {
        let User::Strangers(subnet) = caller.user else {
            return Ok(());
        };
        let cost = NonZeroU32::new(self.limits.stranger_request_rate / STRANGE_BULKS);
        let cost = cost.unwrap_or(NonZeroU32::MIN);
        if matches!(self.request_rate.check_key_n(&subnet, cost), Ok(Ok(()))) {
            return Ok(());
        }
        let address = caller.connection.remote_address().ip();
        if !self.connections.is_known_from(address) {
            tracing::debug!(%address, peer = %caller.peer, "shut out: a stranger sends and sends");
            self.shut_out.add(address);
        }
        let why = b"strangers cannot send so much";
        caller.connection.close(close::BUSY.into(), why);
        Err(NetError::Closed)
    }

    fn pool(&self, user: User) -> &Pool {
        match user {
            User::Known(_) => &self.known,
            User::Strangers(_) => &self.strangers,
        }
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
    /// Opens the socket and begins to answer. Port 0 takes a free one. Of several keys each caller is proven the one that it
    /// expects. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// [`NetError::Bind`] if the address cannot be had, or there is no key.
    pub fn bind(
        address: SocketAddr,
        keys: &[NetworkKey],
        limits: NetLimits,
        handler: Arc<dyn Handler>,
    ) -> Result<Self, NetError> {
        let bind = |reason: String| NetError::Bind {
            address: address.to_string(),
            reason,
        };
        tokio::runtime::Handle::try_current().map_err(|e| bind(e.to_string()))?;
        let endpoint = endpoint::server(address, keys, &limits)?;
        let local = endpoint.local_addr().map_err(|e| bind(e.to_string()))?;
        let stranger_envelopes =
            limits.max_stranger_requests as u64 * limits.max_stranger_envelope as u64;
        let shared = Arc::new(Shared {
            handler,
            known: Pool::new(
                limits.max_requests,
                limits.envelope_memory,
                limits.known_memory,
            ),
            strangers: Pool::new(
                limits.max_stranger_requests,
                stranger_envelopes,
                limits.stranger_memory,
            ),
            connections: Connections::new(limits.clone()),
            handshake_rate: rate(limits.handshake_rate),
            request_rate: rate(limits.stranger_request_rate),
            shut_out: ShutOut::new(limits.shut_out),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            limits,
        });
        shared
            .tasks
            .spawn(accept(endpoint.clone(), Arc::clone(&shared)));
        shared.tasks.spawn(forget_rates(Arc::clone(&shared)));
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

    /// Connections now, half-open ones included.
    pub fn connections(&self) -> usize {
        let counts = self.shared.connections.count();
        counts.half_open + counts.known + counts.strangers
    }

    /// What counts the connections from elsewhere.
    pub fn counter(&self) -> ConnectionCounter {
        ConnectionCounter(Arc::clone(&self.shared.connections))
    }

    /// Requests being worked on now.
    pub fn requests(&self) -> usize {
        let Shared {
            known, strangers, ..
        } = &*self.shared;
        usize::try_from(known.requests.used() + strangers.requests.used()).unwrap_or(usize::MAX)
    }

    /// Bytes of bulk data in memory now, strangers' included.
    pub fn bulk_memory_used(&self) -> u64 {
        self.shared.known.memory.used() + self.shared.strangers.memory.used()
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

/// Counts the connections of a [`Server`].
#[derive(Debug, Clone)]
pub struct ConnectionCounter(Arc<Connections>);

impl ConnectionCounter {
    /// Connections now.
    pub fn count(&self) -> ConnectionCounts {
        self.0.count()
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

/// How often rates that have recovered are forgotten: until then each network that was heard of takes some 100 bytes.
const FORGET_RATES: Duration = Duration::from_secs(10);

async fn forget_rates(shared: Arc<Shared>) {
    while timeout(FORGET_RATES, shared.stop.cancelled())
        .await
        .is_err()
    {
        for rate in [&shared.handshake_rate, &shared.request_rate] {
            rate.retain_recent();
            rate.shrink_to_fit();
        }
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
        let subnet = Subnet::of(incoming.remote_address().ip());
        let crowded = shared.connections.is_crowded(subnet);
        if crowded && !incoming.remote_address_validated() && incoming.may_retry() {
            let _ = incoming.retry();
            continue;
        }
        let address = incoming.remote_address();
        if shared.shut_out.contains(address.ip()) {
            incoming.ignore(); // a refusal would be work
            continue;
        }
        if shared.handshake_rate.check_key(&subnet).is_err() {
            tracing::debug!(peer = %address, "connection refused: too many a second");
            incoming.refuse();
            continue;
        }
        let (place, evicted) = shared.connections.begin(subnet);
        let arriving = Arriving {
            incoming,
            subnet,
            place,
            evicted,
        };
        shared
            .tasks
            .spawn(connection(Arc::clone(&shared), arriving));
    }
}

struct Arriving {
    incoming: Incoming,
    subnet: Subnet,
    place: Place,
    /// Another handshake has taken the place.
    evicted: CancellationToken,
}

async fn connection(shared: Arc<Shared>, arriving: Arriving) {
    let Arriving {
        incoming,
        subnet,
        place,
        evicted,
    } = arriving;
    let address: Arc<str> = incoming.remote_address().to_string().into();
    let Ok(connecting) = incoming.accept() else {
        return;
    };
    let handshake = timeout(shared.limits.connect_timeout, connecting);
    let connection = tokio::select! {
        biased;
        () = evicted.cancelled() => {
            tracing::debug!(%address, "handshake given up: others wait");
            return;
        }
        done = handshake => match done {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                tracing::debug!(%address, %error, "handshake failed");
                return;
            }
            Err(_) => {
                tracing::debug!(%address, "handshake too slow");
                return;
            }
        },
    };
    // The verifier has seen to it that there is one.
    let Some(peer) = tls::peer_key(&connection) else {
        connection.close(close::NO_IDENTITY.into(), b"no ed25519 key");
        return;
    };
    let user = shared.user(peer, subnet);
    let opened = shared
        .connections
        .open(place, peer, user, connection.clone());
    let Some(place) = opened else {
        tracing::debug!(%address, %peer, ?user, "connection closed: too many, and none is idle");
        connection.close(close::BUSY.into(), b"too many connections");
        return;
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
                    let user = shared.user(peer, subnet);
                    let busy = place.busy(user);
                    let caller = Caller {
                        peer,
                        user,
                        address: Arc::clone(&address),
                        connection: connection.clone(),
                    };
                    let shared = Arc::clone(&shared);
                    streams.spawn(async move {
                        let place = stream_task(&shared, &caller, send, recv).await;
                        // In this order: a server without requests has idle connections only.
                        drop(busy);
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::trace!(%address, %error, "connection ended");
                    break false;
                }
            },
        }
    };
    drop(place);
    // What has begun is finished, even if nobody waits for the answer any more: a batch that is being stored is asked
    // for again, and then it is there. Each request has its own deadline.
    while streams.join_next().await.is_some() {}
    if stopped {
        connection.close(close::SHUTDOWN.into(), b"shutting down");
    }
}

/// Who has sent a request.
struct Caller {
    peer: NetworkPublicKey,
    user: User,
    address: Arc<str>,
    connection: quinn::Connection,
}

/// How long a request within its caller's share waits for a place that is being taken back.
const PATIENCE: Duration = Duration::from_secs(1);
/// The least that a request waits if its network asks too much.
const PACE: Duration = Duration::from_millis(100);
/// So many bytes of an answer count as another request of a stranger.
const PACED_BYTES: u64 = 64 << 10;
/// A stranger's request with a bulk part counts as one such part of what its network may ask in a second.
const STRANGE_BULKS: u32 = 10;

/// One request, from its first byte until the peer has the answer. Gives its place back.
async fn stream_task(
    shared: &Shared,
    caller: &Caller,
    mut send: SendStream,
    recv: RecvStream,
) -> Option<Lease> {
    let limits = &shared.limits;
    let wait = Wait {
        total: Instant::now() + limits.request_timeout,
        stall: limits.stall_timeout,
        min_rate: limits.min_rate,
    };
    let claim = Claim::new(caller.user);
    // Before anything is read: whoever is refused can go elsewhere.
    let refuse = |error: ErrorReply| {
        tracing::debug!(peer = %caller.peer, address = %caller.address, %error, "request refused");
        shared.handler.refused(&error);
        error
    };
    let (reply, place) = match admit(shared, &claim).await {
        Err(error) => (refuse(error).into(), None),
        Ok(place) => {
            let reader = Reader::new(Recv::Stream(recv), wait, Arc::clone(&caller.address));
            let work = answer(shared, caller, &claim, reader);
            let reply = tokio::select! {
                biased;
                () = claim.revoked() => refuse(taken_back()).into(),
                reply = wait.all(Phase::Handler, work) => match reply {
                    Ok(Ok(reply)) => reply,
                    Ok(Err(error)) | Err(error) => refuse(error.to_reply()).into(),
                },
            };
            // The place is held until the answer is out: it is memory, too.
            (reply, Some(place))
        }
    };
    let mut reply = check_reply(reply, limits);
    let paced = shared.pace(caller.user, reply.bulk_len() / PACED_BYTES);
    if let Err(error) = paced.await {
        reply = refuse(error).into();
    }
    let bulk_len = reply.bulk_len();
    // After a deadline there is still time to say so.
    let total = wait.total.max(Instant::now() + limits.stall_timeout);
    let wait = Wait { total, ..wait };
    let window = match caller.user {
        User::Known(_) => limits.send_window,
        User::Strangers(_) => limits.stranger_send_window,
    };
    let sending = async {
        let envelope = reply.response.encode();
        send_message(&mut send, &envelope, &reply.bulk, wait, &caller.address).await?;
        // What is on its way now is acknowledged as quickly as the rest was, or the peer gives it up.
        let left = window.min(bulk_len + envelope.len() as u64);
        let time = limits.stall_timeout + Duration::from_secs(left / limits.min_rate.max(1));
        let until = total.min(Instant::now() + time);
        let waited = timeout_at(until, send.stopped()).await;
        waited.map_err(|_| SendError::Failed(NetError::timeout(Phase::Send, time)))
    };
    let sent = tokio::select! {
        biased;
        // What holds nothing that others could use is sent in any case.
        () = claim.revoked(), if bulk_len > 0 => None,
        sent = sending => Some(sent),
    };
    match sent {
        // Acknowledged by the peer, or given up by it.
        Some(Ok(_) | Err(SendError::Stopped)) => return place,
        Some(Err(SendError::Failed(error))) => refuse(error.to_reply()),
        None => refuse(taken_back()),
    };
    let _ = send.reset(close::BUSY.into());
    place
}

/// A place for a request, before anything of it is read.
async fn admit(shared: &Shared, claim: &Arc<Claim>) -> Result<Lease, ErrorReply> {
    shared.pace(claim.user(), 1).await?;
    let requests = &shared.pool(claim.user()).requests;
    let place = requests.take(claim, 1, false, Instant::now() + PATIENCE);
    place.await.map_err(|_| busy("too many requests at once"))
}

fn busy(what: &str) -> ErrorReply {
    ErrorReply::new("net.busy", Blame::Us, what)
}

fn taken_back() -> ErrorReply {
    busy("others wait for what this request held beyond its caller's share")
}

/// A request, with an envelope of at most `max` bytes, and the length of its bulk part, which comes next.
pub(crate) async fn read_request(
    reader: &mut Reader,
    max: usize,
    limits: &NetLimits,
    envelopes: &Shares,
    claim: &Arc<Claim>,
) -> Result<(Request, u64), NetError> {
    let len = reader.envelope_len(max, false).await?;
    let memory_by = Instant::now() + limits.stall_timeout;
    let memory = envelopes.take(claim, len as u64, true, memory_by);
    let memory = Reservation::new(memory.await?);
    let envelope = memory.attach(reader.exact(len, "envelope", Phase::Envelope).await?);
    drop(memory);
    let request = Request::decode(envelope)?;
    let expected = request.bulk_len()?;
    let got = reader.bulk_len(limits.max_bulk).await?;
    if got != expected {
        return Err(ashlar_proto::wire::WireError::BulkLength { got, expected }.into());
    }
    Ok((request, got))
}

async fn answer(
    shared: &Shared,
    caller: &Caller,
    claim: &Arc<Claim>,
    mut reader: Reader,
) -> Result<Reply, NetError> {
    let (limits, pool) = (&shared.limits, shared.pool(caller.user));
    let max = match caller.user {
        User::Known(_) => limits.max_envelope,
        User::Strangers(_) => limits.max_envelope.min(limits.max_stranger_envelope),
    };
    let (request, got) = read_request(&mut reader, max, limits, &pool.envelopes, claim).await?;
    if caller.user.is_known() {
        reader.min_rate(limits.min_known_rate);
    }
    if got > 0 {
        shared.take_bulk(caller)?;
    }
    let account = Account {
        claim: Arc::clone(claim),
        memory: pool.memory.clone(),
    };
    let mut bulk = BulkReader::new(reader, got, account);
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
    let got = reply.bulk_len();
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
