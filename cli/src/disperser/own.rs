//! `ashlar disperser init --own`: a rollup becomes its own disperser.
//!
//! ```text
//! network.json ─▶ disperser.toml ─▶ register_disperser on the ledger ─▶ registration.json ─▶ the signed table shows it
//! ```
//!
//! Each step looks first whether it was done, so that a walk that was interrupted goes on when the same command is run again: no key and
//! no configuration is overwritten, and whoever is registered is not registered again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ashlar_crypto::identity::{NetworkKey, NetworkPublicKey};
use ashlar_crypto::keystore::Cost;
use ashlar_disperser::DisperserConfig;
use ashlar_ledger::types::{DisperserView, ServiceDetail};
use ashlar_proto::api::AccountMode;
use ashlar_proto::registration::DisperserStatement;
use ashlar_proto::{Account, Block, Network};
use ashlar_restaking::{Action, Amount, ServiceId, Standing};
use ashlar_stake::{StakeSource, TableOrigin};
use clap::Args;
use serde::Serialize;

use super::{CONFIG, InitArgs, load, write};
use crate::clock::agreed;
use crate::context::{devnet_here, open_table};
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::keys;
use crate::stake::connection::{Connection, ConnectionArgs};
use crate::stake::tx;
use crate::stake::units::{self, whole};
use crate::ui::{Ui, pairs};

/// What the ledger said of the registration, in the disperser's folder.
const REGISTRATION: &str = "registration.json";
/// Seconds that the ledger may take to answer.
const LEDGER_SECS: u64 = 20;
/// Time between two looks at the newest table, and between two words about it.
const LOOK: Duration = Duration::from_millis(200);
const WORD: Duration = Duration::from_secs(5);

/// Options of `ashlar disperser init --own`.
#[derive(Debug, Args)]
pub struct OwnArgs {
    /// Become the disperser of one rollup: make key and configuration, register on the ledger against a bond, wait for the
    /// signed table that shows it. Run again after an interruption, it goes on where it was
    #[arg(long, conflicts_with = "id")]
    own: bool,
    /// The rollup's account, a keystore: it puts up the bond, and it alone is served [default: that of the devnet in
    /// .ashlar/devnet]
    #[arg(
        long,
        value_name = "FILE",
        env = "ASHLAR_ACCOUNT_KEY",
        hide_env_values = true
    )]
    key: Option<PathBuf>,
    /// A file whose first line is the password of the account's key [default: ask]
    #[arg(
        long,
        value_name = "FILE",
        env = "ASHLAR_ACCOUNT_PASSWORD_FILE",
        hide_env_values = true
    )]
    account_password_file: Option<PathBuf>,
    /// The bond: 1.5eth, 20gwei, or base units [default: the least that the service takes]
    #[arg(long, value_name = "AMOUNT", requires = "own", value_parser = units::amount)]
    bond: Option<Amount>,
    /// Do not ask before the bond is put up
    #[arg(long, requires = "own")]
    yes: bool,
    /// Seconds to wait for the signed table that shows the disperser
    #[arg(long, value_name = "SECONDS", requires = "own", default_value_t = 120,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    wait: u64,
}

impl OwnArgs {
    /// Whether this is asked for.
    pub(super) fn is_wanted(&self) -> bool {
        self.own
    }
}

/// What `registration.json` holds.
#[derive(Debug, Serialize)]
struct Registration {
    network: Network,
    service: ServiceId,
    disperser: u32,
}

/// The rollup's account.
struct Rollup {
    account: Account,
    key: PathBuf,
    password_file: Option<PathBuf>,
}

/// Where bonds are put up.
struct Ledger<'a> {
    url: &'a str,
    network: Network,
    service: ServiceId,
    connection: Connection,
}

#[derive(Serialize)]
struct Out {
    config: PathBuf,
    disperser_url: String,
    ledger: String,
    service: ServiceId,
    id: u32,
    network_key: NetworkPublicKey,
    account: Account,
    bond: Amount,
    /// The newest table, which shows it.
    block: Block,
}

