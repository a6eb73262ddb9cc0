#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{Coded, bls::SignatureBytes};
use proptest::prelude::*;

use super::{verify::check_headers, *};
use crate::{
    HeaderError, OperatorIndex, ParamError, ProtocolVersion, Stake, TableRoot, VERSIONS,
    testing::{BLOCK, Table, domain},
};

mod golden;
mod policy;
mod refusals;

/// Everybody but the operator with stake 100: 360 of 460, 78 %.
fn most(table: &Table) -> Vec<OperatorIndex> {
    (0..7)
        .map(OperatorIndex)
        .filter(|&i| table.operators[i.0 as usize].stake(0) != Stake::from(100))
        .collect()
}

/// Quorum 0 of this service, however long ago.
fn policy() -> CertificatePolicy {
    CertificatePolicy::new(domain(), RequiredQuorums::all([0]), MaxAge::Unbounded)
}

fn with_table(
    certificate: &Certificate,
    table: &impl TableAccess,
    policy: &CertificatePolicy,
) -> Result<VerifiedCertificate, CertificateError> {
    let trusted = TrustedTable::trust_on_my_own_word(table);
    verify_certificate(certificate, &trusted, policy)
}

fn with_root(
    certificate: &Certificate,
    root: &TableRoot,
    policy: &CertificatePolicy,
) -> Result<VerifiedCertificate, CertificateError> {
    let trusted = TrustedRoot::trust_on_my_own_word(*root);
    verify_portable(certificate, &trusted, policy)
}

#[test]
fn a_good_certificate_passes_in_both_forms() {
    let table = Table::usual();
    let signers = most(&table);
    let compact = table.certify(&signers, &[0, 1]);
    let portable = compact.to_portable(&table).unwrap();
    assert!(portable.is_portable() && !compact.is_portable());
    assert_eq!(portable.to_compact().unwrap(), compact);
    assert_eq!(compact.claimed_signers(), (6, 7));
    assert_eq!(portable.claimed_signers(), (6, 7));

    for verified in [
        with_table(&compact, &table, &policy()).unwrap(),
        with_table(&portable, &table, &policy()).unwrap(),
        with_root(&portable, &table.root(), &policy()).unwrap(),
    ] {
        assert_eq!(verified.blob_key(), compact.blob_header.blob_key());
        assert_eq!(verified.batch_digest(), compact.batch_header.digest());
        assert_eq!(verified.signer_count(), 6);
        assert_eq!(verified.signers().iter().collect::<Vec<_>>(), signers);
        let signed: Vec<_> = verified
            .signed()
            .iter()
            .map(|q| (q.quorum, q.signed, q.total))
            .collect();
        assert_eq!(
            signed,
            [
                (0, Stake::from(360), Stake::from(460)),
                (1, Stake::from(100), Stake::from(100))
            ]
        );
        assert_eq!(verified.version().id, 1);
    }
}

#[test]
fn few_or_all_signers_pass_too() {
    // Few: the key is the signers' sum. All: it is the sum of everybody, with no witness in the portable form.
    let table = Table::new(&[(1000, 0), (1, 0), (1, 0), (1, 0), (1, 0)]);
    let big = (0..5)
        .map(OperatorIndex)
        .find(|&i| table.operators[i.0 as usize].stake(0) == Stake::from(1000))
        .unwrap();
    for signers in [vec![big], (0..5).map(OperatorIndex).collect::<Vec<_>>()] {
        let compact = table.certify(&signers, &[0]);
        let portable = compact.to_portable(&table).unwrap();
        let verified = with_table(&compact, &table, &policy()).unwrap();
        assert_eq!(verified.signer_count() as usize, signers.len());
        with_root(&portable, &table.root(), &policy()).unwrap();
    }
}

#[test]
fn bytes_round_trip() {
    let table = Table::usual();
    let compact = table.certify(&most(&table), &[0, 1]);
    let portable = compact.to_portable(&table).unwrap();
    for certificate in [compact, portable] {
        let bytes = certificate.to_bytes();
        assert_eq!(Certificate::from_bytes(&bytes), Ok(certificate));
    }
}

fn flips_are_refused(certificate: &Certificate, table: &Table) {
    let bytes = certificate.to_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(other) = Certificate::from_bytes(&flipped) {
            assert!(
                with_table(&other, table, &policy()).is_err(),
                "bit {bit} of {} can be flipped",
                bytes.len() * 8
            );
            // One encoding for each certificate.
            assert_eq!(other.to_bytes(), flipped, "bit {bit}");
        }
    }
}

#[test]
fn any_flipped_bit_is_refused_compact() {
    let table = Table::usual();
    flips_are_refused(&table.certify(&most(&table), &[0, 1]), &table);
}

#[test]
fn any_flipped_bit_is_refused_portable() {
    let table = Table::usual();
    let certificate = table
        .certify(&most(&table), &[0, 1])
        .to_portable(&table)
        .unwrap();
    flips_are_refused(&certificate, &table);
}

#[test]
fn needed_stake_is_the_least_that_satisfies_the_inequality() {
    for total in (0u64..=1000).chain([u64::MAX, u64::MAX - 1]) {
        for percent in [0, 1, 33, 55, 67, 99, 100] {
            let needed = u128::try_from(needed_stake(Stake::from(total), percent)).unwrap();
            let (total, percent) = (u128::from(total), u128::from(percent));
            assert!(needed * 100 >= percent * total);
            assert!(needed == 0 || (needed - 1) * 100 < percent * total);
        }
    }
    assert_eq!(needed_stake(Stake::from(3), 66), Stake::from(2));
    assert_eq!(needed_stake(Stake::from(3), 67), Stake::from(3));
    assert!(needed_stake(Stake::MAX, 55) > Stake::MAX / Stake::from(2));
    assert_eq!(needed_stake(Stake::MAX, 100), Stake::MAX);
    // More than all is never reached, not wrapped around.
    assert_eq!(needed_stake(Stake::MAX, 101), Stake::MAX);
    assert!(needed_stake(Stake::from(1000), 101) > Stake::from(1000));
}

#[test]
fn percent_is_for_people() {
    let percent = |signed: Stake, total: Stake| {
        QuorumSigned {
            quorum: 0,
            signed,
            total,
        }
        .percent()
    };
    assert_eq!(percent(Stake::from(360), Stake::from(460)), 78.26);
    assert_eq!(percent(Stake::MAX, Stake::MAX), 100.0);
    assert_eq!(percent(Stake::ZERO, Stake::ZERO), 0.0);
    assert_eq!(percent(Stake::MAX / Stake::from(2), Stake::MAX), 50.0);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Certificate::from_bytes(&bytes);
        let mut framed = b"ashc\x02".to_vec();
        framed.extend(bytes);
        let _ = Certificate::from_bytes(&framed);
    }

    #[test]
    fn changed_bytes_are_refused(changes in proptest::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..8), portable: bool) {
        let table = Table::usual();
        let mut certificate = table.certify(&most(&table), &[0, 1]);
        if portable {
            certificate = certificate.to_portable(&table).unwrap();
        }
        let original = certificate.to_bytes();
        let mut bytes = original.clone();
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] = bytes[at].wrapping_add(change);
        }
        if bytes != original && let Ok(other) = Certificate::from_bytes(&bytes) {
            prop_assert!(with_table(&other, &table, &policy()).is_err());
            prop_assert!(with_root(&other, &table.root(), &policy()).is_err());
        }
    }
}
