//! Messages on a stream: `u32 length | envelope | u64 length | bulk | FIN`, the same in both directions.

use std::{sync::Arc, time::Duration};

use ashlar_crypto::NetworkPublicKey;
use ashlar_proto::wire::WireError;
use bytes::Bytes;
use quinn::{ConnectionError, ReadError, RecvStream, SendStream, TransportErrorCode, WriteError};
use tokio::time::{Instant, timeout_at};

use crate::{
    NetError, Phase, Reservation, Violation,
    endpoint::close,
    shares::{Claim, Shares, User},
};

/// Two deadlines: the whole, and the next sign of progress.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) total: Instant,
    pub(crate) stall: Duration,
    /// Least bytes a second, measured over `stall`.
    pub(crate) min_rate: u64,
}

impl Wait {
    /// Waits for one step.
    pub(crate) async fn step<T>(
        &self,
        phase: Phase,
        future: impl Future<Output = T>,
    ) -> Result<T, NetError> {
        let started = Instant::now();
        let until = self.total.min(started + self.stall);
        timeout_at(until, future)
            .await
            .map_err(|_| NetError::timeout(phase, started.elapsed()))
    }

    fn pace(&self) -> Pace {
        let now = Instant::now();
        let stall = self.stall.as_secs_f64();
        Pace {
            wait: *self,
            least: (self.min_rate as f64 * stall) as usize,
            since: now,
            moved: 0,
            last: now,
        }
    }

    /// Waits for something that may take all the time there is.
    pub(crate) async fn all<T>(
        &self,
        phase: Phase,
        future: impl Future<Output = T>,
    ) -> Result<T, NetError> {
        let started = Instant::now();
        timeout_at(self.total, future)
            .await
            .map_err(|_| NetError::timeout(phase, started.elapsed()))
    }
}

/// Sees to it that bytes keep moving: in every stretch of [`Wait::stall`] as many as [`Wait::min_rate`] asks for.
struct Pace {
    wait: Wait,
    least: usize,
    since: Instant,
    moved: usize,
    last: Instant,
}

impl Pace {
    /// Waits for the next bytes. What they are is told to [`moved`](Self::moved).
    async fn step<T>(&self, phase: Phase, future: impl Future<Output = T>) -> Result<T, NetError> {
        let until = self.wait.total.min(self.since + self.wait.stall);
        timeout_at(until, future).await.map_err(|_| {
            let (silent, after) = (self.last.elapsed(), self.since.elapsed());
            if self.moved == 0 || silent >= self.wait.stall / 2 {
                return NetError::timeout(phase, silent);
            }
            NetError::TooSlow {
                phase,
                got: self.moved as u64,
                expected: self.least as u64,
                after,
            }
        })
    }

    fn moved(&mut self, bytes: usize) {
        self.last = Instant::now();
        self.moved = self.moved.saturating_add(bytes);
        if self.moved >= self.least {
            (self.since, self.moved) = (self.last, 0);
        }
    }
}

/// A connection that is gone, in our terms.
pub(crate) fn lost(error: &ConnectionError, address: &str) -> NetError {
    let unreachable = |reason: &str| NetError::Unreachable {
        address: address.to_owned(),
        reason: reason.to_owned(),
    };
    match error {
        ConnectionError::TimedOut => unreachable("no sign of life"),
        ConnectionError::Reset => unreachable("the peer has restarted"),
        ConnectionError::ApplicationClosed(by) if by.error_code == close::SHUTDOWN.into() => {
            unreachable("the peer is shutting down")
        }
        ConnectionError::ApplicationClosed(by) if by.error_code == close::BUSY.into() => {
            unreachable("the peer takes no more connections")
        }
        ConnectionError::ApplicationClosed(_) => unreachable("the peer closed the connection"),
        ConnectionError::ConnectionClosed(by)
            if by.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            unreachable("the peer takes no more connections")
        }
        ConnectionError::LocallyClosed => NetError::Closed,
        ConnectionError::CidsExhausted => unreachable("no connection ids are left"),
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_) => {
            Violation::Transport(printable(&error.to_string())).into()
        }
    }
}

/// Text that may hold the peer's own words.
fn printable(text: &str) -> String {
    ashlar_proto::wire::cut_text(text, 200)
}

/// Where the bytes of a message come from.
#[derive(Debug)]
pub(crate) enum Recv {
    Stream(RecvStream),
    /// Tests and fuzz targets open no socket.
    Memory(Bytes),
}

impl Recv {
    /// As [`RecvStream::read`].
    async fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, ReadError> {
        let bytes = match self {
            Self::Stream(recv) => return recv.read(buffer).await,
            Self::Memory(bytes) if bytes.is_empty() => return Ok(None),
            Self::Memory(bytes) => bytes,
        };
        let len = buffer.len().min(bytes.len());
        let (to, _) = buffer.split_at_mut(len);
        to.copy_from_slice(&bytes.split_to(len));
        Ok(Some(len))
    }
}

