//! Round trips for fuzz targets, of files that nobody else reads. No part of the API.

pub use crate::heads::fuzzing::head_record;
pub use crate::service::signing_floor::fuzzing::signing_floor;
pub use crate::source::memory::fuzzing::follower_files;