/// Goes all the way, or from where an earlier walk ended.
///
/// # Errors
/// What is in the folder is something else; nobody agrees; the ledger is not reached, or refuses; no table shows it in time.
pub(super) fn init(ui: Ui, args: &InitArgs) -> CliResult {
    let own = &args.own;
    let rollup = Rollup::new(own)?;
    files::create_folder(&args.dir)?;
    let config_path = args.dir.join(CONFIG);
    let config = match config_path.exists() {
        true => there(args, &config_path, &rollup)?,
        false => configuration(args, &rollup)?,
    };
    // Refused before there is anything.
    let ledger = Ledger::new(&config)?;
    let key_path = args.dir.join("network.json");
    let (key, opened) = network_key(ui, args, &config_path, &key_path)?;
    if !config_path.exists() {
        write(&config_path, &config)?;
        ui.note(format!("wrote {}", config_path.display()));
    }

    let at = args.dir.join(REGISTRATION);
    let (id, bond) = match ledger.find(&ledger.service()?, &key, &rollup, &at)? {
        Some(view) => {
            ui.note(format!("it is registered as disperser {}", view.id));
            (view.id, view.record.bond)
        }
        None => {
            register(ui, args, &ledger, &rollup, opened)?;
            let found = ledger.find(&ledger.service()?, &key, &rollup, &at)?;
            let view = found.ok_or_else(|| not_there(&key))?;
            (view.id, view.record.bond)
        }
    };
    let registration = Registration {
        network: ledger.network,
        service: ledger.service,
        disperser: id,
    };
    let json = serde_json::to_vec(&registration).map_err(|error| {
        CliError::new(
            Exit::Failure,
            "output.json",
            "could not write the registration",
        )
        .because(error.to_string())
    })?;
    files::write_atomically(&at, &json, Access::Everyone)?;

    let tables = open_table(&config.operators)?;
    let block = wait_for_table(ui, &tables, &key, Duration::from_secs(own.wait))?;
    let out = Out {
        config: config_path,
        disperser_url: format!("http://{}", config.listen.http),
        ledger: ledger.url.to_owned(),
        service: ledger.service,
        id,
        network_key: key,
        account: rollup.account,
        bond,
        block,
    };
    ui.data(&out, || out.text(&rollup))
}

impl Rollup {
    fn new(own: &OwnArgs) -> CliResult<Self> {
        let devnet = devnet_here()?.map(|devnet| devnet.account);
        let named = (own.key.clone(), own.account_password_file.clone());
        let (key, password_file) = keys::or_of_devnet(named.0, named.1, devnet);
        let key = key.ok_or_else(keys::no_account)?;
        Ok(Self {
            account: keys::account(&key)?,
            key,
            password_file,
        })
    }
}

/// A new configuration, that serves the rollup's account alone.
fn configuration(args: &InitArgs, rollup: &Rollup) -> CliResult<DisperserConfig> {
    let mut config = super::configuration(args, args.table.source()?)?;
    config.accounts.mode = AccountMode::AllowList;
    config.accounts.allow = vec![rollup.account];
    Ok(config)
}

/// The configuration of an earlier walk, if it is this one's.
fn there(args: &InitArgs, path: &Path, rollup: &Rollup) -> CliResult<DisperserConfig> {
    let config = load(path)?;
    let accounts = &config.accounts;
    let serves =
        accounts.mode == AccountMode::AllowList && accounts.allow.contains(&rollup.account);
    if !serves {
        return Err(CliError::new(
            Exit::Usage,
            "disperser.other_account",
            format!("{} is not for the account {}", path.display(), rollup.account),
        )
        .because("an own disperser has accounts.mode = \"allow-list\" and its rollup's account in accounts.allow")
        .next("name the account that it was made for with --key, or another folder with --dir"));
    }
    if args
        .table
        .given()?
        .is_some_and(|given| given != config.operators)
    {
        return Err(CliError::new(
            Exit::Usage,
            "disperser.other_tables",
            format!(
                "{} follows other operator tables than named here",
                path.display()
            ),
        )
        .because(format!("it follows {}", config.operators))
        .next(
            "leave out --table and --head-key to go on with it, or name another folder with --dir",
        ));
    }
    Ok(config)
}

