#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn ages_are_read_and_written() {
    for (text, seconds) in [
        ("14d", 14 * DAY),
        ("36h", 36 * 3600),
        ("10m", 600),
        ("90s", 90),
        ("1d", DAY),
    ] {
        let age: Age = text.parse().unwrap();
        assert_eq!(age, Age::Most(Duration::from_secs(seconds)));
        assert_eq!(age.to_string().parse::<Age>().unwrap(), age);
    }
    assert_eq!("unbounded".parse::<Age>().unwrap(), Age::Unbounded);
    let bad = [
        "",
        "d",
        "14",
        "14w",
        "-1d",
        "1.5h",
        "14 d",
        "any",
        "unboundedd",
        "99999999999999999999d",
        "999999999999999999d",
        "ä",
    ];
    for text in bad {
        assert!(text.parse::<Age>().is_err(), "{text}");
    }
}

#[test]
fn quorums_are_read_and_written() {
    assert_eq!("0".parse::<Quorums>().unwrap(), Quorums::These(vec![0]));
    let two: Quorums = "0, 1".parse().unwrap();
    assert_eq!(two, Quorums::These(vec![0, 1]));
    assert_eq!(two.to_string(), "0,1");
    assert_eq!("any".parse::<Quorums>().unwrap(), Quorums::Any);
    for text in ["", ",", "0,", "256", "-1", "all", "0;1"] {
        assert!(text.parse::<Quorums>().is_err(), "{text}");
    }
}

#[test]
fn a_devnets_file_has_to_say_both() {
    let written = serde_json::to_string(&ReaderDefaults::devnet()).unwrap();
    assert_eq!(written, r#"{"required_quorums":"0","max_age":"14d"}"#);
    let read: ReaderDefaults = serde_json::from_str(&written).unwrap();
    assert_eq!(read, ReaderDefaults::devnet());
    for missing in [
        "{}",
        r#"{"max_age":"14d"}"#,
        r#"{"required_quorums":"0"}"#,
        r#"{"required_quorums":"","max_age":"14d"}"#,
        r#"{"required_quorums":"0","max_age":""}"#,
    ] {
        assert!(
            serde_json::from_str::<ReaderDefaults>(missing).is_err(),
            "{missing}"
        );
    }
}