/// The receiving half of a stream.
#[derive(Debug)]
pub(crate) struct Reader {
    recv: Recv,
    wait: Wait,
    address: Arc<str>,
}

impl Reader {
    pub(crate) fn new(recv: Recv, wait: Wait, address: Arc<str>) -> Self {
        Self {
            recv,
            wait,
            address,
        }
    }

    /// From now on so many bytes a second have to come.
    pub(crate) fn min_rate(&mut self, bytes: u64) {
        self.wait.min_rate = bytes;
    }

    fn error(&self, error: ReadError) -> NetError {
        match error {
            ReadError::Reset(code) => Violation::Reset(code.into_inner()).into(),
            ReadError::ConnectionLost(e) => lost(&e, &self.address),
            ReadError::ClosedStream
            | ReadError::IllegalOrderedRead
            | ReadError::ZeroRttRejected => NetError::Closed,
        }
    }

    async fn fill(
        &mut self,
        mut buffer: &mut [u8],
        what: &'static str,
        phase: Phase,
    ) -> Result<(), NetError> {
        let mut pace = self.wait.pace();
        while !buffer.is_empty() {
            let read = pace
                .step(phase, self.recv.read(buffer))
                .await?
                .map_err(|e| self.error(e))?;
            let Some(read) = read else {
                return Err(Violation::Truncated(what).into());
            };
            pace.moved(read);
            buffer = buffer.split_at_mut(read).1;
        }
        Ok(())
    }

    /// The envelope's length, not above the limit. For the first byte there is as much time as for everything if
    /// `patient`: an answer begins when the work is done.
    pub(crate) async fn envelope_len(
        &mut self,
        max: usize,
        patient: bool,
    ) -> Result<usize, NetError> {
        let stall = self.wait.stall;
        if patient {
            self.wait.stall = self.wait.total.saturating_duration_since(Instant::now());
        }
        let mut len = [0; 4];
        let (first, rest) = len.split_at_mut(1);
        let result = self.fill(first, "envelope's length", Phase::Envelope).await;
        self.wait.stall = stall;
        result?;
        self.fill(rest, "envelope's length", Phase::Envelope)
            .await?;
        let len = u32::from_be_bytes(len);
        match usize::try_from(len) {
            Ok(len) if len <= max => Ok(len),
            _ => Err(Violation::EnvelopeTooLarge {
                got: len.into(),
                max: max as u64,
            }
            .into()),
        }
    }

    /// Reads so many bytes. Zeroed memory that is not touched takes no space, so only bytes that arrive cost memory.
    pub(crate) async fn exact(
        &mut self,
        len: usize,
        what: &'static str,
        phase: Phase,
    ) -> Result<Vec<u8>, NetError> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes, what, phase).await?;
        Ok(bytes)
    }

    /// The length of the bulk part, not above the limit.
    pub(crate) async fn bulk_len(&mut self, max: u64) -> Result<u64, NetError> {
        let mut len = [0; 8];
        self.fill(&mut len, "bulk part's length", Phase::Envelope)
            .await?;
        let got = u64::from_be_bytes(len);
        if got > max {
            return Err(Violation::BulkTooLarge { got, max }.into());
        }
        Ok(got)
    }

    /// The end of the stream.
    pub(crate) async fn end(&mut self) -> Result<(), NetError> {
        let mut byte = [0];
        match self
            .wait
            .step(Phase::Bulk, self.recv.read(&mut byte))
            .await?
            .map_err(|e| self.error(e))?
        {
            None => Ok(()),
            Some(_) => Err(Violation::Trailing.into()),
        }
    }
}

/// Why sending ended early.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The peer wants no more: it has made up its mind, and its answer is on the way.
    Stopped,
    Failed(NetError),
}

/// Sends a message and the end of the stream.
pub(crate) async fn send_message(
    send: &mut SendStream,
    envelope: &[u8],
    bulk: &[Bytes],
    wait: Wait,
    address: &str,
) -> Result<(), SendError> {
    let len = u32::try_from(envelope.len()).unwrap_or(u32::MAX);
    let bulk_len: u64 = bulk.iter().map(|part| part.len() as u64).sum();
    let mut head = Vec::with_capacity(envelope.len() + 12);
    head.extend(len.to_be_bytes());
    head.extend(envelope);
    head.extend(bulk_len.to_be_bytes());
    let mut parts = Vec::with_capacity(bulk.len() + 1);
    parts.push(Bytes::from(head));
    parts.extend(bulk.iter().filter(|part| !part.is_empty()).cloned());
    let (mut at, mut pace) = (0, wait.pace());
    while let Some(rest) = parts.get_mut(at..).filter(|rest| !rest.is_empty()) {
        match pace
            .step(Phase::Send, send.write_chunks(rest))
            .await
            .map_err(SendError::Failed)?
        {
            Ok(written) => {
                at += written.chunks;
                pace.moved(written.bytes);
            }
            Err(e) => return Err(send_error(e, address)),
        }
    }
    send.finish().map_err(|_| SendError::Stopped)
}

