//! `ashlar devnet`: a restaking ledger, operators and a disperser as real processes on this machine.

pub mod layout;
pub mod ports;
pub mod processes;
pub mod setup;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ashlar_proto::Stake;
use ashlar_proto::api::AccountMode;
use clap::Args;
use nix::fcntl::{Flock, FlockArg};
use serde_json::json;
use tokio::time::Instant;

use self::layout::{DEFAULT_DIR, DevnetFile};
use self::processes::{Daemon, wait_healthy};
use crate::daemon::Stop;
use crate::error::{CliError, CliResult, Exit};
use crate::files::{self, Access};
use crate::ui::{Ui, listing};

/// Stakes of the first operators when nobody names any; further operators start over.
pub const DEFAULT_STAKES: [u64; 8] = [30, 20, 15, 10, 10, 7, 5, 3];
/// Largest datagrams between the processes, which loopback carries as jumbo frames do.
pub const DATAGRAM: u16 = 8952;
/// How long all processes together may take to become ready.
const READY_DEADLINE: Duration = Duration::from_secs(120);
/// How long a process may take to stop before it is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

const EXAMPLES: &str = "\
Examples:
  ashlar devnet                                      8 operators with stakes 30,20,15,10,10,7,5,3 in .ashlar/devnet
  ashlar devnet --operators 4 --stakes 40,30,20,10
  ashlar devnet --stakes 40,30,20,10 --stakes 10,20,30,40     two quorums: the second --stakes is quorum 1's
  ashlar devnet --quorums 2                          two quorums, the second with the stakes in reverse order
  ashlar devnet --retention-secs 600                 data expires after ten minutes
  ashlar devnet --accounts paid                      the disperser wants to be paid: ashlar put, here, signs and pays by itself
  ashlar devnet --dir /tmp/net --ready-file /tmp/ready --json   for scripts: one JSON object a line

The stakes are real restaking: a ledger runs beside the operators, in which they and their stakers deposited ether in five forms
(and a token for each further quorum), delegated and opted in. ashlar stake, in the same folder, looks at it and changes it.
Ctrl-C or SIGTERM stops everything. The folder keeps keys and data: the same command there goes on where it stopped.
While it runs, other commands in the same folder find it by themselves.";

/// Options of `ashlar devnet`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DevnetArgs {
    /// How many operators [default: as many as --stakes, else 8]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub operators: Option<u32>,
    /// Stake of each operator; the first --stakes is quorum 0's, the second quorum 1's
    #[arg(long, value_name = "LIST")]
    pub stakes: Vec<StakeList>,
    /// How many quorums [default: as many as --stakes, else 1]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub quorums: Option<u8>,
    /// How long data is kept, in seconds, so that it expires while somebody watches [default: the protocol's own time]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(300..))]
    pub retention_secs: Option<u64>,
    /// Whom the disperser serves: open (everybody, curl too), allow-list (the devnet's account), paid (accounts that pay; the
    /// devnet's has a deposit) [default: open]
    #[arg(long, value_name = "MODE")]
    pub accounts: Option<AccountMode>,
    /// No restaking ledger: the operator table is a file, and stays as it is
    #[arg(long)]
    pub no_ledger: bool,
    /// Where keys, configuration, data and logs go
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    pub dir: PathBuf,
    /// Write this file when everything is ready
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
    /// Stop when standard input closes: for programs that start a devnet
    #[arg(long)]
    pub exit_with_parent: bool,
}

/// Stakes separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StakeList(pub Vec<Stake>);

impl std::str::FromStr for StakeList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(|item| {
                let item = item.trim();
                // Only decimal digits: the integer type's own parser would take 0x10 and 0b1 as well.
                let digits = !item.is_empty() && item.bytes().all(|byte| byte.is_ascii_digit());
                let stake = digits.then(|| item.parse::<Stake>().ok()).flatten();
                stake.ok_or_else(|| format!("{item:?} is not a whole number"))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(StakeList)
    }
}

/// What a devnet consists of: one list of stakes a quorum, all of the same length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Stakes by quorum, then by operator. Zero: the operator is not in that quorum.
    pub stakes: Vec<Vec<Stake>>,
    /// How long data is kept, in seconds; 0 is the protocol's own time.
    pub retention_secs: u64,
    /// Whom the disperser serves.
    pub accounts: AccountMode,
}

