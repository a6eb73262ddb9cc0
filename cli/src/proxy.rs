//! `ashlar proxy`: the sidecar of a rollup.
//!
//! Its settings come from a file, then from the environment, then from the command line; what is named last wins. In the folder of a devnet they
//! begin with that devnet.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ashlar_client::PayingAccount;
use ashlar_disperser::Disperser;
use ashlar_ledger::devnet::DEPOSIT;
use ashlar_proto::api::AccountMode;
use ashlar_proxy::{Mode, Outside, Proxy, ProxyConfig};
use ashlar_restaking::Amount;
use clap::{Args, Subcommand};
use toml::{Table, Value};

use crate::context::{TableOption, devnet_here, follow_table};
use crate::daemon::{self, Stop};
use crate::error::{CliError, CliResult, Exit};
use crate::requirements::Quorums;
use crate::ui::Ui;
use crate::{disperser, files, get, keys};

const EXAMPLES: &str = "\
Examples:
  ashlar proxy run                                          in the folder of a devnet, for that devnet
  ashlar proxy run --mode memory                            for tests: no network, nothing kept
  ashlar proxy run --config proxy.toml --invalid-cert 418 --failover 503
  ashlar proxy config --disperser https://disperser.example --required-quorums 0 --table operators.toml > proxy.toml
  ASHLAR_PROXY_STORE_FALLBACK=archive ashlar proxy run --config proxy.toml

Every key of the configuration has an environment variable: store.fallback is ASHLAR_PROXY_STORE_FALLBACK. --set names any of them, too. The
command line wins over the environment, and the environment over the file.";

/// Options of `ashlar proxy`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ProxyArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ProxyCommand,
}

/// The commands of `ashlar proxy`.
#[derive(Debug, Subcommand)]
pub enum ProxyCommand {
    /// Run a proxy until SIGTERM or Ctrl-C; a second signal ends it at once
    Run(RunArgs),
    /// Print the configuration that `run` would have with the same options
    Config(Settings),
}

/// Options of `ashlar proxy run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Its settings.
    #[command(flatten)]
    pub settings: Settings,
    /// Stop when standard input closes: for programs that start a proxy
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// What a proxy is set to.
#[derive(Debug, Args)]
pub struct Settings {
    /// The configuration [default: none]
    #[arg(
        long,
        value_name = "FILE",
        env = "ASHLAR_PROXY_CONFIG",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// Where payloads go: disperser, read-only (nowhere) or memory (for tests)
    #[arg(long, value_name = "MODE")]
    pub mode: Option<String>,
    /// Where to listen, TCP
    #[arg(long, value_name = "IP:PORT")]
    pub http: Option<String>,
    /// A disperser, the preferred one first; may be given several times
    #[arg(long = "disperser", value_name = "URL")]
    pub dispersers: Vec<String>,
    /// Quorums that sign what is posted, and must have signed what is read, such as 0,1
    #[arg(long, value_name = "LIST")]
    pub required_quorums: Option<Quorums>,
    /// What a reader gets for a certificate that is good for nothing: empty-200, or 418 for EigenDA's fork of the OP Stack
    #[arg(long, value_name = "ANSWER")]
    pub invalid_cert: Option<String>,
    /// What a batcher gets if the layer does not take its payload: retry, or 503 for EigenDA's fork of the OP Stack
    #[arg(long, value_name = "ANSWER")]
    pub failover: Option<String>,
    /// The keystore of the account that posts
    #[arg(long, value_name = "FILE")]
    pub account: Option<PathBuf>,
    /// A file whose first line is the password of that key
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Any key of the configuration, such as put.deadline_secs=60; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The operator tables that it follows.
    #[command(flatten)]
    pub table: TableOption,
}

