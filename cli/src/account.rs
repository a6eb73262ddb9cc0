//! `ashlar account`: what an account has with a disperser, on the ledger.

use std::path::{Path, PathBuf};

use ashlar_crypto::keystore::Cost;
use ashlar_ledger::types::{PayeeView, PaymentAccountDetail, PaymentAccountView, PaymentsView};
use ashlar_proto::{Account, Block};
use ashlar_restaking::{Action, Amount, PaymentTerms, ServiceId};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::context::devnet_here;
use crate::error::{CliError, CliResult};
use crate::files;
use crate::keys;
use crate::stake::connection::{Connection, ConnectionArgs};
use crate::stake::tx;
use crate::stake::units::{self, bps_percent, short, whole};
use crate::ui::{Ui, listing, pairs};

const EXAMPLES: &str = "\
Examples:
  ashlar account new --out account.json             a key; its account is an Ethereum address
  ashlar account deposit 1.5eth --key account.json  pay a disperser by vouchers from then on
  ashlar account show                               what is there, what is paid, what is reserved
  ashlar account reserve --rows-per-second 10 --blocks 7200
  ashlar account withdraw 0.5eth                    announces it
  ashlar account withdraw --take                    takes it, after the notice
  ashlar account payments                           prices, and who was paid

In the folder of a devnet its ledger, disperser and account are meant, unless others are named. Amounts are shown in whole tokens of eighteen decimals, exact to the last digit; --json has base units.";

/// Options of `ashlar account`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AccountArgs {
    /// Which ledger to talk to.
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Whose account, and with whom.
    #[command(flatten)]
    who: Who,
    /// What to do.
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Clone, Debug, Args)]
struct Who {
    /// The service
    #[arg(long, global = true, value_name = "NUMBER", default_value_t = 1)]
    service: ServiceId,
    /// The disperser: deposits and reservations are with one
    #[arg(long, global = true, value_name = "NUMBER", default_value_t = 0)]
    disperser_id: u32,
    /// The account's keystore [default: that of the devnet in .ashlar/devnet]
    #[arg(
        short,
        long,
        global = true,
        value_name = "FILE",
        env = "ASHLAR_ACCOUNT_KEY",
        hide_env_values = true
    )]
    key: Option<PathBuf>,
    /// A file whose first line is the password of the key [default: ask]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ASHLAR_ACCOUNT_PASSWORD_FILE",
        hide_env_values = true
    )]
    password_file: Option<PathBuf>,
}

/// The commands of `ashlar account`.
#[derive(Clone, Debug, Subcommand)]
enum AccountCommand {
    /// Make an account's key and write its keystore
    New {
        /// Where to write the keystore; an existing file is never overwritten
        #[arg(short, long, value_name = "FILE")]
        out: PathBuf,
    },
    /// What the account has with the disperser: deposit, vouchers paid, reservation
    Show {
        /// The account [default: that of the key]
        account: Option<Account>,
    },
    /// Deposit, to pay by vouchers
    Deposit {
        /// How much: 1.5eth, 20gwei, or base units
        #[arg(value_parser = units::amount)]
        amount: Amount,
    },
    /// Announce that some of the deposit is taken back, or take it after the notice
    Withdraw {
        /// How much: 1.5eth, 20gwei, or base units; 0 takes the announcement back [default: all]
        #[arg(value_parser = units::amount, conflicts_with = "take")]
        amount: Option<Amount>,
        /// Take what was announced before
        #[arg(long)]
        take: bool,
    },
    /// Buy rows a second, from block to block, at the service's price
    Reserve {
        /// Rows a second in the long run
        #[arg(long, value_name = "NUMBER")]
        rows_per_second: u32,
        /// Rows at once [default: those of a minute]
        #[arg(long, value_name = "NUMBER")]
        burst_rows: Option<u32>,
        /// For so many blocks
        #[arg(long, value_name = "NUMBER")]
        blocks: u64,
        /// The first of them [default: some seconds from now; where there is a reservation, its end: that makes it longer]
        #[arg(long, value_name = "BLOCK")]
        from: Option<Block>,
        /// What it may cost at most [default: what it costs now]
        #[arg(long, value_name = "AMOUNT", value_parser = units::amount)]
        most: Option<Amount>,
    },
    /// Who pays the disperser: deposits, vouchers paid, reservations
    Vouchers,
    /// What the service is paid for, at which price, and who was paid
    Payments,
}

