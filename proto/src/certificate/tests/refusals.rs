//! One test for every reason to refuse.

use ashlar_crypto::bls::{PublicKeyBytes, SecretKey};

use super::*;
use crate::{OperatorEntry, TableRoot, UnknownVersion, batch_tree, table::operators_tree};

/// Both forms of a good certificate, changed; the error's code for each, checked where it should be.
fn refused_compact(change: impl FnOnce(&mut Certificate, &Table)) -> CertificateError {
    let table = Table::usual();
    let mut certificate = table.certify(&most(&table), &[0, 1]);
    change(&mut certificate, &table);
    let error = with_table(&certificate, &table, &policy()).unwrap_err();
    assert!(error.code().starts_with("certificate."), "{error}");
    assert!(!error.to_string().is_empty());
    error
}

fn refused_portable(change: impl FnOnce(&mut Certificate, &Table)) -> CertificateError {
    let table = Table::usual();
    // Two that did not sign: quorum 0 with 100 and 10 of 460, quorum 1 untouched.
    let signers: Vec<_> = most(&table)
        .into_iter()
        .filter(|&i| table.operators[i.0 as usize].stake(0) != Stake::from(10))
        .collect();
    let mut certificate = table
        .certify(&signers, &[0, 1])
        .to_portable(&table)
        .unwrap();
    with_root(&certificate, &table.root(), &policy()).unwrap();
    change(&mut certificate, &table);
    let error = with_root(&certificate, &table.root(), &policy()).unwrap_err();
    // A holder of the table refuses for the same reason.
    assert_eq!(
        with_table(&certificate, &table, &policy()).unwrap_err(),
        error
    );
    error
}

fn witnesses(certificate: &mut Certificate) -> &mut Vec<NonSigner> {
    match &mut certificate.attestation {
        Attestation::Portable { non_signers, .. } => non_signers,
        Attestation::Compact { .. } => panic!("not portable"),
    }
}

fn header_of(certificate: &mut Certificate) -> &mut TableHeader {
    match &mut certificate.attestation {
        Attestation::Portable { table_header, .. } => table_header,
        Attestation::Compact { .. } => panic!("not portable"),
    }
}

/// Puts the blob alone into a new batch, so that a changed header still has a right path.
fn rebatch(certificate: &mut Certificate, table: &Table) {
    let tree = batch_tree(&[certificate.blob_header.blob_key()]);
    certificate.batch_header.batch_root = tree.root();
    certificate.batch_header.blobs = 1;
    certificate.blob_index = 0;
    certificate.blob_path = vec![];
    table.sign(certificate, &most(table));
}

#[test]
fn blob_header() {
    let error = refused_compact(|c, _| c.blob_header.quorums = vec![1, 0]);
    assert!(
        matches!(
            error,
            CertificateError::BlobHeader(HeaderError::QuorumOrder { .. })
        ),
        "{error}"
    );
}

#[test]
fn batch_header() {
    let error = refused_compact(|c, _| c.batch_header.blobs = 0);
    assert!(
        matches!(
            error,
            CertificateError::BatchHeader(HeaderError::BatchBlobs { .. })
        ),
        "{error}"
    );
}

#[test]
fn version_mismatch() {
    let error = refused_compact(|c, t| {
        c.batch_header.version = 2;
        rebatch(c, t);
    });
    assert_eq!(
        error,
        CertificateError::VersionMismatch { blob: 1, batch: 2 }
    );
}

#[test]
fn version_not_accepted() {
    let table = Table::usual();
    let certificate = table.certify(&most(&table), &[0]);
    let only_two = CertificatePolicy {
        accepted_versions: Some(vec![2]),
        ..policy()
    };
    let error = with_table(&certificate, &table, &only_two).unwrap_err();
    assert_eq!(error, CertificateError::VersionNotAccepted { got: 1 });
    let one = CertificatePolicy {
        accepted_versions: Some(vec![1]),
        ..policy()
    };
    with_table(&certificate, &table, &one).unwrap();
}

#[test]
fn version_not_recorded() {
    let expected = CertificateError::VersionNotRecorded {
        got: 2,
        recorded: vec![1],
    };
    let change = |c: &mut Certificate, t: &Table| {
        c.blob_header.version = 2;
        c.batch_header.version = 2;
        rebatch(c, t);
    };
    assert_eq!(refused_compact(change), expected);
    assert_eq!(refused_portable(change), expected);
}

