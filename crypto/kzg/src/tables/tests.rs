#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]

use super::*;

/// A thread of a pool that makes a table must not be handed other work of that pool meanwhile: it may need the same
/// table. Here one part of the table's work waits for jobs of the pool that only the other thread may take.
#[test]
fn a_thread_that_makes_a_table_takes_no_other_work() {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::{Arc, mpsc};
    use std::time::{Duration, Instant};

    thread_local!(static MAKES_A_TABLE: Cell<bool> = const { Cell::new(false) });
    const JOBS: usize = 8;
    fn wait_for(condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !condition() && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }

    let pool = Arc::new(
        rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .build()
            .unwrap(),
    );
    let (jobs, taken_by_maker) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let started = AtomicBool::new(false);
    let (done, finished) = mpsc::channel();
    let outer = Arc::clone(&pool);
    let (count, taken) = (Arc::clone(&jobs), Arc::clone(&taken_by_maker));
    pool.spawn(move || {
        MAKES_A_TABLE.set(true);
        let first = || wait_for(|| started.load(Ordering::SeqCst));
        let second = || {
            started.store(true, Ordering::SeqCst);
            for _ in 0..JOBS {
                let (count, taken) = (Arc::clone(&count), Arc::clone(&taken));
                outer.spawn(move || {
                    taken.fetch_add(usize::from(MAKES_A_TABLE.get()), Ordering::SeqCst);
                    count.fetch_add(1, Ordering::SeqCst);
                });
            }
            wait_for(|| count.load(Ordering::SeqCst) == JOBS);
        };
        on_own_threads(|| rayon::join(first, second));
        MAKES_A_TABLE.set(false);
        done.send(()).unwrap();
    });
    finished
        .recv_timeout(Duration::from_secs(120))
        .expect("the table is made");
    assert_eq!(jobs.load(Ordering::SeqCst), JOBS);
    assert_eq!(taken_by_maker.load(Ordering::SeqCst), 0);
}

#[test]
fn tables_are_made_where_no_thread_can_be() {
    // More stack than there are addresses.
    let builder = std::thread::Builder::new().stack_size(1 << 62);
    assert_eq!(on_thread(builder, || 7), 7);
}
