#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::health::Status;

fn open() -> (Arc<Health>, Supervisor) {
    let health = Arc::new(Health::default());
    health.opened();
    (Arc::clone(&health), Supervisor::new(health))
}

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_task_that_ends_degrades() {
    let (health, supervisor) = open();
    supervisor.spawn("short", OnEnd::Degrade, async {});
    tokio::time::timeout(PATIENCE, health.wait_raised())
        .await
        .unwrap();
    let report = health.report();
    assert_eq!(report.status, Status::Degraded);
    assert_eq!(report.reasons[0].code, "task.short");
    supervisor.shutdown(PATIENCE).await;
}

#[tokio::test]
async fn a_task_that_panics_stops_the_node() {
    let (health, supervisor) = open();
    supervisor.spawn("bad", OnEnd::Stop, async { panic!("index {}", 7) });
    let why = tokio::time::timeout(PATIENCE, supervisor.failed())
        .await
        .unwrap();
    assert!(why.contains("bad") && why.contains("index 7"), "{why}");
    assert!(health.is_raised(Cause::Task("bad")));
}

#[tokio::test]
async fn stopping_is_no_failure() {
    let (health, supervisor) = open();
    let stop = supervisor.stop_token();
    supervisor.spawn("polite", OnEnd::Stop, async move { stop.cancelled().await });
    supervisor.shutdown(PATIENCE).await;
    assert_eq!(health.report().status, Status::Ready);
}

#[tokio::test]
async fn who_does_not_stop_is_aborted() {
    let (_, supervisor) = open();
    let task = supervisor.spawn("deaf", OnEnd::Stop, std::future::pending());
    supervisor.shutdown(Duration::from_millis(10)).await;
    assert!(task.is_finished());
}
