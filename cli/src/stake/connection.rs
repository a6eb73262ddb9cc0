//! The ledger's service, as the commands reach it.

use std::time::Duration;

use ashlar_crypto::Coded;
use clap::Args;
use serde::de::DeserializeOwned;

use crate::error::{CliError, CliResult, Exit};
use ashlar_ledger::client::{ClientConfig, ClientError, LedgerClient};
use ashlar_ledger::types::{OperatorDetail, OperatorView, ServiceDetail, ServiceView};

/// Where a service listens if nobody says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:7600";
/// No list that a command shows is longer.
const MAX_ITEMS: usize = 1_000_000;

/// Which ledger to talk to.
#[derive(Clone, Debug, Args)]
pub struct ConnectionArgs {
    /// Address of the ledger's service [default: http://127.0.0.1:7600, or that of the devnet in .ashlar/devnet]
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "ASHLAR_LEDGER",
        hide_env_values = true
    )]
    pub ledger: Option<String>,
    /// Seconds to wait for the service, all attempts together
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 20,
        value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub wait: u64,
}

/// A client, and what its calls run on.
pub struct Connection {
    runtime: tokio::runtime::Runtime,
    client: LedgerClient,
}

impl Connection {
    /// Prepares to talk to the service. Nothing is sent yet.
    ///
    /// # Errors
    /// The address is none, or the operating system gives no resources.
    pub fn new(args: &ConnectionArgs) -> CliResult<Self> {
        let url = args.ledger.as_deref().unwrap_or(DEFAULT_URL);
        let base = url.parse::<reqwest::Url>().map_err(|error| {
            CliError::usage(format!("{url:?} is no address of a ledger"))
                .because(error.to_string())
                .next(format!("write it as {DEFAULT_URL}"))
        })?;
        let config = ClientConfig {
            deadline: Duration::from_secs(args.wait),
            attempt_timeout: Duration::from_secs(args.wait)
                .min(ClientConfig::default().attempt_timeout),
            ..ClientConfig::default()
        };
        let client = LedgerClient::with_config(base, config)
            .map_err(|error| failed("could not prepare to talk to the ledger", &error))?;
        // One thread: commands do one thing at a time.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| CliError::io("could not start the async runtime", &error))?;
        Ok(Self { runtime, client })
    }

    /// The client.
    pub fn client(&self) -> &LedgerClient {
        &self.client
    }

    /// Runs a call to its end.
    ///
    /// # Errors
    /// As the call; `what` is what was to be done.
    pub fn run<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, ClientError>>,
    ) -> CliResult<T> {
        self.runtime
            .block_on(call)
            .map_err(|error| failed(what, &error))
    }

    /// Asks for a path.
    ///
    /// # Errors
    /// As the call.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> CliResult<T> {
        self.run("could not ask the ledger", self.client.query(path))
    }

    /// Asks for all pages of a list.
    ///
    /// # Errors
    /// As the call.
    pub fn list<T: DeserializeOwned>(&self, path: &str) -> CliResult<Vec<T>> {
        self.run(
            "could not ask the ledger",
            self.client.query_all(path, MAX_ITEMS),
        )
    }

    /// All services with their quorums.
    ///
    /// # Errors
    /// As the calls.
    pub fn all_services(&self) -> CliResult<Vec<ServiceDetail>> {
        let list: Vec<ServiceView> = self.list("v1/state/services")?;
        list.iter()
            .map(|service| self.get(&format!("v1/state/services/{}", service.id)))
            .collect()
    }

    /// All operators with their stake.
    ///
    /// # Errors
    /// As the calls.
    pub fn all_operators(&self) -> CliResult<Vec<OperatorDetail>> {
        let list: Vec<OperatorView> = self.list("v1/state/operators")?;
        list.iter()
            .map(|operator| self.get(&format!("v1/state/operators/{}", operator.id)))
            .collect()
    }
}

/// What a failed call means to the person.
pub fn failed(what: &str, error: &ClientError) -> CliError {
    let exit = match error {
        ClientError::Refused { problem } => match problem.status {
            404 => Exit::Unavailable,
            503 => Exit::Unavailable,
            400 | 413 | 415 | 422 if problem.code.starts_with("request.") => Exit::Usage,
            _ => Exit::Refused,
        },
        ClientError::Unreachable { .. } => Exit::Unavailable,
        ClientError::Timeout { .. } => Exit::Timeout,
        ClientError::Table { .. } | ClientError::TableRoot { .. } => Exit::Refused,
        ClientError::Url { .. } | ClientError::NoKey { .. } => Exit::Usage,
        _ => Exit::Failure,
    };
    let mut failure = CliError::coded(exit, what, error);
    // That of the problem document, which may be newer than this program.
    error.code().clone_into(&mut failure.code);
    match next(error) {
        Some(next) => failure.next(next),
        None => failure,
    }
}

fn next(error: &ClientError) -> Option<&'static str> {
    Some(match error.code() {
        "http.unreachable" => {
            "is the service running (ashlar stake serve), and is this its address? --ledger URL or ASHLAR_LEDGER"
        }
        "http.timeout" => "try again, or wait longer: --wait 60",
        "transaction.unknown" => {
            "look whether it was applied before you send it again: ashlar stake show events"
        }
        "account.not_allowed" => {
            "this ledger takes transactions of listed accounts only; ask who runs it"
        }
        "state.not_found" => "list what there is: ashlar stake show --help",
        "transaction.nonce" => "another program sends with the same key; use one at a time",
        "service.opening" => "the log is being read; try again in a moment",
        _ => match error {
            ClientError::Refused { .. } if Coded::blame(error) == ashlar_crypto::Blame::Caller => {
                "nothing has changed; see the rules of this kind: ashlar stake tx --list, and the parameters: ashlar stake show params"
            }
            _ => return None,
        },
    })
}
