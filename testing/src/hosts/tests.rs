#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::UdpSocket;

use super::*;
use crate::switch::Link;

const A: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const B: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const PORT: u16 = 7000;

/// Sends from A to B and back; how long that took, or `None` if nothing came.
fn round_trip(hosts: &Hosts) -> Option<Duration> {
    let bind = |host| {
        let socket = hosts.on(host, || UdpSocket::bind((host, PORT))).unwrap();
        let patience = Duration::from_millis(700);
        socket.set_read_timeout(Some(patience)).unwrap();
        socket
    };
    let (a, b) = (bind(A), bind(B));
    let (began, mut bytes) = (Instant::now(), [0; 100]);
    a.send_to(b"there", (B, PORT)).unwrap();
    let (len, from) = b.recv_from(&mut bytes).ok()?;
    assert_eq!((&bytes[..len], from), (&b"there"[..], (A, PORT).into()));
    b.send_to(b"back", from).unwrap();
    let (len, from) = a.recv_from(&mut bytes).ok()?;
    assert_eq!((&bytes[..len], from), (&b"back"[..], (B, PORT).into()));
    Some(began.elapsed())
}

#[test]
fn hosts_reach_each_other_through_the_switch() {
    let link = Link {
        delay: Duration::from_millis(50),
        ..Link::PERFECT
    };
    let hosts = match Hosts::new(&[A, B], Switch::new(1, link)) {
        Ok(hosts) => hosts,
        Err(error) => return println!("SKIPPED, there are no hosts on this machine: {error}"),
    };
    assert!(round_trip(&hosts).unwrap() >= Duration::from_millis(100));
    hosts.switch().part(&[&[A], &[B]]);
    assert_eq!(round_trip(&hosts), None);
    hosts.switch().heal();
    assert!(round_trip(&hosts).is_some());
    assert_eq!(hosts.switch().count().cut, 1);
    // What is outside is not there.
    let outside = hosts.on(A, || {
        UdpSocket::bind((A, 0))
            .unwrap()
            .send_to(b"x", ("192.0.2.1", 1))
    });
    assert!(outside.is_err());
}
