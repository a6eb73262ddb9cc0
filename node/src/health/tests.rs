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
            reasons: vec![],
            notices: vec![]
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
fn clocks_and_moves_stop_signing_and_notices_stop_nothing() {
    for (cause, code, stops) in [
        (Cause::ClockBehind, "clock.behind", true),
        (Cause::ClockDisagrees, "clock.disagrees", false),
        (Cause::Moved, "database.moved", true),
        (Cause::Contradiction, "head.contradiction", true),
        (Cause::OperatorTable, "operator_table", false),
        (Cause::Kernel, "kernel.disagrees", false),
    ] {
        let health = Health::default();
        health.opened();
        health.raise(cause, "by a test");
        assert_eq!(health.report().reasons[0].code, code);
        assert_eq!(health.report().status, Status::Degraded);
        assert_eq!(health.may_sign().is_err(), stops, "{code}");
    }
    let health = Health::default();
    health.opened();
    health.raise(Cause::Equivocation, "by a test");
    let report = health.report();
    assert_eq!((report.status, report.reasons.len()), (Status::Ready, 0));
    assert_eq!(report.notices[0].code, "disperser.equivocation");
    assert!(health.may_sign().is_ok());
}

#[test]
fn reports_in_json() {
    let health = Health::default();
    health.opened();
    health.raise(Cause::Task("scrub"), "panicked");
    let json = serde_json::to_value(health.report()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"status": "degraded", "reasons": [{"code": "task.scrub", "message": "panicked"}], "notices": []})
    );
}
