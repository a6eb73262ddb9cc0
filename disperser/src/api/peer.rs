//! Where a request comes from.

use std::net::IpAddr;

use ashlar_net::Subnet;
use axum::http::HeaderMap;

/// Written by proxies: the addresses that a request has passed, the newest last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    /// Who sent a request: the other end of the connection, or, if that is a proxy of ours, the nearest address before it that
    /// is none. What callers themselves write into the header is never looked at: proxies write behind it.
    pub(crate) fn sender(self, headers: &HeaderMap, proxies: &[IpAddr]) -> Subnet {
        let hops = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut nearest = self.0.to_canonical();
        for hop in hops.collect::<Vec<_>>().into_iter().rev() {
            if !proxies.contains(&nearest) {
                break;
            }
            let Ok(hop) = hop.trim().parse::<IpAddr>() else {
                break;
            };
            nearest = hop.to_canonical();
        }
        Subnet::of(nearest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sender(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let proxies: Vec<IpAddr> = proxies.iter().map(|p| p.parse().unwrap()).collect();
        Peer(peer.parse().unwrap())
            .sender(&headers, &proxies)
            .to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        // A stranger who says that he is somebody else.
        assert_eq!(sender("192.0.2.1", &["10.9.9.9"], &[]), "192.0.2.0/24");
        let ours = ["127.0.0.1", "10.0.0.1"];
        assert_eq!(sender("127.0.0.1", &["192.0.2.1"], &ours), "192.0.2.0/24");
        assert_eq!(
            sender("::ffff:127.0.0.1", &["192.0.2.1"], &ours),
            "192.0.2.0/24"
        );
        // The caller wrote the first one, our two proxies the others.
        let chain = ["198.51.100.1, 192.0.2.1", "10.0.0.1"];
        assert_eq!(sender("127.0.0.1", &chain, &ours), "192.0.2.0/24");
        // A proxy that says nothing, or nonsense, answers for it itself.
        assert_eq!(sender("127.0.0.1", &[], &ours), "127.0.0.0/24");
        assert_eq!(sender("127.0.0.1", &["unknown"], &ours), "127.0.0.0/24");
        assert_eq!(
            sender("127.0.0.1", &["unknown, 10.0.0.1"], &ours),
            "10.0.0.0/24"
        );
    }
}
