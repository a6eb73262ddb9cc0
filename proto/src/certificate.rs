//! The certificate of a blob: proof that enough stake holds it.
//!
//! One certificate has two encodings. *Compact* names the signers by a bitmap over the operator table, for those who
//! hold the table. *Portable* carries the table's header and, for each operator that did not sign, its entry with a
//! Merkle path: enough for those who hold only the table's root.
//!
//! Checking is a pure function, [`verify_certificate`] or [`verify_portable`], with a typed reason for every refusal. It is
//! done under a [`CertificatePolicy`], which says which service, how old and which quorums, and with an operator table
//! for which somebody vouches: a [`TrustedTable`], or its [`TrustedRoot`]. None of these has a default.

mod codec;
mod error;
mod policy;
mod verify;

use ashlar_crypto::{bls::SignatureBytes, hash::Hash};

pub use codec::MAGIC;
pub use error::{CertificateDecodeError, CertificateError, ConversionError};
pub use policy::{
    CertificatePolicy, MAX_AHEAD_MS, MaxAge, RequiredQuorums, TrustedRoot, TrustedTable,
};
pub use verify::{
    QuorumSigned, VerifiedCertificate, needed_stake, verify_certificate, verify_portable,
};

use crate::{
    BatchHeader, Bitmap, BlobHeader, OperatorEntry, OperatorIndex, TableAccess, TableHeader,
    table::operators_tree,
};

/// The format that this code writes and reads.
pub const FORMAT_VERSION: u8 = 2;
/// Longest certificate, in bytes. A portable one with 512 non-signers of a table of 1024 has about 300 KiB.
pub const MAX_CERTIFICATE_BYTES: usize = 1 << 20;

/// A certificate as it came: nothing in it is checked beyond its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The blob.
    pub blob_header: BlobHeader,
    /// Its place in the batch.
    pub blob_index: u32,
    /// Merkle path from its key to the batch root, from the leaf upwards.
    pub blob_path: Vec<Hash>,
    /// The batch.
    pub batch_header: BatchHeader,
    /// Who signed.
    pub attestation: Attestation,
    /// Sum of the signers' signatures over the batch digest, compressed.
    pub signature: SignatureBytes,
}

/// Who signed, in one of two forms.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "few live at once, and a box would be one more step to each field"
)]
pub enum Attestation {
    /// For those who hold the operator table.
    Compact {
        /// The signers' indices.
        signers: Bitmap,
    },
    /// For those who hold only the table's root.
    Portable {
        /// What the root commits to.
        table_header: TableHeader,
        /// Who did not sign, by strictly rising index.
        non_signers: Vec<NonSigner>,
    },
}

/// An operator that did not sign, with the proof that it is the one at that index of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NonSigner {
    /// Its place in the table.
    pub index: OperatorIndex,
    /// Its entry.
    pub entry: OperatorEntry,
    /// Merkle path from the entry to the operators' root, from the leaf upwards.
    pub path: Vec<Hash>,
}

impl Certificate {
    /// The same certificate for those who hold only the table's root. A portable one comes back as it is.
    ///
    /// # Errors
    /// The table is not the certificate's, or the bitmap is not one over this table.
    pub fn to_portable(&self, table: &impl TableAccess) -> Result<Self, ConversionError> {
        let Attestation::Compact { signers } = &self.attestation else {
            return Ok(self.clone());
        };
        if table.root() != self.batch_header.table_root {
            return Err(ConversionError::TableRoot {
                got: table.root(),
                expected: self.batch_header.table_root,
            });
        }
        let header = table.header();
        if signers.len() != header.operators {
            return Err(ConversionError::BitmapLength {
                got: signers.len(),
                expected: header.operators,
            });
        }
        let operators = (0..header.operators)
            .map(OperatorIndex)
            .map(|i| {
                table
                    .operator(i)
                    .ok_or(ConversionError::TableIncomplete { index: i })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let tree = operators_tree(operators.iter().copied());
        let non_signers = signers
            .iter_missing()
            .map(|index| {
                let missing = ConversionError::TableIncomplete { index };
                let entry = *operators.get(index.0 as usize).ok_or(missing)?;
                let path = tree.path(index.0 as usize).ok_or(missing)?;
                Ok(NonSigner {
                    index,
                    entry: entry.clone(),
                    path,
                })
            })
            .collect::<Result<_, ConversionError>>()?;
        let attestation = Attestation::Portable {
            table_header: header.clone(),
            non_signers,
        };
        Ok(Self {
            attestation,
            ..self.clone()
        })
    }

    /// The same certificate for those who hold the table. A compact one comes back as it is.
    ///
    /// # Errors
    /// A non-signer's index is not one of the table.
    pub fn to_compact(&self) -> Result<Self, ConversionError> {
        let Attestation::Portable {
            table_header,
            non_signers,
        } = &self.attestation
        else {
            return Ok(self.clone());
        };
        let expected = table_header.operators;
        let missing = Bitmap::from_indices(expected, non_signers.iter().map(|n| n.index))
            .ok_or(ConversionError::WitnessIndex { expected })?;
        let signers = Bitmap::from_indices(expected, missing.iter_missing())
            .ok_or(ConversionError::WitnessIndex { expected })?;
        Ok(Self {
            attestation: Attestation::Compact { signers },
            ..self.clone()
        })
    }

    /// Whether a holder of only the table's root can check it.
    pub fn is_portable(&self) -> bool {
        matches!(self.attestation, Attestation::Portable { .. })
    }

    /// How many operators the certificate says have signed, of how many.
    pub fn claimed_signers(&self) -> (u32, u32) {
        match &self.attestation {
            Attestation::Compact { signers } => (signers.count(), signers.len()),
            Attestation::Portable {
                table_header,
                non_signers,
            } => {
                let absent = u32::try_from(non_signers.len()).unwrap_or(u32::MAX);
                (
                    table_header.operators.saturating_sub(absent),
                    table_header.operators,
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
