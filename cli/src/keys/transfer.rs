//! `ashlar keys import` and `export`: keys from elsewhere, and to elsewhere.

use std::path::PathBuf;

use ashlar_crypto::account::AccountKey;
use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::hex_bytes::parse_hex;
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::keystore::{self, KeyKind};
use clap::Args;
use zeroize::Zeroizing;

use super::{KEYSTORE_LIMIT, KeyInfo, Kind, cost, open, write_account, write_bls, write_network};
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::ui::Ui;

/// Options of `ashlar keys import`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// What the key is for
    pub kind: Kind,
    /// Where it is: an EIP-2335 keystore, or the secret itself, 64 hexadecimal digits; - is standard input
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// A file whose first line is the password of a keystore that is imported [default: ask]
    #[arg(long, value_name = "FILE")]
    pub from_password_file: Option<PathBuf>,
    /// Where to write the keystore; an existing file is never overwritten
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// A file whose first line is the new password [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Guessing the password costs milliseconds and not a second: for tests, never for a key that guards something
    #[arg(long)]
    pub light: bool,
}

/// Options of `ashlar keys export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The keystore
    pub file: PathBuf,
    /// Where to write; an existing file is never overwritten
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// A file whose first line is the keystore's password [default: ask]
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// A file whose first line is the password of the new keystore [default: ask]
    #[arg(long, value_name = "FILE", conflicts_with = "unencrypted")]
    pub new_password_file: Option<PathBuf>,
    /// Write the secret itself, in hexadecimal: whoever reads that file has the key
    #[arg(long)]
    pub unencrypted: bool,
    /// Guessing the password costs milliseconds and not a second: for tests, never for a key that guards something
    #[arg(long)]
    pub light: bool,
}

/// Runs `ashlar keys import`.
///
/// # Errors
/// There is no key of this kind, its password is wrong, or the keystore cannot be written.
pub(super) fn import(ui: Ui, args: &ImportArgs) -> CliResult {
    files::refuse_existing(&args.out)?;
    let kind = KeyKind::from(args.kind);
    let text = Zeroizing::new(files::read_text(&args.from, KEYSTORE_LIMIT)?);
    let secret = if text.trim_start().starts_with('{') {
        let (file, prompt) = (args.from_password_file.as_deref(), "Password of the key");
        let password = files::other_password(file, prompt, false)?;
        open(&args.from, &text, &password, kind)?
    } else {
        let digits = parse_hex::<32>(text.trim()).map_err(|error| {
            CliError::coded(
                Exit::Usage,
                format!(
                    "{} holds neither a keystore nor a secret",
                    args.from.display()
                ),
                &error,
            )
        })?;
        Zeroizing::new(digits)
    };
    let password = files::password(args.password_file.as_deref(), "New password", true)?;
    let info = write(kind, args, &secret, &password)?;
    if kind == KeyKind::Bls {
        ui.note(
            "whoever signed with this key elsewhere must sign no more: stop it, and take along what it signed with ashlar node protection export and import",
        );
    }
    ui.data(&info, || info.text())
}

fn write(
    kind: KeyKind,
    args: &ImportArgs,
    secret: &[u8; 32],
    password: &str,
) -> CliResult<KeyInfo> {
    let (out, cost) = (args.out.as_path(), cost(args.light));
    match kind {
        KeyKind::Bls => {
            let key = SecretKey::from_bytes(secret).map_err(|error| no_key(kind, &error))?;
            write_bls(out, &key, password, cost)
        }
        KeyKind::Network => write_network(out, &NetworkKey::from_seed(*secret), password, cost),
        KeyKind::Account => {
            let key = AccountKey::from_bytes(secret).map_err(|error| no_key(kind, &error))?;
            write_account(out, &key, password, cost)
        }
    }
}

fn no_key<E: ashlar_crypto::Coded + std::error::Error>(kind: KeyKind, error: &E) -> CliError {
    CliError::coded(Exit::Usage, format!("the secret is no {kind} key"), error)
}

/// Runs `ashlar keys export`.
///
/// # Errors
/// The keystore cannot be opened, or the file not written.
pub(super) fn export(ui: Ui, args: &ExportArgs) -> CliResult {
    files::refuse_existing(&args.out)?;
    let text = files::read_text(&args.file, KEYSTORE_LIMIT)?;
    let summary = super::inspect(&args.file)?;
    let password = files::password(args.password_file.as_deref(), "Password", false)?;
    let secret = open(&args.file, &text, &password, summary.kind)?;
    let written = match args.unencrypted {
        true => {
            ui.note(format!(
                "whoever reads {} has the key: put it into a safe place, and delete it here",
                args.out.display()
            ));
            Zeroizing::new(format!("0x{}\n", *Zeroizing::new(hex::encode(*secret))))
        }
        false => {
            let (file, prompt) = (args.new_password_file.as_deref(), "New password");
            let password = files::other_password(file, prompt, true)?;
            Zeroizing::new(keystore::encrypt(
                summary.kind,
                &secret,
                &summary.public,
                &password,
                files::random()?,
                files::random()?,
                files::random()?,
                cost(args.light),
            ))
        }
    };
    files::write_atomically(&args.out, written.as_bytes(), Access::Owner)?;
    let info = KeyInfo {
        kind: summary.kind,
        file: args.out.clone(),
        public_key: format!("0x{}", hex::encode(&summary.public)),
        operator_id: None,
        proof_of_possession: None,
    };
    ui.data(&info, || info.text())
}
