//! Every number of an endpoint.

use std::time::Duration;

use ashlar_proto::wire::limits;

/// Limits, windows and deadlines of an endpoint.
///
/// # Worst-case memory of a server
///
/// With S connections of [strangers](crate::Admission::Stranger) and F [full](crate::Admission::Full) ones, S + F at
/// most `max_connections` and S at most `max_stranger_connections`:
///
/// * unread data in QUIC's buffers: `S * stranger_window + F * connection_window`
/// * envelopes being read: `envelope_memory`, and about twice as much again while they are decoded
/// * bulk data of requests, and of answers that the handler reserves for: `bulk_memory + stranger_memory`
/// * the answers that a handler does not reserve for: at most `max_requests` of them
///
/// Data on its way out is not copied: QUIC holds the answer's own bytes until they are acknowledged. With the
/// defaults, one disperser and 448 strangers: 32 + 224 + 3 * 64 + 512 + 256 MiB, about 1.2 GiB.
///
/// A client holds `connection_window` of unread data for each connected peer, `envelope_memory` and about twice as much
/// again while answers are decoded, and `answer_memory`.
///
/// # Windows
///
/// A stream moves at most `stream_window` a round trip: 16 MiB are 1.3 Gbit/s at 100 ms. On loopback the window is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetLimits {
    /// Longest envelope, in bytes. Default 16 MiB.
    pub max_envelope: usize,
    /// Longest envelope of a stranger, in bytes. Default 64 KiB.
    pub max_stranger_envelope: usize,
    /// Longest bulk part in either direction, in bytes. Default 128 MiB and the commitments of 1024 rows.
    pub max_bulk: u64,
    /// Server: bytes of bulk data in memory, all requests together. Default 512 MiB.
    pub bulk_memory: u64,
    /// Server: the same for strangers, who have a budget of their own: whatever they do, there is memory for batches.
    /// Default 256 MiB.
    pub stranger_memory: u64,
    /// Bytes of envelopes being read, all requests or answers together. Default 64 MiB.
    pub envelope_memory: u64,
    /// Client: bytes of answers' bulk parts in memory, until whoever asked has dropped them. Callers that collect
    /// several answers have to stay below it, or they wait for each other. Default 512 MiB.
    pub answer_memory: u64,
    /// Server: connections at once; more are refused. Default 512.
    pub max_connections: usize,
    /// Server: how many of them may be strangers'. Default 448.
    pub max_stranger_connections: usize,
    /// Server: requests being worked on at once; more are answered `net.busy`. Default 256.
    pub max_requests: usize,
    /// Server: how many of them may be strangers'. Default 192.
    pub max_stranger_requests: usize,
    /// Streams, and with them requests, at once on a connection; more wait at the caller. Default 64.
    pub max_streams: u32,
    /// The same for a stranger. Default 16.
    pub max_stranger_streams: u32,
    /// Bytes that may be under way on a stream. Default 16 MiB.
    pub stream_window: u32,
    /// Bytes that may be under way to us on a connection. Default 32 MiB.
    pub connection_window: u32,
    /// The same for a stranger. Default 512 KiB.
    pub stranger_window: u32,
    /// Bytes that may be under way from us on a connection. Default 32 MiB.
    pub send_window: u64,
    /// Longest UDP payload to try and to accept, in bytes, 1200 to 65527. Above 1452 useful only where the path is known to carry it,
    /// on loopback or with jumbo frames. Default 1452.
    pub max_datagram: u16,
    /// Send and receive buffer of the UDP socket, in bytes; the kernel may give less. Default 8 MiB.
    pub socket_buffer: usize,
    /// Resolving and connecting, handshake included. Default 5 s.
    pub connect_timeout: Duration,
    /// A connection on which nothing arrives for so long is dead. Default 30 s.
    pub idle_timeout: Duration,
    /// Client: how often to show a sign of life on a quiet connection. Default 10 s.
    pub keep_alive: Duration,
    /// Client: an unused connection is closed after this time. Default 60 s.
    pub pool_idle: Duration,
    /// Client: most peers with a connection in the pool. Default 1024.
    pub max_peers: usize,
    /// No byte in, or none out, for so long ends a request. Default 10 s.
    pub stall_timeout: Duration,
    /// Server: longest time for a request from its first byte to the last of the answer. Default 120 s.
    pub request_timeout: Duration,
    /// Server: how long requests under way may take when it is shut down. Default 10 s.
    pub shutdown_grace: Duration,
}

impl Default for NetLimits {
    fn default() -> Self {
        Self {
            max_envelope: limits::MAX_ENVELOPE,
            max_stranger_envelope: limits::MAX_STRANGER_ENVELOPE,
            max_bulk: limits::MAX_BULK,
            bulk_memory: 512 << 20,
            stranger_memory: 256 << 20,
            envelope_memory: 64 << 20,
            answer_memory: 512 << 20,
            max_connections: 512,
            max_stranger_connections: 448,
            max_requests: 256,
            max_stranger_requests: 192,
            max_streams: 64,
            max_stranger_streams: 16,
            stream_window: 16 << 20,
            connection_window: 32 << 20,
            stranger_window: 512 << 10,
            send_window: 32 << 20,
            max_datagram: 1452,
            socket_buffer: 8 << 20,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            pool_idle: Duration::from_secs(60),
            max_peers: 1024,
            stall_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(120),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
