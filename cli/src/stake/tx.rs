//! `ashlar stake tx`: sends a transaction.

use std::path::{Path, PathBuf};

use ashlar_crypto::account::AccountSignature;
use ashlar_ledger::{Receipt, SignedTransaction};
use ashlar_proto::{Account, Network, operator_id};
use ashlar_restaking::{Action, Transaction};
use clap::Args;
use serde_json::{Value, json};

use super::connection::{Connection, ConnectionArgs};
use super::events;
use super::forms::decode;
use super::kinds::{self, Kind};
use super::signer::Signer;
use crate::error::{CliError, CliResult, Exit};
use crate::files;
use crate::keys::{self, Public};
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  ashlar stake tx deposit --strategy 2 --amount 1.5eth --key staker.json --password-file password
  ashlar stake tx delegate --operator 0x5e… --key staker.json
  ashlar stake tx --list                               each kind with its options and who may send it
  ashlar stake tx --action action.json --key staker.json
  ashlar stake tx slash --help                         the options of one kind, with an example

The sender is the account of the key: an Ethereum address. Make a key with `ashlar keys new account --out staker.json`.
A wallet that holds the key signs what --typed-data prints (eth_signTypedData_v4); then: --signature 0x… --nonce N --sender 0x…. The password comes from a prompt or a file, never from an argument.";

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
    list: bool,
    /// An action in JSON, of any kind; - reads standard input
    #[arg(long, value_name = "FILE")]
    action: Option<PathBuf>,
    /// The sender's key, a keystore of an account's key
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "ASHLAR_STAKE_KEY",
        hide_env_values = true
    )]
    key: Option<PathBuf>,
    /// A file whose first line is the password of the key [default: ask]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ASHLAR_STAKE_PASSWORD_FILE",
        hide_env_values = true
    )]
    password_file: Option<PathBuf>,
    /// Print the transaction in JSON, and send nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Print what a wallet signs (eth_signTypedData_v4), and send nothing
    #[arg(long, global = true, conflicts_with = "dry_run")]
    typed_data: bool,
    /// Send with this signature, which a wallet made of --typed-data
    #[arg(id = "wallet_signature", long = "signature", global = true, value_name = "0x…", conflicts_with_all = ["dry_run", "typed_data"])]
    signature: Option<AccountSignature>,
    /// The nonce that the wallet signed [default: the next]
    #[arg(long, global = true, value_name = "NUMBER")]
    nonce: Option<u64>,
    /// The sender, if its key is in a wallet
    #[arg(long, global = true, value_name = "ACCOUNT", conflicts_with = "key")]
    sender: Option<Account>,
    /// Sign only for this network [default: the one that the service says]
    #[arg(long, global = true, value_name = "0x…")]
    network: Option<Network>,
    /// What to do.
    #[command(subcommand)]
    kind: Option<Kind>,
}

/// Runs `ashlar stake tx`.
///
/// # Errors
/// The action is none, the key cannot be opened, or the ledger refuses.
pub fn run(ui: Ui, mut args: TxArgs, connection: &ConnectionArgs) -> CliResult {
    if args.list {
        return ui.data(&kinds::list_json(), kinds::list);
    }
    let kind = args.kind.take();
    let connection = Connection::new(connection)?;
    let args = &args;
    let signer = Signer {
        connection: &connection,
        network: args.network,
        sender: args.sender,
        key: args.key.as_deref(),
    };
    let action = action_of(kind, args.action.as_deref(), &signer)?;
    if args.dry_run {
        let sender = args.key.as_deref().map(keys::account).transpose()?;
        let transaction = json!({ "sender": sender, "action": action });
        return ui.data(&transaction, || format!("{transaction:#}"));
    }
    if args.typed_data {
        return typed_data(ui, &action, args.nonce, &signer);
    }
    let name = action.name();
    let (sender, receipt) = match &args.signature {
        Some(signature) => {
            let sender = signer.account()?;
            let nonce = args.nonce.ok_or_else(|| {
                CliError::usage("a signature without its nonce")
                    .next("--nonce N, as in the document that was signed")
            })?;
            let what = not_applied(&action);
            let signed = SignedTransaction {
                network: signer.network()?,
                nonce,
                signature: *signature,
                transaction: Transaction { sender, action },
            };
            let receipt = connection.run(&what, connection.client().submit_signed(&signed))?;
            (sender, receipt)
        }
        None => {
            let path = args.key.as_deref().ok_or_else(|| {
                CliError::usage("no key to sign with").next(
                    "--key FILE names a keystore; make one with: ashlar keys new account --out staker.json",
                )
            })?;
            let password_file = args.password_file.as_deref();
            send(&connection, path, password_file, args.network, action)?
        }
    };
    ui.data(&receipt, || {
        let mut text = format!(
            "{name} applied in block {}, record {}, sent by {sender}\n",
            receipt.block, receipt.record
        );
        text.push_str(&events::lines(&receipt.events));
        text
    })
}

