//! Keystores (EIP-2335), as `ashlar keys` makes them.

use std::path::Path;

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::{PublicKeyBytes, SecretKey};
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_crypto::keystore::{self, Cost, KeyKind};
use ashlar_proto::Account;
use zeroize::Zeroizing;

use super::error::{CommandError, CommandResult, Exit};
use super::files::{self, Access};

const LIMIT: u64 = keystore::MAX_JSON_LEN as u64;

fn open(path: &Path, password: &str, expected: KeyKind) -> CommandResult<Zeroizing<[u8; 32]>> {
    let text = files::read_text(path, LIMIT)?;
    let (kind, secret) = keystore::decrypt(&text, password).map_err(|error| {
        CommandError::coded(
            Exit::Usage,
            format!("could not open the keystore {}", path.display()),
            &error,
        )
        .next("check the password and that it is the file you mean: ashlar keys show FILE")
    })?;
    if kind == expected {
        Ok(secret)
    } else {
        Err(wrong_kind(path, kind, expected))
    }
}

fn wrong_kind(path: &Path, kind: KeyKind, expected: KeyKind) -> CommandError {
    CommandError::new(
        Exit::Usage,
        "keys.kind",
        format!("{} holds a {kind} key", path.display()),
    )
    .because(format!("a {expected} key is needed here"))
}

/// Opens an operator's BLS key.
///
/// # Errors
/// The file is missing or no keystore, the password is wrong, or it is a key of another kind.
pub fn open_bls(path: &Path, password: &str) -> CommandResult<SecretKey> {
    let secret = open(path, password, KeyKind::Bls)?;
    SecretKey::from_bytes(&secret).map_err(|error| {
        CommandError::coded(
            Exit::Usage,
            format!("{} holds no BLS key", path.display()),
            &error,
        )
    })
}

/// Opens a network key.
///
/// # Errors
/// As [`open_bls`].
pub fn open_network(path: &Path, password: &str) -> CommandResult<NetworkKey> {
    Ok(NetworkKey::from_seed(*open(
        path,
        password,
        KeyKind::Network,
    )?))
}

/// Opens an account's key.
///
/// # Errors
/// As [`open_bls`].
pub fn open_account(path: &Path, password: &str) -> CommandResult<AccountKey> {
    let secret = open(path, password, KeyKind::Account)?;
    AccountKey::from_bytes(&secret).map_err(|error| {
        CommandError::coded(
            Exit::Usage,
            format!("{} holds no account's key", path.display()),
            &error,
        )
    })
}

/// The public part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Public {
    /// Of a BLS key.
    Bls(PublicKeyBytes),
    /// Of a network key.
    Network(NetworkPublicKey),
    /// Of an account's key.
    Account(Account),
}

impl Public {
    fn kind(&self) -> KeyKind {
        match self {
            Self::Bls(_) => KeyKind::Bls,
            Self::Network(_) => KeyKind::Network,
            Self::Account(_) => KeyKind::Account,
        }
    }
}

/// What a keystore states as the public part of its key. Needs no password; nothing of it is checked.
///
/// # Errors
/// The file is missing or no keystore.
pub fn public(path: &Path) -> CommandResult<Public> {
    let text = files::read_text(path, LIMIT)?;
    let summary = keystore::inspect(&text).map_err(|error| {
        CommandError::coded(
            Exit::Usage,
            format!("{} is no keystore of ours", path.display()),
            &error,
        )
    })?;
    let bytes = summary.public.as_slice();
    let public = match summary.kind {
        KeyKind::Bls => bytes
            .try_into()
            .ok()
            .map(|b| Public::Bls(PublicKeyBytes(b))),
        KeyKind::Network => bytes
            .try_into()
            .ok()
            .map(|b| Public::Network(NetworkPublicKey(b))),
        KeyKind::Account => bytes.try_into().ok().map(|b| Public::Account(Account(b))),
    };
    public.ok_or_else(|| {
        CommandError::new(
            Exit::Usage,
            "keys.public",
            format!("{} does not state its public key", path.display()),
        )
    })
}

/// The same of a network key.
///
/// # Errors
/// As [`public`], or it is a key of another kind.
pub fn network_public(path: &Path) -> CommandResult<NetworkPublicKey> {
    match public(path)? {
        Public::Network(key) => Ok(key),
        other => Err(wrong_kind(path, other.kind(), KeyKind::Network)),
    }
}

/// The account of an account's key.
///
/// # Errors
/// As [`public`], or it is a key of another kind.
pub fn account(path: &Path) -> CommandResult<Account> {
    match public(path)? {
        Public::Account(account) => Ok(account),
        other => Err(wrong_kind(path, other.kind(), KeyKind::Account)),
    }
}

/// Makes an account's key and writes its keystore, readable by its owner only. An existing file is never overwritten.
///
/// # Errors
/// There is a file, it cannot be written, or there is no randomness.
pub fn new_account(path: &Path, password: &str, cost: Cost) -> CommandResult<AccountKey> {
    files::refuse_existing(path)?;
    let secret = Zeroizing::new(files::random::<32>()?);
    let key = AccountKey::from_bytes(&secret).map_err(|error| {
        CommandError::coded(Exit::Failure, "could not make a key: try again", &error)
    })?;
    let json = keystore::encrypt(
        KeyKind::Account,
        key.secret(),
        &key.address(),
        password,
        files::random()?,
        files::random()?,
        files::random()?,
        cost,
    );
    files::write(path, json.as_bytes(), Access::Owner)?;
    Ok(key)
}
