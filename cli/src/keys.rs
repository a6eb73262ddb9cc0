//! `ashlar keys`: make keystores, take keys in and out, look at them.

mod transfer;

use std::path::{Path, PathBuf};

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::{PublicKeyBytes, SecretKey};
use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_crypto::keystore::{self, Cost, KeyKind};
use ashlar_proto::{Account, OperatorId, operator_id};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::devnet::layout::AccountEntry;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::ui::Ui;

/// What an account's key defaults to: a devnet's own, where there is one.
pub fn or_of_devnet(
    key: Option<PathBuf>,
    password_file: Option<PathBuf>,
    devnet: Option<AccountEntry>,
) -> (Option<PathBuf>, Option<PathBuf>) {
    match devnet {
        Some(devnet) if key.is_none() => {
            let password_file = password_file.unwrap_or(devnet.password_file);
            (Some(devnet.key), Some(password_file))
        }
        _ => (key, password_file),
    }
}

/// No account's key is named, and there is none by default.
pub fn no_account() -> CliError {
    CliError::usage("no account was named")
        .next("--key FILE names a keystore; make one with: ashlar account new --out account.json")
}

/// No keystore is larger.
pub const KEYSTORE_LIMIT: u64 = 64 * 1024;

const EXAMPLES: &str = "\
Examples:
  ashlar keys new bls --out bls.json                 asks twice for a new password
  ashlar keys new network --out network.json --password-file password
  ashlar keys new account --out account.json
  ashlar keys import account --from secret.hex --out account.json
  ashlar keys export bls.json --out copy.json        the same key under another password
  ashlar keys show bls.json                          public key and operator id; needs no password
  ashlar keys show bls.json --possession             also the proof that a registration needs; asks for the password

A keystore is an EIP-2335 file, readable by its owner only. Passwords come from a file, from the environment (ASHLAR_PASSWORD, or
ASHLAR_PASSWORD_FILE with the name of a file) or from a prompt, never from an argument: other users of the machine can read those.";

/// Options of `ashlar keys`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// The commands of `ashlar keys`.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a key and write its keystore
    New(NewArgs),
    /// Write the keystore of a key that another program made
    Import(transfer::ImportArgs),
    /// Write a key under another password, or without one
    Export(transfer::ExportArgs),
    /// Show what a keystore holds, without its secret
    Show(ShowArgs),
}

/// What a key is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Kind {
    /// Signs for batches: an operator's BLS12-381 key
    Bls,
    /// Proves who one is on the network: the ed25519 key of an operator or a disperser
    Network,
    /// Signs transactions and submissions: the secp256k1 key of an account, an Ethereum address
    Account,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Bls => Self::Bls,
            Kind::Network => Self::Network,
            Kind::Account => Self::Account,
        }
    }
}

/// Options of `ashlar keys new`.
#[derive(Debug, Args)]
pub struct NewArgs {
    /// What the key is for
    pub kind: Kind,
    /// Where to write the keystore; an existing file is never overwritten
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// A file whose first line is the password [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Guessing the password costs milliseconds and not a second: for tests, never for a key that guards something
    #[arg(long)]
    pub light: bool,
}

/// Options of `ashlar keys show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The keystore
    pub file: PathBuf,
    /// Also sign the proof of possession of a BLS key; this opens the keystore
    #[arg(long)]
    pub possession: bool,
    /// A file whose first line is the password [default: ask]
    #[arg(long, value_name = "FILE", requires = "possession")]
    pub password_file: Option<PathBuf>,
}

/// What `keys` prints about a key.
#[derive(Clone, Debug, Serialize)]
pub struct KeyInfo {
    /// What it is for.
    pub kind: KeyKind,
    /// Its keystore.
    pub file: PathBuf,
    /// The public key, hex.
    pub public_key: String,
    /// The operator that this BLS key makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator_id: Option<OperatorId>,
    /// Proof of possession of a BLS key, hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof_of_possession: Option<String>,
}

impl KeyInfo {
    fn text(&self) -> String {
        let mut lines = vec![
            format!("kind                 {}", self.kind),
            format!("file                 {}", self.file.display()),
            format!("public key           {}", self.public_key),
        ];
        lines.extend(
            self.operator_id
                .iter()
                .map(|id| format!("operator id          {id}")),
        );
        lines.extend(
            self.proof_of_possession
                .iter()
                .map(|proof| format!("proof of possession  {proof}")),
        );
        lines.join("\n")
    }
}

/// Runs `ashlar keys`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: KeysArgs) -> CliResult {
    match args.command {
        KeysCommand::New(args) => new(ui, &args),
        KeysCommand::Import(args) => transfer::import(ui, &args),
        KeysCommand::Export(args) => transfer::export(ui, &args),
        KeysCommand::Show(args) => show(ui, &args),
    }
}