/// Milliseconds until a reservation begins that is bought now: its transaction has to be there before.
const LEAD_MS: u64 = 5000;

/// Runs `ashlar account`.
///
/// # Errors
/// The key cannot be opened, the ledger is not reached, or it refuses.
pub fn run(ui: Ui, args: AccountArgs) -> CliResult {
    let AccountArgs {
        mut connection,
        mut who,
        command,
    } = args;
    if let AccountCommand::New { out } = &command {
        return new(ui, out, who.password_file.as_deref());
    }
    if let Some(devnet) = devnet_here()? {
        if connection.ledger.is_none() {
            connection.ledger = devnet.ledger.map(|ledger| ledger.url);
        }
        (who.key, who.password_file) =
            keys::or_of_devnet(who.key, who.password_file, Some(devnet.account));
    }
    let connection = Connection::new(&connection)?;
    let (service, disperser) = (who.service, who.disperser_id);
    match command {
        AccountCommand::New { .. } => Ok(()),
        AccountCommand::Show { account } => {
            let account = account.map_or_else(|| keys::account(who.key()?), Ok)?;
            let detail = who.detail(&connection, account)?;
            ui.data(&detail, || show(&detail))
        }
        AccountCommand::Vouchers => {
            let path = format!("v1/state/services/{service}/dispersers/{disperser}/accounts");
            let list: Vec<PaymentAccountView> = connection.list(&path)?;
            ui.data(&list, || accounts(&list))
        }
        AccountCommand::Payments => {
            let payments = who.payments(&connection)?;
            let path = format!("v1/state/services/{service}/payees");
            let payees: Vec<PayeeView> = connection.list(&path)?;
            let both = json!({ "payments": payments, "payees": payees });
            ui.data(&both, || market(&payments, &payees))
        }
        AccountCommand::Deposit { amount } => {
            let action = Action::FundAccount {
                service,
                disperser,
                amount,
            };
            who.send(ui, &connection, action)
        }
        AccountCommand::Withdraw { take: true, .. } => {
            who.send(ui, &connection, Action::TakeRefund { service, disperser })
        }
        AccountCommand::Withdraw { amount, .. } => {
            let action = Action::AnnounceRefund {
                service,
                disperser,
                amount,
            };
            who.send(ui, &connection, action)
        }
        AccountCommand::Reserve {
            rows_per_second,
            burst_rows,
            blocks,
            from,
            most,
        } => {
            let payments = who.payments(&connection)?;
            let from = match from {
                Some(from) => from,
                None => {
                    let detail = who.detail(&connection, keys::account(who.key()?)?)?;
                    let open = detail.terms.reservation.map(|open| open.until);
                    open.map_or_else(|| soon(&connection), Ok)?
                }
            };
            let most = match most {
                Some(most) => most,
                None => cost(&payments.market.terms, rows_per_second, blocks)?,
            };
            let action = Action::BuyReservation {
                service,
                disperser,
                rows_per_second,
                burst_rows: burst_rows.unwrap_or(rows_per_second.saturating_mul(60)),
                from,
                until: from.saturating_add(blocks),
                most,
            };
            who.send(ui, &connection, action)
        }
    }
}

/// The first block that a transaction sent now comes before.
fn soon(connection: &Connection) -> CliResult<Block> {
    let head = connection.run(
        "could not ask the ledger for its block",
        connection.client().head(),
    )?;
    let blocks = LEAD_MS / head.block_ms.max(1);
    Ok(head.block.saturating_add(blocks.saturating_add(2)))
}

/// What a reservation costs.
fn cost(terms: &PaymentTerms, rows: u32, blocks: u64) -> CliResult<Amount> {
    let one = Amount::from(1u64);
    let per_block = terms.row_price.mul_div(u64::from(rows).into(), one);
    per_block
        .and_then(|price| price.mul_div(blocks.into(), one))
        .map_err(|error| CliError::usage("no such reservation").because(error.to_string()))
}

