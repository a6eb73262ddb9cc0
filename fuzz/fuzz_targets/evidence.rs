#![no_main]
//! Evidence: what is accepted has one encoding, and no evidence against the four operators proves anything but what they did.

use std::sync::Arc;

use ashlar_crypto::Setup;
use ashlar_fuzz::table;
use ashlar_stake::OperatorTable;
use ashlar_stake::evidence::{Chain, Challenge, CustodyAnswer, Fault, FaultKind};
use libfuzzer_sys::fuzz_target;

/// One table, at every block up to the newest.
struct Blocks;

impl Chain for Blocks {
    fn table_at(&self, block: u64) -> Option<Arc<OperatorTable>> {
        (block == 7).then(|| Arc::new(table().clone()))
    }

    fn head(&self) -> u64 {
        9
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(fault) = Fault::from_bytes(data) {
        assert_eq!(fault.to_bytes(), data, "a fault has one encoding");
        // The seed is the one double signing that the fuzzer can know the signatures of.
        if let Ok(proven) = fault.check(&Blocks, Setup::ethereum()) {
            assert_eq!(fault.kind(), FaultKind::DoubleSigning);
            assert_eq!(proven.operator(), fault.operator());
        }
    }
    if let Ok(challenge) = Challenge::from_bytes(data) {
        assert_eq!(challenge.to_bytes(), data, "a challenge has one encoding");
    }
    if let Ok(answer) = CustodyAnswer::from_bytes(data) {
        assert_eq!(answer.to_bytes(), data, "an answer has one encoding");
    }
});
