//! Makes the files of a devnet: keys, table, configurations.

use std::path::{Path, PathBuf};

use ashlar_crypto::bls::SecretKey;
use ashlar_crypto::identity::NetworkKey;
use ashlar_crypto::keystore::Cost;
use ashlar_disperser::config::Accounts;
use ashlar_ledger::devnet::{
    Devnet, DevnetDisperser, DevnetOperator, DevnetRoles, DevnetSpec, MAX_STAKE, SERVICE,
    devnet_genesis, devnet_params,
};
use ashlar_ledger::service::signing_floor::SigningFloor;
use ashlar_ledger::{LedgerConfig, LedgerService};
use ashlar_proto::api::AccountMode;
use ashlar_proto::table::OperatorEntry;
use ashlar_proto::{Account, Block, QuorumId, Stake};
use ashlar_stake::{
    DisperserRecord, OperatorRecord, Registration, TableFile, TableLocation, TableRecord,
    TableSource,
};

use super::Plan;
use super::layout::{AccountEntry, DevnetFile, DisperserEntry, LedgerEntry, NodeEntry};
use super::ports::{self, Held};
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;
use crate::requirements::ReaderDefaults;
use crate::stake::init;

/// The block of the first table; without a ledger the only one.
const BLOCK: Block = Block(1);
/// Milliseconds between the ledger's blocks.
const BLOCK_MS: u64 = 1000;
/// Blocks that withdrawn stake stays slashable.
const ESCROW_BLOCKS: u64 = 120;
/// The network's name.
const NETWORK: &str = "ashlar-devnet";
/// Name of the ledger's folder.
const LEDGER: &str = "ledger";
/// What a row costs for a day and a quorum: for 14 days in one quorum 1400 gwei, somewhat more than one that is reserved.
const ROW_DAY_PRICE: u64 = 100_000_000_000;
/// Seconds after which vouchers are redeemed at the latest: somebody watches.
const REDEEM_SECS: u64 = 10;
/// The number of the devnet's only disperser: the first that a ledger gives.
const DISPERSER_ID: u32 = 0;

/// What of a devnet listens at an address of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// The disperser's HTTP.
    Disperser,
    /// The ledger's HTTP, if there is a ledger.
    Ledger,
    /// An operator's QUIC.
    NodeQuic(usize),
    /// An operator's HTTP.
    NodeHttp(usize),
}

/// Makes everything in an empty folder, for processes on this machine. The ports stay held until the returned guards are dropped.
///
/// # Errors
/// As [`create_at`], or there are no free ports.
pub fn create(dir: &Path, plan: &Plan, ledger: bool) -> CliResult<(DevnetFile, Vec<Held>)> {
    let held = ports::hold(2 * plan.operators() + 2)?;
    let address = |listener| {
        let place = match listener {
            Listener::Disperser => 0,
            Listener::Ledger => 1,
            Listener::NodeQuic(operator) => 2 * operator + 2,
            Listener::NodeHttp(operator) => 2 * operator + 3,
        };
        #[expect(
            clippy::expect_used,
            reason = "two ports are held for each operator, and two more"
        )]
        let held = held.get(place).expect("a held port");
        format!("127.0.0.1:{}", held.port)
    };
    let file = create_at(dir, plan, ledger, address)?;
    Ok((file, held))
}