fn new(ui: Ui, args: &NewArgs) -> CliResult {
    files::refuse_existing(&args.out)?;
    let password = files::password(
        args.password_file.as_deref(),
        "Password for the new key",
        true,
    )?;
    let cost = cost(args.light);
    let info = match args.kind {
        Kind::Bls => new_bls(&args.out, &password, cost)?.1,
        Kind::Network => new_network(&args.out, &password, cost)?.1,
        Kind::Account => new_account(&args.out, &password, cost)?.1,
    };
    ui.data(&info, || info.text())
}

fn show(ui: Ui, args: &ShowArgs) -> CliResult {
    let summary = inspect(&args.file)?;
    let mut info = KeyInfo {
        kind: summary.kind,
        file: args.file.clone(),
        public_key: format!("0x{}", hex::encode(&summary.public)),
        operator_id: None,
        proof_of_possession: None,
    };
    if summary.kind == KeyKind::Bls
        && let Ok(bytes) = <[u8; 96]>::try_from(summary.public.as_slice())
    {
        info.operator_id = Some(operator_id(&PublicKeyBytes(bytes)));
    }
    if args.possession {
        if summary.kind != KeyKind::Bls {
            return Err(
                CliError::usage(format!("{} is no BLS key", args.file.display()))
                    .because("only BLS keys have a proof of possession"),
            );
        }
        let password = files::password(args.password_file.as_deref(), "Password", false)?;
        let key = open_bls(&args.file, &password)?;
        info.proof_of_possession = Some(possession(&key));
    }
    ui.data(&info, || info.text())
}

/// What a password costs to guess.
pub fn cost(light: bool) -> Cost {
    match light {
        true => Cost::Light,
        false => Cost::Standard,
    }
}

/// The proof of possession of a BLS key, as the operator table spells it.
pub fn possession(key: &SecretKey) -> String {
    format!("0x{}", hex::encode(key.prove_possession().to_bytes().0))
}

/// Makes an operator's BLS key and writes its keystore.
///
/// # Errors
/// No randomness, or the file cannot be written.
pub fn new_bls(path: &Path, password: &str, cost: Cost) -> CliResult<(SecretKey, KeyInfo)> {
    let key = SecretKey::from_ikm(&Zeroizing::new(files::random::<32>()?));
    let info = write_bls(path, &key, password, cost)?;
    Ok((key, info))
}

fn write_bls(path: &Path, key: &SecretKey, password: &str, cost: Cost) -> CliResult<KeyInfo> {
    let public = key.public_key().to_bytes();
    let kind = KeyKind::Bls;
    Ok(KeyInfo {
        operator_id: Some(operator_id(&public)),
        proof_of_possession: Some(possession(key)),
        ..write_keystore(path, kind, &key.to_bytes(), &public.0, password, cost)?
    })
}

/// Makes a network key and writes its keystore.
///
/// # Errors
/// No randomness, or the file cannot be written.
pub fn new_network(path: &Path, password: &str, cost: Cost) -> CliResult<(NetworkKey, KeyInfo)> {
    let key = NetworkKey::from_seed(*Zeroizing::new(files::random::<32>()?));
    let info = write_network(path, &key, password, cost)?;
    Ok((key, info))
}

fn write_network(path: &Path, key: &NetworkKey, password: &str, cost: Cost) -> CliResult<KeyInfo> {
    let (kind, public) = (KeyKind::Network, key.public());
    write_keystore(path, kind, key.seed(), &public.0, password, cost)
}

/// Makes an account's key and writes its keystore.
///
/// # Errors
/// No randomness, or the file cannot be written.
pub fn new_account(path: &Path, password: &str, cost: Cost) -> CliResult<(AccountKey, KeyInfo)> {
    let secret = Zeroizing::new(files::random::<32>()?);
    let key = AccountKey::from_bytes(&secret).map_err(|error| {
        CliError::coded(Exit::Failure, "could not make a key: try again", &error)
    })?;
    let info = write_account(path, &key, password, cost)?;
    Ok((key, info))
}

fn write_account(path: &Path, key: &AccountKey, password: &str, cost: Cost) -> CliResult<KeyInfo> {
    let (kind, public) = (KeyKind::Account, key.address());
    write_keystore(path, kind, key.secret(), &public, password, cost)
}

