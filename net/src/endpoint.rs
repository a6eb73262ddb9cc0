//! Sockets and QUIC parameters.

use std::{
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use ashlar_crypto::{NetworkKey, sha256};
use quinn::{
    ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    TokioRuntime, TransportConfig, VarInt,
    congestion::BbrConfig,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use ring::hmac;
use socket2::{Domain, Protocol, Socket, Type};

use crate::{NetError, NetLimits, tls};

/// Smallest UDP payload that QUIC may assume (RFC 9000, section 14).
const MIN_DATAGRAM: u16 = 1200;
/// Largest UDP payload there is.
const MAX_DATAGRAM: u16 = 65_527;

/// Codes with which a connection is closed (QUIC application error codes).
pub(crate) mod close {
    pub(crate) const DONE: u32 = 0;
    pub(crate) const SHUTDOWN: u32 = 1;
    pub(crate) const NO_IDENTITY: u32 = 2;
    pub(crate) const BUSY: u32 = 3;
}

fn bind_error(address: impl ToString, reason: impl ToString) -> NetError {
    NetError::Bind {
        address: address.to_string(),
        reason: reason.to_string(),
    }
}

fn socket(address: SocketAddr, limits: &NetLimits) -> Result<std::net::UdpSocket, NetError> {
    let open = || -> std::io::Result<Socket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        // The unspecified IPv6 address takes IPv4 too. Where the system does not know the option, its default stays.
        if address.is_ipv6() && address.ip().is_unspecified() {
            let _ = socket.set_only_v6(false);
        }
        // Wishes: the kernel caps them at net.core.{r,w}mem_max. A burst that does not fit is lost and sent again.
        let _ = socket.set_recv_buffer_size(limits.socket_buffer);
        let _ = socket.set_send_buffer_size(limits.socket_buffer);
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    };
    let socket = open().map_err(|e| bind_error(address, e))?;
    if let Ok(got) = socket.recv_buffer_size()
        && got < limits.socket_buffer / 4
    {
        tracing::debug!(
            got,
            wanted = limits.socket_buffer,
            "small UDP receive buffer; raise net.core.rmem_max"
        );
    }
    Ok(socket.into())
}

fn transport(
    limits: &NetLimits,
    connection_window: u32,
    send_window: u64,
    streams: u32,
) -> Result<TransportConfig, NetError> {
    let idle = IdleTimeout::try_from(limits.idle_timeout).map_err(|e| bind_error("-", e))?;
    let datagram = limits.max_datagram.clamp(MIN_DATAGRAM, MAX_DATAGRAM);
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(datagram);
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams(0u32.into())
        .stream_receive_window(limits.stream_window.into())
        .receive_window(connection_window.into())
        .send_window(send_window)
        .max_idle_timeout(Some(idle))
        .mtu_discovery_config(Some(mtu))
        // Cubic takes loss for congestion: at 2 % of loss and a round trip of 200 ms it sends 50 kB a second, whatever the link carries.
        .congestion_controller_factory(Arc::new(BbrConfig::default()))
        // No datagrams are spoken.
        .datagram_receive_buffer_size(None);
    Ok(transport)
}

/// Connection ids: random, and none refused, so that packets for a connection of the process that was here before are
/// answered by a reset.
struct RandomIds(RandomState);

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        // Unpredictable is enough here: an id is no secret, and a collision is drawn again.
        let id = self.0.hash_one(RandomState::new().hash_one(0u8));
        ConnectionId::new(&id.to_be_bytes())
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// A server's reset key survives a restart: whoever still talks to the process that was here before is told at once that
/// it is gone, and does not wait for its idle timeout. Only one endpoint may use the key (RFC 9000, section 21.11), so
/// clients draw theirs.
fn server_endpoint_config(key: &NetworkKey) -> EndpointConfig {
    let reset = sha256(&[b"ashlar/net/stateless-reset/1", &key.seed()[..]]);
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset)));
    config.cid_generator(|| Box::new(RandomIds(RandomState::new())));
    config
}

fn sized(mut config: EndpointConfig, limits: &NetLimits) -> Result<EndpointConfig, NetError> {
    let datagram = limits.max_datagram.clamp(MIN_DATAGRAM, MAX_DATAGRAM);
    config
        .max_udp_payload_size(datagram)
        .map_err(|e| bind_error("any", e))?;
    Ok(config)
}

/// A server endpoint. Callers begin with a stranger's windows; the server widens them for those it knows.
pub(crate) fn server(
    address: SocketAddr,
    keys: &[NetworkKey],
    limits: &NetLimits,
) -> Result<quinn::Endpoint, NetError> {
    let first = keys
        .first()
        .ok_or_else(|| bind_error(address, "there is no key"))?;
    let tls = tls::server_config(keys).map_err(|e| bind_error(address, e))?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|e| bind_error(address, e))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport(
            limits,
            limits.stranger_window,
            limits.stranger_send_window,
            limits.max_stranger_streams,
        )?))
        // What comes before the handshake is decided on is a few packets.
        .max_incoming(limits.max_half_open)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(8 << 20);
    quinn::Endpoint::new(
        sized(server_endpoint_config(first), limits)?,
        Some(config),
        socket(address, limits)?,
        Arc::new(TokioRuntime),
    )
    .map_err(|e| bind_error(address, e))
}

/// A client endpoint on this address or, without one, on a port of the system's choice, for IPv6 and IPv4 where the system has
/// both.
pub(crate) fn client(
    address: Option<SocketAddr>,
    limits: &NetLimits,
) -> Result<quinn::Endpoint, NetError> {
    let socket = match address {
        Some(address) => socket(address, limits)?,
        None => {
            let v6 = SocketAddr::from(([0u16; 8], 0));
            let v4 = SocketAddr::from(([0u8; 4], 0));
            socket(v6, limits).or_else(|_| socket(v4, limits))?
        }
    };
    quinn::Endpoint::new(
        sized(EndpointConfig::default(), limits)?,
        None,
        socket,
        Arc::new(TokioRuntime),
    )
    .map_err(|e| bind_error("any", e))
}

/// Parameters of one connection to one key.
pub(crate) fn client_config(
    tls: rustls::ClientConfig,
    limits: &NetLimits,
) -> Result<quinn::ClientConfig, NetError> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|e| bind_error("any", e))?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    // Nobody opens streams to a client.
    let mut transport = transport(limits, limits.connection_window, limits.send_window, 0)?;
    transport.keep_alive_interval(Some(limits.keep_alive));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Streams and windows of a caller that the server knows, or knows no more, with the receive window that it gets.
pub(crate) fn set_windows(
    connection: &quinn::Connection,
    limits: &NetLimits,
    (known, receive): (bool, u32),
) {
    let (streams, send) = if known {
        (limits.max_streams, limits.send_window)
    } else {
        (limits.max_stranger_streams, limits.stranger_send_window)
    };
    connection.set_receive_window(VarInt::from(receive));
    connection.set_send_window(send);
    connection.set_max_concurrent_bi_streams(VarInt::from(streams));
}
