//! Keystores for tests, as `ashlar keys new` makes them, with a password that is cheap to guess.

use std::path::Path;

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::keystore::{self, Cost, KeyKind};

/// Of all of them.
pub(crate) const PASSWORD: &str = "correct horse";

/// Writes the keystore of the key that follows from `seed`.
pub(crate) fn write(path: &Path, kind: KeyKind, seed: u8) {
    let (secret, public) = match kind {
        KeyKind::Bls => {
            let key = SecretKey::from_ikm(&[seed; 32]);
            (*key.to_bytes(), key.public_key().to_bytes().0.to_vec())
        }
        KeyKind::Network => {
            let key = NetworkKey::from_seed([seed; 32]);
            ([seed; 32], key.public().0.to_vec())
        }
        KeyKind::Account => {
            let key = AccountKey::from_bytes(&[seed; 32]).unwrap();
            ([seed; 32], key.address().to_vec())
        }
    };
    let text = keystore::encrypt(
        kind,
        &secret,
        &public,
        PASSWORD,
        [seed; 32],
        [seed; 16],
        [seed; 16],
        Cost::Light,
    );
    std::fs::write(path, text).unwrap();
}