/// The public key of the folder: made if there is none yet, and nothing was made with it. With the key itself if it is new.
fn network_key(
    ui: Ui,
    args: &InitArgs,
    config: &Path,
    path: &Path,
) -> CliResult<(NetworkPublicKey, Option<NetworkKey>)> {
    if path.exists() {
        return Ok((keys::network_public(path)?, None));
    }
    // The key is always written first.
    if config.exists() {
        return Err(CliError::new(
            Exit::Usage,
            "disperser.key_missing",
            format!(
                "{} is there, and its key {} is not",
                config.display(),
                path.display()
            ),
        )
        .because("a bond may stand for that key")
        .next("bring the key back from a copy, or name another folder with --dir"));
    }
    let what = "Password for the disperser's new key";
    let password = files::password(args.password_file.as_deref(), what, true)?;
    let (key, _) = keys::new_network(path, &password, Cost::Standard)?;
    ui.note(format!("wrote {}", path.display()));
    Ok((key.public(), Some(key)))
}

/// The key of an earlier walk.
fn open_key(args: &InitArgs) -> CliResult<NetworkKey> {
    let paths = load(&args.dir.join(CONFIG))?.paths;
    let password = files::password_or_configured(
        args.password_file.as_deref(),
        &paths.password_file,
        "Password of the disperser's key",
    )?;
    keys::open_network(&paths.network_key, &password)
}

impl<'a> Ledger<'a> {
    fn new(config: &'a DisperserConfig) -> CliResult<Self> {
        let file = || {
            CliError::usage("these operator tables are a file, and no ledger on which anybody can register")
                .next("name a service on a ledger with --table and --head-key; or leave out --own, and hand the key to whoever writes the file")
        };
        let origin = config.operators.origin();
        let Ok(TableOrigin::Ledgers {
            urls,
            network,
            service,
        }) = origin
        else {
            return Err(file());
        };
        // All of them are one ledger's, and this one's transaction names its network.
        let url = *urls.first().ok_or_else(file)?;
        let connection = Connection::new(&ConnectionArgs {
            ledger: Some(url.to_owned()),
            wait: LEDGER_SECS,
        })?;
        Ok(Self {
            url,
            network,
            service,
            connection,
        })
    }

    fn service(&self) -> CliResult<ServiceDetail> {
        let path = format!("v1/state/services/{}", self.service);
        self.connection.get(&path)
    }

    /// The disperser with this key that is in the tables, if there is one. `at` says whether one was registered before.
    fn find(
        &self,
        detail: &ServiceDetail,
        key: &NetworkPublicKey,
        rollup: &Rollup,
        at: &Path,
    ) -> CliResult<Option<DisperserView>> {
        let with_key = |view: &&DisperserView| view.record.network_key == *key;
        let mut bonded = detail.dispersers.iter().filter(with_key);
        let active = bonded.find(|view| view.record.standing == Standing::Active);
        match active {
            Some(view) if view.record.account == rollup.account => Ok(Some(*view)),
            Some(view) => Err(CliError::new(
                Exit::Refused,
                "disperser.other_account",
                format!(
                    "disperser {} has this folder's key and another account",
                    view.id
                ),
            )
            .because(format!(
                "its account is {}, and not {}",
                view.record.account, rollup.account
            ))
            .next("name the account's keystore with --key")),
            None if at.exists() => {
                let left = files::read_json(at)?;
                let number = left.get("disperser").unwrap_or(&serde_json::Value::Null);
                Err(CliError::new(
                    Exit::Refused,
                    "disperser.left",
                    format!("disperser {number} of this folder is in the tables no more"),
                )
                .because("it has left, or lost its bond to a slash")
                .next("another folder (--dir) makes a new one, with a key and a bond of its own"))
            }
            None => Ok(None),
        }
    }
}