/// Makes everything in an empty folder, for processes that listen at these addresses, `IP:port`.
///
/// The description is written last: a folder without it is a half-made devnet, and is never taken for a whole one.
///
/// # Errors
/// The folder holds the rest of an earlier attempt, or cannot be written.
pub fn create_at(
    dir: &Path,
    plan: &Plan,
    ledger: bool,
    address: impl Fn(Listener) -> String,
) -> CliResult<DevnetFile> {
    let count = plan.operators();
    if ["node-0", "disperser", LEDGER]
        .iter()
        .any(|name| dir.join(name).exists())
    {
        return Err(CliError::new(
            Exit::Usage,
            "devnet.half_made",
            format!("{} holds a half-made devnet", dir.display()),
        )
        .because("an earlier start was interrupted before it had written everything")
        .next(format!(
            "remove it (rm -r {}) and start again",
            dir.display()
        )));
    }
    // Refused before there is anything to clean up.
    match (ledger, plan.accounts) {
        (true, _) => check_for_ledger(plan)?,
        (false, AccountMode::Paid) => {
            return Err(
                CliError::usage("without a ledger there is nothing to pay with")
                    .next("leave out --no-ledger, or --accounts paid"),
            );
        }
        (false, _) => {}
    }
    let disperser_dir = dir.join("disperser");
    let disperser_http = address(Listener::Disperser);
    let founder = match ledger {
        true => Some(LedgerFounder::new(
            dir.join(LEDGER),
            address(Listener::Ledger),
        )?),
        false => None,
    };
    let tables = match &founder {
        Some(founder) => founder.tables(),
        None => dir.join("operators.toml").into(),
    };
    let mut restakers = Vec::new();
    let mut operators = Vec::with_capacity(count);
    let mut nodes = Vec::with_capacity(count);
    for (index, operator) in (0u32..).zip(0..count) {
        let node_dir = dir.join(format!("node-{index}"));
        let quic = address(Listener::NodeQuic(operator));
        let http = address(Listener::NodeHttp(operator));
        let stakes = plan.of_operator(operator);
        let settings = crate::node::Settings {
            quic: quic.clone(),
            http: http.clone(),
            tables: tables.clone(),
            retention_secs: plan.retention_secs,
        };
        let (made, bls) = make_node(&node_dir, &settings, &stakes)?;
        let record = OperatorRecord::from(&made);
        if founder.is_some() {
            restakers.push(make_restaker(&node_dir, &made, bls, &stakes)?);
        }
        nodes.push(NodeEntry {
            index,
            operator_id: made.entry.operator_id.to_string(),
            pid: 0,
            quic,
            http: format!("http://{http}"),
            dir: node_dir,
            stakes: stakes.iter().map(ToString::to_string).collect(),
        });
        operators.push(record);
    }
    let payer = make_payer(&dir.join("account"))?;
    let settings = crate::disperser::Settings {
        http: disperser_http.clone(),
        tables: tables.clone(),
        retention_secs: plan.retention_secs,
        accounts: accounts(plan.accounts, payer.address),
    };
    let (disperser, network) = make_disperser(&disperser_dir, &settings)?;
    let ledger = match founder {
        None => {
            let path = dir.join("operators.toml");
            let tables = vec![TableRecord {
                block: BLOCK,
                versions: vec![ashlar_proto::DEFAULT_VERSION],
                dispersers: vec![disperser],
                operators,
            }];
            let file = TableFile {
                network: NETWORK.to_owned(),
                service: u64::from(SERVICE),
                tables,
            };
            file.write(&path).map_err(|error| {
                CliError::coded(
                    Exit::Failure,
                    format!("could not write {}", path.display()),
                    &error,
                )
            })?;
            None
        }
        Some(founder) => {
            let account = make_account(&disperser_dir, "account.json")?;
            let disperser = DevnetDisperser { account, network };
            founder.found(disperser, payer.address, restakers)?;
            Some(LedgerEntry {
                pid: 0,
                url: founder.url(),
                dir: founder.dir,
            })
        }
    };

    let file = DevnetFile {
        pid: 0,
        disperser_url: format!("http://{disperser_http}"),
        tables,
        reader: ReaderDefaults::devnet(),
        retention_secs: plan.retention_secs,
        accounts: plan.accounts,
        nodes,
        disperser: DisperserEntry {
            pid: 0,
            dir: disperser_dir,
        },
        account: payer,
        ledger,
    };
    file.write(dir)?;
    Ok(file)
}

/// Whom the devnet's disperser serves: its account alone, if not everybody.
fn accounts(mode: AccountMode, payer: Account) -> Accounts {
    let mut accounts = Accounts {
        mode,
        ..Accounts::default()
    };
    match mode {
        AccountMode::Open => {}
        AccountMode::AllowList => accounts.allow.push(payer),
        AccountMode::Paid => {
            accounts.row_day_price = ROW_DAY_PRICE;
            accounts.redeem_interval_secs = REDEEM_SECS;
        }
    }
    accounts
}

