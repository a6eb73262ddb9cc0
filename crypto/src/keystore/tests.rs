#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

/// The password of the standard's test vectors, in mathematical letters, so that it only opens them when it is normalized.
const STANDARD_PASSWORD: &str = "\u{1d531}\u{1d522}\u{1d530}\u{1d531}\u{1d52d}\u{1d51e}\u{1d530}\u{1d530}\u{1d534}\u{1d52c}\u{1d52f}\u{1d521}\u{1f511}";
const STANDARD_SECRET: &str = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f";
const STANDARD_PUBLIC: &str = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07";

/// A test vector of EIP-2335, with its own derivation, checksum and ciphertext.
fn standard(kdf: Value, checksum: &str, message: &str, uuid: &str) -> Value {
    json!({
        "crypto": {
            "kdf": kdf,
            "checksum": { "function": "sha256", "params": {}, "message": checksum },
            "cipher": {
                "function": "aes-128-ctr",
                "params": { "iv": "264daa3f303d7259501c93d997d84fe6" },
                "message": message,
            },
        },
        "description": "This is a test keystore.",
        "pubkey": STANDARD_PUBLIC,
        "path": "m/12381/60/3141592653/589793238",
        "uuid": uuid,
        "version": 4,
    })
}

fn standard_scrypt() -> Value {
    let salt = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
    standard(
        json!({ "function": "scrypt", "params": { "dklen": 32, "n": 262144, "p": 1, "r": 8, "salt": salt }, "message": "" }),
        "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484",
        "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f",
        "1d85ae20-35c5-4611-98e8-aa14a633906f",
    )
}

fn standard_pbkdf2() -> Value {
    let salt = "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3";
    standard(
        json!({ "function": "pbkdf2", "params": { "dklen": 32, "c": 262144, "prf": "hmac-sha256", "salt": salt }, "message": "" }),
        "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1",
        "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad",
        "64625def-3331-4eea-ab6f-782f3ed16a83",
    )
}

const SECRET: [u8; 32] = [0x42; 32];

fn light(kind: KeyKind, password: &str) -> String {
    let public = match kind {
        KeyKind::Bls => bls::SecretKey::from_bytes(&SECRET)
            .unwrap()
            .public_key()
            .to_bytes()
            .0
            .to_vec(),
        KeyKind::Network => NetworkKey::from_seed(SECRET).public().0.to_vec(),
        KeyKind::Account => AccountKey::from_bytes(&SECRET).unwrap().address().to_vec(),
    };
    encrypt(
        kind,
        &SECRET,
        &public,
        password,
        [1; 32],
        [2; 16],
        [3; 16],
        Cost::Light,
    )
}

/// A keystore with one field set to something else.
fn with(pointer: &str, value: Value) -> String {
    let mut document: Value = serde_json::from_str(&light(KeyKind::Bls, "password")).unwrap();
    *document.pointer_mut(pointer).unwrap() = value;
    document.to_string()
}

fn refusal(json: &str) -> KeystoreError {
    decrypt(json, "password").unwrap_err()
}

#[test]
fn opens_the_scrypt_vector_of_the_standard() {
    let (kind, secret) = decrypt(&standard_scrypt().to_string(), STANDARD_PASSWORD).unwrap();
    assert_eq!(
        (kind, hex::encode(*secret)),
        (KeyKind::Bls, STANDARD_SECRET.to_owned())
    );
}

#[test]
fn opens_the_pbkdf2_vector_of_the_standard() {
    let (kind, secret) = decrypt(&standard_pbkdf2().to_string(), STANDARD_PASSWORD).unwrap();
    assert_eq!(
        (kind, hex::encode(*secret)),
        (KeyKind::Bls, STANDARD_SECRET.to_owned())
    );
    let summary = inspect(&standard_pbkdf2().to_string()).unwrap();
    assert_eq!(summary.uuid, "64625def-3331-4eea-ab6f-782f3ed16a83");
    assert_eq!(hex::encode(summary.public), STANDARD_PUBLIC);
}

