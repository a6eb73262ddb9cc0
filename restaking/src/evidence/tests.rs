#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;

use ashlar_crypto::bls::SignatureBytes;
use ashlar_crypto::identity::NetworkSignature;
use ashlar_crypto::{Coded, Encoding};
use ashlar_proto::{Account, BlobHeader, Network, Sequence};
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
            (proven.accused(), proven.kind()),
            (fault.accused(), fault.kind())
        );
        assert_eq!(proven.evidence_hash(), fault.hash());
        assert!(subjects.insert(proven.subject()));
        let json = serde_json::to_value(proven).unwrap();
        assert_eq!(
            json["accused"],
            serde_json::to_value(fault.accused()).unwrap()
        );
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
    assert_eq!(code(b"ashf\x01\x00"), "evidence.number");
    assert_eq!(code(b"ashf\x02\x02"), "evidence.number");
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
    let Fault::BadAttestation(mut attestation) = faults().swap_remove(6) else {
        panic!("no attestation");
    };
    // A path of two hashes ends the evidence; a count of 33 does not fit.
    let bytes = Fault::BadAttestation(attestation.clone()).to_bytes();
    let at = bytes.len() - (2 * 32 + 1);
    let mut long = bytes.clone();
    assert_eq!(long[at], 2);
    long[at] = 33;
    assert_eq!(code(&long), "evidence.limit");
    for (quorums, hashes) in [(17, 2), (300, 300)] {
        let Breach::Unassigned(blob) = &mut attestation.breach else {
            panic!("another breach");
        };
        blob.header.quorums = vec![0; quorums];
        blob.path = vec![[0; 32]; hashes];
        assert_eq!(
            code(&Fault::BadAttestation(attestation.clone()).to_bytes()),
            "evidence.limit"
        );
    }
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

/// A service with the same records and another domain.
struct Elsewhere(Domain);