/// Signs a transaction with the key of a keystore, and sends it. Gives its sender, too.
///
/// # Errors
/// The key cannot be opened, or the ledger refuses.
pub fn send(
    connection: &Connection,
    path: &Path,
    password_file: Option<&Path>,
    network: Option<Network>,
    action: Action,
) -> CliResult<(Account, Receipt)> {
    let prompt = format!("Password of {}", path.display());
    let password = files::password(password_file, &prompt, false)?;
    let key = keys::open_account(path, &password)?;
    let client = connection.client().clone();
    let client = match network {
        Some(network) => client.for_network(network),
        None => client,
    };
    let sender = client.add_key(key);
    let what = not_applied(&action);
    let transaction = Transaction { sender, action };
    let receipt = connection.run(&what, client.submit(&transaction))?;
    Ok((sender, receipt))
}

fn not_applied(action: &Action) -> String {
    format!("the ledger did not apply {}", action.name())
}

/// What a wallet signs: the document, with the sender's next nonce unless one is named.
fn typed_data(ui: Ui, action: &Action, nonce: Option<u64>, signer: &Signer<'_>) -> CliResult {
    let nonce = match nonce {
        Some(nonce) => nonce,
        None => {
            let account = signer.account()?;
            let client = signer.connection.client();
            let view = signer.connection.run(
                "could not ask the ledger for the last nonce",
                client.account(account),
            )?;
            view.nonce.saturating_add(1)
        }
    };
    let document = action
        .typed_data(signer.network()?, nonce)
        .map_err(|error| {
            CliError::new(
                Exit::Failure,
                "output.json",
                "could not write the document as JSON",
            )
            .because(error.to_string())
        })?;
    ui.data(&document, || format!("{document:#}"))
}

fn action_of(kind: Option<Kind>, file: Option<&Path>, signer: &Signer<'_>) -> CliResult<Action> {
    match (kind, file) {
        (Some(_), Some(_)) => Err(CliError::usage(
            "--action FILE and a kind were given, which say the same thing twice",
        )
        .next("leave one of them out")),
        (Some(kind), None) => kind.action(signer),
        (None, Some(file)) => {
            let value = files::read_json(file)?;
            let what = match value.get("type").and_then(Value::as_str) {
                Some(name) => format!(
                    "this is no {} action",
                    name.chars().take(40).collect::<String>()
                ),
                None => "this is no action: it has no \"type\"".to_owned(),
            };
            decode(value, &what)
        }
        (None, None) => Err(CliError::usage("no kind of transaction was named")
            .next("ashlar stake tx --list shows all of them; ashlar stake tx KIND --help one")),
    }
}

/// Options of `ashlar stake account`.
#[derive(Clone, Debug, Args)]
pub struct AccountArgs {
    /// The keystore; its password is not needed
    pub key: PathBuf,
}

/// Runs `ashlar stake account`: which account a key is, or which operator a BLS key makes.
///
/// # Errors
/// The file is no keystore.
pub fn account(ui: Ui, args: &AccountArgs) -> CliResult {
    match keys::public(&args.key)? {
        Public::Account(account) => ui.data(&json!({ "account": account }), || account.to_string()),
        Public::Network(public) => {
            ui.data(&json!({ "network_key": public }), || public.to_string())
        }
        Public::Bls(public) => {
            let id = operator_id(&public);
            ui.data(&json!({ "operator": id, "public_key": public }), || {
                id.to_string()
            })
        }
    }
}
