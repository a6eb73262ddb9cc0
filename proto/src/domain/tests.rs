use super::*;

/// The bytes by hand, as a contract's `abi.encode` lays them out.
#[test]
fn the_hashes_are_those_of_the_words() {
    let anchor = [7; 32];
    let word = |value: u64| U256::from(value).to_be_bytes::<32>();
    let mut text = [0; 32];
    text[..6].copy_from_slice(b"ledger");
    let expected = sha256(&[NETWORK_TAG, &word(64), &anchor, &word(6), &text]);
    let network = Network::ledger(&anchor);
    assert_eq!(network.0, expected);
    assert_eq!(
        network.domain(5).0,
        sha256(&[DOMAIN_TAG, &network.0, &word(5)])
    );
    let mut registry = [0; 32];
    registry[12..].fill(9);
    let anchor = sha256(&[&word(17000), &registry]);
    assert_eq!(
        Network::evm(U256::from(17000), &Account([9; 20])),
        Network::new("evm", &anchor)
    );
}

#[test]
fn kinds_and_services_do_not_meet() {
    let anchor = sha256(&[b"devnet"]);
    let networks = [
        Network::ledger(&anchor),
        Network::file("devnet"),
        Network::file("devnet2"),
        Network::evm(U256::from(1), &Account([0; 20])),
        Network::evm(U256::from(2), &Account([0; 20])),
    ];
    let mut seen = std::collections::BTreeSet::new();
    for network in networks {
        for service in [0, 1, u64::MAX] {
            assert!(seen.insert(network.domain(service)));
        }
    }
}

/// Computed by a separate script (hand-written ABI, Python's hashlib), never by this code.
#[test]
fn golden() {
    let network = Network::file("ashlar-devnet");
    assert_eq!(
        network.to_string(),
        "0x89a14c8c15e231f71d245e6df92504cf78f4c125c915799d8368fc2b189e56eb"
    );
    assert_eq!(
        network.domain(1).to_string(),
        "0xfab9229bf3910f127b04bc2628ae76d35e4a1cb87b8e0a4e6c2beb255d8cedba"
    );
}
