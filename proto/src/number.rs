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

use std::{
    fmt,
    num::ParseIntError,
    ops::{Add, Sub},
    str::FromStr,
};

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
number!(
    /// A block of the chain or ledger that operator tables come from.
    Block, u64
);

impl Block {
    /// So many blocks later, the last block at most.
    #[must_use]
    pub const fn saturating_add(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }

    /// So many blocks later; `None` beyond the last block.
    pub fn checked_add(self, blocks: u64) -> Option<Self> {
        self.0.checked_add(blocks).map(Self)
    }

    /// So many blocks earlier, the first block at least.
    #[must_use]
    pub const fn saturating_sub(self, blocks: u64) -> Self {
        Self(self.0.saturating_sub(blocks))
    }

    /// So many blocks earlier; `None` before the first block.
    pub fn checked_sub(self, blocks: u64) -> Option<Self> {
        self.0.checked_sub(blocks).map(Self)
    }

    /// Blocks from `earlier` on; `None` if it is later.
    pub fn checked_since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }

    /// Blocks from `earlier` on; 0 if it is later.
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Block {
    type Output = Self;

    fn add(self, blocks: u64) -> Self {
        Self(self.0 + blocks)
    }
}

impl Sub for Block {
    type Output = u64;

    fn sub(self, earlier: Self) -> u64 {
        self.0 - earlier.0
    }
}