#[test]
fn unknown_and_unsafe_version() {
    let table = Table::usual();
    let certificate = table.certify(&most(&table), &[0]);
    let unknown = refused_compact(|c, t| {
        c.blob_header.version = 77;
        rebatch(c, t);
    });
    assert_eq!(
        unknown,
        CertificateError::BlobHeader(UnknownVersion { got: 77 }.into())
    );
    // No version of the table is unsafe, so the check gets a table that has one.
    let mut broken: ProtocolVersion = VERSIONS[0];
    broken.safety_percent = 54;
    let table: &'static [ProtocolVersion] = vec![broken].leak();
    let error = check_headers(table, &certificate, &policy()).err();
    assert!(
        matches!(
            error,
            Some(CertificateError::UnsafeVersion(ParamError::Unsafe {
                id: 1,
                ..
            }))
        ),
        "{error:?}"
    );
}

#[test]
fn rows() {
    let error = refused_compact(|c, _| (c.batch_header.rows, c.batch_header.blobs) = (1, 1));
    assert_eq!(error, CertificateError::Rows { blob: 2, batch: 1 });
}

#[test]
fn blob_path() {
    for change in [
        (|c: &mut Certificate| c.blob_index = 0) as fn(&mut Certificate),
        |c| c.blob_index = 3,
        |c| c.blob_index = u32::MAX,
        |c| c.blob_path[0][0] ^= 1,
        |c| c.blob_path.push([0; 32]),
        |c| c.blob_path.clear(),
        |c| c.blob_header.salt ^= 1,
        |c| c.blob_header.chunk_root[31] ^= 1,
        |c| c.batch_header.batch_root[0] ^= 1,
        |c| c.batch_header.blobs = 5,
    ] {
        let error = refused_compact(|c, _| change(c));
        assert!(matches!(error, CertificateError::BlobPath(_)), "{error}");
    }
}

#[test]
fn table_root() {
    let error = refused_compact(|c, _| c.batch_header.table_root = TableRoot([7; 32]));
    assert!(
        matches!(
            error,
            CertificateError::TableRoot {
                got: TableRoot([7, ..]),
                ..
            }
        ),
        "{error}"
    );
    let error = refused_portable(|c, _| c.batch_header.table_root = TableRoot([7; 32]));
    assert!(
        matches!(error, CertificateError::TableRoot { .. }),
        "{error}"
    );
}

#[test]
fn table_header() {
    for change in [
        (|h: &mut TableHeader| h.reference_block.0 += 1) as fn(&mut TableHeader),
        |h| h.versions.push(2),
        |h| h.operators -= 1,
        |h| h.operators_root[0] ^= 1,
        |h| h.dispersers_root[0] ^= 1,
        |h| h.aggregate_key.0[5] ^= 1,
        |h| h.totals[0].1 = Stake::from(1),
        |h| h.totals.truncate(1),
    ] {
        let error = refused_portable(|c, _| change(header_of(c)));
        assert!(
            matches!(error, CertificateError::TableHeader { .. }),
            "{error}"
        );
    }
}

#[test]
fn reference_block() {
    let expected = CertificateError::ReferenceBlock {
        got: BLOCK.saturating_sub(1),
        expected: BLOCK,
    };
    let change = |c: &mut Certificate, t: &Table| {
        c.batch_header.reference_block = BLOCK.saturating_sub(1);
        t.sign(c, &most(t));
    };
    assert_eq!(refused_compact(change), expected);
    assert_eq!(refused_portable(change), expected);
}

#[test]
fn needs_table() {
    let table = Table::usual();
    let certificate = table.certify(&most(&table), &[0]);
    let error = with_root(&certificate, &table.root(), &policy()).unwrap_err();
    assert_eq!(error, CertificateError::NeedsTable);
}

#[test]
fn bitmap_length() {
    for len in [0, 6, 8, 4096] {
        let error = refused_compact(|c, _| {
            c.attestation = Attestation::Compact {
                signers: Bitmap::from_indices(len, (0..len).map(OperatorIndex)).unwrap(),
            };
        });
        assert_eq!(
            error,
            CertificateError::BitmapLength {
                got: len,
                expected: 7
            }
        );
    }
}

#[test]
fn no_signers() {
    let error = refused_compact(|c, _| {
        c.attestation = Attestation::Compact {
            signers: Bitmap::new(7),
        }
    });
    assert_eq!(error, CertificateError::NoSigners);
    let error = refused_portable(|c, t| {
        let nobody = Attestation::Compact {
            signers: Bitmap::new(7),
        };
        *c = Certificate {
            attestation: nobody,
            ..c.clone()
        }
        .to_portable(t)
        .unwrap();
    });
    assert_eq!(error, CertificateError::NoSigners);
}

