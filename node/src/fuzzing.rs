//! Round trips for fuzz targets: the parts of [`store`](crate::store) that are nobody else's. No part of the API.

pub use crate::database::fuzzing::marker;
pub use crate::store::fuzzing::*;
