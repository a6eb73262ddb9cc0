#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv6Addr};

use ashlar_net::Subnet;

use super::*;

fn sender(n: u32) -> Party {
    let address = Ipv6Addr::from(u128::from(n) << 80);
    Party::Network(Subnet::of(IpAddr::from(address)))
}

#[test]
fn a_sender_has_its_burst_and_others_have_theirs() {
    assert!(SenderRate::new(0, 5).is_none());
    let rate = SenderRate::new(1, 5).unwrap();
    rate.take(sender(1), 3).unwrap();
    let refused = rate.take(sender(1), 4).unwrap_err();
    let expected = AcceptError::Rate {
        rows_per_sec: 1,
        retry_after_secs: 2,
    };
    assert_eq!(refused, expected);
    // What was refused did not count.
    rate.take(sender(1), 2).unwrap();
    rate.take(sender(2), 5).unwrap();
}

#[test]
fn whoever_posts_no_more_is_forgotten() {
    let rate = SenderRate::new(u32::MAX, u32::MAX).unwrap();
    for n in 0..100_000 {
        rate.take(sender(n), 1).unwrap();
    }
    assert!(
        rate.limiter.len() <= REMEMBERED + 1,
        "{}",
        rate.limiter.len()
    );
}
