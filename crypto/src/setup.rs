//! The Ethereum KZG ceremony's setup, embedded.
//!
//! `data/ethereum-kzg-setup.bin` holds the ceremony's 4096 powers in G1, in both forms, and its 65 powers in G2,
//! uncompressed, because a square root a point would cost more than all checks. `data/README.md` says where it comes
//! from and how to make it again. Loading checks everything that can be checked: every point is on the curve and in
//! the subgroup, the powers are the powers of one secret, and the two forms belong together.
//!
//! The file: the 8 bytes `ASHLKZG1`; 4096 points [L_i(τ)]₁ over the 4096th roots of unity in their natural order; 4096
//! points [τ^i]₁; 65 points [τ^i]₂. A G1 point is x | y, a G2 point x₁ | x₀ | y₁ | y₀, coordinates 48 bytes big-endian.

use std::sync::OnceLock;

use ark_bls12_381::Bls12_381;
use ark_ec::AffineRepr;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_poly_commit::kzg10::VerifierKey;
use rayon::prelude::*;
use thiserror::Error;

use crate::curve::{self, G1_RAW_BYTES, G1Affine, G2_RAW_BYTES, G2Affine, PointError};
use crate::field::{Scalar, integer};
use crate::fk20::{self, Fk20Tables};
use crate::hash::{random_weights, sha256};
use crate::kernel::{self, FixedBases, Integer, Kernel, PerKernel, bit_reverse};

use crate::tables::{on_own_threads, table_bytes};
use crate::{Code, Coded, ELEMENTS_PER_ROW};

/// First bytes of a setup file.
const MAGIC: &[u8; 8] = b"ASHLKZG1";
/// Powers in G2: one more than the longest cell.
const G2_POWERS: usize = 65;
/// Bytes of a setup file.
const FILE_BYTES: usize =
    MAGIC.len() + 2 * ELEMENTS_PER_ROW * G1_RAW_BYTES + G2_POWERS * G2_RAW_BYTES;

static ETHEREUM: &[u8] = include_bytes!("../data/ethereum-kzg-setup.bin");

/// Why bytes are not a setup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error, Coded)]
#[coded(prefix = "setup", blame = Us)]
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

/// A checked setup with its tables, which are made when first needed.
pub struct Setup {
    /// [L_i(τ)]₁, bit-reversed like the elements of a row.
    lagrange: Vec<G1Affine>,
    /// [τ^i]₁, i < 4096.
    monomial: Vec<G1Affine>,
    /// [τ^i]₂, i ≤ 64.
    g2: Vec<G2Affine>,
    lagrange_bases: PerKernel<Box<dyn FixedBases>>,
    fk20: Fk20Tables,
    verifier_key: OnceLock<VerifierKey<Bls12_381>>,
}