impl ServiceRecords for Elsewhere {
    fn domain(&self) -> Domain {
        self.0
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, NoTable> {
        world().table_at(block)
    }

    fn operator_key(&self, operator: &OperatorId) -> Option<PublicKey> {
        world().operator_key(operator)
    }

    fn source_signed(&self, block: Block, root: &TableRoot) -> bool {
        world().source_signed(block, root)
    }
}

/// The headers of a fault, to write another domain into them.
fn headers_mut(fault: &mut Fault) -> Vec<&mut BatchHeader> {
    match fault {
        Fault::DoubleSigning(fault) => vec![&mut fault.first.header, &mut fault.second.header],
        Fault::BadAttestation(fault) => vec![&mut fault.batch.header],
        Fault::DisperserEquivocation(fault) => {
            vec![&mut fault.first.header, &mut fault.second.header]
        }
    }
}

/// What is proven in one service proves nothing in another, be it of the same network, of another one, or of another kind of network,
/// and no label makes it.
#[test]
fn nothing_is_carried_into_another_domain() {
    let ledger = Network::ledger(&[1; 32]);
    for domain in [
        ledger.domain(1),
        ledger.domain(2),
        Network::ledger(&[2; 32]).domain(1),
        Network::file("devnet").domain(1),
    ] {
        let there = Elsewhere(domain);
        for mut fault in faults() {
            let refused = fault.check(&there).unwrap_err();
            assert_eq!(
                refused,
                EvidenceError::OtherDomain {
                    got: DOMAIN,
                    expected: domain
                }
            );
            // One header relabelled, of those that have two.
            let mut half = fault.clone();
            headers_mut(&mut half).swap_remove(0).domain = domain;
            if headers_mut(&mut half).len() == 2 {
                for chain in [&there, &Elsewhere(DOMAIN)] {
                    assert_eq!(
                        half.check(chain).unwrap_err().code(),
                        "evidence.other_domain"
                    );
                }
            }
            // All of them: then it is not what was signed. The order of two may have become the wrong one.
            for header in headers_mut(&mut fault) {
                header.domain = domain;
            }
            let fault = match fault {
                Fault::DoubleSigning(f) => {
                    Fault::DoubleSigning(DoubleSigning::new(f.operator, f.first, f.second))
                }
                Fault::DisperserEquivocation(f) => {
                    Fault::DisperserEquivocation(DisperserEquivocation::new(f.first, f.second))
                }
                fault => fault,
            };
            let code = match fault.accused() {
                Accused::Operator(_) => "evidence.signature",
                Accused::Disperser(_) => "evidence.disperser_signature",
            };
            assert_eq!(fault.check(&there).unwrap_err().code(), code);
        }
    }
}

/// Pinned: other implementations write the same bytes. Signatures are filled in by hand, so that nothing but the format is looked at.
#[test]
fn golden_bytes() {
    let header = |sequence| BatchHeader {
        domain: Domain([0xd0; 32]),
        table_root: TableRoot([0x7a; 32]),
        version: 1,
        batch_root: [0xb0; 32],
        blobs: 2,
        rows: 3,
        reference_block: Block(4),
        disperser_id: 5,
        sequence: Sequence(sequence),
        created_at_ms: 7,
    };
    let header_hex = |sequence: u64| {
        [
            "d0".repeat(32),
            "7a".repeat(32),
            "0001".to_owned(),
            "b0".repeat(32),
            "00000002".to_owned(),
            "00000003".to_owned(),
            "0000000000000004".to_owned(),
            "00000005".to_owned(),
            format!("{sequence:016x}"),
            "0000000000000007".to_owned(),
        ]
        .concat()
    };
    let signed = |sequence| SignedBatch {
        header: header(sequence),
        signature: SignatureBytes([0x51; 48]),
    };
    let dispersed = |sequence| DispersedBatch {
        header: header(sequence),
        signature: NetworkSignature([0x52; 64]),
    };
    let operator = OperatorId([0x0a; 32]);
    let blob = BlobInBatch {
        header: BlobHeader {
            version: 1,
            encoding: Encoding::Packed31,
            payload_len: 9,
            rows: 1,
            commitments_root: [0xc0; 32],
            chunk_root: [0xc1; 32],
            quorums: vec![0, 3],
            account: Account([0xac; 20]),
            salt: 8,
        },
        index: 1,
        path: vec![[0x9a; 32]],
    };
    let blob_hex = [
        "0001".to_owned(),
        "00".to_owned(),
        "0000000000000009".to_owned(),
        "00000001".to_owned(),
        "c0".repeat(32),
        "c1".repeat(32),
        "020003".to_owned(),
        "ac".repeat(20),
        "0000000000000008".to_owned(),
        "00000001".to_owned(),
        "01".to_owned(),
        "9a".repeat(32),
    ]
    .concat();
    let attest = |breach| {
        Fault::BadAttestation(BadAttestation {
            operator,
            batch: signed(6),
            breach,
        })
    };
    let attest_hex = |breach: &str| {
        format!(
            "61736866 02 01 {} {} {} {breach}",
            "0a".repeat(32),
            header_hex(6),
            "51".repeat(48)
        )
    };
    let cases = [
        (
            Fault::DoubleSigning(DoubleSigning {
                operator,
                first: signed(6),
                second: signed(7),
            }),
            format!(
                "61736866 02 00 {} {} {} {} {}",
                "0a".repeat(32),
                header_hex(6),
                "51".repeat(48),
                header_hex(7),
                "51".repeat(48)
            ),
        ),
        (attest(Breach::Header), attest_hex("00")),
        (attest(Breach::Table), attest_hex("01")),
        (attest(Breach::UnknownDisperser), attest_hex("02")),
        (
            attest(Breach::Blob(blob.clone())),
            attest_hex(&format!("03{blob_hex}")),
        ),
        (
            attest(Breach::Unassigned(blob)),
            attest_hex(&format!("04{blob_hex}")),
        ),
        (
            Fault::DisperserEquivocation(DisperserEquivocation {
                first: dispersed(6),
                second: dispersed(7),
            }),
            format!(
                "61736866 02 03 {} {} {} {}",
                header_hex(6),
                "52".repeat(64),
                header_hex(7),
                "52".repeat(64)
            ),
        ),
    ];
    for (fault, expected) in cases {
        let bytes = hex::decode(expected.replace(' ', "")).unwrap();
        assert_eq!(fault.to_bytes(), bytes, "{:?}", fault.kind());
        assert_eq!(Fault::from_bytes(&bytes).unwrap(), fault);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0u8..4, framed: bool) {
        let bytes = if framed { [b"ashf\x02", &[kind][..], &bytes].concat() } else { bytes };
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

    /// An honest operator signs one batch for each number, in each of two services with the same dispersers and counts. Neither any two of
    /// its signatures nor any one of them proves anything, in either service. The same of an honest disperser.
    #[test]
    fn honest_signatures_prove_nothing(numbers in proptest::collection::vec((any::<bool>(), 0u64..4, any::<u64>()), 1..8)) {
        let other = Elsewhere(Domain([0xd1; 32]));
        let headers: std::collections::BTreeMap<_, _> = numbers
            .into_iter()
            .map(|(there, sequence, created_at_ms)| {
                let domain = if there { other.0 } else { DOMAIN };
                let header = BatchHeader { domain, sequence: Sequence(sequence), created_at_ms, ..world().batch.clone() };
                ((domain.0, sequence), header)
            })
            .collect();
        let blob = BlobInBatch {
            header: world().blob().clone(),
            index: BLOB as u32,
            path: world().blob_path(BLOB),
        };
        let mut claims = Vec::new();
        for one in headers.values() {
            for breach in [
                Breach::Header,
                Breach::Table,
                Breach::UnknownDisperser,
                Breach::Blob(blob.clone()),
                Breach::Unassigned(blob.clone()),
            ] {
                claims.push(Fault::BadAttestation(BadAttestation {
                    operator: id(2),
                    batch: SignedBatch::sign(&key(2), one.clone()),
                    breach,
                }));
            }
            for two in headers.values() {
                claims.push(Fault::DoubleSigning(DoubleSigning::new(
                    id(2),
                    SignedBatch::sign(&key(2), one.clone()),
                    SignedBatch::sign(&key(2), two.clone()),
                )));
                claims.push(Fault::DisperserEquivocation(DisperserEquivocation::new(
                    DispersedBatch::sign(&disperser_key(), one.clone()),
                    DispersedBatch::sign(&disperser_key(), two.clone()),
                )));
            }
        }
        for claim in claims {
            for chain in [&other, &Elsewhere(DOMAIN)] {
                let code = claim.check(chain).unwrap_err().code();
                let expected = if claim.domain() != chain.0 {
                    &["evidence.other_domain"][..]
                } else {
                    &["evidence.other_domain", "evidence.same_batch", "evidence.other_sequence", "evidence.not_broken"]
                };
                prop_assert!(expected.contains(&code), "{code}");
            }
        }
    }
}
