//! Secret keys at rest: EIP-2335 keystores, version 4, for BLS, network (ed25519) and account (secp256k1) keys.
//!
//! A keystore is JSON: the secret, encrypted by AES-128 in counter mode under a key that scrypt or PBKDF2 derives
//! from a password, with a checksum that tells a wrong password from a right one. Files of other tools (staking
//! deposit tools, Web3Signer) are read; what is written here carries one field more, `"ashlar": "bls" | "network" | "account"`,
//! because the standard knows BLS keys only. Without that field a keystore is taken for a BLS key.
//!
//! This module reads and writes text. Files, their permissions and prompts for passwords are up to the caller.

use std::fmt;

use aes::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::account::AccountKey;
use crate::hash::sha256;
use crate::identity::NetworkKey;
use crate::{Coded, bls};

type Aes128Ctr = ctr::Ctr128BE<aes::Aes128>;

/// Longest keystore read, in bytes; real ones have less than 2000.
pub const MAX_JSON_LEN: usize = 64 * 1024;
/// Longest password, in bytes of UTF-8, before normalization.
pub const MAX_PASSWORD_LEN: usize = 4096;

/// Most memory that reading a keystore may take for scrypt: 512 MiB, twice what the standard's example takes.
const MAX_SCRYPT_BYTES: u64 = 512 << 20;
/// Most work: N·r·p, eight times that of the standard's example. Some seconds.
const MAX_SCRYPT_WORK: u64 = 1 << 24;
/// Most rounds of PBKDF2: forty times that of the standard's example. Some seconds.
const MAX_PBKDF2_ROUNDS: u32 = 40 * 262_144;
const MAX_SALT_LEN: usize = 128;
/// Bytes that the key derivation yields: half encrypts, half goes into the checksum.
const DERIVED_LEN: usize = 32;

/// What a secret key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// A BLS12-381 secret key, [`bls::SecretKey`].
    Bls,
    /// An ed25519 seed, [`NetworkKey`].
    Network,
    /// A secp256k1 secret key, [`AccountKey`]; its public key in the file is the address, 20 bytes.
    Account,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bls => "bls",
            Self::Network => "network",
            Self::Account => "account",
        })
    }
}

/// How expensive guessing the password is made, when a keystore is written. Always scrypt with r = 8, p = 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cost {
    /// N = 2^18: 256 MiB and about a second. What the standard's example and staking tools use.
    #[default]
    Standard,
    /// N = 2^12: 4 MiB and some milliseconds. For development networks and tests, whose keys guard nothing.
    Light,
}

impl Cost {
    const fn log_n(self) -> u8 {
        match self {
            Self::Standard => 18,
            Self::Light => 12,
        }
    }
}

/// Why a keystore could not be read or opened.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "keystore", blame = Caller)]
pub enum KeystoreError {
    /// Longer than [`MAX_JSON_LEN`].
    #[error("the keystore has {got} bytes, at most {MAX_JSON_LEN} are read")]
    TooLarge {
        /// Its length in bytes.
        got: usize,
    },
    /// Not JSON, or not a keystore: a field is missing or has another type.
    #[error("not an EIP-2335 keystore: {reason}")]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// Another version than 4.
    #[error("the keystore has version {got}, only version 4 is supported")]
    Version {
        /// The version it states.
        got: u64,
    },
    /// A function that EIP-2335 does not name.
    #[error("the keystore's {module} function is {got:?}, expected {expected}")]
    Function {
        /// `kdf`, `prf`, `checksum` or `cipher`.
        module: &'static str,
        /// What the keystore names.
        got: String,
        /// What is supported.
        expected: &'static str,
    },
    /// A parameter outside what is read: it would be unsafe, or take more memory or time than any honest keystore.
    #[error("the keystore's {name} is {got}, expected {expected}")]
    Parameter {
        /// Name of the parameter.
        name: &'static str,
        /// Its value, or its length.
        got: u64,
        /// The range that is accepted.
        expected: &'static str,
    },
    /// A field that should be hex is not.
    #[error("the keystore's {name} is not hex")]
    Hex {
        /// Name of the field.
        name: &'static str,
    },
    /// The password is too long to be one.
    #[error("the password has {got} bytes, at most {MAX_PASSWORD_LEN} are accepted")]
    PasswordTooLong {
        /// Its length in bytes.
        got: usize,
    },
    /// The checksum differs.
    #[error("wrong password, or the keystore is damaged")]
    WrongPassword,
    /// The secret is not a key of its kind (a BLS key of zero, for example).
    #[error("the keystore decrypts to something that is no {kind} key")]
    NotAKey {
        /// The kind it claims.
        kind: KeyKind,
    },
    /// The stated public key does not belong to the secret.
    #[error("the keystore's public key does not belong to the secret in it")]
    PublicKeyMismatch,
}