/// Runs `ashlar proxy`.
///
/// # Errors
/// See the commands.
pub fn run(ui: Ui, args: ProxyArgs) -> CliResult {
    match args.command {
        ProxyCommand::Run(args) => daemon::block_on(run_proxy(ui, args)),
        ProxyCommand::Config(settings) => {
            let config = settings.resolve()?;
            let text = config.to_toml().map_err(unusable)?;
            ui.data(&config, || text)
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn unusable(error: ashlar_proxy::ConfigError) -> CliError {
    CliError::coded(Exit::Usage, "could not use the proxy's settings", &error)
        .next("ashlar proxy --help")
}

/// A text as a value of the type that a default has.
fn value(default: &Value, text: &str) -> Value {
    let number = |text: &str| text.parse().map(Value::Integer);
    match default {
        Value::String(_) => Value::String(text.to_owned()),
        Value::Array(_) => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            let items = items.map(|item| number(item).unwrap_or_else(|_| item.into()));
            Value::Array(items.collect())
        }
        Value::Boolean(_) => text.parse().map_or_else(|_| text.into(), Value::Boolean),
        _ => number(text).unwrap_or_else(|_| text.into()),
    }
}

/// Sets one key.
fn set(into: &mut Table, section: &str, key: &str, value: Value) {
    let section = into.entry(section).or_insert_with(|| Table::new().into());
    if let Some(section) = section.as_table_mut() {
        section.insert(key.to_owned(), value);
    }
}

impl Settings {
    /// What file, environment and command line say together.
    fn resolve(&self) -> CliResult<ProxyConfig> {
        let tables = |config: &ProxyConfig| Table::try_from(config);
        let broken = |error: toml::ser::Error| {
            CliError::usage("could not use the proxy's settings").because(error.to_string())
        };
        let mut config = self.beginning()?;
        let mut named = tables(&config).map_err(broken)?;
        let defaults = tables(&ProxyConfig::default()).map_err(broken)?;
        for (section, keys) in &defaults {
            for (key, default) in keys.as_table().into_iter().flatten() {
                let variable = format!("ASHLAR_PROXY_{section}_{key}").to_ascii_uppercase();
                if let Ok(text) = std::env::var(&variable) {
                    set(&mut named, section, key, value(default, &text));
                }
            }
        }
        for (path, text) in self.on_the_command_line()? {
            let found = path.split_once('.').and_then(|(section, key)| {
                let default = defaults.get(section)?.get(key)?;
                Some((section, key, default))
            });
            let Some((section, key, default)) = found else {
                return Err(CliError::usage(format!("there is no key {path}"))
                    .next("ashlar proxy config prints all of them"));
            };
            set(&mut named, section, key, value(default, &text));
        }
        let text = toml::to_string(&named).map_err(broken)?;
        config = ProxyConfig::parse(&text).map_err(unusable)?;
        if let Some(tables) = self.table.given()? {
            config.operators = tables;
        }
        let folder = std::env::current_dir()
            .map_err(|error| CliError::io("could not find the current folder", &error))?;
        config.start_at(&folder);
        config.validate().map_err(unusable)?;
        Ok(config)
    }

    /// The file; without one the devnet of this folder, or nothing.
    fn beginning(&self) -> CliResult<ProxyConfig> {
        if let Some(path) = &self.config {
            let read = |error| CliError::io(format!("could not read {}", path.display()), &error);
            let text = std::fs::read_to_string(path).map_err(read)?;
            let mut config = ProxyConfig::parse(&text).map_err(unusable)?;
            config.start_at(path.parent().unwrap_or(Path::new("")));
            return Ok(config);
        }
        let mut config = ProxyConfig::default();
        let memory = self.mode.as_deref() == Some("memory");
        if let Some(devnet) = devnet_here()?.filter(|_| !memory) {
            config.proxy.dispersers = vec![devnet.disperser_url];
            config.operators = devnet.tables;
            if devnet.accounts != AccountMode::Open {
                config.account.key = devnet.account.key;
                config.account.password_file = devnet.account.password_file;
                config.account.max_price = Amount::ether(DEPOSIT).0.to_string();
            }
            if let Quorums::These(quorums) = devnet.reader.required_quorums {
                config.policy.required_quorums = quorums;
            }
        }
        Ok(config)
    }

    /// Keys and values, the later ones win.
    fn on_the_command_line(&self) -> CliResult<Vec<(String, String)>> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let dispersers = (!self.dispersers.is_empty()).then(|| self.dispersers.join(","));
        let mut all = Vec::new();
        for text in &self.set {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                CliError::usage(format!("--set {text} sets nothing"))
                    .next("write it as --set put.deadline_secs=60")
            })?;
            all.push((key.to_owned(), value.to_owned()));
        }
        for (key, value) in [
            ("proxy.mode", self.mode.clone()),
            ("proxy.dispersers", dispersers),
            ("listen.http", self.http.clone()),
            (
                "policy.required_quorums",
                self.required_quorums.as_ref().map(ToString::to_string),
            ),
            ("op.invalid_cert", self.invalid_cert.clone()),
            ("op.failover", self.failover.clone()),
            ("account.key", path(&self.account)),
            ("account.password_file", path(&self.password_file)),
        ] {
            all.extend(value.map(|value| (key.to_owned(), value)));
        }
        Ok(all)
    }
}

