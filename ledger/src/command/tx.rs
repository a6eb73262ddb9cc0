//! `ashlar stake tx`: sends a transaction.

use std::path::PathBuf;

use ashlar_crypto::account::{AccountKey, AccountSignature};
use ashlar_proto::{Account, Network, OperatorId, operator_id};
use ashlar_restaking::{Action, Operator, Transaction};
use clap::Args;
use serde_json::json;

use super::action::{self, KindArgs};
use super::connection::{Connection, ConnectionArgs};
use super::error::{CommandError, CommandResult, Exit};
use super::keys::Public;
use super::output::Output;
use super::{events, files, keys};
use crate::SignedTransaction;
use crate::types::OperatorDetail;

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
    pub list: bool,
    /// An action in JSON, of any kind; - reads standard input
    #[arg(long, value_name = "FILE")]
    pub action: Option<PathBuf>,
    /// The sender's key, a keystore of an account's key
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
    /// Print what a wallet signs (eth_signTypedData_v4), and send nothing
    #[arg(long, global = true, conflicts_with = "dry_run")]
    pub typed_data: bool,
    /// Send with this signature, which a wallet made of --typed-data
    #[arg(long, global = true, value_name = "0x…", conflicts_with_all = ["dry_run", "typed_data"])]
    pub signature: Option<AccountSignature>,
    /// The nonce that the wallet signed [default: the next]
    #[arg(long, global = true, value_name = "NUMBER")]
    pub nonce: Option<u64>,
    /// The sender, if its key is in a wallet
    #[arg(long, global = true, value_name = "ACCOUNT", conflicts_with = "key")]
    pub sender: Option<Account>,
    /// Sign only for this network [default: the one that the service says]
    #[arg(long, global = true, value_name = "0x…")]
    pub network: Option<Network>,
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
    let connection = Connection::new(connection)?;
    let signer = Signer {
        connection: &connection,
        args,
    };
    let action = action_of(args, &signer)?;
    if args.dry_run {
        let sender = args.key.as_deref().map(keys::account).transpose()?;
        let transaction = json!({ "sender": sender, "action": action });
        return out.data(&transaction, || format!("{transaction:#}"));
    }
    if args.typed_data {
        return typed_data(&action, &signer, out);
    }
    let name = action.name();
    let what = format!("the ledger did not apply {name}");
    let (sender, receipt) = match &args.signature {
        Some(signature) => {
            let sender = signer.account()?;
            let nonce = args.nonce.ok_or_else(|| {
                CommandError::usage("a signature without its nonce")
                    .next("--nonce N, as in the document that was signed")
            })?;
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
            let key = sender(args)?;
            let client = connection.client().clone();
            let client = match args.network {
                Some(network) => client.for_network(network),
                None => client,
            };
            let sender = client.add_key(key);
            let transaction = Transaction { sender, action };
            (sender, connection.run(&what, client.submit(&transaction))?)
        }
    };
    out.data(&receipt, || {
        let mut text = format!(
            "{name} applied in block {}, record {}, sent by {sender}\n",
            receipt.block, receipt.record
        );
        text.push_str(&events::lines(&receipt.events));
        text
    })
}

/// What a wallet signs: the document, with the sender's next nonce unless one is named.
fn typed_data(action: &Action, signer: &Signer<'_>, out: &mut Output<'_>) -> CommandResult {
    let nonce = match signer.args.nonce {
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
            CommandError::new(
                Exit::Failure,
                "output.json",
                "could not write the document as JSON",
            )
            .because(error.to_string())
        })?;
    out.data(&document, || format!("{document:#}"))
}

/// Who signs, and for which network: what the actions need that another key signs too.
pub struct Signer<'a> {
    connection: &'a Connection,
    args: &'a TxArgs,
}

impl Signer<'_> {
    /// The network: as named, or as the service says.
    ///
    /// # Errors
    /// The service does not answer.
    pub fn network(&self) -> CommandResult<Network> {
        match self.args.network {
            Some(network) => Ok(network),
            None => self.connection.run(
                "could not ask the ledger for its network",
                self.connection.client().network(),
            ),
        }
    }

    /// The sender: as named, or as its keystore says.
    ///
    /// # Errors
    /// There is neither, or the keystore is none of an account's key.
    pub fn account(&self) -> CommandResult<Account> {
        match (self.args.sender, &self.args.key) {
            (Some(sender), _) => Ok(sender),
            (None, Some(path)) => keys::account(path),
            (None, None) => Err(CommandError::usage("nobody was named as the sender").next(
                "--key FILE names a keystore, --sender 0x… an account whose key is elsewhere",
            )),
        }
    }

    /// An operator as the ledger knows it.
    ///
    /// # Errors
    /// The service does not answer, or there is no such operator.
    pub fn operator(&self, id: OperatorId) -> CommandResult<Operator> {
        let path = format!("v1/state/operators/{id}");
        let detail: OperatorDetail = self.connection.run(
            "could not ask the ledger for the operator",
            self.connection.client().query(&path),
        )?;
        Ok(detail.operator)
    }
}

fn action_of(args: &TxArgs, signer: &Signer<'_>) -> CommandResult<Action> {
    match (&args.kind, &args.action) {
        (Some(_), Some(_)) => Err(CommandError::usage(
            "--action FILE and a kind were given, which say the same thing twice",
        )
        .next("leave one of them out")),
        (Some(kind), None) => kind.action(signer),
        (None, Some(file)) => action::decode(files::read_json(file)?),
        (None, None) => Err(CommandError::usage("no kind of transaction was named")
            .next("ashlar stake tx --list shows all of them; ashlar stake tx KIND --help one")),
    }
}

fn sender(args: &TxArgs) -> CommandResult<AccountKey> {
    let path = args.key.as_deref().ok_or_else(|| {
        CommandError::usage("no key to sign with").next(
            "--key FILE names a keystore; make one with: ashlar keys new account --out staker.json",
        )
    })?;
    let password = files::password(
        args.password_file.as_deref(),
        &format!("Password of {}", path.display()),
        false,
    )?;
    keys::open_account(path, &password)
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
pub fn account(args: &AccountArgs, out: &mut Output<'_>) -> CommandResult {
    match keys::public(&args.key)? {
        Public::Account(account) => {
            out.data(&json!({ "account": account }), || account.to_string())
        }
        Public::Network(public) => {
            out.data(&json!({ "network_key": public }), || public.to_string())
        }
        Public::Bls(public) => {
            let id = operator_id(&public);
            out.data(&json!({ "operator": id, "public_key": public }), || {
                id.to_string()
            })
        }
    }
}
