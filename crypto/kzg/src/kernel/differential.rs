//! All kernels against each other, on inputs made to tell them apart: property test, fuzz target and counted runs share it.
//!
//! A round takes its choices from a [`Choices`], does one piece of work with every kernel that runs here, and compares all
//! that comes out. Where there is one, a plain twin of arkworks' arithmetic takes part.

mod choices;
mod encodings;
mod group;
mod points;
mod scalars;

use std::fmt;

pub use choices::Choices;
#[cfg(test)]
pub(super) use scalars::colliding_blobs;

use super::{KERNELS, Kernel};

/// What a round is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Sums, differences and doublings of points in batches.
    Points,
    /// Products in the base field.
    BaseField,
    /// Products in the scalar field.
    ScalarField,
    /// Transforms of scalars, extensions of rows, weighted sums.
    Transforms,
    /// Multi-scalar multiplications of any points.
    Msm,
    /// Products of fixed bases.
    FixedBases,
    /// Transforms of points.
    GroupTransforms,
    /// Commitments to rows, with the tables that they are made with.
    Commitments,
    /// Compressed points decoded.
    Decoding,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Points,
        Self::BaseField,
        Self::ScalarField,
        Self::Transforms,
        Self::Msm,
        Self::FixedBases,
        Self::GroupTransforms,
        Self::Commitments,
        Self::Decoding,
    ];
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Points => "point additions",
            Self::BaseField => "base field products",
            Self::ScalarField => "scalar field products",
            Self::Transforms => "scalar transforms",
            Self::Msm => "multi-scalar multiplications",
            Self::FixedBases => "fixed-base products",
            Self::GroupTransforms => "group transforms",
            Self::Commitments => "row commitments",
            Self::Decoding => "decoded points",
        })
    }
}

/// Two kernels gave different results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// The kernel that differs from the portable one.
    pub kernel: &'static str,
    /// What it did.
    pub operation: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} differs in {}", self.kernel, self.operation)
    }
}

/// One round: how many operations, as [`Area`] names them, every kernel in it has done.
///
/// # Errors
///
/// [`Disagreement`] of a kernel with the portable one.
pub fn round(area: Area, choices: &mut Choices<'_>) -> Result<u64, Disagreement> {
    match area {
        Area::Points => points::additions(choices),
        Area::BaseField => points::products(choices),
        Area::ScalarField => scalars::products(choices),
        Area::Transforms => scalars::transforms(choices),
        Area::Msm => group::msm(choices),
        Area::FixedBases => group::fixed_bases(choices),
        Area::GroupTransforms => group::transforms(choices),
        Area::Commitments => group::commitments(choices),
        Area::Decoding => encodings::decoding(choices),
    }
}

/// The kernels to compare with the portable one. The one in plain Rust, slow, takes its turn where the processor has the
/// vectors.
fn others(choices: &mut Choices<'_>) -> Vec<&'static dyn Kernel> {
    let emulated = takes_part(choices);
    KERNELS
        .iter()
        .copied()
        .filter(|kernel| kernel.runs_here())
        .filter(|kernel| match kernel.name() {
            "portable" => false,
            "ifma-emulated" => emulated,
            _ => true,
        })
        .collect()
}

/// Whether something slow takes part: one time in 32, or always if the vectors are not to be had.
fn takes_part(choices: &mut Choices<'_>) -> bool {
    let vectors = KERNELS.first().is_some_and(|kernel| kernel.runs_here());
    choices.one_in(32) || !vectors
}

/// Compares `work` of the others with that of the portable kernel, which is returned.
fn compare<T: PartialEq>(
    choices: &mut Choices<'_>,
    operation: impl fmt::Display,
    work: impl Fn(&'static dyn Kernel) -> T,
) -> Result<T, Disagreement> {
    let expected = work(&super::portable::Portable);
    for kernel in others(choices) {
        if work(kernel) != expected {
            return Err(Disagreement {
                kernel: kernel.name(),
                operation: operation.to_string(),
            });
        }
    }
    Ok(expected)
}

/// Compares with a twin, which is right by being plain.
fn twin<T: PartialEq>(
    operation: impl fmt::Display,
    got: &T,
    expected: &T,
) -> Result<(), Disagreement> {
    if got == expected {
        return Ok(());
    }
    Err(Disagreement {
        kernel: "arkworks' arithmetic",
        operation: operation.to_string(),
    })
}

#[cfg(test)]
mod tests;
