#![allow(clippy::unwrap_used)]

use ashlar_crypto::Coded;

use super::*;

fn key() -> AccountKey {
    AccountKey::from_bytes(&[1; 32]).unwrap()
}

fn paying(limit: u64) -> PayingAccount {
    PayingAccount::new(key()).max_price(Stake::from(limit))
}

fn to() -> To {
    To {
        domain: Domain([7; 32]),
        disperser_id: 5,
    }
}

fn quote(price: u64) -> Quote {
    Quote {
        disperser: "http://one".to_owned(),
        mode: AccountMode::Paid,
        price: Stake::from(price),
    }
}

fn sign(account: &PayingAccount, price: u64) -> Signed {
    let signed = account.sign(to(), BlobId([3; 32]), &quote(price), 1_790_000_000_000);
    signed.unwrap()
}

fn sum(signed: &Signed) -> u64 {
    let voucher = signed.voucher.unwrap();
    let account = Account(key().address());
    voucher.verify(to().domain, account, 5).unwrap();
    voucher.cumulative.to()
}

fn view(charged: u64, refunded: u64, voucher: Option<u64>) -> AccountView {
    let account = Account(key().address());
    let voucher = voucher.map(|cumulative| {
        let voucher = Voucher {
            account,
            disperser_id: 5,
            cumulative: Stake::from(cumulative),
        };
        SignedVoucher::sign(to().domain, voucher, &key())
    });
    AccountView {
        account,
        charged: Stake::from(charged),
        refunded: Stake::from(refunded),
        owed: Stake::from(charged - refunded),
        voucher,
        terms: None,
        days: Vec::new(),
    }
}

#[test]
fn vouchers_sum_what_is_owed_and_what_is_under_way() {
    let account = paying(100);
    let (first, second) = (sign(&account, 10), sign(&account, 20));
    assert_eq!((sum(&first), sum(&second)), (10, 30));
    // Answers in the other order.
    second
        .under_way
        .unwrap()
        .accepted(Stake::from(20), Stake::ZERO);
    assert_eq!(sum(&sign(&account, 5)), 35);
    first
        .under_way
        .unwrap()
        .accepted(Stake::from(30), Stake::ZERO);
    let third = sign(&account, 5);
    assert_eq!(sum(&third), 35);
    // A refusal costs nothing, a refund less than nothing.
    third.under_way.unwrap().refused();
    let fourth = sign(&account, 5);
    assert_eq!(sum(&fourth), 35);
    fourth
        .under_way
        .unwrap()
        .accepted(Stake::from(35), Stake::from(20));
    assert_eq!(sum(&sign(&account, 5)), 20);
}

#[test]
fn an_answer_that_was_lost_is_asked_for() {
    let account = paying(100);
    assert!(account.is_lost(to()), "at the beginning");
    account.reconcile(to(), "x", &view(0, 0, None)).unwrap();
    assert!(!account.is_lost(to()));
    let lost = sign(&account, 10);
    drop(lost);
    assert!(account.is_lost(to()));
    // It was charged after all.
    account
        .reconcile(to(), "x", &view(10, 0, Some(10)))
        .unwrap();
    assert_eq!(sum(&sign(&account, 10)), 20);
}

#[test]
fn a_disperser_is_believed_as_far_as_was_signed() {
    let account = paying(100);
    let disagrees = account.reconcile(to(), "x", &view(11, 0, Some(10)));
    assert_eq!(disagrees.unwrap_err().code(), "client.account_disagrees");
    // A voucher of another one proves nothing.
    let mut forged = view(11, 0, Some(10));
    if let Some(voucher) = &mut forged.voucher {
        voucher.cumulative = Stake::from(11);
    }
    assert!(account.reconcile(to(), "x", &forged).is_err());
    account
        .reconcile(to(), "x", &view(11, 0, Some(12)))
        .unwrap();
    assert_eq!(sum(&sign(&account, 1)), 12);
    // Nor does an answer: what it says beyond what was signed is asked about.
    let put = sign(&account, 1);
    put.under_way
        .unwrap()
        .accepted(Stake::from(500), Stake::ZERO);
    assert!(account.is_lost(to()));
    assert_eq!(sum(&sign(&account, 1)), 12);
}

#[test]
fn nothing_above_the_limit_is_signed_and_nothing_without_one() {
    let account = paying(9);
    let refused = account.sign(to(), BlobId([3; 32]), &quote(10), 0);
    assert_eq!(refused.err().unwrap().code(), "client.price_above_limit");
    let free = PayingAccount::new(key());
    assert!(sign(&free, 10).voucher.is_none());
    let grant = KeyGrant {
        key: Account([2; 20]),
        until: 1,
    };
    let granted = PayingAccount::new(GrantedKey {
        key: key(),
        account: Account([4; 20]),
        grant,
        signature: AccountSignature([0; 65]),
    })
    .max_price(Stake::from(100));
    let signed = sign(&granted, 10);
    assert!(signed.voucher.is_none() && signed.authorization.grant.is_some());
    assert_eq!(signed.authorization.account, Account([4; 20]));
}

#[test]
fn a_file_remembers_what_was_signed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vouchers.json");
    let account = paying(100).counted_in(&file).unwrap();
    drop(sign(&account, 40));
    drop(account);
    let again = paying(100).counted_in(&file).unwrap();
    assert!(again.is_lost(to()));
    // Without a voucher that the disperser shows.
    again.reconcile(to(), "x", &view(40, 0, None)).unwrap();
    assert_eq!(sum(&sign(&again, 1)), 41);
    let other = PayingAccount::new(AccountKey::from_bytes(&[2; 32]).unwrap());
    let refused = other.counted_in(&file).unwrap_err();
    assert_eq!(refused.code(), "client.cannot_sign");
    // What cannot be written down is not signed.
    let account = paying(100)
        .counted_in(folder.path().join("no/such.json"))
        .unwrap();
    let refused = account.sign(to(), BlobId([3; 32]), &quote(1), 0);
    assert_eq!(refused.err().unwrap().code(), "client.cannot_sign");
    std::fs::write(&file, "nonsense").unwrap();
    assert!(paying(1).counted_in(&file).is_err());
}
