#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

const CORRUPTION: Cause = Cause::degrades("corruption");
const STORAGE: Cause = Cause::halts("storage");

#[test]
fn phases() {
    let health = Health::default();
    assert_eq!(health.report().status, Status::Opening);
    assert!(health.may_work().is_err());
    health.opened();
    assert_eq!(
        health.report(),
        HealthReport {
            status: Status::Ready,
            reasons: vec![],
            notices: vec![]
        }
    );
    assert!(health.may_work().is_ok());
    health.stopping();
    health.opened();
    assert_eq!(
        health.report().status,
        Status::Stopping,
        "who is going down does not open again"
    );
    assert!(health.may_work().is_err());
}

#[test]
fn causes_come_and_go() {
    let health = Health::default();
    health.opened();
    health.raise(CORRUPTION, "one slice");
    assert_eq!(health.report().status, Status::Degraded);
    assert!(
        health.may_work().is_ok(),
        "what only degrades does not stop the work"
    );
    assert!(health.ready().ready, "nor is it less ready");
    health.raise(STORAGE, "disk full");
    assert_eq!(health.may_work().unwrap_err().code, "storage");
    assert_eq!(health.report().reasons.len(), 2);
    let ready = health.ready();
    assert_eq!((ready.ready, ready.reasons.len()), (false, 1));
    assert_eq!(ready.reasons[0].code, "storage");
    health.clear(STORAGE);
    health.clear(CORRUPTION);
    assert_eq!(health.report().status, Status::Ready);
}

#[test]
fn notices_degrade_nothing() {
    let health = Health::default();
    health.opened();
    health.raise(Cause::notice("peer.lied"), "by a test");
    let report = health.report();
    assert_eq!((report.status, report.reasons.len()), (Status::Ready, 0));
    assert_eq!(report.notices[0].code, "peer.lied");
    assert!(health.may_work().is_ok());
}

#[test]
fn reports_in_json() {
    let health = Health::default();
    health.opened();
    health.raise(Cause::task("scrub"), "panicked");
    let json = serde_json::to_value(health.report()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({"status": "degraded", "reasons": [{"code": "task.scrub", "message": "panicked"}], "notices": []})
    );
}
