#![no_main]
//! Evidence: what is accepted has one encoding, no evidence against the four operators and the disperser proves anything but what they
//! did, and what they did proves nothing in another service.

use std::sync::Arc;

use ashlar_crypto::bls::PublicKey;
use ashlar_fuzz::table;
use ashlar_proto::{Block, Domain, OperatorId, TableAccess, TableRoot};
use ashlar_restaking::evidence::{
    Accused, Challenge, CustodyAnswer, EvidenceError, Fault, FaultKind, NoTable, ServiceRecords,
};
use ashlar_stake::OperatorTable;
use libfuzzer_sys::fuzz_target;

/// One table, of block 7, in a service with this domain; nothing later is over.
struct Service(Domain);

impl ServiceRecords for Service {
    fn domain(&self) -> Domain {
        self.0
    }

    fn table_at(&self, block: Block) -> Result<Arc<OperatorTable>, NoTable> {
        match block {
            Block(7) => Ok(Arc::new(table().clone())),
            Block(0..7) => Err(NoTable::Nobody),
            _ => Err(NoTable::Unseen),
        }
    }

    fn operator_key(&self, operator: &OperatorId) -> Option<PublicKey> {
        table().public_key(table().find(operator)?).copied()
    }

    fn source_signed(&self, _: Block, _: &TableRoot) -> bool {
        false
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(fault) = Fault::from_bytes(data) {
        assert_eq!(fault.to_bytes(), data, "a fault has one encoding");
        // The seeds are the one double signing and the one equivocation that the fuzzer can know the signatures of.
        if let Ok(proven) = fault.check(&Service(table().domain())) {
            assert_eq!(proven.accused(), fault.accused());
            match fault.accused() {
                Accused::Operator(_) => assert_eq!(fault.kind(), FaultKind::DoubleSigning),
                Accused::Disperser(id) => assert_eq!(id, 0),
            }
            let elsewhere = fault.check(&Service(Domain([0; 32])));
            assert!(matches!(elsewhere, Err(EvidenceError::OtherDomain { .. })));
        }
    }
    if let Ok(challenge) = Challenge::from_bytes(data) {
        assert_eq!(challenge.to_bytes(), data, "a challenge has one encoding");
    }
    if let Ok(answer) = CustodyAnswer::from_bytes(data) {
        assert_eq!(answer.to_bytes(), data, "an answer has one encoding");
    }
});
