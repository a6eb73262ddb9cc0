//! Comparing and timing.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::BenchError;
use super::op::Op;

/// How long to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Time for each candidate of an operation.
    pub time: Duration,
    /// Runs of each candidate, at least; more as long as there is time.
    pub runs: usize,
}

/// Runs of one candidate before the next has its turn take at least this long: one run of the long operations, and of
/// the short ones enough to find their data in the cache.
const TURN: Duration = Duration::from_millis(50);

/// More runs than this of one candidate tell nothing new.
const MOST_RUNS: usize = 5000;

/// One run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// From start to end.
    pub wall: Duration,
    /// Work of all threads of this process together: what the run would have taken on one thread if nothing else had
    /// been running. On a busy machine it tells more than `wall`.
    pub cpu: Duration,
}

/// CPU time that this process has used so far.
fn cpu_time() -> Duration {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    nix::time::clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

type Timed<'a> = Box<dyn Fn() -> Result<Run, BenchError> + Send + Sync + 'a>;
type Checked<'a> = Box<dyn Fn() -> Result<Vec<u8>, BenchError> + Send + Sync + 'a>;

/// One implementation of an operation, with its input.
pub struct Candidate<'a> {
    /// Who: `ashlar`, or a crate with its setting.
    pub implementation: &'static str,
    /// Our kernel; `-` for the others, which choose by themselves.
    pub kernel: &'static str,
    /// Threads it may use.
    pub threads: usize,
    timed: Timed<'a>,
    /// `None` if it computes only part of the operation and there is nothing to compare.
    output: Option<Checked<'a>>,
}

impl<'a> Candidate<'a> {
    /// Runs on one thread, and is no relative of ours. `run` is timed; the time to drop its result is not.
    pub fn new<T>(
        implementation: &'static str,
        run: impl Fn() -> Result<T, BenchError> + Send + Sync + 'a,
    ) -> Self {
        let timed = move || {
            let (start, cpu) = (Instant::now(), cpu_time());
            let result = black_box(run());
            let run = Run {
                wall: start.elapsed(),
                cpu: cpu_time().saturating_sub(cpu),
            };
            result.map(|_| run)
        };
        Self {
            implementation,
            kernel: "-",
            threads: 1,
            timed: Box::new(timed),
            output: None,
        }
    }

    /// The output that has to equal that of the others, as bytes.
    #[must_use]
    pub fn output(
        mut self,
        output: impl Fn() -> Result<Vec<u8>, BenchError> + Send + Sync + 'a,
    ) -> Self {
        self.output = Some(Box::new(output));
        self
    }

    /// Runs on our engine.
    #[must_use]
    pub fn ours(mut self, threads: usize) -> Self {
        self.kernel = ashlar_crypto::kernel_name();
        self.threads = threads;
        self
    }

    /// One run.
    ///
    /// # Errors
    /// The candidate failed.
    pub fn time_once(&self) -> Result<Run, BenchError> {
        (self.timed)()
    }
}

/// The pools that candidates run on, one for each number of threads.
#[derive(Default)]
pub struct Pools {
    by_threads: BTreeMap<usize, ThreadPool>,
}

impl Pools {
    /// The pool with this many threads.
    ///
    /// # Errors
    /// [`BenchError::Threads`].
    pub fn get(&mut self, threads: usize) -> Result<&ThreadPool, BenchError> {
        if let std::collections::btree_map::Entry::Vacant(entry) = self.by_threads.entry(threads) {
            let pool = ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map_err(|error| BenchError::Threads {
                    threads,
                    reason: error.to_string(),
                })?;
            entry.insert(pool);
        }
        self.by_threads
            .get(&threads)
            .ok_or_else(|| BenchError::Threads {
                threads,
                reason: "no pool".to_owned(),
            })
    }
}

/// Compares all outputs with the first candidate's, which is ours.
///
/// # Errors
/// A candidate failed, or its output is another.
pub fn compare(op: Op, candidates: &[Candidate<'_>], pools: &mut Pools) -> Result<(), BenchError> {
    let mut expected: Option<Vec<u8>> = None;
    for candidate in candidates {
        let Some(output) = &candidate.output else {
            continue;
        };
        let found = pools.get(candidate.threads)?.install(output)?;
        match &expected {
            None => expected = Some(found),
            Some(expected) if *expected == found => {}
            Some(_) => {
                return Err(BenchError::Different {
                    op: op.name(),
                    implementation: candidate.implementation,
                });
            }
        }
    }
    Ok(())
}

/// Times of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The middle one of all runs.
    pub median: Duration,
    /// The middle one of the CPU times, see [`Run::cpu`].
    pub cpu: Duration,
    /// The fastest.
    pub min: Duration,
    /// How many.
    pub runs: usize,
}