#[test]
fn witness_count() {
    let error = refused_portable(|c, _| {
        let one = witnesses(c)[0].clone();
        witnesses(c).resize(8, one);
    });
    assert_eq!(
        error,
        CertificateError::WitnessCount {
            got: 8,
            operators: 7
        }
    );
}

#[test]
fn witness_order() {
    let error = refused_portable(|c, _| witnesses(c).reverse());
    assert!(
        matches!(error, CertificateError::WitnessOrder { .. }),
        "{error}"
    );
    // Twice the same: its stake would be taken away twice.
    let error = refused_portable(|c, _| {
        let one = witnesses(c)[0].clone();
        witnesses(c).insert(0, one);
    });
    assert!(
        matches!(error, CertificateError::WitnessOrder { .. }),
        "{error}"
    );
}

#[test]
fn witness_index() {
    let error = refused_portable(|c, _| witnesses(c)[1].index = OperatorIndex(7));
    assert_eq!(
        error,
        CertificateError::WitnessIndex {
            got: OperatorIndex(7),
            operators: 7
        }
    );
}

#[test]
fn witness_path() {
    for change in [
        (|w: &mut NonSigner| w.path[0][0] ^= 1) as fn(&mut NonSigner),
        |w| w.path.push([0; 32]),
        |w| w.path.clear(),
        // Another stake, address or key than the table's.
        |w| w.entry.stakes[0].1 = Stake::from(1),
        |w| w.entry.stakes.clear(),
        |w| w.entry.address.push('1'),
        |w| w.entry.network_key.0[0] ^= 1,
        |w| w.entry.operator_id.0[0] ^= 1,
        |w| w.entry.bls_public_key = SecretKey::from_ikm(&[99; 32]).public_key().to_bytes(),
    ] {
        let error = refused_portable(|c, _| change(&mut witnesses(c)[0]));
        assert!(
            matches!(error, CertificateError::WitnessPath { .. }),
            "{error}"
        );
    }
}

/// A portable certificate over a table that is itself wrong: only its maker could be to blame, and still it is refused.
fn bad_table(change: impl FnOnce(&mut Vec<OperatorEntry>, &mut TableHeader)) -> CertificateError {
    let table = Table::usual();
    let mut certificate = table
        .certify(&most(&table), &[0, 1])
        .to_portable(&table)
        .unwrap();
    let index = witnesses(&mut certificate)[0].index.0 as usize;
    let mut operators = table.operators.clone();
    let mut header = table.header.clone();
    operators.swap(0, index);
    change(&mut operators, &mut header);
    operators.swap(0, index);
    let tree = operators_tree(&operators);
    header.operators_root = tree.root();
    certificate.batch_header.table_root = header.root();
    certificate.attestation = Attestation::Portable {
        table_header: header.clone(),
        non_signers: vec![NonSigner {
            index: OperatorIndex(index as u32),
            entry: operators[index].clone(),
            path: tree.path(index).unwrap(),
        }],
    };
    with_root(&certificate, &header.root(), &policy()).unwrap_err()
}

#[test]
fn witness_entry() {
    let error = bad_table(|o, _| o[0].operator_id.0[0] ^= 1);
    assert!(
        matches!(error, CertificateError::WitnessEntry { .. }),
        "{error}"
    );
}

#[test]
fn table_inconsistent() {
    let error = bad_table(|o, _| o[0].stakes[0].1 = Stake::from(461));
    assert!(
        matches!(error, CertificateError::TableInconsistent { .. }),
        "{error}"
    );
    // A table view that does not have the operators that its header counts.
    struct Short(Table);
    impl TableAccess for Short {
        fn header(&self) -> &TableHeader {
            self.0.header()
        }
        fn root(&self) -> TableRoot {
            self.0.root()
        }
        fn operator(&self, _: OperatorIndex) -> Option<&OperatorEntry> {
            None
        }
        fn public_key(&self, _: OperatorIndex) -> Option<&ashlar_crypto::bls::PublicKey> {
            None
        }
        fn aggregate_key(&self) -> &ashlar_crypto::bls::PublicKey {
            self.0.aggregate_key()
        }
    }
    let table = Table::usual();
    let certificate = table.certify(&most(&table), &[0]);
    let error = with_table(&certificate, &Short(table), &policy()).unwrap_err();
    assert!(
        matches!(error, CertificateError::TableInconsistent { .. }),
        "{error}"
    );
}

