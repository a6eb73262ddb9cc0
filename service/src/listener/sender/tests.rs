#![allow(clippy::unwrap_used)]

use super::*;

fn network(peer: &str, forwarded: &[&str], proxies: &[&str]) -> String {
    let mut headers = HeaderMap::new();
    for value in forwarded {
        headers.append(FORWARDED_FOR, value.parse().unwrap());
    }
    let proxies: Vec<IpAddr> = proxies.iter().map(|p| p.parse().unwrap()).collect();
    Sender::of(peer.parse().unwrap(), &headers, &proxies)
        .network()
        .to_string()
}

#[test]
fn only_our_proxies_are_believed() {
    // A stranger who says that he is somebody else.
    assert_eq!(network("192.0.2.1", &["10.9.9.9"], &[]), "192.0.2.0/24");
    let ours = ["127.0.0.1", "10.0.0.1"];
    assert_eq!(network("127.0.0.1", &["192.0.2.1"], &ours), "192.0.2.0/24");
    assert_eq!(
        network("::ffff:127.0.0.1", &["192.0.2.1"], &ours),
        "192.0.2.0/24"
    );
    // The caller wrote the first one, our two proxies the others.
    let chain = ["198.51.100.1, 192.0.2.1", "10.0.0.1"];
    assert_eq!(network("127.0.0.1", &chain, &ours), "192.0.2.0/24");
    // A proxy that says nothing, or nonsense, answers for it itself.
    assert_eq!(network("127.0.0.1", &[], &ours), "127.0.0.0/24");
    assert_eq!(network("127.0.0.1", &["unknown"], &ours), "127.0.0.0/24");
    assert_eq!(
        network("127.0.0.1", &["unknown, 10.0.0.1"], &ours),
        "10.0.0.0/24"
    );
}
