#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

#[test]
fn three_ways_to_write_a_share() {
    for text in ["11/20", "0.55", "55%", "55.0%", "0.550", "22/40"] {
        assert_eq!(
            text.parse::<Fraction>().unwrap(),
            Fraction::new(11, 20).unwrap(),
            "{text}"
        );
    }
    assert_eq!("1".parse(), Ok(Fraction::ONE));
    assert_eq!("100%".parse(), Ok(Fraction::ONE));
    assert_eq!("0.055%".parse(), Fraction::new(55, 100_000));
}

#[test]
fn what_is_no_share() {
    for text in [
        "",
        "/",
        "1/",
        "/2",
        "x",
        "-1/2",
        "+1/2",
        "0x1/2",
        ".5",
        "5.",
        "1.2.3",
        "1/2/3",
        "%",
        " 1/2",
        "0.5 ",
        "1e-3",
        "1234567890123456789",
        "0.1234567890123456789",
        "½",
    ] {
        assert!(
            matches!(
                text.parse::<Fraction>(),
                Err(FractionError::Malformed { .. })
            ),
            "{text}"
        );
    }
    for text in ["0", "0/5", "1/0", "0/0", "3/2", "1.01", "101%", "0%"] {
        let error = text.parse::<Fraction>().unwrap_err();
        assert_eq!(error.code(), "fraction.range", "{text}");
    }
}

#[test]
fn four_decimals_are_rounded_down() {
    let number = |a: i64, b: i64| Rational::new(a.into(), b.into());
    assert_eq!(decimal(&number(2, 3)), "0.6666");
    assert_eq!(decimal(&number(-2, 3)), "-0.6667");
    assert_eq!(decimal(&number(7, 1)), "7.0000");
    assert_eq!(decimal(&number(1, 100_000)), "0.0000");
    assert_eq!(decimal(&number(-1, 100_000)), "-0.0001");
    assert_eq!(describe(&number(3, 17)), "3/17 = 0.1764");
    assert_eq!(describe(&number(3, 1)), "3.0000");
}

#[test]
fn slacks_are_ordered_and_unbounded_is_the_greatest() {
    let finite = |a: i64| Slack::Finite(Rational::from_integer(a.into()));
    assert!(
        finite(-1) < finite(0)
            && finite(0) < finite(1_000_000)
            && finite(1_000_000) < Slack::Unbounded
    );
    assert!(!finite(0).is_positive() && Slack::Unbounded.is_positive());
    assert_eq!(serde_json::to_string(&finite(2)).unwrap(), "\"2\"");
    assert_eq!(
        serde_json::to_string(&Slack::Unbounded).unwrap(),
        "\"unbounded\""
    );
}

proptest! {
    #[test]
    fn text_and_json_come_back(a in 1u64..1_000_000, b in 0u64..1_000_000) {
        let share = Fraction::new(a, a + b).unwrap();
        prop_assert_eq!(share.to_string().parse(), Ok(share));
        let json = serde_json::to_string(&share).unwrap();
        prop_assert_eq!(serde_json::from_str::<Fraction>(&json).unwrap(), share);
    }

    #[test]
    fn no_text_panics(text in "[0-9./% a-]{0,24}") {
        let _ = text.parse::<Fraction>();
    }
}
