//! Reading RFC 9457 problem documents: what the disperser says when it refuses.

use ashlar_crypto::Blame;
pub use ashlar_proto::api::Problem;
use ashlar_proto::wire::cut_text;
use serde_json::Value;

/// Most bytes of an error answer that are read.
pub const MAX_PROBLEM_BYTES: usize = 64 << 10;

/// Longest text that is kept of a problem's member, bytes.
const MAX_TEXT: usize = 1000;

/// Makes a problem of an error answer. A proxy in front of the disperser may answer in its own way: what is missing or
/// has another shape is filled in from the status. Texts are cut and control characters are replaced, because they are
/// shown in terminals.
#[must_use]
pub fn parse(status: u16, content_type: Option<&str>, body: &[u8]) -> Problem {
    let is_json = content_type.is_some_and(|kind| {
        let kind = kind.split_once(';').map_or(kind, |(kind, _)| kind).trim();
        kind.eq_ignore_ascii_case("application/problem+json")
            || kind.eq_ignore_ascii_case("application/json")
    });
    let document = is_json
        .then(|| serde_json::from_slice::<Value>(body).ok())
        .flatten();
    let field = |name: &str| {
        document
            .as_ref()
            .and_then(|document| text(document.get(name)?))
    };
    let code = field("code").unwrap_or_else(|| format!("http.{status}"));
    let blame = match field("blame").as_deref() {
        Some("caller") => Blame::Caller,
        Some("peer") => Blame::Peer,
        Some("us") => Blame::Us,
        _ if (400..500).contains(&status) => Blame::Caller,
        _ => Blame::Us,
    };
    let detail = field("detail").unwrap_or_else(|| {
        let line = String::from_utf8_lossy(body);
        let line = line.lines().next().map_or("", str::trim);
        if document.is_some() || line.is_empty() {
            format!("HTTP status {status}")
        } else {
            cut_text(line, 200)
        }
    });
    let mut problem = Problem::new(status, &code, blame, detail);
    if let Some(kind) = field("type") {
        problem.kind = kind;
    }
    if let Some(title) = field("title") {
        problem.title = title;
    }
    problem.instance = field("instance");
    problem.got = field("got");
    problem.expected = field("expected");
    problem
}

/// Strings as they are, numbers and the like as JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(cut_text(text, MAX_TEXT)),
        other => Some(cut_text(&other.to_string(), MAX_TEXT)),
    }
}

#[cfg(test)]
mod tests;
