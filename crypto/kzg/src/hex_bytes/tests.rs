#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;
use crate::Blame;

#[test]
fn reads_what_people_paste() {
    assert_eq!(parse_hex::<2>("0x0aFf"), Ok([0x0a, 0xff]));
    assert_eq!(parse_hex::<2>("0aff"), Ok([0x0a, 0xff]));
}

#[test]
fn says_what_is_wrong() {
    assert_eq!(
        parse_hex::<2>("0x0aff0"),
        Err(HexError::Length {
            expected: 2,
            got: 5
        })
    );
    assert_eq!(
        parse_hex::<2>(""),
        Err(HexError::Length {
            expected: 2,
            got: 0
        })
    );
    assert_eq!(
        parse_hex::<2>("0x0x0a"),
        Err(HexError::Digit { found: 'x' })
    );
    assert_eq!(parse_hex::<2>("é0ff"), Err(HexError::Digit { found: 'é' }));
    assert_eq!(
        HexError::Length {
            expected: 2,
            got: 5
        }
        .to_string(),
        "expected 2 bytes of hex (4 digits), got 5 digits"
    );
    assert_eq!(
        HexError::Length {
            expected: 2,
            got: 5
        }
        .code(),
        "hex.length"
    );
    assert_eq!(HexError::Digit { found: 'x' }.code(), "hex.digit");
    assert_eq!(HexError::Digit { found: 'x' }.blame(), Blame::Caller);
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,80}") {
        let _ = parse_hex::<32>(&text);
    }

    #[test]
    fn round_trips(bytes: [u8; 32]) {
        prop_assert_eq!(parse_hex::<32>(&hex::encode(bytes)), Ok(bytes));
    }
}