/// Puts up the bond, if that is agreed.
fn register(
    ui: Ui,
    args: &InitArgs,
    ledger: &Ledger<'_>,
    rollup: &Rollup,
    key: Option<NetworkKey>,
) -> CliResult {
    let detail = ledger.service()?;
    let terms = detail.service.dispersers;
    let bond = args.own.bond.unwrap_or(terms.min_bond);
    ui.note(pairs! {
        "ledger": ledger.url,
        "service": format!("{} {}", detail.id, detail.service.name),
        "dispersers": format!("{} of {}", detail.service.bonded, terms.max),
        "least bond": format!("{} of token {}", whole(terms.min_bond), terms.token),
        "bond": whole(bond),
        "paid by": rollup.account,
    });
    ui.note("it is burnt if the disperser ever signs two batches under one number, and comes back after it has left");
    if !args.own.yes && !agreed("put up this bond?")? {
        return Err(CliError::new(
            Exit::Usage,
            "disperser.not_agreed",
            "nobody agreed to put up the bond; nothing is registered",
        )
        .next("run it again and answer with yes, or give --yes; another bond with --bond"));
    }
    let key = key.map_or_else(|| open_key(args), Ok)?;
    let statement = DisperserStatement {
        domain: ledger.network.domain(u64::from(ledger.service)),
        account: rollup.account,
        network_key: key.public(),
    };
    let action = Action::RegisterDisperser {
        service: ledger.service,
        network_key: key.public(),
        statement: statement.sign(&key),
        bond,
    };
    let password_file = rollup.password_file.as_deref();
    let network = Some(ledger.network);
    match tx::send(
        &ledger.connection,
        &rollup.key,
        password_file,
        network,
        action,
    ) {
        Ok((_, receipt)) => {
            ui.note(format!("registered in block {}", receipt.block));
            Ok(())
        }
        // An earlier walk's transaction has come first.
        Err(error) if error.code == "disperser.key_taken" => Ok(()),
        Err(error) => Err(error
            .next("run the same command again: it goes on from here, and registers nobody twice")),
    }
}

fn not_there(key: &NetworkPublicKey) -> CliError {
    CliError::new(
        Exit::Failure,
        "disperser.not_registered",
        format!("the ledger has registered the key {key}, and does not show it"),
    )
    .next("run the same command again: it goes on from here")
}

/// Waits for a signed table with the disperser in it; gives its block.
fn wait_for_table(
    ui: Ui,
    tables: &Arc<dyn StakeSource>,
    key: &NetworkPublicKey,
    patience: Duration,
) -> CliResult<Block> {
    let (begun, mut said) = (Instant::now(), None::<Instant>);
    loop {
        let table = tables.newest();
        let state = match &table {
            Ok(table) if table.disperser_by_key(key).is_some() => {
                return Ok(table.reference_block());
            }
            Ok(table) => format!("that of block {} does not yet", table.reference_block()),
            Err(error) => error.to_string(),
        };
        if begun.elapsed() >= patience {
            return Err(CliError::new(
                Exit::Timeout,
                "disperser.not_in_table",
                format!(
                    "no signed table showed the disperser within {} s",
                    patience.as_secs()
                ),
            )
            .because(state)
            .next(
                "it is registered: run the same command again to go on waiting, longer with --wait",
            ));
        }
        if said.is_none_or(|said| said.elapsed() >= WORD) {
            ui.note(format!(
                "waiting for the signed table that shows it: {state}"
            ));
            said = Some(Instant::now());
        }
        std::thread::sleep(LOOK);
    }
}

impl Out {
    fn text(&self, rollup: &Rollup) -> String {
        let (id, service) = (self.id, self.service);
        let mut key = rollup.key.display().to_string();
        if let Some(file) = &rollup.password_file {
            key.push_str(&format!(" --password-file {}", file.display()));
        }
        let mut out = pairs! {
            "disperser": id,
            "network key": self.network_key,
            "account": self.account,
            "bond": whole(self.bond),
            "in the table of": format!("block {}", self.block),
        };
        out.push_str(&format!(
            "\nrun it         ashlar disperser run --config {}\n",
            self.config.display()
        ));
        out.push_str(&format!(
            "first blob     ashlar put FILE --disperser {} --account {key}\n",
            self.disperser_url
        ));
        for (what, command) in [
            (
                "see the bond",
                format!("stake show service {service} --ledger {}", self.ledger),
            ),
            (
                "raise it",
                format!(
                    "stake tx top-up-disperser --service {service} --disperser {id} --amount 1eth --key {key}"
                ),
            ),
            (
                "leave",
                format!("stake tx exit-disperser --service {service} --disperser {id} --key {key}"),
            ),
        ] {
            out.push_str(&format!("{what:<15}ashlar {command}\n"));
        }
        out
    }
}
