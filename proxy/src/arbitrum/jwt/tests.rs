#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn token(secret: [u8; 32], alg: &str, claims: &str) -> Vec<u8> {
    let head = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#));
    let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("Bearer {signed}.{signature}").into_bytes()
}

#[test]
fn only_tokens_of_the_secret_and_of_now_are_good() {
    let secret = Secret::of([7; 32]);
    let now = 1_800_000_000;
    let good = token([7; 32], "HS256", r#"{"iat":1800000000}"#);
    assert!(secret.has_signed(&good, now));
    assert!(secret.has_signed(&good, now + 60));
    assert!(!secret.has_signed(&good, now + 61));
    assert!(!secret.has_signed(&good, now - 61));
    for bad in [
        token([8; 32], "HS256", r#"{"iat":1800000000}"#),
        token([7; 32], "none", r#"{"iat":1800000000}"#),
        token([7; 32], "HS256", r#"{"iat":1800000000,"exp":1799999999}"#),
        token([7; 32], "HS256", "{}"),
        good[7..].to_vec(),
        b"Bearer a.b.c".to_vec(),
        b"Bearer ".to_vec(),
        vec![0xff; 10],
        [good.clone(), vec![b'A'; 5000]].concat(),
    ] {
        assert!(
            !secret.has_signed(&bad, now),
            "{}",
            String::from_utf8_lossy(&bad)
        );
    }
}

#[test]
fn a_secret_is_32_bytes_in_hexadecimal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    for (text, is_good) in [
        ("0x".to_owned() + &"07".repeat(32) + "\n", true),
        ("07".repeat(31), false),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(Secret::read(&file).is_ok(), is_good);
    }
    assert!(Secret::read(&folder.path().join("none")).is_err());
}