/// The account that posts, if one is named.
fn account(config: &ProxyConfig) -> CliResult<Option<PayingAccount>> {
    let named = &config.account;
    let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
    if !is_set(&named.key) || config.proxy.mode != Mode::Disperser {
        return Ok(None);
    }
    let file = Some(&*named.password_file).filter(|_| is_set(&named.password_file));
    let password = files::password(file, "Password of the account's key", false)?;
    let mut account = PayingAccount::new(keys::open_account(&named.key, &password)?);
    if let Some(limit) = config.max_price().map_err(unusable)? {
        account = account.max_price(limit);
    }
    if is_set(&named.vouchers) {
        account = account.counted_in(&named.vouchers).map_err(|error| {
            CliError::coded(Exit::Usage, "could not read the count of vouchers", &error)
        })?;
    }
    Ok(Some(account))
}

async fn run_proxy(ui: Ui, args: RunArgs) -> CliResult {
    let mut stop = Stop::listen(args.exit_with_parent)?;
    daemon::install_crypto();
    let config = args.settings.resolve()?;
    let mut outside = None;
    let mut own = None;
    if config.proxy.mode != Mode::Memory {
        let account = account(&config)?;
        let stake = follow_table(&config.operators, &config.paths.heads)?;
        if config.proxy.mode == Mode::Disperser && !config.proxy.embed.as_os_str().is_empty() {
            let of = disperser::load(&config.proxy.embed)?;
            let (key, sources) = disperser::connected(&of, None)?;
            let failed = |error| {
                CliError::coded(
                    Exit::Failure,
                    "the embedded disperser could not start",
                    &error,
                )
            };
            own = Some(Disperser::embed(of, key, sources).await.map_err(failed)?);
        }
        outside = Some(Outside {
            stake,
            network: get::network()?,
            account,
            embedded: own.as_ref().map(|own| Arc::new(own.api()) as _),
        });
    }
    let proxy = Proxy::start(config, outside)
        .await
        .map_err(|error| CliError::coded(Exit::Failure, "the proxy could not start", &error))?;
    let http = proxy.http_addr();
    ui.data(
        &serde_json::json!({ "event": "running", "http": http }),
        || format!("proxy runs: HTTP {http}"),
    )?;
    let broken = async {
        match &own {
            Some(own) => tokio::select! {
                why = proxy.failed() => why,
                why = own.failed() => why,
            },
            None => proxy.failed().await,
        }
    };
    let broken = daemon::asked_or_broken(&mut stop, broken).await;
    let end = async {
        proxy.shutdown().await;
        if let Some(own) = own {
            own.shutdown().await;
        }
    };
    daemon::stop_within_deadline("proxy", end).await?;
    daemon::ended_well("proxy", broken)
}
