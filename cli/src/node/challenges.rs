//! Custody challenges, as a node hears of them from the ledgers of its service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ashlar_ledger::client::{ClientConfig, ClientError, LedgerClient};
use ashlar_ledger::types::{ChallengeView, Page};
use ashlar_node::NodeConfig;
use ashlar_node::custody::{ChallengeSource, ChallengeSourceError, MAX_OPEN, OpenChallenges};
use ashlar_proto::{Network, OperatorId, ServiceId};
use ashlar_restaking::evidence::CustodyAnswer;
use ashlar_stake::TableLocation;
use futures::future::BoxFuture;

use crate::error::{CliError, CliResult, Exit};

/// Bytes of a page of challenges: 500 of them, each below 2 kB.
const MAX_ANSWER: usize = 4 << 20;

/// A service on a ledger.
#[derive(Debug)]
struct Ledger {
    client: LedgerClient,
    location: String,
    service: ServiceId,
    network: Network,
}

/// The ledgers on which a node looks for challenges. None has to be reachable yet.
///
/// # Errors
/// An address is none, or the certificate authorities cannot be read.
pub(super) fn sources(config: &NodeConfig) -> CliResult<Vec<Arc<dyn ChallengeSource>>> {
    let client = ClientConfig {
        connect_timeout: Duration::from_secs(3),
        attempt_timeout: Duration::from_secs(10),
        deadline: Duration::from_secs(10),
        // The node comes back by itself, with growing pauses.
        attempts: 1,
        max_answer: MAX_ANSWER,
        ca: config.operators.ca().map(Path::to_path_buf),
        ..ClientConfig::default()
    };
    let ledgers = config.challenge_ledgers();
    let ledgers = ledgers.filter_map(|location| match location {
        TableLocation::Ledger {
            url,
            service,
            network,
        } => Some((location, url, *service, *network)),
        TableLocation::File(_) => None,
    });
    ledgers
        .map(|(location, url, service, network)| {
            let ledger = Ledger {
                client: LedgerClient::parse_with(url, client.clone()).map_err(|error| {
                    CliError::coded(
                        Exit::Usage,
                        format!("could not prepare to talk to the ledger {location}"),
                        &error,
                    )
                })?,
                location: url.clone(),
                service,
                network,
            };
            Ok(Arc::new(ledger) as Arc<dyn ChallengeSource>)
        })
        .collect()
}

impl Ledger {
    /// Whoever answers at the address has to be the ledger that is meant.
    async fn check_network(&self) -> Result<(), ChallengeSourceError> {
        let head = self.client.head().await.map_err(failed)?;
        let got = Network::ledger(&head.genesis.0);
        let expected = self.network;
        if got == expected {
            return Ok(());
        }
        Err(ChallengeSourceError {
            code: "custody.other_network".into(),
            reason: format!(
                "it is the ledger of network {got}, the configuration names {expected}"
            ),
        })
    }

    async fn list(&self, operator: OperatorId) -> Result<OpenChallenges, ChallengeSourceError> {
        self.check_network().await?;
        let service = self.service;
        let path = format!("v1/state/challenges?operator={operator}&service={service}");
        let (mut challenges, mut after) = (Vec::new(), String::new());
        loop {
            let page: Page<ChallengeView> = self
                .client
                .query(&format!("{path}{after}"))
                .await
                .map_err(failed)?;
            challenges.extend(page.items.into_iter().map(|view| (view.id, view.record)));
            match page.next {
                Some(next) if challenges.len() < MAX_OPEN => after = format!("&after={next}"),
                _ => {
                    let block = page.block;
                    return Ok(OpenChallenges { block, challenges });
                }
            }
        }
    }
}

fn failed(error: ClientError) -> ChallengeSourceError {
    ChallengeSourceError {
        code: error.code().to_owned(),
        reason: error.to_string(),
    }
}

impl ChallengeSource for Ledger {
    fn name(&self) -> &str {
        &self.location
    }

    fn open(
        &self,
        operator: OperatorId,
    ) -> BoxFuture<'_, Result<OpenChallenges, ChallengeSourceError>> {
        Box::pin(self.list(operator))
    }

    fn answer<'a>(
        &'a self,
        challenge: u64,
        answer: &'a CustodyAnswer,
    ) -> BoxFuture<'a, Result<(), ChallengeSourceError>> {
        Box::pin(async move {
            let answered = self.client.answer_challenge(challenge, answer).await;
            answered.map(drop).map_err(failed)
        })
    }
}
