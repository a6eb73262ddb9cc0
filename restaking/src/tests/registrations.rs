//! What an operator's BLS key says about its account, network key and address.

use std::collections::BTreeSet;

use alloy_primitives::B256;
use ashlar_proto::registration::OperatorStatement;

use super::super::testing::*;
use super::super::*;
use ashlar_testing::{bls_key, network_key};

/// Operator 2 registers from the account 0x42 by this statement.
fn register(statement: &OperatorStatement) -> Action {
    let (bls_public_key, proof_of_possession) = key(2);
    Action::RegisterOperator {
        bls_public_key,
        proof_of_possession,
        network_key: network_key(2),
        address: "10.0.0.2:7000".into(),
        statement: statement.sign(&bls_key(2)),
        allocation_delay: 0,
    }
}

fn statement() -> OperatorStatement {
    OperatorStatement {
        network: network(),
        account: account(0x42),
        network_key: network_key(2),
        address: "10.0.0.2:7000".into(),
        sequence: 0,
    }
}

/// The proof of possession stands in every table: who copies it has nothing.
#[test]
fn a_copied_proof_of_possession_is_refused() {
    let mut lab = Lab::new();
    // The thief's own account and machine, with whatever signature it has.
    let mut theft = register(&OperatorStatement {
        account: account(0x66),
        ..statement()
    });
    if let Action::RegisterOperator { statement, .. } = &mut theft {
        *statement = key(2).1;
    }
    assert_eq!(lab.code(0x66, theft), "operator.statement");
    // The victim's statement too: it is for the victim's account.
    assert_eq!(lab.code(0x66, register(&statement())), "operator.statement");
    // And it is for one network: that of another ledger, initialised alike, is none here.
    let mut twin = genesis();
    twin.salt = B256::repeat_byte(8);
    let elsewhere = OperatorStatement {
        network: twin.id(),
        ..statement()
    };
    assert_eq!(lab.code(0x42, register(&elsewhere)), "operator.statement");
    lab.ok(0x42, register(&statement()));
}

#[test]
fn a_changed_key_or_address_needs_the_bls_key() {
    let mut lab = Lab::new();
    let update = |network, address: &str, sequence| World::update(0, network, address, sequence);
    // Signed by another operator's key.
    let mut forged = update(network_key(0), "10.6.6.6:7000", 1);
    if let Action::UpdateOperator { statement, .. } = &mut forged {
        *statement = World::statement(1, network_key(0), "10.6.6.6:7000", 1);
    }
    assert_eq!(lab.code(0x40, forged), "operator.statement");
    // Signed for something else.
    for (network, address) in [
        (network_key(0), "10.6.6.6:7000"),
        (network_key(50), "10.0.0.1:7000"),
    ] {
        let mut moved = update(network_key(0), "10.0.0.1:7000", 1);
        if let Action::UpdateOperator {
            network_key: key,
            address: to,
            ..
        } = &mut moved
        {
            (*key, *to) = (network, address.into());
        }
        assert_eq!(lab.code(0x40, moved), "operator.statement");
    }
    // What was said before cannot be said again by whoever got hold of the account.
    let (old, new) = (
        update(network_key(0), "10.0.0.1:7000", 1),
        update(network_key(50), "10.0.0.2:7000", 2),
    );
    lab.ok(0x40, old.clone());
    lab.ok(0x40, new);
    assert_eq!(lab.code(0x40, old), "operator.statement");
    let operator = lab.state.operator(operator_key(0)).unwrap();
    assert_eq!(operator.address, "10.0.0.2:7000");
    assert_eq!(
        (operator.network_key, operator.sequence),
        (network_key(50), 2)
    );
}

/// Every refusal about statements, in directed transactions.
pub(super) fn refusals() -> BTreeSet<&'static str> {
    let mut lab = Lab::new();
    let old = World::update(0, network_key(0), "10.0.0.1:7000", 0);
    BTreeSet::from([lab.code(0x40, old)])
}
