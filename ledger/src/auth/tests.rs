#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_stake::ledger::{Action, Amount};
use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> NetworkKey {
    NetworkKey::from_seed([seed; 32])
}

fn transaction(of: &NetworkKey, ether: u64) -> Transaction {
    Transaction {
        sender: account_of(&of.public()),
        action: Action::Deposit {
            strategy: 1,
            amount: Amount::ether(ether),
        },
    }
}

#[test]
fn an_account_is_the_end_of_the_hash_of_its_key() {
    let public = key(1).public();
    let digest = sha256(&[&public.0]);
    assert_eq!(account_of(&public).0[..], digest[12..]);
}

#[test]
fn what_was_signed_is_verified() {
    let signed = SignedTransaction::sign(&key(1), "net", 7, transaction(&key(1), 3));
    let authorized = signed.clone().verify("net").unwrap();
    assert_eq!(authorized.sender(), signed.transaction.sender);
    assert_eq!(authorized.signed(), &signed);
    // Its JSON has one form, and is read back.
    let text = serde_json::to_string(&signed).unwrap();
    let read: SignedTransaction = serde_json::from_str(&text).unwrap();
    assert_eq!(read, signed);
    read.verify("net").unwrap();
}

#[test]
fn an_unknown_field_is_refused() {
    let signed = SignedTransaction::sign(&key(1), "net", 7, transaction(&key(1), 3));
    let mut value = serde_json::to_value(&signed).unwrap();
    value["tip"] = 1.into();
    assert!(serde_json::from_value::<SignedTransaction>(value).is_err());
}

#[test]
fn nobody_else_may_act_for_an_account() {
    let of_other = SignedTransaction::sign(&key(2), "net", 7, transaction(&key(1), 3));
    assert_eq!(
        of_other.verify("net").unwrap_err(),
        AuthError::Sender {
            got: account_of(&key(2).public()),
            expected: account_of(&key(1).public()),
        }
    );
    // A key of small order: everybody could sign in its name.
    let mut weak = SignedTransaction::sign(&key(1), "net", 7, transaction(&key(1), 3));
    weak.public_key = NetworkPublicKey([0; 32]);
    weak.transaction.sender = account_of(&weak.public_key);
    let error = weak.verify("net").unwrap_err();
    assert_eq!(error.code(), "transaction.weak_key");
}

proptest! {
    #[test]
    fn a_signature_is_of_one_network_one_nonce_and_one_transaction(
        nonce in any::<u64>(), other in any::<u64>(), bit in 0usize..512,
    ) {
        let signed = SignedTransaction::sign(&key(1), "net", nonce, transaction(&key(1), 3));
        let refused = |signed: SignedTransaction, network: &str| {
            signed.verify(network).is_err_and(|error| error.code() == "transaction.signature")
        };
        prop_assert!(signed.clone().verify("net").is_ok());
        prop_assert!(refused(signed.clone(), "nets"));
        prop_assert!(refused(signed.clone(), ""));
        if other != nonce {
            let mut changed = signed.clone();
            changed.nonce = other;
            prop_assert!(refused(changed, "net"));
        }
        let mut changed = signed.clone();
        changed.transaction = transaction(&key(1), 4);
        prop_assert!(refused(changed, "net"));
        let mut changed = signed;
        changed.signature.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(refused(changed, "net"));
    }
}
