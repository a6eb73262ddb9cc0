#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn every_field_is_signed() {
    let key = SecretKey::from_ikm(&[1; 32]);
    let other = SecretKey::from_ikm(&[2; 32]);
    let statement = OperatorStatement {
        network: Network::file("here"),
        account: Account([1; 20]),
        network_key: NetworkPublicKey([2; 32]),
        address: "node.example:4400".into(),
        sequence: 0,
    };
    let signature = statement.sign(&key);
    statement.verify(&key.public_key(), &signature).unwrap();
    assert!(statement.verify(&other.public_key(), &signature).is_err());
    // What is public of an operator, its proof of possession, is no statement.
    let proof = key.prove_possession().to_bytes();
    assert!(statement.verify(&key.public_key(), &proof).is_err());
    let changes: [fn(&mut OperatorStatement); 5] = [
        |s| s.network = Network::file("there"),
        |s| s.account.0[0] ^= 1,
        |s| s.network_key.0[0] ^= 1,
        |s| s.address.push('1'),
        |s| s.sequence += 1,
    ];
    for change in changes {
        let mut changed = statement.clone();
        change(&mut changed);
        assert!(changed.verify(&key.public_key(), &signature).is_err());
    }
}

#[test]
fn a_disperser_s_statement_is_of_one_account_in_one_service() {
    let key = NetworkKey::from_seed([1; 32]);
    let statement = DisperserStatement {
        domain: Network::file("here").domain(1),
        account: Account([1; 20]),
        network_key: key.public(),
    };
    let signature = statement.sign(&key);
    statement.verify(&signature).unwrap();
    let changes: [fn(&mut DisperserStatement); 4] = [
        |s| s.domain = Network::file("there").domain(1),
        |s| s.domain = Network::file("here").domain(2),
        |s| s.account.0[0] ^= 1,
        |s| s.network_key = NetworkKey::from_seed([2; 32]).public(),
    ];
    for change in changes {
        let mut changed = statement;
        change(&mut changed);
        assert!(changed.verify(&signature).is_err());
    }
}
