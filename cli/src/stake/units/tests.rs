use super::*;

#[test]
fn amounts_are_exact() {
    for (text, wei) in [
        ("7", "7"),
        ("7wei", "7"),
        ("0.000000001gwei", "1"),
        ("1.5eth", "1500000000000000000"),
        ("32 eth", "32000000000000000000"),
        ("0.000000000000000001ether", "1"),
        ("0", "0"),
    ] {
        assert_eq!(amount(text).unwrap().to_string(), wei, "{text}");
    }
    for text in [
        "",
        "1.5",
        "-1",
        "1e18",
        "1.0000000000000000001eth",
        "1.eth",
        ".5eth",
        "1 000",
        "1btc",
    ] {
        assert!(amount(text).is_err(), "{text}");
    }
    let huge = "9".repeat(79);
    assert!(amount(&huge).is_err());
}

#[test]
fn parts_are_never_ambiguous() {
    assert_eq!(wad("50%").unwrap(), Wad::percent(50));
    assert_eq!(wad("0.5").unwrap(), Wad::percent(50));
    assert_eq!(wad("1.0").unwrap(), Wad::ONE);
    assert_eq!(wad("100%").unwrap(), Wad::ONE);
    assert_eq!(wad("1wad").unwrap(), Wad(1));
    assert_eq!(wad("0.0000000000000001%").unwrap(), Wad(1));
    for text in ["1", "", "%", "101%", "1.1", "0.00000000000000001%", "-1%"] {
        assert!(wad(text).is_err(), "{text}");
    }
    assert_eq!(basis_points("2.5%", 10_000).unwrap(), 250);
    assert_eq!(basis_points("250", 10_000).unwrap(), 250);
    assert!(basis_points("10001", 10_000).is_err());
    assert!(basis_points("2.555%", 10_000).is_err());
}

#[test]
fn what_is_shown_can_be_read_back() {
    for wei in ["0", "1", "1500000000000000000", "32000000000000000000"] {
        let value: Amount = wei.parse().unwrap();
        assert_eq!(decimal(&whole(value)).unwrap(), value);
    }
    assert_eq!(ether(Amount::ether(32)), "32 ETH");
    assert_eq!(percent(Wad(125_000_000_000_000_000)), "12.5 %");
    assert_eq!(bps_percent(1000), "10 %");
    assert_eq!(ratio(Amount::ether(3), Amount::ether(2)), "1.5");
    assert_eq!(ratio(Amount::ether(3), Amount::ZERO), "-");
    assert_eq!(short("0x11"), "0x11");
    assert_eq!(short("0x0123456789abcdef0123456789"), "0x01234567…6789");
}
