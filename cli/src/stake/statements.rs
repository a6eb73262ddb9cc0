//! Transactions of which another key than the sender's signs a part: registrations.

use std::path::PathBuf;

use ashlar_crypto::bls::SecretKey;
use ashlar_proto::operator_id;
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_restaking::Action;
use clap::Args;

use super::forms::{Amount, Form, NetworkPublicKey, ServiceId};
use super::signer::Signer;
use crate::error::CliResult;
use crate::{files, keys};

/// The key that stands behind an operator.
#[derive(Clone, Debug, Args)]
struct BlsKey {
    /// Keystore of the BLS key; opened to sign the statement of account, network key and address, and the proof of possession of a new key
    #[arg(id = "bls_public_key", long = "bls-key", value_name = "FILE")]
    file: PathBuf,
    /// A file whose first line is that keystore's password [default: ask]
    #[arg(long, value_name = "FILE")]
    bls_password_file: Option<PathBuf>,
}

impl BlsKey {
    fn open(&self) -> CliResult<SecretKey> {
        let password = files::password(
            self.bls_password_file.as_deref(),
            "Password of the BLS key",
            false,
        )?;
        keys::open_bls(&self.file, &password)
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct RegisterOperator {
    #[command(flatten)]
    key: BlsKey,
    /// Keystore of the network key (only its public part is read), or the public key
    #[arg(long, value_name = NetworkPublicKey::NAME)]
    network_key: NetworkPublicKey,
    /// Where the node listens, host:port
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    address: String,
    /// Blocks from an increase of an allocation until it is slashable
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    allocation_delay: u64,
}

impl RegisterOperator {
    pub(super) fn action(self, signer: &Signer<'_>) -> CliResult<Action> {
        let network_key = self.network_key.value()?;
        let key = self.key.open()?;
        let statement = OperatorStatement {
            network: signer.network()?,
            account: signer.account()?,
            network_key,
            address: self.address.clone(),
            sequence: 0,
        };
        Ok(Action::RegisterOperator {
            bls_public_key: key.public_key().to_bytes(),
            proof_of_possession: key.prove_possession().to_bytes(),
            network_key,
            address: self.address,
            statement: statement.sign(&key),
            allocation_delay: self.allocation_delay,
        })
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct UpdateOperator {
    #[command(flatten)]
    key: BlsKey,
    /// Keystore of the new network key, or the public key; as it is if left out
    #[arg(long, value_name = NetworkPublicKey::NAME)]
    network_key: Option<NetworkPublicKey>,
    /// The new host:port; as it is if left out
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    address: Option<String>,
    /// Number of the statement: how often the two changed, this time included [default: the next]
    #[arg(long, value_name = "NUMBER")]
    sequence: Option<u64>,
}

impl UpdateOperator {
    pub(super) fn action(self, signer: &Signer<'_>) -> CliResult<Action> {
        let named = (self.network_key.value()?, self.address, self.sequence);
        let key = self.key.open()?;
        let (network_key, address, sequence) = match named {
            (Some(network_key), Some(address), Some(sequence)) => (network_key, address, sequence),
            (network_key, address, sequence) => {
                let now = signer.operator(operator_id(&key.public_key().to_bytes()))?;
                (
                    network_key.unwrap_or(now.network_key),
                    address.unwrap_or(now.address),
                    sequence.unwrap_or(now.sequence.saturating_add(1)),
                )
            }
        };
        let statement = OperatorStatement {
            network: signer.network()?,
            account: signer.account()?,
            network_key,
            address: address.clone(),
            sequence,
        };
        Ok(Action::UpdateOperator {
            network_key,
            address,
            statement: statement.sign(&key),
        })
    }
}

#[derive(Clone, Debug, Args)]
pub(super) struct RegisterDisperser {
    /// Number of the service
    #[arg(long, value_name = "NUMBER")]
    service: ServiceId,
    /// Keystore of the disperser's network key; opened to sign the statement of your account
    #[arg(long, value_name = "FILE")]
    network_key: PathBuf,
    /// A file whose first line is that keystore's password [default: ask]
    #[arg(long, value_name = "FILE")]
    network_password_file: Option<PathBuf>,
    /// What it loses for two batches under one sequence; comes back after it left: 1.5eth, 20gwei, or base units
    #[arg(long, value_name = Amount::NAME)]
    bond: Amount,
}

impl RegisterDisperser {
    pub(super) fn action(self, signer: &Signer<'_>) -> CliResult<Action> {
        let password = files::password(
            self.network_password_file.as_deref(),
            "Password of the network key",
            false,
        )?;
        let key = keys::open_network(&self.network_key, &password)?;
        let statement = DisperserStatement {
            domain: signer.network()?.domain(u64::from(self.service)),
            account: signer.account()?,
            network_key: key.public(),
        };
        Ok(Action::RegisterDisperser {
            service: self.service,
            network_key: key.public(),
            statement: statement.sign(&key),
            bond: self.bond.value()?,
        })
    }
}
