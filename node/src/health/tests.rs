#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

#[test]
fn clocks_and_moves_stop_signing_and_notices_stop_nothing() {
    for (cause, code, stops) in [
        (CLOCK_BEHIND, "clock.behind", true),
        (CLOCK_DISAGREES, "clock.disagrees", false),
        (MOVED, "database.moved", true),
        (CONTRADICTION, "head.contradiction", true),
        (STORAGE, "storage", true),
        (CORRUPTION, "corruption", false),
        (DAMAGE, "corruption.unrepaired", true),
        (OPERATOR_TABLE, "operator_table", false),
        (SIGNER, "signer", true),
        (KERNEL, "kernel.disagrees", false),
    ] {
        let health = Health::default();
        health.opened();
        health.raise(cause, "by a test");
        assert_eq!(health.report().reasons[0].code, code);
        assert_eq!(health.report().status, Status::Degraded);
        assert_eq!(health.may_work().is_err(), stops, "{code}");
    }
    let health = Health::default();
    health.opened();
    health.raise(EQUIVOCATION, "by a test");
    let report = health.report();
    assert_eq!((report.status, report.reasons.len()), (Status::Ready, 0));
    assert_eq!(report.notices[0].code, "disperser.equivocation");
    assert!(health.may_work().is_ok());
}