#[test]
fn public_key() {
    let error = bad_table(|o, _| {
        o[0].bls_public_key = PublicKeyBytes([0xff; 96]);
        o[0].operator_id = crate::operator_id(&o[0].bls_public_key);
    });
    assert!(
        matches!(error, CertificateError::PublicKey { .. }),
        "{error}"
    );
    let error = bad_table(|_, h| h.aggregate_key = PublicKeyBytes([0; 96]));
    assert!(
        matches!(error, CertificateError::PublicKey { .. }),
        "{error}"
    );
}

#[test]
fn aggregate_identity() {
    // The aggregate is that of the one non-signer alone: nothing is left.
    let error = bad_table(|o, h| h.aggregate_key = o[0].bls_public_key);
    assert_eq!(error, CertificateError::AggregateIdentity);
}

#[test]
fn quorum_unknown() {
    let table = Table::usual();
    let everybody: Vec<_> = (0..7).map(OperatorIndex).collect();
    let certificate = table.certify(&everybody, &[0, 5]);
    let error = CertificateError::QuorumUnknown { quorum: 5 };
    assert_eq!(
        with_table(&certificate, &table, &policy()),
        Err(error.clone())
    );
    let portable = certificate.to_portable(&table).unwrap();
    assert_eq!(with_root(&portable, &table.root(), &policy()), Err(error));
}

#[test]
fn threshold() {
    // 100 + 90 + 60 of 460 are 54.3 %, below 55; 100 + 90 + 60 + 10 are 56.5 %.
    let table = Table::usual();
    let with = |stakes: &[u64]| -> Vec<OperatorIndex> {
        (0..7)
            .map(OperatorIndex)
            .filter(|&i| {
                stakes
                    .iter()
                    .any(|s| table.operators[i.0 as usize].stake(0) == Stake::from(*s))
            })
            .collect()
    };
    let short = table.certify(&with(&[100, 90, 60]), &[0]);
    let expected = CertificateError::Threshold {
        quorum: 0,
        signed: Stake::from(250),
        total: Stake::from(460),
        needed: Stake::from(253),
        percent: 55,
    };
    assert_eq!(with_table(&short, &table, &policy()), Err(expected.clone()));
    let portable = short.to_portable(&table).unwrap();
    assert_eq!(
        with_root(&portable, &table.root(), &policy()),
        Err(expected.clone())
    );
    assert_eq!(
        expected.to_string(),
        "quorum 0: stake 250 of 460 signed, needed are 253 (55 %)"
    );
    assert_eq!(expected.code(), "certificate.threshold");

    let enough = table.certify(&with(&[100, 90, 60, 10]), &[0]);
    with_table(&enough, &table, &policy()).unwrap();
    // Enough in one quorum is not enough in the other: of quorum 1 only 30 of 100 signed.
    let one_sided = table.certify(&with(&[100, 90, 60, 10]), &[0, 1]);
    let error = with_table(&one_sided, &table, &policy()).unwrap_err();
    assert!(
        matches!(error, CertificateError::Threshold { quorum: 1, .. }),
        "{error}"
    );
    // A reader may ask for more than the version does.
    let strict = CertificatePolicy {
        min_confirmation_percent: 57,
        ..policy()
    };
    let error = with_table(&enough, &table, &strict).unwrap_err();
    assert!(
        matches!(error, CertificateError::Threshold { percent: 57, .. }),
        "{error}"
    );
    let lax = CertificatePolicy {
        min_confirmation_percent: 1,
        ..policy()
    };
    assert_eq!(with_table(&short, &table, &lax), Err(expected));
}

#[test]
fn signature_malformed() {
    for bytes in [[0; 48], [0xff; 48]] {
        let error = refused_compact(|c, _| c.signature = SignatureBytes(bytes));
        assert!(
            matches!(error, CertificateError::SignatureMalformed(_)),
            "{error}"
        );
    }
    // Infinity is a point, and no signature.
    let mut infinity = [0; 48];
    infinity[0] = 0xc0;
    let error = refused_portable(|c, _| c.signature = SignatureBytes(infinity));
    assert!(
        matches!(error, CertificateError::SignatureMalformed(_)),
        "{error}"
    );
}

#[test]
fn signature_invalid() {
    // Of fewer than the bitmap says, of another batch, of other signers.
    let fewer = refused_compact(|c, t| t.sign(c, &most(t)[1..]));
    assert_eq!(fewer, CertificateError::SignatureInvalid);
    let other_batch = refused_compact(|c, t| {
        let mut other = c.clone();
        other.batch_header.sequence.0 += 1;
        t.sign(&mut other, &most(t));
        c.signature = other.signature;
    });
    assert_eq!(other_batch, CertificateError::SignatureInvalid);
    // The same signature under the next sequence number.
    let other_header = refused_portable(|c, _| c.batch_header.sequence.0 += 1);
    assert_eq!(other_header, CertificateError::SignatureInvalid);
    // A non-signer left out is taken for a signer.
    let left_out = refused_portable(|c, _| {
        witnesses(c).pop();
    });
    assert_eq!(left_out, CertificateError::SignatureInvalid);
}

