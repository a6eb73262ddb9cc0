#![no_main]
//! Points of both groups: what decodes, encodes to the same bytes.

use ashlar_crypto::bls::{PublicKey, PublicKeyBytes, Signature, SignatureBytes};
use ashlar_crypto::{Commitment, CommitmentBytes, Proof, ProofBytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(&bytes) = data.first_chunk::<48>() {
        if let Ok(point) = Commitment::try_from(CommitmentBytes(bytes)) {
            assert_eq!(point.to_bytes(), CommitmentBytes(bytes));
        }
        if let Ok(point) = Proof::try_from(ProofBytes(bytes)) {
            assert_eq!(point.to_bytes(), ProofBytes(bytes));
        }
        if let Ok(point) = Signature::from_bytes(&SignatureBytes(bytes)) {
            assert_eq!(point.to_bytes(), SignatureBytes(bytes));
            assert!(
                Proof::try_from(ProofBytes(bytes)).is_ok(),
                "the two libraries disagree"
            );
        }
    }
    if let Some(&bytes) = data.first_chunk::<96>()
        && let Ok(point) = PublicKey::from_bytes(&PublicKeyBytes(bytes))
    {
        assert_eq!(point.to_bytes(), PublicKeyBytes(bytes));
    }
});