fn write_keystore(
    path: &Path,
    kind: KeyKind,
    secret: &[u8; 32],
    public: &[u8],
    password: &str,
    cost: Cost,
) -> CliResult<KeyInfo> {
    let json = keystore::encrypt(
        kind,
        secret,
        public,
        password,
        files::random()?,
        files::random()?,
        files::random()?,
        cost,
    );
    files::write_atomically(path, json.as_bytes(), Access::Owner)?;
    Ok(KeyInfo {
        kind,
        file: path.to_path_buf(),
        public_key: format!("0x{}", hex::encode(public)),
        operator_id: None,
        proof_of_possession: None,
    })
}

/// Opens a keystore of the kind that is expected here.
fn open_file(path: &Path, password: &str, expected: KeyKind) -> CliResult<Zeroizing<[u8; 32]>> {
    open(
        path,
        &files::read_text(path, KEYSTORE_LIMIT)?,
        password,
        expected,
    )
}

/// The same with the text of the file.
fn open(
    path: &Path,
    text: &str,
    password: &str,
    expected: KeyKind,
) -> CliResult<Zeroizing<[u8; 32]>> {
    let (kind, secret) = keystore::decrypt(text, password).map_err(|error| {
        CliError::coded(
            Exit::Usage,
            format!("could not open the keystore {}", path.display()),
            &error,
        )
        .next("check the password and that the file is the one you mean: ashlar keys show FILE")
    })?;
    if kind != expected {
        return Err(wrong_kind(path, kind, expected));
    }
    Ok(secret)
}

fn wrong_kind(path: &Path, kind: KeyKind, expected: KeyKind) -> CliError {
    CliError::new(
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
pub fn open_bls(path: &Path, password: &str) -> CliResult<SecretKey> {
    let secret = open_file(path, password, KeyKind::Bls)?;
    SecretKey::from_bytes(&secret).map_err(|error| {
        CliError::coded(
            Exit::Usage,
            format!("{} holds no BLS key", path.display()),
            &error,
        )
    })
}

/// Opens a network key.
///
/// # Errors
/// The file is missing or no keystore, the password is wrong, or it is a key of another kind.
pub fn open_network(path: &Path, password: &str) -> CliResult<NetworkKey> {
    Ok(NetworkKey::from_seed(*open_file(
        path,
        password,
        KeyKind::Network,
    )?))
}

/// Opens an account's key.
///
/// # Errors
/// The file is missing or no keystore, the password is wrong, or it is a key of another kind.
pub fn open_account(path: &Path, password: &str) -> CliResult<AccountKey> {
    let secret = open_file(path, password, KeyKind::Account)?;
    AccountKey::from_bytes(&secret).map_err(|error| {
        CliError::coded(
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

/// What a keystore states as the public part of its key. Needs no password; nothing of it is checked.
///
/// # Errors
/// The file is missing or no keystore.
pub fn public(path: &Path) -> CliResult<Public> {
    let summary = inspect(path)?;
    let bytes = summary.public.as_slice();
    let public = match summary.kind {
        KeyKind::Bls => bytes
            .try_into()
            .ok()
            .map(|key| Public::Bls(PublicKeyBytes(key))),
        KeyKind::Network => bytes
            .try_into()
            .ok()
            .map(|key| Public::Network(NetworkPublicKey(key))),
        KeyKind::Account => bytes
            .try_into()
            .ok()
            .map(|key| Public::Account(Account(key))),
    };
    public.ok_or_else(|| {
        CliError::new(
            Exit::Usage,
            "keys.public",
            format!("{} does not state its public key", path.display()),
        )
    })
}

fn inspect(path: &Path) -> CliResult<keystore::Summary> {
    keystore::inspect(&files::read_text(path, KEYSTORE_LIMIT)?).map_err(|error| {
        CliError::coded(
            Exit::Usage,
            format!("{} is no keystore of ours", path.display()),
            &error,
        )
    })
}

/// The public part of a network key, as [`public`] gives it.
///
/// # Errors
/// As [`public`], or it is a key of another kind.
pub fn network_public(path: &Path) -> CliResult<NetworkPublicKey> {
    match public(path)? {
        Public::Network(key) => Ok(key),
        other => Err(wrong_kind(path, other.kind(), KeyKind::Network)),
    }
}

/// The public part of a BLS key, as [`public`] gives it.
///
/// # Errors
/// As [`public`], or it is a key of another kind.
pub fn bls_public(path: &Path) -> CliResult<PublicKeyBytes> {
    match public(path)? {
        Public::Bls(key) => Ok(key),
        other => Err(wrong_kind(path, other.kind(), KeyKind::Bls)),
    }
}

/// The account of an account's key.
///
/// # Errors
/// As [`public`], or it is a key of another kind.
pub fn account(path: &Path) -> CliResult<Account> {
    match public(path)? {
        Public::Account(account) => Ok(account),
        other => Err(wrong_kind(path, other.kind(), KeyKind::Account)),
    }
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
