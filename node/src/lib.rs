//! The Ashlar storage node: validate, store, sync, sign; serve; expire.
//!
//! * [`validate`]: the checks between a disperser's bytes and a signature, pure.
//! * [`store`]: what is kept, in windows that expire whole; the signed records that outlive them.
//! * [`signer`]: store, sync, then sign.
//! * [`database`]: which database belongs to a key; [`protection`]: what goes with a key that moves.
//! * [`clock`]: the time that data expires by.
//! * [`custody`]: answers the custody challenges against its operator.
//! * [`scrub`]: reads back what was promised; what is damaged is made anew out of what peers hold.
//! * [`config`], [`health`], [`metrics`], [`status`], [`refusals`], [`reach`]: what the operator sets and sees.
//! * [`Node`]: starts all of it; [`RunningNode`]: the handle of a node that serves.

pub mod clock;
pub mod config;
pub mod custody;
mod daily;
pub mod database;
#[doc(hidden)]
pub mod fuzzing;
pub mod health;
pub mod metrics;
pub mod protection;
pub mod reach;
pub mod refusals;
pub mod scrub;
pub mod signer;
pub mod status;
pub mod store;
pub mod validate;

mod damage;
mod http;
mod index;
mod repair;
mod running;
mod service;
mod shared;
mod subrange;
mod tasks;

pub use config::{ConfigError, NodeConfig};
pub use database::{Database, DatabaseError};
pub use running::{Node, NodeKeys, OpeningNode, RunningNode, StartError};
pub use service::ServiceError;
