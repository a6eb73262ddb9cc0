//! `ashlar stake show`: what the ledger says.

mod tables;

use alloy_primitives::B256;
use ashlar_ledger::client::build_table;
use ashlar_ledger::types::{
    ClaimedView, EventPage, Head, QuorumView, ServiceDetail, StakerDetail, TableHead, TableView,
    WitnessView,
};
use ashlar_proto::{Account, Block, Network, OperatorId, QuorumId, TableAccess as _};
use ashlar_restaking::{Amount, ServiceId, VaultId};
use ashlar_stake::{OperatorTable, PossessionCache};
use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::connection::{Connection, ConnectionArgs, failed};
use super::units;
use crate::error::{CliError, CliResult, Exit};
use crate::ui::Ui;

const EXAMPLES: &str = "\
Examples:
  ashlar stake show strategies
  ashlar stake show operator 0x5e…
  ashlar stake show staker 0xa1…
  ashlar stake show table --service 1 --block 120      who weighed what at the end of block 120
  ashlar stake show table --witness 0x5e…              proves an operator's weight to who has the table's root only
  ashlar stake show events --since 40 --json
  ashlar stake show rewards shares 1 0 100eth          who would get what of a reward

Amounts are in whole tokens (of eighteen decimals, ETH for ether), exact to the last digit; --json has base units.";

/// Options of `ashlar stake show`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    /// What to show.
    #[command(subcommand)]
    pub what: ShowCommand,
}

/// What can be shown.
#[derive(Clone, Debug, Subcommand)]
pub enum ShowCommand {
    /// Whether the service is well, and if not, why
    Health,
    /// Network, block, and where the log stands
    Head,
    /// The state root, which `ashlar stake verify-log` computes anew
    Root,
    /// Roles, delays, caps, and the timing rule
    Params,
    /// Assets that can be restaked, and where their shares are
    Strategies,
    /// Everybody who runs nodes
    Operators,
    /// An operator: its stake, allocations and quorums
    Operator {
        /// Its id
        id: OperatorId,
    },
    /// A staker: its positions and withdrawals
    Staker {
        /// Its account
        account: Account,
    },
    /// A staker's open withdrawals
    Withdrawals {
        /// Its account
        account: Account,
    },
    /// An open withdrawal
    Withdrawal {
        /// Its number
        id: u64,
    },
    /// What operators secure
    Services,
    /// A service with its quorums
    Service {
        /// Its number
        id: ServiceId,
    },
    /// Quorums, of one service or of all
    Quorums {
        /// The service
        #[arg(long, value_name = "NUMBER")]
        service: Option<ServiceId>,
    },
    /// Who is, or was, in a quorum
    Members {
        /// The service
        service: ServiceId,
        /// The quorum
        quorum: QuorumId,
    },
    /// Slashes that wait for their veto window
    SlashRequests,
    /// Open custody challenges: who is asked for which element, and until when
    Challenges {
        /// Those to this operator
        #[arg(long, value_name = "OPERATOR")]
        operator: Option<OperatorId>,
        /// Those of this service
        #[arg(long, value_name = "NUMBER")]
        service: Option<ServiceId>,
    },
    /// An open custody challenge
    Challenge {
        /// Its number
        id: u64,
    },
    /// Liquid restaking vaults
    Vaults,
    /// A vault: its rate, operators and requests
    Vault {
        /// Its number
        id: VaultId,
        /// Show this account's shares instead
        #[arg(long, value_name = "ACCOUNT")]
        holder: Option<Account>,
    },
    /// Reward roots, funds, payments, shares
    Rewards {
        /// Which of these [default: roots]
        #[command(subcommand)]
        what: Option<Rewards>,
    },
    /// An operator table: what disperser, nodes and retrievers see
    Table {
        /// The service
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        service: ServiceId,
        /// The block [default: the newest that is over]
        #[arg(long, value_name = "NUMBER")]
        block: Option<Block>,
        /// Show the witness of one operator: its entry, and its Merkle path to the table's root
        #[arg(long, value_name = "OPERATOR")]
        witness: Option<OperatorId>,
    },
    /// What happened
    Events {
        /// After this record
        #[arg(long, value_name = "RECORD", default_value_t = 0)]
        since: u64,
    },
    /// An account's last nonce
    Account {
        /// The account
        account: Account,
    },
}

/// What can be shown of rewards.
#[derive(Clone, Debug, Subcommand)]
pub enum Rewards {
    /// Roots of cumulative earnings
    Roots,
    /// What was paid in and claimed of a token
    Fund {
        /// The token's contract
        token: Account,
    },
    /// What an earner was paid of a token, ever
    Claimed {
        /// The earner
        earner: Account,
        /// The token's contract
        token: Account,
    },
    /// Who would get what of a reward for a quorum, as its stake is now
    Shares {
        /// The service
        service: ServiceId,
        /// The quorum
        quorum: QuorumId,
        /// The reward
        #[arg(value_parser = units::amount)]
        amount: Amount,
    },
}

