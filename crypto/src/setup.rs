//! The Ethereum KZG ceremony's setup, embedded.

use std::sync::OnceLock;

use thiserror::Error;

use crate::curve::{G1Affine, G2Affine};
use crate::fk20::Fk20Tables;
use crate::kernel::FixedBases;
use crate::kzg::PointError;
use crate::{Blame, Coded};

/// Why bytes are not a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SetupError {
    /// The file has another length.
    #[error("a setup file has {expected} bytes, not {got}")]
    Length {
        /// Bytes that it must have.
        expected: usize,
        /// Bytes that it has.
        got: usize,
    },
    /// The file starts with something else.
    #[error("not a setup file: the first eight bytes are not its mark")]
    Magic,
    /// A point is no point of its group.
    #[error("point {index} of the {part} part: {error}")]
    Point {
        /// `lagrange`, `monomial` or `g2`.
        part: &'static str,
        /// Position in the part.
        index: usize,
        /// What is wrong with it.
        #[source]
        error: PointError,
    },
    /// The first powers are not the generators of the groups.
    #[error("the setup does not start with the generators of G1 and G2")]
    Generator,
    /// The powers are no powers of one secret.
    #[error("the powers in the {part} part are not those of one secret")]
    Powers {
        /// `monomial` or `g2`.
        part: &'static str,
    },
    /// The two forms of the G1 powers do not belong together.
    #[error("the lagrange part is not the monomial part in the basis of the roots of unity")]
    Lagrange,
}

impl Coded for SetupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "setup.length",
            Self::Magic => "setup.magic",
            Self::Point { .. } => "setup.point",
            Self::Generator => "setup.generator",
            Self::Powers { .. } => "setup.powers",
            Self::Lagrange => "setup.lagrange",
        }
    }

    fn blame(&self) -> Blame {
        Blame::Us
    }
}

/// A checked setup with its tables, which are made when first needed.
pub struct Setup {
    /// [L_i(τ)]₁, bit-reversed like the elements of a row.
    lagrange: Vec<G1Affine>,
    /// [τ^i]₁, i < 4096.
    monomial: Vec<G1Affine>,
    /// [τ^i]₂, i ≤ 64.
    g2: Vec<G2Affine>,
    lagrange_bases: OnceLock<FixedBases>,
    fk20: Fk20Tables,
}

impl Setup {
    /// The setup of Ethereum's ceremony.
    pub fn ethereum() -> &'static Self {
        unimplemented!("in the next commit")
    }

    /// Reads and checks a setup file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SetupError> {
        let _ = bytes;
        unimplemented!("in the next commit")
    }

    pub(crate) fn lagrange_bases(&self) -> &FixedBases {
        self.lagrange_bases
            .get_or_init(|| FixedBases::new(&self.lagrange))
    }
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Setup(..)")
    }
}
