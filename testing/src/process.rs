//! What processes cost, and processes that end where they are told to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::process::ExitStatusExt as _;

/// Runs one ignored test of this binary in a process of its own, which finds its orders in the environment: whether it aborted, as a
/// failpoint makes it, and what it said on standard error. Any other end than that and a good one panics.
pub fn child(test: &str, variable: &str, orders: &str) -> (bool, String) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(variable, orders)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let aborted = output.status.signal() == Some(6);
    assert!(aborted || output.status.success(), "{orders}\n{text}");
    (aborted, text)
}

/// What processes have used since they began.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    /// Seconds of processors.
    pub processor: f64,
    /// Bytes written to disk.
    pub written: u64,
}

impl Used {
    /// Of these processes together.
    pub fn by(pids: &[u32]) -> Used {
        pids.iter().fold(Used::default(), |sum, pid| {
            let file = |name| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap();
            let (stat, io) = (file("stat"), file("io"));
            let after_name = stat.rsplit(')').next().unwrap();
            let ticks = after_name.split_whitespace().skip(11).take(2);
            let ticks: f64 = ticks.map(|each| each.parse::<f64>().unwrap()).sum();
            let written = io
                .lines()
                .find_map(|line| line.strip_prefix("write_bytes: "));
            Used {
                // 100 ticks a second on every Linux of today (sysconf, _SC_CLK_TCK).
                processor: sum.processor + ticks / 100.0,
                written: sum.written + written.unwrap().parse::<u64>().unwrap(),
            }
        })
    }

    /// Of this process, with all its threads.
    pub fn here() -> Used {
        Used::by(&[std::process::id()])
    }

    /// What came since an earlier look.
    pub fn since(self, before: Used) -> Used {
        Used {
            processor: self.processor - before.processor,
            written: self.written - before.written,
        }
    }
}
