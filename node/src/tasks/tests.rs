#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::KernelDisagreement;
use ashlar_crypto::identity::NetworkKey;
use ashlar_proto::OperatorId;

use super::*;
use crate::clock::SystemTimeSource;
use crate::config::NodeConfig;

#[test]
fn a_kernel_that_disagrees_is_reported() {
    let shared = Shared::new(
        NodeConfig::default(),
        OperatorId([1; 32]),
        vec![NetworkKey::from_seed([1; 32]).public()],
        Arc::new(SystemTimeSource::default()),
    );
    let mut status = KernelStatus {
        active: "ifma",
        refused: None,
    };
    watch_kernel(&shared, status);
    assert!(shared.health.report().reasons.is_empty());
    assert!(
        shared
            .metrics
            .text()
            .contains("ashlar_node_kernel_disagrees 0")
    );

    status.active = "portable";
    status.refused = Some(KernelDisagreement {
        kernel: "ifma",
        operation: "commit_row",
    });
    watch_kernel(&shared, status);
    let report = shared.health.report();
    assert_eq!(report.reasons[0].code, "kernel.disagrees");
    assert!(report.reasons[0].message.contains("commit_row"));
    assert!(
        shared
            .metrics
            .text()
            .contains("ashlar_node_kernel_disagrees 1")
    );
    shared.health.opened();
    assert!(shared.health.may_work().is_ok(), "portable serves");
}
