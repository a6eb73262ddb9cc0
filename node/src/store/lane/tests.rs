#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;

const PATIENCE: Duration = Duration::from_millis(200);

/// Work that does not end before it is told to.
fn stuck() -> (Sender<()>, impl FnOnce() + Send + 'static) {
    let (end, ended): (_, Receiver<()>) = channel();
    (end, move || {
        let _ = ended.recv();
    })
}

fn hangs<T: std::fmt::Debug>(result: Result<T, BackendError>) {
    let error = result.unwrap_err();
    assert!(matches!(error, BackendError::Hangs { .. }), "{error}");
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn work_is_given_up_in_time_and_more_is_refused_until_it_ends() {
    let lane = Lane::new(PATIENCE);
    assert_eq!(lane.run(|| 7).unwrap(), 7);
    let (end, work) = stuck();
    let started = Instant::now();
    hangs(lane.run(work));
    assert!(started.elapsed() >= PATIENCE);
    assert!(lane.hangs());
    let started = Instant::now();
    for _ in 0..1000 {
        hangs(lane.run(|| 7));
    }
    assert!(started.elapsed() < PATIENCE, "none of them waits");
    end.send(()).unwrap();
    wait_until("it answers again", || !lane.hangs());
    assert_eq!(lane.run(|| 8).unwrap(), 8);
}

#[test]
fn a_few_threads_are_stuck_at_most() {
    let lane = Lane::new(PATIENCE);
    let (ends, works): (Vec<_>, Vec<_>) = (0..50).map(|_| stuck()).unzip();
    thread::scope(|scope| {
        for work in works {
            scope.spawn(|| hangs(lane.run(work)));
        }
    });
    assert_eq!(lane.shared.lock().threads, THREADS);
    drop(ends);
    wait_until("it answers again", || !lane.hangs());
    assert_eq!(lane.run(|| 8).unwrap(), 8);
}

/// Many at a time are slow, and no sign of a device that hangs.
#[test]
fn a_long_queue_that_moves_is_waited_for() {
    let lane = Lane::new(PATIENCE);
    let work = || thread::sleep(PATIENCE / 4);
    thread::scope(|scope| {
        for _ in 0..10 * THREADS {
            scope.spawn(|| lane.run(work).unwrap());
        }
    });
}

#[test]
fn what_is_closed_while_it_hangs_is_closed_later_by_another_thread() {
    struct Closes(Sender<thread::ThreadId>);
    impl Drop for Closes {
        fn drop(&mut self) {
            let _ = self.0.send(thread::current().id());
        }
    }
    let lane = Lane::new(PATIENCE);
    let (ends, works): (Vec<_>, Vec<_>) = (0..THREADS).map(|_| stuck()).unzip();
    thread::scope(|scope| {
        for work in works {
            scope.spawn(|| hangs(lane.run(work)));
        }
    });
    let (closed, when) = channel();
    let closes = Closes(closed);
    let started = Instant::now();
    lane.finish(move || drop(closes));
    assert!(started.elapsed() < PATIENCE);
    assert!(when.try_recv().is_err());
    drop(lane);
    drop(ends);
    assert_ne!(when.recv().unwrap(), thread::current().id());
}

#[test]
#[should_panic(expected = "of the work")]
fn a_panic_is_handed_on() {
    // It is printed with a backtrace, which takes its time.
    let lane = Lane::new(100 * PATIENCE);
    let _ = lane.run(|| panic!("of the work"));
}
