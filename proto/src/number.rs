//! Numbers that count different things: newtypes, so that a chunk is never taken for an operator. In JSON and in bytes they are
//! the bare number.
//!
//! ```
//! use ashlar_proto::{Bitmap, ChunkIndex, OperatorIndex};
//! assert!(!Bitmap::new(4).contains(OperatorIndex(3)));
//! ```
//!
//! ```compile_fail,E0308
//! use ashlar_proto::{Bitmap, ChunkIndex, OperatorIndex};
//! assert!(!Bitmap::new(4).contains(ChunkIndex(3)));
//! ```

use std::{fmt, num::ParseIntError, str::FromStr};

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $int:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        /// The bare number, so that a list of them reads as one.
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}

number!(
    /// A chunk of a batch: below the number of chunks of the batch's protocol version.
    ChunkIndex, u32
);
number!(
    /// An operator's place in an operator table, from 0.
    OperatorIndex, u32
);
number!(
    /// A disperser's running number of its batches in one service: one digest belongs to it, for ever.
    Sequence, u64
);
