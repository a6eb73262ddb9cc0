//! An operator's entry together with the proof that it holds its BLS key.
//!
//! The proof names no network and permits nothing: whoever sees a table can copy it. It shows that nobody chose its key
//! to cancel other keys. That is enough where somebody vouches for the table: a file on one's own disk, or a head that
//! the source signed. To *get into* the table of a ledger, an operator also signs an
//! [`OperatorStatement`](ashlar_proto::registration::OperatorStatement).

use std::collections::HashSet;

use ashlar_crypto::bls::{PublicKey, PublicKeyBytes, SecretKey, Signature, SignatureBytes};
use ashlar_crypto::identity::NetworkPublicKey;
use ashlar_proto::table::{OperatorEntry, operator_id};
use ashlar_proto::{QuorumId, Stake};

use crate::TableError;

/// An operator on a table, as whoever makes the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The entry.
    pub entry: OperatorEntry,
    /// [`SecretKey::prove_possession`](ashlar_crypto::bls::SecretKey::prove_possession) of the entry's BLS key.
    pub proof_of_possession: SignatureBytes,
}

impl Registration {
    /// The registration of the holder of these keys, proof included.
    pub fn new(
        bls: &SecretKey,
        network_key: NetworkPublicKey,
        address: impl Into<String>,
        stakes: Vec<(QuorumId, Stake)>,
    ) -> Self {
        let bls_public_key = bls.public_key().to_bytes();
        Self {
            entry: OperatorEntry {
                operator_id: operator_id(&bls_public_key),
                bls_public_key,
                network_key,
                address: address.into(),
                stakes,
            },
            proof_of_possession: bls.prove_possession().to_bytes(),
        }
    }

    /// Checks the entry's rules and the proof.
    ///
    /// # Errors
    ///
    /// [`TableError::Entry`], [`TableError::BlsKey`] or [`TableError::Possession`].
    pub fn verify(&self) -> Result<(), TableError> {
        self.entry.validate().map_err(|source| TableError::Entry {
            operator: self.entry.operator_id,
            source,
        })?;
        self.verify_possession()
    }

    fn verify_possession(&self) -> Result<(), TableError> {
        let operator = self.entry.operator_id;
        let key = PublicKey::from_bytes(&self.entry.bls_public_key)
            .map_err(|source| TableError::BlsKey { operator, source })?;
        Signature::from_bytes(&self.proof_of_possession)
            .and_then(|proof| key.verify_possession(&proof))
            .map_err(|source| TableError::Possession { operator, source })
    }
}

/// Remembers which proofs were checked: a proof costs a pairing, and most operators of a new table were on the last one.
#[derive(Clone, Debug, Default)]
pub struct PossessionCache {
    pub(crate) proven: HashSet<(PublicKeyBytes, SignatureBytes)>,
}

impl PossessionCache {
    /// [`Registration::verify`], without the pairing if this key showed this very proof before.
    ///
    /// # Errors
    ///
    /// As [`Registration::verify`]. A failure is not remembered.
    pub fn verify(&mut self, registration: &Registration) -> Result<(), TableError> {
        let known = (
            registration.entry.bls_public_key,
            registration.proof_of_possession,
        );
        if self.proven.contains(&known) {
            let operator = registration.entry.operator_id;
            return registration
                .entry
                .validate()
                .map_err(|source| TableError::Entry { operator, source });
        }
        registration.verify()?;
        self.proven.insert(known);
        Ok(())
    }
}