/// Refuses to go on with a devnet that is not what was asked for.
///
/// # Errors
/// The stakes in the folder are others, the time for which it keeps data is, or whom its disperser serves.
pub fn check_plan(file: &DevnetFile, plan: &Plan, dir: &Path) -> CliResult {
    let there: Vec<Vec<String>> = file.nodes.iter().map(|node| node.stakes.clone()).collect();
    let asked: Vec<Vec<String>> = (0..plan.operators())
        .map(|operator| {
            plan.of_operator(operator)
                .iter()
                .map(ToString::to_string)
                .collect()
        })
        .collect();
    let (kept, asked_kept) = (file.retention_secs, plan.retention_secs);
    let (mode, asked_mode) = (file.accounts, plan.accounts);
    if there == asked && kept == asked_kept && mode == asked_mode {
        return Ok(());
    }
    Err(CliError::usage(format!("{} holds another devnet", dir.display()))
        .because(format!(
            "there: {}, data kept for {kept} s, accounts {mode}; asked for: {}, {asked_kept} s, accounts {asked_mode}; 0 s is the protocol's own time",
            spell(&there),
            spell(&asked)
        ))
        .next("leave out --operators, --stakes, --quorums, --retention-secs and --accounts to go on with it, or choose another folder with --dir"))
}

fn spell(stakes: &[Vec<String>]) -> String {
    let each: Vec<String> = stakes.iter().map(|stakes| stakes.join("/")).collect();
    format!("{} operators with {}", stakes.len(), each.join(","))
}

/// A new password in `DIR/password`, readable by its owner only.
fn make_password(dir: &Path) -> CliResult<(PathBuf, zeroize::Zeroizing<String>)> {
    let password = zeroize::Zeroizing::new(hex::encode(files::random::<16>()?));
    let path = dir.join("password");
    files::write_atomically(&path, format!("{}\n", *password).as_bytes(), Access::Owner)?;
    Ok((path, password))
}

fn make_node(
    dir: &Path,
    settings: &crate::node::Settings,
    stakes: &[Stake],
) -> CliResult<(Registration, SecretKey)> {
    files::create_folder(dir)?;
    let (_, password) = make_password(dir)?;
    // The keys of a devnet guard nothing; opening seventeen of them at full cost would take a minute.
    let (bls, _) = keys::new_bls(&dir.join("bls.json"), &password, Cost::Light)?;
    let (network, _) = keys::new_network(&dir.join("network.json"), &password, Cost::Light)?;
    crate::node::write_config(dir, settings)?;
    let public = bls.public_key().to_bytes();
    let stakes: Vec<(QuorumId, Stake)> = (0u8..)
        .zip(stakes)
        .filter(|(_, stake)| !stake.is_zero())
        .map(|(quorum, stake)| (quorum, *stake))
        .collect();
    let registration = Registration {
        entry: OperatorEntry {
            operator_id: ashlar_proto::operator_id(&public),
            bls_public_key: public,
            network_key: network.public(),
            address: settings.quic.clone(),
            stakes,
        },
        proof_of_possession: bls.prove_possession().to_bytes(),
    };
    Ok((registration, bls))
}

/// The account that posts and pays.
fn make_payer(dir: &Path) -> CliResult<AccountEntry> {
    files::create_folder(dir)?;
    let (password_file, _) = make_password(dir)?;
    Ok(AccountEntry {
        address: make_account(dir, "account.json")?,
        key: dir.join("account.json"),
        password_file,
    })
}

/// A new account's key in a folder that has its password.
fn make_account(dir: &Path, name: &str) -> CliResult<Account> {
    let password = files::password(Some(&dir.join("password")), "", false)?;
    let (key, _) = keys::new_account(&dir.join(name), &password, Cost::Light)?;
    Ok(Account(key.address()))
}

/// The ledger takes whole numbers up to a million as stakes: real assets are behind them.
fn check_for_ledger(plan: &Plan) -> CliResult {
    let max = Stake::from(MAX_STAKE);
    match plan.stakes.iter().flatten().find(|stake| **stake > max) {
        None => Ok(()),
        Some(stake) => Err(CliError::usage(format!(
            "a stake of {stake} is more than the devnet's ledger gives one operator"
        ))
        .because(format!("at most {MAX_STAKE}; only the proportions count"))
        .next("name smaller numbers, or do without the ledger: --no-ledger")),
    }
}