impl Plan {
    /// From the options of the command.
    ///
    /// # Errors
    /// The numbers contradict each other.
    pub fn new(
        operators: Option<u32>,
        quorums: Option<u8>,
        stakes: &[StakeList],
    ) -> CliResult<Plan> {
        let count = match (operators, stakes.first()) {
            (Some(operators), _) => operators as usize,
            (None, Some(list)) => list.0.len(),
            (None, None) => DEFAULT_STAKES.len(),
        };
        let quorums = quorums.map_or(stakes.len().max(1), usize::from);
        if stakes.len() > quorums {
            return Err(CliError::usage(format!(
                "--stakes is given {} times for {quorums} quorums",
                stakes.len()
            )));
        }
        let mut plan = Plan {
            stakes: Vec::with_capacity(quorums),
            retention_secs: 0,
            accounts: AccountMode::Open,
        };
        for quorum in 0..quorums {
            let list = match stakes.get(quorum) {
                Some(list) => list.0.clone(),
                None => {
                    let mut list: Vec<Stake> = DEFAULT_STAKES
                        .iter()
                        .cycle()
                        .take(count)
                        .map(|stake| Stake::from(*stake))
                        .collect();
                    if quorum % 2 == 1 {
                        list.reverse();
                    }
                    list
                }
            };
            if list.len() != count {
                return Err(CliError::usage(format!(
                    "quorum {quorum} has {} stakes for {count} operators",
                    list.len()
                ))
                .next("give one stake for each operator: --stakes 40,30,20,10"));
            }
            if list.iter().all(Stake::is_zero) {
                return Err(CliError::usage(format!(
                    "quorum {quorum} has no stake at all"
                )));
            }
            plan.stakes.push(list);
        }
        for operator in 0..count {
            if plan.of_operator(operator).iter().all(Stake::is_zero) {
                return Err(CliError::usage(format!(
                    "operator {operator} has no stake in any quorum"
                )));
            }
        }
        Ok(plan)
    }

    /// How many operators.
    pub fn operators(&self) -> usize {
        self.stakes.first().map_or(0, Vec::len)
    }

    /// Which percentage of each quorum's stake these operators hold together, rounded down to two digits.
    pub fn shares(&self, operators: &[usize]) -> Vec<f64> {
        self.stakes
            .iter()
            .map(|stakes| {
                let add = Stake::saturating_add;
                let total = stakes.iter().copied().fold(Stake::ZERO, add);
                let held = operators
                    .iter()
                    .filter_map(|&index| stakes.get(index).copied())
                    .fold(Stake::ZERO, add);
                crate::cert::percent(held, total)
            })
            .collect()
    }

    /// A stake in each quorum, of one of the [`operators`](Self::operators).
    pub fn of_operator(&self, operator: usize) -> Vec<Stake> {
        #[expect(
            clippy::expect_used,
            reason = "every quorum has a stake for every operator: `new` refuses another plan"
        )]
        self.stakes
            .iter()
            .map(|list| *list.get(operator).expect("an operator of the plan"))
            .collect()
    }
}

/// A running devnet. Dropping it kills its processes.
#[derive(Debug)]
pub struct Devnet {
    /// What runs where.
    pub file: DevnetFile,
    /// The operators, in the order of the plan.
    pub nodes: Vec<Daemon>,
    /// The disperser.
    pub disperser: Daemon,
    /// The restaking ledger, if there is one.
    pub ledger: Option<Daemon>,
    reported: Vec<String>,
    _lock: Flock<std::fs::File>,
}

