//! Every number of an endpoint.

use std::time::Duration;

use ashlar_proto::times;
use ashlar_proto::wire::limits;

/// Limits, windows and deadlines of an endpoint.
///
/// # Who gets what
///
/// A caller is [known](crate::Admission::Known) or a [stranger](crate::Admission::Stranger). Either kind has places and memory of
/// its own, and whoever is of it has a share of those: a known caller by its key, strangers by their [network](crate::Subnet),
/// `1 / n` if `n` of them ask at the moment. What others do not use is lent; whoever wants its share gets it back, and a request
/// that holds lent memory or a lent place is ended for it (`net.busy`). A single request that is larger than its caller's share
/// waits for its turn, and under a load from many it may wait in vain: who asks for less is served.
///
/// # Worst-case memory of a server
///
/// With K connections of known callers (at most `max_known_connections`) and S of strangers (at most `max_stranger_connections`):
///
/// * unread data in QUIC's buffers: `max(known_window_memory, K * stranger_window) + S * stranger_window`
/// * the UDP socket's own: `2048 * max_datagram`, of which only what the network fills is ever touched
/// * half-open connections: about 64 KiB each, `max_half_open` of them
/// * envelopes being read: `envelope_memory + max_stranger_requests * max_stranger_envelope`, and about twice as much again while
///   they are decoded
/// * bulk data of requests, and of answers that the handler reserves for: `known_memory + stranger_memory`
/// * the answers that a handler does not reserve for: at most `max_requests + max_stranger_requests` of them
///
/// Data on its way out is not copied: QUIC holds the answer's own bytes until they are acknowledged. With the
/// defaults: 512 + 28 + 32 + 3 * (64 + 12) + 512 + 256 MiB, about 1.5 GiB.
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
    /// Server: bytes of bulk data in memory, all requests of known callers together. Default 512 MiB.
    pub known_memory: u64,
    /// Server: the same for strangers. Default 256 MiB.
    pub stranger_memory: u64,
    /// Bytes of envelopes being read, all requests of known callers, or all answers, together. Default 64 MiB.
    pub envelope_memory: u64,
    /// Client: bytes of answers' bulk parts in memory, until whoever asked has dropped them. Callers that collect
    /// several answers have to stay below it, or they wait for each other. Default 512 MiB.
    pub answer_memory: u64,
    /// Server: connections at once whose handshake is not done; one more takes the place of the oldest. Default 512.
    pub max_half_open: usize,
    /// Server: how many of them may come from one network. Default 64.
    pub max_half_open_subnet: usize,
    /// Server: with so many half-open connections, or half as many from one network as it may have, QUIC's Retry has a caller show
    /// first that it owns its address. Default 32.
    pub retry_half_open: usize,
    /// Server: handshakes a second from one network, with as many at once; more are refused. Default 200, at least 1.
    pub handshake_rate: u32,
    /// Server: connections of known callers at once; one more takes the place of the idlest. Default 1024.
    pub max_known_connections: usize,
    /// Server: the same of strangers. Default 448.
    pub max_stranger_connections: usize,
    /// Server: how many of these may come from one network. Default 64.
    pub max_stranger_connections_subnet: usize,
    /// Server: connections with one key, whoever has it. Default 8.
    pub max_connections_key: usize,
    /// Server: requests of known callers being worked on at once; more are answered `net.busy`. Default 256.
    pub max_requests: usize,
    /// Server: the same of strangers. Default 192.
    pub max_stranger_requests: usize,
    /// Server: requests a second of strangers from one network, with as many at once. Every 64 KiB of an answer count as one more, a
    /// request with a bulk part as a tenth of all. More have to wait, and are answered `net.busy` after a second. Default 200, at
    /// least 1.
    pub stranger_request_rate: u32,
    /// Server: how long an address cannot connect from which strangers went on with bulk parts beyond that rate. Default 5 s.
    pub shut_out: Duration,
    /// Streams, and with them requests, at once on a connection; more wait at the caller. Default 64.
    pub max_streams: u32,
    /// The same for a stranger. Default 16.
    pub max_stranger_streams: u32,
    /// Bytes that may be under way on a stream. Default 16 MiB.
    pub stream_window: u32,
    /// Bytes that may be under way to us on a connection. Default 32 MiB.
    pub connection_window: u32,
    /// Server: the same for a stranger, and the least for anybody. Default 64 KiB.
    pub stranger_window: u32,
    /// Server: bytes that may be under way to us on all connections of known callers. They share it, each as a window of at most
    /// `connection_window`. Default 512 MiB.
    pub known_window_memory: u64,
    /// Bytes that may be under way from us on a connection. Default 32 MiB.
    pub send_window: u64,
    /// Server: the same to a stranger: what a reader has not acknowledged does not count as taken. Default 1 MiB.
    pub stranger_send_window: u64,
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
    /// Server: least bytes a second that a caller sends or takes, measured over `stall_timeout`. Who is slower is given up.
    /// Default 16 KiB.
    pub min_rate: u64,
    /// Server: the same for the bulk part of a known caller's request. Default 64 KiB.
    pub min_known_rate: u64,
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
            known_memory: 512 << 20,
            stranger_memory: 256 << 20,
            envelope_memory: 64 << 20,
            answer_memory: 512 << 20,
            max_half_open: 512,
            max_half_open_subnet: 64,
            retry_half_open: 32,
            handshake_rate: 200,
            max_known_connections: 1024,
            max_stranger_connections: 448,
            max_stranger_connections_subnet: 64,
            max_connections_key: 8,
            max_requests: 256,
            max_stranger_requests: 192,
            stranger_request_rate: 200,
            shut_out: Duration::from_secs(5),
            max_streams: 64,
            max_stranger_streams: 16,
            stream_window: 16 << 20,
            connection_window: 32 << 20,
            stranger_window: 64 << 10,
            known_window_memory: 512 << 20,
            send_window: 32 << 20,
            stranger_send_window: 1 << 20,
            max_datagram: 1452,
            socket_buffer: 8 << 20,
            connect_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            pool_idle: Duration::from_secs(60),
            max_peers: 1024,
            stall_timeout: Duration::from_secs(10),
            min_rate: 16 << 10,
            min_known_rate: 64 << 10,
            request_timeout: times::REQUEST,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}
