#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use alloy_primitives::B256;
use ashlar_restaking::{Action, Amount, Block, Genesis, Params};
use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> AccountKey {
    AccountKey::from_bytes(&[seed; 32]).unwrap()
}

fn net() -> Network {
    Network::ledger(&[1; 32])
}

fn transaction(of: &AccountKey, ether: u64) -> Transaction {
    Transaction {
        sender: Account(of.address()),
        action: Action::Deposit {
            strategy: 1,
            amount: Amount::ether(ether),
        },
    }
}

fn signed(nonce: u64) -> SignedTransaction {
    SignedTransaction::sign(&key(1), net(), nonce, transaction(&key(1), 3))
}

#[test]
fn what_was_signed_is_verified() {
    let signed = signed(7);
    let authorized = signed.clone().verify(net()).unwrap();
    assert_eq!(authorized.sender(), signed.transaction.sender);
    assert_eq!(authorized.signed(), &signed);
    // Its JSON has one form, and is read back.
    let text = serde_json::to_string(&signed).unwrap();
    let read: SignedTransaction = serde_json::from_str(&text).unwrap();
    assert_eq!(read, signed);
    read.verify(net()).unwrap();
}

#[test]
fn an_unknown_field_is_refused() {
    let mut value = serde_json::to_value(signed(7)).unwrap();
    value["tip"] = 1.into();
    assert!(serde_json::from_value::<SignedTransaction>(value).is_err());
}

#[test]
fn nobody_else_may_act_for_an_account() {
    let of_other = SignedTransaction::sign(&key(2), net(), 7, transaction(&key(1), 3));
    assert_eq!(
        of_other.verify(net()).unwrap_err(),
        AuthError::Sender {
            got: Account(key(2).address()),
            expected: Account(key(1).address()),
        }
    );
}

/// Two ledgers initialised alike, their random salt aside, under one name.
#[test]
fn a_transaction_for_one_ledger_is_refused_by_its_twin() {
    let genesis = |salt| Genesis {
        network: "test".into(),
        salt: B256::repeat_byte(salt),
        block: Block(1),
        head_key: Account([1; 20]),
        admin: Account([2; 20]),
        reward_updater: Account([2; 20]),
        params: Params::current(),
    };
    let [one, other] = [1, 2].map(|salt| genesis(salt).id());
    let signed = SignedTransaction::sign(&key(1), one, 7, transaction(&key(1), 3));
    let error = signed.clone().verify(other).unwrap_err();
    assert_eq!(error.code(), "transaction.network");
    // Who changes the name of the network has changed what was signed.
    let mut moved = signed.clone();
    moved.network = other;
    assert_eq!(
        moved.verify(other).unwrap_err().code(),
        "transaction.sender"
    );
    signed.verify(one).unwrap();
}

#[test]
fn a_signature_has_one_encoding() {
    let mut other = signed(7);
    other.signature.0[64] -= 27;
    assert_eq!(
        other.verify(net()).unwrap_err().code(),
        "transaction.signature"
    );
}

proptest! {
    #[test]
    fn a_signature_is_of_one_nonce_and_one_transaction(
        nonce in any::<u64>(), other in any::<u64>(), bit in 0usize..520,
    ) {
        let refused = |signed: SignedTransaction| {
            signed.verify(net()).is_err_and(|error| {
                ["transaction.signature", "transaction.sender"].contains(&error.code())
            })
        };
        let signed = signed(nonce);
        prop_assert!(signed.clone().verify(net()).is_ok());
        if other != nonce {
            let mut changed = signed.clone();
            changed.nonce = other;
            prop_assert!(refused(changed));
        }
        let mut changed = signed.clone();
        changed.transaction = transaction(&key(1), 4);
        prop_assert!(refused(changed));
        let mut changed = signed;
        changed.signature.0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(refused(changed));
    }
}