/// Runs `ashlar stake show`.
///
/// # Errors
/// The service cannot be reached, or does not know what is asked for.
pub fn run(ui: Ui, args: &ShowArgs, connection: &ConnectionArgs) -> CliResult {
    let ledger = Connection::new(connection)?;
    let show = Show {
        ui,
        ledger: &ledger,
    };
    match &args.what {
        ShowCommand::Health => {
            let health = ledger.run("could not ask the ledger", ledger.client().health())?;
            ui.data(&health, || tables::health(&health))
        }
        ShowCommand::Head => show.one("v1/head", tables::head),
        ShowCommand::Root => show.one("v1/root", tables::root),
        ShowCommand::Params => {
            let head: Head = ledger.get("v1/head")?;
            show.one("v1/state/meta", |meta| tables::params(meta, head.block_ms))
        }
        ShowCommand::Strategies => show.list("v1/state/strategies", tables::strategies),
        ShowCommand::Operators => show.list("v1/state/operators", tables::operators),
        ShowCommand::Operator { id } => {
            show.one(format!("v1/state/operators/{id}"), tables::operator)
        }
        ShowCommand::Staker { account } => {
            show.one(format!("v1/state/stakers/{account}"), tables::staker)
        }
        ShowCommand::Withdrawals { account } => {
            let one: StakerDetail = ledger.get(&format!("v1/state/stakers/{account}"))?;
            show.items(&one.withdrawals, |list| {
                tables::withdrawals(one.block, list)
            })
        }
        ShowCommand::Withdrawal { id } => {
            let head: Head = ledger.get("v1/head")?;
            show.one(format!("v1/state/withdrawals/{id}"), |one| {
                tables::withdrawals(head.block, std::slice::from_ref(one))
            })
        }
        ShowCommand::Services => show.list("v1/state/services", tables::services),
        ShowCommand::Service { id } => show.one(format!("v1/state/services/{id}"), tables::service),
        ShowCommand::Quorums { service } => {
            let services: Vec<ServiceDetail> = match service {
                Some(id) => vec![ledger.get(&format!("v1/state/services/{id}"))?],
                None => ledger.all_services()?,
            };
            let list: Vec<QuorumView> = services.into_iter().flat_map(|s| s.quorums).collect();
            show.items(&list, tables::quorums)
        }
        ShowCommand::Members { service, quorum } => show.list(
            &format!("v1/state/services/{service}/quorums/{quorum}/members"),
            tables::members,
        ),
        ShowCommand::SlashRequests => show.list("v1/state/slash-requests", tables::slash_requests),
        ShowCommand::Challenges { operator, service } => {
            let asked = [
                operator.map(|operator| format!("operator={operator}")),
                service.map(|service| format!("service={service}")),
            ];
            let asked: Vec<String> = asked.into_iter().flatten().collect();
            let path = match asked.is_empty() {
                true => "v1/state/challenges".to_owned(),
                false => format!("v1/state/challenges?{}", asked.join("&")),
            };
            show.list(&path, tables::challenges)
        }
        ShowCommand::Challenge { id } => {
            show.one(format!("v1/state/challenges/{id}"), tables::challenge)
        }
        ShowCommand::Vaults => show.list("v1/state/vaults", tables::vaults),
        ShowCommand::Vault { id, holder: None } => {
            show.one(format!("v1/state/vaults/{id}"), tables::vault)
        }
        ShowCommand::Vault {
            id,
            holder: Some(holder),
        } => show.one(
            format!("v1/state/vaults/{id}/holders/{holder}"),
            tables::holder,
        ),
        ShowCommand::Rewards { what } => rewards(what.as_ref().unwrap_or(&Rewards::Roots), &show),
        ShowCommand::Table {
            service,
            block,
            witness,
        } => table(*service, *block, witness.as_ref(), &show),
        ShowCommand::Events { since } => events(*since, &show),
        ShowCommand::Account { account } => {
            show.one(format!("v1/accounts/{account}"), tables::account)
        }
    }
}

/// Asks, and shows what comes back.
struct Show<'a> {
    ui: Ui,
    ledger: &'a Connection,
}