impl Times {
    fn of(runs: &[Run]) -> Self {
        assert!(!runs.is_empty(), "every candidate is timed at least once");
        let sorted = |part: fn(&Run) -> Duration| {
            let mut times: Vec<_> = runs.iter().map(part).collect();
            times.sort_unstable();
            times
        };
        let wall = sorted(|run| run.wall);
        Self {
            median: median(&wall),
            cpu: median(&sorted(|run| run.cpu)),
            min: wall[0],
            runs: runs.len(),
        }
    }
}

fn median(sorted: &[Duration]) -> Duration {
    (sorted[sorted.len() / 2] + sorted[(sorted.len() - 1) / 2]) / 2
}

/// Times all candidates, in turns; the results are in the order of the candidates.
///
/// # Errors
/// A candidate failed, or threads could not be started.
pub fn measure(
    candidates: &[Candidate<'_>],
    pools: &mut Pools,
    effort: Effort,
) -> Result<Vec<Times>, BenchError> {
    let mut all: Vec<(Vec<Run>, Duration)> =
        candidates.iter().map(|_| Default::default()).collect();
    let wants = |runs: usize, spent: Duration| {
        runs < effort.runs.max(1) || (spent < effort.time && runs < MOST_RUNS)
    };
    loop {
        let mut busy = false;
        for (candidate, (runs, spent)) in candidates.iter().zip(&mut all) {
            if !wants(runs.len(), *spent) {
                continue;
            }
            busy = true;
            // The whole turn on the pool, so that handing work over to it is not part of a run.
            pools.get(candidate.threads)?.install(|| {
                let mut turn = Duration::ZERO;
                while turn < TURN && wants(runs.len(), *spent) {
                    let run = candidate.time_once()?;
                    runs.push(run);
                    turn += run.wall;
                    *spent += run.wall;
                }
                Ok(())
            })?;
        }
        if !busy {
            return Ok(all.into_iter().map(|(runs, _)| Times::of(&runs)).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn times(nanos: &[u64]) -> Times {
        let run = |nanos: &u64| Run {
            wall: Duration::from_nanos(*nanos),
            cpu: Duration::from_nanos(1000 - nanos),
        };
        Times::of(&nanos.iter().map(run).collect::<Vec<_>>())
    }

    #[test]
    fn median_and_least() {
        assert_eq!(times(&[5, 1, 3]).median.as_nanos(), 3);
        assert_eq!(times(&[5, 1, 3]).min.as_nanos(), 1);
        assert_eq!(times(&[8, 2, 4, 6]).median.as_nanos(), 5);
        assert_eq!(times(&[7]).median.as_nanos(), 7);
        assert_eq!(times(&[5, 1, 2]).cpu.as_nanos(), 998);
    }

    #[test]
    fn cpu_time_is_counted() {
        let mut pools = Pools::default();
        let spin = || {
            let start = cpu_time();
            while cpu_time().saturating_sub(start) < Duration::from_millis(20) {
                std::hint::spin_loop();
            }
            Ok(())
        };
        let effort = Effort {
            time: Duration::ZERO,
            runs: 1,
        };
        let times = measure(&[Candidate::new("spin", spin)], &mut pools, effort).unwrap();
        assert!(times[0].cpu >= Duration::from_millis(20), "{times:?}");
    }

    #[test]
    fn another_output_is_refused() {
        let candidates = [
            Candidate::new("ashlar", || Ok(())).output(|| Ok(vec![1, 2])),
            Candidate::new("part", || Ok(())),
            Candidate::new("same", || Ok(())).output(|| Ok(vec![1, 2])),
            Candidate::new("other", || Ok(())).output(|| Ok(vec![1, 3])),
        ];
        let mut pools = Pools::default();
        assert_eq!(compare(Op::CommitRow, &candidates[..3], &mut pools), Ok(()));
        assert_eq!(
            compare(Op::CommitRow, &candidates, &mut pools),
            Err(BenchError::Different {
                op: "commit_row",
                implementation: "other"
            })
        );
    }

    #[test]
    fn every_candidate_runs_as_often_as_asked() {
        let candidates = [Candidate::new("a", || Ok(1)), Candidate::new("b", || Ok(2))];
        let effort = Effort {
            time: Duration::ZERO,
            runs: 7,
        };
        let times = measure(&candidates, &mut Pools::default(), effort).unwrap();
        assert_eq!(
            times.iter().map(|times| times.runs).collect::<Vec<_>>(),
            [7, 7]
        );
    }

    #[test]
    fn a_failing_candidate_ends_it() {
        let failing = Candidate::new("bad", || Err::<(), _>(BenchError::failed("bad", "no")));
        let effort = Effort {
            time: Duration::ZERO,
            runs: 1,
        };
        let result = measure(&[failing], &mut Pools::default(), effort);
        assert_eq!(result, Err(BenchError::failed("bad", "no")));
    }
}
