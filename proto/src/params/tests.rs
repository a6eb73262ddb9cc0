#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use ashlar_crypto::{Coded, code::Code};

use super::*;

fn v1() -> ProtocolVersion {
    *version(1).unwrap()
}

#[test]
fn the_table_is_that_of_the_protocol_and_safe() {
    let rows: Vec<_> = VERSIONS
        .iter()
        .map(|v| {
            let code = v.code;
            (
                v.id,
                code.blowup(),
                code.chunks(),
                code.cell_len(),
                v.max_operators,
                v.confirmation_percent,
                v.safety_percent,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            (1, 8, 512, 64, 128, 55, 33),
            (2, 8, 4096, 8, 1024, 55, 33),
            (3, 4, 2048, 8, 256, 67, 33)
        ]
    );
    for v in VERSIONS.iter() {
        assert_eq!((v.retention_secs, v.challenge_secs), (1_209_600, 777_600));
    }
    assert_eq!(version(4), Err(UnknownVersion { got: 4 }));
    assert_eq!(version(0), Err(UnknownVersion { got: 0 }));
}

#[test]
fn every_broken_version_is_refused() {
    let broken = |change: &dyn Fn(&mut ProtocolVersion)| {
        let mut v = v1();
        change(&mut v);
        v.check().unwrap_err()
    };
    assert_eq!(broken(&|v| v.id = 0), ParamError::ZeroId);
    assert_eq!(broken(&|v| v.max_operators = 0).code(), "params.operators");
    assert_eq!(
        broken(&|v| v.max_operators = 512).code(),
        "params.operators"
    );
    assert_eq!(
        broken(&|v| v.max_operators = u32::MAX).code(),
        "params.operators"
    );
    assert_eq!(
        broken(&|v| v.confirmation_percent = 101).code(),
        "params.thresholds"
    );
    assert_eq!(
        broken(&|v| v.safety_percent = 55).code(),
        "params.thresholds"
    );
    assert_eq!(
        broken(&|v| v.safety_percent = 56).code(),
        "params.thresholds"
    );
    assert_eq!(
        broken(&|v| v.challenge_secs = v.retention_secs).code(),
        "params.times"
    );
    assert_eq!(broken(&|v| v.challenge_secs = 0).code(), "params.times");
    // The safety inequality: each of its four terms, moved too far.
    assert_eq!(broken(&|v| v.safety_percent = 39).code(), "params.unsafe");
    assert_eq!(
        broken(&|v| v.confirmation_percent = 49).code(),
        "params.unsafe"
    );
    assert_eq!(broken(&|v| v.max_operators = 222).code(), "params.unsafe");
    assert_eq!(
        broken(&|v| v.code = Code::new(4, 512).unwrap()).code(),
        "params.unsafe"
    );
}

#[test]
fn the_safety_inequality_holds_with_equality() {
    // 4 * (500 - n) * 50 >= 100 * 500 has no room with powers of two, so: 8 * (512 - 256) * 25 = 51200 = 100 * 512.
    let mut v = v1();
    (v.max_operators, v.confirmation_percent, v.safety_percent) = (256, 58, 33);
    assert_eq!(v.check(), Ok(()));
    v.max_operators = 257;
    assert_eq!(
        v.check(),
        Err(ParamError::Unsafe {
            id: 1,
            left: 51_000,
            right: 51_200
        })
    );
}

#[test]
fn reconstruction_threshold() {
    assert_eq!(v1().reconstruction(), (512, 384 * 8));
}