#[test]
fn passwords_are_normalized_as_the_standard_says() {
    assert_eq!(
        hex::encode(normalize_password(STANDARD_PASSWORD).as_bytes()),
        "7465737470617373776f7264f09f9491"
    );
    // C0, C1 and delete go; other characters, spaces too, stay.
    assert_eq!(
        &*normalize_password("\u{1}a\t b\u{7f}\u{80}\u{9f}c\r\n"),
        "a bc"
    );
    // Composed and decomposed are the same.
    assert_eq!(normalize_password("\u{e9}"), normalize_password("e\u{301}"));
}

#[test]
fn both_kinds_round_trip() {
    for kind in [KeyKind::Bls, KeyKind::Network, KeyKind::Account] {
        let json = light(kind, "password");
        let (read, secret) = decrypt(&json, "password\n").unwrap();
        assert_eq!((read, *secret), (kind, SECRET));
        assert_eq!(inspect(&json).unwrap().kind, kind);
        assert_eq!(
            decrypt(&json, "Password"),
            Err(KeystoreError::WrongPassword)
        );
        assert_eq!(decrypt(&json, ""), Err(KeystoreError::WrongPassword));
    }
}

/// Keystores live on disks for years: what is written stays what it is.
#[test]
fn golden_keystore() {
    let written: Value = serde_json::from_str(&light(KeyKind::Network, "password")).unwrap();
    assert_eq!(written["version"], 4);
    assert_eq!(written["ashlar"], "network");
    assert_eq!(written["path"], "");
    assert_eq!(written["uuid"], "03030303-0303-4303-8303-030303030303");
    assert_eq!(
        written["pubkey"],
        hex::encode(NetworkKey::from_seed(SECRET).public().0)
    );
    assert_eq!(written["crypto"]["kdf"]["params"]["n"], 4096);
    assert_eq!(written["crypto"]["cipher"]["message"], GOLDEN_MESSAGE);
    assert_eq!(written["crypto"]["checksum"]["message"], GOLDEN_CHECKSUM);
}

const GOLDEN_MESSAGE: &str = "ce07bc4b313a30240fcb9437c376eb6b67b312a84800fb8f3d1bbb111d32e01d";
const GOLDEN_CHECKSUM: &str = "e4b7f6a990997732daad7ed300c2287a45959156f9dacb0d92b192b4de1645f1";

#[test]
fn standard_cost_is_that_of_the_standard() {
    assert_eq!(Cost::default(), Cost::Standard);
    assert_eq!(scrypt_params(Cost::Standard).n(), 262_144);
}

#[test]
fn refuses_what_is_no_keystore() {
    for text in ["", "{}", "[]", "null", "{\"crypto\":1}", "\u{0}"] {
        assert!(
            matches!(refusal(text), KeystoreError::Malformed { .. }),
            "{text:?}"
        );
        assert!(
            matches!(inspect(text), Err(KeystoreError::Malformed { .. })),
            "{text:?}"
        );
    }
    let long = " ".repeat(MAX_JSON_LEN + 1);
    assert_eq!(
        refusal(&long),
        KeystoreError::TooLarge {
            got: MAX_JSON_LEN + 1
        }
    );
}

#[test]
fn refuses_other_versions_kinds_and_functions() {
    assert_eq!(
        refusal(&with("/version", json!(3))),
        KeystoreError::Version { got: 3 }
    );
    assert!(matches!(
        refusal(&with("/ashlar", json!("rsa"))),
        KeystoreError::Malformed { .. }
    ));
    for (pointer, module) in [
        ("/crypto/kdf/function", "kdf"),
        ("/crypto/checksum/function", "checksum"),
        ("/crypto/cipher/function", "cipher"),
    ] {
        match refusal(&with(pointer, json!("rot13"))) {
            KeystoreError::Function {
                module: got,
                got: function,
                ..
            } => {
                assert_eq!((got, function.as_str()), (module, "rot13"));
            }
            other => panic!("{pointer}: {other}"),
        }
    }
    let mut prf = standard_pbkdf2();
    prf["crypto"]["kdf"]["params"]["prf"] = json!("hmac-md5");
    assert!(matches!(
        refusal(&prf.to_string()),
        KeystoreError::Function { module: "prf", .. }
    ));
    assert!(matches!(
        refusal(&with("/crypto/kdf/params", json!({}))),
        KeystoreError::Malformed { .. }
    ));
    assert!(matches!(
        refusal(&with("/crypto/kdf/params/n", json!(-1))),
        KeystoreError::Malformed { .. }
    ));
}

