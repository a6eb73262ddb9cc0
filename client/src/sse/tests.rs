#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn all(stream: &str) -> Vec<(String, String, String)> {
    let mut parser = Parser::new();
    parser
        .feed(stream.as_bytes())
        .unwrap()
        .into_iter()
        .map(|event| (event.name, event.data, event.id))
        .collect()
}

fn event(name: &str, data: &str, id: &str) -> (String, String, String) {
    (name.into(), data.into(), id.into())
}

#[test]
fn the_examples_of_the_standard() {
    assert_eq!(
        all(
            "data: This is the first message.\n\ndata: second\ndata: line 2\n\nevent: add\ndata: 73857293\n\n"
        ),
        [
            event("message", "This is the first message.", ""),
            event("message", "second\nline 2", ""),
            event("add", "73857293", ""),
        ]
    );
    assert_eq!(
        all(
            ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n"
        ),
        [
            event("message", "first event", "1"),
            event("message", "second event", ""),
            event("message", " third event", ""),
        ]
    );
    // An event that the stream does not complete is dropped.
    assert_eq!(
        all("data\n\ndata\ndata\n\ndata:"),
        [event("message", "", ""), event("message", "\n", "")]
    );
    assert_eq!(
        all("data:test\n\ndata: test\n\n"),
        [event("message", "test", ""), event("message", "test", "")]
    );
}

#[test]
fn all_line_ends_and_a_byte_order_mark() {
    for end in ["\n", "\r", "\r\n"] {
        let stream = format!("\u{feff}event: a{end}data: 1{end}{end}data: 2{end}{end}");
        assert_eq!(
            all(&stream),
            [event("a", "1", ""), event("message", "2", "")],
            "{end:?}"
        );
    }
}

#[test]
fn the_cut_into_reads_does_not_matter() {
    let stream =
        "event: certified\r\ndata: {\"a\":1}\r\ndata: é\r\n\r\n: keep-alive\n\nid: 7\ndata: x\n\n";
    let whole = Parser::new().feed(stream.as_bytes()).unwrap();
    assert_eq!(whole.len(), 2);
    for step in 1..12 {
        let mut parser = Parser::new();
        let mut events = Vec::new();
        for part in stream.as_bytes().chunks(step) {
            events.extend(parser.feed(part).unwrap());
        }
        assert_eq!(events, whole, "{step} bytes at a time");
    }
}

#[test]
fn unknown_fields_and_bad_retries_are_ignored() {
    let mut parser = Parser::new();
    let events = parser
        .feed(b"colour: red\nretry: 12x\nid: a\0b\ndata: 1\n\n")
        .unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].id, "");
    assert_eq!(parser.retry_ms(), None);
    parser.feed(b"retry: 250\n\n").unwrap();
    assert_eq!(parser.retry_ms(), Some(250));
}

#[test]
fn memory_is_bounded_and_comments_do_not_count() {
    let mut parser = Parser::new();
    let mut fed = 0;
    let error = loop {
        match parser.feed(b"data: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n") {
            Ok(_) => fed += 1,
            Err(error) => break error,
        }
        assert!(fed < 10_000, "never refused");
    };
    assert_eq!(error.code(), "sse.too_large");
    let mut parser = Parser::new();
    for _ in 0..10_000 {
        assert!(
            parser
                .feed(b": still here, nothing new for you\n")
                .unwrap()
                .is_empty()
        );
    }
    let mut parser = Parser::new();
    assert_eq!(
        parser.feed(&vec![b'x'; MAX_EVENT_BYTES + 1]),
        Err(SseError::TooLarge)
    );
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    assert_eq!(
        Parser::new().feed(b"data: \xff\n").unwrap_err().code(),
        "sse.not_text"
    );
}