fn send_error(error: WriteError, address: &str) -> SendError {
    match error {
        WriteError::Stopped(_) => SendError::Stopped,
        WriteError::ConnectionLost(e) => SendError::Failed(lost(&e, address)),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            SendError::Failed(NetError::Closed)
        }
    }
}

/// The bulk part of a request, not yet read: a handler first decides whether it wants it. Dropped unread, the peer is
/// told to stop sending.
#[derive(Debug)]
pub struct BulkReader {
    reader: Reader,
    len: u64,
    left: u64,
    ended: bool,
    account: Account,
    reservation: Option<Reservation>,
    wait: Wait,
}

/// Whose request it is, and where its memory comes from.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) claim: Arc<Claim>,
    pub(crate) memory: Shares,
}

impl BulkReader {
    pub(crate) fn new(reader: Reader, len: u64, account: Account) -> Self {
        Self {
            wait: reader.wait,
            reader,
            len,
            left: len,
            ended: false,
            account,
            reservation: None,
        }
    }

    /// A bulk part that is in memory, for tests of handlers.
    pub fn from_bytes(bytes: Bytes) -> Self {
        let len = bytes.len() as u64;
        // Far enough for any test; adding more could overflow the clock of some systems.
        let day = Duration::from_secs(24 * 60 * 60);
        let wait = Wait {
            total: Instant::now() + day,
            stall: day,
            min_rate: 0,
        };
        let account = Account {
            claim: Claim::new(User::Known(NetworkPublicKey([0; 32]))),
            memory: Shares::new(u64::MAX),
        };
        Self::new(
            Reader::new(Recv::Memory(bytes), wait, "memory".into()),
            len,
            account,
        )
    }

    /// Length that the peer declared, in bytes. It has been compared with what the envelope implies.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True if there is no bulk part.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When the request has to be answered.
    pub fn deadline(&self) -> Instant {
        self.wait.total
    }

    /// Memory for an answer, out of the caller's share. Attach the answer's bytes to it.
    ///
    /// # Errors
    /// [`NetError::Timeout`] if nothing becomes free within `patience`, [`NetError::TooLarge`] if there is never so much.
    pub async fn reserve(&self, bytes: u64, patience: Duration) -> Result<Reservation, NetError> {
        let Account { claim, memory } = &self.account;
        let until = self.wait.total.min(Instant::now() + patience);
        let lease = memory.take(claim, bytes, true, until).await?;
        Ok(Reservation::new(lease))
    }

    /// Memory for the bulk part and for whatever work there is with it, in place of the bulk part's length alone. It is held by the
    /// bytes that are read, and by what this returns.
    ///
    /// # Errors
    /// As [`reserve`](Self::reserve).
    pub async fn reserve_bulk(
        &mut self,
        bytes: u64,
        patience: Duration,
    ) -> Result<Reservation, NetError> {
        let reservation = self.reserve(bytes.max(self.len), patience).await?;
        Ok(self.reservation.insert(reservation).clone())
    }

    /// The next `len` bytes. The first call reserves memory for the whole bulk part at once, since requests that each
    /// held a part of theirs and waited for more would wait for each other.
    ///
    /// # Errors
    /// Fewer are left, a deadline, a violation of the protocol, or a broken connection.
    pub async fn read_exact(&mut self, len: usize) -> Result<Bytes, NetError> {
        if len as u64 > self.left {
            return Err(WireError::BulkLength {
                got: self.left,
                expected: len as u64,
            }
            .into());
        }
        let reservation = match &self.reservation {
            Some(reservation) => reservation.clone(),
            None => self
                .reservation
                .insert(self.reserve(self.len, self.wait.stall).await?)
                .clone(),
        };
        let bytes = self.reader.exact(len, "bulk part", Phase::Bulk).await?;
        self.left -= len as u64;
        Ok(reservation.attach(bytes))
    }

    /// All bytes that are left, and the end of the stream.
    ///
    /// # Errors
    /// As [`read_exact`](Self::read_exact); and more bytes than declared.
    pub async fn read_to_end(&mut self) -> Result<Bytes, NetError> {
        let max = NetError::TooLarge {
            what: "bulk part",
            got: self.left,
            max: usize::MAX as u64,
        };
        let bytes = self
            .read_exact(usize::try_from(self.left).map_err(|_| max)?)
            .await?;
        self.end().await?;
        Ok(bytes)
    }

    /// Checks that the message ends where it said. Nothing to do after [`read_to_end`](Self::read_to_end).
    ///
    /// # Errors
    /// Bytes that are left unread, more bytes than declared, a deadline, or a broken connection.
    pub async fn end(&mut self) -> Result<(), NetError> {
        if self.left > 0 {
            return Err(Violation::Trailing.into());
        }
        if !self.ended {
            self.reader.end().await?;
        }
        if self.len > 0 {
            self.account.claim.settle();
        }
        self.ended = true;
        Ok(())
    }
}
