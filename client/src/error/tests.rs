#![allow(clippy::unwrap_used)]

use ashlar_crypto::Blame;
use ashlar_proto::BlobKey;
use ashlar_retriever::Report;

use super::*;

fn refused(status: u16) -> ClientError {
    ClientError::Refused {
        problem: Box::new(Problem::new(status, "a.code", Blame::Us, "words")),
        retry_after: Some(Duration::from_secs(3)),
    }
}

fn failed(code: &str) -> ClientError {
    ClientError::Failed(StatusError {
        code: code.to_owned(),
        message: String::new(),
    })
}

fn unread(kind: RetrieveErrorKind) -> ClientError {
    let report = Box::new(Report::new(BlobKey([0; 32]), 1));
    ClientError::Retrieve(RetrieveError { kind, report })
}

#[test]
fn errors_say_whether_the_same_call_may_succeed_later() {
    let late = RetrieveErrorKind::TooFewSlices {
        good: 1,
        needed: 2,
        reachable: 1,
    };
    let again = [
        refused(429),
        refused(503),
        refused(500),
        refused(409),
        failed("dispersal.deadline"),
        unread(late),
    ];
    for error in &again {
        assert!(error.retryable(), "{error}");
    }
    let never = [
        refused(400),
        refused(413),
        refused(404),
        failed("claim.mismatch"),
        failed("payload.non_canonical"),
        unread(RetrieveErrorKind::NoSource { wanted: "relay" }),
        ClientError::NoDisperser,
        ClientError::Internal("a bug".to_owned()),
    ];
    for error in &never {
        assert!(!error.retryable(), "{error}");
    }
    assert_eq!(refused(429).retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(failed("x").retry_after(), None);

    // Of several dispersers one is enough.
    let tried = |errors: &[ClientError]| ClientError::EveryDisperser {
        tried: errors
            .iter()
            .map(|error| PassedOver::new("http://somewhere".to_owned(), error))
            .collect(),
    };
    assert!(tried(&[refused(413), refused(503)]).retryable());
    assert!(!tried(&[refused(413), refused(400)]).retryable());
    let text = tried(&[refused(413), failed("dispersal.deadline")]).to_string();
    assert!(text.contains("[a.code]; http://somewhere"), "{text}");
    assert!(text.contains("[dispersal.deadline]"), "{text}");
}