fn new(ui: Ui, out: &Path, password_file: Option<&Path>) -> CliResult {
    files::refuse_existing(out)?;
    let password = files::password(password_file, "Password for the new key", true)?;
    let (key, _) = keys::new_account(out, &password, Cost::Standard)?;
    let account = Account(key.address());
    ui.data(&json!({ "account": account, "file": out }), || {
        account.to_string()
    })
}

impl Who {
    fn key(&self) -> CliResult<&Path> {
        self.key.as_deref().ok_or_else(keys::no_account)
    }

    fn detail(&self, connection: &Connection, account: Account) -> CliResult<PaymentAccountDetail> {
        let client = connection.client();
        connection.run(
            "could not ask the ledger for the account",
            client.payment_account(self.service, self.disperser_id, account),
        )
    }

    fn payments(&self, connection: &Connection) -> CliResult<PaymentsView> {
        let client = connection.client();
        connection.run(
            "could not ask the ledger for the service's prices",
            client.payments(self.service),
        )
    }

    /// Sends it, and shows what the account has then.
    fn send(&self, ui: Ui, connection: &Connection, action: Action) -> CliResult {
        let name = action.name();
        let path = self.key()?;
        let password_file = self.password_file.as_deref();
        let (account, receipt) = tx::send(connection, path, password_file, None, action)?;
        ui.note(format!("{name} applied in block {}", receipt.block));
        let detail = self.detail(connection, account)?;
        ui.data(&json!({ "receipt": receipt, "account": detail }), || {
            show(&detail)
        })
    }
}

fn show(detail: &PaymentAccountDetail) -> String {
    let (terms, record) = (&detail.terms, &detail.record);
    let left = terms.funded.saturating_minus(terms.redeemed);
    let mut out = pairs! {
        "account": detail.account,
        "block": terms.block,
        "deposited": whole(record.deposited),
        "paid by vouchers": whole(terms.redeemed),
        "left for vouchers": whole(left),
        "given back": whole(record.returned),
        "paid for reservations": whole(record.reserved),
    };
    if let Some(refund) = record.refund {
        out.push_str(&format!(
            "{} can be taken from block {} on: ashlar account withdraw --take\n",
            whole(refund.amount),
            refund.from
        ));
    }
    if let Some(of) = terms.reservation {
        out.push_str(&format!(
            "reserved: {} rows a second, {} at once, from block {} until block {}\n",
            of.rows_per_second, of.burst_rows, of.from, of.until
        ));
    }
    out
}

fn accounts(list: &[PaymentAccountView]) -> String {
    listing! { list, "nobody has deposited with this disperser", |view| let of = &view.record;
        "account": view.account,
        "deposited": whole(of.deposited),
        "paid by vouchers": whole(of.redeemed),
        "given back": whole(of.returned),
        "rows a second": of.reservation.map_or_else(|| "-".to_owned(), |held| held.rows_per_second.to_string()),
        "paid for reservations": whole(of.reserved),
    }
}

fn market(view: &PaymentsView, payees: &[PayeeView]) -> String {
    let (terms, fund) = (&view.market.terms, &view.market.fund);
    let mut out = pairs! {
        "token": terms.token,
        "to operators and stakers": bps_percent(terms.operators_bps.into()),
        "a reserved row a second": format!("{} a block", whole(terms.row_price)),
        "reserved now": format!("{} of {} rows a second", view.reserved_rows, terms.capacity),
        "notice": format!("{} blocks", terms.notice),
        "came in": whole(fund.paid_in),
        "of accounts still": whole(fund.held),
        "paid to operators and stakers": whole(fund.to_operators),
        "paid to dispersers": whole(fund.to_dispersers),
        "given back": whole(fund.returned),
    };
    out.push('\n');
    out.push_str(&listing! { payees, "no disperser was paid yet", |view| let of = &view.payee;
        "disperser": view.disperser,
        "account": short(view.account),
        "paid to it": whole(of.to_disperser),
        "to operators": whole(of.to_operators),
        "of accounts still": whole(of.held),
        "": of.closing.map_or_else(String::new, |closing| format!("closes in block {}", closing.ends)),
    });
    out
}
