#![no_main]
//! Certificates: decoding is canonical, and nothing but the three operators' certificate passes the check.

use ashlar_fuzz::table;
use ashlar_proto::{
    Certificate, CertificatePolicy, MaxAge, RequiredQuorums, TrustedTable, verify_certificate,
    verify_portable,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(certificate) = Certificate::from_bytes(data) else {
        return;
    };
    assert_eq!(
        certificate.to_bytes(),
        data,
        "a certificate has one encoding"
    );
    let policy = CertificatePolicy::new(
        table().domain(),
        RequiredQuorums::all([0]),
        MaxAge::Unbounded,
    );
    let trusted = TrustedTable::trust_on_my_own_word(table());
    let checked = [
        verify_certificate(&certificate, &trusted, &policy),
        verify_portable(&certificate, &trusted.trusted_root(), &policy),
    ];
    for verified in checked.into_iter().flatten() {
        let (batch, _) = ashlar_fuzz::batch();
        assert_eq!(
            verified.batch_header(),
            &batch,
            "a batch that nobody signed"
        );
    }
    let _ = certificate
        .to_portable(table())
        .map(|portable| portable.to_bytes());
    let _ = certificate.to_compact().map(|compact| compact.to_bytes());
});
