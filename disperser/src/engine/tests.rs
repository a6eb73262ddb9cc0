#![allow(clippy::unwrap_used)]

use ashlar_crypto::KernelDisagreement;

use super::*;

#[test]
fn a_kernel_that_disagrees_is_in_health_and_metrics() {
    let (health, metrics) = (Health::default(), Metrics::default());
    health.opened();
    let mut status = KernelStatus {
        active: "portable",
        refused: None,
    };
    report_kernel(&health, &metrics, status);
    assert!(health.report().reasons.is_empty());
    assert!(
        metrics
            .text()
            .contains("ashlar_disperser_kernel_disagrees 0")
    );
    status.refused = Some(KernelDisagreement {
        kernel: "ifma",
        operation: "msm",
    });
    report_kernel(&health, &metrics, status);
    let reasons = health.report().reasons;
    assert_eq!(reasons[0].code, "kernel.disagrees");
    assert!(reasons[0].message.contains("`ifma`"), "{reasons:?}");
    assert!(
        metrics
            .text()
            .contains("ashlar_disperser_kernel_disagrees 1")
    );
}