/// What a keystore tells without its password. Nothing of it is checked: a wrong public key shows when the keystore is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// What the key is for.
    pub kind: KeyKind,
    /// The public key; empty if the keystore does not state it.
    pub public: Vec<u8>,
    /// The random id of the file, as written there.
    pub uuid: String,
}

#[derive(Deserialize)]
struct Document {
    crypto: Crypto,
    #[serde(default)]
    pubkey: String,
    #[serde(default)]
    uuid: String,
    version: u64,
    #[serde(default)]
    ashlar: Option<KeyKind>,
}

#[derive(Deserialize)]
struct Crypto {
    kdf: Module,
    checksum: Module,
    cipher: Module,
}

#[derive(Deserialize)]
struct Module {
    function: String,
    params: Value,
    message: String,
}

#[derive(Deserialize)]
struct ScryptParams {
    dklen: u64,
    n: u64,
    r: u64,
    p: u64,
    salt: String,
}

#[derive(Deserialize)]
struct Pbkdf2Params {
    dklen: u64,
    c: u64,
    prf: String,
    salt: String,
}

#[derive(Deserialize)]
struct CipherParams {
    iv: String,
}

/// A derivation whose parameters are within bounds.
enum Kdf {
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
    },
    Pbkdf2 {
        rounds: u32,
        salt: Vec<u8>,
    },
}

/// Encrypts a secret key.
///
/// `public` goes into the file as it is, so that a keystore can be told from another without its password. `salt`, `iv` and
/// `uuid` must be fresh random bytes from the operating system.
#[allow(clippy::too_many_arguments)] // the randomness that this crate does not draw itself takes three of them
pub fn encrypt(
    kind: KeyKind,
    secret: &[u8; 32],
    public: &[u8],
    password: &str,
    salt: [u8; 32],
    iv: [u8; 16],
    uuid: [u8; 16],
    cost: Cost,
) -> String {
    let kdf = Kdf::Scrypt {
        params: scrypt_params(cost),
        salt: salt.to_vec(),
    };
    let derived = derive(&kdf, &normalize_password(password));
    let mut message = *secret;
    apply_cipher(&derived, &iv, &mut message);
    let document = json!({
        "crypto": {
            "kdf": {
                "function": "scrypt",
                "params": { "dklen": DERIVED_LEN, "n": 1u64 << cost.log_n(), "p": 1, "r": 8, "salt": hex::encode(salt) },
                "message": "",
            },
            "checksum": {
                "function": "sha256",
                "params": {},
                "message": hex::encode(checksum(&derived, &message)),
            },
            "cipher": {
                "function": "aes-128-ctr",
                "params": { "iv": hex::encode(iv) },
                "message": hex::encode(message),
            },
        },
        "description": format!("Ashlar {kind} key"),
        "pubkey": hex::encode(public),
        "path": "",
        "uuid": uuid_text(uuid),
        "version": 4,
        "ashlar": kind.to_string(),
    });
    format!("{document:#}\n")
}

/// Decrypts a keystore and checks that the secret is a key of its kind and that a stated public key belongs to it.
///
/// # Errors
///
/// [`KeystoreError`]; [`KeystoreError::WrongPassword`] is the one that another password may cure.
pub fn decrypt(
    json: &str,
    password: &str,
) -> Result<(KeyKind, Zeroizing<[u8; 32]>), KeystoreError> {
    // First everything that costs nothing, then the derivation, which takes a second.
    let document = parse(json)?;
    let Crypto {
        kdf,
        checksum: stated,
        cipher,
    } = &document.crypto;
    let kdf = Kdf::parse(kdf)?;
    expect_function("checksum", &stated.function, "sha256")?;
    let stated: [u8; 32] = fixed_hex("checksum.message", &stated.message, "32 bytes")?;
    expect_function("cipher", &cipher.function, "aes-128-ctr")?;
    let iv: [u8; 16] = fixed_hex(
        "cipher.params.iv",
        &params::<CipherParams>(cipher)?.iv,
        "16 bytes",
    )?;
    let message: [u8; 32] = fixed_hex("cipher.message", &cipher.message, "32 bytes")?;
    let public = decode_hex("pubkey", &document.pubkey)?;
    if password.len() > MAX_PASSWORD_LEN {
        return Err(KeystoreError::PasswordTooLong {
            got: password.len(),
        });
    }

    let derived = derive(&kdf, &normalize_password(password));
    if !constant_time_eq(&checksum(&derived, &message), &stated) {
        return Err(KeystoreError::WrongPassword);
    }
    let mut secret = Zeroizing::new(message);
    apply_cipher(&derived, &iv, &mut secret);
    let kind = document.kind();
    check_public_key(kind, &secret, &public)?;
    Ok((kind, secret))
}

