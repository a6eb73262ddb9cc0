//! What every daemon shares, so that a new one is a page of code.
//!
//! * [`supervise`]: tasks that say what their end means; none ends in silence. [`running`]: a daemon at work.
//!   [`table`]: whether the operator table can be read.
//! * [`health`]: opening, ready, or degraded and why.
//! * [`config`](mod@config): a TOML file whose keys are documented once, beside their fields.
//! * [`listener`]: HTTP with its limits; health in places of its own. [`capacity`]: what callers share, each network its part.
//! * [`files`]: how many files a process may open.
//! * [`api`]: what the HTTP interfaces of all daemons do alike. [`extract`]: what handlers take out of a request. [`problem`]: errors as RFC 9457 documents, written and read.
//! * [`http`]: the HTTP client below the clients of disperser, relay and ledger.
//! * [`content`]: bytes that never change, with ranges, tags and caching.
//! * [`folder`]: folders that outlive a power cut.
//! * [`manifest`]: mends the list of files of a RocksDB database after a power cut. [`value_log`]: large values beside a database, written once.
//! * [`metrics`](mod@metrics): metrics that are declared once, and their page. [`page`](mod@page): the page for people at `/`.
//! * [`backoff`]: how long to wait before another attempt. [`signals`]: who asks a process to stop.

pub mod api;
pub mod backoff;
pub mod capacity;
pub mod config;
pub mod content;
pub mod disk;
pub mod extract;
pub mod files;
pub mod folder;
pub mod health;
pub mod http;
pub mod listener;
pub mod manifest;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod running;
pub mod signals;
pub mod supervise;
pub mod table;
pub mod value_log;

pub use backoff::Backoff;
pub use config::ConfigError;
pub use health::{Cause, Health, HealthReport};
pub use problem::ApiError;
pub use running::{Addresses, Running};
pub use supervise::{OnEnd, Supervisor};
