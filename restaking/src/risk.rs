//! Is the stake behind a set of services enough? Certificate, exact search, and what a shock sets off.
//!
//! The model is that of Durvasula and Roughgarden ("Robust restaking networks"). Operators v hold stake σ_v. A service s
//! is secured by the operators N(s); whoever corrupts it gains π_s, and for that the corrupt ones need a share α_s of the
//! stake behind it. A coalition B *attacks* a set of services A when `σ_{B∩N(s)} ≥ α_s · σ_{N(s)}` for each s in A. It loses its
//! stake, so the attack pays when `π_A > σ_B`. The network has slack γ if `(1 + γ) · π_A ≤ σ_B` for every attack.
//!
//! | question | answer | cost |
//! |---|---|---|
//! | is it surely safe, and by how much? | [`certify`]: γ* = min over operators of 1/T_v − 1 | one pass over the edges |
//! | is there an attack that pays? | [`find_attack`]: the best one, as a witness | exponential, bounded |
//! | what is the exact slack? | [`exact_slack`] | as above, a few times |
//! | what does losing some operators set off? | [`simulate`]: a cascade, beside its bound | a search for each step |
//!
//! Numbers are exact: stakes are integers, everything else is a fraction of big integers. Floating point appears only where
//! something is drawn.
//!
//! # Slash caps
//!
//! A service that can slash at most a part β of a stake is counted with the profit π/β. Take as the loss of a coalition
//! member the largest β among the attacked services that it serves. If `(1 + γ) Σ π_s/β_s ≤ σ_B` for every attack, then `(1 + γ) π_A` is
//! at most that loss for every attack: order the caps b₁ < b₂ < …, apply the first inequality to the services with β ≥ b_j
//! and the members that serve one of them, and add up with weights b_j − b_{j−1}. With one cap for all services the two
//! conditions are the same; with different caps the counted one is the stricter.
//!
//! # Unique stake
//!
//! What an operator allocates to one service alone cannot be lost to another. Such an allocation is treated as an operator
//! of its own that serves one service ([`StakeUnit`]). For a service s with unique stake the general formulas then become `(1 + γ) π_s ≤ α_s ·
//! slashable_s`, without any special case, and whatever an operator did not allocate backs the other services together.

mod cascade;
mod certificate;
mod graph;
mod model;
mod number;
mod search;
mod svg;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod testing;
mod text;

pub use cascade::{Cascade, CascadeError, CascadeStep, Shock, simulate, worst_shock};
pub use certificate::{Certificate, PoolLoad, certify};
pub use graph::{
    Edge, Graph, GraphError, MAX_GRAPH_BYTES, MAX_NAME_BYTES, MAX_OPERATORS, MAX_SERVICES,
    OperatorNode, ServiceNode,
};
pub use model::StakeUnit;
pub use number::{Fraction, FractionError, Slack};
pub use search::{
    Attack, DEFAULT_SEARCH_STEPS, MAX_SEARCH_POOLS, MAX_SEARCH_SERVICES, SearchError, exact_slack,
    find_attack,
};
pub use svg::to_svg;
pub use text::to_text;

use ashlar_proto::ProtocolVersion;

/// Exact rational number.
pub type Rational = num_rational::BigRational;

/// α of the data availability service under a protocol version: confirmation − reconstruction.
///
/// A certificate needs the confirmation share of a quorum's stake, and a blob is lost only if the honest signers hold less
/// than the reconstruction share `c / ((c − n) · blowup)`: so at least the difference must have signed and then withheld.
///
/// # Errors
/// [`FractionError`] if the difference is not above zero and at most one; versions that pass their own check never are.
pub fn alpha(version: &ProtocolVersion) -> Result<Fraction, FractionError> {
    let (chunks, shared) = version.reconstruction();
    let confirmation = u64::from(version.confirmation_percent);
    let taken = chunks.saturating_mul(100);
    let part = confirmation.saturating_mul(shared).saturating_sub(taken);
    Fraction::new(part, shared.saturating_mul(100))
}

#[cfg(test)]
mod tests;
