//! The universal verification equation.
