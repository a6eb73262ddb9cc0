//! Fixed-length byte strings that people see: lower-case hex with `0x` in text and JSON.

use thiserror::Error;

use crate::Coded;

/// Why a text is not the hex of a byte string of the wanted length.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "hex", blame = Caller)]
pub enum HexError {
    /// Another number of digits.
    #[error("expected {expected} bytes of hex ({} digits), got {got} digits", expected * 2)]
    Length {
        /// Bytes wanted.
        expected: usize,
        /// Digits found, without the `0x`.
        got: usize,
    },
    /// A character that is no hex digit.
    #[error("{found:?} is not a hex digit")]
    Digit {
        /// The first such character.
        found: char,
    },
}

/// Reads exactly `N` bytes of hex; `0x` in front and upper case are accepted, because people paste what they have.
///
/// # Errors
///
/// [`HexError`] with the length found or the first character that is no digit.
pub fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if let Some(found) = digits.chars().find(|c| !c.is_ascii_hexdigit()) {
        return Err(HexError::Digit { found });
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| HexError::Length {
        expected: N,
        got: digits.len(),
    })?;
    Ok(bytes)
}

/// Gives a tuple struct around `[u8; N]` its hex `Display`, `Debug` and `FromStr`, and with the features of this crate its serde and schema.
#[doc(hidden)]
#[macro_export]
macro_rules! impl_hex_bytes {
    ($name:ident, $len:expr) => {
        $crate::impl_hex_serde!($name);
        $crate::impl_hex_schema!($name, $len);

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, "0x{}", ::hex::encode(self.0))
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::hex_bytes::HexError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::hex_bytes::parse_hex::<$len>(text).map(Self)
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }
    };
}
#[doc(hidden)]
pub use impl_hex_bytes;

#[cfg(feature = "serde")]
#[doc(hidden)]
#[macro_export]
macro_rules! impl_hex_serde {
    ($name:ident) => {
        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                let text = <::std::borrow::Cow<'de, str> as ::serde::Deserialize>::deserialize(
                    deserializer,
                )?;
                text.parse().map_err(::serde::de::Error::custom)
            }
        }
    };
}

#[cfg(feature = "openapi")]
#[doc(hidden)]
#[macro_export]
macro_rules! impl_hex_schema {
    ($name:ident, $len:expr) => {
        $crate::text_schema!($name, format!("(0x)?[0-9a-fA-F]{{{}}}", 2 * $len));
    };
}

// Without the feature there is nothing to write, in whichever crate the type is.
#[cfg(not(feature = "serde"))]
#[doc(hidden)]
#[macro_export]
macro_rules! impl_hex_serde {
    ($name:ident) => {};
}

#[cfg(not(feature = "openapi"))]
#[doc(hidden)]
#[macro_export]
macro_rules! impl_hex_schema {
    ($name:ident, $len:expr) => {};
}

#[cfg(test)]
mod tests;