impl Show<'_> {
    fn one<T: DeserializeOwned + Serialize>(
        &self,
        path: impl AsRef<str>,
        text: impl Fn(&T) -> String,
    ) -> CliResult {
        let one: T = self.ledger.get(path.as_ref())?;
        self.ui.data(&one, || text(&one))
    }

    fn list<T: DeserializeOwned + Serialize>(
        &self,
        path: &str,
        text: impl Fn(&[T]) -> String,
    ) -> CliResult {
        self.items(&self.ledger.list(path)?, text)
    }

    fn items<T: Serialize>(&self, list: &[T], text: impl Fn(&[T]) -> String) -> CliResult {
        self.ui.data(&json!({ "items": list }), || text(list))
    }
}

fn rewards(what: &Rewards, show: &Show<'_>) -> CliResult {
    match what {
        Rewards::Roots => show.list("v1/state/rewards/roots", tables::reward_roots),
        Rewards::Fund { token } => {
            show.one(format!("v1/state/rewards/funds/{token}"), tables::fund)
        }
        Rewards::Claimed { earner, token } => show.one(
            format!("v1/state/rewards/claimed/{earner}/{token}"),
            |one: &ClaimedView| units::whole(one.amount),
        ),
        Rewards::Shares {
            service,
            quorum,
            amount,
        } => show.list(
            &format!("v1/state/rewards/shares?service={service}&quorum={quorum}&amount={amount}"),
            tables::shares,
        ),
    }
}

fn table(
    service: ServiceId,
    block: Option<Block>,
    of: Option<&OperatorId>,
    show: &Show<'_>,
) -> CliResult {
    let (ui, ledger) = (show.ui, show.ledger);
    let block = match block {
        Some(block) => block,
        None => {
            let head: TableHead = ledger.get(&format!("v1/services/{service}/head"))?;
            head.block()
        }
    };
    let view: TableView = ledger.get(&format!("v1/services/{service}/tables/{block}"))?;
    // Computed here from the entries, proofs of possession included, and compared with what the service says.
    let mut cache = PossessionCache::default();
    let head: Head = ledger.get("v1/head")?;
    let domain = Network::ledger(&head.genesis.0).domain(u64::from(service));
    let table = build_table(&view, service, domain, block, &mut cache)
        .map_err(|error| failed("the ledger's table is not what it says", &error))?;
    match of {
        None => ui.data(&view, || tables::table(&view)),
        Some(id) => {
            let witness = Witness::of(&table, service, id)?;
            ui.data(&witness, || tables::witness(&witness))
        }
    }
}

/// A proof that an operator is in a table, for who has the table's root: the header makes the root, the path leads from the entry to the
/// header. As the service would give it, and what follows from it.
#[derive(Clone, Debug, Serialize)]
pub struct Witness {
    /// The table, the entry and the path.
    #[serde(flatten)]
    pub view: WitnessView,
    /// Hash of the entry.
    pub leaf: B256,
    /// The operator's weight by quorum, from the entry.
    pub weights: Vec<(QuorumId, Amount)>,
}

impl Witness {
    fn of(table: &OperatorTable, service: ServiceId, id: &OperatorId) -> CliResult<Self> {
        let found = table
            .find(id)
            .and_then(|index| Some((index, table.witness(index)?)));
        let Some((index, (entry, path))) = found else {
            return Err(CliError::new(
                Exit::Unavailable,
                "table.no_operator",
                format!("operator {id} is not in this table"),
            )
            .because(format!(
                "the table of service {service} at block {} has {} operators",
                table.reference_block(),
                table.operators().len()
            ))
            .next("see who is in it: ashlar stake show table"));
        };
        let header = table.header();
        let witness = Self {
            view: WitnessView {
                service,
                block: table.reference_block(),
                root: table.root(),
                header: header.abi_encode().into(),
                operators: header.operators,
                operators_root: header.operators_root.into(),
                operator: *id,
                index,
                entry: entry.abi_encode().into(),
                path: path.iter().map(|hash| B256::from(*hash)).collect(),
            },
            leaf: entry.leaf().into(),
            weights: entry
                .stakes
                .iter()
                .map(|(quorum, stake)| (*quorum, Amount(*stake)))
                .collect(),
        };
        // As whoever gets it will check it.
        ashlar_crypto::verify_path(
            &header.operators_root,
            u64::from(header.operators),
            u64::from(index.0),
            entry.leaf(),
            &path,
        )
        .map_err(|error| CliError::coded(Exit::Failure, "the witness does not hold", &error))?;
        Ok(witness)
    }
}

fn events(since: u64, show: &Show<'_>) -> CliResult {
    let mut all = EventPage {
        items: Vec::new(),
        next: since,
        records: 0,
    };
    loop {
        let since = all.next;
        let page: EventPage = show.ledger.get(&format!("v1/events?since={since}"))?;
        all.items.extend(page.items);
        (all.records, all.next) = (page.records, page.next);
        if page.next >= page.records || page.next <= since {
            return show.ui.data(&all, || tables::events(&all));
        }
    }
}
