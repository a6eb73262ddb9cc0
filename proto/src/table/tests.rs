#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::Coded;

use super::*;

// Computed by a separate script (hand-written ABI, Python's hashlib), never by this code.
const OPERATOR_ID: &str = "0xfa5e0d72e53c172730529517916c605690ff3b149d5b133c1e1c92a06a711a35";
const OPERATOR_LEAF: &str = "9607010213d852f540f180c191a5b73d0f8cad028e3058fa3cef5a96f71dfc74";
const DISPERSER_LEAF: &str = "e4889fae2f8b91e0bce3b066205e57f9940477a6e279dedaf906ed1be4884a4b";
const TABLE_ROOT: &str = "0x3453f5a237879ae69ec0a763df40c448840241716b08946e8097152d8fa906be";

fn entry() -> OperatorEntry {
    let key = PublicKeyBytes(std::array::from_fn(|i| i as u8));
    OperatorEntry {
        operator_id: operator_id(&key),
        bls_public_key: key,
        network_key: NetworkPublicKey([0x44; 32]),
        address: "node.example.org:4400".into(),
        stakes: vec![(0, Stake::from(1000)), (3, Stake::from(1) << 128)],
    }
}

#[test]
fn golden_bytes() {
    let entry = entry();
    assert_eq!(entry.operator_id.to_string(), OPERATOR_ID);
    assert_eq!(hex::encode(entry.leaf()), OPERATOR_LEAF);
    let disperser = DisperserEntry {
        id: 7,
        network_key: NetworkPublicKey([0x55; 32]),
        account: Account(std::array::from_fn(|i| i as u8 + 1)),
        bond: Stake::from(5) << 130,
    };
    assert_eq!(hex::encode(disperser.leaf()), DISPERSER_LEAF);
    let header = TableHeader {
        domain: crate::testing::domain(),
        reference_block: Block(1_234_567),
        versions: vec![1, 3],
        operators: 1,
        operators_root: operators_tree([&entry]).root(),
        dispersers_root: dispersers_tree([&disperser]).root(),
        aggregate_key: entry.bls_public_key,
        totals: entry.stakes.clone(),
    };
    assert_eq!(header.root().to_string(), TABLE_ROOT);
    assert_eq!(header.total(3), Some(Stake::from(1) << 128));
    assert_eq!(header.total(1), None);
}

#[test]
fn every_rule_of_an_entry() {
    assert_eq!(entry().validate(), Ok(()));
    let broken = |change: &dyn Fn(&mut OperatorEntry)| {
        let mut entry = entry();
        change(&mut entry);
        entry.validate().unwrap_err().code()
    };
    assert_eq!(broken(&|e| e.operator_id.0[0] ^= 1), "table.operator_id");
    assert_eq!(broken(&|e| e.stakes.reverse()), "table.quorum_order");
    assert_eq!(broken(&|e| e.stakes[1].0 = 0), "table.quorum_order");
    assert_eq!(broken(&|e| e.stakes[0].1 = Stake::ZERO), "table.zero_stake");
    for address in [
        "",
        ":1",
        "host",
        "host:",
        "host:0",
        "host:65536",
        "host:-1",
        "a b:1",
        "h\u{f6}st:1",
        "\u{1b}[31m:1",
    ] {
        assert_eq!(
            broken(&|e| e.address = address.into()),
            "table.address",
            "{address:?}"
        );
    }
    assert_eq!(
        broken(&|e| e.address = format!("{}:1", "a".repeat(260))),
        "table.address"
    );
    for address in ["[::1]:4400", "127.0.0.1:1", "node:65535"] {
        let mut entry = entry();
        entry.address = address.into();
        assert_eq!(entry.validate(), Ok(()), "{address}");
    }
}
