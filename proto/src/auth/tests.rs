#![allow(clippy::unwrap_used)]

use super::*;
use crate::Network;

fn check<T: AccountStatement>(statement: T, changed: &[T]) {
    let key = AccountKey::from_bytes(&[1; 32]).unwrap();
    let mine = Ok(Account(key.address()));
    let (here, there) = (Network::file("a").domain(1), Network::file("a").domain(2));
    let signature = statement.sign(&here, &key);
    assert_eq!(statement.signer(&here, &signature), mine);
    assert_ne!(statement.signer(&there, &signature), mine);
    for other in changed {
        assert_ne!(other.signer(&here, &signature), mine);
    }
}

#[test]
fn every_field_and_the_domain_are_signed() {
    let authorization = Authorization {
        disperser_id: 1,
        submission: BlobId([2; 32]),
        deadline: 3,
    };
    check(
        authorization,
        &[
            Authorization {
                disperser_id: 2,
                ..authorization
            },
            Authorization {
                submission: BlobId([3; 32]),
                ..authorization
            },
            Authorization {
                deadline: 4,
                ..authorization
            },
        ],
    );
    let grant = KeyGrant {
        key: Account([1; 20]),
        until: 5,
    };
    check(
        grant,
        &[
            KeyGrant {
                key: Account([2; 20]),
                ..grant
            },
            KeyGrant { until: 6, ..grant },
        ],
    );
    let voucher = Voucher {
        account: Account([1; 20]),
        disperser_id: 1,
        cumulative: Stake::from(10),
    };
    check(
        voucher,
        &[
            Voucher {
                account: Account([2; 20]),
                ..voucher
            },
            Voucher {
                disperser_id: 2,
                ..voucher
            },
            Voucher {
                cumulative: Stake::from(11),
                ..voucher
            },
        ],
    );
}
