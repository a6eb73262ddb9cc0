//! What a ledger's state has recorded about a service, as the checks ask for it.

use std::sync::Arc;

use ashlar_crypto::bls::PublicKey;
use ashlar_proto::{Block, Domain, OperatorId, TableRoot};

use super::{NoTable, ServiceRecords};
use crate::{ServiceId, State, TableQueryError};
use ashlar_stake::{OperatorTable, TableError};

/// The records of one service. A table is made anew each time it is asked for, which takes milliseconds.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    state: &'a State,
    service: ServiceId,
}

impl<'a> Records<'a> {
    /// Those of the service with this number.
    pub fn new(state: &'a State, service: ServiceId) -> Self {
        Self { state, service }
    }

    /// Those of the service with this domain.
    pub fn of_domain(state: &'a State, domain: &Domain) -> Option<Self> {
        state
            .services()
            .map(|(service, _)| service)
            .find(|service| state.domain(*service) == *domain)
            .map(|service| Self::new(state, service))
    }

    /// The service.
    pub fn service(&self) -> ServiceId {
        self.service
    }
}

impl ServiceRecords for Records<'_> {
    fn domain(&self) -> Domain {
        self.state.domain(self.service)
    }

    /// The newest block is not over: its table may change still.
    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, NoTable> {
        if block >= self.state.meta().block {
            return Err(NoTable::Unseen);
        }
        self.state
            .table_at(self.service, block)
            .map(Arc::new)
            .map_err(|error| match error {
                TableQueryError::Future { .. } => NoTable::Unseen,
                TableQueryError::Table(TableError::NoOperators)
                | TableQueryError::Service { .. } => NoTable::Nobody,
                TableQueryError::Table(_) | TableQueryError::Inconsistent { .. } => NoTable::Broken,
            })
    }

    fn operator_key(&self, operator: &OperatorId) -> Option<PublicKey> {
        self.state.operator_key(operator).copied()
    }

    fn source_signed(&self, block: Block, root: &TableRoot) -> bool {
        self.state
            .contradicting_head(self.service, block, *root)
            .is_some()
    }
}