/// The operator as the ledger will know it: it and its staker have accounts of their own.
fn make_restaker(
    dir: &Path,
    made: &Registration,
    bls: SecretKey,
    stakes: &[Stake],
) -> CliResult<DevnetOperator> {
    Ok(DevnetOperator {
        account: make_account(dir, "account.json")?,
        staker: make_account(dir, "staker.json")?,
        bls,
        network_key: made.entry.network_key,
        address: made.entry.address.clone(),
        // Not above `MAX_STAKE`: looked at before.
        stakes: stakes.iter().map(|stake| stake.saturating_to()).collect(),
    })
}

/// Who founds the devnet's ledger, what makes it another one than every other devnet's, and the key that vouches for its tables: the
/// configurations of those who follow it name them before there is a ledger.
struct LedgerFounder {
    dir: PathBuf,
    http: String,
    admin: Account,
    head_key: Account,
    salt: [u8; 32],
}

impl LedgerFounder {
    /// With new keys in the ledger's folder.
    fn new(dir: PathBuf, http: String) -> CliResult<Self> {
        files::create_folder(&dir)?;
        make_password(&dir)?;
        Ok(Self {
            admin: make_account(&dir, init::ADMIN_KEY)?,
            head_key: make_account(&dir, init::HEAD_KEY)?,
            dir,
            http,
            salt: files::random()?,
        })
    }

    fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// What followers are told.
    fn tables(&self) -> TableSource {
        TableSource {
            tables: vec![TableLocation::Ledger {
                url: self.url(),
                service: SERVICE,
                network: self.spec(Vec::new(), Vec::new(), Vec::new()).genesis().id(),
            }],
            head_keys: vec![self.head_key],
            ca: PathBuf::new(),
        }
    }

    fn spec(
        &self,
        dispersers: Vec<DevnetDisperser>,
        payers: Vec<Account>,
        operators: Vec<DevnetOperator>,
    ) -> DevnetSpec {
        DevnetSpec {
            network: NETWORK.to_owned(),
            salt: self.salt.into(),
            head_key: self.head_key,
            block: BLOCK,
            params: devnet_params(BLOCK_MS / 1000, ESCROW_BLOCKS),
            roles: DevnetRoles::all(self.admin),
            dispersers,
            payers,
            operators,
        }
    }

    /// Makes a ledger in which all operators have their stakes, and `payer` its deposit, from the first block on.
    fn found(
        &self,
        disperser: DevnetDisperser,
        payer: Account,
        operators: Vec<DevnetOperator>,
    ) -> CliResult {
        let dir = &self.dir;
        let devnet: Devnet = devnet_genesis(&self.spec(vec![disperser], vec![payer], operators))
            .map_err(|error| {
                CliError::coded(Exit::Failure, "could not make the devnet's ledger", &error)
            })?;
        LedgerService::found(&dir.join("data"), &devnet.genesis, &devnet.transactions).map_err(
            |error| CliError::coded(Exit::Failure, "could not found the devnet's ledger", &error),
        )?;
        SigningFloor::create(&dir.join(init::SIGNED), devnet.genesis.hash(), Block(0)).map_err(
            |error| {
                CliError::coded(
                    Exit::Failure,
                    "could not prepare the devnet's head key",
                    &error,
                )
            },
        )?;
        let mut config = LedgerConfig::default();
        config.listen.http = self
            .http
            .parse()
            .map_err(|_| CliError::usage(format!("{} is not an address", self.http)))?;
        config.blocks.interval_ms = BLOCK_MS;
        devnet.configure(&mut config);
        files::write_atomically(
            &dir.join(init::CONFIG),
            init::commented(&config).as_bytes(),
            Access::Everyone,
        )
    }
}

fn make_disperser(
    dir: &Path,
    settings: &crate::disperser::Settings,
) -> CliResult<(DisperserRecord, NetworkKey)> {
    files::create_folder(dir)?;
    let (_, password) = make_password(dir)?;
    let (network, _) = keys::new_network(&dir.join("network.json"), &password, Cost::Light)?;
    crate::disperser::write_config(dir, settings)?;
    let record = DisperserRecord {
        id: DISPERSER_ID,
        network_key: network.public(),
        account: Account([0; 20]),
        bond: Stake::from(1),
    };
    Ok((record, network))
}
