#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::Network;

const NOW: u64 = 1_790_000_000;

fn key(n: u8) -> AccountKey {
    AccountKey::from_bytes(&[n; 32]).unwrap()
}

fn here() -> Domain {
    Network::file("a").domain(1)
}

fn authorization() -> Authorization {
    Authorization {
        disperser_id: 5,
        submission: BlobId([2; 32]),
        deadline: NOW + 60,
    }
}

fn granted(by: &AccountKey, until: u64) -> SignedAuthorization {
    let grant = KeyGrant {
        key: Account(key(2).address()),
        until,
    };
    SignedAuthorization {
        account: Account(key(1).address()),
        grant: Some((grant, grant.sign(&here(), by))),
        ..SignedAuthorization::sign(here(), authorization(), &key(2))
    }
}

fn code(signed: &SignedAuthorization) -> &'static str {
    let checked = signed.verify(here(), 5, NOW);
    checked.map_or_else(|error| error.code(), |_| "fine")
}

#[test]
fn the_account_that_signed_is_the_one_that_counts() {
    let signed = SignedAuthorization::sign(here(), authorization(), &key(1));
    let authorized = signed.verify(here(), 5, NOW).unwrap();
    let mine = Account(key(1).address());
    assert_eq!(authorized.account(), mine);
    authorized.check(BlobId([2; 32]), mine).unwrap();
    let other = authorized.check(BlobId([3; 32]), mine).unwrap_err();
    assert_eq!(other.code(), "auth.submission");
    let other = authorized.check(BlobId([2; 32]), Account([9; 20]));
    assert_eq!(other.unwrap_err().code(), "auth.account");
}

#[test]
fn every_refusal_has_its_code() {
    let signed = SignedAuthorization::sign(here(), authorization(), &key(1));
    let there = Network::file("a").domain(2);
    let asked = |deadline| Authorization {
        deadline,
        ..authorization()
    };
    let at = |deadline| SignedAuthorization::sign(here(), asked(deadline), &key(1));
    let foreign = SignedAuthorization::sign(there, authorization(), &key(1));
    let disguised = SignedAuthorization {
        domain: here(),
        ..foreign
    };
    let mut changed = signed;
    changed.authorization.submission = BlobId([3; 32]);
    let mut elsewhere = signed;
    elsewhere.authorization.disperser_id = 6;
    for (signed, expected) in [
        (signed, "fine"),
        (foreign, "auth.domain"),
        (disguised, "auth.signer"),
        (elsewhere, "auth.disperser"),
        (at(NOW - 1), "auth.expired"),
        (at(NOW), "fine"),
        (at(NOW + MAX_DEADLINE_SECS), "fine"),
        (at(NOW + MAX_DEADLINE_SECS + 1), "auth.too_far"),
        (changed, "auth.signer"),
        (granted(&key(1), NOW), "fine"),
        (granted(&key(1), NOW - 1), "auth.grant_expired"),
        (granted(&key(3), NOW), "auth.grant_signer"),
    ] {
        assert_eq!(code(&signed), expected, "{signed}");
    }
    // A granted key says whose account it spends.
    let authorized = granted(&key(1), NOW).verify(here(), 5, NOW).unwrap();
    assert_eq!(authorized.account(), Account(key(1).address()));
}

#[test]
fn a_voucher_is_of_one_account_disperser_and_service() {
    let account = Account(key(1).address());
    let voucher = Voucher {
        account,
        disperser_id: 5,
        cumulative: Stake::from(1000),
    };
    let signed = SignedVoucher::sign(here(), voucher, &key(1));
    assert_eq!(signed.verify(here(), account, 5), Ok(voucher));
    let more = SignedVoucher {
        cumulative: Stake::from(1001),
        ..signed
    };
    for refused in [
        signed.verify(here(), account, 6),
        signed.verify(Network::file("b").domain(1), account, 5),
        signed.verify(here(), Account([1; 20]), 5),
        more.verify(here(), account, 5),
    ] {
        assert_eq!(refused.unwrap_err().code(), "voucher.signer");
    }
    assert_eq!(signed.to_string().parse::<SignedVoucher>(), Ok(signed));
}

#[test]
fn headers_are_read_back_and_nothing_else_is() {
    for signed in [
        SignedAuthorization::sign(here(), authorization(), &key(1)),
        granted(&key(1), NOW),
    ] {
        let text = signed.to_string();
        assert!(text.len() < MAX_HEADER_BYTES);
        assert_eq!(text.parse::<SignedAuthorization>(), Ok(signed));
        for wrong in [
            text.replace("domain=", "domein="),
            text.replace(", account", ", domain=0x, account"),
            text.replace("disperser=5", "disperser=-5"),
            format!("{text}, more=1"),
            format!("{text},"),
            text.replace("deadline", "deadlines"),
            " ".repeat(MAX_HEADER_BYTES + 1),
            String::new(),
        ] {
            let error = wrong.parse::<SignedAuthorization>().unwrap_err();
            assert_eq!(error.code(), "auth.malformed", "{wrong}");
        }
    }
    let vouchers = [
        "cumulative=-1",
        "cumulative=1",
        "cumulative=0x1, signature=0x",
    ];
    for wrong in vouchers {
        let error = wrong.parse::<SignedVoucher>().unwrap_err();
        assert_eq!(error.code(), "auth.malformed", "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[ -~]{0,200}") {
        let _ = text.parse::<SignedAuthorization>();
        let _ = text.parse::<SignedVoucher>();
    }
}
