//! What the reader asks: which service, how old, which quorums, whose table. And what a refusal costs it.

use std::time::Duration;

use ashlar_crypto::{Blame, bls::PublicKeyBytes, identity::NetworkPublicKey};

use super::*;
use crate::{Domain, Network, OperatorEntry, batch_tree, operator_id, table::operators_tree};

/// Another service of the same network, with the same operators.
fn other_service() -> (Table, Domain) {
    let domain = Network::file("test").domain(2);
    let mut table = Table::usual();
    table.header.domain = domain;
    (table, domain)
}

/// A certificate of that service, in both forms.
fn of_other_service() -> [Certificate; 2] {
    let (table, domain) = other_service();
    let signers = most(&table);
    let mut certificate = table.certify(&signers, &[0, 1]);
    certificate.batch_header.domain = domain;
    certificate.batch_header.table_root = table.root();
    table.sign(&mut certificate, &signers);
    let portable = certificate.to_portable(&table).unwrap();
    let there = CertificatePolicy { domain, ..policy() };
    with_table(&certificate, &table, &there).unwrap();
    with_root(&portable, &table.root(), &there).unwrap();
    [certificate, portable]
}

#[test]
fn a_certificate_moved_from_one_service_to_another() {
    let (theirs, theirs_domain) = other_service();
    let ours = Table::usual();
    let refused = CertificateError::OtherDomain {
        got: theirs_domain,
        expected: domain(),
    };
    assert_eq!(refused.code(), "certificate.other_domain");
    for certificate in of_other_service() {
        // Whatever else is wrong with it, this is said first, with either table.
        assert_eq!(
            with_table(&certificate, &ours, &policy()),
            Err(refused.clone())
        );
        assert_eq!(
            with_table(&certificate, &theirs, &policy()),
            Err(refused.clone())
        );
        for root in [ours.root(), theirs.root()] {
            assert_eq!(
                with_root(&certificate, &root, &policy()),
                Err(refused.clone())
            );
        }

        // Rewritten for this service: its domain, its table, and a bitmap or witnesses of its operators. The signature
        // is over the other service's digest.
        let mut rewritten = certificate.clone();
        rewritten.batch_header.domain = domain();
        rewritten.batch_header.table_root = ours.root();
        if let Attestation::Portable { table_header, .. } = &mut rewritten.attestation {
            *table_header = ours.header.clone();
        }
        assert_eq!(
            with_table(&rewritten, &ours, &policy()),
            Err(CertificateError::SignatureInvalid)
        );

        // The domain alone: then the table is another one.
        let mut rewritten = certificate.clone();
        rewritten.batch_header.domain = domain();
        assert!(matches!(
            with_table(&rewritten, &ours, &policy()),
            Err(CertificateError::TableRoot { .. })
        ));
    }
}

#[test]
fn a_table_of_another_service_is_no_table() {
    let (theirs, theirs_domain) = other_service();
    let expected = CertificateError::TableDomain {
        got: theirs_domain,
        expected: domain(),
    };
    // Operators that are in no other service may sign anything, this service's name over their own table included.
    let signers = most(&theirs);
    let mut certificate = theirs.certify(&signers, &[0, 1]);
    certificate.batch_header.table_root = theirs.root();
    theirs.sign(&mut certificate, &signers);
    assert_eq!(
        with_table(&certificate, &theirs, &policy()),
        Err(expected.clone())
    );
    let portable = certificate.to_portable(&theirs).unwrap();
    assert_eq!(
        with_root(&portable, &theirs.root(), &policy()),
        Err(expected.clone())
    );
    // Whoever trusts that table for this service has made a mistake.
    assert_eq!(expected.code(), "certificate.table_domain");
    assert_eq!(expected.blame(), Blame::Us);
}

const MADE: u64 = 1_700_000_000_123;
const DAY: u64 = 24 * 60 * 60 * 1000;

fn aged(max_age: MaxAge) -> Result<VerifiedCertificate, CertificateError> {
    let table = Table::usual();
    let certificate = table.certify(&most(&table), &[0]);
    let policy = CertificatePolicy {
        max_age,
        ..policy()
    };
    let compact = with_table(&certificate, &table, &policy);
    let portable = certificate.to_portable(&table).unwrap();
    assert_eq!(
        with_root(&portable, &table.root(), &policy).map(|v| v.blob_key()),
        compact.clone().map(|v| v.blob_key())
    );
    compact
}

#[test]
fn a_certificate_of_day_15_is_expired() {
    let at = |now_ms| MaxAge::Time {
        now_ms,
        most: Duration::MAX,
    };
    let verified = aged(at(MADE + 14 * DAY)).unwrap();
    assert_eq!(verified.held_until_ms(), MADE + 14 * DAY);
    let error = aged(at(MADE + 15 * DAY)).unwrap_err();
    assert_eq!(
        error,
        CertificateError::Expired {
            got: 15 * DAY,
            expected: 14 * DAY,
            unit: "ms"
        }
    );
    assert_eq!(
        (error.code(), error.blame()),
        ("certificate.expired", Blame::Caller)
    );
    assert_eq!(
        error.to_string(),
        "the certificate is 1296000000 ms old, accepted here are at most 1209600000"
    );
    // An archive says so.
    aged(MaxAge::Unbounded).unwrap();
}

#[test]
fn a_reader_may_ask_for_less_than_the_retention() {
    let an_hour = |now_ms| MaxAge::Time {
        now_ms,
        most: Duration::from_secs(3600),
    };
    aged(an_hour(MADE + 3_600_000)).unwrap();
    let error = aged(an_hour(MADE + 3_600_001)).unwrap_err();
    assert_eq!(
        error,
        CertificateError::Expired {
            got: 3_600_001,
            expected: 3_600_000,
            unit: "ms"
        }
    );
    // The same rule at another time.
    assert_eq!(an_hour(1).at(2), an_hour(2));
    assert_eq!(MaxAge::Unbounded.at(2), MaxAge::Unbounded);
}