/// A keystore from somewhere else must not be able to take all memory, or minutes.
#[test]
fn refuses_parameters_out_of_bounds() {
    let parameter = |json: &str| match refusal(json) {
        KeystoreError::Parameter { name, got, .. } => (name, got),
        other => panic!("{other}"),
    };
    for n in [0, 1, 3, 4095, (1 << 24) + 2, 1 << 25, 1 << 63, u64::MAX] {
        assert_eq!(
            parameter(&with("/crypto/kdf/params/n", json!(n))),
            ("kdf.params.n", n)
        );
    }
    for r in [0, 65, u64::MAX] {
        assert_eq!(
            parameter(&with("/crypto/kdf/params/r", json!(r))),
            ("kdf.params.r", r)
        );
    }
    for p in [0, 65, u64::MAX] {
        assert_eq!(
            parameter(&with("/crypto/kdf/params/p", json!(p))),
            ("kdf.params.p", p)
        );
    }
    for dklen in [0, 16, 33, u64::MAX] {
        assert_eq!(
            parameter(&with("/crypto/kdf/params/dklen", json!(dklen))),
            ("kdf.params.dklen", dklen)
        );
    }
    let scrypt = |n: u64, r: u64, p: u64| {
        let mut document = standard_scrypt();
        document["crypto"]["kdf"]["params"] =
            json!({ "dklen": 32, "n": n, "r": r, "p": p, "salt": "" });
        document.to_string()
    };
    // 1 GiB of memory; too much work.
    assert_eq!(parameter(&scrypt(1 << 20, 8, 1)).0, "kdf.params.r");
    assert_eq!(parameter(&scrypt(1 << 18, 8, 16)).0, "kdf.params.p");

    for c in [0, u64::from(MAX_PBKDF2_ROUNDS) + 1, u64::MAX] {
        let mut document = standard_pbkdf2();
        document["crypto"]["kdf"]["params"]["c"] = json!(c);
        assert_eq!(parameter(&document.to_string()), ("kdf.params.c", c));
    }
    let salt = "00".repeat(MAX_SALT_LEN + 1);
    assert_eq!(
        parameter(&with("/crypto/kdf/params/salt", json!(salt))),
        ("length of kdf.params.salt", 129)
    );
    for (pointer, name, len) in [
        ("/crypto/checksum/message", "checksum.message", 31),
        ("/crypto/cipher/message", "cipher.message", 33),
        ("/crypto/cipher/params/iv", "cipher.params.iv", 12),
    ] {
        assert_eq!(
            parameter(&with(pointer, json!("ab".repeat(len)))),
            (name, len as u64)
        );
    }
    assert_eq!(
        decrypt(
            &light(KeyKind::Bls, "password"),
            &"x".repeat(MAX_PASSWORD_LEN + 1)
        ),
        Err(KeystoreError::PasswordTooLong {
            got: MAX_PASSWORD_LEN + 1
        })
    );
}

#[test]
fn refuses_what_is_not_hex() {
    for (pointer, name) in [
        ("/crypto/kdf/params/salt", "kdf.params.salt"),
        ("/crypto/checksum/message", "checksum.message"),
        ("/crypto/cipher/message", "cipher.message"),
        ("/crypto/cipher/params/iv", "cipher.params.iv"),
        ("/pubkey", "pubkey"),
    ] {
        assert_eq!(
            refusal(&with(pointer, json!("zz"))),
            KeystoreError::Hex { name }
        );
        assert_eq!(
            refusal(&with(pointer, json!("abc"))),
            KeystoreError::Hex { name }
        );
    }
}

