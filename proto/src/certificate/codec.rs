//! The certificate's bytes.
//!
//! All integers are big-endian. `magic "ashc" | format u8 = 2 | form u8 | body`, with the body:
//!
//! | field | bytes |
//! |---|---|
//! | blob: version, encoding, payload length, rows | 2, 1, 8, 4 |
//! | blob: commitments root, chunk root | 32, 32 |
//! | blob: quorums | 1 (count), count |
//! | blob: account, salt | 20, 8 |
//! | place in the batch, path | 4, 1 (count), 32 × count |
//! | batch: domain, table root | 32, 32 |
//! | batch: version, root, blobs, rows | 2, 32, 4, 4 |
//! | batch: reference block, disperser, sequence, time | 8, 4, 8, 8 |
//! | form 0: signers | 2 (operators), ⌈operators / 8⌉ |
//! | form 1: table header: domain, block | 32, 8 |
//! | form 1: versions | 1 (count), 2 × count |
//! | form 1: operators, two roots, aggregate key | 4, 32, 32, 96 |
//! | form 1: totals | 2 (count), (1 quorum, 32 stake) × count |
//! | form 1: non-signers | 2 (count), each as below |
//! | signature | 48 |
//!
//! A non-signer is `index 4 | operator id 32 | BLS key 96 | network key 32 | address 2 + n | stakes 2 + 33 × n | path 1 + 32 × n`.
//!
//! There is one encoding for each certificate: fields have fixed width or a count in front, nothing is optional, and
//! nothing may follow. Each count has a limit, so a decoder allocates at most about twice the input's length.

use ashlar_crypto::{
    bls::{PUBLIC_KEY_LEN, PublicKeyBytes, SIGNATURE_LEN, SignatureBytes},
    identity::NetworkPublicKey,
};

use super::{
    Attestation, Certificate, CertificateDecodeError as Error, FORMAT_VERSION,
    MAX_CERTIFICATE_BYTES, NonSigner,
};
use crate::{
    Bitmap, Block, Domain, HeaderError, MAX_TABLE_OPERATORS, OperatorEntry, OperatorId,
    OperatorIndex, QuorumId, Stake, TableHeader,
    codec::{Input, InputError, limit, put_batch_header, put_blob_header, put_path, put_u8},
    table::{MAX_ADDRESS_BYTES, MAX_TABLE_QUORUMS, MAX_TABLE_VERSIONS},
};

/// First bytes of every certificate.
pub const MAGIC: [u8; 4] = *b"ashc";
const COMPACT: u8 = 0;
const PORTABLE: u8 = 1;

impl Certificate {
    /// The certificate's bytes, in the form that it has.
    ///
    /// Lists longer than their count can say are cut (no certificate that decodes has one), and [`Self::from_bytes`] refuses the result.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend(MAGIC);
        out.push(FORMAT_VERSION);
        out.push(if self.is_portable() {
            PORTABLE
        } else {
            COMPACT
        });
        put_blob_header(&mut out, &self.blob_header);
        out.extend(self.blob_index.to_be_bytes());
        put_path(&mut out, &self.blob_path);
        put_batch_header(&mut out, &self.batch_header);
        match &self.attestation {
            Attestation::Compact { signers } => {
                put_u16(&mut out, signers.len() as usize);
                out.extend(signers.as_bytes());
            }
            Attestation::Portable {
                table_header,
                non_signers,
            } => {
                put_table_header(&mut out, table_header);
                let count = put_u16(&mut out, non_signers.len());
                for non_signer in non_signers.iter().take(count) {
                    put_non_signer(&mut out, non_signer);
                }
            }
        }
        out.extend(self.signature.0);
        out
    }

    /// Reads a certificate. Its headers are valid then; everything else is for the check to say.
    ///
    /// # Errors
    /// The first thing that is not as [`to_bytes`](Self::to_bytes) writes it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_CERTIFICATE_BYTES {
            return Err(Error::TooLong { got: bytes.len() });
        }
        let mut input = Input::new(bytes);
        if bytes.get(..MAGIC.len()) != Some(&MAGIC) {
            return Err(Error::Magic);
        }
        input.take(MAGIC.len(), "magic")?;
        let format = input.u8("format")?;
        if format != FORMAT_VERSION {
            return Err(Error::Format { got: format });
        }
        let form = input.u8("form")?;
        if form > PORTABLE {
            return Err(Error::Form { got: form });
        }
        let blob_header = input.blob_header()?;
        blob_header.validate()?;
        let blob_index = input.u32("place in the batch")?;
        let blob_path = input.path("blob path")?;
        let batch_header = input.batch_header()?;
        batch_header.validate()?;
        let attestation = if form == COMPACT {
            let operators = u32::from(input.u16("bitmap")?);
            limit(
                "operators",
                u64::from(operators),
                u64::from(MAX_TABLE_OPERATORS),
            )?;
            let bits = input.take((operators as usize).div_ceil(8), "bitmap")?;
            Attestation::Compact {
                signers: Bitmap::from_bytes(operators, bits).ok_or(Error::StrayBits)?,
            }
        } else {
            let table_header = input.table_header()?;
            let count = usize::from(input.u16("non-signers")?);
            limit(
                "non-signers",
                count as u64,
                u64::from(table_header.operators),
            )?;
            let non_signers = (0..count)
                .map(|_| input.non_signer())
                .collect::<Result<_, _>>()?;
            Attestation::Portable {
                table_header,
                non_signers,
            }
        };
        let signature = SignatureBytes(input.array::<SIGNATURE_LEN>("signature")?);
        input.finish()?;
        Ok(Self {
            blob_header,
            blob_index,
            blob_path,
            batch_header,
            attestation,
            signature,
        })
    }
}

