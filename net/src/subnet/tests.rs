#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn an_address_stands_for_its_network() {
    let of = |text: &str| Subnet::of(text.parse().unwrap());
    assert_eq!(of("203.0.113.7"), of("203.0.113.250"));
    assert_eq!(of("203.0.113.7"), of("::ffff:203.0.113.9"));
    assert_ne!(of("203.0.113.7"), of("203.0.114.7"));
    assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::"));
    assert_ne!(of("2001:db8:1:2::3"), of("2001:db8:2:2::3"));
    assert_eq!(of("203.0.113.7").to_string(), "203.0.113.0/24");
    assert_eq!(of("2001:db8:1:2::3").to_string(), "2001:db8:1::/48");
}