#[test]
fn conversions() {
    let table = Table::usual();
    let other = Table::new(&[(1, 0), (2, 0)]);
    let certificate = table.certify(&most(&table), &[0]);
    assert_eq!(
        certificate.to_portable(&other).unwrap_err().code(),
        "certificate.table_root"
    );
    let mut long = certificate.clone();
    long.attestation = Attestation::Compact {
        signers: Bitmap::new(8),
    };
    assert_eq!(
        long.to_portable(&table).unwrap_err(),
        ConversionError::BitmapLength {
            got: 8,
            expected: 7
        }
    );
    let mut outside = certificate.to_portable(&table).unwrap();
    witnesses(&mut outside)[0].index = OperatorIndex(7);
    assert_eq!(
        outside.to_compact().unwrap_err(),
        ConversionError::WitnessIndex { expected: 7 }
    );
    // Nothing to do is no error.
    assert_eq!(certificate.to_compact().unwrap(), certificate);
}

#[test]
fn undecodable_bytes() {
    let table = Table::usual();
    let compact = table.certify(&most(&table), &[0]).to_bytes();
    let portable = table
        .certify(&most(&table), &[0])
        .to_portable(&table)
        .unwrap()
        .to_bytes();
    let code = |bytes: &[u8]| Certificate::from_bytes(bytes).unwrap_err().code();
    let patched = |bytes: &[u8], at: usize, with: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[at..at + with.len()].copy_from_slice(with);
        bytes
    };

    for bytes in [&compact, &portable] {
        assert_eq!(code(&[]), "certificate.magic");
        for cut in 4..bytes.len() {
            assert_eq!(
                code(&bytes[..cut]),
                "certificate.truncated",
                "cut to {cut} bytes"
            );
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(code(&longer), "certificate.trailing");
        assert_eq!(code(&patched(bytes, 0, b"x")), "certificate.magic");
        assert_eq!(code(&patched(bytes, 4, &[1])), "certificate.format");
        assert_eq!(code(&patched(bytes, 5, &[2])), "certificate.form");
        assert_eq!(code(&patched(bytes, 6, &[0, 9])), "version.unknown");
        assert_eq!(code(&patched(bytes, 8, &[9])), "header.encoding");
        assert_eq!(code(&patched(bytes, 17, &[0, 0, 0, 1])), "header.rows");
        // Counts: quorums at 85, path at 119.
        assert_eq!(code(&patched(bytes, 85, &[17])), "certificate.limit");
        assert_eq!(code(&patched(bytes, 119, &[33])), "certificate.limit");
    }
    assert_eq!(
        code(&vec![0; MAX_CERTIFICATE_BYTES + 1]),
        "certificate.too_long"
    );
    // The bitmap's count is 51 bytes from the end: 2 + 1 + 48.
    let bitmap = compact.len() - 51;
    assert_eq!(
        code(&patched(&compact, bitmap, &[0x10, 0x01])),
        "certificate.limit"
    );
    assert_eq!(
        code(&patched(&compact, bitmap + 2, &[0x80])),
        "certificate.stray_bits"
    );
    // More non-signers than operators, and an address that is no text.
    let table_header = 120 + 64 + 64 + 70;
    let versions = table_header + 32 + 8;
    assert_eq!(
        code(&patched(&portable, versions, &[17])),
        "certificate.limit"
    );
    let operators = versions + 1 + 2;
    assert_eq!(
        code(&patched(&portable, operators, &[0, 0, 0, 0])),
        "certificate.limit"
    );
    assert_eq!(
        code(&patched(&portable, operators, &[0, 1, 0, 0])),
        "certificate.limit"
    );
    let totals = operators + 4 + 64 + 96;
    assert_eq!(
        code(&patched(&portable, totals, &[1, 1])),
        "certificate.limit"
    );
    let non_signer = totals + 2 + 2 * 33 + 2;
    let address = non_signer + 4 + 32 + 96 + 32;
    assert_eq!(
        code(&patched(&portable, address, &[1, 5])),
        "certificate.limit"
    );
    assert_eq!(
        code(&patched(&portable, address + 2, &[0xff])),
        "certificate.text"
    );
}
