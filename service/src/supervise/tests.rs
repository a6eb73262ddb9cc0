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
async fn a_task_that_panics_stops_the_daemon() {
    let (health, supervisor) = open();
    supervisor.spawn("bad", OnEnd::Stop, async { panic!("index {}", 7) });
    let why = tokio::time::timeout(PATIENCE, supervisor.failed())
        .await
        .unwrap();
    assert!(why.contains("bad") && why.contains("index 7"), "{why}");
    assert!(health.raised(Cause::task("bad")).is_some());
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

#[tokio::test]
async fn an_end_that_is_normal_is_not_told() {
    let (health, supervisor) = open();
    supervisor.spawn("once", OnEnd::Normal, async {});
    supervisor
        .spawn_thread("thread", OnEnd::Normal, || Ok(()))
        .unwrap();
    supervisor
        .spawn_thread("witness", OnEnd::Degrade, || Err("a reason".into()))
        .unwrap();
    tokio::time::timeout(PATIENCE, health.wait_raised())
        .await
        .unwrap();
    let reasons = health.report().reasons;
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert_eq!(
        (reasons[0].code.as_str(), reasons[0].message.as_str()),
        ("task.witness", "a reason")
    );
}

#[tokio::test]
async fn a_thread_that_panics_stops_the_daemon() {
    let (_, supervisor) = open();
    supervisor
        .spawn_thread("bad", OnEnd::Stop, || panic!("index {}", 7))
        .unwrap();
    let why = tokio::time::timeout(PATIENCE, supervisor.failed())
        .await
        .unwrap();
    assert!(why.contains("bad") && why.contains("index 7"), "{why}");
}
