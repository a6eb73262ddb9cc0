//! Who signs a transaction.

use std::path::Path;

use ashlar_ledger::types::OperatorDetail;
use ashlar_proto::{Account, Network, OperatorId};
use ashlar_restaking::Operator;

use super::connection::Connection;
use crate::error::{CliError, CliResult};
use crate::keys;

/// Who signs, and for which network: what the actions need that another key signs too.
pub(super) struct Signer<'a> {
    pub(super) connection: &'a Connection,
    /// As named.
    pub(super) network: Option<Network>,
    /// As named.
    pub(super) sender: Option<Account>,
    /// The sender's keystore.
    pub(super) key: Option<&'a Path>,
}

impl Signer<'_> {
    /// The network: as named, or as the service says.
    ///
    /// # Errors
    /// The service does not answer.
    pub(super) fn network(&self) -> CliResult<Network> {
        match self.network {
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
    pub(super) fn account(&self) -> CliResult<Account> {
        match (self.sender, self.key) {
            (Some(sender), _) => Ok(sender),
            (None, Some(path)) => keys::account(path),
            (None, None) => Err(CliError::usage("nobody was named as the sender").next(
                "--key FILE names a keystore, --sender 0x… an account whose key is elsewhere",
            )),
        }
    }

    /// An operator as the ledger knows it.
    ///
    /// # Errors
    /// The service does not answer, or there is no such operator.
    pub(super) fn operator(&self, id: OperatorId) -> CliResult<Operator> {
        let path = format!("v1/state/operators/{id}");
        let detail: OperatorDetail = self.connection.run(
            "could not ask the ledger for the operator",
            self.connection.client().query(&path),
        )?;
        Ok(detail.operator)
    }
}