/// Reads what a keystore says about itself, without a password.
///
/// # Errors
///
/// [`KeystoreError`] if it is no keystore of version 4.
pub fn inspect(json: &str) -> Result<Summary, KeystoreError> {
    let document = parse(json)?;
    Ok(Summary {
        kind: document.kind(),
        public: decode_hex("pubkey", &document.pubkey)?,
        uuid: document.uuid,
    })
}

impl Document {
    fn kind(&self) -> KeyKind {
        self.ashlar.unwrap_or(KeyKind::Bls)
    }
}

fn parse(json: &str) -> Result<Document, KeystoreError> {
    if json.len() > MAX_JSON_LEN {
        return Err(KeystoreError::TooLarge { got: json.len() });
    }
    let document: Document =
        serde_json::from_str(json).map_err(|error| KeystoreError::Malformed {
            reason: error.to_string(),
        })?;
    if document.version != 4 {
        return Err(KeystoreError::Version {
            got: document.version,
        });
    }
    Ok(document)
}

impl Kdf {
    fn parse(module: &Module) -> Result<Self, KeystoreError> {
        match module.function.as_str() {
            "scrypt" => Self::parse_scrypt(&params(module)?),
            "pbkdf2" => Self::parse_pbkdf2(&params(module)?),
            other => Err(KeystoreError::Function {
                module: "kdf",
                got: other.to_owned(),
                expected: "\"scrypt\" or \"pbkdf2\"",
            }),
        }
    }

    fn parse_scrypt(params: &ScryptParams) -> Result<Self, KeystoreError> {
        let &ScryptParams { dklen, n, r, p, .. } = params;
        check_derived_len(dklen)?;
        let parameter = |name, got, expected| KeystoreError::Parameter {
            name,
            got,
            expected,
        };
        if !n.is_power_of_two() || n < 2 {
            return Err(parameter("kdf.params.n", n, "a power of two from 2 on"));
        }
        // Each factor is bounded before they are multiplied, so the products cannot overflow.
        if n > MAX_SCRYPT_WORK {
            return Err(parameter("kdf.params.n", n, "at most 2^24"));
        }
        if !(1..=64).contains(&r) || 128 * n * r > MAX_SCRYPT_BYTES {
            return Err(parameter(
                "kdf.params.r",
                r,
                "1 to 64, with 128·n·r at most 512 MiB",
            ));
        }
        if !(1..=64).contains(&p) || n * r * p > MAX_SCRYPT_WORK {
            return Err(parameter(
                "kdf.params.p",
                p,
                "1 to 64, with n·r·p at most 2^24",
            ));
        }
        let salt = salt(&params.salt)?;
        // Within these bounds the library refuses nothing more.
        let params = scrypt::Params::new(n.trailing_zeros() as u8, r as u32, p as u32)
            .map_err(|_| parameter("kdf.params.n", n, "parameters of RFC 7914"))?;
        Ok(Self::Scrypt { params, salt })
    }

    fn parse_pbkdf2(params: &Pbkdf2Params) -> Result<Self, KeystoreError> {
        check_derived_len(params.dklen)?;
        expect_function("prf", &params.prf, "hmac-sha256")?;
        let rounds = u32::try_from(params.c)
            .ok()
            .filter(|c| (1..=MAX_PBKDF2_ROUNDS).contains(c));
        let rounds = rounds.ok_or(KeystoreError::Parameter {
            name: "kdf.params.c",
            got: params.c,
            expected: "1 to 10485760",
        })?;
        Ok(Self::Pbkdf2 {
            rounds,
            salt: salt(&params.salt)?,
        })
    }
}

fn params<P: for<'de> Deserialize<'de>>(module: &Module) -> Result<P, KeystoreError> {
    P::deserialize(&module.params).map_err(|error| KeystoreError::Malformed {
        reason: error.to_string(),
    })
}

fn check_derived_len(dklen: u64) -> Result<(), KeystoreError> {
    if dklen == DERIVED_LEN as u64 {
        return Ok(());
    }
    Err(KeystoreError::Parameter {
        name: "kdf.params.dklen",
        got: dklen,
        expected: "32",
    })
}

fn salt(text: &str) -> Result<Vec<u8>, KeystoreError> {
    let salt = decode_hex("kdf.params.salt", text)?;
    if salt.len() > MAX_SALT_LEN {
        let got = salt.len() as u64;
        return Err(KeystoreError::Parameter {
            name: "length of kdf.params.salt",
            got,
            expected: "at most 128 bytes",
        });
    }
    Ok(salt)
}

fn expect_function(
    module: &'static str,
    got: &str,
    expected: &'static str,
) -> Result<(), KeystoreError> {
    if got == expected {
        return Ok(());
    }
    Err(KeystoreError::Function {
        module,
        got: got.to_owned(),
        expected,
    })
}