/// Writes a count of two bytes and returns what was written.
fn put_u16(out: &mut Vec<u8>, count: usize) -> usize {
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    out.extend(count.to_be_bytes());
    usize::from(count)
}

fn put_stakes(out: &mut Vec<u8>, stakes: &[(QuorumId, Stake)]) {
    let count = put_u16(out, stakes.len());
    for (quorum, stake) in stakes.iter().take(count) {
        out.push(*quorum);
        out.extend(stake.to_be_bytes::<32>());
    }
}

fn put_table_header(out: &mut Vec<u8>, header: &TableHeader) {
    out.extend(header.domain.0);
    out.extend(header.reference_block.0.to_be_bytes());
    let count = put_u8(out, header.versions.len());
    out.extend(
        header
            .versions
            .iter()
            .take(count)
            .flat_map(|v| v.to_be_bytes()),
    );
    out.extend(header.operators.to_be_bytes());
    out.extend(header.operators_root);
    out.extend(header.dispersers_root);
    out.extend(header.aggregate_key.0);
    put_stakes(out, &header.totals);
}

fn put_non_signer(out: &mut Vec<u8>, non_signer: &NonSigner) {
    let entry = &non_signer.entry;
    out.extend(non_signer.index.0.to_be_bytes());
    out.extend(entry.operator_id.0);
    out.extend(entry.bls_public_key.0);
    out.extend(entry.network_key.0);
    let len = put_u16(out, entry.address.len());
    out.extend(entry.address.bytes().take(len));
    put_stakes(out, &entry.stakes);
    put_path(out, &non_signer.path);
}

/// What a certificate has beside what evidence has too.
impl Input<'_> {
    fn stakes(&mut self, field: &'static str) -> Result<Vec<(QuorumId, Stake)>, Error> {
        let count = usize::from(self.u16(field)?);
        limit(field, count as u64, MAX_TABLE_QUORUMS as u64)?;
        (0..count)
            .map(|_| {
                Ok((
                    self.u8(field)?,
                    Stake::from_be_bytes(self.array::<32>(field)?),
                ))
            })
            .collect()
    }

    fn versions(&mut self) -> Result<Vec<u16>, Error> {
        const FIELD: &str = "table's versions";
        let count = self.u8(FIELD)?;
        limit(FIELD, u64::from(count), MAX_TABLE_VERSIONS as u64)?;
        (0..count).map(|_| Ok(self.u16(FIELD)?)).collect()
    }

    fn table_header(&mut self) -> Result<TableHeader, Error> {
        const FIELD: &str = "table header";
        let header = TableHeader {
            domain: Domain(self.array(FIELD)?),
            reference_block: Block(self.u64(FIELD)?),
            versions: self.versions()?,
            operators: self.u32(FIELD)?,
            operators_root: self.array(FIELD)?,
            dispersers_root: self.array(FIELD)?,
            aggregate_key: PublicKeyBytes(self.array::<PUBLIC_KEY_LEN>(FIELD)?),
            totals: self.stakes("stake totals")?,
        };
        limit(
            "operators",
            u64::from(header.operators),
            u64::from(MAX_TABLE_OPERATORS),
        )?;
        Ok(header)
    }

    fn non_signer(&mut self) -> Result<NonSigner, Error> {
        const FIELD: &str = "non-signer";
        let index = OperatorIndex(self.u32(FIELD)?);
        let operator_id = OperatorId(self.array(FIELD)?);
        let bls_public_key = PublicKeyBytes(self.array::<PUBLIC_KEY_LEN>(FIELD)?);
        let network_key = NetworkPublicKey(self.array(FIELD)?);
        let len = usize::from(self.u16(FIELD)?);
        limit("address", len as u64, MAX_ADDRESS_BYTES as u64)?;
        let address =
            String::from_utf8(self.take(len, FIELD)?.to_vec()).map_err(|_| Error::Text)?;
        let stakes = self.stakes("non-signer's stakes")?;
        let path = self.path("non-signer's path")?;
        Ok(NonSigner {
            index,
            entry: OperatorEntry {
                operator_id,
                bls_public_key,
                network_key,
                address,
                stakes,
            },
            path,
        })
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Truncated { field } => Self::Truncated { field },
            InputError::Trailing { got } => Self::Trailing { got },
            InputError::Limit { field, got, max } => Self::Limit { field, got, max },
            InputError::Number { got, .. } => HeaderError::Encoding { got }.into(),
        }
    }
}