impl Setup {
    /// The setup of Ethereum's ceremony. The first call loads and checks it, about half a second of CPU time; later
    /// ones are free.
    ///
    /// # Panics
    ///
    /// If the data compiled into this crate is not a setup; a test loads it.
    pub fn ethereum() -> &'static Self {
        static LOADED: OnceLock<Setup> = OnceLock::new();
        LOADED.get_or_init(|| {
            // Compiled in and tested; there is nothing that a caller could do about it.
            #[allow(clippy::expect_used)]
            on_own_threads(|| Self::from_bytes(ETHEREUM)).expect("the embedded setup is valid")
        })
    }

    /// The file that [`Setup::ethereum`] loads, for those who want to give the same setup to another library.
    pub fn ethereum_file() -> &'static [u8] {
        ETHEREUM
    }

    /// Reads and checks a setup file; see the module's documentation for its shape.
    ///
    /// # Errors
    ///
    /// [`SetupError`] names the check that failed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SetupError> {
        if bytes.len() != FILE_BYTES {
            return Err(SetupError::Length {
                expected: FILE_BYTES,
                got: bytes.len(),
            });
        }
        let body = bytes.strip_prefix(MAGIC).ok_or(SetupError::Magic)?;
        let (lagrange, rest) = body.split_at(ELEMENTS_PER_ROW * G1_RAW_BYTES);
        let (monomial, g2) = rest.split_at(ELEMENTS_PER_ROW * G1_RAW_BYTES);
        let in_order = points("lagrange", lagrange, curve::g1_from_raw)?;
        let monomial = points("monomial", monomial, curve::g1_from_raw)?;
        let g2 = points("g2", g2, curve::g2_from_raw)?;

        let bits = ELEMENTS_PER_ROW.trailing_zeros();
        let lagrange = (0..ELEMENTS_PER_ROW)
            .map(|i| in_order[bit_reverse(i, bits)])
            .collect();
        let setup = Self {
            lagrange,
            monomial,
            g2,
            lagrange_bases: PerKernel::default(),
            fk20: Fk20Tables::default(),
            verifier_key: OnceLock::new(),
        };
        setup.check(&sha256(&[bytes]), &in_order)?;
        Ok(setup)
    }

    /// Makes the tables for commitments and for proofs of this code now instead of at first use: about two seconds of
    /// CPU time, and up to 50 MB. Runs on all threads of the current rayon pool.
    pub fn prepare(&self, code: Code) {
        let kernel = kernel::active();
        self.lagrange_bases(kernel);
        self.fk20.get(kernel, code.cell_len(), &self.monomial);
    }

    /// Checks that the parts belong together. The weights are a hash of the whole file, which whoever made the file
    /// cannot choose.
    fn check(&self, digest: &[u8; 32], lagrange_in_order: &[G1Affine]) -> Result<(), SetupError> {
        let (generator_1, generator_2) = (G1Affine::generator(), G2Affine::generator());
        if self.monomial.first() != Some(&generator_1) || self.g2.first() != Some(&generator_2) {
            return Err(SetupError::Generator);
        }
        let weights = random_weights("ashlar/setup-weights/1", digest, ELEMENTS_PER_ROW);
        let integers: Vec<_> = weights.iter().map(integer).collect();

        // Each power in G1 is the one before times τ: e(Σ ρ_i [τ^(i+1)], [1]) = e(Σ ρ_i [τ^i], [τ]).
        let (low, high) = neighbours(&self.monomial);
        let (low, high) = rayon::join(
            || kernel::msm(low, &integers),
            || kernel::msm(high, &integers),
        );
        if !curve::pairings_equal(&high, self.g2_power(0), &low, self.g2_power(1)) {
            return Err(SetupError::Powers { part: "monomial" });
        }
        // The same in G2, against τ in G1. Few points: arkworks' plain sum will do.
        let sum = |points: &[G2Affine]| -> G2Affine {
            points
                .iter()
                .zip(&weights)
                .map(|(point, weight)| *point * weight)
                .sum::<ark_bls12_381::G2Projective>()
                .into()
        };
        let (low, high) = neighbours(&self.g2);
        let tau = self.monomial[1];
        if !curve::pairings_equal(&generator_1, &sum(high), &tau, &sum(low)) {
            return Err(SetupError::Powers { part: "g2" });
        }
        // Σ ρ_i [L_i(τ)] commits to the polynomial with the values ρ_i; so does its other form.
        let domain =
            Radix2EvaluationDomain::<Scalar>::new(ELEMENTS_PER_ROW).ok_or(SetupError::Lagrange)?;
        let coefficients: Vec<_> = domain.ifft(&weights).iter().map(integer).collect();
        let (values, coefficients) = rayon::join(
            || kernel::msm(lagrange_in_order, &integers),
            || kernel::msm(&self.monomial, &coefficients),
        );
        if values == coefficients {
            Ok(())
        } else {
            Err(SetupError::Lagrange)
        }
    }

    /// The commitment to a polynomial with these values, in bit-reversed order, checked to be on the curve.
    pub(crate) fn commit(&self, values: &[Integer]) -> G1Affine {
        kernel::checked(
            "fixed_bases",
            |kernel| self.lagrange_bases(kernel).msm(values),
            G1Affine::is_on_curve,
        )
    }

    fn lagrange_bases(&self, kernel: &'static dyn Kernel) -> &dyn FixedBases {
        let make = || kernel.fixed_bases(&self.lagrange, self.lagrange.len(), table_bytes());
        self.lagrange_bases
            .get_or_init(kernel, || on_own_threads(make))
            .as_ref()
    }

    /// The proofs of all cells of the polynomial with these 4096 coefficients, checked to be on the curve.
    pub(crate) fn prove_cells(&self, code: Code, coefficients: &[Scalar]) -> Vec<G1Affine> {
        fk20::prove(&self.fk20, &self.monomial, code, coefficients)
    }

    #[cfg(any(test, feature = "differential"))]
    pub(crate) fn lagrange(&self) -> &[G1Affine] {
        &self.lagrange
    }

    pub(crate) fn monomial(&self) -> &[G1Affine] {
        &self.monomial
    }

    /// [τ^power]₂ for powers up to 64, the longest cell; the lengths were checked on loading.
    pub(crate) fn g2_power(&self, power: usize) -> &G2Affine {
        &self.g2[power]
    }

    /// What `ark-poly-commit` checks openings with.
    pub(crate) fn verifier_key(&self) -> &VerifierKey<Bls12_381> {
        self.verifier_key.get_or_init(|| VerifierKey {
            g: G1Affine::generator(),
            // For hiding commitments, which KZG on Ethereum has none of.
            gamma_g: G1Affine::generator(),
            h: *self.g2_power(0),
            beta_h: *self.g2_power(1),
            prepared_h: (*self.g2_power(0)).into(),
            prepared_beta_h: (*self.g2_power(1)).into(),
        })
    }
}

/// All points but the last, and all but the first.
fn neighbours<P>(points: &[P]) -> (&[P], &[P]) {
    let without_last = points.split_last().map_or(points, |(_, rest)| rest);
    let without_first = points.split_first().map_or(points, |(_, rest)| rest);
    (without_last, without_first)
}

fn points<const N: usize, P: Send>(
    part: &'static str,
    bytes: &[u8],
    decode: impl Fn(&[u8; N]) -> Result<P, PointError> + Send + Sync,
) -> Result<Vec<P>, SetupError> {
    let decoded: Vec<_> = bytes.as_chunks().0.par_iter().map(decode).collect();
    let points = decoded.into_iter().enumerate();
    points
        .map(|(index, point)| point.map_err(|error| SetupError::Point { part, index, error }))
        .collect()
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("g1", &self.monomial.len())
            .field("g2", &self.g2.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
