//! `ashlar stake tx`: sends a transaction.

use std::path::PathBuf;

use ashlar_crypto::identity::NetworkKey;
use ashlar_proto::{Account, operator_id};
use ashlar_stake::ledger::{Action, Transaction};
use clap::Args;
use serde_json::json;

use super::action::{self, KindArgs};
use super::connection::{Connection, ConnectionArgs};
use super::error::{CommandError, CommandResult};
use super::keys::Public;
use super::output::Output;
use super::{events, files, keys};
use crate::account_of;

const EXAMPLES: &str = "\
Examples:
  ashlar stake tx deposit --strategy 2 --amount 1.5eth --key staker.json --password-file password
  ashlar stake tx delegate --operator 0x5e… --key staker.json
  ashlar stake tx --list                               each kind with its options and who may send it
  ashlar stake tx --action action.json --key staker.json
  ashlar stake tx slash --help                         the options of one kind, with an example

The sender is the account of the key: the last 20 bytes of the SHA-256 of its public key. Make a key with
`ashlar keys new network --out staker.json`. The password comes from a prompt or a file, never from an argument.";

/// Options of `ashlar stake tx`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = EXAMPLES,
    subcommand_value_name = "KIND",
    subcommand_help_heading = "Kinds",
    args_conflicts_with_subcommands = false
)]
pub struct TxArgs {
    /// Explain every kind with its options, and send nothing
    #[arg(long, conflicts_with = "action")]
    pub list: bool,
    /// An action in JSON, of any kind; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub action: Option<PathBuf>,
    /// The sender's network key, a keystore
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "ASHLAR_STAKE_KEY",
        hide_env_values = true
    )]
    pub key: Option<PathBuf>,
    /// A file whose first line is the password of the key [default: ask]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ASHLAR_STAKE_PASSWORD_FILE",
        hide_env_values = true
    )]
    pub password_file: Option<PathBuf>,
    /// Print the transaction in JSON, and send nothing
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Sign only for the network of this name [default: the name that the service says]
    #[arg(long, global = true, value_name = "NAME")]
    pub network: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub kind: Option<KindArgs>,
}

/// Runs `ashlar stake tx`.
///
/// # Errors
/// The action is none, the key cannot be opened, or the ledger refuses.
pub fn run(args: &TxArgs, connection: &ConnectionArgs, out: &mut Output<'_>) -> CommandResult {
    if args.list {
        return out.data(&action::list_json(), action::list);
    }
    let action = action_of(args)?;
    if args.dry_run {
        let sender = match &args.key {
            Some(path) => Some(account_of(&keys::network_public(path)?)),
            None => None,
        };
        let transaction = json!({ "sender": sender, "action": action });
        return out.data(&transaction, || format!("{transaction:#}"));
    }
    let key = sender(args)?;
    let connection = Connection::new(connection)?;
    let client = match &args.network {
        Some(network) => connection.client().clone().for_network(network),
        None => connection.client().clone(),
    };
    let sender = client.add_key(key);
    let name = action.name();
    let transaction = Transaction { sender, action };
    let receipt = connection.run(
        &format!("the ledger did not apply {name}"),
        client.submit(&transaction),
    )?;
    out.data(&receipt, || {
        let mut text = format!(
            "{name} applied in block {}, record {}, sent by {sender}\n",
            receipt.block, receipt.record
        );
        text.push_str(&events::lines(&receipt.events));
        text
    })
}

fn action_of(args: &TxArgs) -> CommandResult<Action> {
    match (&args.kind, &args.action) {
        (Some(_), Some(_)) => Err(CommandError::usage(
            "--action FILE and a kind were given, which say the same thing twice",
        )
        .next("leave one of them out")),
        (Some(kind), None) => kind.action(),
        (None, Some(file)) => action::decode(files::read_json(file)?),
        (None, None) => Err(CommandError::usage("no kind of transaction was named")
            .next("ashlar stake tx --list shows all of them; ashlar stake tx KIND --help one")),
    }
}

fn sender(args: &TxArgs) -> CommandResult<NetworkKey> {
    let path = args.key.as_deref().ok_or_else(|| {
        CommandError::usage("no key to sign with").next(
            "--key FILE names a keystore; make one with: ashlar keys new network --out staker.json",
        )
    })?;
    let password = files::password(
        args.password_file.as_deref(),
        &format!("Password of {}", path.display()),
        false,
    )?;
    keys::open_network(path, &password)
}

/// Options of `ashlar stake account`.
#[derive(Clone, Debug, Args)]
pub struct AccountArgs {
    /// The keystore; its password is not needed
    pub key: PathBuf,
}

/// Runs `ashlar stake account`: whose account a network key is, or which operator a BLS key makes.
///
/// # Errors
/// The file is no keystore.
pub fn account(args: &AccountArgs, out: &mut Output<'_>) -> CommandResult {
    match keys::public(&args.key)? {
        Public::Network(public) => {
            let account: Account = account_of(&public);
            out.data(&json!({ "account": account, "public_key": public }), || {
                account.to_string()
            })
        }
        Public::Bls(public) => {
            let id = operator_id(&public);
            out.data(&json!({ "operator": id, "public_key": public }), || {
                id.to_string()
            })
        }
    }
}
