#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn names_become_codes() {
    for (name, code) in [
        ("Empty", "empty"),
        ("NotAKey", "not_a_key"),
        ("Sha2", "sha2"),
    ] {
        assert_eq!(snake_case(name), code);
    }
}

#[test]
fn mistakes_are_answered_with_what_to_write() {
    for (input, expected) in [
        (
            quote!(
                #[coded(blame = Us)]
                enum E {
                    A,
                }
            ),
            "write \"area.a\"",
        ),
        (
            quote!(
                #[coded("s", blame = Us)]
                struct S;
            ),
            "write \"area.s\"",
        ),
        (
            quote!(
                #[coded(prefix = "e")]
                enum E {
                    A,
                }
            ),
            "Write #[coded(blame = Caller)]",
        ),
        (
            quote!(
                #[coded(prefix = "E")]
                enum E {
                    A,
                }
            ),
            "`E.a` is not of the form",
        ),
        (
            quote!(
                #[coded("a..b")]
                struct S;
            ),
            "`a..b` is not of the form",
        ),
        (
            quote!(
                #[coded(blame = Them)]
                enum E {
                    A,
                }
            ),
            "write `Caller`, `Peer`, `Us`",
        ),
        (
            quote!(
                #[coded(blame = )]
                enum E {
                    A,
                }
            ),
            "a value is missing",
        ),
        (
            quote!(
                #[coded(blme = Us)]
                enum E {
                    A,
                }
            ),
            "expected \"name\"",
        ),
        (
            quote!(
                #[coded(blame = Us, blame = Us)]
                enum E {
                    A,
                }
            ),
            "said twice",
        ),
        (
            quote!(
                #[coded("e.e")]
                enum E {
                    A,
                }
            ),
            "belong to the variants",
        ),
        (
            quote!(
                enum E {
                    #[coded("a.b", transparent)]
                    A(B),
                }
            ),
            "exclude each other",
        ),
        (
            quote!(
                enum E {
                    #[coded(transparent)]
                    A(B, C),
                }
            ),
            "transparent to which field?",
        ),
        (
            quote!(
                enum E {
                    #[error(transparent)]
                    A,
                }
            ),
            "transparent to which field?",
        ),
        (quote!(union U { a: u8 }), "a union is no error"),
    ] {
        let input = syn::parse2(input).unwrap();
        let answer = expand(&input).unwrap_err().to_string();
        assert!(answer.contains(expected), "{expected} is not in {answer}");
    }
}
