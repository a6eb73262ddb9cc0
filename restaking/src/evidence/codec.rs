//! Bytes and hex of evidence.

use ashlar_crypto::hash::Hash;
use ashlar_proto::codec::InputError;
pub(crate) use ashlar_proto::codec::{Input, put_batch_header, put_blob_header, put_path};
use serde::{Deserialize, Deserializer, Serializer, de};

use super::EvidenceDecodeError as Error;

/// [`Input`] of at most `max` bytes.
pub(crate) fn input(bytes: &[u8], max: usize) -> Result<Input<'_>, Error> {
    match bytes.len() {
        got if got > max => Err(Error::TooLong { got, max }),
        _ => Ok(Input::new(bytes)),
    }
}

impl From<InputError> for Error {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Truncated { field } => Self::Truncated { field },
            InputError::Trailing { got } => Self::Trailing { got },
            InputError::Limit { field, got, max } => Self::Limit { field, got, max },
            InputError::Number { field, got } => Self::Number { field, got },
        }
    }
}

pub(crate) fn serialize_hex<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("0x{}", hex::encode(bytes)))
}

pub(crate) fn serialize_hash<S: Serializer>(hash: &Hash, to: S) -> Result<S::Ok, S::Error> {
    serialize_hex(hash, to)
}

/// In JSON: the hex of the bytes.
macro_rules! as_hex {
    ($type:ty, $max:expr) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $crate::evidence::codec::serialize_hex(&self.to_bytes(), to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let bytes = $crate::evidence::codec::deserialize_hex(from, $max)?;
                Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(super) use as_hex;

/// A blob header in a record: the hex of its bytes.
pub(crate) mod blob_header {
    use serde::{Deserializer, Serializer, de};

    use ashlar_proto::BlobHeader;

    use super::{Error, deserialize_hex, input, put_blob_header, serialize_hex};

    /// The fixed fields, and as many quorums as a count can say.
    const MAX: usize = 512;

    pub(crate) fn serialize<S: Serializer>(header: &BlobHeader, to: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(128);
        put_blob_header(&mut bytes, header);
        serialize_hex(&bytes, to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BlobHeader, D::Error> {
        let bytes = deserialize_hex(from, MAX)?;
        let read = || {
            let mut input = input(&bytes, MAX)?;
            let header = input.blob_header()?;
            input.finish()?;
            Ok::<_, Error>(header)
        };
        read().map_err(de::Error::custom)
    }
}

/// Lower-case hex with `0x`, of at most `max` bytes: one text for each value.
pub(crate) fn deserialize_hex<'de, D: Deserializer<'de>>(
    from: D,
    max: usize,
) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(from)?;
    let digits = text
        .strip_prefix("0x")
        .ok_or_else(|| de::Error::custom("expected hex that begins with 0x"))?;
    if digits.len() > max.saturating_mul(2) {
        let message = format!("{} hex digits, at most {} are read", digits.len(), max * 2);
        return Err(de::Error::custom(message));
    }
    if digits.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return Err(de::Error::custom("expected lower-case hex"));
    }
    hex::decode(digits).map_err(de::Error::custom)
}
