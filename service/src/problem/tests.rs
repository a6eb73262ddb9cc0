#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn a_problem_document_is_read_whole() {
    let sent = Problem::new(413, "payload.too_large", Blame::Caller, "at most 16 MiB")
        .with(17_825_792, "at most 16777216")
        .at("/v1/blobs");
    let body = serde_json::to_vec(&sent).unwrap();
    let kind = Some("application/problem+json; charset=utf-8");
    assert_eq!(parse(413, kind, &body), sent);
    let numbers = br#"{"code":"payload.too_large","got":17,"expected":[1,2]}"#;
    let problem = parse(413, kind, numbers);
    assert_eq!(problem.got.as_deref(), Some("17"));
    assert_eq!(problem.expected.as_deref(), Some("[1,2]"));
}

#[test]
fn anything_else_still_gives_a_problem() {
    for (kind, body, detail) in [
        (None, &b""[..], "HTTP status 502"),
        (
            Some("text/html"),
            b"<h1>Bad gateway</h1>\nmore",
            "<h1>Bad gateway</h1>",
        ),
        (Some("application/problem+json"), b"{not json", "{not json"),
        (Some("application/json"), b"[1,2]", "HTTP status 502"),
        (Some("text/plain"), b"\x1b[31mred", "?[31mred"),
    ] {
        let problem = parse(502, kind, body);
        assert_eq!(problem.code, "http.502");
        assert_eq!(problem.detail, detail, "{kind:?}");
        assert_eq!(problem.blame, Blame::Us);
    }
    let odd = parse(
        400,
        Some("application/json"),
        br#"{"code":7,"blame":"nobody","title":null}"#,
    );
    assert_eq!((odd.code.as_str(), odd.blame), ("7", Blame::Caller));
}

#[test]
fn long_texts_are_cut() {
    assert_eq!(
        parse(500, Some("text/plain"), &[b'a'; 5000]).detail.len(),
        200
    );
    let body = format!(r#"{{"detail":"{}"}}"#, "é".repeat(5000));
    let problem = parse(500, Some("application/json"), body.as_bytes());
    assert!(problem.detail.len() <= MAX_TEXT && problem.detail.len() > MAX_TEXT - 2);
}
