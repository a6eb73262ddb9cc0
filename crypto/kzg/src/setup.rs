//! The Ethereum KZG ceremony's setup, embedded.
//!
//! `data/ethereum-kzg-setup.bin` holds the ceremony's 4096 powers in G1, in both forms, and its 65 powers in G2,
//! uncompressed, because a square root a point would cost more than all checks. `data/README.md` says where it comes
//! from and how to make it again. [`Setup::from_bytes`] checks everything that can be checked: every point is on the
//! curve and in the subgroup, the powers are the powers of one secret, and the two forms belong together. A test does so
//! with the embedded file; a process that loads it compares its hash and finds every point on the curve.
//!
//! The file: the 8 bytes `ASHLKZG1`; 4096 points [L_i(τ)]₁ over the 4096th roots of unity in their natural order; 4096
//! points [τ^i]₁; 65 points [τ^i]₂. A G1 point is x | y, a G2 point x₁ | x₀ | y₁ | y₀, coordinates 48 bytes big-endian.

mod text;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::parallel::*;
use ark_bls12_381::Bls12_381;
use ark_ec::AffineRepr;
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use ark_poly_commit::kzg10::VerifierKey;
use thiserror::Error;

use crate::curve::{self, G1_RAW_BYTES, G1Affine, G2_RAW_BYTES, G2Affine, PointError};
use crate::field::{Fr, integer};
use crate::fk20::{self, Fk20Tables};
use crate::hash::{Hash, random_weights, sha256};
use crate::hex_bytes::HexError;
use crate::kernel::{self, FixedBases, Integer, Kernel, PerKernel, bit_reverse};
use crate::tables::table_bytes;
use crate::{Code, Coded, ELEMENTS_PER_ROW};

/// First bytes of a setup file.
const MAGIC: &[u8; 8] = b"ASHLKZG1";
/// Powers in G2: one more than the longest cell.
const G2_POWERS: usize = 65;
/// Bytes of a setup file.
const FILE_BYTES: usize =
    MAGIC.len() + 2 * ELEMENTS_PER_ROW * G1_RAW_BYTES + G2_POWERS * G2_RAW_BYTES;

static ETHEREUM: &[u8] = include_bytes!("../data/ethereum-kzg-setup.bin");
/// SHA-256 of the embedded file, all of which a test has checked.
const ETHEREUM_SHA256: Hash = [
    0x0d, 0x64, 0x3c, 0x36, 0xd2, 0xa1, 0x7c, 0x67, 0xdf, 0x81, 0x4f, 0xa1, 0x30, 0x45, 0x93, 0x58,
    0xd7, 0xc3, 0x52, 0xa1, 0xf7, 0xcd, 0xcd, 0x99, 0x56, 0xf2, 0x91, 0x0d, 0xc6, 0x29, 0xe0, 0x61,
];

/// From so many rows on a process is better off with the table for commitments. Measured, CPU time: a row 10.7 ms without and
/// 6.6 ms with it, 63 ms to make it over AVX-512 IFMA, which is even after 15 rows; 25.6, 19.6 and 219 ms elsewhere, 36 rows.
const TABLE_PAYS: usize = 24;