#[test]
fn age_in_blocks_does_not_depend_on_when_it_is_asked() {
    let included_at = |included_at| MaxAge::Blocks {
        included_at,
        most: 100,
    };
    aged(included_at(BLOCK)).unwrap();
    aged(included_at(BLOCK.saturating_add(100))).unwrap();
    let error = aged(included_at(BLOCK.saturating_add(101))).unwrap_err();
    assert_eq!(
        error,
        CertificateError::Expired {
            got: 101,
            expected: 100,
            unit: "blocks"
        }
    );
    // Included before the block that it refers to: not on the same chain.
    let error = aged(included_at(BLOCK.saturating_sub(1))).unwrap_err();
    assert_eq!(
        error,
        CertificateError::FromTheFuture {
            got: BLOCK.0,
            now: BLOCK.0 - 1,
            unit: "blocks"
        }
    );
}

#[test]
fn a_certificate_from_the_future() {
    // Whoever dates a batch a year ahead would have its certificate live as much longer.
    let at = |now_ms| MaxAge::Time {
        now_ms,
        most: Duration::MAX,
    };
    aged(at(MADE - MAX_AHEAD_MS)).unwrap();
    let error = aged(at(MADE - MAX_AHEAD_MS - 1)).unwrap_err();
    assert_eq!(
        error,
        CertificateError::FromTheFuture {
            got: MADE,
            now: MADE - MAX_AHEAD_MS - 1,
            unit: "ms"
        }
    );
    assert_eq!(error.code(), "certificate.from_the_future");
}

#[test]
fn quorums() {
    let table = Table::usual();
    let certificate = table.certify(&most(&table), &[0]);
    let requiring = |required_quorums| CertificatePolicy {
        required_quorums,
        ..policy()
    };
    let both = requiring(RequiredQuorums::all([0, 1]));
    assert_eq!(
        with_table(&certificate, &table, &both),
        Err(CertificateError::QuorumMissing {
            quorum: 1,
            got: vec![0]
        })
    );
    let other = table.certify(&(0..7).map(OperatorIndex).collect::<Vec<_>>(), &[1]);
    assert!(matches!(
        with_table(&other, &table, &policy()),
        Err(CertificateError::QuorumMissing { quorum: 0, .. })
    ));
    // None is not an answer; "whichever" is.
    let error = with_table(&other, &table, &requiring(RequiredQuorums::all([]))).unwrap_err();
    assert_eq!(error, CertificateError::NoQuorumRequired);
    assert_eq!(
        (error.code(), error.blame()),
        ("certificate.no_quorum_required", Blame::Us)
    );
    with_table(
        &other,
        &table,
        &requiring(RequiredQuorums::ChosenBySubmitter),
    )
    .unwrap();
}

/// A table of which half the operators have bytes for a key that are no point: nobody decodes them in vain.
#[test]
fn too_little_stake_is_refused_before_any_key_is_decoded() {
    let garbage = |i: u32| {
        let mut bytes = [0xff; 96];
        bytes[..4].copy_from_slice(&i.to_be_bytes());
        PublicKeyBytes(bytes)
    };
    let operators: Vec<OperatorEntry> = (0..3000)
        .map(|i| OperatorEntry {
            operator_id: operator_id(&garbage(i)),
            bls_public_key: garbage(i),
            network_key: NetworkPublicKey([1; 32]),
            address: "10.0.0.1:4400".to_owned(),
            stakes: vec![(0, Stake::from(1))],
        })
        .collect();
    let tree = operators_tree(&operators);
    let table = Table::usual();
    let mut certificate = table.certify(&most(&table), &[0]);
    let header = TableHeader {
        operators: 3000,
        operators_root: tree.root(),
        aggregate_key: garbage(3000),
        totals: vec![(0, Stake::from(3000))],
        ..table.header.clone()
    };
    let blobs = batch_tree(&[certificate.blob_header.blob_key()]);
    certificate.batch_header.table_root = header.root();
    certificate.batch_header.batch_root = blobs.root();
    certificate.batch_header.blobs = 1;
    (certificate.blob_index, certificate.blob_path) = (0, vec![]);
    certificate.attestation = Attestation::Portable {
        table_header: header.clone(),
        non_signers: (0..1500)
            .map(|index| NonSigner {
                index: OperatorIndex(index),
                entry: operators[index as usize].clone(),
                path: tree.path(index as usize).unwrap(),
            })
            .collect(),
    };
    // It is one that can be sent.
    let certificate = Certificate::from_bytes(&certificate.to_bytes()).unwrap();
    let check = |certificate: &Certificate| with_root(certificate, &header.root(), &policy());
    assert_eq!(
        check(&certificate),
        Err(CertificateError::Threshold {
            quorum: 0,
            signed: Stake::from(1500),
            total: Stake::from(3000),
            needed: Stake::from(1650),
            percent: 55,
        })
    );
    // With enough stake the signature's point comes next, then the table's own key: still none of the thousand.
    let mut enough = certificate;
    if let Attestation::Portable { non_signers, .. } = &mut enough.attestation {
        non_signers.truncate(1000);
    }
    assert!(matches!(
        check(&enough),
        Err(CertificateError::PublicKey {
            which: "the table's aggregate",
            ..
        })
    ));
    enough.signature = SignatureBytes([0xff; 48]);
    assert!(matches!(
        check(&enough),
        Err(CertificateError::SignatureMalformed(_))
    ));
}
