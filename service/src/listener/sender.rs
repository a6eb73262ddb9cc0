//! Who sent a request.

use std::net::IpAddr;

use ashlar_net::Subnet;
use axum::http::HeaderMap;

/// Written by proxies: the addresses that a request has passed, the newest last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who sent a request: the other end of the connection, or, if that is a proxy of ours, the nearest address before it that is none.
/// An extension of every request that the listener hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender(pub IpAddr);

impl Sender {
    /// Its network.
    pub fn network(self) -> Subnet {
        Subnet::of(self.0)
    }

    /// What callers themselves write into the header is never looked at: proxies write behind it.
    pub(super) fn of(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> Self {
        let hops = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut nearest = peer.to_canonical();
        for hop in hops.collect::<Vec<_>>().into_iter().rev() {
            if !proxies.contains(&nearest) {
                break;
            }
            let Ok(hop) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            nearest = hop.to_canonical();
        }
        Self(nearest)
    }
}

#[cfg(test)]
mod tests;
