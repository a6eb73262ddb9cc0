//! How long a batch may take, which a disperser and its operators have to agree on without talking about it: one table, out of
//! which defaults come, and against which configurations are checked. Relations between the numbers hold or this does not compile.
//!
//! ```text
//! made                     300 s                    420 s      450 s                     600 s
//!  ├─ signatures: SIGNING ───┤                         │          │                          │
//!  │   a restart; continued up to RESUME old           │          │                          │
//!  │                         ├─ SIGNING once more ─────┤          │                          │
//!  │                         the last request: OLDEST_REQUEST     │                          │
//!  │                                                   ├ CLOCKS ──┤  two clocks that differ   │
//!  │                                                              nodes refuse it: BATCH_AGE ┤
//! ```
//!
//! A batch refers to the newest block when it is made, and nodes count its reference's age in blocks. Block times differ, so the count
//! is that of the shortest: no batch is refused for its reference that is young enough. Times that promises end by are in
//! [`time`](crate::time), those of custody in [`params`](crate::params) and in the ledger's parameters, which are compared with these
//! versions.

use std::time::Duration;

use crate::params::VERSIONS;
use crate::time::MAX_BEHIND;

/// Blocks of a ledger that is no test network's are at least so far apart.
pub const SHORTEST_BLOCK: Duration = Duration::from_secs(1);
/// One attempt of a disperser with an operator.
pub const ATTEMPT: Duration = Duration::from_secs(60);
/// Time in which enough stake has to sign a batch.
pub const SIGNING: Duration = Duration::from_secs(120);
/// A batch that is older than this is not continued after a restart of its disperser.
pub const RESUME: Duration = Duration::from_secs(300);
/// The oldest batch that is still sent.
pub const OLDEST_REQUEST: Duration = Duration::from_secs(RESUME.as_secs() + SIGNING.as_secs());
/// How much two clocks may differ: as much as a clock may be set back.
pub const CLOCKS: Duration = MAX_BEHIND;
/// The oldest batch that a node takes.
pub const BATCH_AGE: Duration = Duration::from_secs(600);
/// The oldest reference of a batch that a node takes, in blocks behind the newest.
pub const REFERENCE_AGE: u64 = reference_age(BATCH_AGE.as_secs());
/// A request of a node's callers, from its first byte to the last of its answer.
pub const REQUEST: Duration = Duration::from_secs(120);
/// Time that a daemon gives requests under way when it stops, and then its tasks.
pub const SHUTDOWN: Duration = Duration::from_secs(20);
/// A daemon that takes longer to stop ends at once. Units and containers wait longer.
pub const STOP: Duration = Duration::from_secs(40);

/// Blocks that can be made in so many seconds.
pub const fn reference_age(secs: u64) -> u64 {
    secs.div_ceil(SHORTEST_BLOCK.as_secs())
}

const _: () = {
    assert!(
        ATTEMPT.as_secs() <= SIGNING.as_secs(),
        "an attempt fits into the time of its batch"
    );
    assert!(
        ATTEMPT.as_secs() <= REQUEST.as_secs(),
        "a node does not give up before its disperser"
    );
    assert!(
        OLDEST_REQUEST.as_secs() + CLOCKS.as_secs() <= BATCH_AGE.as_secs(),
        "nodes take what dispersers send"
    );
    assert!(
        2 * SHUTDOWN.as_secs() <= STOP.as_secs(),
        "requests, then tasks: both have their time"
    );
    let mut at = 0;
    while at < VERSIONS.len() {
        assert!(
            BATCH_AGE.as_secs() + CLOCKS.as_secs() < VERSIONS[at].challenge_secs,
            "a batch can be challenged long after it was signed"
        );
        at += 1;
    }
};