/// The checksum covers the ciphertext: what was changed does not decrypt to another key.
#[test]
fn refuses_a_changed_ciphertext() {
    let document: Value = serde_json::from_str(&light(KeyKind::Bls, "password")).unwrap();
    let message = document["crypto"]["cipher"]["message"].as_str().unwrap();
    let mut bytes = hex::decode(message).unwrap();
    bytes[31] ^= 1;
    let changed = with("/crypto/cipher/message", json!(hex::encode(bytes)));
    assert_eq!(refusal(&changed), KeystoreError::WrongPassword);
}

/// The checksum does not cover the IV, the public key and the kind; the key itself tells.
#[test]
fn refuses_a_public_key_that_is_not_the_secret_s() {
    let other_iv = refusal(&with(
        "/crypto/cipher/params/iv",
        json!("02020202020202020202020202020203"),
    ));
    assert!(
        matches!(
            other_iv,
            KeystoreError::PublicKeyMismatch | KeystoreError::NotAKey { .. }
        ),
        "{other_iv}"
    );
    assert_eq!(
        refusal(&with("/pubkey", json!("ab"))),
        KeystoreError::PublicKeyMismatch
    );
    assert_eq!(
        refusal(&with("/ashlar", json!("network"))),
        KeystoreError::PublicKeyMismatch
    );
    // Without a public key there is nothing to compare.
    assert!(decrypt(&with("/pubkey", json!("")), "password").is_ok());
    let zero = encrypt(
        KeyKind::Bls,
        &[0; 32],
        &[],
        "password",
        [1; 32],
        [2; 16],
        [3; 16],
        Cost::Light,
    );
    assert_eq!(
        refusal(&zero),
        KeystoreError::NotAKey { kind: KeyKind::Bls }
    );
}

#[test]
fn constant_time_comparison_compares() {
    let a = [7; 32];
    assert!(constant_time_eq(&a, &a));
    for i in 0..32 {
        let mut b = a;
        b[i] ^= 1 << (i % 8);
        assert!(!constant_time_eq(&a, &b), "byte {i}");
    }
}

#[test]
fn codes_are_stable() {
    let codes = [
        KeystoreError::TooLarge { got: 0 },
        KeystoreError::Malformed {
            reason: String::new(),
        },
        KeystoreError::Version { got: 0 },
        KeystoreError::Function {
            module: "kdf",
            got: String::new(),
            expected: "",
        },
        KeystoreError::Parameter {
            name: "",
            got: 0,
            expected: "",
        },
        KeystoreError::Hex { name: "" },
        KeystoreError::PasswordTooLong { got: 0 },
        KeystoreError::WrongPassword,
        KeystoreError::NotAKey { kind: KeyKind::Bls },
        KeystoreError::PublicKeyMismatch,
    ]
    .map(|error| error.code());
    assert_eq!(
        codes,
        [
            "keystore.too_large",
            "keystore.malformed",
            "keystore.version",
            "keystore.function",
            "keystore.parameter",
            "keystore.hex",
            "keystore.password_too_long",
            "keystore.wrong_password",
            "keystore.not_a_key",
            "keystore.public_key_mismatch",
        ]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_secret_and_password_round_trip(seed: [u8; 32], password in ".{0,40}", salt: [u8; 32], iv: [u8; 16], uuid: [u8; 16]) {
        let public = NetworkKey::from_seed(seed).public();
        let json = encrypt(KeyKind::Network, &seed, &public.0, &password, salt, iv, uuid, Cost::Light);
        let (kind, secret) = decrypt(&json, &password).unwrap();
        prop_assert_eq!((kind, *secret), (KeyKind::Network, seed));
    }
}

proptest! {
    #[test]
    fn arbitrary_text_never_panics(text in ".{0,200}") {
        prop_assert!(decrypt(&text, "password").is_err());
        prop_assert!(inspect(&text).is_err());
    }
}
