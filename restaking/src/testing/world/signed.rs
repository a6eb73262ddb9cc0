//! Transactions that carry a signature beside their sender's.

use ashlar_crypto::bls::SignatureBytes;
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::head::{Head, HeadKeySuccession};
use ashlar_proto::registration::{DisperserStatement, OperatorStatement};
use ashlar_proto::{Account, TableAccess as _, TableRoot};

use super::*;
use ashlar_testing::network_secret;

impl World {
    /// The source contradicts the ledger, or agrees with it; or its key is succeeded.
    pub(super) fn of_source(&mut self, state: &State, service: ServiceId) -> (Account, Action) {
        let key = self.below(3) as u8;
        let sender = account(1);
        if self.below(12) == 0 {
            let next = Account(head_key(key + 1).address());
            return (
                sender,
                Self::rotate(key, next, state.meta().block + self.below(3)),
            );
        }
        let block = state.meta().block.saturating_sub(self.below(6));
        let root = match state.table_at(service, block) {
            Ok(table) if self.below(3) == 0 => table.root(),
            _ => TableRoot([self.below(3) as u8; 32]),
        };
        (sender, Self::head(state, key, service, block, root))
    }

    /// Registers operator `index` from account `0x40 + index`.
    pub(crate) fn register(index: usize, allocation_delay: u64) -> Action {
        let (bls_public_key, proof_of_possession) = key(index);
        let (network_key, address) = (network_key(index), format!("10.0.0.{index}:7000"));
        Action::RegisterOperator {
            bls_public_key,
            proof_of_possession,
            network_key,
            statement: Self::statement(index, network_key, &address, 0),
            address,
            allocation_delay,
        }
    }

    pub(crate) fn update(
        index: usize,
        network_key: NetworkPublicKey,
        address: &str,
        sequence: u64,
    ) -> Action {
        Action::UpdateOperator {
            network_key,
            address: address.to_owned(),
            statement: Self::statement(index, network_key, address, sequence),
        }
    }

    /// What operator `index` says of the account `0x40 + index`.
    pub(crate) fn statement(
        index: usize,
        network_key: NetworkPublicKey,
        address: &str,
        sequence: u64,
    ) -> SignatureBytes {
        OperatorStatement {
            network: network(),
            account: account(0x40 + index as u8),
            network_key,
            address: address.to_owned(),
            sequence,
        }
        .sign(&bls_key(index))
    }

    /// Registers the disperser with network key `key`.
    pub(crate) fn disperse(
        state: &State,
        service: ServiceId,
        account: Account,
        key: usize,
        bond: u64,
    ) -> Action {
        let network_key = network_key(key);
        let statement = DisperserStatement {
            domain: state.domain(service),
            account,
            network_key,
        };
        Action::RegisterDisperser {
            service,
            network_key,
            statement: statement.sign(&network_secret(key)),
            bond: bond.into(),
        }
    }

    /// Shows a head signed by head key `key`.
    pub(crate) fn head(
        state: &State,
        key: u8,
        service: ServiceId,
        block: Block,
        table_root: TableRoot,
    ) -> Action {
        let time_ms = 1_700_000_000_000 + block.0 * 12_000;
        let head = Head {
            domain: state.domain(service),
            block,
            time_ms,
            table_root,
        };
        Action::SubmitHead {
            service,
            block,
            time_ms,
            table_root,
            signature: head.sign(&head_key(key)).signature,
        }
    }

    /// Head key `key` names its successor.
    pub(crate) fn rotate(key: u8, successor: Account, from_block: Block) -> Action {
        let succession = HeadKeySuccession::sign(&head_key(key), network(), successor, from_block);
        Action::RotateHeadKey {
            successor,
            from_block,
            signature: succession.signature,
        }
    }
}
