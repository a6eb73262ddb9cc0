#![no_main]
//! EIP-2335 keystores, up to where the key derivation would begin: a password that is too long is refused last before it.

use ashlar_crypto::keystore::{KeystoreError, MAX_PASSWORD_LEN, decrypt, inspect};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| {
    let _ = inspect(json);
    let endless = "x".repeat(MAX_PASSWORD_LEN + 1);
    let refusal = decrypt(json, &endless).expect_err("the password is too long");
    if matches!(refusal, KeystoreError::PasswordTooLong { .. }) {
        assert!(inspect(json).is_ok(), "what can be opened can be shown");
    }
});
