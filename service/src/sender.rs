//! Where a request comes from.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// Written by proxies: the addresses that a request has passed, the newest last.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Who sent a request that came over a connection from `peer`: the other end, or, if that is a proxy of ours, the nearest
/// address before it that is none. What callers themselves write into the header is never looked at: proxies write behind it.
pub fn sender(peer: IpAddr, headers: &HeaderMap, proxies: &[IpAddr]) -> IpAddr {
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
    nearest
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn sent_by(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let proxies: Vec<IpAddr> = proxies.iter().map(|p| p.parse().unwrap()).collect();
        sender(peer.parse().unwrap(), &headers, &proxies).to_string()
    }

    #[test]
    fn only_our_proxies_are_believed() {
        // A stranger who says that he is somebody else.
        assert_eq!(sent_by("192.0.2.1", &["10.9.9.9"], &[]), "192.0.2.1");
        let ours = ["127.0.0.1", "10.0.0.1"];
        assert_eq!(sent_by("127.0.0.1", &["192.0.2.1"], &ours), "192.0.2.1");
        assert_eq!(
            sent_by("::ffff:127.0.0.1", &["192.0.2.1"], &ours),
            "192.0.2.1"
        );
        // The caller wrote the first one, our two proxies the others.
        let chain = ["198.51.100.1, 192.0.2.1", "10.0.0.1"];
        assert_eq!(sent_by("127.0.0.1", &chain, &ours), "192.0.2.1");
        // A proxy that says nothing, or nonsense, answers for it itself.
        assert_eq!(sent_by("127.0.0.1", &[], &ours), "127.0.0.1");
        assert_eq!(sent_by("127.0.0.1", &["unknown"], &ours), "127.0.0.1");
        assert_eq!(
            sent_by("127.0.0.1", &["unknown, 10.0.0.1"], &ours),
            "10.0.0.1"
        );
    }
}