impl Devnet {
    /// Makes what is missing in `dir` and starts everything; returns when all processes are ready.
    ///
    /// # Errors
    /// Another devnet runs there, the folder holds one of another plan, or a process does not become ready.
    pub async fn start(
        ui: Ui,
        dir: &Path,
        plan: Option<&Plan>,
        default: &Plan,
        ledger: bool,
    ) -> CliResult<Devnet> {
        files::create_folder(dir)?;
        let dir = dir
            .canonicalize()
            .map_err(|error| CliError::io(format!("could not use {}", dir.display()), &error))?;
        let lock = lock(&dir)?;
        let (mut file, held) = match DevnetFile::read(&dir)? {
            Some(file) => {
                if let Some(plan) = plan {
                    setup::check_plan(&file, plan, &dir)?;
                }
                ui.note(format!(
                    "devnet in {}: going on with {} operators",
                    dir.display(),
                    file.nodes.len()
                ));
                (file, Vec::new())
            }
            None => {
                let plan = plan.unwrap_or(default);
                ui.note(format!(
                    "devnet in {}: making {} operators",
                    dir.display(),
                    plan.operators()
                ));
                setup::create(&dir, plan, ledger)?
            }
        };
        // The ports were held so that nothing else could take them while keys were made; now their owners need them.
        drop(held);

        let program = std::env::current_exe()
            .map_err(|error| CliError::io("could not find my own program", &error))?;
        let http = crate::http::client(false)?;
        let deadline = Instant::now() + READY_DEADLINE;
        // First: the others follow its tables.
        let ledger = match &mut file.ledger {
            None => None,
            Some(entry) => {
                let mut daemon = start_ledger(&program, &entry.dir)?;
                entry.pid = daemon.pid();
                wait_healthy(&http, &mut daemon, &entry.url, deadline).await?;
                Some(daemon)
            }
        };
        let mut nodes = Vec::with_capacity(file.nodes.len());
        for node in &mut file.nodes {
            let daemon = start_daemon(
                &program,
                "node",
                &format!("operator {}", node.index),
                &node.dir,
            )?;
            node.pid = daemon.pid();
            nodes.push(daemon);
        }
        let mut disperser = start_daemon(&program, "disperser", "disperser", &file.disperser.dir)?;
        file.disperser.pid = disperser.pid();
        file.pid = std::process::id();

        for (node, daemon) in file.nodes.iter().zip(&mut nodes) {
            wait_healthy(&http, daemon, &node.http, deadline).await?;
        }
        wait_healthy(&http, &mut disperser, &file.disperser_url, deadline).await?;
        file.write(&dir)?;
        Ok(Devnet {
            file,
            nodes,
            disperser,
            ledger,
            reported: Vec::new(),
            _lock: lock,
        })
    }

    fn daemons(&mut self) -> impl Iterator<Item = &mut Daemon> {
        self.nodes
            .iter_mut()
            .chain([&mut self.disperser])
            .chain(&mut self.ledger)
    }

    /// Processes that ended since the last call, each reported once.
    pub fn deaths(&mut self) -> Vec<String> {
        let mut news = Vec::new();
        let mut reported = std::mem::take(&mut self.reported);
        for daemon in self.daemons() {
            if let Some(status) = daemon.ended()
                && !reported.iter().any(|name| name == daemon.name())
            {
                reported.push(daemon.name().to_owned());
                news.push(format!(
                    "the {} (pid {}) ended: {status}",
                    daemon.name(),
                    daemon.pid()
                ));
            }
        }
        self.reported = reported;
        news
    }

    /// How many processes still run.
    pub fn running(&mut self) -> usize {
        self.daemons()
            .filter_map(|daemon| daemon.ended().is_none().then_some(()))
            .count()
    }

    /// Stops the disperser, then all operators at once, then the ledger. Returns the names of those that had to be killed.
    pub async fn stop(mut self) -> Vec<String> {
        let mut killed = Vec::new();
        if !self.disperser.stop(STOP_PATIENCE).await {
            killed.push(self.disperser.name().to_owned());
        }
        let stops = self.nodes.iter_mut().map(|node| async {
            let went = node.stop(STOP_PATIENCE).await;
            (!went).then(|| node.name().to_owned())
        });
        killed.extend(futures::future::join_all(stops).await.into_iter().flatten());
        if let Some(ledger) = &mut self.ledger
            && !ledger.stop(STOP_PATIENCE).await
        {
            killed.push(ledger.name().to_owned());
        }
        killed
    }
}

fn start_daemon(program: &Path, command: &str, name: &str, dir: &Path) -> CliResult<Daemon> {
    let arguments: [OsString; 7] = [
        command.into(),
        "run".into(),
        "--exit-with-parent".into(),
        "--config".into(),
        dir.join(format!("{command}.toml")).into(),
        "--password-file".into(),
        dir.join("password").into(),
    ];
    Daemon::start(name, program, &arguments, &dir.join("log"))
}