/// Why bytes are not a setup.
#[derive(Clone, Debug, PartialEq, Eq, Error, Coded)]
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
    /// The text is neither of the two forms.
    #[error("neither a trusted_setup.txt nor a trusted_setup_4096.json: {problem}")]
    Text {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A part has another number of points.
    #[error("the {part} part has {expected} points, not {got}")]
    Count {
        /// `lagrange`, `monomial` or `g2`.
        part: &'static str,
        /// Points that it must have.
        expected: usize,
        /// Points that it has.
        got: usize,
    },
    /// A point is no hex of the right length.
    #[error("point {index} of the {part} part: {error}")]
    Hex {
        /// `lagrange`, `monomial` or `g2`.
        part: &'static str,
        /// Position in the part.
        index: usize,
        /// What is wrong with it.
        #[source]
        error: HexError,
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

/// The file of [`Setup::from_bytes`] from a trusted setup in the forms of [`load_trusted_setup`](crate::eip::load_trusted_setup).
///
/// # Errors
///
/// [`SetupError::Text`], [`SetupError::Count`], [`SetupError::Point`]. Whether the points are a setup is not looked at.
pub fn trusted_setup_to_bytes(text: &str) -> Result<Vec<u8>, SetupError> {
    let parts = text::read(text)?;
    let mut file = MAGIC.to_vec();
    for (part, points) in [("lagrange", &parts.lagrange), ("monomial", &parts.monomial)] {
        for (index, point) in points.iter().enumerate() {
            let raw = curve::g1_to_raw(&text::bytes(part, index, point)?);
            file.extend(raw.map_err(|error| SetupError::Point { part, index, error })?);
        }
    }
    let part = "g2";
    for (index, point) in parts.g2.iter().enumerate() {
        let raw = curve::g2_to_raw(&text::bytes(part, index, point)?);
        file.extend(raw.map_err(|error| SetupError::Point { part, index, error })?);
    }
    Ok(file)
}

/// A checked setup with its tables, which are made when first needed.
pub struct Setup {
    /// [L_i(τ)]₁, bit-reversed like the elements of a row.
    lagrange: Vec<G1Affine>,
    /// [τ^i]₁, i < 4096.
    monomial: Vec<G1Affine>,
    /// [τ^i]₂, i ≤ 64.
    g2: Vec<G2Affine>,
    /// Multiples of `lagrange`.
    table: PerKernel<Box<dyn FixedBases>>,
    /// Rows committed to so far.
    rows: AtomicUsize,
    fk20: Fk20Tables,
    verifier_key: OnceLock<VerifierKey<Bls12_381>>,
}

impl Setup {
    /// The setup of Ethereum's ceremony. The first call loads it, some milliseconds; later ones are free.
    ///
    /// # Panics
    ///
    /// If the data compiled into this crate is another file than the one that was checked when this crate was tested.
    pub fn ethereum() -> &'static Self {
        static LOADED: OnceLock<Setup> = OnceLock::new();
        LOADED.get_or_init(|| {
            assert!(
                sha256(&[ETHEREUM]) == ETHEREUM_SHA256,
                "the embedded setup is the ceremony's"
            );
            #[expect(clippy::expect_used, reason = "a test checks the file with this hash")]
            let (setup, _) = read(ETHEREUM).expect("the embedded setup is valid");
            setup
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
        let (setup, in_order) = read(bytes)?;
        setup.check(&sha256(&[bytes]), &in_order)?;
        Ok(setup)
    }

    /// Makes the tables for commitments and for proofs of this code now instead of at first use: about two seconds of
    /// CPU time, and up to 50 MB. Runs on all threads of the current rayon pool.
    pub fn prepare(&self, code: Code) {
        let kernel = kernel::active();
        self.rows.store(TABLE_PAYS, Ordering::Relaxed);
        self.table(kernel);
        self.fk20.get(kernel, code.cell_len(), &self.monomial);
    }

    /// Checks that all points are in their subgroups, and that the parts belong together. The weights are a hash of the whole
    /// file, which whoever made the file cannot choose.
    fn check(&self, digest: &[u8; 32], lagrange_in_order: &[G1Affine]) -> Result<(), SetupError> {
        all_in_subgroup("lagrange", lagrange_in_order, curve::g1_in_subgroup)?;
        all_in_subgroup("monomial", &self.monomial, curve::g1_in_subgroup)?;
        all_in_subgroup("g2", &self.g2, curve::g2_in_subgroup)?;
        let (generator_1, generator_2) = (G1Affine::generator(), G2Affine::generator());
        if self.monomial.first() != Some(&generator_1) || self.g2.first() != Some(&generator_2) {
            return Err(SetupError::Generator);
        }
        let weights = random_weights("ashlar/setup-weights/1", digest, ELEMENTS_PER_ROW);
        let integers: Vec<_> = weights.iter().map(integer).collect();

        // Each power in G1 is the one before times τ: e(Σ ρ_i [τ^(i+1)], [1]) = e(Σ ρ_i [τ^i], [τ]).
        let (low, high) = neighbours(&self.monomial);
        let (low, high) = join(
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
            Radix2EvaluationDomain::<Fr>::new(ELEMENTS_PER_ROW).ok_or(SetupError::Lagrange)?;
        let coefficients: Vec<_> = domain.ifft(&weights).iter().map(integer).collect();
        let (values, coefficients) = join(
            || kernel::msm(lagrange_in_order, &integers),
            || kernel::msm(&self.monomial, &coefficients),
        );
        if values == coefficients {
            Ok(())
        } else {
            Err(SetupError::Lagrange)
        }
    }

    /// For so many commitments: with the table, if it is there or that many rows pay for it.
    pub(crate) fn committer(&self, rows: usize) -> Committer<'_> {
        let before = self.rows.fetch_add(rows, Ordering::Relaxed);
        Committer {
            setup: self,
            with_table: before.saturating_add(rows) >= TABLE_PAYS,
        }
    }

    fn table(&self, kernel: &'static dyn Kernel) -> &dyn FixedBases {
        let make = || kernel.fixed_bases(&self.lagrange, self.lagrange.len(), table_bytes());
        self.table.get_or_init(kernel, make).as_ref()
    }

    /// The proofs of all cells of the polynomial with these 4096 coefficients, checked to be on the curve.
    pub(crate) fn prove_cells(&self, code: Code, coefficients: &[Fr]) -> Vec<G1Affine> {
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

/// Makes commitments, in the way that costs least for their number.
#[derive(Clone, Copy)]
pub(crate) struct Committer<'a> {
    setup: &'a Setup,
    with_table: bool,
}

impl Committer<'_> {
    /// The commitment to a polynomial with these values, in bit-reversed order, checked to be on the curve.
    pub(crate) fn commit(&self, values: &[Integer]) -> G1Affine {
        if self.with_table {
            kernel::checked(
                "fixed_bases",
                |kernel| self.setup.table(kernel).msm(values),
                G1Affine::is_on_curve,
            )
        } else {
            kernel::msm(&self.setup.lagrange, values)
        }
    }
}

/// Reads a setup file, and finds every point on its curve: the setup, and its lagrange part as it stands in the file. On this
/// thread alone: one that waits for its parts inside of a rayon pool may take other work that asks for the same setup.
fn read(bytes: &[u8]) -> Result<(Setup, Vec<G1Affine>), SetupError> {
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
    let setup = Setup {
        lagrange,
        monomial,
        g2,
        table: PerKernel::default(),
        rows: AtomicUsize::new(0),
        fk20: Fk20Tables::default(),
        verifier_key: OnceLock::new(),
    };
    Ok((setup, in_order))
}

/// All points but the last, and all but the first.
fn neighbours<P>(points: &[P]) -> (&[P], &[P]) {
    let without_last = points.split_last().map_or(points, |(_, rest)| rest);
    let without_first = points.split_first().map_or(points, |(_, rest)| rest);
    (without_last, without_first)
}

fn points<const N: usize, P>(
    part: &'static str,
    bytes: &[u8],
    decode: impl Fn(&[u8; N]) -> Result<P, PointError>,
) -> Result<Vec<P>, SetupError> {
    let decoded = bytes.as_chunks().0.iter().map(decode).enumerate();
    decoded
        .map(|(index, point)| point.map_err(|error| SetupError::Point { part, index, error }))
        .collect()
}

fn all_in_subgroup<P: Sync>(
    part: &'static str,
    points: &[P],
    check: impl Fn(&P) -> Result<(), PointError> + Sync,
) -> Result<(), SetupError> {
    let found = points.par_iter().enumerate().map(|(index, point)| {
        check(point).map_err(|error| SetupError::Point { part, index, error })
    });
    found.collect()
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
