#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn names_become_codes() {
    for (name, code) in [("Empty", "empty"), ("NotAKey", "not_a_key")] {
        assert_eq!(snake_case(name), code);
    }
}

#[test]
fn mistakes_are_answered_with_what_to_write() {
    for (input, expected) in [
        ("#[coded(blame = Us)] enum E { A }", "write \"area.a\""),
        (r#"#[coded("s")] struct S;"#, "write \"area.s\""),
        (
            r#"#[coded("a.b")] struct S;"#,
            "Write #[coded(blame = Caller)]",
        ),
        (
            r#"#[coded(prefix = "E")] enum E { A }"#,
            "`E.a` is not of the form",
        ),
        (r#"#[coded("a..b")] struct S;"#, "`a..b` is not of the form"),
        (
            "#[coded(blame = Them)] struct S;",
            "write `Caller`, `Peer`, `Us`",
        ),
        ("#[coded(blame = )] struct S;", "a value is missing"),
        (
            "#[coded(prefix = e)] enum E { A }",
            "expected string literal",
        ),
        (
            "#[coded(blme = Us)] struct S;",
            "expected \"name\", `prefix",
        ),
        ("#[coded(blame = Us, blame = Us)] struct S;", "said twice"),
        (r#"#[coded("e.e")] enum E { A }"#, "belong to the variants"),
        (
            r#"#[coded("a.b", transparent)] struct S(A);"#,
            "exclude each other",
        ),
        (
            "#[coded(transparent)] struct S(A, B);",
            "transparent to which field?",
        ),
        (
            "#[error(transparent)] struct S;",
            "transparent to which field?",
        ),
        ("union U { a: u8 }", "a union is no error"),
    ] {
        let answer = syn::parse_str(input).and_then(|input| expand(&input));
        let answer = answer.unwrap_err().to_string();
        assert!(answer.contains(expected), "{expected} is not in {answer}");
    }
}
