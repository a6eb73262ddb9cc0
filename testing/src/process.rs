//! What processes cost.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

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
