//! Free ports of this machine, outside the range from which the kernel hands out ports for outgoing connections.
//!
//! A killed operator comes back to its own address. Were that address in the kernel's range, some outgoing socket could
//! have taken it in the meantime.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};

use crate::error::{CliError, CliResult, Exit};
use crate::files;

/// Below Linux's default `ip_local_port_range` (32768–60999), above the ports of well-known services.
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;
const TRIES: u32 = 2_000;

/// A port held by open sockets until the process that will use it starts.
#[derive(Debug)]
pub struct Held {
    /// The port, free for UDP and for TCP on 127.0.0.1.
    pub port: u16,
    _udp: UdpSocket,
    _tcp: TcpListener,
}

/// Finds `count` ports and holds them.
///
/// # Errors
/// There are not that many.
pub fn hold(count: usize) -> CliResult<Vec<Held>> {
    let mut held: Vec<Held> = Vec::with_capacity(count);
    let span = u32::from(LAST - FIRST);
    // Devnets that start at the same time begin at different places.
    let start = u32::from_be_bytes(files::random::<4>()?) % span;
    for step in 0..TRIES {
        if held.len() == count {
            break;
        }
        let Ok(offset) = u16::try_from((start + step) % span) else {
            continue;
        };
        let port = FIRST + offset;
        let (Ok(udp), Ok(tcp)) = (
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)),
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)),
        ) else {
            continue;
        };
        held.push(Held {
            port,
            _udp: udp,
            _tcp: tcp,
        });
    }
    if held.len() < count {
        return Err(CliError::new(
            Exit::Failure,
            "devnet.ports",
            "there are not enough free ports on this machine",
        )
        .because(format!(
            "{} of {count} found between {FIRST} and {LAST} on 127.0.0.1",
            held.len()
        )));
    }
    Ok(held)
}
