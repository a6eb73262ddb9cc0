#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn phases() {
    let health = Health::default();
    assert_eq!(health.report().status, Status::Opening);
    assert!(health.may_sign().is_err());
    health.opened();
    assert_eq!(
        health.report(),
        HealthReport {
            status: Status::Ready,
            reasons: vec![]
        }
    );
    assert!(health.may_sign().is_ok());
    health.stopping();
    health.opened();
    assert_eq!(
        health.report().status,
        Status::Stopping,
        "who is going down does not open again"
    );
    assert!(health.may_sign().is_err());
}

#[test]
fn causes_come_and_go() {
    let health = Health::default();
    health.opened();
    health.raise(Cause::Corruption, "one slice");
    assert_eq!(health.report().status, Status::Degraded);
    assert!(
        health.may_sign().is_ok(),
        "a corrupt slice is no reason not to store others"
    );
    health.raise(Cause::Storage, "disk full");
    assert_eq!(health.may_sign().unwrap_err().code, "storage");
    assert_eq!(health.report().reasons.len(), 2);
    health.clear(Cause::Storage);
    health.clear(Cause::Corruption);
    assert_eq!(health.report().status, Status::Ready);
}

#[test]
fn reports_in_json() {
    let health = Health::default();
    health.opened();
    health.raise(Cause::Task("scrub"), "panicked");
    let json = serde_json::to_value(health.report()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"status": "degraded", "reasons": [{"code": "task.scrub", "message": "panicked"}]})
    );
}