/// Hex as the standard writes it, without `0x`; with it, as some tools do, it is read too.
fn decode_hex(name: &'static str, text: &str) -> Result<Vec<u8>, KeystoreError> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).map_err(|_| KeystoreError::Hex { name })
}

fn fixed_hex<const N: usize>(
    name: &'static str,
    text: &str,
    expected: &'static str,
) -> Result<[u8; N], KeystoreError> {
    let bytes = decode_hex(name, text)?;
    let got = bytes.len() as u64;
    bytes.try_into().map_err(|_| KeystoreError::Parameter {
        name,
        got,
        expected,
    })
}

/// The password's bytes as EIP-2335 wants them: normalized to NFKD, then without control characters (C0, C1, delete),
/// so that the same password typed on two keyboards, or read from a file that ends in a newline, is the same.
fn normalize_password(password: &str) -> Zeroizing<String> {
    // Room for the worst expansion of NFKD, 11 bytes for one: growing would leave copies behind.
    let mut normalized = Zeroizing::new(String::with_capacity(password.len().saturating_mul(12)));
    normalized.extend(password.nfkd().filter(|c| !c.is_control()));
    normalized
}

#[allow(clippy::expect_used)] // constants within scrypt's bounds
fn scrypt_params(cost: Cost) -> scrypt::Params {
    scrypt::Params::new(cost.log_n(), 8, 1).expect("the costs on offer are valid")
}

#[allow(clippy::expect_used)] // lengths that the libraries accept
fn derive(kdf: &Kdf, password: &str) -> Zeroizing<[u8; DERIVED_LEN]> {
    let mut derived = Zeroizing::new([0; DERIVED_LEN]);
    let password = password.as_bytes();
    match kdf {
        Kdf::Scrypt { params, salt } => {
            scrypt::scrypt(password, salt, params, &mut derived[..])
                .expect("32 bytes are a valid output length");
        }
        Kdf::Pbkdf2 { rounds, salt } => {
            pbkdf2::pbkdf2::<hmac::Hmac<Sha256>>(password, salt, *rounds, &mut derived[..])
                .expect("HMAC takes keys of any length");
        }
    }
    derived
}

fn checksum(derived: &[u8; DERIVED_LEN], message: &[u8; 32]) -> [u8; 32] {
    sha256(&[&derived[16..], message])
}

fn apply_cipher(derived: &[u8; DERIVED_LEN], iv: &[u8; 16], message: &mut [u8; 32]) {
    let mut key = Zeroizing::new([0; 16]);
    key.copy_from_slice(&derived[..16]);
    Aes128Ctr::new((&*key).into(), iv.into()).apply_keystream(message);
}

/// Compares without stopping at the first difference, so that the time says nothing about where it is.
fn constant_time_eq(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let difference = a.iter().zip(b).fold(0, |difference, (a, b)| {
        std::hint::black_box(difference | (a ^ b))
    });
    difference == 0
}

/// `public` may be empty: the standard lets a keystore keep it to itself.
fn check_public_key(kind: KeyKind, secret: &[u8; 32], public: &[u8]) -> Result<(), KeystoreError> {
    let belongs = match kind {
        KeyKind::Bls => {
            let key =
                bls::SecretKey::from_bytes(secret).map_err(|_| KeystoreError::NotAKey { kind })?;
            public.is_empty()
                || public == key.public_key().to_bytes().0
                || bls_key_in_g1(secret).is_some_and(|key| public == key)
        }
        KeyKind::Network => {
            public.is_empty() || public == NetworkKey::from_seed(*secret).public().0
        }
        KeyKind::Account => {
            let key =
                AccountKey::from_bytes(secret).map_err(|_| KeystoreError::NotAKey { kind })?;
            public.is_empty() || public == key.address()
        }
    };
    if belongs {
        Ok(())
    } else {
        Err(KeystoreError::PublicKeyMismatch)
    }
}

/// The 48-byte public key that Ethereum's validators use, which is what the `pubkey` of other tools' files holds.
fn bls_key_in_g1(secret: &[u8; 32]) -> Option<[u8; 48]> {
    let key = blst::min_pk::SecretKey::from_bytes(secret).ok()?;
    Some(key.sk_to_pk().to_bytes())
}

/// RFC 9562 text of a version 4 (random) UUID made of these bytes.
fn uuid_text(mut bytes: [u8; 16]) -> String {
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = hex::encode(bytes);
    let mut parts = Vec::with_capacity(5);
    let mut rest = text.as_str();
    for len in [8, 4, 4, 4, 12] {
        let (part, after) = rest.split_at(len);
        parts.push(part);
        rest = after;
    }
    parts.join("-")
}

#[cfg(test)]
mod tests;
