#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;
use ashlar_crypto::account::AccountKey;
use ashlar_proto::Network;
use ashlar_restaking::{Action, Transaction};
use proptest::prelude::*;

use super::*;

fn key(seed: u8) -> AccountKey {
    AccountKey::from_bytes(&[seed; 32]).unwrap()
}

fn account(seed: u8) -> Account {
    Account(key(seed).address())
}

fn signed(seed: u8, nonce: u64) -> SignedTransaction {
    let transaction = Transaction {
        sender: account(seed),
        action: Action::Undelegate {},
    };
    SignedTransaction::sign(&key(seed), Network::ledger(&[1; 32]), nonce, transaction)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Three accounts, five nonces, synced.
fn filled(folder: &Path) -> Nonces {
    let mut nonces = Nonces::open(folder).unwrap();
    for (seed, nonce) in [(1, 1), (2, 7), (1, 2), (3, u64::MAX), (1, 9)] {
        nonces.take(4, &signed(seed, nonce));
    }
    nonces.sync().unwrap();
    nonces
}

#[test]
fn the_last_nonce_of_each_account_is_kept() {
    let folder = folder();
    let check = |nonces: &Nonces| {
        assert_eq!(nonces.accounts(), 3);
        assert_eq!(nonces.last(&account(1)), 9);
        assert_eq!(nonces.last(&account(2)), 7);
        assert_eq!(nonces.last(&account(3)), u64::MAX);
        assert_eq!(nonces.last(&account(4)), 0);
        assert!(nonces.knows(&account(1)) && !nonces.knows(&account(4)));
    };
    check(&filled(folder.path()));
    let mut nonces = Nonces::open(folder.path()).unwrap();
    check(&nonces);
    // It goes on where it was.
    nonces.take(5, &signed(4, 1));
    nonces.sync().unwrap();
    assert_eq!(Nonces::open(folder.path()).unwrap().last(&account(4)), 1);
}

#[test]
fn what_was_not_synced_is_not_there() {
    let folder = folder();
    let mut nonces = filled(folder.path());
    nonces.take(5, &signed(1, 10));
    assert_eq!(nonces.last(&account(1)), 10);
    drop(nonces);
    assert_eq!(Nonces::open(folder.path()).unwrap().last(&account(1)), 9);
}

#[test]
fn damage_in_the_middle_is_refused() {
    let folder = folder();
    drop(filled(folder.path()));
    let path = folder.path().join(FILE);
    let good = std::fs::read(&path).unwrap();
    for at in [0, RECORD - 1, RECORD, 3 * RECORD + 40] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let error = Nonces::open(folder.path()).unwrap_err();
        assert_eq!(error.code(), "store.nonces");
        assert_eq!(std::fs::read(&path).unwrap(), bad, "nothing is changed");
    }
    // A record that is missing: those behind it do not fit.
    let mut bad = good.clone();
    bad.drain(RECORD..2 * RECORD);
    std::fs::write(&path, &bad).unwrap();
    assert!(Nonces::open(folder.path()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_cut_leaves_the_records_before_it(
        keep in 0usize..=5 * RECORD, zeros in prop_oneof![Just(0usize), 1usize..4 * RECORD],
    ) {
        let folder = folder();
        drop(filled(folder.path()));
        let path = folder.path().join(FILE);
        let bytes = std::fs::read(&path).unwrap();
        prop_assert_eq!(bytes.len(), 5 * RECORD);
        // A record whose last byte was a zero may be whole.
        prop_assume!(keep == bytes.len() || bytes[keep] != 0);
        let mut cut = bytes[..keep].to_vec();
        cut.resize(keep + zeros, 0);
        std::fs::write(&path, &cut).unwrap();
        let mut nonces = Nonces::open(folder.path()).unwrap();
        let whole = keep / RECORD;
        let expected = [0, 1, 1, 2, 2, 9][whole];
        prop_assert_eq!(nonces.last(&account(1)), expected);
        prop_assert_eq!(std::fs::metadata(&path).unwrap().len(), (whole * RECORD) as u64);
        nonces.take(6, &signed(5, 3));
        nonces.sync().unwrap();
        let nonces = Nonces::open(folder.path()).unwrap();
        prop_assert_eq!(nonces.last(&account(5)), 3);
        prop_assert_eq!(nonces.last(&account(1)), expected);
    }
}
