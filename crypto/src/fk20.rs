//! FK20.

/// tables
#[derive(Default)]
pub(crate) struct Fk20Tables;
