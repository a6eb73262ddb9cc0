#![allow(clippy::unwrap_used)]

use super::*;

fn key(byte: u8) -> AccountKey {
    AccountKey::from_bytes(&[byte; 32]).unwrap()
}

fn head(service: u64) -> Head {
    Head {
        domain: Network::file("here").domain(service),
        block: Block(17),
        time_ms: 1_700_000_000_000,
        table_root: TableRoot([5; 32]),
    }
}

#[test]
fn a_head_is_its_keys_and_its_services() {
    let (mine, other) = (key(1), key(2));
    let pinned = Account(mine.address());
    let signed = head(1).sign(&mine);
    let vouched = signed.verify(&head(1).domain, &pinned).unwrap();
    assert_eq!(vouched.head(), &head(1));

    let domain = head(2).domain;
    assert_eq!(
        signed.verify(&domain, &pinned).unwrap_err().code(),
        "head.other_domain"
    );
    // Carried into another service: the domain is the salt, so the key does not come out.
    let carried = SignedHead {
        head: head(2),
        ..signed
    };
    assert_eq!(
        carried.verify(&domain, &pinned).unwrap_err().code(),
        "head.other_key"
    );
    let foreign = head(1).sign(&other);
    assert_eq!(
        foreign.verify(&head(1).domain, &pinned).unwrap_err(),
        HeadError::Signer {
            got: Account(other.address()),
            expected: pinned
        }
    );
    let mut broken = signed;
    broken.signature.0[64] = 0;
    assert_eq!(
        broken.verify(&head(1).domain, &pinned).unwrap_err().code(),
        "head.signature"
    );
    for change in [
        |head: &mut Head| head.block.0 += 1,
        |head: &mut Head| head.time_ms += 1,
        |head: &mut Head| head.table_root.0[0] ^= 1,
    ] {
        let mut changed = signed;
        change(&mut changed.head);
        assert!(changed.verify(&head(1).domain, &pinned).is_err());
    }
}

#[test]
fn a_key_is_succeeded_by_its_own_word_only() {
    let (old, new) = (key(1), key(2));
    let network = Network::file("here");
    let successor = Account(new.address());
    let succession = HeadKeySuccession::sign(&old, network, successor, Block(30));
    succession
        .verify(&network, &Account(old.address()))
        .unwrap();
    assert_eq!(
        succession
            .verify(&Network::file("there"), &Account(old.address()))
            .unwrap_err()
            .code(),
        "head.other_network"
    );
    let by_itself = HeadKeySuccession::sign(&new, network, successor, Block(30));
    assert_eq!(
        by_itself
            .verify(&network, &Account(old.address()))
            .unwrap_err()
            .code(),
        "head.other_key"
    );
    let earlier = HeadKeySuccession {
        from_block: Block(29),
        ..succession
    };
    assert!(earlier.verify(&network, &Account(old.address())).is_err());
}

#[test]
fn json_has_one_form() {
    let signed = head(1).sign(&key(1));
    let text = serde_json::to_string(&signed).unwrap();
    assert_eq!(serde_json::from_str::<SignedHead>(&text).unwrap(), signed);
    let more = text.replacen('{', "{\"more\":1,", 1);
    assert!(serde_json::from_str::<SignedHead>(&more).is_err());
}
