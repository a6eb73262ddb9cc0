//! Clocks that a test sets.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ashlar_node::clock::TimeSource;

use super::now_ms;

pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The clocks of this machine, moved.
#[derive(Debug)]
pub struct TestTime {
    started: Instant,
    moved: Mutex<Moved>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Moved {
    wall_ms: i64,
    monotonic: Duration,
}

impl TestTime {
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            moved: Mutex::default(),
        }
    }

    /// The wall clock is wrong by so many milliseconds.
    pub fn set_wrong(&self, by_ms: i64) {
        self.moved.lock().unwrap().wall_ms = by_ms;
    }

    /// Time passes, on all clocks.
    pub fn pass(&self, time: Duration) {
        let mut moved = self.moved.lock().unwrap();
        moved.wall_ms += time.as_millis() as i64;
        moved.monotonic += time;
    }
}

impl TimeSource for TestTime {
    fn wall_ms(&self) -> u64 {
        now_ms().saturating_add_signed(self.moved.lock().unwrap().wall_ms)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed() + self.moved.lock().unwrap().monotonic
    }
}
