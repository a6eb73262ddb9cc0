#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::{Account, BlobKey};

#[test]
fn one_text_for_one_id() {
    let key = BlobKey([0xab; 32]);
    let text = key.to_string();
    assert_eq!(text, format!("0x{}", "ab".repeat(32)));
    assert_eq!(text.parse(), Ok(key));
    assert_eq!(serde_json::to_string(&key).unwrap(), format!("\"{text}\""));
    for bad in [
        text[2..].to_owned(),
        text.to_uppercase(),
        text.replace("ab", "AB"),
        text[..64].to_owned(),
        format!("{text}00"),
        text.replace('b', "g"),
        format!("{text} "),
        String::new(),
    ] {
        assert!(bad.parse::<BlobKey>().is_err(), "{bad:?}");
        assert!(
            serde_json::from_value::<BlobKey>(bad.clone().into()).is_err(),
            "{bad:?}"
        );
    }
}

#[test]
fn the_error_says_what_came() {
    let error = "0x12".parse::<Account>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "account: expected 0x and 40 lower-case hexadecimal digits, got 2 digits"
    );
}

proptest! {
    #[test]
    fn text_round_trip(bytes in any::<[u8; 32]>()) {
        prop_assert_eq!(BlobKey(bytes).to_string().parse(), Ok(BlobKey(bytes)));
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,80}") {
        if let Ok(key) = text.parse::<BlobKey>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }
}
