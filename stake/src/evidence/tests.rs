#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use ashlar_crypto::Coded;
use proptest::prelude::*;

use super::testing::*;
use super::*;

#[test]
fn every_kind_is_proven() {
    let world = world();
    let mut subjects = HashSet::new();
    for fault in faults() {
        let proven = world.prove(&fault).unwrap();
        assert_eq!(
            (proven.operator(), proven.kind()),
            (fault.operator(), fault.kind())
        );
        assert_eq!(proven.evidence_hash(), fault.hash());
        assert!(subjects.insert(proven.subject()));
        let json = serde_json::to_value(proven).unwrap();
        assert_eq!(json["operator"], fault.operator().to_string());
    }
}

#[test]
fn bytes_and_json_come_back() {
    for fault in faults() {
        let bytes = fault.to_bytes();
        assert!(bytes.len() <= MAX_FAULT_BYTES);
        assert_eq!(Fault::from_bytes(&bytes).unwrap(), fault);
        let json = serde_json::to_string(&fault).unwrap();
        assert!(json.starts_with("\"0x61736866"), "{json}");
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        assert!(serde_json::from_str::<Fault>(&json.replace("0x", "")).is_err());
        assert!(serde_json::from_str::<Fault>(&json.to_uppercase().replace("0X", "0x")).is_err());
    }
    let long = format!("\"0x{}\"", "00".repeat(MAX_FAULT_BYTES + 1));
    assert!(
        serde_json::from_str::<Fault>(&long)
            .unwrap_err()
            .to_string()
            .contains("at most")
    );
}

#[test]
fn each_malformation_has_its_error() {
    let code = |bytes: &[u8]| Fault::from_bytes(bytes).unwrap_err().code();
    assert_eq!(code(&vec![0; MAX_FAULT_BYTES + 1]), "evidence.too_long");
    assert_eq!(code(b"ashc\x01\x00"), "evidence.magic");
    assert_eq!(code(b"ashf\x02\x00"), "evidence.number");
    assert_eq!(code(b"ashf\x01\x03"), "evidence.number");
    for fault in faults() {
        let bytes = fault.to_bytes();
        for len in 0..bytes.len() {
            assert_eq!(
                code(&bytes[..len]),
                "evidence.truncated",
                "{:?} {len}",
                fault.kind()
            );
        }
        assert_eq!(code(&[&bytes[..], &[0]].concat()), "evidence.trailing");
    }
    let Fault::FalseAnswer(mut answer) = faults().swap_remove(1) else {
        panic!("no answer");
    };
    // A path of one hash is behind the commitment; a count of 33 does not fit.
    let bytes = Fault::FalseAnswer(answer.clone()).to_bytes();
    let at = bytes.len() - (48 + 32 + 32 + 1);
    let mut long = bytes.clone();
    assert_eq!(long[at], 1);
    long[at] = 33;
    assert_eq!(code(&long), "evidence.limit");
    answer.blob_header.quorums = (0..17).collect();
    assert_eq!(
        code(&Fault::FalseAnswer(answer.clone()).to_bytes()),
        "evidence.limit"
    );
    answer.blob_header.quorums = vec![0; 300];
    answer.path = vec![[0; 32]; 300];
    assert_eq!(
        code(&Fault::FalseAnswer(answer).to_bytes()),
        "evidence.limit"
    );
}

/// No single bit of evidence can be changed without it losing its force, but where the change is another true claim.
#[test]
fn no_bit_may_change() {
    let world = world();
    for fault in faults() {
        let bytes = fault.to_bytes();
        for bit in (0..bytes.len() * 8).step_by(5) {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let Ok(changed) = Fault::from_bytes(&changed) else {
                continue;
            };
            assert!(
                world.prove(&changed).is_err(),
                "{:?} bit {bit}",
                fault.kind()
            );
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0u8..3, framed: bool) {
        let bytes = if framed { [b"ashf\x01", &[kind][..], &bytes].concat() } else { bytes };
        if let Ok(fault) = Fault::from_bytes(&bytes) {
            prop_assert_eq!(fault.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_edit_panics(which in 0usize..7, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = faults()[which].to_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(fault) = Fault::from_bytes(&bytes) {
            prop_assert_eq!(fault.to_bytes(), bytes);
            let _ = world().prove(&fault);
        }
    }
}
