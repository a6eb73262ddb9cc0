//! The name under which a punished fault is remembered.

use alloy_primitives::B256;
use ashlar_crypto::hash::sha256;
use ashlar_proto::{OperatorId, QuorumId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::evidence::ProvenFault;

const FAULT_TAG: &[u8] = b"ashlar/ledger-fault/1";

/// A fault proven by evidence that the caller has checked. The same fault is punished once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FaultRecord {
    /// Whose fault.
    pub operator: OperatorId,
    /// Which kind, as the checker of evidence numbers them.
    pub kind: u8,
    /// Names the fault: the same for every proof of the same fault.
    #[cfg_attr(feature = "openapi", schema(value_type = ashlar_proto::api::Bytes32))]
    pub evidence_hash: B256,
}

impl FaultRecord {
    /// Under which name a ledger remembers that an operator's proven fault was punished in a quorum of a service: it follows from the
    /// fault's subject, so that other evidence of the same misdeed has the same name.
    pub fn of(
        operator: OperatorId,
        fault: &ProvenFault,
        service: ServiceId,
        quorum: QuorumId,
    ) -> Self {
        let name = sha256(&[
            FAULT_TAG,
            &fault.subject(),
            &service.to_be_bytes(),
            &[quorum],
        ]);
        Self {
            operator,
            kind: fault.kind().number(),
            evidence_hash: B256::from(name),
        }
    }
}