fn start_ledger(program: &Path, dir: &Path) -> CliResult<Daemon> {
    let arguments: [OsString; 7] = [
        "stake".into(),
        "serve".into(),
        "--exit-with-parent".into(),
        "--config".into(),
        dir.join(crate::stake::init::CONFIG).into(),
        "--password-file".into(),
        dir.join("password").into(),
    ];
    Daemon::start("ledger", program, &arguments, &dir.join("log"))
}

fn lock(dir: &Path) -> CliResult<Flock<std::fs::File>> {
    let path = dir.join("lock");
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| CliError::io(format!("could not open {}", path.display()), &error))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
        CliError::new(
            Exit::Failure,
            "devnet.running",
            format!("a devnet runs in {} already", dir.display()),
        )
        .because(error.to_string())
        .next("use it, stop it, or choose another folder with --dir")
    })
}

/// Runs `ashlar devnet`.
///
/// # Errors
/// It does not start, or all of its processes ended.
pub async fn run(ui: Ui, args: DevnetArgs) -> CliResult {
    let mut stop = Stop::listen(args.exit_with_parent)?;
    let asked = args.operators.is_some()
        || args.quorums.is_some()
        || !args.stakes.is_empty()
        || args.retention_secs.is_some()
        || args.accounts.is_some();
    let plan = Plan {
        retention_secs: args.retention_secs.unwrap_or(0),
        accounts: args.accounts.unwrap_or_default(),
        ..Plan::new(args.operators, args.quorums, &args.stakes)?
    };
    let start = Devnet::start(
        ui,
        &args.dir,
        asked.then_some(&plan),
        &plan,
        !args.no_ledger,
    );
    let mut devnet = tokio::select! {
        devnet = start => devnet?,
        () = stop.asked() => {
            ui.note("stopped before everything was ready");
            return Ok(());
        }
    };
    if let Some(path) = &args.ready_file {
        files::write_atomically(path, b"ready\n", Access::Everyone)?;
    }
    ui.data(&json!({ "event": "ready", "devnet": devnet.file }), || {
        ready_text(&devnet.file)
    })?;

    let mut tick = tokio::time::interval(Duration::from_millis(250));
    loop {
        tokio::select! {
            () = stop.asked() => break,
            _ = tick.tick() => {}
        }
        for death in devnet.deaths() {
            let running = devnet.running();
            if ui.json {
                ui.data(
                    &json!({ "event": "ended", "what": death, "running": running }),
                    String::new,
                )?;
            } else {
                ui.warn(format!(
                    "{death}; {running} processes still run. It is not started again."
                ));
            }
        }
        if devnet.running() == 0 {
            return Err(CliError::new(
                Exit::Failure,
                "devnet.all_ended",
                "all processes of the devnet ended",
            )
            .next(format!("their logs are in {}", args.dir.display())));
        }
    }
    ui.note("stopping");
    let killed = devnet.stop().await;
    if !killed.is_empty() {
        ui.warn(format!(
            "these did not stop in time and were killed: {}",
            killed.join(", ")
        ));
    }
    Ok(())
}

fn ready_text(file: &DevnetFile) -> String {
    let operators = listing! { file.nodes, "no operators", |node|
        "operator": node.index,
        "id": crate::operators::short(&node.operator_id),
        "stake": node.stakes.join(" / "),
        "quic": node.quic,
        "http": node.http,
        "pid": node.pid,
    };
    let (ledger, look) = match &file.ledger {
        Some(ledger) => (
            format!("ledger     {}  (pid {})\n", ledger.url, ledger.pid),
            "Look at the stake:            ashlar stake show operators\n",
        ),
        None => (String::new(), ""),
    };
    let account = match file.accounts {
        AccountMode::Open => String::new(),
        mode => format!(
            "accounts   {mode}; ashlar put, here, signs by {}\n",
            file.account.address
        ),
    };
    format!(
        "ready\n\ndisperser  {}  (pid {})\n{ledger}table      {}\n{account}\n{}\nPost a file, in this folder:  ashlar put FILE --cert FILE.cert\n{look}Stop everything:              Ctrl-C",
        file.disperser_url, file.disperser.pid, file.tables, operators,
    )
}

#[cfg(test)]
mod tests;
