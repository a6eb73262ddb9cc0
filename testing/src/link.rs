//! Links of UDP between a caller and a server, without any privilege: slow ones, and ones on which no handshake ends.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;

use crate::switch::{Line, Link};

/// Longest time that a packet waits for its turn on a slow link, in milliseconds; after that packets are lost.
const QUEUE_MS: u64 = 300;

/// An address in network `n` of this machine, with a free port.
pub fn network(n: u8) -> SocketAddr {
    SocketAddr::from(([127, 0, n, 1], 0))
}

/// One direction of a slow link.
struct Pipe {
    socket: Arc<UdpSocket>,
    link: Link,
    line: Line,
    began: Instant,
}

impl Pipe {
    fn new(socket: &Arc<UdpSocket>, rate: u64) -> Self {
        Self {
            socket: Arc::clone(socket),
            link: Link {
                rate: Some(rate),
                queue: rate * QUEUE_MS / 1000,
                ..Link::PERFECT
            },
            line: Line::new(0),
            began: Instant::now(),
        }
    }

    /// Sends the packet when its turn comes, or loses it.
    fn send(&mut self, packet: &[u8], to: SocketAddr) {
        let now = self.began.elapsed();
        let Some(due) = self.line.arrival(&self.link, now, packet.len()) else {
            return;
        };
        let (socket, packet, due) = (Arc::clone(&self.socket), packet.to_vec(), self.began + due);
        tokio::spawn(async move {
            tokio::time::sleep_until(due).await;
            let _ = socket.send_to(&packet, to).await;
        });
    }
}

/// An address that leads to `to`, and looks like `from` there. What a caller sends moves at `up` bytes a second, what it gets at
/// `down`.
pub async fn slow_link(from: SocketAddr, to: SocketAddr, up: u64, down: u64) -> SocketAddr {
    let (front, back) = sockets(from).await;
    let (front, back) = (Arc::new(front), Arc::new(back));
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut up, mut down) = (Pipe::new(&back, up), Pipe::new(&front, down));
        let (mut caller, mut there, mut here) = (None, [0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut there) => {
                    caller = Some(from);
                    up.send(&there[..len], to);
                }
                Ok((len, _)) = back.recv_from(&mut here) => {
                    if let Some(caller) = caller {
                        down.send(&here[..len], caller);
                    }
                }
            }
        }
    });
    address
}

async fn sockets(from: SocketAddr) -> (UdpSocket, UdpSocket) {
    let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    (front, UdpSocket::bind(from).await.unwrap())
}

/// An address that leads to `to`, but on which no handshake ends: a caller's first packets pass, and a Retry comes back, which is counted.
/// It ends when nothing moves for ten seconds.
pub async fn stalling_link(
    from: SocketAddr,
    to: SocketAddr,
    retries: Arc<AtomicUsize>,
) -> SocketAddr {
    let (front, back) = sockets(from).await;
    let address = front.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut caller, mut there, mut here) = (None, [0; 2048], [0; 2048]);
        loop {
            tokio::select! {
                Ok((len, from)) = front.recv_from(&mut there) => {
                    caller = Some(from);
                    if long_packet(&there[..len]) == Some(INITIAL) {
                        let _ = back.send_to(&there[..len], to).await;
                    }
                }
                Ok((len, _)) = back.recv_from(&mut here) => {
                    if long_packet(&here[..len]) == Some(RETRY)
                        && let Some(caller) = caller
                    {
                        retries.fetch_add(1, Ordering::SeqCst);
                        let _ = front.send_to(&here[..len], caller).await;
                    }
                }
                () = tokio::time::sleep(Duration::from_secs(10)) => return,
            }
        }
    });
    address
}

/// Kinds of packets with a long header (RFC 9000, section 17.2).
const INITIAL: u8 = 0;
const RETRY: u8 = 3;

fn long_packet(datagram: &[u8]) -> Option<u8> {
    let first = *datagram.first()?;
    (first & 0x80 != 0).then_some(first >> 4 & 3)
}
