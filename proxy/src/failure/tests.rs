#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_proto::certificate::CertificateDecodeError;
use ashlar_proto::{Block, QuorumId};
use ashlar_stake::StakeError;

use super::*;

fn rule(error: ClientError) -> Option<Rule> {
    match Failure::of_get(&error) {
        Failure::Invalid { rule, .. } => Some(rule),
        Failure::Later { .. } => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn clocks_tables_and_networks_never_make_a_certificate_invalid() {
    let refused = |error| rule(ClientError::Certificate(error));
    let old = |unit| CertificateError::Expired {
        got: 9,
        expected: 1,
        unit,
    };
    let young = |unit| CertificateError::FromTheFuture {
        got: 9,
        now: 1,
        unit,
    };
    assert_eq!(refused(old("ms")), None);
    assert_eq!(refused(young("ms")), None);
    assert_eq!(refused(CertificateError::NoQuorumRequired), None);
    let (block, head) = (Block(1), Block(2));
    assert_eq!(
        rule(ClientError::Table(StakeError::UnknownBlock { block, head })),
        None
    );
    assert_eq!(rule(ClientError::Internal("a bug".into())), None);
    assert_eq!(rule(ClientError::NoDisperser), None);

    assert_eq!(refused(old("blocks")), Some(Rule::Recency));
    assert_eq!(refused(young("blocks")), Some(Rule::Recency));
    assert_eq!(
        refused(CertificateError::SignatureInvalid),
        Some(Rule::Certificate)
    );
    let quorum: QuorumId = 1;
    let got = vec![0];
    assert_eq!(
        refused(CertificateError::QuorumMissing { quorum, got }),
        Some(Rule::Certificate)
    );
    let malformed = CertificateDecodeError::Magic;
    assert_eq!(
        rule(ClientError::CertificateMalformed(malformed)),
        Some(Rule::Form)
    );
}
